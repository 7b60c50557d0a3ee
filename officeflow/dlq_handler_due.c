/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Letters that wait, and which of them goes when their time has come.
 *
 * The canary: where more than a few letters of one group died of the same, the first that is due
 * goes alone. Handled: the others follow, 1, 10, then 100 a second, never above redrive_rate. Dead
 * again, or no answer: all others wait twice as long, and only the canary spent a redrive. So an
 * outage that is not over costs one release, not five hundred. */
#include "officeflow/dlq_handler_core.h"

#include <stdio.h>

/* so long each one waits for others of its cause to be read, or a backlog that is due would go without a canary */
#define GATHER_MS           1000
#define BREAKER_WAIT_MIN_MS 1000
#define BREAKER_WAIT_MAX_MS 60000
#define SECOND_US           1000000LL
#define DOUBLINGS_MAX       30

/* ---- the heap ---- */

static void place(of_dlq_handler *handler, size_t at, of_parked *p)
{
    handler->heap[at] = p;
    p->heap_at = at;
}

static void sift_up(of_dlq_handler *handler, size_t at)
{
    of_parked *p = handler->heap[at];
    for (; at > 1 && handler->heap[at / 2]->due_us > p->due_us; at /= 2)
        place(handler, at, handler->heap[at / 2]);
    place(handler, at, p);
}

static void sift_down(of_dlq_handler *handler, size_t at)
{
    of_parked *p = handler->heap[at];
    for (;;) {
        size_t child = 2 * at;
        if (child < handler->heap_count &&
            handler->heap[child + 1]->due_us < handler->heap[child]->due_us)
            child++;
        if (child > handler->heap_count || handler->heap[child]->due_us >= p->due_us)
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

void of_dlq_wait(of_parked *p, int64_t wait_ms)
{
    of_dlq_handler *handler = p->handler;
    kb_list_remove(&p->held);
    heap_remove(p);
    p->due_us = of_dlq_now_us(handler) + wait_ms * 1000;
    p->due_ms = of_dlq_wall_ms(handler) + wait_ms;
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

/* ---- waiting ---- */

static double random_unit(const of_dlq_handler *handler)
{
    return (double)(kc_client_random(handler->platform->client) >> 11) * 0x1p-53;
}

static of_policy policy_of(const of_parked *p)
{
    return of_dead_letter_policy(&p->letter, of_platform_policies(p->handler->platform));
}

/** No redrive waits longer: what others wrote of a later time is a mistake, or of a clock that was wrong. */
static int64_t longest_ms(const of_policy *policy)
{
    return policy->redrive_maximum_ms +
           (int64_t)((double)policy->redrive_maximum_ms * policy->redrive_jitter);
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
    int64_t wait = due <= now ? 0 : due - now, longest = longest_ms(&policy);
    wait = wait < GATHER_MS ? GATHER_MS : wait < longest ? wait : longest;
    p->step = OF_DLQ_STEP_RELEASE;
    p->cause = find_cause(handler, &p->letter, true);
    if (p->cause) {
        p->cause->letters++;
        p->cause->waiting++;
    }
    of_dlq_wait(p, wait);
    if (!is_known) {
        handler->stats.scheduled++;
        of_dlq_tell_scheduled(p, "");
    } else {
        p->letter.state = OF_DEAD_SCHEDULED;
        p->letter.next_ms = p->due_ms;
        of_dlq_notice_letter(handler, OF_DLQ_SCHEDULED, &p->letter, "scheduled before", p->due_ms);
    }
}

/** All letters of the cause wait anew, for as long as its doublings say. */
static void delay_cause(of_dlq_handler *handler, of_cause *cause, const char *reason)
{
    of_parked *waiting[OF_DLQ_LETTERS_MAX];
    size_t count = 0;
    int64_t now_us = of_dlq_now_us(handler);
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
        if (waiting[i]->heap_at > 0 && waiting[i]->due_us >= now_us + delay * 1000)
            continue;
        of_dlq_wait(waiting[i], delay);
        of_dlq_tell_scheduled(waiting[i], reason);
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
        of_dlq_tell_redriven(p); // the answer to its write is still to come
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
    cause->canary_until_us = of_dlq_now_us(handler) + OF_DLQ_CANARY_MS * 1000LL;
    of_dlq_notice_letter(handler, OF_DLQ_CANARY, &p->letter, "", 0);
    release(p);
}

/** Serve the due letters of a cause. Returns when to come again (monotonic), INT64_MAX: when told.
 */
static int64_t serve_cause(of_dlq_handler *handler, of_cause *cause)
{
    int64_t wait_ms, now = of_dlq_now_us(handler);
    if (cause->state == OF_CAUSE_CANARY) {
        if (now < cause->canary_until_us)
            return cause->canary_until_us;
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
            of_dlq_wait(p, wait_ms); // costs nothing
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
        of_dlq_wait(p, wait_ms);
    else if (handler->release_us > now)
        of_dlq_wait(p, (handler->release_us - now + 999) / 1000);
    else
        release(p);
}

int64_t of_dlq_serve(of_dlq_handler *handler)
{
    int64_t next = INT64_MAX;
    while (handler->heap_count > 0 && handler->heap[1]->due_us <= of_dlq_now_us(handler)) {
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
    if (handler->heap_count > 0 && handler->heap[1]->due_us < next)
        next = handler->heap[1]->due_us;
    return next;
}
