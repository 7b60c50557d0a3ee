/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A few warm chunks. */
#include "net/recycle.h"

#include <assert.h>

static void note_use(kn_recycler *recycler)
{
    recycler->was_used = true;
    if (kn_timer_is_set(&recycler->timer))
        return;
    recycler->was_used = false;
    kc_err err = kn_timer_set(recycler->loop, &recycler->timer,
                              kn_loop_now_us(recycler->loop) + (int64_t)KN_RECYCLE_IDLE_MS * 1000);
    assert(err == KC_OK);
    (void)err;
}

static void on_timer(kn_timer *timer)
{
    kn_recycler *recycler = timer->user;
    if (recycler->was_used)
        note_use(recycler);
    else
        kn_recycler_trim(recycler);
}

void kn_recycler_init(kn_recycler *recycler, kb_mem *mem, kn_loop *loop)
{
    *recycler = (kn_recycler){.mem = mem, .loop = loop};
    recycler->timer = (kn_timer){.fn = on_timer, .user = recycler};
}

static void empty_slot(kn_recycler *recycler, size_t slot)
{
    kb_chunk *chunk = recycler->slots[slot];
    if (!chunk)
        return;
    recycler->slots[slot] = NULL;
    recycler->slot_bytes -= chunk->cap;
    kb_chunk_unref(chunk);
}

void kn_recycler_trim(kn_recycler *recycler)
{
    kb_chunk_unref(recycler->shared);
    recycler->shared = NULL;
    for (size_t i = 0; i < KN_RECYCLE_SLOTS; i++)
        empty_slot(recycler, i);
}

void kn_recycler_cleanup(kn_recycler *recycler)
{
    kn_recycler_trim(recycler);
    kn_timer_stop(recycler->loop, &recycler->timer);
}

kb_chunk *kn_recycler_shared(kn_recycler *recycler)
{
    kb_chunk *chunk = recycler->shared;
    note_use(recycler);
    if (chunk && chunk->refs == 1)
        chunk->len = 0; // no slice of it is in use any more
    if (chunk && chunk->cap - chunk->len >= KN_SHARED_ROOM_BYTES)
        return chunk;
    kb_chunk_unref(chunk);
    recycler->shared = kb_chunk_new(recycler->mem, KN_SHARED_CHUNK_BYTES);
    if (!recycler->shared) {
        /* Close to the memory limit answers to control requests must still come in. */
        kn_recycler_trim(recycler);
        recycler->shared = kb_chunk_new(recycler->mem, KN_SHARED_ROOM_BYTES);
    }
    return recycler->shared;
}

/** Up to an eighth more, so that frames of about the same size can use the same chunk. */
static size_t round_up(size_t cap)
{
    size_t step = KN_SHARED_CHUNK_BYTES / 8;
    while (step < cap / 16)
        step *= 2;
    return cap > SIZE_MAX - step ? cap : (cap + step - 1) / step * step;
}

kb_chunk *kn_recycler_take(kn_recycler *recycler, size_t cap)
{
    note_use(recycler);
    if (cap <= KN_SHARED_CHUNK_BYTES)
        return kb_chunk_new(recycler->mem, cap);
    size_t best = KN_RECYCLE_SLOTS;
    for (size_t i = 0; i < KN_RECYCLE_SLOTS; i++) {
        const kb_chunk *chunk = recycler->slots[i];
        if (chunk && chunk->refs == 1 && chunk->cap >= cap &&
            (best == KN_RECYCLE_SLOTS || chunk->cap < recycler->slots[best]->cap))
            best = i;
    }
    if (best < KN_RECYCLE_SLOTS) {
        kb_chunk *chunk = recycler->slots[best];
        recycler->slots[best] = NULL;
        recycler->slot_bytes -= chunk->cap;
        chunk->len = 0;
        return chunk;
    }
    kb_chunk *chunk = kb_chunk_new(recycler->mem, round_up(cap));
    if (!chunk) {
        kn_recycler_trim(recycler);
        chunk = kb_chunk_new(recycler->mem, cap);
    }
    return chunk;
}

/** Where to put one more: an empty slot, one nobody uses, else the oldest. */
static size_t choose_slot(kn_recycler *recycler)
{
    size_t unused = KN_RECYCLE_SLOTS;
    for (size_t i = 0; i < KN_RECYCLE_SLOTS; i++) {
        if (!recycler->slots[i])
            return i;
        if (recycler->slots[i]->refs == 1)
            unused = i;
    }
    if (unused < KN_RECYCLE_SLOTS)
        return unused;
    recycler->next_slot = (recycler->next_slot + 1) % KN_RECYCLE_SLOTS;
    return recycler->next_slot;
}

void kn_recycler_keep(kn_recycler *recycler, kb_chunk *chunk)
{
    size_t limit = recycler->mem->limit / KN_RECYCLE_LIMIT_PART;
    if (limit > KN_RECYCLE_BYTES_MAX)
        limit = KN_RECYCLE_BYTES_MAX;
    if (chunk->cap <= KN_SHARED_CHUNK_BYTES || chunk->cap > limit) {
        kb_chunk_unref(chunk);
        return;
    }
    size_t slot = choose_slot(recycler);
    empty_slot(recycler, slot);
    for (size_t i = 0; i < KN_RECYCLE_SLOTS && recycler->slot_bytes + chunk->cap > limit; i++)
        empty_slot(recycler, i);
    recycler->slots[slot] = chunk;
    recycler->slot_bytes += chunk->cap;
}
