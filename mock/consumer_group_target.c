/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The target of a consumer group: which member is to have which partitions in the group's newest epoch. Made within a
 * heartbeat that finds the target older than the group, but not more often than the assignment interval says
 * (KIP-1263): a member that comes too early gets the old target, which has nothing for one that is new. */
#include "mock/assignor.h"
#include "mock/configs.h"
#include "mock/consumer_group_core.h"
#include "protocol/base/error.h"

#include <stdlib.h>

/** A member with what it is in this change. */
typedef struct candidate {
    km_consumer_member *member;
    const km_consumer_view *view;
} candidate;

/** The tables a target is made with; all in the arena of the request. */
typedef struct table {
    km_consumer_change *change;
    km_assignor_input input;
    candidate *candidates; /**< as "range" sorts them   */
    km_topic **topics;     /**< sorted by id            */
    size_t *first;         /**< place of partition 0    */
    int32_t *owners;
} table;

static int compare_candidates(const void *a, const void *b)
{
    const candidate *left = a;
    const candidate *right = b;
    return km_assignor_compare(left->view->instance_id, left->member->id, right->view->instance_id,
                               right->member->id);
}

static int compare_topics(const void *a, const void *b)
{
    const km_topic *const *left = a;
    const km_topic *const *right = b;
    return memcmp((*left)->id.bytes, (*right)->id.bytes, sizeof(*left)->id.bytes);
}

static kc_err list_members(table *t)
{
    km_consumer_change *change = t->change;
    const km_consumer_group *cg = change->cg;
    t->candidates = km_request_alloc(change->request, cg->members.count, sizeof *t->candidates);
    if (!t->candidates)
        return KC_ERR_NOMEM;
    size_t count = 0;
    size_t pos = 0;
    km_consumer_member *member;
    while ((member = kb_map_next(&cg->members, &pos))) {
        const km_consumer_view *view = km_consumer_view_of(change, member);
        if (view)
            t->candidates[count++] = (candidate){member, view};
    }
    qsort(t->candidates, count, sizeof *t->candidates, compare_candidates);
    t->input.member_count = (int32_t)count;
    return KC_OK;
}

static bool is_subscribed_by_any(const table *t, const km_topic *topic)
{
    for (int32_t i = 0; i < t->input.member_count; i++)
        if (km_consumer_view_subscribes(t->change->cg, t->candidates[i].view, kc_str(topic->name)))
            return true;
    return false;
}

static kc_err list_topics(table *t)
{
    km_cluster *cluster = t->change->request->cluster;
    km_request *request = t->change->request;
    size_t count = 0;
    size_t pos = 0;
    km_topic *topic;
    while ((topic = kb_map_next(&cluster->topics, &pos)))
        count += is_subscribed_by_any(t, topic);
    int32_t *partition_counts = km_request_alloc(request, count, sizeof *partition_counts);
    bool *is_subscribed =
        km_request_alloc(request, count, (size_t)t->input.member_count * sizeof *is_subscribed);
    t->topics = km_request_alloc(request, count, sizeof(km_topic *));
    t->first = km_request_alloc(request, count, sizeof *t->first);
    if (!partition_counts || !is_subscribed || !t->topics || !t->first)
        return KC_ERR_NOMEM;
    t->input.topic_count = (int32_t)count;
    t->input.partition_counts = partition_counts;
    t->input.is_subscribed = is_subscribed;
    count = 0;
    for (pos = 0; (topic = kb_map_next(&cluster->topics, &pos));)
        if (is_subscribed_by_any(t, topic))
            t->topics[count++] = topic;
    qsort(t->topics, count, sizeof(km_topic *), compare_topics);
    size_t places = 0;
    for (size_t i = 0; i < count; i++) {
        partition_counts[i] = t->topics[i]->partition_count;
        t->first[i] = places;
        places += (size_t)partition_counts[i];
    }
    for (int32_t member = 0; member < t->input.member_count; member++)
        for (size_t i = 0; i < count; i++)
            is_subscribed[(size_t)member * count + i] = km_consumer_view_subscribes(
                t->change->cg, t->candidates[member].view, kc_str(t->topics[i]->name));
    return KC_OK;
}

/** The target so far. What a static member had is its successor's. */
static const km_partition_set *old_target(const km_consumer_change *change,
                                          const km_consumer_member *member)
{
    return member == change->member && change->replaced ? &change->replaced->target
                                                        : &member->target;
}

static void note_owners(const table *t, int32_t index)
{
    const km_partition_set *set = old_target(t->change, t->candidates[index].member);
    size_t topic = 0; // both are sorted by topic id
    size_t topics = (size_t)t->input.topic_count;
    for (size_t i = 0; i < set->count; i++) {
        const km_owned *item = &set->items[i];
        while (topic < topics && memcmp(t->topics[topic]->id.bytes, item->topic_id.bytes,
                                        sizeof item->topic_id.bytes) < 0)
            topic++;
        if (topic < topics &&
            memcmp(t->topics[topic]->id.bytes, item->topic_id.bytes, sizeof item->topic_id.bytes) ==
                0 &&
            item->partition < t->input.partition_counts[topic])
            t->owners[t->first[topic] + (size_t)item->partition] = index;
    }
}

static kc_err assign(table *t)
{
    size_t places = km_assignor_places(&t->input);
    t->owners = km_request_alloc(t->change->request, places, sizeof *t->owners);
    if (!t->owners)
        return KC_ERR_NOMEM;
    for (size_t i = 0; i < places; i++)
        t->owners[i] = KM_NO_OWNER;
    for (int32_t i = 0; i < t->input.member_count; i++)
        note_owners(t, i);
    km_assignor assignor =
        km_assignor_by_name(km_consumer_group_assignor(t->change->cg, t->change));
    return assignor(&t->input, t->owners);
}

/** The owners as a set of each member. */
static kc_err make_sets(table *t)
{
    km_consumer_change *change = t->change;
    kb_mem *mem = change->request->cluster->mem;
    size_t count = (size_t)t->input.member_count;
    size_t *sizes = km_request_alloc(change->request, count, sizeof *sizes);
    change->members = km_request_alloc(change->request, count, sizeof(km_consumer_member *));
    change->targets = km_request_alloc(change->request, count, sizeof *change->targets);
    if (!sizes || !change->members || !change->targets)
        return KC_ERR_NOMEM;
    size_t places = km_assignor_places(&t->input);
    for (size_t i = 0; i < places; i++)
        if (t->owners[i] != KM_NO_OWNER)
            sizes[t->owners[i]]++;
    for (; change->member_count < count; change->member_count++) {
        change->members[change->member_count] = t->candidates[change->member_count].member;
        KB_TRY(km_partition_set_init(&change->targets[change->member_count], mem,
                                     sizes[change->member_count]));
    }
    size_t place = 0;
    for (int32_t topic = 0; topic < t->input.topic_count; topic++)
        for (int32_t i = 0; i < t->input.partition_counts[topic]; i++, place++)
            if (t->owners[place] != KM_NO_OWNER)
                km_partition_set_push(&change->targets[t->owners[place]],
                                      &(km_owned){t->topics[topic]->id, i, 0});
    return KC_OK;
}

static bool is_time(const km_consumer_change *change)
{
    const km_consumer_group *cg = change->cg;
    const km_cluster *cluster = cg->group->cluster;
    int64_t interval_ms =
        km_group_config_i64(cluster, cg->group->id, "consumer.assignment.interval.ms",
                            cluster->options.consumer_assignment_interval_ms);
    return change->epoch > cg->assignment_epoch &&
           (cg->assigned_us == INT64_MIN || interval_ms == 0 ||
            cluster->now_us >= cg->assigned_us + interval_ms * 1000);
}

kc_err km_consumer_change_target(km_consumer_change *change)
{
    change->target = old_target(change, change->member);
    change->target_epoch = change->cg->assignment_epoch;
    if (!is_time(change))
        return KC_OK;
    table t = {.change = change, .input.mem = change->request->cluster->mem};
    KB_TRY(list_members(&t));
    KB_TRY(list_topics(&t));
    KB_TRY(assign(&t));
    KB_TRY(make_sets(&t));
    for (size_t i = 0; i < change->member_count; i++)
        if (change->members[i] == change->member)
            change->target = &change->targets[i];
    change->target_epoch = change->epoch;
    return KC_OK;
}

kc_bytes km_consumer_group_assignor(const km_consumer_group *cg, const km_consumer_change *change)
{
    size_t uniform = 0;
    size_t range = 0;
    size_t pos = 0;
    const km_consumer_member *member;
    while ((member = kb_map_next(&cg->members, &pos))) {
        const km_consumer_view *view = km_consumer_view_of(change, member);
        if (!view || !view->assignor.ptr)
            continue;
        if (kc_bytes_equal(view->assignor, KC_STR("range")))
            range++;
        else
            uniform++;
    }
    return range > uniform ? KC_STR("range") : KC_STR("uniform");
}
