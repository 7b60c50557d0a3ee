/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Times that double with each failure, up to a cap, with jitter. */
#ifndef KN_BACKOFF_H
#define KN_BACKOFF_H

#include "protocol/base/rand.h"

/**
 * base_ms * 2^failures, within 20 % either way, never above max_ms. In microseconds. Spec: KIP-580
 * (retries), KIP-144 (reconnects), KIP-601 (set-up timeouts).
 *
 * @param failures  In a row so far: 0 gives about base_ms.
 */
int64_t kn_backoff_us(int32_t base_ms, int32_t max_ms, uint32_t failures, kb_rand *rand);

#endif
