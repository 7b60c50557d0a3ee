/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A failed event: decide by the policy, and put it where the decision says. The offset moves only
 * when the retry or dead letter is acknowledged; until then the record waits here, whatever the
 * reason, and the partition with it. */
#define _POSIX_C_SOURCE 200809L // strnlen
#include "officeflow/catalogue.h"
#include "officeflow/consumer_core.h"
#include "officeflow/variant.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

#include <stdio.h>

/* brokers' codes for a record that is too large */
/* a record that is tried for ever must not gather memory for ever */
#define HISTORY_TRIES_MAX    64
#define WRITE_BACKOFF_MS     1000
#define WRITE_BACKOFF_MAX_MS 30000
/* flood guard (a dead letter of a transient cause costs a token, a success brings one) */
#define FLOOD_TOKENS 20.0
/* a retry record names its origin topic itself: beyond these many topics there is no guard */
#define FLOOD_TOPICS_MAX 10000
#define FLOOD_TOKENS_MAX 1000.0
#define FLOOD_REFILL_MS  60000.0
#define POISON_TOKENS    500.0
#define FLOOD_WAIT_MS    30000

/* ---- flood guard ---- */

static of_flood *find_flood(of_consumer *consumer, kc_bytes topic)
{
    of_flood *flood = kb_map_get(&consumer->floods, topic);
    if (flood || topic.len > KC_TOPIC_NAME_MAX || consumer->floods.count >= FLOOD_TOPICS_MAX)
        return flood;
    flood = kb_mem_zalloc(&consumer->platform->mem, sizeof *flood);
    if (!flood)
        return NULL;
    flood->tokens = FLOOD_TOKENS;
    flood->poison_tokens = POISON_TOKENS;
    flood->refilled_ms = of_consumer_now_ms(consumer);
    memcpy(flood->topic, topic.ptr, topic.len);
    if (kb_map_put(&consumer->floods, kc_str(flood->topic), flood) != KC_OK) {
        kb_mem_free(&consumer->platform->mem, flood);
        return NULL;
    }
    return flood;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

void of_flood_refill(of_consumer *consumer, kc_bytes topic)
{
    of_flood *flood = find_flood(consumer, topic);
    if (flood)
        flood->tokens = least(flood->tokens + 1.0, FLOOD_TOKENS_MAX);
}

/** May one more dead letter of this topic be written? Poison has a budget of its own: it still
 * drains during an outage, but a broken deploy can't divert a topic. */
static bool take_token(of_consumer *consumer, kc_bytes topic, of_class failure_class)
{
    of_flood *flood = find_flood(consumer, topic);
    if (!flood)
        return true;
    int64_t now = of_consumer_now_ms(consumer);
    double earned = (double)(now - flood->refilled_ms) / FLOOD_REFILL_MS;
    flood->refilled_ms = now;
    if (flood->tokens < FLOOD_TOKENS)
        flood->tokens = least(flood->tokens + earned, FLOOD_TOKENS);
    flood->poison_tokens = least(flood->poison_tokens + earned, POISON_TOKENS);
    double *budget = of_class_is_final(failure_class) ? &flood->poison_tokens : &flood->tokens;
    if (*budget < 1.0)
        return false;
    *budget -= 1.0;
    return true;
}

/* ---- writing ---- */

static void on_written(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                       void *user);

static void write_failed(of_ctx *ctx, kc_err err, const kc_error *error)
{
    bool is_too_large = err == KC_E_MESSAGE_TOO_LARGE || err == KC_E_RECORD_LIST_TOO_LARGE ||
                        err == KC_ERR_TOO_LARGE;
    if (is_too_large && ctx->verdict.stage == OF_STAGE_RETRY) {
        ctx->verdict.stage = OF_STAGE_DEAD;
        ctx->verdict.failure_class = OF_CLASS_TOO_LARGE;
        of_ctx_write(ctx);
        return;
    }
    if (is_too_large && ctx->trim < 3) {
        ctx->trim++;
        of_ctx_write(ctx);
        return;
    }
    // never skip, never spin: the record waits until it can be put away
    of_consumer *consumer = ctx->consumer;
    int64_t wait = WRITE_BACKOFF_MS;
    for (int32_t i = 0; i < ctx->write_failures && wait < WRITE_BACKOFF_MAX_MS; i++)
        wait *= 2;
    wait = wait < WRITE_BACKOFF_MAX_MS ? wait : WRITE_BACKOFF_MAX_MS;
    ctx->write_failures++;
    of_breaker *breaker = of_platform_breaker(consumer->platform, "dlq_unavailable", NULL);
    if (breaker)
        of_breaker_open_for(breaker, wait, of_consumer_now_ms(consumer));
    of_ctx_notice(ctx, &(of_notice){.kind = OF_NOTICE_ERROR, .error = error, .took_ms = wait});
    of_stream_wait(ctx->stream, wait, OF_RESUME_WRITE);
}

/** The record's own headers, with those of the platform's earlier handling taken off. */
static void own_headers(of_ctx *ctx, of_headers *headers)
{
    kb_arena_reset(&ctx->scratch);
    of_headers_init(headers, &ctx->scratch);
    of_headers_add_all(headers, ctx->message.headers, ctx->message.header_count);
    of_headers_strip(headers);
}

static kc_err send(of_ctx *ctx, const char *topic, int32_t partition, const of_headers *headers,
                   kc_bytes value, kc_error *err)
{
    of_message message = {.key = ctx->message.key,
                          .value = value,
                          .headers = headers->items,
                          .header_count = headers->count};
    if (headers->is_failed || !topic)
        return kb_error_code(err, KC_ERR_NOMEM);
    return of_outbox_write(ctx->consumer->outbox, kc_str(topic), partition, &message, on_written,
                           ctx, err);
}

static kc_err write_retry(of_ctx *ctx, kc_error *err)
{
    of_consumer *consumer = ctx->consumer;
    of_policy policy = of_policies_get(of_platform_policies(consumer->platform), ctx->event.type);
    const of_tier *tier = &policy.tiers[ctx->verdict.tier];
    of_headers headers;
    own_headers(ctx, &headers);
    of_headers_set_i64(&headers, OF_H_ATTEMPT, ctx->attempt - OF_VARIANT(TRIES_MISCOUNTED));
    of_headers_set_i64(&headers, OF_H_FIRST_FAILED, ctx->first_failed_ms);
    of_headers_set_i64(&headers, OF_H_DUE, of_consumer_wall_ms(consumer) + tier->delay_ms);
    of_headers_set(&headers, OF_H_STAGE, KC_STR("retry"));
    of_headers_set(&headers, OF_H_GROUP, kc_str(consumer->group));
    of_headers_set(&headers, OF_H_DLQ_HISTORY, ctx->history);
    of_origin_put(&headers, &ctx->origin);
    const char *topic = of_retry_topic(&ctx->scratch, kc_str(consumer->group), tier->name);
    return send(ctx, topic, KC_PARTITION_ANY, &headers,
                OF_VARIANT(VALUE_LOST) ? KC_NULL : ctx->message.value, err);
}

static kc_err write_dead(of_ctx *ctx, kc_error *err)
{
    of_consumer *consumer = ctx->consumer;
    const char *cluster = of_outbox_cluster_id(consumer->outbox);
    char id[17];
    of_dead_letter_id(cluster, kc_str(consumer->group), &ctx->origin, id);
    of_death death = {
        .cluster_id = cluster,
        .group = kc_str(consumer->group),
        .handler = of_ctx_handler_name(ctx),
        .client_id = kc_str(consumer->platform->config.client_id),
        .origin = ctx->origin,
        .failure_class = ctx->verdict.failure_class,
        .code = kc_str(ctx->code),
        .message = kc_str(ctx->text),
        .history = ctx->trim >= 1 ? KC_NULL : ctx->history,
        .attempts = ctx->attempt,
        .redrives = ctx->redrive,
        .first_ms = ctx->first_failed_ms,
        .last_ms = ctx->last_failed_ms,
    };
    if (ctx->trim >= 2)
        death.message = kc_span(ctx->text, strnlen(ctx->text, OF_CODE_MAX));
    of_headers headers;
    own_headers(ctx, &headers);
    of_death_put(&headers, &death, id);
    kc_bytes value = ctx->message.value;
    if (ctx->trim >= 3) { // a pointer record: replay reads the source by its position
        value = KC_NULL;
        of_headers_set(&headers, OF_H_DLQ_TRUNCATED, KC_STR("value"));
    }
    const char *topic =
        kb_arena_printf(&ctx->scratch, OF_DLQ_PREFIX KC_FMT, KC_ARG(ctx->origin.topic));
    return send(ctx, topic, ctx->origin.partition, &headers, value, err);
}

static void on_prepared(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                        void *user)
{
    (void)partition;
    (void)offset;
    of_ctx *ctx = user;
    if (of_ctx_answered(ctx))
        return;
    if (err == KC_OK)
        of_ctx_write(ctx);
    else
        write_failed(ctx, err, error);
}

void of_ctx_write(of_ctx *ctx)
{
    kc_error error;
    kc_err err;
    ctx->stream->state = OF_STREAM_WRITING;
    ctx->pending++;
    // a dead letter's identity holds the cluster's: it must be known first
    if (ctx->verdict.stage == OF_STAGE_RETRY)
        err = write_retry(ctx, &error);
    else if (!of_outbox_cluster_id(ctx->consumer->outbox)[0])
        err = of_outbox_prepare(ctx->consumer->outbox, on_prepared, ctx, &error);
    else
        err = write_dead(ctx, &error);
    if (OF_VARIANT(FORWARD_NOT_AWAITED) && err == KC_OK)
        ctx->stream->ack_next = ctx->offset + 1;
    if (err != KC_OK) {
        ctx->pending--;
        write_failed(ctx, err, &error);
    }
}

static void on_written(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                       void *user)
{
    (void)partition;
    (void)offset;
    of_ctx *ctx = user;
    if (of_ctx_answered(ctx))
        return;
    if (err != KC_OK && !OF_VARIANT(FORWARD_ERROR_IGNORED)) {
        write_failed(ctx, err, error);
        return;
    }
    of_consumer *consumer = ctx->consumer;
    ctx->write_failures = 0;
    char id[17];
    of_trace_status status = OF_TRACE_RETRYING;
    if (ctx->verdict.stage == OF_STAGE_DEAD) {
        consumer->stats.dead++;
        status = OF_TRACE_DEAD_LETTERED;
        of_dead_letter_id(of_outbox_cluster_id(consumer->outbox), kc_str(consumer->group),
                          &ctx->origin, id);
        of_ctx_notice(
            ctx,
            &(of_notice){.kind = OF_NOTICE_DEAD, .verdict = ctx->verdict, .dead_letter_id = id});
    } else {
        consumer->stats.retried++;
        of_ctx_notice(ctx, &(of_notice){.kind = OF_NOTICE_RETRY_SENT, .verdict = ctx->verdict});
    }
    of_ctx_record(ctx, status);
    of_stream_ack(ctx->stream);
}

/* ---- decide ---- */

/** Out of tokens: the record is kept and tried again here, each try a probe of whether the outage
 * is over. */
static void hold_back(of_ctx *ctx)
{
    char name[KC_TOPIC_NAME_MAX + 300];
    of_consumer *consumer = ctx->consumer;
    snprintf(name, sizeof name, "dlq_flood:%s:" KC_FMT, consumer->group, KC_ARG(ctx->origin.topic));
    of_breaker *breaker = of_platform_breaker(consumer->platform, name, NULL);
    if (breaker)
        of_breaker_open_for(breaker, FLOOD_WAIT_MS, of_consumer_now_ms(consumer));
    snprintf(ctx->text, sizeof ctx->text,
             "dead letters of this topic come too fast: held back (dlq_flood)");
    of_ctx_notice(ctx, &(of_notice){.kind = OF_NOTICE_BREAKER, .took_ms = FLOOD_WAIT_MS});
    of_stream_wait(ctx->stream, FLOOD_WAIT_MS, OF_RESUME_RUN);
}

static void carry_out(of_ctx *ctx)
{
    of_consumer *consumer = ctx->consumer;
    switch (ctx->verdict.stage) {
    case OF_STAGE_IMMEDIATE:
    case OF_STAGE_PARKED:
        ctx->stage = ctx->verdict.stage;
        if (OF_VARIANT(NEXT_TOO_EARLY)) {
            of_stream_ack(ctx->stream);
            return;
        }
        of_stream_wait(ctx->stream, ctx->verdict.delay_ms, OF_RESUME_RUN);
        return;
    case OF_STAGE_DISCARDED:
        consumer->stats.discarded++;
        of_ctx_notice(ctx, &(of_notice){.kind = OF_NOTICE_DISCARDED});
        of_stream_ack(ctx->stream);
        return;
    case OF_STAGE_DEAD:
        if (!take_token(consumer, ctx->origin.topic, ctx->verdict.failure_class)) {
            hold_back(ctx);
            return;
        }
        if (OF_VARIANT(DEAD_FORGOTTEN))
            of_stream_ack(ctx->stream);
        else
            of_ctx_write(ctx);
        return;
    default:
        of_ctx_write(ctx);
    }
}

void of_ctx_fail(of_ctx *ctx, of_class failure_class)
{
    of_consumer *consumer = ctx->consumer;
    of_policy policy = of_policies_get(of_platform_policies(consumer->platform), ctx->event.type);
    int64_t wall = of_consumer_wall_ms(consumer);
    if (ctx->first_failed_ms == 0)
        ctx->first_failed_ms = wall;
    ctx->last_failed_ms = wall;
    ctx->trim = 0;
    consumer->stats.failed_tries++;
    of_stage failed_stage = ctx->stage;
    if (ctx->stage_attempt <= HISTORY_TRIES_MAX)
        ctx->history = of_history_add(&ctx->arena, ctx->history, ctx->attempt, wall, failed_stage,
                                      failure_class, kc_str(ctx->code));
    of_failure failure = {
        .failure_class = failure_class,
        .stage = failed_stage,
        .attempt = ctx->attempt,
        .stage_attempt = ctx->stage_attempt,
        .tier = ctx->tier,
        .retry_after_ms = ctx->retry_after_ms,
        .first_failed_ms = ctx->first_failed_ms,
        .now_ms = wall,
        .random = (double)(kc_client_random(consumer->platform->client) >> 11) * 0x1p-53,
    };
    ctx->verdict = of_policy_decide(&policy, &failure);
    of_ctx_notice(
        ctx,
        &(of_notice){.kind = OF_NOTICE_FAILED, .stage = failed_stage, .verdict = ctx->verdict});
    carry_out(ctx);
}
