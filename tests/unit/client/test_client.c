/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The client as a whole: its life, the turn, timers, fork, memory. */
#include "client/call.h"
#include "client/metadata.h"
#include "protocol/codec.h"
#include "tests/unit/client/fake_broker.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static kc_error error;

static kc_client *client_on(const char *servers)
{
    kc_client *client;
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", servers, &error), KC_OK);
    kc_err made = kc_client_new(config, NULL, &client, &error);
    kc_config_free(config);
    ck_assert_msg(made == KC_OK, "%s", error.text);
    return client;
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, timeout_ms) == 1;
}

static void on_any_answer(const kc_response *response, void *user)
{
    ck_assert_int_eq(response->err, KC_OK);
    *(bool *)user = true;
}

START_TEST(a_client_connects_to_nothing_by_itself)
{
    kc_client *client = client_on("127.0.0.1:1");
    ck_assert_int_ge(kc_client_fd(client), 0);
    while (kc_client_dispatch(client, 0) == KC_ERR_AGAIN)
        ;
    kc_client_stats stats;
    kc_client_stats_get(client, &stats);
    ck_assert_uint_eq(stats.connections, 0);
    ck_assert_uint_eq(stats.requests, 0);
    ck_assert_uint_gt(stats.memory_bytes, 0);
    ck_assert_uint_lt(stats.memory_bytes, 65536);
    ck_assert_uint_eq(stats.memory_bytes_max, 134217728);
    kc_error last;
    kc_client_last_error(client, &last);
    ck_assert_int_eq(last.code, KC_OK);
    kc_client_free(client);
    kc_client_free(NULL);
}
END_TEST

START_TEST(bad_settings_are_told_when_the_client_is_made)
{
    kc_client *client = NULL;
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", "no-port", &error), KC_OK);
    ck_assert_int_eq(kc_client_new(config, NULL, &client, &error), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "no-port"));
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", "a:1", &error), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "buffer.memory", "134217728", &error), KC_OK);
    ck_assert_int_eq(kc_client_new(config, NULL, &client, &error), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "memory.bytes.max"));
    kc_client_options options = {.size = 1};
    ck_assert_int_eq(kc_client_new(NULL, &options, &client, &error), KC_ERR_ARGUMENT);
    ck_assert_ptr_null(client);
    kc_config_free(config);
}
END_TEST

START_TEST(without_a_config_the_defaults_hold)
{
    kc_client *client;
    ck_assert_int_eq(kc_client_new(NULL, NULL, &client, &error), KC_OK);
    ck_assert_str_eq(client->settings->bootstrap_servers, "localhost:9092");
    ck_assert_uint_eq(client->mem.limit, 134217728);
    kc_client_free(client);
}
END_TEST

START_TEST(the_config_is_copied)
{
    kc_client *client;
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "client.id", "mine", &error), KC_OK);
    ck_assert_int_eq(kc_client_new(config, NULL, &client, &error), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "client.id", "other", &error), KC_OK);
    kc_config_free(config);
    ck_assert_str_eq(client->settings->client_id, "mine");
    kc_client_free(client);
}
END_TEST

static void count_up(void *user)
{
    ++*(int *)user;
}

START_TEST(a_timer_makes_the_fd_readable_and_runs_from_dispatch)
{
    kc_client *client = client_on("127.0.0.1:1");
    kc_timer *timer, *stopped;
    int count = 0, never = 0;
    int fd = kc_client_fd(client);
    ck_assert_int_eq(kc_timer_new(client, count_up, &count, &timer), KC_OK);
    ck_assert_int_eq(kc_timer_new(client, count_up, &never, &stopped), KC_OK);
    ck_assert_int_eq(kc_timer_new(client, NULL, NULL, &stopped), KC_ERR_ARGUMENT);
    kc_timer_set(stopped, 0);
    kc_timer_stop(stopped);
    kc_timer_set(timer, 5);
    while (count == 0) {
        ck_assert(is_readable(fd, 10000));
        kc_err turned = kc_client_dispatch(client, 0);
        ck_assert(turned == KC_OK || turned == KC_ERR_AGAIN);
    }
    ck_assert_int_eq(never, 0);
    kc_timer_set(timer, INT64_MAX);
    kc_timer_free(timer);
    kc_timer_free(NULL);
    kc_client_free(client); /* takes the other one along */
}
END_TEST

START_TEST(wake_ends_a_dispatch_that_waits)
{
    kc_client *client = client_on("127.0.0.1:1");
    kc_client_wake(client);
    ck_assert_int_ne(kc_client_dispatch(client, -1), KC_ERR_IO);
    kc_client_free(client);
}
END_TEST

/** What a callback tries to do with its own client. */
typedef struct intruder {
    kc_client *client;
    kc_err dispatch, run;
    bool done;
} intruder;

static void intrude(void *user)
{
    intruder *self = user;
    self->dispatch = kc_client_dispatch(self->client, 0);
    self->run = kc_client_run_until(self->client, &self->done, 0);
    kc_client_free(self->client); /* refused */
    self->done = true;
}

START_TEST(a_callback_can_neither_dispatch_nor_free)
{
    kc_client *client = client_on("127.0.0.1:1");
    intruder self = {.client = client};
    kc_timer *timer;
    ck_assert_int_eq(kc_timer_new(client, intrude, &self, &timer), KC_OK);
    kc_timer_set(timer, 0);
    ck_assert_int_eq(kc_client_run_until(client, &self.done, 10000), KC_OK);
    ck_assert_int_eq(self.dispatch, KC_ERR_STATE);
    ck_assert_int_eq(self.run, KC_ERR_STATE);
    kc_client_free(client);
}
END_TEST

START_TEST(run_until_ends_at_its_time)
{
    kc_client *client = client_on("127.0.0.1:1");
    bool done = false;
    int64_t before_us = kc_client_now_us(client);
    ck_assert_int_eq(kc_client_run_until(client, &done, 20), KC_ERR_TIMEOUT);
    ck_assert_int_ge(kc_client_now_us(client) - before_us, 19000);
    done = true;
    ck_assert_int_eq(kc_client_run_until(client, &done, -1), KC_OK);
    kc_client_free(client);
}
END_TEST

static void on_answer(const kc_response *response, void *user)
{
    *(kc_err *)user = response->err;
}

START_TEST(a_closed_port_is_named_in_the_last_error)
{
    kc_client *client = client_on("127.0.0.1:1");
    kc_err answer = KC_ERR_AGAIN;
    kp_metadata_req request = {.topics = {NULL, 0}};
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.timeout_ms = 200;
    ck_assert_int_eq(
        kc_call(client, KP_API_METADATA, &request, &options, on_answer, &answer, &error), KC_OK);
    while (answer == KC_ERR_AGAIN) {
        kc_err turned = kc_client_dispatch(client, 1000);
        ck_assert(turned == KC_OK || turned == KC_ERR_AGAIN);
    }
    ck_assert_int_eq(answer, KC_ERR_TIMEOUT);
    kc_error last;
    kc_client_last_error(client, &last);
    ck_assert_int_eq(last.code, KC_ERR_CONNECT);
    ck_assert_ptr_nonnull(strstr(last.text, "127.0.0.1:1"));
    kc_client_free(client);
}
END_TEST

/** In the child: what the client says there. Its exit status counts the surprises. */
static int child(kc_client *client, const bool *was_called)
{
    int surprises = 0;
    kp_metadata_req request = {.topics = {NULL, 0}};
    kc_timer *timer;
    kc_err answer;
    surprises += kc_client_dispatch(client, 0) != KC_ERR_FORKED;
    surprises +=
        kc_call(client, KP_API_METADATA, &request, NULL, on_answer, &answer, NULL) != KC_ERR_FORKED;
    surprises += kc_timer_new(client, count_up, NULL, &timer) != KC_ERR_FORKED;
    kc_client_free(client);
    surprises += *was_called;
    return surprises;
}

static void on_child_answer(const kc_response *response, void *user)
{
    (void)response;
    *(bool *)user = true;
}

START_TEST(a_forked_child_gets_an_error_and_calls_nothing_back)
{
    kc_client *client = client_on("127.0.0.1:1");
    bool was_called = false;
    kp_metadata_req request = {.topics = {NULL, 0}};
    ck_assert_int_eq(
        kc_call(client, KP_API_METADATA, &request, NULL, on_child_answer, &was_called, &error),
        KC_OK);
    (void)kc_client_dispatch(client, 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(child(client, &was_called));
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    kc_err turned = kc_client_dispatch(client, 0); /* the parent goes on */
    ck_assert(turned == KC_OK || turned == KC_ERR_AGAIN);
    kc_client_free(client);
    ck_assert(was_called);
}
END_TEST

/** Keeps the last line. */
static void on_line(kc_log_level level, const char *line, void *user)
{
    (void)level;
    (void)line;
    ++*(int *)user;
}

START_TEST(debug_lines_are_made_for_what_was_chosen)
{
    static const struct {
        const char *debug;
        bool has_metadata, has_net;
    } cases[] = {{"", true, true},
                 {"net", false, true},
                 {"metadata,group", true, false},
                 {"all", true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int lines = 0;
        kc_client *client;
        kc_config *config = kc_config_new();
        kc_client_options options = {
            .size = sizeof options, .log = on_line, .log_user = &lines, .log_level = KC_LOG_DEBUG};
        ck_assert_int_eq(kc_config_set(config, "debug", cases[i].debug, &error), KC_OK);
        ck_assert_int_eq(kc_client_new(config, &options, &client, &error), KC_OK);
        const kb_log *metadata = kc_client_log(client, KC_DEBUG_METADATA);
        ck_assert_int_eq(kb_log_is_on(metadata, KC_LOG_DEBUG), cases[i].has_metadata);
        ck_assert_int_eq(kb_log_is_on(kc_client_log(client, KC_DEBUG_NET), KC_LOG_DEBUG),
                         cases[i].has_net);
        ck_assert(kb_log_is_on(metadata, KC_LOG_WARNING));
        lines = 0;
        kb_log_line(metadata, KC_LOG_DEBUG, "one");
        ck_assert_int_eq(lines, cases[i].has_metadata);
        kc_config_free(config);
        kc_client_free(client);
    }
}
END_TEST

typedef struct traffic {
    int requests, responses, lines;
    kc_traffic_event last;
    char line[512];
} traffic;

static void on_traffic(const kc_traffic_event *event, void *user)
{
    traffic *seen = user;
    ck_assert_int_eq(event->latency_us > 0, event->is_response);
    *(event->is_response ? &seen->responses : &seen->requests) += 1;
    seen->last = *event;
}

static void on_traffic_line(kc_log_level level, const char *line, void *user)
{
    traffic *seen = user;
    (void)level;
    if (line[0] != '{')
        return;
    seen->lines++;
    snprintf(seen->line, sizeof seen->line, "%s", line);
}

START_TEST(every_request_and_response_is_told_and_logged_as_a_line_of_json)
{
    traffic seen = {.requests = 0};
    fake_cluster *cluster = fake_new(1);
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "debug", "wire", &error), KC_OK);
    const kc_client_options options = {.size = sizeof options,
                                       .log = on_traffic_line,
                                       .log_user = &seen,
                                       .log_level = KC_LOG_DEBUG,
                                       .traffic_fn = on_traffic,
                                       .traffic_user = &seen};
    kc_client *client = fake_client_with(cluster, config, &options, &error);
    kp_metadata_req request = {.topics = {NULL, 0}};
    bool is_done = false;
    ck_assert_int_eq(
        kc_call(client, KP_API_METADATA, &request, NULL, on_any_answer, &is_done, NULL), KC_OK);
    kn_mem_network_shape(cluster->network)->latency_us = 1000;
    ck_assert(fake_run_until(cluster, &is_done, 1000));
    ck_assert_int_eq(seen.requests, 2); /* ApiVersions was the other one */
    ck_assert_int_eq(seen.responses, 2);
    ck_assert_int_eq(seen.lines, 4);
    ck_assert_str_eq(seen.last.api_name, "Metadata");
    ck_assert_int_eq(seen.last.api_key, KP_API_METADATA);
    ck_assert_int_eq(seen.last.latency_us, 2000);
    ck_assert_ptr_nonnull(strstr(seen.line, "\"wire\":\"response\""));
    ck_assert_ptr_nonnull(strstr(seen.line, "\"api\":\"Metadata\",\"version\":13"));
    ck_assert_ptr_nonnull(strstr(seen.line, "\"latencyUs\":2000}"));
    kc_client_free(client);
    kc_config_free(config);
    fake_free(cluster);
}
END_TEST

START_TEST(a_seed_makes_the_same_numbers_again)
{
    uint64_t first = 0;
    for (int i = 0; i < 2; i++) {
        kc_client *client;
        kc_client_options options = {.size = sizeof options, .seed = 42};
        ck_assert_int_eq(kc_client_new(NULL, &options, &client, &error), KC_OK);
        uint64_t number = kc_client_random(client);
        if (i == 0)
            first = number;
        ck_assert_uint_eq(number, first);
        kc_client_free(client);
    }
    kc_client *client;
    ck_assert_int_eq(kc_client_new(NULL, NULL, &client, &error), KC_OK);
    ck_assert_uint_ne(kc_client_random(client), first);
    ck_assert_int_gt(kc_client_wall_ms(client), INT64_C(1600000000000));
    kc_client_free(client);
}
END_TEST

START_TEST(retries_back_off_up_to_the_maximum)
{
    kc_client *client = client_on("127.0.0.1:1");
    for (int i = 0; i < 100; i++) {
        int64_t first = kc_retry_backoff_us(client, 0), third = kc_retry_backoff_us(client, 2);
        int64_t late = kc_retry_backoff_us(client, 1000000);
        ck_assert(first >= 80000 && first <= 120000);
        ck_assert(third >= 320000 && third <= 480000);
        ck_assert(late >= 800000 && late <= 1200000);
    }
    kc_client_free(client);
}
END_TEST

START_TEST(owners_of_lanes_are_never_0)
{
    kc_client *client = client_on("127.0.0.1:1");
    client->next_owner = UINT32_MAX - 1;
    ck_assert_uint_eq(kc_client_next_owner(client), UINT32_MAX);
    ck_assert_uint_eq(kc_client_next_owner(client), 1);
    kc_client_free(client);
}
END_TEST

START_TEST(held_memory_may_outlive_the_client)
{
    kc_client *client = client_on("127.0.0.1:1");
    kc_client_pin(client);
    void *held = kb_mem_alloc(&client->mem, 100);
    kc_client_free(client);
    kb_mem_free(&client->mem, held);
    kc_client_unpin(client);
}
END_TEST

/* ---- out of memory ---- */

/** Fails the n-th allocation, and all after it or none. */
typedef struct failing {
    int left; /**< -1: it failed once, that was all */
    bool is_once;
    size_t held;
} failing;

static bool may_allocate(failing *self)
{
    if (self->left < 0)
        return true;
    if (self->left > 0) {
        self->left--;
        return true;
    }
    if (self->is_once)
        self->left = -1;
    return false;
}

static void *failing_malloc(size_t size, void *user)
{
    failing *self = user;
    if (!may_allocate(self))
        return NULL;
    self->held++;
    return malloc(size);
}

static void *failing_realloc(void *ptr, size_t size, void *user)
{
    if (!may_allocate(user))
        return NULL;
    return realloc(ptr, size);
}

static void failing_free(void *ptr, void *user)
{
    ((failing *)user)->held--;
    free(ptr);
}

typedef struct outcome {
    int told;
    kc_err code;
} outcome;

static void on_outcome(const kc_response *response, void *user)
{
    outcome *self = user;
    self->told++;
    self->code = response->err;
}

static fake_action answer_plain(fake_request *request, void *response, void *user)
{
    (void)request;
    (void)response;
    (void)user;
    return FAKE_ANSWER;
}

/** A client, a topic, a call to a coordinator and one to the controller. True: nothing failed. */
static bool run_scenario(failing *self)
{
    fake_cluster *cluster = fake_new(2);
    fake_topic_add(cluster, "t", 2);
    fake_on(cluster, KP_API_HEARTBEAT, answer_plain, NULL);
    fake_on(cluster, KP_API_CREATE_TOPICS, answer_plain, NULL);
    kc_alloc alloc = {failing_malloc, failing_realloc, failing_free, self};
    kc_client_options options = {.size = sizeof options, .alloc = &alloc, .seed = 1};
    kc_client *client = fake_client_with(cluster, NULL, &options, &error);
    outcome outcomes[2] = {{0, KC_OK}, {0, KC_OK}};
    bool is_good = client != NULL;
    if (client) {
        kc_meta_topic *topic = NULL;
        kc_call_options call_options = KC_CALL_OPTIONS_INIT;
        call_options.timeout_ms = 500;
        kp_heartbeat_req heartbeat;
        kp_defaults(kp_api_by_key(KP_API_HEARTBEAT)->request, &heartbeat);
        heartbeat.group_id = KC_STR("g");
        kp_create_topics_req create = {.timeout_ms = 100};
        bool is_used = kc_metadata_use(client->metadata, KC_STR("t"), &topic) == KC_OK;
        bool is_called[2];
        is_called[0] = kc_call(client, KP_API_HEARTBEAT, &heartbeat, &call_options, on_outcome,
                               &outcomes[0], &error) == KC_OK;
        is_called[1] = kc_call(client, KP_API_CREATE_TOPICS, &create, &call_options, on_outcome,
                               &outcomes[1], &error) == KC_OK;
        fake_run(cluster, 600);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(outcomes[i].told, is_called[i]);
            is_good = is_good && is_called[i] && outcomes[i].code == KC_OK;
        }
        is_good = is_good && is_used && topic->err == KC_OK;
        kc_client_free(client);
    } else {
        ck_assert_int_eq(error.code, KC_ERR_NOMEM);
    }
    fake_free(cluster);
    ck_assert_uint_eq(self->held, 0);
    return is_good;
}

/** Number of allocations of the whole scenario. */
static int fail_each(bool is_once)
{
    for (int fail_at = 0;; fail_at++) {
        failing self = {.left = fail_at, .is_once = is_once};
        if (run_scenario(&self) && self.left > 0)
            return fail_at;
        ck_assert_int_lt(fail_at, 5000);
    }
}

START_TEST(every_failed_allocation_is_an_error_and_leaks_nothing)
{
    ck_assert_int_gt(fail_each(false), 20);
}
END_TEST

START_TEST(one_failed_allocation_is_got_over_or_told)
{
    ck_assert_int_gt(fail_each(true), 20);
}
END_TEST

START_TEST(no_byte_above_the_limit_is_ever_held)
{
    for (int kib = 16; kib < 96; kib += 3) {
        fake_cluster *cluster = fake_new(2);
        fake_topic_add(cluster, "t", 100);
        kc_client *client = fake_client(cluster, NULL);
        client->mem.limit = client->mem.used + (size_t)kib * 1024 / 4;
        kc_meta_topic *topic;
        kc_err used = kc_metadata_use(client->metadata, KC_STR("t"), &topic);
        ck_assert(used == KC_OK || used == KC_ERR_NOMEM);
        fake_run(cluster, 2000);
        ck_assert_uint_le(client->mem.peak, client->mem.limit);
        kc_client_free(client);
        fake_free(cluster);
    }
}
END_TEST
