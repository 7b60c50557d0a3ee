/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the tests of the consumer share: logs and a group on the scripted cluster, and what the
 * application was told. */
#ifndef CONSUMER_WORLD_H
#define CONSUMER_WORLD_H

#include "client/consumer_core.h"
#include "protocol/batch.h"
#include "tests/unit/client/fake_broker.h"

#include <check.h>

#define WORLD_LOGS      16
#define WORLD_BATCHES   256
#define WORLD_ABORTED   8
#define WORLD_EVENTS    64
#define WORLD_MEMBERS   8
#define WORLD_COMMITTED 16

/** One partition's log. */
typedef struct world_log {
    char topic[64];
    int32_t partition;
    int64_t start, end;   /**< offsets */
    int64_t last_stable;  /**< -1: the end */
    int32_t leader_epoch; /**< of what is appended next */
    kb_buf bytes;
    struct {
        size_t at, len;
        int64_t base, next;
    } batches[WORLD_BATCHES];
    int batch_count;
    kp_fetch_resp_aborted_transaction aborted[WORLD_ABORTED];
    int aborted_count;
    int16_t fetch_error; /**< answered to each Fetch while set */
    int16_t list_error;
    int32_t hint_leader, hint_epoch; /**< with fetch_error (KIP-951); leader 0: none */
    int32_t preferred_replica;       /**< -1: none */
    size_t cut_bytes;                /**< off the end of what is answered, once */
    int32_t epoch_answer;            /**< OffsetForLeaderEpoch */
    int64_t epoch_end_offset;
    int16_t epoch_error;
} world_log;

typedef struct world_event {
    char kind; /**< 'A'ssigned, 'R'evoked, 'L'ost, 'E'rror, 'B'atch, 'C'ommitted */
    size_t count;
    kc_err code;
    char text[256];
} world_event;

/** Another member of the group. */
typedef struct world_member {
    char id[32];
    uint8_t metadata[256];
    size_t metadata_len;
} world_member;

typedef struct world {
    fake_cluster *cluster;
    kc_client *client;
    kc_consumer *consumer;
    world_log logs[WORLD_LOGS];
    int log_count;
    /* fetch */
    bool holds_fetch; /**< the next Fetch is kept in `held` */
    fake_request *held;
    int32_t last_wait_ms, last_max_bytes, last_epoch;
    int64_t last_offset;
    size_t budget;           /**< bytes the answer may still take */
    int32_t last_partitions; /**< asked for in the last Fetch */
    int32_t fetch_throttle_ms;
    bool answers_twice; /**< each partition stands twice in the answer */
    /* group */
    world_member others[WORLD_MEMBERS];
    int other_count;
    bool is_follower; /**< another leads; `assignment` is what SyncGroup gives */
    uint8_t assignment[256];
    size_t assignment_len;
    int32_t generation;
    int joins;
    char member_id[32];
    char joined_with[32];
    int16_t join_error, sync_error, heartbeat_error, commit_error, stored_error,
        leave_error; /**< while set */
    int join_errors, sync_errors, commit_errors, stored_errors,
        heartbeat_errors; /**< how often; 0: always */
    bool holds_join, holds_commit, skips_member_id;
    fake_request *held_join, *held_commit;
    int leaves, syncs_with_assignment;
    char subscription[256]; /**< topics of the last JoinGroup, with commas */
    char reason[64];
    struct {
        char topic[64];
        int32_t partition;
        int64_t offset;
        int32_t epoch;
    } committed[WORLD_COMMITTED];
    int committed_count;
    int32_t commit_generation;
    int stored_lookups;
    bool stored_requires_stable;
    /* told */
    world_event events[WORLD_EVENTS];
    int event_count;
    void (*on_event)(struct world *w, char kind);
} world;

/** `brokers`, and topic "t" of `partitions`; `settings` name, value, ..., NULL. auto.offset.reset
 * is earliest. */
void world_start(world *w, int brokers, int partitions, const char *const *settings);
/** Closes at once, frees all, checks that nothing leaked. */
void world_stop(world *w);
void world_reopen(world *w, const char *const *settings);

world_log *world_log_of(world *w, const char *topic, int32_t partition);
/** Append a batch of `count` records "v<offset>"; attributes besides the codec; returns its base
 * offset. */
int64_t world_append(world_log *log, int count, kp_codec codec);
/** The same of a producer; `attributes` KP_ATTR_... */
int64_t world_append_from(world_log *log, int count, int64_t producer_id, int16_t attributes);
/** An abort (0) or commit (1) marker. */
int64_t world_append_marker(world_log *log, int64_t producer_id, int16_t type);
/** A batch whose records compaction took, spanning `span` offsets. */
int64_t world_append_empty(world_log *log, int32_t span);
/** Bytes of any kind that take the log from `base` to `next`. */
void world_append_raw(world_log *log, kc_bytes bytes, int64_t next);
uint8_t *world_batch(world_log *log, int index);
void world_reseal(world_log *log, int index);

/** Assign "t"-0 .. by hand from `offset`. */
void world_assign(world *w, int partitions, int64_t offset);
void world_subscribe(world *w, const char *topic);
/** Let `ms` pass, callbacks as from dispatch. */
void world_run(world *w, int64_t ms);
/** Read what is there: number of records; checks that values are "v<offset>". */
int world_read(world *w);
/** Read until `count` records came, at most `ms`; their number. */
int world_read_until(world *w, int count, int64_t ms);
/** Next batch or NULL. */
kc_batch *world_next(world *w);
int64_t world_position(world *w, int32_t partition);
int world_events(const world *w, char kind);
const world_event *world_last(const world *w, char kind);
const char *world_state(const world *w);
/** Until the group is stable. */
void world_stable(world *w);
void world_on_commit(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                     size_t count, void *user);
int64_t world_committed(const world *w, const char *topic, int32_t partition);
void world_add_member(world *w, const char *id, kc_bytes metadata);
/** Answer the group's requests (consumer_world_group.c); world_start() does it. */
void world_group_serve(world *w);
/** ConsumerProtocolSubscription of one topic. */
void world_add_member_for(world *w, const char *id, const char *topic);

#endif
