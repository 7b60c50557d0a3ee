/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * snappy: written in xerial's framing as the Java client does, read framed or raw. */
#include "protocol/base/error.h"
#include "protocol/compress_codec.h"
#include "protocol/wire.h"

#ifdef KC_WITH_SNAPPY
#include <snappy-c.h>

/* xerial: magic, version, lowest compatible version; then blocks of a length and raw snappy. */
#define HEADER_BYTES   16
#define MAGIC_BYTES    8
#define BLOCK_BYTES    ((size_t)32 * 1024)
#define LENGTH_BYTES   4
#define XERIAL_VERSION 1
/* The densest element is a copy: 64 bytes out of 3. */
#define RATIO_MAX 22

static const uint8_t magic[MAGIC_BYTES] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

static kc_err compress_block(kc_bytes block, kb_buf *out)
{
    size_t size = snappy_max_compressed_length(block.len);
    uint8_t *pos = kb_buf_reserve(out, LENGTH_BYTES + size);
    if (!pos)
        return KC_ERR_NOMEM;
    snappy_status status =
        snappy_compress((const char *)block.ptr, block.len, (char *)pos + LENGTH_BYTES, &size);
    if (status != SNAPPY_OK)
        return KC_ERR_COMPRESSION;
    kp_store32(pos, (uint32_t)size);
    out->len += LENGTH_BYTES + size;
    return KC_OK;
}

static kc_err xerial_compress(kp_codec_cache *cache, int level, kc_bytes in, kb_buf *out)
{
    (void)cache;
    (void)level;
    uint8_t *header = kb_buf_extend(out, HEADER_BYTES);
    if (!header)
        return KC_ERR_NOMEM;
    memcpy(header, magic, MAGIC_BYTES);
    kp_store32(header + MAGIC_BYTES, XERIAL_VERSION);
    kp_store32(header + MAGIC_BYTES + 4, XERIAL_VERSION);
    while (in.len > 0) {
        size_t len = in.len < BLOCK_BYTES ? in.len : BLOCK_BYTES;
        KB_TRY(compress_block(kc_span(in.ptr, len), out));
        in = kc_span(in.ptr + len, in.len - len);
    }
    return KC_OK;
}

static kc_err decompress_block(kc_bytes block, kb_buf *out)
{
    size_t size;
    const char *from = (const char *)block.ptr;
    if (snappy_uncompressed_length(from, block.len, &size) != SNAPPY_OK)
        return KC_ERR_COMPRESSION;
    if (size > out->limit - out->len)
        return KC_ERR_TOO_LARGE;
    if (size / RATIO_MAX > block.len)
        return KC_ERR_COMPRESSION; /* a lie: don't allocate for it */
    uint8_t *pos;
    KB_TRY(kp_reserve(out, size, &pos));
    if (snappy_uncompress(from, block.len, (char *)pos, &size) != SNAPPY_OK)
        return KC_ERR_COMPRESSION;
    out->len += size;
    return KC_OK;
}

static bool is_header(kc_bytes in)
{
    return in.len >= HEADER_BYTES && memcmp(in.ptr, magic, MAGIC_BYTES) == 0;
}

static kc_err snappy_decompress(kp_codec_cache *cache, kc_bytes in, bool lz4_broken_header,
                                kb_buf *out)
{
    (void)cache;
    (void)lz4_broken_header;
    if (!is_header(in))
        return decompress_block(in, out);
    while (in.len > 0) {
        if (is_header(in)) { /* streams may follow one another */
            in = kc_span(in.ptr + HEADER_BYTES, in.len - HEADER_BYTES);
            continue;
        }
        if (in.len < LENGTH_BYTES)
            return KC_ERR_COMPRESSION;
        size_t len = kp_load32(in.ptr);
        if (len > in.len - LENGTH_BYTES)
            return KC_ERR_COMPRESSION;
        KB_TRY(decompress_block(kc_span(in.ptr + LENGTH_BYTES, len), out));
        in = kc_span(in.ptr + LENGTH_BYTES + len, in.len - LENGTH_BYTES - len);
    }
    return KC_OK;
}

#endif

const kp_codec_ops kp_codec_snappy = {
    .name = "snappy",
#ifdef KC_WITH_SNAPPY
    .compress = xerial_compress,
    .decompress = snappy_decompress,
#endif
};
