/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The teller of a traced decoding: where in the message it is, and which bytes were told of. */
#ifndef KP_CODEC_TRACE_H
#define KP_CODEC_TRACE_H

#include "protocol/desc.h"

#include <kafkac/codec.h>

/** Above the longest path of the schema; longer ones are cut at the right. */
#define KP_TRACE_PATH_MAX 512

typedef struct kp_tracer {
    kc_wire_fn fn;
    void *user;
    const uint8_t *begin; /**< of the input                          */
    const uint8_t *told;  /**< what comes next begins here: no gaps  */
    bool flexible;        /**< set once the version is known           */
    uint8_t depth;        /**< structs it is in, the message included */
    size_t path_len;
    char path[KP_TRACE_PATH_MAX];
} kp_tracer;

void kp_tracer_init(kp_tracer *tracer, const uint8_t *begin, kc_wire_fn fn, void *user);

/** What stands between the last telling and `end`; where that is nothing, nothing is told.
 * `field` NULL: of a tag section. */
void kp_tracer_tell(kp_tracer *tracer, const uint8_t *end, kc_wire_part part,
                    const kp_field_desc *field, int64_t number);

/** Go into a field or an array item; returns what kp_tracer_leave() takes to go back. */
size_t kp_tracer_enter_field(kp_tracer *tracer, const kp_field_desc *field);
size_t kp_tracer_enter_item(kp_tracer *tracer, int32_t index);
void kp_tracer_leave(kp_tracer *tracer, size_t path_len);

#endif
