/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848). */
#include "mock/api.h"
#include "mock/assignor.h"
#include "mock/consumer_group.h"
#include "mock/text.h"

/** READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS: what may be done with a group when nothing forbids it. */
#define GROUP_OPERATIONS (1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11)

static bool is_blank(kc_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] > ' ')
            return false;
    return text.ptr != NULL;
}

/** What is wrong with a request that joins; empty: nothing. */
static kc_bytes check_joining(const kp_consumer_group_heartbeat_req *asked)
{
    if (asked->rebalance_timeout_ms == -1)
        return KC_STR("RebalanceTimeoutMs must be provided in first request.");
    if (asked->topic_partitions.count != 0)
        return KC_STR("TopicPartitions must be empty when (re-)joining.");
    if (asked->subscribed_topic_names.count < 0 && !asked->subscribed_topic_regex.ptr)
        return KC_STR("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when "
                      "(re-)joining.");
    return (kc_bytes){0};
}

static kc_bytes check_fields(const kp_consumer_group_heartbeat_req *asked, int16_t version)
{
    bool needs_id = version >= 1 || asked->member_epoch > 0 || asked->member_epoch == -1;
    if (needs_id && is_blank(asked->member_id))
        return KC_STR("MemberId can't be empty.");
    if (is_blank(asked->group_id))
        return KC_STR("GroupId can't be empty.");
    if (is_blank(asked->instance_id))
        return KC_STR("InstanceId can't be empty.");
    if (is_blank(asked->rack_id))
        return KC_STR("RackId can't be empty.");
    if (asked->member_epoch == 0)
        return check_joining(asked);
    if (asked->member_epoch == -2 && !asked->instance_id.ptr)
        return KC_STR("InstanceId can't be null.");
    if (asked->member_epoch < -2)
        return KC_STR("MemberEpoch is invalid.");
    return (kc_bytes){0};
}

/** As Kafka: the request itself before who is to answer it. */
static kc_err check(km_request *request, const kp_consumer_group_heartbeat_req *asked,
                    kp_consumer_group_heartbeat_resp *out)
{
    int16_t refused = km_check_broker(request);
    if (refused)
        return (kc_err)refused;
    out->error_message = check_fields(asked, request->version);
    if (out->error_message.ptr)
        return (kc_err)KC_E_INVALID_REQUEST;
    if (asked->server_assignor.ptr && !km_assignor_by_name(asked->server_assignor)) {
        const char *text = km_text(&request->arena,
                                   "ServerAssignor " KC_FMT
                                   " is not supported. Supported assignors: uniform, range.",
                                   KC_ARG(asked->server_assignor));
        out->error_message = kc_str(text ? text : "");
        return text ? (kc_err)KC_E_UNSUPPORTED_ASSIGNOR : KC_ERR_NOMEM;
    }
    return (kc_err)km_check_coordinator(request, KM_COORDINATOR_GROUP, asked->group_id);
}

km_action km_api_consumer_group_heartbeat(km_request *request, const void *message, void *response)
{
    const kp_consumer_group_heartbeat_req *asked = message;
    kp_consumer_group_heartbeat_resp *out = response;
    kc_err err = check(request, asked, out);
    if (!err)
        err = km_consumer_group_heartbeat(request, asked, out);
    if (err == KC_ERR_NOMEM)
        return KM_CLOSE;
    out->error_code = (int16_t)err;
    return KM_ANSWER;
}

static kc_err describe(km_request *request, const kp_consumer_group_describe_req *asked,
                       kc_bytes group_id, kp_consumer_group_describe_resp_group *out)
{
    out->group_id = group_id;
    out->group_state = KC_STR("");
    out->assignor_name = KC_STR("");
    out->authorized_operations = INT32_MIN;
    int16_t refused = km_check_broker(request);
    if (!refused && group_id.len == 0)
        refused = KC_E_INVALID_GROUP_ID;
    if (!refused)
        refused = km_check_coordinator(request, KM_COORDINATOR_GROUP, group_id);
    if (refused)
        return (kc_err)refused;
    kc_err err = km_consumer_group_describe(request, group_id, out);
    if (!err && asked->include_authorized_operations)
        out->authorized_operations = GROUP_OPERATIONS;
    return err;
}

km_action km_api_consumer_group_describe(km_request *request, const void *message, void *response)
{
    const kp_consumer_group_describe_req *asked = message;
    kp_consumer_group_describe_resp *out = response;
    out->groups.items =
        km_request_alloc(request, (size_t)asked->group_ids.count, sizeof *out->groups.items);
    if (!out->groups.items)
        return KM_CLOSE;
    out->groups.count = asked->group_ids.count;
    for (int32_t i = 0; i < asked->group_ids.count; i++) {
        kp_consumer_group_describe_resp_group *group = &out->groups.items[i];
        kc_err err = describe(request, asked, asked->group_ids.items[i], group);
        if (err == KC_ERR_NOMEM)
            return KM_CLOSE;
        group->error_code = (int16_t)err;
    }
    return KM_ANSWER;
}
