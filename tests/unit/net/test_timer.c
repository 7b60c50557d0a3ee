/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The heap of deadlines. */
#include "net/timer.h"
#include "protocol/base/rand.h"

#include <check.h>

#define COUNT 500

static void nothing(kn_timer *timer)
{
    (void)timer;
}

static kn_timer *take_min(kn_timer_heap *heap)
{
    kn_timer *timer = kn_timer_heap_min(heap);
    if (timer)
        kn_timer_heap_remove(heap, timer);
    return timer;
}

START_TEST(an_empty_heap_has_no_minimum)
{
    kn_timer_heap heap = {0};
    ck_assert_ptr_null(kn_timer_heap_min(&heap));
    kn_timer timer = {.fn = nothing};
    kn_timer_heap_remove(&heap, &timer); // not set: nothing happens
    ck_assert(!kn_timer_is_set(&timer));
}
END_TEST

START_TEST(timers_come_out_in_order_of_their_deadlines)
{
    kn_timer_heap heap = {0};
    kn_timer timers[COUNT] = {0};
    kb_rand rand;
    kb_rand_init(&rand, 3);
    for (size_t i = 0; i < COUNT; i++) {
        timers[i].fn = nothing;
        timers[i].due_us = (int64_t)kb_rand_below(&rand, 1000) - 500;
        kn_timer_heap_insert(&heap, &timers[i]);
    }
    int64_t last_us = INT64_MIN;
    for (size_t i = 0; i < COUNT; i++) {
        kn_timer *timer = take_min(&heap);
        ck_assert_ptr_nonnull(timer);
        ck_assert_int_ge(timer->due_us, last_us);
        last_us = timer->due_us;
    }
    ck_assert_ptr_null(take_min(&heap));
}
END_TEST

START_TEST(equal_deadlines_come_out_in_the_order_they_were_set)
{
    kn_timer_heap heap = {0};
    kn_timer timers[COUNT] = {0};
    for (size_t i = 0; i < COUNT; i++) {
        timers[i].fn = nothing;
        timers[i].due_us = 7;
        kn_timer_heap_insert(&heap, &timers[i]);
    }
    for (size_t i = 0; i < COUNT; i++)
        ck_assert_ptr_eq(take_min(&heap), &timers[i]);
}
END_TEST

START_TEST(any_timer_can_be_taken_out_at_any_time)
{
    kn_timer_heap heap = {0};
    kn_timer timers[COUNT] = {0};
    kb_rand rand;
    kb_rand_init(&rand, 11);
    size_t set = 0;
    for (int round = 0; round < 20000; round++) {
        kn_timer *timer = &timers[kb_rand_below(&rand, COUNT)];
        if (kn_timer_is_set(timer)) {
            kn_timer_heap_remove(&heap, timer);
            set--;
        } else {
            timer->fn = nothing;
            timer->due_us = (int64_t)kb_rand_below(&rand, 100);
            kn_timer_heap_insert(&heap, timer);
            set++;
        }
        int64_t least_us = INT64_MAX;
        for (size_t i = 0; round % 100 == 0 && i < COUNT; i++)
            if (kn_timer_is_set(&timers[i]) && timers[i].due_us < least_us)
                least_us = timers[i].due_us;
        if (round % 100 == 0 && set > 0)
            ck_assert_int_eq(kn_timer_heap_min(&heap)->due_us, least_us);
    }
    int64_t last_us = INT64_MIN;
    while (set-- > 0) {
        kn_timer *timer = take_min(&heap);
        ck_assert_int_ge(timer->due_us, last_us);
        last_us = timer->due_us;
    }
    ck_assert_ptr_null(kn_timer_heap_min(&heap));
}
END_TEST
