/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * protocol/batch, reading: what the Java client writes, and every way a batch can be broken. */
#include "batch_expect.h"
#include "protocol/base/rand.h"
#include "protocol/wire.h"

#include <stdio.h>

static const struct {
    const char *hex;
    kp_codec codec;
} codec_vectors[] = {
    {VECTOR_V2_NONE, KP_CODEC_NONE}, {VECTOR_V2_GZIP, KP_CODEC_GZIP},
    {VECTOR_V2_LZ4, KP_CODEC_LZ4},   {VECTOR_V2_SNAPPY, KP_CODEC_SNAPPY},
    {VECTOR_V2_ZSTD, KP_CODEC_ZSTD},
};

START_TEST(batches_of_the_java_client_are_read_in_every_codec)
{
    begin();
    for (size_t i = 0; i < 5; i++) {
        kc_bytes bytes = vector_bytes(&mem, codec_vectors[i].hex);
        kc_bytes rest = bytes;
        kp_batch b;
        ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
        ck_assert_uint_eq(rest.len, 0);
        ck_assert_int_eq(kp_batch_codec(&b), codec_vectors[i].codec);
        ck_assert_int_eq(b.base_offset, 100);
        ck_assert_int_eq(b.leader_epoch, 7);
        ck_assert_int_eq(b.magic, 2);
        ck_assert_int_eq(b.last_offset_delta, 3);
        ck_assert_int_eq(b.base_timestamp, TIME);
        ck_assert_int_eq(b.max_timestamp, TIME + 100000);
        ck_assert_int_eq(b.producer_id, 4711);
        ck_assert_int_eq(b.producer_epoch, 3);
        ck_assert_int_eq(b.base_sequence, 42);
        ck_assert_int_eq(b.record_count, 4);
        ck_assert_int_eq(kp_batch_next_offset(&b), 104);
        ck_assert_ptr_eq(b.bytes.ptr, bytes.ptr);
        ck_assert_uint_eq(b.bytes.len, bytes.len);
        if (kp_codec_is_built(codec_vectors[i].codec))
            expect_vector_records(&b, vector_times);
        ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_ERR_END);
        vector_free(&mem, bytes);
    }
    finish();
}
END_TEST

START_TEST(with_log_append_time_every_record_has_the_time_of_the_batch)
{
    begin();
    kc_bytes bytes = vector_bytes(&mem, VECTOR_V2_TXN_APPEND);
    kc_bytes rest = bytes;
    kp_batch b;
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
    ck_assert_int_eq(b.attributes, KP_ATTR_TRANSACTIONAL | KP_ATTR_LOG_APPEND_TIME);
    const int64_t t = INT64_C(1700000123456);
    expect_vector_records(&b, (const int64_t[4]){t, t, t, t});
    vector_free(&mem, bytes);
    finish();
}
END_TEST

START_TEST(with_a_delete_horizon_the_records_keep_their_times)
{
    begin();
    kc_bytes bytes = vector_bytes(&mem, VECTOR_V2_HORIZON);
    kc_bytes rest = bytes;
    kp_batch b;
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
    ck_assert_int_eq(b.attributes, KP_ATTR_DELETE_HORIZON);
    ck_assert_int_eq(b.base_timestamp, INT64_C(1800000000000));
    expect_vector_records(&b, vector_times);
    vector_free(&mem, bytes);
    finish();
}
END_TEST

START_TEST(control_batches_tell_commit_and_abort)
{
    static const char *const markers[] = {VECTOR_V2_ABORT, VECTOR_V2_COMMIT};
    begin();
    for (int type = 0; type < 2; type++) {
        kc_bytes bytes = vector_bytes(&mem, markers[type]);
        kc_bytes rest = bytes;
        kp_batch b;
        kp_record_iter iter;
        kp_record r;
        ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
        ck_assert_int_eq(b.attributes, KP_ATTR_TRANSACTIONAL | KP_ATTR_CONTROL);
        kp_record_iter_init(&iter, &b, b.records);
        ck_assert_int_eq(kp_record_next(&iter, &r), KC_OK);
        ck_assert_int_eq(kp_control_type(r.key), type);
        ck_assert_int_eq(kp_record_next(&iter, &r), KC_ERR_END);
        vector_free(&mem, bytes);
    }
    finish();
}
END_TEST

START_TEST(a_control_key_that_is_short_or_negative_has_no_type)
{
    ck_assert_int_eq(kp_control_type(KC_NULL), -1);
    ck_assert_int_eq(kp_control_type(kc_span("\0\0\0", 3)), -1);
    ck_assert_int_eq(kp_control_type(kc_span("\xff\xff\0\1", 4)), -1);
    ck_assert_int_eq(kp_control_type(kc_span("\0\0\xff\xfe", 4)), -1);
    ck_assert_int_eq(kp_control_type(kc_span("\0\x09\0\6longer", 10)), 6);
}
END_TEST

START_TEST(an_emptied_batch_has_no_record_and_moves_the_offset)
{
    begin();
    kc_bytes bytes = vector_bytes(&mem, VECTOR_V2_EMPTY);
    kc_bytes rest = bytes;
    kp_batch b;
    kp_record_iter iter;
    kp_record r;
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
    ck_assert_int_eq(b.record_count, 0);
    ck_assert_int_eq(kp_batch_next_offset(&b), 1010);
    kp_record_iter_init(&iter, &b, b.records);
    ck_assert_int_eq(kp_record_next(&iter, &r), KC_ERR_END);
    /* the same with a codec in its attributes: nothing to decompress */
    b.attributes |= KP_CODEC_GZIP;
    kc_bytes records;
    ck_assert_int_eq(kp_batch_plain(&b, &scratch, &records), KC_OK);
    kp_record_iter_init(&iter, &b, records);
    ck_assert_int_eq(kp_record_next(&iter, &r), KC_ERR_END);
    vector_free(&mem, bytes);
    finish();
}
END_TEST

START_TEST(several_batches_in_a_row_are_taken_one_by_one)
{
    begin();
    kb_buf all;
    kb_buf_init(&all, &mem, 0);
    for (size_t i = 0; i < 5; i++) {
        kc_bytes bytes = vector_bytes(&mem, codec_vectors[i].hex);
        kb_buf_put_bytes(&all, bytes);
        vector_free(&mem, bytes);
    }
    kc_bytes part = vector_bytes(&mem, VECTOR_V2_NONE);
    kb_buf_put(&all, part.ptr, 40);
    vector_free(&mem, part);
    kc_bytes rest = kb_buf_bytes(&all);
    kp_batch b;
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
        ck_assert_int_eq(kp_batch_codec(&b), codec_vectors[i].codec);
    }
    ck_assert_uint_eq(rest.len, 40);
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_ERR_END);
    ck_assert_uint_eq(rest.len, 40);
    kb_buf_cleanup(&all);
    finish();
}
END_TEST

/* ---- broken batches ---- */

START_TEST(a_batch_cut_at_any_byte_is_left_for_later)
{
    begin();
    for (size_t i = 0; i < 5; i++) {
        kc_bytes whole = vector_bytes(&mem, codec_vectors[i].hex);
        for (size_t len = 0; len < whole.len; len++) {
            kc_bytes part = vector_cut(&mem, whole, len);
            kc_bytes rest = part;
            kp_batch b;
            ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_ERR_END);
            ck_assert_ptr_eq(rest.ptr, part.ptr);
            ck_assert_uint_eq(rest.len, len);
            vector_free(&mem, part);
        }
        vector_free(&mem, whole);
    }
    finish();
}
END_TEST

/* How reading all of a batch's records ends; never with all four. */
static kc_err read_all(const kp_batch *batch, kc_bytes records)
{
    kp_record_iter iter;
    kp_record r;
    kc_err err;
    int count = 0;
    kp_record_iter_init(&iter, batch, records);
    while ((err = kp_record_next(&iter, &r)) == KC_OK)
        count++;
    ck_assert_int_lt(count, 4);
    return err;
}

START_TEST(records_cut_at_any_byte_are_malformed)
{
    begin();
    for (size_t i = 0; i < 5; i++) {
        kc_bytes whole = vector_bytes(&mem, codec_vectors[i].hex);
        kc_bytes rest = whole;
        kc_bytes records;
        kp_batch b;
        ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
        if (kp_codec_is_built(codec_vectors[i].codec)) {
            ck_assert_int_eq(kp_batch_plain(&b, &scratch, &records), KC_OK);
            for (size_t len = 0; len < records.len; len++) {
                kc_bytes part = vector_cut(&mem, records, len);
                ck_assert_int_eq(read_all(&b, part), KC_ERR_MALFORMED);
                vector_free(&mem, part);
            }
        }
        vector_free(&mem, whole);
    }
    finish();
}
END_TEST

START_TEST(a_batch_cut_at_any_byte_whose_length_says_so_is_refused)
{
    begin();
    for (size_t i = 0; i < 5; i++) {
        kp_codec codec = codec_vectors[i].codec;
        kc_bytes whole = vector_bytes(&mem, codec_vectors[i].hex);
        for (size_t len = KP_BATCH_AT_MAGIC + 1; len < whole.len; len++) {
            kc_bytes part = vector_cut(&mem, whole, len);
            kc_bytes rest = part;
            kc_bytes records;
            kp_batch b;
            bool has_header = len >= KP_BATCH_HEADER_BYTES;
            kp_store32((uint8_t *)(uintptr_t)part.ptr + KP_BATCH_AT_LENGTH,
                       (uint32_t)len - KP_BATCH_OVERHEAD_BYTES);
            ck_assert_int_eq(kp_batch_next(&rest, true, &b),
                             has_header ? KC_ERR_CRC : KC_ERR_MALFORMED);
            rest = part;
            kc_err err = kp_batch_next(&rest, false, &b);
            if (err == KC_OK)
                err = kp_batch_plain(&b, &scratch, &records);
            /* without a codec the end of the records tells, and after xerial's bare header */
            if (err == KC_OK)
                err = read_all(&b, records);
            bool is_packed = has_header && codec != KP_CODEC_NONE &&
                             !(codec == KP_CODEC_SNAPPY && len == KP_BATCH_HEADER_BYTES + 16);
            if (is_packed && !kp_codec_is_built(codec))
                ck_assert_int_eq(err, KC_ERR_UNSUPPORTED);
            else
                ck_assert_int_eq(err, is_packed ? KC_ERR_COMPRESSION : KC_ERR_MALFORMED);
            vector_free(&mem, part);
        }
        vector_free(&mem, whole);
    }
    finish();
}
END_TEST

/* Walk all there is. Returns the records seen. */
static int walk(kc_bytes bytes, bool check_crc)
{
    kp_batch b;
    int count = 0;
    for (int batches = 0; batches < 10; batches++) {
        kc_err err = kp_batch_next(&bytes, check_crc, &b);
        kp_record_iter iter;
        kp_record r;
        kc_bytes records;
        if (err != KC_OK)
            break;
        ck_assert_int_ge(kp_batch_next_offset(&b), 1);
        if (kp_batch_plain(&b, &scratch, &records) != KC_OK)
            continue;
        kp_record_iter_init(&iter, &b, records);
        while (kp_record_next(&iter, &r) == KC_OK) {
            kc_header header;
            int32_t headers = 0;
            ck_assert(r.offset >= b.base_offset && r.offset < kp_batch_next_offset(&b));
            while (kp_header_next(&r.headers_raw, &header) == KC_OK)
                headers++;
            ck_assert_int_eq(headers, r.header_count);
            count++;
        }
    }
    return count;
}

START_TEST(a_flipped_bit_is_found_by_the_checksum)
{
    begin();
    for (size_t i = 0; i < 5; i++) {
        kc_bytes bytes = vector_bytes(&mem, codec_vectors[i].hex);
        uint8_t *data = (uint8_t *)(uintptr_t)bytes.ptr;
        for (size_t bit = KP_BATCH_AT_CRC * 8; bit < bytes.len * 8; bit++) {
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            kc_bytes rest = bytes;
            kp_batch b;
            ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_ERR_CRC);
            ck_assert_uint_eq(rest.len, 0); /* to be able to go on behind it */
            ck_assert_int_eq(b.base_offset, 100);
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        vector_free(&mem, bytes);
    }
    finish();
}
END_TEST

START_TEST(flipped_bits_never_crash_with_the_checksum_off)
{
    static const char *const more[] = {VECTOR_V2_TXN_APPEND, VECTOR_V2_HORIZON, VECTOR_V2_COMMIT,
                                       VECTOR_V2_EMPTY};
    begin();
    scratch.limit = 65536;
    for (size_t i = 0; i < 9; i++) {
        kc_bytes bytes = vector_bytes(&mem, i < 5 ? codec_vectors[i].hex : more[i - 5]);
        uint8_t *data = (uint8_t *)(uintptr_t)bytes.ptr;
        for (size_t bit = 0; bit < bytes.len * 8; bit++) {
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            ck_assert_int_le(walk(bytes, false), 64);
            ck_assert_int_le(walk(bytes, true), 4);
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        vector_free(&mem, bytes);
    }
    finish();
}
END_TEST

START_TEST(random_damage_never_crashes_with_the_checksum_off)
{
    begin();
    scratch.limit = 65536;
    kb_rand rand;
    kb_rand_init(&rand, 11);
    for (int round = 0; round < 20000; round++) {
        kc_bytes bytes = vector_bytes(&mem, codec_vectors[round % 5].hex);
        uint8_t *data = (uint8_t *)(uintptr_t)bytes.ptr;
        uint64_t changes = 1 + kb_rand_below(&rand, 6);
        for (uint64_t i = 0; i < changes; i++)
            data[KP_BATCH_AT_ATTRIBUTES +
                 kb_rand_below(&rand, bytes.len - KP_BATCH_AT_ATTRIBUTES)] =
                (uint8_t)kb_rand_u64(&rand);
        (void)walk(bytes, false);
        vector_free(&mem, bytes);
    }
    finish();
}
END_TEST

START_TEST(header_fields_out_of_range_are_malformed)
{
    static const struct {
        size_t at;
        size_t width;
        uint64_t value;
        kc_err err;
    } cases[] = {
        {KP_BATCH_AT_LENGTH, 4, (uint32_t)-1, KC_ERR_MALFORMED},
        {KP_BATCH_AT_LENGTH, 4, 0x80000000, KC_ERR_MALFORMED},
        {KP_BATCH_AT_LENGTH, 4, 0, KC_ERR_MALFORMED},
        {KP_BATCH_AT_LENGTH, 4, 48, KC_ERR_MALFORMED},
        {KP_BATCH_AT_LENGTH, 4, 49, KC_ERR_MALFORMED}, /* four records in no bytes */
        {KP_BATCH_AT_LENGTH, 4, INT32_MAX, KC_ERR_END},
        {KP_BATCH_AT_MAGIC, 1, 0, KC_ERR_UNSUPPORTED},
        {KP_BATCH_AT_MAGIC, 1, 1, KC_ERR_UNSUPPORTED},
        {KP_BATCH_AT_MAGIC, 1, 3, KC_ERR_MALFORMED},
        {KP_BATCH_AT_MAGIC, 1, 0xff, KC_ERR_MALFORMED},
        {KP_BATCH_AT_BASE_OFFSET, 8, UINT64_MAX, KC_ERR_MALFORMED},
        {KP_BATCH_AT_BASE_OFFSET, 8, INT64_MAX, KC_ERR_MALFORMED},
        {KP_BATCH_AT_BASE_OFFSET, 8, INT64_MAX - 3, KC_ERR_MALFORMED}, /* no next offset */
        {KP_BATCH_AT_BASE_OFFSET, 8, INT64_MAX - 4, KC_OK},
        {KP_BATCH_AT_LAST_OFFSET_DELTA, 4, (uint32_t)-1, KC_ERR_MALFORMED},
        {KP_BATCH_AT_LAST_OFFSET_DELTA, 4, 2, KC_ERR_MALFORMED}, /* below the count */
        {KP_BATCH_AT_LAST_OFFSET_DELTA, 4, 1000, KC_OK},         /* compaction */
        {KP_BATCH_AT_RECORD_COUNT, 4, (uint32_t)-1, KC_ERR_MALFORMED},
        {KP_BATCH_AT_RECORD_COUNT, 4, 5, KC_ERR_MALFORMED},
        {KP_BATCH_AT_RECORD_COUNT, 4, 3, KC_OK},
    };
    begin();
    kc_bytes bytes = vector_bytes(&mem, VECTOR_V2_NONE);
    uint8_t *data = (uint8_t *)(uintptr_t)bytes.ptr;
    uint8_t saved[KP_BATCH_HEADER_BYTES];
    memcpy(saved, data, sizeof saved);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t k = 0; k < cases[i].width; k++)
            data[cases[i].at + k] = (uint8_t)(cases[i].value >> 8 * (cases[i].width - 1 - k));
        kc_bytes rest = bytes;
        kp_batch b;
        ck_assert_int_eq(kp_batch_next(&rest, false, &b), cases[i].err);
        ck_assert_uint_eq(rest.len, cases[i].err == KC_OK ? 0 : bytes.len);
        memcpy(data, saved, sizeof saved);
    }
    vector_free(&mem, bytes);
    finish();
}
END_TEST

START_TEST(a_negative_count_is_malformed_in_a_compressed_batch_too)
{
    begin();
    kc_bytes bytes = vector_bytes(&mem, VECTOR_V2_GZIP);
    kp_store32((uint8_t *)(uintptr_t)bytes.ptr + KP_BATCH_AT_RECORD_COUNT, UINT32_MAX);
    kc_bytes rest = bytes;
    kp_batch b;
    ck_assert_int_eq(kp_batch_next(&rest, false, &b), KC_ERR_MALFORMED);
    vector_free(&mem, bytes);
    finish();
}
END_TEST

START_TEST(the_count_of_a_batch_is_bounded_by_its_bytes)
{
    begin();
    kc_bytes bytes = vector_bytes(&mem, VECTOR_V2_NONE);
    uint8_t *data = (uint8_t *)(uintptr_t)bytes.ptr;
    kp_store32(data + KP_BATCH_AT_LAST_OFFSET_DELTA, INT32_MAX);
    uint32_t most = (uint32_t)(bytes.len - KP_BATCH_HEADER_BYTES) / 7;
    for (uint32_t count = most; count <= most + 1; count++) {
        kp_store32(data + KP_BATCH_AT_RECORD_COUNT, count);
        kc_bytes rest = bytes;
        kp_batch b;
        ck_assert_int_eq(kp_batch_next(&rest, false, &b), count == most ? KC_OK : KC_ERR_MALFORMED);
    }
    vector_free(&mem, bytes);
    finish();
}
END_TEST

/* One batch, base offset 1000, last offset delta 5, `count` records that are `hex`. */
static kc_err first_record(const char *hex, int32_t count, kp_record *record)
{
    kc_bytes records = vector_bytes(&mem, hex);
    kp_batch b = {.base_offset = 1000, .last_offset_delta = 5, .record_count = count};
    kp_record_iter iter;
    kp_record_iter_init(&iter, &b, records);
    kc_err err = kp_record_next(&iter, record);
    while (err == KC_OK && (err = kp_record_next(&iter, record)) == KC_OK)
        ;
    vector_free(&mem, records);
    return err;
}

START_TEST(malformed_records_are_refused)
{
    static const char *const broken[] = {
        "",                                       // nothing
        "0c",                                     // a length and no more
        "0c0000000101",                           // cut short
        "0a0000000101",                           // shorter than any record
        "0b000000010100",                         // negative length
        "0e00000001010000",                       // a byte behind the header count
        "0c00000001010000",                       // a byte behind the last record
        "0c00000c010100",                         // offset delta 6, above the last
        "0c000001010100",                         // offset delta -1
        "0d000000010100",                         // length -7
        "0e00000003610100",                       // key length -2, and a byte
        "0e00000001036100",                       // value length -2, and a byte
        "1400000001018080808020",                 // header count 2^32
        "24000000011861616161616161616161616180", // a varint cut off at the end
        "0c000000030100",                         // key length -2
        "0c000000010300",                         // value length -2
        "0c000000060100",                         // key longer than the record
        "0c000000040100",                         // the key takes it all
        "0c000000010200",                         // value in the place of the count
        "0c000000010101",                         // header count -1
        "0c000000010102",                         // a header, and no byte for it
        "100000000101020101",                     // a header without a name
        "100000000101020003",                     // header value length -2
        "12000000010102000100",                   // a byte behind the header
        "100000000101040001",                     // two headers, bytes for one
        "200000000100feffffff0f000000000000",     // 2^31-1 headers
        "feffffff0f000000010100",                 // length 2^31-1
        "ffffffff0f000000010100",                 // length -2^31
        "8c8080808000000000010100",               // a length in six bytes
        "8c80808010000000010100",                 // a length above 32 bits
        "1e00ffffffffffffffffff0200010100",       // a time above 64 bits
        "2000ffffffffffffffffffff0100010100",     // a time in eleven bytes
        "1400008280808020010100",                 // an offset above 32 bits
        "0c00000001018000",                       // a header count behind the record's end
        "0c00000001018200",                       // the same, above 0
    };
    static const char good[] = "2c00000001206161616161616161616161616161616100";
    begin();
    kp_record r;
    ck_assert_int_eq(first_record(good, 1, &r), KC_ERR_END);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char followed[128];
        ck_assert_msg(first_record(broken[i], 1, &r) == KC_ERR_MALFORMED, "%s", broken[i]);
        /* far from the end they are read in a hurry */
        (void)snprintf(followed, sizeof followed, "%s%s", broken[i], good);
        bool is_cut = strlen(broken[i]) < 4;
        ck_assert_msg(first_record(followed, 2, &r) == KC_ERR_MALFORMED || is_cut, "%s", followed);
    }
    ck_assert_int_eq(first_record("0c000000010100", 2, &r), KC_ERR_MALFORMED); /* one missing */
    ck_assert_int_eq(first_record("0c000000010100", 0, &r), KC_ERR_MALFORMED); /* not counted */
    finish();
}
END_TEST

START_TEST(unusual_but_legal_records_are_read)
{
    begin();
    kp_record r;
    ck_assert_int_eq(first_record("0c000000010100", 1, &r), KC_ERR_END);
    ck_assert(r.offset == 1000 && !r.key.ptr && !r.value.ptr && r.header_count == 0);
    ck_assert_int_eq(first_record("0c00000a000000", 1, &r), KC_ERR_END);
    ck_assert(r.offset == 1005 && r.key.ptr && r.key.len == 0 && r.value.ptr);
    ck_assert_int_eq(first_record("0c7f0000010100", 1, &r),
                     KC_ERR_END); /* attributes are not ours */
    ck_assert_int_eq(first_record("8c80808000"
                                  "000000010100",
                                  1, &r),
                     KC_ERR_END); /* over-long */
    ck_assert_int_eq(first_record("1e00feffffffffffffffff01"
                                  "00010100",
                                  1, &r),
                     KC_ERR_END);
    ck_assert_int_eq(r.timestamp, INT64_MAX);
    ck_assert_int_eq(first_record("1e00"
                                  "ffffffffffffffffff01"
                                  "00010100",
                                  1, &r),
                     KC_ERR_END);
    ck_assert_int_eq(r.timestamp, INT64_MIN);
    finish();
}
END_TEST

START_TEST(a_record_time_wraps_instead_of_overflowing)
{
    begin();
    uint8_t data[200];
    kp_batch_writer w;
    kp_batch b;
    kp_record_iter iter;
    kp_record r;
    kp_batch_writer_init(&w, data, sizeof data);
    static const int64_t times[] = {INT64_MAX, INT64_MIN, -1, INT64_MAX};
    for (int i = 0; i < 4; i++)
        ck_assert(kp_batch_append(&w, times[i], KC_NULL, KC_NULL, NULL, 0));
    kp_batch_seal(data, kp_batch_finish(&w), NULL);
    kc_bytes rest = kc_span(data, w.len);
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
    ck_assert_int_eq(b.max_timestamp, INT64_MAX);
    kp_record_iter_init(&iter, &b, b.records);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(kp_record_next(&iter, &r), KC_OK);
        ck_assert_int_eq(r.timestamp, times[i]);
    }
    finish();
}
END_TEST

START_TEST(malformed_headers_are_refused)
{
    static const char *const broken[] = {"01", "02", "0101", "0003", "000261", "000461", "80"};
    begin();
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        kc_bytes bytes = vector_bytes(&mem, broken[i]);
        kc_bytes pos = bytes;
        kc_header header;
        kc_err err = kp_header_next(&pos, &header);
        ck_assert_int_eq(err, i == 4 ? KC_OK : KC_ERR_MALFORMED);
        vector_free(&mem, bytes);
    }
    finish();
}
END_TEST

START_TEST(a_batch_that_does_not_decompress_is_an_error)
{
    begin();
    kc_bytes bytes = vector_bytes(&mem, VECTOR_V2_LZ4);
    kc_bytes rest = bytes;
    kp_batch b;
    kc_bytes records;
    ck_assert_int_eq(kp_batch_next(&rest, true, &b), KC_OK);
    b.attributes = KP_CODEC_GZIP;
    ck_assert_int_eq(kp_batch_plain(&b, &scratch, &records), KC_ERR_COMPRESSION);
    b.attributes = 7;
    ck_assert_int_eq(kp_batch_plain(&b, &scratch, &records), KC_ERR_UNSUPPORTED);
    b.attributes = KP_CODEC_LZ4;
    scratch.limit = 100;
    ck_assert_int_eq(kp_batch_plain(&b, &scratch, &records), KC_ERR_TOO_LARGE);
    vector_free(&mem, bytes);
    finish();
}
END_TEST
