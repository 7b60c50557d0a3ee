/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Producer ids, and how a transaction begins and ends, in both protocols. */
#include "mock/producer_state.h"
#include "tests/unit/mock/mock_txns.h"

#include <check.h>

/* ---- producer ids ---- */

START_TEST(a_producer_without_an_id_gets_a_new_one_from_any_broker)
{
    mock_world *world = mock_new(2);
    kp_init_producer_id_req request;
    int64_t last = -1;
    for (int16_t version = 0; version <= 6; version++) {
        mock_defaults(KP_API_INIT_PRODUCER_ID, &request);
        request.transactional_id = KC_NULL;
        const kp_init_producer_id_resp *response = mock_ask(
            mock_link_new(world, version % 2 + 1), KP_API_INIT_PRODUCER_ID, version, &request);
        ck_assert_int_eq(response->error_code, 0);
        ck_assert_int_gt(response->producer_id, last);
        ck_assert_int_eq(response->producer_epoch, 0);
        last = response->producer_id;
    }
    mock_free(world);
}
END_TEST

START_TEST(what_can_not_be_a_producer_is_refused)
{
    static const struct {
        const char *id;
        int32_t timeout_ms;
        int64_t producer_id;
        int16_t epoch;
        bool two_pc, keeps;
        int16_t error;
    } rows[] = {
        {"", 1000, -1, -1, false, false, KC_E_INVALID_REQUEST},
        {TXN_ID, 1000, 5, -1, false, false, KC_E_INVALID_REQUEST},
        {TXN_ID, 1000, -1, 5, false, false, KC_E_INVALID_REQUEST},
        {TXN_ID, 0, -1, -1, false, false, KC_E_INVALID_TRANSACTION_TIMEOUT},
        {TXN_ID, -1, -1, -1, false, false, KC_E_INVALID_TRANSACTION_TIMEOUT},
        {TXN_ID, 900001, -1, -1, false, false, KC_E_INVALID_TRANSACTION_TIMEOUT},
        {TXN_ID, 900000, -1, -1, false, false, 0},
        {TXN_ID, 1000, -1, -1, true, false, KC_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED},
        {TXN_ID, 1000, -1, -1, false, true, KC_E_UNSUPPORTED_VERSION},
    };
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kp_init_producer_id_req request;
        mock_defaults(KP_API_INIT_PRODUCER_ID, &request);
        request.transactional_id = kc_str(rows[i].id);
        request.transaction_timeout_ms = rows[i].timeout_ms;
        request.producer_id = rows[i].producer_id;
        request.producer_epoch = rows[i].epoch;
        request.enable2_pc = rows[i].two_pc;
        request.keep_prepared_txn = rows[i].keeps;
        const kp_init_producer_id_resp *response =
            mock_ask(link, KP_API_INIT_PRODUCER_ID, 6, &request);
        ck_assert_msg(response->error_code == rows[i].error, "row %zu: %d", i,
                      response->error_code);
    }
    mock_free(world);
}
END_TEST

START_TEST(only_the_coordinator_answers)
{
    mock_world *world = mock_new(3);
    int32_t right =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_TRANSACTION, KC_STR(TXN_ID))
            ->leader;
    mock_link *wrong = mock_link_new(world, right % 3 + 1);
    kp_init_producer_id_req request;
    mock_defaults(KP_API_INIT_PRODUCER_ID, &request);
    request.transactional_id = KC_STR(TXN_ID);
    request.transaction_timeout_ms = 1000;
    const kp_init_producer_id_resp *response =
        mock_ask(wrong, KP_API_INIT_PRODUCER_ID, 4, &request);
    ck_assert_int_eq(response->error_code, KC_E_NOT_COORDINATOR);
    ck_assert_int_eq(response->producer_id, -1);
    ck_assert_int_eq(response->producer_epoch, -1);
    kp_end_txn_req end;
    mock_defaults(KP_API_END_TXN, &end);
    end.transactional_id = KC_STR(TXN_ID);
    const kp_end_txn_resp *ended = mock_ask(wrong, KP_API_END_TXN, 5, &end);
    ck_assert_int_eq(ended->error_code, KC_E_NOT_COORDINATOR);
    mock_free(world);
}
END_TEST

START_TEST(each_new_producer_shuts_out_the_one_before)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 1);
    who first = txn_init(world);
    ck_assert_int_eq(first.epoch, 0);
    who second = txn_init(world);
    ck_assert_int_eq(second.id, first.id);
    ck_assert_int_eq(second.epoch, 1);
    ck_assert_int_eq(txn_add_at(world, 1, first, "t", 0), KC_E_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(txn_add_at(world, 2, first, "t", 0), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(txn_end_at(world, 1, &first, true), KC_E_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(txn_end_at(world, 2, &first, true), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(txn_end_at(world, 5, &first, true), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(txn_add_offsets(world, first, "g"), KC_E_PRODUCER_FENCED);
    who stranger = {first.id + 100, 1};
    ck_assert_int_eq(txn_add(world, stranger, "t", 0), KC_E_INVALID_PRODUCER_ID_MAPPING);
    ck_assert_int_eq(txn_end_at(world, 5, &stranger, true), KC_E_INVALID_PRODUCER_ID_MAPPING);
    mock_free(world);
}
END_TEST

START_TEST(a_producer_goes_on_with_the_next_epoch_and_a_retry_gets_the_same)
{
    mock_world *world = mock_new(1);
    who first = txn_init(world);
    who second = first;
    ck_assert_int_eq(txn_init_at(world, 4, &second), 0);
    ck_assert_int_eq(second.epoch, 1);
    who again = first;
    ck_assert_int_eq(txn_init_at(world, 4, &again), 0);
    ck_assert_int_eq(again.epoch, 1);
    who third = second;
    ck_assert_int_eq(txn_init_at(world, 3, &third), 0);
    ck_assert_int_eq(third.epoch, 2);
    who old = first;
    ck_assert_int_eq(txn_init_at(world, 3, &old), KC_E_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(old.id, -1);
    old = first;
    ck_assert_int_eq(txn_init_at(world, 4, &old), KC_E_PRODUCER_FENCED);
    txn_init(world); /* somebody else: now nobody goes on */
    old = second;
    ck_assert_int_eq(txn_init_at(world, 4, &old), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(txn_init_at(world, 4, &third), KC_E_PRODUCER_FENCED);
    who stranger = {first.id + 100, 3};
    ck_assert_int_eq(txn_init_at(world, 4, &stranger), KC_E_PRODUCER_FENCED);
    mock_free(world);
}
END_TEST

START_TEST(when_the_epochs_are_used_up_there_is_a_new_id)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 1);
    who first = txn_init(world);
    km_txn *txn = km_txn_find(world->cluster, KC_STR(TXN_ID));
    txn->producer.epoch = INT16_MAX - 1;
    who last = {first.id, INT16_MAX - 1};
    who next = last;
    ck_assert_int_eq(txn_init_at(world, 4, &next), 0);
    ck_assert_int_ne(next.id, first.id);
    ck_assert_int_eq(next.epoch, 0);
    who retry = last; /* it did not hear of it */
    ck_assert_int_eq(txn_init_at(world, 4, &retry), 0);
    ck_assert_int_eq(retry.id, next.id);
    ck_assert_int_eq(retry.epoch, 0);
    /* The same by the end of a transaction with protocol 2. */
    txn->producer.epoch = INT16_MAX - 1;
    last = (who){next.id, INT16_MAX - 1};
    ck_assert_int_eq(txn_add(world, last, "t", 0), 0);
    next = last;
    ck_assert_int_eq(txn_end_at(world, 5, &next, true), 0);
    ck_assert_int_ne(next.id, last.id);
    ck_assert_int_eq(next.epoch, 0);
    retry = last;
    ck_assert_int_eq(txn_end_at(world, 5, &retry, true), 0);
    ck_assert_int_eq(retry.id, next.id);
    ck_assert_int_eq(retry.epoch, 0);
    const km_log *log = &km_partition_find(world->cluster, KC_STR("t"), 0)->log;
    ck_assert_int_eq(log->entries[0].producer_id, last.id);
    ck_assert_int_eq(log->entries[0].producer_epoch, INT16_MAX);
    mock_free(world);
}
END_TEST

/* ---- one transaction ---- */

START_TEST(a_transaction_of_protocol_1_is_committed_and_keeps_its_epoch)
{
    mock_world *world = mock_new(2);
    const km_topic *topic = mock_topic(world, "t", 2);
    who producer = txn_init(world);
    ck_assert_int_eq(txn_end_at(world, 4, &producer, true), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(txn_end_at(world, 4, &producer, false), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(txn_produce(world, 11, producer, 0), KC_E_TRANSACTION_ABORTABLE);
    ck_assert_int_eq(txn_produce(world, 10, producer, 0), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(txn_add(world, producer, "t", 0), 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_ONGOING);
    ck_assert_int_eq(txn_produce(world, 11, producer, 0), 0);
    ck_assert_int_eq(km_partition_last_stable(topic->partitions[0]), 0);
    ck_assert_int_eq(txn_end_at(world, 4, &producer, true), 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
    ck_assert_int_eq(txn_of(world)->producer.epoch, 0);
    ck_assert_int_eq(txn_end_at(world, 4, &producer, true), 0); /* a retry */
    ck_assert_int_eq(txn_end_at(world, 4, &producer, false), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(topic->partitions[0]->log.end_offset, 2);
    ck_assert_int_eq(topic->partitions[1]->log.end_offset, 0);
    ck_assert_int_eq(km_partition_last_stable(topic->partitions[0]), 2);
    ck_assert_int_eq(txn_count_committed(topic->partitions[0]), 1);
    /* Next one: aborted. */
    ck_assert_int_eq(txn_add(world, producer, "t", 0), 0);
    ck_assert_int_eq(txn_produce(world, 11, producer, 1), 0);
    ck_assert_int_eq(txn_end_at(world, 4, &producer, false), 0);
    ck_assert_int_eq(txn_end_at(world, 4, &producer, false), 0);
    ck_assert_int_eq(txn_end_at(world, 4, &producer, true), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(txn_count_committed(topic->partitions[0]), 1);
    km_aborted aborted;
    ck_assert_uint_eq(km_producers_aborted(topic->partitions[0], 0, 10, &aborted, 1), 1);
    ck_assert_int_eq(aborted.first_offset, 2);
    mock_free(world);
}
END_TEST

START_TEST(protocol_2_adds_by_producing_and_bumps_the_epoch_at_each_end)
{
    mock_world *world = mock_new(2);
    const km_topic *topic = mock_topic(world, "t", 2);
    who first = txn_init(world);
    ck_assert_int_eq(txn_produce(world, 13, first, 0), 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_ONGOING);
    who second = first;
    ck_assert_int_eq(txn_end_at(world, 5, &second, true), 0);
    ck_assert_int_eq(second.epoch, 1);
    ck_assert_int_eq(second.id, first.id);
    who retry = first;
    ck_assert_int_eq(txn_end_at(world, 5, &retry, true), 0);
    ck_assert_int_eq(retry.epoch, 1);
    retry = first;
    ck_assert_int_eq(txn_end_at(world, 5, &retry, false), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(txn_end_at(world, 5, &second, true), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(txn_count_committed(topic->partitions[0]), 1);
    /* What comes late of the first transaction is refused. */
    ck_assert_int_eq(txn_produce(world, 13, first, 1), KC_E_INVALID_PRODUCER_EPOCH);
    /* An empty one may be aborted, and that bumps too. */
    who third = second;
    ck_assert_int_eq(txn_end_at(world, 5, &third, false), 0);
    ck_assert_int_eq(third.epoch, 2);
    retry = second;
    ck_assert_int_eq(txn_end_at(world, 5, &retry, false), 0);
    ck_assert_int_eq(retry.epoch, 2);
    ck_assert_int_eq(txn_produce(world, 13, third, 0), 0);
    ck_assert_int_eq(txn_end_at(world, 5, &third, false), 0);
    ck_assert_int_eq(txn_count_committed(topic->partitions[0]), 1);
    ck_assert_int_eq(km_partition_last_stable(topic->partitions[0]),
                     topic->partitions[0]->log.end_offset);
    /* A new id may abort at once, but not commit. */
    who again = txn_init(world);
    ck_assert_int_eq(txn_end_at(world, 5, &again, true), KC_E_INVALID_TXN_STATE);
    who old = {again.id, (int16_t)(again.epoch - 1)};
    ck_assert_int_eq(txn_end_at(world, 5, &old, false), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(txn_end_at(world, 5, &again, false), 0);
    mock_free(world);
}
END_TEST

START_TEST(a_transaction_of_no_transactional_id_is_refused)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 1);
    who nobody = {7, 0};
    ck_assert_int_eq(txn_produce(world, 13, nobody, 0), KC_E_INVALID_PRODUCER_ID_MAPPING);
    txn_init(world);
    ck_assert_int_eq(txn_produce(world, 13, nobody, 0), KC_E_INVALID_PRODUCER_ID_MAPPING);
    mock_free(world);
}
END_TEST

START_TEST(one_unknown_partition_fails_all_of_a_request)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 2);
    who producer = txn_init(world);
    int32_t indexes[] = {0, 7, 1};
    kp_add_partitions_to_txn_req_topic topics[] = {{.name = KC_STR("t")},
                                                   {.name = KC_STR("__consumer_offsets")}};
    kp_add_partitions_to_txn_req request;
    mock_defaults(KP_API_ADD_PARTITIONS_TO_TXN, &request);
    request.v3_and_below_transactional_id = KC_STR(TXN_ID);
    request.v3_and_below_producer_id = producer.id;
    request.v3_and_below_producer_epoch = producer.epoch;
    request.v3_and_below_topics.items = topics;
    request.v3_and_below_topics.count = 2;
    topics[0].partitions.items = indexes;
    topics[0].partitions.count = 3;
    topics[1].partitions.items = indexes;
    topics[1].partitions.count = 1;
    const kp_add_partitions_to_txn_resp *response =
        mock_ask(txn_coordinator(world), KP_API_ADD_PARTITIONS_TO_TXN, 3, &request);
    const kp_add_partitions_to_txn_resp_topic_result *results =
        response->results_by_topic_v3_and_below.items;
    ck_assert_int_eq(results[0].results_by_partition.items[0].partition_error_code,
                     KC_E_OPERATION_NOT_ATTEMPTED);
    ck_assert_int_eq(results[0].results_by_partition.items[1].partition_error_code,
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(results[1].results_by_partition.items[0].partition_error_code,
                     KC_E_TOPIC_AUTHORIZATION_FAILED);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_EMPTY);
    mock_free(world);
}
END_TEST

START_TEST(brokers_add_and_verify_for_many_transactions)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 2);
    who producer = txn_init(world);
    int32_t indexes[] = {0, 1};
    kp_add_partitions_to_txn_req_topic topic = {.name = KC_STR("t")};
    topic.partitions.items = indexes;
    kp_add_partitions_to_txn_req_transaction items[2] = {
        {.transactional_id = KC_STR(TXN_ID),
         .producer_id = producer.id,
         .producer_epoch = producer.epoch},
        {.transactional_id = KC_STR("nobody")},
    };
    items[0].topics.items = items[1].topics.items = &topic;
    items[0].topics.count = items[1].topics.count = 1;
    kp_add_partitions_to_txn_req request;
    mock_defaults(KP_API_ADD_PARTITIONS_TO_TXN, &request);
    request.transactions.items = items;
    request.transactions.count = 2;
    topic.partitions.count = 1;
    const kp_add_partitions_to_txn_resp *response =
        mock_ask(txn_coordinator(world), KP_API_ADD_PARTITIONS_TO_TXN, 4, &request);
    const kp_add_partitions_to_txn_resp_results_by_transaction *results =
        response->results_by_transaction.items;
    ck_assert_int_eq(response->results_by_transaction.count, 2);
    ck_assert_int_eq(
        results[0].topic_results.items[0].results_by_partition.items[0].partition_error_code, 0);
    ck_assert_int_eq(
        results[1].topic_results.items[0].results_by_partition.items[0].partition_error_code,
        KC_E_INVALID_PRODUCER_ID_MAPPING);
    items[0].verify_only = true;
    topic.partitions.count = 2;
    response = mock_ask(txn_coordinator(world), KP_API_ADD_PARTITIONS_TO_TXN, 5, &request);
    results = response->results_by_transaction.items;
    ck_assert_int_eq(
        results[0].topic_results.items[0].results_by_partition.items[0].partition_error_code, 0);
    ck_assert_int_eq(
        results[0].topic_results.items[0].results_by_partition.items[1].partition_error_code,
        KC_E_TRANSACTION_ABORTABLE);
    ck_assert_uint_eq(txn_of(world)->parts.count, 1);
    mock_free(world);
}
END_TEST

/* ---- the end takes time ---- */

START_TEST(while_the_markers_are_on_their_way_everything_else_waits)
{
    km_options options;
    km_options_init(&options);
    options.txn_marker_delay_us = 50000;
    mock_world *world = mock_new_with(&options);
    const km_topic *topic = mock_topic(world, "t", 1);
    who first = txn_init(world);
    ck_assert_int_eq(txn_produce(world, 13, first, 0), 0);
    who second = first;
    ck_assert_int_eq(txn_end_at(world, 5, &second, true), 0);
    ck_assert_int_eq(second.epoch, 1);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    ck_assert_int_eq(txn_count_committed(topic->partitions[0]), 0);
    who retry = first;
    ck_assert_int_eq(txn_end_at(world, 5, &retry, true), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(txn_end_at(world, 5, &retry, false), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(txn_end_at(world, 5, &second, false), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(txn_end_at(world, 4, &first, true), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(txn_add(world, second, "t", 0), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(txn_produce(world, 13, second, 0), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(txn_produce(world, 11, second, 0), KC_E_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(txn_add_offsets(world, second, "g"), KC_E_CONCURRENT_TRANSACTIONS);
    who other = {-1, -1};
    ck_assert_int_eq(txn_init_at(world, 5, &other), KC_E_CONCURRENT_TRANSACTIONS);
    mock_run(world, 50);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
    ck_assert_int_eq(txn_count_committed(topic->partitions[0]), 1);
    ck_assert_int_eq(txn_produce(world, 13, second, 0), 0);
    /* Protocol 1 waits too. */
    ck_assert_int_eq(txn_end_at(world, 4, &second, false), 0);
    ck_assert_int_eq(txn_end_at(world, 4, &second, false), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(txn_end_at(world, 4, &second, true), KC_E_CONCURRENT_TRANSACTIONS);
    mock_run(world, 50);
    ck_assert_int_eq(txn_end_at(world, 4, &second, false), 0);
    mock_free(world);
}
END_TEST

START_TEST(a_new_producer_aborts_what_the_old_one_left_open)
{
    mock_world *world = mock_new(1);
    const km_topic *topic = mock_topic(world, "t", 1);
    who old = txn_init(world);
    ck_assert_int_eq(txn_produce(world, 13, old, 0), 0);
    who fresh = {-1, -1};
    ck_assert_int_eq(txn_init_at(world, 5, &fresh), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_ABORT);
    ck_assert_int_eq(txn_init_at(world, 5, &fresh), 0);
    ck_assert_int_eq(fresh.id, old.id);
    ck_assert_int_eq(fresh.epoch, 2); /* aborted, new */
    ck_assert_int_eq(txn_count_committed(topic->partitions[0]), 0);
    ck_assert_int_eq(txn_produce(world, 13, old, 1), KC_E_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(txn_produce(world, 13, fresh, 0), 0);
    ck_assert_int_eq(txn_end_at(world, 5, &fresh, true), 0);
    ck_assert_int_eq(txn_count_committed(topic->partitions[0]), 1);
    mock_free(world);
}
END_TEST

START_TEST(a_transaction_that_takes_too_long_is_aborted_and_its_producer_shut_out)
{
    mock_world *world = mock_new(1);
    const km_topic *topic = mock_topic(world, "t", 1);
    who producer = txn_init(world);
    mock_run(world, 100000); /* an empty one has all the time */
    ck_assert_int_eq(txn_produce(world, 13, producer, 0), 0);
    mock_run(world, 59999);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_ONGOING);
    mock_run(world, 1);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_ABORT);
    ck_assert_int_eq(txn_count_committed(topic->partitions[0]), 0);
    /* As after an abort whose answer was lost: Kafka can't tell these apart. */
    ck_assert_int_eq(txn_end_at(world, 5, &producer, true), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(txn_end_at(world, 4, &producer, true), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(txn_produce(world, 13, producer, 1), KC_E_INVALID_PRODUCER_EPOCH);
    who resumed = producer;
    ck_assert_int_eq(txn_init_at(world, 5, &resumed), 0);
    ck_assert_int_eq(resumed.epoch, 1);
    who fresh = txn_init(world);
    ck_assert_int_eq(fresh.epoch, 2);
    /* One that ends in time is left alone. */
    ck_assert_int_eq(txn_produce(world, 13, fresh, 0), 0);
    ck_assert_int_eq(txn_end_at(world, 5, &fresh, true), 0);
    mock_run(world, 100000);
    ck_assert_int_eq(txn_of(world)->producer.epoch, fresh.epoch);
    mock_free(world);
}
END_TEST

/* ---- what administrators see ---- */

static const kp_list_transactions_resp *list(mock_world *world, const char *state, int64_t producer,
                                             int64_t duration_ms)
{
    kp_list_transactions_req request;
    kc_bytes states[] = {kc_str(state ? state : ""), KC_STR("Odd")};
    mock_defaults(KP_API_LIST_TRANSACTIONS, &request);
    request.state_filters.items = states;
    request.state_filters.count = state ? 2 : 0;
    request.producer_id_filters.items = &producer;
    request.producer_id_filters.count = producer >= 0;
    request.duration_filter = duration_ms;
    return mock_ask(txn_coordinator(world), KP_API_LIST_TRANSACTIONS, 2, &request);
}

START_TEST(transactions_are_listed_and_described)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 2);
    mock_topic(world, "u", 1);
    who producer = txn_init(world);
    ck_assert_int_eq(txn_add(world, producer, "t", 1), 0);
    ck_assert_int_eq(txn_add(world, producer, "u", 0), 0);
    ck_assert_int_eq(txn_add(world, producer, "t", 0), 0);
    int64_t start_ms = world->cluster->wall_ms;
    mock_run(world, 1000);
    ck_assert_int_eq(list(world, NULL, -1, -1)->transaction_states.count, 1);
    ck_assert_int_eq(list(world, "Ongoing", producer.id, 999)->transaction_states.count, 1);
    ck_assert_int_eq(list(world, "Ongoing", producer.id, 1000)->transaction_states.count, 0);
    ck_assert_int_eq(list(world, "Empty", -1, -1)->transaction_states.count, 0);
    ck_assert_int_eq(list(world, NULL, producer.id + 1, -1)->transaction_states.count, 0);
    kp_list_transactions_req by_name;
    mock_defaults(KP_API_LIST_TRANSACTIONS, &by_name);
    static const struct {
        const char *pattern;
        int16_t error;
        int count;
    } rows[] = {{"t.", 0, 1}, {"t", 0, 0}, {"", 0, 1}, {"(", KC_E_INVALID_REGULAR_EXPRESSION, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        by_name.transactional_id_pattern = kc_str(rows[i].pattern);
        const kp_list_transactions_resp *found =
            mock_ask(txn_coordinator(world), KP_API_LIST_TRANSACTIONS, 2, &by_name);
        ck_assert_int_eq(found->error_code, rows[i].error);
        ck_assert_int_eq(found->transaction_states.count, rows[i].count);
    }
    const kp_list_transactions_resp *listed = list(world, "Ongoing", -1, -1);
    ck_assert_int_eq(listed->unknown_state_filters.count, 1);
    ck_assert(kc_bytes_equal(listed->unknown_state_filters.items[0], KC_STR("Odd")));
    ck_assert(kc_bytes_equal(listed->transaction_states.items[0].transactional_id, KC_STR(TXN_ID)));
    ck_assert(
        kc_bytes_equal(listed->transaction_states.items[0].transaction_state, KC_STR("Ongoing")));
    kp_describe_transactions_req request;
    kc_bytes ids[] = {KC_STR(TXN_ID), KC_STR("nobody"), KC_STR("")};
    mock_defaults(KP_API_DESCRIBE_TRANSACTIONS, &request);
    request.transactional_ids.items = ids;
    request.transactional_ids.count = 3;
    const kp_describe_transactions_resp *response =
        mock_ask(txn_coordinator(world), KP_API_DESCRIBE_TRANSACTIONS, 0, &request);
    const kp_describe_transactions_resp_transaction_state *one =
        &response->transaction_states.items[0];
    ck_assert_int_eq(one->error_code, 0);
    ck_assert_int_eq(one->transaction_timeout_ms, 60000);
    ck_assert_int_eq(one->transaction_start_time_ms, start_ms);
    ck_assert_int_eq(one->topics.count, 2);
    ck_assert(kc_bytes_equal(one->topics.items[0].topic, KC_STR("t")));
    ck_assert_int_eq(one->topics.items[0].partitions.count, 2);
    ck_assert_int_eq(response->transaction_states.items[1].error_code,
                     KC_E_TRANSACTIONAL_ID_NOT_FOUND);
    ck_assert_int_eq(response->transaction_states.items[2].error_code, KC_E_INVALID_REQUEST);
    mock_free(world);
}
END_TEST
