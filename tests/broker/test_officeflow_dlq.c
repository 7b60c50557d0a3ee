/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Dead letters against a real Kafka: redrive, quarantine, what is left to an operator, list,
 * replay, timeline. One handler group reads all DLQ topics of the cluster, so these tests run one
 * by one. */
#include "tests/broker/of_world.h"

#include <check.h>
#include <stdio.h>

/* one try, then dead; redriven at once, up to three times */
static const char at_once[] =
    "{\"default\": {\"immediate_attempts\": 0, \"parked_attempts\": 0, \"tiers\": [],"
    "\"maximum_attempts\": 1, \"redrive_initial\": \"50ms\", \"redrive_coefficient\": 1,"
    "\"redrive_jitter\": 0}}";
/* the same, but nothing is redriven while a test lasts */
static const char much_later[] =
    "{\"default\": {\"immediate_attempts\": 0, \"parked_attempts\": 0, \"tiers\": [],"
    "\"maximum_attempts\": 1, \"redrive_initial\": \"1h\", \"redrive_maximum\": \"1h\"}}";

static void begin(world *w, const char *policy)
{
    world_open(w, policy);
    world_make_topics(w, 1, NULL, 0);
    w->fail_first = -1;
    world_start_consumer(w);
}

/* ---- listing ---- */

typedef struct letters {
    size_t count, scheduled;
    of_dead_letter last;
    char topic[160];
} letters;

static bool on_letter(const of_dead_letter *letter, void *user)
{
    letters *l = user;
    l->count++;
    l->scheduled += letter->state == OF_DEAD_SCHEDULED ? 1 : 0;
    l->last = *letter;
    snprintf(l->topic, sizeof l->topic, KC_FMT, KC_ARG(letter->dlq_topic));
    return true;
}

static letters list_by(world *w, const of_dead_filter *filter)
{
    kc_error err = {0};
    letters l = {0};
    kc_err result = of_dlq_list(w->platform, filter, WORLD_WAIT_MS, on_letter, &l, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    return l;
}

static letters list(world *w)
{
    return list_by(w, &(of_dead_filter){.group = w->group, .with_resolved = true});
}

/** Once so many are scheduled for all: the notice comes before its state is in the log. */
static letters list_scheduled(world *w, size_t count)
{
    int64_t deadline = kc_clock_monotonic_us() + WORLD_WAIT_MS * 1000LL;
    letters l = list(w);
    while (l.scheduled < count) {
        ck_assert_int_lt(kc_clock_monotonic_us(), deadline);
        l = list(w);
    }
    return l;
}

static of_replay_result replay(world *w, of_replay_options *options)
{
    kc_error err = {0};
    of_replay_result result;
    options->timeout_ms = WORLD_WAIT_MS;
    if (!options->filter.id)
        options->filter.group = w->group;
    kc_err replayed = of_dlq_replay(w->platform, options, &result, &err);
    ck_assert_msg(replayed == KC_OK, "%s", err.text);
    return result;
}

/* D-04, C-02 */
START_TEST(cause_that_was_cured_is_redriven_and_resolved)
{
    char dlq[160];
    world w;
    begin(&w, at_once);
    world_start_dlq(&w);
    w.fail_first = 1;
    world_send(&w, "{\"n\":9007199254740993,\"d\":1.10}", "k");
    world_wait(&w, &w.dlq_notices[OF_DLQ_RESOLVED], 1);
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_SCHEDULED], 1);
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_REDRIVEN], 1);
    ck_assert_uint_eq(w.call_count, 2);
    ck_assert_int_eq(w.calls[1].redrive, 1);
    ck_assert_int_eq(w.calls[1].stage, OF_STAGE_REDRIVE);
    ck_assert_int_eq(w.calls[1].attempt, 2);
    ck_assert_str_eq(w.calls[0].value, w.calls[1].value);
    ck_assert_str_eq(w.calls[0].id, w.calls[1].id);
    ck_assert_uint_eq(w.calls[1].traceparents, 1);
    ck_assert_str_eq(w.calls[0].traceparent, w.calls[1].traceparent);
    letters l = list(&w);
    ck_assert_uint_eq(l.count, 1);
    ck_assert_int_eq(l.last.state, OF_DEAD_RESOLVED);
    ck_assert_int_eq(l.last.redrives, 1);
    ck_assert_uint_eq(list_by(&w, &(of_dead_filter){.group = w.group}).count, 0);
    world_read(&w, w.topic); // nobody else saw it again
    ck_assert_uint_eq(w.record_count, 1);
    snprintf(dlq, sizeof dlq, "dlq.%s", w.topic);
    world_read(&w, dlq);
    ck_assert_uint_eq(w.record_count, 1);
    of_dlq_stats stats;
    of_dlq_stats_get(w.dlq, &stats);
    ck_assert_uint_ge(stats.seen, 1);
    ck_assert_uint_ge(stats.resolved, 1);
    world_close(&w);
}
END_TEST

/* D-05, P-04 */
START_TEST(cause_that_stays_ends_in_quarantine_after_three_redrives)
{
    char topic[160], first[512];
    world w;
    begin(&w, at_once);
    world_start_dlq(&w);
    world_send(&w, "{\"u\":18446744073709551615,\"d\":1.10,\"s\":\"\\u0000\"}", "k");
    world_wait(&w, &w.dlq_notices[OF_DLQ_QUARANTINED], 1);
    ck_assert_uint_eq(w.call_count, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(w.calls[i].redrive, i);
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_REDRIVEN], 3);
    world_pass(&w, 500);
    ck_assert_uint_eq(w.call_count, 4); // never touched again
    world_read(&w, w.topic);
    snprintf(first, sizeof first, KC_FMT, KC_ARG(w.records[0].value));
    snprintf(topic, sizeof topic, "dlq.%s", w.topic);
    world_read(&w, topic);
    ck_assert_uint_eq(w.record_count, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert(kc_bytes_equal(w.records[i].value, kc_str(first)));
        ck_assert_str_eq(world_header(&w.records[i], "of-dlq-id"), w.dead_id);
    }
    snprintf(topic, sizeof topic, "quarantine.%s", w.topic);
    world_read(&w, topic);
    ck_assert_uint_eq(w.record_count, 1);
    ck_assert(kc_bytes_equal(w.records[0].value, kc_str(first)));
    ck_assert_str_eq(world_header(&w.records[0], "of-dlq-redrives"), "3");
    ck_assert_uint_gt(strlen(world_header(&w.records[0], "of-dlq-quarantine-reason")), 0);
    letters l = list(&w);
    ck_assert_uint_eq(l.count, 1); // once, though it has five records
    ck_assert_int_eq(l.last.state, OF_DEAD_QUARANTINED);
    ck_assert_str_eq(l.topic, topic);
    world_close(&w);
}
END_TEST

START_TEST(final_class_goes_to_quarantine_at_once)
{
    world w;
    begin(&w, at_once);
    world_start_dlq(&w);
    w.failure = OF_PERMANENT;
    world_send(&w, "{\"n\":1}", "k");
    world_wait(&w, &w.dlq_notices[OF_DLQ_QUARANTINED], 1);
    ck_assert_uint_eq(w.call_count, 1);
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_REDRIVEN], 0);
    world_close(&w);
}
END_TEST

/* D-12 */
START_TEST(strict_family_is_left_to_an_operator_who_may_replay_it)
{
    world w;
    world_open(&w, "{\"employee.exit\": {\"immediate_attempts\": 0, \"parked_attempts\": 0,"
                   "\"maximum_attempts\": 1, \"redrive_initial\": \"1ms\"}}");
    world_make_org(&w);
    w.fail_first = 1;
    world_start_consumer(&w);
    world_start_dlq(&w);
    world_send(&w, "{\"employeeId\":\"emp-456\"}", "emp-456");
    world_wait(&w, &w.dlq_notices[OF_DLQ_LEFT_TO_OPERATOR], 1);
    world_pass(&w, 500);
    ck_assert_uint_eq(w.call_count, 1);
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_SCHEDULED], 0);
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_QUARANTINED], 0);
    letters l = list(&w);
    ck_assert_uint_eq(l.count, 1);
    ck_assert_int_eq(l.last.state, OF_DEAD);
    ck_assert(l.last.is_strict);
    of_replay_options options = {.operator_name = "alice"};
    of_replay_result result = replay(&w, &options);
    ck_assert_int_eq(result.released, 1);
    world_wait(&w, &w.dlq_notices[OF_DLQ_RESOLVED], 1);
    ck_assert_uint_eq(w.call_count, 2);
    ck_assert_int_eq(w.calls[1].redrive, 1);
    ck_assert_int_eq(list(&w).last.state, OF_DEAD_RESOLVED);
    world_close(&w);
}
END_TEST

START_TEST(restarted_handler_goes_on_where_it_was)
{
    world w;
    begin(&w, much_later);
    world_start_dlq(&w);
    world_send(&w, "{\"n\":1}", "k");
    world_send(&w, "{\"n\":2}", "k");
    world_wait(&w, &w.dlq_notices[OF_DLQ_SCHEDULED], 2);
    letters before = list_scheduled(&w, 2);
    ck_assert_uint_eq(before.count, 2);
    of_dlq_close(w.dlq, WORLD_WAIT_MS);
    world_start_dlq(&w);
    world_wait(&w, &w.dlq_notices[OF_DLQ_SCHEDULED], 4); // waits anew for the same time
    ck_assert_str_eq(w.dlq_reason, "scheduled before");
    ck_assert_int_eq(list(&w).last.next_ms, before.last.next_ms);
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_REDRIVEN], 0);
    world_close(&w);
}
END_TEST

START_TEST(letters_done_are_not_looked_at_after_a_restart)
{
    world w;
    begin(&w, at_once);
    world_start_dlq(&w);
    w.fail_first = 1;
    world_send(&w, "{\"n\":1}", "k");
    world_wait(&w, &w.dlq_notices[OF_DLQ_RESOLVED], 1);
    of_dlq_close(w.dlq, WORLD_WAIT_MS);
    world_start_dlq(&w);
    world_send(&w, "{\"n\":2}", "k"); // handled: nothing dies
    world_wait(&w, &w.notices[OF_NOTICE_HANDLED], 2);
    world_pass(&w, 1000);
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_DUPLICATE], 0); // its offset was committed
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_SCHEDULED], 1);
    world_close(&w);
}
END_TEST

/* D-06 */
START_TEST(many_of_one_cause_wait_for_their_canary)
{
    world w;
    begin(&w, "{\"default\": {\"immediate_attempts\": 0, \"parked_attempts\": 0, \"tiers\": [],"
              "\"maximum_attempts\": 1, \"redrive_initial\": \"5s\", \"redrive_coefficient\": 1,"
              "\"redrive_jitter\": 0, \"max_redrives\": 9}}");
    world_start_dlq(&w);
    w.failure = OF_PERMANENT; // of another cause: from then on the handler is at work
    world_send(&w, "{\"n\":0}", "k");
    world_wait(&w, &w.dlq_notices[OF_DLQ_QUARANTINED], 1);
    w.failure = OF_RETRY;
    w.fail_first = 1 + 16; // then the outage is over
    of_consumer_close(w.consumer, WORLD_WAIT_MS);
    for (int i = 0; i < 15; i++)
        world_send(&w, "{\"n\":1}", "k");
    world_start_consumer(&w); // they die in quick succession: all before the first is due
    world_wait(&w, &w.dlq_notices[OF_DLQ_SCHEDULED], 15);
    world_wait(&w, &w.dlq_notices[OF_DLQ_REDRIVEN], 1);
    world_wait(&w, &w.notices[OF_NOTICE_DEAD], 1 + 16); // the canary died again
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_CANARY], 1);
    world_wait(&w, &w.dlq_notices[OF_DLQ_SCHEDULED], 16 + 14); // itself, and the others later
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_REDRIVEN], 1);
    ck_assert_uint_eq(w.call_count, 1 + 16);
    world_wait(&w, &w.dlq_notices[OF_DLQ_RESOLVED], 15);
    ck_assert_uint_eq(w.dlq_notices[OF_DLQ_CANARY], 2);
    ck_assert_uint_eq(w.call_count, 1 + 16 + 15);
    world_close(&w);
}
END_TEST

/* ---- replay ---- */

START_TEST(replay_releases_each_once_and_again_only_when_told)
{
    world w;
    begin(&w, much_later);
    for (int i = 0; i < 3; i++)
        world_send(&w, "{\"n\":1}", "k");
    world_wait(&w, &w.notices[OF_NOTICE_DEAD], 3);
    of_consumer_close(w.consumer, WORLD_WAIT_MS); // nobody resolves
    w.consumer = NULL;
    of_replay_options options = {.dry_run = true};
    of_replay_result result = replay(&w, &options);
    ck_assert_int_eq(result.selected, 3);
    ck_assert_int_eq(result.released, 0);
    options = (of_replay_options){.max = 2};
    result = replay(&w, &options);
    ck_assert_int_eq(result.released, 2);
    options = (of_replay_options){0};
    result = replay(&w, &options); // goes on
    ck_assert_int_eq(result.released, 1);
    ck_assert_int_eq(result.refused, 2);
    result = replay(&w, &options);
    ck_assert_int_eq(result.released, 0);
    ck_assert_int_eq(result.refused, 3);
    options.again = true;
    result = replay(&w, &options);
    ck_assert_int_eq(result.released, 3);
    char topic[160];
    snprintf(topic, sizeof topic, "retry.%s.now", w.group);
    world_read(&w, topic);
    ck_assert_uint_eq(w.record_count, 6);
    size_t first = 0, second = 0;
    for (size_t i = 0; i < 6; i++) {
        first += strcmp(world_header(&w.records[i], "of-redrive"), "1") == 0 ? 1 : 0;
        second += strcmp(world_header(&w.records[i], "of-redrive"), "2") == 0 ? 1 : 0;
        ck_assert_str_eq(world_header(&w.records[i], "of-redrive-by"), "operator");
        ck_assert_str_eq(world_header(&w.records[i], "of-stage"), "redrive");
    }
    ck_assert_uint_eq(first, 3);
    ck_assert_uint_eq(second, 3);
    ck_assert_int_eq(list(&w).last.state, OF_DEAD_REDRIVEN);
    world_close(&w);
}
END_TEST

START_TEST(replay_leads_out_of_quarantine)
{
    world w;
    begin(&w, at_once);
    world_start_dlq(&w);
    w.failure = OF_PERMANENT;
    w.fail_first = 1;
    world_send(&w, "{\"n\":1}", "k");
    world_wait(&w, &w.dlq_notices[OF_DLQ_QUARANTINED], 1);
    of_replay_options options = {.filter = {.quarantined_only = true}, .operator_name = "bob"};
    ck_assert_int_eq(replay(&w, &options).released, 1);
    world_wait(&w, &w.dlq_notices[OF_DLQ_RESOLVED], 1);
    ck_assert_uint_eq(w.call_count, 2);
    ck_assert_int_eq(list(&w).last.state, OF_DEAD_RESOLVED);
    world_close(&w);
}
END_TEST

START_TEST(replay_takes_a_parked_letter_from_the_handler)
{
    world w;
    begin(&w, much_later);
    world_start_dlq(&w);
    w.fail_first = 1;
    world_send(&w, "{\"n\":1}", "k");
    world_wait(&w, &w.dlq_notices[OF_DLQ_SCHEDULED], 1);
    of_replay_options options = {0};
    ck_assert_int_eq(replay(&w, &options).released, 1);
    world_wait(&w, &w.dlq_notices[OF_DLQ_RESOLVED], 1);
    ck_assert_uint_eq(w.call_count, 2);
    world_close(&w);
}
END_TEST

/* D-02 */
START_TEST(pointer_record_is_replayed_from_its_source)
{
    char topic[160], id[17];
    world w;
    world_open(&w, much_later);
    world_make_topics(&w, 1, NULL, 0);
    char value[256];
    snprintf(value, sizeof value, "{\"type\":\"%s\",\"payload\":{\"n\":1}}", w.type);
    world_send_raw(&w, w.topic, "{}", "other", NULL, 0, 0);
    world_send_raw(&w, w.topic, value, "k", NULL, 0, 0); // offset 1
    snprintf(id, sizeof id, "%016llx", (unsigned long long)kc_clock_random());
    kc_header headers[] = {{KC_STR("__dlq.errors.topic"), kc_str(w.topic)},
                           {KC_STR("__dlq.errors.partition"), KC_STR("0")},
                           {KC_STR("__dlq.errors.offset"), KC_STR("1")},
                           {KC_STR("__dlq.errors.group"), kc_str(w.group)},
                           {KC_STR("of-dlq-id"), kc_str(id)},
                           {KC_STR("of-type"), kc_str(w.type)},
                           {KC_STR("of-dlq-truncated"), KC_STR("value")}};
    snprintf(topic, sizeof topic, "dlq.%s", w.topic);
    world_send_raw(&w, topic, NULL, "k", headers, 7, 0);
    of_replay_options options = {0};
    ck_assert_int_eq(replay(&w, &options).released, 1);
    snprintf(topic, sizeof topic, "retry.%s.now", w.group);
    world_read(&w, topic);
    ck_assert_uint_eq(w.record_count, 1);
    ck_assert(kc_bytes_equal(w.records[0].value, kc_str(value)));
    ck_assert(kc_bytes_equal(w.records[0].key, KC_STR("k")));
    ck_assert_str_eq(world_header(&w.records[0], "of-dlq-truncated"), "");
    world_close(&w);
}
END_TEST

START_TEST(replay_leaves_an_audit_record)
{
    char expected[160];
    world w;
    begin(&w, much_later);
    world_send(&w, "{\"n\":1}", "k");
    world_wait(&w, &w.notices[OF_NOTICE_DEAD], 1);
    w.since_ms = kc_clock_wall_ms() - 1000; // audit.events is everyone's
    char operator_name[120];
    snprintf(operator_name, sizeof operator_name, "op-%s", w.group);
    of_replay_options options = {.operator_name = operator_name};
    ck_assert_int_eq(replay(&w, &options).released, 1);
    world_read(&w, "audit.events");
    snprintf(expected, sizeof expected, "\"by\":\"%s\"", operator_name);
    size_t found = 0;
    for (size_t i = 0; i < w.record_count; i++) {
        char value[1024];
        snprintf(value, sizeof value, KC_FMT, KC_ARG(w.records[i].value));
        if (!strstr(value, expected))
            continue;
        found++;
        ck_assert(strstr(value, "\"action\":\"dlq.replay\"") && strstr(value, "\"released\":1"));
        ck_assert_str_eq(world_header(&w.records[i], "of-type"), "audit.events");
    }
    ck_assert_uint_eq(found, 1);
    world_close(&w);
}
END_TEST

START_TEST(list_selects_by_every_filter)
{
    world w;
    begin(&w, much_later);
    world_send(&w, "{\"n\":1}", "k");
    world_wait(&w, &w.notices[OF_NOTICE_DEAD], 1);
    letters all = list(&w);
    ck_assert_uint_eq(all.count, 1);
    char fingerprint[13], id[17];
    memcpy(id, all.last.id, sizeof id);
    world_read(&w, all.topic);
    snprintf(fingerprint, sizeof fingerprint, "%s",
             world_header(&w.records[0], "of-dlq-fingerprint"));
    int64_t last = all.last.last_ms;
    const struct {
        of_dead_filter filter;
        size_t count;
    } cases[] = {
        {{.id = id}, 1},
        {{.id = "0000000000000000"}, 0},
        {{.group = w.group, .fingerprint = fingerprint}, 1},
        {{.group = w.group, .fingerprint = "000000000000"}, 0},
        {{.topic = w.topic}, 1},
        {{.topic = "no.such.topic"}, 0},
        {{.group = w.group, .failure_class = OF_CLASS_RETRIES_EXHAUSTED}, 1},
        {{.group = w.group, .failure_class = OF_CLASS_SCHEMA}, 0},
        {{.group = w.group, .since_ms = last}, 1},
        {{.group = w.group, .since_ms = last + 1}, 0},
        {{.group = w.group, .quarantined_only = true}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(list_by(&w, &cases[i].filter).count == cases[i].count, "case %zu", i);
    world_close(&w);
}
END_TEST

/* ---- timeline ---- */

typedef struct timeline {
    size_t count;
    enum of_hop_kind kinds[16];
    int64_t last_ms;
    of_dead_state states[16]; /* of OF_HOP_STATE */
    of_dead_state state;      /* the last one */
} timeline;

static void on_hop(const of_hop *hop, void *user)
{
    timeline *line = user;
    ck_assert_int_ge(hop->wall_ms, line->last_ms);
    line->last_ms = hop->wall_ms;
    ck_assert_uint_lt(line->count, 16);
    line->states[line->count] = hop->state;
    line->kinds[line->count++] = hop->kind;
    if (hop->kind == OF_HOP_STATE)
        line->state = hop->state;
}

/* C-05 */
START_TEST(timeline_of_a_correlation_id_is_in_the_topics)
{
    char correlation[64];
    world w;
    kc_error err = {0};
    begin(&w, at_once);
    world_start_dlq(&w);
    w.fail_first = 1;
    world_send(&w, "{\"n\":1}", "k");
    world_send(&w, "{\"n\":2}", "k"); // another correlation
    world_wait(&w, &w.dlq_notices[OF_DLQ_RESOLVED], 1);
    world_read(&w, w.topic);
    snprintf(correlation, sizeof correlation, "%s",
             world_header(&w.records[0], "of-correlation-id"));
    timeline line = {0};
    // the source topic of this test is not in the catalogue: its DLQ, retry and state are
    kc_err result = of_trace_scan(w.platform, correlation, 0, WORLD_WAIT_MS, on_hop, &line, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    size_t dead = 0, redrive = 0, state = 0;
    for (size_t i = 0; i < line.count; i++) {
        dead += line.kinds[i] == OF_HOP_DEAD ? 1 : 0;
        redrive += line.kinds[i] == OF_HOP_REDRIVE ? 1 : 0;
        state += line.kinds[i] == OF_HOP_STATE ? 1 : 0;
    }
    ck_assert_uint_eq(dead, 1);
    ck_assert_uint_eq(redrive, 1);
    ck_assert_uint_ge(state, 1);
    ck_assert_int_eq(line.state, OF_DEAD_RESOLVED);
    world_close(&w);
}
END_TEST

/* The consumer may have handled a redrive before the handler wrote that it was released. */
START_TEST(a_state_written_late_stands_at_its_own_time)
{
    world w;
    kc_error err = {0};
    world_open(&w, NULL);
    int64_t now_ms = kc_client_wall_ms(of_platform_client(w.platform));
    static const struct {
        of_dead_state state;
        int32_t redrive;
        int64_t later_ms;
    } written[] = {{OF_DEAD_RESOLVED, 1, 0},
                   {OF_DEAD_REDRIVEN, 0, 0},
                   {OF_DEAD_REDRIVEN, 1, -1},
                   {OF_DEAD, 0, 0}};
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
        of_state_record record = {.id = "0123456789abcdef",
                                  .state = written[i].state,
                                  .redrive = written[i].redrive,
                                  .wall_ms = now_ms + written[i].later_ms,
                                  .correlation_id = kc_str(w.group)};
        world_write_state(&w, &record);
    }
    timeline line = {0};
    kc_err result = of_trace_scan(w.platform, w.group, 0, WORLD_WAIT_MS, on_hop, &line, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    ck_assert_uint_eq(line.count, 4);
    static const of_dead_state stand[] = {OF_DEAD_REDRIVEN, OF_DEAD, OF_DEAD_REDRIVEN,
                                          OF_DEAD_RESOLVED};
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(line.states[i], stand[i]);
    world_close(&w);
}
END_TEST

START_TEST(timeline_begins_with_what_was_sent)
{
    char correlation[64];
    world w;
    kc_error err = {0};
    world_open(&w, NULL);
    world_make_org(&w);
    world_send(&w, "{\"employeeId\":\"e\"}", "e");
    world_read(&w, w.topic);
    snprintf(correlation, sizeof correlation, "%s",
             world_header(&w.records[0], "of-correlation-id"));
    timeline line = {0};
    ck_assert_int_eq(of_trace_scan(w.platform, correlation, 0, WORLD_WAIT_MS, on_hop, &line, &err),
                     KC_OK);
    ck_assert_uint_eq(line.count, 1);
    ck_assert_int_eq(line.kinds[0], OF_HOP_SENT);
    line = (timeline){0};
    ck_assert_int_eq(of_trace_scan(w.platform, "nobody", 0, WORLD_WAIT_MS, on_hop, &line, &err),
                     KC_OK);
    ck_assert_uint_eq(line.count, 0);
    world_close(&w);
}
END_TEST
