/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * JoinGroup, SyncGroup, Heartbeat, LeaveGroup: members of classic groups. */
#include "mock/api.h"
#include "mock/classic_group.h"

/** group.max.session.timeout.ms */
#define SESSION_TIMEOUT_MAX_MS 1800000

/** What comes before the group is looked at; the id of a group with members is not empty. */
static int16_t check(const km_request *request, kc_bytes group_id)
{
    int16_t error = km_check_broker(request);
    if (error)
        return error;
    return group_id.len == 0 ? KC_E_INVALID_GROUP_ID
                             : km_check_coordinator(request, KM_COORDINATOR_GROUP, group_id);
}

/** NULL: a group without classic members. */
static km_classic_group *find(const km_request *request, kc_bytes group_id)
{
    const km_group *group = km_group_find(request->cluster, group_id);
    return group ? km_classic_of(group) : NULL;
}

/* ---- JoinGroup ---- */

static int16_t check_join(const km_request *request, const kp_join_group_req *asked)
{
    int16_t error = km_check_broker(request);
    if (error)
        return error;
    if (asked->group_id.len > 0 &&
        (asked->session_timeout_ms < request->cluster->options.group_min_session_timeout_ms ||
         asked->session_timeout_ms > SESSION_TIMEOUT_MAX_MS))
        return KC_E_INVALID_SESSION_TIMEOUT;
    return check(request, asked->group_id);
}

/** Members of another kind keep classic ones out; an empty share group too. */
static bool is_of_others(const km_group *group)
{
    return group->type == KM_GROUP_SHARE ||
           (group->type == KM_GROUP_CONSUMER && !km_group_is_empty(group));
}

km_action km_api_join_group(km_request *request, const void *message, void *response)
{
    const kp_join_group_req *asked = message;
    kp_join_group_resp *out = response;
    out->protocol_name = request->version >= 7 ? KC_NULL : KC_STR("");
    out->error_code = check_join(request, asked);
    if (out->error_code) {
        if (out->error_code == KC_E_INVALID_GROUP_ID ||
            out->error_code == KC_E_INVALID_SESSION_TIMEOUT)
            out->member_id = asked->member_id;
        return KM_ANSWER;
    }
    km_group *base = km_group_find(request->cluster, asked->group_id);
    if (base && is_of_others(base)) {
        out->error_code = KC_E_INCONSISTENT_GROUP_PROTOCOL;
        return KM_ANSWER;
    }
    if (!km_group_is_known(base) && asked->member_id.len > 0) {
        out->error_code = KC_E_UNKNOWN_MEMBER_ID;
        out->member_id = asked->member_id;
        return KM_ANSWER;
    }
    base = base ? base : km_group_open(request->cluster, asked->group_id);
    km_classic_group *group = base ? km_classic_open(base) : NULL;
    if (!group)
        return KM_CLOSE;
    km_action action = km_classic_join(group, request);
    km_classic_flush(group);
    return action;
}

/* ---- SyncGroup ---- */

km_action km_api_sync_group(km_request *request, const void *message, void *response)
{
    const kp_sync_group_req *asked = message;
    kp_sync_group_resp *out = response;
    bool lacks_protocol =
        request->version >= 5 && (!asked->protocol_type.ptr || !asked->protocol_name.ptr);
    out->error_code = km_check_broker(request);
    if (!out->error_code && lacks_protocol)
        out->error_code = KC_E_INCONSISTENT_GROUP_PROTOCOL;
    if (!out->error_code)
        out->error_code = check(request, asked->group_id);
    if (out->error_code)
        return KM_ANSWER;
    km_classic_group *group = find(request, asked->group_id);
    if (!group) {
        out->error_code = KC_E_UNKNOWN_MEMBER_ID;
        return KM_ANSWER;
    }
    km_action action = km_classic_sync(group, request);
    km_classic_flush(group);
    return action;
}

/* ---- Heartbeat ---- */

km_action km_api_heartbeat(km_request *request, const void *message, void *response)
{
    const kp_heartbeat_req *asked = message;
    kp_heartbeat_resp *out = response;
    out->error_code = check(request, asked->group_id);
    if (out->error_code)
        return KM_ANSWER;
    km_classic_group *group = find(request, asked->group_id);
    out->error_code = group ? km_classic_heartbeat(group, asked) : KC_E_UNKNOWN_MEMBER_ID;
    return KM_ANSWER;
}

/* ---- LeaveGroup ---- */

static int16_t leave(km_classic_group *group, kc_bytes id, kc_bytes instance_id)
{
    if (id.len == 0) { /* an administrator takes a static member out */
        km_classic_member *member = km_classic_static_find(group, instance_id);
        if (!member)
            return KC_E_UNKNOWN_MEMBER_ID;
        km_classic_kick(member);
        return 0;
    }
    km_classic_pending *pending = km_classic_pending_find(group, id);
    if (pending) {
        km_classic_pending_remove(pending);
        return 0;
    }
    int16_t error = km_classic_check_member(group, id, instance_id);
    if (!error)
        km_classic_kick(km_classic_member_find(group, id));
    return error;
}

static int16_t leave_any(km_group *base, kc_bytes id, kc_bytes instance_id)
{
    km_classic_group *group = base ? km_classic_of(base) : NULL;
    if (group)
        return leave(group, id, instance_id);
    bool can_leave = base && base->type != KM_GROUP_NONE && base->ops->leave;
    return can_leave ? base->ops->leave(base, id, instance_id) : KC_E_UNKNOWN_MEMBER_ID;
}

static bool leave_all(km_group *base, km_request *request)
{
    const kp_leave_group_req *asked = request->message;
    kp_leave_group_resp *out = request->response;
    bool did_any = false;
    out->members.items =
        km_request_alloc(request, (size_t)asked->members.count, sizeof *out->members.items);
    if (!out->members.items)
        return false;
    for (int32_t i = 0; i < asked->members.count; i++) {
        const kp_leave_group_req_member *member = &asked->members.items[i];
        int16_t error = leave_any(base, member->member_id, member->group_instance_id);
        did_any |= error == 0;
        out->members.items[i] = (kp_leave_group_resp_member){
            .member_id = member->member_id,
            .group_instance_id = member->group_instance_id,
            .error_code = error,
        };
    }
    out->members.count = asked->members.count;
    if (did_any && km_classic_of(base))
        km_classic_left(km_classic_of(base));
    return true;
}

km_action km_api_leave_group(km_request *request, const void *message, void *response)
{
    const kp_leave_group_req *asked = message;
    kp_leave_group_resp *out = response;
    out->error_code = check(request, asked->group_id);
    if (out->error_code)
        return KM_ANSWER;
    km_group *base = km_group_find(request->cluster, asked->group_id);
    km_classic_group *group = find(request, asked->group_id);
    if (request->version >= 3) {
        if (!leave_all(base, request))
            return KM_CLOSE;
    } else {
        out->error_code = leave_any(base, asked->member_id, KC_NULL);
        if (!out->error_code && group)
            km_classic_left(group);
    }
    if (group)
        km_classic_flush(group);
    return KM_ANSWER;
}
