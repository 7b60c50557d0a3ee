/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Text helpers: UTF-8, base64, hex, uuid, numbers, RFC 3339 times. */
#ifndef KB_TEXT_H
#define KB_TEXT_H

#include "protocol/base/buf.h"

#include <stdarg.h>

/** Strict (RFC 3629): no surrogates, no over-long forms. */
bool kb_utf8_is_valid(kc_bytes text);
/** Bytes of the one character at `ptr`, `len` > 0 bytes being there; 0: invalid. */
size_t kb_utf8_sequence(const uint8_t *ptr, size_t len);
/** Where there is none: how many bytes one U+FFFD is to take the place of, as in Java's decoder: what
 * could have begun a character (the "maximal subpart" of Unicode 3.9), or a surrogate. 1 to 3. */
size_t kb_utf8_broken(const uint8_t *ptr, size_t len);
/** Write a code point that is no surrogate; returns how many bytes it took. */
size_t kb_utf8_put(uint8_t out[4], uint32_t code_point);
/** Length of the text without a character at its end that was cut in the middle. */
size_t kb_utf8_cut(kc_bytes text);
/** How many of 8 bytes at `ptr` are plain inside a JSON string: ASCII, no control, no quote, no
 * backslash. */
size_t kb_text_plain8(const uint8_t *ptr);

/** Standard alphabet, padded (RFC 4648 section 4), as Kafka's JSON writes bytes. */
void kb_base64_put(kb_buf *out, kc_bytes bytes);
/** URL-safe alphabet, not padded (RFC 4648 section 5), as Kafka's JSON writes uuids. */
void kb_base64url_put(kb_buf *out, kc_bytes bytes);
/** Strict: right alphabet, right padding (none for url), no white space, zero trailing bits.
 *  Appends to `out`; false: invalid (out may hold a part). */
bool kb_base64_get(kb_buf *out, kc_bytes text);
bool kb_base64url_get(kb_buf *out, kc_bytes text);

/** Lower case. */
void kb_hex_put(kb_buf *out, kc_bytes bytes);
/** Both cases, even length; false: invalid. */
bool kb_hex_get(kb_buf *out, kc_bytes text);

/** Decimal with optional minus (not for u64), whole slice, in range; false otherwise. */
bool kb_parse_i64(kc_bytes text, int64_t *out);
bool kb_parse_u64(kc_bytes text, uint64_t *out);
/** JSON number syntax, whole slice, correctly rounded, locale-independent; false also when the
 * value is too large for a double. */
bool kb_parse_f64(kc_bytes text, double *out);

/** Case-insensitive for ASCII. */
bool kb_text_is(kc_bytes text, const char *word);
/** Byte for byte. */
bool kb_text_starts(kc_bytes text, kc_bytes prefix);
/** Byte for byte; an empty part stands nowhere. */
bool kb_text_contains(kc_bytes text, kc_bytes part);
/** Without leading and trailing blanks, tabs, CR, LF. */
kc_bytes kb_text_trim(kc_bytes text);
/** Text from outside for a message: what is not printable ASCII becomes '?', and what does not fit is cut.
 * `out` has `cap` > 0 bytes and ends with a NUL. Length of it. */
size_t kb_text_printable(char *out, size_t cap, kc_bytes text);
/** Control characters of a line become blanks: names and texts come from brokers, and none may forge a second
 * line or drive a terminal. */
void kb_text_tame(char *line);
/** Longest line of a log or an explanation. */
#define KB_LINE_BYTES_MAX 1024
/** One such line, tamed, and cut between characters where it is too long. False: the format failed. */
bool kb_text_line(char out[KB_LINE_BYTES_MAX + 1], const char *fmt, va_list args) KC_PRINTF(2, 0);
/** Take what stands before the next `separator` off the front of `*rest`; false when `*rest` was
 * null (used up). Three pieces of "a,,b"; one empty piece of "". */
bool kb_text_split(kc_bytes *rest, char separator, kc_bytes *piece);

/** xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, lower case, with a terminating zero. */
void kb_uuid_format(kc_uuid id, char out[37]);
/** Both cases; false: not in that form. */
bool kb_uuid_parse(kc_bytes text, kc_uuid *out);

/** "2026-11-23T12:15:02.417Z" with terminating zero. `ms` since 1970, years 0 to 9999; else
 * clamped. */
void kb_time_format(int64_t ms, char out[25]);
/** RFC 3339 with any fraction (cut to ms) and any offset; false: not in that form. A leap second is
 * taken where one can be, at the end of a UTC day, as the first second of the next. */
bool kb_time_parse(kc_bytes text, int64_t *ms_out);

/** Seeded 64-bit hash of bytes (the map's); stable within a process only. */
uint64_t kb_hash(kc_bytes bytes);

#endif
