/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Lines of the demo come from what happened, and are compared with the story afterwards. */
#include "officeflow/cli/demo_story.h"

#include <stdarg.h>
#include <stdio.h>

static size_t expected_count(const story_act *act)
{
    size_t count = 0;
    while (act->expected[count])
        count++;
    return count;
}

void story_step(story_act *act, const char *step, int64_t wall_ms, const char *who, cli_style style,
                const char *fmt, ...)
{
    if (act->count < STORY_STEPS_MAX)
        snprintf(act->came[act->count], STORY_STEP_BYTES, "%s: %s", who, step);
    act->count++;
    char text[512], clock[16];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cli_styled(CLI_DIM, "  %s", cli_clock(wall_ms, clock));
    cli_styled(CLI_CYAN, "  %-17s", who);
    cli_printf("%-27s", act->type);
    cli_styled(style, "%s", cli_clean(text));
    cli_printf("\n");
    (void)cli_flush();
}

bool story_is_complete(const story_act *act)
{
    return act->count >= expected_count(act);
}

/** Length of "who" in "who: step". */
static size_t who_len(const char *step)
{
    const char *colon = strrchr(step, ':');
    return colon ? (size_t)(colon - step) : strlen(step);
}

static bool is_same_part(const char *a, const char *b)
{
    return who_len(a) == who_len(b) && strncmp(a, b, who_len(a)) == 0;
}

/** The step that came in the place of the `index`-th expected one, among those of its part; NULL: none. */
static const char *came_for(const story_act *act, size_t index)
{
    size_t before = 0;
    for (size_t i = 0; i < index; i++)
        before += is_same_part(act->expected[i], act->expected[index]) ? 1 : 0;
    for (size_t i = 0; i < act->count && i < STORY_STEPS_MAX; i++)
        if (is_same_part(act->came[i], act->expected[index]) && before-- == 0)
            return act->came[i];
    return NULL;
}

bool story_check(const story_act *act)
{
    size_t wanted = expected_count(act);
    bool is_ok = act->count == wanted;
    for (size_t i = 0; is_ok && i < wanted; i++) {
        const char *came = came_for(act, i);
        is_ok = came && strcmp(came, act->expected[i]) == 0;
    }
    if (is_ok) {
        cli_styled(CLI_GREEN, "  as told: ");
        cli_printf("%zu steps\n", act->count);
        return true;
    }
    cli_styled(CLI_RED, "  not as told");
    cli_printf(" (%s)\n", act->type);
    size_t shown = act->count < STORY_STEPS_MAX ? act->count : STORY_STEPS_MAX;
    for (size_t i = 0; i < wanted || i < shown; i++)
        cli_printf("    expected %-46s came %s\n", i < wanted ? act->expected[i] : "nothing",
                   i < shown ? act->came[i] : "nothing");
    return false;
}

void story_heading(int number, const char *title, const char *what)
{
    cli_printf("\n");
    cli_styled(CLI_BOLD, "%d  %s\n", number, title);
    cli_styled(CLI_DIM, "   %s\n", what);
    (void)cli_flush();
}
