/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Share groups: members and heartbeats, and the share partitions by topic. */
#include "mock/share_group.h"

#include "mock/configs.h"
#include "mock/share_assignor.h"
#include "mock/text.h"
#include "protocol/base/arena.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

#include <stdlib.h>

/** group.share.max.size of a broker's defaults. */
#define MEMBERS_MAX 200

static kb_mem *mem_of(const km_share_group *group)
{
    return group->group->cluster->mem;
}

static int64_t config(const km_share_group *group, const char *name, int64_t fallback)
{
    return km_group_config_i64(group->group->cluster, group->group->id, name, fallback);
}

/** With no delay of a group's first rebalance state for a topic is there at once; a broker has it with the next heartbeat,
 * and so the first assignment is empty. */
static bool is_hasty(const km_share_group *group)
{
    return group->group->cluster->options.group_initial_delay_ms == 0;
}

/* ---- share partitions ---- */

static kc_bytes topic_key(const kc_uuid *id)
{
    return kc_span(id->bytes, sizeof id->bytes);
}

km_share_topic *km_share_topic_find(const km_share_group *group, kc_uuid topic_id)
{
    return kb_map_get(&group->topics, topic_key(&topic_id));
}

km_share_partition *km_share_partition_find(const km_share_group *group, kc_uuid topic_id,
                                            int32_t index)
{
    const km_share_topic *topic = km_share_topic_find(group, topic_id);
    return topic && index >= 0 && index < topic->partition_count ? topic->partitions[index] : NULL;
}

km_share_partition *km_share_partition_at(const km_broker *broker, kc_bytes group_id,
                                          kc_uuid topic_id, int32_t index)
{
    const km_share_group *group = km_share_group_find(broker->cluster, group_id);
    km_share_partition *shared = group ? km_share_partition_find(group, topic_id, index) : NULL;
    const km_topic *topic = km_topic_by_id(broker->cluster, topic_id);
    if (!shared || !topic || index >= topic->partition_count)
        return NULL;
    const km_partition *partition = topic->partitions[index];
    return partition->leader == broker->id && km_share_is_loaded(shared, partition) ? shared : NULL;
}

/** Room for so many partitions, without state. */
static km_share_topic *topic_open(km_share_group *group, const km_topic *topic)
{
    km_share_topic *shared = km_share_topic_find(group, topic->id);
    if (!shared) {
        shared = kb_mem_zalloc(mem_of(group), sizeof *shared);
        if (!shared)
            return NULL;
        shared->id = topic->id;
        if (kb_map_put(&group->topics, topic_key(&shared->id), shared)) {
            kb_mem_free(mem_of(group), shared);
            return NULL;
        }
    }
    if (topic->partition_count <= shared->partition_count)
        return shared;
    km_share_partition **larger =
        kb_mem_realloc(mem_of(group), shared->partitions,
                       (size_t)topic->partition_count * sizeof(km_share_partition *));
    if (!larger)
        return NULL;
    shared->partitions = larger;
    while (shared->partition_count < topic->partition_count)
        shared->partitions[shared->partition_count++] = NULL;
    return shared;
}

km_share_partition *km_share_partition_open(km_share_group *group, const km_topic *topic,
                                            int32_t index)
{
    km_share_topic *shared = topic_open(group, topic);
    if (!shared)
        return NULL;
    if (!shared->partitions[index])
        shared->partitions[index] =
            km_share_partition_new(group->group->cluster, group->group->id, topic->id, index);
    return shared->partitions[index];
}

kc_err km_share_topic_open(km_share_group *group, const km_topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (!km_share_partition_open(group, topic, i))
            return KC_ERR_NOMEM;
    return KC_OK;
}

void km_share_topic_delete(km_share_group *group, km_share_topic *topic)
{
    kb_map_remove(&group->topics, topic_key(&topic->id));
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (topic->partitions[i])
            km_share_partition_free(topic->partitions[i]);
    kb_mem_free(mem_of(group), topic->partitions);
    kb_mem_free(mem_of(group), topic);
}

static void forget_deleted_topics(km_share_group *group)
{
    size_t pos = 0;
    km_share_topic *topic;
    while ((topic = kb_map_next(&group->topics, &pos)))
        if (!km_topic_by_id(group->group->cluster, topic->id))
            km_share_topic_delete(group, topic);
}

/* ---- members, as data ---- */

bool km_share_member_id_is_valid(kc_bytes member_id)
{
    size_t characters = 0;
    for (size_t i = 0; i < member_id.len; i++)
        characters += (member_id.ptr[i] & 0xc0) != 0x80;
    return member_id.ptr && characters > 0 && characters <= KM_SHARE_MEMBER_ID_MAX;
}

km_share_member *km_share_member_find(const km_share_group *group, kc_bytes member_id)
{
    return kb_map_get(&group->members, member_id);
}

static void member_free(km_share_member *member)
{
    kb_mem *mem = mem_of(member->group);
    km_timer_stop(member->group->group->cluster, &member->session);
    kb_mem_free(mem, (void *)member->rack_id.ptr);
    kb_mem_free(mem, (void *)member->client_id.ptr);
    kb_mem_free(mem, member->topics);
    kb_mem_free(mem, member->target.items);
    kb_mem_free(mem, member->assigned.items);
    kb_mem_free(mem, member);
}

static bool replace_text(kb_mem *mem, kc_bytes *text, kc_bytes value)
{
    if (kc_bytes_equal(*text, value) && text->ptr)
        return true;
    char *copy = kb_mem_strndup(mem, value.len > 0 ? (const char *)value.ptr : "", value.len);
    if (!copy)
        return false;
    kb_mem_free(mem, (void *)text->ptr);
    *text = kc_span(copy, value.len);
    return true;
}

/** What the heartbeat says of the member. KC_ERR_NOMEM: as it was, or a part of it. */
static kc_err update_member(km_share_member *member, const km_share_beat *beat, bool *is_changed)
{
    kb_mem *mem = mem_of(member->group);
    if ((beat->rack_id.ptr && !replace_text(mem, &member->rack_id, beat->rack_id)) ||
        !replace_text(mem, &member->client_id, beat->client_id))
        return KC_ERR_NOMEM;
    if (!beat->topics)
        return KC_OK;
    kb_names *topics;
    KB_TRY(kb_names_new(mem, beat->topics, beat->topic_count, &topics));
    *is_changed = !kb_names_equal(topics, member->topics);
    kb_mem_free(mem, member->topics);
    member->topics = topics;
    return KC_OK;
}

/* ---- the group ---- */

static km_share_group *impl(const km_group *group)
{
    return group->impl;
}

static const char *state_name(const km_group *group)
{
    return impl(group)->members.count > 0 ? "Stable" : "Empty";
}

static bool is_empty(const km_group *group)
{
    return impl(group)->members.count == 0;
}

static kc_bytes protocol_type(const km_group *group)
{
    (void)group;
    return KC_STR("share");
}

static bool has_subscriber(const km_group *group, kc_bytes topic)
{
    size_t pos = 0;
    const km_share_member *member;
    while ((member = kb_map_next(&impl(group)->members, &pos)))
        if (kb_names_has(member->topics, topic))
            return true;
    return false;
}

static int16_t no_commit(km_group *group, kc_bytes member_id, kc_bytes instance_id, int32_t epoch,
                         bool is_transactional)
{
    (void)group;
    (void)member_id;
    (void)instance_id;
    (void)epoch;
    (void)is_transactional;
    return KC_E_GROUP_ID_NOT_FOUND;
}

static int16_t no_fetch(const km_group *group, kc_bytes member_id, int32_t member_epoch)
{
    (void)group;
    (void)member_id;
    (void)member_epoch;
    return KC_E_GROUP_ID_NOT_FOUND;
}

static void group_free(km_group *group)
{
    km_share_group *shared = impl(group);
    size_t pos = 0;
    km_share_member *member;
    while ((member = kb_map_next(&shared->members, &pos))) {
        kb_map_remove(&shared->members, member->id);
        member_free(member);
    }
    pos = 0;
    km_share_topic *topic;
    while ((topic = kb_map_next(&shared->topics, &pos)))
        km_share_topic_delete(shared, topic);
    kb_map_cleanup(&shared->members);
    kb_map_cleanup(&shared->topics);
    kb_mem_free(group->cluster->mem, shared);
}

static const km_group_ops ops = {
    .type_name = "Share",
    .state_name = state_name,
    .is_empty = is_empty,
    .protocol_type = protocol_type,
    .is_subscribed = has_subscriber,
    .check_commit = no_commit,
    .check_fetch = no_fetch,
    .free = group_free,
};

km_share_group *km_share_group_find(const km_cluster *cluster, kc_bytes group_id)
{
    const km_group *group = km_group_find(cluster, group_id);
    return group && group->type == KM_GROUP_SHARE ? group->impl : NULL;
}

int16_t km_share_group_open(km_cluster *cluster, kc_bytes group_id, km_share_group **group_out)
{
    km_group *group = km_group_find(cluster, group_id);
    if (group && group->type == KM_GROUP_SHARE) {
        *group_out = group->impl;
        return 0;
    }
    if (group && (group->type != KM_GROUP_NONE || group->offsets.count > 0))
        return KC_E_GROUP_ID_NOT_FOUND;
    bool is_new = !group;
    group = km_group_open(cluster, group_id);
    km_share_group *shared = group ? kb_mem_zalloc(cluster->mem, sizeof *shared) : NULL;
    if (!shared || km_group_become(group, KM_GROUP_SHARE, &ops, shared)) {
        kb_mem_free(cluster->mem, shared);
        if (group && is_new)
            km_group_delete(group);
        return KC_E_UNKNOWN_SERVER_ERROR;
    }
    shared->group = group;
    shared->epoch = KM_SHARE_FIRST_EPOCH;
    shared->assignment_epoch = KM_SHARE_FIRST_EPOCH;
    shared->assigned_us = -1;
    kb_map_init(&shared->members, cluster->mem);
    kb_map_init(&shared->topics, cluster->mem);
    *group_out = shared;
    return 0;
}

void km_share_group_trim(km_share_group *group)
{
    if (group->epoch == KM_SHARE_FIRST_EPOCH && group->members.count == 0 &&
        group->topics.count == 0)
        km_group_delete(group->group);
}

/* ---- heartbeats ---- */

static uint64_t digest(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

/** Of the topics that members are subscribed to: changes when one comes, goes or grows. */
static uint64_t digest_topics(const km_share_group *group)
{
    uint64_t sum = 0;
    size_t pos = 0;
    const km_topic *topic;
    while ((topic = kb_map_next(&group->group->cluster->topics, &pos))) {
        if (!has_subscriber(group->group, kc_str(topic->name)))
            continue;
        uint64_t one = digest(0xcbf29ce484222325, &topic->id, sizeof topic->id);
        sum += digest(one, &topic->partition_count, sizeof topic->partition_count);
    }
    return sum;
}

static kc_err open_topics(km_share_group *group)
{
    size_t pos = 0;
    const km_topic *topic;
    while ((topic = kb_map_next(&group->group->cluster->topics, &pos)))
        if (has_subscriber(group->group, kc_str(topic->name)))
            KB_TRY(km_share_topic_open(group, topic));
    return KC_OK;
}

static int by_slot(const void *a, const void *b)
{
    const km_share_slot *left = a;
    const km_share_slot *right = b;
    int order = memcmp(left->topic_id.bytes, right->topic_id.bytes, sizeof left->topic_id.bytes);
    return order ? order : (left->index > right->index) - (left->index < right->index);
}

/** In a target: the assignor sorts them. */
static bool is_in(const km_share_slots *slots, kc_uuid topic_id, int32_t index)
{
    const km_share_slot slot = {topic_id, index};
    return slots->count > 0 &&
           bsearch(&slot, slots->items, slots->count, sizeof slot, by_slot) != NULL;
}

static bool is_assigned(const km_share_group *group, kc_uuid topic_id, int32_t index)
{
    size_t pos = 0;
    const km_share_member *member;
    while ((member = kb_map_next(&group->members, &pos)))
        if (is_in(&member->target, topic_id, index))
            return true;
    return false;
}

/** Is there state for a partition that nobody reads although someone wants to? */
static bool is_assignment_pending(const km_share_group *group)
{
    size_t pos = 0;
    const km_share_topic *shared;
    while ((shared = kb_map_next(&group->topics, &pos))) {
        const km_topic *topic = km_topic_by_id(group->group->cluster, shared->id);
        if (!topic || !has_subscriber(group->group, kc_str(topic->name)))
            continue;
        for (int32_t i = 0; i < shared->partition_count; i++)
            if (shared->partitions[i] && !is_assigned(group, shared->id, i))
                return true;
    }
    return false;
}

static kc_err retarget(km_share_group *group)
{
    int64_t now_us = group->group->cluster->now_us;
    int64_t interval_ms = config(group, "share.assignment.interval.ms", is_hasty(group) ? 0 : 1000);
    if (group->assignment_epoch >= group->epoch ||
        (group->assigned_us >= 0 && now_us < group->assigned_us + interval_ms * 1000))
        return KC_OK;
    KB_TRY(km_share_assign(group));
    group->assignment_epoch = group->epoch;
    group->assigned_us = now_us;
    return KC_OK;
}

/** The member gets what is meant for it, as far as it is subscribed still. */
static kc_err reconcile(km_share_member *member, bool *is_changed)
{
    const km_share_group *group = member->group;
    km_share_slots next = {0};
    next.items = kb_mem_alloc(mem_of(group), member->target.count * sizeof *next.items);
    if (!next.items)
        return KC_ERR_NOMEM;
    for (size_t i = 0; i < member->target.count; i++) {
        const km_topic *topic =
            km_topic_by_id(group->group->cluster, member->target.items[i].topic_id);
        if (topic && kb_names_has(member->topics, kc_str(topic->name)))
            next.items[next.count++] = member->target.items[i];
    }
    *is_changed = next.count != member->assigned.count ||
                  (next.count > 0 && memcmp(next.items, member->assigned.items,
                                            next.count * sizeof *next.items) != 0);
    kb_mem_free(mem_of(group), member->assigned.items);
    member->assigned = next;
    if (member->epoch != group->assignment_epoch) {
        member->previous_epoch = member->epoch;
        member->epoch = group->assignment_epoch;
    }
    return KC_OK;
}

static void member_leave(km_share_member *member)
{
    km_share_group *group = member->group;
    kb_map_remove(&group->members, member->id);
    member_free(member);
    group->epoch++;
    group->metadata = digest_topics(group);
}

static void on_session_timeout(kn_timer *timer)
{
    member_leave(timer->user);
}

static km_share_member *member_new(km_share_group *group, kc_bytes id)
{
    km_share_member *member = kb_mem_zalloc(mem_of(group), sizeof *member + id.len);
    if (!member)
        return NULL;
    memcpy(member + 1, id.ptr, id.len);
    member->id = kc_span(member + 1, id.len);
    member->group = group;
    member->session = (kn_timer){.fn = on_session_timeout, .user = member};
    if (kb_map_put(&group->members, member->id, member) == KC_OK)
        return member;
    kb_mem_free(mem_of(group), member);
    return NULL;
}

static int16_t check_epoch(const km_share_member *member, km_share_beat *beat)
{
    if (beat->member_epoch == 0 || beat->member_epoch == member->epoch)
        return 0;
    if (beat->member_epoch < member->epoch && beat->member_epoch == member->previous_epoch)
        return 0;
    beat->message =
        beat->member_epoch > member->epoch
            ? km_text(beat->arena,
                      "The share group member has a greater member epoch (%d) than the one "
                      "known by the group coordinator (%d). The member must abandon all its "
                      "partitions and rejoin.",
                      beat->member_epoch, member->epoch)
            : km_text(beat->arena,
                      "The share group member has a smaller member epoch (%d) than the one "
                      "known by the group coordinator (%d), and it does not match the "
                      "previous member epoch (%d). The member must abandon all its "
                      "partitions and rejoin.",
                      beat->member_epoch, member->epoch, member->previous_epoch);
    return KC_E_FENCED_MEMBER_EPOCH;
}

static kc_err advance_group(km_share_group *group, km_share_member *member, km_share_beat *beat)
{
    bool is_bumped = false;
    bool is_changed = false;
    KB_TRY(update_member(member, beat, &is_bumped));
    forget_deleted_topics(group);
    if (is_hasty(group))
        KB_TRY(open_topics(group));
    if (group->assignment_epoch >= group->epoch)
        is_bumped |= is_assignment_pending(group);
    uint64_t metadata = digest_topics(group);
    is_bumped |= metadata != group->metadata;
    group->metadata = metadata;
    if (is_bumped)
        group->epoch++;
    KB_TRY(retarget(group));
    if (is_bumped || member->epoch != group->assignment_epoch)
        KB_TRY(reconcile(member, &is_changed));
    beat->has_assignment = beat->member_epoch == 0 || beat->topics || is_changed;
    return is_hasty(group) ? KC_OK : open_topics(group);
}

int16_t km_share_group_beat(km_share_group *group, km_share_beat *beat)
{
    km_share_member *member = km_share_member_find(group, beat->member_id);
    bool is_new = !member;
    if (is_new && group->members.count >= MEMBERS_MAX && beat->member_epoch != -1) {
        beat->message = "The share group has reached its maximum capacity of 200 members.";
        return KC_E_GROUP_MAX_SIZE_REACHED;
    }
    if (is_new && beat->member_epoch != 0)
        return KC_E_UNKNOWN_MEMBER_ID;
    if (beat->member_epoch == -1) {
        member_leave(member);
        return 0;
    }
    if (is_new)
        member = member_new(group, beat->member_id);
    if (!member)
        return KC_E_UNKNOWN_SERVER_ERROR;
    int16_t error = check_epoch(member, beat);
    if (error)
        return error;
    if (advance_group(group, member, beat)) {
        if (is_new)
            member_leave(member);
        return KC_E_UNKNOWN_SERVER_ERROR;
    }
    int64_t timeout_ms = config(group, "share.session.timeout.ms", 45000);
    km_timer_set(group->group->cluster, &member->session,
                 group->group->cluster->now_us + timeout_ms * 1000);
    beat->member = member;
    return 0;
}
