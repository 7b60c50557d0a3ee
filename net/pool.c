/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The pool as the client sees it: which brokers there are, and where a request goes. The lanes are
 * in pool_link.c, requests for any broker in pool_any.c. */
#include "net/pool_core.h"
#include "protocol/base/error.h"

#include <assert.h>

void kn_pool_error(kc_error *error, kc_err code, int32_t broker_id)
{
    if (code == KC_ERR_NO_BROKER)
        kb_error_set(error, code,
                     "broker %d is not in the cluster any more, as far as we know; "
                     "refresh the metadata",
                     (int)broker_id);
    else
        kb_error_code(error, code);
    error->broker_id = broker_id;
}

/** Requests that were not queued anywhere are told here, from a turn. */
static void on_refused(kn_task *task)
{
    kn_pool *pool = task->user;
    while (!kb_list_is_empty(&pool->refused)) {
        kn_request *request = KB_CONTAINER(pool->refused.next, kn_request, node);
        kc_error error;
        kn_pool_error(&error, request->refused, request->target_id);
        kn_request_fail(request, &error, false, request->target_id);
    }
}

static void refuse(kn_pool *pool, kn_request *request, kc_err code)
{
    request->refused = code;
    request->state = KN_REQUEST_LISTED;
    kb_list_push_back(&pool->refused, &request->node);
    kn_task_queue(pool->env.loop, &pool->refused_task);
}

kn_broker *kn_broker_new(kn_pool *pool, int32_t id, kc_bytes host, uint16_t port)
{
    kn_broker *broker = kb_mem_zalloc(pool->env.mem, sizeof *broker);
    char *copy = kb_mem_strndup(pool->env.mem, host.ptr, host.len);
    if (!broker || !copy) {
        kb_mem_free(pool->env.mem, broker);
        kb_mem_free(pool->env.mem, copy);
        return NULL;
    }
    broker->pool = pool;
    broker->id = id;
    broker->host = copy;
    broker->port = port;
    broker->ask_version = -1;
    kb_list_init(&broker->links);
    kb_list_init(&broker->node);
    kp_versions_clear(&broker->versions);
    return broker;
}

static void init_env(kn_pool *pool)
{
    const kn_pool_options *options = &pool->options;
    kn_recycler_init(&pool->recycler, options->mem, options->loop);
    pool->env = (kn_conn_env){.mem = options->mem,
                              .loop = options->loop,
                              .network = options->network,
                              .log = options->log,
                              .rand = options->rand,
                              .sasl = options->sasl,
                              .trace = options->trace,
                              .trace_user = options->trace_user,
                              .recycler = &pool->recycler,
                              .stats = &pool->stats,
                              .client_id = options->client_id,
                              .request_timeout_ms = options->request_timeout_ms,
                              .max_idle_ms = options->connections_max_idle_ms,
                              .in_flight_max = options->in_flight_max,
                              .response_bytes_max = options->response_bytes_max,
                              .send_buffer_bytes = options->send_buffer_bytes,
                              .receive_buffer_bytes = options->receive_buffer_bytes};
}

kc_err kn_pool_new(const kn_pool_options *options, kn_pool **pool_out, kc_error *err)
{
    assert(options->mem && options->loop && options->network && options->rand);
    assert(options->in_flight_max > 0 && options->response_bytes_max > 0);
    assert(options->request_timeout_ms > 0 && options->connection_setup_timeout_ms > 0);
    kn_pool *pool = kb_mem_zalloc(options->mem, sizeof *pool);
    if (!pool)
        return kb_error_code(err, KC_ERR_NOMEM);
    pool->options = *options;
    init_env(pool);
    kb_map_init(&pool->by_id, options->mem);
    kb_list_init(&pool->brokers);
    kb_list_init(&pool->gone);
    kb_list_init(&pool->detached);
    kb_list_init(&pool->refused);
    pool->refused_task = (kn_task){.fn = on_refused, .user = pool};
    kn_any_init(pool);
    kn_bootstrap_init(pool);
    kc_err code = kn_bootstrap_read(pool, err);
    if (code != KC_OK) {
        kn_pool_free(pool);
        return code;
    }
    *pool_out = pool;
    return KC_OK;
}

static void close_brokers(kb_list *brokers, kc_err code)
{
    while (!kb_list_is_empty(brokers)) {
        kn_broker *broker = KB_CONTAINER(brokers->next, kn_broker, node);
        while (!kb_list_is_empty(&broker->links))
            kn_link_close(KB_CONTAINER(broker->links.next, kn_link, node), code);
        kn_broker_free(broker);
    }
}

void kn_pool_free(kn_pool *pool)
{
    if (!pool)
        return;
    kn_loop *loop = pool->env.loop;
    kc_err code = kn_loop_is_forked(loop) ? KC_ERR_FORKED : KC_ERR_CLOSED;
    kc_error error;
    pool->is_closing = true;
    close_brokers(&pool->brokers, code);
    close_brokers(&pool->bootstrap, code);
    close_brokers(&pool->canonical.before, code);
    kn_bootstrap_cleanup(pool);
    close_brokers(&pool->gone, code);
    while (!kb_list_is_empty(&pool->detached))
        kn_detached_close(KB_CONTAINER(pool->detached.next, kn_conn, node), code);
    kn_pool_error(&error, code, KN_ANY_BROKER);
    kn_fail_all(&pool->any, &error, KN_ANY_BROKER);
    kn_fail_all(&pool->refused, &error, KN_ANY_BROKER);
    assert(kb_list_is_empty(&pool->refused) && pool->open == 0);
    kn_task_cancel(&pool->refused_task);
    kn_task_cancel(&pool->any_task);
    kn_timer_stop(loop, &pool->any_timer);
    kn_recycler_cleanup(&pool->recycler);
    kb_map_cleanup(&pool->by_id);
    kb_mem_free(pool->options.mem, pool);
}

static kn_broker *find_broker(const kn_pool *pool, int32_t broker_id)
{
    return kb_map_get(&pool->by_id, KB_KEY(broker_id));
}

void kn_pool_leave_bootstrap(kn_pool *pool)
{
    KB_LIST_FOR (node, &pool->bootstrap) {
        kn_broker *broker = KB_CONTAINER(node, kn_broker, node);
        KB_LIST_FOR (link_node, &broker->links)
            kn_link_detach(KB_CONTAINER(link_node, kn_link, node));
    }
}

static kc_err add_broker(kn_pool *pool, int32_t broker_id, kc_bytes host, uint16_t port)
{
    kn_broker *broker = kn_broker_new(pool, broker_id, host, port);
    if (!broker || kb_map_put(&pool->by_id, KB_KEY(broker->id), broker) != KC_OK) {
        if (broker)
            kn_broker_free(broker);
        return KC_ERR_NOMEM;
    }
    bool is_first = kb_list_is_empty(&pool->brokers);
    kb_list_push_back(&pool->brokers, &broker->node);
    if (is_first)
        kn_pool_leave_bootstrap(pool);
    kn_any_kick(pool);
    return KC_OK;
}

kc_err kn_pool_set_broker(kn_pool *pool, int32_t broker_id, kc_bytes host, int32_t port)
{
    if (broker_id < 0 || host.len == 0 || host.len > KN_HOST_MAX || port <= 0 || port > UINT16_MAX)
        return KC_ERR_ARGUMENT;
    if (pool->is_closing)
        return KC_ERR_CLOSED;
    kn_broker *broker = find_broker(pool, broker_id);
    if (!broker)
        return add_broker(pool, broker_id, host, (uint16_t)port);
    if (broker->port == port && kc_bytes_equal(kc_str(broker->host), host))
        return KC_OK;
    char *copy = kb_mem_strndup(pool->env.mem, host.ptr, host.len);
    if (!copy)
        return KC_ERR_NOMEM;
    kb_mem_free(pool->env.mem, broker->host);
    broker->host = copy;
    broker->port = (uint16_t)port;
    broker->ask_version = -1;
    KB_LIST_FOR (node, &broker->links) {
        kn_link *link = KB_CONTAINER(node, kn_link, node);
        if (link->doom == KC_OK)
            kn_link_detach(link);
    }
    return KC_OK;
}

void kn_broker_retire(kn_broker *broker)
{
    broker->is_gone = true;
    kb_list_push_back(&broker->pool->gone, &broker->node);
    if (kb_list_is_empty(&broker->links)) {
        kn_broker_free(broker);
        return;
    }
    KB_LIST_FOR (node, &broker->links)
        kn_link_doom(KB_CONTAINER(node, kn_link, node), KC_ERR_NO_BROKER);
}

static void forget_broker(kn_pool *pool, kn_broker *broker)
{
    kb_map_remove(&pool->by_id, KB_KEY(broker->id));
    kb_list_remove(&broker->node);
    KB_LIST_FOR (node, &pool->detached) {
        kn_conn *conn = KB_CONTAINER(node, kn_conn, node);
        kc_error error;
        kn_pool_error(&error, KC_ERR_NO_BROKER, broker->id);
        if (conn->broker_id == broker->id)
            kn_conn_fail(conn, &error);
    }
    kn_broker_retire(broker);
}

void kn_pool_keep_brokers(kn_pool *pool, const int32_t *ids, size_t count)
{
    if (pool->is_closing)
        return;
    KB_LIST_FOR (node, &pool->brokers) {
        kn_broker *broker = KB_CONTAINER(node, kn_broker, node);
        bool is_kept = false;
        for (size_t i = 0; i < count && !is_kept; i++)
            is_kept = ids[i] == broker->id;
        if (!is_kept)
            forget_broker(pool, broker);
    }
    if (kb_list_is_empty(&pool->brokers))
        kn_bootstrap_forget(pool);
    kn_any_kick(pool);
}

bool kn_pool_has_broker(const kn_pool *pool, int32_t broker_id)
{
    return find_broker(pool, broker_id) != NULL;
}

size_t kn_pool_brokers(const kn_pool *pool, int32_t *ids, size_t cap)
{
    size_t count = 0;
    KB_LIST_FOR (node, &pool->brokers) {
        if (count < cap)
            ids[count] = KB_CONTAINER(node, kn_broker, node)->id;
        count++;
    }
    return count;
}

void kn_pool_submit(kn_pool *pool, kn_target target, kn_request *request)
{
    assert(!kn_request_is_active(request) && request->api && request->msg && request->done);
    request->submitted_us = kn_loop_now_us(pool->env.loop);
    request->target_id = target.broker_id;
    request->to_any = false;
    request->version = -1;
    if (pool->is_closing) {
        refuse(pool, request, KC_ERR_CLOSED);
        return;
    }
    if (target.broker_id == KN_ANY_BROKER) {
        kn_any_submit(pool, request);
        return;
    }
    kn_broker *broker = find_broker(pool, target.broker_id);
    kn_link *link = broker ? kn_link_get(broker, target.lane, target.owner) : NULL;
    if (link)
        kn_link_submit(link, request);
    else
        refuse(pool, request, broker ? KC_ERR_NOMEM : KC_ERR_NO_BROKER);
}

void kn_pool_throttle(kn_pool *pool, kn_target target, int32_t ms)
{
    const kn_broker *broker = find_broker(pool, target.broker_id);
    kn_link *link = broker ? kn_link_find(broker, target.lane, target.owner) : NULL;
    if (!link || ms <= 0)
        return;
    int32_t capped_ms = ms < KN_THROTTLE_MAX_MS ? ms : KN_THROTTLE_MAX_MS;
    int64_t until_us = kn_loop_now_us(pool->env.loop) + (int64_t)capped_ms * 1000;
    if (until_us > link->mute_until_us)
        link->mute_until_us = until_us;
    kn_link_kick(link);
}

void kn_pool_trim(kn_pool *pool)
{
    kn_recycler_trim(&pool->recycler);
}

static void close_owner_at(kb_list *brokers, uint32_t owner)
{
    KB_LIST_FOR (node, brokers) {
        const kn_broker *broker = KB_CONTAINER(node, kn_broker, node);
        KB_LIST_FOR (link_node, &broker->links) {
            kn_link *link = KB_CONTAINER(link_node, kn_link, node);
            if (link->owner == owner)
                kn_link_doom(link, KC_ERR_CLOSED);
        }
    }
}

void kn_pool_close_owner(kn_pool *pool, uint32_t owner)
{
    assert(owner != 0);
    if (pool->is_closing)
        return;
    close_owner_at(&pool->brokers, owner);
    KB_LIST_FOR (node, &pool->detached) {
        kn_conn *conn = KB_CONTAINER(node, kn_conn, node);
        kc_error error;
        kn_pool_error(&error, KC_ERR_CLOSED, conn->broker_id);
        if (conn->owner == owner)
            kn_conn_fail(conn, &error);
    }
}

const kp_versions *kn_pool_versions(const kn_pool *pool, int32_t broker_id)
{
    const kn_broker *broker = find_broker(pool, broker_id);
    return broker && broker->has_versions ? &broker->versions : NULL;
}

void kn_pool_name_cause(const kn_pool *pool, kc_error *error)
{
    const kc_error *last = &pool->last_error;
    if (last->code == KC_OK) { // none has failed yet: what is under way
        char trouble[sizeof error->text];
        if (kn_pool_first_trouble(pool, trouble, sizeof trouble))
            kb_error_set(error, error->code, "%s", trouble);
        return;
    }
    kb_error_set(error, error->code, "%s", last->text);
    error->phase = last->phase;
    error->os_errno = last->os_errno;
}

const kc_error *kn_pool_last_error(const kn_pool *pool)
{
    return &pool->last_error;
}

void kn_pool_stats_get(const kn_pool *pool, kn_pool_stats *stats_out)
{
    *stats_out = (kn_pool_stats){.bytes_in = pool->stats.bytes_in,
                                 .bytes_out = pool->stats.bytes_out,
                                 .requests = pool->stats.requests,
                                 .responses = pool->stats.responses,
                                 .connections = pool->open,
                                 .connects = pool->connects,
                                 .disconnects = pool->disconnects,
                                 .reauthentications = pool->stats.reauthentications};
}
