/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the members of a classic group tell each other through the broker: a version, then a data
 * message, ConsumerProtocolSubscription or ConsumerProtocolAssignment. */
#ifndef KC_CONSUMER_PROTOCOL_H
#define KC_CONSUMER_PROTOCOL_H

#include "protocol/codec.h"

/** A version above ours is read as the highest we know; what it has more stands at the end. Errors
 * as kp_decode(). */
KC_NODISCARD kc_err kc_consumer_protocol_read(const kp_message *message, kc_bytes in,
                                              kb_arena *arena, void *msg_out);

/** Append version and message. Errors as kp_encode(). */
KC_NODISCARD kc_err kc_consumer_protocol_write(const kp_message *message, int16_t version,
                                               const void *msg, kb_buf *out);

#endif
