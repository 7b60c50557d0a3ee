/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The demo's memory: what was told of each act, beside what the story says should be told. */
#ifndef CLI_DEMO_STORY_H
#define CLI_DEMO_STORY_H

#include "officeflow/cli/output.h"

#define STORY_STEPS_MAX  24
#define STORY_STEP_BYTES 72

/** One act: an event type, the steps expected, the steps that came. */
typedef struct story_act {
    const char *type;
    const char *const *expected; /**< "who: step", NULL-terminated */
    char came[STORY_STEPS_MAX][STORY_STEP_BYTES];
    size_t count;
} story_act;

/** Note a step as it happens ("who: step"), and print its line: time, who, type, what. */
void story_step(story_act *act, const char *step, int64_t wall_ms, const char *who, cli_style style,
                const char *fmt, ...) KC_PRINTF(6, 7);
/** All expected steps came (in whatever order), or more. */
bool story_is_complete(const story_act *act);
/** Compare; what differs is printed. The steps of one of the parts come in the order of the story; those of two may
 *  come in any: an acknowledgement and the record it is about travel on connections of their own. What stands before
 *  the last colon is the part, so "dlq-handler: acknowledged: ..." is one beside "dlq-handler: ...". */
bool story_check(const story_act *act);
/** A heading. */
void story_heading(int number, const char *title, const char *what);

#endif
