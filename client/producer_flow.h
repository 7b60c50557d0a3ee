/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the files of the producer offer each other, by file; producer_core.h says how they hang together. */
#ifndef KC_PRODUCER_FLOW_H
#define KC_PRODUCER_FLOW_H

#include "client/producer_core.h"
#include "protocol/murmur2.h"

/* ---- producer.c ---- */

void kc_producer_enter(kc_producer *producer);
/** Frees a closed producer when it was the last. */
void kc_producer_leave(kc_producer *producer);
void kc_producer_flush_done_one(kc_producer *producer);

/* ---- producer_explain.c ---- */

void kc_producer_explain(const kc_handle *handle, kb_explain *out);

/* ---- producer_post.c: for threads that are not the client's ---- */

/** Hand a record over: copied. `topic` or, when that is NULL, record->topic. Errors as
 * kc_producer_send(), of which those that only the producer can find are told through `fn`. */
KC_NODISCARD kc_err kc_producer_post(kc_producer *producer, kc_topic *topic,
                                     const kc_record *record, kc_delivery_fn fn, void *user,
                                     kc_error *err);
/** Wait until what was handed over before is flushed. Errors as kc_producer_flush(). */
KC_NODISCARD kc_err kc_producer_flush_elsewhere(kc_producer *producer, int timeout_ms);

/* ---- producer_partition.c ---- */

/** The queue of a partition, made when first used; NULL: out of memory. */
kc_producer_queue *kc_partition_queue(kc_topic *topic, int32_t partition);

/**
 * The queue a record goes to; the topic's partitions are known.
 *
 * @param bytes_max  Size of the record, which says whether a sticky partition's batch is full.
 * @retval KC_OK, KC_ERR_NOMEM, KC_ERR_ARGUMENT (no such partition).
 */
KC_NODISCARD kc_err kc_partition_choose(kc_topic *topic, const kc_record *record, size_t bytes_max,
                                        kc_producer_queue **queue_out, kc_error *err);

/** The same where it takes no thought; NULL: ask kc_partition_choose(). */
static inline kc_producer_queue *kc_partition_known(const kc_topic *topic, const kc_record *record)
{
    int32_t partition = record->partition;
    if (topic->is_staging)
        return NULL;
    if (partition < 0) {
        if (partition != KC_PARTITION_ANY || topic->producer->is_roundrobin)
            return NULL;
        if (!record->key.ptr)
            return topic->sticky;
        if (topic->meta->partition_count <= 0)
            return NULL;
        partition =
            kp_partition_of_key(record->key.ptr, record->key.len, topic->meta->partition_count);
    }
    return partition < topic->queue_count ? topic->queues[partition] : NULL;
}

/* ---- producer_accum.c ---- */

/** A record on its way into a batch. */
typedef struct kc_accum_item {
    const kc_record *record;
    int64_t timestamp_ms;
    kc_delivery_fn fn;
    void *user;
    int64_t created_us; /**< 0: now                                        */
    bool is_accepted;   /**< before: not refused by buffer.memory          */
    bool is_flushed;
} kc_accum_item;

/** Append. KC_ERR_AGAIN: does not fit. KC_ERR_NOMEM. Nothing changed then. */
static inline kc_err kc_batch_add(kc_producer_batch *batch, kc_producer_memory *memory,
                                  const kc_record *record, int64_t timestamp_ms, kc_delivery_fn fn,
                                  void *user)
{
    kp_batch_writer *writer = &batch->writer;
    size_t len = writer->len;
    int64_t max_timestamp = writer->max_timestamp;
    if (!kp_batch_append(writer, timestamp_ms, record->key, record->value, record->headers,
                         record->header_count))
        return KC_ERR_AGAIN;
    kc_err err = kc_deliveries_add(&batch->deliveries, memory, (uint32_t)writer->count - 1, fn,
                                   user, timestamp_ms);
    if (err == KC_OK)
        return KC_OK;
    writer->len = len;
    writer->max_timestamp = max_timestamp;
    writer->count--;
    return err;
}

/** KC_OK, KC_ERR_TOO_LARGE, KC_ERR_BUFFER_FULL, KC_ERR_NOMEM, KC_ERR_ARGUMENT. Does not count the
 * record. */
KC_NODISCARD kc_err kc_accum_add(kc_topic *topic, const kc_accum_item *item, kc_error *err);
/** KC_ERR_TOO_LARGE where the record can't be sent with these settings. */
KC_NODISCARD kc_err kc_accum_check_size(const kc_producer *producer, const kc_record *record,
                                        size_t *bytes_max_out, kc_error *err);

/** An empty batch with a block of at least `bytes`, in producer->ages; in no queue yet. */
KC_NODISCARD kc_err kc_batch_new(kc_producer_queue *queue, size_t bytes, int64_t created_us,
                                 kc_block_need need, kc_producer_batch **batch_out);
/** Out of all lists and counts, and recycled, without a word to anybody. */
void kc_batch_discard(kc_producer_batch *batch);
/** Compress, checksum: once, when the batch is full or first sent. */
void kc_batch_finish(kc_producer_batch *batch);
/** Count it among those a flush waits for. */
void kc_batch_mark_flushed(kc_producer_batch *batch);
/** Done: release, count, tell. `error` NULL: written, at `base_offset` (-1: not known), appended at
 * `append_ms`
 *  (-1: the records' own timestamps hold). */
void kc_batch_complete(kc_producer_batch *batch, const kc_error *error, int64_t base_offset,
                       int64_t append_ms);
/** Move the open batch of a queue to the closed ones. */
void kc_queue_close_open(kc_producer_queue *queue);
/** The next record without key, of `bytes_max`, goes elsewhere: don't let the open batch wait. */
void kc_queue_leave(kc_producer_queue *queue, size_t bytes_max);
/** The open batch waits no longer. */
void kc_queue_mark_due(kc_producer_queue *queue);
/** No room for a block: everything is due, and on_room is called when there is. */
void kc_accum_want_room(kc_producer *producer, size_t bytes, kc_block_need need);
/** Free the batches and requests kept for reuse. */
void kc_accum_trim(kc_producer *producer);

/* ---- producer_stage.c ---- */

KC_NODISCARD kc_err kc_stage_add(kc_topic *topic, const kc_accum_item *item, kc_error *err);
/** Hand staged records on to batches where their topic is known, fail what is too old or hopeless.
 */
void kc_stage_run(kc_producer *producer, int64_t now_us);
void kc_stage_fail_all(kc_topic *topic, const kc_error *error);
/** Why the records of a topic are still here after `ms`, the time that `limit` gave them; also the last error from
 * now on. */
void kc_stage_late(kc_topic *topic, const char *limit, int ms, kc_error *error);
void kc_stage_mark_flushed(kc_topic *topic);
/** When the oldest staged record of a topic, of which there is one, was sent. */
int64_t kc_stage_oldest_us(const kc_topic *topic);
/** When the oldest staged record expires; INT64_MAX: none. */
int64_t kc_stage_next_us(const kc_producer *producer);

/* ---- producer_sender.c ---- */

/** Put the queue where its batches and its leader say; call after each change of these. */
void kc_queue_update(kc_producer_queue *queue);
/** Every open batch is due: flush, or no memory is left. */
void kc_sender_all_due(kc_producer *producer);
/** The batch goes back to the front of its queue, not before `delay_us` from now. */
void kc_queue_requeue(kc_producer_batch *batch, int64_t delay_us);
/** All that is due: metadata, lingering, back-off, expiry, requests, timer. */
void kc_sender_run(kc_producer *producer);
/** Run soon: from the loop's next turn. */
void kc_sender_wake(kc_producer *producer);
/** Run at `due_us` at the latest. */
void kc_sender_arm(kc_producer *producer, int64_t due_us);
void kc_request_free(kc_producer_request *request);

/* ---- producer_response.c ---- */

void kc_producer_on_reply(kn_request *net, const kn_reply *reply);
/** Fail a batch for its age. */
void kc_batch_expire(kc_producer_batch *batch);
/** A flush has waited in vain: make what holds the records up the last error. */
void kc_producer_note_late(kc_producer *producer, int timeout_ms);
/** Fill in where it failed, and keep it as the last error. */
void kc_producer_error_at(kc_producer *producer, kc_error *error, const kc_topic *topic,
                          int32_t partition, int32_t broker_id);

/* ---- producer_split.c ---- */

/** Indexes of records that go into a batch of their own, ascending not required. */
typedef struct kc_split_refused {
    const kp_produce_resp_record_error *items;
    int32_t count;
} kc_split_refused;

/**
 * Replace a finished batch by batches of at most `bytes_max` (one record may be larger), in its
 * place in the queue. The refused records become one batch that is in no queue: the caller fails
 * it.
 *
 * @retval KC_OK             `batch` is gone. *refused_out NULL: none.
 * @retval KC_ERR_NOMEM      Nothing changed.
 * @retval KC_ERR_NOT_FOUND  Nothing changed: the batch has none of the refused records.
 * @retval KC_ERR_MALFORMED, KC_ERR_COMPRESSION  Never for a batch of ours.
 */
KC_NODISCARD kc_err kc_batch_split(kc_producer_batch *batch, size_t bytes_max,
                                   kc_split_refused refused, kc_producer_batch **refused_out);

#endif
