/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a coordinator writes down of a classic group, and what the next one finds.
 *
 * It writes with each assignment, when a static member comes back, and when the group becomes empty. So a coordinator
 * that moves in the middle of a rebalance takes the group back to the generation before: members know each other and
 * their assignments still, new ones are unknown and join again. */
#include "mock/classic_group.h"

typedef struct stored_member {
    km_classic_member as; /**< id, names, timeouts, assignment */
    kc_bytes metadata;    /**< of the chosen protocol          */
    bool is_leader;
} stored_member;

typedef struct km_classic_stored {
    kb_arena arena;
    int32_t generation;
    kc_bytes protocol_type;
    kc_bytes protocol_name;
    int32_t count;
    stored_member *members;
} km_classic_stored;

void km_classic_coordinator(const km_classic_group *group, int32_t *broker_id_out,
                            int32_t *epoch_out)
{
    const km_partition *partition =
        km_coordinator_partition(group->group->cluster, KM_COORDINATOR_GROUP, group->group->id);
    *broker_id_out = partition ? partition->leader : -1;
    *epoch_out = partition ? partition->leader_epoch : -1;
}

/* ---- writing ---- */

static void stored_free(kb_mem *mem, km_classic_stored *stored)
{
    if (!stored)
        return;
    kb_arena_cleanup(&stored->arena);
    kb_mem_free(mem, stored);
}

void km_classic_store_cleanup(km_classic_group *group)
{
    stored_free(group->group->cluster->mem, group->stored);
    group->stored = NULL;
}

static bool copy(kb_arena *arena, kc_bytes from, kc_bytes *to)
{
    *to = kb_arena_copy(arena, from);
    return to->ptr || !from.ptr;
}

static kc_bytes assignment_of(const km_classic_member *member, const kp_sync_group_req *assigned)
{
    if (!assigned)
        return member->assignment;
    kc_bytes found = KC_STR("");
    for (int32_t i = 0; i < assigned->assignments.count; i++)
        if (kc_bytes_equal(assigned->assignments.items[i].member_id, member->id))
            found = assigned->assignments.items[i].assignment;
    return found;
}

static bool write_member(const km_classic_member *member, kc_bytes protocol,
                         const kp_sync_group_req *assigned, kb_arena *arena, stored_member *out)
{
    out->is_leader = member == member->group->leader;
    out->as.session_timeout_ms = member->session_timeout_ms;
    out->as.rebalance_timeout_ms = member->rebalance_timeout_ms;
    return copy(arena, member->id, &out->as.id) &&
           copy(arena, member->instance_id, &out->as.instance_id) &&
           copy(arena, member->client_id, &out->as.client_id) &&
           copy(arena, member->client_host, &out->as.client_host) &&
           copy(arena, assignment_of(member, assigned), &out->as.assignment) &&
           copy(arena, km_classic_metadata(member->protocols, protocol), &out->metadata);
}

static km_classic_stored *write_group(const km_classic_group *group,
                                      const kp_sync_group_req *assigned)
{
    kb_mem *mem = group->group->cluster->mem;
    km_classic_stored *stored = kb_mem_zalloc(mem, sizeof *stored);
    if (!stored)
        return NULL;
    kb_arena_init(&stored->arena, mem, SIZE_MAX);
    stored->generation = group->generation;
    stored->members =
        kb_arena_array(&stored->arena, (size_t)group->member_count, sizeof *stored->members);
    bool is_whole = stored->members &&
                    copy(&stored->arena, km_classic_protocol_type(group), &stored->protocol_type) &&
                    copy(&stored->arena, km_classic_protocol_name(group), &stored->protocol_name);
    for (kb_list *node = group->members.next; is_whole && node != &group->members;
         node = node->next)
        is_whole = write_member(KB_CONTAINER(node, km_classic_member, node), stored->protocol_name,
                                assigned, &stored->arena, &stored->members[stored->count++]);
    if (is_whole)
        return stored;
    stored_free(mem, stored);
    return NULL;
}

kc_err km_classic_store(km_classic_group *group, const kp_sync_group_req *assigned)
{
    km_classic_stored *stored = write_group(group, assigned);
    if (!stored)
        return KC_ERR_NOMEM;
    int32_t at = 0;
    KB_LIST_FOR (node, &group->members) {
        KB_CONTAINER(node, km_classic_member, node)->assignment =
            stored->members[at++].as.assignment;
    }
    km_classic_store_cleanup(group);
    group->stored = stored;
    return KC_OK;
}

/* ---- finding ---- */

static void answer_not_coordinator(km_classic_group *group)
{
    KB_LIST_FOR (node, &group->members) {
        km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        if (member->join) {
            kp_join_group_resp *out = member->join->response;
            out->error_code = KC_E_NOT_COORDINATOR;
            out->member_id = km_request_copy(member->join, member->id);
        }
        if (member->sync) {
            kp_sync_group_resp *out = member->sync->response;
            out->error_code = KC_E_NOT_COORDINATOR;
        }
        km_classic_release(group, &member->join, true);
        km_classic_release(group, &member->sync, true);
    }
}

static bool read_member(km_classic_group *group, const stored_member *stored)
{
    const kp_join_group_req_protocol protocol = {.name = group->stored->protocol_name,
                                                 .metadata = stored->metadata};
    kb_mem *mem = group->group->cluster->mem;
    km_classic_member *member =
        km_classic_member_new(group, &stored->as, km_classic_protocols_new(mem, &protocol, 1));
    if (!member)
        return false;
    member->assignment = stored->as.assignment;
    if (km_classic_member_add(member, group->stored->protocol_type)) {
        km_classic_member_free(member);
        return false;
    }
    if (stored->is_leader)
        group->leader = member;
    return true;
}

static void read_group(km_classic_group *group)
{
    const km_classic_stored *stored = group->stored;
    group->state = KM_CLASSIC_EMPTY;
    group->generation = stored ? stored->generation : 0;
    kb_buf_reset(&group->protocol_name);
    kb_buf_reset(&group->protocol_type);
    if (!stored)
        return;
    /* Both had this length before, so there is room. */
    kb_buf_put_bytes(&group->protocol_type, stored->protocol_type);
    kb_buf_put_bytes(&group->protocol_name, stored->protocol_name);
    for (int32_t i = 0; i < stored->count; i++) {
        if (!read_member(group, &stored->members[i])) {
            kb_log_line(&group->group->cluster->log, KC_LOG_ERROR,
                        "a group loses its members: no memory for them at the new coordinator");
            km_classic_clear(group);
            kb_buf_reset(&group->protocol_name);
            return;
        }
    }
    if (group->member_count > 0)
        group->state = KM_CLASSIC_STABLE;
}

void km_classic_on_change(km_watcher *watcher)
{
    km_classic_group *group = watcher->user;
    int32_t before = group->coordinator;
    int32_t epoch_before = group->coordinator_epoch;
    km_classic_coordinator(group, &group->coordinator, &group->coordinator_epoch);
    if (before == group->coordinator && epoch_before == group->coordinator_epoch)
        return;
    answer_not_coordinator(group);
    km_classic_clear(group);
    read_group(group);
    if (group->coordinator >= 0) {
        KB_LIST_FOR (node, &group->members) {
            km_classic_touch(KB_CONTAINER(node, km_classic_member, node));
        }
    }
    km_classic_flush(group);
}
