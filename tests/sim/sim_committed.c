/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Workload: readers by assignment of logs that hold transactions, between the records of producers without any.
 *
 * Promised, and checked. With read_committed: no record of an aborted transaction, none of one that is not decided, none
 * at or above the last stable offset; every other record, in order. With read_uncommitted: every record. Control records
 * come to nobody. What the log says is read here from its batches and markers alone, below the high watermark, and what
 * the script says of its transactions must be the same. */
#include "tests/sim/sim_assigned.h"
#include "tests/sim/sim_txns.h"

#include <stdlib.h>

#define READERS_MAX 2
#define OPEN_MAX    32

/* What stands at an offset, or the number of its transaction. */
#define OWNER_NONE    (-1)
#define OWNER_CONTROL (-2)

typedef enum txn_state {
    TXN_OPEN,
    TXN_COMMITTED,
    TXN_ABORTED,
} txn_state;

typedef struct log_txn {
    int64_t producer_id;
    int64_t first_offset;
    txn_state state;
} log_txn;

/** One partition's log, as far as all replicas have it. */
typedef struct log_view {
    int64_t until;   /**< read up to here */
    int32_t *owners; /**< by offset       */
    int64_t owner_cap;
    log_txn *txns;
    size_t txn_count, txn_cap;
    size_t open[OPEN_MAX]; /**< of txns */
    int open_count;
} log_view;

typedef struct committed_state {
    sim_reader readers[READERS_MAX];
    int count;
    log_view views[SIM_TOPICS_MAX][SIM_PARTITIONS_MAX];
    int64_t complete[READERS_MAX][SIM_TOPICS_MAX][SIM_PARTITIONS_MAX]; /**< all below was seen */
} committed_state;

/* ---- what the log says ---- */

static void *grown(sim_world *sim, void *items, size_t bytes)
{
    void *larger = realloc(items, bytes);
    if (!larger)
        sim_fail(sim, "no memory for the ledger");
    return larger;
}

static int find_open(const log_view *view, int64_t producer_id)
{
    for (int i = 0; i < view->open_count; i++)
        if (view->txns[view->open[i]].producer_id == producer_id)
            return i;
    return -1;
}

static int32_t begin_txn(sim_world *sim, log_view *view, const km_entry *entry)
{
    if (view->txn_count == view->txn_cap) {
        size_t cap = view->txn_cap ? view->txn_cap * 2 : 64;
        log_txn *larger = grown(sim, view->txns, cap * sizeof *larger);
        if (!larger)
            return OWNER_NONE;
        view->txns = larger;
        view->txn_cap = cap;
    }
    if (view->open_count == OPEN_MAX) {
        sim_fail(sim, "too many transactions are open");
        return OWNER_NONE;
    }
    view->txns[view->txn_count] = (log_txn){entry->producer_id, entry->base_offset, TXN_OPEN};
    view->open[view->open_count++] = view->txn_count;
    return (int32_t)view->txn_count++;
}

static void end_txn(log_view *view, const km_log *log, const km_entry *entry)
{
    kc_bytes bytes = km_log_entry_bytes(log, entry);
    kp_batch batch;
    kp_record_iter iter;
    kp_record record;
    int open = find_open(view, entry->producer_id);
    if (open < 0 || kp_batch_next(&bytes, true, &batch))
        return;
    kp_record_iter_init(&iter, &batch, batch.records);
    if (kp_record_next(&iter, &record))
        return;
    view->txns[view->open[open]].state =
        kp_control_type(record.key) == 1 ? TXN_COMMITTED : TXN_ABORTED;
    view->open[open] = view->open[--view->open_count];
}

static int32_t owner_of(sim_world *sim, log_view *view, const km_log *log, const km_entry *entry)
{
    if (entry->attributes & KP_ATTR_CONTROL) {
        end_txn(view, log, entry);
        return OWNER_CONTROL;
    }
    if (!(entry->attributes & KP_ATTR_TRANSACTIONAL))
        return OWNER_NONE;
    int open = find_open(view, entry->producer_id);
    return open >= 0 ? (int32_t)view->open[open] : begin_txn(sim, view, entry);
}

/** Read on up to the high watermark. */
static log_view *look(sim_world *sim, int topic, int32_t partition)
{
    committed_state *state = sim->state;
    log_view *view = &state->views[topic][partition];
    const km_log *log =
        &km_partition_find(sim->cluster, kc_str(sim->topics[topic].name), partition)->log;
    while (view->until < log->high_watermark && !sim->has_failed) {
        size_t at = km_log_find(log, view->until);
        if (at == log->entry_count || log->entries[at].next_offset > log->high_watermark)
            break;
        const km_entry *entry = &log->entries[at];
        if (entry->next_offset > view->owner_cap) {
            int64_t cap = entry->next_offset * 2 + 256;
            int32_t *larger = grown(sim, view->owners, (size_t)cap * sizeof *larger);
            if (!larger)
                break;
            view->owners = larger;
            view->owner_cap = cap;
        }
        int32_t owner = owner_of(sim, view, log, entry);
        for (int64_t i = view->until; i < entry->next_offset; i++)
            view->owners[i] = owner;
        view->until = entry->next_offset;
    }
    return view;
}

static int64_t last_stable(const log_view *view)
{
    int64_t stable = view->until;
    for (int i = 0; i < view->open_count; i++)
        if (view->txns[view->open[i]].first_offset < stable)
            stable = view->txns[view->open[i]].first_offset;
    return stable;
}

/** Is the record at this offset, below the last stable one, for this reader? */
static bool is_visible(const sim_reader *reader, const log_view *view, int64_t offset)
{
    int32_t owner = view->owners[offset];
    if (owner == OWNER_CONTROL)
        return false;
    return owner == OWNER_NONE || !reader->is_committed || view->txns[owner].state == TXN_COMMITTED;
}

/* ---- what a reader may be given ---- */

static bool check_record(sim_reader *reader, int topic, int32_t partition, int64_t from,
                         int64_t offset)
{
    sim_world *sim = reader->sim;
    const log_view *view = look(sim, topic, partition);
    const char *name = sim->topics[topic].name;
    int64_t stable = reader->is_committed ? last_stable(view) : view->until;
    if (offset >= stable)
        sim_fail(sim, "reader %d: %s-%d/%lld came, and what it may see ends at %lld",
                 reader->host->index, name, partition, (long long)offset, (long long)stable);
    else if (!is_visible(reader, view, offset))
        sim_fail(sim, "reader %d: %s-%d/%lld came, which is %s", reader->host->index, name,
                 partition, (long long)offset,
                 view->owners[offset] == OWNER_CONTROL ? "a control record" : "aborted");
    for (int64_t i = from; i < offset && !sim->has_failed; i++)
        if (is_visible(reader, view, i))
            sim_fail(sim, "reader %d: %s-%d came to %lld and left out %lld", reader->host->index,
                     name, partition, (long long)offset, (long long)i);
    return !sim->has_failed;
}

static bool has_all(sim_reader *reader)
{
    sim_world *sim = reader->sim;
    committed_state *state = sim->state;
    int64_t(*complete)[SIM_PARTITIONS_MAX] = state->complete[reader - state->readers];
    for (int t = 0; t < sim->topic_count; t++) {
        for (int32_t p = 0; p < sim->topics[t].partitions; p++) {
            const log_view *view = look(sim, t, p);
            const sim_seen *seen = &reader->seen.partitions[t][p];
            int64_t *at = &complete[t][p];
            while (*at < view->until &&
                   (!is_visible(reader, view, *at) || (*at < seen->cap && seen->hashes[*at] != 0)))
                (*at)++;
            if (*at < view->until)
                return false;
        }
    }
    return true;
}

static const sim_reader_rules rules = {.check = check_record, .has_all = has_all};

/* ---- the workload ---- */

static void start(sim_world *sim)
{
    committed_state *state = calloc(1, sizeof *state);
    sim->state = state;
    if (!state) {
        sim_fail(sim, "no memory for the ledger");
        return;
    }
    int topics = (int)sim_between(sim, 1, 2);
    for (int i = 0; i < topics; i++)
        if (!sim_topic_new(sim, (int32_t)sim_between(sim, 1, 4), -1))
            return;
    sim_producers_start(sim, (int)sim_between(sim, 0, 1));
    sim_txns_start(sim);
    int count = (int)sim_between(sim, 1, READERS_MAX);
    for (; state->count < count && !sim->has_failed; state->count++)
        sim_reader_open(sim, &state->readers[state->count], &rules);
}

static void settle(sim_world *sim)
{
    committed_state *state = sim->state;
    sim_producers_settle(sim);
    sim_txns_settle(sim);
    for (int i = 0; i < state->count; i++)
        sim_reader_settle(&state->readers[i]);
}

static bool is_done(sim_world *sim)
{
    committed_state *state = sim->state;
    if (!sim_producers_are_done(sim) || !sim_txns_are_done(sim))
        return false;
    for (int i = 0; i < state->count; i++)
        if (!sim_reader_is_done(&state->readers[i]))
            return false;
    return true;
}

typedef struct outcome_reading {
    sim_world *sim;
    const log_view *view;
    const char *topic;
    int32_t partition;
} outcome_reading;

static void on_logged(void *user, const kp_record *record)
{
    const outcome_reading *reading = user;
    sim_stamp stamp;
    int32_t owner = reading->view->owners[record->offset];
    if (!sim_stamp_read(record->value, &stamp) || stamp.producer < SIM_STAMP_SCRIPTED)
        return;
    if (owner < 0 || (reading->view->txns[owner].state == TXN_COMMITTED) !=
                         sim_txns_is_committed(reading->sim, &stamp))
        sim_fail(reading->sim, "%s-%d/%lld: the script and the log differ", reading->topic,
                 reading->partition, (long long)record->offset);
}

static void check(sim_world *sim)
{
    committed_state *state = sim->state;
    sim_producers_check(sim);
    sim_txns_check(sim);
    for (int i = 0; i < state->count; i++)
        sim_seen_check(sim, &state->readers[i].seen);
    for (int t = 0; t < sim->topic_count; t++) {
        for (int32_t p = 0; p < sim->topics[t].partitions; p++) {
            outcome_reading reading = {sim, look(sim, t, p), sim->topics[t].name, p};
            sim_log_walk(sim, km_partition_find(sim->cluster, kc_str(sim->topics[t].name), p),
                         on_logged, &reading);
        }
    }
}

static void release(sim_world *sim)
{
    committed_state *state = sim->state;
    for (int i = 0; i < state->count; i++)
        sim_reader_release(&state->readers[i]);
}

static void tell(sim_world *sim)
{
    committed_state *state = sim->state;
    for (int i = 0; i < state->count; i++)
        sim_seen_tell(sim, &state->readers[i].seen);
}

static void finish(sim_world *sim)
{
    committed_state *state = sim->state;
    for (int i = 0; state && i < state->count; i++)
        sim_reader_finish(&state->readers[i]);
    for (int t = 0; state && t < SIM_TOPICS_MAX; t++) {
        for (int p = 0; p < SIM_PARTITIONS_MAX; p++) {
            free(state->views[t][p].owners);
            free(state->views[t][p].txns);
        }
    }
    free(state);
    sim_producers_free(sim);
    sim_txns_free(sim);
}

const sim_workload sim_committed = {
    .name = "committed",
    .about = "consumers read transactions, committed or not",
    .start = start,
    .settle = settle,
    .is_done = is_done,
    .check = check,
    .watch = sim_producers_watch,
    .release = release,
    .finish = finish,
    .tell = tell,
};
