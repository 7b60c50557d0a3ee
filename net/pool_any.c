/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Requests that any broker can answer.
 *
 * They wait in one queue and go to the least loaded connection there is. Without one, brokers are
 * tried in turn: the next as soon as one fails, and beside one that says nothing for KN_HEDGE_MS.
 * Bootstrap servers are asked only while no broker is known (trap 47), and beside the known ones
 * while all of those back off (KIP-899): so a cluster that moved is found again, and what is known
 * is forgotten for nothing. When all back off, the nearest end of a back-off is waited for. So one
 * request fails only at its deadline or request timeout, and says the last cause. */
#include "net/pool_core.h"
#include "protocol/base/error.h"

#include <assert.h>

static void any_run(kn_task *task);

static void on_timer(kn_timer *timer)
{
    kn_any_kick(timer->user);
}

void kn_any_init(kn_pool *pool)
{
    kb_list_init(&pool->any);
    pool->any_task = (kn_task){.fn = any_run, .user = pool};
    pool->any_timer = (kn_timer){.fn = on_timer, .user = pool};
    pool->any_next = (uint32_t)kb_rand_u64(pool->options.rand);
}

void kn_any_kick(kn_pool *pool)
{
    if (!kb_list_is_empty(&pool->any) && !pool->is_closing)
        kn_task_queue_last(pool->env.loop, &pool->any_task);
}

static int32_t timeout_of(const kn_pool *pool, const kn_request *request)
{
    return request->timeout_ms > 0 ? request->timeout_ms : pool->options.request_timeout_ms;
}

void kn_any_submit(kn_pool *pool, kn_request *request)
{
    request->to_any = true;
    request->state = KN_REQUEST_LISTED;
    request->expires_us = request->submitted_us + (int64_t)timeout_of(pool, request) * 1000;
    kb_list_push_back(&pool->any, &request->node);
    kn_any_kick(pool);
}

static int64_t give_up_at(const kn_pool *pool, const kn_request *request)
{
    int64_t at_us = request->submitted_us + (int64_t)timeout_of(pool, request) * 1000;
    if (request->deadline_us != 0 && request->deadline_us < at_us)
        return request->deadline_us;
    return at_us;
}

static void fail_expired(kn_pool *pool, kn_request *request, int64_t now_us)
{
    kc_error error;
    kb_error_set(&error, KC_ERR_TIMEOUT, "no broker could be asked within %lld ms",
                 (long long)((now_us - request->submitted_us) / 1000));
    kn_pool_name_cause(pool, &error);
    kn_request_fail(request, &error, false, KN_ANY_BROKER);
}

/** Complete what has waited too long; returns when the next one has. */
static int64_t expire(kn_pool *pool, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    kb_list expired;
    kb_list_init(&expired);
    KB_LIST_FOR (node, &pool->any) {
        const kn_request *request = KB_CONTAINER(node, kn_request, node);
        int64_t at_us = give_up_at(pool, request);
        if (at_us <= now_us) {
            kb_list_remove(node);
            kb_list_push_back(&expired, node);
        } else if (at_us < next_us) {
            next_us = at_us;
        }
    }
    while (!kb_list_is_empty(&expired))
        fail_expired(pool, KB_CONTAINER(expired.next, kn_request, node), now_us);
    return next_us;
}

static kn_link *main_link(const kb_list *node)
{
    return kn_link_find(KB_CONTAINER(node, kn_broker, node), KN_LANE_MAIN, 0);
}

static kn_link *least_loaded_of(const kb_list *brokers)
{
    kn_link *best = NULL;
    KB_LIST_FOR (node, brokers) {
        kn_link *link = main_link(node);
        if (!link || !link->conn || !kn_conn_has_room(link->conn) || kn_link_is_muted(link))
            continue;
        if (!best || kn_conn_load(link->conn) < kn_conn_load(best->conn))
            best = link;
    }
    return best;
}

static kn_link *least_loaded(const kn_pool *pool)
{
    kn_link *link = least_loaded_of(&pool->brokers);
    return link ? link : least_loaded_of(&pool->bootstrap);
}

bool kn_all_back_off(const kb_list *brokers, int64_t now_us)
{
    KB_LIST_FOR (node, brokers) {
        const kn_link *link = main_link(node);
        if (!link || link->conn || link->failures == 0 || link->retry_at_us <= now_us)
            return false;
    }
    return true;
}

static bool is_connecting(const kn_link *link)
{
    return link->conn ? link->conn->state < KN_CONN_READY : link->is_wanted;
}

/** The next broker to try, in turn; NULL: all connect, are connected or back off, and *next_us says
 * till when. */
static kn_broker *next_candidate(const kn_pool *pool, const kb_list *list, int64_t now_us,
                                 int64_t *next_us)
{
    uint32_t count = 0;
    KB_LIST_FOR (node, list)
        count++;
    if (count == 0)
        return NULL;
    uint32_t wanted = pool->any_next % count;
    kn_broker *first = NULL;
    kn_broker *found = NULL;
    uint32_t index = 0;
    KB_LIST_FOR (node, list) {
        const kn_link *link = main_link(node);
        bool is_free = !link || (!link->conn && !link->is_wanted && link->retry_at_us <= now_us);
        if (is_free && !first)
            first = KB_CONTAINER(node, kn_broker, node);
        if (is_free && !found && index >= wanted)
            found = KB_CONTAINER(node, kn_broker, node);
        if (link && !link->conn && link->retry_at_us > now_us && link->retry_at_us < *next_us)
            *next_us = link->retry_at_us;
        if (link && link->mute_until_us > now_us && link->mute_until_us < *next_us)
            *next_us = link->mute_until_us;
        index++;
    }
    return found ? found : first;
}

/** See to it that a connection to one of them is on its way; returns when to look again. */
static int64_t connect_one_of(kn_pool *pool, const kb_list *list, int64_t now_us, int64_t next_us)
{
    bool has_connecting = false;
    KB_LIST_FOR (node, list) {
        const kn_link *link = main_link(node);
        has_connecting |= link && is_connecting(link);
    }
    if (has_connecting && now_us < pool->hedge_at_us)
        return pool->hedge_at_us < next_us ? pool->hedge_at_us : next_us;
    kn_broker *broker = next_candidate(pool, list, now_us, &next_us);
    if (!broker)
        return next_us;
    kn_link *link = kn_link_get(broker, KN_LANE_MAIN, 0);
    pool->any_next++;
    pool->hedge_at_us = now_us + (int64_t)KN_HEDGE_MS * 1000;
    if (link) {
        link->is_wanted = true;
        kn_link_kick(link);
    }
    return pool->hedge_at_us < next_us ? pool->hedge_at_us : next_us;
}

static int64_t connect_one(kn_pool *pool, int64_t now_us, int64_t next_us)
{
    if (!kb_list_is_empty(&pool->brokers)) {
        next_us = connect_one_of(pool, &pool->brokers, now_us, next_us);
        if (pool->options.never_returns || !kn_all_back_off(&pool->brokers, now_us))
            return next_us;
    }
    int64_t prepared_us = kn_bootstrap_prepare(pool, now_us);
    next_us = prepared_us < next_us ? prepared_us : next_us;
    return connect_one_of(pool, &pool->bootstrap, now_us, next_us);
}

static void send_one(kn_link *link, kn_request *request)
{
    kc_error error;
    kb_list_remove(&request->node);
    if (kn_conn_send(link->conn, request, &error) != KC_OK)
        kn_request_fail(request, &error, false, link->broker->id);
    else
        kn_conn_flush(link->conn); // we are at the end of the turn already
}

static void any_run(kn_task *task)
{
    kn_pool *pool = task->user;
    int64_t now_us = kn_loop_now_us(pool->env.loop);
    int64_t next_us = expire(pool, now_us);
    kn_link *link;
    while (!kb_list_is_empty(&pool->any) && (link = least_loaded(pool)))
        send_one(link, KB_CONTAINER(pool->any.next, kn_request, node));
    if (kb_list_is_empty(&pool->any)) {
        kn_timer_stop(pool->env.loop, &pool->any_timer);
        return;
    }
    next_us = connect_one(pool, now_us, next_us);
    kc_err err = kn_timer_set(pool->env.loop, &pool->any_timer, next_us);
    assert(err == KC_OK);
    (void)err;
}
