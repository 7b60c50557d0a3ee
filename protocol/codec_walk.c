/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A visit to every value of a decoded message, by table: for programs that handle messages of any
 * kind without their generated structs. */
#include "protocol/base/error.h"
#include "protocol/codec_internal.h"

/* The public types are the table's. */
_Static_assert((int)KC_TYPE_BOOL == KP_BOOL && (int)KC_TYPE_UINT16 == KP_U16 &&
                   (int)KC_TYPE_UUID == KP_UUID && (int)KC_TYPE_STRING == KP_STRING &&
                   (int)KC_TYPE_RECORDS == KP_RECORDS && (int)KC_TYPE_STRUCT == KP_STRUCT,
               "kc_type is kp_type");

typedef struct walker {
    int16_t version;
    kc_walk_fn fn;
    void *user;
} walker;

static kc_walk walk_struct(const walker *w, const kp_struct_desc *desc, const uint8_t *in,
                           uint8_t depth);

static bool is_null_slice(const kp_field_desc *field, const void *value)
{
    bool is_slice = field->type >= KP_STRING && field->type <= KP_RECORDS;
    return is_slice && !((const kc_bytes *)value)->ptr;
}

/** A value that is no array: tell it, and what is in it. KC_WALK_END or KC_WALK_ON. */
static kc_walk walk_value(const walker *w, const kp_field_desc *field, int32_t index,
                          const void *value, uint8_t depth)
{
    bool is_null = !value || is_null_slice(field, value);
    kc_node node = {
        .name = field->name,
        .index = index,
        .depth = depth,
        .type = (kc_type)field->type,
        .is_null = is_null,
        .value = is_null ? NULL : value,
    };
    kc_walk told = w->fn(&node, w->user);
    if (told == KC_WALK_ON && field->type == KP_STRUCT && !is_null)
        return walk_struct(w, field->sub, value, depth + 1);
    return told == KC_WALK_END ? KC_WALK_END : KC_WALK_ON;
}

static kc_walk walk_array(const walker *w, const kp_field_desc *field, const kp_array *array,
                          uint8_t depth)
{
    kc_node node = {
        .name = field->name,
        .index = -1,
        .depth = depth,
        .type = (kc_type)field->type,
        .is_array = true,
        .is_null = array->count < 0,
        .count = array->count < 0 ? 0 : array->count,
        .value = array->count < 0 ? NULL : array->items,
    };
    kc_walk told = w->fn(&node, w->user);
    const uint8_t *item = array->items;
    for (int32_t i = 0; told == KC_WALK_ON && i < array->count; i++, item += field->value_size)
        told = walk_value(w, field, i, item, depth + 1);
    return told == KC_WALK_END ? KC_WALK_END : KC_WALK_ON;
}

static kc_walk walk_struct(const walker *w, const kp_struct_desc *desc, const uint8_t *in,
                           uint8_t depth)
{
    kc_walk told = KC_WALK_ON;
    for (uint16_t i = 0; told == KC_WALK_ON && i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        const void *value = in + field->offset;
        if (!kp_field_is_in(field, w->version))
            continue;
        if (field->flags & KP_F_ARRAY)
            told = walk_array(w, field, value, depth);
        else if (field->type == KP_STRUCT && field->nullable_from >= 0)
            told = walk_value(w, field, -1, *(void *const *)value, depth);
        else
            told = walk_value(w, field, -1, value, depth);
    }
    return told;
}

kc_err kp_walk(const kp_message *message, int16_t version, const void *msg, kc_walk_fn fn,
               void *user)
{
    if (version < message->min || version > message->max)
        return KC_ERR_VERSION;
    (void)walk_struct(&(walker){version, fn, user}, message->root, msg, 0);
    return KC_OK;
}
