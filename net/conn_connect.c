/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * From a name to a stream of bytes.
 *
 * RESOLVING   a fresh look-up for every attempt: addresses move (complaint 23).
 * CONNECTING  the addresses race (RFC 8305): IPv6 and IPv4 by turns, beginning with another one
 *             after each failed connection; the next one starts when one fails, or has not answered
 *             within KN_ATTEMPT_DELAY_US. The first to open wins, the others are closed. So neither
 *             a silent address nor a broken IPv6 costs more than a quarter of a second. A transport
 *             which wraps another (TLS, a proxy) shakes hands in this state, so handshakes race, too.
 *
 * Through a proxy these are the proxy's name and addresses, and every message says so. */
#include "net/conn.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <stdio.h>

static void begin_next(kn_conn *conn);

/* ---- failing ---- */

/** Room for where_to(). */
#define WHERE_TO_MAX (2 * KN_HOST_MAX + 128)

/** "broker 3 at host:9092", and through which proxy. */
static const char *where_to(const kn_conn *conn, char *buf, size_t cap)
{
    const char *via = conn->env->network->via;
    kn_conn_name(conn, buf, cap);
    size_t len = strlen(buf);
    if (via)
        snprintf(buf + len, cap - len, " through %s", via);
    return buf;
}

/** Somebody is there and said no, or stays silent: its text says what to do. */
static bool has_answered(const kc_error *cause)
{
    return cause->phase == KC_PHASE_TLS || cause->phase == KC_PHASE_PROXY;
}

static const char *hint_of(const kn_conn *conn, const kc_error *cause)
{
    if (has_answered(cause))
        return "";
    if (conn->env->network->via)
        return "; is the proxy running and proxy.url right?";
    return conn->broker_id >= 0 ? "; is the broker running and its advertised.listeners right?"
                                : "; is the broker running and bootstrap.servers right?";
}

static void fail_resolve(kn_conn *conn, kc_err code, const char *reason)
{
    char name[WHERE_TO_MAX];
    kc_error error;
    kb_error_set(&error, code, "%s: %s", where_to(conn, name, sizeof name), reason);
    error.phase = KC_PHASE_DNS;
    kn_conn_fail(conn, &error);
}

static const kn_address *address_of(const kn_conn *conn, size_t attempt)
{
    return &conn->lookup.addresses[(conn->rotation + attempt) % conn->lookup.count];
}

/** No address is left, or no time: say what became of this one. */
static void fail_connect(kn_conn *conn, size_t attempt, const kc_error *cause)
{
    char address[KN_ADDRESS_TEXT_MAX] = "", name[WHERE_TO_MAX], more[48] = "";
    kn_address literal;
    kc_error error;
    if (!kn_address_parse(conn->lookup.host, 0, &literal))
        kn_address_format(address_of(conn, attempt), address);
    if (conn->tried > 1)
        snprintf(more, sizeof more, ", of %zu addresses", conn->tried);
    kb_error_set(&error, cause->code, "%s %s%s%s%s%s: %s%s",
                 cause->phase == KC_PHASE_TLS ? "TLS handshake with" : "connect to",
                 where_to(conn, name, sizeof name), address[0] ? " (" : "", address, more,
                 address[0] ? ")" : "", cause->text, hint_of(conn, cause));
    error.os_errno = cause->os_errno;
    error.phase = cause->phase;
    error.flags |= cause->flags;
    kn_conn_fail(conn, &error);
}

/* ---- the race ---- */

static void close_attempt(kn_attempt *attempt)
{
    if (!attempt->transport)
        return;
    kn_transport_close(attempt->transport);
    attempt->transport = NULL;
    attempt->conn->racing--;
}

void kn_conn_connect_cancel(kn_conn *conn)
{
    kn_network_cancel(conn->env->network, &conn->lookup);
    for (size_t i = 0; i < conn->tried; i++)
        close_attempt(&conn->attempts[i]);
}

static void win(kn_attempt *attempt, unsigned events)
{
    kn_conn *conn = attempt->conn;
    kn_transport *transport = attempt->transport;
    attempt->transport = NULL;
    conn->racing--;
    kn_conn_connect_cancel(conn);
    transport->user = conn;
    transport->on_event = kn_conn_on_event;
    conn->transport = transport;
    kn_conn_on_event(conn, events, NULL);
}

/** Another one may still win; but where TLS failed a broker has answered (or a proxy has), and
 * another address, which refuses, would hide the cause. */
static void lose(kn_attempt *attempt, const kc_error *cause)
{
    kn_conn *conn = attempt->conn;
    kc_error last = *cause;
    close_attempt(attempt);
    if (!has_answered(&last))
        begin_next(conn);
    if (conn->state == KN_CONN_CONNECTING && (conn->racing == 0 || has_answered(&last)))
        fail_connect(conn, (size_t)(attempt - conn->attempts), &last);
}

static void on_attempt(void *user, unsigned events, const kc_error *error)
{
    kn_attempt *attempt = user;
    assert(attempt->conn->state == KN_CONN_CONNECTING);
    if (events & KN_EVENT_FAILED)
        lose(attempt, error);
    else if (events & KN_EVENT_OPEN)
        win(attempt, events);
}

static kc_err begin_attempt(kn_conn *conn, size_t number, kc_error *err)
{
    kn_attempt *attempt = &conn->attempts[number];
    /* Just before ours: a transport that shakes hands knows better what it waited for. */
    const kn_open_options options = {.address = *address_of(conn, number),
                                     .host = kc_str(conn->host),
                                     .port = conn->port,
                                     .deadline_us = conn->setup_deadline_us - 1,
                                     .send_buffer_bytes = conn->env->send_buffer_bytes,
                                     .receive_buffer_bytes = conn->env->receive_buffer_bytes,
                                     .on_event = on_attempt,
                                     .user = attempt};
    *attempt = (kn_attempt){.conn = conn};
    KB_TRY(kn_network_open(conn->env->network, &options, &attempt->transport, err));
    conn->racing++;
    return KC_OK;
}

static void wake_next(kn_conn *conn)
{
    kn_conn_wake_by(conn, conn->setup_deadline_us < conn->next_attempt_us ? conn->setup_deadline_us
                                                                          : conn->next_attempt_us);
}

/** One more address joins; those that fail at once make room for the next. */
static void begin_next(kn_conn *conn)
{
    kc_error cause;
    while (conn->tried < conn->lookup.count) {
        if (begin_attempt(conn, conn->tried++, &cause) == KC_OK)
            break;
        if (conn->tried == conn->lookup.count && conn->racing == 0) {
            fail_connect(conn, conn->tried - 1, &cause);
            return;
        }
    }
    conn->next_attempt_us = conn->tried < conn->lookup.count
                                ? kn_loop_now_us(conn->env->loop) + KN_ATTEMPT_DELAY_US
                                : INT64_MAX;
    wake_next(conn);
}

/** The families by turns, beginning with the first address's, each in its order (RFC 8305, 4). */
static void interleave(kn_address *addresses, size_t count)
{
    bool is_v6 = !addresses[0].is_v6;
    for (size_t at = 0; at < count; at++) {
        is_v6 = !is_v6;
        size_t from = at;
        while (from < count && addresses[from].is_v6 != is_v6)
            from++;
        if (from == count)
            return; /* the rest is of one family */
        kn_address next = addresses[from];
        memmove(&addresses[at + 1], &addresses[at], (from - at) * sizeof next);
        addresses[at] = next;
    }
}

static void on_resolved(kn_lookup *lookup)
{
    kn_conn *conn = lookup->user;
    assert(conn->state == KN_CONN_RESOLVING);
    char text[256];
    if (lookup->err != KC_OK) {
        snprintf(text, sizeof text, "%s could not be resolved: %s; is it right, and DNS?",
                 conn->env->network->via ? "the proxy's name" : "host name",
                 lookup->reason ? lookup->reason : kc_err_text(lookup->err));
        fail_resolve(conn, lookup->err, text);
        return;
    }
    assert(lookup->count > 0);
    interleave(lookup->addresses, lookup->count);
    kn_conn_set_state(conn, KN_CONN_CONNECTING);
    begin_next(conn);
}

void kn_conn_start(kn_conn *conn)
{
    kn_conn_set_state(conn, KN_CONN_RESOLVING);
    kn_conn_wake_by(conn, conn->setup_deadline_us);
    conn->lookup.host = kc_str(conn->host);
    conn->lookup.port = conn->port;
    conn->lookup.done = on_resolved;
    conn->lookup.user = conn;
    kn_network_resolve(conn->env->network, &conn->lookup);
}

void kn_conn_connect_timer(kn_conn *conn)
{
    int64_t now_us = kn_loop_now_us(conn->env->loop);
    long long waited_ms = (now_us - conn->setup_started_us) / 1000;
    if (now_us >= conn->setup_deadline_us && conn->state == KN_CONN_RESOLVING) {
        char text[64];
        snprintf(text, sizeof text, "no answer from DNS after %lld ms", waited_ms);
        fail_resolve(conn, KC_ERR_RESOLVE, text);
    } else if (now_us >= conn->setup_deadline_us) {
        kc_error cause;
        kb_error_set(&cause, KC_ERR_CONNECT, "no answer after %lld ms", waited_ms);
        cause.phase = KC_PHASE_CONNECT;
        fail_connect(conn, conn->tried - 1, &cause);
    } else if (conn->state == KN_CONN_CONNECTING && now_us >= conn->next_attempt_us) {
        begin_next(conn);
    } else {
        wake_next(conn);
    }
}
