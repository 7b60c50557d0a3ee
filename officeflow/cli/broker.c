/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow broker: the embedded broker as a process of its own, with faults on purpose. Standard output has the READY
 * line alone; commands come from standard input, their answers go to standard error. */
#define _GNU_SOURCE // ppoll
#include "officeflow/cli/verbs.h"
#include "protocol/base/text.h"

#include <kafkac/mock.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/** Longest command, and what is read at once. */
#define INPUT_BYTES 2048

static struct {
    int64_t brokers, port, partitions, replication_delay_ms, session_ms;
    const char *host, *advertised_host, *memory;
    cli_list faults, plans, users;
    bool no_auto_create, is_verbose;
} opt = {.brokers = 1, .partitions = 1};

static volatile sig_atomic_t explain_asked;

/** Standard input, line by line. */
typedef struct broker_input {
    int fd; /**< -1: over */
    char data[INPUT_BYTES];
    size_t len;
    bool is_skipping; /**< the rest of a line that is too long */
} broker_input;

/** Lines that were said since. */
static int said;

static void on_line(const char *line, void *user)
{
    (void)user;
    said++;
    cli_note("%s", line);
}

static void on_log(kc_log_level level, const char *line, void *user)
{
    (void)level;
    (void)user;
    cli_note("%s", line);
}

/* ---- the command line ---- */

/** "512MiB", "2GiB", bytes. */
static bool parse_size(const char *text, size_t *bytes_out)
{
    static const struct {
        const char *unit;
        int shift;
    } units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    size_t digits = strspn(text, "0123456789");
    uint64_t number;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(text + digits, units[i].unit) == 0 &&
            kb_parse_u64(kc_span(text, digits), &number) && number > 0 &&
            number <= (uint64_t)(INT64_MAX >> units[i].shift)) {
            *bytes_out = (size_t)(number << units[i].shift);
            return *bytes_out >= KC_MOCK_MEMORY_BYTES_MIN ||
                   cli_complain("broker: --memory must be larger than \"%s\": %dKiB at least", text,
                                KC_MOCK_MEMORY_BYTES_MIN / 1024);
        }
    return cli_complain("broker: --memory must be a size as 512MiB or 2GiB, not \"%s\"", text);
}

/** A command of the command line; `word`: what it begins with. */
static bool run_option(kc_mock *mock, const char *word, const char *text)
{
    char line[INPUT_BYTES];
    kc_error err;
    if (snprintf(line, sizeof line, "%s %s", word, text) >= (int)sizeof line)
        return cli_complain("broker: --%s is too long", word);
    return kc_mock_command(mock, line, on_line, NULL, &err) == KC_OK ||
           cli_complain("broker: --%s \"%s\": %s", word, text, err.text);
}

/** NAME:PASSWORD; the password may hold colons. */
static bool parse_user(kb_arena *arena, const char *text, kc_mock_user *user)
{
    const char *colon = strchr(text, ':');
    if (!colon || colon == text || !colon[1])
        return cli_complain("broker: --user must be NAME:PASSWORD");
    user->name = kb_arena_printf(arena, "%.*s", (int)(colon - text), text);
    user->password = colon + 1;
    return user->name || cli_complain("%s", kc_err_text(KC_ERR_NOMEM));
}

static bool open_mock(kb_arena *arena, kc_mock **mock_out)
{
    kc_error err;
    kc_mock_user users[CLI_LIST_MAX];
    for (size_t i = 0; i < opt.users.count; i++)
        if (!parse_user(arena, opt.users.items[i], &users[i]))
            return false;
    kc_mock_options options;
    kc_mock_options_init(&options);
    options.brokers = (int32_t)opt.brokers;
    options.port = (int32_t)opt.port;
    options.listen_host = opt.host;
    options.advertised_host = opt.advertised_host;
    options.auto_create_topics = !opt.no_auto_create;
    options.partitions = (int32_t)opt.partitions;
    options.replication_ms = (int32_t)opt.replication_delay_ms;
    options.users = users;
    options.user_count = opt.users.count;
    options.sasl_session_ms = (int32_t)opt.session_ms;
    options.log = on_log;
    options.log_level = opt.is_verbose ? KC_LOG_INFO : KC_LOG_WARNING;
    if (opt.memory && !parse_size(opt.memory, &options.memory_bytes_max))
        return false;
    return kc_mock_new(&options, mock_out, &err) == KC_OK || cli_fail("broker", &err) == CLI_OK;
}

static bool set_up(kc_mock *mock)
{
    for (size_t i = 0; i < opt.faults.count; i++)
        if (!run_option(mock, "fault", opt.faults.items[i]))
            return false;
    for (size_t i = 0; i < opt.plans.count; i++)
        if (!run_option(mock, "at", opt.plans.items[i]))
            return false;
    return true;
}

/* ---- commands ---- */

static void run_command(kc_mock *mock, const char *line)
{
    kc_error err;
    kc_bytes command = kb_text_trim(kc_str(line));
    said = 0;
    if (command.len == 0 || command.ptr[0] == '#')
        return;
    if (kc_mock_command(mock, line, on_line, NULL, &err) != KC_OK)
        cli_complain("%s: %s", line, err.text);
    else if (said == 0)
        cli_note("%s: done", line);
}

/** Take the whole lines off the front. */
static void run_lines(kc_mock *mock, broker_input *input)
{
    char *end;
    while ((end = memchr(input->data, '\n', input->len))) {
        size_t used = (size_t)(end - input->data) + 1;
        *end = 0;
        if (!input->is_skipping)
            run_command(mock, input->data);
        input->is_skipping = false;
        memmove(input->data, input->data + used, input->len - used);
        input->len -= used;
    }
    if (input->len == sizeof input->data) {
        if (!input->is_skipping)
            cli_complain("a command is longer than %d bytes", INPUT_BYTES);
        input->is_skipping = true;
        input->len = 0;
    }
}

/** The end of the input is not the end of the broker. */
static void read_input(kc_mock *mock, broker_input *input)
{
    ssize_t got = read(input->fd, input->data + input->len, sizeof input->data - input->len);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got > 0)
        input->len += (size_t)got;
    if (got <= 0) {
        input->fd = -1;
        if (input->len > 0 && input->len < sizeof input->data)
            input->data[input->len++] = '\n';
    }
    run_lines(mock, input);
}

/* ---- serving ---- */

static void on_explain_signal(int number)
{
    (void)number;
    explain_asked = 1;
}

/** Signals come only while it waits, so that none comes between looking and waiting. */
static void catch_signals(sigset_t *while_waiting_out)
{
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGUSR1);
    sigprocmask(SIG_BLOCK, &ours, while_waiting_out);
    cli_catch_signals(NULL);
    struct sigaction explain = {.sa_handler = on_explain_signal};
    sigemptyset(&explain.sa_mask);
    sigaction(SIGUSR1, &explain, NULL);
    /* Reading the terminal from the background is an error, not a stop. */
    signal(SIGTTIN, SIG_IGN);
}

static int serve(kc_mock *mock, const sigset_t *while_waiting)
{
    broker_input input = {.fd = STDIN_FILENO};
    while (!cli_is_interrupted()) {
        struct pollfd fds[] = {{.fd = kc_mock_fd(mock), .events = POLLIN},
                               {.fd = input.fd, .events = POLLIN}};
        int ready = ppoll(fds, 2, NULL, while_waiting);
        if (ready > 0 && fds[1].revents)
            read_input(mock, &input);
        if (explain_asked) {
            explain_asked = 0;
            run_command(mock, "brokers");
        }
        kc_err err = kc_mock_dispatch(mock, 0);
        if (err != KC_OK) {
            cli_complain("broker: %s", kc_err_text(err));
            return CLI_ERROR;
        }
    }
    return CLI_OK;
}

static int run_broker(cli_session *session, cli_words words, cli_words command)
{
    (void)session;
    (void)words;
    (void)command;
    kc_mock *mock = NULL;
    kb_mem mem;
    kb_arena arena;
    sigset_t while_waiting;
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    catch_signals(&while_waiting);
    bool is_open = open_mock(&arena, &mock);
    kb_arena_cleanup(&arena);
    if (!is_open)
        return CLI_ERROR;
    int code = CLI_ERROR;
    if (set_up(mock)) {
        cli_printf("READY %s\n", kc_mock_bootstrap(mock));
        if (cli_flush())
            code = serve(mock, &while_waiting);
    }
    kc_mock_free(mock);
    return code;
}

static const cli_option options[] = {
    {0, "brokers", CLI_INT, &opt.brokers, "N", "how many (1)", 1, KC_MOCK_BROKERS_MAX},
    {'p', "port", CLI_INT, &opt.port, "P",
     "of broker 1, P + 1 for the next one, ...;\n0 (default): free ports", 0, 65535},
    {0, "host", CLI_TEXT, &opt.host, "ADDRESS", "to listen on (127.0.0.1)", 0, 0},
    {0, "advertised-host", CLI_TEXT, &opt.advertised_host, "HOST", "what clients are told", 0, 0},
    {0, "no-auto-create", CLI_FLAG, &opt.no_auto_create, NULL,
     "a topic is not made by asking for it", 0, 0},
    {0, "partitions", CLI_INT, &opt.partitions, "N", "of topics made without a number (1)", 1,
     100000},
    {0, "replication-delay", CLI_INT, &opt.replication_delay_ms, "MS",
     "until a record is on all replicas (0): what\n\"broker N down with loss\" can lose", 0, 60000},
    {0, "user", CLI_LIST, &opt.users, "NAME:PASSWORD",
     "who may connect, by SASL PLAIN or SCRAM (several);\nwithout it anybody may", 0, 0},
    {0, "session", CLI_INT, &opt.session_ms, "MS",
     "until a user has to say again who he is\n(KIP-368); 0 (default): never", 0, 86400000},
    {0, "memory", CLI_TEXT, &opt.memory, "SIZE",
     "at most, as 512MiB or 2GiB (1GiB); 128KiB at least", 0, 0},
    {0, "fault", CLI_LIST, &opt.faults, "RULE",
     "as api=Fetch,nth=3,error=NOT_LEADER_OR_FOLLOWER\n(several)", 0, 0},
    {0, "at", CLI_LIST, &opt.plans, "\"TIME COMMAND\"", "as \"5s broker 2 down\" (several)", 0, 0},
    {0, "verbose", CLI_FLAG, &opt.is_verbose, NULL,
     "connections and refused logins on standard error", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_broker_verbs[] = {
    {
        .name = "broker",
        .arguments = "",
        .summary = "Serve a Kafka cluster from memory, for tests, with faults on purpose",
        .help =
            "Any Kafka client may use it. It is no storage: all is gone when it ends. Prints "
            "\"READY "
            "host:port,...\" on\nstandard output when it serves, and ends upon SIGTERM or SIGINT "
            "with exit code 0.\n\n"
            "While it runs it takes commands on standard input, one a line, and answers on "
            "standard "
            "error:\n\"help\" lists them. Some: brokers, topics, broker 2 down, broker 2 up, move "
            "TOPIC PARTITION to 2,\ncut all, link 1 off, link 1 slow 10000, fault RULE, at 5s "
            "COMMAND.\n\n"
            "A RULE is a list of key=value: which requests (api, broker, skip, nth, every, count), "
            "and what happens\n(delay, answer-delay, error, throttle, close=before|after, drop). "
            "The oldest that fits is used.",
        .options = options,
        .words_max = 0,
        .is_offline = true,
        .run = run_broker,
    },
    {.name = NULL},
};
