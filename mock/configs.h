/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What was set on brokers, groups and client metrics; topics keep theirs themselves (topic.h). */
#ifndef KM_CONFIGS_H
#define KM_CONFIGS_H

#include "mock/cluster.h"

/** Kafka's numbers of what has configs (ConfigResource.Type). */
typedef enum km_resource_type {
    KM_RESOURCE_TOPIC = 2,
    KM_RESOURCE_BROKER = 4,
    KM_RESOURCE_BROKER_LOGGER = 8,
    KM_RESOURCE_CLIENT_METRICS = 16,
    KM_RESOURCE_GROUP = 32,
} km_resource_type;

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
/** Walk: start with *pos = 0. */
const km_config_resource *km_config_resource_next(const km_cluster *cluster, size_t *pos);

#endif
