/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Workers: consumers whose handlers answer as each event's fate says. */
#include "tests/sim/sim_office_hosts.h"

#include <stdlib.h>

/* ---- handlers ---- */

/** What the event's fate says to this try. */
static of_result judge(office_worker *worker, const office_event *event, office_copy *copy,
                       of_ctx *ctx)
{
    sim_world *sim = worker->base.sim;
    office_state *state = sim->state;
    // a breaker that opens for what is dead lets one try pass in 30 s: what is redriven must not fail for ever
    bool is_calm = sim->is_settled && (state->has_breakers || state->ledger.is_redriven);
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
    for (int i = 0; i < OFFICE_ANSWERS_MAX; i++)
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
    office_timer_set(sim, worker->base.host->loop, &later->timer,
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
    int32_t redrive = of_ctx_redrive(ctx);
    if (redrive > copy->releases)
        sim_fail(sim, "event %u comes as redrive %d, and was not released so often", copy->number,
                 redrive);
    if (attempt > ledger->policies[sent->topic].tries + redrive + (int32_t)copy->holds)
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
        if (copy->deaths == 0)
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

void office_worker_begin(sim_world *sim, int slot)
{
    office_state *state = sim->state;
    office_worker *worker = &state->workers[slot];
    kc_error err = {0};
    *worker = (office_worker){0};
    if (!office_host_begin(sim, &worker->base, slot))
        return;
    if (open_consumer(worker, &err))
        sim_fail(sim, "a consumer can't be opened: %s", err.text);
    sim_note(sim, "worker %d begins on host %d", slot, worker->base.host->index);
}

void office_worker_end(office_worker *worker)
{
    sim_note(worker->base.sim, "worker %d ends", worker->base.slot);
    for (int i = 0; i < OFFICE_ANSWERS_MAX; i++)
        if (worker->answers[i].ctx)
            kn_timer_stop(worker->base.host->loop, &worker->answers[i].timer);
    office_host_end(&worker->base);
    *worker = (office_worker){.base = {.sim = worker->base.sim, .slot = worker->base.slot}};
}
