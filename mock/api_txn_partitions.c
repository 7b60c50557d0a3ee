/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * AddPartitionsToTxn: of one transaction by its client (versions 0 to 3), of many by other brokers, which also ask
 * whether a client did (4 and up, KIP-890). */
#include "mock/api.h"
#include "mock/txn.h"

/** One transaction of a request, whichever its version. */
typedef struct addition {
    kc_bytes id;
    km_txn_producer producer;
    bool verify_only;
    const kp_add_partitions_to_txn_req_topic *topics;
    int32_t topic_count;
} addition;

/** An answer of the same shape, without errors. False: no memory. */
static bool shape(km_request *request, const addition *asked,
                  kp_add_partitions_to_txn_resp_topic_result **out)
{
    *out = km_request_alloc(request, (size_t)asked->topic_count, sizeof **out);
    if (!*out)
        return false;
    for (int32_t i = 0; i < asked->topic_count; i++) {
        kp_add_partitions_to_txn_resp_topic_result *topic = &(*out)[i];
        int32_t count = asked->topics[i].partitions.count;
        topic->name = asked->topics[i].name;
        topic->results_by_partition.items =
            km_request_alloc(request, (size_t)count, sizeof *topic->results_by_partition.items);
        if (!topic->results_by_partition.items)
            return false;
        topic->results_by_partition.count = count;
        for (int32_t k = 0; k < count; k++)
            topic->results_by_partition.items[k].partition_index =
                asked->topics[i].partitions.items[k];
    }
    return true;
}

static void set_all(const addition *asked, kp_add_partitions_to_txn_resp_topic_result *out,
                    int16_t error)
{
    for (int32_t i = 0; i < asked->topic_count; i++)
        for (int32_t k = 0; k < out[i].results_by_partition.count; k++)
            out[i].results_by_partition.items[k].partition_error_code = error;
}

static int16_t check_part(const km_request *request, kc_bytes topic, int32_t index)
{
    const km_partition *partition = km_partition_find(request->cluster, topic, index);
    bool is_internal = kc_bytes_equal(topic, KC_STR("__consumer_offsets")) ||
                       kc_bytes_equal(topic, KC_STR("__transaction_state"));
    if (is_internal && request->version < 4)
        return KC_E_TOPIC_AUTHORIZATION_FAILED;
    return partition ? 0 : KC_E_UNKNOWN_TOPIC_OR_PARTITION;
}

/** One bad partition fails all: the others say OPERATION_NOT_ATTEMPTED. */
static bool are_known(const km_request *request, const addition *asked,
                      kp_add_partitions_to_txn_resp_topic_result *out)
{
    bool are_all = true;
    set_all(asked, out, KC_E_OPERATION_NOT_ATTEMPTED);
    for (int32_t i = 0; i < asked->topic_count; i++)
        for (int32_t k = 0; k < out[i].results_by_partition.count; k++) {
            kp_add_partitions_to_txn_resp_partition_result *part =
                &out[i].results_by_partition.items[k];
            int16_t error = check_part(request, out[i].name, part->partition_index);
            if (!error)
                continue;
            part->partition_error_code = error;
            are_all = false;
        }
    return are_all;
}

/** Its partitions in one array; NULL: no memory. */
static km_txn_part *parts_of(km_request *request, const addition *asked, size_t *count_out)
{
    size_t count = 0;
    for (int32_t i = 0; i < asked->topic_count; i++)
        count += (size_t)asked->topics[i].partitions.count;
    km_txn_part *parts = km_request_alloc(request, count, sizeof *parts);
    *count_out = 0;
    for (int32_t i = 0; parts && i < asked->topic_count; i++)
        for (int32_t k = 0; k < asked->topics[i].partitions.count; k++)
            parts[(*count_out)++] =
                (km_txn_part){asked->topics[i].name, asked->topics[i].partitions.items[k]};
    return parts;
}

static void verify(const km_request *request, const addition *asked,
                   kp_add_partitions_to_txn_resp_topic_result *out)
{
    for (int32_t i = 0; i < asked->topic_count; i++)
        for (int32_t k = 0; k < out[i].results_by_partition.count; k++) {
            kp_add_partitions_to_txn_resp_partition_result *result =
                &out[i].results_by_partition.items[k];
            const km_txn_part part = {out[i].name, result->partition_index};
            result->partition_error_code =
                km_txn_verify(request->cluster, asked->id, asked->producer, &part);
        }
}

/** False: no memory. */
static bool serve(km_request *request, const addition *asked,
                  kp_add_partitions_to_txn_resp_topic_result **out)
{
    if (!shape(request, asked, out))
        return false;
    int16_t error = km_check_broker(request);
    if (!error && !are_known(request, asked, *out))
        return true;
    if (!error && asked->id.len == 0)
        error = KC_E_INVALID_REQUEST;
    if (!error)
        error = km_check_coordinator(request, KM_COORDINATOR_TRANSACTION, asked->id);
    if (!error && asked->verify_only) {
        verify(request, asked, *out);
        return true;
    }
    if (!error) {
        size_t count;
        const km_txn_part *parts = parts_of(request, asked, &count);
        error = parts ? km_txn_add(request->cluster, asked->id, asked->producer, parts, count)
                      : KM_TXN_NO_MEMORY;
    }
    if (error == KC_E_PRODUCER_FENCED && request->version < 2)
        error = KC_E_INVALID_PRODUCER_EPOCH;
    set_all(asked, *out, error);
    return error != KM_TXN_NO_MEMORY;
}

/** Versions 4 and up. */
static km_action serve_many(km_request *request, const kp_add_partitions_to_txn_req *asked,
                            kp_add_partitions_to_txn_resp *out)
{
    out->error_code = km_check_broker(request);
    if (out->error_code)
        return KM_ANSWER;
    out->results_by_transaction.items = km_request_alloc(request, (size_t)asked->transactions.count,
                                                         sizeof *out->results_by_transaction.items);
    if (!out->results_by_transaction.items)
        return KM_CLOSE;
    out->results_by_transaction.count = asked->transactions.count;
    for (int32_t i = 0; i < asked->transactions.count; i++) {
        const kp_add_partitions_to_txn_req_transaction *item = &asked->transactions.items[i];
        const addition one = {item->transactional_id,
                              {item->producer_id, item->producer_epoch},
                              item->verify_only,
                              item->topics.items,
                              item->topics.count};
        kp_add_partitions_to_txn_resp_results_by_transaction *result =
            &out->results_by_transaction.items[i];
        result->transactional_id = item->transactional_id;
        result->topic_results.count = item->topics.count;
        if (!serve(request, &one, &result->topic_results.items))
            return KM_CLOSE;
    }
    return KM_ANSWER;
}

km_action km_api_add_partitions_to_txn(km_request *request, const void *message, void *response)
{
    const kp_add_partitions_to_txn_req *asked = message;
    kp_add_partitions_to_txn_resp *out = response;
    if (request->version >= 4)
        return serve_many(request, asked, out);
    const addition one = {asked->v3_and_below_transactional_id,
                          {asked->v3_and_below_producer_id, asked->v3_and_below_producer_epoch},
                          false,
                          asked->v3_and_below_topics.items,
                          asked->v3_and_below_topics.count};
    out->results_by_topic_v3_and_below.count = one.topic_count;
    return serve(request, &one, &out->results_by_topic_v3_and_below.items) ? KM_ANSWER : KM_CLOSE;
}
