/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Strict JSON pull reader (RFC 8259) and what stands on it: unescaping, whole-text check, JSON
 * pointer.
 *
 *   VALUE          a value must come: at the start, after a member's name, after a comma in an
 * array VALUE_OR_END   behind '[': a value or ']' KEY_OR_END     behind '{': a name or '}'
 *   COMMA_OR_END   behind a value inside an object or array
 *   DONE           behind the one top-level value: white space only
 *   FAILED         sticks
 *
 * A comma and a colon are taken together with what follows or precedes, so no state waits for
 * either alone. */
#include "protocol/base/error.h"
#include "protocol/base/json.h"
#include "protocol/base/text.h"

#include <assert.h>

enum {
    VALUE,
    VALUE_OR_END,
    KEY_OR_END,
    COMMA_OR_END,
    DONE,
    FAILED
};

static kb_json_type fail(kb_json_reader *reader, size_t at, const char *reason)
{
    reader->at = at;
    reader->reason = reason;
    reader->state = FAILED;
    reader->raw = KC_NULL;
    return KB_JSON_ERROR;
}

void kb_json_reader_init(kb_json_reader *reader, kc_bytes in)
{
    *reader = (kb_json_reader){.in = in.ptr ? in : KC_STR(""), .state = VALUE};
}

static void skip_space(kb_json_reader *reader)
{
    const uint8_t *ptr = reader->in.ptr;
    size_t pos = reader->pos;
    while (pos < reader->in.len &&
           (ptr[pos] == ' ' || ptr[pos] == '\n' || ptr[pos] == '\r' || ptr[pos] == '\t'))
        pos++;
    reader->pos = pos;
}

/** The byte at the position; 0, which no token begins with, at the end. */
static uint8_t peek(const kb_json_reader *reader)
{
    return reader->pos < reader->in.len ? reader->in.ptr[reader->pos] : 0;
}

/** Count `len` bytes at the position as the token. */
static void take(kb_json_reader *reader, size_t len)
{
    reader->raw = kc_span(reader->in.ptr + reader->pos, len);
    reader->pos += len;
}

/** The four hex digits behind \u; above 0xffff: they are not. */
static uint32_t read_hex4(const uint8_t *ptr, size_t len)
{
    uint32_t value = 0;
    if (len < 4)
        return UINT32_MAX;
    for (size_t i = 0; i < 4; i++) {
        uint8_t digit = ptr[i];
        uint8_t letter = digit | 0x20;
        if (digit >= '0' && digit <= '9')
            value = value << 4 | (digit - (uint32_t)'0');
        else if (letter >= 'a' && letter <= 'f')
            value = value << 4 | (letter - (uint32_t)'a' + 10);
        else
            return UINT32_MAX;
    }
    return value;
}

/** A \u escape, or the two of a surrogate pair; as read_escape(). */
static size_t read_unicode_escape(const uint8_t *ptr, size_t len, uint32_t *code_out,
                                  const char **reason_out)
{
    uint32_t high = read_hex4(ptr + 2, len - 2);
    if (high > 0xffff) {
        *reason_out = "expected four hex digits behind \\u";
        return 0;
    }
    *code_out = high;
    if (high < 0xd800 || high > 0xdfff)
        return 6;
    uint32_t low = UINT32_MAX;
    if (high <= 0xdbff && len >= 12 && ptr[6] == '\\' && ptr[7] == 'u')
        low = read_hex4(ptr + 8, 4);
    if (low < 0xdc00 || low > 0xdfff) {
        // the grammar allows it, but no UTF-8 text can hold it (RFC 8259 section 8.2)
        *reason_out = "escape of half a surrogate pair";
        return 0;
    }
    *code_out = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

/** The escape at `ptr`, which is a backslash: how many bytes it takes; 0: invalid, with the reason.
 */
static size_t read_escape(const uint8_t *ptr, size_t len, uint32_t *code_out,
                          const char **reason_out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    *reason_out = "unknown escape";
    if (len < 2)
        return 0;
    if (ptr[1] == 'u')
        return read_unicode_escape(ptr, len, code_out, reason_out);
    for (size_t i = 0; i < sizeof names - 1; i++) {
        if (ptr[1] == (uint8_t)names[i]) {
            *code_out = (uint8_t)values[i];
            return 2;
        }
    }
    return 0;
}

/** Length of the run of plain ASCII at `ptr`. */
static size_t plain_run(const uint8_t *ptr, size_t len)
{
    size_t pos = 0;
    while (len - pos >= 8) {
        size_t plain = kb_text_plain8(ptr + pos);
        pos += plain;
        if (plain < 8)
            return pos;
    }
    while (pos < len && ptr[pos] >= 0x20 && ptr[pos] < 0x80 && ptr[pos] != '"' && ptr[pos] != '\\')
        pos++;
    return pos;
}

/** Take the string at the position, a quote. */
static bool read_string(kb_json_reader *reader)
{
    const uint8_t *ptr = reader->in.ptr;
    size_t len = reader->in.len;
    size_t pos = reader->pos + 1;
    reader->has_escape = false;
    for (;;) {
        pos += plain_run(ptr + pos, len - pos);
        if (pos >= len) {
            fail(reader, len, "expected the end of the string");
            return false;
        }
        const char *reason = "invalid UTF-8";
        size_t size = 0;
        if (ptr[pos] == '"') {
            take(reader, pos + 1 - reader->pos);
            return true;
        }
        if (ptr[pos] == '\\') {
            uint32_t code;
            size = read_escape(ptr + pos, len - pos, &code, &reason);
            reader->has_escape = true;
        } else if (ptr[pos] < 0x20) {
            reason = "control character in a string";
        } else {
            size = kb_utf8_sequence(ptr + pos, len - pos);
        }
        if (size == 0) {
            fail(reader, pos, reason);
            return false;
        }
        pos += size;
    }
}

static bool skip_digits(kc_bytes in, size_t *pos)
{
    size_t start = *pos;
    while (*pos < in.len && in.ptr[*pos] >= '0' && in.ptr[*pos] <= '9')
        (*pos)++;
    return *pos > start;
}

/** Take the number at the position. A digit behind a leading zero is left to be refused as no
 * comma. */
static bool read_number(kb_json_reader *reader)
{
    kc_bytes in = reader->in;
    size_t pos = reader->pos;
    if (in.ptr[pos] == '-')
        pos++;
    bool is_good = true;
    if (pos < in.len && in.ptr[pos] == '0')
        pos++;
    else
        is_good = skip_digits(in, &pos);
    if (is_good && pos < in.len && in.ptr[pos] == '.') {
        pos++;
        is_good = skip_digits(in, &pos);
    }
    if (is_good && pos < in.len && (in.ptr[pos] | 0x20) == 'e') {
        pos++;
        if (pos < in.len && (in.ptr[pos] == '+' || in.ptr[pos] == '-'))
            pos++;
        is_good = skip_digits(in, &pos);
    }
    if (!is_good) {
        fail(reader, pos, "expected a digit");
        return false;
    }
    take(reader, pos - reader->pos);
    return true;
}

static bool read_literal(kb_json_reader *reader, const char *word)
{
    size_t len = strlen(word);
    if (reader->in.len - reader->pos < len ||
        memcmp(reader->in.ptr + reader->pos, word, len) != 0) {
        fail(reader, reader->pos, "expected a value");
        return false;
    }
    take(reader, len);
    return true;
}

static kb_json_type open_container(kb_json_reader *reader, bool is_object)
{
    if (reader->depth == KB_JSON_DEPTH_MAX)
        return fail(reader, reader->pos, "nested too deeply");
    reader->stack[reader->depth++] = is_object;
    take(reader, 1);
    reader->state = is_object ? KEY_OR_END : VALUE_OR_END;
    return is_object ? KB_JSON_OBJECT : KB_JSON_ARRAY;
}

static void end_value(kb_json_reader *reader)
{
    reader->state = reader->depth > 0 ? COMMA_OR_END : DONE;
}

static kb_json_type close_container(kb_json_reader *reader)
{
    assert(reader->depth > 0);
    bool is_object = reader->stack[--reader->depth];
    take(reader, 1);
    end_value(reader);
    return is_object ? KB_JSON_OBJECT_END : KB_JSON_ARRAY_END;
}

static kb_json_type read_value(kb_json_reader *reader)
{
    kb_json_type type;
    bool is_good;
    switch (peek(reader)) {
    case '{':
        return open_container(reader, true);
    case '[':
        return open_container(reader, false);
    case '"':
        type = KB_JSON_STRING;
        is_good = read_string(reader);
        break;
    case 't':
        type = KB_JSON_TRUE;
        is_good = read_literal(reader, "true");
        break;
    case 'f':
        type = KB_JSON_FALSE;
        is_good = read_literal(reader, "false");
        break;
    case 'n':
        type = KB_JSON_NULL;
        is_good = read_literal(reader, "null");
        break;
    default:
        if (peek(reader) != '-' && (peek(reader) < '0' || peek(reader) > '9'))
            return fail(reader, reader->pos, "expected a value");
        type = KB_JSON_NUMBER;
        is_good = read_number(reader);
        break;
    }
    if (!is_good)
        return KB_JSON_ERROR;
    end_value(reader);
    return type;
}

/** A member's name and the colon behind it. */
static kb_json_type read_key(kb_json_reader *reader)
{
    if (peek(reader) != '"')
        return fail(reader, reader->pos, "expected a member name");
    if (!read_string(reader))
        return KB_JSON_ERROR;
    skip_space(reader);
    if (peek(reader) != ':')
        return fail(reader, reader->pos, "expected ':'");
    reader->pos++;
    reader->state = VALUE;
    return KB_JSON_KEY;
}

static kb_json_type read_comma_or_end(kb_json_reader *reader)
{
    bool is_object = reader->stack[reader->depth - 1];
    uint8_t byte = peek(reader);
    if (byte == (is_object ? '}' : ']'))
        return close_container(reader);
    if (byte != ',')
        return fail(reader, reader->pos, is_object ? "expected ',' or '}'" : "expected ',' or ']'");
    reader->pos++;
    skip_space(reader);
    return is_object ? read_key(reader) : read_value(reader);
}

kb_json_type kb_json_next(kb_json_reader *reader)
{
    if (reader->state == FAILED)
        return KB_JSON_ERROR;
    skip_space(reader);
    switch (reader->state) {
    case VALUE:
        return read_value(reader);
    case VALUE_OR_END:
        return peek(reader) == ']' ? close_container(reader) : read_value(reader);
    case KEY_OR_END:
        return peek(reader) == '}' ? close_container(reader) : read_key(reader);
    case COMMA_OR_END:
        return read_comma_or_end(reader);
    default:
        assert(reader->state == DONE);
        if (reader->pos < reader->in.len)
            return fail(reader, reader->pos, "expected nothing behind the value");
        take(reader, 0);
        return KB_JSON_END;
    }
}

kb_json_type kb_json_value(kb_json_reader *reader, kc_bytes *raw_out)
{
    kb_json_type type = kb_json_next(reader);
    if (type == KB_JSON_OBJECT || type == KB_JSON_ARRAY) {
        const uint8_t *start = reader->raw.ptr;
        uint32_t depth = reader->depth;
        while (reader->depth >= depth && kb_json_next(reader) != KB_JSON_ERROR)
            ;
        if (reader->state == FAILED)
            type = KB_JSON_ERROR;
        else
            reader->raw = kc_span(start, (size_t)(reader->in.ptr + reader->pos - start));
    }
    if (raw_out)
        *raw_out = reader->raw;
    return type;
}

/* Contents of string tokens */

/** Walks over the contents of a string token: runs of the source, and one character for each
 * escape. */
typedef struct string_iter {
    const uint8_t *pos;
    const uint8_t *end;
    uint8_t utf8[4];
} string_iter;

static string_iter string_begin(kc_bytes raw)
{
    assert(raw.len >= 2 && raw.ptr[0] == '"');
    return (string_iter){.pos = raw.ptr + 1, .end = raw.ptr + raw.len - 1};
}

/** The next piece, valid until the next call; false at the end. */
static bool string_next(string_iter *iter, kc_bytes *piece)
{
    if (iter->pos >= iter->end)
        return false;
    size_t left = (size_t)(iter->end - iter->pos);
    if (*iter->pos != '\\') {
        const uint8_t *escape = memchr(iter->pos, '\\', left);
        *piece = kc_span(iter->pos, escape ? (size_t)(escape - iter->pos) : left);
        iter->pos += piece->len;
        return true;
    }
    uint32_t code = 0;
    const char *reason;
    size_t size = read_escape(iter->pos, left, &code, &reason);
    assert(size > 0); // the reader checked it
    iter->pos += size;
    *piece = kc_span(iter->utf8, kb_utf8_put(iter->utf8, code));
    return size > 0;
}

bool kb_json_unescape(kc_bytes raw, kb_arena *arena, kc_bytes *out)
{
    string_iter iter = string_begin(raw);
    size_t len = raw.len - 2;
    if (len == 0 || !memchr(iter.pos, '\\', len)) {
        *out = kc_span(iter.pos, len);
        return true;
    }
    uint8_t *text = kb_arena_alloc(arena, len); // an escape is longer than its character
    if (!text)
        return false;
    *out = kc_span(text, 0);
    for (kc_bytes piece; string_next(&iter, &piece); out->len += piece.len)
        memcpy(text + out->len, piece.ptr, piece.len);
    return true;
}

bool kb_json_string_is(kc_bytes raw, kc_bytes text)
{
    if (!text.ptr)
        return false;
    string_iter iter = string_begin(raw);
    for (kc_bytes piece; string_next(&iter, &piece);) {
        if (!kb_text_starts(text, piece))
            return false;
        text = kc_span(text.ptr + piece.len, text.len - piece.len);
    }
    return text.len == 0;
}

bool kb_json_i64(kc_bytes raw, int64_t *out)
{
    return kb_parse_i64(raw, out);
}

bool kb_json_u64(kc_bytes raw, uint64_t *out)
{
    return kb_parse_u64(raw, out);
}

bool kb_json_f64(kc_bytes raw, double *out)
{
    return kb_parse_f64(raw, out);
}

/* Whole-text check. Names of all open objects stand on one stack; an object's end sorts its own by
 * hash and looks at neighbours: n log n whatever the names are, as the hash is keyed. */

typedef struct name_ref {
    uint64_t hash;
    size_t at; /**< of its opening quote */
} name_ref;

typedef struct name_stack {
    kb_arena *arena;
    kc_bytes in;
    name_ref *items;
    size_t count;
    size_t cap;
    size_t start[KB_JSON_DEPTH_MAX]; /**< where the names of the object at this depth begin */
    name_ref few[32];                /**< enough for most texts, without the arena          */
} name_stack;

#define NO_DUPLICATE SIZE_MAX

static bool push_name(name_stack *names, const kb_json_reader *reader)
{
    if (names->count == names->cap) {
        size_t cap = names->cap * 2;
        name_ref *items = kb_arena_alloc(names->arena, cap * sizeof *items);
        if (!items)
            return false;
        memcpy(items, names->items, names->count * sizeof *items);
        names->items = items;
        names->cap = cap;
    }
    kc_bytes name = KC_NULL;
    if (!kb_json_unescape(reader->raw, names->arena, &name))
        return false;
    size_t at = (size_t)(reader->raw.ptr - names->in.ptr);
    names->items[names->count++] = (name_ref){.hash = kb_hash(name), .at = at};
    return true;
}

static bool is_before(const name_ref *a, const name_ref *b)
{
    return a->hash != b->hash ? a->hash < b->hash : a->at < b->at;
}

static void sift_down(name_ref *items, size_t root, size_t count)
{
    name_ref moving = items[root];
    for (size_t child; (child = root * 2 + 1) < count; root = child) {
        if (child + 1 < count && is_before(&items[child], &items[child + 1]))
            child++;
        if (!is_before(&moving, &items[child]))
            break;
        items[root] = items[child];
    }
    items[root] = moving;
}

/** Heapsort: in place, no bad input, no stack; the C library's qsort may call malloc. */
static void sort_names(name_ref *items, size_t count)
{
    for (size_t i = count / 2; i > 0; i--)
        sift_down(items, i - 1, count);
    for (size_t end = count; end > 1; end--) {
        name_ref last = items[end - 1];
        items[end - 1] = items[0];
        items[0] = last;
        sift_down(items, 0, end - 1);
    }
}

static kc_bytes name_raw(const name_stack *names, const name_ref *name)
{
    kb_json_reader reader;
    kb_json_reader_init(&reader, kc_span(names->in.ptr + name->at, names->in.len - name->at));
    kb_json_next(&reader);
    return reader.raw;
}

/** Do two different spellings give the same name? */
static bool is_same_name(kc_bytes a, kc_bytes b)
{
    string_iter iter_a = string_begin(a);
    string_iter iter_b = string_begin(b);
    kc_bytes left_a = KC_NULL;
    kc_bytes left_b = KC_NULL;
    for (;;) {
        bool has_a = left_a.len > 0 || string_next(&iter_a, &left_a);
        bool has_b = left_b.len > 0 || string_next(&iter_b, &left_b);
        if (!has_a || !has_b)
            return has_a == has_b;
        size_t len = left_a.len < left_b.len ? left_a.len : left_b.len;
        if (memcmp(left_a.ptr, left_b.ptr, len) != 0)
            return false;
        left_a = kc_span(left_a.ptr + len, left_a.len - len);
        left_b = kc_span(left_b.ptr + len, left_b.len - len);
    }
}

/** Place of the first name that repeats one before it in the object that ends at `depth`; its names
 * go. */
static size_t pop_names(name_stack *names, uint32_t depth)
{
    name_ref *items = names->items + names->start[depth];
    size_t count = names->count - names->start[depth];
    names->count = names->start[depth];
    sort_names(items, count);
    size_t at = NO_DUPLICATE;
    for (size_t i = 1; i < count; i++) {
        if (items[i].hash != items[i - 1].hash || items[i].at >= at)
            continue;
        if (is_same_name(name_raw(names, &items[i - 1]), name_raw(names, &items[i])))
            at = items[i].at;
    }
    return at;
}

/** Keep count of names for one token. */
static kc_err check_names(name_stack *names, const kb_json_reader *reader, kb_json_type type,
                          kc_error *err)
{
    if (type == KB_JSON_OBJECT)
        names->start[reader->depth - 1] = names->count;
    else if (type == KB_JSON_KEY && !push_name(names, reader))
        return kb_error_code(err, KC_ERR_NOMEM);
    if (type != KB_JSON_OBJECT_END)
        return KC_OK;
    size_t at = pop_names(names, reader->depth);
    if (at == NO_DUPLICATE)
        return KC_OK;
    return kb_error_set(err, KC_ERR_MALFORMED, "invalid JSON: member named twice at byte %zu", at);
}

kc_err kb_json_check(kc_bytes in, bool unique_names, kb_arena *scratch, kc_error *err)
{
    name_stack names;
    kb_json_reader reader;
    kb_json_reader_init(&reader, in);
    names.arena = scratch;
    names.in = reader.in;
    names.items = names.few;
    names.count = 0;
    names.cap = sizeof names.few / sizeof names.few[0];
    for (;;) {
        kb_json_type type = kb_json_next(&reader);
        if (type == KB_JSON_END)
            return KC_OK;
        if (type == KB_JSON_ERROR)
            return kb_error_set(err, KC_ERR_MALFORMED, "invalid JSON: %s at byte %zu",
                                reader.reason, reader.at);
        if (unique_names)
            KB_TRY(check_names(&names, &reader, type, err));
    }
}

/* JSON pointer (RFC 6901) */

/** The next character of a pointer's reference token, ~0 and ~1 undone; -1: at the end, or no
 * pointer. */
static int take_token_byte(kc_bytes *token)
{
    if (token->len == 0)
        return -1;
    uint8_t byte = token->ptr[0];
    size_t size = 1;
    if (byte == '~') {
        if (token->len < 2 || (token->ptr[1] != '0' && token->ptr[1] != '1'))
            return -1;
        byte = token->ptr[1] == '0' ? '~' : '/';
        size = 2;
    }
    *token = kc_span(token->ptr + size, token->len - size);
    return byte;
}

static bool name_is_token(kc_bytes raw, kc_bytes token)
{
    if (!memchr(token.ptr, '~', token.len))
        return kb_json_string_is(raw, token);
    string_iter iter = string_begin(raw);
    for (kc_bytes piece; string_next(&iter, &piece);) {
        for (size_t i = 0; i < piece.len; i++) {
            if (take_token_byte(&token) != piece.ptr[i])
                return false;
        }
    }
    return token.len == 0;
}

/** Stand before the value of the member; false: there is none. */
static bool find_member(kb_json_reader *reader, kc_bytes token)
{
    while (kb_json_next(reader) == KB_JSON_KEY) {
        if (name_is_token(reader->raw, token))
            return true;
        if (kb_json_value(reader, NULL) == KB_JSON_ERROR)
            return false;
    }
    return false;
}

/** Stand before the item, or behind the last if there are fewer. */
static bool find_item(kb_json_reader *reader, kc_bytes token)
{
    uint64_t index;
    bool has_leading_zero = token.len > 1 && token.ptr[0] == '0';
    if (has_leading_zero || !kb_parse_u64(token, &index))
        return false;
    for (; index > 0; index--) {
        kb_json_type type = kb_json_value(reader, NULL);
        if (type == KB_JSON_ARRAY_END || type == KB_JSON_ERROR)
            return false;
    }
    return true;
}

kc_bytes kb_json_pointer(kc_bytes doc, const char *pointer)
{
    kb_json_reader reader;
    kb_json_reader_init(&reader, doc);
    while (*pointer == '/') {
        kc_bytes token = kc_span(pointer + 1, strcspn(pointer + 1, "/"));
        kb_json_type type = kb_json_next(&reader);
        bool is_found = (type == KB_JSON_OBJECT && find_member(&reader, token)) ||
                        (type == KB_JSON_ARRAY && find_item(&reader, token));
        if (!is_found)
            return KC_NULL;
        pointer += 1 + token.len;
    }
    kc_bytes raw;
    kb_json_type type = *pointer == 0 ? kb_json_value(&reader, &raw) : KB_JSON_ERROR;
    bool is_value = type != KB_JSON_ERROR && type != KB_JSON_ARRAY_END;
    return is_value ? raw : KC_NULL;
}

kc_bytes kb_json_pointer_text(kc_bytes doc, const char *pointer, kb_arena *arena)
{
    kc_bytes raw = kb_json_pointer(doc, pointer);
    kc_bytes text = KC_NULL;
    if (!raw.ptr || raw.ptr[0] == '{' || raw.ptr[0] == '[' || raw.ptr[0] == 'n')
        return KC_NULL;
    if (raw.ptr[0] != '"')
        return raw;
    return kb_json_unescape(raw, arena, &text) ? text : KC_NULL;
}
