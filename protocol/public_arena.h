/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The arena of the public codec: a counted allocator and what is made with it. */
#ifndef KP_PUBLIC_ARENA_H
#define KP_PUBLIC_ARENA_H

#include "protocol/base/arena.h"
#include "protocol/base/buf.h"

#include <kafkac/codec.h>

struct kc_arena {
    kb_mem mem;     /**< the caller's allocator under the caller's limit */
    kb_arena arena; /**< what calls hand out                              */
    kb_buf scratch; /**< grows, and is used again: text being printed, one batch decompressed */
};

#endif
