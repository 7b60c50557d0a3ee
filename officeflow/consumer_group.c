/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The consumer's side of the group: which topics are asked for, what happens when partitions come
 * and go, and commits. Where they begin is in consumer_start.c. */
#include "officeflow/catalogue.h"
#include "officeflow/consumer_core.h"
#include "officeflow/variant.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <stdio.h>

/* longest topic whose name fits behind "quarantine." */
#define SOURCE_NAME_MAX (KC_TOPIC_NAME_MAX - (int)sizeof OF_QUARANTINE_PREFIX + 1)

/* ---- topics ---- */

/** retry.<this group>.<tier>: the tier; null: not one of ours. */
static kc_bytes own_tier(const of_consumer *consumer, kc_bytes topic)
{
    kc_bytes prefix = KC_STR(OF_RETRY_PREFIX), group = kc_str(consumer->group);
    size_t skip = prefix.len + group.len;
    if (!kb_text_starts(topic, prefix) || topic.len <= skip + 1 ||
        memcmp(topic.ptr + prefix.len, group.ptr, group.len) != 0 || topic.ptr[skip] != '.')
        return KC_NULL;
    return kc_span(topic.ptr + skip + 1, topic.len - skip - 1);
}

void of_consumer_tell(of_consumer *consumer, const kc_error *error)
{
    if (consumer->options.on_notice)
        consumer->options.on_notice(&(of_notice){.kind = OF_NOTICE_ERROR, .error = error},
                                    consumer->options.notice_user);
}

void of_consumer_fail(of_consumer *consumer, const kc_error *error)
{
    consumer->fatal = *error;
    consumer->is_failed = true;
    of_consumer_stop(consumer, 0);
}

/** A topic whose dead letter or quarantine topic could not be named is not read: its first failure would block it. */
static void refuse_long_name(of_consumer *consumer, kc_bytes topic)
{
    bool is_wanted = false;
    for (size_t i = 0; i < consumer->pattern_count && !is_wanted; i++)
        is_wanted = of_pattern_match(kc_str(consumer->patterns[i]), topic);
    if (!is_wanted || consumer->has_long_name)
        return;
    consumer->has_long_name = true; // once, not with every look at the topics
    kc_error error;
    kb_error_set(&error, KC_ERR_ARGUMENT,
                 "Topic " KC_FMT
                 " is not read: names above %d characters leave no room for " OF_QUARANTINE_PREFIX
                 ".",
                 KC_ARG(topic), SOURCE_NAME_MAX);
    of_consumer_tell(consumer, &error);
}

static bool match_topic(kc_bytes topic, void *user)
{
    of_consumer *consumer = user;
    if (topic.len > SOURCE_NAME_MAX) {
        refuse_long_name(consumer, topic);
        return false;
    }
    if (!consumer->options.no_retry_topics && own_tier(consumer, topic).ptr)
        return true;
    for (size_t i = 0; i < consumer->pattern_count; i++)
        if (of_pattern_match(kc_str(consumer->patterns[i]), topic)) {
            of_start_remember(consumer, topic);
            return true;
        }
    return false;
}

kc_err of_consumer_join(of_consumer *consumer, kc_error *err)
{
    return kc_consumer_subscribe_match(consumer->kafka, match_topic, consumer, err);
}

/* ---- streams ---- */

static size_t make_key(uint8_t *key, kc_bytes topic, int32_t partition)
{
    memcpy(key, topic.ptr, topic.len);
    memcpy(key + topic.len, &partition, sizeof partition);
    return topic.len + sizeof partition;
}

of_stream *of_stream_find(of_consumer *consumer, kc_bytes topic, int32_t partition)
{
    uint8_t key[KC_TOPIC_NAME_MAX + sizeof partition];
    if (topic.len > KC_TOPIC_NAME_MAX)
        return NULL;
    size_t len = make_key(key, topic, partition);
    return kb_map_get(&consumer->streams, kc_span(key, len));
}

static void free_batches(of_stream *stream)
{
    kc_batch *batch;
    while ((batch = of_stream_take_batch(stream)) != NULL)
        kc_batch_free(batch);
}

/** The context's answers are still out: it goes on without its stream, holding the record's memory.
 */
static void detach(of_stream *stream)
{
    of_ctx *ctx = stream->ctx;
    of_ctx_release_breakers(ctx);
    ctx->stream = NULL;
    ctx->is_cancelled = true;
    // the name stands in the stream; without memory for a copy it is not known any more
    if (ctx->origin.topic.ptr == stream->topic.ptr)
        ctx->origin.topic = kb_arena_copy(&ctx->arena, stream->topic);
    kb_list_push_back(&stream->consumer->detached, &ctx->node);
    ctx->batch = of_stream_take_batch(stream);
}

void of_stream_free(of_stream *stream)
{
    of_consumer *consumer = stream->consumer;
    kb_list_remove(&stream->ready);
    kb_map_remove(&consumer->streams, kc_span(stream->key, stream->key_len));
    kc_timer_free(stream->timer);
    if (stream->ctx && stream->ctx->pending > 0)
        detach(stream);
    else if (stream->ctx)
        of_ctx_free(stream->ctx);
    free_batches(stream);
    kb_mem_free(&consumer->platform->mem, stream);
}

static of_ctx *new_ctx(of_stream *stream)
{
    kb_mem *mem = &stream->consumer->platform->mem;
    of_ctx *ctx = kb_mem_zalloc(mem, sizeof *ctx);
    if (!ctx)
        return NULL;
    kb_list_init(&ctx->node);
    ctx->consumer = stream->consumer;
    ctx->stream = stream;
    kb_arena_init(&ctx->arena, mem, 0);
    kb_arena_init(&ctx->scratch, mem, 0);
    return ctx;
}

static of_stream *new_stream(of_consumer *consumer, kc_bytes topic, int32_t partition)
{
    kb_mem *mem = &consumer->platform->mem;
    of_stream *stream = kb_mem_zalloc(mem, sizeof *stream + topic.len + sizeof partition);
    if (!stream)
        return NULL;
    stream->consumer = consumer;
    stream->ack_next = stream->committed = stream->expected = -1;
    stream->partition = partition;
    stream->key_len = make_key(stream->key, topic, partition);
    stream->topic = kc_span(stream->key, topic.len);
    kb_list_init(&stream->ready);
    kc_bytes tier = own_tier(consumer, topic);
    stream->is_retry = tier.ptr != NULL;
    if (tier.ptr && !of_duration_parse(tier, &stream->tier_delay_ms))
        stream->tier_delay_ms = 0; // "now"
    stream->ctx = new_ctx(stream);
    bool is_ok = stream->ctx && kb_map_put(&consumer->streams,
                                           kc_span(stream->key, stream->key_len), stream) == KC_OK;
    if (is_ok && kc_timer_new(consumer->platform->client, of_stream_on_timer, stream,
                              &stream->timer) == KC_OK)
        return stream;
    of_stream_free(stream);
    return NULL;
}

/* ---- assignment ---- */

static void on_assigned(kc_consumer *kafka, const kc_topic_partition *partitions, size_t count,
                        void *user)
{
    of_consumer *consumer = user;
    consumer->was_assigned = true;
    for (size_t i = 0; i < count; i++)
        if (!of_stream_find(consumer, partitions[i].topic, partitions[i].partition) &&
            !new_stream(consumer, partitions[i].topic, partitions[i].partition)) {
            kc_error error;
            kb_error_code(&error, KC_ERR_NOMEM);
            of_consumer_fail(consumer, &error);
            return;
        }
    if (count == 0)
        return;
    // nothing is fetched before it is known where to begin
    kc_consumer_pause(kafka, partitions, count);
    of_start_find(consumer, partitions, count);
}

/* ---- commits ---- */

static void on_commit(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                      size_t count, void *user)
{
    (void)error; // a rebalance took the partitions, or it is tried again with the next interval
    of_consumer *consumer = user;
    if (err == KC_ERR_CLOSED)
        return;
    consumer->is_committing = false;
    for (size_t i = 0; i < count; i++) {
        of_stream *stream = of_stream_find(consumer, offsets[i].topic, offsets[i].partition);
        if (stream && err == KC_OK && offsets[i].err == KC_OK &&
            stream->committed < offsets[i].offset)
            stream->committed = offsets[i].offset;
    }
}

static size_t collect(of_consumer *consumer, kc_topic_offset *offsets, size_t cap)
{
    size_t pos = 0, count = 0;
    of_stream *stream;
    while (count < cap && (stream = kb_map_next(&consumer->streams, &pos)) != NULL) {
        of_start_note(consumer, stream);
        if (stream->ack_next > stream->committed)
            offsets[count++] = (kc_topic_offset){.topic = stream->topic,
                                                 .partition = stream->partition,
                                                 .offset = stream->ack_next,
                                                 .leader_epoch = -1};
    }
    return count;
}

void of_consumer_commit(of_consumer *consumer)
{
    if (consumer->is_committing || consumer->streams.count == 0)
        return;
    kb_mem *mem = &consumer->platform->mem;
    kc_topic_offset *offsets = kb_mem_alloc(mem, consumer->streams.count * sizeof *offsets);
    size_t count = offsets ? collect(consumer, offsets, consumer->streams.count) : 0;
    if (count > 0)
        consumer->is_committing =
            kc_consumer_commit(consumer->kafka, offsets, count, on_commit, consumer, NULL) == KC_OK;
    kb_mem_free(mem, offsets);
}

static void on_revoked(kc_consumer *kafka, const kc_topic_partition *partitions, size_t count,
                       void *user)
{
    of_consumer *consumer = user;
    kb_mem *mem = &consumer->platform->mem;
    kc_topic_offset *offsets = kb_mem_alloc(mem, (count + 1) * sizeof *offsets);
    size_t to_commit = 0;
    for (size_t i = 0; offsets && i < count; i++) {
        of_stream *stream = of_stream_find(consumer, partitions[i].topic, partitions[i].partition);
        if (stream)
            of_start_note(consumer, stream);
        if (stream && OF_VARIANT(CANCELLED_IS_DONE) && stream->ctx->pending > 0)
            stream->ack_next = stream->ctx->offset + 1;
        if (stream && stream->ack_next > stream->committed)
            offsets[to_commit++] = (kc_topic_offset){.topic = stream->topic,
                                                     .partition = stream->partition,
                                                     .offset = stream->ack_next,
                                                     .leader_epoch = -1};
    }
    if (to_commit > 0 &&
        kc_consumer_commit(kafka, offsets, to_commit, on_commit, consumer, NULL) == KC_OK)
        consumer->is_committing = true;
    kb_mem_free(mem, offsets);
    for (size_t i = 0; i < count; i++) {
        of_stream *stream = of_stream_find(consumer, partitions[i].topic, partitions[i].partition);
        if (stream)
            of_stream_free(stream);
    }
}

static void on_lost(kc_consumer *kafka, const kc_topic_partition *partitions, size_t count,
                    void *user)
{
    (void)kafka;
    of_consumer *consumer = user;
    for (size_t i = 0; i < count; i++) {
        of_stream *stream = of_stream_find(consumer, partitions[i].topic, partitions[i].partition);
        if (stream)
            of_stream_free(stream);
    }
}

/* ---- records ---- */

/** Records that retention deleted before they were read. */
static void check_gap(of_consumer *consumer, of_stream *stream)
{
    int64_t low, high, stable;
    if (stream->expected < 0 ||
        kc_consumer_watermarks(consumer->kafka, stream->topic, stream->partition, &low, &high,
                               &stable) != KC_OK ||
        low <= stream->expected || !consumer->options.on_notice)
        return;
    consumer->options.on_notice(&(of_notice){.kind = OF_NOTICE_GAP,
                                             .topic = stream->topic,
                                             .partition = stream->partition,
                                             .offset = stream->expected,
                                             .lost = low - stream->expected},
                                consumer->options.notice_user);
}

static void on_batch(kc_consumer *kafka, void *user)
{
    of_consumer *consumer = user;
    kc_batch *batch;
    while (kc_consumer_next(kafka, &batch) == KC_OK) {
        of_stream *stream =
            of_stream_find(consumer, kc_batch_topic(batch), kc_batch_partition(batch));
        if (!stream || consumer->is_stopping || !kc_batch_is_current(batch)) {
            kc_batch_free(batch);
            continue;
        }
        check_gap(consumer, stream);
        of_stream_push(stream, batch);
    }
}

static void on_error(kc_consumer *kafka, const kc_error *error, void *user)
{
    (void)kafka;
    of_consumer *consumer = user;
    of_consumer_tell(consumer, error);
    if (error->flags & KC_ERRF_FATAL)
        of_consumer_fail(consumer, error);
}

void of_consumer_set_events(of_consumer *consumer)
{
    kc_consumer_set_events(consumer->kafka, &(kc_consumer_events){.on_assigned = on_assigned,
                                                                  .on_revoked = on_revoked,
                                                                  .on_lost = on_lost,
                                                                  .on_error = on_error,
                                                                  .on_batch = on_batch,
                                                                  .user = consumer});
}
