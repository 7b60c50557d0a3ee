/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Real sockets on the loopback interface. */
#define _GNU_SOURCE
#include "net/tcp.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct fixture {
    kb_mem mem;
    kn_loop *loop;
    kn_network *network;
    kn_transport *transport;
    int listener;
    int peer; /**< the accepted socket */
    uint16_t port;
    int opens, fails, writes;
    kc_error error;
    uint8_t *in;
    size_t in_len, in_cap;
    kc_err end;
} fixture;

static void on_event(void *user, unsigned events, const kc_error *error)
{
    fixture *f = user;
    if (events & KN_EVENT_OPEN)
        f->opens++;
    if (events & KN_EVENT_WRITE)
        f->writes++;
    if (events & KN_EVENT_FAILED) {
        f->fails++;
        f->error = *error;
        kn_transport_close(f->transport);
        f->transport = NULL;
        return;
    }
    while (events & KN_EVENT_READ) {
        size_t got = 0;
        f->end = kn_transport_read(f->transport, f->in + f->in_len, f->in_cap - f->in_len, &got,
                                   &f->error);
        if (f->end != KC_OK)
            break;
        f->in_len += got;
    }
    if (events & KN_EVENT_READ && f->end != KC_ERR_AGAIN) {
        kn_transport_close(f->transport);
        f->transport = NULL;
    }
}

static int listen_at(int family, uint16_t *port)
{
    struct sockaddr_storage address = {0};
    socklen_t len = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    address.ss_family = (sa_family_t)family;
    if (family == AF_INET6)
        v6->sin6_addr = in6addr_loopback;
    else
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 8) < 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(family == AF_INET6 ? v6->sin6_port : v4->sin_port);
    return fd;
}

static void init(fixture *f)
{
    kc_error error;
    memset(f, 0, sizeof *f);
    kb_mem_init(&f->mem, NULL, 0);
    ck_assert_int_eq(kn_loop_new(&f->mem, &f->loop, &error), KC_OK);
    ck_assert_int_eq(kn_tcp_network_new(&f->mem, f->loop, &f->network), KC_OK);
    f->in_cap = 1 << 20;
    f->in = malloc(f->in_cap);
    f->peer = -1;
    f->listener = listen_at(AF_INET, &f->port);
    ck_assert_int_ge(f->listener, 0);
}

static void cleanup(fixture *f)
{
    if (f->transport)
        kn_transport_close(f->transport);
    if (f->peer >= 0)
        close(f->peer);
    if (f->listener >= 0)
        close(f->listener);
    kn_network_free(f->network);
    kn_loop_free(f->loop);
    free(f->in);
    ck_assert_uint_eq(f->mem.used, 0);
}

static kc_err open_address(fixture *f, const char *literal, uint16_t port)
{
    kn_open_options options = {
        .send_buffer_bytes = -1, .receive_buffer_bytes = -1, .on_event = on_event, .user = f};
    ck_assert(kn_address_parse(kc_str(literal), port, &options.address));
    return kn_network_open(f->network, &options, &f->transport, &f->error);
}

static void turn(fixture *f)
{
    ck_assert_int_eq(kn_loop_turn(f->loop, 30000, NULL), KC_OK);
}

static void connect_to_listener(fixture *f)
{
    ck_assert_int_eq(open_address(f, "127.0.0.1", f->port), KC_OK);
    ck_assert_int_eq(f->opens, 0); // never inside the call
    while (f->opens + f->fails == 0)
        turn(f);
    ck_assert_int_eq(f->opens, 1);
    f->peer = accept(f->listener, NULL, NULL);
    ck_assert_int_ge(f->peer, 0);
}

static int fd_of(const fixture *f)
{
    /* The one socket besides listener and peer: found by its peer's name. */
    struct sockaddr_in mine, its;
    socklen_t len = sizeof its;
    ck_assert_int_eq(getpeername(f->peer, (struct sockaddr *)&its, &len), 0);
    for (int fd = 3; fd < 100; fd++) {
        len = sizeof mine;
        if (fd != f->peer && getsockname(fd, (struct sockaddr *)&mine, &len) == 0 &&
            mine.sin_family == AF_INET && mine.sin_port == its.sin_port)
            return fd;
    }
    ck_abort_msg("no socket");
    return -1;
}

START_TEST(bytes_go_both_ways_over_a_real_socket)
{
    fixture f;
    init(&f);
    connect_to_listener(&f);
    struct iovec iov[2] = {{(void *)(uintptr_t) "hel", 3}, {(void *)(uintptr_t) "lo", 2}};
    size_t sent = 0;
    ck_assert_int_eq(kn_transport_write(f.transport, iov, 2, &sent, &f.error), KC_OK);
    ck_assert_uint_eq(sent, 5);
    char text[8] = {0};
    ck_assert_int_eq(recv(f.peer, text, 5, MSG_WAITALL), 5);
    ck_assert_str_eq(text, "hello");
    size_t got;
    ck_assert_int_eq(kn_transport_read(f.transport, f.in, 10, &got, &f.error), KC_ERR_AGAIN);
    ck_assert_int_eq(send(f.peer, "world", 5, MSG_NOSIGNAL), 5);
    while (f.in_len < 5)
        turn(&f);
    ck_assert_mem_eq(f.in, "world", 5);
    cleanup(&f);
}
END_TEST

START_TEST(the_socket_has_no_delay_keep_alive_and_close_on_exec)
{
    fixture f;
    init(&f);
    connect_to_listener(&f);
    int fd = fd_of(&f);
    int value = 0;
    socklen_t len = sizeof value;
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    ck_assert_int_ne(value, 0);
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
    ck_assert_int_ne(value, 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_refused_connection_says_so)
{
    fixture f;
    init(&f);
    close(f.listener);
    f.listener = -1;
    kc_err err = open_address(&f, "127.0.0.1", f.port);
    while (err == KC_OK && f.opens + f.fails == 0)
        turn(&f);
    ck_assert_int_eq(f.opens, 0);
    ck_assert_int_eq(f.error.code, KC_ERR_CONNECT);
    ck_assert_int_eq(f.error.os_errno, ECONNREFUSED);
    ck_assert_int_eq(f.error.phase, KC_PHASE_CONNECT);
    ck_assert_str_eq(f.error.text, "Connection refused");
    cleanup(&f);
}
END_TEST

START_TEST(an_address_that_can_not_be_reached_at_all_fails_cleanly)
{
    fixture f;
    init(&f);
    /* Class E is refused by the kernel itself, at once or by the event. */
    kc_err err = open_address(&f, "255.255.255.255", 9);
    while (err == KC_OK && f.opens + f.fails == 0)
        turn(&f);
    ck_assert_int_eq(f.opens, 0);
    ck_assert_int_eq(f.error.code, KC_ERR_CONNECT);
    ck_assert_int_ne(f.error.os_errno, 0);
    ck_assert_ptr_null(f.transport);
    cleanup(&f);
}
END_TEST

START_TEST(ipv6_works_where_the_system_has_it)
{
    fixture f;
    init(&f);
    close(f.listener);
    f.listener = listen_at(AF_INET6, &f.port);
    if (f.listener >= 0) {
        ck_assert_int_eq(open_address(&f, "::1", f.port), KC_OK);
        while (f.opens + f.fails == 0)
            turn(&f);
        ck_assert_int_eq(f.opens, 1);
    }
    cleanup(&f);
}
END_TEST

START_TEST(the_peers_close_is_the_end_and_its_reset_an_error)
{
    fixture f;
    init(&f);
    connect_to_listener(&f);
    ck_assert_int_eq(send(f.peer, "x", 1, MSG_NOSIGNAL), 1);
    close(f.peer);
    f.peer = -1;
    while (f.transport)
        turn(&f);
    ck_assert_uint_eq(f.in_len, 1);
    ck_assert_int_eq(f.end, KC_ERR_END);
    f.opens = 0;
    connect_to_listener(&f);
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    ck_assert_int_eq(setsockopt(f.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(f.peer);
    f.peer = -1;
    while (f.transport)
        turn(&f);
    ck_assert_int_eq(f.end, KC_ERR_DISCONNECTED);
    ck_assert_int_eq(f.error.os_errno, ECONNRESET);
    cleanup(&f);
}
END_TEST

START_TEST(a_full_socket_blocks_and_reports_room_only_when_wanted)
{
    fixture f;
    init(&f);
    connect_to_listener(&f);
    size_t total = 0;
    kc_err err = KC_OK;
    struct iovec iov = {f.in, f.in_cap};
    memset(f.in, 7, f.in_cap);
    while (err == KC_OK) {
        size_t sent = 0;
        err = kn_transport_write(f.transport, &iov, 1, &sent, &f.error);
        total += err == KC_OK ? sent : 0;
    }
    ck_assert_int_eq(err, KC_ERR_AGAIN);
    ck_assert_uint_gt(total, 0);
    kn_transport_want(f.transport, KN_EVENT_WRITE);
    ck_assert_int_eq(kn_loop_turn(f.loop, 0, NULL), KC_OK);
    ck_assert_int_eq(f.writes, 0);
    static char sink[65536];
    for (size_t left = total; left > 0;) {
        ssize_t got = recv(f.peer, sink, sizeof sink, 0);
        ck_assert_int_gt(got, 0);
        left -= (size_t)got;
    }
    while (f.writes == 0)
        turn(&f);
    kn_transport_want(f.transport, 0);
    f.writes = 0;
    ck_assert_int_eq(kn_loop_turn(f.loop, 0, NULL), KC_OK);
    ck_assert_int_eq(f.writes, 0);
    cleanup(&f);
}
END_TEST

START_TEST(writing_to_a_closed_peer_is_an_error_and_no_signal)
{
    fixture f;
    init(&f);
    connect_to_listener(&f);
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    ck_assert_int_eq(setsockopt(f.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(f.peer);
    f.peer = -1;
    struct iovec iov = {f.in, 100};
    size_t sent = 0;
    ck_assert_int_eq(kn_transport_write(f.transport, &iov, 1, &sent, &f.error),
                     KC_ERR_DISCONNECTED);
    ck_assert_int_ne(f.error.os_errno, 0);
    cleanup(&f);
}
END_TEST

START_TEST(closing_while_connecting_leaves_nothing_behind)
{
    fixture f;
    init(&f);
    ck_assert_int_eq(open_address(&f, "127.0.0.1", f.port), KC_OK);
    kn_transport_close(f.transport);
    f.transport = NULL;
    ck_assert_int_eq(kn_loop_turn(f.loop, 0, NULL), KC_OK);
    ck_assert_int_eq(f.opens + f.fails, 0);
    cleanup(&f);
}
END_TEST

START_TEST(buffer_sizes_are_set_when_asked_for)
{
    fixture f;
    init(&f);
    kn_open_options options = {.send_buffer_bytes = 20000,
                               .receive_buffer_bytes = 30000,
                               .on_event = on_event,
                               .user = &f};
    ck_assert(kn_address_parse(KC_STR("127.0.0.1"), f.port, &options.address));
    ck_assert_int_eq(kn_network_open(f.network, &options, &f.transport, &f.error), KC_OK);
    while (f.opens == 0)
        turn(&f);
    f.peer = accept(f.listener, NULL, NULL);
    int fd = fd_of(&f);
    int value = 0;
    socklen_t len = sizeof value;
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &len), 0);
    ck_assert_int_eq(value, 40000); // the kernel doubles it
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &len), 0);
    ck_assert_int_eq(value, 60000);
    cleanup(&f);
}
END_TEST

START_TEST(no_memory_or_a_virtual_loop_is_an_error_at_once)
{
    fixture f;
    init(&f);
    f.mem.limit = f.mem.used;
    ck_assert_int_eq(open_address(&f, "127.0.0.1", f.port), KC_ERR_NOMEM);
    f.mem.limit = SIZE_MAX;
    kn_loop *loop;
    kn_network *network;
    ck_assert_int_eq(kn_loop_new_virtual(&f.mem, 0, 0, &loop), KC_OK);
    ck_assert_int_eq(kn_tcp_network_new(&f.mem, loop, &network), KC_OK);
    kn_network *real = f.network;
    f.network = network;
    ck_assert_int_eq(open_address(&f, "127.0.0.1", f.port), KC_ERR_IO);
    f.network = real;
    kn_network_free(network);
    kn_loop_free(loop);
    cleanup(&f);
}
END_TEST
