/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of a kc_producer: its structs. What its files offer each other is in producer_flow.h.
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
 *   producer_post.c       sends and flushes from other threads
 *   producer_explain.c    what records wait for, in words
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
    kc_err trouble; /**< of the last failure since a batch got through, for those behind it */
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
    kb_arena arena;        /**< decoded responses                       */
    kb_buf scratch;        /**< compression                             */
    kp_codec_cache codecs; /**< contexts of compression, kept from batch to batch */

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

#endif
