/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Makes the sentences of an explanation. */
#include "protocol/base/explain.h"

#include "protocol/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void kb_explain_line(kb_explain *out, const char *fmt, ...)
{
    char line[KB_LINE_BYTES_MAX + 1];
    va_list args;
    va_start(args, fmt);
    bool is_made = kb_text_line(line, fmt, args);
    va_end(args);
    if (!is_made)
        return;
    out->lines++;
    out->fn(kc_str(line), out->user);
}

void kb_explain_rest(kb_explain *out, const kb_explain_list *list, const char *what)
{
    if (list->left_out > 0)
        kb_explain_line(out, "and %zu more %s", list->left_out, what);
}

kb_word kb_duration(int64_t us)
{
    kb_word word;
    int64_t ms = us > 0 ? us / 1000 : 0;
    if (ms < 100)
        snprintf(word.text, sizeof word.text, "%d ms", (int)ms);
    else if (ms < 100000 && ms % 1000 >= 100)
        snprintf(word.text, sizeof word.text, "%d.%d s", (int)(ms / 1000), (int)(ms % 1000 / 100));
    else if (ms < 600000)
        snprintf(word.text, sizeof word.text, "%d s", (int)(ms / 1000));
    else
        snprintf(word.text, sizeof word.text, "%" PRId64 " min", ms / 60000);
    return word;
}

kb_word kb_size(uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    kb_word word;
    if (bytes < 1024) {
        snprintf(word.text, sizeof word.text, "%d byte%s", (int)bytes, bytes == 1 ? "" : "s");
        return word;
    }
    size_t unit = 0;
    for (; bytes >= (uint64_t)1024 * 1024; bytes /= 1024)
        unit++;
    snprintf(word.text, sizeof word.text, "%d.%d %s", (int)(bytes / 1024),
             (int)(bytes % 1024 * 10 / 1024), units[unit]);
    return word;
}

kb_word kb_count(uint64_t count, const char *singular)
{
    kb_word word;
    snprintf(word.text, sizeof word.text, "%" PRIu64 " %s%s", count, singular,
             count == 1 ? "" : "s");
    return word;
}
