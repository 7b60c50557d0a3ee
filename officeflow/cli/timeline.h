/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What happened to a business transaction, in the order of time, for people. */
#ifndef CLI_TIMELINE_H
#define CLI_TIMELINE_H

#include "officeflow/cli/output.h"

#include <officeflow/dlq.h>

typedef struct cli_moment {
    int64_t wall_ms;
    int64_t early_ms; /**< sorted so much before its time  */
    size_t number;    /**< order of what has the same time */
    cli_style style;
    const char *who, *what, *detail, *place;
} cli_moment;

typedef struct cli_timeline {
    kb_arena *arena;
    cli_moment *items;
    size_t count, cap;
    bool is_failed; /**< out of memory */
} cli_timeline;

void cli_timeline_init(cli_timeline *timeline, kb_arena *arena);
/** Texts are copied. The same moment twice (time, who, what) is kept once. */
void cli_timeline_add(cli_timeline *timeline, int64_t wall_ms, cli_style style, const char *who,
                      const char *what, const char *detail, const char *place);
/** A hop, and the tries its dead letter remembers. */
void cli_timeline_add_hop(cli_timeline *timeline, const of_hop *hop);
/** Sorted by time. */
void cli_timeline_print(cli_timeline *timeline);
void cli_timeline_print_json(cli_timeline *timeline);

#endif
