/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The JSON writer: punctuation, escaping, numbers, limits. */
#include "protocol/base/json.h"
#include "protocol/base/rand.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>

static kb_mem mem;
static kb_buf buf;
static kb_json_writer out;

static void open_writer(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&buf, &mem, 0);
    kb_json_writer_init(&out, &buf);
}

static void close_writer(void)
{
    kb_buf_cleanup(&buf);
    ck_assert_uint_eq(mem.used, 0);
}

static void check_text(const char *expected)
{
    ck_assert_int_eq(buf.err, KC_OK);
    ck_assert_msg(kc_bytes_equal(kb_buf_bytes(&buf), kc_str(expected)), KC_FMT,
                  KC_ARG(kb_buf_bytes(&buf)));
    kb_buf_reset(&buf);
    kb_json_writer_init(&out, &buf);
}

START_TEST(commas_and_colons_come_by_themselves)
{
    open_writer();
    kb_json_object(&out);
    kb_json_member_string(&out, "a", KC_STR("x"));
    kb_json_member_str(&out, "b", NULL);
    kb_json_member_int(&out, "c", -5);
    kb_json_member_bool(&out, "d", true);
    kb_json_key_str(&out, "e");
    kb_json_array(&out);
    kb_json_array(&out);
    kb_json_array_end(&out);
    kb_json_object(&out);
    kb_json_object_end(&out);
    kb_json_null(&out);
    kb_json_raw(&out, KC_STR("{\"raw\": 1}"));
    kb_json_bool(&out, false);
    kb_json_array_end(&out);
    kb_json_key(&out, KC_STR("f"));
    kb_json_uint(&out, 1);
    kb_json_object_end(&out);
    check_text("{\"a\":\"x\",\"b\":null,\"c\":-5,\"d\":true,\"e\":[[],{},null,{\"raw\": 1},false],"
               "\"f\":1}");
    close_writer();
}
END_TEST

START_TEST(a_single_value_needs_no_container)
{
    open_writer();
    kb_json_str(&out, "x");
    check_text("\"x\"");
    kb_json_null(&out);
    check_text("null");
    close_writer();
}
END_TEST

START_TEST(strings_escape_what_they_must_and_no_more)
{
    open_writer();
    kb_json_string(&out, KC_STR("a\"b\\c/d\b\f\n\r\t\x01\x0b\x0e\x1f\x7f"));
    check_text("\"a\\\"b\\\\c/d\\b\\f\\n\\r\\t\\u0001\\u000B\\u000E\\u001F\x7f\"");
    kb_json_string(&out, kc_span("\0", 1));
    check_text("\"\\u0000\"");
    kb_json_string(&out, KC_STR("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
    check_text("\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
    kb_json_string(&out, KC_STR(""));
    check_text("\"\"");
    kb_json_string(&out, KC_NULL);
    check_text("null");
    close_writer();
}
END_TEST

START_TEST(names_are_escaped_too)
{
    open_writer();
    kb_json_object(&out);
    kb_json_key(&out, KC_STR("a\"\n"));
    kb_json_int(&out, 1);
    kb_json_key(&out, KC_STR(""));
    kb_json_int(&out, 2);
    kb_json_object_end(&out);
    check_text("{\"a\\\"\\n\":1,\"\":2}");
    close_writer();
}
END_TEST

#define REPLACED "\xEF\xBF\xBD"

START_TEST(what_is_no_utf8_becomes_replacement_characters)
{
    open_writer();
    kb_json_string(&out, KC_STR("a\xFFz"));
    check_text("\"a" REPLACED "z\"");
    kb_json_string(&out, KC_STR("\xED\xA0\x80"));
    check_text("\"" REPLACED "\"");
    kb_json_string(&out, KC_STR("12345678\xC3"));
    check_text("\"12345678" REPLACED "\"");
    kb_json_string(&out, KC_STR("\xE2\x82"));
    check_text("\"" REPLACED "\"");
    close_writer();
}
END_TEST

START_TEST(any_bytes_written_as_a_string_read_back_as_valid_json)
{
    open_writer();
    kb_rand rand;
    kb_rand_init(&rand, 21);
    kb_arena arena;
    kb_arena_init(&arena, &mem, 0);
    for (int round = 0; round < 5000; round++) {
        uint8_t text[40];
        size_t len = kb_rand_below(&rand, sizeof text + 1);
        for (size_t i = 0; i < len; i++) {
            uint8_t byte = (uint8_t)kb_rand_u64(&rand);
            text[i] = kb_rand_below(&rand, 3) ? byte & 0x7f : byte;
        }
        kc_bytes in = kc_span(text, len);
        kb_json_string(&out, in);
        kc_bytes back;
        kb_json_reader reader;
        kb_json_reader_init(&reader, kb_buf_bytes(&buf));
        ck_assert_int_eq(kb_json_next(&reader), KB_JSON_STRING);
        ck_assert(kb_json_unescape(reader.raw, &arena, &back));
        ck_assert_int_eq(kb_json_next(&reader), KB_JSON_END);
        bool is_ascii = true;
        for (size_t i = 0; i < len; i++)
            is_ascii = is_ascii && text[i] < 0x80;
        ck_assert(!is_ascii || kc_bytes_equal(in, back));
        kb_buf_reset(&buf);
        kb_json_writer_init(&out, &buf);
        kb_arena_reset(&arena);
    }
    kb_arena_cleanup(&arena);
    close_writer();
}
END_TEST

START_TEST(integers_are_written_exactly)
{
    open_writer();
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-1, "-1"},
                 {10, "10"},
                 {9007199254740993, "9007199254740993"},
                 {INT64_MAX, "9223372036854775807"},
                 {INT64_MIN, "-9223372036854775808"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kb_json_int(&out, cases[i].value);
        check_text(cases[i].text);
    }
    kb_json_uint(&out, UINT64_MAX);
    check_text("18446744073709551615");
    kb_json_uint(&out, 0);
    check_text("0");
    close_writer();
}
END_TEST

START_TEST(doubles_have_the_form_java_gives_them)
{
    open_writer();
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.0, "-1.0"},
        {0.1, "0.1"},
        {100.0, "100.0"},
        {1234567.0, "1234567.0"},
        {9999999.0, "9999999.0"},
        {1e7, "1.0E7"},
        {1e10, "1.0E10"},
        {12345678.9, "1.23456789E7"},
        {0.001, "0.001"},
        {0.0012, "0.0012"},
        {0.00099, "9.9E-4"},
        {1e-5, "1.0E-5"},
        {123.456, "123.456"},
        {1e21, "1.0E21"},
        {1e100, "1.0E100"},
        {1.0 / 3, "0.3333333333333333"},
        {2.0 / 3, "0.6666666666666666"},
        {0.1 + 0.2, "0.30000000000000004"},
        {100.0 / 3, "33.333333333333336"},
        {9007199254740992.0, "9.007199254740992E15"},
        {DBL_MAX, "1.7976931348623157E308"},
        {DBL_MIN, "2.2250738585072014E-308"},
        {DBL_TRUE_MIN, "4.9E-324"},
        {-DBL_TRUE_MIN, "-4.9E-324"},
        {1e23, "1.0E23"},
        {2e-3, "0.002"},
        {1.5, "1.5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kb_json_double(&out, cases[i].value);
        check_text(cases[i].text);
    }
    kb_json_double(&out, NAN);
    check_text("\"NaN\"");
    kb_json_double(&out, INFINITY);
    check_text("\"Infinity\"");
    kb_json_double(&out, -INFINITY);
    check_text("\"-Infinity\"");
    close_writer();
}
END_TEST

START_TEST(every_double_reads_back_the_same)
{
    open_writer();
    kb_rand rand;
    kb_rand_init(&rand, 17);
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = kb_rand_u64(&rand);
        if (i % 4 == 0)
            bits &= UINT64_C(0x800fffffffffffff) >> kb_rand_below(&rand, 50); // subnormal
        double value;
        double back;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        kb_json_double(&out, value);
        ck_assert_uint_le(buf.len, 26);
        ck_assert(kb_json_f64(kb_buf_bytes(&buf), &back));
        ck_assert(memcmp(&value, &back, sizeof value) == 0);
        kb_buf_reset(&buf);
        kb_json_writer_init(&out, &buf);
    }
    close_writer();
}
END_TEST

START_TEST(doubles_do_not_depend_on_the_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8",
                                        "ps_AF",       "de_DE",      "nl_NL.UTF-8", "pl_PL.UTF-8"};
    open_writer();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!setlocale(LC_NUMERIC, names[i]))
            continue; // not installed here
        double value;
        kb_json_double(&out, 1234.5678);
        check_text("1234.5678");
        ck_assert(kb_json_f64(KC_STR("1234.56789012345678901234"), &value));
        ck_assert(value == 1234.56789012345678901234);
        ck_assert(kb_json_f64(KC_STR("-1.5"), &value) && value == -1.5);
    }
    setlocale(LC_NUMERIC, "C");
    close_writer();
}
END_TEST

START_TEST(bytes_are_written_as_base64)
{
    open_writer();
    kb_json_array(&out);
    kb_json_base64(&out, KC_STR("foob"));
    kb_json_base64(&out, KC_STR(""));
    kb_json_base64(&out, KC_NULL);
    kb_json_array_end(&out);
    check_text("[\"Zm9vYg==\",\"\",null]");
    close_writer();
}
END_TEST

START_TEST(nesting_deeper_than_readers_accept_is_an_error)
{
    open_writer();
    for (int i = 0; i < KB_JSON_DEPTH_MAX; i++)
        i % 2 ? kb_json_key_str(&out, "k"), kb_json_array(&out) : kb_json_object(&out);
    ck_assert_int_eq(buf.err, KC_OK);
    kb_json_object(&out);
    ck_assert_int_eq(buf.err, KC_ERR_TOO_LARGE);
    kb_json_member_int(&out, "still", 1); // unbothered until it is closed again
    kb_json_object(&out);
    kb_json_object_end(&out);
    kb_json_object_end(&out);
    for (int i = KB_JSON_DEPTH_MAX; i-- > 0;)
        i % 2 ? kb_json_array_end(&out) : kb_json_object_end(&out);
    ck_assert_int_eq(buf.err, KC_ERR_TOO_LARGE);
    close_writer();
}
END_TEST

START_TEST(the_limit_of_the_buffer_sticks)
{
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&buf, &mem, 10);
    kb_json_writer_init(&out, &buf);
    kb_json_array(&out);
    kb_json_str(&out, "0123456789");
    kb_json_int(&out, 1);
    kb_json_array_end(&out);
    ck_assert_int_eq(buf.err, KC_ERR_TOO_LARGE);
    ck_assert_uint_le(buf.len, 10);
    close_writer();
}
END_TEST

static bool use_writer(const kc_alloc *alloc)
{
    kb_mem own;
    kb_buf text;
    kb_json_writer writer;
    kb_mem_init(&own, alloc, 0);
    kb_buf_init(&text, &own, 0);
    kb_json_writer_init(&writer, &text);
    kb_json_object(&writer);
    kb_json_member_str(&writer, "name", "some text");
    kb_json_key_str(&writer, "d");
    kb_json_double(&writer, 1.5);
    kb_json_object_end(&writer);
    ck_assert(text.err == KC_OK || text.err == KC_ERR_NOMEM);
    bool is_good = text.err == KC_OK;
    kb_buf_cleanup(&text);
    ck_assert_uint_eq(own.used, 0);
    return is_good;
}

START_TEST(out_of_memory_sticks_in_the_buffer)
{
    ck_assert_uint_eq(fail_each_alloc(use_writer), 1); // a failure alone is survived by less
}
END_TEST
