/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A platform on the real broker for one test. */
#include "tests/broker/of_world.h"

#include "officeflow/dead_redrive.h"
#include "officeflow/scan.h"
#include "tests/broker/broker.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define TURN_MS 20

static void must(kc_err result, const kc_error *err, const char *what)
{
    ck_assert_msg(result == KC_OK, "%s: %s %s", what, kc_err_name(result), err ? err->text : "");
}

static void note_error(world *w, const char *text)
{
    size_t len = strlen(w->errors);
    snprintf(w->errors + len, sizeof w->errors - len, "%s\n", text);
}

/* ---- what the handler does, and what is told ---- */

static void copy(char *out, size_t cap, kc_bytes text)
{
    snprintf(out, cap, KC_FMT, KC_ARG(text));
}

static of_result on_event(const of_event *event, of_ctx *ctx, void *user)
{
    world *w = user;
    ck_assert_uint_lt(w->call_count, WORLD_HANDLED_MAX);
    world_call *call = &w->calls[w->call_count++];
    call->attempt = of_ctx_attempt(ctx);
    call->redrive = of_ctx_redrive(ctx);
    call->stage = of_ctx_stage(ctx);
    copy(call->id, sizeof call->id, event->id);
    copy(call->value, sizeof call->value, event->payload);
    for (size_t i = 0; i < event->header_count; i++)
        if (kc_bytes_equal(event->headers[i].name, KC_STR("traceparent"))) {
            call->traceparents++;
            copy(call->traceparent, sizeof call->traceparent, event->headers[i].value);
        }
    if (w->fail_first >= 0 && w->call_count > (size_t)w->fail_first)
        return OF_OK;
    of_fail(ctx, "told_to", "the test said so, try %d", call->attempt);
    return w->failure;
}

static void on_notice(const of_notice *notice, void *user)
{
    world *w = user;
    w->notices[notice->kind]++;
    if (notice->kind == OF_NOTICE_DEAD)
        snprintf(w->dead_id, sizeof w->dead_id, "%s", notice->dead_letter_id);
    if (notice->kind == OF_NOTICE_ERROR)
        note_error(w, notice->error->text);
}

/** Letters of other tests may lie about: only ours count. Of a resolved one only the id is known,
 * but nobody else's consumer is there to resolve any. */
static bool is_ours(const world *w, const of_dead_letter *letter)
{
    return letter && (!letter->group.ptr || kc_bytes_equal(letter->group, kc_str(w->group)));
}

static void on_dlq_notice(const of_dlq_notice *notice, void *user)
{
    world *w = user;
    if (notice->kind == OF_DLQ_ERROR) {
        note_error(w, notice->error ? notice->error->text : notice->reason);
        w->dlq_notices[OF_DLQ_ERROR]++;
    } else if (is_ours(w, notice->letter)) {
        w->dlq_notices[notice->kind]++;
        snprintf(w->dlq_reason, sizeof w->dlq_reason, "%s", notice->reason);
    }
}

/* ---- open ---- */

void world_open(world *w, const char *policy_json)
{
    kc_error err = {0};
    of_config config;
    char unique[64];
    *w = (world){.failure = OF_RETRY};
    broker_unique_name(unique, sizeof unique, "w");
    snprintf(w->type, sizeof w->type, "%s.case.request", unique);
    snprintf(w->topic, sizeof w->topic, "%s", w->type);
    snprintf(w->group, sizeof w->group, "g-%s", unique);
    snprintf(w->org, sizeof w->org, "o-%s", unique);
    must(of_config_init(&config), NULL, "of_config_init");
    config.brokers = broker_list();
    if (policy_json)
        must(of_policies_load(config.policies, kc_str(policy_json), &err), &err, "policy");
    must(kc_config_set(config.kafka, "metadata.max.age.ms", "1000", &err), &err, "kafka");
    // a test that failed left a member behind: its partitions are free soon
    must(kc_config_set(config.kafka, "session.timeout.ms", "6000", &err), &err, "kafka");
    must(kc_config_set(config.kafka, "heartbeat.interval.ms", "1000", &err), &err, "kafka");
    must(of_platform_open(&config, NULL, &w->platform, &err), &err, "of_platform_open");
    of_config_cleanup(&config);
    must(of_producer_open(w->platform, NULL, &w->producer, &err), &err, "of_producer_open");
}

static void add_spec(of_topic_spec *specs, size_t *count, char (*names)[160], const char *name,
                     int32_t partitions)
{
    snprintf(names[*count], sizeof names[0], "%s", name);
    of_topic_spec spec = {.retention_ms = 3600000};
    (void)of_catalogue_find(kc_str(name), &spec); // DLQ and retry topics as they ought to be
    spec.name = names[*count];
    spec.is_template = false;
    spec.partitions = partitions;
    specs[(*count)++] = spec;
}

void world_make_topics(world *w, int32_t partitions, const char *const *tiers, size_t tier_count)
{
    of_topic_spec specs[8];
    char names[8][160], name[160];
    size_t count = 0;
    of_plan *plan;
    kc_error err = {0};
    add_spec(specs, &count, names, w->topic, partitions);
    snprintf(name, sizeof name, "dlq.%s", w->topic);
    add_spec(specs, &count, names, name, 3);
    snprintf(name, sizeof name, "retry.%s.now", w->group);
    add_spec(specs, &count, names, name, 2);
    for (size_t i = 0; i < tier_count; i++) {
        snprintf(name, sizeof name, "retry.%s.%s", w->group, tiers[i]);
        add_spec(specs, &count, names, name, 2);
    }
    add_spec(specs, &count, names, "officeflow.dlq-state", 6);
    of_plan_options options = {.orgs_only = true, .extra = specs, .extra_count = count};
    must(of_topics_plan(w->platform, &options, WORLD_WAIT_MS, &plan, &err), &err, "plan");
    must(of_topics_apply(w->platform, plan, WORLD_WAIT_MS, &err), &err, "apply");
    of_plan_free(plan);
}

void world_make_org(world *w)
{
    kc_error err = {0};
    of_plan *plan;
    must(of_topics_create_org(w->platform, w->org, WORLD_WAIT_MS, &plan, &err), &err, "org");
    of_plan_free(plan);
    snprintf(w->type, sizeof w->type, "employee.exit");
    snprintf(w->topic, sizeof w->topic, "employee.exit.%s", w->org);
}

static void turn(world *w, int ms)
{
    kc_err err = kc_client_dispatch(of_platform_client(w->platform), ms);
    ck_assert_msg(err == KC_OK || err == KC_ERR_AGAIN, "%s", kc_err_name(err));
}

void world_wait(world *w, const size_t *counter, size_t wanted)
{
    int64_t deadline = kc_clock_monotonic_us() + WORLD_WAIT_MS * 1000LL;
    while (*counter < wanted) {
        turn(w, TURN_MS);
        ck_assert_msg(kc_clock_monotonic_us() < deadline,
                      "waited too long: %zu of %zu; %zu calls; errors: %s", *counter, wanted,
                      w->call_count, w->errors);
    }
}

void world_pass(world *w, int ms)
{
    int64_t until = kc_clock_monotonic_us() + ms * 1000LL;
    while (kc_clock_monotonic_us() < until)
        turn(w, TURN_MS);
}

void world_start_consumer(world *w)
{
    kc_error err = {0};
    of_consumer_options options;
    of_consumer_options_init(&options);
    options.on_notice = on_notice;
    options.notice_user = w;
    options.commit_interval_ms = 100;
    of_breaker_options breaker; // what fails here fails because it was told to
    of_breaker_options_init(&breaker);
    breaker.consecutive_failures = 0;
    breaker.failure_ratio = 2.0;
    options.handler_breaker = &breaker;
    const char *pattern = w->topic;
    must(of_consumer_open(w->platform, w->group, &options, &w->consumer, &err), &err, "consumer");
    must(of_consumer_handle(w->consumer, w->type, on_event, w, &err), &err, "handle");
    must(of_consumer_subscribe(w->consumer, &pattern, 1, true, &err), &err, "subscribe");
    int64_t deadline = kc_clock_monotonic_us() + WORLD_WAIT_MS * 1000LL;
    of_consumer_stats stats = {0};
    for (; stats.partitions == 0; of_consumer_stats_get(w->consumer, &stats)) {
        turn(w, TURN_MS);
        ck_assert_msg(kc_clock_monotonic_us() < deadline, "no partitions: %s", w->errors);
    }
}

void world_start_dlq(world *w)
{
    kc_error err = {0};
    of_dlq_options options;
    of_dlq_options_init(&options);
    options.on_notice = on_dlq_notice;
    options.user = w;
    must(of_dlq_open(w->platform, &options, &w->dlq, &err), &err, "of_dlq_open");
    must(of_dlq_start(w->dlq, &err), &err, "of_dlq_start");
}

/* ---- sending ---- */

typedef struct sending {
    size_t done;
    kc_err err;
} sending;

static void on_sent(const of_sent *sent, void *user)
{
    sending *s = user;
    s->done++;
    s->err = sent->err;
}

void world_send(world *w, const char *payload, const char *key)
{
    kc_error err = {0};
    sending s = {0};
    of_event event = {.type = kc_str(w->type),
                      .organization_id = kc_str(w->org),
                      .payload = kc_str(payload),
                      .key = kc_str(key)};
    must(of_producer_send(w->producer, &event, on_sent, &s, &err), &err, "send");
    world_wait(w, &s.done, 1);
    must(s.err, NULL, "sent");
}

static void on_delivery(const kc_delivery *delivery, void *user)
{
    sending *s = user;
    s->done++;
    s->err = delivery->err;
}

void world_send_raw(world *w, const char *topic, const char *value, const char *key,
                    const kc_header *headers, size_t header_count, int32_t partition)
{
    kc_error err = {0};
    kc_producer *producer;
    sending s = {0};
    kc_record record = KC_RECORD_INIT;
    record.topic = kc_str(topic);
    record.partition = partition;
    record.key = kc_str(key);
    record.value = kc_str(value);
    record.headers = headers;
    record.header_count = header_count;
    must(kc_producer_open(of_platform_client(w->platform), NULL, &producer, &err), &err, "open");
    must(kc_producer_send(producer, &record, on_delivery, &s, &err), &err, "send");
    world_wait(w, &s.done, 1);
    must(s.err, NULL, "sent");
    kc_producer_close(producer);
}

static void on_state(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                     void *user)
{
    (void)error;
    (void)partition;
    (void)offset;
    sending *s = user;
    s->done++;
    s->err = err;
}

void world_write_state(world *w, const of_state_record *record)
{
    kc_error err = {0};
    of_outbox *outbox;
    sending s = {0};
    must(of_outbox_new(w->platform, &outbox, &err), &err, "outbox");
    must(of_state_write(outbox, record, on_state, &s, &err), &err, "state");
    world_wait(w, &s.done, 1);
    must(s.err, NULL, "written");
    of_outbox_free(outbox);
}

/* ---- reading back ---- */

typedef struct memory {
    kb_mem mem;
    kb_arena arena;
} memory;

typedef struct reading {
    world *w;
    kc_bytes topic;
} reading;

static bool wants(kc_bytes topic, void *user)
{
    const reading *r = user;
    return kc_bytes_equal(topic, r->topic);
}

static bool take(kc_bytes topic, int32_t partition, const kc_view *view, void *user)
{
    reading *r = user;
    world *w = r->w;
    memory *m = w->memory;
    of_message message;
    (void)topic;
    ck_assert_uint_lt(w->record_count, WORLD_HANDLED_MAX);
    ck_assert(of_message_of_view(view, &m->arena, &message));
    world_record *record = &w->records[w->record_count++];
    *record = (world_record){.key = kb_arena_copy(&m->arena, view->key),
                             .value = kb_arena_copy(&m->arena, view->value),
                             .header_count = message.header_count,
                             .partition = partition,
                             .offset = view->offset};
    record->headers = kb_arena_array(&m->arena, message.header_count + 1, sizeof(kc_header));
    for (size_t i = 0; i < message.header_count; i++) {
        record->headers[i].name = kb_arena_copy(&m->arena, message.headers[i].name);
        record->headers[i].value = kb_arena_copy(&m->arena, message.headers[i].value);
    }
    return true;
}

static void forget(world *w)
{
    memory *m = w->memory;
    w->record_count = 0;
    if (!m)
        return;
    kb_arena_cleanup(&m->arena);
    ck_assert_uint_eq(m->mem.used, 0);
    free(m);
    w->memory = NULL;
}

void world_read(world *w, const char *topic)
{
    kc_error err = {0};
    forget(w);
    memory *m = calloc(1, sizeof *m);
    ck_assert_ptr_nonnull(m);
    kb_mem_init(&m->mem, NULL, 0);
    kb_arena_init(&m->arena, &m->mem, 0);
    w->memory = m;
    reading r = {.w = w, .topic = kc_str(topic)};
    of_scan scan = {.wants = wants,
                    .take = take,
                    .user = &r,
                    .since_ms = w->since_ms,
                    .deadline_us = of_scan_deadline(WORLD_WAIT_MS)};
    must(of_scan_run(w->platform, &scan, &err), &err, "of_scan_run");
}

const char *world_header(const world_record *record, const char *name)
{
    static char text[4][512];
    static int next;
    char *out = text[next++ % 4];
    copy(out, sizeof text[0], of_header_text(record->headers, record->header_count, name));
    return out;
}

void world_close(world *w)
{
    of_dlq_close(w->dlq, 5000);
    if (w->consumer)
        of_consumer_close(w->consumer, 5000);
    of_producer_close(w->producer);
    of_platform_close(w->platform);
    forget(w);
}
