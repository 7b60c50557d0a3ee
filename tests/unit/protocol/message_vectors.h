/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Reads tests/vectors/messages.txt: messages of every API and version as the official Java classes
 * (tests/conformance/Messages.java) wrote them. */
#ifndef TESTS_MESSAGE_VECTORS_H
#define TESTS_MESSAGE_VECTORS_H

#include "codec_fixture.h"
#include "protocol/base/text.h"

#include <stdio.h>
#include <stdlib.h>

#define VECTOR_LINE_MAX_BYTES 65536

typedef struct vector {
    const kp_message *message;
    int16_t version;
    kc_bytes bytes;
    kc_bytes json; /* null: none */
} vector;

static inline void parse_vector(kc_bytes line, kb_buf *bytes, vector *out)
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

/* Lines tried; each calls `check`. */
static inline size_t for_each_vector(fixture *f, void (*check)(fixture *, const vector *),
                                     bool with_json)
{
    FILE *file = fopen(KC_VECTORS "/messages.txt", "r");
    ck_assert_ptr_nonnull(file);
    char *line = malloc(VECTOR_LINE_MAX_BYTES);
    ck_assert_ptr_nonnull(line);
    kb_buf bytes;
    kb_buf_init(&bytes, &f->mem, 0);
    size_t tried = 0;
    while (fgets(line, VECTOR_LINE_MAX_BYTES, file)) {
        vector v;
        parse_vector(kb_text_trim(kc_str(line)), &bytes, &v);
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

#endif
