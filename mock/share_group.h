/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Share groups (KIP-932): members, what each of them is to read, and the share partitions of the group. */
#ifndef KM_SHARE_GROUP_H
#define KM_SHARE_GROUP_H

#include "mock/group.h"
#include "mock/share_partition.h"
#include "protocol/base/names.h"

/** A partition in an assignment. */
typedef struct km_share_slot {
    kc_uuid topic_id;
    int32_t index;
} km_share_slot;

/** Sorted by topic, then by number. */
typedef struct km_share_slots {
    km_share_slot *items;
    size_t count;
} km_share_slots;

typedef struct km_share_member {
    struct km_share_group *group;
    kc_bytes id; /**< stands behind the struct */
    int32_t epoch;
    int32_t previous_epoch;
    kc_bytes rack_id;   /**< owned; null: none                     */
    kc_bytes client_id; /**< owned                                 */
    kb_names *topics;   /**< subscribed to; NULL: none so far      */
    km_share_slots target;
    km_share_slots assigned; /**< what it was told */
    kn_timer session;
} km_share_member;

/** A topic the group has state for; partitions it has state for can be assigned. */
typedef struct km_share_topic {
    kc_uuid id;
    int32_t partition_count;
    km_share_partition **partitions; /**< NULL: no state */
} km_share_topic;

typedef struct km_share_group {
    km_group *group;
    int32_t epoch;
    int32_t assignment_epoch;
    int64_t assigned_us; /**< when; -1: never                                   */
    uint64_t metadata;   /**< a digest of the topics the members are subscribed to */
    kb_map members;      /**< km_share_member by id, in the order they came     */
    kb_map topics;       /**< km_share_topic by id                              */
} km_share_group;

/** Of a group nobody joined yet; its first member gets the next one. */
#define KM_SHARE_FIRST_EPOCH 1

/** The longest member id, in characters. */
#define KM_SHARE_MEMBER_ID_MAX 36
/** Present, not empty, not too long? */
bool km_share_member_id_is_valid(kc_bytes member_id);

/** NULL: no share group. */
km_share_group *km_share_group_find(const km_cluster *cluster, kc_bytes group_id);
/** Find or make; 0, GROUP_ID_NOT_FOUND (it is of another kind), UNKNOWN_SERVER_ERROR (no memory). */
int16_t km_share_group_open(km_cluster *cluster, kc_bytes group_id, km_share_group **group_out);
/** A group that was opened and got no member and no offset: forget it. */
void km_share_group_trim(km_share_group *group);

/** NULL: the group has no state for it. */
km_share_topic *km_share_topic_find(const km_share_group *group, kc_uuid topic_id);
km_share_partition *km_share_partition_find(const km_share_group *group, kc_uuid topic_id,
                                            int32_t index);
/** The same, if `broker` leads the partition and has the state in memory; else NULL. */
km_share_partition *km_share_partition_at(const km_broker *broker, kc_bytes group_id,
                                          kc_uuid topic_id, int32_t index);
/** State for all partitions the topic has now. KC_ERR_NOMEM: for some of them. */
KC_NODISCARD kc_err km_share_topic_open(km_share_group *group, const km_topic *topic);
/** For one of them, which the topic has. NULL: no memory. */
km_share_partition *km_share_partition_open(km_share_group *group, const km_topic *topic,
                                            int32_t index);
void km_share_topic_delete(km_share_group *group, km_share_topic *topic);

/** NULL: none. */
km_share_member *km_share_member_find(const km_share_group *group, kc_bytes member_id);
/** A member comes, or says what it wants; nothing happens to the group yet. */
typedef struct km_share_beat {
    struct kb_arena *arena; /**< for the message */
    kc_bytes member_id;
    int32_t member_epoch;
    kc_bytes rack_id; /**< null: as before */
    kc_bytes client_id;
    const kc_bytes *topics; /**< NULL: as before */
    size_t topic_count;
    /* out */
    bool has_assignment; /**< is to be told */
    const km_share_member *member;
    const char *message; /**< of the error; NULL: none, or no memory */
} km_share_beat;
/** One heartbeat, the first (epoch 0) and the last (-1) too. 0, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH,
 * GROUP_MAX_SIZE_REACHED, UNKNOWN_SERVER_ERROR (no memory; nothing changed). */
int16_t km_share_group_beat(km_share_group *group, km_share_beat *beat);

#endif
