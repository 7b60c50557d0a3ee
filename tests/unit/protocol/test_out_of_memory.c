/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Each allocation of the protocol layer fails once, alone and with all after it: the answer is
 * KC_ERR_NOMEM, nothing leaks, and what was given is as before. */
#include "codec_fixture.h"
#include "message_set_write.h"
#include "protocol/message_set.h"
#include "protocol/random_fill.h"
#include "tests/unit/base/fail_alloc.h"

/* What the scenarios work on: fail_each_alloc() hands them nothing but the allocator. */
static const kp_message *message;
static const void *msg;
static kc_bytes input;
static kp_codec codec;

static bool is_good(kc_err err)
{
    ck_assert(err == KC_OK || err == KC_ERR_NOMEM);
    return err == KC_OK;
}

/* Runs that failed; at least one, and success in the end. */
static size_t fail_each(bool (*scenario)(const kc_alloc *alloc))
{
    size_t failed = fail_each_alloc(scenario);
    ck_assert_uint_ne(failed, SIZE_MAX);
    return failed;
}

/* ---- messages ---- */

static bool fill(const kc_alloc *alloc)
{
    kb_mem mem;
    kb_arena arena;
    kb_rand rand;
    message_room room;
    kb_mem_init(&mem, alloc, 0);
    kb_arena_init(&arena, &mem, 0);
    kb_rand_init(&rand, 21);
    kc_err err = kp_random_fill(message, message->max, &rand, &arena, &room);
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
    return is_good(err);
}

static bool decode(const kc_alloc *alloc)
{
    kb_mem mem;
    kb_arena arena;
    kp_fault fault;
    message_room room;
    kb_mem_init(&mem, alloc, 0);
    kb_arena_init(&arena, &mem, 0);
    kc_err err = kp_decode(message, message->max, input, &arena, &room, &fault);
    ck_assert(err == KC_OK || fault.reason);
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
    return is_good(err);
}

static bool encode(const kc_alloc *alloc)
{
    kb_mem mem;
    kb_buf out;
    kb_mem_init(&mem, alloc, 0);
    kb_buf_init(&out, &mem, 0);
    kc_err err = kp_encode(message, message->max, msg, &out, NULL, NULL);
    ck_assert(err == KC_OK ? kc_bytes_equal(kb_buf_bytes(&out), input) : out.len == 0);
    ck_assert_int_eq(out.err, KC_OK);
    kb_buf_cleanup(&out);
    ck_assert_uint_eq(mem.used, 0);
    return is_good(err);
}

static bool print_and_read_json(const kc_alloc *alloc)
{
    kb_mem mem;
    kb_arena arena;
    kb_buf json;
    kb_json_writer writer;
    message_room room;
    kb_mem_init(&mem, alloc, 0);
    kb_arena_init(&arena, &mem, 0);
    kb_buf_init(&json, &mem, 0);
    kb_json_writer_init(&writer, &json);
    kp_json_print(message, message->max, msg, &writer);
    kc_err err = json.err;
    if (err == KC_OK)
        err = kp_json_read(message, message->max, kb_buf_bytes(&json), &arena, &room, NULL);
    kb_arena_cleanup(&arena);
    kb_buf_cleanup(&json);
    ck_assert_uint_eq(mem.used, 0);
    return is_good(err);
}

START_TEST(of_messages_every_allocation_may_fail)
{
    fixture f;
    size_t failed = 0;
    set_up(&f);
    kb_rand rand;
    kb_rand_init(&rand, 6);
    for (size_t i = 0; message_at(i); i++) {
        message_room room;
        message = message_at(i);
        msg = &room;
        ck_assert_int_eq(kp_random_fill(message, message->max, &rand, &f.arena, &room), KC_OK);
        assert_round_trip(&f, message, message->max, msg);
        input = kb_buf_bytes(&f.first);
        failed += fail_each(fill) + fail_each(decode) + fail_each(encode) +
                  fail_each(print_and_read_json);
        kb_arena_reset(&f.arena);
    }
    ck_assert_uint_gt(failed, 1000);
    tear_down(&f);
}
END_TEST

/* ---- compression ---- */

static bool pack(const kc_alloc *alloc)
{
    kb_mem mem;
    kb_buf out;
    kb_mem_init(&mem, alloc, 0);
    kb_buf_init(&out, &mem, 0);
    kc_err err = kp_compress(codec, codec == KP_CODEC_LZ4 ? 12 : INT_MIN, input, &out);
    ck_assert(out.err == KC_OK && (err == KC_OK || out.len == 0));
    kb_buf_cleanup(&out);
    ck_assert_uint_eq(mem.used, 0);
    return is_good(err);
}

static bool unpack(const kc_alloc *alloc)
{
    kb_mem mem;
    kb_buf out;
    kb_mem_init(&mem, alloc, 0);
    kb_buf_init(&out, &mem, 0);
    kc_err err = kp_decompress(codec, input, false, &out);
    ck_assert(out.err == KC_OK && (err == KC_OK || out.len == 0));
    kb_buf_cleanup(&out);
    ck_assert_uint_eq(mem.used, 0);
    return is_good(err);
}

START_TEST(of_compression_every_allocation_may_fail)
{
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < 100000; i++)
        kb_buf_put_byte(&f.first, (uint8_t)(i / 64 % 2 ? i * i >> 5 : i % 17));
    for (int i = 0; i < KP_CODEC_COUNT; i++) {
        codec = (kp_codec)i;
        if (!kp_codec_is_built(codec))
            continue;
        kb_buf_reset(&f.second);
        input = kb_buf_bytes(&f.first);
        ck_assert_int_eq(kp_compress(codec, INT_MIN, input, &f.second), KC_OK);
        ck_assert_uint_gt(fail_each(pack), 0);
        input = kb_buf_bytes(&f.second);
        ck_assert_uint_gt(fail_each(unpack), 0);
    }
    tear_down(&f);
}
END_TEST

/* ---- batches and sets ---- */

static bool write_and_read_batch(const kc_alloc *alloc)
{
    static uint8_t space[4096];
    kb_mem mem;
    kb_buf packed, plain;
    kp_batch_writer writer;
    bool is_smaller;
    kb_mem_init(&mem, alloc, 0);
    kb_buf_init(&packed, &mem, 0);
    kb_buf_init(&plain, &mem, 0);
    kp_batch_writer_init(&writer, space, sizeof space);
    while (kp_batch_append(&writer, 1, KC_NULL, KC_STR("a value, and again a value"), NULL, 0))
        ;
    kc_err err = kp_batch_finish_compressed(&writer, codec, INT_MIN, &packed, &is_smaller);
    ck_assert(err == KC_OK ? is_smaller : packed.len == 0 && packed.err == KC_OK);
    if (err == KC_OK) {
        kc_bytes rest = kb_buf_bytes(&packed);
        kc_bytes records;
        kp_batch batch;
        ck_assert_int_eq(kp_batch_next(&rest, false, &batch), KC_OK);
        err = kp_batch_plain(&batch, &plain, &records);
        ck_assert(err != KC_OK || records.len == writer.len - KP_BATCH_HEADER_BYTES);
    }
    kb_buf_cleanup(&packed);
    kb_buf_cleanup(&plain);
    ck_assert_uint_eq(mem.used, 0);
    return is_good(err);
}

static bool read_set(const kc_alloc *alloc)
{
    kb_mem mem;
    kb_buf plain;
    kp_message_set set;
    kp_record record;
    kc_bytes rest = input;
    kb_mem_init(&mem, alloc, 0);
    kb_buf_init(&plain, &mem, 0);
    kc_err err = kp_message_set_next(&rest, true, &plain, &set);
    ck_assert_uint_eq(rest.len, 0);
    ck_assert_int_eq(set.last_offset, 7);
    ck_assert_int_eq(kp_message_next(&set, &record), err == KC_OK ? KC_OK : KC_ERR_END);
    kb_buf_cleanup(&plain);
    ck_assert_uint_eq(mem.used, 0);
    return is_good(err);
}

START_TEST(of_batches_and_sets_every_allocation_may_fail)
{
    fixture f;
    set_up(&f);
    for (int i = KP_CODEC_GZIP; i < KP_CODEC_COUNT; i++) {
        codec = (kp_codec)i;
        if (!kp_codec_is_built(codec))
            continue;
        ck_assert_uint_gt(fail_each(write_and_read_batch), 0);
        if (codec == KP_CODEC_ZSTD) /* not in message sets */
            continue;
        kb_buf_reset(&f.first);
        old_message_put(&f.first, &(old_message){.magic = 1, .value = KC_STR("value")});
        old_message_wrap(&f.first,
                         &(old_message){.offset = 7, .magic = 1, .attributes = (int8_t)codec});
        input = kb_buf_bytes(&f.first);
        ck_assert_uint_gt(fail_each(read_set), 0);
    }
    tear_down(&f);
}
END_TEST
