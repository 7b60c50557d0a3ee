/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Producer ids and transactions. */
#include "mock/group_offsets.h"
#include "mock/producer_state.h"
#include "mock/txn.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define ID "tx"

typedef km_txn_producer who;

/* ---- asking ---- */

static mock_link *coordinator(mock_world *world)
{
    return mock_coordinator(world, KM_COORDINATOR_TRANSACTION, ID);
}

/** `producer` in: who it was, id -1 for a new one; out: who it is. */
static int16_t init_at(mock_world *world, int16_t version, who *producer)
{
    kp_init_producer_id_req request;
    mock_defaults(KP_API_INIT_PRODUCER_ID, &request);
    request.transactional_id = KC_STR(ID);
    request.transaction_timeout_ms = 60000;
    request.producer_id = producer->id;
    request.producer_epoch = producer->epoch;
    const kp_init_producer_id_resp *response =
        mock_ask(coordinator(world), KP_API_INIT_PRODUCER_ID, version, &request);
    *producer = (who){response->producer_id, response->producer_epoch};
    return response->error_code;
}

static who init(mock_world *world)
{
    who producer = {-1, -1};
    ck_assert_int_eq(init_at(world, 5, &producer), 0);
    return producer;
}

static int16_t add_to(mock_world *world, int16_t version, const char *id, who producer,
                      const km_txn_part *part)
{
    kp_add_partitions_to_txn_req request;
    kp_add_partitions_to_txn_req_topic named = {.name = part->topic};
    int32_t index = part->index;
    named.partitions.items = &index;
    named.partitions.count = 1;
    mock_defaults(KP_API_ADD_PARTITIONS_TO_TXN, &request);
    request.v3_and_below_transactional_id = kc_str(id);
    request.v3_and_below_producer_id = producer.id;
    request.v3_and_below_producer_epoch = producer.epoch;
    request.v3_and_below_topics.items = &named;
    request.v3_and_below_topics.count = 1;
    const kp_add_partitions_to_txn_resp *response =
        mock_ask(mock_coordinator(world, KM_COORDINATOR_TRANSACTION, id),
                 KP_API_ADD_PARTITIONS_TO_TXN, version, &request);
    ck_assert_int_eq(response->results_by_topic_v3_and_below.count, 1);
    const kp_add_partitions_to_txn_resp_topic_result *result =
        &response->results_by_topic_v3_and_below.items[0];
    ck_assert_int_eq(result->results_by_partition.items[0].partition_index, index);
    return result->results_by_partition.items[0].partition_error_code;
}

static int16_t add_at(mock_world *world, int16_t version, who producer, const char *topic,
                      int32_t index)
{
    const km_txn_part part = {kc_str(topic), index};
    return add_to(world, version, ID, producer, &part);
}

static int16_t add(mock_world *world, who producer, const char *topic, int32_t index)
{
    return add_at(world, 3, producer, topic, index);
}

/** Version 5 changes the producer. */
static int16_t end_at(mock_world *world, int16_t version, who *producer, bool is_commit)
{
    kp_end_txn_req request;
    mock_defaults(KP_API_END_TXN, &request);
    request.transactional_id = KC_STR(ID);
    request.producer_id = producer->id;
    request.producer_epoch = producer->epoch;
    request.committed = is_commit;
    const kp_end_txn_resp *response =
        mock_ask(coordinator(world), KP_API_END_TXN, version, &request);
    if (version >= 5 && response->error_code == 0)
        *producer = (who){response->producer_id, response->producer_epoch};
    else
        ck_assert_int_eq(response->producer_id, -1);
    return response->error_code;
}

static int16_t add_offsets(mock_world *world, who producer, const char *group)
{
    kp_add_offsets_to_txn_req request;
    mock_defaults(KP_API_ADD_OFFSETS_TO_TXN, &request);
    request.transactional_id = KC_STR(ID);
    request.producer_id = producer.id;
    request.producer_epoch = producer.epoch;
    request.group_id = kc_str(group);
    const kp_add_offsets_to_txn_resp *response =
        mock_ask(coordinator(world), KP_API_ADD_OFFSETS_TO_TXN, 4, &request);
    return response->error_code;
}

static int16_t commit_offset_at(mock_world *world, int16_t version, who producer, const char *group,
                                int64_t offset, int32_t generation)
{
    kp_txn_offset_commit_req request;
    kp_txn_offset_commit_req_partition part = {
        .committed_offset = offset, .committed_leader_epoch = -1, .committed_metadata = KC_STR("m")};
    kp_txn_offset_commit_req_topic topic = {.name = KC_STR("t")};
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    mock_defaults(KP_API_TXN_OFFSET_COMMIT, &request);
    request.transactional_id = KC_STR(ID);
    request.group_id = kc_str(group);
    request.producer_id = producer.id;
    request.producer_epoch = producer.epoch;
    if (version >= 3)
        request.generation_id = generation;
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_txn_offset_commit_resp *response =
        mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, group), KP_API_TXN_OFFSET_COMMIT,
                 version, &request);
    ck_assert_int_eq(response->topics.count, 1);
    return response->topics.items[0].partitions.items[0].error_code;
}

static int16_t produce_as(mock_world *world, int16_t version, const char *topic, int32_t index,
                          const kp_batch_producer *producer)
{
    kp_produce_req request;
    kp_produce_req_topic_data data = {.name = kc_str(topic)};
    kp_produce_req_partition_data part = {.index = index,
                                          .records = mock_batch(world, 1, producer)};
    data.topic_id = km_topic_by_name(world->cluster, kc_str(topic))->id;
    data.partition_data.items = &part;
    data.partition_data.count = 1;
    mock_defaults(KP_API_PRODUCE, &request);
    request.transactional_id = KC_STR(ID);
    request.acks = -1;
    request.topic_data.items = &data;
    request.topic_data.count = 1;
    const kp_produce_resp *response =
        mock_ask(mock_leader(world, topic, index), KP_API_PRODUCE, version, &request);
    return response->responses.items[0].partition_responses.items[0].error_code;
}

static int16_t produce(mock_world *world, int16_t version, who producer, int32_t sequence)
{
    const kp_batch_producer as = {producer.id, producer.epoch, sequence, true};
    return produce_as(world, version, "t", 0, &as);
}

static const km_txn *txn_of(const mock_world *world)
{
    const km_txn *txn = km_txn_find(world->cluster, KC_STR(ID));
    ck_assert_ptr_nonnull(txn);
    return txn;
}

/** What a read_committed reader gets of a partition: so many records below the last stable offset are neither control
 * records nor aborted. */
static int count_committed(const km_partition *partition)
{
    km_aborted aborted[1024];
    int64_t stable = km_partition_last_stable(partition);
    size_t count = km_producers_aborted(partition, 0, stable, aborted, 1024);
    ck_assert_uint_le(count, 1024);
    int committed = 0;
    for (size_t i = 0; i < partition->log.entry_count; i++) {
        const km_entry *entry = &partition->log.entries[i];
        bool counts = entry->next_offset <= stable && !(entry->attributes & KP_ATTR_CONTROL);
        for (size_t k = 0; k < count; k++)
            if (entry->producer_id == aborted[k].producer_id &&
                entry->base_offset >= aborted[k].first_offset &&
                entry->base_offset < aborted[k].last_offset)
                counts = false;
        committed += counts;
    }
    return committed;
}

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
        {ID, 1000, 5, -1, false, false, KC_E_INVALID_REQUEST},
        {ID, 1000, -1, 5, false, false, KC_E_INVALID_REQUEST},
        {ID, 0, -1, -1, false, false, KC_E_INVALID_TRANSACTION_TIMEOUT},
        {ID, -1, -1, -1, false, false, KC_E_INVALID_TRANSACTION_TIMEOUT},
        {ID, 900001, -1, -1, false, false, KC_E_INVALID_TRANSACTION_TIMEOUT},
        {ID, 900000, -1, -1, false, false, 0},
        {ID, 1000, -1, -1, true, false, KC_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED},
        {ID, 1000, -1, -1, false, true, KC_E_UNSUPPORTED_VERSION},
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
        km_coordinator_partition(world->cluster, KM_COORDINATOR_TRANSACTION, KC_STR(ID))->leader;
    mock_link *wrong = mock_link_new(world, right % 3 + 1);
    kp_init_producer_id_req request;
    mock_defaults(KP_API_INIT_PRODUCER_ID, &request);
    request.transactional_id = KC_STR(ID);
    request.transaction_timeout_ms = 1000;
    const kp_init_producer_id_resp *response = mock_ask(wrong, KP_API_INIT_PRODUCER_ID, 4, &request);
    ck_assert_int_eq(response->error_code, KC_E_NOT_COORDINATOR);
    ck_assert_int_eq(response->producer_id, -1);
    ck_assert_int_eq(response->producer_epoch, -1);
    kp_end_txn_req end;
    mock_defaults(KP_API_END_TXN, &end);
    end.transactional_id = KC_STR(ID);
    const kp_end_txn_resp *ended = mock_ask(wrong, KP_API_END_TXN, 5, &end);
    ck_assert_int_eq(ended->error_code, KC_E_NOT_COORDINATOR);
    mock_free(world);
}
END_TEST

START_TEST(each_new_producer_shuts_out_the_one_before)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 1);
    who first = init(world);
    ck_assert_int_eq(first.epoch, 0);
    who second = init(world);
    ck_assert_int_eq(second.id, first.id);
    ck_assert_int_eq(second.epoch, 1);
    ck_assert_int_eq(add_at(world, 1, first, "t", 0), KC_E_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(add_at(world, 2, first, "t", 0), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(end_at(world, 1, &first, true), KC_E_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(end_at(world, 2, &first, true), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(end_at(world, 5, &first, true), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(add_offsets(world, first, "g"), KC_E_PRODUCER_FENCED);
    who stranger = {first.id + 100, 1};
    ck_assert_int_eq(add(world, stranger, "t", 0), KC_E_INVALID_PRODUCER_ID_MAPPING);
    ck_assert_int_eq(end_at(world, 5, &stranger, true), KC_E_INVALID_PRODUCER_ID_MAPPING);
    mock_free(world);
}
END_TEST

START_TEST(a_producer_goes_on_with_the_next_epoch_and_a_retry_gets_the_same)
{
    mock_world *world = mock_new(1);
    who first = init(world);
    who second = first;
    ck_assert_int_eq(init_at(world, 4, &second), 0);
    ck_assert_int_eq(second.epoch, 1);
    who again = first;
    ck_assert_int_eq(init_at(world, 4, &again), 0);
    ck_assert_int_eq(again.epoch, 1);
    who third = second;
    ck_assert_int_eq(init_at(world, 3, &third), 0);
    ck_assert_int_eq(third.epoch, 2);
    who old = first;
    ck_assert_int_eq(init_at(world, 3, &old), KC_E_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(old.id, -1);
    old = first;
    ck_assert_int_eq(init_at(world, 4, &old), KC_E_PRODUCER_FENCED);
    init(world); /* somebody else: now nobody goes on */
    ck_assert_int_eq(init_at(world, 4, &third), KC_E_PRODUCER_FENCED);
    who stranger = {first.id + 100, 3};
    ck_assert_int_eq(init_at(world, 4, &stranger), KC_E_PRODUCER_FENCED);
    mock_free(world);
}
END_TEST

START_TEST(when_the_epochs_are_used_up_there_is_a_new_id)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 1);
    who first = init(world);
    km_txn *txn = km_txn_find(world->cluster, KC_STR(ID));
    txn->producer.epoch = INT16_MAX - 1;
    who last = {first.id, INT16_MAX - 1};
    who next = last;
    ck_assert_int_eq(init_at(world, 4, &next), 0);
    ck_assert_int_ne(next.id, first.id);
    ck_assert_int_eq(next.epoch, 0);
    who retry = last; /* it did not hear of it */
    ck_assert_int_eq(init_at(world, 4, &retry), 0);
    ck_assert_int_eq(retry.id, next.id);
    ck_assert_int_eq(retry.epoch, 0);
    /* The same by the end of a transaction with protocol 2. */
    txn->producer.epoch = INT16_MAX - 1;
    last = (who){next.id, INT16_MAX - 1};
    ck_assert_int_eq(add(world, last, "t", 0), 0);
    next = last;
    ck_assert_int_eq(end_at(world, 5, &next, true), 0);
    ck_assert_int_ne(next.id, last.id);
    ck_assert_int_eq(next.epoch, 0);
    retry = last;
    ck_assert_int_eq(end_at(world, 5, &retry, true), 0);
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
    who producer = init(world);
    ck_assert_int_eq(end_at(world, 4, &producer, true), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(end_at(world, 4, &producer, false), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(produce(world, 11, producer, 0), KC_E_TRANSACTION_ABORTABLE);
    ck_assert_int_eq(produce(world, 10, producer, 0), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(add(world, producer, "t", 0), 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_ONGOING);
    ck_assert_int_eq(produce(world, 11, producer, 0), 0);
    ck_assert_int_eq(km_partition_last_stable(topic->partitions[0]), 0);
    ck_assert_int_eq(end_at(world, 4, &producer, true), 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
    ck_assert_int_eq(txn_of(world)->producer.epoch, 0);
    ck_assert_int_eq(end_at(world, 4, &producer, true), 0); /* a retry */
    ck_assert_int_eq(end_at(world, 4, &producer, false), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(topic->partitions[0]->log.end_offset, 2);
    ck_assert_int_eq(topic->partitions[1]->log.end_offset, 0);
    ck_assert_int_eq(km_partition_last_stable(topic->partitions[0]), 2);
    ck_assert_int_eq(count_committed(topic->partitions[0]), 1);
    /* Next one: aborted. */
    ck_assert_int_eq(add(world, producer, "t", 0), 0);
    ck_assert_int_eq(produce(world, 11, producer, 1), 0);
    ck_assert_int_eq(end_at(world, 4, &producer, false), 0);
    ck_assert_int_eq(end_at(world, 4, &producer, false), 0);
    ck_assert_int_eq(end_at(world, 4, &producer, true), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(count_committed(topic->partitions[0]), 1);
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
    who first = init(world);
    ck_assert_int_eq(produce(world, 13, first, 0), 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_ONGOING);
    who second = first;
    ck_assert_int_eq(end_at(world, 5, &second, true), 0);
    ck_assert_int_eq(second.epoch, 1);
    ck_assert_int_eq(second.id, first.id);
    who retry = first;
    ck_assert_int_eq(end_at(world, 5, &retry, true), 0);
    ck_assert_int_eq(retry.epoch, 1);
    retry = first;
    ck_assert_int_eq(end_at(world, 5, &retry, false), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(end_at(world, 5, &second, true), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(count_committed(topic->partitions[0]), 1);
    /* What comes late of the first transaction is refused. */
    ck_assert_int_eq(produce(world, 13, first, 1), KC_E_INVALID_PRODUCER_EPOCH);
    /* An empty one may be aborted, and that bumps too. */
    who third = second;
    ck_assert_int_eq(end_at(world, 5, &third, false), 0);
    ck_assert_int_eq(third.epoch, 2);
    retry = second;
    ck_assert_int_eq(end_at(world, 5, &retry, false), 0);
    ck_assert_int_eq(retry.epoch, 2);
    ck_assert_int_eq(produce(world, 13, third, 0), 0);
    ck_assert_int_eq(end_at(world, 5, &third, false), 0);
    ck_assert_int_eq(count_committed(topic->partitions[0]), 1);
    ck_assert_int_eq(km_partition_last_stable(topic->partitions[0]),
                     topic->partitions[0]->log.end_offset);
    /* A new id may abort at once, but not commit. */
    who again = init(world);
    ck_assert_int_eq(end_at(world, 5, &again, true), KC_E_INVALID_TXN_STATE);
    who old = {again.id, (int16_t)(again.epoch - 1)};
    ck_assert_int_eq(end_at(world, 5, &old, false), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(end_at(world, 5, &again, false), 0);
    mock_free(world);
}
END_TEST

START_TEST(one_unknown_partition_fails_all_of_a_request)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 2);
    who producer = init(world);
    int32_t indexes[] = {0, 7, 1};
    kp_add_partitions_to_txn_req_topic topics[] = {{.name = KC_STR("t")},
                                                   {.name = KC_STR("__consumer_offsets")}};
    kp_add_partitions_to_txn_req request;
    mock_defaults(KP_API_ADD_PARTITIONS_TO_TXN, &request);
    request.v3_and_below_transactional_id = KC_STR(ID);
    request.v3_and_below_producer_id = producer.id;
    request.v3_and_below_producer_epoch = producer.epoch;
    request.v3_and_below_topics.items = topics;
    request.v3_and_below_topics.count = 2;
    topics[0].partitions.items = indexes;
    topics[0].partitions.count = 3;
    topics[1].partitions.items = indexes;
    topics[1].partitions.count = 1;
    const kp_add_partitions_to_txn_resp *response =
        mock_ask(coordinator(world), KP_API_ADD_PARTITIONS_TO_TXN, 3, &request);
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
    who producer = init(world);
    int32_t indexes[] = {0, 1};
    kp_add_partitions_to_txn_req_topic topic = {.name = KC_STR("t")};
    topic.partitions.items = indexes;
    kp_add_partitions_to_txn_req_transaction items[2] = {
        {.transactional_id = KC_STR(ID),
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
        mock_ask(coordinator(world), KP_API_ADD_PARTITIONS_TO_TXN, 4, &request);
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
    response = mock_ask(coordinator(world), KP_API_ADD_PARTITIONS_TO_TXN, 5, &request);
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
    who first = init(world);
    ck_assert_int_eq(produce(world, 13, first, 0), 0);
    who second = first;
    ck_assert_int_eq(end_at(world, 5, &second, true), 0);
    ck_assert_int_eq(second.epoch, 1);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    ck_assert_int_eq(count_committed(topic->partitions[0]), 0);
    who retry = first;
    ck_assert_int_eq(end_at(world, 5, &retry, true), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(end_at(world, 5, &retry, false), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(end_at(world, 5, &second, true), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(add(world, second, "t", 0), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(produce(world, 13, second, 0), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(produce(world, 11, second, 0), KC_E_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(add_offsets(world, second, "g"), KC_E_CONCURRENT_TRANSACTIONS);
    who other = {-1, -1};
    ck_assert_int_eq(init_at(world, 5, &other), KC_E_CONCURRENT_TRANSACTIONS);
    mock_run(world, 50);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
    ck_assert_int_eq(count_committed(topic->partitions[0]), 1);
    ck_assert_int_eq(produce(world, 13, second, 0), 0);
    /* Protocol 1 waits too. */
    ck_assert_int_eq(end_at(world, 4, &second, false), 0);
    ck_assert_int_eq(end_at(world, 4, &second, false), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(end_at(world, 4, &second, true), KC_E_INVALID_TXN_STATE);
    mock_run(world, 50);
    ck_assert_int_eq(end_at(world, 4, &second, false), 0);
    mock_free(world);
}
END_TEST

START_TEST(a_new_producer_aborts_what_the_old_one_left_open)
{
    mock_world *world = mock_new(1);
    const km_topic *topic = mock_topic(world, "t", 1);
    who old = init(world);
    ck_assert_int_eq(produce(world, 13, old, 0), 0);
    who fresh = {-1, -1};
    ck_assert_int_eq(init_at(world, 5, &fresh), KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_ABORT);
    ck_assert_int_eq(init_at(world, 5, &fresh), 0);
    ck_assert_int_eq(fresh.id, old.id);
    ck_assert_int_eq(fresh.epoch, 3); /* shut out, aborted, new */
    ck_assert_int_eq(count_committed(topic->partitions[0]), 0);
    ck_assert_int_eq(produce(world, 13, old, 1), KC_E_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(produce(world, 13, fresh, 0), 0);
    ck_assert_int_eq(end_at(world, 5, &fresh, true), 0);
    ck_assert_int_eq(count_committed(topic->partitions[0]), 1);
    mock_free(world);
}
END_TEST

START_TEST(a_transaction_that_takes_too_long_is_aborted_and_its_producer_shut_out)
{
    mock_world *world = mock_new(1);
    const km_topic *topic = mock_topic(world, "t", 1);
    who producer = init(world);
    mock_run(world, 100000); /* an empty one has all the time */
    ck_assert_int_eq(produce(world, 13, producer, 0), 0);
    mock_run(world, 59999);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_ONGOING);
    mock_run(world, 1);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_ABORT);
    ck_assert_int_eq(count_committed(topic->partitions[0]), 0);
    ck_assert_int_eq(end_at(world, 5, &producer, true), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(end_at(world, 4, &producer, true), KC_E_PRODUCER_FENCED);
    ck_assert_int_eq(produce(world, 13, producer, 1), KC_E_INVALID_PRODUCER_EPOCH);
    who resumed = producer;
    ck_assert_int_eq(init_at(world, 5, &resumed), KC_E_PRODUCER_FENCED);
    who fresh = init(world);
    ck_assert_int_eq(fresh.epoch, 3);
    /* One that ends in time is left alone. */
    ck_assert_int_eq(produce(world, 13, fresh, 0), 0);
    ck_assert_int_eq(end_at(world, 5, &fresh, true), 0);
    mock_run(world, 100000);
    ck_assert_int_eq(txn_of(world)->producer.epoch, fresh.epoch);
    mock_free(world);
}
END_TEST

/* ---- offsets of groups ---- */

static int64_t committed_offset(const mock_world *world, const char *group)
{
    const km_group *found = km_group_find(world->cluster, kc_str(group));
    const km_offset *offset = found ? km_group_offset_get(found, KC_STR("t"), 0) : NULL;
    return offset ? offset->offset : -1;
}

static bool has_pending(const mock_world *world, const char *group)
{
    const km_group *found = km_group_find(world->cluster, kc_str(group));
    return found && km_group_offset_is_pending(found, KC_STR("t"), 0);
}

START_TEST(offsets_count_when_the_transaction_is_committed)
{
    mock_world *world = mock_new(3);
    mock_topic(world, "t", 1);
    who producer = init(world);
    ck_assert_int_eq(commit_offset_at(world, 3, producer, "g", 5, -1), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(commit_offset_at(world, 4, producer, "g", 5, -1), KC_E_TRANSACTION_ABORTABLE);
    ck_assert_int_eq(add_offsets(world, producer, "g"), 0);
    for (int16_t version = 0; version < 5; version++)
        ck_assert_int_eq(commit_offset_at(world, version, producer, "g", 5 + version, -1), 0);
    ck_assert(has_pending(world, "g"));
    ck_assert_int_eq(committed_offset(world, "g"), -1);
    ck_assert_int_eq(end_at(world, 4, &producer, true), 0);
    ck_assert(!has_pending(world, "g"));
    ck_assert_int_eq(committed_offset(world, "g"), 9);
    /* Protocol 2: no AddOffsetsToTxn. */
    ck_assert_int_eq(commit_offset_at(world, 5, producer, "g", 20, -1), 0);
    ck_assert(has_pending(world, "g"));
    ck_assert_int_eq(end_at(world, 5, &producer, false), 0);
    ck_assert(!has_pending(world, "g"));
    ck_assert_int_eq(committed_offset(world, "g"), 9);
    ck_assert_int_eq(commit_offset_at(world, 5, producer, "g", 30, -1), 0);
    who old = producer;
    ck_assert_int_eq(end_at(world, 5, &producer, true), 0);
    ck_assert_int_eq(committed_offset(world, "g"), 30);
    ck_assert_int_eq(commit_offset_at(world, 5, old, "g", 1, -1), KC_E_INVALID_PRODUCER_EPOCH);
    mock_free(world);
}
END_TEST

START_TEST(offsets_are_refused_where_the_group_or_the_topic_does_not_fit)
{
    mock_world *world = mock_new(1);
    who producer = init(world);
    mock_link *link = mock_link_new(world, 1);
    ck_assert_int_eq(commit_offset_at(world, 5, producer, "g", 1, -1),
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_EMPTY);
    mock_topic(world, "t", 1);
    ck_assert_int_eq(commit_offset_at(world, 5, producer, "", 1, -1), KC_E_INVALID_GROUP_ID);
    ck_assert_int_eq(commit_offset_at(world, 5, producer, "g", 1, 3), KC_E_ILLEGAL_GENERATION);
    ck_assert_int_eq(commit_offset_at(world, 5, producer, "g", 1, -1), 0);
    ck_assert_int_eq(commit_offset_at(world, 5, producer, "g", 1, 3), KC_E_UNKNOWN_MEMBER_ID);
    kp_txn_offset_commit_req request;
    char large[5000];
    memset(large, 'x', sizeof large);
    kp_txn_offset_commit_req_partition parts[] = {
        {.partition_index = 0, .committed_offset = 7, .committed_leader_epoch = -1},
        {.partition_index = 9, .committed_leader_epoch = -1},
        {.partition_index = 0,
         .committed_leader_epoch = -1,
         .committed_metadata = kc_span(large, sizeof large)},
    };
    kp_txn_offset_commit_req_topic topic = {.name = KC_STR("t")};
    topic.partitions.items = parts;
    topic.partitions.count = 3;
    mock_defaults(KP_API_TXN_OFFSET_COMMIT, &request);
    request.transactional_id = KC_STR(ID);
    request.group_id = KC_STR("g");
    request.producer_id = producer.id;
    request.producer_epoch = producer.epoch;
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_txn_offset_commit_resp *response =
        mock_ask(link, KP_API_TXN_OFFSET_COMMIT, 5, &request);
    ck_assert_int_eq(response->topics.items[0].partitions.items[0].error_code, 0);
    ck_assert_int_eq(response->topics.items[0].partitions.items[1].error_code,
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(response->topics.items[0].partitions.items[2].error_code,
                     KC_E_OFFSET_METADATA_TOO_LARGE);
    mock_free(world);
}
END_TEST

/* ---- brokers come and go ---- */

/** Stop brokers until a partition has no leader; which ones. */
static void stop_replicas(mock_world *world, const km_partition *partition)
{
    while (partition->leader > 0)
        km_broker_stop(mock_broker(world, partition->leader), false);
}

static void start_all(mock_world *world)
{
    for (int32_t i = 1; i <= world->cluster->broker_count; i++)
        km_broker_start(mock_broker(world, i));
    mock_run(world, 0);
}

/** A topic whose only replica is not at the coordinator of ID. */
static km_partition *partition_elsewhere(mock_world *world)
{
    int32_t at =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_TRANSACTION, KC_STR(ID))->leader;
    km_topic *topic = NULL;
    ck_assert_int_eq(km_topic_create(world->cluster, KC_STR("t"), 3, 1, &topic), 0);
    for (int32_t i = 0; i < 3; i++)
        if (topic->partitions[i]->leader != at)
            return topic->partitions[i];
    ck_abort();
}

START_TEST(a_partition_without_a_leader_gets_its_marker_later)
{
    mock_world *world = mock_new(3);
    km_partition *partition = partition_elsewhere(world);
    who producer = init(world);
    const kp_batch_producer as = {producer.id, producer.epoch, 0, true};
    ck_assert_int_eq(produce_as(world, 13, "t", partition->index, &as), 0);
    stop_replicas(world, partition);
    ck_assert_int_eq(end_at(world, 5, &producer, true), 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    mock_run(world, 100000); /* prepared is decided: no timeout */
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    start_all(world);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
    ck_assert_int_eq(count_committed(partition), 1);
    mock_free(world);
}
END_TEST

START_TEST(what_a_coordinator_knows_moves_to_the_next_one)
{
    mock_world *world = mock_new(3);
    const km_topic *topic = mock_topic(world, "t", 1);
    who producer = init(world);
    ck_assert_int_eq(produce(world, 13, producer, 0), 0);
    km_partition *at =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_TRANSACTION, KC_STR(ID));
    int32_t before = at->leader;
    km_broker_stop(mock_broker(world, before), true);
    ck_assert_int_ne(at->leader, before);
    ck_assert_int_eq(end_at(world, 5, &producer, true), 0);
    ck_assert_int_eq(producer.epoch, 1);
    ck_assert_int_eq(count_committed(topic->partitions[0]), 1);
    /* Without any coordinator a timeout waits for one. */
    ck_assert_int_eq(produce(world, 13, producer, 0), 0);
    stop_replicas(world, at);
    mock_run(world, 70000);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_ONGOING);
    start_all(world);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_ABORT);
    mock_free(world);
}
END_TEST

START_TEST(a_marker_that_is_lost_with_a_leader_is_written_again)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 3;
    options.replication_us = 10000;
    mock_world *world = mock_new_with(&options);
    const km_topic *topic = mock_topic(world, "t", 1);
    km_partition *partition = topic->partitions[0];
    who producer = init(world);
    ck_assert_int_eq(add(world, producer, "t", 0), 0);
    const kp_batch_producer as = {producer.id, producer.epoch, 0, true};
    kc_bytes bytes = mock_batch(world, 1, &as);
    kp_batch batch;
    ck_assert_int_eq(kp_batch_next(&bytes, true, &batch), KC_OK);
    ck_assert_int_eq(km_producers_reserve(partition, producer.id), KC_OK);
    ck_assert_int_eq(km_log_append(&partition->log, &batch, partition->leader_epoch), KC_OK);
    km_producers_appended(partition);
    km_partition_appended(partition);
    mock_run(world, 10);
    ck_assert_int_eq(partition->log.high_watermark, 1);
    ck_assert_int_eq(end_at(world, 4, &producer, true), 0);
    ck_assert_int_eq(partition->log.end_offset, 2);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    ck_assert_int_eq(km_partition_last_stable(partition), 0);
    km_broker_stop(mock_broker(world, partition->leader), true);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    mock_run(world, 0);
    ck_assert_int_eq(partition->log.end_offset, 2); /* lost, and again */
    mock_run(world, 20);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
    ck_assert_int_eq(partition->log.end_offset, 2);
    ck_assert_int_eq(count_committed(partition), 1);
    mock_free(world);
}
END_TEST

START_TEST(a_topic_that_is_deleted_leaves_the_transaction)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 2;
    options.replication_us = 10000;
    mock_world *world = mock_new_with(&options);
    km_topic *topic = mock_topic(world, "t", 1);
    km_topic *other = mock_topic(world, "u", 1);
    who producer = init(world);
    ck_assert_int_eq(add(world, producer, "t", 0), 0);
    ck_assert_int_eq(add(world, producer, "u", 0), 0);
    km_topic_delete(world->cluster, topic);
    ck_assert_int_eq(end_at(world, 5, &producer, true), 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    km_topic_delete(world->cluster, other); /* while its marker waits to be replicated */
    mock_run(world, 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
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
    return mock_ask(coordinator(world), KP_API_LIST_TRANSACTIONS, 2, &request);
}

START_TEST(transactions_are_listed_and_described)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 2);
    mock_topic(world, "u", 1);
    who producer = init(world);
    ck_assert_int_eq(add(world, producer, "t", 1), 0);
    ck_assert_int_eq(add(world, producer, "u", 0), 0);
    ck_assert_int_eq(add(world, producer, "t", 0), 0);
    int64_t start_ms = world->cluster->wall_ms;
    mock_run(world, 1000);
    ck_assert_int_eq(list(world, NULL, -1, -1)->transaction_states.count, 1);
    ck_assert_int_eq(list(world, "Ongoing", producer.id, 999)->transaction_states.count, 1);
    ck_assert_int_eq(list(world, "Ongoing", producer.id, 1000)->transaction_states.count, 0);
    ck_assert_int_eq(list(world, "Empty", -1, -1)->transaction_states.count, 0);
    ck_assert_int_eq(list(world, NULL, producer.id + 1, -1)->transaction_states.count, 0);
    const kp_list_transactions_resp *listed = list(world, "Ongoing", -1, -1);
    ck_assert_int_eq(listed->unknown_state_filters.count, 1);
    ck_assert(kc_bytes_equal(listed->unknown_state_filters.items[0], KC_STR("Odd")));
    ck_assert(kc_bytes_equal(listed->transaction_states.items[0].transactional_id, KC_STR(ID)));
    ck_assert(
        kc_bytes_equal(listed->transaction_states.items[0].transaction_state, KC_STR("Ongoing")));
    kp_describe_transactions_req request;
    kc_bytes ids[] = {KC_STR(ID), KC_STR("nobody"), KC_STR("")};
    mock_defaults(KP_API_DESCRIBE_TRANSACTIONS, &request);
    request.transactional_ids.items = ids;
    request.transactional_ids.count = 3;
    const kp_describe_transactions_resp *response =
        mock_ask(coordinator(world), KP_API_DESCRIBE_TRANSACTIONS, 0, &request);
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

/* ---- everything at random ---- */

#define PRODUCERS  3
#define PARTITIONS 2

/** One producer as a client would keep it, and what became of its records. */
typedef struct model {
    char id[8];
    who producer;
    bool is_v2;   /**< protocol 1 adds before it produces */
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
    case KC_E_INVALID_TXN_STATE:
        ck_assert(!one->is_open);
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
    int16_t error = add_to(world->mock, 3, one->id, one->producer, &part);
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
    const kp_produce_resp *response =
        mock_ask(mock_leader(world->mock, "t", index), KP_API_PRODUCE, one->is_v2 ? 13 : 11, &request);
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
        ck_assert_msg(count_committed(partition) == world.committed[i],
                      "seed %llu, partition %d: %d committed, %d read", (unsigned long long)seed, i,
                      world.committed[i], count_committed(partition));
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
