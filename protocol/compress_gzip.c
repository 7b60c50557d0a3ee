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
/* A first piece smaller than this is not worth a second one. */
#define SINK_BYTES_MIN ((size_t)4096)

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

/* Room for the decompressor, which grows geometrically up to the limit of `out`. At the limit it is
 * one spare byte: a stream that only has its trailer left can finish, one that writes is stopped. */
typedef struct sink {
    kb_buf *out;
    size_t guess; /* bytes to ask for first          */
    size_t begun; /* out->len at the start           */
    uint8_t *pos; /* write here...                   */
    size_t room;  /* ...up to so many bytes, never 0 */
    uint8_t spare;
} sink;

static void sink_init(sink *s, kb_buf *out, size_t guess)
{
    *s = (sink){
        .out = out,
        .guess = guess < SINK_BYTES_MIN ? SINK_BYTES_MIN : guess,
        .begun = out->len,
    };
}

static kc_err sink_open(sink *s)
{
    kb_buf *out = s->out;
    size_t left = out->limit - out->len;
    if (left == 0) {
        s->pos = &s->spare;
        s->room = 1;
        return KC_OK;
    }
    size_t have = out->cap - out->len;
    if (have == 0 || out->len == s->begun) {
        size_t done = out->len - s->begun;
        size_t want = done == 0 ? s->guess : done;
        if (want > left)
            want = left;
        if (!kb_buf_reserve(out, want)) { /* close to the memory limit: in small steps */
            out->err = KC_OK;
            if (!kb_buf_reserve(out, want < SINK_BYTES_MIN ? want : SINK_BYTES_MIN))
                return KC_ERR_NOMEM;
        }
        have = out->cap - out->len;
    }
    s->pos = out->data + out->len;
    s->room = have < left ? have : left;
    return KC_OK;
}

static kc_err sink_take(sink *s, size_t len)
{
    if (s->pos == &s->spare)
        return len == 0 ? KC_OK : KC_ERR_TOO_LARGE;
    s->out->len += len;
    return KC_OK;
}

/* The trailer tells the size (of the last member, modulo 2^32): mostly right, never trusted. */
static size_t guess_size(kc_bytes in)
{
    if (in.len < TRAILER_BYTES)
        return 0;
    size_t told = kp_load_le32(in.ptr + in.len - 4);
    size_t most = in.len * RATIO_GUESS;
    return told < most ? told : most;
}

/* Bytes behind a member that begin no other are ignored, as Java's GZIPInputStream does. */
static bool next_member(z_stream *z)
{
    return z->avail_in >= 2 && z->next_in[0] == MAGIC_0 && z->next_in[1] == MAGIC_1 &&
           inflateReset(z) == Z_OK;
}

static kc_err inflate_all(z_stream *z, sink *s)
{
    for (;;) {
        KB_TRY(sink_open(s));
        uInt room = s->room < UINT_MAX ? (uInt)s->room : UINT_MAX;
        z->next_out = s->pos;
        z->avail_out = room;
        /* Z_FINISH spares the copy into a window when all comes out at once. */
        int rc = inflate(z, Z_FINISH);
        KB_TRY(sink_take(s, room - z->avail_out));
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
    sink s;
    sink_init(&s, out, guess_size(in));
    kc_err err = inflate_all(&z, &s);
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
