/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The producer against a real broker: what it acknowledged is in the log, once, in order, as read by plain Fetch
 * requests. */
#include "tests/broker/producer_world.h"

#include <kafkac/unstable/errors.h>

#include <check.h>
#include <string.h>

#define PARTITIONS 3
#define WAIT_US    INT64_C(60000000)

static uint32_t produce_and_read(const char *const *properties, bool is_keyed)
{
    producer_world world;
    world_open(&world, "produce", properties);
    broker_create_topic(world.topic, PARTITIONS, 1);
    for (uint32_t i = 0; i < RECORDS_MAX; i++)
        world_send(&world, i, is_keyed || i % 2 ? KC_PARTITION_ANY : (int32_t)(i % PARTITIONS),
                   is_keyed);
    ck_assert_int_eq(kc_producer_flush(world.producer, 60000), KC_OK);
    ck_assert_uint_eq(world.told, RECORDS_MAX);
    ck_assert_msg(world.failed == 0, "%s", world.error.text);
    uint32_t records = 0, codecs = 0;
    for (int32_t i = 0; i < PARTITIONS; i++) {
        fetch_state fetched = world_read(&world, i);
        records += fetched.records;
        codecs |= fetched.codecs;
    }
    ck_assert_uint_eq(records, RECORDS_MAX);
    kc_producer_stats stats;
    kc_producer_stats_get(world.producer, &stats);
    ck_assert_uint_eq(stats.records_acked, RECORDS_MAX);
    ck_assert_uint_eq(stats.buffer_bytes, 0);
    world_close(&world);
    return codecs;
}

START_TEST(records_arrive_once_and_in_order)
{
    static const char *const properties[] = {"linger.ms", "5", NULL};
    ck_assert_uint_eq(produce_and_read(properties, false), 1u << KP_CODEC_NONE);
}
END_TEST

START_TEST(records_arrive_in_large_batches)
{
    static const char *const properties[] = {"batch.size", "1000000", NULL};
    produce_and_read(properties, false);
}
END_TEST

START_TEST(records_with_keys_arrive_where_their_keys_say)
{
    produce_and_read(NULL, true);
}
END_TEST

START_TEST(gzip_batches_are_taken)
{
    static const char *const properties[] = {"compression.type", "gzip", NULL};
    ck_assert_uint_ne(produce_and_read(properties, false) & 1u << KP_CODEC_GZIP, 0);
}
END_TEST

START_TEST(snappy_batches_are_taken)
{
    static const char *const properties[] = {"compression.type", "snappy", NULL};
    if (kp_codec_is_built(KP_CODEC_SNAPPY))
        ck_assert_uint_ne(produce_and_read(properties, false) & 1u << KP_CODEC_SNAPPY, 0);
}
END_TEST

START_TEST(lz4_batches_are_taken)
{
    static const char *const properties[] = {"compression.type", "lz4", NULL};
    ck_assert_uint_ne(produce_and_read(properties, false) & 1u << KP_CODEC_LZ4, 0);
}
END_TEST

START_TEST(zstd_batches_are_taken)
{
    static const char *const properties[] = {"compression.type", "zstd", NULL};
    if (kp_codec_is_built(KP_CODEC_ZSTD))
        ck_assert_uint_ne(produce_and_read(properties, false) & 1u << KP_CODEC_ZSTD, 0);
}
END_TEST

START_TEST(acks_1_tells_offsets_too)
{
    static const char *const properties[] = {"acks", "1", "linger.ms", "0", NULL};
    produce_and_read(properties, false);
}
END_TEST

START_TEST(acks_0_arrives_on_a_good_connection)
{
    static const char *const properties[] = {"acks", "0", NULL};
    producer_world world;
    world_open(&world, "acks0", properties);
    broker_create_topic(world.topic, 1, 1);
    for (uint32_t i = 0; i < 1000; i++)
        world_send(&world, i, 0, false);
    ck_assert_int_eq(kc_producer_flush(world.producer, 60000), KC_OK);
    ck_assert_uint_eq(world.told, 1000);
    ck_assert_uint_eq(world.failed, 0);
    for (uint32_t i = 0; i < 1000; i++)
        ck_assert_int_eq(world.offsets[i], -1);
    world.may_repeat = true; // nobody told when it was written: it is read until it is there
    uint32_t records = 0;
    int64_t until_us = kc_clock_monotonic_us() + WAIT_US;
    while (records < 1000 && kc_clock_monotonic_us() < until_us)
        records += world_read(&world, 0).records;
    ck_assert_uint_eq(records, 1000);
    world_close(&world);
}
END_TEST

START_TEST(a_topic_that_does_not_exist_is_named)
{
    static const char *const properties[] = {"delivery.timeout.ms", "3000", "request.timeout.ms",
                                             "1000", NULL};
    producer_world world;
    world_open(&world, "absent", properties);
    world_send(&world, 0, KC_PARTITION_ANY, false);
    ck_assert_int_eq(kc_producer_flush(world.producer, 30000), KC_OK);
    ck_assert_uint_eq(world.failed, 1);
    ck_assert_int_eq(world.error.code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_ptr_nonnull(strstr(world.error.text, world.topic));
    world_close(&world);
}
END_TEST

START_TEST(batches_above_max_message_bytes_are_split)
{
    static const char *const properties[] = {"batch.size", "100000", NULL};
    producer_world world;
    world_open(&world, "split", properties);
    world_create_with(&world, "max.message.bytes=5000");
    for (uint32_t i = 0; i < 20000; i++)
        world_send(&world, i, 0, false);
    ck_assert_int_eq(kc_producer_flush(world.producer, 60000), KC_OK);
    ck_assert_uint_eq(world.told, 20000);
    ck_assert_msg(world.failed == 0, "%s", world.error.text);
    ck_assert_uint_eq(world_read(&world, 0).records, 20000);
    world_close(&world);
}
END_TEST

START_TEST(the_append_time_of_the_broker_is_told)
{
    producer_world world;
    world_open(&world, "append-time", NULL);
    world_create_with(&world, "message.timestamp.type=LogAppendTime");
    kc_record record = KC_RECORD_INIT;
    record.topic = kc_str(world.topic);
    record.timestamp_ms = 1000;
    ck_assert_int_eq(kc_producer_send(world.producer, &record, world_told, NULL, NULL), KC_OK);
    ck_assert_int_eq(kc_producer_flush(world.producer, 60000), KC_OK);
    ck_assert_uint_eq(world.failed, 0);
    ck_assert_int_gt(world.timestamp_ms, INT64_C(1600000000000));
    world_close(&world);
}
END_TEST

START_TEST(records_without_key_in_a_compacted_topic_are_refused)
{
    producer_world world;
    world_open(&world, "compacted", NULL);
    world_create_with(&world, "cleanup.policy=compact");
    for (uint32_t i = 0; i < 10; i++)
        world_send(&world, i, 0, i != 7); // KIP-467: one of them has no key
    ck_assert_int_eq(kc_producer_flush(world.producer, 60000), KC_OK);
    ck_assert_uint_eq(world.told, 10);
    ck_assert_uint_eq(world.failed, 1);
    ck_assert_int_eq(world.error.code, KC_E_INVALID_RECORD);
    ck_assert_uint_eq(world_read(&world, 0).records, 9);
    world_close(&world);
}
END_TEST

START_TEST(a_topic_made_anew_is_written_to_again)
{
    producer_world world;
    world_open(&world, "anew", NULL);
    broker_create_topic(world.topic, 1, 1);
    world_send(&world, 0, 0, false);
    ck_assert_int_eq(kc_producer_flush(world.producer, 60000), KC_OK);
    const char *const delete[] = {"tool",     "topics",  "--bootstrap-server", broker_list(),
                                  "--delete", "--topic", world.topic,          NULL};
    ck_assert_int_eq(broker_command(NULL, 0, delete), 0);
    broker_create_topic(world.topic, 1, 1);
    world_send(&world, 1, 0, false);
    ck_assert_int_eq(kc_producer_flush(world.producer, 60000), KC_OK);
    ck_assert_msg(world.failed == 0, "%s", world.error.text);
    ck_assert_int_eq(world.offsets[1], 0);
    world_close(&world);
}
END_TEST
