/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One partition a consumer reads: where it stands, what is buffered, what it waits for. */
#ifndef KC_CONSUMER_PART_H
#define KC_CONSUMER_PART_H

#include "client/consumer_core.h"

typedef struct kc_leader kc_leader;

typedef enum kc_part_state {
    KC_PART_STORED,   /**< wants the group's committed offset                        */
    KC_PART_RESET,    /**< wants the offset at `reset_timestamp`                      */
    KC_PART_VALIDATE, /**< new leader: wants the end of its position's epoch (KIP-320) */
    KC_PART_FETCH,    /**< has a position                                            */
    KC_PART_STOPPED,  /**< no position, and nobody to ask: waits for a seek          */
} kc_part_state;

/** Stays, by reference, while a batch or a request names it; `consumer` is NULL once it is no
 * longer read. */
struct kc_part {
    kb_list node;  /**< kc_consumer.parts                        */
    kb_list ready; /**< kc_consumer.ready                        */
    kb_list want;  /**< what the planner is about to ask a leader */
    kc_consumer *consumer;
    kb_mem *mem;
    uint32_t refs;
    int32_t partition;
    kc_part_topic *topic;
    kc_leader *leader; /**< last asked; a cache */
    kc_part_state state;
    uint32_t version; /**< batches of an older one are no longer current (seek, reset, drop)     */
    uint32_t fetch_version; /**< answers to an older one are dropped; grows with `version` too (trap
                               31) */
    bool is_busy;           /**< in a request of this fetch_version */
    bool is_paused;
    bool is_revoked;  /**< being given back: hands out nothing */
    bool is_told;     /**< its present trouble was told to the application */
    int64_t position; /**< next to hand out; -1: not known */
    int64_t fetch_offset;
    int64_t reset_timestamp;
    int64_t
        committed; /**< last sent to the group, so that automatic commits skip what stands still */
    int32_t position_epoch; /**< leader epoch of the record before `position`; -1: not known */
    int32_t leader_epoch;   /**< the position is good for this epoch; -1: not checked yet */
    uint32_t incarnation;   /**< of the topic */
    int64_t low, high, last_stable;
    int32_t replica; /**< preferred read replica (KIP-392); -1: the leader */
    int64_t replica_until_us;
    int32_t bytes_max; /**< of one Fetch */
    kb_list fetched;   /**< kc_fetched, oldest first */
    size_t buffered_bytes;
    int64_t retry_at_us;
    uint32_t attempts;
    size_t key_len;
    uint8_t key[]; /**< the partition's four bytes, then the topic's name */
};

/** Aborted transactions of one producer, from an offset on (KIP-98). */
typedef struct kc_aborted {
    int64_t first_offset;
    int64_t producer_id;
} kc_aborted;

/** What one response brought for one partition. */
typedef struct kc_fetched {
    kb_list node;
    kc_source *source;
    kc_bytes rest; /**< whole batches not handed out yet */
    int64_t high;
    int32_t aborted_count; /**< sorted by first_offset */
    int32_t aborted_next;  /**< the ones before were activated */
    int32_t active_count;
    int64_t *active; /**< producers whose records are skipped until their abort marker */
    kc_aborted aborted[];
} kc_fetched;

static inline kc_bytes kc_part_name(const kc_part *part)
{
    return kc_span(part->key + sizeof(int32_t), part->key_len - sizeof(int32_t));
}

/** NULL: not assigned. */
kc_part *kc_part_find(const kc_consumer *consumer, kc_bytes topic, int32_t partition);
/** Assign it; starts as KC_PART_STOPPED. KC_ERR_ARGUMENT: a name or number that can't be, or
 * assigned already. */
KC_NODISCARD kc_err kc_part_add(kc_consumer *consumer, kc_bytes topic, int32_t partition,
                                kc_part **part_out);
/** No longer assigned. Batches handed out stay readable. */
void kc_part_drop(kc_part *part);
void kc_part_drop_all(kc_consumer *consumer);
/** All of them, to tell about: they stay readable until it is freed. Can't fail. */
kc_part_list kc_part_list_take(kc_consumer *consumer);
/** Its memory goes back, for the next time. */
void kc_part_list_return(kc_consumer *consumer, kc_part_list *list);
static inline kc_part *kc_part_ref(kc_part *part)
{
    part->refs++;
    return part;
}
void kc_part_unref(kc_part *part);

/** Forget what is buffered or under way; fetch on from the position. */
void kc_part_clear(kc_part *part);
void kc_part_free_fetched(kc_part *part, kc_fetched *fetched);
/** Read on from there; what was handed out is no longer current. */
void kc_part_seek(kc_part *part, int64_t offset, int32_t epoch);
/** Read on from the offset at that timestamp (KC_OFFSET_END, KC_OFFSET_BEGINNING). */
void kc_part_reset(kc_part *part, int64_t timestamp);
/** As auto.offset.reset says; with `none` it stops, and the application is told `why`. */
void kc_part_reset_by_policy(kc_part *part, kc_err code, const char *why);
/** A number or KC_OFFSET_... */
void kc_part_start(kc_part *part, int64_t offset);

/** Does this answer still belong to it? */
static inline bool kc_part_is_current(const kc_part *part, uint32_t fetch_version)
{
    return part->consumer && part->fetch_version == fetch_version;
}
/** Failed: ask again after a back-off. Tells the application what it should know, once. */
void kc_part_failed(kc_part *part, kc_err code);
void kc_part_succeeded(kc_part *part);
/** Back-off only. */
void kc_part_retry_later(kc_part *part);

/** Leader as the metadata has it; -1: none. */
int32_t kc_part_meta_leader(const kc_part *part, int32_t *epoch_out);
/** Set whether it stands among those with something to hand out. */
void kc_part_update_ready(kc_part *part);
/** Copy a small remainder out of a large chunk, so that a partition at rest does not hold a whole
 * fetch. */
void kc_part_compact(kc_part *part);

#endif
