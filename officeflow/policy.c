/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What to do with a failure: the stages immediate -> parked -> delayed topics -> dead letter, as a
 * pure function.
 *
 * A delivery from a delayed topic or a redrive gets one try and no inner rounds, so that the total
 * is a plain sum: 1 + immediate + parked + tiers. */
#include "protocol/base/text.h"

#include <officeflow/policy.h>

#include <stdio.h>

#define MINUTE_MS 60000LL
#define HOUR_MS   (60 * MINUTE_MS)

static const char *const class_names[] = {
    [OF_CLASS_NONE] = "none",
    [OF_CLASS_TRANSIENT] = "transient",
    [OF_CLASS_DESERIALIZATION] = "deserialization",
    [OF_CLASS_SCHEMA] = "schema",
    [OF_CLASS_UNKNOWN_TYPE] = "unknown_type",
    [OF_CLASS_PERMANENT] = "permanent",
    [OF_CLASS_RETRIES_EXHAUSTED] = "retries_exhausted",
    [OF_CLASS_EXPIRED] = "expired",
    [OF_CLASS_TIMEOUT] = "timeout",
    [OF_CLASS_HANDLER_CRASH] = "handler_crash",
    [OF_CLASS_TOO_LARGE] = "too_large",
    [OF_CLASS_OPERATOR] = "operator",
};
#define CLASS_COUNT (sizeof class_names / sizeof class_names[0])

const char *of_class_name(of_class failure_class)
{
    return (size_t)failure_class < CLASS_COUNT ? class_names[failure_class] : "unknown";
}

of_class of_class_by_name(kc_bytes name)
{
    for (size_t i = 1; i < CLASS_COUNT; i++)
        if (kc_bytes_equal(name, kc_str(class_names[i])))
            return (of_class)i;
    return OF_CLASS_NONE;
}

bool of_class_is_final(of_class failure_class)
{
    switch (failure_class) {
    case OF_CLASS_NONE:
    case OF_CLASS_TRANSIENT:
    case OF_CLASS_TIMEOUT:
    case OF_CLASS_RETRIES_EXHAUSTED:
        return false;
    default:
        return true;
    }
}

const char *of_stage_name(of_stage stage)
{
    static const char *const names[] = {"first",   "immediate", "parked",   "retry",
                                        "redrive", "dead",      "discarded"};
    return (size_t)stage < sizeof names / sizeof names[0] ? names[stage] : "unknown";
}

void of_policy_init(of_policy *policy, bool is_strict)
{
    *policy = (of_policy){
        .initial_interval_ms = 1000,
        .backoff_coefficient = 2.0,
        .maximum_interval_ms = 30000,
        .jitter = 0.2,
        .immediate_attempts = 2,
        // strict: order forbids the delayed topics, so the record is tried here until parked_max_ms
        .parked_attempts = is_strict ? INT32_MAX : 6,
        .parked_max_ms = is_strict ? 15 * MINUTE_MS : 90000,
        .tiers = {{"1m", MINUTE_MS}, {"15m", 15 * MINUTE_MS}},
        .tier_count = is_strict ? 0 : 2,
        .maximum_attempts = is_strict ? INT32_MAX : 11,
        .maximum_age_ms = 24 * HOUR_MS,
        .on_exhausted = OF_EXHAUSTED_DLQ,
        .max_redrives = 3,
        .redrive_by_operator_only = is_strict,
        .redrive_initial_ms = 5 * MINUTE_MS,
        .redrive_coefficient = 4.0,
        .redrive_maximum_ms = 6 * HOUR_MS,
        .redrive_jitter = 0.2,
        .redrive_max_age_ms = 72 * HOUR_MS,
    };
}

/** min(maximum, initial x coefficient^n) */
static int64_t interval_ms(int64_t initial, double coefficient, int64_t maximum, int32_t n)
{
    double delay = (double)initial;
    if (initial <= 0 || coefficient <= 1.0) // does not grow
        return initial < maximum ? initial : maximum;
    for (int32_t i = 0; i < n && delay < (double)maximum; i++)
        delay *= coefficient;
    return delay < (double)maximum ? (int64_t)delay : maximum;
}

/** x U(1 - jitter, 1 + jitter) */
static int64_t jittered_ms(int64_t delay_ms, double jitter, double random)
{
    return (int64_t)((double)delay_ms * (1.0 + jitter * (2.0 * random - 1.0)));
}

static int64_t immediate_ms(int32_t n)
{
    return n <= 1 ? 50 : 200;
}

/** Delay before the n-th parked try, from 1, without jitter. */
static int64_t parked_ms(const of_policy *policy, int32_t n)
{
    return interval_ms(policy->initial_interval_ms, policy->backoff_coefficient,
                       policy->maximum_interval_ms, n - 1);
}

int64_t of_policy_redrive_delay_ms(const of_policy *policy, int32_t n, double random)
{
    int64_t delay = interval_ms(policy->redrive_initial_ms, policy->redrive_coefficient,
                                policy->redrive_maximum_ms, n);
    return jittered_ms(delay, policy->redrive_jitter, random);
}

/** How many parked tries the policy allows before parked_max_ms is over, without jitter. */
static int32_t parked_tries(const of_policy *policy, int32_t limit, int64_t *total_ms_out)
{
    int32_t tries = 0;
    int64_t total = 0;
    while (tries < policy->parked_attempts && tries < limit) {
        int64_t delay = parked_ms(policy, tries + 1);
        if (total + delay > policy->parked_max_ms)
            break;
        total += delay > 0 ? delay : 1; // a zero interval must end too
        tries++;
    }
    *total_ms_out = total;
    return tries;
}

void of_policy_total(const of_policy *policy, int32_t *tries_out, int64_t *ms_out)
{
    int32_t tries = 1;
    int64_t total = 0;
    for (int32_t n = 1; n <= policy->immediate_attempts && tries < policy->maximum_attempts; n++) {
        total += immediate_ms(n);
        tries++;
    }
    int64_t parked = 0;
    tries += parked_tries(policy, policy->maximum_attempts - tries, &parked);
    total += parked;
    for (int32_t i = 0; i < policy->tier_count && tries < policy->maximum_attempts; i++) {
        total += policy->tiers[i].delay_ms;
        tries++;
    }
    *tries_out = tries;
    *ms_out = total;
}

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

void of_policy_describe(const of_policy *policy, char *text_out, size_t cap)
{
    int32_t tries;
    int64_t ms, parked_total;
    of_policy_total(policy, &tries, &ms);
    int32_t left = policy->maximum_attempts > 1 ? policy->maximum_attempts - 1 : 0;
    int32_t immediate = least(policy->immediate_attempts, left);
    int32_t parked = parked_tries(policy, left - immediate, &parked_total);
    int32_t tiers = least(policy->tier_count, left - immediate - parked);
    char time[32];
    if (ms >= 2 * MINUTE_MS)
        snprintf(time, sizeof time, "%lld min", (long long)((ms + MINUTE_MS / 2) / MINUTE_MS));
    else
        snprintf(time, sizeof time, "%.1f s", (double)ms / 1000.0);
    snprintf(text_out, cap, "1 + %d + %d parked + %d tiers = %d tries over about %s", immediate,
             parked, tiers, tries, time);
}

/** The next tier that waits at least `at_least_ms`, behind `tier`; -1: none. */
static int32_t next_tier(const of_policy *policy, int32_t tier, int64_t at_least_ms)
{
    for (int32_t i = tier + 1; i < policy->tier_count; i++)
        if (policy->tiers[i].delay_ms >= at_least_ms)
            return i;
    // longer than every tier: the longest one left is the nearest to what was asked
    return tier + 1 < policy->tier_count ? policy->tier_count - 1 : -1;
}

static of_verdict exhausted(const of_policy *policy, const of_failure *failure)
{
    switch (policy->on_exhausted) {
    case OF_EXHAUSTED_BLOCK:
        return (of_verdict){.stage = OF_STAGE_PARKED,
                            .delay_ms = policy->maximum_interval_ms,
                            .tier = -1,
                            .failure_class = failure->failure_class};
    case OF_EXHAUSTED_DISCARD:
        return (of_verdict){
            .stage = OF_STAGE_DISCARDED, .tier = -1, .failure_class = OF_CLASS_RETRIES_EXHAUSTED};
    default:
        return (of_verdict){.stage = OF_STAGE_DEAD,
                            .tier = -1,
                            .failure_class = failure->failure_class == OF_CLASS_TIMEOUT
                                                 ? OF_CLASS_TIMEOUT
                                                 : OF_CLASS_RETRIES_EXHAUSTED};
    }
}

/** Try again where the record is, after a delay; false: the rounds in memory are used up. */
static bool decide_here(const of_policy *policy, const of_failure *failure, of_verdict *verdict)
{
    int32_t done = failure->stage_attempt;
    int64_t waited = failure->now_ms - failure->first_failed_ms;
    if (failure->retry_after_ms > 0) {
        if (failure->retry_after_ms > policy->parked_max_ms && policy->tier_count > 0)
            return false;
        verdict->stage = OF_STAGE_PARKED;
        verdict->delay_ms = failure->retry_after_ms;
        return done <= policy->immediate_attempts + policy->parked_attempts ||
               policy->parked_attempts == INT32_MAX;
    }
    if (done <= policy->immediate_attempts) {
        verdict->stage = OF_STAGE_IMMEDIATE;
        verdict->delay_ms = immediate_ms(done);
        return true;
    }
    int32_t n = done - policy->immediate_attempts;
    if (n > policy->parked_attempts)
        return false;
    verdict->stage = OF_STAGE_PARKED;
    verdict->delay_ms = jittered_ms(parked_ms(policy, n), policy->jitter, failure->random);
    return waited + verdict->delay_ms <= policy->parked_max_ms;
}

of_verdict of_policy_decide(const of_policy *policy, const of_failure *failure)
{
    of_verdict verdict = {.tier = -1, .failure_class = failure->failure_class};
    if (of_class_is_final(failure->failure_class)) {
        verdict.stage = OF_STAGE_DEAD;
        return verdict;
    }
    bool is_over = failure->attempt >= policy->maximum_attempts ||
                   failure->now_ms - failure->first_failed_ms > policy->maximum_age_ms;
    // a redrive gets one try: its next one is the DLQ handler's to decide
    if (is_over || failure->stage == OF_STAGE_REDRIVE)
        return exhausted(policy, failure);
    if (failure->stage != OF_STAGE_RETRY && decide_here(policy, failure, &verdict))
        return verdict;
    int32_t tier = next_tier(policy, failure->tier, failure->retry_after_ms);
    if (tier < 0)
        return exhausted(policy, failure);
    verdict.stage = OF_STAGE_RETRY;
    verdict.tier = tier;
    verdict.delay_ms = policy->tiers[tier].delay_ms;
    return verdict;
}

bool of_duration_parse(kc_bytes text, int64_t *ms_out)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", MINUTE_MS}, {"h", HOUR_MS}, {"d", 24 * HOUR_MS}};
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    int64_t number;
    if (digits == 0 || !kb_parse_i64(kc_span(text.ptr, digits), &number))
        return false;
    kc_bytes unit = kc_span(text.ptr + digits, text.len - digits);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (kc_bytes_equal(unit, kc_str(units[i].unit)))
            return !__builtin_mul_overflow(number, units[i].ms, ms_out);
    return false;
}
