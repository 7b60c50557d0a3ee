/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Listeners, and connections between sockets and conn.h.
 *
 * A connection's socket is watched for what it can do: reading while its conn wants input and the link's allowance has
 * bytes left, writing while the kernel takes no more. Output leaves in a task at the end of what a turn did, until the
 * kernel says EAGAIN. A broker that is down keeps its port: a socket bound to it that does not listen refuses who calls,
 * and nobody else gets a port that was free.
 *
 * Weather: a link that is cut off is not watched at all, so that neither bytes nor ends are noticed, as behind a router
 * that is gone; the kernel still shakes hands for the listener. A slow link shares an allowance of bytes each way, which
 * time fills up. */
#define _GNU_SOURCE // accept4
#include "mock/tcp_server.h"

#include "mock/conn.h"
#include "net/address.h"
#include "protocol/base/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 512
/** Connections taken in one turn, for fairness. */
#define ACCEPTS_MAX 64
/** Pause of accepting when there is no descriptor or memory for a connection. */
#define ACCEPT_PAUSE_US 50000
/** Read at once; so often in one turn. */
#define READ_BYTES ((size_t)64 << 10)
#define READS_MAX  4
/** A slow link's bytes come in portions of so long. */
#define PORTION_US 10000

typedef union any_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} any_sockaddr;

/** Bytes that may move now. */
typedef struct tcp_allowance {
    int64_t bytes;
    int64_t at_us; /**< counted up to then */
} tcp_allowance;

/** One broker's listener. */
typedef struct tcp_port {
    km_tcp_server *server;
    km_broker *broker;
    kn_address address;
    kn_watch watch; /**< fd -1: none */
    bool is_listening;
    kn_timer resume; /**< of accepting */
    kb_list links;   /**< tcp_link     */
    size_t link_count;
    km_tcp_weather weather;
    tcp_allowance in, out;
    kn_timer refill; /**< somebody waits for an allowance */
} tcp_port;

/** One connection. */
typedef struct tcp_link {
    kb_list node;
    kb_list dirty;  /**< in server->dirty: has output, or has ended */
    kb_list paused; /**< in server->paused: its conn wants no input */
    tcp_port *port;
    km_conn *conn;
    kn_watch watch;
    bool is_blocked; /**< the kernel takes no more output */
    char peer[KN_ADDRESS_TEXT_MAX];
} tcp_link;

struct km_tcp_server {
    kn_loop *loop;
    km_cluster *cluster;
    kn_timer timer; /**< when the cluster has something to do next */
    kn_task settle; /**< after anything happened                   */
    kb_list dirty, paused;
    tcp_port ports[KM_BROKERS_MAX];
    int port_count;
    uint8_t in[READ_BYTES];
};

static void advance(km_tcp_server *server)
{
    km_cluster_advance(server->cluster, kn_loop_now_us(server->loop),
                       kn_loop_wall_ms(server->loop));
    kn_task_queue(server->loop, &server->settle);
}

/* ---- weather ---- */

/** How many bytes may move now. */
static size_t allowed(const tcp_port *port, tcp_allowance *allowance)
{
    int64_t rate = port->weather.bytes_per_second;
    if (rate == 0)
        return SIZE_MAX;
    int64_t now_us = kn_loop_now_us(port->server->loop);
    int64_t portion = rate * PORTION_US / 1000000 + 1;
    if (now_us - allowance->at_us > 1000000)
        allowance->at_us = now_us - 1000000;
    int64_t gained = (now_us - allowance->at_us) * rate / 1000000;
    allowance->bytes += gained;
    allowance->at_us += gained * 1000000 / rate;
    if (allowance->bytes > 2 * portion)
        allowance->bytes = 2 * portion;
    return allowance->bytes > 0 ? (size_t)allowance->bytes : 0;
}

static void spend(const tcp_port *port, tcp_allowance *allowance, size_t len)
{
    if (port->weather.bytes_per_second > 0)
        allowance->bytes -= (int64_t)len;
}

static void await_refill(tcp_port *port)
{
    int64_t byte_us = 1000000 / port->weather.bytes_per_second + 1;
    int64_t wait_us = byte_us > PORTION_US ? byte_us : PORTION_US;
    if (!kn_timer_is_set(&port->refill) &&
        kn_timer_set(port->server->loop, &port->refill,
                     kn_loop_now_us(port->server->loop) + wait_us))
        return; /* it always is KC_OK */
}

/* ---- one connection ---- */

static void mark_dirty(tcp_link *link)
{
    if (kb_list_is_empty(&link->dirty))
        kb_list_push_back(&link->port->server->dirty, &link->dirty);
    kn_task_queue(link->port->server->loop, &link->port->server->settle);
}

static void on_output(km_conn *conn, void *user)
{
    (void)conn;
    mark_dirty(user);
}

static const char *peer_of(void *user)
{
    const tcp_link *link = user;
    return link->peer;
}

static const km_conn_ops conn_ops = {.on_output = on_output, .peer = peer_of};

static void reset_socket(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

/** `how`: for the log. */
static void link_free(tcp_link *link, bool is_reset, const char *how)
{
    tcp_port *port = link->port;
    km_cluster *cluster = port->server->cluster;
    kb_log_line(&cluster->log, KC_LOG_INFO, "broker %d: connection of %s %s", port->broker->id,
                link->peer, how);
    kn_loop_unwatch(port->server->loop, &link->watch);
    if (is_reset)
        reset_socket(link->watch.fd);
    else
        close(link->watch.fd);
    km_conn_free(link->conn);
    kb_list_remove(&link->node);
    kb_list_remove(&link->dirty);
    kb_list_remove(&link->paused);
    port->link_count--;
    kb_mem_free(cluster->mem, link);
}

/** Watch the socket for what it can do now. False: it can't be watched. */
static bool rewatch(tcp_link *link)
{
    tcp_port *port = link->port;
    kn_loop *loop = port->server->loop;
    if (port->weather.is_cut_off) {
        kn_loop_unwatch(loop, &link->watch);
        return true;
    }
    bool wants_input = km_conn_wants_input(link->conn);
    kb_list_remove(&link->paused);
    if (!wants_input)
        kb_list_push_back(&port->server->paused, &link->paused);
    uint32_t events = link->is_blocked ? (uint32_t)EPOLLOUT : 0;
    if (wants_input && allowed(port, &port->in) > 0)
        events |= EPOLLIN;
    else if (wants_input)
        await_refill(port);
    if (!link->watch.is_on)
        return kn_loop_watch(loop, &link->watch, events) == KC_OK;
    kn_loop_watch_modify(loop, &link->watch, events);
    return true;
}

/** Send what can be sent. False: the connection is lost. */
static bool send_output(tcp_link *link)
{
    tcp_port *port = link->port;
    link->is_blocked = false;
    for (;;) {
        kc_bytes output = km_conn_output(link->conn);
        size_t most = allowed(port, &port->out);
        if (output.len == 0)
            return true;
        if (most == 0) {
            await_refill(port);
            return true;
        }
        most = most < output.len ? most : output.len;
        ssize_t sent = send(link->watch.fd, output.ptr, most, MSG_NOSIGNAL);
        if (sent >= 0) {
            km_conn_sent(link->conn, (size_t)sent);
            spend(port, &port->out, (size_t)sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            link->is_blocked = true;
            return true;
        } else if (errno != EINTR) {
            return false;
        }
    }
}

static void flush(tcp_link *link)
{
    if (link->port->weather.is_cut_off)
        return; /* told again when it is over */
    if (!send_output(link))
        link_free(link, false, "lost");
    else if (km_conn_is_cut(link->conn))
        link_free(link, true, "cut");
    else if (km_conn_is_done(link->conn) && km_conn_output(link->conn).len == 0)
        link_free(link, false, "closed by the broker");
    else if (!rewatch(link))
        link_free(link, true, "can't be watched");
}

/** False: the connection is gone. */
static bool receive(tcp_link *link)
{
    tcp_port *port = link->port;
    km_tcp_server *server = port->server;
    for (int i = 0; i < READS_MAX && km_conn_wants_input(link->conn); i++) {
        size_t most = allowed(port, &port->in);
        if (most == 0)
            break;
        most = most < READ_BYTES ? most : READ_BYTES;
        ssize_t got = recv(link->watch.fd, server->in, most, 0);
        if (got <= 0) {
            if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
                break;
            link_free(link, false, got == 0 ? "closed by the client" : "lost");
            return false;
        }
        spend(port, &port->in, (size_t)got);
        km_conn_receive(link->conn, kc_span(server->in, (size_t)got));
        if ((size_t)got < most)
            break;
    }
    return true;
}

static void on_link(kn_watch *watch, uint32_t events)
{
    tcp_link *link = watch->user;
    advance(link->port->server);
    if (events & EPOLLIN) {
        if (!receive(link))
            return;
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        link_free(link, false, "lost");
        return;
    }
    mark_dirty(link);
}

/* ---- taking connections ---- */

static kn_address from_sockaddr(const any_sockaddr *from)
{
    kn_address address = {.is_v6 = from->any.sa_family == AF_INET6};
    if (address.is_v6) {
        address.port = ntohs(from->v6.sin6_port);
        address.scope = from->v6.sin6_scope_id;
        memcpy(address.ip, &from->v6.sin6_addr, 16);
    } else {
        address.port = ntohs(from->v4.sin_port);
        memcpy(address.ip, &from->v4.sin_addr, 4);
    }
    return address;
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

static void link_new(tcp_port *port, int fd, const any_sockaddr *from)
{
    km_cluster *cluster = port->server->cluster;
    tcp_link *link = kb_mem_zalloc(cluster->mem, sizeof *link);
    km_conn *conn = link ? km_conn_new(port->broker, &conn_ops, link) : NULL;
    if (!conn) {
        km_memory_check(cluster);
        kb_mem_free(cluster->mem, link);
        reset_socket(fd);
        return;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    kn_address peer = from_sockaddr(from);
    kn_address_format(&peer, link->peer);
    link->port = port;
    link->conn = conn;
    link->watch = (kn_watch){.fd = fd, .fn = on_link, .user = link};
    kb_list_init(&link->dirty);
    kb_list_init(&link->paused);
    kb_list_push_back(&port->links, &link->node);
    port->link_count++;
    kb_log_line(&cluster->log, KC_LOG_INFO, "broker %d: connection of %s opened", port->broker->id,
                link->peer);
    if (!rewatch(link))
        link_free(link, true, "can't be watched");
}

/** A connection that waits keeps the listener ready: without a pause this would spin. */
static void pause_accepting(tcp_port *port, int os_errno)
{
    kn_loop *loop = port->server->loop;
    kb_log_line(&port->server->cluster->log, KC_LOG_WARNING,
                "broker %d: a connection can't be taken now: %s", port->broker->id,
                os_errno == EMFILE || os_errno == ENFILE ? "no descriptor is left"
                                                         : "the system is out of memory");
    kn_loop_watch_modify(loop, &port->watch, 0);
    if (kn_timer_set(loop, &port->resume, kn_loop_now_us(loop) + ACCEPT_PAUSE_US))
        return; /* it always is KC_OK */
}

static void on_resume(kn_timer *timer)
{
    tcp_port *port = timer->user;
    if (port->watch.is_on)
        kn_loop_watch_modify(port->server->loop, &port->watch, EPOLLIN);
}

static void on_listener(kn_watch *watch, uint32_t events)
{
    tcp_port *port = watch->user;
    (void)events;
    advance(port->server);
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        any_sockaddr from;
        socklen_t len = sizeof from;
        memset(&from, 0, sizeof from);
        int fd = accept4(watch->fd, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            link_new(port, fd, &from);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(port, errno);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } /* else: that one was gone before it was taken */
    }
}

/* ---- listeners ---- */

/** A socket bound to the port's address, which gets its number; -1 with errno. */
static int bind_port(tcp_port *port)
{
    any_sockaddr address;
    socklen_t len = to_sockaddr(&port->address, &address);
    int on = 1;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* Connections of before, in TIME_WAIT, don't keep the port. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &address.any, len) < 0 || getsockname(fd, &address.any, &len) < 0) {
        int os_errno = errno;
        close(fd);
        errno = os_errno;
        return -1;
    }
    port->address.port = from_sockaddr(&address).port;
    return fd;
}

static void watch_listener(tcp_port *port)
{
    bool is_wanted = port->is_listening && !port->weather.is_cut_off;
    kn_loop *loop = port->server->loop;
    kn_timer_stop(loop, &port->resume);
    if (!is_wanted)
        kn_loop_unwatch(loop, &port->watch);
    else if (port->watch.is_on)
        kn_loop_watch_modify(loop, &port->watch, EPOLLIN);
    else if (kn_loop_watch(loop, &port->watch, EPOLLIN))
        kb_log_line(&port->server->cluster->log, KC_LOG_ERROR,
                    "broker %d: its listener can't be watched", port->broker->id);
}

static kc_err start_listening(tcp_port *port, kc_error *err)
{
    if (port->watch.fd < 0)
        port->watch.fd = bind_port(port);
    if (port->watch.fd < 0 || listen(port->watch.fd, BACKLOG) < 0) {
        char text[KN_ADDRESS_TEXT_MAX];
        int os_errno = errno;
        kn_address_format(&port->address, text);
        return kb_error_errno(err, KC_ERR_IO, os_errno, "broker %d can't listen on %s",
                              port->broker->id, text);
    }
    port->is_listening = true;
    watch_listener(port);
    return KC_OK;
}

/** Who calls is refused from now on. The port stays ours. */
static void stop_listening(tcp_port *port)
{
    port->is_listening = false;
    watch_listener(port);
    if (port->watch.fd >= 0)
        close(port->watch.fd);
    port->watch.fd = bind_port(port);
}

static void on_state(km_broker *broker, void *carrier)
{
    km_tcp_server *server = carrier;
    tcp_port *port = &server->ports[broker->id - 1];
    kc_error err;
    if (broker->is_down)
        stop_listening(port);
    else if (start_listening(port, &err))
        kb_log_line(&server->cluster->log, KC_LOG_ERROR, "%s", err.text);
    kn_task_queue(server->loop, &server->settle);
}

/* ---- the server ---- */

/** What the brokers have to say leaves, and the timer follows theirs. */
static void on_settle(kn_task *task)
{
    km_tcp_server *server = task->user;
    kb_list now;
    kb_list *node;
    KB_LIST_FOR (each, &server->paused) {
        tcp_link *link = KB_CONTAINER(each, tcp_link, paused);
        if (km_conn_wants_input(link->conn))
            mark_dirty(link);
    }
    kb_list_init(&now);
    kb_list_splice_back(&now, &server->dirty);
    while ((node = kb_list_pop_front(&now)))
        flush(KB_CONTAINER(node, tcp_link, dirty));
    int64_t due_us = km_cluster_next_due(server->cluster);
    if (due_us == INT64_MAX)
        kn_timer_stop(server->loop, &server->timer);
    else if (kn_timer_set(server->loop, &server->timer, due_us))
        return; /* it always is KC_OK */
}

static void on_due(kn_timer *timer)
{
    advance(timer->user);
}

static void mark_all(tcp_port *port)
{
    KB_LIST_FOR (node, &port->links) {
        mark_dirty(KB_CONTAINER(node, tcp_link, node));
    }
}

/** Those who waited longest come first. */
static void on_refill(kn_timer *timer)
{
    tcp_port *port = timer->user;
    kb_list *first = kb_list_pop_front(&port->links);
    if (first)
        kb_list_push_back(&port->links, first);
    mark_all(port);
}

static void port_init(tcp_port *port, km_tcp_server *server, km_broker *broker)
{
    port->server = server;
    port->broker = broker;
    port->watch = (kn_watch){.fd = -1, .fn = on_listener, .user = port};
    port->resume.fn = on_resume;
    port->resume.user = port;
    port->refill.fn = on_refill;
    port->refill.user = port;
    kb_list_init(&port->links);
}

static bool is_wildcard(const kn_address *address)
{
    static const uint8_t zero[16];
    return memcmp(address->ip, zero, address->is_v6 ? 16 : 4) == 0;
}

/** What clients are told. */
static void advertise(tcp_port *port, const char *host)
{
    char text[KN_ADDRESS_TEXT_MAX];
    if (!host && is_wildcard(&port->address))
        host = port->address.is_v6 ? "::1" : "127.0.0.1";
    if (!host) {
        kn_address_host(&port->address, text);
        host = text;
    }
    snprintf(port->broker->host, sizeof port->broker->host, "%s", host);
    port->broker->port = port->address.port;
}

static kc_err listen_all(km_tcp_server *server, const km_tcp_options *options, kc_error *err)
{
    km_cluster *cluster = server->cluster;
    const char *host = options->listen_host ? options->listen_host : "127.0.0.1";
    kn_address address;
    if (!kn_address_parse(kc_str(host), 0, &address))
        return kb_error_set(err, KC_ERR_ARGUMENT, "\"%.60s\" is no IP address to listen on", host);
    if (options->advertised_host &&
        (strlen(options->advertised_host) > KN_HOST_MAX || strlen(options->advertised_host) == 0))
        return kb_error_set(err, KC_ERR_ARGUMENT, "the advertised host needs 1 to %d bytes",
                            KN_HOST_MAX);
    if (options->port + cluster->broker_count - 1 > UINT16_MAX)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "%d brokers from port %d on need ports above 65535",
                            cluster->broker_count, options->port);
    for (int i = 0; i < cluster->broker_count; i++) {
        tcp_port *port = &server->ports[i];
        port_init(port, server, &cluster->brokers[i]);
        server->port_count++;
        port->address = address;
        port->address.port = options->port == 0 ? 0 : (uint16_t)(options->port + i);
        KB_TRY(start_listening(port, err));
        advertise(port, options->advertised_host);
        port->broker->carrier = server;
        port->broker->on_state = on_state;
    }
    return KC_OK;
}

kc_err km_tcp_server_new(kn_loop *loop, km_cluster *cluster, const km_tcp_options *options,
                         km_tcp_server **server_out, kc_error *err)
{
    km_tcp_server *server = kb_mem_zalloc(cluster->mem, sizeof *server);
    if (!server)
        return kb_error_code(err, KC_ERR_NOMEM);
    server->loop = loop;
    server->cluster = cluster;
    server->timer.fn = on_due;
    server->timer.user = server;
    server->settle.fn = on_settle;
    server->settle.user = server;
    kb_list_init(&server->dirty);
    kb_list_init(&server->paused);
    kc_err failed = listen_all(server, options, err);
    if (failed) {
        km_tcp_server_free(server);
        return failed;
    }
    *server_out = server;
    return KC_OK;
}

static void port_cleanup(tcp_port *port)
{
    kn_loop *loop = port->server->loop;
    KB_LIST_FOR (node, &port->links) {
        link_free(KB_CONTAINER(node, tcp_link, node), false, "closed: the end");
    }
    kn_loop_unwatch(loop, &port->watch);
    kn_timer_stop(loop, &port->resume);
    kn_timer_stop(loop, &port->refill);
    if (port->watch.fd >= 0)
        close(port->watch.fd);
    port->broker->carrier = NULL;
    port->broker->on_state = NULL;
}

void km_tcp_server_free(km_tcp_server *server)
{
    if (!server)
        return;
    for (int i = 0; i < server->port_count; i++)
        port_cleanup(&server->ports[i]);
    kn_timer_stop(server->loop, &server->timer);
    kn_task_cancel(&server->settle);
    kb_mem_free(server->cluster->mem, server);
}

void km_tcp_server_abandon(km_tcp_server *server)
{
    for (int i = 0; i < server->port_count; i++)
        if (server->ports[i].watch.fd >= 0)
            close(server->ports[i].watch.fd);
}

void km_tcp_server_settle(km_tcp_server *server)
{
    kn_task_queue(server->loop, &server->settle);
}

void km_tcp_server_set_weather(km_tcp_server *server, int32_t broker_id,
                               const km_tcp_weather *weather)
{
    tcp_port *port = &server->ports[broker_id - 1];
    int64_t now_us = kn_loop_now_us(server->loop);
    port->weather = *weather;
    port->in = port->out = (tcp_allowance){.at_us = now_us};
    watch_listener(port);
    KB_LIST_FOR (node, &port->links) {
        tcp_link *link = KB_CONTAINER(node, tcp_link, node);
        mark_dirty(link);
        if (!rewatch(link))
            link_free(link, true, "can't be watched");
    }
}

km_tcp_weather km_tcp_server_weather(const km_tcp_server *server, int32_t broker_id)
{
    return server->ports[broker_id - 1].weather;
}

bool km_tcp_server_is_listening(const km_tcp_server *server, int32_t broker_id)
{
    return server->ports[broker_id - 1].is_listening;
}

size_t km_tcp_server_connections(const km_tcp_server *server, int32_t broker_id)
{
    return server->ports[broker_id - 1].link_count;
}
