/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One stream through a proxy: the answers split and cut at every byte, glued bytes, silence; and what a connection says
 * when a proxy fails. */
#include "net/proxy_core.h"
#include "protocol/base/error.h"
#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/net/proxy_relay.h"
#include "tests/unit/net/rig.h"

#include <stdio.h>

/** Bytes of a literal, zeros too. */
#define B(text)    kc_span(text, sizeof(text) - 1)
#define PROXY_IP   "10.8.8.8"
#define PROXY_PORT 1080

/* ---- a proxy that follows a script, and a client that notes what it is told */

/** What the proxy says when it has got so many bytes. */
typedef struct line {
    size_t need;
    kc_bytes answer;
} line;

typedef struct script {
    const char *url;
    line lines[4];
} script;

/** With user and password; both leave the stream open. */
static script scripts[2];

typedef struct world {
    kb_mem own, mem;
    kn_loop *loop;
    kn_mem_network *wire;
    kn_network *network;
    const script *script;

    /* the proxy */
    size_t split_at; /**< what is behind this byte comes 1 ms later; 0: all     */
    size_t cut_at;   /**< the connection ends behind this byte; SIZE_MAX: never */
    bool is_reset;   /**< ... by a reset                                        */
    bool echoes;     /**< behind the script                                     */
    kc_bytes glued;  /**< comes with the last line                              */
    bool is_deaf;    /**< takes nothing, and says `glued` at once               */
    kn_mem_peer *peer;
    kb_buf heard, later;
    kn_timer timer;
    size_t next, said;

    /* the client */
    kn_transport *transport;
    int opened, failed, ended, broken, reads;
    kc_error error;
    kb_buf got;
    size_t read_max; /**< bytes taken per event; 0: all there are */
} world;

static world w;

static void fill_scripts(void)
{
    scripts[0] = (script){"socks5://alice:hush@" PROXY_IP,
                          {{4, B("\5\2")},
                           {4 + 12, B("\1\0")},
                           {4 + 12 + 9, B("\5\0\0\3\4here\0\1")},
                           {SIZE_MAX, KC_NULL}}};
    scripts[1] = (script){"http://alice:hush@" PROXY_IP ":1080",
                          {{88, B("HTTP/1.1 200 Go\r\nVia: here\r\n\r\n")}, {SIZE_MAX, KC_NULL}}};
}

static size_t script_bytes(const script *s)
{
    size_t total = 0;
    for (const line *l = s->lines; l->need != SIZE_MAX; l++)
        total += l->answer.len;
    return total;
}

static void put(kc_bytes bytes)
{
    if (!w.peer)
        return;
    bool is_cut = w.cut_at - w.said <= bytes.len;
    if (is_cut)
        bytes.len = w.cut_at - w.said;
    w.said += bytes.len;
    ck_assert_int_eq(kn_mem_peer_write(w.peer, bytes), KC_OK);
    if (!is_cut)
        return;
    kn_mem_peer *peer = w.peer;
    w.peer = NULL;
    if (w.is_reset)
        kn_mem_peer_reset(peer);
    else
        kn_mem_peer_close(peer);
}

static void on_later(kn_timer *timer)
{
    (void)timer;
    put(kb_buf_bytes(&w.later));
    kb_buf_reset(&w.later);
}

static void say(kc_bytes bytes)
{
    size_t now = bytes.len;
    if (w.split_at > w.said && w.split_at - w.said < bytes.len)
        now = w.split_at - w.said;
    if (w.later.len > 0)
        now = 0;
    kb_buf_put(&w.later, bytes.ptr + now, bytes.len - now);
    if (now > 0)
        put(kc_span(bytes.ptr, now));
    if (w.later.len > 0)
        ck_assert_int_eq(kn_timer_set(w.loop, &w.timer, kn_loop_now_us(w.loop) + 1000), KC_OK);
}

static void on_accept(void *user, kn_mem_peer *peer)
{
    (void)user;
    w.peer = peer;
    w.next = w.said = 0;
    kb_buf_reset(&w.heard);
    if (w.is_deaf)
        put(w.glued);
}

static void on_data(void *user, kn_mem_peer *peer)
{
    (void)user;
    if (w.is_deaf)
        return;
    size_t before = w.heard.len;
    kc_bytes in = kn_mem_peer_in(peer);
    kb_buf_put_bytes(&w.heard, in);
    kn_mem_peer_take(peer, in.len);
    const line *lines = w.script->lines;
    if (lines[w.next].need == SIZE_MAX && w.echoes)
        say(kc_span(w.heard.data + before, w.heard.len - before));
    kb_buf all;
    kb_buf_init(&all, &w.own, 0);
    for (; w.peer && w.heard.len >= lines[w.next].need; w.next++)
        kb_buf_put_bytes(&all, lines[w.next].answer);
    if (all.len > 0 && lines[w.next].need == SIZE_MAX)
        kb_buf_put_bytes(&all, w.glued);
    if (all.len > 0)
        say(kb_buf_bytes(&all));
    kb_buf_cleanup(&all);
}

static void on_close(void *user, kn_mem_peer *peer)
{
    (void)user;
    if (w.peer == peer)
        w.peer = NULL;
}

static void client_close(void)
{
    if (w.transport)
        kn_transport_close(w.transport);
    w.transport = NULL;
}

static void read_all(void)
{
    uint8_t bytes[4096];
    size_t len, max = w.read_max ? w.read_max : sizeof bytes;
    kc_err code;
    w.reads++;
    do {
        len = 0;
        code = kn_transport_read(w.transport, bytes, max, &len, &w.error);
        kb_buf_put(&w.got, bytes, len);
    } while (code == KC_OK && w.read_max == 0);
    w.ended += code == KC_ERR_END;
    w.broken += code != KC_OK && code != KC_ERR_AGAIN && code != KC_ERR_END;
    if (w.ended || w.broken)
        client_close();
}

static void on_event(void *user, unsigned events, const kc_error *error)
{
    (void)user;
    ck_assert_int_eq(w.failed, 0);
    if (events & KN_EVENT_FAILED) {
        w.failed++;
        w.error = *error;
        client_close();
        return;
    }
    w.opened += (events & KN_EVENT_OPEN) != 0;
    ck_assert_int_eq(w.opened, 1);
    if (events & KN_EVENT_READ)
        read_all();
}

static kc_err world_try(const script *s, const kc_alloc *alloc)
{
    static const kn_mem_server server = {on_accept, on_data, on_close};
    memset(&w, 0, sizeof w);
    kb_mem_init(&w.own, NULL, 0);
    kb_mem_init(&w.mem, alloc, 0);
    ck_assert_int_eq(kn_loop_new_virtual(&w.own, 1000000, 0, &w.loop), KC_OK);
    ck_assert_int_eq(kn_mem_network_new(&w.own, w.loop, NULL, &w.wire), KC_OK);
    ck_assert_int_eq(kn_mem_listen(w.wire, PROXY_IP, PROXY_PORT, &server, NULL), KC_OK);
    kb_buf_init(&w.heard, &w.own, 0);
    kb_buf_init(&w.later, &w.own, 0);
    kb_buf_init(&w.got, &w.own, 0);
    w.timer = (kn_timer){.fn = on_later};
    w.cut_at = SIZE_MAX;
    w.script = s;
    return kn_proxy_network_new(&w.mem, w.loop, kn_mem_network_base(w.wire), kc_str(s->url),
                                &w.network, &w.error);
}

static void begin(const script *s)
{
    ck_assert_int_eq(world_try(s, NULL), KC_OK);
}

static void run(int64_t ms)
{
    int64_t until_us = kn_loop_now_us(w.loop) + ms * 1000;
    while (kn_loop_advance(w.loop, until_us))
        continue;
}

static void client_open(void)
{
    kn_open_options options = {.host = KC_STR("b1"),
                               .port = 9092,
                               .deadline_us = kn_loop_now_us(w.loop) + 10000000,
                               .send_buffer_bytes = -1,
                               .receive_buffer_bytes = -1,
                               .on_event = on_event};
    w.opened = w.failed = w.ended = w.broken = w.reads = 0;
    kb_buf_reset(&w.got);
    ck_assert(kn_address_parse(KC_STR(PROXY_IP), PROXY_PORT, &options.address));
    if (kn_network_open(w.network, &options, &w.transport, &w.error) != KC_OK)
        w.failed = 1;
}

static void end(void)
{
    client_close();
    run(1);
    kn_network_free(w.network);
    ck_assert_uint_eq(w.mem.used, 0);
    kn_timer_stop(w.loop, &w.timer);
    kn_network_free(kn_mem_network_base(w.wire));
    kn_loop_free(w.loop);
    kb_buf_cleanup(&w.heard);
    kb_buf_cleanup(&w.later);
    kb_buf_cleanup(&w.got);
    ck_assert_uint_eq(w.own.used, 0);
}

static void check_failed(const char *part)
{
    ck_assert_int_eq(w.opened, 0);
    ck_assert_int_eq(w.failed, 1);
    ck_assert_int_eq(w.error.code, KC_ERR_CONNECT);
    ck_assert_int_eq(w.error.phase, KC_PHASE_PROXY);
    ck_assert_msg(strstr(w.error.text, part) != NULL, "\"%s\" lacks \"%s\"", w.error.text, part);
}

static void send_bytes(kc_bytes bytes)
{
    const struct iovec pieces[] = {{(void *)bytes.ptr, 2},
                                   {(void *)(bytes.ptr + 2), bytes.len - 2}};
    size_t len = 0;
    ck_assert_int_eq(kn_transport_write(w.transport, pieces, 2, &len, &w.error), KC_OK);
    ck_assert_uint_eq(len, bytes.len);
}

/* ---- the stream */

START_TEST(bytes_flow_both_ways)
{
    fill_scripts();
    for (size_t i = 0; i < 2; i++) {
        begin(&scripts[i]);
        w.echoes = true;
        client_open();
        run(1);
        ck_assert_msg(w.opened == 1, "%s", w.error.text);
        send_bytes(B("hello"));
        run(1);
        ck_assert(kc_bytes_equal(kb_buf_bytes(&w.got), KC_STR("hello")));
        end();
    }
}
END_TEST

START_TEST(the_answers_may_be_split_anywhere_and_glued_bytes_are_kept)
{
    fill_scripts();
    for (size_t i = 0; i < 2; i++) {
        size_t total = script_bytes(&scripts[i]) + 5;
        for (size_t at = 0; at < total; at++) {
            begin(&scripts[i]);
            w.glued = KC_STR("hello");
            w.split_at = at;
            client_open();
            run(10);
            ck_assert_msg(w.opened == 1, "%s", w.error.text);
            ck_assert(kc_bytes_equal(kb_buf_bytes(&w.got), KC_STR("hello")));
            end();
        }
    }
}
END_TEST

START_TEST(bytes_may_come_and_go_one_by_one)
{
    fill_scripts();
    for (size_t i = 0; i < 2; i++) {
        begin(&scripts[i]);
        kn_mem_network_shape(w.wire)->read_max = 1;
        kn_mem_network_shape(w.wire)->write_max = 1;
        kn_mem_network_shape(w.wire)->latency_us = 100;
        w.glued = KC_STR("hello");
        client_open();
        run(1000);
        ck_assert_msg(w.opened == 1, "%s", w.error.text);
        ck_assert(kc_bytes_equal(kb_buf_bytes(&w.got), KC_STR("hello")));
        end();
    }
}
END_TEST

START_TEST(an_end_anywhere_in_the_handshake_is_a_failed_connection)
{
    fill_scripts();
    for (size_t i = 0; i < 4; i++) {
        size_t total = script_bytes(&scripts[i % 2]);
        for (size_t at = 0; at < total; at++) {
            begin(&scripts[i % 2]);
            w.cut_at = at;
            w.is_reset = i >= 2;
            client_open();
            run(10);
            check_failed("it closed the connection in answer to ");
            ck_assert_ptr_nonnull(
                strstr(w.error.text, w.is_reset ? " (Connection reset by peer); " : "; "));
            end();
        }
    }
}
END_TEST

START_TEST(much_behind_the_answer_is_reported_without_the_socket)
{
    static uint8_t glued[5000];
    static const size_t steps[] = {1, 999, 4096};
    fill_scripts();
    for (size_t i = 0; i < sizeof glued; i++)
        glued[i] = rig_byte(i);
    for (size_t i = 0; i < 2; i++)
        for (size_t step = 0; step < 3; step++) {
            begin(&scripts[i]);
            w.glued = kc_span(glued, sizeof glued);
            w.read_max = steps[step];
            client_open();
            run(10);
            ck_assert_uint_eq(w.got.len, sizeof glued);
            ck_assert_mem_eq(w.got.data, glued, sizeof glued);
            int reads = w.reads;
            run(1000);
            ck_assert_int_eq(w.reads, reads); /* and it does not spin */
            end();
        }
}
END_TEST

START_TEST(the_end_behind_glued_bytes_is_told_after_them)
{
    fill_scripts();
    for (size_t i = 0; i < 2; i++) {
        begin(&scripts[i]);
        w.glued = KC_STR("hello");
        w.cut_at = script_bytes(&scripts[i]) + 5;
        client_open();
        run(10);
        ck_assert_int_eq(w.opened, 1);
        ck_assert_int_eq(w.ended, 1);
        ck_assert_uint_eq(w.got.len, 5);
        end();
    }
}
END_TEST

START_TEST(silence_is_told_before_the_caller_gives_up)
{
    script silent = {"socks5://" PROXY_IP, {{SIZE_MAX, KC_NULL}}};
    begin(&silent);
    client_open();
    run(9999);
    ck_assert_int_eq(w.failed, 0);
    run(2);
    check_failed("no answer to the greeting after 10000 ms; is it a SOCKS5 proxy? see proxy.url");
    end();
    silent.url = "http://" PROXY_IP ":1080";
    begin(&silent);
    client_open();
    run(10000);
    check_failed("no answer to CONNECT after 10000 ms; is it an HTTP proxy?");
    end();
    script half = {"socks5://" PROXY_IP, {{3, B("\5\0")}, {SIZE_MAX, KC_NULL}}};
    begin(&half);
    client_open();
    run(10000);
    check_failed("no answer to the request to connect after 10000 ms; can it reach the broker");
    end();
    begin(&half); /* not connected at all: the caller says it */
    kn_mem_pause(w.wire, PROXY_IP, PROXY_PORT, true);
    client_open();
    run(20000);
    ck_assert_int_eq(w.failed, 0);
    end();
}
END_TEST

START_TEST(a_closed_port_is_told_as_without_a_proxy)
{
    fill_scripts();
    begin(&scripts[0]);
    kn_mem_unlisten(w.wire, PROXY_IP, PROXY_PORT);
    client_open();
    run(10);
    ck_assert_int_eq(w.failed, 1);
    ck_assert_int_eq(w.error.code, KC_ERR_CONNECT);
    ck_assert_int_eq(w.error.phase, KC_PHASE_CONNECT);
    end();
}
END_TEST

START_TEST(a_name_not_for_proxies_fails_at_once)
{
    fill_scripts();
    begin(&scripts[1]);
    kn_open_options options = {.host = KC_STR("b1\r\nX: y"), .port = 9092, .on_event = on_event};
    ck_assert_int_eq(kn_network_open(w.network, &options, &w.transport, &w.error), KC_ERR_CONNECT);
    ck_assert_int_eq(w.error.phase, KC_PHASE_PROXY);
    ck_assert_uint_eq(kn_mem_network_connects(w.wire), 0);
    end();
}
END_TEST

START_TEST(a_proxy_that_talks_and_does_not_listen_makes_nothing_spin)
{
    fill_scripts();
    begin(&scripts[1]);
    w.is_deaf = true;
    w.glued = B("HTTP/1.1 200 Go\r\nA: b");
    kn_mem_network_shape(w.wire)->window_bytes = 10;
    client_open();
    run(10); /* of virtual time: a loop that spins never comes back */
    ck_assert_int_eq(w.opened + w.failed, 0);
    run(10000);
    check_failed("no answer to CONNECT");
    end();
}
END_TEST

START_TEST(a_proxy_that_agrees_before_it_was_asked_is_not_trusted)
{
    fill_scripts();
    begin(&scripts[1]);
    w.is_deaf = true;
    w.glued = B("HTTP/1.1 200 Go\r\n\r\n");
    kn_mem_network_shape(w.wire)->window_bytes = 10;
    client_open();
    run(10);
    check_failed("it answered before it had heard us out");
    end();
}
END_TEST

START_TEST(a_refusal_is_read_though_the_proxy_has_hung_up)
{
    fill_scripts();
    begin(&scripts[1]);
    w.is_deaf = true;
    w.glued = B("HTTP/1.1 403 Not from here\r\n\r\n");
    w.cut_at = w.glued.len;
    client_open();
    run(10);
    check_failed("it answers \"HTTP/1.1 403 Not from here\"");
    end();
}
END_TEST

START_TEST(closing_in_the_middle_leaves_nothing)
{
    fill_scripts();
    for (size_t i = 0; i < 2; i++)
        for (int64_t us = 0; us < 1000; us += 50) {
            begin(&scripts[i]);
            kn_mem_network_shape(w.wire)->latency_us = 100;
            w.glued = KC_STR("hello");
            client_open();
            while (kn_loop_advance(w.loop, 1000000 + us))
                continue;
            end();
        }
}
END_TEST

static bool scenario(size_t which, const kc_alloc *alloc)
{
    kc_err made = world_try(&scripts[which], alloc);
    if (made == KC_OK) {
        w.glued = KC_STR("hello");
        client_open();
        run(10);
    }
    bool is_good = w.got.len == 5;
    if (!is_good)
        ck_assert_int_eq(w.error.code, KC_ERR_NOMEM);
    end();
    return is_good;
}

static bool scenario_socks(const kc_alloc *alloc)
{
    return scenario(0, alloc);
}

static bool scenario_http(const kc_alloc *alloc)
{
    return scenario(1, alloc);
}

START_TEST(out_of_memory_is_an_error)
{
    fill_scripts();
    size_t failed = fail_each_alloc(scenario_socks);
    ck_assert_uint_ne(failed, SIZE_MAX);
    ck_assert_uint_gt(failed, 5);
    failed = fail_each_alloc(scenario_http);
    ck_assert_uint_ne(failed, SIZE_MAX);
    ck_assert_uint_gt(failed, 5);
}
END_TEST

/* ---- a connection through a proxy */

typedef struct fixture {
    rig r;
    rig_conn c;
    proxy_relay relay;
    kn_network *proxy;
} fixture;

static fixture f;

/** A broker "b1:9092", a relay at "relay:1080", and a connection by way of `url`. */
static void conn_begin(const char *url)
{
    rig_init(&f.r);
    rig_broker_add(&f.r, "b1", 9092);
    proxy_relay_init(&f.relay, f.r.loop, f.r.network, "relay", 1080);
    f.relay.names = "secret-name=b1";
    ck_assert_int_eq(kn_proxy_network_new(&f.r.mem, f.r.loop, kn_mem_network_base(f.r.network),
                                          kc_str(url), &f.proxy, &w.error),
                     KC_OK);
    rig_conn_init(&f.r, &f.c);
    f.c.env.network = f.proxy;
}

static void conn_end(void)
{
    rig_conn_cleanup(&f.c);
    rig_run(&f.r, 1);
    proxy_relay_cleanup(&f.relay);
    kn_network_free(f.proxy);
    rig_cleanup(&f.r);
}

static void conn_fails(const char *url, const char *host, kc_err code, kc_phase phase,
                       const char *text)
{
    conn_begin(url);
    f.relay.secret = "alice:right";
    rig_conn_open(&f.c, host, 9092);
    rig_run(&f.r, 20000);
    const kn_conn *conn = f.c.conn;
    ck_assert_int_eq(conn->state, KN_CONN_CLOSED);
    ck_assert_str_eq(conn->error.text, text);
    ck_assert_int_eq(conn->error.code, code);
    ck_assert_int_eq(conn->error.phase, phase);
    conn_end();
}

START_TEST(a_connection_goes_to_a_name_only_the_proxy_knows)
{
    static const char *const urls[] = {"socks5://relay:1080", "http://relay:1080",
                                       "socks5://alice:right@relay:1080",
                                       "http://alice:right@relay:1080"};
    for (size_t i = 0; i < 4; i++) {
        conn_begin(urls[i]);
        f.relay.secret = i >= 2 ? "alice:right" : NULL;
        rig_conn_ready(&f.c, "secret-name", 9092);
        ck_assert_str_eq(f.relay.target, "secret-name:9092");
        ck_assert_int_eq(f.relay.tunnels, 1);
        rig_call call;
        rig_call_init(&f.r, &call);
        rig_conn_send(&f.c, &call);
        kn_conn_flush(f.c.conn);
        rig_wait(&call);
        ck_assert_int_eq(call.err, KC_OK);
        rig_call_cleanup(&call);
        conn_end();
    }
}
END_TEST

START_TEST(what_fails_at_the_proxy_names_it)
{
    conn_fails("http://nowhere:3128", "b1", KC_ERR_RESOLVE, KC_PHASE_DNS,
               "broker 7 at b1:9092 through proxy nowhere:3128: the proxy's name could not be "
               "resolved: the name is not known; is it right, and DNS?");
    conn_fails("socks5://relay:9", "b1", KC_ERR_CONNECT, KC_PHASE_CONNECT,
               "connect to broker 7 at b1:9092 through proxy relay:9 (10.0.0.2:9): Connection "
               "refused; is the proxy running and proxy.url right?");
    conn_fails("socks5://[fd00::1]:9", "b1", KC_ERR_CONNECT, KC_PHASE_CONNECT,
               "connect to broker 7 at b1:9092 through proxy [fd00::1]:9: Connection refused; is "
               "the proxy running and proxy.url right?");
    conn_fails("socks5://alice:wrong@relay", "b1", KC_ERR_AUTH, KC_PHASE_PROXY,
               "connect to broker 7 at b1:9092 through proxy relay:1080 (10.0.0.2:1080): it "
               "refuses the user and password of proxy.url (SOCKS5 status 1)");
    conn_fails("socks5://relay", "b1", KC_ERR_AUTH, KC_PHASE_PROXY,
               "connect to broker 7 at b1:9092 through proxy relay:1080 (10.0.0.2:1080): it wants "
               "a user and password in proxy.url (it takes nobody without)");
    conn_fails("http://alice:wrong@relay:1080", "b1", KC_ERR_AUTH, KC_PHASE_PROXY,
               "connect to broker 7 at b1:9092 through proxy relay:1080 (10.0.0.2:1080): it "
               "refuses the user and password of proxy.url (HTTP/1.1 407 Who are you)");
    conn_fails("socks5://alice:right@relay", "b2", KC_ERR_CONNECT, KC_PHASE_PROXY,
               "connect to broker 7 at b2:9092 through proxy relay:1080 (10.0.0.2:1080): the "
               "connection was refused (SOCKS5 reply 5); can it reach the broker by this name?");
    conn_fails("http://alice:right@relay:1080", "b2", KC_ERR_CONNECT, KC_PHASE_PROXY,
               "connect to broker 7 at b2:9092 through proxy relay:1080 (10.0.0.2:1080): it "
               "answers \"HTTP/1.1 502 Nobody there\"; does it reach the broker, and allow this "
               "port?");
    conn_fails("socks5://b1:9092", "b1", KC_ERR_CONNECT, KC_PHASE_PROXY,
               "connect to broker 7 at b1:9092 through proxy b1:9092 (10.0.0.1:9092): no answer "
               "to the greeting after 10000 ms; is it a SOCKS5 proxy? see proxy.url");
}
END_TEST

START_TEST(a_proxy_that_can_not_be_reached_in_time_is_named)
{
    conn_begin("socks5://relay");
    kn_mem_pause(f.r.network, "relay", 1080, true);
    rig_conn_open(&f.c, "b1", 9092);
    rig_run(&f.r, 10000);
    ck_assert_str_eq(f.c.conn->error.text,
                     "connect to broker 7 at b1:9092 through proxy relay:1080 (10.0.0.2:1080): no "
                     "answer after 10000 ms; is the proxy running and proxy.url right?");
    conn_end();
}
END_TEST

START_TEST(the_addresses_of_the_proxy_race)
{
    conn_begin("http://many:1080");
    rig_broker_add(&f.r, "10.6.6.6", 1080);
    kn_mem_pause(f.r.network, "10.6.6.6", 1080, true);
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "many", "10.6.6.6"), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "many", "10.0.0.2"), KC_OK);
    rig_conn_open(&f.c, "b1", 9092);
    rig_run(&f.r, 249);
    ck_assert_int_eq(f.c.ready, 0);
    rig_run(&f.r, 5);
    ck_assert_int_eq(f.c.ready, 1);
    ck_assert_int_eq(f.relay.asked, 1);
    conn_end();
}
END_TEST

START_TEST(a_refusal_is_not_hidden_by_an_address_that_does_not_answer)
{
    conn_begin("http://many:1080");
    f.relay.secret = "alice:right";
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "many", "10.0.0.2"), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(f.r.network, "many", "10.6.6.6"), KC_OK);
    rig_conn_open(&f.c, "b1", 9092);
    rig_run(&f.r, 1000);
    ck_assert_int_eq(f.c.conn->error.code, KC_ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(f.c.conn->error.text, "407 Who are you"));
    conn_end();
}
END_TEST
