/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * OffsetCommit and OffsetFetch as operations: coordinator, retries, deadline, one answer. */
#ifndef KC_CONSUMER_OFFSET_OP_H
#define KC_CONSUMER_OFFSET_OP_H

#include "client/consumer_core.h"

typedef enum kc_offset_op_kind {
    KC_OFFSET_OP_COMMIT,
    KC_OFFSET_OP_FETCH,
} kc_offset_op_kind;

/** One operation. Frees itself after its answer. */
struct kc_offset_op {
    kb_list node;
    kc_consumer *consumer;
    kc_offset_op_kind kind;
    kb_arena arena;         /**< items with their names */
    kb_arena round;         /**< one request and its answer */
    kc_topic_offset *items; /**< sorted; `err` and, for a look-up, `offset` are the answer */
    size_t count;
    size_t asked_count; /**< those behind are refused here, with `err` set */
    uint32_t *versions; /**< of the partitions, for the consumer's own look-up; NULL: none */
    kn_request request;
    union {
        kp_offset_commit_req commit;
        kp_offset_fetch_req fetch;
    } msg;
    kp_offset_fetch_req_group group; /**< in msg.fetch from version 8 on */
    int32_t generation;              /**< of the member that commits; -1: none */
    kc_bytes member_id;              /**< in the arena */
    int64_t deadline_us;             /**< INT64_MAX: none */
    uint32_t attempts;
    bool was_version_refused;
    bool is_active;
    bool is_waiting; /**< a commit behind another one */
    kc_coordinator_wait wait;
    kn_timer timer;
    kc_error error;  /**< last failure */
    kc_commit_fn fn; /**< may be NULL */
    void *user;
};

/** Items are copied, grouped by topic; those with `err` set are refused. Nothing is sent before
 * kc_offset_op_start(). */
KC_NODISCARD kc_err kc_offset_op_new(kc_consumer *consumer, kc_offset_op_kind kind,
                                     const kc_topic_offset *items, size_t count,
                                     kc_offset_op **op_out);
/** `timeout_ms` -1: no deadline. */
void kc_offset_op_start(kc_offset_op *op, int64_t timeout_ms, kc_commit_fn fn, void *user);
/** Answer now: with this error, or with what the items say where it is NULL. Frees. */
void kc_offset_op_end(kc_offset_op *op, const kc_error *error);
/** Free without an answer. */
void kc_offset_op_cancel(kc_offset_op *op);
/** Answer all, or all commits only, with this code. */
void kc_offset_op_end_all(kc_consumer *consumer, kc_err code, bool commits_only);

/** Order of the items that are asked for. */
int kc_offset_item_compare(const kc_topic_offset *item, kc_bytes topic, int32_t partition);
/** Build the request around the items: msg, and the request's version bounds. */
KC_NODISCARD kc_err kc_offset_op_build(kc_offset_op *op, const kp_versions *versions);
/** Put the answers into the items. KC_OK: `error` codes stand in the items; else the error of the
 * whole. */
KC_NODISCARD kc_err kc_offset_op_read(kc_offset_op *op, const kn_reply *reply, kc_error *error);

/** The positions of all partitions that have one; `changed_only`: and were not committed yet.
 * *op_out NULL: none. */
KC_NODISCARD kc_err kc_commit_positions(kc_consumer *consumer, bool changed_only,
                                        kc_offset_op **op_out);
/** Automatic commit now, where enable.auto.commit says so. */
void kc_commit_auto(kc_consumer *consumer);
/** A position changed: the next automatic commit has something to do. */
void kc_commit_note(kc_consumer *consumer);
void kc_commit_on_timer(kn_timer *timer);

#endif
