/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * AlterConfigs and IncrementalAlterConfigs: first what the broker itself refuses, then what its controller does. */
#include "mock/api.h"
#include "mock/config_draft.h"
#include "mock/configs.h"
#include "mock/text.h"
#include "mock/twice.h"
#include "protocol/base/text.h"

/** No code of Kafka's: there is no memory. */
#define NO_MEMORY INT16_MIN

/** AlterConfigOp.OpType. */
enum {
    OP_SET,
    OP_DELETE,
    OP_APPEND,
    OP_SUBTRACT
};

typedef struct config_change {
    kc_bytes name;
    kc_bytes value; /**< null: none */
    int8_t op;
} config_change;

/** One resource of either request. */
typedef struct alteration {
    km_request *request;
    int8_t type;
    kc_bytes name;
    config_change *changes;
    int32_t count;
    bool is_incremental;
    bool validate_only;
    km_config_draft draft;
    kc_bytes why; /**< of a refusal; null: none is told */
} alteration;

static int16_t refuse(alteration *a, int16_t code, kc_bytes why)
{
    a->why = why;
    return code;
}

/* ---- what the broker refuses ---- */

/** Those that need a value and have none, as a sentence; null: all have one. KC_ERR_NOMEM. */
static kc_err name_nulls(alteration *a, kc_bytes *why_out)
{
    kb_buf text;
    kb_buf_init(&text, a->request->cluster->mem, 0);
    for (int32_t i = 0; i < a->count; i++) {
        if (a->changes[i].value.ptr || a->changes[i].op == OP_DELETE)
            continue;
        kb_buf_put_bytes(&text,
                         text.len > 0 ? KC_STR(", ") : KC_STR("Null value not supported for : "));
        kb_buf_put_bytes(&text, a->changes[i].name);
    }
    kc_bytes why = km_text_cut(kb_buf_bytes(&text));
    *why_out = text.len > 0 ? km_request_copy(a->request, why) : KC_NULL;
    bool has_memory = !text.err && (text.len == 0 || why_out->ptr);
    kb_buf_cleanup(&text);
    return has_memory ? KC_OK : KC_ERR_NOMEM;
}

static int16_t check_keys(alteration *a)
{
    kc_bytes *names = km_request_alloc(a->request, (size_t)a->count, sizeof *names);
    for (int32_t i = 0; names && i < a->count; i++)
        names[i] = a->changes[i].name;
    const km_twice *twice = names ? km_twice_find(a->request, names, a->count) : NULL;
    if (!twice)
        return NO_MEMORY;
    for (int32_t i = 0; i < a->count; i++)
        if (twice[i] != KM_ONCE)
            return refuse(a, KC_E_INVALID_REQUEST, KC_STR("Error due to duplicate config keys"));
    kc_bytes nulls;
    if (name_nulls(a, &nulls))
        return NO_MEMORY;
    return nulls.ptr ? refuse(a, KC_E_INVALID_REQUEST, nulls) : 0;
}

static int16_t check_broker_name(alteration *a)
{
    int64_t id;
    if (a->name.len == 0)
        return 0;
    if (!kb_parse_i64(a->name, &id))
        return refuse(a, KC_E_INVALID_REQUEST,
                      KM_TEXT(&a->request->arena, "Node id must be an integer, but it is: " KC_FMT,
                              KC_ARG(a->name)));
    if (id != a->request->broker->id)
        return refuse(a, KC_E_INVALID_REQUEST,
                      KM_TEXT(&a->request->arena,
                              "Unexpected broker id, expected %d, but received " KC_FMT,
                              (int)a->request->broker->id, KC_ARG(a->name)));
    return 0;
}

/** The rule of a broker's value is that of the topic's which takes its default from it. */
static const km_config_row *rule_of(const km_config_row *broker_row)
{
    size_t count;
    const km_config_row *rows = km_config_rows(KM_RESOURCE_TOPIC, &count);
    for (size_t i = 0; i < count; i++)
        if (rows[i].broker && kc_bytes_equal(kc_str(rows[i].broker), kc_str(broker_row->name)))
            return &rows[i];
    return broker_row;
}

static int16_t check_broker_value(alteration *a, const km_config_row *row, kc_bytes value)
{
    km_config_row rule = *rule_of(row);
    rule.name = row->name;
    kc_bytes why = KC_NULL;
    if (!km_config_is_valid(&rule, value, &a->request->arena, &why))
        return refuse(a, KC_E_INVALID_REQUEST, why);
    return 0;
}

static int16_t check_broker(alteration *a)
{
    int16_t code = check_broker_name(a);
    kc_bytes fixed = KC_NULL;
    for (int32_t i = 0; !code && i < a->count; i++) {
        const km_config_row *row = km_config_row_find(KM_RESOURCE_BROKER, a->changes[i].name);
        if (!row || row->is_dynamic || a->changes[i].op == OP_DELETE)
            continue;
        fixed = fixed.ptr ? KM_TEXT(&a->request->arena, KC_FMT ", %s", KC_ARG(fixed), row->name)
                          : KM_TEXT(&a->request->arena,
                                    "Cannot update these configs dynamically: [%s", row->name);
    }
    if (fixed.ptr)
        return refuse(a, KC_E_INVALID_REQUEST,
                      KM_TEXT(&a->request->arena, KC_FMT "]", KC_ARG(fixed)));
    for (int32_t i = 0; !code && i < a->count; i++) {
        const km_config_row *row = km_config_row_find(KM_RESOURCE_BROKER, a->changes[i].name);
        if (row && a->changes[i].op != OP_DELETE)
            code = check_broker_value(a, row, a->changes[i].value);
    }
    return code;
}

/** The mock has no loggers. */
static int16_t check_loggers(alteration *a)
{
    int16_t code = check_broker_name(a);
    if (code || a->count == 0)
        return code;
    return refuse(a, KC_E_INVALID_CONFIG,
                  KM_TEXT(&a->request->arena, "Logger " KC_FMT " does not exist!",
                          KC_ARG(a->changes[0].name)));
}

static int16_t preprocess(alteration *a)
{
    int16_t code = check_keys(a);
    if (code)
        return code;
    switch (a->type) {
    case KM_RESOURCE_BROKER:
        return check_broker(a);
    case KM_RESOURCE_TOPIC:
    case KM_RESOURCE_CLIENT_METRICS:
    case KM_RESOURCE_GROUP:
        return 0;
    case KM_RESOURCE_BROKER_LOGGER:
        if (a->is_incremental)
            return check_loggers(a);
        break;
    default:
        break;
    }
    return refuse(a, KC_E_INVALID_REQUEST,
                  KM_TEXT(&a->request->arena, "Unknown resource type %d", (int)a->type));
}

/* ---- what the controller does ---- */

static bool has_word(kc_bytes list, kc_bytes word)
{
    kc_bytes rest = list, piece;
    while (kb_text_split(&rest, ',', &piece))
        if (kc_bytes_equal(piece, word))
            return true;
    return false;
}

static void put_word(kb_buf *out, kc_bytes word)
{
    if (word.len == 0)
        return;
    if (out->len > 0)
        kb_buf_put_byte(out, ',');
    kb_buf_put_bytes(out, word);
}

/** `old` with the words of `value` behind it, or without them. Null: no memory. */
static kc_bytes edit_list(km_request *request, kc_bytes old, kc_bytes value, bool is_append)
{
    kb_buf out;
    kb_buf_init(&out, request->cluster->mem, 0);
    kc_bytes rest = old, word;
    while (kb_text_split(&rest, ',', &word))
        if (is_append || !has_word(value, word))
            put_word(&out, word);
    rest = value;
    while (is_append && kb_text_split(&rest, ',', &word))
        if (!has_word(kb_buf_bytes(&out), word))
            put_word(&out, word);
    kc_bytes edited = out.len > 0 ? kb_buf_bytes(&out) : KC_STR("");
    kc_bytes copy = out.err ? KC_NULL : km_request_copy(request, edited);
    kb_buf_cleanup(&out);
    return copy;
}

static int16_t change_list(alteration *a, const config_change *change)
{
    bool is_append = change->op == OP_APPEND;
    const km_config_row *row = km_config_row_find(a->type, change->name);
    if (!row || row->type != KM_CONFIG_LIST)
        return refuse(a, KC_E_INVALID_CONFIG,
                      KM_TEXT(&a->request->arena,
                              "Can't %s to key " KC_FMT " because its type is not LIST.",
                              is_append ? "APPEND" : "SUBTRACT", KC_ARG(change->name)));
    kc_bytes old = km_config_draft_get(&a->draft, change->name);
    if (!old.ptr)
        old = row->fallback ? kc_str(row->fallback) : KC_STR("");
    kc_bytes edited = edit_list(a->request, old, change->value, is_append);
    if (!edited.ptr)
        return NO_MEMORY;
    km_config_draft_set(&a->draft, change->name, edited);
    return 0;
}

static int16_t change_one(alteration *a, const config_change *change)
{
    switch (change->op) {
    case OP_SET:
        km_config_draft_set(&a->draft, change->name, change->value);
        return 0;
    case OP_DELETE:
        km_config_draft_set(&a->draft, change->name, KC_NULL);
        return 0;
    case OP_APPEND:
    case OP_SUBTRACT:
        return change_list(a, change);
    default:
        return refuse(a, KC_E_UNKNOWN_SERVER_ERROR, KC_NULL);
    }
}

static int16_t check_name(alteration *a)
{
    switch (a->type) {
    case KM_RESOURCE_TOPIC:
        if (a->name.len == 0)
            return refuse(a, KC_E_INVALID_REQUEST,
                          KC_STR("Default topic resources are not allowed."));
        if (!km_topic_name_is_valid(a->name))
            return refuse(a, KC_E_INVALID_TOPIC_EXCEPTION,
                          km_topic_name_fault(&a->request->arena, a->name));
        return 0;
    case KM_RESOURCE_GROUP:
        if (a->name.len == 0)
            return refuse(a, KC_E_INVALID_REQUEST,
                          KC_STR("Default group resources are not allowed."));
        return 0;
    case KM_RESOURCE_CLIENT_METRICS:
        if (a->name.len == 0)
            return refuse(a, KC_E_INVALID_REQUEST, KC_STR("Subscription name can't be empty"));
        return 0;
    default:
        return 0;
    }
}

static kb_map *configs_of(const alteration *a)
{
    km_topic *topic;
    km_config_resource *resource;
    if (a->type == KM_RESOURCE_TOPIC) {
        topic = km_topic_by_name(a->request->cluster, a->name);
        return topic ? &topic->configs : NULL;
    }
    resource = km_config_resource_find(a->request->cluster, a->type, a->name);
    return resource ? &resource->configs : NULL;
}

static int16_t apply(alteration *a)
{
    km_cluster *cluster = a->request->cluster;
    kb_map *configs = configs_of(a);
    if (a->type == KM_RESOURCE_TOPIC && !configs)
        return refuse(
            a, KC_E_UNKNOWN_TOPIC_OR_PARTITION,
            KM_TEXT(&a->request->arena, "The topic '" KC_FMT "' does not exist.", KC_ARG(a->name)));
    if (a->validate_only)
        return 0;
    if (!configs) {
        km_config_resource *made = km_config_resource_open(cluster, a->type, a->name);
        if (!made)
            return NO_MEMORY;
        configs = &made->configs;
    }
    return km_config_draft_apply(&a->draft, configs, cluster->mem) ? NO_MEMORY : 0;
}

static int16_t alter(alteration *a)
{
    int16_t code = preprocess(a);
    if (code || a->type == KM_RESOURCE_BROKER_LOGGER)
        return code;
    if (km_config_draft_init(&a->draft, &a->request->arena,
                             a->is_incremental ? configs_of(a) : NULL, (size_t)a->count))
        return NO_MEMORY;
    for (int32_t i = 0; !code && i < a->count; i++)
        code = change_one(a, &a->changes[i]);
    code = code ? code : check_name(a);
    if (!code)
        code = km_config_draft_check(&a->draft, a->type, &a->why);
    return code ? code : apply(a);
}

/* ---- the two requests ---- */

/** Type and name as one text; null: no memory. */
static kc_bytes resource_key(km_request *request, int8_t type, kc_bytes name)
{
    return kc_str(kb_arena_printf(&request->arena, "%d " KC_FMT, (int)type, KC_ARG(name)));
}

static int16_t alter_if_once(alteration *a, km_twice twice)
{
    int16_t code = km_check_broker(a->request);
    if (code)
        return code;
    if (twice != KM_ONCE)
        return refuse(a, KC_E_INVALID_REQUEST, KC_STR("Each resource must appear at most once."));
    return a->changes ? alter(a) : NO_MEMORY;
}

km_action km_api_incremental_alter_configs(km_request *request, const void *message, void *response)
{
    const kp_incremental_alter_configs_req *asked = message;
    kp_incremental_alter_configs_resp *out = response;
    int32_t count = asked->resources.count;
    out->responses.items = km_request_alloc(request, (size_t)count, sizeof *out->responses.items);
    kc_bytes *keys = km_request_alloc(request, (size_t)count, sizeof *keys);
    for (int32_t i = 0; keys && i < count; i++)
        keys[i] = resource_key(request, asked->resources.items[i].resource_type,
                               asked->resources.items[i].resource_name);
    const km_twice *twice = keys ? km_twice_find(request, keys, count) : NULL;
    if (!out->responses.items || !twice)
        return KM_CLOSE;
    for (int32_t i = 0; i < count; i++) {
        const kp_incremental_alter_configs_req_resource *one = &asked->resources.items[i];
        alteration a = {.request = request,
                        .type = one->resource_type,
                        .name = one->resource_name,
                        .count = one->configs.count,
                        .is_incremental = true,
                        .validate_only = asked->validate_only};
        a.changes = km_request_alloc(request, (size_t)a.count, sizeof *a.changes);
        for (int32_t j = 0; a.changes && j < a.count; j++)
            a.changes[j] = (config_change){one->configs.items[j].name, one->configs.items[j].value,
                                           one->configs.items[j].config_operation};
        int16_t code = alter_if_once(&a, twice[i]);
        if (code == NO_MEMORY)
            return KM_CLOSE;
        out->responses.items[out->responses.count++] =
            (kp_incremental_alter_configs_resp_response){.error_code = code,
                                                         .error_message = a.why,
                                                         .resource_type = a.type,
                                                         .resource_name = a.name};
    }
    return KM_ANSWER;
}

km_action km_api_alter_configs(km_request *request, const void *message, void *response)
{
    const kp_alter_configs_req *asked = message;
    kp_alter_configs_resp *out = response;
    int32_t count = asked->resources.count;
    out->responses.items = km_request_alloc(request, (size_t)count, sizeof *out->responses.items);
    kc_bytes *keys = km_request_alloc(request, (size_t)count, sizeof *keys);
    for (int32_t i = 0; keys && i < count; i++)
        keys[i] = resource_key(request, asked->resources.items[i].resource_type,
                               asked->resources.items[i].resource_name);
    const km_twice *twice = keys ? km_twice_find(request, keys, count) : NULL;
    if (!out->responses.items || !twice)
        return KM_CLOSE;
    for (int32_t i = 0; i < count; i++) {
        const kp_alter_configs_req_resource *one = &asked->resources.items[i];
        alteration a = {.request = request,
                        .type = one->resource_type,
                        .name = one->resource_name,
                        .count = one->configs.count,
                        .validate_only = asked->validate_only};
        a.changes = km_request_alloc(request, (size_t)a.count, sizeof *a.changes);
        for (int32_t j = 0; a.changes && j < a.count; j++)
            a.changes[j] =
                (config_change){one->configs.items[j].name, one->configs.items[j].value, OP_SET};
        int16_t code = alter_if_once(&a, twice[i]);
        if (code == NO_MEMORY)
            return KM_CLOSE;
        out->responses.items[out->responses.count++] =
            (kp_alter_configs_resp_response){.error_code = code,
                                             .error_message = a.why,
                                             .resource_type = a.type,
                                             .resource_name = a.name};
    }
    return KM_ANSWER;
}
