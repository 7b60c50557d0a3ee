/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The consumer: fetched record batches handed out as views, by assignment or as a member of a group. */
#ifndef KAFKAC_CONSUMER_H
#define KAFKAC_CONSUMER_H

#include <kafkac/client.h>
#include <kafkac/record.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Thread: the client's. */
typedef struct kc_consumer kc_consumer;
/** Records of one partition, in order. Pins the memory they lie in until kc_batch_free(), which may come after the
 *  consumer and even the client were freed; what is held counts against the consumer's credit. */
typedef struct kc_batch kc_batch;

/** Special offsets for kc_consumer_seek() and kc_consumer_assign(). */
enum {
    KC_OFFSET_END = -1,       /**< behind the last record                      */
    KC_OFFSET_BEGINNING = -2, /**< first record in the log                     */
    KC_OFFSET_STORED = -1000, /**< the group's committed one, else auto.offset.reset */
};

/** A partition with an offset: to assign, commit, seek, or as an answer. */
typedef struct kc_topic_offset {
    kc_bytes topic;
    int32_t partition;
    int64_t offset;       /**< -1 in an answer: none                    */
    int32_t leader_epoch; /**< -1: not known                            */
    kc_bytes metadata;    /**< of a commit; null: none                  */
    kc_err err;           /**< of this partition, in answers            */
} kc_topic_offset;

/**
 * Open a consumer. Properties: those of scope consumer in docs/configuration.md. With group.id it may subscribe and
 * commit; without, only assign.
 *
 * @param config  NULL: the client's. @retval KC_OK, KC_ERR_CONFIG, KC_ERR_NOMEM, KC_ERR_STATE.
 */
KC_API KC_NODISCARD kc_err kc_consumer_open(kc_client *client, const kc_config *config,
                                            kc_consumer **consumer_out, kc_error *err);

/**
 * Leave: on_revoked, with enable.auto.commit a commit of what was handed out, then leave the group (not as a static
 * member), dispatching up to `timeout_ms` (-1: no limit), and free in any case. Batches still held stay valid. `timeout_ms` 0: free at once (the group
 * notices after session.timeout.ms). NULL is allowed.
 * @retval KC_OK, KC_ERR_TIMEOUT (freed nevertheless), KC_ERR_STATE (called from a callback: not freed).
 */
KC_API kc_err kc_consumer_close(kc_consumer *consumer, int timeout_ms);

/** Told about the group from dispatch. Every member may be NULL. */
typedef struct kc_consumer_events {
    /** New partitions, before anything is fetched from them: seek here to start elsewhere. */
    void (*on_assigned)(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                        void *user);
    /** Partitions about to go to others: kc_consumer_commit() called here is sent, and its answer awaited, before the
     *  group goes on. Batches of these partitions handed out before can't be committed afterwards. */
    void (*on_revoked)(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                       void *user);
    /** Partitions others may own by now: no commit is possible. */
    void (*on_lost)(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                    void *user);
    /** Something the application should know: a fatal error, authorization, a corrupt batch that is tried again, offset
     *  out of range with auto.offset.reset=none. Retriable faults are not told. */
    void (*on_error)(kc_consumer *consumer, const kc_error *error, void *user);
    /** More came (or a partition with something buffered was resumed): take it by kc_consumer_next() until that
     *  says KC_ERR_AGAIN, since this is told once. */
    void (*on_batch)(kc_consumer *consumer, void *user);
    void *user;
} kc_consumer_events;
KC_API void kc_consumer_set_events(kc_consumer *consumer, const kc_consumer_events *events);

/* ---- what to read ---- */

/**
 * Join the group and read these topics; replaces what was subscribed or assigned before.
 *
 * Heartbeats are sent by dispatch (and so by kc_consumer_poll()) only: without one for session.timeout.ms the group
 * takes the partitions away, and the next dispatch says so (on_lost). Rebalances are eager: everything is given back
 * (on_revoked) before it is shared out anew (on_assigned). A member that has batches to take and takes none for
 * max.poll.interval.ms leaves (on_lost, on_error) and joins again when kc_consumer_next() is called.
 *
 * @param topics  Literal names.
 * @retval KC_OK, KC_ERR_STATE (no group.id, closing), KC_ERR_ARGUMENT (illegal name, none), KC_ERR_NOMEM.
 */
KC_API KC_NODISCARD kc_err kc_consumer_subscribe(kc_consumer *consumer, const kc_bytes *topics,
                                                 size_t count, kc_error *err);
/** The same by choice: `match` is asked for every topic of the cluster, at each metadata refresh
 *  (metadata.max.age.ms). Internal topics are left out. */
typedef bool (*kc_topic_match_fn)(kc_bytes topic, void *user);
KC_API KC_NODISCARD kc_err kc_consumer_subscribe_match(kc_consumer *consumer,
                                                       kc_topic_match_fn match, void *user,
                                                       kc_error *err);
/** The same by POSIX extended regular expression, anchored at both ends. KC_ERR_ARGUMENT: not valid. */
KC_API KC_NODISCARD kc_err kc_consumer_subscribe_pattern(kc_consumer *consumer, const char *pattern,
                                                         kc_error *err);
/** Look for new topics and partitions now, not at the next refresh. */
KC_API void kc_consumer_refresh_topics(kc_consumer *consumer);
/** Leave the group; nothing is read any more. */
KC_API void kc_consumer_unsubscribe(kc_consumer *consumer);
/** Read these partitions without a group's say. Offsets: a number or KC_OFFSET_... Replaces what was there. */
KC_API KC_NODISCARD kc_err kc_consumer_assign(kc_consumer *consumer,
                                              const kc_topic_offset *partitions, size_t count,
                                              kc_error *err);
/** Partitions read now: returns how many, writes at most `cap`; slices valid until the next dispatch. */
KC_API size_t kc_consumer_assignment(const kc_consumer *consumer, kc_topic_partition *partitions,
                                     size_t cap);

/* ---- reading ---- */

/**
 * Take the next batch, if one is there; never waits.
 *
 * @retval KC_OK, KC_ERR_AGAIN (none now), KC_ERR_STATE (neither subscribed nor assigned), KC_ERR_NOMEM (nothing is
 *         lost: free batches, then ask again), or the fatal error of the consumer (authorization of the group,
 *         fenced static member).
 */
KC_API KC_NODISCARD kc_err kc_consumer_next(kc_consumer *consumer, kc_batch **batch_out);
/** The same, dispatching up to `timeout_ms` (-1: no limit) until one is there; KC_ERR_AGAIN when none came. */
KC_API KC_NODISCARD kc_err kc_consumer_poll(kc_consumer *consumer, int timeout_ms,
                                            kc_batch **batch_out, kc_error *err);

KC_API kc_bytes kc_batch_topic(const kc_batch *batch);
KC_API int32_t kc_batch_partition(const kc_batch *batch);
/** Offset behind its last record: what a commit of the whole batch says. */
KC_API int64_t kc_batch_next_offset(const kc_batch *batch);
/** High watermark known when it was fetched. */
KC_API int64_t kc_batch_high_watermark(const kc_batch *batch);
/** False once a rebalance or seek took its partition away: what was read from it can't be committed. */
KC_API bool kc_batch_is_current(const kc_batch *batch);
/** Next record; false at the end. Hot path: no allocation, no clock, no lock. */
KC_API bool kc_batch_read(kc_batch *batch, kc_view *view_out);
/** NULL is allowed. */
KC_API void kc_batch_free(kc_batch *batch);
/* ---- position ---- */

/** Stop and go on handing out and fetching; positions stay. Unknown partitions are left out. */
KC_API void kc_consumer_pause(kc_consumer *consumer, const kc_topic_partition *partitions,
                              size_t count);
KC_API void kc_consumer_resume(kc_consumer *consumer, const kc_topic_partition *partitions,
                               size_t count);
/** Read on from `offset` (or KC_OFFSET_...); what was fetched before is dropped. @retval KC_OK, KC_ERR_NOT_FOUND (not
 *  assigned), KC_ERR_ARGUMENT. */
KC_API KC_NODISCARD kc_err kc_consumer_seek(kc_consumer *consumer, kc_bytes topic,
                                            int32_t partition, int64_t offset);
/** Next offset to be handed out; -1: not known yet. KC_ERR_NOT_FOUND: not assigned. */
KC_API KC_NODISCARD kc_err kc_consumer_position(const kc_consumer *consumer, kc_bytes topic,
                                                int32_t partition, int64_t *offset_out);
/** Last known ends of the log; -1: not known yet. KC_ERR_NOT_FOUND. */
KC_API KC_NODISCARD kc_err kc_consumer_watermarks(const kc_consumer *consumer, kc_bytes topic,
                                                  int32_t partition, int64_t *low_out,
                                                  int64_t *high_out, int64_t *last_stable_out);

/* ---- commits ---- */

/** Answer to a commit; `offsets` with their errors are valid during the callback. */
typedef void (*kc_commit_fn)(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                             size_t count, void *user);
/**
 * Commit offsets (the next one to read).
 *
 * @param offsets  NULL with count 0: the positions of all partitions, behind what was handed out. leader_epoch below 1
 *                 is taken as left out, and completed where the offset is the position.
 * @param fn       May be NULL. Called exactly once from dispatch if KC_OK was returned.
 * @retval KC_OK, KC_ERR_STATE (no group.id), KC_ERR_ARGUMENT, KC_ERR_NOMEM.
 * Through fn: ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS (the partitions went to others),
 * KC_ERR_TIMEOUT and others. A member of a group can commit only what it owns: the other offsets are refused with one
 * of these, each by itself in its kc_topic_offset.err. Spec: OffsetCommit (key 8).
 */
KC_API KC_NODISCARD kc_err kc_consumer_commit(kc_consumer *consumer, const kc_topic_offset *offsets,
                                              size_t count, kc_commit_fn fn, void *user,
                                              kc_error *err);
/** The same, dispatching until the answer. */
KC_API KC_NODISCARD kc_err kc_consumer_commit_sync(kc_consumer *consumer,
                                                   const kc_topic_offset *offsets, size_t count,
                                                   int timeout_ms, kc_error *err);
/** Committed offsets of these partitions (-1: none). */
KC_API KC_NODISCARD kc_err kc_consumer_committed(kc_consumer *consumer,
                                                 const kc_topic_partition *partitions, size_t count,
                                                 kc_commit_fn fn, void *user, kc_error *err);

/** Group facts now: "none", "unjoined", "joining", "stable", ... and -1 / empty where there is no group. */
typedef struct kc_group_info {
    const char *state;
    int32_t generation;
    kc_bytes member_id; /**< valid until the next dispatch */
    int32_t coordinator;
} kc_group_info;
KC_API void kc_consumer_group_info(const kc_consumer *consumer, kc_group_info *info_out);

typedef struct kc_consumer_stats {
    uint64_t records, batches, bytes; /**< handed out since open; bytes as fetched */
    uint64_t fetches, rebalances, commits;
    size_t buffered_bytes; /**< fetched, not yet handed out or still held */
} kc_consumer_stats;
KC_API void kc_consumer_stats_get(const kc_consumer *consumer, kc_consumer_stats *stats_out);

#ifdef __cplusplus
}
#endif
#endif
