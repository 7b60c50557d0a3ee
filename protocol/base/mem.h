/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Counted memory: every byte a client holds comes from here, under one hard limit.
 * Each block carries its size in a 16-byte prefix, so that free needs no size and the count is
 * exact. */
#ifndef KB_MEM_H
#define KB_MEM_H

#include <kafkac/error.h>

/** An allocator with its count. Not thread-safe; belongs to the thread of its client. */
typedef struct kb_mem {
    kc_alloc alloc;
    size_t used;  /**< bytes held now, prefixes included */
    size_t peak;  /**< most bytes ever held              */
    size_t limit; /**< never crossed; SIZE_MAX: none     */
    bool is_full; /**< the last block asked for was refused by the limit, not by the allocator */
} kb_mem;

/** `alloc` NULL: the C library's. `limit` 0: none. */
void kb_mem_init(kb_mem *mem, const kc_alloc *alloc, size_t limit);

/** NULL when the allocator fails or the limit would be crossed. `size` 0 is taken as 1.
 * Uninitialised. */
void *kb_mem_alloc(kb_mem *mem, size_t size);
/** The same, zeroed. */
void *kb_mem_zalloc(kb_mem *mem, size_t size);
/** As realloc; on NULL the old block is untouched. */
void *kb_mem_realloc(kb_mem *mem, void *ptr, size_t size);
/** As free; NULL is allowed. */
void kb_mem_free(kb_mem *mem, void *ptr);
/** Count `len` bytes that a library allocates on our behalf; false: the limit would be crossed. */
KC_NODISCARD bool kb_mem_charge(kb_mem *mem, size_t len);
/** The library gave them back. */
void kb_mem_uncharge(kb_mem *mem, size_t len);
/** Copy of `len` bytes plus a zero byte behind them. */
char *kb_mem_strndup(kb_mem *mem, const void *ptr, size_t len);
/** Overwrite with zeros, which no compiler leaves out: for passwords and keys. */
void kb_mem_wipe(void *ptr, size_t len);
/** Wipe a text up to its zero byte, then free it; NULL is allowed. */
void kb_mem_free_secret(kb_mem *mem, char *text);

#endif
