/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One connection of the in-memory network: a transport for the client, a peer for the server, two
 * pipes.
 *
 * Everything moves in run(), from a task or timer: connect, then bytes to the server, then events
 * to the client, each only when due. Readiness is level-triggered as epoll's is: what the client
 * leaves unread is reported again in the next turn. The struct goes when client and server have
 * both let go. */
#include "net/mem_core.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <errno.h>

typedef struct mem_segment {
    kb_list node;
    int64_t due_us;
    size_t len;
    size_t at; /**< read so far */
    uint8_t data[];
} mem_segment;

static int64_t now_us(const kn_mem_peer *peer)
{
    return kn_loop_now_us(peer->network->loop);
}

/** When what is sent now arrives; never before what was sent earlier. */
static int64_t next_due(kn_mem_peer *peer, mem_pipe *pipe, size_t len)
{
    const kn_mem_shape *shape = &peer->network->shape;
    int64_t due_us = now_us(peer) + shape->latency_us;
    if (shape->bytes_per_second > 0) {
        if (due_us < pipe->last_due_us)
            due_us = pipe->last_due_us;
        due_us += (int64_t)len * 1000000 / shape->bytes_per_second;
    }
    if (shape->jitter_us > 0 && peer->network->rand)
        due_us += (int64_t)kb_rand_below(peer->network->rand, (uint64_t)shape->jitter_us + 1);
    if (due_us < pipe->last_due_us)
        due_us = pipe->last_due_us;
    pipe->last_due_us = due_us;
    return due_us;
}

static mem_segment *head_of(const mem_pipe *pipe)
{
    return kb_list_is_empty(&pipe->segments) ? NULL
                                             : KB_CONTAINER(pipe->segments.next, mem_segment, node);
}

static mem_segment *add_segment(kn_mem_peer *peer, mem_pipe *pipe, size_t len)
{
    mem_segment *segment = kb_mem_alloc(peer->network->mem, sizeof *segment + len);
    if (!segment)
        return NULL;
    segment->due_us = next_due(peer, pipe, len);
    segment->len = len;
    segment->at = 0;
    kb_list_push_back(&pipe->segments, &segment->node);
    pipe->bytes += len;
    return segment;
}

static void drop_segment(kn_mem_peer *peer, mem_pipe *pipe, mem_segment *segment)
{
    kb_list_remove(&segment->node);
    pipe->bytes -= segment->len - segment->at;
    kb_mem_free(peer->network->mem, segment);
}

static void clear_pipe(kn_mem_peer *peer, mem_pipe *pipe)
{
    mem_segment *segment;
    while ((segment = head_of(pipe)))
        drop_segment(peer, pipe, segment);
}

static void end_pipe(kn_mem_peer *peer, mem_pipe *pipe)
{
    if (!pipe->has_end)
        pipe->end_due_us = next_due(peer, pipe, 0);
    pipe->has_end = true;
}

/** When the pipe has something to tell: bytes or the end; INT64_MAX: nothing. */
static int64_t due_of(const mem_pipe *pipe)
{
    const mem_segment *segment = head_of(pipe);
    if (segment)
        return segment->due_us;
    return pipe->has_end ? pipe->end_due_us : INT64_MAX;
}

static bool is_paused(const kn_mem_peer *peer)
{
    const mem_listener *listener = kn_mem_find_listener(peer->network, &peer->address);
    return listener && listener->is_paused;
}

static size_t room_of(const kn_mem_peer *peer)
{
    size_t window = peer->network->shape.window_bytes;
    size_t used = peer->to_server.bytes + peer->in.len - peer->in_taken;
    if (window == 0)
        return SIZE_MAX;
    return used < window ? window - used : 0;
}

static kc_err fail(kc_error *err, kc_err code, kc_phase phase, int os_errno, const char *reason)
{
    kb_error_set(err, code, "%s", reason);
    if (err) {
        err->os_errno = os_errno;
        err->phase = phase;
    }
    return code;
}

static kc_err peer_read(kn_transport *transport, void *into, size_t len, size_t *len_out,
                        kc_error *err)
{
    kn_mem_peer *peer = (kn_mem_peer *)transport;
    if (peer->is_reset)
        return fail(err, KC_ERR_DISCONNECTED, KC_PHASE_API, ECONNRESET, "Connection reset by peer");
    if (is_paused(peer))
        return KC_ERR_AGAIN;
    size_t read_max = peer->network->shape.read_max;
    if (read_max > 0 && len > read_max)
        len = read_max;
    size_t got = 0;
    mem_segment *segment;
    while (got < len && (segment = head_of(&peer->to_client)) && segment->due_us <= now_us(peer)) {
        size_t part = segment->len - segment->at;
        if (part > len - got)
            part = len - got;
        memcpy((uint8_t *)into + got, segment->data + segment->at, part);
        got += part;
        segment->at += part;
        peer->to_client.bytes -= part;
        if (segment->at == segment->len)
            drop_segment(peer, &peer->to_client, segment);
    }
    *len_out = got;
    if (got > 0)
        return KC_OK;
    return due_of(&peer->to_client) <= now_us(peer) ? KC_ERR_END : KC_ERR_AGAIN;
}

static kc_err peer_write(kn_transport *transport, const struct iovec *iov, int count,
                         size_t *len_out, kc_error *err)
{
    kn_mem_peer *peer = (kn_mem_peer *)transport;
    if (peer->is_reset || (!peer->has_server && !peer->is_half_open))
        return fail(err, KC_ERR_DISCONNECTED, KC_PHASE_API, peer->is_reset ? ECONNRESET : EPIPE,
                    peer->is_reset ? "Connection reset by peer" : "Broken pipe");
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    size_t room = room_of(peer);
    if (peer->network->shape.write_max > 0 && room > peer->network->shape.write_max)
        room = peer->network->shape.write_max;
    if (total > room)
        total = room;
    if (total == 0)
        return KC_ERR_AGAIN;
    if (peer->is_half_open) { /* as into a kernel's buffer */
        *len_out = total;
        return KC_OK;
    }
    mem_segment *segment = add_segment(peer, &peer->to_server, total);
    if (!segment)
        return kb_error_code(err, KC_ERR_NOMEM);
    size_t at = 0;
    for (int i = 0; i < count && at < total; i++) {
        size_t part = iov[i].iov_len < total - at ? iov[i].iov_len : total - at;
        memcpy(segment->data + at, iov[i].iov_base, part);
        at += part;
    }
    *len_out = total;
    kn_mem_peer_schedule(peer);
    return KC_OK;
}

static void peer_want(kn_transport *transport, unsigned events)
{
    kn_mem_peer *peer = (kn_mem_peer *)transport;
    peer->wants_write = (events & KN_EVENT_WRITE) != 0;
    kn_mem_peer_schedule(peer);
}

/** Free when nobody holds it, else look for work. */
static void settle(kn_mem_peer *peer)
{
    if (peer->in_run)
        return;
    if (!peer->has_client && !peer->has_server)
        kn_mem_peer_free(peer);
    else
        kn_mem_peer_schedule(peer);
}

static void peer_close(kn_transport *transport)
{
    kn_mem_peer *peer = (kn_mem_peer *)transport;
    assert(peer->has_client);
    peer->has_client = false;
    kn_task_cancel(&peer->client_task);
    clear_pipe(peer, &peer->to_client);
    end_pipe(peer, &peer->to_server);
    settle(peer);
}

static void connect_client(kn_mem_peer *peer)
{
    if (peer->is_open || peer->is_refused || !peer->has_client ||
        peer->connect_due_us > now_us(peer))
        return;
    mem_listener *listener = kn_mem_find_listener(peer->network, &peer->address);
    if (!listener) {
        peer->is_refused = true;
        peer->first_events = KN_EVENT_FAILED;
        return;
    }
    peer->is_open = true;
    peer->first_events = KN_EVENT_OPEN;
    peer->has_server = true;
    peer->server = listener->server;
    peer->server_user = listener->user;
    if (peer->server->on_accept)
        peer->server->on_accept(peer->server_user, peer);
}

static void tell_server_of_end(kn_mem_peer *peer)
{
    if (!peer->has_server)
        return;
    peer->has_server = false;
    if (peer->server->on_close)
        peer->server->on_close(peer->server_user, peer);
}

static void serve_server(kn_mem_peer *peer)
{
    if (peer->is_cut) {
        clear_pipe(peer, &peer->to_server);
        clear_pipe(peer, &peer->to_client);
        tell_server_of_end(peer);
        return;
    }
    bool has_new = false;
    mem_segment *segment;
    while ((segment = head_of(&peer->to_server)) && segment->due_us <= now_us(peer)) {
        if (peer->has_server)
            kb_buf_put(&peer->in, segment->data, segment->len);
        has_new = true;
        drop_segment(peer, &peer->to_server, segment);
    }
    if (has_new && peer->has_server && peer->in.err != KC_OK)
        kn_mem_peer_reset(peer); // the simulated server is out of memory
    if (has_new && peer->has_server && peer->server->on_data)
        peer->server->on_data(peer->server_user, peer);
    if (due_of(&peer->to_server) <= now_us(peer) && !head_of(&peer->to_server))
        tell_server_of_end(peer);
}

static unsigned events_of(const kn_mem_peer *peer)
{
    if (!peer->has_client)
        return 0;
    if (!peer->is_open)
        return peer->first_events;
    unsigned events = peer->first_events;
    if (peer->is_reset || due_of(&peer->to_client) <= now_us(peer))
        events |= KN_EVENT_READ;
    if (peer->wants_write && (peer->is_reset || !peer->has_server || room_of(peer) > 0))
        events |= KN_EVENT_WRITE;
    return events;
}

/** As epoll has it: what is so at this moment, opening first and by itself. */
static void tell_client(kn_mem_peer *peer)
{
    unsigned events = events_of(peer);
    if (events == 0)
        return;
    unsigned first = peer->first_events;
    peer->first_events = 0;
    if (first == KN_EVENT_FAILED) {
        kc_error error;
        fail(&error, KC_ERR_CONNECT, KC_PHASE_CONNECT, ECONNREFUSED, "Connection refused");
        peer->base.on_event(peer->base.user, KN_EVENT_FAILED, &error);
        return;
    }
    if (first)
        peer->base.on_event(peer->base.user, first, NULL);
    events = events_of(peer);
    if (events != 0)
        peer->base.on_event(peer->base.user, events, NULL);
}

static bool is_own_loop(const kn_mem_peer *peer)
{
    return peer->client_loop == peer->network->loop;
}

static void run(kn_mem_peer *peer)
{
    if (is_paused(peer))
        return;
    peer->in_run = true;
    connect_client(peer);
    if (peer->is_open)
        serve_server(peer);
    if (is_own_loop(peer))
        tell_client(peer);
    else if (events_of(peer) != 0)
        kn_task_queue(peer->client_loop, &peer->client_task);
    peer->in_run = false;
    settle(peer);
}

static void on_client_task(kn_task *task)
{
    kn_mem_peer *peer = task->user;
    peer->in_run = true;
    if (!is_paused(peer))
        tell_client(peer);
    peer->in_run = false;
    settle(peer);
}

static void on_task(kn_task *task)
{
    run(task->user);
}

static void on_timer(kn_timer *timer)
{
    run(timer->user);
}

/** When run() has something to do; INT64_MAX: not before somebody acts. */
static int64_t work_due(const kn_mem_peer *peer)
{
    /* On a loop of its own the client may be frozen: once it is to be told, it is not asked again before it was. */
    bool is_told = !is_own_loop(peer) && peer->client_task.node.next &&
                   !kb_list_is_empty(&peer->client_task.node);
    if (events_of(peer) != 0 && !is_told)
        return now_us(peer);
    if (!peer->is_open)
        return peer->has_client && !peer->is_refused ? peer->connect_due_us : INT64_MAX;
    if (peer->is_cut && peer->has_server)
        return now_us(peer);
    int64_t due_us = INT64_MAX;
    if (peer->has_server || head_of(&peer->to_server))
        due_us = due_of(&peer->to_server);
    if (peer->has_client && !is_told && due_of(&peer->to_client) < due_us)
        due_us = due_of(&peer->to_client);
    return due_us;
}

void kn_mem_peer_schedule(kn_mem_peer *peer)
{
    if (peer->in_run || is_paused(peer))
        return;
    int64_t due_us = work_due(peer);
    if (due_us == INT64_MAX)
        return;
    if (due_us <= now_us(peer)) {
        kn_task_queue(peer->network->loop, &peer->task);
        return;
    }
    if (kn_timer_is_set(&peer->timer) && peer->timer.due_us <= due_us)
        return;
    kc_err err = kn_timer_set(peer->network->loop, &peer->timer, due_us);
    assert(err == KC_OK);
    (void)err;
}

void kn_mem_peer_free(kn_mem_peer *peer)
{
    assert(!peer->has_client && !peer->in_run);
    kn_timer_stop(peer->network->loop, &peer->timer);
    kn_task_cancel(&peer->task);
    kn_task_cancel(&peer->client_task);
    clear_pipe(peer, &peer->to_client);
    clear_pipe(peer, &peer->to_server);
    kb_buf_cleanup(&peer->in);
    kb_list_remove(&peer->node);
    kb_mem_free(peer->network->mem, peer);
}

kc_err kn_mem_open(kn_network *base, const kn_open_options *options, kn_transport **transport_out,
                   kc_error *err)
{
    static const kn_transport_ops ops = {peer_read, peer_write, peer_want, peer_close};
    const mem_view *view = (const mem_view *)base;
    kn_mem_network *network = view->network;
    network->connects++;
    kn_mem_peer *peer = kb_mem_zalloc(network->mem, sizeof *peer);
    if (!peer)
        return kb_error_code(err, KC_ERR_NOMEM);
    peer->base = (kn_transport){&ops, options->on_event, options->user};
    peer->network = network;
    peer->address = options->address;
    kb_list_init(&peer->to_client.segments);
    kb_list_init(&peer->to_server.segments);
    kb_buf_init(&peer->in, network->mem, 0);
    peer->has_client = true;
    peer->timer = (kn_timer){.fn = on_timer, .user = peer};
    peer->task = (kn_task){.fn = on_task, .user = peer};
    peer->client_loop = view->loop;
    peer->client_task = (kn_task){.fn = on_client_task, .user = peer};
    kb_list_push_back(&network->peers, &peer->node);
    /* there and back */
    peer->connect_due_us = next_due(peer, &peer->to_client, 0) + network->shape.latency_us;
    kn_mem_peer_schedule(peer);
    *transport_out = &peer->base;
    return KC_OK;
}

void kn_mem_peer_lose_server(kn_mem_peer *peer)
{
    peer->is_half_open = true;
    clear_pipe(peer, &peer->to_server);
    clear_pipe(peer, &peer->to_client);
    tell_server_of_end(peer);
    settle(peer);
}

kc_bytes kn_mem_peer_in(const kn_mem_peer *peer)
{
    kc_bytes in = kb_buf_bytes(&peer->in);
    return kc_span(in.ptr + peer->in_taken, in.len - peer->in_taken);
}

void kn_mem_peer_take(kn_mem_peer *peer, size_t len)
{
    assert(len <= peer->in.len - peer->in_taken);
    peer->in_taken += len;
    if (peer->in_taken > peer->in.len / 2) {
        peer->in.len -= peer->in_taken;
        memmove(peer->in.data, peer->in.data + peer->in_taken, peer->in.len);
        peer->in_taken = 0;
    }
    kn_mem_peer_schedule(peer);
}

kc_err kn_mem_peer_write(kn_mem_peer *peer, kc_bytes bytes)
{
    assert(peer->has_server);
    if (!peer->has_client || peer->is_reset || bytes.len == 0)
        return KC_OK;
    mem_segment *segment = add_segment(peer, &peer->to_client, bytes.len);
    if (!segment)
        return KC_ERR_NOMEM;
    memcpy(segment->data, bytes.ptr, bytes.len);
    kn_mem_peer_schedule(peer);
    return KC_OK;
}

void kn_mem_peer_close(kn_mem_peer *peer)
{
    assert(peer->has_server);
    peer->has_server = false;
    end_pipe(peer, &peer->to_client);
    settle(peer);
}

void kn_mem_peer_reset(kn_mem_peer *peer)
{
    assert(peer->has_server);
    peer->has_server = false;
    peer->is_reset = true;
    clear_pipe(peer, &peer->to_client);
    settle(peer);
}

void kn_mem_peer_set_user(kn_mem_peer *peer, void *user)
{
    peer->user = user;
}

void *kn_mem_peer_user(const kn_mem_peer *peer)
{
    return peer->user;
}
