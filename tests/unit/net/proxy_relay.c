/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A proxy in memory. It is told what it needs in whole messages or in pieces, and says no more than it must. */
#include "tests/unit/net/proxy_relay.h"

#include "protocol/base/text.h"

#include <check.h>
#include <stdio.h>

typedef enum stage {
    FIRST,
    SECRET,
    REQUEST,
    OPENING,
    RELAYING
} stage;

/** One client, and its connection onwards. */
typedef struct tunnel {
    kb_list node;
    proxy_relay *relay;
    kn_mem_peer *peer;  /**< NULL: gone */
    kn_transport *onto; /**< NULL: none */
    kn_lookup lookup;
    char host[256];
    stage stage;
    bool is_http;
} tunnel;

static void say(tunnel *t, const void *ptr, size_t len)
{
    if (t->peer)
        ck_assert_int_eq(kn_mem_peer_write(t->peer, kc_span(ptr, len)), KC_OK);
}

static void hang_up(tunnel *t)
{
    kn_mem_peer *peer = t->peer;
    t->peer = NULL;
    if (peer)
        kn_mem_peer_close(peer);
}

static void tunnel_free(tunnel *t)
{
    t->relay->tunnels -= t->stage == RELAYING;
    kn_network_cancel(kn_mem_network_base(t->relay->network), &t->lookup);
    if (t->onto)
        kn_transport_close(t->onto);
    kb_list_remove(&t->node);
    kb_mem_free(&t->relay->mem, t);
}

/* ---- onwards */

static void answer(tunnel *t, bool is_good)
{
    if (t->is_http) {
        const char *text =
            is_good ? "HTTP/1.1 200 Go\r\n\r\n" : "HTTP/1.1 502 Nobody there\r\n\r\n";
        say(t, text, strlen(text));
    } else {
        say(t, is_good ? "\5\0\0\1\0\0\0\0\0\0" : "\5\5\0\1\0\0\0\0\0\0", 10);
    }
    if (!is_good)
        hang_up(t);
}

static void send_on(tunnel *t)
{
    while (t->peer && t->onto) {
        kc_bytes in = kn_mem_peer_in(t->peer);
        struct iovec piece = {(void *)in.ptr, in.len};
        size_t len = 0;
        kc_error error;
        if (in.len == 0 || kn_transport_write(t->onto, &piece, 1, &len, &error) != KC_OK)
            return;
        kn_mem_peer_take(t->peer, len);
    }
}

static void send_back(tunnel *t)
{
    uint8_t bytes[4096];
    size_t len;
    kc_error error;
    kc_err code;
    while ((code = kn_transport_read(t->onto, bytes, sizeof bytes, &len, &error)) == KC_OK)
        say(t, bytes, len);
    if (code == KC_ERR_AGAIN)
        return;
    hang_up(t);
    tunnel_free(t);
}

static void on_onto(void *user, unsigned events, const kc_error *error)
{
    tunnel *t = user;
    (void)error;
    if (events & KN_EVENT_FAILED) {
        answer(t, false);
        tunnel_free(t);
        return;
    }
    if (events & KN_EVENT_OPEN) {
        t->stage = RELAYING;
        t->relay->tunnels++;
        answer(t, true);
        send_on(t);
    }
    if (events & KN_EVENT_READ)
        send_back(t);
}

static void on_found(kn_lookup *lookup)
{
    tunnel *t = lookup->user;
    kc_error error;
    if (lookup->err == KC_OK) {
        kn_open_options options = {.address = lookup->addresses[0], .on_event = on_onto, .user = t};
        ck_assert_int_eq(
            kn_network_open(kn_mem_network_base(t->relay->network), &options, &t->onto, &error),
            KC_OK);
        return;
    }
    answer(t, false);
    tunnel_free(t);
}

static void open_to(tunnel *t, kc_bytes host, uint16_t port)
{
    proxy_relay *relay = t->relay;
    snprintf(relay->target, sizeof relay->target, KC_FMT ":%u", KC_ARG(host), (unsigned)port);
    relay->asked++;
    if (relay->names) {
        const char *equals = strchr(relay->names, '=');
        if (kc_bytes_equal(host, kc_span(relay->names, (size_t)(equals - relay->names))))
            host = kc_str(equals + 1);
    }
    snprintf(t->host, sizeof t->host, KC_FMT, KC_ARG(host));
    t->stage = OPENING;
    t->lookup.host = kc_str(t->host);
    t->lookup.port = port;
    t->lookup.done = on_found;
    t->lookup.user = t;
    kn_network_resolve(kn_mem_network_base(relay->network), &t->lookup);
}

/* ---- the handshakes; each takes one message, false: it is not whole */

static bool take(tunnel *t, size_t len)
{
    if (kn_mem_peer_in(t->peer).len < len)
        return false;
    kn_mem_peer_take(t->peer, len);
    return true;
}

static bool socks_first(tunnel *t, kc_bytes in)
{
    bool has_secret = t->relay->secret != NULL;
    if (in.len < 2 || in.len < 2 + (size_t)in.ptr[1])
        return false;
    bool is_offered = memchr(in.ptr + 2, has_secret ? 2 : 0, in.ptr[1]) != NULL;
    take(t, 2 + (size_t)in.ptr[1]);
    t->stage = has_secret ? SECRET : REQUEST;
    say(t, !is_offered ? "\5\xff" : has_secret ? "\5\2" : "\5\0", 2);
    if (!is_offered)
        hang_up(t);
    return is_offered;
}

static bool socks_secret(tunnel *t, kc_bytes in)
{
    char told[520];
    if (in.len < 2 || in.len < 3 + (size_t)in.ptr[1] ||
        in.len < 3 + (size_t)in.ptr[1] + in.ptr[2 + in.ptr[1]])
        return false;
    size_t user = in.ptr[1], password = in.ptr[2 + user];
    snprintf(told, sizeof told, "%.*s:%.*s", (int)user, (const char *)in.ptr + 2, (int)password,
             (const char *)in.ptr + 3 + user);
    bool is_right = strcmp(told, t->relay->secret) == 0;
    take(t, 3 + user + password);
    t->stage = REQUEST;
    say(t, is_right ? "\1\0" : "\1\1", 2);
    if (!is_right)
        hang_up(t);
    return is_right;
}

static bool socks_request(tunnel *t, kc_bytes in)
{
    size_t name_len = in.len > 4 ? in.ptr[4] : 0;
    if (in.len < 5 || in.len < 7 + name_len)
        return false;
    ck_assert_int_eq(in.ptr[3], 3); /* literals are for test_proxy_shake.c */
    uint16_t port = (uint16_t)(in.ptr[5 + name_len] << 8 | in.ptr[6 + name_len]);
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)name_len, (const char *)in.ptr + 5);
    take(t, 7 + name_len);
    open_to(t, kc_str(name), port);
    return true;
}

static bool http_request(tunnel *t, kc_bytes in)
{
    char head[2048], host[256], expected[256] = "";
    unsigned port;
    snprintf(head, sizeof head, KC_FMT, KC_ARG(in));
    char *end = strstr(head, "\r\n\r\n");
    if (!end)
        return false;
    end[2] = 0;
    ck_assert_int_eq(sscanf(head, "CONNECT %255[^:]:%u HTTP/1.1", host, &port), 2);
    if (t->relay->secret) {
        kb_buf text;
        kb_buf_init(&text, &t->relay->mem, 0);
        kb_base64_put(&text, kc_str(t->relay->secret));
        snprintf(expected, sizeof expected, "Proxy-Authorization: Basic " KC_FMT "\r\n",
                 KC_ARG(kb_buf_bytes(&text)));
        kb_buf_cleanup(&text);
    }
    take(t, (size_t)(end - head) + 4);
    if (strstr(head, expected)) {
        open_to(t, kc_str(host), (uint16_t)port);
        return true;
    }
    static const char refusal[] = "HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n";
    say(t, refusal, sizeof refusal - 1);
    hang_up(t);
    return false;
}

static bool step(tunnel *t)
{
    kc_bytes in = kn_mem_peer_in(t->peer);
    if (t->stage == FIRST && in.len > 0)
        t->is_http = in.ptr[0] == 'C';
    if (t->stage >= OPENING)
        return false;
    if (t->is_http)
        return http_request(t, in);
    return t->stage == FIRST    ? socks_first(t, in)
           : t->stage == SECRET ? socks_secret(t, in)
                                : socks_request(t, in);
}

/* ---- as a server */

static void on_accept(void *user, kn_mem_peer *peer)
{
    proxy_relay *relay = user;
    tunnel *t = kb_mem_zalloc(&relay->mem, sizeof *t);
    ck_assert_ptr_nonnull(t);
    t->relay = relay;
    t->peer = peer;
    kn_mem_peer_set_user(peer, t);
    kb_list_push_back(&relay->list, &t->node);
}

static void on_data(void *user, kn_mem_peer *peer)
{
    tunnel *t = kn_mem_peer_user(peer);
    (void)user;
    while (t->peer && step(t))
        continue;
    if (!t->peer)
        tunnel_free(t);
    else if (t->stage == RELAYING)
        send_on(t);
}

static void on_close(void *user, kn_mem_peer *peer)
{
    (void)user;
    tunnel_free(kn_mem_peer_user(peer));
}

void proxy_relay_init(proxy_relay *relay, kn_loop *loop, kn_mem_network *network, const char *host,
                      uint16_t port)
{
    static const kn_mem_server server = {on_accept, on_data, on_close};
    memset(relay, 0, sizeof *relay);
    kb_mem_init(&relay->mem, NULL, 0);
    relay->loop = loop;
    relay->network = network;
    kb_list_init(&relay->list);
    ck_assert_int_eq(kn_mem_listen(network, host, port, &server, relay), KC_OK);
}

void proxy_relay_cleanup(proxy_relay *relay)
{
    KB_LIST_FOR (node, &relay->list) {
        tunnel *t = KB_CONTAINER(node, tunnel, node);
        hang_up(t);
        tunnel_free(t);
    }
    ck_assert_uint_eq(relay->mem.used, 0);
}
