/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * protocol/message_set: what the Java client writes in magic 0 and 1, and hostile sets made by
 * hand. */
#include "message_set_write.h"
#include "protocol/message_set.h"
#include "record_vectors.h"

#define TIME ((int64_t)1700000000000)

static kb_mem mem;
static kb_buf scratch;
static kb_buf made; /* sets made by hand */

static void begin(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&scratch, &mem, 0);
    kb_buf_init(&made, &mem, 0);
}

static void finish(void)
{
    kb_buf_cleanup(&scratch);
    kb_buf_cleanup(&made);
    ck_assert_uint_eq(mem.used, 0);
}

static const char *const keys[] = {"key-1", NULL, "tombstone"};
static const char *const values[] = {"value-1 value-1 value-1 value-1 value-1 value-1", "no key",
                                     NULL};
static const int64_t times[] = {TIME, TIME + 5, TIME + 3};

static void expect_record(kp_message_set *set, int i, int64_t time)
{
    kp_record r;
    ck_assert_int_eq(kp_message_next(set, &r), KC_OK);
    ck_assert_int_eq(r.offset, 100 + i);
    ck_assert_int_eq(r.timestamp, time);
    ck_assert(kc_bytes_equal(r.key, kc_str(keys[i])));
    ck_assert(kc_bytes_equal(r.value, kc_str(values[i])));
    ck_assert_int_eq(r.header_count, 0);
    ck_assert_uint_eq(r.headers_raw.len, 0);
}

/* `append_time` -1: each record has its own. */
static void expect_vector(const char *hex, int8_t magic, kp_codec codec, int64_t append_time)
{
    begin();
    kc_bytes bytes = vector_bytes(&mem, hex);
    kc_bytes rest = bytes;
    kp_message_set set;
    kp_record r;
    int count = codec == KP_CODEC_NONE ? 1 : 3;
    for (int i = 0; i < 3; i += count) {
        ck_assert_int_eq(kp_message_set_next(&rest, true, &scratch, &set), KC_OK);
        ck_assert_int_eq(set.magic, magic);
        ck_assert_int_eq(set.attributes & KP_ATTR_CODEC, codec);
        ck_assert_int_eq(set.count, count);
        ck_assert_int_eq(set.base_offset, 100 + i);
        ck_assert_int_eq(set.last_offset, 100 + i + count - 1);
        ck_assert_int_eq(set.is_relative, magic == 1 && codec != KP_CODEC_NONE);
        for (int k = i; k < i + count; k++) {
            int64_t time = append_time >= 0 ? append_time : times[k];
            expect_record(&set, k, magic == 0 ? KP_NO_TIMESTAMP : time);
        }
        ck_assert_int_eq(kp_message_next(&set, &r), KC_ERR_END);
    }
    ck_assert_int_eq(kp_message_set_next(&rest, true, &scratch, &set), KC_ERR_END);
    vector_free(&mem, bytes);
    finish();
}

START_TEST(sets_of_magic_0_are_read_in_every_codec)
{
    expect_vector(VECTOR_V0_NONE, 0, KP_CODEC_NONE, -1);
    expect_vector(VECTOR_V0_GZIP, 0, KP_CODEC_GZIP, -1);
    expect_vector(VECTOR_V0_LZ4, 0, KP_CODEC_LZ4, -1); /* with Java's wrong header checksum */
    if (kp_codec_is_built(KP_CODEC_SNAPPY))
        expect_vector(VECTOR_V0_SNAPPY, 0, KP_CODEC_SNAPPY, -1);
}
END_TEST

START_TEST(sets_of_magic_1_are_read_in_every_codec)
{
    expect_vector(VECTOR_V1_NONE, 1, KP_CODEC_NONE, -1);
    expect_vector(VECTOR_V1_GZIP, 1, KP_CODEC_GZIP, -1);
    expect_vector(VECTOR_V1_LZ4, 1, KP_CODEC_LZ4, -1);
    if (kp_codec_is_built(KP_CODEC_SNAPPY))
        expect_vector(VECTOR_V1_SNAPPY, 1, KP_CODEC_SNAPPY, -1);
}
END_TEST

START_TEST(with_log_append_time_every_record_has_the_time_of_the_wrapper)
{
    expect_vector(VECTOR_V1_APPEND_NONE, 1, KP_CODEC_NONE, INT64_C(1700000123456));
    expect_vector(VECTOR_V1_APPEND_LZ4, 1, KP_CODEC_LZ4, INT64_C(1700000123456));
}
END_TEST

START_TEST(magic_2_is_left_to_the_batch_reader_and_the_reverse)
{
    begin();
    kc_bytes bytes = vector_bytes(&mem, VECTOR_V2_NONE);
    kc_bytes rest = bytes;
    kp_message_set set;
    kp_batch batch;
    ck_assert_int_eq(kp_message_set_next(&rest, true, &scratch, &set), KC_ERR_UNSUPPORTED);
    ck_assert_int_eq(set.magic, 2);
    ck_assert_uint_eq(rest.len, bytes.len);
    vector_free(&mem, bytes);
    bytes = vector_bytes(&mem, VECTOR_V1_GZIP);
    rest = bytes;
    ck_assert_int_eq(kp_batch_next(&rest, true, &batch), KC_ERR_UNSUPPORTED);
    ck_assert_uint_eq(rest.len, bytes.len);
    vector_free(&mem, bytes);
    finish();
}
END_TEST

/* The records of the vectors, written here. */
static void write_vector(int8_t magic, kp_codec codec)
{
    bool is_relative = magic == 1 && codec != KP_CODEC_NONE;
    kb_buf_reset(&made);
    for (int i = 0; i < 3; i++)
        old_message_put(&made, &(old_message){.offset = is_relative ? i : 100 + i,
                                              .magic = magic,
                                              .timestamp = times[i],
                                              .key = kc_str(keys[i]),
                                              .value = kc_str(values[i])});
    if (codec != KP_CODEC_NONE)
        old_message_wrap(&made, &(old_message){.offset = 102,
                                               .magic = magic,
                                               .attributes = (int8_t)codec,
                                               .timestamp = TIME + 5});
}

START_TEST(the_writer_of_these_tests_writes_what_java_writes)
{
    static const struct {
        const char *hex;
        int8_t magic;
        kp_codec codec;
    } same[] = {{VECTOR_V0_NONE, 0, KP_CODEC_NONE},
                {VECTOR_V1_NONE, 1, KP_CODEC_NONE},
                {VECTOR_V0_LZ4, 0, KP_CODEC_LZ4},
                {VECTOR_V1_LZ4, 1, KP_CODEC_LZ4}};
    begin();
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        kc_bytes java = vector_bytes(&mem, same[i].hex);
        write_vector(same[i].magic, same[i].codec);
        ck_assert(kc_bytes_equal(kb_buf_bytes(&made), java));
        vector_free(&mem, java);
    }
    finish();
}
END_TEST

START_TEST(sets_that_are_written_are_read_back_in_every_magic_and_codec)
{
    begin();
    for (int codec = KP_CODEC_GZIP; codec <= KP_CODEC_LZ4; codec++) {
        for (int8_t magic = 0; magic <= 1 && kp_codec_is_built((kp_codec)codec); magic++) {
            kp_message_set set;
            write_vector(magic, (kp_codec)codec);
            kc_bytes rest = kb_buf_bytes(&made);
            ck_assert_int_eq(kp_message_set_next(&rest, true, &scratch, &set), KC_OK);
            ck_assert_int_eq(set.base_offset, 100);
            for (int i = 0; i < 3; i++)
                expect_record(&set, i, magic == 0 ? KP_NO_TIMESTAMP : times[i]);
        }
    }
    finish();
}
END_TEST

/* ---- hostile sets ---- */

static const char *const vectors[] = {
    VECTOR_V0_NONE, VECTOR_V0_GZIP,   VECTOR_V0_LZ4, VECTOR_V0_SNAPPY,
    VECTOR_V1_NONE, VECTOR_V1_SNAPPY, VECTOR_V1_LZ4, VECTOR_V1_GZIP,
};
enum {
    VECTORS = sizeof vectors / sizeof *vectors
};

START_TEST(a_set_cut_at_any_byte_is_left_for_later)
{
    begin();
    for (int v = 0; v < VECTORS; v++) {
        kc_bytes whole = vector_bytes(&mem, vectors[v]);
        size_t first = 12 + kp_load32(whole.ptr + 8);
        for (size_t len = 0; len < first; len++) {
            kc_bytes part = vector_cut(&mem, whole, len);
            kc_bytes rest = part;
            kp_message_set set;
            ck_assert_int_eq(kp_message_set_next(&rest, true, &scratch, &set), KC_ERR_END);
            ck_assert_ptr_eq(rest.ptr, part.ptr);
            ck_assert_uint_eq(rest.len, len);
            vector_free(&mem, part);
        }
        vector_free(&mem, whole);
    }
    finish();
}
END_TEST

START_TEST(a_message_cut_at_any_byte_whose_size_says_so_is_refused)
{
    begin();
    for (int v = 0; v < VECTORS; v++) {
        kc_bytes whole = vector_bytes(&mem, vectors[v]);
        size_t first = 12 + kp_load32(whole.ptr + 8);
        for (size_t len = 17; len < first; len++) {
            kc_bytes part = vector_cut(&mem, whole, len);
            kp_store32((uint8_t *)(uintptr_t)part.ptr + 8, (uint32_t)len - 12);
            for (int check_crc = 0; check_crc < 2; check_crc++) {
                kc_bytes rest = part;
                kp_message_set set;
                kp_record r;
                bool has_fields = len >= (whole.ptr[16] == 0 ? 26 : 34);
                ck_assert_int_eq(kp_message_set_next(&rest, check_crc, &scratch, &set),
                                 check_crc && has_fields ? KC_ERR_CRC : KC_ERR_MALFORMED);
                if (check_crc && has_fields) /* so that one can go on behind it */
                    ck_assert(rest.len == 0 && kp_message_next(&set, &r) == KC_ERR_END);
            }
            vector_free(&mem, part);
        }
        vector_free(&mem, whole);
    }
    ck_assert_uint_lt(mem.peak, 4096);
    finish();
}
END_TEST

/* The same set, its compressed part cut at `len` and everything around it mended. */
static void put_cut_wrapper(kc_bytes whole, size_t len)
{
    int8_t magic = (int8_t)whole.ptr[16];
    size_t value_at = magic == 0 ? 26 : 34;
    kb_buf_reset(&made);
    old_message_put(&made, &(old_message){.offset = (int64_t)kp_load64(whole.ptr),
                                          .magic = magic,
                                          .attributes = (int8_t)whole.ptr[17],
                                          .timestamp = TIME,
                                          .value = kc_span(whole.ptr + value_at, len)});
}

START_TEST(a_compressed_set_cut_at_any_byte_inside_is_refused)
{
    begin();
    for (int v = 0; v < VECTORS; v++) {
        kc_bytes whole = vector_bytes(&mem, vectors[v]);
        kp_codec codec = (kp_codec)(whole.ptr[17] & 7);
        size_t value_len = whole.len - (whole.ptr[16] == 0 ? 26 : 34);
        for (size_t len = 0; codec != KP_CODEC_NONE && len < value_len; len++) {
            kp_message_set set;
            kp_record r;
            put_cut_wrapper(whole, len);
            kc_bytes part = vector_cut(&mem, kb_buf_bytes(&made), made.len);
            kc_bytes rest = part;
            /* xerial's header alone is a stream of nothing */
            bool is_empty = codec == KP_CODEC_SNAPPY && len == 16;
            kc_err expected = is_empty ? KC_ERR_MALFORMED : KC_ERR_COMPRESSION;
            if (!kp_codec_is_built(codec))
                expected = KC_ERR_UNSUPPORTED;
            ck_assert_int_eq(kp_message_set_next(&rest, true, &scratch, &set), expected);
            ck_assert_uint_eq(rest.len, 0);
            ck_assert_int_eq(set.last_offset, 102);
            ck_assert_int_eq(kp_message_next(&set, &r), KC_ERR_END);
            vector_free(&mem, part);
        }
        vector_free(&mem, whole);
    }
    finish();
}
END_TEST

static void walk(kc_bytes rest, bool check_crc)
{
    kp_message_set set;
    kp_record r;
    for (int i = 0; i < 10; i++) {
        size_t before = rest.len;
        kc_err err = kp_message_set_next(&rest, check_crc, &scratch, &set);
        if (err == KC_OK) {
            ck_assert_uint_lt(rest.len, before);
            ck_assert_int_lt(set.last_offset, INT64_MAX);
            int32_t count = 0;
            while (kp_message_next(&set, &r) == KC_OK) {
                ck_assert_int_ge(r.offset, 0);
                count++;
            }
            ck_assert_int_eq(count, set.count);
        } else if (rest.len == before) {
            break;
        }
    }
}

START_TEST(flipped_bits_are_found_or_do_no_harm)
{
    begin();
    scratch.limit = 65536;
    for (int v = 0; v < VECTORS; v++) {
        kc_bytes bytes = vector_bytes(&mem, vectors[v]);
        uint8_t *data = (uint8_t *)(uintptr_t)bytes.ptr;
        size_t first = 12 + kp_load32(data + 8);
        for (size_t bit = 0; bit < bytes.len * 8; bit++) {
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            kc_bytes rest = bytes;
            kp_message_set set;
            kc_err err = kp_message_set_next(&rest, true, &scratch, &set);
            bool is_magic = bit / 8 == 16; /* which decides how the rest is read */
            if (bit >= 12 * 8 && bit < first * 8 && !is_magic)
                ck_assert_int_eq(err, KC_ERR_CRC);
            walk(bytes, true);
            walk(bytes, false);
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        vector_free(&mem, bytes);
    }
    finish();
}
END_TEST

/* Append a message to `made`. */
static void message(int64_t offset, int8_t magic, int8_t attributes, kc_bytes value)
{
    old_message_put(&made, &(old_message){.offset = offset,
                                          .magic = magic,
                                          .attributes = attributes,
                                          .timestamp = TIME,
                                          .value = value});
}

/* Take what `made` holds so far as the inner set of a wrapper, which then is all of `made`. */
static void wrap(int64_t offset, int8_t magic, int8_t attributes)
{
    old_message_wrap(
        &made, &(old_message){
                   .offset = offset, .magic = magic, .attributes = attributes, .timestamp = TIME});
}

/* What taking the set gives, and whether it was moved behind. */
static kc_err take(kp_message_set *set, bool *moved_out)
{
    kc_bytes rest = kb_buf_bytes(&made);
    kc_err err = kp_message_set_next(&rest, true, &scratch, set);
    ck_assert(rest.len == 0 || rest.len == made.len);
    *moved_out = rest.len == 0;
    return err;
}

static void expect_malformed_inside(void)
{
    kp_message_set set;
    kp_record r;
    bool is_moved;
    ck_assert_int_eq(take(&set, &is_moved), KC_ERR_MALFORMED);
    ck_assert(is_moved);
    ck_assert_int_eq(set.count, 0);
    ck_assert_int_eq(kp_message_next(&set, &r), KC_ERR_END);
    kb_buf_reset(&made);
}

START_TEST(relative_offsets_count_from_the_last_also_after_compaction)
{
    begin();
    kp_message_set set;
    kp_record r;
    bool is_moved;
    message(1, 1, 0, KC_STR("a"));
    message(4, 1, 0, KC_STR("b"));
    message(9, 1, 0, KC_STR("c"));
    wrap(1009, 1, KP_CODEC_GZIP);
    ck_assert_int_eq(take(&set, &is_moved), KC_OK);
    ck_assert(set.base_offset == 1001 && set.last_offset == 1009 && set.count == 3);
    static const int64_t offsets[] = {1001, 1004, 1009};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(kp_message_next(&set, &r), KC_OK);
        ck_assert_int_eq(r.offset, offsets[i]);
    }
    finish();
}
END_TEST

START_TEST(a_wrapper_of_offset_0_counts_from_0_as_java_reads_it)
{
    begin();
    kp_message_set set;
    kp_record r;
    bool is_moved;
    message(0, 1, 0, KC_STR("a"));
    message(1, 1, 0, KC_STR("b"));
    wrap(0, 1, KP_CODEC_GZIP);
    ck_assert_int_eq(take(&set, &is_moved), KC_OK);
    ck_assert_int_eq(kp_message_next(&set, &r), KC_OK);
    ck_assert_int_eq(kp_message_next(&set, &r), KC_OK);
    ck_assert_int_eq(r.offset, 1);
    finish();
}
END_TEST

START_TEST(what_may_not_be_inside_a_wrapper_is_refused)
{
    begin();
    wrap(5, 1, KP_CODEC_GZIP); /* nothing */
    expect_malformed_inside();
    message(0, 0, 0, KC_STR("another magic"));
    wrap(5, 1, KP_CODEC_GZIP);
    expect_malformed_inside();
    message(0, 1, 0, KC_STR("another magic"));
    wrap(5, 0, KP_CODEC_GZIP);
    expect_malformed_inside();
    message(0, 1, 0, KC_STR("a"));
    wrap(0, 1, KP_CODEC_GZIP); /* a wrapper inside a wrapper */
    wrap(5, 1, KP_CODEC_GZIP);
    expect_malformed_inside();
    message(6, 1, 0, KC_STR("last offset above the wrapper's"));
    wrap(5, 1, KP_CODEC_GZIP);
    expect_malformed_inside();
    message(-1, 1, 0, KC_STR("negative offset"));
    wrap(5, 1, KP_CODEC_GZIP);
    expect_malformed_inside();
    message(INT64_MAX - 1, 1, 0, KC_STR("first far above the last"));
    message(0, 1, 0, KC_STR("b"));
    wrap(INT64_MAX - 1, 1, KP_CODEC_GZIP);
    expect_malformed_inside();
    message(0, 1, 0, KC_STR("no room for what a relative offset may add"));
    wrap(INT64_MAX - 1, 1, KP_CODEC_GZIP);
    expect_malformed_inside();
    message(INT64_MAX - 1, 1, 0, KC_STR("the same, of another wrapper"));
    message(0, 1, 0, KC_STR("b"));
    wrap(1000, 1, KP_CODEC_GZIP);
    expect_malformed_inside();
    message(5, 0, 0, KC_STR("cut short"));
    made.len -= 3;
    wrap(5, 0, KP_CODEC_GZIP);
    expect_malformed_inside();
    message(5, 0, 0, KC_STR("bytes behind"));
    kb_buf_put(&made, "\0", 1);
    wrap(5, 0, KP_CODEC_GZIP);
    expect_malformed_inside();
    finish();
}
END_TEST

START_TEST(a_wrapper_needs_a_value_and_a_codec_of_its_time)
{
    begin();
    message(5, 1, KP_CODEC_GZIP, KC_NULL);
    expect_malformed_inside();
    message(5, 1, KP_CODEC_ZSTD, KC_STR("a"));
    expect_malformed_inside();
    message(5, 1, 7, KC_STR("a"));
    expect_malformed_inside();
    kp_message_set set;
    bool is_moved;
    message(5, 1, KP_CODEC_GZIP, KC_STR("not gzip"));
    ck_assert_int_eq(take(&set, &is_moved), KC_ERR_COMPRESSION);
    ck_assert(is_moved && set.last_offset == 5 && set.count == 0);
    finish();
}
END_TEST

START_TEST(a_broken_checksum_inside_is_found_unless_checks_are_off)
{
    begin();
    message(0, 1, 0, KC_STR("a"));
    made.data[made.len - 1] ^= 1;
    wrap(5, 1, KP_CODEC_GZIP);
    kp_message_set set;
    kp_record r;
    bool is_moved;
    ck_assert_int_eq(take(&set, &is_moved), KC_ERR_CRC);
    ck_assert(is_moved);
    ck_assert_int_eq(kp_message_next(&set, &r), KC_ERR_END);
    kc_bytes rest = kb_buf_bytes(&made);
    ck_assert_int_eq(kp_message_set_next(&rest, false, &scratch, &set), KC_OK);
    ck_assert_int_eq(kp_message_next(&set, &r), KC_OK);
    finish();
}
END_TEST

START_TEST(outer_fields_out_of_range_are_malformed)
{
    static const struct {
        size_t at;
        uint32_t value;
        kc_err err;
    } cases[] = {
        {8, UINT32_MAX, KC_ERR_MALFORMED},  {8, 0x80000000, KC_ERR_MALFORMED},
        {8, 21, KC_ERR_MALFORMED},          {8, INT32_MAX, KC_ERR_END},
        {0, UINT32_MAX, KC_ERR_MALFORMED},  /* negative offset        */
        {26, 1, KC_ERR_MALFORMED},          /* a key that is not there */
        {26, 0xfffffffe, KC_ERR_MALFORMED}, /* key length -2          */
        {30, 2, KC_ERR_MALFORMED},          {30, INT32_MAX, KC_ERR_MALFORMED},
        {30, 0, KC_ERR_MALFORMED}, /* bytes behind the value */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        message(5, 1, 0, KC_STR("a"));
        kp_store32(made.data + cases[i].at, cases[i].value);
        kc_bytes rest = kb_buf_bytes(&made);
        kp_message_set set;
        ck_assert_int_eq(kp_message_set_next(&rest, false, &scratch, &set), cases[i].err);
        ck_assert_uint_eq(rest.len, made.len);
        finish();
    }
}
END_TEST

START_TEST(no_offset_behind_the_last_is_malformed)
{
    begin();
    kp_message_set set;
    bool is_moved;
    message(INT64_MAX, 0, 0, KC_STR("a"));
    ck_assert_int_eq(take(&set, &is_moved), KC_ERR_MALFORMED);
    finish();
}
END_TEST

START_TEST(a_bomb_in_a_wrapper_ends_at_the_limit)
{
    static const uint8_t zeros[1 << 20];
    begin();
    scratch.limit = 65536;
    message(0, 1, 0, kc_span(zeros, sizeof zeros));
    wrap(5, 1, KP_CODEC_GZIP);
    kp_message_set set;
    bool is_moved;
    ck_assert_int_eq(take(&set, &is_moved), KC_ERR_TOO_LARGE);
    ck_assert(is_moved && set.last_offset == 5);
    ck_assert_uint_le(scratch.cap, 65536);
    finish();
}
END_TEST
