/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * c-ares on the loop.
 *
 * Literals never reach c-ares, which would ask a server for 127.0.0.1. Sockets come by
 * ARES_OPT_SOCK_STATE_CB, since ares_getsock() stops at 16 of them. The channel lives only while a
 * look-up is under way: so it holds no socket and no timer when idle, and each burst of look-ups
 * reads the system's configuration anew (a changed resolv.conf is honoured, a moved broker is
 * found). c-ares allocates with the C library's malloc: its allocator is one per process and not
 * ours to take. */
#define _DEFAULT_SOURCE // fd_set, which ares.h takes for granted
#include "net/resolve.h"

#include <ares.h>
#include <assert.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>

struct kn_resolver {
    kb_mem *mem;
    kn_loop *loop;
    ares_channel channel; /**< NULL: none */
    kb_list sockets;      /**< resolver_socket */
    size_t live;          /**< queries that somebody still waits for */
    kn_timer timer;
    kn_task tidy;
    const char *server;
    bool is_broken; /**< a socket could not be watched: give the channel up */
};

/** One of the sockets of c-ares. */
typedef struct resolver_socket {
    kb_list node;
    kn_watch watch;
    kn_resolver *resolver;
} resolver_socket;

/** What c-ares holds on to; outlives a cancelled look-up, where both are NULL. */
typedef struct resolver_query {
    kn_resolver *resolver;
    kn_lookup *lookup;
    kn_naming *naming;
} resolver_query;

static void finish(kn_resolver *resolver, kn_lookup *lookup, kc_err err, const char *reason)
{
    lookup->err = err;
    lookup->reason = reason;
    kn_task_queue(resolver->loop, &lookup->task);
}

static void on_finished(kn_task *task)
{
    kn_lookup *lookup = task->user;
    lookup->done(lookup);
}

static void set_timer(kn_resolver *resolver)
{
    struct timeval wait;
    if (!resolver->channel || !ares_timeout(resolver->channel, NULL, &wait)) {
        kn_timer_stop(resolver->loop, &resolver->timer);
        return;
    }
    int64_t wait_us = (int64_t)wait.tv_sec * 1000000 + wait.tv_usec;
    kc_err err = kn_timer_set(resolver->loop, &resolver->timer,
                              kn_loop_refresh_now(resolver->loop) + wait_us);
    assert(err == KC_OK);
    (void)err;
}

static void on_timer(kn_timer *timer)
{
    kn_resolver *resolver = timer->user;
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(resolver);
}

static void on_socket(kn_watch *watch, uint32_t events)
{
    kn_resolver *resolver = ((resolver_socket *)watch->user)->resolver;
    bool is_readable = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
    bool is_writable = (events & EPOLLOUT) != 0;
    ares_socket_t fd = watch->fd; // the watch may be gone during the call
    ares_process_fd(resolver->channel, is_readable ? fd : ARES_SOCKET_BAD,
                    is_writable ? fd : ARES_SOCKET_BAD);
    kn_loop_more(resolver->loop);
    set_timer(resolver);
}

static resolver_socket *find_socket(const kn_resolver *resolver, ares_socket_t fd)
{
    KB_LIST_FOR (node, &resolver->sockets) {
        resolver_socket *sock = KB_CONTAINER(node, resolver_socket, node);
        if (sock->watch.fd == fd)
            return sock;
    }
    return NULL;
}

static void drop_socket(resolver_socket *sock)
{
    kn_resolver *resolver = sock->resolver;
    kn_loop_unwatch(resolver->loop, &sock->watch);
    kb_list_remove(&sock->node);
    kb_mem_free(resolver->mem, sock);
}

static bool add_socket(kn_resolver *resolver, ares_socket_t fd, uint32_t events)
{
    resolver_socket *sock = kb_mem_zalloc(resolver->mem, sizeof *sock);
    if (!sock)
        return false;
    sock->resolver = resolver;
    sock->watch = (kn_watch){.fd = fd, .fn = on_socket, .user = sock};
    kb_list_push_back(&resolver->sockets, &sock->node);
    if (kn_loop_watch(resolver->loop, &sock->watch, events) == KC_OK)
        return true;
    drop_socket(sock);
    return false;
}

/** c-ares says what it wants of a socket; nothing: it is about to close it. */
static void on_socket_state(void *user, ares_socket_t fd, int readable, int writable)
{
    kn_resolver *resolver = user;
    resolver_socket *sock = find_socket(resolver, fd);
    uint32_t events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0);
    if (events == 0) {
        if (sock)
            drop_socket(sock);
    } else if (sock) {
        kn_loop_watch_modify(resolver->loop, &sock->watch, events);
    } else if (!add_socket(resolver, fd, events)) {
        resolver->is_broken = true;
        kn_task_queue(resolver->loop, &resolver->tidy);
    }
}

static void close_channel(kn_resolver *resolver)
{
    if (!resolver->channel)
        return;
    ares_destroy(resolver->channel); // ends every query with ARES_EDESTRUCTION
    resolver->channel = NULL;
    resolver->is_broken = false;
    KB_LIST_FOR (node, &resolver->sockets)
        drop_socket(KB_CONTAINER(node, resolver_socket, node));
    kn_timer_stop(resolver->loop, &resolver->timer);
}

/** Not inside a callback of c-ares, which can't destroy its channel there. */
static void on_tidy(kn_task *task)
{
    kn_resolver *resolver = task->user;
    if (resolver->live == 0 || resolver->is_broken)
        close_channel(resolver);
}

static kc_err open_channel(kn_resolver *resolver, const char **reason)
{
    if (resolver->channel)
        return KC_OK;
    struct ares_options options = {.sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = resolver};
    ares_channel channel = NULL;
    int status = ares_init_options(&channel, &options, ARES_OPT_SOCK_STATE_CB);
    if (status == ARES_SUCCESS && resolver->server) {
        status = ares_set_servers_ports_csv(channel, resolver->server);
        if (status != ARES_SUCCESS)
            ares_destroy(channel);
    }
    if (status != ARES_SUCCESS) {
        *reason = ares_strerror(status);
        return status == ARES_ENOMEM ? KC_ERR_NOMEM : KC_ERR_RESOLVE;
    }
    resolver->channel = channel;
    return KC_OK;
}

static void add_address(kn_lookup *lookup, const struct sockaddr *from)
{
    kn_address address = {.port = lookup->port};
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        memcpy(address.ip, &in.sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, from, sizeof in);
        memcpy(address.ip, &in.sin6_addr, 16);
        address.scope = in.sin6_scope_id;
        address.is_v6 = true;
    } else {
        return;
    }
    for (size_t i = 0; i < lookup->count; i++)
        if (kn_address_equal(&lookup->addresses[i], &address))
            return;
    if (lookup->count < KN_ADDRESSES_MAX)
        lookup->addresses[lookup->count++] = address;
}

static void on_answer(void *user, int status, int timeouts, struct ares_addrinfo *result)
{
    (void)timeouts;
    resolver_query *query = user;
    kn_resolver *resolver = query->resolver;
    kn_lookup *lookup = query->lookup;
    kb_mem_free(resolver->mem, query);
    if (lookup) {
        lookup->query = NULL;
        if (--resolver->live == 0)
            kn_task_queue(resolver->loop, &resolver->tidy);
        for (struct ares_addrinfo_node *node = result ? result->nodes : NULL; node;
             node = node->ai_next)
            add_address(lookup, node->ai_addr);
        if (resolver->is_broken || status == ARES_ENOMEM)
            finish(resolver, lookup, KC_ERR_NOMEM, NULL);
        else if (status != ARES_SUCCESS)
            finish(resolver, lookup, KC_ERR_RESOLVE, ares_strerror(status));
        else if (lookup->count == 0)
            finish(resolver, lookup, KC_ERR_RESOLVE, "the name has no address");
        else
            finish(resolver, lookup, KC_OK, NULL);
    }
    ares_freeaddrinfo(result);
}

/** NULL: *err_out and *reason_out say why. */
static resolver_query *open_query(kn_resolver *resolver, kc_err *err_out, const char **reason_out)
{
    *err_out = open_channel(resolver, reason_out);
    resolver_query *query = NULL;
    if (*err_out == KC_OK)
        query = kb_mem_zalloc(resolver->mem, sizeof *query);
    if (query) {
        query->resolver = resolver;
        resolver->live++;
        return query;
    }
    if (*err_out == KC_OK)
        *err_out = KC_ERR_NOMEM;
    if (resolver->live == 0)
        kn_task_queue(resolver->loop, &resolver->tidy);
    return NULL;
}

/** Nobody waits for it any more; NULL: nobody did. */
static void leave_query(kn_resolver *resolver, resolver_query *query)
{
    if (!query)
        return;
    query->lookup = NULL;
    query->naming = NULL;
    if (--resolver->live == 0)
        kn_task_queue(resolver->loop, &resolver->tidy);
}

static void ask(kn_resolver *resolver, kn_lookup *lookup, const char *name)
{
    const char *reason = NULL;
    kc_err err;
    resolver_query *query = open_query(resolver, &err, &reason);
    if (!query) {
        finish(resolver, lookup, err, reason);
        return;
    }
    query->lookup = lookup;
    lookup->query = query;
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    /* May answer inside the call, from the hosts file. */
    ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_answer, query);
    set_timer(resolver);
}

void kn_resolver_start(kn_resolver *resolver, kn_lookup *lookup)
{
    assert(lookup->done && !lookup->query);
    kn_task_cancel(&lookup->task);
    lookup->task.fn = on_finished;
    lookup->task.user = lookup;
    lookup->count = 0;
    char name[KN_HOST_MAX + 1];
    if (kn_address_parse(lookup->host, lookup->port, &lookup->addresses[0])) {
        lookup->count = 1;
        finish(resolver, lookup, KC_OK, NULL);
    } else if (lookup->host.len == 0 || lookup->host.len > KN_HOST_MAX ||
               memchr(lookup->host.ptr, 0, lookup->host.len)) {
        finish(resolver, lookup, KC_ERR_RESOLVE, "not a host name");
    } else {
        memcpy(name, lookup->host.ptr, lookup->host.len);
        name[lookup->host.len] = 0;
        ask(resolver, lookup, name);
    }
}

void kn_resolver_cancel(kn_resolver *resolver, kn_lookup *lookup)
{
    kn_task_cancel(&lookup->task);
    leave_query(resolver, lookup->query);
    lookup->query = NULL;
}

/* ---- the name of an address ---- */

static void finish_name(kn_resolver *resolver, kn_naming *naming, kc_err err)
{
    naming->err = err;
    kn_task_queue(resolver->loop, &naming->task);
}

static void on_named(kn_task *task)
{
    kn_naming *naming = task->user;
    naming->done(naming);
}

/** What DNS calls a name may be anything, c-ares passes it on. */
static bool is_host_name(const char *name)
{
    kn_address literal;
    size_t len = strlen(name);
    if (len == 0 || len > KN_HOST_MAX || kn_address_parse(kc_str(name), 0, &literal))
        return false;
    for (const char *p = name; *p; p++) {
        bool is_letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        bool is_digit = *p >= '0' && *p <= '9';
        if (!is_letter && !is_digit && *p != '-' && *p != '_' && *p != '.')
            return false;
    }
    return true;
}

static void on_name(void *user, int status, int timeouts, char *name, char *service)
{
    (void)timeouts;
    (void)service;
    resolver_query *query = user;
    kn_resolver *resolver = query->resolver;
    kn_naming *naming = query->naming;
    kb_mem_free(resolver->mem, query);
    if (!naming)
        return;
    naming->query = NULL;
    if (--resolver->live == 0)
        kn_task_queue(resolver->loop, &resolver->tidy);
    if (resolver->is_broken || status == ARES_ENOMEM) {
        finish_name(resolver, naming, KC_ERR_NOMEM);
    } else if (status != ARES_SUCCESS || !name || !is_host_name(name)) {
        finish_name(resolver, naming, KC_ERR_RESOLVE);
    } else {
        memcpy(naming->name, name, strlen(name) + 1);
        finish_name(resolver, naming, KC_OK);
    }
}

static socklen_t to_sockaddr(const kn_address *address, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (address->is_v6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
        v6->sin6_family = AF_INET6;
        memcpy(&v6->sin6_addr, address->ip, 16);
        return sizeof *v6;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    v4->sin_family = AF_INET;
    memcpy(&v4->sin_addr, address->ip, 4);
    return sizeof *v4;
}

void kn_resolver_name(kn_resolver *resolver, kn_naming *naming)
{
    const char *reason;
    kc_err err;
    assert(naming->done && !naming->query);
    kn_task_cancel(&naming->task);
    naming->task.fn = on_named;
    naming->task.user = naming;
    naming->name[0] = 0;
    resolver_query *query = open_query(resolver, &err, &reason);
    if (!query) {
        finish_name(resolver, naming, err);
        return;
    }
    query->naming = naming;
    naming->query = query;
    struct sockaddr_storage address;
    socklen_t len = to_sockaddr(&naming->address, &address);
    /* May answer inside the call, from the hosts file. */
    ares_getnameinfo(resolver->channel, (struct sockaddr *)&address, len,
                     ARES_NI_LOOKUPHOST | ARES_NI_NAMEREQD, on_name, query);
    set_timer(resolver);
}

void kn_resolver_cancel_name(kn_resolver *resolver, kn_naming *naming)
{
    kn_task_cancel(&naming->task);
    leave_query(resolver, naming->query);
    naming->query = NULL;
}

kc_err kn_resolver_new(kb_mem *mem, kn_loop *loop, kn_resolver **resolver_out)
{
    assert(mem && loop && resolver_out);
    kn_resolver *resolver = kb_mem_zalloc(mem, sizeof *resolver);
    if (!resolver)
        return KC_ERR_NOMEM;
    resolver->mem = mem;
    resolver->loop = loop;
    kb_list_init(&resolver->sockets);
    resolver->timer = (kn_timer){.fn = on_timer, .user = resolver};
    resolver->tidy = (kn_task){.fn = on_tidy, .user = resolver};
    *resolver_out = resolver;
    return KC_OK;
}

void kn_resolver_free(kn_resolver *resolver)
{
    if (!resolver)
        return;
    assert(resolver->live == 0);
    close_channel(resolver);
    kn_task_cancel(&resolver->tidy);
    kb_mem_free(resolver->mem, resolver);
}

void kn_resolver_use_server(kn_resolver *resolver, const char *server)
{
    resolver->server = server;
}
