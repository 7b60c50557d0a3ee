/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Lists of headers: foreign ones in front and in order, ours once each. */
#include "officeflow/wire.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>

static kb_mem mem;
static kb_arena arena;
static of_headers headers;

static void begin(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    of_headers_init(&headers, &arena);
}

static void end(void)
{
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}

static bool is_at(size_t index, const char *name, const char *value)
{
    return index < headers.count && kc_bytes_equal(headers.items[index].name, kc_str(name)) &&
           kc_bytes_equal(headers.items[index].value, kc_str(value));
}

#define BYTES(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define HEADER(name, value)                                                                        \
    {                                                                                              \
        BYTES(name), BYTES(value)                                                                  \
    }

static const kc_header foreign[] = {HEADER("x", "1"), HEADER("y", "2"), HEADER("x", "3")};

START_TEST(foreign_headers_keep_order_and_repetition)
{
    begin();
    of_headers_add_all(&headers, foreign, 3);
    of_headers_set(&headers, "of-id", KC_STR("7"));
    ck_assert_uint_eq(headers.count, 4);
    ck_assert(is_at(0, "x", "1") && is_at(1, "y", "2") && is_at(2, "x", "3"));
    ck_assert(is_at(3, "of-id", "7"));
    end();
}
END_TEST

START_TEST(setting_leaves_one_value_behind_the_others)
{
    begin();
    of_headers_add_all(&headers, foreign, 3);
    of_headers_set(&headers, "x", KC_STR("9"));
    ck_assert_uint_eq(headers.count, 2);
    ck_assert(is_at(0, "y", "2") && is_at(1, "x", "9"));
    end();
}
END_TEST

START_TEST(setting_null_removes)
{
    begin();
    of_headers_add_all(&headers, foreign, 3);
    of_headers_set(&headers, "x", KC_NULL);
    ck_assert_uint_eq(headers.count, 1);
    ck_assert(is_at(0, "y", "2"));
    end();
}
END_TEST

START_TEST(numbers_and_formats_are_copied)
{
    begin();
    char text[] = "abc";
    of_headers_set_i64(&headers, "n", INT64_MIN);
    of_headers_printf(&headers, "f", "%s/%d", text, 5);
    text[0] = 'X';
    ck_assert(is_at(0, "n", "-9223372036854775808"));
    ck_assert(is_at(1, "f", "abc/5"));
    end();
}
END_TEST

START_TEST(prefix_removes_all_that_begin_so)
{
    begin();
    of_headers_set(&headers, "of-dlq-id", KC_STR("1"));
    of_headers_set(&headers, "of-dl", KC_STR("2"));
    of_headers_set(&headers, "of-dlq-class", KC_STR("3"));
    of_headers_remove_prefix(&headers, "of-dlq-");
    ck_assert_uint_eq(headers.count, 1);
    ck_assert(is_at(0, "of-dl", "2"));
    end();
}
END_TEST

START_TEST(last_header_of_a_name_wins)
{
    begin();
    kc_bytes value;
    ck_assert(of_header_find(foreign, 3, "x", &value));
    ck_assert(kc_bytes_equal(value, KC_STR("3")));
    ck_assert(!of_header_find(foreign, 3, "z", &value));
    int64_t number;
    ck_assert(of_header_i64(foreign, 3, "y", &number));
    ck_assert_int_eq(number, 2);
    end();
}
END_TEST

START_TEST(what_is_no_number_or_text_is_absent)
{
    static const kc_header odd[] = {HEADER("n", "12x"),
                                    HEADER("u", "\xff\xfe"),
                                    {BYTES("null"), {NULL, 0}},
                                    HEADER("empty", "")};
    int64_t number;
    begin();
    ck_assert(!of_header_i64(odd, 4, "n", &number));
    ck_assert(!of_header_i64(odd, 4, "null", &number));
    ck_assert(!of_header_i64(odd, 4, "empty", &number));
    ck_assert_ptr_null(of_header_text(odd, 4, "u").ptr);
    ck_assert_ptr_null(of_header_text(odd, 4, "null").ptr);
    ck_assert_ptr_nonnull(of_header_text(odd, 4, "empty").ptr);
    end();
}
END_TEST

static bool fill(const kc_alloc *alloc)
{
    kb_mem_init(&mem, alloc, 0);
    kb_arena_init(&arena, &mem, 0);
    of_headers_init(&headers, &arena);
    for (int i = 0; i < 100 && !headers.is_failed; i++)
        of_headers_printf(&headers, i % 2 ? "a" : "b", "%0200d", i);
    bool was_failed = headers.is_failed;
    of_headers_set_i64(&headers, "after", 1);
    bool is_good = !headers.is_failed;
    ck_assert(!was_failed || !is_good);
    ck_assert(!was_failed || !is_at(headers.count - 1, "after", "1"));
    end();
    return is_good;
}

START_TEST(running_out_of_memory_sticks)
{
    size_t failed = fail_each_alloc(fill);
    ck_assert_uint_gt(failed, 0);
    ck_assert_uint_ne(failed, SIZE_MAX);
}
END_TEST
