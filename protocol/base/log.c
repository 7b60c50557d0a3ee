/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Makes one log line and hands it on. */
#include "protocol/base/log.h"

#include "protocol/base/text.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_BYTES 1024

void kb_log_line(const kb_log *log, kc_log_level level, const char *fmt, ...)
{
    if (!kb_log_is_on(log, level))
        return;
    char line[LINE_MAX_BYTES + 1];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (len < 0)
        return;
    if (len > LINE_MAX_BYTES)
        line[kb_utf8_cut(kc_span(line, LINE_MAX_BYTES))] = 0;
    kb_text_tame(line);
    log->fn(level, line, log->user);
}
