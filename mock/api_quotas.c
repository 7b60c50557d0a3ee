/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * DescribeClientQuotas and AlterClientQuotas. */
#include "mock/api.h"
#include "mock/quota.h"
#include "mock/text.h"
#include "net/address.h"
#include "protocol/base/text.h"

enum {
    MATCH_EXACT,
    MATCH_DEFAULT,
    MATCH_SPECIFIED
};

/* ---- DescribeClientQuotas ---- */

/** Of one type of entity. */
typedef struct wanted {
    bool is_asked;
    bool is_any; /**< whatever its name */
    kc_bytes name;
} wanted;

typedef struct description {
    km_request *request;
    const kp_describe_client_quotas_req *asked;
    kp_describe_client_quotas_resp *out;
    wanted wanted[KM_QUOTA_TYPES];
    int wanted_count;
} description;

static int16_t refuse(description *d, int16_t code, kc_bytes why)
{
    d->out->error_message = why;
    return code;
}

static int16_t read_component(description *d, const kp_describe_client_quotas_req_component *asked)
{
    kb_arena *arena = &d->request->arena;
    km_quota_type type;
    bool is_known = km_quota_type_find(asked->entity_type, &type);
    if (asked->entity_type.len == 0)
        return refuse(d, KC_E_INVALID_REQUEST, KC_STR("Invalid empty entity type."));
    if (is_known && d->wanted[type].is_asked)
        return refuse(d, KC_E_INVALID_REQUEST,
                      KM_TEXT(arena,
                              "Entity type " KC_FMT " cannot appear more than once in the filter.",
                              KC_ARG(asked->entity_type)));
    if (!is_known)
        return refuse(
            d, KC_E_UNSUPPORTED_VERSION,
            KM_TEXT(arena, "Unsupported entity type " KC_FMT, KC_ARG(asked->entity_type)));
    switch (asked->match_type) {
    case MATCH_EXACT:
        if (!asked->match.ptr)
            return refuse(d, KC_E_INVALID_REQUEST,
                          KC_STR("Request specified MATCH_TYPE_EXACT, but set match string to "
                                 "null."));
        break;
    case MATCH_DEFAULT:
        if (asked->match.ptr)
            return refuse(d, KC_E_INVALID_REQUEST,
                          KC_STR("Request specified MATCH_TYPE_DEFAULT, but also specified a match "
                                 "string."));
        break;
    case MATCH_SPECIFIED:
        if (asked->match.ptr)
            return refuse(d, KC_E_INVALID_REQUEST,
                          KC_STR("Request specified MATCH_TYPE_SPECIFIED, but also specified a "
                                 "match string."));
        break;
    default:
        return refuse(d, KC_E_INVALID_REQUEST,
                      KM_TEXT(arena, "Unknown match type %d", (int)asked->match_type));
    }
    d->wanted[type] = (wanted){true, asked->match_type == MATCH_SPECIFIED, asked->match};
    d->wanted_count++;
    return 0;
}

static int16_t read_components(description *d)
{
    for (int32_t i = 0; i < d->asked->components.count; i++) {
        int16_t code = read_component(d, &d->asked->components.items[i]);
        if (code)
            return code;
    }
    if (d->wanted[KM_QUOTA_IP].is_asked && d->wanted_count > 1)
        return refuse(d, KC_E_INVALID_REQUEST,
                      KC_STR("Invalid entity filter component combination. IP filter component "
                             "should not be used with user or clientId filter component."));
    return 0;
}

static bool is_same_name(kc_bytes a, kc_bytes b)
{
    return !a.ptr == !b.ptr && kc_bytes_equal(a, b);
}

static bool matches(const description *d, const km_quota *quota)
{
    int parts = 0;
    for (int i = 0; i < KM_QUOTA_TYPES; i++) {
        const wanted *one = &d->wanted[i];
        parts += quota->entity.parts[i].is_there;
        if (one->is_asked &&
            (!quota->entity.parts[i].is_there ||
             (!one->is_any && !is_same_name(one->name, quota->entity.parts[i].name))))
            return false;
    }
    return !d->asked->strict || parts == d->wanted_count;
}

static bool put(description *d, const km_quota *quota)
{
    kp_describe_client_quotas_resp_entry *entry = &d->out->entries.items[d->out->entries.count++];
    entry->entity.items = km_request_alloc(d->request, KM_QUOTA_TYPES, sizeof *entry->entity.items);
    entry->values.items = km_request_alloc(d->request, KM_QUOTA_KEYS, sizeof *entry->values.items);
    if (!entry->entity.items || !entry->values.items)
        return false;
    for (int i = 0; i < KM_QUOTA_TYPES; i++)
        if (quota->entity.parts[i].is_there)
            entry->entity.items[entry->entity.count++] = (kp_describe_client_quotas_resp_entity){
                .entity_type = kc_str(km_quota_type_name((km_quota_type)i)),
                .entity_name = quota->entity.parts[i].name};
    for (int i = 0; i < KM_QUOTA_KEYS; i++)
        if (quota->is_set[i])
            entry->values.items[entry->values.count++] = (kp_describe_client_quotas_resp_value){
                .key = kc_str(km_quota_key_name((km_quota_key)i)), .value = quota->values[i]};
    return true;
}

km_action km_api_describe_client_quotas(km_request *request, const void *message, void *response)
{
    description d = {.request = request, .asked = message, .out = response};
    d.out->error_message = KC_STR("");
    d.out->error_code = km_check_broker(request);
    if (!d.out->error_code)
        d.out->error_code = read_components(&d);
    if (d.out->error_code) {
        d.out->entries.count = -1;
        return KM_ANSWER;
    }
    size_t count = 0, pos = 0;
    const km_quota *quota;
    while ((quota = km_quota_next(request->cluster, &pos)))
        count += matches(&d, quota);
    d.out->entries.items = km_request_alloc(request, count, sizeof *d.out->entries.items);
    if (!d.out->entries.items)
        return KM_CLOSE;
    pos = 0;
    while ((quota = km_quota_next(request->cluster, &pos)))
        if (matches(&d, quota) && !put(&d, quota))
            return KM_CLOSE;
    return KM_ANSWER;
}

/* ---- AlterClientQuotas ---- */

typedef struct quota_alteration {
    km_request *request;
    const kp_alter_client_quotas_req_entry *asked;
    bool validate_only;
    km_quota_entity entity;
    bool is_set[KM_QUOTA_KEYS], is_removed[KM_QUOTA_KEYS];
    double values[KM_QUOTA_KEYS];
    kp_alter_client_quotas_resp_entry *out;
} quota_alteration;

static int16_t invalid(quota_alteration *a, kc_bytes why)
{
    a->out->error_message = why;
    return KC_E_INVALID_REQUEST;
}

/** Of a type named twice the last counts, as in Kafka's map. */
static void read_entity(quota_alteration *a)
{
    for (int32_t i = 0; i < a->asked->entity.count; i++) {
        km_quota_type type;
        if (!km_quota_type_find(a->asked->entity.items[i].entity_type, &type))
            continue;
        a->entity.parts[type].is_there = true;
        a->entity.parts[type].name = a->asked->entity.items[i].entity_name;
    }
}

static int16_t check_entity(quota_alteration *a)
{
    kb_arena *arena = &a->request->arena;
    km_quota_type type;
    if (a->asked->entity.count <= 0)
        return invalid(a, KC_STR("Invalid empty client quota entity"));
    for (int32_t i = 0; i < a->asked->entity.count; i++) {
        const kp_alter_client_quotas_req_entity *part = &a->asked->entity.items[i];
        if (!km_quota_type_find(part->entity_type, &type))
            return invalid(a, KM_TEXT(arena, "Unhandled client quota entity type: " KC_FMT,
                                      KC_ARG(part->entity_type)));
        if (part->entity_name.ptr && part->entity_name.len == 0)
            return invalid(
                a, KM_TEXT(arena, "Empty " KC_FMT " not supported", KC_ARG(part->entity_type)));
    }
    if (!a->entity.parts[KM_QUOTA_IP].is_there)
        return 0;
    if (a->entity.parts[KM_QUOTA_USER].is_there || a->entity.parts[KM_QUOTA_CLIENT_ID].is_there)
        return invalid(a, KC_STR("Invalid quota entity combination, IP entity shouldnot be "
                                 "combined with User or ClientId"));
    /* Kafka would ask for a name's address; here none is known but one. */
    kc_bytes ip = a->entity.parts[KM_QUOTA_IP].name;
    kn_address address;
    if (ip.ptr && !kn_address_parse(ip, 0, &address) && !kb_text_is(ip, "localhost"))
        return invalid(a,
                       KM_TEXT(arena, KC_FMT " is not a valid IP or resolvable host.", KC_ARG(ip)));
    return 0;
}

static int16_t check_value(quota_alteration *a, km_quota_key key, double value)
{
    kb_arena *arena = &a->request->arena;
    const char *name = km_quota_key_name(key);
    bool is_real = key == KM_QUOTA_REQUEST_PERCENTAGE || key == KM_QUOTA_CONTROLLER_MUTATION_RATE;
    bool is_int = key == KM_QUOTA_CONNECTION_CREATION_RATE;
    double most = is_int ? 2147483647.0 : 9223372036854775807.0;
    if (!(value > 0))
        return invalid(a, KM_TEXT(arena, "Quota %s must be greater than 0", name));
    if (is_real)
        return 0;
    if (value > most)
        return invalid(a, KM_TEXT(arena, "Proposed value for %s is too large for %s.", name,
                                  is_int ? "an INT" : "a LONG"));
    /* Above this a double has no fraction. */
    if (value < 1e15 && value - (double)(int64_t)value > 1e-6)
        return invalid(a, KM_TEXT(arena, "%s cannot be a fractional value.", name));
    return 0;
}

static int16_t check_ops(quota_alteration *a)
{
    bool is_ip = a->entity.parts[KM_QUOTA_IP].is_there;
    for (int32_t i = 0; i < a->asked->ops.count; i++) {
        const kp_alter_client_quotas_req_op *op = &a->asked->ops.items[i];
        km_quota_key key;
        bool is_known =
            km_quota_key_find(op->key, &key) && (key == KM_QUOTA_CONNECTION_CREATION_RATE) == is_ip;
        if (!is_known && op->remove)
            continue;
        if (!is_known)
            return invalid(a, KM_TEXT(&a->request->arena, "Invalid configuration key " KC_FMT,
                                      KC_ARG(op->key)));
        int16_t code = op->remove ? 0 : check_value(a, key, op->value);
        if (code)
            return code;
        a->is_removed[key] = op->remove;
        a->is_set[key] = !op->remove;
        a->values[key] = op->value;
    }
    return 0;
}

/** False: no memory. */
static bool apply(quota_alteration *a)
{
    km_cluster *cluster = a->request->cluster;
    km_quota *quota = km_quota_open(cluster, &a->entity);
    if (!quota)
        return false;
    for (int i = 0; i < KM_QUOTA_KEYS; i++) {
        if (a->is_set[i])
            quota->values[i] = a->values[i];
        quota->is_set[i] = (quota->is_set[i] || a->is_set[i]) && !a->is_removed[i];
    }
    km_quota_tidy(cluster, quota);
    return true;
}

/** As Java prints the entity's map: an example is {client-id=c, user=null}. */
static kc_bytes entity_text(quota_alteration *a)
{
    kb_buf out;
    kb_buf_init(&out, a->request->cluster->mem, 0);
    kb_buf_put_bytes(&out, KC_STR("Ignoring duplicate entity ClientQuotaEntity(entries={"));
    for (int32_t i = 0; i < a->out->entity.count; i++) {
        const kp_alter_client_quotas_resp_entity *part = &a->out->entity.items[i];
        kb_buf_put_bytes(&out, i > 0 ? KC_STR(", ") : KC_STR(""));
        kb_buf_put_bytes(&out, part->entity_type);
        kb_buf_put_byte(&out, '=');
        kb_buf_put_bytes(&out, part->entity_name.ptr ? part->entity_name : KC_STR("null"));
    }
    kb_buf_put_bytes(&out, KC_STR("})"));
    kc_bytes text =
        out.err ? KC_NULL : km_request_copy(a->request, km_text_cut(kb_buf_bytes(&out)));
    kb_buf_cleanup(&out);
    return text;
}

/** Whom the answer is about: known types in Kafka's order, others as they came. False: no memory. */
static bool tell_entity(quota_alteration *a)
{
    int32_t count = a->asked->entity.count < 0 ? 0 : a->asked->entity.count;
    km_quota_type type;
    a->out->entity.items =
        km_request_alloc(a->request, (size_t)count + KM_QUOTA_TYPES, sizeof *a->out->entity.items);
    if (!a->out->entity.items)
        return false;
    for (int i = 0; i < KM_QUOTA_TYPES; i++)
        if (a->entity.parts[i].is_there)
            a->out->entity.items[a->out->entity.count++] = (kp_alter_client_quotas_resp_entity){
                .entity_type = kc_str(km_quota_type_name((km_quota_type)i)),
                .entity_name = a->entity.parts[i].name};
    for (int32_t i = 0; i < count; i++)
        if (!km_quota_type_find(a->asked->entity.items[i].entity_type, &type))
            a->out->entity.items[a->out->entity.count++] = (kp_alter_client_quotas_resp_entity){
                .entity_type = a->asked->entity.items[i].entity_type,
                .entity_name = a->asked->entity.items[i].entity_name};
    return true;
}

static bool has_duplicate_key(const kp_alter_client_quotas_req_entry *asked)
{
    bool is_seen[KM_QUOTA_KEYS] = {false};
    for (int32_t i = 0; i < asked->ops.count; i++) {
        km_quota_key key;
        if (!km_quota_key_find(asked->ops.items[i].key, &key))
            continue;
        if (is_seen[key])
            return true;
        is_seen[key] = true;
    }
    return false;
}

/** An earlier answer about the same; NULL: none. */
static kp_alter_client_quotas_resp_entry *answered(const kp_alter_client_quotas_resp *out,
                                                   const quota_alteration *a,
                                                   const km_quota_entity *entities)
{
    for (int32_t i = 0; i + 1 < out->entries.count; i++)
        if (out->entries.items[i].entity.count == a->out->entity.count &&
            km_quota_entity_is_same(&entities[i], &a->entity))
            return &out->entries.items[i];
    return NULL;
}

/** One entry, its answer the last one. KM_CLOSE: no memory. */
static km_action alter(quota_alteration *a, kp_alter_client_quotas_resp *out,
                       km_quota_entity *entities)
{
    read_entity(a);
    entities[out->entries.count - 1] = a->entity;
    if (!tell_entity(a))
        return KM_CLOSE;
    a->out->error_code = km_check_broker(a->request);
    if (a->out->error_code)
        return KM_ANSWER;
    kp_alter_client_quotas_resp_entry *earlier = answered(out, a, entities);
    if (earlier || has_duplicate_key(a->asked)) {
        kp_alter_client_quotas_resp_entry *told = earlier ? earlier : a->out;
        told->error_message = entity_text(a);
        told->error_code = KC_E_INVALID_REQUEST;
        if (earlier) {
            *a->out = (kp_alter_client_quotas_resp_entry){0}; // the next one is told here
            out->entries.count--;
        }
        return KM_ANSWER;
    }
    int16_t code = check_entity(a);
    code = code ? code : check_ops(a);
    a->out->error_code = code;
    return code || a->validate_only || apply(a) ? KM_ANSWER : KM_CLOSE;
}

km_action km_api_alter_client_quotas(km_request *request, const void *message, void *response)
{
    const kp_alter_client_quotas_req *asked = message;
    kp_alter_client_quotas_resp *out = response;
    size_t count = (size_t)asked->entries.count;
    out->entries.items = km_request_alloc(request, count, sizeof *out->entries.items);
    km_quota_entity *entities = km_request_alloc(request, count, sizeof *entities);
    if (!out->entries.items || !entities)
        return KM_CLOSE;
    for (size_t i = 0; i < count; i++) {
        quota_alteration a = {.request = request,
                              .asked = &asked->entries.items[i],
                              .validate_only = asked->validate_only,
                              .out = &out->entries.items[out->entries.count++]};
        if (alter(&a, out, entities) == KM_CLOSE)
            return KM_CLOSE;
    }
    return KM_ANSWER;
}
