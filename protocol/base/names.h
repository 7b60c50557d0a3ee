/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Names in the order of their bytes, and sets of them. */
#ifndef KB_NAMES_H
#define KB_NAMES_H

#include "protocol/base/mem.h"

/** Below, equal, above: < 0, 0, > 0; by bytes as if unsigned, and the shorter first. Null is as empty. */
int kb_compare(kc_bytes a, kc_bytes b);
/** The same of two kc_bytes, for qsort() and bsearch(). */
int kb_compare_items(const void *a, const void *b);
/** Sort in place, each once; how many are left. */
size_t kb_names_sort(kc_bytes *items, size_t count);

/** Sorted, each once; the bytes stand behind: one block, kb_mem_free() ends it. */
typedef struct kb_names {
    size_t count;
    kc_bytes items[];
} kb_names;

/** A copy of what is in `items`, in any order. KC_ERR_NOMEM. */
KC_NODISCARD kc_err kb_names_new(kb_mem *mem, const kc_bytes *items, size_t count,
                                 kb_names **names_out);
/** NULL is as empty. */
bool kb_names_equal(const kb_names *a, const kb_names *b);
bool kb_names_has(const kb_names *names, kc_bytes name);

#endif
