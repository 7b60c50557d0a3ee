/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tests of client/producer_stage: topics that are not known yet, or never. */
#include "client/producer_core.h"
#include "tests/unit/client/fake_produce.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(records_sent_before_the_topic_is_known_arrive_in_order)
{
    producer_fixture *fixture = fixture_new(1, 2, PROPERTIES("linger.ms=0"));
    char expected[8192] = "";
    for (int i = 0; i < 1000; i++) {
        fixture_send(fixture, 1, fixture_name(i));
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%sv%d",
                 i ? " " : "", i);
    }
    ck_assert_uint_gt(fixture_stats(fixture).buffer_bytes, 10000);
    fixture_run(fixture, 200);
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 1), expected);
    ck_assert_uint_eq(fixture->told_count, 1000);
    ck_assert_uint_eq(fixture_stats(fixture).buffer_bytes, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_topic_that_never_turns_up_is_named_after_delivery_timeout)
{
    producer_fixture *fixture = fixture_new(
        1, 0, PROPERTIES("linger.ms=0", "delivery.timeout.ms=5000", "request.timeout.ms=1000"));
    fixture_send(fixture, -1, "a");
    fixture_run(fixture, 2000);
    fixture_send(fixture, 3, "b");
    fixture_run(fixture, 2900);
    ck_assert_uint_eq(fixture->told_count, 0);
    fixture_run(fixture, 200);
    ck_assert_str_eq(fixture->told, "a!UNKNOWN_TOPIC_OR_PARTITION ");
    ck_assert_str_eq(fixture->last_error.text,
                     "topic t does not exist: create it or check its name");
    ck_assert_str_eq(fixture->last_error.topic, "t");
    fixture_run(fixture, 2000);
    ck_assert_str_eq(fixture->told, "a!UNKNOWN_TOPIC_OR_PARTITION b!UNKNOWN_TOPIC_OR_PARTITION ");
    ck_assert_uint_eq(fixture_stats(fixture).buffer_bytes, 0);
    // asked for from time to time, not in a loop
    ck_assert_uint_le(fake_count(fixture->cluster, 1, KP_API_METADATA), 60);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_topic_that_is_made_in_time_gets_its_records)
{
    producer_fixture *fixture = fixture_new(1, 0, PROPERTIES("linger.ms=0"));
    fixture_send(fixture, -1, "a");
    fixture_run(fixture, 3000);
    ck_assert_uint_eq(fixture->told_count, 0);
    fake_topic_add(fixture->cluster, "t", 1);
    fixture_run(fixture, 3000);
    ck_assert_str_eq(fixture->told, "a@0:0 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_topic_that_is_refused_fails_at_once)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fake_topic *topic = fake_topic_find(fixture->cluster, KC_STR("t"));
    topic->error = KC_E_TOPIC_AUTHORIZATION_FAILED;
    fixture_send(fixture, -1, "a");
    fixture_run(fixture, 500);
    ck_assert_str_eq(fixture->told, "a!TOPIC_AUTHORIZATION_FAILED ");
    fixture_send(fixture, -1, "b");
    fixture_run(fixture, 500);
    ck_assert_uint_eq(fixture->failed_count, 2);
    // somebody grants it: the next answer tells
    topic->error = 0;
    fixture_send(fixture, -1, "c");
    fixture_run(fixture, 1000);
    ck_assert_ptr_nonnull(strstr(fixture->told, "c@0:0 ")); // an old answer is not believed
    fixture_free(fixture);
}
END_TEST

static void send_again(producer_fixture *fixture)
{
    fixture_send(fixture, -1, "again");
}

START_TEST(sending_again_from_the_callback_of_a_refused_topic_does_not_spin)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fake_topic_find(fixture->cluster, KC_STR("t"))->error = KC_E_TOPIC_AUTHORIZATION_FAILED;
    fixture_send(fixture, -1, "a");
    fixture_send(fixture, -1, "b");
    fixture->on_told = send_again;
    fixture_run(fixture, 5000);
    fixture->on_told = NULL;
    ck_assert_uint_ge(fixture->told_count, 3);
    ck_assert_uint_le(fixture->told_count, 150); // two for each answer of metadata
    fixture_free(fixture);
}
END_TEST

START_TEST(a_partition_that_turns_out_not_to_exist_is_told)
{
    producer_fixture *fixture = fixture_new(1, 2, PROPERTIES("linger.ms=0"));
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 7, "b");
    fixture_send(fixture, 1, "c");
    fixture_run(fixture, 500);
    ck_assert_ptr_nonnull(strstr(fixture->told, "b!UNKNOWN_TOPIC_OR_PARTITION "));
    ck_assert_ptr_nonnull(strstr(fixture->last_error.text, "partition 7"));
    ck_assert_ptr_nonnull(strstr(fixture->told, "a@0:0 "));
    ck_assert_ptr_nonnull(strstr(fixture->told, "c@1:0 "));
    fixture_free(fixture);
}
END_TEST

START_TEST(no_broker_at_all_is_told_with_the_cause)
{
    producer_fixture *fixture = fixture_new(
        1, 1, PROPERTIES("linger.ms=0", "delivery.timeout.ms=5000", "request.timeout.ms=1000"));
    fake_down(fixture->cluster, 1);
    fixture_send(fixture, -1, "a");
    fixture_run(fixture, 5100);
    ck_assert_str_eq(fixture->told, "a!TIMEOUT ");
    ck_assert_ptr_nonnull(strstr(fixture->last_error.text, "b1:9092"));
    fixture_free(fixture);
}
END_TEST

static kc_error flush_in_vain(producer_fixture *fixture)
{
    kc_error error;
    ck_assert_int_eq(kc_producer_flush(fixture->producer, 800), KC_ERR_TIMEOUT);
    ck_assert_uint_eq(fixture->told_count, 0);
    kc_producer_last_error(fixture->producer, &error);
    return error;
}

START_TEST(a_flush_in_vain_says_that_the_topic_is_not_there)
{
    producer_fixture *fixture = fixture_new(1, 0, PROPERTIES("linger.ms=0"));
    fixture_send(fixture, -1, "a");
    kc_error error = flush_in_vain(fixture);
    ck_assert_int_eq(error.code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_str_eq(error.text, "topic t does not exist: create it or check its name");
    ck_assert_str_eq(error.topic, "t");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_flush_in_vain_says_that_no_broker_is_there)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fake_down(fixture->cluster, 1);
    fixture_send(fixture, -1, "a");
    kc_error error = flush_in_vain(fixture);
    const char begin[] = "nothing was learned about topic t within the flush's timeout_ms (800): "
                         "connect to ";
    ck_assert_int_eq(error.code, KC_ERR_TIMEOUT);
    ck_assert_msg(strncmp(error.text, begin, sizeof begin - 1) == 0, "%s", error.text);
    ck_assert_ptr_nonnull(strstr(error.text, "is the broker running"));
    fixture_free(fixture);
}
END_TEST

START_TEST(a_flush_in_vain_says_why_batches_wait)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 200);
    ck_assert_str_eq(fixture->told, "a@0:0 ");
    fixture->told_count = 0;
    fake_down(fixture->cluster, 1);
    fixture_send(fixture, 0, "b");
    kc_error error = flush_in_vain(fixture);
    const char begin[] = "records for t-0 were not acknowledged within the flush's timeout_ms "
                         "(800): ";
    ck_assert_msg(strncmp(error.text, begin, sizeof begin - 1) == 0, "%s", error.text);
    ck_assert_msg(strstr(error.text, "b1:9092") != NULL, "%s", error.text);
    ck_assert_int_eq(error.partition, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(flush_counts_staged_records)
{
    producer_fixture *fixture =
        fixture_new(1, 3, PROPERTIES("linger.ms=60000", "delivery.timeout.ms=120000"));
    for (int i = 0; i < 30; i++)
        fixture_send(fixture, i % 3, fixture_name(i));
    ck_assert_int_eq(kc_producer_flush(fixture->producer, 10000), KC_OK);
    ck_assert_uint_eq(fixture->told_count, 30);
    ck_assert_int_lt(fake_now_ms(fixture->cluster), 2000);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_buffer_full_of_staged_records_gets_through)
{
    producer_fixture *fixture =
        fixture_new(1, 2, PROPERTIES("linger.ms=0", "buffer.memory=100000", "batch.size=16384"));
    static char value[500];
    uint32_t accepted = 0;
    while (fixture_try(fixture, (int32_t)(accepted % 2), NULL, value, sizeof value) == KC_OK)
        accepted++;
    ck_assert_uint_gt(accepted, 100);
    fixture_run(fixture, 5000);
    ck_assert_uint_eq(fixture->told_count, accepted);
    ck_assert_uint_eq(fixture->failed_count, 0);
    ck_assert_uint_eq(fixture_stats(fixture).buffer_bytes, 0);
    fixture_free(fixture);
}
END_TEST

/** Records of all sizes in order, while the buffer is full most of the time. */
static void keep_order(uint64_t seed)
{
    producer_fixture *fixture =
        fixture_new(1, 0, PROPERTIES("linger.ms=0", "buffer.memory=12000", "batch.size=2900"));
    kb_rand rand;
    static char value[1500];
    int sent = 0;
    memset(value, '.', sizeof value);
    kb_rand_init(&rand, seed);
    fixture->log->delay_us = 3000;
    for (int i = 0; i < 500; i++) {
        memset(value, '.', 8);
        int len = snprintf(value, sizeof value, "v%d", sent);
        value[len] = '.';
        // large ones first, so that one of them waits for room while an open batch has some for a small one
        bool is_large = fake_log_count(fixture->log, "t", 0) == 0 && kb_rand_below(&rand, 8) != 0;
        size_t size = is_large ? 1000 + kb_rand_below(&rand, sizeof value - 1000) : 0;
        if (fixture_try(fixture, 0, NULL, value, size < 8 ? 8 : size) == KC_OK)
            sent++;
        if (i == 30)
            fake_topic_add(fixture->cluster, "t", 1);
        if (kb_rand_below(&rand, 3) == 0)
            fixture_run(fixture, 1);
    }
    fixture_run(fixture, 20000);
    ck_assert_uint_eq(fixture->told_count, (uint32_t)sent);
    ck_assert_uint_eq(fixture->log->record_count, (size_t)sent);
    for (int i = 0; i < sent; i++)
        ck_assert_int_eq(atoi(fixture->log->records[i].value + 1), i);
    ck_assert_uint_eq(fixture_stats(fixture).buffer_bytes, 0);
    fixture_free(fixture);
}

START_TEST(records_stay_in_order_while_staged_ones_wait_for_room)
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        keep_order(seed);
}
END_TEST

START_TEST(close_tells_staged_records)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fixture_send(fixture, -1, "a");
    fixture_send(fixture, 0, "b");
    kc_producer_close(fixture->producer);
    ck_assert_str_eq(fixture->told, "a!CLOSED b!CLOSED ");
    fixture_free(fixture);
}
END_TEST
