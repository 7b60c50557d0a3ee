/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * An allocator whose n-th call fails, to walk through every out-of-memory path of a scenario. */
#ifndef TEST_FAIL_ALLOC_H
#define TEST_FAIL_ALLOC_H

#include <kafkac/types.h>

#include <stddef.h>
#include <stdlib.h>

typedef struct fail_alloc {
    size_t fail_at;     /**< this call fails, counted from 0; SIZE_MAX: none */
    bool keeps_failing; /**< and all after it                            */
    size_t calls;       /**< malloc and realloc so far                       */
    size_t held;        /**< blocks not given back                           */
    size_t bytes;       /**< in them                                         */
    size_t bytes_peak;
} fail_alloc;

/** In front of each block: its size. */
typedef union fail_alloc_head {
    size_t size;
    max_align_t align;
} fail_alloc_head;

static inline bool fail_alloc_fails(fail_alloc *state)
{
    size_t call = state->calls++;
    return call == state->fail_at || (state->keeps_failing && call > state->fail_at);
}

static void *fail_alloc_realloc(void *ptr, size_t size, void *user)
{
    fail_alloc *state = user;
    fail_alloc_head *head = ptr ? (fail_alloc_head *)ptr - 1 : NULL;
    size_t old_size = head ? head->size : 0;
    if (fail_alloc_fails(state) || size > SIZE_MAX - sizeof *head)
        return NULL;
    head = realloc(head, sizeof *head + size);
    if (!head)
        return NULL;
    head->size = size;
    state->held += !ptr;
    state->bytes += size - old_size;
    if (state->bytes > state->bytes_peak)
        state->bytes_peak = state->bytes;
    return head + 1;
}

static void *fail_alloc_malloc(size_t size, void *user)
{
    return fail_alloc_realloc(NULL, size, user);
}

static void fail_alloc_free(void *ptr, void *user)
{
    fail_alloc *state = user;
    if (!ptr)
        return;
    fail_alloc_head *head = (fail_alloc_head *)ptr - 1;
    state->held--;
    state->bytes -= head->size;
    free(head);
}

static inline kc_alloc fail_alloc_hooks(fail_alloc *state)
{
    return (kc_alloc){fail_alloc_malloc, fail_alloc_realloc, fail_alloc_free, state};
}

/** Run a scenario with its first allocation failing, then its second, and so on to its last: once
 * with that one failing alone (which a smaller second try may survive), once with all after it
 * failing too. The scenario returns whether it succeeded, and gives back all its memory either way.
 * Returns how many runs failed; SIZE_MAX when it does not succeed even with no failure. */
static inline size_t fail_each_alloc(bool (*scenario)(const kc_alloc *alloc))
{
    size_t failed = 0;
    for (size_t n = 0;; n++) {
        bool is_reached = false;
        for (int keeps_failing = 0; keeps_failing < 2; keeps_failing++) {
            fail_alloc state = {.fail_at = n, .keeps_failing = keeps_failing};
            kc_alloc alloc = fail_alloc_hooks(&state);
            bool is_good = scenario(&alloc);
            is_reached = is_reached || state.calls > n;
            failed += !is_good;
            if (!is_good && state.calls <= n)
                return SIZE_MAX;
        }
        if (!is_reached)
            return failed;
    }
}

#endif
