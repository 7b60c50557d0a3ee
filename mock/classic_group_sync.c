/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A classic group's members get their assignments from the leader, by way of the coordinator, and tell that they live. */
#include "mock/classic_group.h"

static bool put_assignment(const km_classic_group *group, km_request *request,
                           const km_classic_member *member)
{
    kp_sync_group_resp *out = request->response;
    out->error_code = 0;
    out->protocol_type = km_request_copy(request, km_classic_protocol_type(group));
    out->protocol_name = km_request_copy(request, km_classic_protocol_name(group));
    out->assignment = km_request_copy(request, member->assignment);
    return out->protocol_type.ptr && out->protocol_name.ptr && out->assignment.ptr;
}

static void release_sync(km_classic_member *member, bool is_complete)
{
    bool did_wait = member->awaits_sync;
    member->awaits_sync = false;
    km_classic_release(member->group, &member->sync, is_complete);
    /* Its session was not looked at while it waited. */
    if (did_wait)
        km_classic_touch(member);
}

void km_classic_unassign(km_classic_group *group)
{
    KB_LIST_FOR (node, &group->members) {
        km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        member->assignment = KC_STR("");
        if (member->sync) {
            kp_sync_group_resp *out = member->sync->response;
            out->error_code = KC_E_REBALANCE_IN_PROGRESS;
        }
        release_sync(member, true);
    }
}

static void assign(km_classic_group *group)
{
    KB_LIST_FOR (node, &group->members) {
        km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        release_sync(member, !member->sync || put_assignment(group, member->sync, member));
    }
    group->state = KM_CLASSIC_STABLE;
}

static void note_sync(km_classic_group *group, km_classic_member *member)
{
    member->owes_sync = false;
    bool is_any_left = false;
    KB_LIST_FOR (node, &group->members) {
        is_any_left |= KB_CONTAINER(node, km_classic_member, node)->owes_sync;
    }
    if (!is_any_left)
        km_timer_stop(group->group->cluster, &group->sync_timer);
}

static bool is_other(kc_bytes asked, kc_bytes of_group)
{
    return asked.ptr && of_group.ptr && !kc_bytes_equal(asked, of_group);
}

static int16_t check_sync(const km_classic_group *group, const kp_sync_group_req *asked)
{
    if (group->state == KM_CLASSIC_EMPTY)
        return KC_E_UNKNOWN_MEMBER_ID;
    int16_t error = km_classic_check_member(group, asked->member_id, asked->group_instance_id);
    if (error)
        return error;
    if (asked->generation_id != group->generation)
        return KC_E_ILLEGAL_GENERATION;
    if (is_other(asked->protocol_type, km_classic_protocol_type(group)) ||
        is_other(asked->protocol_name, km_classic_protocol_name(group)))
        return KC_E_INCONSISTENT_GROUP_PROTOCOL;
    return group->state == KM_CLASSIC_PREPARING ? KC_E_REBALANCE_IN_PROGRESS : 0;
}

km_action km_classic_sync(km_classic_group *group, km_request *request)
{
    const kp_sync_group_req *asked = request->message;
    kp_sync_group_resp *out = request->response;
    out->error_code = check_sync(group, asked);
    if (out->error_code)
        return KM_ANSWER;
    km_classic_member *member = km_classic_member_find(group, asked->member_id);
    if (group->state == KM_CLASSIC_STABLE) {
        note_sync(group, member);
        return put_assignment(group, request, member) ? KM_ANSWER : KM_CLOSE;
    }
    bool is_leader = member == group->leader;
    if (is_leader && km_classic_store(group, asked))
        return KM_CLOSE;
    member->awaits_sync = true;
    km_classic_hold(member, &member->sync, request);
    note_sync(group, member);
    if (is_leader)
        assign(group);
    return KM_HOLD;
}

int16_t km_classic_heartbeat(km_classic_group *group, const kp_heartbeat_req *asked)
{
    int16_t error = km_classic_check_member(group, asked->member_id, asked->group_instance_id);
    if (error)
        return error;
    if (asked->generation_id != group->generation)
        return KC_E_ILLEGAL_GENERATION;
    km_classic_touch(km_classic_member_find(group, asked->member_id));
    return group->state == KM_CLASSIC_PREPARING ? KC_E_REBALANCE_IN_PROGRESS : 0;
}
