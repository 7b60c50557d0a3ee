/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Random messages from the tables. */
#include "protocol/random_fill.h"

#include "protocol/base/error.h"
#include "protocol/codec_internal.h"

#include <math.h>

/** Tags the schema will hardly reach. */
#define UNKNOWN_TAG_FIRST 1000
#define ITEMS_MAX         4
#define TEXT_PIECES_MAX   6
#define BYTES_MAX         40

typedef struct filler {
    kb_rand *rand;
    kb_arena *arena;
    int16_t version;
    bool flexible;
} filler;

static kc_err fill_struct(filler *f, const kp_struct_desc *desc, uint8_t *out);

/* Small numbers, all bits, and the ends of the type. */
static uint64_t random_int(filler *f)
{
    switch (kb_rand_below(f->rand, 6)) {
    case 0:
        return kb_rand_u64(f->rand);
    case 1:
        return UINT64_MAX;
    case 2: /* smallest of each signed type */
        return UINT64_C(0x8000000080008080);
    case 3: /* largest of each signed type */
        return UINT64_C(0x7fffffffffffff7f);
    default:
        return kb_rand_below(f->rand, 200);
    }
}

static double random_f64(filler *f)
{
    static const double odd[] = {0, -0.0, 0.1, 1e300, -5e-324, 9007199254740993.0};
    switch (kb_rand_below(f->rand, 8)) {
    case 0:
        return (double)NAN;
    case 1:
        return kb_rand_one_in(f->rand, 2) ? (double)INFINITY : -(double)INFINITY;
    case 2:
        return odd[kb_rand_below(f->rand, sizeof odd / sizeof odd[0])];
    default:
        return (kb_rand_unit(f->rand) - 0.5) * 1e9;
    }
}

static kc_err random_bytes(filler *f, kc_bytes *out)
{
    size_t len = kb_rand_one_in(f->rand, 4) ? 0 : (size_t)kb_rand_below(f->rand, BYTES_MAX);
    uint8_t *bytes = kb_arena_alloc(f->arena, len);
    if (!bytes)
        return KC_ERR_NOMEM;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)kb_rand_u64(f->rand);
    *out = kc_span(bytes, len);
    return KC_OK;
}

static kc_err random_text(filler *f, kc_bytes *out)
{
    static const char *const pieces[] = {
        "a",    "topic-", "orders.",      "\"",           "\\",
        "\x01", "\n",     "\xc3\xa4",     "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "/",    "0",      "\xe2\x80\xa8", "\x7f",         " "};
    char text[TEXT_PIECES_MAX * 8 + 1] = "";
    size_t len = 0;
    for (uint64_t n = kb_rand_below(f->rand, TEXT_PIECES_MAX); n > 0; n--) {
        kc_bytes piece = kc_str(pieces[kb_rand_below(f->rand, sizeof pieces / sizeof pieces[0])]);
        memcpy(text + len, piece.ptr, piece.len);
        len += piece.len;
    }
    *out = kb_arena_copy(f->arena, kc_span(text, len));
    return out->ptr ? KC_OK : KC_ERR_NOMEM;
}

static kc_err fill_value(filler *f, const kp_field_desc *field, void *out)
{
    switch (field->type) {
    case KP_BOOL:
        *(bool *)out = kb_rand_one_in(f->rand, 2);
        return KC_OK;
    case KP_I8:
    case KP_I16:
    case KP_U16:
    case KP_I32:
    case KP_I64:
        kp_int_set(field->type, out, (int64_t)random_int(f));
        return KC_OK;
    case KP_F64:
        *(double *)out = random_f64(f);
        return KC_OK;
    case KP_UUID:
        *(kc_uuid *)out = kb_uuid_v4(f->rand);
        return KC_OK;
    case KP_STRING:
        return random_text(f, out);
    case KP_STRUCT:
        return fill_struct(f, field->sub, out);
    default:
        return random_bytes(f, out);
    }
}

static kc_err fill_array(filler *f, const kp_field_desc *field, kp_array *out)
{
    size_t item_size = field->value_size;
    int32_t count = (int32_t)kb_rand_below(f->rand, ITEMS_MAX);
    uint8_t *item = count ? kb_arena_array(f->arena, (size_t)count, item_size) : NULL;
    if (count && !item)
        return KC_ERR_NOMEM;
    *out = (kp_array){item, count};
    for (int32_t i = 0; i < count; i++, item += item_size)
        KB_TRY(fill_value(f, field, item));
    return KC_OK;
}

static kc_err fill_field(filler *f, const kp_field_desc *field, void *out)
{
    bool is_null = kp_field_is_nullable(field, f->version) && kb_rand_one_in(f->rand, 3);
    if (field->flags & KP_F_ARRAY) {
        if (!is_null)
            return fill_array(f, field, out);
        *(kp_array *)out = (kp_array){NULL, -1};
        return KC_OK;
    }
    if (field->type == KP_STRUCT && field->nullable_from >= 0) {
        void *item = is_null ? NULL : kb_arena_alloc(f->arena, field->sub->size);
        *(void **)out = item;
        if (is_null)
            return KC_OK;
        return item ? fill_struct(f, field->sub, item) : KC_ERR_NOMEM;
    }
    if (is_null) {
        *(kc_bytes *)out = KC_NULL;
        return KC_OK;
    }
    return fill_value(f, field, out);
}

static kc_err fill_unknown_tags(filler *f, kp_tags *out)
{
    int32_t count = 1 + (int32_t)kb_rand_below(f->rand, 2);
    out->items = kb_arena_array(f->arena, (size_t)count, sizeof *out->items);
    if (!out->items)
        return KC_ERR_NOMEM;
    out->count = count;
    uint32_t tag = UNKNOWN_TAG_FIRST;
    for (int32_t i = 0; i < count; i++) {
        tag += 1 + (uint32_t)kb_rand_below(f->rand, 100000);
        out->items[i].tag = tag;
        KB_TRY(random_bytes(f, &out->items[i].data));
    }
    return KC_OK;
}

static kc_err fill_struct(filler *f, const kp_struct_desc *desc, uint8_t *out)
{
    kp_struct_defaults(desc, out);
    for (size_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        bool stays = kp_field_is_in(field, f->version) && kp_field_is_tagged(field, f->version) &&
                     kb_rand_one_in(f->rand, 2); /* tagged fields are seldom there */
        if (kp_field_is_in(field, f->version) && !stays)
            KB_TRY(fill_field(f, field, out + field->offset));
    }
    if (!f->flexible || !kb_rand_one_in(f->rand, 6))
        return KC_OK;
    return fill_unknown_tags(f, (kp_tags *)(void *)(out + desc->tags_offset));
}

kc_err kp_random_fill(const kp_message *message, int16_t version, kb_rand *rand, kb_arena *arena,
                      void *msg_out)
{
    if (version < message->min || version > message->max)
        return KC_ERR_VERSION;
    filler f = {rand, arena, version, version >= message->flexible_from};
    return fill_struct(&f, message->root, msg_out);
}
