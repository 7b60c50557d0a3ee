/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The steps of a letter: what is written for it, what follows when that is acknowledged, and what is told. */
#include "officeflow/catalogue.h"
#include "officeflow/dlq_handler_core.h"
#include "officeflow/variant.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

#define WRITE_BACKOFF_MS     1000
#define WRITE_BACKOFF_MAX_MS 60000

/** Tell the state topic what the letter is now; nobody waits for it. */
static void on_told(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                    void *user)
{
    (void)partition;
    (void)offset;
    of_dlq_handler *handler = user;
    handler->writes--;
    if (err != KC_OK && err != KC_ERR_CLOSED)
        of_dlq_notice_error(handler, error, "a state was not written");
    of_dlq_wake(handler);
}

static of_state_record state_of(const of_parked *p, of_dead_state state)
{
    // the consumer may have written `resolved` by now: our state is as old as the act it tells of
    bool is_of_act = state == OF_DEAD_REDRIVEN || state == OF_DEAD_QUARANTINED;
    of_state_record record = {
        .state = state,
        .redrive = p->letter.redrives,
        .due_ms = state == OF_DEAD_SCHEDULED ? p->due_ms : 0,
        .wall_ms = is_of_act ? p->acted_ms : of_dlq_wall_ms(p->handler),
        .by = KC_STR("auto"),
        .correlation_id = p->letter.correlation_id,
    };
    memcpy(record.id, p->letter.id, sizeof record.id);
    return record;
}

void of_dlq_tell_scheduled(of_parked *p, const char *reason)
{
    of_dlq_handler *handler = p->handler;
    of_state_record record = state_of(p, OF_DEAD_SCHEDULED);
    kc_error error;
    p->letter.state = OF_DEAD_SCHEDULED;
    p->letter.next_ms = p->due_ms;
    of_dlq_view_put(handler, p->letter.id, OF_DEAD_SCHEDULED, p->letter.redrives, p->due_ms);
    if (of_state_write(handler->outbox, &record, on_told, handler, &error) == KC_OK)
        handler->writes++;
    else
        of_dlq_notice_error(handler, &error, "a state was not written");
    of_dlq_notice_letter(handler, OF_DLQ_SCHEDULED, &p->letter, reason, p->due_ms);
}

void of_dlq_tell_redriven(of_parked *p)
{
    if (p->is_redriven_told)
        return;
    p->is_redriven_told = true;
    p->handler->stats.redriven++;
    of_dead_letter letter = p->letter;
    letter.state = OF_DEAD_REDRIVEN;
    letter.next_ms = 0;
    letter.redrives++;
    of_dlq_notice_letter(p->handler, OF_DLQ_REDRIVEN, &letter, p->reason, 0);
}

/** The letter is dealt with, as its last step says. */
static void finish(of_parked *p)
{
    of_dlq_handler *handler = p->handler;
    if (p->step == OF_DLQ_STEP_SAY_REDRIVEN) {
        if (OF_VARIANT(REDRIVEN_TOLD_LATE))
            of_dlq_tell_redriven(p);
        of_dlq_view_put(handler, p->letter.id, OF_DEAD_REDRIVEN, p->letter.redrives, 0);
        of_dlq_done(p);
        return;
    }
    bool is_quarantined = p->step == OF_DLQ_STEP_SAY_QUARANTINED;
    of_dead_state state = is_quarantined ? OF_DEAD_QUARANTINED : OF_DEAD;
    if (is_quarantined)
        handler->stats.quarantined++;
    else
        handler->stats.left_to_operator++;
    of_dlq_view_put(handler, p->letter.id, state, p->letter.redrives, 0);
    p->letter.state = state;
    p->letter.next_ms = 0;
    of_dlq_notice_letter(handler, is_quarantined ? OF_DLQ_QUARANTINED : OF_DLQ_LEFT_TO_OPERATOR,
                         &p->letter, p->reason, 0);
    of_dlq_done(p);
}

/** A release that did not come about: its canary, if it was one, neither. */
static void take_back_release(of_parked *p)
{
    of_cause *cause = p->cause;
    if (p->step != OF_DLQ_STEP_RELEASE || !cause)
        return;
    cause->waiting++;
    if (cause->state == OF_CAUSE_CANARY && memcmp(cause->canary, p->letter.id, 16) == 0)
        cause->state = OF_CAUSE_FREE;
}

/** By another handler, or by our own write that was not acknowledged: what came of it was heard. */
static bool is_released(const of_parked *p)
{
    return p->step == OF_DLQ_STEP_RELEASE &&
           of_dlq_is_overtaken(of_dlq_view_find(p->handler, p->letter.id), p->letter.redrives);
}

static void write_failed(of_parked *p, kc_err err, const kc_error *error)
{
    bool is_too_large = err == KC_E_MESSAGE_TOO_LARGE || err == KC_E_RECORD_LIST_TOO_LARGE ||
                        err == KC_ERR_TOO_LARGE;
    p->is_writing = false;
    take_back_release(p);
    if (!p->part || is_released(p)) { // taken away: whoever has it now does it again
        of_dlq_done(p);
        return;
    }
    of_dlq_notice_error(p->handler, error, "a letter's write failed: it is tried again");
    if (is_too_large && p->step == OF_DLQ_STEP_QUARANTINE && p->failures == 0)
        p->letter.history = KC_NULL; // our largest header makes room for the reason
    int64_t wait = WRITE_BACKOFF_MS;
    for (int32_t i = 0; i < p->failures && wait < WRITE_BACKOFF_MAX_MS; i++)
        wait *= 2;
    p->failures++;
    of_dlq_wait(p, wait < WRITE_BACKOFF_MAX_MS ? wait : WRITE_BACKOFF_MAX_MS);
}

static void on_written(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                       void *user)
{
    (void)partition;
    (void)offset;
    of_parked *p = user;
    of_dlq_handler *handler = p->handler;
    handler->writes--;
    if (handler->is_closed) {
        p->is_writing = false;
        take_back_release(p);
        if (!p->part)
            of_dlq_done(p);
        return;
    }
    if (err != KC_OK) {
        write_failed(p, err, error);
        return;
    }
    p->is_writing = false;
    p->failures = 0;
    switch (p->step) {
    case OF_DLQ_STEP_RELEASE:
        p->step = OF_DLQ_STEP_SAY_REDRIVEN;
        if (!OF_VARIANT(REDRIVEN_TOLD_LATE))
            of_dlq_tell_redriven(p); // what comes of it may be heard before its state is written
        of_dlq_run_step(p);
        return;
    case OF_DLQ_STEP_QUARANTINE:
        p->step = OF_DLQ_STEP_SAY_QUARANTINED;
        of_dlq_run_step(p);
        return;
    default:
        finish(p);
    }
}

static kc_err write_release(of_parked *p, kb_arena *arena, kc_error *err)
{
    of_message message;
    const char *topic = of_redrive_topic(arena, &p->letter);
    if (!topic ||
        !of_redrive_message(&p->letter, p->letter.redrives + 1, KC_STR("auto"), arena, &message))
        return kb_error_code(err, KC_ERR_NOMEM);
    return of_outbox_write(p->handler->outbox, kc_str(topic), KC_PARTITION_ANY, &message,
                           on_written, p, err);
}

static kc_err write_quarantine(of_parked *p, kb_arena *arena, kc_error *err)
{
    of_message message;
    const char *topic =
        kb_arena_printf(arena, OF_QUARANTINE_PREFIX KC_FMT, KC_ARG(p->letter.topic));
    if (!topic || !of_quarantine_message(&p->letter, kc_str(p->reason), arena, &message))
        return kb_error_code(err, KC_ERR_NOMEM);
    return of_outbox_write(p->handler->outbox, kc_str(topic), 0, &message, on_written, p, err);
}

static kc_err write_state(of_parked *p, of_dead_state state, kc_error *err)
{
    of_state_record record = state_of(p, state);
    return of_state_write(p->handler->outbox, &record, on_written, p, err);
}

void of_dlq_run_step(of_parked *p)
{
    of_dlq_handler *handler = p->handler;
    kc_error error;
    kc_err err;
    kb_arena arena;
    kb_arena_init(&arena, &handler->mem, 0);
    p->is_writing = true;
    if (p->step == OF_DLQ_STEP_RELEASE || p->step == OF_DLQ_STEP_QUARANTINE)
        p->acted_ms = of_dlq_wall_ms(handler);
    if (OF_VARIANT(RELEASE_UNWRITTEN) && p->step == OF_DLQ_STEP_RELEASE)
        p->step = OF_DLQ_STEP_SAY_REDRIVEN;
    switch (p->step) {
    case OF_DLQ_STEP_RELEASE:
        err = write_release(p, &arena, &error);
        break;
    case OF_DLQ_STEP_QUARANTINE:
        err = write_quarantine(p, &arena, &error);
        break;
    case OF_DLQ_STEP_SAY_REDRIVEN:
        err = write_state(p, OF_DEAD_REDRIVEN, &error);
        break;
    case OF_DLQ_STEP_SAY_QUARANTINED:
        err = write_state(p, OF_DEAD_QUARANTINED, &error);
        break;
    default:
        err = write_state(p, OF_DEAD, &error);
    }
    kb_arena_cleanup(&arena);
    if (err == KC_OK)
        handler->writes++;
    else
        write_failed(p, err, &error);
}
