/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The codec by itself: any message of the Kafka protocol, bytes to structs to JSON and back, without
 * a client, a socket or a clock.
 *
 * A message is a generated struct (<kafkac/unstable/messages.h>, kp_..._req and kp_..._resp), one for
 * all its versions. Programs that handle messages of any kind need not know them: here a message is
 * `void *` beside its kc_schema, and kc_message_walk() shows what is in it.
 *
 * Memory: everything a call makes lives in the caller's kc_arena, until that is reset or freed;
 * nothing else is allocated. Decoded strings, bytes and records point into the input, which must live
 * as long. No global state, no input or output: any thread, as long as an arena is used by one at a
 * time. Input may be hostile: lengths and counts are checked against the bytes left before anything
 * is allocated for them, and the arena's limit caps the rest.
 *
 * Spec: the Kafka protocol guide; KIP-482 (flexible versions). */
#ifndef KAFKAC_CODEC_H
#define KAFKAC_CODEC_H

#include <kafkac/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- memory ---- */

/** Many small pieces of memory with one end. */
typedef struct kc_arena kc_arena;

/** Most bytes an arena hands out unless told otherwise. */
#define KC_ARENA_LIMIT_BYTES ((size_t)64 << 20)

/**
 * @param alloc        NULL: the C library's; copied.
 * @param limit_bytes  Most bytes it may hold; 0: KC_ARENA_LIMIT_BYTES. What would cross it fails with
 *                     KC_ERR_NOMEM.
 * @return NULL: out of memory.
 */
KC_API kc_arena *kc_arena_new(const kc_alloc *alloc, size_t limit_bytes);
/** Forget all contents; one block is kept for the next use. */
KC_API void kc_arena_reset(kc_arena *arena);
/** NULL is allowed. */
KC_API void kc_arena_free(kc_arena *arena);
/** 16-byte aligned, not initialised; NULL at the limit or out of memory. */
KC_API void *kc_arena_alloc(kc_arena *arena, size_t size_bytes);
/** Bytes held now, the arena's own included. */
KC_API size_t kc_arena_used(const kc_arena *arena);

/* ---- what there is ---- */

/** The shape of one message in all its versions. Static, never freed. */
typedef struct kp_message kc_schema;

typedef enum kc_message_kind {
    KC_MESSAGE_REQUEST,
    KC_MESSAGE_RESPONSE,
    KC_MESSAGE_REQUEST_HEADER,
    KC_MESSAGE_RESPONSE_HEADER,
    KC_MESSAGE_DATA, /**< inside others: ConsumerProtocolSubscription, EndTxnMarker, ... */
} kc_message_kind;

typedef struct kc_schema_info {
    const char *name; /**< "Fetch": without Request or Response */
    kc_message_kind kind;
    int16_t api_key; /**< -1: no API */
    int16_t version_min, version_max;
    int16_t version_stable_max; /**< below version_max where that is unstable */
    int16_t flexible_from;      /**< INT16_MAX: never (KIP-482) */
    size_t struct_bytes;        /**< sizeof its generated struct */
} kc_schema_info;

/** Walk all: 0 .. kc_schema_count() - 1. Requests and responses by API key, then headers, then data. */
KC_API size_t kc_schema_count(void);
KC_API const kc_schema *kc_schema_at(size_t index);
/** By name, ignoring case, as "Fetch"; of headers the name may be null. NULL: there is none. */
KC_API const kc_schema *kc_schema_find(kc_bytes name, kc_message_kind kind);
/** Of an API: KC_MESSAGE_REQUEST or KC_MESSAGE_RESPONSE. NULL: there is none. */
KC_API const kc_schema *kc_schema_of_api(int16_t api_key, kc_message_kind kind);
KC_API void kc_schema_get_info(const kc_schema *schema, kc_schema_info *info_out);
/** "request", "response", "request-header", "response-header", "data". */
KC_API const char *kc_message_kind_name(kc_message_kind kind);
/** False: no such kind. */
KC_API bool kc_message_kind_by_name(kc_bytes name, kc_message_kind *kind_out);
/**
 * The message's fields as text for people, one a line, in the notation of protocol/README.md.
 *
 * @param version  -1: all versions, with the range of each field.
 * @retval KC_OK, KC_ERR_VERSION, KC_ERR_NOMEM.
 */
KC_API KC_NODISCARD kc_err kc_schema_print(const kc_schema *schema, int16_t version,
                                           kc_arena *arena, kc_bytes *text_out);

/* ---- messages ---- */

/** Where and why input was refused. Every `kc_fault *` parameter may be NULL and is written only when
 * the call fails. */
typedef struct kc_fault {
    size_t at;          /**< byte offset in the input (bytes or JSON); 0 on encode        */
    const char *reason; /**< static text                                                  */
    char path[160];     /**< "topics[0].partitions[1].index"; cut at the left; may be empty */
} kc_fault;

/** A message with every field at its default. KC_OK, KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err kc_message_new(const kc_schema *schema, kc_arena *arena, void **msg_out);

/**
 * Decode all of `in`; bytes left behind the message are an error.
 *
 * @param in       Without frame and header. Of data messages without the int16 version in front.
 * @param msg_out  The generated struct, in the arena; it points into `in`.
 * @retval KC_OK
 * @retval KC_ERR_VERSION    The schema does not have this version.
 * @retval KC_ERR_TRUNCATED  The bytes end in the middle of a value, or a count is above what is left.
 * @retval KC_ERR_MALFORMED  No valid encoding.
 * @retval KC_ERR_NOMEM      The arena's limit, or its allocator.
 */
KC_API KC_NODISCARD kc_err kc_message_decode(const kc_schema *schema, int16_t version, kc_bytes in,
                                             kc_arena *arena, void **msg_out, kc_fault *fault);

/**
 * Encode.
 *
 * @retval KC_OK
 * @retval KC_ERR_VERSION    No such version, or a field with a value is not in it and may not be
 *                           dropped silently.
 * @retval KC_ERR_ARGUMENT   Null where this version allows none, a string above 32,767 bytes, unknown
 *                           tags that do not ascend.
 * @retval KC_ERR_TOO_LARGE  Above 2^31 - 1 bytes.
 * @retval KC_ERR_NOMEM
 */
KC_API KC_NODISCARD kc_err kc_message_encode(const kc_schema *schema, int16_t version,
                                             const void *msg, kc_arena *arena, kc_bytes *bytes_out,
                                             kc_fault *fault);
/** Bytes it takes encoded. Errors as kc_message_encode(). */
KC_API KC_NODISCARD kc_err kc_message_size(const kc_schema *schema, int16_t version,
                                           const void *msg, size_t *bytes_out, kc_fault *fault);

/** One line of JSON, in the form of Kafka's JsonConverter: fields of this version only, 64-bit
 * integers exact, bytes and records as base64, unknown tagged fields as "_unknownTags". KC_OK,
 * KC_ERR_VERSION, KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err kc_message_to_json(const kc_schema *schema, int16_t version,
                                              const void *msg, kc_arena *arena, kc_bytes *json_out);
/** Read that form. An absent member takes its default; an unknown one, or one this version does not
 * have, is an error. KC_OK, KC_ERR_VERSION, KC_ERR_MALFORMED, KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err kc_message_from_json(const kc_schema *schema, int16_t version,
                                                kc_bytes json, kc_arena *arena, void **msg_out,
                                                kc_fault *fault);

/** A copy that shares no memory with `msg` nor with what that was decoded from. KC_OK, KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err kc_message_copy(const kc_schema *schema, const void *msg,
                                           kc_arena *arena, void **copy_out);
/** Equal in every field of this version (floats by their bits), unknown tagged fields too? If not,
 * fault->path names the first that differs. */
KC_API bool kc_message_equal(const kc_schema *schema, int16_t version, const void *a, const void *b,
                             kc_fault *fault);
/** Random values in every field this version has: nulls where allowed, extremes of the integers, text
 * beyond ASCII, now and then unknown tagged fields. It can be encoded; the same seed gives the same
 * message. KC_OK, KC_ERR_VERSION, KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err kc_message_random(const kc_schema *schema, int16_t version,
                                             uint64_t seed, kc_arena *arena, void **msg_out);

/* ---- walking ---- */

typedef enum kc_type {
    KC_TYPE_BOOL,   /**< bool                                              */
    KC_TYPE_INT8,   /**< int8_t                                            */
    KC_TYPE_INT16,  /**< int16_t                                           */
    KC_TYPE_UINT16, /**< uint16_t                                          */
    KC_TYPE_INT32,  /**< int32_t                                           */
    KC_TYPE_INT64,  /**< int64_t                                           */
    KC_TYPE_FLOAT64,
    KC_TYPE_UUID,    /**< kc_uuid                                           */
    KC_TYPE_STRING,  /**< kc_bytes                                          */
    KC_TYPE_BYTES,   /**< kc_bytes                                          */
    KC_TYPE_RECORDS, /**< kc_bytes: record batches, see <kafkac/records.h>  */
    KC_TYPE_STRUCT,
} kc_type;

/** One field, or one item of an array. */
typedef struct kc_node {
    const char *name; /**< of the field; of an item that of its array */
    int32_t index;    /**< of an item; -1: a field */
    uint8_t depth;    /**< 0: a field of the message itself */
    kc_type type;     /**< of an array that of its items */
    bool is_array;    /**< the array as a whole; its items follow */
    bool is_null;
    int32_t count; /**< items of an array */
    const void
        *value; /**< as kc_type says; of arrays and structs where they lie. NULL when is_null */
} kc_node;

/** What to do after a node. */
typedef enum kc_walk {
    KC_WALK_ON,
    KC_WALK_OVER, /**< leave out what is inside this array or struct */
    KC_WALK_END,
} kc_walk;

typedef kc_walk (*kc_walk_fn)(const kc_node *node, void *user);

/** Visit every field this version has, in the schema's order: a struct or array before what is in it.
 * KC_OK (also after KC_WALK_END), KC_ERR_VERSION. */
KC_API KC_NODISCARD kc_err kc_message_walk(const kc_schema *schema, int16_t version,
                                           const void *msg, kc_walk_fn fn, void *user);

/** What a stretch of bytes of an encoded message is. */
typedef enum kc_wire_part {
    KC_WIRE_VALUE,     /**< a number, boolean, uuid, or the contents of a string, bytes, records */
    KC_WIRE_LENGTH,    /**< in front of a string, bytes, records                    */
    KC_WIRE_COUNT,     /**< in front of an array                                    */
    KC_WIRE_MARK,      /**< in front of a nullable struct: 1, or -1 for null        */
    KC_WIRE_TAG_COUNT, /**< number of tagged fields, at the end of each struct      */
    KC_WIRE_TAG,       /**< number of a tagged field                                */
    KC_WIRE_TAG_SIZE,
    KC_WIRE_TAG_DATA, /**< of a tagged field the schema does not know               */
} kc_wire_part;

/** At least one byte; contents that are empty are not told of. */
typedef struct kc_wire_item {
    kc_wire_part part;
    kc_type type;     /**< of the field; of a count that of the items; of tags KC_TYPE_STRUCT     */
    size_t at, len;   /**< the bytes in the input                                                 */
    int64_t number;   /**< its value, where it is a whole number: lengths and counts as meant, -1
                         null; 0 where it is none                                               */
    uint8_t depth;    /**< structs it is in: 0 directly in the message                            */
    bool is_varint;   /**< the number is an unsigned varint (KIP-482)                             */
    const char *path; /**< "topics[0].name", of tags that of their struct; valid during the call */
} kc_wire_item;

typedef void (*kc_wire_fn)(const kc_wire_item *item, void *user);

/** Decode as kc_message_decode() does, and tell of every stretch of bytes, in order and without a gap,
 * up to the end or to what is refused (fault->at). Errors as kc_message_decode(). */
KC_API KC_NODISCARD kc_err kc_message_trace(const kc_schema *schema, int16_t version, kc_bytes in,
                                            kc_arena *arena, kc_wire_fn fn, void *user,
                                            kc_fault *fault);

/* ---- frames ---- */

/** A request or response as it stands on a connection: size, header, body. */
typedef struct kc_frame {
    kc_message_kind kind; /**< KC_MESSAGE_REQUEST or KC_MESSAGE_RESPONSE */
    int16_t api_key;
    int16_t version; /**< of the body */
    int16_t header_version;
    const kc_schema *header_schema;
    const kc_schema *schema;
    void *header; /**< kp_request_header or kp_response_header */
    void *body;
    size_t header_at, body_at, end; /**< where they begin in the input, and where the frame ends */
} kc_frame;

/**
 * Decode one whole frame; bytes behind it are an error.
 *
 * @param kind     A request says what it is, and `api_key` and `version` are not looked at. Of a
 *                 response they must be known from its request. An ApiVersions response that carries
 *                 UNSUPPORTED_VERSION is read in version 0, whatever was asked (KIP-511).
 * @retval KC_OK, and the errors of kc_message_decode(); fault->at counts from the frame's first byte.
 *         KC_ERR_VERSION also for an API the schema does not have.
 */
KC_API KC_NODISCARD kc_err kc_frame_decode(kc_message_kind kind, int16_t api_key, int16_t version,
                                           kc_bytes in, kc_arena *arena, kc_frame *frame_out,
                                           kc_fault *fault);
/** Encode kind, api_key, version, header and body; of a request header API key and version are filled
 * in. Errors as kc_message_encode(). */
KC_API KC_NODISCARD kc_err kc_frame_encode(const kc_frame *frame, kc_arena *arena,
                                           kc_bytes *bytes_out, kc_fault *fault);

#ifdef __cplusplus
}
#endif
#endif
