/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The in-memory network itself. */
#include "net/mem.h"

#include <check.h>
#include <errno.h>

/** A client's transport and what it heard; and a server that echoes or not. */
typedef struct fixture {
    kb_mem mem;
    kb_rand rand;
    kn_loop *loop;
    kn_mem_network *network;
    kn_transport *transport;
    unsigned events; /**< all heard so far */
    int opens, fails;
    int64_t open_us;
    kc_error error;
    bool is_greedy; /**< reads all in the event */
    uint8_t in[4096];
    size_t in_len;
    kc_err end;
    kn_mem_peer *peer;
    int accepts, closes;
    bool is_echo;
    int64_t data_us;
    kn_lookup lookup;
    int looked_up;
} fixture;

static void on_accept(void *user, kn_mem_peer *peer)
{
    fixture *f = user;
    f->accepts++;
    f->peer = peer;
    kn_mem_peer_set_user(peer, f);
}

static void on_data(void *user, kn_mem_peer *peer)
{
    fixture *f = user;
    ck_assert_ptr_eq(kn_mem_peer_user(peer), f);
    f->data_us = kn_loop_now_us(f->loop);
    if (f->is_echo) {
        kc_bytes in = kn_mem_peer_in(peer);
        ck_assert_int_eq(kn_mem_peer_write(peer, in), KC_OK);
        kn_mem_peer_take(peer, in.len);
    }
}

static void on_close(void *user, kn_mem_peer *peer)
{
    fixture *f = user;
    f->closes++;
    ck_assert_ptr_eq(f->peer, peer);
    f->peer = NULL;
}

static const kn_mem_server server = {on_accept, on_data, on_close};

static void read_all(fixture *f)
{
    size_t got;
    while ((f->end = kn_transport_read(f->transport, f->in + f->in_len, sizeof f->in - f->in_len,
                                       &got, &f->error)) == KC_OK)
        f->in_len += got;
}

static void on_event(void *user, unsigned events, const kc_error *error)
{
    fixture *f = user;
    f->events |= events;
    if (events & KN_EVENT_OPEN) {
        f->opens++;
        f->open_us = kn_loop_now_us(f->loop);
    }
    if (events & KN_EVENT_FAILED) {
        f->fails++;
        f->error = *error;
        kn_transport_close(f->transport);
        f->transport = NULL;
    }
    if (events & KN_EVENT_READ && f->is_greedy) {
        read_all(f);
        if (f->end != KC_ERR_AGAIN) {
            kn_transport_close(f->transport);
            f->transport = NULL;
        }
    }
}

static void on_looked_up(kn_lookup *lookup)
{
    ((fixture *)lookup->user)->looked_up++;
}

static void init(fixture *f)
{
    memset(f, 0, sizeof *f);
    kb_mem_init(&f->mem, NULL, 0);
    kb_rand_init(&f->rand, 5);
    ck_assert_int_eq(kn_loop_new_virtual(&f->mem, 0, 0, &f->loop), KC_OK);
    ck_assert_int_eq(kn_mem_network_new(&f->mem, f->loop, &f->rand, &f->network), KC_OK);
    f->is_greedy = true;
    f->lookup.done = on_looked_up;
    f->lookup.user = f;
}

static void cleanup(fixture *f)
{
    if (f->transport)
        kn_transport_close(f->transport);
    kn_network_free(kn_mem_network_base(f->network));
    kn_loop_free(f->loop);
    ck_assert_uint_eq(f->mem.used, 0);
}

static void run_until(fixture *f, int64_t until_us)
{
    while (kn_loop_advance(f->loop, until_us))
        continue;
}

static void look_up(fixture *f, const char *host)
{
    f->lookup.host = kc_str(host);
    f->lookup.port = 9092;
    kn_network_resolve(kn_mem_network_base(f->network), &f->lookup);
}

static void open_address(fixture *f, const char *literal)
{
    kn_open_options options = {.on_event = on_event, .user = f};
    ck_assert(kn_address_parse(kc_str(literal), 9092, &options.address));
    ck_assert_int_eq(
        kn_network_open(kn_mem_network_base(f->network), &options, &f->transport, &f->error),
        KC_OK);
}

/** A listening server and a transport connected to it. */
static void connect_to_server(fixture *f)
{
    ck_assert_int_eq(kn_mem_listen(f->network, "10.9.9.9", 9092, &server, f), KC_OK);
    open_address(f, "10.9.9.9");
    run_until(f, kn_loop_now_us(f->loop));
    ck_assert_int_eq(f->opens, 1);
    ck_assert_int_eq(f->accepts, 1);
}

static size_t send_text(fixture *f, const char *text)
{
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    size_t sent = 0;
    kc_err err = kn_transport_write(f->transport, &iov, 1, &sent, &f->error);
    return err == KC_OK ? sent : 0;
}

START_TEST(names_are_found_literals_are_themselves_and_unknown_names_fail)
{
    fixture f;
    init(&f);
    ck_assert_int_eq(kn_mem_listen(f.network, "broker", 9092, &server, &f), KC_OK);
    ck_assert_int_eq(kn_mem_listen(f.network, "broker", 9092, &server, &f), KC_ERR_STATE);
    ck_assert_int_eq(kn_mem_listen(f.network, "broker", 9093, &server, &f), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(f.network, "broker", "10.0.0.77"), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(f.network, "broker", "nonsense"), KC_ERR_ARGUMENT);
    look_up(&f, "broker");
    ck_assert_int_eq(f.looked_up, 0); // never inside the call
    run_until(&f, 0);
    ck_assert_int_eq(f.looked_up, 1);
    ck_assert_int_eq(f.lookup.err, KC_OK);
    ck_assert_uint_eq(f.lookup.count, 2);
    ck_assert_uint_eq(f.lookup.addresses[1].ip[3], 77);
    ck_assert_uint_eq(f.lookup.addresses[1].port, 9092);
    look_up(&f, "10.1.2.3");
    run_until(&f, 0);
    ck_assert_uint_eq(f.lookup.count, 1);
    ck_assert_uint_eq(f.lookup.addresses[0].ip[3], 3);
    look_up(&f, "nowhere");
    run_until(&f, 0);
    ck_assert_int_eq(f.lookup.err, KC_ERR_RESOLVE);
    kn_mem_name_remove(f.network, "broker");
    look_up(&f, "broker");
    run_until(&f, 0);
    ck_assert_int_eq(f.lookup.err, KC_ERR_RESOLVE);
    ck_assert_int_eq(f.looked_up, 4);
    cleanup(&f);
}
END_TEST

START_TEST(a_lookup_takes_its_time_and_can_be_cancelled)
{
    fixture f;
    init(&f);
    ck_assert_int_eq(kn_mem_name_add(f.network, "n", "10.0.0.1"), KC_OK);
    kn_mem_network_shape(f.network)->resolve_latency_us = 5000;
    look_up(&f, "n");
    run_until(&f, 4999);
    ck_assert_int_eq(f.looked_up, 0);
    run_until(&f, 5000);
    ck_assert_int_eq(f.looked_up, 1);
    look_up(&f, "n");
    kn_network_cancel(kn_mem_network_base(f.network), &f.lookup);
    look_up(&f, "10.0.0.1");
    kn_network_cancel(kn_mem_network_base(f.network), &f.lookup);
    kn_network_cancel(kn_mem_network_base(f.network), &f.lookup);
    run_until(&f, 50000);
    ck_assert_int_eq(f.looked_up, 1);
    cleanup(&f);
}
END_TEST

START_TEST(bytes_go_there_and_back_with_latency)
{
    fixture f;
    init(&f);
    kn_mem_network_shape(f.network)->latency_us = 1000;
    ck_assert_int_eq(kn_mem_listen(f.network, "10.9.9.9", 9092, &server, &f), KC_OK);
    open_address(&f, "10.9.9.9");
    run_until(&f, 10000);
    ck_assert_int_eq(f.open_us, 2000);
    f.is_echo = true;
    ck_assert_uint_eq(send_text(&f, "hello"), 5);
    run_until(&f, 10999);
    ck_assert_uint_eq(f.in_len, 0);
    run_until(&f, 20000);
    ck_assert_int_eq(f.data_us, 11000);
    ck_assert_uint_eq(f.in_len, 5);
    ck_assert_mem_eq(f.in, "hello", 5);
    ck_assert_uint_eq(kn_mem_network_connects(f.network), 1);
    cleanup(&f);
}
END_TEST

START_TEST(jitter_keeps_the_order_of_the_bytes)
{
    fixture f;
    init(&f);
    connect_to_server(&f);
    f.is_echo = true;
    kn_mem_network_shape(f.network)->latency_us = 100;
    kn_mem_network_shape(f.network)->jitter_us = 5000;
    char text[2] = "a";
    for (int i = 0; i < 26; i++) {
        text[0] = (char)('a' + i);
        ck_assert_uint_eq(send_text(&f, text), 1);
    }
    run_until(&f, 1000000);
    ck_assert_uint_eq(f.in_len, 26);
    ck_assert_mem_eq(f.in, "abcdefghijklmnopqrstuvwxyz", 26);
    cleanup(&f);
}
END_TEST

START_TEST(reads_and_writes_can_be_cut_into_pieces)
{
    fixture f;
    init(&f);
    connect_to_server(&f);
    f.is_echo = true;
    kn_mem_network_shape(f.network)->read_max = 2;
    kn_mem_network_shape(f.network)->write_max = 3;
    ck_assert_uint_eq(send_text(&f, "abcdefg"), 3);
    f.is_greedy = false; // readiness is level-triggered, so only a few turns
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(kn_loop_turn(f.loop, 0, NULL), KC_OK);
    ck_assert_uint_ne(f.events & KN_EVENT_READ, 0);
    size_t got = 0;
    ck_assert_int_eq(kn_transport_read(f.transport, f.in, 100, &got, &f.error), KC_OK);
    ck_assert_uint_eq(got, 2);
    ck_assert_int_eq(kn_transport_read(f.transport, f.in, 100, &got, &f.error), KC_OK);
    ck_assert_uint_eq(got, 1);
    ck_assert_int_eq(kn_transport_read(f.transport, f.in, 100, &got, &f.error), KC_ERR_AGAIN);
    cleanup(&f);
}
END_TEST

START_TEST(a_full_window_blocks_the_writer_until_the_server_takes)
{
    fixture f;
    init(&f);
    connect_to_server(&f);
    kn_mem_network_shape(f.network)->window_bytes = 4;
    ck_assert_uint_eq(send_text(&f, "abcdefg"), 4);
    ck_assert_uint_eq(send_text(&f, "efg"), 0);
    kn_transport_want(f.transport, KN_EVENT_WRITE);
    f.events = 0;
    run_until(&f, 1000);
    ck_assert_uint_eq(f.events & KN_EVENT_WRITE, 0);
    ck_assert(kc_bytes_equal(kn_mem_peer_in(f.peer), KC_STR("abcd")));
    kn_mem_peer_take(f.peer, 3);
    ck_assert_int_eq(kn_loop_turn(f.loop, 0, NULL), KC_OK);
    ck_assert_uint_ne(f.events & KN_EVENT_WRITE, 0);
    ck_assert(kc_bytes_equal(kn_mem_peer_in(f.peer), KC_STR("d")));
    kn_transport_want(f.transport, 0);
    ck_assert_uint_eq(send_text(&f, "efg"), 3);
    cleanup(&f);
}
END_TEST

START_TEST(a_port_without_listener_refuses)
{
    fixture f;
    init(&f);
    open_address(&f, "10.1.1.1");
    run_until(&f, 0);
    ck_assert_int_eq(f.fails, 1);
    ck_assert_int_eq(f.error.code, KC_ERR_CONNECT);
    ck_assert_int_eq(f.error.os_errno, ECONNREFUSED);
    ck_assert_int_eq(kn_mem_listen(f.network, "10.1.1.1", 9092, &server, &f), KC_OK);
    kn_mem_unlisten(f.network, "10.1.1.1", 9092);
    kn_mem_unlisten(f.network, "10.1.1.1", 9092);
    open_address(&f, "10.1.1.1");
    run_until(&f, 0);
    ck_assert_int_eq(f.fails, 2);
    cleanup(&f);
}
END_TEST

START_TEST(the_client_reads_all_before_the_end)
{
    fixture f;
    init(&f);
    connect_to_server(&f);
    ck_assert_int_eq(kn_mem_peer_write(f.peer, KC_STR("bye")), KC_OK);
    kn_mem_peer_close(f.peer);
    ck_assert_uint_eq(send_text(&f, "too late"), 0);
    ck_assert_int_eq(f.error.os_errno, EPIPE);
    run_until(&f, 0);
    ck_assert_uint_eq(f.in_len, 3);
    ck_assert_int_eq(f.end, KC_ERR_END);
    ck_assert_int_eq(f.closes, 0); // it closed itself
    cleanup(&f);
}
END_TEST

START_TEST(a_reset_drops_what_was_on_its_way)
{
    fixture f;
    init(&f);
    connect_to_server(&f);
    ck_assert_int_eq(kn_mem_peer_write(f.peer, KC_STR("lost")), KC_OK);
    kn_mem_peer_reset(f.peer);
    run_until(&f, 0);
    ck_assert_uint_eq(f.in_len, 0);
    ck_assert_int_eq(f.end, KC_ERR_DISCONNECTED);
    ck_assert_int_eq(f.error.os_errno, ECONNRESET);
    cleanup(&f);
}
END_TEST

START_TEST(the_server_hears_of_the_clients_end_behind_its_bytes)
{
    fixture f;
    init(&f);
    connect_to_server(&f);
    kn_mem_network_shape(f.network)->latency_us = 10;
    ck_assert_uint_eq(send_text(&f, "last words"), 10);
    kn_transport_close(f.transport);
    f.transport = NULL;
    run_until(&f, 5);
    ck_assert_int_eq(f.closes, 0);
    run_until(&f, 10);
    ck_assert_int_eq(f.data_us, 10);
    ck_assert_int_eq(f.closes, 1);
    cleanup(&f);
}
END_TEST

START_TEST(a_pause_holds_everything_and_loses_nothing)
{
    fixture f;
    init(&f);
    connect_to_server(&f);
    f.is_echo = true;
    kn_mem_pause(f.network, "10.9.9.9", 9092, true);
    ck_assert_uint_eq(send_text(&f, "abc"), 3);
    run_until(&f, 1000000);
    ck_assert_int_eq(f.data_us, 0);
    kn_mem_pause(f.network, "10.9.9.9", 9092, false);
    run_until(&f, 2000000);
    ck_assert_uint_eq(f.in_len, 3);
    cleanup(&f);
}
END_TEST

START_TEST(connecting_to_a_paused_address_hangs_until_it_is_back)
{
    fixture f;
    init(&f);
    ck_assert_int_eq(kn_mem_listen(f.network, "10.9.9.9", 9092, &server, &f), KC_OK);
    kn_mem_pause(f.network, "10.9.9.9", 9092, true);
    open_address(&f, "10.9.9.9");
    run_until(&f, 1000000);
    ck_assert_int_eq(f.opens + f.fails, 0);
    kn_mem_pause(f.network, "10.9.9.9", 9092, false);
    run_until(&f, 1000000);
    ck_assert_int_eq(f.opens, 1);
    cleanup(&f);
}
END_TEST

START_TEST(a_cut_resets_both_sides)
{
    fixture f;
    init(&f);
    connect_to_server(&f);
    kn_mem_cut(f.network, "10.9.9.9", 9092);
    run_until(&f, 0);
    ck_assert_int_eq(f.closes, 1);
    ck_assert_int_eq(f.error.os_errno, ECONNRESET);
    ck_assert_ptr_null(f.transport);
    cleanup(&f);
}
END_TEST
