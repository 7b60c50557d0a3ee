/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Events to and from records: value and headers in the three wire modes. Payload bytes pass
 * unchanged. */
#ifndef OF_WIRE_H
#define OF_WIRE_H

#include "protocol/base/arena.h"

#include <officeflow/event.h>

/* header names; the values are UTF-8 text, numbers in decimal, one value a name, read = last wins
 */
#define OF_H_CONTENT_TYPE "content-type"
#define OF_H_ENVELOPE     "of-envelope"
#define OF_H_ID           "of-id"
#define OF_H_TYPE         "of-type"
#define OF_H_VERSION      "of-version"
#define OF_H_ORG          "of-org"
#define OF_H_CORRELATION  "of-correlation-id"
#define OF_H_CAUSATION    "of-causation-id"
#define OF_H_SOURCE       "of-source"
#define OF_H_EXPIRES      "of-expires"
#define OF_H_TRACEPARENT  "traceparent"
#define OF_H_TRACESTATE   "tracestate"
#define OF_H_BAGGAGE      "baggage"
/* retry topics and redrive */
#define OF_H_ATTEMPT      "of-attempt"
#define OF_H_FIRST_FAILED "of-first-failed"
#define OF_H_DUE          "of-due"
#define OF_H_ORIGIN       "of-origin"
#define OF_H_STAGE        "of-stage"
#define OF_H_GROUP        "of-group"
#define OF_H_REDRIVE      "of-redrive"
#define OF_H_REDRIVE_OF   "of-redrive-of"
#define OF_H_REDRIVE_BY   "of-redrive-by"

/** A growing list of headers in an arena. */
typedef struct of_headers {
    kb_arena *arena;
    kc_header *items;
    size_t count, cap;
    bool is_failed; /**< out of memory; sticks */
} of_headers;

void of_headers_init(of_headers *headers, kb_arena *arena);
/** Copies of the slices, not of the bytes. */
void of_headers_add_all(of_headers *headers, const kc_header *items, size_t count);
/** Remove what has that name, add one behind the others. A null value removes only. The bytes are
 * not copied. */
void of_headers_set(of_headers *headers, const char *name, kc_bytes value);
void of_headers_set_i64(of_headers *headers, const char *name, int64_t value);
void of_headers_printf(of_headers *headers, const char *name, const char *fmt, ...) KC_PRINTF(3, 4);
void of_headers_remove(of_headers *headers, const char *name);
/** Remove every one whose name begins so. */
void of_headers_remove_prefix(of_headers *headers, const char *prefix);

/** The last header of that name; false: none. */
bool of_header_find(const kc_header *items, size_t count, const char *name, kc_bytes *value_out);
/** The same as a number; false: none, or not a number. */
bool of_header_i64(const kc_header *items, size_t count, const char *name, int64_t *value_out);
/** The same as text; null slice: none. */
kc_bytes of_header_text(const kc_header *items, size_t count, const char *name);

/** A record ready to be sent. */
typedef struct of_message {
    kc_bytes key, value;
    const kc_header *headers;
    size_t header_count;
} of_message;

/**
 * Encode an event whose defaults are filled in (id, type, version, timestamp, correlation id). All
 * memory from the arena.
 *
 * @retval KC_OK, KC_ERR_ARGUMENT (payload not JSON, metadata no object, text too long or no UTF-8),
 * KC_ERR_NOMEM.
 */
KC_NODISCARD kc_err of_wire_encode(const of_event *event, of_wire_mode mode, bool ce_headers,
                                   kb_arena *arena, of_message *message_out, kc_error *err);

/**
 * Decode a record. The event's slices point into `message` or the arena. What the value does not
 * say comes from the headers, the id at last from `fallback_id`.
 *
 * @retval KC_OK
 * @retval KC_ERR_MALFORMED  No event (mode is then OF_WIRE_RAW, payload the value, the rest from
 * the headers); `err` says why.
 * @retval KC_ERR_NOMEM
 */
KC_NODISCARD kc_err of_wire_decode(const of_message *message, kc_bytes fallback_id, kb_arena *arena,
                                   of_event *event_out, kc_error *err);

#endif
