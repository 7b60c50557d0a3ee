/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One lane to one broker: connects when there is something to send, backs off when that fails,
 * hands requests to the connection when it has room.
 *
 *     idle --request--> connecting --ready--> sending --lost--> backing off --time, if anything
 * waits--> connecting |                   `--closed while idle--> idle
 *                            `--failed: what waited is told--> backing off
 *
 * All of it happens in run(), a task at the end of the turn: the calls from above only queue, so
 * nothing is encoded, written or completed inside them, and what a turn submits leaves in one
 * write. */
#include "net/backoff.h"
#include "net/pool_core.h"
#include "protocol/base/error.h"

#include <assert.h>

static void link_run(kn_task *task);
static const kn_conn_events link_events;
static const kn_conn_events detached_events;

static int64_t now_us(const kn_link *link)
{
    return kn_loop_now_us(link->broker->pool->env.loop);
}

static void on_timer(kn_timer *timer)
{
    kn_link_kick(timer->user);
}

kn_link *kn_link_find(const kn_broker *broker, kn_lane lane, uint32_t owner)
{
    KB_LIST_FOR (node, &broker->links) {
        kn_link *link = KB_CONTAINER(node, kn_link, node);
        if (link->lane == lane && link->owner == owner && link->doom == KC_OK)
            return link;
    }
    return NULL;
}

kn_link *kn_link_get(kn_broker *broker, kn_lane lane, uint32_t owner)
{
    kn_link *link = kn_link_find(broker, lane, owner);
    if (link)
        return link;
    link = kb_mem_zalloc(broker->pool->env.mem, sizeof *link);
    if (!link)
        return NULL;
    link->broker = broker;
    link->lane = lane;
    link->owner = owner;
    link->waiting_deadline_us = INT64_MAX;
    kb_list_init(&link->waiting);
    link->timer = (kn_timer){.fn = on_timer, .user = link};
    link->task = (kn_task){.fn = link_run, .user = link};
    kb_list_push_back(&broker->links, &link->node);
    return link;
}

static void link_free(kn_link *link)
{
    kn_broker *broker = link->broker;
    kn_pool *pool = broker->pool;
    assert(!link->conn && kb_list_is_empty(&link->waiting));
    kn_timer_stop(pool->env.loop, &link->timer);
    kn_task_cancel(&link->task);
    kb_list_remove(&link->node);
    kb_mem_free(pool->env.mem, link);
    if (broker->is_gone && kb_list_is_empty(&broker->links) && !pool->is_closing)
        kn_broker_free(broker);
}

void kn_broker_free(kn_broker *broker)
{
    kb_mem *mem = broker->pool->env.mem;
    assert(kb_list_is_empty(&broker->links));
    kb_list_remove(&broker->node);
    kb_mem_free(mem, broker->host);
    kb_mem_free(mem, broker);
}

void kn_link_kick(kn_link *link)
{
    kn_task_queue_last(link->broker->pool->env.loop, &link->task);
}

bool kn_link_is_muted(const kn_link *link)
{
    return link->mute_until_us > now_us(link);
}

static void wake_by(kn_link *link, int64_t due_us)
{
    if (kn_timer_is_set(&link->timer) && link->timer.due_us <= due_us)
        return;
    kc_err err = kn_timer_set(link->broker->pool->env.loop, &link->timer, due_us);
    assert(err == KC_OK);
    (void)err;
}

static int64_t give_up_us(const kn_request *request)
{
    return request->unsent_deadline_us ? request->unsent_deadline_us : request->deadline_us;
}

static void note_deadline(kn_link *link, const kn_request *request)
{
    int64_t until_us = give_up_us(request);
    if (until_us == 0 || until_us >= link->waiting_deadline_us)
        return;
    link->waiting_deadline_us = until_us;
    wake_by(link, link->waiting_deadline_us);
}

void kn_link_submit(kn_link *link, kn_request *request)
{
    request->state = KN_REQUEST_LISTED;
    kb_list_push_back(&link->waiting, &request->node);
    note_deadline(link, request);
    kn_link_kick(link);
}

void kn_fail_all(kb_list *list, const kc_error *error, int32_t broker_id)
{
    kb_list now;
    kb_list_init(&now);
    kb_list_splice_back(&now, list);
    while (!kb_list_is_empty(&now)) {
        kn_request *request = KB_CONTAINER(now.next, kn_request, node);
        kn_request_fail(request, error, false, broker_id);
    }
}

/** What a connection did not begin to write waits again, in front and in order. */
static void take_back(kn_link *link, kb_list *unsent)
{
    kn_pool *pool = link->broker->pool;
    while (!kb_list_is_empty(unsent)) {
        kn_request *request = KB_CONTAINER(unsent->prev, kn_request, node);
        kb_list_remove(&request->node);
        request->conn = NULL;
        request->state = KN_REQUEST_LISTED;
        kb_list_push_front(request->to_any ? &pool->any : &link->waiting, &request->node);
        if (request->to_any)
            kn_any_kick(pool);
        else
            note_deadline(link, request);
    }
}

void kn_pool_tell_change(kn_pool *pool, int32_t broker_id, const kc_error *error, bool was_idle)
{
    if (error && !was_idle && error->code != KC_ERR_CLOSED && error->code != KC_ERR_NO_BROKER)
        pool->last_error = *error; // not what we closed ourselves
    if (!error)
        pool->last_error.code = KC_OK;
    if (pool->options.on_change && !pool->is_closing)
        pool->options.on_change(pool->options.user, broker_id, error, was_idle);
}

static void back_off(kn_link *link)
{
    const kn_pool_options *options = &link->broker->pool->options;
    link->retry_at_us = now_us(link) + kn_backoff_us(options->reconnect_backoff_ms,
                                                     options->reconnect_backoff_max_ms,
                                                     link->failures, options->rand);
    link->failures++;
}

/** For who asks why nothing happens; NULL: all is well. */
static void note_trouble(kn_broker *broker, const kc_error *error)
{
    if (error)
        memcpy(broker->trouble, error->text, sizeof broker->trouble);
    else
        broker->trouble[0] = 0;
}

/** A connection could not be made. */
static void attempt_failed(kn_link *link, const kc_error *error)
{
    kn_pool *pool = link->broker->pool;
    int32_t broker_id = link->broker->id;
    link->is_wanted = false;
    back_off(link);
    note_trouble(link->broker, error);
    kb_log_line(pool->env.log, KC_LOG_INFO, "%s", error->text);
    kn_pool_tell_change(pool, broker_id, error, false);
    kn_fail_all(&link->waiting, error, broker_id);
    if (error->flags & KC_ERRF_AUTH) // trying the others would only hide the cause
        kn_fail_all(&pool->any, error, broker_id);
    kn_any_kick(pool);
}

static void open_conn(kn_link *link)
{
    kn_broker *broker = link->broker;
    kn_pool *pool = broker->pool;
    if (broker->ask_version >= 0 && now_us(link) >= broker->ask_until_us)
        broker->ask_version = -1;
    const kn_conn_options options = {
        .env = &pool->env,
        .events = &link_events,
        .user = link,
        .host = kc_str(broker->host),
        .port = broker->port,
        .broker_id = broker->id,
        .owner = link->owner,
        .setup_timeout_us = kn_backoff_us(pool->options.connection_setup_timeout_ms,
                                          pool->options.connection_setup_timeout_max_ms,
                                          link->failures, pool->options.rand),
        .rotation = link->failures,
        .api_versions_version = broker->ask_version};
    if (kn_conn_open(&options, &link->conn) == KC_OK)
        return;
    kc_error error;
    kb_error_set(&error, KC_ERR_NOMEM, "no memory for a connection to %s:%u", broker->host,
                 (unsigned)broker->port);
    attempt_failed(link, &error);
}

static void expire_waiting(kn_link *link)
{
    int64_t now = now_us(link);
    if (link->waiting_deadline_us > now)
        return;
    kb_list expired;
    kb_list_init(&expired);
    link->waiting_deadline_us = INT64_MAX;
    KB_LIST_FOR (node, &link->waiting) {
        kn_request *request = KB_CONTAINER(node, kn_request, node);
        if (give_up_us(request) != 0 && give_up_us(request) <= now) {
            kb_list_remove(node);
            kb_list_push_back(&expired, node);
        } else {
            note_deadline(link, request);
        }
    }
    kc_error error;
    kb_error_set(&error, KC_ERR_TIMEOUT,
                 "deadline passed before broker %d at %s:%u could be sent the request",
                 (int)link->broker->id, link->broker->host, (unsigned)link->broker->port);
    kn_pool_name_cause(link->broker->pool, &error);
    kn_fail_all(&expired, &error, link->broker->id);
}

/** Hand over what there is room for, and write. */
static void pump(kn_link *link)
{
    while (link->conn && kn_conn_has_room(link->conn) && !kb_list_is_empty(&link->waiting)) {
        kn_request *request = KB_CONTAINER(link->waiting.next, kn_request, node);
        kc_error error;
        kb_list_remove(&request->node);
        if (kn_conn_send(link->conn, request, &error) != KC_OK)
            kn_request_fail(request, &error, false, link->broker->id);
    }
    if (link->conn)
        kn_conn_flush(link->conn);
}

static void bury(kn_link *link)
{
    kc_error error;
    kn_pool_error(&error, link->doom, link->broker->id);
    kn_fail_all(&link->waiting, &error, link->broker->id);
    link_free(link);
}

static void link_run(kn_task *task)
{
    kn_link *link = task->user;
    if (link->doom != KC_OK) {
        if (!link->conn) // else its end brings us back
            bury(link);
        return;
    }
    expire_waiting(link);
    if (kn_link_is_muted(link)) {
        wake_by(link, link->mute_until_us);
    } else if (link->conn) {
        pump(link);
    } else if (link->is_wanted || !kb_list_is_empty(&link->waiting)) {
        if (link->retry_at_us > now_us(link))
            wake_by(link, link->retry_at_us);
        else
            open_conn(link);
    }
    if (link->waiting_deadline_us != INT64_MAX)
        wake_by(link, link->waiting_deadline_us);
}

static void on_ready(kn_conn *conn)
{
    kn_link *link = conn->user;
    kn_broker *broker = link->broker;
    kn_pool *pool = broker->pool;
    broker->versions = conn->versions;
    broker->has_versions = true;
    link->is_wanted = false;
    note_trouble(broker, NULL);
    pool->open++;
    pool->connects++;
    if (broker->id >= 0)
        kn_pool_leave_bootstrap(pool);
    kn_link_kick(link);
    kn_any_kick(pool);
    kn_pool_tell_change(pool, broker->id, NULL, false);
}

static void on_versions(kn_conn *conn, const void *response)
{
    kn_link *link = conn->user;
    const kn_pool_options *options = &link->broker->pool->options;
    if (options->on_versions)
        options->on_versions(options->user, link->broker->id, response);
}

static void on_room(kn_conn *conn)
{
    kn_link *link = conn->user;
    if (!kb_list_is_empty(&link->waiting))
        kn_link_kick(link);
    if (!kb_list_is_empty(&link->broker->pool->any))
        kn_any_kick(link->broker->pool);
}

/** Trap 51: some brokers reset the connection on an ApiVersions they don't know. True: ask in an
 * older one, at once; from 3 on the version is flexible, and 0 is what every broker has. */
static bool falls_back(kn_link *link, const kn_conn *conn)
{
    kn_broker *broker = link->broker;
    if (!conn->closed_by_peer || conn->setup_version <= 0) {
        if (conn->closed_by_peer)
            broker->ask_version = -1;
        return false;
    }
    broker->ask_version = conn->setup_version > 3 ? 3 : 0;
    broker->ask_until_us = now_us(link) + (int64_t)KN_OLD_VERSIONS_MS * 1000;
    return true;
}

static void lost(kn_link *link, const kn_conn *conn)
{
    kn_pool *pool = link->broker->pool;
    pool->open--;
    pool->disconnects++;
    if (conn->has_answered)
        link->failures = 0;
    if (!conn->was_idle) {
        back_off(link);
        note_trouble(link->broker, &conn->error);
    }
    kb_log_line(pool->env.log, conn->was_idle ? KC_LOG_DEBUG : KC_LOG_INFO, "%s", conn->error.text);
    kn_pool_tell_change(pool, link->broker->id, &conn->error, conn->was_idle);
}

static void on_closed(kn_conn *conn)
{
    kn_link *link = conn->user;
    kn_pool *pool = link->broker->pool;
    assert(link->conn == conn);
    link->conn = NULL;
    take_back(link, &conn->unsent);
    if (conn->was_ready)
        lost(link, conn);
    else if (link->doom == KC_OK && !falls_back(link, conn))
        attempt_failed(link, &conn->error);
    kn_conn_free(conn);
    kn_any_kick(pool);
    if (!pool->is_closing)
        kn_link_kick(link);
}

static const kn_conn_events link_events = {on_ready, on_versions, on_room, on_closed};

/* ---- connections without a link: they end what they have begun */

static void detached_ready(kn_conn *conn)
{
    (void)conn;
    assert(false && "only a connection in use is drained; the others are closed");
}

static void detached_room(kn_conn *conn)
{
    (void)conn;
}

static void detached_closed(kn_conn *conn)
{
    kn_pool *pool = conn->user;
    int32_t broker_id = conn->broker_id;
    while (!kb_list_is_empty(&conn->unsent)) {
        kn_request *request = KB_CONTAINER(conn->unsent.next, kn_request, node);
        kn_request_fail(request, &conn->error, false, broker_id);
    }
    if (conn->was_ready) {
        pool->open--;
        pool->disconnects++;
        kb_log_line(pool->env.log, KC_LOG_DEBUG, "%s", conn->error.text);
        kn_pool_tell_change(pool, broker_id, &conn->error, conn->was_idle);
    }
    kn_conn_free(conn);
}

static const kn_conn_events detached_events = {detached_ready, NULL, detached_room,
                                               detached_closed};

void kn_link_detach(kn_link *link)
{
    kn_pool *pool = link->broker->pool;
    kn_conn *conn = link->conn;
    link->failures = 0;
    link->retry_at_us = 0;
    link->is_wanted = false;
    kn_link_kick(link);
    if (!conn)
        return;
    kb_list unsent;
    kb_list_init(&unsent);
    link->conn = NULL;
    conn->events = &detached_events;
    conn->user = pool;
    kb_list_push_back(&pool->detached, &conn->node);
    kn_conn_drain(conn, &unsent);
    take_back(link, &unsent);
}

void kn_link_doom(kn_link *link, kc_err code)
{
    if (link->doom != KC_OK)
        return;
    link->doom = code;
    kn_link_kick(link);
    if (link->conn) {
        kc_error error;
        kn_pool_error(&error, code, link->broker->id);
        kn_conn_fail(link->conn, &error);
    }
}

void kn_link_close(kn_link *link, kc_err code)
{
    kc_error error;
    kn_pool_error(&error, code, link->broker->id);
    link->doom = code;
    if (link->conn) {
        kn_conn_fail(link->conn, &error);
        kn_conn_finish(link->conn);
    }
    kn_fail_all(&link->waiting, &error, link->broker->id);
    link_free(link);
}

void kn_detached_close(kn_conn *conn, kc_err code)
{
    kc_error error;
    kn_pool_error(&error, code, conn->broker_id);
    kn_conn_fail(conn, &error);
    kn_conn_finish(conn);
}
