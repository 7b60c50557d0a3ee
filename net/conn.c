/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Life and death of a connection: states, deadlines, the end. Connecting, set-up, reading and writing
 * are in conn_connect.c, conn_setup.c, conn_read.c and conn_write.c.
 *
 * One timer serves all deadlines: it is moved earlier when a nearer one comes up, and when it fires
 * it looks for what is due and goes to the next. So a request that is answered costs no heap
 * operation. */
#include "net/conn.h"

#include "protocol/base/error.h"

#include <assert.h>
#include <stdio.h>

static const char *state_name(kn_conn_state state)
{
    static const char *const names[] = {
        [KN_CONN_NEW] = "new",      [KN_CONN_RESOLVING] = "resolving",
        [KN_CONN_SETUP] = "setup",  [KN_CONN_CONNECTING] = "connecting",
        [KN_CONN_READY] = "ready",  [KN_CONN_DRAINING] = "draining",
        [KN_CONN_CLOSED] = "closed"};
    return names[state];
}

static bool can_follow(kn_conn_state from, kn_conn_state to)
{
    static const unsigned allowed[] = {
        [KN_CONN_NEW] = 1u << KN_CONN_RESOLVING | 1u << KN_CONN_CLOSED,
        [KN_CONN_RESOLVING] = 1u << KN_CONN_CONNECTING | 1u << KN_CONN_CLOSED,
        [KN_CONN_CONNECTING] = 1u << KN_CONN_SETUP | 1u << KN_CONN_CLOSED,
        [KN_CONN_SETUP] = 1u << KN_CONN_READY | 1u << KN_CONN_CLOSED,
        [KN_CONN_READY] = 1u << KN_CONN_DRAINING | 1u << KN_CONN_CLOSED,
        [KN_CONN_DRAINING] = 1u << KN_CONN_CLOSED,
        [KN_CONN_CLOSED] = 0,
    };
    return (allowed[from] >> to & 1u) != 0;
}

void kn_conn_set_state(kn_conn *conn, kn_conn_state state)
{
    bool is_allowed = can_follow(conn->state, state);
    assert(is_allowed);
    (void)is_allowed;
    char name[KN_PEER_NAME_MAX];
    if (kb_log_is_on(conn->env->log, KC_LOG_DEBUG))
        kb_log_line(conn->env->log, KC_LOG_DEBUG, "%s: %s -> %s",
                    kn_conn_name(conn, name, sizeof name), state_name(conn->state),
                    state_name(state));
    conn->state = state;
}

const char *kn_peer_name(int32_t broker_id, const char *host, uint16_t port, char *buf, size_t cap)
{
    bool is_v6 = strchr(host, ':') != NULL;
    char role[32];
    if (broker_id >= 0)
        snprintf(role, sizeof role, "broker %d at", (int)broker_id);
    else
        snprintf(role, sizeof role, "bootstrap server");
    snprintf(buf, cap, is_v6 ? "%s [%s]:%u" : "%s %s:%u", role, host, (unsigned)port);
    return buf;
}

const char *kn_conn_name(const kn_conn *conn, char *buf, size_t cap)
{
    return kn_peer_name(conn->broker_id, conn->host, conn->port, buf, cap);
}

void kn_conn_wake_by(kn_conn *conn, int64_t due_us)
{
    if (conn->state == KN_CONN_CLOSED ||
        (kn_timer_is_set(&conn->timer) && conn->timer.due_us <= due_us))
        return;
    kc_err err = kn_timer_set(conn->env->loop, &conn->timer, due_us);
    assert(err == KC_OK);
    (void)err;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void fail_timed_out(kn_conn *conn, const kp_api *api, kn_request *request)
{
    char name[KN_PEER_NAME_MAX];
    kc_error error;
    int32_t timeout_ms =
        request && request->timeout_ms > 0 ? request->timeout_ms : conn->env->request_timeout_ms;
    kb_error_set(&error, KC_ERR_TIMEOUT,
                 "%s did not answer %s within %d ms; the connection was closed, since answers "
                 "come in order",
                 kn_conn_name(conn, name, sizeof name), api->name, (int)timeout_ms);
    error.phase = KC_PHASE_API;
    error.api_key = api->key;
    conn->expired = request;
    kn_conn_fail(conn, &error);
}

/** The caller gave up; the connection goes on. */
static void give_up(kn_conn *conn, kn_request *request)
{
    char name[KN_PEER_NAME_MAX];
    kc_error error;
    bool was_sent = request->state == KN_REQUEST_SENT;
    kb_error_set(&error, KC_ERR_TIMEOUT, "%s had not answered %s when its deadline passed",
                 kn_conn_name(conn, name, sizeof name), request->api->name);
    error.phase = KC_PHASE_API;
    kn_conn_cancel(conn, request);
    request->state = KN_REQUEST_LISTED;
    kn_request_fail(request, &error, was_sent, conn->broker_id);
}

static bool is_past(int64_t deadline_us, int64_t now_us)
{
    return deadline_us != 0 && deadline_us <= now_us;
}

/** The next request whose own deadline has passed, NULL: none. One at a time, since its callback
 * may do anything. */
static kn_request *find_given_up(kn_conn *conn, int64_t now_us)
{
    for (size_t i = 0; i < conn->ring_count; i++) {
        kn_request *request = conn->ring[(conn->ring_head + i) % conn->ring_cap].request;
        if (request && is_past(request->deadline_us, now_us))
            return request;
    }
    KB_LIST_FOR (node, &conn->unsent) {
        kn_request *request = KB_CONTAINER(node, kn_request, node);
        if (is_past(request->deadline_us, now_us))
            return request;
    }
    return NULL;
}

/** Ends the connection when an answer is overdue; else says when the next one would be. */
static int64_t check_overdue(kn_conn *conn, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    for (size_t i = 0; i < conn->ring_count; i++) {
        const kn_sent *sent = &conn->ring[(conn->ring_head + i) % conn->ring_cap];
        if (sent->expires_us <= now_us) {
            fail_timed_out(conn, sent->api, sent->request);
            return INT64_MAX;
        }
        next_us = least(next_us, sent->expires_us);
        if (sent->request && sent->request->deadline_us != 0)
            next_us = least(next_us, sent->request->deadline_us);
    }
    if (conn->has_orphan && conn->orphan_sent.expires_us <= now_us) {
        fail_timed_out(conn, conn->orphan_sent.api, NULL);
        return INT64_MAX;
    }
    if (conn->has_orphan)
        next_us = least(next_us, conn->orphan_sent.expires_us);
    KB_LIST_FOR (node, &conn->unsent) {
        kn_request *request = KB_CONTAINER(node, kn_request, node);
        if (request->expires_us <= now_us) {
            fail_timed_out(conn, request->api, request);
            return INT64_MAX;
        }
        next_us = least(next_us, request->expires_us);
        if (request->deadline_us != 0)
            next_us = least(next_us, request->deadline_us);
    }
    return next_us;
}

/** Complaint 9: we close first, before the broker's own reaper does. */
static int64_t check_idle(kn_conn *conn, int64_t now_us)
{
    if (conn->env->max_idle_ms <= 0 || kn_conn_load(conn) > 0)
        return INT64_MAX;
    int64_t due_us = conn->used_us + (int64_t)conn->env->max_idle_ms * 1000;
    if (due_us > now_us)
        return due_us;
    char name[KN_PEER_NAME_MAX];
    kc_error error;
    kb_error_set(&error, KC_ERR_CLOSED, "connection to %s closed after %d ms without use",
                 kn_conn_name(conn, name, sizeof name), (int)conn->env->max_idle_ms);
    kn_conn_fail(conn, &error);
    return INT64_MAX;
}

static void on_timer(kn_timer *timer)
{
    kn_conn *conn = timer->user;
    int64_t now_us = kn_loop_now_us(conn->env->loop);
    if (conn->state < KN_CONN_SETUP) {
        kn_conn_connect_timer(conn);
        return;
    }
    if (conn->state == KN_CONN_SETUP) {
        kn_conn_setup_timer(conn);
        return;
    }
    kn_request *request;
    while (conn->state != KN_CONN_CLOSED && (request = find_given_up(conn, now_us)))
        give_up(conn, request);
    if (conn->state == KN_CONN_CLOSED)
        return;
    int64_t next_us = check_overdue(conn, now_us);
    if (conn->state != KN_CONN_CLOSED)
        next_us = least(next_us, check_idle(conn, now_us));
    if (conn->state != KN_CONN_CLOSED)
        next_us = least(next_us, kn_conn_auth_timer(conn, now_us));
    if (next_us != INT64_MAX)
        kn_conn_wake_by(conn, next_us);
}

static void on_end(kn_task *task)
{
    kn_conn_finish(task->user);
}

kc_err kn_conn_open(const kn_conn_options *options, kn_conn **conn_out)
{
    const kn_conn_env *env = options->env;
    size_t ring_cap =
        env->in_flight_max > KN_IN_FLIGHT_MAX ? KN_IN_FLIGHT_MAX : (size_t)env->in_flight_max;
    assert(env->in_flight_max > 0 && options->events);
    kn_conn *conn = kb_mem_zalloc(env->mem, sizeof *conn);
    if (!conn)
        return KC_ERR_NOMEM;
    conn->host = kb_mem_strndup(env->mem, options->host.ptr, options->host.len);
    conn->ring = kb_mem_alloc(env->mem, ring_cap * sizeof *conn->ring);
    if (!conn->host || !conn->ring) {
        kb_mem_free(env->mem, conn->host);
        kb_mem_free(env->mem, conn->ring);
        kb_mem_free(env->mem, conn);
        return KC_ERR_NOMEM;
    }
    conn->env = env;
    conn->events = options->events;
    conn->user = options->user;
    conn->port = options->port;
    conn->broker_id = options->broker_id;
    conn->owner = options->owner;
    conn->rotation = options->rotation;
    conn->next_attempt_us = INT64_MAX;
    conn->setup_version = options->api_versions_version;
    conn->ring_cap = ring_cap;
    kb_list_init(&conn->node);
    kb_list_init(&conn->unsent);
    kb_buf_init(&conn->orphan, env->mem, 0);
    kn_request_init(&conn->setup_request, env->mem);
    conn->setup_request.frame.is_secret = true; // it carries passwords and tokens
    conn->auth.renew_at_us = INT64_MAX;
    kp_versions_clear(&conn->versions);
    conn->timer = (kn_timer){.fn = on_timer, .user = conn};
    conn->end_task = (kn_task){.fn = on_end, .user = conn};
    conn->setup_started_us = kn_loop_now_us(env->loop);
    conn->setup_deadline_us = conn->setup_started_us + options->setup_timeout_us;
    kn_conn_start(conn);
    *conn_out = conn;
    return KC_OK;
}

void kn_conn_free(kn_conn *conn)
{
    if (!conn)
        return;
    kb_mem *mem = conn->env->mem;
    assert(conn->state == KN_CONN_CLOSED && kb_list_is_empty(&conn->unsent));
    assert(conn->ring_count == 0 && !conn->transport);
    kn_task_cancel(&conn->end_task);
    kb_list_remove(&conn->node);
    kn_request_cleanup(&conn->setup_request);
    kb_buf_cleanup(&conn->orphan);
    kb_mem_free(mem, conn->ring);
    kb_mem_free(mem, conn->host);
    kb_mem_free(mem, conn);
}

void kn_conn_fail(kn_conn *conn, const kc_error *error)
{
    if (conn->state == KN_CONN_CLOSED)
        return;
    conn->was_idle =
        conn->state >= KN_CONN_READY && kn_conn_load(conn) == 0 && conn->auth.state == KN_AUTH_IDLE;
    conn->error = *error;
    conn->error.broker_id = conn->broker_id;
    kn_conn_connect_cancel(conn);
    if (conn->transport)
        kn_transport_close(conn->transport);
    conn->transport = NULL;
    kn_timer_stop(conn->env->loop, &conn->timer);
    kb_chunk_unref(conn->receive.frame);
    conn->receive = (kn_receive){0};
    kn_conn_auth_end(conn);
    kn_conn_set_state(conn, KN_CONN_CLOSED);
    kn_task_queue(conn->env->loop, &conn->end_task);
}

/** How the end of the connection looks to one request that was sent. */
static void fail_sent(kn_conn *conn, kn_request *request, bool is_first)
{
    kc_error error = conn->error;
    kc_err code = error.code;
    bool is_cause = request == conn->expired ||
                    (is_first && (code == KC_ERR_TOO_LARGE || code == KC_ERR_NOMEM));
    bool is_wanted = code == KC_ERR_CLOSED || code == KC_ERR_NO_BROKER || code == KC_ERR_FORKED;
    if (!is_cause && !is_wanted) {
        error.code = KC_ERR_DISCONNECTED;
        error.flags = kc_err_flags(KC_ERR_DISCONNECTED);
    }
    if (request == conn->expired)
        conn->expired = NULL; // its memory may be gone after this
    kn_request_fail(request, &error, true, conn->broker_id);
}

void kn_conn_finish(kn_conn *conn)
{
    assert(conn->state == KN_CONN_CLOSED);
    kn_task_cancel(&conn->end_task);
    if (kn_request_is_active(&conn->setup_request))
        kn_conn_cancel(conn, &conn->setup_request);
    bool is_first = true;
    while (conn->ring_count > 0) {
        kn_request *request = conn->ring[conn->ring_head].request;
        conn->ring_head = (conn->ring_head + 1) % conn->ring_cap;
        conn->ring_count--;
        if (request)
            fail_sent(conn, request, is_first);
        is_first = false;
    }
    conn->write_at = 0;
    conn->has_orphan = false;
    kn_request *expired = conn->expired;
    if (expired && expired->state == KN_REQUEST_QUEUED) {
        /* Could not even be written in its time: not for another try. */
        kn_conn_cancel(conn, expired);
        expired->state = KN_REQUEST_LISTED;
        kn_request_fail(expired, &conn->error, false, conn->broker_id);
    }
    conn->events->on_closed(conn);
}

void kn_conn_lost(kn_conn *conn, const kc_error *cause)
{
    char name[KN_PEER_NAME_MAX];
    kc_error error;
    kn_conn_name(conn, name, sizeof name);
    bool is_in_sasl = conn->auth.state > KN_AUTH_QUIETING ||
                      (conn->state == KN_CONN_SETUP && conn->auth.state != KN_AUTH_IDLE);
    if (conn->state == KN_CONN_SETUP && cause && cause->phase == KC_PHASE_TLS) {
        /* TLS 1.3: a client certificate is refused after our side of the handshake. */
        kb_error_set(&error, cause->code, "TLS handshake with %s: %s", name, cause->text);
        error.flags |= cause->flags;
    } else if (is_in_sasl) {
        kb_error_set(&error, conn->state == KN_CONN_SETUP ? KC_ERR_CONNECT : KC_ERR_DISCONNECTED,
                     "%s closed the connection during SASL authentication by %s%s%s; are "
                     "security.protocol, sasl.mechanism and the credentials right?",
                     name, conn->env->sasl->mechanism->name, cause ? ": " : "",
                     cause ? cause->text : "");
    } else if (conn->state == KN_CONN_SETUP) {
        conn->closed_by_peer = conn->step == 0;
        kb_error_set(&error, KC_ERR_CONNECT,
                     "%s closed the connection during ApiVersions%s%s; is it a Kafka listener of "
                     "this security.protocol?",
                     name, cause ? ": " : "", cause ? cause->text : "");
    } else if (kn_conn_load(conn) == 0) {
        kb_error_set(&error, KC_ERR_DISCONNECTED, "%s closed the idle connection", name);
    } else {
        kb_error_set(&error, KC_ERR_DISCONNECTED,
                     "%s closed the connection with %zu request%s under way%s%s%s", name,
                     kn_conn_load(conn), kn_conn_load(conn) == 1 ? "" : "s", cause ? ": " : "",
                     cause ? cause->text : "",
                     conn->has_answered || conn->env->sasl
                         ? ""
                         : "; does this listener want SASL? see security.protocol");
    }
    error.os_errno = cause ? cause->os_errno : 0;
    error.phase = cause ? cause->phase : KC_PHASE_API;
    if (is_in_sasl)
        error.phase = KC_PHASE_SASL;
    kn_conn_fail(conn, &error);
}

static void fail_drained(kn_conn *conn)
{
    char name[KN_PEER_NAME_MAX];
    kc_error error;
    kb_error_set(&error, KC_ERR_CLOSED, "connection to %s closed: it is no longer needed",
                 kn_conn_name(conn, name, sizeof name));
    kn_conn_fail(conn, &error);
}

void kn_conn_check_quiet(kn_conn *conn)
{
    if (conn->state == KN_CONN_DRAINING && kn_conn_load(conn) == 0)
        fail_drained(conn);
    else
        kn_conn_auth_quiet(conn);
}

/** Whether another connection may send this: not what this one asks for itself, nor what it ends for, nor
 * what it has begun to write and can finish. */
static bool may_move(const kn_conn *conn, const kn_request *request)
{
    if (request == &conn->setup_request || request == conn->expired)
        return false;
    bool is_begun = conn->unsent.next == &request->node && conn->write_at > 0;
    return !is_begun || conn->state == KN_CONN_CLOSED;
}

static void move_unsent(kn_conn *conn, kb_list *out)
{
    KB_LIST_FOR (node, &conn->unsent) {
        kn_request *request = KB_CONTAINER(node, kn_request, node);
        if (!may_move(conn, request))
            continue;
        kb_list_remove(node);
        conn->unsent_count--;
        request->conn = NULL;
        request->state = KN_REQUEST_LISTED;
        kb_list_push_back(out, node);
    }
}

void kn_conn_drain(kn_conn *conn, kb_list *unsent_out)
{
    if (conn->state < KN_CONN_READY) {
        fail_drained(conn);
        return;
    }
    if (conn->state == KN_CONN_READY)
        kn_conn_set_state(conn, KN_CONN_DRAINING);
    move_unsent(conn, unsent_out);
    if (conn->state == KN_CONN_DRAINING)
        kn_conn_check_quiet(conn);
}
