/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The servers a pool begins with: those of bootstrap.servers, or with client.dns.lookup =
 * resolve_canonical_bootstrap_servers_only (KIP-235) the canonical names of all their addresses, which is what
 * a certificate or a Kerberos principal is made out to when the configured name stands for many brokers.
 *
 *   seed:  idle -> its name is looked up -> each address: its name is looked up -> does that lead back?
 *                    `--failed: left out                    `--no, or none: the address itself is the server
 *
 * All seeds go at the same time, and a server can be connected as soon as it is found. Nothing is looked up before
 * it is needed. It is done anew with each beginning (kn_bootstrap_forget()), and when every server has failed: names
 * move. Servers that are found again stay what they were, with their back-off; the others go when the look-up has
 * ended, unless it found nothing: then the old ones are better than none. */
#include "net/pool_core.h"
#include "protocol/base/error.h"

#include <assert.h>

static void on_resolved(kn_lookup *lookup);
static void on_named(kn_naming *naming);
static void on_confirmed(kn_lookup *lookup);

void kn_bootstrap_init(kn_pool *pool)
{
    kb_list_init(&pool->bootstrap);
    kb_list_init(&pool->canonical.before);
}

/* ---- what is configured ---- */

static kc_err add_server(kn_pool *pool, kc_bytes host, uint16_t port)
{
    kn_broker *broker = kn_broker_new(pool, KN_ANY_BROKER, host, port);
    if (!broker)
        return KC_ERR_NOMEM;
    kb_list_push_back(&pool->bootstrap, &broker->node);
    return KC_OK;
}

static kc_err add_seed(kn_pool *pool, kc_bytes host, uint16_t port)
{
    kn_bootstrap *canonical = &pool->canonical;
    if (host.len > KN_HOST_MAX)
        return KC_ERR_CONFIG;
    kn_seed *seeds =
        kb_mem_realloc(pool->env.mem, canonical->seeds, (canonical->count + 1) * sizeof *seeds);
    if (!seeds)
        return KC_ERR_NOMEM;
    canonical->seeds = seeds; // none is busy yet: they may move
    kn_seed *seed = &seeds[canonical->count++];
    *seed = (kn_seed){.pool = pool, .port = port};
    memcpy(seed->host, host.ptr, host.len);
    return KC_OK;
}

kc_err kn_bootstrap_read(kn_pool *pool, kc_error *err)
{
    kc_bytes list = pool->options.bootstrap_servers;
    kc_bytes host, item;
    uint16_t port;
    kc_err code;
    while ((code = kn_host_port_next(&list, &host, &port, &item)) == KC_OK) {
        code =
            pool->options.is_canonical ? add_seed(pool, host, port) : add_server(pool, host, port);
        if (code == KC_ERR_NOMEM)
            return kb_error_code(err, code);
        if (code != KC_OK)
            break;
    }
    if (code != KC_ERR_END)
        return kb_error_set(err, code,
                            "bootstrap.servers: \"" KC_FMT "\" is not host:port or [ipv6]:port",
                            KC_ARG(item));
    if (kb_list_is_empty(&pool->bootstrap) && pool->canonical.count == 0)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "bootstrap.servers is empty; it needs at least one host:port");
    return KC_OK;
}

/* ---- what is found ---- */

static kn_broker *find_server(const kb_list *servers, kc_bytes host, uint16_t port)
{
    KB_LIST_FOR (node, servers) {
        kn_broker *broker = KB_CONTAINER(node, kn_broker, node);
        if (broker->port == port && kc_bytes_equal(kc_str(broker->host), host))
            return broker;
    }
    return NULL;
}

static void found(kn_pool *pool, kc_bytes host, uint16_t port)
{
    if (find_server(&pool->bootstrap, host, port))
        return;
    kn_broker *before = find_server(&pool->canonical.before, host, port);
    if (before) {
        kb_list_remove(&before->node);
        kb_list_push_back(&pool->bootstrap, &before->node);
    } else if (add_server(pool, host, port) != KC_OK) {
        kb_error_code(&pool->canonical.error, KC_ERR_NOMEM);
    }
    kn_any_kick(pool);
}

/** What is in flight there is still answered. */
static void let_go(kn_broker *broker)
{
    KB_LIST_FOR (node, &broker->links)
        kn_link_detach(KB_CONTAINER(node, kn_link, node));
    kn_broker_retire(broker);
}

/** All seeds are done. */
static void end_round(kn_pool *pool)
{
    kn_bootstrap *canonical = &pool->canonical;
    bool is_empty = kb_list_is_empty(&pool->bootstrap);
    if (is_empty && canonical->error.code != KC_OK)
        kn_pool_tell_change(pool, KN_ANY_BROKER, &canonical->error, false);
    if (is_empty)
        kb_list_splice_back(&pool->bootstrap, &canonical->before);
    for (kb_list *node; (node = kb_list_pop_front(&canonical->before));)
        let_go(KB_CONTAINER(node, kn_broker, node));
    canonical->is_fresh = !kb_list_is_empty(&pool->bootstrap);
    kn_any_kick(pool);
}

static void end_seed(kn_seed *seed)
{
    seed->is_busy = false;
    if (--seed->pool->canonical.busy == 0)
        end_round(seed->pool);
}

/* ---- the way of a seed ---- */

static const kn_address *address_of(const kn_seed *seed)
{
    return &seed->lookup.addresses[seed->next];
}

static void name_next(kn_seed *seed)
{
    if (seed->next == seed->lookup.count) {
        end_seed(seed);
        return;
    }
    seed->naming.address = *address_of(seed);
    seed->naming.done = on_named;
    seed->naming.user = seed;
    kn_network_name(seed->pool->env.network, &seed->naming);
}

static void use_name(kn_seed *seed, kc_bytes name)
{
    char literal[KN_ADDRESS_TEXT_MAX];
    if (!name.ptr) {
        kn_address_host(address_of(seed), literal);
        name = kc_str(literal);
    }
    found(seed->pool, name, seed->port);
    seed->next++;
    name_next(seed);
}

/** A name that does not lead back to the address may be anybody's; Java's look-up does not believe it either. */
static void on_confirmed(kn_lookup *lookup)
{
    kn_seed *seed = lookup->user;
    bool leads_back = false;
    for (size_t i = 0; lookup->err == KC_OK && i < lookup->count; i++)
        leads_back |= kn_address_equal(&lookup->addresses[i], address_of(seed));
    use_name(seed, leads_back ? kc_str(seed->naming.name) : KC_NULL);
}

static void on_named(kn_naming *naming)
{
    kn_seed *seed = naming->user;
    if (naming->err != KC_OK) {
        use_name(seed, KC_NULL);
        return;
    }
    seed->confirm.host = kc_str(naming->name);
    seed->confirm.port = seed->port;
    seed->confirm.done = on_confirmed;
    seed->confirm.user = seed;
    kn_network_resolve(seed->pool->env.network, &seed->confirm);
}

static void on_resolved(kn_lookup *lookup)
{
    kn_seed *seed = lookup->user;
    if (lookup->err == KC_OK) {
        seed->next = 0;
        name_next(seed);
        return;
    }
    kc_error *error = &seed->pool->canonical.error;
    char name[KN_PEER_NAME_MAX];
    kb_error_set(error, lookup->err,
                 "%s: host name could not be resolved: %s; is it right, and DNS?",
                 kn_peer_name(KN_ANY_BROKER, seed->host, seed->port, name, sizeof name),
                 lookup->reason ? lookup->reason : kc_err_text(lookup->err));
    error->phase = KC_PHASE_DNS;
    kb_log_line(seed->pool->env.log, KC_LOG_WARNING, "%s", error->text);
    end_seed(seed);
}

static void begin_seed(kn_seed *seed)
{
    seed->is_busy = true;
    seed->lookup.host = kc_str(seed->host);
    seed->lookup.port = seed->port;
    seed->lookup.done = on_resolved;
    seed->lookup.user = seed;
    kn_network_resolve(seed->pool->env.network, &seed->lookup);
}

/* ---- rounds ---- */

int64_t kn_bootstrap_prepare(kn_pool *pool, int64_t now_us)
{
    kn_bootstrap *canonical = &pool->canonical;
    if (canonical->count == 0 || canonical->busy > 0 ||
        (canonical->is_fresh && !kn_all_back_off(&pool->bootstrap, now_us)))
        return INT64_MAX;
    int64_t due_us = canonical->started_us + (int64_t)KN_BOOTSTRAP_SPACING_MS * 1000;
    if (canonical->started_us != 0 && due_us > now_us)
        return due_us;
    canonical->started_us = now_us;
    canonical->error.code = KC_OK;
    kb_list_splice_back(&canonical->before, &pool->bootstrap);
    canonical->busy = canonical->count;
    for (size_t i = 0; i < canonical->count; i++)
        begin_seed(&canonical->seeds[i]);
    return INT64_MAX;
}

void kn_bootstrap_forget(kn_pool *pool)
{
    pool->canonical.is_fresh = false;
}

void kn_bootstrap_cleanup(kn_pool *pool)
{
    kn_bootstrap *canonical = &pool->canonical;
    for (size_t i = 0; i < canonical->count; i++) {
        kn_seed *seed = &canonical->seeds[i];
        if (!seed->is_busy)
            continue;
        kn_network_cancel(pool->env.network, &seed->lookup);
        kn_network_cancel_name(pool->env.network, &seed->naming);
        kn_network_cancel(pool->env.network, &seed->confirm);
    }
    kb_mem_free(pool->env.mem, canonical->seeds);
}
