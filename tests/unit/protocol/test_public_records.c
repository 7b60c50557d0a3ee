/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * <kafkac/records.h>: batches written and read by the public functions alone, and Java's of all
 * magics. */
#include "protocol/batch.h"
#include "protocol/wire.h"
#include "record_vectors.h"

#include <kafkac/records.h>

#include <check.h>
#include <stdlib.h>

/** Three records: plain, without key and value, with headers. */
static kc_bytes write_three(const kc_batch_options *options, kc_arena *arena)
{
    const kc_header headers[] = {
        {KC_STR("trace"), KC_STR("abc")}, {KC_STR(""), KC_NULL}, {KC_STR("trace"), KC_STR("")}};
    const kc_record records[] = {
        {.timestamp_ms = 1000, .key = KC_STR("k"), .value = KC_STR("some value some value")},
        {.timestamp_ms = 900},
        {.timestamp_ms = 2000, .value = KC_STR("v"), .headers = headers, .header_count = 3},
    };
    kc_bytes bytes;
    ck_assert_int_eq(kc_record_batch_write(options, records, 3, arena, &bytes), KC_OK);
    return bytes;
}

static void assert_three(kc_record_batch *batch, int64_t base, int64_t append_time)
{
    kc_view view;
    kc_bytes value;
    for (int i = 0; i < 3; i++) {
        static const int64_t times[] = {1000, 900, 2000};
        ck_assert_int_eq(kc_record_batch_read(batch, &view, NULL), KC_OK);
        ck_assert_int_eq(view.offset, base + i);
        ck_assert_int_eq(view.timestamp_ms, append_time >= 0 ? append_time : times[i]);
        ck_assert(kc_bytes_equal(view.key, i == 0 ? KC_STR("k") : KC_NULL));
    }
    ck_assert_int_eq(view.header_count, 3);
    ck_assert(kc_view_find_header(&view, KC_STR("trace"), &value));
    ck_assert(kc_bytes_equal(value, KC_STR(""))); /* the last wins */
    ck_assert(kc_view_find_header(&view, KC_STR(""), &value));
    ck_assert_ptr_null(value.ptr);
    ck_assert(!kc_view_find_header(&view, KC_STR("none"), &value));
    ck_assert_int_eq(kc_record_batch_read(batch, &view, NULL), KC_ERR_END);
}

START_TEST(what_is_written_reads_back_in_every_compression)
{
    for (int c = KC_COMPRESSION_NONE; c <= KC_COMPRESSION_ZSTD; c++) {
        kc_arena *arena = kc_arena_new(NULL, 0);
        kc_batch_options options = KC_BATCH_OPTIONS_INIT;
        kc_record_batch batch;
        options.compression = (kc_compression)c;
        options.base_offset = 77;
        options.leader_epoch = 5;
        options.producer_id = 4711;
        options.producer_epoch = 3;
        options.base_sequence = 9;
        options.is_transactional = true;
        kc_bytes rest = write_three(&options, arena);
        ck_assert_int_eq(kc_record_batch_next(&rest, true, arena, &batch, NULL), KC_OK);
        ck_assert_int_eq((int)batch.compression, c);
        ck_assert_int_eq(batch.next_offset, 80);
        ck_assert_int_eq(batch.leader_epoch, 5);
        ck_assert_int_eq(batch.producer_id, 4711);
        ck_assert_int_eq(batch.producer_epoch, 3);
        ck_assert_int_eq(batch.base_sequence, 9);
        ck_assert(batch.is_transactional && !batch.is_control && !batch.has_delete_horizon);
        ck_assert_int_eq(batch.max_timestamp_ms, 2000);
        assert_three(&batch, 77, -1);
        ck_assert_int_eq(kc_record_batch_next(&rest, true, arena, &batch, NULL), KC_ERR_END);
        kc_arena_free(arena);
    }
}
END_TEST

START_TEST(with_log_append_time_every_record_has_the_batches_time)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_batch_options options = KC_BATCH_OPTIONS_INIT;
    kc_record_batch batch;
    options.timestamp_type = KC_TIMESTAMP_LOG_APPEND;
    kc_bytes rest = write_three(&options, arena);
    ck_assert_int_eq(kc_record_batch_next(&rest, true, arena, &batch, NULL), KC_OK);
    ck_assert_int_eq(batch.timestamp_type, KC_TIMESTAMP_LOG_APPEND);
    assert_three(&batch, 0, 2000);
    kc_arena_free(arena);
}
END_TEST

START_TEST(a_batch_cut_at_any_byte_is_left_out)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_bytes whole = write_three(NULL, arena);
    for (size_t len = 0; len < whole.len; len++) {
        kc_record_batch batch;
        kc_bytes rest = kc_span(whole.ptr, len);
        ck_assert_int_eq(kc_record_batch_next(&rest, true, arena, &batch, NULL), KC_ERR_END);
        ck_assert_uint_eq(rest.len, len);
    }
    kc_arena_free(arena);
}
END_TEST

static void assert_refused(kc_bytes bytes, bool check_crc, kc_err err, size_t at, const char *path)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_record_batch batch;
    kc_fault fault;
    kc_bytes rest = bytes;
    ck_assert_int_eq(kc_record_batch_next(&rest, check_crc, arena, &batch, &fault), err);
    ck_assert_ptr_eq(rest.ptr, bytes.ptr);
    ck_assert_uint_eq(fault.at, at);
    ck_assert_str_eq(fault.path, path);
    ck_assert_ptr_nonnull(fault.reason);
    kc_arena_free(arena);
}

START_TEST(damage_is_refused_with_the_field_and_the_byte)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_batch_options options = KC_BATCH_OPTIONS_INIT;
    options.compression = KC_COMPRESSION_GZIP;
    kc_bytes whole = write_three(&options, arena);
    uint8_t *b = kc_arena_alloc(arena, whole.len);
    kc_bytes bytes = kc_span(b, whole.len);
    memcpy(b, whole.ptr, whole.len);
    b[40] ^= 1;
    assert_refused(bytes, true, KC_ERR_CRC, KP_BATCH_AT_CRC, "crc");
    b[40] ^= 1;
    b[KP_BATCH_AT_MAGIC] = 3;
    assert_refused(bytes, true, KC_ERR_MALFORMED, KP_BATCH_AT_MAGIC, "magic");
    b[KP_BATCH_AT_MAGIC] = 2;
    kp_store32(b + KP_BATCH_AT_LENGTH, 10);
    assert_refused(bytes, true, KC_ERR_MALFORMED, KP_BATCH_AT_LENGTH, "batchLength");
    kp_store32(b + KP_BATCH_AT_LENGTH, (uint32_t)whole.len - KP_BATCH_OVERHEAD_BYTES);
    kp_store32(b + KP_BATCH_AT_RECORD_COUNT, UINT32_MAX);
    assert_refused(bytes, false, KC_ERR_MALFORMED, KP_BATCH_AT_RECORD_COUNT, "records");
    kp_store32(b + KP_BATCH_AT_RECORD_COUNT, 3);
    kp_store32(b + KP_BATCH_AT_LAST_OFFSET_DELTA, UINT32_MAX);
    assert_refused(bytes, false, KC_ERR_MALFORMED, KP_BATCH_AT_LAST_OFFSET_DELTA,
                   "lastOffsetDelta");
    kp_store32(b + KP_BATCH_AT_LAST_OFFSET_DELTA, 2);
    b[0] = 0xff;
    assert_refused(bytes, false, KC_ERR_MALFORMED, KP_BATCH_AT_BASE_OFFSET, "baseOffset");
    b[0] = 0;
    kp_store32(b + KP_BATCH_AT_LAST_OFFSET_DELTA, INT32_MAX - 1); /* known when decompressed */
    kp_store32(b + KP_BATCH_AT_RECORD_COUNT, INT32_MAX);
    assert_refused(bytes, false, KC_ERR_MALFORMED, KP_BATCH_AT_RECORD_COUNT, "records");
    kp_store32(b + KP_BATCH_AT_LAST_OFFSET_DELTA, 2);
    kp_store32(b + KP_BATCH_AT_RECORD_COUNT, 3);
    b[KP_BATCH_HEADER_BYTES] ^= 0xff;
    assert_refused(bytes, false, KC_ERR_COMPRESSION, KP_BATCH_HEADER_BYTES, "records");
    kc_arena_free(arena);
}
END_TEST

START_TEST(a_malformed_record_is_told_with_its_byte)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_bytes whole = write_three(NULL, arena);
    uint8_t *b = kc_arena_alloc(arena, whole.len);
    kc_record_batch batch;
    kc_view view;
    kc_fault fault;
    memcpy(b, whole.ptr, whole.len);
    b[KP_BATCH_HEADER_BYTES] = 0x7f; /* a negative length */
    kc_bytes rest = kc_span(b, whole.len);
    ck_assert_int_eq(kc_record_batch_next(&rest, false, arena, &batch, NULL), KC_OK);
    ck_assert_int_eq(kc_record_batch_read(&batch, &view, &fault), KC_ERR_MALFORMED);
    ck_assert_uint_eq(fault.at, KP_BATCH_HEADER_BYTES);
    kc_arena_free(arena);
}
END_TEST

START_TEST(a_bomb_ends_at_the_arenas_limit)
{
    enum {
        BYTES = 8 << 20
    };
    kc_arena *arena = kc_arena_new(NULL, 0), *small = kc_arena_new(NULL, 1 << 20);
    uint8_t *zeros = calloc(1, BYTES);
    const kc_record record = {.value = kc_span(zeros, BYTES)};
    for (int c = KC_COMPRESSION_GZIP; c <= KC_COMPRESSION_ZSTD; c++) {
        kc_batch_options options = KC_BATCH_OPTIONS_INIT;
        kc_record_batch batch;
        kc_fault fault;
        kc_bytes rest;
        options.compression = (kc_compression)c;
        ck_assert_int_eq(kc_record_batch_write(&options, &record, 1, arena, &rest), KC_OK);
        kc_err err = kc_record_batch_next(&rest, true, small, &batch, &fault);
        ck_assert_msg(err == KC_ERR_TOO_LARGE, "%s: %d", kc_compression_name(options.compression),
                      err);
        ck_assert_str_eq(fault.path, "records");
        ck_assert_uint_le(kc_arena_used(small), 1 << 20);
        kc_arena_reset(arena);
    }
    free(zeros);
    kc_arena_free(arena);
    kc_arena_free(small);
}
END_TEST

START_TEST(the_highest_offset_that_is_written_is_read)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_batch_options options = KC_BATCH_OPTIONS_INIT;
    kc_record_batch batch;
    options.base_offset = INT64_MAX - 3;
    kc_bytes rest = write_three(&options, arena);
    ck_assert_int_eq(kc_record_batch_next(&rest, true, arena, &batch, NULL), KC_OK);
    ck_assert_int_eq(batch.next_offset, INT64_MAX);
    assert_three(&batch, INT64_MAX - 3, -1);
    kc_arena_free(arena);
}
END_TEST

START_TEST(a_compression_without_a_name_is_refused_also_where_no_record_is_left)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    kc_bytes whole = write_three(NULL, arena);
    uint8_t *b = kc_arena_alloc(arena, KP_BATCH_HEADER_BYTES);
    memcpy(b, whole.ptr, KP_BATCH_HEADER_BYTES);
    kp_store32(b + KP_BATCH_AT_LENGTH, KP_BATCH_HEADER_BYTES - KP_BATCH_OVERHEAD_BYTES);
    kp_store32(b + KP_BATCH_AT_RECORD_COUNT, 0);
    for (uint16_t codec = KC_COMPRESSION_ZSTD + 1; codec <= KP_ATTR_CODEC; codec++) {
        kp_store16(b + KP_BATCH_AT_ATTRIBUTES, codec);
        assert_refused(kc_span(b, KP_BATCH_HEADER_BYTES), false, KC_ERR_UNSUPPORTED,
                       KP_BATCH_HEADER_BYTES, "records");
    }
    kc_arena_free(arena);
}
END_TEST

START_TEST(arguments_out_of_range_are_refused)
{
    kc_arena *arena = kc_arena_new(NULL, 0);
    const kc_record record = {.value = KC_STR("v")};
    kc_batch_options options = KC_BATCH_OPTIONS_INIT;
    kc_bytes bytes;
    kc_compression compression;
    ck_assert_int_eq(kc_record_batch_write(NULL, &record, 0, arena, &bytes), KC_ERR_ARGUMENT);
    options.base_offset = -1;
    ck_assert_int_eq(kc_record_batch_write(&options, &record, 1, arena, &bytes), KC_ERR_ARGUMENT);
    options.base_offset = INT64_MAX; /* no reader takes it: the next offset would be none */
    ck_assert_int_eq(kc_record_batch_write(&options, &record, 1, arena, &bytes), KC_ERR_ARGUMENT);
    options.base_offset = 0;
    options.compression = KC_COMPRESSION_GZIP;
    options.level = 99;
    ck_assert_int_eq(kc_record_batch_write(&options, &record, 1, arena, &bytes), KC_ERR_ARGUMENT);
    ck_assert(kc_compression_by_name(KC_STR("zstd"), &compression));
    ck_assert_int_eq(compression, KC_COMPRESSION_ZSTD);
    ck_assert(!kc_compression_by_name(KC_STR("brotli"), &compression));
    kc_arena_free(arena);
}
END_TEST
