/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The arena of the public codec. */
#include "protocol/public_arena.h"

/** A scratch buffer that once was larger is not kept. */
#define SCRATCH_KEPT_BYTES ((size_t)1 << 20)

kc_arena *kc_arena_new(const kc_alloc *alloc, size_t limit_bytes)
{
    kb_mem mem;
    if (limit_bytes == 0)
        limit_bytes = KC_ARENA_LIMIT_BYTES;
    kb_mem_init(&mem, alloc, limit_bytes);
    kc_arena *arena = kb_mem_alloc(&mem, sizeof *arena);
    if (!arena)
        return NULL;
    arena->mem = mem; /* with the arena itself counted */
    kb_arena_init(&arena->arena, &arena->mem, limit_bytes);
    kb_buf_init(&arena->scratch, &arena->mem, limit_bytes);
    return arena;
}

void kc_arena_reset(kc_arena *arena)
{
    kb_arena_reset(&arena->arena);
    if (arena->scratch.cap > SCRATCH_KEPT_BYTES)
        kb_buf_cleanup(&arena->scratch);
    kb_buf_reset(&arena->scratch);
}

void kc_arena_free(kc_arena *arena)
{
    if (!arena)
        return;
    kb_arena_cleanup(&arena->arena);
    kb_buf_cleanup(&arena->scratch);
    kb_mem mem = arena->mem;
    kb_mem_free(&mem, arena);
}

void *kc_arena_alloc(kc_arena *arena, size_t size_bytes)
{
    return kb_arena_alloc(&arena->arena, size_bytes);
}

size_t kc_arena_used(const kc_arena *arena)
{
    return arena->mem.used;
}
