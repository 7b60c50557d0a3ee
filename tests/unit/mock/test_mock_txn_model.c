/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Transactions of three producers at random, against a naive model of what readers may see. */
#include "mock/producer_state.h"
#include "tests/unit/mock/mock_txns.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define PRODUCERS    3
#define PARTITIONS   2
#define STEPS        300
#define ABORTED_MAX  64
#define REPLICATE_US 5000

/** A record, by who wrote it and its sequence number. */
typedef struct record {
    who producer;
    int32_t sequence;
} record;

typedef struct records {
    record items[STEPS];
    int count;
} records;

/** One producer as a client would keep it, and what became of its records. */
typedef struct model {
    char id[8];
    who producer;
    bool is_v2; /**< protocol 1 adds before it produces */
    bool is_open;
    bool is_added[PARTITIONS];
    int32_t sequence[PARTITIONS];
    records open[PARTITIONS]; /**< of the transaction */
} model;

typedef struct random_world {
    mock_world *mock;
    kb_rand rand;
    const km_topic *topic;
    model models[PRODUCERS];
    records committed[PARTITIONS];
} random_world;

static int16_t random_init(random_world *world, model *one)
{
    kp_init_producer_id_req request;
    mock_defaults(KP_API_INIT_PRODUCER_ID, &request);
    request.transactional_id = kc_str(one->id);
    request.transaction_timeout_ms = 1000;
    const kp_init_producer_id_resp *response =
        mock_ask(mock_coordinator(world->mock, KM_COORDINATOR_TRANSACTION, one->id),
                 KP_API_INIT_PRODUCER_ID, 5, &request);
    if (response->error_code)
        return response->error_code;
    one->producer = (who){response->producer_id, response->producer_epoch};
    one->is_v2 = kb_rand_one_in(&world->rand, 2);
    memset(one->sequence, 0, sizeof one->sequence);
    return 0;
}

static void put(records *to, record item)
{
    ck_assert_int_lt(to->count, STEPS);
    to->items[to->count++] = item;
}

/** The transaction is over, one way or the other. */
static void forget_open(random_world *world, model *one, bool is_commit)
{
    for (int i = 0; i < PARTITIONS; i++) {
        for (int k = 0; is_commit && k < one->open[i].count; k++)
            put(&world->committed[i], one->open[i].items[k]);
        one->open[i].count = 0;
        one->is_added[i] = false;
    }
    one->is_open = false;
}

static void random_end(random_world *world, model *one)
{
    bool is_commit = kb_rand_one_in(&world->rand, 2);
    kp_end_txn_req request;
    mock_defaults(KP_API_END_TXN, &request);
    request.transactional_id = kc_str(one->id);
    request.producer_id = one->producer.id;
    request.producer_epoch = one->producer.epoch;
    request.committed = is_commit;
    const kp_end_txn_resp *response =
        mock_ask(mock_coordinator(world->mock, KM_COORDINATOR_TRANSACTION, one->id), KP_API_END_TXN,
                 one->is_v2 ? 5 : 4, &request);
    switch (response->error_code) {
    case 0:
        forget_open(world, one, is_commit);
        if (one->is_v2) {
            one->producer = (who){response->producer_id, response->producer_epoch};
            memset(one->sequence, 0, sizeof one->sequence);
        }
        break;
    case KC_E_PRODUCER_FENCED: /* it took too long */
        forget_open(world, one, false);
        one->producer.epoch = -1;
        break;
    case KC_E_CONCURRENT_TRANSACTIONS:
        break;
    case KC_E_INVALID_TXN_STATE: /* it took too long, and with protocol 2 looks like a retry */
        ck_assert(!one->is_open || (one->is_v2 && is_commit));
        if (one->is_open)
            one->producer.epoch = -1;
        forget_open(world, one, false);
        break;
    default:
        ck_abort_msg("end: %d", response->error_code);
    }
}

static int16_t random_add(random_world *world, model *one, int32_t index)
{
    if (one->is_v2 || one->is_added[index])
        return 0;
    const km_txn_part part = {KC_STR("t"), index};
    int16_t error = txn_add_to(world->mock, 3, one->id, one->producer, &part);
    one->is_added[index] = error == 0;
    one->is_open |= error == 0;
    return error == KC_E_PRODUCER_FENCED ? KC_E_INVALID_PRODUCER_EPOCH : error;
}

static int16_t random_send(random_world *world, const model *one, int32_t index)
{
    const kp_batch_producer as = {one->producer.id, one->producer.epoch, one->sequence[index],
                                  true};
    kp_produce_req request;
    kp_produce_req_topic_data data = {.name = KC_STR("t")};
    data.topic_id = world->topic->id;
    kp_produce_req_partition_data part = {.index = index,
                                          .records = mock_batch(world->mock, 1, &as)};
    data.partition_data.items = &part;
    data.partition_data.count = 1;
    mock_defaults(KP_API_PRODUCE, &request);
    request.transactional_id = kc_str(one->id);
    request.acks = -1;
    request.timeout_ms = 1000;
    request.topic_data.items = &data;
    request.topic_data.count = 1;
    mock_link *link = mock_leader(world->mock, "t", index);
    mock_send(link, KP_API_PRODUCE, one->is_v2 ? 13 : 11, &request);
    const kp_produce_resp *response = mock_answer(link);
    if (!response) { /* it waits for the replicas */
        mock_run(world->mock, REPLICATE_US / 500);
        response = mock_answer(link);
    }
    ck_assert_ptr_nonnull(response);
    return response->responses.items[0].partition_responses.items[0].error_code;
}

static void random_produce(random_world *world, model *one)
{
    int32_t index = (int32_t)kb_rand_below(&world->rand, PARTITIONS);
    int16_t error = random_add(world, one, index);
    error = error ? error : random_send(world, one, index);
    if (error == 0) {
        put(&one->open[index], (record){one->producer, one->sequence[index]++});
        one->is_open = true;
    } else if (error == KC_E_INVALID_PRODUCER_EPOCH) {
        forget_open(world, one, false);
        one->producer.epoch = -1;
    } else {
        ck_assert_int_eq(error, KC_E_CONCURRENT_TRANSACTIONS);
    }
}

static void random_step(random_world *world)
{
    model *one = &world->models[kb_rand_below(&world->rand, PRODUCERS)];
    uint64_t what = kb_rand_below(&world->rand, 20);
    if (one->producer.epoch == -1 || what == 0) {
        int16_t error = random_init(world, one);
        if (error == KC_E_CONCURRENT_TRANSACTIONS)
            forget_open(world, one, false); /* shut out by itself, or being ended already */
        else
            ck_assert_int_eq(error, 0);
        if (error)
            one->producer.epoch = -1;
    } else if (what < 5) {
        random_end(world, one);
    } else if (what == 5) {
        mock_run(world->mock, (int64_t)kb_rand_below(&world->rand, 200));
    } else if (what == 6) {
        int32_t id = (int32_t)kb_rand_below(&world->rand, 3) + 1;
        km_broker_stop(mock_broker(world->mock, id), kb_rand_one_in(&world->rand, 2));
        km_broker_start(mock_broker(world->mock, id));
    } else {
        random_produce(world, one);
    }
}

/* ---- reading as a client does ---- */

/** Of one answer: producers in whose aborted transaction the reader is (KIP-98), from its first offset to its marker. */
typedef struct reader {
    const kp_fetch_resp_partition *fetched;
    bool is_seen[ABORTED_MAX]; /**< of fetched->aborted_transactions */
    int64_t aborting[ABORTED_MAX];
    int aborting_count;
} reader;

static int aborting_at(const reader *reading, int64_t producer_id)
{
    for (int i = 0; i < reading->aborting_count; i++)
        if (reading->aborting[i] == producer_id)
            return i;
    return -1;
}

static void read_batch(reader *reading, const kp_batch *batch, records *out)
{
    for (int32_t i = 0; i < reading->fetched->aborted_transactions.count; i++) {
        const kp_fetch_resp_aborted_transaction *txn =
            &reading->fetched->aborted_transactions.items[i];
        if (reading->is_seen[i] || txn->first_offset > batch->base_offset)
            continue;
        reading->is_seen[i] = true;
        if (aborting_at(reading, txn->producer_id) < 0)
            reading->aborting[reading->aborting_count++] = txn->producer_id;
    }
    int at = aborting_at(reading, batch->producer_id);
    if (batch->attributes & KP_ATTR_CONTROL) {
        kp_record_iter iter;
        kp_record marker;
        kp_record_iter_init(&iter, batch, batch->records);
        ck_assert_int_eq(kp_record_next(&iter, &marker), KC_OK);
        if (at >= 0 && kp_control_type(marker.key) == 0)
            reading->aborting[at] = reading->aborting[--reading->aborting_count];
    } else if (at < 0) {
        put(out, (record){{batch->producer_id, batch->producer_epoch}, batch->base_sequence});
    }
}

/** One Fetch of committed records, and where the next one begins. */
static int64_t read_some(const random_world *world, int32_t index, int64_t offset, records *out)
{
    kp_fetch_req request;
    kp_fetch_req_topic topic = {.topic = KC_STR("t")};
    kp_fetch_req_partition part = {.partition = index,
                                   .current_leader_epoch = -1,
                                   .fetch_offset = offset,
                                   .last_fetched_epoch = -1,
                                   .log_start_offset = -1,
                                   .partition_max_bytes = 600,
                                   .high_watermark = INT64_MAX};
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    mock_defaults(KP_API_FETCH, &request);
    request.isolation_level = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_fetch_resp *response =
        mock_ask(mock_leader(world->mock, "t", index), KP_API_FETCH, 12, &request);
    reader reading = {.fetched = &response->responses.items[0].partitions.items[0]};
    ck_assert_int_eq(reading.fetched->error_code, 0);
    ck_assert_int_le(reading.fetched->aborted_transactions.count, ABORTED_MAX);
    kc_bytes rest = reading.fetched->records;
    kp_batch batch;
    while (rest.ptr && kp_batch_next(&rest, true, &batch) == KC_OK) {
        read_batch(&reading, &batch, out);
        offset = kp_batch_next_offset(&batch);
    }
    return offset;
}

static void read_all(const random_world *world, int32_t index, records *out)
{
    int64_t offset = 0;
    int64_t before;
    out->count = 0;
    do {
        before = offset;
        offset = read_some(world, index, offset, out);
    } while (offset != before);
}

static int by_producer(const void *a, const void *b)
{
    const record *left = a;
    const record *right = b;
    if (left->producer.id != right->producer.id)
        return left->producer.id < right->producer.id ? -1 : 1;
    if (left->producer.epoch != right->producer.epoch)
        return left->producer.epoch - right->producer.epoch;
    return left->sequence - right->sequence;
}

static void check_partition(random_world *world, uint64_t seed, int32_t index)
{
    records read;
    records *committed = &world->committed[index];
    const km_partition *partition = world->topic->partitions[index];
    read_all(world, index, &read);
    qsort(read.items, (size_t)read.count, sizeof read.items[0], by_producer);
    qsort(committed->items, (size_t)committed->count, sizeof committed->items[0], by_producer);
    ck_assert_msg(read.count == committed->count, "seed %llu, partition %d: %d committed, %d read",
                  (unsigned long long)seed, index, committed->count, read.count);
    for (int i = 0; i < read.count; i++)
        ck_assert_msg(by_producer(&read.items[i], &committed->items[i]) == 0,
                      "seed %llu, partition %d: record %d", (unsigned long long)seed, index, i);
    ck_assert_int_eq(txn_count_committed(partition), committed->count);
    ck_assert_int_eq(km_partition_last_stable(partition), partition->log.end_offset);
}

/* ---- the run ---- */

static void random_run(uint64_t seed)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 3;
    options.seed = seed;
    options.txn_marker_delay_us = seed % 2 ? 20000 : 0;
    options.replication_us = seed % 3 ? REPLICATE_US : 0;
    random_world world = {.mock = mock_new_with(&options)};
    kb_rand_init(&world.rand, seed);
    world.topic = mock_topic(world.mock, "t", PARTITIONS);
    for (int i = 0; i < PRODUCERS; i++) {
        snprintf(world.models[i].id, sizeof world.models[i].id, "tx-%d", i);
        world.models[i].producer = (who){-1, -1};
    }
    for (int i = 0; i < STEPS; i++)
        random_step(&world);
    mock_run(world.mock, 5000); /* what is open is aborted */
    for (int i = 0; i < PARTITIONS; i++)
        check_partition(&world, seed, i);
    mock_free(world.mock);
}

START_TEST(readers_see_what_was_committed_and_nothing_else)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        random_run(seed);
}
END_TEST
