/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The processes of the workloads "officeflow" and "redrive": sources of events, workers that handle them, redrivers that
 * run DLQ handlers. */
#ifndef SIM_OFFICE_HOSTS_H
#define SIM_OFFICE_HOSTS_H

#include "officeflow/platform_core.h"
#include "officeflow/tracker.h"
#include "tests/sim/sim_office.h"

#define OFFICE_SOURCES_MAX 2
#define OFFICE_WORKERS_MAX 3
#define OFFICE_ANSWERS_MAX 32
#define OFFICE_EVENTS_MAX  200

/** A process with the platform on it. */
typedef struct office_host {
    sim_world *sim;
    int slot;
    sim_host *host; /**< NULL: not there */
    of_platform *platform;
    of_tracker *tracker;
} office_host;

typedef struct office_source {
    office_host base;
    of_producer *producer;
    kn_timer send_timer;
    int64_t interval_us;
} office_source;

/** An answer that a handler owes. */
typedef struct office_answer {
    struct office_worker *worker;
    kn_timer timer;
    of_ctx *ctx; /**< NULL: free */
    int topic;
    int32_t partition;
    int64_t offset;
    of_result result;
} office_answer;

typedef struct office_worker {
    office_host base;
    of_consumer *consumer;
    office_answer answers[OFFICE_ANSWERS_MAX];
} office_worker;

/** A process with a DLQ handler. */
typedef struct office_redriver {
    office_host base;
    of_dlq_handler *dlq;
} office_redriver;

typedef struct office_state {
    office_ledger ledger;
    kb_rand ids;
    office_source sources[OFFICE_SOURCES_MAX];
    int source_count;
    office_worker workers[OFFICE_WORKERS_MAX];
    int worker_count;
    office_redriver redrivers[OFFICE_REDRIVERS_MAX];
    int redriver_count; /**< 0: dead letters stay dead */
    bool has_breakers;  /**< of handlers; else those may fail as often as they like */
    kn_timer change_timer, look_timer;
    int64_t change_us;
} office_state;

void office_timer_set(sim_world *sim, kn_loop *loop, kn_timer *timer, int64_t due_us);

/** False: it is not there. Memory may run out while it starts: then it just does not. */
bool office_host_begin(sim_world *sim, office_host *base, int slot);
void office_host_end(office_host *base);
void office_source_begin(sim_world *sim, int slot);
void office_source_end(office_source *source);
void office_worker_begin(sim_world *sim, int slot);
void office_worker_end(office_worker *worker);
void office_redriver_begin(sim_world *sim, int slot);
void office_redriver_end(office_redriver *redriver);

#endif
