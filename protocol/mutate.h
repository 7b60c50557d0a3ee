/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What both levels of mutation draw from. */
#ifndef KP_MUTATE_H
#define KP_MUTATE_H

#include "protocol/base/rand.h"

#include <kafkac/mutate.h>

/** Another whole number: an extreme, a neighbour, one bit changed, or anything. Held in `bytes` (1 to
 * 8) bytes it differs from `old`. */
int64_t kp_mutate_number(kb_rand *rand, int64_t old, size_t bytes);

/** A byte that is not 0: to be put on another by exclusive or. */
static inline uint8_t kp_some_bits(kb_rand *rand)
{
    return (uint8_t)(1 + kb_rand_below(rand, 255));
}

#endif
