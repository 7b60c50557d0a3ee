/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Intrusive doubly linked list with a sentinel. */
#ifndef KB_LIST_H
#define KB_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct kb_list {
    struct kb_list *next;
    struct kb_list *prev;
} kb_list;

/** The struct that holds `node` as `member`. */
#define KB_CONTAINER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void kb_list_init(kb_list *list)
{
    list->next = list->prev = list;
}

/** For a head and for a node made ready by kb_list_init() or taken off by kb_list_remove(). */
static inline bool kb_list_is_empty(const kb_list *list)
{
    return list->next == list;
}

static inline void kb_list_insert_before(kb_list *pos, kb_list *node)
{
    node->prev = pos->prev;
    node->next = pos;
    pos->prev->next = node;
    pos->prev = node;
}

static inline void kb_list_push_back(kb_list *list, kb_list *node)
{
    kb_list_insert_before(list, node);
}

static inline void kb_list_push_front(kb_list *list, kb_list *node)
{
    kb_list_insert_before(list->next, node);
}

/** Leaves the node as an empty list of its own, so removing twice does no harm. */
static inline void kb_list_remove(kb_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    kb_list_init(node);
}

static inline kb_list *kb_list_pop_front(kb_list *list)
{
    kb_list *node = list->next;
    if (node == list)
        return NULL;
    kb_list_remove(node);
    return node;
}

/** Move all of `from` behind the end of `list`; `from` is empty then. */
static inline void kb_list_splice_back(kb_list *list, kb_list *from)
{
    if (kb_list_is_empty(from))
        return;
    from->next->prev = list->prev;
    list->prev->next = from->next;
    from->prev->next = list;
    list->prev = from->prev;
    kb_list_init(from);
}

/** Removing `it` inside the loop is allowed. */
#define KB_LIST_FOR(it, list)                                                                      \
    for (kb_list *it = (list)->next, *it##_next = it->next; it != (list);                          \
         it = it##_next, it##_next = it->next)

#endif
