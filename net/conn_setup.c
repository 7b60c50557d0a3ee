/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * From bytes that flow to a connection that can carry requests: the steps below, in order. A step
 * sends requests of its own on the connection and ends with kn_conn_step_done(). SASL comes behind
 * ApiVersions, which says the versions of SaslHandshake and SaslAuthenticate and which brokers
 * answer before authentication.
 *
 * ApiVersions (trap 51, KIP-511): asked anew on each connection. With error 35 the body is v0,
 * whatever was asked, and may list only key 18; then ask once more with a strictly lower version.
 * Some brokers reset the connection instead: closed_by_peer tells the pool, which makes the next
 * attempt with a lower version. */
#include "net/conn.h"
#include "protocol/base/error.h"
#include "protocol/codec.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>
#include <stdio.h>

/** Decoded ApiVersions responses take about 5 KB; a hostile one stops here. */
#define VERSIONS_ARENA_BYTES ((size_t)1024 * 1024)

/** What may stand in the client's software name and version (KIP-511). */
#define SOFTWARE_NAME KC_STR("kafkac")

static void versions_start(kn_conn *conn);

static void sasl_start(kn_conn *conn)
{
    if (conn->env->sasl)
        kn_conn_auth_start(conn);
    else
        kn_conn_step_done(conn);
}

typedef void setup_step(kn_conn *conn);
static setup_step *const steps[] = {versions_start, sasl_start};
static const size_t step_count = sizeof steps / sizeof steps[0];

void kn_conn_step_done(kn_conn *conn)
{
    conn->step++;
    if (conn->step < step_count) {
        steps[conn->step](conn);
        return;
    }
    kn_loop *loop = conn->env->loop;
    kn_conn_set_state(conn, KN_CONN_READY);
    conn->was_ready = true;
    conn->used_us = kn_loop_now_us(loop);
    kn_timer_stop(loop, &conn->timer);
    if (conn->env->max_idle_ms > 0)
        kn_conn_wake_by(conn, conn->used_us + (int64_t)conn->env->max_idle_ms * 1000);
    if (conn->auth.renew_at_us != INT64_MAX)
        kn_conn_wake_by(conn, conn->auth.renew_at_us);
    conn->events->on_ready(conn);
}

static void fail_setup(kn_conn *conn, kc_err code, kc_phase phase, const char *what)
{
    char name[KN_PEER_NAME_MAX];
    kc_error error;
    kb_error_set(&error, code, "%s: %s", kn_conn_name(conn, name, sizeof name), what);
    error.phase = phase;
    kn_conn_fail(conn, &error);
}

void kn_conn_setup_timer(kn_conn *conn)
{
    int64_t now_us = kn_loop_now_us(conn->env->loop);
    long long waited_ms = (now_us - conn->setup_started_us) / 1000;
    char text[160];
    if (now_us < conn->setup_deadline_us) {
        kn_conn_wake_by(conn, conn->setup_deadline_us);
    } else if (conn->auth.state != KN_AUTH_IDLE) {
        snprintf(text, sizeof text, "SASL authentication by %s: still waits for %s after %lld ms",
                 conn->env->sasl->mechanism->name, kn_conn_auth_waits_for(conn), waited_ms);
        fail_setup(conn, KC_ERR_CONNECT, KC_PHASE_SASL, text);
    } else {
        snprintf(text, sizeof text,
                 "connected, but no answer to ApiVersions after %lld ms; is it a Kafka listener of "
                 "this security.protocol?",
                 waited_ms);
        fail_setup(conn, KC_ERR_CONNECT, KC_PHASE_API, text);
    }
}

void kn_conn_on_event(void *user, unsigned events, const kc_error *error)
{
    kn_conn *conn = user;
    (void)error;
    assert(!(events & KN_EVENT_FAILED));
    if (events & KN_EVENT_OPEN) {
        kn_conn_set_state(conn, KN_CONN_SETUP);
        kn_timer_stop(conn->env->loop, &conn->timer);
        kn_conn_wake_by(conn, conn->setup_deadline_us);
        steps[0](conn);
    }
    if (events & KN_EVENT_READ && conn->state != KN_CONN_CLOSED)
        kn_conn_read(conn);
    if (events & KN_EVENT_WRITE && conn->state != KN_CONN_CLOSED) {
        conn->is_blocked = false;
        kn_conn_flush(conn);
        if (conn->state != KN_CONN_CLOSED && !conn->is_blocked)
            kn_transport_want(conn->transport, 0);
    }
}

/* ---- ApiVersions */

static void versions_done(kn_request *request, const kn_reply *reply);

static void versions_ask(kn_conn *conn)
{
    kn_request *request = &conn->setup_request;
    kc_error error;
    kp_defaults(kp_api_by_key(KP_API_API_VERSIONS)->request, &conn->versions_req);
    if (conn->setup_version >= 3) {
        conn->versions_req.client_software_name = SOFTWARE_NAME;
        conn->versions_req.client_software_version = KC_STR(KC_VERSION);
    }
    request->api = kp_api_by_key(KP_API_API_VERSIONS);
    request->msg = &conn->versions_req;
    request->done = versions_done;
    request->user = conn;
    request->timeout_ms = INT32_MAX; // the set-up's own deadline counts
    if (kn_conn_enqueue(conn, request, conn->setup_version, &error) != KC_OK)
        kn_conn_fail(conn, &error);
    else
        kn_conn_flush(conn);
}

static void versions_start(kn_conn *conn)
{
    int16_t highest = kp_api_by_key(KP_API_API_VERSIONS)->stable_max;
    if (conn->setup_version < 0 || conn->setup_version > highest)
        conn->setup_version = highest;
    versions_ask(conn);
}

/** The version to ask with after error 35, when `asked` was refused: what the answer names, but
 * strictly lower, so that a lying broker can't keep us asking. */
static int16_t lower_version(int16_t asked, const kp_api_versions_resp *resp)
{
    for (int32_t i = 0; resp && i < resp->api_keys.count; i++) {
        const kp_api_versions_resp_api_key *item = &resp->api_keys.items[i];
        if (item->api_key == KP_API_API_VERSIONS && item->max_version >= 0 &&
            item->max_version < asked)
            return item->max_version;
    }
    return 0;
}

static void take_versions(kn_conn *conn, const kp_api_versions_resp *resp)
{
    const size_t known = sizeof conn->versions.range / sizeof conn->versions.range[0];
    kp_versions_clear(&conn->versions);
    for (int32_t i = 0; i < resp->api_keys.count; i++) {
        const kp_api_versions_resp_api_key *item = &resp->api_keys.items[i];
        if (item->api_key < 0 || (size_t)item->api_key >= known || item->min_version < 0 ||
            item->max_version < item->min_version)
            continue;
        conn->versions.range[item->api_key].min = item->min_version;
        conn->versions.range[item->api_key].max = item->max_version;
    }
    if (conn->events->on_versions)
        conn->events->on_versions(conn, resp);
}

static kc_err decode_versions(kc_bytes body, int16_t version, kb_arena *arena,
                              kp_api_versions_resp *resp)
{
    kp_fault fault;
    return kp_decode(kp_api_by_key(KP_API_API_VERSIONS)->response, version, body, arena, resp,
                     &fault);
}

static void versions_refused(kn_conn *conn, kc_bytes body, kb_arena *arena)
{
    kp_api_versions_resp resp;
    if (conn->setup_version == 0) {
        fail_setup(conn, KC_ERR_VERSION, KC_PHASE_API,
                   "refuses ApiVersions even in version 0; it is no Kafka broker we can talk to");
        return;
    }
    bool is_decoded = decode_versions(body, 0, arena, &resp) == KC_OK;
    conn->setup_version = lower_version(conn->setup_version, is_decoded ? &resp : NULL);
    versions_ask(conn);
}

static void versions_done(kn_request *request, const kn_reply *reply)
{
    kn_conn *conn = request->user;
    if (conn->state != KN_CONN_SETUP || reply->err != KC_OK)
        return;
    kb_arena arena;
    kb_arena_init(&arena, conn->env->mem, VERSIONS_ARENA_BYTES);
    kp_api_versions_resp resp;
    kc_bytes body = reply->body;
    /* The error stands first in every version; decide by it before decoding. */
    int16_t code = 0;
    if (body.len >= 2)
        code = (int16_t)(body.ptr[0] << 8 | body.ptr[1]);
    kc_err err = KC_OK;
    char text[160];
    if (code == KC_E_UNSUPPORTED_VERSION) {
        versions_refused(conn, body, &arena);
    } else if ((err = decode_versions(body, reply->version, &arena, &resp)) != KC_OK) {
        fail_setup(conn, err == KC_ERR_NOMEM ? err : KC_ERR_MALFORMED, KC_PHASE_API,
                   "sent an ApiVersions response that can't be read; is it a Kafka listener?");
    } else if (code != KC_OK) {
        snprintf(text, sizeof text, "ApiVersions failed with %s (%d)", kc_err_name(code), code);
        fail_setup(conn, code, KC_PHASE_API, text);
    } else {
        take_versions(conn, &resp);
        kn_conn_step_done(conn);
    }
    kb_arena_cleanup(&arena);
}
