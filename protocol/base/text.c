/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * UTF-8, base64, hex, numbers, slices, uuid. All of it sees bytes from the network: nothing is
 * assumed. */
#include "protocol/base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* UTF-8 */

#define HIGH_BITS ((uint64_t)0x8080808080808080u)
#define EACH_BYTE ((uint64_t)0x0101010101010101u)

static inline uint64_t load8(const uint8_t *ptr)
{
    uint64_t value;
    memcpy(&value, ptr, sizeof value);
    return value;
}

static inline bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* How many bytes at `ptr` can begin a character, by the table of well-formed sequences (Unicode 3.9,
 * table 3-7), but for surrogates, which are left to the caller; 0: not even the first. */
static size_t well_begun(const uint8_t *ptr, size_t len, size_t size)
{
    uint8_t lead = ptr[0];
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xf4 ? 0x8f : 0xbf;
    if (len < 2 || ptr[1] < low || ptr[1] > high)
        return 1;
    size_t count = 2;
    while (count < size && count < len && is_continuation(ptr[count]))
        count++;
    return count;
}

static size_t size_by_lead(uint8_t lead)
{
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

size_t kb_utf8_sequence(const uint8_t *ptr, size_t len)
{
    if (ptr[0] < 0x80)
        return 1;
    size_t size = size_by_lead(ptr[0]);
    bool is_whole = well_begun(ptr, len, size) == size;
    bool is_surrogate = is_whole && ptr[0] == 0xed && ptr[1] > 0x9f;
    return is_whole && !is_surrogate ? size : 0;
}

size_t kb_utf8_broken(const uint8_t *ptr, size_t len)
{
    size_t count = well_begun(ptr, len, size_by_lead(ptr[0]));
    return count > 0 ? count : 1;
}

bool kb_utf8_is_valid(kc_bytes text)
{
    size_t pos = 0;
    while (pos < text.len) {
        while (text.len - pos >= 8 && (load8(text.ptr + pos) & HIGH_BITS) == 0)
            pos += 8;
        if (pos == text.len)
            break;
        size_t size = kb_utf8_sequence(text.ptr + pos, text.len - pos);
        if (size == 0)
            return false;
        pos += size;
    }
    return true;
}

size_t kb_utf8_put(uint8_t out[4], uint32_t code_point)
{
    if (code_point < 0x80) {
        out[0] = (uint8_t)code_point;
        return 1;
    }
    size_t size = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    static const uint8_t marks[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (uint8_t)(marks[size] | code_point);
    return size;
}

size_t kb_utf8_cut(kc_bytes text)
{
    for (size_t back = 1; back <= 3 && back <= text.len; back++) {
        uint8_t byte = text.ptr[text.len - back];
        if (is_continuation(byte))
            continue;
        size_t size = byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
        return size > back ? text.len - back : text.len;
    }
    return text.len;
}

size_t kb_text_plain8(const uint8_t *ptr)
{
    uint64_t word = load8(ptr);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    // x - 1 borrows into the high bit of a byte that is 0; wrong hits lie only above a right one
    uint64_t quote = word ^ EACH_BYTE * '"';
    uint64_t backslash = word ^ EACH_BYTE * '\\';
    uint64_t hits = ((quote - EACH_BYTE) & ~quote) | ((backslash - EACH_BYTE) & ~backslash) |
                    ((word - EACH_BYTE * 0x20) & ~word) | word;
    hits &= HIGH_BITS;
    return hits ? (size_t)__builtin_ctzll(hits) / 8 : 8;
}

/* base64, hex */

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_base64(kb_buf *out, kc_bytes bytes, const char *alphabet, bool is_padded)
{
    size_t rest = bytes.len % 3;
    size_t tail = rest == 0 ? 0 : is_padded ? 4 : rest + 1;
    if (bytes.len / 3 > (SIZE_MAX - 4) / 4) {
        out->err = out->err ? out->err : KC_ERR_TOO_LARGE;
        return;
    }
    uint8_t *to = kb_buf_extend(out, bytes.len / 3 * 4 + tail);
    if (!to)
        return;
    const uint8_t *from = bytes.ptr;
    for (size_t i = bytes.len / 3; i > 0; i--, from += 3) {
        uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        *to++ = (uint8_t)alphabet[bits >> 18];
        *to++ = (uint8_t)alphabet[bits >> 12 & 63];
        *to++ = (uint8_t)alphabet[bits >> 6 & 63];
        *to++ = (uint8_t)alphabet[bits & 63];
    }
    if (rest == 0)
        return;
    uint32_t bits = (uint32_t)from[0] << 16 | (rest == 2 ? (uint32_t)from[1] << 8 : 0);
    const uint8_t last[4] = {(uint8_t)alphabet[bits >> 18], (uint8_t)alphabet[bits >> 12 & 63],
                             rest == 2 ? (uint8_t)alphabet[bits >> 6 & 63] : (uint8_t)'=',
                             (uint8_t)'='};
    memcpy(to, last, tail);
}

void kb_base64_put(kb_buf *out, kc_bytes bytes)
{
    put_base64(out, bytes, base64_alphabet, true);
}

void kb_base64url_put(kb_buf *out, kc_bytes bytes)
{
    put_base64(out, bytes, base64url_alphabet, false);
}

/** Six bits of a letter; 64 and above: not in the alphabet. */
static uint32_t base64_value(uint8_t letter, bool is_url)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - (uint32_t)'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - (uint32_t)'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - (uint32_t)'0' + 52;
    if (letter == (is_url ? '-' : '+'))
        return 62;
    return letter == (is_url ? '_' : '/') ? 63 : 64;
}

/** `text` without padding. */
static bool get_base64(kb_buf *out, kc_bytes text, bool is_url)
{
    size_t rest = text.len % 4;
    if (rest == 1)
        return false;
    uint8_t *to = kb_buf_reserve(out, text.len / 4 * 3 + (rest > 0 ? rest - 1 : 0));
    if (!to)
        return false;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint32_t value = base64_value(text.ptr[i], is_url);
        if (value > 63)
            return false;
        bits = bits << 6 | value;
        if (i % 4 == 3) {
            *to++ = (uint8_t)(bits >> 16);
            *to++ = (uint8_t)(bits >> 8);
            *to++ = (uint8_t)bits;
        }
    }
    // the bits of the last letter that belong to no byte: other values would be second spellings
    if ((rest == 2 && (bits & 15) != 0) || (rest == 3 && (bits & 3) != 0))
        return false;
    if (rest == 2) {
        *to++ = (uint8_t)(bits >> 4);
    } else if (rest == 3) {
        *to++ = (uint8_t)(bits >> 10);
        *to++ = (uint8_t)(bits >> 2);
    }
    out->len = (size_t)(to - out->data);
    return true;
}

bool kb_base64_get(kb_buf *out, kc_bytes text)
{
    if (text.len % 4 != 0)
        return false;
    for (int i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++)
        text.len--;
    return get_base64(out, text, false);
}

bool kb_base64url_get(kb_buf *out, kc_bytes text)
{
    return get_base64(out, text, true);
}

static const char hex_digits[] = "0123456789abcdef";

/** 16 and above: no hex digit. */
static unsigned hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - (unsigned)'0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - (unsigned)'a' + 10 : 16;
}

void kb_hex_put(kb_buf *out, kc_bytes bytes)
{
    if (bytes.len > SIZE_MAX / 2) {
        out->err = out->err ? out->err : KC_ERR_TOO_LARGE;
        return;
    }
    uint8_t *to = kb_buf_extend(out, bytes.len * 2);
    for (size_t i = 0; to && i < bytes.len; i++) {
        *to++ = (uint8_t)hex_digits[bytes.ptr[i] >> 4];
        *to++ = (uint8_t)hex_digits[bytes.ptr[i] & 15];
    }
}

bool kb_hex_get(kb_buf *out, kc_bytes text)
{
    if (text.len % 2 != 0)
        return false;
    uint8_t *to = kb_buf_reserve(out, text.len / 2);
    if (!to)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        unsigned high = hex_value(text.ptr[i]);
        unsigned low = hex_value(text.ptr[i + 1]);
        if (high > 15 || low > 15)
            return false;
        *to++ = (uint8_t)(high << 4 | low);
    }
    out->len += text.len / 2;
    return true;
}

/* numbers */

static inline bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

bool kb_parse_u64(kc_bytes text, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return false;
        uint64_t digit = text.ptr[i] - (uint64_t)'0';
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (text.len > 0)
        *out = value;
    return text.len > 0;
}

bool kb_parse_i64(kc_bytes text, int64_t *out)
{
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    if (is_negative)
        text = kc_span(text.ptr + 1, text.len - 1);
    uint64_t value;
    if (!kb_parse_u64(text, &value) || value > (uint64_t)INT64_MAX + is_negative)
        return false;
    if (is_negative)
        *out = value == 0 ? 0 : -(int64_t)(value - 1) - 1;
    else
        *out = (int64_t)value;
    return true;
}

/** More digits than these can't change the nearest double, but for "is there anything behind". */
#define DIGITS_MAX 780

/** A decimal number taken apart: digits * 10^exponent, the digits without leading zeros. */
typedef struct decimal {
    char digits[DIGITS_MAX + 32]; /**< room for a sticky digit and the exponent's text */
    size_t count;
    int64_t exponent;
    bool is_negative;
    bool has_rest; /**< digits other than 0 were left out */
} decimal;

static void add_digit(decimal *number, uint8_t digit, bool is_fraction)
{
    bool is_leading_zero = number->count == 0 && digit == '0';
    bool is_kept = !is_leading_zero && number->count < DIGITS_MAX;
    if (is_kept)
        number->digits[number->count++] = (char)digit;
    else if (digit != '0')
        number->has_rest = true;
    if (is_fraction && (is_kept || is_leading_zero))
        number->exponent--;
    else if (!is_fraction && !is_kept && !is_leading_zero)
        number->exponent++;
}

/** Digits from `pos` on; false: there is none. */
static bool take_digits(kc_bytes text, size_t *pos, decimal *number, bool is_fraction)
{
    size_t start = *pos;
    for (; *pos < text.len && is_digit(text.ptr[*pos]); (*pos)++)
        add_digit(number, text.ptr[*pos], is_fraction);
    return *pos > start;
}

static bool take_exponent(kc_bytes text, size_t *pos, decimal *number)
{
    bool is_negative = *pos < text.len && text.ptr[*pos] == '-';
    if (is_negative || (*pos < text.len && text.ptr[*pos] == '+'))
        (*pos)++;
    size_t start = *pos;
    int64_t value = 0;
    for (; *pos < text.len && is_digit(text.ptr[*pos]); (*pos)++) {
        if (value < INT64_MAX / 100)
            value = value * 10 + (text.ptr[*pos] - '0');
    }
    number->exponent += is_negative ? -value : value;
    return *pos > start;
}

/** The grammar of RFC 8259 section 6, whole slice. */
static bool take_number(kc_bytes text, decimal *number)
{
    size_t pos = 0;
    number->count = 0;
    number->exponent = 0;
    number->has_rest = false;
    number->is_negative = text.len > 0 && text.ptr[0] == '-';
    if (number->is_negative)
        pos++;
    size_t start = pos;
    if (!take_digits(text, &pos, number, false) || (text.ptr[start] == '0' && pos > start + 1))
        return false;
    if (pos < text.len && text.ptr[pos] == '.') {
        pos++;
        if (!take_digits(text, &pos, number, true))
            return false;
    }
    if (pos < text.len && (text.ptr[pos] == 'e' || text.ptr[pos] == 'E')) {
        pos++;
        if (!take_exponent(text, &pos, number))
            return false;
    }
    return pos == text.len;
}

/** Clinger's fast path: both factors are exact, so the one operation rounds correctly. */
static bool convert_exactly(const decimal *number, double *out)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (number->count > 15 || number->exponent < -22 || number->exponent > 22)
        return false;
    uint64_t digits = 0;
    for (size_t i = 0; i < number->count; i++)
        digits = digits * 10 + (uint64_t)(number->digits[i] - '0');
    double value = (double)digits;
    *out =
        number->exponent < 0 ? value / powers[-number->exponent] : value * powers[number->exponent];
    return true;
}

/** Through strtod, but with digits and exponent only: its decimal point depends on the locale. */
static double convert_slowly(decimal *number)
{
    size_t len = number->count;
    int64_t exponent = number->exponent;
    if (number->has_rest) {
        number->digits[len++] = '1';
        exponent--;
    }
    if (exponent > 9999)
        exponent = 9999;
    else if (exponent < -9999)
        exponent = -9999;
    bool is_small = exponent < 0;
    number->digits[len++] = 'e';
    number->digits[len++] = is_small ? '-' : '+';
    unsigned value = (unsigned)(is_small ? -exponent : exponent);
    for (unsigned unit = 1000; unit > 0; unit /= 10)
        number->digits[len++] = (char)('0' + value / unit % 10);
    number->digits[len] = 0;
    return strtod(number->digits, NULL);
}

bool kb_parse_f64(kc_bytes text, double *out)
{
    decimal number;
    double value = 0;
    if (!take_number(text, &number))
        return false;
    if (number.count > 0 && !convert_exactly(&number, &value))
        value = convert_slowly(&number);
    if (!isfinite(value))
        return false;
    *out = number.is_negative ? -value : value;
    return true;
}

/* slices */

static inline uint8_t to_lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

bool kb_text_is(kc_bytes text, const char *word)
{
    if (!text.ptr)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (word[i] == 0 || to_lower(text.ptr[i]) != to_lower((uint8_t)word[i]))
            return false;
    }
    return word[text.len] == 0;
}

bool kb_text_starts(kc_bytes text, kc_bytes prefix)
{
    if (!text.ptr || text.len < prefix.len)
        return false;
    return prefix.len == 0 || memcmp(text.ptr, prefix.ptr, prefix.len) == 0;
}

bool kb_text_contains(kc_bytes text, kc_bytes part)
{
    for (size_t at = 0; part.len > 0 && at + part.len <= text.len; at++)
        if (memcmp(text.ptr + at, part.ptr, part.len) == 0)
            return true;
    return false;
}

static inline bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

size_t kb_text_printable(char *out, size_t cap, kc_bytes text)
{
    size_t len = text.len < cap ? text.len : cap - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? text.ptr[i] : '?');
    out[len] = 0;
    return len;
}

void kb_text_tame(char *line)
{
    for (char *p = line; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    }
}

bool kb_text_line(char out[KB_LINE_BYTES_MAX + 1], const char *fmt, va_list args)
{
    int len = vsnprintf(out, KB_LINE_BYTES_MAX + 1, fmt, args);
    if (len < 0)
        return false;
    if (len > KB_LINE_BYTES_MAX)
        out[kb_utf8_cut(kc_span(out, KB_LINE_BYTES_MAX))] = 0;
    kb_text_tame(out);
    return true;
}

kc_bytes kb_text_trim(kc_bytes text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = kc_span(text.ptr + 1, text.len - 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

bool kb_text_split(kc_bytes *rest, char separator, kc_bytes *piece)
{
    if (!rest->ptr)
        return false;
    const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    if (!end) {
        *piece = *rest;
        *rest = KC_NULL;
        return true;
    }
    *piece = kc_span(rest->ptr, (size_t)(end - rest->ptr));
    *rest = kc_span(end + 1, rest->len - piece->len - 1);
    return true;
}

/* uuid */

static inline bool is_dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void kb_uuid_format(kc_uuid id, char out[37])
{
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        if (is_dash_before(i))
            *out++ = '-';
        *out++ = hex_digits[id.bytes[i] >> 4];
        *out++ = hex_digits[id.bytes[i] & 15];
    }
    *out = 0;
}

bool kb_uuid_parse(kc_bytes text, kc_uuid *out)
{
    if (text.len != 36)
        return false;
    kc_uuid id;
    const uint8_t *from = text.ptr;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        if (is_dash_before(i) && *from++ != '-')
            return false;
        unsigned high = hex_value(from[0]);
        unsigned low = hex_value(from[1]);
        if (high > 15 || low > 15)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
        from += 2;
    }
    *out = id;
    return true;
}
