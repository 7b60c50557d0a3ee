/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Transactional producers by script. The client has no transactions yet, so their batches and markers are written
 * straight into the logs, as a leader would that was asked to. */
#ifndef SIM_TXNS_H
#define SIM_TXNS_H

#include "tests/sim/sim.h"

/** Their producer ids; no real producer has one of these. */
#define SIM_TXN_PRODUCER_ID 5000

/** On all topics there are, until the world is settled. */
void sim_txns_start(sim_world *sim);
/** No new transactions; the open ones end. */
void sim_txns_settle(sim_world *sim);
bool sim_txns_are_done(const sim_world *sim);
/** Was the `number`-th record of this stamp's producer committed? False also while it is not decided. */
bool sim_txns_is_committed(const sim_world *sim, const sim_stamp *stamp);
/** Each record stands in the logs exactly once, in order, as far as the script got. */
void sim_txns_check(sim_world *sim);
void sim_txns_free(sim_world *sim);

#endif
