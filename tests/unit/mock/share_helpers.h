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

/* ---- deliveries ---- */

/** One group "g" on the topic "t" with one partition, and a member's next fetch. */
typedef struct setup {
    mock_world *world;
    km_topic *topic;
    mock_link *leader;
    kp_share_fetch_req request;
    kp_share_fetch_req_topic topics[1];
    kp_share_fetch_req_partition partitions[1];
    kp_share_fetch_req_acknowledgement_batch acks[8];
    int8_t types[64];
    int type_count;
} setup;

static inline void set_up(setup *s, int brokers)
{
    memset(s, 0, sizeof *s);
    s->world = mock_new(brokers);
    s->topic = mock_topic(s->world, "t", 1);
    share_config(s->world, "share.auto.offset.reset", "earliest");
    ck_assert_int_eq(share_join(s->world, "m", "t"), 1);
    s->leader = mock_leader(s->world, "t", 0);
}

static inline void produce_to(setup *s, int32_t partition, int count,
                              const kp_batch_producer *producer)
{
    kp_produce_req_partition_data data = {.index = partition,
                                          .records = mock_batch(s->world, count, producer)};
    kp_produce_req_topic_data topic = {.name = KC_STR("t"), .topic_id = s->topic->id};
    kp_produce_req request;
    mock_defaults(KP_API_PRODUCE, &request);
    topic.partition_data.items = &data;
    topic.partition_data.count = 1;
    request.topic_data.items = &topic;
    request.topic_data.count = 1;
    request.acks = -1;
    request.timeout_ms = 1000;
    const kp_produce_resp *response =
        mock_ask(mock_link_new(s->world, s->topic->partitions[partition]->leader), KP_API_PRODUCE,
                 13, &request);
    ck_assert_int_eq(response->responses.items[0].partition_responses.items[0].error_code, 0);
}

static inline void produce(setup *s, int count)
{
    produce_to(s, 0, count, NULL);
}

/** The next fetch of `member`, which doesn't wait. */
static inline kp_share_fetch_req *asks(setup *s, const char *member, int32_t epoch)
{
    mock_defaults(KP_API_SHARE_FETCH, &s->request);
    s->request.group_id = KC_STR("g");
    s->request.member_id = kc_str(member);
    s->request.share_session_epoch = epoch;
    s->request.max_records = 500;
    s->request.batch_size = 500;
    s->request.min_bytes = 1;
    s->partitions[0] = (kp_share_fetch_req_partition){0};
    s->topics[0] = (kp_share_fetch_req_topic){.topic_id = s->topic->id};
    s->topics[0].partitions.items = s->partitions;
    s->topics[0].partitions.count = 1;
    s->request.topics.items = s->topics;
    s->request.topics.count = 1;
    s->type_count = 0;
    return &s->request;
}

/** With an acknowledgement of one type for a range. */
static inline void acknowledges(setup *s, int64_t first, int64_t last, int8_t type)
{
    s->types[s->type_count] = type;
    kp_share_fetch_req_acknowledgement_batch *ack =
        &s->acks[s->partitions[0].acknowledgement_batches.count++];
    *ack = (kp_share_fetch_req_acknowledgement_batch){.first_offset = first, .last_offset = last};
    ack->acknowledge_types.items = &s->types[s->type_count++];
    ack->acknowledge_types.count = 1;
    s->partitions[0].acknowledgement_batches.items = s->acks;
}

static inline const kp_share_fetch_resp *fetched(setup *s)
{
    return mock_ask(s->leader, KP_API_SHARE_FETCH, 2, &s->request);
}

static inline const kp_share_fetch_resp_partition *only(const kp_share_fetch_resp *response)
{
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->responses.count, 1);
    ck_assert_int_eq(response->responses.items[0].partitions.count, 1);
    return &response->responses.items[0].partitions.items[0];
}

static inline const kp_share_fetch_resp_partition *fetch(setup *s, const char *member,
                                                         int32_t epoch)
{
    asks(s, member, epoch);
    return only(fetched(s));
}

static inline void check_range(const kp_share_fetch_resp_partition *partition, int32_t i,
                               int64_t first, int64_t last, int16_t delivery_count)
{
    ck_assert_int_gt(partition->acquired_records.count, i);
    ck_assert_int_eq(partition->acquired_records.items[i].first_offset, first);
    ck_assert_int_eq(partition->acquired_records.items[i].last_offset, last);
    ck_assert_int_eq(partition->acquired_records.items[i].delivery_count, delivery_count);
}

/** What ShareAcknowledge says of one range. */
static inline int16_t acknowledge(setup *s, const char *member, int32_t epoch, int64_t first,
                                  int64_t last, int8_t type)
{
    kp_share_acknowledge_req_acknowledgement_batch ack = {.first_offset = first,
                                                          .last_offset = last};
    ack.acknowledge_types.items = &type;
    ack.acknowledge_types.count = 1;
    kp_share_acknowledge_req_partition partition = {0};
    partition.acknowledgement_batches.items = &ack;
    partition.acknowledgement_batches.count = 1;
    kp_share_acknowledge_req_topic topic = {.topic_id = s->topic->id};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    kp_share_acknowledge_req request;
    mock_defaults(KP_API_SHARE_ACKNOWLEDGE, &request);
    request.group_id = KC_STR("g");
    request.member_id = kc_str(member);
    request.share_session_epoch = epoch;
    request.is_renew_ack = type == KM_SHARE_ACK_RENEW;
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_share_acknowledge_resp *response =
        mock_ask(s->leader, KP_API_SHARE_ACKNOWLEDGE, 2, &request);
    if (response->error_code)
        return response->error_code;
    ck_assert_int_eq(response->responses.count, 1);
    return response->responses.items[0].partitions.items[0].error_code;
}

static inline km_share_partition *shared_of(const setup *s)
{
    const km_share_group *group = km_share_group_find(s->world->cluster, KC_STR("g"));
    km_share_partition *shared = km_share_partition_find(group, s->topic->id, 0);
    ck_assert_ptr_nonnull(shared);
    return shared;
}

#endif
