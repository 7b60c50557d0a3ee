/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Connections by broker id and lane, opened when first used, closed when idle, reconnected with
 * back-off.
 *
 * A broker answers one connection strictly in order and lets a Fetch or JoinGroup wait for seconds,
 * so requests that wait get lanes of their own. A broker is its node id, never its address (trap
 * 47): bootstrap addresses are temporary connections, used until brokers are known. */
#ifndef KN_POOL_H
#define KN_POOL_H

#include "net/loop.h"
#include "net/request.h"
#include "net/trace.h"
#include "protocol/base/explain.h"
#include "protocol/base/log.h"
#include "protocol/base/rand.h"

typedef struct kn_pool kn_pool;
typedef struct kn_network kn_network;     /* net/transport.h */
typedef struct kn_sasl_conf kn_sasl_conf; /* net/sasl.h */

typedef enum kn_lane {
    KN_LANE_MAIN, /**< metadata, admin, offsets, coordinators, heartbeats of nobody */
    KN_LANE_PRODUCE,
    KN_LANE_FETCH, /**< one per owner (a consumer) */
    KN_LANE_GROUP, /**< one per owner              */
} kn_lane;

#define KN_ANY_BROKER (-1)

/** Where a request goes. */
typedef struct kn_target {
    int32_t broker_id; /**< KN_ANY_BROKER: any known one, or a bootstrap address */
    kn_lane lane;
    uint32_t owner; /**< tells consumers apart; 0 for the shared lanes        */
} kn_target;

/** All times in ms, all sizes in bytes; names and defaults are the properties' of the Java client.
 */
typedef struct kn_pool_options {
    kb_mem *mem;
    kn_loop *loop;
    kn_network *network;
    const kb_log *log;
    kb_rand *rand;
    kc_bytes bootstrap_servers; /**< "host:port,[v6]:port,..."; must outlive the pool       */
    bool is_canonical;  /**< use the canonical names of the servers' addresses instead (KIP-235) */
    bool never_returns; /**< to bootstrap_servers, while brokers are known (KIP-899)          */
    kc_bytes client_id; /**< must outlive the pool                                  */
    int32_t request_timeout_ms;
    int32_t connection_setup_timeout_ms;
    int32_t connection_setup_timeout_max_ms;
    int32_t reconnect_backoff_ms;
    int32_t reconnect_backoff_max_ms;
    int32_t connections_max_idle_ms; /**< 0: never */
    int32_t in_flight_max;           /**< per connection */
    int32_t response_bytes_max;      /**< a larger frame closes the connection */
    int32_t send_buffer_bytes;       /**< -1: the system's */
    int32_t receive_buffer_bytes;
    kn_trace_fn trace; /**< NULL: nobody looks on what goes over the wire */
    void *trace_user;
    const kn_sasl_conf *sasl; /**< NULL: connections need no authentication; outlives the pool */
    /** A connection came up or went down, or could not be made; `error` NULL: up. `was_idle`:
     * closed with nothing in flight, which is no fault. From loop turns only. May be NULL. */
    void (*on_change)(void *user, int32_t broker_id, const kc_error *error, bool was_idle);
    /** What a broker said when a connection came up, before its first request: `response` is a
     *  kp_api_versions_resp with versions and finalized features, valid during the call. May be
     * NULL. */
    void (*on_versions)(void *user, int32_t broker_id, const void *response);
    void *user;
} kn_pool_options;

/** KC_ERR_CONFIG when the bootstrap list is empty or not host:port. */
KC_NODISCARD kc_err kn_pool_new(const kn_pool_options *options, kn_pool **pool_out, kc_error *err);
/** Completes every pending request with KC_ERR_CLOSED (KC_ERR_FORKED in a child), calling `done`
 * inside, then frees. Not from a callback; a `done` called from here must not submit. */
void kn_pool_free(kn_pool *pool);

/** Learn or move a broker; a changed address closes its old connections once they are drained. */
KC_NODISCARD kc_err kn_pool_set_broker(kn_pool *pool, int32_t broker_id, kc_bytes host,
                                       int32_t port);
/** Forget brokers that are not in `ids`. Their pending requests end with KC_ERR_NO_BROKER. */
void kn_pool_keep_brokers(kn_pool *pool, const int32_t *ids, size_t count);
bool kn_pool_has_broker(const kn_pool *pool, int32_t broker_id);
/** Ids of the known brokers; returns how many there are, writes at most `cap`. */
size_t kn_pool_brokers(const kn_pool *pool, int32_t *ids, size_t cap);

/**
 * Send a request. All failures are told through `done`:
 * KC_ERR_NO_BROKER, KC_ERR_RESOLVE, KC_ERR_CONNECT, KC_ERR_DISCONNECTED, KC_ERR_TIMEOUT,
 * KC_ERR_VERSION, KC_ERR_CLOSED, errors of kp_encode(). A failed attempt to connect fails what
 * waits in that lane; what is submitted during the back-off waits for its end. With KN_ANY_BROKER
 * the next address is tried instead, until the deadline (or the request timeout), and the error
 * names the last cause.
 */
void kn_pool_submit(kn_pool *pool, kn_target target, kn_request *request);

/** KIP-219: the broker asks us to send nothing there for `ms` (the response's throttle_time_ms).
 * Answers still come in; requests wait. At most KN_THROTTLE_MAX_MS. */
void kn_pool_throttle(kn_pool *pool, kn_target target, int32_t ms);
#define KN_THROTTLE_MAX_MS 300000

/** Give back memory kept for speed: buffers to receive into. */
void kn_pool_trim(kn_pool *pool);

/** Drop the lanes of an owner; pending requests there end with KC_ERR_CLOSED. Owner 0 can't be
 * dropped. */
void kn_pool_close_owner(kn_pool *pool, uint32_t owner);

/** What the connections wait for: those that are not just idle, and requests for any broker. */
void kn_pool_explain(const kn_pool *pool, kb_explain *out);
/** How many brokers are connected and have nothing to do, if any. */
void kn_pool_explain_idle(const kn_pool *pool, kb_explain *out);

/** What the broker serves, once one connection to it was up; NULL before. */
const kp_versions *kn_pool_versions(const kn_pool *pool, int32_t broker_id);
/** The last error of a connection to any broker since the last success; code KC_OK: none. */
const kc_error *kn_pool_last_error(const kn_pool *pool);

/** Counters since the pool was made, but for `connections`. */
typedef struct kn_pool_stats {
    uint64_t bytes_in, bytes_out;
    uint64_t requests, responses;
    uint32_t connections; /**< open now */
    uint64_t connects, disconnects;
    uint64_t reauthentications; /**< of live connections */
} kn_pool_stats;
void kn_pool_stats_get(const kn_pool *pool, kn_pool_stats *stats_out);

#endif
