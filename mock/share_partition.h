/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Delivery of one partition's records to the members of one share group (KIP-932).
 *
 *     available -> acquired by a member -> acknowledged
 *                                       -> archived  (rejected; a gap; released or timed out at the delivery limit)
 *                                       -> available (released, lock timed out, session over)
 *
 * The window [start_offset, next_offset) is in flight; below it everything is done, behind it everything is new. The
 * partition's leader has the state in memory. What it has written (all but what is acquired) a new leader finds again:
 * one object stands for both, and km_share_unload() leaves only what was written. */
#ifndef KM_SHARE_PARTITION_H
#define KM_SHARE_PARTITION_H

#include "mock/cluster.h"
#include "mock/share_flight.h"

#include <kafkac/unstable/messages.h>

/** Acknowledgements on the wire. */
enum {
    KM_SHARE_ACK_GAP = 0, /**< there is no record at this offset */
    KM_SHARE_ACK_ACCEPT = 1,
    KM_SHARE_ACK_RELEASE = 2,
    KM_SHARE_ACK_REJECT = 3,
    KM_SHARE_ACK_RENEW = 4,
};

typedef struct km_share_partition {
    km_cluster *cluster;
    kc_bytes group_id; /**< of the group, which outlives it                                  */
    kc_uuid topic_id;
    int32_t index;
    /* in the leader's memory */
    bool is_loaded;
    int32_t leader;
    int32_t leader_epoch;
    int64_t start_offset;
    int64_t next_offset;
    km_share_flights flights;
    kn_timer locks;  /**< when the first lock times out                                      */
    kb_list waiters; /**< km_waiter: held fetches that want to hear of available records     */
    kn_timer wake;   /**< they hear of it in the next turn, when nobody is at work here      */
    /* as written */
    int64_t stored_start; /**< -1: nothing was written yet                                   */
    int32_t stored_epoch; /**< of the leader that wrote last                                 */
    int32_t stored_done;  /**< how many of the window were acknowledged or archived then     */
} km_share_partition;

/** Limits of a group: its configs, or a broker's defaults. */
int32_t km_share_lock_ms(const km_cluster *cluster, kc_bytes group_id);
int32_t km_share_delivery_limit(const km_cluster *cluster, kc_bytes group_id);
int32_t km_share_lock_limit(const km_cluster *cluster, kc_bytes group_id);

/** NULL: no memory. */
km_share_partition *km_share_partition_new(km_cluster *cluster, kc_bytes group_id, kc_uuid topic_id,
                                           int32_t index);
/** Its waiters are told in the end. */
void km_share_partition_free(km_share_partition *shared);

/** Is it in the memory of `partition`'s leader of now? */
bool km_share_is_loaded(const km_share_partition *shared, const km_partition *partition);
/** Take it into the leader's memory; where nothing was written the group's share.auto.offset.reset says where it begins. */
void km_share_load(km_share_partition *shared, const km_partition *partition);
/** The leader forgets it: what was acquired and not written is available as if it had never been. */
void km_share_unload(km_share_partition *shared);
/** An administrator's word: begin at `start_offset`; -1: as if nothing was ever written. */
void km_share_reset(km_share_partition *shared, int64_t start_offset);
/** The log begins later than this. */
void km_share_log_moved(km_share_partition *shared, int64_t log_start);

/** Where the next fetch is to read. */
int64_t km_share_fetch_offset(const km_share_partition *shared);
/** Is something available, or room for new records? */
bool km_share_can_acquire(const km_share_partition *shared);

/** What a fetch read, and how much of it it wants. */
typedef struct km_share_take {
    kc_bytes member_id;
    bool
        is_record_limit; /**< never more than max_records, KIP-1206; else whole batches may go over it */
    int32_t
        batch_size; /**< cut what is acquired behind so many, at a batch's border                 */
    int32_t max_records;
    int64_t fetch_offset;
    const km_entry *entries; /**< batches of the log, the first one holds fetch_offset */
    size_t entry_count;
} km_share_take;

/** What was acquired; items are the arena's. */
typedef struct km_share_ranges {
    struct kb_arena *arena;
    kp_share_fetch_resp_acquired_record *items;
    int32_t count;
    int32_t cap;
} km_share_ranges;

/** Acquire for a member. Without memory less is acquired. Count of records. */
int32_t km_share_acquire(km_share_partition *shared, const km_share_take *take,
                         km_share_ranges *out);
/** Records of aborted transactions in [first, last] are archived, and taken out of what was acquired. */
void km_share_acquired_aborted(km_share_partition *shared, int64_t first, int64_t last,
                               km_share_ranges *ranges);

/** One range of acknowledgements, with a type for each record or one for all. */
typedef struct km_share_ack {
    int64_t first;
    int64_t last;
    const int8_t *types;
    int32_t type_count;
} km_share_ack;

/** All or nothing. 0, INVALID_RECORD_STATE, INVALID_REQUEST, UNKNOWN_SERVER_ERROR (no memory); `message_out` says
 * why. The acks are in order, their types known. */
int16_t km_share_acknowledge(km_share_partition *shared, kc_bytes member_id,
                             const km_share_ack *acks, size_t count, const char **message_out);
/** A member's session is over: what it holds is available again. */
void km_share_release(km_share_partition *shared, kc_bytes member_id);

/* ---- between share_partition.c, share_acquire.c, share_ack.c ---- */

/** A unit leaves the acquired state, available or archived by its delivery count. */
void km_share_give_back(km_share_partition *shared, km_share_unit *unit);
/** The member gets it, with a lock. */
void km_share_lock(km_share_partition *shared, km_share_unit *unit, km_share_owner *owner);
/** It is done. */
void km_share_finish(km_share_partition *shared, km_share_unit *unit, km_share_state state);
/** Units changed and count as written: write the window, move its start, tell who waits. */
void km_share_written(km_share_partition *shared);
/** Set the timer to the first lock. */
void km_share_locks_changed(km_share_partition *shared);

#endif
