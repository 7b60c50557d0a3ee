/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * LZ4 frames by liblz4. Written for the Java client's reader: one frame, independent blocks of 64
 * KiB, no checksums. Read: whatever LZ4 allows, and the header checksum of magic 0. The library's
 * own buffers (up to 8 MiB with blocks of 4 MiB) come from malloc. */
#include "protocol/base/error.h"
#include "protocol/compress_codec.h"

#include <lz4frame.h>

#define FRAME_MAGIC      0x184D2204u
#define SKIPPABLE_MASK   0xFFFFFFF0u
#define SKIPPABLE        0x184D2A50u
#define MAGIC_BYTES      4
#define HEADER_BYTES_MAX 19
#define RATIO_GUESS      4

/* Java's levels: 9 is its default and means the fast compressor; the others are high compression,
 * of which liblz4 knows 3 to 12. */
#define LEVEL_JAVA_DEFAULT 9
#define LEVEL_JAVA_MAX     17
#define LEVEL_LIBRARY_MAX  12

static LZ4F_preferences_t preferences(int level)
{
    LZ4F_preferences_t p = LZ4F_INIT_PREFERENCES;
    p.frameInfo.blockSizeID = LZ4F_max64KB;
    p.frameInfo.blockMode = LZ4F_blockIndependent;
    if (level != INT_MIN && level != LEVEL_JAVA_DEFAULT)
        p.compressionLevel = level < LEVEL_LIBRARY_MAX ? level : LEVEL_LIBRARY_MAX;
    return p;
}

static kc_err lz4_compress(kp_codec_cache *cache, int level, kc_bytes in, kb_buf *out)
{
    (void)cache;
    LZ4F_preferences_t p = preferences(level);
    size_t bound = LZ4F_compressFrameBound(in.len, &p);
    uint8_t *pos = kb_buf_reserve(out, bound);
    if (!pos)
        return KC_ERR_NOMEM;
    size_t size = LZ4F_compressFrame(pos, bound, in.ptr, in.len, &p);
    if (LZ4F_isError(size))
        return KC_ERR_COMPRESSION;
    out->len += size;
    return KC_OK;
}

static uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t rotate_left(uint32_t v, unsigned bits)
{
    return v << bits | v >> (32 - bits);
}

/* XXH32 with seed 0 of fewer than 16 bytes, which a frame descriptor is. liblz4 keeps its own
 * private. */
static uint32_t xxh32_short(const uint8_t *p, size_t len)
{
    const uint32_t prime[6] = {0, 2654435761u, 2246822519u, 3266489917u, 668265263u, 374761393u};
    uint32_t h = prime[5] + (uint32_t)len;
    for (; len >= 4; len -= 4, p += 4)
        h = rotate_left(h + load_le32(p) * prime[3], 17) * prime[4];
    for (; len > 0; len--, p++)
        h = rotate_left(h + *p * prime[5], 11) * prime[1];
    h = (h ^ h >> 15) * prime[2];
    h = (h ^ h >> 13) * prime[3];
    return h ^ h >> 16;
}

static kc_err error_of(size_t code)
{
    /* Codes are not in the stable API, names are. */
    bool is_memory = strcmp(LZ4F_getErrorName(code), "ERROR_allocation_failed") == 0;
    return is_memory ? KC_ERR_NOMEM : KC_ERR_COMPRESSION;
}

/* Decode until the frame's end (`*done_out`) or until all of `*in` is used up. */
static kc_err feed(LZ4F_dctx *dctx, kc_bytes *in, kp_sink *sink, bool *done_out)
{
    for (;;) {
        KB_TRY(kp_sink_open(sink));
        size_t produced = sink->room;
        size_t used = in->len;
        size_t hint = LZ4F_decompress(dctx, sink->pos, &produced, in->ptr, &used, NULL);
        if (LZ4F_isError(hint))
            return error_of(hint);
        *in = kc_span(in->ptr + used, in->len - used);
        KB_TRY(kp_sink_take(sink, produced));
        *done_out = hint == 0;
        if (*done_out || (in->len == 0 && produced < sink->room))
            return KC_OK;
        if (used == 0 && produced == 0)
            return KC_ERR_COMPRESSION;
    }
}

/* Java wrote the header checksum of magic 0 over the frame's magic too (KAFKA-3160): decode a
 * mended copy. */
static kc_err feed_mended_header(LZ4F_dctx *dctx, kc_bytes *in, kp_sink *sink)
{
    uint8_t header[HEADER_BYTES_MAX];
    size_t len = LZ4F_headerSize(in->ptr, in->len);
    if (LZ4F_isError(len) || len > in->len || len > sizeof header)
        return KC_ERR_COMPRESSION;
    memcpy(header, in->ptr, len);
    header[len - 1] = (uint8_t)(xxh32_short(header + MAGIC_BYTES, len - MAGIC_BYTES - 1) >> 8);
    kc_bytes mended = kc_span(header, len);
    bool done;
    KB_TRY(feed(dctx, &mended, sink, &done));
    *in = kc_span(in->ptr + len, in->len - len);
    return KC_OK;
}

static kc_err read_frame(LZ4F_dctx *dctx, bool mend_header, kc_bytes *in, kp_sink *sink)
{
    if (mend_header && load_le32(in->ptr) == FRAME_MAGIC)
        KB_TRY(feed_mended_header(dctx, in, sink));
    bool done;
    KB_TRY(feed(dctx, in, sink, &done));
    return done ? KC_OK : KC_ERR_COMPRESSION;
}

static bool is_frame(kc_bytes in)
{
    if (in.len < MAGIC_BYTES)
        return false;
    uint32_t magic = load_le32(in.ptr);
    return magic == FRAME_MAGIC || (magic & SKIPPABLE_MASK) == SKIPPABLE;
}

static kc_err lz4_decompress(kp_codec_cache *cache, kc_bytes in, bool lz4_broken_header,
                             kb_buf *out)
{
    (void)cache;
    if (!is_frame(in))
        return KC_ERR_COMPRESSION;
    LZ4F_dctx *dctx;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&dctx, LZ4F_VERSION)))
        return KC_ERR_NOMEM;
    kp_sink sink;
    kp_sink_init(&sink, out, in.len * RATIO_GUESS);
    kc_err err = KC_OK;
    /* Bytes behind a frame that begin no other are ignored, as Java does. */
    while (err == KC_OK && is_frame(in))
        err = read_frame(dctx, lz4_broken_header, &in, &sink);
    (void)LZ4F_freeDecompressionContext(dctx);
    return err;
}

const kp_codec_ops kp_codec_lz4 = {
    .name = "lz4",
    .has_levels = true,
    .level_min = 1,
    .level_max = LEVEL_JAVA_MAX,
    .level_fallback = LEVEL_JAVA_DEFAULT,
    .compress = lz4_compress,
    .decompress = lz4_decompress,
};
