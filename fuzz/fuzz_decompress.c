/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Each decompressor, chosen by the first byte: it never writes more than its limit, and what came out
 * compresses and comes out again. */
#include "fuzz/fuzz.h"
#include "protocol/compress.h"

#include <limits.h>

#define PLAIN_BYTES_MAX ((size_t)1 << 20)

static void check_round_trip(kp_codec codec, kc_bytes plain, kb_mem *mem)
{
    kb_buf packed;
    kb_buf again;
    kb_buf_init(&packed, mem, 0);
    kb_buf_init(&again, mem, plain.len + 1);
    FUZZ_CHECK(kp_compress(codec, INT_MIN, plain, &packed) == KC_OK);
    FUZZ_CHECK(kp_decompress(codec, kb_buf_bytes(&packed), false, &again) == KC_OK);
    FUZZ_CHECK(kc_bytes_equal(kb_buf_bytes(&again), plain));
    kb_buf_cleanup(&packed);
    kb_buf_cleanup(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kb_mem mem;
    kb_buf plain;
    if (size < 1)
        return 0;
    kp_codec codec = (kp_codec)(1 + data[0] % (KP_CODEC_COUNT - 1));
    bool lz4_broken_header = data[0] & 0x80;
    if (!kp_codec_is_built(codec))
        return 0;
    kb_mem_init(&mem, NULL, FUZZ_BYTES_MAX);
    kb_buf_init(&plain, &mem, PLAIN_BYTES_MAX);
    kc_err err = kp_decompress(codec, kc_span(data + 1, size - 1), lz4_broken_header, &plain);
    FUZZ_CHECK(plain.len <= PLAIN_BYTES_MAX);
    if (err == KC_OK)
        check_round_trip(codec, kb_buf_bytes(&plain), &mem);
    kb_buf_cleanup(&plain);
    FUZZ_CHECK(mem.used == 0);
    return 0;
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    uint8_t plain[2048];
    uint8_t codec = (uint8_t)kb_rand_below(rand, KP_CODEC_COUNT - 1);
    size_t len = kb_rand_below(rand, sizeof plain);
    uint64_t letters = 1 + kb_rand_below(rand, 8);
    for (size_t i = 0; i < len; i++)
        plain[i] = (uint8_t)('a' + kb_rand_below(rand, letters));
    kb_buf_put_byte(out, codec);
    if (kp_codec_is_built((kp_codec)(1 + codec)))
        FUZZ_CHECK(kp_compress((kp_codec)(1 + codec), INT_MIN, kc_span(plain, len), out) == KC_OK);
}
