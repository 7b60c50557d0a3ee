/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Producers of a partition, as its log tells them: each batch and each marker that is appended is noted, and what was
 * noted can be read again from the log when its end is lost. What is below the log's start is known on: a producer
 * whose records were deleted goes on with its next sequence number (KAFKA-7190). */
#include "mock/producer_state.h"

#include "protocol/wire.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>

/** A transaction with records that ended. */
typedef struct ended_txn {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /**< of its marker */
    bool is_abort;
} ended_txn;

struct km_producers {
    kb_map by_id; /**< km_producer */
    size_t open_count;
    /** In the order of their markers. Committed ones only until their marker is below the high watermark. */
    ended_txn *ended;
    size_t ended_count;
    size_t ended_cap;
};

static km_producer *find(const km_partition *partition, int64_t producer_id)
{
    return partition->producers ? kb_map_get(&partition->producers->by_id, KB_KEY(producer_id))
                                : NULL;
}

const km_producer *km_producer_find(const km_partition *partition, int64_t producer_id)
{
    const km_producer *producer = find(partition, producer_id);
    return producer && producer->is_known ? producer : NULL;
}

const km_producer *km_producer_next(const km_partition *partition, size_t *pos)
{
    const km_producer *producer = NULL;
    while (partition->producers && (producer = kb_map_next(&partition->producers->by_id, pos)) &&
           !producer->is_known)
        continue;
    return producer;
}

int32_t km_producer_last_sequence(const km_producer *producer)
{
    return producer->batch_count > 0 ? producer->batches[producer->batch_count - 1].last_sequence
                                     : -1;
}

bool km_partition_has_transaction(const km_partition *partition, int64_t producer_id,
                                  int16_t producer_epoch)
{
    const km_producer *producer = km_producer_find(partition, producer_id);
    return producer && producer->txn_first_offset >= 0 && producer->epoch == producer_epoch;
}

/* ---- what a batch must look like ---- */

/** Sequence numbers go round at 2^31 - 1. */
static int32_t last_sequence_of(const kp_batch *batch)
{
    return (int32_t)(((uint32_t)batch->base_sequence + (uint32_t)batch->last_offset_delta) &
                     INT32_MAX);
}

static const int64_t *find_duplicate(const km_producer *producer, const kp_batch *batch)
{
    if (producer->epoch != batch->producer_epoch)
        return NULL;
    for (int i = 0; i < producer->batch_count; i++)
        if (producer->batches[i].first_sequence == batch->base_sequence &&
            producer->batches[i].last_sequence == last_sequence_of(batch))
            return &producer->batches[i].base_offset;
    return NULL;
}

int16_t km_producers_check(const km_partition *partition, const kp_batch *batch,
                           int64_t *base_offset_out)
{
    *base_offset_out = -1;
    if (batch->producer_id < 0)
        return 0;
    const km_producer *producer = km_producer_find(partition, batch->producer_id);
    if (!producer) /* its records were deleted, or it never wrote: any sequence number will do (KIP-360) */
        return 0;
    const int64_t *duplicate = find_duplicate(producer, batch);
    if (duplicate) {
        *base_offset_out = *duplicate;
        return KC_E_DUPLICATE_SEQUENCE_NUMBER;
    }
    if (batch->producer_epoch < producer->epoch)
        return KC_E_INVALID_PRODUCER_EPOCH;
    int32_t last = km_producer_last_sequence(producer);
    int32_t expected = batch->producer_epoch != producer->epoch || last == INT32_MAX ? 0 : last + 1;
    if (batch->base_sequence != expected)
        return KC_E_OUT_OF_ORDER_SEQUENCE_NUMBER;
    if (producer->txn_first_offset >= 0 && !(batch->attributes & KP_ATTR_TRANSACTIONAL))
        return KC_E_INVALID_TXN_STATE;
    return 0;
}

/* ---- what was appended ---- */

static void forget(km_producer *producer)
{
    producer->is_known = false;
    producer->epoch = -1;
    producer->coordinator_epoch = -1;
    producer->last_timestamp = -1;
    producer->txn_first_offset = -1;
    producer->last_offset = -1;
    producer->batch_count = 0;
}

/** Committed ones that all replicas have, and aborted ones that were deleted, are of no use to a reader. */
static void drop_old_ended(km_partition *partition)
{
    struct km_producers *producers = partition->producers;
    size_t kept = 0;
    for (size_t i = 0; i < producers->ended_count; i++) {
        const ended_txn *txn = &producers->ended[i];
        if (txn->last_offset >= partition->log.high_watermark ||
            (txn->is_abort && txn->last_offset >= partition->log.start_offset))
            producers->ended[kept++] = *txn;
    }
    producers->ended_count = kept;
}

static kc_err reserve_ended(km_partition *partition)
{
    struct km_producers *producers = partition->producers;
    if (producers->ended_count < producers->ended_cap)
        return KC_OK;
    drop_old_ended(partition);
    if (producers->ended_count < producers->ended_cap / 2)
        return KC_OK;
    size_t cap = producers->ended_cap ? producers->ended_cap * 2 : 8;
    ended_txn *larger =
        kb_mem_realloc(partition->log.mem, producers->ended, cap * sizeof *producers->ended);
    if (!larger)
        return KC_ERR_NOMEM;
    producers->ended = larger;
    producers->ended_cap = cap;
    return KC_OK;
}

kc_err km_producers_reserve(km_partition *partition, int64_t producer_id)
{
    if (producer_id < 0)
        return KC_OK;
    kb_mem *mem = partition->log.mem;
    if (!partition->producers) {
        partition->producers = kb_mem_zalloc(mem, sizeof *partition->producers);
        if (!partition->producers)
            return KC_ERR_NOMEM;
        kb_map_init(&partition->producers->by_id, mem);
    }
    if (!find(partition, producer_id)) {
        km_producer *producer = kb_mem_zalloc(mem, sizeof *producer);
        if (!producer)
            return KC_ERR_NOMEM;
        producer->id = producer_id;
        forget(producer);
        if (kb_map_put(&partition->producers->by_id, KB_KEY(producer->id), producer)) {
            kb_mem_free(mem, producer);
            return KC_ERR_NOMEM;
        }
    }
    return reserve_ended(partition);
}

static void take_epoch(km_producer *producer, int16_t epoch)
{
    if (producer->epoch == epoch)
        return;
    producer->epoch = epoch;
    producer->batch_count = 0;
}

static void note_data(struct km_producers *producers, km_producer *producer, const kp_batch *batch)
{
    take_epoch(producer, batch->producer_epoch);
    if (producer->batch_count == KM_PRODUCER_BATCHES) {
        producer->batch_count--;
        memmove(producer->batches, producer->batches + 1,
                (size_t)producer->batch_count * sizeof producer->batches[0]);
    }
    int at = producer->batch_count++;
    producer->batches[at].first_sequence = batch->base_sequence;
    producer->batches[at].last_sequence = last_sequence_of(batch);
    producer->batches[at].base_offset = batch->base_offset;
    producer->batches[at].timestamp = batch->max_timestamp;
    if ((batch->attributes & KP_ATTR_TRANSACTIONAL) && producer->txn_first_offset < 0) {
        producer->txn_first_offset = batch->base_offset;
        producers->open_count++;
    }
}

/** `is_replay`: what ended stands in the list already. */
static void note_marker(struct km_producers *producers, km_producer *producer,
                        const kp_batch *batch, bool is_replay)
{
    kp_record_iter iter;
    kp_record record;
    kp_record_iter_init(&iter, batch, batch->records);
    if (kp_record_next(&iter, &record)) /* it is our own */
        return;
    take_epoch(producer, batch->producer_epoch);
    if (record.value.len >= 6)
        producer->coordinator_epoch = (int32_t)kp_load32(record.value.ptr + 2);
    if (producer->txn_first_offset < 0)
        return;
    if (!is_replay)
        producers->ended[producers->ended_count++] =
            (ended_txn){producer->id, producer->txn_first_offset, batch->base_offset,
                        kp_control_type(record.key) == 0};
    producer->txn_first_offset = -1;
    producers->open_count--;
}

static void note(km_partition *partition, const km_entry *entry, bool is_replay)
{
    km_producer *producer = find(partition, entry->producer_id);
    kc_bytes rest = km_log_entry_bytes(&partition->log, entry);
    kp_batch batch;
    kc_err err = kp_batch_next(&rest, false, &batch);
    assert(producer && err == KC_OK);
    if (err)
        return;
    if (batch.attributes & KP_ATTR_CONTROL)
        note_marker(partition->producers, producer, &batch, is_replay);
    else
        note_data(partition->producers, producer, &batch);
    producer->is_known = true;
    producer->last_timestamp = batch.max_timestamp;
    producer->last_offset = entry->next_offset - 1;
}

void km_producers_appended(km_partition *partition)
{
    assert(partition->log.entry_count > 0);
    const km_entry *entry = &partition->log.entries[partition->log.entry_count - 1];
    if (entry->producer_id >= 0)
        note(partition, entry, false);
}

/** Those who wrote what was lost are read again from the rest of the log. */
void km_producers_truncated(km_partition *partition)
{
    struct km_producers *producers = partition->producers;
    const km_log *log = &partition->log;
    if (!producers)
        return;
    while (producers->ended_count > 0 &&
           producers->ended[producers->ended_count - 1].last_offset >= log->end_offset)
        producers->ended_count--;
    bool is_lost = false;
    size_t pos = 0;
    km_producer *producer;
    while ((producer = kb_map_next(&producers->by_id, &pos))) {
        if (producer->last_offset < log->end_offset)
            continue;
        producers->open_count -= producer->txn_first_offset >= 0;
        forget(producer);
        is_lost = true;
    }
    for (size_t i = 0; is_lost && i < log->entry_count; i++) {
        const km_entry *entry = &log->entries[i];
        producer = entry->producer_id >= 0 ? find(partition, entry->producer_id) : NULL;
        if (producer && producer->last_offset < entry->base_offset)
            note(partition, entry, true);
    }
}

void km_producers_cleanup(km_partition *partition)
{
    struct km_producers *producers = partition->producers;
    if (!producers)
        return;
    size_t pos = 0;
    km_producer *producer;
    while ((producer = kb_map_next(&producers->by_id, &pos))) {
        kb_map_remove(&producers->by_id, KB_KEY(producer->id));
        kb_mem_free(partition->log.mem, producer);
    }
    kb_map_cleanup(&producers->by_id);
    kb_mem_free(partition->log.mem, producers->ended);
    kb_mem_free(partition->log.mem, producers);
    partition->producers = NULL;
}

/* ---- transactions ---- */

int64_t km_partition_last_stable(const km_partition *partition)
{
    const struct km_producers *producers = partition->producers;
    int64_t stable = partition->log.high_watermark;
    if (!producers)
        return stable;
    size_t pos = 0;
    const km_producer *producer;
    while (producers->open_count > 0 && (producer = kb_map_next(&producers->by_id, &pos)))
        if (producer->txn_first_offset >= 0 && producer->txn_first_offset < stable)
            stable = producer->txn_first_offset;
    /* A marker that may be lost has not decided anything yet. */
    for (size_t i = producers->ended_count;
         i > 0 && producers->ended[i - 1].last_offset >= partition->log.high_watermark; i--)
        if (producers->ended[i - 1].first_offset < stable)
            stable = producers->ended[i - 1].first_offset;
    return stable;
}

size_t km_producers_aborted(const km_partition *partition, int64_t from, int64_t until,
                            km_aborted *out, size_t cap)
{
    const struct km_producers *producers = partition->producers;
    size_t count = 0;
    for (size_t i = 0; producers && i < producers->ended_count; i++) {
        const ended_txn *txn = &producers->ended[i];
        if (!txn->is_abort || txn->last_offset < from || txn->first_offset >= until)
            continue;
        if (count < cap)
            out[count] = (km_aborted){txn->producer_id, txn->first_offset, txn->last_offset};
        count++;
    }
    return count;
}
