/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Members of share groups, for the tests of the embedded broker. */
#ifndef SHARE_HELPERS_H
#define SHARE_HELPERS_H

#include "mock/configs.h"
#include "mock/share_group.h"
#include "protocol/frame.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>

/** A heartbeat of group "g"; `topics` NULL: not told. Valid until the next answer of the coordinator's link. */
static inline const kp_share_group_heartbeat_resp *share_beat(mock_world *world, const char *member,
                                                              int32_t epoch, const char *topics[],
                                                              int32_t topic_count)
{
    kp_share_group_heartbeat_req request;
    kc_bytes names[8];
    mock_defaults(KP_API_SHARE_GROUP_HEARTBEAT, &request);
    request.group_id = KC_STR("g");
    request.member_id = kc_str(member);
    request.member_epoch = epoch;
    for (int32_t i = 0; topics && i < topic_count; i++)
        names[i] = kc_str(topics[i]);
    request.subscribed_topic_names.items = names;
    request.subscribed_topic_names.count = topics ? topic_count : -1;
    return mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, "g"),
                    KP_API_SHARE_GROUP_HEARTBEAT, 1, &request);
}

/** Join "g" for one topic; how many partitions the member gets. */
static inline int32_t share_join(mock_world *world, const char *member, const char *topic)
{
    const kp_share_group_heartbeat_resp *response = share_beat(world, member, 0, &topic, 1);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_ptr_nonnull(response->assignment);
    int32_t count = 0;
    for (int32_t i = 0; i < response->assignment->topic_partitions.count; i++)
        count += response->assignment->topic_partitions.items[i].partitions.count;
    return count;
}

/** Send with no more than `room` bytes of memory left; true: the broker closed the connection. */
static inline bool share_starve(mock_link *link, mock_world *world, int16_t api_key,
                                int16_t version, const void *request, size_t room)
{
    kb_mem own;
    kb_buf frame;
    kp_fault fault = {0};
    kb_mem_init(&own, NULL, 0);
    kb_buf_init(&frame, &own, 0);
    ck_assert_int_eq(kp_frame_request(kp_api_by_key(api_key), version, 7, KC_STR("test"), request,
                                      &frame, NULL, &fault),
                     KC_OK);
    world->mem.limit = world->mem.used + room;
    mock_send_bytes(link, kb_buf_bytes(&frame));
    world->mem.limit = SIZE_MAX;
    kb_buf_cleanup(&frame);
    return mock_is_closed(link);
}

static inline void share_config(mock_world *world, const char *name, const char *value)
{
    km_config_resource *group =
        km_config_resource_open(world->cluster, KM_RESOURCE_GROUP, KC_STR("g"));
    ck_assert_ptr_nonnull(group);
    ck_assert_int_eq(km_configs_set(&group->configs, &world->mem, kc_str(name), kc_str(value)),
                     KC_OK);
}

#endif
