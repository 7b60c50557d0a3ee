/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Transactional producers by script. A lane is one producer in one partition:
 *
 *     begin -> batch -> batch -> ... -> marker -> begin
 *
 * After each step it waits until what it wrote is on all replicas; what a crash took is written again, with the same
 * sequence numbers, as a producer does that got no answer. Some transactions are empty, some are open for long. */
#include "tests/sim/sim_txns.h"

#include "mock/producer_state.h"

#include <limits.h>
#include <stdlib.h>

#define LANES_MAX     12
#define BATCH_MAX     20000
#define VALUE_MAX     1500
#define RECORDS_MAX   12
#define PRODUCERS_MAX 4

typedef enum txn_outcome {
    TXN_OPEN,
    TXN_COMMITTED,
    TXN_ABORTED,
} txn_outcome;

typedef struct txn_lane {
    sim_world *sim;
    uint32_t number; /**< in the stamps */
    int topic;
    int32_t partition;
    kp_batch_producer producer;
    bool has_new_epochs; /**< each transaction has one (KIP-890) */
    kn_timer timer;
    int64_t interval_us;
    bool is_open;
    int64_t end_us; /**< of the open transaction */
    bool commits;   /**< how it ends             */
    bool is_ending; /**< the marker is written   */
    /* what waits for its replicas */
    bool waits;
    kb_buf batch;
    int64_t base_offset, next_offset;
    /* the ledger, by the number of a record */
    uint8_t *outcomes;
    size_t count, cap;
    size_t first; /**< of the open transaction */
} txn_lane;

struct sim_txns {
    txn_lane lanes[LANES_MAX];
    int count;
};

static km_partition *partition_of(const txn_lane *lane)
{
    return km_partition_find(lane->sim->cluster, kc_str(lane->sim->topics[lane->topic].name),
                             lane->partition);
}

/* ---- writing ---- */

static bool note_records(txn_lane *lane, size_t count)
{
    if (lane->count + count > lane->cap) {
        size_t cap = lane->cap ? lane->cap * 2 : 1024;
        uint8_t *larger = realloc(lane->outcomes, cap);
        if (!larger) {
            sim_fail(lane->sim, "no memory for the ledger");
            return false;
        }
        lane->outcomes = larger;
        lane->cap = cap;
    }
    memset(lane->outcomes + lane->count, TXN_OPEN, count);
    lane->count += count;
    return true;
}

static void add_record(txn_lane *lane, kp_batch_writer *writer, size_t number)
{
    sim_world *sim = lane->sim;
    uint8_t value[VALUE_MAX];
    size_t len = (size_t)sim_between(sim, SIM_STAMP_BYTES, sim_chance(sim, 90) ? 100 : VALUE_MAX);
    sim_stamp stamp = {lane->number, number};
    sim_stamp_write(value, len, &stamp);
    kc_bytes key = sim_chance(sim, 50) ? KC_STR("key") : KC_NULL;
    if (!kp_batch_append(writer, sim->cluster->wall_ms, key, kc_span(value, len), NULL, 0))
        sim_fail(sim, "a batch of a transaction has no room");
}

/** A batch of a few records, sealed, in lane->batch. */
static void make_batch(txn_lane *lane)
{
    sim_world *sim = lane->sim;
    static uint8_t data[BATCH_MAX];
    kp_batch_writer writer;
    kp_codec codec = sim_chance(sim, 50) ? KP_CODEC_NONE : (kp_codec)sim_between(sim, 1, 4);
    size_t records = (size_t)sim_between(sim, 1, RECORDS_MAX);
    kp_batch_writer_init(&writer, data, sizeof data);
    for (size_t i = 0; i < records; i++)
        add_record(lane, &writer, lane->count + i);
    kb_buf_reset(&lane->batch);
    kc_err err = KC_OK;
    if (codec == KP_CODEC_NONE)
        kb_buf_put(&lane->batch, data, kp_batch_finish(&writer));
    else
        err = kp_batch_finish_compressed(&writer, codec, INT_MIN, &lane->batch, NULL);
    if (err || lane->batch.len == 0 || !note_records(lane, records)) {
        sim_fail(sim, "a batch of a transaction can't be made: %d", err);
        return;
    }
    kp_batch_seal(lane->batch.data, lane->batch.len, &lane->producer);
    lane->producer.base_sequence += (int32_t)records;
}

static kc_err append_data(txn_lane *lane, km_partition *partition)
{
    kc_bytes rest = kc_span(lane->batch.data, lane->batch.len);
    kp_batch batch;
    int64_t duplicate;
    kc_err err = kp_batch_next(&rest, true, &batch);
    if (err)
        return err;
    int16_t code = km_producers_check(partition, &batch, &duplicate);
    if (code) {
        sim_fail(lane->sim, "lane %u: its batch is refused: %d", lane->number, code);
        return KC_OK;
    }
    err = km_producers_reserve(partition, lane->producer.id);
    if (!err)
        err = km_log_append(&partition->log, &batch, partition->leader_epoch);
    if (err)
        return err;
    km_producers_appended(partition);
    km_partition_appended(partition);
    return KC_OK;
}

/** What the lane has to write goes to the log's end. */
static void append(txn_lane *lane)
{
    sim_world *sim = lane->sim;
    km_partition *partition = partition_of(lane);
    lane->base_offset = partition->log.end_offset;
    kc_err err = lane->is_ending
                     ? km_partition_append_marker(partition, lane->producer.id,
                                                  lane->producer.epoch, 0, lane->commits)
                     : append_data(lane, partition);
    lane->next_offset = partition->log.end_offset;
    lane->waits = true;
    sim_note(sim, "lane %u: %s of producer %lld at %s-%d/%lld", lane->number,
             !lane->is_ending ? "a batch"
             : lane->commits  ? "a commit"
                              : "an abort",
             (long long)lane->producer.id, sim->topics[lane->topic].name, lane->partition,
             (long long)lane->base_offset);
    if (err)
        sim_fail(sim, "lane %u can't write: %d", lane->number, err);
}

/* ---- the script ---- */

static bool is_there(const txn_lane *lane, const km_log *log)
{
    size_t at = km_log_find(log, lane->base_offset);
    return at < log->entry_count && log->entries[at].base_offset == lane->base_offset &&
           log->entries[at].producer_id == lane->producer.id;
}

static void next_step(txn_lane *lane)
{
    sim_world *sim = lane->sim;
    if (!lane->is_open) {
        if (sim->is_settled)
            return;
        lane->is_open = true;
        lane->first = lane->count;
        lane->end_us = sim->now_us + (sim_chance(sim, 80)   ? sim_between(sim, 0, 1000000)
                                      : sim_chance(sim, 50) ? 0
                                                            : sim_between(sim, 0, 60000000));
    }
    lane->is_ending = sim->is_settled || sim->now_us >= lane->end_us;
    if (lane->is_ending) {
        lane->commits = sim_chance(sim, 60);
        lane->producer.epoch = (int16_t)(lane->producer.epoch + lane->has_new_epochs);
    } else if (lane->end_us - sim->now_us > 2000000 && sim_chance(sim, 80)) {
        return; /* open for long, with little in it */
    } else {
        make_batch(lane);
    }
    if (!sim->has_failed)
        append(lane);
}

static void on_replicated(txn_lane *lane)
{
    lane->waits = false;
    if (!lane->is_ending)
        return;
    for (size_t i = lane->first; i < lane->count; i++)
        lane->outcomes[i] = lane->commits ? TXN_COMMITTED : TXN_ABORTED;
    lane->is_open = lane->is_ending = false;
    if (lane->has_new_epochs)
        lane->producer.base_sequence = 0;
}

static void on_step(kn_timer *timer)
{
    txn_lane *lane = timer->user;
    sim_world *sim = lane->sim;
    const km_partition *partition = partition_of(lane);
    if (partition->leader >= 0 && lane->waits) {
        if (!is_there(lane, &partition->log))
            append(lane);
        else if (partition->log.high_watermark >= lane->next_offset)
            on_replicated(lane);
    }
    if (partition->leader >= 0 && !lane->waits)
        next_step(lane);
    int64_t pause_us = sim->is_settled ? 10000 : sim_between(sim, 0, lane->interval_us * 2);
    if (kn_timer_set(sim->loop, timer, sim->now_us + pause_us))
        sim_fail(sim, "a timer can't be set");
}

void sim_txns_start(sim_world *sim)
{
    struct sim_txns *state = calloc(1, sizeof *state);
    sim->txns = state;
    if (!state) {
        sim_fail(sim, "no memory for the ledger");
        return;
    }
    int count = (int)sim_between(sim, 1, LANES_MAX);
    int producers = (int)sim_between(sim, 1, PRODUCERS_MAX);
    for (; state->count < count; state->count++) {
        txn_lane *lane = &state->lanes[state->count];
        lane->sim = sim;
        lane->number = SIM_STAMP_SCRIPTED + (uint32_t)state->count;
        lane->topic = (int)sim_between(sim, 0, sim->topic_count - 1);
        lane->partition = (int32_t)sim_between(sim, 0, sim->topics[lane->topic].partitions - 1);
        lane->producer = (kp_batch_producer){.id = SIM_TXN_PRODUCER_ID + state->count % producers,
                                             .is_transactional = true};
        lane->has_new_epochs = sim_chance(sim, 50);
        lane->interval_us = sim_between(sim, 1000, 300000);
        lane->timer = (kn_timer){.fn = on_step, .user = lane};
        kb_buf_init(&lane->batch, &sim->mem, 0);
        /* A producer has one transaction at a time: two of its lanes can't share a partition. */
        for (int i = 0; i < state->count; i++)
            if (state->lanes[i].topic == lane->topic &&
                state->lanes[i].partition == lane->partition &&
                state->lanes[i].producer.id == lane->producer.id)
                lane->producer.id = SIM_TXN_PRODUCER_ID + producers + state->count;
        if (kn_timer_set(sim->loop, &lane->timer, sim->now_us + sim_between(sim, 0, 2000000)))
            sim_fail(sim, "a timer can't be set");
    }
}

void sim_txns_settle(sim_world *sim)
{
    struct sim_txns *state = sim->txns;
    for (int i = 0; i < state->count; i++)
        if (kn_timer_set(sim->loop, &state->lanes[i].timer, sim->now_us))
            sim_fail(sim, "a timer can't be set");
}

bool sim_txns_are_done(const sim_world *sim)
{
    const struct sim_txns *state = sim->txns;
    for (int i = 0; i < state->count; i++)
        if (state->lanes[i].is_open || state->lanes[i].waits)
            return false;
    return true;
}

/* ---- what must hold ---- */

bool sim_txns_is_committed(const sim_world *sim, const sim_stamp *stamp)
{
    const struct sim_txns *state = sim->txns;
    uint32_t lane = stamp->producer - SIM_STAMP_SCRIPTED;
    return lane < (uint32_t)state->count && stamp->number < state->lanes[lane].count &&
           state->lanes[lane].outcomes[stamp->number] == TXN_COMMITTED;
}

typedef struct lane_reading {
    txn_lane *lane;
    size_t next; /**< number of the record that must come */
} lane_reading;

static void on_logged(void *user, const kp_record *record)
{
    lane_reading *reading = user;
    txn_lane *lane = reading->lane;
    sim_stamp stamp;
    if (!sim_stamp_read(record->value, &stamp) || stamp.producer != lane->number)
        return;
    if (stamp.number != reading->next)
        sim_fail(lane->sim, "lane %u: its record %llu stands where %zu belongs", lane->number,
                 (unsigned long long)stamp.number, reading->next);
    reading->next++;
}

void sim_txns_check(sim_world *sim)
{
    struct sim_txns *state = sim->txns;
    for (int i = 0; i < state->count; i++) {
        lane_reading reading = {&state->lanes[i], 0};
        sim_log_walk(sim, partition_of(&state->lanes[i]), on_logged, &reading);
        if (reading.next != state->lanes[i].count)
            sim_fail(sim, "lane %u wrote %zu records, and %zu are there", state->lanes[i].number,
                     state->lanes[i].count, reading.next);
    }
}

void sim_txns_free(sim_world *sim)
{
    struct sim_txns *state = sim->txns;
    for (int i = 0; state && i < state->count; i++) {
        kn_timer_stop(sim->loop, &state->lanes[i].timer);
        kb_buf_cleanup(&state->lanes[i].batch);
        free(state->lanes[i].outcomes);
    }
    free(state);
    sim->txns = NULL;
}
