/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Structure-aware mutation of Kafka messages, for fuzzing brokers, clients and codecs.
 *
 * By the schema's tables one thing is changed and the rest stays as valid as it was, so a fuzzer gets
 * behind the parser's first checks. Two levels: kc_mutate_message() changes a decoded message, whose
 * encoding stays well formed (a value, an item more or less, a null, a tagged field);
 * kc_mutate_bytes() makes the bytes lie (a length, a count, a tag, a varint too long, a cut). The same
 * seed on the same input makes the same change. */
#ifndef KAFKAC_MUTATE_H
#define KAFKAC_MUTATE_H

#include <kafkac/codec.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What was changed, for the log of a finding. */
typedef struct kc_mutation {
    /** Static text. Of messages: "value", "null", "emptied", "item added", "item dropped", "item
     * repeated", "struct added", "tag added", "tag data", "tag dropped"; of bytes: "number" (a length,
     * count, mark, tag or size), "varint" (too long), "byte", "cut", "repeated", "left out", "tag
     * repeated". */
    const char *what;
    size_t at;      /**< of kc_mutate_bytes(): first byte that differs */
    char path[160]; /**< "topics[0].name"; may be empty */
} kc_mutation;

/**
 * Change one field, one array as a whole, or the unknown tagged fields of one struct. Of each array
 * one random item is looked into, so that large arrays do not crowd out the rest.
 *
 * @param msg           Changed in place; what it points to is not (new values lie in the arena).
 * @param mutation_out  May be NULL.
 * @retval KC_OK           It can be encoded in this version if it could before, to other bytes.
 * @retval KC_ERR_END      There is nothing to change: a message without fields.
 * @retval KC_ERR_VERSION
 * @retval KC_ERR_NOMEM    `msg` is as it was.
 */
KC_API KC_NODISCARD kc_err kc_mutate_message(const kc_schema *schema, int16_t version, void *msg,
                                             uint64_t seed, kc_arena *arena,
                                             kc_mutation *mutation_out);

/**
 * Change one stretch of the bytes of an encoded message so that it lies.
 *
 * @param in            Best a valid encoding; otherwise what is before the fault is changed.
 * @param bytes_out     Other bytes than `in`, in the arena or a part of `in`.
 * @param mutation_out  May be NULL.
 * @retval KC_OK, KC_ERR_END (no bytes), KC_ERR_VERSION, KC_ERR_NOMEM
 */
KC_API KC_NODISCARD kc_err kc_mutate_bytes(const kc_schema *schema, int16_t version, kc_bytes in,
                                           uint64_t seed, kc_arena *arena, kc_bytes *bytes_out,
                                           kc_mutation *mutation_out);

#ifdef __cplusplus
}
#endif
#endif
