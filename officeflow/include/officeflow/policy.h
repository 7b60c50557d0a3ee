/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Retry policies: how often and when a failed event is tried again, and what happens then. Pure
 * functions of their arguments, so that a policy can be tested and printed. */
#ifndef OFFICEFLOW_POLICY_H
#define OFFICEFLOW_POLICY_H

#include <kafkac/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OF_TIERS_MAX 4

/** Why an event failed; the names on the wire are of_class_name()'s. */
typedef enum of_class {
    OF_CLASS_NONE,
    OF_CLASS_TRANSIENT, /**< RETRY: becomes retries_exhausted in the end */
    OF_CLASS_DESERIALIZATION,
    OF_CLASS_SCHEMA,
    OF_CLASS_UNKNOWN_TYPE,
    OF_CLASS_PERMANENT,
    OF_CLASS_RETRIES_EXHAUSTED,
    OF_CLASS_EXPIRED,
    OF_CLASS_TIMEOUT,
    OF_CLASS_HANDLER_CRASH,
    OF_CLASS_TOO_LARGE,
    OF_CLASS_OPERATOR,
} of_class;
KC_API const char *of_class_name(of_class failure_class);
/** OF_CLASS_NONE: no such name. */
KC_API of_class of_class_by_name(kc_bytes name);
/** Classes that are never retried. */
KC_API bool of_class_is_final(of_class failure_class);

typedef enum of_exhausted {
    OF_EXHAUSTED_DLQ,
    OF_EXHAUSTED_BLOCK, /**< keep trying at maximum_interval, the partition waits */
    OF_EXHAUSTED_DISCARD,
} of_exhausted;

/** A delayed stage: records wait in the topic retry.<group>.<name>. */
typedef struct of_tier {
    char name[16];    /**< "1m" */
    int64_t delay_ms; /**< 60000 */
} of_tier;

/** Names and defaults of messaging policy; times in ms. */
typedef struct of_policy {
    int64_t initial_interval_ms; /**< 1000   */
    double backoff_coefficient;  /**< 2.0    */
    int64_t maximum_interval_ms; /**< 30000  */
    double jitter;               /**< 0.2, of the parked stage */
    int32_t immediate_attempts;  /**< 2: after 50 ms, then 200 ms */
    int32_t parked_attempts;     /**< 6      */
    int64_t parked_max_ms;       /**< 90000; strict families 15 min */
    of_tier tiers[OF_TIERS_MAX]; /**< 1m, 15m; none in strict families */
    int32_t tier_count;
    int32_t maximum_attempts; /**< 11: all tries together */
    int64_t maximum_age_ms;   /**< 24 h from the first failure */
    of_exhausted on_exhausted;
    /* redrive of dead letters */
    int32_t max_redrives;          /**< 3; 0: at once to quarantine                       */
    bool redrive_by_operator_only; /**< strict families: true                             */
    int64_t redrive_initial_ms;    /**< 5 min; the n-th waits initial x coefficient^n     */
    double redrive_coefficient;    /**< 4.0 */
    int64_t redrive_maximum_ms;    /**< 6 h */
    double redrive_jitter;         /**< 0.2 */
    int64_t redrive_max_age_ms;    /**< 72 h */
} of_policy;

/** Defaults, for a strict family or another. */
KC_API void of_policy_init(of_policy *policy, bool is_strict);
/** Total tries, and the longest time they take without jitter. */
KC_API void of_policy_total(const of_policy *policy, int32_t *tries_out, int64_t *ms_out);
/** "1 + 2 + 6 parked + 2 tiers = 11 tries over about 17 min". Cut at cap. */
KC_API void of_policy_describe(const of_policy *policy, char *text_out, size_t cap);

typedef enum of_stage {
    OF_STAGE_FIRST, /**< first delivery from the topic */
    OF_STAGE_IMMEDIATE,
    OF_STAGE_PARKED,
    OF_STAGE_RETRY,   /**< from a delayed topic */
    OF_STAGE_REDRIVE, /**< from retry.<group>.now */
    OF_STAGE_DEAD,
    OF_STAGE_DISCARDED,
} of_stage;
KC_API const char *of_stage_name(of_stage stage);

/** A failure, to decide on. */
typedef struct of_failure {
    of_class failure_class;
    of_stage stage;         /**< of the try that failed                                  */
    int32_t attempt;        /**< its number over all stages, from 1                      */
    int32_t stage_attempt;  /**< tries in this delivery so far (this one included)       */
    int32_t tier;           /**< index of the tier it came from, -1: none                */
    int64_t retry_after_ms; /**< asked for by the handler; 0: not                        */
    int64_t first_failed_ms, now_ms;
    double random; /**< in [0, 1), for jitter                                   */
} of_failure;
/** What to do next. */
typedef struct of_verdict {
    of_stage stage; /**< OF_STAGE_IMMEDIATE/PARKED: try again here after delay_ms; RETRY: send to
                       tiers[tier]; DEAD: dead letter; DISCARDED */
    int64_t delay_ms;
    int32_t tier;
    of_class failure_class; /**< as recorded: retries_exhausted instead of transient when dead */
} of_verdict;
KC_API of_verdict of_policy_decide(const of_policy *policy, const of_failure *failure);
/** Wait before redrive n (from 0): initial x coefficient^n, capped, jittered by `random` in [0, 1).
 */
KC_API int64_t of_policy_redrive_delay_ms(const of_policy *policy, int32_t n, double random);

/** Policies by scope: default -> family -> type. */
typedef struct of_policies of_policies;
KC_API KC_NODISCARD of_policies *of_policies_new(void);
KC_API void of_policies_free(of_policies *policies);
KC_API KC_NODISCARD of_policies *of_policies_copy(const of_policies *policies);
/** From JSON: {"default": {...}, "email.send.request": {"immediate_attempts": 1, "tiers": ["2s"],
 * ...}}. Members as in of_policy, times as numbers (ms) or "500ms", "2s", "5m", "6h", "3d". Unknown
 * members are errors. */
KC_API KC_NODISCARD kc_err of_policies_load(of_policies *policies, kc_bytes json, kc_error *err);
/** Set the policy of a type (or a prefix ending in ".*"). */
KC_API KC_NODISCARD kc_err of_policies_set(of_policies *policies, const char *type,
                                           const of_policy *policy);
/** Policy in force for an event type. */
KC_API of_policy of_policies_get(const of_policies *policies, kc_bytes type);
/** "2s" -> 2000; false: not a time. */
KC_API bool of_duration_parse(kc_bytes text, int64_t *ms_out);

#ifdef __cplusplus
}
#endif
#endif
