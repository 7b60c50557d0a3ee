/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow run: a command as the handler of a group's events. Every event is one process; the
 * consumer's answers are awaited beside the client, so nothing blocks anything. */
#define _GNU_SOURCE // O_CLOEXEC
#include "officeflow/cli/notice.h"
#include "officeflow/cli/run_child.h"
#include "officeflow/cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/** sysexits.h for two of them; 77 is what test programs use for "skipped". */
enum {
    EXIT_PERMANENT = 65,
    EXIT_RETRY = 75,
    EXIT_DISCARD = 77
};

/** How soon an event for which there was no room is looked at again. */
#define BUSY_MS          50
#define STOPPING_POLL_MS 50
#define CONCURRENCY_MAX  1000

static struct {
    const char *group;
    cli_list patterns, types;
    int64_t concurrency, count, drain_s;
    bool once, from_beginning, is_quiet;
} opt = {.concurrency = 16, .drain_s = 30};

typedef struct running {
    cli_session *session;
    of_consumer *consumer;
    char *const *command;
    kb_list children;
    int64_t started; /* children under way       */
    int64_t settled; /* events dealt with for good */
    bool is_heard;   /* the command that failed said why by itself, on our standard error */
    struct pollfd *fds;
} running;

/* ---- notices ---- */

static void say_notice(const running *run, const of_notice *notice)
{
    char place[KC_TOPIC_NAME_MAX + 40], text[64];
    const char *message = run->is_heard ? "" : notice->message;
    snprintf(place, sizeof place, KC_FMT "/%d@%lld", KC_ARG(notice->topic), notice->partition,
             (long long)notice->offset);
    switch (notice->kind) {
    case OF_NOTICE_FAILED:
        cli_note("%s attempt %d failed: %s%s%s: %s", place, notice->attempt, notice->code,
                 *message ? " " : "", message, cli_next_step(&notice->verdict, text));
        break;
    case OF_NOTICE_DEAD:
        cli_note("%s dead letter %s", place, notice->dead_letter_id ? notice->dead_letter_id : "");
        break;
    case OF_NOTICE_BREAKER:
        cli_note("%s waits %lld ms: %s", place, (long long)notice->took_ms, notice->message);
        break;
    case OF_NOTICE_GAP:
        cli_note("%s %lld records are gone from the log", place, (long long)notice->lost);
        break;
    case OF_NOTICE_ERROR:
        cli_complain("%s", notice->error ? notice->error->text : notice->message);
        break;
    default:
        break;
    }
}

static void on_notice(const of_notice *notice, void *user)
{
    running *run = user;
    if (!opt.is_quiet || notice->kind == OF_NOTICE_ERROR)
        say_notice(run, notice);
    switch (notice->kind) {
    case OF_NOTICE_HANDLED:
    case OF_NOTICE_DEAD:
    case OF_NOTICE_DISCARDED:
    case OF_NOTICE_EXPIRED:
    case OF_NOTICE_UNHANDLED:
        run->settled++;
        break;
    default:
        return;
    }
    if (opt.count > 0 && run->settled >= opt.count)
        of_consumer_stop(run->consumer, (int32_t)(opt.drain_s * 1000));
}

/* ---- the handler ---- */

static of_result on_event(const of_event *event, of_ctx *ctx, void *user)
{
    running *run = user;
    bool is_enough = opt.count > 0 && run->settled + run->started >= opt.count;
    if (is_enough || run->started >= opt.concurrency) {
        of_retry_after(ctx, BUSY_MS);
        return OF_BUSY;
    }
    char why[256];
    cli_child *child =
        cli_child_start(&run->session->mem, run->command, event, ctx, why, sizeof why);
    if (!child) {
        of_fail(ctx, "not_started", "%s", why);
        return OF_RETRY;
    }
    kb_list_push_back(&run->children, &child->node);
    run->started++;
    return OF_ASYNC;
}

static of_result judge(of_ctx *ctx, int status, const char *line)
{
    char code[32];
    if (WIFSIGNALED(status)) {
        snprintf(code, sizeof code, "signal_%d", WTERMSIG(status));
        of_fail(ctx, code, "%s", line);
        return OF_RETRY;
    }
    int number = WEXITSTATUS(status);
    if (number == 0)
        return OF_OK;
    snprintf(code, sizeof code, "exit_%d", number);
    of_fail(ctx, code, "%s", line);
    if (number == EXIT_DISCARD)
        return OF_DISCARD;
    return number == EXIT_PERMANENT ? OF_PERMANENT : OF_RETRY;
}

static void on_end(running *run, cli_child *child, int status)
{
    of_ctx *ctx = child->ctx;
    const char *line = cli_child_last_line(child);
    of_result result = judge(ctx, status, line);
    run->started--;
    run->is_heard = line[0] != 0;
    cli_child_free(child);
    of_complete(ctx, result);
    run->is_heard = false;
}

/* ---- the loop ---- */

static bool serve(running *run, int timeout_ms)
{
    nfds_t count = 0;
    run->fds[count++] = (struct pollfd){.fd = kc_client_fd(run->session->client), .events = POLLIN};
    KB_LIST_FOR (node, &run->children) {
        cli_child_poll(KB_CONTAINER(node, cli_child, node), &run->fds[count]);
        count += CLI_CHILD_FDS;
    }
    if (poll(run->fds, count, timeout_ms) < 0 && errno != EINTR)
        return cli_complain("poll: %s", strerror(errno));
    const struct pollfd *fds = run->fds + 1, *end = run->fds + count;
    kb_list *next;
    for (kb_list *node = run->children.next; node != &run->children && fds < end; node = next) {
        int status;
        cli_child *child = KB_CONTAINER(node, cli_child, node);
        next = node->next;
        if (cli_child_serve(child, fds, &status))
            on_end(run, child, status);
        fds += CLI_CHILD_FDS;
    }
    return true;
}

static void on_topics(kc_admin_result *result, void *user)
{
    (void)user;
    bool is_known = result && kc_admin_error(result)->code == KC_OK, is_matched = false;
    const kc_cluster_info *cluster = is_known ? kc_admin_cluster(result) : NULL;
    cli_words patterns = {opt.patterns.items, opt.patterns.count};
    for (size_t i = 0; is_known && i < cluster->topic_count && !is_matched; i++)
        is_matched = cluster->topics[i].err == KC_OK &&
                     cli_patterns_match(patterns, cluster->topics[i].name);
    if (is_known && !is_matched)
        cli_note("no topic matches yet; waiting for one");
    kc_admin_free(result);
}

/** A service whose patterns match nothing says so, once, and waits. */
static void look_for_topics(running *run)
{
    kc_error err;
    if (kc_admin_describe_topics(run->session->client, NULL, 0, NULL, on_topics, NULL, &err) !=
        KC_OK)
        cli_note("%s", err.text);
}

static int follow(running *run)
{
    kc_error err;
    kc_err turned = KC_OK;
    bool is_stopping = false;
    while (!of_consumer_is_stopped(run->consumer)) {
        if (cli_is_interrupted() && !is_stopping) {
            is_stopping = true;
            of_consumer_stop(run->consumer, (int32_t)(opt.drain_s * 1000));
        }
        bool is_ending = is_stopping || (opt.count > 0 && run->settled >= opt.count);
        int wait = turned == KC_ERR_AGAIN ? 0 : is_ending ? STOPPING_POLL_MS : -1;
        if (!serve(run, wait))
            return CLI_ERROR;
        turned = kc_client_dispatch(run->session->client, 0);
        if (turned != KC_OK && turned != KC_ERR_AGAIN) {
            cli_complain("run: %s", kc_err_text(turned));
            return CLI_ERROR;
        }
    }
    return of_consumer_run(run->consumer, &err) == KC_OK ? CLI_OK : cli_fail("run", &err);
}

static bool subscribe(running *run)
{
    kc_error err;
    of_consumer_options options;
    of_consumer_options_init(&options);
    options.on_notice = on_notice;
    options.notice_user = run;
    if (of_consumer_open(run->session->platform, opt.group, &options, &run->consumer, &err) !=
        KC_OK)
        return cli_fail("run", &err) == CLI_OK;
    const of_group_spec *spec = of_catalogue_find_group(kc_str(opt.group));
    if (opt.patterns.count == 0)
        for (size_t i = 0; spec && spec->patterns[i]; i++)
            opt.patterns.items[opt.patterns.count++] = spec->patterns[i];
    if (opt.types.count == 0)
        opt.types.items[opt.types.count++] = "**";
    for (size_t i = 0; i < opt.types.count; i++)
        if (of_consumer_handle(run->consumer, opt.types.items[i], on_event, run, &err) != KC_OK)
            return cli_fail("run: --type", &err) == CLI_OK;
    return of_consumer_subscribe(run->consumer, opt.patterns.count > 0 ? opt.patterns.items : NULL,
                                 opt.patterns.count, opt.from_beginning, &err) == KC_OK ||
           cli_fail("run: --on", &err) == CLI_OK;
}

/** A pipe that lands on 0 to 2 would be taken for a standard one. */
static void keep_standard_fds(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ;
    if (fd >= 0)
        close(fd);
}

static int run_run(cli_session *session, cli_words words, cli_words command)
{
    (void)words;
    if (!opt.group) {
        cli_complain("run: --group is required");
        return CLI_ERROR;
    }
    // said once and now, not of every event
    int why = cli_command_check(command.items[0]);
    if (why != 0) {
        cli_complain("run: %s: %s", command.items[0], strerror(why));
        return CLI_ERROR;
    }
    if (opt.once)
        opt.count = 1;
    // argv is writable and ends with NULL; the words of the command are its last ones
    running run = {.session = session, .command = (char *const *)(uintptr_t)command.items};
    kb_list_init(&run.children);
    run.fds = kb_arena_array(&session->arena, 1 + CLI_CHILD_FDS * (size_t)opt.concurrency,
                             sizeof *run.fds);
    if (!run.fds || !cli_session_open(session))
        return CLI_ERROR;
    keep_standard_fds();
    signal(SIGPIPE, SIG_IGN);
    int code = CLI_ERROR;
    if (subscribe(&run)) {
        cli_catch_signals(session);
        look_for_topics(&run);
        code = follow(&run);
    }
    while (
        !kb_list_is_empty(&run.children)) // not done within the drain time: their events come again
        cli_child_free(KB_CONTAINER(run.children.next, cli_child, node));
    of_consumer_close(run.consumer, (int32_t)(opt.drain_s * 1000));
    return code;
}

static const cli_option options[] = {
    {'g', "group", CLI_TEXT, &opt.group, "NAME", "consumer group; required", 0, 0},
    {0, "on", CLI_LIST, &opt.patterns, "PATTERN",
     "topics: names and patterns such as 'employee.onboard.*' (several);\ndefault: those of the "
     "group "
     "in the catalogue",
     0, 0},
    {'t', "type", CLI_LIST, &opt.types, "PATTERN",
     "handle only these event types (several); default: all", 0, 0},
    {'j', "concurrency", CLI_INT, &opt.concurrency, "N",
     "most commands at the same time (16); a partition has one at most", 1, CONCURRENCY_MAX},
    {0, "from-beginning", CLI_FLAG, &opt.from_beginning, NULL,
     "a group that starts for the very first time begins with the first record, not at the end", 0,
     0},
    {'n', "count", CLI_INT, &opt.count, "N", "end after N events are dealt with", 1, INT32_MAX},
    {0, "once", CLI_FLAG, &opt.once, NULL, "the same as --count 1", 0, 0},
    {0, "drain", CLI_INT, &opt.drain_s, "SECONDS",
     "when ending, wait this long for commands under way (30)", 0, 3600},
    {'q', "quiet", CLI_FLAG, &opt.is_quiet, NULL, "do not tell failures on standard error", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_run_verbs[] = {
    {
        .name = "run",
        .arguments = "--group NAME [--on PATTERN] -- COMMAND...",
        .summary = "Handle events with a command",
        .help =
            "The command gets the event, as it lies in Kafka, on standard input, and its fields in "
            "the\n"
            "environment: OF_TYPE OF_ID OF_ORG OF_CORRELATION_ID OF_CAUSATION_ID OF_SOURCE OF_KEY\n"
            "OF_TRACEPARENT OF_TOPIC OF_PARTITION OF_OFFSET OF_ATTEMPT OF_STAGE OF_REDRIVE "
            "OF_GROUP.\n"
            "Its exit code is the answer: 0 handled, 75 try again, 65 never (dead letter), 77 not "
            "wanted;\nanything else and a signal: try again, by the policy of the type. The last "
            "line "
            "it writes on\nstandard error becomes the failure's message.\n"
            "SIGINT and SIGTERM end it in order: commands under way finish, what was handled is "
            "committed.",
        .options = options,
        .takes_command = true,
        .run = run_run,
    },
    {.name = NULL},
};
