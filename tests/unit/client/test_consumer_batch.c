/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Batches as they are handed out: checked, decompressed, filtered, read. */
#include "protocol/compress.h"
#include "protocol/wire.h"
#include "tests/unit/client/consumer_world.h"
#include "tests/unit/protocol/message_set_write.h"

START_TEST(all_codecs_are_read)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    for (kp_codec codec = KP_CODEC_NONE; codec < KP_CODEC_COUNT; codec++)
        world_append(log, 200, codec);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 1000, 2000), 1000);
    kc_consumer_stats stats;
    kc_consumer_stats_get(w.consumer, &stats);
    ck_assert_uint_eq(stats.buffered_bytes, 0);
    world_stop(&w);
}
END_TEST

START_TEST(a_view_has_all_parts_of_a_record)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    uint8_t data[512];
    kp_batch_writer writer;
    kc_header headers[] = {
        {KC_STR("a"), KC_STR("1")}, {KC_STR("b"), KC_NULL}, {KC_STR("a"), KC_STR("2")}};
    kp_batch_writer_init(&writer, data, sizeof data);
    ck_assert(kp_batch_append(&writer, 77, KC_NULL, KC_STR("x"), headers, 3));
    ck_assert(kp_batch_append(&writer, 78, KC_STR("key"), KC_NULL, NULL, 0));
    size_t len = kp_batch_finish(&writer);
    kp_batch_seal(data, len, NULL);
    kp_store32(data + KP_BATCH_AT_LEADER_EPOCH, 4);
    world_append_raw(log, kc_span(data, len), 2);
    world_assign(&w, 1, 0);
    world_run(&w, 50);
    kc_batch *batch = world_next(&w);
    ck_assert_ptr_nonnull(batch);
    ck_assert(kc_bytes_equal(kc_batch_topic(batch), KC_STR("t")));
    ck_assert_int_eq(kc_batch_partition(batch), 0);
    ck_assert_int_eq(kc_batch_next_offset(batch), 2);
    ck_assert_int_eq(kc_batch_high_watermark(batch), 2);
    kc_view view;
    ck_assert(kc_batch_read(batch, &view));
    ck_assert_int_eq(view.offset, 0);
    ck_assert_int_eq(view.timestamp_ms, 77);
    ck_assert_int_eq(view.timestamp_type, KC_TIMESTAMP_CREATE);
    ck_assert_int_eq(view.leader_epoch, 4);
    ck_assert_ptr_null(view.key.ptr);
    ck_assert_int_eq(view.header_count, 3);
    kc_bytes value;
    ck_assert(kc_view_find_header(&view, KC_STR("a"), &value));
    ck_assert(kc_bytes_equal(value, KC_STR("2")));
    ck_assert(kc_view_find_header(&view, KC_STR("b"), &value));
    ck_assert_ptr_null(value.ptr);
    ck_assert(!kc_view_find_header(&view, KC_STR("c"), &value));
    ck_assert(kc_batch_read(batch, &view));
    ck_assert_ptr_null(view.value.ptr);
    ck_assert(kc_bytes_equal(view.key, KC_STR("key")));
    ck_assert(!kc_batch_read(batch, &view));
    ck_assert(!kc_batch_read(batch, &view));
    kc_batch_free(batch);
    world_stop(&w);
}
END_TEST

/* Trap 19. */
START_TEST(the_position_goes_past_empty_and_control_batches)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 2, KP_CODEC_NONE);
    world_append_empty(log, 10);
    world_append_marker(log, 7, 1);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 2, 200), 2);
    ck_assert_int_eq(world_position(&w, 0), 13);
    world_append(log, 1, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 1, 2000), 1);
    ck_assert_int_eq(w.last_offset, 14);
    world_stop(&w);
}
END_TEST

/* Trap 20. */
START_TEST(records_in_front_of_the_fetch_offset_are_dropped)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_append(world_log_of(&w, "t", 0), 10, KP_CODEC_NONE);
    world_append(world_log_of(&w, "t", 0), 10, KP_CODEC_GZIP);
    world_assign(&w, 1, 7);
    ck_assert_int_eq(world_read_until(&w, 13, 500), 13);
    ck_assert_int_eq(kc_consumer_seek(w.consumer, KC_STR("t"), 0, 15), KC_OK);
    ck_assert_int_eq(world_read_until(&w, 5, 2000), 5);
    world_stop(&w);
}
END_TEST

/* Trap 22, both levels; trap 23. */
START_TEST(read_uncommitted_hands_out_all_but_control_records)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append_from(log, 3, 7, KP_ATTR_TRANSACTIONAL);
    world_append_marker(log, 7, 0);
    world_append_from(log, 2, 7, KP_ATTR_TRANSACTIONAL);
    world_append_marker(log, 7, 1);
    log->aborted[0] = (kp_fetch_resp_aborted_transaction){.producer_id = 7, .first_offset = 0};
    log->aborted_count = 1;
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 5, 500), 5);
    ck_assert_int_eq(world_position(&w, 0), 7);
    world_stop(&w);
}
END_TEST

START_TEST(read_committed_leaves_out_aborted_transactions)
{
    world w;
    const char *settings[] = {"isolation.level", "read_committed", NULL};
    world_start(&w, 1, 1, settings);
    world_log *log = world_log_of(&w, "t", 0);
    world_append_from(log, 1, 9, KP_ATTR_TRANSACTIONAL); /* 0: 9 will abort  */
    world_append_from(log, 1, 7, KP_ATTR_TRANSACTIONAL); /* 1: 7 will commit */
    world_append_from(log, 1, 8, KP_ATTR_TRANSACTIONAL); /* 2: 8 will abort  */
    world_append(log, 1, KP_CODEC_NONE);                 /* 3                */
    world_append_marker(log, 9, 0);                      /* 4                */
    world_append_from(log, 1, 9, KP_ATTR_TRANSACTIONAL); /* 5: 9 anew        */
    world_append_marker(log, 7, 1);                      /* 6                */
    world_append_from(log, 1, 8, KP_ATTR_TRANSACTIONAL); /* 7: still aborted */
    world_append_marker(log, 8, 0);                      /* 8                */
    world_append_marker(log, 9, 1);                      /* 9                */
    world_append_marker(log, 99, 0);     /* 10: no entry in the list, as it began before */
    world_append(log, 1, KP_CODEC_NONE); /* 11               */
    /* not sorted, as some brokers do it */
    log->aborted[0] = (kp_fetch_resp_aborted_transaction){.producer_id = 8, .first_offset = 2};
    log->aborted[1] = (kp_fetch_resp_aborted_transaction){.producer_id = 9, .first_offset = 0};
    log->aborted_count = 2;
    world_assign(&w, 1, 0);
    int64_t offsets[8];
    int count = 0;
    world_run(&w, 50);
    kc_batch *batch;
    while ((batch = world_next(&w))) {
        kc_view view;
        while (kc_batch_read(batch, &view))
            offsets[count++] = view.offset;
        kc_batch_free(batch);
    }
    ck_assert_int_eq(count, 4);
    ck_assert_int_eq(offsets[0], 1);
    ck_assert_int_eq(offsets[1], 3);
    ck_assert_int_eq(offsets[2], 5);
    ck_assert_int_eq(offsets[3], 11);
    ck_assert_int_eq(world_position(&w, 0), 12);
    world_stop(&w);
}
END_TEST

/* Librdkafka 1.7: an empty aborted transaction hid committed records. */
START_TEST(an_aborted_transaction_without_records_hides_nothing)
{
    world w;
    const char *settings[] = {"isolation.level", "read_committed", NULL};
    world_start(&w, 1, 1, settings);
    world_log *log = world_log_of(&w, "t", 0);
    world_append_marker(log, 7, 0);
    world_append_from(log, 3, 7, KP_ATTR_TRANSACTIONAL);
    world_append_marker(log, 7, 1);
    log->aborted[0] = (kp_fetch_resp_aborted_transaction){.producer_id = 7, .first_offset = 0};
    log->aborted_count = 1;
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 3, 500), 3);
    world_stop(&w);
}
END_TEST

/* Trap 24. */
START_TEST(log_append_time_is_the_batches_maximum)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 3, KP_CODEC_NONE);
    uint8_t *batch_bytes = world_batch(log, 0);
    kp_store16(batch_bytes + KP_BATCH_AT_ATTRIBUTES, KP_ATTR_LOG_APPEND_TIME);
    kp_store64(batch_bytes + KP_BATCH_AT_MAX_TIMESTAMP, 424242);
    world_reseal(log, 0);
    world_assign(&w, 1, 0);
    world_run(&w, 50);
    kc_batch *batch = world_next(&w);
    kc_view view;
    for (int i = 0; i < 3; i++) {
        ck_assert(kc_batch_read(batch, &view));
        ck_assert_int_eq(view.timestamp_ms, 424242);
        ck_assert_int_eq(view.timestamp_type, KC_TIMESTAMP_LOG_APPEND);
    }
    kc_batch_free(batch);
    world_stop(&w);
}
END_TEST

/* Trap 26. */
START_TEST(a_wrong_checksum_is_told_once_and_fetched_again_with_backoff)
{
    world w;
    const char *settings[] = {"max.partition.fetch.bytes", "100",
                              NULL}; /* so that no Fetch waits */
    world_start(&w, 1, 1, settings);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 3, KP_CODEC_NONE);
    world_append(log, 3, KP_CODEC_NONE);
    world_batch(log, 1)[70] ^= 1;
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 6, 1000), 3);
    ck_assert_int_eq(world_position(&w, 0), 3);
    ck_assert_int_eq(world_events(&w, 'E'), 1);
    ck_assert_int_eq(world_last(&w, 'E')->code, KC_ERR_CRC);
    uint32_t fetches = fake_count(w.cluster, 0, KP_API_FETCH);
    ck_assert_uint_ge(fetches, 3);
    ck_assert_uint_le(fetches, 10);
    world_batch(log, 1)[70] ^= 1;
    ck_assert_int_eq(world_read_until(&w, 3, 3000), 3);
    world_stop(&w);
}
END_TEST

START_TEST(checksums_are_not_looked_at_with_check_crcs_false)
{
    world w;
    const char *settings[] = {"check.crcs", "false", NULL};
    world_start(&w, 1, 1, settings);
    world_append(world_log_of(&w, "t", 0), 3, KP_CODEC_NONE);
    world_batch(world_log_of(&w, "t", 0), 0)[KP_BATCH_AT_CRC] ^= 1;
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 3, 1000), 3);
    world_stop(&w);
}
END_TEST

/* Trap 27. */
START_TEST(a_decompression_bomb_ends_at_its_limit_and_stops_the_partition)
{
    world w;
    const char *settings[] = {"decompressed.bytes.max", "2000", NULL};
    world_start(&w, 1, 1, settings);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 1, KP_CODEC_NONE);
    world_append(log, 500, KP_CODEC_GZIP);
    world_append(log, 1, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 3, 2000), 1);
    ck_assert_int_eq(world_events(&w, 'E'), 1);
    ck_assert_int_eq(world_last(&w, 'E')->code, KC_ERR_TOO_LARGE);
    ck_assert_int_eq(world_position(&w, 0), 1);
    uint32_t fetches = fake_count(w.cluster, 0, KP_API_FETCH);
    world_run(&w, 2000);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_FETCH), fetches);
    ck_assert_int_eq(kc_consumer_seek(w.consumer, KC_STR("t"), 0, 501), KC_OK);
    ck_assert_int_eq(world_read_until(&w, 1, 2000), 1);
    world_stop(&w);
}
END_TEST

START_TEST(bytes_that_do_not_decompress_are_told_and_do_not_spin)
{
    world w;
    const char *settings[] = {"max.partition.fetch.bytes", "100", NULL};
    world_start(&w, 1, 1, settings);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 300, KP_CODEC_GZIP);
    world_batch(log, 0)[KP_BATCH_HEADER_BYTES + 20] ^= 0xff;
    world_reseal(log, 0);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 1, 1000), 0);
    ck_assert_int_eq(world_events(&w, 'E'), 1);
    ck_assert_uint_le(fake_count(w.cluster, 0, KP_API_FETCH), 10);
    world_stop(&w);
}
END_TEST

START_TEST(a_malformed_record_ends_its_batch_and_stops_the_partition_there)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 3, KP_CODEC_NONE);
    world_append(log, 3, KP_CODEC_NONE);
    /* The second record's length: 4 one-byte fields before the key. */
    uint8_t *bytes = world_batch(log, 0) + KP_BATCH_HEADER_BYTES;
    bytes += 1 + bytes[0] / 2;
    bytes[0] = 0x7f;
    world_reseal(log, 0);
    world_assign(&w, 1, 0);
    world_run(&w, 50);
    kc_batch *first = world_next(&w);
    kc_batch *second = world_next(&w);
    kc_view view;
    ck_assert(kc_batch_read(first, &view));
    ck_assert(!kc_batch_read(first, &view));
    ck_assert_int_eq(kc_batch_next_offset(first), 1);
    ck_assert(kc_batch_is_current(first));
    ck_assert(!kc_batch_is_current(second));
    ck_assert_int_eq(world_position(&w, 0), 1);
    kc_batch_free(first);
    kc_batch_free(second);
    world_run(&w, 2000);
    ck_assert_int_eq(world_events(&w, 'E'), 1);
    ck_assert_ptr_null(world_next(&w));
    ck_assert_int_eq(kc_consumer_seek(w.consumer, KC_STR("t"), 0, 3), KC_OK);
    ck_assert_int_eq(world_read_until(&w, 3, 2000), 3);
    world_stop(&w);
}
END_TEST

START_TEST(lengths_that_can_not_be_are_told_and_do_not_spin)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 3, KP_CODEC_NONE);
    world_append(log, 3, KP_CODEC_NONE);
    kp_store32(world_batch(log, 1) + KP_BATCH_AT_LENGTH, 0x80000000);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 6, 1000), 3);
    ck_assert_int_eq(world_last(&w, 'E')->code, KC_ERR_MALFORMED);
    ck_assert_uint_le(fake_count(w.cluster, 0, KP_API_FETCH), 10);
    world_stop(&w);
}
END_TEST

static void put_old(kb_buf *out, int64_t offset, int8_t magic, const char *value)
{
    old_message_put(
        out, &(old_message){
                 .offset = offset, .magic = magic, .timestamp = 5000, .value = kc_str(value)});
}

START_TEST(message_sets_of_old_brokers_are_read)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    kb_buf out;
    kb_buf_init(&out, &w.cluster->mem, 0);
    put_old(&out, 0, 0, "v0");
    world_append_raw(log, kb_buf_bytes(&out), 1);
    kb_buf_reset(&out);
    put_old(&out, 1, 1, "v1");
    world_append_raw(log, kb_buf_bytes(&out), 2);
    kb_buf_reset(&out);
    put_old(&out, 0, 1, "v2");
    put_old(&out, 1, 1, "v3");
    put_old(&out, 2, 1, "v4");
    old_message_wrap(
        &out,
        &(old_message){.offset = 4, .magic = 1, .attributes = KP_CODEC_GZIP, .timestamp = 5000});
    world_append_raw(log, kb_buf_bytes(&out), 5);
    world_append(log, 2, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 7, 1000), 7);
    ck_assert_int_eq(world_position(&w, 0), 7);
    /* From the middle of the compressed one, too. */
    ck_assert_int_eq(kc_consumer_seek(w.consumer, KC_STR("t"), 0, 3), KC_OK);
    ck_assert_int_eq(world_read_until(&w, 4, 2000), 4);
    kb_buf_cleanup(&out);
    world_stop(&w);
}
END_TEST

START_TEST(a_batch_of_before_a_seek_is_not_current)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    world_run(&w, 50);
    kc_batch *batch = world_next(&w);
    ck_assert(kc_batch_is_current(batch));
    ck_assert_int_eq(kc_consumer_seek(w.consumer, KC_STR("t"), 0, 0), KC_OK);
    ck_assert(!kc_batch_is_current(batch));
    kc_view view;
    ck_assert(kc_batch_read(batch, &view)); /* but still readable */
    kc_batch_free(batch);
    world_stop(&w);
}
END_TEST

START_TEST(batches_outlive_the_consumer_and_the_client)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_append(world_log_of(&w, "t", 0), 100, KP_CODEC_NONE);
    world_append(world_log_of(&w, "t", 0), 100, KP_CODEC_GZIP);
    world_assign(&w, 1, 0);
    world_run(&w, 50);
    kc_batch *plain = world_next(&w);
    kc_batch *packed = world_next(&w);
    kc_consumer_close(w.consumer, 0);
    w.consumer = NULL;
    kc_view view;
    ck_assert(!kc_batch_is_current(plain));
    ck_assert(kc_batch_read(plain, &view));
    ck_assert(kc_bytes_equal(view.value, KC_STR("v0")));
    kc_client_free(w.client);
    w.client = NULL;
    ck_assert(kc_batch_read(packed, &view));
    ck_assert(kc_bytes_equal(view.value, KC_STR("v100")));
    ck_assert(kc_bytes_equal(kc_batch_topic(packed), KC_STR("t")));
    kc_batch_free(plain);
    kc_batch_free(packed);
    world_stop(&w);
}
END_TEST
