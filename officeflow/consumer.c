/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Opening, subscribing, running and stopping a consumer.
 *
 * Stopping: nothing new is begun, waits are dropped (their records were not acknowledged), answers
 * that are out are awaited up to the drain time, what was acknowledged is committed, the group is
 * left. */
#include "officeflow/catalogue.h"
#include "officeflow/consumer_core.h"
#include "protocol/base/error.h"

#include <stdio.h>

#define DRAIN_POLL_MS 50

void of_consumer_options_init(of_consumer_options *options)
{
    *options = (of_consumer_options){.unhandled = OF_UNHANDLED_ACK, .commit_interval_ms = 1000};
}

static void free_all(of_consumer *consumer, kb_map *map)
{
    size_t pos = 0;
    void *item;
    while ((item = kb_map_next(map, &pos)) != NULL)
        kb_mem_free(&consumer->platform->mem, item);
    kb_map_cleanup(map);
}

static void free_patterns(of_consumer *consumer)
{
    for (size_t i = 0; i < consumer->pattern_count; i++)
        kb_mem_free(&consumer->platform->mem, consumer->patterns[i]);
    kb_mem_free(&consumer->platform->mem, consumer->patterns);
    consumer->patterns = NULL;
    consumer->pattern_count = 0;
}

/** Everything but the Kafka consumers: contexts whose answers are out get them from here, as
 * closed. */
static void dispose(of_consumer *consumer)
{
    size_t pos = 0;
    of_stream *stream;
    of_start_cancel(consumer);
    while ((stream = kb_map_next(&consumer->streams, &pos)) != NULL)
        of_stream_free(stream);
    kb_map_cleanup(&consumer->streams);
    of_producer_close(consumer->producer);
    of_outbox_free(consumer->outbox);
    KB_LIST_FOR (node, &consumer->detached) // answered OF_ASYNC and never completed
        of_ctx_free(KB_CONTAINER(node, of_ctx, node));
    kc_timer_free(consumer->work_timer);
    kc_timer_free(consumer->commit_timer);
    KB_LIST_FOR (node, &consumer->handlers) {
        kb_list_remove(node);
        kb_mem_free(&consumer->platform->mem, KB_CONTAINER(node, of_handler, node));
    }
    free_all(consumer, &consumer->floods);
    free_all(consumer, &consumer->first_topics);
    free_patterns(consumer);
    kb_mem_free(&consumer->platform->mem, consumer);
}

static void abandon(of_part *part)
{
    of_consumer *consumer = KB_CONTAINER(part, of_consumer, part);
    kc_consumer_close(consumer->control, 0);
    kc_consumer_close(consumer->kafka, 0);
    dispose(consumer);
}

static void on_commit_timer(void *user)
{
    of_consumer *consumer = user;
    if (consumer->stop_asked && !consumer->is_stopping)
        (void)of_consumer_is_stopped(consumer);
    of_consumer_commit(consumer);
    kc_timer_set(consumer->commit_timer, consumer->options.commit_interval_ms);
}

static kc_err open_kafka(of_consumer *consumer, kc_error *err)
{
    kc_config *config = kc_config_copy(consumer->platform->config.kafka);
    kc_err result = config ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
    static const char *const properties[][2] = {
        {"enable.auto.commit", "false"},
        {"auto.offset.reset", "earliest"}, // where to begin is decided in consumer_start.c
        {"isolation.level", "read_committed"},
    };
    if (result == KC_OK)
        result = kc_config_set(config, "group.id", consumer->group, err);
    for (size_t i = 0; i < sizeof properties / sizeof properties[0] && result == KC_OK; i++)
        result = kc_config_set(config, properties[i][0], properties[i][1], err);
    if (result == KC_OK)
        result = kc_consumer_open(consumer->platform->client, config, &consumer->kafka, err);
    kc_config_free(config);
    return result;
}

static kc_err open_parts(of_consumer *consumer, kc_error *err)
{
    kc_client *client = consumer->platform->client;
    KB_TRY(open_kafka(consumer, err));
    of_consumer_set_events(consumer);
    KB_TRY(of_outbox_new(consumer->platform, &consumer->outbox, err));
    KB_TRY(of_producer_open(consumer->platform, NULL, &consumer->producer, err));
    if (kc_timer_new(client, of_consumer_on_work, consumer, &consumer->work_timer) != KC_OK ||
        kc_timer_new(client, on_commit_timer, consumer, &consumer->commit_timer) != KC_OK)
        return kb_error_code(err, KC_ERR_NOMEM);
    kc_timer_set(consumer->commit_timer, consumer->options.commit_interval_ms);
    return KC_OK;
}

kc_err of_consumer_open(of_platform *platform, const char *group,
                        const of_consumer_options *options, of_consumer **consumer_out,
                        kc_error *err)
{
    if (!group || !*group || strlen(group) >= sizeof((of_consumer *)0)->group)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "A consumer needs a group name of 1 to 255 bytes.");
    of_consumer *consumer = kb_mem_zalloc(&platform->mem, sizeof *consumer);
    if (!consumer)
        return kb_error_code(err, KC_ERR_NOMEM);
    consumer->platform = platform;
    if (options)
        consumer->options = *options;
    else
        of_consumer_options_init(&consumer->options);
    if (consumer->options.handler_breaker) {
        consumer->handler_breaker = *consumer->options.handler_breaker;
        consumer->options.handler_breaker = &consumer->handler_breaker;
    }
    snprintf(consumer->group, sizeof consumer->group, "%s", group);
    kb_list_init(&consumer->handlers);
    kb_list_init(&consumer->ready);
    kb_list_init(&consumer->detached);
    kb_map_init(&consumer->streams, &platform->mem);
    kb_map_init(&consumer->floods, &platform->mem);
    kb_map_init(&consumer->first_topics, &platform->mem);
    consumer->part.abandon = abandon;
    kb_list_init(&consumer->part.node);
    kc_err result = open_parts(consumer, err);
    if (result != KC_OK) {
        abandon(&consumer->part);
        return result;
    }
    // before the producer opened inside: parts close in this order, and its answers need the
    // consumer
    kb_list_push_front(&platform->parts, &consumer->part.node);
    *consumer_out = consumer;
    return KC_OK;
}

/* ---- handlers ---- */

static kc_err add_breakers(of_consumer *consumer, of_handler *handler,
                           const of_handler_options *options, kc_error *err)
{
    for (size_t i = 0; options && i < options->breaker_count; i++) {
        if (handler->breaker_count == OF_HANDLER_BREAKERS_MAX)
            return kb_error_set(err, KC_ERR_ARGUMENT, "A handler can need at most %d breakers.",
                                OF_HANDLER_BREAKERS_MAX);
        handler->breakers[handler->breaker_count++] =
            of_platform_breaker(consumer->platform, options->breakers[i], NULL);
    }
    for (size_t i = 0; i < handler->breaker_count; i++)
        if (!handler->breakers[i])
            return kb_error_code(err, KC_ERR_NOMEM);
    return KC_OK;
}

static of_handler *find_type(of_consumer *consumer, const char *type)
{
    KB_LIST_FOR (node, &consumer->handlers) {
        of_handler *handler = KB_CONTAINER(node, of_handler, node);
        if (strcmp(handler->type, type) == 0)
            return handler;
    }
    return NULL;
}

kc_err of_consumer_handle_with(of_consumer *consumer, const char *type, of_handler_fn fn,
                               void *user, const of_handler_options *options, kc_error *err)
{
    KB_TRY(of_pattern_check(kc_str(type), err));
    size_t len = strlen(type);
    of_handler *handler = kb_mem_zalloc(&consumer->platform->mem, sizeof *handler + len + 1);
    if (!handler)
        return kb_error_code(err, KC_ERR_NOMEM);
    memcpy(handler->type, type, len + 1);
    handler->fn = fn;
    handler->user = user;
    handler->major = options ? options->major : -1;
    handler->accepts_tombstones = options && options->accepts_tombstones;
    handler->accepts_raw = options && options->accepts_raw;
    kc_err result = add_breakers(consumer, handler, options, err);
    if (result != KC_OK) {
        kb_mem_free(&consumer->platform->mem, handler);
        return result;
    }
    of_handler *old = find_type(consumer, type);
    if (!old) {
        kb_list_push_back(&consumer->handlers, &handler->node);
        return KC_OK;
    }
    // in its place: events under way point to it, and it may be the one that is calling
    handler->node = old->node;
    memcpy(old, handler, sizeof *old);
    kb_mem_free(&consumer->platform->mem, handler);
    return KC_OK;
}

kc_err of_consumer_handle(of_consumer *consumer, const char *type, of_handler_fn fn, void *user,
                          kc_error *err)
{
    return of_consumer_handle_with(consumer, type, fn, user, NULL, err);
}

/* ---- subscribe ---- */

static kc_err copy_patterns(of_consumer *consumer, const char *const *patterns, size_t count,
                            kc_error *err)
{
    kb_mem *mem = &consumer->platform->mem;
    for (size_t i = 0; i < count; i++)
        KB_TRY(of_pattern_check(kc_str(patterns[i]), err));
    free_patterns(consumer);
    consumer->patterns = kb_mem_zalloc(mem, count * sizeof *consumer->patterns);
    for (size_t i = 0; consumer->patterns && i < count; i++) {
        consumer->patterns[i] = kb_mem_strndup(mem, patterns[i], strlen(patterns[i]));
        if (!consumer->patterns[i])
            return kb_error_code(err, KC_ERR_NOMEM);
        consumer->pattern_count++;
    }
    return consumer->patterns ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
}

static void on_control(kc_consumer *kafka, void *user)
{
    of_consumer *consumer = user;
    kc_batch *batch;
    while (kc_consumer_next(kafka, &batch) == KC_OK)
        kc_batch_free(batch);
    if (!consumer->is_stopping)
        kc_consumer_refresh_topics(consumer->kafka);
}

/** With wildcards, a note on the control topic ("an organisation was created") makes us look at
 * once. */
static kc_err open_control(of_consumer *consumer, kc_error *err)
{
    bool has_wildcard = false;
    for (size_t i = 0; i < consumer->pattern_count; i++)
        has_wildcard |= strchr(consumer->patterns[i], '*') != NULL;
    if (!has_wildcard || consumer->control)
        return KC_OK;
    kc_topic_offset from = {
        .topic = KC_STR(OF_CONTROL_TOPIC), .offset = KC_OFFSET_END, .leader_epoch = -1};
    KB_TRY(kc_consumer_open(consumer->platform->client, NULL, &consumer->control, err));
    kc_consumer_set_events(consumer->control,
                           &(kc_consumer_events){.on_batch = on_control, .user = consumer});
    return kc_consumer_assign(consumer->control, &from, 1, err);
}

kc_err of_consumer_subscribe(of_consumer *consumer, const char *const *patterns, size_t count,
                             bool from_beginning, kc_error *err)
{
    const of_group_spec *spec = of_catalogue_find_group(kc_str(consumer->group));
    if (!patterns) {
        if (!spec)
            return kb_error_set(err, KC_ERR_ARGUMENT,
                                "Group %s is not in the catalogue: say what it subscribes.",
                                consumer->group);
        patterns = spec->patterns;
        for (count = 0; count < 8 && patterns[count];)
            count++;
    }
    if (count == 0)
        return kb_error_set(err, KC_ERR_ARGUMENT, "Nothing to subscribe.");
    KB_TRY(copy_patterns(consumer, patterns, count, err));
    consumer->from_beginning = from_beginning;
    KB_TRY(open_control(consumer, err));
    return of_consumer_join(consumer, err);
}

/* ---- run and stop ---- */

void of_consumer_stop(of_consumer *consumer, int32_t drain_ms)
{
    consumer->stop_drain_ms = drain_ms;
    consumer->stop_asked = 1;
    kc_client_wake(consumer->platform->client);
}

/** Answers that are still out. */
static bool is_busy(const of_consumer *consumer)
{
    size_t pos = 0;
    const of_stream *stream;
    while ((stream = kb_map_next(&consumer->streams, &pos)) != NULL)
        if (stream->ctx->pending > 0)
            return true;
    return !kb_list_is_empty(&consumer->detached) || consumer->is_committing;
}

static void begin_stop(of_consumer *consumer)
{
    int64_t now = kc_client_now_us(consumer->platform->client);
    consumer->is_stopping = true;
    consumer->stop_deadline_us = now + (int64_t)consumer->stop_drain_ms * 1000;
    size_t pos = 0;
    of_stream *stream;
    while ((stream = kb_map_next(&consumer->streams, &pos)) != NULL) {
        kc_timer_stop(stream->timer);
        stream->ctx->is_cancelled = true;
    }
}

bool of_consumer_is_stopped(const of_consumer *constant)
{
    of_consumer *consumer = (of_consumer *)(uintptr_t)constant;
    if (consumer->stop_asked && !consumer->is_stopping)
        begin_stop(consumer);
    if (!consumer->is_stopping || consumer->is_stopped)
        return consumer->is_stopped;
    bool is_late = kc_client_now_us(consumer->platform->client) >= consumer->stop_deadline_us;
    if (is_busy(consumer) && !is_late)
        return false;
    consumer->is_stopped = true;
    return true;
}

kc_err of_consumer_run(of_consumer *consumer, kc_error *err)
{
    while (!of_consumer_is_stopped(consumer)) {
        int wait = consumer->is_stopping ? DRAIN_POLL_MS : -1;
        kc_err turned = kc_client_dispatch(consumer->platform->client, wait);
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            return kb_error_code(err, turned);
    }
    if (!consumer->is_failed)
        return KC_OK;
    if (err)
        *err = consumer->fatal;
    return consumer->fatal.code;
}

void of_consumer_close(of_consumer *consumer, int32_t drain_ms)
{
    if (!consumer)
        return;
    kc_client *client = consumer->platform->client;
    if (!consumer->stop_asked)
        of_consumer_stop(consumer, drain_ms);
    while (!of_consumer_is_stopped(consumer)) {
        kc_err turned = kc_client_dispatch(client, DRAIN_POLL_MS);
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            break;
    }
    // leaving revokes: what was acknowledged is committed on the way out
    if (kc_consumer_close(consumer->kafka, drain_ms) == KC_ERR_STATE)
        return; // in a callback: what called it still needs it all
    consumer->kafka = NULL;
    kb_list_remove(&consumer->part.node);
    kc_consumer_close(consumer->control, 0);
    consumer->control = NULL;
    dispose(consumer);
}

void of_consumer_stats_get(const of_consumer *consumer, of_consumer_stats *stats_out)
{
    *stats_out = consumer->stats;
    stats_out->partitions = (uint32_t)consumer->streams.count;
    stats_out->waiting = 0;
    size_t pos = 0;
    const of_stream *stream;
    while ((stream = kb_map_next(&consumer->streams, &pos)) != NULL)
        stats_out->waiting += stream->state == OF_STREAM_WAITING ? 1 : 0;
}

/* ---- tests of handlers ---- */

of_result of_test_deliver(of_consumer *consumer, kc_bytes value, const kc_header *headers,
                          size_t header_count, void (*on_emit)(const of_event *event, void *user),
                          void *user)
{
    of_ctx *ctx = kb_mem_zalloc(&consumer->platform->mem, sizeof *ctx);
    if (!ctx)
        return OF_RETRY;
    kb_list_init(&ctx->node);
    ctx->consumer = consumer;
    ctx->on_emit = on_emit;
    ctx->emit_user = user;
    ctx->attempt = 1;
    kb_arena_init(&ctx->arena, &consumer->platform->mem, 0);
    kb_arena_init(&ctx->scratch, &consumer->platform->mem, 0);
    ctx->origin.topic = KC_STR("test");
    ctx->message = (of_message){.value = value, .headers = headers, .header_count = header_count};
    kc_error why;
    of_result result = OF_PERMANENT;
    kc_err err = of_wire_decode(&ctx->message, KC_STR("test/0/0"), &ctx->arena, &ctx->event, &why);
    ctx->handler = of_consumer_find_handler(consumer, ctx->event.type);
    kc_bytes correlation =
        ctx->event.correlation_id.len > 0 ? ctx->event.correlation_id : ctx->event.id;
    (void)of_tracker_adopt(consumer->platform->tracker, correlation, ctx->event.traceparent, NULL,
                           &ctx->trace);
    if (ctx->handler && (err == KC_OK || ctx->handler->accepts_raw))
        result = ctx->handler->fn(&ctx->event, ctx, ctx->handler->user);
    of_ctx_free(ctx);
    return result;
}
