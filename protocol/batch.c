/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Record batches, reading. Every length comes from the network: each is checked against the bytes
 * that are left before it is used, and nothing is copied. */
#include "protocol/batch.h"

#include "protocol/base/error.h"
#include "protocol/crc32c.h"
#include "protocol/wire.h"

#define MAGIC 2
/* Length, attributes, two deltas, two lengths, header count: the shortest record. */
#define RECORD_BYTES_MIN 7
/* What the batch length counts: the header from the leader epoch on; for magic 0 and 1 a message.
 */
#define LENGTH_MIN        (KP_BATCH_HEADER_BYTES - KP_BATCH_OVERHEAD_BYTES)
#define LENGTH_MIN_LEGACY 14
#define CONTROL_KEY_BYTES 4
#define NULL_LENGTH       1 /* zigzag of -1 */
/* In a hurry, five varints of three bytes may be read before one is held against the record's end.
 */
#define HURRY_BYTES   16
#define HURRY_LIMIT   (UINT64_C(1) << 21)
#define ALWAYS_INLINE static inline __attribute__((always_inline))

static void read_header(const uint8_t *p, size_t len, kp_batch *batch)
{
    *batch = (kp_batch){
        .base_offset = (int64_t)kp_load64(p + KP_BATCH_AT_BASE_OFFSET),
        .batch_length = (int32_t)kp_load32(p + KP_BATCH_AT_LENGTH),
        .leader_epoch = (int32_t)kp_load32(p + KP_BATCH_AT_LEADER_EPOCH),
        .magic = (int8_t)p[KP_BATCH_AT_MAGIC],
        .crc = kp_load32(p + KP_BATCH_AT_CRC),
        .attributes = (int16_t)kp_load16(p + KP_BATCH_AT_ATTRIBUTES),
        .last_offset_delta = (int32_t)kp_load32(p + KP_BATCH_AT_LAST_OFFSET_DELTA),
        .base_timestamp = (int64_t)kp_load64(p + KP_BATCH_AT_BASE_TIMESTAMP),
        .max_timestamp = (int64_t)kp_load64(p + KP_BATCH_AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)kp_load64(p + KP_BATCH_AT_PRODUCER_ID),
        .producer_epoch = (int16_t)kp_load16(p + KP_BATCH_AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)kp_load32(p + KP_BATCH_AT_BASE_SEQUENCE),
        .record_count = (int32_t)kp_load32(p + KP_BATCH_AT_RECORD_COUNT),
        .bytes = kc_span(p, len),
        .records = kc_span(p + KP_BATCH_HEADER_BYTES, len - KP_BATCH_HEADER_BYTES),
    };
}

static bool count_fits(const kp_batch *batch, kc_bytes plain)
{
    return (size_t)batch->record_count <= plain.len / RECORD_BYTES_MIN;
}

static bool is_plausible(const kp_batch *batch)
{
    if (batch->base_offset < 0 || batch->last_offset_delta < 0 || batch->record_count < 0)
        return false;
    if (batch->base_offset > INT64_MAX - 1 - batch->last_offset_delta)
        return false;
    if (batch->record_count - 1 > batch->last_offset_delta)
        return false; /* offsets within a batch differ */
    return kp_batch_codec(batch) != KP_CODEC_NONE || count_fits(batch, batch->records);
}

kc_err kp_batch_next(kc_bytes *rest, bool check_crc, kp_batch *batch_out)
{
    if (rest->len <= KP_BATCH_AT_MAGIC)
        return KC_ERR_END;
    const uint8_t *p = rest->ptr;
    int32_t length = (int32_t)kp_load32(p + KP_BATCH_AT_LENGTH);
    int8_t magic = (int8_t)p[KP_BATCH_AT_MAGIC];
    if (magic < 0 || magic > MAGIC)
        return KC_ERR_MALFORMED;
    if (length < (magic == MAGIC ? LENGTH_MIN : LENGTH_MIN_LEGACY))
        return KC_ERR_MALFORMED;
    if (magic != MAGIC)
        return KC_ERR_UNSUPPORTED;
    size_t len = (size_t)length + KP_BATCH_OVERHEAD_BYTES;
    if (len > rest->len)
        return KC_ERR_END;
    read_header(p, len, batch_out);
    /* The checksum first: a flipped bit in a count is a damaged batch, which can be fetched again.
     */
    if (check_crc &&
        kp_crc32c(0, p + KP_BATCH_AT_ATTRIBUTES, len - KP_BATCH_AT_ATTRIBUTES) != batch_out->crc) {
        *rest = kc_span(p + len, rest->len - len);
        return KC_ERR_CRC;
    }
    if (!is_plausible(batch_out))
        return KC_ERR_MALFORMED;
    *rest = kc_span(p + len, rest->len - len);
    return KC_OK;
}

kc_err kp_batch_plain(const kp_batch *batch, kb_buf *scratch, kc_bytes *records_out)
{
    return kp_batch_plain_with(batch, NULL, scratch, records_out);
}

kc_err kp_batch_plain_with(const kp_batch *batch, kp_codec_cache *cache, kb_buf *scratch,
                           kc_bytes *records_out)
{
    if (kp_batch_codec(batch) == KP_CODEC_NONE) {
        *records_out = batch->records;
        return KC_OK;
    }
    kb_buf_reset(scratch);
    if (kp_batch_codec(batch) >= KP_CODEC_COUNT)
        return KC_ERR_UNSUPPORTED;
    if (batch->record_count > 0) /* compaction may leave an empty batch its codec */
        KB_TRY(kp_decompress_with(cache, kp_batch_codec(batch), batch->records, false, scratch));
    *records_out = kb_buf_bytes(scratch);
    return count_fits(batch, *records_out) ? KC_OK : KC_ERR_MALFORMED;
}

/* ---- records ----
 *
 * A record is read twice over in source, once in a hurry and once with care. In a hurry: varints of
 * up to three bytes, bounds known from afar, everything in registers, no call. Whatever does not
 * look so is read again with care, which decides whether it is malformed. Lengths and counts are
 * zigzag varints, too: odd means negative, which only the length of a null field may be. */

/* With care: `next` NULL is malformed. In a hurry: a value of HURRY_LIMIT and more is not one, for
 * a third byte that goes on keeps its mark; so no varint needs a question of its own, as a length
 * that large is above what a record read in a hurry has left. */
typedef struct varint {
    const uint8_t *next;
    uint64_t value;
} varint;

static kc_err next_with_care(kp_record_iter *iter, kp_record *record);

static inline int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

/* Any varint up to `max`; never reads at `end`. */
static varint get_long_varint(const uint8_t *p, const uint8_t *end, uint64_t max)
{
    uint64_t v = 0;
    unsigned bits_max = max == UINT32_MAX ? 35 : 70;
    for (unsigned shift = 0; p < end && shift < bits_max; shift += 7) {
        uint64_t bits = *p & 0x7f;
        if (shift == 63 && bits > 1)
            break;
        v |= bits << shift;
        if (*p++ < 0x80)
            return (varint){v <= max ? p : NULL, v};
    }
    return (varint){NULL, 0};
}

/* In a hurry three bytes at p can be read, though they need not all be before `end`. Most of a record's
 * varints take one byte. */
ALWAYS_INLINE varint get_varint(const uint8_t *p, const uint8_t *end, bool hurry, uint64_t max)
{
    if (!hurry)
        return get_long_varint(p, end, max);
    if (__builtin_expect(p[0] < 0x80, 1))
        return (varint){p + 1, p[0]};
    if (p[1] < 0x80)
        return (varint){p + 2, (uint64_t)(p[0] & 0x7f) | (uint64_t)p[1] << 7};
    return (varint){p + 3,
                    (uint64_t)(p[0] & 0x7f) | (uint64_t)(p[1] & 0x7f) << 7 | (uint64_t)p[2] << 14};
}

ALWAYS_INLINE bool is_varint(varint v, bool hurry)
{
    return hurry ? v.value < HURRY_LIMIT : v.next != NULL;
}

/* Of a length, a count or an offset. */
ALWAYS_INLINE bool is_natural(varint v, bool hurry)
{
    return is_varint(v, hurry) && !(v.value & 1);
}

/* A length and so many bytes, or null. */
ALWAYS_INLINE const uint8_t *get_field(const uint8_t *p, const uint8_t *end, bool hurry,
                                       kc_bytes *out)
{
    varint len = get_varint(p, end, hurry, UINT32_MAX);
    if (!hurry && !len.next)
        return NULL;
    if (len.value == NULL_LENGTH) {
        *out = KC_NULL;
        return len.next;
    }
    if (len.value & 1 || (int64_t)(len.value >> 1) > end - len.next)
        return NULL;
    *out = kc_span(len.next, (size_t)(len.value >> 1));
    return len.next + (len.value >> 1);
}

static const uint8_t *get_header(const uint8_t *p, const uint8_t *end, kc_header *out)
{
    p = get_field(p, end, false, &out->name);
    return p && out->name.ptr ? get_field(p, end, false, &out->value) : NULL;
}

/* The rest of a record that has headers: they must fill it. Not inline: what it keeps in memory would
 * cost every record a frame. */
static __attribute__((noinline)) kc_err check_headers(kp_record_iter *iter, const kp_record *record)
{
    kc_header header;
    const uint8_t *p = record->headers_raw.ptr;
    const uint8_t *end = p + record->headers_raw.len;
    for (int32_t left = record->header_count; left > 0 && p; left--)
        p = get_header(p, end, &header);
    if (p != end)
        return KC_ERR_MALFORMED;
    iter->pos = end;
    iter->left--;
    return KC_OK;
}

ALWAYS_INLINE kc_err give_up(kp_record_iter *iter, bool hurry, kp_record *record)
{
    return hurry ? next_with_care(iter, record) : KC_ERR_MALFORMED;
}

/* The record from p, behind its length, to `end`. Fields in a row that reach behind `end` are found
 * by not ending there. */
ALWAYS_INLINE kc_err get_record(kp_record_iter *iter, const uint8_t *p, const uint8_t *end,
                                bool hurry, kp_record *record)
{
    varint time = get_varint(p + 1, end, hurry, UINT64_MAX); /* no attributes are defined */
    if (!is_varint(time, hurry))
        return give_up(iter, hurry, record);
    varint offset = get_varint(time.next, end, hurry, UINT32_MAX);
    if (!is_natural(offset, hurry) || (int64_t)(offset.value >> 1) > iter->last_offset_delta)
        return give_up(iter, hurry, record);
    p = get_field(offset.next, end, hurry, &record->key);
    if (!p)
        return give_up(iter, hurry, record);
    p = get_field(p, end, hurry, &record->value);
    if (!p)
        return give_up(iter, hurry, record);
    varint count = get_varint(p, end, hurry, UINT32_MAX);
    if (!is_natural(count, hurry) || count.next > end)
        return give_up(iter, hurry, record);
    record->headers_raw = kc_span(count.next, (size_t)(end - count.next));
    record->header_count = (int32_t)(count.value >> 1);
    record->offset = iter->base_offset + (int64_t)(offset.value >> 1);
    record->timestamp =
        iter->is_append_time
            ? iter->append_timestamp
            : (int64_t)((uint64_t)iter->base_timestamp + (uint64_t)unzigzag(time.value));
    if (count.value > 0)
        return check_headers(iter, record);
    if (count.next != end)
        return give_up(iter, hurry, record);
    iter->pos = end;
    iter->left--;
    return KC_OK;
}

/* The bounds of the next record, then itself. */
ALWAYS_INLINE kc_err get_next(kp_record_iter *iter, bool hurry, kp_record *record)
{
    varint size = get_varint(iter->pos, iter->end, hurry, UINT32_MAX);
    if (!is_natural(size, hurry))
        return give_up(iter, hurry, record);
    int64_t len = (int64_t)(size.value >> 1);
    int64_t left = iter->end - size.next - len;
    if (len < RECORD_BYTES_MIN - 1 || left < (hurry ? HURRY_BYTES : 0))
        return give_up(iter, hurry, record);
    return get_record(iter, size.next, size.next + len, hurry, record);
}

static kc_err next_with_care(kp_record_iter *iter, kp_record *record)
{
    if (iter->left <= 0)
        return iter->pos == iter->end ? KC_ERR_END : KC_ERR_MALFORMED;
    return get_next(iter, false, record);
}

void kp_record_iter_init(kp_record_iter *iter, const kp_batch *batch, kc_bytes records)
{
    *iter = (kp_record_iter){
        .pos = records.ptr,
        .end = records.len > 0 ? records.ptr + records.len : records.ptr,
        .left = batch->record_count,
        .base_offset = batch->base_offset,
        .base_timestamp = batch->base_timestamp,
        .append_timestamp = batch->max_timestamp,
        .last_offset_delta = batch->last_offset_delta,
        .is_append_time = batch->attributes & KP_ATTR_LOG_APPEND_TIME,
    };
}

kc_err kp_record_next(kp_record_iter *iter, kp_record *record_out)
{
    if (iter->left <= 0 || iter->end - iter->pos < HURRY_BYTES)
        return next_with_care(iter, record_out);
    return get_next(iter, true, record_out);
}

kc_err kp_header_next(kc_bytes *pos, kc_header *header_out)
{
    if (pos->len == 0)
        return KC_ERR_END;
    const uint8_t *end = pos->ptr + pos->len;
    const uint8_t *p = get_header(pos->ptr, end, header_out);
    if (!p)
        return KC_ERR_MALFORMED;
    *pos = kc_span(p, (size_t)(end - p));
    return KC_OK;
}

int kp_control_type(kc_bytes key)
{
    if (key.len < CONTROL_KEY_BYTES)
        return -1;
    int16_t version = (int16_t)kp_load16(key.ptr);
    int16_t type = (int16_t)kp_load16(key.ptr + 2);
    return version < 0 || type < 0 ? -1 : type;
}
