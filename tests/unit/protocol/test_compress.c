/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * protocol/compress: names, levels, round trips, the form Java reads, no room. */
#include "compress_fixture.h"

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
