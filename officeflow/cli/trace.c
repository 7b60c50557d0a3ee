/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow trace: everything that happened under one correlation id, read from the topics
 * themselves. */
#include "officeflow/cli/timeline.h"
#include "officeflow/cli/verbs.h"
#include "protocol/base/text.h"

static struct {
    const char *since;
    bool as_json;
} opt;

static void on_hop(const of_hop *hop, void *user)
{
    cli_timeline_add_hop(user, hop);
}

static void print(const char *id, cli_timeline *timeline)
{
    char from[25], to[25];
    int64_t first = INT64_MAX, last = 0;
    for (size_t i = 0; i < timeline->count; i++) {
        int64_t at = timeline->items[i].wall_ms;
        first = at < first ? at : first;
        last = at > last ? at : last;
    }
    kb_time_format(first, from);
    kb_time_format(last, to);
    cli_styled(CLI_BOLD, "%s", id);
    cli_printf("  %.10s, %zu moment%s in %.1f s (UTC)\n", from, timeline->count,
               timeline->count == 1 ? "" : "s", (double)(last - first) / 1000.0);
    cli_timeline_print(timeline);
}

static int run_trace(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    int64_t since_ms = 0;
    kc_error err;
    kc_bytes since = kc_str(opt.since);
    if (opt.since && !kb_time_parse(since, &since_ms) && !kb_parse_i64(since, &since_ms)) {
        cli_complain("trace: --since must be a time such as 2026-11-23T12:00:00Z or ms since 1970, "
                     "not \"%s\"",
                     opt.since);
        return CLI_ERROR;
    }
    if (!cli_connect(session))
        return CLI_ERROR;
    cli_timeline timeline;
    cli_timeline_init(&timeline, &session->arena);
    cli_progress("reading the platform's topics");
    if (of_trace_scan(session->platform, words.items[0], since_ms, CLI_TIMEOUT_MS, on_hop,
                      &timeline, &err) != KC_OK)
        return cli_fail("trace", &err);
    if (timeline.is_failed) {
        cli_complain("trace: %s", kc_err_text(KC_ERR_NOMEM));
        return CLI_ERROR;
    }
    if (timeline.count == 0) {
        cli_complain("trace: nothing is known of correlation id %s", words.items[0]);
        return CLI_ERROR;
    }
    if (opt.as_json)
        cli_timeline_print_json(&timeline);
    else
        print(words.items[0], &timeline);
    return CLI_OK;
}

static const cli_option options[] = {
    {0, "since", CLI_TEXT, &opt.since, "TIME",
     "read from then on (RFC 3339 or ms since 1970); default: the time in\nthe id, where it is a "
     "UUIDv7",
     0, 0},
    {0, "json", CLI_FLAG, &opt.as_json, NULL, "JSON lines", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_trace_verbs[] = {
    {.name = "trace",
     .arguments = "CORRELATION-ID",
     .summary = "Show what happened under a correlation id, over all topics",
     .options = options,
     .words_min = 1,
     .words_max = 1,
     .run = run_trace},
    {.name = NULL},
};
