/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow policy: what happens to an event that fails, in numbers. */
#include "officeflow/cli/verbs.h"

#include <stdio.h>

/** A number of tries that is no limit. */
#define MANY 1000000

static struct {
    bool as_json;
} opt;

/** Times as they are, factors as they are said. */
static void print_json(const char *group, const char *type, const of_policy *policy, int32_t tries,
                       int64_t total_ms)
{
    static const char *const exhausted[] = {"dlq", "block", "discard"};
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_str(&json, "group", group);
    kb_json_member_str(&json, "type", type);
    kb_json_member_bool(&json, "strict", of_type_is_strict(kc_str(type)));
    kb_json_member_int(&json, "immediate_attempts", policy->immediate_attempts);
    kb_json_member_int(&json, "parked_attempts", policy->parked_attempts);
    kb_json_member_int(&json, "parked_max_ms", policy->parked_max_ms);
    kb_json_member_int(&json, "initial_interval_ms", policy->initial_interval_ms);
    kb_json_key_str(&json, "backoff_coefficient");
    kb_json_double(&json, policy->backoff_coefficient);
    kb_json_member_int(&json, "maximum_interval_ms", policy->maximum_interval_ms);
    kb_json_key_str(&json, "tiers");
    kb_json_array(&json);
    for (int32_t i = 0; i < policy->tier_count; i++)
        kb_json_str(&json, policy->tiers[i].name);
    kb_json_array_end(&json);
    kb_json_member_int(&json, "maximum_attempts", policy->maximum_attempts);
    kb_json_member_int(&json, "maximum_age_ms", policy->maximum_age_ms);
    kb_json_member_str(&json, "on_exhausted", exhausted[policy->on_exhausted]);
    kb_json_member_int(&json, "max_redrives", policy->max_redrives);
    kb_json_member_bool(&json, "redrive_by_operator_only", policy->redrive_by_operator_only);
    kb_json_member_int(&json, "total_tries", tries);
    kb_json_member_int(&json, "total_ms", total_ms);
    kb_json_object_end(&json);
    cli_json_end();
}

static void print_redrives(const of_policy *policy)
{
    char text[24];
    cli_printf("  redrive     ");
    if (policy->redrive_by_operator_only) {
        cli_printf("by an operator only: a late one could overtake what came after it\n");
        return;
    }
    for (int32_t n = 0; n < policy->max_redrives && n < 10; n++)
        cli_printf("%s%s", n > 0 ? ", then " : "after ",
                   cli_duration(of_policy_redrive_delay_ms(policy, n, 0.5), text));
    cli_printf("%squarantine\n", policy->max_redrives > 0 ? ", then " : "at once ");
}

static void print_immediate(const of_policy *policy)
{
    int32_t tries = policy->immediate_attempts;
    if (tries == 0)
        cli_printf("  immediate   none\n");
    else
        cli_printf("  immediate   %d more in the same place, after 50 ms%s\n", tries,
                   tries == 1   ? ""
                   : tries == 2 ? " and 200 ms"
                                : ", then 200 ms each");
}

static void print_text(const char *group, const char *type, const of_policy *policy)
{
    char text[160], interval[24];
    of_policy_describe(policy, text, sizeof text);
    cli_styled(CLI_BOLD, "%s", text);
    cli_printf("\n  type        %s, handled by %s, %s order\n", type, group,
               of_type_is_strict(kc_str(type)) ? "strict" : "relaxed");
    print_immediate(policy);
    cli_printf("  parked      ");
    if (policy->parked_attempts < MANY)
        cli_printf("up to %d, ", policy->parked_attempts);
    cli_printf("waiting %s", cli_duration(policy->initial_interval_ms, interval));
    cli_printf(" × %.4g each time, at most %s", policy->backoff_coefficient,
               cli_duration(policy->maximum_interval_ms, interval));
    cli_printf(", %s in all\n", cli_duration(policy->parked_max_ms, interval));
    cli_printf("  delayed     ");
    for (int32_t i = 0; i < policy->tier_count; i++)
        cli_printf("%s%s", i > 0 ? ", then " : "after ", policy->tiers[i].name);
    cli_printf("%s\n", policy->tier_count == 0 ? "none: it would lose its place in the order" : "");
    cli_printf("  then        %s\n", policy->on_exhausted == OF_EXHAUSTED_DLQ     ? "dead letter"
                                     : policy->on_exhausted == OF_EXHAUSTED_BLOCK ? "tried for ever"
                                                                                  : "discarded");
    if (policy->on_exhausted == OF_EXHAUSTED_DLQ)
        print_redrives(policy);
}

static int run_show(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    const char *group = words.items[0], *type = words.items[1];
    kc_error err;
    if (of_pattern_check(kc_str(type), &err) != KC_OK)
        return cli_fail("policy show", &err);
    of_policy policy = of_policies_get(session->config.policies, kc_str(type));
    int32_t tries;
    int64_t total_ms;
    of_policy_total(&policy, &tries, &total_ms);
    if (opt.as_json)
        print_json(group, type, &policy, tries, total_ms);
    else
        print_text(group, type, &policy);
    return CLI_OK;
}

static const cli_option options[] = {
    {0, "json", CLI_FLAG, &opt.as_json, NULL, "one JSON line", 0, 0},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_policy_verbs[] = {
    {.name = "policy show",
     .arguments = "GROUP TYPE",
     .summary = "Say how often and when a failed event is tried again",
     .help = "With --config, by the policies of that file. Asks no broker.",
     .options = options,
     .words_min = 2,
     .words_max = 2,
     .run = run_show},
    {.name = NULL},
};
