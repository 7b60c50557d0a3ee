/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which value of a config is in force, and why: what is set on the resource, on the broker, on all brokers, in the
 * broker's file, or nowhere. */
#include "mock/auth.h"
#include "mock/configs.h"
#include "mock/text.h"

#include <stdio.h>

/** Broker configs in a unit of their own that stand in for one in milliseconds. */
static const struct {
    const char *name, *instead;
} coarser[] = {
    {"log.retention.ms", "log.retention.hours"},
    {"log.roll.ms", "log.roll.hours"},
    {"log.roll.jitter.ms", "log.roll.jitter.hours"},
};

static bool is(const char *name, const char *other)
{
    return strcmp(name, other) == 0;
}

static kc_bytes number_text(kb_arena *arena, int64_t number)
{
    return KM_TEXT(arena, "%lld", (long long)number);
}

/** Only what differs from the default stands in the file. */
static kc_bytes unless(kb_arena *arena, int64_t number, int64_t fallback)
{
    return number == fallback ? KC_NULL : number_text(arena, number);
}

/** The one listener: with SASL, when clients have to say who they are. */
static const char *protocol_of(const km_cluster *cluster)
{
    return cluster->auth && cluster->auth->is_required ? "SASL_PLAINTEXT" : "PLAINTEXT";
}

static kc_bytes mechanisms(const km_auth *auth, kb_arena *arena)
{
    kc_bytes list = KC_NULL;
    for (int i = 0; i < KM_MECHANISM_COUNT; i++) {
        const char *name = km_mechanism_name((km_mechanism)i);
        if (auth->mechanisms & (1u << i))
            list = list.ptr ? KM_TEXT(arena, KC_FMT ",%s", KC_ARG(list), name) : kc_str(name);
    }
    return list;
}

static kc_bytes auth_value(const km_auth *auth, const char *name, kb_arena *arena)
{
    if (is(name, "sasl.enabled.mechanisms"))
        return mechanisms(auth, arena);
    if (is(name, "connections.max.reauth.ms"))
        return unless(arena, auth->session_ms, 0);
    return KC_NULL;
}

/** What the broker's server.properties would say; null: nothing. */
static kc_bytes static_value(const km_broker *broker, const char *name, kb_arena *arena)
{
    const km_options *options = &broker->cluster->options;
    if (is(name, "broker.id") || is(name, "node.id"))
        return number_text(arena, broker->id);
    if (is(name, "broker.rack"))
        return broker->rack[0] ? kc_str(broker->rack) : KC_NULL;
    if (is(name, "advertised.listeners") || is(name, "listeners"))
        return KM_TEXT(arena, "%s://%s:%d", protocol_of(broker->cluster), broker->host,
                       (int)broker->port);
    if (is(name, "inter.broker.listener.name"))
        return kc_str(protocol_of(broker->cluster));
    if (broker->cluster->auth &&
        (is(name, "sasl.enabled.mechanisms") || is(name, "connections.max.reauth.ms")))
        return auth_value(broker->cluster->auth, name, arena);
    if (is(name, "auto.create.topics.enable"))
        return options->auto_create_topics ? KC_NULL : KC_STR("false");
    if (is(name, "num.partitions"))
        return unless(arena, options->num_partitions, 1);
    if (is(name, "default.replication.factor"))
        return unless(arena, km_default_replication(broker->cluster), 1);
    if (is(name, "group.initial.rebalance.delay.ms"))
        return unless(arena, options->group_initial_delay_ms, 3000);
    if (is(name, "group.min.session.timeout.ms"))
        return unless(arena, options->group_min_session_timeout_ms, 6000);
    if (is(name, "connections.max.idle.ms"))
        return number_text(
            arena, options->connections_max_idle_ms > 0 ? options->connections_max_idle_ms : -1);
    const km_config_row *row = km_config_row_find(KM_RESOURCE_BROKER, kc_str(name));
    return row && row->given ? kc_str(row->given) : KC_NULL;
}

static void add(km_config_view *view, const char *name, kc_bytes value, km_config_source source)
{
    if (value.ptr)
        view->synonyms[view->synonym_count++] =
            (km_config_value){kc_str(name), value, (int8_t)source};
}

static kc_bytes set_value(const kb_map *configs, const char *name)
{
    const km_config *config = configs ? kb_map_get(configs, kc_str(name)) : NULL;
    return config ? config->value : KC_NULL;
}

static kc_bytes broker_value(const km_cluster *cluster, kc_bytes id, const char *name)
{
    const km_config_resource *resource = km_config_resource_find(cluster, KM_RESOURCE_BROKER, id);
    return resource ? set_value(&resource->configs, name) : KC_NULL;
}

/** All that a broker knows of `name`. */
static void add_broker(const km_broker *broker, const char *name, const char *fallback,
                       kb_arena *arena, km_config_view *view)
{
    const km_cluster *cluster = broker->cluster;
    const km_config_row *row = km_config_row_find(KM_RESOURCE_BROKER, kc_str(name));
    char id[12];
    snprintf(id, sizeof id, "%d", (int)broker->id);
    size_t before = view->synonym_count;
    add(view, name, broker_value(cluster, kc_str(id), name), KM_SOURCE_DYNAMIC_BROKER);
    kc_bytes of_all = broker_value(cluster, KC_STR(""), name);
    if (!of_all.ptr && row && row->preset)
        of_all = kc_str(row->preset);
    add(view, name, of_all, KM_SOURCE_DYNAMIC_DEFAULT);
    add(view, name, static_value(broker, name, arena), KM_SOURCE_STATIC_BROKER);
    const char *value = row ? row->fallback : fallback;
    add(view, name, value ? kc_str(value) : KC_NULL, KM_SOURCE_DEFAULT);
    for (size_t i = 0; i < sizeof coarser / sizeof coarser[0]; i++)
        if (is(coarser[i].name, name) && view->synonym_count > before) {
            row = km_config_row_find(KM_RESOURCE_BROKER, kc_str(coarser[i].instead));
            add(view, coarser[i].instead, kc_str(row->fallback), KM_SOURCE_DEFAULT);
        }
}

void km_config_view_of(const km_broker *broker, int8_t resource_type, const km_config_row *row,
                       const kb_map *set, kb_arena *arena, km_config_view *view_out)
{
    *view_out = (km_config_view){.synonym_count = 0};
    switch (resource_type) {
    case KM_RESOURCE_TOPIC:
        add(view_out, row->name, set_value(set, row->name), KM_SOURCE_TOPIC);
        break;
    case KM_RESOURCE_GROUP:
        add(view_out, row->name, set_value(set, row->name), KM_SOURCE_GROUP);
        break;
    case KM_RESOURCE_CLIENT_METRICS:
        add(view_out, row->name, set_value(set, row->name), KM_SOURCE_CLIENT_METRICS);
        break;
    default:
        break;
    }
    if (row->broker || resource_type == KM_RESOURCE_BROKER)
        add_broker(broker, row->broker ? row->broker : row->name, row->fallback, arena, view_out);
    else if (resource_type == KM_RESOURCE_GROUP)
        add(view_out, row->name, kc_str(row->fallback), KM_SOURCE_DEFAULT);
    if (view_out->synonym_count > 0) {
        view_out->value = view_out->synonyms[0].value;
        view_out->source = view_out->synonyms[0].source;
    } else {
        view_out->value = row->fallback ? kc_str(row->fallback) : KC_NULL;
        view_out->source = KM_SOURCE_DEFAULT;
    }
}
