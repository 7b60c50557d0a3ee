/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Who reads what in a group: pure functions from members and partition counts to assignments. */
#ifndef KC_ASSIGNOR_H
#define KC_ASSIGNOR_H

#include "protocol/base/arena.h"

/** A member as the leader sees it. All of it came over the network from others: nothing is taken
 * for granted. */
typedef struct kc_assign_member {
    kc_bytes id;
    kc_bytes instance_id;   /**< null: a dynamic member */
    const kc_bytes *topics; /**< may name a topic twice */
    int32_t topic_count;
} kc_assign_member;

typedef struct kc_assign_topic {
    kc_bytes name;
    int32_t partition_count;
} kc_assign_topic;

/** Partitions [first, first + count) of a topic go to a member. */
typedef struct kc_assign_range {
    int32_t member; /**< index */
    int32_t topic;  /**< index */
    int32_t first, count;
} kc_assign_range;

typedef struct kc_assign_result {
    kc_assign_range *ranges; /**< in the arena; none is empty, by topic, then by member */
    size_t count;
} kc_assign_result;

/**
 * Java's RangeAssignor: per topic, members in order (static ones by instance id first, then dynamic
 * ones by member id), each an equal run of partitions, the first ones one more.
 *
 * A member id or topic that comes twice counts once. KC_OK, KC_ERR_NOMEM.
 */
KC_NODISCARD kc_err kc_assign_range_all(const kc_assign_member *members, int32_t member_count,
                                        const kc_assign_topic *topics, int32_t topic_count,
                                        kb_arena *arena, kc_assign_result *result_out);

#endif
