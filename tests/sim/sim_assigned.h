/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Readers of partitions by assignment: they seek, pause and hold batches. For workloads that say what a reader may see. */
#ifndef SIM_ASSIGNED_H
#define SIM_ASSIGNED_H

#include "tests/sim/sim_readers.h"

#include <kafkac/consumer.h>

#define SIM_HELD_MAX 8

typedef struct sim_reader sim_reader;

/** What a workload knows of the offsets of a log. */
typedef struct sim_reader_rules {
    /** A reader that stands at `from` is given the record at `offset`, not below: is that right? Says so when not. NULL: when
     * they are the same. */
    bool (*check)(sim_reader *reader, int topic, int32_t partition, int64_t from, int64_t offset);
    /** Has it seen all there is? NULL: up to the high watermarks. */
    bool (*has_all)(sim_reader *reader);
} sim_reader_rules;

struct sim_reader {
    sim_world *sim;
    sim_host *host;
    kc_consumer *consumer;
    const sim_reader_rules *rules;
    bool is_committed; /**< reads committed transactions only */
    kn_timer poll_timer;
    int64_t interval_us;
    sim_seen_table seen;
    int64_t expected[SIM_TOPICS_MAX][SIM_PARTITIONS_MAX];
    bool is_paused[SIM_TOPICS_MAX][SIM_PARTITIONS_MAX];
    kc_batch *held[SIM_HELD_MAX];
    int held_count;
};

/** On a host of its own, assigned all partitions of all topics from their beginning. `reader` is zeroed, and stays where
 * it is. */
void sim_reader_open(sim_world *sim, sim_reader *reader, const sim_reader_rules *rules);
/** Nothing is paused any more. */
void sim_reader_settle(sim_reader *reader);
bool sim_reader_is_done(sim_reader *reader);
/** Give back what it holds. */
void sim_reader_release(sim_reader *reader);
void sim_reader_finish(sim_reader *reader);

#endif
