/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Defaults of fields and structs, comparison with them, and the path of a fault. */
#include "protocol/codec_internal.h"

#include <assert.h>
#include <stdio.h>

const kp_field_desc *kp_field_of_tag(const kp_struct_desc *desc, int16_t version, uint32_t tag)
{
    for (size_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        if (field->tag >= 0 && (uint32_t)field->tag == tag)
            return kp_field_is_in(field, version) && kp_field_is_tagged(field, version) ? field
                                                                                        : NULL;
    }
    return NULL;
}

int64_t kp_int_get(uint8_t type, const void *value)
{
    switch (type) {
    case KP_BOOL:
        return *(const bool *)value;
    case KP_I8:
        return *(const int8_t *)value;
    case KP_I16:
        return *(const int16_t *)value;
    case KP_U16:
        return *(const uint16_t *)value;
    case KP_I32:
        return *(const int32_t *)value;
    case KP_I64:
        return *(const int64_t *)value;
    default:
        return 0;
    }
}

void kp_int_set(uint8_t type, void *value_out, int64_t number)
{
    switch (type) {
    case KP_BOOL:
        *(bool *)value_out = number != 0;
        break;
    case KP_I8:
        *(int8_t *)value_out = (int8_t)number;
        break;
    case KP_I16:
    case KP_U16:
        *(uint16_t *)value_out = (uint16_t)number;
        break;
    case KP_I32:
        *(int32_t *)value_out = (int32_t)number;
        break;
    case KP_I64:
        *(int64_t *)value_out = number;
        break;
    default:
        break;
    }
}

static void scalar_default(const kp_field_desc *field, void *out)
{
    if (field->type >= KP_STRING)
        *(kc_bytes *)out = field->flags & KP_F_DEFAULT_NULL ? KC_NULL : KC_STR("");
    else if (field->type == KP_UUID)
        memset(out, 0, sizeof(kc_uuid));
    else if (field->type == KP_F64)
        *(double *)out = 0;
    else
        kp_int_set(field->type, out, field->default_value);
}

void kp_field_default(const kp_field_desc *field, void *value_out)
{
    if (field->flags & KP_F_ARRAY)
        *(kp_array *)value_out = (kp_array){NULL, field->flags & KP_F_DEFAULT_NULL ? -1 : 0};
    else if (field->type != KP_STRUCT)
        scalar_default(field, value_out);
    else if (field->nullable_from >= 0)
        *(void **)value_out = NULL;
    else
        kp_struct_defaults(field->sub, value_out);
}

void kp_struct_defaults(const kp_struct_desc *desc, void *item_out)
{
    memset(item_out, 0, desc->size);
    for (size_t i = 0; i < desc->field_count; i++)
        kp_field_default(&desc->fields[i], (uint8_t *)item_out + desc->fields[i].offset);
}

void kp_defaults(const kp_message *message, void *msg_out)
{
    kp_struct_defaults(message->root, msg_out);
}

static bool bytes_are_default(const kp_field_desc *field, const kc_bytes *bytes)
{
    if (field->flags & KP_F_DEFAULT_NULL || (!bytes->ptr && field->nullable_from < 0))
        return bytes->ptr == NULL;
    return bytes->ptr != NULL && bytes->len == 0;
}

static bool scalar_is_default(const kp_field_desc *field, const void *value)
{
    if (field->type >= KP_STRING)
        return bytes_are_default(field, value);
    if (field->type == KP_UUID)
        return kc_uuid_is_zero(*(const kc_uuid *)value);
    if (field->type == KP_F64)
        return *(const double *)value == 0;
    return kp_int_get(field->type, value) == field->default_value;
}

bool kp_field_is_default(const kp_field_desc *field, const void *value)
{
    if (field->flags & KP_F_ARRAY) {
        int32_t count = ((const kp_array *)value)->count;
        return count == (field->flags & KP_F_DEFAULT_NULL ? -1 : 0) ||
               (count == -1 && field->nullable_from < 0);
    }
    if (field->type != KP_STRUCT)
        return scalar_is_default(field, value);
    if (field->nullable_from >= 0)
        return *(void *const *)value == NULL;
    return kp_struct_is_default(field->sub, value);
}

bool kp_struct_is_default(const kp_struct_desc *desc, const void *in)
{
    const uint8_t *base = in;
    for (size_t i = 0; i < desc->field_count; i++)
        if (!kp_field_is_default(&desc->fields[i], base + desc->fields[i].offset))
            return false;
    return ((const kp_tags *)(const void *)(base + desc->tags_offset))->count == 0;
}

kc_err kp_fault_tell(kp_fault *fault, const kp_fault *found, kc_err err)
{
    if (err != KC_OK && fault)
        *fault = *found;
    return err;
}

void kp_fault_name(kp_fault *fault, kc_bytes name)
{
    if (!fault)
        return;
    assert(name.ptr);
    const char *segment = (const char *)name.ptr;
    size_t len = name.len;
    size_t old_len = strlen(fault->path);
    size_t dot = old_len > 0 && fault->path[0] != '[' ? 1 : 0;
    size_t room = sizeof fault->path - 1 - old_len;
    if (len + dot > room) { /* cut at the left: the right end tells more */
        dot = dot < room ? dot : room;
        segment += len - (room - dot);
        len = room - dot;
    }
    memmove(fault->path + len + dot, fault->path, old_len + 1);
    memcpy(fault->path, segment, len);
    if (dot)
        fault->path[len] = '.';
}

void kp_fault_field(kp_fault *fault, const kp_field_desc *field)
{
    kp_fault_name(fault, kc_str(field->name));
}

void kp_fault_index(kp_fault *fault, int32_t index)
{
    char segment[16];
    (void)snprintf(segment, sizeof segment, "[%d]", (int)index);
    kp_fault_name(fault, kc_str(segment));
}
