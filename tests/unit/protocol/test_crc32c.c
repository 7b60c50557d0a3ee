/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * protocol/crc32c: the vectors of RFC 3720 B.4, and the instruction against the table at every
 * length. */
#include "protocol/base/rand.h"
#include "protocol/crc32c.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

typedef uint32_t (*crc_fn)(uint32_t crc, const void *data, size_t len);
static const crc_fn functions[] = {kp_crc32c, kp_crc32c_table, kp_crc32c_instruction};
enum {
    WAYS = 3
};

START_TEST(crc32c_equals_the_vectors_of_rfc_3720)
{
    uint8_t zeros[32] = {0};
    uint8_t ones[32];
    uint8_t up[32];
    uint8_t down[32];
    memset(ones, 0xff, sizeof ones);
    for (uint8_t i = 0; i < 32; i++) {
        up[i] = i;
        down[i] = (uint8_t)(31 - i);
    }
    for (int i = 0; i < WAYS; i++) {
        ck_assert_uint_eq(functions[i](0, zeros, 32), 0x8a9136aau);
        ck_assert_uint_eq(functions[i](0, ones, 32), 0x62a8ab43u);
        ck_assert_uint_eq(functions[i](0, up, 32), 0x46dd794eu);
        ck_assert_uint_eq(functions[i](0, down, 32), 0x113fdb5cu);
        ck_assert_uint_eq(functions[i](0, "123456789", 9), 0xe3069283u);
        ck_assert_uint_eq(functions[i](0, "", 0), 0);
    }
}
END_TEST

/* Bit by bit, as the definition says. */
static uint32_t by_definition(const uint8_t *p, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & (0 - (crc & 1)));
    }
    return ~crc;
}

static uint8_t *random_bytes(size_t len)
{
    kb_rand rand;
    kb_rand_init(&rand, 1);
    uint8_t *data = malloc(len);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)kb_rand_u64(&rand);
    return data;
}

START_TEST(crc32c_of_every_length_and_alignment_equals_the_table)
{
    enum {
        LEN = 2200,
        ALIGNMENTS = 8
    };
    uint8_t *data = random_bytes(LEN + ALIGNMENTS);
    for (size_t len = 0; len < LEN; len++) {
        const uint8_t *p = data + len % ALIGNMENTS;
        uint32_t crc = kp_crc32c_table(1, p, len);
        ck_assert_uint_eq(kp_crc32c(1, p, len), crc);
        ck_assert_uint_eq(kp_crc32c_instruction(1, p, len), crc);
    }
    ck_assert_uint_eq(kp_crc32c(0, data, 700), by_definition(data, 700));
    free(data);
}
END_TEST

START_TEST(crc32c_of_several_whole_blocks_equals_the_table)
{
    enum {
        LEN = 200000
    };
    uint8_t *data = random_bytes(LEN);
    for (size_t len = 6000; len < LEN; len += 1931) {
        uint32_t crc = kp_crc32c_table(0, data, len);
        ck_assert_uint_eq(kp_crc32c(0, data, len), crc);
        ck_assert_uint_eq(kp_crc32c_instruction(0, data, len), crc);
    }
    free(data);
}
END_TEST

START_TEST(crc32c_continues_from_a_previous_part)
{
    enum {
        LEN = 5000
    };
    uint8_t *data = random_bytes(LEN);
    uint32_t whole = kp_crc32c(0, data, LEN);
    for (size_t cut = 0; cut <= LEN; cut += 37) {
        for (int i = 0; i < WAYS; i++)
            ck_assert_uint_eq(functions[i](functions[i](0, data, cut), data + cut, LEN - cut),
                              whole);
    }
    free(data);
}
END_TEST

START_TEST(crc32c_tells_which_way_it_takes)
{
    const char *name = kp_crc32c_name();
#if defined(__x86_64__)
    ck_assert(strcmp(name, "table") == 0 || __builtin_cpu_supports("sse4.2"));
#endif
    ck_assert(strlen(name) > 0);
}
END_TEST
