/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Records sent before the partitions of their topic are known: copied into blocks, and moved into
 * batches when metadata has come.
 *
 * They count against buffer.memory. While some are left, later records of the topic go behind them,
 * so none overtakes another. A record leaves when its topic is known and there is room, when it
 * grew older than delivery.timeout.ms, or when the cluster says that this client may not write to
 * the topic at all. */
#include "client/producer_flow.h"
#include "client/record_copy.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>
#include <stdalign.h>

/** Blocks behind the first, which is as small as can be. */
#define STAGE_BLOCK_BYTES 16384

typedef struct kc_stage_block {
    kb_list node; /**< in topic->staged */
    size_t bytes; /**< as taken         */
    size_t len, read;
    alignas(max_align_t) uint8_t data[];
} kc_stage_block;

/** A record in a block; headers and bytes stand behind it, and its slices point there. */
typedef struct kc_staged {
    size_t bytes; /**< to the next one */
    kc_record record;
    int64_t timestamp_ms, created_us;
    kc_delivery_fn fn;
    void *user;
    bool is_flushed;
} kc_staged;

static size_t aligned(size_t bytes)
{
    return (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static size_t staged_size(const kc_record *record)
{
    size_t behind;
    (void)kc_record_copy_bytes(record, KC_NULL, SIZE_MAX,
                               &behind); // kc_accum_check_size() bounds it
    return aligned(sizeof(kc_staged) + behind);
}

static void stage_write(kc_staged *staged, size_t bytes, const kc_accum_item *item)
{
    *staged = (kc_staged){
        .bytes = bytes,
        .timestamp_ms = item->timestamp_ms,
        .created_us = item->created_us,
        .fn = item->fn,
        .user = item->user,
    };
    kc_record_copy(&staged->record, item->record, KC_NULL, staged + 1);
}

static kc_err add_block(kc_topic *topic, size_t bytes)
{
    kc_producer *producer = topic->producer;
    size_t want = kb_list_is_empty(&topic->staged) ? KC_BLOCK_BYTES_MIN : STAGE_BLOCK_BYTES;
    size_t least = sizeof(kc_stage_block) + bytes;
    size_t taken = 0;
    void *memory = NULL;
    kc_err err = KC_ERR_BUFFER_FULL;
    if (want > least)
        err = kc_block_take(&producer->memory, want, KC_BLOCK_CLASS, &memory, &taken);
    if (err == KC_ERR_BUFFER_FULL)
        err = kc_block_take(&producer->memory, least, KC_BLOCK_EXACT, &memory, &taken);
    if (err == KC_ERR_BUFFER_FULL)
        kc_accum_want_room(producer, least, KC_BLOCK_EXACT);
    KB_TRY(err);
    kc_stage_block *block = memory;
    block->bytes = taken;
    block->len = block->read = 0;
    kb_list_push_back(&topic->staged, &block->node);
    return KC_OK;
}

kc_err kc_stage_add(kc_topic *topic, const kc_accum_item *item, kc_error *err)
{
    kc_producer *producer = topic->producer;
    size_t unused;
    KB_TRY(kc_accum_check_size(producer, item->record, &unused, err));
    size_t bytes = staged_size(item->record);
    kc_stage_block *block = kb_list_is_empty(&topic->staged)
                                ? NULL
                                : KB_CONTAINER(topic->staged.prev, kc_stage_block, node);
    if (!block || bytes > block->bytes - sizeof *block - block->len) {
        kc_err code = add_block(topic, bytes);
        if (code != KC_OK)
            return kb_error_code(err, code);
        block = KB_CONTAINER(topic->staged.prev, kc_stage_block, node);
    }
    stage_write((kc_staged *)(void *)(block->data + block->len), bytes, item);
    block->len += bytes;
    if (!topic->is_staging)
        topic->staged_version = kc_metadata_version(producer->client->metadata);
    topic->is_staging = true;
    topic->staged_count++;
    producer->staged_count++;
    // a topic that was refused before is asked about again: somebody may have mended it
    if (topic->meta->err != KC_OK && topic->meta->err != KC_ERR_AGAIN)
        kc_metadata_refresh(producer->client->metadata, "records for a topic that is not known");
    kc_sender_arm(producer, item->created_us + producer->delivery_timeout_us);
    if (topic->meta->partition_count > 0)
        kc_sender_wake(producer);
    return KC_OK;
}

/** The oldest staged record of a topic; NULL: none. */
static kc_staged *first_staged(const kc_topic *topic)
{
    if (kb_list_is_empty(&topic->staged))
        return NULL;
    kc_stage_block *block = KB_CONTAINER(topic->staged.next, kc_stage_block, node);
    assert(block->read < block->len);
    return (kc_staged *)(void *)(block->data + block->read);
}

/** The oldest one has left: keep its block until it is empty. */
static void pop_staged(kc_topic *topic)
{
    kc_producer *producer = topic->producer;
    kc_stage_block *block = KB_CONTAINER(topic->staged.next, kc_stage_block, node);
    kc_staged *staged = first_staged(topic);
    if (staged->is_flushed)
        kc_producer_flush_done_one(producer);
    producer->staged_count--;
    topic->staged_count--;
    block->read += staged->bytes;
    if (block->read < block->len)
        return;
    kb_list_remove(&block->node);
    kc_block_give(&producer->memory, block, block->bytes);
    topic->is_staging = !kb_list_is_empty(&topic->staged);
}

static void fail_first(kc_topic *topic, const kc_error *error)
{
    kc_producer *producer = topic->producer;
    const kc_staged *staged = first_staged(topic);
    kc_delivery_fn fn = staged->fn;
    void *user = staged->user;
    kc_delivery delivery = {
        .err = error->code,
        .error = error,
        .topic = topic->meta->name,
        .partition = staged->record.partition,
        .offset = -1,
        .timestamp_ms = staged->timestamp_ms,
    };
    pop_staged(topic);
    producer->stats.records_pending--;
    producer->stats.records_failed++;
    if (fn && !producer->client->is_forked)
        fn(&delivery, user);
}

void kc_stage_fail_all(kc_topic *topic, const kc_error *error)
{
    while (first_staged(topic))
        fail_first(topic, error);
}

void kc_stage_mark_flushed(kc_topic *topic)
{
    KB_LIST_FOR (node, &topic->staged) {
        kc_stage_block *block = KB_CONTAINER(node, kc_stage_block, node);
        for (size_t at = block->read; at < block->len;) {
            kc_staged *staged = (kc_staged *)(void *)(block->data + at);
            if (!staged->is_flushed)
                topic->producer->flush_left++;
            staged->is_flushed = true;
            at += staged->bytes;
        }
    }
}

void kc_stage_late(kc_topic *topic, const char *limit, int ms, kc_error *error)
{
    kc_producer *producer = topic->producer;
    kc_err cause = topic->meta->err;
    const kc_error *failure = kc_metadata_error(producer->client->metadata);
    if (failure->code == KC_ERR_AUTH)
        *error = *failure;
    else if (cause == KC_E_UNKNOWN_TOPIC_OR_PARTITION)
        kb_error_set(error, cause, "topic " KC_FMT " does not exist: create it or check its name",
                     KC_ARG(topic->meta->name));
    else if (cause != KC_OK && cause != KC_ERR_AGAIN)
        kb_error_set(error, cause, "topic " KC_FMT " can't be written to: %s",
                     KC_ARG(topic->meta->name), kc_err_text(cause));
    else
        kb_error_set(error, KC_ERR_TIMEOUT,
                     "nothing was learned about topic " KC_FMT " within %s (%d): %s",
                     KC_ARG(topic->meta->name), limit, ms,
                     failure->code != KC_OK ? failure->text : "no broker answered");
    kc_producer_error_at(producer, error, topic, -1, -1);
}

/** Is there no use in waiting? Most may be mended or created within the timeout, but not a refusal, of the topic or
 *  of our credentials; nor is an answer believed that is older than the records. */
static bool is_hopeless(const kc_topic *topic)
{
    const kc_metadata *metadata = topic->producer->client->metadata;
    kc_err cause = topic->meta->err;
    if (topic->meta->partition_count > 0)
        return false;
    if (kc_metadata_error(metadata)->code == KC_ERR_AUTH &&
        kc_metadata_failed_us(metadata) >= first_staged(topic)->created_us)
        return true;
    return cause != KC_OK && cause != KC_ERR_AGAIN && !(kc_err_flags(cause) & KC_ERRF_RETRIABLE) &&
           kc_metadata_version(metadata) > topic->staged_version;
}

/** Put the oldest staged record into a batch. KC_ERR_BUFFER_FULL: not now. Other errors are the
 * record's end. */
static kc_err move_first(kc_topic *topic, kc_error *err)
{
    kc_producer *producer = topic->producer;
    const kc_staged *staged = first_staged(topic);
    kc_accum_item item = {
        .record = &staged->record,
        .timestamp_ms = staged->timestamp_ms,
        .fn = staged->fn,
        .user = staged->user,
        .created_us = staged->created_us,
        .is_flushed = staged->is_flushed,
    };
    kc_err code = kc_accum_add(topic, &item, err);
    if (code != KC_ERR_BUFFER_FULL && code != KC_ERR_NOMEM)
        return code;
    // batches on their way will make room; where there are none, staged records are all there is
    if (!kb_list_is_empty(&producer->ages))
        return KC_ERR_BUFFER_FULL;
    item.is_accepted = true;
    return kc_accum_add(topic, &item, err);
}

static void run_topic(kc_topic *topic, int64_t now_us)
{
    kc_producer *producer = topic->producer;
    kc_error error;
    // not those that callbacks send meanwhile: they are as hopeless, and would hold us here for ever
    for (uint64_t left = topic->staged_count; left > 0 && topic->staged_count > 0; left--) {
        const kc_staged *staged = first_staged(topic);
        if (staged->created_us + producer->delivery_timeout_us <= now_us || is_hopeless(topic)) {
            kc_stage_late(topic, "delivery.timeout.ms", producer->delivery_timeout_ms, &error);
            fail_first(topic, &error);
            continue;
        }
        if (topic->meta->partition_count <= 0)
            return;
        kc_err err = move_first(topic, &error);
        if (err == KC_ERR_BUFFER_FULL)
            return;
        if (err == KC_OK) {
            pop_staged(topic);
            continue;
        }
        if (err == KC_ERR_ARGUMENT) // checked when it was sent, all but the partition
            error.code = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
        kc_producer_error_at(producer, &error, topic, staged->record.partition, -1);
        fail_first(topic, &error);
    }
}

void kc_stage_run(kc_producer *producer, int64_t now_us)
{
    // topics are never taken away while the producer is open, so callbacks can't break this walk
    KB_LIST_FOR (node, &producer->topic_list) {
        kc_topic *topic = KB_CONTAINER(node, kc_topic, node);
        if (topic->is_staging)
            run_topic(topic, now_us);
    }
}

int64_t kc_stage_oldest_us(const kc_topic *topic)
{
    return first_staged(topic)->created_us;
}

int64_t kc_stage_next_us(const kc_producer *producer)
{
    int64_t next = INT64_MAX;
    if (producer->staged_count == 0)
        return next;
    KB_LIST_FOR (node, &producer->topic_list) {
        const kc_staged *staged = first_staged(KB_CONTAINER(node, kc_topic, node));
        if (staged && staged->created_us + producer->delivery_timeout_us < next)
            next = staged->created_us + producer->delivery_timeout_us;
    }
    return next;
}
