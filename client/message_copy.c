/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Walks a message by its table and copies what its slices, arrays and pointers lead to. Depth is
 * the schema's. */
#include "client/message_copy.h"

static bool copy_struct(const kp_struct_desc *desc, void *item, kb_arena *arena);

static bool copy_slice(kc_bytes *slice, kb_arena *arena)
{
    if (!slice->ptr)
        return true;
    *slice = kb_arena_copy(arena, *slice);
    return slice->ptr != NULL;
}

static size_t item_size(const kp_field_desc *field)
{
    switch ((kp_type)field->type) {
    case KP_BOOL:
        return sizeof(bool);
    case KP_I8:
        return 1;
    case KP_I16:
    case KP_U16:
        return 2;
    case KP_I32:
        return 4;
    case KP_I64:
    case KP_F64:
        return 8;
    case KP_UUID:
        return sizeof(kc_uuid);
    case KP_STRING:
    case KP_BYTES:
    case KP_RECORDS:
        return sizeof(kc_bytes);
    case KP_STRUCT:
        break;
    }
    return field->sub->size;
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
    size_t size = item_size(field), count = (size_t)array->count;
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

void *kc_message_copy(const kp_message *message, const void *msg, kb_arena *arena)
{
    void *copy = kb_arena_alloc(arena, message->root->size);
    if (!copy)
        return NULL;
    memcpy(copy, msg, message->root->size);
    return copy_struct(message->root, copy, arena) ? copy : NULL;
}
