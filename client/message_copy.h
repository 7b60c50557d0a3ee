/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Deep copies of messages: a request must outlive the call that was given it, since it is encoded
 * only when the version is known. */
#ifndef KC_MESSAGE_COPY_H
#define KC_MESSAGE_COPY_H

#include "protocol/base/arena.h"
#include "protocol/desc.h"

/** A copy that shares nothing with `msg`; NULL out of memory. */
void *kc_message_copy(const kp_message *message, const void *msg, kb_arena *arena);

#endif
