/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Bytes to responses.
 *
 * Between frames we read into the pool's shared chunk; whole frames are handed out as slices of it.
 * A frame that is not whole moves its head to a chunk of its own size, and the rest is received
 * there directly, so the bytes of a large Fetch are copied once, by the kernel. After a large frame
 * the next read is short, since its head is copied. A length is checked before anything is
 * allocated for it, and a long one is only believed as far as its bytes have come
 * (KN_FRAME_TRUST_BYTES). */
#include "net/conn.h"
#include "protocol/base/error.h"

#include <stdio.h>
#include <string.h>

static void fail_read(kn_conn *conn, kc_err code, const char *what)
{
    char name[KN_PEER_NAME_MAX];
    kc_error error;
    kb_error_set(&error, code, "%s %s", kn_conn_name(conn, name, sizeof name), what);
    error.phase = KC_PHASE_API;
    kn_conn_fail(conn, &error);
}

static uint32_t load32(const uint8_t *ptr)
{
    return (uint32_t)ptr[0] << 24 | (uint32_t)ptr[1] << 16 | (uint32_t)ptr[2] << 8 | ptr[3];
}

/** False: the size is impossible and the connection is closed. */
static bool check_size(kn_conn *conn, const uint8_t *at)
{
    uint32_t size = load32(at);
    if (size >= 4 && size <= (uint32_t)conn->env->response_bytes_max)
        return true;
    /* What most often stands here is another protocol. */
    if (at[0] == 0x15 && at[1] == 0x03) {
        fail_read(conn, KC_ERR_CONNECT, "answers in TLS; is security.protocol right?");
    } else if (memcmp(at, "HTTP", 4) == 0) {
        fail_read(conn, KC_ERR_CONNECT, "answers in HTTP; is the port right?");
    } else if (size < 4 || size > INT32_MAX) {
        fail_read(conn, KC_ERR_MALFORMED, "sent a frame of impossible size");
    } else {
        char name[KN_PEER_NAME_MAX];
        kc_error error;
        kb_error_set(&error, KC_ERR_TOO_LARGE,
                     "%s sent a response of %u bytes, the limit is %d; ask for less or raise "
                     "receive.message.max.bytes",
                     kn_conn_name(conn, name, sizeof name), (unsigned)size,
                     (int)conn->env->response_bytes_max);
        error.phase = KC_PHASE_API;
        kn_conn_fail(conn, &error);
    }
    return false;
}

static void hand_over(kn_conn *conn, const kn_sent *sent, kb_chunk *chunk, kc_bytes frame)
{
    kp_fault fault;
    kc_bytes body;
    if (kp_frame_response_body(sent->api, sent->version, frame, &body, &fault) != KC_OK) {
        char name[KN_PEER_NAME_MAX];
        kc_error error;
        kb_error_set(&error, KC_ERR_MALFORMED, "%s sent a bad header of a %s v%d response",
                     kn_conn_name(conn, name, sizeof name), sent->api->name, sent->version);
        error.phase = KC_PHASE_API;
        kn_conn_fail(conn, &error);
        if (sent->request)
            kn_request_fail(sent->request, &error, true, conn->broker_id);
        return;
    }
    if (!sent->request)
        return; // given up meanwhile
    if (sent->request != &conn->setup_request)
        conn->has_answered = true;
    kn_reply reply = {.was_sent = true,
                      .broker_id = conn->broker_id,
                      .version = sent->version,
                      .body = body,
                      .chunk = chunk};
    kn_request_complete(sent->request, &reply);
}

static void trace_read(const kn_conn *conn, const kn_sent *sent, size_t len)
{
    const kn_frame_event event = {
        .is_response = true,
        .broker_id = conn->broker_id,
        .api = sent->api,
        .version = sent->version,
        .correlation_id = sent->correlation_id,
        .bytes = KP_FRAME_SIZE_BYTES + len,
        .latency_us = kn_loop_now_us(conn->env->loop) - sent->written_us,
    };
    conn->env->trace(conn->env->trace_user, &event);
}

/** One whole frame, without its size. */
static void deliver(kn_conn *conn, kb_chunk *chunk, kc_bytes frame)
{
    int32_t id = 0;
    if (conn->ring_count == 0) {
        fail_read(conn, KC_ERR_MALFORMED, "sent a response nobody asked for");
        return;
    }
    kn_sent sent = conn->ring[conn->ring_head];
    if (!kp_frame_correlation_id(frame, &id) || id != sent.correlation_id) {
        char name[KN_PEER_NAME_MAX];
        kc_error error;
        kb_error_set(&error, KC_ERR_MALFORMED,
                     "%s answered request %d where %d (%s) was next; the connection is out of step",
                     kn_conn_name(conn, name, sizeof name), (int)id, (int)sent.correlation_id,
                     sent.api->name);
        error.phase = KC_PHASE_API;
        kn_conn_fail(conn, &error);
        return;
    }
    conn->ring_head = (conn->ring_head + 1) % conn->ring_cap;
    conn->ring_count--;
    conn->used_us = kn_loop_now_us(conn->env->loop);
    conn->env->stats->responses++;
    if (conn->env->trace)
        trace_read(conn, &sent, frame.len);
    conn->receive.expects_large = frame.len > KN_SHARED_CHUNK_BYTES / 2;
    bool was_ready = conn->state == KN_CONN_READY;
    hand_over(conn, &sent, chunk, frame);
    if (was_ready && conn->state == KN_CONN_READY)
        conn->events->on_room(conn);
    kn_conn_check_quiet(conn);
}

static size_t trusted(size_t size, size_t arrived)
{
    size_t trust = arrived * KN_FRAME_GROWTH;
    if (trust < KN_FRAME_TRUST_BYTES)
        trust = KN_FRAME_TRUST_BYTES;
    return size < trust ? size : trust;
}

/** A chunk for the frame under way, with what was received of it; false: out of memory, closed. */
static bool grow_frame(kn_conn *conn, const uint8_t *data, size_t len)
{
    kn_receive *receive = &conn->receive;
    kn_recycler *recycler = conn->env->recycler;
    size_t cap = trusted(receive->frame_size, len);
    kb_chunk *chunk = kn_recycler_take(recycler, cap);
    if (!chunk) {
        char what[96];
        snprintf(what, sizeof what, "sent a response of %zu bytes, for which there is no memory",
                 receive->frame_size);
        fail_read(conn, KC_ERR_NOMEM, what);
        return false;
    }
    if (len > 0)
        memcpy(chunk->data, data, len);
    chunk->len = len;
    if (receive->frame)
        kn_recycler_keep(recycler, receive->frame);
    receive->frame = chunk;
    return true;
}

/** What is left behind the last whole frame: part of a size, or of a frame whose size is good. */
static void keep_rest(kn_conn *conn, const uint8_t *at, size_t len)
{
    kn_receive *receive = &conn->receive;
    if (len < KP_FRAME_SIZE_BYTES) {
        memcpy(receive->head, at, len);
        receive->head_len = len;
        return;
    }
    receive->frame_size = load32(at);
    grow_frame(conn, at + KP_FRAME_SIZE_BYTES, len - KP_FRAME_SIZE_BYTES);
}

/** Hand out the whole frames in chunk->data[from..]. */
static void split_frames(kn_conn *conn, kb_chunk *chunk, size_t from, size_t len)
{
    size_t at = from;
    size_t end = from + len;
    kb_chunk_ref(chunk);
    chunk->len = end;
    while (conn->state != KN_CONN_CLOSED && end - at >= KP_FRAME_SIZE_BYTES) {
        const uint8_t *data = chunk->data + at;
        if (!check_size(conn, data))
            break;
        size_t size = load32(data);
        if (end - at - KP_FRAME_SIZE_BYTES < size)
            break;
        at += KP_FRAME_SIZE_BYTES + size;
        deliver(conn, chunk, kc_span(data + KP_FRAME_SIZE_BYTES, size));
    }
    if (conn->state != KN_CONN_CLOSED && at < end)
        keep_rest(conn, chunk->data + at, end - at);
    chunk->len = at; // the rest was copied out: its place is free again
    kb_chunk_unref(chunk);
}

/** Read between frames. Sets *may_have_more when the transport may hold more. */
static kc_err read_shared(kn_conn *conn, size_t *got_out, bool *may_have_more, kc_error *err)
{
    kn_receive *receive = &conn->receive;
    kb_chunk *chunk = kn_recycler_shared(conn->env->recycler);
    if (!chunk)
        return kb_error_set(err, KC_ERR_NOMEM, "no memory to receive into");
    size_t from = chunk->len;
    size_t head_len = receive->head_len;
    size_t room = chunk->cap - from - head_len;
    if (receive->expects_large && room > KN_READ_PROBE_BYTES)
        room = KN_READ_PROBE_BYTES;
    size_t got = 0;
    kc_err code =
        kn_transport_read(conn->transport, chunk->data + from + head_len, room, &got, err);
    if (code != KC_OK)
        return code;
    memcpy(chunk->data + from, receive->head, head_len);
    receive->head_len = 0;
    *got_out = got;
    *may_have_more = got == room;
    conn->env->stats->bytes_in += got;
    split_frames(conn, chunk, from, head_len + got);
    return KC_OK;
}

/** Read the rest of a frame into its own chunk. */
static kc_err read_frame(kn_conn *conn, size_t *got_out, bool *may_have_more, kc_error *err)
{
    kn_receive *receive = &conn->receive;
    kb_chunk *chunk = receive->frame;
    size_t usable = chunk->cap < receive->frame_size ? chunk->cap : receive->frame_size;
    size_t room = usable - chunk->len;
    size_t got = 0;
    kc_err code = kn_transport_read(conn->transport, chunk->data + chunk->len, room, &got, err);
    if (code != KC_OK)
        return code;
    chunk->len += got;
    *got_out = got;
    *may_have_more = got == room;
    conn->env->stats->bytes_in += got;
    if (chunk->len < receive->frame_size) {
        if (chunk->len == usable)
            grow_frame(conn, chunk->data, chunk->len);
        return KC_OK;
    }
    receive->frame = NULL;
    deliver(conn, chunk, kc_span(chunk->data, chunk->len));
    /* A large frame rarely has company: the next turn asks, rather than a read for nothing. */
    if (chunk->len > KN_SHARED_CHUNK_BYTES && *may_have_more) {
        *may_have_more = false;
        kn_loop_more(conn->env->loop);
    }
    kn_recycler_keep(conn->env->recycler, chunk);
    return KC_OK;
}

void kn_conn_read(kn_conn *conn)
{
    size_t budget = KN_READ_BUDGET_BYTES;
    bool may_have_more = true;
    while (may_have_more && conn->state != KN_CONN_CLOSED) {
        size_t got = 0;
        kc_error error;
        kc_err err = conn->receive.frame ? read_frame(conn, &got, &may_have_more, &error)
                                         : read_shared(conn, &got, &may_have_more, &error);
        if (err == KC_ERR_AGAIN)
            return;
        if (err == KC_ERR_NOMEM) {
            fail_read(conn, KC_ERR_NOMEM, "sent a response for which there is no memory");
            return;
        }
        if (err != KC_OK) {
            kn_conn_lost(conn, err == KC_ERR_END ? NULL : &error);
            return;
        }
        if (may_have_more && got >= budget) {
            kn_loop_more(conn->env->loop);
            return;
        }
        budget = got < budget ? budget - got : 0;
    }
}
