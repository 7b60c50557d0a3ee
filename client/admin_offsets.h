/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Partitions grouped by topic, as requests want them. */
#ifndef KC_ADMIN_OFFSETS_H
#define KC_ADMIN_OFFSETS_H

#include "client/admin_call.h"

/** One topic of a flat list, and where its partitions stand there. */
typedef struct kc_by_topic {
    kc_bytes topic;
    size_t *places;
    size_t count;
} kc_by_topic;

/** Group `offsets[which[0 .. count-1]]`, in the order topics first appear. */
KC_NODISCARD kc_err kc_group_by_topic(const kc_topic_offset *offsets, const size_t *which,
                                      size_t count, kb_arena *arena, kc_by_topic **topics_out,
                                      size_t *topic_count_out);

/** Copies of `offsets` in the result, none answered (err KC_ERR_AGAIN), and all their places.
 * KC_ERR_ARGUMENT: an illegal topic name or negative partition. */
KC_NODISCARD kc_err kc_admin_add_offsets(kc_admin_op *op, const kc_topic_offset *offsets,
                                         size_t count, size_t **places_out, kc_error *err);
/** The first unanswered offset of this partition; NULL: not asked for. */
kc_topic_offset *kc_admin_find_offset(kc_admin_op *op, kc_bytes topic, int32_t partition);
/** Offsets not answered get this code. */
void kc_admin_settle_offsets(kc_admin_op *op, kc_err code);

#endif
