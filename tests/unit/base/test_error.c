/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Errors: what a kc_error is filled with, and the facts about each code. */
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>

static kc_error filled(void)
{
    kc_error err;
    memset(&err, 0x7f, sizeof err);
    return err;
}

static void check_no_place(const kc_error *err)
{
    ck_assert_int_eq(err->phase, KC_PHASE_LOCAL);
    ck_assert_int_eq(err->broker_id, -1);
    ck_assert_int_eq(err->api_key, -1);
    ck_assert_int_eq(err->partition, -1);
    ck_assert_str_eq(err->topic, "");
}

START_TEST(setting_an_error_fills_all_of_it)
{
    kc_error err = filled();
    ck_assert_int_eq(kb_error_set(&err, KC_ERR_TIMEOUT, "no answer in %d ms", 500), KC_ERR_TIMEOUT);
    ck_assert_int_eq(err.code, KC_ERR_TIMEOUT);
    ck_assert_int_eq(err.os_errno, 0);
    ck_assert_uint_eq(err.flags, KC_ERRF_RETRIABLE);
    ck_assert_str_eq(err.text, "no answer in 500 ms");
    check_no_place(&err);
}
END_TEST

START_TEST(a_null_error_is_allowed_everywhere)
{
    ck_assert_int_eq(kb_error_set(NULL, KC_ERR_STATE, "%s", "x"), KC_ERR_STATE);
    ck_assert_int_eq(kb_error_code(NULL, KC_ERR_STATE), KC_ERR_STATE);
    ck_assert_int_eq(kb_error_errno(NULL, KC_ERR_IO, ENOENT, "x"), KC_ERR_IO);
}
END_TEST

START_TEST(the_old_text_may_be_part_of_the_new)
{
    kc_error err;
    kb_error_set(&err, KC_ERR_CONNECT, "refused");
    kb_error_set(&err, KC_ERR_NO_BROKER, "no broker: %s", err.text);
    ck_assert_str_eq(err.text, "no broker: refused");
}
END_TEST

START_TEST(a_long_text_is_cut_between_characters)
{
    char text[600];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', shift);
        for (size_t i = 0; i < 100; i++)
            memcpy(text + shift + i * 4, "\xF0\x9F\x98\x80", 4);
        text[shift + 400] = 0;
        kc_error err = filled();
        kb_error_set(&err, KC_ERR_ARGUMENT, "%s", text);
        ck_assert(kb_utf8_is_valid(kc_str(err.text)));
        ck_assert_uint_gt(strlen(err.text), 251);
        ck_assert_uint_lt(strlen(err.text), sizeof err.text);
        ck_assert_str_eq(err.text + strlen(err.text) - 3, "...");
    }
}
END_TEST

START_TEST(a_long_text_is_cut_behind_a_word)
{
    char text[600] = "";
    kc_error err = filled();
    while (strlen(text) < 300)
        strcat(text, "is it running? ");
    kb_error_set(&err, KC_ERR_ARGUMENT, "%s", text);
    size_t len = strlen(err.text);
    ck_assert_str_eq(err.text + len - 9, " is it...");
    ck_assert_uint_gt(len, sizeof err.text - 16);
    text[sizeof err.text - 1] = 0; // as long as may be: nothing is cut
    kb_error_set(&err, KC_ERR_ARGUMENT, "%s", text);
    ck_assert_str_eq(err.text, text);
}
END_TEST

START_TEST(the_standard_sentence_goes_with_the_code)
{
    kc_error err = filled();
    ck_assert_int_eq(kb_error_code(&err, KC_ERR_NOMEM), KC_ERR_NOMEM);
    ck_assert_str_eq(err.text, kc_err_text(KC_ERR_NOMEM));
    ck_assert_int_eq(kb_error_code(&err, 3), 3);
    ck_assert_str_eq(err.text, kc_err_text(3));
    ck_assert_uint_eq(err.flags, KC_ERRF_RETRIABLE | KC_ERRF_REFRESH_METADATA);
    check_no_place(&err);
}
END_TEST

START_TEST(a_system_error_keeps_errno_and_says_its_reason)
{
    kc_error err = filled();
    ck_assert_int_eq(kb_error_errno(&err, KC_ERR_IO, ENOENT, "can't open %s", "x"), KC_ERR_IO);
    ck_assert_int_eq(err.os_errno, ENOENT);
    ck_assert_int_eq(err.code, KC_ERR_IO);
    ck_assert_str_eq(err.text, "can't open x: No such file or directory");
    check_no_place(&err);
    kb_error_errno(&err, KC_ERR_IO, 99999, "odd");
    ck_assert_int_eq(strncmp(err.text, "odd: ", 5), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "99999"));
}
END_TEST

START_TEST(the_reason_of_a_system_error_survives_a_long_sentence)
{
    kc_error err = filled();
    kb_error_errno(&err, KC_ERR_IO, ENOENT, "%0300d", 1);
    size_t len = strlen(err.text);
    ck_assert_uint_eq(len, sizeof err.text - 1);
    ck_assert_str_eq(err.text + len - 30, "...: No such file or directory");
}
END_TEST

static kc_err try_it(kc_err code, int *steps)
{
    ++*steps;
    KB_TRY(code);
    ++*steps;
    return KC_OK;
}

START_TEST(try_returns_errors_and_passes_success)
{
    int steps = 0;
    ck_assert_int_eq(try_it(KC_ERR_CRC, &steps), KC_ERR_CRC);
    ck_assert_int_eq(steps, 1);
    ck_assert_int_eq(try_it(KC_OK, &steps), KC_OK);
    ck_assert_int_eq(steps, 3);
}
END_TEST

START_TEST(each_of_our_codes_has_its_own_name_and_sentence)
{
    for (kc_err code = KC_ERR_NOMEM; code >= KC_ERR_AUTH; code--) {
        ck_assert_msg(strncmp(kc_err_name(code), "KC_ERR_", 7) == 0, "%d", code);
        for (kc_err other = KC_ERR_NOMEM; other > code; other--) {
            ck_assert_str_ne(kc_err_name(code), kc_err_name(other));
            ck_assert_str_ne(kc_err_text(code), kc_err_text(other));
        }
    }
    ck_assert_str_eq(kc_err_name(KC_ERR_NOMEM), "KC_ERR_NOMEM");
    ck_assert_str_eq(kc_err_name(KC_ERR_CRC), "KC_ERR_CRC");
    ck_assert_str_eq(kc_err_name(KC_ERR_AUTH), "KC_ERR_AUTH");
    ck_assert_uint_eq(kc_err_flags(KC_ERR_AUTH), KC_ERRF_AUTH | KC_ERRF_CONFIG);
    ck_assert_uint_eq(kc_err_flags(KC_ERR_TOO_LARGE), 0);
}
END_TEST

START_TEST(each_broker_code_has_its_own_name_and_sentence)
{
    int known = 0;
    for (kc_err code = -1; code < 200; code++) {
        if (strcmp(kc_err_name(code), "UNKNOWN_CODE") == 0)
            continue;
        known++;
        ck_assert_str_ne(kc_err_text(code), kc_err_text(30000)); // not the stopgap
        for (kc_err other = -1; other < code; other++)
            ck_assert_msg(strcmp(kc_err_text(code), kc_err_text(other)) != 0, "%d and %d", code,
                          other);
    }
    ck_assert_int_ge(known, 135);
    ck_assert_str_eq(kc_err_name(KC_OK), "NONE");
    ck_assert_str_eq(kc_err_name(6), "NOT_LEADER_OR_FOLLOWER");
    ck_assert_str_eq(kc_err_name(-1), "UNKNOWN_SERVER_ERROR");
    ck_assert_uint_eq(kc_err_flags(KC_OK), 0);
}
END_TEST

START_TEST(unknown_codes_have_a_name_and_a_sentence_too)
{
    static const kc_err codes[] = {-2,    -999,  -1025, -2000,     30000,
                                   40000, 65536, 65542, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        ck_assert_str_eq(kc_err_name(codes[i]), "UNKNOWN_CODE");
        ck_assert_uint_gt(strlen(kc_err_text(codes[i])), 10);
        ck_assert_uint_eq(kc_err_flags(codes[i]), 0);
    }
}
END_TEST

START_TEST(every_sentence_fits_into_an_error)
{
    for (kc_err code = -1100; code < 200; code++) {
        kc_error err;
        kb_error_code(&err, code);
        ck_assert_str_eq(err.text, kc_err_text(code));
    }
}
END_TEST
