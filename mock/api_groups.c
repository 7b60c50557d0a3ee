/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * ListGroups, DescribeGroups, DeleteGroups: groups as an administrator sees them. */
#include "mock/api.h"
#include "mock/classic_group.h"
#include "mock/text.h"
#include "protocol/base/text.h"

/** READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS: what there is to do with a group. */
#define GROUP_OPERATIONS (1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11)

/* A group that has offsets only is a classic one without members. */

static const char *state_of(const km_group *group)
{
    return group->type == KM_GROUP_NONE ? "Empty" : group->ops->state_name(group);
}

static const char *type_of(const km_group *group)
{
    static const char *const names[] = {
        [KM_GROUP_NONE] = "classic",
        [KM_GROUP_CLASSIC] = "classic",
        [KM_GROUP_CONSUMER] = "consumer",
        [KM_GROUP_SHARE] = "share",
    };
    return names[group->type];
}

static kc_bytes protocol_type_of(const km_group *group)
{
    return group->type == KM_GROUP_NONE ? KC_STR("") : group->ops->protocol_type(group);
}

/* ---- ListGroups (KIP-518, KIP-848) ---- */

static bool is_among(const char *word, const kc_bytes *filter, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (kb_text_is(kb_text_trim(filter[i]), word))
            return true;
    return count <= 0;
}

static bool is_listed(const km_request *request, const km_group *group)
{
    const kp_list_groups_req *asked = request->message;
    return km_group_is_known(group) &&
           km_check_coordinator(request, KM_COORDINATOR_GROUP, group->id) == 0 &&
           is_among(state_of(group), asked->states_filter.items, asked->states_filter.count) &&
           is_among(type_of(group), asked->types_filter.items, asked->types_filter.count);
}

km_action km_api_list_groups(km_request *request, const void *message, void *response)
{
    (void)message;
    kp_list_groups_resp *out = response;
    out->error_code = km_check_broker(request);
    if (out->error_code)
        return KM_ANSWER;
    size_t count = 0;
    size_t pos = 0;
    const km_group *group;
    while ((group = km_group_next(request->cluster, &pos)))
        count++; /* not only those that are listed: to ask who that is may make the coordinators' topic */
    out->groups.items = km_request_alloc(request, count, sizeof *out->groups.items);
    if (!out->groups.items)
        return KM_CLOSE;
    pos = 0;
    while ((group = km_group_next(request->cluster, &pos))) {
        if (!is_listed(request, group))
            continue;
        kp_list_groups_resp_group *item = &out->groups.items[out->groups.count++];
        item->group_id = group->id;
        item->protocol_type = protocol_type_of(group);
        item->group_state = kc_str(state_of(group));
        item->group_type = kc_str(type_of(group));
    }
    return KM_ANSWER;
}

/* ---- DescribeGroups ---- */

static bool describe_members(km_request *request, const km_classic_group *group,
                             kp_describe_groups_resp_group *out)
{
    bool is_stable = group->state == KM_CLASSIC_STABLE;
    kc_bytes protocol = km_classic_protocol_name(group);
    if (is_stable)
        out->protocol_data = protocol;
    out->members.items =
        km_request_alloc(request, (size_t)group->member_count, sizeof *out->members.items);
    if (!out->members.items)
        return false;
    KB_LIST_FOR (node, &group->members) {
        const km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        out->members.items[out->members.count++] = (kp_describe_groups_resp_member){
            .member_id = member->id,
            .group_instance_id = member->instance_id,
            .client_id = member->client_id,
            .client_host = member->client_host,
            .member_metadata =
                is_stable ? km_classic_metadata(member->protocols, protocol) : KC_STR(""),
            .member_assignment = member->assignment,
        };
    }
    return true;
}

/** As Kafka: a group that is not there is dead, which is an error since version 6 (KIP-1043). */
static bool describe_missing(km_request *request, const km_group *group,
                             kp_describe_groups_resp_group *out)
{
    out->group_state = KC_STR("Dead");
    if (request->version < 6)
        return true;
    const char *text = km_text(&request->arena,
                               km_group_is_known(group) ? "Group " KC_FMT " is not a classic group."
                                                        : "Group " KC_FMT " not found.",
                               KC_ARG(out->group_id));
    out->error_code = KC_E_GROUP_ID_NOT_FOUND;
    out->error_message = kc_str(text);
    return text != NULL;
}

static bool describe(km_request *request, kc_bytes id, kp_describe_groups_resp_group *out)
{
    const kp_describe_groups_req *asked = request->message;
    out->group_id = id;
    out->group_state = KC_STR("");
    out->protocol_type = KC_STR("");
    out->protocol_data = KC_STR("");
    out->authorized_operations = INT32_MIN;
    out->error_code = km_check_coordinator(request, KM_COORDINATOR_GROUP, id);
    if (out->error_code)
        return true;
    const km_group *group = km_group_find(request->cluster, id);
    bool is_done = true;
    if (!km_group_is_known(group) ||
        (group->type != KM_GROUP_CLASSIC && group->type != KM_GROUP_NONE)) {
        is_done = describe_missing(request, group, out);
    } else {
        out->group_state = kc_str(state_of(group));
        out->protocol_type = protocol_type_of(group);
        if (km_classic_of(group))
            is_done = describe_members(request, km_classic_of(group), out);
    }
    if (asked->include_authorized_operations && !out->error_code)
        out->authorized_operations = GROUP_OPERATIONS;
    return is_done;
}

km_action km_api_describe_groups(km_request *request, const void *message, void *response)
{
    const kp_describe_groups_req *asked = message;
    kp_describe_groups_resp *out = response;
    out->groups.items =
        km_request_alloc(request, (size_t)asked->groups.count, sizeof *out->groups.items);
    if (!out->groups.items)
        return KM_CLOSE;
    for (; out->groups.count < asked->groups.count; out->groups.count++)
        if (!describe(request, asked->groups.items[out->groups.count],
                      &out->groups.items[out->groups.count]))
            return KM_CLOSE;
    return KM_ANSWER;
}

/* ---- DeleteGroups (KIP-229) ---- */

static int16_t delete_group(const km_request *request, kc_bytes id)
{
    int16_t error = km_check_coordinator(request, KM_COORDINATOR_GROUP, id);
    if (error)
        return error;
    km_group *group = km_group_find(request->cluster, id);
    if (!km_group_is_known(group))
        return KC_E_GROUP_ID_NOT_FOUND;
    if (!km_group_is_empty(group))
        return KC_E_NON_EMPTY_GROUP;
    km_group_delete(group);
    return 0;
}

static bool is_told(const kp_delete_groups_resp *out, kc_bytes id)
{
    for (int32_t i = 0; i < out->results.count; i++)
        if (kc_bytes_equal(out->results.items[i].group_id, id))
            return true;
    return false;
}

km_action km_api_delete_groups(km_request *request, const void *message, void *response)
{
    const kp_delete_groups_req *asked = message;
    kp_delete_groups_resp *out = response;
    out->results.items =
        km_request_alloc(request, (size_t)asked->groups_names.count, sizeof *out->results.items);
    if (!out->results.items)
        return KM_CLOSE;
    for (int32_t i = 0; i < asked->groups_names.count; i++) {
        kc_bytes id = asked->groups_names.items[i];
        if (is_told(out, id))
            continue;
        kp_delete_groups_resp_result *item = &out->results.items[out->results.count];
        item->group_id = id;
        item->error_code = delete_group(request, id);
        out->results.count++;
    }
    return KM_ANSWER;
}
