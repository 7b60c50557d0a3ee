/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Circuit breakers: stop calling what fails, probe it, go on. Time comes in as an argument. */
#ifndef OFFICEFLOW_BREAKER_H
#define OFFICEFLOW_BREAKER_H

#include <kafkac/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct of_breaker of_breaker;

typedef enum of_breaker_state {
    OF_BREAKER_CLOSED,
    OF_BREAKER_OPEN,
    OF_BREAKER_HALF_OPEN,
    OF_BREAKER_FORCED_OPEN,
    OF_BREAKER_DISABLED,     /**< forced closed            */
    OF_BREAKER_METRICS_ONLY, /**< counts, never refuses    */
} of_breaker_state;
KC_API const char *of_breaker_state_name(of_breaker_state state);

/** Times in ms. of_breaker_options_init() sets the defaults named here. */
typedef struct of_breaker_options {
    int32_t window_calls;         /**< 100                                       */
    int64_t window_ms;            /**< 60000, in 10 buckets                      */
    int32_t minimum_calls;        /**< 20                                        */
    double failure_ratio;         /**< 0.5                                       */
    double slow_ratio;            /**< 0.8                                       */
    int64_t slow_call_ms;         /**< 5000                                      */
    int32_t consecutive_failures; /**< 10: opens a quiet breaker too             */
    int64_t open_ms;              /**< 5000, doubled each time it reopens        */
    int64_t open_max_ms;          /**< 60000                                     */
    double jitter;                /**< 0.2                                       */
    int32_t half_open_successes;  /**< 3 close it                                */
    /** Told at each change of state, from the call that made it. */
    void (*on_change)(of_breaker *breaker, of_breaker_state from, of_breaker_state to,
                      const char *why, void *user);
    void *user;
} of_breaker_options;
KC_API void of_breaker_options_init(of_breaker_options *options);

/** NULL out of memory. `options` NULL: defaults. `seed` for the jitter. */
KC_API KC_NODISCARD of_breaker *of_breaker_new(const char *name, const of_breaker_options *options,
                                               uint64_t seed);
KC_API void of_breaker_free(of_breaker *breaker);
KC_API const char *of_breaker_name(const of_breaker *breaker);
KC_API of_breaker_state of_breaker_state_at(of_breaker *breaker, int64_t now_ms);

/** May a call be made now? In HALF_OPEN one probe at a time. Each true must be followed by one
 *  of_breaker_report(). `now_ms` is monotonic. */
KC_API bool of_breaker_acquire(of_breaker *breaker, int64_t now_ms);
KC_API void of_breaker_report(of_breaker *breaker, bool is_ok, int64_t took_ms, int64_t now_ms);
/** Acquired, but not used after all. */
KC_API void of_breaker_release(of_breaker *breaker);
/** Earliest time an acquire may succeed; `now_ms` when it may now; INT64_MAX when forced open or a
 * probe is out. */
KC_API int64_t of_breaker_next_ms(const of_breaker *breaker, int64_t now_ms);
/** Open for exactly that long (RETRY_AFTER from a dependency). */
KC_API void of_breaker_open_for(of_breaker *breaker, int64_t ms, int64_t now_ms);
/** OPEN (forced), CLOSED (back to normal, counters reset), DISABLED, METRICS_ONLY. */
KC_API void of_breaker_force(of_breaker *breaker, of_breaker_state state, int64_t now_ms);
/** Guard a call: KC_ERR_AGAIN when open, else what fn returned, which is reported (KC_OK is
 * success). `clock_ms` is asked before and after. */
KC_API kc_err of_breaker_call(of_breaker *breaker, int64_t (*clock_ms)(void *user),
                              kc_err (*fn)(void *user), void *user);

#ifdef __cplusplus
}
#endif
#endif
