/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Chunks used again. */
#include "net/recycle.h"

#include <check.h>

typedef struct fixture {
    kb_mem mem;
    kn_loop *loop;
    kn_recycler recycler;
} fixture;

static void init(fixture *f, size_t limit)
{
    kb_mem_init(&f->mem, NULL, limit);
    ck_assert_int_eq(kn_loop_new_virtual(&f->mem, 0, 0, &f->loop), KC_OK);
    kn_recycler_init(&f->recycler, &f->mem, f->loop);
}

static void cleanup(fixture *f)
{
    kn_recycler_cleanup(&f->recycler);
    kn_loop_free(f->loop);
    ck_assert_uint_eq(f->mem.used, 0);
}

START_TEST(the_shared_chunk_starts_over_when_nobody_holds_a_slice)
{
    fixture f;
    init(&f, 0);
    kb_chunk *chunk = kn_recycler_shared(&f.recycler);
    chunk->len = 1000;
    ck_assert_ptr_eq(kn_recycler_shared(&f.recycler), chunk);
    ck_assert_uint_eq(chunk->len, 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_pinned_shared_chunk_is_filled_up_and_then_replaced)
{
    fixture f;
    init(&f, 0);
    kb_chunk *first = kb_chunk_ref(kn_recycler_shared(&f.recycler));
    first->len = KN_SHARED_CHUNK_BYTES / 2;
    ck_assert_ptr_eq(kn_recycler_shared(&f.recycler), first);
    ck_assert_uint_eq(first->len, KN_SHARED_CHUNK_BYTES / 2); // others' bytes stay
    first->len = KN_SHARED_CHUNK_BYTES - KN_SHARED_ROOM_BYTES + 1;
    kb_chunk *second = kn_recycler_shared(&f.recycler);
    ck_assert_ptr_ne(second, first);
    ck_assert_uint_eq(first->refs, 1); // only ours is left
    kb_chunk_unref(first);
    cleanup(&f);
}
END_TEST

START_TEST(a_large_chunk_is_taken_again_once_nobody_holds_it)
{
    fixture f;
    init(&f, 0);
    kb_chunk *chunk = kn_recycler_take(&f.recycler, 1000000);
    ck_assert_uint_ge(chunk->cap, 1000000);
    chunk->len = 1000000;
    kb_chunk *held = kb_chunk_ref(chunk); // the application's
    kn_recycler_keep(&f.recycler, chunk);
    kb_chunk *other = kn_recycler_take(&f.recycler, 1000000);
    ck_assert_ptr_ne(other, chunk);
    kn_recycler_keep(&f.recycler, other);
    kb_chunk_unref(held);
    kb_chunk *a = kn_recycler_take(&f.recycler, 1010000); // about the same size fits
    kb_chunk *b = kn_recycler_take(&f.recycler, 900000);
    ck_assert((a == chunk && b == other) || (a == other && b == chunk));
    ck_assert_uint_eq(a->len, 0);
    ck_assert_uint_eq(f.recycler.slot_bytes, 0);
    kn_recycler_keep(&f.recycler, a);
    kn_recycler_keep(&f.recycler, b);
    cleanup(&f);
}
END_TEST

START_TEST(small_chunks_are_exact_and_not_kept)
{
    fixture f;
    init(&f, 0);
    kb_chunk *chunk = kn_recycler_take(&f.recycler, 100);
    ck_assert_uint_eq(chunk->cap, 100);
    kn_recycler_keep(&f.recycler, chunk);
    ck_assert_uint_eq(f.recycler.slot_bytes, 0);
    cleanup(&f);
}
END_TEST

START_TEST(what_is_kept_has_a_limit_in_bytes)
{
    fixture f;
    init(&f, 0);
    for (int i = 0; i < 10; i++) {
        kb_chunk *pins[3];
        for (int k = 0; k < 3; k++)
            pins[k] = kn_recycler_take(&f.recycler, (size_t)7 << 20);
        for (int k = 0; k < 3; k++)
            kn_recycler_keep(&f.recycler, pins[k]);
        ck_assert_uint_le(f.recycler.slot_bytes, KN_RECYCLE_BYTES_MAX);
    }
    kb_chunk *huge = kn_recycler_take(&f.recycler, KN_RECYCLE_BYTES_MAX + 1);
    kn_recycler_keep(&f.recycler, huge);
    ck_assert_uint_le(f.recycler.slot_bytes, KN_RECYCLE_BYTES_MAX);
    cleanup(&f);
}
END_TEST

START_TEST(a_small_memory_limit_keeps_less)
{
    fixture f;
    init(&f, 8 << 20);
    kb_chunk *chunk = kn_recycler_take(&f.recycler, 2 << 20); // above an eighth
    kn_recycler_keep(&f.recycler, chunk);
    ck_assert_uint_eq(f.recycler.slot_bytes, 0);
    chunk = kn_recycler_take(&f.recycler, 512 << 10);
    kn_recycler_keep(&f.recycler, chunk);
    ck_assert_uint_gt(f.recycler.slot_bytes, 0);
    cleanup(&f);
}
END_TEST

START_TEST(what_is_kept_gives_way_when_memory_is_short)
{
    fixture f;
    init(&f, 10 << 20);
    kb_chunk *chunk = kn_recycler_take(&f.recycler, 1 << 20);
    kn_recycler_keep(&f.recycler, chunk);
    ck_assert_uint_gt(f.recycler.slot_bytes, 0);
    chunk = kn_recycler_take(&f.recycler, (9 << 20) + (512 << 10)); // only without the kept one
    ck_assert_ptr_nonnull(chunk);
    ck_assert_uint_eq(f.recycler.slot_bytes, 0);
    ck_assert_ptr_null(kn_recycler_take(&f.recycler, 1 << 20));
    f.mem.limit = f.mem.used + KN_SHARED_ROOM_BYTES + 100;
    kb_chunk *shared = kn_recycler_shared(&f.recycler); // a little always comes in
    ck_assert_ptr_nonnull(shared);
    ck_assert_uint_eq(shared->cap, KN_SHARED_ROOM_BYTES);
    f.mem.limit = f.mem.used;
    kb_chunk *pin = kb_chunk_ref(shared);
    shared->len = 1;
    ck_assert_ptr_null(kn_recycler_shared(&f.recycler));
    kb_chunk_unref(pin);
    kb_chunk_unref(chunk);
    cleanup(&f);
}
END_TEST

START_TEST(all_is_given_back_after_a_second_without_use)
{
    fixture f;
    init(&f, 0);
    size_t base = f.mem.used;
    kn_recycler_shared(&f.recycler);
    kn_recycler_keep(&f.recycler, kn_recycler_take(&f.recycler, 1000000));
    ck_assert_uint_gt(f.mem.used, base + 1000000);
    while (kn_loop_advance(f.loop, 900000))
        continue;
    kn_recycler_shared(&f.recycler);
    while (kn_loop_advance(f.loop, 1500000))
        continue;
    ck_assert_uint_gt(f.mem.used, base + 1000000); // was used meanwhile
    while (kn_loop_advance(f.loop, 5000000))
        continue;
    ck_assert_uint_eq(f.mem.used, base);
    ck_assert(!kn_timer_is_set(&f.recycler.timer)); // and no wake-up after that
    cleanup(&f);
}
END_TEST
