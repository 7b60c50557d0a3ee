/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of a kc_producer, shared by its files.
 *
 *   send --> open batch of the partition's queue --> closed --> request of the leader --> acknowledged
 *     \         ^                                      ^              |                       or failed
 *      staged --/ (topic not known yet)                \-- requeued in front, after a back-off
 *
 *   producer.c            the API, opening and closing
 *   producer_partition.c  which partition a record goes to
 *   producer_stage.c      records of topics that are not known yet
 *   producer_accum.c      batches: open, closed, done
 *   producer_sender.c     which batch may go when; requests; the timer
 *   producer_response.c   what became of a request
 *   producer_split.c      a batch replaced by smaller ones
 *   producer_delivery.c   whom to tell of each record
 *   producer_memory.c     blocks of buffer.memory
 *
 * Invariants. A queue has at most one batch on its way, and what failed goes back to its front: so
 * the order of a partition's records survives retries without idempotence. A finished batch never
 * changes: retries send the same bytes. A batch on its way is never given up before its request is
 * done. Callbacks run only where no list is being walked, and may call everything, even
 * kc_producer_close(): then `busy` holds the memory until all of this producer's functions have
 * returned. */
#ifndef KC_PRODUCER_CORE_H
#define KC_PRODUCER_CORE_H

#include "client/core.h"
#include "client/metadata.h"
#include "client/producer_delivery.h"
#include "protocol/base/map.h"
#include "protocol/batch.h"
#include "protocol/murmur2.h"

#include <kafkac/producer.h>
#include <kafkac/unstable/messages.h>

typedef struct kc_producer_queue kc_producer_queue;

/** Records of one partition in wire form. */
typedef struct kc_producer_batch {
    kp_batch_writer writer;
    kc_deliveries deliveries;
    kc_producer_queue *queue;
    size_t block_bytes; /**< of writer.data                                              */
    size_t wire_bytes;  /**< of the finished batch in writer.data; 0: still to be finished */
    kb_list node;       /**< in queue->closed                                            */
    kb_list age;        /**< in producer->ages until it is done                          */
    int64_t created_us;
    uint32_t tries;   /**< failures in a row, for the back-off                           */
    uint32_t resends; /**< failures that count against `retries`                         */
    kc_err last_err;  /**< of the last failure                                           */
    bool is_flushed;  /**< counted in producer->flush_left                               */
} kc_producer_batch;

/** A broker as the sender sees it. */
typedef struct kc_producer_broker {
    kb_list node;  /**< in producer->brokers                    */
    kb_list ready; /**< queues with a batch that may go now     */
    int32_t id;
    int32_t in_flight;      /**< requests                               */
    int64_t muted_until_us; /**< throttled (KIP-219); 0: not            */
} kc_producer_broker;

/** In which list a queue stands by its `place`. */
typedef enum kc_queue_place {
    KC_QUEUE_IDLE,       /**< none: nothing to send now, or a batch is on its way */
    KC_QUEUE_READY,      /**< broker->ready                                       */
    KC_QUEUE_LEADERLESS, /**< producer->leaderless, until metadata names a leader */
    KC_QUEUE_BACKOFF,    /**< producer->backing_off, until retry_us               */
} kc_queue_place;

/** Batches of one partition, in order: in flight, closed, open. */
struct kc_producer_queue {
    kc_producer_batch *open; /**< NULL: none; never empty                                */
    kc_topic *topic;
    kb_list closed;
    kc_producer_batch *in_flight;
    kc_producer_broker *broker; /**< of the last ready list it was in; NULL: none yet       */
    kb_list place;
    kb_list linger;   /**< in producer->lingering while `open` may wait for more              */
    int64_t retry_us; /**< not before; 0: at once                                      */
    size_t expected_bytes; /**< size of the last batch: how much the next one takes at once */
    int32_t partition;
    uint32_t depth; /**< batches closed or in flight                                 */
    kc_queue_place state;
    bool open_is_due; /**< lingered long enough, full, or flushed                           */
};

struct kc_topic {
    kc_producer *producer;
    kc_meta_topic *meta;
    kc_producer_queue **queues; /**< by partition; NULL: never used      */
    int32_t queue_count;
    bool is_staging;           /**< records stand in `staged`: later ones go behind them */
    kc_producer_queue *sticky; /**< where records without key go; NULL: to be chosen     */
    size_t sticky_bytes;       /**< in batches closed since it was chosen                */
    uint32_t turn;             /**< of the round robin                                   */
    size_t batch_bytes_max;    /**< learned from MESSAGE_TOO_LARGE; SIZE_MAX: unknown    */
    kb_list staged;            /**< kc_stage_block                                       */
    uint64_t staged_count;
    uint64_t staged_version; /**< of metadata when the first of them came              */
    kb_list node;            /**< in producer->topic_list                              */
    int32_t request_slot;    /**< scratch of the sender: index in the request, -1      */
};

/** One Produce request with its arrays; recycled. */
typedef struct kc_producer_request {
    kn_request net;
    kb_list node; /**< in producer->requests or producer->idle_requests */
    kc_producer *producer;
    kc_producer_broker *broker;
    kp_produce_req msg;
    kc_producer_batch *
        *batches; /**< as `partitions`; NULL: answered; behind `cap` scratch of the same size */
    kp_produce_req_partition_data *partitions;
    kp_produce_req_topic_data *topics;
    uint32_t count, cap;
} kc_producer_request;

typedef enum kc_producer_state {
    KC_PRODUCER_OPEN,
    KC_PRODUCER_CLOSING, /**< everything is being failed      */
    KC_PRODUCER_CLOSED,  /**< freed when nothing is on the stack */
} kc_producer_state;

struct kc_producer {
    /* read by each send */
    kc_producer_memory memory;
    kn_loop *loop;
    kc_topic *last_topic;
    bool is_roundrobin;
    kc_producer_state state;

    kc_handle handle;
    kc_client *client;
    kb_map topics; /**< by name */
    kb_list topic_list;
    kb_list brokers;
    kb_list lingering;   /**< queues, oldest open batch first       */
    kb_list backing_off; /**< queues                                */
    kb_list leaderless;  /**< queues                                */
    kb_list ages;        /**< all batches, oldest first             */
    kb_list requests;    /**< submitted ones, and one being answered */
    kb_list idle_requests, idle_batches;
    kc_meta_listener listener;
    kn_task task;
    kn_timer timer;
    kb_arena arena; /**< decoded responses                       */
    kb_buf scratch; /**< compression                             */

    /* settings */
    int64_t linger_us, delivery_timeout_us;
    size_t batch_bytes;     /**< at which a batch is full: it waits for no linger     */
    size_t batch_bytes_max; /**< to which it grows while it can't be sent yet         */
    size_t request_bytes_max;
    int32_t request_timeout_ms, delivery_timeout_ms, in_flight_max;
    uint32_t retries;
    int16_t acks;
    kp_codec codec;
    int codec_level;

    uint32_t busy; /**< own functions on the stack that may run callbacks */
    bool metadata_changed;
    bool wants_room; /**< a send found no room for `room_bytes` */
    size_t room_bytes;
    void (*on_room)(void *user);
    void *on_room_user;
    uint64_t staged_count;
    int64_t nomem_retry_us; /**< a request could not be made: try again then; 0: no */
    int64_t trim_us;        /**< give idle memory back then; 0: no */
    uint64_t flush_left;    /**< batches and staged records a flush waits for */
    bool flush_done;
    kc_producer_stats stats;
    kc_error last_error;
};

/* ---- producer.c ---- */

void kc_producer_enter(kc_producer *producer);
/** Frees a closed producer when it was the last. */
void kc_producer_leave(kc_producer *producer);
void kc_producer_flush_done_one(kc_producer *producer);

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
void kc_stage_mark_flushed(kc_topic *topic);
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
