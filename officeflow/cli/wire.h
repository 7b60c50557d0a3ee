/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A bare connection to a broker, for what the client would never send: whole frames out and in. Blocking,
 * with bounds. */
#ifndef CLI_WIRE_H
#define CLI_WIRE_H

#include "protocol/base/buf.h"

/** A larger answer is no answer. */
#define CLI_WIRE_FRAME_MAX ((size_t)100 << 20)

/** A connected socket to the first of "host:port,..." that takes it; -1: none does. */
int cli_wire_open(kc_bytes brokers, int timeout_ms);
/** -1 is allowed. */
void cli_wire_close(int fd);
/** KC_OK, KC_ERR_DISCONNECTED, KC_ERR_TIMEOUT (the broker takes no more bytes). */
kc_err cli_wire_send(int fd, kc_bytes bytes, int timeout_ms);
/**
 * The next frame, its size included, into `frame`.
 *
 * @param timeout_ms  Longest silence.
 * @retval KC_OK, KC_ERR_TIMEOUT, KC_ERR_DISCONNECTED, KC_ERR_MALFORMED (no size of a frame), KC_ERR_NOMEM.
 */
kc_err cli_wire_read(int fd, kb_buf *frame, int timeout_ms);
/** Let time pass. */
void cli_wire_wait(int ms);

#endif
