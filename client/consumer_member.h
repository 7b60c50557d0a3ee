/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Membership of a consumer in a group by the classic protocol (KIP-62, 345, 394). */
#ifndef KC_CONSUMER_MEMBER_H
#define KC_CONSUMER_MEMBER_H

#include "client/coordinator.h"
#include "client/metadata.h"
#include "net/request.h"

#include <kafkac/consumer.h>
#include <kafkac/unstable/messages.h>

typedef enum kc_member_state {
    KC_MEMBER_NONE,      /**< in no group                                                    */
    KC_MEMBER_UNJOINED,  /**< about to join: topics, the coordinator or a back-off is awaited */
    KC_MEMBER_REVOKING,  /**< partitions are given back; commits are awaited                 */
    KC_MEMBER_JOINING,   /**< JoinGroup under way                                            */
    KC_MEMBER_ASSIGNING, /**< leader: metadata of the topics of all members is awaited       */
    KC_MEMBER_SYNCING,   /**< SyncGroup under way                                            */
    KC_MEMBER_STABLE,
    KC_MEMBER_LEAVING, /**< LeaveGroup under way */
    KC_MEMBER_FATAL,
} kc_member_state;

/** A topic of the group, as its leader saw it when it assigned. */
typedef struct kc_member_topic {
    kc_meta_topic *meta;
    int32_t partition_count;
} kc_member_topic;

typedef struct kc_member {
    kc_member_state state;
    uint32_t serial; /**< grows with each change of state: a callback may have caused one */
    int32_t generation;
    char *id;            /**< NULL: none yet */
    int32_t coordinator; /**< -1: not known */
    bool must_rejoin;
    bool must_leave;
    bool is_leader;
    bool is_expired; /**< left because no batch was taken for max.poll.interval.ms: joins again with
                        the next one */
    bool is_sync_empty; /**< leader, but the group keeps its assignment (KIP-814) */
    const char *reason; /**< of the next JoinGroup (KIP-800); static text */
    kn_task task;
    kn_timer timer; /**< back-off; end of the wait for commits; end of the wait for metadata */
    uint32_t attempts;
    kc_coordinator_wait wait;
    int64_t heard_us; /**< when the last heartbeat (or join) with a good answer was sent */
    int64_t heartbeat_sent_us;
    uint64_t metadata_version; /**< looked at */
    kn_timer heartbeat_timer;

    kn_request join_request, sync_request, heartbeat_request, leave_request;
    kp_join_group_req join;
    kp_join_group_req_protocol protocol;
    kb_buf metadata; /**< ConsumerProtocolSubscription */
    kp_sync_group_req sync;
    kp_heartbeat_req heartbeat;
    kp_leave_group_req leave;
    kp_leave_group_req_member leave_member;
    kb_arena round;        /**< of one rebalance: members, their topics, assignments */
    kb_chunk *round_chunk; /**< the JoinGroup's answer, which those point into */
    kp_join_group_resp_member *members;
    int32_t member_count;
    struct kc_assign_member *assign_members;
    kc_member_topic *topics; /**< leader only: in use until the next rebalance; own memory */
    size_t topic_count;
} kc_member;

void kc_member_init(kc_consumer *consumer);
/** Cancel everything at once, free; tells nobody. */
void kc_member_cleanup(kc_consumer *consumer);
/** Join, or join anew with what is subscribed now. `why` is static text. */
void kc_member_rejoin(kc_consumer *consumer, const char *why);
/** Give back the partitions (on_revoked, from dispatch), commit, leave. Ends in KC_MEMBER_NONE. */
void kc_member_leave(kc_consumer *consumer);
/** The same without a callback, with the partitions dropped already. */
void kc_member_leave_abruptly(kc_consumer *consumer);
/** The coordinator no longer knows this generation (trap 36): on_lost, join anew. From dispatch
 * only. */
void kc_member_lost(kc_consumer *consumer, kc_err code);
/** A request to the coordinator failed. Forgets the coordinator where that is the reason. */
void kc_member_coordinator_failed(kc_consumer *consumer, kc_err code);
/** The last commit that was awaited is answered. */
void kc_member_commits_done(kc_consumer *consumer);
/** Topics or partitions may have changed. */
void kc_member_on_metadata(kc_consumer *consumer);
/** Commits may be sent for it now. */
bool kc_member_may_commit(const kc_consumer *consumer);
const char *kc_member_state_name(kc_member_state state);

/* between consumer_member.c and consumer_member_join.c */
void kc_member_set_state(kc_consumer *consumer, kc_member_state state);
void kc_member_step_soon(kc_consumer *consumer);
/** Wait, then step. */
void kc_member_retry_later(kc_consumer *consumer);
void kc_member_fail(kc_consumer *consumer, kc_err code, const char *what);
void kc_member_start_heartbeat(kc_consumer *consumer);
void kc_member_stop_heartbeat(kc_consumer *consumer);
void kc_member_join(kc_consumer *consumer);
void kc_member_cancel_round(kc_consumer *consumer);
/** Leader: topics of the group are known, or time is up. */
void kc_member_assign_now(kc_consumer *consumer);
bool kc_member_topics_known(const kc_consumer *consumer);
bool kc_member_partitions_changed(const kc_consumer *consumer);
void kc_member_release_topics(kc_consumer *consumer);
KC_NODISCARD kc_err kc_member_set_id(kc_consumer *consumer, kc_bytes id);
static inline kc_bytes kc_member_id(const kc_member *member)
{
    return member->id ? kc_str(member->id) : KC_STR("");
}

#endif
