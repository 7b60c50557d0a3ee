/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Lifetime of a client, and the turn.
 *
 * One owner tree: the client owns the loop (unless a test gave it), the pool, metadata,
 * coordinators, calls and the handles opened on it; nothing counts references on another. It is
 * taken apart from the top: first what belongs to the application (producers, consumers, admin
 * operations, calls: each completes with KC_ERR_CLOSED), then what those stood on. So no part is
 * ever called by one that is gone.
 *
 * The struct itself outlives that while answers or batches are still held (pins): they free into
 * its kb_mem. */
#include "client/call.h"
#include "client/coordinator.h"
#include "client/metadata.h"
#include "client/sasl.h"
#include "client/thread.h"
#include "client/timer.h"
#include "client/variant.h"
#include "net/proxy.h"
#include "net/tcp.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <assert.h>
#include <stdio.h>

static const char *const debug_words[KC_DEBUG_COUNT] = {
    "metadata", "net", "producer", "consumer", "group", "admin", "wire",
};

/* ---- making one ---- */

/** A log of one context: without its word in `debug` it makes no debug lines. */
static void init_logs(kc_client *client, const kc_client_options *options)
{
    client->log = (kb_log){.fn = options->log,
                           .user = options->log_user,
                           .level = options->log_level ? options->log_level : KC_LOG_INFO};
    kc_bytes chosen = kc_str(client->settings->debug);
    for (int context = 0; context < KC_DEBUG_COUNT; context++) {
        bool is_chosen = chosen.len == 0 && context != KC_DEBUG_WIRE;
        kc_bytes rest = chosen, word;
        while (!is_chosen && kb_text_split(&rest, ',', &word))
            is_chosen = kb_text_is(word, debug_words[context]) || kb_text_is(word, "all");
        client->logs[context] = client->log;
        if (!is_chosen && client->log.level > KC_LOG_INFO)
            client->logs[context].level = KC_LOG_INFO;
    }
}

/** A connection came up or went down. A close with nothing in flight is no failure (complaint 9).
 */
static void on_connection(void *user, int32_t broker_id, const kc_error *error, bool was_idle)
{
    kc_client *client = user;
    if (!error) {
        kc_client_note(client, NULL);
        return;
    }
    if (was_idle)
        return;
    kc_client_note(client, error);
    if (client->is_closing)
        return;
    if (broker_id >= 0 && client->coordinators)
        kc_coordinators_forget_broker(client->coordinators, broker_id);
    if (broker_id >= 0 && client->metadata)
        kc_metadata_refresh(client->metadata, "a connection was lost");
}

static bool traces_wire(const kc_client *client)
{
    return client->traffic_fn || kb_log_is_on(kc_client_log(client, KC_DEBUG_WIRE), KC_LOG_DEBUG);
}

static void on_frame(void *user, const kn_frame_event *event)
{
    kc_client *client = user;
    if (client->traffic_fn) {
        const kc_traffic_event told = {
            .is_response = event->is_response,
            .broker_id = event->broker_id,
            .api_key = event->api->key,
            .api_name = event->api->name,
            .version = event->version,
            .correlation_id = event->correlation_id,
            .bytes = event->bytes,
            .latency_us = event->latency_us,
        };
        client->traffic_fn(&told, client->traffic_user);
    }
    const kb_log *log = kc_client_log(client, KC_DEBUG_WIRE);
    if (!kb_log_is_on(log, KC_LOG_DEBUG))
        return;
    char time[25], latency[48] = "";
    kb_time_format(kn_loop_wall_ms(client->loop), time);
    if (event->is_response)
        snprintf(latency, sizeof latency, ",\"latencyUs\":%lld", (long long)event->latency_us);
    kb_log_line(log, KC_LOG_DEBUG,
                "{\"time\":\"%s\",\"wire\":\"%s\",\"broker\":%d,\"api\":\"%s\",\"version\":%d,"
                "\"correlationId\":%d,\"bytes\":%zu%s}",
                time, event->is_response ? "response" : "request", (int)event->broker_id,
                event->api->name, event->version, (int)event->correlation_id, event->bytes,
                latency);
}

static kc_err open_pool(kc_client *client, kc_error *err)
{
    const kc_settings *settings = client->settings;
    kn_pool_options options = {
        .mem = &client->mem,
        .loop = client->loop,
        .network = client->tls     ? client->tls
                   : client->proxy ? client->proxy
                                   : client->network,
        .log = kc_client_log(client, KC_DEBUG_NET),
        .rand = &client->rand,
        .trace = traces_wire(client) ? on_frame : NULL,
        .trace_user = client,
        .bootstrap_servers = kc_str(settings->bootstrap_servers),
        .is_canonical = settings->dns_lookup_canonical,
        .never_returns = !settings->metadata_recovery_rebootstrap,
        .client_id = kc_str(settings->client_id),
        .request_timeout_ms = settings->request_timeout_ms,
        .connection_setup_timeout_ms = settings->socket_connection_setup_timeout_ms,
        .connection_setup_timeout_max_ms = settings->socket_connection_setup_timeout_max_ms,
        .reconnect_backoff_ms = settings->reconnect_backoff_ms,
        .reconnect_backoff_max_ms = settings->reconnect_backoff_max_ms,
        .connections_max_idle_ms =
            settings->connections_max_idle_ms > 0 ? settings->connections_max_idle_ms : 0,
        .in_flight_max = settings->max_in_flight_requests_per_connection,
        .response_bytes_max = settings->receive_message_max_bytes,
        .send_buffer_bytes = settings->send_buffer_bytes,
        .receive_buffer_bytes = settings->receive_buffer_bytes,
        .sasl = kc_sasl_conf(client->sasl),
        .on_change = on_connection,
        .user = client,
    };
    return kn_pool_new(&options, &client->pool, err);
}

static kc_err open_parts(kc_client *client, const kc_client_options *options, kc_error *err)
{
    KB_TRY(kc_sasl_open(client, options, err));
    if (!client->network)
        if (kn_tcp_network_new(&client->mem, client->loop, &client->network) != KC_OK)
            return kb_error_code(err, KC_ERR_NOMEM);
    if (client->settings->proxy_url && client->settings->dns_lookup_canonical)
        return kb_error_set(
            err, KC_ERR_CONFIG,
            "with proxy.url the proxy looks names up, so client.dns.lookup can't be "
            "resolve_canonical_bootstrap_servers_only");
    if (client->settings->proxy_url)
        KB_TRY(kn_proxy_network_new(&client->mem, client->loop, client->network,
                                    kc_str(client->settings->proxy_url), &client->proxy, err));
    KB_TRY(kc_client_open_tls(client, err));
    KB_TRY(open_pool(client, err));
    kc_err made = kc_metadata_new(client, &client->metadata);
    if (made == KC_OK)
        made = kc_coordinators_new(client, &client->coordinators);
    return made == KC_OK ? KC_OK : kb_error_code(err, made);
}

static kc_err open_all(kc_client *client, const kc_config *config, const kc_client_options *options,
                       kc_error *err)
{
    client->config = config ? kc_config_copy_in(&client->mem, config) //
                            : kc_config_new_in(&client->mem);
    if (!client->config)
        return kb_error_code(err, KC_ERR_NOMEM);
    client->settings = kc_config_settings(client->config);
    KB_TRY(kc_config_check(client->config, err));
    init_logs(client, options);
    client->traffic_fn = options->traffic_fn;
    client->traffic_user = options->traffic_user;
    client->owns_network = client->loop == NULL;
    if (!client->loop)
        KB_TRY(kn_loop_new(&client->mem, &client->loop, err));
    kb_rand_init(&client->rand, options->seed ? options->seed : kc_clock_random());
    return open_parts(client, options, err);
}

/** The struct counts itself in its own kb_mem. */
static kc_client *allocate(const kc_config *config, const kc_client_options *options)
{
    int64_t limit = config ? kc_config_settings(config)->memory_bytes_max : 0;
    if (!config) {
        kc_config *defaults = kc_config_new();
        if (!defaults)
            return NULL;
        limit = kc_config_settings(defaults)->memory_bytes_max;
        kc_config_free(defaults);
    }
    kb_mem mem;
    kb_mem_init(&mem, options->alloc, KC_VARIANT(MEMORY_UNBOUNDED) ? 0 : (size_t)limit);
    kc_client *client = kb_mem_zalloc(&mem, sizeof *client);
    if (client)
        client->mem = mem;
    return client;
}

kc_err kc_client_new_on(const kc_config *config, const kc_client_options *options, kn_loop *loop,
                        kn_network *network, kc_client **client_out, kc_error *err)
{
    assert((loop == NULL) == (network == NULL));
    static const kc_client_options no_options = {.size = sizeof(kc_client_options)};
    if (!options)
        options = &no_options;
    if (!client_out || options->size != sizeof *options)
        return kb_error_set(err, KC_ERR_ARGUMENT, "kc_client_options.size is not set");
    kc_client *client = allocate(config, options);
    if (!client)
        return kb_error_code(err, KC_ERR_NOMEM);
    kb_list_init(&client->handles);
    kb_list_init(&client->calls);
    kb_list_init(&client->timers);
    client->loop = loop;
    client->network = network;
    client->is_virtual = loop && kn_loop_fd(loop) < 0;
    client->pins = 1;
    kc_err opened = open_all(client, config, options, err);
    if (opened != KC_OK) {
        kc_client_free(client);
        return opened;
    }
    *client_out = client;
    return KC_OK;
}

kc_err kc_client_new(const kc_config *config, const kc_client_options *options,
                     kc_client **client_out, kc_error *err)
{
    return kc_client_new_on(config, options, NULL, NULL, client_out, err);
}

/* ---- taking it apart ---- */

void kc_client_pin(kc_client *client)
{
    client->pins++;
}

void kc_client_unpin(kc_client *client)
{
    assert(client->pins > 0);
    if (--client->pins > 0)
        return;
    kb_mem mem = client->mem;
    kb_mem_free(&mem, client);
    assert(mem.used == 0);
}

static void close_all(kc_client *client)
{
    while (!kb_list_is_empty(&client->handles)) {
        kb_list *first = client->handles.next;
        kc_handle *handle = KB_CONTAINER(first, kc_handle, node);
        handle->abandon(handle);
        assert(client->handles.next != first); /* it took itself off */
    }
    kc_calls_free(client);
    kc_timers_free(client);
    kc_coordinators_free(client->coordinators);
    kc_metadata_free(client->metadata);
    kn_pool_free(client->pool);
    kc_sasl_close(client);
    kn_network_free(client->tls);
    kn_network_free(client->proxy);
    if (client->owns_network) {
        kn_network_free(client->network);
        kn_loop_free(client->loop);
    }
    kc_config_free(client->config);
}

void kc_client_free(kc_client *client)
{
    if (!client)
        return;
    /* In a child of a client with a thread, that may have been in a turn when it was forked. */
    bool is_threads_child =
        kc_client_is_elsewhere(client) && kc_client_stop(client) == KC_ERR_FORKED;
    if (client->in_dispatch && !is_threads_child) {
        kb_log_line(&client->log, KC_LOG_ERROR,
                    "kc_client_free() was called from a callback of the same client: ignored");
        return;
    }
    if (is_threads_child && !kn_loop_was_waiting(client->loop)) {
        kn_loop_abandon(client->loop); /* what it had in hand nobody can put in order */
        return;
    }
    client->in_dispatch = true; /* callbacks run: nothing of them may come back in */
    client->is_closing = true;
    client->is_forked = client->loop && kn_loop_is_forked(client->loop);
    kc_thread_end(client);
    close_all(client);
    kc_client_unpin(client);
}

/* ---- turning ---- */

kc_err kc_client_check(const kc_client *client, kc_error *err)
{
    if (client->is_closing)
        return kb_error_set(err, KC_ERR_STATE, "the client is being freed");
    if (kn_loop_is_forked(client->loop))
        return kb_error_code(err, KC_ERR_FORKED);
    if (kc_client_is_elsewhere(client))
        return kb_error_set(err, KC_ERR_STATE,
                            "the client has a thread of its own: call this there, by "
                            "kc_client_run() or kc_client_post()");
    return KC_OK;
}

int kc_client_fd(const kc_client *client)
{
    return kn_loop_fd(client->loop);
}

kc_err kc_client_dispatch(kc_client *client, int timeout_ms)
{
    if (kc_client_is_elsewhere(client) || client->in_dispatch)
        return kn_loop_is_forked(client->loop) ? KC_ERR_FORKED : KC_ERR_STATE;
    bool is_busy = false;
    client->in_dispatch = true;
    kc_err result = kn_loop_turn(client->loop, timeout_ms, &is_busy);
    if (client->thread && result == KC_OK)
        kc_thread_take(client);
    client->in_dispatch = false;
    if (result != KC_OK)
        return result;
    return is_busy ? KC_ERR_AGAIN : KC_OK;
}

/** No descriptor to wait on: time goes on by itself. */
static kc_err run_virtual(kc_client *client, const bool *done, int64_t until_us)
{
    client->in_dispatch = true;
    while (!*done && kn_loop_advance(client->loop, until_us))
        ;
    client->in_dispatch = false;
    return *done ? KC_OK : KC_ERR_TIMEOUT;
}

/** Whole milliseconds up to `until_us`, rounded up so that the last turn is not spun through. */
static int wait_ms(int64_t now_us, int64_t until_us)
{
    if (until_us == INT64_MAX)
        return -1;
    int64_t ms = until_us > now_us ? (until_us - now_us - 1) / 1000 + 1 : 0;
    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

kc_err kc_client_run_until(kc_client *client, const bool *done, int timeout_ms)
{
    if (client->in_dispatch)
        return KC_ERR_STATE;
    int64_t now_us = kc_client_fresh_us(client);
    int64_t until_us = timeout_ms < 0 ? INT64_MAX : now_us + (int64_t)timeout_ms * 1000;
    if (client->is_virtual)
        return run_virtual(client, done, until_us);
    while (!*done) {
        kc_err turned = kc_client_dispatch(client, wait_ms(now_us, until_us));
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            return turned;
        now_us = kn_loop_now_us(client->loop);
        if (!*done && now_us >= until_us)
            return KC_ERR_TIMEOUT;
    }
    return KC_OK;
}

void kc_client_wake(kc_client *client)
{
    kn_loop_wake(client->loop);
}

/* ---- small things ---- */

int64_t kc_client_now_us(const kc_client *client)
{
    return kn_loop_now_us(client->loop);
}

int64_t kc_client_wall_ms(const kc_client *client)
{
    return kn_loop_wall_ms(client->loop);
}

uint64_t kc_client_random(kc_client *client)
{
    return kb_rand_u64(&client->rand);
}

int64_t kc_retry_backoff_us(kc_client *client, uint32_t attempt)
{
    int64_t max_us = (int64_t)client->settings->retry_backoff_max_ms * 1000;
    int64_t wait_us = (int64_t)client->settings->retry_backoff_ms * 1000;
    for (uint32_t i = 0; i < attempt && wait_us < max_us; i++)
        wait_us *= 2;
    if (wait_us > max_us)
        wait_us = max_us;
    return (int64_t)((double)wait_us * (0.8 + 0.4 * kb_rand_unit(&client->rand)));
}

void kc_client_stats_get(const kc_client *client, kc_client_stats *stats_out)
{
    kn_pool_stats pool;
    kn_pool_stats_get(client->pool, &pool);
    *stats_out = (kc_client_stats){
        .memory_bytes = client->mem.used,
        .memory_bytes_peak = client->mem.peak,
        .memory_bytes_max = client->mem.limit,
        .bytes_in = pool.bytes_in,
        .bytes_out = pool.bytes_out,
        .requests = pool.requests,
        .responses = pool.responses,
        .connections = pool.connections,
        .connects = pool.connects,
        .disconnects = pool.disconnects,
        .reauthentications = pool.reauthentications,
    };
}

void kc_client_note(kc_client *client, const kc_error *error)
{
    if (error)
        client->last_error = *error;
    else
        client->last_error.code = KC_OK;
}

void kc_client_last_error(const kc_client *client, kc_error *error_out)
{
    *error_out = client->last_error;
}
