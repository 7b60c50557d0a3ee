/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tests of client/producer_delivery. */
#include "client/producer_delivery.h"

#include <check.h>

static kb_mem mem;
static kc_producer_memory memory;
static kc_deliveries list;
static uint32_t count;

static void one(const kc_delivery *delivery, void *user)
{
    (void)delivery;
    (void)user;
}

static void two(const kc_delivery *delivery, void *user)
{
    (void)delivery;
    *(int *)user = 2; // differs from one() for the linker too
}

static void start(void)
{
    kb_mem_init(&mem, NULL, 0);
    kc_producer_memory_init(&memory, &mem, 1u << 24, 16384);
    list = (kc_deliveries){0};
    count = 0;
}

static void end(void)
{
    kc_deliveries_cleanup(&list, &memory);
    ck_assert_uint_eq(memory.used, 0);
    kc_producer_memory_trim(&memory);
    ck_assert_uint_eq(mem.used, 0);
}

static void add(kc_delivery_fn fn, uintptr_t user, int64_t timestamp_ms)
{
    ck_assert_int_eq(kc_deliveries_add(&list, &memory, count, fn, (void *)user, timestamp_ms),
                     KC_OK);
    count++;
}

static void expect(kc_delivery_cursor *cursor, kc_delivery_fn fn, uintptr_t user,
                   int64_t timestamp_ms)
{
    kc_delivery_target target = kc_delivery_cursor_next(cursor);
    ck_assert(target.fn == fn);
    if (!fn)
        return;
    ck_assert_uint_eq((uintptr_t)target.user, user);
    ck_assert_int_eq(target.timestamp_ms, timestamp_ms);
}

START_TEST(records_without_callback_store_nothing)
{
    start();
    for (int i = 0; i < 1000; i++)
        add(NULL, (uintptr_t)i, i);
    ck_assert_int_eq(list.mode, KC_DELIVERIES_NONE);
    ck_assert_uint_eq(memory.used, 0);
    end();
}
END_TEST

START_TEST(one_callback_and_user_store_nothing_per_record)
{
    start();
    for (int i = 0; i < 1000; i++)
        add(one, 7, 50);
    ck_assert_int_eq(list.mode, KC_DELIVERIES_SAME);
    ck_assert_uint_eq(memory.used, 0);
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, &list);
    for (int i = 0; i < 1000; i++)
        expect(&cursor, one, 7, 50);
    end();
}
END_TEST

START_TEST(one_callback_with_users_stores_one_word_per_record)
{
    start();
    for (uintptr_t i = 0; i < 1000; i++)
        add(one, i, 50);
    ck_assert_int_eq(list.mode, KC_DELIVERIES_USERS);
    ck_assert_uint_eq(memory.used, 4 * 2048); // 254 words a block
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, &list);
    for (uintptr_t i = 0; i < 1000; i++)
        expect(&cursor, one, i, 50);
    end();
}
END_TEST

START_TEST(users_that_differ_late_keep_those_before)
{
    start();
    for (int i = 0; i < 600; i++)
        add(one, 7, 50);
    add(one, 8, 50);
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, &list);
    for (int i = 0; i < 600; i++)
        expect(&cursor, one, 7, 50);
    expect(&cursor, one, 8, 50);
    end();
}
END_TEST

START_TEST(different_callbacks_and_none_are_told_apart)
{
    start();
    for (uintptr_t i = 0; i < 900; i++)
        add(i % 3 == 0 ? one : i % 3 == 1 ? two : NULL, i, 50);
    ck_assert_int_eq(list.mode, KC_DELIVERIES_PAIRS);
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, &list);
    for (uintptr_t i = 0; i < 900; i++)
        expect(&cursor, i % 3 == 0 ? one : i % 3 == 1 ? two : NULL, i, 50);
    end();
}
END_TEST

START_TEST(a_first_callback_behind_silent_records_is_for_its_record)
{
    start();
    for (int i = 0; i < 300; i++)
        add(NULL, 0, 10 + i);
    add(one, 5, 500);
    add(NULL, 0, 501);
    add(one, 6, 502);
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, &list);
    for (int i = 0; i < 300; i++)
        expect(&cursor, NULL, 0, 0);
    expect(&cursor, one, 5, 500);
    expect(&cursor, NULL, 0, 0);
    expect(&cursor, one, 6, 502);
    end();
}
END_TEST

START_TEST(timestamps_are_kept_as_runs)
{
    start();
    for (int i = 0; i < 1000; i++)
        add(one, 7, 100 + i / 250);
    ck_assert_int_eq(list.mode, KC_DELIVERIES_SAME);
    ck_assert_uint_eq(memory.used, 2048);
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, &list);
    for (int i = 0; i < 1000; i++)
        expect(&cursor, one, 7, 100 + i / 250);
    end();
}
END_TEST

START_TEST(timestamps_may_go_back_and_forth_with_every_record)
{
    start();
    for (int i = 0; i < 700; i++)
        add(one, (uintptr_t)i, i % 2 ? 5 : 900 - i);
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, &list);
    for (int i = 0; i < 700; i++)
        expect(&cursor, one, (uintptr_t)i, i % 2 ? 5 : 900 - i);
    end();
}
END_TEST

START_TEST(out_of_memory_changes_nothing)
{
    start();
    for (uintptr_t i = 0; i < 254; i++)
        add(one, i, 50);
    mem.limit = mem.used;
    ck_assert_int_eq(kc_deliveries_add(&list, &memory, count, one, NULL, 50), KC_ERR_NOMEM);
    ck_assert_int_eq(kc_deliveries_add(&list, &memory, count, one, NULL, 51), KC_ERR_NOMEM);
    ck_assert_int_eq(kc_deliveries_add(&list, &memory, count, two, NULL, 50), KC_ERR_NOMEM);
    mem.limit = SIZE_MAX;
    add(one, 254, 51);
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, &list);
    for (uintptr_t i = 0; i < 254; i++)
        expect(&cursor, one, i, 50);
    expect(&cursor, one, 254, 51);
    end();
}
END_TEST

START_TEST(out_of_memory_behind_a_noted_time_takes_it_back)
{
    start();
    for (uintptr_t i = 0; i < 254; i++)
        add(one, i, i < 100 ? 50 : 60); // a block of users, a block of times
    mem.limit = mem.used;
    ck_assert_int_eq(kc_deliveries_add(&list, &memory, count, one, NULL, 70), KC_ERR_NOMEM);
    ck_assert_int_eq(list.last_timestamp, 60);
    mem.limit = SIZE_MAX;
    add(one, 254, 60);
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, &list);
    for (uintptr_t i = 0; i < 255; i++)
        expect(&cursor, one, i, i < 100 ? 50 : 60);
    end();
}
END_TEST
