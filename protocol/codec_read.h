/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Decoding by table, compiled twice: plain in codec.c (KP_TRACED 0) and with a tracer in
 * codec_trace.c (KP_TRACED 1), so that plain decoding pays nothing for being traceable.
 *
 * Strict wherever no real broker or client could be refused by it: over-long varints, lengths below
 * -1, null where the schema allows none, booleans other than 0 and 1, a known tag whose value does
 * not fill its size, tags that repeat or descend (KIP-482 orders them). Lenient: text is not
 * checked for UTF-8, for brokers other than Apache Kafka pass on what clients gave them; a tag in a
 * version before it exists is kept as unknown. What Kafka's own decoder takes all the same passes for
 * who is a broker to any client (kp_decode_as_kafka()). */
#ifndef KP_CODEC_READ_H
#define KP_CODEC_READ_H

#include "protocol/base/error.h"
#include "protocol/codec_internal.h"
#include "protocol/codec_trace.h"
#include "protocol/wire.h"

#ifndef KP_TRACED
#error "KP_TRACED says which of the two this is"
#endif

/* What is inlined into the loop over the fields has `pos` for itself, so that it stays in a register:
 * in memory each value would wait for the one before. Who is called finds it in the reader. */
typedef struct reader {
    const uint8_t *pos;
    const uint8_t *end; /* of the message, or of the tagged field being read */
    kb_arena *arena;    /* NULL: headers only; unknown tags are dropped      */
    int16_t version;
    bool flexible;
    bool is_lenient; /* as Kafka's own decoder */
    const char *reason;
    kp_tracer *tracer; /* only where KP_TRACED                               */
} reader;

static kc_err read_struct(reader *r, kp_fault *fault, const kp_struct_desc *desc, uint8_t *out);

/* Tell what the bytes up to `pos` are that were read since the last telling. `field` NULL: of a tag
 * section. */
static inline void tell(const reader *r, const uint8_t *pos, kc_wire_part part,
                        const kp_field_desc *field, int64_t number)
{
    if (KP_TRACED)
        kp_tracer_tell(r->tracer, pos, part, field, number);
}

static inline size_t enter_field(const reader *r, const kp_field_desc *field)
{
    return KP_TRACED ? kp_tracer_enter_field(r->tracer, field) : 0;
}

static inline size_t enter_item(const reader *r, int32_t index)
{
    return KP_TRACED ? kp_tracer_enter_item(r->tracer, index) : 0;
}

static inline void leave(const reader *r, size_t outer)
{
    if (KP_TRACED)
        kp_tracer_leave(r->tracer, outer);
}

static kc_err refuse(reader *r, kc_err err, const char *reason)
{
    r->reason = reason;
    return err;
}

static kc_err truncated(reader *r)
{
    return refuse(r, KC_ERR_TRUNCATED, "bytes end in the middle of a value");
}

static inline size_t left(const reader *r, const uint8_t *pos)
{
    return (size_t)(r->end - pos);
}

/* The value, or a kc_err, which is negative: through a pointer it would have to be in memory, and
 * read_struct() would have a frame to guard. */
static KP_SELDOM int64_t read_uvarint_slow(reader *r)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < KP_UVARINT_MAX; i++) {
        if (i >= left(r, r->pos))
            return truncated(r);
        uint8_t byte = r->pos[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        if ((byte == 0 && i > 0 && !r->is_lenient) || value > UINT32_MAX)
            break;
        r->pos += i + 1;
        return (int64_t)value;
    }
    return refuse(r, KC_ERR_MALFORMED, "varint is over-long");
}

KP_IN_LOOP kc_err read_uvarint(reader *r, const uint8_t **pos, uint32_t *out)
{
    if (*pos < r->end && **pos < 0x80) {
        *out = *(*pos)++;
        return KC_OK;
    }
    r->pos = *pos;
    int64_t value = read_uvarint_slow(r);
    if (value < 0)
        return (kc_err)value;
    *pos = r->pos;
    *out = (uint32_t)value;
    return KC_OK;
}

/* A length or count in `width` bytes, or as varint n + 1; -1 is null. */
KP_IN_LOOP kc_err read_length(reader *r, const uint8_t **pos, bool compact, size_t width,
                              int32_t *out)
{
    if (compact) {
        const uint8_t *begin = *pos;
        uint32_t raw = 0;
        KB_TRY(read_uvarint(r, pos, &raw));
        if (raw > (uint32_t)INT32_MAX + 1) {
            *pos = begin;
            return refuse(r, KC_ERR_MALFORMED, "length is above 2^31 - 1");
        }
        *out = (int32_t)((int64_t)raw - 1);
        return KC_OK;
    }
    if (left(r, *pos) < width)
        return truncated(r);
    int32_t length = width == 2 ? (int16_t)kp_load16(*pos) : (int32_t)kp_load32(*pos);
    if (length < -1 && !r->is_lenient)
        return refuse(r, KC_ERR_MALFORMED, "length is below -1");
    *pos += width;
    *out = length < 0 ? -1 : length;
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
    KB_TRY(read_length(r, &r->pos, r->flexible && !(field->flags & KP_F_STR16), is_string ? 2 : 4,
                       &length));
    tell(r, r->pos, KC_WIRE_LENGTH, field, length);
    if (length < 0) {
        *out = KC_NULL;
        return is_item ? refuse(r, KC_ERR_MALFORMED, "null in an array") : check_null(r, field);
    }
    if (is_string && length > KP_STRING_MAX)
        return refuse(r, KC_ERR_MALFORMED, "string is longer than 32767 bytes");
    if ((size_t)length > left(r, r->pos))
        return truncated(r);
    *out = kc_span(r->pos, (size_t)length);
    r->pos += length;
    tell(r, r->pos, KC_WIRE_VALUE, field, 0);
    return KC_OK;
}

static inline kc_err read_bool(reader *r, const uint8_t *pos, bool *out)
{
    if (*pos > 1 && !r->is_lenient)
        return refuse(r, KC_ERR_MALFORMED, "boolean is neither 0 nor 1");
    *out = *pos != 0;
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

static KP_SELDOM kc_err read_seldom(reader *r, const uint8_t *pos, uint8_t type, void *out)
{
    switch (type) {
    case KP_BOOL:
        return read_bool(r, pos, out);
    case KP_I8:
        *(int8_t *)out = (int8_t)*pos;
        return KC_OK;
    case KP_F64:
        *(double *)out = load_f64(pos);
        return KC_OK;
    default:
        memcpy(out, pos, sizeof(kc_uuid));
        return KC_OK;
    }
}

/* One value of fixed size. The common types are told by comparisons: a jump table costs a fifth. */
KP_IN_LOOP kc_err read_fixed(reader *r, const uint8_t **pos, const kp_field_desc *field, void *out)
{
    uint8_t type = field->type;
    size_t size = wire_sizes[type];
    if (left(r, *pos) < size)
        return truncated(r);
    if (type == KP_I32)
        *(int32_t *)out = (int32_t)kp_load32(*pos);
    else if (type == KP_I64)
        *(int64_t *)out = (int64_t)kp_load64(*pos);
    else if (type == KP_I16 || type == KP_U16)
        *(uint16_t *)out = kp_load16(*pos);
    else
        KB_TRY(read_seldom(r, *pos, type, out));
    *pos += size;
    tell(r, *pos, KC_WIRE_VALUE, field, KP_TRACED ? kp_int_get(type, out) : 0);
    return KC_OK;
}

/* The count of an array, and memory for its items. `wire_min` is the fewest bytes an item can take:
 * a hostile count is held against it before memory is taken. */
KP_IN_LOOP kc_err read_count(reader *r, const uint8_t **pos, const kp_field_desc *field,
                             size_t wire_min, kp_array *out)
{
    int32_t count = 0;
    *out = (kp_array){0};
    KB_TRY(read_length(r, pos, r->flexible, 4, &count));
    out->count = count;
    tell(r, *pos, KC_WIRE_COUNT, field, count);
    if (count <= 0)
        return count == 0 ? KC_OK : check_null(r, field);
    if ((uint64_t)count * wire_min > left(r, *pos))
        return refuse(r, KC_ERR_TRUNCATED, "count is above what the bytes left can hold");
    out->items = r->arena ? kb_arena_alloc(r->arena, (size_t)count * field->value_size) : NULL;
    if (!out->items)
        return refuse(r, KC_ERR_NOMEM, "array is above the memory allowed for this message");
    return KC_OK;
}

static inline kc_err read_item(reader *r, kp_fault *fault, const kp_field_desc *field, void *out)
{
    if (field->type == KP_STRUCT)
        return read_struct(r, fault, field->sub, out);
    if (field->type >= KP_STRING)
        return read_bytes(r, field, true, out);
    return read_fixed(r, &r->pos, field, out);
}

static kc_err read_items(reader *r, kp_fault *fault, const kp_field_desc *field, kp_array *array)
{
    uint8_t *item = array->items;
    for (int32_t i = 0; i < array->count; i++, item += field->value_size) {
        size_t outer = enter_item(r, i);
        kc_err err = read_item(r, fault, field, item);
        leave(r, outer);
        if (err != KC_OK) {
            kp_fault_index(fault, i);
            return err;
        }
    }
    return KC_OK;
}

/* An array of structs, strings or bytes. */
static kc_err read_array(reader *r, kp_fault *fault, const kp_field_desc *field, kp_array *out)
{
    size_t wire_min = r->flexible ? 1 : field->type == KP_STRING ? 2 : 4;
    if (field->type == KP_STRUCT)
        wire_min = field->sub->wire_min;
    KB_TRY(read_count(r, &r->pos, field, wire_min, out));
    return read_items(r, fault, field, out);
}

/* An array of numbers: most are broker and partition ids, which have a loop of their own. */
KP_IN_LOOP kc_err read_fixed_array(reader *r, const uint8_t **pos, kp_fault *fault,
                                   const kp_field_desc *field, kp_array *out)
{
    KB_TRY(read_count(r, pos, field, wire_sizes[field->type], out));
    if (field->type != KP_I32 || KP_TRACED) {
        r->pos = *pos;
        kc_err err = read_items(r, fault, field, out);
        *pos = r->pos;
        return err;
    }
    int32_t *items = out->items;
    const uint8_t *from = *pos;
    int32_t count = out->count;
    for (int32_t i = 0; i < count; i++, from += 4)
        items[i] = (int32_t)kp_load32(from);
    *pos = from;
    return KC_OK;
}

static kc_err read_nullable_struct(reader *r, kp_fault *fault, const kp_field_desc *field,
                                   void **out)
{
    *out = NULL;
    if (left(r, r->pos) < 1)
        return truncated(r);
    int8_t mark = (int8_t)*r->pos;
    if (mark != 1 && mark != -1)
        return refuse(r, KC_ERR_MALFORMED, "mark of a nullable struct is neither 1 nor -1");
    r->pos++;
    tell(r, r->pos, KC_WIRE_MARK, field, mark);
    if (mark < 0)
        return check_null(r, field);
    void *item = r->arena ? kb_arena_alloc(r->arena, field->sub->size) : NULL;
    if (!item)
        return refuse(r, KC_ERR_NOMEM, "struct is above the memory allowed for this message");
    KB_TRY(read_struct(r, fault, field->sub, item));
    *out = item;
    return KC_OK;
}

/* A field of variable size. */
static kc_err read_variable(reader *r, kp_fault *fault, const kp_field_desc *field, void *out)
{
    if (field->flags & KP_F_ARRAY)
        return read_array(r, fault, field, out);
    if (field->type != KP_STRUCT)
        return read_bytes(r, field, false, out);
    if (field->nullable_from >= 0)
        return read_nullable_struct(r, fault, field, out);
    return read_struct(r, fault, field->sub, out);
}

/* Most fields are numbers: they stay in the loop over the fields. */
KP_IN_LOOP kc_err read_field(reader *r, const uint8_t **pos, kp_fault *fault,
                             const kp_field_desc *field, void *out)
{
    size_t outer = enter_field(r, field);
    kc_err err;
    if (field->type >= KP_STRING) {
        r->pos = *pos;
        err = read_variable(r, fault, field, out);
        *pos = r->pos;
    } else if (field->flags & KP_F_ARRAY) {
        err = read_fixed_array(r, pos, fault, field, out);
    } else {
        err = read_fixed(r, pos, field, out);
    }
    leave(r, outer);
    if (err != KC_OK)
        kp_fault_field(fault, field);
    return err;
}

static kc_err read_known_tag(reader *r, kp_fault *fault, const kp_field_desc *field, size_t size,
                             void *out)
{
    const uint8_t *end = r->end;
    r->end = r->pos + size;
    kc_err err = read_field(r, &r->pos, fault, field, out);
    if (err == KC_ERR_TRUNCATED)
        return refuse(r, KC_ERR_MALFORMED, "value is longer than its tag says");
    KB_TRY(err);
    if (r->pos != r->end) {
        kp_fault_field(fault, field);
        return refuse(r, KC_ERR_MALFORMED, "value is shorter than its tag says");
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
    KB_TRY(read_uvarint(r, &r->pos, &tag));
    tell(r, r->pos, KC_WIRE_TAG, NULL, tag);
    if ((int64_t)tag <= *last && !r->is_lenient)
        return refuse(r, KC_ERR_MALFORMED, "tags do not ascend");
    *last = tag;
    KB_TRY(read_uvarint(r, &r->pos, &size));
    tell(r, r->pos, KC_WIRE_TAG_SIZE, NULL, size);
    if (size > left(r, r->pos))
        return truncated(r);
    const kp_field_desc *field = kp_field_of_tag(desc, r->version, tag);
    if (field)
        return read_known_tag(r, fault, field, size, out + field->offset);
    kp_tags *unknown = (kp_tags *)(void *)(out + desc->tags_offset);
    KB_TRY(keep_unknown_tag(r, unknown, most, (kp_tag){tag, kc_span(r->pos, size)}));
    r->pos += size;
    tell(r, r->pos, KC_WIRE_TAG_DATA, NULL, tag);
    return KC_OK;
}

static KP_SELDOM kc_err read_tags(reader *r, kp_fault *fault, const kp_struct_desc *desc,
                                  uint8_t *out, uint32_t count)
{
    if (count > left(r, r->pos) / 2) /* each takes two bytes at least */
        return truncated(r);
    int64_t last = -1;
    for (; count > 0; count--)
        KB_TRY(read_tag(r, fault, desc, out, count, &last));
    return KC_OK;
}

KP_IN_LOOP kc_err read_fields(reader *r, kp_fault *fault, const kp_struct_desc *desc, uint8_t *out)
{
    const uint8_t *pos = r->pos;
    const kp_field_desc *field = desc->fields;
    const kp_field_desc *end = field + desc->field_count;
    kc_err err = KC_OK;
    for (; field < end && err == KC_OK; field++) {
        void *value = out + field->offset;
        if (!(field->flags & KP_F_ALWAYS) &&
            (!kp_field_is_in(field, r->version) || kp_field_is_tagged(field, r->version))) {
            kp_field_default(field, value);
            continue;
        }
        err = read_field(r, &pos, fault, field, value);
    }
    r->pos = pos;
    return err;
}

KP_IN_LOOP kc_err read_tag_section(reader *r, kp_fault *fault, const kp_struct_desc *desc,
                                   uint8_t *out)
{
    uint32_t count = 0;
    *(kp_tags *)(void *)(out + desc->tags_offset) = (kp_tags){0};
    if (!r->flexible)
        return KC_OK;
    KB_TRY(read_uvarint(r, &r->pos, &count));
    tell(r, r->pos, KC_WIRE_TAG_COUNT, NULL, count);
    return count == 0 ? KC_OK : read_tags(r, fault, desc, out, count);
}

static kc_err read_struct(reader *r, kp_fault *fault, const kp_struct_desc *desc, uint8_t *out)
{
    if (KP_TRACED)
        r->tracer->depth++;
    KB_TRY(read_fields(r, fault, desc, out));
    KB_TRY(read_tag_section(r, fault, desc, out));
    if (KP_TRACED)
        r->tracer->depth--;
    return KC_OK;
}

static reader reader_of(int16_t version, kc_bytes in, kb_arena *arena)
{
    if (!in.ptr)
        in = KC_STR("");
    return (reader){.pos = in.ptr, .end = in.ptr + in.len, .arena = arena, .version = version};
}

static kc_err read_message(reader *r, const kp_message *message, void *msg_out, size_t *used_out,
                           kp_fault *fault)
{
    const uint8_t *begin = r->pos;
    kc_err err = KC_ERR_VERSION;
    kp_fault found = {0};
    if (r->version < message->min || r->version > message->max) {
        r->reason = "the schema does not have this version";
    } else {
        r->flexible = r->version >= message->flexible_from;
        if (KP_TRACED)
            r->tracer->flexible = r->flexible;
        err = read_struct(r, fault ? &found : NULL, message->root, msg_out);
    }
    *used_out = (size_t)(r->pos - begin);
    found.at = *used_out;
    found.reason = r->reason;
    return kp_fault_tell(fault, &found, err);
}

static kc_err read_whole(reader *r, const kp_message *message, void *msg_out, kp_fault *fault)
{
    size_t used = 0;
    KB_TRY(read_message(r, message, msg_out, &used, fault));
    if (r->pos == r->end)
        return KC_OK;
    return kp_fault_tell(fault,
                         &(kp_fault){.at = used, .reason = "bytes are left behind the message"},
                         KC_ERR_MALFORMED);
}

#endif
