/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What decode, encode and JSON share: field questions, defaults, the path of a fault. */
#ifndef KP_CODEC_INTERNAL_H
#define KP_CODEC_INTERNAL_H

#include "protocol/codec.h"

/** For what stands in the loop over the fields: gcc 12 at -O2 would call it, which costs a fifth.
 */
#define KP_IN_LOOP __attribute__((always_inline)) static inline

/** Kafka's own limit for strings, also where a compact length could say more. */
#define KP_STRING_MAX 32767

/** For what a loop seldom needs: its frame would be the loop's. */
#define KP_SELDOM __attribute__((noinline))

static inline bool kp_field_is_in(const kp_field_desc *field, int16_t version)
{
    return version >= field->min && version <= field->max;
}

/** A number, boolean or uuid that is no array: its size says all about it. */
static inline bool kp_field_is_fixed(const kp_field_desc *field)
{
    return field->type < KP_STRING && !(field->flags & KP_F_ARRAY);
}

/** Only of a field that is in this version. */
static inline bool kp_field_is_tagged(const kp_field_desc *field, int16_t version)
{
    return field->tag >= 0 && version >= field->tagged_from;
}

static inline bool kp_field_is_nullable(const kp_field_desc *field, int16_t version)
{
    return field->nullable_from >= 0 && version >= field->nullable_from;
}

/** A value that is a whole number (bool too); 0 of other types. */
int64_t kp_int_get(uint8_t type, const void *value);
/** Its lowest bits, as many as the type has; nothing for other types. */
void kp_int_set(uint8_t type, void *value_out, int64_t number);

/** The field this tag means in this version; NULL: none. */
const kp_field_desc *kp_field_of_tag(const kp_struct_desc *desc, int16_t version, uint32_t tag);

void kp_field_default(const kp_field_desc *field, void *value_out);
/** Whether the whole struct is at its defaults and has no unknown tags. */
bool kp_struct_is_default(const kp_struct_desc *desc, const void *in);
/** Also true for null in a field that can never be null: nothing is lost by leaving that out. */
bool kp_field_is_default(const kp_field_desc *field, const void *value);

/** What was found goes to the caller, who is told nothing where all went well. Returns `err`.
 * `fault` may be NULL, here and below. */
KC_NODISCARD kc_err kp_fault_tell(kp_fault *fault, const kp_fault *found, kc_err err);
/** Put a field's name, or an array index, in front of the path. Called while an error travels up,
 * so that nothing is spent on paths when all goes well. */
void kp_fault_field(kp_fault *fault, const kp_field_desc *field);
/** The same by name, of what has no field. */
void kp_fault_name(kp_fault *fault, kc_bytes name);
void kp_fault_index(kp_fault *fault, int32_t index);

#endif
