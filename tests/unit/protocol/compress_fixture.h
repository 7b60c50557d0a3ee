/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the tests of compression share: memory, samples, round trips. */
#ifndef COMPRESS_FIXTURE_H
#define COMPRESS_FIXTURE_H

#include "protocol/base/rand.h"
#include "protocol/compress.h"
#include "record_vectors.h"

#include <check.h>
#include <limits.h>
#include <stdlib.h>

#define MIB ((size_t)1 << 20)

static kb_mem mem;
static kb_buf packed;
static kb_buf plain;

static inline void begin(size_t plain_limit)
{
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&packed, &mem, 0);
    kb_buf_init(&plain, &mem, plain_limit);
}

static inline void finish(void)
{
    kb_buf_cleanup(&packed);
    kb_buf_cleanup(&plain);
    ck_assert_uint_eq(mem.used, 0);
}

/* Half text, half noise: compresses, but not to nothing. */
static inline uint8_t *sample(size_t len, uint64_t seed)
{
    kb_rand rand;
    kb_rand_init(&rand, seed);
    uint8_t *data = kb_mem_alloc(&mem, len);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < len; i++) {
        bool is_noise = (i / 64) % 2;
        data[i] = is_noise ? (uint8_t)kb_rand_u64(&rand) : (uint8_t)("a record's value "[i % 17]);
    }
    return data;
}

static inline void expect_plain(const void *data, size_t len)
{
    ck_assert_uint_eq(plain.len, len);
    ck_assert(len == 0 || memcmp(plain.data, data, len) == 0);
}

static inline kc_err unpack_hex(kp_codec codec, const char *hex)
{
    kc_bytes in = vector_bytes(&mem, hex);
    kb_buf_reset(&plain);
    kc_err err = kp_decompress(codec, in, false, &plain);
    vector_free(&mem, in);
    return err;
}

#endif
