/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Delivery of records to share groups: acquired, acknowledged, given back, timed out. */
#include "mock/producer_state.h"
#include "tests/unit/mock/share_helpers.h"

#include <stdio.h>
#include <stdlib.h>

/** One group "g" on the topic "t" with one partition, and a member's next fetch. */
typedef struct setup {
    mock_world *world;
    km_topic *topic;
    mock_link *leader;
    kp_share_fetch_req request;
    kp_share_fetch_req_topic topics[1];
    kp_share_fetch_req_partition partitions[1];
    kp_share_fetch_req_acknowledgement_batch acks[8];
    int8_t types[64];
    int type_count;
} setup;

static void set_up(setup *s, int brokers)
{
    memset(s, 0, sizeof *s);
    s->world = mock_new(brokers);
    s->topic = mock_topic(s->world, "t", 1);
    share_config(s->world, "share.auto.offset.reset", "earliest");
    ck_assert_int_eq(share_join(s->world, "m", "t"), 1);
    s->leader = mock_leader(s->world, "t", 0);
}

static void produce_to(setup *s, int32_t partition, int count, const kp_batch_producer *producer)
{
    kp_produce_req_partition_data data = {.index = partition,
                                          .records = mock_batch(s->world, count, producer)};
    kp_produce_req_topic_data topic = {.name = KC_STR("t"), .topic_id = s->topic->id};
    kp_produce_req request;
    mock_defaults(KP_API_PRODUCE, &request);
    topic.partition_data.items = &data;
    topic.partition_data.count = 1;
    request.topic_data.items = &topic;
    request.topic_data.count = 1;
    request.acks = -1;
    request.timeout_ms = 1000;
    const kp_produce_resp *response =
        mock_ask(mock_link_new(s->world, s->topic->partitions[partition]->leader), KP_API_PRODUCE,
                 13, &request);
    ck_assert_int_eq(response->responses.items[0].partition_responses.items[0].error_code, 0);
}

static void produce(setup *s, int count)
{
    produce_to(s, 0, count, NULL);
}

/** The next fetch of `member`, which doesn't wait. */
static kp_share_fetch_req *asks(setup *s, const char *member, int32_t epoch)
{
    mock_defaults(KP_API_SHARE_FETCH, &s->request);
    s->request.group_id = KC_STR("g");
    s->request.member_id = kc_str(member);
    s->request.share_session_epoch = epoch;
    s->request.max_records = 500;
    s->request.batch_size = 500;
    s->request.min_bytes = 1;
    s->partitions[0] = (kp_share_fetch_req_partition){0};
    s->topics[0] = (kp_share_fetch_req_topic){.topic_id = s->topic->id};
    s->topics[0].partitions.items = s->partitions;
    s->topics[0].partitions.count = 1;
    s->request.topics.items = s->topics;
    s->request.topics.count = 1;
    s->type_count = 0;
    return &s->request;
}

/** With an acknowledgement of one type for a range. */
static void acknowledges(setup *s, int64_t first, int64_t last, int8_t type)
{
    s->types[s->type_count] = type;
    kp_share_fetch_req_acknowledgement_batch *ack =
        &s->acks[s->partitions[0].acknowledgement_batches.count++];
    *ack = (kp_share_fetch_req_acknowledgement_batch){.first_offset = first, .last_offset = last};
    ack->acknowledge_types.items = &s->types[s->type_count++];
    ack->acknowledge_types.count = 1;
    s->partitions[0].acknowledgement_batches.items = s->acks;
}

static const kp_share_fetch_resp *fetched(setup *s)
{
    return mock_ask(s->leader, KP_API_SHARE_FETCH, 2, &s->request);
}

static const kp_share_fetch_resp_partition *only(const kp_share_fetch_resp *response)
{
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->responses.count, 1);
    ck_assert_int_eq(response->responses.items[0].partitions.count, 1);
    return &response->responses.items[0].partitions.items[0];
}

static const kp_share_fetch_resp_partition *fetch(setup *s, const char *member, int32_t epoch)
{
    asks(s, member, epoch);
    return only(fetched(s));
}

static void check_range(const kp_share_fetch_resp_partition *partition, int32_t i, int64_t first,
                        int64_t last, int16_t delivery_count)
{
    ck_assert_int_gt(partition->acquired_records.count, i);
    ck_assert_int_eq(partition->acquired_records.items[i].first_offset, first);
    ck_assert_int_eq(partition->acquired_records.items[i].last_offset, last);
    ck_assert_int_eq(partition->acquired_records.items[i].delivery_count, delivery_count);
}

/** What ShareAcknowledge says of one range. */
static int16_t acknowledge(setup *s, const char *member, int32_t epoch, int64_t first, int64_t last,
                           int8_t type)
{
    kp_share_acknowledge_req_acknowledgement_batch ack = {.first_offset = first,
                                                          .last_offset = last};
    ack.acknowledge_types.items = &type;
    ack.acknowledge_types.count = 1;
    kp_share_acknowledge_req_partition partition = {0};
    partition.acknowledgement_batches.items = &ack;
    partition.acknowledgement_batches.count = 1;
    kp_share_acknowledge_req_topic topic = {.topic_id = s->topic->id};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    kp_share_acknowledge_req request;
    mock_defaults(KP_API_SHARE_ACKNOWLEDGE, &request);
    request.group_id = KC_STR("g");
    request.member_id = kc_str(member);
    request.share_session_epoch = epoch;
    request.is_renew_ack = type == KM_SHARE_ACK_RENEW;
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_share_acknowledge_resp *response =
        mock_ask(s->leader, KP_API_SHARE_ACKNOWLEDGE, 2, &request);
    if (response->error_code)
        return response->error_code;
    ck_assert_int_eq(response->responses.count, 1);
    return response->responses.items[0].partitions.items[0].error_code;
}

static km_share_partition *shared_of(const setup *s)
{
    const km_share_group *group = km_share_group_find(s->world->cluster, KC_STR("g"));
    km_share_partition *shared = km_share_partition_find(group, s->topic->id, 0);
    ck_assert_ptr_nonnull(shared);
    return shared;
}

START_TEST(records_are_acquired_once_and_acknowledged)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 10);
    const kp_share_fetch_resp_partition *got = fetch(&s, "m", 0);
    ck_assert_int_eq(got->acquired_records.count, 1);
    check_range(got, 0, 0, 9, 1);
    kc_bytes rest = got->records;
    kp_batch batch;
    ck_assert_int_eq(kp_batch_next(&rest, true, &batch), KC_OK);
    ck_assert_int_eq(batch.record_count, 10);
    got = fetch(&s, "n", 0);
    ck_assert_int_eq(got->acquired_records.count, 0);
    ck_assert_uint_eq(got->records.len, 0);
    ck_assert_int_eq(acknowledge(&s, "m", 1, 0, 9, KM_SHARE_ACK_ACCEPT), 0);
    ck_assert_int_eq(shared_of(&s)->start_offset, 10);
    ck_assert_int_eq(acknowledge(&s, "m", 2, 0, 9, KM_SHARE_ACK_ACCEPT),
                     0); /* is behind the start */
    mock_free(s.world);
}
END_TEST

START_TEST(a_group_begins_at_the_end_unless_it_is_told_otherwise)
{
    setup s;
    set_up(&s, 1);
    share_config(s.world, "share.auto.offset.reset", "latest");
    produce(&s, 10);
    ck_assert_int_eq(fetch(&s, "m", 0)->acquired_records.count, 0);
    produce(&s, 2);
    asks(&s, "m", 1);
    check_range(only(fetched(&s)), 0, 10, 11, 1);
    mock_free(s.world);
}
END_TEST

START_TEST(what_is_released_is_delivered_again_to_whoever_asks_until_the_limit)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 1);
    int32_t epoch_m = 0;
    for (int16_t count = 1; count <= 5; count++) {
        asks(&s, "m", epoch_m++);
        check_range(only(fetched(&s)), 0, 0, 0, count);
        ck_assert_int_eq(acknowledge(&s, "m", epoch_m++, 0, 0, KM_SHARE_ACK_RELEASE), 0);
    }
    ck_assert_int_eq(shared_of(&s)->start_offset, 1); /* archived */
    asks(&s, "m", epoch_m);
    ck_assert_int_eq(fetched(&s)->responses.count, 0);
    mock_free(s.world);
}
END_TEST

START_TEST(a_lock_times_out_and_a_renewed_one_later)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 2);
    check_range(fetch(&s, "m", 0), 0, 0, 1, 1);
    mock_run(s.world, 29000);
    ck_assert_int_eq(acknowledge(&s, "m", 1, 1, 1, KM_SHARE_ACK_RENEW), 0);
    ck_assert_int_eq(fetch(&s, "n", 0)->acquired_records.count, 0);
    mock_run(s.world, 1001);
    asks(&s, "n", 1);
    const kp_share_fetch_resp_partition *got = only(fetched(&s));
    ck_assert_int_eq(got->acquired_records.count, 1);
    check_range(got, 0, 0, 0, 2);
    ck_assert_int_eq(acknowledge(&s, "m", 2, 0, 0, KM_SHARE_ACK_ACCEPT), KC_E_INVALID_RECORD_STATE);
    mock_run(s.world, 29000);
    asks(&s, "n", 2);
    check_range(only(fetched(&s)), 0, 1, 1, 2);
    mock_free(s.world);
}
END_TEST

START_TEST(acknowledgements_come_with_a_fetch_and_each_has_its_own_error)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 6);
    fetch(&s, "m", 0);
    asks(&s, "m", 1);
    acknowledges(&s, 0, 1, KM_SHARE_ACK_ACCEPT);
    acknowledges(&s, 2, 2, KM_SHARE_ACK_REJECT);
    acknowledges(&s, 3, 3, KM_SHARE_ACK_RELEASE);
    acknowledges(&s, 4, 4, KM_SHARE_ACK_GAP);
    const kp_share_fetch_resp_partition *got = only(fetched(&s));
    ck_assert_int_eq(got->acknowledge_error_code, 0);
    ck_assert_int_eq(got->acquired_records.count, 1);
    check_range(got, 0, 3, 3, 2);
    ck_assert_int_eq(shared_of(&s)->start_offset, 3);
    asks(&s, "m", 2);
    acknowledges(&s, 3, 3, KM_SHARE_ACK_ACCEPT);
    acknowledges(&s, 4, 5, KM_SHARE_ACK_ACCEPT); /* 4 is archived: nothing of it counts */
    got = only(fetched(&s));
    ck_assert_int_eq(got->error_code, 0);
    ck_assert_int_eq(got->acknowledge_error_code, KC_E_INVALID_RECORD_STATE);
    ck_assert_int_eq(shared_of(&s)->start_offset, 3);
    asks(&s, "n", 0);
    acknowledges(&s, 3, 3, KM_SHARE_ACK_ACCEPT);
    ck_assert_int_eq(fetched(&s)->error_code, KC_E_INVALID_REQUEST); /* opens a session */
    fetch(&s, "n", 0);
    ck_assert_int_eq(acknowledge(&s, "n", 1, 3, 3, KM_SHARE_ACK_ACCEPT), KC_E_INVALID_RECORD_STATE);
    ck_assert_int_eq(acknowledge(&s, "n", 2, 5, 99, KM_SHARE_ACK_ACCEPT), KC_E_INVALID_REQUEST);
    ck_assert_int_eq(acknowledge(&s, "n", 3, 99, 100, KM_SHARE_ACK_ACCEPT), KC_E_INVALID_REQUEST);
    ck_assert_int_eq(acknowledge(&s, "n", 4, 5, 3, KM_SHARE_ACK_ACCEPT), KC_E_INVALID_REQUEST);
    ck_assert_int_eq(acknowledge(&s, "n", 5, 5, 5, 9), KC_E_INVALID_REQUEST);
    ck_assert_int_eq(acknowledge(&s, "m", 3, 5, 5, KM_SHARE_ACK_ACCEPT), 0);
    ck_assert_int_eq(acknowledge(&s, "m", 4, 3, 3, KM_SHARE_ACK_ACCEPT), 0);
    ck_assert_int_eq(shared_of(&s)->start_offset, 6);
    mock_free(s.world);
}
END_TEST

START_TEST(a_session_has_an_epoch_and_an_end)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 3);
    asks(&s, "m", 1);
    ck_assert_int_eq(fetched(&s)->error_code, KC_E_SHARE_SESSION_NOT_FOUND);
    asks(&s, "m", -1);
    ck_assert_int_eq(fetched(&s)->error_code, KC_E_SHARE_SESSION_NOT_FOUND);
    ck_assert_int_eq(acknowledge(&s, "m", 1, 0, 0, 1), KC_E_SHARE_SESSION_NOT_FOUND);
    ck_assert_int_eq(acknowledge(&s, "m", 0, 0, 0, 1), KC_E_INVALID_SHARE_SESSION_EPOCH);
    fetch(&s, "m", 0);
    asks(&s, "m", 2);
    ck_assert_int_eq(fetched(&s)->error_code, KC_E_INVALID_SHARE_SESSION_EPOCH);
    asks(&s, "m", -1);
    acknowledges(&s, 0, 0, KM_SHARE_ACK_ACCEPT);
    ck_assert_int_eq(only(fetched(&s))->acknowledge_error_code, 0);
    check_range(fetch(&s, "n", 0), 0, 1, 2, 2); /* given back with the session */
    mock_free(s.world);
}
END_TEST

START_TEST(a_connection_that_ends_gives_back_what_was_acquired_through_it)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 3);
    s.leader = mock_link_new(s.world, 1);
    fetch(&s, "m", 0);
    mock_link *other = mock_link_new(s.world, 1);
    mock_link_free(s.leader);
    s.leader = other;
    check_range(fetch(&s, "n", 0), 0, 0, 2, 2);
    mock_free(s.world);
}
END_TEST

START_TEST(a_fetch_waits_for_records_for_a_release_and_for_its_time)
{
    setup s;
    set_up(&s, 1);
    mock_link *waiting = mock_link_new(s.world, 1);
    asks(&s, "n", 0)->max_wait_ms = 500;
    mock_send(waiting, KP_API_SHARE_FETCH, 2, &s.request);
    ck_assert_ptr_null(mock_answer(waiting));
    mock_run(s.world, 499);
    ck_assert_ptr_null(mock_answer(waiting));
    mock_run(s.world, 1);
    ck_assert_int_eq(only(mock_answer(waiting))->acquired_records.count, 0);

    asks(&s, "n", 1)->max_wait_ms = 500;
    mock_send(waiting, KP_API_SHARE_FETCH, 2, &s.request);
    produce(&s, 2);
    mock_run(s.world, 0);
    check_range(only(mock_answer(waiting)), 0, 0, 1, 1);

    asks(&s, "m", 0)->max_wait_ms = 500;
    mock_send(s.leader, KP_API_SHARE_FETCH, 2, &s.request);
    ck_assert_ptr_null(mock_answer(s.leader));
    mock_link *third = s.leader;
    s.leader = waiting;
    ck_assert_int_eq(acknowledge(&s, "n", 2, 1, 1, KM_SHARE_ACK_RELEASE), 0);
    mock_run(s.world, 0);
    check_range(only(mock_answer(third)), 0, 1, 1, 2);
    mock_free(s.world);
}
END_TEST

START_TEST(min_bytes_hold_a_fetch_but_not_for_ever)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 1);
    asks(&s, "m", 0)->max_wait_ms = 300;
    s.request.min_bytes = 100000;
    mock_send(s.leader, KP_API_SHARE_FETCH, 2, &s.request);
    mock_run(s.world, 299);
    ck_assert_ptr_null(mock_answer(s.leader));
    mock_run(s.world, 1);
    check_range(only(mock_answer(s.leader)), 0, 0, 0, 1);
    mock_free(s.world);
}
END_TEST

START_TEST(a_held_fetch_leaves_nothing_behind_when_its_connection_topic_or_group_goes)
{
    for (int i = 0; i < 3; i++) {
        setup s;
        set_up(&s, 1);
        mock_link *waiting = mock_link_new(s.world, 1);
        asks(&s, "m", 0)->max_wait_ms = 500;
        mock_send(waiting, KP_API_SHARE_FETCH, 2, &s.request);
        ck_assert_ptr_null(mock_answer(waiting));
        if (i == 0)
            mock_link_free(waiting);
        else if (i == 1)
            km_topic_delete(s.world->cluster, s.topic);
        else
            km_group_delete(km_group_find(s.world->cluster, KC_STR("g")));
        mock_run(s.world, 500);
        if (i > 0)
            ck_assert_ptr_nonnull(mock_answer(waiting));
        mock_free(s.world);
    }
}
END_TEST

START_TEST(max_records_goes_over_to_the_end_of_a_batch_unless_the_limit_is_strict)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 4);
    produce(&s, 4);
    produce(&s, 4);
    asks(&s, "m", 0)->max_records = 5;
    const kp_share_fetch_resp_partition *got = only(fetched(&s));
    ck_assert_int_eq(got->acquired_records.count, 1);
    check_range(got, 0, 0, 7, 1);
    asks(&s, "m", 1)->max_records = 2;
    s.request.share_acquire_mode = 1;
    got = only(fetched(&s));
    ck_assert_int_eq(got->acquired_records.count, 1);
    check_range(got, 0, 8, 9, 1);
    asks(&s, "m", 2)->share_acquire_mode = 1;
    check_range(only(fetched(&s)), 0, 10, 11, 1);
    asks(&s, "m", 3)->share_acquire_mode = 7;
    ck_assert_int_eq(fetched(&s)->error_code, KC_E_UNKNOWN_SERVER_ERROR);
    mock_free(s.world);
}
END_TEST

START_TEST(batch_size_cuts_what_is_acquired_at_the_borders_of_batches)
{
    setup s;
    set_up(&s, 1);
    for (int i = 0; i < 5; i++)
        produce(&s, 4);
    asks(&s, "m", 0)->batch_size = 6;
    const kp_share_fetch_resp_partition *got = only(fetched(&s));
    ck_assert_int_eq(got->acquired_records.count, 3);
    check_range(got, 0, 0, 7, 1);
    check_range(got, 1, 8, 15, 1);
    check_range(got, 2, 16, 19, 1);
    mock_free(s.world);
}
END_TEST

START_TEST(no_more_records_are_in_flight_than_the_limit_but_released_ones_are_delivered)
{
    setup s;
    set_up(&s, 1);
    share_config(s.world, "share.partition.max.record.locks", "100");
    for (int i = 0; i < 30; i++)
        produce(&s, 10);
    check_range(fetch(&s, "m", 0), 0, 0, 99, 1);
    asks(&s, "n", 0);
    ck_assert_int_eq(fetched(&s)->responses.count, 0);
    ck_assert_int_eq(acknowledge(&s, "m", 1, 50, 59, KM_SHARE_ACK_RELEASE), 0);
    asks(&s, "n", 1);
    check_range(only(fetched(&s)), 0, 50, 59, 2);
    ck_assert_int_eq(acknowledge(&s, "m", 2, 0, 49, KM_SHARE_ACK_ACCEPT), 0);
    asks(&s, "n", 2);
    check_range(only(fetched(&s)), 0, 100, 149, 1);
    mock_free(s.world);
}
END_TEST

START_TEST(a_record_that_fails_often_is_delivered_with_few_others_and_in_the_end_alone)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 16);
    int32_t epoch = 0;
    static const int64_t lasts[] = {15, 15, 15, 7, 0};
    for (int16_t i = 0; i < 5; i++) {
        asks(&s, "m", epoch++);
        const kp_share_fetch_resp_partition *got = only(fetched(&s));
        ck_assert_int_eq(got->acquired_records.count, 1);
        check_range(got, 0, 0, lasts[i], (int16_t)(i + 1));
        if (i < 4)
            ck_assert_int_eq(acknowledge(&s, "m", epoch++, 0, lasts[i], KM_SHARE_ACK_RELEASE), 0);
    }
    mock_free(s.world);
}
END_TEST

START_TEST(another_broker_names_the_leader_and_takes_no_acknowledgement)
{
    setup s;
    set_up(&s, 3);
    produce(&s, 3);
    fetch(&s, "m", 0);
    int32_t leader = s.topic->partitions[0]->leader;
    s.leader = mock_link_new(s.world, leader % 3 + 1);
    asks(&s, "m", 0);
    const kp_share_fetch_resp *response = fetched(&s);
    ck_assert_int_eq(only(response)->error_code, KC_E_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(only(response)->current_leader.leader_id, leader);
    ck_assert_int_eq(response->node_endpoints.count, 1);
    ck_assert_int_eq(response->node_endpoints.items[0].node_id, leader);
    ck_assert_int_eq(acknowledge(&s, "m", 1, 0, 2, KM_SHARE_ACK_ACCEPT),
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    mock_free(s.world);
}
END_TEST

START_TEST(a_new_leader_has_what_was_written_and_not_what_was_acquired)
{
    setup s;
    set_up(&s, 3);
    produce(&s, 6);
    fetch(&s, "m", 0);
    ck_assert_int_eq(acknowledge(&s, "m", 1, 0, 1, KM_SHARE_ACK_ACCEPT), 0);
    ck_assert_int_eq(acknowledge(&s, "m", 2, 3, 3, KM_SHARE_ACK_RELEASE), 0);
    km_broker_stop(mock_broker(s.world, s.topic->partitions[0]->leader), true);
    s.leader = mock_leader(s.world, "t", 0);
    const kp_share_fetch_resp_partition *got = fetch(&s, "m", 0);
    ck_assert_int_eq(got->acquired_records.count, 3);
    check_range(got, 0, 2, 2, 1);
    check_range(got, 1, 3, 3, 2);
    check_range(got, 2, 4, 5, 1);
    mock_free(s.world);
}
END_TEST

START_TEST(what_is_not_there_is_an_error_of_its_partition)
{
    setup s;
    set_up(&s, 1);
    asks(&s, "m", 0);
    s.partitions[0].partition_index = 7;
    ck_assert_int_eq(only(fetched(&s))->error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    asks(&s, "m", 0);
    s.topics[0].topic_id.bytes[3] ^= 1;
    ck_assert_int_eq(only(fetched(&s))->error_code, KC_E_UNKNOWN_TOPIC_ID);
    asks(&s, "m", 0)->group_id = KC_STR("nobody");
    ck_assert_int_eq(only(fetched(&s))->error_code, KC_E_UNKNOWN_SERVER_ERROR);
    asks(&s, "m", 0)->group_id = KC_NULL;
    ck_assert_int_eq(fetched(&s)->error_code, KC_E_INVALID_REQUEST);
    asks(&s, "", 0);
    ck_assert_int_eq(fetched(&s)->error_code, KC_E_INVALID_REQUEST);
    asks(&s, "m", 0)->is_renew_ack = true;
    ck_assert_int_eq(fetched(&s)->error_code, KC_E_INVALID_REQUEST);
    mock_free(s.world);
}
END_TEST

START_TEST(deleted_records_are_not_delivered)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 4);
    produce(&s, 4);
    fetch(&s, "m", 0);
    ck_assert_int_eq(acknowledge(&s, "m", 1, 0, 7, KM_SHARE_ACK_RELEASE), 0);
    km_log_delete_before(&s.topic->partitions[0]->log, 6);
    asks(&s, "m", 2);
    ck_assert_int_eq(fetched(&s)->responses.count, 0); /* finds the log's start */
    asks(&s, "m", 3);
    check_range(only(fetched(&s)), 0, 6, 7, 2);
    mock_free(s.world);
}
END_TEST

START_TEST(without_memory_records_are_locked_at_most_and_come_back)
{
    int closed = 0;
    int served = 0;
    for (size_t room = 0; room < 20000; room += 48) {
        setup s;
        set_up(&s, 1);
        for (int i = 0; i < 4; i++)
            produce(&s, 5);
        asks(&s, "m", 0)->max_records = 3;
        s.request.share_acquire_mode = 1;
        fetched(&s);
        asks(&s, "m", 1)->max_records = 8;
        s.request.share_acquire_mode = 1;
        acknowledges(&s, 0, 0, KM_SHARE_ACK_RELEASE);
        acknowledges(&s, 1, 2, KM_SHARE_ACK_ACCEPT);
        if (share_starve(s.leader, s.world, KP_API_SHARE_FETCH, 2, &s.request, room))
            closed++;
        else
            served++;
        mock_run(s.world, 31000);
        s.leader = mock_link_new(s.world, 1);
        int64_t acquired = 0;
        for (int32_t epoch = 0; epoch < 30; epoch++) {
            asks(&s, "n", epoch);
            const kp_share_fetch_resp *response = fetched(&s);
            for (int32_t i = 0;
                 response->responses.count > 0 && i < only(response)->acquired_records.count; i++)
                acquired += only(response)->acquired_records.items[i].last_offset -
                            only(response)->acquired_records.items[i].first_offset + 1;
        }
        ck_assert_int_eq(acquired,
                         20 - shared_of(&s)->start_offset -
                             (shared_of(&s)->start_offset == 0 ? acquired == 18 ? 2 : 0 : 0));
        mock_free(s.world);
    }
    ck_assert_int_gt(closed, 20);
    ck_assert_int_gt(served, 20);
}
END_TEST

/** A transaction of producer 7 with `count` records that is committed or aborted. */
static void transaction(setup *s, int32_t sequence, int count, bool is_commit)
{
    const kp_batch_producer producer = {7, 0, sequence, true};
    kp_batch batch;
    km_partition *partition = s->topic->partitions[0];
    kc_bytes rest = mock_batch(s->world, count, &producer);
    ck_assert_int_eq(kp_batch_next(&rest, true, &batch), KC_OK);
    ck_assert_int_eq(km_producers_reserve(partition, 7), KC_OK);
    ck_assert_int_eq(km_log_append(&partition->log, &batch, partition->leader_epoch), KC_OK);
    km_producers_appended(partition);
    km_partition_appended(partition);
    ck_assert_int_eq(km_partition_append_marker(partition, 7, 0, 0, is_commit), KC_OK);
}

START_TEST(a_group_that_reads_committed_gets_nothing_of_aborted_transactions)
{
    for (int i = 0; i < 2; i++) {
        setup s;
        set_up(&s, 1);
        if (i == 1)
            share_config(s.world, "share.isolation.level", "read_committed");
        produce(&s, 2);
        transaction(&s, 0, 3, false); /* 2 to 4, the marker is 5  */
        transaction(&s, 3, 2, true);  /* 6 to 7, the marker is 8  */
        const kp_share_fetch_resp_partition *got = fetch(&s, "m", 0);
        ck_assert_int_eq(got->acquired_records.count, i + 1);
        check_range(got, 0, 0, i ? 1 : 8, 1);
        if (i == 1)
            check_range(got, 1, 5, 8, 1);
        ck_assert_int_eq(acknowledge(&s, "m", 1, i ? 5 : 2, 8, KM_SHARE_ACK_ACCEPT), 0);
        ck_assert_int_eq(acknowledge(&s, "m", 2, 0, 1, KM_SHARE_ACK_ACCEPT), 0);
        ck_assert_int_eq(shared_of(&s)->start_offset, 9);
        mock_free(s.world);
    }
}
END_TEST

/* ---- against a naive model ---- */

#define MODEL_RECORDS 400
#define MODEL_MEMBERS 3
#define LOCK_MS       30000
#define LIMIT         5

/** One record as the model has it. */
typedef struct model_record {
    bool is_done;
    bool was_accepted;
    int owner; /**< -1: available */
    int16_t count;
    int16_t stored_count; /**< what a new leader knows */
    int64_t locked_until_ms;
} model_record;

typedef struct model {
    setup s;
    kb_rand rand;
    int64_t now_ms;
    model_record records[MODEL_RECORDS];
    int64_t count; /**< produced */
    mock_link *links[MODEL_MEMBERS];
    int32_t epochs[MODEL_MEMBERS];
} model;

static const char *const model_names[MODEL_MEMBERS] = {"m", "n", "o"};

static int64_t below(model *m, int64_t bound)
{
    return (int64_t)kb_rand_below(&m->rand, (uint64_t)bound);
}

static void model_give_back(model_record *record)
{
    record->owner = -1;
    record->stored_count = record->count;
    record->is_done = record->count >= LIMIT;
}

static void model_pass(model *m, int64_t ms)
{
    m->now_ms += ms;
    mock_run(m->s.world, ms);
    for (int64_t i = 0; i < m->count; i++)
        if (m->records[i].owner >= 0 && m->records[i].locked_until_ms <= m->now_ms)
            model_give_back(&m->records[i]);
}

static void model_release(model *m, int member)
{
    m->epochs[member] = 0;
    for (int64_t i = 0; i < m->count; i++)
        if (m->records[i].owner == member)
            model_give_back(&m->records[i]);
}

static mock_link *model_link(model *m, int member)
{
    if (!m->links[member])
        m->links[member] = mock_link_new(m->s.world, m->s.topic->partitions[0]->leader);
    m->s.leader = m->links[member];
    return m->links[member];
}

static void model_fetch(model *m, int member)
{
    model_link(m, member);
    asks(&m->s, model_names[member], m->epochs[member]++);
    m->s.request.max_records = (int32_t)below(m, 40) + 1;
    m->s.request.batch_size = (int32_t)below(m, 40) + 1;
    m->s.request.share_acquire_mode = (int8_t)below(m, 2);
    const kp_share_fetch_resp *response = fetched(&m->s);
    ck_assert_int_eq(response->error_code, 0);
    if (response->responses.count == 0)
        return;
    const kp_share_fetch_resp_partition *got = only(response);
    ck_assert_int_eq(got->error_code, 0);
    int64_t acquired = 0;
    for (int32_t i = 0; i < got->acquired_records.count; i++) {
        const kp_share_fetch_resp_acquired_record *range = &got->acquired_records.items[i];
        for (int64_t offset = range->first_offset; offset <= range->last_offset; offset++) {
            ck_assert_int_lt(offset, m->count);
            model_record *record = &m->records[offset];
            ck_assert(!record->is_done);
            ck_assert_int_eq(record->owner, -1);
            ck_assert_int_eq(range->delivery_count, record->count + 1);
            ck_assert_int_le(range->delivery_count, LIMIT);
            record->count = range->delivery_count;
            record->owner = member;
            record->locked_until_ms = m->now_ms + LOCK_MS;
            acquired++;
        }
    }
    if (m->s.request.share_acquire_mode == 1)
        ck_assert_int_le(acquired, m->s.request.max_records);
}

static int64_t model_start(const model *m)
{
    int64_t start = 0;
    while (start < m->count && m->records[start].is_done)
        start++;
    return start;
}

static bool model_can_acknowledge(const model *m, int member, int64_t first, int64_t last)
{
    int64_t start = model_start(m);
    for (int64_t offset = first > start ? first : start; offset <= last; offset++)
        if (m->records[offset].is_done || m->records[offset].owner != member)
            return false;
    return true;
}

/** Any range, often one that is the member's. */
static void model_acknowledge(model *m, int member)
{
    int64_t first = below(m, m->count);
    for (int64_t i = 0; i < m->count && below(m, 20) > 0; i++)
        if (m->records[first].owner != member)
            first = (first + 1) % m->count;
    int64_t last = first;
    while (last + 1 < m->count && m->records[last + 1].owner == member && below(m, 8) > 0)
        last++;
    if (below(m, 20) == 0 && last + 1 < m->count)
        last++;
    int8_t type = (int8_t)below(m, 5);
    model_link(m, member);
    int16_t error = acknowledge(&m->s, model_names[member], m->epochs[member]++, first, last, type);
    ck_assert_int_eq(error == 0, model_can_acknowledge(m, member, first, last));
    for (int64_t offset = first; offset <= last && !error; offset++) {
        model_record *record = &m->records[offset];
        if (record->is_done)
            continue;
        if (type == KM_SHARE_ACK_RENEW) {
            record->locked_until_ms = m->now_ms + LOCK_MS;
        } else if (type == KM_SHARE_ACK_RELEASE) {
            model_give_back(record);
        } else {
            ck_assert(!record->was_accepted);
            record->was_accepted = type == KM_SHARE_ACK_ACCEPT;
            record->is_done = true;
            record->owner = -1;
        }
    }
    ck_assert_int_eq(shared_of(&m->s)->start_offset, model_start(m));
}

static void model_move(model *m)
{
    km_partition *partition = m->s.topic->partitions[0];
    km_partition_move(m->s.world->cluster, partition, partition->leader % 3 + 1);
    km_changed(m->s.world->cluster);
    for (int64_t i = 0; i < m->count; i++)
        if (m->records[i].owner >= 0) {
            m->records[i].owner = -1;
            m->records[i].count = m->records[i].stored_count;
        }
    for (int member = 0; member < MODEL_MEMBERS; member++) {
        if (m->links[member])
            mock_link_free(m->links[member]);
        m->links[member] = NULL;
        m->epochs[member] = 0;
    }
}

static void model_step(model *m)
{
    int member = (int)below(m, MODEL_MEMBERS);
    int64_t what = below(m, 100);
    if (what < 12 && m->count < MODEL_RECORDS - 20) {
        int count = (int)below(m, 20) + 1;
        produce(&m->s, count);
        m->count += count;
    } else if (what < 45) {
        model_fetch(m, member);
    } else if (what < 80) {
        if (m->epochs[member] > 0 && m->count > 0)
            model_acknowledge(m, member);
    } else if (what < 95) {
        model_pass(m, below(m, 12000));
    } else if (what < 97 && m->links[member]) {
        mock_link_free(m->links[member]);
        m->links[member] = NULL;
        model_release(m, member);
    } else if (what == 99) {
        model_move(m);
    }
    for (int64_t i = 0; i < m->count; i++)
        m->records[i].is_done |= m->records[i].was_accepted;
}

START_TEST(a_naive_model_agrees_and_in_the_end_every_record_is_done_once)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        model *m = calloc(1, sizeof *m);
        set_up(&m->s, 3);
        kb_rand_init(&m->rand, seed);
        for (int i = 0; i < MODEL_RECORDS; i++)
            m->records[i].owner = -1;
        for (int i = 0; i < 400; i++)
            model_step(m);
        for (int i = 0; i < 3000 && model_start(m) < m->count; i++) {
            model_fetch(m, i % MODEL_MEMBERS);
            model_acknowledge(m, i % MODEL_MEMBERS);
            model_pass(m, 1000);
        }
        ck_assert_int_eq(model_start(m), m->count);
        mock_free(m->s.world);
        free(m);
    }
}
END_TEST
