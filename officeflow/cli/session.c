/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Connection options and the platform handle of a verb. */
#define _GNU_SOURCE
#include "officeflow/cli/session.h"

#include <signal.h>
#include <stdlib.h>

/** How often progress is looked at while an answer is awaited. */
#define PROGRESS_MS 250
/** Silence about having no connection, and how often it is looked at. */
#define PATIENCE_MS 2000
#define WATCH_MS    500
/** The first silence about acknowledgements that do not come. */
#define STANDSTILL_MS 5000

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t explain_asked;
static kc_client *volatile interrupted_client;

static struct {
    const char *brokers, *config;
    cli_list properties, files;
    bool is_verbose;
} given;

const cli_option cli_session_options[] = {
    {'b', "bootstrap-server", CLI_TEXT, &given.brokers, "LIST",
     "brokers, host:port,...; default: -X bootstrap.servers,\nelse $KAFKA_BROKERS, else "
     "localhost:9092",
     0, 0},
    {'X', "property", CLI_LIST, &given.properties, "NAME=VALUE",
     "a property by the Java client's name (several)", 0, 0},
    {'F', "properties", CLI_LIST, &given.files, "FILE", "a properties file (several)", 0, 0},
    {0, "config", CLI_TEXT, &given.config, "FILE",
     "the platform's JSON configuration (policies, clientId, ...)", 0, 0},
    {0, "verbose", CLI_FLAG, &given.is_verbose, NULL, "the client's log on standard error", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

static bool set_property(cli_session *session, const char *pair, kc_error *err)
{
    const char *equals = strchr(pair, '=');
    if (!equals || equals == pair)
        return cli_complain("-X needs NAME=VALUE, not \"%s\"", pair);
    const char *name = kb_arena_printf(&session->arena, "%.*s", (int)(equals - pair), pair);
    if (!name)
        return cli_complain("%s", kc_err_text(KC_ERR_NOMEM));
    if (kc_config_set(session->config.kafka, name, equals + 1, err) != KC_OK)
        return cli_fail("-X", err) == CLI_OK;
    return true;
}

bool cli_session_init(cli_session *session)
{
    kc_error err;
    memset(session, 0, sizeof *session);
    kb_mem_init(&session->mem, NULL, 0);
    kb_arena_init(&session->arena, &session->mem, 0);
    if (of_config_init(&session->config) != KC_OK)
        return cli_complain("%s", kc_err_text(KC_ERR_NOMEM));
    const char *unnamed = session->config.brokers;
    if (given.config && of_config_load_file(&session->config, given.config, &err) != KC_OK)
        return cli_fail("--config", &err) == CLI_OK;
    if (of_config_load_env(&session->config, &err) != KC_OK)
        return cli_fail("environment", &err) == CLI_OK;
    kc_config *kafka = session->config.kafka;
    // the environment stands before what the file says, under whichever name
    const char *environment = getenv("KAFKA_BROKERS");
    if (environment && *environment &&
        kc_config_set(kafka, "bootstrap.servers", environment, &err) != KC_OK)
        return cli_fail("KAFKA_BROKERS", &err) == CLI_OK;
    for (size_t i = 0; i < given.files.count; i++)
        if (kc_config_load(kafka, given.files.items[i], &err) != KC_OK)
            return cli_fail("-F", &err) == CLI_OK;
    for (size_t i = 0; i < given.properties.count; i++)
        if (!set_property(session, given.properties.items[i], &err))
            return false;
    if (given.brokers && kc_config_set(kafka, "bootstrap.servers", given.brokers, &err) != KC_OK)
        return cli_fail("--bootstrap-server", &err) == CLI_OK;
    session->has_brokers =
        session->config.brokers != unnamed || kc_config_is_set(kafka, "bootstrap.servers");
    return true;
}

static void on_log(kc_log_level level, const char *line, void *user)
{
    (void)level;
    (void)user;
    cli_note("%s", line);
}

/** Once for each reason: brokers that fail in different ways take turns. */
static bool is_new_reason(cli_watch *watch, const kc_error *error)
{
    for (size_t i = 0; i < watch->told_count; i++)
        if (watch->told[i].code == error->code && watch->told[i].os_errno == error->os_errno)
            return false;
    if (watch->told_count == CLI_REASONS_MAX)
        return false;
    watch->told[watch->told_count].code = error->code;
    watch->told[watch->told_count++].os_errno = error->os_errno;
    return true;
}

static void explain_line(kc_bytes line, void *user)
{
    (void)user;
    cli_note("  " KC_FMT, KC_ARG(line));
}

/** SIGUSR1 asked why nothing happens. */
static void explain(kc_client *client)
{
    explain_asked = 0;
    cli_note("what is waited for:");
    kc_client_explain(client, explain_line, NULL);
}

static void on_watch(void *user)
{
    cli_session *session = user;
    cli_watch *watch = &session->watch;
    int64_t now_us = kc_client_now_us(session->client);
    kc_client_stats stats;
    kc_error last;
    kc_client_stats_get(session->client, &stats);
    kc_client_last_error(session->client, &last);
    if (stats.connections > 0 || last.code == KC_OK) {
        watch->connected_us = now_us;
        watch->told_count = 0;
    } else if (now_us - watch->connected_us >= PATIENCE_MS * INT64_C(1000) &&
               is_new_reason(watch, &last)) {
        cli_note("waiting for a broker: %s", last.text);
    }
    if (explain_asked)
        explain(session->client);
    kc_timer_set(watch->timer, WATCH_MS);
}

void cli_watch_standstill(cli_session *session, uint64_t done)
{
    cli_watch *watch = &session->watch;
    int64_t now_us = kc_client_now_us(session->client);
    if (watch->moved_us == 0 || watch->done != done) {
        watch->done = done;
        watch->moved_us = now_us;
        watch->tell_after_ms = STANDSTILL_MS;
    } else if (now_us - watch->moved_us >= watch->tell_after_ms * INT64_C(1000) &&
               watch->told_count == 0) { // else being without a connection was told
        watch->tell_after_ms *= 2;
        explain(session->client);
    }
}

static bool start_watch(cli_session *session)
{
    kc_err err = kc_timer_new(session->client, on_watch, session, &session->watch.timer);
    if (err != KC_OK)
        return cli_complain("%s", kc_err_text(err));
    session->watch.connected_us = kc_client_now_us(session->client);
    kc_timer_set(session->watch.timer, WATCH_MS);
    return true;
}

static void on_explain_signal(int number)
{
    (void)number;
    explain_asked = 1; // the watch answers within half a second, from dispatch
}

/** Disturbs nothing: calls go on that it interrupts, and commands that are run have it as it was by default. */
static void catch_explain(void)
{
    struct sigaction action = {.sa_handler = on_explain_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
}

bool cli_session_open(cli_session *session)
{
    kc_error err;
    kc_client_options options = {.size = sizeof options};
    if (given.is_verbose || kc_config_is_set(session->config.kafka, "debug")) {
        options.log = on_log;
        options.log_level = KC_LOG_DEBUG;
    }
    if (of_platform_open(&session->config, &options, &session->platform, &err) != KC_OK)
        return cli_fail("", &err) == CLI_OK;
    session->client = of_platform_client(session->platform);
    catch_explain();
    return start_watch(session);
}

void cli_session_close(cli_session *session)
{
    interrupted_client = NULL;
    kc_timer_free(session->watch.timer);
    session->watch.timer = NULL;
    of_platform_close(session->platform);
    session->platform = NULL;
    session->client = NULL;
}

void cli_session_cleanup(cli_session *session)
{
    cli_session_close(session);
    of_config_cleanup(&session->config);
    kb_arena_cleanup(&session->arena);
}

bool cli_patterns_match(cli_words patterns, kc_bytes name)
{
    for (size_t i = 0; i < patterns.count; i++)
        if (of_pattern_match(kc_str(patterns.items[i]), name))
            return true;
    return false;
}

bool cli_session_default(cli_session *session, const char *property, const char *value)
{
    kc_error err;
    if (kc_config_is_set(session->config.kafka, property))
        return true;
    return kc_config_set(session->config.kafka, property, value, &err) == KC_OK ||
           cli_fail(property, &err) == CLI_OK;
}

kc_admin_result *cli_wait(cli_session *session, kc_err started, kc_admin_waiter *waiter,
                          const char *doing, kc_error *err)
{
    while (started == KC_OK && !waiter->is_done) {
        kc_err turned = kc_client_dispatch(session->client, PROGRESS_MS);
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            break; // kc_admin_wait() says what it is
        cli_progress("%s", doing);
    }
    if (started == KC_OK && kc_admin_wait(session->client, waiter, err) == KC_OK)
        return waiter->result;
    kc_admin_free(waiter->result);
    waiter->result = NULL;
    cli_fail(doing, err);
    return NULL;
}

bool cli_await_broker(cli_session *session)
{
    kc_error err;
    kc_bytes none = KC_STR("");
    kc_admin_waiter waiter = {0};
    kc_admin_options options = {.size = sizeof options};
    if (!kc_config_is_set(session->config.kafka, "default.api.timeout.ms"))
        options.timeout_ms = CLI_CONNECT_MS;
    kc_err started = kc_admin_describe_topics(session->client, &none, 0, &options,
                                              kc_admin_waiter_fn, &waiter, &err);
    kc_admin_result *result = cli_wait(session, started, &waiter, "connecting", &err);
    kc_admin_free(result);
    return result != NULL;
}

bool cli_connect(cli_session *session)
{
    return cli_session_open(session) && cli_await_broker(session);
}

/* ---- signals ---- */

static void on_signal(int number)
{
    // the second one ends the program, whichever of the two it is
    signal(number == SIGINT ? SIGTERM : SIGINT, SIG_DFL);
    interrupted = 1;
    if (interrupted_client)
        kc_client_wake(interrupted_client);
}

void cli_catch_signals(cli_session *session)
{
    interrupted_client = session ? session->client : NULL;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_is_interrupted(void)
{
    return interrupted != 0;
}
