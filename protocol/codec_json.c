/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Messages as JSON, in the form of Kafka's JsonConverter classes, so that the two can be compared.
 *
 * Beyond that form: records are base64 like bytes (Kafka prints only their size), and unknown
 * tagged fields stand in a member `_unknownTags` of their struct, a list of {"tag": 7, "base64":
 * "..."}. */
#include "protocol/base/error.h"
#include "protocol/base/text.h"
#include "protocol/codec_internal.h"

#include <assert.h>
#include <math.h>

#define UNKNOWN_TAGS "_unknownTags"

/* Print. */

static void print_struct(kb_json_writer *w, const kp_struct_desc *desc, int16_t version,
                         const uint8_t *in);

/* 16 bytes as 22 characters of the URL-safe alphabet; no buffer, for ids stand in every row. */
static void print_uuid(kb_json_writer *w, const kc_uuid *id)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char text[22];
    uint32_t bits = 0;
    unsigned held = 0;
    size_t len = 0;
    for (size_t i = 0; i < sizeof id->bytes; i++) {
        bits = bits << 8 | id->bytes[i];
        for (held += 8; held >= 6; held -= 6)
            text[len++] = alphabet[bits >> (held - 6) & 0x3f];
    }
    text[len++] = alphabet[bits << (6 - held) & 0x3f];
    kb_json_string(w, kc_span(text, len));
}

static void print_scalar(kb_json_writer *w, const kp_field_desc *field, const void *value)
{
    switch (field->type) {
    case KP_BOOL:
        kb_json_bool(w, *(const bool *)value);
        break;
    case KP_I8:
    case KP_I16:
    case KP_U16:
    case KP_I32:
    case KP_I64:
        kb_json_int(w, kp_int_get(field->type, value));
        break;
    case KP_F64:
        kb_json_double(w, *(const double *)value);
        break;
    case KP_UUID:
        print_uuid(w, value);
        break;
    case KP_STRING:
        kb_json_string(w, *(const kc_bytes *)value);
        break;
    default:
        kb_json_base64(w, *(const kc_bytes *)value);
        break;
    }
}

static void print_value(kb_json_writer *w, const kp_field_desc *field, int16_t version,
                        const void *value)
{
    if (field->type != KP_STRUCT)
        print_scalar(w, field, value);
    else
        print_struct(w, field->sub, version, value);
}

static void print_field(kb_json_writer *w, const kp_field_desc *field, int16_t version,
                        const void *value)
{
    if (field->flags & KP_F_ARRAY) {
        const kp_array *array = value;
        if (array->count < 0) {
            kb_json_null(w);
            return;
        }
        const uint8_t *item = array->items;
        size_t item_size = field->value_size;
        kb_json_array(w);
        for (int32_t i = 0; i < array->count; i++, item += item_size)
            print_value(w, field, version, item);
        kb_json_array_end(w);
    } else if (field->type == KP_STRUCT && field->nullable_from >= 0) {
        const void *item = *(void *const *)value;
        if (item)
            print_struct(w, field->sub, version, item);
        else
            kb_json_null(w);
    } else {
        print_value(w, field, version, value);
    }
}

static void print_unknown_tags(kb_json_writer *w, const kp_tags *tags)
{
    kb_json_key_str(w, UNKNOWN_TAGS);
    kb_json_array(w);
    for (int32_t i = 0; i < tags->count; i++) {
        kc_bytes data = tags->items[i].data;
        kb_json_object(w);
        kb_json_member_int(w, "tag", tags->items[i].tag);
        kb_json_key_str(w, "base64");
        kb_json_base64(w, data.ptr ? data : KC_STR(""));
        kb_json_object_end(w);
    }
    kb_json_array_end(w);
}

static void print_struct(kb_json_writer *w, const kp_struct_desc *desc, int16_t version,
                         const uint8_t *in)
{
    kb_json_object(w);
    for (size_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        const void *value = in + field->offset;
        if (!kp_field_is_in(field, version))
            continue;
        if (kp_field_is_tagged(field, version) && kp_field_is_default(field, value))
            continue;
        kb_json_key_str(w, field->name);
        print_field(w, field, version, value);
    }
    const kp_tags *tags = (const kp_tags *)(const void *)(in + desc->tags_offset);
    if (tags->count > 0)
        print_unknown_tags(w, tags);
    kb_json_object_end(w);
}

void kp_json_print(const kp_message *message, int16_t version, const void *msg,
                   kb_json_writer *writer)
{
    assert(message && msg && writer);
    print_struct(writer, message->root, version, msg);
}

/* Read. */

typedef struct reader {
    kb_json_reader json;
    kb_arena *arena;
    int16_t version;
    bool flexible;
    const char *reason;
} reader;

static kc_err read_struct(reader *r, kp_fault *fault, const kp_struct_desc *desc, uint8_t *out);

static kc_err refuse(reader *r, kc_err err, const char *reason)
{
    r->reason = reason;
    return err;
}

static kc_err wrong(reader *r, const char *reason)
{
    return refuse(r, KC_ERR_MALFORMED, r->json.reason ? r->json.reason : reason);
}

static kc_err no_memory(reader *r)
{
    return refuse(r, KC_ERR_NOMEM, "value is above the memory allowed for this message");
}

/* The number of the last token, within [min, max]. */
static kc_err read_int(reader *r, kb_json_type type, int64_t min, int64_t max, int64_t *out)
{
    if (type != KB_JSON_NUMBER || !kb_json_i64(r->json.raw, out) || *out < min || *out > max)
        return wrong(r, "expected an integer in the range of its type");
    return KC_OK;
}

static kc_err read_f64(reader *r, kb_json_type type, double *out)
{
    if (type == KB_JSON_NUMBER && kb_json_f64(r->json.raw, out))
        return KC_OK;
    if (type == KB_JSON_STRING && kb_json_string_is(r->json.raw, KC_STR("NaN")))
        *out = (double)NAN;
    else if (type == KB_JSON_STRING && kb_json_string_is(r->json.raw, KC_STR("Infinity")))
        *out = (double)INFINITY;
    else if (type == KB_JSON_STRING && kb_json_string_is(r->json.raw, KC_STR("-Infinity")))
        *out = -(double)INFINITY;
    else
        return wrong(r, "expected a number, \"NaN\", \"Infinity\" or \"-Infinity\"");
    return KC_OK;
}

static kc_err read_text(reader *r, kb_json_type type, kc_bytes *out)
{
    if (type != KB_JSON_STRING)
        return wrong(r, "expected a string");
    return kb_json_unescape(r->json.raw, r->arena, out) ? KC_OK : no_memory(r);
}

/* A string of base64 (`url`: the URL-safe form) as bytes in the arena. */
static kc_err read_base64(reader *r, kb_json_type type, bool url, kc_bytes *out)
{
    kc_bytes text;
    KB_TRY(read_text(r, type, &text));
    kb_buf scratch;
    kb_buf_init(&scratch, r->arena->mem, text.len);
    kc_err err = KC_OK;
    if (!(url ? kb_base64url_get(&scratch, text) : kb_base64_get(&scratch, text)))
        err = scratch.err != KC_OK ? no_memory(r) : wrong(r, "expected base64");
    if (err == KC_OK) {
        *out = kb_arena_copy(r->arena, kb_buf_bytes(&scratch));
        err = out->ptr ? KC_OK : no_memory(r);
    }
    kb_buf_cleanup(&scratch);
    return err;
}

static kc_err read_uuid(reader *r, kb_json_type type, kc_uuid *out)
{
    kc_bytes bytes;
    KB_TRY(read_base64(r, type, true, &bytes));
    if (bytes.len != sizeof out->bytes)
        return wrong(r, "expected a uuid of 22 characters");
    memcpy(out->bytes, bytes.ptr, sizeof out->bytes);
    return KC_OK;
}

static kc_err read_number(reader *r, const kp_field_desc *field, kb_json_type type, void *out)
{
    static const struct {
        int64_t min, max;
    } ranges[] = {[KP_I8] = {INT8_MIN, INT8_MAX},
                  [KP_I16] = {INT16_MIN, INT16_MAX},
                  [KP_U16] = {0, UINT16_MAX},
                  [KP_I32] = {INT32_MIN, INT32_MAX},
                  [KP_I64] = {INT64_MIN, INT64_MAX}};
    int64_t number = 0;
    KB_TRY(read_int(r, type, ranges[field->type].min, ranges[field->type].max, &number));
    kp_int_set(field->type, out, number);
    return KC_OK;
}

static kc_err read_scalar(reader *r, const kp_field_desc *field, kb_json_type type, void *out)
{
    switch (field->type) {
    case KP_BOOL:
        *(bool *)out = type == KB_JSON_TRUE;
        return type == KB_JSON_TRUE || type == KB_JSON_FALSE ? KC_OK
                                                             : wrong(r, "expected true or false");
    case KP_I8:
    case KP_I16:
    case KP_U16:
    case KP_I32:
    case KP_I64:
        return read_number(r, field, type, out);
    case KP_F64:
        return read_f64(r, type, out);
    case KP_UUID:
        return read_uuid(r, type, out);
    case KP_STRING:
        return read_text(r, type, out);
    default:
        return read_base64(r, type, false, out);
    }
}

/* Values before the end of the array just entered; `probe` is a copy, the reader itself stays. -1:
 * the text is wrong, and `probe` knows where. */
static int32_t count_items(kb_json_reader *probe)
{
    int32_t count = 0;
    for (uint32_t depth = 1;;) {
        kb_json_type type = kb_json_next(probe);
        bool is_open = type == KB_JSON_OBJECT || type == KB_JSON_ARRAY;
        bool is_close = type == KB_JSON_OBJECT_END || type == KB_JSON_ARRAY_END;
        if (type == KB_JSON_ERROR || type == KB_JSON_END || count == INT32_MAX)
            return -1;
        if (depth == 1 && !is_close)
            count++;
        depth = is_open ? depth + 1 : is_close ? depth - 1 : depth;
        if (depth == 0)
            return count;
    }
}

/* `count` zeroed items for an array the reader has just entered. */
static kc_err open_array(reader *r, kb_json_type type, size_t item_size, kp_array *out)
{
    *out = (kp_array){0};
    if (type != KB_JSON_ARRAY)
        return wrong(r, "expected an array");
    kb_json_reader probe = r->json;
    int32_t count = count_items(&probe);
    if (count < 0) {
        r->json = probe;
        return wrong(r, "array does not end");
    }
    if (count == 0)
        return KC_OK;
    out->items = kb_arena_array(r->arena, (size_t)count, item_size);
    if (!out->items)
        return no_memory(r);
    out->count = count;
    return KC_OK;
}

static kc_err read_array(reader *r, kp_fault *fault, const kp_field_desc *field, kb_json_type type,
                         kp_array *out)
{
    size_t item_size = field->value_size;
    KB_TRY(open_array(r, type, item_size, out));
    uint8_t *item = out->items;
    for (int32_t i = 0; i < out->count; i++, item += item_size) {
        kb_json_type next = kb_json_next(&r->json);
        kc_err err = KC_OK;
        if (field->type != KP_STRUCT)
            err = read_scalar(r, field, next, item);
        else if (next == KB_JSON_OBJECT)
            err = read_struct(r, fault, field->sub, item);
        else
            err = wrong(r, "expected an object");
        if (err != KC_OK) {
            kp_fault_index(fault, i);
            return err;
        }
    }
    return kb_json_next(&r->json) == KB_JSON_ARRAY_END ? KC_OK : wrong(r, "expected ]");
}

static kc_err read_null(reader *r, const kp_field_desc *field, void *out)
{
    if (!kp_field_is_nullable(field, r->version))
        return wrong(r, "null where this version allows none");
    if (field->flags & KP_F_ARRAY)
        *(kp_array *)out = (kp_array){NULL, -1};
    else if (field->type == KP_STRUCT)
        *(void **)out = NULL;
    else
        *(kc_bytes *)out = KC_NULL;
    return KC_OK;
}

static kc_err read_field(reader *r, kp_fault *fault, const kp_field_desc *field, void *out)
{
    kb_json_type type = kb_json_next(&r->json);
    if (type == KB_JSON_NULL)
        return read_null(r, field, out);
    if (field->flags & KP_F_ARRAY)
        return read_array(r, fault, field, type, out);
    if (field->type != KP_STRUCT)
        return read_scalar(r, field, type, out);
    if (type != KB_JSON_OBJECT)
        return wrong(r, "expected an object");
    if (field->nullable_from < 0)
        return read_struct(r, fault, field->sub, out);
    void *item = kb_arena_alloc(r->arena, field->sub->size);
    if (!item)
        return no_memory(r);
    *(void **)out = item;
    return read_struct(r, fault, field->sub, item);
}

/* The value of one member of {"tag": .., "base64": ..}; `seen` has a bit for each. */
static kc_err read_unknown_tag_member(reader *r, kp_tag *out, unsigned *seen)
{
    bool is_tag = kb_json_string_is(r->json.raw, KC_STR("tag"));
    unsigned bit = is_tag ? 1 : 2;
    if (*seen & bit || (!is_tag && !kb_json_string_is(r->json.raw, KC_STR("base64"))))
        return wrong(r, "expected one member tag and one member base64");
    *seen |= bit;
    kb_json_type type = kb_json_next(&r->json);
    if (!is_tag)
        return read_base64(r, type, false, &out->data);
    int64_t tag = 0;
    KB_TRY(read_int(r, type, 0, UINT32_MAX, &tag));
    out->tag = (uint32_t)tag;
    return KC_OK;
}

static kc_err read_unknown_tag(reader *r, kp_tag *out)
{
    unsigned seen = 0;
    kb_json_type type = kb_json_next(&r->json);
    if (type != KB_JSON_OBJECT)
        return wrong(r, "expected an object");
    while ((type = kb_json_next(&r->json)) == KB_JSON_KEY)
        KB_TRY(read_unknown_tag_member(r, out, &seen));
    if (type != KB_JSON_OBJECT_END || seen != 3)
        return wrong(r, "expected one member tag and one member base64");
    return KC_OK;
}

static kc_err read_unknown_tags(reader *r, kp_fault *fault, kp_tags *out)
{
    if (!r->flexible)
        return wrong(r, "this version has no tagged fields");
    kp_array array;
    KB_TRY(open_array(r, kb_json_next(&r->json), sizeof(kp_tag), &array));
    *out = (kp_tags){array.items, array.count};
    for (int32_t i = 0; i < out->count; i++) {
        kc_err err = read_unknown_tag(r, &out->items[i]);
        if (err != KC_OK) {
            kp_fault_index(fault, i);
            return err;
        }
    }
    return kb_json_next(&r->json) == KB_JSON_ARRAY_END ? KC_OK : wrong(r, "expected ]");
}

static const kp_field_desc *find_field(const kp_struct_desc *desc, kc_bytes key)
{
    for (size_t i = 0; i < desc->field_count; i++)
        if (kb_json_string_is(key, kc_str(desc->fields[i].name)))
            return &desc->fields[i];
    return NULL;
}

/* A field, or the unknown tags. `seen` has a bit for each. */
static kc_err read_member(reader *r, kp_fault *fault, const kp_struct_desc *desc, uint8_t *out,
                          uint64_t *seen)
{
    kc_bytes key = r->json.raw;
    const kp_field_desc *field = find_field(desc, key);
    bool is_tags = !field && kb_json_string_is(key, KC_STR(UNKNOWN_TAGS));
    uint64_t bit =
        (uint64_t)1 << (field ? field - desc->fields : 63); /* 63 fields at most: gen.py */
    kc_err err = KC_OK;
    if (!field && !is_tags)
        err = wrong(r, "member is not in the schema");
    else if (field && !kp_field_is_in(field, r->version))
        err = wrong(r, "member is not in this version");
    else if (*seen & bit)
        err = wrong(r, "member is there twice");
    else if (is_tags)
        err = read_unknown_tags(r, fault, (kp_tags *)(void *)(out + desc->tags_offset));
    else
        err = read_field(r, fault, field, out + field->offset);
    *seen |= bit;
    if (err != KC_OK)
        kp_fault_name(fault, field ? kc_str(field->name) : kc_span(key.ptr + 1, key.len - 2));
    return err;
}

/* The opening brace was read. */
static kc_err read_struct(reader *r, kp_fault *fault, const kp_struct_desc *desc, uint8_t *out)
{
    kp_struct_defaults(desc, out);
    uint64_t seen = 0;
    kb_json_type type;
    while ((type = kb_json_next(&r->json)) == KB_JSON_KEY)
        KB_TRY(read_member(r, fault, desc, out, &seen));
    return type == KB_JSON_OBJECT_END ? KC_OK : wrong(r, "expected a member or }");
}

static size_t error_offset(const reader *r)
{
    if (r->json.reason)
        return r->json.at;
    return r->json.raw.ptr ? (size_t)(r->json.raw.ptr - r->json.in.ptr) : r->json.pos;
}

kc_err kp_json_read(const kp_message *message, int16_t version, kc_bytes json, kb_arena *arena,
                    void *msg_out, kp_fault *fault)
{
    assert(message && arena && msg_out);
    kp_fault found = {0};
    reader r = {.arena = arena, .version = version, .flexible = version >= message->flexible_from};
    kb_json_reader_init(&r.json, json.ptr ? json : KC_STR(""));
    kc_err err;
    if (version < message->min || version > message->max)
        err = refuse(&r, KC_ERR_VERSION, "the schema does not have this version");
    else if (kb_json_next(&r.json) != KB_JSON_OBJECT)
        err = wrong(&r, "expected an object");
    else
        err = read_struct(&r, fault ? &found : NULL, message->root, msg_out);
    if (err == KC_OK && kb_json_next(&r.json) != KB_JSON_END)
        err = wrong(&r, "something stands behind the message");
    found.at = err == KC_ERR_VERSION ? 0 : error_offset(&r);
    found.reason = r.reason;
    return kp_fault_tell(fault, &found, err);
}
