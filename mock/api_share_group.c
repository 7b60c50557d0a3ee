/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Share groups at their coordinator (KIP-932): ShareGroupHeartbeat and -Describe, and their offsets. */
#include "mock/api.h"
#include "mock/configs.h"
#include "mock/share_group.h"
#include "mock/text.h"

/** READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS: all an unsecured broker allows on a group. */
#define GROUP_OPERATIONS 3400

/** Text with a group's id; null without memory, which an answer bears. */
static kc_bytes say(km_request *request, const char *before, kc_bytes id, const char *after)
{
    const char *text = km_text(&request->arena, "%s" KC_FMT "%s", before, KC_ARG(id), after);
    return text ? kc_str(text) : KC_NULL;
}

static kc_bytes say_not_found(km_request *request, kc_bytes group_id)
{
    return km_group_find(request->cluster, group_id)
               ? say(request, "Group ", group_id, " is not a share group.")
               : say(request, "Group ", group_id, " not found.");
}

/* ---- heartbeats ---- */

/** NULL: nothing; empty: there is no sentence for it. */
static const char *what_is_wrong(const kp_share_group_heartbeat_req *asked)
{
    if (!km_share_member_id_is_valid(asked->member_id))
        return "";
    if (asked->group_id.len == 0)
        return "GroupId can't be empty.";
    if (asked->rack_id.ptr && asked->rack_id.len == 0)
        return "RackId can't be empty.";
    if (asked->member_epoch < -1)
        return "MemberEpoch is invalid.";
    if (asked->member_epoch == 0 && asked->subscribed_topic_names.count < 1)
        return "SubscribedTopicNames must be set in first request.";
    return NULL;
}

/** Slots of one topic that stand together, as lists of numbers. False: no memory. */
static bool put_assignment(km_request *request, const km_share_slots *slots,
                           kp_share_group_heartbeat_resp_assignment *out)
{
    out->topic_partitions.items =
        km_request_alloc(request, slots->count, sizeof *out->topic_partitions.items);
    int32_t *numbers = km_request_alloc(request, slots->count, sizeof *numbers);
    if (!out->topic_partitions.items || !numbers)
        return false;
    kp_share_group_heartbeat_resp_topic_partitions *topic = NULL;
    for (size_t i = 0; i < slots->count; i++) {
        const km_share_slot *slot = &slots->items[i];
        numbers[i] = slot->index;
        if (!topic ||
            memcmp(topic->topic_id.bytes, slot->topic_id.bytes, sizeof slot->topic_id.bytes) != 0) {
            topic = &out->topic_partitions.items[out->topic_partitions.count++];
            topic->topic_id = slot->topic_id;
            topic->partitions.items = &numbers[i];
        }
        topic->partitions.count++;
    }
    return true;
}

static int16_t heartbeat(km_request *request, const kp_share_group_heartbeat_req *asked,
                         km_share_beat *told, kp_share_group_heartbeat_resp *out)
{
    km_share_group *group = km_share_group_find(request->cluster, asked->group_id);
    if (!group) {
        out->error_message =
            asked->member_epoch < 0 || km_group_find(request->cluster, asked->group_id)
                ? say_not_found(request, asked->group_id)
                : say(request, "Share group ", asked->group_id, " not found.");
        if (asked->member_epoch != 0)
            return KC_E_GROUP_ID_NOT_FOUND;
        int16_t error = km_share_group_open(request->cluster, asked->group_id, &group);
        if (error)
            return error;
        out->error_message = KC_NULL;
    }
    int16_t error = km_share_group_beat(group, told);
    if (error == KC_E_UNKNOWN_MEMBER_ID)
        told->message =
            km_text(&request->arena, "Member " KC_FMT " is not a member of group " KC_FMT ".",
                    KC_ARG(asked->member_id), KC_ARG(asked->group_id));
    if (told->message)
        out->error_message = kc_str(told->message);
    if (error)
        km_share_group_trim(group);
    return error;
}

km_action km_api_share_group_heartbeat(km_request *request, const void *message, void *response)
{
    const kp_share_group_heartbeat_req *asked = message;
    kp_share_group_heartbeat_resp *out = response;
    const char *wrong = what_is_wrong(asked);
    out->error_code = km_check_broker(request);
    if (!out->error_code && wrong) {
        out->error_code = KC_E_INVALID_REQUEST;
        out->error_message = wrong[0] ? kc_str(wrong) : KC_NULL;
    }
    if (!out->error_code)
        out->error_code = km_check_coordinator(request, KM_COORDINATOR_GROUP, asked->group_id);
    if (out->error_code)
        return KM_ANSWER;
    km_share_beat told = {
        .arena = &request->arena,
        .member_id = asked->member_id,
        .member_epoch = asked->member_epoch,
        .rack_id = asked->rack_id,
        .client_id = request->client_id,
        .topics =
            asked->subscribed_topic_names.count < 0 ? NULL : asked->subscribed_topic_names.items,
        .topic_count = asked->subscribed_topic_names.count < 0
                           ? 0
                           : (size_t)asked->subscribed_topic_names.count,
    };
    out->error_code = heartbeat(request, asked, &told, out);
    if (out->error_code)
        return out->error_code == KC_E_UNKNOWN_SERVER_ERROR ? KM_CLOSE : KM_ANSWER;
    out->member_id = asked->member_id;
    out->member_epoch = told.member ? told.member->epoch : asked->member_epoch;
    if (!told.member)
        return KM_ANSWER;
    out->heartbeat_interval_ms = (int32_t)km_group_config_i64(request->cluster, asked->group_id,
                                                              "share.heartbeat.interval.ms", 5000);
    if (!told.has_assignment)
        return KM_ANSWER;
    out->assignment = km_request_alloc(request, 1, sizeof *out->assignment);
    return out->assignment && put_assignment(request, &told.member->assigned, out->assignment)
               ? KM_ANSWER
               : KM_CLOSE;
}

/* ---- ShareGroupDescribe ---- */

static bool put_described_assignment(km_request *request, const km_share_slots *slots,
                                     kp_share_group_describe_resp_assignment *out)
{
    out->topic_partitions.items =
        km_request_alloc(request, slots->count, sizeof *out->topic_partitions.items);
    int32_t *numbers = km_request_alloc(request, slots->count, sizeof *numbers);
    if (!out->topic_partitions.items || !numbers)
        return false;
    for (size_t i = 0; i < slots->count; i++) {
        const km_share_slot *slot = &slots->items[i];
        const km_topic *there = km_topic_by_id(request->cluster, slot->topic_id);
        kp_share_group_describe_resp_topic_partitions *topic =
            out->topic_partitions.count > 0
                ? &out->topic_partitions.items[out->topic_partitions.count - 1]
                : NULL;
        if (!there)
            continue;
        numbers[i] = slot->index;
        if (!topic ||
            memcmp(topic->topic_id.bytes, slot->topic_id.bytes, sizeof slot->topic_id.bytes) != 0) {
            topic = &out->topic_partitions.items[out->topic_partitions.count++];
            topic->topic_id = slot->topic_id;
            topic->topic_name = kc_str(there->name);
            topic->partitions.items = &numbers[i];
        }
        topic->partitions.count++;
    }
    return true;
}

static bool put_members(km_request *request, const km_share_group *group,
                        kp_share_group_describe_resp_group *out)
{
    out->members.items =
        km_request_alloc(request, group->members.count, sizeof *out->members.items);
    if (!out->members.items)
        return false;
    size_t pos = 0;
    const km_share_member *member;
    while ((member = kb_map_next(&group->members, &pos))) {
        kp_share_group_describe_resp_member *item = &out->members.items[out->members.count++];
        item->member_id = member->id;
        item->rack_id = member->rack_id;
        item->member_epoch = member->epoch;
        item->client_id = member->client_id;
        item->client_host = KC_STR("/127.0.0.1");
        item->subscribed_topic_names.items = member->topics ? member->topics->items : NULL;
        item->subscribed_topic_names.count = member->topics ? (int32_t)member->topics->count : 0;
        if (!put_described_assignment(request, &member->assigned, &item->assignment))
            return false;
    }
    return true;
}

static bool describe(km_request *request, kc_bytes group_id, bool wants_operations,
                     kp_share_group_describe_resp_group *out)
{
    const km_share_group *group = km_share_group_find(request->cluster, group_id);
    out->group_id = group_id;
    out->group_state = KC_STR("");
    out->assignor_name = KC_STR("");
    out->authorized_operations = INT32_MIN;
    out->error_code = km_check_broker(request);
    if (!out->error_code && group_id.len == 0)
        out->error_code = KC_E_INVALID_GROUP_ID;
    if (!out->error_code)
        out->error_code = km_check_coordinator(request, KM_COORDINATOR_GROUP, group_id);
    if (!out->error_code && !group) {
        out->error_code = KC_E_GROUP_ID_NOT_FOUND;
        out->error_message = say_not_found(request, group_id);
    }
    if (out->error_code)
        return true;
    if (wants_operations)
        out->authorized_operations = GROUP_OPERATIONS;
    out->group_state = kc_str(group->group->ops->state_name(group->group));
    out->group_epoch = group->epoch;
    out->assignment_epoch = group->assignment_epoch;
    out->assignor_name = KC_STR("simple");
    return put_members(request, group, out);
}

km_action km_api_share_group_describe(km_request *request, const void *message, void *response)
{
    const kp_share_group_describe_req *asked = message;
    kp_share_group_describe_resp *out = response;
    out->groups.items =
        km_request_alloc(request, (size_t)asked->group_ids.count, sizeof *out->groups.items);
    if (!out->groups.items)
        return KM_CLOSE;
    out->groups.count = asked->group_ids.count;
    for (int32_t i = 0; i < asked->group_ids.count; i++)
        if (!describe(request, asked->group_ids.items[i], asked->include_authorized_operations,
                      &out->groups.items[i]))
            return KM_CLOSE;
    return KM_ANSWER;
}
