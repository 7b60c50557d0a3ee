/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The arena: alignment, growth, its own limit and the memory's. */
#include "protocol/base/arena.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>

static kb_mem mem;
static kb_arena arena;

static void open_arena(size_t mem_limit, size_t arena_limit)
{
    kb_mem_init(&mem, NULL, mem_limit);
    kb_arena_init(&arena, &mem, arena_limit);
}

static void close_arena(void)
{
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}

START_TEST(nothing_is_allocated_before_the_first_need)
{
    open_arena(0, 0);
    ck_assert_uint_eq(mem.used, 0);
    ck_assert_ptr_nonnull(kb_arena_alloc(&arena, 0));
    kb_arena_reset(&arena);
    ck_assert_uint_eq(mem.peak, 0);
    close_arena();
}
END_TEST

START_TEST(allocations_are_aligned_and_do_not_overlap)
{
    open_arena(0, 0);
    uint8_t *ptrs[500];
    for (size_t i = 0; i < 500; i++) {
        ptrs[i] = kb_arena_alloc(&arena, i % 97 + 1);
        ck_assert_uint_eq((uintptr_t)ptrs[i] % 16, 0);
        memset(ptrs[i], (int)i & 0xff, i % 97 + 1);
    }
    for (size_t i = 0; i < 500; i++) {
        for (size_t k = 0; k < i % 97 + 1; k++)
            ck_assert_uint_eq(ptrs[i][k], i & 0xff);
    }
    close_arena();
}
END_TEST

START_TEST(the_first_block_is_small_and_later_ones_double)
{
    open_arena(0, 0);
    kb_arena_alloc(&arena, 1);
    ck_assert_uint_eq(arena.used, 16);
    size_t first = mem.used;
    ck_assert_uint_ge(first, 1024);
    ck_assert_uint_lt(first, 1200);
    for (int i = 0; i < 1000; i++)
        kb_arena_alloc(&arena, 1000);
    ck_assert_uint_ge(mem.used, 1000 * 1000);
    ck_assert_uint_lt(mem.used, 1000 * 1008 + 3 * 65536); // waste: a block's end, not a share
    close_arena();
}
END_TEST

START_TEST(a_large_request_does_not_waste_the_room_before_it)
{
    open_arena(0, 0);
    uint8_t *small = kb_arena_alloc(&arena, 16);
    uint8_t *large = kb_arena_alloc(&arena, 1 << 20);
    memset(large, 1, 1 << 20);
    uint8_t *next = kb_arena_alloc(&arena, 16);
    ck_assert_ptr_eq(next, small + 16);
    close_arena();
}
END_TEST

START_TEST(the_limit_stops_a_hostile_size_before_memory_is_asked_for)
{
    open_arena(0, 4096);
    ck_assert_ptr_null(kb_arena_alloc(&arena, 4097));
    ck_assert_ptr_null(kb_arena_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_null(kb_arena_alloc(&arena, SIZE_MAX - 7));
    ck_assert_uint_eq(mem.peak, 0);
    ck_assert_ptr_nonnull(kb_arena_alloc(&arena, 4096));
    ck_assert_uint_eq(arena.used, 4096);
    ck_assert_ptr_null(kb_arena_alloc(&arena, 1));
    close_arena();
}
END_TEST

START_TEST(rounding_up_does_not_cross_the_limit)
{
    open_arena(0, 100);
    ck_assert_ptr_null(kb_arena_alloc(&arena, 97));
    ck_assert_ptr_nonnull(kb_arena_alloc(&arena, 96));
    ck_assert_uint_le(arena.used, arena.limit);
    close_arena();
}
END_TEST

START_TEST(the_default_limit_is_16_mib)
{
    open_arena(0, 0);
    ck_assert_ptr_null(kb_arena_alloc(&arena, ((size_t)16 << 20) + 1));
    ck_assert_ptr_nonnull(kb_arena_alloc(&arena, (size_t)16 << 20));
    close_arena();
}
END_TEST

START_TEST(an_array_is_zeroed_and_its_product_may_not_overflow)
{
    open_arena(0, 0);
    static const uint8_t zeros[12 * 8];
    memset(kb_arena_alloc(&arena, sizeof zeros), 0xff, sizeof zeros);
    kb_arena_reset(&arena);
    ck_assert_mem_eq(kb_arena_array(&arena, 12, 8), zeros, sizeof zeros);
    ck_assert_ptr_null(kb_arena_array(&arena, SIZE_MAX / 4, 8));
    ck_assert_ptr_null(kb_arena_array(&arena, SIZE_MAX, SIZE_MAX));
    ck_assert_ptr_nonnull(kb_arena_array(&arena, 0, 8));
    ck_assert_ptr_nonnull(kb_arena_array(&arena, 8, 0));
    close_arena();
}
END_TEST

START_TEST(reset_keeps_one_block_and_cleanup_none)
{
    open_arena(0, 0);
    for (int i = 0; i < 100; i++)
        kb_arena_alloc(&arena, 4000);
    kb_arena_reset(&arena);
    size_t kept = mem.used;
    ck_assert_uint_gt(kept, 0);
    ck_assert_uint_le(kept, 65536 + 64);
    ck_assert_uint_eq(arena.used, 0);
    kb_arena_alloc(&arena, 4000);
    ck_assert_uint_eq(mem.used, kept);
    close_arena();
    kb_arena_alloc(&arena, 10); // usable again
    close_arena();
}
END_TEST

START_TEST(reset_does_not_keep_a_great_block)
{
    open_arena(0, 0);
    kb_arena_alloc(&arena, 1 << 20);
    kb_arena_reset(&arena);
    ck_assert_uint_eq(mem.used, 0);
    close_arena();
}
END_TEST

START_TEST(close_to_the_memory_limit_a_smaller_block_is_taken)
{
    open_arena(1024 + 64 + 300, 0);
    ck_assert_ptr_nonnull(kb_arena_alloc(&arena, 1024));
    ck_assert_ptr_nonnull(kb_arena_alloc(&arena, 200));
    ck_assert_ptr_null(kb_arena_alloc(&arena, 200));
    close_arena();
}
END_TEST

START_TEST(copies_keep_null_and_empty_apart)
{
    open_arena(0, 0);
    ck_assert_ptr_null(kb_arena_copy(&arena, KC_NULL).ptr);
    kc_bytes empty = kb_arena_copy(&arena, KC_STR(""));
    ck_assert(empty.ptr && empty.len == 0);
    ck_assert(kc_bytes_equal(kb_arena_copy(&arena, KC_STR("abc")), KC_STR("abc")));
    close_arena();
}
END_TEST

START_TEST(printf_makes_text_of_any_length)
{
    open_arena(0, 0);
    ck_assert_str_eq(kb_arena_printf(&arena, "%s-%d", "topic", 7), "topic-7");
    ck_assert_str_eq(kb_arena_printf(&arena, "%s", ""), "");
    char *text = kb_arena_printf(&arena, "%0*d", 5000, 1);
    ck_assert_uint_eq(strlen(text), 5000);
    ck_assert_int_eq(text[4999], '1');
    close_arena();
}
END_TEST

static bool use_arena(const kc_alloc *alloc)
{
    kb_mem own;
    kb_arena scratch;
    kb_mem_init(&own, alloc, 0);
    kb_arena_init(&scratch, &own, 0);
    bool is_good = true;
    for (int i = 0; i < 200 && is_good; i++)
        is_good = kb_arena_zalloc(&scratch, 700) && kb_arena_printf(&scratch, "%d", i) &&
                  kb_arena_copy(&scratch, KC_STR("copy")).ptr;
    is_good = is_good && kb_arena_alloc(&scratch, 100000);
    kb_arena_cleanup(&scratch);
    ck_assert_uint_eq(own.used, 0);
    return is_good;
}

START_TEST(every_failing_allocation_is_survived_or_reported)
{
    size_t failures = fail_each_alloc(use_arena);
    ck_assert_uint_ge(failures, 5);
    ck_assert_uint_lt(failures, 100);
}
END_TEST
