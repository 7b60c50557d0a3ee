/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Asks any broker, and another one when the first says nothing for some seconds: one broker that
 * hangs must not hold up what every broker can answer (trap 49). Its connection is left alone, for
 * it may just be slow. */
#ifndef KC_ANY_ASK_H
#define KC_ANY_ASK_H

#include "client/core.h"

/** How long the first broker may take; all get as long, then the time doubles. */
#define KC_ANY_PATIENCE_US 5000000

/** Stands beside its request, in their owner. */
typedef struct kc_any_ask {
    kc_client *client;
    kn_request *request;
    kn_timer timer;
    uint32_t turn;  /**< which broker is next       */
    uint32_t tries; /**< of this question, so far   */
} kc_any_ask;

void kc_any_ask_init(kc_any_ask *ask, kc_client *client, kn_request *request);
/** Submit the request; its `done` is called once, as by kn_pool_submit(), and has to call
 * kc_any_ask_end() first. */
void kc_any_ask_send(kc_any_ask *ask);
/** The answer is there. */
void kc_any_ask_end(kc_any_ask *ask);
/** Forget the question; `done` will not be called. */
void kc_any_ask_cancel(kc_any_ask *ask);

#endif
