/* SPDX-License-Identifier: LicenseRef-OfficeFlow */
#include "protocol/base/names.h"

#include <stdlib.h>

int kb_compare(kc_bytes a, kc_bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

int kb_compare_items(const void *a, const void *b)
{
    return kb_compare(*(const kc_bytes *)a, *(const kc_bytes *)b);
}

size_t kb_names_sort(kc_bytes *items, size_t count)
{
    size_t kept = 0;
    if (count > 1)
        qsort(items, count, sizeof *items, kb_compare_items);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || kb_compare(items[kept - 1], items[i]) != 0)
            items[kept++] = items[i];
    return kept;
}

kc_err kb_names_new(kb_mem *mem, const kc_bytes *items, size_t count, kb_names **names_out)
{
    size_t text = 0;
    for (size_t i = 0; i < count; i++)
        text += items[i].len;
    kb_names *names = kb_mem_alloc(mem, sizeof *names + count * sizeof *items + text);
    if (!names)
        return KC_ERR_NOMEM;
    if (count > 0)
        memcpy(names->items, items, count * sizeof *items);
    names->count = kb_names_sort(names->items, count);
    uint8_t *to = (uint8_t *)(names->items + count);
    for (size_t i = 0; i < names->count; i++) {
        kc_bytes from = names->items[i];
        if (from.len > 0)
            memcpy(to, from.ptr, from.len);
        names->items[i] = kc_span(to, from.len);
        to += from.len;
    }
    *names_out = names;
    return KC_OK;
}

bool kb_names_equal(const kb_names *a, const kb_names *b)
{
    size_t count = a ? a->count : 0;
    if (count != (b ? b->count : 0))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!kc_bytes_equal(a->items[i], b->items[i]))
            return false;
    return true;
}

bool kb_names_has(const kb_names *names, kc_bytes name)
{
    return names && names->count > 0 &&
           bsearch(&name, names->items, names->count, sizeof name, kb_compare_items);
}
