/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Filling a kc_error. */
#define _POSIX_C_SOURCE 200809L // strerror_r that returns int
#include "protocol/base/error.h"

#include "protocol/base/text.h"

#include <stdarg.h>
#include <stdio.h>

/** What stands for the rest of a text that is cut, and how far its end is moved for the sake of a word. */
#define MORE     "..."
#define WORD_MAX 24

/** All of the error but its text. */
static void set_facts(kc_error *err, kc_err code, int os_errno)
{
    err->code = code;
    err->os_errno = os_errno;
    err->flags = kc_err_flags(code);
    err->phase = KC_PHASE_LOCAL;
    err->broker_id = -1;
    err->api_key = -1;
    err->partition = -1;
    err->topic[0] = 0;
}

/** Make it shorter than `cap`: "..." in place of its end, behind a word where one ends near. */
static void shorten(char *text, size_t cap)
{
    size_t len = kb_utf8_cut(kc_span(text, cap - sizeof MORE));
    size_t word = len;
    while (word > len - WORD_MAX && text[word] != ' ')
        word--;
    if (text[word] == ' ')
        len = word;
    memcpy(text + len, MORE, sizeof MORE);
}

/** Through a copy: the arguments may well point into the old text of the same error. */
static void set_text(kc_error *err, const char *fmt, va_list args) KC_PRINTF(2, 0);

static void set_text(kc_error *err, const char *fmt, va_list args)
{
    char text[sizeof err->text];
    int len = vsnprintf(text, sizeof text, fmt, args);
    if (len < 0)
        text[0] = 0;
    else if ((size_t)len >= sizeof text)
        shorten(text, sizeof text);
    memcpy(err->text, text, strlen(text) + 1);
}

kc_err kb_error_set(kc_error *err, kc_err code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, fmt);
    set_text(err, fmt, args);
    va_end(args);
    set_facts(err, code, 0);
    return code;
}

kc_err kb_error_code(kc_error *err, kc_err code)
{
    return kb_error_set(err, code, "%s", kc_err_text(code));
}

kc_err kb_error_errno(kc_error *err, kc_err code, int os_errno, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, fmt);
    set_text(err, fmt, args);
    va_end(args);
    set_facts(err, code, os_errno);
    char reason[96];
    if (strerror_r(os_errno, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "errno %d", os_errno);
    // the reason is what the reader needs: a long sentence gives way to it
    size_t reason_len = strlen(reason) + 2;
    size_t len = strlen(err->text);
    if (len + reason_len >= sizeof err->text) {
        shorten(err->text, sizeof err->text - reason_len);
        len = strlen(err->text);
    }
    snprintf(err->text + len, sizeof err->text - len, ": %s", reason);
    return code;
}
