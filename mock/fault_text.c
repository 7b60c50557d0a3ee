/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * key=value pairs, each with the function that takes its value. */
#include "mock/fault_text.h"

#include "protocol/base/error.h"
#include "protocol/base/text.h"

/** Codes that have a name lie below. */
#define ERROR_CODES     256
#define DURATION_US_MAX INT64_C(86400000000)

const char *const km_fault_help[] = {
    "which requests:  api=NAME  broker=ID  skip=N  nth=N (that one alone)  every=N  count=N",
    "what happens:    delay=TIME  answer-delay=TIME  error=NAME|CODE  throttle=TIME",
    "                 close=before|after  drop",
    NULL,
};

bool km_text_duration(kc_bytes text, bool is_ms, int64_t *us_out)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", INT64_C(3600000000)}};
    size_t digits = 0;
    uint64_t number;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    kc_bytes unit = kc_span(text.ptr + digits, text.len - digits);
    if (!kb_parse_u64(kc_span(text.ptr, digits), &number) || number > INT32_MAX)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (kb_text_is(unit, units[i].name) || (i == 0 && unit.len == 0 && is_ms)) {
            *us_out = (int64_t)number * units[i].us;
            return *us_out <= DURATION_US_MAX;
        }
    return false;
}

/* ---- values; each returns NULL, or what is expected ---- */

static const char *take_count(kc_bytes value, uint32_t least, uint32_t *out)
{
    uint64_t number;
    if (!kb_parse_u64(value, &number) || number < least || number > INT32_MAX)
        return least == 0 ? "a number" : "a number from 1";
    *out = (uint32_t)number;
    return NULL;
}

static const char *take_time(kc_bytes value, int64_t *us_out)
{
    return km_text_duration(value, true, us_out)
               ? NULL
               : "a time as 250ms, 5s, 2m, 1h, or in ms, up to 24h";
}

static const char *take_api(kc_bytes value, km_fault *fault)
{
    const kp_api *api = kp_api_by_name(value);
    int64_t key;
    if (!api && kb_parse_i64(value, &key) && key >= 0 && key <= INT16_MAX)
        api = kp_api_by_key((int16_t)key);
    if (!api)
        return "an API's name as Fetch, or its key";
    fault->api_key = api->key;
    return NULL;
}

static const char *take_broker(kc_bytes value, km_fault *fault)
{
    uint32_t id = 0;
    const char *expected = take_count(value, 1, &id);
    fault->broker_id = (int32_t)id;
    return expected;
}

static const char *take_skip(kc_bytes value, km_fault *fault)
{
    return take_count(value, 0, &fault->skip);
}

/** Alone, unless count says more. */
static const char *take_nth(kc_bytes value, km_fault *fault)
{
    const char *expected = take_count(value, 1, &fault->skip);
    if (!expected && fault->count == 0)
        fault->count = 1;
    fault->skip--;
    return expected;
}

static const char *take_every(kc_bytes value, km_fault *fault)
{
    return take_count(value, 1, &fault->every);
}

static const char *take_times(kc_bytes value, km_fault *fault)
{
    return take_count(value, 1, &fault->count);
}

static const char *take_delay(kc_bytes value, km_fault *fault)
{
    return take_time(value, &fault->delay_us);
}

static const char *take_answer_delay(kc_bytes value, km_fault *fault)
{
    return take_time(value, &fault->answer_delay_us);
}

static const char *take_throttle(kc_bytes value, km_fault *fault)
{
    int64_t us = 0;
    const char *expected = take_time(value, &us);
    fault->throttle_ms = (int32_t)(us / 1000);
    return expected;
}

static const char *take_error(kc_bytes value, km_fault *fault)
{
    int64_t code;
    if (kb_parse_i64(value, &code)) {
        fault->error = (int16_t)code;
        return code >= -1 && code <= INT16_MAX && code != 0 ? NULL : "an error's code";
    }
    for (int16_t known = -1; known < ERROR_CODES; known++) {
        const kp_error_info *info = kp_error_info_of(known);
        if (info && known != 0 && kb_text_is(value, info->name)) {
            fault->error = known;
            return NULL;
        }
    }
    return "an error's name as NOT_LEADER_OR_FOLLOWER, or its code";
}

static const char *take_close(kc_bytes value, km_fault *fault)
{
    bool is_before = kb_text_is(value, "before");
    if (!is_before && !kb_text_is(value, "after"))
        return "before or after";
    fault->end = is_before ? KM_FAULT_CLOSE_BEFORE : KM_FAULT_CLOSE_AFTER;
    return NULL;
}

static const char *take_drop(kc_bytes value, km_fault *fault)
{
    fault->end = KM_FAULT_DROP;
    return value.ptr ? "no value" : NULL;
}

static const struct {
    const char *key;
    const char *(*take)(kc_bytes value, km_fault *fault);
} keys[] = {
    {"api", take_api},     {"broker", take_broker},
    {"skip", take_skip},   {"nth", take_nth},
    {"every", take_every}, {"count", take_times},
    {"delay", take_delay}, {"answer-delay", take_answer_delay},
    {"error", take_error}, {"throttle", take_throttle},
    {"close", take_close}, {"drop", take_drop},
};

/** Keys that can't stand together. */
static const struct {
    const char *one, *other;
} rivals[] = {{"nth", "skip"}, {"nth", "every"}, {"close", "drop"}};

#define END(end) (1u << (end))

/** What never happens where the answer does not leave. An error with "drop" does: nothing is done. */
static const struct {
    const char *key;
    unsigned ends;
} lost[] = {
    {"delay", END(KM_FAULT_CLOSE_BEFORE)},
    {"answer-delay", END(KM_FAULT_CLOSE_BEFORE) | END(KM_FAULT_DROP)},
    {"error", END(KM_FAULT_CLOSE_BEFORE) | END(KM_FAULT_CLOSE_AFTER)},
    {"throttle", END(KM_FAULT_CLOSE_BEFORE) | END(KM_FAULT_CLOSE_AFTER) | END(KM_FAULT_DROP)},
};

/** A rule as it is read. */
typedef struct rule_text {
    km_fault *fault;
    unsigned given; /**< a bit for each of `keys` */
} rule_text;

static bool has(const rule_text *rule, const char *key)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i].key, key) == 0)
            return (rule->given & (1u << i)) != 0;
    return false;
}

static kc_err take(kc_bytes part, rule_text *rule, kc_error *err)
{
    char told[64];
    kc_bytes value = part, key;
    kb_text_split(&value, '=', &key);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (!kb_text_is(key, keys[i].key))
            continue;
        if (rule->given & (1u << i))
            return kb_error_set(err, KC_ERR_ARGUMENT, "fault: %s is given twice", keys[i].key);
        rule->given |= 1u << i;
        const char *expected = keys[i].take(value, rule->fault);
        if (!expected)
            return KC_OK;
        kb_text_printable(told, sizeof told, value);
        return kb_error_set(err, KC_ERR_ARGUMENT, "fault: %s needs %s, not \"%s\"", keys[i].key,
                            expected, told);
    }
    kb_text_printable(told, sizeof told, key);
    return kb_error_set(err, KC_ERR_ARGUMENT, "fault: there is no key \"%s\"", told);
}

static kc_err check_together(const rule_text *rule, kc_error *err)
{
    static const char *const ends[] = {[KM_FAULT_ANSWER] = "",
                                       [KM_FAULT_CLOSE_BEFORE] = "close=before",
                                       [KM_FAULT_CLOSE_AFTER] = "close=after",
                                       [KM_FAULT_DROP] = "drop"};
    for (size_t i = 0; i < sizeof rivals / sizeof rivals[0]; i++)
        if (has(rule, rivals[i].one) && has(rule, rivals[i].other))
            return kb_error_set(err, KC_ERR_ARGUMENT, "fault: %s and %s exclude each other",
                                rivals[i].one, rivals[i].other);
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++)
        if ((lost[i].ends & END(rule->fault->end)) && has(rule, lost[i].key))
            return kb_error_set(err, KC_ERR_ARGUMENT, "fault: %s has no effect with %s",
                                lost[i].key, ends[rule->fault->end]);
    return KC_OK;
}

kc_err km_fault_parse(kc_bytes text, km_fault *fault_out, kc_error *err)
{
    kc_bytes rest = text, part;
    rule_text rule = {.fault = fault_out};
    km_fault_init(fault_out);
    while (kb_text_split(&rest, ',', &part))
        KB_TRY(take(kb_text_trim(part), &rule, err));
    return check_together(&rule, err);
}
