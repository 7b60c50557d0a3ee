/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The log of one partition: record batches as they were sent, with their offsets; the high watermark; the epochs.
 *
 * Batches stand one behind the other in segments, so that what a Fetch gets is one slice. What readers see ends at
 * the high watermark; what lies behind it may be lost with the leader. */
#ifndef KM_LOG_H
#define KM_LOG_H

#include "protocol/base/chunk.h"
#include "protocol/batch.h"

/** Where one batch stands. */
typedef struct km_entry {
    int64_t base_offset;
    int64_t next_offset;
    int64_t max_timestamp;
    int32_t leader_epoch;
    uint32_t segment; /**< counted from the log's first, see first_segment */
    uint32_t at;      /**< bytes into the segment                          */
    uint32_t len;
    int64_t producer_id; /**< -1: none */
    int16_t producer_epoch;
    int16_t attributes;
} km_entry;

/** The first offset of a leader's epoch. */
typedef struct km_epoch {
    int32_t epoch;
    int64_t start_offset;
} km_epoch;

typedef struct km_log {
    kb_mem *mem;
    int64_t start_offset;
    int64_t end_offset;
    int64_t high_watermark;
    km_entry *entries; /**< of all batches not deleted in whole */
    size_t entry_count;
    size_t entry_cap;
    kb_chunk **segments;
    size_t segment_count;
    uint32_t first_segment; /**< number of segments[0] */
    km_epoch *epochs;
    size_t epoch_count;
    size_t epoch_cap;
    size_t bytes; /**< of all batches held */
} km_log;

void km_log_init(km_log *log, kb_mem *mem);
void km_log_cleanup(km_log *log);

/**
 * Append one batch of magic 2; offset and epoch are written into it (both lie outside of the checksum).
 *
 * @param batch  As kp_batch_next() read it, checked by the caller.
 * @retval KC_OK, KC_ERR_NOMEM: nothing changed.
 */
KC_NODISCARD kc_err km_log_append(km_log *log, const kp_batch *batch, int32_t leader_epoch);
/** The log ends at `offset` (a batch's border, or within: that batch goes in whole). */
void km_log_truncate(km_log *log, int64_t offset);
/** Delete everything below; at most up to the high watermark. */
void km_log_delete_before(km_log *log, int64_t offset);
/** A new leader's epoch begins at the end. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_log_begin_epoch(km_log *log, int32_t epoch);

/** The batch that holds `offset`, or the first one behind it; entry_count: none. */
size_t km_log_find(const km_log *log, int64_t offset);
/** The bytes of one batch. */
kc_bytes km_log_entry_bytes(const km_log *log, const km_entry *entry);
/**
 * Whole batches from the one that holds `offset`, below `until`, as one slice of one segment.
 *
 * @param bytes_max  At most so many, but always the first batch when `is_first_whole`.
 * @return Valid until the next append, truncation or deletion; empty: none.
 */
kc_bytes km_log_read(const km_log *log, int64_t offset, int64_t until, size_t bytes_max,
                     bool is_first_whole);

/** End of the highest epoch that is not above `epoch` (OffsetForLeaderEpoch, KIP-320): its epoch and the offset behind
 * its last record; of one older than all, itself and the start of the oldest. False: it has not begun. */
bool km_log_epoch_end(const km_log *log, int32_t epoch, int32_t *epoch_out, int64_t *end_out);
/** The epoch the record at `offset` was written in; -1: none. */
int32_t km_log_epoch_at(const km_log *log, int64_t offset);

#endif
