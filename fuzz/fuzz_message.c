/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Any message: what decodes must encode to bytes that decode to the same. The first three bytes choose API,
 * direction and version. */
#include "fuzz/fuzz.h"
#include "protocol/api.h"
#include "protocol/codec.h"
#include "protocol/random_fill.h"

static const kp_message *choose(uint8_t api, uint8_t direction)
{
    const kp_api *chosen = kp_api_at(api % kp_api_count());
    return direction & 1 ? chosen->response : chosen->request;
}

static int16_t choose_version(const kp_message *message, uint8_t version)
{
    return (int16_t)(message->min + version % (message->max - message->min + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    const kp_message *message = choose(data[0], data[1]);
    int16_t version = choose_version(message, data[2]);
    kb_mem mem;
    kb_arena arena, again;
    kb_buf first, second;
    kp_fault fault;
    kb_mem_init(&mem, NULL, FUZZ_BYTES_MAX);
    kb_arena_init(&arena, &mem, 0);
    kb_arena_init(&again, &mem, 0);
    kb_buf_init(&first, &mem, 0);
    kb_buf_init(&second, &mem, 0);
    void *msg = kb_arena_zalloc(&again, message->root->size);
    void *copy = kb_arena_zalloc(&again, message->root->size);
    FUZZ_CHECK(msg && copy);
    if (kp_decode(message, version, kc_span(data + 3, size - 3), &arena, msg, &fault) == KC_OK) {
        size_t measured = 0;
        FUZZ_CHECK(kp_encode(message, version, msg, &first, NULL, &fault) == KC_OK);
        FUZZ_CHECK(kp_size(message, version, msg, &measured, &fault) == KC_OK &&
                   measured == first.len);
        FUZZ_CHECK(kp_decode(message, version, kb_buf_bytes(&first), &again, copy, &fault) ==
                   KC_OK);
        FUZZ_CHECK(kp_encode(message, version, copy, &second, NULL, &fault) == KC_OK);
        FUZZ_CHECK(kc_bytes_equal(kb_buf_bytes(&first), kb_buf_bytes(&second)));
    }
    kb_buf_cleanup(&first);
    kb_buf_cleanup(&second);
    kb_arena_cleanup(&arena);
    kb_arena_cleanup(&again);
    FUZZ_CHECK(mem.used == 0);
    return 0;
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    uint8_t head[3];
    for (size_t i = 0; i < sizeof head; i++)
        head[i] = (uint8_t)kb_rand_u64(rand);
    const kp_message *message = choose(head[0], head[1]);
    kb_arena arena;
    kp_fault fault;
    kb_arena_init(&arena, out->mem, 0);
    void *msg = kb_arena_zalloc(&arena, message->root->size);
    kb_buf_put(out, head, sizeof head);
    FUZZ_CHECK(msg);
    int16_t version = choose_version(message, head[2]);
    if (kp_random_fill(message, version, rand, &arena, msg) == KC_OK)
        FUZZ_CHECK(kp_encode(message, version, msg, out, NULL, &fault) == KC_OK);
    kb_arena_cleanup(&arena);
}
