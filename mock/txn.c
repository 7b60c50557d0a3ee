/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The coordinator's state of each transactional id.
 *
 *            InitProducerId          partitions or offsets are added
 *     (none) --------------> Empty ---------------------------------> Ongoing
 *                              ^                                      |     ^
 *               InitProducerId |                      EndTxn, timeout |     | added
 *                              |                                      v     |
 *                        CompleteCommit <---- (markers) ---- PrepareCommit  |
 *                        CompleteAbort  <---- (markers) ---- PrepareAbort   |
 *                              |                                            |
 *                              +--------------------------------------------+
 *
 * With protocol 2 (EndTxn v5, KIP-890) a transaction that has nothing in it may be aborted too, and each end bumps the
 * epoch: what a producer of an older transaction still sends is refused. InitProducerId on a transaction that is
 * ongoing, and one's timeout, abort it in this way, whatever its client speaks, and so shut its producer out.
 *
 * Kafka's PrepareEpochFence and its pending states last as long as a write to __transaction_state; here a change of
 * state takes no time. Ids never expire (transactional.id.expiration.ms, 7 days). */
#include "mock/txn.h"

#include "mock/txn_markers.h"

#include <kafkac/unstable/errors.h>

/** The last epoch a client gets; the one above is for shutting it out. */
#define EPOCH_LAST (INT16_MAX - 1)

struct km_txns {
    km_module module;
    km_watcher watcher;
    km_cluster *cluster;
    kb_map by_id;
};

const char *km_txn_state_name(km_txn_state state)
{
    static const char *const names[KM_TXN_STATES] = {
        "Empty",          "Ongoing",       "PrepareCommit", "PrepareAbort",
        "CompleteCommit", "CompleteAbort", "Dead",          "PrepareEpochFence",
    };
    return names[state];
}

static bool is_prepared(const km_txn *txn)
{
    return txn->state == KM_TXN_PREPARE_COMMIT || txn->state == KM_TXN_PREPARE_ABORT;
}

static bool is_complete(const km_txn *txn)
{
    return txn->state == KM_TXN_COMPLETE_COMMIT || txn->state == KM_TXN_COMPLETE_ABORT;
}

/* ---- the ids ---- */

static void drop_parts(km_txn *txn)
{
    size_t pos = 0;
    km_txn_entry *entry;
    while ((entry = kb_map_next(&txn->parts, &pos)))
        km_txn_entry_free(entry);
}

static void txns_free(km_module *module)
{
    km_txns *txns = KB_CONTAINER(module, km_txns, module);
    km_cluster *cluster = txns->cluster;
    size_t pos = 0;
    km_txn *txn;
    while ((txn = kb_map_next(&txns->by_id, &pos))) {
        kb_map_remove(&txns->by_id, txn->id);
        km_timer_stop(cluster, &txn->timer);
        drop_parts(txn);
        kb_map_cleanup(&txn->parts);
        kb_mem_free(cluster->mem, txn);
    }
    kb_map_cleanup(&txns->by_id);
    km_unwatch(&txns->watcher);
    cluster->txns = NULL;
    cluster->on_transactional_produce = NULL;
    kb_mem_free(cluster->mem, txns);
}

static void on_timer(kn_timer *timer);

/** There may be leaders where there were none: what waits for one tries again, when all have heard of them. */
static void on_changed(km_watcher *watcher)
{
    km_txns *txns = watcher->user;
    size_t pos = 0;
    km_txn *txn;
    while ((txn = kb_map_next(&txns->by_id, &pos)))
        if ((txn->state == KM_TXN_ONGOING || is_prepared(txn)) && !kn_timer_is_set(&txn->timer))
            km_timer_set(txns->cluster, &txn->timer, txns->cluster->now_us);
}

static km_txns *open_txns(km_cluster *cluster)
{
    if (cluster->txns)
        return cluster->txns;
    km_txns *txns = kb_mem_zalloc(cluster->mem, sizeof *txns);
    if (!txns)
        return NULL;
    txns->module.free = txns_free;
    txns->watcher.fn = on_changed;
    txns->watcher.user = txns;
    txns->cluster = cluster;
    kb_map_init(&txns->by_id, cluster->mem);
    km_module_add(cluster, &txns->module);
    km_watch(cluster, &txns->watcher);
    cluster->txns = txns;
    cluster->on_transactional_produce = km_txn_on_produce;
    return txns;
}

km_txn *km_txn_find(const km_cluster *cluster, kc_bytes id)
{
    return cluster->txns ? kb_map_get(&cluster->txns->by_id, id) : NULL;
}

km_txn *km_txn_next(const km_cluster *cluster, size_t *pos)
{
    return cluster->txns ? kb_map_next(&cluster->txns->by_id, pos) : NULL;
}

int64_t km_producer_id_new(km_cluster *cluster)
{
    return cluster->next_producer_id++;
}

/** Find or make. */
static km_txn *open_txn(km_cluster *cluster, kc_bytes id)
{
    km_txn *txn = km_txn_find(cluster, id);
    if (txn)
        return txn;
    km_txns *txns = open_txns(cluster);
    txn = txns ? kb_mem_zalloc(cluster->mem, sizeof *txn + id.len) : NULL;
    if (!txn)
        return NULL;
    memcpy(txn + 1, id.ptr, id.len);
    txn->cluster = cluster;
    txn->id = kc_span(txn + 1, id.len);
    txn->previous_producer_id = -1;
    txn->next_producer_id = -1;
    txn->last_epoch = -1;
    txn->start_ms = -1;
    txn->timer.fn = on_timer;
    txn->timer.user = txn;
    kb_map_init(&txn->parts, cluster->mem);
    if (kb_map_put(&txns->by_id, txn->id, txn)) {
        kb_mem_free(cluster->mem, txn);
        return NULL;
    }
    txn->producer = (km_txn_producer){km_producer_id_new(cluster), -1};
    return txn;
}

/* ---- the end ---- */

static void prepare(km_txn *txn, bool is_commit, km_txn_producer producer)
{
    km_txn_move(txn, is_commit ? KM_TXN_PREPARE_COMMIT : KM_TXN_PREPARE_ABORT, producer);
    km_txn_markers_begin(txn);
}

/** As protocol 2 ends it: with the next epoch, or a new id when the epochs are used up. */
static void prepare_v2(km_txn *txn, bool is_commit)
{
    km_txn_producer next = txn->producer;
    if (txn->producer.epoch >= EPOCH_LAST)
        txn->next_producer_id = km_producer_id_new(txn->cluster);
    if (txn->producer.epoch < INT16_MAX) {
        txn->last_epoch = txn->producer.epoch;
        next.epoch++;
    }
    prepare(txn, is_commit, next);
}

static void on_timer(kn_timer *timer)
{
    km_txn *txn = timer->user;
    const km_partition *coordinator =
        km_coordinator_partition(txn->cluster, KM_COORDINATOR_TRANSACTION, txn->id);
    if (!coordinator || coordinator->leader < 0)
        return;
    if (txn->state == KM_TXN_ONGOING)
        prepare_v2(txn, false);
    else if (is_prepared(txn))
        km_txn_markers_go_on(txn);
}

/** As a transaction that is complete takes a retry of its end. */
static int16_t end_again(const km_txn *txn, bool is_commit)
{
    bool is_same = txn->state == (is_commit ? KM_TXN_COMPLETE_COMMIT : KM_TXN_COMPLETE_ABORT);
    return is_same ? 0 : KC_E_INVALID_TXN_STATE;
}

static int16_t end_v1(km_txn *txn, km_txn_producer producer, bool is_commit)
{
    if (txn->producer.id != producer.id)
        return KC_E_INVALID_PRODUCER_ID_MAPPING;
    if (txn->producer.epoch != producer.epoch)
        return KC_E_PRODUCER_FENCED;
    if (is_prepared(txn))
        return KC_E_CONCURRENT_TRANSACTIONS;
    if (txn->state != KM_TXN_ONGOING)
        return end_again(txn, is_commit);
    prepare(txn, is_commit, txn->producer);
    return 0;
}

static int16_t end_v2(km_txn *txn, km_txn_producer producer, bool is_commit,
                      km_txn_producer *producer_out)
{
    /* First of all: a client that was told its next epoch may use it before the markers are written. */
    if (is_prepared(txn))
        return KC_E_CONCURRENT_TRANSACTIONS;
    bool overflowed = txn->previous_producer_id == producer.id && producer.epoch == EPOCH_LAST &&
                      txn->producer.epoch == 0;
    if (txn->producer.id != producer.id && !overflowed)
        return KC_E_INVALID_PRODUCER_ID_MAPPING;
    /* After an end the epoch before is a retry of it, the present one is the next order. */
    bool is_retry = is_complete(txn) && (overflowed || txn->producer.epoch == producer.epoch + 1);
    if (!is_retry && txn->producer.epoch != producer.epoch)
        return KC_E_PRODUCER_FENCED;
    if (is_retry) {
        *producer_out = txn->producer;
        return end_again(txn, is_commit);
    }
    if (txn->state != KM_TXN_ONGOING) {
        if (is_commit)
            return KC_E_INVALID_TXN_STATE;
        txn->start_ms = txn->cluster->wall_ms;
    }
    prepare_v2(txn, is_commit);
    *producer_out = km_txn_producer_after(txn);
    return 0;
}

int16_t km_txn_end(km_cluster *cluster, kc_bytes id, km_txn_producer producer, bool is_commit,
                   bool is_v2, km_txn_producer *producer_out)
{
    km_txn *txn = km_txn_find(cluster, id);
    *producer_out = (km_txn_producer){-1, -1};
    if (id.len == 0)
        return KC_E_INVALID_REQUEST;
    if (!txn)
        return KC_E_INVALID_PRODUCER_ID_MAPPING;
    if (!is_v2)
        return end_v1(txn, producer, is_commit);
    int16_t error = end_v2(txn, producer, is_commit, producer_out);
    if (error)
        *producer_out = (km_txn_producer){-1, -1};
    return error;
}

/* ---- the beginning ---- */

/** KIP-360: what it claims to be is what it was told, or would have been told had it heard the answer. */
static bool may_be(const km_txn *txn, const km_txn_producer *expected)
{
    return txn->producer.epoch == -1 || txn->producer.id == expected->id ||
           (txn->previous_producer_id == expected->id && expected->epoch >= EPOCH_LAST);
}

/** The producer's next epoch, or its next id when the epochs are used up. */
static int16_t next_producer(km_txn *txn, const km_txn_producer *expected,
                             km_txn_producer *producer_out)
{
    km_txn_producer next = txn->producer;
    if (txn->producer.epoch >= EPOCH_LAST) {
        /* Kafka counts no further, and answers a retry this way. */
        if (expected && expected->epoch != txn->producer.epoch)
            return KC_E_UNKNOWN_SERVER_ERROR;
        txn->last_epoch = expected ? txn->producer.epoch : -1;
        next = (km_txn_producer){km_producer_id_new(txn->cluster), 0};
    } else if (!expected) {
        txn->last_epoch = -1;
        next.epoch++;
    } else if (txn->producer.epoch == -1 || expected->epoch == txn->producer.epoch) {
        txn->last_epoch = txn->producer.epoch;
        next.epoch++;
    } else if (expected->epoch != txn->last_epoch) {
        return KC_E_PRODUCER_FENCED;
    }
    *producer_out = next;
    return 0;
}

int16_t km_txn_init(km_cluster *cluster, kc_bytes id, int32_t timeout_ms,
                    const km_txn_producer *expected, km_txn_producer *producer_out)
{
    km_txn *txn = open_txn(cluster, id);
    if (!txn)
        return KM_TXN_NO_MEMORY;
    if (is_prepared(txn))
        return KC_E_CONCURRENT_TRANSACTIONS;
    if (expected && !may_be(txn, expected))
        return KC_E_PRODUCER_FENCED;
    if (txn->state == KM_TXN_ONGOING) {
        prepare_v2(txn, false);
        return KC_E_CONCURRENT_TRANSACTIONS;
    }
    int16_t error = next_producer(txn, expected, producer_out);
    if (error)
        return error;
    txn->timeout_ms = timeout_ms;
    txn->start_ms = -1;
    km_txn_move(txn, KM_TXN_EMPTY, *producer_out);
    return 0;
}

/* ---- partitions ---- */

static size_t key_len(const km_txn_part *part)
{
    return sizeof part->index + part->topic.len;
}

#define KEY_MAX (sizeof(int32_t) + KM_TOPIC_NAME_MAX)

static void write_key(uint8_t *key, const km_txn_part *part)
{
    memcpy(key, &part->index, sizeof part->index);
    if (part->topic.len > 0)
        memcpy(key + sizeof part->index, part->topic.ptr, part->topic.len);
}

static km_txn_entry *find_part(const km_txn *txn, const km_txn_part *part)
{
    uint8_t key[KEY_MAX];
    if (part->topic.len > KM_TOPIC_NAME_MAX)
        return NULL;
    write_key(key, part);
    return kb_map_get(&txn->parts, kc_span(key, key_len(part)));
}

static bool add_part(km_txn *txn, const km_txn_part *part)
{
    km_txn_entry *entry = kb_mem_zalloc(txn->cluster->mem, sizeof *entry + key_len(part));
    if (!entry)
        return false;
    entry->txn = txn;
    kb_list_init(&entry->waiter.node);
    entry->key_len = key_len(part);
    write_key(entry->key, part);
    entry->part.index = part->index;
    entry->part.topic = kc_span(entry->key + sizeof part->index, part->topic.len);
    entry->is_new = true;
    if (kb_map_put(&txn->parts, kc_span(entry->key, entry->key_len), entry)) {
        kb_mem_free(txn->cluster->mem, entry);
        return false;
    }
    return true;
}

static void keep_or_drop(km_txn *txn, const km_txn_part *parts, size_t count, bool keeps)
{
    for (size_t i = 0; i < count; i++) {
        km_txn_entry *entry = find_part(txn, &parts[i]);
        if (!entry || !entry->is_new)
            continue;
        entry->is_new = false;
        if (!keeps)
            km_txn_entry_free(entry);
    }
}

/** All or none. */
static int16_t add_all(km_txn *txn, const km_txn_part *parts, size_t count)
{
    size_t added = 0;
    while (added < count && (find_part(txn, &parts[added]) || add_part(txn, &parts[added])))
        added++;
    keep_or_drop(txn, parts, added, added == count);
    return added == count ? 0 : KM_TXN_NO_MEMORY;
}

const km_txn_part *km_txn_part_next(const km_txn *txn, size_t *pos)
{
    const km_txn_entry *entry = kb_map_next(&txn->parts, pos);
    return entry ? &entry->part : NULL;
}

/** What adding and verifying have in common. */
static int16_t check_producer(const km_txn *txn, kc_bytes id, km_txn_producer producer)
{
    if (id.len == 0)
        return KC_E_INVALID_REQUEST;
    if (!txn || txn->producer.id != producer.id)
        return KC_E_INVALID_PRODUCER_ID_MAPPING;
    if (txn->producer.epoch != producer.epoch)
        return KC_E_PRODUCER_FENCED;
    return is_prepared(txn) ? KC_E_CONCURRENT_TRANSACTIONS : 0;
}

int16_t km_txn_add(km_cluster *cluster, kc_bytes id, km_txn_producer producer,
                   const km_txn_part *parts, size_t count)
{
    km_txn *txn = km_txn_find(cluster, id);
    /* Here, other than for verifying, this is asked before who it is. */
    if (id.len > 0 && txn && is_prepared(txn))
        return KC_E_CONCURRENT_TRANSACTIONS;
    int16_t error = check_producer(txn, id, producer);
    error = error ? error : add_all(txn, parts, count);
    if (error)
        return error;
    if (txn->state != KM_TXN_ONGOING) {
        txn->start_ms = cluster->wall_ms;
        km_timer_set(cluster, &txn->timer, cluster->now_us + (int64_t)txn->timeout_ms * 1000);
        km_txn_move(txn, KM_TXN_ONGOING, producer);
    }
    return 0;
}

int16_t km_txn_verify(const km_cluster *cluster, kc_bytes id, km_txn_producer producer,
                      const km_txn_part *part)
{
    const km_txn *txn = km_txn_find(cluster, id);
    int16_t error = check_producer(txn, id, producer);
    return error ? error : find_part(txn, part) ? 0 : KC_E_TRANSACTION_ABORTABLE;
}
