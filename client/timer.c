/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Timers of the application on the client's loop. */
#include "client/timer.h"

#include "client/core.h"

struct kc_timer {
    kb_list node;
    kc_client *client;
    kn_timer timer;
    kc_timer_fn fn;
    void *user;
};

static void on_due(kn_timer *due)
{
    kc_timer *timer = due->user;
    timer->fn(timer->user);
}

kc_err kc_timer_new(kc_client *client, kc_timer_fn fn, void *user, kc_timer **timer_out)
{
    kc_err usable = kc_client_check(client, NULL);
    if (usable != KC_OK)
        return usable;
    if (!fn)
        return KC_ERR_ARGUMENT;
    kc_timer *timer = kb_mem_zalloc(&client->mem, sizeof *timer);
    if (!timer)
        return KC_ERR_NOMEM;
    timer->client = client;
    timer->timer.fn = on_due;
    timer->timer.user = timer;
    timer->fn = fn;
    timer->user = user;
    kb_list_push_back(&client->timers, &timer->node);
    *timer_out = timer;
    return KC_OK;
}

void kc_timer_set(kc_timer *timer, int64_t delay_ms)
{
    int64_t now_us = kc_client_fresh_us(timer->client);
    if (delay_ms < 0)
        delay_ms = 0;
    int64_t due_us = delay_ms > (INT64_MAX - now_us) / 1000 ? INT64_MAX : now_us + delay_ms * 1000;
    kc_timer_arm(timer->client->loop, &timer->timer, due_us);
}

void kc_timer_stop(kc_timer *timer)
{
    kn_timer_stop(timer->client->loop, &timer->timer);
}

void kc_timer_free(kc_timer *timer)
{
    if (!timer)
        return;
    kn_timer_stop(timer->client->loop, &timer->timer);
    kb_list_remove(&timer->node);
    kb_mem_free(&timer->client->mem, timer);
}

void kc_timers_free(kc_client *client)
{
    while (!kb_list_is_empty(&client->timers))
        kc_timer_free(KB_CONTAINER(client->timers.next, kc_timer, node));
}
