/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One request as its handler sees it.
 *
 * A handler gets the decoded request and a response that has its defaults already. What the response points to comes
 * from km_request_alloc(), or lives until the response is encoded, which is right after the handler or inside
 * km_request_answer(). A broker serves the requests of one connection one by one: while one is held, those behind it
 * wait.
 *
 * What is checked first says where a forced error (fault.h) appears in the answer, so each handler asks one of the
 * km_check_... functions before it does anything, for each item the answer has an error code for. */
#ifndef KM_REQUEST_H
#define KM_REQUEST_H

#include "mock/cluster.h"
#include "protocol/api.h"
#include "protocol/base/arena.h"

#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

typedef struct km_conn km_conn;

typedef struct km_request {
    km_cluster *cluster;
    km_broker *broker; /**< who got it */
    km_conn *conn;
    const kp_api *api;
    int16_t version;
    int32_t correlation_id;
    kc_bytes client_id;
    const void *message; /**< kp_..._req  */
    void *response;      /**< kp_..._resp */
    kb_arena arena;      /**< for both    */
    int16_t error;       /**< forced by a fault: what the checks answer; 0: none */

    /* For the handler, while the request is held. */
    kb_list node;
    kn_timer timer; /**< stopped when the request ends */
    void *user;
    /** The connection is gone: take the request off all lists; it is freed after this. May be NULL. */
    void (*on_abandon)(struct km_request *request);

    void *private_state; /**< conn.c */
} km_request;

typedef enum km_action {
    KM_ANSWER,      /**< send the response                                                 */
    KM_ANSWER_LAST, /**< send it, and close the connection                            */
    KM_HOLD,        /**< later, by km_request_answer()                                     */
    KM_SILENT,      /**< send nothing, serve the next (Produce with acks=0)                */
    KM_CLOSE, /**< close the connection, as a broker does that can't answer; no memory left too */
} km_action;

typedef km_action (*km_handler)(km_request *request, const void *message, void *response);

/** Zeroed, from the request's arena; NULL: no memory (KM_CLOSE). */
void *km_request_alloc(km_request *request, size_t count, size_t item_size);
/** Copy into the arena; null stays null, and is what is left when there is no memory. */
kc_bytes km_request_copy(km_request *request, kc_bytes bytes);
/** The response of a held request is complete: encode, send, free. From a handler's timer, waiter or another request. */
void km_request_answer(km_request *request);
/** End a held request without an answer: the connection is closed. */
void km_request_drop(km_request *request);

/** What SASL keeps for a connection; NULL: nothing yet. Freed by `free_fn` with the connection. */
void *km_conn_auth(const km_conn *conn);
void km_conn_set_auth(km_conn *conn, void *auth, void (*free_fn)(km_conn *conn, void *auth));

/** Told once, when its connection ends; is off the list then. */
typedef struct km_conn_watcher {
    kb_list node;
    void (*fn)(struct km_conn_watcher *watcher);
} km_conn_watcher;
/** Taken back by kb_list_remove(). */
void km_conn_watch(km_conn *conn, km_conn_watcher *watcher);

/* ---- the first question of each handler: 0 or Kafka's code ---- */

/** Anything any broker answers, and what the controller does for it. */
int16_t km_check_broker(const km_request *request);
/** NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE. */
int16_t km_check_coordinator(const km_request *request, km_coordinator_type type, kc_bytes key);
/** UNKNOWN_TOPIC_OR_PARTITION (`partition` NULL), NOT_LEADER_OR_FOLLOWER, LEADER_NOT_AVAILABLE, FENCED_LEADER_EPOCH,
 * UNKNOWN_LEADER_EPOCH; `leader_epoch` -1: not told. */
int16_t km_check_leader(const km_request *request, const km_partition *partition,
                        int32_t leader_epoch);
/** The same for topics named by id: UNKNOWN_TOPIC_ID (`topic` NULL) comes before the partition. */
int16_t km_check_leader_by_id(const km_request *request, const km_topic *topic, int32_t index,
                              int32_t leader_epoch);

#endif
