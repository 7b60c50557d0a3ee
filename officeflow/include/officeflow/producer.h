/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sending events: envelope, headers, key rule, correlation id and trace context are filled in. */
#ifndef OFFICEFLOW_PRODUCER_H
#define OFFICEFLOW_PRODUCER_H

#include <kafkac/producer.h>
#include <officeflow/event.h>
#include <officeflow/platform.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct of_producer of_producer;

typedef struct of_producer_options {
    of_wire_mode mode; /**< OF_WIRE_ENVELOPE */
    bool ce_headers;   /**< in envelope mode also write ce_ headers */
} of_producer_options;

/** @param options  NULL: defaults. @retval KC_OK, KC_ERR_CONFIG, KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err of_producer_open(of_platform *platform,
                                            const of_producer_options *options,
                                            of_producer **producer_out, kc_error *err);
/** Unacknowledged events end with KC_ERR_CLOSED: flush first. NULL is allowed. */
KC_API void of_producer_close(of_producer *producer);

/** Result of one event; valid during the callback. */
typedef struct of_sent {
    kc_err err;
    const kc_error *error;
    kc_bytes topic;
    int32_t partition;
    int64_t offset;
    kc_bytes id, correlation_id; /**< as written */
} of_sent;
typedef void (*of_sent_fn)(const of_sent *sent, void *user);

/**
 * Send to the topic named as the event's type (an organisation's one for employee.* types).
 *
 * @param fn  Called exactly once from dispatch if KC_OK was returned. May be NULL.
 * @retval KC_OK
 * @retval KC_ERR_ARGUMENT     Type missing or unknown to the catalogue, payload no valid JSON
 * (unless ce-binary), metadata no object, a strict family without a key (the error names the
 * pointers looked at), employee.* without organization_id.
 * @retval KC_ERR_BUFFER_FULL, KC_ERR_TOO_LARGE, KC_ERR_NOMEM, KC_ERR_STATE  as kc_producer_send().
 */
KC_API KC_NODISCARD kc_err of_producer_send(of_producer *producer, const of_event *event,
                                            of_sent_fn fn, void *user, kc_error *err);
/** The seed's sendToOrganizationTopic(): to `type`.`org`; event->type defaults to `type`. */
KC_API KC_NODISCARD kc_err of_producer_send_org(of_producer *producer, const char *type,
                                                const char *org, const of_event *event,
                                                of_sent_fn fn, void *user, kc_error *err);
/** Several; accepted in order until one is refused: *accepted_out tells how many were. */
KC_API KC_NODISCARD kc_err of_producer_send_batch(of_producer *producer, const of_event *events,
                                                  size_t count, size_t *accepted_out, of_sent_fn fn,
                                                  void *user, kc_error *err);
/** Dispatch until all is acknowledged or failed. As kc_producer_flush(). */
KC_API KC_NODISCARD kc_err of_producer_flush(of_producer *producer, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
