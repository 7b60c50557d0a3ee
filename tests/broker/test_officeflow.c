/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The platform against a real Kafka: topics, sending, retries. */
#include "tests/broker/broker.h"
#include "tests/broker/of_world.h"

#include <kafkac/admin.h>

#include <check.h>
#include <stdio.h>

#define DAY_MS 86400000LL

static const char quick[] =
    "{\"default\": {\"initial_interval\": \"20ms\", \"parked_attempts\": 1, \"tiers\": [],"
    "\"maximum_attempts\": 3, \"jitter\": 0}}";

static of_plan *plan_extra(world *w, const of_topic_spec *spec, bool allow_shrink)
{
    kc_error err = {0};
    of_plan *plan;
    of_plan_options options = {
        .orgs_only = true, .extra = spec, .extra_count = 1, .allow_shrink = allow_shrink};
    kc_err result = of_topics_plan(w->platform, &options, WORLD_WAIT_MS, &plan, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    return plan;
}

static void apply(world *w, of_plan *plan)
{
    kc_error err = {0};
    kc_err result = of_topics_apply(w->platform, plan, WORLD_WAIT_MS, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
}

static void make(world *w, const of_topic_spec *spec)
{
    of_plan *plan = plan_extra(w, spec, false);
    apply(w, plan);
    of_plan_free(plan);
}

/* T-01 */
START_TEST(setting_up_twice_changes_nothing_the_second_time)
{
    world w;
    kc_error err = {0};
    of_plan *plan;
    world_open(&w, NULL);
    kc_err result = of_topics_create_all(w.platform, 2 * WORLD_WAIT_MS, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    result = of_topics_plan(w.platform, NULL, WORLD_WAIT_MS, &plan, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    char drift[1024] = "";
    size_t shared = 0, ok = of_plan_count(plan, OF_CHANGE_OK);
    int32_t brokers = of_plan_brokers(plan);
    for (size_t i = 0; of_plan_change(plan, i); i++)
        if (of_plan_change(plan, i)->kind != OF_CHANGE_OK)
            snprintf(drift, sizeof drift, "%s: %s", of_plan_change(plan, i)->topic,
                     of_plan_change(plan, i)->detail);
    of_plan_free(plan);
    world_close(&w);
    for (size_t i = 0; of_catalogue_topic(i); i++)
        shared += of_catalogue_topic(i)->is_template ? 0 : 1;
    ck_assert_str_eq(drift, "");
    ck_assert_uint_eq(ok, shared);
    ck_assert_int_eq(brokers, broker_count());
}
END_TEST

/* T-02 */
START_TEST(longer_retention_is_an_alter_and_is_made)
{
    world w;
    world_open(&w, NULL);
    of_topic_spec spec = {.name = w.topic, .partitions = 1, .retention_ms = 7 * DAY_MS};
    make(&w, &spec);
    spec.retention_ms = 400 * DAY_MS;
    of_plan *plan = plan_extra(&w, &spec, false);
    ck_assert_int_eq(of_plan_change(plan, 0)->kind, OF_CHANGE_ALTER);
    ck_assert_str_eq(of_plan_change(plan, 0)->detail, "retention.ms 604800000 -> 34560000000");
    apply(&w, plan);
    of_plan_free(plan);
    plan = plan_extra(&w, &spec, false);
    ck_assert_int_eq(of_plan_change(plan, 0)->kind, OF_CHANGE_OK);
    of_plan_free(plan);
    world_close(&w);
}
END_TEST

START_TEST(shorter_retention_is_refused_unless_allowed)
{
    world w;
    world_open(&w, NULL);
    of_topic_spec spec = {.name = w.topic, .partitions = 1, .retention_ms = 7 * DAY_MS};
    make(&w, &spec);
    spec.retention_ms = DAY_MS;
    of_plan *plan = plan_extra(&w, &spec, false);
    ck_assert_int_eq(of_plan_change(plan, 0)->kind, OF_CHANGE_REFUSE);
    apply(&w, plan); // carries out the others
    of_plan_free(plan);
    plan = plan_extra(&w, &spec, true);
    ck_assert_int_eq(of_plan_change(plan, 0)->kind, OF_CHANGE_ALTER);
    of_plan_free(plan);
    world_close(&w);
}
END_TEST

/* T-03 */
START_TEST(other_partition_counts_are_refused)
{
    world w;
    world_open(&w, NULL);
    of_topic_spec spec = {.name = w.topic, .partitions = 4, .retention_ms = DAY_MS};
    make(&w, &spec);
    static const int32_t counts[] = {2, 8};
    for (size_t i = 0; i < 2; i++) {
        spec.partitions = counts[i];
        of_plan *plan = plan_extra(&w, &spec, true);
        ck_assert_int_eq(of_plan_change(plan, 0)->kind, OF_CHANGE_REFUSE);
        ck_assert_int_eq(of_plan_change(plan, 0)->partitions, 4);
        apply(&w, plan);
        of_plan_free(plan);
    }
    world_close(&w);
}
END_TEST

/** What a group has committed for partition 0; -1: nothing. */
static int64_t committed(world *w, const char *group, const char *topic)
{
    kc_error err = {0};
    kc_topic_partition place = {kc_str(topic), 0};
    kc_client *client = of_platform_client(w->platform);
    kc_admin_waiter waiter = {0};
    kc_err result = kc_admin_list_group_offsets(client, kc_str(group), &place, 1, NULL,
                                                kc_admin_waiter_fn, &waiter, &err);
    if (result == KC_OK)
        result = kc_admin_wait(client, &waiter, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    size_t count;
    const kc_topic_offset *offsets = kc_admin_offsets(waiter.result, &count);
    ck_assert_uint_eq(count, 1);
    int64_t offset = offsets[0].offset;
    kc_admin_free(waiter.result);
    return offset;
}

START_TEST(groups_are_set_up_for_a_new_organisation)
{
    world w;
    world_open(&w, NULL);
    world_make_org(&w);
    ck_assert_int_eq(committed(&w, "workflow-engine", w.topic), 0);
    ck_assert_int_eq(committed(&w, "email-service", w.topic), -1);
    world_close(&w);
}
END_TEST

/* T-05 */
START_TEST(organisation_has_four_topics_and_four_dead_letter_topics)
{
    world w;
    kc_error err = {0};
    of_plan *plan;
    world_open(&w, NULL);
    kc_err result = of_topics_create_org(w.platform, w.org, WORLD_WAIT_MS, &plan, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    size_t lifecycle = 0, dlq = 0;
    for (size_t i = 0; of_plan_change(plan, i); i++) {
        const char *topic = of_plan_change(plan, i)->topic;
        lifecycle += strncmp(topic, "employee.", 9) == 0 ? 1 : 0;
        dlq += strncmp(topic, "dlq.employee.", 13) == 0 ? 1 : 0;
        if (strstr(topic, w.org))
            ck_assert_int_eq(of_plan_change(plan, i)->kind, OF_CHANGE_CREATE);
    }
    ck_assert_uint_eq(lifecycle, 4);
    ck_assert_uint_eq(dlq, 4);
    of_plan_free(plan);
    result = of_topics_create_org(w.platform, w.org, WORLD_WAIT_MS, &plan, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    ck_assert_uint_eq(of_plan_count(plan, OF_CHANGE_CREATE), 0);
    ck_assert_uint_eq(of_plan_count(plan, OF_CHANGE_OK), 9); // and officeflow.control
    of_plan_free(plan);
    ck_assert_int_eq(of_topics_create_org(w.platform, "a_b", WORLD_WAIT_MS, NULL, &err),
                     KC_ERR_ARGUMENT);
    ck_assert_int_eq(of_topics_create_org(w.platform, "a.b", WORLD_WAIT_MS, NULL, &err),
                     KC_ERR_ARGUMENT);
    world_close(&w);
}
END_TEST

/* T-07 */
START_TEST(seeding_keeps_what_is_committed_and_fills_the_rest)
{
    world w;
    kc_error err = {0};
    of_group_seed seeds[8];
    size_t count;
    world_open(&w, NULL);
    kc_err result = of_topics_create_all(w.platform, 2 * WORLD_WAIT_MS, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    result = of_topics_seed_groups(w.platform, WORLD_WAIT_MS, seeds, &count, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    ck_assert_uint_eq(count, 8);
    for (size_t i = 0; i < count; i++) // its topics and its three retry topics
        ck_assert_int_ge(seeds[i].seeded + seeds[i].kept, 6 + 3 * 6);
    result = of_topics_seed_groups(w.platform, WORLD_WAIT_MS, seeds, &count, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(seeds[i].seeded == 0 || strcmp(seeds[i].group, "workflow-engine") == 0,
                      "%s seeded again", seeds[i].group); // other tests make organisations
    world_close(&w);
}
END_TEST

/* P-01 */
START_TEST(seeds_producer_example_arrives_as_documented)
{
    world w;
    kc_error err = {0};
    char topic[120], value[1024];
    world_open(&w, NULL);
    world_make_org(&w);
    of_event event = {
        .payload = KC_STR("{\"employeeId\":\"emp-456\",\"name\":\"John Doe\",\"department\":"
                          "\"Engineering\"}"),
        .metadata = KC_STR("{\"source\":\"hrms-adapter\",\"employeeId\":\"emp-456\"}"),
    };
    kc_err result =
        of_producer_send_org(w.producer, "employee.onboard", w.org, &event, NULL, NULL, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    ck_assert_int_eq(of_producer_flush(w.producer, WORLD_WAIT_MS), KC_OK);
    snprintf(topic, sizeof topic, "employee.onboard.%s", w.org);
    world_read(&w, topic);
    ck_assert_uint_eq(w.record_count, 1);
    const world_record *record = &w.records[0];
    ck_assert(kc_bytes_equal(record->key, KC_STR("emp-456")));
    snprintf(value, sizeof value, KC_FMT, KC_ARG(record->value));
    static const char *const members[] = {"id",          "type",           "version",
                                          "timestamp",   "organizationId", "correlationId",
                                          "causationId", "metadata",       "payload"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        char quoted[32];
        snprintf(quoted, sizeof quoted, "\"%s\":", members[i]);
        ck_assert_msg(strstr(value, quoted) != NULL, "%s in %s", quoted, value);
    }
    static const char *const headers[][2] = {{"content-type", "application/json"},
                                             {"of-envelope", "1"},
                                             {"of-type", "employee.onboard"},
                                             {"of-version", "1.0"},
                                             {"of-source", "hrms-adapter"}};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        ck_assert_str_eq(world_header(record, headers[i][0]), headers[i][1]);
    ck_assert_str_eq(world_header(record, "of-org"), w.org);
    const char *parent = world_header(record, "traceparent");
    ck_assert_uint_eq(strlen(parent), 55);
    ck_assert_int_eq(strncmp(parent, "00-", 3), 0);
    ck_assert_uint_eq(strlen(world_header(record, "of-correlation-id")), 36);
    world_close(&w);
}
END_TEST

/* */
START_TEST(two_failures_then_success_are_three_tries_of_one_delivery)
{
    char dlq[160], retry[160];
    world w;
    world_open(&w, NULL);
    world_make_topics(&w, 1, (const char *const[]){"1m"}, 1);
    w.fail_first = 2;
    world_start_consumer(&w);
    world_send(&w, "{\"n\":1}", "k");
    world_wait(&w, &w.notices[OF_NOTICE_HANDLED], 1);
    ck_assert_uint_eq(w.call_count, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(w.calls[i].attempt, (int)i + 1);
    ck_assert_int_eq(w.calls[2].stage, OF_STAGE_IMMEDIATE);
    snprintf(dlq, sizeof dlq, "dlq.%s", w.topic);
    snprintf(retry, sizeof retry, "retry.%s.1m", w.group);
    world_read(&w, dlq);
    ck_assert_uint_eq(w.record_count, 0);
    world_read(&w, retry);
    ck_assert_uint_eq(w.record_count, 0);
    world_close(&w);
}
END_TEST

/* */
START_TEST(permanent_failure_is_one_try_and_a_dead_letter)
{
    char dlq[160];
    world w;
    world_open(&w, NULL);
    world_make_topics(&w, 1, NULL, 0);
    w.fail_first = -1;
    w.failure = OF_PERMANENT;
    world_start_consumer(&w);
    world_send(&w, "{\"n\":1}", "k");
    world_wait(&w, &w.notices[OF_NOTICE_DEAD], 1);
    ck_assert_uint_eq(w.call_count, 1);
    snprintf(dlq, sizeof dlq, "dlq.%s", w.topic);
    world_read(&w, dlq);
    ck_assert_uint_eq(w.record_count, 1);
    ck_assert_str_eq(world_header(&w.records[0], "of-dlq-class"), "permanent");
    ck_assert_str_eq(world_header(&w.records[0], "of-dlq-code"), "told_to");
    ck_assert_str_eq(world_header(&w.records[0], "of-dlq-id"), w.dead_id);
    world_close(&w);
}
END_TEST

/* */
START_TEST(broken_json_is_dead_at_once_with_its_bytes)
{
    char dlq[160];
    world w;
    world_open(&w, NULL);
    world_make_topics(&w, 1, NULL, 0);
    world_start_consumer(&w);
    world_send_raw(&w, w.topic, "{\"broken", "k", NULL, 0, 0);
    world_wait(&w, &w.notices[OF_NOTICE_DEAD], 1);
    ck_assert_uint_eq(w.notices[OF_NOTICE_FAILED], 1); // no other try
    ck_assert_uint_eq(w.call_count, 0);
    snprintf(dlq, sizeof dlq, "dlq.%s", w.topic);
    world_read(&w, dlq);
    ck_assert_uint_eq(w.record_count, 1);
    ck_assert(kc_bytes_equal(w.records[0].value, KC_STR("{\"broken")));
    ck_assert_str_eq(world_header(&w.records[0], "of-dlq-class"), "deserialization");
    world_close(&w);
}
END_TEST

/* D-01 */
START_TEST(exhausted_record_lies_beside_its_partition_with_all_headers)
{
    char dlq[160], text[24];
    world w;
    world_open(&w, quick);
    world_make_topics(&w, 5, NULL, 0);
    w.fail_first = -1;
    world_start_consumer(&w);
    kc_header foreign[] = {{KC_STR("x-b"), KC_STR("1")},
                           {KC_STR("of-type"), kc_str(w.type)},
                           {KC_STR("x-a"), KC_STR("2")},
                           {KC_STR("x-b"), KC_STR("3")}};
    char value[256];
    snprintf(value, sizeof value, "{\"type\":\"%s\",\"payload\":{\"n\":9007199254740993}}", w.type);
    world_send_raw(&w, w.topic, value, "k", foreign, 4, 4);
    world_wait(&w, &w.notices[OF_NOTICE_DEAD], 1);
    ck_assert_uint_eq(w.call_count, 3);
    snprintf(dlq, sizeof dlq, "dlq.%s", w.topic);
    world_read(&w, dlq);
    ck_assert_uint_eq(w.record_count, 1);
    const world_record *dead = &w.records[0];
    ck_assert_int_eq(dead->partition, 4 % 3);
    ck_assert(kc_bytes_equal(dead->value, kc_str(value)));
    for (size_t i = 0; i < 4; i++) {
        ck_assert(kc_bytes_equal(dead->headers[i].name, foreign[i].name));
        ck_assert(kc_bytes_equal(dead->headers[i].value, foreign[i].value));
    }
    ck_assert_str_eq(world_header(dead, "__dlq.errors.topic"), w.topic);
    ck_assert_str_eq(world_header(dead, "__dlq.errors.partition"), "4");
    ck_assert_str_eq(world_header(dead, "__dlq.errors.offset"), "0");
    ck_assert_str_eq(world_header(dead, "__dlq.errors.group"), w.group);
    snprintf(text, sizeof text, "%d", 3);
    ck_assert_str_eq(world_header(dead, "__dlq.errors.delivery.count"), text);
    ck_assert_str_eq(world_header(dead, "of-dlq-class"), "retries_exhausted");
    for (size_t i = 4; i < dead->header_count; i++) // ours: one value a name
        for (size_t j = i + 1; j < dead->header_count; j++)
            ck_assert(!kc_bytes_equal(dead->headers[i].name, dead->headers[j].name));
    world_close(&w);
}
END_TEST
