/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Producers that send to partitions, and a ledger of what they were told.
 *
 * Promised, and checked: each record's callback comes exactly once, within its deadline and a bound; an acknowledged
 * record (acks=all) is in the log where the acknowledgement says, as it was sent; acknowledged records of one producer
 * stand in each partition in the order they were sent. Without idempotence a record may be there twice, and one that
 * failed may be there. */
#include "client/producer_core.h"
#include "tests/sim/sim.h"

#include <kafkac/producer.h>

#include <stdio.h>
#include <stdlib.h>

#define PRODUCERS_MAX 3
/** How late a callback may come, beyond a request on its way that has to time out first. */
#define LATE_US         INT64_C(5000000)
#define VALUE_MAX       4000
#define LARGE_VALUE_MAX 30000
/** About so many records at most in a run, whatever its length; and of them so many at once. */
#define RECORDS_MAX   6000
#define BURST_AVERAGE 9

typedef enum record_state {
    RECORD_PENDING,
    RECORD_ACKED,
    RECORD_FAILED,
} record_state;

typedef struct sent_record {
    struct sim_producer *producer;
    uint64_t number;
    record_state state;
    int topic;
    int32_t partition;
    int64_t offset;
    int64_t due_us;
    bool is_found; /**< in the log, at its offset */
} sent_record;

typedef struct sim_producer {
    sim_world *sim;
    sim_host *host;
    kc_producer *producer;
    uint32_t number;
    kn_timer send_timer;
    sent_record **records;
    size_t count, cap;
    size_t pending;
    size_t first_pending; /**< all before it are settled */
    int64_t delivery_ms, request_ms;
    int64_t interval_us;
    size_t value_max;
    int acks;
} sim_producer;

struct sim_producers {
    sim_producer producers[PRODUCERS_MAX];
    int count;
};

static void on_delivery(const kc_delivery *delivery, void *user)
{
    sent_record *record = user;
    sim_world *sim = record->producer->sim;
    if (record->state != RECORD_PENDING) {
        sim_fail(sim, "record %u/%llu is told twice", record->producer->number,
                 (unsigned long long)record->number);
        return;
    }
    record->state = delivery->err == KC_OK ? RECORD_ACKED : RECORD_FAILED;
    record->producer->pending--;
    record->partition = delivery->partition;
    record->offset = delivery->offset;
    sim_note(sim, "record %u/%llu: %d at %d/%lld", record->producer->number,
             (unsigned long long)record->number, delivery->err, delivery->partition,
             (long long)delivery->offset);
    if (delivery->err == KC_OK && record->producer->acks != 0 && delivery->offset < 0)
        sim_fail(sim, "record %u/%llu is acknowledged without an offset", record->producer->number,
                 (unsigned long long)record->number);
}

static sent_record *new_record(sim_producer *producer)
{
    if (producer->count == producer->cap) {
        size_t cap = producer->cap ? producer->cap * 2 : 256;
        sent_record **larger = realloc(producer->records, cap * sizeof(sent_record *));
        if (!larger)
            return NULL;
        producer->records = larger;
        producer->cap = cap;
    }
    sent_record *record = calloc(1, sizeof *record);
    if (record)
        producer->records[producer->count++] = record;
    return record;
}

static bool send_one(sim_producer *producer)
{
    sim_world *sim = producer->sim;
    uint8_t value[LARGE_VALUE_MAX];
    char key[24];
    sent_record *record = new_record(producer);
    if (!record) {
        sim_fail(sim, "no memory for the ledger");
        return false;
    }
    record->producer = producer;
    record->number = producer->count - 1;
    record->topic = (int)sim_between(sim, 0, sim->topic_count - 1);
    const sim_topic *topic = &sim->topics[record->topic];
    size_t len = (size_t)sim_between(sim, SIM_STAMP_BYTES,
                                     sim_chance(sim, 90) ? 200 : (int64_t)producer->value_max);
    sim_stamp stamp = {producer->number, record->number};
    sim_stamp_write(value, len, &stamp);
    kc_record sent = KC_RECORD_INIT;
    sent.topic = kc_str(topic->name);
    sent.value = kc_span(value, len);
    if (sim_chance(sim, 50)) {
        snprintf(key, sizeof key, "k%d", (int)sim_between(sim, 0, 50));
        sent.key = kc_str(key);
    } else if (sim_chance(sim, 50)) {
        sent.partition = (int32_t)sim_between(sim, 0, topic->partitions - 1);
    }
    record->due_us = sim->now_us + producer->delivery_ms * 1000 + LATE_US;
    kc_err err = kc_producer_send(producer->producer, &sent, on_delivery, record, NULL);
    if (err == KC_OK) {
        producer->pending++;
        return true;
    }
    if (err != KC_ERR_BUFFER_FULL && err != KC_ERR_NOMEM)
        sim_fail(sim, "a send is refused: %d", err);
    record->state = RECORD_FAILED;
    return false;
}

static void on_send_timer(kn_timer *timer)
{
    sim_producer *producer = timer->user;
    sim_world *sim = producer->sim;
    if (sim->is_settled)
        return;
    int64_t burst = sim_chance(sim, 80) ? sim_between(sim, 1, 5) : sim_between(sim, 1, 60);
    while (burst-- > 0 && producer->pending < 20000 && send_one(producer))
        ;
    if (sim_chance(sim, 5))
        kc_producer_flush_start(producer->producer);
    int64_t next_us =
        sim_host_now_us(producer->host) + sim_between(sim, 0, producer->interval_us * 2);
    if (kn_timer_set(producer->host->loop, timer, next_us))
        sim_fail(sim, "a timer can't be set");
}

/** The least memory a client can have, of which large records want more. */
static void configure_tight(sim_producer *producer, kc_config *config)
{
    sim_world *sim = producer->sim;
    producer->value_max = LARGE_VALUE_MAX;
    sim_set(sim, config, "memory.bytes.max", "%d", 1 << 20);
    sim_set(sim, config, "buffer.memory", "%lld", (long long)sim_between(sim, 70000, 1 << 19));
    sim_set(sim, config, "fetch.max.bytes", "%d", 1 << 16);
    sim_set(sim, config, "decompressed.bytes.max", "%d", 1 << 16);
}

static void configure(sim_producer *producer, kc_config *config)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    sim_world *sim = producer->sim;
    producer->request_ms = sim_between(sim, 500, 30000);
    int64_t linger_ms = sim_chance(sim, 50) ? sim_between(sim, 0, 5) : sim_between(sim, 0, 500);
    producer->delivery_ms =
        producer->request_ms + linger_ms + sim_between(sim, 0, sim_chance(sim, 50) ? 1000 : 100000);
    producer->interval_us =
        (sim->faults_until_us - SIM_START_US) * BURST_AVERAGE / sim_between(sim, 100, RECORDS_MAX);
    producer->acks = -1;
    sim_set(sim, config, "request.timeout.ms", "%lld", (long long)producer->request_ms);
    sim_set(sim, config, "linger.ms", "%lld", (long long)linger_ms);
    sim_set(sim, config, "delivery.timeout.ms", "%lld", (long long)producer->delivery_ms);
    sim_set(sim, config, "batch.size", "%lld",
            (long long)(sim_chance(sim, 50) ? 16384 : sim_between(sim, 0, 100000)));
    sim_set(sim, config, "max.in.flight.requests.per.connection", "%lld",
            (long long)sim_between(sim, 1, 10));
    sim_set(sim, config, "compression.type", "%s",
            codecs[sim_chance(sim, 60) ? 0 : sim_between(sim, 0, 4)]);
    sim_set(sim, config, "metadata.max.age.ms", "%lld", (long long)sim_between(sim, 1000, 300000));
    if (sim_chance(sim, 20))
        sim_set(sim, config, "buffer.memory", "%lld", (long long)sim_between(sim, 70000, 1000000));
    producer->value_max = VALUE_MAX;
    if (sim_chance(sim, 20))
        configure_tight(producer, config);
}

static void open_producer(sim_world *sim, sim_producer *producer, uint32_t number)
{
    kc_error err = {0};
    kc_config *config = kc_config_new();
    producer->sim = sim;
    producer->number = number;
    producer->send_timer = (kn_timer){.fn = on_send_timer, .user = producer};
    if (!config) {
        sim_fail(sim, "no memory for a configuration");
        return;
    }
    configure(producer, config);
    producer->host = sim_host_new(sim, config);
    kc_config_free(config);
    if (!producer->host)
        return;
    if (kc_producer_open(producer->host->client, NULL, &producer->producer, &err))
        sim_fail(sim, "a producer can't be opened: %s", err.text);
    else if (kn_timer_set(producer->host->loop, &producer->send_timer,
                          sim->now_us + sim_between(sim, 0, 1000000)))
        sim_fail(sim, "a timer can't be set");
}

void sim_producers_start(sim_world *sim, int count)
{
    struct sim_producers *state = calloc(1, sizeof *state);
    sim->producers = state;
    if (!state || count > PRODUCERS_MAX) {
        sim_fail(sim, "no memory for the ledger");
        return;
    }
    for (; state->count < count && !sim->has_failed; state->count++)
        open_producer(sim, &state->producers[state->count], (uint32_t)state->count);
}

/* ---- what must hold ---- */

/** A record in a request on its way has that one's time too. */
static bool is_on_its_way(const sim_producer *producer, int64_t due_us)
{
    if (producer->sim->now_us > due_us + producer->request_ms * 1000)
        return false;
    KB_LIST_FOR (node, &producer->producer->requests) {
        if (KB_CONTAINER(node, kc_producer_request, node)->net.conn)
            return true;
    }
    return false;
}

static void watch_producer(sim_producer *producer)
{
    sim_world *sim = producer->sim;
    while (producer->first_pending < producer->count &&
           producer->records[producer->first_pending]->state != RECORD_PENDING)
        producer->first_pending++;
    if (producer->first_pending == producer->count)
        return;
    sent_record *oldest = producer->records[producer->first_pending];
    if (producer->host->is_frozen) {
        oldest->due_us = oldest->due_us > sim->now_us ? oldest->due_us : sim->now_us + LATE_US;
        return;
    }
    if (oldest->due_us < sim->now_us && !is_on_its_way(producer, oldest->due_us))
        sim_fail(sim, "record %u/%llu is %.3f s late and not told of", producer->number,
                 (unsigned long long)oldest->number,
                 (double)(sim->now_us - oldest->due_us + LATE_US) / 1e6);
}

void sim_producers_watch(sim_world *sim)
{
    struct sim_producers *state = sim->producers;
    for (int i = 0; i < state->count; i++)
        watch_producer(&state->producers[i]);
}

void sim_producers_settle(sim_world *sim)
{
    struct sim_producers *state = sim->producers;
    for (int i = 0; i < state->count; i++)
        kc_producer_flush_start(state->producers[i].producer);
}

bool sim_producers_are_done(sim_world *sim)
{
    const struct sim_producers *state = sim->producers;
    for (int i = 0; i < state->count; i++)
        if (state->producers[i].pending > 0)
            return false;
    return true;
}

typedef struct log_reading {
    sim_world *sim;
    int topic;
    int32_t partition;
} log_reading;

static void on_logged(void *user, const kp_record *logged)
{
    const log_reading *reading = user;
    struct sim_producers *state = reading->sim->producers;
    int64_t offset = logged->offset;
    sim_stamp stamp = {0};
    bool is_stamped = sim_stamp_read(logged->value, &stamp);
    if (is_stamped && stamp.producer >= SIM_STAMP_SCRIPTED)
        return;
    if (!is_stamped || stamp.producer >= (uint32_t)state->count ||
        stamp.number >= state->producers[stamp.producer].count) {
        sim_fail(reading->sim, "%s-%d at %lld: not what anyone sent",
                 reading->sim->topics[reading->topic].name, reading->partition, (long long)offset);
        return;
    }
    sent_record *record = state->producers[stamp.producer].records[stamp.number];
    if (record->topic != reading->topic)
        sim_fail(reading->sim, "record %u/%llu stands in another topic", stamp.producer,
                 (unsigned long long)stamp.number);
    if (record->state == RECORD_ACKED && record->partition == reading->partition &&
        record->offset == offset)
        record->is_found = true;
}

static void check_producer(sim_world *sim, const sim_producer *producer)
{
    int64_t last[SIM_TOPICS_MAX][16];
    memset(last, -1, sizeof last);
    for (size_t i = 0; i < producer->count && !sim->has_failed; i++) {
        const sent_record *record = producer->records[i];
        if (record->state != RECORD_ACKED)
            continue;
        if (!record->is_found)
            sim_fail(sim, "record %u/%llu is acknowledged at %s-%d/%lld and is not there",
                     producer->number, (unsigned long long)record->number,
                     sim->topics[record->topic].name, record->partition, (long long)record->offset);
        int64_t *before = &last[record->topic][record->partition];
        if (record->offset <= *before)
            sim_fail(sim, "record %u/%llu at %s-%d/%lld stands before an earlier one at %lld",
                     producer->number, (unsigned long long)record->number,
                     sim->topics[record->topic].name, record->partition, (long long)record->offset,
                     (long long)*before);
        *before = record->offset;
    }
}

void sim_producers_check(sim_world *sim)
{
    struct sim_producers *state = sim->producers;
    for (int t = 0; t < sim->topic_count; t++) {
        for (int32_t p = 0; p < sim->topics[t].partitions; p++) {
            log_reading reading = {sim, t, p};
            const km_partition *partition =
                km_partition_find(sim->cluster, kc_str(sim->topics[t].name), p);
            sim_log_walk(sim, partition, on_logged, &reading);
        }
    }
    for (int i = 0; i < state->count; i++)
        check_producer(sim, &state->producers[i]);
}

void sim_producers_free(sim_world *sim)
{
    struct sim_producers *state = sim->producers;
    for (int i = 0; state && i < state->count; i++) {
        sim_producer *producer = &state->producers[i];
        if (producer->pending > 0 && !sim->has_failed)
            sim_fail(sim, "%zu records were never told of", producer->pending);
        for (size_t n = 0; n < producer->count; n++)
            free(producer->records[n]);
        free(producer->records);
    }
    free(state);
}
