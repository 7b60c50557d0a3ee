/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a transactional producer asks, in one line each, for tests. Its transactional id is TXN_ID, its topic "t". */
#ifndef MOCK_TXNS_H
#define MOCK_TXNS_H

#include "mock/txn.h"
#include "tests/unit/mock/mock_world.h"

#define TXN_ID "tx"

typedef km_txn_producer who;

mock_link *txn_coordinator(mock_world *world);
/** `producer` in: who it was, id -1 for a new one; out: who it is. */
int16_t txn_init_at(mock_world *world, int16_t version, who *producer);
who txn_init(mock_world *world);
int16_t txn_add_to(mock_world *world, int16_t version, const char *id, who producer,
                   const km_txn_part *part);
int16_t txn_add_at(mock_world *world, int16_t version, who producer, const char *topic,
                   int32_t index);
int16_t txn_add(mock_world *world, who producer, const char *topic, int32_t index);
/** Version 5 changes the producer. */
int16_t txn_end_at(mock_world *world, int16_t version, who *producer, bool is_commit);
int16_t txn_add_offsets(mock_world *world, who producer, const char *group);
/** A member of a group. */
typedef struct txn_member {
    kc_bytes id;
    int32_t generation;
} txn_member;
/** An offset of partition 0. */
int16_t txn_commit_offset_as(mock_world *world, int16_t version, who producer, const char *group,
                             int64_t offset, const txn_member *member);
int16_t txn_commit_offset_at(mock_world *world, int16_t version, who producer, const char *group,
                             int64_t offset, int32_t generation);
int16_t txn_produce_as(mock_world *world, int16_t version, const char *topic, int32_t index,
                       const kp_batch_producer *producer);
int16_t txn_produce(mock_world *world, int16_t version, who producer, int32_t sequence);
const km_txn *txn_of(const mock_world *world);
/** What a read_committed reader gets of a partition: so many records below the last stable offset are neither control
 * records nor aborted. */
int txn_count_committed(const km_partition *partition);

#endif
