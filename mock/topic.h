/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Topics and partitions, as data. Who makes and moves them: cluster.h. */
#ifndef KM_TOPIC_H
#define KM_TOPIC_H

#include "mock/log.h"
#include "net/timer.h"
#include "protocol/base/list.h"
#include "protocol/base/map.h"

#define KM_REPLICAS_MAX   8
#define KM_TOPIC_NAME_MAX 249

typedef struct km_topic km_topic;

typedef struct km_partition {
    km_topic *topic;
    int32_t index;
    int32_t leader; /**< -1: none is up */
    int32_t leader_epoch;
    int32_t replicas[KM_REPLICAS_MAX];
    int32_t replica_count;
    km_log log;
    struct km_producers *producers; /**< producer_state.h; NULL: none wrote with an id */
    kb_list waiters;                /**< who waits for new records: see km_waiter */
    kn_timer replication;           /**< when the high watermark moves to `replicated_to` */
    int64_t replicated_to;
    int64_t aged_us; /**< when retention.c last asked for the age of records */
    bool is_deleted; /**< told to the waiters as the last thing */
    void *state;     /**< of a coordinator module, for internal topics; unused else */
} km_partition;

/** Wants to hear of new records below the high watermark, of a new leader, and of the end of the partition. */
typedef struct km_waiter {
    kb_list node;
    void (*fn)(struct km_waiter *waiter);
    void *user;
} km_waiter;

struct km_topic {
    struct km_cluster *cluster;
    char name[KM_TOPIC_NAME_MAX + 1];
    kc_uuid id;
    bool is_internal;
    int16_t replication;
    int32_t first_broker; /**< where the replicas of partition 0 begin */
    int32_t partition_count;
    km_partition **partitions;
    kb_map configs; /**< km_config by name: what differs from the defaults */
};

/** One property that was set. */
typedef struct km_config {
    kc_bytes name;
    kc_bytes value;
} km_config;

/** NULL: not set on this topic. */
const km_config *km_topic_config(const km_topic *topic, const char *name);
/** As a number; `fallback`: not set, or no number. */
int64_t km_topic_config_i64(const km_topic *topic, const char *name, int64_t fallback);
bool km_topic_config_is(const km_topic *topic, const char *name, const char *value);
/** Is "delete", or "compact", in its cleanup.policy? */
bool km_topic_has_policy(const km_topic *topic, const char *policy);
/** Set, or take out with a null value. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_configs_set(kb_map *configs, kb_mem *mem, kc_bytes name, kc_bytes value);
void km_configs_cleanup(kb_map *configs, kb_mem *mem);

/** Has this broker a replica of it? */
bool km_partition_is_on(const km_partition *partition, int32_t broker_id);
/** Tell all who wait on this partition. */
void km_partition_wake(km_partition *partition);
void km_partition_wait(km_partition *partition, km_waiter *waiter);

#endif
