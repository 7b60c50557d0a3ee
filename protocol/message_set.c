/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Message sets, magic 0 and 1 (KIP-31, KIP-32).
 *
 * An outer message holds either one record, or in its value a compressed set of inner messages. Its
 * offset is that of the last inner one. Inner offsets are absolute in magic 0, and count from 0 in
 * magic 1. So the inner messages are walked once when the outer one is taken: that finds the last,
 * and checks them all. */
#include "protocol/message_set.h"

#include "protocol/base/error.h"
#include "protocol/wire.h"

#include <zlib.h>

/* Offset and size stand in front of each message. */
#define OVERHEAD_BYTES 12
#define AT_SIZE        8
#define AT_CRC         12
#define AT_MAGIC       16
#define AT_ATTRIBUTES  17
#define AT_TIMESTAMP   18
#define KEY_MAGIC_0    18
#define KEY_MAGIC_1    26
#define LENGTH_BYTES   4
#define CRC_FROM       AT_MAGIC

/* One message, outer or inner. */
typedef struct message {
    int64_t offset;
    uint32_t crc;
    int8_t magic;
    int8_t attributes;
    int64_t timestamp;
    kc_bytes key;
    kc_bytes value;
    kc_bytes bytes;
} message;

static bool get_field(kc_bytes *rest, kc_bytes *out)
{
    if (rest->len < LENGTH_BYTES)
        return false;
    int32_t len = (int32_t)kp_load32(rest->ptr);
    *rest = kc_span(rest->ptr + LENGTH_BYTES, rest->len - LENGTH_BYTES);
    *out = KC_NULL;
    if (len == -1)
        return true;
    if (len < 0 || (size_t)len > rest->len)
        return false;
    *out = kc_span(rest->ptr, (size_t)len);
    *rest = kc_span(rest->ptr + len, rest->len - (size_t)len);
    return true;
}

/* Size of the first message with its offset and size: KC_OK, KC_ERR_END, KC_ERR_MALFORMED,
 * KC_ERR_UNSUPPORTED. */
static kc_err measure(kc_bytes in, size_t *len_out)
{
    if (in.len <= AT_MAGIC)
        return KC_ERR_END;
    int8_t magic = (int8_t)in.ptr[AT_MAGIC];
    if (magic < 0)
        return KC_ERR_MALFORMED;
    if (magic > 1)
        return KC_ERR_UNSUPPORTED;
    int32_t size = (int32_t)kp_load32(in.ptr + AT_SIZE);
    int32_t least = (magic == 0 ? KEY_MAGIC_0 : KEY_MAGIC_1) + 2 * LENGTH_BYTES - OVERHEAD_BYTES;
    if (size < least)
        return KC_ERR_MALFORMED;
    *len_out = (size_t)size + OVERHEAD_BYTES;
    return *len_out > in.len ? KC_ERR_END : KC_OK;
}

/* The fixed fields of a measured message. */
static void read_fixed(kc_bytes bytes, message *out)
{
    const uint8_t *p = bytes.ptr;
    *out = (message){
        .offset = (int64_t)kp_load64(p),
        .crc = kp_load32(p + AT_CRC),
        .magic = (int8_t)p[AT_MAGIC],
        .attributes = (int8_t)p[AT_ATTRIBUTES],
        .timestamp = KP_NO_TIMESTAMP,
        .bytes = bytes,
    };
    if (out->magic > 0)
        out->timestamp = (int64_t)kp_load64(p + AT_TIMESTAMP);
}

/* Key and value, which must fill the message. */
static kc_err read_fields(message *msg)
{
    size_t at = msg->magic == 0 ? KEY_MAGIC_0 : KEY_MAGIC_1;
    kc_bytes rest = kc_span(msg->bytes.ptr + at, msg->bytes.len - at);
    if (!get_field(&rest, &msg->key) || !get_field(&rest, &msg->value) || rest.len != 0)
        return KC_ERR_MALFORMED;
    /* The next fetch is at the offset behind the last one. */
    return msg->offset < 0 || msg->offset == INT64_MAX ? KC_ERR_MALFORMED : KC_OK;
}

static bool crc_matches(const message *msg)
{
    uLong crc = crc32_z(0, msg->bytes.ptr + CRC_FROM, msg->bytes.len - CRC_FROM);
    return (uint32_t)crc == msg->crc;
}

/* Take one whole message off `*rest`; where it can't be whole, END. */
static kc_err take(kc_bytes *rest, message *out)
{
    size_t len;
    KB_TRY(measure(*rest, &len));
    read_fixed(kc_span(rest->ptr, len), out);
    KB_TRY(read_fields(out));
    *rest = kc_span(rest->ptr + len, rest->len - len);
    return KC_OK;
}

/* Take an inner message: here an end within one, another magic or a compression are malformed. */
static kc_err take_inner(kc_bytes *rest, int8_t magic, message *out)
{
    if (rest->len == 0)
        return KC_ERR_END;
    if (take(rest, out) != KC_OK || out->magic != magic)
        return KC_ERR_MALFORMED;
    return (out->attributes & KP_ATTR_CODEC) == KP_CODEC_NONE ? KC_OK : KC_ERR_MALFORMED;
}

/* Walk the inner messages once: check all, count them, learn how their offsets are meant. */
static kc_err survey(kp_message_set *set, bool check_crc)
{
    message inner = {0};
    int64_t first = 0;
    kc_bytes rest = set->rest;
    kc_err err;
    while ((err = take_inner(&rest, set->magic, &inner)) == KC_OK) {
        if (check_crc && !crc_matches(&inner))
            return KC_ERR_CRC;
        if (set->count == INT32_MAX)
            return KC_ERR_MALFORMED;
        if (set->count++ == 0)
            first = inner.offset;
        /* With a sum above, an absolute offset could not be represented. */
        if (set->is_relative && inner.offset > INT32_MAX)
            return KC_ERR_MALFORMED;
    }
    if (err != KC_ERR_END || set->count == 0)
        return KC_ERR_MALFORMED;
    /* librdkafka once produced relative offsets in wrappers of offset 0; Java reads them so, too.
     */
    if (set->is_relative && set->last_offset != 0) {
        if (set->last_offset < inner.offset)
            return KC_ERR_MALFORMED;
        set->offset_add = set->last_offset - inner.offset;
        if (set->offset_add > INT64_MAX - 1 - INT32_MAX)
            return KC_ERR_MALFORMED;
    }
    set->base_offset = first + set->offset_add;
    return KC_OK;
}

static kc_err open_compressed(const message *outer, bool check_crc, kb_buf *scratch,
                              kp_message_set *set)
{
    kp_codec codec = (kp_codec)(outer->attributes & KP_ATTR_CODEC);
    if (!outer->value.ptr || codec >= KP_CODEC_ZSTD) /* KIP-110: zstd only from magic 2 on */
        return KC_ERR_MALFORMED;
    kb_buf_reset(scratch);
    KB_TRY(kp_decompress(codec, outer->value, outer->magic == 0, scratch));
    set->rest = kb_buf_bytes(scratch);
    set->is_relative = outer->magic == 1;
    kc_err err = survey(set, check_crc);
    if (err != KC_OK) {
        set->count = 0;
        set->rest = KC_NULL;
    }
    return err;
}

kc_err kp_message_set_next(kc_bytes *rest, bool check_crc, kb_buf *scratch, kp_message_set *set_out)
{
    size_t len;
    kc_err err = measure(*rest, &len);
    if (err == KC_ERR_UNSUPPORTED)
        *set_out = (kp_message_set){.magic = (int8_t)rest->ptr[AT_MAGIC]};
    if (err != KC_OK)
        return err;
    message outer;
    read_fixed(kc_span(rest->ptr, len), &outer);
    *set_out = (kp_message_set){
        .base_offset = outer.offset,
        .last_offset = outer.offset,
        .magic = outer.magic,
        .attributes = outer.attributes,
        .crc = outer.crc,
        .timestamp = outer.timestamp,
    };
    bool is_intact = !check_crc || crc_matches(&outer);
    if (is_intact)
        KB_TRY(read_fields(&outer));
    *rest = kc_span(rest->ptr + len, rest->len - len);
    if (!is_intact)
        return KC_ERR_CRC;
    if ((outer.attributes & KP_ATTR_CODEC) != KP_CODEC_NONE)
        return open_compressed(&outer, check_crc, scratch, set_out);
    set_out->count = 1;
    set_out->rest = outer.bytes;
    return KC_OK;
}

kc_err kp_message_next(kp_message_set *set, kp_record *record_out)
{
    message inner;
    KB_TRY(take_inner(&set->rest, set->magic, &inner));
    bool is_append_time = set->magic == 1 && (set->attributes & KP_ATTR_LOG_APPEND_TIME);
    *record_out = (kp_record){
        .offset = inner.offset + set->offset_add,
        .timestamp = is_append_time ? set->timestamp : inner.timestamp,
        .key = inner.key,
        .value = inner.value,
        .headers_raw = KC_STR(""),
    };
    return KC_OK;
}
