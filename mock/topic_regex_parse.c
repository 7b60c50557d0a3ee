/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Compiling a pattern. Each piece of the pattern becomes a piece of steps whose jumps are relative, so a repetition
 * copies it, and what has to stand before it is put in before it. The first error ends it. */
#include "mock/topic_regex_core.h"

#include <stdio.h>

#define FOREVER (-1)

typedef struct parser {
    km_regex *regex;
    size_t cap;
    kc_bytes rest;
    int depth;
    bool ignores_case;
    const char *reason; /**< NULL: no error so far */
    bool is_nomem;
} parser;

static void fail(parser *p, const char *reason)
{
    if (!p->reason)
        p->reason = reason;
    p->rest.len = 0;
}

static bool is_at(const parser *p, const char *text)
{
    size_t len = strlen(text);
    return p->rest.len >= len && memcmp(p->rest.ptr, text, len) == 0;
}

static void skip(parser *p, size_t len)
{
    p->rest.ptr += len;
    p->rest.len -= len;
}

static bool take(parser *p, const char *text)
{
    if (!is_at(p, text))
        return false;
    skip(p, strlen(text));
    return true;
}

/* ---- steps ---- */

/** Room for `count` more at `at`; NULL: the error is noted. */
static km_regex_step *insert(parser *p, size_t at, size_t count)
{
    km_regex *regex = p->regex;
    if (p->reason)
        return NULL;
    if (regex->step_count + count > KM_REGEX_STEPS_MAX) {
        fail(p, "expression too large");
        return NULL;
    }
    if (regex->step_count + count > p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 32;
        cap = cap < regex->step_count + count ? regex->step_count + count : cap;
        km_regex_step *steps = kb_mem_realloc(regex->mem, regex->steps, cap * sizeof *steps);
        if (!steps) {
            p->is_nomem = true;
            fail(p, "out of memory");
            return NULL;
        }
        regex->steps = steps;
        p->cap = cap;
    }
    km_regex_step *place = regex->steps + at;
    memmove(place + count, place, (regex->step_count - at) * sizeof *place);
    memset(place, 0, count * sizeof *place);
    regex->step_count += count;
    return place;
}

static void put(parser *p, size_t at, km_step_op op, ptrdiff_t other)
{
    km_regex_step *step = insert(p, at, 1);
    if (step) {
        step->op = op;
        step->other = (int32_t)other;
    }
}

static void append(parser *p, km_step_op op, ptrdiff_t other)
{
    put(p, p->regex->step_count, op, other);
}

static void append_copy(parser *p, size_t from, size_t count)
{
    km_regex_step *place = insert(p, p->regex->step_count, count);
    if (place && count > 0)
        memcpy(place, p->regex->steps + from, count * sizeof *place);
}

/* ---- sets of bytes ---- */

static void set_range(uint8_t *bytes, unsigned low, unsigned high)
{
    for (unsigned c = low; c <= high; c++)
        bytes[c / 8] = (uint8_t)(bytes[c / 8] | 1u << c % 8);
}

static void set_other_case(uint8_t *bytes)
{
    for (unsigned c = 'a'; c <= 'z'; c++) {
        unsigned upper = c - 'a' + 'A';
        if ((bytes[c / 8] & 1u << c % 8) || (bytes[upper / 8] & 1u << upper % 8)) {
            set_range(bytes, c, c);
            set_range(bytes, upper, upper);
        }
    }
}

static void append_bytes(parser *p, const uint8_t *bytes)
{
    size_t at = p->regex->step_count;
    append(p, KM_STEP_BYTES, 0);
    if (p->reason)
        return;
    memcpy(p->regex->steps[at].bytes, bytes, 32);
    if (p->ignores_case)
        set_other_case(p->regex->steps[at].bytes);
}

static void append_byte(parser *p, uint8_t c)
{
    uint8_t bytes[32] = {0};
    set_range(bytes, c, c);
    append_bytes(p, bytes);
}

static const struct {
    const char *name;
    const char *ranges; /**< pairs */
} classes[] = {
    {"alnum", "09AZaz"},
    {"alpha", "AZaz"},
    {"ascii", "\x01\x7f"},
    {"blank", "\t\t  "},
    {"cntrl", "\x01\x1f\x7f\x7f"},
    {"digit", "09"},
    {"graph", "!~"},
    {"lower", "az"},
    {"print", " ~"},
    {"punct", "!/:@[`{~"},
    {"space", "\t\r  "},
    {"upper", "AZ"},
    {"word", "09AZaz__"},
    {"xdigit", "09AFaf"},
    {"d", "09"},
    {"s", "\t\n\f\r  "},
    {"w", "09AZaz__"},
};

/** False: no such class. A capital letter as in \D turns a class of one letter around. */
static bool set_class(uint8_t *bytes, kc_bytes name, bool is_negative)
{
    uint8_t found[32] = {0};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (!kc_bytes_equal(name, kc_str(classes[i].name)))
            continue;
        for (const char *range = classes[i].ranges; *range; range += 2)
            set_range(found, (uint8_t)range[0], (uint8_t)range[1]);
        for (size_t j = 0; j < sizeof found; j++)
            bytes[j] = (uint8_t)(bytes[j] | (is_negative ? ~found[j] : found[j]));
        return true;
    }
    return false;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** Behind "\x": two digits, or any number in braces. */
static uint8_t take_hex(parser *p)
{
    unsigned value = 0;
    size_t digits = 0;
    bool is_braced = take(p, "{");
    while (p->rest.len > 0 && hex_digit(p->rest.ptr[0]) >= 0 && (is_braced || digits < 2)) {
        value = (value << 4 | (unsigned)hex_digit(p->rest.ptr[0])) & 0xfffff;
        digits++;
        skip(p, 1);
    }
    bool is_whole = is_braced ? digits > 0 && take(p, "}") : digits == 2;
    if (!is_whole || value > 0x7f) {
        fail(p, "invalid escape sequence");
        return 0;
    }
    return (uint8_t)value;
}

/** The byte behind a backslash that stands for one byte. */
static uint8_t take_escaped(parser *p)
{
    if (p->rest.len == 0) {
        fail(p, "trailing backslash at end of expression");
        return 0;
    }
    static const char letters[] = "tnrfva";
    static const uint8_t meant[] = {'\t', '\n', '\r', '\f', '\v', '\a'};
    uint8_t c = p->rest.ptr[0];
    skip(p, 1);
    const char *letter = c ? strchr(letters, c) : NULL;
    if (letter)
        return meant[letter - letters];
    if (c == 'x')
        return take_hex(p);
    if (c >= 0x80 || (unsigned)(c | 0x20) - 'a' < 26u || (c >= '0' && c <= '9') || c == 0)
        fail(p, "invalid escape sequence");
    return c;
}

/** \d, \W and the like at the front; false: something else. */
static bool take_class(parser *p, uint8_t *bytes)
{
    if (p->rest.len < 2 || p->rest.ptr[0] != '\\')
        return false;
    uint8_t lower = (uint8_t)(p->rest.ptr[1] | 0x20);
    if (lower != 'd' && lower != 's' && lower != 'w')
        return false;
    set_class(bytes, kc_span(&lower, 1), p->rest.ptr[1] != lower);
    skip(p, 2);
    return true;
}

/** [:alpha:] inside brackets; false: something else. */
static bool take_named_class(parser *p, uint8_t *bytes)
{
    if (!is_at(p, "[:"))
        return false;
    for (size_t len = 2; len + 1 < p->rest.len; len++) {
        if (p->rest.ptr[len] != ':' || p->rest.ptr[len + 1] != ']')
            continue;
        kc_bytes name = kc_span(p->rest.ptr + 2, len - 2);
        bool is_negative = name.len > 0 && name.ptr[0] == '^';
        if (is_negative)
            name = kc_span(name.ptr + 1, name.len - 1);
        if (name.len < 2 || !set_class(bytes, name, is_negative))
            fail(p, "invalid character class range");
        else
            skip(p, len + 2);
        return true;
    }
    return false;
}

static uint8_t take_bracket_byte(parser *p)
{
    if (take(p, "\\"))
        return take_escaped(p);
    if (p->rest.len == 0) {
        fail(p, "missing closing ]");
        return 0;
    }
    uint8_t c = p->rest.ptr[0];
    skip(p, 1);
    return c;
}

/** Behind "[". */
static void parse_brackets(parser *p)
{
    uint8_t bytes[32] = {0};
    bool is_negative = take(p, "^");
    for (bool is_first = true; is_first || !is_at(p, "]"); is_first = false) {
        if (p->rest.len == 0) {
            fail(p, "missing closing ]");
            return;
        }
        if (take_class(p, bytes) || take_named_class(p, bytes))
            continue;
        uint8_t low = take_bracket_byte(p);
        uint8_t high = low;
        if (is_at(p, "-") && p->rest.len > 1 && p->rest.ptr[1] != ']') {
            skip(p, 1);
            high = take_bracket_byte(p);
        }
        if (high < low)
            fail(p, "invalid character class range");
        set_range(bytes, low, high);
    }
    take(p, "]");
    if (p->ignores_case)
        set_other_case(bytes);
    for (size_t i = 0; is_negative && i < sizeof bytes; i++)
        bytes[i] = (uint8_t)~bytes[i];
    append_bytes(p, bytes);
}

/* ---- the grammar ---- */

static void parse_choice(parser *p);

/** Behind "(?": flags, then ':' (a group follows: true) or ')' (for the rest of this group). */
static bool parse_flags(parser *p)
{
    bool is_on = true;
    bool ignores_case = p->ignores_case;
    while (p->rest.len > 0) {
        uint8_t c = p->rest.ptr[0];
        skip(p, 1);
        if (c == 'i')
            ignores_case = is_on;
        else if (c == '-')
            is_on = false;
        else if (c == ':' || c == ')') {
            p->ignores_case = ignores_case;
            return c == ':';
        } else if (c != 'm' && c != 's' && c != 'U')
            break;
    }
    fail(p, "invalid or unsupported Perl syntax");
    return false;
}

/** Behind "(". */
static void parse_group(parser *p)
{
    bool outer = p->ignores_case;
    if (++p->depth > KM_REGEX_DEPTH_MAX) {
        fail(p, "expression nests too deeply");
        return;
    }
    if (take(p, "?P<") ||
        (is_at(p, "?<") && !is_at(p, "?<=") && !is_at(p, "?<!") && take(p, "?<"))) {
        size_t len = 0;
        while (len < p->rest.len && p->rest.ptr[len] != '>')
            len++;
        if (len == 0 || len == p->rest.len) {
            fail(p, "invalid named capture");
            return;
        }
        skip(p, len + 1);
    } else if (take(p, "?") && !parse_flags(p)) {
        p->depth--;
        return;
    }
    parse_choice(p);
    if (!take(p, ")"))
        fail(p, "missing closing )");
    p->ignores_case = outer;
    p->depth--;
}

/** Behind "\". */
static void parse_escape(parser *p)
{
    if (take(p, "b"))
        append(p, KM_STEP_BOUNDARY, 0);
    else if (take(p, "B"))
        append(p, KM_STEP_NO_BOUNDARY, 0);
    else if (take(p, "A"))
        append(p, KM_STEP_BEGIN, 0);
    else if (take(p, "z"))
        append(p, KM_STEP_END, 0);
    else
        append_byte(p, take_escaped(p));
}

static void parse_atom(parser *p)
{
    uint8_t bytes[32] = {0};
    if (take(p, "("))
        parse_group(p);
    else if (take(p, "["))
        parse_brackets(p);
    else if (take(p, "^"))
        append(p, KM_STEP_BEGIN, 0);
    else if (take(p, "$"))
        append(p, KM_STEP_END, 0);
    else if (take(p, ".")) {
        memset(bytes, 0xff, sizeof bytes);
        append_bytes(p, bytes);
    } else if (take_class(p, bytes))
        append_bytes(p, bytes);
    else if (take(p, "\\"))
        parse_escape(p);
    else {
        append_byte(p, p->rest.ptr[0]);
        if (p->rest.len > 0)
            skip(p, 1);
    }
}

static bool take_number(kc_bytes *rest, int *value)
{
    size_t digits = 0;
    *value = 0;
    for (; rest->len > 0 && rest->ptr[0] >= '0' && rest->ptr[0] <= '9'; digits++) {
        if (*value <= KM_REGEX_REPEAT_MAX)
            *value = *value * 10 + (rest->ptr[0] - '0');
        *rest = kc_span(rest->ptr + 1, rest->len - 1);
    }
    return digits > 0;
}

/** "{2}", "{2,}", "{2,3}" at the front; false: what is there is plain text. */
static bool take_braces(parser *p, int *least, int *most)
{
    if (!is_at(p, "{"))
        return false;
    kc_bytes rest = kc_span(p->rest.ptr + 1, p->rest.len - 1);
    if (!take_number(&rest, least))
        return false;
    *most = *least;
    if (rest.len > 0 && rest.ptr[0] == ',') {
        rest = kc_span(rest.ptr + 1, rest.len - 1);
        if (!take_number(&rest, most))
            *most = FOREVER;
    }
    if (rest.len == 0 || rest.ptr[0] != '}')
        return false;
    p->rest = kc_span(rest.ptr + 1, rest.len - 1);
    if (*least > KM_REGEX_REPEAT_MAX || *most > KM_REGEX_REPEAT_MAX ||
        (*most != FOREVER && *most < *least))
        fail(p, "invalid repeat count");
    return true;
}

/** How often what stands before may stand; false: nothing of the kind follows. */
static bool take_repetition(parser *p, int *least, int *most)
{
    *least = 0;
    *most = FOREVER;
    bool is_there = true;
    if (take(p, "+"))
        *least = 1;
    else if (take(p, "?"))
        *most = 1;
    else if (!take(p, "*"))
        is_there = take_braces(p, least, most);
    if (is_there)
        take(p, "?"); // reluctant: of no matter to whether it matches
    return is_there;
}

/** The piece from `start` on, `least` to `most` times. */
static void repeat(parser *p, size_t start, int least, int most)
{
    size_t len = p->regex->step_count - start;
    ptrdiff_t back = (ptrdiff_t)len;
    for (int i = 1; i < least; i++)
        append_copy(p, start, len);
    if (most == FOREVER && least > 0) {
        append(p, KM_STEP_SPLIT, -back);
    } else if (most == FOREVER) {
        put(p, start, KM_STEP_SPLIT, back + 2);
        append(p, KM_STEP_JUMP, -back - 1);
    } else if (most == 0 && !p->reason) {
        p->regex->step_count = start;
    } else if (least == 0) {
        put(p, start, KM_STEP_SPLIT, back + 1);
        for (int i = 1; i < most; i++)
            append_copy(p, start, len + 1);
    } else {
        for (int i = least; i < most; i++) {
            append(p, KM_STEP_SPLIT, back + 1);
            append_copy(p, start, len);
        }
    }
}

/** Behind "\Q": plain text up to "\E". */
static void parse_quoted(parser *p)
{
    while (p->rest.len > 0 && !take(p, "\\E")) {
        append_byte(p, p->rest.ptr[0]);
        if (p->rest.len > 0)
            skip(p, 1);
    }
}

static void parse_repeated(parser *p)
{
    int least;
    int most;
    size_t start = p->regex->step_count;
    if (take_repetition(p, &least, &most)) {
        fail(p, "missing argument to repetition operator");
        return;
    }
    if (take(p, "\\Q")) {
        parse_quoted(p);
        if (p->reason || p->regex->step_count == start)
            return;
        start = p->regex->step_count - 1; // a repetition is of the last byte
    } else {
        parse_atom(p);
    }
    if (p->reason || !take_repetition(p, &least, &most))
        return;
    repeat(p, start, least, most);
    if (take_repetition(p, &least, &most))
        fail(p, "invalid nested repetition operator");
}

/** a|b|c becomes: split, a, jump; split, b, jump; c. The jumps go to the end, which is known last. */
static void parse_choice(parser *p)
{
    size_t last_jump = SIZE_MAX;
    for (;;) {
        size_t start = p->regex->step_count;
        while (p->rest.len > 0 && !is_at(p, "|") && !is_at(p, ")"))
            parse_repeated(p);
        if (p->reason || !take(p, "|"))
            break;
        put(p, start, KM_STEP_SPLIT, (ptrdiff_t)(p->regex->step_count - start) + 2);
        size_t jump = p->regex->step_count;
        append(p, KM_STEP_JUMP, last_jump == SIZE_MAX ? 0 : (ptrdiff_t)(jump - last_jump));
        last_jump = jump;
    }
    size_t end = p->regex->step_count;
    while (!p->reason && last_jump != SIZE_MAX) {
        km_regex_step *step = &p->regex->steps[last_jump];
        int32_t before = step->other;
        step->other = (int32_t)(end - last_jump);
        last_jump = before == 0 ? SIZE_MAX : last_jump - (size_t)before;
    }
}

kc_err km_regex_new(kb_mem *mem, kc_bytes pattern, km_regex **regex_out, const char **reason_out)
{
    km_regex *regex = kb_mem_zalloc(mem, sizeof *regex);
    if (!regex)
        return KC_ERR_NOMEM;
    regex->mem = mem;
    parser p = {.regex = regex, .rest = pattern};
    if (pattern.len > KM_REGEX_BYTES_MAX)
        fail(&p, "expression too large");
    parse_choice(&p);
    if (p.rest.len > 0)
        fail(&p, "unexpected )");
    append(&p, KM_STEP_MATCH, 0);
    if (!p.reason) {
        regex->places = kb_mem_alloc(mem, (6 * regex->step_count + 1) * sizeof *regex->places);
        p.is_nomem = !regex->places;
    }
    if (p.reason || p.is_nomem) {
        *reason_out = p.reason;
        km_regex_free(regex);
        return p.is_nomem ? KC_ERR_NOMEM : KC_ERR_ARGUMENT;
    }
    *regex_out = regex;
    return KC_OK;
}
