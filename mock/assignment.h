/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Partitions whose brokers are chosen by hand. */
#ifndef KM_ASSIGNMENT_H
#define KM_ASSIGNMENT_H

#include "mock/cluster.h"

typedef struct km_assignment {
    const km_cluster *cluster;
    kb_arena *arena;
    int32_t *replicas; /**< `replication` for each partition; NULL before the first */
    bool *is_there;    /**< by partition */
    int32_t count;
    int32_t first;       /**< number of partition 0, for the sentences */
    int16_t replication; /**< -1: not known before the first */
    kc_bytes why;        /**< of a refusal */
} km_assignment;

/** For `count` partitions; `replication` -1: as the first one has. Allocates nothing yet. */
void km_assignment_init(km_assignment *assignment, const km_cluster *cluster, kb_arena *arena,
                        int32_t count, int16_t replication);
/** One partition: 0 or Kafka's code; UNKNOWN_SERVER_ERROR: no memory. A number outside of the range is told by
 * km_assignment_end(). */
int16_t km_assignment_put(km_assignment *assignment, int32_t partition, const int32_t *brokers,
                          int32_t broker_count);
/** Are all there? */
int16_t km_assignment_end(km_assignment *assignment);

#endif
