/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Who gets which partition: the server-side assignors of KIP-848 as functions over numbers. Members and topics are
 * told by their index; a partition's place in `owners` is its topic's first place plus its number. */
#ifndef KM_ASSIGNOR_H
#define KM_ASSIGNOR_H

#include "protocol/base/mem.h"

#define KM_NO_OWNER (-1)

typedef struct km_assignor_input {
    kb_mem *mem;
    int32_t topic_count;
    const int32_t *partition_counts; /**< by topic                                               */
    int32_t member_count;            /**< sorted as "range" deals: km_assignor_compare()         */
    const bool *is_subscribed;       /**< [member * topic_count + topic]                         */
} km_assignor_input;

/** The order of two members: those with an instance id come first, by it; the others by member id. */
int km_assignor_compare(kc_bytes instance_a, kc_bytes member_a, kc_bytes instance_b,
                        kc_bytes member_b);

/** How many places `owners` has. */
size_t km_assignor_places(const km_assignor_input *input);

/**
 * @param owners  Of each partition: who has it now, or KM_NO_OWNER; then who is to have it. A topic no member is
 *                subscribed to has no owner.
 * @return KC_ERR_NOMEM: `owners` is unspecified.
 */
typedef kc_err (*km_assignor)(const km_assignor_input *input, int32_t *owners);

/** As even as it can be, and as few partitions as possible move. */
KC_NODISCARD kc_err km_assign_uniform(const km_assignor_input *input, int32_t *owners);
/** Of each topic, every subscriber one piece in a row: topics with as many partitions are dealt alike. */
KC_NODISCARD kc_err km_assign_range(const km_assignor_input *input, int32_t *owners);

/** "uniform" or "range"; NULL: no such assignor. */
km_assignor km_assignor_by_name(kc_bytes name);

#endif
