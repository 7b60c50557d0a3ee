/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Patterns of topic names. */
#include "mock/topic_regex.h"

#include <check.h>

static bool matches(const char *pattern, const char *name)
{
    kb_mem mem;
    km_regex *regex = NULL;
    const char *reason = NULL;
    kb_mem_init(&mem, NULL, 0);
    kc_err err = km_regex_new(&mem, kc_str(pattern), &regex, &reason);
    ck_assert_msg(err == KC_OK, "%s: %s", pattern, reason ? reason : "");
    bool is_match = km_regex_matches(regex, kc_str(name));
    ck_assert_int_eq(km_regex_matches(regex, kc_str(name)), is_match);
    km_regex_free(regex);
    ck_assert_uint_eq(mem.used, 0);
    return is_match;
}

static const char *invalid(const char *pattern)
{
    kb_mem mem;
    km_regex *regex = NULL;
    const char *reason = NULL;
    kb_mem_init(&mem, NULL, 0);
    ck_assert_msg(km_regex_new(&mem, kc_str(pattern), &regex, &reason) == KC_ERR_ARGUMENT,
                  "%s is valid", pattern);
    ck_assert_uint_eq(mem.used, 0);
    return reason;
}

static const struct {
    const char *pattern;
    const char *yes;
    const char *no;
} cases[] = {
    {"orders", "orders", "orders2"},
    {"orders", "orders", "my-orders"},
    {".*", "", NULL},
    {"orders-.*", "orders-eu", "orders"},
    {"^orders$", "orders", "order"},
    {"a|bc|d", "bc", "abc"},
    {"(a|b)+c", "ababc", "c"},
    {"x(?:yz)?", "xyz", "xy"},
    {"[a-c]{2,3}", "abc", "abca"},
    {"[a-c]{2,3}", "ab", "a"},
    {"a{3}", "aaa", "aa"},
    {"a{2,}b", "aaaab", "ab"},
    {"(ab){0,2}", "abab", "ababab"},
    {"a{0}b", "b", "ab"},
    {"a{x", "a{x", "a"},
    {"[^.]+\\.v\\d+", "orders.v12", "orders.vx"},
    {"[\\w.-]+", "a_b.c-d", "a b"},
    {"[]a]+", "]a]", "b"},
    {"[[:alpha:]_]+", "ab_c", "a1"},
    {"(?i)ORDERS", "orders", "order"},
    {"(?i:A)b", "ab", "aB"},
    {"\\Qa.b\\E+", "a.bb", "axb"},
    {"\\bfoo\\b.*", "foo-bar", "foobar"},
    {"a*?b", "aab", "a"},
    {"(a*)*b", "aaab", "aaa"},
    {"(?P<n>a)(?<m>b)", "ab", "a"},
    {"\\x61\\x{62}", "ab", "a"},
    {"a||b", "", "ab"},
    {"\\D\\S\\W", "ab-", "1b-"},
};

START_TEST(patterns_match_whole_names)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(matches(cases[i].pattern, cases[i].yes), "%s is not %s", cases[i].yes,
                      cases[i].pattern);
        if (cases[i].no)
            ck_assert_msg(!matches(cases[i].pattern, cases[i].no), "%s is %s", cases[i].no,
                          cases[i].pattern);
    }
}
END_TEST

START_TEST(what_is_no_pattern_is_refused_with_the_reason)
{
    static const char *const patterns[] = {
        "(a",      "a)",      "[a",     "*",       "a**",
        "a{2}{3}", "a{1001}", "a{3,2}", "[z-a]",   "\\",
        "a\\1",    "\\y",     "(?=a)",  "(?<=a)b", "[[:nope:]]",
        "\\xg",    "\\p{L}",  "(?P<a",  "+a",      "((a{1000}){1000}){1000}",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        ck_assert_ptr_nonnull(invalid(patterns[i]));
    ck_assert_str_eq(invalid("[a"), "missing closing ]");
}
END_TEST

START_TEST(a_hostile_pattern_takes_neither_stack_nor_time)
{
    static char deep[KM_REGEX_BYTES_MAX + 1];
    memset(deep, '(', KM_REGEX_BYTES_MAX);
    invalid(deep);
    char name[201];
    memset(name, 'a', 200);
    name[200] = 0;
    ck_assert(!matches("(a*)*(a*)*(a*)*(a|a)*(a?){100}b", name));
    ck_assert(matches("(a?){200}a{200}", name));
}
END_TEST

START_TEST(whatever_the_bytes_are_a_pattern_is_compiled_or_refused)
{
    static const char letters[] = "ab()[]{}|*+?\\^$.-,019dwsQEb:iP<>xz";
    uint64_t state = 7;
    for (int round = 0; round < 20000; round++) {
        kb_mem mem;
        uint8_t pattern[24];
        size_t len = 0;
        for (; len < sizeof pattern; len++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            pattern[len] = (uint8_t)letters[(state >> 33) % (sizeof letters - 1)];
        }
        km_regex *regex = NULL;
        const char *reason = NULL;
        kb_mem_init(&mem, NULL, 0);
        kc_err err =
            km_regex_new(&mem, kc_span(pattern, (size_t)(state >> 40) % len), &regex, &reason);
        ck_assert(err == KC_OK || reason);
        if (regex)
            km_regex_matches(regex, KC_STR("ab-01.dws"));
        km_regex_free(regex);
        ck_assert_uint_eq(mem.used, 0);
    }
}
END_TEST
