/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The offsets a group committed, and those that wait for the end of a transaction. */
#ifndef KM_GROUP_OFFSETS_H
#define KM_GROUP_OFFSETS_H

#include "mock/group.h"

typedef struct km_offset {
    kc_bytes topic; /**< stands behind the struct */
    int32_t partition;
    int64_t offset;
    int32_t leader_epoch; /**< -1: none */
    kc_bytes metadata;    /**< stands behind the struct; may be empty */
    int64_t committed_ms;
} km_offset;

void km_group_offsets_init(km_group *group);
void km_group_offsets_cleanup(km_group *group);

/** `metadata` null: empty. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_group_offset_put(km_group *group, kc_bytes topic, int32_t partition,
                                        int64_t offset, int32_t leader_epoch, kc_bytes metadata);
/** NULL: none. */
const km_offset *km_group_offset_get(const km_group *group, kc_bytes topic, int32_t partition);
/** Also those that wait for the end of a transaction. */
void km_group_offset_remove(km_group *group, kc_bytes topic, int32_t partition);
/** Offsets of topics that are gone go too, also where another topic has that name now. */
void km_group_tombstones(km_group *group);
/** Walk: start with *pos = 0. */
const km_offset *km_group_offset_next(const km_group *group, size_t *pos);

/** The same within a transaction of `producer_id`: seen when it is committed. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_group_offset_put_pending(km_group *group, int64_t producer_id,
                                                kc_bytes topic, int32_t partition, int64_t offset,
                                                int32_t leader_epoch, kc_bytes metadata);
/** Does a transaction hold an offset of this partition (UNSTABLE_OFFSET_COMMIT, KIP-447)? */
bool km_group_offset_is_pending(const km_group *group, kc_bytes topic, int32_t partition);
/** The transaction ends: its offsets count, or go. KC_ERR_NOMEM: to be tried again. */
KC_NODISCARD kc_err km_group_offsets_end(km_group *group, int64_t producer_id, bool is_commit);
/** The same for all groups of a partition of __consumer_offsets: there is a marker in it. */
KC_NODISCARD kc_err km_groups_offsets_end(const km_partition *partition, int64_t producer_id,
                                          bool is_commit);

#endif
