/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Random messages and their bytes, by the public codec. */
#ifndef TESTS_RANDOM_MESSAGE_H
#define TESTS_RANDOM_MESSAGE_H

#include <kafkac/codec.h>

#include <check.h>

static inline void *random_message(const kc_schema *schema, int16_t version, uint64_t seed,
                                   kc_arena *arena)
{
    void *msg = NULL;
    ck_assert_int_eq(kc_message_random(schema, version, seed, arena, &msg), KC_OK);
    return msg;
}

static inline kc_bytes encoded(const kc_schema *schema, int16_t version, const void *msg,
                               kc_arena *arena)
{
    kc_bytes bytes;
    kc_fault fault;
    kc_schema_info info;
    kc_err err = kc_message_encode(schema, version, msg, arena, &bytes, &fault);
    kc_schema_get_info(schema, &info);
    if (err != KC_OK)
        ck_abort_msg("%s v%d: %d %s in %s", info.name, version, err, fault.reason, fault.path);
    return bytes;
}

#endif
