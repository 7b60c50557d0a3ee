/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A cluster in memory: brokers, topics, time, and who leads what.
 *
 * Sans-IO: bytes come in through km_conn_receive() (conn.h), time through km_cluster_advance(); what is to go out is
 * told to the carrier, which owns the sockets. Nothing here reads a clock, a random device or a socket, so one cluster
 * serves over TCP (tcp_server.h) and in a simulation (mem_server.h). Nothing is stored on a disk. */
#ifndef KM_CLUSTER_H
#define KM_CLUSTER_H

#include "mock/topic.h"
#include "net/timer.h"
#include "protocol/base/arena.h"
#include "protocol/base/log.h"
#include "protocol/base/map.h"
#include "protocol/base/rand.h"

#define KM_BROKERS_MAX 32
/** Partitions of __consumer_offsets and of __transaction_state, as a broker's defaults. */
#define KM_COORDINATOR_PARTITIONS 50

struct km_request;
typedef struct km_cluster km_cluster;
typedef struct km_faults km_faults;
typedef struct km_groups km_groups;
typedef struct km_txns km_txns;
typedef struct km_auth km_auth;
typedef struct km_share_sessions km_share_sessions;
typedef struct km_configs km_configs;
typedef struct km_acls km_acls;
typedef struct km_quotas km_quotas;

typedef struct km_broker {
    km_cluster *cluster;
    int32_t id;     /**< from 1                                                        */
    char host[256]; /**< what Metadata tells; set by the carrier                       */
    int32_t port;
    char rack[64];       /**< empty: none                                              */
    bool is_down;        /**< takes no connection, leads nothing                       */
    kb_list connections; /**< km_conn                                                  */
    /** The carrier's: stop or begin to take connections. */
    void (*on_state)(struct km_broker *broker, void *user);
    void *carrier;
} km_broker;

/** What a broker's server.properties would say. */
typedef struct km_options {
    int broker_count;               /**< 1 to KM_BROKERS_MAX                            */
    bool auto_create_topics;        /**< auto.create.topics.enable                      */
    int32_t num_partitions;         /**< of topics created without a number             */
    int16_t default_replication;    /**< at most the number of brokers; 0: as many, at most 3 */
    int64_t replication_us;         /**< until a record is on the in-sync replicas      */
    int64_t group_initial_delay_ms; /**< group.initial.rebalance.delay.ms               */
    int64_t txn_marker_delay_us;    /**< from EndTxn until its markers are written       */
    /** group.min.session.timeout.ms */
    int32_t group_min_session_timeout_ms;
    int64_t consumer_session_timeout_ms;     /**< group.consumer.session.timeout.ms (KIP-848) */
    int64_t consumer_heartbeat_interval_ms;  /**< group.consumer.heartbeat.interval.ms  */
    int64_t consumer_assignment_interval_ms; /**< group.consumer.assignment.interval.ms */
    int64_t connections_max_idle_ms;         /**< 0: never closed                                */
    uint64_t seed;                           /**< of ids                                         */
} km_options;

/** As a broker's defaults, but one broker that creates topics, no delay of a group's first rebalance, and members that
 * are missed soon where they want that. */
void km_options_init(km_options *options);

/** Told when leaders, brokers or topics changed: who holds requests looks at them again. */
typedef struct km_watcher {
    kb_list node;
    void (*fn)(struct km_watcher *watcher);
    void *user;
} km_watcher;

/** Frees what a module hung on the cluster. */
typedef struct km_module {
    kb_list node;
    void (*free)(struct km_module *module);
} km_module;

struct km_cluster {
    kb_mem *mem;
    bool is_memory_told; /**< that it is used up */
    kb_log log;
    kb_rand rand;
    km_options options;
    char id[32];
    int64_t now_us;  /**< of this turn                                              */
    int64_t wall_ms; /**< the same as ms since 1970                                 */
    kn_timer_heap timers;
    km_broker brokers[KM_BROKERS_MAX]; /**< id 1 is [0]                             */
    int broker_count;
    int32_t controller;
    int64_t next_producer_id;
    kb_map topics;           /**< km_topic by name, in the order they were made            */
    kb_map topic_ids;        /**< the same by id                                           */
    uint64_t topics_version; /**< another one whenever topics or partitions come or go */
    kb_list watchers;        /**< km_watcher                                               */
    kb_list modules;         /**< km_module, freed in reverse                              */
    km_faults *faults;       /**< NULL until used; so are the others                      */
    km_groups *groups;
    km_txns *txns;
    km_auth *auth;
    km_share_sessions *share_sessions;
    km_configs *configs;
    km_acls *acls;
    km_quotas *quotas;
    struct km_fetch_sessions *fetch_sessions;
    /** Asked before the first batch of a transaction goes into a partition: 0 or Kafka's code. NULL: nobody has a
     * transactional id yet. */
    int16_t (*on_transactional_produce)(struct km_request *request, const km_partition *partition,
                                        int64_t producer_id, int16_t producer_epoch,
                                        kc_bytes transactional_id);
};

/** `mem` counts and limits all of it and outlives it. KC_ERR_ARGUMENT: broker_count. */
KC_NODISCARD kc_err km_cluster_new(kb_mem *mem, const km_options *options, int64_t now_us,
                                   int64_t wall_ms, km_cluster **cluster_out);
/** All connections must be freed. NULL is allowed. */
void km_cluster_free(km_cluster *cluster);

/** Time passes: run what is due. `now_us` never goes back. */
void km_cluster_advance(km_cluster *cluster, int64_t now_us, int64_t wall_ms);
/** When something is due next; INT64_MAX: nothing. */
int64_t km_cluster_next_due(const km_cluster *cluster);
/** Set or move. What is due already runs in the next km_cluster_advance(). */
void km_timer_set(km_cluster *cluster, kn_timer *timer, int64_t due_us);
void km_timer_stop(km_cluster *cluster, kn_timer *timer);

void km_watch(km_cluster *cluster, km_watcher *watcher);
void km_unwatch(km_watcher *watcher);
/** Warn, once, where the block asked for last was refused because memory is used up. */
void km_memory_check(km_cluster *cluster);
/** Tell the watchers. */
void km_changed(km_cluster *cluster);
void km_module_add(km_cluster *cluster, km_module *module);

/** NULL: none of this id. */
km_broker *km_broker_by_id(km_cluster *cluster, int32_t id);

/* ---- topics ---- */

/** NULL: none. */
km_topic *km_topic_by_name(const km_cluster *cluster, kc_bytes name);
km_topic *km_topic_by_id(const km_cluster *cluster, kc_uuid id);
/** NULL: no such topic or partition. */
km_partition *km_partition_find(const km_cluster *cluster, kc_bytes name, int32_t index);

/**
 * Make a topic; leaders go round over the brokers that are up.
 *
 * @param partitions   1 to 100,000; -1: num.partitions.
 * @param replication  1 to the number of brokers; -1: the default.
 * @return 0, or Kafka's code: INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS,
 * INVALID_REPLICATION_FACTOR, UNKNOWN_SERVER_ERROR (no memory).
 */
int16_t km_topic_create(km_cluster *cluster, kc_bytes name, int32_t partitions, int16_t replication,
                        km_topic **topic_out);
/** As a broker makes one that it misses: with the defaults, or as its own have to be. */
int16_t km_topic_create_on_demand(km_cluster *cluster, kc_bytes name, km_topic **topic_out);
/** What km_topic_create() would answer, memory apart. */
int16_t km_topic_check(const km_cluster *cluster, kc_bytes name, int32_t partitions,
                       int16_t replication);
/** The same with replicas chosen by hand: `replicas` names `replication` brokers for each partition. */
int16_t km_topic_create_with(km_cluster *cluster, kc_bytes name, int32_t partitions,
                             int16_t replication, const int32_t *replicas, km_topic **topic_out);
/** More partitions; 0 or Kafka's code. `replicas`: the topic's replication of them for each new one; NULL: chosen here. */
int16_t km_topic_grow(km_cluster *cluster, km_topic *topic, int32_t partitions,
                      const int32_t *replicas);
void km_topic_delete(km_cluster *cluster, km_topic *topic);
/** default.replication.factor, or what stands for it. */
int16_t km_default_replication(const km_cluster *cluster);
/** Is this a legal name of a topic? */
bool km_topic_name_is_valid(kc_bytes name);
/** If not, Kafka's sentence; null: no memory. */
kc_bytes km_topic_name_fault(kb_arena *arena, kc_bytes name);
/** Two topics whose names differ in '.' and '_' only would share their metrics: the other one, NULL: none. */
const km_topic *km_topic_collision(const km_cluster *cluster, kc_bytes name);

/* ---- leaders ---- */

/** The first replica that is up leads from now on, with the next epoch; -1 and no new epoch when none is. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_partition_elect(km_partition *partition);

/** The leader moves to `broker_id`, a replica that is up (else nothing happens); epoch + 1. Tells nobody: km_changed(). */
void km_partition_move(km_cluster *cluster, km_partition *partition, int32_t broker_id);
/** What `broker_id` led gets other leaders, or none; with `loses_unflushed` what was not on the in-sync replicas is gone.
 * Tells nobody. */
void km_leaders_leave(km_cluster *cluster, int32_t broker_id, bool loses_unflushed);
/** What has no leader gets one of those that are up. Tells nobody. */
void km_leaders_return(km_cluster *cluster);
/** After an append: the high watermark follows at once, or after the cluster's replication_us; then the waiters are told. */
void km_partition_appended(km_partition *partition);

typedef enum km_coordinator_type {
    KM_COORDINATOR_GROUP,
    KM_COORDINATOR_TRANSACTION,
} km_coordinator_type;
/** The partition of __consumer_offsets or __transaction_state whose leader coordinates this key; NULL: no memory. */
km_partition *km_coordinator_partition(km_cluster *cluster, km_coordinator_type type, kc_bytes key);

#endif
