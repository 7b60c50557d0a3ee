/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The system's clocks and randomness for code above that has no client at hand. */
#define _GNU_SOURCE // getrandom
#include "net/clock.h"

#include "client/core.h"

#include <assert.h>
#include <sys/random.h>

int64_t kc_clock_wall_ms(void)
{
    return kn_clock_wall_ms();
}

int64_t kc_clock_monotonic_us(void)
{
    return kn_clock_now_us();
}

uint64_t kc_clock_random(void)
{
    uint64_t value;
    // before the kernel's pool is ready the clock has to do: these bits are not for secrets
    if (getrandom(&value, sizeof value, GRND_NONBLOCK) != (ssize_t)sizeof value)
        value = (uint64_t)kn_clock_now_us() * 0x9e3779b97f4a7c15u;
    return value;
}

void kc_clock_random_bytes(void *out, size_t len)
{
    assert(len <= 256); // so much comes whole, whatever signal
    ssize_t got = getrandom(out, len, 0);
    assert(got == (ssize_t)len);
    (void)got;
}
