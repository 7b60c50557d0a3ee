/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Asking leaders: one Fetch, one ListOffsets and one OffsetForLeaderEpoch under way per broker and
 * consumer. */
#ifndef KC_CONSUMER_FETCH_H
#define KC_CONSUMER_FETCH_H

#include "client/consumer_part.h"
#include "net/request.h"

#include <kafkac/unstable/messages.h>

/** A partition in a request, as it was when it was asked. */
typedef struct kc_asked {
    kc_part *part; /**< a reference */
    uint32_t fetch_version;
    int64_t offset;
    bool is_answered;
} kc_asked;

/** Partitions of one request, grouped by topic: topic t has [first, first + count). */
typedef struct kc_asked_topic {
    kc_uuid id; /**< zero: not known */
    int32_t first, count;
} kc_asked_topic;

typedef struct kc_asked_set {
    kc_asked *items;
    size_t cap;
    int32_t count;
    kc_asked_topic *topics;
    size_t topic_cap;
    int32_t topic_count;
    int32_t topic_hint, hint; /**< of the last one found: answers mostly keep the order */
} kc_asked_set;

/** Group the partitions on `want` (emptied) by topic and refer to them. False: out of memory,
 * nothing is asked before a back-off. */
bool kc_asked_build(kc_consumer *consumer, kb_list *want, kc_asked_set *set);
/** Those that are not answered are asked about again, later; drops the references. */
void kc_asked_retry(kc_asked_set *set);
/** The partition that an answer is about, once; NULL: not asked, or answered before. `topic_id`
 * NULL: by name. */
kc_asked *kc_asked_find(kc_asked_set *set, kc_bytes topic, const kc_uuid *topic_id,
                        int32_t partition);
/** Drop the references; partitions that are still current are no longer busy. */
void kc_asked_release(kc_asked_set *set);
void kc_asked_free(kb_mem *mem, kc_asked_set *set);

/** A Fetch. Place for sessions (KIP-227): session_id and epoch would stand here, by broker as it
 * must be. */
typedef struct kc_fetch {
    kn_request request;
    kp_fetch_req msg;
    kp_fetch_req_topic *topics;
    size_t topic_cap;
    kp_fetch_req_partition *partitions;
    size_t partition_cap;
    kc_asked_set asked;
    size_t reserved_bytes;
} kc_fetch;

/** ListOffsets. */
typedef struct kc_list_offsets {
    kn_request request;
    kp_list_offsets_req msg;
    kp_list_offsets_req_topic *topics;
    size_t topic_cap;
    kp_list_offsets_req_partition *partitions;
    size_t partition_cap;
    kc_asked_set asked;
} kc_list_offsets;

/** OffsetForLeaderEpoch. */
typedef struct kc_epoch_check {
    kn_request request;
    kp_offset_for_leader_epoch_req msg;
    kp_offset_for_leader_epoch_req_topic *topics;
    size_t topic_cap;
    kp_offset_for_leader_epoch_req_partition *partitions;
    size_t partition_cap;
    kc_asked_set asked;
} kc_epoch_check;

/** A broker as one consumer sees it. */
struct kc_leader {
    kb_list node;
    kc_consumer *consumer;
    int32_t broker_id;
    kc_fetch fetch;
    kc_list_offsets offsets;
    kc_epoch_check epochs;
    kb_list want_fetch, want_offsets, want_epochs; /**< kc_part.want, while planning */
    size_t want_bytes;
    bool has_full; /**< a partition has enough buffered and is left out */
    int32_t short_wait_ms;
    size_t goal_bytes; /**< of a Fetch, within fetch.max.bytes: see kc_fetch_adapt() */
    int64_t fetch_sent_us;
    int64_t retry_at_us;
    uint32_t attempts;
    bool is_told; /**< what is wrong with it */
};

/** A Fetch was answered with so many bytes: choose the size of the next ones. */
void kc_fetch_adapt(kc_leader *leader, size_t bytes);
/** Look at every partition and send what is to be asked. */
void kc_fetch_plan(kc_consumer *consumer);
void kc_leader_free_all(kc_consumer *consumer);
/** The request failed as a whole: back off, and ask who leads. */
void kc_leader_failed(kc_leader *leader, const kn_reply *reply, const char *what);

/** Reply of a Fetch (consumer_fetch_response.c). */
void kc_fetch_on_reply(kn_request *request, const kn_reply *reply);

/** Send what is on want_offsets and want_epochs (consumer_position.c). */
void kc_position_list_offsets(kc_leader *leader);
void kc_position_check_epochs(kc_leader *leader);
/** Look up committed offsets for all partitions that want them. */
void kc_position_fetch_stored(kc_consumer *consumer);
/** A new leader, a topic made anew: change the state as that asks for. */
void kc_position_follow_metadata(kc_part *part);

#endif
