/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tests of client/producer and client/producer_accum: what a caller sees when nothing fails. */
#include "client/producer_core.h"
#include "tests/unit/client/fake_produce.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static void expect_told(const producer_fixture *fixture, const char *told)
{
    ck_assert_str_eq(fixture->told, told);
}

START_TEST(a_record_is_sent_and_told_once)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fixture_send(fixture, 0, "a");
    expect_told(fixture, ""); // never from inside the call
    fixture_run(fixture, 50);
    expect_told(fixture, "a@0:0 ");
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 0), "a");
    ck_assert_int_eq(fixture->log->acks, -1);
    ck_assert_int_eq(fixture->log->version, 13);
    kc_producer_stats stats = fixture_stats(fixture);
    ck_assert_uint_eq(stats.records_acked, 1);
    ck_assert_uint_eq(stats.records_pending, 0);
    ck_assert_uint_eq(stats.batches_sent, 1);
    ck_assert_uint_eq(stats.requests_sent, 1);
    ck_assert_uint_eq(stats.buffer_bytes, 0);
    ck_assert_uint_gt(stats.bytes_acked, 61);
    fixture_free(fixture);
}
END_TEST

START_TEST(records_sent_between_two_turns_share_a_batch)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 50);
    for (int i = 0; i < 100; i++)
        fixture_send(fixture, 0, fixture_name(i));
    fixture_run(fixture, 50);
    ck_assert_uint_eq(fixture->log->batches, 2);
    ck_assert_uint_eq(fake_log_count(fixture->log, "t", 0), 101);
    ck_assert_uint_eq(fixture->told_count, 101);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_batch_lingers_for_more_records)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=20"));
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 50);
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 15);
    fixture_send(fixture, 0, "c");
    ck_assert_uint_eq(fixture->log->batches, 1);
    fixture_run(fixture, 4);
    ck_assert_uint_eq(fixture->log->batches, 1);
    fixture_run(fixture, 2);
    ck_assert_uint_eq(fixture->log->batches, 2);
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 0), "a b c");
    fixture_free(fixture);
}
END_TEST

START_TEST(a_full_batch_does_not_linger)
{
    producer_fixture *fixture = fixture_new(
        1, 1, PROPERTIES("linger.ms=10000", "batch.size=1000", "delivery.timeout.ms=120000"));
    char value[400] = {'x'};
    ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, 100), KC_OK);
    kc_producer_flush_start(fixture->producer);
    fixture_run(fixture, 50);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
    fixture_run(fixture, 10);
    ck_assert_uint_ge(fixture->log->batches, 2);
    ck_assert_uint_ge(fixture->log->record_count, 3);
    fixture_free(fixture);
}
END_TEST

START_TEST(acks_0_is_told_when_written_and_knows_no_offset)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0", "acks=0"));
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 50);
    expect_told(fixture, "a@0:-1 b@0:-1 ");
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 0), "a b");
    ck_assert_int_eq(fixture->log->acks, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(acks_1_asks_the_leader_only)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0", "acks=1"));
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 50);
    expect_told(fixture, "a@0:0 ");
    ck_assert_int_eq(fixture->log->acks, 1);
    fixture_free(fixture);
}
END_TEST

START_TEST(flush_sends_without_lingering_and_waits)
{
    producer_fixture *fixture =
        fixture_new(2, 4, PROPERTIES("linger.ms=60000", "delivery.timeout.ms=120000"));
    ck_assert_int_eq(kc_producer_flush(fixture->producer, -1), KC_OK);
    for (int i = 0; i < 40; i++)
        fixture_send(fixture, i % 4, fixture_name(i));
    ck_assert_int_eq(kc_producer_flush(fixture->producer, -1), KC_OK);
    ck_assert_uint_eq(fixture->told_count, 40);
    ck_assert_uint_eq(fixture->failed_count, 0);
    ck_assert_int_lt(fake_now_ms(fixture->cluster), 2000);
    // and what is sent later lingers again
    fixture_send(fixture, 0, "z");
    fixture_run(fixture, 1000);
    ck_assert_uint_eq(fixture->told_count, 40);
    fixture_free(fixture);
}
END_TEST

START_TEST(flush_gives_up_at_its_timeout)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fake_log_fault(fixture->log, FAKE_FAULT_SILENT);
    fixture_send(fixture, 0, "a");
    ck_assert_int_eq(kc_producer_flush(fixture->producer, 500), KC_ERR_TIMEOUT);
    ck_assert_uint_eq(fixture->told_count, 0);
    ck_assert_int_eq(kc_producer_flush(fixture->producer, -1), KC_OK);
    expect_told(fixture, "a@0:0 ");
    fixture_free(fixture);
}
END_TEST

static void send_more(producer_fixture *fixture)
{
    if (fixture->told_count < 200)
        fixture_send(fixture, 0, fixture_name((int)fixture->told_count));
}

START_TEST(flush_does_not_wait_for_what_callbacks_send)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fixture->on_told = send_more;
    fixture_send(fixture, 0, "a");
    ck_assert_int_eq(kc_producer_flush(fixture->producer, -1), KC_OK);
    ck_assert_uint_ge(fixture->told_count, 1);
    ck_assert_uint_le(fixture->told_count, 3);
    fixture_run(fixture, 1000);
    ck_assert_uint_eq(fixture->told_count, 200);
    fixture_free(fixture);
}
END_TEST

static kc_err send_record(producer_fixture *fixture, kc_record record, kc_error *err)
{
    return kc_producer_send(fixture->producer, &record, fixture_told, NULL, err);
}

START_TEST(arguments_out_of_range_are_refused_with_a_reason)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    kc_error err;
    kc_record good = KC_RECORD_INIT;
    good.topic = KC_STR("t");
    for (int round = 0; round < 3; round++) { // topic not known, known, batch open
        kc_record record = good;
        record.topic = KC_STR("no blanks");
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_ARGUMENT);
        ck_assert_ptr_nonnull(strstr(err.text, "letters"));
        record.topic = KC_NULL;
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_ARGUMENT);
        record = good;
        record.partition = -2;
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_ARGUMENT);
        ck_assert_ptr_nonnull(strstr(err.text, "-2"));
        record = good;
        record.timestamp_ms = -2;
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_ARGUMENT);
        record = good;
        record.key = kc_span(NULL, 3);
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_ARGUMENT);
        record = good;
        record.value = kc_span(NULL, 3);
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_ARGUMENT);
        record = good;
        record.header_count = 1;
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_ARGUMENT);
        const kc_header unnamed = {KC_NULL, KC_STR("v")};
        record.headers = &unnamed;
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_ARGUMENT);
        fixture_send(fixture, 0, "a");
        if (round == 0)
            fixture_run(fixture, 50);
    }
    fixture_run(fixture, 50);
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 0), "a a a");
    ck_assert_uint_eq(fixture->failed_count, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_partition_that_does_not_exist_is_refused)
{
    producer_fixture *fixture = fixture_new(1, 2, PROPERTIES("linger.ms=0"));
    kc_error err;
    kc_record record = KC_RECORD_INIT;
    record.topic = KC_STR("t");
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 50);
    record.partition = 2;
    ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, "there are 2"));
    record.partition = INT32_MAX;
    ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_ARGUMENT);
    fixture_run(fixture, 50);
    expect_told(fixture, "a@0:0 ");
    fixture_free(fixture);
}
END_TEST

START_TEST(too_large_a_record_is_refused_for_good)
{
    producer_fixture *fixture = fixture_new(
        1, 1, PROPERTIES("linger.ms=0", "max.request.size=10000", "buffer.memory=5000"));
    static char value[10000];
    kc_error err;
    for (int round = 0; round < 2; round++) {
        kc_record record = KC_RECORD_INIT;
        record.topic = KC_STR("t");
        record.value = kc_span(value, 9990);
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_TOO_LARGE);
        ck_assert_ptr_nonnull(strstr(err.text, "max.request.size"));
        record.value.len = 6000;
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_TOO_LARGE);
        ck_assert_ptr_nonnull(strstr(err.text, "buffer.memory"));
        record.value.len = SIZE_MAX / 2;
        ck_assert_int_eq(send_record(fixture, record, &err), KC_ERR_TOO_LARGE);
        fixture_send(fixture, 0, "a");
        fixture_run(fixture, 50);
    }
    ck_assert_uint_eq(fixture->told_count, 2);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_record_above_batch_size_travels_alone)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=1", "batch.size=500"));
    static char value[3000];
    memset(value, 'x', sizeof value);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 50);
    fixture_send(fixture, 0, "b");
    ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
    fixture_send(fixture, 0, "c");
    fixture_run(fixture, 50);
    ck_assert_uint_eq(fixture->log->record_count, 4);
    ck_assert_uint_eq(fixture->log->records[2].value_len, 3000);
    fixture_free(fixture);
}
END_TEST

START_TEST(batch_size_0_sends_each_record_by_itself)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0", "batch.size=0"));
    for (int i = 0; i < 20; i++)
        fixture_send(fixture, 0, fixture_name(i));
    fixture_run(fixture, 200);
    ck_assert_uint_eq(fixture->log->batches, 20);
    ck_assert_uint_eq(fixture->told_count, 20);
    fixture_free(fixture);
}
END_TEST

static uint32_t room_calls;

static void on_room(void *user)
{
    producer_fixture *fixture = user;
    room_calls++;
    fixture_send(fixture, 0, "room");
}

START_TEST(a_full_buffer_is_said_and_so_is_room)
{
    producer_fixture *fixture =
        fixture_new(1, 1, PROPERTIES("linger.ms=1000", "buffer.memory=40000", "batch.size=4000"));
    static char value[900];
    memset(value, 'x', sizeof value);
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 1200);
    room_calls = 0;
    kc_producer_on_room(fixture->producer, on_room, fixture);
    int accepted = 0;
    kc_err err;
    while ((err = fixture_try(fixture, 0, NULL, value, sizeof value)) == KC_OK)
        accepted++;
    ck_assert_int_eq(err, KC_ERR_BUFFER_FULL);
    ck_assert_int_ge(accepted, 25); // 40,000 less what blocks round up
    // what the callbacks take is counted, but not refused for
    ck_assert_uint_le(fixture_stats(fixture).buffer_bytes, 40000 + KC_BLOCK_BYTES_MIN);
    ck_assert_uint_eq(room_calls, 0);
    fixture_run(fixture, 100); // no linger.ms: a full buffer is sent
    ck_assert_uint_eq(room_calls, 1);
    fixture_run(fixture, 2000);
    ck_assert_uint_eq(room_calls, 1);
    ck_assert_uint_eq(fixture->told_count, (uint32_t)accepted + 2);
    kc_producer_on_room(fixture->producer, NULL, NULL);
    fixture_free(fixture);
}
END_TEST

static void try_again(producer_fixture *fixture)
{
    static char value[900];
    if (fixture->told_count == 2) // the first of the full buffer
        ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
}

START_TEST(the_acknowledgement_makes_room_not_the_callback)
{
    producer_fixture *fixture =
        fixture_new(1, 1, PROPERTIES("linger.ms=0", "buffer.memory=20000", "batch.size=4000"));
    static char value[900];
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 100);
    fixture->on_told = try_again;
    uint32_t accepted = 2;
    while (fixture_try(fixture, 0, NULL, value, sizeof value) == KC_OK)
        accepted++;
    fixture_run(fixture, 1000);
    ck_assert_uint_eq(fixture->told_count, accepted);
    fixture_free(fixture);
}
END_TEST

START_TEST(memory_bytes_max_refuses_what_buffer_memory_would_allow)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    static char value[10000];
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 50);
    fixture->client->mem.limit = fixture->client->mem.used + 1000000;
    kc_err err;
    uint32_t accepted = 1;
    while ((err = fixture_try(fixture, 0, NULL, value, sizeof value)) == KC_OK)
        accepted++;
    ck_assert_int_eq(err, KC_ERR_NOMEM);
    ck_assert_uint_gt(accepted, 40);
    fixture_run(fixture, 130000);
    ck_assert_uint_eq(fixture->told_count, accepted);
    ck_assert_uint_eq(fixture->failed_count, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(timestamps_are_the_callers_or_the_time_of_the_send)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=50"));
    kc_record record = KC_RECORD_INIT;
    record.topic = KC_STR("t");
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 200);
    record.timestamp_ms = 1234;
    ck_assert_int_eq(send_record(fixture, record, NULL), KC_OK);
    record.timestamp_ms = KC_TIMESTAMP_NOW;
    ck_assert_int_eq(send_record(fixture, record, NULL), KC_OK);
    int64_t first_ms = kc_client_wall_ms(fixture->client);
    fixture_run(fixture, 30);
    ck_assert_int_eq(send_record(fixture, record, NULL), KC_OK);
    int64_t second_ms = kc_client_wall_ms(fixture->client);
    fixture_run(fixture, 200);
    ck_assert_int_gt(second_ms, first_ms);
    ck_assert_int_eq(fixture->log->records[1].timestamp_ms, 1234);
    ck_assert_int_eq(fixture->log->records[2].timestamp_ms, first_ms);
    ck_assert_int_eq(fixture->log->records[3].timestamp_ms, second_ms);
    ck_assert_uint_eq(fixture->log->records[1].batch, fixture->log->records[3].batch);
    ck_assert_int_eq(fixture->last_timestamp_ms, second_ms);
    fixture_free(fixture);
}
END_TEST

START_TEST(the_brokers_append_time_is_told)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    fixture->log->append_ms = 987654;
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 50);
    ck_assert_int_eq(fixture->last_timestamp_ms, 987654);
    fixture_free(fixture);
}
END_TEST

START_TEST(keys_headers_and_tombstones_arrive)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    for (int round = 0; round < 2; round++) { // staged, then straight
        kc_record record = KC_RECORD_INIT;
        kc_header headers[] = {{KC_STR("h1"), KC_STR("one")}, {KC_STR(""), KC_NULL}};
        record.topic = KC_STR("t");
        record.key = KC_STR("key");
        record.headers = headers;
        record.header_count = 2;
        ck_assert_int_eq(send_record(fixture, record, NULL), KC_OK);
        record.header_count = 0;
        record.value = KC_STR("");
        ck_assert_int_eq(send_record(fixture, record, NULL), KC_OK);
        fixture_run(fixture, 50);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(fixture->log->records[i].key, "key");
        ck_assert_int_eq(fixture->log->records[i].header_count, i % 2 ? 0 : 2);
    }
    fixture_free(fixture);
}
END_TEST

static void compressed(const char *property, kp_codec codec)
{
    if (!kp_codec_is_built(codec))
        return;
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=5", property));
    static char value[200];
    memset(value, 'x', sizeof value);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 60; i++)
            ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
        fixture_run(fixture, 100);
    }
    ck_assert_int_eq(fixture->log->codec, codec);
    ck_assert_uint_eq(fake_log_count(fixture->log, "t", 0), 180);
    ck_assert_uint_eq(fixture->log->records[100].value_len, 200);
    ck_assert_uint_lt(fixture->log->batch_bytes_seen, 2000);
    ck_assert_uint_lt(fixture_stats(fixture).bytes_acked, 6000);
    // one record doesn't get smaller: it goes as it is
    fixture_send(fixture, 0, "a");
    fixture_run(fixture, 100);
    ck_assert_int_eq(fixture->log->codec, KP_CODEC_NONE);
    ck_assert_uint_eq(fixture->told_count, 181);
    fixture_free(fixture);
}

START_TEST(gzip_batches_are_compressed)
{
    compressed("compression.type=gzip", KP_CODEC_GZIP);
}
END_TEST

START_TEST(snappy_batches_are_compressed)
{
    compressed("compression.type=snappy", KP_CODEC_SNAPPY);
}
END_TEST

START_TEST(lz4_batches_are_compressed)
{
    compressed("compression.type=lz4", KP_CODEC_LZ4);
}
END_TEST

START_TEST(zstd_batches_are_compressed)
{
    compressed("compression.type=zstd", KP_CODEC_ZSTD);
}
END_TEST

START_TEST(a_request_carries_all_partitions_of_its_broker)
{
    producer_fixture *fixture = fixture_new(2, 6, PROPERTIES("linger.ms=0"));
    fake_topic_add(fixture->cluster, "u", 2);
    kc_topic *u;
    ck_assert_int_eq(kc_producer_topic(fixture->producer, KC_STR("u"), &u, NULL), KC_OK);
    fixture_send(fixture, 0, "warm");
    fixture_run(fixture, 100);
    uint32_t before = fixture->log->requests;
    for (int i = 0; i < 12; i++) {
        fixture_send(fixture, i % 6, fixture_name(i));
        kc_record record = KC_RECORD_INIT;
        record.partition = i % 2;
        record.value = kc_str(fixture_name(i));
        ck_assert_int_eq(kc_producer_send_to(u, &record, NULL, NULL, NULL), KC_OK);
    }
    fixture_run(fixture, 100);
    ck_assert_uint_eq(fixture->log->requests, before + 2); // one a broker
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 5), "v5 v11");
    ck_assert_str_eq(fake_log_text(fixture->log, "u", 1), "v1 v3 v5 v7 v9 v11");
    ck_assert_uint_eq(fixture->told_count, 13);
    ck_assert_uint_eq(fixture_stats(fixture).records_acked, 25);
    fixture_free(fixture);
}
END_TEST

START_TEST(requests_stay_below_max_request_size)
{
    producer_fixture *fixture =
        fixture_new(1, 10, PROPERTIES("linger.ms=10", "max.request.size=3000", "batch.size=1000"));
    static char value[900];
    fixture_send(fixture, 0, "warm");
    fixture_run(fixture, 100);
    uint32_t before = fixture->log->requests;
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(fixture_try(fixture, i, NULL, value, sizeof value), KC_OK);
    fixture_run(fixture, 100);
    ck_assert_uint_eq(fixture->log->requests, before + 4); // three batches of 970 bytes each
    ck_assert_uint_eq(fixture->told_count, 11);
    fixture_free(fixture);
}
END_TEST

START_TEST(so_many_requests_are_in_flight_and_no_more)
{
    producer_fixture *fixture =
        fixture_new(1, 10, PROPERTIES("linger.ms=0", "max.in.flight.requests.per.connection=3"));
    fixture_send(fixture, 0, "warm");
    fixture_run(fixture, 100);
    fixture->log->delay_us = 100000;
    for (int i = 0; i < 10; i++) {
        fixture_send(fixture, i, fixture_name(i));
        fixture_run(fixture, 1);
    }
    kc_producer_stats stats = fixture_stats(fixture);
    ck_assert_uint_eq(stats.requests_sent, 4); // with the first one
    fixture_run(fixture, 2000);
    stats = fixture_stats(fixture);
    ck_assert_uint_eq(stats.requests_sent, 5); // the other seven wait together
    ck_assert_uint_eq(fixture->told_count, 11);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_partition_has_one_batch_on_its_way_and_the_next_one_grows)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0", "batch.size=1024"));
    static char value[100];
    memset(value, 'x', sizeof value);
    fixture_send(fixture, 0, "warm");
    fixture_run(fixture, 100);
    fixture->log->delay_us = 50000;
    fixture_send(fixture, 0, "first");
    fixture_run(fixture, 10);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
    fixture_run(fixture, 10);
    ck_assert_uint_eq(fixture_stats(fixture).batches_sent, 2);
    fixture_run(fixture, 2000);
    ck_assert_uint_eq(fixture->told_count, 302);
    // 300 records in batches of up to 16 times batch.size rather than 30 of 1,024 bytes
    ck_assert_uint_le(fixture->log->batches, 6);
    ck_assert_uint_le(fixture->log->batch_bytes_seen, 16384);
    ck_assert_uint_gt(fixture->log->batch_bytes_seen, 8192);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_batch_of_the_largest_configured_size_does_not_grow)
{
    producer_fixture *fixture =
        fixture_new(1, 1, PROPERTIES("linger.ms=0", "batch.size=20000", "max.request.size=20000"));
    static char value[1000];
    fixture_send(fixture, 0, "warm");
    fixture_run(fixture, 100);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
    fixture_run(fixture, 2000);
    ck_assert_uint_eq(fixture->told_count, 101);
    ck_assert_uint_le(fixture->log->batch_bytes_seen, 20000);
    ck_assert_uint_gt(fixture->log->batch_bytes_seen, 18000);
    fixture_free(fixture);
}
END_TEST

START_TEST(records_without_callback_are_only_counted)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    kc_record record = KC_RECORD_INIT;
    record.topic = KC_STR("t");
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(kc_producer_send(fixture->producer, &record, NULL, NULL, NULL), KC_OK);
    fixture_run(fixture, 100);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(kc_producer_send(fixture->producer, &record, i == 5 ? fixture_told : NULL,
                                          (void *)(uintptr_t) "five", NULL),
                         KC_OK);
    fixture_run(fixture, 100);
    expect_told(fixture, "five@0:15 ");
    ck_assert_uint_eq(fixture_stats(fixture).records_acked, 20);
    fixture_free(fixture);
}
END_TEST

START_TEST(idle_memory_is_given_back)
{
    producer_fixture *fixture = fixture_new(1, 1, PROPERTIES("linger.ms=0"));
    static char value[10000];
    fixture_send(fixture, 0, "warm");
    fixture_run(fixture, 100);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
    size_t busy = fixture->client->mem.used;
    fixture_run(fixture, 5000);
    ck_assert_uint_eq(fixture->told_count, 1001);
    fixture_run(fixture, 20000);
    ck_assert_uint_gt(busy, 10000000);
    ck_assert_uint_lt(fixture->client->mem.used, 300000);
    fixture_free(fixture);
}
END_TEST
