/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tests of client/producer_sender and client/producer_response: faults, retries, order, deadlines.
 */
#include "client/producer_flow.h"
#include "tests/unit/client/fake_produce.h"

#include <check.h>
#include <stdio.h>

#define QUICK "linger.ms=0", "retry.backoff.ms=10", "retry.backoff.max.ms=50"

/** A producer whose topic is known and whose connection is up. */
static producer_fixture *warm(int brokers, int partitions, const char *const *properties)
{
    producer_fixture *fixture = fixture_new(brokers, partitions, properties);
    for (int i = 0; i < partitions; i++)
        fixture_send(fixture, i, "w");
    fixture_run(fixture, 200);
    ck_assert_uint_eq(fixture->told_count, (uint32_t)partitions);
    fixture->told_len = fixture->told_count = 0;
    fixture->told[0] = 0;
    return fixture;
}

START_TEST(a_retriable_error_is_tried_again_after_a_back_off)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK));
    fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 5);
    ck_assert_uint_eq(fixture->log->requests, 2);
    fixture_run(fixture, 15);
    ck_assert_uint_eq(fixture->log->requests, 3);
    fixture_run(fixture, 100);
    ck_assert_str_eq(fixture->told, "a@0:1 ");
    ck_assert_uint_eq(fixture_stats(fixture).retries, 2);
    fixture_free(fixture);
}
END_TEST

static void keep_order(const char *batch_size)
{
    producer_fixture *fixture = warm(3, 3, PROPERTIES(QUICK, batch_size));
    static const int16_t codes[] = {
        KC_E_NOT_ENOUGH_REPLICAS, 0, KC_E_CORRUPT_MESSAGE,  0, 0, KC_E_NOT_LEADER_OR_FOLLOWER,
        KC_E_KAFKA_STORAGE_ERROR, 0, KC_E_REQUEST_TIMED_OUT};
    for (size_t i = 0; i < 54; i++)
        fake_log_error(fixture->log, codes[i % (sizeof codes / sizeof codes[0])]);
    for (int i = 0; i < 40; i++)
        fake_log_fault(fixture->log, i % 7 == 3 ? FAKE_FAULT_CUT_BEFORE : FAKE_FAULT_NONE);
    for (int i = 0; i < 300; i++) {
        fixture_send(fixture, i % 3, fixture_name(i));
        fixture_run(fixture, 1);
    }
    fixture_run(fixture, 20000);
    ck_assert_uint_eq(fixture->told_count, 300);
    ck_assert_uint_eq(fixture->failed_count, 0);
    for (int partition = 0; partition < 3; partition++) {
        char expected[4096] = "w";
        for (int i = partition; i < 300; i += 3)
            snprintf(expected + strlen(expected), sizeof expected - strlen(expected), " v%d", i);
        ck_assert_str_eq(fake_log_text(fixture->log, "t", partition), expected);
    }
    fixture_free(fixture);
}

START_TEST(order_survives_errors_and_lost_connections)
{
    keep_order("batch.size=200");
}
END_TEST

START_TEST(order_survives_with_a_row_of_batches_behind_the_one_that_fails)
{
    keep_order("batch.size=0"); // each record a batch of its own
}
END_TEST

START_TEST(the_partitions_of_one_request_fail_on_their_own)
{
    producer_fixture *fixture = warm(1, 3, PROPERTIES(QUICK));
    fixture->log->only_partition = 1;
    fake_log_error(fixture->log, KC_E_TOPIC_AUTHORIZATION_FAILED);
    for (int i = 0; i < 3; i++)
        fixture_send(fixture, i, fixture_name(i));
    fixture_run(fixture, 100);
    ck_assert_uint_eq(fixture->log->requests, 2);
    ck_assert_ptr_nonnull(strstr(fixture->told, "v0@0:1 "));
    ck_assert_ptr_nonnull(strstr(fixture->told, "v1!TOPIC_AUTHORIZATION_FAILED "));
    ck_assert_ptr_nonnull(strstr(fixture->told, "v2@2:1 "));
    fixture_free(fixture);
}
END_TEST

START_TEST(a_final_error_says_where_and_why)
{
    producer_fixture *fixture = warm(2, 2, PROPERTIES(QUICK));
    fake_log_error(fixture->log, KC_E_TOPIC_AUTHORIZATION_FAILED);
    fixture_send(fixture, 1, "a");
    fixture_run(fixture, 100);
    ck_assert_str_eq(fixture->told, "a!TOPIC_AUTHORIZATION_FAILED ");
    kc_error err;
    kc_producer_last_error(fixture->producer, &err);
    ck_assert_int_eq(err.code, KC_E_TOPIC_AUTHORIZATION_FAILED);
    ck_assert_int_eq(err.broker_id, 2);
    ck_assert_int_eq(err.partition, 1);
    ck_assert_int_eq(err.api_key, KP_API_PRODUCE);
    ck_assert_str_eq(err.topic, "t");
    ck_assert_ptr_nonnull(strstr(err.text, "broker 2 refused records for t-1"));
    ck_assert_uint_eq(err.flags & KC_ERRF_AUTH, KC_ERRF_AUTH);
    ck_assert_str_eq(fixture->last_error.text, err.text);
    ck_assert_uint_eq(fixture_stats(fixture).records_failed, 1);
    ck_assert_uint_eq(fixture_stats(fixture).records_pending, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(an_unknown_error_code_is_final_and_keeps_its_number)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK));
    fake_log_error(fixture->log, 4711);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 100);
    ck_assert_uint_eq(fixture->failed_count, 1);
    ck_assert_int_eq(fixture->last_error.code, 4711);
    fixture_free(fixture);
}
END_TEST

START_TEST(retries_are_counted)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK, "retries=2"));
    for (int i = 0; i < 3; i++)
        fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fixture->told, "a!NOT_ENOUGH_REPLICAS ");
    ck_assert_uint_eq(fixture->log->requests, 1 + 3);
    fixture_free(fixture);
}
END_TEST

START_TEST(with_retries_0_a_lost_connection_is_final)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK, "retries=0"));
    fake_log_fault(fixture->log, FAKE_FAULT_CUT_AFTER);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fixture->told, "a!DISCONNECTED ");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_connection_that_can_not_be_made_is_no_counted_retry)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK, "retries=0"));
    fake_down(fixture->cluster, 1);
    fixture_run(fixture, 100);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 3000);
    ck_assert_uint_eq(fixture->told_count, 0);
    fake_up(fixture->cluster, 1);
    fixture_run(fixture, 5000);
    ck_assert_str_eq(fixture->told, "a@0:1 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(attempts_that_were_not_sent_leave_the_retries_untouched)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK, "retries=1"));
    fake_down(fixture->cluster, 1);
    fixture_run(fixture, 100);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 3000);
    fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    fake_up(fixture->cluster, 1);
    fixture_run(fixture, 5000);
    ck_assert_str_eq(fixture->told, "a@0:1 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_new_leader_is_found_by_metadata)
{
    producer_fixture *fixture = warm(3, 1, PROPERTIES(QUICK));
    fake_move_leader(fixture->cluster, "t", 0, 3);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fixture->told, "a@0:1 ");
    ck_assert_uint_ge(fake_count(fixture->cluster, 3, KP_API_PRODUCE), 1);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_hint_at_the_new_leader_is_followed_at_once)
{
    producer_fixture *fixture = warm(3, 1, PROPERTIES("linger.ms=0", "retry.backoff.ms=1000"));
    fixture->log->has_hints = true;
    fake_move_leader(fixture->cluster, "t", 0, 3);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 50); // KIP-951: neither back-off nor metadata in between
    ck_assert_str_eq(fixture->told, "a@0:1 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(brokers_that_name_each_other_as_leader_do_not_spin)
{
    producer_fixture *fixture = warm(2, 1, PROPERTIES(QUICK));
    fixture->log->has_hints = true;
    for (int i = 0; i < 30; i++)
        fake_log_error(fixture->log, KC_E_NOT_LEADER_OR_FOLLOWER);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 100);
    ck_assert_uint_le(fixture->log->requests, 15);
    fixture_run(fixture, 10000);
    ck_assert_str_eq(fixture->told, "a@0:1 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_leader_that_goes_down_hands_over)
{
    producer_fixture *fixture = warm(3, 1, PROPERTIES(QUICK));
    fake_down(fixture->cluster, 1);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 500);
    ck_assert_uint_eq(fixture->told_count, 0);
    fake_move_leader(fixture->cluster, "t", 0, 2);
    fixture_run(fixture, 10000);
    ck_assert_str_eq(fixture->told, "a@0:1 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_partition_without_leader_waits_for_one)
{
    producer_fixture *fixture = warm(3, 2, PROPERTIES(QUICK));
    fake_move_leader(fixture->cluster, "t", 0, -1);
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 1, "b");
    fixture_run(fixture, 2000);
    ck_assert_str_eq(fixture->told, "b@1:1 ");
    fixture_send(fixture, 0, "c");
    fixture_run(fixture, 1000);
    fake_move_leader(fixture->cluster, "t", 0, 2);
    fixture_run(fixture, 2000);
    ck_assert_str_eq(fixture->told, "b@1:1 a@0:1 c@0:2 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(what_a_lost_connection_left_in_doubt_is_sent_again)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK));
    fake_log_fault(fixture->log, FAKE_FAULT_CUT_BEFORE);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 0), "w a");
    fake_log_fault(fixture->log, FAKE_FAULT_CUT_AFTER);
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 1000);
    // no idempotence: at least once
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 0), "w a b b");
    ck_assert_str_eq(fixture->told, "a@0:1 b@0:3 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(acks_0_sends_again_what_was_not_wholly_written)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK, "acks=0"));
    fake_down(fixture->cluster, 1);
    fixture_run(fixture, 10);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 1000);
    fake_up(fixture->cluster, 1);
    fixture_run(fixture, 5000);
    ck_assert_str_eq(fixture->told, "a@0:-1 ");
    // a request written in part when the connection ends: a broker does nothing with a part
    static char value[300000];
    kn_mem_shape *shape = kn_mem_network_shape(fixture->cluster->network);
    shape->window_bytes = 100000;
    shape->latency_us = 500000;
    ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
    fixture_run(fixture, 100);
    ck_assert_uint_eq(fixture->told_count, 1);
    fake_cut(fixture->cluster, 1);
    *shape = (kn_mem_shape){.latency_us = 100};
    fixture_run(fixture, 10000);
    ck_assert_uint_eq(fixture->told_count, 2);
    ck_assert_uint_eq(fixture->failed_count, 0);
    ck_assert_uint_eq(fake_log_count(fixture->log, "t", 0), 3);
    fixture_free(fixture);
}
END_TEST

START_TEST(acks_0_fails_what_may_be_lost)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK, "acks=0"));
    static char value[300000];
    kn_mem_network_shape(fixture->cluster->network)->window_bytes = 100000;
    kn_mem_network_shape(fixture->cluster->network)->latency_us = 500000;
    ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
    fixture_run(fixture, 100);
    ck_assert_uint_eq(fixture->told_count, 0);
    // the connection does not say so of what it wrote in part, but its contract allows it
    kc_producer_request *request =
        KB_CONTAINER(fixture->producer->requests.next, kc_producer_request, node);
    kn_request_cancel(&request->net);
    kc_error lost = {.code = KC_ERR_DISCONNECTED, .flags = KC_ERRF_RETRIABLE, .text = "lost"};
    kn_reply reply = {.err = lost.code, .error = &lost, .was_sent = true, .broker_id = 1};
    kc_producer_on_reply(&request->net, &reply);
    ck_assert_uint_eq(fixture->failed_count, 1);
    ck_assert_int_eq(fixture->last_error.code, KC_ERR_DISCONNECTED);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_request_without_answer_times_out_and_is_tried_again)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK, "request.timeout.ms=2000"));
    fake_log_fault(fixture->log, FAKE_FAULT_SILENT);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 1900);
    ck_assert_uint_eq(fixture->log->requests, 2);
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fixture->told, "a@0:1 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(after_delivery_timeout_the_last_cause_is_told)
{
    producer_fixture *fixture =
        warm(1, 1, PROPERTIES(QUICK, "request.timeout.ms=1000", "delivery.timeout.ms=5000"));
    for (int i = 0; i < 60; i++)
        fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    for (int i = 0; i < 60; i++)
        fixture->log->errors[i] = KC_E_NOT_ENOUGH_REPLICAS;
    fixture->log->delay_us = 100000;
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 4800);
    ck_assert_uint_eq(fixture->told_count, 0);
    fixture_run(fixture, 400);
    ck_assert_str_eq(fixture->told, "a!TIMEOUT ");
    ck_assert_ptr_nonnull(strstr(fixture->last_error.text, "delivery.timeout.ms (5000)"));
    ck_assert_ptr_nonnull(strstr(fixture->last_error.text, "NOT_ENOUGH_REPLICAS"));
    fixture_free(fixture);
}
END_TEST

START_TEST(what_was_never_sent_names_the_failure_of_those_in_front)
{
    producer_fixture *fixture = warm(
        1, 1,
        PROPERTIES(QUICK, "batch.size=0", "request.timeout.ms=1000", "delivery.timeout.ms=5000"));
    for (int i = 0; i < 60; i++)
        fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    fixture->log->delay_us = 100000;
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 5200);
    ck_assert_str_eq(fixture->told, "a!TIMEOUT b!TIMEOUT ");
    ck_assert_ptr_nonnull(strstr(fixture->last_error.text, "NOT_ENOUGH_REPLICAS"));
    fixture_free(fixture);
}
END_TEST

START_TEST(a_broker_that_is_away_is_named_after_delivery_timeout)
{
    producer_fixture *fixture =
        warm(1, 1, PROPERTIES(QUICK, "request.timeout.ms=1000", "delivery.timeout.ms=5000"));
    fake_down(fixture->cluster, 1);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 4900);
    ck_assert_uint_eq(fixture->told_count, 0);
    fixture_run(fixture, 600);
    ck_assert_str_eq(fixture->told, "a!TIMEOUT ");
    ck_assert_ptr_nonnull(strstr(fixture->last_error.text, "b1:9092"));
    fixture_free(fixture);
}
END_TEST

START_TEST(batches_behind_an_expired_one_have_their_own_time)
{
    producer_fixture *fixture = warm(
        3, 1,
        PROPERTIES(QUICK, "batch.size=0", "request.timeout.ms=1000", "delivery.timeout.ms=5000"));
    fake_move_leader(fixture->cluster, "t", 0, -1);
    fake_log_error(fixture->log, KC_E_LEADER_NOT_AVAILABLE);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 3000);
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 2500);
    ck_assert_str_eq(fixture->told, "a!TIMEOUT ");
    ck_assert_ptr_nonnull(strstr(fixture->last_error.text, "LEADER_NOT_AVAILABLE"));
    fake_move_leader(fixture->cluster, "t", 0, 1);
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fixture->told, "a!TIMEOUT b@0:1 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(what_is_on_its_way_is_not_given_up_before_its_request)
{
    producer_fixture *fixture =
        warm(1, 3,
             PROPERTIES(QUICK, "request.timeout.ms=1900", "delivery.timeout.ms=2000",
                        "max.in.flight.requests.per.connection=1"));
    fixture->log->only_partition = 0;
    fake_log_error(fixture->log, KC_E_NOT_ENOUGH_REPLICAS);
    fixture_send(fixture, 0, "old");
    fixture_run(fixture, 2);
    fixture->log->is_holding = true;
    fixture_send(fixture, 2, "block");
    fixture_run(fixture, 1500);
    fixture_send(fixture, 1, "young");
    fixture_run(fixture, 10);
    fake_log_release(fixture->log);
    fixture_run(fixture,
                800); // 2,300 ms: past the old one's time, but it is on its way, with the young one
    ck_assert_uint_eq(fixture->log->partitions_seen, 2);
    ck_assert_str_eq(fixture->told, "block@2:1 ");
    fake_log_release(fixture->log);
    fixture_run(fixture, 10);
    ck_assert_uint_eq(fixture->told_count, 3);
    ck_assert_uint_eq(fixture->failed_count, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(what_waits_for_a_connection_is_given_up_in_time_whatever_stands_beside_it)
{
    producer_fixture *fixture =
        warm(1, 3,
             PROPERTIES(QUICK, "request.timeout.ms=1900", "delivery.timeout.ms=2000",
                        "max.in.flight.requests.per.connection=1"));
    fixture->log->is_holding = true;
    fixture_send(fixture, 2, "first");
    fixture_run(fixture, 2);
    fixture_send(fixture, 0, "old");
    fixture_run(fixture, 1500);
    fixture_send(fixture, 1, "young");
    fixture_run(fixture, 2);
    fake_down(fixture->cluster, 1);
    fixture_run(fixture, 600); // 2,104 ms: the three wait in one request
    ck_assert_str_eq(fixture->told, "first!TIMEOUT old!TIMEOUT ");
    fixture_run(fixture, 1500);
    ck_assert_uint_eq(fixture->failed_count, 3);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_partition_left_out_of_the_answer_is_sent_again)
{
    producer_fixture *fixture = warm(1, 2, PROPERTIES(QUICK));
    fake_log_fault(fixture->log, FAKE_FAULT_LEAVE_OUT);
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 1, "b");
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fixture->told, "a@0:1 b@1:2 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_partition_answered_twice_is_told_once)
{
    producer_fixture *fixture = warm(1, 2, PROPERTIES(QUICK));
    fake_log_fault(fixture->log, FAKE_FAULT_TWICE);
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 1, "b");
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fixture->told, "a@0:1 b@1:1 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(answers_may_come_in_any_order)
{
    producer_fixture *fixture = warm(1, 4, PROPERTIES(QUICK));
    fake_topic_add(fixture->cluster, "u", 2);
    kc_topic *u;
    ck_assert_int_eq(kc_producer_topic(fixture->producer, KC_STR("u"), &u, NULL), KC_OK);
    fixture_run(fixture, 500);
    fake_log_fault(fixture->log, FAKE_FAULT_REVERSED);
    kc_record record = KC_RECORD_INIT;
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k <= i; k++)
            fixture_send(fixture, i, fixture_name(i)); // one record more in each partition
        record.partition = i % 2;
        ck_assert_int_eq(kc_producer_send_to(u, &record, NULL, NULL, NULL), KC_OK);
    }
    fake_log_error(fixture->log, KC_E_TOPIC_AUTHORIZATION_FAILED); // for the first, t-0
    fixture_run(fixture, 100);
    ck_assert_str_eq(fixture->told, "v3@3:1 v3@3:2 v3@3:3 v3@3:4 v2@2:1 v2@2:2 v2@2:3 v1@1:1 "
                                    "v1@1:2 v0!TOPIC_AUTHORIZATION_FAILED ");
    ck_assert_uint_eq(fake_log_count(fixture->log, "u", 1), 2);
    ck_assert_uint_eq(fixture_stats(fixture).records_acked, 4 + 9 + 4);
    fixture_free(fixture);
}
END_TEST

START_TEST(answers_nobody_asked_for_are_passed_over)
{
    producer_fixture *fixture = warm(1, 2, PROPERTIES(QUICK));
    fake_log_fault(fixture->log, FAKE_FAULT_GARBAGE_EXTRA);
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 1, "b");
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fixture->told, "a@0:1 b@1:1 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(throttling_holds_the_next_request_back)
{
    producer_fixture *fixture = warm(1, 1, PROPERTIES(QUICK));
    fixture->log->throttle_ms = 500;
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 20);
    fixture->log->throttle_ms = 0;
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 400);
    ck_assert_str_eq(fixture->told, "a@0:1 ");
    fixture_run(fixture, 200); // KIP-219: and it ends
    ck_assert_str_eq(fixture->told, "a@0:1 b@0:2 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_topic_made_anew_gets_what_is_still_to_be_sent)
{
    producer_fixture *fixture = warm(2, 2, PROPERTIES(QUICK));
    fake_topic_recreate(fixture->cluster, "t", 2);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 2000);
    ck_assert_str_eq(fixture->told, "a@0:1 "); // UNKNOWN_TOPIC_ID, then the new id
    ck_assert_uint_ge(fixture->log->requests, 3);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_topic_made_anew_with_fewer_partitions_fails_those_that_are_gone)
{
    producer_fixture *fixture =
        warm(1, 3, PROPERTIES(QUICK, "request.timeout.ms=1000", "delivery.timeout.ms=5000"));
    fake_topic_recreate(fixture->cluster, "t", 1);
    fixture_send(fixture, 2, "a");
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 8000);
    ck_assert_str_eq(fixture->told, "b@0:1 a!TIMEOUT ");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_topic_without_id_is_named)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES(QUICK));
    fake_topic_find(fixture->cluster, KC_STR("t"))->id = (kc_uuid){{0}};
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 500);
    ck_assert_str_eq(fixture->told, "a@0:0 ");
    ck_assert_int_eq(fixture->log->version, 12);
    fixture_free(fixture);
}
END_TEST

START_TEST(every_version_of_produce_works)
{
    for (int16_t version = 3; version <= 13; version++) {
        producer_fixture *fixture = fixture_new(1, 2, PROPERTIES(QUICK));
        fixture->cluster->versions[KP_API_PRODUCE].max = version;
        fixture_send(fixture, 0, "a");
        fixture_send(fixture, 1, "b");
        fixture_run(fixture, 500);
        ck_assert_str_eq(fixture->told, "a@0:0 b@1:0 ");
        ck_assert_int_eq(fixture->log->version, version);
        fixture_free(fixture);
    }
}
END_TEST

START_TEST(zstd_needs_produce_7)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES(QUICK, "compression.type=zstd"));
    fixture->cluster->versions[KP_API_PRODUCE].max = 6;
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 500);
    ck_assert_str_eq(fixture->told, "a!VERSION ");
    fixture_free(fixture);
}
END_TEST

START_TEST(an_idle_producer_sets_no_timer)
{
    producer_fixture *fixture =
        warm(1, 1, PROPERTIES(QUICK, "metadata.max.age.ms=10000000", "connections.max.idle.ms=-1"));
    fixture_run(fixture, 300000);
    ck_assert(!kn_timer_is_set(&fixture->producer->timer));
    fixture_free(fixture);
}
END_TEST

START_TEST(a_cluster_that_is_down_costs_little_and_is_found_again)
{
    producer_fixture *fixture = warm(2, 2, PROPERTIES("linger.ms=0", "delivery.timeout.ms=600000"));
    fake_down(fixture->cluster, 1);
    fake_down(fixture->cluster, 2);
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 1, "b");
    uint32_t before = kn_mem_network_connects(fixture->cluster->network);
    fixture_run(fixture, 100000);
    // complaint 18: at most about one attempt a second and broker
    ck_assert_uint_le(kn_mem_network_connects(fixture->cluster->network) - before, 600);
    fake_up(fixture->cluster, 1);
    fake_up(fixture->cluster, 2);
    fixture_run(fixture, 5000);
    ck_assert_uint_eq(fixture->told_count, 2);
    ck_assert_uint_eq(fixture->failed_count, 0);
    fixture_free(fixture);
}
END_TEST
