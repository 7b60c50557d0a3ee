/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * JSON writer into a kb_buf. */
#include "protocol/base/json.h"
#include "protocol/base/text.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void kb_json_writer_init(kb_json_writer *writer, kb_buf *buf)
{
    *writer = (kb_json_writer){.buf = buf};
}

static bool is_in_object(const kb_json_writer *writer)
{
    return writer->depth > 0 && writer->depth <= KB_JSON_DEPTH_MAX &&
           (writer->objects >> (writer->depth - 1) & 1) != 0;
}

/** Before a value: the comma where one is due. */
static void begin_value(kb_json_writer *writer)
{
    bool needs_key = is_in_object(writer);
    assert(!needs_key || writer->after_key);          // a member needs its name
    assert(writer->depth > 0 || !writer->need_comma); // one value at the top
    if (writer->need_comma && !writer->after_key)
        kb_buf_put_byte(writer->buf, ',');
    writer->after_key = false;
    writer->need_comma = true;
    (void)needs_key;
}

static void open_container(kb_json_writer *writer, bool is_object)
{
    begin_value(writer);
    kb_buf_put_byte(writer->buf, is_object ? '{' : '[');
    writer->need_comma = false;
    writer->depth++;
    if (writer->depth > KB_JSON_DEPTH_MAX) { // no reader would take it
        if (writer->buf->err == KC_OK)
            writer->buf->err = KC_ERR_TOO_LARGE;
        return;
    }
    uint64_t bit = (uint64_t)1 << (writer->depth - 1);
    writer->objects = is_object ? writer->objects | bit : writer->objects & ~bit;
}

static void close_container(kb_json_writer *writer, bool is_object)
{
    assert(writer->depth > 0 && !writer->after_key);
    assert(is_in_object(writer) == is_object || writer->depth > KB_JSON_DEPTH_MAX);
    kb_buf_put_byte(writer->buf, is_object ? '}' : ']');
    writer->depth--;
    writer->need_comma = true;
}

void kb_json_object(kb_json_writer *writer)
{
    open_container(writer, true);
}

void kb_json_object_end(kb_json_writer *writer)
{
    close_container(writer, true);
}

void kb_json_array(kb_json_writer *writer)
{
    open_container(writer, false);
}

void kb_json_array_end(kb_json_writer *writer)
{
    close_container(writer, false);
}

/** What must not stand in a string as it is. */
static void put_escaped(kb_buf *buf, uint8_t byte)
{
    static const char short_names[] = "btn\0fr"; // from \b on; 0: none for that one
    static const char hex[] = "0123456789ABCDEF";
    if (byte == '"' || byte == '\\') {
        kb_buf_put(buf, (uint8_t[]){'\\', byte}, 2);
    } else if (byte >= '\b' && byte <= '\r' && short_names[byte - '\b'] != 0) {
        kb_buf_put(buf, (uint8_t[]){'\\', (uint8_t)short_names[byte - '\b']}, 2);
    } else {
        uint8_t escape[6] = "\\u00";
        escape[4] = (uint8_t)hex[byte >> 4];
        escape[5] = (uint8_t)hex[byte & 15];
        kb_buf_put(buf, escape, sizeof escape);
    }
}

/** Length of the run at `ptr` that may be copied. */
static size_t plain_run(const uint8_t *ptr, size_t len)
{
    size_t pos = 0;
    while (pos < len) {
        size_t size = len - pos >= 8 ? kb_text_plain8(ptr + pos) : 0;
        pos += size;
        if (size == 8)
            continue;
        uint8_t byte = pos < len ? ptr[pos] : 0;
        size =
            byte < 0x20 || byte == '"' || byte == '\\' ? 0 : kb_utf8_sequence(ptr + pos, len - pos);
        if (size == 0)
            break;
        pos += size;
    }
    return pos;
}

static void put_string(kb_buf *buf, kc_bytes text)
{
    kb_buf_put_byte(buf, '"');
    for (size_t pos = 0; pos < text.len;) {
        size_t run = plain_run(text.ptr + pos, text.len - pos);
        kb_buf_put(buf, text.ptr + pos, run);
        pos += run;
        if (pos == text.len)
            break;
        if (text.ptr[pos] < 0x80) {
            put_escaped(buf, text.ptr[pos++]);
        } else {
            kb_buf_put(buf, "\xEF\xBF\xBD", 3); // U+FFFD
            pos += kb_utf8_broken(text.ptr + pos, text.len - pos);
        }
    }
    kb_buf_put_byte(buf, '"');
}

void kb_json_key(kb_json_writer *writer, kc_bytes name)
{
    assert((is_in_object(writer) || writer->depth > KB_JSON_DEPTH_MAX) && !writer->after_key);
    if (writer->need_comma)
        kb_buf_put_byte(writer->buf, ',');
    put_string(writer->buf, name);
    kb_buf_put_byte(writer->buf, ':');
    writer->after_key = true;
}

void kb_json_key_str(kb_json_writer *writer, const char *name)
{
    kb_json_key(writer, kc_str(name));
}

void kb_json_string(kb_json_writer *writer, kc_bytes text)
{
    if (!text.ptr) {
        kb_json_null(writer);
        return;
    }
    begin_value(writer);
    put_string(writer->buf, text);
}

void kb_json_str(kb_json_writer *writer, const char *text)
{
    kb_json_string(writer, kc_str(text));
}

void kb_json_raw(kb_json_writer *writer, kc_bytes value)
{
    begin_value(writer);
    kb_buf_put_bytes(writer->buf, value);
}

/** Digits right-aligned in front of `end`; returns where they begin. */
static char *digits_before(char *end, uint64_t value)
{
    do
        *--end = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return end;
}

void kb_json_int(kb_json_writer *writer, int64_t value)
{
    char text[21];
    char *end = text + sizeof text;
    char *start = digits_before(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    if (value < 0)
        *--start = '-';
    kb_json_raw(writer, kc_span(start, (size_t)(end - start)));
}

void kb_json_uint(kb_json_writer *writer, uint64_t value)
{
    char text[20];
    char *end = text + sizeof text;
    char *start = digits_before(end, value);
    kb_json_raw(writer, kc_span(start, (size_t)(end - start)));
}

/** Shortest decimal digits that read back as `value` > 0, without trailing zeros; returns their
 * number. value = digits[0].digits[1]... * 10^exponent. */
static size_t shortest_digits(double value, char digits[17], int *exponent_out)
{
    // 15 digits always survive the way through a normal double, and 17 always suffice; a subnormal
    // has fewer good ones: from two up, as Java does
    char text[48];
    for (int precision = value < DBL_MIN ? 2 : 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, value);
        if (strtod(text, NULL) == value)
            break;
    }
    size_t count = 0;
    const char *p = text;
    for (; *p != 'e'; p++) { // what is no digit is the locale's decimal point, of any length
        if (*p >= '0' && *p <= '9')
            digits[count++] = *p;
    }
    while (count > 1 && digits[count - 1] == '0')
        count--;
    *exponent_out = (int)strtol(p + 1, NULL, 10);
    return count;
}

/** Digits [from, to), zeros where there are none, at least one. */
static char *put_digits(char *to, const char *digits, size_t count, size_t from, size_t until)
{
    do
        *to++ = (char)(from < count ? digits[from] : '0');
    while (++from < until);
    return to;
}

/** Java's form of a double: plain from 0.001 up to below 10,000,000, else with an exponent. */
static size_t format_double(char out[40], double value)
{
    char digits[17] = "0";
    int exponent = 0;
    size_t count = value != 0 ? shortest_digits(fabs(value), digits, &exponent) : 1;
    char *to = out;
    if (signbit(value))
        *to++ = '-';
    if (exponent >= 7 || exponent < -3) {
        to = put_digits(to, digits, count, 0, 1);
        *to++ = '.';
        to = put_digits(to, digits, count, 1, count);
        return (size_t)(to - out) + (size_t)snprintf(to, 8, "E%d", exponent);
    }
    size_t whole = exponent >= 0 ? (size_t)exponent + 1 : 0;
    if (whole > 0)
        to = put_digits(to, digits, count, 0, whole);
    else
        *to++ = '0';
    *to++ = '.';
    for (int zeros = -1 - exponent; zeros > 0; zeros--)
        *to++ = '0';
    to = put_digits(to, digits, count, whole, count);
    return (size_t)(to - out);
}

void kb_json_double(kb_json_writer *writer, double value)
{
    if (isnan(value)) {
        kb_json_str(writer, "NaN");
        return;
    }
    if (isinf(value)) {
        kb_json_str(writer, value > 0 ? "Infinity" : "-Infinity");
        return;
    }
    char text[40];
    kb_json_raw(writer, kc_span(text, format_double(text, value)));
}

void kb_json_bool(kb_json_writer *writer, bool value)
{
    kb_json_raw(writer, value ? KC_STR("true") : KC_STR("false"));
}

void kb_json_null(kb_json_writer *writer)
{
    kb_json_raw(writer, KC_STR("null"));
}

void kb_json_base64(kb_json_writer *writer, kc_bytes bytes)
{
    if (!bytes.ptr) {
        kb_json_null(writer);
        return;
    }
    begin_value(writer);
    kb_buf_put_byte(writer->buf, '"');
    kb_base64_put(writer->buf, bytes);
    kb_buf_put_byte(writer->buf, '"');
}

void kb_json_hex(kb_json_writer *writer, kc_bytes bytes)
{
    begin_value(writer);
    kb_buf_put_byte(writer->buf, '"');
    kb_hex_put(writer->buf, bytes);
    kb_buf_put_byte(writer->buf, '"');
}

void kb_json_member_string(kb_json_writer *writer, const char *name, kc_bytes text)
{
    kb_json_key_str(writer, name);
    kb_json_string(writer, text);
}

void kb_json_member_str(kb_json_writer *writer, const char *name, const char *text)
{
    kb_json_key_str(writer, name);
    kb_json_str(writer, text);
}

void kb_json_member_int(kb_json_writer *writer, const char *name, int64_t value)
{
    kb_json_key_str(writer, name);
    kb_json_int(writer, value);
}

void kb_json_member_bool(kb_json_writer *writer, const char *name, bool value)
{
    kb_json_key_str(writer, name);
    kb_json_bool(writer, value);
}
