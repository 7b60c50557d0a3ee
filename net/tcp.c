/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Non-blocking TCP sockets as transports. */
#define _POSIX_C_SOURCE 200809L // strerror_r that returns int
#include "net/tcp.h"

#include "net/resolve.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct tcp_network {
    kn_network base;
    kb_mem *mem;
    kn_loop *loop;
    kn_resolver *resolver;
    size_t open; /**< transports not closed yet */
} tcp_network;

typedef struct tcp_transport {
    kn_transport base;
    tcp_network *network;
    kn_watch watch;
    bool is_open;
} tcp_transport;

typedef union any_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} any_sockaddr;

/** Only the cause: who tells the user adds what was tried and where. */
static kc_err fail(kc_error *err, kc_err code, kc_phase phase, int os_errno)
{
    char reason[96];
    if (strerror_r(os_errno, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "errno %d", os_errno);
    kb_error_set(err, code, "%s", reason);
    if (err) {
        err->os_errno = os_errno;
        err->phase = phase;
    }
    return code;
}

static kc_err tcp_read(kn_transport *transport, void *into, size_t len, size_t *len_out,
                       kc_error *err)
{
    tcp_transport *tcp = (tcp_transport *)transport;
    ssize_t got;
    do
        got = recv(tcp->watch.fd, into, len, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        *len_out = (size_t)got;
        return KC_OK;
    }
    if (got == 0)
        return KC_ERR_END;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return KC_ERR_AGAIN;
    return fail(err, KC_ERR_DISCONNECTED, KC_PHASE_API, errno);
}

static kc_err tcp_write(kn_transport *transport, const struct iovec *iov, int count,
                        size_t *len_out, kc_error *err)
{
    tcp_transport *tcp = (tcp_transport *)transport;
    /* sendmsg() reads the pieces only; its struct serves receiving too, hence no const. */
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    ssize_t sent;
    do
        sent = sendmsg(tcp->watch.fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        *len_out = (size_t)sent;
        return KC_OK;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return KC_ERR_AGAIN;
    return fail(err, KC_ERR_DISCONNECTED, KC_PHASE_API, errno);
}

static void tcp_want(kn_transport *transport, unsigned events)
{
    tcp_transport *tcp = (tcp_transport *)transport;
    if (tcp->is_open)
        kn_loop_watch_modify(tcp->network->loop, &tcp->watch,
                             EPOLLIN | (events & KN_EVENT_WRITE ? (uint32_t)EPOLLOUT : 0));
}

static void tcp_close(kn_transport *transport)
{
    tcp_transport *tcp = (tcp_transport *)transport;
    tcp_network *network = tcp->network;
    kn_loop_unwatch(network->loop, &tcp->watch);
    close(tcp->watch.fd);
    network->open--;
    kb_mem_free(network->mem, tcp);
}

static const kn_transport_ops tcp_ops = {tcp_read, tcp_write, tcp_want, tcp_close};

/** On loopback, a connect to a free port of the ephemeral range may meet itself (simultaneous
 * open). */
static bool is_self_connected(int fd)
{
    any_sockaddr here, there;
    socklen_t here_len = sizeof here;
    socklen_t there_len = sizeof there;
    memset(&here, 0, sizeof here);
    memset(&there, 0, sizeof there);
    return getsockname(fd, &here.any, &here_len) == 0 &&
           getpeername(fd, &there.any, &there_len) == 0 && here_len == there_len &&
           memcmp(&here, &there, here_len) == 0;
}

static void on_connected(tcp_transport *tcp)
{
    int os_errno = 0;
    socklen_t len = sizeof os_errno;
    if (getsockopt(tcp->watch.fd, SOL_SOCKET, SO_ERROR, &os_errno, &len) < 0)
        os_errno = errno;
    if (os_errno == 0 && is_self_connected(tcp->watch.fd))
        os_errno = ECONNREFUSED;
    if (os_errno != 0) {
        kc_error error;
        fail(&error, KC_ERR_CONNECT, KC_PHASE_CONNECT, os_errno);
        kn_loop_watch_modify(tcp->network->loop, &tcp->watch, 0);
        tcp->base.on_event(tcp->base.user, KN_EVENT_FAILED, &error);
        return;
    }
    tcp->is_open = true;
    kn_loop_watch_modify(tcp->network->loop, &tcp->watch, EPOLLIN);
    tcp->base.on_event(tcp->base.user, KN_EVENT_OPEN, NULL);
}

static void on_watch(kn_watch *watch, uint32_t events)
{
    tcp_transport *tcp = watch->user;
    if (!tcp->is_open) {
        on_connected(tcp);
        return;
    }
    unsigned mask = 0;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        mask |= KN_EVENT_READ;
    if (events & EPOLLOUT)
        mask |= KN_EVENT_WRITE;
    tcp->base.on_event(tcp->base.user, mask, NULL);
}

static socklen_t to_sockaddr(const kn_address *address, any_sockaddr *out)
{
    memset(out, 0, sizeof *out);
    if (address->is_v6) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(address->port);
        out->v6.sin6_scope_id = address->scope;
        memcpy(&out->v6.sin6_addr, address->ip, 16);
        return sizeof out->v6;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(address->port);
    memcpy(&out->v4.sin_addr, address->ip, 4);
    return sizeof out->v4;
}

/** What can't be set is the system's affair: the connection works without. */
static void set_options(int fd, const kn_open_options *options)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    int bytes = options->send_buffer_bytes;
    if (bytes > 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    bytes = options->receive_buffer_bytes;
    if (bytes > 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

/** A socket on its way to the address, or -1 with errno. */
static int begin_connect(const kn_open_options *options)
{
    any_sockaddr address;
    socklen_t len = to_sockaddr(&options->address, &address);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set_options(fd, options);
    if (connect(fd, &address.any, len) == 0 || errno == EINPROGRESS || errno == EINTR)
        return fd;
    int os_errno = errno;
    close(fd);
    errno = os_errno;
    return -1;
}

static kc_err tcp_open(kn_network *base, const kn_open_options *options,
                       kn_transport **transport_out, kc_error *err)
{
    tcp_network *network = (tcp_network *)base;
    tcp_transport *tcp = kb_mem_zalloc(network->mem, sizeof *tcp);
    if (!tcp)
        return kb_error_code(err, KC_ERR_NOMEM);
    tcp->base = (kn_transport){&tcp_ops, options->on_event, options->user};
    tcp->network = network;
    int fd = begin_connect(options);
    tcp->watch = (kn_watch){.fd = fd, .fn = on_watch, .user = tcp};
    if (fd < 0 || kn_loop_watch(network->loop, &tcp->watch, EPOLLOUT) != KC_OK) {
        int os_errno = errno;
        if (fd >= 0)
            close(fd);
        kb_mem_free(network->mem, tcp);
        return fail(err, fd < 0 ? KC_ERR_CONNECT : KC_ERR_IO, KC_PHASE_CONNECT, os_errno);
    }
    network->open++;
    *transport_out = &tcp->base;
    return KC_OK;
}

static void tcp_resolve(kn_network *base, kn_lookup *lookup)
{
    kn_resolver_start(((tcp_network *)base)->resolver, lookup);
}

static void tcp_cancel(kn_network *base, kn_lookup *lookup)
{
    kn_resolver_cancel(((tcp_network *)base)->resolver, lookup);
}

static void tcp_name(kn_network *base, kn_naming *naming)
{
    kn_resolver_name(((tcp_network *)base)->resolver, naming);
}

static void tcp_cancel_name(kn_network *base, kn_naming *naming)
{
    kn_resolver_cancel_name(((tcp_network *)base)->resolver, naming);
}

static void tcp_free(kn_network *base)
{
    tcp_network *network = (tcp_network *)base;
    assert(network->open == 0);
    kn_resolver_free(network->resolver);
    kb_mem_free(network->mem, network);
}

static const kn_network_ops tcp_network_ops = {
    .resolve = tcp_resolve,
    .cancel = tcp_cancel,
    .name = tcp_name,
    .cancel_name = tcp_cancel_name,
    .open = tcp_open,
    .free = tcp_free,
};

kc_err kn_tcp_network_new(kb_mem *mem, kn_loop *loop, kn_network **network_out)
{
    assert(mem && loop && network_out);
    tcp_network *network = kb_mem_zalloc(mem, sizeof *network);
    if (!network)
        return KC_ERR_NOMEM;
    network->base.ops = &tcp_network_ops;
    network->mem = mem;
    network->loop = loop;
    kc_err err = kn_resolver_new(mem, loop, &network->resolver);
    if (err != KC_OK) {
        kb_mem_free(mem, network);
        return err;
    }
    *network_out = &network->base;
    return KC_OK;
}
