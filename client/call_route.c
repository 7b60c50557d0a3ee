/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Routes are found by the schema: the table of APIs says who answers, and the fields' names say
 * which group, transaction or partitions a request is about. So a new API needs nothing here. */
#include "client/call_route.h"

#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

/* ---- fields by name ---- */

const kp_field_desc *kc_field_of(const kp_struct_desc *desc, const char *name)
{
    for (uint16_t i = 0; i < desc->field_count; i++)
        if (strcmp(desc->fields[i].name, name) == 0)
            return &desc->fields[i];
    return NULL;
}

static const void *value_of(const kp_field_desc *field, const void *item)
{
    return (const uint8_t *)item + field->offset;
}

static bool is_array_of(const kp_field_desc *field, kp_type type)
{
    return (field->flags & KP_F_ARRAY) && field->type == type;
}

static bool is_string(const kp_field_desc *field)
{
    return field && field->type == KP_STRING && !(field->flags & KP_F_ARRAY);
}

/* ---- coordinators ---- */

/** The first key in a root field: a string, the first of strings, or `sub` of the first struct. */
static kc_bytes key_in(const kp_field_desc *field, const void *request, const char *sub)
{
    const void *value = value_of(field, request);
    if (is_string(field))
        return *(const kc_bytes *)value;
    const kp_array *array = value;
    if (!(field->flags & KP_F_ARRAY) || array->count <= 0)
        return KC_NULL;
    if (field->type == KP_STRING)
        return *(const kc_bytes *)array->items;
    const kp_field_desc *inner = field->type == KP_STRUCT ? kc_field_of(field->sub, sub) : NULL;
    return is_string(inner) ? *(const kc_bytes *)value_of(inner, array->items) : KC_NULL;
}

static kc_bytes find_key(const kc_route *route)
{
    static const char *const group_names[] = {"groupId", "groups", "groupIds", "groupsNames", NULL};
    static const char *const transaction_names[] = {
        "transactionalId", "transactionalIds", "transactions", "v3AndBelowTransactionalId", NULL};
    bool is_group = route->api->route == KP_ROUTE_GROUP;
    const char *const *names = is_group ? group_names : transaction_names;
    kc_bytes found = KC_NULL;
    for (; *names; names++) {
        const kp_field_desc *field = kc_field_of(route->api->request->root, *names);
        kc_bytes key = field ? key_in(field, route->request,
                                      is_group ? "groupId" //
                                               : "transactionalId")
                             : KC_NULL;
        if (key.len > 0)
            return key;
        if (key.ptr)
            found = key;
    }
    return found;
}

/** The share coordinator's key: group, topic id and partition (KIP-932). */
static kc_bytes share_key(const kc_route *route, kb_arena *arena)
{
    const kp_struct_desc *root = route->api->request->root;
    const kp_field_desc *group = kc_field_of(root, "groupId");
    const kp_field_desc *topics = kc_field_of(root, "topics");
    if (!is_string(group) || !topics || !is_array_of(topics, KP_STRUCT))
        return KC_NULL;
    const kp_array *array = value_of(topics, route->request);
    const kp_field_desc *id = kc_field_of(topics->sub, "topicId");
    const kp_field_desc *partitions = kc_field_of(topics->sub, "partitions");
    if (array->count <= 0 || !id || !partitions || !is_array_of(partitions, KP_STRUCT))
        return KC_NULL;
    const kp_array *indexes = value_of(partitions, array->items);
    const kp_field_desc *index = kc_field_of(partitions->sub, "partition");
    if (indexes->count <= 0 || !index)
        return KC_NULL;
    const kc_bytes *name = value_of(group, route->request);
    kb_buf text;
    kb_buf_init(&text, arena->mem, 0);
    kb_base64url_put(&text, kc_span(value_of(id, array->items), sizeof(kc_uuid)));
    kb_buf_put_byte(&text, 0);
    char *key = text.err == KC_OK
                    ? kb_arena_printf(arena, KC_FMT ":%s:%d", KC_ARG(*name), (char *)text.data,
                                      *(const int32_t *)value_of(index, indexes->items))
                    : NULL;
    kb_buf_cleanup(&text);
    return kc_str(key);
}

static kc_route_state find_coordinator(kc_route *route)
{
    if (!route->key.ptr) {
        route->broker_id = KN_ANY_BROKER; /* InitProducerId without a transactional id */
        return KC_ROUTE_READY;
    }
    return KC_ROUTE_COORDINATOR;
}

/* ---- leaders ---- */

/** Where a struct of topics keeps what is needed. */
typedef struct topic_shape {
    const kp_field_desc *topics;
    const kp_field_desc *name; /**< NULL: by id only  */
    const kp_field_desc *id;   /**< NULL: by name only */
    const kp_field_desc *partitions;
    const kp_field_desc *index; /**< in a struct of partitions; NULL: plain numbers */
} topic_shape;

static const kp_field_desc *first_of(const kp_struct_desc *desc, const char *const *names)
{
    for (; *names; names++) {
        const kp_field_desc *field = kc_field_of(desc, *names);
        if (field)
            return field;
    }
    return NULL;
}

static bool find_shape(const kp_struct_desc *root, topic_shape *out)
{
    static const char *const names[] = {"name", "topic", NULL};
    static const char *const lists[] = {"partitions", "partitionIndexes", "partitionData", NULL};
    static const char *const indexes[] = {"partitionIndex", "partition", "index", NULL};
    for (uint16_t i = 0; i < root->field_count; i++) {
        const kp_field_desc *field = &root->fields[i];
        if (!is_array_of(field, KP_STRUCT))
            continue;
        out->topics = field;
        out->name = first_of(field->sub, names);
        out->id = kc_field_of(field->sub, "topicId");
        out->partitions = first_of(field->sub, lists);
        if ((!out->name && !out->id) || !out->partitions || !(out->partitions->flags & KP_F_ARRAY))
            continue;
        out->index = NULL;
        if (out->partitions->type == KP_STRUCT)
            out->index = first_of(out->partitions->sub, indexes);
        if (out->index || out->partitions->type == KP_I32)
            return true;
    }
    return false;
}

static const void *item_at(const kp_field_desc *field, const void *owner, int32_t index)
{
    const kp_array *array = value_of(field, owner);
    size_t size = field->type == KP_STRUCT ? field->sub->size : sizeof(int32_t);
    return (const uint8_t *)array->items + (size_t)index * size;
}

static int32_t count_of(const kp_field_desc *field, const void *owner)
{
    const kp_array *array = value_of(field, owner);
    return array->count > 0 ? array->count : 0;
}

static kc_bytes name_in(const topic_shape *shape, const void *topic)
{
    return shape->name ? *(const kc_bytes *)value_of(shape->name, topic) : KC_NULL;
}

static kc_err use_topic(kc_route *route, kc_client *client, const topic_shape *shape,
                        const void *topic, kc_error *err)
{
    kc_bytes name = name_in(shape, topic);
    kc_meta_topic *used = NULL;
    if (name.len == 0) {
        const kc_uuid *id = shape->id ? value_of(shape->id, topic) : NULL;
        used = id ? kc_metadata_find_id(client->metadata, *id) : NULL;
        if (!used)
            return kb_error_set(err, KC_ERR_ARGUMENT,
                                "%s names a topic by an id this client doesn't use: name the "
                                "broker to send it to",
                                route->api->name);
        name = used->name;
    }
    kc_err use = kc_metadata_use(client->metadata, name, &used);
    if (use == KC_ERR_ARGUMENT)
        return kb_error_set(err, use, "\"" KC_FMT "\" is no topic name", KC_ARG(name));
    if (use != KC_OK)
        return kb_error_code(err, use);
    route->topics[route->topic_count++] = used;
    return KC_OK;
}

static kc_err use_topics(kc_route *route, kc_client *client, kb_arena *arena, kc_error *err)
{
    topic_shape shape;
    if (!find_shape(route->api->request->root, &shape))
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "%s can't be routed by its fields: name the broker to send it to",
                            route->api->name);
    int32_t count = count_of(shape.topics, route->request);
    route->topics = kb_arena_array(arena, (size_t)count + 1, sizeof(kc_meta_topic *));
    if (!route->topics)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (int32_t i = 0; i < count; i++)
        KB_TRY(use_topic(route, client, &shape, item_at(shape.topics, route->request, i), err));
    return KC_OK;
}

/** KC_ROUTE_READY: partitions of it can be looked at. */
static kc_route_state look_at_topic(const kc_client *client, const kc_meta_topic *topic,
                                    kc_error *err)
{
    if (topic->err == KC_OK)
        return topic->partition_count > 0 ? KC_ROUTE_READY : KC_ROUTE_METADATA;
    int64_t late_us = topic->first_asked_us + KC_UNKNOWN_TOPIC_WAIT_US;
    bool is_late = topic->first_asked_us != 0 && kn_loop_now_us(client->loop) > late_us;
    bool is_final = !(kc_err_flags(topic->err) & KC_ERRF_RETRIABLE) ||
                    (topic->err == KC_E_UNKNOWN_TOPIC_OR_PARTITION && is_late);
    if (!is_final)
        return KC_ROUTE_METADATA;
    kb_error_set(err, topic->err, "topic " KC_FMT ": %s", KC_ARG(topic->name),
                 kc_err_text(topic->err));
    return KC_ROUTE_FAILED;
}

kc_route_state kc_route_leader(const kc_client *client, const kc_meta_topic *topic,
                               int32_t partition, int32_t *leader_out, kc_error *err)
{
    kc_route_state state = look_at_topic(client, topic, err);
    if (state != KC_ROUTE_READY)
        return state;
    if (partition < 0 || partition >= topic->partition_count) {
        kb_error_set(err, KC_E_UNKNOWN_TOPIC_OR_PARTITION,
                     "topic " KC_FMT " has %d partitions, none of number %d", KC_ARG(topic->name),
                     topic->partition_count, partition);
        return KC_ROUTE_FAILED;
    }
    *leader_out = topic->partitions[partition].leader;
    return *leader_out < 0 ? KC_ROUTE_METADATA : KC_ROUTE_READY;
}

static kc_route_state add_leader(kc_route *route, const kc_client *client,
                                 const kc_meta_topic *topic, int32_t partition, kc_error *err)
{
    int32_t leader;
    kc_route_state state = kc_route_leader(client, topic, partition, &leader, err);
    if (state != KC_ROUTE_READY)
        return state;
    if (route->broker_id != KN_ANY_BROKER && route->broker_id != leader) {
        kb_error_set(err, KC_ERR_ARGUMENT,
                     "%s names partitions of more than one leader (brokers %d and %d): send one "
                     "request to each",
                     route->api->name, route->broker_id, leader);
        return KC_ROUTE_FAILED;
    }
    route->broker_id = leader;
    return KC_ROUTE_READY;
}

static kc_route_state find_leader(kc_route *route, kc_client *client, kc_error *err)
{
    topic_shape shape;
    bool has_shape = find_shape(route->api->request->root, &shape);
    route->broker_id = KN_ANY_BROKER;
    for (size_t i = 0; has_shape && i < route->topic_count; i++) {
        const void *item = item_at(shape.topics, route->request, (int32_t)i);
        kc_route_state state = KC_ROUTE_READY;
        for (int32_t p = 0; state == KC_ROUTE_READY && p < count_of(shape.partitions, item); p++) {
            const void *entry = item_at(shape.partitions, item, p);
            const int32_t *number = shape.index ? value_of(shape.index, entry) : entry;
            state = add_leader(route, client, route->topics[i], *number, err);
        }
        if (state != KC_ROUTE_READY)
            return state;
    }
    return KC_ROUTE_READY;
}

/* ---- the controller, or a broker by its id ---- */

static kc_route_state find_controller(kc_route *route, kc_client *client)
{
    route->broker_id = kc_metadata_controller(client->metadata);
    if (route->broker_id >= 0 && kn_pool_has_broker(client->pool, route->broker_id))
        return KC_ROUTE_READY;
    kc_metadata_refresh(client->metadata, "the controller is not known");
    return KC_ROUTE_METADATA;
}

static kc_route_state find_broker(kc_route *route, kc_client *client, kc_error *err)
{
    route->broker_id = route->to;
    if (kn_pool_has_broker(client->pool, route->to))
        return KC_ROUTE_READY;
    uint64_t version = kc_metadata_version(client->metadata);
    if (route->is_asked && version > route->asked_version) {
        kb_error_set(err, KC_ERR_NO_BROKER, "broker %d is not in the cluster now", route->to);
        return KC_ROUTE_FAILED;
    }
    if (!route->is_asked) {
        route->is_asked = true;
        route->asked_version = version;
    }
    kc_metadata_refresh(client->metadata, "a broker is not known");
    return KC_ROUTE_METADATA;
}

/* ---- versions ---- */

typedef struct version_range {
    const kp_message *message;
    int16_t min, max;
} version_range;

static void narrow(version_range *range, const kp_struct_desc *desc, const void *item)
{
    static const char *const names[] = {"name", "topic", NULL};
    const kp_field_desc *name = first_of(desc, names);
    const kp_field_desc *id = kc_field_of(desc, "topicId");
    /* Only where the one takes the place of the other. */
    if (!is_string(name) || !id || name->max >= range->message->max)
        return;
    const kc_uuid *id_value = value_of(id, item);
    bool has_name = ((const kc_bytes *)value_of(name, item))->len > 0;
    if (has_name && kc_uuid_is_zero(*id_value) && name->max < range->max)
        range->max = name->max;
    if (!has_name && !kc_uuid_is_zero(*id_value) && id->min > range->min)
        range->min = id->min;
}

static void narrow_all(version_range *range, const kp_struct_desc *desc, const void *item)
{
    narrow(range, desc, item);
    for (uint16_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        if (!is_array_of(field, KP_STRUCT))
            continue;
        for (int32_t n = 0; n < count_of(field, item); n++)
            narrow_all(range, field->sub, item_at(field, item, n));
    }
}

void kc_route_versions(const kp_message *message, const void *request, int16_t *min, int16_t *max)
{
    version_range range = {message, *min, *max};
    narrow_all(&range, message->root, request);
    *min = range.min;
    *max = range.max;
}

/* ---- all ---- */

static bool is_coordinated(const kp_api *api)
{
    return api->route == KP_ROUTE_GROUP || api->route == KP_ROUTE_TRANSACTION ||
           api->route == KP_ROUTE_SHARE;
}

kc_err kc_route_init(kc_route *route, kc_client *client, kb_arena *arena, kc_error *err)
{
    if (route->to != KC_TO_AUTO)
        return KC_OK;
    switch (route->api->route) {
    case KP_ROUTE_GROUP:
        route->type = KC_COORDINATOR_GROUP;
        route->key = find_key(route);
        return KC_OK;
    case KP_ROUTE_TRANSACTION:
        route->type = KC_COORDINATOR_TRANSACTION;
        route->key = find_key(route);
        return KC_OK;
    case KP_ROUTE_SHARE:
        route->type = KC_COORDINATOR_SHARE;
        route->key = share_key(route, arena);
        return KC_OK;
    case KP_ROUTE_LEADER:
        return use_topics(route, client, arena, err);
    case KP_ROUTE_BROKER:
        return kb_error_set(err, KC_ERR_ARGUMENT, "%s needs a broker to be named",
                            route->api->name);
    case KP_ROUTE_ANY:
    case KP_ROUTE_CONTROLLER:
        break;
    }
    return KC_OK;
}

void kc_route_cleanup(kc_route *route, kc_client *client)
{
    while (route->topic_count > 0)
        kc_metadata_unuse(client->metadata, route->topics[--route->topic_count]);
}

kc_route_state kc_route_find(kc_route *route, kc_client *client, kc_error *err)
{
    route->broker_id = KN_ANY_BROKER;
    if (route->to >= 0)
        return find_broker(route, client, err);
    if (route->to == KC_TO_ANY)
        return KC_ROUTE_READY;
    if (route->to == KC_TO_CONTROLLER || route->api->route == KP_ROUTE_CONTROLLER)
        return find_controller(route, client);
    if (is_coordinated(route->api))
        return find_coordinator(route);
    return route->api->route == KP_ROUTE_LEADER ? find_leader(route, client, err) : KC_ROUTE_READY;
}

void kc_route_failed(kc_route *route, kc_client *client, kc_err code)
{
    bool is_loading = code == KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    if (route->to == KC_TO_AUTO && is_coordinated(route->api)) {
        if (route->key.ptr && !is_loading)
            kc_coordinator_forget(client->coordinators, route->type, route->key);
        return;
    }
    if (route->broker_id != KN_ANY_BROKER)
        kc_metadata_refresh(client->metadata, kc_err_name(code));
}
