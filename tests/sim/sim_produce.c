/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Workload: producers, and nothing else. */
#include "tests/sim/sim.h"

static void start(sim_world *sim)
{
    int topics = (int)sim_between(sim, 1, 3);
    for (int i = 0; i < topics; i++)
        if (!sim_topic_new(sim, (int32_t)sim_between(sim, 1, 8), -1))
            return;
    sim_producers_start(sim, (int)sim_between(sim, 1, 3));
}

const sim_workload sim_produce = {
    .name = "produce",
    .about = "producers send at least once",
    .start = start,
    .settle = sim_producers_settle,
    .is_done = sim_producers_are_done,
    .check = sim_producers_check,
    .watch = sim_producers_watch,
    .finish = sim_producers_free,
};
