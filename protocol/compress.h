/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The four compressions of record batches, behind one table. */
#ifndef KP_COMPRESS_H
#define KP_COMPRESS_H

#include "protocol/base/buf.h"

/** The numbers of batch attribute bits 0-2. */
typedef enum kp_codec {
    KP_CODEC_NONE,
    KP_CODEC_GZIP,
    KP_CODEC_SNAPPY,
    KP_CODEC_LZ4,
    KP_CODEC_ZSTD,
    KP_CODEC_COUNT,
} kp_codec;

/** "none", "gzip", ...; NULL above. */
const char *kp_codec_name(kp_codec codec);
/** -1: no such name. */
int kp_codec_by_name(kc_bytes name);
/** False: left out of this build (snappy and zstd are optional). */
bool kp_codec_is_built(kp_codec codec);
/** Range and default of compression.<codec>.level, as in the Java client: there gzip's default -1
 * lies outside its range, and lz4's default 9 means its fast compressor. False: the codec has no
 * levels. */
bool kp_codec_levels(kp_codec codec, int *min, int *max, int *fallback);

/**
 * Contexts kept from call to call. zstd's cost 15 us to make where CPUID traps, as in most virtual
 * machines; a batch of 16 KiB is decompressed in less. Zero-filled is ready for use, NULL is
 * allowed: then each call makes its own. Belongs to one thread. zstd's memory is its own malloc (its
 * custom allocators are not in the stable interface), so it is not counted: 160 KiB to decompress,
 * and at most KP_CODEC_CACHE_BYTES_MAX to compress, above which a context is not kept. The same is
 * true of what snappy takes during a call, some 100 KiB; gzip and LZ4 take counted memory only.
 */
typedef struct kp_codec_cache {
    void *zstd_compress;
    void *zstd_decompress;
} kp_codec_cache;

#define KP_CODEC_CACHE_BYTES_MAX ((size_t)4 << 20)

/** Free what is kept; the cache can be used again. */
void kp_codec_cache_cleanup(kp_codec_cache *cache);

/**
 * Append the compressed form of `in` to `out`. What Java reads: xerial snappy as Java writes it,
 * one LZ4 frame with independent blocks, one gzip member, one zstd frame. Cost: gzip and snappy set
 * up their tables anew in each call, in the order of 5 us.
 *
 * @param level  In the codec's range, or its default; INT_MIN: its default. Codecs without levels
 * ignore it.
 * @retval KC_OK, KC_ERR_UNSUPPORTED, KC_ERR_ARGUMENT (level), KC_ERR_COMPRESSION, KC_ERR_NOMEM
 * (also the limit of `out`, which needs room for the worst case). On failure `out` is as before.
 */
KC_NODISCARD kc_err kp_compress_with(kp_codec_cache *cache, kp_codec codec, int level, kc_bytes in,
                                     kb_buf *out);

/**
 * Append the decompressed form to `out`, whose limit caps it: a bomb ends in KC_ERR_TOO_LARGE.
 * Reads everything any client writes: raw and xerial snappy, several gzip members, LZ4 with linked
 * blocks and with checksums and several frames, LZ4 with the wrong header checksum of magic 0
 * (`lz4_broken_header`), several zstd frames. What Java ignores behind a gzip member or LZ4 frame
 * is ignored.
 *
 * @retval KC_OK, KC_ERR_UNSUPPORTED, KC_ERR_COMPRESSION, KC_ERR_TOO_LARGE, KC_ERR_NOMEM. On failure
 * `out` is as before.
 */
KC_NODISCARD kc_err kp_decompress_with(kp_codec_cache *cache, kp_codec codec, kc_bytes in,
                                       bool lz4_broken_header, kb_buf *out);

/** Without a cache. */
KC_NODISCARD static inline kc_err kp_compress(kp_codec codec, int level, kc_bytes in, kb_buf *out)
{
    return kp_compress_with(NULL, codec, level, in, out);
}

/** Without a cache. */
KC_NODISCARD static inline kc_err kp_decompress(kp_codec codec, kc_bytes in, bool lz4_broken_header,
                                                kb_buf *out)
{
    return kp_decompress_with(NULL, codec, in, lz4_broken_header, out);
}

#endif
