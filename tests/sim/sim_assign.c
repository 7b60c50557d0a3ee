/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Workload: consumers that read partitions by assignment, seek, pause and hold batches, while producers send.
 *
 * Promised, and checked: each record comes once, in order and without a gap, from where the position is; with the bytes
 * that are in the log; nothing of before a seek comes after it. */
#include "tests/sim/sim_assigned.h"

#include <stdlib.h>

#define READERS_MAX 2

typedef struct assign_state {
    sim_reader readers[READERS_MAX];
    int count;
} assign_state;

static const sim_reader_rules rules; /* nothing is left out */

static void start(sim_world *sim)
{
    assign_state *state = calloc(1, sizeof *state);
    sim->state = state;
    if (!state) {
        sim_fail(sim, "no memory for the ledger");
        return;
    }
    int topics = (int)sim_between(sim, 1, 2);
    for (int i = 0; i < topics; i++)
        if (!sim_topic_new(sim, (int32_t)sim_between(sim, 1, 6), -1))
            return;
    sim_producers_start(sim, (int)sim_between(sim, 1, 2));
    int count = (int)sim_between(sim, 1, READERS_MAX);
    for (; state->count < count && !sim->has_failed; state->count++)
        sim_reader_open(sim, &state->readers[state->count], &rules);
}

static void settle(sim_world *sim)
{
    assign_state *state = sim->state;
    sim_producers_settle(sim);
    for (int i = 0; i < state->count; i++)
        sim_reader_settle(&state->readers[i]);
}

static bool is_done(sim_world *sim)
{
    assign_state *state = sim->state;
    if (!sim_producers_are_done(sim))
        return false;
    for (int i = 0; i < state->count; i++)
        if (!sim_reader_is_done(&state->readers[i]))
            return false;
    return true;
}

static void check(sim_world *sim)
{
    assign_state *state = sim->state;
    sim_producers_check(sim);
    for (int i = 0; i < state->count; i++)
        sim_seen_check(sim, &state->readers[i].seen);
}

static void release(sim_world *sim)
{
    assign_state *state = sim->state;
    for (int i = 0; i < state->count; i++)
        sim_reader_release(&state->readers[i]);
}

static void tell(sim_world *sim)
{
    assign_state *state = sim->state;
    for (int i = 0; i < state->count; i++)
        sim_seen_tell(sim, &state->readers[i].seen);
}

static void finish(sim_world *sim)
{
    assign_state *state = sim->state;
    for (int i = 0; state && i < state->count; i++)
        sim_reader_finish(&state->readers[i]);
    free(state);
    sim_producers_free(sim);
}

const sim_workload sim_assign = {
    .name = "assign",
    .about = "consumers read by assignment, seek and pause",
    .start = start,
    .settle = settle,
    .is_done = is_done,
    .check = check,
    .watch = sim_producers_watch,
    .release = release,
    .finish = finish,
    .tell = tell,
};
