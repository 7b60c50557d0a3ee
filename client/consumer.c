/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Opening and closing a consumer, waiting for batches, telling the application. */
#include "client/consumer_batch.h"
#include "client/consumer_core.h"
#include "client/consumer_fetch.h"
#include "client/consumer_offset_op.h"
#include "client/consumer_part.h"
#include "protocol/base/error.h"

#include <stdarg.h>
#include <stdio.h>

/** Two Fetches' worth: one is read, one is on its way. */
#define CREDIT_FETCHES 2
/** A consumer uses at most this part of memory.bytes.max for what it fetches. */
#define CREDIT_MEMORY_SHARE 2

bool kc_array_reserve(kb_mem *mem, void **items, size_t *cap, size_t need, size_t item_size)
{
    if (need <= *cap)
        return true;
    size_t more = *cap + *cap / 2 + 8;
    if (more < need)
        more = need;
    if (more > SIZE_MAX / item_size)
        return false;
    void *grown = kb_mem_realloc(mem, *items, more * item_size);
    if (!grown)
        return false;
    *items = grown;
    *cap = more;
    return true;
}

/* ---- telling ---- */

void kc_consumer_tell(kc_consumer *consumer, const kc_error *error)
{
    if (consumer->error_count >= KC_CONSUMER_ERRORS_MAX || !consumer->events.on_error)
        return;
    kc_consumer_error *entry = kb_mem_alloc(kc_consumer_mem(consumer), sizeof *entry);
    if (!entry)
        return;
    entry->error = *error;
    kb_list_push_back(&consumer->errors, &entry->node);
    consumer->error_count++;
    kn_task_queue(consumer->client->loop, &consumer->event_task);
}

void kc_consumer_tell_part(kc_part *part, kc_err code, const char *fmt, ...)
{
    char text[sizeof((kc_error *)0)->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    kc_error error;
    kc_bytes topic = kc_part_name(part);
    kb_error_set(&error, code, "partition %d of " KC_FMT ": %s", (int)part->partition,
                 KC_ARG(topic), text);
    error.partition = part->partition;
    memcpy(error.topic, topic.ptr, topic.len);
    error.topic[topic.len] = '\0';
    kc_consumer_tell(part->consumer, &error);
}

void kc_consumer_announce(kc_consumer *consumer)
{
    if (!consumer->events.on_batch)
        return;
    consumer->has_batch_event = true;
    kn_task_queue(consumer->client->loop, &consumer->event_task);
}

static void on_event_task(kn_task *task)
{
    kc_consumer *consumer = task->user;
    /* Those told from inside the callbacks come next time. */
    kb_list errors;
    kb_list_init(&errors);
    kb_list_splice_back(&errors, &consumer->errors);
    kb_list *node;
    while ((node = kb_list_pop_front(&errors))) {
        kc_consumer_error *entry = KB_CONTAINER(node, kc_consumer_error, node);
        consumer->error_count--;
        if (consumer->events.on_error)
            consumer->events.on_error(consumer, &entry->error, consumer->events.user);
        kb_mem_free(kc_consumer_mem(consumer), entry);
    }
    if (!consumer->has_batch_event)
        return;
    consumer->has_batch_event = false;
    if (consumer->events.on_batch && consumer->has_ready)
        consumer->events.on_batch(consumer, consumer->events.user);
}

void kc_consumer_set_events(kc_consumer *consumer, const kc_consumer_events *events)
{
    consumer->events = events ? *events : (kc_consumer_events){0};
    if (consumer->has_ready)
        kc_consumer_announce(consumer);
}

void kc_consumer_update_ready(kc_consumer *consumer)
{
    bool has_ready = !kb_list_is_empty(&consumer->ready) || consumer->fatal.code != KC_OK;
    if (has_ready && !consumer->has_ready)
        consumer->taken_us = kc_consumer_now_us(consumer);
    consumer->has_ready = has_ready;
}

void kc_consumer_fail(kc_consumer *consumer, const kc_error *error)
{
    if (consumer->fatal.code != KC_OK)
        return;
    consumer->fatal = *error;
    consumer->fatal.flags |= KC_ERRF_FATAL;
    consumer->fatal.flags &= ~(uint32_t)KC_ERRF_RETRIABLE;
    kb_log_line(kc_client_log(consumer->client, KC_DEBUG_CONSUMER), KC_LOG_ERROR, "consumer: %s",
                error->text);
    kc_consumer_tell(consumer, &consumer->fatal);
    kc_member_cancel_round(consumer);
    kc_member_stop_heartbeat(consumer);
    kn_timer_stop(consumer->client->loop, &consumer->member.timer);
    kc_member_set_state(consumer, KC_MEMBER_FATAL);
    kc_offset_op_end_all(consumer, error->code, false);
    kc_part_list list = kc_part_list_take(consumer);
    kc_part_drop_all(consumer);
    kc_consumer_update_ready(consumer);
    if (list.count > 0 && consumer->events.on_lost)
        consumer->events.on_lost(consumer, list.names, list.count, consumer->events.user);
    kc_part_list_return(consumer, &list);
}

/* ---- planning ---- */

void kc_consumer_plan_soon(kc_consumer *consumer)
{
    kn_task_queue(consumer->client->loop, &consumer->plan_task);
}

static void on_plan_task(kn_task *task)
{
    kc_fetch_plan(task->user);
}

static void on_plan_timer(kn_timer *timer)
{
    kc_fetch_plan(timer->user);
}

static void on_metadata(kc_meta_listener *listener)
{
    kc_consumer *consumer = listener->user;
    kc_consumer_plan_soon(consumer);
    kc_member_on_metadata(consumer);
}

/* ---- opening ---- */

static void init_lists(kc_consumer *consumer)
{
    kb_mem *mem = kc_consumer_mem(consumer);
    kb_list_init(&consumer->handle.node);
    kb_list_init(&consumer->parts);
    kb_list_init(&consumer->topics);
    kb_list_init(&consumer->leaders);
    kb_list_init(&consumer->ready);
    kb_list_init(&consumer->sources);
    kb_list_init(&consumer->spare_batches);
    kb_list_init(&consumer->errors);
    kb_list_init(&consumer->ops);
    kb_list_init(&consumer->plan_task.node);
    kb_list_init(&consumer->event_task.node);
    kb_map_init(&consumer->part_map, mem);
    kb_arena_init(&consumer->scratch, mem, kc_client_answer_max(consumer->client));
}

static void init_callbacks(kc_consumer *consumer)
{
    consumer->plan_task.fn = on_plan_task;
    consumer->plan_task.user = consumer;
    consumer->plan_timer.fn = on_plan_timer;
    consumer->plan_timer.user = consumer;
    consumer->event_task.fn = on_event_task;
    consumer->event_task.user = consumer;
    consumer->auto_timer.fn = kc_commit_on_timer;
    consumer->auto_timer.user = consumer;
    consumer->listener.fn = on_metadata;
    consumer->listener.user = consumer;
}

static size_t choose_credit(const kc_consumer *consumer)
{
    size_t credit = (size_t)consumer->settings->fetch_max_bytes * CREDIT_FETCHES;
    size_t share = (size_t)consumer->client->settings->memory_bytes_max / CREDIT_MEMORY_SHARE;
    return credit < share ? credit : share;
}

static void abandon(kc_handle *handle);

static kc_err take_config(kc_consumer *consumer, const kc_config *config, kc_error *err)
{
    consumer->settings = consumer->client->settings;
    if (config) {
        KB_TRY(kc_config_check(config, err));
        consumer->config = kc_config_copy_in(kc_consumer_mem(consumer), config);
        if (!consumer->config)
            return kb_error_code(err, KC_ERR_NOMEM);
        consumer->settings = kc_config_settings(consumer->config);
    }
    consumer->group_id = kc_str(consumer->settings->group_id);
    return KC_OK;
}

kc_err kc_consumer_open(kc_client *client, const kc_config *config, kc_consumer **consumer_out,
                        kc_error *err)
{
    KB_TRY(kc_client_check(client, err));
    kc_consumer *consumer = kb_mem_zalloc(&client->mem, sizeof *consumer);
    if (!consumer)
        return kb_error_code(err, KC_ERR_NOMEM);
    consumer->client = client;
    kc_err result = take_config(consumer, config, err);
    if (result != KC_OK) {
        kb_mem_free(&client->mem, consumer);
        return result;
    }
    consumer->owner = kc_client_next_owner(client);
    consumer->handle.abandon = abandon;
    consumer->handle.explain = kc_consumer_explain;
    init_lists(consumer);
    init_callbacks(consumer);
    consumer->credit_bytes_max = choose_credit(consumer);
    kc_member_init(consumer);
    kb_list_push_back(&client->handles, &consumer->handle.node);
    kc_metadata_listen(client->metadata, &consumer->listener);
    *consumer_out = consumer;
    return KC_OK;
}

/* ---- closing ---- */

/** In a forked child the application is told nothing: that is its parent's. */
static void forget_callbacks(kc_consumer *consumer)
{
    KB_LIST_FOR (node, &consumer->ops) {
        KB_CONTAINER(node, kc_offset_op, node)->fn = NULL;
    }
}

/** At once: pending commits end with KC_ERR_CLOSED, the rest silently. */
static void abandon(kc_handle *handle)
{
    kc_consumer *consumer = KB_CONTAINER(handle, kc_consumer, handle);
    kc_client *client = consumer->client;
    kb_mem *mem = &client->mem;
    consumer->is_closing = consumer->is_freed = true;
    if (consumer->stored_op)
        kc_offset_op_cancel(consumer->stored_op);
    if (consumer->auto_op)
        kc_offset_op_cancel(consumer->auto_op);
    consumer->stored_op = consumer->auto_op = NULL;
    if (client->is_forked)
        forget_callbacks(consumer);
    kc_offset_op_end_all(consumer, KC_ERR_CLOSED, false);
    kb_list_remove(&consumer->handle.node);
    kc_metadata_unlisten(&consumer->listener);
    kc_member_cleanup(consumer);
    kc_subscription_clear(consumer);
    kc_part_drop_all(consumer);
    kc_leader_free_all(consumer);
    kc_source_orphan_all(consumer);
    kc_batch_free_spares(consumer);
    kn_task_cancel(&consumer->plan_task);
    kn_task_cancel(&consumer->event_task);
    kn_timer_stop(client->loop, &consumer->plan_timer);
    kn_timer_stop(client->loop, &consumer->auto_timer);
    kb_list *node;
    while ((node = kb_list_pop_front(&consumer->errors)))
        kb_mem_free(mem, KB_CONTAINER(node, kc_consumer_error, node));
    kb_mem_free(mem, consumer->told.names);
    kb_mem_free(mem, consumer->told.parts);
    kb_map_cleanup(&consumer->part_map);
    kb_arena_cleanup(&consumer->scratch);
    kn_pool_close_owner(client->pool, consumer->owner);
    kc_config_free(consumer->config);
    kb_mem_free(mem, consumer);
}

kc_err kc_consumer_close(kc_consumer *consumer, int timeout_ms)
{
    if (!consumer)
        return KC_OK;
    kc_client *client = consumer->client;
    if (client->in_dispatch)
        return KC_ERR_STATE;
    kc_err err = KC_OK;
    consumer->is_closing = true;
    if (timeout_ms != 0) {
        (void)kc_client_fresh_us(client);
        if (consumer->is_by_hand)
            kc_commit_auto(consumer);
        kc_member_leave(consumer);
        kc_member_commits_done(consumer);
        if (!consumer->is_out)
            err = kc_client_run_until(client, &consumer->is_out, timeout_ms);
    }
    /* Callbacks of pending commits run: nothing of them may come back in. */
    client->in_dispatch = true;
    abandon(&consumer->handle);
    client->in_dispatch = false;
    return err;
}

/* ---- reading ---- */

kc_err kc_consumer_next(kc_consumer *consumer, kc_batch **batch_out)
{
    if (consumer->fatal.code != KC_OK)
        return consumer->fatal.code;
    consumer->taken_us = kc_consumer_now_us(consumer);
    kc_err err = kc_batch_take(consumer, batch_out);
    if (err != KC_ERR_AGAIN)
        return err;
    if (consumer->member.is_expired) {
        consumer->member.is_expired = false;
        kc_member_step_soon(consumer);
    }
    return consumer->is_by_hand || consumer->subscription.is_set ? KC_ERR_AGAIN : KC_ERR_STATE;
}

static kc_err explain(const kc_consumer *consumer, kc_err result, kc_error *err)
{
    if (result == KC_OK)
        return KC_OK;
    if (consumer->fatal.code == result) {
        if (err)
            *err = consumer->fatal;
        return result;
    }
    if (result == KC_ERR_STATE)
        return kb_error_set(err, result,
                            "subscribe or assign first; and poll only outside callbacks");
    return kb_error_code(err, result);
}

kc_err kc_consumer_poll(kc_consumer *consumer, int timeout_ms, kc_batch **batch_out, kc_error *err)
{
    kc_client *client = consumer->client;
    if (client->in_dispatch)
        return explain(consumer, KC_ERR_STATE, err);
    /* One look at the clock per batch; a turn now and then, also when there is no need to wait. */
    int64_t now_us = kn_loop_refresh_now(client->loop);
    if (now_us - consumer->turn_us >= KC_CONSUMER_TURN_US) {
        kc_err turned = kc_client_dispatch(client, 0);
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            return explain(consumer, turned, err);
        consumer->turn_us = kc_consumer_now_us(consumer);
    }
    int64_t end_us = now_us + (int64_t)timeout_ms * 1000;
    kc_err result;
    while ((result = kc_consumer_next(consumer, batch_out)) == KC_ERR_AGAIN) {
        int left_ms = -1;
        if (timeout_ms >= 0) {
            int64_t left_us = end_us - kc_consumer_now_us(consumer);
            if (left_us <= 0 && timeout_ms > 0)
                break;
            left_ms = left_us > 0 ? (int)((left_us + 999) / 1000) : 0;
        }
        result = kc_client_run_until(client, &consumer->has_ready, left_ms);
        consumer->turn_us = kc_consumer_now_us(consumer);
        if (result == KC_ERR_TIMEOUT) {
            result = kc_consumer_next(consumer, batch_out);
            break;
        }
        if (result != KC_OK)
            break;
    }
    return explain(consumer, result, err);
}

/* ---- asking ---- */

void kc_consumer_group_info(const kc_consumer *consumer, kc_group_info *info_out)
{
    const kc_member *member = &consumer->member;
    *info_out = (kc_group_info){
        .state = kc_member_state_name(member->state),
        .generation = member->generation,
        .member_id = kc_member_id(member),
        .coordinator = member->coordinator,
    };
}

void kc_consumer_stats_get(const kc_consumer *consumer, kc_consumer_stats *stats_out)
{
    *stats_out = consumer->stats;
    stats_out->buffered_bytes = consumer->pinned_bytes + consumer->inflated_bytes;
}
