/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * gzip (RFC 1952) by zlib, whose memory is counted: 268 KB while compressing, 7 to 40 KB while
 * decompressing. */
#include "protocol/base/error.h"
#include "protocol/compress_codec.h"

#define ZLIB_CONST /* input is const */
#include <zlib.h>

/* 15 bits of window; 16 more select the gzip wrapper. */
#define WINDOW_BITS_GZIP (15 + 16)
#define MEM_LEVEL        8
/* First guess of the ratio; a forged size in the trailer can't ask for more. */
#define RATIO_GUESS   16
#define MAGIC_0       0x1f
#define MAGIC_1       0x8b
#define TRAILER_BYTES 8

static voidpf zlib_alloc(voidpf mem, uInt items, uInt size)
{
    return kb_mem_alloc(mem, (size_t)items * size);
}

static void zlib_free(voidpf mem, voidpf ptr)
{
    kb_mem_free(mem, ptr);
}

static kc_err error_of(int rc)
{
    return rc == Z_MEM_ERROR ? KC_ERR_NOMEM : KC_ERR_COMPRESSION;
}

static kc_err deflate_once(z_stream *z, kc_bytes in, kb_buf *out)
{
    uLong bound = deflateBound(z, (uLong)in.len);
    uint8_t *pos = bound <= UINT_MAX ? kb_buf_reserve(out, bound) : NULL;
    if (!pos)
        return KC_ERR_NOMEM;
    z->next_in = in.ptr;
    z->avail_in = (uInt)in.len;
    z->next_out = pos;
    z->avail_out = (uInt)bound;
    int rc = deflate(z, Z_FINISH);
    if (rc != Z_STREAM_END)
        return KC_ERR_COMPRESSION;
    out->len += z->total_out;
    return KC_OK;
}

static kc_err gzip_compress(kp_codec_cache *cache, int level, kc_bytes in, kb_buf *out)
{
    (void)cache;
    if (in.len > INT_MAX)
        return KC_ERR_COMPRESSION;
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free, .opaque = out->mem};
    int rc = deflateInit2(&z, level == INT_MIN ? Z_DEFAULT_COMPRESSION : level, Z_DEFLATED,
                          WINDOW_BITS_GZIP, MEM_LEVEL, Z_DEFAULT_STRATEGY);
    if (rc != Z_OK)
        return error_of(rc);
    kc_err err = deflate_once(&z, in, out);
    (void)deflateEnd(&z);
    return err;
}

/* The trailer tells the size (of the last member, modulo 2^32): mostly right, never trusted. */
static size_t guess_size(kc_bytes in)
{
    if (in.len < TRAILER_BYTES)
        return 0;
    const uint8_t *p = in.ptr + in.len - 4;
    size_t told = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    size_t most = in.len * RATIO_GUESS;
    return told < most ? told : most;
}

/* Bytes behind a member that begin no other are ignored, as Java's GZIPInputStream does. */
static bool next_member(z_stream *z)
{
    return z->avail_in >= 2 && z->next_in[0] == MAGIC_0 && z->next_in[1] == MAGIC_1 &&
           inflateReset(z) == Z_OK;
}

static kc_err inflate_all(z_stream *z, kp_sink *sink)
{
    for (;;) {
        KB_TRY(kp_sink_open(sink));
        uInt room = sink->room < UINT_MAX ? (uInt)sink->room : UINT_MAX;
        z->next_out = sink->pos;
        z->avail_out = room;
        /* Z_FINISH spares the copy into a window when all comes out at once. */
        int rc = inflate(z, Z_FINISH);
        KB_TRY(kp_sink_take(sink, room - z->avail_out));
        if (rc == Z_STREAM_END) {
            if (!next_member(z))
                return KC_OK;
        } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
            return error_of(rc);
        } else if (z->avail_out > 0) {
            return KC_ERR_COMPRESSION; /* wants input, there is none */
        }
    }
}

static kc_err gzip_decompress(kp_codec_cache *cache, kc_bytes in, bool lz4_broken_header,
                              kb_buf *out)
{
    (void)cache;
    (void)lz4_broken_header;
    if (in.len > INT_MAX)
        return KC_ERR_COMPRESSION;
    z_stream z = {.zalloc = zlib_alloc,
                  .zfree = zlib_free,
                  .opaque = out->mem,
                  .next_in = in.ptr,
                  .avail_in = (uInt)in.len};
    int rc = inflateInit2(&z, WINDOW_BITS_GZIP);
    if (rc != Z_OK)
        return error_of(rc);
    kp_sink sink;
    kp_sink_init(&sink, out, guess_size(in));
    kc_err err = inflate_all(&z, &sink);
    (void)inflateEnd(&z);
    return err;
}

const kp_codec_ops kp_codec_gzip = {
    .name = "gzip",
    .has_levels = true,
    .level_min = Z_BEST_SPEED,
    .level_max = Z_BEST_COMPRESSION,
    .level_fallback = Z_DEFAULT_COMPRESSION,
    .compress = gzip_compress,
    .decompress = gzip_decompress,
};
