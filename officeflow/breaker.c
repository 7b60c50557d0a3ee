/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Circuit breaker.
 *
 *            failure ratio, slow ratio or consecutive failures
 *   CLOSED ---------------------------------------------------> OPEN <-----------------+
 *     ^                                                          | open_ms x 2^k over  |
 *     |  half_open_successes in a row                            v                     | a probe
 * fails
 *     +------------------------------------------------------ HALF_OPEN ---------------+
 *
 * FORCED_OPEN, DISABLED and METRICS_ONLY are an operator's and are left only by of_breaker_force().
 * The window is ten buckets of time; it holds at most window_calls calls (older buckets are dropped
 * first), so a busy breaker judges by count and a quiet one by time. A topic with one message a
 * minute never fills a window: therefore the consecutive rule. */
#include "protocol/base/mem.h"
#include "protocol/base/rand.h"

#include <officeflow/breaker.h>

#define BUCKETS 10

typedef struct bucket {
    int64_t begin_ms;
    int32_t calls, failures, slow;
} bucket;

struct of_breaker {
    of_breaker_options options;
    of_breaker_state state;
    bucket buckets[BUCKETS];
    int32_t consecutive; /* failures in a row                         */
    int32_t successes;   /* in HALF_OPEN                              */
    int32_t opened;      /* times in a row without closing: the k     */
    bool is_probing;     /* a call of HALF_OPEN is out                */
    int64_t open_until_ms;
    kb_rand rand;
    kb_mem mem;
    char name[];
};

const char *of_breaker_state_name(of_breaker_state state)
{
    static const char *const names[] = {"closed",      "open",     "half_open",
                                        "forced_open", "disabled", "metrics_only"};
    return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

void of_breaker_options_init(of_breaker_options *options)
{
    *options = (of_breaker_options){
        .window_calls = 100,
        .window_ms = 60000,
        .minimum_calls = 20,
        .failure_ratio = 0.5,
        .slow_ratio = 0.8,
        .slow_call_ms = 5000,
        .consecutive_failures = 10,
        .open_ms = 5000,
        .open_max_ms = 60000,
        .jitter = 0.2,
        .half_open_successes = 3,
    };
}

of_breaker *of_breaker_new(const char *name, const of_breaker_options *options, uint64_t seed)
{
    size_t len = strlen(name);
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    of_breaker *breaker = kb_mem_zalloc(&mem, sizeof *breaker + len + 1);
    if (!breaker)
        return NULL;
    breaker->mem = mem;
    memcpy(breaker->name, name, len + 1);
    if (options)
        breaker->options = *options;
    else
        of_breaker_options_init(&breaker->options);
    kb_rand_init(&breaker->rand, seed);
    return breaker;
}

void of_breaker_free(of_breaker *breaker)
{
    if (!breaker)
        return;
    kb_mem mem = breaker->mem;
    kb_mem_free(&mem, breaker);
}

const char *of_breaker_name(const of_breaker *breaker)
{
    return breaker->name;
}

static void set_state(of_breaker *breaker, of_breaker_state to, const char *why)
{
    of_breaker_state from = breaker->state;
    if (from == to)
        return;
    breaker->state = to;
    breaker->successes = 0;
    breaker->is_probing = false;
    if (breaker->options.on_change)
        breaker->options.on_change(breaker, from, to, why, breaker->options.user);
}

static void clear_window(of_breaker *breaker)
{
    memset(breaker->buckets, 0, sizeof breaker->buckets);
    breaker->consecutive = 0;
}

static void open_until(of_breaker *breaker, int64_t until_ms, const char *why)
{
    breaker->open_until_ms = until_ms;
    clear_window(breaker);
    set_state(breaker, OF_BREAKER_OPEN, why);
}

static void trip(of_breaker *breaker, int64_t now_ms, const char *why)
{
    int64_t wait = breaker->options.open_ms;
    for (int32_t k = 0; k < breaker->opened && wait < breaker->options.open_max_ms; k++)
        wait *= 2;
    if (wait > breaker->options.open_max_ms)
        wait = breaker->options.open_max_ms;
    double jitter = breaker->options.jitter * (2.0 * kb_rand_unit(&breaker->rand) - 1.0);
    breaker->opened++;
    open_until(breaker, now_ms + (int64_t)((double)wait * (1.0 + jitter)), why);
}

/** An open breaker whose time is over turns half open by being looked at: it needs no timer. */
static void refresh(of_breaker *breaker, int64_t now_ms)
{
    if (breaker->state == OF_BREAKER_OPEN && now_ms >= breaker->open_until_ms)
        set_state(breaker, OF_BREAKER_HALF_OPEN, "the wait is over");
}

of_breaker_state of_breaker_state_at(of_breaker *breaker, int64_t now_ms)
{
    refresh(breaker, now_ms);
    return breaker->state;
}

bool of_breaker_acquire(of_breaker *breaker, int64_t now_ms)
{
    refresh(breaker, now_ms);
    switch (breaker->state) {
    case OF_BREAKER_OPEN:
    case OF_BREAKER_FORCED_OPEN:
        return false;
    case OF_BREAKER_HALF_OPEN:
        if (breaker->is_probing)
            return false;
        breaker->is_probing = true;
        return true;
    default:
        return true;
    }
}

void of_breaker_release(of_breaker *breaker)
{
    breaker->is_probing = false;
}

/** The bucket of `now_ms`; a new one takes the oldest one's place. */
static bucket *bucket_at(of_breaker *breaker, int64_t now_ms)
{
    int64_t width = breaker->options.window_ms / BUCKETS;
    int64_t begin = width > 0 ? now_ms - now_ms % width : now_ms;
    bucket *oldest = &breaker->buckets[0];
    for (size_t i = 0; i < BUCKETS; i++) {
        bucket *b = &breaker->buckets[i];
        if (b->calls > 0 && b->begin_ms == begin)
            return b;
        if (b->calls == 0 || (oldest->calls > 0 && b->begin_ms < oldest->begin_ms))
            oldest = b;
    }
    *oldest = (bucket){.begin_ms = begin};
    return oldest;
}

/** Sum over the window; buckets beyond its time or its count are dropped on the way, oldest first.
 */
static bucket window_sum(of_breaker *breaker, int64_t now_ms)
{
    bucket sum = {0};
    for (;;) {
        bucket *oldest = NULL;
        sum = (bucket){0};
        for (size_t i = 0; i < BUCKETS; i++) {
            bucket *b = &breaker->buckets[i];
            if (b->calls > 0 && now_ms - b->begin_ms > breaker->options.window_ms)
                *b = (bucket){0};
            if (b->calls > 0 && (!oldest || b->begin_ms < oldest->begin_ms))
                oldest = b;
            sum.calls += b->calls;
            sum.failures += b->failures;
            sum.slow += b->slow;
        }
        if (!oldest || oldest->calls == sum.calls ||
            sum.calls - oldest->calls < breaker->options.window_calls)
            return sum;
        *oldest = (bucket){0};
    }
}

static void judge(of_breaker *breaker, int64_t now_ms)
{
    const of_breaker_options *options = &breaker->options;
    bucket sum = window_sum(breaker, now_ms);
    if (options->consecutive_failures > 0 && breaker->consecutive >= options->consecutive_failures)
        trip(breaker, now_ms, "too many failures in a row");
    else if (sum.calls < options->minimum_calls)
        return;
    else if ((double)sum.failures >= options->failure_ratio * (double)sum.calls)
        trip(breaker, now_ms, "too large a share of calls failed");
    else if ((double)sum.slow >= options->slow_ratio * (double)sum.calls)
        trip(breaker, now_ms, "too large a share of calls was slow");
}

static void report_probe(of_breaker *breaker, bool is_ok, int64_t now_ms)
{
    breaker->is_probing = false;
    if (!is_ok) {
        trip(breaker, now_ms, "the probe failed");
    } else if (++breaker->successes >= breaker->options.half_open_successes) {
        breaker->opened = 0;
        clear_window(breaker);
        set_state(breaker, OF_BREAKER_CLOSED, "the probes succeeded");
    }
}

void of_breaker_report(of_breaker *breaker, bool is_ok, int64_t took_ms, int64_t now_ms)
{
    if (breaker->state == OF_BREAKER_HALF_OPEN && breaker->is_probing) {
        report_probe(breaker, is_ok, now_ms);
        return;
    }
    if (breaker->state != OF_BREAKER_CLOSED && breaker->state != OF_BREAKER_METRICS_ONLY)
        return; // a call from before it opened
    bucket *b = bucket_at(breaker, now_ms);
    b->calls++;
    b->failures += is_ok ? 0 : 1;
    b->slow += took_ms > breaker->options.slow_call_ms ? 1 : 0;
    breaker->consecutive = is_ok ? 0 : breaker->consecutive + 1;
    if (breaker->state == OF_BREAKER_CLOSED)
        judge(breaker, now_ms);
}

int64_t of_breaker_next_ms(const of_breaker *breaker, int64_t now_ms)
{
    switch (breaker->state) {
    case OF_BREAKER_OPEN:
        return breaker->open_until_ms > now_ms ? breaker->open_until_ms : now_ms;
    case OF_BREAKER_FORCED_OPEN:
        return INT64_MAX;
    case OF_BREAKER_HALF_OPEN:
        return breaker->is_probing ? INT64_MAX : now_ms;
    default:
        return now_ms;
    }
}

void of_breaker_open_for(of_breaker *breaker, int64_t ms, int64_t now_ms)
{
    if (breaker->state == OF_BREAKER_CLOSED || breaker->state == OF_BREAKER_HALF_OPEN ||
        breaker->state == OF_BREAKER_OPEN)
        open_until(breaker, now_ms + ms, "the dependency asked for a pause");
}

void of_breaker_force(of_breaker *breaker, of_breaker_state state, int64_t now_ms)
{
    if (state == OF_BREAKER_HALF_OPEN)
        return;
    clear_window(breaker);
    breaker->opened = 0;
    breaker->open_until_ms = now_ms;
    set_state(breaker, state == OF_BREAKER_OPEN ? OF_BREAKER_FORCED_OPEN : state, "by an operator");
}

kc_err of_breaker_call(of_breaker *breaker, int64_t (*clock_ms)(void *user),
                       kc_err (*fn)(void *user), void *user)
{
    int64_t begin = clock_ms(user);
    if (!of_breaker_acquire(breaker, begin))
        return KC_ERR_AGAIN;
    kc_err err = fn(user);
    int64_t end = clock_ms(user);
    of_breaker_report(breaker, err == KC_OK, end - begin, end);
    return err;
}
