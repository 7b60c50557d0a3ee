/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The proxy network and its transports.
 *
 *     connecting --inner opens--> shaking hands --done--> open
 *                \________________|_______ KN_EVENT_FAILED
 *
 * Who begins to speak behind a proxy may be heard together with its last word: those bytes are kept
 * and read first, and a task reports them, since the socket will not. Open, everything else is the
 * inner transport's. */
#include "net/proxy_core.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <stdio.h>

/** "proxy [host]:65535" */
#define VIA_MAX (KN_HOST_MAX + 24)

typedef struct kn_proxy_network {
    kn_network base;
    kb_mem *mem;
    kn_loop *loop;
    kn_network *inner;
    kn_proxy_url url;
    char via[VIA_MAX];
    size_t open; /**< transports not closed yet */
} kn_proxy_network;

typedef struct kn_proxy_transport {
    kn_transport base;
    kn_proxy_network *network;
    kn_transport *inner; /**< NULL: could not be opened */
    kn_proxy_shake shake;
    size_t sent; /**< of shake.out */
    kb_buf in;   /**< what the proxy said, and what came behind it */
    size_t used; /**< of these                                     */
    int64_t started_us;
    bool is_connected; /**< inner is open         */
    bool is_open;      /**< the handshake is done */
    kn_timer timer;
    kn_task task; /**< reports what `in` holds */
} kn_proxy_transport;

/* ---- the handshake */

static void finish(kn_proxy_transport *proxy)
{
    kn_timer_stop(proxy->network->loop, &proxy->timer);
    kn_proxy_shake_cleanup(&proxy->shake);
}

static void failed(kn_proxy_transport *proxy, const kc_error *error)
{
    finish(proxy);
    proxy->base.on_event(proxy->base.user, KN_EVENT_FAILED, error);
}

/** What of `in` was not used is for the reader, as soon as it can be. */
static void keep_rest(kn_proxy_transport *proxy)
{
    if (proxy->used < proxy->in.len) {
        kn_task_queue(proxy->network->loop, &proxy->task);
        return;
    }
    kn_task_cancel(&proxy->task);
    kb_buf_cleanup(&proxy->in);
    proxy->used = 0;
}

static void opened(kn_proxy_transport *proxy)
{
    finish(proxy);
    proxy->is_open = true;
    keep_rest(proxy);
    proxy->base.on_event(proxy->base.user, KN_EVENT_OPEN, NULL);
}

/** KC_OK: nothing is left to send; KC_ERR_AGAIN: blocked. */
static kc_err send_out(kn_proxy_transport *proxy, kc_error *err)
{
    kb_buf *out = &proxy->shake.out;
    if (out->len == 0)
        return KC_OK;
    const struct iovec piece = {out->data + proxy->sent, out->len - proxy->sent};
    size_t len = 0;
    kc_err code = kn_transport_write(proxy->inner, &piece, 1, &len, err);
    if (code != KC_OK && code != KC_ERR_AGAIN)
        return code;
    proxy->sent += len;
    bool is_blocked = proxy->sent < out->len;
    kn_transport_want(proxy->inner, is_blocked ? KN_EVENT_WRITE : 0);
    if (is_blocked)
        return KC_ERR_AGAIN;
    kb_buf_reset(out);
    proxy->sent = 0;
    return KC_OK;
}

/** KC_OK: more has come. */
static kc_err receive(kn_proxy_transport *proxy, kc_error *err)
{
    kb_buf *in = &proxy->in;
    size_t len = 0, room = KN_PROXY_ANSWER_BYTES_MAX - in->len;
    uint8_t *into = kb_buf_reserve(in, room);
    assert(room > 0);
    if (!into)
        return kb_error_code(err, in->err);
    KB_TRY(kn_transport_read(proxy->inner, into, room, &len, err));
    in->len += len;
    return KC_OK;
}

static kc_err take_in(kn_proxy_transport *proxy, kc_error *err)
{
    kc_bytes in = kb_buf_bytes(&proxy->in);
    size_t used = 0;
    kc_err code = kn_proxy_step(&proxy->shake, kc_span(in.ptr + proxy->used, in.len - proxy->used),
                                &used, err);
    proxy->used += used;
    if (code == KC_OK && proxy->shake.out.len > 0)
        return kn_proxy_fail(err, KC_ERR_CONNECT, 0, "it answered before it had heard us out");
    return code;
}

/** Who has answered before is a proxy of this kind. */
static const char *hint_of(const kn_proxy_transport *proxy)
{
    if (proxy->shake.taken > 0)
        return "can it reach the broker by this name?";
    return proxy->network->url.protocol == &kn_proxy_http ? "is it an HTTP proxy? see proxy.url"
                                                          : "is it a SOCKS5 proxy? see proxy.url";
}

/** An end, or a stream that broke, in the place of an answer. */
static void explain_end(const kn_proxy_transport *proxy, kc_err code, kc_error *err)
{
    char cause[80] = "";
    int os_errno = code == KC_ERR_END ? 0 : err->os_errno;
    if (code != KC_ERR_END)
        snprintf(cause, sizeof cause, " (%.60s)", err->text);
    kn_proxy_fail(err, KC_ERR_CONNECT, 0, "it closed the connection in answer to %s%s; %s",
                  proxy->shake.waits_for, cause, hint_of(proxy));
    err->os_errno = os_errno;
}

static void shake_hands(kn_proxy_transport *proxy)
{
    kc_error error;
    kc_err sent, received, code;
    do {
        sent = send_out(proxy, &error);
        received = receive(proxy, &error); // sent or not: it may say why
        code = received == KC_OK ? take_in(proxy, &error) : received;
    } while (received == KC_OK && code == KC_ERR_AGAIN);
    if (code == KC_ERR_AGAIN && sent != KC_OK)
        code = sent;
    if (code == KC_ERR_END || code == KC_ERR_DISCONNECTED)
        explain_end(proxy, code, &error);
    if (code == KC_OK)
        opened(proxy);
    else if (code != KC_ERR_AGAIN)
        failed(proxy, &error);
}

static void on_timer(kn_timer *timer)
{
    kn_proxy_transport *proxy = timer->user;
    kc_error error;
    if (!proxy->is_connected) // the caller knows what to say
        return;
    int64_t waited_us = kn_loop_now_us(proxy->network->loop) - proxy->started_us;
    kn_proxy_fail(&error, KC_ERR_CONNECT, 0, "no answer to %s after %lld ms; %s",
                  proxy->shake.waits_for, (long long)((waited_us + 500) / 1000), hint_of(proxy));
    failed(proxy, &error);
}

static void on_event(void *user, unsigned events, const kc_error *error)
{
    kn_proxy_transport *proxy = user;
    if (events & KN_EVENT_FAILED) {
        failed(proxy, error);
        return;
    }
    if (events & KN_EVENT_OPEN)
        proxy->is_connected = true;
    if (proxy->is_open)
        proxy->base.on_event(proxy->base.user, events, NULL);
    else
        shake_hands(proxy);
}

/* ---- the stream */

static void on_task(kn_task *task)
{
    kn_proxy_transport *proxy = task->user;
    proxy->base.on_event(proxy->base.user, KN_EVENT_READ, NULL);
}

/** What came behind the proxy's last word. */
static size_t read_rest(kn_proxy_transport *proxy, void *into, size_t len)
{
    size_t rest = proxy->in.len - proxy->used;
    if (len > rest)
        len = rest;
    memcpy(into, proxy->in.data + proxy->used, len);
    proxy->used += len;
    keep_rest(proxy);
    return len;
}

static kc_err proxy_read(kn_transport *transport, void *into, size_t len, size_t *len_out,
                         kc_error *err)
{
    kn_proxy_transport *proxy = (kn_proxy_transport *)transport;
    assert(proxy->is_open);
    if (proxy->used == proxy->in.len)
        return kn_transport_read(proxy->inner, into, len, len_out, err);
    *len_out = read_rest(proxy, into, len);
    return KC_OK;
}

static kc_err proxy_write(kn_transport *transport, const struct iovec *iov, int count,
                          size_t *len_out, kc_error *err)
{
    kn_proxy_transport *proxy = (kn_proxy_transport *)transport;
    assert(proxy->is_open);
    return kn_transport_write(proxy->inner, iov, count, len_out, err);
}

static void proxy_want(kn_transport *transport, unsigned events)
{
    const kn_proxy_transport *proxy = (const kn_proxy_transport *)transport;
    if (proxy->is_open)
        kn_transport_want(proxy->inner, events);
}

static void proxy_close(kn_transport *transport)
{
    kn_proxy_transport *proxy = (kn_proxy_transport *)transport;
    kn_proxy_network *network = proxy->network;
    finish(proxy);
    kn_task_cancel(&proxy->task);
    if (proxy->inner)
        kn_transport_close(proxy->inner);
    kb_buf_cleanup(&proxy->in);
    kb_mem_free(network->mem, proxy);
    network->open--;
}

/* ---- the network */

static kc_err open_inner(kn_proxy_transport *proxy, const kn_open_options *options, kc_error *err)
{
    kn_proxy_network *network = proxy->network;
    kn_open_options inner = *options;
    inner.on_event = on_event;
    inner.user = proxy;
    KB_TRY(kn_proxy_shake_init(&proxy->shake, network->mem, &network->url, options->host,
                               options->port, err));
    KB_TRY(kn_network_open(network->inner, &inner, &proxy->inner, err));
    if (options->deadline_us == 0)
        return KC_OK;
    return kn_timer_set(network->loop, &proxy->timer, options->deadline_us);
}

static kc_err proxy_open(kn_network *base, const kn_open_options *options,
                         kn_transport **transport_out, kc_error *err)
{
    static const kn_transport_ops ops = {proxy_read, proxy_write, proxy_want, proxy_close};
    kn_proxy_network *network = (kn_proxy_network *)base;
    kn_proxy_transport *proxy = kb_mem_zalloc(network->mem, sizeof *proxy);
    if (!proxy)
        return kb_error_code(err, KC_ERR_NOMEM);
    network->open++;
    proxy->base = (kn_transport){&ops, options->on_event, options->user};
    proxy->network = network;
    proxy->started_us = kn_loop_now_us(network->loop);
    proxy->timer = (kn_timer){.fn = on_timer, .user = proxy};
    proxy->task = (kn_task){.fn = on_task, .user = proxy};
    kb_buf_init(&proxy->in, network->mem, KN_PROXY_ANSWER_BYTES_MAX);
    kc_err code = open_inner(proxy, options, err);
    if (code != KC_OK) {
        proxy_close(&proxy->base);
        return code;
    }
    *transport_out = &proxy->base;
    return KC_OK;
}

static void proxy_resolve(kn_network *base, kn_lookup *lookup)
{
    const kn_proxy_network *network = (const kn_proxy_network *)base;
    lookup->host = kc_str(network->url.host);
    lookup->port = network->url.port;
    kn_network_resolve(network->inner, lookup);
}

static void proxy_cancel(kn_network *base, kn_lookup *lookup)
{
    kn_network_cancel(((kn_proxy_network *)base)->inner, lookup);
}

static void proxy_name(kn_network *base, kn_naming *naming)
{
    kn_network_name(((kn_proxy_network *)base)->inner, naming);
}

static void proxy_cancel_name(kn_network *base, kn_naming *naming)
{
    kn_network_cancel_name(((kn_proxy_network *)base)->inner, naming);
}

static void proxy_free(kn_network *base)
{
    kn_proxy_network *network = (kn_proxy_network *)base;
    assert(network->open == 0);
    kn_proxy_url_cleanup(&network->url);
    kb_mem_free(network->mem, network);
}

kc_err kn_proxy_network_new(kb_mem *mem, kn_loop *loop, kn_network *inner, kc_bytes url,
                            kn_network **network_out, kc_error *err)
{
    static const kn_network_ops ops = {
        proxy_resolve, proxy_cancel, proxy_name, proxy_cancel_name, proxy_open, proxy_free,
    };
    assert(mem && loop && inner && network_out);
    kn_proxy_network *network = kb_mem_zalloc(mem, sizeof *network);
    if (!network)
        return kb_error_code(err, KC_ERR_NOMEM);
    kc_err code = kn_proxy_url_parse(mem, url, &network->url, err);
    if (code != KC_OK) {
        kb_mem_free(mem, network);
        return code;
    }
    network->base = (kn_network){.ops = &ops, .via = network->via};
    network->mem = mem;
    network->loop = loop;
    network->inner = inner;
    snprintf(network->via, sizeof network->via,
             strchr(network->url.host, ':') ? "proxy [%s]:%u" : "proxy %s:%u", network->url.host,
             (unsigned)network->url.port);
    *network_out = &network->base;
    return KC_OK;
}
