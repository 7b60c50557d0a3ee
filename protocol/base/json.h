/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Strict JSON (RFC 8259): a pull reader over a slice, and a writer into a kb_buf.
 *
 * Own code where the rule is "use a library": payloads must pass byte for byte and 64-bit integers
 * exactly, and the packaged C libraries change or refuse legal JSON. Jansson is the oracle in the
 * tests. The reader never allocates and never copies: each token names its slice of the input. */
#ifndef KB_JSON_H
#define KB_JSON_H

#include "protocol/base/arena.h"
#include "protocol/base/buf.h"

/** Deepest nesting accepted by every reader and writer. */
#define KB_JSON_DEPTH_MAX 64

typedef enum kb_json_type {
    KB_JSON_ERROR, /**< see reader.at and reader.reason; sticks                  */
    KB_JSON_END,   /**< the one top-level value and the white space behind it    */
    KB_JSON_NULL,
    KB_JSON_TRUE,
    KB_JSON_FALSE,
    KB_JSON_NUMBER,
    KB_JSON_STRING,
    KB_JSON_KEY, /**< member name; its value is the next token                  */
    KB_JSON_OBJECT,
    KB_JSON_OBJECT_END,
    KB_JSON_ARRAY,
    KB_JSON_ARRAY_END,
} kb_json_type;

typedef struct kb_json_reader {
    kc_bytes in;
    size_t pos;
    size_t at;          /**< byte offset of the error                                 */
    const char *reason; /**< what was expected, static text; NULL: no error           */
    uint32_t depth;
    uint8_t state; /**< private */
    uint8_t stack[KB_JSON_DEPTH_MAX];
    kc_bytes raw;    /**< the last token's source: a string with its quotes, a number's digits */
    bool has_escape; /**< of the last string or key                                */
} kb_json_reader;

/** Text must be valid UTF-8, one value, nothing behind it; NaN and Infinity are errors. */
void kb_json_reader_init(kb_json_reader *reader, kc_bytes in);
/** Next token. */
kb_json_type kb_json_next(kb_json_reader *reader);
/** Read a whole value (the next token and all below it); its source slice in *raw_out (may be
 * NULL). KB_JSON_ERROR, or the type of its first token. After KB_JSON_KEY this takes the member's
 * value. A key, an end of object or array, or the end of the text is handed out as the one token it
 * is. */
kb_json_type kb_json_value(kb_json_reader *reader, kc_bytes *raw_out);

/** Contents of a string or key token (raw, with quotes), unescaped: points into the source when
 * there is no escape, else into the arena. False: out of memory. */
bool kb_json_unescape(kc_bytes raw, kb_arena *arena, kc_bytes *out);
/** Is this string or key token, unescaped, equal to `text`? No allocation. */
bool kb_json_string_is(kc_bytes raw, kc_bytes text);
/** Of a number token: integer without fraction or exponent, in range. False for any other token. */
bool kb_json_i64(kc_bytes raw, int64_t *out);
bool kb_json_u64(kc_bytes raw, uint64_t *out);
/** Any number token that fits into a double. */
bool kb_json_f64(kc_bytes raw, double *out);

/** Whole text valid? With `unique_names`, no object may name a member twice (compared unescaped;
 * scratch in the arena). KC_OK, KC_ERR_MALFORMED with err text "... at byte N", KC_ERR_NOMEM. */
kc_err kb_json_check(kc_bytes in, bool unique_names, kb_arena *scratch, kc_error *err);

/** Source slice of the value at a JSON pointer (RFC 6901) in valid JSON; null slice: not there, or
 * no pointer. Of a member named twice, the first. */
kc_bytes kb_json_pointer(kc_bytes doc, const char *pointer);
/** As text: a string unescaped, a number or boolean as written; null slice for null, object, array,
 * absent (or out of memory). */
kc_bytes kb_json_pointer_text(kc_bytes doc, const char *pointer, kb_arena *arena);

/** Writer of one value: commas and colons come by themselves. Misuse is an assert; failure sticks
 * in buf->err, also nesting deeper than KB_JSON_DEPTH_MAX (KC_ERR_TOO_LARGE). */
typedef struct kb_json_writer {
    kb_buf *buf;
    uint32_t depth;
    bool need_comma;
    bool after_key;
    uint64_t objects; /**< private: bit n: the container at depth n + 1 is an object */
} kb_json_writer;

void kb_json_writer_init(kb_json_writer *writer, kb_buf *buf);
void kb_json_object(kb_json_writer *writer);
void kb_json_object_end(kb_json_writer *writer);
void kb_json_array(kb_json_writer *writer);
void kb_json_array_end(kb_json_writer *writer);
void kb_json_key(kb_json_writer *writer, kc_bytes name);
void kb_json_key_str(kb_json_writer *writer, const char *name);
/** Escapes ", \ and control characters only; what is not valid UTF-8 becomes U+FFFD, as in Java
 * (kb_utf8_broken). A null slice writes null. */
void kb_json_string(kb_json_writer *writer, kc_bytes text);
void kb_json_str(kb_json_writer *writer, const char *text);
void kb_json_int(kb_json_writer *writer, int64_t value);
void kb_json_uint(kb_json_writer *writer, uint64_t value);
/** Shortest text that reads back equal, in Java's form, always with a fraction: 1.0, 0.001, 1.0E10;
 * NaN and infinities as the strings "NaN", "Infinity", "-Infinity". */
void kb_json_double(kb_json_writer *writer, double value);
void kb_json_bool(kb_json_writer *writer, bool value);
void kb_json_null(kb_json_writer *writer);
/** One whole value, as it stands. */
void kb_json_raw(kb_json_writer *writer, kc_bytes value);
/** As a base64 string; a null slice writes null. */
void kb_json_base64(kb_json_writer *writer, kc_bytes bytes);
/** A string of hex digits. */
void kb_json_hex(kb_json_writer *writer, kc_bytes bytes);

/** "name": value, in one call. */
void kb_json_member_string(kb_json_writer *writer, const char *name, kc_bytes text);
void kb_json_member_str(kb_json_writer *writer, const char *name, const char *text);
void kb_json_member_int(kb_json_writer *writer, const char *name, int64_t value);
void kb_json_member_bool(kb_json_writer *writer, const char *name, bool value);

#endif
