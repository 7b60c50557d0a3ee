/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * UTF-8, base64, hex, numbers, slices, uuid. */
#include "protocol/base/rand.h"
#include "protocol/base/text.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static kb_mem mem;
static kb_buf buf;

static void open_buf(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&buf, &mem, 0);
}

static void close_buf(void)
{
    kb_buf_cleanup(&buf);
    ck_assert_uint_eq(mem.used, 0);
}

/* Written down anew from RFC 3629's table of byte sequences. */
static bool is_utf8_by_table(const uint8_t *p, size_t len)
{
    while (len > 0) {
        size_t size = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
        if (size == 0 || p[0] > 0xf4 || size > len)
            return false;
        for (size_t i = 1; i < size; i++) {
            uint8_t low = 0x80;
            uint8_t high = 0xbf;
            if (i == 1 && p[0] == 0xe0)
                low = 0xa0;
            if (i == 1 && p[0] == 0xed)
                high = 0x9f;
            if (i == 1 && p[0] == 0xf0)
                low = 0x90;
            if (i == 1 && p[0] == 0xf4)
                high = 0x8f;
            if (p[i] < low || p[i] > high)
                return false;
        }
        p += size;
        len -= size;
    }
    return true;
}

START_TEST(every_code_point_is_valid_utf8_but_surrogates)
{
    uint32_t wrong = 0; // counted, as a million assertions take long
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        uint8_t bytes[4];
        bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
        size_t len = kb_utf8_put(bytes, code);
        wrong += kb_utf8_sequence(bytes, len) != (is_surrogate ? 0 : len);
        for (size_t cut = 1; cut < len; cut++)
            wrong += kb_utf8_sequence(bytes, cut) != 0;
    }
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(every_lead_and_second_byte_agrees_with_the_table_of_rfc_3629)
{
    static const uint8_t thirds[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    uint32_t wrong = 0;
    for (unsigned lead = 0; lead < 256; lead++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t i = 0; i < sizeof thirds; i++) {
                uint8_t bytes[4] = {(uint8_t)lead, (uint8_t)second, thirds[i], 0x80};
                for (size_t len = 1; len <= 4; len++)
                    wrong += kb_utf8_is_valid(kc_span(bytes, len)) != is_utf8_by_table(bytes, len);
            }
        }
    }
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(broken_text_is_replaced_in_the_pieces_that_java_takes)
{
    static const struct {
        const char *bytes;
        size_t len, taken;
    } cases[] = {
        {"\x80\x80", 2, 1},         /* no lead                              */
        {"\xc0\xaf", 2, 1},         /* over-long                            */
        {"\xe2\x82", 2, 2},         /* cut                                  */
        {"\xe2\x82x", 3, 2},        /* interrupted                          */
        {"\xe2x", 2, 1},            //
        {"\xe0\x9f\x80", 3, 1},     /* over-long: its second byte is wrong  */
        {"\xed\xa0\x80", 3, 3},     /* a surrogate                          */
        {"\xed\xa0", 2, 2},         /* the same, cut                        */
        {"\xf0\x9f\x98", 3, 3},     /* cut                                  */
        {"\xf4\x90\x80\x80", 4, 1}, /* above U+10FFFF                       */
        {"\xf5\x80", 2, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
        ck_assert_uint_eq(kb_utf8_sequence(bytes, cases[i].len), 0);
        ck_assert_uint_eq(kb_utf8_broken(bytes, cases[i].len), cases[i].taken);
    }
}
END_TEST

START_TEST(a_bad_byte_is_found_at_every_place_of_a_long_text)
{
    uint8_t text[40];
    memset(text, 'a', sizeof text);
    ck_assert(kb_utf8_is_valid(kc_span(text, sizeof text)));
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = 0xff;
        ck_assert(!kb_utf8_is_valid(kc_span(text, sizeof text)));
        text[i] = 'a';
    }
    ck_assert(kb_utf8_is_valid(KC_NULL));
}
END_TEST

START_TEST(cutting_drops_only_an_unfinished_last_character)
{
    kc_bytes text = KC_STR("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t len = 0; len <= text.len; len++)
        ck_assert_uint_eq(kb_utf8_cut(kc_span(text.ptr, len)), expected[len]);
    ck_assert_uint_eq(kb_utf8_cut(KC_STR("\x80\x80\x80\x80")), 4); // not ours to mend
}
END_TEST

START_TEST(plain8_finds_the_first_byte_that_needs_care)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        bool is_plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
        for (size_t at = 0; at < 8; at++) {
            uint8_t text[8];
            memset(text, 'a', sizeof text);
            text[at] = (uint8_t)byte;
            ck_assert_uint_eq(kb_text_plain8(text), is_plain ? 8 : at);
            memset(text + at, (int)byte, sizeof text - at);
            ck_assert_uint_eq(kb_text_plain8(text), is_plain ? 8 : at);
        }
    }
}
END_TEST

static void check_base64(const char *bytes, const char *padded, const char *url)
{
    kb_buf_reset(&buf);
    kb_base64_put(&buf, kc_str(bytes));
    ck_assert(kc_bytes_equal(kb_buf_bytes(&buf), kc_str(padded)));
    kb_buf_reset(&buf);
    ck_assert(kb_base64_get(&buf, kc_str(padded)));
    ck_assert(kc_bytes_equal(kb_buf_bytes(&buf), kc_str(bytes)));
    kb_buf_reset(&buf);
    kb_base64url_put(&buf, kc_str(bytes));
    ck_assert(kc_bytes_equal(kb_buf_bytes(&buf), kc_str(url)));
    kb_buf_reset(&buf);
    ck_assert(kb_base64url_get(&buf, kc_str(url)));
    ck_assert(kc_bytes_equal(kb_buf_bytes(&buf), kc_str(bytes)));
}

START_TEST(base64_gives_the_vectors_of_rfc_4648)
{
    open_buf();
    check_base64("", "", "");
    check_base64("f", "Zg==", "Zg");
    check_base64("fo", "Zm8=", "Zm8");
    check_base64("foo", "Zm9v", "Zm9v");
    check_base64("foob", "Zm9vYg==", "Zm9vYg");
    check_base64("fooba", "Zm9vYmE=", "Zm9vYmE");
    check_base64("foobar", "Zm9vYmFy", "Zm9vYmFy");
    check_base64("\xFB\xEF\xBE\xFF", "++++/w==", "----_w");
    close_buf();
}
END_TEST

START_TEST(base64_refuses_every_other_spelling)
{
    open_buf();
    static const char *const bad[] = {
        "Z",    "Zg",       "Zg=",      "Zg===", "=",     "==",      "====",   "Zm8",
        "Zm9=", "Zh==",     "Zm9v=",    "Zm 9v", "Zm9v ", " Zm9v",   "Zm9v\n", "Zg==Zg==",
        "Z===", "Zm9vYg=a", "Zm9vY=g=", "----",  "____",  "Zm9\x80", "Zm9*",   "Zm9v====",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!kb_base64_get(&buf, kc_str(bad[i])), "%s", bad[i]);
    static const char *const bad_url[] = {"Z",   "Zg==", "Zm8=", "Zh",
                                          "Zm9", "++++", "////", "Zm9vY"};
    for (size_t i = 0; i < sizeof bad_url / sizeof bad_url[0]; i++)
        ck_assert_msg(!kb_base64url_get(&buf, kc_str(bad_url[i])), "%s", bad_url[i]);
    ck_assert(!kb_base64_get(&buf, kc_span("Zm\0v", 4)));
    close_buf();
}
END_TEST

START_TEST(base64_and_hex_of_random_bytes_come_back)
{
    open_buf();
    kb_rand rand;
    kb_rand_init(&rand, 5);
    for (size_t len = 0; len < 200; len++) {
        uint8_t bytes[200];
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)kb_rand_u64(&rand);
        kc_bytes in = kc_span(bytes, len);
        for (int kind = 0; kind < 3; kind++) {
            static void (*const put[])(kb_buf *, kc_bytes) = {kb_base64_put, kb_base64url_put,
                                                              kb_hex_put};
            static bool (*const get[])(kb_buf *, kc_bytes) = {kb_base64_get, kb_base64url_get,
                                                              kb_hex_get};
            kb_buf_reset(&buf);
            put[kind](&buf, in);
            uint8_t text[500];
            size_t text_len = buf.len;
            memcpy(text, buf.data ? buf.data : text, text_len);
            kb_buf_reset(&buf);
            kb_buf_put(&buf, "before", 6); // decoding appends
            ck_assert(get[kind](&buf, kc_span(text, text_len)));
            ck_assert_uint_eq(buf.len, 6 + len);
            ck_assert(kc_bytes_equal(kc_span(buf.data + 6, len), in));
        }
    }
    close_buf();
}
END_TEST

START_TEST(hex_reads_both_cases_and_nothing_else)
{
    open_buf();
    kb_hex_put(&buf, KC_STR("\x00\x7f\xAB\xff"));
    ck_assert(kc_bytes_equal(kb_buf_bytes(&buf), KC_STR("007fabff")));
    kb_buf_reset(&buf);
    ck_assert(kb_hex_get(&buf, KC_STR("007FaBfF")));
    ck_assert(kc_bytes_equal(kb_buf_bytes(&buf), kc_span("\x00\x7f\xAB\xff", 4)));
    static const char *const bad[] = {"0",        "0g", "g0", "0x", "00 ",
                                      "\xC0\x80", "0@", "0`", "0/", "0:"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!kb_hex_get(&buf, kc_str(bad[i])), "%s", bad[i]);
    close_buf();
}
END_TEST

START_TEST(decoders_stop_at_the_limit_of_the_buffer)
{
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&buf, &mem, 3);
    ck_assert(kb_base64_get(&buf, KC_STR("Zm9v")));
    ck_assert(!kb_base64_get(&buf, KC_STR("Zg==")));
    ck_assert_int_eq(buf.err, KC_ERR_TOO_LARGE);
    kb_buf_reset(&buf);
    ck_assert(!kb_hex_get(&buf, KC_STR("00112233")));
    kb_buf_reset(&buf);
    kb_hex_put(&buf, kc_span("x", SIZE_MAX / 2 + 1)); // refused by its length, never read
    ck_assert_int_eq(buf.err, KC_ERR_TOO_LARGE);
    kb_buf_reset(&buf);
    kb_base64_put(&buf, kc_span("x", SIZE_MAX));
    ck_assert_int_eq(buf.err, KC_ERR_TOO_LARGE);
    close_buf();
}
END_TEST

START_TEST(integers_are_read_up_to_their_limits)
{
    int64_t i = 7;
    uint64_t u = 7;
    ck_assert(kb_parse_i64(KC_STR("9223372036854775807"), &i) && i == INT64_MAX);
    ck_assert(kb_parse_i64(KC_STR("-9223372036854775808"), &i) && i == INT64_MIN);
    ck_assert(kb_parse_i64(KC_STR("0"), &i) && i == 0);
    ck_assert(kb_parse_i64(KC_STR("-0"), &i) && i == 0);
    ck_assert(kb_parse_i64(KC_STR("-1"), &i) && i == -1);
    ck_assert(kb_parse_u64(KC_STR("18446744073709551615"), &u) && u == UINT64_MAX);
    i = 7;
    u = 7;
    ck_assert(!kb_parse_i64(KC_STR("9223372036854775808"), &i));
    ck_assert(!kb_parse_i64(KC_STR("-9223372036854775809"), &i));
    ck_assert(!kb_parse_u64(KC_STR("18446744073709551616"), &u));
    ck_assert(!kb_parse_u64(KC_STR("99999999999999999999999"), &u));
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "--1", "1-"};
    for (size_t n = 0; n < sizeof bad / sizeof bad[0]; n++) {
        ck_assert_msg(!kb_parse_i64(kc_str(bad[n]), &i), "%s", bad[n]);
        ck_assert_msg(!kb_parse_u64(kc_str(bad[n]), &u), "%s", bad[n]);
    }
    ck_assert(!kb_parse_u64(KC_STR("-1"), &u));
    ck_assert(!kb_parse_i64(KC_NULL, &i));
    ck_assert(i == 7 && u == 7); // a failure writes nothing
}
END_TEST

START_TEST(doubles_follow_json_syntax)
{
    double value = 7;
    static const char *const bad[] = {"",    "-",   "+1",   ".5",  "5.",    "1e",  "1e+",     "01",
                                      "-01", "00",  "0x1",  "inf", "nan",   "NaN", "1 ",      " 1",
                                      "1,5", "1_0", "1e5.", "--1", "1e1e1", "1f",  "Infinity"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!kb_parse_f64(kc_str(bad[i]), &value), "%s", bad[i]);
    ck_assert(value == 7);
    ck_assert(kb_parse_f64(KC_STR("-0"), &value) && value == 0 && signbit(value));
    ck_assert(kb_parse_f64(KC_STR("0.000e-5"), &value) && value == 0);
    ck_assert(kb_parse_f64(KC_STR("1E+2"), &value) && value == 100);
    ck_assert(kb_parse_f64(KC_STR("-1.5e-1"), &value) && value == -0.15);
    ck_assert(kb_parse_f64(kc_span("1.25xyz", 4), &value) && value == 1.25);
}
END_TEST

static void check_double(const char *text)
{
    double value = 7;
    double expected =
        strtod(text, NULL); // the C library rounds correctly; tests run in the C locale
    ck_assert_msg(kb_parse_f64(kc_str(text), &value), "%s", text);
    ck_assert_msg(memcmp(&value, &expected, sizeof value) == 0, "%s: %a, not %a", text, value,
                  expected);
}

START_TEST(doubles_are_rounded_correctly)
{
    static const char *const hard[] = {
        "0.1",
        "1e22",
        "1e23",
        "8.5e22",
        "9007199254740993",
        "9007199254740992.999999999999999999",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "4.9e-324",
        "2.4703282292062328e-324",
        "2.4703282292062327e-324",
        "1e-400",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000001e33",
        "1000000000000000000000000000000000000e-36",
        "6.02214076e23",
        "3.141592653589793238462643",
        "5e-324",
        "179769313486231570814e288",
        "0.1e1",
        "100000000000000016777215",
        "9214843084008499",
        "0.500000000000000166533453693773481063544750213623046875",
    };
    for (size_t i = 0; i < sizeof hard / sizeof hard[0]; i++)
        check_double(hard[i]);
    kb_rand rand;
    kb_rand_init(&rand, 11);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        int exponent = (int)kb_rand_below(&rand, 640) - 330;
        snprintf(text, sizeof text, "%s%llu.%llue%d", kb_rand_below(&rand, 2) ? "-" : "",
                 (unsigned long long)(kb_rand_u64(&rand) >> kb_rand_below(&rand, 64)),
                 (unsigned long long)(kb_rand_u64(&rand) >> kb_rand_below(&rand, 64)), exponent);
        double value;
        if (isinf(strtod(text, NULL)))
            ck_assert(!kb_parse_f64(kc_str(text), &value));
        else
            check_double(text);
    }
}
END_TEST

START_TEST(very_long_doubles_keep_their_last_digit)
{
    static char text[3000];
    // halfway between 1 and the next double: the digit 2,000 places behind decides
    size_t len = (size_t)snprintf(text, sizeof text, "%s",
                                  "1.00000000000000011102230246251565404236316680908203125");
    memset(text + len, '0', 2000);
    check_double(text);
    double value;
    ck_assert(kb_parse_f64(kc_str(text), &value) && value == 1);
    text[len + 2000] = '1';
    ck_assert(kb_parse_f64(kc_str(text), &value) && value > 1);
    memset(text, '9', 2500);
    ck_assert(!kb_parse_f64(kc_str(text), &value)); // too large
    memcpy(text + 2500, "e-2499", 7);
    check_double(text);
    memset(text, '0', 2500);
    memcpy(text, "0.", 2);
    memcpy(text + 2500, "1e2499", 7);
    check_double(text);
}
END_TEST

START_TEST(doubles_too_large_are_refused_and_too_small_are_zero)
{
    double value = 7;
    ck_assert(!kb_parse_f64(KC_STR("1e309"), &value));
    ck_assert(!kb_parse_f64(KC_STR("-1e99999999999999999999999999"), &value));
    ck_assert(value == 7);
    ck_assert(kb_parse_f64(KC_STR("1e-99999999999999999999999999"), &value) && value == 0);
    ck_assert(kb_parse_f64(KC_STR("0e99999999999999999999999999"), &value) && value == 0);
}
END_TEST

START_TEST(words_compare_without_regard_to_ascii_case)
{
    ck_assert(kb_text_is(KC_STR("GZip"), "gzip"));
    ck_assert(kb_text_is(KC_STR(""), ""));
    ck_assert(!kb_text_is(KC_STR("gzi"), "gzip"));
    ck_assert(!kb_text_is(KC_STR("gzipp"), "gzip"));
    ck_assert(!kb_text_is(KC_STR("[zip"), "{zip")); // 0x20 apart, but no letters
    ck_assert(!kb_text_is(kc_span("gzip\0", 5), "gzip"));
    ck_assert(!kb_text_is(KC_NULL, ""));
    ck_assert(kb_text_starts(KC_STR("dlq.x"), KC_STR("dlq.")));
    ck_assert(kb_text_starts(KC_STR("x"), KC_STR("")));
    ck_assert(!kb_text_starts(KC_STR("DLQ.x"), KC_STR("dlq.")));
    ck_assert(!kb_text_starts(KC_STR("dl"), KC_STR("dlq.")));
    ck_assert(!kb_text_starts(KC_NULL, KC_STR("")));
}
END_TEST

START_TEST(trimming_takes_blanks_off_both_ends_only)
{
    ck_assert(kc_bytes_equal(kb_text_trim(KC_STR(" \t a b\r\n ")), KC_STR("a b")));
    ck_assert(kc_bytes_equal(kb_text_trim(KC_STR(" \n ")), KC_STR("")));
    ck_assert(kc_bytes_equal(kb_text_trim(KC_STR("\va")), KC_STR("\va")));
    ck_assert_ptr_null(kb_text_trim(KC_NULL).ptr);
}
END_TEST

static void check_split(kc_bytes text, const char *joined)
{
    char out[64] = "";
    size_t len = 0;
    kc_bytes piece;
    while (kb_text_split(&text, ',', &piece)) {
        ck_assert_ptr_nonnull(piece.ptr);
        len += (size_t)snprintf(out + len, sizeof out - len, "[" KC_FMT "]", KC_ARG(piece));
    }
    ck_assert_str_eq(out, joined);
}

START_TEST(splitting_gives_one_piece_more_than_separators)
{
    check_split(KC_STR("a,,b"), "[a][][b]");
    check_split(KC_STR("a,"), "[a][]");
    check_split(KC_STR(","), "[][]");
    check_split(KC_STR("a"), "[a]");
    check_split(KC_STR(""), "[]");
    check_split(KC_NULL, "");
}
END_TEST

START_TEST(uuids_are_written_and_read_in_their_usual_form)
{
    kc_uuid id;
    char text[37];
    ck_assert(kb_uuid_parse(KC_STR("017F22E2-79b0-7cc3-98C4-dc0c0c07398f"), &id));
    ck_assert_uint_eq(id.bytes[0], 0x01);
    ck_assert_uint_eq(id.bytes[15], 0x8f);
    kb_uuid_format(id, text);
    ck_assert_str_eq(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    kc_uuid kept = id;
    static const char *const bad[] = {
        "",
        "017f22e279b07cc398c4dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398ff",
        "017f22e2-79b0-7cc3-98c4_dc0c0c07398f",
        "017f22e-279b0-7cc3-98c4-dc0c0c07398f",
        "g17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "{17f22e2-79b0-7cc3-98c4-dc0c0c07398}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!kb_uuid_parse(kc_str(bad[i]), &id), "%s", bad[i]);
    ck_assert_mem_eq(&id, &kept, sizeof id);
}
END_TEST
