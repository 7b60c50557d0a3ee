/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Producers and their transactions: InitProducerId, AddOffsetsToTxn, EndTxn. */
#include "mock/api.h"
#include "mock/txn.h"

/** Clients of before KIP-588 know only of INVALID_PRODUCER_EPOCH. */
static int16_t as_version_knows(const km_request *request, int16_t error, int16_t since)
{
    return error == KC_E_PRODUCER_FENCED && request->version < since ? KC_E_INVALID_PRODUCER_EPOCH
                                                                     : error;
}

/* ---- InitProducerId (KIP-98, KIP-360) ---- */

/** What can be said before it is asked whether this is the coordinator. */
static int16_t check_init(const km_request *request, const kp_init_producer_id_req *asked)
{
    if (km_check_broker(request))
        return km_check_broker(request);
    if ((asked->producer_id == -1) != (asked->producer_epoch == -1))
        return KC_E_INVALID_REQUEST;
    if (!asked->transactional_id.ptr)
        return 0;
    if (asked->transactional_id.len == 0)
        return KC_E_INVALID_REQUEST;
    /* KIP-939: a broker answers so while transaction.two.phase.commit.enable is false, as by default. */
    if (asked->enable2_pc)
        return KC_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    if (asked->keep_prepared_txn)
        return KC_E_UNSUPPORTED_VERSION;
    if (asked->transaction_timeout_ms <= 0 || asked->transaction_timeout_ms > KM_TXN_TIMEOUT_MS_MAX)
        return KC_E_INVALID_TRANSACTION_TIMEOUT;
    return km_check_coordinator(request, KM_COORDINATOR_TRANSACTION, asked->transactional_id);
}

km_action km_api_init_producer_id(km_request *request, const void *message, void *response)
{
    const kp_init_producer_id_req *asked = message;
    kp_init_producer_id_resp *out = response;
    km_txn_producer expected = {asked->producer_id, asked->producer_epoch};
    km_txn_producer producer = {-1, -1};
    int16_t error = check_init(request, asked);
    if (!error && !asked->transactional_id.ptr)
        producer = (km_txn_producer){km_producer_id_new(request->cluster), 0};
    else if (!error)
        error =
            km_txn_init(request->cluster, asked->transactional_id, asked->transaction_timeout_ms,
                        expected.id == -1 ? NULL : &expected, &producer);
    if (error == KM_TXN_NO_MEMORY)
        return KM_CLOSE;
    out->error_code = as_version_knows(request, error, 4);
    out->producer_id = producer.id;
    out->producer_epoch = producer.epoch;
    return KM_ANSWER;
}

/* ---- AddOffsetsToTxn ---- */

km_action km_api_add_offsets_to_txn(km_request *request, const void *message, void *response)
{
    const kp_add_offsets_to_txn_req *asked = message;
    kp_add_offsets_to_txn_resp *out = response;
    int16_t error = km_check_broker(request);
    if (!error && asked->transactional_id.len == 0)
        error = KC_E_INVALID_REQUEST;
    if (!error)
        error = km_check_coordinator(request, KM_COORDINATOR_TRANSACTION, asked->transactional_id);
    if (!error) {
        const km_partition *partition =
            km_coordinator_partition(request->cluster, KM_COORDINATOR_GROUP, asked->group_id);
        if (!partition)
            return KM_CLOSE;
        const km_txn_part part = {kc_str(partition->topic->name), partition->index};
        const km_txn_producer producer = {asked->producer_id, asked->producer_epoch};
        error = km_txn_add(request->cluster, asked->transactional_id, producer, &part, 1);
    }
    if (error == KM_TXN_NO_MEMORY)
        return KM_CLOSE;
    out->error_code = as_version_knows(request, error, 2);
    return KM_ANSWER;
}

/* ---- EndTxn (KIP-98, KIP-890) ---- */

km_action km_api_end_txn(km_request *request, const void *message, void *response)
{
    const kp_end_txn_req *asked = message;
    kp_end_txn_resp *out = response;
    km_txn_producer producer = {asked->producer_id, asked->producer_epoch};
    km_txn_producer next = {-1, -1};
    int16_t error = km_check_broker(request);
    if (!error && asked->transactional_id.len == 0)
        error = KC_E_INVALID_REQUEST;
    if (!error)
        error = km_check_coordinator(request, KM_COORDINATOR_TRANSACTION, asked->transactional_id);
    if (!error)
        error = km_txn_end(request->cluster, asked->transactional_id, producer, asked->committed,
                           request->version >= 5, &next);
    if (error == KM_TXN_NO_MEMORY)
        return KM_CLOSE;
    out->error_code = as_version_knows(request, error, 2);
    out->producer_id = next.id;
    out->producer_epoch = next.epoch;
    return KM_ANSWER;
}
