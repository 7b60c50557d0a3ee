/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a partition knows of the producers that wrote to it: sequences and epochs (KIP-98, KIP-360), open
 * transactions, and those that were aborted. */
#ifndef KM_PRODUCER_STATE_H
#define KM_PRODUCER_STATE_H

#include "mock/topic.h"

/** So many of its last batches are known again when they come twice. */
#define KM_PRODUCER_BATCHES 5

/** One producer of a partition. */
typedef struct km_producer {
    int64_t id;
    bool is_known; /**< false: nothing of it is in the log */
    int16_t epoch;
    int32_t coordinator_epoch;
    int64_t last_timestamp;
    int64_t txn_first_offset; /**< of its open transaction; -1: none */
    int64_t last_offset;      /**< of its last batch or marker       */
    struct {
        int32_t first_sequence;
        int32_t last_sequence;
        int64_t base_offset;
        int64_t timestamp;
    } batches[KM_PRODUCER_BATCHES]; /**< of this epoch, oldest first */
    int batch_count;
} km_producer;

/** NULL: nothing of it is in the log. */
const km_producer *km_producer_find(const km_partition *partition, int64_t producer_id);
/** Walk: start with *pos = 0. */
const km_producer *km_producer_next(const km_partition *partition, size_t *pos);
/** Last sequence number; -1: none in this epoch. */
int32_t km_producer_last_sequence(const km_producer *producer);
/** Has this producer a transaction open here? */
bool km_partition_has_transaction(const km_partition *partition, int64_t producer_id,
                                  int16_t producer_epoch);

/** May this batch be appended?
 *
 * @param base_offset_out  Of a duplicate: where the batch stands already; else -1.
 * @return 0; DUPLICATE_SEQUENCE_NUMBER stands for a duplicate of one of the last five batches, which is answered as a
 * success; OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE. */
int16_t km_producers_check(const km_partition *partition, const kp_batch *batch,
                           int64_t *base_offset_out);
/** Room for what km_producers_appended() will note; before the batch goes into the log. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_producers_reserve(km_partition *partition, int64_t producer_id);
/** The last entry of the log was just appended: note its producer. Room was reserved. */
void km_producers_appended(km_partition *partition);
/** The log was cut at its end: forget what is not in it. */
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
