/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Record batches, writing: records are encoded once, straight into the batch that will be sent. */
#include "protocol/base/error.h"
#include "protocol/batch.h"
#include "protocol/crc32c.h"
#include "protocol/wire.h"

#include <assert.h>

#define MAGIC        2
#define FIELD_MAX    ((size_t)INT32_MAX)
#define NULL_LENGTH  1 /* zigzag of -1 */
#define VARINT32_MAX 5
#define VARINT64_MAX 10

static inline uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

/* Bytes of a varint: seven bits each, without a division. */
static inline size_t varint_size(uint64_t v)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    return (bits * 9 + 64) / 64;
}

static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

static inline size_t field_size(kc_bytes field)
{
    return field.ptr ? varint_size((uint64_t)field.len << 1) + field.len : 1;
}

static inline uint8_t *put_field(uint8_t *p, kc_bytes field)
{
    if (!field.ptr) {
        *p++ = NULL_LENGTH;
        return p;
    }
    p = put_varint(p, (uint64_t)field.len << 1);
    if (field.len > 0)
        memcpy(p, field.ptr, field.len);
    return p + field.len;
}

/* A header's name can't be null on the wire. */
static inline kc_bytes name_of(const kc_header *header)
{
    return header->name.ptr ? header->name : KC_STR("");
}

/* Count and headers; above FIELD_MAX when they can't be encoded. */
static size_t headers_size(const kc_header *headers, size_t count)
{
    if (count > FIELD_MAX)
        return SIZE_MAX / 2;
    size_t sum = varint_size((uint64_t)count << 1);
    for (size_t i = 0; i < count && sum <= FIELD_MAX; i++) {
        if (headers[i].name.len > FIELD_MAX || headers[i].value.len > FIELD_MAX)
            return SIZE_MAX / 2;
        sum += field_size(name_of(&headers[i])) + field_size(headers[i].value);
    }
    return sum;
}

static uint8_t *put_headers(uint8_t *p, const kc_header *headers, size_t count)
{
    p = put_varint(p, (uint64_t)count << 1);
    for (size_t i = 0; i < count; i++) {
        p = put_field(p, name_of(&headers[i]));
        p = put_field(p, headers[i].value);
    }
    return p;
}

void kp_batch_writer_move(kp_batch_writer *writer, void *data, size_t cap)
{
    assert(cap >= writer->len);
    writer->data = data;
    writer->cap = cap < FIELD_MAX ? cap : FIELD_MAX;
}

void kp_batch_writer_init(kp_batch_writer *writer, void *data, size_t cap)
{
    *writer = (kp_batch_writer){
        .len = KP_BATCH_HEADER_BYTES,
        .base_timestamp = KP_NO_TIMESTAMP,
        .max_timestamp = KP_NO_TIMESTAMP,
    };
    kp_batch_writer_move(writer, data, cap);
}

size_t kp_record_size_max(kc_bytes key, kc_bytes value, const kc_header *headers,
                          size_t header_count)
{
    if (key.len > FIELD_MAX || value.len > FIELD_MAX)
        return SIZE_MAX;
    size_t body = 1 + VARINT64_MAX + VARINT32_MAX + field_size(key) + field_size(value) +
                  headers_size(headers, header_count);
    size_t total = body + varint_size((uint64_t)body << 1);
    return total > FIELD_MAX - KP_BATCH_HEADER_BYTES ? SIZE_MAX : total;
}

bool kp_batch_append(kp_batch_writer *writer, int64_t timestamp_ms, kc_bytes key, kc_bytes value,
                     const kc_header *headers, size_t header_count)
{
    assert((key.ptr || key.len == 0) && (value.ptr || value.len == 0));
    if (key.len > FIELD_MAX || value.len > FIELD_MAX || writer->count == INT32_MAX)
        return false;
    bool is_first = writer->count == 0;
    uint64_t base = (uint64_t)(is_first ? timestamp_ms : writer->base_timestamp);
    uint64_t time = zigzag((int64_t)((uint64_t)timestamp_ms - base));
    uint64_t offset = (uint64_t)writer->count << 1;
    size_t body = 1 + varint_size(time) + varint_size(offset) + field_size(key) +
                  field_size(value) + (header_count ? headers_size(headers, header_count) : 1);
    if (body + varint_size((uint64_t)body << 1) > writer->cap - writer->len)
        return false;

    uint8_t *p = put_varint(writer->data + writer->len, (uint64_t)body << 1);
    *p++ = 0; /* attributes: none are defined */
    p = put_varint(p, time);
    p = put_varint(p, offset);
    p = put_field(p, key);
    p = put_field(p, value);
    if (header_count)
        p = put_headers(p, headers, header_count);
    else
        *p++ = 0;
    writer->len = (size_t)(p - writer->data);
    writer->count++;
    writer->base_timestamp = (int64_t)base;
    if (is_first || timestamp_ms > writer->max_timestamp)
        writer->max_timestamp = timestamp_ms;
    return true;
}

static void put_header(uint8_t *p, const kp_batch_writer *writer, size_t len, kp_codec codec)
{
    assert(writer->count > 0 && len >= KP_BATCH_HEADER_BYTES && len <= FIELD_MAX);
    kp_store64(p + KP_BATCH_AT_BASE_OFFSET, 0);
    kp_store32(p + KP_BATCH_AT_LENGTH, (uint32_t)(len - KP_BATCH_OVERHEAD_BYTES));
    kp_store32(p + KP_BATCH_AT_LEADER_EPOCH, UINT32_MAX);
    p[KP_BATCH_AT_MAGIC] = MAGIC;
    kp_store32(p + KP_BATCH_AT_CRC, 0);
    kp_store16(p + KP_BATCH_AT_ATTRIBUTES, (uint16_t)codec);
    kp_store32(p + KP_BATCH_AT_LAST_OFFSET_DELTA, (uint32_t)writer->count - 1);
    kp_store64(p + KP_BATCH_AT_BASE_TIMESTAMP, (uint64_t)writer->base_timestamp);
    kp_store64(p + KP_BATCH_AT_MAX_TIMESTAMP, (uint64_t)writer->max_timestamp);
    kp_store64(p + KP_BATCH_AT_PRODUCER_ID, UINT64_MAX);
    kp_store16(p + KP_BATCH_AT_PRODUCER_EPOCH, UINT16_MAX);
    kp_store32(p + KP_BATCH_AT_BASE_SEQUENCE, UINT32_MAX);
    kp_store32(p + KP_BATCH_AT_RECORD_COUNT, (uint32_t)writer->count);
}

size_t kp_batch_finish(kp_batch_writer *writer)
{
    put_header(writer->data, writer, writer->len, KP_CODEC_NONE);
    return writer->len;
}

kc_err kp_batch_finish_compressed(kp_batch_writer *writer, kp_codec codec, int level, kb_buf *out,
                                  bool *smaller_out)
{
    return kp_batch_finish_compressed_with(writer, NULL, codec, level, out, smaller_out);
}

kc_err kp_batch_finish_compressed_with(kp_batch_writer *writer, kp_codec_cache *cache,
                                       kp_codec codec, int level, kb_buf *out, bool *smaller_out)
{
    if (smaller_out)
        *smaller_out = false;
    if (out->err != KC_OK)
        return out->err;
    size_t begun = out->len;
    if (!kb_buf_extend(out, KP_BATCH_HEADER_BYTES)) {
        out->err = KC_OK;
        return KC_ERR_NOMEM;
    }
    kc_bytes records =
        kc_span(writer->data + KP_BATCH_HEADER_BYTES, writer->len - KP_BATCH_HEADER_BYTES);
    kc_err err = kp_compress_with(cache, codec, level, records, out);
    size_t len = out->len - begun;
    if (err == KC_OK && len > FIELD_MAX) /* noise that became larger */
        err = KC_ERR_TOO_LARGE;
    if (err != KC_OK || (smaller_out && len >= writer->len)) {
        out->len = begun;
        return err;
    }
    put_header(out->data + begun, writer, len, codec);
    if (smaller_out)
        *smaller_out = true;
    return KC_OK;
}

void kp_batch_reseal(uint8_t *batch, size_t len)
{
    assert(len >= KP_BATCH_HEADER_BYTES);
    uint32_t crc = kp_crc32c(0, batch + KP_BATCH_AT_ATTRIBUTES, len - KP_BATCH_AT_ATTRIBUTES);
    kp_store32(batch + KP_BATCH_AT_CRC, crc);
}

void kp_batch_seal(uint8_t *batch, size_t len, const kp_batch_producer *producer)
{
    static const kp_batch_producer none = {.id = -1, .epoch = -1, .base_sequence = -1};
    if (!producer)
        producer = &none;
    unsigned attributes = kp_load16(batch + KP_BATCH_AT_ATTRIBUTES);
    attributes &= ~(unsigned)KP_ATTR_TRANSACTIONAL; /* sealed again after an epoch bump */
    if (producer->is_transactional)
        attributes |= KP_ATTR_TRANSACTIONAL;
    kp_store16(batch + KP_BATCH_AT_ATTRIBUTES, (uint16_t)attributes);
    kp_store64(batch + KP_BATCH_AT_PRODUCER_ID, (uint64_t)producer->id);
    kp_store16(batch + KP_BATCH_AT_PRODUCER_EPOCH, (uint16_t)producer->epoch);
    kp_store32(batch + KP_BATCH_AT_BASE_SEQUENCE, (uint32_t)producer->base_sequence);
    kp_batch_reseal(batch, len);
}
