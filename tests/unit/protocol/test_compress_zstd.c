/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * protocol/compress: zstd as other clients write it, whole and broken. Built where zstd is. */
#include "compress_fixture.h"

#include <zstd.h>

/* "Kafka frames in a row. " forty times, as the zstd program writes it. */
#define ZSTD_BLOCK     "f50000b84b61666b61206672616d657320696e206120726f772e200100fd6a359b"
#define ZSTD_STREAMED  "28b52ffd0058" ZSTD_BLOCK
#define ZSTD_CHECKED   "28b52ffd0458" ZSTD_BLOCK "3983ee60"
#define ZSTD_SIZED     "28b52ffd609802" ZSTD_BLOCK
#define ZSTD_LEVEL_22  "28b52ffd0088" ZSTD_BLOCK
#define ZSTD_SKIPPABLE "5a2a4d1803000000abcdef"

START_TEST(zstd_of_every_kind_and_of_several_frames_is_read)
{
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

/* As a streaming writer does, which does not know the size: parts come and are flushed. */
static void zstd_stream(kc_bytes in, size_t part_max, int level, bool check, int window_log)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ck_assert_ptr_nonnull(c);
    ck_assert(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)));
    ck_assert(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, check)));
    ck_assert(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log)));
    ck_assert_ptr_nonnull(kb_buf_reserve(&packed, ZSTD_compressBound(in.len) + in.len));
    ZSTD_outBuffer out = {packed.data, packed.cap, packed.len};
    for (size_t at = 0; at < in.len;) {
        size_t part = in.len - at < part_max ? in.len - at : part_max;
        ZSTD_inBuffer piece = {in.ptr + at, part, 0};
        at += part;
        ck_assert_uint_eq(
            ZSTD_compressStream2(c, &out, &piece, at == in.len ? ZSTD_e_end : ZSTD_e_flush), 0);
    }
    packed.len = out.pos;
    (void)ZSTD_freeCCtx(c);
}

START_TEST(zstd_of_many_small_blocks_takes_no_more_room_than_it_fills)
{
    enum {
        LEN = 100000,
        PART = 50
    };
    begin(64 * MIB);
    uint8_t *data = kb_mem_alloc(&mem, LEN);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < LEN; i++) /* no noise: each part becomes a compressed block */
        data[i] = (uint8_t)("a record's value "[i % 17]);
    zstd_stream(kc_span(data, LEN), PART, 1, false, 10);
    ck_assert_int_eq(kp_decompress(KP_CODEC_ZSTD, kb_buf_bytes(&packed), false, &plain), KC_OK);
    expect_plain(data, LEN);
    ck_assert_uint_lt(plain.cap, 2 * MIB); /* 2000 blocks might have become 250 MiB */
    kb_mem_free(&mem, data);
    finish();
}
END_TEST

START_TEST(zstd_that_was_streamed_is_read)
{
    begin(0);
    enum {
        LEN = 1 << 20
    };
    uint8_t *data = sample(LEN, 17);
    for (int kind = 0; kind < 8; kind++) {
        kb_buf_reset(&packed);
        kb_buf_reset(&plain);
        zstd_stream(kc_span(data, LEN), 50000, kind & 1 ? 19 : 1, kind & 2, kind & 4 ? 27 : 10);
        ck_assert_int_eq(kp_decompress(KP_CODEC_ZSTD, kb_buf_bytes(&packed), false, &plain), KC_OK);
        expect_plain(data, LEN);
    }
    kb_mem_free(&mem, data);
    finish();
}
END_TEST
