/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Timers, and the heap of their deadlines. The links stand inside the timers, so nothing here can run out of memory. */
#ifndef KN_TIMER_H
#define KN_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A timer; stands inside its owner. Zero-filled plus fn and user is ready for use. */
typedef struct kn_timer {
    int64_t due_us;
    void (*fn)(struct kn_timer *timer);
    void *user;
    struct kn_timer *child, *sibling, *prev; /**< private: timer.c */
    uint64_t order;                          /**< private          */
    bool is_set;                             /**< private          */
} kn_timer;

static inline bool kn_timer_is_set(const kn_timer *timer)
{
    return timer->is_set;
}

/** Zero-filled is empty. */
typedef struct kn_timer_heap {
    kn_timer *root;
    uint64_t next_order;
} kn_timer_heap;

/** `timer->due_us` is set and the timer is in no heap. Equal deadlines come out in the order of
 * insertion. */
void kn_timer_heap_insert(kn_timer_heap *heap, kn_timer *timer);
/** Does nothing to a timer that is not set. */
void kn_timer_heap_remove(kn_timer_heap *heap, kn_timer *timer);

/** The next one due; NULL: none. */
static inline kn_timer *kn_timer_heap_min(const kn_timer_heap *heap)
{
    return heap->root;
}

#endif
