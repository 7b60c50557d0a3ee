/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The embedded broker: a Kafka cluster inside a process, for tests. It starts in milliseconds, speaks the protocol as
 * Apache Kafka 4.3 does over real TCP, and fails when told to.
 *
 * It is no storage: everything is kept in memory and gone with kc_mock_free(). No TLS. Any client may use it, also one
 * of another process or language.
 *
 *     kc_mock *mock;
 *     kc_mock_options options;
 *     kc_mock_options_init(&options);
 *     options.brokers = 3;
 *     if (kc_mock_new(&options, &mock, &err) == KC_OK && kc_mock_start(mock, &err) == KC_OK)
 *         kc_config_set(config, "bootstrap.servers", kc_mock_bootstrap(mock), &err);
 *
 * Threads: a mock needs somebody who serves it: its own thread (kc_mock_start()), or a loop (kc_mock_fd(),
 * kc_mock_dispatch()). Everything else is allowed from any thread at any time, before the start too: a turn and a
 * control call take turns, and a control call has taken effect when it returns. The exceptions are kc_mock_free() and,
 * inside callbacks of the mock (log, rewrite, lines), every call but kc_mock_wake(), kc_mock_bootstrap() and
 * kc_mock_request_alloc(): KC_ERR_STATE.
 *
 * Every fallible call may also return KC_ERR_NOMEM (memory_bytes_max) and, in a child of the process that made the
 * mock, KC_ERR_FORKED. Brokers have the ids 1 to `brokers`. */
#ifndef KAFKAC_MOCK_H
#define KAFKAC_MOCK_H

#include <kafkac/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kc_mock kc_mock;

#define KC_MOCK_BROKERS_MAX 32
/** Least memory_bytes_max with which one starts and serves a little. */
#define KC_MOCK_MEMORY_BYTES_MIN 131072

/** Who may connect where users are named: by SASL with PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. */
typedef struct kc_mock_user {
    const char *name, *password; /**< not empty */
} kc_mock_user;

/** What a broker's server.properties would say, and where it listens. Make it by kc_mock_options_init(). */
typedef struct kc_mock_options {
    size_t size;             /**< sizeof(kc_mock_options)                            */
    int32_t brokers;         /**< 1 to KC_MOCK_BROKERS_MAX; default 1                 */
    int32_t port;            /**< of broker 1, + 1 for each further one; 0: free ones */
    const char *listen_host; /**< an IP address, v6 too; NULL: 127.0.0.1              */
    /** What clients are told, at most 255 bytes. NULL: the address they listen on, of a wildcard (0.0.0.0, ::) the
     * loopback one. */
    const char *advertised_host;
    bool auto_create_topics; /**< topics are made when asked for; default true        */
    int32_t partitions;      /**< of topics made without a number: 1 to 100,000       */
    int16_t replication;     /**< likewise, 1 to 8 and at most `brokers`; 0: 3 if there are */
    /** Until a record is on all replicas, and readable: 0 (default) to 60,000. Until then kc_mock_broker_down() with
     * loss takes it along. */
    int32_t replication_ms;
    int32_t group_initial_delay_ms;  /**< of a new group's first rebalance: 0 (default) to 60,000 */
    int32_t connections_max_idle_ms; /**< 0 (default): never closed                               */
    /** Copied. With any, every connection must say who it is (SASL_PLAINTEXT). */
    const kc_mock_user *users;
    size_t user_count;
    int32_t sasl_session_ms; /**< until a session ends (KIP-368): 0: never, to 86,400,000 */
    /** Of all it holds; 0: no limit; default 1 GiB; see KC_MOCK_MEMORY_BYTES_MIN. Used up, Produce is answered with
     * KAFKA_STORAGE_ERROR where the request itself still fits, and other requests cost their connection; a line of
     * KC_LOG_WARNING tells it once. */
    size_t memory_bytes_max;
    uint64_t seed;         /**< of ids; 0: another one each time                    */
    const kc_alloc *alloc; /**< NULL: the C library's; copied. By one thread at a time */
    kc_log_fn log;         /**< NULL: no log. On the thread that serves or controls */
    void *log_user;
    kc_log_level
        log_level; /**< KC_LOG_INFO tells connections and refused logins; default KC_LOG_WARNING */
} kc_mock_options;

/** All defaults. */
KC_API void kc_mock_options_init(kc_mock_options *options);

/**
 * Make a cluster. Its ports are open from here on, and answered as soon as it is served.
 *
 * @param options   NULL: all defaults. Copied, with the texts.
 * @param mock_out  Untouched unless KC_OK is returned.
 * @retval KC_OK
 * @retval KC_ERR_ARGUMENT  Out of the range above; the error says which.
 * @retval KC_ERR_IO        A port can't be had, or no descriptor is left (os_errno).
 */
KC_API KC_NODISCARD kc_err kc_mock_new(const kc_mock_options *options, kc_mock **mock_out,
                                       kc_error *err);

/** Stop its thread, close all connections, free everything. No other call may be under way. NULL is allowed. In a
 * child of the process that made it only the child's copies of the listeners are closed, and the memory stays. */
KC_API void kc_mock_free(kc_mock *mock);

/** "127.0.0.1:4711,127.0.0.1:4712": all brokers, also those that are down. Valid until kc_mock_free(). */
KC_API const char *kc_mock_bootstrap(const kc_mock *mock);

/* ---- serving ---- */

/** The fd to wait on for reading: readable means "call kc_mock_dispatch()". Level-triggered; may be added to poll,
 * epoll, libuv, libevent. */
KC_API int kc_mock_fd(kc_mock *mock);

/**
 * One turn: take what arrived, answer.
 *
 * @param timeout_ms  Longest wait: 0 never blocks, -1 until something happens.
 * @retval KC_OK
 * @retval KC_ERR_STATE  It has a thread; or inside a callback of it.
 * @retval KC_ERR_IO     A system call failed: the mock can't go on.
 */
KC_API kc_err kc_mock_dispatch(kc_mock *mock, int timeout_ms);

/** End a dispatch that waits, or the next one. From any thread and from a signal handler. */
KC_API void kc_mock_wake(kc_mock *mock);

/**
 * Start the one thread that serves it until kc_mock_stop(), for programs that block: a client in the same process then
 * works as with a broker elsewhere. Signals are blocked on it.
 *
 * @retval KC_OK, KC_ERR_STATE (started already, in a callback), KC_ERR_IO (no thread left: os_errno).
 */
KC_API KC_NODISCARD kc_err kc_mock_start(kc_mock *mock, kc_error *err);
/** End the thread. Connections stay and wait. KC_OK, KC_ERR_STATE (not started, in a callback). */
KC_API kc_err kc_mock_stop(kc_mock *mock);

/* ---- topics ---- */

/**
 * Make a topic, as CreateTopics (key 19) does.
 *
 * @param partitions   1 to 100,000; -1: the default.
 * @param replication  1 to 8 and at most the number of brokers; -1: the default.
 * @retval KC_OK, or Kafka's code (<kafkac/unstable/errors.h>): KC_E_TOPIC_ALREADY_EXISTS,
 * KC_E_INVALID_TOPIC_EXCEPTION, KC_E_INVALID_PARTITIONS, KC_E_INVALID_REPLICATION_FACTOR.
 */
KC_API KC_NODISCARD kc_err kc_mock_topic_create(kc_mock *mock, const char *name, int32_t partitions,
                                                int16_t replication, kc_error *err);
/** KC_OK, KC_E_UNKNOWN_TOPIC_OR_PARTITION, KC_ERR_ARGUMENT (one of the brokers' own). */
KC_API kc_err kc_mock_topic_delete(kc_mock *mock, const char *name, kc_error *err);
/** Delete it and make it again, empty, with the same name, partitions and configuration and another id (KIP-516).
 * As kc_mock_topic_delete(). */
KC_API kc_err kc_mock_topic_recreate(kc_mock *mock, const char *name, kc_error *err);

/** One partition as it is now. */
typedef struct kc_mock_partition {
    size_t size;          /**< sizeof(kc_mock_partition), set by the caller */
    int32_t leader;       /**< -1: none is up                               */
    int32_t leader_epoch; /**< KIP-101                                      */
    int64_t start_offset, high_watermark, end_offset;
} kc_mock_partition;
/** KC_OK, KC_E_UNKNOWN_TOPIC_OR_PARTITION, KC_ERR_ARGUMENT (size). */
KC_API KC_NODISCARD kc_err kc_mock_partition_get(kc_mock *mock, const char *topic,
                                                 int32_t partition, kc_mock_partition *out,
                                                 kc_error *err);

/**
 * Another broker leads from now on, with the next epoch. The one that leads already: only the epoch grows.
 *
 * @param broker_id  A replica of the partition that is up.
 * @retval KC_OK, KC_E_UNKNOWN_TOPIC_OR_PARTITION, KC_ERR_ARGUMENT (no such replica), KC_ERR_STATE (it is down).
 */
KC_API kc_err kc_mock_leader_move(kc_mock *mock, const char *topic, int32_t partition,
                                  int32_t broker_id, kc_error *err);
/** The same leader, the next epoch: who holds the old one is fenced (KIP-320). As kc_mock_leader_move(). */
KC_API kc_err kc_mock_epoch_bump(kc_mock *mock, const char *topic, int32_t partition,
                                 kc_error *err);

typedef enum kc_mock_coordinator {
    KC_MOCK_GROUP,       /**< of a consumer group                */
    KC_MOCK_TRANSACTION, /**< of a transactional id              */
} kc_mock_coordinator;
/** Who coordinates `key`, -1: nobody. */
KC_API KC_NODISCARD kc_err kc_mock_coordinator_get(kc_mock *mock, kc_mock_coordinator kind,
                                                   const char *key, int32_t *broker_id_out,
                                                   kc_error *err);
/** Another broker coordinates `key`, and every key of the same partition of __consumer_offsets or
 * __transaction_state, which it takes over with all they hold. As kc_mock_leader_move(). */
KC_API kc_err kc_mock_coordinator_move(kc_mock *mock, kc_mock_coordinator kind, const char *key,
                                       int32_t broker_id, kc_error *err);

/* ---- brokers and the network ---- */

/** What becomes of records that only the leader has: see replication_ms. */
typedef enum kc_mock_loss {
    KC_MOCK_KEEP, /**< they are on the next leader: a process that was killed     */
    KC_MOCK_LOSE, /**< they are gone where a topic has replicas, as with a power cut */
} kc_mock_loss;
/** Its process ends: connections are reset, new ones refused, its partitions get other leaders.
 * KC_OK (also when it is down already), KC_ERR_ARGUMENT (no such broker); so all that name a broker. */
KC_API kc_err kc_mock_broker_down(kc_mock *mock, int32_t broker_id, kc_mock_loss loss,
                                  kc_error *err);
/** It listens again, at the same port; what had no leader has one. Also KC_ERR_IO: the port can't be had any more. */
KC_API kc_err kc_mock_broker_up(kc_mock *mock, int32_t broker_id, kc_error *err);
/** Reset the connections of a broker; 0: of all. They may come back at once. */
KC_API kc_err kc_mock_cut(kc_mock *mock, int32_t broker_id, kc_error *err);

/**
 * How the network between the clients and a broker is. The brokers still see each other, so leaders stay.
 *
 * @param broker_id         0: all.
 * @param is_cut_off        Nothing moves and nothing is closed until this is called again: a partition of the network.
 *                          New connections seem to be made, as the system's handshake goes on.
 * @param bytes_per_second  Each way, for all its connections together: 1 to 1,000,000,000; 0: no limit.
 */
KC_API kc_err kc_mock_link_set(kc_mock *mock, int32_t broker_id, bool is_cut_off,
                               int64_t bytes_per_second, kc_error *err);
/** Connections open to a broker; 0: to all. */
KC_API KC_NODISCARD kc_err kc_mock_connections(kc_mock *mock, int32_t broker_id, size_t *count_out,
                                               kc_error *err);

/* ---- faults by rule ---- */

/** What becomes of the request and its connection. */
typedef enum kc_mock_end {
    KC_MOCK_ANSWER,       /**< it is answered                                             */
    KC_MOCK_CLOSE_BEFORE, /**< closed, nothing was done                                   */
    KC_MOCK_CLOSE_AFTER,  /**< done, and closed in place of the answer                    */
    KC_MOCK_DROP,         /**< done, the answer never comes; the connection stays and waits */
} kc_mock_end;

/** A request, as a rewrite sees it; valid during the call. */
typedef struct kc_mock_request {
    int32_t broker_id; /**< who got it */
    int16_t api_key;
    int16_t version;
    int32_t correlation_id;
    kc_bytes client_id;
    const void *message; /**< kp_..._req of <kafkac/unstable/messages.h> */
    void *private_state;
} kc_mock_request;
/** Zeroed memory for a rewritten answer, as long as that needs it. NULL: none left, or no `count`. */
KC_API void *kc_mock_request_alloc(const kc_mock_request *request, size_t count, size_t size);

/** Change the decoded answer, `kp_..._resp` of <kafkac/unstable/messages.h>. On the thread that serves, or inside a
 * control call which ends a request that was held; must not call the mock. Not called any more once the rule is gone.
 *
 *     static void on_metadata(const kc_mock_request *request, void *response, void *user)
 *     {
 *         kp_metadata_resp *answer = response; // as fault.api_key is KP_API_METADATA
 *         answer->controller_id = -1;
 *     } */
typedef void (*kc_mock_rewrite_fn)(const kc_mock_request *request, void *response, void *user);

/** A rule. Of those that fit a request the oldest is used. Make it by kc_mock_fault_init().
 *
 * Several of "what happens" may be set, and come in this order: KC_MOCK_CLOSE_BEFORE, with which nothing else happens;
 * delay_ms; error, in place of what the request does; throttle_ms in the answer; rewrite, which sees all of that and
 * has the last word; answer_delay_ms; end. With KC_MOCK_CLOSE_AFTER and KC_MOCK_DROP rewrite is called too, and nobody
 * is told what it, error and throttle_ms say. A Produce with acks=0 has no answer: rewrite is not called. */
typedef struct kc_mock_fault {
    size_t size; /**< sizeof(kc_mock_fault) */
    /* which requests */
    int16_t api_key;   /**< KP_API_... of <kafkac/unstable/messages.h>; -1: any */
    int32_t broker_id; /**< 0: any                                              */
    uint32_t skip;     /**< let so many pass first                              */
    uint32_t every;    /**< then every so-many-th; 0 and 1: each                */
    uint32_t count;    /**< at most so often; 0: for ever                       */
    /* what happens */
    int32_t delay_ms;        /**< before it is served: 0 to 86,400,000    */
    int32_t answer_delay_ms; /**< after, before the answer leaves         */
    /** KC_E_... of <kafkac/unstable/errors.h>: nothing is done, and the answer says this wherever it can; 0: none. */
    int16_t error;
    /** Told in the answer, and nothing further of the connection is read for so long (KIP-219): 0 to 86,400,000. */
    int32_t throttle_ms;
    kc_mock_end end;
    kc_mock_rewrite_fn rewrite; /**< NULL: none */
    void *user; /**< handed to rewrite; must live until the rule is removed or the mock freed */
} kc_mock_fault;

/** A rule that fits each request and does nothing: it counts them. */
KC_API void kc_mock_fault_init(kc_mock_fault *fault);
/** Add a rule, which is copied. @param number_out  Its number, from 1; may be NULL. @retval KC_OK, KC_ERR_ARGUMENT
 * (size, a number out of range, a broker or API that is not there). */
KC_API KC_NODISCARD kc_err kc_mock_fault_add(kc_mock *mock, const kc_mock_fault *fault,
                                             uint32_t *number_out, kc_error *err);
/** KC_OK, KC_ERR_NOT_FOUND. A request that is being delayed by it goes on. */
KC_API kc_err kc_mock_fault_remove(kc_mock *mock, uint32_t number, kc_error *err);
/** Remove all. */
KC_API kc_err kc_mock_fault_clear(kc_mock *mock, kc_error *err);
/** How many requests it met. KC_OK, KC_ERR_NOT_FOUND. */
KC_API KC_NODISCARD kc_err kc_mock_fault_hits(kc_mock *mock, uint32_t number, uint32_t *hits_out,
                                              kc_error *err);

/* ---- commands in words ---- */

/** One line of a command's answer, valid during the call, which must not call the mock. */
typedef void (*kc_mock_line_fn)(const char *line, void *user);

/**
 * Do what one line of text says; `officeflow broker` takes its own from here. "help" lists them all:
 *
 *     broker 2 down            fault api=Fetch,nth=3,error=NOT_LEADER_OR_FOLLOWER
 *     broker 2 up              topic create orders 6
 *     move orders 0 to 3       at 5s broker 2 down
 *
 * @param fn  Gets the lines of the answer; NULL: nobody. For "at ..." it is called later, by who serves then, until
 *            the mock is freed.
 * @retval KC_OK
 * @retval KC_ERR_ARGUMENT  Not understood: the error says what was expected. Of "at" the rest is looked at at once.
 *         Else what the call of the same job returns.
 */
KC_API KC_NODISCARD kc_err kc_mock_command(kc_mock *mock, const char *text, kc_mock_line_fn fn,
                                           void *user, kc_error *err);

#ifdef __cplusplus
}
#endif
#endif
