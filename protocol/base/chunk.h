/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Reference-counted block of bytes: received frames, record batches. Decoded messages and fetched
 * records point into one; one unref frees it. The count is not atomic: a chunk belongs to its
 * client's thread. */
#ifndef KB_CHUNK_H
#define KB_CHUNK_H

#include "protocol/base/mem.h"

typedef struct kb_chunk {
    kb_mem *mem;
    uint32_t refs;
    size_t cap; /**< bytes at data                   */
    size_t len; /**< bytes in use, kept by the owner */
    _Alignas(16) uint8_t data[];
} kb_chunk;

/** One reference, len 0; NULL out of memory. */
kb_chunk *kb_chunk_new(kb_mem *mem, size_t cap);

static inline kb_chunk *kb_chunk_ref(kb_chunk *chunk)
{
    chunk->refs++;
    return chunk;
}

/** NULL is allowed. Frees at zero. */
void kb_chunk_unref(kb_chunk *chunk);

#endif
