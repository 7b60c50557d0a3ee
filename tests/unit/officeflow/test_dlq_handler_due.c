/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Canaries and ramps: what happens to many letters of one cause, minute by minute. */
#include "tests/unit/officeflow/dlq_world.h"

START_TEST(ten_of_one_cause_need_no_canary)
{
    begin(EXACT);
    put_many(10, 1);
    fake_run(k.cluster, 6 * MINUTE_MS);
    expect_counts(10, 10, 0, 0, 0);
    ck_assert_uint_eq(told[OF_DLQ_CANARY], 0);
    end();
}
END_TEST

/* D-06 */
START_TEST(canary_that_dies_again_keeps_the_others_back_twice_as_long)
{
    begin(EXACT);
    put_many(500, 1);
    fake_run(k.cluster, 6 * MINUTE_MS);
    ck_assert_uint_eq(told[OF_DLQ_CANARY], 1);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    int64_t died = wall();
    put(&(letter_spec){.offset = 1, .redrives = 1});
    fake_run(k.cluster, 10 * MINUTE_MS - 5 * SECOND_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    ck_assert_uint_eq(told[OF_DLQ_SCHEDULED], 500 + 1 + 499);
    int32_t n;
    ck_assert_int_eq(state_of(&(letter_spec){.offset = 2}, &n), OF_DEAD_SCHEDULED);
    ck_assert_int_eq(n, 0); // only the canary spent a redrive
    fake_run(k.cluster, died + 10 * MINUTE_MS + 5 * SECOND_MS - wall());
    ck_assert_uint_eq(told[OF_DLQ_CANARY], 2);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 2);
    end();
}
END_TEST

START_TEST(canary_that_is_handled_lets_the_others_go_faster_each_second)
{
    begin(EXACT);
    put_many(100, 1);
    fake_run(k.cluster, 6 * MINUTE_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    put_state(&(letter_spec){.offset = 1}, OF_DEAD_RESOLVED, 1);
    fake_run(k.cluster, 990);
    size_t slow = fake_kafka_count(&k, RETRY);
    ck_assert_uint_ge(slow, 2);
    ck_assert_uint_le(slow, 3);
    fake_run(k.cluster, SECOND_MS);
    size_t faster = fake_kafka_count(&k, RETRY) - slow;
    ck_assert_uint_ge(faster, 8);
    ck_assert_uint_le(faster, 12);
    fake_run(k.cluster, SECOND_MS);
    size_t fast = fake_kafka_count(&k, RETRY) - slow - faster;
    ck_assert_uint_ge(fast, 40);
    ck_assert_uint_le(fast, 52); // redrive_rate
    fake_run(k.cluster, 3 * SECOND_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 100);
    ck_assert_uint_eq(told[OF_DLQ_CANARY], 1);
    end();
}
END_TEST

START_TEST(canary_not_heard_of_counts_as_dead)
{
    begin(EXACT);
    put_many(20, 1);
    fake_run(k.cluster, 5 * MINUTE_MS + 2 * SECOND_MS);
    ck_assert_uint_eq(told[OF_DLQ_CANARY], 1);
    fake_run(k.cluster, 5 * MINUTE_MS); // the longest wait for it
    ck_assert_uint_eq(told[OF_DLQ_SCHEDULED], 20 + 19);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    fake_run(k.cluster, 10 * MINUTE_MS + 5 * SECOND_MS);
    ck_assert_uint_eq(told[OF_DLQ_CANARY], 2);
    end();
}
END_TEST

START_TEST(causes_do_not_wait_for_each_other)
{
    begin(EXACT);
    put_many(20, 1);
    for (int i = 0; i < 5; i++)
        put(&(letter_spec){.offset = 100 + i, .message = "another cause"});
    fake_run(k.cluster, 6 * MINUTE_MS);
    ck_assert_uint_eq(told[OF_DLQ_CANARY], 1);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1 + 5);
    end();
}
END_TEST

START_TEST(releases_keep_to_the_rate)
{
    begin(EXACT);
    char messages[200][16];
    for (int i = 0; i < 200; i++) {
        snprintf(messages[i], sizeof messages[i], "cause %c%c", 'a' + i / 20, 'a' + i % 20);
        put(&(letter_spec){.offset = i, .message = messages[i]});
    }
    fake_run(k.cluster, 5 * MINUTE_MS);
    size_t before = fake_kafka_count(&k, RETRY);
    fake_run(k.cluster, 2 * SECOND_MS);
    size_t after = fake_kafka_count(&k, RETRY);
    ck_assert_uint_le(after - before, 102);
    ck_assert_uint_ge(after, 40);
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 200);
    end();
}
END_TEST

START_TEST(letters_that_are_due_as_they_are_read_have_a_canary_though_they_come_one_by_one)
{
    begin("{\"default\": {\"redrive_jitter\": 0, \"redrive_initial\": \"1ms\"}}");
    for (int64_t i = 1; i <= 20; i++) {
        put_many(1, i);
        fake_run(k.cluster, 20);
    }
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_uint_eq(told[OF_DLQ_CANARY], 1);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    end();
}
END_TEST

START_TEST(canary_that_can_not_be_written_is_no_canary)
{
    begin(EXACT);
    k.refused_prefix = "retry.";
    k.refused_code = KC_E_TOPIC_AUTHORIZATION_FAILED;
    k.refused_times = -1;
    put_many(20, 1);
    fake_run(k.cluster, 6 * MINUTE_MS);
    ck_assert_uint_eq(told[OF_DLQ_REDRIVEN], 0);
    k.refused_times = 0;
    fake_run(k.cluster, 2 * MINUTE_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    end();
}
END_TEST

START_TEST(canary_speaks_for_its_cause_for_five_minutes)
{
    begin(EXACT);
    put_many(20, 1);
    fake_run(k.cluster, 6 * MINUTE_MS);
    put_state(&(letter_spec){.offset = 1}, OF_DEAD_RESOLVED, 1);
    fake_run(k.cluster, 10 * SECOND_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 20);
    ck_assert_uint_eq(handler->causes.count, 1);
    fake_run(k.cluster, 5 * MINUTE_MS);
    ck_assert_uint_eq(handler->causes.count, 0);
    put_many(20, 100);
    fake_run(k.cluster, 6 * MINUTE_MS);
    ck_assert_uint_eq(told[OF_DLQ_CANARY], 2);
    end();
}
END_TEST

START_TEST(rebalance_in_the_middle_of_a_ramp_needs_no_new_canary)
{
    begin(EXACT);
    put_many(100, 1);
    fake_run(k.cluster, 6 * MINUTE_MS);
    put_state(&(letter_spec){.offset = 1}, OF_DEAD_RESOLVED, 1);
    fake_run(k.cluster, 500);
    uint32_t joins = k.joins;
    fake_topic_add(k.cluster, "dlq.later", 1);
    kc_consumer_refresh_topics(handler->letters);
    fake_run(k.cluster, 20 * SECOND_MS);
    ck_assert_uint_gt(k.joins, joins);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 100); // each once
    ck_assert_uint_eq(told[OF_DLQ_CANARY], 1);
    end();
}
END_TEST
