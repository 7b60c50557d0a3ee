/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The world of one run: made from the seed, moved from instant to instant, taken down, looked at for leaks. */
#include "client/settings.h"
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/** Rounds over all loops at one instant: more is a livelock. */
#define ROUNDS_MAX 100000

/* ---- chance, notes, failures ---- */

int64_t sim_between(sim_world *sim, int64_t low, int64_t high)
{
    return low + (int64_t)kb_rand_below(&sim->rand, (uint64_t)(high - low) + 1);
}

bool sim_chance(sim_world *sim, int percent)
{
    return kb_rand_below(&sim->rand, 100) < (uint64_t)percent;
}

static void mix(sim_world *sim, const char *text)
{
    uint64_t hash = sim->hash ^ (uint64_t)sim->now_us;
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    sim->hash = hash;
}

void sim_note(sim_world *sim, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    mix(sim, line);
    if (sim->has_trace)
        printf("%12.6f %s\n", (double)(sim->now_us - SIM_START_US) / 1e6, line);
}

void sim_fail(sim_world *sim, const char *fmt, ...)
{
    if (sim->has_failed)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(sim->failure, sizeof sim->failure, fmt, args);
    va_end(args);
    sim->has_failed = true;
    sim_note(sim, "FAILED: %s", sim->failure);
}

void sim_set(sim_world *sim, kc_config *config, const char *name, const char *fmt, ...)
{
    char value[128];
    kc_error err = {0};
    va_list args;
    va_start(args, fmt);
    vsnprintf(value, sizeof value, fmt, args);
    va_end(args);
    if (kc_config_set(config, name, value, &err))
        sim_fail(sim, "%s=%s: %s", name, value, err.text);
}

/* ---- hosts ---- */

static void on_log(kc_log_level level, const char *line, void *user)
{
    (void)level;
    sim_host *host = user;
    printf("%12.6f   h%d %s\n", (double)(host->sim->now_us - SIM_START_US) / 1e6, host->index,
           line);
}

static kc_err make_client(sim_host *host, kc_config *config, kc_error *err)
{
    sim_world *sim = host->sim;
    kc_alloc alloc = fail_alloc_hooks(&host->alloc);
    kc_client_options options = {
        .size = sizeof options, .seed = kb_rand_u64(&sim->rand) | 1, .alloc = &alloc};
    if (sim->has_trace) {
        options.log = on_log;
        options.log_user = host;
        options.log_level = KC_LOG_DEBUG;
    }
    return kc_client_new_on(config, &options, host->loop, host->network, &host->client, err);
}

sim_host *sim_host_new(sim_world *sim, kc_config *config)
{
    int index = 0;
    while (index < SIM_HOSTS_MAX && sim->hosts[index])
        index++;
    sim_host *host = index < SIM_HOSTS_MAX ? calloc(1, sizeof *host) : NULL;
    kc_config *own = config ? kc_config_copy(config) : kc_config_new();
    if (!host || !own) {
        sim_fail(sim, "no room for a host");
        kc_config_free(own);
        free(host);
        return NULL;
    }
    host->sim = sim;
    host->index = index;
    host->alloc.fail_at = SIZE_MAX;
    kb_mem_init(&host->mem, NULL, 0);
    sim_set(sim, own, "bootstrap.servers",
            sim->cluster->broker_count > 1 ? "b1:9092,b2:9092" : "b1:9092");
    sim_set(sim, own, "client.id", "h%d", index);
    if (sim->has_trace)
        sim_set(sim, own, "debug", "all");
    kc_error err = {0};
    kc_err made =
        kn_loop_new_virtual(&host->mem, sim->now_us, kn_loop_wall_ms(sim->loop), &host->loop);
    if (!made)
        made = kn_mem_network_view(sim->network, host->loop, &host->network);
    host->bytes_max = (size_t)kc_config_settings(own)->memory_bytes_max;
    if (!made)
        made = make_client(host, own, &err);
    kc_config_free(own);
    if (made)
        sim_fail(sim, "a client can't be made: %d %s", made, err.text);
    sim->hosts[index] = host;
    if (index >= sim->host_count)
        sim->host_count = index + 1;
    return made ? NULL : host;
}

void sim_host_kill(sim_host *host)
{
    sim_world *sim = host->sim;
    kc_client_free(host->client);
    kn_network_free(host->network);
    kn_loop_free(host->loop);
    if (host->alloc.held != 0)
        sim_fail(sim, "host %d leaks %zu blocks of its client", host->index, host->alloc.held);
    if (host->mem.used != 0)
        sim_fail(sim, "host %d leaks %zu bytes of its loop", host->index, host->mem.used);
    sim->hosts[host->index] = NULL;
    free(host);
}

void sim_host_freeze(sim_host *host, int64_t for_us)
{
    host->is_frozen = true;
    host->thaw_us = host->sim->now_us + for_us;
}

int64_t sim_host_now_us(const sim_host *host)
{
    return kn_loop_now_us(host->loop);
}

/* ---- the cluster ---- */

static void on_broker_log(kc_log_level level, const char *line, void *user)
{
    (void)level;
    sim_world *sim = user;
    printf("%12.6f   %s\n", (double)(sim->now_us - SIM_START_US) / 1e6, line);
}

static void make_cluster(sim_world *sim)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = (int)sim_between(sim, 1, 5);
    options.auto_create_topics = false;
    options.seed = kb_rand_u64(&sim->rand);
    options.replication_us = sim_chance(sim, 50) ? sim_between(sim, 0, 20000) : 0;
    kc_err err = kn_loop_new_virtual(&sim->mem, SIM_START_US, SIM_WALL_MS, &sim->loop);
    if (!err)
        err = kn_mem_network_new(&sim->mem, sim->loop, &sim->rand, &sim->network);
    if (!err)
        err = km_cluster_new(&sim->mem, &options, SIM_START_US, SIM_WALL_MS, &sim->cluster);
    if (!err)
        err = km_mem_server_new(sim->loop, sim->network, sim->cluster, &sim->server);
    if (err)
        sim_fail(sim, "the cluster can't be made: %d", err);
    else if (sim->has_trace)
        sim->cluster->log = (kb_log){on_broker_log, sim, KC_LOG_DEBUG};
}

static void make_network(sim_world *sim)
{
    kn_mem_shape *shape = kn_mem_network_shape(sim->network);
    shape->latency_us = sim_between(sim, 20, sim_chance(sim, 30) ? 50000 : 2000);
    shape->jitter_us = sim_chance(sim, 50) ? sim_between(sim, 0, shape->latency_us * 2) : 0;
    shape->resolve_latency_us = sim_chance(sim, 50) ? sim_between(sim, 0, 20000) : 0;
    shape->bytes_per_second = sim_chance(sim, 20) ? sim_between(sim, 50000, 5000000) : 0;
    shape->read_max = sim_chance(sim, 20) ? (size_t)sim_between(sim, 30, 2000) : 0;
    shape->write_max = sim_chance(sim, 20) ? (size_t)sim_between(sim, 30, 2000) : 0;
    shape->window_bytes = sim_chance(sim, 20) ? (size_t)sim_between(sim, 1000, 100000) : 0;
    sim_note(sim,
             "network: latency %" PRId64 " us, jitter %" PRId64 ", %" PRId64
             " bytes/s, read %zu, write %zu",
             shape->latency_us, shape->jitter_us, shape->bytes_per_second, shape->read_max,
             shape->write_max);
}

sim_topic *sim_topic_new_named(sim_world *sim, const char *name, int32_t partitions,
                               int16_t replication)
{
    if (sim->topic_count == SIM_TOPICS_MAX) {
        sim_fail(sim, "no room for a topic");
        return NULL;
    }
    sim_topic *topic = &sim->topics[sim->topic_count];
    km_topic *made = NULL;
    snprintf(topic->name, sizeof topic->name, "%s", name);
    topic->partitions = partitions;
    int16_t code =
        km_topic_create(sim->cluster, kc_str(topic->name), partitions, replication, &made);
    if (code) {
        sim_fail(sim, "the topic %s can't be made: %d", topic->name, code);
        return NULL;
    }
    sim->topic_count++;
    sim_note(sim, "topic %s: %d partitions, %d replicas", topic->name, partitions,
             made->replication);
    return topic;
}

sim_topic *sim_topic_new(sim_world *sim, int32_t partitions, int16_t replication)
{
    char name[16];
    snprintf(name, sizeof name, "t%d", sim->topic_count);
    return sim_topic_new_named(sim, name, partitions, replication);
}

/* ---- time ---- */

static void thaw(sim_host *host)
{
    if (!host->is_frozen || host->thaw_us > host->sim->now_us)
        return;
    host->is_frozen = false;
    kn_loop_jump(host->loop, host->sim->now_us);
    sim_note(host->sim, "host %d goes on", host->index);
}

static int64_t next_due(const sim_world *sim)
{
    int64_t due_us = kn_loop_next_due_us(sim->loop);
    for (int i = 0; i < sim->host_count; i++) {
        const sim_host *host = sim->hosts[i];
        if (!host)
            continue;
        int64_t host_due_us = host->is_frozen ? host->thaw_us : kn_loop_next_due_us(host->loop);
        if (host_due_us < due_us)
            due_us = host_due_us;
    }
    return due_us;
}

static bool advance(kn_loop *loop, int64_t now_us)
{
    bool worked = false;
    while (kn_loop_advance(loop, now_us))
        worked = true;
    return worked;
}

/** Everything that is due at sim->now_us happens; hosts in turn, so that no order is by chance. */
static void run_instant(sim_world *sim)
{
    bool worked = true;
    for (int round = 0; worked && !sim->has_failed; round++) {
        if (round == ROUNDS_MAX) {
            sim_fail(sim, "time stands still: something goes on for ever at one instant");
            return;
        }
        worked = advance(sim->loop, sim->now_us);
        for (int i = 0; i < sim->host_count; i++) {
            sim_host *host = sim->hosts[i];
            if (host)
                thaw(host);
            if (host && !host->is_frozen)
                worked |= advance(host->loop, sim->now_us);
        }
    }
}

/** By what the client asked of its allocator, whatever its own books say. */
static void check_memory(sim_world *sim)
{
    for (int i = 0; i < sim->host_count; i++) {
        const sim_host *host = sim->hosts[i];
        if (host && host->alloc.bytes_peak > host->bytes_max)
            sim_fail(sim, "host %d took %zu bytes, memory.bytes.max is %zu", i,
                     host->alloc.bytes_peak, host->bytes_max);
    }
}

static void run_until(sim_world *sim, int64_t until_us)
{
    while (!sim->has_failed) {
        int64_t due_us = next_due(sim);
        if (due_us > until_us)
            break;
        if (due_us > sim->now_us)
            sim->now_us = due_us;
        run_instant(sim);
        check_memory(sim);
        if (sim->workload->watch)
            sim->workload->watch(sim);
        if (sim->is_settled && sim->workload->is_done && sim->workload->is_done(sim))
            return;
    }
    if (!sim->has_failed && until_us > sim->now_us)
        sim->now_us = until_us;
}

/* ---- one run ---- */

static void explain_line(kc_bytes line, void *user)
{
    const sim_host *host = user;
    printf("    h%d " KC_FMT "\n", host->index, KC_ARG(line));
}

/** What each client waits for, where the run ended. */
static void explain(sim_world *sim)
{
    if (sim->workload->tell && sim->state)
        sim->workload->tell(sim);
    for (int i = 0; i < sim->host_count; i++)
        if (sim->hosts[i] && kc_client_explain(sim->hosts[i]->client, explain_line, sim->hosts[i]))
            return;
}

static void close_world(sim_world *sim)
{
    if (sim->workload->release && sim->state)
        sim->workload->release(sim);
    for (int i = 0; i < sim->host_count; i++)
        if (sim->hosts[i])
            sim_host_kill(sim->hosts[i]);
    if (sim->workload->finish)
        sim->workload->finish(sim);
    sim_faults_free(sim);
    if (sim->server)
        km_mem_server_free(sim->server);
    km_cluster_free(sim->cluster);
    if (sim->network)
        kn_network_free(kn_mem_network_base(sim->network));
    if (sim->loop)
        kn_loop_free(sim->loop);
    if (sim->mem.used != 0)
        sim_fail(sim, "the cluster leaks %zu bytes", sim->mem.used);
}

static void play(sim_world *sim)
{
    make_cluster(sim);
    if (!sim->has_failed)
        make_network(sim);
    if (!sim->has_failed)
        sim->workload->start(sim);
    if (!sim->has_failed)
        sim_faults_start(sim);
    run_until(sim, sim->faults_until_us);
    if (sim->has_failed)
        return;
    sim_faults_end(sim);
    sim_note(sim, "all faults have ended");
    sim->is_settled = true;
    if (sim->workload->settle)
        sim->workload->settle(sim);
    run_until(sim, sim->end_us);
    if (!sim->has_failed && sim->workload->is_done && !sim->workload->is_done(sim))
        sim_fail(sim, "not done %.0f s after all faults have ended",
                 (double)(sim->end_us - sim->faults_until_us) / 1e6);
    if (!sim->has_failed && sim->workload->check)
        sim->workload->check(sim);
}

void sim_run(uint64_t seed, const sim_workload *workload, bool has_trace, sim_result *result_out)
{
    sim_world *sim = calloc(1, sizeof *sim);
    if (!sim) {
        *result_out = (sim_result){.has_failed = true, .failure = "no memory"};
        return;
    }
    sim->seed = seed;
    sim->workload = workload;
    sim->has_trace = has_trace;
    sim->now_us = SIM_START_US;
    kb_rand_init(&sim->rand, seed);
    kb_mem_init(&sim->mem, NULL, 0);
    sim->faults_until_us = SIM_START_US + sim_between(sim, 5, 60) * 1000000;
    sim->end_us = sim->faults_until_us + INT64_C(600) * 1000000;
    play(sim);
    if (sim->has_failed && has_trace)
        explain(sim);
    close_world(sim);
    *result_out = (sim_result){.has_failed = sim->has_failed,
                               .hash = sim->hash,
                               .virtual_us = sim->now_us - SIM_START_US,
                               .faults = sim->faults};
    memcpy(result_out->failure, sim->failure, sizeof result_out->failure);
    free(sim);
}
