/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What was set on brokers, groups and client metrics; topics keep theirs themselves (topic.h). */
#ifndef KM_CONFIGS_H
#define KM_CONFIGS_H

#include "mock/cluster.h"
#include "mock/config_table.h"

/** One resource on which something was set. */
typedef struct km_config_resource {
    kb_map configs; /**< km_config by name; may be empty again */
    int8_t type;    /**< km_resource_type                      */
    kc_bytes name;  /**< stands behind the struct              */
    kc_bytes key;   /**< type and name, for the map            */
} km_config_resource;

/** A group's config ("consumer.session.timeout.ms", ...) as it was set; null: not set, the default holds. */
kc_bytes km_group_config(const km_cluster *cluster, kc_bytes group_id, const char *name);
/** As a number; `fallback`: not set. */
int64_t km_group_config_i64(const km_cluster *cluster, kc_bytes group_id, const char *name,
                            int64_t fallback);

/** NULL: nothing was ever set on it. A broker's name is its id, empty for the default of all. */
km_config_resource *km_config_resource_find(const km_cluster *cluster, int8_t type, kc_bytes name);
/** Find or make; NULL: no memory. */
km_config_resource *km_config_resource_open(km_cluster *cluster, int8_t type, kc_bytes name);
/** Where a value comes from, as DescribeConfigs numbers it. */
typedef enum km_config_source {
    KM_SOURCE_TOPIC = 1,
    KM_SOURCE_DYNAMIC_BROKER,
    KM_SOURCE_DYNAMIC_DEFAULT,
    KM_SOURCE_STATIC_BROKER,
    KM_SOURCE_DEFAULT,
    KM_SOURCE_BROKER_LOGGER,
    KM_SOURCE_CLIENT_METRICS,
    KM_SOURCE_GROUP,
} km_config_source;

typedef struct km_config_value {
    kc_bytes name;
    kc_bytes value; /**< null: none */
    int8_t source;
} km_config_value;

/** A config of one resource with all that could have given it, the one that does first ("synonyms"). */
typedef struct km_config_view {
    kc_bytes value; /**< in force; null: none */
    int8_t source;
    km_config_value synonyms[6];
    size_t synonym_count;
} km_config_view;

/**
 * What is in force.
 *
 * @param broker  Who is asked: its configs give the defaults.
 * @param set     What is set on the resource; NULL: nothing. Not used for a broker.
 */
void km_config_view_of(const km_broker *broker, int8_t resource_type, const km_config_row *row,
                       const kb_map *set, kb_arena *arena, km_config_view *view_out);

/** Walk: start with *pos = 0. */
const km_config_resource *km_config_resource_next(const km_cluster *cluster, size_t *pos);

#endif
