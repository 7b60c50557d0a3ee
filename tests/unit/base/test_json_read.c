/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The JSON reader: tokens, strictness, limits, values, unescaping, unique names, pointers. */
#include "protocol/base/json.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

static kb_mem mem;
static kb_arena arena;

static void open_arena(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
}

static void close_arena(void)
{
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}

/** The text must fail just there with just that reason, whatever stands behind it in memory. */
static void check_error(const char *text, size_t at, const char *reason)
{
    size_t len = strlen(text);
    uint8_t *exact = malloc(len ? len : 1); // on the heap, so that ASan sees a read beyond it
    memcpy(exact, text, len);
    kb_json_reader reader;
    kb_json_reader_init(&reader, kc_span(exact, len));
    kb_json_type type;
    do
        type = kb_json_next(&reader);
    while (type != KB_JSON_ERROR && type != KB_JSON_END);
    ck_assert_msg(type == KB_JSON_ERROR, "accepted: %s", text);
    ck_assert_msg(reader.at == at && strcmp(reader.reason, reason) == 0, "%s: \"%s\" at %zu", text,
                  reader.reason, reader.at);
    ck_assert_int_eq(kb_json_next(&reader), KB_JSON_ERROR); // sticks
    ck_assert_int_eq(kb_json_value(&reader, NULL), KB_JSON_ERROR);
    free(exact);
}

static bool is_valid(kc_bytes text)
{
    return kb_json_check(text, false, &arena, NULL) == KC_OK;
}

START_TEST(tokens_come_in_order_with_their_source)
{
    static const struct {
        kb_json_type type;
        const char *raw;
        uint32_t depth;
    } expected[] = {
        {KB_JSON_OBJECT, "{", 1},      {KB_JSON_KEY, "\"a\"", 1},    {KB_JSON_ARRAY, "[", 2},
        {KB_JSON_NUMBER, "-1.5e3", 2}, {KB_JSON_STRING, "\"x\"", 2}, {KB_JSON_TRUE, "true", 2},
        {KB_JSON_FALSE, "false", 2},   {KB_JSON_NULL, "null", 2},    {KB_JSON_OBJECT, "{", 3},
        {KB_JSON_OBJECT_END, "}", 2},  {KB_JSON_ARRAY, "[", 3},      {KB_JSON_ARRAY_END, "]", 2},
        {KB_JSON_ARRAY_END, "]", 1},   {KB_JSON_KEY, "\"\"", 1},     {KB_JSON_NUMBER, "0", 1},
        {KB_JSON_OBJECT_END, "}", 0},  {KB_JSON_END, "", 0},         {KB_JSON_END, "", 0},
    };
    kb_json_reader reader;
    kb_json_reader_init(&reader,
                        KC_STR(" {\"a\" : [ -1.5e3,\"x\" , true,false,null,{ },[ ]\t] ,\r\n"
                               "\"\":0 } "));
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        ck_assert_int_eq(kb_json_next(&reader), expected[i].type);
        ck_assert(kc_bytes_equal(reader.raw, kc_str(expected[i].raw)));
        ck_assert_uint_eq(reader.depth, expected[i].depth);
    }
    ck_assert_ptr_null(reader.reason);
}
END_TEST

START_TEST(any_value_may_stand_at_the_top)
{
    open_arena();
    static const char *const good[] = {
        "0",  "-0", " 1 ",  "\"\"", "true",       "false",          "null",
        "[]", "{}", "[[]]", "[0]",  "{\"a\":{}}", "\t\r\n 0\t\r\n "};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(is_valid(kc_str(good[i])), "%s", good[i]);
    close_arena();
}
END_TEST

START_TEST(wrong_structure_is_refused_with_place_and_reason)
{
    check_error("", 0, "expected a value");
    check_error("  ", 2, "expected a value");
    check_error("1 2", 2, "expected nothing behind the value");
    check_error("{} x", 3, "expected nothing behind the value");
    check_error("[", 1, "expected a value");
    check_error("[1", 2, "expected ',' or ']'");
    check_error("[1,", 3, "expected a value");
    check_error("[1,]", 3, "expected a value");
    check_error("[,1]", 1, "expected a value");
    check_error("[1 2]", 3, "expected ',' or ']'");
    check_error("[1}", 2, "expected ',' or ']'");
    check_error("]", 0, "expected a value");
    check_error("{", 1, "expected a member name");
    check_error("{1:2}", 1, "expected a member name");
    check_error("{a:1}", 1, "expected a member name");
    check_error("{\"a\"", 4, "expected ':'");
    check_error("{\"a\" 1}", 5, "expected ':'");
    check_error("{\"a\":", 5, "expected a value");
    check_error("{\"a\":}", 5, "expected a value");
    check_error("{\"a\":1", 6, "expected ',' or '}'");
    check_error("{\"a\":1,", 7, "expected a member name");
    check_error("{\"a\":1,}", 7, "expected a member name");
    check_error("{\"a\":1]", 6, "expected ',' or '}'");
    check_error("{,}", 1, "expected a member name");
    check_error("'a'", 0, "expected a value");
    check_error("/**/1", 0, "expected a value");
    check_error("[1,//\n2]", 3, "expected a value");
    check_error("\xEF\xBB\xBF{}", 0, "expected a value"); // a byte order mark
    check_error("\f1", 0, "expected a value");
    check_error("1\v", 1, "expected nothing behind the value");
}
END_TEST

START_TEST(words_are_exact)
{
    check_error("nul", 0, "expected a value");
    check_error("nulL", 0, "expected a value");
    check_error("True", 0, "expected a value");
    check_error("t", 0, "expected a value");
    check_error("[fals", 1, "expected a value");
    check_error("truex", 4, "expected nothing behind the value");
    check_error("NaN", 0, "expected a value");
    check_error("Infinity", 0, "expected a value");
    check_error("-Infinity", 1, "expected a digit");
    check_error("undefined", 0, "expected a value");
}
END_TEST

START_TEST(numbers_follow_the_grammar)
{
    open_arena();
    static const char *const good[] = {
        "0",       "-0",   "10",  "-1",   "0.0",
        "1.5",     "1e5",  "1E5", "1e+5", "1e-5",
        "-0.0e-0", "1e05", "0e0", "1.0",  "123456789012345678901234567890123",
        "1e999"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(is_valid(kc_str(good[i])), "%s", good[i]);
    check_error("-", 1, "expected a digit");
    check_error("+1", 0, "expected a value");
    check_error(".5", 0, "expected a value");
    check_error("-.5", 1, "expected a digit");
    check_error("5.", 2, "expected a digit");
    check_error("5.e1", 2, "expected a digit");
    check_error("1e", 2, "expected a digit");
    check_error("1e+", 3, "expected a digit");
    check_error("1e5.5", 3, "expected nothing behind the value");
    check_error("01", 1, "expected nothing behind the value");
    check_error("[-01]", 3, "expected ',' or ']'");
    check_error("0x10", 1, "expected nothing behind the value");
    check_error("1_000", 1, "expected nothing behind the value");
    check_error("--1", 1, "expected a digit");
    close_arena();
}
END_TEST

START_TEST(strings_end_and_hold_no_control_characters)
{
    check_error("\"", 1, "expected the end of the string");
    check_error("\"abc", 4, "expected the end of the string");
    check_error("\"abcdefghijklmnop", 17, "expected the end of the string");
    check_error("\"abc\\\"", 6, "expected the end of the string");
    check_error("{\"ab", 4, "expected the end of the string");
    check_error("\"a\nb\"", 2, "control character in a string");
    check_error("\"abcdefgh\tijklmnopq\"", 9, "control character in a string");
    check_error("\"\x1f\"", 1, "control character in a string");
    open_arena();
    ck_assert(is_valid(KC_STR("\"\x7f\""))); // DEL is no control character to JSON
    ck_assert(!is_valid(kc_span("\"\0\"", 3)));
    ck_assert(!is_valid(kc_span("0\0", 2)));
    ck_assert(!is_valid(kc_span("\0", 1)));
    close_arena();
}
END_TEST

START_TEST(escapes_are_the_nine_of_the_rfc)
{
    check_error("\"\\", 1, "unknown escape");
    check_error("\"\\x41\"", 1, "unknown escape");
    check_error("\"\\'\"", 1, "unknown escape");
    check_error("\"\\U0041\"", 1, "unknown escape");
    check_error("\"\\0\"", 1, "unknown escape");
    check_error("\"\\u\"", 1, "expected four hex digits behind \\u");
    check_error("\"\\u12\"", 1, "expected four hex digits behind \\u");
    check_error("\"\\u12g4\"", 1, "expected four hex digits behind \\u");
    check_error("\"\\u123", 1, "expected four hex digits behind \\u");
    check_error("\"\\u 123\"", 1, "expected four hex digits behind \\u");
    check_error("\"\\u+123\"", 1, "expected four hex digits behind \\u");
}
END_TEST

START_TEST(half_a_surrogate_pair_is_refused_with_its_own_reason)
{
    const char *reason = "escape of half a surrogate pair";
    check_error("\"\\ud800\"", 1, reason);
    check_error("\"\\udfff\"", 1, reason);
    check_error("\"\\udc00\\ud800\"", 1, reason);
    check_error("\"\\ud800\\ud800\"", 1, reason);
    check_error("\"\\ud800\\n\"", 1, reason);
    check_error("\"\\ud800x\"", 1, reason);
    check_error("\"\\ud800\\u\"", 1, reason);
    check_error("\"\\ud800\\u12\"", 1, reason);
    check_error("\"\\uDBFF\\uE000\"", 1, reason);
    check_error("{\"abc\\ud800\":1}", 5, reason);
    open_arena();
    ck_assert(is_valid(KC_STR("\"\\ud83d\\ude00 \\uDBFF\\uDFFF \\ud7ff\\ue000\"")));
    close_arena();
}
END_TEST

START_TEST(text_that_is_no_utf8_is_refused)
{
    check_error("\"\xFF\"", 1, "invalid UTF-8");
    check_error("\"\x80\"", 1, "invalid UTF-8");
    check_error("\"abcdefghi\xC3\"", 10, "invalid UTF-8");
    check_error("\"\xC0\xAF\"", 1, "invalid UTF-8");
    check_error("\"\xE0\x80\xAF\"", 1, "invalid UTF-8");
    check_error("\"\xED\xA0\x80\"", 1, "invalid UTF-8");
    check_error("\"\xF4\x90\x80\x80\"", 1, "invalid UTF-8");
    check_error("\"\xE2\x82", 1, "invalid UTF-8");
    check_error("{\"\xC3\x28\":1}", 2, "invalid UTF-8");
    check_error("\xC3\xA9", 0, "expected a value");
    open_arena();
    ck_assert(is_valid(KC_STR("\"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 \xEF\xBF\xBF\"")));
    close_arena();
}
END_TEST

START_TEST(nesting_is_legal_to_64_and_refused_at_65)
{
    open_arena();
    char text[200];
    for (size_t depth = 63; depth <= 66; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = 0;
        if (depth <= KB_JSON_DEPTH_MAX)
            ck_assert(is_valid(kc_str(text)));
        else
            check_error(text, KB_JSON_DEPTH_MAX, "nested too deeply");
    }
    char objects[500] = "";
    for (int i = 0; i < 65; i++)
        memcpy(objects + i * 5, "{\"\":", 5);
    for (int i = 0; i < 65; i++) // without the zeros
        memmove(objects + i * 4, objects + i * 5, 4);
    objects[260] = 0;
    check_error(objects, 256, "nested too deeply");
    close_arena();
}
END_TEST

START_TEST(every_cut_of_a_document_is_refused)
{
    open_arena();
    kc_bytes doc =
        KC_STR("{\"a\":[1,-2.5e+3,\"x\\u00e9\\ud83d\\ude00\xC3\xA9\",true,null],\"b\":{}}");
    ck_assert(is_valid(doc));
    for (size_t len = 0; len < doc.len; len++) {
        uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, doc.ptr, len);
        ck_assert(!is_valid(kc_span(exact, len)));
        free(exact);
    }
    ck_assert(!is_valid(KC_NULL));
    close_arena();
}
END_TEST

START_TEST(a_whole_value_is_taken_with_its_source)
{
    kb_json_reader reader;
    kc_bytes raw;
    kb_json_reader_init(&reader, KC_STR("{ \"payload\" : {\"x\": [1, {\"y\":2}] } , \"n\":7}"));
    ck_assert_int_eq(kb_json_next(&reader), KB_JSON_OBJECT);
    ck_assert_int_eq(kb_json_next(&reader), KB_JSON_KEY);
    ck_assert_int_eq(kb_json_value(&reader, &raw), KB_JSON_OBJECT);
    ck_assert(kc_bytes_equal(raw, KC_STR("{\"x\": [1, {\"y\":2}] }")));
    ck_assert(kc_bytes_equal(reader.raw, raw));
    ck_assert_int_eq(kb_json_value(&reader, &raw), KB_JSON_KEY);
    ck_assert(kc_bytes_equal(raw, KC_STR("\"n\"")));
    ck_assert_int_eq(kb_json_value(&reader, &raw), KB_JSON_NUMBER);
    ck_assert(kc_bytes_equal(raw, KC_STR("7")));
    ck_assert_int_eq(kb_json_value(&reader, &raw), KB_JSON_OBJECT_END);
    ck_assert_int_eq(kb_json_value(&reader, &raw), KB_JSON_END);
}
END_TEST

START_TEST(a_broken_value_is_an_error_with_a_null_slice)
{
    kb_json_reader reader;
    kc_bytes raw = KC_STR("old");
    kb_json_reader_init(&reader, KC_STR("[1,[2,3}]"));
    ck_assert_int_eq(kb_json_value(&reader, &raw), KB_JSON_ERROR);
    ck_assert_ptr_null(raw.ptr);
    ck_assert_uint_eq(reader.at, 7);
}
END_TEST

static void check_unescape(const char *raw, kc_bytes expected)
{
    kc_bytes out = KC_NULL;
    ck_assert(kb_json_unescape(kc_str(raw), &arena, &out));
    ck_assert_msg(out.ptr && kc_bytes_equal(out, expected), "%s", raw);
    ck_assert(kb_json_string_is(kc_str(raw), expected));
    for (size_t len = 0; len < expected.len; len++)
        ck_assert(!kb_json_string_is(kc_str(raw), kc_span(expected.ptr, len)));
}

START_TEST(strings_are_unescaped_and_compared_without_a_copy)
{
    open_arena();
    check_unescape("\"\"", KC_STR(""));
    check_unescape("\"abc\"", KC_STR("abc"));
    check_unescape("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", KC_STR("\"\\/\b\f\n\r\t"));
    check_unescape("\"a\\u0062c\\u00E9\\u20ac\"", KC_STR("abc\xC3\xA9\xE2\x82\xAC"));
    check_unescape("\"\\ud83d\\uDE00!\"", KC_STR("\xF0\x9F\x98\x80!"));
    check_unescape("\"x\\u0000y\"", kc_span("x\0y", 3));
    check_unescape("\"\\uFFFF\"", KC_STR("\xEF\xBF\xBF"));
    ck_assert(!kb_json_string_is(KC_STR("\"abc\""), KC_STR("abcd")));
    ck_assert(!kb_json_string_is(KC_STR("\"abc\""), KC_STR("abd")));
    ck_assert(!kb_json_string_is(KC_STR("\"\""), KC_NULL));
    close_arena();
}
END_TEST

START_TEST(a_string_without_escapes_is_not_copied)
{
    open_arena();
    kc_bytes raw = KC_STR("\"plain \xC3\xA9\"");
    kc_bytes out;
    ck_assert(kb_json_unescape(raw, &arena, &out));
    ck_assert_ptr_eq(out.ptr, raw.ptr + 1);
    ck_assert_uint_eq(mem.peak, 0);
    close_arena();
}
END_TEST

START_TEST(the_reader_says_whether_a_string_has_escapes)
{
    kb_json_reader reader;
    kb_json_reader_init(&reader, KC_STR("[\"a\\n\",\"b\",{\"c\\t\":\"d\"}]"));
    kb_json_next(&reader);
    ck_assert_int_eq(kb_json_next(&reader), KB_JSON_STRING);
    ck_assert(reader.has_escape);
    ck_assert_int_eq(kb_json_next(&reader), KB_JSON_STRING);
    ck_assert(!reader.has_escape);
    kb_json_next(&reader);
    ck_assert_int_eq(kb_json_next(&reader), KB_JSON_KEY);
    ck_assert(reader.has_escape);
}
END_TEST

START_TEST(integers_are_exact_to_64_bits)
{
    int64_t i;
    uint64_t u;
    double d;
    ck_assert(kb_json_i64(KC_STR("9007199254740993"), &i) && i == 9007199254740993);
    ck_assert(kb_json_i64(KC_STR("-9223372036854775808"), &i) && i == INT64_MIN);
    ck_assert(!kb_json_i64(KC_STR("9223372036854775808"), &i));
    ck_assert(kb_json_u64(KC_STR("18446744073709551615"), &u) && u == UINT64_MAX);
    ck_assert(!kb_json_i64(KC_STR("1.0"), &i));
    ck_assert(!kb_json_i64(KC_STR("1e3"), &i));
    ck_assert(!kb_json_i64(KC_STR("\"1\""), &i));
    ck_assert(!kb_json_u64(KC_STR("null"), &u));
    ck_assert(kb_json_f64(KC_STR("0.1"), &d) && d == 0.1);
    ck_assert(kb_json_f64(KC_STR("12"), &d) && d == 12);
    ck_assert(!kb_json_f64(KC_STR("\"0.1\""), &d));
    ck_assert(!kb_json_f64(KC_STR("true"), &d));
}
END_TEST

static void check_duplicate(const char *text, long at)
{
    kc_error err = {0};
    kc_err code = kb_json_check(kc_str(text), true, &arena, &err);
    ck_assert_int_eq(kb_json_check(kc_str(text), false, &arena, NULL), KC_OK);
    if (at < 0) {
        ck_assert_msg(code == KC_OK, "%s", text);
        return;
    }
    char expected[100];
    snprintf(expected, sizeof expected, "invalid JSON: member named twice at byte %ld", at);
    ck_assert_int_eq(code, KC_ERR_MALFORMED);
    ck_assert_int_eq(err.code, KC_ERR_MALFORMED);
    ck_assert_str_eq(err.text, expected);
}

START_TEST(a_member_named_twice_is_found_however_it_is_spelled)
{
    open_arena();
    check_duplicate("{\"a\":1,\"b\":2}", -1);
    check_duplicate("{\"a\":1,\"a\":2}", 7);
    check_duplicate("{\"\":1,\"\":2}", 6);
    check_duplicate("{\"a\":1,\"\\u0061\":2}", 7);
    check_duplicate("{\"\\u0061\\/\":1,\"\\u0061\\u002f\":2}", 14);
    check_duplicate("{\"\\ud83d\\ude00\":1,\"\xF0\x9F\x98\x80\":2}", 18);
    check_duplicate("{\"a\":1,\"A\":2,\"a \":3,\" a\":4,\"\":5}", -1);
    check_duplicate("[{\"x\":{\"y\":1,\"z\":{},\"y\":[]}}]", 20);
    check_duplicate("{\"a\":1,\"b\":2,\"c\":3,\"b\":4,\"a\":5}", 19); // the first repetition
    close_arena();
}
END_TEST

START_TEST(a_name_may_come_again_in_another_object)
{
    open_arena();
    check_duplicate("{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}", -1);
    check_duplicate("[{\"a\":1},{\"a\":1}]", -1);
    check_duplicate("{\"a\":{\"b\":1},\"b\":2,\"c\":{\"a\":1,\"b\":2,\"c\":3}}", -1);
    check_duplicate("{\"b\":{\"a\":1},\"a\":{\"a\":1},\"b\":1}", 25);
    close_arena();
}
END_TEST

/** {"name000000":0,...} with `count` members, the last repeating the first if asked. */
static kc_bytes make_members(kb_buf *out, int count, bool is_repeated)
{
    kb_buf_put_byte(out, '{');
    for (int i = 0; i < count; i++)
        kb_buf_printf(out, "%s\"name%06d\":0", i ? "," : "", is_repeated && i == count - 1 ? 0 : i);
    kb_buf_put_byte(out, '}');
    ck_assert_int_eq(out->err, KC_OK);
    return kb_buf_bytes(out);
}

START_TEST(a_hundred_thousand_members_are_checked_without_squaring)
{
    for (int repeated = 0; repeated < 2; repeated++) {
        open_arena();
        kb_buf text;
        kb_buf_init(&text, &mem, 0);
        kc_error err;
        kc_bytes doc = make_members(&text, 100000, repeated);
        kc_err code = kb_json_check(doc, true, &arena, &err);
        ck_assert_int_eq(code, repeated ? KC_ERR_MALFORMED : KC_OK);
        kb_buf_cleanup(&text);
        close_arena();
    }
}
END_TEST

START_TEST(a_hundred_thousand_equal_names_are_checked_without_squaring)
{
    open_arena();
    kb_buf text;
    kb_buf_init(&text, &mem, 0);
    kb_buf_put_byte(&text, '{');
    for (int i = 0; i < 100000; i++)
        kb_buf_printf(&text, "%s\"\\u0061\":0", i ? "," : "");
    kb_buf_put_byte(&text, '}');
    kc_error err;
    ck_assert_int_eq(kb_json_check(kb_buf_bytes(&text), true, &arena, &err), KC_ERR_MALFORMED);
    ck_assert_str_eq(err.text, "invalid JSON: member named twice at byte 12");
    kb_buf_cleanup(&text);
    close_arena();
}
END_TEST

START_TEST(many_small_objects_need_no_memory_for_their_names)
{
    open_arena();
    kb_buf text;
    kb_buf_init(&text, &mem, 0);
    kb_buf_put_byte(&text, '[');
    for (int i = 0; i < 10000; i++)
        kb_buf_printf(&text, "%s{\"a\":1,\"b\":{\"a\":2}}", i ? "," : "");
    kb_buf_put_byte(&text, ']');
    ck_assert_int_eq(kb_json_check(kb_buf_bytes(&text), true, &arena, NULL), KC_OK);
    ck_assert_uint_eq(arena.used, 0);
    kb_buf_cleanup(&text);
    close_arena();
}
END_TEST

START_TEST(the_check_says_what_is_wrong_and_where)
{
    open_arena();
    kc_error err;
    ck_assert_int_eq(kb_json_check(KC_STR("{\"a\":nope}"), true, &arena, &err), KC_ERR_MALFORMED);
    ck_assert_str_eq(err.text, "invalid JSON: expected a value at byte 5");
    ck_assert_int_eq(err.partition, -1);
    close_arena();
}
END_TEST

START_TEST(a_check_that_needs_more_than_the_arena_allows_is_out_of_memory)
{
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 4096);
    kb_buf text;
    kb_buf_init(&text, &mem, 0);
    kc_error err;
    kc_bytes doc = make_members(&text, 1000, false);
    ck_assert_int_eq(kb_json_check(doc, true, &arena, &err), KC_ERR_NOMEM);
    ck_assert_int_eq(err.code, KC_ERR_NOMEM);
    ck_assert_int_eq(kb_json_check(doc, false, &arena, &err), KC_OK);
    kb_buf_cleanup(&text);
    close_arena();
}
END_TEST

static bool use_check(const kc_alloc *alloc)
{
    kb_mem own;
    kb_arena scratch;
    kb_mem_init(&own, alloc, 0);
    kb_arena_init(&scratch, &own, 0);
    char doc[4000] = "{";
    size_t len = 1;
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(doc + len, sizeof doc - len, "\"k\\u0030%d\":0,", i);
    doc[len - 1] = '}';
    kc_bytes name;
    kc_err code = kb_json_check(kc_span(doc, len), true, &scratch, NULL);
    ck_assert(code == KC_OK || code == KC_ERR_NOMEM);
    bool is_good = code == KC_OK && kb_json_unescape(KC_STR("\"\\n\""), &scratch, &name);
    kb_arena_cleanup(&scratch);
    ck_assert_uint_eq(own.used, 0);
    return is_good;
}

START_TEST(every_failing_allocation_of_the_check_is_reported)
{
    ck_assert_uint_ge(fail_each_alloc(use_check), 2);
}
END_TEST

static void check_pointer(kc_bytes doc, const char *pointer, const char *expected)
{
    kc_bytes raw = kb_json_pointer(doc, pointer);
    ck_assert_msg(kc_bytes_equal(raw, kc_str(expected)), "%s: " KC_FMT, pointer, KC_ARG(raw));
}

START_TEST(pointers_give_the_results_of_rfc_6901)
{
    kc_bytes doc =
        KC_STR("{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"e^f\": 3,"
               "\"g|h\": 4, \"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7, \"m~n\": 8}");
    check_pointer(KC_STR(" [1] "), "", "[1]");
    check_pointer(doc, "/foo", "[\"bar\", \"baz\"]");
    check_pointer(doc, "/foo/0", "\"bar\"");
    check_pointer(doc, "/foo/1", "\"baz\"");
    check_pointer(doc, "/", "0");
    check_pointer(doc, "/a~1b", "1");
    check_pointer(doc, "/c%d", "2");
    check_pointer(doc, "/e^f", "3");
    check_pointer(doc, "/g|h", "4");
    check_pointer(doc, "/i\\j", "5");
    check_pointer(doc, "/k\"l", "6");
    check_pointer(doc, "/ ", "7");
    check_pointer(doc, "/m~0n", "8");
}
END_TEST

START_TEST(pointers_undo_tilde_escapes_in_the_right_order)
{
    kc_bytes doc =
        KC_STR("{\"~1\":1,\"/\":2,\"~\":3,\"a/~b\":4,\"\\u007e\\u002f\":5,\"~~\":6,\"~01\":7}");
    check_pointer(doc, "/~01", "1");
    check_pointer(doc, "/~1", "2");
    check_pointer(doc, "/~0", "3");
    check_pointer(doc, "/a~1~0b", "4");
    check_pointer(doc, "/~0~1", "5");
    check_pointer(doc, "/~0~0", "6");
    check_pointer(doc, "/~001", "7");
    // no pointers at all
    check_pointer(doc, "/~", NULL);
    check_pointer(doc, "/~2", NULL);
    check_pointer(doc, "/~~", NULL);
    check_pointer(doc, "/~0~", NULL);
    check_pointer(doc, "~1", NULL);
}
END_TEST

START_TEST(array_indexes_have_one_spelling_and_end_with_the_array)
{
    kc_bytes doc = KC_STR("[10,[20,21],{\"0\":30,\"01\":31,\"-\":32}]");
    check_pointer(doc, "/0", "10");
    check_pointer(doc, "/1/1", "21");
    check_pointer(doc, "/2/0", "30"); // a name, not an index
    check_pointer(doc, "/2/01", "31");
    check_pointer(doc, "/2/-", "32");
    check_pointer(doc, "/3", NULL);
    check_pointer(doc, "/3/0", NULL);
    check_pointer(doc, "/-", NULL);
    check_pointer(doc, "/00", NULL);
    check_pointer(doc, "/01", NULL);
    check_pointer(doc, "/-1", NULL);
    check_pointer(doc, "/+1", NULL);
    check_pointer(doc, "/", NULL);
    check_pointer(doc, "/1e0", NULL);
    check_pointer(doc, "/99999999999999999999999", NULL);
    check_pointer(doc, "/18446744073709551615", NULL);
    check_pointer(KC_STR("[]"), "/0", NULL);
}
END_TEST

START_TEST(pointers_to_nowhere_give_null)
{
    kc_bytes doc = KC_STR("{\"a\":{\"b\":null,\"c\":5},\"ab\":1}");
    check_pointer(doc, "/a/b", "null");
    check_pointer(doc, "/b", NULL);
    check_pointer(doc, "/a/", NULL);
    check_pointer(doc, "/a/b/c", NULL);
    check_pointer(doc, "/a/c/0", NULL);
    check_pointer(doc, "a", NULL);
    check_pointer(doc, "/a/c/", NULL);
    check_pointer(doc, "/A", NULL);
    check_pointer(KC_STR(""), "", NULL);
    check_pointer(KC_STR("{\"a\":"), "/a", NULL);
    check_pointer(KC_STR("{\"x\":[1,}],\"a\":1}"), "/a", NULL);
    check_pointer(KC_NULL, "/a", NULL);
}
END_TEST

START_TEST(of_a_member_named_twice_the_pointer_takes_the_first)
{
    check_pointer(KC_STR("{\"a\":1,\"a\":2}"), "/a", "1");
}
END_TEST

START_TEST(pointer_text_is_unescaped_or_as_written)
{
    open_arena();
    kc_bytes doc =
        KC_STR("{\"s\":\"x\\ty\",\"e\":\"\",\"n\":-1.50,\"t\":true,\"f\":false,\"z\":null,"
               "\"o\":{},\"a\":[]}");
    ck_assert(kc_bytes_equal(kb_json_pointer_text(doc, "/s", &arena), KC_STR("x\ty")));
    ck_assert(kc_bytes_equal(kb_json_pointer_text(doc, "/e", &arena), KC_STR("")));
    ck_assert(kc_bytes_equal(kb_json_pointer_text(doc, "/n", &arena), KC_STR("-1.50")));
    ck_assert(kc_bytes_equal(kb_json_pointer_text(doc, "/t", &arena), KC_STR("true")));
    ck_assert(kc_bytes_equal(kb_json_pointer_text(doc, "/f", &arena), KC_STR("false")));
    ck_assert_ptr_null(kb_json_pointer_text(doc, "/z", &arena).ptr);
    ck_assert_ptr_null(kb_json_pointer_text(doc, "/o", &arena).ptr);
    ck_assert_ptr_null(kb_json_pointer_text(doc, "/a", &arena).ptr);
    ck_assert_ptr_null(kb_json_pointer_text(doc, "/none", &arena).ptr);
    close_arena();
}
END_TEST
