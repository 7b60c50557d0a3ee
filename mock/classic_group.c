/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A classic group as data: its members, and what of it the other modules ask. */
#include "mock/classic_group.h"

#include "protocol/wire.h"

#include <assert.h>

/* ---- members ---- */

/** Copy to where `*at` has room, and go on behind it. Null stays null. */
static kc_bytes take_copy(uint8_t **at, kc_bytes bytes)
{
    if (!bytes.ptr)
        return KC_NULL;
    kc_bytes copy = kc_span(*at, bytes.len);
    if (bytes.len > 0)
        memcpy(*at, bytes.ptr, bytes.len);
    *at += bytes.len;
    return copy;
}

km_classic_member *km_classic_member_find(const km_classic_group *group, kc_bytes id)
{
    KB_LIST_FOR (node, &group->members) {
        km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        if (kc_bytes_equal(member->id, id))
            return member;
    }
    return NULL;
}

km_classic_member *km_classic_static_find(const km_classic_group *group, kc_bytes instance_id)
{
    KB_LIST_FOR (node, &group->members) {
        km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        if (instance_id.ptr && kc_bytes_equal(member->instance_id, instance_id))
            return member;
    }
    return NULL;
}

km_classic_pending *km_classic_pending_find(const km_classic_group *group, kc_bytes id)
{
    KB_LIST_FOR (node, &group->pending) {
        km_classic_pending *pending = KB_CONTAINER(node, km_classic_pending, node);
        if (kc_bytes_equal(pending->id, id))
            return pending;
    }
    return NULL;
}

int16_t km_classic_check_member(const km_classic_group *group, kc_bytes id, kc_bytes instance_id)
{
    if (instance_id.ptr) {
        const km_classic_member *member = km_classic_static_find(group, instance_id);
        if (!member)
            return KC_E_UNKNOWN_MEMBER_ID;
        if (!kc_bytes_equal(member->id, id))
            return KC_E_FENCED_INSTANCE_ID;
    }
    return km_classic_member_find(group, id) ? 0 : KC_E_UNKNOWN_MEMBER_ID;
}

km_classic_protocols *km_classic_protocols_new(kb_mem *mem, const kp_join_group_req_protocol *items,
                                               int32_t count)
{
    size_t len = 0;
    for (int32_t i = 0; i < count; i++)
        len += items[i].name.len + items[i].metadata.len;
    km_classic_protocols *protocols =
        kb_mem_alloc(mem, sizeof *protocols + (size_t)count * sizeof protocols->items[0] + len);
    if (!protocols)
        return NULL;
    uint8_t *at = (uint8_t *)&protocols->items[count];
    protocols->count = count;
    for (int32_t i = 0; i < count; i++) {
        protocols->items[i].name = take_copy(&at, items[i].name);
        protocols->items[i].metadata = take_copy(&at, items[i].metadata);
    }
    return protocols;
}

kc_bytes km_classic_metadata(const km_classic_protocols *protocols, kc_bytes name)
{
    for (int32_t i = 0; i < protocols->count; i++)
        if (kc_bytes_equal(protocols->items[i].name, name))
            return protocols->items[i].metadata;
    return KC_NULL;
}

km_classic_member *km_classic_member_new(km_classic_group *group, const km_classic_member *like,
                                         km_classic_protocols *protocols)
{
    kb_mem *mem = group->group->cluster->mem;
    size_t len = like->id.len + like->instance_id.len + like->client_id.len + like->client_host.len;
    km_classic_member *member = protocols ? kb_mem_zalloc(mem, sizeof *member + len) : NULL;
    if (!member) {
        kb_mem_free(mem, protocols);
        return NULL;
    }
    uint8_t *at = (uint8_t *)(member + 1);
    member->group = group;
    member->id = take_copy(&at, like->id);
    member->instance_id = take_copy(&at, like->instance_id);
    member->client_id = take_copy(&at, like->client_id);
    member->client_host = take_copy(&at, like->client_host);
    member->session_timeout_ms = like->session_timeout_ms;
    member->rebalance_timeout_ms = like->rebalance_timeout_ms;
    member->assignment = KC_STR("");
    member->protocols = protocols;
    member->session.fn = km_classic_on_session;
    member->session.user = member;
    kb_list_init(&member->node);
    return member;
}

static kc_err reserve(kb_buf *buf, size_t len)
{
    size_t more = len > buf->len ? len - buf->len : 0;
    bool is_there = kb_buf_reserve(buf, more) != NULL;
    buf->err = KC_OK;
    return is_there || more == 0 ? KC_OK : KC_ERR_NOMEM;
}

kc_err km_classic_reserve(km_classic_group *group, const km_classic_protocols *protocols)
{
    for (int32_t i = 0; i < protocols->count; i++)
        if (reserve(&group->protocol_name, protocols->items[i].name.len))
            return KC_ERR_NOMEM;
    return KC_OK;
}

kc_err km_classic_member_add(km_classic_member *member, kc_bytes protocol_type)
{
    km_classic_group *group = member->group;
    if (km_classic_reserve(group, member->protocols) ||
        reserve(&group->protocol_type, protocol_type.len))
        return KC_ERR_NOMEM;
    if (group->member_count == 0) {
        kb_buf_reset(&group->protocol_type);
        kb_buf_put_bytes(&group->protocol_type, protocol_type);
    }
    kb_list_push_back(&group->members, &member->node);
    group->member_count++;
    if (!group->leader)
        group->leader = member;
    return KC_OK;
}

void km_classic_member_free(km_classic_member *member)
{
    km_cluster *cluster = member->group->group->cluster;
    km_classic_hold(member, &member->join, NULL);
    km_classic_hold(member, &member->sync, NULL);
    km_timer_stop(cluster, &member->session);
    kb_mem_free(cluster->mem, member->protocols);
    kb_mem_free(cluster->mem, member);
}

void km_classic_member_remove(km_classic_member *member)
{
    km_classic_group *group = member->group;
    kb_list_remove(&member->node);
    group->member_count--;
    if (group->leader == member)
        group->leader = kb_list_is_empty(&group->members)
                            ? NULL
                            : KB_CONTAINER(group->members.next, km_classic_member, node);
    km_classic_member_free(member);
}

void km_classic_pending_remove(km_classic_pending *pending)
{
    km_cluster *cluster = pending->group->group->cluster;
    km_timer_stop(cluster, &pending->expiry);
    kb_list_remove(&pending->node);
    kb_mem_free(cluster->mem, pending);
}

void km_classic_touch(km_classic_member *member)
{
    km_cluster *cluster = member->group->group->cluster;
    km_timer_set(cluster, &member->session,
                 cluster->now_us + (int64_t)member->session_timeout_ms * 1000);
}

/* ---- held requests ---- */

static void on_abandon(km_request *request)
{
    km_classic_member *member = request->user;
    if (member && member->join == request)
        member->join = NULL;
    if (member && member->sync == request)
        member->sync = NULL;
    kb_list_remove(&request->node);
}

void km_classic_hold(km_classic_member *member, km_request **held, km_request *request)
{
    if (*held)
        (*held)->user = NULL;
    *held = request;
    if (!request)
        return;
    request->user = member;
    request->on_abandon = on_abandon;
}

void km_classic_release(km_classic_group *group, km_request **held, bool is_complete)
{
    km_request *request = *held;
    if (!request)
        return;
    *held = NULL;
    request->user = NULL;
    kb_list_push_back(is_complete ? &group->answers : &group->drops, &request->node);
}

void km_classic_flush(km_classic_group *group)
{
    kb_list answers, drops;
    kb_list *node;
    kb_list_init(&answers);
    kb_list_init(&drops);
    kb_list_splice_back(&answers, &group->answers);
    kb_list_splice_back(&drops, &group->drops);
    while ((node = kb_list_pop_front(&drops)))
        km_request_drop(KB_CONTAINER(node, km_request, node));
    while ((node = kb_list_pop_front(&answers)))
        km_request_answer(KB_CONTAINER(node, km_request, node));
}

/* ---- as a km_group ---- */

kc_bytes km_classic_protocol_type(const km_classic_group *group)
{
    return group->protocol_type.len > 0 ? kb_buf_bytes(&group->protocol_type) : KC_NULL;
}

kc_bytes km_classic_protocol_name(const km_classic_group *group)
{
    return group->protocol_name.len > 0 ? kb_buf_bytes(&group->protocol_name) : KC_NULL;
}

static const char *op_state_name(const km_group *group)
{
    static const char *const names[] = {"Empty", "PreparingRebalance", "CompletingRebalance",
                                        "Stable"};
    return names[km_classic_of(group)->state];
}

static bool op_is_empty(const km_group *group)
{
    return km_classic_of(group)->state == KM_CLASSIC_EMPTY;
}

static kc_bytes op_protocol_type(const km_group *group)
{
    return kb_buf_bytes(&km_classic_of(group)->protocol_type);
}

/** Version 0 of ConsumerProtocolSubscription is the beginning of all others. 1: has the topic; 0: has it not; -1: can't
 * be read. */
static int subscribes(kc_bytes metadata, kc_bytes topic)
{
    if (metadata.len < 6 || (int16_t)kp_load16(metadata.ptr) < 0)
        return -1;
    uint32_t count = kp_load32(metadata.ptr + 2);
    size_t at = 6;
    int found = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (metadata.len - at < 2 || metadata.len - at - 2 < kp_load16(metadata.ptr + at))
            return -1;
        kc_bytes name = kc_span(metadata.ptr + at + 2, kp_load16(metadata.ptr + at));
        found |= kc_bytes_equal(name, topic);
        at += 2 + name.len;
    }
    return found;
}

static bool op_is_subscribed(const km_group *base, kc_bytes topic)
{
    const km_classic_group *group = km_classic_of(base);
    if (!kc_bytes_equal(km_classic_protocol_type(group), KC_STR("consumer")))
        return false;
    /* Before the first generation Kafka does not know, and takes it that they do. */
    if (group->generation == 0)
        return true;
    int found = 0;
    KB_LIST_FOR (node, &group->members) {
        const km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        kc_bytes told = km_classic_metadata(member->protocols, km_classic_protocol_name(group));
        int has = told.ptr ? subscribes(told, topic) : 0;
        if (has < 0)
            return true;
        found |= has;
    }
    return found;
}

static int16_t op_check_commit(km_group *base, kc_bytes member_id, kc_bytes instance_id,
                               int32_t generation, bool is_transactional)
{
    km_classic_group *group = km_classic_of(base);
    if (generation < 0 && group->state == KM_CLASSIC_EMPTY)
        return 0;
    if (generation >= 0 || member_id.len > 0 || instance_id.ptr) {
        int16_t error = km_classic_check_member(group, member_id, instance_id);
        if (error)
            return error;
        if (generation != group->generation)
            return KC_E_ILLEGAL_GENERATION;
    } else if (!is_transactional) {
        return KC_E_UNKNOWN_MEMBER_ID;
    }
    if (is_transactional)
        return 0;
    if (group->state == KM_CLASSIC_COMPLETING)
        return KC_E_REBALANCE_IN_PROGRESS;
    km_classic_member *member = km_classic_member_find(group, member_id);
    if (member)
        km_classic_touch(member);
    return 0;
}

void km_classic_clear(km_classic_group *group)
{
    KB_LIST_FOR (node, &group->members) {
        km_classic_member_remove(KB_CONTAINER(node, km_classic_member, node));
    }
    KB_LIST_FOR (node, &group->pending) {
        km_classic_pending_remove(KB_CONTAINER(node, km_classic_pending, node));
    }
    km_timer_stop(group->group->cluster, &group->join_timer);
    km_timer_stop(group->group->cluster, &group->sync_timer);
}

static void op_free(km_group *base)
{
    km_classic_group *group = km_classic_of(base);
    assert(kb_list_is_empty(&group->answers) && kb_list_is_empty(&group->drops));
    km_unwatch(&group->watcher);
    km_classic_clear(group);
    km_classic_store_cleanup(group);
    kb_buf_cleanup(&group->protocol_type);
    kb_buf_cleanup(&group->protocol_name);
    kb_mem_free(base->cluster->mem, group);
}

static const km_group_ops ops = {
    .type_name = "classic",
    .state_name = op_state_name,
    .is_empty = op_is_empty,
    .protocol_type = op_protocol_type,
    .is_subscribed = op_is_subscribed,
    .check_commit = op_check_commit,
    .free = op_free,
};

km_classic_group *km_classic_of(const km_group *group)
{
    return group->type == KM_GROUP_CLASSIC ? group->impl : NULL;
}

km_classic_group *km_classic_open(km_group *base)
{
    if (km_classic_of(base))
        return km_classic_of(base);
    km_cluster *cluster = base->cluster;
    km_classic_group *group = kb_mem_zalloc(cluster->mem, sizeof *group);
    if (!group || km_group_become(base, KM_GROUP_CLASSIC, &ops, group)) {
        kb_mem_free(cluster->mem, group);
        return NULL;
    }
    group->group = base;
    kb_buf_init(&group->protocol_type, cluster->mem, 0);
    kb_buf_init(&group->protocol_name, cluster->mem, 0);
    kb_list_init(&group->members);
    kb_list_init(&group->pending);
    kb_list_init(&group->answers);
    kb_list_init(&group->drops);
    group->join_timer.fn = km_classic_on_join;
    group->join_timer.user = group;
    group->sync_timer.fn = km_classic_on_sync;
    group->sync_timer.user = group;
    group->watcher.fn = km_classic_on_change;
    group->watcher.user = group;
    km_classic_coordinator(group, &group->coordinator, &group->coordinator_epoch);
    km_watch(cluster, &group->watcher);
    return group;
}
