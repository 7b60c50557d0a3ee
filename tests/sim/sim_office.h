/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What became of each event of the workloads "officeflow" and "redrive": told by the logs, the handlers and the notices. */
#ifndef SIM_OFFICE_H
#define SIM_OFFICE_H

#include "tests/sim/sim_readers.h"

#include <officeflow/officeflow.h>

#define OFFICE_TYPES_MAX 2
#define OFFICE_TIERS_MAX 3
#define OFFICE_GROUP     "g"
/** Processes with a DLQ handler, at most; and of how many the ledger knows what they told. */
#define OFFICE_REDRIVERS_MAX 2

/** What handlers say to an event. */
typedef enum office_fate {
    FATE_OK,
    FATE_FAILS, /**< so many times, then it is OK */
    FATE_ALWAYS_FAILS,
    FATE_PERMANENT,
    FATE_DISCARD,
    FATE_BUSY, /**< once, then it is OK */
} office_fate;

/** An event that was sent. It may stand in the log more than once. */
typedef struct office_event {
    uint32_t number;
    int topic;
    office_fate fate;
    int32_t fails;
    enum {
        EVENT_PENDING,
        EVENT_ACKED,
        EVENT_FAILED,
    } state;
    int32_t partition;
    int64_t offset;
} office_event;

/** One record of a type's topic. */
typedef struct office_copy {
    uint32_t number; /**< of its event */
    uint64_t hash;   /**< of key and value */
    bool is_answered_ok;
    bool is_handled;
    bool is_discarded;
    bool was_busy;
    uint8_t tiers;    /**< a bit for each retry topic it stands in */
    uint32_t holds;   /**< notices of a breaker: each may cost a try more than the policy says */
    char id[17];      /**< of its dead letter */
    int32_t deaths;   /**< one more than the releases before its last one; 0: it stands in no DLQ */
    int32_t releases; /**< the last one that stands in the topic of redrives */
    int32_t resolved; /**< the last redrive whose state says that it was handled */
    bool is_quarantined;
    bool is_left; /**< its state says that it is left to an operator */
    int32_t resolved_told
        [OFFICE_REDRIVERS_MAX]; /**< by a DLQ handler: after so many releases; 0: it was not */
} office_copy;

typedef enum office_role {
    ROLE_EVENTS,
    ROLE_RETRY,
    ROLE_REDRIVE, /**< retry.g.now */
    ROLE_DEAD,
    ROLE_QUARANTINE,
    ROLE_STATE,
} office_role;

/** Where a record of a retry or DLQ topic stood first. */
typedef struct office_origin {
    int topic; /**< -1: that was wrong */
    int32_t partition;
    int64_t offset;
    int32_t redrive; /**< releases it has behind it; the redrive that it is */
} office_origin;

/** One partition of any topic, as far as all replicas have it. */
typedef struct office_log {
    int64_t until;
    int64_t begun;          /**< of ROLE_EVENTS: all below were given to a handler once       */
    int64_t done;           /**< all below may be committed                                   */
    int64_t committed;      /**< as last looked at                                            */
    int64_t reached;        /**< the furthest it was committed                                */
    office_copy *copies;    /**< of ROLE_EVENTS, by offset                                    */
    office_origin *origins; /**< of the others, by offset                                     */
    int64_t cap;
} office_log;

typedef struct office_policy {
    of_policy policy;
    int32_t tries; /**< in all, before an event is dead */
} office_policy;

typedef struct office_ledger {
    office_event **events;
    size_t count, cap;
    size_t pending;
    office_role roles[SIM_TOPICS_MAX];
    int tier_of[SIM_TOPICS_MAX]; /**< of ROLE_RETRY */
    const char *types[OFFICE_TYPES_MAX];
    office_policy policies[OFFICE_TYPES_MAX];
    int type_count;
    bool
        is_redriven; /**< DLQ handlers are at work: in the end nothing is dead that they may touch */
    office_log logs[SIM_TOPICS_MAX][SIM_PARTITIONS_MAX];
} office_ledger;

/** NULL after a failure. */
office_event *office_event_new(sim_world *sim, office_ledger *ledger);
/** The copy that a record is one of; NULL after a failure. */
office_copy *office_copy_at(office_ledger *ledger, const office_origin *origin);
/** By its dead letter's id; NULL: there is none. */
office_copy *office_copy_by_id(sim_world *sim, office_ledger *ledger, const char *id);
/** Is it left to an operator? */
bool office_is_strict(const office_ledger *ledger, const office_copy *copy);
/** Read what came to the logs since. */
void office_look(sim_world *sim, office_ledger *ledger);
/** NULL after a failure: nothing stands there. */
office_copy *office_find(sim_world *sim, office_ledger *ledger, kc_bytes topic, int32_t partition,
                         int64_t offset);
/** A handler is called for the first time in this delivery from its topic: is it the record's turn? */
void office_begin(sim_world *sim, office_ledger *ledger, int topic, int32_t partition,
                  int64_t offset);
/** What is committed is done. */
void office_watch(sim_world *sim, office_ledger *ledger);
bool office_is_done(sim_world *sim, office_ledger *ledger);
void office_check(sim_world *sim, office_ledger *ledger);
void office_tell(sim_world *sim, const office_ledger *ledger);
void office_free(office_ledger *ledger);

#endif
