/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Pairing heap of deadlines: insert is O(1), taking the least or any other O(log n) amortised.
 *
 * Why not an array heap: setting a timer would then have to fail when memory is short, and a client
 * which can't set its back-off or request timeout hangs. Here the owner's struct brings the links
 * along. */
#include "net/timer.h"

#include <assert.h>

static bool is_before(const kn_timer *a, const kn_timer *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

/** Join two roots; the later one becomes the first child of the earlier. */
static kn_timer *meld(kn_timer *a, kn_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (is_before(b, a)) {
        kn_timer *swap = a;
        a = b;
        b = swap;
    }
    b->sibling = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    b->prev = a;
    return a;
}

/** One root of a row of siblings: pairs from the left, then all from the right (no recursion). */
static kn_timer *meld_siblings(kn_timer *first)
{
    kn_timer *pairs = NULL;
    while (first) {
        kn_timer *a = first;
        kn_timer *b = a->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = a->prev = NULL;
        if (b)
            b->sibling = b->prev = NULL;
        kn_timer *pair = meld(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    kn_timer *root = NULL;
    while (pairs) {
        kn_timer *next = pairs->sibling;
        pairs->sibling = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

void kn_timer_heap_insert(kn_timer_heap *heap, kn_timer *timer)
{
    assert(!timer->is_set && timer->fn);
    timer->is_set = true;
    timer->order = heap->next_order++;
    timer->child = timer->sibling = timer->prev = NULL;
    heap->root = meld(heap->root, timer);
}

void kn_timer_heap_remove(kn_timer_heap *heap, kn_timer *timer)
{
    if (!timer->is_set)
        return;
    timer->is_set = false;
    kn_timer *below = meld_siblings(timer->child);
    if (heap->root == timer) {
        heap->root = below;
        return;
    }
    assert(timer->prev);
    if (timer->prev->child == timer)
        timer->prev->child = timer->sibling;
    else
        timer->prev->sibling = timer->sibling;
    if (timer->sibling)
        timer->sibling->prev = timer->prev;
    heap->root = meld(heap->root, below);
}
