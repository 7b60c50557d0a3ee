/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The shape of a message as a table: what the generator writes and the interpreter (codec) reads.
 *
 * One C struct serves all versions of a message; each field knows the versions it is in. In memory:
 *   bool i8 i16 u16 i32 i64 f64   the C type            uuid    kc_uuid
 *   string bytes records          kc_bytes (ptr NULL = null)
 *   array of anything             struct { T *items; int32_t count; }   (count -1 = null)
 *   struct                        inline; a nullable one is a pointer, NULL = null
 * and at the end of every struct `kp_tags unknown_tags`. */
#ifndef KP_DESC_H
#define KP_DESC_H

#include <kafkac/unstable/message_types.h>

typedef enum kp_type {
    KP_BOOL,
    KP_I8,
    KP_I16,
    KP_U16,
    KP_I32,
    KP_I64,
    KP_F64,
    KP_UUID,
    KP_STRING,
    KP_BYTES,
    KP_RECORDS,
    KP_STRUCT,
} kp_type;

enum {
    KP_F_ARRAY = 1u << 0,
    KP_F_IGNORABLE =
        1u << 1, /**< silently dropped in versions without it; else an error on write */
    KP_F_MAP_KEY = 1u << 2,
    KP_F_STR16 = 1u << 3, /**< never compact (clientId of the request header)                  */
    KP_F_DEFAULT_NULL = 1u << 4,
    KP_F_ALWAYS = 1u << 5, /**< in every version of the message, never tagged                   */
};

/** Versions never reach this. */
#define KP_VERSION_MAX INT16_MAX

typedef struct kp_struct_desc kp_struct_desc;

typedef struct kp_field_desc {
    const char *name;      /**< schema name, first letter small                               */
    uint16_t offset;       /**< in the C struct                                               */
    uint8_t type;          /**< kp_type                                                       */
    uint8_t flags;         /**< KP_F_...                                                      */
    int16_t min, max;      /**< versions it is in                                             */
    int16_t nullable_from; /**< -1: never                                                     */
    int16_t tag;           /**< -1: not tagged                                                */
    int16_t tagged_from;   /**< first version in which it is tagged; before that it is plain  */
    uint16_t value_size;   /**< of one value in memory: an item of an array, else the field   */
    int64_t default_value; /**< integers, bool; strings and bytes default to empty or null    */
    const kp_struct_desc *sub;
} kp_field_desc;

struct kp_struct_desc {
    const char *name; /**< C name without kp_, for messages about bugs */
    const kp_field_desc *fields;
    uint16_t field_count;
    uint16_t size;        /**< sizeof the C struct        */
    uint16_t tags_offset; /**< of unknown_tags            */
    uint16_t wire_min; /**< fewest bytes of it on the wire, in any version: bounds array counts */
};

/** A whole message: the root struct with its versions. */
typedef struct kp_message {
    const char *name; /**< "Fetch", without Request or Response  */
    const kp_struct_desc *root;
    int16_t min, max;
    int16_t flexible_from; /**< KP_VERSION_MAX: never                 */
} kp_message;

#endif
