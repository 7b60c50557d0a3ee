/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * DescribeConfigs and ListConfigResources: what configs there are and which values are in force. */
#include "mock/api.h"
#include "mock/configs.h"
#include "mock/text.h"
#include "protocol/base/text.h"

#include <stdio.h>

typedef struct describing {
    km_request *request;
    const kp_describe_configs_req *asked;
    const kp_describe_configs_req_resource *resource;
    kp_describe_configs_resp_result *out;
} describing;

static int16_t refuse(describing *d, int16_t code, kc_bytes why)
{
    d->out->error_message = why;
    return code;
}

static bool is_wanted(const describing *d, kc_bytes name)
{
    if (d->resource->configuration_keys.count <= 0)
        return true;
    for (int32_t i = 0; i < d->resource->configuration_keys.count; i++)
        if (kc_bytes_equal(d->resource->configuration_keys.items[i], name))
            return true;
    return false;
}

/** Room for `count` answers; false: no memory. */
static bool make_room(describing *d, size_t count)
{
    d->out->configs.items = km_request_alloc(d->request, count, sizeof *d->out->configs.items);
    return d->out->configs.items != NULL;
}

static bool put_synonyms(describing *d, const km_config_view *view, bool is_sensitive,
                         kp_describe_configs_resp_config *config)
{
    if (!d->asked->include_synonyms || view->synonym_count == 0)
        return true;
    config->synonyms.items =
        km_request_alloc(d->request, view->synonym_count, sizeof *config->synonyms.items);
    if (!config->synonyms.items)
        return false;
    for (size_t i = 0; i < view->synonym_count; i++) {
        kp_describe_configs_resp_synonym *synonym =
            &config->synonyms.items[config->synonyms.count++];
        synonym->name = view->synonyms[i].name;
        synonym->value = is_sensitive ? KC_NULL : view->synonyms[i].value;
        synonym->source = view->synonyms[i].source;
    }
    return true;
}

static bool put(describing *d, const km_config_row *row, const km_config_view *view)
{
    kp_describe_configs_resp_config *config = &d->out->configs.items[d->out->configs.count++];
    bool is_broker = d->resource->resource_type == KM_RESOURCE_BROKER;
    config->name = kc_str(row->name);
    config->is_sensitive = row->type == KM_CONFIG_PASSWORD || row->type == KM_CONFIG_UNKNOWN;
    config->value = config->is_sensitive ? KC_NULL : view->value;
    config->read_only = is_broker && !row->is_dynamic;
    config->config_source = view->source;
    config->config_type = (int8_t)row->type;
    return put_synonyms(d, view, config->is_sensitive, config);
}

/** All configs of the table. False: no memory. */
static bool put_table(describing *d, const kb_map *set)
{
    size_t count;
    const km_config_row *rows = km_config_rows(d->resource->resource_type, &count);
    if (!make_room(d, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        km_config_view view;
        if (!is_wanted(d, kc_str(rows[i].name)))
            continue;
        km_config_view_of(d->request->broker, d->resource->resource_type, &rows[i], set,
                          &d->request->arena, &view);
        if (!put(d, &rows[i], &view))
            return false;
    }
    return true;
}

/* ---- brokers ---- */

/** A name no broker knows can be set, and is taken for a secret. */
static bool put_unknown(describing *d, kc_bytes resource, km_config_source source)
{
    const km_config_resource *set =
        km_config_resource_find(d->request->cluster, KM_RESOURCE_BROKER, resource);
    size_t count = (size_t)d->out->configs.count, pos = 0;
    const km_config *config;
    if (!set)
        return true;
    kp_describe_configs_resp_config *known = d->out->configs.items;
    if (!make_room(d, count + set->configs.count))
        return false;
    memcpy(d->out->configs.items, known, count * sizeof *known);
    while ((config = kb_map_next(&set->configs, &pos))) {
        if (km_config_row_find(KM_RESOURCE_BROKER, config->name) || !is_wanted(d, config->name))
            continue;
        kp_describe_configs_resp_config *one = &d->out->configs.items[d->out->configs.count++];
        const km_config_view view = {.synonyms = {{config->name, KC_NULL, (int8_t)source}},
                                     .synonym_count = 1};
        *one = (kp_describe_configs_resp_config){.name = config->name,
                                                 .read_only = true,
                                                 .config_source = (int8_t)source,
                                                 .is_sensitive = true};
        if (!put_synonyms(d, &view, true, one))
            return false;
    }
    return true;
}

/** What was set for all brokers, and only as far as it was. */
static bool put_broker_defaults(describing *d)
{
    size_t count;
    const km_config_row *rows = km_config_rows(KM_RESOURCE_BROKER, &count);
    if (!make_room(d, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        km_config_view view, kept = {.source = KM_SOURCE_DYNAMIC_DEFAULT};
        km_config_view_of(d->request->broker, KM_RESOURCE_BROKER, &rows[i], NULL,
                          &d->request->arena, &view);
        for (size_t j = 0; j < view.synonym_count; j++)
            if (view.synonyms[j].source == KM_SOURCE_DYNAMIC_DEFAULT)
                kept.synonyms[kept.synonym_count++] = view.synonyms[j];
        if (kept.synonym_count == 0 || !is_wanted(d, kc_str(rows[i].name)))
            continue;
        kept.value = kept.synonyms[0].value;
        if (!put(d, &rows[i], &kept))
            return false;
    }
    return true;
}

static int16_t describe_broker(describing *d)
{
    int64_t id;
    kc_bytes name = d->resource->resource_name;
    if (name.len == 0)
        return put_broker_defaults(d) && put_unknown(d, name, KM_SOURCE_DYNAMIC_DEFAULT)
                   ? 0
                   : KC_E_UNKNOWN_SERVER_ERROR;
    if (!kb_parse_i64(name, &id))
        return refuse(d, KC_E_INVALID_REQUEST,
                      KM_TEXT(&d->request->arena,
                              "Broker id must be an integer, but it is: " KC_FMT, KC_ARG(name)));
    if (id != d->request->broker->id)
        return refuse(
            d, KC_E_INVALID_REQUEST,
            KM_TEXT(&d->request->arena,
                    "Unexpected broker id, expected %d or empty string, but received " KC_FMT,
                    (int)d->request->broker->id, KC_ARG(name)));
    return put_table(d, NULL) && put_unknown(d, name, KM_SOURCE_DYNAMIC_BROKER)
               ? 0
               : KC_E_UNKNOWN_SERVER_ERROR;
}

/** It has none that could be set. */
static int16_t describe_loggers(describing *d)
{
    int64_t id;
    kc_bytes name = d->resource->resource_name;
    kb_arena *arena = &d->request->arena;
    if (name.len == 0)
        return refuse(d, KC_E_INVALID_REQUEST, KC_STR("Broker id must not be empty"));
    if (!kb_parse_i64(name, &id))
        return refuse(
            d, KC_E_INVALID_REQUEST,
            KM_TEXT(arena, "Broker id must be an integer, but it is: " KC_FMT, KC_ARG(name)));
    if (id != d->request->broker->id)
        return refuse(d, KC_E_INVALID_REQUEST,
                      KM_TEXT(arena, "Unexpected broker id, expected %d but received " KC_FMT,
                              (int)d->request->broker->id, KC_ARG(name)));
    return 0;
}

/* ---- the others ---- */

static int16_t describe_topic(describing *d)
{
    kc_bytes name = d->resource->resource_name;
    const km_topic *topic = km_topic_by_name(d->request->cluster, name);
    if (!km_topic_name_is_valid(name))
        return refuse(d, KC_E_INVALID_TOPIC_EXCEPTION,
                      km_topic_name_fault(&d->request->arena, name));
    if (!topic)
        return KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    return put_table(d, &topic->configs) ? 0 : KC_E_UNKNOWN_SERVER_ERROR;
}

static int16_t describe_named(describing *d, const char *empty_name)
{
    if (d->resource->resource_name.len == 0)
        return refuse(d, KC_E_INVALID_REQUEST, kc_str(empty_name));
    const km_config_resource *resource = km_config_resource_find(
        d->request->cluster, d->resource->resource_type, d->resource->resource_name);
    return put_table(d, resource ? &resource->configs : NULL) ? 0 : KC_E_UNKNOWN_SERVER_ERROR;
}

static int16_t describe(describing *d)
{
    switch (d->resource->resource_type) {
    case KM_RESOURCE_TOPIC:
        return describe_topic(d);
    case KM_RESOURCE_BROKER:
        return describe_broker(d);
    case KM_RESOURCE_BROKER_LOGGER:
        return describe_loggers(d);
    case KM_RESOURCE_CLIENT_METRICS:
        return describe_named(d, "Client metrics subscription name must not be empty");
    case KM_RESOURCE_GROUP:
        return describe_named(d, "Group name must not be empty");
    default:
        return refuse(d, KC_E_INVALID_REQUEST,
                      KC_STR("This most likely occurs because of a request being malformed by the "
                             "client library or the message was sent to an incompatible broker. "
                             "See the broker logs for more details."));
    }
}

km_action km_api_describe_configs(km_request *request, const void *message, void *response)
{
    const kp_describe_configs_req *asked = message;
    kp_describe_configs_resp *out = response;
    out->results.items =
        km_request_alloc(request, (size_t)asked->resources.count, sizeof *out->results.items);
    if (!out->results.items)
        return KM_CLOSE;
    out->results.count = asked->resources.count;
    for (int32_t i = 0; i < asked->resources.count; i++) {
        describing d = {.request = request,
                        .asked = asked,
                        .resource = &asked->resources.items[i],
                        .out = &out->results.items[i]};
        d.out->resource_type = d.resource->resource_type;
        d.out->resource_name = d.resource->resource_name;
        d.out->error_message = KC_STR("");
        d.out->error_code = km_check_broker(request);
        if (d.out->error_code)
            continue;
        d.out->error_code = describe(&d);
        if (d.out->error_code == KC_E_UNKNOWN_SERVER_ERROR)
            return KM_CLOSE;
    }
    return KM_ANSWER;
}

/* ---- what has configs ---- */

typedef struct listing {
    kp_list_config_resources_resp *out;
    size_t cap;
} listing;

static void list_one(listing *list, int8_t type, kc_bytes name)
{
    if ((size_t)list->out->config_resources.count == list->cap)
        return;
    list->out->config_resources.items[list->out->config_resources.count++] =
        (kp_list_config_resources_resp_config_resource){.resource_name = name,
                                                        .resource_type = type};
}

/** Metrics and groups are listed when something is set on them. */
static void list_set(const km_cluster *cluster, listing *list, int8_t type)
{
    size_t pos = 0;
    const km_config_resource *resource;
    while ((resource = km_config_resource_next(cluster, &pos)))
        if (resource->type == type && resource->configs.count > 0)
            list_one(list, type, resource->name);
}

static bool list_type(km_request *request, listing *list, int8_t type)
{
    km_cluster *cluster = request->cluster;
    size_t pos = 0;
    const km_topic *topic;
    switch (type) {
    case KM_RESOURCE_TOPIC:
        while ((topic = kb_map_next(&cluster->topics, &pos)))
            list_one(list, type, kc_str(topic->name));
        return true;
    case KM_RESOURCE_BROKER:
    case KM_RESOURCE_BROKER_LOGGER:
        for (int i = 0; i < cluster->broker_count; i++)
            if (!cluster->brokers[i].is_down)
                list_one(list, type, KM_TEXT(&request->arena, "%d", i + 1));
        return true;
    case KM_RESOURCE_CLIENT_METRICS:
    case KM_RESOURCE_GROUP:
        list_set(cluster, list, type);
        return true;
    default:
        return false;
    }
}

static const int8_t all_types[] = {KM_RESOURCE_CLIENT_METRICS, KM_RESOURCE_BROKER_LOGGER,
                                   KM_RESOURCE_BROKER, KM_RESOURCE_TOPIC, KM_RESOURCE_GROUP};

km_action km_api_list_config_resources(km_request *request, const void *message, void *response)
{
    const kp_list_config_resources_req *asked = message;
    kp_list_config_resources_resp *out = response;
    out->error_code = km_check_broker(request);
    if (out->error_code)
        return KM_ANSWER;
    const km_cluster *cluster = request->cluster;
    listing list = {.out = out};
    size_t pos = 0;
    while (km_config_resource_next(cluster, &pos))
        list.cap++;
    list.cap += cluster->topics.count + 2 * (size_t)cluster->broker_count;
    out->config_resources.items =
        km_request_alloc(request, list.cap, sizeof *out->config_resources.items);
    if (!out->config_resources.items)
        return KM_CLOSE;
    if (request->version == 0) { /* ListClientMetricsResources, as it was called then */
        list_set(cluster, &list, KM_RESOURCE_CLIENT_METRICS);
        return KM_ANSWER;
    }
    for (int32_t i = 0; i < asked->resource_types.count; i++)
        if (!km_config_rows(asked->resource_types.items[i], &pos) &&
            asked->resource_types.items[i] != KM_RESOURCE_BROKER_LOGGER) {
            out->error_code = KC_E_UNSUPPORTED_VERSION;
            return KM_ANSWER;
        }
    for (size_t i = 0; i < sizeof all_types; i++) {
        bool is_asked = asked->resource_types.count == 0;
        for (int32_t j = 0; j < asked->resource_types.count; j++)
            is_asked |= asked->resource_types.items[j] == all_types[i];
        if (is_asked)
            list_type(request, &list, all_types[i]);
    }
    return KM_ANSWER;
}
