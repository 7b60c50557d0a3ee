/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * RFC 3339 times. */
#include "protocol/base/text.h"

#include <check.h>
#include <stdio.h>

static void check_time(int64_t ms, const char *text)
{
    char out[25];
    int64_t back = -1;
    kb_time_format(ms, out);
    ck_assert_str_eq(out, text);
    ck_assert(kb_time_parse(kc_str(text), &back));
    ck_assert_int_eq(back, ms);
}

START_TEST(known_times_are_written_and_read)
{
    check_time(0, "1970-01-01T00:00:00.000Z");
    check_time(-1, "1969-12-31T23:59:59.999Z");
    check_time(951782400000, "2000-02-29T00:00:00.000Z");
    check_time(1795436102417, "2026-11-23T12:15:02.417Z");
    check_time(4107542399999, "2100-02-28T23:59:59.999Z");
    check_time(4107542400000, "2100-03-01T00:00:00.000Z"); // 2100 is no leap year
    check_time(-62167219200000, "0000-01-01T00:00:00.000Z");
    check_time(253402300799999, "9999-12-31T23:59:59.999Z");
}
END_TEST

START_TEST(every_day_of_ten_thousand_years_follows_the_one_before)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t ms = -62167219200000;
    for (int year = 0; year < 10000; year++) {
        bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (int month = 1; month <= 12; month++) {
            int days = month_days[month - 1] + (month == 2 && is_leap);
            for (int day = 1; day <= days; day++, ms += 86400000) {
                char expected[25];
                char out[25];
                if (day > 2 && day < days - 1)
                    continue;
                snprintf(expected, sizeof expected, "%04d-%02d-%02dT00:00:00.000Z",
                         (int)((unsigned)year % 10000), month, day);
                kb_time_format(ms, out);
                ck_assert_str_eq(out, expected);
            }
        }
    }
    ck_assert_int_eq(ms, 253402300800000);
}
END_TEST

START_TEST(times_out_of_range_are_clamped)
{
    char out[25];
    kb_time_format(INT64_MAX, out);
    ck_assert_str_eq(out, "9999-12-31T23:59:59.999Z");
    kb_time_format(INT64_MIN, out);
    ck_assert_str_eq(out, "0000-01-01T00:00:00.000Z");
}
END_TEST

static int64_t parsed(const char *text)
{
    int64_t ms = 0;
    ck_assert_msg(kb_time_parse(kc_str(text), &ms), "%s", text);
    return ms;
}

START_TEST(fractions_are_optional_of_any_length_and_cut)
{
    ck_assert_int_eq(parsed("1970-01-01T00:00:00Z"), 0);
    ck_assert_int_eq(parsed("1970-01-01T00:00:00.1Z"), 100);
    ck_assert_int_eq(parsed("1970-01-01T00:00:00.01Z"), 10);
    ck_assert_int_eq(parsed("1970-01-01T00:00:00.1239Z"), 123);
    ck_assert_int_eq(parsed("1970-01-01T00:00:00.999999999999999999999999Z"), 999);
    ck_assert_int_eq(parsed("1969-12-31T23:59:59.9999Z"), -1);
}
END_TEST

START_TEST(offsets_are_taken_off)
{
    ck_assert_int_eq(parsed("1970-01-01T01:00:00+01:00"), 0);
    ck_assert_int_eq(parsed("1969-12-31T16:30:00-07:30"), 0);
    ck_assert_int_eq(parsed("1970-01-01T00:00:00-00:00"), 0);
    ck_assert_int_eq(parsed("1970-01-01t00:00:00z"), 0);
    ck_assert_int_eq(parsed("1970-01-01T23:59:00+23:59"), 0);
    // the examples of RFC 3339 section 5.8
    ck_assert_int_eq(parsed("1985-04-12T23:20:50.52Z"), 482196050520);
    ck_assert_int_eq(parsed("1996-12-19T16:39:57-08:00"), parsed("1996-12-20T00:39:57Z"));
    ck_assert_int_eq(parsed("1937-01-01T12:00:27.87+00:20"), parsed("1937-01-01T11:40:27.870Z"));
}
END_TEST

START_TEST(a_leap_second_is_taken_at_the_end_of_a_utc_day_only)
{
    ck_assert_int_eq(parsed("1990-12-31T23:59:60Z"), parsed("1991-01-01T00:00:00Z"));
    ck_assert_int_eq(parsed("1990-12-31T15:59:60-08:00"), parsed("1991-01-01T00:00:00Z"));
    int64_t ms;
    ck_assert(!kb_time_parse(KC_STR("1990-12-31T23:58:60Z"), &ms));
    ck_assert(!kb_time_parse(KC_STR("1990-12-31T23:59:60-08:00"), &ms));
    ck_assert(!kb_time_parse(KC_STR("1990-12-31T23:59:61Z"), &ms));
}
END_TEST

START_TEST(anything_else_is_refused)
{
    static const char *const bad[] = {
        "",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00Z",
        "1970-01-01 00:00:00Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00Z ",
        " 1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00ZZ",
        "1970-1-01T00:00:00Z",
        "1970-01-1T00:00:00Z",
        "1970-01-01T0:00:00Z",
        "70-01-01T00:00:00Z",
        "+1970-01-01T00:00:00Z",
        "-970-01-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "1970-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+01:60",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+01",
        "1970-01-01T00:00:00*01:00",
        "1970/01/01T00:00:00Z",
        "1970-01-01T00:00:00\xC2\xA0Z",
    };
    int64_t ms = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!kb_time_parse(kc_str(bad[i]), &ms), "%s", bad[i]);
    ck_assert(!kb_time_parse(KC_NULL, &ms));
    kc_bytes good = KC_STR("1970-01-01T00:00:00.5+01:00");
    for (size_t len = 0; len < good.len; len++)
        ck_assert(!kb_time_parse(kc_span(good.ptr, len), &ms));
    ck_assert_int_eq(ms, 7);
}
END_TEST
