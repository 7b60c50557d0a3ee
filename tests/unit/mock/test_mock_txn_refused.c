/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Requests of transactions that meet a fault, or no memory: nothing is half done. */
#include "mock/group_offsets.h"
#include "tests/unit/mock/mock_txns.h"

#include <check.h>

/** Each request of a transaction once; the codes they got. */
typedef struct answers {
    int16_t init, add, add_offsets, commit_offset, end;
} answers;

static answers ask_all(mock_world *world, who producer)
{
    who taken = {-1, -1};
    who ended = producer;
    answers got;
    got.add = txn_add(world, producer, "t", 0);
    got.add_offsets = txn_add_offsets(world, producer, "g");
    got.commit_offset = txn_commit_offset_at(world, 5, producer, "g", 1, -1);
    got.end = txn_end_at(world, 5, &ended, true);
    got.init = txn_init_at(world, 5, &taken);
    return got;
}

START_TEST(a_forced_error_is_the_answer_and_nothing_is_done)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 1);
    who producer = txn_init(world);
    km_fault fault;
    km_fault_init(&fault);
    fault.error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    uint32_t number = km_fault_add(world->cluster, &fault);
    answers got = ask_all(world, producer);
    ck_assert_int_eq(got.init, fault.error);
    ck_assert_int_eq(got.add, fault.error);
    ck_assert_int_eq(got.add_offsets, fault.error);
    ck_assert_int_eq(got.commit_offset, fault.error);
    ck_assert_int_eq(got.end, fault.error);
    kp_list_transactions_req list;
    mock_defaults(KP_API_LIST_TRANSACTIONS, &list);
    const kp_list_transactions_resp *listed =
        mock_ask(txn_coordinator(world), KP_API_LIST_TRANSACTIONS, 2, &list);
    ck_assert_int_eq(listed->error_code, fault.error);
    kp_describe_transactions_req describe;
    kc_bytes id = KC_STR(TXN_ID);
    mock_defaults(KP_API_DESCRIBE_TRANSACTIONS, &describe);
    describe.transactional_ids.items = &id;
    describe.transactional_ids.count = 1;
    const kp_describe_transactions_resp *described =
        mock_ask(txn_coordinator(world), KP_API_DESCRIBE_TRANSACTIONS, 0, &describe);
    ck_assert_int_eq(described->transaction_states.items[0].error_code, fault.error);
    kp_add_partitions_to_txn_req many;
    mock_defaults(KP_API_ADD_PARTITIONS_TO_TXN, &many);
    const kp_add_partitions_to_txn_resp *added =
        mock_ask(txn_coordinator(world), KP_API_ADD_PARTITIONS_TO_TXN, 5, &many);
    ck_assert_int_eq(added->error_code, fault.error);
    km_fault_remove(world->cluster, number);
    const km_txn *txn = txn_of(world);
    ck_assert_int_eq(txn->state, KM_TXN_EMPTY);
    ck_assert_int_eq(txn->producer.epoch, producer.epoch);
    ck_assert_ptr_null(km_group_find(world->cluster, KC_STR("g")));
    got = ask_all(world, producer);
    ck_assert_int_eq(got.init + got.add + got.add_offsets + got.commit_offset + got.end, 0);
    mock_free(world);
}
END_TEST

#define MANY 40

static void ask_many(mock_world *world, mock_link *link, who producer)
{
    int32_t indexes[MANY];
    for (int32_t i = 0; i < MANY; i++)
        indexes[i] = i;
    kp_add_partitions_to_txn_req_topic topic = {.name = KC_STR("t")};
    topic.partitions.items = indexes;
    topic.partitions.count = MANY;
    kp_add_partitions_to_txn_req request;
    mock_defaults(KP_API_ADD_PARTITIONS_TO_TXN, &request);
    request.v3_and_below_transactional_id = KC_STR(TXN_ID);
    request.v3_and_below_producer_id = producer.id;
    request.v3_and_below_producer_epoch = producer.epoch;
    request.v3_and_below_topics.items = &topic;
    request.v3_and_below_topics.count = 1;
    mock_send(link, KP_API_ADD_PARTITIONS_TO_TXN, 3, &request);
    world->mem.limit = SIZE_MAX;
}

START_TEST(without_memory_all_partitions_are_added_or_none)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", MANY);
    who producer = txn_init(world);
    const km_txn *txn = txn_of(world);
    int closed = 0;
    for (size_t room = 0; txn->state == KM_TXN_EMPTY; room += 100) {
        mock_link *link = mock_link_new(world, 1);
        km_conn_receive(mock_conn(link), KC_STR("")); /* its buffers are there */
        world->mem.limit = world->mem.used + 400 + room;
        ask_many(world, link, producer);
        if (mock_is_closed(link)) {
            closed++;
            ck_assert_uint_eq(txn->parts.count, 0);
            ck_assert_int_eq(txn->state, KM_TXN_EMPTY);
        } else {
            ck_assert_ptr_nonnull(mock_answer(link));
        }
        mock_link_free(link);
    }
    ck_assert_int_gt(closed, 10);
    ck_assert_uint_eq(txn->parts.count, MANY);
    mock_free(world);
}
END_TEST

START_TEST(without_memory_markers_are_tried_again)
{
    mock_world *world = mock_new(1);
    km_options *options = &world->cluster->options;
    const km_topic *topic = mock_topic(world, "t", 3);
    who producer = txn_init(world);
    for (int32_t i = 0; i < 3; i++)
        ck_assert_int_eq(txn_add(world, producer, "t", i), 0);
    options->txn_marker_delay_us = 1000;
    ck_assert_int_eq(txn_end_at(world, 5, &producer, true), 0);
    world->mem.limit = world->mem.used;
    mock_run(world, 500);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    ck_assert_int_eq(topic->partitions[2]->log.end_offset, 0);
    world->mem.limit = SIZE_MAX;
    mock_run(world, 10);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
    for (int32_t i = 0; i < 3; i++)
        ck_assert_int_eq(topic->partitions[i]->log.end_offset, 1);
    mock_free(world);
}
END_TEST
