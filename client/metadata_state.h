/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of the metadata: asking (metadata.c) and taking the answer in (metadata_update.c). */
#ifndef KC_METADATA_STATE_H
#define KC_METADATA_STATE_H

#include "client/any_ask.h"
#include "client/metadata.h"
#include "protocol/base/map.h"

#include <kafkac/unstable/messages.h>

/** A topic in use with what only the metadata needs of it. */
typedef struct kc_meta_entry {
    kc_meta_topic topic;
    bool may_create;
    bool is_asked;    /**< is in the request under way     */
    bool is_answered; /**< was in the answer just taken in */
    uint8_t name[];
} kc_meta_entry;

/** A name of the last full answer. */
typedef struct kc_meta_name {
    kc_bytes name;
    bool is_internal;
    int32_t partition_count;
} kc_meta_name;

struct kc_metadata {
    kc_client *client;
    kb_list topics;
    kb_map by_name;
    kb_map by_id; /**< by the id in the topic; changed by set_id() only */
    kb_list listeners;
    uint32_t all_uses;
    kb_arena names_arena;
    kc_meta_name *names;
    size_t name_count;
    int32_t controller;
    char *cluster_id; /**< NULL: not known */

    kn_request request;
    kc_any_ask any_ask;
    kb_arena ask_arena; /**< what the request points to */
    kp_metadata_req ask;
    bool is_creating; /**< the request under way may make topics, and leaves out those it must not
                         make */
    bool is_second_half; /**< the request under way asks for those left out */
    bool ask_again;      /**< refresh() was called since it began           */

    kn_timer timer;
    int64_t due_us;   /**< of the next request; INT64_MAX: none            */
    int64_t floor_us; /**< not before that, unless a topic is new          */
    int64_t started_us;
    uint32_t failures;  /**< requests that failed, in a row                */
    int64_t failing_us; /**< since when they fail                          */
    int64_t failed_us;  /**< the last time one did                         */
    uint32_t unsettled; /**< answers in a row with a topic not settled     */
    uint64_t version;
    kc_error error;
    kn_task hint_task; /**< tells the listeners of a hint, from a turn     */
};

static inline kc_meta_entry *kc_meta_entry_of(kc_meta_topic *topic)
{
    return KB_CONTAINER(topic, kc_meta_entry, topic);
}

/** Take an answer in. On failure what was taken in so far stays, and is right. */
KC_NODISCARD kc_err kc_metadata_update(kc_metadata *metadata, const kp_metadata_resp *answer,
                                       kc_error *err);
/** Is there a topic in use that should be asked for again soon? */
bool kc_metadata_is_unsettled(const kc_metadata *metadata);
bool kc_meta_topic_is_settled(const kc_metadata *metadata, const kc_meta_topic *topic);

#endif
