/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Where share groups are in their partitions: DescribeShareGroupOffsets (KIP-932, lag: KIP-1226), AlterShareGroupOffsets,
 * DeleteShareGroupOffsets. */
#include "mock/api.h"
#include "mock/share_group.h"
#include "mock/text.h"

/* ---- describe ---- */

static void describe_partition(const km_request *request, const km_share_group *group,
                               const km_topic *topic, int32_t index,
                               kp_describe_share_group_offsets_resp_partition *out)
{
    const km_share_partition *shared =
        group && topic ? km_share_partition_find(group, topic->id, index) : NULL;
    out->partition_index = index;
    out->start_offset = -1;
    out->lag = -1;
    out->error_code = km_check_broker(request);
    if (out->error_code || !shared || index >= topic->partition_count)
        return;
    out->leader_epoch = shared->stored_epoch;
    if (shared->stored_start < 0)
        return;
    out->start_offset = shared->stored_start;
    out->lag =
        topic->partitions[index]->log.high_watermark - shared->stored_start - shared->stored_done;
}

/** `numbers` NULL: all of the first `count` the group has state for. */
static bool describe_topic(km_request *request, const km_share_group *group, kc_bytes name,
                           int32_t count, const int32_t *numbers,
                           kp_describe_share_group_offsets_resp_topic *out)
{
    const km_topic *topic = km_topic_by_name(request->cluster, name);
    out->topic_name = name;
    if (topic)
        out->topic_id = topic->id;
    out->partitions.items = km_request_alloc(request, (size_t)count, sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    for (int32_t i = 0; i < count; i++)
        if (numbers || (topic && km_share_partition_find(group, topic->id, i)))
            describe_partition(request, group, topic, numbers ? numbers[i] : i,
                               &out->partitions.items[out->partitions.count++]);
    return true;
}

/** All the group has state for. */
static bool describe_all(km_request *request, const km_share_group *group,
                         kp_describe_share_group_offsets_resp_group *out)
{
    size_t count = group ? group->topics.count : 0;
    out->topics.items = km_request_alloc(request, count, sizeof *out->topics.items);
    if (!out->topics.items)
        return false;
    size_t pos = 0;
    const km_share_topic *shared;
    while (group && (shared = kb_map_next(&group->topics, &pos))) {
        const km_topic *topic = km_topic_by_id(request->cluster, shared->id);
        if (topic && !describe_topic(request, group, kc_str(topic->name), shared->partition_count,
                                     NULL, &out->topics.items[out->topics.count++]))
            return false;
    }
    return true;
}

static bool describe_group(km_request *request,
                           const kp_describe_share_group_offsets_req_group *asked,
                           kp_describe_share_group_offsets_resp_group *out)
{
    const km_share_group *group = km_share_group_find(request->cluster, asked->group_id);
    out->group_id = asked->group_id;
    out->error_code = km_check_coordinator(request, KM_COORDINATOR_GROUP, asked->group_id);
    if (out->error_code)
        return true;
    if (asked->topics.count < 0)
        return describe_all(request, group, out);
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return false;
    for (int32_t i = 0; i < asked->topics.count; i++) {
        const kp_describe_share_group_offsets_req_topic *topic = &asked->topics.items[i];
        if (!describe_topic(request, group, topic->topic_name, topic->partitions.count,
                            topic->partitions.items, &out->topics.items[out->topics.count++]))
            return false;
    }
    return true;
}

km_action km_api_describe_share_group_offsets(km_request *request, const void *message,
                                              void *response)
{
    const kp_describe_share_group_offsets_req *asked = message;
    kp_describe_share_group_offsets_resp *out = response;
    out->groups.items =
        km_request_alloc(request, (size_t)asked->groups.count, sizeof *out->groups.items);
    if (!out->groups.items)
        return KM_CLOSE;
    out->groups.count = asked->groups.count;
    for (int32_t i = 0; i < asked->groups.count; i++)
        if (!describe_group(request, &asked->groups.items[i], &out->groups.items[i]))
            return KM_CLOSE;
    return KM_ANSWER;
}

/* ---- alter ---- */

static bool alter_topic(km_request *request, km_share_group *group,
                        const kp_alter_share_group_offsets_req_topic *asked,
                        kp_alter_share_group_offsets_resp_response *out)
{
    const km_topic *topic = km_topic_by_name(request->cluster, asked->topic_name);
    int32_t count = asked->partitions.count;
    out->topic_name = asked->topic_name;
    if (topic)
        out->topic_id = topic->id;
    out->partitions.items = km_request_alloc(request, (size_t)count, sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    out->partitions.count = count;
    for (int32_t i = 0; i < count; i++) {
        const kp_alter_share_group_offsets_req_partition *wanted = &asked->partitions.items[i];
        int32_t index = wanted->partition_index;
        out->partitions.items[i].partition_index = index;
        if (topic && index >= 0 && index < topic->partition_count) {
            km_share_partition *shared = km_share_partition_open(group, topic, index);
            if (!shared)
                return false;
            km_share_reset(shared, wanted->start_offset);
            continue;
        }
        out->partitions.items[i].error_code = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
        out->partitions.items[i].error_message =
            KC_STR("This server does not host this topic-partition.");
    }
    return true;
}

static int16_t open_for_alter(km_request *request, kc_bytes group_id, km_share_group **group_out,
                              kc_bytes *message_out)
{
    int16_t error = km_check_broker(request);
    if (!error && group_id.len == 0) {
        *message_out = KC_STR("The group id is invalid.");
        return KC_E_INVALID_GROUP_ID;
    }
    if (!error)
        error = km_check_coordinator(request, KM_COORDINATOR_GROUP, group_id);
    if (!error)
        error = km_share_group_open(request->cluster, group_id, group_out);
    if (error || (*group_out)->members.count == 0)
        return error;
    *message_out = KC_STR("The group is not empty.");
    return KC_E_NON_EMPTY_GROUP;
}

km_action km_api_alter_share_group_offsets(km_request *request, const void *message, void *response)
{
    const kp_alter_share_group_offsets_req *asked = message;
    kp_alter_share_group_offsets_resp *out = response;
    km_share_group *group = NULL;
    out->error_code = open_for_alter(request, asked->group_id, &group, &out->error_message);
    if (out->error_code)
        return out->error_code == KC_E_UNKNOWN_SERVER_ERROR && !request->error ? KM_CLOSE
                                                                               : KM_ANSWER;
    out->responses.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->responses.items);
    bool is_done = out->responses.items != NULL;
    for (int32_t i = 0; is_done && i < asked->topics.count; i++)
        is_done = alter_topic(request, group, &asked->topics.items[i],
                              &out->responses.items[out->responses.count++]);
    km_share_group_trim(group);
    return is_done ? KM_ANSWER : KM_CLOSE;
}

/* ---- delete ---- */

static void delete_topic(km_request *request, km_share_group *group, kc_bytes name,
                         kp_delete_share_group_offsets_resp_response *out)
{
    const km_topic *topic = km_topic_by_name(request->cluster, name);
    km_share_topic *shared = topic ? km_share_topic_find(group, topic->id) : NULL;
    out->topic_name = name;
    if (shared) {
        out->topic_id = topic->id;
        km_share_topic_delete(group, shared);
        return;
    }
    out->error_code = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    out->error_message = topic ? KC_STR("There is no offset information to delete.")
                               : KC_STR("This server does not host this topic-partition.");
}

km_action km_api_delete_share_group_offsets(km_request *request, const void *message,
                                            void *response)
{
    const kp_delete_share_group_offsets_req *asked = message;
    kp_delete_share_group_offsets_resp *out = response;
    km_share_group *group = km_share_group_find(request->cluster, asked->group_id);
    out->error_code = km_check_broker(request);
    if (!out->error_code && asked->group_id.len == 0) {
        out->error_code = KC_E_INVALID_GROUP_ID;
        out->error_message = KC_STR("The group id is invalid.");
    }
    if (!out->error_code)
        out->error_code = km_check_coordinator(request, KM_COORDINATOR_GROUP, asked->group_id);
    if (!out->error_code && !group) {
        const char *text =
            km_text(&request->arena, "Group " KC_FMT "%s", KC_ARG(asked->group_id),
                    km_group_find(request->cluster, asked->group_id) ? " is not a share group."
                                                                     : " not found.");
        out->error_code = KC_E_GROUP_ID_NOT_FOUND;
        out->error_message = text ? kc_str(text) : KC_NULL;
    }
    if (!out->error_code && group->members.count > 0) {
        out->error_code = KC_E_NON_EMPTY_GROUP;
        out->error_message = KC_STR("The group is not empty.");
    }
    if (out->error_code)
        return KM_ANSWER;
    out->responses.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->responses.items);
    if (!out->responses.items)
        return KM_CLOSE;
    for (int32_t i = 0; i < asked->topics.count; i++)
        delete_topic(request, group, asked->topics.items[i].topic_name,
                     &out->responses.items[out->responses.count++]);
    return KM_ANSWER;
}
