/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Seeded random numbers (xoshiro256**): jitter, sticky partitions, ids. Deterministic for a seed,
 * so a simulation replays. Not for secrets. */
#ifndef KB_RAND_H
#define KB_RAND_H

#include <kafkac/types.h>

typedef struct kb_rand {
    uint64_t s[4];
} kb_rand;

void kb_rand_init(kb_rand *rand, uint64_t seed);
uint64_t kb_rand_u64(kb_rand *rand);
/** Uniform in [0, bound); bound > 0. */
uint64_t kb_rand_below(kb_rand *rand, uint64_t bound);
/** True once in `n` times; n > 0. */
static inline bool kb_rand_one_in(kb_rand *rand, uint64_t n)
{
    return kb_rand_below(rand, n) == 0;
}
/** Uniform in [0, 1). */
double kb_rand_unit(kb_rand *rand);
/** Version 4 (random), and version 7 (RFC 9562) for `unix_ms`. */
kc_uuid kb_uuid_v4(kb_rand *rand);
kc_uuid kb_uuid_v7(kb_rand *rand, int64_t unix_ms);

#endif
