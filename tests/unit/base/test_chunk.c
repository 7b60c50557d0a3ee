/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Reference-counted blocks. */
#include "protocol/base/chunk.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>

START_TEST(the_last_reference_frees)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    kb_chunk *chunk = kb_chunk_new(&mem, 1000);
    ck_assert_uint_eq(chunk->cap, 1000);
    ck_assert_uint_eq(chunk->len, 0);
    ck_assert_uint_eq((uintptr_t)chunk->data % 16, 0);
    memset(chunk->data, 7, chunk->cap);
    ck_assert_ptr_eq(kb_chunk_ref(chunk), chunk);
    kb_chunk_unref(chunk);
    ck_assert_uint_gt(mem.used, 1000);
    ck_assert_uint_eq(chunk->data[999], 7);
    kb_chunk_unref(chunk);
    ck_assert_uint_eq(mem.used, 0);
    kb_chunk_unref(NULL);
}
END_TEST

START_TEST(an_empty_chunk_is_legal)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    kb_chunk *chunk = kb_chunk_new(&mem, 0);
    ck_assert_ptr_nonnull(chunk);
    kb_chunk_unref(chunk);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(a_size_that_overflows_or_crosses_the_limit_gives_null)
{
    fail_alloc state = {.fail_at = 0};
    kc_alloc alloc = fail_alloc_hooks(&state);
    kb_mem mem;
    kb_mem_init(&mem, &alloc, 1 << 20);
    ck_assert_ptr_null(kb_chunk_new(&mem, SIZE_MAX));
    ck_assert_ptr_null(kb_chunk_new(&mem, SIZE_MAX - sizeof(kb_chunk)));
    ck_assert_ptr_null(kb_chunk_new(&mem, 1 << 20));
    ck_assert_uint_eq(state.calls, 0);
    ck_assert_ptr_null(kb_chunk_new(&mem, 10));
    ck_assert_uint_eq(state.calls, 1);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST
