/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of a kc_consumer: what its modules share.
 *
 *   consumer_part         one assigned partition: position, state, what is buffered for it
 *   consumer_position     positions: committed offsets, ListOffsets, OffsetForLeaderEpoch
 *   consumer_fetch        which broker is asked for what, and when
 *   consumer_fetch_response  an answer to that, cut into slices per partition
 *   consumer_batch        slices handed out batch by batch, and the views into them
 *   consumer_offset_op    OffsetCommit and OffsetFetch as operations with retries
 *   consumer_commit       what is committed, when, for whom
 *   consumer_subscription the topics wanted
 *   consumer_member       membership of a group: join, heartbeat, leave
 *   consumer_member_join  one rebalance
 *   consumer_assign       assignment by hand, pause, seek, position
 *   consumer_explain      what all of that waits for, in words
 *   consumer              open, close, poll, events
 *
 * Two things call into it at any time: the application and the loop. Callbacks of the application
 * run from tasks, timers and replies only, as the last thing that is done there, or followed by a
 * look at what is left. */
#ifndef KC_CONSUMER_CORE_H
#define KC_CONSUMER_CORE_H

#include "client/consumer_member.h"
#include "client/consumer_subscription.h"
#include "client/core.h"
#include "client/metadata.h"
#include "protocol/base/map.h"
#include "protocol/compress.h"

#include <kafkac/consumer.h>

#include <assert.h>

typedef struct kc_part kc_part;
typedef struct kc_source kc_source;
typedef struct kc_offset_op kc_offset_op;

/** Errors waiting for dispatch; more are dropped, since they would all say the same. */
#define KC_CONSUMER_ERRORS_MAX 32
/** Batch objects kept for the next use. */
#define KC_CONSUMER_SPARE_BATCHES_MAX 64
/** Most bytes a decompression buffer may keep for the next use. */
#define KC_CONSUMER_SPARE_INFLATED_BYTES_MAX ((size_t)2 << 20)
/** kc_consumer_poll() turns the loop at least this often while batches are there: heartbeats need
 * it. */
#define KC_CONSUMER_TURN_US 5000

/** An error waiting to be told. */
typedef struct kc_consumer_error {
    kb_list node;
    kc_error error;
} kc_consumer_error;

/** Partitions told to a callback. */
typedef struct kc_part_list {
    kc_topic_partition *names;
    kc_part **parts; /**< references: the names stand in them */
    size_t name_cap, part_cap;
    size_t count;
} kc_part_list;

/** A topic with assigned partitions. */
typedef struct kc_part_topic {
    kb_list node;
    kc_meta_topic *meta;
    uint32_t uses;
    uint32_t build_serial; /**< scratch of whoever groups partitions by topic */
    int32_t build_index;
} kc_part_topic;

struct kc_consumer {
    kc_handle handle;
    kc_client *client;
    kc_config *config; /**< own copy, or NULL: the client's */
    const kc_settings *settings;
    kc_bytes group_id; /**< null: none */
    uint32_t owner;    /**< of its lanes */
    kc_consumer_events events;
    kc_error fatal;  /**< code KC_OK: none */
    bool is_closing; /**< nothing new is begun, but for commits in on_revoked */
    bool is_freed;   /**< not even those */
    bool is_out;     /**< in no group, no commit under way: what closing waits for */
    bool is_by_hand; /**< kc_consumer_assign() was called last */

    kb_list parts; /**< kc_part, in the order of the next Fetch */
    kb_map part_map;
    size_t part_count;
    kc_part_list told; /**< room for all of `parts`, so that telling about them can't fail */
    kb_list topics;    /**< kc_part_topic */
    kb_list leaders;   /**< kc_leader, never removed before the end */
    kb_list ready;     /**< kc_part with something to hand out */
    bool has_ready;    /**< `ready` is not empty, or `fatal` is set: what poll waits for */
    uint32_t build_serial;

    size_t credit_bytes_max; /**< of the three together */
    size_t pinned_bytes;     /**< received chunks somebody still reads */
    size_t inflated_bytes;   /**< decompressed batches */
    size_t reserved_bytes;   /**< Fetches under way */
    bool is_starved;         /**< a Fetch waits for credit */
    kb_list sources;
    kc_source *spare_inflated;
    kp_codec_cache codecs; /**< contexts of decompression, kept from batch to batch */
    kb_list spare_batches;
    size_t spare_batch_count;
    kb_arena scratch; /**< of one decoded response at a time */

    kn_task plan_task;
    kn_timer plan_timer;
    kn_task event_task;
    kb_list errors; /**< kc_consumer_error */
    size_t error_count;
    bool has_batch_event;
    kc_meta_listener listener;

    kb_list ops; /**< kc_offset_op */
    uint32_t commits_pending;
    kc_offset_op *stored_op; /**< look-up of committed offsets under way */
    kc_offset_op *auto_op;   /**< automatic commit under way */
    bool is_auto_due;        /**< the time for the next one came while it was on its way */
    kn_timer auto_timer;

    kc_subscription subscription;
    kc_member member;
    kc_consumer_stats stats;
    int64_t taken_us; /**< last time a batch was asked for, or became ready */
    int64_t turn_us;  /**< last turn made by kc_consumer_poll() */
};

/** Plan Fetches and look-ups in this turn or the next one. */
void kc_consumer_plan_soon(kc_consumer *consumer);
/** Tell the application from the event task; copies. */
void kc_consumer_tell(kc_consumer *consumer, const kc_error *error);
/** The same about a partition, with the code's flags and one sentence. */
void kc_consumer_tell_part(kc_part *part, kc_err code, const char *fmt, ...) KC_PRINTF(3, 4);
/** on_batch is due. */
void kc_consumer_announce(kc_consumer *consumer);
/** The consumer can't go on: tells, remembers, lets go of all partitions (on_lost, so from dispatch
 * only). */
void kc_consumer_fail(kc_consumer *consumer, const kc_error *error);
/** Say whether there is something to hand out. */
void kc_consumer_update_ready(kc_consumer *consumer);

static inline kb_mem *kc_consumer_mem(kc_consumer *consumer)
{
    return &consumer->client->mem;
}

static inline int64_t kc_consumer_now_us(const kc_consumer *consumer)
{
    return kn_loop_now_us(consumer->client->loop);
}

static inline void kc_consumer_set_timer(kc_consumer *consumer, kn_timer *timer, int64_t due_us)
{
    kc_err err = kn_timer_set(consumer->client->loop, timer, due_us);
    assert(err == KC_OK); /* as net/loop.h says */
    (void)err;
}

/** consumer_explain.c */
void kc_consumer_explain(const kc_handle *handle, kb_explain *out);

/** Make room for `need` items in a growable array. False: out of memory, nothing changed. */
bool kc_array_reserve(kb_mem *mem, void **items, size_t *cap, size_t need, size_t item_size);

#endif
