/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The two clocks. Only the loop reads them; everything else sees the time of the turn. */
#ifndef KN_CLOCK_H
#define KN_CLOCK_H

#include <stdint.h>

/** Monotonic, microseconds. All deadlines are on this clock (it also drives the timerfd). */
int64_t kn_clock_now_us(void);

/** Milliseconds since 1970, as coarse as the kernel's tick: what a record's timestamp needs. */
int64_t kn_clock_wall_ms(void);

#endif
