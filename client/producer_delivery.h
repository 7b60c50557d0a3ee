/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Who is to be told of each record of a batch, stored only as far as the caller asked for it.
 *
 * Nothing while no record has a callback, nothing per record while all share one callback and
 * `user`, one word while they share the callback, two words else. Timestamps are kept as runs,
 * since a batch has few of them. */
#ifndef KC_PRODUCER_DELIVERY_H
#define KC_PRODUCER_DELIVERY_H

#include "client/producer_memory.h"

#include <kafkac/producer.h>

/** Words in one block of KC_BLOCK_BYTES_MIN; even, so that pairs don't straddle blocks. */
#define KC_WORDS_PER_BLOCK (KC_BLOCK_BYTES_MIN / sizeof(uint64_t) - 2)

typedef struct kc_word_block {
    struct kc_word_block *next;
    size_t bytes; /**< as taken */
    uint64_t words[];
} kc_word_block;

/** Append-only sequence of items of one or two words. */
typedef struct kc_words {
    kc_word_block *head, *tail;
    uint32_t at; /**< words used in tail */
} kc_words;

typedef enum kc_deliveries_mode {
    KC_DELIVERIES_NONE,  /**< no callback so far                     */
    KC_DELIVERIES_SAME,  /**< `fn` and `user` for every record       */
    KC_DELIVERIES_USERS, /**< `fn` for every record, users in `who`  */
    KC_DELIVERIES_PAIRS, /**< both in `who`; fn NULL: nobody is told */
} kc_deliveries_mode;

/** Zero-filled is empty. */
typedef struct kc_deliveries {
    kc_delivery_fn fn;
    void *user;
    int64_t first_timestamp, last_timestamp;
    kc_deliveries_mode mode;
    kc_words who;
    kc_words times; /**< pairs: index of a record with a callback, timestamp from there on */
} kc_deliveries;

KC_NODISCARD kc_err kc_deliveries_add_slow(kc_deliveries *deliveries, kc_producer_memory *memory,
                                           uint32_t index, kc_delivery_fn fn, void *user,
                                           int64_t timestamp_ms);
void kc_deliveries_cleanup(kc_deliveries *deliveries, kc_producer_memory *memory);

/** Note record `index`, the next one. KC_ERR_NOMEM: nothing changed. */
static inline kc_err kc_deliveries_add(kc_deliveries *deliveries, kc_producer_memory *memory,
                                       uint32_t index, kc_delivery_fn fn, void *user,
                                       int64_t timestamp_ms)
{
    if (deliveries->mode == KC_DELIVERIES_NONE && !fn)
        return KC_OK;
    if (fn == deliveries->fn && timestamp_ms == deliveries->last_timestamp) {
        if (deliveries->mode == KC_DELIVERIES_SAME && user == deliveries->user)
            return KC_OK;
        if (deliveries->mode == KC_DELIVERIES_USERS && deliveries->who.at < KC_WORDS_PER_BLOCK) {
            deliveries->who.tail->words[deliveries->who.at++] = (uint64_t)(uintptr_t)user;
            return KC_OK;
        }
    }
    return kc_deliveries_add_slow(deliveries, memory, index, fn, user, timestamp_ms);
}

/** Reads what was added, in order. */
typedef struct kc_delivery_cursor {
    const kc_deliveries *deliveries;
    const kc_word_block *who, *times;
    uint32_t who_at, times_at;
    uint32_t index;
    int64_t timestamp_ms;
} kc_delivery_cursor;

typedef struct kc_delivery_target {
    kc_delivery_fn fn; /**< NULL: nobody                */
    void *user;
    int64_t timestamp_ms; /**< valid where fn is not NULL */
} kc_delivery_target;

void kc_delivery_cursor_init(kc_delivery_cursor *cursor, const kc_deliveries *deliveries);
kc_delivery_target kc_delivery_cursor_next(kc_delivery_cursor *cursor);

#endif
