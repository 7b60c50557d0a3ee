/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The pattern language of topics and types. */
#include <officeflow/topics.h>

#include <check.h>

static bool matches(const char *pattern, const char *name)
{
    return of_pattern_match(kc_str(pattern), kc_str(name));
}

static bool is_valid(const char *pattern)
{
    kc_error err;
    return of_pattern_check(kc_str(pattern), &err) == KC_OK;
}

/* G-01 */
START_TEST(one_star_is_one_segment)
{
    ck_assert(matches("employee.onboard.*", "employee.onboard.org-1"));
    ck_assert(!matches("employee.onboard.*", "employee.onboard"));
    ck_assert(!matches("employee.onboard.*", "employee.onboard.a.b"));
    ck_assert(!matches("employee.onboard.*", "dlq.employee.onboard.org-1"));
}
END_TEST

START_TEST(dots_of_a_pattern_are_dots)
{
    ck_assert(!matches("employee.onboard.*", "employeeXonboard.org-1"));
    ck_assert(!matches("a.b", "aXb"));
    ck_assert(matches("a.b", "a.b"));
}
END_TEST

START_TEST(two_stars_are_one_or_more_segments)
{
    ck_assert(matches("employee.**", "employee.onboard"));
    ck_assert(matches("employee.**", "employee.onboard.org-1"));
    ck_assert(!matches("employee.**", "employee"));
    ck_assert(!matches("employee.**", "employees.onboard"));
    ck_assert(matches("**", "anything"));
    ck_assert(matches("**", "any.thing.at.all"));
}
END_TEST

START_TEST(star_in_the_middle_is_one_segment)
{
    ck_assert(matches("*.*.result", "email.send.result"));
    ck_assert(!matches("*.*.result", "email.result"));
    ck_assert(!matches("*.*.result", "a.b.c.result"));
    ck_assert(!matches("*.*.result", "email.send.request"));
}
END_TEST

START_TEST(wildcards_never_reach_the_platforms_topics)
{
    static const char *const names[] = {"dlq.a", "retry.g.1m", "quarantine.a", "officeflow.control",
                                        "__consumer_offsets"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_msg(!matches("**", names[i]), "%s", names[i]);
        ck_assert_msg(!matches("*.**", names[i]), "%s", names[i]);
        ck_assert_msg(!matches("*", names[i]), "%s", names[i]);
    }
}
END_TEST

START_TEST(reserved_first_segment_is_matched_when_named)
{
    ck_assert(matches("dlq.**", "dlq.employee.onboard.org-1"));
    ck_assert(matches("dlq.**", "dlq.audit.events"));
    ck_assert(!matches("dlq.**", "dlq"));
    ck_assert(matches("retry.email-service.*", "retry.email-service.1m"));
    ck_assert(!matches("retry.email-service.*", "retry.calendar-service.1m"));
    ck_assert(matches("officeflow.control", "officeflow.control"));
}
END_TEST

START_TEST(reserved_is_the_whole_segment_only)
{
    ck_assert(matches("*", "dlqs"));
    ck_assert(matches("**", "retrying.things"));
    ck_assert(!matches("**", "__anything"));
}
END_TEST

START_TEST(empty_segments_match_nothing)
{
    ck_assert(!matches("a.*", "a."));
    ck_assert(!matches("**", ""));
    ck_assert(!matches("*", ""));
    ck_assert(!matches("a.**", "a."));
    ck_assert(!matches("a.**", "a.b."));
    ck_assert(!matches("a.**", "a..b"));
}
END_TEST

START_TEST(valid_patterns_pass_the_check)
{
    ck_assert(is_valid("employee.onboard.*"));
    ck_assert(is_valid("**"));
    ck_assert(is_valid("a-b.c_d.E9.**"));
}
END_TEST

START_TEST(bad_patterns_are_refused)
{
    char longest[KC_TOPIC_NAME_MAX + 2];
    ck_assert(!is_valid(""));
    ck_assert(!is_valid("a..b"));
    ck_assert(!is_valid("a."));
    ck_assert(!is_valid("**.a"));
    ck_assert(!is_valid("a.b*"));
    ck_assert(!is_valid("a.***"));
    ck_assert(!is_valid("a b"));
    ck_assert(!is_valid("a/b"));
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    ck_assert(!is_valid(longest));
    longest[sizeof longest - 2] = 0;
    ck_assert(is_valid(longest));
}
END_TEST
