/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sets of partitions named by topic id, each with the epoch in which its owner got it: what members of consumer groups
 * hold, are to hold, and are to give back. Sorted, so that two sets are walked side by side. */
#ifndef KM_PARTITION_SET_H
#define KM_PARTITION_SET_H

#include "protocol/base/mem.h"

typedef struct km_owned {
    kc_uuid topic_id;
    int32_t partition;
    int32_t epoch; /**< since when: KIP-1251. Not part of the key */
} km_owned;

/** Zero-filled is empty. */
typedef struct km_partition_set {
    km_owned *items;
    size_t count;
} km_partition_set;

/** By topic id, then partition. */
int km_owned_compare(const km_owned *a, const km_owned *b);
/** Room for `cap` partitions, empty. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_partition_set_init(km_partition_set *set, kb_mem *mem, size_t cap);
void km_partition_set_cleanup(km_partition_set *set, kb_mem *mem);
/** Behind all that is in it, and there is room. */
void km_partition_set_push(km_partition_set *set, const km_owned *item);
/** NULL: not in it. */
const km_owned *km_partition_set_find(const km_partition_set *set, kc_uuid topic_id,
                                      int32_t partition);
/** The same partitions with the same epochs? */
bool km_partition_set_equal(const km_partition_set *a, const km_partition_set *b);

#endif
