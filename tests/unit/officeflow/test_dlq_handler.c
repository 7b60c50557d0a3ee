/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The DLQ handler on a virtual clock: what is redriven when, what is left alone, what may be
 * committed, and what becomes of it all when writes fail or it is started again. */
#include "tests/unit/officeflow/dlq_world.h"

/* ---- deciding, as a pure function ---- */

static of_dlq_fate decide(const letter_spec *spec, const of_dlq_seen *seen, bool is_strict)
{
    of_policy policy;
    of_dead_letter letter;
    const char *reason;
    of_message message = make_letter(spec);
    of_policy_init(&policy, is_strict);
    ck_assert(of_dead_letter_read(&message, &letter));
    of_dlq_fate fate = of_dlq_decide(&policy, &letter, seen, wall(), &reason);
    ck_assert((fate == OF_DLQ_FATE_REDRIVE) == (*reason == 0) || fate == OF_DLQ_FATE_DUPLICATE);
    return fate;
}

START_TEST(fate_of_a_letter_nobody_saw)
{
    begin(EXACT);
    int64_t old = wall() - 73 * HOUR_MS;
    ck_assert_int_eq(decide(&(letter_spec){0}, NULL, false), OF_DLQ_FATE_REDRIVE);
    ck_assert_int_eq(decide(&(letter_spec){0}, NULL, true), OF_DLQ_FATE_LEAVE);
    ck_assert_int_eq(decide(&(letter_spec){.failure_class = OF_CLASS_PERMANENT}, NULL, false),
                     OF_DLQ_FATE_QUARANTINE);
    ck_assert_int_eq(decide(&(letter_spec){.failure_class = OF_CLASS_PERMANENT}, NULL, true),
                     OF_DLQ_FATE_LEAVE);
    ck_assert_int_eq(decide(&(letter_spec){.failure_class = OF_CLASS_TIMEOUT}, NULL, false),
                     OF_DLQ_FATE_REDRIVE);
    ck_assert_int_eq(decide(&(letter_spec){.redrives = 2}, NULL, false), OF_DLQ_FATE_REDRIVE);
    ck_assert_int_eq(decide(&(letter_spec){.redrives = 3}, NULL, false), OF_DLQ_FATE_QUARANTINE);
    ck_assert_int_eq(decide(&(letter_spec){.redrives = 3}, NULL, true), OF_DLQ_FATE_LEAVE);
    ck_assert_int_eq(decide(&(letter_spec){.first_ms = old}, NULL, false), OF_DLQ_FATE_QUARANTINE);
    ck_assert_int_eq(decide(&(letter_spec){.is_pointer = true}, NULL, false), OF_DLQ_FATE_LEAVE);
    ck_assert_int_eq(decide(&(letter_spec){.is_foreign = true}, NULL, false), OF_DLQ_FATE_LEAVE);
    ck_assert_int_eq(decide(&(letter_spec){.group = "a b"}, NULL, false), OF_DLQ_FATE_LEAVE);
    end();
}
END_TEST

START_TEST(fate_of_a_letter_that_was_seen)
{
    static const struct {
        of_dead_state state;
        int32_t n;
        of_dlq_fate fate; /* of the letter that died after one release */
    } cases[] = {
        {OF_DEAD, 0, OF_DLQ_FATE_REDRIVE},
        {OF_DEAD_REDRIVEN, 0, OF_DLQ_FATE_REDRIVE},
        {OF_DEAD_QUARANTINED, 0, OF_DLQ_FATE_REDRIVE},
        {OF_DEAD, 1, OF_DLQ_FATE_REDRIVE},
        {OF_DEAD_SCHEDULED, 1, OF_DLQ_FATE_REDRIVE},
        {OF_DEAD_REDRIVEN, 1, OF_DLQ_FATE_DUPLICATE},
        {OF_DEAD_RESOLVED, 1, OF_DLQ_FATE_DUPLICATE},
        {OF_DEAD_QUARANTINED, 1, OF_DLQ_FATE_DUPLICATE},
        {OF_DEAD_DISCARDED, 1, OF_DLQ_FATE_DUPLICATE},
        {OF_DEAD, 2, OF_DLQ_FATE_DUPLICATE},
        {OF_DEAD_RESOLVED, 2, OF_DLQ_FATE_DUPLICATE},
        {OF_DEAD_PURGED, 0, OF_DLQ_FATE_DUPLICATE},
    };
    begin(EXACT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        of_dlq_seen seen = {.state = cases[i].state, .redrive = cases[i].n};
        ck_assert_msg(decide(&(letter_spec){.redrives = 1}, &seen, false) == cases[i].fate, "%zu",
                      i);
    }
    of_dlq_seen told_before = {.state = OF_DEAD, .redrive = 1};
    ck_assert_int_eq(decide(&(letter_spec){.redrives = 1}, &told_before, true),
                     OF_DLQ_FATE_DUPLICATE);
    end();
}
END_TEST

/* ---- one letter ---- */

START_TEST(letter_is_released_when_due_and_not_before)
{
    begin(EXACT);
    letter_spec a = {.offset = 1};
    put(&a);
    fake_run(k.cluster, 5 * MINUTE_MS - 2 * SECOND_MS);
    expect_counts(1, 0, 0, 0, 0);
    ck_assert_int_eq(state_of(&a, NULL), OF_DEAD_SCHEDULED);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 0);
    ck_assert_int_le(committed(), 0);
    fake_run(k.cluster, 4 * SECOND_MS);
    expect_counts(1, 1, 0, 0, 0);
    ck_assert_int_eq(state_of(&a, NULL), OF_DEAD_REDRIVEN);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    of_message released = fake_kafka_get(&k, RETRY, 0, &arena);
    ck_assert_str_eq(header(&released, OF_H_REDRIVE), "1");
    ck_assert_str_eq(header(&released, OF_H_REDRIVE_OF), id_of(&a));
    ck_assert_str_eq(header(&released, OF_H_REDRIVE_BY), "auto");
    ck_assert_str_eq(header(&released, OF_H_STAGE), "redrive");
    ck_assert_str_eq(header(&released, OF_H_ATTEMPT), "11");
    ck_assert_str_eq(header(&released, "x-foreign"), "kept");
    ck_assert_str_eq(header(&released, OF_H_DLQ_CLASS), "");
    ck_assert(kc_bytes_equal(released.value, KC_STR("{\"n\":1.10}")));
    ck_assert(kc_bytes_equal(released.key, KC_STR("k")));
    fake_run(k.cluster, 2 * SECOND_MS);
    ck_assert_int_eq(committed(), 1);
    end();
}
END_TEST

START_TEST(wall_clock_that_is_set_does_not_change_how_long_a_letter_waits)
{
    static const int64_t jumps[] = {-HOUR_MS, 48 * HOUR_MS};
    for (size_t i = 0; i < 2; i++) {
        begin(EXACT);
        put(&(letter_spec){.offset = 1});
        fake_run(k.cluster, MINUTE_MS);
        kn_loop_shift_wall(k.cluster->loop, jumps[i]);
        fake_run(k.cluster, 4 * MINUTE_MS - 2 * SECOND_MS);
        expect_counts(1, 0, 0, 0, 0);
        fake_run(k.cluster, 4 * SECOND_MS);
        expect_counts(1, 1, 0, 0, 0);
        end();
    }
}
END_TEST

START_TEST(due_time_that_a_wrong_clock_wrote_is_not_waited_for_longer_than_the_policy_says)
{
    begin("{\"default\": {\"redrive_jitter\": 0, \"redrive_maximum\": \"10m\"}}");
    letter_spec a = {.offset = 1};
    kn_loop_shift_wall(k.cluster->loop, 24 * HOUR_MS);
    put(&a);
    fake_run(k.cluster, SECOND_MS);
    expect_counts(1, 0, 0, 0, 0);
    of_dlq_close(handler, 1000);
    kn_loop_shift_wall(k.cluster->loop, -24 * HOUR_MS);
    open_handler();
    fake_run(k.cluster, 10 * MINUTE_MS + 2 * SECOND_MS);
    expect_counts(1, 1, 0, 0, 0);
    end();
}
END_TEST

START_TEST(each_redrive_waits_longer_and_the_fourth_death_is_quarantined)
{
    begin(EXACT);
    static const int64_t waits[] = {5 * MINUTE_MS, 20 * MINUTE_MS, 80 * MINUTE_MS};
    letter_spec a = {.offset = 1};
    for (int32_t n = 0; n < 3; n++) {
        a.redrives = n;
        int64_t died = wall();
        put(&a);
        fake_run(k.cluster, SECOND_MS);
        ck_assert_int_eq(last_due_ms - died, waits[n]);
        fake_run(k.cluster, waits[n] + SECOND_MS);
        ck_assert_uint_eq(told[OF_DLQ_REDRIVEN], (size_t)n + 1);
    }
    a.redrives = 3;
    put(&a);
    fake_run(k.cluster, 5 * SECOND_MS);
    expect_counts(3, 3, 1, 0, 0);
    int32_t n;
    ck_assert_int_eq(state_of(&a, &n), OF_DEAD_QUARANTINED);
    ck_assert_int_eq(n, 3);
    ck_assert_int_eq(committed(), 4);
    of_message quarantined = fake_kafka_get(&k, "quarantine." TYPE, 0, &arena);
    ck_assert_str_eq(header(&quarantined, OF_H_DLQ_REASON), "its redrives are used up");
    ck_assert_str_eq(header(&quarantined, OF_H_DLQ_ID), id_of(&a));
    end();
}
END_TEST

START_TEST(final_and_old_letters_are_quarantined_at_once)
{
    begin(EXACT);
    put(&(letter_spec){.offset = 1, .failure_class = OF_CLASS_PERMANENT});
    put(&(letter_spec){.offset = 2, .first_ms = wall() - 73 * HOUR_MS});
    fake_run(k.cluster, 5 * SECOND_MS);
    expect_counts(0, 0, 2, 0, 0);
    ck_assert_uint_eq(fake_kafka_count(&k, "quarantine." TYPE), 2);
    ck_assert_int_eq(committed(), 2);
    end();
}
END_TEST

/* D-12 */
START_TEST(strict_letter_stays_dead)
{
    begin(EXACT);
    letter_spec a = {.offset = 1, .type = "email.send.result", .topic = "email.send.result"};
    put(&a);
    put(&a); // a copy
    fake_run(k.cluster, 24 * HOUR_MS);
    expect_counts(0, 0, 0, 1, 1);
    ck_assert_int_eq(state_of(&a, NULL), OF_DEAD);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 0);
    ck_assert_int_eq(committed(), 2);
    end();
}
END_TEST

START_TEST(pointer_and_foreign_letters_are_left_to_the_operator)
{
    begin(EXACT);
    put(&(letter_spec){.offset = 1, .is_pointer = true});
    put(&(letter_spec){.offset = 2, .is_foreign = true});
    fake_run(k.cluster, HOUR_MS);
    expect_counts(0, 0, 0, 2, 0);
    ck_assert_int_eq(committed(), 2);
    end();
}
END_TEST

START_TEST(record_that_is_no_letter_is_told_and_passed)
{
    begin(EXACT);
    of_message garbage = {.key = KC_STR("k"), .value = KC_STR("v")};
    fake_kafka_put(&k, DLQ, 0, &garbage);
    put(&(letter_spec){.offset = 2, .failure_class = OF_CLASS_SCHEMA});
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_uint_eq(told[OF_DLQ_ERROR], 1);
    expect_counts(0, 0, 1, 0, 0);
    ck_assert_int_eq(committed(), 2);
    end();
}
END_TEST

/* ---- what may be committed ---- */

START_TEST(offset_moves_only_past_what_is_done)
{
    begin(EXACT);
    put(&(letter_spec){.offset = 1, .failure_class = OF_CLASS_PERMANENT, .message = "a"});
    put(&(letter_spec){.offset = 2, .message = "b"});
    put(&(letter_spec){.offset = 3, .failure_class = OF_CLASS_PERMANENT, .message = "c"});
    fake_run(k.cluster, MINUTE_MS);
    expect_counts(1, 0, 2, 0, 0);
    ck_assert_int_eq(committed(), 1); // the second one waits
    fake_run(k.cluster, 5 * MINUTE_MS);
    expect_counts(1, 1, 2, 0, 0);
    ck_assert_int_eq(committed(), 3);
    end();
}
END_TEST

START_TEST(copy_of_a_waiting_letter_is_a_duplicate)
{
    begin(EXACT);
    letter_spec a = {.offset = 1};
    put(&a);
    put(&a);
    fake_run(k.cluster, 6 * MINUTE_MS);
    expect_counts(1, 1, 0, 0, 1);
    put(&a); // also after its release
    fake_run(k.cluster, 6 * MINUTE_MS);
    expect_counts(1, 1, 0, 0, 2);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    ck_assert_int_eq(committed(), 3);
    end();
}
END_TEST

/* ---- started again ---- */

START_TEST(waiting_letters_survive_a_restart_with_their_time)
{
    begin("{\"default\": {\"redrive_jitter\": 0.2}}");
    letter_spec a = {.offset = 1};
    put(&a);
    fake_run(k.cluster, MINUTE_MS);
    int64_t due = last_due_ms;
    of_dlq_close(handler, 0);
    fake_kafka_restart(&k, EXACT);
    open_handler();
    fake_run(k.cluster, MINUTE_MS);
    expect_counts(1, 0, 0, 0, 0);
    ck_assert_str_eq(last_reason, "scheduled before");
    ck_assert_int_eq(last_due_ms, due);
    fake_run(k.cluster, due - wall() - SECOND_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 0);
    fake_run(k.cluster, 3 * SECOND_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    end();
}
END_TEST

START_TEST(letters_done_but_not_committed_are_duplicates_after_a_restart)
{
    begin(EXACT);
    put(&(letter_spec){.offset = 1, .message = "a"});
    fake_run(k.cluster, MINUTE_MS);
    letter_spec b = {.offset = 2, .message = "b", .failure_class = OF_CLASS_PERMANENT};
    put(&b);
    letter_spec c = {.offset = 3, .message = "c", .type = "email.send.result"};
    put(&c);
    fake_run(k.cluster, MINUTE_MS);
    expect_counts(1, 0, 1, 1, 0);
    of_platform_close(k.platform); // as a process that dies: closes the handler too
    handler = NULL;
    kc_client_free(k.client);
    k.platform = NULL;
    k.client = NULL;
    fake_kafka_restart(&k, EXACT);
    open_handler();
    fake_run(k.cluster, MINUTE_MS);
    expect_counts(1, 0, 0, 0, 2);
    ck_assert_uint_eq(fake_kafka_count(&k, "quarantine." TYPE), 1);
    end();
}
END_TEST

/* ---- others act ---- */

START_TEST(operators_release_takes_a_waiting_letter_away)
{
    begin(EXACT);
    letter_spec a = {.offset = 1};
    put(&a);
    fake_run(k.cluster, MINUTE_MS);
    put_state(&a, OF_DEAD_REDRIVEN, 0);
    fake_run(k.cluster, HOUR_MS);
    expect_counts(1, 0, 0, 0, 0);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 0);
    ck_assert_int_eq(committed(), 1);
    end();
}
END_TEST

START_TEST(operators_discard_takes_a_waiting_letter_away)
{
    begin(EXACT);
    letter_spec a = {.offset = 1};
    put(&a);
    fake_run(k.cluster, MINUTE_MS);
    put_state(&a, OF_DEAD_DISCARDED, 0);
    fake_run(k.cluster, HOUR_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 0);
    ck_assert_int_eq(committed(), 1);
    end();
}
END_TEST

START_TEST(letter_that_died_again_elsewhere_replaces_the_waiting_one)
{
    begin(EXACT);
    letter_spec a = {.offset = 1};
    put(&a);
    fake_run(k.cluster, MINUTE_MS);
    a.redrives = 1; // an operator released it, and it died
    put(&a);
    fake_run(k.cluster, MINUTE_MS);
    expect_counts(2, 0, 0, 0, 0);
    ck_assert_int_eq(committed(), 1);
    fake_run(k.cluster, 30 * MINUTE_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    of_message released = fake_kafka_get(&k, RETRY, 0, &arena);
    ck_assert_str_eq(header(&released, OF_H_REDRIVE), "2");
    ck_assert_int_eq(committed(), 2);
    end();
}
END_TEST

START_TEST(resolved_is_told_once)
{
    begin(EXACT);
    letter_spec a = {.offset = 1};
    put(&a);
    fake_run(k.cluster, 6 * MINUTE_MS);
    put_state(&a, OF_DEAD_RESOLVED, 1);
    put_state(&a, OF_DEAD_RESOLVED, 1);
    fake_run(k.cluster, SECOND_MS);
    ck_assert_uint_eq(told[OF_DLQ_RESOLVED], 1);
    of_dlq_stats stats;
    of_dlq_stats_get(handler, &stats);
    ck_assert_uint_eq(stats.resolved, 1);
    ck_assert_uint_eq(stats.seen, 1);
    ck_assert_uint_eq(stats.redriven, 1);
    end();
}
END_TEST

START_TEST(redriven_is_told_before_resolved_though_its_state_can_not_be_written)
{
    begin(EXACT);
    letter_spec a = {.offset = 1};
    put(&a);
    fake_run(k.cluster, MINUTE_MS);
    k.refused_prefix = STATES;
    k.refused_code = KC_E_TOPIC_AUTHORIZATION_FAILED;
    k.refused_times = -1;
    fake_run(k.cluster, 5 * MINUTE_MS);
    expect_counts(1, 1, 0, 0, 0);
    put_state(&a, OF_DEAD_RESOLVED, 1);
    fake_run(k.cluster, SECOND_MS);
    expect_counts(1, 1, 0, 0, 0);
    ck_assert_int_eq(last_kind, OF_DLQ_RESOLVED);
    end();
}
END_TEST

/** Its release is under way, and not acknowledged. */
static void hold_release(const letter_spec *letter)
{
    put(letter);
    fake_run(k.cluster, MINUTE_MS);
    k.holds_produce = true;
    fake_run(k.cluster, 4 * MINUTE_MS + SECOND_MS);
    ck_assert_ptr_nonnull(k.held_produce);
    expect_counts(1, 0, 0, 0, 0);
}

START_TEST(redriven_is_told_before_resolved_though_the_release_was_not_acknowledged)
{
    begin(EXACT);
    letter_spec a = {.offset = 1};
    hold_release(&a);
    put_state(&a, OF_DEAD_RESOLVED, 1);
    fake_run(k.cluster, SECOND_MS);
    expect_counts(1, 1, 0, 0, 0);
    ck_assert_uint_eq(told[OF_DLQ_RESOLVED], 1);
    ck_assert_int_eq(last_kind, OF_DLQ_RESOLVED);
    fake_kafka_release(&k);
    fake_run(k.cluster, SECOND_MS);
    expect_counts(1, 1, 0, 0, 0);
    end();
}
END_TEST

START_TEST(redriven_is_told_before_the_next_death_though_the_release_was_not_acknowledged)
{
    begin(EXACT);
    letter_spec a = {.offset = 1};
    hold_release(&a);
    a.redrives = 1;
    put(&a);
    fake_run(k.cluster, SECOND_MS);
    expect_counts(2, 1, 0, 0, 0);
    ck_assert_int_eq(last_kind, OF_DLQ_SCHEDULED);
    fake_kafka_release(&k);
    fake_run(k.cluster, SECOND_MS);
    expect_counts(2, 1, 0, 0, 0);
    end();
}
END_TEST

START_TEST(release_that_fails_is_not_made_again_when_what_came_of_it_is_known)
{
    begin(EXACT);
    letter_spec a = {.offset = 1};
    hold_release(&a);
    put_state(&a, OF_DEAD_RESOLVED, 1);
    k.refused_prefix = "retry.";
    k.refused_code = KC_E_TOPIC_AUTHORIZATION_FAILED;
    k.refused_times = 1;
    fake_run(k.cluster,
             5 * MINUTE_MS); // the answer is not waited for any longer, and it is sent again
    ck_assert_int_eq(k.refused_times, 0);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 0);
    ck_assert_uint_eq(handler->count, 0);
    ck_assert_int_eq(committed(), 1);
    expect_counts(1, 1, 0, 0, 0);
    end();
}
END_TEST

START_TEST(open_breaker_holds_a_release_back_at_no_cost)
{
    begin(EXACT);
    of_breaker *breaker = of_platform_breaker(k.platform, "handler:" GROUP ":" TYPE, NULL);
    of_breaker_force(breaker, OF_BREAKER_OPEN, 0);
    put(&(letter_spec){.offset = 1});
    fake_run(k.cluster, 10 * MINUTE_MS);
    expect_counts(1, 0, 0, 0, 0);
    of_breaker_force(breaker, OF_BREAKER_CLOSED, 0);
    fake_run(k.cluster, 2 * MINUTE_MS);
    expect_counts(1, 1, 0, 0, 0);
    of_message released = fake_kafka_get(&k, RETRY, 0, &arena);
    ck_assert_str_eq(header(&released, OF_H_REDRIVE), "1");
    end();
}
END_TEST

/* ---- limits and faults ---- */

START_TEST(no_more_letters_are_held_than_allowed)
{
    begin(EXACT);
    put_many(OF_DLQ_LETTERS_MAX + 100, 1);
    fake_run(k.cluster, MINUTE_MS);
    ck_assert_uint_eq(handler->count, OF_DLQ_LETTERS_MAX);
    ck_assert_uint_eq(told[OF_DLQ_SCHEDULED], OF_DLQ_LETTERS_MAX);
    ck_assert(handler->is_paused);
    fake_run(k.cluster, 10 * MINUTE_MS); // longer than a member may be silent
    put_state(&(letter_spec){.offset = 1}, OF_DEAD_RESOLVED, 1);
    for (int64_t i = 2; i < 60; i++)
        put_state(&(letter_spec){.offset = i}, OF_DEAD_DISCARDED, 0);
    fake_run(k.cluster, MINUTE_MS);
    ck_assert_uint_ge(told[OF_DLQ_SCHEDULED], OF_DLQ_LETTERS_MAX + 50);
    ck_assert_uint_le(handler->count, OF_DLQ_LETTERS_MAX);
    ck_assert_uint_eq(k.leaves, 0);
    end();
}
END_TEST

START_TEST(write_that_fails_is_tried_again_and_made_once)
{
    begin(EXACT);
    k.refused_prefix = "retry.";
    k.refused_code = KC_E_TOPIC_AUTHORIZATION_FAILED;
    k.refused_times = 3;
    put(&(letter_spec){.offset = 1});
    fake_run(k.cluster, 5 * MINUTE_MS + 2 * SECOND_MS);
    ck_assert_uint_ge(told[OF_DLQ_ERROR], 1);
    expect_counts(1, 0, 0, 0, 0);
    ck_assert_int_le(committed(), 0);
    fake_run(k.cluster, MINUTE_MS);
    expect_counts(1, 1, 0, 0, 0);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 1);
    ck_assert_int_eq(committed(), 1);
    end();
}
END_TEST

START_TEST(quarantine_that_fails_is_tried_again)
{
    begin(EXACT);
    k.refused_prefix = "quarantine.";
    k.refused_code = KC_E_TOPIC_AUTHORIZATION_FAILED;
    k.refused_times = 5;
    put(&(letter_spec){.offset = 1, .failure_class = OF_CLASS_PERMANENT});
    fake_run(k.cluster, 5 * MINUTE_MS);
    expect_counts(0, 0, 1, 0, 0);
    ck_assert_uint_eq(fake_kafka_count(&k, "quarantine." TYPE), 1);
    ck_assert_int_eq(committed(), 1);
    end();
}
END_TEST

/** A write is out while a rebalance takes the partition and gives it back. */
static void rebalance_during_quarantine(void)
{
    k.holds_produce = true;
    put(&(letter_spec){.offset = 1, .failure_class = OF_CLASS_PERMANENT});
    fake_run(k.cluster, SECOND_MS);
    ck_assert_ptr_nonnull(k.held_produce);
    uint32_t joins = k.joins;
    fake_topic_add(k.cluster, "dlq.later", 1);
    kc_consumer_refresh_topics(handler->letters);
    fake_run(k.cluster, 10 * SECOND_MS);
    ck_assert_uint_gt(k.joins, joins);
    expect_counts(0, 0, 0, 0, 0);
}

START_TEST(write_that_outlives_a_rebalance_counts)
{
    begin(EXACT);
    rebalance_during_quarantine();
    fake_kafka_release(&k);
    fake_run(k.cluster, 5 * SECOND_MS);
    expect_counts(0, 0, 1, 0, 0);
    ck_assert_uint_eq(fake_kafka_count(&k, "quarantine." TYPE), 1);
    ck_assert_int_eq(committed(), 1);
    end();
}
END_TEST

START_TEST(write_that_fails_after_a_rebalance_loses_nothing)
{
    begin(EXACT);
    rebalance_during_quarantine();
    k.refused_prefix = "quarantine.";
    k.refused_code = KC_E_TOPIC_AUTHORIZATION_FAILED;
    k.refused_times = 1;
    fake_kafka_release(&k);
    fake_run(k.cluster, MINUTE_MS);
    expect_counts(0, 0, 1, 0, 0);
    ck_assert_uint_eq(fake_kafka_count(&k, "quarantine." TYPE), 1);
    ck_assert_int_eq(committed(), 1);
    end();
}
END_TEST

START_TEST(closing_while_a_detached_letter_is_written_frees_it)
{
    begin(EXACT);
    k.holds_produce = true;
    put(&(letter_spec){.offset = 1, .failure_class = OF_CLASS_PERMANENT});
    fake_run(k.cluster, SECOND_MS);
    ck_assert_ptr_nonnull(k.held_produce);
    kc_consumer_unsubscribe(handler->letters); // the partitions go, and do not come back
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_uint_eq(handler->parts.count, 0);
    ck_assert_uint_eq(handler->count, 1);
    end();
}
END_TEST

START_TEST(start_is_tried_again_until_the_state_topic_is_there)
{
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    fake_kafka_start(&k, EXACT);
    fake_topic_add(k.cluster, DLQ, 1);
    k.refuses_create = true;
    open_handler();
    fake_run(k.cluster, MINUTE_MS);
    ck_assert_int_ne(handler->phase, OF_DLQ_RUNNING);
    ck_assert_uint_ge(told[OF_DLQ_ERROR], 2);
    k.refuses_create = false;
    put(&(letter_spec){.offset = 1, .failure_class = OF_CLASS_PERMANENT});
    fake_run(k.cluster, 2 * MINUTE_MS);
    ck_assert_int_eq(handler->phase, OF_DLQ_RUNNING);
    expect_counts(0, 0, 1, 0, 0);
    end();
}
END_TEST

START_TEST(dlq_topic_that_appears_later_is_read_from_its_beginning)
{
    begin(EXACT);
    fake_topic_add(k.cluster, "dlq.later", 1);
    of_message message =
        make_letter(&(letter_spec){.offset = 5, .failure_class = OF_CLASS_PERMANENT});
    fake_kafka_put(&k, "dlq.later", 0, &message);
    fake_run(k.cluster, MINUTE_MS);
    expect_counts(0, 0, 1, 0, 0);
    ck_assert_int_eq(fake_kafka_committed(&k, OF_DLQ_GROUP, "dlq.later", 0), 1);
    end();
}
END_TEST

/* ---- end ---- */

START_TEST(stopping_finishes_what_is_being_written_and_commits)
{
    begin(EXACT);
    put_many(5, 1);
    put(&(letter_spec){.offset = 9, .failure_class = OF_CLASS_PERMANENT});
    fake_run(k.cluster, 5 * MINUTE_MS - 500);
    while (handler->writes == 0)
        fake_run(k.cluster, 1);
    of_dlq_stop(handler, 5000);
    ck_assert(!of_dlq_is_stopped(handler));
    fake_run(k.cluster, 2 * SECOND_MS);
    ck_assert(of_dlq_is_stopped(handler));
    size_t done = told[OF_DLQ_REDRIVEN];
    ck_assert_uint_gt(done, 0);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), done);
    ck_assert_int_eq(committed(), done == 5 ? 6 : (int64_t)done);
    fake_run(k.cluster, HOUR_MS);
    ck_assert_uint_eq(told[OF_DLQ_REDRIVEN], done);
    ck_assert_uint_eq(k.leaves, 1);
    end();
}
END_TEST

START_TEST(stopping_ends_at_its_deadline)
{
    begin(EXACT);
    fake_down(k.cluster, 1);
    put(&(letter_spec){.offset = 1, .failure_class = OF_CLASS_PERMANENT});
    fake_up(k.cluster, 1);
    while (handler->writes == 0)
        fake_run(k.cluster, 1);
    fake_down(k.cluster, 1);
    of_dlq_stop(handler, 3000);
    fake_run(k.cluster, 2900);
    ck_assert(!of_dlq_is_stopped(handler));
    fake_run(k.cluster, 200);
    ck_assert(of_dlq_is_stopped(handler));
    end();
}
END_TEST

START_TEST(times_a_stranger_wrote_are_believed_as_far_as_they_can_be)
{
    static const char *const dues[] = {"9223372036854775807", "-9223372036854775808"};
    begin(EXACT);
    for (int64_t i = 0; i < 2; i++) {
        char value[128];
        letter_spec spec = {.offset = i};
        int len = snprintf(value, sizeof value,
                           "{\"state\":\"scheduled\",\"redrive\":0,\"at\":1,\"due\":%s}", dues[i]);
        of_message state = {.key = kc_str(id_of(&spec)), .value = kc_span(value, (size_t)len)};
        fake_kafka_put(&k, STATES, 0, &state);
        fake_run(k.cluster, SECOND_MS);
        put(&spec);
    }
    of_message late = make_letter(&(letter_spec){.offset = 2});
    for (size_t i = 0; i < late.header_count; i++)
        if (kc_bytes_equal(late.headers[i].name, KC_STR(OF_H_DLQ_LAST)))
            ((kc_header *)(uintptr_t)late.headers)[i].value = KC_STR("9223372036854775807");
    fake_kafka_put(&k, DLQ, 0, &late);
    fake_run(k.cluster, 24 * HOUR_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, RETRY), 3);
    end();
}
END_TEST

START_TEST(it_may_be_closed_at_any_moment)
{
    for (int64_t ms = 0; ms < 60; ms += 1) {
        kb_mem_init(&mem, NULL, 0);
        kb_arena_init(&arena, &mem, 0);
        fake_kafka_start(&k, EXACT);
        fake_topic_add(k.cluster, DLQ, 1);
        fake_topic_add(k.cluster, STATES, 2);
        put_many(12, 1);
        put(&(letter_spec){.offset = 100, .failure_class = OF_CLASS_PERMANENT});
        open_handler();
        fake_run(k.cluster, ms);
        if (ms % 2)
            of_dlq_close(handler, 0);
        handler = NULL; // else closed with the platform
        fake_kafka_stop(&k);
        kb_arena_cleanup(&arena);
    }
}
END_TEST

START_TEST(it_starts_once)
{
    kc_error err;
    begin(EXACT);
    ck_assert_int_eq(of_dlq_start(handler, &err), KC_ERR_STATE);
    end();
}
END_TEST
