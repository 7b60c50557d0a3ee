/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tests of client/producer_memory. */
#include "client/producer_memory.h"

#include <check.h>

static kb_mem mem;
static kc_producer_memory memory;

static void start(size_t limit, size_t largest)
{
    kb_mem_init(&mem, NULL, 0);
    kc_producer_memory_init(&memory, &mem, limit, largest);
}

static void end(void)
{
    kc_producer_memory_trim(&memory);
    ck_assert_uint_eq(memory.used, 0);
    ck_assert_uint_eq(mem.used, 0);
}

static void *take(size_t bytes, size_t expected)
{
    void *block = NULL;
    size_t got = 0;
    ck_assert_int_eq(kc_block_take(&memory, bytes, KC_BLOCK_EXACT, &block, &got), KC_OK);
    ck_assert_uint_eq(got, expected);
    memset(block, 0x5a, got);
    return block;
}

START_TEST(sizes_are_quarters_of_the_largest_batch)
{
    start(1u << 20, 262144);
    ck_assert_uint_eq(memory.class_count, 5);
    void *a = take(1, 2048), *b = take(2049, 4096), *c = take(16384, 16384),
         *d = take(65537, 262144);
    ck_assert_uint_eq(memory.used, 2048 + 4096 + 16384 + 262144);
    kc_block_give(&memory, a, 2048);
    kc_block_give(&memory, b, 4096);
    kc_block_give(&memory, c, 16384);
    kc_block_give(&memory, d, 262144);
    end();
}
END_TEST

START_TEST(a_batch_size_of_zero_leaves_the_smallest_block)
{
    start(1u << 20, 0);
    ck_assert_uint_eq(memory.class_count, 1);
    void *a = take(100, 2048);
    void *b = take(5000, 5000);
    kc_block_give(&memory, a, 2048);
    kc_block_give(&memory, b, 5000);
    end();
}
END_TEST

START_TEST(a_block_given_back_is_used_again_without_an_allocation)
{
    start(1u << 20, 65536);
    void *a = take(60000, 65536);
    size_t held = mem.used;
    kc_block_give(&memory, a, 65536);
    ck_assert_uint_eq(mem.used, held);
    ck_assert_uint_eq(memory.idle, 65536);
    ck_assert_ptr_eq(take(50000, 65536), a);
    ck_assert_uint_eq(memory.idle, 0);
    kc_block_give(&memory, a, 65536);
    end();
}
END_TEST

START_TEST(buffer_memory_is_not_crossed)
{
    start(100000, 65536);
    void *a = take(65536, 65536);
    void *block = NULL;
    size_t got = 0;
    ck_assert_int_eq(kc_block_take(&memory, 40000, KC_BLOCK_EXACT, &block, &got),
                     KC_ERR_BUFFER_FULL);
    ck_assert_int_eq(kc_block_take(&memory, 100001, KC_BLOCK_EXACT, &block, &got),
                     KC_ERR_BUFFER_FULL);
    // what was accepted before is not refused
    ck_assert_int_eq(kc_block_take(&memory, 40000, KC_BLOCK_ACCEPTED, &block, &got), KC_OK);
    ck_assert_uint_gt(memory.used, memory.limit);
    kc_block_give(&memory, block, got);
    kc_block_give(&memory, a, 65536);
    end();
}
END_TEST

START_TEST(where_the_next_size_does_not_fit_the_exact_one_may)
{
    start(100000, 65536);
    void *a = take(65536, 65536);
    void *b = take(20000, 20000); // 65,536 would cross the limit
    void *block = NULL;
    size_t got = 0;
    ck_assert_int_eq(kc_block_take(&memory, 10000, KC_BLOCK_CLASS, &block, &got),
                     KC_ERR_BUFFER_FULL);
    kc_block_give(&memory, b, 20000);
    kc_block_give(&memory, a, 65536);
    end();
}
END_TEST

START_TEST(idle_blocks_of_another_size_make_way)
{
    start(70000, 65536);
    void *a = take(65536, 65536);
    kc_block_give(&memory, a, 65536);
    ck_assert_uint_eq(memory.idle, 65536);
    void *b = take(10000, 16384);
    ck_assert_uint_eq(memory.idle, 0);
    kc_block_give(&memory, b, 16384);
    end();
}
END_TEST

START_TEST(idle_blocks_make_way_for_the_client_limit_too)
{
    start(1u << 20, 65536);
    mem.limit = 70000;
    void *a = take(65536, 65536);
    kc_block_give(&memory, a, 65536);
    void *b = take(10000, 16384);
    void *block = NULL;
    size_t got = 0;
    ck_assert_int_eq(kc_block_take(&memory, 65536, KC_BLOCK_EXACT, &block, &got), KC_ERR_NOMEM);
    ck_assert_uint_eq(memory.used, 16384);
    kc_block_give(&memory, b, 16384);
    end();
}
END_TEST
