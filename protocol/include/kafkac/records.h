/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Record batches by themselves: what a field of type `records` holds. Batches of magic 2, and the
 * message sets of magic 0 and 1 that old segments hold, in all compressions.
 *
 * Memory is the caller's arena, as in <kafkac/codec.h>; but the compression libraries use working
 * memory of their own during a call (gzip's is the arena's; zstd up to 160 KiB to read, lz4 up to 8 MiB).
 *
 * Spec: the Kafka protocol guide, "Record Batch"; KIP-98 (transactions), KIP-82 (headers), KIP-534
 * (delete horizon). */
#ifndef KAFKAC_RECORDS_H
#define KAFKAC_RECORDS_H

#include <kafkac/codec.h>
#include <kafkac/record.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The numbers of a batch's attribute bits 0 to 2. */
typedef enum kc_compression {
    KC_COMPRESSION_NONE,
    KC_COMPRESSION_GZIP,
    KC_COMPRESSION_SNAPPY,
    KC_COMPRESSION_LZ4,
    KC_COMPRESSION_ZSTD,
} kc_compression;

/** "none", "gzip", "snappy", "lz4", "zstd"; NULL above. */
KC_API const char *kc_compression_name(kc_compression compression);
/** False: no such name. */
KC_API bool kc_compression_by_name(kc_bytes name, kc_compression *compression_out);

/** A batch's header. Of magic 0 and 1: one outer message with what is in it. */
typedef struct kc_record_batch {
    int64_t base_offset;  /**< of magic 0 and 1 that of the first inner message */
    int64_t next_offset;  /**< behind it: where to read on                       */
    int32_t batch_length; /**< as the header says: bytes behind itself           */
    int32_t leader_epoch; /**< magic 2; else -1                                  */
    int8_t magic;
    uint32_t crc;
    kc_compression compression;
    kc_timestamp_type timestamp_type;
    bool is_transactional, is_control, has_delete_horizon;
    int32_t last_offset_delta;
    int64_t base_timestamp_ms; /**< with has_delete_horizon, the horizon              */
    int64_t max_timestamp_ms;  /**< of magic 1 that of the outer message; -1 in magic 0 */
    int64_t producer_id;       /**< -1: none                                          */
    int16_t producer_epoch;    /**< -1: none                                          */
    int32_t base_sequence;     /**< -1: none                                          */
    int32_t record_count;
    kc_bytes bytes;     /**< all of it */
    kc_bytes plain;     /**< its records, decompressed */
    uint64_t state[16]; /**< private: how far it was read */
} kc_record_batch;

/**
 * Take the first batch off the front of `*rest`, check it, decompress it.
 *
 * @param check_crc  Also verify the checksum.
 * @param arena      What is decompressed lies here until the next call with this arena, and its limit
 *                   caps the size. What is not compressed is read where it lies in `*rest`.
 * @retval KC_OK               *batch_out is filled, *rest moved behind it.
 * @retval KC_ERR_END          Nothing is left, or a part of a batch (legal at the end of a Fetch
 *                             response); *rest holds that part.
 * @retval KC_ERR_MALFORMED    A length, count, offset or magic is out of range.
 * @retval KC_ERR_CRC          The checksum differs.
 * @retval KC_ERR_COMPRESSION  It can't be decompressed.
 * @retval KC_ERR_TOO_LARGE    Decompressed it would be above the arena's limit.
 * @retval KC_ERR_UNSUPPORTED  Its compression is not built in.
 * @retval KC_ERR_NOMEM
 *         After an error `*rest` stands where it was, and fault->at counts from there.
 */
KC_API KC_NODISCARD kc_err kc_record_batch_next(kc_bytes *rest, bool check_crc, kc_arena *arena,
                                                kc_record_batch *batch_out, kc_fault *fault);

/**
 * The next record of a batch, as a view into it. No allocation.
 *
 * @retval KC_OK, KC_ERR_END (no more), KC_ERR_MALFORMED (read no further: fault->at counts from the
 *         batch's first byte; of a compressed batch it is where its records begin).
 */
KC_API KC_NODISCARD kc_err kc_record_batch_read(kc_record_batch *batch, kc_view *view_out,
                                                kc_fault *fault);

/** Type in a control record's key: 0 abort, 1 commit, 2 and up not for clients (KIP-595), to be
 * skipped; -1: not readable. */
KC_API int kc_control_type(kc_bytes key);

/** What to write into a batch besides its records. Start from KC_BATCH_OPTIONS_INIT. */
typedef struct kc_batch_options {
    size_t size; /**< sizeof(kc_batch_options)                               */
    kc_compression compression;
    int level; /**< INT_MIN: the compression's default                     */
    kc_timestamp_type timestamp_type;
    bool is_transactional, is_control;
    int64_t base_offset;
    int32_t leader_epoch;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
} kc_batch_options;
#define KC_BATCH_OPTIONS_INIT                                                                      \
    {                                                                                              \
        .size = sizeof(kc_batch_options), .level = -2147483647 - 1, .leader_epoch = -1,            \
        .producer_id = -1, .producer_epoch = -1, .base_sequence = -1                               \
    }

/**
 * Write one batch of magic 2 with its checksum. Offsets are base_offset, base_offset + 1, and so on.
 *
 * @param options  NULL: none of it. Compression is used also where it makes the batch larger.
 * @param records  Topic and partition are not looked at; timestamps must be given.
 * @param count    1 to 2^31 - 1.
 * @retval KC_OK, KC_ERR_ARGUMENT (count, level, base_offset), KC_ERR_TOO_LARGE (above 2^31 - 1 bytes),
 *         KC_ERR_UNSUPPORTED, KC_ERR_COMPRESSION, KC_ERR_NOMEM.
 */
KC_API KC_NODISCARD kc_err kc_record_batch_write(const kc_batch_options *options,
                                                 const kc_record *records, size_t count,
                                                 kc_arena *arena, kc_bytes *bytes_out);

#ifdef __cplusplus
}
#endif
#endif
