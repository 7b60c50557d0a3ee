/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Lifetime of <kafkac/mock.h>, and who serves it.
 *
 * A turn and a control call take turns at a gate. Whoever serves waits for the loop outside of it, so a control call
 * never waits for the network. What a control call changed is sent by the next turn, for which it makes the loop's fd
 * readable. */
#include "mock/auth.h"
#include "mock/mock_core.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <stdio.h>

#define MEMORY_BYTES   ((size_t)1 << 30)
#define DELAY_MS_MAX   60000
#define SESSION_MS_MAX 86400000

void kc_mock_options_init(kc_mock_options *options)
{
    *options = (kc_mock_options){
        .size = sizeof *options,
        .brokers = 1,
        .auto_create_topics = true,
        .partitions = 1,
        .memory_bytes_max = MEMORY_BYTES,
        .log_level = KC_LOG_WARNING,
    };
}

/* ---- making one ---- */

static kc_err check_options(const kc_mock_options *options, kc_error *err)
{
    const struct {
        const char *name;
        int64_t value, min, max;
    } numbers[] = {
        {"brokers", options->brokers, 1, KC_MOCK_BROKERS_MAX},
        {"port", options->port, 0, UINT16_MAX},
        {"partitions", options->partitions, 1, 100000},
        {"replication", options->replication, 0, KM_REPLICAS_MAX},
        {"replication_ms", options->replication_ms, 0, DELAY_MS_MAX},
        {"group_initial_delay_ms", options->group_initial_delay_ms, 0, DELAY_MS_MAX},
        {"sasl_session_ms", options->sasl_session_ms, 0, SESSION_MS_MAX},
        {"connections_max_idle_ms", options->connections_max_idle_ms, 0, INT32_MAX},
    };
    if (options->size != sizeof *options)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "options.size is not that of this release: use "
                            "kc_mock_options_init()");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i].value < numbers[i].min || numbers[i].value > numbers[i].max)
            return kb_error_set(err, KC_ERR_ARGUMENT, "%s must be %lld to %lld, not %lld",
                                numbers[i].name, (long long)numbers[i].min,
                                (long long)numbers[i].max, (long long)numbers[i].value);
    if (options->user_count > 0 && !options->users)
        return kb_error_set(err, KC_ERR_ARGUMENT, "user_count is %zu, but users is NULL",
                            options->user_count);
    if (options->replication > options->brokers)
        return kb_error_set(err, KC_ERR_ARGUMENT, "%d replicas need as many brokers, not %d",
                            options->replication, options->brokers);
    return KC_OK;
}

/** Of ids only; the address of the mock tells those apart that are made in one moment. */
static uint64_t some_seed(const kc_mock *mock)
{
    uint64_t time = (uint64_t)kn_loop_now_us(mock->loop) + (uint64_t)kn_loop_wall_ms(mock->loop);
    return time * UINT64_C(0x9e3779b97f4a7c15) + (uintptr_t)mock;
}

static kc_err add_users(kc_mock *mock, const kc_mock_options *from, kc_error *err)
{
    if (from->user_count == 0)
        return KC_OK;
    km_auth *auth = km_auth_open(mock->cluster);
    if (!auth)
        return kb_error_code(err, KC_ERR_NOMEM);
    auth->is_required = true;
    auth->session_ms = from->sasl_session_ms;
    for (size_t i = 0; i < from->user_count; i++) {
        const kc_mock_user *user = &from->users[i];
        if (!user->name || !user->password || !*user->name || !*user->password)
            return kb_error_set(err, KC_ERR_ARGUMENT, "a user needs a name and a password");
        kc_err failed = km_auth_add_user(mock->cluster, user->name, user->password);
        if (failed)
            return kb_error_code(err, failed);
    }
    return KC_OK;
}

static kc_err open_cluster(kc_mock *mock, const kc_mock_options *from, kc_error *err)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = from->brokers;
    options.auto_create_topics = from->auto_create_topics;
    options.num_partitions = from->partitions;
    options.default_replication = from->replication;
    options.replication_us = (int64_t)from->replication_ms * 1000;
    options.group_initial_delay_ms = from->group_initial_delay_ms;
    options.connections_max_idle_ms = from->connections_max_idle_ms;
    options.seed = from->seed ? from->seed : some_seed(mock);
    kc_err failed = km_cluster_new(&mock->mem, &options, kn_loop_now_us(mock->loop),
                                   kn_loop_wall_ms(mock->loop), &mock->cluster);
    if (failed)
        return kb_error_code(err, failed);
    mock->cluster->log = mock->log;
    KB_TRY(add_users(mock, from, err));
    const km_tcp_options tcp = {.listen_host = from->listen_host,
                                .advertised_host = from->advertised_host,
                                .port = (uint16_t)from->port};
    return km_tcp_server_new(mock->loop, mock->cluster, &tcp, &mock->server, err);
}

static kc_err write_bootstrap(kc_mock *mock, kc_error *err)
{
    kb_buf text;
    kb_buf_init(&text, &mock->mem, 0);
    for (int i = 0; i < mock->cluster->broker_count; i++) {
        const km_broker *broker = &mock->cluster->brokers[i];
        bool is_v6 = strchr(broker->host, ':') != NULL;
        kb_buf_printf(&text, is_v6 ? "%s[%s]:%d" : "%s%s:%d", i > 0 ? "," : "", broker->host,
                      broker->port);
    }
    if (!text.err)
        mock->bootstrap = kb_mem_strndup(&mock->mem, text.data, text.len);
    kb_buf_cleanup(&text);
    return mock->bootstrap ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
}

static void take_apart(kc_mock *mock)
{
    if (mock->cluster) {
        km_mock_later_free(mock);
        km_tcp_server_free(mock->server);
        km_cluster_free(mock->cluster);
        km_mock_rules_free(mock);
    }
    kb_mem_free(&mock->mem, mock->bootstrap);
    kn_loop_free(mock->loop);
    km_gate_cleanup(&mock->gate);
    kb_mem mem = mock->mem;
    kb_mem_free(&mem, mock);
    assert(mem.used == 0);
}

/** KC_ERR_NOMEM, told with the limit where that is why. */
static kc_err no_memory(const kb_mem *mem, kc_error *err)
{
    if (!mem->is_full)
        return kb_error_code(err, KC_ERR_NOMEM);
    return kb_error_set(err, KC_ERR_NOMEM,
                        "memory_bytes_max of %zu is too little for a mock: make it larger, %d at "
                        "least",
                        mem->limit, KC_MOCK_MEMORY_BYTES_MIN);
}

kc_err kc_mock_new(const kc_mock_options *options, kc_mock **mock_out, kc_error *err)
{
    kc_mock_options defaults;
    kc_mock_options_init(&defaults);
    options = options ? options : &defaults;
    KB_TRY(check_options(options, err));
    kb_mem mem;
    kb_mem_init(&mem, options->alloc, options->memory_bytes_max);
    kc_mock *mock = kb_mem_zalloc(&mem, sizeof *mock);
    if (!mock)
        return no_memory(&mem, err);
    mock->mem = mem;
    mock->log = (kb_log){options->log, options->log_user,
                         options->log_level ? options->log_level : KC_LOG_WARNING};
    km_gate_init(&mock->gate);
    kb_list_init(&mock->rules);
    kb_list_init(&mock->later);
    kc_err failed = kn_loop_new(&mock->mem, &mock->loop, err);
    if (!failed)
        failed = open_cluster(mock, options, err);
    if (!failed)
        failed = write_bootstrap(mock, err);
    if (failed == KC_ERR_NOMEM)
        failed = no_memory(&mock->mem, err);
    if (failed) {
        take_apart(mock);
        return failed;
    }
    kn_loop_fd(mock->loop); /* from here on what a control call queues makes it readable */
    *mock_out = mock;
    return KC_OK;
}

void kc_mock_free(kc_mock *mock)
{
    if (!mock)
        return;
    if (kn_loop_is_forked(mock->loop)) {
        km_tcp_server_abandon(mock->server);
        kn_loop_abandon(mock->loop);
        return;
    }
    if (mock->thread_state == KM_THREAD_RUNS)
        km_thread_stop(&mock->thread);
    take_apart(mock);
}

const char *kc_mock_bootstrap(const kc_mock *mock)
{
    return mock->bootstrap;
}

/* ---- who is inside ---- */

kc_err km_mock_enter(kc_mock *mock, kc_error *err)
{
    if (kn_loop_is_forked(mock->loop))
        return kb_error_code(err, KC_ERR_FORKED);
    if (!km_gate_enter(&mock->gate, false))
        return kb_error_set(err, KC_ERR_STATE, "a callback of the mock must not call it");
    mock->cluster->now_us = kn_loop_refresh_now(mock->loop);
    mock->cluster->wall_ms = kn_loop_refresh_wall(mock->loop);
    return KC_OK;
}

kc_err km_mock_leave(kc_mock *mock, kc_err result)
{
    km_tcp_server_settle(mock->server);
    km_gate_leave(&mock->gate);
    return result;
}

/* ---- serving ---- */

static kc_err turn(void *user)
{
    kc_mock *mock = user;
    if (!km_gate_enter(&mock->gate, true))
        return KC_ERR_STATE;
    kc_err err = kn_loop_turn(mock->loop, 0, NULL);
    km_gate_leave(&mock->gate);
    return err;
}

int kc_mock_fd(kc_mock *mock)
{
    return kn_loop_fd(mock->loop);
}

kc_err kc_mock_dispatch(kc_mock *mock, int timeout_ms)
{
    if (kn_loop_is_forked(mock->loop))
        return KC_ERR_FORKED;
    if (!km_gate_enter(&mock->gate, false))
        return KC_ERR_STATE;
    bool has_thread = mock->thread_state != KM_NO_THREAD;
    km_gate_leave(&mock->gate);
    if (has_thread)
        return KC_ERR_STATE;
    if (timeout_ms != 0)
        KB_TRY(kn_loop_wait(mock->loop, timeout_ms));
    return turn(mock);
}

void kc_mock_wake(kc_mock *mock)
{
    kn_loop_wake(mock->loop);
}

kc_err kc_mock_start(kc_mock *mock, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    if (mock->thread_state != KM_NO_THREAD)
        return km_mock_leave(mock,
                             kb_error_set(err, KC_ERR_STATE, "the mock has a thread already"));
    mock->thread.loop = mock->loop;
    mock->thread.turn = turn;
    mock->thread.user = mock;
    kc_err failed = km_thread_start(&mock->thread, err);
    if (!failed)
        mock->thread_state = KM_THREAD_RUNS;
    return km_mock_leave(mock, failed);
}

kc_err kc_mock_stop(kc_mock *mock)
{
    KB_TRY(km_mock_enter(mock, NULL));
    if (mock->thread_state != KM_THREAD_RUNS)
        return km_mock_leave(mock, KC_ERR_STATE);
    mock->thread_state = KM_THREAD_ENDS;
    km_gate_leave(&mock->gate);
    km_thread_stop(&mock->thread);
    KB_TRY(km_mock_enter(mock, NULL));
    mock->thread_state = KM_NO_THREAD;
    return km_mock_leave(mock, KC_OK);
}
