/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Timers of the application, as the client sees them. */
#ifndef KC_TIMER_H
#define KC_TIMER_H

#include "client/core.h"

/** Set; can't fail (the links stand in the timer). */
static inline void kc_timer_arm(kn_loop *loop, kn_timer *timer, int64_t due_us)
{
    kc_err set = kn_timer_set(loop, timer, due_us);
    (void)set;
}

/** All that are left, when the client goes. */
void kc_timers_free(kc_client *client);

#endif
