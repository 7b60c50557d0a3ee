/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Circuit breakers, on a clock that is a number. */
#include <officeflow/breaker.h>

#include <check.h>

typedef struct changes {
    int count;
    of_breaker_state from, to;
    char why[64];
} changes;

static void on_change(of_breaker *breaker, of_breaker_state from, of_breaker_state to,
                      const char *why, void *user)
{
    changes *seen = user;
    (void)breaker;
    seen->count++;
    seen->from = from;
    seen->to = to;
    strncpy(seen->why, why, sizeof seen->why - 1);
}

static of_breaker *make(of_breaker_options *options, changes *seen)
{
    options->jitter = 0.0;
    options->on_change = on_change;
    options->user = seen;
    *seen = (changes){0};
    of_breaker *breaker = of_breaker_new("smtp", options, 7);
    ck_assert_ptr_nonnull(breaker);
    return breaker;
}

static of_breaker *make_default(changes *seen)
{
    of_breaker_options options;
    of_breaker_options_init(&options);
    return make(&options, seen);
}

static void call(of_breaker *breaker, bool is_ok, int64_t took, int64_t now)
{
    ck_assert(of_breaker_acquire(breaker, now));
    of_breaker_report(breaker, is_ok, took, now);
}

static void trip(of_breaker *breaker, int64_t now)
{
    for (int i = 0; i < 10; i++)
        call(breaker, false, 1, now);
    ck_assert_int_eq(of_breaker_state_at(breaker, now), OF_BREAKER_OPEN);
}

/* B-01 */
START_TEST(ten_failures_in_a_row_open_a_quiet_breaker)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    int64_t now = 0;
    for (int i = 0; i < 9; i++, now += 60000)
        call(breaker, false, 1, now);
    ck_assert_int_eq(of_breaker_state_at(breaker, now), OF_BREAKER_CLOSED);
    call(breaker, false, 1, now);
    ck_assert_int_eq(of_breaker_state_at(breaker, now), OF_BREAKER_OPEN);
    ck_assert_int_eq(seen.count, 1);
    ck_assert_int_eq(seen.to, OF_BREAKER_OPEN);
    of_breaker_free(breaker);
}
END_TEST

START_TEST(one_success_ends_the_row)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    int64_t now = 0;
    for (int i = 0; i < 30; i++, now += 60000)
        call(breaker, i % 9 == 8, 1, now);
    ck_assert_int_eq(of_breaker_state_at(breaker, now), OF_BREAKER_CLOSED);
    of_breaker_free(breaker);
}
END_TEST

START_TEST(half_of_twenty_calls_failing_opens)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    for (int i = 0; i < 19; i++)
        call(breaker, i % 2 == 0, 1, 1000 + i);
    ck_assert_int_eq(of_breaker_state_at(breaker, 1020), OF_BREAKER_CLOSED);
    call(breaker, false, 1, 1020);
    ck_assert_int_eq(of_breaker_state_at(breaker, 1020), OF_BREAKER_OPEN);
    of_breaker_free(breaker);
}
END_TEST

START_TEST(fewer_than_half_failing_stays_closed)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    for (int i = 0; i < 1000; i++)
        call(breaker, i % 5 != 0, 1, 1000 + i);
    ck_assert_int_eq(of_breaker_state_at(breaker, 2000), OF_BREAKER_CLOSED);
    of_breaker_free(breaker);
}
END_TEST

START_TEST(slow_calls_open_though_they_succeed)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    for (int i = 0; i < 20; i++)
        call(breaker, true, i < 4 ? 10 : 5001, 1000 + i);
    ck_assert_int_eq(of_breaker_state_at(breaker, 1020), OF_BREAKER_OPEN);
    of_breaker_free(breaker);
}
END_TEST

START_TEST(old_failures_leave_the_window)
{
    changes seen;
    of_breaker_options options;
    of_breaker_options_init(&options);
    options.consecutive_failures = 0;
    of_breaker *breaker = make(&options, &seen);
    for (int i = 0; i < 15; i++)
        call(breaker, false, 1, 1000);
    for (int i = 0; i < 19; i++)
        call(breaker, true, 1, 100000);
    call(breaker, false, 1, 100000);
    ck_assert_int_eq(of_breaker_state_at(breaker, 100000), OF_BREAKER_CLOSED);
    of_breaker_free(breaker);
}
END_TEST

START_TEST(window_of_a_busy_breaker_is_its_last_calls)
{
    changes seen;
    of_breaker_options options;
    of_breaker_options_init(&options);
    options.consecutive_failures = 0;
    of_breaker *breaker = make(&options, &seen);
    int64_t now = 0;
    for (int i = 0; i < 3000; i++, now += 10) // 30 s of successes
        call(breaker, true, 1, now);
    int failures = 0;
    while (of_breaker_state_at(breaker, now) == OF_BREAKER_CLOSED && failures < 3000) {
        call(breaker, false, 1, now);
        failures++;
        now += 10;
    }
    // by time alone 3000 failures would be needed
    ck_assert_int_le(failures, 1300);
    of_breaker_free(breaker);
}
END_TEST

START_TEST(open_refuses_until_its_time_is_over)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    trip(breaker, 1000);
    ck_assert(!of_breaker_acquire(breaker, 1000));
    ck_assert_int_eq(of_breaker_next_ms(breaker, 1000), 6000);
    ck_assert(!of_breaker_acquire(breaker, 5999));
    ck_assert(of_breaker_acquire(breaker, 6000));
    ck_assert_int_eq(of_breaker_state_at(breaker, 6000), OF_BREAKER_HALF_OPEN);
    of_breaker_free(breaker);
}
END_TEST

/* B-03 */
START_TEST(half_open_lets_one_probe_through_and_three_close)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    trip(breaker, 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_ne(of_breaker_state_at(breaker, 5000), OF_BREAKER_CLOSED);
        ck_assert(of_breaker_acquire(breaker, 5000));
        ck_assert(!of_breaker_acquire(breaker, 5000));
        ck_assert(of_breaker_next_ms(breaker, 5000) == INT64_MAX);
        of_breaker_report(breaker, true, 1, 5000);
    }
    ck_assert_int_eq(of_breaker_state_at(breaker, 5000), OF_BREAKER_CLOSED);
    ck_assert(of_breaker_acquire(breaker, 5000));
    ck_assert(of_breaker_acquire(breaker, 5000));
    of_breaker_free(breaker);
}
END_TEST

START_TEST(failed_probe_opens_for_twice_as_long_up_to_the_cap)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    int64_t now = 0, waits[] = {5000, 10000, 20000, 40000, 60000, 60000};
    trip(breaker, now);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        ck_assert_int_eq(of_breaker_next_ms(breaker, now) - now, waits[i]);
        now += waits[i];
        ck_assert(of_breaker_acquire(breaker, now));
        of_breaker_report(breaker, false, 1, now);
    }
    of_breaker_free(breaker);
}
END_TEST

START_TEST(closing_forgets_how_often_it_opened)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    trip(breaker, 0);
    ck_assert(of_breaker_acquire(breaker, 5000));
    of_breaker_report(breaker, false, 1, 5000);
    for (int i = 0; i < 3; i++) {
        ck_assert(of_breaker_acquire(breaker, 15000));
        of_breaker_report(breaker, true, 1, 15000);
    }
    trip(breaker, 15000);
    ck_assert_int_eq(of_breaker_next_ms(breaker, 15000), 20000);
    of_breaker_free(breaker);
}
END_TEST

START_TEST(released_probe_may_be_made_again)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    trip(breaker, 0);
    ck_assert(of_breaker_acquire(breaker, 5000));
    of_breaker_release(breaker);
    ck_assert(of_breaker_acquire(breaker, 5000));
    of_breaker_free(breaker);
}
END_TEST

START_TEST(jitter_keeps_the_wait_within_its_share)
{
    bool has_differed = false;
    for (uint64_t seed = 1; seed < 50; seed++) {
        of_breaker *breaker = of_breaker_new("b", NULL, seed);
        trip(breaker, 0);
        int64_t wait = of_breaker_next_ms(breaker, 0);
        ck_assert_int_ge(wait, 4000);
        ck_assert_int_le(wait, 6000);
        has_differed |= wait != 5000;
        of_breaker_free(breaker);
    }
    ck_assert(has_differed);
}
END_TEST

START_TEST(dependency_may_ask_for_an_exact_pause)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    of_breaker_open_for(breaker, 1234, 1000);
    ck_assert(!of_breaker_acquire(breaker, 2233));
    ck_assert(of_breaker_acquire(breaker, 2234));
    of_breaker_free(breaker);
}
END_TEST

/* B-04 */
START_TEST(operator_opens_and_only_the_operator_closes)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    of_breaker_force(breaker, OF_BREAKER_OPEN, 0);
    ck_assert_int_eq(of_breaker_state_at(breaker, INT32_MAX), OF_BREAKER_FORCED_OPEN);
    ck_assert(!of_breaker_acquire(breaker, INT32_MAX));
    ck_assert(of_breaker_next_ms(breaker, 0) == INT64_MAX);
    of_breaker_open_for(breaker, 5, 0); // no one else's say
    ck_assert(!of_breaker_acquire(breaker, 1000));
    of_breaker_force(breaker, OF_BREAKER_CLOSED, 1000);
    ck_assert(of_breaker_acquire(breaker, 1000));
    of_breaker_free(breaker);
}
END_TEST

START_TEST(disabled_and_metrics_only_never_refuse)
{
    changes seen;
    static const of_breaker_state states[] = {OF_BREAKER_DISABLED, OF_BREAKER_METRICS_ONLY};
    for (size_t s = 0; s < 2; s++) {
        of_breaker *breaker = make_default(&seen);
        of_breaker_force(breaker, states[s], 0);
        for (int i = 0; i < 100; i++)
            call(breaker, false, 1, i);
        ck_assert_int_eq(of_breaker_state_at(breaker, 100), states[s]);
        of_breaker_free(breaker);
    }
}
END_TEST

START_TEST(failures_from_before_it_opened_count_no_more)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    for (int i = 0; i < 15; i++)
        ck_assert(of_breaker_acquire(breaker, 0));
    for (int i = 0; i < 15; i++)
        of_breaker_report(breaker, false, 1, 0);
    ck_assert_int_eq(seen.count, 1);
    ck_assert_int_eq(of_breaker_next_ms(breaker, 0), 5000);
    of_breaker_free(breaker);
}
END_TEST

START_TEST(late_report_is_not_taken_for_the_probe)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    ck_assert(of_breaker_acquire(breaker, 0)); // a call that takes long
    trip(breaker, 0);
    ck_assert_int_eq(of_breaker_state_at(breaker, 5000), OF_BREAKER_HALF_OPEN);
    of_breaker_report(breaker, true, 5000, 5000); // nobody probes yet: it says nothing
    ck_assert(of_breaker_acquire(breaker, 5000));
    of_breaker_report(breaker, true, 1, 5000);
    ck_assert(of_breaker_acquire(breaker, 5000));
    of_breaker_report(breaker, true, 1, 5000);
    ck_assert_int_eq(of_breaker_state_at(breaker, 5000), OF_BREAKER_HALF_OPEN);
    of_breaker_free(breaker);
}
END_TEST

START_TEST(names_of_states)
{
    ck_assert_str_eq(of_breaker_state_name(OF_BREAKER_HALF_OPEN), "half_open");
    ck_assert_str_eq(of_breaker_state_name((of_breaker_state)99), "unknown");
}
END_TEST

typedef struct guarded {
    int64_t now;
    kc_err result;
    int calls;
} guarded;

static int64_t clock_of(void *user)
{
    guarded *g = user;
    return g->now;
}

static kc_err work(void *user)
{
    guarded *g = user;
    g->calls++;
    g->now += 10;
    return g->result;
}

START_TEST(guarded_call_is_reported_and_refused_when_open)
{
    changes seen;
    of_breaker *breaker = make_default(&seen);
    guarded g = {.result = KC_ERR_TIMEOUT};
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(of_breaker_call(breaker, clock_of, work, &g), KC_ERR_TIMEOUT);
    ck_assert_int_eq(of_breaker_call(breaker, clock_of, work, &g), KC_ERR_AGAIN);
    ck_assert_int_eq(g.calls, 10);
    of_breaker_free(breaker);
}
END_TEST
