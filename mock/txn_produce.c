/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the leader of a partition asks the coordinator (KIP-890): before a transaction's first batch of a partition, and
 * before its offsets of a group. */
#include "mock/request.h"
#include "mock/txn.h"

/** Produce that adds what it writes to (protocol 2); that can be told TRANSACTION_ABORTABLE. */
#define ADDING_VERSION    12
#define ABORTABLE_VERSION 11

int16_t km_txn_check_write(km_cluster *cluster, const km_txn_write *write)
{
    const km_partition *coordinator =
        km_coordinator_partition(cluster, KM_COORDINATOR_TRANSACTION, write->id);
    if (!coordinator || coordinator->leader < 0)
        return KC_E_COORDINATOR_NOT_AVAILABLE;
    int16_t error = write->support == KM_TXN_SUPPORTS_ADDING
                        ? km_txn_add(cluster, write->id, write->producer, &write->part, 1)
                        : km_txn_verify(cluster, write->id, write->producer, &write->part);
    switch (error) {
    case KM_TXN_NO_MEMORY:
        return KC_E_COORDINATOR_NOT_AVAILABLE; /* to be tried again */
    case KC_E_PRODUCER_FENCED:
        return KC_E_INVALID_PRODUCER_EPOCH;
    case KC_E_TRANSACTION_ABORTABLE:
        return write->support == KM_TXN_SUPPORTS_OLD_ERRORS ? KC_E_INVALID_TXN_STATE : error;
    default:
        return error;
    }
}

int16_t km_txn_on_produce(km_request *request, const km_partition *partition, int64_t producer_id,
                          int16_t producer_epoch, kc_bytes transactional_id)
{
    const km_txn_write write = {
        .id = transactional_id,
        .producer = {producer_id, producer_epoch},
        .part = {kc_str(partition->topic->name), partition->index},
        .support = request->version >= ADDING_VERSION      ? KM_TXN_SUPPORTS_ADDING
                   : request->version >= ABORTABLE_VERSION ? KM_TXN_SUPPORTS_ABORTABLE
                                                           : KM_TXN_SUPPORTS_OLD_ERRORS,
    };
    return km_txn_check_write(request->cluster, &write);
}
