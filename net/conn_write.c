/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Requests to bytes: encode into the request's own buffer, gather what is queued with the spliced
 * records, write as much as the transport takes. Nothing is copied but the encoded heads.
 *
 * A request counts as sent once its last byte was taken: a broker can't act on a part of a frame,
 * so what is cut off before that may go out again on another connection. */
#include "net/conn.h"
#include "protocol/base/error.h"

#include <assert.h>

static size_t frame_bytes(const kn_request *request)
{
    return request->frame.len + request->splices.bytes;
}

bool kn_conn_has_room(const kn_conn *conn)
{
    return conn->state == KN_CONN_READY && conn->auth.state < KN_AUTH_QUIETING &&
           kn_conn_load(conn) < conn->ring_cap;
}

static kc_err fail_encode(kn_conn *conn, const kn_request *request, kc_err code,
                          const kp_fault *fault, kc_error *err)
{
    kb_error_set(err, code, "%s request could not be encoded: %s%s%s", request->api->name,
                 fault->reason ? fault->reason : kc_err_text(code),
                 fault->path[0] ? ", field " : "", fault->path);
    if (err) {
        err->api_key = request->api->key;
        err->broker_id = conn->broker_id;
    }
    return code;
}

kc_err kn_conn_enqueue(kn_conn *conn, kn_request *request, int16_t version, kc_error *err)
{
    kp_fault fault = {0};
    kn_loop *loop = conn->env->loop;
    assert(kn_conn_load(conn) < conn->ring_cap);
    kb_buf_reset(&request->frame);
    request->splices.count = 0;
    request->splices.bytes = 0;
    kc_err code = kp_frame_request(request->api, version, conn->next_correlation_id,
                                   conn->env->client_id, request->msg, &request->frame,
                                   request->splices.items ? &request->splices : NULL, &fault);
    if (code != KC_OK)
        return fail_encode(conn, request, code, &fault, err);
    int32_t timeout_ms =
        request->timeout_ms > 0 ? request->timeout_ms : conn->env->request_timeout_ms;
    request->correlation_id = conn->next_correlation_id;
    request->version = version;
    request->conn = conn;
    request->state = KN_REQUEST_QUEUED;
    request->expires_us = kn_loop_now_us(loop) + (int64_t)timeout_ms * 1000;
    /* Wraps to 0 (trap 5); no more than ring_cap are in flight, so none is met again. */
    conn->next_correlation_id =
        conn->next_correlation_id == INT32_MAX ? 0 : conn->next_correlation_id + 1;
    kb_list_push_back(&conn->unsent, &request->node);
    conn->unsent_count++;
    conn->env->stats->requests++;
    conn->used_us = kn_loop_now_us(loop);
    kn_conn_wake_by(conn, request->expires_us);
    if (request->deadline_us != 0)
        kn_conn_wake_by(conn, request->deadline_us);
    return KC_OK;
}

kc_err kn_conn_send(kn_conn *conn, kn_request *request, kc_error *err)
{
    assert(kn_conn_has_room(conn));
    assert(request->state == KN_REQUEST_IDLE || request->state == KN_REQUEST_LISTED);
    const kp_api *api = request->api;
    int16_t version =
        kp_version_choose(api, &conn->versions, request->version_min, request->version_max);
    if (version >= 0)
        return kn_conn_enqueue(conn, request, version, err);
    char name[KN_PEER_NAME_MAX];
    int min = request->version_min >= 0 ? request->version_min : api->request->min;
    int max = request->version_max >= 0 ? request->version_max : api->stable_max;
    int16_t theirs = conn->versions.range[api->key].max;
    kn_conn_name(conn, name, sizeof name);
    if (theirs < 0)
        kb_error_set(err, KC_ERR_VERSION, "%s does not serve %s", name, api->name);
    else
        kb_error_set(err, KC_ERR_VERSION, "%s serves %s %d-%d, this request needs %d-%d", name,
                     api->name, conn->versions.range[api->key].min, theirs, min, max);
    if (err) {
        err->phase = KC_PHASE_API;
        err->broker_id = conn->broker_id;
        err->api_key = api->key;
    }
    return KC_ERR_VERSION;
}

/** Pieces for one write, as far as there is room. */
typedef struct gather {
    struct iovec pieces[KN_WRITE_PIECES_MAX];
    int count;
    size_t skip; /**< written before */
    size_t total;
} gather;

static void add_piece(gather *out, const uint8_t *ptr, size_t len)
{
    if (out->skip >= len) {
        out->skip -= len;
        return;
    }
    if (out->count == KN_WRITE_PIECES_MAX)
        return;
    ptr += out->skip;
    len -= out->skip;
    out->skip = 0;
    /* An iovec serves reading too, hence no const. */
    out->pieces[out->count++] = (struct iovec){(void *)ptr, len};
    out->total += len;
}

static void add_request(gather *out, const kn_request *request)
{
    size_t at = 0;
    for (uint32_t i = 0; i < request->splices.count && out->count < KN_WRITE_PIECES_MAX; i++) {
        const kp_splice *splice = &request->splices.items[i];
        add_piece(out, request->frame.data + at, splice->at - at);
        add_piece(out, splice->bytes.ptr, splice->bytes.len);
        at = splice->at;
    }
    add_piece(out, request->frame.data + at, request->frame.len - at);
}

static void gather_unsent(const kn_conn *conn, gather *out)
{
    out->count = 0;
    out->total = 0;
    out->skip = 0;
    if (conn->has_orphan)
        add_piece(out, conn->orphan.data + conn->orphan_at, conn->orphan.len - conn->orphan_at);
    out->skip = conn->write_at;
    KB_LIST_FOR (node, &conn->unsent) {
        if (out->count == KN_WRITE_PIECES_MAX)
            return;
        add_request(out, KB_CONTAINER(node, kn_request, node));
    }
}

static void push_sent(kn_conn *conn, const kn_sent *sent)
{
    assert(conn->ring_count < conn->ring_cap);
    conn->ring[(conn->ring_head + conn->ring_count) % conn->ring_cap] = *sent;
    conn->ring_count++;
}

static size_t advance_orphan(kn_conn *conn, size_t len)
{
    size_t left = conn->orphan.len - conn->orphan_at;
    if (len < left) {
        conn->orphan_at += len;
        return 0;
    }
    conn->has_orphan = false;
    kb_buf_cleanup(&conn->orphan);
    if (!conn->orphan_has_no_response)
        push_sent(conn, &conn->orphan_sent);
    return len - left;
}

static void trace_written(const kn_conn *conn, const kn_request *request)
{
    const kn_frame_event event = {
        .broker_id = conn->broker_id,
        .api = request->api,
        .version = request->version,
        .correlation_id = request->correlation_id,
        .bytes = frame_bytes(request),
    };
    conn->env->trace(conn->env->trace_user, &event);
}

static kn_sent sent_of(const kn_conn *conn, kn_request *request)
{
    return (kn_sent){.request = request,
                     .api = request->api,
                     .expires_us = request->expires_us,
                     .written_us = kn_loop_now_us(conn->env->loop),
                     .correlation_id = request->correlation_id,
                     .version = request->version};
}

/** `len` bytes are written. All books are kept before the first callback, which may cancel any
 * request. */
static void advance(kn_conn *conn, size_t len)
{
    kb_list done;
    kb_list_init(&done);
    conn->env->stats->bytes_out += len;
    if (conn->has_orphan)
        len = advance_orphan(conn, len);
    while (len > 0) {
        kn_request *request = KB_CONTAINER(conn->unsent.next, kn_request, node);
        size_t left = frame_bytes(request) - conn->write_at;
        if (len < left) {
            conn->write_at += len;
            break;
        }
        len -= left;
        if (conn->env->trace)
            trace_written(conn, request);
        conn->write_at = 0;
        conn->unsent_count--;
        kb_list_remove(&request->node);
        if (request->has_no_response) {
            request->conn = NULL;
            request->state = KN_REQUEST_LISTED;
            kb_list_push_back(&done, &request->node);
        } else {
            kn_sent sent = sent_of(conn, request);
            request->state = KN_REQUEST_SENT;
            push_sent(conn, &sent);
        }
    }
    /* acks=0 has no response: complete on write (trap 16). */
    while (!kb_list_is_empty(&done)) {
        kn_request *request = KB_CONTAINER(done.next, kn_request, node);
        kn_reply reply = {.was_sent = true,
                          .broker_id = conn->broker_id,
                          .version = request->version,
                          .body = KC_NULL};
        conn->has_answered = true;
        kn_request_complete(request, &reply);
    }
}

static bool has_unsent(const kn_conn *conn)
{
    return conn->has_orphan || !kb_list_is_empty(&conn->unsent);
}

void kn_conn_flush(kn_conn *conn)
{
    gather out;
    while (conn->transport && !conn->is_blocked && has_unsent(conn)) {
        size_t written = 0;
        kc_error error;
        gather_unsent(conn, &out);
        kc_err err = kn_transport_write(conn->transport, out.pieces, out.count, &written, &error);
        if (err != KC_OK && err != KC_ERR_AGAIN) {
            kn_conn_lost(conn, &error);
            return;
        }
        if (written < out.total) {
            conn->is_blocked = true;
            kn_transport_want(conn->transport, KN_EVENT_WRITE);
        }
        if (written > 0)
            advance(conn, written);
    }
    kn_conn_check_quiet(conn);
}

static void fail_cut(kn_conn *conn, const kn_request *request)
{
    char name[KN_PEER_NAME_MAX];
    kc_error error;
    kb_error_set(&error, KC_ERR_DISCONNECTED,
                 "connection to %s closed: a %s request was given up while it was being written",
                 kn_conn_name(conn, name, sizeof name), request->api->name);
    kn_conn_fail(conn, &error);
}

/** The rest of the frame is still due to the broker, but the request goes: keep its bytes. */
static void make_orphan(kn_conn *conn, kn_request *request)
{
    assert(!conn->has_orphan && request->splices.count == 0);
    conn->has_orphan = true;
    conn->orphan = request->frame;
    kb_buf_init(&request->frame, conn->env->mem, 0);
    conn->orphan_at = conn->write_at;
    conn->orphan_has_no_response = request->has_no_response;
    conn->orphan_sent = sent_of(conn, request);
    conn->orphan_sent.request = NULL;
    conn->write_at = 0;
}

static void cancel_unsent(kn_conn *conn, kn_request *request)
{
    bool is_begun = conn->write_at > 0 && conn->unsent.next == &request->node;
    if (is_begun && conn->state != KN_CONN_CLOSED) {
        if (request->splices.count > 0)
            fail_cut(conn, request); // its records are the owner's and gone with this call
        else
            make_orphan(conn, request);
    }
    kb_list_remove(&request->node);
    conn->unsent_count--;
}

void kn_conn_cancel(kn_conn *conn, kn_request *request)
{
    assert(request->conn == conn);
    if (request->state == KN_REQUEST_QUEUED) {
        cancel_unsent(conn, request);
    } else {
        for (size_t i = 0; i < conn->ring_count; i++) {
            kn_sent *sent = &conn->ring[(conn->ring_head + i) % conn->ring_cap];
            if (sent->request == request)
                sent->request = NULL;
        }
    }
    if (conn->expired == request)
        conn->expired = NULL;
    request->state = KN_REQUEST_IDLE;
    request->conn = NULL;
    if (conn->auth.state == KN_AUTH_QUIETING) // it may have been the last that was awaited
        kn_conn_wake_by(conn, kn_loop_now_us(conn->env->loop));
}
