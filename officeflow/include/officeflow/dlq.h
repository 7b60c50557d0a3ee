/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Dead letters: reading them, redriving them to the group that failed, quarantine, and the handler
 * that does so by itself. A dead letter's identity is a hash of cluster, group, topic, partition
 * and offset. */
#ifndef OFFICEFLOW_DLQ_H
#define OFFICEFLOW_DLQ_H

#include <officeflow/consumer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** States form a lattice ordered by (redrive n, rank): two writers can't undo each other. */
typedef enum of_dead_state {
    OF_DEAD,
    OF_DEAD_SCHEDULED,
    OF_DEAD_REDRIVEN,
    OF_DEAD_RESOLVED,
    OF_DEAD_QUARANTINED,
    OF_DEAD_DISCARDED,
    OF_DEAD_PURGED,
} of_dead_state;
KC_API const char *of_dead_state_name(of_dead_state state);

/** One dead letter, as its record and the state topic tell. Slices valid during the callback. */
typedef struct of_dead_letter {
    char id[17]; /**< 16 hex digits */
    of_dead_state state;
    int32_t redrives;   /**< done so far */
    int64_t next_ms;    /**< of a scheduled redrive; 0: none */
    kc_bytes dlq_topic; /**< where it lies: dlq. or quarantine. topic */
    int32_t dlq_partition;
    int64_t dlq_offset;
    kc_bytes topic, group; /**< origin */
    int32_t partition;
    int64_t offset;
    of_class failure_class;
    kc_bytes code, message, fingerprint, handler, history;
    int32_t attempts;
    int64_t first_ms, last_ms;
    kc_bytes type, organization_id, correlation_id;
    kc_bytes key, value;
    const kc_header *headers; /**< all, as they lie */
    size_t header_count;
    bool is_strict; /**< of a family redriven by an operator only */
} of_dead_letter;

/** Which ones; null and 0: any. */
typedef struct of_dead_filter {
    const char *id, *fingerprint, *topic, *group;
    of_class failure_class;
    int64_t since_ms;
    bool with_resolved; /**< also resolved, discarded, purged */
    bool quarantined_only;
} of_dead_filter;
typedef bool (*of_dead_fn)(const of_dead_letter *letter, void *user); /**< false: enough */

/** Read all DLQ and quarantine topics to their ends and tell each dead letter once, with its newest
 * state (blocking). */
KC_API KC_NODISCARD kc_err of_dlq_list(of_platform *platform, const of_dead_filter *filter,
                                       int32_t timeout_ms, of_dead_fn fn, void *user,
                                       kc_error *err);

typedef struct of_replay_options {
    of_dead_filter filter;
    bool dry_run;
    bool again;     /**< also those redriven and not resolved yet */
    double rate;    /**< records a second; 0: no limit */
    int64_t max;    /**< 0: no limit */
    const char *to; /**< NULL or "group": only the group that failed; "topic": the origin topic;
                       else a topic's name */
    const char *operator_name; /**< for the audit record; NULL: "operator" */
    int32_t timeout_ms;
    of_dead_fn on_each; /**< told for each selected one, before it is sent; NULL: none */
    void *user;
} of_replay_options;
typedef struct of_replay_result {
    int64_t selected, released, refused; /**< refused: already redriven and unresolved */
} of_replay_result;
/** Redrive by hand; writes state and one audit.events record. Nothing selected is no error. */
KC_API KC_NODISCARD kc_err of_dlq_replay(of_platform *platform, const of_replay_options *options,
                                         of_replay_result *result_out, kc_error *err);

/** The automatic handler: group officeflow-dlq-handler on dlq.**, state in officeflow.dlq-state. */
typedef struct of_dlq_handler of_dlq_handler;
typedef struct of_dlq_notice {
    enum of_dlq_notice_kind {
        OF_DLQ_SCHEDULED, /**< its state is being written */
        OF_DLQ_REDRIVEN,  /**< its release is in the log: told before anything that comes of it */
        OF_DLQ_RESOLVED,
        OF_DLQ_QUARANTINED,
        OF_DLQ_LEFT_TO_OPERATOR, /**< strict family */
        OF_DLQ_DUPLICATE,
        OF_DLQ_CANARY, /**< one of a large group goes first */
        OF_DLQ_ERROR,
    } kind;
    const of_dead_letter *letter; /**< NULL for errors */
    const char *reason;
    int64_t due_ms; /**< of OF_DLQ_SCHEDULED: wall clock */
    const kc_error *error;
} of_dlq_notice;
typedef struct of_dlq_options {
    void (*on_notice)(const of_dlq_notice *notice, void *user);
    void *user;
    int32_t canary_above; /**< 10: larger groups of one fingerprint send a canary first */
    double redrive_rate;  /**< 50: most releases a second */
} of_dlq_options;
KC_API void of_dlq_options_init(of_dlq_options *options);
/** The seed's `new DLQHandler(cfg).start()`: works from then on inside dispatch. */
KC_API KC_NODISCARD kc_err of_dlq_open(of_platform *platform, const of_dlq_options *options,
                                       of_dlq_handler **handler_out, kc_error *err);
KC_API KC_NODISCARD kc_err of_dlq_start(of_dlq_handler *handler, kc_error *err);
KC_API void of_dlq_stop(of_dlq_handler *handler, int32_t drain_ms);
KC_API bool of_dlq_is_stopped(const of_dlq_handler *handler);
/** Stop (dispatching up to drain_ms) and free. In a callback it stops only: close it again outside, or
 * the platform. */
KC_API void of_dlq_close(of_dlq_handler *handler, int32_t drain_ms);

typedef struct of_dlq_stats {
    uint64_t seen, duplicates, scheduled, redriven, resolved, quarantined, left_to_operator;
} of_dlq_stats;
KC_API void of_dlq_stats_get(const of_dlq_handler *handler, of_dlq_stats *stats_out);

/* ---- timeline ---- */

/** One hop of a correlation id, found in the topics themselves. */
typedef struct of_hop {
    int64_t wall_ms;
    enum of_hop_kind {
        OF_HOP_SENT,
        OF_HOP_RETRY,
        OF_HOP_REDRIVE,
        OF_HOP_DEAD,
        OF_HOP_QUARANTINE,
        OF_HOP_STATE
    } kind;
    kc_bytes topic; /**< where it was found  */
    int32_t partition;
    int64_t offset;
    kc_bytes type, id, causation_id, source, group, code, message;
    int32_t attempts;    /**< -1: not told        */
    int32_t redrive;     /**< 0: none             */
    kc_bytes history;    /**< JSON of a dead letter's tries; null: none */
    of_dead_state state; /**< of OF_HOP_STATE     */
} of_hop;
typedef void (*of_hop_fn)(const of_hop *hop, void *user);
/** Scan the platform's topics from the id's time (UUIDv7) or `since_ms` on, tell hops in time order
 * (blocking). */
KC_API KC_NODISCARD kc_err of_trace_scan(of_platform *platform, const char *correlation_id,
                                         int64_t since_ms, int32_t timeout_ms, of_hop_fn fn,
                                         void *user, kc_error *err);

#ifdef __cplusplus
}
#endif
#endif
