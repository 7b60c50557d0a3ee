/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One connection to a broker, from the look-up of its name to its end. It lives once: the pool
 * makes a new one to reconnect.
 *
 *     NEW -> RESOLVING -> CONNECTING -> SETUP -> READY -> DRAINING -> CLOSED
 *                           (each address)  (steps of conn_setup.c, of which SASL comes again
 *                                            in READY: conn_sasl.c)
 *
 * and from every state to CLOSED. All ways to CLOSED lead through kn_conn_fail(), which closes the
 * transport at once and completes the requests later, from a task: so it can be called from
 * anywhere.
 *
 * A broker answers in the order of the requests (trap 53), so the ring of sent requests is a queue,
 * and a request that is not answered in time ends the connection: everything in flight is unsure
 * then. */
#ifndef KN_CONN_H
#define KN_CONN_H

#include "net/recycle.h"
#include "net/request.h"
#include "net/sasl.h"
#include "net/trace.h"
#include "net/transport.h"
#include "protocol/base/log.h"

#include <kafkac/unstable/messages.h>

/** A frame of up to this size is believed and gets its chunk at once; a larger one only as its
 * bytes come. */
#define KN_FRAME_TRUST_BYTES ((size_t)4 * 1024 * 1024)
/** By which such a chunk grows: few copies for an honest 50 MB, bounded waste for a lie. */
#define KN_FRAME_GROWTH 4
/** Bytes read from one connection in a turn before the others have theirs. */
#define KN_READ_BUDGET_BYTES ((size_t)1024 * 1024)
/** First read when the last frame was large: so only little of the next is copied to its own chunk.
 */
#define KN_READ_PROBE_BYTES ((size_t)4 * 1024)
/** Pieces of one sendmsg(). */
#define KN_WRITE_PIECES_MAX 128
/** How long an address may be silent before the next one is tried, too (RFC 8305, section 5). */
#define KN_ATTEMPT_DELAY_US INT64_C(250000)
/** Most requests in flight on one connection, whatever is configured. */
#define KN_IN_FLIGHT_MAX 1024

typedef enum kn_conn_state {
    KN_CONN_NEW,
    KN_CONN_RESOLVING,
    KN_CONN_CONNECTING,
    KN_CONN_SETUP,
    KN_CONN_READY,
    KN_CONN_DRAINING,
    KN_CONN_CLOSED,
} kn_conn_state;

typedef struct kn_conn_stats {
    uint64_t bytes_in, bytes_out;
    uint64_t requests, responses;
    uint64_t reauthentications;
} kn_conn_stats;

/** The same for all connections of a pool; outlives them. */
typedef struct kn_conn_env {
    kb_mem *mem;
    kn_loop *loop;
    kn_network *network;
    const kb_log *log;
    kb_rand *rand;
    const kn_sasl_conf *sasl; /**< NULL: nobody authenticates */
    kn_recycler *recycler;
    kn_conn_stats *stats;
    kn_trace_fn trace; /**< NULL: nobody looks on */
    void *trace_user;
    kc_bytes client_id;
    int32_t request_timeout_ms;
    int32_t max_idle_ms; /**< 0: never */
    int32_t in_flight_max;
    int32_t response_bytes_max;
    int32_t send_buffer_bytes;
    int32_t receive_buffer_bytes;
} kn_conn_env;

/** What the owner hears; all from loop turns. */
typedef struct kn_conn_events {
    void (*on_ready)(kn_conn *conn);
    /** The broker said what it serves; `response` is a kp_api_versions_resp, valid during the call.
     * May be NULL. */
    void (*on_versions)(kn_conn *conn, const void *response);
    /** A request was answered: there is room for one more. */
    void (*on_room)(kn_conn *conn);
    /** The end: what was sent is completed, what was not is in conn->unsent for the owner to take.
     * The owner frees the connection inside or later. */
    void (*on_closed)(kn_conn *conn);
} kn_conn_events;

typedef struct kn_conn_options {
    const kn_conn_env *env;
    const kn_conn_events *events;
    void *user;
    kc_bytes host; /**< copied */
    uint16_t port;
    int32_t broker_id;
    uint32_t owner;
    int64_t setup_timeout_us;
    uint32_t rotation;            /**< which address to begin with, modulo their number */
    int16_t api_versions_version; /**< of the first ApiVersions request; -1: the highest */
} kn_conn_options;

/** A request that is written and not answered. */
typedef struct kn_sent {
    kn_request *request; /**< NULL: cancelled, or given up at its deadline */
    const kp_api *api;
    int64_t expires_us;
    int64_t written_us;
    int32_t correlation_id;
    int16_t version;
} kn_sent;

/** One address in the race to be connected. */
typedef struct kn_attempt {
    kn_conn *conn;
    kn_transport *transport; /**< NULL: not under way */
} kn_attempt;

/** Bytes received that make no whole frame yet. */
typedef struct kn_receive {
    uint8_t head[KP_FRAME_SIZE_BYTES];
    size_t head_len; /**< of a size, in head         */
    kb_chunk *frame; /**< a frame under way, or NULL */
    size_t frame_size;
    bool expects_large;
} kn_receive;

/** How far an authentication is; see conn_sasl.c. */
typedef enum kn_auth_state {
    KN_AUTH_IDLE,
    KN_AUTH_PREPARING,
    KN_AUTH_QUIETING,
    KN_AUTH_HANDSHAKE,
    KN_AUTH_EXCHANGE,
} kn_auth_state;

typedef struct kn_conn_auth {
    kn_auth_state state;
    kn_sasl sasl;
    unsigned rounds;
    int64_t lifetime_ms;   /**< of the session, as said last        */
    int64_t renew_at_us;   /**< INT64_MAX: never, or under way      */
    int64_t ends_at_us;    /**< of the session                      */
    int64_t not_before_us; /**< nor may it be renewed              */
    bool has_waited;       /**< for that, with a token             */
    int64_t used_us;       /**< last use before the renewal         */
    kp_sasl_handshake_req handshake;
    kp_sasl_authenticate_req authenticate;
} kn_conn_auth;

struct kn_conn {
    const kn_conn_env *env;
    const kn_conn_events *events;
    void *user;
    kb_list node; /**< for the owner */
    kn_conn_state state;
    char *host;
    uint16_t port;
    int32_t broker_id;
    uint32_t owner;
    kn_transport *transport; /**< NULL: none */
    kn_timer timer;          /**< the nearest of all deadlines below */
    kn_task end_task;
    kc_error error; /**< why it is CLOSED */
    bool was_idle;  /**< nothing was under way when it ended */
    bool was_ready;
    bool has_answered;   /**< a request after the set-up */
    kn_request *expired; /**< the one whose time ran out */

    /* connecting (conn_connect.c) */
    kn_lookup lookup;
    uint32_t rotation;
    kn_attempt attempts[KN_ADDRESSES_MAX];
    size_t tried;            /**< of them begun          */
    size_t racing;           /**< of these under way      */
    int64_t next_attempt_us; /**< INT64_MAX: none is left */

    /* set-up (conn_setup.c) */
    int64_t setup_started_us;
    int64_t setup_deadline_us;
    size_t step;
    bool closed_by_peer;   /**< in answer to the first request of the set-up */
    int16_t setup_version; /**< of ApiVersions, as asked last */
    kp_api_versions_req versions_req;
    kn_request setup_request;
    kp_versions versions;
    kn_conn_auth auth; /**< conn_sasl.c */

    /* writing (conn_write.c) */
    kb_list unsent; /**< encoded; the first may be written in part */
    size_t unsent_count;
    size_t write_at; /**< bytes of the first that are written */
    kb_buf orphan;   /**< rest of a cancelled request, to be written first */
    size_t orphan_at;
    kn_sent orphan_sent;
    bool has_orphan;
    bool orphan_has_no_response;
    bool is_blocked;
    int32_t next_correlation_id;

    /* reading (conn_read.c) */
    kn_sent *ring;
    size_t ring_cap, ring_head, ring_count;
    kn_receive receive;
    int64_t used_us; /**< last time a request was sent or answered */
};

/** Starts to resolve. On failure nothing happened. */
KC_NODISCARD kc_err kn_conn_open(const kn_conn_options *options, kn_conn **conn_out);
/** Only when CLOSED, with nothing left in `unsent`. */
void kn_conn_free(kn_conn *conn);

/** READY, not renewing its session, and below the limit of requests in flight. */
bool kn_conn_has_room(const kn_conn *conn);
/** Requests in flight or waiting to be written. */
static inline size_t kn_conn_load(const kn_conn *conn)
{
    return conn->ring_count + conn->unsent_count + (conn->has_orphan ? 1 : 0);
}
/** Encode and queue; leaves with kn_conn_flush(). On failure the request is untouched. */
KC_NODISCARD kc_err kn_conn_send(kn_conn *conn, kn_request *request, kc_error *err);
void kn_conn_flush(kn_conn *conn);
/** No new requests; closes when the last is answered. What was not begun to be written goes to
 * `unsent_out`, of a connection that is closed all that can go out again. */
void kn_conn_drain(kn_conn *conn, kb_list *unsent_out);
/** End it now, from any state and from anywhere; `error` is copied. */
void kn_conn_fail(kn_conn *conn, const kc_error *error);
/** Complete what the failed connection still holds, at once rather than from a task: before
 * kn_pool_free() returns. Calls on_closed. */
void kn_conn_finish(kn_conn *conn);

/* Between the files of the connection. */

/** Where a request stands. */
enum {
    KN_REQUEST_IDLE,
    KN_REQUEST_LISTED, /**< on a list: taking it off is all             */
    KN_REQUEST_QUEUED, /**< encoded, on conn->unsent                    */
    KN_REQUEST_SENT,   /**< on the ring                                 */
};

/** conn.c: the one place where the state changes. */
void kn_conn_set_state(kn_conn *conn, kn_conn_state state);
/** conn.c: move the timer to `due_us` unless it is earlier already. */
void kn_conn_wake_by(kn_conn *conn, int64_t due_us);
/** Room for a name as below. */
#define KN_PEER_NAME_MAX (KN_HOST_MAX + 64)
/** conn.c: "broker 3 at host:9092" or "bootstrap server host:9092". */
const char *kn_peer_name(int32_t broker_id, const char *host, uint16_t port, char *buf, size_t cap);
const char *kn_conn_name(const kn_conn *conn, char *buf, size_t cap);
/** conn_request.c: hand the request back to its owner. */
void kn_request_complete(kn_request *request, kn_reply *reply);
void kn_request_fail(kn_request *request, const kc_error *error, bool was_sent, int32_t broker_id);
/** conn_connect.c: begin with the look-up. */
void kn_conn_start(kn_conn *conn);
/** conn_connect.c: forget the look-up and all addresses under way. */
void kn_conn_connect_cancel(kn_conn *conn);
void kn_conn_connect_timer(kn_conn *conn);
/** conn_setup.c */
/** A step of the set-up is done: on with the next. */
void kn_conn_step_done(kn_conn *conn);
void kn_conn_setup_timer(kn_conn *conn);
void kn_conn_on_event(void *user, unsigned events, const kc_error *error);
/** conn_write.c: the same with the version given. */
KC_NODISCARD kc_err kn_conn_enqueue(kn_conn *conn, kn_request *request, int16_t version,
                                    kc_error *err);
void kn_conn_cancel(kn_conn *conn, kn_request *request);
/** conn_read.c */
void kn_conn_read(kn_conn *conn);
/** conn.c: the transport broke, or the peer closed it (error NULL). */
void kn_conn_lost(kn_conn *conn, const kc_error *error);
/** conn.c: with nothing in flight a draining connection closes, and a session can be renewed. */
void kn_conn_check_quiet(kn_conn *conn);
/** conn_sasl.c: authenticate, as a step of the set-up or anew. */
void kn_conn_auth_start(kn_conn *conn);
/** ... done or abandoned: wipe what it held. */
void kn_conn_auth_end(kn_conn *conn);
/** ... look for what is due; returns when to look again. */
int64_t kn_conn_auth_timer(kn_conn *conn, int64_t now_us);
void kn_conn_auth_quiet(kn_conn *conn);
const char *kn_conn_auth_waits_for(const kn_conn *conn);

#endif
