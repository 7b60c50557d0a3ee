/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The JSON form of any message: what is read and can be encoded prints the same before and after its
 * way through bytes, and what is printed is read again as an equal message. */
#include "fuzz/any_message.h"

static void check(any_message any, const void *msg, kc_arena *arena)
{
    kc_bytes bytes;
    kc_bytes before;
    kc_bytes after;
    void *back;
    void *again;
    if (kc_message_encode(any.schema, any.version, msg, arena, &bytes, NULL) != KC_OK)
        return;
    FUZZ_CHECK(kc_message_decode(any.schema, any.version, bytes, arena, &back, NULL) == KC_OK);
    FUZZ_CHECK(kc_message_to_json(any.schema, any.version, msg, arena, &before) == KC_OK);
    FUZZ_CHECK(kc_message_to_json(any.schema, any.version, back, arena, &after) == KC_OK);
    FUZZ_CHECK(kc_bytes_equal(before, after));
    FUZZ_CHECK(kc_message_from_json(any.schema, any.version, before, arena, &again, NULL) == KC_OK);
    FUZZ_CHECK(kc_message_equal(any.schema, any.version, back, again, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < FUZZ_HEAD_BYTES)
        return 0;
    any_message any = any_message_of(data);
    kc_bytes json = kc_span(data + FUZZ_HEAD_BYTES, size - FUZZ_HEAD_BYTES);
    kc_arena *arena = fuzz_arena();
    kc_fault fault = {0};
    void *msg;
    if (kc_message_from_json(any.schema, any.version, json, arena, &msg, &fault) == KC_OK)
        check(any, msg, arena);
    else
        FUZZ_CHECK(fault.reason && fault.at <= json.len);
    kc_arena_free(arena);
    return 0;
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    kc_arena *arena = fuzz_arena();
    kc_bytes json;
    void *msg;
    any_message any = any_message_make(rand, out, arena, &msg);
    FUZZ_CHECK(kc_message_to_json(any.schema, any.version, msg, arena, &json) == KC_OK);
    kb_buf_put_bytes(out, json);
    kc_arena_free(arena);
}
