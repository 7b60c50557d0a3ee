/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Chunks to receive into, used again while they are warm.
 *
 * Small frames become slices of one shared chunk. A large frame has a chunk of its own; malloc
 * would map and unmap such blocks each time, and the page faults cost as much as the copy out of
 * the kernel. So the last few large ones are kept with one reference, and taken again once nobody
 * else holds them. */
#ifndef KN_RECYCLE_H
#define KN_RECYCLE_H

#include "net/loop.h"
#include "protocol/base/chunk.h"

/** Size of the shared chunk; larger frames have their own. */
#define KN_SHARED_CHUNK_BYTES ((size_t)64 * 1024)
/** Least room in the shared chunk to read into; with less it is replaced. */
#define KN_SHARED_ROOM_BYTES ((size_t)4 * 1024)
/** Large chunks kept: one being read into, those the application still holds, one to spare. */
#define KN_RECYCLE_SLOTS 4
/** Bytes of large chunks kept, at most, and at most this part of the memory limit. */
#define KN_RECYCLE_BYTES_MAX  ((size_t)16 * 1024 * 1024)
#define KN_RECYCLE_LIMIT_PART 8
/** All is freed when nothing was received for this long. */
#define KN_RECYCLE_IDLE_MS 1000

typedef struct kn_recycler {
    kb_mem *mem;
    kn_loop *loop;
    kb_chunk *shared; /**< one reference; NULL: none */
    kb_chunk *slots[KN_RECYCLE_SLOTS];
    size_t slot_bytes;
    size_t next_slot;
    kn_timer timer;
    bool was_used; /**< since the timer was set */
} kn_recycler;

void kn_recycler_init(kn_recycler *recycler, kb_mem *mem, kn_loop *loop);
void kn_recycler_cleanup(kn_recycler *recycler);
/** Give back all that is held; what others hold stays theirs. */
void kn_recycler_trim(kn_recycler *recycler);

/** The shared chunk with room behind `len`, borrowed until the next call; NULL out of memory. */
kb_chunk *kn_recycler_shared(kn_recycler *recycler);
/** A chunk for one frame, at least `cap` bytes, len 0, one reference for the caller; NULL out of
 * memory. */
kb_chunk *kn_recycler_take(kn_recycler *recycler, size_t cap);
/** Take over the caller's reference to a chunk of kn_recycler_take(). */
void kn_recycler_keep(kn_recycler *recycler, kb_chunk *chunk);

#endif
