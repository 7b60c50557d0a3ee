/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Letters that wait, and what is done when their time has come.
 *
 * The canary: where more than a few letters of one group died of the same, the first that is due
 * goes alone. Handled: the others follow, 1, 10, then 100 a second, never above redrive_rate. Dead
 * again, or no answer: all others wait twice as long, and only the canary spent a redrive. So an
 * outage that is not over costs one release, not five hundred. */
#include "officeflow/catalogue.h"
#include "officeflow/dlq_handler_core.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

#include <stdio.h>

#define WRITE_BACKOFF_MS     1000
#define WRITE_BACKOFF_MAX_MS 60000
#define BREAKER_WAIT_MIN_MS  1000
#define BREAKER_WAIT_MAX_MS  60000
#define SECOND_US            1000000LL
#define DOUBLINGS_MAX        30
/* no policy waits longer for a redrive: later is a mistake, or a stranger's */
#define LATEST_MS (366LL * 24 * 3600 * 1000)
/* brokers' codes for a record that is too large */

/* ---- the heap ---- */

static void place(of_dlq_handler *handler, size_t at, of_parked *p)
{
    handler->heap[at] = p;
    p->heap_at = at;
}

static void sift_up(of_dlq_handler *handler, size_t at)
{
    of_parked *p = handler->heap[at];
    for (; at > 1 && handler->heap[at / 2]->due_ms > p->due_ms; at /= 2)
        place(handler, at, handler->heap[at / 2]);
    place(handler, at, p);
}

static void sift_down(of_dlq_handler *handler, size_t at)
{
    of_parked *p = handler->heap[at];
    for (;;) {
        size_t child = 2 * at;
        if (child < handler->heap_count &&
            handler->heap[child + 1]->due_ms < handler->heap[child]->due_ms)
            child++;
        if (child > handler->heap_count || handler->heap[child]->due_ms >= p->due_ms)
            break;
        place(handler, at, handler->heap[child]);
        at = child;
    }
    place(handler, at, p);
}

static void heap_remove(of_parked *p)
{
    of_dlq_handler *handler = p->handler;
    size_t at = p->heap_at;
    if (at == 0)
        return;
    p->heap_at = 0;
    of_parked *last = handler->heap[handler->heap_count--];
    if (last == p)
        return;
    place(handler, at, last);
    sift_up(handler, at);
    sift_down(handler, last->heap_at);
}

/** Wait in the heap until then. */
static void wait_until(of_parked *p, int64_t due_ms)
{
    of_dlq_handler *handler = p->handler;
    kb_list_remove(&p->held);
    heap_remove(p);
    p->due_ms = due_ms;
    handler->heap_count++; // never full: letters are bounded by its size
    place(handler, handler->heap_count, p);
    sift_up(handler, handler->heap_count);
    of_dlq_wake(handler);
}

/* ---- causes ---- */

static size_t cause_key(const of_dead_letter *letter, uint8_t *key, size_t cap)
{
    size_t need = letter->group.len + 1 + letter->fingerprint.len;
    if (need > cap)
        return 0;
    memcpy(key, letter->group.ptr, letter->group.len);
    key[letter->group.len] = 0;
    if (letter->fingerprint.len > 0)
        memcpy(key + letter->group.len + 1, letter->fingerprint.ptr, letter->fingerprint.len);
    return need;
}

static of_cause *find_cause(of_dlq_handler *handler, const of_dead_letter *letter, bool may_add)
{
    uint8_t key[512]; // a stranger's names that are longer have no canaries
    size_t len = cause_key(letter, key, sizeof key);
    if (len == 0)
        return NULL;
    of_cause *cause = kb_map_get(&handler->causes, kc_span(key, len));
    if (cause || !may_add)
        return cause;
    cause = kb_mem_zalloc(&handler->mem, sizeof *cause + len);
    if (!cause)
        return NULL;
    memcpy(cause->key, key, len);
    cause->key_len = len;
    kb_list_init(&cause->held);
    if (kb_map_put(&handler->causes, kc_span(cause->key, len), cause) == KC_OK)
        return cause;
    kb_mem_free(&handler->mem, cause);
    return NULL;
}

/** A canary that was handled speaks for its cause for a while, also when a rebalance takes the letters
 * away and gives them back. */
static int64_t ramp_end_us(const of_cause *cause)
{
    return cause->ramp_begin_us + OF_DLQ_CANARY_MS * 1000LL;
}

static void free_cause_if_unused(of_dlq_handler *handler, of_cause *cause)
{
    if (cause->letters > 0 || cause->state != OF_CAUSE_FREE)
        return;
    kb_map_remove(&handler->causes, kc_span(cause->key, cause->key_len));
    kb_mem_free(&handler->mem, cause);
}

void of_dlq_free_causes(of_dlq_handler *handler)
{
    size_t pos = 0;
    of_cause *cause;
    while ((cause = kb_map_next(&handler->causes, &pos)) != NULL)
        kb_mem_free(&handler->mem, cause);
    kb_map_cleanup(&handler->causes);
}

static bool is_waiting(const of_parked *p)
{
    return p->step == OF_DLQ_STEP_RELEASE && !p->is_writing;
}

void of_dlq_unpark(of_parked *p)
{
    of_cause *cause = p->cause;
    heap_remove(p);
    kb_list_remove(&p->held);
    if (!cause)
        return;
    p->cause = NULL;
    cause->letters--;
    cause->waiting -= is_waiting(p) ? 1 : 0;
    free_cause_if_unused(p->handler, cause);
}

/* ---- writes ---- */

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

static void tell_scheduled(of_parked *p, const char *reason)
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

/** Its release took place. Once, and before anything that came of it. */
static void tell_redriven(of_parked *p)
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

/** Redriven, or settled, as far as others told: by them, or by a write of ours that was not acknowledged. */
static bool is_overtaken(const of_parked *p)
{
    const of_dlq_seen *seen = of_dlq_view_find(p->handler, p->letter.id);
    return seen &&
           of_state_is_above(seen->state, seen->redrive, OF_DEAD_SCHEDULED, p->letter.redrives);
}

static void write_failed(of_parked *p, kc_err err, const kc_error *error)
{
    bool is_too_large = err == KC_E_MESSAGE_TOO_LARGE || err == KC_E_RECORD_LIST_TOO_LARGE ||
                        err == KC_ERR_TOO_LARGE;
    p->is_writing = false;
    take_back_release(p);
    // taken away: whoever has it now does it again; or its release is known from what came of it
    if (!p->part || (p->step == OF_DLQ_STEP_RELEASE && is_overtaken(p))) {
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
    wait_until(p, of_dlq_wall_ms(p->handler) +
                      (wait < WRITE_BACKOFF_MAX_MS ? wait : WRITE_BACKOFF_MAX_MS));
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
        tell_redriven(p); // what comes of it may be heard before its state is written
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

/* ---- waiting ---- */

static double random_unit(const of_dlq_handler *handler)
{
    return (double)(kc_client_random(handler->platform->client) >> 11) * 0x1p-53;
}

static of_policy policy_of(const of_parked *p)
{
    return of_dead_letter_policy(&p->letter, of_platform_policies(p->handler->platform));
}

void of_dlq_park(of_parked *p, const of_dlq_seen *seen)
{
    of_dlq_handler *handler = p->handler;
    of_policy policy = policy_of(p);
    int32_t n = p->letter.redrives;
    int64_t now = of_dlq_wall_ms(handler), last = p->letter.last_ms;
    if (last <= 0 || last > now) // what others wrote is not believed further than it can be
        last = now;
    bool is_known = seen && seen->state == OF_DEAD_SCHEDULED && seen->redrive == n;
    int64_t due = is_known ? seen->due_ms
                           : last + of_policy_redrive_delay_ms(&policy, n, random_unit(handler));
    if (due < 0)
        due = 0;
    else if (due > now + LATEST_MS)
        due = now + LATEST_MS;
    p->step = OF_DLQ_STEP_RELEASE;
    p->cause = find_cause(handler, &p->letter, true);
    if (p->cause) {
        p->cause->letters++;
        p->cause->waiting++;
    }
    wait_until(p, due);
    if (!is_known) {
        handler->stats.scheduled++;
        tell_scheduled(p, "");
    } else {
        p->letter.state = OF_DEAD_SCHEDULED;
        p->letter.next_ms = due;
        of_dlq_notice_letter(handler, OF_DLQ_SCHEDULED, &p->letter, "scheduled before", due);
    }
}

/** All letters of the cause wait anew, for as long as its doublings say. */
static void delay_cause(of_dlq_handler *handler, of_cause *cause, const char *reason)
{
    of_parked *waiting[OF_DLQ_LETTERS_MAX];
    size_t count = 0;
    int64_t now = of_dlq_wall_ms(handler);
    KB_LIST_FOR (node, &cause->held)
        waiting[count++] = KB_CONTAINER(node, of_parked, held);
    for (size_t i = 1; i <= handler->heap_count; i++)
        if (handler->heap[i]->cause == cause && is_waiting(handler->heap[i]))
            waiting[count++] = handler->heap[i];
    for (size_t i = 0; i < count; i++) {
        of_policy policy = policy_of(waiting[i]);
        int64_t delay =
            of_policy_redrive_delay_ms(&policy, waiting[i]->letter.redrives, random_unit(handler));
        for (int32_t k = 0; k < cause->doublings && delay < policy.redrive_maximum_ms; k++)
            delay *= 2;
        if (delay > policy.redrive_maximum_ms)
            delay = policy.redrive_maximum_ms;
        if (waiting[i]->heap_at > 0 && waiting[i]->due_ms >= now + delay)
            continue;
        wait_until(waiting[i], now + delay);
        tell_scheduled(waiting[i], reason);
    }
}

/* ---- canary and ramp ---- */

static void canary_died(of_dlq_handler *handler, of_cause *cause, const char *reason)
{
    cause->state = OF_CAUSE_FREE;
    cause->doublings += cause->doublings < DOUBLINGS_MAX ? 1 : 0;
    delay_cause(handler, cause, reason);
    free_cause_if_unused(handler, cause);
}

void of_dlq_heard(of_dlq_handler *handler, const char *id, int32_t redrive, bool is_resolved)
{
    size_t pos = 0;
    of_cause *cause;
    of_parked *p = kb_map_get(&handler->parked, kc_span(id, 16));
    if (p && p->is_writing && p->step == OF_DLQ_STEP_RELEASE && redrive > p->letter.redrives)
        tell_redriven(p); // the answer to its write is still to come
    while ((cause = kb_map_next(&handler->causes, &pos)) != NULL) {
        if (cause->state != OF_CAUSE_CANARY || memcmp(cause->canary, id, 16) != 0 ||
            redrive <= cause->canary_redrive)
            continue;
        if (!is_resolved) {
            canary_died(handler, cause, "the canary died again");
            return;
        }
        cause->state = OF_CAUSE_RAMP;
        cause->doublings = 0;
        cause->ramp_begin_us = cause->ramp_next_us = of_dlq_now_us(handler);
        of_dlq_wake(handler);
        return;
    }
}

void of_dlq_died_again(of_dlq_handler *handler, const of_dead_letter *letter)
{
    of_cause *cause = find_cause(handler, letter, false);
    if (cause && cause->state == OF_CAUSE_RAMP) // slow again
        cause->ramp_begin_us = of_dlq_now_us(handler);
}

static double rate_of(const of_dlq_handler *handler, const of_cause *cause)
{
    int64_t age_us = of_dlq_now_us(handler) - cause->ramp_begin_us;
    double rate = age_us < SECOND_US ? 1.0 : age_us < 2 * SECOND_US ? 10.0 : 100.0;
    return rate < handler->options.redrive_rate ? rate : handler->options.redrive_rate;
}

/** When the handler's breaker lets calls through, if it is open and in this process. */
static bool is_held_by_breaker(const of_parked *p, int64_t *wait_ms)
{
    char name[OF_TYPE_MAX + 300];
    of_dlq_handler *handler = p->handler;
    int len = snprintf(name, sizeof name, "handler:" KC_FMT ":" KC_FMT, KC_ARG(p->letter.group),
                       KC_ARG(p->letter.type));
    if (len < 0 || (size_t)len >= sizeof name)
        return false;
    of_breaker *breaker = kb_map_get(&handler->platform->breakers, kc_str(name));
    int64_t now = of_dlq_now_us(handler) / 1000;
    if (!breaker)
        return false;
    of_breaker_state state = of_breaker_state_at(breaker, now);
    if (state != OF_BREAKER_OPEN && state != OF_BREAKER_FORCED_OPEN)
        return false;
    int64_t next = of_breaker_next_ms(breaker, now);
    *wait_ms = next > now + BREAKER_WAIT_MAX_MS ? BREAKER_WAIT_MAX_MS : next - now;
    if (*wait_ms < BREAKER_WAIT_MIN_MS)
        *wait_ms = BREAKER_WAIT_MIN_MS;
    return true;
}

static void release(of_parked *p)
{
    of_dlq_handler *handler = p->handler;
    int64_t now = of_dlq_now_us(handler);
    kb_list_remove(&p->held);
    if (p->cause)
        p->cause->waiting--;
    if (handler->release_us < now)
        handler->release_us = now;
    handler->release_us += (int64_t)((double)SECOND_US / handler->options.redrive_rate);
    of_dlq_run_step(p);
}

static void release_canary(of_cause *cause, of_parked *p)
{
    of_dlq_handler *handler = p->handler;
    cause->state = OF_CAUSE_CANARY;
    memcpy(cause->canary, p->letter.id, sizeof cause->canary);
    cause->canary_redrive = p->letter.redrives;
    cause->canary_until_ms = of_dlq_wall_ms(handler) + OF_DLQ_CANARY_MS;
    of_dlq_notice_letter(handler, OF_DLQ_CANARY, &p->letter, "", 0);
    release(p);
}

/** Serve the due letters of a cause. Returns when to come again (monotonic), INT64_MAX: when told.
 */
static int64_t serve_cause(of_dlq_handler *handler, of_cause *cause)
{
    int64_t wait_ms, now = of_dlq_now_us(handler);
    if (cause->state == OF_CAUSE_CANARY) {
        int64_t left = cause->canary_until_ms - of_dlq_wall_ms(handler);
        if (left > 0)
            return now + left * 1000;
        canary_died(handler, cause, "the canary was not heard of");
        return now; // it may be gone: looked at in the next turn
    }
    while (!kb_list_is_empty(&cause->held)) {
        of_parked *p = KB_CONTAINER(cause->held.next, of_parked, held);
        if (handler->release_us > now)
            return handler->release_us;
        if (cause->state == OF_CAUSE_RAMP && cause->ramp_next_us > now)
            return cause->ramp_next_us;
        if (is_held_by_breaker(p, &wait_ms)) {
            wait_until(p, of_dlq_wall_ms(handler) + wait_ms); // costs nothing
            continue;
        }
        if (cause->state == OF_CAUSE_FREE &&
            cause->waiting > (size_t)handler->options.canary_above) {
            release_canary(cause, p);
            return now;
        }
        if (cause->state == OF_CAUSE_RAMP)
            cause->ramp_next_us = now + (int64_t)((double)SECOND_US / rate_of(handler, cause));
        release(p);
    }
    if (cause->state != OF_CAUSE_RAMP || cause->waiting > 0)
        return INT64_MAX;
    if (now < ramp_end_us(cause))
        return ramp_end_us(cause);
    cause->state = OF_CAUSE_FREE;
    free_cause_if_unused(handler, cause);
    return INT64_MAX;
}

/** Due, and of no cause (its names are too long, or memory ran out): by the rate alone. */
static void serve_single(of_parked *p)
{
    of_dlq_handler *handler = p->handler;
    int64_t now = of_dlq_now_us(handler), wait_ms;
    if (is_held_by_breaker(p, &wait_ms))
        wait_until(p, of_dlq_wall_ms(handler) + wait_ms);
    else if (handler->release_us > now)
        wait_until(p, of_dlq_wall_ms(handler) + (handler->release_us - now + 999) / 1000);
    else
        release(p);
}

int64_t of_dlq_serve(of_dlq_handler *handler)
{
    int64_t now_us = of_dlq_now_us(handler), wall = of_dlq_wall_ms(handler), next = INT64_MAX;
    while (handler->heap_count > 0 && handler->heap[1]->due_ms <= wall) {
        of_parked *p = handler->heap[1];
        heap_remove(p);
        if (p->step != OF_DLQ_STEP_RELEASE)
            of_dlq_run_step(p);
        else if (p->cause)
            kb_list_push_back(&p->cause->held, &p->held);
        else
            serve_single(p);
    }
    size_t pos = 0;
    of_cause *cause;
    while ((cause = kb_map_next(&handler->causes, &pos)) != NULL) {
        int64_t at = serve_cause(handler, cause);
        next = at < next ? at : next;
    }
    if (handler->heap_count > 0) {
        int64_t due_us = now_us + (handler->heap[1]->due_ms - wall) * 1000;
        next = due_us < next ? due_us : next;
    }
    return next;
}
