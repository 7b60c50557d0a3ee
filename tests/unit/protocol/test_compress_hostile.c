/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * protocol/compress: cut, damaged and forged input, bombs. */
#include "compress_fixture.h"

#include <sys/resource.h>

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

/* ---- bombs ---- */

#define BOMB_BYTES ((size_t)1 << 30)
#define BOMB_LIMIT MIB

static const uint8_t zeros[4 * MIB];

static void repeat(kc_bytes piece, size_t times)
{
    ck_assert_ptr_nonnull(kb_buf_reserve(&packed, piece.len * times));
    for (size_t i = 0; i < times; i++)
        kb_buf_put_bytes(&packed, piece);
}

/* The compressed form of 4 MiB of zeros, so many times. */
static void put_streams(kp_codec codec, size_t times)
{
    kb_buf one;
    kb_buf_init(&one, &mem, 0);
    ck_assert_int_eq(kp_compress(codec, INT_MIN, kc_span(zeros, sizeof zeros), &one), KC_OK);
    repeat(kb_buf_bytes(&one), times);
    kb_buf_cleanup(&one);
}

static void gzip_members(void)
{
    put_streams(KP_CODEC_GZIP, BOMB_BYTES / sizeof zeros);
}

static void gzip_of_5_kb(void)
{
    put_streams(KP_CODEC_GZIP, 1); /* deflate's densest, a thousand to one */
    ck_assert_uint_lt(packed.len, 5000);
}

static void snappy_claim_of_5_bytes(void)
{
    kb_buf_put(&packed, "\x80\x80\x80\x80\x04", 5);
}

/* A literal, then copies of 64 bytes from one behind: the densest there is, and no lie. */
static void snappy_of_copies(void)
{
    kb_buf_put(&packed, "\x80\x80\x80\x80\x04", 5);
    kb_buf_put(&packed, "\xf0\x3f", 2); /* a literal of 64 bytes */
    kb_buf_put(&packed, zeros, 64);
    repeat(KC_STR("\xfe\x01\x00"), BOMB_BYTES / 64 - 1);
}

static void snappy_streams(void)
{
    put_streams(KP_CODEC_SNAPPY, 16);
}

static void lz4_frames(void)
{
    put_streams(KP_CODEC_LZ4, BOMB_BYTES / sizeof zeros);
}

/* Descriptor: content size, blocks of 4 MiB; its checksum is not looked at (as of magic 0). */
static void lz4_claim_of_a_size(void)
{
    kb_buf_put(&packed, "\x04\x22\x4d\x18\x68\x70\0\0\0\x40\0\0\0\0\x83", 15);
    put_streams(KP_CODEC_LZ4, 1);
    memmove(packed.data + 15, packed.data + 22, packed.len - 22);
    packed.len -= 7;
}

/* 32 KB: 8,192 blocks of 128 KiB of the same byte. */
static void put_zstd_blocks(void)
{
    repeat(KC_STR("\x02\x00\x10\x00"), 8191);
    kb_buf_put(&packed, "\x03\x00\x10\x00", 4);
}

static void zstd_blocks(void)
{
    kb_buf_put(&packed, "\x28\xb5\x2f\xfd\x00\x88", 6);
    put_zstd_blocks();
}

/* The same with the content size, and with a window of 2 GiB. */
static void zstd_of_a_told_size(void)
{
    kb_buf_put(&packed, "\x28\xb5\x2f\xfd\xa0\0\0\0\x40", 9);
    put_zstd_blocks();
}

static void zstd_of_a_large_window(void)
{
    kb_buf_put(&packed, "\x28\xb5\x2f\xfd\x00\xa8", 6);
    put_zstd_blocks();
}

static void zstd_of_1_kb(void)
{
    kb_buf_put(&packed, "\x28\xb5\x2f\xfd\x00\x88", 6);
    repeat(KC_STR("\x02\x00\x10\x00"), 250);
    kb_buf_put(&packed, "\x03\x00\x10\x00", 4);
}

static const struct {
    const char *name;
    kp_codec codec;
    void (*make)(void);
} bombs[] = {
    {"gzip members", KP_CODEC_GZIP, gzip_members},
    {"gzip of 5 KB", KP_CODEC_GZIP, gzip_of_5_kb},
    {"snappy claim", KP_CODEC_SNAPPY, snappy_claim_of_5_bytes},
    {"snappy of copies", KP_CODEC_SNAPPY, snappy_of_copies},
    {"xerial snappy", KP_CODEC_SNAPPY, snappy_streams},
    {"lz4 frames", KP_CODEC_LZ4, lz4_frames},
    {"lz4 with a size", KP_CODEC_LZ4, lz4_claim_of_a_size},
    {"zstd blocks", KP_CODEC_ZSTD, zstd_blocks},
    {"zstd with a size", KP_CODEC_ZSTD, zstd_of_a_told_size},
    {"zstd with a window of 2 GiB", KP_CODEC_ZSTD, zstd_of_a_large_window},
    {"zstd of 1 KB", KP_CODEC_ZSTD, zstd_of_1_kb},
};

/* Most the process ever held, what the libraries took by themselves included. */
static size_t resident_peak(void)
{
    struct rusage usage;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return (size_t)usage.ru_maxrss << 10;
}

START_TEST(a_bomb_ends_at_the_limit_and_takes_no_memory_beyond_it)
{
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        if (!kp_codec_is_built(bombs[i].codec))
            continue;
        begin(BOMB_LIMIT);
        bombs[i].make();
        size_t before = mem.peak = mem.used;
        size_t resident = resident_peak();
        kc_err err = kp_decompress(bombs[i].codec, kb_buf_bytes(&packed), true, &plain);
        ck_assert_msg(err == KC_ERR_TOO_LARGE, "%s: %d", bombs[i].name, err);
        ck_assert_uint_eq(plain.len, 0);
        /* the output grows by doubling: at most one more copy of it */
        ck_assert_msg(mem.peak - before <= 2 * BOMB_LIMIT, "%s: %zu bytes", bombs[i].name,
                      mem.peak - before);
        resident = resident_peak() - resident;
        ck_assert_msg(resident <= 12 * BOMB_LIMIT, "%s: %zu bytes", bombs[i].name, resident);
        finish();
    }
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
