/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One request to a broker and its reply, as the layers above see them. */
#ifndef KN_REQUEST_H
#define KN_REQUEST_H

#include "protocol/base/chunk.h"
#include "protocol/base/list.h"
#include "protocol/frame.h"

typedef struct kn_request kn_request;
typedef struct kn_conn kn_conn;

/** What became of a request; valid during the callback. */
typedef struct kn_reply {
    kc_err err;            /**< KC_OK: a response is there, which may itself carry error codes   */
    const kc_error *error; /**< detail, when err is not KC_OK                                    */
    bool was_sent;         /**< the broker may have it in full: on failure the outcome is unsure */
    int32_t broker_id;     /**< -1: a bootstrap address                                          */
    int16_t version;       /**< of the API, as sent                                              */
    kc_bytes body;         /**< behind the response header; null for a request without response  */
    kb_chunk *chunk;       /**< holds `body`: take a reference to keep it                        */
} kn_reply;

/** Called exactly once per submitted request, from a loop turn, never from inside submit. The
 * request belongs to the caller again when it is called, and may be submitted anew from inside. */
typedef void (*kn_reply_fn)(kn_request *request, const kn_reply *reply);

/**
 * Stands inside its owner and must live until `done` was called (or kn_request_cancel()). It is
 * encoded when its connection is ready, because only then the version is known.
 */
struct kn_request {
    /* set by the owner after kn_request_init() */
    const kp_api *api;
    const void *msg; /**< the message struct; with all it points to, unchanged until `done`       */
    int16_t version_min; /**< -1: no bound of the caller's */
    int16_t version_max;
    bool has_no_response;       /**< Produce with acks=0: done when written */
    int64_t deadline_us;        /**< give up when not answered by then, loop time; 0: none  */
    int64_t unsent_deadline_us; /**< the same while it waits for a connection; 0: deadline_us */
    int32_t timeout_ms; /**< for the answer, from when it is written; 0: the pool's default   */
    kn_reply_fn done;
    void *user;
    kp_splices splices; /**< the owner may give room for records sent without a copy */

    /* private to net/ */
    kb_list node;
    kb_buf frame; /**< encoded bytes; memory is kept for the next use                          */
    kn_conn *conn;
    int64_t submitted_us, expires_us;
    int32_t correlation_id;
    int32_t target_id; /**< broker it was submitted to */
    kc_err refused; /**< why it was not even queued                                              */
    int16_t version;
    uint8_t state;
    bool to_any; /**< for any broker: goes back to the common queue when not written          */
};

void kn_request_init(kn_request *request, kb_mem *mem);
/** Not while submitted. */
void kn_request_cleanup(kn_request *request);
bool kn_request_is_active(const kn_request *request);
/** Forget a submitted request: `done` will not be called and the memory is the owner's at once. A
 * request that is on its way is still answered and dropped; one written in part with splices costs
 * the connection. */
void kn_request_cancel(kn_request *request);

/** pool_explain.c: where a submitted request is, by value: "JoinGroup is in flight to broker 1 for 12 s of
 * 65 s". */
typedef struct kn_whereabouts {
    char text[160];
} kn_whereabouts;
kn_whereabouts kn_request_where(const kn_request *request, int64_t now_us);

/** Decode a reply's body by the request's API. On failure `err` says broker, API, version, byte and
 * field. */
KC_NODISCARD kc_err kn_reply_decode(const kn_request *request, const kn_reply *reply,
                                    kb_arena *arena, void *msg_out, kc_error *err);

#endif
