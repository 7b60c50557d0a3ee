/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A deterministic simulation: clients, a cluster of the embedded broker and the network between them on one virtual
 * clock, with one seeded source of chance. The same seed is the same run, so a failure is a seed that replays.
 *
 * Each host (a process with one client) has a loop of its own, so that it can be frozen while the rest goes on. Time
 * moves from one thing that is due to the next; a day takes seconds. A workload (sim_workload) makes hosts and gives them
 * something to do; faults (sim_faults.c) fall on all of it until `faults_until_us`; then everything heals, and what the
 * workload's checks ask for must come true before `end_us`. */
#ifndef SIM_H
#define SIM_H

#include "client/core.h"
#include "mock/broker.h"
#include "mock/fault.h"
#include "mock/mem_server.h"
#include "tests/unit/base/fail_alloc.h"

#define SIM_HOSTS_MAX  12
#define SIM_TOPICS_MAX 12
#define SIM_START_US   INT64_C(1000000)
#define SIM_WALL_MS    INT64_C(1700000000000)

typedef struct sim_world sim_world;
typedef struct sim_host sim_host;

/** A process with one client. Its memory is counted: what is left when it ends is a leak. */
struct sim_host {
    sim_world *sim;
    int index;
    kn_loop *loop;
    kn_network *network;
    kb_mem mem;       /**< of the loop */
    fail_alloc alloc; /**< of the client */
    size_t bytes_max; /**< of it: memory.bytes.max */
    kc_client *client;
    bool is_frozen;
    int64_t thaw_us;
};

typedef struct sim_topic {
    char name[48];
    int32_t partitions;
} sim_topic;

/** Something to do, and what must hold. All but `name` and `start` may be NULL. */
typedef struct sim_workload {
    const char *name;
    const char *about;
    /** Make topics and hosts. */
    void (*start)(sim_world *sim);
    /** Faults have ended and everything is up: stop making new work. */
    void (*settle)(sim_world *sim);
    /** Asked again and again after that: is all done that had to be? If not by the end, the run fails. */
    bool (*is_done)(sim_world *sim);
    /** Hosts are still there, nothing moves any more: judge. */
    void (*check)(sim_world *sim);
    /** After each instant: what must hold at any time. */
    void (*watch)(sim_world *sim);
    /** Hosts are about to go, also after a failure: give back what is held of them. */
    void (*release)(sim_world *sim);
    /** Hosts are gone: free the state. */
    void (*finish)(sim_world *sim);
    /** How far it is, for the trace of a run that failed. */
    void (*tell)(sim_world *sim);
} sim_workload;

struct sim_world {
    uint64_t seed;
    kb_rand rand;   /**< of workload, faults and network */
    bool has_trace; /**< print what happens */
    uint64_t hash;  /**< of all that happened: two runs of a seed agree */
    kb_mem mem;     /**< of cluster and network */
    kn_loop *loop;
    kn_mem_network *network;
    km_cluster *cluster;
    km_mem_server *server;
    sim_host *hosts[SIM_HOSTS_MAX];
    int host_count;
    sim_topic topics[SIM_TOPICS_MAX];
    int topic_count;
    const sim_workload *workload;
    void *state;                     /**< the workload's     */
    struct sim_producers *producers; /**< sim_producers.c    */
    struct sim_txns *txns;           /**< sim_txns.c         */
    int64_t now_us;
    int64_t faults_until_us;
    int64_t end_us;
    struct sim_faults *faults_state; /**< sim_faults.c */
    uint32_t faults;                 /**< that fell    */
    bool is_settled;
    bool has_failed;
    char failure[512]; /**< the first one */
};

/** What one run showed. */
typedef struct sim_result {
    bool has_failed;
    char failure[512];
    uint64_t hash;
    int64_t virtual_us;
    uint32_t faults;
} sim_result;

/** One run from its seed. */
void sim_run(uint64_t seed, const sim_workload *workload, bool has_trace, sim_result *result_out);

/* ---- for workloads and faults ---- */

/** Uniform in [low, high]. */
int64_t sim_between(sim_world *sim, int64_t low, int64_t high);
/** True in `percent` of a hundred cases. */
bool sim_chance(sim_world *sim, int percent);
/** Something happened: into the hash, and printed when a trace is wanted. */
void sim_note(sim_world *sim, const char *fmt, ...) KC_PRINTF(2, 3);
/** Something is wrong. Only the first is kept; the run ends. */
void sim_fail(sim_world *sim, const char *fmt, ...) KC_PRINTF(2, 3);

/** A topic in the cluster, "t0", "t1", ...; NULL after a failure. */
sim_topic *sim_topic_new(sim_world *sim, int32_t partitions, int16_t replication);
/** The same with a name. */
sim_topic *sim_topic_new_named(sim_world *sim, const char *name, int32_t partitions,
                               int16_t replication);
/** A host with a client on it. `config` may be NULL, is copied and completed (bootstrap.servers, client.id). NULL
 * after a failure. */
sim_host *sim_host_new(sim_world *sim, kc_config *config);
/** The process ends: as if killed. */
void sim_host_kill(sim_host *host);
void sim_host_freeze(sim_host *host, int64_t for_us);
int64_t sim_host_now_us(const sim_host *host);
/** Set, and fail the run when that is refused. */
void sim_set(sim_world *sim, kc_config *config, const char *name, const char *fmt, ...)
    KC_PRINTF(4, 5);

/* ---- sim_faults.c ---- */

/** Faults fall from now on, as often as the seed says. */
void sim_faults_start(sim_world *sim);
/** Everything is up, connected and fast again. */
void sim_faults_end(sim_world *sim);
void sim_faults_free(sim_world *sim);

/* ---- sim_producers.c: producers with a ledger, for any workload ---- */

/** They send to the topics there are until sim->is_settled. At most 3. */
void sim_producers_start(sim_world *sim, int count);
void sim_producers_watch(sim_world *sim);
void sim_producers_settle(sim_world *sim);
bool sim_producers_are_done(sim_world *sim);
void sim_producers_check(sim_world *sim);
/** Hosts are gone. */
void sim_producers_free(sim_world *sim);

/* ---- sim_ledger.c ---- */

/** What a record's value says of it. */
typedef struct sim_stamp {
    uint32_t producer;
    uint64_t number; /**< from 0, by producer */
} sim_stamp;
#define SIM_STAMP_BYTES 24
/** Producers from this number on are the workload's own; sim_producers.c does not ask who they are. */
#define SIM_STAMP_SCRIPTED 1000
/** Write the stamp and fill up to `len` bytes, which is at least SIM_STAMP_BYTES. */
void sim_stamp_write(uint8_t *value, size_t len, const sim_stamp *stamp);
/** False: the bytes are not what was written. */
bool sim_stamp_read(kc_bytes value, sim_stamp *stamp_out);

/** Call `fn` for every data record below the high watermark, in order; those of aborted transactions too. */
typedef void (*sim_record_fn)(void *user, const kp_record *record);
/** Of the bytes of a record, for comparing what was delivered with what is in the log. */
uint64_t sim_record_hash(int64_t offset, kc_bytes key, kc_bytes value);
void sim_log_walk(sim_world *sim, const km_partition *partition, sim_record_fn fn, void *user);
/** The same from the batch at `from`; where it ended. */
int64_t sim_log_walk_from(sim_world *sim, const km_partition *partition, int64_t from,
                          sim_record_fn fn, void *user);

#endif
