/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the codec tests share: memory, round trips, refusals. */
#ifndef TESTS_CODEC_FIXTURE_H
#define TESTS_CODEC_FIXTURE_H

#include "messages_all.h"
#include "protocol/codec.h"

#include <check.h>

typedef struct fixture {
    kb_mem mem;
    kb_arena arena;
    kb_buf first;
    kb_buf second;
    kp_fault fault;
} fixture;

static inline void set_up(fixture *f)
{
    memset(f, 0, sizeof *f);
    kb_mem_init(&f->mem, NULL, 0);
    kb_arena_init(&f->arena, &f->mem, 0);
    kb_buf_init(&f->first, &f->mem, 0);
    kb_buf_init(&f->second, &f->mem, 0);
}

static inline void tear_down(fixture *f)
{
    kb_arena_cleanup(&f->arena);
    kb_buf_cleanup(&f->first);
    kb_buf_cleanup(&f->second);
    ck_assert_uint_eq(f->mem.used, 0);
}

static inline void assert_ok(const fixture *f, const kp_message *message, int16_t version,
                             kc_err err)
{
    if (err != KC_OK)
        ck_abort_msg("%s v%d: %d %s at %zu, %s", message->name, version, err,
                     f->fault.reason ? f->fault.reason : "?", f->fault.at, f->fault.path);
}

/* Encode, measure, decode, encode again: the same bytes. They stay in f->first. */
static inline void assert_round_trip(fixture *f, const kp_message *message, int16_t version,
                                     const void *msg)
{
    message_room back;
    size_t size = 0;
    kb_buf_reset(&f->first);
    kb_buf_reset(&f->second);
    assert_ok(f, message, version, kp_encode(message, version, msg, &f->first, NULL, &f->fault));
    assert_ok(f, message, version, kp_size(message, version, msg, &size, &f->fault));
    ck_assert_uint_eq(size, f->first.len);
    assert_ok(f, message, version,
              kp_decode(message, version, kb_buf_bytes(&f->first), &f->arena, &back, &f->fault));
    assert_ok(f, message, version, kp_encode(message, version, &back, &f->second, NULL, &f->fault));
    if (!kc_bytes_equal(kb_buf_bytes(&f->first), kb_buf_bytes(&f->second)))
        ck_abort_msg("%s v%d: other bytes the second time", message->name, version);
}

/* Decode these bytes; the fault is left in f. */
static inline kc_err decode_bytes(fixture *f, const kp_message *message, int16_t version,
                                  kc_bytes in, void *msg)
{
    return kp_decode(message, version, in, &f->arena, msg, &f->fault);
}

#define BYTES(...) kc_span((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#define ASSERT_REFUSED(message, version, in, code, where, field_path)                              \
    do {                                                                                           \
        message_room room_;                                                                        \
        ck_assert_int_eq(decode_bytes(&f, &(message), version, in, &room_), code);                 \
        ck_assert_uint_eq(f.fault.at, where);                                                      \
        ck_assert_str_eq(f.fault.path, field_path);                                                \
        ck_assert_ptr_nonnull(f.fault.reason);                                                     \
    } while (0)

#endif
