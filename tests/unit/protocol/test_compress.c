/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * protocol/compress: round trips, what other clients write, broken input, bombs, memory that runs
 * out. */
#include "protocol/base/rand.h"
#include "protocol/compress.h"
#include "record_vectors.h"

#include <check.h>
#include <limits.h>
#include <lz4frame.h>
#include <stdlib.h>

#define MIB ((size_t)1 << 20)

static kb_mem mem;
static kb_buf packed;
static kb_buf plain;

static void begin(size_t plain_limit)
{
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&packed, &mem, 0);
    kb_buf_init(&plain, &mem, plain_limit);
}

static void finish(void)
{
    kb_buf_cleanup(&packed);
    kb_buf_cleanup(&plain);
    ck_assert_uint_eq(mem.used, 0);
}

/* Half text, half noise: compresses, but not to nothing. */
static uint8_t *sample(size_t len, uint64_t seed)
{
    kb_rand rand;
    kb_rand_init(&rand, seed);
    uint8_t *data = kb_mem_alloc(&mem, len);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < len; i++) {
        bool is_noise = (i / 64) % 2;
        data[i] = is_noise ? (uint8_t)kb_rand_u64(&rand) : (uint8_t)("a record's value "[i % 17]);
    }
    return data;
}

static void expect_plain(const void *data, size_t len)
{
    ck_assert_uint_eq(plain.len, len);
    ck_assert(len == 0 || memcmp(plain.data, data, len) == 0);
}

static kc_err unpack_hex(kp_codec codec, const char *hex)
{
    kc_bytes in = vector_bytes(&mem, hex);
    kb_buf_reset(&plain);
    kc_err err = kp_decompress(codec, in, false, &plain);
    vector_free(&mem, in);
    return err;
}

START_TEST(names_are_those_of_the_property)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (int codec = 0; codec < KP_CODEC_COUNT; codec++) {
        ck_assert_str_eq(kp_codec_name((kp_codec)codec), names[codec]);
        ck_assert_int_eq(kp_codec_by_name(kc_str(names[codec])), codec);
    }
    ck_assert_ptr_null(kp_codec_name((kp_codec)5));
    ck_assert_ptr_null(kp_codec_name((kp_codec)-1));
    ck_assert_int_eq(kp_codec_by_name(KC_STR("GZIP")), -1);
    ck_assert_int_eq(kp_codec_by_name(KC_STR("lz")), -1);
    ck_assert_int_eq(kp_codec_by_name(KC_NULL), -1);
}
END_TEST

START_TEST(levels_are_those_of_the_java_client)
{
    int min;
    int max;
    int fallback;
    ck_assert(!kp_codec_levels(KP_CODEC_NONE, &min, &max, &fallback));
    ck_assert(!kp_codec_levels(KP_CODEC_SNAPPY, &min, &max, &fallback));
    ck_assert(kp_codec_levels(KP_CODEC_GZIP, &min, &max, &fallback));
    ck_assert(min == 1 && max == 9 && fallback == -1);
    ck_assert(kp_codec_levels(KP_CODEC_LZ4, &min, &max, &fallback));
    ck_assert(min == 1 && max == 17 && fallback == 9);
    if (kp_codec_is_built(KP_CODEC_ZSTD)) {
        ck_assert(kp_codec_levels(KP_CODEC_ZSTD, &min, &max, &fallback));
        ck_assert(min == -131072 && max == 22 && fallback == 3);
    }
}
END_TEST

START_TEST(every_codec_and_level_gives_back_what_it_took)
{
    static const size_t lengths[] = {0, 1, 100, 4096, 32768, 32769, 65536, 70000, 300000};
    begin(0);
    for (int codec = 0; codec < KP_CODEC_COUNT; codec++) {
        if (!kp_codec_is_built((kp_codec)codec))
            continue;
        int levels[] = {INT_MIN, 0, 0, 0};
        int count = kp_codec_levels((kp_codec)codec, &levels[1], &levels[2], &levels[3]) ? 4 : 1;
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            uint8_t *data = sample(lengths[i], i);
            for (int k = 0; k < count; k++) {
                kb_buf_reset(&packed);
                kb_buf_reset(&plain);
                kb_buf_put(&plain, "kept", 4);
                kc_bytes in = kc_span(data, lengths[i]);
                ck_assert_int_eq(kp_compress((kp_codec)codec, levels[k], in, &packed), KC_OK);
                ck_assert_int_eq(
                    kp_decompress((kp_codec)codec, kb_buf_bytes(&packed), false, &plain), KC_OK);
                ck_assert_uint_eq(plain.len, 4 + lengths[i]);
                ck_assert(memcmp(plain.data, "kept", 4) == 0);
                ck_assert(memcmp(plain.data + 4, data, lengths[i]) == 0);
            }
            kb_mem_free(&mem, data);
        }
    }
    finish();
}
END_TEST

START_TEST(kept_contexts_serve_every_call_and_huge_ones_are_not_kept)
{
    begin(0);
    kp_codec_cache cache = {0};
    uint8_t *data = sample(1 << 20, 12);
    for (int round = 0; round < 12; round++) {
        int codec = round % 4 + 1;
        if (!kp_codec_is_built((kp_codec)codec))
            continue;
        kc_bytes in = kc_span(data, 1000 + (size_t)round * 5000);
        kb_buf_reset(&packed);
        kb_buf_reset(&plain);
        ck_assert_int_eq(kp_compress_with(&cache, (kp_codec)codec, INT_MIN, in, &packed), KC_OK);
        /* a failure in between must not disturb the next call */
        (void)!kp_decompress_with(&cache, (kp_codec)codec, kc_span(packed.data, packed.len - 2),
                                  false, &plain);
        ck_assert_int_eq(
            kp_decompress_with(&cache, (kp_codec)codec, kb_buf_bytes(&packed), false, &plain),
            KC_OK);
        expect_plain(in.ptr, in.len);
    }
    if (kp_codec_is_built(KP_CODEC_ZSTD)) {
        ck_assert_ptr_nonnull(cache.zstd_compress);
        ck_assert_ptr_nonnull(cache.zstd_decompress);
        kb_buf_reset(&packed);
        ck_assert_int_eq(
            kp_compress_with(&cache, KP_CODEC_ZSTD, 22, kc_span(data, 1 << 20), &packed), KC_OK);
        ck_assert_ptr_null(cache.zstd_compress);
    }
    kp_codec_cache_cleanup(&cache);
    ck_assert_ptr_null(cache.zstd_decompress);
    kp_codec_cache_cleanup(&cache);
    kb_mem_free(&mem, data);
    finish();
}
END_TEST

START_TEST(a_level_out_of_range_is_refused)
{
    begin(0);
    kc_bytes in = KC_STR("text");
    ck_assert_int_eq(kp_compress(KP_CODEC_GZIP, 0, in, &packed), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kp_compress(KP_CODEC_GZIP, 10, in, &packed), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kp_compress(KP_CODEC_LZ4, 18, in, &packed), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kp_compress(KP_CODEC_NONE, 77, in, &packed), KC_OK);
    finish();
}
END_TEST

START_TEST(an_unknown_codec_is_unsupported)
{
    begin(0);
    for (int codec = 5; codec < 8; codec++) {
        ck_assert(!kp_codec_is_built((kp_codec)codec));
        ck_assert_int_eq(kp_compress((kp_codec)codec, INT_MIN, KC_STR("a"), &packed),
                         KC_ERR_UNSUPPORTED);
        ck_assert_int_eq(kp_decompress((kp_codec)codec, KC_STR("a"), false, &plain),
                         KC_ERR_UNSUPPORTED);
    }
    for (int codec = 0; codec < KP_CODEC_COUNT; codec++) {
        if (!kp_codec_is_built((kp_codec)codec))
            ck_assert_int_eq(kp_decompress((kp_codec)codec, KC_STR("a"), false, &plain),
                             KC_ERR_UNSUPPORTED);
    }
    finish();
}
END_TEST

/* ---- the form Java reads ---- */

START_TEST(lz4_is_one_frame_of_independent_64_kib_blocks_without_checksums)
{
    begin(0);
    uint8_t *data = sample(200000, 3);
    ck_assert_int_eq(kp_compress(KP_CODEC_LZ4, INT_MIN, kc_span(data, 200000), &packed), KC_OK);
    /* magic; version 1, independent; 64 KiB; the header checksum Java writes, too */
    static const uint8_t header[] = {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82};
    ck_assert(memcmp(packed.data, header, sizeof header) == 0);
    kb_mem_free(&mem, data);
    finish();
}
END_TEST

START_TEST(lz4_level_9_is_the_fast_compressor_as_in_java)
{
    begin(0);
    uint8_t *data = sample(50000, 3);
    kc_bytes in = kc_span(data, 50000);
    ck_assert_int_eq(kp_compress(KP_CODEC_LZ4, INT_MIN, in, &packed), KC_OK);
    ck_assert_int_eq(kp_compress(KP_CODEC_LZ4, 9, in, &plain), KC_OK);
    expect_plain(packed.data, packed.len);
    kb_mem_free(&mem, data);
    finish();
}
END_TEST

START_TEST(snappy_is_written_in_xerials_framing)
{
    if (!kp_codec_is_built(KP_CODEC_SNAPPY))
        return;
    begin(0);
    uint8_t *data = sample(32768 + 5, 3);
    ck_assert_int_eq(kp_compress(KP_CODEC_SNAPPY, INT_MIN, kc_span(data, 32768 + 5), &packed),
                     KC_OK);
    static const uint8_t header[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    ck_assert(memcmp(packed.data, header, sizeof header) == 0);
    const uint8_t *p = packed.data + 16;
    size_t first = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    p += 4 + first;
    ck_assert(p[0] == 0 && p[1] == 0 && p[2] == 0);
    ck_assert_ptr_eq(p + 4 + p[3], packed.data + packed.len);
    kb_mem_free(&mem, data);
    finish();
}
END_TEST

START_TEST(zstd_states_the_content_size)
{
    if (!kp_codec_is_built(KP_CODEC_ZSTD))
        return;
    begin(0);
    ck_assert_int_eq(kp_compress(KP_CODEC_ZSTD, INT_MIN, KC_STR("twelve bytes"), &packed), KC_OK);
    static const uint8_t header[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 12};
    ck_assert(memcmp(packed.data, header, sizeof header) == 0);
    finish();
}
END_TEST

/* ---- what other clients write ---- */

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

START_TEST(lz4_with_a_broken_checksum_of_its_content_is_refused)
{
    begin(0);
    lz4_frame(LZ4F_blockIndependent, LZ4F_max64KB, true, false, KC_STR("some content"));
    packed.data[packed.len - 1] ^= 1;
    ck_assert_int_eq(kp_decompress(KP_CODEC_LZ4, kb_buf_bytes(&packed), false, &plain),
                     KC_ERR_COMPRESSION);
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

/* "Kafka frames in a row. " forty times, as the zstd program writes it. */
#define ZSTD_BLOCK     "f50000b84b61666b61206672616d657320696e206120726f772e200100fd6a359b"
#define ZSTD_STREAMED  "28b52ffd0058" ZSTD_BLOCK
#define ZSTD_CHECKED   "28b52ffd0458" ZSTD_BLOCK "3983ee60"
#define ZSTD_SIZED     "28b52ffd609802" ZSTD_BLOCK
#define ZSTD_LEVEL_22  "28b52ffd0088" ZSTD_BLOCK
#define ZSTD_SKIPPABLE "5a2a4d1803000000abcdef"

START_TEST(zstd_of_every_kind_and_of_several_frames_is_read)
{
    if (!kp_codec_is_built(KP_CODEC_ZSTD))
        return;
    static const char *const frames[] = {
        ZSTD_STREAMED,
        ZSTD_CHECKED,
        ZSTD_SIZED,
        ZSTD_LEVEL_22,
        ZSTD_CHECKED ZSTD_SKIPPABLE ZSTD_SIZED ZSTD_STREAMED ZSTD_LEVEL_22,
    };
    static const size_t repeats[] = {1, 1, 1, 1, 4};
    begin(4 * MIB);
    ck_assert_int_eq(unpack_hex(KP_CODEC_ZSTD, ZSTD_SIZED), KC_OK);
    ck_assert_uint_lt(plain.cap, 4096); /* no more than the size it states */
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(unpack_hex(KP_CODEC_ZSTD, frames[i]), KC_OK);
        ck_assert_uint_eq(plain.len, repeats[i] * 920);
        for (size_t at = 0; at < plain.len; at += 23)
            ck_assert(memcmp(plain.data + at, "Kafka frames in a row. ", 23) == 0);
    }
    ck_assert_int_eq(unpack_hex(KP_CODEC_ZSTD, ZSTD_SKIPPABLE), KC_OK);
    expect_plain("", 0);
    finish();
}
END_TEST

START_TEST(broken_zstd_is_refused)
{
    if (!kp_codec_is_built(KP_CODEC_ZSTD))
        return;
    static const char *const broken[] = {
        "",
        "28b52ffd",
        "28b52ffdff",
        "5a2a4d1803000000abcd",
        ZSTD_SIZED "00",
        "28b52ffd0458" ZSTD_BLOCK "3983ee61",    /* checksum         */
        "28b52ffd609702" ZSTD_BLOCK,             /* size one too low */
        "28b52ffd609902" ZSTD_BLOCK,             /* size one too high */
        "28b52ffde0ffffffffffffff7f" ZSTD_BLOCK, /* a size that is a lie */
        "28b52ffd0158" ZSTD_BLOCK,               /* wants a dictionary */
    };
    begin(64 * MIB);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        ck_assert_int_eq(unpack_hex(KP_CODEC_ZSTD, broken[i]), KC_ERR_COMPRESSION);
        ck_assert_uint_eq(plain.len, 0);
    }
    ck_assert_uint_lt(mem.peak, MIB); /* no lie was believed */
    finish();
}
END_TEST

/* ---- hostile input ---- */

START_TEST(input_cut_at_any_byte_is_an_error_not_a_crash)
{
    for (int codec = 1; codec < KP_CODEC_COUNT; codec++) {
        if (!kp_codec_is_built((kp_codec)codec))
            continue;
        begin(0);
        uint8_t *data = sample(3000, 5);
        ck_assert_int_eq(kp_compress((kp_codec)codec, INT_MIN, kc_span(data, 3000), &packed),
                         KC_OK);
        for (size_t len = 0; len < packed.len; len++) {
            uint8_t *cut = kb_mem_alloc(&mem, len); /* so that a read behind it is seen */
            if (len > 0)
                memcpy(cut, packed.data, len);
            kb_buf_reset(&plain);
            kc_err err = kp_decompress((kp_codec)codec, kc_span(cut, len), false, &plain);
            /* xerial's header alone is an empty stream */
            bool is_whole = codec == KP_CODEC_SNAPPY && len == 16;
            ck_assert_int_eq(err, is_whole ? KC_OK : KC_ERR_COMPRESSION);
            ck_assert_uint_eq(plain.len, 0);
            kb_mem_free(&mem, cut);
        }
        kb_mem_free(&mem, data);
        finish();
    }
}
END_TEST

START_TEST(flipped_bits_never_crash_nor_pass_the_limit)
{
    for (int codec = 1; codec < KP_CODEC_COUNT; codec++) {
        if (!kp_codec_is_built((kp_codec)codec))
            continue;
        begin(8192);
        uint8_t *data = sample(3000, 6);
        ck_assert_int_eq(kp_compress((kp_codec)codec, INT_MIN, kc_span(data, 3000), &packed),
                         KC_OK);
        size_t bits = packed.len * 8;
        for (size_t bit = 0; bit < bits; bit += bit < 512 ? 1 : 7) {
            packed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            kb_buf_reset(&plain);
            kc_err err = kp_decompress((kp_codec)codec, kb_buf_bytes(&packed), bit % 2, &plain);
            ck_assert(err == KC_OK || err == KC_ERR_COMPRESSION || err == KC_ERR_TOO_LARGE);
            ck_assert_uint_le(plain.len, 8192);
            ck_assert(err == KC_OK || plain.len == 0);
            packed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        kb_mem_free(&mem, data);
        finish();
    }
}
END_TEST

START_TEST(noise_never_crashes)
{
    begin(65536);
    kb_rand rand;
    kb_rand_init(&rand, 7);
    for (int round = 0; round < 4000; round++) {
        size_t len = kb_rand_below(&rand, 200);
        uint8_t *in = kb_mem_alloc(&mem, len);
        for (size_t i = 0; i < len; i++)
            in[i] = (uint8_t)kb_rand_u64(&rand);
        static const char *const magics[] = {"", "\x1f\x8b\x08", "\x82SNAPPY",
                                             "\x04\x22\x4d\x18\x60", "\x28\xb5\x2f\xfd"};
        int codec = 1 + round % 4;
        size_t magic = strlen(magics[codec]);
        if (round % 8 > 3 && len > magic + 1)
            memcpy(in, magics[codec], magic);
        kb_buf_reset(&plain);
        (void)!kp_decompress((kp_codec)codec, kc_span(in, len), round % 3 == 0, &plain);
        ck_assert_uint_le(plain.len, 65536);
        kb_mem_free(&mem, in);
    }
    finish();
}
END_TEST

/* About a gigabyte out of `packed`. */
static void make_bomb(kp_codec codec)
{
    static const uint8_t zeros[4 << 20];
    if (codec == KP_CODEC_ZSTD) { /* 32 KB: 8,192 times 128 KiB of the same byte */
        kb_buf_put(&packed, "\x28\xb5\x2f\xfd\x00\x88", 6);
        for (int i = 0; i < 8192; i++)
            kb_buf_put(&packed, i < 8191 ? "\x02\x00\x10\x00" : "\x03\x00\x10\x00", 4);
        return;
    }
    if (codec == KP_CODEC_SNAPPY) { /* five bytes that claim a gigabyte */
        kb_buf_put(&packed, "\x80\x80\x80\x80\x04", 5);
        return;
    }
    size_t from = packed.len;
    ck_assert_int_eq(kp_compress(codec, INT_MIN, kc_span(zeros, sizeof zeros), &packed), KC_OK);
    size_t len = packed.len - from;
    for (int i = 1; i < 256; i++) {
        ck_assert_ptr_nonnull(kb_buf_reserve(&packed, len));
        kb_buf_put(&packed, packed.data + from, len);
    }
}

START_TEST(a_bomb_of_a_gigabyte_ends_at_the_limit)
{
    for (int codec = 1; codec < KP_CODEC_COUNT; codec++) {
        if (!kp_codec_is_built((kp_codec)codec))
            continue;
        begin(MIB);
        make_bomb((kp_codec)codec);
        mem.peak = mem.used;
        size_t before = mem.used;
        ck_assert_int_eq(kp_decompress((kp_codec)codec, kb_buf_bytes(&packed), false, &plain),
                         KC_ERR_TOO_LARGE);
        ck_assert_uint_eq(plain.len, 0);
        ck_assert_uint_le(mem.peak - before, 3 * MIB);
        finish();
    }
}
END_TEST

START_TEST(a_snappy_bomb_in_blocks_ends_at_the_limit)
{
    if (!kp_codec_is_built(KP_CODEC_SNAPPY))
        return;
    static const uint8_t zeros[1 << 16];
    begin(MIB);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(kp_compress(KP_CODEC_SNAPPY, 0, kc_span(zeros, sizeof zeros), &packed),
                         KC_OK);
    ck_assert_int_eq(kp_decompress(KP_CODEC_SNAPPY, kb_buf_bytes(&packed), false, &plain),
                     KC_ERR_TOO_LARGE);
    finish();
}
END_TEST

START_TEST(output_of_exactly_the_limit_fits_and_one_byte_less_does_not)
{
    enum {
        LEN = 20000
    };
    for (int codec = 0; codec < KP_CODEC_COUNT; codec++) {
        if (!kp_codec_is_built((kp_codec)codec))
            continue;
        for (size_t limit = LEN - 1; limit <= LEN + 1; limit++) {
            begin(limit);
            uint8_t *data = sample(LEN, 8);
            ck_assert_int_eq(kp_compress((kp_codec)codec, INT_MIN, kc_span(data, LEN), &packed),
                             KC_OK);
            kc_err err = kp_decompress((kp_codec)codec, kb_buf_bytes(&packed), false, &plain);
            ck_assert_int_eq(err, limit < LEN ? KC_ERR_TOO_LARGE : KC_OK);
            ck_assert_uint_eq(plain.len, limit < LEN ? 0 : LEN);
            ck_assert_int_eq(plain.err, KC_OK);
            kb_mem_free(&mem, data);
            finish();
        }
    }
}
END_TEST

/* ---- memory that runs out ---- */

typedef struct failing {
    int left; /* allocations that still succeed */
} failing;

static void *failing_malloc(size_t size, void *user)
{
    failing *f = user;
    return f->left-- > 0 ? malloc(size) : NULL;
}

static void *failing_realloc(void *ptr, size_t size, void *user)
{
    failing *f = user;
    return f->left-- > 0 ? realloc(ptr, size) : NULL;
}

static void failing_free(void *ptr, void *user)
{
    (void)user;
    free(ptr);
}

START_TEST(every_allocation_may_fail)
{
    enum {
        LEN = 100000
    };
    for (int codec = 0; codec < KP_CODEC_COUNT; codec++) {
        if (!kp_codec_is_built((kp_codec)codec))
            continue;
        begin(0);
        uint8_t *data = sample(LEN, 9);
        kc_bytes in = kc_span(data, LEN);
        ck_assert_int_eq(kp_compress((kp_codec)codec, INT_MIN, in, &packed), KC_OK);
        for (int direction = 0; direction < 2; direction++) {
            kc_err err = KC_ERR_NOMEM;
            for (int n = 0; err != KC_OK; n++) {
                ck_assert_int_lt(n, 50);
                failing state = {.left = n};
                const kc_alloc alloc = {failing_malloc, failing_realloc, failing_free, &state};
                kb_mem scarce;
                kb_buf out;
                kb_mem_init(&scarce, &alloc, 0);
                kb_buf_init(&out, &scarce, 0);
                err = direction == 0
                          ? kp_compress((kp_codec)codec, INT_MIN, in, &out)
                          : kp_decompress((kp_codec)codec, kb_buf_bytes(&packed), false, &out);
                ck_assert(err == KC_OK || err == KC_ERR_NOMEM);
                ck_assert(err == KC_OK || (out.len == 0 && out.err == KC_OK));
                kb_buf_cleanup(&out);
                ck_assert_uint_eq(scarce.used, 0);
            }
        }
        kb_mem_free(&mem, data);
        finish();
    }
}
END_TEST

START_TEST(no_room_for_the_compressed_form_is_an_error_that_changes_nothing)
{
    uint8_t noise[64];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 151 + 7);
    for (int codec = 0; codec < KP_CODEC_COUNT; codec++) {
        if (!kp_codec_is_built((kp_codec)codec))
            continue;
        begin(20);
        kb_buf_put(&plain, "kept", 4);
        ck_assert_int_eq(
            kp_compress((kp_codec)codec, INT_MIN, kc_span(noise, sizeof noise), &plain),
            KC_ERR_NOMEM);
        expect_plain("kept", 4);
        ck_assert_int_eq(plain.err, KC_OK);
        finish();
    }
}
END_TEST

START_TEST(a_buffer_that_failed_before_is_left_alone)
{
    begin(4);
    kb_buf_put(&plain, "12345", 5);
    ck_assert_int_ne(plain.err, KC_OK);
    ck_assert_int_eq(kp_compress(KP_CODEC_NONE, 0, KC_STR("a"), &plain), plain.err);
    ck_assert_int_eq(kp_decompress(KP_CODEC_NONE, KC_STR("a"), false, &plain), plain.err);
    ck_assert_uint_eq(plain.len, 0);
    finish();
}
END_TEST
