/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The interpreter: decodes, encodes, measures, prints and reads any message from its table
 * (desc.h).
 *
 * Decoding allocates from the caller's arena only, and only after a count was checked against the
 * bytes left; strings, bytes and records are slices of the input. */
#ifndef KP_CODEC_H
#define KP_CODEC_H

#include "protocol/base/arena.h"
#include "protocol/base/buf.h"
#include "protocol/base/json.h"
#include "protocol/desc.h"

#include <kafkac/codec.h>

/** Where and why a message was refused. Text is made by the caller, who knows the broker.
 *  Every `kp_fault *` parameter may be NULL. */
typedef kc_fault kp_fault;

/** Every field to its default (arrays empty, nullable ones as the schema says). */
void kp_defaults(const kp_message *message, void *msg_out);
/** The same for one struct, as an array item. */
void kp_struct_defaults(const kp_struct_desc *desc, void *item_out);

/**
 * Decode all of `in`; trailing bytes are an error.
 *
 * @retval KC_OK, KC_ERR_TRUNCATED, KC_ERR_MALFORMED, KC_ERR_NOMEM (arena limit), KC_ERR_VERSION.
 */
KC_NODISCARD kc_err kp_decode(const kp_message *message, int16_t version, kc_bytes in,
                              kb_arena *arena, void *msg_out, kp_fault *fault);

/** The same, but says how much was used and lets bytes follow (headers in front of a body). Without
 * an arena (NULL) unknown tags are skipped and messages with arrays are refused: for headers. */
KC_NODISCARD kc_err kp_decode_prefix(const kp_message *message, int16_t version, kc_bytes in,
                                     kb_arena *arena, void *msg_out, size_t *used_out,
                                     kp_fault *fault);

/**
 * Decode what Kafka's own decoder takes, for who is a broker to any client: bytes may follow, varints be over-long, tags
 * stand in any order, any byte but 0 is true, and any length below 0 null.
 */
KC_NODISCARD kc_err kp_decode_as_kafka(const kp_message *message, int16_t version, kc_bytes in,
                                       kb_arena *arena, void *msg_out, kp_fault *fault);

/**
 * Decode as kp_decode() does, and tell of every stretch of bytes, in order and without a gap, up to
 * the end or to what is refused (fault->at). Slower, as each has a path made: for tools.
 */
KC_NODISCARD kc_err kp_trace(const kp_message *message, int16_t version, kc_bytes in,
                             kb_arena *arena, kc_wire_fn fn, void *user, kp_fault *fault);

/** A large slice left out of the encoded bytes, to be sent from where it lies. */
typedef struct kp_splice {
    size_t at; /**< offset in the buffer before which `bytes` belongs */
    kc_bytes bytes;
} kp_splice;

typedef struct kp_splices {
    kp_splice *items;
    uint32_t cap; /**< when full, further records are copied        */
    uint32_t count;
    size_t bytes; /**< sum of the lengths left out                  */
} kp_splices;

/**
 * Append the encoding to `out`. With `splices`, values of type `records` are not copied but listed.
 *
 * @retval KC_OK, KC_ERR_VERSION (version out of range, or a non-ignorable field with a value is not
 * in this version), KC_ERR_ARGUMENT (null where not nullable, string too long), KC_ERR_TOO_LARGE,
 * KC_ERR_NOMEM. On failure `out` is as before.
 */
KC_NODISCARD kc_err kp_encode(const kp_message *message, int16_t version, const void *msg,
                              kb_buf *out, kp_splices *splices, kp_fault *fault);

/** The same into memory of exactly its size, out of the arena. */
KC_NODISCARD kc_err kp_encode_in(const kp_message *message, int16_t version, const void *msg,
                                 kb_arena *arena, kc_bytes *bytes_out, kp_fault *fault);

/** Encoded size in bytes, by the same rules. */
KC_NODISCARD kc_err kp_size(const kp_message *message, int16_t version, const void *msg,
                            size_t *size_out, kp_fault *fault);

/** Print as Kafka's JsonConverter does (protocol.md), records as base64. Fails only in
 * writer->buf->err. */
void kp_json_print(const kp_message *message, int16_t version, const void *msg,
                   kb_json_writer *writer);

/** Read that form. Absent members take their default, unknown ones are an error. Text is unescaped
 * and base64 decoded into the arena. */
KC_NODISCARD kc_err kp_json_read(const kp_message *message, int16_t version, kc_bytes json,
                                 kb_arena *arena, void *msg_out, kp_fault *fault);

/** A copy that shares nothing with `msg`; NULL out of memory. */
void *kp_copy(const kp_message *message, const void *msg, kb_arena *arena);
/** Equal in every field of this version, floats by their bits? If not, fault->path says where. */
bool kp_equal(const kp_message *message, int16_t version, const void *a, const void *b,
              kp_fault *fault);

/** Visit every field of this version in the schema's order (kc_message_walk). KC_OK,
 * KC_ERR_VERSION. */
KC_NODISCARD kc_err kp_walk(const kp_message *message, int16_t version, const void *msg,
                            kc_walk_fn fn, void *user);

#endif
