/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The only clock_gettime() of the project. */
#define _GNU_SOURCE // CLOCK_REALTIME_COARSE
#include "net/clock.h"

#include <time.h>

/* Neither call can fail: both clocks exist on every Linux that has epoll_wait with a timerfd. */

int64_t kn_clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t kn_clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
