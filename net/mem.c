/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Names and listeners of the in-memory network. The connections are in mem_peer.c. */
#include "net/mem_core.h"

#include <assert.h>

typedef struct mem_name {
    kb_list node;
    char *name;
    kn_address addresses[KN_ADDRESSES_MAX];
    size_t count;
} mem_name;

/** The name of an address. */
typedef struct mem_canonical {
    kb_list node;
    kn_address address; /**< port 0 */
    char name[KN_HOST_MAX + 1];
} mem_canonical;

/** A look-up on its way. */
typedef struct mem_query {
    kn_timer timer;
    mem_view *view;
    kn_lookup *lookup;
} mem_query;

static mem_name *find_name(const kn_mem_network *network, kc_bytes text)
{
    KB_LIST_FOR (node, &network->names) {
        mem_name *name = KB_CONTAINER(node, mem_name, node);
        if (kc_bytes_equal(kc_str(name->name), text))
            return name;
    }
    return NULL;
}

static mem_name *add_name(kn_mem_network *network, const char *text)
{
    mem_name *name = kb_mem_zalloc(network->mem, sizeof *name);
    char *copy = kb_mem_strndup(network->mem, text, strlen(text));
    if (!name || !copy) {
        kb_mem_free(network->mem, name);
        kb_mem_free(network->mem, copy);
        return NULL;
    }
    name->name = copy;
    kb_list_push_back(&network->names, &name->node);
    return name;
}

static void free_name(kn_mem_network *network, mem_name *name)
{
    kb_list_remove(&name->node);
    kb_mem_free(network->mem, name->name);
    kb_mem_free(network->mem, name);
}

kc_err kn_mem_name_add(kn_mem_network *network, const char *text, const char *literal)
{
    kn_address address;
    if (!kn_address_parse(kc_str(literal), 0, &address))
        return KC_ERR_ARGUMENT;
    mem_name *name = find_name(network, kc_str(text));
    if (!name && !(name = add_name(network, text)))
        return KC_ERR_NOMEM;
    if (name->count == KN_ADDRESSES_MAX)
        return KC_ERR_TOO_LARGE;
    name->addresses[name->count++] = address;
    return KC_OK;
}

void kn_mem_name_remove(kn_mem_network *network, const char *text)
{
    mem_name *name = find_name(network, kc_str(text));
    if (name)
        free_name(network, name);
}

/** Address of a listener's host; a new name gets the next free one. */
static kc_err address_of(kn_mem_network *network, const char *host, uint16_t port, kn_address *out)
{
    if (kn_address_parse(kc_str(host), port, out))
        return KC_OK;
    mem_name *name = find_name(network, kc_str(host));
    if (!name && !(name = add_name(network, host)))
        return KC_ERR_NOMEM;
    if (name->count == 0) {
        uint32_t ip = network->next_ip++;
        name->addresses[name->count++] =
            (kn_address){.ip = {10, (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip}};
    }
    *out = name->addresses[0];
    out->port = port;
    return KC_OK;
}

mem_listener *kn_mem_find_listener(kn_mem_network *network, const kn_address *address)
{
    KB_LIST_FOR (node, &network->listeners) {
        mem_listener *listener = KB_CONTAINER(node, mem_listener, node);
        if (kn_address_equal(&listener->address, address))
            return listener;
    }
    return NULL;
}

static mem_listener *listener_at(kn_mem_network *network, const char *host, uint16_t port)
{
    kn_address address;
    if (address_of(network, host, port, &address) != KC_OK)
        return NULL;
    return kn_mem_find_listener(network, &address);
}

kc_err kn_mem_listen(kn_mem_network *network, const char *host, uint16_t port,
                     const kn_mem_server *server, void *user)
{
    kn_address address;
    kc_err err = address_of(network, host, port, &address);
    if (err != KC_OK)
        return err;
    if (kn_mem_find_listener(network, &address))
        return KC_ERR_STATE;
    mem_listener *listener = kb_mem_zalloc(network->mem, sizeof *listener);
    if (!listener)
        return KC_ERR_NOMEM;
    listener->address = address;
    listener->server = server;
    listener->user = user;
    kb_list_push_back(&network->listeners, &listener->node);
    return KC_OK;
}

void kn_mem_unlisten(kn_mem_network *network, const char *host, uint16_t port)
{
    mem_listener *listener = listener_at(network, host, port);
    if (!listener)
        return;
    kb_list_remove(&listener->node);
    kb_mem_free(network->mem, listener);
    kn_mem_network_reshaped(network); /* who waited at a paused one is refused now */
}

void kn_mem_pause(kn_mem_network *network, const char *host, uint16_t port, bool is_paused)
{
    mem_listener *listener = listener_at(network, host, port);
    if (!listener)
        return;
    listener->is_paused = is_paused;
    kn_mem_network_reshaped(network);
}

void kn_mem_cut(kn_mem_network *network, const char *host, uint16_t port)
{
    kn_address address;
    if (address_of(network, host, port, &address) != KC_OK)
        return;
    KB_LIST_FOR (node, &network->peers) {
        kn_mem_peer *peer = KB_CONTAINER(node, kn_mem_peer, node);
        if (!peer->is_open || !kn_address_equal(&peer->address, &address))
            continue;
        peer->is_reset = true;
        peer->is_cut = true;
        kn_mem_peer_schedule(peer);
    }
}

void kn_mem_half_open(kn_mem_network *network, const char *host, uint16_t port)
{
    kn_address address;
    if (address_of(network, host, port, &address) != KC_OK)
        return;
    KB_LIST_FOR (node, &network->peers) {
        kn_mem_peer *peer = KB_CONTAINER(node, kn_mem_peer, node);
        if (peer->is_open && kn_address_equal(&peer->address, &address))
            kn_mem_peer_lose_server(peer);
    }
}

static void look_up(kn_mem_network *network, kn_lookup *lookup)
{
    const mem_name *name = find_name(network, lookup->host);
    lookup->err = name && name->count > 0 ? KC_OK : KC_ERR_RESOLVE;
    lookup->reason = lookup->err == KC_OK ? NULL : "the name is not known";
    lookup->count = name ? name->count : 0;
    for (size_t i = 0; i < lookup->count; i++) {
        lookup->addresses[i] = name->addresses[i];
        lookup->addresses[i].port = lookup->port;
    }
}

static void on_looked_up(kn_task *task)
{
    kn_lookup *lookup = task->user;
    lookup->done(lookup);
}

static void on_query_timer(kn_timer *timer)
{
    mem_query *query = timer->user;
    kn_lookup *lookup = query->lookup;
    look_up(query->view->network, lookup);
    lookup->query = NULL;
    kb_mem_free(query->view->network->mem, query);
    lookup->done(lookup);
}

static void mem_resolve(kn_network *base, kn_lookup *lookup)
{
    mem_view *view = (mem_view *)base;
    kn_mem_network *network = view->network;
    assert(lookup->done && !lookup->query);
    kn_task_cancel(&lookup->task);
    lookup->task.fn = on_looked_up;
    lookup->task.user = lookup;
    if (kn_address_parse(lookup->host, lookup->port, &lookup->addresses[0])) {
        lookup->err = KC_OK;
        lookup->count = 1;
    } else if (network->shape.resolve_latency_us > 0) {
        mem_query *query = kb_mem_zalloc(network->mem, sizeof *query);
        if (query) {
            *query = (mem_query){{.fn = on_query_timer, .user = query}, view, lookup};
            lookup->query = query;
            kc_err err =
                kn_timer_set(view->loop, &query->timer,
                             kn_loop_now_us(view->loop) + network->shape.resolve_latency_us);
            assert(err == KC_OK);
            (void)err;
            return;
        }
        lookup->err = KC_ERR_NOMEM;
    } else {
        look_up(network, lookup);
    }
    kn_task_queue(view->loop, &lookup->task);
}

static void mem_cancel(kn_network *base, kn_lookup *lookup)
{
    mem_view *view = (mem_view *)base;
    kn_mem_network *network = view->network;
    kn_task_cancel(&lookup->task);
    mem_query *query = lookup->query;
    if (!query)
        return;
    lookup->query = NULL;
    kn_timer_stop(view->loop, &query->timer);
    kb_mem_free(network->mem, query);
}

static void on_named(kn_task *task)
{
    kn_naming *naming = task->user;
    naming->done(naming);
}

static mem_canonical *find_canonical(const kn_mem_network *network, const kn_address *address)
{
    kn_address key = *address;
    key.port = 0;
    KB_LIST_FOR (node, &network->canonicals) {
        mem_canonical *canonical = KB_CONTAINER(node, mem_canonical, node);
        if (kn_address_equal(&canonical->address, &key))
            return canonical;
    }
    return NULL;
}

kc_err kn_mem_canonical_set(kn_mem_network *network, const char *literal, const char *name)
{
    kn_address address;
    if (!kn_address_parse(kc_str(literal), 0, &address) || (name && strlen(name) > KN_HOST_MAX))
        return KC_ERR_ARGUMENT;
    mem_canonical *canonical = find_canonical(network, &address);
    if (!canonical) {
        canonical = kb_mem_zalloc(network->mem, sizeof *canonical);
        if (!canonical)
            return KC_ERR_NOMEM;
        canonical->address = address;
        kb_list_push_back(&network->canonicals, &canonical->node);
    }
    memcpy(canonical->name, name ? name : "", name ? strlen(name) + 1 : 1);
    return KC_OK;
}

static void mem_name_of(kn_network *base, kn_naming *naming)
{
    mem_view *view = (mem_view *)base;
    kn_mem_network *network = view->network;
    const mem_canonical *canonical = find_canonical(network, &naming->address);
    kn_task_cancel(&naming->task);
    naming->task.fn = on_named;
    naming->task.user = naming;
    naming->err = canonical && canonical->name[0] ? KC_OK : KC_ERR_RESOLVE;
    memcpy(naming->name, canonical ? canonical->name : "", canonical ? sizeof canonical->name : 1);
    kn_task_queue(view->loop, &naming->task);
}

static void mem_cancel_name(kn_network *base, kn_naming *naming)
{
    (void)base;
    kn_task_cancel(&naming->task);
}

static void mem_free(kn_network *base)
{
    mem_view *view = (mem_view *)base;
    kn_mem_network *network = view->network;
    if (view != &network->own) {
        kb_list_remove(&view->node);
        kb_mem_free(network->mem, view);
        return;
    }
    KB_LIST_FOR (node, &network->peers)
        kn_mem_peer_free(KB_CONTAINER(node, kn_mem_peer, node));
    KB_LIST_FOR (node, &network->listeners)
        kb_mem_free(network->mem, KB_CONTAINER(node, mem_listener, node));
    KB_LIST_FOR (node, &network->names)
        free_name(network, KB_CONTAINER(node, mem_name, node));
    KB_LIST_FOR (node, &network->canonicals)
        kb_mem_free(network->mem, KB_CONTAINER(node, mem_canonical, node));
    KB_LIST_FOR (node, &network->views)
        kb_mem_free(network->mem, KB_CONTAINER(node, mem_view, node));
    kb_mem_free(network->mem, network);
}

static const kn_network_ops mem_ops = {
    .resolve = mem_resolve,
    .cancel = mem_cancel,
    .name = mem_name_of,
    .cancel_name = mem_cancel_name,
    .open = kn_mem_open,
    .free = mem_free,
};

kc_err kn_mem_network_new(kb_mem *mem, kn_loop *loop, kb_rand *rand, kn_mem_network **network_out)
{
    assert(mem && loop && network_out);
    kn_mem_network *network = kb_mem_zalloc(mem, sizeof *network);
    if (!network)
        return KC_ERR_NOMEM;
    network->own.base.ops = &mem_ops;
    network->own.network = network;
    network->own.loop = loop;
    network->mem = mem;
    network->loop = loop;
    network->rand = rand;
    network->next_ip = 1;
    kb_list_init(&network->views);
    kb_list_init(&network->names);
    kb_list_init(&network->canonicals);
    kb_list_init(&network->listeners);
    kb_list_init(&network->peers);
    *network_out = network;
    return KC_OK;
}

kc_err kn_mem_network_view(kn_mem_network *network, kn_loop *loop, kn_network **view_out)
{
    mem_view *view = kb_mem_zalloc(network->mem, sizeof *view);
    if (!view)
        return KC_ERR_NOMEM;
    view->base.ops = &mem_ops;
    view->network = network;
    view->loop = loop;
    kb_list_push_back(&network->views, &view->node);
    *view_out = &view->base;
    return KC_OK;
}

kn_network *kn_mem_network_base(kn_mem_network *network)
{
    return &network->own.base;
}

kn_mem_shape *kn_mem_network_shape(kn_mem_network *network)
{
    return &network->shape;
}

void kn_mem_network_reshaped(kn_mem_network *network)
{
    KB_LIST_FOR (node, &network->peers)
        kn_mem_peer_schedule(KB_CONTAINER(node, kn_mem_peer, node));
}

uint32_t kn_mem_network_connects(const kn_mem_network *network)
{
    return network->connects;
}
