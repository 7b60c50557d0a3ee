/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * For targets that take messages of any kind: the first two bytes of an input choose schema and version. */
#ifndef KC_FUZZ_ANY_MESSAGE_H
#define KC_FUZZ_ANY_MESSAGE_H

#include "fuzz/fuzz.h"

#include <kafkac/mutate.h>

#define FUZZ_HEAD_BYTES 2

typedef struct any_message {
    const kc_schema *schema;
    int16_t version;
} any_message;

static inline any_message any_message_of(const uint8_t head[static FUZZ_HEAD_BYTES])
{
    kc_schema_info info;
    const kc_schema *schema = kc_schema_at(head[0] % kc_schema_count());
    kc_schema_get_info(schema, &info);
    return (any_message){
        schema, (int16_t)(info.version_min + head[1] % (info.version_max - info.version_min + 1))};
}

static inline kc_arena *fuzz_arena(void)
{
    kc_arena *arena = kc_arena_new(NULL, FUZZ_BYTES_MAX);
    FUZZ_CHECK(arena);
    return arena;
}

/** Append a head, and a random message of it in the arena. */
static inline any_message any_message_make(kb_rand *rand, kb_buf *out, kc_arena *arena,
                                           void **msg_out)
{
    uint8_t head[FUZZ_HEAD_BYTES] = {(uint8_t)kb_rand_u64(rand), (uint8_t)kb_rand_u64(rand)};
    any_message any = any_message_of(head);
    kb_buf_put(out, head, sizeof head);
    FUZZ_CHECK(kc_message_random(any.schema, any.version, kb_rand_u64(rand), arena, msg_out) ==
               KC_OK);
    return any;
}

#endif
