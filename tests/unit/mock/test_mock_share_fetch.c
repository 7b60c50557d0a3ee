/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Delivery of records to share groups: acquired, acknowledged, given back, timed out. */
#include "mock/producer_state.h"
#include "tests/unit/mock/share_helpers.h"

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
    ck_assert_int_eq(fetched(&s)->error_code, KC_E_UNKNOWN_SERVER_ERROR); /* as Kafka 4.3.1 does */
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
        bool is_closed = share_starve(s.leader, s.world, KP_API_SHARE_FETCH, 2, &s.request, room);
        closed += is_closed;
        served += !is_closed;
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
        ck_assert(acquired == 18 || (is_closed && acquired == 20));
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

START_TEST(a_record_that_is_acknowledged_twice_in_one_request_spoils_it)
{
    setup s;
    set_up(&s, 1);
    produce(&s, 3);
    produce(&s, 3);
    fetch(&s, "m", 0);
    asks(&s, "m", 1);
    acknowledges(&s, 0, 5, KM_SHARE_ACK_ACCEPT);
    acknowledges(&s, 5, 5, KM_SHARE_ACK_ACCEPT);
    ck_assert_int_eq(only(fetched(&s))->acknowledge_error_code, KC_E_INVALID_RECORD_STATE);
    ck_assert_int_eq(shared_of(&s)->start_offset, 0);
    ck_assert_int_eq(acknowledge(&s, "m", 2, 0, 5, KM_SHARE_ACK_ACCEPT), 0);
    mock_free(s.world);
}
END_TEST
