/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Decoding by table.
 *
 * Strict wherever no real broker or client could be refused by it: over-long varints, lengths below
 * -1, null where the schema allows none, booleans other than 0 and 1, a known tag whose value does
 * not fill its size, tags that repeat or descend (KIP-482 orders them). Lenient: text is not
 * checked for UTF-8, for brokers other than Apache Kafka pass on what clients gave them; a tag in a
 * version before it exists is kept as unknown. */
#include "protocol/base/error.h"
#include "protocol/codec_internal.h"
#include "protocol/wire.h"

#include <assert.h>

typedef struct reader {
    const uint8_t *pos;
    const uint8_t *end; /* of the message, or of the tagged field being read */
    kb_arena *arena;    /* NULL: headers only; unknown tags are dropped      */
    int16_t version;
    bool flexible;
    const char *reason;
} reader;

static kc_err decode_struct(reader *r, kp_fault *fault, const kp_struct_desc *desc, uint8_t *out);

static kc_err refuse(reader *r, kc_err err, const char *reason)
{
    r->reason = reason;
    return err;
}

static kc_err truncated(reader *r)
{
    return refuse(r, KC_ERR_TRUNCATED, "bytes end in the middle of a value");
}

static inline size_t left(const reader *r)
{
    return (size_t)(r->end - r->pos);
}

static kc_err read_uvarint_slow(reader *r, uint32_t *out)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < KP_UVARINT_MAX; i++) {
        if (i >= left(r))
            return truncated(r);
        uint8_t byte = r->pos[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        if ((byte == 0 && i > 0) || value > UINT32_MAX)
            break;
        *out = (uint32_t)value;
        r->pos += i + 1;
        return KC_OK;
    }
    return refuse(r, KC_ERR_MALFORMED, "varint is over-long");
}

static inline kc_err read_uvarint(reader *r, uint32_t *out)
{
    if (r->pos < r->end && *r->pos < 0x80) {
        *out = *r->pos++;
        return KC_OK;
    }
    return read_uvarint_slow(r, out);
}

/* A length or count in `width` bytes, or as varint n + 1; -1 is null. */
static inline kc_err read_length(reader *r, bool compact, size_t width, int32_t *out)
{
    if (compact) {
        uint32_t raw = 0;
        KB_TRY(read_uvarint(r, &raw));
        if (raw > (uint32_t)INT32_MAX + 1)
            return refuse(r, KC_ERR_MALFORMED, "length is above 2^31 - 1");
        *out = (int32_t)((int64_t)raw - 1);
        return KC_OK;
    }
    if (left(r) < width)
        return truncated(r);
    int32_t length = width == 2 ? (int16_t)kp_load16(r->pos) : (int32_t)kp_load32(r->pos);
    if (length < -1)
        return refuse(r, KC_ERR_MALFORMED, "length is below -1");
    r->pos += width;
    *out = length;
    return KC_OK;
}

static inline kc_err check_null(reader *r, const kp_field_desc *field)
{
    if (kp_field_is_nullable(field, r->version))
        return KC_OK;
    return refuse(r, KC_ERR_MALFORMED, "null where the schema allows none");
}

static inline kc_err read_bytes(reader *r, const kp_field_desc *field, bool is_item, kc_bytes *out)
{
    bool is_string = field->type == KP_STRING;
    int32_t length = 0;
    KB_TRY(read_length(r, r->flexible && !(field->flags & KP_F_STR16), is_string ? 2 : 4, &length));
    if (length < 0) {
        *out = KC_NULL;
        return is_item ? refuse(r, KC_ERR_MALFORMED, "null in an array") : check_null(r, field);
    }
    if (is_string && length > KP_STRING_MAX)
        return refuse(r, KC_ERR_MALFORMED, "string is longer than 32767 bytes");
    if ((size_t)length > left(r))
        return truncated(r);
    *out = kc_span(r->pos, (size_t)length);
    r->pos += length;
    return KC_OK;
}

static inline kc_err read_bool(reader *r, bool *out)
{
    if (*r->pos > 1)
        return refuse(r, KC_ERR_MALFORMED, "boolean is neither 0 nor 1");
    *out = *r->pos == 1;
    return KC_OK;
}

static inline double load_f64(const uint8_t *p)
{
    uint64_t bits = kp_load64(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static const uint8_t wire_sizes[] = {[KP_BOOL] = 1, [KP_I8] = 1,  [KP_I16] = 2, [KP_U16] = 2,
                                     [KP_I32] = 4,  [KP_I64] = 8, [KP_F64] = 8, [KP_UUID] = 16};

/* One value of fixed size. */
KP_IN_LOOP kc_err read_fixed(reader *r, uint8_t type, void *out)
{
    size_t size = wire_sizes[type];
    const uint8_t *pos = r->pos;
    if (left(r) < size)
        return truncated(r);
    switch (type) {
    case KP_I32:
        *(int32_t *)out = (int32_t)kp_load32(pos);
        break;
    case KP_I64:
        *(int64_t *)out = (int64_t)kp_load64(pos);
        break;
    case KP_I16:
    case KP_U16:
        *(uint16_t *)out = kp_load16(pos);
        break;
    case KP_BOOL:
        KB_TRY(read_bool(r, out));
        break;
    case KP_I8:
        *(int8_t *)out = (int8_t)*pos;
        break;
    case KP_F64:
        *(double *)out = load_f64(pos);
        break;
    default:
        memcpy(out, pos, sizeof(kc_uuid));
        break;
    }
    r->pos = pos + size;
    return KC_OK;
}

/* One value that is no struct: a field, or (is_item) an element of one. */
static inline kc_err read_scalar(reader *r, const kp_field_desc *field, bool is_item, void *out)
{
    if (field->type >= KP_STRING)
        return read_bytes(r, field, is_item, out);
    return read_fixed(r, field->type, out);
}

/* Fewest bytes one item can take: what a hostile count is held against before memory is taken. */
static inline size_t item_wire_min(const reader *r, const kp_field_desc *field)
{
    if (field->type == KP_STRUCT)
        return field->sub->wire_min;
    if (field->type < KP_STRING)
        return wire_sizes[field->type];
    if (r->flexible)
        return 1;
    return field->type == KP_STRING ? 2 : 4;
}

static kc_err read_items(reader *r, kp_fault *fault, const kp_field_desc *field, kp_array *array)
{
    size_t item_size = field->value_size;
    uint8_t *item = array->items;
    for (int32_t i = 0; i < array->count; i++, item += item_size) {
        kc_err err = field->type == KP_STRUCT ? decode_struct(r, fault, field->sub, item)
                                              : read_scalar(r, field, true, item);
        if (err != KC_OK) {
            kp_fault_index(fault, i);
            return err;
        }
    }
    return KC_OK;
}

/* Partition ids make most of the arrays, so they have a loop of their own. */
static void read_i32_items(reader *r, int32_t *items, int32_t count)
{
    const uint8_t *pos = r->pos;
    for (int32_t i = 0; i < count; i++, pos += 4)
        items[i] = (int32_t)kp_load32(pos);
    r->pos = pos;
}

static kc_err read_array(reader *r, kp_fault *fault, const kp_field_desc *field, kp_array *out)
{
    int32_t count = 0;
    *out = (kp_array){0};
    KB_TRY(read_length(r, r->flexible, 4, &count));
    if (count <= 0) {
        out->count = count;
        return count == 0 ? KC_OK : check_null(r, field);
    }
    if ((uint64_t)count * item_wire_min(r, field) > left(r))
        return refuse(r, KC_ERR_TRUNCATED, "count is above what the bytes left can hold");
    out->items = r->arena ? kb_arena_alloc(r->arena, (size_t)count * field->value_size) : NULL;
    if (!out->items)
        return refuse(r, KC_ERR_NOMEM, "array is above the memory allowed for this message");
    out->count = count;
    if (field->type != KP_I32)
        return read_items(r, fault, field, out);
    read_i32_items(r, out->items, count);
    return KC_OK;
}

static kc_err read_nullable_struct(reader *r, kp_fault *fault, const kp_field_desc *field,
                                   void **out)
{
    *out = NULL;
    if (left(r) < 1)
        return truncated(r);
    int8_t mark = (int8_t)*r->pos;
    if (mark != 1 && mark != -1)
        return refuse(r, KC_ERR_MALFORMED, "mark of a nullable struct is neither 1 nor -1");
    r->pos++;
    if (mark < 0)
        return check_null(r, field);
    void *item = r->arena ? kb_arena_alloc(r->arena, field->sub->size) : NULL;
    if (!item)
        return refuse(r, KC_ERR_NOMEM, "struct is above the memory allowed for this message");
    KB_TRY(decode_struct(r, fault, field->sub, item));
    *out = item;
    return KC_OK;
}

static kc_err read_field(reader *r, kp_fault *fault, const kp_field_desc *field, void *out)
{
    if (field->flags & KP_F_ARRAY)
        return read_array(r, fault, field, out);
    if (field->type != KP_STRUCT)
        return read_scalar(r, field, false, out);
    if (field->nullable_from >= 0)
        return read_nullable_struct(r, fault, field, out);
    return decode_struct(r, fault, field->sub, out);
}

static kc_err read_known_tag(reader *r, kp_fault *fault, const kp_field_desc *field, size_t size,
                             void *out)
{
    const uint8_t *end = r->end;
    r->end = r->pos + size;
    kc_err err = read_field(r, fault, field, out);
    if (err == KC_OK && r->pos != r->end) {
        err = refuse(r, KC_ERR_MALFORMED, "value is shorter than its tag says");
    } else if (err == KC_ERR_TRUNCATED) {
        err = refuse(r, KC_ERR_MALFORMED, "value is longer than its tag says");
    }
    if (err != KC_OK) {
        kp_fault_field(fault, field);
        return err;
    }
    r->end = end;
    return KC_OK;
}

static kc_err keep_unknown_tag(reader *r, kp_tags *tags, uint32_t most, kp_tag tag)
{
    if (!r->arena)
        return KC_OK;
    if (!tags->items)
        tags->items = kb_arena_alloc(r->arena, most * sizeof *tags->items);
    if (!tags->items)
        return refuse(r, KC_ERR_NOMEM, "tags are above the memory allowed for this message");
    tags->items[tags->count++] = tag;
    return KC_OK;
}

/* One tagged field; `most` is how many there can still be, this one included. */
static kc_err read_tag(reader *r, kp_fault *fault, const kp_struct_desc *desc, uint8_t *out,
                       uint32_t most, int64_t *last)
{
    uint32_t tag = 0;
    uint32_t size = 0;
    KB_TRY(read_uvarint(r, &tag));
    if ((int64_t)tag <= *last)
        return refuse(r, KC_ERR_MALFORMED, "tags do not ascend");
    *last = tag;
    KB_TRY(read_uvarint(r, &size));
    if (size > left(r))
        return truncated(r);
    const kp_field_desc *field = kp_field_of_tag(desc, r->version, tag);
    if (field)
        return read_known_tag(r, fault, field, size, out + field->offset);
    kp_tags *unknown = (kp_tags *)(void *)(out + desc->tags_offset);
    KB_TRY(keep_unknown_tag(r, unknown, most, (kp_tag){tag, kc_span(r->pos, size)}));
    r->pos += size;
    return KC_OK;
}

static kc_err read_tags(reader *r, kp_fault *fault, const kp_struct_desc *desc, uint8_t *out,
                        uint32_t count)
{
    if (count > left(r) / 2) /* each takes two bytes at least */
        return truncated(r);
    int64_t last = -1;
    for (; count > 0; count--)
        KB_TRY(read_tag(r, fault, desc, out, count, &last));
    return KC_OK;
}

static kc_err decode_struct(reader *r, kp_fault *fault, const kp_struct_desc *desc, uint8_t *out)
{
    const kp_field_desc *field = desc->fields;
    const kp_field_desc *end = field + desc->field_count;
    for (; field < end; field++) {
        void *value = out + field->offset;
        if (!(field->flags & KP_F_ALWAYS) &&
            (!kp_field_is_in(field, r->version) || kp_field_is_tagged(field, r->version))) {
            kp_field_default(field, value);
            continue;
        }
        /* most fields are numbers: keep them in this loop */
        kc_err err = kp_field_is_fixed(field) ? read_fixed(r, field->type, value)
                                              : read_field(r, fault, field, value);
        if (err != KC_OK) {
            kp_fault_field(fault, field);
            return err;
        }
    }
    *(kp_tags *)(void *)(out + desc->tags_offset) = (kp_tags){0};
    if (!r->flexible)
        return KC_OK;
    uint32_t count = 0;
    KB_TRY(read_uvarint(r, &count));
    return count == 0 ? KC_OK : read_tags(r, fault, desc, out, count);
}

kc_err kp_decode_prefix(const kp_message *message, int16_t version, kc_bytes in, kb_arena *arena,
                        void *msg_out, size_t *used_out, kp_fault *fault)
{
    assert(message && msg_out && used_out);
    kp_fault_clear(fault);
    *used_out = 0;
    if (version < message->min || version > message->max) {
        if (fault)
            fault->reason = "the schema does not have this version";
        return KC_ERR_VERSION;
    }
    if (!in.ptr)
        in = KC_STR("");
    reader r = {.pos = in.ptr,
                .end = in.ptr + in.len,
                .arena = arena,
                .version = version,
                .flexible = version >= message->flexible_from};
    kc_err err = decode_struct(&r, fault, message->root, msg_out);
    *used_out = (size_t)(r.pos - in.ptr);
    if (err != KC_OK && fault) {
        fault->at = *used_out;
        fault->reason = r.reason;
    }
    return err;
}

kc_err kp_decode(const kp_message *message, int16_t version, kc_bytes in, kb_arena *arena,
                 void *msg_out, kp_fault *fault)
{
    size_t used = 0;
    KB_TRY(kp_decode_prefix(message, version, in, arena, msg_out, &used, fault));
    if (used == in.len)
        return KC_OK;
    if (fault) {
        fault->at = used;
        fault->reason = "bytes are left behind the message";
    }
    return KC_ERR_MALFORMED;
}
