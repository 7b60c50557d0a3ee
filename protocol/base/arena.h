/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Bump allocator: many small allocations, one free. Holds decoded messages and call scratch. */
#ifndef KB_ARENA_H
#define KB_ARENA_H

#include "protocol/base/mem.h"
#include "protocol/base/poison.h"

#define KB_ARENA_ALIGN ((size_t)16)

typedef struct kb_arena_block kb_arena_block;

/** Zero-filled plus kb_arena_init() is ready for use; nothing is allocated before the first need.
 */
typedef struct kb_arena {
    kb_mem *mem;
    kb_arena_block *head; /**< the newest regular block, the only one bumped    */
    uint8_t *pos;         /**< of the head: free from here                      */
    uint8_t *end;
    size_t used;  /**< bytes handed out since the last reset                    */
    size_t limit; /**< most bytes `used` may reach; a hostile count stops here  */
} kb_arena;

/** `limit` 0: 16 MiB. */
void kb_arena_init(kb_arena *arena, kb_mem *mem, size_t limit);
/** Free all blocks; the arena can be used again. */
void kb_arena_cleanup(kb_arena *arena);
/** Forget all contents, keep one block for the next use. */
void kb_arena_reset(kb_arena *arena);

/** What kb_arena_alloc() does when the head has no room. */
void *kb_arena_alloc_slow(kb_arena *arena, size_t size);

/** 16-byte aligned, uninitialised; NULL at the limit or out of memory. `size` 0 gives a valid
 * pointer. Inline, for decoding takes two pieces a partition. */
static inline void *kb_arena_alloc(kb_arena *arena, size_t size)
{
    size_t rounded = (size + KB_ARENA_ALIGN - 1) & ~(KB_ARENA_ALIGN - 1);
    size_t room = (size_t)(arena->end - arena->pos);
    if (rounded - 1 >= room || arena->used + rounded > arena->limit) // 0 - 1 is no room, too
        return kb_arena_alloc_slow(arena, size);
    void *ptr = arena->pos;
    arena->pos += rounded;
    arena->used += rounded;
    KB_UNPOISON(ptr, size);
    return ptr;
}
void *kb_arena_zalloc(kb_arena *arena, size_t size);
/** Array of `count` zeroed items; NULL also when the product overflows. */
void *kb_arena_array(kb_arena *arena, size_t count, size_t item_size);
/** Copy of the slice; null stays null (check ptr of a non-null input for NULL = out of memory). */
kc_bytes kb_arena_copy(kb_arena *arena, kc_bytes bytes);
/** Zero-terminated text by format; NULL out of memory. */
char *kb_arena_printf(kb_arena *arena, const char *fmt, ...) KC_PRINTF(2, 3);

#endif
