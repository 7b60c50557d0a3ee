/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What is written, and what is refused. */
#include "mock/producer_state.h"
#include "protocol/wire.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>
#include <stdio.h>

/** A request for one partition, with all it points to. */
typedef struct one_request {
    kp_produce_req request;
    kp_produce_req_topic_data topic;
    kp_produce_req_partition_data partition;
} one_request;

static kp_produce_req *one(one_request *out, const km_topic *topic, int16_t acks, kc_bytes records)
{
    mock_defaults(KP_API_PRODUCE, &out->request);
    out->topic = (kp_produce_req_topic_data){.name = kc_str(topic->name), .topic_id = topic->id};
    out->partition = (kp_produce_req_partition_data){.records = records};
    out->topic.partition_data.items = &out->partition;
    out->topic.partition_data.count = 1;
    out->request.topic_data.items = &out->topic;
    out->request.topic_data.count = 1;
    out->request.acks = acks;
    out->request.timeout_ms = 1000;
    return &out->request;
}

static const kp_produce_resp_partition_response *only(const kp_produce_resp *response)
{
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->responses.count, 1);
    ck_assert_int_eq(response->responses.items[0].partition_responses.count, 1);
    return &response->responses.items[0].partition_responses.items[0];
}

/** Ask the leader of partition 0. */
static kp_produce_resp_partition_response produce(mock_world *world, const km_topic *topic,
                                                  int16_t version, int16_t acks, kc_bytes records)
{
    one_request request;
    mock_link *link = mock_leader(world, topic->name, 0);
    return *only(mock_ask(link, KP_API_PRODUCE, version, one(&request, topic, acks, records)));
}

static int16_t produce_error(mock_world *world, const km_topic *topic, kc_bytes records)
{
    return produce(world, topic, 13, -1, records).error_code;
}

static kp_batch_producer producer(int64_t id, int16_t epoch, int32_t sequence)
{
    return (kp_batch_producer){id, epoch, sequence, false};
}

START_TEST(a_batch_gets_the_next_offsets_in_every_version)
{
    mock_world *world = mock_new(3);
    km_topic *topic = mock_topic(world, "t", 1);
    for (int16_t version = 3; version <= 13; version++) {
        kp_produce_resp_partition_response got =
            produce(world, topic, version, version % 2 ? 1 : -1, mock_batch(world, 3, NULL));
        ck_assert_int_eq(got.error_code, 0);
        ck_assert_int_eq(got.base_offset, (version - 3) * 3);
        ck_assert_int_eq(got.log_append_time_ms, -1);
    }
    const km_log *log = &topic->partitions[0]->log;
    ck_assert_int_eq(log->end_offset, 33);
    ck_assert_int_eq(log->high_watermark, 33);
    kc_bytes rest = km_log_read(log, 4, 33, 1 << 20, true);
    kp_batch batch;
    ck_assert_int_eq(kp_batch_next(&rest, true, &batch), KC_OK);
    ck_assert_int_eq(batch.base_offset, 3);
    mock_free(world);
}
END_TEST

START_TEST(what_is_not_one_batch_of_magic_2_is_refused)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    uint8_t bytes[4096];
    kc_bytes good = mock_batch(world, 2, NULL);
    ck_assert_int_eq(produce_error(world, topic, KC_STR("")), KC_E_INVALID_RECORD);
    ck_assert_int_eq(produce_error(world, topic, kc_span(good.ptr, good.len - 1)),
                     KC_E_INVALID_RECORD);
    memcpy(bytes, good.ptr, good.len);
    memcpy(bytes + good.len, good.ptr, good.len);
    ck_assert_int_eq(produce_error(world, topic, kc_span(bytes, good.len * 2)),
                     KC_E_INVALID_RECORD);
    /* A part of a second batch is cut off. */
    ck_assert_int_eq(produce_error(world, topic, kc_span(bytes, good.len * 2 - 1)), 0);
    bytes[KP_BATCH_AT_MAGIC] = 1;
    ck_assert_int_eq(produce_error(world, topic, kc_span(bytes, good.len)), KC_E_INVALID_RECORD);
    bytes[KP_BATCH_AT_MAGIC] = 3;
    ck_assert_int_eq(produce_error(world, topic, kc_span(bytes, good.len)), KC_E_CORRUPT_MESSAGE);
    ck_assert_int_eq(topic->partitions[0]->log.end_offset, 2);
    mock_free(world);
}
END_TEST

/** A good batch with one field overwritten. */
static kc_bytes altered(mock_world *world, size_t at, uint64_t value, size_t len, bool is_sealed)
{
    static uint8_t bytes[65536];
    kc_bytes good = mock_batch(world, 2, NULL);
    memcpy(bytes, good.ptr, good.len);
    for (size_t i = 0; i < len; i++)
        bytes[at + i] = (uint8_t)(value >> 8 * (len - 1 - i));
    if (is_sealed)
        kp_batch_reseal(bytes, good.len);
    return kc_span(bytes, good.len);
}

START_TEST(a_batch_with_a_wrong_header_is_refused_as_by_kafka)
{
    static const struct {
        size_t at;
        uint64_t value;
        size_t len;
        bool is_sealed;
        int16_t error;
    } rows[] = {
        {KP_BATCH_AT_CRC, 1, 4, false, KC_E_CORRUPT_MESSAGE},
        {KP_BATCH_AT_BASE_OFFSET, 5, 8, true, KC_E_INVALID_RECORD},
        {KP_BATCH_AT_RECORD_COUNT, 0, 4, true, KC_E_INVALID_RECORD},
        {KP_BATCH_AT_RECORD_COUNT, 1, 4, true, KC_E_INVALID_RECORD},
        {KP_BATCH_AT_RECORD_COUNT, 0x7fffffff, 4, true, KC_E_INVALID_RECORD},
        {KP_BATCH_AT_LAST_OFFSET_DELTA, 7, 4, true, KC_E_INVALID_RECORD},
        {KP_BATCH_AT_ATTRIBUTES, KP_ATTR_CONTROL, 2, true, KC_E_INVALID_RECORD},
        {KP_BATCH_AT_ATTRIBUTES, 5, 2, true, KC_E_UNKNOWN_SERVER_ERROR},
        {KP_BATCH_AT_ATTRIBUTES, 1, 2, true, KC_E_UNKNOWN_SERVER_ERROR},
        {KP_BATCH_AT_PRODUCER_ID, 7, 8, true, KC_E_INVALID_RECORD},
        {KP_BATCH_HEADER_BYTES, 0x7f, 1, true, KC_E_INVALID_RECORD},
    };
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int16_t error = produce_error(
            world, topic,
            altered(world, rows[i].at, rows[i].value, rows[i].len, rows[i].is_sealed));
        ck_assert_msg(error == rows[i].error, "row %zu: %d", i, error);
    }
    ck_assert_int_eq(topic->partitions[0]->log.end_offset, 0);
    mock_free(world);
}
END_TEST

static void set(mock_world *world, km_topic *topic, const char *name, const char *value)
{
    ck_assert_int_eq(km_configs_set(&topic->configs, &world->mem, kc_str(name), kc_str(value)),
                     KC_OK);
}

START_TEST(a_batch_above_max_message_bytes_is_too_large)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    set(world, topic, "max.message.bytes", "100");
    ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 20, NULL)),
                     KC_E_MESSAGE_TOO_LARGE);
    ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 1, NULL)), 0);
    mock_free(world);
}
END_TEST

START_TEST(a_compacted_topic_names_each_record_without_a_key)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    set(world, topic, "cleanup.policy", "delete, compact");
    uint8_t data[512];
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, sizeof data);
    kp_batch_append(&writer, world->cluster->wall_ms, KC_STR("k"), KC_STR("v"), NULL, 0);
    kp_batch_append(&writer, world->cluster->wall_ms, KC_NULL, KC_STR("v"), NULL, 0);
    size_t len = kp_batch_finish(&writer);
    kp_batch_seal(data, len, NULL);
    kp_produce_resp_partition_response got = produce(world, topic, 13, 1, kc_span(data, len));
    ck_assert_int_eq(got.error_code, KC_E_INVALID_RECORD);
    ck_assert_int_eq(got.record_errors.count, 1);
    ck_assert_int_eq(got.record_errors.items[0].batch_index, 1);
    ck_assert_ptr_nonnull(got.record_errors.items[0].batch_index_error_message.ptr);
    ck_assert(kc_bytes_equal(
        got.error_message,
        KC_STR("One or more records have been rejected due to 1 record errors in total, and only "
               "showing the first three errors at most: [RecordError(batchIndex=1, "
               "message='Compacted topic cannot accept message without key in topic partition "
               "t-0')]")));
    mock_free(world);
}
END_TEST

START_TEST(a_time_out_of_range_is_refused)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 1, NULL)), 0);
    uint8_t data[512];
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, sizeof data);
    kp_batch_append(&writer, world->cluster->wall_ms + 3600001, KC_STR("k"), KC_STR("v"), NULL, 0);
    size_t len = kp_batch_finish(&writer);
    kp_batch_seal(data, len, NULL);
    ck_assert_int_eq(produce_error(world, topic, kc_span(data, len)), KC_E_INVALID_TIMESTAMP);
    kc_bytes old = mock_batch(world, 1, NULL);
    set(world, topic, "message.timestamp.before.max.ms", "10");
    ck_assert_int_eq(produce_error(world, topic, old), 0);
    mock_run(world, 11);
    ck_assert_int_eq(produce_error(world, topic, old), KC_E_INVALID_TIMESTAMP);
    mock_free(world);
}
END_TEST

START_TEST(a_topic_with_append_time_gets_the_brokers_time)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    set(world, topic, "message.timestamp.type", "LogAppendTime");
    kc_bytes sent = mock_batch(world, 2, NULL);
    mock_run(world, 77);
    kp_produce_resp_partition_response got = produce(world, topic, 13, 1, sent);
    ck_assert_int_eq(got.error_code, 0);
    ck_assert_int_eq(got.log_append_time_ms, world->cluster->wall_ms);
    kc_bytes rest = km_log_read(&topic->partitions[0]->log, 0, 2, 1 << 20, true);
    kp_batch batch;
    ck_assert_int_eq(kp_batch_next(&rest, true, &batch), KC_OK);
    ck_assert_int_eq(batch.attributes, KP_ATTR_LOG_APPEND_TIME);
    ck_assert_int_eq(batch.max_timestamp, world->cluster->wall_ms);
    mock_free(world);
}
END_TEST

START_TEST(unknown_topics_and_other_leaders_are_told_apart)
{
    mock_world *world = mock_new(3);
    km_topic *topic = mock_topic(world, "t", 1);
    kc_bytes batch = mock_batch(world, 1, NULL);
    one_request request;
    int32_t other = topic->partitions[0]->leader % 3 + 1;
    mock_link *link = mock_link_new(world, other);
    one(&request, topic, -1, batch);
    const kp_produce_resp *response = mock_ask(link, KP_API_PRODUCE, 13, &request.request);
    ck_assert_int_eq(only(response)->error_code, KC_E_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(only(response)->current_leader.leader_id, topic->partitions[0]->leader);
    ck_assert_int_eq(only(response)->current_leader.leader_epoch, 0);
    ck_assert_int_eq(response->node_endpoints.count, 1);
    ck_assert_int_eq(response->node_endpoints.items[0].port, 9092);
    response = mock_ask(link, KP_API_PRODUCE, 9, &request.request);
    ck_assert_int_eq(only(response)->error_code, KC_E_NOT_LEADER_OR_FOLLOWER);
    request.topic.topic_id.bytes[3] ^= 1;
    response = mock_ask(link, KP_API_PRODUCE, 13, &request.request);
    ck_assert_int_eq(only(response)->error_code, KC_E_UNKNOWN_TOPIC_ID);
    request.partition.index = 1;
    response = mock_ask(link, KP_API_PRODUCE, 12, &request.request);
    ck_assert_int_eq(only(response)->error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    mock_free(world);
}
END_TEST

START_TEST(acks_0_is_not_answered_but_an_error_closes_the_connection)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    one_request request;
    mock_link *link = mock_link_new(world, 1);
    mock_send(link, KP_API_PRODUCE, 13, one(&request, topic, 0, mock_batch(world, 4, NULL)));
    ck_assert_ptr_null(mock_answer(link));
    ck_assert(!mock_is_closed(link));
    ck_assert_int_eq(topic->partitions[0]->log.end_offset, 4);
    mock_send(link, KP_API_PRODUCE, 13, one(&request, topic, 0, KC_STR("")));
    ck_assert(mock_is_closed(link));
    mock_free(world);
}
END_TEST

START_TEST(null_in_place_of_records_closes_the_connection)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    one_request request;
    mock_link *link = mock_link_new(world, 1);
    mock_send(link, KP_API_PRODUCE, 13, one(&request, topic, 1, KC_NULL));
    ck_assert(mock_is_closed(link));
    mock_free(world);
}
END_TEST

START_TEST(other_acks_and_too_few_replicas_are_refused)
{
    mock_world *world = mock_new(3);
    km_topic *topic = mock_topic(world, "t", 1);
    kc_bytes batch = mock_batch(world, 1, NULL);
    ck_assert_int_eq(produce(world, topic, 13, 2, batch).error_code, KC_E_INVALID_REQUIRED_ACKS);
    set(world, topic, "min.insync.replicas", "3");
    ck_assert_int_eq(produce(world, topic, 13, -1, batch).error_code, 0);
    km_broker_stop(mock_broker(world, topic->partitions[0]->leader), false);
    ck_assert_int_eq(produce(world, topic, 13, -1, batch).error_code, KC_E_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(produce(world, topic, 13, 1, batch).error_code, 0);
    mock_free(world);
}
END_TEST

static mock_world *slow_world(void)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 3;
    options.replication_us = 50000;
    return mock_new_with(&options);
}

START_TEST(acks_all_waits_for_the_replicas_and_acks_1_does_not)
{
    mock_world *world = slow_world();
    km_topic *topic = mock_topic(world, "t", 1);
    kc_bytes batch = mock_batch(world, 1, NULL);
    ck_assert_int_eq(produce(world, topic, 13, 1, batch).base_offset, 0);
    one_request request;
    mock_link *link = mock_leader(world, "t", 0);
    mock_send(link, KP_API_PRODUCE, 13, one(&request, topic, -1, batch));
    ck_assert_ptr_null(mock_answer(link));
    mock_run(world, 51);
    ck_assert_ptr_null(mock_answer(link)); /* the first batch only */
    mock_run(world, 50);
    const kp_produce_resp_partition_response *got = only(mock_answer(link));
    ck_assert_int_eq(got->error_code, 0);
    ck_assert_int_eq(got->base_offset, 1);
    mock_free(world);
}
END_TEST

START_TEST(a_produce_that_waits_too_long_times_out)
{
    mock_world *world = slow_world();
    km_topic *topic = mock_topic(world, "t", 1);
    one_request request;
    mock_link *link = mock_leader(world, "t", 0);
    one(&request, topic, -1, mock_batch(world, 1, NULL));
    request.request.timeout_ms = 20;
    mock_send(link, KP_API_PRODUCE, 13, &request.request);
    mock_run(world, 21);
    ck_assert_int_eq(only(mock_answer(link))->error_code, KC_E_REQUEST_TIMED_OUT);
    mock_run(world, 100);
    ck_assert_int_eq(topic->partitions[0]->log.high_watermark, 1);
    mock_free(world);
}
END_TEST

START_TEST(a_produce_that_waits_hears_of_a_new_leader_and_of_the_end_of_its_topic)
{
    mock_world *world = slow_world();
    km_topic *topic = mock_topic(world, "t", 1);
    km_partition *partition = topic->partitions[0];
    one_request request;
    mock_link *link = mock_leader(world, "t", 0);
    mock_send(link, KP_API_PRODUCE, 13, one(&request, topic, -1, mock_batch(world, 1, NULL)));
    int32_t next = partition->leader % 3 + 1;
    km_partition_move(world->cluster, partition, next);
    km_changed(world->cluster);
    const kp_produce_resp_partition_response *got = only(mock_answer(link));
    ck_assert_int_eq(got->error_code, KC_E_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(got->current_leader.leader_id, next);
    link = mock_leader(world, "t", 0);
    mock_send(link, KP_API_PRODUCE, 13, one(&request, topic, -1, mock_batch(world, 1, NULL)));
    ck_assert_ptr_null(mock_answer(link));
    km_topic_delete(world->cluster, topic);
    ck_assert_int_eq(only(mock_answer(link))->error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    mock_free(world);
}
END_TEST

START_TEST(a_connection_that_ends_while_its_produce_waits_leaves_nothing_behind)
{
    mock_world *world = slow_world();
    km_topic *topic = mock_topic(world, "t", 1);
    one_request request;
    mock_link *link = mock_leader(world, "t", 0);
    mock_send(link, KP_API_PRODUCE, 13, one(&request, topic, -1, mock_batch(world, 1, NULL)));
    mock_link_free(link);
    mock_run(world, 2000);
    ck_assert_int_eq(topic->partitions[0]->log.high_watermark, 1);
    mock_free(world);
}
END_TEST

START_TEST(a_batch_that_comes_twice_is_stored_once)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    for (int32_t i = 0; i < 6; i++) {
        kp_batch_producer who = producer(9, 0, i * 2);
        ck_assert_int_eq(produce(world, topic, 13, -1, mock_batch(world, 2, &who)).base_offset,
                         i * 2);
    }
    for (int32_t i = 0; i < 6; i++) {
        kp_batch_producer who = producer(9, 0, i * 2);
        kp_produce_resp_partition_response got =
            produce(world, topic, 13, -1, mock_batch(world, 2, &who));
        if (i == 0) { /* six batches back */
            ck_assert_int_eq(got.error_code, KC_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
            continue;
        }
        ck_assert_int_eq(got.error_code, 0);
        ck_assert_int_eq(got.base_offset, i * 2);
    }
    kp_batch_producer who = producer(9, 0, 10);
    ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 3, &who)),
                     KC_E_OUT_OF_ORDER_SEQUENCE_NUMBER); /* begins as one, but is longer */
    ck_assert_int_eq(topic->partitions[0]->log.end_offset, 12);
    mock_free(world);
}
END_TEST

START_TEST(sequences_follow_one_another_and_go_round)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    static const struct {
        int16_t epoch;
        int32_t sequence;
        int16_t error;
    } rows[] = {
        {0, INT32_MAX - 1, 0}, /* a producer that is not known here may begin anywhere */
        {0, INT32_MAX, KC_E_OUT_OF_ORDER_SEQUENCE_NUMBER},
        {0, 1, KC_E_OUT_OF_ORDER_SEQUENCE_NUMBER},
        {0, 0, 0},
        {0, 3, KC_E_OUT_OF_ORDER_SEQUENCE_NUMBER},
        {0, 2, 0},
        {1, 4, KC_E_OUT_OF_ORDER_SEQUENCE_NUMBER}, /* a new epoch begins at 0 */
        {1, 0, 0},
        {0, 4, KC_E_INVALID_PRODUCER_EPOCH},
        {1, 2, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kp_batch_producer who = producer(9, rows[i].epoch, rows[i].sequence);
        int16_t error = produce_error(world, topic, mock_batch(world, 2, &who));
        ck_assert_msg(error == rows[i].error, "row %zu: %d", i, error);
    }
    kp_batch_producer who = producer(10, 0, INT32_MAX);
    ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 3, &who)), 0);
    who.base_sequence = 2;
    ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 3, &who)), 0);
    mock_free(world);
}
END_TEST

static void count_line(kc_log_level level, const char *line, void *user)
{
    int *told = user;
    if (level == KC_LOG_WARNING && strstr(line, "is used up"))
        ++*told;
}

START_TEST(a_full_memory_is_a_storage_error_and_nothing_is_stored)
{
    mock_world *world = mock_new(1);
    int told = 0;
    world->cluster->log = (kb_log){.fn = count_line, .user = &told, .level = KC_LOG_WARNING};
    km_topic *topic = mock_topic(world, "t", 1);
    const km_log *log = &topic->partitions[0]->log;
    one_request request;
    km_fault late;
    km_fault_init(&late);
    late.delay_us = 1000;
    ck_assert_uint_ne(km_fault_add(world->cluster, &late), 0);
    int refused = 0, closed = 0, stored = 0;
    for (size_t room = 0; stored == 0; room += 200) {
        kp_batch_producer who = producer(9, 0, 0);
        mock_link *link = mock_link_new(world, 1);
        one(&request, topic, 1, mock_batch(world, 1000, &who));
        mock_send(link, KP_API_PRODUCE, 13, &request.request);
        world->mem.limit = world->mem.used + room;
        mock_run(world, 2);
        world->mem.limit = SIZE_MAX;
        const kp_produce_resp *response = mock_is_closed(link) ? NULL : mock_answer(link);
        int16_t error = response ? only(response)->error_code : KC_E_UNKNOWN_SERVER_ERROR;
        closed += !response;
        refused += error == KC_E_KAFKA_STORAGE_ERROR;
        stored += log->end_offset > 0;
        ck_assert_int_eq(log->end_offset, stored ? 1000 : 0);
        ck_assert(!stored || !response || error == 0);
        mock_link_free(link);
    }
    ck_assert_int_gt(refused, 0);
    ck_assert_int_gt(closed, 0);
    ck_assert_int_eq(told, 1);
    mock_free(world);
}
END_TEST

START_TEST(old_segments_go_when_they_are_too_many_or_too_old)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 1);
    const km_log *log = &topic->partitions[0]->log;
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 1000, NULL)), 0);
    ck_assert_int_eq(log->start_offset, 0);
    size_t all = log->bytes;
    set(world, topic, "retention.bytes", "200000");
    ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 1, NULL)), 0);
    ck_assert_int_gt(log->start_offset, 0);
    ck_assert_uint_ge(log->bytes, 200000);
    ck_assert_uint_lt(log->bytes, all);
    set(world, topic, "retention.bytes", "-1");
    set(world, topic, "retention.ms", "1000");
    int64_t before = log->start_offset;
    mock_run(world, 2000);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 1000, NULL)), 0);
    ck_assert_int_eq(log->start_offset, before); // ages are not asked for at each write
    mock_run(world, 300000);
    ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 1, NULL)), 0);
    ck_assert_int_ge(log->start_offset, 50001);
    ck_assert_int_eq(log->end_offset, 100002);
    int64_t start = log->start_offset;
    set(world, topic, "cleanup.policy", "compact");
    mock_run(world, 300000);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(produce_error(world, topic, mock_batch(world, 1000, NULL)), 0);
    ck_assert_int_eq(log->start_offset, start);
    mock_free(world);
}
END_TEST
