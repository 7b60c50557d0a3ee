/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Where logs begin and end. */
#include "mock/producer_state.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>

/** A batch whose records have these times, through the leader. */
static void append(mock_world *world, const km_topic *topic, const int64_t *times, int count,
                   const kp_batch_producer *who)
{
    uint8_t data[4096];
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, sizeof data);
    for (int i = 0; i < count; i++)
        ck_assert(kp_batch_append(&writer, times[i], KC_STR("k"), KC_STR("v"), NULL, 0));
    size_t len = kp_batch_finish(&writer);
    kp_batch_seal(data, len, who);
    kp_produce_req request;
    kp_produce_req_partition_data partition = {.records = kc_span(data, len)};
    kp_produce_req_topic_data of_topic = {.name = kc_str(topic->name)};
    of_topic.partition_data.items = &partition;
    of_topic.partition_data.count = 1;
    mock_defaults(KP_API_PRODUCE, &request);
    request.topic_data.items = &of_topic;
    request.topic_data.count = 1;
    request.acks = 1;
    request.transactional_id = KC_STR("tx");
    const kp_produce_resp *response =
        mock_ask(mock_leader(world, topic->name, 0), KP_API_PRODUCE, 9, &request);
    ck_assert_int_eq(response->responses.items[0].partition_responses.items[0].error_code, 0);
}

static const int64_t times[] = {100, 300, 200, 300, 400};

/** What the leader of partition 0 says of one time. */
static kp_list_offsets_resp_partition list_as(mock_world *world, const km_topic *topic,
                                              int16_t version, int64_t timestamp, int8_t isolation,
                                              int32_t epoch)
{
    kp_list_offsets_req request;
    kp_list_offsets_req_partition partition = {.current_leader_epoch = epoch,
                                               .timestamp = timestamp};
    kp_list_offsets_req_topic of_topic = {.name = kc_str(topic->name)};
    of_topic.partitions.items = &partition;
    of_topic.partitions.count = 1;
    mock_defaults(KP_API_LIST_OFFSETS, &request);
    request.replica_id = -1;
    request.isolation_level = isolation;
    request.topics.items = &of_topic;
    request.topics.count = 1;
    const kp_list_offsets_resp *response =
        mock_ask(mock_leader(world, topic->name, 0), KP_API_LIST_OFFSETS, version, &request);
    ck_assert_int_eq(response->topics.count, 1);
    return response->topics.items[0].partitions.items[0];
}

static kp_list_offsets_resp_partition list(mock_world *world, const km_topic *topic,
                                           int64_t timestamp)
{
    return list_as(world, topic, 11, timestamp, 0, -1);
}

START_TEST(times_find_the_first_record_that_is_not_older)
{
    static const struct {
        int64_t timestamp;
        int64_t offset;
        int64_t found;
    } rows[] = {
        {-1, 5, -1},   {-2, 0, -1},   {-3, 4, 400},  {-4, 0, -1},   {-5, -1, -1},
        {-6, -1, -1},  {0, 0, 100},   {100, 0, 100}, {101, 1, 300}, {201, 1, 300},
        {300, 1, 300}, {301, 4, 400}, {401, -1, -1},
    };
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    append(world, topic, times, 3, NULL);
    append(world, topic, times + 3, 2, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kp_list_offsets_resp_partition got = list(world, topic, rows[i].timestamp);
        ck_assert_int_eq(got.error_code, 0);
        ck_assert_msg(got.offset == rows[i].offset && got.timestamp == rows[i].found,
                      "row %zu: %lld at %lld", i, (long long)got.offset, (long long)got.timestamp);
        ck_assert_int_eq(got.leader_epoch, rows[i].offset < 0 ? -1 : 0);
    }
    km_log_delete_before(&topic->partitions[0]->log, 2);
    ck_assert_int_eq(list(world, topic, 0).offset, 2);
    ck_assert_int_eq(list(world, topic, -2).offset, 2);
    mock_free(world);
}
END_TEST

START_TEST(times_that_are_none_need_their_version)
{
    static const struct {
        int16_t version;
        int64_t timestamp;
        int16_t error;
    } rows[] = {
        {1, -1, 0},
        {1, -2, 0},
        {6, -3, KC_E_UNSUPPORTED_VERSION},
        {7, -3, 0},
        {7, -4, KC_E_UNSUPPORTED_VERSION},
        {8, -4, 0},
        {8, -5, KC_E_UNSUPPORTED_VERSION},
        {9, -5, 0},
        {10, -6, KC_E_UNSUPPORTED_VERSION},
        {11, -6, 0},
        {11, -7, KC_E_UNSUPPORTED_VERSION},
    };
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kp_list_offsets_resp_partition got =
            list_as(world, topic, rows[i].version, rows[i].timestamp, 0, -1);
        ck_assert_msg(got.error_code == rows[i].error, "row %zu: %d", i, got.error_code);
    }
    ck_assert_int_eq(list(world, topic, -3).offset, -1); /* nothing is there */
    mock_free(world);
}
END_TEST

START_TEST(the_end_of_read_committed_is_the_last_stable_offset)
{
    mock_world *world = mock_new(1);
    mock_allow_transactions(world);
    km_topic *topic = mock_topic(world, "t", 1);
    kp_batch_producer who = {7, 0, 0, true};
    append(world, topic, times, 2, NULL);
    append(world, topic, times + 3, 2, &who);
    ck_assert_int_eq(list_as(world, topic, 11, -1, 1, -1).offset, 2);
    ck_assert_int_eq(list_as(world, topic, 11, -1, 0, -1).offset, 4);
    ck_assert_int_eq(list_as(world, topic, 11, 301, 1, -1).offset, -1);
    ck_assert_int_eq(list_as(world, topic, 11, 301, 0, -1).offset, 3);
    ck_assert_int_eq(km_partition_append_marker(topic->partitions[0], 7, 0, 0, true), KC_OK);
    ck_assert_int_eq(list_as(world, topic, 11, -1, 1, -1).offset, 5);
    mock_free(world);
}
END_TEST

START_TEST(epochs_are_checked_and_a_partition_asked_for_twice_is_refused)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    ck_assert_int_eq(list_as(world, topic, 4, -1, 0, 0).error_code, 0);
    ck_assert_int_eq(list_as(world, topic, 4, -1, 0, 1).error_code, KC_E_UNKNOWN_LEADER_EPOCH);
    kp_list_offsets_req request;
    kp_list_offsets_req_partition partitions[3] = {
        {.partition_index = 0, .timestamp = -1, .current_leader_epoch = -1},
        {.partition_index = 1, .timestamp = -1, .current_leader_epoch = -1},
        {.partition_index = 0, .timestamp = -1, .current_leader_epoch = -1}};
    kp_list_offsets_req_topic of_topic = {.name = KC_STR("t")};
    of_topic.partitions.items = partitions;
    of_topic.partitions.count = 3;
    mock_defaults(KP_API_LIST_OFFSETS, &request);
    request.replica_id = -1;
    request.topics.items = &of_topic;
    request.topics.count = 1;
    const kp_list_offsets_resp *response =
        mock_ask(mock_link_new(world, 1), KP_API_LIST_OFFSETS, 11, &request);
    const kp_list_offsets_resp_partition *got = response->topics.items[0].partitions.items;
    ck_assert_int_eq(response->topics.items[0].partitions.count, 2);
    ck_assert_int_eq(got[0].error_code, KC_E_INVALID_REQUEST);
    ck_assert_int_eq(got[1].error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    mock_free(world);
}
END_TEST

START_TEST(a_new_leader_does_not_tell_its_end_before_the_replicas_have_it)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 3;
    options.replication_us = 50000;
    mock_world *world = mock_new_with(&options);
    km_topic *topic = mock_topic(world, "t", 1);
    km_partition *partition = topic->partitions[0];
    append(world, topic, times, 3, NULL);
    km_partition_move(world->cluster, partition, partition->leader % 3 + 1);
    km_changed(world->cluster);
    ck_assert_int_eq(list(world, topic, -1).error_code, KC_E_OFFSET_NOT_AVAILABLE);
    ck_assert_int_eq(list(world, topic, 100).error_code, KC_E_OFFSET_NOT_AVAILABLE);
    ck_assert_int_eq(list(world, topic, -2).error_code, 0);
    ck_assert_int_eq(list_as(world, topic, 4, -1, 0, -1).error_code, KC_E_LEADER_NOT_AVAILABLE);
    mock_run(world, 51);
    ck_assert_int_eq(list(world, topic, -1).offset, 3);
    ck_assert_int_eq(list(world, topic, -1).leader_epoch, 1);
    mock_free(world);
}
END_TEST

static kp_offset_for_leader_epoch_resp_partition
epoch_end(mock_world *world, const char *topic, int16_t version, int32_t current, int32_t epoch)
{
    kp_offset_for_leader_epoch_req request;
    kp_offset_for_leader_epoch_req_partition partition = {.current_leader_epoch = current,
                                                          .leader_epoch = epoch};
    kp_offset_for_leader_epoch_req_topic of_topic = {.topic = kc_str(topic)};
    of_topic.partitions.items = &partition;
    of_topic.partitions.count = 1;
    mock_defaults(KP_API_OFFSET_FOR_LEADER_EPOCH, &request);
    request.topics.items = &of_topic;
    request.topics.count = 1;
    const kp_offset_for_leader_epoch_resp *response =
        mock_ask(mock_leader(world, topic, 0), KP_API_OFFSET_FOR_LEADER_EPOCH, version, &request);
    return response->topics.items[0].partitions.items[0];
}

START_TEST(epochs_end_where_the_next_one_with_records_begins)
{
    static const struct {
        int32_t current;
        int32_t epoch;
        int16_t error;
        int32_t found;
        int64_t end;
    } rows[] = {
        {-1, 0, 0, 0, 3},
        {-1, 1, 0, 0, 3}, /* wrote nothing */
        {-1, 2, 0, 2, 5},
        {2, 2, 0, 2, 5},
        {-1, 3, 0, -1, -1},
        {-1, -1, 0, -1, -1},
        {1, 0, KC_E_FENCED_LEADER_EPOCH, -1, -1},
        {3, 0, KC_E_UNKNOWN_LEADER_EPOCH, -1, -1},
    };
    mock_world *world = mock_new(3);
    km_topic *topic = mock_topic(world, "t", 1);
    km_partition *partition = topic->partitions[0];
    append(world, topic, times, 3, NULL);
    km_partition_move(world->cluster, partition, partition->leader % 3 + 1);
    km_partition_move(world->cluster, partition, partition->leader % 3 + 1);
    append(world, topic, times, 2, NULL);
    for (int16_t version = 2; version <= 4; version++)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            kp_offset_for_leader_epoch_resp_partition got =
                epoch_end(world, "t", version, rows[i].current, rows[i].epoch);
            ck_assert_int_eq(got.error_code, rows[i].error);
            ck_assert_int_eq(got.leader_epoch, rows[i].found);
            ck_assert_int_eq(got.end_offset, rows[i].end);
        }
    mock_free(world);
}
END_TEST

static kp_delete_records_resp_partition delete_before(mock_world *world, const char *topic,
                                                      int16_t version, int64_t offset)
{
    kp_delete_records_req request;
    kp_delete_records_req_partition partition = {.offset = offset};
    kp_delete_records_req_topic of_topic = {.name = kc_str(topic)};
    of_topic.partitions.items = &partition;
    of_topic.partitions.count = 1;
    mock_defaults(KP_API_DELETE_RECORDS, &request);
    request.topics.items = &of_topic;
    request.topics.count = 1;
    const kp_delete_records_resp *response =
        mock_ask(mock_leader(world, topic, 0), KP_API_DELETE_RECORDS, version, &request);
    return response->topics.items[0].partitions.items[0];
}

START_TEST(records_are_deleted_up_to_the_high_watermark)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    append(world, topic, times, 5, NULL);
    append(world, topic, times, 5, NULL);
    ck_assert_int_eq(delete_before(world, "t", 2, 11).error_code, KC_E_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(delete_before(world, "t", 2, -2).error_code, KC_E_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(delete_before(world, "t", 0, 7).low_watermark, 7);
    ck_assert_uint_eq(topic->partitions[0]->log.entry_count, 1);
    ck_assert_int_eq(delete_before(world, "t", 1, 3).low_watermark, 7);
    ck_assert_int_eq(delete_before(world, "t", 2, -1).low_watermark, 10);
    ck_assert_uint_eq(topic->partitions[0]->log.entry_count, 0);
    ck_assert_int_eq(list(world, topic, -1).offset, 10);
    ck_assert_int_eq(
        km_configs_set(&topic->configs, &world->mem, KC_STR("cleanup.policy"), KC_STR("compact")),
        KC_OK);
    ck_assert_int_eq(delete_before(world, "t", 2, -1).error_code, KC_E_POLICY_VIOLATION);
    mock_coordinator(world, KM_COORDINATOR_GROUP, "g");
    ck_assert_int_eq(delete_before(world, "__consumer_offsets", 2, -1).error_code,
                     KC_E_INVALID_TOPIC_EXCEPTION);
    mock_free(world);
}
END_TEST

START_TEST(producers_of_a_partition_are_told)
{
    mock_world *world = mock_new(1);
    mock_allow_transactions(world);
    km_topic *topic = mock_topic(world, "t", 1);
    kp_batch_producer a = {7, 2, 0, true}, b = {8, 0, 5, false};
    append(world, topic, times, 2, &b);
    append(world, topic, times, 3, &a);
    kp_describe_producers_req request;
    int32_t indexes[] = {0, 1};
    kp_describe_producers_req_topic of_topics[2] = {{.name = KC_STR("t")},
                                                    {.name = KC_STR("no/name")}};
    for (int i = 0; i < 2; i++) {
        of_topics[i].partition_indexes.items = indexes;
        of_topics[i].partition_indexes.count = 2;
    }
    mock_defaults(KP_API_DESCRIBE_PRODUCERS, &request);
    request.topics.items = of_topics;
    request.topics.count = 2;
    const kp_describe_producers_resp *response =
        mock_ask(mock_link_new(world, 1), KP_API_DESCRIBE_PRODUCERS, 0, &request);
    const kp_describe_producers_resp_partition *got = response->topics.items[0].partitions.items;
    ck_assert_int_eq(got[1].error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(response->topics.items[1].partitions.items[0].error_code,
                     KC_E_INVALID_TOPIC_EXCEPTION);
    ck_assert(kc_bytes_equal(
        response->topics.items[1].partitions.items[0].error_message,
        KC_STR("Topic name is invalid: 'no/name' contains one or more characters other than ASCII "
               "alphanumerics, '.', '_' and '-'")));
    ck_assert_int_eq(got[0].active_producers.count, 2);
    const kp_describe_producers_resp_active_producer *producers = got[0].active_producers.items;
    ck_assert_int_eq(producers[0].producer_id, 8);
    ck_assert_int_eq(producers[0].last_sequence, 6);
    ck_assert_int_eq(producers[0].current_txn_start_offset, -1);
    ck_assert_int_eq(producers[1].producer_epoch, 2);
    ck_assert_int_eq(producers[1].current_txn_start_offset, 2);
    ck_assert_int_eq(producers[1].last_timestamp, 300);
    ck_assert_int_eq(km_partition_append_marker(topic->partitions[0], 7, 3, 4, false), KC_OK);
    response = mock_ask(mock_link_new(world, 1), KP_API_DESCRIBE_PRODUCERS, 0, &request);
    producers = response->topics.items[0].partitions.items[0].active_producers.items;
    ck_assert_int_eq(producers[1].producer_epoch, 3);
    ck_assert_int_eq(producers[1].last_sequence, -1);
    ck_assert_int_eq(producers[1].coordinator_epoch, 4);
    ck_assert_int_eq(producers[1].current_txn_start_offset, -1);
    mock_free(world);
}
END_TEST
