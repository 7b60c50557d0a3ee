/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The JSON reader: what it accepts it reads the same a second time, and strings unescape to valid UTF-8. */
#include "fuzz/fuzz.h"
#include "protocol/base/json.h"
#include "protocol/base/text.h"

static size_t walk(kc_bytes text, kb_arena *arena)
{
    kb_json_reader reader;
    kb_json_reader_init(&reader, text);
    size_t tokens = 0;
    kb_json_type type;
    while ((type = kb_json_next(&reader)) != KB_JSON_END && type != KB_JSON_ERROR) {
        kc_bytes plain;
        tokens++;
        if ((type == KB_JSON_STRING || type == KB_JSON_KEY) &&
            kb_json_unescape(reader.raw, arena, &plain))
            FUZZ_CHECK(kb_utf8_is_valid(plain));
    }
    return type == KB_JSON_END ? tokens : SIZE_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kb_mem mem;
    kb_arena arena;
    kb_mem_init(&mem, NULL, FUZZ_BYTES_MAX);
    kb_arena_init(&arena, &mem, 0);
    kc_bytes text = kc_span(data, size);
    bool is_valid = kb_json_check(text, false, &arena, NULL) == KC_OK;
    FUZZ_CHECK(is_valid == (walk(text, &arena) != SIZE_MAX));
    if (kb_json_check(text, true, &arena, NULL) == KC_OK)
        FUZZ_CHECK(is_valid);
    kb_arena_cleanup(&arena);
    FUZZ_CHECK(mem.used == 0);
    return 0;
}

static void put_value(kb_rand *rand, kb_json_writer *writer, int depth)
{
    static const char *const names[] = {"a", "type", "\xc3\xa4", "\"\\\n", ""};
    uint64_t count = kb_rand_below(rand, 4);
    switch (kb_rand_below(rand, depth > 0 ? 7 : 5)) {
    case 0:
        kb_json_int(writer, (int64_t)kb_rand_u64(rand));
        return;
    case 1:
        kb_json_double(writer, kb_rand_unit(rand) * 1e6);
        return;
    case 2:
        kb_json_str(writer, names[kb_rand_below(rand, 5)]);
        return;
    case 3:
        kb_json_null(writer);
        return;
    case 4:
        kb_json_bool(writer, true);
        return;
    case 5:
        kb_json_array(writer);
        while (count-- > 0)
            put_value(rand, writer, depth - 1);
        kb_json_array_end(writer);
        return;
    default:
        kb_json_object(writer);
        while (count-- > 0) {
            kb_json_key_str(writer, names[kb_rand_below(rand, 5)]);
            put_value(rand, writer, depth - 1);
        }
        kb_json_object_end(writer);
    }
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    kb_json_writer writer;
    kb_json_writer_init(&writer, out);
    put_value(rand, &writer, 4);
}
