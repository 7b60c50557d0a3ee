/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a codec is to protocol/compress, and where a decompressor may write. Private to
 * protocol/compress*. */
#ifndef KP_COMPRESS_CODEC_H
#define KP_COMPRESS_CODEC_H

#include "protocol/compress.h"

#include <limits.h>

/** Functions are NULL when the codec is left out of the build. They may leave `out` longer on
 * failure. */
typedef struct kp_codec_ops {
    const char *name;
    bool has_levels;
    int level_min;
    int level_max;
    int level_fallback;
    /** `level` is in range, or INT_MIN. */
    kc_err (*compress)(kp_codec_cache *cache, int level, kc_bytes in, kb_buf *out);
    kc_err (*decompress)(kp_codec_cache *cache, kc_bytes in, bool lz4_broken_header, kb_buf *out);
} kp_codec_ops;

extern const kp_codec_ops kp_codec_gzip;
extern const kp_codec_ops kp_codec_snappy;
extern const kp_codec_ops kp_codec_lz4;
extern const kp_codec_ops kp_codec_zstd;

/** Free zstd's part of the cache. */
void kp_zstd_cleanup(kp_codec_cache *cache);

/**
 * Room for a streaming decompressor, which grows geometrically up to the limit of `out`. At the
 * limit it is one spare byte: a decoder that only has its trailer left can finish, one that writes
 * is stopped.
 */
typedef struct kp_sink {
    kb_buf *out;
    size_t guess; /**< bytes to ask for first          */
    size_t begun; /**< out->len at the start           */
    uint8_t *pos; /**< write here...                   */
    size_t room;  /**< ...up to so many bytes, never 0 */
    uint8_t spare;
} kp_sink;

void kp_sink_init(kp_sink *sink, kb_buf *out, size_t guess);
/** Set pos and room. KC_OK, KC_ERR_NOMEM. */
KC_NODISCARD kc_err kp_sink_open(kp_sink *sink);
/** `len` bytes were written at pos. KC_OK, KC_ERR_TOO_LARGE. */
KC_NODISCARD kc_err kp_sink_take(kp_sink *sink, size_t len);

/** Room for exactly `len` bytes, not yet counted. KC_OK, KC_ERR_TOO_LARGE, KC_ERR_NOMEM. */
KC_NODISCARD kc_err kp_reserve(kb_buf *out, size_t len, uint8_t **pos_out);

#endif
