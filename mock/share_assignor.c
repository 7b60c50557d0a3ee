/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The simple assignor: a table of members and partitions, filled from the old targets and evened out. */
#include "mock/share_assignor.h"

#include "protocol/base/arena.h"
#include "protocol/base/error.h"

typedef struct dealing {
    kb_arena arena;
    km_share_member **members;
    size_t member_count;
    km_share_slot *slots;
    size_t slot_count;
    uint8_t *has;     /**< [member * slot_count + slot]         */
    size_t *readers;  /**< members of each slot                 */
    size_t *readings; /**< slots of each member, of those at hand */
    size_t *wanted;   /**< how many it is to have               */
} dealing;

static int by_slot(const km_share_slot *a, const km_share_slot *b)
{
    int order = memcmp(a->topic_id.bytes, b->topic_id.bytes, sizeof a->topic_id.bytes);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

static size_t find_slot(const dealing *deal, const km_share_slot *slot)
{
    size_t low = 0;
    size_t high = deal->slot_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = by_slot(&deal->slots[middle], slot);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

/** The slots of the members' topics, sorted; those of one topic stand together. */
static kc_err collect_slots(const km_share_group *group, dealing *deal)
{
    const km_share_topic *topic;
    size_t pos = 0;
    size_t most = 0;
    while ((topic = kb_map_next(&group->topics, &pos)))
        most += (size_t)topic->partition_count;
    deal->slots = kb_arena_array(&deal->arena, most, sizeof *deal->slots);
    if (!deal->slots)
        return KC_ERR_NOMEM;
    pos = 0;
    while ((topic = kb_map_next(&group->topics, &pos))) {
        const km_topic *there = km_topic_by_id(group->group->cluster, topic->id);
        bool is_wanted = false;
        for (size_t i = 0; there && i < deal->member_count && !is_wanted; i++)
            is_wanted = kb_names_has(deal->members[i]->topics, kc_str(there->name));
        if (!is_wanted)
            continue;
        /* In its place among the topics. */
        size_t at = 0;
        km_share_slot first = {topic->id, 0};
        while (at < deal->slot_count && by_slot(&deal->slots[at], &first) < 0)
            at++;
        size_t count = 0;
        for (int32_t i = 0; i < topic->partition_count; i++)
            count += topic->partitions[i] != NULL;
        memmove(&deal->slots[at + count], &deal->slots[at],
                (deal->slot_count - at) * sizeof *deal->slots);
        for (int32_t i = 0; i < topic->partition_count; i++)
            if (topic->partitions[i])
                deal->slots[at++] = (km_share_slot){topic->id, i};
        deal->slot_count += count;
    }
    return KC_OK;
}

static kc_err set_table(const km_share_group *group, dealing *deal)
{
    km_share_member *member;
    size_t pos = 0;
    deal->members = kb_arena_array(&deal->arena, group->members.count, sizeof(km_share_member *));
    if (!deal->members)
        return KC_ERR_NOMEM;
    while ((member = kb_map_next(&group->members, &pos)))
        deal->members[deal->member_count++] = member;
    KB_TRY(collect_slots(group, deal));
    deal->has = kb_arena_array(&deal->arena, deal->member_count, deal->slot_count + 1);
    deal->readers = kb_arena_array(&deal->arena, deal->slot_count, sizeof *deal->readers);
    deal->readings = kb_arena_array(&deal->arena, deal->member_count, sizeof *deal->readings);
    deal->wanted = kb_arena_array(&deal->arena, deal->member_count, sizeof *deal->wanted);
    if (!deal->has || !deal->readers || !deal->readings || !deal->wanted)
        return KC_ERR_NOMEM;
    for (size_t i = 0; i < deal->member_count; i++) {
        const km_share_slots *old = &deal->members[i]->target;
        for (size_t k = 0; k < old->count; k++) {
            size_t slot = find_slot(deal, &old->items[k]);
            if (slot != SIZE_MAX)
                deal->has[i * deal->slot_count + slot] = 1;
        }
    }
    return KC_OK;
}

/* ---- one set of slots among those who read it ---- */

typedef struct spread {
    dealing *deal;
    const size_t *members; /**< who reads these, by number in the deal */
    size_t member_count;
    size_t from, until; /**< slots */
} spread;

static void take_away(const spread *work, size_t member, size_t slot)
{
    uint8_t *has = &work->deal->has[member * work->deal->slot_count + slot];
    if (!*has)
        return;
    *has = 0;
    work->deal->readers[slot]--;
    work->deal->readings[member]--;
}

static void give(const spread *work, size_t member, size_t slot)
{
    work->deal->has[member * work->deal->slot_count + slot] = 1;
    work->deal->readers[slot]++;
    work->deal->readings[member]++;
}

static bool has(const spread *work, size_t member, size_t slot)
{
    return work->deal->has[member * work->deal->slot_count + slot] != 0;
}

static void count_old(const spread *work, size_t sharing)
{
    dealing *deal = work->deal;
    size_t total = sharing * (work->until - work->from);
    for (size_t slot = work->from; slot < work->until; slot++)
        deal->readers[slot] = 0;
    for (size_t i = 0; i < work->member_count; i++) {
        size_t member = work->members[i];
        /* The total in parts that differ by one at most. */
        deal->wanted[member] = (total * (i + 1) + work->member_count - 1) / work->member_count -
                               (total * i + work->member_count - 1) / work->member_count;
        deal->readings[member] = 0;
        for (size_t slot = work->from; slot < work->until; slot++) {
            size_t one = has(work, member, slot) ? 1 : 0;
            deal->readers[slot] += one;
            deal->readings[member] += one;
        }
    }
}

static void take_too_many(const spread *work, size_t sharing)
{
    const dealing *deal = work->deal;
    for (size_t i = 0; i < work->member_count; i++)
        for (size_t slot = work->from; slot < work->until; slot++)
            if (deal->readings[work->members[i]] > deal->wanted[work->members[i]])
                take_away(work, work->members[i], slot);
    for (size_t slot = work->from; slot < work->until; slot++)
        for (size_t i = 0; i < work->member_count && deal->readers[slot] > sharing; i++)
            take_away(work, work->members[i], slot);
}

static void spread_slots(const spread *work)
{
    const dealing *deal = work->deal;
    size_t slots = work->until - work->from;
    if (slots == 0 || work->member_count == 0)
        return;
    size_t sharing = (work->member_count + slots - 1) / slots;
    count_old(work, sharing);
    take_too_many(work, sharing);
    size_t turn = 0; /* whose it is to get the next one */
    for (size_t slot = work->from; slot < work->until; slot++)
        for (size_t tried = 0; tried < work->member_count && deal->readers[slot] < sharing;
             tried++) {
            size_t member = work->members[turn++ % work->member_count];
            if (deal->readings[member] < deal->wanted[member] && !has(work, member, slot))
                give(work, member, slot);
        }
}

/* ---- all of them ---- */

static bool is_homogeneous(const dealing *deal)
{
    for (size_t i = 1; i < deal->member_count; i++)
        if (!kb_names_equal(deal->members[i]->topics, deal->members[0]->topics))
            return false;
    return true;
}

static size_t end_of_topic(const dealing *deal, size_t from)
{
    size_t until = from + 1;
    while (until < deal->slot_count &&
           memcmp(deal->slots[until].topic_id.bytes, deal->slots[from].topic_id.bytes,
                  sizeof deal->slots[from].topic_id.bytes) == 0)
        until++;
    return until;
}

/** Members that all read the same share all slots at once; else each topic is dealt out for itself. */
static kc_err spread_all(const km_share_group *group, dealing *deal)
{
    size_t *readers = kb_arena_array(&deal->arena, deal->member_count, sizeof *readers);
    if (!readers)
        return KC_ERR_NOMEM;
    bool is_one = is_homogeneous(deal);
    size_t until;
    for (size_t from = 0; from < deal->slot_count; from = until) {
        until = is_one ? deal->slot_count : end_of_topic(deal, from);
        const km_topic *topic = km_topic_by_id(group->group->cluster, deal->slots[from].topic_id);
        spread work = {.deal = deal, .members = readers, .from = from, .until = until};
        for (size_t i = 0; i < deal->member_count; i++) {
            if (is_one || kb_names_has(deal->members[i]->topics, kc_str(topic->name)))
                readers[work.member_count++] = i;
            else
                for (size_t slot = from; slot < until; slot++)
                    deal->has[i * deal->slot_count + slot] = 0;
        }
        spread_slots(&work);
    }
    return KC_OK;
}

/** The rows of the table as targets; either all members get theirs, or none. */
static kc_err put_targets(const dealing *deal, kb_mem *mem)
{
    km_share_slot **rows =
        kb_arena_array((kb_arena *)&deal->arena, deal->member_count, sizeof(km_share_slot *));
    if (!rows)
        return KC_ERR_NOMEM;
    for (size_t i = 0; i < deal->member_count; i++) {
        size_t count = 0;
        rows[i] = kb_mem_alloc(mem, deal->slot_count * sizeof **rows);
        if (!rows[i]) {
            while (i > 0)
                kb_mem_free(mem, rows[--i]);
            return KC_ERR_NOMEM;
        }
        for (size_t slot = 0; slot < deal->slot_count; slot++)
            if (deal->has[i * deal->slot_count + slot])
                rows[i][count++] = deal->slots[slot];
        deal->readings[i] = count;
    }
    for (size_t i = 0; i < deal->member_count; i++) {
        kb_mem_free(mem, deal->members[i]->target.items);
        deal->members[i]->target = (km_share_slots){rows[i], deal->readings[i]};
    }
    return KC_OK;
}

kc_err km_share_assign(km_share_group *group)
{
    kb_mem *mem = group->group->cluster->mem;
    dealing deal = {0};
    kb_arena_init(&deal.arena, mem, SIZE_MAX / 2);
    kc_err err = set_table(group, &deal);
    if (!err)
        err = spread_all(group, &deal);
    if (!err)
        err = put_targets(&deal, mem);
    kb_arena_cleanup(&deal.arena);
    return err;
}
