/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Members of a consumer group: how they come, live by their heartbeats, and go. */
#include "mock/configs.h"
#include "mock/consumer_group_core.h"

kc_err km_text_dup(kb_mem *mem, kc_bytes text, kc_bytes *out)
{
    *out = (kc_bytes){0};
    if (!text.ptr)
        return KC_OK;
    uint8_t *copy = kb_mem_alloc(mem, text.len);
    if (!copy)
        return KC_ERR_NOMEM;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    *out = kc_span(copy, text.len);
    return KC_OK;
}

static void drop(kb_mem *mem, const void *ptr, const void *keep)
{
    if (ptr != keep)
        kb_mem_free(mem, (void *)ptr);
}

void km_consumer_view_drop(kb_mem *mem, km_consumer_view *view, const km_consumer_view *keep)
{
    static const km_consumer_view nothing;
    keep = keep ? keep : &nothing;
    drop(mem, view->instance_id.ptr, keep->instance_id.ptr);
    drop(mem, view->rack_id.ptr, keep->rack_id.ptr);
    drop(mem, view->assignor.ptr, keep->assignor.ptr);
    drop(mem, view->regex.ptr, keep->regex.ptr);
    drop(mem, view->client_id.ptr, keep->client_id.ptr);
    drop(mem, view->names, keep->names);
    drop(mem, view->assigned.items, keep->assigned.items);
    drop(mem, view->revoking.items, keep->revoking.items);
    *view = nothing;
}

km_consumer_member *km_consumer_member_find(const km_consumer_group *cg, kc_bytes id)
{
    return cg ? kb_map_get(&cg->members, id) : NULL;
}

km_consumer_member *km_consumer_member_static(const km_consumer_group *cg, kc_bytes instance_id)
{
    size_t pos = 0;
    km_consumer_member *member;
    while (cg && (member = kb_map_next(&cg->members, &pos)))
        if (member->now.instance_id.ptr && kc_bytes_equal(member->now.instance_id, instance_id))
            return member;
    return NULL;
}

static void on_session(kn_timer *timer)
{
    km_consumer_member_fence(timer->user);
}

static void on_rebalance(kn_timer *timer)
{
    km_consumer_member *member = timer->user;
    if (member->now.epoch == member->rebalance_epoch)
        km_consumer_member_fence(member);
}

km_consumer_member *km_consumer_member_new(km_consumer_group *cg, kc_bytes id)
{
    kb_mem *mem = cg->group->cluster->mem;
    km_consumer_member *member = kb_mem_zalloc(mem, sizeof *member + id.len);
    if (!member)
        return NULL;
    member->group = cg;
    if (id.len > 0)
        memcpy(member + 1, id.ptr, id.len);
    member->id = kc_span(member + 1, id.len);
    member->session.fn = on_session;
    member->session.user = member;
    member->rebalance.fn = on_rebalance;
    member->rebalance.user = member;
    if (kb_map_put(&cg->members, member->id, member)) {
        kb_mem_free(mem, member);
        return NULL;
    }
    return member;
}

void km_consumer_member_free(km_consumer_member *member)
{
    km_cluster *cluster = member->group->group->cluster;
    km_timer_stop(cluster, &member->session);
    km_timer_stop(cluster, &member->rebalance);
    kb_map_remove(&member->group->members, member->id);
    km_consumer_view_drop(cluster->mem, &member->now, NULL);
    km_partition_set_cleanup(&member->target, cluster->mem);
    kb_mem_free(cluster->mem, member);
}

void km_consumer_member_fence(km_consumer_member *member)
{
    km_consumer_group *cg = member->group;
    km_consumer_member_free(member);
    km_consumer_group_prune(cg);
    cg->metadata_hash = km_consumer_group_hash(cg, NULL);
    cg->epoch++; // who stays gets a new target with its next heartbeat
}

void km_consumer_member_touch(km_consumer_member *member)
{
    km_cluster *cluster = member->group->group->cluster;
    int64_t timeout_ms =
        km_group_config_i64(cluster, member->group->group->id, "consumer.session.timeout.ms",
                            cluster->options.consumer_session_timeout_ms);
    km_timer_set(cluster, &member->session, cluster->now_us + timeout_ms * 1000);
}

void km_consumer_member_await(km_consumer_member *member)
{
    km_cluster *cluster = member->group->group->cluster;
    if (member->now.state != KM_CONSUMER_UNREVOKED) {
        km_timer_stop(cluster, &member->rebalance);
        return;
    }
    member->rebalance_epoch = member->now.epoch;
    km_timer_set(cluster, &member->rebalance,
                 cluster->now_us + (int64_t)member->now.rebalance_timeout_ms * 1000);
}

const km_consumer_view *km_consumer_view_of(const km_consumer_change *change,
                                            const km_consumer_member *member)
{
    if (!change)
        return &member->now;
    if (member == change->member)
        return &change->view;
    return member == change->replaced ? NULL : &member->now;
}
