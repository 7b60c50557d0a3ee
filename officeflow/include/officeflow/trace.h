/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Correlation tracking: contexts of business transactions, their children, and what happened in
 * them. */
#ifndef OFFICEFLOW_TRACE_H
#define OFFICEFLOW_TRACE_H

#include <kafkac/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OF_CONTEXTS_MAX       10000
#define OF_CONTEXT_EVENTS_MAX 256
#define OF_CONTEXT_TTL_MS     3600000

/** Store of contexts, bounded: least recently used go first. Thread: one. */
typedef struct of_tracker of_tracker;

/** Time and randomness of a tracker; NULL members: the system's. */
typedef struct of_tracker_clock {
    int64_t (*wall_ms)(void *user);
    uint64_t (*random)(void *user);
    void *user;
} of_tracker_clock;

/** The tracker of the process (the seed's getInstance()); made at first call. NULL out of memory.
 */
KC_API of_tracker *of_tracker_instance(void);
KC_API KC_NODISCARD of_tracker *of_tracker_new(const of_tracker_clock *clock);
KC_API void of_tracker_free(of_tracker *tracker);

/** Attributes of a context; null: none. Copied. */
typedef struct of_trace_attrs {
    kc_bytes organization_id, employee_id, workflow_run_id, node_run_id, user_id;
} of_trace_attrs;

/** A correlation context, by value. */
typedef struct of_trace {
    char correlation_id[129]; /**< UUIDv7 text, or what came in                                */
    char context_id[17];      /**< 8-byte span id in hex                                       */
    char parent_id[17];       /**< context id of the parent, empty: root                       */
    char trace_id[33]; /**< W3C: 16 bytes in hex; the correlation UUID's where no traceparent came
                          in */
    uint8_t trace_flags;
} of_trace;

/** New business transaction. KC_OK, KC_ERR_NOMEM. */
KC_API kc_err of_tracker_create(of_tracker *tracker, const of_trace_attrs *attrs,
                                of_trace *trace_out);
/** Context of a message that came in: its correlation id, and its traceparent where valid (it
 * wins). */
KC_API kc_err of_tracker_adopt(of_tracker *tracker, kc_bytes correlation_id, kc_bytes traceparent,
                               const of_trace_attrs *attrs, of_trace *trace_out);
/** Nested operation: same correlation id, own context id, attributes inherited and overlaid.
 * KC_ERR_NOT_FOUND. */
KC_API kc_err of_tracker_child(of_tracker *tracker, kc_bytes correlation_id,
                               const of_trace_attrs *attrs, of_trace *trace_out);

typedef enum of_trace_status {
    OF_TRACE_STARTED,
    OF_TRACE_PROGRESS,
    OF_TRACE_COMPLETED,
    OF_TRACE_FAILED,
    OF_TRACE_RETRYING,
    OF_TRACE_DEAD_LETTERED,
} of_trace_status;
KC_API const char *of_trace_status_name(of_trace_status status);

/** Record that something happened. An unknown correlation id makes a context. Text is copied, cut
 * at 128 bytes. */
KC_API kc_err of_tracker_record(of_tracker *tracker, kc_bytes correlation_id, const char *service,
                                const char *operation, of_trace_status status);

/** One recorded event; valid until the next call on the tracker. */
typedef struct of_trace_event {
    int64_t wall_ms;
    const char *service, *operation;
    of_trace_status status;
} of_trace_event;
/** Event `index` of a context, oldest first; false: no more, or no such context. */
KC_API bool of_tracker_event(const of_tracker *tracker, kc_bytes correlation_id, size_t index,
                             of_trace_event *event_out);
/** Attributes of a context; false: none. Valid until the next call on the tracker. */
KC_API bool of_tracker_attrs(const of_tracker *tracker, kc_bytes correlation_id,
                             of_trace_attrs *attrs_out);
/** Contexts held; contexts and events dropped at the limits so far. */
KC_API void of_tracker_counts(const of_tracker *tracker, size_t *contexts_out,
                              uint64_t *contexts_dropped_out, uint64_t *events_dropped_out);

/** "00-<trace>-<context>-<flags>" with its zero. W3C Trace Context. */
KC_API void of_trace_parent(const of_trace *trace, char text_out[56]);

#ifdef __cplusplus
}
#endif
#endif
