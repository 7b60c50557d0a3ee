/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The only place that calls the allocator: a size prefix per block, an exact count, a hard limit.
 */
#define _DEFAULT_SOURCE // explicit_bzero
#include "protocol/base/mem.h"

#include "protocol/base/poison.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/** Stands in front of every block; 16 bytes keep the alignment malloc gave. */
typedef struct prefix {
    _Alignas(16) size_t total; /**< of the block, prefix included */
} prefix;

_Static_assert(sizeof(prefix) == 16, "the prefix must keep 16-byte alignment");

static void *std_malloc(size_t size, void *user)
{
    (void)user;
    return malloc(size);
}

static void *std_realloc(void *ptr, size_t size, void *user)
{
    (void)user;
    return realloc(ptr, size);
}

static void std_free(void *ptr, void *user)
{
    (void)user;
    free(ptr);
}

void kb_mem_init(kb_mem *mem, const kc_alloc *alloc, size_t limit)
{
    static const kc_alloc std_alloc = {std_malloc, std_realloc, std_free, NULL};
    *mem = (kb_mem){.alloc = alloc ? *alloc : std_alloc, .limit = limit ? limit : SIZE_MAX};
}

/** Size of the block for `size` bytes of content; 0: too large to exist. */
static size_t total_of(size_t size)
{
    if (size == 0)
        size = 1;
    return size > SIZE_MAX - sizeof(prefix) ? 0 : size + sizeof(prefix);
}

/** The limit may have been lowered below what is in use. */
static bool has_room(kb_mem *mem, size_t len)
{
    mem->is_full = mem->used > mem->limit || len > mem->limit - mem->used;
    return !mem->is_full;
}

static void count_up(kb_mem *mem, size_t len)
{
    mem->used += len;
    if (mem->used > mem->peak)
        mem->peak = mem->used;
}

/** Write the prefix; the content begins behind it. */
static void *seal(prefix *block, size_t total)
{
    block->total = total;
    KB_POISON(block, sizeof *block);
    return block + 1;
}

static prefix *unseal(void *ptr)
{
    prefix *block = (prefix *)ptr - 1;
    KB_UNPOISON(block, sizeof *block);
    return block;
}

void *kb_mem_alloc(kb_mem *mem, size_t size)
{
    size_t total = total_of(size);
    if (total == 0 || !has_room(mem, total))
        return NULL;
    prefix *block = mem->alloc.malloc_fn(total, mem->alloc.user);
    if (!block)
        return NULL;
    assert(((uintptr_t)block & 15) == 0);
    count_up(mem, total);
    return seal(block, total);
}

void *kb_mem_zalloc(kb_mem *mem, size_t size)
{
    void *ptr = kb_mem_alloc(mem, size);
    return ptr ? memset(ptr, 0, size) : NULL;
}

void *kb_mem_realloc(kb_mem *mem, void *ptr, size_t size)
{
    if (!ptr)
        return kb_mem_alloc(mem, size);
    size_t total = total_of(size);
    prefix *block = unseal(ptr);
    size_t old_total = block->total;
    assert(old_total <= mem->used);
    prefix *moved = NULL;
    if (total != 0 && (total <= old_total || has_room(mem, total - old_total)))
        moved = mem->alloc.realloc_fn(block, total, mem->alloc.user);
    if (!moved) {
        seal(block, old_total);
        return NULL;
    }
    assert(((uintptr_t)moved & 15) == 0);
    mem->used -= old_total;
    count_up(mem, total);
    return seal(moved, total);
}

void kb_mem_free(kb_mem *mem, void *ptr)
{
    if (!ptr)
        return;
    prefix *block = unseal(ptr);
    assert(block->total > sizeof *block && block->total <= mem->used);
    mem->used -= block->total;
    mem->alloc.free_fn(block, mem->alloc.user);
}

bool kb_mem_charge(kb_mem *mem, size_t len)
{
    if (!has_room(mem, len))
        return false;
    count_up(mem, len);
    return true;
}

void kb_mem_uncharge(kb_mem *mem, size_t len)
{
    assert(len <= mem->used);
    mem->used -= len;
}

char *kb_mem_strndup(kb_mem *mem, const void *ptr, size_t len)
{
    char *copy = len == SIZE_MAX ? NULL : kb_mem_alloc(mem, len + 1);
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, ptr, len);
    copy[len] = 0;
    return copy;
}

void kb_mem_wipe(void *ptr, size_t len)
{
    if (len > 0)
        explicit_bzero(ptr, len);
}

void kb_mem_free_secret(kb_mem *mem, char *text)
{
    if (text)
        kb_mem_wipe(text, strlen(text));
    kb_mem_free(mem, text);
}
