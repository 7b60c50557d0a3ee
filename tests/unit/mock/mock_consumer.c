/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client of a consumer group of KIP-848. */
#include "tests/unit/mock/mock_consumer.h"

#include "mock/group.h"

#include <stdio.h>

member member_of(mock_world *world, const char *id, const char *topic)
{
    return (member){
        .world = world, .id = id, .topics = {topic ? kc_str(topic) : (kc_bytes){0}}, .epoch = 0};
}

const kp_consumer_group_heartbeat_resp *member_ask(mock_world *world, int16_t version,
                                                   const kp_consumer_group_heartbeat_req *request)
{
    return mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, "g"),
                    KP_API_CONSUMER_GROUP_HEARTBEAT, version, request);
}

static void take(member *m, const kp_consumer_group_heartbeat_resp *response)
{
    m->error = response->error_code;
    snprintf(m->error_text, sizeof m->error_text, KC_FMT, KC_ARG(response->error_message));
    if (response->error_code)
        return;
    m->epoch = response->member_epoch;
    m->has_assignment = response->assignment != NULL;
    if (!response->assignment)
        return;
    m->owned_count = 0;
    m->assigned_topics = response->assignment->topic_partitions.count;
    for (int32_t i = 0; i < response->assignment->topic_partitions.count; i++) {
        const kp_consumer_group_heartbeat_resp_topic_partitions *topic =
            &response->assignment->topic_partitions.items[i];
        m->topic_id = topic->topic_id;
        for (int32_t j = 0; j < topic->partitions.count; j++)
            m->owned[m->owned_count++] = topic->partitions.items[j];
    }
}

void member_join(member *m)
{
    kp_consumer_group_heartbeat_req request;
    mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
    request.group_id = KC_STR("g");
    request.member_id = kc_str(m->id);
    request.member_epoch = m->epoch;
    request.instance_id = m->instance_id ? kc_str(m->instance_id) : (kc_bytes){0};
    request.rebalance_timeout_ms = 60000;
    request.topic_partitions.count = 0;
    request.subscribed_topic_names.items = m->topics;
    request.subscribed_topic_names.count = 0;
    while (m->topics[request.subscribed_topic_names.count].ptr)
        request.subscribed_topic_names.count++;
    request.subscribed_topic_regex = m->regex ? kc_str(m->regex) : (kc_bytes){0};
    take(m, member_ask(m->world, 1, &request));
}

void member_beat(member *m, bool says_owned)
{
    kp_consumer_group_heartbeat_req request;
    kp_consumer_group_heartbeat_req_topic_partition topic = {
        .topic_id = m->topic_id, .partitions = {m->owned, m->owned_count}};
    mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
    request.group_id = KC_STR("g");
    request.member_id = kc_str(m->id);
    request.member_epoch = m->epoch;
    request.instance_id = m->instance_id ? kc_str(m->instance_id) : (kc_bytes){0};
    if (says_owned) {
        request.topic_partitions.items = &topic;
        request.topic_partitions.count = m->owned_count > 0;
    }
    take(m, member_ask(m->world, 1, &request));
}

void member_leave(member *m, int32_t epoch)
{
    m->epoch = epoch;
    member_beat(m, false);
}

const char *member_group_state(mock_world *world)
{
    const km_group *group = km_group_find(world->cluster, KC_STR("g"));
    return group ? group->ops->state_name(group) : "";
}

void member_pause(mock_world *world)
{
    mock_run(world, 5000);
}
