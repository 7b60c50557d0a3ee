/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Retry policies: what follows a failure, totals, and reading them from JSON. */
#include <officeflow/event.h>
#include <officeflow/policy.h>

#include <check.h>

#define SECOND_MS 1000LL
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)

static of_policy make(bool is_strict)
{
    of_policy policy;
    of_policy_init(&policy, is_strict);
    return policy;
}

/** A failure of a first delivery, `n` tries done, jitter at its middle. */
static of_failure failure(int32_t n)
{
    return (of_failure){.failure_class = OF_CLASS_TRANSIENT,
                        .stage = n == 1 ? OF_STAGE_FIRST : OF_STAGE_PARKED,
                        .attempt = n,
                        .stage_attempt = n,
                        .tier = -1,
                        .first_failed_ms = 1000000,
                        .now_ms = 1000000,
                        .random = 0.5};
}

static of_policy load(const char *json, const char *type)
{
    kc_error err;
    of_policies *policies = of_policies_new();
    ck_assert_msg(of_policies_load(policies, kc_str(json), &err) == KC_OK, "%s", err.text);
    of_policy policy = of_policies_get(policies, kc_str(type));
    of_policies_free(policies);
    return policy;
}

static void refuse(const char *json, const char *part_of_text)
{
    kc_error err;
    of_policies *policies = of_policies_new();
    ck_assert_int_eq(of_policies_load(policies, kc_str(json), &err), KC_ERR_CONFIG);
    ck_assert_msg(strstr(err.text, part_of_text) != NULL, "%s: %s", json, err.text);
    of_policies_free(policies);
}

START_TEST(default_total_is_eleven_tries)
{
    of_policy policy = make(false);
    int32_t tries;
    int64_t ms;
    char text[128];
    of_policy_total(&policy, &tries, &ms);
    ck_assert_int_eq(tries, 11);
    // 0.25 s + 1 + 2 + 4 + 8 + 16 + 30 s + 1 min + 15 min
    ck_assert_int_eq(ms, 250 + 61 * SECOND_MS + 16 * MINUTE_MS);
    of_policy_describe(&policy, text, sizeof text);
    ck_assert_str_eq(text, "1 + 2 + 6 parked + 2 tiers = 11 tries over about 17 min");
}
END_TEST

START_TEST(description_adds_up_whatever_the_limits)
{
    static const struct {
        int32_t maximum, immediate, parked;
        const char *text;
    } cases[] = {
        {1, 2, 6, "1 + 0 + 0 parked + 0 tiers = 1 tries over about 0.0 s"},
        {2, 2, 6, "1 + 1 + 0 parked + 0 tiers = 2 tries over about 0.1 s"},
        {5, 2, 6, "1 + 2 + 2 parked + 0 tiers = 5 tries over about 3.2 s"},
        {10, 2, 6, "1 + 2 + 6 parked + 1 tiers = 10 tries over about 2 min"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        of_policy policy = make(false);
        policy.maximum_attempts = cases[i].maximum;
        policy.immediate_attempts = cases[i].immediate;
        policy.parked_attempts = cases[i].parked;
        of_policy_describe(&policy, text, sizeof text);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

START_TEST(describing_cuts_at_the_room_given)
{
    char text[12];
    of_policy policy = make(false);
    of_policy_describe(&policy, text, sizeof text);
    ck_assert_str_eq(text, "1 + 2 + 6 p");
}
END_TEST

/* 0, .05, .25, 1.25, 3.25, 7.25, 15.25, 31.25 s */
START_TEST(first_tries_are_immediate_then_parked_and_doubling)
{
    static const struct {
        of_stage stage;
        int64_t delay;
    } expected[] = {
        {OF_STAGE_IMMEDIATE, 50}, {OF_STAGE_IMMEDIATE, 200}, {OF_STAGE_PARKED, 1000},
        {OF_STAGE_PARKED, 2000},  {OF_STAGE_PARKED, 4000},   {OF_STAGE_PARKED, 8000},
        {OF_STAGE_PARKED, 16000}, {OF_STAGE_PARKED, 30000},
    };
    of_policy policy = make(false);
    int64_t now = 1000000;
    for (int32_t n = 1; n <= 8; n++) {
        of_failure f = failure(n);
        f.now_ms = now;
        of_verdict verdict = of_policy_decide(&policy, &f);
        ck_assert_int_eq(verdict.stage, expected[n - 1].stage);
        ck_assert_int_eq(verdict.delay_ms, expected[n - 1].delay);
        ck_assert_int_eq(verdict.tier, -1);
        now += verdict.delay_ms;
    }
    of_failure f = failure(9);
    f.now_ms = now;
    of_verdict verdict = of_policy_decide(&policy, &f);
    ck_assert_int_eq(verdict.stage, OF_STAGE_RETRY);
    ck_assert_int_eq(verdict.tier, 0);
    ck_assert_int_eq(verdict.delay_ms, MINUTE_MS);
}
END_TEST

START_TEST(one_tier_after_the_other_then_dead)
{
    of_policy policy = make(false);
    of_failure f = failure(10);
    f.stage = OF_STAGE_RETRY;
    f.stage_attempt = 1;
    f.tier = 0;
    of_verdict verdict = of_policy_decide(&policy, &f);
    ck_assert_int_eq(verdict.stage, OF_STAGE_RETRY);
    ck_assert_int_eq(verdict.tier, 1);
    ck_assert_int_eq(verdict.delay_ms, 15 * MINUTE_MS);
    f.attempt = 11;
    f.tier = 1;
    verdict = of_policy_decide(&policy, &f);
    ck_assert_int_eq(verdict.stage, OF_STAGE_DEAD);
    ck_assert_int_eq(verdict.failure_class, OF_CLASS_RETRIES_EXHAUSTED);
}
END_TEST

START_TEST(delivery_from_a_tier_gets_one_try)
{
    of_policy policy = make(false);
    policy.maximum_attempts = 100;
    of_failure f = failure(4);
    f.stage = OF_STAGE_RETRY;
    f.stage_attempt = 1;
    f.tier = 1;
    ck_assert_int_eq(of_policy_decide(&policy, &f).stage, OF_STAGE_DEAD);
}
END_TEST

START_TEST(redrive_gets_one_try)
{
    of_policy policy = make(false);
    policy.maximum_attempts = 100;
    of_failure f = failure(1);
    f.stage = OF_STAGE_REDRIVE;
    ck_assert_int_eq(of_policy_decide(&policy, &f).stage, OF_STAGE_DEAD);
}
END_TEST

/* */
START_TEST(final_classes_die_at_once_and_keep_their_name)
{
    static const of_class classes[] = {
        OF_CLASS_DESERIALIZATION, OF_CLASS_SCHEMA,        OF_CLASS_UNKNOWN_TYPE, OF_CLASS_PERMANENT,
        OF_CLASS_EXPIRED,         OF_CLASS_HANDLER_CRASH, OF_CLASS_TOO_LARGE,    OF_CLASS_OPERATOR};
    of_policy policy = make(false);
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        of_failure f = failure(1);
        f.failure_class = classes[i];
        of_verdict verdict = of_policy_decide(&policy, &f);
        ck_assert(of_class_is_final(classes[i]));
        ck_assert_int_eq(verdict.stage, OF_STAGE_DEAD);
        ck_assert_int_eq(verdict.failure_class, classes[i]);
    }
}
END_TEST

START_TEST(transient_classes_are_not_final)
{
    ck_assert(!of_class_is_final(OF_CLASS_TRANSIENT));
    ck_assert(!of_class_is_final(OF_CLASS_TIMEOUT));
    ck_assert(!of_class_is_final(OF_CLASS_RETRIES_EXHAUSTED));
}
END_TEST

START_TEST(timeout_is_retried_and_keeps_its_name_when_dead)
{
    of_policy policy = make(false);
    of_failure f = failure(1);
    f.failure_class = OF_CLASS_TIMEOUT;
    ck_assert_int_eq(of_policy_decide(&policy, &f).stage, OF_STAGE_IMMEDIATE);
    f.attempt = 11;
    ck_assert_int_eq(of_policy_decide(&policy, &f).failure_class, OF_CLASS_TIMEOUT);
}
END_TEST

/* */
START_TEST(retry_after_is_kept_exactly)
{
    of_policy policy = make(false);
    of_failure f = failure(1);
    f.retry_after_ms = 5000;
    f.random = 0.99;
    of_verdict verdict = of_policy_decide(&policy, &f);
    ck_assert_int_eq(verdict.stage, OF_STAGE_PARKED);
    ck_assert_int_eq(verdict.delay_ms, 5000);
}
END_TEST

START_TEST(long_retry_after_takes_the_next_tier_that_is_as_long)
{
    of_policy policy = make(false);
    of_failure f = failure(1);
    f.retry_after_ms = 10 * MINUTE_MS;
    of_verdict verdict = of_policy_decide(&policy, &f);
    ck_assert_int_eq(verdict.stage, OF_STAGE_RETRY);
    ck_assert_int_eq(verdict.tier, 1);
    f.retry_after_ms = HOUR_MS; // longer than all
    ck_assert_int_eq(of_policy_decide(&policy, &f).tier, 1);
}
END_TEST

START_TEST(long_retry_after_of_a_strict_family_stays_here)
{
    of_policy policy = make(true);
    of_failure f = failure(1);
    f.retry_after_ms = HOUR_MS;
    of_verdict verdict = of_policy_decide(&policy, &f);
    ck_assert_int_eq(verdict.stage, OF_STAGE_PARKED);
    ck_assert_int_eq(verdict.delay_ms, HOUR_MS);
}
END_TEST

START_TEST(strict_family_is_tried_here_until_its_time_is_over)
{
    of_policy policy = make(true);
    int64_t now = 1000000;
    int32_t n = 1;
    of_verdict verdict;
    for (;; n++) {
        of_failure f = failure(n);
        f.now_ms = now;
        verdict = of_policy_decide(&policy, &f);
        if (verdict.stage == OF_STAGE_DEAD)
            break;
        ck_assert_int_ne(verdict.stage, OF_STAGE_RETRY);
        now += verdict.delay_ms;
        ck_assert_int_lt(n, 1000);
    }
    ck_assert_int_le(now - 1000000, 15 * MINUTE_MS);
    ck_assert_int_ge(now - 1000000, 14 * MINUTE_MS);
    int32_t tries;
    int64_t ms;
    of_policy_total(&policy, &tries, &ms);
    ck_assert_int_eq(tries, n);
}
END_TEST

/* */
START_TEST(too_old_is_dead_at_the_next_failure)
{
    of_policy policy = make(false);
    policy.maximum_age_ms = 10000;
    of_failure f = failure(2);
    f.now_ms = f.first_failed_ms + 10001;
    of_verdict verdict = of_policy_decide(&policy, &f);
    ck_assert_int_eq(verdict.stage, OF_STAGE_DEAD);
    ck_assert_int_eq(verdict.failure_class, OF_CLASS_RETRIES_EXHAUSTED);
}
END_TEST

START_TEST(exhausted_may_block_or_discard)
{
    of_policy policy = make(false);
    of_failure f = failure(11);
    policy.on_exhausted = OF_EXHAUSTED_BLOCK;
    of_verdict verdict = of_policy_decide(&policy, &f);
    ck_assert_int_eq(verdict.stage, OF_STAGE_PARKED);
    ck_assert_int_eq(verdict.delay_ms, policy.maximum_interval_ms);
    policy.on_exhausted = OF_EXHAUSTED_DISCARD;
    ck_assert_int_eq(of_policy_decide(&policy, &f).stage, OF_STAGE_DISCARDED);
}
END_TEST

START_TEST(jitter_stays_within_its_share)
{
    of_policy policy = make(false);
    of_failure f = failure(3);
    f.random = 0.0;
    ck_assert_int_eq(of_policy_decide(&policy, &f).delay_ms, 800);
    f.random = 0.999999;
    ck_assert_int_le(of_policy_decide(&policy, &f).delay_ms, 1200);
    ck_assert_int_ge(of_policy_decide(&policy, &f).delay_ms, 1199);
}
END_TEST

START_TEST(redrives_wait_four_times_longer_each_up_to_six_hours)
{
    of_policy policy = make(false);
    ck_assert_int_eq(of_policy_redrive_delay_ms(&policy, 0, 0.5), 5 * MINUTE_MS);
    ck_assert_int_eq(of_policy_redrive_delay_ms(&policy, 1, 0.5), 20 * MINUTE_MS);
    ck_assert_int_eq(of_policy_redrive_delay_ms(&policy, 2, 0.5), 80 * MINUTE_MS);
    ck_assert_int_eq(of_policy_redrive_delay_ms(&policy, 9, 0.5), 6 * HOUR_MS);
    ck_assert_int_eq(of_policy_redrive_delay_ms(&policy, 0, 0.0), 4 * MINUTE_MS);
}
END_TEST

START_TEST(strict_families_are_redriven_by_an_operator)
{
    ck_assert(make(true).redrive_by_operator_only);
    ck_assert(!make(false).redrive_by_operator_only);
    ck_assert_int_eq(make(true).tier_count, 0);
}
END_TEST

START_TEST(class_names_go_both_ways)
{
    for (int c = OF_CLASS_TRANSIENT; c <= OF_CLASS_OPERATOR; c++)
        ck_assert_int_eq(of_class_by_name(kc_str(of_class_name((of_class)c))), c);
    ck_assert_int_eq(of_class_by_name(KC_STR("nonsense")), OF_CLASS_NONE);
    ck_assert_int_eq(of_class_by_name(KC_NULL), OF_CLASS_NONE);
    ck_assert_str_eq(of_class_name((of_class)99), "unknown");
    ck_assert_str_eq(of_stage_name(OF_STAGE_REDRIVE), "redrive");
}
END_TEST

START_TEST(durations_are_read)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"500ms", 500},   {"2s", 2000},      {"5m", 300000},
                 {"6h", 21600000}, {"3d", 259200000}, {"0s", 0}};
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "5 s",
                                      "-1s",
                                      "1.5s",
                                      "5w",
                                      "5ss",
                                      "99999999999999999d",
                                      "99999999999999999999s"};
    int64_t ms;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert(of_duration_parse(kc_str(cases[i].text), &ms));
        ck_assert_int_eq(ms, cases[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!of_duration_parse(kc_str(bad[i]), &ms), "%s", bad[i]);
}
END_TEST

/* ---- by scope, from JSON ---- */

START_TEST(every_member_is_read)
{
    of_policy p =
        load("{\"email.send.request\": {"
             "\"initial_interval\": \"2s\", \"backoff_coefficient\": 3,"
             "\"maximum_interval\": 5000, \"jitter\": 0.5, \"immediate_attempts\": 1,"
             "\"parked_attempts\": 4, \"parked_max\": \"1m\", \"tiers\": [\"2s\", \"1h\"],"
             "\"maximum_attempts\": 9, \"maximum_age\": \"2h\","
             "\"on_exhausted\": \"block\", \"max_redrives\": 5,"
             "\"redrive_by_operator_only\": true, \"redrive_initial\": \"1s\","
             "\"redrive_coefficient\": 2.5, \"redrive_maximum\": \"1m\","
             "\"redrive_jitter\": 0, \"redrive_max_age\": \"1d\"}}",
             "email.send.request");
    ck_assert_int_eq(p.initial_interval_ms, 2000);
    ck_assert_double_eq(p.backoff_coefficient, 3.0);
    ck_assert_int_eq(p.maximum_interval_ms, 5000);
    ck_assert_double_eq(p.jitter, 0.5);
    ck_assert_int_eq(p.immediate_attempts, 1);
    ck_assert_int_eq(p.parked_attempts, 4);
    ck_assert_int_eq(p.parked_max_ms, MINUTE_MS);
    ck_assert_int_eq(p.tier_count, 2);
    ck_assert_str_eq(p.tiers[0].name, "2s");
    ck_assert_int_eq(p.tiers[1].delay_ms, HOUR_MS);
    ck_assert_int_eq(p.maximum_attempts, 9);
    ck_assert_int_eq(p.maximum_age_ms, 2 * HOUR_MS);
    ck_assert_int_eq(p.on_exhausted, OF_EXHAUSTED_BLOCK);
    ck_assert_int_eq(p.max_redrives, 5);
    ck_assert(p.redrive_by_operator_only);
    ck_assert_int_eq(p.redrive_initial_ms, 1000);
    ck_assert_double_eq(p.redrive_coefficient, 2.5);
    ck_assert_int_eq(p.redrive_maximum_ms, MINUTE_MS);
    ck_assert_double_eq(p.redrive_jitter, 0.0);
    ck_assert_int_eq(p.redrive_max_age_ms, 24 * HOUR_MS);
}
END_TEST

START_TEST(longest_prefix_and_type_change_only_what_they_name)
{
    static const char json[] = "{\"default\": {\"immediate_attempts\": 7, \"max_redrives\": 7},"
                               "\"email.*\": {\"immediate_attempts\": 8, \"parked_attempts\": 8},"
                               "\"email.send.*\": {\"parked_attempts\": 9},"
                               "\"email.send.request\": {\"maximum_attempts\": 3}}";
    of_policy p = load(json, "email.send.request");
    ck_assert_int_eq(p.max_redrives, 7);
    ck_assert_int_eq(p.immediate_attempts, 7); // "email.*" is not the longest
    ck_assert_int_eq(p.parked_attempts, 9);
    ck_assert_int_eq(p.maximum_attempts, 3);
    p = load(json, "email.other");
    ck_assert_int_eq(p.immediate_attempts, 8);
    ck_assert_int_eq(p.parked_attempts, 8);
    p = load(json, "calendar.schedule.request");
    ck_assert_int_eq(p.immediate_attempts, 7);
    ck_assert_int_eq(p.parked_attempts, 6);
}
END_TEST

START_TEST(strict_default_stays_under_an_overlay)
{
    of_policy p = load("{\"default\": {\"immediate_attempts\": 1}}", "employee.onboard");
    ck_assert(p.redrive_by_operator_only);
    ck_assert_int_eq(p.tier_count, 0);
    ck_assert_int_eq(p.immediate_attempts, 1);
}
END_TEST

START_TEST(later_load_replaces_a_scope)
{
    kc_error err;
    of_policies *policies = of_policies_new();
    ck_assert_int_eq(of_policies_load(policies, KC_STR("{\"a.b\":{\"max_redrives\":1}}"), &err),
                     KC_OK);
    ck_assert_int_eq(of_policies_load(policies, KC_STR("{\"a.b\":{\"max_redrives\":2}}"), &err),
                     KC_OK);
    ck_assert_int_eq(of_policies_get(policies, KC_STR("a.b")).max_redrives, 2);
    of_policies_free(policies);
}
END_TEST

START_TEST(set_policy_replaces_everything)
{
    of_policies *policies = of_policies_new();
    of_policy policy = make(false);
    policy.immediate_attempts = 0;
    ck_assert_int_eq(of_policies_set(policies, "employee.onboard", &policy), KC_OK);
    of_policy got = of_policies_get(policies, KC_STR("employee.onboard"));
    ck_assert_int_eq(got.immediate_attempts, 0);
    ck_assert(!got.redrive_by_operator_only);
    of_policies *copy = of_policies_copy(policies);
    of_policies_free(policies);
    ck_assert_int_eq(of_policies_get(copy, KC_STR("employee.onboard")).immediate_attempts, 0);
    of_policies_free(copy);
}
END_TEST

START_TEST(copy_keeps_overlays)
{
    kc_error err;
    of_policies *policies = of_policies_new();
    ck_assert_int_eq(of_policies_load(policies, KC_STR("{\"a.*\":{\"tiers\":[\"5s\"]}}"), &err),
                     KC_OK);
    of_policies *copy = of_policies_copy(policies);
    of_policies_free(policies);
    ck_assert_str_eq(of_policies_get(copy, KC_STR("a.b")).tiers[0].name, "5s");
    of_policies_free(copy);
}
END_TEST

START_TEST(bad_policies_are_refused_with_the_reason)
{
    refuse("", "JSON object");
    refuse("[]", "JSON object");
    refuse("{\"a\": 5}", "\"a\"");
    refuse("{\"a\": {\"immediate\": 1}}", "unknown member \"immediate\"");
    refuse("{\"a\": {\"immediate_attempts\": -1}}", "immediate_attempts");
    refuse("{\"a\": {\"immediate_attempts\": 1.5}}", "immediate_attempts");
    refuse("{\"a\": {\"immediate_attempts\": 2147483648}}", "immediate_attempts");
    refuse("{\"a\": {\"initial_interval\": \"2 s\"}}", "initial_interval");
    refuse("{\"a\": {\"initial_interval\": -5}}", "initial_interval");
    refuse("{\"a\": {\"jitter\": \"x\"}}", "jitter");
    refuse("{\"a\": {\"jitter\": 1.5}}", "jitter");
    refuse("{\"a\": {\"redrive_jitter\": 2}}", "redrive_jitter");
    refuse("{\"a\": {\"backoff_coefficient\": 0.5}}", "backoff_coefficient");
    refuse("{\"a\": {\"tiers\": \"1m\"}}", "tiers");
    refuse("{\"a\": {\"tiers\": [\"2m\", \"1m\"]}}", "tiers");
    refuse("{\"a\": {\"tiers\": [\"1s\",\"2s\",\"3s\",\"4s\",\"5s\"]}}", "tiers");
    refuse("{\"a\": {\"on_exhausted\": \"explode\"}}", "on_exhausted");
    refuse("{\"a\": {\"redrive_by_operator_only\": 1}}", "redrive_by_operator_only");
    refuse("{\"a\": {}", "at byte");
    refuse("{\"a\": {}} x", "at byte");
}
END_TEST

START_TEST(nothing_is_changed_by_a_policy_that_is_refused)
{
    kc_error err;
    of_policies *policies = of_policies_new();
    ck_assert_int_eq(of_policies_load(policies,
                                      KC_STR("{\"a.b\":{\"max_redrives\":1}, \"c\": {\"x\":1}}"),
                                      &err),
                     KC_ERR_CONFIG);
    ck_assert_int_eq(of_policies_get(policies, KC_STR("a.b")).max_redrives, 3);
    of_policies_free(policies);
}
END_TEST
