/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Bump allocator over a chain of blocks. */
#include "protocol/base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#define LIMIT_DEFAULT ((size_t)16 << 20)
/** Blocks double from the first to the last of these; a larger request gets a block of its own. */
#define BLOCK_MIN ((size_t)1 << 10)
#define BLOCK_MAX ((size_t)64 << 10)

struct kb_arena_block {
    kb_arena_block *next;
    size_t cap; /**< bytes at data           */
    _Alignas(16) uint8_t data[];
};

/** Where allocations of no bytes point: nobody may write there. */
static _Alignas(16) uint8_t no_bytes[1];

void kb_arena_init(kb_arena *arena, kb_mem *mem, size_t limit)
{
    *arena = (kb_arena){.mem = mem, .limit = limit ? limit : LIMIT_DEFAULT};
}

static void free_chain(kb_arena *arena, kb_arena_block *block)
{
    while (block) {
        kb_arena_block *next = block->next;
        KB_UNPOISON(block->data, block->cap); // the user's allocator may reuse it unseen by ASan
        kb_mem_free(arena->mem, block);
        block = next;
    }
}

void kb_arena_cleanup(kb_arena *arena)
{
    free_chain(arena, arena->head);
    arena->head = NULL;
    arena->pos = arena->end = NULL;
    arena->used = 0;
}

void kb_arena_reset(kb_arena *arena)
{
    kb_arena_block *head = arena->head;
    arena->used = 0;
    if (!head)
        return;
    if (head->cap > BLOCK_MAX) { // one great message must not pin its memory for good
        kb_arena_cleanup(arena);
        return;
    }
    free_chain(arena, head->next);
    head->next = NULL;
    arena->pos = head->data;
    KB_POISON(head->data, head->cap);
}

static kb_arena_block *new_block(kb_arena *arena, size_t cap)
{
    if (cap > SIZE_MAX - sizeof(kb_arena_block))
        return NULL;
    kb_arena_block *block = kb_mem_alloc(arena->mem, sizeof *block + cap);
    if (!block)
        return NULL;
    *block = (kb_arena_block){.cap = cap};
    KB_POISON(block->data, cap);
    return block;
}

/** A block of `size` alone, which has its place behind the head: the head still has room for small
 * ones. */
static void *alloc_alone(kb_arena *arena, size_t size)
{
    kb_arena_block *block = new_block(arena, size);
    if (!block)
        return NULL;
    if (arena->head) {
        block->next = arena->head->next;
        arena->head->next = block;
    } else {
        arena->head = block;
        arena->pos = arena->end = block->data + block->cap;
    }
    return block->data;
}

/** A new head, and `size` of it. */
static void *alloc_of_new_head(kb_arena *arena, size_t size)
{
    size_t cap = BLOCK_MIN;
    while (cap < BLOCK_MAX && (cap < size || cap <= arena->used))
        cap *= 2;
    kb_arena_block *block = new_block(arena, cap);
    if (!block) // close to the memory limit: the least that will do
        block = new_block(arena, size);
    if (!block)
        return NULL;
    block->next = arena->head;
    arena->head = block;
    arena->pos = block->data + size;
    arena->end = block->data + block->cap;
    return block->data;
}

void *kb_arena_alloc_slow(kb_arena *arena, size_t size)
{
    size_t rounded = (size + KB_ARENA_ALIGN - 1) & ~(KB_ARENA_ALIGN - 1);
    if (rounded == 0) // also of a size that no memory has
        return size == 0 ? no_bytes : NULL;
    if (arena->used > arena->limit || rounded > arena->limit - arena->used)
        return NULL;
    void *ptr =
        rounded > BLOCK_MAX ? alloc_alone(arena, rounded) : alloc_of_new_head(arena, rounded);
    if (!ptr)
        return NULL;
    arena->used += rounded;
    KB_UNPOISON(ptr, size);
    return ptr;
}

void *kb_arena_zalloc(kb_arena *arena, size_t size)
{
    void *ptr = kb_arena_alloc(arena, size);
    return ptr && size > 0 ? memset(ptr, 0, size) : ptr;
}

void *kb_arena_array(kb_arena *arena, size_t count, size_t item_size)
{
    if (item_size != 0 && count > SIZE_MAX / item_size)
        return NULL;
    return kb_arena_zalloc(arena, count * item_size);
}

kc_bytes kb_arena_copy(kb_arena *arena, kc_bytes bytes)
{
    if (!bytes.ptr)
        return KC_NULL;
    uint8_t *copy = kb_arena_alloc(arena, bytes.len);
    if (!copy)
        return KC_NULL;
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    return kc_span(copy, bytes.len);
}

char *kb_arena_printf(kb_arena *arena, const char *fmt, ...)
{
    va_list args;
    va_list again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    char *text = len < 0 ? NULL : kb_arena_alloc(arena, (size_t)len + 1);
    if (text)
        vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}
