/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Deep copies and comparison of messages, by table. Depth is the schema's. */
#include "protocol/codec_internal.h"

/* ---- copy: what slices, arrays and pointers lead to ---- */

static bool copy_struct(const kp_struct_desc *desc, void *item, kb_arena *arena);

static bool copy_slice(kc_bytes *slice, kb_arena *arena)
{
    if (!slice->ptr)
        return true;
    *slice = kb_arena_copy(arena, *slice);
    return slice->ptr != NULL;
}

/** What an item of this field leads to; the item itself is a copy already. */
static bool copy_item(const kp_field_desc *field, void *item, kb_arena *arena)
{
    switch ((kp_type)field->type) {
    case KP_STRING:
    case KP_BYTES:
    case KP_RECORDS:
        return copy_slice(item, arena);
    case KP_STRUCT:
        return copy_struct(field->sub, item, arena);
    default:
        return true;
    }
}

static bool copy_array(const kp_field_desc *field, kp_array *array, kb_arena *arena)
{
    if (array->count <= 0) {
        array->items = NULL;
        return true;
    }
    size_t size = field->value_size, count = (size_t)array->count;
    uint8_t *items = kb_arena_array(arena, count, size);
    if (!items)
        return false;
    memcpy(items, array->items, count * size);
    array->items = items;
    for (size_t i = 0; i < count; i++)
        if (!copy_item(field, items + i * size, arena))
            return false;
    return true;
}

/** A nullable struct is a pointer. */
static bool copy_pointer(const kp_field_desc *field, void **pointer, kb_arena *arena)
{
    if (!*pointer)
        return true;
    void *copy = kb_arena_alloc(arena, field->sub->size);
    if (!copy)
        return false;
    memcpy(copy, *pointer, field->sub->size);
    *pointer = copy;
    return copy_struct(field->sub, copy, arena);
}

static bool copy_tags(kp_tags *tags, kb_arena *arena)
{
    if (tags->count <= 0) {
        *tags = (kp_tags){NULL, 0};
        return true;
    }
    size_t count = (size_t)tags->count;
    kp_tag *items = kb_arena_array(arena, count, sizeof *items);
    if (!items)
        return false;
    memcpy(items, tags->items, count * sizeof *items);
    tags->items = items;
    for (size_t i = 0; i < count; i++)
        if (!copy_slice(&items[i].data, arena))
            return false;
    return true;
}

static bool copy_struct(const kp_struct_desc *desc, void *item, kb_arena *arena)
{
    for (uint16_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        void *value = (uint8_t *)item + field->offset;
        bool is_copied;
        if (field->flags & KP_F_ARRAY)
            is_copied = copy_array(field, value, arena);
        else if (field->type == KP_STRUCT && field->nullable_from >= 0)
            is_copied = copy_pointer(field, value, arena);
        else
            is_copied = copy_item(field, value, arena);
        if (!is_copied)
            return false;
    }
    return copy_tags((kp_tags *)(void *)((uint8_t *)item + desc->tags_offset), arena);
}

void *kp_copy(const kp_message *message, const void *msg, kb_arena *arena)
{
    void *copy = kb_arena_alloc(arena, message->root->size);
    if (!copy)
        return NULL;
    memcpy(copy, msg, message->root->size);
    return copy_struct(message->root, copy, arena) ? copy : NULL;
}

/* ---- comparison ---- */

typedef struct comparer {
    int16_t version;
    kp_fault *fault; /* the path of what differs is built on the way back */
} comparer;

static bool equal_struct(const comparer *c, const kp_struct_desc *desc, const uint8_t *a,
                         const uint8_t *b);

static bool equal_value(const comparer *c, const kp_field_desc *field, const void *a, const void *b)
{
    switch ((kp_type)field->type) {
    case KP_STRING:
    case KP_BYTES:
    case KP_RECORDS:
        return kc_bytes_equal(*(const kc_bytes *)a, *(const kc_bytes *)b);
    case KP_STRUCT:
        return equal_struct(c, field->sub, a, b);
    default:
        return memcmp(a, b, field->value_size) == 0;
    }
}

static bool equal_array(const comparer *c, const kp_field_desc *field, const kp_array *a,
                        const kp_array *b)
{
    const uint8_t *left = a->items, *right = b->items;
    if (a->count != b->count)
        return false;
    for (int32_t i = 0; i < a->count; i++, left += field->value_size, right += field->value_size) {
        if (equal_value(c, field, left, right))
            continue;
        kp_fault_index(c->fault, i);
        return false;
    }
    return true;
}

static bool equal_field(const comparer *c, const kp_field_desc *field, const void *a, const void *b)
{
    if (field->flags & KP_F_ARRAY)
        return equal_array(c, field, a, b);
    if (field->type != KP_STRUCT || field->nullable_from < 0)
        return equal_value(c, field, a, b);
    const void *left = *(void *const *)a, *right = *(void *const *)b;
    return left && right ? equal_struct(c, field->sub, left, right) : left == right;
}

static bool equal_tags(const kp_tags *a, const kp_tags *b)
{
    if (a->count != b->count)
        return false;
    for (int32_t i = 0; i < a->count; i++)
        if (a->items[i].tag != b->items[i].tag ||
            !kc_bytes_equal(a->items[i].data, b->items[i].data))
            return false;
    return true;
}

static bool equal_struct(const comparer *c, const kp_struct_desc *desc, const uint8_t *a,
                         const uint8_t *b)
{
    for (uint16_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        if (!kp_field_is_in(field, c->version) ||
            equal_field(c, field, a + field->offset, b + field->offset))
            continue;
        kp_fault_field(c->fault, field);
        return false;
    }
    return equal_tags((const kp_tags *)(const void *)(a + desc->tags_offset),
                      (const kp_tags *)(const void *)(b + desc->tags_offset));
}

bool kp_equal(const kp_message *message, int16_t version, const void *a, const void *b,
              kp_fault *fault)
{
    kp_fault found = {.reason = "the values differ"};
    if (equal_struct(&(comparer){version, fault ? &found : NULL}, message->root, a, b))
        return true;
    if (fault)
        *fault = found;
    return false;
}
