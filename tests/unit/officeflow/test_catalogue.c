/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The catalogue: every topic the seed names, with what messaging needs of it. */
#include "officeflow/catalogue.h"

#include <check.h>
#include <stdio.h>

#define HOUR_MS 3600000LL
#define DAY_MS  (24 * HOUR_MS)

static of_topic_spec find(const char *topic)
{
    of_topic_spec spec;
    ck_assert_msg(of_catalogue_find(kc_str(topic), &spec), "%s", topic);
    return spec;
}

static bool is_known(const char *topic)
{
    of_topic_spec spec;
    return of_catalogue_find(kc_str(topic), &spec);
}

static bool org_is_ok(const char *org)
{
    kc_error err;
    return of_org_id_check(kc_str(org), &err) == KC_OK;
}

START_TEST(every_topic_of_the_seed_is_there)
{
    static const char *const names[] = {
        "employee.onboard.org-1",
        "employee.exit.org-1",
        "employee.transfer.org-1",
        "employee.update.org-1",
        "workflow.run.request",
        "workflow.run.pause",
        "workflow.run.resume",
        "workflow.run.cancel",
        "node.execute.request",
        "node.execute.result",
        "node.execute.retry",
        "identity.provision.request",
        "identity.provision.result",
        "email.send.request",
        "email.send.result",
        "calendar.schedule.request",
        "calendar.schedule.result",
        "audit.events",
        "metrics.events",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char dlq[KC_TOPIC_NAME_MAX];
        ck_assert_msg(is_known(names[i]), "%s", names[i]);
        snprintf(dlq, sizeof dlq, "dlq.%s", names[i]);
        ck_assert_msg(is_known(dlq), "%s", dlq);
    }
}
END_TEST

START_TEST(partitions_and_retention_are_the_tables)
{
    static const struct {
        const char *topic;
        int32_t partitions;
        int64_t retention_ms;
        of_order order;
    } table[] = {
        {"employee.onboard.org-1", 3, 30 * DAY_MS, OF_ORDER_STRICT},
        {"workflow.run.request", 12, 7 * DAY_MS, OF_ORDER_STRICT},
        {"node.execute.request", 12, 3 * DAY_MS, OF_ORDER_RELAXED},
        {"node.execute.result", 12, 3 * DAY_MS, OF_ORDER_STRICT},
        {"email.send.request", 6, 7 * DAY_MS, OF_ORDER_RELAXED},
        {"email.send.result", 6, 7 * DAY_MS, OF_ORDER_STRICT},
        {"audit.events", 6, 400 * DAY_MS, OF_ORDER_STRICT},
        {"metrics.events", 3, DAY_MS, OF_ORDER_NONE},
        {"retry.email-service.1m", 6, 14 * DAY_MS, OF_ORDER_NONE},
        {"retry.anything.now", 6, 14 * DAY_MS, OF_ORDER_NONE},
        {"quarantine.audit.events", 1, 90 * DAY_MS, OF_ORDER_NONE},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        of_topic_spec spec = find(table[i].topic);
        ck_assert_int_eq(spec.partitions, table[i].partitions);
        ck_assert_int_eq(spec.retention_ms, table[i].retention_ms);
        ck_assert_int_eq(spec.order, table[i].order);
    }
}
END_TEST

START_TEST(workflow_control_topics_are_co_partitioned)
{
    static const char *const names[] = {"request", "pause", "resume", "cancel"};
    for (size_t i = 0; i < 4; i++) {
        char topic[64];
        snprintf(topic, sizeof topic, "workflow.run.%s", names[i]);
        ck_assert_int_eq(find(topic).partitions, 12);
    }
}
END_TEST

START_TEST(dead_letters_are_kept_twice_as_long_as_their_source)
{
    ck_assert_int_eq(find("dlq.email.send.request").retention_ms, 30 * DAY_MS);
    ck_assert_int_eq(find("dlq.employee.onboard.org-1").retention_ms, 60 * DAY_MS);
    ck_assert_int_eq(find("dlq.audit.events").retention_ms, 800 * DAY_MS);
}
END_TEST

START_TEST(dlq_of_an_organisation_has_one_partition_others_three)
{
    ck_assert_int_eq(find("dlq.employee.exit.org-1").partitions, 1);
    ck_assert_int_eq(find("dlq.email.send.request").partitions, 3);
}
END_TEST

START_TEST(dead_letters_have_room_for_their_headers)
{
    ck_assert_int_eq(find("dlq.email.send.request").max_message_bytes, 1048588 + 128 * 1024);
    ck_assert_int_eq(find("quarantine.email.send.request").max_message_bytes, 1048588 + 128 * 1024);
}
END_TEST

START_TEST(retry_topics_are_stamped_by_the_broker_and_dlq_topics_are_not)
{
    ck_assert(find("retry.email-service.15m").is_log_append_time);
    ck_assert(!find("dlq.email.send.request").is_log_append_time);
}
END_TEST

START_TEST(state_and_control_are_compacted)
{
    ck_assert(find("officeflow.dlq-state").is_compacted);
    ck_assert_int_eq(find("officeflow.dlq-state").partitions, 6);
    ck_assert(find("officeflow.control").is_compacted);
    ck_assert_int_eq(find("officeflow.control").partitions, 1);
}
END_TEST

START_TEST(every_group_has_its_retry_topics)
{
    for (size_t g = 0; of_catalogue_group(g); g++) {
        static const char *const tiers[] = {"1m", "15m", "now"};
        for (size_t t = 0; t < 3; t++) {
            char name[64];
            bool is_listed = false;
            snprintf(name, sizeof name, "retry.%s.%s", of_catalogue_group(g)->name, tiers[t]);
            for (size_t i = 0; of_catalogue_topic(i); i++)
                is_listed |= strcmp(of_catalogue_topic(i)->name, name) == 0;
            ck_assert_msg(is_listed, "%s", name);
        }
    }
}
END_TEST

START_TEST(no_topic_is_listed_twice)
{
    for (size_t i = 0; of_catalogue_topic(i); i++)
        for (size_t j = i + 1; of_catalogue_topic(j); j++)
            ck_assert_str_ne(of_catalogue_topic(i)->name, of_catalogue_topic(j)->name);
}
END_TEST

START_TEST(strangers_are_not_found)
{
    ck_assert(!is_known("employee.onboard"));
    ck_assert(!is_known("employee.onboard."));
    ck_assert(!is_known("employee.onboard.a.b"));
    ck_assert(!is_known("employee.onboard.a_b"));
    ck_assert(!is_known("employee.hired.org-1"));
    ck_assert(!is_known("dlq."));
    ck_assert(!is_known("retry."));
    ck_assert(!is_known("my.topic"));
    ck_assert(!is_known(""));
}
END_TEST

START_TEST(dlq_of_any_topic_is_the_platforms)
{
    ck_assert_str_eq(find("dlq.my.own.topic").family, "dlq");
    ck_assert_str_eq(find("quarantine.my.own.topic").family, "quarantine");
}
END_TEST

START_TEST(eight_groups_read_what_the_seed_says)
{
    static const struct {
        const char *group, *topic;
    } reads[] = {
        {"workflow-engine", "employee.onboard.org-1"},
        {"workflow-engine", "workflow.run.cancel"},
        {"workflow-engine", "node.execute.result"},
        {"identity-service", "identity.provision.request"},
        {"email-service", "email.send.request"},
        {"calendar-service", "calendar.schedule.request"},
        {"slack-service", "slack.message.request"},
        {"document-service", "document.generate.request"},
        {"ai-service", "ai.content.request"},
        {"audit-service", "audit.events"},
    };
    size_t count = 0;
    while (of_catalogue_group(count))
        count++;
    ck_assert_uint_eq(count, 8);
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        const of_group_spec *group = of_catalogue_find_group(kc_str(reads[i].group));
        ck_assert_ptr_nonnull(group);
        bool is_read = false;
        for (size_t p = 0; p < 8 && group->patterns[p]; p++)
            is_read |= of_pattern_match(kc_str(group->patterns[p]), kc_str(reads[i].topic));
        ck_assert_msg(is_read, "%s %s", reads[i].group, reads[i].topic);
    }
    ck_assert_ptr_null(of_catalogue_find_group(KC_STR("nobody")));
}
END_TEST

START_TEST(strict_types_are_known)
{
    ck_assert(of_type_is_strict(KC_STR("employee.onboard")));
    ck_assert(of_type_is_strict(KC_STR("workflow.run.cancel")));
    ck_assert(of_type_is_strict(KC_STR("node.execute.result")));
    ck_assert(of_type_is_strict(KC_STR("email.send.result")));
    ck_assert(of_type_is_strict(KC_STR("audit.events")));
    ck_assert(!of_type_is_strict(KC_STR("email.send.request")));
    ck_assert(!of_type_is_strict(KC_STR("node.execute.request")));
    ck_assert(!of_type_is_strict(KC_STR("node.execute.retry")));
    ck_assert(!of_type_is_strict(KC_STR("metrics.events")));
    ck_assert(!of_type_is_strict(KC_STR("nonsense")));
    ck_assert(!of_type_is_strict(KC_NULL));
}
END_TEST

START_TEST(family_order_agrees_with_its_topics)
{
    for (size_t i = 0; of_catalogue_topic(i); i++) {
        const of_topic_spec *spec = of_catalogue_topic(i);
        kc_bytes type = kc_str(spec->name);
        if (strchr(spec->name, '{')) // "employee.onboard.{org}": without its organisation
            type.len = (size_t)(strchr(spec->name, '{') - spec->name) - 1;
        const of_family *family = of_family_of(type);
        if (family)
            ck_assert_msg(family->order == spec->order, "%s", spec->name);
    }
}
END_TEST

START_TEST(results_of_one_run_share_its_key)
{
    const of_family *family = of_family_of(KC_STR("node.execute.result"));
    ck_assert_str_eq(family->key_pointers[0], "/metadata/workflowRunId");
    family = of_family_of(KC_STR("email.send.result"));
    ck_assert_str_eq(family->key_pointers[0], "/metadata/workflowRunId");
    ck_assert(family->key_is_correlation);
    family = of_family_of(KC_STR("email.send.request"));
    ck_assert_str_eq(family->key_pointers[0], "/metadata/employeeId");
    ck_assert(of_family_of(KC_STR("employee.exit"))->is_per_org);
    ck_assert(of_family_of(KC_STR("audit.events"))->key_is_organization);
}
END_TEST

/* T-05 */
START_TEST(organisation_ids)
{
    char longest[66];
    kc_error err;
    ck_assert(org_is_ok("org-123"));
    ck_assert(org_is_ok("A"));
    ck_assert(org_is_ok("9"));
    ck_assert(!org_is_ok(""));
    ck_assert(!org_is_ok("a_b"));
    ck_assert(!org_is_ok("a.b"));
    ck_assert(!org_is_ok("-a"));
    ck_assert(!org_is_ok("a b"));
    ck_assert(!org_is_ok("\xc3\xa4"));
    memset(longest, 'a', sizeof longest);
    longest[65] = 0;
    ck_assert(!org_is_ok(longest));
    longest[64] = 0;
    ck_assert(org_is_ok(longest));
    ck_assert_int_eq(of_org_id_check(KC_STR("a_b"), &err), KC_ERR_ARGUMENT);
    ck_assert(strstr(err.text, "a_b") && strstr(err.text, "'_'"));
}
END_TEST
