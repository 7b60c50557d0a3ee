/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Parts of the tracker the producer and consumer use. */
#ifndef OF_TRACKER_H
#define OF_TRACKER_H

#include <officeflow/trace.h>

/** A new UUIDv7 by the tracker's clock, as text. */
void of_tracker_new_id(of_tracker *tracker, char text_out[37]);
/** Read a W3C traceparent into trace_id, parent_id, trace_flags; false: not valid, nothing changed.
 */
bool of_traceparent_parse(kc_bytes text, of_trace *trace);

#endif
