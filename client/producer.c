/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The producer's API: opening, sending, flushing, closing. The map of the files is in
 * producer_core.h. */
#include "client/producer_flow.h"
#include "client/thread.h"
#include "protocol/base/error.h"

#include <assert.h>

/** A batch that waits may grow to so many times batch.size, but not above GROWTH_BYTES_MAX for it.
 */
#define GROWTH           16
#define GROWTH_BYTES_MAX 524288
/** So many batches have room in buffer.memory, or they are made smaller. */
#define BATCHES_MIN 4

/* ---- lifetime ---- */

static void free_topic(kc_topic *topic)
{
    kb_mem *mem = topic->producer->memory.mem;
    assert(topic->staged_count == 0);
    for (int32_t i = 0; i < topic->queue_count; i++)
        kb_mem_free(mem, topic->queues[i]);
    kb_mem_free(mem, topic->queues);
    kc_metadata_unuse(topic->producer->client->metadata, topic->meta);
    kb_mem_free(mem, topic);
}

static void free_producer(kc_producer *producer)
{
    kb_mem *mem = producer->memory.mem;
    assert(kb_list_is_empty(&producer->ages));
    kb_list_splice_back(&producer->idle_requests, &producer->requests);
    kc_accum_trim(producer);
    kb_list *node;
    while ((node = kb_list_pop_front(&producer->topic_list)))
        free_topic(KB_CONTAINER(node, kc_topic, node));
    while ((node = kb_list_pop_front(&producer->brokers)))
        kb_mem_free(mem, KB_CONTAINER(node, kc_producer_broker, node));
    kb_map_cleanup(&producer->topics);
    assert(producer->memory.used == 0);
    kb_mem_free(mem, producer);
}

void kc_producer_enter(kc_producer *producer)
{
    producer->busy++;
}

void kc_producer_leave(kc_producer *producer)
{
    assert(producer->busy > 0);
    producer->busy--;
    if (producer->busy == 0 && producer->state == KC_PRODUCER_CLOSED)
        free_producer(producer);
}

static void on_metadata(kc_meta_listener *listener)
{
    kc_producer *producer = listener->user;
    producer->metadata_changed = true;
    kc_sender_wake(producer);
}

static void run(kc_producer *producer)
{
    kc_producer_enter(producer);
    kc_sender_run(producer);
    kc_producer_leave(producer);
}

static void on_task(kn_task *task)
{
    run(task->user);
}

static void on_timer(kn_timer *timer)
{
    run(timer->user);
}

static void abandon(kc_handle *handle)
{
    kc_producer_close(KB_CONTAINER(handle, kc_producer, handle));
}

static size_t clamp(int64_t value, int64_t low, int64_t high)
{
    return (size_t)(value < low ? low : value > high ? high : value);
}

static int level_of(const kc_settings *settings)
{
    switch (settings->compression_type) {
    case KP_CODEC_GZIP:
        return settings->compression_gzip_level;
    case KP_CODEC_LZ4:
        return settings->compression_lz4_level;
    case KP_CODEC_ZSTD:
        return settings->compression_zstd_level;
    case KP_CODEC_NONE:
    case KP_CODEC_SNAPPY:
    case KP_CODEC_COUNT:
        break;
    }
    return INT32_MIN;
}

static void take_settings(kc_producer *producer, const kc_settings *settings)
{
    int64_t request_bytes = settings->max_request_size;
    size_t buffer = clamp(settings->buffer_memory, 0, INT64_MAX);
    size_t batch = clamp(settings->batch_size, 0, request_bytes);
    if (batch > buffer / BATCHES_MIN)
        batch = buffer / BATCHES_MIN;
    producer->batch_bytes = batch;
    producer->batch_bytes_max = clamp((int64_t)batch * GROWTH, (int64_t)batch,
                                      batch > GROWTH_BYTES_MAX ? (int64_t)batch : GROWTH_BYTES_MAX);
    if (producer->batch_bytes_max > (size_t)request_bytes)
        producer->batch_bytes_max = (size_t)request_bytes;
    if (producer->batch_bytes_max > buffer / BATCHES_MIN)
        producer->batch_bytes_max = buffer / BATCHES_MIN;
    producer->request_bytes_max = (size_t)request_bytes;
    producer->linger_us = (int64_t)settings->linger_ms * 1000;
    producer->delivery_timeout_ms = settings->delivery_timeout_ms;
    producer->delivery_timeout_us = (int64_t)settings->delivery_timeout_ms * 1000;
    producer->request_timeout_ms = settings->request_timeout_ms;
    producer->in_flight_max = settings->max_in_flight_requests_per_connection;
    producer->retries = (uint32_t)settings->retries;
    producer->acks = (int16_t)settings->acks;
    producer->codec = settings->compression_type;
    producer->codec_level = level_of(settings);
    producer->is_roundrobin = strcmp(settings->partitioner, "roundrobin") == 0;
    kc_producer_memory_init(&producer->memory, &producer->client->mem, buffer,
                            producer->batch_bytes_max);
}

static void init_lists(kc_producer *producer)
{
    kb_list *lists[] = {
        &producer->handle.node,  &producer->topic_list,    &producer->brokers,
        &producer->lingering,    &producer->backing_off,   &producer->leaderless,
        &producer->ages,         &producer->requests,      &producer->idle_requests,
        &producer->idle_batches, &producer->listener.node, &producer->task.node,
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        kb_list_init(lists[i]);
}

kc_err kc_producer_open(kc_client *client, const kc_config *config, kc_producer **producer_out,
                        kc_error *err)
{
    *producer_out = NULL;
    KB_TRY(kc_client_check(client, err));
    if (config)
        KB_TRY(kc_config_check(config, err));
    const kc_settings *settings = config ? kc_config_settings(config) : client->settings;
    if (!kp_codec_is_built(settings->compression_type))
        return kb_error_set(err, KC_ERR_CONFIG,
                            "compression.type %s is not built into this library",
                            kp_codec_name(settings->compression_type));
    kc_producer *producer = kb_mem_zalloc(&client->mem, sizeof *producer);
    if (!producer)
        return kb_error_code(err, KC_ERR_NOMEM);
    producer->client = client;
    producer->loop = client->loop;
    take_settings(producer, settings);
    init_lists(producer);
    kb_map_init(&producer->topics, &client->mem);
    kb_arena_init(&producer->arena, &client->mem, 0);
    kb_buf_init(&producer->scratch, &client->mem, 0);
    producer->task.fn = on_task;
    producer->task.user = producer;
    producer->timer.fn = on_timer;
    producer->timer.user = producer;
    producer->listener.fn = on_metadata;
    producer->listener.user = producer;
    producer->handle.abandon = abandon;
    producer->handle.explain = kc_producer_explain;
    // set once, so that setting it can't fail later
    if (kn_timer_set(client->loop, &producer->timer, kn_loop_now_us(client->loop) + 1000000) !=
        KC_OK) {
        kb_mem_free(&client->mem, producer);
        return kb_error_code(err, KC_ERR_NOMEM);
    }
    kn_timer_stop(client->loop, &producer->timer);
    kc_metadata_listen(client->metadata, &producer->listener);
    kb_list_push_back(&client->handles, &producer->handle.node);
    *producer_out = producer;
    return KC_OK;
}

/** Take back what is on its way; its batches are failed with the others. */
static void cancel_requests(kc_producer *producer)
{
    KB_LIST_FOR (node, &producer->requests) {
        kc_producer_request *request = KB_CONTAINER(node, kc_producer_request, node);
        if (kn_request_is_active(&request->net))
            kn_request_cancel(&request->net);
        memset(request->batches, 0, request->count * sizeof(kc_producer_batch *));
    }
}

void kc_producer_close(kc_producer *producer)
{
    if (!producer || producer->state != KC_PRODUCER_OPEN)
        return;
    kc_client *client = producer->client;
    bool was_in_dispatch = client->in_dispatch;
    client->in_dispatch =
        true; // callbacks run: what blocks or frees the client must not come back in
    kc_producer_enter(producer);
    producer->state = KC_PRODUCER_CLOSING;
    kn_task_cancel(&producer->task);
    kn_timer_stop(producer->loop, &producer->timer);
    kc_metadata_unlisten(&producer->listener);
    kb_list_remove(&producer->handle.node);
    cancel_requests(producer);
    kc_error error;
    kb_error_set(&error, KC_ERR_CLOSED,
                 "the producer was closed before the record was acknowledged: flush first");
    while (!kb_list_is_empty(&producer->ages)) {
        kc_producer_batch *batch = KB_CONTAINER(producer->ages.next, kc_producer_batch, age);
        kc_producer_error_at(producer, &error, batch->queue->topic, batch->queue->partition, -1);
        kc_batch_complete(batch, &error, -1, -1);
    }
    KB_LIST_FOR (node, &producer->topic_list) {
        kc_topic *topic = KB_CONTAINER(node, kc_topic, node);
        kc_producer_error_at(producer, &error, topic, -1, -1);
        kc_stage_fail_all(topic, &error);
    }
    producer->flush_done = true;
    producer->state = KC_PRODUCER_CLOSED;
    kc_producer_leave(producer);
    client->in_dispatch = was_in_dispatch;
}

/* ---- topics ---- */

kc_err kc_producer_topic(kc_producer *producer, kc_bytes name, kc_topic **topic_out, kc_error *err)
{
    *topic_out = NULL;
    if (producer->state != KC_PRODUCER_OPEN)
        return kb_error_set(err, KC_ERR_STATE, "the producer is being closed");
    kc_topic *topic = name.ptr ? kb_map_get(&producer->topics, name) : NULL;
    if (topic) {
        *topic_out = topic;
        return KC_OK;
    }
    if (!name.ptr || !kc_topic_name_is_valid(name))
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "a topic's name is 1 to 249 letters, digits, '.', '_' and '-', but not "
                            "\".\" or \"..\"");
    kb_mem *mem = producer->memory.mem;
    topic = kb_mem_zalloc(mem, sizeof *topic);
    if (!topic)
        return kb_error_code(err, KC_ERR_NOMEM);
    topic->producer = producer;
    topic->batch_bytes_max = SIZE_MAX;
    topic->request_slot = -1;
    kb_list_init(&topic->staged);
    kc_err code = kc_metadata_use(producer->client->metadata, name, &topic->meta);
    if (code != KC_OK) {
        kb_mem_free(mem, topic);
        return kb_error_code(err, code);
    }
    kc_metadata_allow_create(producer->client->metadata, topic->meta);
    code = kb_map_put(&producer->topics, topic->meta->name, topic);
    if (code != KC_OK) {
        kc_metadata_unuse(producer->client->metadata, topic->meta);
        kb_mem_free(mem, topic);
        return kb_error_code(err, code);
    }
    kb_list_push_back(&producer->topic_list, &topic->node);
    *topic_out = topic;
    return KC_OK;
}

/* ---- sending ---- */

static kc_err check_record(const kc_record *record, kc_error *err)
{
    if (record->partition < KC_PARTITION_ANY)
        return kb_error_set(err, KC_ERR_ARGUMENT, "partition %d: below KC_PARTITION_ANY (-1)",
                            (int)record->partition);
    if (record->timestamp_ms < KC_TIMESTAMP_NOW)
        return kb_error_set(err, KC_ERR_ARGUMENT, "timestamp %lld: below KC_TIMESTAMP_NOW (-1)",
                            (long long)record->timestamp_ms);
    bool is_whole = (record->key.ptr || record->key.len == 0) &&
                    (record->value.ptr || record->value.len == 0) &&
                    (record->headers || record->header_count == 0);
    for (size_t i = 0; is_whole && i < record->header_count; i++) {
        const kc_header *header = &record->headers[i];
        is_whole = header->name.ptr && (header->value.ptr || header->value.len == 0);
    }
    if (!is_whole)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "a null key, value or header list has a length, or a header no name");
    return KC_OK;
}

/** Everything but a record that fits into the open batch of a known partition: about once a batch.
 * Kept out of its caller, whose stack frame it would make larger for every record. */
__attribute__((noinline)) static kc_err send_slowly(kc_topic *topic, const kc_record *record,
                                                    kc_delivery_fn fn, void *user, kc_error *err)
{
    kc_producer *producer = topic->producer;
    if (producer->state != KC_PRODUCER_OPEN)
        return kb_error_set(err, KC_ERR_STATE, "the producer is being closed");
    KB_TRY(check_record(record, err));
    kc_accum_item item = {
        .record = record,
        .timestamp_ms = record->timestamp_ms,
        .fn = fn,
        .user = user,
    };
    int64_t wall_ms = kn_loop_refresh_wall(producer->loop);
    if (item.timestamp_ms == KC_TIMESTAMP_NOW)
        item.timestamp_ms = wall_ms;
    if (topic->is_staging || topic->meta->partition_count <= 0) {
        item.created_us = kc_client_fresh_us(producer->client);
        KB_TRY(kc_stage_add(topic, &item, err));
    } else {
        KB_TRY(kc_accum_add(topic, &item, err));
    }
    producer->stats.records_pending++;
    return KC_OK;
}

/** Can the record be added without a look at anything but the batch? */
static inline bool is_plain(const kc_record *record)
{
    return record->timestamp_ms >= KC_TIMESTAMP_NOW && record->header_count == 0 &&
           (record->key.ptr || record->key.len == 0) &&
           (record->value.ptr || record->value.len == 0);
}

kc_err kc_producer_send_to(kc_topic *topic, const kc_record *record, kc_delivery_fn fn, void *user,
                           kc_error *err)
{
    kc_producer *producer = topic->producer;
    if (kc_client_is_elsewhere(producer->client))
        return kc_producer_post(producer, topic, record, fn, user, err);
    const kc_producer_queue *queue = kc_partition_known(topic, record);
    if (queue && queue->open && (is_plain(record) || check_record(record, NULL) == KC_OK)) {
        int64_t timestamp_ms = record->timestamp_ms;
        if (timestamp_ms == KC_TIMESTAMP_NOW)
            timestamp_ms = kn_loop_wall_ms(producer->loop);
        if (kc_batch_add(queue->open, &producer->memory, record, timestamp_ms, fn, user) == KC_OK) {
            producer->stats.records_pending++;
            return KC_OK;
        }
    }
    return send_slowly(topic, record, fn, user, err);
}

kc_err kc_producer_send(kc_producer *producer, const kc_record *record, kc_delivery_fn fn,
                        void *user, kc_error *err)
{
    if (kc_client_is_elsewhere(producer->client))
        return kc_producer_post(producer, NULL, record, fn, user, err);
    kc_topic *topic = producer->last_topic;
    if (!topic || !kc_bytes_equal(topic->meta->name, record->topic)) {
        KB_TRY(kc_producer_topic(producer, record->topic, &topic, err));
        producer->last_topic = topic;
    }
    return kc_producer_send_to(topic, record, fn, user, err);
}

/* ---- flushing ---- */

void kc_producer_flush_done_one(kc_producer *producer)
{
    assert(producer->flush_left > 0);
    if (--producer->flush_left == 0)
        producer->flush_done = true;
}

void kc_producer_flush_start(kc_producer *producer)
{
    if (producer->state != KC_PRODUCER_OPEN)
        return;
    KB_LIST_FOR (node, &producer->ages) {
        kc_batch_mark_flushed(KB_CONTAINER(node, kc_producer_batch, age));
    }
    if (producer->staged_count > 0) {
        KB_LIST_FOR (node, &producer->topic_list) {
            kc_stage_mark_flushed(KB_CONTAINER(node, kc_topic, node));
        }
    }
    kc_sender_all_due(producer);
    producer->flush_done = producer->flush_left == 0;
}

kc_err kc_producer_flush(kc_producer *producer, int timeout_ms)
{
    if (kc_client_is_elsewhere(producer->client))
        return kc_producer_flush_elsewhere(producer, timeout_ms);
    if (producer->state != KC_PRODUCER_OPEN)
        return KC_ERR_STATE;
    kc_producer_enter(producer);
    kc_producer_flush_start(producer);
    kc_err err = kc_client_run_until(producer->client, &producer->flush_done, timeout_ms);
    if (err == KC_OK && producer->state != KC_PRODUCER_OPEN)
        err = KC_ERR_STATE; // a callback closed it
    if (err == KC_ERR_TIMEOUT && producer->state == KC_PRODUCER_OPEN)
        kc_producer_note_late(producer, timeout_ms);
    else if (err != KC_OK)
        kb_error_code(&producer->last_error, err);
    kc_producer_leave(producer);
    return err;
}

/* ---- the rest ---- */

void kc_producer_on_room(kc_producer *producer, void (*fn)(void *user), void *user)
{
    producer->on_room = fn;
    producer->on_room_user = user;
}

void kc_producer_stats_get(const kc_producer *producer, kc_producer_stats *stats_out)
{
    *stats_out = producer->stats;
    stats_out->buffer_bytes = producer->memory.used;
}

void kc_producer_last_error(const kc_producer *producer, kc_error *error_out)
{
    *error_out = producer->last_error;
}
