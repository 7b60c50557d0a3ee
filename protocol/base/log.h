/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Where log lines go. One per client, reached from every layer. */
#ifndef KB_LOG_H
#define KB_LOG_H

#include <kafkac/types.h>

typedef struct kb_log {
    kc_log_fn fn; /**< NULL: silent                        */
    void *user;
    kc_log_level level; /**< lines above this are not made */
} kb_log;

static inline bool kb_log_is_on(const kb_log *log, kc_log_level level)
{
    return log && log->fn && level <= log->level;
}

/** One line; cut at 1,024 bytes. `log` may be NULL. */
void kb_log_line(const kb_log *log, kc_log_level level, const char *fmt, ...) KC_PRINTF(3, 4);

#endif
