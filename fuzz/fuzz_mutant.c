/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The mutator: a random message, and behind the head each byte seeds one more mutation of it. Whatever
 * was changed it encodes to other bytes, decodes to an equal message, copies, prints and can be walked; then its bytes are made to
 * lie, which the decoder must survive. */
#include "fuzz/any_message.h"

#define MUTATIONS_MAX 32

static kc_walk count(const kc_node *node, void *user)
{
    FUZZ_CHECK(node->is_null == (node->value == NULL) || (node->is_array && node->count == 0));
    ++*(size_t *)user;
    return KC_WALK_ON;
}

static void check(any_message any, const void *msg, kc_arena *arena, kc_bytes *bytes_out)
{
    void *back;
    void *copy;
    kc_bytes json;
    FUZZ_CHECK(kc_message_encode(any.schema, any.version, msg, arena, bytes_out, NULL) == KC_OK);
    FUZZ_CHECK(kc_message_decode(any.schema, any.version, *bytes_out, arena, &back, NULL) == KC_OK);
    FUZZ_CHECK(kc_message_equal(any.schema, any.version, msg, back, NULL));
    FUZZ_CHECK(kc_message_copy(any.schema, msg, arena, &copy) == KC_OK);
    FUZZ_CHECK(kc_message_equal(any.schema, any.version, msg, copy, NULL));
    FUZZ_CHECK(kc_message_to_json(any.schema, any.version, msg, arena, &json) == KC_OK);
    size_t nodes = 0;
    FUZZ_CHECK(kc_message_walk(any.schema, any.version, msg, count, &nodes) == KC_OK);
}

/* Other bytes than before, the same by the same seed. */
static void mutate(any_message any, void *msg, uint64_t seed, kc_arena *arena)
{
    kc_bytes before;
    kc_bytes after;
    void *twin;
    FUZZ_CHECK(kc_message_encode(any.schema, any.version, msg, arena, &before, NULL) == KC_OK);
    FUZZ_CHECK(kc_message_copy(any.schema, msg, arena, &twin) == KC_OK);
    kc_err err = kc_mutate_message(any.schema, any.version, msg, seed, arena, NULL);
    FUZZ_CHECK(err == kc_mutate_message(any.schema, any.version, twin, seed, arena, NULL));
    FUZZ_CHECK(err == KC_OK || err == KC_ERR_END);
    FUZZ_CHECK(kc_message_equal(any.schema, any.version, msg, twin, NULL));
    FUZZ_CHECK(kc_message_encode(any.schema, any.version, msg, arena, &after, NULL) == KC_OK);
    FUZZ_CHECK(err == KC_ERR_END || !kc_bytes_equal(before, after));
}

/* One mutation makes an item 64 times: what comes of this, its copies and its text fit into the arena. */
static bool is_small(any_message any, const void *msg)
{
    size_t len = 0;
    return kc_message_size(any.schema, any.version, msg, &len, NULL) == KC_OK && len < 16 << 10;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < FUZZ_HEAD_BYTES + 1)
        return 0;
    any_message any = any_message_of(data);
    kc_arena *arena = fuzz_arena();
    kc_bytes bytes;
    void *msg;
    uint64_t seed = data[FUZZ_HEAD_BYTES];
    FUZZ_CHECK(kc_message_random(any.schema, any.version, seed, arena, &msg) == KC_OK);
    for (size_t i = 1; FUZZ_HEAD_BYTES + i < size && i < MUTATIONS_MAX && is_small(any, msg); i++) {
        seed = seed << 8 | data[FUZZ_HEAD_BYTES + i];
        mutate(any, msg, seed, arena);
    }
    check(any, msg, arena, &bytes);
    kc_bytes lie = bytes;
    kc_err err = kc_mutate_bytes(any.schema, any.version, bytes, seed, arena, &lie, NULL);
    FUZZ_CHECK(err == KC_OK ? !kc_bytes_equal(bytes, lie) : err == KC_ERR_END);
    (void)!kc_message_decode(any.schema, any.version, lie, arena, &msg, NULL);
    kc_arena_free(arena);
    return 0;
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    for (uint64_t n = FUZZ_HEAD_BYTES + 1 + kb_rand_below(rand, 6); n > 0; n--)
        kb_buf_put_byte(out, (uint8_t)kb_rand_u64(rand));
}
