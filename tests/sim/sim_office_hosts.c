/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Processes with the platform on them; the sources of events. */
#include "tests/sim/sim_office_hosts.h"

#include <stdio.h>
#include <stdlib.h>

static office_state *state_of(const office_host *base)
{
    return base->sim->state;
}

void office_timer_set(sim_world *sim, kn_loop *loop, kn_timer *timer, int64_t due_us)
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

bool office_host_begin(sim_world *sim, office_host *base, int slot)
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

void office_host_end(office_host *base)
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
    typedef struct chance {
        office_fate fate;
        int weight;
    } chance;
    static const chance usual[] = {{FATE_OK, 62},       {FATE_FAILS, 18},  {FATE_ALWAYS_FAILS, 6},
                                   {FATE_PERMANENT, 5}, {FATE_DISCARD, 5}, {FATE_BUSY, 4}};
    static const chance deadly[] = {{FATE_OK, 30},           {FATE_FAILS, 40},
                                    {FATE_ALWAYS_FAILS, 10}, {FATE_PERMANENT, 14},
                                    {FATE_DISCARD, 3},       {FATE_BUSY, 3}};
    const chance *fates = ((office_state *)sim->state)->ledger.is_redriven ? deadly : usual;
    int64_t pick = sim_between(sim, 0, 99);
    size_t i = 0;
    while (pick >= fates[i].weight)
        pick -= fates[i++].weight;
    return fates[i].fate;
}

static int32_t most_redrives(const office_ledger *ledger, const office_policy *policy)
{
    return ledger->is_redriven ? policy->policy.max_redrives : 0;
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
    const office_policy *policy = &ledger->policies[event->topic];
    event->fails = (int32_t)sim_between(sim, 1, policy->tries + most_redrives(ledger, policy) + 1);
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
    while (burst-- > 0 && state->ledger.count < OFFICE_EVENTS_MAX && send_one(source))
        ;
    office_timer_set(sim, source->base.host->loop, timer,
                     sim_host_now_us(source->base.host) +
                         sim_between(sim, 0, source->interval_us * 2));
}

void office_source_begin(sim_world *sim, int slot)
{
    office_state *state = sim->state;
    office_source *source = &state->sources[slot];
    kc_error err = {0};
    if (!office_host_begin(sim, &source->base, slot))
        return;
    source->interval_us = sim_between(sim, 10000, 500000);
    source->send_timer = (kn_timer){.fn = on_send_timer, .user = source};
    if (of_producer_open(source->base.platform, NULL, &source->producer, &err))
        sim_fail(sim, "a producer can't be opened: %s", err.text);
    else
        office_timer_set(sim, source->base.host->loop, &source->send_timer,
                         sim->now_us + sim_between(sim, 0, 1000000));
}

void office_source_end(office_source *source)
{
    sim_note(source->base.sim, "source %d ends", source->base.slot);
    kn_timer_stop(source->base.host->loop, &source->send_timer);
    office_host_end(&source->base);
}
