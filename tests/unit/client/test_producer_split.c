/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tests of client/producer_split: batches a broker does not take as they are. */
#include "client/producer_core.h"
#include "tests/unit/client/fake_produce.h"

#include <check.h>
#include <stdio.h>

static producer_fixture *warm(const char *const *properties)
{
    producer_fixture *fixture = fixture_new(1, 1, properties);
    fixture_send(fixture, 0, "w");
    ck_assert_int_eq(kc_producer_flush(fixture->producer, 1000), KC_OK);
    fixture->told_len = fixture->told_count = 0;
    return fixture;
}

static void expect_in_order(const producer_fixture *fixture, int count)
{
    char expected[8192] = "w";
    char told[16384] = "";
    for (int i = 0; i < count; i++) {
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), " v%d", i);
        snprintf(told + strlen(told), sizeof told - strlen(told), "v%d@0:%d ", i, i + 1);
    }
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 0), expected);
    ck_assert_str_eq(fixture->told, told);
}

START_TEST(too_large_a_batch_is_split_until_it_is_taken)
{
    producer_fixture *fixture = warm(PROPERTIES("linger.ms=5"));
    fixture->log->batch_bytes_max = 700;
    for (int i = 0; i < 300; i++)
        fixture_send(fixture, 0, fixture_name(i));
    fixture_run(fixture, 2000);
    expect_in_order(fixture, 300);
    ck_assert_uint_eq(fixture_stats(fixture).records_acked, 301);
    ck_assert_uint_eq(fixture_stats(fixture).buffer_bytes, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(the_size_a_topic_takes_is_remembered)
{
    producer_fixture *fixture = warm(PROPERTIES("linger.ms=5"));
    fixture->log->batch_bytes_max = 4000;
    for (int i = 0; i < 500; i++)
        fixture_send(fixture, 0, fixture_name(i));
    fixture_run(fixture, 2000);
    fixture->log->batch_bytes_seen = 0;
    uint64_t requests = fixture->log->requests, batches = fixture->log->batches;
    for (int i = 500; i < 1000; i++)
        fixture_send(fixture, 0, fixture_name(i));
    fixture_run(fixture, 2000);
    ck_assert_uint_le(fixture->log->batch_bytes_seen, 4000);
    ck_assert_uint_eq(fixture->log->requests - requests, fixture->log->batches - batches);
    ck_assert_uint_eq(fixture->told_count, 1000);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_compressed_batch_is_split_too)
{
    producer_fixture *fixture = warm(PROPERTIES("linger.ms=5", "compression.type=gzip"));
    fixture->log->batch_bytes_max = 300;
    for (int i = 0; i < 300; i++)
        fixture_send(fixture, 0, fixture_name(i));
    fixture_run(fixture, 2000);
    expect_in_order(fixture, 300);
    ck_assert_uint_ne(fixture->log->codecs & 1u << KP_CODEC_GZIP, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(one_record_too_large_fails_and_its_neighbours_arrive)
{
    producer_fixture *fixture = warm(PROPERTIES("linger.ms=5"));
    static char value[2000];
    memset(value, 'x', sizeof value);
    fixture->log->batch_bytes_max = 700;
    fixture_send(fixture, 0, "a");
    ck_assert_int_eq(fixture_try(fixture, 0, NULL, value, sizeof value), KC_OK);
    fixture_send(fixture, 0, "b");
    fixture_run(fixture, 2000);
    ck_assert_str_eq(fixture->told, "a@0:1 xxxxxxxxxxxxxxxx!MESSAGE_TOO_LARGE b@0:2 ");
    ck_assert_ptr_nonnull(strstr(fixture->last_error.text, "max.message.bytes"));
    fixture_free(fixture);
}
END_TEST

START_TEST(headers_keys_and_timestamps_survive_a_split)
{
    producer_fixture *fixture = warm(PROPERTIES("linger.ms=5"));
    fixture->log->batch_bytes_max = 250;
    kc_header headers[] = {{KC_STR("h1"), KC_STR("one")}, {KC_STR("h2"), KC_NULL}};
    kc_record record = KC_RECORD_INIT;
    record.topic = KC_STR("t");
    record.partition = 0;
    record.headers = headers;
    for (int i = 0; i < 20; i++) {
        record.timestamp_ms = 1000 + i;
        record.key = i % 2 ? KC_STR("key") : KC_NULL;
        record.header_count = (size_t)(i % 3);
        record.value = kc_str(fixture_name(i));
        ck_assert_int_eq(kc_producer_send(fixture->producer, &record, NULL, NULL, NULL), KC_OK);
    }
    fixture_run(fixture, 2000);
    ck_assert_uint_eq(fixture->log->record_count, 21);
    for (int i = 0; i < 20; i++) {
        const fake_record *got = &fixture->log->records[i + 1];
        ck_assert_str_eq(got->value, fixture_name(i));
        ck_assert_str_eq(got->key, i % 2 ? "key" : "");
        ck_assert_int_eq(got->header_count, i % 3);
        ck_assert_int_eq(got->timestamp_ms, 1000 + i);
    }
    fixture_free(fixture);
}
END_TEST

START_TEST(refused_records_fail_alone)
{
    producer_fixture *fixture = warm(PROPERTIES("linger.ms=5"));
    fixture->log->refused = "bad";
    fixture_send(fixture, 0, "v0");
    fixture_send(fixture, 0, "bad");
    fixture_send(fixture, 0, "v1");
    fixture_send(fixture, 0, "bad");
    fixture_send(fixture, 0, "v2");
    fixture_run(fixture, 2000);
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 0), "w v0 v1 v2");
    ck_assert_str_eq(fixture->told, "bad!INVALID_RECORD bad!INVALID_RECORD v0@0:1 v1@0:2 v2@0:3 ");
    ck_assert_ptr_nonnull(strstr(fixture->last_error.text, "not wanted here"));
    ck_assert_uint_eq(fixture_stats(fixture).records_failed, 2);
    ck_assert_uint_eq(fixture_stats(fixture).records_pending, 0);
    fixture_free(fixture);
}
END_TEST

START_TEST(a_batch_of_refused_records_only_fails_whole)
{
    producer_fixture *fixture = warm(PROPERTIES("linger.ms=5"));
    fixture->log->refused = "bad";
    fixture_send(fixture, 0, "bad");
    fixture_send(fixture, 0, "bad");
    fixture_run(fixture, 2000);
    ck_assert_str_eq(fixture->told, "bad!INVALID_RECORD bad!INVALID_RECORD ");
    fixture_send(fixture, 0, "v0");
    fixture_run(fixture, 2000);
    ck_assert_str_eq(fake_log_text(fixture->log, "t", 0), "w v0");
    fixture_free(fixture);
}
END_TEST

START_TEST(refused_records_that_are_none_of_the_batch_fail_it_whole)
{
    producer_fixture *fixture = warm(PROPERTIES("linger.ms=5"));
    fixture->log->refused = "bad";
    for (int32_t shift = -1; shift <= 1; shift++) {
        fixture->log->refused_shift = shift * 1000000000;
        fixture_send(fixture, 0, "bad");
        fixture_send(fixture, 0, "good");
        fixture_run(fixture, 2000);
    }
    ck_assert_str_eq(fixture->told, "bad!INVALID_RECORD good!INVALID_RECORD bad!INVALID_RECORD "
                                    "good@0:1 bad!INVALID_RECORD good!INVALID_RECORD ");
    fixture_free(fixture);
}
END_TEST

START_TEST(flush_waits_for_the_parts_of_a_split_batch)
{
    producer_fixture *fixture = warm(PROPERTIES("linger.ms=60000", "delivery.timeout.ms=120000"));
    fixture->log->batch_bytes_max = 500;
    fixture->log->refused = "bad";
    for (int i = 0; i < 100; i++)
        fixture_send(fixture, 0, i == 50 ? "bad" : fixture_name(i));
    ck_assert_int_eq(kc_producer_flush(fixture->producer, 10000), KC_OK);
    ck_assert_uint_eq(fixture->told_count, 100);
    ck_assert_uint_eq(fixture->failed_count, 1);
    fixture_free(fixture);
}
END_TEST

START_TEST(without_memory_for_a_split_it_is_tried_again)
{
    producer_fixture *fixture = warm(PROPERTIES("linger.ms=5"));
    fixture->log->batch_bytes_max = 700;
    fixture->log->is_holding = true;
    for (int i = 0; i < 300; i++)
        fixture_send(fixture, 0, fixture_name(i));
    fixture_run(fixture, 50);
    fixture->log->is_holding = false;
    // the block the batch stands in is its own; a trim leaves nothing for its halves
    kc_producer_memory_trim(&fixture->producer->memory);
    fixture->client->mem.limit = fixture->client->mem.used + 1000;
    fake_log_release(fixture->log);
    fixture_run(fixture, 50);
    ck_assert_uint_eq(fixture->told_count, 0);
    fixture->client->mem.limit = SIZE_MAX;
    fixture_run(fixture, 5000);
    expect_in_order(fixture, 300);
    fixture_free(fixture);
}
END_TEST
