/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * xoshiro256** (Blackman and Vigna), its state spread from one seed by splitmix64, as they advise.
 */
#include "protocol/base/rand.h"

#include <assert.h>

static uint64_t rotate_left(uint64_t x, int n)
{
    return (x << n) | (x >> (64 - n));
}

void kb_rand_init(kb_rand *rand, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rand->s[i] = z ^ (z >> 31);
    }
}

uint64_t kb_rand_u64(kb_rand *rand)
{
    uint64_t *s = rand->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t kb_rand_below(kb_rand *rand, uint64_t bound)
{
    assert(bound > 0);
    // 2^64 mod bound: draws below it would make the low results more likely
    uint64_t skip = (UINT64_MAX - bound + 1) % bound;
    uint64_t draw;
    do
        draw = kb_rand_u64(rand);
    while (draw < skip);
    return draw % bound;
}

double kb_rand_unit(kb_rand *rand)
{
    return (double)(kb_rand_u64(rand) >> 11) * 0x1p-53;
}

static void put_u64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (56 - 8 * i));
}

/** Version and variant bits over 128 bits of content (RFC 9562 section 4). */
static kc_uuid make_uuid(uint64_t high, uint64_t low, uint64_t version)
{
    kc_uuid id;
    put_u64(id.bytes, (high & ~(uint64_t)0xf000) | version << 12);
    put_u64(id.bytes + 8, (low & 0x3fffffffffffffffu) | 0x8000000000000000u);
    return id;
}

kc_uuid kb_uuid_v4(kb_rand *rand)
{
    uint64_t high = kb_rand_u64(rand);
    return make_uuid(high, kb_rand_u64(rand), 4);
}

kc_uuid kb_uuid_v7(kb_rand *rand, int64_t unix_ms)
{
    uint64_t time = unix_ms < 0 ? 0 : (uint64_t)unix_ms;
    uint64_t high = time << 16 | (kb_rand_u64(rand) & 0xfff);
    return make_uuid(high, kb_rand_u64(rand), 7);
}
