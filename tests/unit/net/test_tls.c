/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One encrypted stream: the handshake cut, split and spoiled at every byte, reading, writing, the end. */
#include "protocol/base/error.h"
#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/net/tls_world.h"

static tls_world world;
static tls_client client;

/** Which version the broker speaks. */
static void begin(int version)
{
    tls_world_init(&world);
    SSL_CTX_set_max_proto_version(world.server, version);
    tls_world_start(&world);
}

static void end(void)
{
    tls_client_close(&client);
    tls_world_cleanup(&world);
}

/** The next handshake is a full one again: reading certificates anew forgets sessions. */
static void forget_sessions(void)
{
    ck_assert_int_eq(kn_tls_network_reload(world.network, NULL), KC_OK);
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

START_TEST(bytes_flow_both_ways_in_both_versions)
{
    for (size_t i = 0; i < 2; i++) {
        begin(versions[i]);
        world.echoes = true;
        tls_client_ready(&client, &world);
        tls_client_send(&client, KC_STR("hello"));
        tls_world_run(&world, 10);
        ck_assert(kc_bytes_equal(kb_buf_bytes(&client.got), KC_STR("hello")));
        ck_assert_str_eq(world.sni, TLS_NAME);
        end();
    }
}
END_TEST

/** Bytes the broker sends until a greeting of 5 bytes is there. */
static size_t bytes_of_a_greeting(int version)
{
    begin(version);
    world.greeting = KC_STR("hello");
    tls_client_ready(&client, &world);
    ck_assert_uint_eq(client.got.len, 5);
    size_t sent = KB_CONTAINER(world.peers.next, tls_peer, node)->sent;
    end();
    return sent;
}

START_TEST(the_brokers_bytes_may_be_split_anywhere)
{
    for (size_t i = 0; i < 2; i++) {
        size_t total = bytes_of_a_greeting(versions[i]);
        begin(versions[i]);
        world.greeting = KC_STR("hello");
        for (size_t at = 1; at < total; at++) {
            forget_sessions();
            world.split_at = at;
            tls_client_ready(&client, &world);
            ck_assert_uint_eq(client.got.len, 5);
            tls_client_close(&client);
        }
        end();
    }
}
END_TEST

START_TEST(bytes_may_come_and_go_one_by_one)
{
    for (size_t i = 0; i < 2; i++) {
        begin(versions[i]);
        world.echoes = true;
        kn_mem_network_shape(world.wire)->read_max = 1;
        kn_mem_network_shape(world.wire)->write_max = 1;
        tls_client_ready(&client, &world);
        tls_client_send(&client, kc_span(tls_pattern(), 3000));
        tls_world_run(&world, 100);
        ck_assert_uint_eq(client.got.len, 3000);
        ck_assert_mem_eq(client.got.data, tls_pattern(), 3000);
        end();
    }
}
END_TEST

START_TEST(an_end_anywhere_in_the_handshake_is_a_failed_connection)
{
    for (size_t i = 0; i < 2; i++) {
        size_t total = bytes_of_a_greeting(versions[i]);
        begin(versions[i]);
        world.greeting = KC_STR("hello");
        for (size_t at = 1; at < total; at++) {
            forget_sessions();
            world.cut_at = at;
            tls_client_open(&client, &world, TLS_NAME);
            tls_world_run(&world, 100);
            ck_assert_uint_eq(client.got.len, 0);
            if (client.opened) { /* the rest were tickets and the greeting */
                ck_assert_int_eq(client.ended, 1);
            } else {
                ck_assert_int_eq(client.failed, 1);
                ck_assert_int_eq(client.error.code, KC_ERR_CONNECT);
                ck_assert_int_eq(client.error.phase, KC_PHASE_TLS);
                ck_assert_ptr_nonnull(strstr(client.error.text, "closed the connection"));
            }
            tls_client_close(&client);
        }
        end();
    }
}
END_TEST

START_TEST(a_changed_byte_is_noticed)
{
    for (size_t i = 0; i < 2; i++) {
        size_t total = bytes_of_a_greeting(versions[i]);
        int unnoticed = 0;
        begin(versions[i]);
        world.greeting = KC_STR("hello");
        for (size_t at = 0; at < total; at++) {
            forget_sessions();
            world.flip_at = at;
            tls_client_open(&client, &world, TLS_NAME);
            tls_world_run(&world, 20000); /* a changed length makes both wait: the deadline */
            bool is_whole = client.got.len == 5 && memcmp(client.got.data, "hello", 5) == 0;
            ck_assert(client.got.len == 0 || is_whole);
            ck_assert(is_whole || client.failed || client.broken || client.ended || client.opened);
            unnoticed += is_whole;
            tls_client_close(&client);
        }
        ck_assert_int_le(unnoticed, 4); /* the version in the head of a record means nothing */
        end();
    }
}
END_TEST

START_TEST(much_goes_through_a_narrow_window)
{
    begin(TLS1_3_VERSION);
    kn_mem_network_shape(world.wire)->latency_us = 10;
    kn_mem_network_shape(world.wire)->window_bytes = 7000;
    tls_client_ready(&client, &world);
    tls_client_send(&client, kc_span(tls_pattern(), 3000000));
    ck_assert_uint_gt(client.to_send.len, 0);
    tls_world_run(&world, 60000);
    ck_assert_uint_eq(client.to_send.len, 0);
    ck_assert_uint_eq(world.got.len, 3000000);
    ck_assert_mem_eq(world.got.data, tls_pattern(), 3000000);
    /* One record waits, not all of it. */
    ck_assert_uint_lt(world.mem.peak, KN_TLS_TRANSPORT_BYTES + KN_TLS_SESSION_BYTES + 80000);
    end();
}
END_TEST

START_TEST(small_pieces_leave_in_one_record)
{
    struct iovec pieces[120];
    size_t taken = 0, total = 0;
    kc_error error;
    begin(TLS1_3_VERSION);
    tls_client_ready(&client, &world);
    for (size_t i = 0; i < 120; i++) {
        pieces[i] = (struct iovec){(void *)(tls_pattern() + total), i % 40};
        total += i % 40;
    }
    ck_assert_int_eq(kn_transport_write(client.transport, pieces, 120, &taken, &error), KC_OK);
    ck_assert_uint_eq(taken, total);
    tls_world_run(&world, 10);
    ck_assert_uint_eq(world.got_records, 1);
    ck_assert_uint_eq(world.got.len, total);
    ck_assert_mem_eq(world.got.data, tls_pattern(), total);
    end();
}
END_TEST

START_TEST(pieces_of_all_sizes_fill_their_records)
{
    const size_t sizes[] = {100, 16384, 1, 40000, 0, 16383, 5};
    struct iovec pieces[7];
    size_t taken = 0, total = 0;
    kc_error error;
    begin(TLS1_2_VERSION);
    tls_client_ready(&client, &world);
    for (size_t i = 0; i < 7; i++) {
        pieces[i] = (struct iovec){(void *)(tls_pattern() + total), sizes[i]};
        total += sizes[i];
    }
    ck_assert_int_eq(kn_transport_write(client.transport, pieces, 7, &taken, &error), KC_OK);
    ck_assert_uint_eq(taken, total);
    tls_world_run(&world, 10);
    ck_assert_uint_eq(world.got_records, (total + 16383) / 16384);
    ck_assert_uint_eq(world.got.len, total);
    ck_assert_mem_eq(world.got.data, tls_pattern(), total);
    taken = 1;
    ck_assert_int_eq(kn_transport_write(client.transport, pieces + 4, 1, &taken, &error), KC_OK);
    ck_assert_uint_eq(taken, 0); /* nothing is no record */
    end();
}
END_TEST

START_TEST(what_was_not_taken_may_be_replaced)
{
    size_t first = 0, second = 0;
    kc_error error;
    const struct iovec a = {(void *)tls_pattern(), 40000};
    const struct iovec b = {(void *)(tls_pattern() + 100000), 10};
    begin(TLS1_3_VERSION);
    tls_client_ready(&client, &world);
    kn_mem_network_shape(world.wire)->window_bytes = 1000;
    ck_assert_int_eq(kn_transport_write(client.transport, &a, 1, &first, &error), KC_OK);
    ck_assert_uint_eq(first, 16384); /* one record, most of which waits */
    ck_assert_int_eq(kn_transport_write(client.transport, &b, 1, &second, &error), KC_ERR_AGAIN);
    kn_mem_network_shape(world.wire)->window_bytes = 0;
    kn_mem_network_reshaped(world.wire);
    tls_world_run(&world, 10);
    ck_assert_int_eq(kn_transport_write(client.transport, &b, 1, &second, &error), KC_OK);
    ck_assert_uint_eq(second, 10);
    tls_world_run(&world, 10);
    ck_assert_uint_eq(world.got.len, 16394);
    ck_assert_mem_eq(world.got.data, tls_pattern(), 16384);
    ck_assert_mem_eq(world.got.data + 16384, tls_pattern() + 100000, 10);
    end();
}
END_TEST

START_TEST(what_openssl_holds_is_reported_without_the_socket)
{
    static const size_t steps[] = {1000, 16384, 20000};
    for (size_t i = 0; i < 2; i++)
        for (size_t step = 0; step < 3; step++) {
            begin(versions[i]);
            tls_client_open(&client, &world, TLS_NAME);
            client.read_max = steps[step];
            world.greeting = kc_span(tls_pattern(), 200000);
            tls_world_run(&world, 100);
            ck_assert_uint_eq(client.got.len, 200000);
            ck_assert_mem_eq(client.got.data, tls_pattern(), 200000);
            ck_assert_uint_ge(client.reads, 200000 / steps[step]);
            size_t reads = client.reads;
            tls_world_run(&world, 1000);
            ck_assert_uint_eq(client.reads, reads); /* and it does not spin */
            end();
        }
}
END_TEST

START_TEST(half_a_record_makes_nothing_spin)
{
    begin(TLS1_3_VERSION);
    world.greeting = kc_span(tls_pattern(), 10000);
    tls_client_open(&client, &world, TLS_NAME);
    client.read_max = 1;
    world.cut_at = SIZE_MAX;
    world.split_at = 4000; /* in the middle of the greeting's record; the rest never comes */
    tls_world_run(&world, 0);
    size_t reads = client.reads;
    ck_assert_int_eq(client.opened, 1);
    ck_assert_uint_lt(reads, 10);
    end();
}
END_TEST

START_TEST(an_end_without_close_notify_is_an_end)
{
    for (size_t i = 0; i < 2; i++) {
        begin(versions[i]);
        world.greeting = KC_STR("hello");
        world.hangs_up = true;
        tls_client_ready(&client, &world);
        ck_assert_uint_eq(client.got.len, 5);
        ck_assert_int_eq(client.ended, 1);
        ck_assert_int_eq(client.broken, 0);
        end();
    }
}
END_TEST

START_TEST(close_notify_is_an_end_though_the_socket_stays)
{
    for (size_t i = 0; i < 2; i++) {
        begin(versions[i]);
        world.greeting = kc_span(tls_pattern(), 40000);
        world.says_goodbye = true;
        tls_client_ready(&client, &world);
        ck_assert_uint_eq(client.got.len, 40000);
        ck_assert_int_eq(client.ended, 1);
        end();
    }
}
END_TEST

START_TEST(close_says_goodbye_where_there_is_room)
{
    begin(TLS1_3_VERSION);
    tls_client_ready(&client, &world);
    tls_client_close(&client);
    tls_world_run(&world, 10);
    tls_peer *peer = KB_CONTAINER(world.peers.next, tls_peer, node);
    ck_assert(peer->saw_close_notify);
    ck_assert_int_eq(world.closes, 1);
    tls_client_ready(&client, &world);
    kn_mem_network_shape(world.wire)->window_bytes = 10;
    tls_client_send(&client, KC_STR("more than there is room for"));
    tls_client_close(&client); /* something waits: nothing may follow */
    tls_world_run(&world, 10);
    peer = KB_CONTAINER(world.peers.prev, tls_peer, node);
    ck_assert(!peer->saw_close_notify);
    tls_client_open(&client, &world, TLS_NAME); /* and in the middle of a handshake */
    end();
}
END_TEST

START_TEST(a_reset_is_told)
{
    begin(TLS1_3_VERSION);
    tls_client_ready(&client, &world);
    kn_mem_cut(world.wire, TLS_IP, TLS_PORT);
    tls_world_run(&world, 10);
    ck_assert_int_eq(client.broken, 1);
    ck_assert_int_eq(client.error.code, KC_ERR_DISCONNECTED);
    tls_client_close(&client);
    tls_client_open(&client, &world, TLS_NAME);
    kn_mem_network_shape(world.wire)->latency_us = 1000;
    tls_world_run(&world, 1);
    kn_mem_cut(world.wire, TLS_IP, TLS_PORT);
    tls_world_run(&world, 10);
    ck_assert_int_eq(client.failed, 1);
    ck_assert_int_eq(client.error.code, KC_ERR_CONNECT);
    ck_assert_int_eq(client.error.phase, KC_PHASE_TLS);
    end();
}
END_TEST

START_TEST(a_closed_port_is_told_as_without_tls)
{
    begin(TLS1_3_VERSION);
    kn_mem_unlisten(world.wire, TLS_IP, TLS_PORT);
    tls_client_open(&client, &world, TLS_NAME);
    tls_world_run(&world, 10);
    ck_assert_int_eq(client.error.code, KC_ERR_CONNECT);
    ck_assert_int_eq(client.error.phase, KC_PHASE_CONNECT);
    end();
}
END_TEST

START_TEST(silence_is_told_before_the_caller_gives_up)
{
    begin(TLS1_3_VERSION);
    world.is_silent = true;
    tls_client_open(&client, &world, TLS_NAME);
    tls_world_run(&world, 9999);
    ck_assert_int_eq(client.failed, 0);
    tls_world_run(&world, 2);
    ck_assert_int_eq(client.failed, 1);
    ck_assert_int_eq(client.error.code, KC_ERR_CONNECT);
    ck_assert_int_eq(client.error.phase, KC_PHASE_TLS);
    ck_assert_ptr_nonnull(strstr(client.error.text, "after 10000 ms"));
    end();
}
END_TEST

START_TEST(a_broker_that_speaks_something_else_is_told)
{
    begin(TLS1_3_VERSION);
    world.plain = KC_STR("HTTP/1.1 400 Bad Request\r\n\r\n");
    tls_client_refused(&world, TLS_NAME, "HTTP");
    world.plain = KC_STR("SSH-2.0-OpenSSH_9.2p1\r\n");
    tls_client_refused(&world, TLS_NAME, "plaintext");
    world.plain = kc_span((const uint8_t *)"\0\0\0\4\0\0\0\0", 8);
    tls_client_refused(&world, TLS_NAME, "security.protocol");
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(keys_may_be_updated)
{
    begin(TLS1_3_VERSION);
    world.echoes = true;
    tls_client_ready(&client, &world);
    tls_peer *peer = KB_CONTAINER(world.peers.next, tls_peer, node);
    ck_assert(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED));
    tls_client_send(&client, kc_span(tls_pattern(), 40000));
    tls_world_run(&world, 10);
    tls_client_send(&client, kc_span(tls_pattern() + 40000, 40000));
    tls_world_run(&world, 10);
    ck_assert_uint_eq(client.got.len, 80000);
    ck_assert_mem_eq(client.got.data, tls_pattern(), 80000);
    end();
}
END_TEST

START_TEST(what_follows_an_answer_to_a_key_update_waits_its_turn)
{
    begin(TLS1_3_VERSION);
    tls_client_ready(&client, &world);
    tls_peer *peer = KB_CONTAINER(world.peers.next, tls_peer, node);
    ck_assert(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED));
    ck_assert_int_eq(SSL_do_handshake(peer->ssl), 1);
    tls_peer_drain(peer);
    tls_world_run(&world, 1);
    kn_mem_network_shape(world.wire)->write_max = 10; /* so the answer is not taken whole */
    tls_client_send(&client, kc_span(tls_pattern(), 40000));
    tls_world_run(&world, 10);
    ck_assert_uint_eq(world.got.len, 40000);
    ck_assert_mem_eq(world.got.data, tls_pattern(), 40000);
    end();
}
END_TEST

static int handshakes;

static void count_handshakes(const SSL *ssl, int where, int value)
{
    (void)ssl;
    (void)value;
    handshakes += where == SSL_CB_HANDSHAKE_DONE;
}

START_TEST(a_broker_that_wants_to_renegotiate_is_refused)
{
    begin(TLS1_2_VERSION);
    world.echoes = true;
    tls_client_ready(&client, &world);
    tls_peer *peer = KB_CONTAINER(world.peers.next, tls_peer, node);
    SSL_set_info_callback(peer->ssl, count_handshakes);
    ck_assert(SSL_renegotiate(peer->ssl));
    ck_assert_int_eq(SSL_do_handshake(peer->ssl), 1); /* writes HelloRequest, which leaves next */
    handshakes = 0;
    tls_client_send(&client, KC_STR("hello"));
    tls_world_run(&world, 10);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&client.got), KC_STR("hello")));
    ck_assert_int_eq(handshakes, 0);
    end();
}
END_TEST

/** Open, write through a narrow window, read, close. */
static bool scenario(const kc_alloc *alloc)
{
    kc_error error;
    tls_world_init(&world);
    world.echoes = true;
    kb_mem_init(&world.mem, alloc, 0);
    bool is_good = tls_world_try(&world, &error) == KC_OK;
    if (!is_good)
        ck_assert_int_eq(error.code, KC_ERR_NOMEM);
    memset(&client, 0, sizeof client);
    if (is_good) {
        tls_client_open(&client, &world, TLS_NAME);
        tls_world_run(&world, 10);
        kn_mem_network_shape(world.wire)->window_bytes = 500;
        if (client.opened)
            tls_client_send(&client, kc_span(tls_pattern(), 20000));
        tls_world_run(&world, 1000);
        is_good = client.got.len == 20000;
        if (!is_good)
            ck_assert_int_eq(client.error.code, KC_ERR_NOMEM);
        tls_client_close(&client);
    }
    tls_world_cleanup(&world);
    return is_good;
}

START_TEST(out_of_memory_is_an_error)
{
    size_t failed = fail_each_alloc(scenario);
    ck_assert_uint_ne(failed, SIZE_MAX);
    ck_assert_uint_gt(failed, 4);
}
END_TEST

START_TEST(openssls_own_memory_is_counted)
{
    begin(TLS1_3_VERSION);
    size_t before = world.mem.used;
    tls_client_ready(&client, &world);
    ck_assert_uint_ge(world.mem.used, before + KN_TLS_TRANSPORT_BYTES + KN_TLS_SESSION_BYTES);
    tls_client_close(&client);
    ck_assert_uint_lt(world.mem.used, before + 2 * KN_TLS_SESSION_BYTES);
    world.mem.limit = world.mem.used + KN_TLS_TRANSPORT_BYTES - 1;
    tls_client_open(&client, &world, TLS_NAME);
    ck_assert_int_eq(client.failed, 1);
    ck_assert_int_eq(client.error.code, KC_ERR_NOMEM);
    end();
}
END_TEST
