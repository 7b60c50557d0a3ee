/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Administration: topics, configurations, groups, offsets. Each call is asynchronous;
 * kc_admin_wait() makes it a blocking one. Everything not here is a kc_call() away. */
#ifndef KAFKAC_ADMIN_H
#define KAFKAC_ADMIN_H

#include <kafkac/client.h>
#include <kafkac/consumer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The answer to one call. Belongs to the caller once the callback got it: free with
 * kc_admin_free(), before or after the client. All slices in it live as long. Its memory counts as
 * the client's. */
typedef struct kc_admin_result kc_admin_result;
/** Called exactly once, from dispatch. `result` is NULL only when the client was freed first;
 * kc_admin_error() tells a failure of the whole call; items carry their own, and are all there even
 * then. The callee owns `result`. */
typedef void (*kc_admin_fn)(kc_admin_result *result, void *user);

/** Optional to every call; NULL: defaults. */
typedef struct kc_admin_options {
    size_t size;
    int32_t timeout_ms; /**< 0: default.api.timeout.ms */
    bool validate_only; /**< of CreateTopics, configs  */
} kc_admin_options;

KC_API void kc_admin_free(kc_admin_result *result);
/** Failure of the whole call; code KC_OK: none. Per-item errors are not a failure of the call. */
KC_API const kc_error *kc_admin_error(const kc_admin_result *result);

typedef struct kc_config_entry {
    kc_bytes name;
    kc_bytes value;  /**< null: delete it (alter), or sensitive (describe)      */
    bool is_default; /**< describe: not set on this resource itself             */
    bool is_read_only;
    bool is_sensitive;
    int8_t source; /**< Kafka's ConfigSource number                           */
} kc_config_entry;

typedef struct kc_new_topic {
    kc_bytes name;
    int32_t partitions;         /**< -1: the broker's default */
    int16_t replication_factor; /**< -1: the broker's default */
    const kc_config_entry *configs;
    size_t config_count;
} kc_new_topic;

/** One topic, group or configuration resource that was asked for, with its own error. */
typedef struct kc_admin_item {
    kc_bytes name;
    kc_err err;
    kc_bytes message; /**< the broker's, null: none */
} kc_admin_item;
KC_API size_t kc_admin_count(const kc_admin_result *result);
KC_API const kc_admin_item *kc_admin_item_at(const kc_admin_result *result, size_t index);

KC_API KC_NODISCARD kc_err kc_admin_create_topics(kc_client *client, const kc_new_topic *topics,
                                                  size_t count, const kc_admin_options *options,
                                                  kc_admin_fn fn, void *user, kc_error *err);
KC_API KC_NODISCARD kc_err kc_admin_delete_topics(kc_client *client, const kc_bytes *names,
                                                  size_t count, const kc_admin_options *options,
                                                  kc_admin_fn fn, void *user, kc_error *err);
/** Grow `names[i]` to `totals[i]` partitions. Spec: CreatePartitions (key 37). */
KC_API KC_NODISCARD kc_err kc_admin_create_partitions(kc_client *client, const kc_bytes *names,
                                                      const int32_t *totals, size_t count,
                                                      const kc_admin_options *options,
                                                      kc_admin_fn fn, void *user, kc_error *err);

typedef struct kc_partition_info {
    int32_t partition, leader, leader_epoch;
    const int32_t *replicas;
    size_t replica_count;
    const int32_t *isr;
    size_t isr_count;
    kc_err err;
} kc_partition_info;
typedef struct kc_topic_info {
    kc_bytes name;
    kc_uuid id;
    bool is_internal;
    kc_err err;
    const kc_partition_info *partitions; /**< by number */
    size_t partition_count;
} kc_topic_info;
typedef struct kc_broker_info {
    int32_t id;
    kc_bytes host;
    int32_t port;
    kc_bytes rack; /**< null: none */
} kc_broker_info;
typedef struct kc_cluster_info {
    kc_bytes cluster_id;
    int32_t controller_id;
    const kc_broker_info *brokers;
    size_t broker_count;
    const kc_topic_info *topics;
    size_t topic_count;
} kc_cluster_info;
/** Cluster and topics by Metadata (key 3). `names` NULL: all topics; count 0 with names not NULL:
 * none. */
KC_API KC_NODISCARD kc_err kc_admin_describe_topics(kc_client *client, const kc_bytes *names,
                                                    size_t count, const kc_admin_options *options,
                                                    kc_admin_fn fn, void *user, kc_error *err);
KC_API const kc_cluster_info *kc_admin_cluster(const kc_admin_result *result);

/** Kafka's ConfigResource types. */
enum {
    KC_RESOURCE_TOPIC = 2,
    KC_RESOURCE_BROKER = 4,
    KC_RESOURCE_GROUP = 32
};
/** Configurations of resources of one type; items by kc_admin_item_at(), entries by
 * kc_admin_configs(). */
KC_API KC_NODISCARD kc_err kc_admin_describe_configs(kc_client *client, int8_t type,
                                                     const kc_bytes *names, size_t count,
                                                     const kc_admin_options *options,
                                                     kc_admin_fn fn, void *user, kc_error *err);
KC_API const kc_config_entry *kc_admin_configs(const kc_admin_result *result, size_t item,
                                               size_t *count_out);
/** Set (or with a null value delete) single entries of one resource. Spec: IncrementalAlterConfigs
 * (key 44). */
KC_API KC_NODISCARD kc_err kc_admin_alter_configs(kc_client *client, int8_t type, kc_bytes name,
                                                  const kc_config_entry *entries, size_t count,
                                                  const kc_admin_options *options, kc_admin_fn fn,
                                                  void *user, kc_error *err);

typedef struct kc_group_listing {
    kc_bytes group_id, protocol_type, state, type;
} kc_group_listing;
/** All groups of all brokers, each once. */
KC_API KC_NODISCARD kc_err kc_admin_list_groups(kc_client *client, const kc_admin_options *options,
                                                kc_admin_fn fn, void *user, kc_error *err);
KC_API const kc_group_listing *kc_admin_groups(const kc_admin_result *result, size_t *count_out);

typedef struct kc_member_info {
    kc_bytes member_id, instance_id, client_id, client_host;
    const kc_topic_partition *assignment;
    size_t assignment_count;
} kc_member_info;
typedef struct kc_group_description {
    kc_bytes group_id, state, protocol_type, protocol;
    kc_err err; /**< GROUP_ID_NOT_FOUND (69) or state "Dead": no such group */
    int32_t coordinator;
    const kc_member_info *members;
    size_t member_count;
} kc_group_description;
KC_API KC_NODISCARD kc_err kc_admin_describe_groups(kc_client *client, const kc_bytes *group_ids,
                                                    size_t count, const kc_admin_options *options,
                                                    kc_admin_fn fn, void *user, kc_error *err);
KC_API const kc_group_description *kc_admin_group_descriptions(const kc_admin_result *result,
                                                               size_t *count_out);
KC_API KC_NODISCARD kc_err kc_admin_delete_groups(kc_client *client, const kc_bytes *group_ids,
                                                  size_t count, const kc_admin_options *options,
                                                  kc_admin_fn fn, void *user, kc_error *err);

/** Committed offsets of a group; `partitions` NULL: all it has. Answer: kc_admin_offsets(), -1
 * where there is none. */
KC_API KC_NODISCARD kc_err kc_admin_list_group_offsets(kc_client *client, kc_bytes group_id,
                                                       const kc_topic_partition *partitions,
                                                       size_t count,
                                                       const kc_admin_options *options,
                                                       kc_admin_fn fn, void *user, kc_error *err);
/** Commit offsets for an empty group. Answer: kc_admin_offsets() with each one's error. */
KC_API KC_NODISCARD kc_err kc_admin_alter_group_offsets(kc_client *client, kc_bytes group_id,
                                                        const kc_topic_offset *offsets,
                                                        size_t count,
                                                        const kc_admin_options *options,
                                                        kc_admin_fn fn, void *user, kc_error *err);
/** Offsets in the log: in `queries`, offset is KC_OFFSET_BEGINNING, KC_OFFSET_END, or a timestamp
 * in ms (answer: first record not older, -1: none). With read_committed the end is the last stable
 * offset. A partition may be asked about more than once. A topic that is not there is waited for
 * some seconds, as it may be new. Spec: ListOffsets (key 2). */
KC_API KC_NODISCARD kc_err kc_admin_list_offsets(kc_client *client, const kc_topic_offset *queries,
                                                 size_t count, bool read_committed,
                                                 const kc_admin_options *options, kc_admin_fn fn,
                                                 void *user, kc_error *err);
/** Delete records below an offset (KC_OFFSET_END: all). Answer offset: the new beginning. Spec:
 * DeleteRecords. */
KC_API KC_NODISCARD kc_err kc_admin_delete_records(kc_client *client, const kc_topic_offset *before,
                                                   size_t count, const kc_admin_options *options,
                                                   kc_admin_fn fn, void *user, kc_error *err);
KC_API const kc_topic_offset *kc_admin_offsets(const kc_admin_result *result, size_t *count_out);

/**
 * Blocking form: pass kc_admin_waiter_fn and a zero-filled kc_admin_waiter as fn and user, then
 * wait.
 *
 *     kc_admin_waiter waiter = {0};
 *     if (kc_admin_list_groups(client, NULL, kc_admin_waiter_fn, &waiter, &err) == KC_OK &&
 *         kc_admin_wait(client, &waiter, &err) == KC_OK)
 *         ... waiter.result ...
 *     kc_admin_free(waiter.result);
 *
 * kc_admin_wait() dispatches until the answer; its result is the call's own error.
 */
typedef struct kc_admin_waiter {
    kc_admin_result *result;
    bool is_done;
} kc_admin_waiter;
KC_API void kc_admin_waiter_fn(kc_admin_result *result, void *user);
KC_API KC_NODISCARD kc_err kc_admin_wait(kc_client *client, kc_admin_waiter *waiter, kc_error *err);

#ifdef __cplusplus
}
#endif
#endif
