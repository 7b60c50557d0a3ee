/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a codec is to protocol/compress, and what codecs share. Private to protocol/compress*. */
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

/** The formats of compressors are little-endian, other than all of Kafka's. */
static inline uint32_t kp_load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void kp_store_le32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
    p[2] = (uint8_t)(value >> 16);
    p[3] = (uint8_t)(value >> 24);
}

/** Free zstd's part of the cache. */
void kp_zstd_cleanup(kp_codec_cache *cache);

/** Room for exactly `len` bytes, not yet counted. KC_OK, KC_ERR_TOO_LARGE, KC_ERR_NOMEM. */
KC_NODISCARD kc_err kp_reserve(kb_buf *out, size_t len, uint8_t **pos_out);
/** What is not compressed. KC_OK, KC_ERR_TOO_LARGE, KC_ERR_NOMEM. */
KC_NODISCARD kc_err kp_put_plain(kc_bytes in, kb_buf *out);

#endif
