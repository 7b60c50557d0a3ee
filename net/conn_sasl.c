/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Authentication of a connection: when it is set up, and again on the live connection before the
 * broker's session ends (KIP-368).
 *
 *     IDLE --> PREPARING --> [QUIETING] --> HANDSHAKE --> EXCHANGE --> IDLE, session planned
 *
 * PREPARING  the mechanism makes its first message. It may have to wait for a token; a live
 *            connection goes on meanwhile.
 * QUIETING   live connections only: no other request may be in between (trap 56), so none is taken
 *            any more and what is in flight is awaited. The pool keeps the rest, in order: that is
 *            all there is to parking.
 * HANDSHAKE  SaslHandshake v1 names the mechanism.
 * EXCHANGE   SaslAuthenticate carries the mechanism's messages, until both sides are content.
 *
 * A failure closes the connection with its cause; what was parked goes over another one. */
#include "net/conn.h"
#include "protocol/base/error.h"
#include "protocol/codec.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>
#include <stdio.h>

/** Messages of an exchange; GSSAPI needs four. */
#define ROUNDS_MAX 16
/** A session is renewed at 85 to 95 % of its life ... */
#define RENEW_SHARE  0.85
#define RENEW_JITTER 0.10
/** ... or so much earlier where a KDC may have to be asked first ... */
#define TICKET_SHARE 0.15
/** ... but a broker does not begin anew within a second (KIP-368): where a session is shorter,
 * requests stay parked until then. */
#define RENEW_MIN_US 1000000
/** Sessions that are said to be longer are taken as so long: a year. */
#define SESSION_MAX_MS INT64_C(31536000000)
/** A decoded answer takes some hundred bytes more than on the wire. */
#define ANSWER_ARENA_BYTES ((size_t)1024 * 1024)

static void act(kn_conn *conn, kn_sasl_status status);

static bool is_live(const kn_conn *conn)
{
    return conn->state == KN_CONN_SETUP || conn->state == KN_CONN_READY;
}

/* ---- failures ---- */

/** By what kn_sasl_fail() has noted. */
static void fail_auth(kn_conn *conn, uint32_t flags)
{
    const kn_sasl *sasl = &conn->auth.sasl;
    char name[KN_PEER_NAME_MAX];
    kc_error error;
    kb_error_set(&error, sasl->err, "SASL authentication failed%s%s by %s: %s (%s)",
                 sasl->username ? " as " : "", sasl->username ? sasl->username : "",
                 sasl->conf->mechanism->name, sasl->why, kn_conn_name(conn, name, sizeof name));
    error.phase = KC_PHASE_SASL;
    error.flags |= flags;
    error.api_key = KP_API_SASL_AUTHENTICATE;
    kn_conn_fail(conn, &error);
}

const char *kn_conn_auth_waits_for(const kn_conn *conn)
{
    switch (conn->auth.state) {
    case KN_AUTH_HANDSHAKE:
        return "an answer to SaslHandshake";
    case KN_AUTH_EXCHANGE:
        return "an answer to SaslAuthenticate";
    default:
        return conn->auth.sasl.conf->mechanism->needs == KN_SASL_TICKET
                   ? "a ticket, which the Kerberos library asks a KDC for"
                   : "a token";
    }
}

/* ---- requests ---- */

static void send_request(kn_conn *conn, int16_t api_key, int16_t version_min, const void *msg,
                         kn_reply_fn done)
{
    kn_request *request = &conn->setup_request;
    const kp_api *api = kp_api_by_key(api_key);
    int16_t version = kp_version_choose(api, &conn->versions, version_min, -1);
    kc_error error;
    if (version < 0) {
        act(conn, kn_sasl_fail(&conn->auth.sasl, KC_ERR_VERSION, "it serves no %s %d", api->name,
                               (int)version_min));
        return;
    }
    request->api = api;
    request->msg = msg;
    request->done = done;
    request->user = conn;
    /* The set-up has a deadline of its own. */
    request->timeout_ms = conn->state == KN_CONN_SETUP ? INT32_MAX : 0;
    if (kn_conn_enqueue(conn, request, version, &error) != KC_OK)
        kn_conn_fail(conn, &error);
    else
        kn_conn_flush(conn);
}

/** An answer to be acted on: decoded, of a connection that lives. The arena is the caller's to
 * clean up in any case. */
static bool take_answer(kn_conn *conn, const kn_reply *reply, kb_arena *arena, void *resp)
{
    kc_error error;
    kb_arena_init(arena, conn->env->mem, ANSWER_ARENA_BYTES);
    if (reply->err != KC_OK || !is_live(conn))
        return false;
    kc_err err = kn_reply_decode(&conn->setup_request, reply, arena, resp, &error);
    if (err == KC_OK)
        return true;
    if (err == KC_ERR_NOMEM)
        kn_conn_fail(conn, &error);
    else
        act(conn,
            kn_sasl_fail(&conn->auth.sasl, KC_ERR_MALFORMED,
                         "the broker's %s response can't be read", conn->setup_request.api->name));
    return false;
}

/* ---- the exchange ---- */

static void plan_renewal(kn_conn *conn, int64_t lifetime_ms)
{
    kn_conn_auth *auth = &conn->auth;
    int64_t now_us = kn_loop_now_us(conn->env->loop);
    auth->renew_at_us = auth->ends_at_us = INT64_MAX;
    if (lifetime_ms <= 0)
        return;
    if (lifetime_ms > SESSION_MAX_MS)
        lifetime_ms = SESSION_MAX_MS;
    double share = RENEW_SHARE + RENEW_JITTER * kb_rand_unit(conn->env->rand);
    if (conn->env->sasl->mechanism->needs == KN_SASL_TICKET)
        share -= TICKET_SHARE;
    auth->renew_at_us = now_us + (int64_t)((double)lifetime_ms * 1000 * share);
    auth->not_before_us = now_us + RENEW_MIN_US;
    auth->ends_at_us = now_us + lifetime_ms * 1000;
}

static void succeed(kn_conn *conn)
{
    kn_conn_auth *auth = &conn->auth;
    bool is_renewal = conn->state == KN_CONN_READY;
    if (kb_log_is_on(conn->env->log, KC_LOG_DEBUG)) {
        char name[KN_PEER_NAME_MAX];
        kb_log_line(conn->env->log, KC_LOG_DEBUG, "%s: authenticated by %s for %lld ms",
                    kn_conn_name(conn, name, sizeof name), auth->sasl.conf->mechanism->name,
                    (long long)auth->lifetime_ms);
    }
    kn_conn_auth_end(conn);
    plan_renewal(conn, auth->lifetime_ms);
    if (!is_renewal) {
        kn_conn_step_done(conn);
        return;
    }
    conn->used_us = auth->used_us; // a connection that only renews itself is idle
    conn->env->stats->reauthentications++;
    if (auth->renew_at_us != INT64_MAX)
        kn_conn_wake_by(conn, auth->renew_at_us);
    conn->events->on_room(conn);
}

static void authenticate_done(kn_request *request, const kn_reply *reply)
{
    kn_conn *conn = request->user;
    kb_arena arena;
    kp_sasl_authenticate_resp resp;
    char text[KN_SASL_QUOTE_MAX + 1];
    if (take_answer(conn, reply, &arena, &resp)) {
        if (resp.error_code != KC_OK) {
            act(conn,
                kn_sasl_fail(&conn->auth.sasl, KC_ERR_AUTH, "%s",
                             resp.error_message.len > 0 ? kn_sasl_quote(text, resp.error_message)
                                                        : kc_err_name(resp.error_code)));
        } else {
            conn->auth.lifetime_ms = resp.session_lifetime_ms;
            act(conn, kn_sasl_step(&conn->auth.sasl, resp.auth_bytes));
        }
    }
    kb_arena_cleanup(&arena);
}

static void send_message(kn_conn *conn)
{
    kn_conn_auth *auth = &conn->auth;
    if (auth->rounds++ == ROUNDS_MAX) {
        act(conn, kn_sasl_fail(&auth->sasl, KC_ERR_AUTH, "no end after %d messages", ROUNDS_MAX));
        return;
    }
    auth->authenticate.auth_bytes = kb_buf_bytes(&auth->sasl.out);
    send_request(conn, KP_API_SASL_AUTHENTICATE, 0, &auth->authenticate, authenticate_done);
}

/* ---- the handshake ---- */

static void refuse_mechanism(kn_conn *conn, const kp_sasl_handshake_resp *resp)
{
    char offered[KN_SASL_QUOTE_MAX] = "";
    char name[KN_SASL_QUOTE_MAX + 1];
    size_t len = 0;
    for (int32_t i = 0; i < resp->mechanisms.count; i++) {
        kn_sasl_quote(name, resp->mechanisms.items[i]);
        int added = snprintf(offered + len, sizeof offered - len, "%s%s", i > 0 ? ", " : "", name);
        if (added < 0 || (size_t)added >= sizeof offered - len)
            break;
        len += (size_t)added;
    }
    kn_sasl_fail(&conn->auth.sasl, KC_ERR_AUTH, "the broker offers %s as sasl.mechanism",
                 offered[0] ? offered : "none");
    fail_auth(conn, KC_ERRF_CONFIG);
}

static void handshake_done(kn_request *request, const kn_reply *reply)
{
    kn_conn *conn = request->user;
    kb_arena arena;
    kp_sasl_handshake_resp resp;
    if (take_answer(conn, reply, &arena, &resp)) {
        if (resp.error_code == KC_OK) {
            conn->auth.state = KN_AUTH_EXCHANGE;
            send_message(conn);
        } else if (resp.error_code == KC_E_UNSUPPORTED_SASL_MECHANISM) {
            refuse_mechanism(conn, &resp);
        } else if (resp.error_code == KC_E_ILLEGAL_SASL_STATE && conn->state == KN_CONN_SETUP) {
            kn_sasl_fail(&conn->auth.sasl, KC_ERR_AUTH,
                         "this listener has no SASL; is security.protocol right?");
            fail_auth(conn, KC_ERRF_CONFIG);
        } else {
            act(conn,
                kn_sasl_fail(&conn->auth.sasl, KC_ERR_AUTH, "SaslHandshake is answered by %s (%d)",
                             kc_err_name(resp.error_code), resp.error_code));
        }
    }
    kb_arena_cleanup(&arena);
}

static void send_handshake(kn_conn *conn)
{
    kn_conn_auth *auth = &conn->auth;
    auth->state = KN_AUTH_HANDSHAKE;
    auth->used_us = conn->used_us;
    auth->handshake.mechanism = kc_str(auth->sasl.conf->mechanism->name);
    send_request(conn, KP_API_SASL_HANDSHAKE, 1, &auth->handshake, handshake_done);
}

/* ---- from one state to the next ---- */

static void begin_exchange(kn_conn *conn)
{
    kn_conn_auth *auth = &conn->auth;
    kn_sasl_finish(&auth->sasl);
    auth->state = KN_AUTH_PREPARING;
    auth->rounds = 0;
    auth->has_waited = false;
    act(conn, kn_sasl_start(&auth->sasl));
}

void kn_conn_auth_quiet(kn_conn *conn)
{
    if (conn->auth.state != KN_AUTH_QUIETING || conn->state != KN_CONN_READY ||
        kn_conn_load(conn) > 0)
        return;
    if (kn_loop_now_us(conn->env->loop) < conn->auth.not_before_us) {
        conn->auth.has_waited = conn->env->sasl->mechanism->needs == KN_SASL_TOKEN;
        kn_conn_wake_by(conn, conn->auth.not_before_us);
    } else if (conn->auth.has_waited) {
        begin_exchange(conn); // its token is one of up to a second ago: there may be a better one
    } else {
        send_handshake(conn);
    }
}

/** The mechanism has a message for the broker. */
static void go_on(kn_conn *conn)
{
    if (conn->auth.state == KN_AUTH_EXCHANGE) {
        send_message(conn);
    } else if (conn->state == KN_CONN_SETUP) {
        send_handshake(conn);
    } else {
        conn->auth.state = KN_AUTH_QUIETING;
        kn_conn_auth_quiet(conn);
    }
}

static void act(kn_conn *conn, kn_sasl_status status)
{
    switch (status) {
    case KN_SASL_SEND:
        go_on(conn);
        break;
    case KN_SASL_LATER:
        break;
    case KN_SASL_DONE:
        succeed(conn);
        break;
    case KN_SASL_FAILED:
        fail_auth(conn, 0);
        break;
    }
}

static void on_wake(kn_sasl *sasl)
{
    kn_conn *conn = sasl->user;
    if (is_live(conn))
        act(conn, kn_sasl_step(sasl, KC_NULL));
}

void kn_conn_auth_start(kn_conn *conn)
{
    kn_conn_auth *auth = &conn->auth;
    assert(auth->state == KN_AUTH_IDLE && is_live(conn));
    if (!auth->sasl.conf)
        kn_sasl_init(&auth->sasl, conn->env->sasl, conn->host, on_wake, conn);
    auth->renew_at_us = INT64_MAX;
    begin_exchange(conn);
}

int64_t kn_conn_auth_timer(kn_conn *conn, int64_t now_us)
{
    kn_conn_auth *auth = &conn->auth;
    if (conn->state != KN_CONN_READY)
        return INT64_MAX;
    if (auth->state == KN_AUTH_IDLE && now_us < auth->renew_at_us)
        return auth->renew_at_us;
    if (auth->state == KN_AUTH_IDLE)
        kn_conn_auth_start(conn);
    else
        kn_conn_auth_quiet(conn);
    if (auth->state != KN_AUTH_PREPARING || conn->state != KN_CONN_READY)
        return INT64_MAX; // whatever is awaited has its own deadline
    if (now_us < auth->ends_at_us)
        return auth->ends_at_us;
    act(conn,
        kn_sasl_fail(&auth->sasl, KC_ERR_AUTH, "the session ends, and no %s has come to renew it",
                     auth->sasl.conf->mechanism->needs == KN_SASL_TICKET ? "ticket" : "token"));
    return INT64_MAX;
}

void kn_conn_auth_end(kn_conn *conn)
{
    kn_sasl_finish(&conn->auth.sasl);
    conn->auth.state = KN_AUTH_IDLE;
    if (!kn_request_is_active(&conn->setup_request))
        kb_buf_cleanup(&conn->setup_request.frame); // it held what was sent, in clear for PLAIN
}
