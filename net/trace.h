/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What goes over the wire, told frame by frame: for logs and tests, never the contents. */
#ifndef KN_TRACE_H
#define KN_TRACE_H

#include "protocol/api.h"

typedef struct kn_frame_event {
    bool is_response;
    int32_t broker_id; /**< -1: a bootstrap server, or not known yet */
    const kp_api *api;
    int16_t version;
    int32_t correlation_id;
    size_t bytes;       /**< with the four of its size                                */
    int64_t latency_us; /**< of a response, since its request was written; else 0     */
} kn_frame_event;

/** From a loop turn; may not call back into the connection. */
typedef void (*kn_trace_fn)(void *user, const kn_frame_event *event);

#endif
