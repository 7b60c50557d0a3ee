/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * <kafkac/records.h>: batches of all magics behind one face. The reading and writing itself is done
 * by batch.h and message_set.h. */
#include "protocol/base/error.h"
#include "protocol/message_set.h"
#include "protocol/public_arena.h"
#include "protocol/wire.h"

#include <kafkac/records.h>

#include <assert.h>
#include <stdio.h>

/* The public enumerations are ours. */
_Static_assert((int)KC_COMPRESSION_ZSTD == KP_CODEC_ZSTD && KC_COMPRESSION_NONE == 0,
               "kc_compression is kp_codec");

/** What kc_record_batch.state holds: one of the two readers. */
typedef union batch_reader {
    kp_record_iter iter;
    kp_message_set set;
} batch_reader;
_Static_assert(sizeof(batch_reader) <= sizeof(((kc_record_batch *)0)->state), "state is too small");

static batch_reader *reader_of(kc_record_batch *batch)
{
    return (batch_reader *)(void *)batch->state;
}

const char *kc_compression_name(kc_compression compression)
{
    return kp_codec_name((kp_codec)compression);
}

bool kc_compression_by_name(kc_bytes name, kc_compression *compression_out)
{
    int codec = kp_codec_by_name(name);
    if (codec < 0)
        return false;
    *compression_out = (kc_compression)codec;
    return true;
}

int kc_control_type(kc_bytes key)
{
    return kp_control_type(key);
}

/* ---- reading ---- */

static kc_err refuse(kc_fault *fault, kc_err err, size_t at, const char *path, const char *reason)
{
    if (!fault)
        return err;
    *fault = (kc_fault){.at = at, .reason = reason};
    (void)snprintf(fault->path, sizeof fault->path, "%s", path);
    return err;
}

/** Which field of the header makes it malformed. */
static kc_err explain_header(kc_bytes in, const kp_batch *batch, kc_fault *fault)
{
    int8_t magic = (int8_t)in.ptr[KP_BATCH_AT_MAGIC];
    if (magic < 0 || magic > 2)
        return refuse(fault, KC_ERR_MALFORMED, KP_BATCH_AT_MAGIC, "magic",
                      "magic is none of 0, 1, 2");
    if (magic < 2)
        return refuse(fault, KC_ERR_MALFORMED, KP_BATCH_AT_LENGTH, "batchLength",
                      "message is malformed");
    int32_t length = (int32_t)kp_load32(in.ptr + KP_BATCH_AT_LENGTH);
    if (length < KP_BATCH_HEADER_BYTES - KP_BATCH_OVERHEAD_BYTES)
        return refuse(fault, KC_ERR_MALFORMED, KP_BATCH_AT_LENGTH, "batchLength",
                      "length is shorter than a batch header");
    if (batch->base_offset < 0 || batch->base_offset > INT64_MAX - 1 - batch->last_offset_delta)
        return refuse(fault, KC_ERR_MALFORMED, KP_BATCH_AT_BASE_OFFSET, "baseOffset",
                      "offset is negative, or above 2^63 - 2 with the last delta");
    if (batch->last_offset_delta < 0)
        return refuse(fault, KC_ERR_MALFORMED, KP_BATCH_AT_LAST_OFFSET_DELTA, "lastOffsetDelta",
                      "delta is negative");
    return refuse(fault, KC_ERR_MALFORMED, KP_BATCH_AT_RECORD_COUNT, "records",
                  "count is negative, above the last offset delta, or more than the bytes hold");
}

static kc_err explain_contents(kc_err err, const kc_arena *arena, size_t at, kc_fault *fault)
{
    const char *reason = "the records can't be decompressed";
    if (err == KC_ERR_NOMEM && arena->mem.is_full)
        err = KC_ERR_TOO_LARGE;
    if (err == KC_ERR_TOO_LARGE)
        reason = "decompressed, the records are above the memory allowed";
    else if (err == KC_ERR_UNSUPPORTED)
        reason = "this compression is not built in";
    else if (err == KC_ERR_NOMEM)
        reason = "out of memory";
    else if (err == KC_ERR_MALFORMED)
        reason = "the inner messages are malformed";
    else if (err == KC_ERR_CRC)
        reason = "the checksum differs";
    return refuse(fault, err, at, err == KC_ERR_CRC ? "crc" : "records", reason);
}

static void fill_batch(const kp_batch *in, kc_record_batch *out)
{
    bool is_append_time = in->attributes & KP_ATTR_LOG_APPEND_TIME;
    *out = (kc_record_batch){
        .base_offset = in->base_offset,
        .next_offset = kp_batch_next_offset(in),
        .batch_length = in->batch_length,
        .leader_epoch = in->leader_epoch,
        .magic = in->magic,
        .crc = in->crc,
        .compression = (kc_compression)kp_batch_codec(in),
        .timestamp_type = is_append_time ? KC_TIMESTAMP_LOG_APPEND : KC_TIMESTAMP_CREATE,
        .is_transactional = in->attributes & KP_ATTR_TRANSACTIONAL,
        .is_control = in->attributes & KP_ATTR_CONTROL,
        .has_delete_horizon = in->attributes & KP_ATTR_DELETE_HORIZON,
        .last_offset_delta = in->last_offset_delta,
        .base_timestamp_ms = in->base_timestamp,
        .max_timestamp_ms = in->max_timestamp,
        .producer_id = in->producer_id,
        .producer_epoch = in->producer_epoch,
        .base_sequence = in->base_sequence,
        .record_count = in->record_count,
        .bytes = in->bytes,
    };
}

static kc_err take_batch(const kp_batch *in, kc_arena *arena, kc_record_batch *out, kc_fault *fault)
{
    fill_batch(in, out);
    kc_err err = kp_batch_plain(in, &arena->scratch, &out->plain);
    if (err == KC_ERR_MALFORMED)
        return explain_header(in->bytes, in, fault);
    if (err != KC_OK)
        return explain_contents(err, arena, KP_BATCH_HEADER_BYTES, fault);
    kp_record_iter_init(&reader_of(out)->iter, in, out->plain);
    return KC_OK;
}

static void fill_set(const kp_message_set *in, kc_bytes bytes, kc_record_batch *out)
{
    kc_timestamp_type type = KC_TIMESTAMP_NONE;
    if (in->magic == 1)
        type = in->attributes & KP_ATTR_LOG_APPEND_TIME ? KC_TIMESTAMP_LOG_APPEND
                                                        : KC_TIMESTAMP_CREATE;
    *out = (kc_record_batch){
        .base_offset = in->base_offset,
        .next_offset = in->last_offset + 1,
        .batch_length = (int32_t)(bytes.len - KP_BATCH_OVERHEAD_BYTES),
        .leader_epoch = -1,
        .magic = in->magic,
        .crc = in->crc,
        .compression = (kc_compression)(in->attributes & KP_ATTR_CODEC),
        .timestamp_type = type,
        .last_offset_delta = (int32_t)(in->last_offset - in->base_offset),
        .base_timestamp_ms = in->timestamp,
        .max_timestamp_ms = in->timestamp,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .record_count = in->count,
        .bytes = bytes,
        .plain = in->rest,
    };
}

static kc_err take_set(kc_bytes *rest, bool check_crc, kc_arena *arena, kc_record_batch *out,
                       kc_fault *fault)
{
    kp_message_set set;
    kc_bytes left = *rest;
    kc_err err = kp_message_set_next(&left, check_crc, &arena->scratch, &set);
    if (err == KC_ERR_END)
        return err;
    bool is_in_header = err != KC_OK && left.ptr == rest->ptr;
    if (is_in_header)
        return explain_header(*rest, NULL, fault);
    if (err != KC_OK)
        return explain_contents(
            err, arena, err == KC_ERR_CRC ? KP_BATCH_AT_LEADER_EPOCH : KP_BATCH_AT_CRC + 1, fault);
    fill_set(&set, kc_span(rest->ptr, rest->len - left.len), out);
    reader_of(out)->set = set;
    *rest = left;
    return KC_OK;
}

kc_err kc_record_batch_next(kc_bytes *rest, bool check_crc, kc_arena *arena,
                            kc_record_batch *batch_out, kc_fault *fault)
{
    kp_batch header;
    kc_bytes left = *rest;
    kc_err err = kp_batch_next(&left, check_crc, &header);
    if (err == KC_ERR_END)
        return err;
    if (err == KC_ERR_UNSUPPORTED)
        return take_set(rest, check_crc, arena, batch_out, fault);
    if (err == KC_ERR_CRC)
        return refuse(fault, err, KP_BATCH_AT_CRC, "crc", "the checksum differs");
    if (err != KC_OK)
        return explain_header(*rest, &header, fault);
    KB_TRY(take_batch(&header, arena, batch_out, fault));
    *rest = left;
    return KC_OK;
}

/** Where reading stands, from the batch's first byte; of decompressed records where they begin. */
static size_t position_of(const kc_record_batch *batch, const uint8_t *pos)
{
    if (batch->compression != KC_COMPRESSION_NONE)
        return batch->magic == 2 ? KP_BATCH_HEADER_BYTES : KP_BATCH_OVERHEAD_BYTES;
    return (size_t)(pos - batch->bytes.ptr);
}

kc_err kc_record_batch_read(kc_record_batch *batch, kc_view *view_out, kc_fault *fault)
{
    kp_record record;
    batch_reader *reader = reader_of(batch);
    bool is_set = batch->magic < 2;
    kc_err err =
        is_set ? kp_message_next(&reader->set, &record) : kp_record_next(&reader->iter, &record);
    if (err == KC_ERR_END)
        return err;
    if (err != KC_OK) {
        const uint8_t *pos = is_set ? reader->set.rest.ptr : reader->iter.pos;
        return refuse(fault, err, position_of(batch, pos), "", "the record is malformed");
    }
    *view_out = (kc_view){
        .offset = record.offset,
        .timestamp_ms = record.timestamp,
        .timestamp_type = batch->timestamp_type,
        .leader_epoch = batch->leader_epoch,
        .key = record.key,
        .value = record.value,
        .header_count = record.header_count,
        .headers_raw = record.headers_raw,
    };
    return KC_OK;
}

bool kc_view_header(kc_bytes *pos, kc_header *header_out)
{
    return kp_header_next(pos, header_out) == KC_OK;
}

bool kc_view_find_header(const kc_view *view, kc_bytes name, kc_bytes *value_out)
{
    kc_bytes pos = view->headers_raw;
    kc_header header;
    bool is_found = false;
    while (kc_view_header(&pos, &header)) {
        if (kc_bytes_equal(header.name, name)) {
            *value_out = header.value;
            is_found = true;
        }
    }
    return is_found;
}

/* ---- writing ---- */

/** Memory for all records as they are encoded; 0: more than a batch may have. */
static size_t space_for(const kc_record *records, size_t count)
{
    size_t sum = KP_BATCH_HEADER_BYTES;
    for (size_t i = 0; i < count; i++) {
        size_t size = kp_record_size_max(records[i].key, records[i].value, records[i].headers,
                                         records[i].header_count);
        if (size > INT32_MAX - sum)
            return 0;
        sum += size;
    }
    return sum;
}

/** What the writer leaves at its default. */
static void stamp(uint8_t *batch, size_t len, const kc_batch_options *options)
{
    unsigned attributes = kp_load16(batch + KP_BATCH_AT_ATTRIBUTES);
    if (options->timestamp_type == KC_TIMESTAMP_LOG_APPEND)
        attributes |= KP_ATTR_LOG_APPEND_TIME;
    if (options->is_control)
        attributes |= KP_ATTR_CONTROL;
    kp_store16(batch + KP_BATCH_AT_ATTRIBUTES, (uint16_t)attributes);
    kp_store64(batch + KP_BATCH_AT_BASE_OFFSET, (uint64_t)options->base_offset);
    kp_store32(batch + KP_BATCH_AT_LEADER_EPOCH, (uint32_t)options->leader_epoch);
    kp_batch_producer producer = {
        .id = options->producer_id,
        .epoch = options->producer_epoch,
        .base_sequence = options->base_sequence,
        .is_transactional = options->is_transactional,
    };
    kp_batch_seal(batch, len, &producer);
}

kc_err kc_record_batch_write(const kc_batch_options *options, const kc_record *records,
                             size_t count, kc_arena *arena, kc_bytes *bytes_out)
{
    static const kc_batch_options plain = KC_BATCH_OPTIONS_INIT;
    if (!options)
        options = &plain;
    if (count == 0 || count > INT32_MAX || options->base_offset < 0 ||
        options->base_offset > INT64_MAX - (int64_t)count) /* the offset behind it is one, too */
        return KC_ERR_ARGUMENT;
    size_t cap = space_for(records, count);
    if (cap == 0)
        return KC_ERR_TOO_LARGE;
    uint8_t *space = kb_arena_alloc(&arena->arena, cap);
    if (!space)
        return KC_ERR_NOMEM;
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, space, cap);
    for (size_t i = 0; i < count; i++) {
        bool fits = kp_batch_append(&writer, records[i].timestamp_ms, records[i].key,
                                    records[i].value, records[i].headers, records[i].header_count);
        assert(fits);
        (void)fits;
    }
    size_t len = 0;
    if (options->compression == KC_COMPRESSION_NONE) {
        len = kp_batch_finish(&writer);
    } else {
        kb_buf *out = &arena->scratch;
        kb_buf_reset(out);
        KB_TRY(kp_batch_finish_compressed(&writer, (kp_codec)options->compression, options->level,
                                          out, NULL));
        len = out->len;
        space = kb_arena_alloc(&arena->arena, len);
        if (!space)
            return KC_ERR_NOMEM;
        memcpy(space, out->data, len);
    }
    stamp(space, len, options);
    *bytes_out = kc_span(space, len);
    return KC_OK;
}
