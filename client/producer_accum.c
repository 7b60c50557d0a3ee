/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Batches of a producer: opened by the first record, filled in place, closed, done.
 *
 * A batch is due when it has lingered, when it reached batch.size, or when somebody wants it sent.
 * As a request takes one batch of a partition, and a partition has one batch on its way, a batch
 * that is due but can't go yet keeps growing instead of leaving a queue of small ones behind it: so
 * a partition's throughput follows the load, not batch.size over the round trip. Blocks grow by
 * copying; the next batch of the partition starts with a block as large as the last one came to, so
 * that neither idle partitions hold large blocks nor busy ones copy. */
#include "client/producer_flow.h"
#include "client/variant.h"
#include "protocol/base/error.h"

#include <assert.h>

static kc_producer *producer_of(const kc_producer_queue *queue)
{
    return queue->topic->producer;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/** Bytes at which the batch is full. */
static size_t soft_limit(const kc_producer_queue *queue)
{
    return smaller(producer_of(queue)->batch_bytes, queue->topic->batch_bytes_max);
}

/** Bytes above which no record is added, however long the batch has to wait. */
static size_t hard_limit(const kc_producer_queue *queue)
{
    return smaller(producer_of(queue)->batch_bytes_max, queue->topic->batch_bytes_max);
}

/* Batches are made in the order of their age, but for staged and split ones. */
static void insert_by_age(kc_producer *producer, kc_producer_batch *batch)
{
    kb_list *pos = &producer->ages;
    while (pos->prev != &producer->ages &&
           KB_CONTAINER(pos->prev, kc_producer_batch, age)->created_us > batch->created_us)
        pos = pos->prev;
    kb_list_insert_before(pos, &batch->age);
}

kc_err kc_batch_new(kc_producer_queue *queue, size_t bytes, int64_t created_us, kc_block_need need,
                    kc_producer_batch **batch_out)
{
    kc_producer *producer = producer_of(queue);
    void *block = NULL;
    size_t block_bytes = 0;
    KB_TRY(kc_block_take(&producer->memory, bytes, need, &block, &block_bytes));
    kb_list *idle = kb_list_pop_front(&producer->idle_batches);
    kc_producer_batch *batch = idle ? KB_CONTAINER(idle, kc_producer_batch, node)
                                    : kb_mem_alloc(producer->memory.mem, sizeof *batch);
    if (!batch) {
        kc_block_give(&producer->memory, block, block_bytes);
        return KC_ERR_NOMEM;
    }
    *batch = (kc_producer_batch){
        .queue = queue,
        .block_bytes = block_bytes,
        .created_us = created_us,
    };
    kp_batch_writer_init(&batch->writer, block, block_bytes);
    kb_list_init(&batch->node);
    kb_list_init(&batch->age);
    insert_by_age(producer, batch);
    *batch_out = batch;
    return KC_OK;
}

/** Out of its queue and of the ages. */
static void detach(kc_producer_batch *batch)
{
    kc_producer_queue *queue = batch->queue;
    if (queue->open == batch) {
        queue->open = NULL;
        queue->open_is_due = false;
        kb_list_remove(&queue->linger);
    } else if (queue->in_flight == batch) {
        queue->in_flight = NULL;
        queue->depth--;
    } else if (!kb_list_is_empty(&batch->node)) {
        kb_list_remove(&batch->node);
        queue->depth--;
    }
    kb_list_remove(&batch->age);
}

static void release_block(kc_producer_batch *batch)
{
    if (batch->writer.data)
        kc_block_give(&producer_of(batch->queue)->memory, batch->writer.data, batch->block_bytes);
    batch->writer.data = NULL;
}

static void recycle(kc_producer_batch *batch)
{
    kc_producer *producer = producer_of(batch->queue);
    release_block(batch);
    kc_deliveries_cleanup(&batch->deliveries, &producer->memory);
    if (batch->is_flushed)
        kc_producer_flush_done_one(producer);
    kb_list_push_front(&producer->idle_batches, &batch->node);
}

void kc_batch_discard(kc_producer_batch *batch)
{
    detach(batch);
    recycle(batch);
}

void kc_accum_trim(kc_producer *producer)
{
    kb_list *node;
    while ((node = kb_list_pop_front(&producer->idle_batches)))
        kb_mem_free(producer->memory.mem, KB_CONTAINER(node, kc_producer_batch, node));
    while ((node = kb_list_pop_front(&producer->idle_requests)))
        kc_request_free(KB_CONTAINER(node, kc_producer_request, node));
    kc_producer_memory_trim(&producer->memory);
    kb_buf_cleanup(&producer->scratch);
    kp_codec_cache_cleanup(&producer->codecs);
    kb_arena_cleanup(&producer->arena);
}

void kc_batch_mark_flushed(kc_producer_batch *batch)
{
    if (batch->is_flushed)
        return;
    batch->is_flushed = true;
    producer_of(batch->queue)->flush_left++;
}

void kc_queue_close_open(kc_producer_queue *queue)
{
    kc_producer_batch *batch = queue->open;
    assert(batch && batch->writer.count > 0);
    queue->open = NULL;
    queue->open_is_due = false;
    kb_list_remove(&queue->linger);
    kb_list_push_back(&queue->closed, &batch->node);
    queue->depth++;
    queue->expected_bytes = batch->writer.len;
    if (queue->topic->sticky == queue)
        queue->topic->sticky_bytes += batch->writer.len;
}

void kc_queue_mark_due(kc_producer_queue *queue)
{
    if (!queue->open || queue->open_is_due)
        return;
    queue->open_is_due = true;
    kb_list_remove(&queue->linger);
    kc_queue_update(queue);
}

/** Put a newly opened batch among those that linger, which are in the order of their age. */
static void begin_linger(kc_producer_queue *queue)
{
    kc_producer *producer = producer_of(queue);
    int64_t created_us = queue->open->created_us;
    kb_list *pos = &producer->lingering;
    while (pos->prev != &producer->lingering &&
           KB_CONTAINER(pos->prev, kc_producer_queue, linger)->open->created_us > created_us)
        pos = pos->prev;
    kb_list_insert_before(pos, &queue->linger);
    kc_sender_arm(producer, created_us + producer->linger_us);
}

/** Let the batch grow to `total` bytes and some more, up to `limit`. */
static kc_err make_room(kc_producer_batch *batch, size_t total, size_t limit)
{
    kc_producer *producer = producer_of(batch->queue);
    kp_batch_writer *writer = &batch->writer;
    if (total > batch->block_bytes) {
        void *block = NULL;
        size_t block_bytes = 0;
        KB_TRY(kc_block_take(&producer->memory, total, KC_BLOCK_CLASS, &block, &block_bytes));
        memcpy(block, writer->data, writer->len);
        kc_block_give(&producer->memory, writer->data, batch->block_bytes);
        writer->data = block;
        batch->block_bytes = block_bytes;
    }
    kp_batch_writer_move(writer, writer->data, smaller(batch->block_bytes, limit));
    return KC_OK;
}

void kc_accum_want_room(kc_producer *producer, size_t bytes, kc_block_need need)
{
    producer->wants_room = true;
    producer->room_bytes = kc_block_bytes(&producer->memory, bytes, need);
    kc_sender_all_due(producer);
}

/** Open a batch with its first record, which takes `bytes_max` at most. */
static kc_err open_batch(kc_producer_queue *queue, const kc_accum_item *item, size_t bytes_max)
{
    kc_producer *producer = producer_of(queue);
    size_t least = KP_BATCH_HEADER_BYTES + bytes_max;
    size_t want = smaller(queue->expected_bytes, hard_limit(queue));
    int64_t created_us = item->created_us ? item->created_us : kc_client_fresh_us(producer->client);
    kc_producer_batch *batch = NULL;
    kc_err err = KC_ERR_BUFFER_FULL;
    if (want > least && !item->is_accepted)
        err = kc_batch_new(queue, want, created_us, KC_BLOCK_CLASS, &batch);
    if (err == KC_ERR_BUFFER_FULL)
        err = kc_batch_new(queue, least, created_us,
                           item->is_accepted ? KC_BLOCK_ACCEPTED : KC_BLOCK_EXACT, &batch);
    if (err == KC_ERR_BUFFER_FULL)
        kc_accum_want_room(producer, least, KC_BLOCK_EXACT);
    KB_TRY(err);

    size_t soft = soft_limit(queue);
    bool is_full = least > soft;
    kp_batch_writer_move(&batch->writer, batch->writer.data,
                         smaller(batch->block_bytes, is_full ? least : soft));
    err = kc_batch_add(batch, &producer->memory, item->record, item->timestamp_ms, item->fn,
                       item->user);
    if (err != KC_OK) {
        assert(err == KC_ERR_NOMEM && "a block of the record's largest size has room for it");
        kc_batch_discard(batch);
        return err;
    }
    // a record above batch.size travels alone, also where the estimate left room for a small one
    if (is_full)
        kp_batch_writer_move(&batch->writer, batch->writer.data, batch->writer.len);
    queue->open = batch;
    queue->open_is_due = false;
    if (is_full || producer->linger_us == 0)
        kc_queue_mark_due(queue);
    else
        begin_linger(queue);
    return KC_OK;
}

/** Close a batch that takes no more. It is finished at once rather than when it is sent: its bytes are still in the
 *  cache. (A batch that has to carry a sequence number can't be sealed before it is sent.) */
static void close_full(kc_producer_queue *queue)
{
    kc_producer_batch *batch = queue->open;
    kc_queue_close_open(queue);
    kc_batch_finish(batch);
    kc_queue_update(queue);
}

void kc_queue_leave(kc_producer_queue *queue, size_t bytes_max)
{
    if (queue->open && queue->open->writer.len + bytes_max > hard_limit(queue))
        close_full(queue);
    else
        kc_queue_mark_due(queue);
}

static kc_err add_to_queue(kc_producer_queue *queue, const kc_accum_item *item, size_t bytes_max)
{
    kc_producer_memory *memory = &producer_of(queue)->memory;
    kc_producer_batch *batch = queue->open;
    if (batch) {
        kc_err err =
            kc_batch_add(batch, memory, item->record, item->timestamp_ms, item->fn, item->user);
        if (err != KC_ERR_AGAIN)
            return err;
        size_t total = batch->writer.len + bytes_max;
        bool is_full = total > soft_limit(queue);
        size_t limit = soft_limit(queue);
        if (is_full) {
            kc_queue_mark_due(queue);
            limit = smaller(hard_limit(queue), total + limit);
        }
        err = total <= limit ? make_room(batch, total, limit) : KC_ERR_TOO_LARGE;
        if (err == KC_OK)
            return kc_batch_add(batch, memory, item->record, item->timestamp_ms, item->fn,
                                item->user);
        // better one batch that waits for room than a row of small ones, which go one at a time
        if (err == KC_ERR_BUFFER_FULL && !is_full && !item->is_accepted) {
            kc_accum_want_room(producer_of(queue), total, KC_BLOCK_CLASS);
            return err;
        }
        close_full(queue);
    }
    return open_batch(queue, item, bytes_max);
}

kc_err kc_accum_check_size(const kc_producer *producer, const kc_record *record,
                           size_t *bytes_max_out, kc_error *err)
{
    size_t bytes =
        kp_record_size_max(record->key, record->value, record->headers, record->header_count);
    *bytes_max_out = bytes;
    if (bytes > SIZE_MAX - KP_BATCH_HEADER_BYTES ||
        bytes + KP_BATCH_HEADER_BYTES > producer->request_bytes_max)
        return kb_error_set(err, KC_ERR_TOO_LARGE,
                            "a record of about %zu bytes is above max.request.size (%zu): raise it "
                            "here and max.message.bytes of the topic, or send less",
                            bytes, producer->request_bytes_max);
    if (bytes + KP_BATCH_HEADER_BYTES > producer->memory.limit)
        return kb_error_set(err, KC_ERR_TOO_LARGE,
                            "a record of about %zu bytes is above buffer.memory (%zu): raise it",
                            bytes, producer->memory.limit);
    return KC_OK;
}

kc_err kc_accum_add(kc_topic *topic, const kc_accum_item *item, kc_error *err)
{
    kc_producer_queue *queue = NULL;
    size_t bytes_max = 0;
    KB_TRY(kc_accum_check_size(topic->producer, item->record, &bytes_max, err));
    KB_TRY(kc_partition_choose(topic, item->record, bytes_max, &queue, err));
    kc_err code = add_to_queue(queue, item, bytes_max);
    if (code != KC_OK)
        return kb_error_code(err, code);
    if (item->is_flushed) {
        kc_batch_mark_flushed(queue->open);
        kc_queue_mark_due(queue);
    }
    return KC_OK;
}

void kc_batch_finish(kc_producer_batch *batch)
{
    kc_producer *producer = producer_of(batch->queue);
    kp_batch_writer *writer = &batch->writer;
    if (batch->wire_bytes > 0)
        return;
    bool is_smaller = false;
    if (producer->codec != KP_CODEC_NONE) {
        kb_buf_reset(&producer->scratch);
        // what can't be compressed, for lack of memory too, goes as it is
        if (kp_batch_finish_compressed_with(writer, &producer->codecs, producer->codec,
                                            producer->codec_level, &producer->scratch,
                                            &is_smaller) != KC_OK)
            is_smaller = false;
    }
    if (is_smaller) {
        batch->wire_bytes = producer->scratch.len;
        assert(batch->wire_bytes <= batch->block_bytes);
        memcpy(writer->data, producer->scratch.data, batch->wire_bytes);
    } else {
        batch->wire_bytes = kp_batch_finish(writer);
    }
    kp_batch_seal(writer->data, batch->wire_bytes, NULL);
}

/** Call back for each record that has a callback. */
static void tell(kc_producer_batch *batch, const kc_error *error, int64_t base_offset,
                 int64_t append_ms)
{
    const kc_deliveries *deliveries = &batch->deliveries;
    const kc_client *client = batch->queue->topic->producer->client;
    if (deliveries->mode == KC_DELIVERIES_NONE || client->is_forked)
        return;
    kc_delivery delivery = {
        .err = error ? error->code : KC_OK,
        .error = error,
        .topic = batch->queue->topic->meta->name,
        .partition = batch->queue->partition,
    };
    bool is_uniform = deliveries->mode == KC_DELIVERIES_SAME && !deliveries->times.head;
    kc_delivery_target target = {deliveries->fn, deliveries->user, deliveries->first_timestamp};
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, deliveries);
    for (int32_t i = 0; i < batch->writer.count; i++) {
        if (!is_uniform)
            target = kc_delivery_cursor_next(&cursor);
        if (!target.fn)
            continue;
        delivery.offset = base_offset < 0 ? -1 : base_offset + i;
        delivery.timestamp_ms = append_ms >= 0 ? append_ms : target.timestamp_ms;
        if (KC_VARIANT(CALLBACK_NEVER) && error && batch->tries > 0)
            continue;
        target.fn(&delivery, target.user);
        if (KC_VARIANT(CALLBACK_TWICE) && i == 3)
            target.fn(&delivery, target.user);
    }
}

void kc_batch_complete(kc_producer_batch *batch, const kc_error *error, int64_t base_offset,
                       int64_t append_ms)
{
    kc_producer_queue *queue = batch->queue;
    kc_producer *producer = producer_of(queue);
    assert(producer->busy > 0);
    uint64_t count = (uint64_t)batch->writer.count;
    kc_producer_stats *stats = &producer->stats;
    stats->records_pending -= count;
    if (error) {
        stats->records_failed += count;
    } else {
        stats->records_acked += count;
        stats->bytes_acked += batch->wire_bytes;
    }
    detach(batch);
    // room is made by the acknowledgement, not by the callbacks, which may want to send
    release_block(batch);
    kc_queue_update(queue);
    kc_sender_wake(producer);
    tell(batch, error, base_offset, append_ms);
    recycle(batch);
}
