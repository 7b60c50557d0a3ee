/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What readers of a topic were given, compared with its log when all is over. */
#ifndef SIM_READERS_H
#define SIM_READERS_H

#include "tests/sim/sim.h"

#define SIM_PARTITIONS_MAX 16
/** In sim_seen.hashes: left out. Hashes of records are odd. */
#define SIM_SKIPPED 2

/** One partition, as all readers of a group (or one reader) saw it. */
typedef struct sim_seen {
    uint64_t *hashes; /**< by offset, 0: not delivered */
    int64_t cap;
    int64_t covered;   /**< all below were delivered to somebody */
    int64_t committed; /**< as last looked at, -1: none         */
} sim_seen;

typedef struct sim_seen_table {
    sim_seen partitions[SIM_TOPICS_MAX][SIM_PARTITIONS_MAX];
} sim_seen_table;

/** Index of the topic of this name; -1 after a failure. */
int sim_topic_index(sim_world *sim, kc_bytes name);
/** A record came. False after a failure (an offset delivered before with other bytes). */
bool sim_seen_add(sim_world *sim, sim_seen *seen, int64_t offset, kc_bytes key, kc_bytes value);
/** [from, offset) was rightly left out: there is nothing in it for this reader. False after a failure. */
bool sim_seen_skip(sim_world *sim, sim_seen *seen, int64_t from, int64_t offset);
/** What came is what the log holds. */
void sim_seen_check(sim_world *sim, sim_seen_table *table);
/** Has everything up to the high watermarks come? */
bool sim_seen_all(const sim_world *sim, const sim_seen_table *table);
/** Print how far it is. */
void sim_seen_tell(const sim_world *sim, const sim_seen_table *table);
void sim_seen_free(sim_seen_table *table);

#endif
