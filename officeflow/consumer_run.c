/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One event from record to answer. The order is fixed: decode, expiry, handler look-up, validation,
 * breakers, handler, classification. */
#include "officeflow/catalogue.h"
#include "officeflow/consumer_core.h"
#include "officeflow/variant.h"
#include "protocol/base/error.h"
#include "protocol/base/json.h"
#include "protocol/base/text.h"

#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>

#define BUSY_MS         1000
#define BREAKER_POLL_MS 1000
/* a hostile producer can make up types; breakers are kept for these many */
#define TYPE_BREAKERS_MAX 1000
#define SUBSCRIBERS_ERROR "emit_failed"

/* ---- the record ---- */

/** What a delayed or redriven record says about its earlier tries. */
static void read_retry_headers(of_ctx *ctx)
{
    const kc_header *headers = ctx->message.headers;
    size_t count = ctx->message.header_count;
    int64_t number;
    of_origin origin;
    if (of_header_i64(headers, count, OF_H_ATTEMPT, &number) && number > 0 &&
        number <= OF_COUNT_MAX)
        ctx->attempt = (int32_t)number;
    if (of_header_i64(headers, count, OF_H_FIRST_FAILED, &number) && number > 0)
        ctx->first_failed_ms = number;
    if (of_origin_parse(of_header_text(headers, count, OF_H_ORIGIN), &origin))
        ctx->origin = origin;
    kc_bytes stage = of_header_text(headers, count, OF_H_STAGE);
    ctx->stage = kc_bytes_equal(stage, KC_STR("redrive")) ? OF_STAGE_REDRIVE : OF_STAGE_RETRY;
    if (of_header_i64(headers, count, OF_H_REDRIVE, &number) && number > 0 &&
        number <= OF_COUNT_MAX)
        ctx->redrive = (int32_t)number;
    kc_bytes id = of_header_text(headers, count, OF_H_REDRIVE_OF);
    if (id.len == 16)
        memcpy(ctx->redrive_of, id.ptr, 16);
    kc_bytes history = of_header_text(headers, count, OF_H_DLQ_HISTORY);
    if (history.ptr && kb_json_check(history, false, &ctx->arena, NULL) == KC_OK)
        ctx->history = history;
}

/** Which tier of the policy a delayed topic is: the last segment of its name. */
static int32_t find_tier(const of_ctx *ctx, kc_bytes topic)
{
    of_policy policy =
        of_policies_get(of_platform_policies(ctx->consumer->platform), ctx->event.type);
    for (int32_t i = 0; i < policy.tier_count; i++) {
        kc_bytes name = kc_str(policy.tiers[i].name);
        if (topic.len > name.len + 1 && topic.ptr[topic.len - name.len - 1] == '.' &&
            memcmp(topic.ptr + topic.len - name.len, name.ptr, name.len) == 0)
            return i;
    }
    return -1;
}

static kc_err copy_headers(of_ctx *ctx, const kc_view *view)
{
    kc_header *headers =
        kb_arena_array(&ctx->arena, (size_t)view->header_count + 1, sizeof *headers);
    if (!headers)
        return KC_ERR_NOMEM;
    kc_bytes pos = view->headers_raw;
    size_t count = 0;
    while (count < (size_t)view->header_count && kc_view_header(&pos, &headers[count]))
        count++;
    ctx->message.headers = headers;
    ctx->message.header_count = count;
    return KC_OK;
}

static void decode(of_ctx *ctx)
{
    char *id = kb_arena_printf(&ctx->arena, KC_FMT "/%d/%lld", KC_ARG(ctx->origin.topic),
                               ctx->origin.partition, (long long)ctx->origin.offset);
    kc_err err =
        of_wire_decode(&ctx->message, kc_str(id), &ctx->arena, &ctx->event, &ctx->decode_error);
    ctx->is_decoded = err == KC_OK;
    snprintf(ctx->key, sizeof ctx->key, KC_FMT, KC_ARG(ctx->event.id));
    kc_bytes correlation =
        ctx->event.correlation_id.len > 0 ? ctx->event.correlation_id : ctx->event.id;
    if (of_tracker_adopt(ctx->consumer->platform->tracker, correlation, ctx->event.traceparent,
                         NULL, &ctx->trace) != KC_OK)
        ctx->trace = (of_trace){0};
}

void of_ctx_begin(of_ctx *ctx, const kc_view *view, kc_bytes topic, int32_t partition)
{
    of_consumer *consumer = ctx->consumer;
    of_stream *stream = ctx->stream;
    kb_arena arena = ctx->arena, scratch = ctx->scratch;
    kb_arena_reset(&arena);
    *ctx = (of_ctx){
        .consumer = consumer, .stream = stream, .arena = arena, .scratch = scratch, .tier = -1};
    kb_list_init(&ctx->node);
    ctx->offset = view->offset;
    ctx->record_ms = view->timestamp_ms;
    ctx->message = (of_message){.key = view->key, .value = view->value};
    ctx->origin = (of_origin){
        .topic = topic,
        .partition = partition,
        .offset = view->offset,
        .timestamp_ms = view->timestamp_ms,
        .timestamp_type = view->timestamp_type,
        .leader_epoch = view->leader_epoch,
    };
    if (copy_headers(ctx, view) != KC_OK)
        ctx->message.header_count = 0;
    bool is_retry = stream && stream->is_retry;
    if (is_retry)
        read_retry_headers(ctx);
    decode(ctx);
    if (is_retry && ctx->stage == OF_STAGE_RETRY)
        ctx->tier = find_tier(ctx, topic);
}

/* ---- handlers ---- */

/** Length of the literal part of a pattern; an exact type counts as longer than every pattern. */
static size_t literal_len(const char *pattern)
{
    const char *star = strchr(pattern, '*');
    return star ? (size_t)(star - pattern) : SIZE_MAX;
}

const of_handler *of_consumer_find_handler(const of_consumer *consumer, kc_bytes type)
{
    const of_handler *best = NULL;
    KB_LIST_FOR (node, (kb_list *)(uintptr_t)&consumer->handlers) {
        const of_handler *handler = KB_CONTAINER(node, of_handler, node);
        if (!of_pattern_match(kc_str(handler->type), type))
            continue;
        if (!best || literal_len(handler->type) > literal_len(best->type))
            best = handler;
    }
    return best;
}

kc_bytes of_ctx_handler_name(const of_ctx *ctx)
{
    return ctx->handler ? kc_str(ctx->handler->type) : KC_STR("none");
}

void of_ctx_notice(of_ctx *ctx, of_notice *notice)
{
    of_consumer *consumer = ctx->consumer;
    if (!consumer->options.on_notice)
        return;
    notice->event = &ctx->event;
    notice->topic = ctx->origin.topic;
    notice->partition = ctx->origin.partition;
    notice->offset = ctx->origin.offset;
    notice->attempt = ctx->attempt;
    if (notice->kind != OF_NOTICE_FAILED)
        notice->stage = ctx->stage;
    notice->code = ctx->code;
    notice->message = ctx->text;
    consumer->options.on_notice(notice, consumer->options.notice_user);
}

void of_ctx_record(of_ctx *ctx, of_trace_status status)
{
    char operation[OF_TYPE_MAX + 32];
    if (!ctx->trace.correlation_id[0])
        return;
    snprintf(operation, sizeof operation, "process " KC_FMT, KC_ARG(ctx->event.type));
    (void)of_tracker_record(ctx->consumer->platform->tracker, kc_str(ctx->trace.correlation_id),
                            ctx->consumer->group, operation, status);
}

/* ---- breakers ---- */

/** Breaker of this group and event type; of the handler alone once there are very many types. Index
 * 0 is this one, the handler's named ones follow; NULL behind the last. */
static of_breaker *breaker_at(const of_ctx *ctx, size_t index)
{
    if (index > 0)
        return index <= ctx->handler->breaker_count ? ctx->handler->breakers[index - 1] : NULL;
    of_consumer *consumer = ctx->consumer;
    char name[sizeof consumer->group + OF_TYPE_MAX + 16];
    bool is_many = consumer->platform->breakers.count > TYPE_BREAKERS_MAX;
    kc_bytes type = is_many ? kc_str(ctx->handler->type) : ctx->event.type;
    snprintf(name, sizeof name, "handler:%s:" KC_FMT, consumer->group, KC_ARG(type));
    return of_platform_breaker(consumer->platform, name, consumer->options.handler_breaker);
}

static void release_breakers(of_ctx *ctx, size_t count)
{
    of_breaker *breaker;
    ctx->holds_breakers = false;
    for (size_t i = 0; i < count && (breaker = breaker_at(ctx, i)) != NULL; i++)
        of_breaker_release(breaker);
}

void of_ctx_release_breakers(of_ctx *ctx)
{
    if (ctx->holds_breakers)
        release_breakers(ctx, SIZE_MAX);
}

static void report_breakers(of_ctx *ctx, bool is_ok)
{
    int64_t now = of_consumer_now_ms(ctx->consumer);
    int64_t took = now - ctx->started_us / 1000;
    of_breaker *breaker;
    ctx->holds_breakers = false;
    for (size_t i = 0; (breaker = breaker_at(ctx, i)) != NULL; i++)
        of_breaker_report(breaker, is_ok, took, now);
}

/** All breakers of the handler let a call through, or the stream waits for the first that does not.
 */
static bool pass_breakers(of_ctx *ctx)
{
    int64_t now = of_consumer_now_ms(ctx->consumer);
    of_breaker *breaker;
    for (size_t i = 0; (breaker = breaker_at(ctx, i)) != NULL; i++) {
        if (of_breaker_acquire(breaker, now))
            continue;
        release_breakers(ctx, i);
        int64_t next = of_breaker_next_ms(breaker, now);
        int64_t wait = next == INT64_MAX || next <= now ? BREAKER_POLL_MS : next - now;
        snprintf(ctx->text, sizeof ctx->text, "breaker %s is %s", of_breaker_name(breaker),
                 of_breaker_state_name(of_breaker_state_at(breaker, now)));
        of_ctx_notice(ctx, &(of_notice){.kind = OF_NOTICE_BREAKER, .took_ms = wait});
        of_stream_wait(ctx->stream, wait, OF_RESUME_RUN);
        return false;
    }
    ctx->holds_breakers = true;
    return true;
}

/* ---- answers ---- */

static void put_away(of_ctx *ctx, enum of_notice_kind kind, uint64_t *counter)
{
    (*counter)++;
    of_ctx_notice(ctx, &(of_notice){.kind = kind});
    of_stream_ack(ctx->stream);
}

static void on_resolved(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                        void *user)
{
    (void)partition;
    (void)offset;
    of_ctx *ctx = user;
    if (of_ctx_answered(ctx))
        return;
    // the event was handled: a state record that could not be written must not make it be handled
    // again
    if (err != KC_OK)
        of_ctx_notice(ctx, &(of_notice){.kind = OF_NOTICE_ERROR, .error = error});
    of_stream_ack(ctx->stream);
}

/** A redrive worked: say so in the state topic before the offset moves. */
static bool write_resolved(of_ctx *ctx)
{
    of_state_record record = {.state = OF_DEAD_RESOLVED,
                              .redrive = ctx->redrive,
                              .wall_ms = of_consumer_wall_ms(ctx->consumer),
                              .by = kc_str(ctx->consumer->group),
                              .correlation_id = ctx->event.correlation_id};
    memcpy(record.id, ctx->redrive_of, sizeof record.id);
    if (!ctx->redrive_of[0] ||
        of_state_write(ctx->consumer->outbox, &record, on_resolved, ctx, NULL) != KC_OK)
        return false;
    ctx->pending++;
    ctx->stream->state = OF_STREAM_WRITING;
    return true;
}

static void succeed(of_ctx *ctx)
{
    int64_t now_us = kc_client_now_us(ctx->consumer->platform->client);
    report_breakers(ctx, true);
    of_flood_refill(ctx->consumer, ctx->origin.topic);
    ctx->consumer->stats.handled++;
    of_ctx_record(ctx, OF_TRACE_COMPLETED);
    of_ctx_notice(
        ctx, &(of_notice){.kind = OF_NOTICE_HANDLED, .took_ms = (now_us - ctx->started_us) / 1000});
    if (!write_resolved(ctx))
        of_stream_ack(ctx->stream);
}

static void classify(of_ctx *ctx, of_result result)
{
    switch (result) {
    case OF_OK:
        succeed(ctx);
        return;
    case OF_DISCARD:
        report_breakers(ctx, true);
        put_away(ctx, OF_NOTICE_DISCARDED, &ctx->consumer->stats.discarded);
        return;
    case OF_PERMANENT: // the dependency works; it is the event that does not
        release_breakers(ctx, SIZE_MAX);
        of_ctx_fail(ctx, OF_CLASS_PERMANENT);
        return;
    case OF_BUSY:
        release_breakers(ctx, SIZE_MAX);
        ctx->attempt -= !OF_VARIANT(BUSY_COSTS_A_TRY);
        ctx->stage_attempt -= !OF_VARIANT(BUSY_COSTS_A_TRY);
        of_stream_wait(ctx->stream, ctx->retry_after_ms > 0 ? ctx->retry_after_ms : BUSY_MS,
                       OF_RESUME_RUN);
        return;
    default:
        report_breakers(ctx, false);
        of_ctx_fail(ctx, OF_CLASS_TRANSIENT);
    }
}

/** The handler has answered; what it emitted must be acknowledged before that counts. */
static void answer(of_ctx *ctx, of_result result)
{
    ctx->result = result;
    if (ctx->pending > 0)
        return;
    if (ctx->has_emit_failed && (result == OF_OK || result == OF_DISCARD)) {
        of_fail(ctx, SUBSCRIBERS_ERROR, "an event it emitted was not acknowledged");
        result = OF_RETRY;
    }
    classify(ctx, result);
}

bool of_ctx_answered(of_ctx *ctx)
{
    ctx->pending--;
    if (ctx->stream)
        return false;
    if (ctx->pending == 0)
        of_ctx_free(ctx);
    return true;
}

void of_complete(of_ctx *ctx, of_result result)
{
    if (!ctx->is_async || result == OF_ASYNC)
        return;
    ctx->is_async = false;
    if (!of_ctx_answered(ctx))
        answer(ctx, result);
}

/* ---- run ---- */

static void unhandled(of_ctx *ctx)
{
    of_consumer *consumer = ctx->consumer;
    switch (consumer->options.unhandled) {
    case OF_UNHANDLED_DLQ:
        of_fail(ctx, "no_handler", "no handler for type " KC_FMT, KC_ARG(ctx->event.type));
        of_ctx_fail(ctx, OF_CLASS_UNKNOWN_TYPE);
        return;
    case OF_UNHANDLED_FAIL:
        kb_error_set(&consumer->fatal, KC_ERR_NOT_FOUND,
                     "Group %s: no handler for type " KC_FMT " (unhandled = fail).",
                     consumer->group, KC_ARG(ctx->event.type));
        consumer->is_failed = true;
        of_consumer_stop(consumer, 0);
        return;
    default:
        put_away(ctx, OF_NOTICE_UNHANDLED, &consumer->stats.unhandled);
    }
}

/** Is there anything against handing the event to its handler? True: dealt with. */
static bool is_refused(of_ctx *ctx)
{
    const of_handler *handler = ctx->handler;
    if (!ctx->is_decoded && !handler->accepts_raw) {
        ctx->consumer->stats.deserialization++;
        of_fail(ctx, "deserialization", "%s", ctx->decode_error.text);
        of_ctx_fail(ctx, OF_CLASS_DESERIALIZATION);
        return true;
    }
    if (ctx->event.is_tombstone && !handler->accepts_tombstones) {
        put_away(ctx, OF_NOTICE_DISCARDED, &ctx->consumer->stats.discarded);
        return true;
    }
    int64_t major = 0;
    kc_bytes rest = ctx->event.version, number;
    if (ctx->is_decoded && handler->major >= 0 &&
        (!kb_text_split(&rest, '.', &number) || !kb_parse_i64(number, &major) ||
         major != handler->major)) {
        of_fail(ctx, "version", "version " KC_FMT ", the handler takes %d.x",
                KC_ARG(ctx->event.version), handler->major);
        of_ctx_fail(ctx, OF_CLASS_SCHEMA);
        return true;
    }
    return false;
}

void of_ctx_run(of_ctx *ctx)
{
    int64_t wall = of_consumer_wall_ms(ctx->consumer);
    if (ctx->event.expires_ms > 0 && wall > ctx->event.expires_ms) {
        put_away(ctx, OF_NOTICE_EXPIRED, &ctx->consumer->stats.expired);
        return;
    }
    ctx->handler = of_consumer_find_handler(ctx->consumer, ctx->event.type);
    if (!ctx->handler && ctx->is_decoded) {
        unhandled(ctx);
        return;
    }
    if (!ctx->handler) { // bytes that are no event, and nobody who takes any: dead, not skipped
        ctx->consumer->stats.deserialization++;
        of_fail(ctx, "deserialization", "%s", ctx->decode_error.text);
        of_ctx_fail(ctx, OF_CLASS_DESERIALIZATION);
        return;
    }
    if (is_refused(ctx) || !pass_breakers(ctx))
        return;
    ctx->attempt++;
    ctx->stage_attempt++;
    ctx->retry_after_ms = 0;
    ctx->has_emit_failed = false;
    ctx->emit_count = 0;
    ctx->code[0] = ctx->text[0] = 0;
    ctx->started_us = kc_client_now_us(ctx->consumer->platform->client);
    ctx->is_async = true; // of_complete() may come from inside the handler
    ctx->pending++;
    of_ctx_record(ctx, OF_TRACE_STARTED);
    of_result result = ctx->handler->fn(&ctx->event, ctx, ctx->handler->user);
    if (result != OF_ASYNC)
        of_complete(ctx, result);
}

void of_ctx_free(of_ctx *ctx)
{
    kb_list_remove(&ctx->node);
    if (!OF_VARIANT(BATCH_LEAKS))
        kc_batch_free(ctx->batch);
    kb_arena_cleanup(&ctx->arena);
    kb_arena_cleanup(&ctx->scratch);
    kb_mem_free(&ctx->consumer->platform->mem, ctx);
}

/* ---- what a handler may ask and say ---- */

int32_t of_ctx_attempt(const of_ctx *ctx)
{
    return ctx->attempt;
}

of_stage of_ctx_stage(const of_ctx *ctx)
{
    return ctx->stage;
}

int32_t of_ctx_redrive(const of_ctx *ctx)
{
    return ctx->redrive;
}

int64_t of_ctx_first_failed_ms(const of_ctx *ctx)
{
    return ctx->first_failed_ms;
}

const char *of_ctx_group(const of_ctx *ctx)
{
    return ctx->consumer->group;
}

kc_bytes of_ctx_topic(const of_ctx *ctx)
{
    return ctx->origin.topic;
}

int32_t of_ctx_partition(const of_ctx *ctx)
{
    return ctx->origin.partition;
}

int64_t of_ctx_offset(const of_ctx *ctx)
{
    return ctx->origin.offset;
}

const of_trace *of_ctx_trace(const of_ctx *ctx)
{
    return &ctx->trace;
}

const char *of_idempotency_key(const of_ctx *ctx)
{
    return ctx->key;
}

bool of_cancelled(const of_ctx *ctx)
{
    return ctx->is_cancelled || ctx->consumer->stop_asked;
}

void of_fail(of_ctx *ctx, const char *code, const char *fmt, ...)
{
    snprintf(ctx->code, sizeof ctx->code, "%s", code ? code : "");
    va_list args;
    va_start(args, fmt);
    vsnprintf(ctx->text, sizeof ctx->text, fmt, args);
    va_end(args);
}

void of_retry_after(of_ctx *ctx, int64_t delay_ms)
{
    ctx->retry_after_ms = delay_ms > 0 ? delay_ms : 0;
}

static void on_emitted(const of_sent *sent, void *user)
{
    of_ctx *ctx = user;
    if (sent->err != KC_OK)
        ctx->has_emit_failed = true;
    if (!of_ctx_answered(ctx) && ctx->pending == 0 && !ctx->is_async)
        answer(ctx, ctx->result);
}

/** An emitted event's id: the same whenever this event is handled again (UUIDv8 over its origin and
 * its place in the row), so that whoever reads it can tell a second copy. */
static void emit_id(of_ctx *ctx, char text_out[37])
{
    char name[KC_TOPIC_NAME_MAX + 128];
    int len = snprintf(name, sizeof name, KC_FMT "/%d/%lld/%s/%d", KC_ARG(ctx->origin.topic),
                       ctx->origin.partition, (long long)ctx->origin.offset, ctx->handler->type,
                       ctx->emit_count);
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)name, (size_t)len < sizeof name ? (size_t)len : sizeof name - 1,
           digest);
    kc_uuid id;
    memcpy(id.bytes, digest, sizeof id.bytes);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x80);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    kb_uuid_format(id, text_out);
}

kc_err of_emit(of_ctx *ctx, const of_event *event, kc_error *err)
{
    of_event copy = *event;
    char id[37], parent[56];
    if (!copy.id.ptr && ctx->handler) {
        emit_id(ctx, id);
        copy.id = kc_str(id);
    }
    ctx->emit_count++;
    copy.correlation_id =
        copy.correlation_id.ptr ? copy.correlation_id : kc_str(ctx->trace.correlation_id);
    copy.causation_id = copy.causation_id.ptr ? copy.causation_id : ctx->event.id;
    if (!copy.organization_id.ptr)
        copy.organization_id = ctx->event.organization_id;
    if (!copy.source.ptr)
        copy.source = kc_str(ctx->consumer->group);
    if (!copy.traceparent.ptr && ctx->trace.trace_id[0]) {
        of_trace_parent(&ctx->trace, parent);
        copy.traceparent = kc_str(parent);
        copy.tracestate = ctx->event.tracestate;
    }
    if (ctx->on_emit) {
        ctx->on_emit(&copy, ctx->emit_user);
        return KC_OK;
    }
    kc_err result = of_producer_send(ctx->consumer->producer, &copy, on_emitted, ctx, err);
    if (result == KC_OK)
        ctx->pending++;
    return result;
}
