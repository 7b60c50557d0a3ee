/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sorted sets of partitions. */
#include "mock/partition_set.h"

#include <assert.h>

int km_owned_compare(const km_owned *a, const km_owned *b)
{
    int order = memcmp(a->topic_id.bytes, b->topic_id.bytes, sizeof a->topic_id.bytes);
    if (order != 0)
        return order;
    return (a->partition > b->partition) - (a->partition < b->partition);
}

kc_err km_partition_set_init(km_partition_set *set, kb_mem *mem, size_t cap)
{
    *set = (km_partition_set){0};
    if (cap == 0)
        return KC_OK;
    if (cap > SIZE_MAX / sizeof *set->items)
        return KC_ERR_NOMEM;
    set->items = kb_mem_alloc(mem, cap * sizeof *set->items);
    return set->items ? KC_OK : KC_ERR_NOMEM;
}

void km_partition_set_cleanup(km_partition_set *set, kb_mem *mem)
{
    kb_mem_free(mem, set->items);
    *set = (km_partition_set){0};
}

void km_partition_set_push(km_partition_set *set, const km_owned *item)
{
    assert(set->count == 0 || km_owned_compare(&set->items[set->count - 1], item) < 0);
    set->items[set->count++] = *item;
}

const km_owned *km_partition_set_find(const km_partition_set *set, kc_uuid topic_id,
                                      int32_t partition)
{
    const km_owned wanted = {topic_id, partition, 0};
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = km_owned_compare(&set->items[middle], &wanted);
        if (order == 0)
            return &set->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool km_partition_set_equal(const km_partition_set *a, const km_partition_set *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (km_owned_compare(&a->items[i], &b->items[i]) != 0 ||
            a->items[i].epoch != b->items[i].epoch)
            return false;
    return true;
}
