/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * murmur2, as org.apache.kafka.common.utils.Utils.murmur2 computes it. */
#include "protocol/murmur2.h"

#define SEED       0x9747b28cu
#define MULTIPLIER 0x5bd1e995u
#define ROTATE     24

uint32_t kp_murmur2(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t h = SEED ^ (uint32_t)len;
    for (; len >= 4; len -= 4, p += 4) {
        uint32_t k =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= MULTIPLIER;
        k ^= k >> ROTATE;
        k *= MULTIPLIER;
        h = (h * MULTIPLIER) ^ k;
    }
    if (len > 0) {
        if (len == 3)
            h ^= (uint32_t)p[2] << 16;
        if (len >= 2)
            h ^= (uint32_t)p[1] << 8;
        h = (h ^ p[0]) * MULTIPLIER;
    }
    h ^= h >> 13;
    h *= MULTIPLIER;
    h ^= h >> 15;
    return h;
}
