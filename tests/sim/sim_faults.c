/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What goes wrong, when, drawn from the seed: some runs are calm, in some everything falls at once. */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdlib.h>

/** Of the network when all faults have ended, at most. */
#define HEALED_LATENCY_US 1000

/** A broker's troubles that end by themselves. */
typedef struct broker_trouble {
    sim_world *sim;
    km_broker *broker;
    kn_timer up;      /**< the process starts again    */
    kn_timer unpause; /**< the cable is mended         */
    bool is_paused;
} broker_trouble;

struct sim_faults {
    kn_timer next;
    int64_t interval_us; /**< between faults, on average */
    kn_mem_shape shape;  /**< as it was in the beginning */
    broker_trouble brokers[KM_BROKERS_MAX];
};

static broker_trouble *any_broker(sim_world *sim)
{
    return &sim->faults_state->brokers[sim_between(sim, 0, sim->cluster->broker_count - 1)];
}

static sim_host *any_host(sim_world *sim)
{
    sim_host *found = NULL;
    for (int tries = 0; tries < 4 && !found && sim->host_count > 0; tries++)
        found = sim->hosts[sim_between(sim, 0, sim->host_count - 1)];
    return found;
}

static void set_timer(sim_world *sim, kn_timer *timer, int64_t in_us)
{
    if (kn_timer_set(sim->loop, timer, sim->now_us + in_us))
        sim_fail(sim, "a timer can't be set");
}

/** Mostly short, sometimes long enough for every timeout there is. */
static int64_t some_time_us(sim_world *sim, int64_t longest_us)
{
    return sim_between(sim, 1000, sim_chance(sim, 70) ? longest_us / 20 : longest_us);
}

/* ---- brokers and their connections ---- */

static void on_up(kn_timer *timer)
{
    broker_trouble *trouble = timer->user;
    sim_note(trouble->sim, "broker %d starts", trouble->broker->id);
    km_broker_start(trouble->broker);
}

static void stop_broker(sim_world *sim)
{
    broker_trouble *trouble = any_broker(sim);
    if (trouble->broker->is_down)
        return;
    bool loses = sim_chance(sim, 50);
    int64_t for_us = some_time_us(sim, 40000000);
    sim_note(sim, "broker %d stops for %.3f s%s", trouble->broker->id, (double)for_us / 1e6,
             loses ? ", what is not replicated is lost" : "");
    km_broker_stop(trouble->broker, loses);
    set_timer(sim, &trouble->up, for_us);
}

static void cut_connections(sim_world *sim)
{
    broker_trouble *trouble = any_broker(sim);
    sim_note(sim, "connections to broker %d are cut", trouble->broker->id);
    kn_mem_cut(sim->network, trouble->broker->host, KM_MEM_PORT);
}

static void lose_connections(sim_world *sim)
{
    broker_trouble *trouble = any_broker(sim);
    sim_note(sim, "connections to broker %d are half open", trouble->broker->id);
    kn_mem_half_open(sim->network, trouble->broker->host, KM_MEM_PORT);
}

static void pause_broker(broker_trouble *trouble, bool is_paused)
{
    trouble->is_paused = is_paused;
    kn_mem_pause(trouble->sim->network, trouble->broker->host, KM_MEM_PORT, is_paused);
}

static void on_unpause(kn_timer *timer)
{
    broker_trouble *trouble = timer->user;
    sim_note(trouble->sim, "broker %d is reached again", trouble->broker->id);
    pause_broker(trouble, false);
}

static void black_hole(sim_world *sim)
{
    broker_trouble *trouble = any_broker(sim);
    if (trouble->is_paused || trouble->broker->is_down)
        return;
    int64_t for_us = some_time_us(sim, 60000000);
    sim_note(sim, "broker %d is a black hole for %.3f s", trouble->broker->id,
             (double)for_us / 1e6);
    pause_broker(trouble, true);
    set_timer(sim, &trouble->unpause, for_us);
}

static void slow_network(sim_world *sim)
{
    kn_mem_shape *shape = kn_mem_network_shape(sim->network);
    shape->latency_us =
        sim_chance(sim, 50) ? sim->faults_state->shape.latency_us : sim_between(sim, 20, 3000000);
    shape->jitter_us = sim_between(sim, 0, shape->latency_us);
    sim_note(sim, "latency is %" PRId64 " us now, jitter %" PRId64, shape->latency_us,
             shape->jitter_us);
}

/* ---- leaders and coordinators ---- */

static void move_partition(sim_world *sim, km_partition *partition)
{
    if (partition->leader < 0)
        return;
    int32_t to = partition->replicas[sim_between(sim, 0, partition->replica_count - 1)];
    km_partition_move(sim->cluster, partition, to);
    km_changed(sim->cluster);
    sim_note(sim, "%s-%d is led by %d, epoch %d", partition->topic->name, partition->index,
             partition->leader, partition->leader_epoch);
}

static void move_leader(sim_world *sim)
{
    const sim_topic *topic = &sim->topics[sim_between(sim, 0, sim->topic_count - 1)];
    km_partition *partition = km_partition_find(
        sim->cluster, kc_str(topic->name), (int32_t)sim_between(sim, 0, topic->partitions - 1));
    if (partition)
        move_partition(sim, partition);
}

static void move_coordinators(sim_world *sim)
{
    km_topic *topic = km_topic_by_name(sim->cluster, KC_STR("__consumer_offsets"));
    for (int32_t i = 0; topic && i < topic->partition_count; i++)
        if (sim_chance(sim, 50))
            move_partition(sim, topic->partitions[i]);
}

/* ---- hosts ---- */

static void freeze_host(sim_world *sim)
{
    sim_host *host = any_host(sim);
    if (!host || host->is_frozen)
        return;
    int64_t for_us = some_time_us(sim, 60000000);
    sim_note(sim, "host %d is frozen for %.3f s", host->index, (double)for_us / 1e6);
    sim_host_freeze(host, for_us);
}

static void jump_clock(sim_world *sim)
{
    sim_host *host = any_host(sim);
    if (!host)
        return;
    int64_t delta_ms = sim_between(sim, -3600000, 3600000);
    sim_note(sim, "the wall clock of host %d jumps by %" PRId64 " ms", host->index, delta_ms);
    kn_loop_shift_wall(host->loop, delta_ms);
}

/** What lives with wrong clocks does not live for ever: a broker takes no records from more than an hour ahead. */
static void correct_clock(sim_host *host)
{
    const kn_loop *right = host->sim->loop;
    int64_t behind_ms = (kn_loop_now_us(right) - kn_loop_now_us(host->loop)) / 1000;
    kn_loop_shift_wall(host->loop,
                       kn_loop_wall_ms(right) - behind_ms - kn_loop_wall_ms(host->loop));
}

static void exhaust_memory(sim_world *sim)
{
    sim_host *host = any_host(sim);
    if (!host)
        return;
    int64_t ahead = sim_between(sim, 0, 300);
    sim_note(sim, "host %d: allocation %zu will fail", host->index,
             host->alloc.calls + (size_t)ahead);
    host->alloc.fail_at = host->alloc.calls + (size_t)ahead;
}

/* ---- answers ---- */

static const struct {
    int16_t api_key;
    int16_t errors[8]; /**< what a broker answers in passing; 0 at the end */
} answers[] = {
    {KP_API_PRODUCE,
     {KC_E_NOT_LEADER_OR_FOLLOWER, KC_E_REQUEST_TIMED_OUT, KC_E_NOT_ENOUGH_REPLICAS,
      KC_E_CORRUPT_MESSAGE, KC_E_UNKNOWN_TOPIC_OR_PARTITION, KC_E_KAFKA_STORAGE_ERROR,
      KC_E_LEADER_NOT_AVAILABLE}},
    {KP_API_FETCH,
     {KC_E_NOT_LEADER_OR_FOLLOWER, KC_E_UNKNOWN_TOPIC_OR_PARTITION, KC_E_FENCED_LEADER_EPOCH,
      KC_E_UNKNOWN_LEADER_EPOCH, KC_E_KAFKA_STORAGE_ERROR, KC_E_OFFSET_NOT_AVAILABLE,
      KC_E_UNKNOWN_TOPIC_ID}},
    {KP_API_LIST_OFFSETS,
     {KC_E_NOT_LEADER_OR_FOLLOWER, KC_E_UNKNOWN_TOPIC_OR_PARTITION, KC_E_OFFSET_NOT_AVAILABLE,
      KC_E_LEADER_NOT_AVAILABLE}},
    {KP_API_OFFSET_FOR_LEADER_EPOCH,
     {KC_E_NOT_LEADER_OR_FOLLOWER, KC_E_UNKNOWN_TOPIC_OR_PARTITION, KC_E_UNKNOWN_LEADER_EPOCH}},
    {KP_API_METADATA, {KC_E_LEADER_NOT_AVAILABLE, KC_E_UNKNOWN_TOPIC_OR_PARTITION}},
    {KP_API_FIND_COORDINATOR, {KC_E_COORDINATOR_NOT_AVAILABLE, KC_E_COORDINATOR_LOAD_IN_PROGRESS}},
    {KP_API_JOIN_GROUP,
     {KC_E_NOT_COORDINATOR, KC_E_COORDINATOR_LOAD_IN_PROGRESS, KC_E_UNKNOWN_MEMBER_ID,
      KC_E_REBALANCE_IN_PROGRESS}},
    {KP_API_SYNC_GROUP,
     {KC_E_NOT_COORDINATOR, KC_E_COORDINATOR_LOAD_IN_PROGRESS, KC_E_UNKNOWN_MEMBER_ID,
      KC_E_REBALANCE_IN_PROGRESS, KC_E_ILLEGAL_GENERATION}},
    {KP_API_HEARTBEAT,
     {KC_E_NOT_COORDINATOR, KC_E_COORDINATOR_NOT_AVAILABLE, KC_E_UNKNOWN_MEMBER_ID,
      KC_E_REBALANCE_IN_PROGRESS, KC_E_ILLEGAL_GENERATION}},
    {KP_API_OFFSET_COMMIT,
     {KC_E_NOT_COORDINATOR, KC_E_COORDINATOR_LOAD_IN_PROGRESS, KC_E_REQUEST_TIMED_OUT,
      KC_E_REBALANCE_IN_PROGRESS}},
    {KP_API_OFFSET_FETCH,
     {KC_E_NOT_COORDINATOR, KC_E_COORDINATOR_LOAD_IN_PROGRESS, KC_E_UNSTABLE_OFFSET_COMMIT}},
};

#define APIS            ((int64_t)(sizeof answers / sizeof answers[0]))
#define GROUP_APIS_FROM 5 /* FindCoordinator */

static int16_t any_error(sim_world *sim, size_t api)
{
    int64_t count = 0;
    while (count < 8 && answers[api].errors[count] != 0)
        count++;
    return answers[api].errors[sim_between(sim, 0, count - 1)];
}

/** Where groups are at work, mostly what they ask: the table has those last. */
static size_t any_api(sim_world *sim)
{
    bool has_group = km_topic_by_name(sim->cluster, KC_STR("__consumer_offsets")) != NULL;
    return (size_t)sim_between(sim, has_group && sim_chance(sim, 60) ? GROUP_APIS_FROM : 0,
                               APIS - 1);
}

static void wrong_answers(sim_world *sim)
{
    size_t api = any_api(sim);
    km_fault fault;
    km_fault_init(&fault);
    fault.api_key = answers[api].api_key;
    fault.count = (uint32_t)sim_between(sim, 1, 6);
    fault.broker_id = sim_chance(sim, 50) ? any_broker(sim)->broker->id : 0;
    switch (sim_between(sim, 0, 6)) {
    case 0:
    case 1:
    case 2:
        fault.error = any_error(sim, api);
        break;
    case 3:
        fault.delay_us = some_time_us(sim, 40000000);
        break;
    case 4:
        fault.answer_delay_us = some_time_us(sim, 40000000);
        break;
    case 5:
        fault.end = sim_chance(sim, 50) ? KM_FAULT_CLOSE_AFTER : KM_FAULT_CLOSE_BEFORE;
        break;
    default:
        fault.end = KM_FAULT_DROP;
        break;
    }
    sim_note(sim, "%u answers to %s: error %d, delay %.3f s, %.3f s after, end %d", fault.count,
             kp_api_by_key(fault.api_key)->name, fault.error, (double)fault.delay_us / 1e6,
             (double)fault.answer_delay_us / 1e6, (int)fault.end);
    if (km_fault_add(sim->cluster, &fault) == 0)
        sim_fail(sim, "no memory for a fault");
}

/* ---- when ---- */

static const struct {
    void (*fall)(sim_world *sim);
    int weight;
} kinds[] = {
    {stop_broker, 12}, {cut_connections, 12}, {lose_connections, 6},  {black_hole, 8},
    {slow_network, 6}, {move_leader, 15},     {move_coordinators, 6}, {freeze_host, 8},
    {jump_clock, 3},   {exhaust_memory, 6},   {wrong_answers, 40},
};

static void on_next(kn_timer *timer)
{
    sim_world *sim = timer->user;
    int total = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        total += kinds[i].weight;
    int64_t pick = sim_between(sim, 0, total - 1);
    size_t kind = 0;
    while (pick >= kinds[kind].weight)
        pick -= kinds[kind++].weight;
    kinds[kind].fall(sim);
    sim->faults++;
    set_timer(sim, timer, sim_between(sim, 0, sim->faults_state->interval_us * 2));
}

void sim_faults_start(sim_world *sim)
{
    static const int64_t intervals_us[] = {30000000, 3000000, 1000000, 200000};
    struct sim_faults *faults = calloc(1, sizeof *faults);
    sim->faults_state = faults;
    if (!faults) {
        sim_fail(sim, "no memory for faults");
        return;
    }
    faults->interval_us = intervals_us[sim_between(sim, 0, 3)];
    faults->shape = *kn_mem_network_shape(sim->network);
    faults->next = (kn_timer){.fn = on_next, .user = sim};
    for (int i = 0; i < sim->cluster->broker_count; i++) {
        broker_trouble *trouble = &faults->brokers[i];
        trouble->sim = sim;
        trouble->broker = &sim->cluster->brokers[i];
        trouble->up = (kn_timer){.fn = on_up, .user = trouble};
        trouble->unpause = (kn_timer){.fn = on_unpause, .user = trouble};
    }
    set_timer(sim, &faults->next, sim_between(sim, 0, faults->interval_us * 2));
}

void sim_faults_end(sim_world *sim)
{
    struct sim_faults *faults = sim->faults_state;
    kn_timer_stop(sim->loop, &faults->next);
    kn_mem_shape *shape = kn_mem_network_shape(sim->network);
    *shape = faults->shape;
    if (shape->latency_us > HEALED_LATENCY_US) /* what is left to be done is to be done in time */
        shape->latency_us = HEALED_LATENCY_US;
    shape->jitter_us = 0;
    shape->bytes_per_second = 0;
    kn_mem_network_reshaped(sim->network);
    for (int i = 0; i < sim->cluster->broker_count; i++) {
        broker_trouble *trouble = &faults->brokers[i];
        kn_timer_stop(sim->loop, &trouble->up);
        kn_timer_stop(sim->loop, &trouble->unpause);
        km_broker_start(trouble->broker);
        if (trouble->is_paused)
            pause_broker(trouble, false);
    }
    km_fault_clear(sim->cluster);
    for (int i = 0; i < sim->host_count; i++) {
        if (!sim->hosts[i])
            continue;
        correct_clock(sim->hosts[i]);
        sim->hosts[i]->alloc.fail_at = SIZE_MAX;
        if (sim->hosts[i]->is_frozen)
            sim->hosts[i]->thaw_us = sim->now_us;
    }
}

void sim_faults_free(sim_world *sim)
{
    if (!sim->faults_state)
        return;
    kn_timer_stop(sim->loop, &sim->faults_state->next);
    for (int i = 0; i < sim->cluster->broker_count; i++) {
        kn_timer_stop(sim->loop, &sim->faults_state->brokers[i].up);
        kn_timer_stop(sim->loop, &sim->faults_state->brokers[i].unpause);
    }
    free(sim->faults_state);
}
