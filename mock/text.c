/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sentences, short enough for any answer. */
#include "mock/text.h"

#include "protocol/base/text.h"

#include <stdarg.h>
#include <stdio.h>

kc_bytes km_text_cut(kc_bytes text)
{
    if (text.len <= KM_TEXT_BYTES_MAX)
        return text;
    return kc_span(text.ptr, kb_utf8_cut(kc_span(text.ptr, KM_TEXT_BYTES_MAX)));
}

const char *km_text(kb_arena *arena, const char *fmt, ...)
{
    /* One byte more than is told, so that it is seen that there is more. */
    char line[KM_TEXT_BYTES_MAX + 2];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    kc_bytes told = len < 0 ? KC_NULL : km_text_cut(kc_str(line));
    char *text = told.ptr ? kb_arena_alloc(arena, told.len + 1) : NULL;
    if (text) {
        memcpy(text, told.ptr, told.len);
        text[told.len] = 0;
    }
    return text;
}
