/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sentences for the answers. */
#ifndef KM_TEXT_H
#define KM_TEXT_H

#include "protocol/base/arena.h"

/** KM_TEXT(arena, format, ...): null when there is no memory. */
#define KM_TEXT(...) kc_str(kb_arena_printf(__VA_ARGS__))

#endif
