/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Record batches, magic 2: a writer that encodes each record straight into its place, and a reader
 * that hands out views. Neither allocates per record. Magic 0 and 1 are read by
 * protocol/message_set. Spec: Kafka protocol guide "Record Batch"; KIP-98, KIP-82; ../README.md. */
#ifndef KP_BATCH_H
#define KP_BATCH_H

#include "protocol/base/buf.h"
#include "protocol/compress.h"

/** Bytes of a batch header, up to and with the record count. */
#define KP_BATCH_HEADER_BYTES 61
/** Base offset and batch length, which the length does not count. */
#define KP_BATCH_OVERHEAD_BYTES 12
#define KP_NO_TIMESTAMP         (-1)

enum { /* attributes */
    KP_ATTR_CODEC = 0x07,
    KP_ATTR_LOG_APPEND_TIME = 0x08,
    KP_ATTR_TRANSACTIONAL = 0x10,
    KP_ATTR_CONTROL = 0x20,
    KP_ATTR_DELETE_HORIZON = 0x40,
};

/** Where the header's fields stand. The checksum covers everything from the attributes on. */
enum {
    KP_BATCH_AT_BASE_OFFSET = 0,
    KP_BATCH_AT_LENGTH = 8,
    KP_BATCH_AT_LEADER_EPOCH = 12,
    KP_BATCH_AT_MAGIC = 16,
    KP_BATCH_AT_CRC = 17,
    KP_BATCH_AT_ATTRIBUTES = 21,
    KP_BATCH_AT_LAST_OFFSET_DELTA = 23,
    KP_BATCH_AT_BASE_TIMESTAMP = 27,
    KP_BATCH_AT_MAX_TIMESTAMP = 35,
    KP_BATCH_AT_PRODUCER_ID = 43,
    KP_BATCH_AT_PRODUCER_EPOCH = 51,
    KP_BATCH_AT_BASE_SEQUENCE = 53,
    KP_BATCH_AT_RECORD_COUNT = 57,
};

/* ---- writing ---- */

/**
 * An open batch in memory the caller gave. The caller may swap in larger memory with
 * kp_batch_writer_move().
 */
typedef struct kp_batch_writer {
    uint8_t *data;
    size_t cap;
    size_t len;             /**< header and records so far                     */
    int32_t count;          /**< records so far                                */
    int64_t base_timestamp; /**< of the first record, ms                       */
    int64_t max_timestamp;
} kp_batch_writer;

/** `cap` >= KP_BATCH_HEADER_BYTES; what lies above 2^31-1 is not used. */
void kp_batch_writer_init(kp_batch_writer *writer, void *data, size_t cap);
/** The contents were copied to larger memory. */
void kp_batch_writer_move(kp_batch_writer *writer, void *data, size_t cap);

/** Most bytes a record with these sizes can take in any batch; SIZE_MAX when it can't be encoded.
 */
size_t kp_record_size_max(kc_bytes key, kc_bytes value, const kc_header *headers,
                          size_t header_count);

/**
 * Encode one record behind the last. Hot path: no allocation, one pass.
 *
 * @param timestamp_ms  ms since 1970.
 * @return false: does not fit in what is left; nothing changed.
 */
bool kp_batch_append(kp_batch_writer *writer, int64_t timestamp_ms, kc_bytes key, kc_bytes value,
                     const kc_header *headers, size_t header_count);

/** Fill in the header (no producer id, epoch -1, sequence -1, base offset 0, leader epoch -1),
 * without the CRC. Uncompressed, at least one record. Call before kp_batch_seal(). Returns the
 * batch's size. */
size_t kp_batch_finish(kp_batch_writer *writer);

/** Finish with compression: header and compressed records into `out` (appended). KC_OK and
 * *smaller_out false when compression did not pay: then `out` is as before, and kp_batch_finish()
 * is to be used; with `smaller_out` NULL it is compressed in any case. `out` is as before also after a
 * failure, which is one of kp_compress(), or KC_ERR_TOO_LARGE (above 2^31 - 1 bytes). */
KC_NODISCARD kc_err kp_batch_finish_compressed(kp_batch_writer *writer, kp_codec codec, int level,
                                               kb_buf *out, bool *smaller_out);
/** The same with a cache of contexts. */
KC_NODISCARD kc_err kp_batch_finish_compressed_with(kp_batch_writer *writer, kp_codec_cache *cache,
                                                    kp_codec codec, int level, kb_buf *out,
                                                    bool *smaller_out);

/** Who writes it; -1, -1, -1 without idempotence. */
typedef struct kp_batch_producer {
    int64_t id;
    int16_t epoch;
    int32_t base_sequence;
    bool is_transactional;
} kp_batch_producer;

/** Stamp the producer and compute the CRC-32C, when a finished batch is first sent. `producer`
 * NULL: none. */
void kp_batch_seal(uint8_t *batch, size_t len, const kp_batch_producer *producer);
/** Compute the CRC-32C anew after a field was changed in place, as a broker does with append times.
 */
void kp_batch_reseal(uint8_t *batch, size_t len);

/* ---- reading ---- */

/** A batch's header, and where its records are. */
typedef struct kp_batch {
    int64_t base_offset;
    int32_t batch_length;
    int32_t leader_epoch;
    int8_t magic;
    uint32_t crc;
    int16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
    kc_bytes bytes;   /**< the whole batch              */
    kc_bytes records; /**< behind the header, maybe compressed */
} kp_batch;

static inline kp_codec kp_batch_codec(const kp_batch *batch)
{
    return (kp_codec)(batch->attributes & KP_ATTR_CODEC);
}

/** Offset behind the batch: where to fetch next, also when it holds no record (compaction). */
static inline int64_t kp_batch_next_offset(const kp_batch *batch)
{
    return (int64_t)((uint64_t)batch->base_offset + (uint64_t)batch->last_offset_delta + 1);
}

/**
 * Take the first batch off the front of `*rest`.
 *
 * @param check_crc  Verify the CRC-32C.
 * @retval KC_OK             *batch_out filled, *rest moved behind it.
 * @retval KC_ERR_END        Nothing left, or only a part of a batch (legal at the end of a fetch);
 * then *rest holds that part.
 * @retval KC_ERR_MALFORMED  Length, offset, count or magic out of range; *rest unmoved.
 * @retval KC_ERR_CRC        Checksum differs; *rest is moved, and *batch_out says what stands
 * there, unchecked.
 * @retval KC_ERR_UNSUPPORTED Magic is 0 or 1: read by kp_message_set_next(); *rest unmoved.
 */
KC_NODISCARD kc_err kp_batch_next(kc_bytes *rest, bool check_crc, kp_batch *batch_out);

/**
 * The records of a batch in plain form: batch->records itself, or decompressed into `scratch`
 * (reset by this call; its limit caps the size), where they are valid until it is written again.
 *
 * @retval KC_OK, KC_ERR_MALFORMED (too few bytes for the record count), and the errors of
 * kp_decompress().
 */
KC_NODISCARD kc_err kp_batch_plain(const kp_batch *batch, kb_buf *scratch, kc_bytes *records_out);
/** The same with a cache of contexts. */
KC_NODISCARD kc_err kp_batch_plain_with(const kp_batch *batch, kp_codec_cache *cache,
                                        kb_buf *scratch, kc_bytes *records_out);

/** A record as views into the batch (or its decompressed records). */
typedef struct kp_record {
    int64_t offset;
    int64_t timestamp; /**< effective: the batch's maximum with log-append time */
    kc_bytes key;
    kc_bytes value;
    kc_bytes headers_raw; /**< encoded headers                                     */
    int32_t header_count;
} kp_record;

typedef struct kp_record_iter {
    const uint8_t *pos;
    const uint8_t *end;
    int32_t left; /**< records not read yet */
    int64_t base_offset;
    int64_t base_timestamp;
    int64_t append_timestamp; /**< valid when is_append_time */
    int32_t last_offset_delta;
    bool is_append_time;
} kp_record_iter;

/** `records`: batch->records, or what they decompressed to. */
void kp_record_iter_init(kp_record_iter *iter, const kp_batch *batch, kc_bytes records);

/** KC_OK, KC_ERR_END, KC_ERR_MALFORMED (then no further call). Hot path. A record handed out was
 * checked in whole, its headers too. */
KC_NODISCARD kc_err kp_record_next(kp_record_iter *iter, kp_record *record_out);

/** Walk a record's headers: start with *pos = headers_raw. KC_OK, KC_ERR_END, KC_ERR_MALFORMED. */
KC_NODISCARD kc_err kp_header_next(kc_bytes *pos, kc_header *header_out);

/** Type in a control record's key: 0 abort, 1 commit, 2 and up not for clients (KIP-595), to be
 * skipped; -1: not readable. */
int kp_control_type(kc_bytes key);

#endif
