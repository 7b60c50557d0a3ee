/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a partition knows of the producers that wrote to it: sequences and epochs (KIP-98, KIP-360), open
 * transactions, and those that were aborted. */
#ifndef KM_PRODUCER_STATE_H
#define KM_PRODUCER_STATE_H

#include "mock/topic.h"

/** May this batch be appended?
 *
 * @param base_offset_out  Of a duplicate: where the batch stands already; else -1.
 * @return 0; DUPLICATE_SEQUENCE_NUMBER stands for a duplicate of one of the last five batches, which is answered as a
 * success; OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE. */
int16_t km_producers_check(const km_partition *partition, const kp_batch *batch,
                           int64_t *base_offset_out);
/** The batch was appended at `base_offset`. KC_ERR_NOMEM: nothing was noted (reserve before appending). */
KC_NODISCARD kc_err km_producers_appended(km_partition *partition, const kp_batch *batch,
                                          int64_t base_offset);
/** The log was cut at its end, or what was deleted is below its start: forget what is not in it. */
void km_producers_truncated(km_partition *partition);
void km_producers_cleanup(km_partition *partition);

/** The last stable offset: first offset of the oldest open transaction, at most the high watermark. */
int64_t km_partition_last_stable(const km_partition *partition);
/** Append a control record that ends a transaction; wakes the readers. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_partition_append_marker(km_partition *partition, int64_t producer_id,
                                               int16_t producer_epoch, int32_t coordinator_epoch,
                                               bool is_commit);

/** One aborted transaction of a partition. */
typedef struct km_aborted {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /**< of its marker */
} km_aborted;
/** Aborted transactions that touch [from, until), in the order of their markers; at most `cap` are written. Count of all. */
size_t km_producers_aborted(const km_partition *partition, int64_t from, int64_t until,
                            km_aborted *out, size_t cap);

#endif
