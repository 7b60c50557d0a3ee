/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Random messages from the tables, for round-trip tests and fuzzing; the same seed gives the same
 * message. */
#ifndef KP_RANDOM_FILL_H
#define KP_RANDOM_FILL_H

#include "protocol/base/arena.h"
#include "protocol/base/rand.h"
#include "protocol/desc.h"

/**
 * Fill every field this version has with a random value that can be encoded: nulls where allowed,
 * extremes of the integers, text beyond ASCII, and in flexible versions now and then unknown tags.
 * Fields the version has not are at their defaults.
 *
 * @retval KC_OK, KC_ERR_NOMEM, KC_ERR_VERSION.
 */
KC_NODISCARD kc_err kp_random_fill(const kp_message *message, int16_t version, kb_rand *rand,
                                   kb_arena *arena, void *msg_out);

#endif
