/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Encoding by table, in two walks: the first measures and refuses, the second only writes. So the
 * buffer grows once, the sizes in front of tagged fields are known, and a message that is refused
 * leaves no bytes behind. */
#include "protocol/base/error.h"
#include "protocol/codec_internal.h"
#include "protocol/wire.h"

#include <assert.h>

typedef struct sizer {
    uint64_t total;        /* bytes on the wire                                 */
    uint64_t spliced;      /* of these, what the second walk will only list     */
    uint32_t splices_left; /* how many values it may list                       */
    int16_t version;
    bool flexible;
    const char *reason;
} sizer;

typedef struct writer {
    uint8_t *pos;
    const uint8_t *start; /* of the buffer: splices count from here */
    kp_splices *splices;
    int16_t version;
    bool flexible;
} writer;

static kc_err size_struct(sizer *s, kp_fault *fault, const kp_struct_desc *desc, const uint8_t *in);
static void write_struct(writer *w, const kp_struct_desc *desc, const uint8_t *in);

static const uint8_t wire_sizes[] = {[KP_BOOL] = 1, [KP_I8] = 1,  [KP_I16] = 2, [KP_U16] = 2,
                                     [KP_I32] = 4,  [KP_I64] = 8, [KP_F64] = 8, [KP_UUID] = 16};

static const kp_tags *unknown_tags(const kp_struct_desc *desc, const uint8_t *in)
{
    return (const kp_tags *)(const void *)(in + desc->tags_offset);
}

static kc_err refuse(sizer *s, kc_err err, const char *reason)
{
    s->reason = reason;
    return err;
}

static bool is_compact(bool flexible, const kp_field_desc *field)
{
    return flexible && !(field->flags & KP_F_STR16);
}

/* First walk: measure and refuse. */

static void size_length(sizer *s, bool compact, unsigned width, size_t length)
{
    s->total += compact ? kp_uvarint_size((uint32_t)length + 1) : width;
}

static kc_err size_null(sizer *s, const kp_field_desc *field, unsigned width)
{
    if (!kp_field_is_nullable(field, s->version))
        return refuse(s, KC_ERR_ARGUMENT, "null where this version allows none");
    s->total += is_compact(s->flexible, field) ? 1 : width;
    return KC_OK;
}

static kc_err size_bytes(sizer *s, const kp_field_desc *field, bool is_item, const kc_bytes *value)
{
    unsigned width = field->type == KP_STRING ? 2 : 4;
    if (!value->ptr)
        return is_item ? refuse(s, KC_ERR_ARGUMENT, "null in an array")
                       : size_null(s, field, width);
    if (field->type == KP_STRING && value->len > KP_STRING_MAX)
        return refuse(s, KC_ERR_ARGUMENT, "string is longer than 32767 bytes");
    if (value->len > INT32_MAX - 1)
        return refuse(s, KC_ERR_TOO_LARGE, "value is longer than 2^31 - 2 bytes");
    size_length(s, is_compact(s->flexible, field), width, value->len);
    s->total += value->len;
    if (field->type == KP_RECORDS && s->splices_left > 0 && value->len > 0) {
        s->splices_left--;
        s->spliced += value->len;
    }
    return KC_OK;
}

static kc_err size_array(sizer *s, kp_fault *fault, const kp_field_desc *field,
                         const kp_array *array)
{
    if (array->count == -1)
        return size_null(s, field, 4);
    if (array->count < 0 || (array->count > 0 && !array->items))
        return refuse(s, KC_ERR_ARGUMENT, "array has a count without items, or below -1");
    size_length(s, s->flexible, 4, (size_t)array->count);
    if (field->type < KP_STRING) {
        s->total += (uint64_t)array->count * wire_sizes[field->type];
        return KC_OK;
    }
    const uint8_t *item = array->items;
    size_t item_size = field->value_size;
    for (int32_t i = 0; i < array->count; i++, item += item_size) {
        kc_err err = field->type == KP_STRUCT
                         ? size_struct(s, fault, field->sub, item)
                         : size_bytes(s, field, true, (const kc_bytes *)(const void *)item);
        if (err != KC_OK) {
            kp_fault_index(fault, i);
            return err;
        }
    }
    return KC_OK;
}

static kc_err size_value(sizer *s, kp_fault *fault, const kp_field_desc *field, const void *value)
{
    if (field->flags & KP_F_ARRAY)
        return size_array(s, fault, field, value);
    if (field->type == KP_STRUCT && field->nullable_from < 0)
        return size_struct(s, fault, field->sub, value);
    if (field->type == KP_STRUCT) {
        const void *item = *(void *const *)value;
        if (!item && !kp_field_is_nullable(field, s->version))
            return refuse(s, KC_ERR_ARGUMENT, "null where this version allows none");
        s->total += 1;
        return item ? size_struct(s, fault, field->sub, item) : KC_OK;
    }
    if (field->type >= KP_STRING)
        return size_bytes(s, field, false, value);
    s->total += wire_sizes[field->type];
    return KC_OK;
}

static kc_err size_unknown_tags(sizer *s, const kp_struct_desc *desc, const uint8_t *in)
{
    const kp_tags *tags = unknown_tags(desc, in);
    if (tags->count == 0)
        return KC_OK;
    if (tags->count < 0 || !tags->items)
        return refuse(s, KC_ERR_ARGUMENT, "unknown tags have a count without items, or below 0");
    if (!s->flexible)
        return refuse(s, KC_ERR_VERSION, "this version has no tagged fields");
    for (int32_t i = 0; i < tags->count; i++) {
        const kp_tag *tag = &tags->items[i];
        if (i > 0 && tag->tag <= tags->items[i - 1].tag)
            return refuse(s, KC_ERR_ARGUMENT, "unknown tags do not ascend");
        if (tag->data.len > INT32_MAX)
            return refuse(s, KC_ERR_TOO_LARGE, "value is longer than 2^31 - 1 bytes");
        if (kp_field_of_tag(desc, s->version, tag->tag))
            return refuse(s, KC_ERR_ARGUMENT, "an unknown tag is one the schema knows");
        s->total +=
            kp_uvarint_size(tag->tag) + kp_uvarint_size((uint32_t)tag->data.len) + tag->data.len;
    }
    return KC_OK;
}

static kc_err size_tagged(sizer *s, kp_fault *fault, const kp_field_desc *field, const void *value)
{
    uint64_t before = s->total;
    KB_TRY(size_value(s, fault, field, value));
    uint64_t size = s->total - before;
    if (size > INT32_MAX)
        return refuse(s, KC_ERR_TOO_LARGE, "value is longer than 2^31 - 1 bytes");
    s->total += kp_uvarint_size((uint32_t)field->tag) + kp_uvarint_size((uint32_t)size);
    return KC_OK;
}

static kc_err size_field(sizer *s, kp_fault *fault, const kp_field_desc *field, const void *value,
                         uint32_t *tag_count)
{
    if (!kp_field_is_in(field, s->version)) {
        if (field->flags & KP_F_IGNORABLE || kp_field_is_default(field, value))
            return KC_OK;
        return refuse(s, KC_ERR_VERSION, "field has a value but is not in this version");
    }
    if (!kp_field_is_tagged(field, s->version))
        return size_value(s, fault, field, value);
    if (kp_field_is_default(field, value))
        return KC_OK;
    ++*tag_count;
    return size_tagged(s, fault, field, value);
}

static kc_err size_struct(sizer *s, kp_fault *fault, const kp_struct_desc *desc, const uint8_t *in)
{
    uint32_t tag_count = 0;
    for (size_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        if (field->flags & KP_F_ALWAYS && kp_field_is_fixed(field)) {
            s->total += wire_sizes[field->type];
            continue;
        }
        kc_err err = size_field(s, fault, field, in + field->offset, &tag_count);
        if (err != KC_OK) {
            kp_fault_field(fault, field);
            return err;
        }
    }
    KB_TRY(size_unknown_tags(s, desc, in));
    if (s->flexible)
        s->total += kp_uvarint_size(tag_count + (uint32_t)unknown_tags(desc, in)->count);
    return KC_OK;
}

static kc_err measure(const kp_message *message, sizer *s, const void *msg, kp_fault *fault)
{
    kp_fault found = {0};
    kc_err err = KC_OK;
    if (s->version < message->min || s->version > message->max)
        err = refuse(s, KC_ERR_VERSION, "the schema does not have this version");
    else
        err = size_struct(s, fault ? &found : NULL, message->root, msg);
    if (err == KC_OK && s->total > INT32_MAX)
        err = refuse(s, KC_ERR_TOO_LARGE, "message is longer than 2^31 - 1 bytes");
    found.reason = s->reason;
    return kp_fault_tell(fault, &found, err);
}

kc_err kp_size(const kp_message *message, int16_t version, const void *msg, size_t *size_out,
               kp_fault *fault)
{
    assert(message && msg && size_out);
    sizer s = {.version = version, .flexible = version >= message->flexible_from};
    KB_TRY(measure(message, &s, msg, fault));
    *size_out = (size_t)s.total;
    return KC_OK;
}

/* Second walk: everything was checked, nothing can fail. */

static void write_length(writer *w, bool compact, unsigned width, int32_t length)
{
    if (compact)
        w->pos = kp_store_uvarint(w->pos, (uint32_t)length + 1);
    else if (width == 2)
        w->pos = kp_store16(w->pos, (uint16_t)length);
    else
        w->pos = kp_store32(w->pos, (uint32_t)length);
}

static void write_raw(writer *w, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(w->pos, bytes, len);
    w->pos += len;
}

static void write_bytes(writer *w, const kp_field_desc *field, const kc_bytes *value)
{
    unsigned width = field->type == KP_STRING ? 2 : 4;
    write_length(w, is_compact(w->flexible, field), width, value->ptr ? (int32_t)value->len : -1);
    kp_splices *splices = w->splices;
    if (field->type != KP_RECORDS || !splices || value->len == 0 ||
        splices->count >= splices->cap) {
        write_raw(w, value->ptr, value->ptr ? value->len : 0);
        return;
    }
    splices->items[splices->count++] = (kp_splice){(size_t)(w->pos - w->start), *value};
    splices->bytes += value->len;
}

KP_IN_LOOP void write_fixed(writer *w, uint8_t type, const void *value)
{
    uint64_t bits;
    uint8_t *pos = w->pos;
    switch (type) {
    case KP_I32:
        w->pos = kp_store32(pos, *(const uint32_t *)value);
        break;
    case KP_I64:
        w->pos = kp_store64(pos, *(const uint64_t *)value);
        break;
    case KP_I16:
    case KP_U16:
        w->pos = kp_store16(pos, *(const uint16_t *)value);
        break;
    case KP_BOOL:
        *pos = *(const bool *)value ? 1 : 0;
        w->pos = pos + 1;
        break;
    case KP_I8:
        *pos = *(const uint8_t *)value;
        w->pos = pos + 1;
        break;
    case KP_F64:
        memcpy(&bits, value, sizeof bits);
        w->pos = kp_store64(pos, bits);
        break;
    default:
        memcpy(pos, value, sizeof(kc_uuid));
        w->pos = pos + sizeof(kc_uuid);
        break;
    }
}

static void write_i32_items(writer *w, const uint32_t *items, int32_t count)
{
    uint8_t *pos = w->pos;
    for (int32_t i = 0; i < count; i++)
        pos = kp_store32(pos, items[i]);
    w->pos = pos;
}

static void write_array(writer *w, const kp_field_desc *field, const kp_array *array)
{
    write_length(w, w->flexible, 4, array->count);
    if (field->type == KP_I32) {
        write_i32_items(w, array->items, array->count);
        return;
    }
    const uint8_t *item = array->items;
    for (int32_t i = 0; i < array->count; i++, item += field->value_size) {
        if (field->type == KP_STRUCT)
            write_struct(w, field->sub, item);
        else if (field->type >= KP_STRING)
            write_bytes(w, field, (const kc_bytes *)(const void *)item);
        else
            write_fixed(w, field->type, item);
    }
}

static void write_value(writer *w, const kp_field_desc *field, const void *value)
{
    if (field->flags & KP_F_ARRAY) {
        write_array(w, field, value);
    } else if (field->type < KP_STRING) {
        write_fixed(w, field->type, value);
    } else if (field->type != KP_STRUCT) {
        write_bytes(w, field, value);
    } else if (field->nullable_from < 0) {
        write_struct(w, field->sub, value);
    } else {
        const void *item = *(void *const *)value;
        *w->pos++ = item ? 1 : 0xff;
        if (item)
            write_struct(w, field->sub, item);
    }
}

static void write_unknown_tag(writer *w, const kp_tag *tag)
{
    w->pos = kp_store_uvarint(w->pos, tag->tag);
    w->pos = kp_store_uvarint(w->pos, (uint32_t)tag->data.len);
    write_raw(w, tag->data.ptr, tag->data.len);
}

static void write_known_tag(writer *w, const kp_field_desc *field, const void *value)
{
    sizer s = {.version = w->version, .flexible = w->flexible};
    kc_err err = size_value(&s, NULL, field, value);
    assert(err == KC_OK);
    (void)err;
    w->pos = kp_store_uvarint(w->pos, (uint32_t)field->tag);
    w->pos = kp_store_uvarint(w->pos, (uint32_t)s.total);
    write_value(w, field, value);
}

static bool is_written_tag(const writer *w, const kp_field_desc *field, const uint8_t *in)
{
    return kp_field_is_in(field, w->version) && kp_field_is_tagged(field, w->version) &&
           !kp_field_is_default(field, in + field->offset);
}

/* Known tags ascend in the table (the generator checks it), unknown ones in their list: merge the
 * two. */
static void write_tags(writer *w, const kp_struct_desc *desc, const uint8_t *in, uint32_t known)
{
    const kp_tags *unknown = unknown_tags(desc, in);
    w->pos = kp_store_uvarint(w->pos, known + (uint32_t)unknown->count);
    int32_t next = 0;
    for (size_t i = 0; i < desc->field_count && known > 0; i++) {
        const kp_field_desc *field = &desc->fields[i];
        if (!is_written_tag(w, field, in))
            continue;
        while (next < unknown->count && unknown->items[next].tag < (uint32_t)field->tag)
            write_unknown_tag(w, &unknown->items[next++]);
        write_known_tag(w, field, in + field->offset);
        known--;
    }
    while (next < unknown->count)
        write_unknown_tag(w, &unknown->items[next++]);
}

static void write_struct(writer *w, const kp_struct_desc *desc, const uint8_t *in)
{
    uint32_t known_tags = 0;
    for (size_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        const void *value = in + field->offset;
        if (!(field->flags & KP_F_ALWAYS) && !kp_field_is_in(field, w->version))
            continue;
        if (field->flags & KP_F_ALWAYS && kp_field_is_fixed(field))
            write_fixed(w, field->type, value);
        else if (!kp_field_is_tagged(field, w->version))
            write_value(w, field, value);
        else if (!kp_field_is_default(field, value))
            known_tags++;
    }
    if (w->flexible)
        write_tags(w, desc, in, known_tags);
}

static void write_message(writer w, const kp_message *message, const void *msg, size_t size)
{
    const uint8_t *end = w.pos + size;
    write_struct(&w, message->root, msg);
    assert(w.pos == end);
    (void)end;
}

kc_err kp_encode(const kp_message *message, int16_t version, const void *msg, kb_buf *out,
                 kp_splices *splices, kp_fault *fault)
{
    assert(message && msg && out);
    assert(!splices || splices->count <= splices->cap);
    sizer s = {.version = version,
               .flexible = version >= message->flexible_from,
               .splices_left = splices ? splices->cap - splices->count : 0};
    KB_TRY(measure(message, &s, msg, fault));
    if (out->err != KC_OK)
        return out->err;
    size_t size = (size_t)(s.total - s.spliced);
    uint8_t *start = kb_buf_extend(out, size);
    if (!start) {
        kc_err err = out->err;
        out->err = KC_OK; /* nothing was written: the buffer is as good as before */
        return kp_fault_tell(fault, &(kp_fault){.reason = "message does not fit the buffer"}, err);
    }
    writer w = {.pos = start,
                .start = out->data,
                .splices = splices,
                .version = version,
                .flexible = s.flexible};
    write_message(w, message, msg, size);
    return KC_OK;
}

kc_err kp_encode_in(const kp_message *message, int16_t version, const void *msg, kb_arena *arena,
                    kc_bytes *bytes_out, kp_fault *fault)
{
    assert(message && msg && arena && bytes_out);
    sizer s = {.version = version, .flexible = version >= message->flexible_from};
    KB_TRY(measure(message, &s, msg, fault));
    uint8_t *start = kb_arena_alloc(arena, (size_t)s.total);
    if (!start)
        return kp_fault_tell(fault,
                             &(kp_fault){.reason = "message is above the memory allowed for it"},
                             KC_ERR_NOMEM);
    writer w = {.pos = start, .start = start, .version = version, .flexible = s.flexible};
    write_message(w, message, msg, (size_t)s.total);
    *bytes_out = kc_span(start, (size_t)s.total);
    return KC_OK;
}
