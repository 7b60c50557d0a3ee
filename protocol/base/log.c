/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Makes one log line and hands it on. */
#include "protocol/base/log.h"

#include "protocol/base/text.h"

#include <stdarg.h>

void kb_log_line(const kb_log *log, kc_log_level level, const char *fmt, ...)
{
    if (!kb_log_is_on(log, level))
        return;
    char line[KB_LINE_BYTES_MAX + 1];
    va_list args;
    va_start(args, fmt);
    bool is_made = kb_text_line(line, fmt, args);
    va_end(args);
    if (!is_made)
        return;
    log->fn(level, line, log->user);
}
