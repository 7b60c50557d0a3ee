/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sentences of an explanation: durations, sizes, lists, and lines that stay lines. */
#include "protocol/base/explain.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

START_TEST(durations_are_as_exact_as_people_need_them)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {INT64_MIN, "0 ms"},     {-1, "0 ms"},
        {999, "0 ms"},           {3000, "3 ms"},
        {99999, "99 ms"},        {100000, "0.1 s"},
        {2199999, "2.1 s"},      {30000000, "30 s"},
        {30099999, "30 s"},      {99900000, "99.9 s"},
        {100900000, "100 s"},    {300000000, "300 s"},
        {599999999, "599 s"},    {600000000, "10 min"},
        {7200000000, "120 min"}, {INT64_MAX, "153722867280 min"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq(kb_duration(cases[i].us).text, cases[i].text);
}
END_TEST

START_TEST(sizes_and_counts_are_in_words)
{
    ck_assert_str_eq(kb_size(0).text, "0 bytes");
    ck_assert_str_eq(kb_size(1).text, "1 byte");
    ck_assert_str_eq(kb_size(1023).text, "1023 bytes");
    ck_assert_str_eq(kb_size(1536).text, "1.5 KiB");
    ck_assert_str_eq(kb_size(33554432).text, "32.0 MiB");
    ck_assert_str_eq(kb_size(UINT64_MAX).text, "15.9 EiB");
    ck_assert_str_eq(kb_count(0, "record").text, "0 records");
    ck_assert_str_eq(kb_count(1, "record").text, "1 record");
    ck_assert_str_eq(kb_count(12, "record").text, "12 records");
}
END_TEST

static char taken[4096];
static void take(kc_bytes line, void *user)
{
    size_t *calls = user;
    ++*calls;
    ck_assert_uint_lt(line.len, sizeof taken);
    memcpy(taken, line.ptr, line.len + 1);
    ck_assert_uint_eq(strlen(taken), line.len);
}

START_TEST(a_line_is_cut_between_characters_and_holds_no_control_characters)
{
    size_t calls = 0;
    kb_explain out = {.fn = take, .user = &calls};
    kb_explain_line(&out, "%s", "a\nb\r\x1b[2J\x7f");
    ck_assert_str_eq(taken, "a b  [2J ");
    char text[2048];
    memset(text, 'x', sizeof text);
    memcpy(text + 1023, "\xc3\xa4", 2);
    text[sizeof text - 1] = 0;
    kb_explain_line(&out, "%s", text);
    ck_assert_uint_eq(strlen(taken), 1023);
    ck_assert_uint_eq(calls, 2);
    ck_assert_uint_eq(out.lines, 2);
}
END_TEST

START_TEST(a_list_is_cut_and_the_rest_counted)
{
    size_t calls = 0;
    kb_explain out = {.fn = take, .user = &calls};
    kb_explain_list list = {0};
    for (int i = 0; i < KB_EXPLAIN_LIST_MAX; i++)
        ck_assert(kb_explain_next(&list));
    kb_explain_rest(&out, &list, "partitions");
    ck_assert_uint_eq(calls, 0);
    ck_assert(!kb_explain_next(&list));
    ck_assert(!kb_explain_next(&list));
    kb_explain_rest(&out, &list, "partitions");
    ck_assert_str_eq(taken, "and 2 more partitions");
}
END_TEST
