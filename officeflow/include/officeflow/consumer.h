/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Handling events: handlers by type, wildcard subscription, retries, dead letters, offsets that
 * move only past what was handled (at least once). */
#ifndef OFFICEFLOW_CONSUMER_H
#define OFFICEFLOW_CONSUMER_H

#include <officeflow/event.h>
#include <officeflow/platform.h>
#include <officeflow/producer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct of_consumer of_consumer;
/** A handler's context; valid until the event is answered. */
typedef struct of_ctx of_ctx;

/** A handler's answer. */
typedef enum of_result {
    OF_OK,
    OF_RETRY, /**< failed, try again by the policy                                              */
    OF_PERMANENT, /**< failed, never try again: dead letter */
    OF_DISCARD, /**< not wanted: acknowledged and counted                                         */
    OF_BUSY,    /**< not now (a breaker is open): tried later, costs no attempt                   */
    OF_ASYNC,   /**< answered later by of_complete()                                              */
} of_result;
typedef of_result (*of_handler_fn)(const of_event *event, of_ctx *ctx, void *user);

KC_API int32_t of_ctx_attempt(const of_ctx *ctx); /**< from 1, over all stages */
KC_API of_stage of_ctx_stage(const of_ctx *ctx);
KC_API int32_t of_ctx_redrive(const of_ctx *ctx);         /**< n-th redrive; 0: none */
KC_API int64_t of_ctx_first_failed_ms(const of_ctx *ctx); /**< 0: did not fail yet */
KC_API const char *of_ctx_group(const of_ctx *ctx);
/** Where the event stood first (not the retry topic it may have come through). */
KC_API kc_bytes of_ctx_topic(const of_ctx *ctx);
KC_API int32_t of_ctx_partition(const of_ctx *ctx);
KC_API int64_t of_ctx_offset(const of_ctx *ctx);
KC_API const of_trace *of_ctx_trace(const of_ctx *ctx);
/** Stable over redeliveries: the event's id, else its origin. Zero-terminated, valid as the ctx. */
KC_API const char *of_idempotency_key(const of_ctx *ctx);

/** Say why, before returning OF_RETRY or OF_PERMANENT. code: low-cardinality ("smtp_421"), cut at
 * 64 bytes. */
KC_API void of_fail(of_ctx *ctx, const char *code, const char *fmt, ...) KC_PRINTF(3, 4);
/** Ask for a delay, then return OF_RETRY. */
KC_API void of_retry_after(of_ctx *ctx, int64_t delay_ms);
/** Send an event caused by this one (correlation, causation, trace context and organisation
 * inherited): it is acknowledged before this one's offset moves. As of_producer_send(). */
KC_API KC_NODISCARD kc_err of_emit(of_ctx *ctx, const of_event *event, kc_error *err);
/** True when the answer is not wanted any more (partition revoked, shutting down). */
KC_API bool of_cancelled(const of_ctx *ctx);
/** Answer an event whose handler returned OF_ASYNC; exactly once, from the platform's thread. The
 * ctx is gone then. What is not answered when of_consumer_close() returns is given up: its ctx is
 * gone too, and the event comes again. */
KC_API void of_complete(of_ctx *ctx, of_result result);

typedef enum of_unhandled {
    OF_UNHANDLED_ACK, /**< acknowledge; told as OF_NOTICE_UNHANDLED */
    OF_UNHANDLED_DLQ,
    OF_UNHANDLED_FAIL, /**< stop the consumer */
} of_unhandled;

/** What happened to events, as it happens; for logs, tests and the demo. Valid during the callback.
 */
typedef struct of_notice {
    enum of_notice_kind {
        OF_NOTICE_HANDLED,
        OF_NOTICE_FAILED,     /**< a try failed; `verdict` says what comes next */
        OF_NOTICE_RETRY_SENT, /**< acknowledged on a delayed topic               */
        OF_NOTICE_DEAD,       /**< acknowledged on the DLQ                       */
        OF_NOTICE_DISCARDED,
        OF_NOTICE_UNHANDLED,
        OF_NOTICE_EXPIRED,
        OF_NOTICE_GAP,     /**< offset out of range: `lost` records are gone  */
        OF_NOTICE_BREAKER, /**< a breaker holds the partition back            */
        OF_NOTICE_ERROR,   /**< `error` of the client                         */
    } kind;
    const of_event *event; /**< NULL where there is none */
    kc_bytes topic;        /**< origin */
    int32_t partition;
    int64_t offset;
    int32_t attempt;
    of_stage stage;
    of_verdict verdict;
    const char *code, *message; /**< of of_fail(); "" */
    const char *dead_letter_id; /**< of OF_NOTICE_DEAD; else NULL */
    int64_t took_ms;
    int64_t lost;
    const kc_error *error;
} of_notice;
typedef void (*of_notice_fn)(const of_notice *notice, void *user);

/** of_consumer_options_init() sets the defaults. */
typedef struct of_consumer_options {
    of_unhandled unhandled;     /**< OF_UNHANDLED_ACK */
    int64_t commit_interval_ms; /**< 1000 */
    of_notice_fn on_notice;     /**< NULL: none */
    void *notice_user;
    const of_breaker_options *handler_breaker; /**< copied; NULL: defaults */
    bool no_retry_topics;                      /**< do not read retry.<group>.* (tail and tools) */
} of_consumer_options;
KC_API void of_consumer_options_init(of_consumer_options *options);

/** @param group  One of the catalogue's or your own. @retval KC_OK, KC_ERR_ARGUMENT, KC_ERR_CONFIG,
 * KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err of_consumer_open(of_platform *platform, const char *group,
                                            const of_consumer_options *options,
                                            of_consumer **consumer_out, kc_error *err);
/** Handler of a type or a type pattern ("employee.*", "**"); exact wins, then the longest literal
 * prefix. Registering again replaces. Thread and time: handlers run inside dispatch; a handler that
 * blocks holds up heartbeats, so long work returns OF_ASYNC. */
KC_API KC_NODISCARD kc_err of_consumer_handle(of_consumer *consumer, const char *type,
                                              of_handler_fn fn, void *user, kc_error *err);
/** Handler options: breakers it needs (by name), tombstones, raw bytes, version major (-1: any). */
typedef struct of_handler_options {
    const char *const *breakers;
    size_t breaker_count;
    bool accepts_tombstones;
    bool accepts_raw;
    int32_t major;
} of_handler_options;
KC_API KC_NODISCARD kc_err of_consumer_handle_with(of_consumer *consumer, const char *type,
                                                   of_handler_fn fn, void *user,
                                                   const of_handler_options *options,
                                                   kc_error *err);
/** Subscribe topics and patterns ("employee.onboard.*"). `from_beginning` holds when the group
 * starts for the very first time, with nothing committed for any topic, and for the topics that are
 * there then: they begin at the end of the log where it is false. Topics that the group has not
 * read before start at their beginning always. NULL patterns: the catalogue's for this group. */
KC_API KC_NODISCARD kc_err of_consumer_subscribe(of_consumer *consumer, const char *const *patterns,
                                                 size_t count, bool from_beginning, kc_error *err);
/** Dispatch until of_consumer_stop() or a fatal error, then drain and close what is under way
 * (blocking helper). */
KC_API KC_NODISCARD kc_err of_consumer_run(of_consumer *consumer, kc_error *err);
/** Begin to stop: nothing new is dispatched, waits are cancelled, acknowledged offsets committed,
 * the group left, up to `drain_ms`. Any thread's signal handler may call it. */
KC_API void of_consumer_stop(of_consumer *consumer, int32_t drain_ms);
/** True once stopped, drained and left. */
KC_API bool of_consumer_is_stopped(const of_consumer *consumer);
/** Stop (drain_ms as above, dispatching) if needed, and free. In a callback it stops only: close it
 * again outside, or the platform. */
KC_API void of_consumer_close(of_consumer *consumer, int32_t drain_ms);

typedef struct of_consumer_stats {
    uint64_t handled, failed_tries, retried, dead, discarded, unhandled, expired, deserialization;
    uint32_t partitions, waiting; /**< partitions owned; those whose head waits for a retry, a due
                                     time or a breaker */
} of_consumer_stats;
KC_API void of_consumer_stats_get(const of_consumer *consumer, of_consumer_stats *stats_out);

/** Deliver bytes to the registered handlers without a broker: unit tests of handlers. Emitted
 * events are given to `on_emit`. */
KC_API of_result of_test_deliver(of_consumer *consumer, kc_bytes value, const kc_header *headers,
                                 size_t header_count,
                                 void (*on_emit)(const of_event *event, void *user), void *user);

#ifdef __cplusplus
}
#endif
#endif
