/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * From "prepared" to "complete".
 *
 *     PrepareCommit ---(a marker in each partition)---> CompleteCommit
 *     PrepareAbort  ---(a marker in each partition)---> CompleteAbort
 *
 * A partition whose marker is on all in-sync replicas leaves the transaction, so what is in it is what is missing. A
 * marker that was lost with a leader is written again. A partition that was deleted leaves it too. One without a leader
 * stays, until a watcher calls again; without memory, a timer does. The coordinator has to be there for all of it: the
 * leader of the id's partition of __transaction_state. */
#include "mock/txn_markers.h"

#include "mock/group_offsets.h"
#include "mock/producer_state.h"

/** Without memory for a marker: until the next try. */
#define RETRY_US 10000

void km_txn_move(km_txn *txn, km_txn_state state, km_txn_producer producer)
{
    kb_log_line(&txn->cluster->log, KC_LOG_DEBUG,
                "transaction " KC_FMT ": %s -> %s, producer %lld epoch %d", KC_ARG(txn->id),
                km_txn_state_name(txn->state), km_txn_state_name(state), (long long)producer.id,
                producer.epoch);
    txn->previous_producer_id = txn->producer.id;
    txn->producer = producer;
    txn->state = state;
}

km_txn_producer km_txn_producer_after(const km_txn *txn)
{
    return txn->next_producer_id < 0 ? txn->producer : (km_txn_producer){txn->next_producer_id, 0};
}

void km_txn_entry_free(km_txn_entry *entry)
{
    km_txn *txn = entry->txn;
    kb_list_remove(&entry->waiter.node);
    kb_map_remove(&txn->parts, kc_span(entry->key, entry->key_len));
    kb_mem_free(txn->cluster->mem, entry);
}

typedef enum marked {
    MARKED,
    WAITS,
    NO_MEMORY
} marked;

/** Not at once: this is told in the middle of what changed. */
static void on_partition(km_waiter *waiter)
{
    const km_txn_entry *entry = waiter->user;
    km_txn *txn = entry->txn;
    km_timer_set(txn->cluster, &txn->timer, txn->cluster->now_us);
}

/** Is its marker in the log, still? One that was deleted since was seen by all. */
static bool has_marker(const km_txn_entry *entry, const km_partition *partition)
{
    const km_log *log = &partition->log;
    return entry->marker_end > 0 && log->end_offset >= entry->marker_end &&
           (log->start_offset >= entry->marker_end ||
            km_log_epoch_at(log, entry->marker_end - 1) == entry->marker_epoch);
}

static marked mark_log(km_txn_entry *entry, km_partition *partition, int32_t coordinator_epoch)
{
    const km_txn *txn = entry->txn;
    if (!has_marker(entry, partition)) {
        if (partition->leader < 0)
            return WAITS;
        int64_t end = partition->log.end_offset + 1;
        if (km_partition_append_marker(partition, txn->producer.id, txn->producer.epoch,
                                       coordinator_epoch, txn->state == KM_TXN_PREPARE_COMMIT))
            return NO_MEMORY;
        entry->marker_end = end;
        entry->marker_epoch = partition->leader_epoch;
    }
    if (partition->log.high_watermark >= entry->marker_end)
        return MARKED;
    kb_list_remove(&entry->waiter.node);
    entry->waiter.fn = on_partition;
    entry->waiter.user = entry;
    km_partition_wait(partition, &entry->waiter);
    return WAITS;
}

static marked mark(km_txn_entry *entry, int32_t coordinator_epoch)
{
    const km_txn *txn = entry->txn;
    km_partition *partition = km_partition_find(txn->cluster, entry->part.topic, entry->part.index);
    if (!partition)
        return MARKED;
    if (!kc_bytes_equal(entry->part.topic, KC_STR("__consumer_offsets")))
        return mark_log(entry, partition, coordinator_epoch);
    if (partition->leader < 0)
        return WAITS;
    return km_groups_offsets_end(partition, txn->producer.id, txn->state == KM_TXN_PREPARE_COMMIT)
               ? NO_MEMORY
               : MARKED;
}

void km_txn_markers_go_on(km_txn *txn)
{
    const km_partition *coordinator =
        km_coordinator_partition(txn->cluster, KM_COORDINATOR_TRANSACTION, txn->id);
    if (!coordinator || coordinator->leader < 0)
        return;
    bool lacks_memory = false;
    size_t pos = 0;
    km_txn_entry *entry;
    while ((entry = kb_map_next(&txn->parts, &pos))) {
        marked result = mark(entry, coordinator->leader_epoch);
        lacks_memory |= result == NO_MEMORY;
        if (result == MARKED)
            km_txn_entry_free(entry);
    }
    if (txn->parts.count == 0) {
        km_txn_producer producer = km_txn_producer_after(txn);
        txn->next_producer_id = -1;
        km_txn_move(txn,
                    txn->state == KM_TXN_PREPARE_COMMIT ? KM_TXN_COMPLETE_COMMIT
                                                        : KM_TXN_COMPLETE_ABORT,
                    producer);
    } else if (lacks_memory) {
        km_timer_set(txn->cluster, &txn->timer, txn->cluster->now_us + RETRY_US);
    }
}

void km_txn_markers_begin(km_txn *txn)
{
    km_timer_stop(txn->cluster, &txn->timer);
    if (txn->cluster->options.txn_marker_delay_us > 0)
        km_timer_set(txn->cluster, &txn->timer,
                     txn->cluster->now_us + txn->cluster->options.txn_marker_delay_us);
    else
        km_txn_markers_go_on(txn);
}
