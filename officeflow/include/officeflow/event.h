/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * An OfficeFlow event in memory, and its three forms on the wire: the platform's JSON envelope,
 * CloudEvents structured, CloudEvents binary. Payload bytes are never re-serialised. */
#ifndef OFFICEFLOW_EVENT_H
#define OFFICEFLOW_EVENT_H

#include <kafkac/consumer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Form on the wire. Reading tells by itself which one it is. */
typedef enum of_wire_mode {
    OF_WIRE_ENVELOPE,      /**< JSON envelope, content-type application/json             */
    OF_WIRE_CE_STRUCTURED, /**< application/cloudevents+json                             */
    OF_WIRE_CE_BINARY,     /**< payload is the value, attributes are ce_ headers         */
    OF_WIRE_RAW,           /**< read only: none of these; only type-less raw handlers    */
} of_wire_mode;

/** Limits of text members, in bytes. */
#define OF_ID_MAX   128
#define OF_TYPE_MAX 200

/**
 * An event. All slices point into memory of somebody else: of the caller when sending, of the
 * record when received (valid during the handler). Null slice: absent.
 */
typedef struct of_event {
    kc_bytes id;          /**< UUIDv7; made when absent on send                                  */
    kc_bytes type;        /**< "employee.onboard"; required                                      */
    kc_bytes version;     /**< "MAJOR.MINOR"; default "1.0"                                      */
    int64_t timestamp_ms; /**< ms since 1970; 0 on send: now                                     */
    kc_bytes organization_id;
    kc_bytes correlation_id; /**< one per business transaction; made when absent on send */
    kc_bytes causation_id; /**< id of the event that caused this one                              */
    kc_bytes source;       /**< metadata.source; default on send: the platform's client id        */
    kc_bytes subject;      /**< CloudEvents subject                                               */
    kc_bytes metadata;     /**< JSON object, raw; null: none                                      */
    kc_bytes payload;      /**< raw JSON, or any bytes in ce-binary; null: tombstone              */
    kc_bytes content_type; /**< of the payload; default application/json                          */
    int64_t expires_ms;    /**< ms since 1970; 0: never                                           */
    kc_bytes traceparent, tracestate,
        baggage;  /**< W3C; creation context, never rewritten per hop   */
    kc_bytes key; /**< record key; null on send: by the family's key rule                */
    const kc_header *headers; /**< further (foreign) headers, in order */
    size_t header_count;
    of_wire_mode mode; /**< form it was read from                                             */
    bool is_tombstone;
    kc_bytes value; /**< the record's value as received; not looked at on send */
} of_event;

/** Member of the payload or metadata as text (strings unescaped), by JSON pointer below the event,
 * as
 *  "/payload/employeeId". Writes at most `cap` bytes and a zero. False: not there, no scalar, or
 * too long. */
KC_API bool of_event_get(const of_event *event, const char *pointer, char *text_out, size_t cap);

/** Reads records as events, for tools that consume by kc_consumer. Holds the memory of one event. */
typedef struct of_decoder of_decoder;
/** NULL out of memory. */
KC_API KC_NODISCARD of_decoder *of_decoder_new(void);
/** NULL is allowed. */
KC_API void of_decoder_free(of_decoder *decoder);
/**
 * Decode a record of this place; the event is valid until the next call and as long as the record.
 *
 * @retval KC_OK
 * @retval KC_ERR_MALFORMED  No event: mode is OF_WIRE_RAW, payload the value, the rest from the headers; `err` says why.
 * @retval KC_ERR_NOMEM
 */
KC_API KC_NODISCARD kc_err of_event_decode(of_decoder *decoder, kc_bytes topic, int32_t partition,
                                           const kc_view *view, of_event *event_out, kc_error *err);

#ifdef __cplusplus
}
#endif
#endif
