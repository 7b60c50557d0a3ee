/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What is read, when, and what sessions remember. */
#include "mock/fetch_session.h"
#include "mock/producer_state.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>
#include <stdio.h>

#define PARTITIONS_MAX 8

/** A request for partitions of one topic, with all it points to. */
typedef struct many_request {
    kp_fetch_req request;
    kp_fetch_req_topic topic;
    kp_fetch_req_partition partitions[PARTITIONS_MAX];
} many_request;

/** Partitions 0 to count-1 from offset 0. */
static kp_fetch_req *many(many_request *out, const km_topic *topic, int count)
{
    mock_defaults(KP_API_FETCH, &out->request);
    out->topic = (kp_fetch_req_topic){.topic = kc_str(topic->name), .topic_id = topic->id};
    for (int i = 0; i < count; i++)
        out->partitions[i] = (kp_fetch_req_partition){.partition = i,
                                                      .current_leader_epoch = -1,
                                                      .last_fetched_epoch = -1,
                                                      .log_start_offset = -1,
                                                      .high_watermark = INT64_MAX,
                                                      .partition_max_bytes = 1 << 20};
    out->topic.partitions.items = out->partitions;
    out->topic.partitions.count = count;
    out->request.topics.items = &out->topic;
    out->request.topics.count = 1;
    out->request.min_bytes = 1;
    return &out->request;
}

static const kp_fetch_resp_partition *only(const kp_fetch_resp *response)
{
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->responses.count, 1);
    ck_assert_int_eq(response->responses.items[0].partitions.count, 1);
    return &response->responses.items[0].partitions.items[0];
}

/** Append `count` records as one batch; acks=all would wait where replication takes time. */
static void append(mock_world *world, const km_topic *topic, int index, int count,
                   const kp_batch_producer *producer)
{
    kp_produce_req request;
    kp_produce_req_partition_data partition = {.index = index,
                                               .records = mock_batch(world, count, producer)};
    kp_produce_req_topic_data of_topic = {.name = kc_str(topic->name)};
    of_topic.partition_data.items = &partition;
    of_topic.partition_data.count = 1;
    mock_defaults(KP_API_PRODUCE, &request);
    request.topic_data.items = &of_topic;
    request.topic_data.count = 1;
    request.acks = 1;
    request.transactional_id = KC_STR("tx");
    mock_link *link = mock_link_new(world, topic->partitions[index]->leader);
    const kp_produce_resp *response = mock_ask(link, KP_API_PRODUCE, 9, &request);
    ck_assert_int_eq(response->responses.items[0].partition_responses.items[0].error_code, 0);
    mock_link_free(link);
}

static int count_records(kc_bytes records)
{
    kp_batch batch;
    int count = 0;
    while (kp_batch_next(&records, true, &batch) == KC_OK)
        count += batch.record_count;
    return count;
}

START_TEST(records_are_read_in_every_version)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    mock_link *link = mock_link_new(world, 1);
    append(world, topic, 0, 3, NULL);
    append(world, topic, 0, 4, NULL);
    for (int16_t version = 4; version <= 18; version++) {
        many_request request;
        many(&request, topic, 1);
        request.partitions[0].fetch_offset = 4;
        const kp_fetch_resp *response = mock_ask(link, KP_API_FETCH, version, &request.request);
        const kp_fetch_resp_partition *got = only(response);
        ck_assert_int_eq(got->error_code, 0);
        ck_assert_int_eq(got->high_watermark, 7);
        ck_assert_int_eq(got->last_stable_offset, 7);
        ck_assert_int_eq(count_records(got->records), 4);
        ck_assert_int_eq(response->session_id, 0);
        ck_assert_int_eq(got->aborted_transactions.count, -1);
    }
    mock_free(world);
}
END_TEST

START_TEST(a_partition_that_is_named_again_is_one_with_what_was_told_last)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    mock_link *link = mock_link_new(world, 1);
    append(world, topic, 0, 3, NULL);
    append(world, topic, 0, 4, NULL);
    for (int16_t version = 12; version <= 18; version++) {
        many_request request;
        many(&request, topic, 3);
        for (int i = 0; i < 3; i++) {
            request.partitions[i].partition = 0;
            request.partitions[i].fetch_offset = i == 2 ? 3 : 0;
        }
        const kp_fetch_resp *response = mock_ask(link, KP_API_FETCH, version, &request.request);
        ck_assert_int_eq(count_records(only(response)->records), 4);
    }
    mock_free(world);
}
END_TEST

START_TEST(a_fetch_waits_for_its_first_byte_and_gets_it_at_once)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 2);
    mock_link *link = mock_link_new(world, 1);
    many_request request;
    many(&request, topic, 2);
    request.request.max_wait_ms = 500;
    mock_send(link, KP_API_FETCH, 17, &request.request);
    mock_run(world, 499);
    ck_assert_ptr_null(mock_answer(link));
    append(world, topic, 1, 2, NULL);
    const kp_fetch_resp *response = mock_answer(link);
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->responses.items[0].partitions.count, 2);
    ck_assert_int_eq(count_records(response->responses.items[0].partitions.items[1].records), 2);
    /* The second one ends by time, without records, which are not null. */
    request.partitions[1].fetch_offset = 2;
    mock_send(link, KP_API_FETCH, 17, &request.request);
    mock_run(world, 500);
    response = mock_answer(link);
    ck_assert_ptr_nonnull(response);
    ck_assert_ptr_nonnull(response->responses.items[0].partitions.items[0].records.ptr);
    mock_free(world);
}
END_TEST

START_TEST(a_fetch_waits_for_min_bytes)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    mock_link *link = mock_link_new(world, 1);
    append(world, topic, 0, 1, NULL);
    many_request request;
    many(&request, topic, 1);
    request.request.max_wait_ms = 500;
    request.request.min_bytes = 150;
    mock_send(link, KP_API_FETCH, 17, &request.request);
    ck_assert_ptr_null(mock_answer(link));
    append(world, topic, 0, 1, NULL);
    ck_assert_ptr_null(mock_answer(link));
    append(world, topic, 0, 1, NULL);
    ck_assert_int_eq(count_records(only(mock_answer(link))->records), 3);
    mock_free(world);
}
END_TEST

START_TEST(the_first_batch_comes_whole_and_then_the_sizes_count)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 2);
    mock_link *link = mock_link_new(world, 1);
    for (int i = 0; i < 3; i++) {
        append(world, topic, 0, 10, NULL);
        append(world, topic, 1, 10, NULL);
    }
    many_request request;
    many(&request, topic, 2);
    request.partitions[0].partition_max_bytes = 1;
    request.partitions[1].partition_max_bytes = 1;
    const kp_fetch_resp *response = mock_ask(link, KP_API_FETCH, 13, &request.request);
    const kp_fetch_resp_partition *got = response->responses.items[0].partitions.items;
    ck_assert_int_eq(count_records(got[0].records), 10);
    size_t batch_len = got[0].records.len;
    ck_assert_uint_eq(got[1].records.len, 0);
    ck_assert_ptr_nonnull(got[1].records.ptr);
    /* A stretch of the file: the second batch of partition 0 is cut. */
    request.partitions[0].partition_max_bytes = (int32_t)batch_len + 20;
    request.partitions[1].partition_max_bytes = 1 << 20;
    request.request.max_bytes = (int32_t)batch_len * 3;
    response = mock_ask(link, KP_API_FETCH, 13, &request.request);
    got = response->responses.items[0].partitions.items;
    ck_assert_uint_eq(got[0].records.len, batch_len + 20);
    ck_assert_int_eq(count_records(got[0].records), 10);
    ck_assert_uint_eq(got[1].records.len, batch_len * 2 - 20);
    ck_assert_int_eq(count_records(got[1].records), 10);
    mock_free(world);
}
END_TEST

START_TEST(offsets_and_epochs_outside_of_the_log_are_refused)
{
    mock_world *world = mock_new(3);
    km_topic *topic = mock_topic(world, "t", 1);
    append(world, topic, 0, 5, NULL);
    km_partition *partition = topic->partitions[0];
    km_log_delete_before(&partition->log, 2);
    km_partition_move(world->cluster, partition, partition->leader % 3 + 1);
    km_changed(world->cluster);
    static const struct {
        int64_t offset;
        int32_t leader_epoch;
        int32_t last_epoch;
        int16_t error;
    } rows[] = {
        {1, -1, -1, KC_E_OFFSET_OUT_OF_RANGE},
        {2, 1, 0, 0},
        {5, -1, -1, 0},
        {6, -1, -1, KC_E_OFFSET_OUT_OF_RANGE},
        {-1, -1, -1, KC_E_OFFSET_OUT_OF_RANGE},
        {2, 0, -1, KC_E_FENCED_LEADER_EPOCH},
        {2, 2, -1, KC_E_UNKNOWN_LEADER_EPOCH},
        {2, 1, 7, KC_E_OFFSET_OUT_OF_RANGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        many_request request;
        many(&request, topic, 1);
        request.partitions[0].fetch_offset = rows[i].offset;
        request.partitions[0].current_leader_epoch = rows[i].leader_epoch;
        request.partitions[0].last_fetched_epoch = rows[i].last_epoch;
        const kp_fetch_resp_partition *got =
            only(mock_ask(mock_leader(world, "t", 0), KP_API_FETCH, 16, &request.request));
        ck_assert_msg(got->error_code == rows[i].error, "row %zu: %d", i, got->error_code);
        ck_assert_int_eq(got->high_watermark, rows[i].error ? -1 : 5);
        ck_assert_int_eq(got->current_leader.leader_id,
                         rows[i].error == KC_E_FENCED_LEADER_EPOCH ? partition->leader : -1);
    }
    mock_free(world);
}
END_TEST

START_TEST(a_reader_of_what_was_lost_hears_where_its_log_diverges)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 3;
    options.replication_us = 1000000;
    mock_world *world = mock_new_with(&options);
    km_topic *topic = mock_topic(world, "t", 1);
    append(world, topic, 0, 3, NULL);
    mock_run(world, 2000);
    append(world, topic, 0, 4, NULL);
    km_broker_stop(mock_broker(world, topic->partitions[0]->leader), true);
    ck_assert_int_eq(topic->partitions[0]->log.end_offset, 3);
    append(world, topic, 0, 9, NULL);
    many_request request;
    many(&request, topic, 1);
    request.partitions[0].fetch_offset = 5;
    request.partitions[0].last_fetched_epoch = 0;
    const kp_fetch_resp_partition *got =
        only(mock_ask(mock_leader(world, "t", 0), KP_API_FETCH, 16, &request.request));
    ck_assert_int_eq(got->error_code, 0);
    ck_assert_int_eq(got->diverging_epoch.epoch, 0);
    ck_assert_int_eq(got->diverging_epoch.end_offset, 3);
    ck_assert_uint_eq(got->records.len, 0);
    mock_free(world);
}
END_TEST

START_TEST(what_is_behind_the_high_watermark_is_not_read)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 3;
    options.replication_us = 50000;
    mock_world *world = mock_new_with(&options);
    km_topic *topic = mock_topic(world, "t", 1);
    mock_link *link = mock_link_new(world, topic->partitions[0]->leader);
    append(world, topic, 0, 3, NULL);
    many_request request;
    many(&request, topic, 1);
    request.request.max_wait_ms = 1000;
    mock_send(link, KP_API_FETCH, 16, &request.request);
    mock_run(world, 49);
    ck_assert_ptr_null(mock_answer(link));
    mock_run(world, 1);
    ck_assert_int_eq(count_records(only(mock_answer(link))->records), 3);
    mock_free(world);
}
END_TEST

START_TEST(unknown_topics_and_other_leaders_are_told_apart)
{
    mock_world *world = mock_new(4);
    km_topic *topic = mock_topic(world, "t", 1);
    int32_t leader = topic->partitions[0]->leader;
    mock_link *follower = mock_link_new(world, topic->partitions[0]->replicas[1]);
    int32_t none = 1;
    for (int32_t i = 0; i < topic->partitions[0]->replica_count; i++)
        none += topic->partitions[0]->replicas[i];
    none = 4 * 5 / 2 + 1 - none; /* the broker that has no replica */
    mock_link *stranger = mock_link_new(world, none);
    many_request request;
    many(&request, topic, 1);
    ck_assert_int_eq(only(mock_ask(follower, KP_API_FETCH, 10, &request.request))->error_code,
                     KC_E_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(only(mock_ask(follower, KP_API_FETCH, 17, &request.request))->error_code, 0);
    const kp_fetch_resp *response = mock_ask(stranger, KP_API_FETCH, 17, &request.request);
    ck_assert_int_eq(only(response)->error_code, KC_E_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(only(response)->current_leader.leader_id, leader);
    ck_assert_int_eq(response->node_endpoints.count, 1);
    request.partitions[0].partition = 7;
    ck_assert_int_eq(only(mock_ask(stranger, KP_API_FETCH, 17, &request.request))->error_code,
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    request.topic.topic_id.bytes[0] ^= 1;
    ck_assert_int_eq(only(mock_ask(stranger, KP_API_FETCH, 17, &request.request))->error_code,
                     KC_E_UNKNOWN_TOPIC_ID);
    mock_free(world);
}
END_TEST

START_TEST(a_fetch_that_waits_hears_of_a_new_leader_and_of_the_end_of_its_topic)
{
    mock_world *world = mock_new(3);
    km_topic *topic = mock_topic(world, "t", 2);
    km_partition *partition = topic->partitions[0];
    many_request request;
    many(&request, topic, 1);
    request.request.max_wait_ms = 5000;
    request.partitions[0].current_leader_epoch = 0;
    mock_link *link = mock_leader(world, "t", 0);
    mock_send(link, KP_API_FETCH, 17, &request.request);
    km_partition_move(world->cluster, partition, partition->leader % 3 + 1);
    km_changed(world->cluster);
    ck_assert_int_eq(only(mock_answer(link))->error_code, KC_E_FENCED_LEADER_EPOCH);
    request.partitions[0].current_leader_epoch = 1;
    link = mock_leader(world, "t", 0);
    mock_send(link, KP_API_FETCH, 17, &request.request);
    ck_assert_ptr_null(mock_answer(link));
    km_topic_delete(world->cluster, topic);
    ck_assert_int_eq(only(mock_answer(link))->error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    mock_free(world);
}
END_TEST

/* ---- transactions ---- */

START_TEST(read_committed_ends_at_an_open_transaction_and_names_the_aborted_ones)
{
    mock_world *world = mock_new(1);
    mock_allow_transactions(world);
    km_topic *topic = mock_topic(world, "t", 1);
    km_partition *partition = topic->partitions[0];
    mock_link *link = mock_link_new(world, 1);
    kp_batch_producer a = {1, 0, 0, true}, b = {2, 0, 0, true};
    append(world, topic, 0, 2, NULL); /* 0 1 */
    append(world, topic, 0, 2, &a);   /* 2 3 */
    append(world, topic, 0, 2, &b);   /* 4 5 */
    many_request request;
    many(&request, topic, 1);
    request.request.isolation_level = 1;
    const kp_fetch_resp_partition *got = only(mock_ask(link, KP_API_FETCH, 17, &request.request));
    ck_assert_int_eq(got->last_stable_offset, 2);
    ck_assert_int_eq(got->high_watermark, 6);
    ck_assert_int_eq(count_records(got->records), 2);
    ck_assert_int_eq(got->aborted_transactions.count, 0);
    ck_assert_int_eq(km_partition_append_marker(partition, 1, 0, 0, false), KC_OK); /* 6 */
    ck_assert_int_eq(km_partition_last_stable(partition), 4);
    ck_assert_int_eq(km_partition_append_marker(partition, 2, 0, 0, true), KC_OK); /* 7 */
    got = only(mock_ask(link, KP_API_FETCH, 17, &request.request));
    ck_assert_int_eq(got->last_stable_offset, 8);
    ck_assert_int_eq(count_records(got->records), 8);
    ck_assert_int_eq(got->aborted_transactions.count, 1);
    ck_assert_int_eq(got->aborted_transactions.items[0].producer_id, 1);
    ck_assert_int_eq(got->aborted_transactions.items[0].first_offset, 2);
    request.partitions[0].fetch_offset = 7; /* behind its marker */
    got = only(mock_ask(link, KP_API_FETCH, 17, &request.request));
    ck_assert_int_eq(got->aborted_transactions.count, 0);
    request.request.isolation_level = 0;
    got = only(mock_ask(link, KP_API_FETCH, 17, &request.request));
    ck_assert_int_eq(got->aborted_transactions.count, -1);
    mock_free(world);
}
END_TEST

START_TEST(a_fetch_with_read_committed_is_woken_by_the_end_of_the_transaction)
{
    mock_world *world = mock_new(1);
    mock_allow_transactions(world);
    km_topic *topic = mock_topic(world, "t", 1);
    mock_link *link = mock_link_new(world, 1);
    kp_batch_producer a = {1, 0, 0, true};
    append(world, topic, 0, 2, &a);
    many_request request;
    many(&request, topic, 1);
    request.request.isolation_level = 1;
    request.request.max_wait_ms = 1000;
    mock_send(link, KP_API_FETCH, 17, &request.request);
    ck_assert_ptr_null(mock_answer(link));
    ck_assert_int_eq(km_partition_append_marker(topic->partitions[0], 1, 0, 0, true), KC_OK);
    ck_assert_int_eq(count_records(only(mock_answer(link))->records), 3);
    mock_free(world);
}
END_TEST

START_TEST(a_marker_that_is_lost_opens_its_transaction_again)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 3;
    options.replication_us = 1000;
    mock_world *world = mock_new_with(&options);
    mock_allow_transactions(world);
    km_topic *topic = mock_topic(world, "t", 1);
    km_partition *partition = topic->partitions[0];
    kp_batch_producer a = {1, 0, 0, true}, b = {2, 3, 7, false};
    append(world, topic, 0, 2, &a);
    append(world, topic, 0, 2, &b);
    mock_run(world, 10);
    b.base_sequence = 9;
    append(world, topic, 0, 2, &b);
    ck_assert_int_eq(km_partition_append_marker(partition, 1, 0, 0, false), KC_OK);
    ck_assert(!km_partition_has_transaction(partition, 1, 0));
    ck_assert_int_eq(km_partition_last_stable(partition), 0);
    ck_assert_uint_eq(km_producers_aborted(partition, 0, 10, NULL, 0), 1);
    km_broker_stop(mock_broker(world, partition->leader), true);
    ck_assert_int_eq(partition->log.end_offset, 4);
    ck_assert(km_partition_has_transaction(partition, 1, 0));
    ck_assert_uint_eq(km_producers_aborted(partition, 0, 10, NULL, 0), 0);
    ck_assert_int_eq(km_producer_last_sequence(km_producer_find(partition, 2)), 8);
    append(world, topic, 0, 2, &b); /* which is no duplicate now */
    ck_assert_int_eq(partition->log.end_offset, 6);
    mock_free(world);
}
END_TEST

/* ---- sessions ---- */

START_TEST(a_session_remembers_and_tells_only_news)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 3);
    mock_link *link = mock_link_new(world, 1);
    append(world, topic, 2, 1, NULL);
    many_request request;
    many(&request, topic, 3);
    request.request.session_epoch = 0;
    const kp_fetch_resp *response = mock_ask(link, KP_API_FETCH, 17, &request.request);
    int32_t id = response->session_id;
    ck_assert_int_gt(id, 0);
    ck_assert_int_eq(response->responses.items[0].partitions.count, 3);
    /* Nothing new but that partition 2 is read on. */
    request.request.session_id = id;
    request.request.session_epoch = 1;
    request.partitions[0] = request.partitions[2];
    request.partitions[0].fetch_offset = 1;
    request.topic.partitions.count = 1;
    response = mock_ask(link, KP_API_FETCH, 17, &request.request);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->session_id, id);
    ck_assert_int_eq(response->responses.count, 0);
    append(world, topic, 1, 4, NULL);
    request.request.session_epoch = 2;
    request.request.topics.count = 0;
    response = mock_ask(link, KP_API_FETCH, 17, &request.request);
    ck_assert_int_eq(only(response)->partition_index, 1);
    ck_assert_int_eq(count_records(only(response)->records), 4);
    /* Forgotten: partition 1 has its records still, but is not asked any more. */
    kp_fetch_req_forgotten_topics_data gone = {.topic_id = topic->id};
    int32_t index = 1;
    gone.partitions.items = &index;
    gone.partitions.count = 1;
    request.request.forgotten_topics_data.items = &gone;
    request.request.forgotten_topics_data.count = 1;
    request.request.session_epoch = 3;
    response = mock_ask(link, KP_API_FETCH, 17, &request.request);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->responses.count, 0);
    mock_free(world);
}
END_TEST

START_TEST(sessions_and_epochs_that_do_not_fit_are_refused)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    mock_link *link = mock_link_new(world, 1);
    many_request request;
    many(&request, topic, 1);
    request.request.session_epoch = 0;
    int32_t id =
        ((const kp_fetch_resp *)mock_ask(link, KP_API_FETCH, 17, &request.request))->session_id;
    request.request.session_id = id;
    request.request.session_epoch = 2;
    const kp_fetch_resp *response = mock_ask(link, KP_API_FETCH, 17, &request.request);
    ck_assert_int_eq(response->error_code, KC_E_INVALID_FETCH_SESSION_EPOCH);
    request.request.session_epoch = 1;
    response = mock_ask(link, KP_API_FETCH, 12, &request.request);
    ck_assert_int_eq(response->error_code, KC_E_FETCH_SESSION_TOPIC_ID_ERROR);
    request.request.session_id = id ^ 1;
    response = mock_ask(link, KP_API_FETCH, 17, &request.request);
    ck_assert_int_eq(response->error_code, KC_E_FETCH_SESSION_ID_NOT_FOUND);
    /* The final epoch closes it. */
    request.request.session_id = id;
    request.request.session_epoch = -1;
    response = mock_ask(link, KP_API_FETCH, 17, &request.request);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->session_id, 0);
    ck_assert_ptr_null(km_fetch_session_find(mock_broker(world, 1), id));
    mock_free(world);
}
END_TEST

START_TEST(partitions_of_a_session_have_their_turn)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 3);
    mock_link *link = mock_link_new(world, 1);
    many_request request;
    many(&request, topic, 3);
    request.request.session_epoch = 0;
    int32_t id =
        ((const kp_fetch_resp *)mock_ask(link, KP_API_FETCH, 17, &request.request))->session_id;
    for (int i = 0; i < 3; i++)
        append(world, topic, i, 5, NULL);
    request.request.session_id = id;
    request.request.topics.count = 0;
    request.request.max_bytes = 10; /* one batch an answer */
    for (int32_t i = 0; i < 6; i++) {
        request.request.session_epoch = i + 1;
        const kp_fetch_resp *response = mock_ask(link, KP_API_FETCH, 17, &request.request);
        int with_records = -1;
        for (int32_t j = 0; j < response->responses.items[0].partitions.count; j++)
            if (response->responses.items[0].partitions.items[j].records.len > 0)
                with_records = response->responses.items[0].partitions.items[j].partition_index;
        ck_assert_int_eq(with_records, i % 3);
    }
    mock_free(world);
}
END_TEST

START_TEST(a_session_keeps_the_id_of_a_topic_that_is_made_again)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    mock_link *link = mock_link_new(world, 1);
    many_request request;
    many(&request, topic, 1);
    request.request.session_epoch = 0;
    request.request.session_id =
        ((const kp_fetch_resp *)mock_ask(link, KP_API_FETCH, 17, &request.request))->session_id;
    request.request.topics.count = 0;
    km_topic_delete(world->cluster, topic);
    request.request.session_epoch = 1;
    ck_assert_int_eq(only(mock_ask(link, KP_API_FETCH, 17, &request.request))->error_code,
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    topic = mock_topic(world, "t", 1);
    request.request.session_epoch = 2;
    ck_assert_int_eq(only(mock_ask(link, KP_API_FETCH, 17, &request.request))->error_code,
                     KC_E_INCONSISTENT_TOPIC_ID);
    mock_free(world);
}
END_TEST

START_TEST(a_broker_that_ends_forgets_its_sessions_and_the_cache_is_limited)
{
    mock_world *world = mock_new(2);
    km_topic *topic = mock_topic(world, "t", 1);
    mock_link *link = mock_leader(world, "t", 0);
    km_broker *broker = mock_broker(world, topic->partitions[0]->leader);
    many_request request;
    many(&request, topic, 1);
    request.request.session_epoch = 0;
    int32_t first = 0;
    for (int i = 0; i <= KM_FETCH_SESSIONS_MAX; i++) {
        const kp_fetch_resp *response = mock_ask(link, KP_API_FETCH, 17, &request.request);
        first = first ? first : response->session_id;
        ck_assert((response->session_id > 0) == (i < KM_FETCH_SESSIONS_MAX));
    }
    mock_run(world, KM_FETCH_SESSION_MS + 1);
    const kp_fetch_resp *response = mock_ask(link, KP_API_FETCH, 17, &request.request);
    int32_t last = response->session_id;
    ck_assert_int_gt(last, 0);
    ck_assert_ptr_null(km_fetch_session_find(broker, first));
    ck_assert_ptr_nonnull(km_fetch_session_find(broker, last));
    km_broker_stop(broker, false);
    km_broker_start(broker);
    ck_assert_ptr_null(km_fetch_session_find(broker, last));
    mock_free(world);
}
END_TEST

START_TEST(a_connection_that_ends_while_its_fetch_waits_leaves_nothing_behind)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 2);
    mock_link *link = mock_link_new(world, 1);
    many_request request;
    many(&request, topic, 2);
    request.request.max_wait_ms = 500;
    mock_send(link, KP_API_FETCH, 17, &request.request);
    mock_link_free(link);
    append(world, topic, 0, 1, NULL);
    mock_run(world, 1000);
    mock_free(world);
}
END_TEST

START_TEST(what_waits_behind_a_held_fetch_is_served_in_the_next_turn)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    mock_link *link = mock_link_new(world, 1);
    many_request request;
    many(&request, topic, 1);
    request.request.max_wait_ms = 500;
    mock_send(link, KP_API_FETCH, 17, &request.request);
    mock_send(link, KP_API_FETCH, 17, &request.request);
    append(world, topic, 0, 1, NULL);
    ck_assert_ptr_nonnull(mock_answer(link));
    ck_assert_ptr_null(mock_answer(link));
    mock_run(world, 0);
    ck_assert_ptr_nonnull(mock_answer(link));
    mock_free(world);
}
END_TEST

/** Ask `request` again and again with a little more memory each time, until it is answered. How often it was not. */
static int ask_without_memory(mock_world *world, km_topic *topic, int16_t api_key, int16_t version,
                              const void *request)
{
    int closed = 0;
    for (size_t room = 0;; room += 50) {
        mock_link *link = mock_link_new(world, topic->partitions[0]->leader);
        mock_send(link, api_key, version, request);
        world->mem.limit = world->mem.used + room;
        mock_run(world, 2);
        world->mem.limit = SIZE_MAX;
        bool is_closed = mock_is_closed(link);
        ck_assert(is_closed || mock_answer(link));
        mock_link_free(link);
        if (!is_closed)
            return closed;
        closed++;
    }
}

START_TEST(without_memory_the_connection_is_closed_and_nothing_is_half_done)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 3);
    kp_batch_producer who = {1, 0, 0, true};
    mock_allow_transactions(world);
    append(world, topic, 0, 2, &who);
    ck_assert_int_eq(km_partition_append_marker(topic->partitions[0], 1, 0, 0, false), KC_OK);
    km_fault late;
    km_fault_init(&late);
    late.delay_us = 1000;
    ck_assert_uint_ne(km_fault_add(world->cluster, &late), 0);
    many_request request;
    many(&request, topic, 3);
    request.request.session_epoch = 0;
    request.request.isolation_level = 1;
    ck_assert_int_gt(ask_without_memory(world, topic, KP_API_FETCH, 17, &request.request), 3);
    km_fault_clear(world->cluster);
    /* An incremental fetch that fails takes its session with it, so that none is half changed. */
    mock_link *link = mock_link_new(world, 1);
    int32_t id =
        ((const kp_fetch_resp *)mock_ask(link, KP_API_FETCH, 17, &request.request))->session_id;
    request.request.session_id = id;
    request.request.session_epoch = 1;
    ck_assert_uint_ne(km_fault_add(world->cluster, &late), 0);
    ck_assert_int_gt(ask_without_memory(world, topic, KP_API_FETCH, 17, &request.request), 0);
    kp_list_offsets_req list;
    kp_list_offsets_req_partition partition = {.timestamp = 0, .current_leader_epoch = -1};
    kp_list_offsets_req_topic of_topic = {.name = KC_STR("t")};
    of_topic.partitions.items = &partition;
    of_topic.partitions.count = 1;
    mock_defaults(KP_API_LIST_OFFSETS, &list);
    list.replica_id = -1;
    list.topics.items = &of_topic;
    list.topics.count = 1;
    ck_assert_int_gt(ask_without_memory(world, topic, KP_API_LIST_OFFSETS, 11, &list), 1);
    mock_free(world);
}
END_TEST
