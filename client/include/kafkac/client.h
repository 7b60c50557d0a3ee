/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The client: one object, one pollable fd, no thread, for any number of brokers. Producers,
 * consumers and admin calls are opened on it and share its connections, metadata and memory. */
#ifndef KAFKAC_CLIENT_H
#define KAFKAC_CLIENT_H

#include <kafkac/config.h>
#include <kafkac/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A connection to one cluster.
 *
 * Thread: belongs to one thread, the one that calls kc_client_dispatch(); only kc_client_wake() may
 * be called from another one, or what kc_client_start() names. Callbacks run only inside dispatch (and the blocking helpers, which
 * are dispatch in a loop), exactly once per accepted operation, also at shutdown. In a callback
 * every call is allowed except dispatch, the blocking helpers and kc_client_free() on the same
 * client: those give KC_ERR_STATE.
 */
typedef struct kc_client kc_client;

/** A token is needed: see kc_client_set_token(). From dispatch. */
typedef void (*kc_token_fn)(kc_client *client, void *user);

/** One request or response as it went over the wire; valid during the call. */
typedef struct kc_traffic_event {
    bool is_response;
    int32_t broker_id; /**< -1: a bootstrap server */
    int16_t api_key;
    const char *api_name; /**< "Fetch" */
    int16_t version;
    int32_t correlation_id;
    size_t bytes;       /**< of the whole frame                                     */
    int64_t latency_us; /**< of a response, since its request was written; else 0   */
} kc_traffic_event;
/** From dispatch, when a request was written and when a response has come. Must not call the client. */
typedef void (*kc_traffic_fn)(const kc_traffic_event *event, void *user);

/** What a client may be given besides its properties. Zero-filled is a valid choice. */
typedef struct kc_client_options {
    size_t size;           /**< sizeof(kc_client_options)                                     */
    const kc_alloc *alloc; /**< NULL: the C library's; copied                                 */
    kc_log_fn log;         /**< NULL: no log                                                  */
    void *log_user;
    kc_log_level log_level;
    uint64_t seed;        /**< of jitter, sticky partitions and ids; 0: from the system      */
    kc_token_fn token_fn; /**< makes tokens for SASL OAUTHBEARER; NULL: none           */
    void *token_user;
    kc_traffic_fn
        traffic_fn; /**< sees every request and response; NULL: none. debug=wire logs them  */
    void *traffic_user;
} kc_client_options;

/**
 * Make a client. Connects to nothing yet: the first connection is opened by the first need, in
 * dispatch.
 *
 * @param config   Copied. NULL: all defaults (bootstrap.servers is localhost:9092).
 * @param options  NULL: all defaults.
 * @retval KC_OK, KC_ERR_CONFIG (bad combination), KC_ERR_NOMEM, KC_ERR_IO (no descriptor left).
 */
KC_API KC_NODISCARD kc_err kc_client_new(const kc_config *config, const kc_client_options *options,
                                         kc_client **client_out, kc_error *err);

/**
 * Complete every pending operation with KC_ERR_CLOSED (callbacks run inside), close all handles
 * opened on the client, free everything. Waits for nothing: flush producers and close consumers
 * first. NULL is allowed. In a forked child it only closes the child's descriptors; where a thread of
 * kc_client_start() was at work at that moment, those of the event loop, and the memory stays.
 */
KC_API void kc_client_free(kc_client *client);

/** The fd to wait on for reading: readable means "call kc_client_dispatch()". Level-triggered. It
 * may be added to poll, epoll (the kernel nests at most 5 deep), libuv, libevent. With an
 * edge-triggered parent dispatch until it says no work is left. -1 for a client on a virtual clock.
 */
KC_API int kc_client_fd(const kc_client *client);

/**
 * One turn: serve sockets and timers, run callbacks.
 *
 * @param timeout_ms  Longest wait: 0 never blocks, -1 until something happens.
 * @retval KC_OK         Nothing left to do now.
 * @retval KC_ERR_AGAIN  Work is left: call again (with a level-triggered parent, the fd stays
 * readable).
 * @retval KC_ERR_STATE  Called from a callback.
 * @retval KC_ERR_FORKED In a child of the process that made the client.
 * @retval KC_ERR_IO     A system call failed: the client can't go on.
 */
KC_API kc_err kc_client_dispatch(kc_client *client, int timeout_ms);

/** End a dispatch that waits, or the next one. From any thread and from a signal handler. */
KC_API void kc_client_wake(kc_client *client);

/* ---- a thread of its own, for programs without a loop ---- */

/** What another thread wants done on the client's. */
typedef void (*kc_post_fn)(kc_client *client, void *user);

/**
 * Start the one thread of this client: it dispatches until kc_client_stop().
 *
 * From here on the client, and all that is opened on it, belongs to that thread: callbacks run there,
 * and every call from another thread is KC_ERR_STATE, but for these: kc_producer_send(),
 * kc_producer_send_to(), kc_producer_flush(), kc_client_post(), kc_client_run(), kc_client_wake(),
 * kc_client_stop() and kc_client_free(). A send from another thread copies the record into a queue of
 * 4 MiB; what only the producer can find wrong is told to its callback. Where that queue is full it is
 * KC_ERR_BUFFER_FULL: flush, or try again. Signals are blocked on the thread.
 *
 * @retval KC_OK, KC_ERR_STATE (started already, in a callback), KC_ERR_NOMEM, KC_ERR_IO (no thread
 *         left: os_errno), KC_ERR_FORKED.
 * Memory: 8 MiB of memory.bytes.max. Thread: the owner.
 */
KC_API KC_NODISCARD kc_err kc_client_start(kc_client *client, kc_error *err);
/** End it; the client belongs to the caller again. Waits for a callback that runs, not for the
 * network; what was posted is called, and what was handed over and finds no room in buffer.memory is
 * told as KC_ERR_CLOSED, still on that thread. Who waits in kc_client_run() is let go first; of the
 * other calls none may be under way when this returns.
 * KC_OK, KC_ERR_STATE (not started, or on that thread), KC_ERR_FORKED. */
KC_API kc_err kc_client_stop(kc_client *client);
/** Call `fn` on the client's thread, from dispatch, in the order of the sends and posts of this
 * thread; returns at once. KC_OK: exactly once. KC_ERR_STATE (not started, or being stopped),
 * KC_ERR_BUFFER_FULL, KC_ERR_FORKED. Any thread. */
KC_API KC_NODISCARD kc_err kc_client_post(kc_client *client, kc_post_fn fn, void *user);
/** Call `fn` on the client's thread outside of dispatch, where blocking helpers are allowed (admin
 * calls, commits, close), and wait until it returned. Without a thread, or on it, `fn` is called at
 * once. KC_OK, KC_ERR_STATE (in a callback, or being stopped), KC_ERR_FORKED. Any thread. */
KC_API KC_NODISCARD kc_err kc_client_run(kc_client *client, kc_post_fn fn, void *user);

/** Monotonic microseconds as of the last dispatch, and ms since 1970; random numbers of the
 * client's seed. The same clock and source the client itself uses, so code above can run on a
 * virtual clock too. */
KC_API int64_t kc_client_now_us(const kc_client *client);
KC_API int64_t kc_client_wall_ms(const kc_client *client);
KC_API uint64_t kc_client_random(kc_client *client);

/** The system's clocks and random numbers, for code that has no client: ms since 1970, monotonic
 * microseconds, 64 random bits that are not for secrets. Any thread. */
KC_API int64_t kc_clock_wall_ms(void);
KC_API int64_t kc_clock_monotonic_us(void);
KC_API uint64_t kc_clock_random(void);

/** A timer of the application on the client's loop. */
typedef struct kc_timer kc_timer;
typedef void (*kc_timer_fn)(void *user);
/** Call `fn` once, `delay_ms` >= 0 from now, from dispatch; set again by kc_timer_set(). */
KC_API KC_NODISCARD kc_err kc_timer_new(kc_client *client, kc_timer_fn fn, void *user,
                                        kc_timer **timer_out);
KC_API void kc_timer_set(kc_timer *timer, int64_t delay_ms);
KC_API void kc_timer_stop(kc_timer *timer);
/** NULL is allowed. Before the client is freed. */
KC_API void kc_timer_free(kc_timer *timer);

/** Counters; readable at any time, no allocation. */
typedef struct kc_client_stats {
    size_t memory_bytes, memory_bytes_peak, memory_bytes_max;
    uint64_t bytes_in, bytes_out, requests, responses;
    uint32_t connections;
    uint64_t connects, disconnects;
    uint64_t reauthentications; /**< sessions renewed on a live connection (KIP-368) */
} kc_client_stats;
KC_API void kc_client_stats_get(const kc_client *client, kc_client_stats *stats_out);

/** The last failure of a connection, a metadata request or a token since the last success; code
 * KC_OK: none. What has not failed yet (a broker that is silent, a topic that is not there, a group that
 * forms) is none: kc_client_explain() says that. */
KC_API void kc_client_last_error(const kc_client *client, kc_error *error_out);

/** One sentence of kc_client_explain(): without a line end, with a zero byte behind it, at most 1,024 bytes;
 * valid during the call, which must not call the client. */
typedef void (*kc_explain_fn)(kc_bytes line, void *user);
/**
 * Why is nothing happening? Says what each pending operation waits for: one sentence a line, the cause
 * first-hand. Records by partition, the oldest first; the state of consumers and of their partitions; calls;
 * metadata and coordinators; connections. Lists are cut and say how many are left out. With nothing pending
 * the one line says so. The wording is for people and may change.
 *
 * Changes nothing, allocates nothing, sends nothing. Allowed in callbacks of the client too.
 *
 * @param fn  Called for each line, inside.
 * @retval KC_OK, KC_ERR_ARGUMENT (no `fn`), KC_ERR_STATE (the client is being freed, or has a thread of its
 *         own: call it there, by kc_client_run() or kc_client_post()), KC_ERR_FORKED.
 * Thread: the owner.
 */
KC_API kc_err kc_client_explain(kc_client *client, kc_explain_fn fn, void *user);

/* ---- credentials ---- */

/**
 * Replace name and password of SASL PLAIN or SCRAM: the next authentication uses them, of a new
 * connection or of one whose session is renewed. Nothing that is open is closed.
 *
 * @param username, password  Copied; not empty.
 * @retval KC_OK, KC_ERR_ARGUMENT, KC_ERR_NOMEM (the old ones stay), KC_ERR_STATE (the client has no
 * mechanism with a password; closing).
 */
KC_API KC_NODISCARD kc_err kc_client_set_credentials(kc_client *client, const char *username,
                                                     const char *password, kc_error *err);

/** A pair told to the broker with a token (KIP-342). */
typedef struct kc_sasl_extension {
    kc_bytes name; /**< letters, and not "auth" */
    kc_bytes value;
} kc_sasl_extension;

/** A bearer token. */
typedef struct kc_token {
    size_t size;        /**< sizeof(kc_token)                                            */
    kc_bytes value;     /**< as it is sent, for example a JWT                            */
    int64_t expires_ms; /**< wall clock, ms since 1970; 0: not known, never asked anew   */
    const kc_sasl_extension *extensions;
    size_t extension_count;
} kc_token;

/**
 * The answer to kc_token_fn, inside it or later; or a new token at any time. All connections use
 * it. The client asks when the first connection needs one, again at about 80 % of a token's life
 * (sasl.login.refresh.*), and when a broker refused one; never twice before an answer, so each
 * question needs one: this, or kc_client_token_failed(). Connections that need a token wait for it
 * within socket.connection.setup.timeout.ms.
 *
 * @param token  Copied.
 * @retval KC_OK, KC_ERR_ARGUMENT (not the form of a token or extension; expired), KC_ERR_NOMEM:
 * which are taken as kc_client_token_failed(). KC_ERR_STATE (no token_fn; closing).
 */
KC_API KC_NODISCARD kc_err kc_client_set_token(kc_client *client, const kc_token *token,
                                               kc_error *err);
/** No token can be had: connections that wait for one fail with `reason` (no secrets in it). While
 * the last token is good it goes on being used, and another is asked for in 10 s. */
KC_API void kc_client_token_failed(kc_client *client, const char *reason);

/**
 * Read certificates and keys (ssl.truststore.location, ssl.keystore.location) anew, for connections
 * opened from now on. It happens by itself when a connection is opened and a file has changed.
 *
 * @retval KC_OK
 * @retval KC_ERR_CONFIG  They can't be used, and the error says which and why: those read before
 * stay in force.
 * @retval KC_ERR_STATE   security.protocol has no TLS.
 * @retval KC_ERR_NOMEM, KC_ERR_FORKED
 */
KC_API KC_NODISCARD kc_err kc_client_reload_certificates(kc_client *client, kc_error *err);

/* ---- any API ---- */

/** Where a call goes: a broker's id, or one of these. */
enum {
    KC_TO_AUTO = -1, /**< as the API wants: controller, coordinator, leader, any */
    KC_TO_ANY = -2,
    KC_TO_CONTROLLER = -3,
};

/** Result of kc_call(); valid during the callback. */
typedef struct kc_response {
    kc_err err; /**< transport or local failure; error codes inside the message are the caller's */
    const kc_error *error; /**< detail, when err is not KC_OK */
    int16_t api_key;
    int16_t version;
    int32_t broker_id;
    const void *message; /**< kp_..._resp of <kafkac/unstable/messages.h>; NULL on failure, and for
                            acks=0  */
} kc_response;
typedef void (*kc_response_fn)(const kc_response *response, void *user);

typedef struct kc_call_options {
    size_t size; /**< sizeof(kc_call_options)                                                   */
    int32_t to;  /**< broker id or KC_TO_...; with KC_CALL_OPTIONS_INIT KC_TO_AUTO              */
    int16_t version;    /**< -1: highest common one    */
    int32_t timeout_ms; /**< for the whole call with all its retries; 0: default.api.timeout.ms */
    bool
        no_retry; /**< default: retriable failures, and answers with a retriable error code in their
                       root, are tried again until the timeout; the last such answer is delivered */
} kc_call_options;
#define KC_CALL_OPTIONS_INIT                                                                       \
    {                                                                                              \
        .size = sizeof(kc_call_options), .to = -1, .version = -1                                   \
    }

/**
 * Send any request of the protocol and decode its answer.
 *
 * @param api_key  0-92.
 * @param request  The kp_..._req struct of that API. Copied, with all it points to: free to change
 * after return.
 * @param options  NULL: defaults.
 * @param fn       Called exactly once from dispatch, if and only if KC_OK was returned.
 * @retval KC_OK, KC_ERR_ARGUMENT (no such API; a field can't be encoded in any common version),
 *         KC_ERR_NOMEM, KC_ERR_STATE.
 * KC_TO_AUTO with an API answered by partition leaders needs all partitions of the request to have
 * one leader, else KC_ERR_ARGUMENT is told through `fn`; with groups or transactions, the first one
 * named decides. A topic named by name only keeps the version below those that know topics by id.
 */
KC_API KC_NODISCARD kc_err kc_call(kc_client *client, int16_t api_key, const void *request,
                                   const kc_call_options *options, kc_response_fn fn, void *user,
                                   kc_error *err);

/** The same with JSON in Kafka's JsonConverter form both ways. `fn` gets the JSON text of the
 * answer. The version is the highest that has all members of the text, if not a lower one is all the
 * broker knows. An absent member takes its default, timeoutMs that of request.timeout.ms. */
typedef void (*kc_json_response_fn)(kc_err err, const kc_error *error, int16_t version,
                                    kc_bytes json, void *user);
KC_API KC_NODISCARD kc_err kc_call_json(kc_client *client, kc_bytes api_name, kc_bytes json,
                                        const kc_call_options *options, kc_json_response_fn fn,
                                        void *user, kc_error *err);

#ifdef __cplusplus
}
#endif
#endif
