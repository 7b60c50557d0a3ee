/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Configurations of topics, brokers and groups. A broker's own are asked of that broker, all others
 * of any. */
#include "client/admin_call.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

/** Kafka's ConfigSource: where a value comes from. */
enum {
    SOURCE_TOPIC = 1,
    SOURCE_DYNAMIC_BROKER = 2,
    SOURCE_STATIC_BROKER = 4,
    SOURCE_GROUP = 8,
};

/** IncrementalAlterConfigs: AlterConfigOp. */
enum {
    OP_SET = 0,
    OP_DELETE = 1
};

/** Broker whose own configuration it is; KC_TO_ANY: nobody's own ("" is the default of all
 * brokers). */
static kc_err target_of(int8_t type, kc_bytes name, int32_t *to_out, kc_error *err)
{
    int64_t id;
    *to_out = KC_TO_ANY;
    if (type != KC_RESOURCE_BROKER || name.len == 0)
        return KC_OK;
    if (!kb_parse_i64(name, &id) || id < 0 || id > INT32_MAX)
        return kb_error_set(err, KC_ERR_ARGUMENT, "\"" KC_FMT "\" is no broker id", KC_ARG(name));
    *to_out = (int32_t)id;
    return KC_OK;
}

/* ---- DescribeConfigs ---- */

/** Set on the resource itself? */
static bool is_own(int8_t type, int8_t source)
{
    switch (type) {
    case KC_RESOURCE_TOPIC:
        return source == SOURCE_TOPIC;
    case KC_RESOURCE_GROUP:
        return source == SOURCE_GROUP;
    default:
        return source == SOURCE_DYNAMIC_BROKER || source == SOURCE_STATIC_BROKER;
    }
}

static void copy_entries(kc_admin_op *op, const kp_describe_configs_resp_result *told, size_t place)
{
    size_t count = (size_t)told->configs.count;
    kc_config_entry *items = kc_admin_array(op, count, sizeof *items);
    if (!items)
        return;
    for (size_t i = 0; i < count; i++) {
        const kp_describe_configs_resp_config *from = &told->configs.items[i];
        items[i] =
            (kc_config_entry){.name = kc_admin_copy(op, from->name),
                              .value = kc_admin_copy(op, from->value),
                              .is_default = !is_own(told->resource_type, from->config_source),
                              .is_read_only = from->read_only,
                              .is_sensitive = from->is_sensitive,
                              .source = from->config_source};
    }
    op->result->entries[place] = (kc_admin_entries){items, count};
}

static void on_describe(kc_admin_part *part, const kc_response *response)
{
    kc_admin_op *op = part->op;
    const kp_describe_configs_resp *answer = response->message;
    if (response->err != KC_OK) {
        kc_admin_fail(op, response->error);
        return;
    }
    for (int32_t i = 0; i < answer->results.count; i++) {
        const kp_describe_configs_resp_result *told = &answer->results.items[i];
        size_t place =
            kc_admin_answer(op, told->resource_name, told->error_code, told->error_message);
        if (place != SIZE_MAX)
            copy_entries(op, told, place);
    }
}

static kc_err send_describe(kc_admin_op *op, int8_t type, const kc_bytes *names, size_t count,
                            int32_t to, kc_error *err)
{
    kp_describe_configs_req request = {.include_synonyms = false};
    request.resources.items = kb_arena_array(&op->arena, count, sizeof request.resources.items[0]);
    if (!request.resources.items)
        return kb_error_code(err, KC_ERR_NOMEM);
    request.resources.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        request.resources.items[i].resource_type = type;
        request.resources.items[i].resource_name = names[i];
        request.resources.items[i].configuration_keys.count = -1; /* all */
    }
    return kc_admin_send(op, KP_API_DESCRIBE_CONFIGS, &request,
                         &(kc_admin_target){.to = to, .version_max = -1, .done = on_describe}, err);
}

static kc_err start_describe(kc_admin_op *op, int8_t type, const kc_bytes *names, size_t count,
                             kc_error *err)
{
    KB_TRY(kc_admin_add_items(op, names, count, err));
    op->result->entries = kb_arena_array(&op->result->arena, count, sizeof(kc_admin_entries));
    if (!op->result->entries)
        return kb_error_code(err, KC_ERR_NOMEM);
    if (type != KC_RESOURCE_BROKER)
        return count > 0 ? send_describe(op, type, names, count, KC_TO_ANY, err) : KC_OK;
    for (size_t i = 0; i < count; i++) {
        int32_t to;
        KB_TRY(target_of(type, names[i], &to, err));
        KB_TRY(send_describe(op, type, &names[i], 1, to, err));
    }
    return KC_OK;
}

kc_err kc_admin_describe_configs(kc_client *client, int8_t type, const kc_bytes *names,
                                 size_t count, const kc_admin_options *options, kc_admin_fn fn,
                                 void *user, kc_error *err)
{
    kc_admin_op *op;
    if (count > INT32_MAX || (count > 0 && !names))
        return kb_error_set(err, KC_ERR_ARGUMENT, "the names are null or too many");
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    return kc_admin_started(op, start_describe(op, type, names, count, err));
}

/* ---- IncrementalAlterConfigs ---- */

static void on_alter(kc_admin_part *part, const kc_response *response)
{
    const kp_incremental_alter_configs_resp *answer = response->message;
    if (response->err != KC_OK) {
        kc_admin_fail(part->op, response->error);
        return;
    }
    for (int32_t i = 0; i < answer->responses.count; i++)
        (void)kc_admin_answer(part->op, answer->responses.items[i].resource_name,
                              answer->responses.items[i].error_code,
                              answer->responses.items[i].error_message);
}

static kc_err retry_alter(const kc_response *response, void *user)
{
    (void)user;
    const kp_incremental_alter_configs_resp *answer = response->message;
    for (int32_t i = 0; i < answer->responses.count; i++)
        if (answer->responses.items[i].error_code == KC_E_NOT_CONTROLLER)
            return KC_E_NOT_CONTROLLER;
    return KC_OK;
}

/** The one resource of kc_admin_alter_configs(). */
typedef struct alteration {
    int8_t type;
    kc_bytes name;
    const kc_config_entry *entries;
    size_t count;
} alteration;

static kc_err start_alter(kc_admin_op *op, const alteration *what, kc_error *err)
{
    int32_t to;
    KB_TRY(kc_admin_add_items(op, &what->name, 1, err));
    KB_TRY(target_of(what->type, what->name, &to, err));
    kp_incremental_alter_configs_req request = {.validate_only = op->validate_only};
    kp_incremental_alter_configs_req_resource resource = {.resource_type = what->type,
                                                          .resource_name = what->name};
    resource.configs.items =
        kb_arena_array(&op->arena, what->count, sizeof resource.configs.items[0]);
    if (!resource.configs.items)
        return kb_error_code(err, KC_ERR_NOMEM);
    resource.configs.count = (int32_t)what->count;
    for (size_t i = 0; i < what->count; i++) {
        resource.configs.items[i].name = what->entries[i].name;
        resource.configs.items[i].value = what->entries[i].value;
        resource.configs.items[i].config_operation =
            what->entries[i].value.ptr ? OP_SET : OP_DELETE;
    }
    request.resources.items = &resource;
    request.resources.count = 1;
    return kc_admin_send(
        op, KP_API_INCREMENTAL_ALTER_CONFIGS, &request,
        &(kc_admin_target){.to = to, .version_max = -1, .done = on_alter, .retry = retry_alter},
        err);
}

kc_err kc_admin_alter_configs(kc_client *client, int8_t type, kc_bytes name,
                              const kc_config_entry *entries, size_t count,
                              const kc_admin_options *options, kc_admin_fn fn, void *user,
                              kc_error *err)
{
    kc_admin_op *op;
    if (count > INT32_MAX || (count > 0 && !entries))
        return kb_error_set(err, KC_ERR_ARGUMENT, "the entries are null or too many");
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    alteration what = {type, name, entries, count};
    return kc_admin_started(op, start_alter(op, &what, err));
}
