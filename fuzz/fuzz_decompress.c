/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Decompression: bounded, all or nothing, and what is taken for LZ4 is what liblz4's own frame reader takes.
 * The first byte chooses the codec; with its high bit the header checksum of LZ4 is made right first. */
#include "fuzz/fuzz.h"
#include "protocol/compress.h"

#include <limits.h>
#include <lz4frame.h>
#include <string.h>

#define PLAIN_BYTES_MAX ((size_t)256 << 10)
#define MEND            0x80
#define FLAG_SIZE       0x08
#define FLAG_DICTIONARY 0x01

static bool is_frame(kc_bytes in)
{
    static const uint8_t magic[] = {0x04, 0x22, 0x4d, 0x18};
    bool is_skippable =
        in.len >= 4 && (in.ptr[0] & 0xf0) == 0x50 && memcmp(in.ptr + 1, "\x2a\x4d\x18", 3) == 0;
    return is_skippable || (in.len >= 4 && memcmp(in.ptr, magic, 4) == 0);
}

/* As protocol/compress, by liblz4: how many bytes come out of all frames in a row; SIZE_MAX: refused. */
static size_t reference(kc_bytes in, uint8_t *to, size_t room)
{
    LZ4F_dctx *dctx;
    size_t len = 0;
    FUZZ_CHECK(!LZ4F_isError(LZ4F_createDecompressionContext(&dctx, LZ4F_VERSION)));
    bool is_good = is_frame(in);
    while (is_good && is_frame(in)) {
        size_t hint = 1;
        while (is_good && hint != 0) {
            size_t used = in.len;
            size_t made = room - len;
            hint = LZ4F_decompress(dctx, to + len, &made, in.ptr, &used, NULL);
            is_good = !LZ4F_isError(hint) && (used > 0 || made > 0);
            in = kc_span(in.ptr + used, in.len - used);
            len += made;
        }
    }
    FUZZ_CHECK(!LZ4F_isError(LZ4F_freeDecompressionContext(dctx)));
    return is_good ? len : SIZE_MAX;
}

/* Find the checksum that liblz4 accepts, in the first frame's header. */
static void mend_header(uint8_t *data, size_t size)
{
    size_t at = size > 4 && data[4] & FLAG_SIZE ? 14 : 6;
    LZ4F_dctx *dctx;
    FUZZ_CHECK(!LZ4F_isError(LZ4F_createDecompressionContext(&dctx, LZ4F_VERSION)));
    for (int byte = 0; at < size && byte <= UINT8_MAX; byte++) {
        LZ4F_frameInfo_t info;
        size_t used = size;
        data[at] = (uint8_t)byte;
        if (!LZ4F_isError(LZ4F_getFrameInfo(dctx, &info, data, &used)))
            break;
        LZ4F_resetDecompressionContext(dctx);
    }
    FUZZ_CHECK(!LZ4F_isError(LZ4F_freeDecompressionContext(dctx)));
}

/* `plain` holds what came out, and nothing unless KC_OK. */
static void compare(kc_bytes in, kc_err err, kc_bytes plain)
{
    static uint8_t expected[2 * PLAIN_BYTES_MAX];
    bool has_dictionary = in.len > 4 && in.ptr[4] & FLAG_DICTIONARY; /* which only we refuse */
    size_t len = reference(in, expected, sizeof expected);
    if (err == KC_OK)
        FUZZ_CHECK(len == plain.len && memcmp(expected, plain.ptr, len) == 0);
    else if (len <= PLAIN_BYTES_MAX)
        FUZZ_CHECK(has_dictionary || err == KC_ERR_TOO_LARGE);
    if (err == KC_ERR_TOO_LARGE && len != SIZE_MAX)
        FUZZ_CHECK(len > PLAIN_BYTES_MAX);
}

static void check_round_trip(kp_codec codec, kc_bytes in, kb_buf *packed, kb_buf *plain)
{
    FUZZ_CHECK(kp_compress(codec, INT_MIN, in, packed) == KC_OK);
    FUZZ_CHECK(kp_decompress(codec, kb_buf_bytes(packed), false, plain) == KC_OK);
    FUZZ_CHECK(kc_bytes_equal(kb_buf_bytes(plain), in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > PLAIN_BYTES_MAX)
        return 0;
    kp_codec codec = (kp_codec)(data[0] % KP_CODEC_COUNT);
    if (!kp_codec_is_built(codec))
        return 0;
    kb_mem mem;
    kb_buf in, packed, plain;
    kb_mem_init(&mem, NULL, FUZZ_BYTES_MAX);
    kb_buf_init(&in, &mem, 0);
    kb_buf_init(&packed, &mem, 0);
    kb_buf_init(&plain, &mem, PLAIN_BYTES_MAX);
    kb_buf_put(&in, data + 1, size - 1);
    if (codec == KP_CODEC_LZ4 && data[0] & MEND)
        mend_header(in.data, in.len);
    kc_err err = kp_decompress(codec, kb_buf_bytes(&in), false, &plain);
    FUZZ_CHECK(plain.len <= PLAIN_BYTES_MAX && (err == KC_OK || plain.len == 0));
    if (codec == KP_CODEC_LZ4)
        compare(kb_buf_bytes(&in), err, kb_buf_bytes(&plain));
    kb_buf_reset(&plain);
    check_round_trip(codec, kb_buf_bytes(&in), &packed, &plain);
    kb_buf_cleanup(&in);
    kb_buf_cleanup(&packed);
    kb_buf_cleanup(&plain);
    FUZZ_CHECK(mem.used == 0);
    return 0;
}

/* A frame of any kind LZ4 knows, in one or several blocks. */
static void put_lz4(kb_rand *rand, kc_bytes in, kb_buf *out)
{
    LZ4F_preferences_t p = LZ4F_INIT_PREFERENCES;
    p.frameInfo.blockMode = kb_rand_below(rand, 2) ? LZ4F_blockLinked : LZ4F_blockIndependent;
    p.frameInfo.blockSizeID = (LZ4F_blockSizeID_t)(LZ4F_max64KB + kb_rand_below(rand, 4));
    p.frameInfo.contentChecksumFlag = kb_rand_below(rand, 4) == 0;
    p.frameInfo.blockChecksumFlag = kb_rand_below(rand, 4) == 0;
    p.frameInfo.contentSize = kb_rand_below(rand, 4) == 0 ? in.len : 0;
    LZ4F_cctx *cctx;
    FUZZ_CHECK(!LZ4F_isError(LZ4F_createCompressionContext(&cctx, LZ4F_VERSION)));
    size_t bound = LZ4F_compressBound(in.len, &p) * 4 + 64;
    uint8_t *pos = kb_buf_reserve(out, bound);
    FUZZ_CHECK(pos);
    size_t len = LZ4F_compressBegin(cctx, pos, bound, &p);
    for (size_t at = 0; at < in.len;) { /* a flush after each part makes a block of it */
        size_t part = 1 + kb_rand_below(rand, in.len - at);
        len += LZ4F_compressUpdate(cctx, pos + len, bound - len, in.ptr + at, part, NULL);
        len += LZ4F_flush(cctx, pos + len, bound - len, NULL);
        at += part;
    }
    len += LZ4F_compressEnd(cctx, pos + len, bound - len, NULL);
    FUZZ_CHECK(len <= bound);
    out->len += len;
    FUZZ_CHECK(!LZ4F_isError(LZ4F_freeCompressionContext(cctx)));
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    static uint8_t text[3000];
    size_t len = kb_rand_below(rand, sizeof text);
    uint64_t letters = 1 + kb_rand_below(rand, 40);
    kp_codec codec = (kp_codec)kb_rand_below(rand, KP_CODEC_COUNT);
    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)(i % 50 < 25 ? i : kb_rand_below(rand, letters));
    kb_buf_put_byte(out, (uint8_t)(codec + (kb_rand_below(rand, 2) ? 5 * 26 : 0)));
    for (uint64_t n = 1 + kb_rand_below(rand, 2); n > 0; n--) {
        if (codec == KP_CODEC_LZ4)
            put_lz4(rand, kc_span(text, len), out);
        else if (kp_codec_is_built(codec))
            FUZZ_CHECK(kp_compress(codec, INT_MIN, kc_span(text, len), out) == KC_OK);
    }
}
