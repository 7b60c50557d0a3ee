/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which broker coordinates a group or transactional id: looked up once, shared, forgotten on error
 * (trap 46). */
#ifndef KC_COORDINATOR_H
#define KC_COORDINATOR_H

#include "client/core.h"

/** Kafka's key types of FindCoordinator. */
typedef enum kc_coordinator_type {
    KC_COORDINATOR_GROUP = 0,
    KC_COORDINATOR_TRANSACTION = 1,
    KC_COORDINATOR_SHARE = 2,
} kc_coordinator_type;

/** A wait for an answer; stands inside its owner. kb_list_init(&node) before first use. */
typedef struct kc_coordinator_wait {
    kb_list node;
    /** KC_OK: the broker is in the pool. Else the final error; retriable faults are tried again
     * until `deadline_us`. */
    void (*fn)(struct kc_coordinator_wait *wait, int32_t broker_id, const kc_error *error);
    int64_t deadline_us;
    void *user;
} kc_coordinator_wait;

KC_NODISCARD kc_err kc_coordinators_new(kc_client *client, kc_coordinators **coordinators_out);
void kc_coordinators_free(kc_coordinators *coordinators);

/** Find; fn is called once from a later turn. Cancelling one waiter does not stop the look-up of
 * others. */
KC_NODISCARD kc_err kc_coordinator_find(kc_coordinators *coordinators, kc_coordinator_type type,
                                        kc_bytes key, kc_coordinator_wait *wait);
void kc_coordinator_cancel(kc_coordinator_wait *wait);
/** Known now? -1: no. */
int32_t kc_coordinator_known(const kc_coordinators *coordinators, kc_coordinator_type type,
                             kc_bytes key);
/** NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE or a lost connection: look it up anew next time. */
void kc_coordinator_forget(kc_coordinators *coordinators, kc_coordinator_type type, kc_bytes key);

/** A connection to this broker was lost: whatever it coordinated is looked up anew (trap 46). */
void kc_coordinators_forget_broker(kc_coordinators *coordinators, int32_t broker_id);

/** The look-ups somebody waits for. */
void kc_coordinators_explain(const kc_coordinators *coordinators, kb_explain *out);

#endif
