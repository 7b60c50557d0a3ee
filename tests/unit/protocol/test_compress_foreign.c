/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * protocol/compress: what other clients write, whole and broken. */
#include "compress_fixture.h"

#include <lz4frame.h>
#include <zlib.h>

START_TEST(gzip_of_several_members_is_read)
{
    begin(0);
    ck_assert_int_eq(kp_compress(KP_CODEC_GZIP, 1, KC_STR("one "), &packed), KC_OK);
    ck_assert_int_eq(kp_compress(KP_CODEC_GZIP, 9, KC_STR(""), &packed), KC_OK);
    ck_assert_int_eq(kp_compress(KP_CODEC_GZIP, -1, KC_STR("two"), &packed), KC_OK);
    ck_assert_int_eq(kp_decompress(KP_CODEC_GZIP, kb_buf_bytes(&packed), false, &plain), KC_OK);
    expect_plain("one two", 7);
    finish();
}
END_TEST

START_TEST(gzip_with_every_optional_field_of_its_header_is_read)
{
    begin(0);
    uint8_t name[] = "name", comment[] = "comment", extra[] = {'x', 'y', 2, 0, 1, 2};
    gz_header header = {.text = 1,
                        .time = 1700000000,
                        .os = 3,
                        .extra = extra,
                        .extra_len = sizeof extra,
                        .name = name,
                        .comment = comment,
                        .hcrc = 1};
    z_stream z = {.next_in = (uint8_t *)(uintptr_t) "text", .avail_in = 4};
    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    ck_assert_int_eq(deflateSetHeader(&z, &header), Z_OK);
    z.next_out = kb_buf_reserve(&packed, 200);
    z.avail_out = 200;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    packed.len = z.total_out;
    ck_assert_int_eq(deflateEnd(&z), Z_OK);
    ck_assert_int_eq(kp_decompress(KP_CODEC_GZIP, kb_buf_bytes(&packed), false, &plain), KC_OK);
    expect_plain("text", 4);
    finish();
}
END_TEST

START_TEST(a_forged_size_in_the_gzip_trailer_is_not_believed)
{
    begin(0);
    ck_assert_int_eq(kp_compress(KP_CODEC_GZIP, 1, KC_STR("text"), &packed), KC_OK);
    memset(packed.data + packed.len - 4, 0x7f, 4); /* 2 GB */
    mem.peak = mem.used;
    ck_assert_int_eq(kp_decompress(KP_CODEC_GZIP, kb_buf_bytes(&packed), false, &plain),
                     KC_ERR_COMPRESSION);
    ck_assert_uint_lt(mem.peak, (size_t)1 << 17);
    finish();
}
END_TEST

START_TEST(bytes_behind_gzip_and_lz4_are_ignored_as_java_does)
{
    static const kp_codec codecs[] = {KP_CODEC_GZIP, KP_CODEC_LZ4};
    for (int i = 0; i < 2; i++) {
        begin(0);
        ck_assert_int_eq(kp_compress(codecs[i], INT_MIN, KC_STR("text"), &packed), KC_OK);
        kb_buf_put(&packed, "\0\0\0\0\0\0", 6);
        ck_assert_int_eq(kp_decompress(codecs[i], kb_buf_bytes(&packed), false, &plain), KC_OK);
        expect_plain("text", 4);
        finish();
    }
}
END_TEST

/* Appends a frame as the preferences say. */
static void lz4_frame(LZ4F_blockMode_t mode, LZ4F_blockSizeID_t size, bool checks, bool told,
                      kc_bytes in)
{
    LZ4F_preferences_t p = LZ4F_INIT_PREFERENCES;
    p.frameInfo.blockMode = mode;
    p.frameInfo.blockSizeID = size;
    p.frameInfo.contentChecksumFlag = checks ? LZ4F_contentChecksumEnabled : 0;
    p.frameInfo.blockChecksumFlag = checks ? LZ4F_blockChecksumEnabled : 0;
    p.frameInfo.contentSize = told ? in.len : 0;
    size_t bound = LZ4F_compressFrameBound(in.len, &p);
    uint8_t *pos = kb_buf_reserve(&packed, bound);
    ck_assert_ptr_nonnull(pos);
    size_t len = LZ4F_compressFrame(pos, bound, in.ptr, in.len, &p);
    ck_assert(!LZ4F_isError(len));
    packed.len += len;
}

START_TEST(lz4_of_every_kind_is_read)
{
    begin(0);
    enum {
        LEN = 500000
    };
    uint8_t *data = sample(LEN, 4);
    kc_bytes in = kc_span(data, LEN);
    for (int kind = 0; kind < 32; kind++) {
        LZ4F_blockMode_t mode = kind & 1 ? LZ4F_blockLinked : LZ4F_blockIndependent;
        LZ4F_blockSizeID_t size = (LZ4F_blockSizeID_t)(LZ4F_max64KB + kind / 8);
        kb_buf_reset(&packed);
        kb_buf_reset(&plain);
        lz4_frame(mode, size, kind & 2, kind & 4, in);
        ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, kb_buf_bytes(&packed), false, &plain), KC_OK);
        expect_plain(data, LEN);
    }
    kb_mem_free(&mem, data);
    finish();
}
END_TEST

START_TEST(lz4_is_written_as_liblz4_writes_it)
{
    static const size_t lengths[] = {0, 1, 13, 65536, 65537, 300000};
    begin(0);
    uint8_t *data = sample(300000, 18);
    kb_rand rand;
    kb_rand_init(&rand, 19);
    for (size_t i = 70000; i < 140000; i++) /* a block that is stored */
        data[i] = (uint8_t)kb_rand_u64(&rand);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (int level = 3; level <= 12; level++) {
            kc_bytes in = kc_span(data, lengths[i]);
            LZ4F_preferences_t p = LZ4F_INIT_PREFERENCES;
            p.frameInfo.blockSizeID = LZ4F_max64KB;
            p.frameInfo.blockMode = LZ4F_blockIndependent;
            p.compressionLevel = level == 9 ? 0 : level; /* Java's default is the fast one */
            kb_buf_reset(&packed);
            kb_buf_reset(&plain);
            uint8_t *pos = kb_buf_reserve(&plain, LZ4F_compressFrameBound(in.len, &p));
            plain.len = LZ4F_compressFrame(pos, plain.cap, in.ptr, in.len, &p);
            ck_assert_int_eq(kp_compress(KP_CODEC_LZ4, level, in, &packed), KC_OK);
            ck_assert(kc_bytes_equal(kb_buf_bytes(&packed), kb_buf_bytes(&plain)));
        }
    }
    kb_mem_free(&mem, data);
    finish();
}
END_TEST

START_TEST(lz4_in_blocks_of_4_mib_is_read)
{
    enum {
        LEN = 9 << 20
    };
    begin(0);
    uint8_t *data = sample(LEN, 14);
    for (int linked = 0; linked < 2; linked++) {
        kb_buf_reset(&packed);
        kb_buf_reset(&plain);
        lz4_frame(linked ? LZ4F_blockLinked : LZ4F_blockIndependent, LZ4F_max4MB, true, true,
                  kc_span(data, LEN));
        ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, kb_buf_bytes(&packed), false, &plain), KC_OK);
        expect_plain(data, LEN);
    }
    kb_mem_free(&mem, data);
    finish();
}
END_TEST

START_TEST(lz4_that_is_as_dense_as_can_be_is_read)
{
    static const uint8_t zeros[3 * MIB];
    static const size_t lengths[] = {100, 5000, 100000, sizeof zeros};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        begin(lengths[i]); /* no more room than it needs */
        lz4_frame(LZ4F_blockLinked, LZ4F_max4MB, false, false, kc_span(zeros, lengths[i]));
        ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, kb_buf_bytes(&packed), false, &plain), KC_OK);
        expect_plain(zeros, lengths[i]);
        finish();
    }
}
END_TEST

START_TEST(lz4_with_blocks_that_did_not_compress_is_read)
{
    enum {
        LEN = 400000
    };
    begin(0);
    uint8_t *data = sample(LEN, 15);
    kb_rand rand;
    kb_rand_init(&rand, 16);
    for (size_t i = 100000; i < 300000; i++) /* stored, between two that are not, and linked */
        data[i] = (uint8_t)kb_rand_u64(&rand);
    for (int kind = 0; kind < 4; kind++) {
        kb_buf_reset(&packed);
        kb_buf_reset(&plain);
        lz4_frame(kind & 1 ? LZ4F_blockLinked : LZ4F_blockIndependent, LZ4F_max64KB, kind & 2,
                  false, kc_span(data, LEN));
        ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, kb_buf_bytes(&packed), false, &plain), KC_OK);
        expect_plain(data, LEN);
    }
    kb_mem_free(&mem, data);
    finish();
}
END_TEST

START_TEST(lz4_of_several_frames_is_read)
{
    begin(0);
    lz4_frame(LZ4F_blockLinked, LZ4F_max4MB, true, true, KC_STR("one "));
    kb_buf_put(&packed, "\x50\x2a\x4d\x18\x02\0\0\0xx", 10); /* a skippable frame */
    lz4_frame(LZ4F_blockIndependent, LZ4F_max64KB, false, false, KC_STR("two "));
    lz4_frame(LZ4F_blockLinked, LZ4F_max1MB, true, false, KC_STR("three"));
    ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, kb_buf_bytes(&packed), false, &plain), KC_OK);
    expect_plain("one two three", 13);
    finish();
}
END_TEST

START_TEST(lz4_with_a_wrong_header_checksum_is_read_only_where_asked)
{
    for (int told = 0; told < 2; told++) {
        begin(0);
        lz4_frame(LZ4F_blockIndependent, LZ4F_max64KB, false, told, KC_STR("one "));
        size_t second = packed.len;
        lz4_frame(LZ4F_blockIndependent, LZ4F_max64KB, false, told, KC_STR("two"));
        size_t at = told ? 14 : 6;
        packed.data[at] ^= 0x55;
        packed.data[second + at] ^= 0x55;
        kc_bytes in = kb_buf_bytes(&packed);
        ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, in, false, &plain), KC_ERR_COMPRESSION);
        ck_assert_uint_eq(plain.len, 0);
        ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, in, true, &plain), KC_OK);
        expect_plain("one two", 7);
        finish();
    }
}
END_TEST

START_TEST(lz4_with_a_broken_checksum_or_a_wrong_size_is_refused)
{
    begin(0);
    lz4_frame(LZ4F_blockIndependent, LZ4F_max64KB, true, true, KC_STR("some content"));
    /* magic 4, flags 2, size 8, header checksum; block: size 4, 12 bytes, checksum 4; end, checksum */
    ck_assert_uint_eq(packed.len, 15 + 20 + 8);
    static const size_t at[] = {14, 31, 34, 39, 42, 6, 13};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        packed.data[at[i]] ^= 1;
        for (int mend = 0; mend < (at[i] > 14 ? 2 : 1); mend++)
            ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, kb_buf_bytes(&packed), mend, &plain),
                             KC_ERR_COMPRESSION);
        packed.data[at[i]] ^= 1;
    }
    packed.data[6]++; /* one byte more than there is, with the header's checksum not looked at */
    ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, kb_buf_bytes(&packed), true, &plain),
                     KC_ERR_COMPRESSION);
    packed.data[6] = 0; /* a size of 0 says nothing, as liblz4 reads it */
    ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, kb_buf_bytes(&packed), true, &plain), KC_OK);
    expect_plain("some content", 12);
    kb_buf_reset(&plain);
    packed.data[6] = 12;
    ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, kb_buf_bytes(&packed), false, &plain), KC_OK);
    finish();
}
END_TEST

START_TEST(snappy_without_a_frame_is_read)
{
    if (!kp_codec_is_built(KP_CODEC_SNAPPY))
        return;
    begin(0);
    ck_assert_int_eq(unpack_hex(KP_CODEC_SNAPPY, "051068656c6c6f"), KC_OK);
    expect_plain("hello", 5);
    /* 20 bytes: a literal "ab", a copy of 18 from 2 behind */
    ck_assert_int_eq(unpack_hex(KP_CODEC_SNAPPY, "1404616246"
                                                 "0200"),
                     KC_OK);
    expect_plain("abababababababababab", 20);
    ck_assert_int_eq(unpack_hex(KP_CODEC_SNAPPY, "00"), KC_OK);
    expect_plain("", 0);
    finish();
}
END_TEST

#define XERIAL "82534e41505059000000000100000001"

START_TEST(xerial_snappy_of_several_blocks_and_streams_is_read)
{
    if (!kp_codec_is_built(KP_CODEC_SNAPPY))
        return;
    begin(0);
    ck_assert_int_eq(unpack_hex(KP_CODEC_SNAPPY, XERIAL "00000007051068656c6c6f"
                                                        "00000007051068656c6c6f"),
                     KC_OK);
    expect_plain("hellohello", 10);
    ck_assert_int_eq(unpack_hex(KP_CODEC_SNAPPY,
                                XERIAL "00000007051068656c6c6f" XERIAL "00000007051068656c6c6f"),
                     KC_OK);
    expect_plain("hellohello", 10);
    ck_assert_int_eq(unpack_hex(KP_CODEC_SNAPPY, XERIAL), KC_OK);
    expect_plain("", 0);
    finish();
}
END_TEST

START_TEST(broken_snappy_is_refused)
{
    if (!kp_codec_is_built(KP_CODEC_SNAPPY))
        return;
    static const char *const broken[] = {
        "",
        "ff",
        "0510",
        "0510686565",                      /* literal cut short                */
        "061068656c6c6f",                  /* length not reached               */
        "041068656c6c6f",                  /* length passed                    */
        "0501ff",                          /* copy from before the start       */
        XERIAL "000000",                   /* length of a block cut short      */
        XERIAL "00000008051068656c6c6f",   /* block longer than the input      */
        XERIAL "ffffffff051068656c6c6f",   /* the same, "negative"             */
        XERIAL "00000000",                 /* a block without even a length    */
        XERIAL "00000007051068656c6c6f00", /* behind the last block            */
        "ffffff0f1068656c6c6f",            /* 32 MiB out of 5 bytes: a lie     */
    };
    begin(0);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        size_t peak = mem.peak;
        ck_assert_int_eq(unpack_hex(KP_CODEC_SNAPPY, broken[i]), KC_ERR_COMPRESSION);
        ck_assert_uint_lt(mem.peak - peak, 4096);
        ck_assert_uint_eq(plain.len, 0);
    }
    finish();
}
END_TEST
