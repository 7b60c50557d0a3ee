/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Counted memory: the count, the limit, and what stays whole when the allocator fails. */
#include "protocol/base/mem.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>

START_TEST(the_count_is_exact_and_returns_to_zero)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    void *a = kb_mem_alloc(&mem, 100);
    void *b = kb_mem_alloc(&mem, 1);
    ck_assert_uint_eq(mem.used, 100 + 16 + 1 + 16);
    kb_mem_free(&mem, a);
    ck_assert_uint_eq(mem.used, 1 + 16);
    kb_mem_free(&mem, b);
    ck_assert_uint_eq(mem.used, 0);
    ck_assert_uint_eq(mem.peak, 133);
}
END_TEST

START_TEST(blocks_are_aligned_to_16_bytes)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    for (size_t size = 0; size < 70; size++) {
        void *ptr = kb_mem_alloc(&mem, size);
        ck_assert_uint_eq((uintptr_t)ptr % 16, 0);
        kb_mem_free(&mem, ptr);
    }
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(size_zero_gives_a_block_of_one)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    void *ptr = kb_mem_alloc(&mem, 0);
    ck_assert_ptr_nonnull(ptr);
    ck_assert_uint_eq(mem.used, 17);
    kb_mem_free(&mem, ptr);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(the_limit_may_be_reached_but_not_crossed)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 1000);
    void *a = kb_mem_alloc(&mem, 1000 - 16);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_null(kb_mem_alloc(&mem, 1));
    kb_mem_free(&mem, a);
    ck_assert_ptr_null(kb_mem_alloc(&mem, 1000 - 15));
    ck_assert_uint_eq(mem.used, 0);
    ck_assert_uint_eq(mem.peak, 1000);
}
END_TEST

START_TEST(a_limit_lowered_below_the_use_lets_nothing_through)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    void *a = kb_mem_alloc(&mem, 500);
    mem.limit = 100;
    ck_assert_ptr_null(kb_mem_alloc(&mem, 1));
    ck_assert_ptr_null(kb_mem_realloc(&mem, a, 600));
    a = kb_mem_realloc(&mem, a, 50); // shrinking is always allowed
    ck_assert_ptr_nonnull(a);
    ck_assert_uint_eq(mem.used, 66);
    kb_mem_free(&mem, a);
}
END_TEST

START_TEST(sizes_that_overflow_never_reach_the_allocator)
{
    fail_alloc state = {.fail_at = SIZE_MAX};
    kc_alloc alloc = fail_alloc_hooks(&state);
    kb_mem mem;
    kb_mem_init(&mem, &alloc, 0);
    ck_assert_ptr_null(kb_mem_alloc(&mem, SIZE_MAX));
    ck_assert_ptr_null(kb_mem_zalloc(&mem, SIZE_MAX - 15));
    ck_assert_ptr_null(kb_mem_strndup(&mem, "x", SIZE_MAX));
    ck_assert_uint_eq(state.calls, 0);
    void *ptr = kb_mem_alloc(&mem, 8);
    ck_assert_ptr_null(kb_mem_realloc(&mem, ptr, SIZE_MAX - 3));
    ck_assert_uint_eq(state.calls, 1);
    kb_mem_free(&mem, ptr);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(zalloc_gives_zeros_and_strndup_ends_with_one)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    static const uint8_t zeros[300];
    uint8_t *ptr = kb_mem_zalloc(&mem, sizeof zeros);
    ck_assert_mem_eq(ptr, zeros, sizeof zeros);
    kb_mem_free(&mem, ptr);
    char *copy = kb_mem_strndup(&mem, "hello world", 5);
    ck_assert_str_eq(copy, "hello");
    kb_mem_free(&mem, copy);
    copy = kb_mem_strndup(&mem, NULL, 0);
    ck_assert_str_eq(copy, "");
    kb_mem_free(&mem, copy);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(realloc_keeps_contents_and_counts_the_difference)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    char *ptr = kb_mem_realloc(&mem, NULL, 6);
    memcpy(ptr, "hello", 6);
    ptr = kb_mem_realloc(&mem, ptr, 5000);
    ck_assert_str_eq(ptr, "hello");
    ck_assert_uint_eq(mem.used, 5016);
    ptr = kb_mem_realloc(&mem, ptr, 6);
    ck_assert_str_eq(ptr, "hello");
    ck_assert_uint_eq(mem.used, 22);
    kb_mem_free(&mem, ptr);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(a_failed_realloc_leaves_the_old_block_untouched)
{
    fail_alloc state = {.fail_at = 1};
    kc_alloc alloc = fail_alloc_hooks(&state);
    kb_mem mem;
    kb_mem_init(&mem, &alloc, 0);
    char *ptr = kb_mem_strndup(&mem, "keep", 4);
    ck_assert_ptr_null(kb_mem_realloc(&mem, ptr, 4000));
    ck_assert_str_eq(ptr, "keep");
    ck_assert_uint_eq(mem.used, 5 + 16);
    kb_mem_free(&mem, ptr);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(a_failed_alloc_counts_nothing)
{
    fail_alloc state = {.fail_at = 0};
    kc_alloc alloc = fail_alloc_hooks(&state);
    kb_mem mem;
    kb_mem_init(&mem, &alloc, 0);
    ck_assert_ptr_null(kb_mem_alloc(&mem, 10));
    ck_assert_uint_eq(mem.used, 0);
    ck_assert_uint_eq(mem.peak, 0);
    kb_mem_free(&mem, NULL);
}
END_TEST

START_TEST(what_a_library_holds_counts_too)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 1000);
    ck_assert(kb_mem_charge(&mem, 600));
    ck_assert(!kb_mem_charge(&mem, 401));
    ck_assert_ptr_null(kb_mem_alloc(&mem, 400));
    ck_assert_uint_eq(mem.used, 600);
    ck_assert(kb_mem_charge(&mem, 400));
    ck_assert_uint_eq(mem.peak, 1000);
    kb_mem_uncharge(&mem, 1000);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST
