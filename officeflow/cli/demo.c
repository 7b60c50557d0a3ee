/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow demo: the platform's story with real topics, groups and failures. One process plays all
 * the parts on one client; every line is printed by the callback that was told of it, and each act is
 * compared with the story: any difference makes the exit code 1. */
#include "officeflow/cli/demo_story.h"
#include "officeflow/cli/plan.h"
#include "officeflow/cli/timeline.h"
#include "officeflow/cli/verbs.h"

#include <kafkac/mock.h>

#include <stdio.h>

#define BROKERS        3
#define ORG_DEFAULT    "demo-org-123"
#define EMAIL_TIER     "retry.email-service.2s"
#define ACT_TIMEOUT_MS 45000
/* after the last act nothing more may come */
#define QUIET_MS 1500
#define DRAIN_MS 5000

#define EMPLOYEE "\"employeeId\":\"emp-456\""

enum {
    ACT_ONBOARD,
    ACT_CALENDAR,
    ACT_EMAIL,
    ACT_EXIT,
    ACT_COUNT
};

static struct {
    cli_session *session;
    of_producer *producer;
    of_consumer *consumers[3];
    of_dlq_handler *handler;
    story_act acts[ACT_COUNT];
    const char *org;
    char correlation[37]; /* one business transaction, and what tells this run from others */
    char exit_id[17];     /* the dead letter the operator replays */
    bool is_exit_resolved;
    size_t hops[OF_HOP_STATE + 1];
} demo;

static const char *const onboard_steps[] = {"hrms-adapter: sent", "workflow-engine: try 1 handled",
                                            NULL};
static const char *const calendar_steps[] = {
    "hrms-adapter: sent", "calendar-service: try 1 failed, immediate",
    "calendar-service: try 2 failed, immediate", "calendar-service: try 3 handled", NULL};
static const char *const email_steps[] = {"hrms-adapter: sent",
                                          "email-service: try 1 failed, immediate",
                                          "email-service: try 2 failed, parked",
                                          "email-service: try 3 failed, retry",
                                          "email-service: on the delayed topic",
                                          "email-service: try 4 failed, dead",
                                          "email-service: dead letter",
                                          "dlq-handler: redrive 1 scheduled",
                                          "dlq-handler: acknowledged: redrive 1",
                                          "email-service: try 5 failed, dead",
                                          "email-service: dead letter",
                                          "dlq-handler: redrive 2 scheduled",
                                          "dlq-handler: acknowledged: redrive 2",
                                          "email-service: try 6 failed, dead",
                                          "email-service: dead letter",
                                          "dlq-handler: quarantined",
                                          NULL};
static const char *const exit_steps[] = {"hrms-adapter: sent",
                                         "workflow-engine: try 1 failed, immediate",
                                         "workflow-engine: try 2 failed, dead",
                                         "workflow-engine: dead letter",
                                         "dlq-handler: left to an operator",
                                         "operator: replays",
                                         "workflow-engine: try 3 handled",
                                         "operator: resolved",
                                         NULL};

static kc_client *client(void)
{
    return demo.session->client;
}

static int64_t wall_ms(void)
{
    return kc_client_wall_ms(client());
}

/** The act of an event of this run; NULL: somebody else's. */
static story_act *find_act(kc_bytes type, kc_bytes correlation)
{
    if (!kc_bytes_equal(correlation, kc_str(demo.correlation)))
        return NULL;
    for (size_t i = 0; i < ACT_COUNT; i++)
        if (kc_bytes_equal(type, kc_str(demo.acts[i].type)))
            return &demo.acts[i];
    return NULL;
}

/* ---- what the parts tell ---- */

static const char *next_words(const of_notice *notice, char *out, size_t cap)
{
    const char *stage = of_stage_name(notice->verdict.stage);
    if (notice->verdict.stage == OF_STAGE_DEAD)
        snprintf(out, cap, "no more tries: %s", of_class_name(notice->verdict.failure_class));
    else if (notice->verdict.stage == OF_STAGE_RETRY)
        snprintf(out, cap, "again from a delayed topic after %lld ms",
                 (long long)notice->verdict.delay_ms);
    else
        snprintf(out, cap, "again in %lld ms (%s)", (long long)notice->verdict.delay_ms, stage);
    return out;
}

static void on_notice(const of_notice *notice, void *user)
{
    const char *group = user;
    char step[STORY_STEP_BYTES], words[96];
    story_act *act =
        notice->event ? find_act(notice->event->type, notice->event->correlation_id) : NULL;
    if (!act) {
        if (notice->kind == OF_NOTICE_ERROR && notice->error)
            cli_note("%s: %s", group, notice->error->text);
        return;
    }
    switch (notice->kind) {
    case OF_NOTICE_HANDLED:
        snprintf(step, sizeof step, "try %d handled", notice->attempt);
        story_step(act, step, wall_ms(), group, CLI_GREEN, "try %d: handled (%s)", notice->attempt,
                   of_stage_name(notice->stage));
        return;
    case OF_NOTICE_FAILED:
        snprintf(step, sizeof step, "try %d failed, %s", notice->attempt,
                 of_stage_name(notice->verdict.stage));
        story_step(act, step, wall_ms(), group, CLI_YELLOW, "try %d: %s \"%s\", %s",
                   notice->attempt, notice->code, notice->message,
                   next_words(notice, words, sizeof words));
        return;
    case OF_NOTICE_RETRY_SENT:
        story_step(act, "on the delayed topic", wall_ms(), group, CLI_YELLOW,
                   "acknowledged on its delayed topic, due in %lld ms",
                   (long long)notice->verdict.delay_ms);
        return;
    case OF_NOTICE_DEAD:
        story_step(act, "dead letter", wall_ms(), group, CLI_RED,
                   "dead letter %s, acknowledged on dlq." KC_FMT, notice->dead_letter_id,
                   KC_ARG(notice->topic));
        if (act == &demo.acts[ACT_EXIT])
            snprintf(demo.exit_id, sizeof demo.exit_id, "%s", notice->dead_letter_id);
        return;
    case OF_NOTICE_BREAKER:
        return; // a wait, not a step
    default:
        snprintf(step, sizeof step, "notice %d", (int)notice->kind);
        story_step(act, step, wall_ms(), group, CLI_RED, "%s %s", notice->message,
                   notice->error ? notice->error->text : "");
    }
}

static void on_dlq_notice(const of_dlq_notice *notice, void *user)
{
    (void)user;
    char step[STORY_STEP_BYTES];
    const of_dead_letter *letter = notice->letter;
    if (notice->kind == OF_DLQ_RESOLVED && strcmp(letter->id, demo.exit_id) == 0)
        demo.is_exit_resolved = true; // no line of its own: the operator looks
    story_act *act = letter ? find_act(letter->type, letter->correlation_id) : NULL;
    if (!act)
        return;
    switch (notice->kind) {
    case OF_DLQ_SCHEDULED:
        snprintf(step, sizeof step, "redrive %d scheduled", letter->redrives + 1);
        story_step(act, step, wall_ms(), "dlq-handler", CLI_MAGENTA, "redrive %d in %.1f s",
                   letter->redrives + 1, (double)(notice->due_ms - wall_ms()) / 1000.0);
        return;
    case OF_DLQ_REDRIVEN:
        snprintf(step, sizeof step, "acknowledged: redrive %d", letter->redrives);
        story_step(act, step, wall_ms(), "dlq-handler", CLI_MAGENTA,
                   "redrive %d: back to group " KC_FMT " only", letter->redrives,
                   KC_ARG(letter->group));
        return;
    case OF_DLQ_QUARANTINED:
        story_step(act, "quarantined", wall_ms(), "dlq-handler", CLI_RED, "quarantined: %s",
                   notice->reason ? notice->reason : "");
        return;
    case OF_DLQ_LEFT_TO_OPERATOR:
        story_step(act, "left to an operator", wall_ms(), "dlq-handler", CLI_MAGENTA,
                   "left to an operator: %s", notice->reason ? notice->reason : "");
        return;
    default:
        return;
    }
}

static void on_sent(const of_sent *sent, void *user)
{
    story_act *act = user;
    if (sent->err != KC_OK)
        story_step(act, "not sent", wall_ms(), "hrms-adapter", CLI_RED, "%s", sent->error->text);
    else
        story_step(act, "sent", wall_ms(), "hrms-adapter", CLI_BLUE, "sent to " KC_FMT "/%d@%lld",
                   KC_ARG(sent->topic), sent->partition, (long long)sent->offset);
}

/* ---- the services ---- */

static of_result on_event(const of_event *event, of_ctx *ctx, void *user)
{
    (void)user;
    const story_act *act = find_act(event->type, event->correlation_id);
    if (act == &demo.acts[ACT_CALENDAR] && of_ctx_attempt(ctx) <= 2) {
        of_fail(ctx, "calendar_503", "calendar is being restarted");
        return OF_RETRY;
    }
    if (act == &demo.acts[ACT_EMAIL]) {
        of_fail(ctx, "smtp_421", "421 too many connections");
        return OF_RETRY;
    }
    if (act == &demo.acts[ACT_EXIT] && of_ctx_redrive(ctx) == 0) {
        of_fail(ctx, "badge_unknown", "badge system does not know emp-456");
        return OF_RETRY;
    }
    return OF_OK;
}

static bool open_service(size_t index, const char *group, const char *const *patterns, size_t count)
{
    kc_error err;
    of_consumer_options options;
    of_consumer_options_init(&options);
    options.on_notice = on_notice;
    options.notice_user = (void *)(uintptr_t)group;
    of_consumer **consumer = &demo.consumers[index];
    if (of_consumer_open(demo.session->platform, group, &options, consumer, &err) != KC_OK ||
        of_consumer_handle(*consumer, "**", on_event, NULL, &err) != KC_OK ||
        of_consumer_subscribe(*consumer, patterns, count, false, &err) != KC_OK)
        return cli_fail(group, &err) == CLI_OK;
    return true;
}

static bool open_parts(void)
{
    static const char *const engine[] = {"employee.onboard.*", "employee.exit.*"};
    static const char *const calendar[] = {"calendar.schedule.request"};
    static const char *const email[] = {"email.send.request"};
    kc_error err;
    of_dlq_options options;
    of_dlq_options_init(&options);
    options.on_notice = on_dlq_notice;
    if (of_producer_open(demo.session->platform, NULL, &demo.producer, &err) != KC_OK)
        return cli_fail("producer", &err) == CLI_OK;
    if (!open_service(0, "workflow-engine", engine, 2) ||
        !open_service(1, "calendar-service", calendar, 1) ||
        !open_service(2, "email-service", email, 1))
        return false;
    if (of_dlq_open(demo.session->platform, &options, &demo.handler, &err) != KC_OK ||
        of_dlq_start(demo.handler, &err) != KC_OK)
        return cli_fail("dlq handler", &err) == CLI_OK;
    return true;
}

static void close_parts(void)
{
    of_dlq_close(demo.handler, DRAIN_MS);
    for (size_t i = 0; i < 3; i++)
        of_consumer_close(demo.consumers[i], DRAIN_MS);
    of_producer_close(demo.producer);
}

/* ---- acts ---- */

static bool send_event(story_act *act, const char *payload)
{
    kc_error err;
    of_event event = {
        .type = kc_str(act->type),
        .correlation_id = kc_str(demo.correlation),
        .source = KC_STR("hrms-adapter"),
        .metadata = KC_STR("{\"source\":\"hrms-adapter\"," EMPLOYEE "}"),
        .payload = kc_str(payload),
        .organization_id = kc_str(demo.org),
    };
    if (of_producer_send(demo.producer, &event, on_sent, act, &err) != KC_OK)
        return cli_fail(act->type, &err) == CLI_OK;
    return true;
}

/** Dispatch until `is_done`, at most `timeout_ms`. False: time is over, or interrupted. */
static bool run_until(bool (*is_done)(void), int64_t timeout_ms)
{
    int64_t deadline = kc_clock_monotonic_us() + timeout_ms * 1000;
    while (!is_done || !is_done()) {
        int64_t left_ms = (deadline - kc_clock_monotonic_us() + 999) / 1000;
        if (left_ms <= 0 || cli_is_interrupted())
            return is_done == NULL;
        kc_err err = kc_client_dispatch(client(), (int)left_ms);
        if (err != KC_OK && err != KC_ERR_AGAIN)
            return false;
    }
    return true;
}

static story_act *running;

static bool running_is_complete(void)
{
    return story_is_complete(running);
}

static bool play(story_act *act, const char *payload)
{
    running = act;
    if (!send_event(act, payload))
        return false;
    run_until(running_is_complete, ACT_TIMEOUT_MS);
    return story_check(act);
}

static bool exit_is_left(void)
{
    return demo.acts[ACT_EXIT].count >= 5;
}

static bool on_replayed(const of_dead_letter *letter, void *user)
{
    (void)user;
    story_step(&demo.acts[ACT_EXIT], "replays", wall_ms(), "operator", CLI_BLUE,
               "officeflow dlq replay --id %s", letter->id);
    return true;
}

/** What the operator sees afterwards. */
static bool on_listed(const of_dead_letter *letter, void *user)
{
    (void)user;
    const char *state = of_dead_state_name(letter->state);
    story_step(&demo.acts[ACT_EXIT], state, wall_ms(), "operator", CLI_GREEN,
               "officeflow dlq show %s: %s", letter->id, state);
    return true;
}

static bool exit_is_handled(void)
{
    return demo.acts[ACT_EXIT].count >= 7;
}

static bool exit_is_resolved(void)
{
    return demo.is_exit_resolved;
}

/** The strict one: it waits for a person. */
static bool play_exit(void)
{
    kc_error err;
    story_act *act = &demo.acts[ACT_EXIT];
    running = act;
    if (!send_event(act, "{" EMPLOYEE ",\"lastDay\":\"2026-12-31\"}"))
        return false;
    if (!run_until(exit_is_left, ACT_TIMEOUT_MS) || !demo.exit_id[0])
        return story_check(act);
    of_replay_options options = {.filter = {.id = demo.exit_id},
                                 .operator_name = "demo",
                                 .timeout_ms = CLI_TIMEOUT_MS,
                                 .on_each = on_replayed};
    of_replay_result result;
    if (of_dlq_replay(demo.session->platform, &options, &result, &err) != KC_OK)
        return cli_fail("dlq replay", &err) == CLI_OK;
    run_until(exit_is_handled, ACT_TIMEOUT_MS);
    run_until(exit_is_resolved, ACT_TIMEOUT_MS); // written when the handler has answered
    of_dead_filter filter = {.id = demo.exit_id, .with_resolved = true};
    if (of_dlq_list(demo.session->platform, &filter, CLI_TIMEOUT_MS, on_listed, NULL, &err) !=
        KC_OK)
        return cli_fail("dlq list", &err) == CLI_OK;
    return story_check(act);
}

static bool set_up(void)
{
    kc_error err;
    cli_plan_sums sums = {0};
    of_topic_spec tier = {0};
    of_catalogue_find(KC_STR(EMAIL_TIER), &tier);
    tier.name = EMAIL_TIER;
    of_plan_options options = {.orgs = &demo.org, .org_count = 1, .extra = &tier, .extra_count = 1};
    for (int round = 1; round <= 2; round++) {
        of_plan *plan;
        if (of_topics_plan(demo.session->platform, &options, CLI_TIMEOUT_MS, &plan, &err) != KC_OK)
            return cli_fail("setup-topics", &err) == CLI_OK;
        size_t wanted =
            of_plan_count(plan, OF_CHANGE_CREATE) + of_plan_count(plan, OF_CHANGE_ALTER);
        size_t there = of_plan_count(plan, OF_CHANGE_OK);
        bool is_ok = cli_plan_apply(demo.session, plan, &sums);
        cli_printf("  run %d: cluster %s, %zu topics created or altered, %zu as they should be\n",
                   round, of_plan_cluster_id(plan), wanted, there);
        of_plan_free(plan);
        if (!is_ok || (round == 2 && wanted > 0))
            return cli_complain("demo: setting up twice must change nothing");
    }
    of_group_seed seeds[16];
    size_t count, partitions = 0;
    if (of_topics_seed_groups(demo.session->platform, CLI_TIMEOUT_MS, seeds, &count, &err) != KC_OK)
        return cli_fail("groups", &err) == CLI_OK;
    for (size_t i = 0; i < count; i++)
        partitions += (size_t)seeds[i].seeded;
    cli_printf("  %zu consumer groups set up, %zu partitions begin at the log's start\n", count,
               partitions);
    return true;
}

static void on_hop(const of_hop *hop, void *user)
{
    demo.hops[hop->kind]++;
    cli_timeline_add_hop(user, hop);
}

static bool show_trace(void)
{
    kc_error err;
    cli_timeline timeline;
    cli_timeline_init(&timeline, &demo.session->arena);
    if (of_trace_scan(demo.session->platform, demo.correlation, 0, CLI_TIMEOUT_MS, on_hop,
                      &timeline, &err) != KC_OK)
        return cli_fail("trace", &err) == CLI_OK;
    cli_timeline_print(&timeline);
    const size_t *hops = demo.hops;
    if (hops[OF_HOP_SENT] == 4 && hops[OF_HOP_RETRY] == 1 && hops[OF_HOP_DEAD] == 4 &&
        hops[OF_HOP_REDRIVE] == 3 && hops[OF_HOP_QUARANTINE] == 1)
        return true;
    return cli_complain("demo: 4 events, 1 delayed, 4 dead letters, 3 redrives and 1 in quarantine "
                        "were made, the topics show %zu, %zu, %zu, %zu, %zu",
                        hops[OF_HOP_SENT], hops[OF_HOP_RETRY], hops[OF_HOP_DEAD],
                        hops[OF_HOP_REDRIVE], hops[OF_HOP_QUARANTINE]);
}

static bool show_policy(const char *type)
{
    char text[160];
    of_policy policy = of_policies_get(demo.session->config.policies, kc_str(type));
    of_policy_describe(&policy, text, sizeof text);
    cli_printf("   policy of %s: %s", type, text);
    if (policy.redrive_by_operator_only)
        cli_printf("; redriven by an operator only\n");
    else
        cli_printf("; %d redrives after %.0f s each\n", policy.max_redrives,
                   (double)policy.redrive_initial_ms / 1000.0);
    return true;
}

static bool play_all(void)
{
    bool is_ok = true;
    story_heading(1, "Set up", "setup-topics, twice: the second run changes nothing");
    if (!set_up() || !open_parts())
        return false;
    story_heading(2, "Onboarding", "an employee.onboard event is sent and handled");
    is_ok &= play(&demo.acts[ACT_ONBOARD],
                  "{" EMPLOYEE ",\"name\":\"John Doe\",\"department\":\"Engineering\"}");
    story_heading(3, "A handler that fails twice and then works", "tried again where it stands");
    is_ok &= play(&demo.acts[ACT_CALENDAR], "{" EMPLOYEE ",\"title\":\"First day\"}");
    story_heading(4, "One that never works",
                  "its tries, its dead letter, its automatic redrives, its quarantine");
    is_ok &= show_policy("email.send.request");
    is_ok &= play(&demo.acts[ACT_EMAIL], "{" EMPLOYEE ",\"template\":\"welcome\"}");
    story_heading(5, "A strict one", "employee.* is never redriven by itself: order matters");
    is_ok &= show_policy("employee.exit");
    is_ok &= play_exit();
    run_until(NULL, QUIET_MS);
    for (size_t i = 0; i < ACT_COUNT && is_ok; i++)
        if (demo.acts[i].count < STORY_STEPS_MAX && !story_is_complete(&demo.acts[i]))
            is_ok = false;
    story_heading(6, "The trace of the whole", demo.correlation);
    is_ok &= show_trace();
    return is_ok;
}

/** Anything that came after an act was compared. */
static bool nothing_more(const size_t counts[ACT_COUNT])
{
    bool is_ok = true;
    for (size_t i = 0; i < ACT_COUNT; i++)
        if (demo.acts[i].count != counts[i])
            is_ok = cli_complain("demo: %s: something more happened than the story tells",
                                 demo.acts[i].type);
    return is_ok;
}

static bool set_policies(cli_session *session)
{
    of_policy email, leave;
    of_policy_init(&email, false);
    email.immediate_attempts = 1;
    email.parked_attempts = 1;
    email.initial_interval_ms = 500;
    email.jitter = 0;
    email.tiers[0] = (of_tier){"2s", 2000};
    email.tier_count = 1;
    email.max_redrives = 2;
    email.redrive_initial_ms = 2000;
    email.redrive_coefficient = 1;
    email.redrive_jitter = 0;
    of_policy_init(&leave, true);
    leave.immediate_attempts = 1;
    leave.parked_attempts = 0;
    return of_policies_set(session->config.policies, "email.send.request", &email) == KC_OK &&
           of_policies_set(session->config.policies, "employee.exit", &leave) == KC_OK;
}

/** Where no brokers are named: a cluster in this process. False: said. */
static bool start_brokers(cli_session *session, kc_mock **mock_out)
{
    kc_error err;
    kc_mock_options options;
    kc_mock_options_init(&options);
    options.brokers = BROKERS;
    options.auto_create_topics = false;
    if (kc_mock_new(&options, mock_out, &err) != KC_OK || kc_mock_start(*mock_out, &err) != KC_OK ||
        kc_config_set(session->config.kafka, "bootstrap.servers", kc_mock_bootstrap(*mock_out),
                      &err) != KC_OK)
        return cli_fail("the embedded broker", &err) == CLI_OK;
    cli_printf("No brokers are named (-b, KAFKA_BROKERS): %d embedded ones play along at %s.\n"
               "They are in this process and keep everything in memory: all is gone at the end.\n",
               BROKERS, kc_mock_bootstrap(*mock_out));
    return true;
}

static int tell_story(cli_session *session)
{
    static const char *const types[ACT_COUNT] = {"employee.onboard", "calendar.schedule.request",
                                                 "email.send.request", "employee.exit"};
    static const char *const *const steps[ACT_COUNT] = {onboard_steps, calendar_steps, email_steps,
                                                        exit_steps};
    static size_t wanted[ACT_COUNT];
    of_trace trace;
    demo.session = session;
    demo.org = session->config.demo_org_id ? session->config.demo_org_id : ORG_DEFAULT;
    for (size_t i = 0; i < ACT_COUNT; i++) {
        demo.acts[i] = (story_act){.type = types[i], .expected = steps[i]};
        while (steps[i][wanted[i]])
            wanted[i]++;
    }
    // what a demo that was killed left in the groups goes soon
    if (!set_policies(session) || !cli_session_default(session, "session.timeout.ms", "6000") ||
        !cli_session_default(session, "heartbeat.interval.ms", "2000") || !cli_connect(session))
        return CLI_ERROR;
    cli_catch_signals(session);
    if (of_tracker_create(of_platform_tracker(session->platform), NULL, &trace) != KC_OK)
        return CLI_ERROR;
    snprintf(demo.correlation, sizeof demo.correlation, "%.36s", trace.correlation_id);
    int64_t begun_us = kc_clock_monotonic_us();
    bool is_ok = play_all() && nothing_more(wanted);
    close_parts();
    cli_printf("\n");
    cli_styled(is_ok ? CLI_GREEN : CLI_RED,
               is_ok ? "The story went as told" : "The story did not go as told");
    cli_printf(", in %.1f s.\n", (double)(kc_clock_monotonic_us() - begun_us) / 1e6);
    return is_ok ? CLI_OK : CLI_ERROR;
}

static int run_demo(cli_session *session, cli_words words, cli_words command)
{
    (void)words;
    (void)command;
    kc_mock *mock = NULL;
    if (!session->has_brokers && !start_brokers(session, &mock)) {
        kc_mock_free(mock);
        return CLI_ERROR;
    }
    int code = tell_story(session);
    cli_session_close(session); // while its brokers are there
    kc_mock_free(mock);
    return code;
}

const cli_verb cli_demo_verbs[] = {
    {.name = "demo",
     .arguments = "",
     .summary = "Show the platform's story: retries, dead letters, redrives, a trace",
     .help =
         "Creates the platform's topics and an organisation ($DEMO_ORG_ID, default " ORG_DEFAULT
         "), then sends four\nevents and shows what becomes of them. What happens is compared with "
         "the story: any difference\nmakes the exit code 1. It can be repeated on the same "
         "cluster.\n\nWithout -b, -X bootstrap.servers, $KAFKA_BROKERS or brokers in --config it "
         "starts brokers of its own, in its\nprocess and in memory (see officeflow broker).",
     .words_max = 0,
     .run = run_demo},
    {.name = NULL},
};
