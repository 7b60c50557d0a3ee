/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Exponential back-off with jitter. */
#include "net/backoff.h"

/** Share of the time by which it varies, either way: Java's
 * CommonClientConfigs.RETRY_BACKOFF_JITTER. */
#define JITTER 0.2

int64_t kn_backoff_us(int32_t base_ms, int32_t max_ms, uint32_t failures, kb_rand *rand)
{
    if (base_ms <= 0)
        return 0;
    int64_t max_us = (int64_t)(max_ms > base_ms ? max_ms : base_ms) * 1000;
    int64_t wait_us = (int64_t)base_ms * 1000;
    for (uint32_t i = 0; i < failures && wait_us < max_us; i++)
        wait_us *= 2;
    if (wait_us > max_us)
        wait_us = max_us;
    double factor = 1 - JITTER + 2 * JITTER * kb_rand_unit(rand);
    wait_us = (int64_t)((double)wait_us * factor);
    return wait_us < max_us ? wait_us : max_us;
}
