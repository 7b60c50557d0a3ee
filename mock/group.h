/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The groups of the cluster, by id: what all kinds of them share. What a kind does stands in its own module:
 * classic_group.h, consumer_group.h (KIP-848), share_group.h (KIP-932); what they committed: group_offsets.h.
 *
 * A group belongs to the cluster, not to a broker: its coordinator is whoever leads its partition of
 * __consumer_offsets, and what the coordinator knows moves with it, as it would by that log. Requests that a
 * coordinator held are answered NOT_COORDINATOR by their kind's watcher when it moves. */
#ifndef KM_GROUP_H
#define KM_GROUP_H

#include "mock/cluster.h"

typedef enum km_group_type {
    KM_GROUP_NONE, /**< has offsets only, or nothing yet: any kind of member may come */
    KM_GROUP_CLASSIC,
    KM_GROUP_CONSUMER,
    KM_GROUP_SHARE,
} km_group_type;

typedef struct km_group km_group;

/** What the kind of a group answers. */
typedef struct km_group_ops {
    const char *type_name; /**< "classic", "consumer", "share": for the log      */
    /** "Stable", "Empty", ...: as ListGroups tells. */
    const char *(*state_name)(const km_group *group);
    bool (*is_empty)(const km_group *group);
    /** The protocol type ("consumer"), empty: none. */
    kc_bytes (*protocol_type)(const km_group *group);
    /** Does a member read this topic? Its offsets can't be deleted then. */
    bool (*is_subscribed)(const km_group *group, kc_bytes topic);
    /** May this member commit offsets? 0 or Kafka's code. Without a member: empty id, null instance, -1.
     * A classic group may take a commit as a sign of life. */
    int16_t (*check_commit)(km_group *group, kc_bytes member_id, kc_bytes instance_id,
                            int32_t generation_or_epoch, bool is_transactional);
    /** After that, of each partition: may it commit this one (KIP-1251)? NULL: any. */
    int16_t (*check_commit_partition)(const km_group *group, kc_bytes member_id,
                                      int32_t generation_or_epoch, kc_bytes topic,
                                      int32_t partition);
    /** May this member fetch them? OffsetFetch tells who asks since version 9: KIP-848's only. NULL: any. */
    int16_t (*check_fetch)(const km_group *group, kc_bytes member_id, int32_t member_epoch);
    /** LeaveGroup for a member of a group that is not classic, as administrators do it: its error. NULL: no member is
     * known to it. */
    int16_t (*leave)(km_group *group, kc_bytes member_id, kc_bytes instance_id);
    /** Members and timers; nothing is answered any more. */
    void (*free)(km_group *group);
} km_group_ops;

struct km_group {
    km_cluster *cluster;
    kc_bytes id; /**< stands behind the struct */
    km_group_type type;
    const km_group_ops *ops; /**< NULL with KM_GROUP_NONE */
    void *impl;              /**< the kind's */
    bool had_offsets;        /**< of a group without a kind: it is there */
    kb_map offsets;          /**< group_offsets.c */
    kb_map pending_offsets;  /**< group_offsets.c: of open transactions */
};

/** NULL: none. */
km_group *km_group_find(const km_cluster *cluster, kc_bytes id);
/** Find or make; NULL: no memory. */
km_group *km_group_open(km_cluster *cluster, kc_bytes id);
/** Take up a kind; the group has none, or is empty and gives its old one up. KC_ERR_STATE: it has members of another. */
KC_NODISCARD kc_err km_group_become(km_group *group, km_group_type type, const km_group_ops *ops,
                                    void *impl);
/** Forget it with all its offsets. */
void km_group_delete(km_group *group);
/** Walk: start with *pos = 0. */
km_group *km_group_next(const km_cluster *cluster, size_t *pos);
bool km_group_is_empty(const km_group *group);
/** Does Kafka know such a group? Not one that never had a member or an offset. NULL is allowed. */
bool km_group_is_known(const km_group *group);

#endif
