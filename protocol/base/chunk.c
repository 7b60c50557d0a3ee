/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Reference-counted block of bytes. */
#include "protocol/base/chunk.h"

#include <assert.h>

kb_chunk *kb_chunk_new(kb_mem *mem, size_t cap)
{
    if (cap > SIZE_MAX - sizeof(kb_chunk))
        return NULL;
    kb_chunk *chunk = kb_mem_alloc(mem, sizeof *chunk + cap);
    if (!chunk)
        return NULL;
    *chunk = (kb_chunk){.mem = mem, .refs = 1, .cap = cap};
    return chunk;
}

void kb_chunk_unref(kb_chunk *chunk)
{
    if (!chunk)
        return;
    assert(chunk->refs > 0 && chunk->len <= chunk->cap);
    if (--chunk->refs == 0)
        kb_mem_free(chunk->mem, chunk);
}
