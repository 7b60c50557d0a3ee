/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Reading topics from a place to their present ends, once, without a group: for lists, replay and
 * timelines. Blocking: dispatches. */
#ifndef OF_SCAN_H
#define OF_SCAN_H

#include "officeflow/platform_core.h"

#include <kafkac/consumer.h>

/** What to read. Zero-filled `since_ms`: from the beginning. */
typedef struct of_scan {
    bool (*wants)(kc_bytes topic, void *user); /**< asked for every topic of the cluster     */
    /** Each record up to the ends found at the start; within a partition in order. False: enough.
     * Slices valid during the call, which may dispatch. */
    bool (*take)(kc_bytes topic, int32_t partition, const kc_view *view, void *user);
    void *user;
    int64_t since_ms;    /**< only what was written since (by the records' timestamps) */
    int64_t deadline_us; /**< by kc_clock_monotonic_us()                               */
} of_scan;

/** @retval KC_OK (also when `take` had enough, and when no topic is wanted), KC_ERR_TIMEOUT,
 * KC_ERR_NOMEM, or what the client says. */
KC_NODISCARD kc_err of_scan_run(of_platform *platform, const of_scan *scan, kc_error *err);

/** Read the one record at a place. `take` is called once, or not at all with KC_ERR_NOT_FOUND. */
KC_NODISCARD kc_err of_scan_record(of_platform *platform, const of_scan *scan, kc_bytes topic,
                                   int32_t partition, int64_t offset, kc_error *err);

/** Deadline of a call that may take `timeout_ms` (0 or less: a minute). */
int64_t of_scan_deadline(int32_t timeout_ms);
/** What is left of it as an admin timeout; at least 1. */
int32_t of_scan_left_ms(int64_t deadline_us);

#endif
