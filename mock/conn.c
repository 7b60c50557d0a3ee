/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One connection: frames out of bytes, one request at a time, bytes of its answer.
 *
 *     idle -> (a frame is whole) -> delayed? -> at its handler -> held? -> answer delayed? -> encoded -> idle
 *
 * Out of each state the connection may end; then what is being served is abandoned. */
#include "mock/conn.h"

#include "mock/api.h"
#include "mock/fault.h"
#include "mock/sasl.h"
#include "protocol/frame.h"
#include "protocol/wire.h"

#include <assert.h>

/** Input that may wait behind a request that is held. */
#define INPUT_WAITING_MAX ((size_t)1 << 20)
/** Answers nobody has read yet, beyond which no further request is served. */
#define OUTPUT_WAITING_MAX ((size_t)1 << 20)
/** Larger buffers are given back when they are empty. */
#define BUFFER_KEPT_MAX ((size_t)4 << 20)

/** A request with all it lives in. */
typedef struct served_request {
    km_request request;
    kb_buf frame;   /**< its bytes, without the size */
    kn_timer delay; /**< before its handler, or before its answer leaves */
    kb_buf answer;  /**< encoded, while it is delayed: what it points to may change */
    bool is_answered;
    bool is_at_handler; /**< the handler has not returned: what it answers is sent after it */
    bool is_last;       /**< the connection ends with the answer */
    km_fault fault;
} served_request;

struct km_conn {
    kb_list node; /**< in its broker */
    km_broker *broker;
    const km_conn_ops *ops;
    void *user;
    kb_buf in;
    size_t in_taken;
    kb_buf out;
    size_t out_sent;
    served_request *current; /**< NULL: idle */
    bool is_serving;         /**< serve() is at work further down the stack */
    bool is_done;
    bool is_cut;
    kn_timer mute; /**< KIP-219: nothing is read until then */
    kn_timer idle; /**< connections.max.idle.ms            */
    void *auth;
    void (*auth_free)(km_conn *conn, void *auth);
    kb_list watchers; /**< km_conn_watcher */
};

static void serve(km_conn *conn);

static km_cluster *cluster_of(const km_conn *conn)
{
    return conn->broker->cluster;
}

static void tell(km_conn *conn)
{
    conn->ops->on_output(conn, conn->user);
}

/** Something was received, answered or sent. */
static void touch(km_conn *conn)
{
    km_cluster *cluster = cluster_of(conn);
    if (cluster->options.connections_max_idle_ms > 0 && !conn->is_done)
        km_timer_set(cluster, &conn->idle,
                     cluster->now_us + cluster->options.connections_max_idle_ms * 1000);
}

/* ---- the end of a request ---- */

static void serving_free(km_conn *conn)
{
    served_request *gone = conn->current;
    km_cluster *cluster = cluster_of(conn);
    conn->current = NULL;
    km_timer_stop(cluster, &gone->delay);
    km_timer_stop(cluster, &gone->request.timer);
    kb_arena_cleanup(&gone->request.arena);
    kb_buf_cleanup(&gone->frame);
    kb_buf_cleanup(&gone->answer);
    kb_mem_free(cluster->mem, gone);
}

static void abandon(km_conn *conn)
{
    if (!conn->current)
        return;
    km_request *request = &conn->current->request;
    if (request->on_abandon && !conn->current->is_answered)
        request->on_abandon(request);
    serving_free(conn);
}

void km_conn_watch(km_conn *conn, km_conn_watcher *watcher)
{
    kb_list_push_back(&conn->watchers, &watcher->node);
}

static void tell_watchers(km_conn *conn)
{
    kb_list *node;
    while ((node = kb_list_pop_front(&conn->watchers))) {
        km_conn_watcher *watcher = KB_CONTAINER(node, km_conn_watcher, node);
        watcher->fn(watcher);
    }
}

void km_conn_close(km_conn *conn, bool is_cut)
{
    if (conn->is_done && (conn->is_cut || !is_cut))
        return;
    km_memory_check(cluster_of(conn));
    conn->is_done = true;
    conn->is_cut |= is_cut;
    if (!conn->current || !conn->current->is_at_handler) {
        abandon(conn);
        tell_watchers(conn);
    }
    tell(conn);
}

static void on_unmuted(kn_timer *timer)
{
    serve(timer->user);
}

/** The answer is complete. False: the connection is to end. */
static bool encode(km_conn *conn, served_request *serving, kb_buf *out)
{
    km_request *request = &serving->request;
    size_t before = out->len;
    kp_fault fault = {0};
    kc_err err = kp_frame_response(request->api, request->version, request->correlation_id,
                                   request->response, out, &fault);
    if (err == KC_OK)
        return true;
    out->len = before;
    out->err = KC_OK;
    kb_log_line(&cluster_of(conn)->log, KC_LOG_ERROR,
                "%s v%d: the answer can't be encoded: %s at %s", request->api->name,
                request->version, fault.reason ? fault.reason : "no memory", fault.path);
    return false;
}

/** Each answer with a throttle time has it at its root. */
static void tell_throttle(km_request *request, int32_t throttle_ms)
{
    const kp_struct_desc *root = request->api->response->root;
    for (uint16_t i = 0; i < root->field_count; i++)
        if (strcmp(root->fields[i].name, "throttleTimeMs") == 0)
            memcpy((uint8_t *)request->response + root->fields[i].offset, &throttle_ms,
                   sizeof throttle_ms);
}

/** KIP-219: after this answer, nothing is read for so long. */
static void mute(km_conn *conn, const served_request *serving)
{
    if (serving->fault.throttle_ms > 0)
        km_timer_set(cluster_of(conn), &conn->mute,
                     cluster_of(conn)->now_us + (int64_t)serving->fault.throttle_ms * 1000);
}

static bool send(km_conn *conn, served_request *serving)
{
    size_t before = conn->out.len;
    kb_buf_put_bytes(&conn->out, kb_buf_bytes(&serving->answer));
    if (conn->out.err) {
        conn->out.len = before;
        conn->out.err = KC_OK;
        return false;
    }
    if (serving->answer.len == 0 && !encode(conn, serving, &conn->out))
        return false;
    mute(conn, serving);
    return true;
}

static void finish(km_conn *conn)
{
    served_request *serving = conn->current;
    bool goes_on =
        serving->fault.end == KM_FAULT_ANSWER && send(conn, serving) && !serving->is_last;
    serving_free(conn);
    touch(conn);
    if (!goes_on)
        km_conn_close(conn, false);
    else
        tell(conn);
}

/** Nobody waits for an answer; the rest of a fault shows all the same. */
static void finish_silent(km_conn *conn)
{
    bool goes_on = conn->current->fault.end != KM_FAULT_CLOSE_AFTER;
    mute(conn, conn->current);
    serving_free(conn);
    if (!goes_on)
        km_conn_close(conn, false);
}

static void on_delayed_answer(kn_timer *timer)
{
    km_conn *conn = timer->user;
    finish(conn);
    serve(conn);
}

/** The answer stands in request->response. */
static void answered(km_conn *conn)
{
    served_request *serving = conn->current;
    km_request *request = &serving->request;
    serving->is_answered = true;
    if (serving->fault.throttle_ms > 0)
        tell_throttle(request, serving->fault.throttle_ms);
    if (serving->fault.rewrite)
        serving->fault.rewrite(request, request->response, serving->fault.user);
    if (serving->fault.end == KM_FAULT_DROP)
        return;
    if (serving->fault.answer_delay_us > 0 && encode(conn, serving, &serving->answer)) {
        serving->delay.fn = on_delayed_answer;
        km_timer_set(cluster_of(conn), &serving->delay,
                     cluster_of(conn)->now_us + serving->fault.answer_delay_us);
        return;
    }
    finish(conn);
}

void km_request_answer(km_request *request)
{
    km_conn *conn = request->conn;
    km_cluster *cluster = request->cluster;
    assert(conn->current && &conn->current->request == request && !conn->current->is_answered);
    km_timer_stop(request->cluster, &request->timer);
    if (conn->current->is_at_handler) {
        conn->current->is_answered = true;
        return;
    }
    answered(conn);
    /* What waits behind it is served on its own: no handler runs inside another one, which may be telling its readers. */
    if (!conn->is_done && conn->in.len > conn->in_taken && !kn_timer_is_set(&conn->mute))
        km_timer_set(cluster, &conn->mute, cluster->now_us);
}

void km_request_drop(km_request *request)
{
    request->on_abandon = NULL;
    km_conn_close(request->conn, false);
}

/* ---- the beginning ---- */

static void act(km_conn *conn, km_action action)
{
    if (conn->current->is_answered) /* by itself, before its handler returned */
        action = KM_ANSWER;
    if (conn->is_done) {
        if (action == KM_HOLD)
            abandon(conn);
        else
            serving_free(conn);
        tell_watchers(conn);
        return;
    }
    switch (action) {
    case KM_ANSWER_LAST:
        conn->current->is_last = true;
        answered(conn);
        break;
    case KM_ANSWER:
        answered(conn);
        break;
    case KM_HOLD:
        break;
    case KM_SILENT:
        finish_silent(conn);
        break;
    case KM_CLOSE:
        serving_free(conn);
        km_conn_close(conn, false);
        break;
    }
}

static void handle(km_conn *conn)
{
    served_request *serving = conn->current;
    km_request *request = &serving->request;
    if (request->error == 0)
        request->error = serving->fault.error;
    km_handler handler = km_api_handler(request->api->key);
    serving->is_at_handler = true;
    km_action action = handler(request, request->message, request->response);
    serving->is_at_handler = false;
    act(conn, action);
}

static void on_delayed_request(kn_timer *timer)
{
    km_conn *conn = timer->user;
    handle(conn);
    serve(conn);
}

/** Decode; false: no broker would answer this. */
static bool decode(km_conn *conn, served_request *serving, kc_bytes frame)
{
    km_request *request = &serving->request;
    kb_mem *mem = cluster_of(conn)->mem;
    kp_request_info info;
    kp_fault fault = {0};
    kb_arena_init(&request->arena, mem, 0);
    kb_buf_init(&serving->frame, mem, KM_REQUEST_BYTES_MAX);
    kb_buf_init(&serving->answer, mem, 0);
    kb_buf_put_bytes(&serving->frame, frame);
    if (serving->frame.err || kp_frame_request_parse(kb_buf_bytes(&serving->frame), &info, &fault))
        return false;
    request->api = kp_api_by_key(info.api_key);
    request->version = info.version;
    request->correlation_id = info.correlation_id;
    request->client_id = info.client_id;
    if (!km_api_handler(info.api_key))
        return false;
    bool is_known =
        info.version >= request->api->request->min && info.version <= request->api->request->max;
    if (!is_known && info.api_key != KP_API_API_VERSIONS)
        return false;
    void *message = kb_arena_zalloc(&request->arena, request->api->request->root->size);
    request->response = kb_arena_zalloc(&request->arena, request->api->response->root->size);
    if (!message || !request->response)
        return false;
    request->message = message;
    kp_defaults(request->api->response, request->response);
    if (!is_known) { /* KIP-511 */
        kp_defaults(request->api->request, message);
        request->version = 0;
        request->error = KC_E_UNSUPPORTED_VERSION;
        return true;
    }
    /* Not as strict as the schema: librdkafka, for one, has sent bytes behind a request. */
    return kp_decode_as_kafka(request->api->request, info.version, info.body, &request->arena,
                              message, &fault) == KC_OK;
}

/* ---- who is at the other end ---- */

static void sasl_free(km_conn *conn, void *auth)
{
    (void)conn;
    km_sasl_free(auth);
}

/** The connection's SASL, when clients have to say who they are. False: no memory. */
static bool find_sasl(km_conn *conn, km_sasl **sasl_out)
{
    km_auth *auth = cluster_of(conn)->auth;
    *sasl_out = conn->auth;
    if (conn->auth || !auth || !auth->is_required)
        return true;
    *sasl_out = km_sasl_new(auth);
    if (!*sasl_out)
        return false;
    (*sasl_out)->broker_id = conn->broker->id;
    (*sasl_out)->peer = conn->ops->peer ? conn->ops->peer(conn->user) : "a client";
    km_conn_set_auth(conn, *sasl_out, sasl_free);
    return true;
}

/** After SaslHandshake v0: a frame is a token, and so is its answer. */
static void take_token(km_conn *conn, km_sasl *sasl, kc_bytes token)
{
    uint8_t size[4];
    int64_t lifetime_ms;
    kb_buf answer;
    kb_buf_init(&answer, cluster_of(conn)->mem, 0);
    km_sasl_status status = km_sasl_token(sasl, token, &answer, &lifetime_ms);
    bool is_good = status == KM_SASL_MORE || status == KM_SASL_DONE;
    size_t before = conn->out.len;
    if (is_good) {
        kp_store32(size, (uint32_t)answer.len);
        kb_buf_put(&conn->out, size, sizeof size);
        kb_buf_put_bytes(&conn->out, kb_buf_bytes(&answer));
    }
    kb_buf_cleanup(&answer);
    if (is_good && !conn->out.err) {
        tell(conn);
        return;
    }
    if (conn->out.err) {
        conn->out.len = before;
        conn->out.err = KC_OK;
    }
    km_conn_close(conn, false);
}

/** May the request that was decoded be served? */
static bool may_serve(km_conn *conn, km_sasl *sasl)
{
    served_request *serving = conn->current;
    km_request *request = &serving->request;
    bool is_known = request->error != KC_E_UNSUPPORTED_VERSION;
    switch (sasl ? km_sasl_gate(sasl, request->api->key, is_known) : KM_SASL_ALLOWED) {
    case KM_SASL_ALLOWED:
        return true;
    case KM_SASL_ILLEGAL:
        request->error = KC_E_ILLEGAL_SASL_STATE;
        serving->is_last = true;
        return true;
    case KM_SASL_CLOSE:
        break;
    }
    kb_log_line(&cluster_of(conn)->log, KC_LOG_INFO,
                "broker %d: closing a connection: %s before authentication, or after its session",
                conn->broker->id, request->api->name);
    return false;
}

/* ---- the next request ---- */

static void begin(km_conn *conn, kc_bytes frame)
{
    km_sasl *sasl;
    if (!find_sasl(conn, &sasl)) {
        km_conn_close(conn, false);
        return;
    }
    if (sasl && sasl->is_bare && sasl->stage == KM_SASL_TOKENS) {
        take_token(conn, sasl, frame);
        return;
    }
    km_cluster *cluster = cluster_of(conn);
    served_request *serving = kb_mem_zalloc(cluster->mem, sizeof *serving);
    if (!serving) {
        km_conn_close(conn, false);
        return;
    }
    km_request *request = &serving->request;
    request->cluster = cluster;
    request->broker = conn->broker;
    request->conn = conn;
    kb_list_init(&request->node);
    serving->delay.user = conn;
    conn->current = serving;
    if (!decode(conn, serving, frame)) {
        kb_log_line(
            &cluster->log, KC_LOG_INFO,
            "broker %d: closing a connection: request %s v%d can't be read or is not served",
            conn->broker->id, request->api ? request->api->name : "of an unknown API",
            request->version);
        serving_free(conn);
        km_conn_close(conn, false);
        return;
    }
    if (!may_serve(conn, sasl)) {
        serving_free(conn);
        km_conn_close(conn, false);
        return;
    }
    if (!km_fault_match(request, &serving->fault)) {
        handle(conn);
        return;
    }
    if (serving->fault.end == KM_FAULT_CLOSE_BEFORE) {
        serving_free(conn);
        km_conn_close(conn, false);
    } else if (serving->fault.delay_us > 0) {
        serving->delay.fn = on_delayed_request;
        km_timer_set(cluster, &serving->delay, cluster->now_us + serving->fault.delay_us);
    } else {
        handle(conn);
    }
}

/** The next whole frame; null: none. */
static kc_bytes next_frame(km_conn *conn)
{
    size_t there = conn->in.len - conn->in_taken;
    if (there < 4)
        return KC_NULL;
    const uint8_t *at = conn->in.data + conn->in_taken;
    int32_t size = (int32_t)kp_load32(at);
    if (size < 0 || size > KM_REQUEST_BYTES_MAX) {
        km_conn_close(conn, false);
        return KC_NULL;
    }
    return there - 4 < (size_t)size ? KC_NULL : kc_span(at + 4, (size_t)size);
}

/** Given back, so that one large message does not cost memory for as long as the connection is open. */
static void empty(kb_buf *buf)
{
    if (buf->cap > BUFFER_KEPT_MAX)
        kb_buf_cleanup(buf);
    else
        kb_buf_reset(buf);
}

static bool is_free(const km_conn *conn)
{
    return !conn->is_done && !conn->current && !kn_timer_is_set(&conn->mute) &&
           conn->out.len - conn->out_sent < OUTPUT_WAITING_MAX;
}

static void serve(km_conn *conn)
{
    if (conn->is_serving)
        return;
    conn->is_serving = true;
    while (is_free(conn)) {
        kc_bytes frame = next_frame(conn);
        if (!frame.ptr)
            break;
        conn->in_taken += frame.len + 4;
        begin(conn, frame);
    }
    if (conn->in_taken == conn->in.len) {
        empty(&conn->in);
        conn->in_taken = 0;
    } else if (conn->in.data && conn->in_taken > INPUT_WAITING_MAX) {
        memmove(conn->in.data, conn->in.data + conn->in_taken, conn->in.len - conn->in_taken);
        conn->in.len -= conn->in_taken;
        conn->in_taken = 0;
    }
    conn->is_serving = false;
}

/* ---- the carrier's side ---- */

static void on_idle(kn_timer *timer)
{
    km_conn *conn = timer->user;
    if (conn->current) /* it waits for us */
        touch(conn);
    else
        km_conn_close(conn, false);
}

km_conn *km_conn_new(km_broker *broker, const km_conn_ops *ops, void *user)
{
    km_conn *conn = broker->is_down ? NULL : kb_mem_zalloc(broker->cluster->mem, sizeof *conn);
    if (!conn)
        return NULL;
    conn->broker = broker;
    conn->ops = ops;
    conn->user = user;
    conn->mute.fn = on_unmuted;
    conn->mute.user = conn;
    conn->idle.fn = on_idle;
    conn->idle.user = conn;
    kb_buf_init(&conn->in, broker->cluster->mem, (size_t)KM_REQUEST_BYTES_MAX * 2);
    kb_buf_init(&conn->out, broker->cluster->mem, 0);
    kb_list_init(&conn->watchers);
    kb_list_push_back(&broker->connections, &conn->node);
    touch(conn);
    return conn;
}

void km_conn_free(km_conn *conn)
{
    km_cluster *cluster = cluster_of(conn);
    conn->is_done = true;
    abandon(conn);
    tell_watchers(conn);
    km_timer_stop(cluster, &conn->mute);
    km_timer_stop(cluster, &conn->idle);
    if (conn->auth_free)
        conn->auth_free(conn, conn->auth);
    kb_list_remove(&conn->node);
    kb_buf_cleanup(&conn->in);
    kb_buf_cleanup(&conn->out);
    kb_mem_free(cluster->mem, conn);
}

void km_conn_receive(km_conn *conn, kc_bytes bytes)
{
    if (conn->is_done)
        return;
    touch(conn);
    kb_buf_put_bytes(&conn->in, bytes);
    if (conn->in.err)
        km_conn_close(conn, false);
    else
        serve(conn);
}

bool km_conn_wants_input(const km_conn *conn)
{
    return !conn->is_done && (conn->in.len - conn->in_taken < INPUT_WAITING_MAX || is_free(conn));
}

kc_bytes km_conn_output(const km_conn *conn)
{
    if (conn->is_cut || conn->out.len == conn->out_sent)
        return KC_STR("");
    return kc_span(conn->out.data + conn->out_sent, conn->out.len - conn->out_sent);
}

void km_conn_sent(km_conn *conn, size_t len)
{
    km_cluster *cluster = cluster_of(conn);
    bool was_full = conn->out.len - conn->out_sent >= OUTPUT_WAITING_MAX;
    conn->out_sent += len;
    assert(conn->out_sent <= conn->out.len);
    if (conn->out_sent == conn->out.len) {
        empty(&conn->out);
        conn->out_sent = 0;
    } else if (conn->out_sent > OUTPUT_WAITING_MAX &&
               conn->out_sent > conn->out.len - conn->out_sent) {
        /* A client that reads slowly and goes on asking never empties it. */
        memmove(conn->out.data, conn->out.data + conn->out_sent, conn->out.len - conn->out_sent);
        conn->out.len -= conn->out_sent;
        conn->out_sent = 0;
    }
    if (len > 0)
        touch(conn);
    if (was_full && is_free(conn))
        km_timer_set(cluster, &conn->mute, cluster->now_us);
}

bool km_conn_is_done(const km_conn *conn)
{
    return conn->is_done;
}

bool km_conn_is_cut(const km_conn *conn)
{
    return conn->is_cut;
}

void km_conn_cut_all(km_broker *broker)
{
    KB_LIST_FOR (node, &broker->connections) {
        km_conn_close(KB_CONTAINER(node, km_conn, node), true);
    }
}

void *km_conn_auth(const km_conn *conn)
{
    return conn->auth;
}

void km_conn_set_auth(km_conn *conn, void *auth, void (*free_fn)(km_conn *conn, void *auth))
{
    conn->auth = auth;
    conn->auth_free = free_fn;
}
