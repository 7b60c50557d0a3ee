/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The growable buffer: contents, limit, and the error that sticks. */
#define _GNU_SOURCE // memmem
#include "protocol/base/buf.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>
#include <stdlib.h>

static kb_mem mem;
static kb_buf buf;

static void open_buf(size_t mem_limit, size_t buf_limit)
{
    kb_mem_init(&mem, NULL, mem_limit);
    kb_buf_init(&buf, &mem, buf_limit);
}

static void close_buf(void)
{
    kb_buf_cleanup(&buf);
    ck_assert_uint_eq(mem.used, 0);
}

START_TEST(what_is_put_stands_there_in_order)
{
    open_buf(0, 0);
    kb_buf_put(&buf, "ab", 2);
    kb_buf_put_byte(&buf, 'c');
    kb_buf_put_bytes(&buf, KC_STR("de"));
    kb_buf_put_bytes(&buf, KC_NULL);
    kb_buf_put(&buf, NULL, 0);
    kb_buf_printf(&buf, "%d%s", 42, "!");
    ck_assert_int_eq(buf.err, KC_OK);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&buf), KC_STR("abcde42!")));
    close_buf();
}
END_TEST

START_TEST(an_empty_buffer_has_an_empty_slice_not_a_null_one)
{
    open_buf(0, 0);
    ck_assert(kb_buf_bytes(&buf).ptr && kb_buf_bytes(&buf).len == 0);
    ck_assert_uint_eq(mem.used, 0);
    close_buf();
}
END_TEST

START_TEST(reserve_does_not_move_the_length)
{
    open_buf(0, 0);
    uint8_t *ptr = kb_buf_reserve(&buf, 1000);
    memset(ptr, 'x', 1000);
    ck_assert_uint_eq(buf.len, 0);
    ck_assert_ptr_eq(kb_buf_extend(&buf, 1000), ptr);
    ck_assert_uint_eq(buf.len, 1000);
    ck_assert_ptr_nonnull(kb_buf_reserve(&buf, 0));
    close_buf();
}
END_TEST

START_TEST(reserving_nothing_in_an_empty_buffer_still_gives_a_pointer)
{
    open_buf(0, 0);
    ck_assert_ptr_nonnull(kb_buf_reserve(&buf, 0));
    ck_assert_int_eq(buf.err, KC_OK);
    close_buf();
}
END_TEST

START_TEST(growth_doubles_so_that_many_small_writes_stay_linear)
{
    fail_alloc state = {.fail_at = SIZE_MAX};
    kc_alloc alloc = fail_alloc_hooks(&state);
    kb_mem_init(&mem, &alloc, 0);
    kb_buf_init(&buf, &mem, 0);
    for (int i = 0; i < 1000000; i++)
        kb_buf_put_byte(&buf, (uint8_t)i);
    ck_assert_uint_eq(buf.len, 1000000);
    ck_assert_uint_lt(state.calls, 20);
    size_t wrong = 0;
    for (size_t i = 0; i < buf.len; i++)
        wrong += buf.data[i] != (i & 0xff);
    ck_assert_uint_eq(wrong, 0);
    close_buf();
}
END_TEST

START_TEST(the_limit_may_be_reached_and_crossing_it_sticks)
{
    open_buf(0, 100);
    ck_assert_ptr_nonnull(kb_buf_extend(&buf, 100));
    kb_buf_put_byte(&buf, 'x');
    ck_assert_int_eq(buf.err, KC_ERR_TOO_LARGE);
    ck_assert_uint_eq(buf.len, 100);
    buf.len = 0; // even with room again
    kb_buf_put_byte(&buf, 'x');
    ck_assert_uint_eq(buf.len, 0);
    kb_buf_reset(&buf);
    kb_buf_put_byte(&buf, 'x');
    ck_assert_int_eq(buf.err, KC_OK);
    ck_assert_uint_eq(buf.len, 1);
    close_buf();
}
END_TEST

START_TEST(a_hostile_length_is_refused_without_an_allocation)
{
    open_buf(0, 0);
    ck_assert_ptr_null(kb_buf_reserve(&buf, SIZE_MAX));
    ck_assert_int_eq(buf.err, KC_ERR_TOO_LARGE);
    kb_buf_reset(&buf);
    ck_assert_ptr_null(kb_buf_extend(&buf, ((size_t)1 << 30) + 1));
    ck_assert_uint_eq(mem.peak, 0);
    close_buf();
}
END_TEST

START_TEST(close_to_the_memory_limit_growth_takes_what_there_is)
{
    open_buf(1000, 0);
    ck_assert_ptr_nonnull(kb_buf_extend(&buf, 600));
    ck_assert_ptr_nonnull(kb_buf_extend(&buf, 100)); // doubling to 1,200 would not fit
    ck_assert_ptr_null(kb_buf_extend(&buf, 1000));
    ck_assert_int_eq(buf.err, KC_ERR_NOMEM);
    ck_assert_uint_eq(buf.len, 700);
    close_buf();
}
END_TEST

START_TEST(close_to_the_memory_limit_growth_takes_few_steps)
{
    fail_alloc state = {.fail_at = SIZE_MAX};
    const kc_alloc alloc = fail_alloc_hooks(&state);
    kb_mem_init(&mem, &alloc, 100000);
    kb_buf_init(&buf, &mem, 0);
    while (buf.err == KC_OK)
        kb_buf_put_byte(&buf, 'x');
    ck_assert_int_eq(buf.err, KC_ERR_NOMEM);
    ck_assert_uint_ge(buf.len, 100000 - 16); // all but the block's prefix
    ck_assert_uint_lt(state.calls, 100);     // one by one it would be 34,000
    close_buf();
}
END_TEST

START_TEST(printf_may_fill_the_buffer_to_its_limit)
{
    open_buf(0, 100);
    kb_buf_printf(&buf, "%0*d", 100, 7);
    ck_assert_int_eq(buf.err, KC_OK);
    ck_assert_uint_eq(buf.len, 100);
    ck_assert_int_eq(buf.data[99], '7');
    kb_buf_printf(&buf, "%s", "");
    ck_assert_int_eq(buf.err, KC_OK);
    kb_buf_printf(&buf, "x");
    ck_assert_int_eq(buf.err, KC_ERR_TOO_LARGE);
    ck_assert_uint_eq(buf.len, 100);
    close_buf();
}
END_TEST

START_TEST(printf_that_just_fits_or_just_does_not_is_whole)
{
    for (int before = 0; before < 64; before++) {
        for (int len = 60 - before; len < 68 - before; len++) {
            open_buf(0, 0);
            for (int i = 0; i < before; i++)
                kb_buf_put_byte(&buf, 'x');
            if (len > 0)
                kb_buf_printf(&buf, "%0*d", len, 7);
            size_t total = (size_t)(before + (len > 0 ? len : 0));
            ck_assert_uint_eq(buf.len, total);
            ck_assert(len <= 0 || buf.data[total - 1] == '7');
            close_buf();
        }
    }
}
END_TEST

START_TEST(printf_keeps_a_limit_below_the_memory_it_has)
{
    open_buf(0, 10); // the first block is larger than that
    kb_buf_put_byte(&buf, 'x');
    kb_buf_printf(&buf, "%0*d", 10, 1);
    ck_assert_int_eq(buf.err, KC_ERR_TOO_LARGE);
    ck_assert_uint_eq(buf.len, 1);
    close_buf();
}
END_TEST

START_TEST(printf_of_any_length_grows_the_buffer)
{
    open_buf(0, 0);
    for (int len = 1; len < 700; len += 3)
        kb_buf_printf(&buf, "%0*d", len, 1);
    ck_assert_int_eq(buf.err, KC_OK);
    size_t pos = 0;
    for (size_t len = 1; len < 700; len += 3) {
        pos += len;
        ck_assert_int_eq(buf.data[pos - 1], '1');
    }
    ck_assert_uint_eq(pos, buf.len);
    close_buf();
}
END_TEST

START_TEST(any_limit_of_memory_is_kept_and_sticks_as_nomem)
{
    for (size_t room = 0; room < 8000; room += 16) {
        open_buf(room + 1, 0);
        for (int i = 0; i < 300; i++)
            kb_buf_put(&buf, "0123456789", 10);
        ck_assert_int_eq(buf.err, room + 1 < 3016 ? KC_ERR_NOMEM : KC_OK);
        close_buf();
    }
}
END_TEST

static bool use_buf(const kc_alloc *alloc)
{
    kb_mem own;
    kb_buf out;
    kb_mem_init(&own, alloc, 0);
    kb_buf_init(&out, &own, 0);
    for (int i = 0; i < 300; i++) {
        kb_buf_put(&out, "0123456789", 10);
        kb_buf_printf(&out, "%d", i);
    }
    bool is_good = out.err == KC_OK;
    ck_assert(is_good || out.err == KC_ERR_NOMEM);
    kb_buf_cleanup(&out);
    ck_assert_uint_eq(own.used, 0);
    return is_good;
}

START_TEST(every_failing_allocation_is_survived_or_reported)
{
    size_t failures = fail_each_alloc(use_buf);
    ck_assert_uint_ge(failures, 5);
    ck_assert_uint_lt(failures, 100);
}
END_TEST

static size_t leaks; /**< blocks given back with the secret in them */

static void *plain_malloc(size_t size, void *user)
{
    (void)user;
    return malloc(size);
}

static void *no_realloc(void *ptr, size_t size, void *user)
{
    (void)ptr, (void)size, (void)user;
    ck_abort_msg("realloc may leave a copy behind");
    return NULL;
}

/** The block's size stands in its prefix. */
static void free_and_look(void *ptr, void *user)
{
    (void)user;
    leaks += memmem(ptr, *(size_t *)ptr, "open sesame", 11) != NULL;
    free(ptr);
}

START_TEST(a_secret_buffer_leaves_nothing_behind)
{
    const kc_alloc looking = {plain_malloc, no_realloc, free_and_look, NULL};
    kb_mem_init(&mem, &looking, 0);
    for (int is_secret = 1; is_secret >= 0; is_secret--) {
        kb_buf_init(&buf, &mem, 0);
        buf.is_secret = is_secret != 0;
        kb_buf_put_bytes(&buf, KC_STR("open sesame"));
        if (is_secret) {
            for (int i = 0; i < 1000; i++)
                kb_buf_put_byte(&buf, 'x');
            ck_assert(memcmp(buf.data, "open sesamexxx", 14) == 0);
            uint8_t *data = buf.data;
            kb_buf_reset(&buf);
            ck_assert_uint_eq(data[0], 0);
            kb_buf_put_bytes(&buf, KC_STR("open sesame"));
        }
        kb_buf_cleanup(&buf);
        ck_assert(buf.is_secret == (is_secret != 0)); // it stays what it was
        ck_assert_uint_eq(leaks, is_secret ? 0 : 1);
    }
    char *text = kb_mem_strndup(&mem, "open sesame", 11);
    kb_mem_free_secret(&mem, text);
    kb_mem_free_secret(&mem, NULL);
    ck_assert_uint_eq(leaks, 1);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST
