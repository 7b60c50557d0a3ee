/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The second half of a transaction's end: a marker in each partition, then it is complete. Only for txn.c. */
#ifndef KM_TXN_MARKERS_H
#define KM_TXN_MARKERS_H

#include "mock/txn.h"

/** One partition of a transaction. */
typedef struct km_txn_entry {
    km_txn *txn;
    km_txn_part part;     /**< the topic's name stands in the key           */
    int64_t marker_end;   /**< offset behind its marker; 0: not appended    */
    int32_t marker_epoch; /**< of the leader that appended it               */
    km_waiter waiter;     /**< for the marker to be on all in-sync replicas */
    bool is_new;          /**< of the request that is being served          */
    size_t key_len;
    uint8_t key[]; /**< index, then name */
} km_txn_entry;

/** It is no longer part of the transaction. */
void km_txn_entry_free(km_txn_entry *entry);

/** Its next state, and who its producer is from then on. */
void km_txn_move(km_txn *txn, km_txn_state state, km_txn_producer producer);
/** Who its producer is when it is complete. */
km_txn_producer km_txn_producer_after(const km_txn *txn);

/** It is prepared: write the markers, at once or after the cluster's txn_marker_delay_us. */
void km_txn_markers_begin(km_txn *txn);
/** Write what is missing. Where a partition has no leader it waits for one: to be called again then. */
void km_txn_markers_go_on(km_txn *txn);

#endif
