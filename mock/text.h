/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sentences for the answers. They quote what a client sent, which may be as long as a text can be in the protocol, so
 * they are cut. */
#ifndef KM_TEXT_H
#define KM_TEXT_H

#include "protocol/base/arena.h"

/** Longest sentence. */
#define KM_TEXT_BYTES_MAX 1000

/** As kb_arena_printf(), cut between characters; NULL when there is no memory. */
const char *km_text(kb_arena *arena, const char *fmt, ...) KC_PRINTF(2, 3);
/** KM_TEXT(arena, format, ...): the same; null when there is no memory. */
#define KM_TEXT(...) kc_str(km_text(__VA_ARGS__))
/** The part of a sentence that is told. */
kc_bytes km_text_cut(kc_bytes text);

#endif
