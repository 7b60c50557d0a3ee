/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * zstd (RFC 8878): written as one frame with its content size, read frame by frame straight into
 * the output.
 *
 * Decoding whole frames needs no window of its own, however large the frame says it is: the output
 * is the window. Frames without a content size (Java streams, so it never writes one) have their
 * blocks counted first, which bounds what they can become. Who flushes often writes many blocks that
 * become little: so much room is not taken at once. The library's contexts come from malloc:
 * its custom allocators are not in the stable interface. */
#include "protocol/base/error.h"
#include "protocol/compress_codec.h"

#ifdef KC_WITH_ZSTD
#include <zstd.h>
#include <zstd_errors.h>

#define LEVEL_MIN      (-131072)
#define LEVEL_MAX      22
#define LEVEL_FALLBACK 3

#define MAGIC_BYTES        4
#define BLOCK_HEADER_BYTES 3
#define BLOCK_BYTES_MAX    ((size_t)128 * 1024)
/* Room given to a frame at first, and twice as much each time that was not enough. */
#define RATIO_GUESS    32
#define ROOM_BYTES_MIN ((size_t)1 << 20)
enum {
    BLOCK_RAW,
    BLOCK_RLE,
    BLOCK_COMPRESSED
};

static kc_err error_of(size_t code)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return KC_ERR_NOMEM;
    case ZSTD_error_dstSize_tooSmall:
        return KC_ERR_TOO_LARGE;
    default:
        return KC_ERR_COMPRESSION;
    }
}

static kc_err zstd_compress(kp_codec_cache *cache, int level, kc_bytes in, kb_buf *out)
{
    size_t bound = ZSTD_compressBound(in.len);
    if (ZSTD_isError(bound))
        return KC_ERR_COMPRESSION;
    uint8_t *pos = kb_buf_reserve(out, bound);
    if (!cache->zstd_compress)
        cache->zstd_compress = ZSTD_createCCtx();
    ZSTD_CCtx *cctx = cache->zstd_compress;
    if (!pos || !cctx)
        return KC_ERR_NOMEM;
    size_t size = ZSTD_compressCCtx(cctx, pos, bound, in.ptr, in.len,
                                    level == INT_MIN ? LEVEL_FALLBACK : level);
    if (ZSTD_sizeof_CCtx(cctx) > KP_CODEC_CACHE_BYTES_MAX) {
        (void)ZSTD_freeCCtx(cctx);
        cache->zstd_compress = NULL;
    }
    if (ZSTD_isError(size))
        return error_of(size);
    out->len += size;
    return KC_OK;
}

/* Most bytes the blocks of a frame can become. `frame` is whole: ZSTD_findFrameCompressedSize()
 * walked it. */
static size_t blocks_bound(kc_bytes frame)
{
    static const uint8_t dictionary_bytes[4] = {0, 1, 2, 4};
    const uint8_t *end = frame.ptr + frame.len;
    if (frame.len < MAGIC_BYTES + 1)
        return 0;
    uint8_t descriptor = frame.ptr[MAGIC_BYTES];
    bool is_single_segment = descriptor & 0x20;
    unsigned size_flag = descriptor >> 6;
    size_t skip = MAGIC_BYTES + 1u + dictionary_bytes[descriptor & 3] + (is_single_segment ? 0 : 1);
    skip += size_flag == 0 ? is_single_segment : (size_t)1 << size_flag;
    if (skip > frame.len)
        return 0;
    size_t sum = 0;
    bool is_last = false;
    for (const uint8_t *p = frame.ptr + skip; !is_last && end - p >= BLOCK_HEADER_BYTES;) {
        uint32_t header = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
        unsigned type = header >> 1 & 3;
        size_t size = header >> 3;
        size_t stored = type == BLOCK_RLE ? 1 : size;
        sum += type == BLOCK_COMPRESSED ? BLOCK_BYTES_MAX : size;
        is_last = header & 1;
        if ((size_t)(end - p) < BLOCK_HEADER_BYTES + stored)
            break;
        p += BLOCK_HEADER_BYTES + stored;
    }
    return sum;
}

static size_t frame_bound(kc_bytes frame)
{
    unsigned long long told = ZSTD_getFrameContentSize(frame.ptr, frame.len);
    size_t bound = blocks_bound(frame);
    return told < bound ? (size_t)told : bound; /* unknown and error are the highest numbers */
}

static kc_err read_frame(ZSTD_DCtx *dctx, kc_bytes frame, kb_buf *out)
{
    size_t left = out->limit - out->len;
    size_t bound = frame_bound(frame);
    size_t most = bound < left ? bound : left;
    size_t guess = frame.len * RATIO_GUESS;
    for (guess = guess < ROOM_BYTES_MIN ? ROOM_BYTES_MIN : guess;; guess *= 2) {
        size_t room = guess < most ? guess : most;
        uint8_t *pos = kb_buf_reserve(out, room);
        if (!pos)
            return KC_ERR_NOMEM;
        size_t size = ZSTD_decompressDCtx(dctx, pos, room, frame.ptr, frame.len);
        if (!ZSTD_isError(size)) {
            out->len += size;
            return KC_OK;
        }
        kc_err err = error_of(size);
        if (err != KC_ERR_TOO_LARGE)
            return err;
        /* With all the room it claimed, a frame that needs more is broken. */
        if (room == most)
            return room == bound ? KC_ERR_COMPRESSION : err;
    }
}

static kc_err zstd_decompress(kp_codec_cache *cache, kc_bytes in, bool lz4_broken_header,
                              kb_buf *out)
{
    (void)lz4_broken_header;
    if (in.len == 0)
        return KC_ERR_COMPRESSION;
    if (!cache->zstd_decompress)
        cache->zstd_decompress = ZSTD_createDCtx();
    if (!cache->zstd_decompress)
        return KC_ERR_NOMEM;
    while (in.len > 0) {
        size_t len = ZSTD_findFrameCompressedSize(in.ptr, in.len);
        if (ZSTD_isError(len))
            return KC_ERR_COMPRESSION;
        KB_TRY(read_frame(cache->zstd_decompress, kc_span(in.ptr, len), out));
        in = kc_span(in.ptr + len, in.len - len);
    }
    return KC_OK;
}

void kp_zstd_cleanup(kp_codec_cache *cache)
{
    (void)ZSTD_freeCCtx(cache->zstd_compress);
    (void)ZSTD_freeDCtx(cache->zstd_decompress);
    *cache = (kp_codec_cache){0};
}

#else

void kp_zstd_cleanup(kp_codec_cache *cache)
{
    (void)cache;
}

#endif

const kp_codec_ops kp_codec_zstd = {
    .name = "zstd",
#ifdef KC_WITH_ZSTD
    .has_levels = true,
    .level_min = LEVEL_MIN,
    .level_max = LEVEL_MAX,
    .level_fallback = LEVEL_FALLBACK,
    .compress = zstd_compress,
    .decompress = zstd_decompress,
#endif
};
