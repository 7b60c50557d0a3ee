/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The timeline: hops of a correlation id as moments, merged and printed. */
#include "officeflow/cli/timeline.h"

#include "protocol/base/text.h"

#include <stdio.h>
#include <stdlib.h>

#define CLOCK_GRAIN_MS 8

void cli_timeline_init(cli_timeline *timeline, kb_arena *arena)
{
    *timeline = (cli_timeline){.arena = arena};
}

static bool is_known(const cli_timeline *timeline, const cli_moment *moment)
{
    for (size_t i = 0; i < timeline->count; i++) {
        const cli_moment *other = &timeline->items[i];
        if (other->wall_ms == moment->wall_ms && strcmp(other->who, moment->who) == 0 &&
            strcmp(other->what, moment->what) == 0 && strcmp(other->detail, moment->detail) == 0 &&
            strcmp(other->place, moment->place) == 0)
            return true;
    }
    return false;
}

static cli_moment *new_moment(cli_timeline *timeline)
{
    if (timeline->count < timeline->cap)
        return &timeline->items[timeline->count];
    size_t cap = timeline->cap ? timeline->cap * 2 : 64;
    cli_moment *grown = kb_arena_array(timeline->arena, cap, sizeof *grown);
    if (!grown)
        return NULL;
    if (timeline->count > 0)
        memcpy(grown, timeline->items, timeline->count * sizeof *grown);
    timeline->items = grown;
    timeline->cap = cap;
    return &timeline->items[timeline->count];
}

static const char *copy(cli_timeline *timeline, const char *text)
{
    char *own = kb_arena_printf(timeline->arena, "%s", text);
    return own ? cli_clean(own) : NULL;
}

void cli_timeline_add(cli_timeline *timeline, int64_t wall_ms, cli_style style, const char *who,
                      const char *what, const char *detail, const char *place)
{
    cli_moment moment = {.wall_ms = wall_ms,
                         .number = timeline->count,
                         .style = style,
                         .who = copy(timeline, who),
                         .what = copy(timeline, what),
                         .detail = copy(timeline, detail),
                         .place = copy(timeline, place)};
    if (!moment.who || !moment.what || !moment.detail || !moment.place) {
        timeline->is_failed = true;
        return;
    }
    if (is_known(timeline, &moment))
        return;
    cli_moment *to = new_moment(timeline);
    timeline->is_failed |= !to;
    if (to) {
        *to = moment;
        timeline->count++;
    }
}

/** Tries a dead letter remembers: [{"n":1,"t":...,"stage":...,"class":...,"code":...}, ...] */
static void add_history(cli_timeline *timeline, const of_hop *hop, const char *who)
{
    char pointer[32], what[48], detail[160];
    for (int i = 0; i < 64; i++) {
        snprintf(pointer, sizeof pointer, "/%d", i);
        kc_bytes entry = kb_json_pointer(hop->history, pointer);
        if (!entry.ptr)
            return;
        int64_t n = 0, t = 0;
        kb_json_i64(kb_json_pointer(entry, "/n"), &n);
        kb_json_i64(kb_json_pointer(entry, "/t"), &t);
        kc_bytes stage = kb_json_pointer_text(entry, "/stage", timeline->arena);
        kc_bytes code = kb_json_pointer_text(entry, "/code", timeline->arena);
        snprintf(what, sizeof what, "try %lld failed", (long long)n);
        snprintf(detail, sizeof detail, "%.*s%s" KC_FMT, (int)stage.len, (const char *)stage.ptr,
                 code.len > 0 ? ", " : "", KC_ARG(code));
        cli_timeline_add(timeline, t, CLI_YELLOW, who, what, detail, "");
    }
}

static const char *tries(int32_t count)
{
    return count == 1 ? "try" : "tries";
}

/** What the DLQ handler, a consumer or an operator wrote down about a dead letter. */
static cli_style describe_state(const of_hop *hop, char what[48], char detail[256])
{
    snprintf(what, 48, "%s", of_dead_state_name(hop->state));
    detail[0] = 0;
    switch (hop->state) {
    case OF_DEAD:
        snprintf(what, 48, "left to an operator");
        return CLI_MAGENTA;
    case OF_DEAD_SCHEDULED:
        snprintf(detail, 256, "for redrive %d", hop->redrive + 1);
        return CLI_BLUE;
    case OF_DEAD_RESOLVED:
        snprintf(detail, 256, "by redrive %d", hop->redrive);
        return CLI_GREEN;
    default:
        return CLI_DIM;
    }
}

/** What of a hop there is to say, by its kind. */
static cli_style describe(const of_hop *hop, char what[48], char detail[256])
{
    snprintf(detail, 256, KC_FMT, KC_ARG(hop->type));
    switch (hop->kind) {
    case OF_HOP_SENT:
        snprintf(what, 48, "sent");
        return CLI_CYAN;
    case OF_HOP_RETRY:
        snprintf(what, 48, "waits for a retry");
        snprintf(detail, 256, "after %d %s", hop->attempts, tries(hop->attempts));
        return CLI_YELLOW;
    case OF_HOP_REDRIVE:
        snprintf(what, 48, "redrive %d", hop->redrive);
        return CLI_BLUE;
    case OF_HOP_DEAD:
        snprintf(what, 48, "dead letter");
        snprintf(detail, 256, "after %d %s, " KC_FMT "%s" KC_FMT, hop->attempts,
                 tries(hop->attempts), KC_ARG(hop->code), hop->message.len > 0 ? ": " : "",
                 KC_ARG(hop->message));
        return CLI_RED;
    case OF_HOP_QUARANTINE:
        snprintf(what, 48, "quarantine");
        snprintf(detail, 256, "after %d redrives", hop->redrive);
        return CLI_RED;
    case OF_HOP_STATE:
        return describe_state(hop, what, detail);
    }
    return CLI_PLAIN;
}

void cli_timeline_add_hop(cli_timeline *timeline, const of_hop *hop)
{
    char who[128], what[48], detail[256], place[KC_TOPIC_NAME_MAX + 40];
    // the records themselves tell of these two
    if (hop->kind == OF_HOP_STATE &&
        (hop->state == OF_DEAD_REDRIVEN || hop->state == OF_DEAD_QUARANTINED))
        return;
    kc_bytes name = hop->kind == OF_HOP_SENT || !hop->group.ptr ? hop->source : hop->group;
    snprintf(who, sizeof who, KC_FMT, KC_ARG(name));
    if (hop->kind == OF_HOP_STATE && kc_bytes_equal(name, KC_STR("auto")))
        snprintf(who, sizeof who, "dlq-handler");
    cli_style style = describe(hop, what, detail);
    snprintf(place, sizeof place, KC_FMT "/%d@%lld", KC_ARG(hop->topic), hop->partition,
             (long long)hop->offset);
    if (hop->history.ptr)
        add_history(timeline, hop, who);
    cli_timeline_add(timeline, hop->wall_ms, style, who, what, detail, place);
    // stamped by the broker's clock, and what it causes by a coarser one
    if (hop->kind == OF_HOP_REDRIVE && timeline->count > 0)
        timeline->items[timeline->count - 1].early_ms = CLOCK_GRAIN_MS;
}

static int compare(const void *left, const void *right)
{
    const cli_moment *a = left, *b = right;
    int64_t a_ms = a->wall_ms - a->early_ms, b_ms = b->wall_ms - b->early_ms;
    if (a_ms != b_ms)
        return a_ms < b_ms ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static void sort(cli_timeline *timeline)
{
    if (timeline->count > 1)
        qsort(timeline->items, timeline->count, sizeof *timeline->items, compare);
}

static void widen(int *width, const char *text, int most)
{
    int len = (int)cli_width(text);
    if (len > *width)
        *width = len < most ? len : most;
}

static void print_padded(cli_style style, const char *text, int width)
{
    int pad = width - (int)cli_width(text);
    cli_styled(style, "%s", text);
    cli_printf("%*s  ", pad > 0 ? pad : 0, "");
}

void cli_timeline_print(cli_timeline *timeline)
{
    int who = 0, what = 0, detail = 0;
    sort(timeline);
    for (size_t i = 0; i < timeline->count; i++) {
        widen(&who, timeline->items[i].who, 24);
        widen(&what, timeline->items[i].what, 20);
        widen(&detail, timeline->items[i].detail, 60);
    }
    for (size_t i = 0; i < timeline->count; i++) {
        const cli_moment *moment = &timeline->items[i];
        char clock[16];
        print_padded(CLI_DIM, cli_clock(moment->wall_ms, clock), 12);
        print_padded(CLI_PLAIN, moment->who, who);
        print_padded(moment->style, moment->what, what);
        if (*moment->place) {
            print_padded(CLI_PLAIN, moment->detail, detail);
            cli_styled(CLI_DIM, "%s", moment->place);
        } else {
            cli_printf("%s", moment->detail);
        }
        cli_printf("\n");
    }
}

void cli_timeline_print_json(cli_timeline *timeline)
{
    sort(timeline);
    for (size_t i = 0; i < timeline->count; i++) {
        const cli_moment *moment = &timeline->items[i];
        char time[25];
        kb_time_format(moment->wall_ms, time);
        kb_json_writer json = cli_json_begin();
        kb_json_object(&json);
        kb_json_member_str(&json, "time", time);
        kb_json_member_str(&json, "who", moment->who);
        kb_json_member_str(&json, "what", moment->what);
        kb_json_member_str(&json, "detail", moment->detail);
        kb_json_member_str(&json, "place", moment->place);
        kb_json_object_end(&json);
        cli_json_end();
    }
}
