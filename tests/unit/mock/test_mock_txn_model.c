/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Transactions of three producers at random, against a naive model of what readers may see. */
#include "mock/producer_state.h"
#include "tests/unit/mock/mock_txns.h"

#include <check.h>
#include <stdio.h>

#define PRODUCERS  3
#define PARTITIONS 2

/** One producer as a client would keep it, and what became of its records. */
typedef struct model {
    char id[8];
    who producer;
    bool is_v2; /**< protocol 1 adds before it produces */
    bool is_open;
    bool is_added[PARTITIONS];
    int32_t sequence[PARTITIONS];
    int open_count[PARTITIONS]; /**< of the transaction */
} model;

typedef struct random_world {
    mock_world *mock;
    kb_rand rand;
    const km_topic *topic;
    model models[PRODUCERS];
    int committed[PARTITIONS];
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

/** The transaction is over, one way or the other. */
static void forget_open(random_world *world, model *one, bool is_commit)
{
    for (int i = 0; i < PARTITIONS; i++) {
        world->committed[i] += is_commit ? one->open_count[i] : 0;
        one->open_count[i] = 0;
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
    request.acks = 1;
    request.topic_data.items = &data;
    request.topic_data.count = 1;
    const kp_produce_resp *response = mock_ask(mock_leader(world->mock, "t", index), KP_API_PRODUCE,
                                               one->is_v2 ? 13 : 11, &request);
    return response->responses.items[0].partition_responses.items[0].error_code;
}

static void random_produce(random_world *world, model *one)
{
    int32_t index = (int32_t)kb_rand_below(&world->rand, PARTITIONS);
    int16_t error = random_add(world, one, index);
    error = error ? error : random_send(world, one, index);
    if (error == 0) {
        one->sequence[index]++;
        one->open_count[index]++;
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
        km_broker_stop(mock_broker(world->mock, id), false);
        km_broker_start(mock_broker(world->mock, id));
    } else {
        random_produce(world, one);
    }
}

static void random_run(uint64_t seed)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 3;
    options.seed = seed;
    options.txn_marker_delay_us = seed % 2 ? 20000 : 0;
    options.replication_us = seed % 3 ? 5000 : 0;
    random_world world = {.mock = mock_new_with(&options)};
    kb_rand_init(&world.rand, seed);
    world.topic = mock_topic(world.mock, "t", PARTITIONS);
    for (int i = 0; i < PRODUCERS; i++) {
        snprintf(world.models[i].id, sizeof world.models[i].id, "tx-%d", i);
        world.models[i].producer = (who){-1, -1};
    }
    for (int i = 0; i < 300; i++)
        random_step(&world);
    mock_run(world.mock, 5000); /* what is open is aborted */
    for (int i = 0; i < PARTITIONS; i++) {
        const km_partition *partition = world.topic->partitions[i];
        ck_assert_msg(txn_count_committed(partition) == world.committed[i],
                      "seed %llu, partition %d: %d committed, %d read", (unsigned long long)seed, i,
                      world.committed[i], txn_count_committed(partition));
        ck_assert_int_eq(km_partition_last_stable(partition), partition->log.end_offset);
    }
    mock_free(world.mock);
}

START_TEST(readers_see_what_was_committed_and_nothing_else)
{
    for (uint64_t seed = 1; seed <= 60; seed++)
        random_run(seed);
}
END_TEST
