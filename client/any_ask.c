/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A question to any broker, repeated to the next one as long as none answers. */
#include "client/any_ask.h"

#include "client/timer.h"

/** Brokers looked at; a cluster has few, and any will do. */
#define BROKERS_MAX 64
/** Where the doubling ends: far above any request timeout. */
#define DOUBLINGS_MAX 8

static void arm(kc_any_ask *ask)
{
    kn_loop *loop = ask->client->loop;
    size_t brokers = kn_pool_brokers(ask->client->pool, NULL, 0);
    uint32_t rounds = ask->tries / (uint32_t)(brokers > 0 ? brokers : 1);
    if (rounds > DOUBLINGS_MAX)
        rounds = DOUBLINGS_MAX;
    kc_timer_arm(loop, &ask->timer, kn_loop_now_us(loop) + ((int64_t)KC_ANY_PATIENCE_US << rounds));
}

/** No answer yet. Where there is no other broker to ask, the pool itself looks for one. */
static void on_patience_over(kn_timer *timer)
{
    kc_any_ask *ask = timer->user;
    kn_pool *pool = ask->client->pool;
    int32_t ids[BROKERS_MAX];
    size_t count = kn_pool_brokers(pool, ids, BROKERS_MAX);
    if (count > BROKERS_MAX)
        count = BROKERS_MAX;
    ask->tries++;
    if (count > 1) {
        kn_target target = {.broker_id = ids[ask->turn++ % count], .lane = KN_LANE_MAIN};
        kn_request_cancel(ask->request);
        kn_pool_submit(pool, target, ask->request);
    }
    arm(ask);
}

void kc_any_ask_init(kc_any_ask *ask, kc_client *client, kn_request *request)
{
    *ask = (kc_any_ask){.client = client, .request = request};
    ask->timer.fn = on_patience_over;
    ask->timer.user = ask;
}

void kc_any_ask_send(kc_any_ask *ask)
{
    ask->tries = 0;
    kn_pool_submit(ask->client->pool, (kn_target){.broker_id = KN_ANY_BROKER, .lane = KN_LANE_MAIN},
                   ask->request);
    arm(ask);
}

void kc_any_ask_end(kc_any_ask *ask)
{
    kn_timer_stop(ask->client->loop, &ask->timer);
}

void kc_any_ask_cancel(kc_any_ask *ask)
{
    kc_any_ask_end(ask);
    kn_request_cancel(ask->request);
}
