/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The transaction coordinator: which producer a transactional id belongs to, and how its transactions begin and end
 * (KIP-98, KIP-360, KIP-890).
 *
 * A transactional id belongs to the cluster, not to a broker: its coordinator is whoever leads its partition of
 * __transaction_state, and what the coordinator knows moves with it, as it would by that log. Whether a broker may
 * answer is asked before by km_check_coordinator(). */
#ifndef KM_TXN_H
#define KM_TXN_H

#include "mock/cluster.h"

/** transaction.max.timeout.ms */
#define KM_TXN_TIMEOUT_MS_MAX 900000
/** Answered in place of Kafka's codes: no memory, and nothing was changed. The connection is to be closed. */
#define KM_TXN_NO_MEMORY INT16_MIN

/** In the order of Kafka's numbers, which its log and DescribeTransactions tell by name. */
typedef enum km_txn_state {
    KM_TXN_EMPTY,
    KM_TXN_ONGOING,
    KM_TXN_PREPARE_COMMIT, /**< decided; the markers are on their way */
    KM_TXN_PREPARE_ABORT,
    KM_TXN_COMPLETE_COMMIT,
    KM_TXN_COMPLETE_ABORT,
    KM_TXN_DEAD,                /**< of ids that expire, which none does here              */
    KM_TXN_PREPARE_EPOCH_FENCE, /**< never seen: what it leads to happens in the same turn */
    KM_TXN_STATES
} km_txn_state;

/** Which producer; epoch -1: none was told yet. */
typedef struct km_txn_producer {
    int64_t id;
    int16_t epoch;
} km_txn_producer;

/** A partition of a topic, or of __consumer_offsets for the groups that stand there. */
typedef struct km_txn_part {
    kc_bytes topic;
    int32_t index;
} km_txn_part;

typedef struct km_txn {
    km_cluster *cluster;
    kc_bytes id; /**< stands behind the struct */
    km_txn_state state;
    km_txn_producer producer;
    int64_t previous_producer_id; /**< before the last change of state; -1: none            */
    int64_t next_producer_id;     /**< when the epochs end with this transaction; -1: not    */
    int16_t last_epoch;           /**< a retry of what made the present one tells this; -1: none */
    int32_t timeout_ms;
    int64_t start_ms; /**< wall clock; -1: has none      */
    kb_map parts;     /**< that have no marker yet       */
    kn_timer timer;   /**< ongoing: its timeout; prepared: its markers, or the next try of them */
} km_txn;

/** NULL: none. */
km_txn *km_txn_find(const km_cluster *cluster, kc_bytes id);
/** Walk: start with *pos = 0. */
km_txn *km_txn_next(const km_cluster *cluster, size_t *pos);
const char *km_txn_state_name(km_txn_state state);
/** Walk its partitions: start with *pos = 0; NULL at the end. */
const km_txn_part *km_txn_part_next(const km_txn *txn, size_t *pos);

/* ---- what clients ask; 0 or Kafka's code ---- */

/** A producer id that nobody has. */
int64_t km_producer_id_new(km_cluster *cluster);

/**
 * A producer takes the id, and with it shuts out whoever had it.
 *
 * @param expected  Who it was before, to go on after an error (KIP-360); NULL: it is new.
 * @return CONCURRENT_TRANSACTIONS: the one before is being ended, ask again; PRODUCER_FENCED.
 */
int16_t km_txn_init(km_cluster *cluster, kc_bytes id, int32_t timeout_ms,
                    const km_txn_producer *expected, km_txn_producer *producer_out);
/** Add to its transaction, which begins by this; all or none. INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED,
 * CONCURRENT_TRANSACTIONS. */
int16_t km_txn_add(km_cluster *cluster, kc_bytes id, km_txn_producer producer,
                   const km_txn_part *parts, size_t count);
/** May it write there? The errors of km_txn_add(), and TRANSACTION_ABORTABLE: was not added. */
int16_t km_txn_verify(const km_cluster *cluster, kc_bytes id, km_txn_producer producer,
                      const km_txn_part *part);
/**
 * Commit or abort; the markers follow.
 *
 * @param is_v2         Protocol 2: each end bumps the epoch, and a retry is known by the one before.
 * @param producer_out  Who the producer is from now on; -1, -1 with protocol 1 and after an error.
 */
int16_t km_txn_end(km_cluster *cluster, kc_bytes id, km_txn_producer producer, bool is_commit,
                   bool is_v2, km_txn_producer *producer_out);

/* ---- what a partition's leader asks the coordinator (KIP-890) ---- */

/** What the client that writes can be told. */
typedef enum km_txn_support {
    KM_TXN_SUPPORTS_OLD_ERRORS, /**< INVALID_TXN_STATE in place of TRANSACTION_ABORTABLE */
    KM_TXN_SUPPORTS_ABORTABLE,
    KM_TXN_SUPPORTS_ADDING, /**< protocol 2: what it writes to is added by that      */
} km_txn_support;

typedef struct km_txn_write {
    kc_bytes id;
    km_txn_producer producer;
    km_txn_part part;
    km_txn_support support;
} km_txn_write;

/** May this be written? As the leader's AddPartitionsToTxn to the coordinator would be answered: 0,
 * COORDINATOR_NOT_AVAILABLE, INVALID_PRODUCER_ID_MAPPING, INVALID_PRODUCER_EPOCH, CONCURRENT_TRANSACTIONS,
 * INVALID_TXN_STATE, TRANSACTION_ABORTABLE, INVALID_REQUEST (empty id). */
int16_t km_txn_check_write(km_cluster *cluster, const km_txn_write *write);
/** The same for Produce: cluster->on_transactional_produce, from the first transactional id on. */
int16_t km_txn_on_produce(struct km_request *request, const km_partition *partition,
                          int64_t producer_id, int16_t producer_epoch, kc_bytes transactional_id);

#endif
