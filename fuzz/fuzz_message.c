/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Any message: what decodes must encode to bytes that decode to an equal message; tracing and plain
 * decoding agree on anything. Mutates by the schema, so that most inputs get past the first field. */
#include "fuzz/any_message.h"

/* The traced stretches follow each other. */
static void follow(const kc_wire_item *item, void *user)
{
    size_t *end = user;
    FUZZ_CHECK(item->at == *end && item->len > 0);
    *end += item->len;
}

static void check_trace(any_message any, kc_bytes in, kc_err decoded, const kc_fault *fault)
{
    kc_arena *arena = fuzz_arena();
    kc_fault traced = {0};
    size_t end = 0;
    FUZZ_CHECK(kc_message_trace(any.schema, any.version, in, arena, follow, &end, &traced) ==
               decoded);
    FUZZ_CHECK(end == (decoded == KC_OK ? in.len : fault->at));
    FUZZ_CHECK(decoded == KC_OK || traced.at == fault->at);
    kc_arena_free(arena);
}

static void check_round_trip(any_message any, const void *msg, kc_arena *arena)
{
    size_t measured = 0;
    kc_bytes first;
    kc_bytes second;
    void *back;
    FUZZ_CHECK(kc_message_encode(any.schema, any.version, msg, arena, &first, NULL) == KC_OK);
    FUZZ_CHECK(kc_message_size(any.schema, any.version, msg, &measured, NULL) == KC_OK);
    FUZZ_CHECK(measured == first.len);
    FUZZ_CHECK(kc_message_decode(any.schema, any.version, first, arena, &back, NULL) == KC_OK);
    FUZZ_CHECK(kc_message_equal(any.schema, any.version, msg, back, NULL));
    FUZZ_CHECK(kc_message_encode(any.schema, any.version, back, arena, &second, NULL) == KC_OK);
    FUZZ_CHECK(kc_bytes_equal(first, second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < FUZZ_HEAD_BYTES)
        return 0;
    any_message any = any_message_of(data);
    kc_bytes in = kc_span(data + FUZZ_HEAD_BYTES, size - FUZZ_HEAD_BYTES);
    kc_arena *arena = fuzz_arena();
    kc_fault fault = {0};
    void *msg;
    kc_err err = kc_message_decode(any.schema, any.version, in, arena, &msg, &fault);
    check_trace(any, in, err, &fault);
    if (err == KC_OK)
        check_round_trip(any, msg, arena);
    else
        FUZZ_CHECK(fault.reason && fault.at <= in.len);
    kc_arena_free(arena);
    return 0;
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    kc_arena *arena = fuzz_arena();
    kc_bytes bytes;
    void *msg;
    any_message any = any_message_make(rand, out, arena, &msg);
    FUZZ_CHECK(kc_message_encode(any.schema, any.version, msg, arena, &bytes, NULL) == KC_OK);
    kb_buf_put_bytes(out, bytes);
    kc_arena_free(arena);
}

/* A well-formed mutant while it decodes, else bytes that lie; false: neither. */
static bool mutate(any_message any, kc_bytes in, unsigned seed, kc_arena *arena, kc_bytes *out)
{
    void *msg;
    if (seed % 2 == 0 &&
        kc_message_decode(any.schema, any.version, in, arena, &msg, NULL) == KC_OK &&
        kc_mutate_message(any.schema, any.version, msg, seed, arena, NULL) == KC_OK)
        return kc_message_encode(any.schema, any.version, msg, arena, out, NULL) == KC_OK;
    return kc_mutate_bytes(any.schema, any.version, in, seed, arena, out, NULL) == KC_OK;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size < FUZZ_HEAD_BYTES || seed % 16 == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    kc_arena *arena = fuzz_arena();
    kc_bytes in = kc_span(data + FUZZ_HEAD_BYTES, size - FUZZ_HEAD_BYTES);
    kc_bytes out = in;
    bool is_changed = mutate(any_message_of(data), in, seed / 16, arena, &out) &&
                      out.len <= max_size - FUZZ_HEAD_BYTES;
    if (is_changed) {
        memmove(data + FUZZ_HEAD_BYTES, out.ptr, out.len);
        size = FUZZ_HEAD_BYTES + out.len;
    }
    kc_arena_free(arena);
    return is_changed ? size : LLVMFuzzerMutate(data, size, max_size);
}
