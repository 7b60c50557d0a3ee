/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What kc_client_explain() says, for tests that expect a sentence. */
#ifndef EXPLAIN_TEXT_H
#define EXPLAIN_TEXT_H

#include <kafkac/client.h>

#include <check.h>
#include <stdio.h>
#include <string.h>

/** All lines, each ended by a line feed. */
typedef struct explain_text {
    char text[32768];
    size_t len, lines;
} explain_text;

static inline void explain_take(kc_bytes line, void *user)
{
    explain_text *all = user;
    ck_assert_uint_eq(line.ptr[line.len], 0);
    ck_assert_ptr_null(memchr(line.ptr, '\n', line.len));
    ck_assert_uint_lt(all->len + line.len + 2, sizeof all->text);
    memcpy(all->text + all->len, line.ptr, line.len);
    all->len += line.len;
    all->text[all->len++] = '\n';
    all->text[all->len] = 0;
    all->lines++;
}

/** Static storage. */
static inline explain_text *explain_all(kc_client *client)
{
    static explain_text all;
    all.len = all.lines = 0;
    all.text[0] = 0;
    ck_assert_int_eq(kc_client_explain(client, explain_take, &all), KC_OK);
    return &all;
}

static inline bool explain_has(const explain_text *all, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = all->text; (at = strstr(at, line)); at += len)
        if ((at == all->text || at[-1] == '\n') && at[len] == '\n')
            return true;
    return false;
}

/** One of the lines is exactly this. */
#define expect_line(client, line)                                                                  \
    do {                                                                                           \
        const explain_text *explained = explain_all(client);                                       \
        ck_assert_msg(explain_has(explained, line), "\"%s\" is not in\n%s", line,                  \
                      explained->text);                                                            \
    } while (0)

/** This is all it says; `lines` as they are kept. */
#define expect_all(client, lines) ck_assert_str_eq(explain_all(client)->text, lines)

#endif
