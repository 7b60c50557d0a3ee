/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Classic consumer groups: members elect a leader, the leader assigns (JoinGroup, SyncGroup, Heartbeat, LeaveGroup;
 * static members: KIP-345).
 *
 *              a member joins            all have joined,            the leader
 *                                        or their time is up         has assigned
 *     Empty ---------------> Preparing ----------------> Completing ------------> Stable
 *       ^                     ^  | nobody is left            |                      |
 *       |_____________________|__|                           |                      |
 *                             |______________________________|______________________|
 *                               a member joins, changes, leaves or is lost
 *
 * A member that waits for an answer holds a request. A client that gives its connection up is not noticed: the member
 * counts as waiting still, as in Kafka, only nobody gets the answer. Answers are collected while the state changes and
 * sent by km_classic_flush() at the end, for sending one may serve the next request of its connection at once. */
#ifndef KM_CLASSIC_GROUP_H
#define KM_CLASSIC_GROUP_H

#include "mock/group.h"
#include "mock/request.h"

typedef enum km_classic_state {
    KM_CLASSIC_EMPTY,
    KM_CLASSIC_PREPARING,
    KM_CLASSIC_COMPLETING,
    KM_CLASSIC_STABLE,
} km_classic_state;

/** Of one member, which a broker does not limit: each is looked for at each member. */
#define KM_CLASSIC_PROTOCOLS_MAX 100

/** One way to assign which a member knows, with what it tells the leader. */
typedef struct km_classic_protocol {
    kc_bytes name;
    kc_bytes metadata;
} km_classic_protocol;

typedef struct km_classic_protocols {
    int32_t count;
    km_classic_protocol items[]; /**< and behind them their bytes */
} km_classic_protocols;

typedef struct km_classic_group km_classic_group;

typedef struct km_classic_member {
    kb_list node;
    km_classic_group *group;
    kc_bytes id;          /**< it and the next three stand behind the struct */
    kc_bytes instance_id; /**< null: a dynamic member                        */
    kc_bytes client_id;
    kc_bytes client_host;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    km_classic_protocols *protocols;
    kc_bytes vote;       /**< of `protocols`, while one is selected */
    kc_bytes assignment; /**< in group->stored */
    kn_timer session;
    bool is_new; /**< has had no answer to its first JoinGroup */
    bool awaits_join;
    bool awaits_sync;
    bool owes_sync;   /**< has not sent its SyncGroup in this generation    */
    km_request *join; /**< held; NULL while it waits: the connection is gone */
    km_request *sync;
} km_classic_member;

/** Was given an id and told to join with it (MEMBER_ID_REQUIRED, KIP-394). */
typedef struct km_classic_pending {
    kb_list node;
    km_classic_group *group;
    kc_bytes id; /**< stands behind the struct */
    kn_timer expiry;
} km_classic_pending;

struct km_classic_group {
    km_group *group;
    km_classic_state state;
    bool was_empty; /**< PREPARING: this is the first rebalance of an empty group */
    int32_t generation;
    kb_buf protocol_type; /**< empty: no member ever joined  */
    kb_buf protocol_name; /**< chosen for this generation; has room for the longest of any member */
    kb_list members;      /**< km_classic_member, as they came */
    kb_list pending;      /**< km_classic_pending            */
    int32_t member_count;
    km_classic_member *leader; /**< NULL: none */
    kn_timer join_timer;       /**< PREPARING: no longer waits for those who have not joined */
    kn_timer sync_timer;       /**< those who owe a SyncGroup are out                       */
    bool is_initial_delay;     /**< the join timer is group.initial.rebalance.delay          */
    bool has_new_member;       /**< during it                                               */
    int64_t delay_ms;
    int64_t remaining_ms;
    struct km_classic_stored *stored; /**< classic_group_store.c; NULL: nothing was written yet */
    km_watcher watcher;
    int32_t coordinator; /**< who coordinated at last, -1: nobody; and its epoch */
    int32_t coordinator_epoch;
    kb_list answers; /**< km_request: complete, to be sent by km_classic_flush() */
    kb_list drops;   /**< km_request: no memory for the answer                  */
};

/* ---- the group: classic_group.c ---- */

/** NULL: the group is of another kind. */
km_classic_group *km_classic_of(const km_group *group);
/** Find or make, also of an empty group of another kind; NULL: no memory. */
km_classic_group *km_classic_open(km_group *group);
/** Null: none. */
kc_bytes km_classic_protocol_type(const km_classic_group *group);
kc_bytes km_classic_protocol_name(const km_classic_group *group);

/** NULL: none. */
km_classic_member *km_classic_member_find(const km_classic_group *group, kc_bytes id);
km_classic_member *km_classic_static_find(const km_classic_group *group, kc_bytes instance_id);
km_classic_pending *km_classic_pending_find(const km_classic_group *group, kc_bytes id);
/** UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, or 0. */
int16_t km_classic_check_member(const km_classic_group *group, kc_bytes id, kc_bytes instance_id);

/** A copy; NULL: no memory. */
km_classic_protocols *km_classic_protocols_new(kb_mem *mem, const kp_join_group_req_protocol *items,
                                               int32_t count);
/** What is told about a protocol; null: it is not among them. */
kc_bytes km_classic_metadata(const km_classic_protocols *protocols, kc_bytes name);

/** With the names and timeouts of `like`, in no list yet; NULL: no memory. Takes `protocols` in any case; they may be
 * NULL for want of memory. */
km_classic_member *km_classic_member_new(km_classic_group *group, const km_classic_member *like,
                                         km_classic_protocols *protocols);
/** Into the group, which gets the protocol type of its first member. KC_ERR_NOMEM: nothing changed. */
KC_NODISCARD kc_err km_classic_member_add(km_classic_member *member, kc_bytes protocol_type);
/** Room for the name of any of these as the chosen one. */
KC_NODISCARD kc_err km_classic_reserve(km_classic_group *group,
                                       const km_classic_protocols *protocols);
/** Of a member that is in no list. */
void km_classic_member_free(km_classic_member *member);
/** Out of its list and freed. It is no leader any more; the first of the others is. */
void km_classic_member_remove(km_classic_member *member);
void km_classic_pending_remove(km_classic_pending *pending);
/** All members, those to come, and the timers. */
void km_classic_clear(km_classic_group *group);
/** The member lives: it is lost only after another session timeout. */
void km_classic_touch(km_classic_member *member);

/** The member waits with this request for an answer; one it waited with before never gets one. */
void km_classic_hold(km_classic_member *member, km_request **held, km_request *request);
/** The request of a member is complete, or lacks memory for its answer. */
void km_classic_release(km_classic_group *group, km_request **held, bool is_complete);
/** The last thing of every entry: send what is complete. The group may be gone after it. */
void km_classic_flush(km_classic_group *group);

/* ---- joining: classic_group_join.c. What may complete a request needs km_classic_flush() after it. ---- */

/** A JoinGroup that passed the checks of its own: hold it, or answer in place. */
km_action km_classic_join(km_classic_group *group, km_request *request);
/** Take a member out: a JoinGroup it holds is answered UNKNOWN_MEMBER_ID. */
void km_classic_kick(km_classic_member *member);
/** Members left. */
void km_classic_left(km_classic_group *group);
/** Timers; they flush. */
void km_classic_on_session(kn_timer *timer);
void km_classic_on_pending(kn_timer *timer);
void km_classic_on_join(kn_timer *timer);
void km_classic_on_sync(kn_timer *timer);

/* ---- assigning: classic_group_sync.c ---- */

km_action km_classic_sync(km_classic_group *group, km_request *request);
/** 0 or Kafka's code. */
int16_t km_classic_heartbeat(km_classic_group *group, const kp_heartbeat_req *asked);
/** Take all assignments back: who holds a SyncGroup joins again. */
void km_classic_unassign(km_classic_group *group);

/* ---- what a new coordinator finds: classic_group_store.c ---- */

/** The coordinator writes the group down. Members get the assignments in `assigned`, NULL: keep theirs. KC_ERR_NOMEM:
 * nothing changed. */
KC_NODISCARD kc_err km_classic_store(km_classic_group *group, const kp_sync_group_req *assigned);
void km_classic_store_cleanup(km_classic_group *group);
/** Who coordinates now, -1: nobody; and its epoch. */
void km_classic_coordinator(const km_classic_group *group, int32_t *broker_id_out,
                            int32_t *epoch_out);
/** Of the group's watcher: another broker coordinates, who knows what was written down. */
void km_classic_on_change(km_watcher *watcher);

#endif
