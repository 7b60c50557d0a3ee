/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sentences that say what is waited for, one at a time, on the stack: what kc_client_explain() is made of. A
 * module explains its own state in a function of its own, X_explain(x, out); none keeps anything for it. */
#ifndef KB_EXPLAIN_H
#define KB_EXPLAIN_H

#include <kafkac/types.h>

/** Where the sentences go. */
typedef struct kb_explain {
    void (*fn)(kc_bytes line, void *user);
    void *user;
    int64_t now_us; /**< loop time */
    size_t lines;   /**< so far    */
} kb_explain;

/** One sentence, without a line end; cut at 1,024 bytes, control characters become blanks. */
void kb_explain_line(kb_explain *out, const char *fmt, ...) KC_PRINTF(2, 3);

/** Lines of one list (partitions, connections, calls); those behind are counted. */
#define KB_EXPLAIN_LIST_MAX 10

typedef struct kb_explain_list {
    size_t told, left_out;
} kb_explain_list;

/** May the next one of the list be told? */
static inline bool kb_explain_next(kb_explain_list *list)
{
    bool is_told = list->told < KB_EXPLAIN_LIST_MAX;
    list->told += is_told;
    list->left_out += !is_told;
    return is_told;
}

/** "and 7 more partitions", where some were left out; `what` is in the plural. */
void kb_explain_rest(kb_explain *out, const kb_explain_list *list, const char *what);

/** A text by value, to stand among the arguments of a printf: kb_duration(us).text */
typedef struct kb_word {
    char text[24];
} kb_word;

/** "3 ms", "2.1 s", "30 s", "12 min"; less than nothing is nothing. */
kb_word kb_duration(int64_t us);
/** "100 bytes", "14.2 KiB". */
kb_word kb_size(uint64_t bytes);
/** "1 record", "3 records". */
kb_word kb_count(uint64_t count, const char *singular);

#endif
