/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The table of codecs. */
#include "protocol/compress.h"

#include "protocol/base/error.h"
#include "protocol/compress_codec.h"

kc_err kp_reserve(kb_buf *out, size_t len, uint8_t **pos_out)
{
    if (len > out->limit - out->len)
        return KC_ERR_TOO_LARGE;
    *pos_out = kb_buf_reserve(out, len);
    return *pos_out ? KC_OK : KC_ERR_NOMEM;
}

kc_err kp_put_plain(kc_bytes in, kb_buf *out)
{
    uint8_t *pos;
    KB_TRY(kp_reserve(out, in.len, &pos));
    if (in.len > 0)
        memcpy(pos, in.ptr, in.len);
    out->len += in.len;
    return KC_OK;
}

static kc_err none_compress(kp_codec_cache *cache, int level, kc_bytes in, kb_buf *out)
{
    (void)cache;
    (void)level;
    kc_err err = kp_put_plain(in, out);
    return err == KC_ERR_TOO_LARGE ? KC_ERR_NOMEM : err;
}

static kc_err none_decompress(kp_codec_cache *cache, kc_bytes in, bool lz4_broken_header,
                              kb_buf *out)
{
    (void)cache;
    (void)lz4_broken_header;
    return kp_put_plain(in, out);
}

static const kp_codec_ops none_ops = {
    .name = "none",
    .compress = none_compress,
    .decompress = none_decompress,
};

static const kp_codec_ops *ops_of(kp_codec codec)
{
    static const kp_codec_ops *const table[KP_CODEC_COUNT] = {
        [KP_CODEC_NONE] = &none_ops,      [KP_CODEC_GZIP] = &kp_codec_gzip,
        [KP_CODEC_LZ4] = &kp_codec_lz4,   [KP_CODEC_SNAPPY] = &kp_codec_snappy,
        [KP_CODEC_ZSTD] = &kp_codec_zstd,
    };
    return (unsigned)codec < KP_CODEC_COUNT ? table[codec] : NULL;
}

const char *kp_codec_name(kp_codec codec)
{
    const kp_codec_ops *ops = ops_of(codec);
    return ops ? ops->name : NULL;
}

int kp_codec_by_name(kc_bytes name)
{
    for (int codec = 0; codec < KP_CODEC_COUNT; codec++) {
        if (kc_bytes_equal(name, kc_str(kp_codec_name((kp_codec)codec))))
            return codec;
    }
    return -1;
}

bool kp_codec_is_built(kp_codec codec)
{
    const kp_codec_ops *ops = ops_of(codec);
    return ops && ops->compress;
}

bool kp_codec_levels(kp_codec codec, int *min, int *max, int *fallback)
{
    const kp_codec_ops *ops = ops_of(codec);
    if (!ops || !ops->has_levels)
        return false;
    *min = ops->level_min;
    *max = ops->level_max;
    *fallback = ops->level_fallback;
    return true;
}

static bool level_fits(const kp_codec_ops *ops, int level)
{
    if (!ops->has_levels || level == INT_MIN || level == ops->level_fallback)
        return true;
    return level >= ops->level_min && level <= ops->level_max;
}

/* Leave `out` as it was before a failure: the caller learns it by the returned code. */
static kc_err undo(kb_buf *out, size_t begun, kc_err err)
{
    if (err != KC_OK) {
        out->len = begun;
        out->err = KC_OK;
    }
    return err;
}

kc_err kp_compress_with(kp_codec_cache *cache, kp_codec codec, int level, kc_bytes in, kb_buf *out)
{
    if (out->err != KC_OK)
        return out->err;
    const kp_codec_ops *ops = ops_of(codec);
    if (!ops || !ops->compress)
        return KC_ERR_UNSUPPORTED;
    if (!level_fits(ops, level))
        return KC_ERR_ARGUMENT;
    kp_codec_cache once = {0};
    size_t begun = out->len;
    kc_err err = ops->compress(cache ? cache : &once, level, in, out);
    kp_codec_cache_cleanup(&once);
    return undo(out, begun, err);
}

kc_err kp_decompress_with(kp_codec_cache *cache, kp_codec codec, kc_bytes in,
                          bool lz4_broken_header, kb_buf *out)
{
    if (out->err != KC_OK)
        return out->err;
    const kp_codec_ops *ops = ops_of(codec);
    if (!ops || !ops->decompress)
        return KC_ERR_UNSUPPORTED;
    kp_codec_cache once = {0};
    size_t begun = out->len;
    kc_err err = ops->decompress(cache ? cache : &once, in, lz4_broken_header, out);
    kp_codec_cache_cleanup(&once);
    return undo(out, begun, err);
}

void kp_codec_cache_cleanup(kp_codec_cache *cache)
{
    kp_zstd_cleanup(cache);
}
