/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Workload: the OfficeFlow layer. Sources send events; workers of one group handle them, and fail as each event's fate
 * says; what fails goes through the retry topics to the DLQ. Workers come, are stopped, killed and frozen.
 *
 * Promised, and checked:
 *   - an acknowledged event is in its topic, and each record of a topic is handled, discarded or in the DLQ;
 *   - an offset is committed only past what was handled, discarded, or stands in a later topic (all replicas have it);
 *   - a partition's events are begun in their order, none left out, each only when the ones before it are done;
 *   - an event is dead only when its handler said so, or after exactly as many tries as the policy gives, in all stages;
 *     a breaker that holds it back may add tries (dlq_flood: "each try a probe"), a worker that dies in the middle of a
 *     delivery makes its tries come again, and neither counts: so the number is that of the path the dead letter took;
 *   - retry and DLQ records have key and value of their origin, byte for byte;
 *   - each send is told exactly once; everything is freed.
 * Not promised: that an event is handled or dies only once (at least once), or that a dead event was never handled. */
#include "officeflow/platform_core.h"
#include "officeflow/tracker.h"
#include "tests/sim/sim_office.h"

#include <stdio.h>
#include <stdlib.h>

#define SOURCES_MAX 2
#define WORKERS_MAX 3
#define ANSWERS_MAX 32
#define EVENTS_MAX  200
#define DRAIN_MS    5000

/** A process with the platform on it. */
typedef struct office_host {
    sim_world *sim;
    int slot;
    sim_host *host; /**< NULL: not there */
    of_platform *platform;
    of_tracker *tracker;
} office_host;

typedef struct office_source {
    office_host base;
    of_producer *producer;
    kn_timer send_timer;
    int64_t interval_us;
} office_source;

/** An answer that a handler owes. */
typedef struct office_answer {
    struct office_worker *worker;
    kn_timer timer;
    of_ctx *ctx; /**< NULL: free */
    int topic;
    int32_t partition;
    int64_t offset;
    of_result result;
} office_answer;

typedef struct office_worker {
    office_host base;
    of_consumer *consumer;
    office_answer answers[ANSWERS_MAX];
} office_worker;

typedef struct office_state {
    office_ledger ledger;
    kb_rand ids;
    office_source sources[SOURCES_MAX];
    int source_count;
    office_worker workers[WORKERS_MAX];
    int worker_count;
    bool has_breakers; /**< else handlers may fail as often as they like */
    kn_timer change_timer, look_timer;
    int64_t change_us;
} office_state;

static office_state *state_of(const office_host *base)
{
    return base->sim->state;
}

static void set_timer(sim_world *sim, kn_loop *loop, kn_timer *timer, int64_t due_us)
{
    if (kn_timer_set(loop, timer, due_us))
        sim_fail(sim, "a timer can't be set");
}

/* ---- hosts ---- */

static int64_t tracker_wall_ms(void *user)
{
    const office_host *base = user;
    return kn_loop_wall_ms(base->host->loop);
}

static uint64_t tracker_random(void *user)
{
    const office_host *base = user;
    return kb_rand_u64(&state_of(base)->ids);
}

static kc_config *host_config(sim_world *sim)
{
    kc_config *config = kc_config_new();
    if (!config) {
        sim_fail(sim, "no memory for a configuration");
        return NULL;
    }
    int64_t session_ms = sim_between(sim, 6000, 30000);
    int64_t request_ms = sim_between(sim, 1000, 30000);
    sim_set(sim, config, "request.timeout.ms", "%lld", (long long)request_ms);
    sim_set(sim, config, "delivery.timeout.ms", "%lld",
            (long long)(request_ms + sim_between(sim, 10, 30000)));
    sim_set(sim, config, "session.timeout.ms", "%lld", (long long)session_ms);
    sim_set(sim, config, "heartbeat.interval.ms", "%lld",
            (long long)sim_between(sim, 500, session_ms / 3));
    sim_set(sim, config, "max.poll.interval.ms", "%lld",
            (long long)sim_between(sim, 30000, 300000));
    sim_set(sim, config, "fetch.max.wait.ms", "%lld", (long long)sim_between(sim, 0, 1000));
    sim_set(sim, config, "max.partition.fetch.bytes", "%lld",
            (long long)(sim_chance(sim, 50) ? 1048576 : sim_between(sim, 500, 20000)));
    sim_set(sim, config, "metadata.max.age.ms", "%lld", (long long)sim_between(sim, 1000, 60000));
    return config;
}

static kc_err open_platform(office_host *base, kc_config *kafka, kc_error *err)
{
    const office_ledger *ledger = &state_of(base)->ledger;
    of_config config;
    kc_alloc alloc = fail_alloc_hooks(&base->host->alloc);
    kc_client_options options = {.size = sizeof options, .alloc = &alloc};
    kc_err result = of_config_init(&config);
    if (result)
        return result;
    kc_config_free(config.kafka);
    config.kafka = kafka;
    for (int i = 0; i < ledger->type_count && !result; i++)
        result = of_policies_set(config.policies, ledger->types[i], &ledger->policies[i].policy);
    if (!result)
        result = of_platform_make(base->host->client, &config, &options, &base->platform, err);
    of_config_cleanup(&config);
    if (result)
        return result;
    const of_tracker_clock clock = {tracker_wall_ms, tracker_random, base};
    base->tracker = of_tracker_new(&clock);
    base->platform->tracker = base->tracker;
    return base->tracker ? KC_OK : KC_ERR_NOMEM;
}

/** False: it is not there. Memory may run out while it starts: then it just does not. */
static bool begin_host(sim_world *sim, office_host *base, int slot)
{
    kc_error err = {0};
    *base = (office_host){.sim = sim, .slot = slot};
    kc_config *config = host_config(sim);
    base->host = config ? sim_host_new(sim, config) : NULL;
    if (!base->host) {
        kc_config_free(config);
        return false;
    }
    if (open_platform(base, config, &err))
        sim_fail(sim, "a platform can't be opened: %s", err.text);
    return !sim->has_failed;
}

static void end_host(office_host *base)
{
    of_platform_close(base->platform);
    of_tracker_free(base->tracker);
    sim_host_kill(base->host);
    base->platform = NULL;
    base->tracker = NULL;
    base->host = NULL;
}

/* ---- sources ---- */

typedef struct sending {
    office_source *source;
    office_event *event;
} sending;

static void on_told(const of_sent *sent, void *user)
{
    sending *one = user;
    sim_world *sim = one->source->base.sim;
    office_state *state = sim->state;
    sim_note(sim, "event %u: %d at %s-%d/%lld", one->event->number, sent->err,
             sim->topics[one->event->topic].name, sent->partition, (long long)sent->offset);
    state->ledger.pending--;
    one->event->state = sent->err == KC_OK ? EVENT_ACKED : EVENT_FAILED;
    one->event->partition = sent->partition;
    one->event->offset = sent->offset;
    free(one);
}

static office_fate draw_fate(sim_world *sim)
{
    static const struct {
        office_fate fate;
        int weight;
    } fates[] = {{FATE_OK, 62},       {FATE_FAILS, 18},  {FATE_ALWAYS_FAILS, 6},
                 {FATE_PERMANENT, 5}, {FATE_DISCARD, 5}, {FATE_BUSY, 4}};
    int64_t pick = sim_between(sim, 0, 99);
    size_t i = 0;
    while (pick >= fates[i].weight)
        pick -= fates[i++].weight;
    return fates[i].fate;
}

static bool send_one(office_source *source)
{
    sim_world *sim = source->base.sim;
    office_ledger *ledger = &((office_state *)sim->state)->ledger;
    char payload[256], key[16];
    kc_error err = {0};
    office_event *event = office_event_new(sim, ledger);
    sending *one = calloc(1, sizeof *one);
    if (!event || !one) {
        free(one);
        sim_fail(sim, "no memory for the ledger");
        return false;
    }
    *one = (sending){.source = source, .event = event};
    event->topic = (int)sim_between(sim, 0, ledger->type_count - 1);
    event->fate = draw_fate(sim);
    event->fails = (int32_t)sim_between(sim, 1, ledger->policies[event->topic].tries + 1);
    snprintf(payload, sizeof payload, "{\"n\":%u,\"text\":\"%*s\"}", event->number,
             (int)sim_between(sim, 0, 200), "");
    snprintf(key, sizeof key, "k%d", (int)sim_between(sim, 0, 20));
    of_event sent = {.type = kc_str(ledger->types[event->topic]),
                     .organization_id = KC_STR("org"),
                     .payload = kc_str(payload),
                     .key = kc_str(key)};
    kc_err code = of_producer_send(source->producer, &sent, on_told, one, &err);
    if (code == KC_OK) {
        ledger->pending++;
        return true;
    }
    if (code != KC_ERR_BUFFER_FULL && code != KC_ERR_NOMEM)
        sim_fail(sim, "a send is refused: %s", err.text);
    event->state = EVENT_FAILED;
    free(one);
    return false;
}

static void on_send_timer(kn_timer *timer)
{
    office_source *source = timer->user;
    sim_world *sim = source->base.sim;
    office_state *state = sim->state;
    if (sim->is_settled)
        return;
    int64_t burst = sim_chance(sim, 90) ? sim_between(sim, 1, 3) : sim_between(sim, 1, 30);
    while (burst-- > 0 && state->ledger.count < EVENTS_MAX && send_one(source))
        ;
    set_timer(sim, source->base.host->loop, timer,
              sim_host_now_us(source->base.host) + sim_between(sim, 0, source->interval_us * 2));
}

static void begin_source(sim_world *sim, int slot)
{
    office_state *state = sim->state;
    office_source *source = &state->sources[slot];
    kc_error err = {0};
    if (!begin_host(sim, &source->base, slot))
        return;
    source->interval_us = sim_between(sim, 10000, 500000);
    source->send_timer = (kn_timer){.fn = on_send_timer, .user = source};
    if (of_producer_open(source->base.platform, NULL, &source->producer, &err))
        sim_fail(sim, "a producer can't be opened: %s", err.text);
    else
        set_timer(sim, source->base.host->loop, &source->send_timer,
                  sim->now_us + sim_between(sim, 0, 1000000));
}

static void end_source(office_source *source)
{
    sim_note(source->base.sim, "source %d ends", source->base.slot);
    kn_timer_stop(source->base.host->loop, &source->send_timer);
    end_host(&source->base);
}

/* ---- handlers ---- */

/** What the event's fate says to this try. */
static of_result judge(office_worker *worker, const office_event *event, office_copy *copy,
                       of_ctx *ctx)
{
    sim_world *sim = worker->base.sim;
    office_state *state = sim->state;
    bool is_calm = sim->is_settled && state->has_breakers;
    switch (event->fate) {
    case FATE_FAILS:
        return of_ctx_attempt(ctx) <= event->fails && !is_calm ? OF_RETRY : OF_OK;
    case FATE_ALWAYS_FAILS:
        return is_calm ? OF_OK : OF_RETRY;
    case FATE_PERMANENT:
        return OF_PERMANENT;
    case FATE_DISCARD:
        return OF_DISCARD;
    case FATE_BUSY:
        if (copy->was_busy)
            return OF_OK;
        copy->was_busy = true;
        return OF_BUSY;
    default:
        return OF_OK;
    }
}

static void on_answer(kn_timer *timer)
{
    office_answer *answer = timer->user;
    office_worker *worker = answer->worker;
    sim_world *sim = worker->base.sim;
    office_state *state = sim->state;
    of_ctx *ctx = answer->ctx;
    answer->ctx = NULL;
    if (answer->result == OF_OK)
        state->ledger.logs[answer->topic][answer->partition].copies[answer->offset].is_answered_ok =
            true;
    of_complete(ctx, answer->result);
}

/** NULL: answers at once. */
static office_answer *answer_later(office_worker *worker)
{
    sim_world *sim = worker->base.sim;
    if (!sim_chance(sim, 30))
        return NULL;
    for (int i = 0; i < ANSWERS_MAX; i++)
        if (!worker->answers[i].ctx)
            return &worker->answers[i];
    return NULL;
}

static of_result answer(office_worker *worker, of_ctx *ctx, int topic, of_result result)
{
    sim_world *sim = worker->base.sim;
    office_state *state = sim->state;
    office_answer *later = answer_later(worker);
    int32_t partition = of_ctx_partition(ctx);
    int64_t offset = of_ctx_offset(ctx);
    if (!later) {
        if (result == OF_OK)
            state->ledger.logs[topic][partition].copies[offset].is_answered_ok = true;
        return result;
    }
    *later = (office_answer){.worker = worker,
                             .timer = {.fn = on_answer, .user = later},
                             .ctx = ctx,
                             .topic = topic,
                             .partition = partition,
                             .offset = offset,
                             .result = result};
    bool is_long = !sim->is_settled && sim_chance(sim, 10);
    int64_t in_us = sim_between(sim, 0, is_long ? 20000000 : 500000);
    set_timer(sim, worker->base.host->loop, &later->timer,
              sim_host_now_us(worker->base.host) + in_us);
    return OF_ASYNC;
}

static of_result on_event(const of_event *event, of_ctx *ctx, void *user)
{
    office_worker *worker = user;
    sim_world *sim = worker->base.sim;
    office_ledger *ledger = &((office_state *)sim->state)->ledger;
    office_copy *copy =
        office_find(sim, ledger, of_ctx_topic(ctx), of_ctx_partition(ctx), of_ctx_offset(ctx));
    if (!copy)
        return OF_OK;
    const office_event *sent = ledger->events[copy->number];
    char number[16];
    int32_t attempt = of_ctx_attempt(ctx);
    sim_note(sim, "worker %d: event %u, try %d, %s", worker->base.slot, copy->number, attempt,
             of_stage_name(of_ctx_stage(ctx)));
    if (!of_event_get(event, "/payload/n", number, sizeof number) ||
        strtoul(number, NULL, 10) != copy->number)
        sim_fail(sim, "worker %d: event %u came with the payload of another", worker->base.slot,
                 copy->number);
    if (attempt > ledger->policies[sent->topic].tries + (int32_t)copy->holds)
        sim_fail(sim, "event %u is tried for the %dth time", copy->number, attempt);
    if (of_ctx_stage(ctx) == OF_STAGE_FIRST && attempt == 1)
        office_begin(sim, ledger, sent->topic, of_ctx_partition(ctx), of_ctx_offset(ctx));
    of_result result = judge(worker, sent, copy, ctx);
    if (result == OF_RETRY || result == OF_PERMANENT)
        of_fail(ctx, "fate", "try %d of event %u", attempt, copy->number);
    return answer(worker, ctx, sent->topic, result);
}

static void on_record_notice(office_worker *worker, const of_notice *notice)
{
    sim_world *sim = worker->base.sim;
    office_state *state = sim->state;
    office_copy *copy =
        office_find(sim, &state->ledger, notice->topic, notice->partition, notice->offset);
    if (!copy)
        return;
    sim_note(sim, "worker %d: event %u: notice %d%s%s", worker->base.slot, copy->number,
             notice->kind, notice->error ? ", " : "", notice->error ? notice->error->text : "");
    switch (notice->kind) {
    case OF_NOTICE_HANDLED:
        copy->is_handled = true;
        if (!copy->is_answered_ok)
            sim_fail(sim, "event %u counts as handled, and no handler said so", copy->number);
        return;
    case OF_NOTICE_DISCARDED:
        copy->is_discarded = true;
        if (state->ledger.events[copy->number]->fate != FATE_DISCARD)
            sim_fail(sim, "event %u is discarded for no reason", copy->number);
        return;
    case OF_NOTICE_BREAKER:
        copy->holds++;
        return;
    case OF_NOTICE_RETRY_SENT:
        if (!copy->tiers)
            sim_fail(sim, "event %u counts as sent to a retry topic, and is not there",
                     copy->number);
        return;
    case OF_NOTICE_DEAD:
        if (!copy->is_dead)
            sim_fail(sim, "event %u counts as dead, and is not in the DLQ", copy->number);
        return;
    case OF_NOTICE_FAILED:
    case OF_NOTICE_ERROR: /* it can't be put away: tried again */
        return;
    default:
        sim_fail(sim, "worker %d: event %u: notice %d", worker->base.slot, copy->number,
                 notice->kind);
    }
}

static void on_notice(const of_notice *notice, void *user)
{
    office_worker *worker = user;
    sim_world *sim = worker->base.sim;
    if (notice->event)
        on_record_notice(worker, notice);
    else if (notice->kind == OF_NOTICE_ERROR)
        sim_note(sim, "worker %d: %s", worker->base.slot, notice->error->text);
    else
        sim_fail(sim, "worker %d: notice %d of " KC_FMT "-%d/%lld", worker->base.slot, notice->kind,
                 KC_ARG(notice->topic), notice->partition, (long long)notice->offset);
}

/* ---- workers ---- */

static kc_err open_consumer(office_worker *worker, kc_error *err)
{
    office_state *state = worker->base.sim->state;
    sim_world *sim = worker->base.sim;
    of_consumer_options options;
    of_breaker_options breaker;
    of_consumer_options_init(&options);
    of_breaker_options_init(&breaker);
    breaker.consecutive_failures = 0;
    breaker.failure_ratio = 2.0;
    breaker.slow_ratio = 2.0;
    options.commit_interval_ms = sim_between(sim, 50, 3000);
    options.on_notice = on_notice;
    options.notice_user = worker;
    options.handler_breaker = state->has_breakers ? NULL : &breaker;
    kc_err result =
        of_consumer_open(worker->base.platform, OFFICE_GROUP, &options, &worker->consumer, err);
    for (int i = 0; i < state->ledger.type_count && !result; i++)
        result =
            of_consumer_handle(worker->consumer, state->ledger.types[i], on_event, worker, err);
    if (!result)
        result = of_consumer_subscribe(worker->consumer, state->ledger.types,
                                       (size_t)state->ledger.type_count, true, err);
    return result;
}

static void begin_worker(sim_world *sim, int slot)
{
    office_state *state = sim->state;
    office_worker *worker = &state->workers[slot];
    kc_error err = {0};
    *worker = (office_worker){0};
    if (!begin_host(sim, &worker->base, slot))
        return;
    if (open_consumer(worker, &err))
        sim_fail(sim, "a consumer can't be opened: %s", err.text);
    sim_note(sim, "worker %d begins on host %d", slot, worker->base.host->index);
}

static void end_worker(office_worker *worker)
{
    sim_note(worker->base.sim, "worker %d ends", worker->base.slot);
    for (int i = 0; i < ANSWERS_MAX; i++)
        if (worker->answers[i].ctx)
            kn_timer_stop(worker->base.host->loop, &worker->answers[i].timer);
    end_host(&worker->base);
    *worker = (office_worker){.base = {.sim = worker->base.sim, .slot = worker->base.slot}};
}

/** One worker comes, stops, or is killed; or a source is. */
static void on_change(kn_timer *timer)
{
    sim_world *sim = timer->user;
    office_state *state = sim->state;
    office_worker *worker = &state->workers[sim_between(sim, 0, state->worker_count - 1)];
    office_source *source = &state->sources[sim_between(sim, 0, state->source_count - 1)];
    if (sim_chance(sim, 10)) {
        if (source->base.host)
            end_source(source);
        else
            begin_source(sim, source->base.slot);
    } else if (!worker->base.host) {
        begin_worker(sim, (int)(worker - state->workers));
    } else if (sim_chance(sim, 30)) {
        end_worker(worker);
    } else if (sim_chance(sim, 40)) {
        sim_note(sim, "worker %d is stopped", worker->base.slot);
        of_consumer_stop(worker->consumer, DRAIN_MS);
    }
    set_timer(sim, sim->loop, timer, sim->now_us + sim_between(sim, 0, state->change_us * 2));
}

/** A worker that has stopped, asked to or not, ends; in the end there must be some. */
static void on_look(kn_timer *timer)
{
    sim_world *sim = timer->user;
    office_state *state = sim->state;
    for (int i = 0; i < state->worker_count && !sim->has_failed; i++) {
        office_worker *worker = &state->workers[i];
        if (worker->base.host && !worker->base.host->is_frozen &&
            of_consumer_is_stopped(worker->consumer))
            end_worker(worker);
        if (!worker->base.host && sim->is_settled)
            begin_worker(sim, i);
    }
    set_timer(sim, sim->loop, timer, sim->now_us + 500000);
}

/* ---- the workload ---- */

static void draw_policy(sim_world *sim, office_policy *drawn, const of_tier *tiers, int tier_count,
                        bool is_strict)
{
    of_policy *policy = &drawn->policy;
    of_policy_init(policy, is_strict);
    policy->initial_interval_ms = sim_between(sim, 50, 1000);
    policy->maximum_interval_ms = 3000;
    policy->immediate_attempts = (int32_t)sim_between(sim, 0, 2);
    policy->parked_attempts = (int32_t)sim_between(sim, 0, 3);
    /* Clocks jump: time alone ends nothing here. */
    policy->parked_max_ms = policy->maximum_age_ms = INT64_C(1000000000000);
    policy->tier_count = is_strict ? 0 : tier_count;
    for (int i = 0; i < policy->tier_count; i++)
        policy->tiers[i] = tiers[i];
    drawn->tries = 1 + policy->immediate_attempts + policy->parked_attempts + policy->tier_count;
    if (sim_chance(sim, 30))
        drawn->tries = (int32_t)sim_between(sim, 1, drawn->tries);
    policy->maximum_attempts = drawn->tries;
}

static void add_topic(sim_world *sim, office_role role, const char *name, int32_t partitions)
{
    office_ledger *ledger = &((office_state *)sim->state)->ledger;
    ledger->roles[sim->topic_count] = role;
    if (sim->has_failed || !sim_topic_new_named(sim, name, partitions, -1))
        return;
    km_topic *topic = km_topic_by_name(sim->cluster, kc_str(name));
    if (role == ROLE_RETRY &&
        km_configs_set(&topic->configs, &sim->mem, KC_STR("message.timestamp.type"),
                       KC_STR("LogAppendTime")))
        sim_fail(sim, "no memory for a topic");
}

static void make_topics(sim_world *sim, office_ledger *ledger)
{
    static const char *const types[] = {"email.send.request", "email.send.result"};
    static const of_tier all_tiers[] = {{"1s", 1000}, {"3s", 3000}, {"10s", 10000}};
    char name[64];
    of_tier tiers[OFFICE_TIERS_MAX];
    int tier_count = (int)sim_between(sim, 0, OFFICE_TIERS_MAX);
    int skipped = tier_count == OFFICE_TIERS_MAX ? 0 : (int)sim_between(sim, 0, 1);
    ledger->type_count = (int)sim_between(sim, 1, OFFICE_TYPES_MAX);
    for (int i = 0; i < tier_count; i++)
        tiers[i] = all_tiers[i + skipped];
    for (int i = 0; i < ledger->type_count; i++) {
        ledger->types[i] = types[i];
        draw_policy(sim, &ledger->policies[i], tiers, tier_count, i == 1);
        add_topic(sim, ROLE_EVENTS, types[i], (int32_t)sim_between(sim, 1, 4));
    }
    for (int i = 0; i < tier_count; i++) {
        snprintf(name, sizeof name, "retry." OFFICE_GROUP ".%.15s", tiers[i].name);
        ledger->tier_of[sim->topic_count] = i;
        add_topic(sim, ROLE_RETRY, name, (int32_t)sim_between(sim, 1, 3));
    }
    for (int i = 0; i < ledger->type_count; i++) {
        snprintf(name, sizeof name, "dlq.%s", types[i]);
        add_topic(sim, ROLE_DEAD, name, (int32_t)sim_between(sim, 1, 3));
    }
    add_topic(sim, ROLE_STATE, "officeflow.dlq-state", 1);
}

static void start(sim_world *sim)
{
    office_state *state = calloc(1, sizeof *state);
    sim->state = state;
    if (!state) {
        sim_fail(sim, "no memory for the ledger");
        return;
    }
    kb_rand_init(&state->ids, kb_rand_u64(&sim->rand));
    state->has_breakers = sim_chance(sim, 50);
    make_topics(sim, &state->ledger);
    state->change_timer = (kn_timer){.fn = on_change, .user = sim};
    state->look_timer = (kn_timer){.fn = on_look, .user = sim};
    state->change_us = sim_chance(sim, 50) ? 3000000 : 20000000;
    state->source_count = (int)sim_between(sim, 1, SOURCES_MAX);
    state->worker_count = (int)sim_between(sim, 1, WORKERS_MAX);
    for (int i = 0; i < state->source_count && !sim->has_failed; i++)
        begin_source(sim, i);
    for (int i = 0; i < state->worker_count && !sim->has_failed; i++)
        begin_worker(sim, i);
    set_timer(sim, sim->loop, &state->change_timer,
              sim->now_us + sim_between(sim, 0, state->change_us * 2));
    set_timer(sim, sim->loop, &state->look_timer, sim->now_us);
}

static void settle(sim_world *sim)
{
    office_state *state = sim->state;
    kn_timer_stop(sim->loop, &state->change_timer);
}

static void watch(sim_world *sim)
{
    office_state *state = sim->state;
    office_watch(sim, &state->ledger);
}

static bool is_done(sim_world *sim)
{
    office_state *state = sim->state;
    return office_is_done(sim, &state->ledger);
}

static void release(sim_world *sim)
{
    office_state *state = sim->state;
    kn_timer_stop(sim->loop, &state->change_timer);
    kn_timer_stop(sim->loop, &state->look_timer);
    for (int i = 0; i < state->worker_count; i++)
        if (state->workers[i].base.host)
            end_worker(&state->workers[i]);
    for (int i = 0; i < state->source_count; i++)
        if (state->sources[i].base.host)
            end_source(&state->sources[i]);
    if (state->ledger.pending > 0)
        sim_fail(sim, "%zu events were never told of", state->ledger.pending);
}

static void check(sim_world *sim)
{
    office_state *state = sim->state;
    office_check(sim, &state->ledger);
}

static void tell(sim_world *sim)
{
    const office_state *state = sim->state;
    office_tell(sim, &state->ledger);
}

static void finish(sim_world *sim)
{
    office_state *state = sim->state;
    if (state)
        office_free(&state->ledger);
    free(state);
}

const sim_workload sim_officeflow = {
    .name = "officeflow",
    .about = "events are handled, tried again, and put into dead letter topics",
    .start = start,
    .settle = settle,
    .is_done = is_done,
    .check = check,
    .watch = watch,
    .release = release,
    .finish = finish,
    .tell = tell,
};
