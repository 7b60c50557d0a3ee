/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow dlq: look at dead letters, send them back to the group that failed, run the automatic
 * handler. */
#include "officeflow/cli/dlq_print.h"
#include "officeflow/cli/verbs.h"
#include "protocol/base/text.h"

#include <stdio.h>

#define DRAIN_MS         10000
#define RATE_MAX         1000000
#define STOPPING_POLL_MS 50

static struct {
    const char *id, *fingerprint, *topic, *group, *failure_class, *since, *to, *operator_name;
    bool as_json, all, quarantined, dry_run, again;
    int64_t rate, max;
} opt;

static bool make_filter(of_dead_filter *filter)
{
    *filter = (of_dead_filter){.id = opt.id,
                               .fingerprint = opt.fingerprint,
                               .topic = opt.topic,
                               .group = opt.group,
                               .quarantined_only = opt.quarantined};
    if (opt.failure_class) {
        filter->failure_class = of_class_by_name(kc_str(opt.failure_class));
        if (filter->failure_class == OF_CLASS_NONE)
            return cli_complain("dlq: there is no class \"%s\": deserialization, schema, "
                                "unknown_type, permanent, retries_exhausted, expired, timeout, "
                                "handler_crash, too_large, operator",
                                opt.failure_class);
    }
    kc_bytes since = kc_str(opt.since);
    return !opt.since || kb_time_parse(since, &filter->since_ms) ||
           kb_parse_i64(since, &filter->since_ms) ||
           cli_complain(
               "dlq: --since must be a time such as 2026-11-23T12:00:00Z or ms since 1970, "
               "not \"%s\"",
               opt.since);
}

/** One that still needs somebody, or something, to act. */
static bool is_open(of_dead_state state)
{
    return state != OF_DEAD_RESOLVED && state != OF_DEAD_DISCARDED && state != OF_DEAD_PURGED;
}

/* ---- list and show ---- */

typedef struct listing {
    cli_session *session;
    cli_table table;
    size_t open, shown;
} listing;

static bool on_listed(const of_dead_letter *letter, void *user)
{
    listing *list = user;
    list->shown++;
    list->open += is_open(letter->state) ? 1 : 0;
    if (opt.as_json)
        cli_dead_json(letter, false);
    else
        cli_dead_row(&list->table, letter);
    return !cli_is_output_broken();
}

static int run_list(cli_session *session, cli_words words, cli_words command)
{
    (void)words;
    (void)command;
    kc_error err;
    of_dead_filter filter;
    listing list = {.session = session};
    if (!make_filter(&filter) || !cli_connect(session))
        return CLI_ERROR;
    filter.with_resolved = opt.all;
    cli_dead_table(&list.table, &session->arena);
    cli_progress("reading the dead letters");
    if (of_dlq_list(session->platform, &filter, CLI_TIMEOUT_MS, on_listed, &list, &err) != KC_OK)
        return cli_fail("dlq list", &err);
    if (!opt.as_json && list.shown > 0)
        cli_table_print(&list.table);
    else if (!opt.as_json)
        cli_printf("no dead letters\n");
    return list.open > 0 ? CLI_SOMETHING : CLI_OK;
}

static bool on_shown(const of_dead_letter *letter, void *user)
{
    listing *list = user;
    list->shown++;
    if (opt.as_json)
        cli_dead_json(letter, true);
    else
        cli_dead_show(letter, &list->session->arena);
    return false;
}

static int run_show(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    kc_error err;
    listing list = {.session = session};
    of_dead_filter filter = {.id = words.items[0], .with_resolved = true};
    if (!cli_connect(session))
        return CLI_ERROR;
    if (of_dlq_list(session->platform, &filter, CLI_TIMEOUT_MS, on_shown, &list, &err) != KC_OK)
        return cli_fail("dlq show", &err);
    if (list.shown > 0)
        return CLI_OK;
    cli_complain("there is no dead letter %s", words.items[0]);
    return CLI_ERROR;
}

/* ---- stats ---- */

#define STATS_MAX 1024

/** Dead letters of one origin topic. */
typedef struct topic_stats {
    const char *topic;
    int64_t counts[OF_DEAD_PURGED + 1];
    int64_t classes[OF_CLASS_OPERATOR + 1];
    int64_t oldest_ms;
} topic_stats;

typedef struct stats {
    cli_session *session;
    topic_stats *items;
    size_t count, open;
} stats;

static topic_stats *find_stats(stats *s, kc_bytes topic)
{
    for (size_t i = 0; i < s->count; i++)
        if (kc_bytes_equal(kc_str(s->items[i].topic), topic))
            return &s->items[i];
    const char *name = kb_arena_printf(&s->session->arena, KC_FMT, KC_ARG(topic));
    if (!name || s->count == STATS_MAX)
        return NULL;
    s->items[s->count] = (topic_stats){.topic = name, .oldest_ms = INT64_MAX};
    return &s->items[s->count++];
}

static bool on_counted(const of_dead_letter *letter, void *user)
{
    stats *s = user;
    topic_stats *item = find_stats(s, letter->topic);
    if (!item)
        return true;
    item->counts[letter->state]++;
    item->classes[letter->failure_class]++;
    if (is_open(letter->state)) {
        s->open++;
        if (letter->last_ms < item->oldest_ms)
            item->oldest_ms = letter->last_ms;
    }
    return true;
}

static const char *top_class(const topic_stats *item)
{
    size_t top = 0;
    for (size_t c = 1; c <= OF_CLASS_OPERATOR; c++)
        if (item->classes[c] > item->classes[top])
            top = c;
    return of_class_name((of_class)top);
}

static void stats_json(const topic_stats *item)
{
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_str(&json, "topic", item->topic);
    for (int state = OF_DEAD; state <= OF_DEAD_PURGED; state++)
        kb_json_member_int(&json, of_dead_state_name((of_dead_state)state), item->counts[state]);
    kb_json_key_str(&json, "oldest");
    if (item->oldest_ms == INT64_MAX) {
        kb_json_null(&json);
    } else {
        char time[25];
        kb_time_format(item->oldest_ms, time);
        kb_json_str(&json, time);
    }
    kb_json_member_str(&json, "topClass", top_class(item));
    kb_json_object_end(&json);
    cli_json_end();
}

static void stats_row(cli_table *table, const topic_stats *item)
{
    static const of_dead_state columns[] = {OF_DEAD, OF_DEAD_SCHEDULED, OF_DEAD_REDRIVEN,
                                            OF_DEAD_QUARANTINED, OF_DEAD_RESOLVED};
    char text[32];
    cli_table_row(table);
    cli_table_cell(table, CLI_PLAIN, "dlq.%s", item->topic);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        cli_table_cell(table, item->counts[columns[i]] > 0 ? cli_dead_style(columns[i]) : CLI_DIM,
                       "%s", cli_number(item->counts[columns[i]], text));
    cli_table_cell(table, CLI_PLAIN, "%s",
                   item->oldest_ms == INT64_MAX ? "-" : cli_age(item->oldest_ms, text));
    cli_table_cell(table, CLI_PLAIN, "%s", top_class(item));
}

static int run_stats(cli_session *session, cli_words words, cli_words command)
{
    (void)words;
    (void)command;
    static const char *const titles[] = {"DLQ",         "DEAD",     "SCHEDULED", "REDRIVEN",
                                         "QUARANTINED", "RESOLVED", "OLDEST",    "TOP CLASS"};
    static const bool right[] = {false, true, true, true, true, true, true, false};
    kc_error err;
    of_dead_filter filter;
    stats s = {.session = session};
    s.items = kb_arena_array(&session->arena, STATS_MAX, sizeof *s.items);
    if (!s.items || !make_filter(&filter) || !cli_connect(session))
        return CLI_ERROR;
    filter.with_resolved = true;
    cli_progress("reading the dead letters");
    if (of_dlq_list(session->platform, &filter, CLI_TIMEOUT_MS, on_counted, &s, &err) != KC_OK)
        return cli_fail("dlq stats", &err);
    cli_table table;
    cli_table_init(&table, &session->arena, titles, right, 8);
    for (size_t i = 0; i < s.count; i++) {
        if (opt.as_json)
            stats_json(&s.items[i]);
        else
            stats_row(&table, &s.items[i]);
    }
    if (!opt.as_json && s.count > 0)
        cli_table_print(&table);
    else if (!opt.as_json)
        cli_printf("no dead letters\n");
    return s.open > 0 ? CLI_SOMETHING : CLI_OK;
}

/* ---- replay ---- */

static bool on_selected(const of_dead_letter *letter, void *user)
{
    (void)user;
    if (opt.as_json)
        cli_dead_json(letter, false);
    else if (opt.dry_run)
        cli_printf("  %s  " KC_FMT "/%d@%lld → " KC_FMT "\n", letter->id, KC_ARG(letter->topic),
                   letter->partition, (long long)letter->offset, KC_ARG(letter->group));
    cli_flush_if_full();
    return !cli_is_interrupted();
}

static bool check_replay(void)
{
    if (!opt.id && !opt.fingerprint && !opt.topic && !opt.group && !opt.failure_class &&
        !opt.since && !opt.all)
        return cli_complain(
            "dlq replay: say which: --id, --fingerprint, --topic, --group, --class, "
            "--since, or --all");
    return true;
}

static int run_replay(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    kc_error err;
    if (words.count > 0)
        opt.id = words.items[0];
    of_replay_options options = {.dry_run = opt.dry_run,
                                 .again = opt.again,
                                 .rate = (double)opt.rate,
                                 .max = opt.max,
                                 .to = opt.to,
                                 .operator_name = opt.operator_name,
                                 .timeout_ms = INT32_MAX,
                                 .on_each = on_selected};
    of_replay_result result = {0};
    if (!check_replay() || !make_filter(&options.filter) || !cli_connect(session))
        return CLI_ERROR;
    cli_catch_signals(session);
    if (of_dlq_replay(session->platform, &options, &result, &err) != KC_OK)
        return cli_fail("dlq replay", &err);
    char selected[32], released[32];
    int64_t would = opt.dry_run ? result.selected - result.refused : result.released;
    if (!opt.as_json)
        cli_printf("%s selected, %s %s, %lld refused\n", cli_number(result.selected, selected),
                   cli_number(would, released), opt.dry_run ? "would be released" : "released",
                   (long long)result.refused);
    if (result.refused > 0)
        cli_note("refused: redriven already and not resolved yet; --again releases them once more");
    return result.refused > 0 ? CLI_PARTIAL : CLI_OK;
}

/* ---- serve ---- */

static const char *notice_name(enum of_dlq_notice_kind kind)
{
    static const char *const names[] = {
        [OF_DLQ_SCHEDULED] = "scheduled",
        [OF_DLQ_REDRIVEN] = "redriven",
        [OF_DLQ_RESOLVED] = "resolved",
        [OF_DLQ_QUARANTINED] = "quarantined",
        [OF_DLQ_LEFT_TO_OPERATOR] = "left to an operator",
        [OF_DLQ_DUPLICATE] = "seen before",
        [OF_DLQ_CANARY] = "canary",
        [OF_DLQ_ERROR] = "error",
    };
    return names[kind];
}

static void notice_json(const of_dlq_notice *notice, const char *reason)
{
    static const of_dead_letter none;
    const of_dead_letter *letter = notice->letter ? notice->letter : &none;
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_str(&json, "what", notice_name(notice->kind));
    kb_json_member_str(&json, "id", notice->letter ? letter->id : NULL);
    kb_json_member_string(&json, "topic", letter->topic);
    kb_json_member_string(&json, "group", letter->group);
    kb_json_member_int(&json, "redrives", letter->redrives);
    kb_json_member_str(&json, "reason", reason);
    kb_json_object_end(&json);
    cli_json_end();
}

static void notice_text(const of_dlq_notice *notice, const char *reason)
{
    char now[16], due[16];
    const of_dead_letter *letter = notice->letter;
    cli_styled(CLI_DIM, "%s  ", cli_clock(kc_clock_wall_ms(), now));
    cli_styled(notice->kind == OF_DLQ_ERROR ? CLI_RED : CLI_BOLD, "%-19s",
               notice_name(notice->kind));
    if (letter)
        cli_printf("  %s  " KC_FMT "/%d@%lld  " KC_FMT, letter->id, KC_ARG(letter->topic),
                   letter->partition, (long long)letter->offset, KC_ARG(letter->group));
    if (notice->kind == OF_DLQ_SCHEDULED)
        cli_printf("  due %s", cli_clock(notice->due_ms, due));
    cli_printf("%s%s\n", *reason ? "  " : "", reason);
}

static void on_dlq_notice(const of_dlq_notice *notice, void *user)
{
    (void)user;
    const char *reason = notice->error ? notice->error->text : notice->reason;
    if (opt.as_json)
        notice_json(notice, reason ? reason : "");
    else
        notice_text(notice, reason ? reason : "");
    (void)cli_flush();
}

static int run_serve(cli_session *session, cli_words words, cli_words command)
{
    (void)words;
    (void)command;
    kc_error err;
    of_dlq_options options;
    of_dlq_options_init(&options);
    options.on_notice = on_dlq_notice;
    if (opt.rate > 0)
        options.redrive_rate = (double)opt.rate;
    if (!cli_connect(session))
        return CLI_ERROR;
    of_dlq_handler *handler;
    if (of_dlq_open(session->platform, &options, &handler, &err) != KC_OK)
        return cli_fail("dlq serve", &err);
    int code = CLI_OK;
    if (of_dlq_start(handler, &err) != KC_OK)
        code = cli_fail("dlq serve", &err);
    cli_catch_signals(session);
    bool is_stopping = false;
    while (code == CLI_OK && !of_dlq_is_stopped(handler)) {
        if (cli_is_interrupted() && !is_stopping) {
            is_stopping = true;
            of_dlq_stop(handler, DRAIN_MS);
        }
        kc_err turned = kc_client_dispatch(session->client, is_stopping ? STOPPING_POLL_MS : -1);
        if (turned != KC_OK && turned != KC_ERR_AGAIN) {
            cli_complain("dlq serve: %s", kc_err_text(turned));
            code = CLI_ERROR;
        }
    }
    of_dlq_close(handler, DRAIN_MS);
    return code;
}

/* ---- tables ---- */

#define FILTER_OPTIONS                                                                             \
    {0, "fingerprint", CLI_TEXT, &opt.fingerprint, "F", "failures of one kind", 0, 0},             \
        {'t', "topic", CLI_TEXT, &opt.topic, "TOPIC", "that came from this topic", 0, 0},          \
        {'g', "group", CLI_TEXT, &opt.group, "GROUP", "of this group", 0, 0},                      \
        {0,        "class",                                                                        \
         CLI_TEXT, &opt.failure_class,                                                             \
         "CLASS",  "of this class: permanent, retries_exhausted, ...",                             \
         0,        0},                                                                             \
    {                                                                                              \
        0, "since", CLI_TEXT, &opt.since, "TIME", "that failed since (RFC 3339 or ms since 1970)", \
            0, 0                                                                                   \
    }
#define JSON_OPTION                                                                                \
    {                                                                                              \
        0, "json", CLI_FLAG, &opt.as_json, NULL, "JSON lines", 0, 0                                \
    }
#define NO_OPTION                                                                                  \
    {                                                                                              \
        0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0                                                  \
    }

static const cli_option list_options[] = {
    FILTER_OPTIONS,
    {0, "id", CLI_TEXT, &opt.id, "ID", "this one", 0, 0},
    {0, "quarantined", CLI_FLAG, &opt.quarantined, NULL, "only those in quarantine", 0, 0},
    {'a', "all", CLI_FLAG, &opt.all, NULL, "also those that are resolved or discarded", 0, 0},
    JSON_OPTION,
    NO_OPTION,
};
static const cli_option show_options[] = {JSON_OPTION, NO_OPTION};
static const cli_option stats_options[] = {FILTER_OPTIONS, JSON_OPTION, NO_OPTION};
static const cli_option replay_options[] = {
    {0, "id", CLI_TEXT, &opt.id, "ID", "this one", 0, 0},
    FILTER_OPTIONS,
    {0, "quarantined", CLI_FLAG, &opt.quarantined, NULL, "only those in quarantine", 0, 0},
    {'a', "all", CLI_FLAG, &opt.all, NULL, "all of them", 0, 0},
    {'n', "dry-run", CLI_FLAG, &opt.dry_run, NULL, "only say which", 0, 0},
    {0, "rate", CLI_INT, &opt.rate, "N", "most releases a second; default: no limit", 1, RATE_MAX},
    {0, "max", CLI_INT, &opt.max, "N", "at most so many", 1, INT64_MAX},
    {0, "to", CLI_TEXT, &opt.to, "WHERE",
     "group (default): only the group that failed; topic: the topic it\ncame from, where all "
     "groups "
     "read it; else a topic's name",
     0, 0},
    {0, "again", CLI_FLAG, &opt.again, NULL, "also those redriven already and not resolved yet", 0,
     0},
    {0, "operator", CLI_TEXT, &opt.operator_name, "NAME", "who does it, for the audit record", 0,
     0},
    JSON_OPTION,
    NO_OPTION,
};
static const cli_option serve_options[] = {
    {0, "rate", CLI_INT, &opt.rate, "N", "most releases a second; default 50", 1, RATE_MAX},
    JSON_OPTION,
    NO_OPTION,
};

const cli_verb cli_dlq_verbs[] = {
    {.name = "dlq list",
     .arguments = "",
     .summary = "List dead letters; exit code 2 when there are any",
     .options = list_options,
     .run = run_list},
    {.name = "dlq show",
     .arguments = "ID",
     .summary = "Show one dead letter in full",
     .options = show_options,
     .words_min = 1,
     .words_max = 1,
     .run = run_show},
    {.name = "dlq stats",
     .arguments = "",
     .summary = "Count dead letters by topic; exit code 2 when there are any",
     .options = stats_options,
     .run = run_stats},
    {.name = "dlq replay",
     .arguments = "[ID]",
     .summary = "Send dead letters back to the group that failed",
     .help = "Those that were redriven already and are not resolved yet are refused (exit code 3) "
             "without --again.\nEvery replay writes one record to audit.events.",
     .options = replay_options,
     .words_max = 1,
     .run = run_replay},
    {.name = "dlq serve",
     .arguments = "",
     .summary = "Run the automatic handler: redrive, then quarantine",
     .help = "Reads all dead letters as group officeflow-dlq-handler and prints what it does with "
             "them.\nSIGINT and SIGTERM end it in order.",
     .options = serve_options,
     .run = run_serve},
    {.name = NULL},
};
