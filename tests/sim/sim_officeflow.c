/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Workloads: the OfficeFlow layer. Sources send events; workers of one group handle them, and fail as each event's fate
 * says; what fails goes through the retry topics to the DLQ. Workers come, are stopped, killed and frozen. In "redrive"
 * there are DLQ handlers too, which release what is dead, and come and go like workers.
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
 * With DLQ handlers:
 *   - a letter is released with its id, key and value, as the redrive after the last one, never more often than its policy
 *     says, never in a family kept in order; and is in quarantine only when its class or its redrives say so;
 *   - a letter's offset is committed only when it is released, in quarantine or left to an operator;
 *   - what states and notices tell has come about, and nobody is told of a redrive after what became of it;
 *   - in the end each letter that may be touched was redriven with success, or is in quarantine.
 * Not promised: that an event is handled or dies only once (at least once), or that a dead event was never handled; that
 * a committed offset never goes back: a commit that was sent and never answered may take effect late, after the one
 * behind it, and stands until the next one. */
#include "tests/sim/sim_office_hosts.h"

#include <stdio.h>
#include <stdlib.h>

#define DRAIN_MS 5000

static void change_source(sim_world *sim)
{
    office_state *state = sim->state;
    office_source *source = &state->sources[sim_between(sim, 0, state->source_count - 1)];
    if (source->base.host)
        office_source_end(source);
    else
        office_source_begin(sim, source->base.slot);
}

static void change_worker(sim_world *sim)
{
    office_state *state = sim->state;
    int slot = (int)sim_between(sim, 0, state->worker_count - 1);
    office_worker *worker = &state->workers[slot];
    if (!worker->base.host) {
        office_worker_begin(sim, slot);
    } else if (sim_chance(sim, 30)) {
        office_worker_end(worker);
    } else if (sim_chance(sim, 40)) {
        sim_note(sim, "worker %d is stopped", slot);
        of_consumer_stop(worker->consumer, DRAIN_MS);
    }
}

static void change_redriver(sim_world *sim)
{
    office_state *state = sim->state;
    int slot = (int)sim_between(sim, 0, state->redriver_count - 1);
    office_redriver *redriver = &state->redrivers[slot];
    if (!redriver->base.host) {
        office_redriver_begin(sim, slot);
    } else if (sim_chance(sim, 40)) {
        office_redriver_end(redriver);
    } else if (sim_chance(sim, 40)) {
        sim_note(sim, "redriver %d is stopped", slot);
        of_dlq_stop(redriver->dlq, DRAIN_MS);
    }
}

/** One process comes, stops, or is killed. */
static void on_change(kn_timer *timer)
{
    sim_world *sim = timer->user;
    office_state *state = sim->state;
    if (sim_chance(sim, 10))
        change_source(sim);
    else if (state->redriver_count > 0 && sim_chance(sim, 40))
        change_redriver(sim);
    else
        change_worker(sim);
    office_timer_set(sim, sim->loop, timer,
                     sim->now_us + sim_between(sim, 0, state->change_us * 2));
}

static bool is_awake(const office_host *base)
{
    return base->host && !base->host->is_frozen;
}

/** What has stopped, asked to or not, ends; in the end there must be some. */
static void on_look(kn_timer *timer)
{
    sim_world *sim = timer->user;
    office_state *state = sim->state;
    for (int i = 0; i < state->worker_count && !sim->has_failed; i++) {
        office_worker *worker = &state->workers[i];
        if (is_awake(&worker->base) && of_consumer_is_stopped(worker->consumer))
            office_worker_end(worker);
        if (!worker->base.host && sim->is_settled)
            office_worker_begin(sim, i);
    }
    for (int i = 0; i < state->redriver_count && !sim->has_failed; i++) {
        office_redriver *redriver = &state->redrivers[i];
        if (is_awake(&redriver->base) && of_dlq_is_stopped(redriver->dlq))
            office_redriver_end(redriver);
        if (!redriver->base.host && sim->is_settled)
            office_redriver_begin(sim, i);
    }
    office_timer_set(sim, sim->loop, timer, sim->now_us + 500000);
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

static void draw_redrives(sim_world *sim, of_policy *policy)
{
    policy->max_redrives = (int32_t)sim_between(sim, 0, 3);
    policy->redrive_initial_ms = sim_between(sim, 50, 1000);
    policy->redrive_maximum_ms = 2000;
    policy->redrive_coefficient = (double)sim_between(sim, 10, 20) / 10;
    policy->redrive_jitter = (double)sim_between(sim, 0, 5) / 10;
    policy->redrive_max_age_ms = INT64_C(1000000000000);
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

static void add_redrive_topics(sim_world *sim, const office_ledger *ledger)
{
    char name[64];
    add_topic(sim, ROLE_REDRIVE, "retry." OFFICE_GROUP ".now", (int32_t)sim_between(sim, 1, 3));
    for (int i = 0; i < ledger->type_count; i++) {
        snprintf(name, sizeof name, "quarantine.%s", ledger->types[i]);
        add_topic(sim, ROLE_QUARANTINE, name, 1);
    }
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
        if (ledger->is_redriven)
            draw_redrives(sim, &ledger->policies[i].policy);
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
    if (ledger->is_redriven)
        add_redrive_topics(sim, ledger);
    add_topic(sim, ROLE_STATE, "officeflow.dlq-state", 1);
}

static void start_with(sim_world *sim, bool is_redriven)
{
    office_state *state = calloc(1, sizeof *state);
    sim->state = state;
    if (!state) {
        sim_fail(sim, "no memory for the ledger");
        return;
    }
    state->ledger.is_redriven = is_redriven;
    kb_rand_init(&state->ids, kb_rand_u64(&sim->rand));
    state->has_breakers = sim_chance(sim, 50);
    make_topics(sim, &state->ledger);
    state->change_timer = (kn_timer){.fn = on_change, .user = sim};
    state->look_timer = (kn_timer){.fn = on_look, .user = sim};
    state->change_us = sim_chance(sim, 50) ? 3000000 : 20000000;
    state->source_count = (int)sim_between(sim, 1, OFFICE_SOURCES_MAX);
    state->worker_count = (int)sim_between(sim, 1, OFFICE_WORKERS_MAX);
    state->redriver_count = is_redriven ? (int)sim_between(sim, 1, OFFICE_REDRIVERS_MAX) : 0;
    for (int i = 0; i < state->source_count && !sim->has_failed; i++)
        office_source_begin(sim, i);
    for (int i = 0; i < state->worker_count && !sim->has_failed; i++)
        office_worker_begin(sim, i);
    for (int i = 0; i < state->redriver_count && !sim->has_failed; i++)
        office_redriver_begin(sim, i);
    office_timer_set(sim, sim->loop, &state->change_timer,
                     sim->now_us + sim_between(sim, 0, state->change_us * 2));
    office_timer_set(sim, sim->loop, &state->look_timer, sim->now_us);
}

static void start(sim_world *sim)
{
    start_with(sim, false);
}

static void start_redriven(sim_world *sim)
{
    start_with(sim, true);
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
            office_worker_end(&state->workers[i]);
    for (int i = 0; i < state->redriver_count; i++)
        if (state->redrivers[i].base.host)
            office_redriver_end(&state->redrivers[i]);
    for (int i = 0; i < state->source_count; i++)
        if (state->sources[i].base.host)
            office_source_end(&state->sources[i]);
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

const sim_workload sim_redrive = {
    .name = "redrive",
    .about = "the same, and DLQ handlers redrive what is dead",
    .start = start_redriven,
    .settle = settle,
    .is_done = is_done,
    .check = check,
    .watch = watch,
    .release = release,
    .finish = finish,
    .tell = tell,
};
