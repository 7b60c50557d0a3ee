/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Log lines: levels, length, and what a broker's text can't do to them. */
#include "protocol/base/log.h"
#include "protocol/base/text.h"

#include <check.h>

typedef struct sink {
    int lines;
    kc_log_level level;
    char last[2000];
} sink;

static void on_line(kc_log_level level, const char *line, void *user)
{
    sink *to = user;
    to->lines++;
    to->level = level;
    ck_assert_uint_lt(strlen(line), sizeof to->last);
    memcpy(to->last, line, strlen(line) + 1);
}

START_TEST(lines_above_the_level_are_not_made)
{
    sink to = {0};
    kb_log log = {.fn = on_line, .user = &to, .level = KC_LOG_INFO};
    kb_log_line(&log, KC_LOG_DEBUG, "no");
    ck_assert_int_eq(to.lines, 0);
    kb_log_line(&log, KC_LOG_INFO, "broker %d", 3);
    ck_assert_int_eq(to.lines, 1);
    ck_assert_int_eq(to.level, KC_LOG_INFO);
    ck_assert_str_eq(to.last, "broker 3");
    kb_log_line(&log, KC_LOG_ERROR, "yes");
    ck_assert_int_eq(to.lines, 2);
}
END_TEST

START_TEST(no_log_and_no_function_are_silent)
{
    kb_log log = {.level = KC_LOG_DEBUG};
    kb_log_line(NULL, KC_LOG_ERROR, "x");
    kb_log_line(&log, KC_LOG_ERROR, "x");
    ck_assert(!kb_log_is_on(&log, KC_LOG_ERROR));
}
END_TEST

START_TEST(a_long_line_is_cut_between_characters)
{
    sink to = {0};
    kb_log log = {.fn = on_line, .user = &to, .level = KC_LOG_DEBUG};
    kb_log_line(&log, KC_LOG_INFO, "%0*d", 1024, 1);
    ck_assert_uint_eq(strlen(to.last), 1024);
    kb_log_line(&log, KC_LOG_INFO, "%0*d\xE2\x82\xAC", 1023, 1);
    ck_assert_uint_eq(strlen(to.last), 1023);
    ck_assert(kb_utf8_is_valid(kc_str(to.last)));
}
END_TEST

START_TEST(a_name_from_the_network_can_not_begin_a_new_line)
{
    sink to = {0};
    kb_log log = {.fn = on_line, .user = &to, .level = KC_LOG_DEBUG};
    kb_log_line(&log, KC_LOG_INFO, "topic %s", "a\r\nERROR\x1b[2J\x7f\tb\xC3\xA9");
    ck_assert_str_eq(to.last, "topic a  ERROR [2J  b\xC3\xA9");
}
END_TEST
