/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Bytes and JSON written by the official Java classes (tests/vectors/MessageVectors.java) for every
 * API and version: both are read, and written again unchanged. */
#include "codec_fixture.h"
#include "protocol/base/text.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_BYTES 65536

typedef struct vector {
    const kp_message *message;
    int16_t version;
    kc_bytes bytes;
    kc_bytes json; /* null: none */
} vector;

static void parse_line(kc_bytes line, kb_buf *bytes, vector *out)
{
    kc_bytes kind;
    kc_bytes name;
    kc_bytes version;
    kc_bytes hex;
    int64_t number = 0;
    ck_assert(kb_text_split(&line, ' ', &kind) && kb_text_split(&line, ' ', &name));
    ck_assert(kb_text_split(&line, ' ', &version) && kb_text_split(&line, ' ', &hex));
    ck_assert(kb_parse_i64(version, &number));
    kb_buf_reset(bytes);
    ck_assert(kc_bytes_equal(hex, KC_STR("-")) || kb_hex_get(bytes, hex));
    *out = (vector){.message = kp_message_by_name(name, kind),
                    .version = (int16_t)number,
                    .bytes = kb_buf_bytes(bytes),
                    .json = kc_bytes_equal(line, KC_STR("-")) ? KC_NULL : line};
    ck_assert_ptr_nonnull(out->message);
}

static void assert_bytes_agree(fixture *f, const vector *v)
{
    message_room msg;
    assert_ok(f, v->message, v->version,
              kp_decode(v->message, v->version, v->bytes, &f->arena, &msg, &f->fault));
    assert_round_trip(f, v->message, v->version, &msg);
    if (!kc_bytes_equal(kb_buf_bytes(&f->first), v->bytes))
        ck_abort_msg("%s v%d: bytes differ from Java's", v->message->name, v->version);
}

static void assert_json_agrees(fixture *f, const vector *v)
{
    message_room msg;
    kb_json_writer writer;
    assert_ok(f, v->message, v->version,
              kp_json_read(v->message, v->version, v->json, &f->arena, &msg, &f->fault));
    assert_round_trip(f, v->message, v->version, &msg);
    if (!kc_bytes_equal(kb_buf_bytes(&f->first), v->bytes))
        ck_abort_msg("%s v%d: bytes differ after Java's JSON", v->message->name, v->version);
    kb_buf_reset(&f->second);
    kb_json_writer_init(&writer, &f->second);
    kp_json_print(v->message, v->version, &msg, &writer);
    if (!kc_bytes_equal(kb_buf_bytes(&f->second), v->json))
        ck_abort_msg("%s v%d: JSON is " KC_FMT " instead of " KC_FMT, v->message->name, v->version,
                     KC_ARG(kb_buf_bytes(&f->second)), KC_ARG(v->json));
}

/* Lines tried; each calls `check`. */
static size_t for_each_vector(fixture *f, void (*check)(fixture *, const vector *), bool with_json)
{
    FILE *file = fopen(KC_VECTORS "/messages.txt", "r");
    ck_assert_ptr_nonnull(file);
    char *line = malloc(LINE_MAX_BYTES);
    ck_assert_ptr_nonnull(line);
    kb_buf bytes;
    kb_buf_init(&bytes, &f->mem, 0);
    size_t tried = 0;
    while (fgets(line, LINE_MAX_BYTES, file)) {
        vector v;
        parse_line(kb_text_trim(kc_str(line)), &bytes, &v);
        if (with_json && !v.json.ptr)
            continue;
        check(f, &v);
        kb_arena_reset(&f->arena);
        tried++;
    }
    kb_buf_cleanup(&bytes);
    free(line);
    ck_assert_int_eq(fclose(file), 0);
    return tried;
}

START_TEST(bytes_of_the_java_classes_decode_and_encode_unchanged)
{
    fixture f;
    set_up(&f);
    ck_assert_uint_eq(for_each_vector(&f, assert_bytes_agree, false), 815);
    tear_down(&f);
}
END_TEST

START_TEST(json_of_the_java_classes_is_read_and_printed_unchanged)
{
    fixture f;
    set_up(&f);
    ck_assert_uint_gt(for_each_vector(&f, assert_json_agrees, true), 550);
    tear_down(&f);
}
END_TEST
