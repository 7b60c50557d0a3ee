/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The one optional thread of a client, and what other threads hand to it. Everything else of the
 * client knows no thread: it is only ever run by one at a time. */
#ifndef KC_THREAD_H
#define KC_THREAD_H

#include "client/core.h"

/** Bytes that other threads may have handed over and the client's thread has not taken yet. Twice as
 * much is held: one half is filled while the other is being taken. */
#define KC_THREAD_QUEUE_BYTES ((size_t)4 << 20)
/** Largest item. */
#define KC_THREAD_ITEM_BYTES_MAX (KC_THREAD_QUEUE_BYTES - 64)

/** What becomes of an item; both on the client's thread. */
typedef struct kc_post_kind {
    /** False: there is no room for it now, try again next turn. */
    bool (*take)(kc_client *client, const void *item);
    /** There will be no more turns. */
    void (*fail)(const void *item, const kc_error *error);
} kc_post_kind;

/** Started, and this is not the client's thread? Only what is said here is allowed then. */
bool kc_thread_is_elsewhere(const kc_client *client);

static inline bool kc_client_is_elsewhere(const kc_client *client)
{
    return client->thread && kc_thread_is_elsewhere(client);
}

/** Begin to hand over an item of `bytes`, 16-byte aligned: fill it in, then kc_thread_commit(), soon:
 * the queue is locked meanwhile. KC_ERR_BUFFER_FULL, KC_ERR_STATE (being stopped), KC_ERR_FORKED:
 * nothing was begun. */
KC_NODISCARD kc_err kc_thread_reserve(kc_client *client, size_t bytes, const kc_post_kind *kind,
                                      void **item_out);
void kc_thread_commit(kc_client *client);
/** A mark of all that was handed over until now, and whether it was taken (on the client's thread).
 * KC_ERR_FORKED. */
KC_NODISCARD kc_err kc_thread_mark(kc_client *client, uint64_t *mark_out);
bool kc_thread_has_taken(const kc_client *client, uint64_t mark);
/** Take what was handed over; on the client's thread, in dispatch. */
void kc_thread_take(kc_client *client);
/** What was handed over and finds no room; on the client's thread. */
void kc_thread_explain(const kc_client *client, kb_explain *out);
/** Free what belongs to it; it has ended, or this is a child. */
void kc_thread_end(kc_client *client);

#endif
