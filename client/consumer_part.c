/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One partition a consumer reads.
 *
 *   add -> STOPPED -> start: STORED -> (OffsetFetch) -> FETCH, or RESET by auto.offset.reset
 *                            RESET  -> (ListOffsets) -> FETCH
 *                            FETCH  -> new leader epoch -> VALIDATE -> (OffsetForLeaderEpoch) ->
 * FETCH FETCH  -> out of range -> RESET, or STOPPED with `none` seek and a topic made anew begin
 * again from anywhere; drop ends it.
 *
 * Invariants: fetch_offset >= position while there is one; `version` or `fetch_version` grows with
 * each change that makes an answer on its way, or a batch handed out, belong to the past. */
#include "client/consumer_part.h"

#include "client/consumer_batch.h"
#include "client/consumer_fetch.h"
#include "client/variant.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>

/** A remainder is copied out of a chunk when it is at most this part of it. */
#define COMPACT_RATIO 4

static size_t make_key(uint8_t *key, kc_bytes topic, int32_t partition)
{
    memcpy(key, &partition, sizeof partition);
    memcpy(key + sizeof partition, topic.ptr, topic.len);
    return sizeof partition + topic.len;
}

kc_part *kc_part_find(const kc_consumer *consumer, kc_bytes topic, int32_t partition)
{
    uint8_t key[sizeof(int32_t) + KC_TOPIC_NAME_MAX];
    if (!topic.ptr || topic.len > KC_TOPIC_NAME_MAX)
        return NULL;
    return kb_map_get(&consumer->part_map, kc_span(key, make_key(key, topic, partition)));
}

static kc_err use_topic(kc_consumer *consumer, kc_bytes name, kc_part_topic **topic_out)
{
    kc_meta_topic *meta;
    KB_TRY(kc_metadata_use(consumer->client->metadata, name, &meta));
    if (consumer->settings->allow_auto_create_topics)
        kc_metadata_allow_create(consumer->client->metadata, meta);
    KB_LIST_FOR (node, &consumer->topics) {
        kc_part_topic *topic = KB_CONTAINER(node, kc_part_topic, node);
        if (topic->meta == meta) {
            kc_metadata_unuse(consumer->client->metadata, meta);
            topic->uses++;
            *topic_out = topic;
            return KC_OK;
        }
    }
    kc_part_topic *topic = kb_mem_zalloc(kc_consumer_mem(consumer), sizeof *topic);
    if (!topic) {
        kc_metadata_unuse(consumer->client->metadata, meta);
        return KC_ERR_NOMEM;
    }
    topic->meta = meta;
    topic->uses = 1;
    kb_list_push_back(&consumer->topics, &topic->node);
    *topic_out = topic;
    return KC_OK;
}

static void unuse_topic(kc_consumer *consumer, kc_part_topic *topic)
{
    if (--topic->uses > 0)
        return;
    kb_list_remove(&topic->node);
    kc_metadata_unuse(consumer->client->metadata, topic->meta);
    kb_mem_free(kc_consumer_mem(consumer), topic);
}

static void init_part(kc_part *part, kc_consumer *consumer, kc_bytes topic, int32_t partition)
{
    part->mem = kc_consumer_mem(consumer);
    part->refs = 1;
    part->partition = partition;
    part->state = KC_PART_STOPPED;
    part->position = part->fetch_offset = part->committed = -1;
    part->position_epoch = part->leader_epoch = -1;
    part->low = part->high = part->last_stable = -1;
    part->replica = -1;
    part->bytes_max = consumer->settings->max_partition_fetch_bytes;
    part->key_len = make_key(part->key, topic, partition);
    kb_list_init(&part->node);
    kb_list_init(&part->ready);
    kb_list_init(&part->want);
    kb_list_init(&part->fetched);
}

kc_err kc_part_add(kc_consumer *consumer, kc_bytes topic, int32_t partition, kc_part **part_out)
{
    if (!kc_topic_name_is_valid(topic) || partition < 0 || kc_part_find(consumer, topic, partition))
        return KC_ERR_ARGUMENT;
    kb_mem *mem = kc_consumer_mem(consumer);
    kc_part_list *told = &consumer->told;
    if (!kc_array_reserve(mem, (void **)&told->names, &told->name_cap, consumer->part_count + 1,
                          sizeof *told->names) ||
        !kc_array_reserve(mem, (void **)&told->parts, &told->part_cap, consumer->part_count + 1,
                          sizeof(kc_part *)))
        return KC_ERR_NOMEM;
    kc_part *part = kb_mem_zalloc(mem, sizeof *part + sizeof(int32_t) + topic.len);
    if (!part)
        return KC_ERR_NOMEM;
    init_part(part, consumer, topic, partition);
    kc_err err = use_topic(consumer, topic, &part->topic);
    if (err == KC_OK) {
        err = kb_map_put(&consumer->part_map, kc_span(part->key, part->key_len), part);
        if (err != KC_OK)
            unuse_topic(consumer, part->topic);
    }
    if (err != KC_OK) {
        kb_mem_free(mem, part);
        return err;
    }
    part->incarnation = part->topic->meta->incarnation;
    part->consumer = consumer;
    kb_list_push_back(&consumer->parts, &part->node);
    consumer->part_count++;
    *part_out = part;
    return KC_OK;
}

void kc_part_unref(kc_part *part)
{
    assert(part->refs > 0);
    if (--part->refs > 0)
        return;
    assert(!part->consumer);
    kb_mem_free(part->mem, part);
}

void kc_part_drop(kc_part *part)
{
    kc_consumer *consumer = part->consumer;
    assert(consumer);
    kc_part_clear(part);
    part->version++;
    kb_list_remove(&part->ready);
    kb_list_remove(&part->want);
    kb_list_remove(&part->node);
    kc_consumer_update_ready(consumer);
    kb_map_remove(&consumer->part_map, kc_span(part->key, part->key_len));
    consumer->part_count--;
    unuse_topic(consumer, part->topic);
    part->topic = NULL;
    part->leader = NULL;
    part->consumer = NULL;
    kc_part_unref(part);
}

void kc_part_drop_all(kc_consumer *consumer)
{
    while (!kb_list_is_empty(&consumer->parts))
        kc_part_drop(KB_CONTAINER(consumer->parts.next, kc_part, node));
}

kc_part_list kc_part_list_take(kc_consumer *consumer)
{
    /* The list's own memory goes with it: a callback may assign others. */
    kc_part_list list = consumer->told;
    consumer->told = (kc_part_list){0};
    list.count = 0;
    KB_LIST_FOR (node, &consumer->parts) {
        kc_part *part = KB_CONTAINER(node, kc_part, node);
        assert(list.count < list.name_cap && list.count < list.part_cap);
        list.parts[list.count] = kc_part_ref(part);
        list.names[list.count++] =
            (kc_topic_partition){.topic = kc_part_name(part), .partition = part->partition};
    }
    return list;
}

void kc_part_list_return(kc_consumer *consumer, kc_part_list *list)
{
    kb_mem *mem = kc_consumer_mem(consumer);
    kc_part_list *told = &consumer->told;
    for (size_t i = 0; i < list->count; i++)
        kc_part_unref(list->parts[i]);
    /* What was assigned meanwhile has arrays of its own, which may be the smaller ones. */
    if (told->name_cap < list->name_cap) {
        kb_mem_free(mem, told->names);
        told->names = list->names;
        told->name_cap = list->name_cap;
    } else {
        kb_mem_free(mem, list->names);
    }
    if (told->part_cap < list->part_cap) {
        kb_mem_free(mem, told->parts);
        told->parts = list->parts;
        told->part_cap = list->part_cap;
    } else {
        kb_mem_free(mem, list->parts);
    }
    *list = (kc_part_list){0};
}

void kc_part_free_fetched(kc_part *part, kc_fetched *fetched)
{
    part->buffered_bytes -= fetched->rest.len;
    kb_list_remove(&fetched->node);
    kc_source_unref(fetched->source);
    kb_mem_free(part->mem, fetched->active);
    kb_mem_free(part->mem, fetched);
}

void kc_part_clear(kc_part *part)
{
    while (!kb_list_is_empty(&part->fetched))
        kc_part_free_fetched(part, KB_CONTAINER(part->fetched.next, kc_fetched, node));
    assert(part->buffered_bytes == 0);
    part->fetch_version += !KC_VARIANT(STALE_FETCH);
    part->is_busy = false;
    part->fetch_offset = part->position;
    kc_part_update_ready(part);
}

/* The common part of everything that begins anew somewhere else. */
static void begin_anew(kc_part *part, kc_part_state state, int64_t position, int32_t epoch)
{
    part->version++;
    part->position = position;
    part->position_epoch = epoch;
    part->leader_epoch = -1;
    part->replica = -1;
    part->state = state;
    part->bytes_max = part->consumer->settings->max_partition_fetch_bytes;
    kc_part_succeeded(part);
    kc_part_clear(part);
    kc_consumer_plan_soon(part->consumer);
}

void kc_part_seek(kc_part *part, int64_t offset, int32_t epoch)
{
    assert(offset >= 0);
    begin_anew(part, KC_PART_FETCH, offset, epoch);
}

void kc_part_reset(kc_part *part, int64_t timestamp)
{
    part->reset_timestamp = timestamp;
    begin_anew(part, KC_PART_RESET, -1, -1);
}

void kc_part_reset_by_policy(kc_part *part, kc_err code, const char *why)
{
    switch (part->consumer->settings->auto_offset_reset) {
    case KC_RESET_LATEST:
        kc_part_reset(part, KC_OFFSET_END);
        return;
    case KC_RESET_EARLIEST:
        kc_part_reset(part, KC_OFFSET_BEGINNING);
        return;
    case KC_RESET_NONE:
        break;
    }
    begin_anew(part, KC_PART_STOPPED, -1, -1);
    kc_consumer_tell_part(part, code, "%s, and auto.offset.reset is none: seek to go on", why);
}

void kc_part_start(kc_part *part, int64_t offset)
{
    if (offset >= 0)
        kc_part_seek(part, offset, -1);
    else if (offset != KC_OFFSET_STORED)
        kc_part_reset(part, offset);
    else if (part->consumer->group_id.ptr)
        begin_anew(part, KC_PART_STORED, -1, -1);
    else
        kc_part_reset_by_policy(part, KC_E_OFFSET_OUT_OF_RANGE, "there is no committed offset");
}

void kc_part_retry_later(kc_part *part)
{
    kc_consumer *consumer = part->consumer;
    part->retry_at_us =
        kc_consumer_now_us(consumer) + kc_retry_backoff_us(consumer->client, part->attempts);
    part->attempts++;
    kc_consumer_plan_soon(consumer);
}

void kc_part_succeeded(kc_part *part)
{
    part->attempts = 0;
    part->retry_at_us = 0;
    part->is_told = false;
}

void kc_part_failed(kc_part *part, kc_err code)
{
    uint32_t flags = kc_err_flags(code);
    if (flags & KC_ERRF_REFRESH_METADATA)
        kc_metadata_refresh(part->consumer->client->metadata, kc_err_name(code));
    if (!(flags & KC_ERRF_RETRIABLE) && !part->is_told) {
        part->is_told = true;
        kc_consumer_tell_part(part, code, "%s It is tried again.", kc_err_text(code));
    }
    kc_part_retry_later(part);
}

int32_t kc_part_meta_leader(const kc_part *part, int32_t *epoch_out)
{
    const kc_meta_topic *meta = part->topic->meta;
    *epoch_out = -1;
    if (part->partition >= meta->partition_count)
        return -1;
    *epoch_out = meta->partitions[part->partition].leader_epoch;
    return meta->partitions[part->partition].leader;
}

void kc_part_update_ready(kc_part *part)
{
    kc_consumer *consumer = part->consumer;
    bool is_ready = !kb_list_is_empty(&part->fetched) &&
                    (!part->is_paused || KC_VARIANT(PAUSE_IGNORED)) && !part->is_revoked;
    if (is_ready != kb_list_is_empty(&part->ready))
        return;
    if (is_ready)
        kb_list_push_back(&consumer->ready, &part->ready);
    else
        kb_list_remove(&part->ready);
    kc_consumer_update_ready(consumer);
}

void kc_part_compact(kc_part *part)
{
    KB_LIST_FOR (node, &part->fetched) {
        kc_fetched *fetched = KB_CONTAINER(node, kc_fetched, node);
        kb_chunk *chunk = fetched->source->chunk;
        if (!chunk || fetched->rest.len > chunk->cap / COMPACT_RATIO)
            continue;
        kb_chunk *copy = kb_chunk_new(part->mem, fetched->rest.len);
        if (!copy)
            return;
        memcpy(copy->data, fetched->rest.ptr, fetched->rest.len);
        copy->len = fetched->rest.len;
        kc_source *source = kc_source_new(part->consumer, copy, copy->cap);
        kb_chunk_unref(copy);
        if (!source)
            return;
        kc_source_unref(fetched->source);
        fetched->source = source;
        fetched->rest = kc_span(copy->data, copy->len);
    }
}
