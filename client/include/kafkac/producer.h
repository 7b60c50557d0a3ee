/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The producer: records are encoded straight into the open batch of their partition and sent by broker. */
#ifndef KAFKAC_PRODUCER_H
#define KAFKAC_PRODUCER_H

#include <kafkac/client.h>
#include <kafkac/record.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A producer on a client.
 *
 * Delivery is at least once and in order for each partition: a batch is sent again until it is acknowledged, refused for
 * good, or older than delivery.timeout.ms, and until then nothing behind it is sent. What was written just before its
 * connection was lost may so be in the log twice, as long as there is no idempotence.
 *
 * A batch of a partition is sent when it has batch.size bytes, when it is linger.ms old, or when flushed. As long as it
 * can't be, because the batch before it is not acknowledged yet, it goes on growing, to 16 times batch.size and at
 * most 512 KiB, so that few large batches follow rather than many small ones.
 *
 * Thread: the client's.
 */
typedef struct kc_producer kc_producer;
/** A topic looked up once, so that a send needs no look-up by name. Lives as long as its producer. */
typedef struct kc_topic kc_topic;

/** What became of a record; valid during the callback. */
typedef struct kc_delivery {
    kc_err err;            /**< KC_OK: acknowledged as `acks` asks                     */
    const kc_error *error; /**< detail, when err is not KC_OK                          */
    kc_bytes topic;
    int32_t partition;    /**< -1: failed before one was chosen                       */
    int64_t offset;       /**< -1: not known (acks=0, or failed)                      */
    int64_t timestamp_ms; /**< the broker's append time where it tells, else our own  */
} kc_delivery;
typedef void (*kc_delivery_fn)(const kc_delivery *delivery, void *user);

/** Open a producer. Properties: those of scope producer in docs/configuration.md.
 *  @param config  NULL: the client's. @retval KC_OK, KC_ERR_CONFIG, KC_ERR_NOMEM, KC_ERR_STATE. */
KC_API KC_NODISCARD kc_err kc_producer_open(kc_client *client, const kc_config *config,
                                            kc_producer **producer_out, kc_error *err);

/** Fail what was not acknowledged with KC_ERR_CLOSED (callbacks run inside) and free. Flush first to lose nothing.
 *  Allowed in a callback, also of this producer. NULL is allowed. */
KC_API void kc_producer_close(kc_producer *producer);

/** Handle of a topic. @retval KC_OK, KC_ERR_ARGUMENT (name empty, longer than 249, or with characters other than
 *  letters, digits, '.', '_', '-'), KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err kc_producer_topic(kc_producer *producer, kc_bytes name,
                                             kc_topic **topic_out, kc_error *err);

/**
 * Queue one record for delivery.
 *
 * Key, value and headers are copied; the caller keeps its memory. Returns at once: nothing reaches a socket before
 * the next kc_client_dispatch().
 *
 * @param record   record->topic must be set.
 * @param fn       Called exactly once, from dispatch, if and only if KC_OK was returned; also at close. NULL: failures
 *                 of this record are seen only in kc_producer_stats_get().
 * @param user     Handed to fn unchanged.
 * @param err      May be NULL; written only when the call fails.
 *
 * @retval KC_OK               Accepted.
 * @retval KC_ERR_BUFFER_FULL  buffer.memory is used up: dispatch, then send again.
 * @retval KC_ERR_TOO_LARGE    Above max.request.size: never try again.
 * @retval KC_ERR_ARGUMENT     Topic name not legal; partition or timestamp below -1; a partition the topic, once it is
 *                             known, does not have; a null key, value or header list with a length.
 * @retval KC_ERR_NOMEM        memory.bytes.max reached.
 * @retval KC_ERR_STATE        Closing.
 *
 * Thread: the client's. Cost: one copy, no allocation in the steady state, no clock read.
 * Spec: Produce (key 0), KIP-480 (sticky partitions for null keys).
 */
KC_API KC_NODISCARD kc_err kc_producer_send(kc_producer *producer, const kc_record *record,
                                            kc_delivery_fn fn, void *user, kc_error *err);
/** The same by handle; record->topic is ignored. */
KC_API KC_NODISCARD kc_err kc_producer_send_to(kc_topic *topic, const kc_record *record,
                                               kc_delivery_fn fn, void *user, kc_error *err);

/** Send without waiting for linger.ms what is queued now. Does not wait for it. */
KC_API void kc_producer_flush_start(kc_producer *producer);
/** Dispatch until everything queued now is acknowledged or has failed; what callbacks send meanwhile is not waited
 *  for. @param timeout_ms -1: no limit.
 *  @retval KC_OK (see the stats or callbacks for failures), KC_ERR_TIMEOUT (they stay queued), KC_ERR_STATE (in a
 *          callback, closed), KC_ERR_FORKED, KC_ERR_IO. kc_producer_last_error() then says why: after
 *          KC_ERR_TIMEOUT what holds them up. */
KC_API KC_NODISCARD kc_err kc_producer_flush(kc_producer *producer, int timeout_ms);

/** Called from dispatch, once for each time sends gave KC_ERR_BUFFER_FULL, when they may succeed again. One function
 *  at a time; NULL removes it. */
KC_API void kc_producer_on_room(kc_producer *producer, void (*fn)(void *user), void *user);

typedef struct kc_producer_stats {
    uint64_t records_acked, records_failed; /**< since open                               */
    uint64_t bytes_acked;                   /**< of batches as sent                       */
    uint64_t batches_sent, requests_sent, retries;
    uint64_t records_pending; /**< accepted, not yet acknowledged or failed */
    size_t buffer_bytes;      /**< of buffer.memory in use                  */
} kc_producer_stats;
KC_API void kc_producer_stats_get(const kc_producer *producer, kc_producer_stats *stats_out);
/** The last failure of records or of a flush; code KC_OK: none. */
KC_API void kc_producer_last_error(const kc_producer *producer, kc_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
