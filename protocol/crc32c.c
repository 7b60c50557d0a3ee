/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * CRC-32C: 64 bytes at a time with AVX-512, else three streams of the CPU's crc32 instruction, else
 * slicing-by-8.
 *
 * One crc32 instruction takes three cycles, but one can start in each cycle: so a block is cut into
 * three equal streams. Joining them moves two of the registers over the bytes that follow, which is
 * a product with x^(8 bytes) mod P. The two carry-less products are xored into the last word of the
 * third stream, whose crc32 instruction then reduces them. (Gopal et al., "Fast CRC computation for
 * iSCSI polynomial using CRC32 instruction", Intel 2011.)
 *
 * With VPCLMULQDQ the bytes themselves are moved: 256 bytes, in four registers, are multiplied onto
 * the next 256, until the last 16 bytes stand for all. (Gopal et al., "Fast CRC computation for
 * generic polynomials using PCLMULQDQ instruction", Intel 2009.) */
#include "protocol/crc32c.h"

#include "protocol/generated/crc32c_table.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define CRC_TARGET  __attribute__((target("sse4.2,pclmul")))
#define FOLD_TARGET __attribute__((target("avx512f,avx512vl,vpclmulqdq,sse4.2,pclmul")))
#define CRC_NAME    "sse4.2"
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#include <stdatomic.h>
#include <sys/auxv.h>
#define CRC_TARGET
#define CRC_NAME "armv8"
#endif

/* Below this many words per stream, joining costs more than it saves. */
#define STREAM_WORDS_MIN 6
/* Four registers of 64 bytes. */
#define FOLD_BYTES_MIN 256

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

#ifdef CRC_TARGET
static inline uint32_t load_le32(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint16_t load_le16(const uint8_t *p)
{
    uint16_t word;
    memcpy(&word, p, sizeof word);
    return word;
}
#endif

uint32_t kp_crc32c_table(uint32_t crc, const void *data, size_t len)
{
    const uint32_t(*t)[256] = kp_crc32c_slices;
    const uint8_t *p = data;
    uint32_t c = ~crc;
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t w = load_le64(p) ^ c;
        c = t[7][w & 0xff] ^ t[6][(w >> 8) & 0xff] ^ t[5][(w >> 16) & 0xff] ^
            t[4][(w >> 24) & 0xff] ^ t[3][(w >> 32) & 0xff] ^ t[2][(w >> 40) & 0xff] ^
            t[1][(w >> 48) & 0xff] ^ t[0][w >> 56];
    }
    for (; len > 0; len--, p++)
        c = t[0][(c ^ *p) & 0xff] ^ (c >> 8);
    return ~c;
}

#if defined(__x86_64__)

static bool has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

CRC_TARGET static inline uint32_t crc_word(uint32_t crc, uint64_t word)
{
    return (uint32_t)_mm_crc32_u64(crc, word);
}

/* Fewer than 8 bytes. */
CRC_TARGET static inline uint32_t crc_tail(uint32_t crc, const uint8_t *p, size_t len)
{
    if (len & 4) {
        crc = _mm_crc32_u32(crc, load_le32(p));
        p += 4;
    }
    if (len & 2) {
        crc = _mm_crc32_u16(crc, load_le16(p));
        p += 2;
    }
    return len & 1 ? _mm_crc32_u8(crc, *p) : crc;
}

/* Carry-less product: 63 bits. */
CRC_TARGET static inline uint64_t product(uint32_t a, uint32_t b)
{
    __m128i p =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)a), _mm_cvtsi64_si128((long long)b), 0);
    return (uint64_t)_mm_cvtsi128_si64(p);
}

#elif defined(CRC_TARGET)

static bool has_instruction(void)
{
    static _Atomic int known; /* 0: not asked yet, 1: no, 2: yes */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == 0) {
        answer = (getauxval(AT_HWCAP) & (1ul << 7)) ? 2 : 1; /* HWCAP_CRC32 */
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == 2;
}

/* By hand: clang 14 has the intrinsics only where the whole file is compiled for them. */
#define CRC_ASM(op, crc, value) __asm__(".arch_extension crc\n\t" op : "+r"(crc) : "r"(value))

static inline uint32_t crc_word(uint32_t crc, uint64_t word)
{
    CRC_ASM("crc32cx %w0, %w0, %x1", crc, word);
    return crc;
}

/* Fewer than 8 bytes. */
static inline uint32_t crc_tail(uint32_t crc, const uint8_t *p, size_t len)
{
    if (len & 4) {
        CRC_ASM("crc32cw %w0, %w0, %w1", crc, load_le32(p));
        p += 4;
    }
    if (len & 2) {
        CRC_ASM("crc32ch %w0, %w0, %w1", crc, (uint32_t)load_le16(p));
        p += 2;
    }
    if (len & 1)
        CRC_ASM("crc32cb %w0, %w0, %w1", crc, (uint32_t)*p);
    return crc;
}

/* PMULL is a feature of its own, missing where CRC is not: 32 shifts are little against a block. */
static inline uint64_t product(uint32_t a, uint32_t b)
{
    uint64_t sum = 0;
    for (unsigned bit = 0; bit < 32; bit++)
        sum ^= ((uint64_t)b << bit) & (0 - (uint64_t)((a >> bit) & 1));
    return sum;
}

#endif

#ifdef CRC_TARGET

/* Three streams of `words` each. */
CRC_TARGET static inline uint32_t crc_block(uint32_t crc, const uint8_t *p, size_t words)
{
    const uint8_t *q = p + 8 * words;
    const uint8_t *r = q + 8 * words;
    const uint8_t *q_last = q - 8;
    uint32_t a = crc;
    uint32_t b = 0;
    uint32_t c = 0;
    for (; p < q_last; p += 8, q += 8, r += 8) {
        a = crc_word(a, load_le64(p));
        b = crc_word(b, load_le64(q));
        c = crc_word(c, load_le64(r));
    }
    a = crc_word(a, load_le64(p));
    b = crc_word(b, load_le64(q));
    uint64_t moved = product(a, kp_crc32c_shifts[2 * words]) ^ product(b, kp_crc32c_shifts[words]);
    return crc_word(c, load_le64(r) ^ moved);
}

/* The register, neither inverted before nor after. */
CRC_TARGET static uint32_t crc_streams(uint32_t c, const uint8_t *p, size_t len)
{
    while (len >= (size_t)24 * STREAM_WORDS_MIN) {
        size_t words = len / 24;
        if (words > KP_CRC32C_BLOCK_WORDS)
            words = KP_CRC32C_BLOCK_WORDS;
        c = crc_block(c, p, words);
        p += 24 * words;
        len -= 24 * words;
    }
    for (; len >= 8; len -= 8, p += 8)
        c = crc_word(c, load_le64(p));
    return crc_tail(c, p, len);
}

#endif

#ifdef FOLD_TARGET

static bool has_fold(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("vpclmulqdq") && has_instruction();
}

FOLD_TARGET static inline __m128i constants(const uint64_t k[2])
{
    return _mm_set_epi64x((long long)k[1], (long long)k[0]);
}

/* Each 16 bytes of `a` moved over the distance of `k`, onto `next`. */
FOLD_TARGET static inline __m512i fold(__m512i a, __m512i k, __m512i next)
{
    return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(a, k, 0x00),
                                     _mm512_clmulepi64_epi128(a, k, 0x11), next, 0x96);
}

FOLD_TARGET static inline __m128i fold_lane(__m128i a, __m128i k, __m128i next)
{
    return _mm_ternarylogic_epi64(_mm_clmulepi64_si128(a, k, 0x00),
                                  _mm_clmulepi64_si128(a, k, 0x11), next, 0x96);
}

/* At least FOLD_BYTES_MIN. */
FOLD_TARGET static uint32_t crc_fold(uint32_t c, const uint8_t *p, size_t len)
{
    __m512i k = _mm512_broadcast_i32x4(constants(kp_crc32c_fold_2048));
    __m512i a = _mm512_xor_si512(_mm512_loadu_si512(p),
                                 _mm512_zextsi128_si512(_mm_cvtsi64_si128((long long)c)));
    __m512i b = _mm512_loadu_si512(p + 64);
    __m512i d = _mm512_loadu_si512(p + 128);
    __m512i e = _mm512_loadu_si512(p + 192);
    for (p += 256, len -= 256; len >= 256; p += 256, len -= 256) {
        a = fold(a, k, _mm512_loadu_si512(p));
        b = fold(b, k, _mm512_loadu_si512(p + 64));
        d = fold(d, k, _mm512_loadu_si512(p + 128));
        e = fold(e, k, _mm512_loadu_si512(p + 192));
    }
    k = _mm512_broadcast_i32x4(constants(kp_crc32c_fold_512));
    a = fold(fold(fold(a, k, b), k, d), k, e);
    for (; len >= 64; p += 64, len -= 64)
        a = fold(a, k, _mm512_loadu_si512(p));
    __m128i k_lane = constants(kp_crc32c_fold_128);
    __m128i lane = fold_lane(_mm512_castsi512_si128(a), k_lane, _mm512_extracti32x4_epi32(a, 1));
    lane = fold_lane(lane, k_lane, _mm512_extracti32x4_epi32(a, 2));
    lane = fold_lane(lane, k_lane, _mm512_extracti32x4_epi32(a, 3));
    c = crc_word(0, (uint64_t)_mm_cvtsi128_si64(lane));
    c = crc_word(c, (uint64_t)_mm_extract_epi64(lane, 1));
    for (; len >= 8; len -= 8, p += 8)
        c = crc_word(c, load_le64(p));
    return crc_tail(c, p, len);
}

#endif

uint32_t kp_crc32c_instruction(uint32_t crc, const void *data, size_t len)
{
#ifdef CRC_TARGET
    if (has_instruction())
        return ~crc_streams(~crc, data, len);
#endif
    return kp_crc32c_table(crc, data, len);
}

uint32_t kp_crc32c(uint32_t crc, const void *data, size_t len)
{
#ifdef FOLD_TARGET
    if (len >= FOLD_BYTES_MIN && has_fold())
        return ~crc_fold(~crc, data, len);
#endif
    return kp_crc32c_instruction(crc, data, len);
}

const char *kp_crc32c_name(void)
{
#ifdef FOLD_TARGET
    if (has_fold())
        return "avx512";
#endif
#ifdef CRC_TARGET
    if (has_instruction())
        return CRC_NAME;
#endif
    return "table";
}
