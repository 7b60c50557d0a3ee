/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The configs Kafka 4.3 knows, with their types, defaults and limits. */
#ifndef KM_CONFIG_TABLE_H
#define KM_CONFIG_TABLE_H

#include "protocol/base/arena.h"

/** Kafka's numbers of what has configs (ConfigResource.Type). */
typedef enum km_resource_type {
    KM_RESOURCE_TOPIC = 2,
    KM_RESOURCE_BROKER = 4,
    KM_RESOURCE_BROKER_LOGGER = 8,
    KM_RESOURCE_CLIENT_METRICS = 16,
    KM_RESOURCE_GROUP = 32,
} km_resource_type;

/** As DescribeConfigs numbers them. */
typedef enum km_config_type {
    KM_CONFIG_UNKNOWN,
    KM_CONFIG_BOOLEAN,
    KM_CONFIG_STRING,
    KM_CONFIG_INT,
    KM_CONFIG_SHORT,
    KM_CONFIG_LONG,
    KM_CONFIG_DOUBLE,
    KM_CONFIG_LIST,
    KM_CONFIG_CLASS,
    KM_CONFIG_PASSWORD,
} km_config_type;

typedef struct km_config_row {
    const char *name;
    km_config_type type;
    const char *fallback; /**< the default; NULL: null                                        */
    const char *broker;   /**< the broker's config that gives the default; NULL: none          */
    int64_t min, max;     /**< of a number                                                     */
    const char *one_of;   /**< words separated by ", "; NULL: any. Of a list: of each word     */
    bool is_dynamic;      /**< of a broker: may be changed while it runs                       */
    const char *given;    /**< of a broker: what its file says; NULL: nothing                  */
    const char *preset;   /**< of a broker: set for the whole cluster when that was made; NULL */
} km_config_row;

/** All of a type of resource, by name; NULL: it has none. */
const km_config_row *km_config_rows(int8_t resource_type, size_t *count_out);
/** NULL: none of this name. */
const km_config_row *km_config_row_find(int8_t resource_type, kc_bytes name);

/** Is this value good? If not, Kafka's sentence (null: no memory). */
bool km_config_is_valid(const km_config_row *row, kc_bytes value, kb_arena *arena,
                        kc_bytes *why_out);

#endif
