/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The range assignor: equal runs of each topic's partitions, in the order of the members. */
#include "client/assignor.h"
#include "protocol/base/names.h"

#include <assert.h>
#include <stdlib.h>

/** A member with its place in the order. */
typedef struct ranked {
    const kc_assign_member *member;
    int32_t index;
} ranked;

/** "This member wants this topic." */
typedef struct wish {
    int32_t topic;
    int32_t rank;
} wish;

typedef struct named_topic {
    kc_bytes name;
    int32_t index;
} named_topic;

/* As Java's MemberInfo: static members first. The member id decides between two that claim one
 * instance id, so that the order never depends on the sort. */
static int compare_members(const void *left, const void *right)
{
    const kc_assign_member *a = ((const ranked *)left)->member;
    const kc_assign_member *b = ((const ranked *)right)->member;
    if ((a->instance_id.ptr != NULL) != (b->instance_id.ptr != NULL))
        return a->instance_id.ptr ? -1 : 1;
    int order = a->instance_id.ptr ? kb_compare(a->instance_id, b->instance_id) : 0;
    if (order == 0)
        order = kb_compare(a->id, b->id);
    if (order == 0)
        order = ((const ranked *)left)->index < ((const ranked *)right)->index ? -1 : 1;
    return order;
}

static int compare_topics(const void *left, const void *right)
{
    const named_topic *a = left;
    const named_topic *b = right;
    int order = kb_compare(a->name, b->name);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

static int compare_wishes(const void *left, const void *right)
{
    const wish *a = left;
    const wish *b = right;
    if (a->topic != b->topic)
        return a->topic < b->topic ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

/* Members in order; the second of two with the same id is left out. */
static kc_err rank_members(const kc_assign_member *members, int32_t count, kb_arena *arena,
                           ranked **ranks_out, int32_t *count_out)
{
    ranked *ranks = kb_arena_array(arena, (size_t)count, sizeof *ranks);
    if (!ranks)
        return KC_ERR_NOMEM;
    for (int32_t i = 0; i < count; i++)
        ranks[i] = (ranked){&members[i], i};
    if (count > 1)
        qsort(ranks, (size_t)count, sizeof *ranks, compare_members);
    int32_t kept = 0;
    for (int32_t i = 0; i < count; i++)
        if (kept == 0 || kb_compare(ranks[kept - 1].member->id, ranks[i].member->id) != 0)
            ranks[kept++] = ranks[i];
    *ranks_out = ranks;
    *count_out = kept;
    return KC_OK;
}

static kc_err collect_wishes(const ranked *ranks, int32_t rank_count, const named_topic *topics,
                             int32_t topic_count, kb_arena *arena, wish **wishes_out,
                             size_t *count_out)
{
    size_t total = 0;
    for (int32_t i = 0; i < rank_count; i++)
        total += (size_t)ranks[i].member->topic_count;
    wish *wishes = kb_arena_array(arena, total, sizeof *wishes);
    if (!wishes)
        return KC_ERR_NOMEM;
    size_t count = 0;
    for (int32_t i = 0; i < rank_count; i++) {
        const kc_assign_member *member = ranks[i].member;
        for (int32_t t = 0; t < member->topic_count; t++) {
            int32_t low = 0, high = topic_count;
            while (low < high) {
                int32_t middle = low + (high - low) / 2;
                if (kb_compare(topics[middle].name, member->topics[t]) < 0)
                    low = middle + 1;
                else
                    high = middle;
            }
            if (low < topic_count && kb_compare(topics[low].name, member->topics[t]) == 0)
                wishes[count++] = (wish){topics[low].index, i};
        }
    }
    if (count > 1)
        qsort(wishes, count, sizeof *wishes, compare_wishes);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare_wishes(&wishes[kept - 1], &wishes[i]) != 0)
            wishes[kept++] = wishes[i];
    *wishes_out = wishes;
    *count_out = kept;
    return KC_OK;
}

/* The wishes [from, to) are those for one topic. */
static void share_out(const wish *wishes, size_t count, const ranked *ranks, int32_t partitions,
                      kc_assign_result *result)
{
    int32_t members = (int32_t)count;
    int32_t each = partitions / members;
    int32_t more = partitions % members;
    int32_t first = 0;
    for (int32_t i = 0; i < members; i++) {
        int32_t share = each + (i < more ? 1 : 0);
        if (share > 0)
            result->ranges[result->count++] =
                (kc_assign_range){.member = ranks[wishes[i].rank].index,
                                  .topic = wishes[i].topic,
                                  .first = first,
                                  .count = share};
        first += share;
    }
    assert(first == partitions);
}

kc_err kc_assign_range_all(const kc_assign_member *members, int32_t member_count,
                           const kc_assign_topic *topics, int32_t topic_count, kb_arena *arena,
                           kc_assign_result *result_out)
{
    assert(member_count >= 0 && topic_count >= 0);
    *result_out = (kc_assign_result){0};
    named_topic *named = kb_arena_array(arena, (size_t)topic_count, sizeof *named);
    if (!named)
        return KC_ERR_NOMEM;
    for (int32_t i = 0; i < topic_count; i++)
        named[i] = (named_topic){topics[i].name, i};
    if (topic_count > 1)
        qsort(named, (size_t)topic_count, sizeof *named, compare_topics);
    ranked *ranks;
    int32_t rank_count;
    wish *wishes;
    size_t wish_count;
    if (rank_members(members, member_count, arena, &ranks, &rank_count) != KC_OK ||
        collect_wishes(ranks, rank_count, named, topic_count, arena, &wishes, &wish_count) != KC_OK)
        return KC_ERR_NOMEM;
    result_out->ranges = kb_arena_array(arena, wish_count, sizeof *result_out->ranges);
    if (!result_out->ranges)
        return KC_ERR_NOMEM;
    for (size_t from = 0, to; from < wish_count; from = to) {
        for (to = from + 1; to < wish_count && wishes[to].topic == wishes[from].topic;)
            to++;
        int32_t partitions = topics[wishes[from].topic].partition_count;
        if (partitions > 0)
            share_out(wishes + from, to - from, ranks, partitions, result_out);
    }
    return KC_OK;
}
