/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The JSON reader and writer against Jansson: random and mutated texts, the same from run to run.
 *
 * Left out of the comparison, where Jansson refuses legal JSON: integers beyond int64, reals beyond
 * double, \u0000 (in a name it can't be had at all); and where it overlooks an error: a zero byte
 * behind a number. Left out where we refuse: nesting deeper than 64. All of these have vectors of
 * their own in test_json_read. */
#include "protocol/base/json.h"
#include "protocol/base/rand.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>

static kb_mem mem;
static kb_arena arena;
static kb_buf text;
static kb_rand rng;

static void open_all(uint64_t seed)
{
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    kb_buf_init(&text, &mem, 0);
    kb_rand_init(&rng, seed);
}

static void close_all(void)
{
    kb_arena_cleanup(&arena);
    kb_buf_cleanup(&text);
    ck_assert_uint_eq(mem.used, 0);
}

static size_t below(size_t bound)
{
    return kb_rand_below(&rng, bound);
}

static void put(const char *piece)
{
    kb_buf_put_bytes(&text, kc_str(piece));
}

static void put_space(void)
{
    static const char *const spaces[] = {"", "", "", " ", "\n", "\t", "\r\n", "   "};
    put(spaces[below(8)]);
}

static void put_random_string(void)
{
    static const char *const pieces[] = {
        "a",
        "b",
        "name",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\u0041",
        "\\u00e9",
        "\\uFFFF",
        "\\u0001",
        "\\ud83d\\ude00",
        "\xC3\xA9",
        "\xE2\x82\xAC",
        "longer piece of text",
        "\xF0\x9F\x98\x80",
        "\x7f",
        "0123456789abcdef",
        "{",
        "]",
        ":",
    };
    put("\"");
    for (size_t n = below(5); n > 0; n--)
        put(pieces[below(sizeof pieces / sizeof pieces[0])]);
    put("\"");
}

static void put_random_number(void)
{
    if (below(2))
        put("-");
    if (below(4) == 0)
        put("0");
    else
        kb_buf_printf(&text, "%llu", (unsigned long long)(kb_rand_u64(&rng) >> (1 + below(63))));
    if (below(3) == 0)
        kb_buf_printf(&text, ".%0*llu", (int)below(10) + 1, (unsigned long long)below(1000));
    if (below(4) == 0)
        kb_buf_printf(&text, "%s%s%zu", below(2) ? "e" : "E",
                      (const char *const[]){"", "+", "-"}[below(3)], below(200));
}

static void put_random_value(int depth)
{
    static const char *const words[] = {"true", "false", "null", "[]", "{}"};
    size_t kind = below(depth > 0 ? 8 : 5);
    put_space();
    if (kind < 2) {
        put_random_string();
    } else if (kind < 4) {
        put_random_number();
    } else if (kind == 4) {
        put(words[below(5)]);
    } else {
        bool is_object = kind > 5;
        put(is_object ? "{" : "[");
        for (size_t i = 0, n = below(5); i < n; i++) {
            if (i > 0)
                put(",");
            if (is_object) {
                put_space();
                put_random_string();
                put_space();
                put(":");
            }
            put_random_value(depth - 1);
        }
        put_space();
        put(is_object ? "}" : "]");
    }
    put_space();
}

static void mutate(void)
{
    static const char *const pieces[] = {
        "\"",   "\\",     ",",        ":",
        "[",    "]",      "{",        "}",
        "0",    "1",      "-",        ".",
        "e",    "u",      "\\ud800",  "\\udc00",
        "\xFF", "\xC3",   "\xE2\x82", "\xED\xA0\x80",
        " ",    "\n",     "\x01",     "true",
        "nul",  "\"a\":", "//",       "\xEF\xBB\xBF",
        "01",   "+",
    };
    const char *piece = pieces[below(sizeof pieces / sizeof pieces[0])];
    size_t len = strlen(piece);
    size_t at = below(text.len + 1);
    size_t left = text.len - at;
    switch (below(4)) {
    case 0: // insert
        kb_buf_extend(&text, len);
        memmove(text.data + at + len, text.data + at, left);
        memcpy(text.data + at, piece, len);
        break;
    case 1: // take out
        if (left > 0) {
            size_t gone = 1 + below(left < 4 ? left : 4);
            memmove(text.data + at, text.data + at + gone, left - gone);
            text.len -= gone;
        }
        break;
    case 2: // overwrite
        if (left >= len)
            memcpy(text.data + at, piece, len);
        break;
    default: // flip a bit
        if (left > 0)
            text.data[at] ^= (uint8_t)(1u << below(8));
    }
}

/** Does the text hold what the two have different rules for? `text` is valid to us. */
static bool is_excluded(kc_bytes doc)
{
    kb_json_reader reader;
    kb_json_reader_init(&reader, doc);
    for (;;) {
        int64_t integer;
        double real;
        kb_json_type type = kb_json_next(&reader);
        if (type == KB_JSON_END || type == KB_JSON_ERROR)
            return false;
        if (type == KB_JSON_NUMBER) {
            bool is_integer = true;
            for (size_t i = 0; i < reader.raw.len; i++)
                is_integer = is_integer && !strchr(".eE", reader.raw.ptr[i]);
            if (is_integer ? !kb_json_i64(reader.raw, &integer) : !kb_json_f64(reader.raw, &real))
                return true;
        } else if ((type == KB_JSON_STRING || type == KB_JSON_KEY) && reader.has_escape) {
            kc_bytes out;
            ck_assert(kb_json_unescape(reader.raw, &arena, &out));
            if (memchr(out.ptr, 0, out.len))
                return true;
        }
    }
}

/** Compare the verdicts; returns ours. */
static bool compare(bool unique_names)
{
    kc_error err;
    json_error_t json_err;
    kc_bytes doc = kb_buf_bytes(&text);
    if (memchr(doc.ptr, 0, doc.len))
        return false;
    bool ours = kb_json_check(doc, unique_names, &arena, &err) == KC_OK;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *root = json_loadb((const char *)doc.ptr, doc.len,
                              flags | (unique_names ? JSON_REJECT_DUPLICATES : 0), &json_err);
    bool theirs = root != NULL;
    json_decref(root);
    if (ours != theirs && !(ours && is_excluded(doc)))
        ck_abort_msg("ours: %s; Jansson: %s; text: " KC_FMT, ours ? "good" : err.text,
                     theirs ? "good" : json_err.text, KC_ARG(doc));
    kb_arena_reset(&arena);
    return ours;
}

START_TEST(random_json_is_accepted_by_both)
{
    open_all(1);
    for (int i = 0; i < 20000; i++) {
        kb_buf_reset(&text);
        put_random_value(5);
        ck_assert(compare(false));
    }
    close_all();
}
END_TEST

START_TEST(mutated_json_is_judged_alike)
{
    open_all(2);
    int accepted = 0;
    int refused = 0;
    for (int i = 0; i < 60000; i++) {
        kb_buf_reset(&text);
        put_random_value(4);
        for (size_t n = 1 + below(3); n > 0; n--)
            mutate();
        *(compare(false) ? &accepted : &refused) += 1;
    }
    ck_assert_int_gt(accepted, 5000); // or the mutations would say nothing
    ck_assert_int_gt(refused, 20000);
    close_all();
}
END_TEST

START_TEST(repeated_names_are_judged_alike)
{
    open_all(3);
    int refused = 0;
    for (int i = 0; i < 20000; i++) {
        kb_buf_reset(&text);
        put_random_value(4);
        refused += !compare(true);
    }
    ck_assert_int_gt(refused, 500);
    close_all();
}
END_TEST

/** The same value written by our writer, driven by our reader. */
static void rewrite(kb_json_reader *reader, kb_json_writer *out)
{
    for (;;) {
        kb_json_type type = kb_json_next(reader);
        kc_bytes string = KC_NULL;
        int64_t integer;
        double real;
        if (type == KB_JSON_STRING || type == KB_JSON_KEY)
            ck_assert(kb_json_unescape(reader->raw, &arena, &string));
        switch (type) {
        case KB_JSON_OBJECT:
            kb_json_object(out);
            break;
        case KB_JSON_OBJECT_END:
            kb_json_object_end(out);
            break;
        case KB_JSON_ARRAY:
            kb_json_array(out);
            break;
        case KB_JSON_ARRAY_END:
            kb_json_array_end(out);
            break;
        case KB_JSON_KEY:
            kb_json_key(out, string);
            break;
        case KB_JSON_STRING:
            kb_json_string(out, string);
            break;
        case KB_JSON_NUMBER:
            if (kb_json_i64(reader->raw, &integer))
                kb_json_int(out, integer);
            else if (kb_json_f64(reader->raw, &real))
                kb_json_double(out, real);
            break;
        case KB_JSON_NULL:
            kb_json_null(out);
            break;
        case KB_JSON_TRUE:
        case KB_JSON_FALSE:
            kb_json_bool(out, type == KB_JSON_TRUE);
            break;
        default:
            ck_assert_int_eq(type, KB_JSON_END);
            return;
        }
    }
}

START_TEST(what_our_writer_makes_is_the_same_value_to_jansson)
{
    open_all(4);
    kb_buf again;
    kb_buf_init(&again, &mem, 0);
    int compared = 0;
    for (int i = 0; i < 10000; i++) {
        kb_buf_reset(&text);
        kb_buf_reset(&again);
        put_random_value(5);
        kc_bytes doc = kb_buf_bytes(&text);
        if (!is_excluded(doc)) {
            kb_json_reader reader;
            kb_json_writer out;
            kb_json_reader_init(&reader, doc);
            kb_json_writer_init(&out, &again);
            rewrite(&reader, &out);
            size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
            json_t *first = json_loadb((const char *)doc.ptr, doc.len, flags, NULL);
            json_t *second = json_loadb((const char *)again.data, again.len, flags, NULL);
            ck_assert_msg(first && second && json_equal(first, second), KC_FMT " became " KC_FMT,
                          KC_ARG(doc), KC_ARG(kb_buf_bytes(&again)));
            json_decref(first);
            json_decref(second);
            compared++;
        }
        kb_arena_reset(&arena);
    }
    ck_assert_int_gt(compared, 5000);
    kb_buf_cleanup(&again);
    close_all();
}
END_TEST
