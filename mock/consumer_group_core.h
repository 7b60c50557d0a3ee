/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a consumer group is inside; for the consumer_group_<part>.c only. See consumer_group.c for how the parts work
 * together. */
#ifndef KM_CONSUMER_GROUP_CORE_H
#define KM_CONSUMER_GROUP_CORE_H

#include "mock/consumer_group.h"
#include "mock/partition_set.h"
#include "mock/topic_regex.h"
#include "protocol/base/names.h"

/** Epochs by which a member says that it goes. */
#define KM_EPOCH_LEAVE        (-1)
#define KM_EPOCH_LEAVE_STATIC (-2)

typedef struct km_consumer_group km_consumer_group;

typedef enum km_consumer_state {
    KM_CONSUMER_STABLE,     /**< has what the target of its epoch says                       */
    KM_CONSUMER_UNREVOKED,  /**< is to give back `revoking` first                            */
    KM_CONSUMER_UNRELEASED, /**< waits for partitions that others have not given back so far */
} km_consumer_state;

/** What a heartbeat may change of a member. A copy shares the pointers of its original; what is changed gets memory of
 * its own. km_consumer_view_drop() ends either of the two. */
typedef struct km_consumer_view {
    kc_bytes instance_id; /**< null: a dynamic member                  */
    kc_bytes rack_id;     /**< null: none; so is the assignor          */
    kc_bytes assignor;
    kc_bytes regex; /**< null or empty: none                           */
    kc_bytes client_id;
    kb_names *names; /**< NULL: none                                   */
    int32_t rebalance_timeout_ms;
    int32_t epoch;
    int32_t previous_epoch;
    km_consumer_state state;
    km_partition_set assigned;
    km_partition_set revoking;
} km_consumer_view;

typedef struct km_consumer_member {
    km_consumer_group *group;
    kc_bytes id; /**< stands behind the struct */
    km_consumer_view now;
    km_partition_set target;
    kn_timer session;
    kn_timer rebalance;
    int32_t rebalance_epoch; /**< in which epoch it was told to give partitions back */
} km_consumer_member;

/** A pattern somebody is subscribed to, and what it matched last. */
typedef struct km_subscribed_regex {
    kc_bytes pattern; /**< stands behind the struct  */
    km_regex *compiled;
    kb_names *topics; /**< NULL: not resolved so far */
    int64_t resolved_us;
    uint64_t resolved_version; /**< of the topics */
} km_subscribed_regex;

struct km_consumer_group {
    km_group *group;
    kb_map members; /**< km_consumer_member by id           */
    kb_map regexes; /**< km_subscribed_regex by its pattern */
    int32_t epoch;
    int32_t assignment_epoch;
    int64_t assigned_us;    /**< when the target was made */
    uint64_t metadata_hash; /**< of the topics subscribed to */
    uint64_t
        metadata_version; /**< of the cluster's topics, when that was made; UINT64_MAX: never */
    kn_timer regex_refresh;
    km_watcher watcher;
    int32_t coordinator_epoch; /**< leader epoch of the group's partition of __consumer_offsets */
};

/** One heartbeat on its way: all of it is made ready before anything of the group changes. */
typedef struct km_consumer_change {
    km_request *request;
    km_consumer_group *cg;        /**< NULL until the group is made            */
    km_consumer_member *member;   /**< NULL until a new one is made            */
    km_consumer_member *replaced; /**< the static member it takes the place of */
    const km_consumer_view *base; /**< what `view` was copied from             */
    km_consumer_view view;        /**< of `member` from now on                 */
    bool is_new_group;
    bool is_new_member;
    bool has_new_names;
    bool has_new_regex;
    bool is_regex_resolved;     /**< and no other topics are to be looked for first */
    bool is_reconciled;         /**< the member's part of the group has changed     */
    km_subscribed_regex *regex; /**< compiled for this change, not in the group so far */

    int32_t epoch;
    uint64_t metadata_hash;
    bool has_metadata;

    /* A new target; `members` is NULL without one. */
    km_consumer_member **members;
    km_partition_set *targets;
    size_t member_count;
    const km_partition_set *target; /**< of the member */
    int32_t target_epoch;
} km_consumer_change;

/* ---- consumer_group_member.c ---- */

/** Copy into memory of its own; null stays null. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_text_dup(kb_mem *mem, kc_bytes text, kc_bytes *out);
/** Free what `view` has and `keep` has not. */
void km_consumer_view_drop(kb_mem *mem, km_consumer_view *view, const km_consumer_view *keep);
/** NULL: none. */
km_consumer_member *km_consumer_member_find(const km_consumer_group *cg, kc_bytes id);
km_consumer_member *km_consumer_member_static(const km_consumer_group *cg, kc_bytes instance_id);
/** A new one, in the group; NULL: no memory. */
km_consumer_member *km_consumer_member_new(km_consumer_group *cg, kc_bytes id);
/** Out of the group; the epoch stays. */
void km_consumer_member_free(km_consumer_member *member);
/** Out of the group, which rebalances then. */
void km_consumer_member_fence(km_consumer_member *member);
/** It gave a sign of life. */
void km_consumer_member_touch(km_consumer_member *member);
/** Wait for what it is to give back, or stop waiting. */
void km_consumer_member_await(km_consumer_member *member);
/** What the member is as long as the change goes on; NULL: it is replaced. */
const km_consumer_view *km_consumer_view_of(const km_consumer_change *change,
                                            const km_consumer_member *member);

/* ---- consumer_group_subscription.c ---- */

void km_subscribed_regex_free(kb_mem *mem, km_subscribed_regex *regex);
/** How many members are subscribed to this pattern. */
size_t km_consumer_group_regex_users(const km_consumer_group *cg, kc_bytes pattern);
bool km_consumer_view_subscribes(const km_consumer_group *cg, const km_consumer_view *view,
                                 kc_bytes topic);
/** Names and pattern of the request into the view, and what is new. INVALID_REGULAR_EXPRESSION, KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_consumer_change_subscribe(km_consumer_change *change,
                                                 const kp_consumer_group_heartbeat_req *asked,
                                                 kc_bytes *reason_out);
/** The group's epoch after this change. */
void km_consumer_change_epoch(km_consumer_change *change);
/** What members are subscribed to, as one number. `change` may be NULL. */
uint64_t km_consumer_group_hash(const km_consumer_group *cg, const km_consumer_change *change);
/** After a change: forget patterns nobody uses, look for the topics of the others if it is time to. */
void km_consumer_group_refresh(km_consumer_group *cg, bool is_new_regex);
void km_consumer_group_prune(km_consumer_group *cg);

/* ---- consumer_group_target.c ---- */

/** The member's target, and that of all if it is time for a new one. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_consumer_change_target(km_consumer_change *change);
/** The one most members ask for. */
kc_bytes km_consumer_group_assignor(const km_consumer_group *cg, const km_consumer_change *change);

/* ---- consumer_group_reconcile.c ---- */

/** The member's next step towards its target. KC_ERR_NOMEM. */
KC_NODISCARD kc_err km_consumer_change_reconcile(km_consumer_change *change,
                                                 const kp_consumer_group_heartbeat_req *asked);

/** STABLE, and in this epoch. */
static inline bool km_consumer_view_is_reconciled(const km_consumer_view *view, int32_t epoch)
{
    return view->state == KM_CONSUMER_STABLE && view->epoch == epoch;
}

#endif
