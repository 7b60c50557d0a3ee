/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Back-off times. */
#include "net/backoff.h"

#include <check.h>

START_TEST(each_failure_doubles_the_time_within_its_jitter)
{
    kb_rand rand;
    kb_rand_init(&rand, 1);
    for (int round = 0; round < 1000; round++) {
        int64_t want_us = 50000;
        for (uint32_t failures = 0; failures < 4; failures++) {
            int64_t got_us = kn_backoff_us(50, 1000, failures, &rand);
            ck_assert_int_ge(got_us, want_us * 8 / 10);
            ck_assert_int_le(got_us, want_us * 12 / 10);
            want_us *= 2;
        }
    }
}
END_TEST

START_TEST(the_cap_holds_with_jitter_and_for_any_number_of_failures)
{
    kb_rand rand;
    kb_rand_init(&rand, 2);
    const uint32_t failures[] = {5, 10, 62, 63, 64, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        for (int round = 0; round < 100; round++) {
            int64_t got_us = kn_backoff_us(50, 1000, failures[i], &rand);
            ck_assert_int_le(got_us, 1000000);
            ck_assert_int_ge(got_us, 800000);
        }
    }
    ck_assert_int_le(kn_backoff_us(INT32_MAX, INT32_MAX, UINT32_MAX, &rand),
                     (int64_t)INT32_MAX * 1000);
}
END_TEST

START_TEST(times_differ_so_that_clients_do_not_come_back_together)
{
    kb_rand rand;
    kb_rand_init(&rand, 3);
    int64_t low_us = INT64_MAX;
    int64_t high_us = 0;
    for (int round = 0; round < 1000; round++) {
        int64_t got_us = kn_backoff_us(100, 1000, 0, &rand);
        low_us = got_us < low_us ? got_us : low_us;
        high_us = got_us > high_us ? got_us : high_us;
    }
    ck_assert_int_lt(low_us, 85000);
    ck_assert_int_gt(high_us, 115000);
}
END_TEST

START_TEST(a_base_of_zero_means_no_waiting_and_a_small_cap_is_the_base)
{
    kb_rand rand;
    kb_rand_init(&rand, 4);
    ck_assert_int_eq(kn_backoff_us(0, 1000, 5, &rand), 0);
    ck_assert_int_eq(kn_backoff_us(-1, 1000, 5, &rand), 0);
    for (int round = 0; round < 100; round++)
        ck_assert_int_le(kn_backoff_us(100, 10, 5, &rand), 100000);
}
END_TEST
