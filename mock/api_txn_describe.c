/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What administrators ask of transactions: ListTransactions, DescribeTransactions (KIP-664, KIP-994, KIP-1152). */
#include "mock/api.h"
#include "mock/topic_regex.h"
#include "mock/txn.h"

/* ---- ListTransactions ---- */

static bool is_state_name(kc_bytes name, km_txn_state *state_out)
{
    for (int i = 0; i < KM_TXN_STATES; i++)
        if (kc_bytes_equal(name, kc_str(km_txn_state_name((km_txn_state)i)))) {
            *state_out = (km_txn_state)i;
            return true;
        }
    return false;
}

static bool has_state(const kp_list_transactions_req *asked, km_txn_state wanted)
{
    km_txn_state state;
    for (int32_t i = 0; i < asked->state_filters.count; i++)
        if (is_state_name(asked->state_filters.items[i], &state) && state == wanted)
            return true;
    return asked->state_filters.count <= 0;
}

static bool has_producer(const kp_list_transactions_req *asked, int64_t wanted)
{
    for (int32_t i = 0; i < asked->producer_id_filters.count; i++)
        if (asked->producer_id_filters.items[i] == wanted)
            return true;
    return asked->producer_id_filters.count <= 0;
}

/** `pattern` NULL: any id. */
static bool is_asked(const km_request *request, const kp_list_transactions_req *asked,
                     km_regex *pattern, const km_txn *txn)
{
    const km_partition *coordinator =
        km_coordinator_partition(request->cluster, KM_COORDINATOR_TRANSACTION, txn->id);
    return coordinator && coordinator->leader == request->broker->id &&
           has_producer(asked, txn->producer.id) && has_state(asked, txn->state) &&
           (asked->duration_filter < 0 ||
            request->cluster->wall_ms - txn->start_ms > asked->duration_filter) &&
           (!pattern || km_regex_matches(pattern, txn->id));
}

/** Each broker tells those it coordinates. */
static bool put_transactions(km_request *request, const kp_list_transactions_req *asked,
                             km_regex *pattern, kp_list_transactions_resp *out)
{
    size_t count = 0;
    size_t pos = 0;
    const km_txn *txn;
    while ((txn = km_txn_next(request->cluster, &pos)))
        count += is_asked(request, asked, pattern, txn);
    out->transaction_states.items =
        km_request_alloc(request, count, sizeof *out->transaction_states.items);
    if (!out->transaction_states.items)
        return false;
    pos = 0;
    while ((txn = km_txn_next(request->cluster, &pos))) {
        if (!is_asked(request, asked, pattern, txn))
            continue;
        kp_list_transactions_resp_transaction_state *item =
            &out->transaction_states.items[out->transaction_states.count++];
        item->transactional_id = txn->id;
        item->producer_id = txn->producer.id;
        item->transaction_state = kc_str(km_txn_state_name(txn->state));
    }
    return true;
}

/** State names that are none. False: no memory. */
static bool put_unknown_states(km_request *request, const kp_list_transactions_req *asked,
                               kp_list_transactions_resp *out)
{
    size_t count = asked->state_filters.count > 0 ? (size_t)asked->state_filters.count : 0;
    out->unknown_state_filters.items =
        km_request_alloc(request, count, sizeof *out->unknown_state_filters.items);
    km_txn_state state;
    for (size_t i = 0; out->unknown_state_filters.items && i < count; i++)
        if (!is_state_name(asked->state_filters.items[i], &state))
            out->unknown_state_filters.items[out->unknown_state_filters.count++] =
                asked->state_filters.items[i];
    return out->unknown_state_filters.items != NULL;
}

km_action km_api_list_transactions(km_request *request, const void *message, void *response)
{
    const kp_list_transactions_req *asked = message;
    kp_list_transactions_resp *out = response;
    km_regex *pattern = NULL;
    out->error_code = km_check_broker(request);
    if (!out->error_code && asked->transactional_id_pattern.len > 0) {
        const char *reason;
        kc_err err =
            km_regex_new(request->cluster->mem, asked->transactional_id_pattern, &pattern, &reason);
        if (err == KC_ERR_NOMEM)
            return KM_CLOSE;
        out->error_code = err ? KC_E_INVALID_REGULAR_EXPRESSION : 0;
    }
    if (out->error_code)
        return KM_ANSWER;
    bool is_done =
        put_unknown_states(request, asked, out) && put_transactions(request, asked, pattern, out);
    km_regex_free(pattern);
    return is_done ? KM_ANSWER : KM_CLOSE;
}

/* ---- DescribeTransactions ---- */

/** Partitions of one transaction, by topic. False: no memory. */
static bool put_parts(km_request *request, const km_txn *txn,
                      kp_describe_transactions_resp_transaction_state *out)
{
    size_t count = txn->parts.count;
    out->topics.items = km_request_alloc(request, count, sizeof *out->topics.items);
    if (!out->topics.items)
        return false;
    size_t pos = 0;
    const km_txn_part *part;
    while ((part = km_txn_part_next(txn, &pos))) {
        int32_t i = 0;
        while (i < out->topics.count && !kc_bytes_equal(out->topics.items[i].topic, part->topic))
            i++;
        kp_describe_transactions_resp_topic *topic = &out->topics.items[i];
        if (i == out->topics.count) {
            topic->topic = km_request_copy(request, part->topic);
            topic->partitions.items =
                km_request_alloc(request, count, sizeof *topic->partitions.items);
            if (!topic->topic.ptr || !topic->partitions.items)
                return false;
            out->topics.count++;
        }
        topic->partitions.items[topic->partitions.count++] = part->index;
    }
    return true;
}

static bool describe(km_request *request, kc_bytes id,
                     kp_describe_transactions_resp_transaction_state *out)
{
    out->transactional_id = id;
    out->transaction_state = KC_STR("");
    const km_txn *txn = km_txn_find(request->cluster, id);
    out->error_code = km_check_broker(request);
    if (!out->error_code && id.len == 0)
        out->error_code = KC_E_INVALID_REQUEST;
    if (!out->error_code)
        out->error_code = km_check_coordinator(request, KM_COORDINATOR_TRANSACTION, id);
    if (!out->error_code && !txn)
        out->error_code = KC_E_TRANSACTIONAL_ID_NOT_FOUND;
    if (out->error_code)
        return true;
    out->transaction_state = kc_str(km_txn_state_name(txn->state));
    out->transaction_timeout_ms = txn->timeout_ms;
    out->transaction_start_time_ms = txn->start_ms;
    out->producer_id = txn->producer.id;
    out->producer_epoch = txn->producer.epoch;
    return put_parts(request, txn, out);
}

km_action km_api_describe_transactions(km_request *request, const void *message, void *response)
{
    const kp_describe_transactions_req *asked = message;
    kp_describe_transactions_resp *out = response;
    out->transaction_states.items = km_request_alloc(
        request, (size_t)asked->transactional_ids.count, sizeof *out->transaction_states.items);
    if (!out->transaction_states.items)
        return KM_CLOSE;
    out->transaction_states.count = asked->transactional_ids.count;
    for (int32_t i = 0; i < asked->transactional_ids.count; i++)
        if (!describe(request, asked->transactional_ids.items[i],
                      &out->transaction_states.items[i]))
            return KM_CLOSE;
    return KM_ANSWER;
}
