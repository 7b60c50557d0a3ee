/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One request of any API, with its route, retries and deadline: kc_call() and what admin operations
 * are made of. */
#ifndef KC_CALL_H
#define KC_CALL_H

#include "client/call_route.h"

typedef struct kc_call_op kc_call_op;

/** Which error of this answer, if any, is worth another attempt; KC_OK: deliver it. The default
 * looks at `errorCode` in the root of the message. An answer whose error can't be tried again
 * within the deadline is delivered as it is. */
typedef kc_err (*kc_call_retry_fn)(const kc_response *response, void *user);

typedef struct kc_call_spec {
    const kp_api *api;
    const void *request; /**< copied, deep                                          */
    int32_t to;          /**< a broker's id, or KC_TO_...                           */
    int16_t version_min; /**< -1: any                                               */
    int16_t version_max;
    int64_t deadline_us; /**< of the whole call; see kc_call_deadline()             */
    bool no_retry;
    kc_call_retry_fn retry; /**< NULL: the default                                  */
    kc_response_fn fn;      /**< once, from a turn, unless cancelled                */
    void *user;
    bool runs_in_child; /**< fn is ours and frees what it holds: called also when a forked child
                           frees the client */
} kc_call_spec;

/** All but fn and user, from the public options (NULL: defaults), checked. */
KC_NODISCARD kc_err kc_call_spec_init(kc_call_spec *spec, const kc_client *client,
                                      const kp_api *api, const void *request,
                                      const kc_call_options *options, kc_error *err);

/** `op_out` may be NULL. Errors as kc_call(). */
KC_NODISCARD kc_err kc_call_start(kc_client *client, const kc_call_spec *spec, kc_call_op **op_out,
                                  kc_error *err);
/** Forget it: `fn` will not be called. */
void kc_call_cancel(kc_call_op *op);
/** What each call under way waits for. */
void kc_calls_explain(const kc_client *client, kb_explain *out);
/** Complete all with KC_ERR_CLOSED, when the client goes. */
void kc_calls_free(kc_client *client);

/** Loop time in `timeout_ms` from now; 0: default.api.timeout.ms. */
int64_t kc_call_deadline(const kc_client *client, int32_t timeout_ms);

/** A bound of versions the caller gave, or the other one where it gave none (-1). */
static inline int16_t kc_version_or(int16_t asked, int16_t other)
{
    if (asked >= 0)
        return asked;
    return other;
}

#endif
