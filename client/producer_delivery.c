/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Who is to be told of each record of a batch. */
#include "client/producer_delivery.h"

#include <assert.h>

static uint64_t word_of_fn(kc_delivery_fn fn)
{
    return (uint64_t)(uintptr_t)fn;
}

static uint64_t word_of_user(void *user)
{
    return (uint64_t)(uintptr_t)user;
}

/** Room for an item of `width` words; NULL out of memory. Always over the limit: bounded by the
 * records, whose own blocks are not. */
static uint64_t *words_push(kc_words *words, kc_producer_memory *memory, uint32_t width)
{
    if (!words->tail || words->at + width > KC_WORDS_PER_BLOCK) {
        void *taken = NULL;
        size_t bytes = 0;
        if (kc_block_take(memory, KC_BLOCK_BYTES_MIN, KC_BLOCK_ACCEPTED, &taken, &bytes) != KC_OK)
            return NULL;
        kc_word_block *block = taken;
        block->next = NULL;
        block->bytes = bytes;
        if (words->tail)
            words->tail->next = block;
        else
            words->head = block;
        words->tail = block;
        words->at = 0;
    }
    uint64_t *item = &words->tail->words[words->at];
    words->at += width;
    return item;
}

static void words_cleanup(kc_words *words, kc_producer_memory *memory)
{
    while (words->head) {
        kc_word_block *block = words->head;
        words->head = block->next;
        kc_block_give(memory, block, block->bytes);
    }
    *words = (kc_words){0};
}

void kc_deliveries_cleanup(kc_deliveries *deliveries, kc_producer_memory *memory)
{
    words_cleanup(&deliveries->who, memory);
    words_cleanup(&deliveries->times, memory);
    *deliveries = (kc_deliveries){0};
}

static kc_err push_who(kc_words *who, kc_producer_memory *memory, kc_deliveries_mode mode,
                       kc_delivery_fn fn, void *user)
{
    bool is_pair = mode == KC_DELIVERIES_PAIRS;
    uint64_t *item = words_push(who, memory, is_pair ? 2 : 1);
    if (!item)
        return KC_ERR_NOMEM;
    if (is_pair)
        *item++ = word_of_fn(fn);
    *item = word_of_user(user);
    return KC_OK;
}

/** Store the `count` records so far as `mode` does. KC_ERR_NOMEM: nothing changed. */
static kc_err widen(kc_deliveries *deliveries, kc_producer_memory *memory, uint32_t count,
                    kc_deliveries_mode mode)
{
    kc_words who = {0};
    kc_delivery_cursor cursor;
    kc_delivery_cursor_init(&cursor, deliveries);
    for (uint32_t i = 0; i < count; i++) {
        kc_delivery_target target = kc_delivery_cursor_next(&cursor);
        if (push_who(&who, memory, mode, target.fn, target.user) != KC_OK) {
            words_cleanup(&who, memory);
            return KC_ERR_NOMEM;
        }
    }
    words_cleanup(&deliveries->who, memory);
    deliveries->who = who;
    deliveries->mode = mode;
    return KC_OK;
}

static kc_err note_time(kc_deliveries *deliveries, kc_producer_memory *memory, uint32_t index,
                        int64_t timestamp_ms)
{
    uint64_t *item = words_push(&deliveries->times, memory, 2);
    if (!item)
        return KC_ERR_NOMEM;
    item[0] = index;
    item[1] = (uint64_t)timestamp_ms;
    deliveries->last_timestamp = timestamp_ms;
    return KC_OK;
}

/** The narrowest mode that can tell this record from those before. */
static kc_deliveries_mode mode_for(const kc_deliveries *deliveries, uint32_t index,
                                   kc_delivery_fn fn, void *user)
{
    switch (deliveries->mode) {
    case KC_DELIVERIES_NONE:
        return index == 0 ? KC_DELIVERIES_SAME : KC_DELIVERIES_PAIRS;
    case KC_DELIVERIES_SAME:
        if (fn != deliveries->fn)
            return KC_DELIVERIES_PAIRS;
        return user == deliveries->user ? KC_DELIVERIES_SAME : KC_DELIVERIES_USERS;
    case KC_DELIVERIES_USERS:
        return fn == deliveries->fn ? KC_DELIVERIES_USERS : KC_DELIVERIES_PAIRS;
    case KC_DELIVERIES_PAIRS:
        break;
    }
    return KC_DELIVERIES_PAIRS;
}

kc_err kc_deliveries_add_slow(kc_deliveries *deliveries, kc_producer_memory *memory, uint32_t index,
                              kc_delivery_fn fn, void *user, int64_t timestamp_ms)
{
    kc_deliveries_mode mode = mode_for(deliveries, index, fn, user);
    if (deliveries->mode == KC_DELIVERIES_NONE) {
        if (mode == KC_DELIVERIES_PAIRS && widen(deliveries, memory, index, mode) != KC_OK)
            return KC_ERR_NOMEM;
        deliveries->first_timestamp = deliveries->last_timestamp = timestamp_ms;
        if (mode == KC_DELIVERIES_SAME)
            *deliveries = (kc_deliveries){fn, user, timestamp_ms, timestamp_ms, mode, {0}, {0}};
    } else if (mode != deliveries->mode && widen(deliveries, memory, index, mode) != KC_OK) {
        return KC_ERR_NOMEM;
    }
    int64_t before = deliveries->last_timestamp;
    bool is_new_time = fn && timestamp_ms != before;
    if (is_new_time && note_time(deliveries, memory, index, timestamp_ms) != KC_OK)
        return KC_ERR_NOMEM;
    if (mode != KC_DELIVERIES_SAME && push_who(&deliveries->who, memory, mode, fn, user) != KC_OK) {
        if (is_new_time) {
            deliveries->times.at -= 2;
            deliveries->last_timestamp = before;
        }
        return KC_ERR_NOMEM;
    }
    return KC_OK;
}

void kc_delivery_cursor_init(kc_delivery_cursor *cursor, const kc_deliveries *deliveries)
{
    *cursor = (kc_delivery_cursor){
        .deliveries = deliveries,
        .who = deliveries->who.head,
        .times = deliveries->times.head,
        .timestamp_ms = deliveries->first_timestamp,
    };
}

/** The next item of `width` words; NULL: none. */
static const uint64_t *words_read(const kc_words *words, const kc_word_block **block, uint32_t *at,
                                  uint32_t width)
{
    if (!*block)
        return NULL;
    if (*at + width > KC_WORDS_PER_BLOCK) {
        *block = (*block)->next;
        *at = 0;
    }
    if (!*block || (*block == words->tail && *at + width > words->at))
        return NULL;
    const uint64_t *item = &(*block)->words[*at];
    *at += width;
    return item;
}

static void advance_time(kc_delivery_cursor *cursor)
{
    const kc_words *times = &cursor->deliveries->times;
    for (;;) {
        const kc_word_block *block = cursor->times;
        uint32_t at = cursor->times_at;
        const uint64_t *item = words_read(times, &block, &at, 2);
        if (!item || item[0] > cursor->index)
            return;
        cursor->timestamp_ms = (int64_t)item[1];
        cursor->times = block;
        cursor->times_at = at;
    }
}

kc_delivery_target kc_delivery_cursor_next(kc_delivery_cursor *cursor)
{
    const kc_deliveries *deliveries = cursor->deliveries;
    if (cursor->times)
        advance_time(cursor);
    kc_delivery_target target = {deliveries->fn, deliveries->user, cursor->timestamp_ms};
    if (deliveries->mode == KC_DELIVERIES_USERS || deliveries->mode == KC_DELIVERIES_PAIRS) {
        uint32_t width = deliveries->mode == KC_DELIVERIES_PAIRS ? 2 : 1;
        const uint64_t *item = words_read(&deliveries->who, &cursor->who, &cursor->who_at, width);
        assert(item && "more records read than were added");
        if (width == 2)
            target.fn = (kc_delivery_fn)(uintptr_t)*item++;
        target.user = (void *)(uintptr_t)*item;
    }
    cursor->index++;
    return target;
}
