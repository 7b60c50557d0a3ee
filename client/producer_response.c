/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What became of a Produce request: each batch is acknowledged, tried again, split, or failed.
 *
 * Without idempotence a batch whose outcome is not known (connection lost, no answer in time, an
 * answer that can't be read) is sent again and may be in the log twice; with acks=0, where nobody
 * can tell, it is failed instead. A failure is final where the error is not retriable, after
 * `retries` sends, and after delivery.timeout.ms. */
#include "client/producer_flow.h"
#include "client/variant.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>
#include <stdio.h>

/** Below this batches are not made smaller for MESSAGE_TOO_LARGE. */
#define LEARNED_BYTES_MIN 512

void kc_producer_error_at(kc_producer *producer, kc_error *error, const kc_topic *topic,
                          int32_t partition, int32_t broker_id)
{
    kc_bytes name = topic->meta->name;
    size_t len = name.len < sizeof error->topic ? name.len : sizeof error->topic - 1;
    memcpy(error->topic, name.ptr, len);
    error->topic[len] = 0;
    error->phase = KC_PHASE_API;
    error->api_key = KP_API_PRODUCE;
    error->partition = partition;
    error->broker_id = broker_id;
    producer->last_error = *error;
}

static void fail(kc_producer_batch *batch, const kc_error *cause)
{
    kc_error error = *cause;
    kc_producer_error_at(batch->queue->topic->producer, &error, batch->queue->topic,
                         batch->queue->partition, cause->broker_id);
    kc_batch_complete(batch, &error, -1, -1);
}

/** Why a batch has not gone or got through. */
static const char *cause_of(const kc_producer_batch *batch, char *text, size_t size)
{
    const kc_producer_queue *queue = batch->queue;
    const kc_topic *topic = queue->topic;
    const kc_meta_topic *meta = topic->meta;
    const kc_error *network = kn_pool_last_error(topic->producer->client->pool);
    // what was never sent itself waited for those in front of it
    kc_err last = batch->last_err != KC_OK ? batch->last_err : queue->trouble;
    // of our own codes the connection knows more
    bool is_lost = last < KC_ERR_NOMEM && network->code != KC_OK;
    if (!is_lost && last != KC_OK)
        snprintf(text, size, "last failure: %s, %s", kc_err_name(last), kc_err_text(last));
    else if (!is_lost && queue->partition >= meta->partition_count)
        snprintf(text, size, "the topic has %d partitions only", (int)meta->partition_count);
    else if (!is_lost && meta->partitions[queue->partition].leader < 0)
        snprintf(text, size, "the partition has no leader");
    else if (network->code != KC_OK)
        return network->text;
    else
        snprintf(text, size, "the broker did not keep up");
    return text;
}

static void late_error(const kc_producer_batch *batch, const char *limit, int ms, kc_error *error)
{
    char cause[sizeof error->text];
    kb_error_set(error, KC_ERR_TIMEOUT,
                 "records for " KC_FMT "-%d were not acknowledged within %s (%d): %s",
                 KC_ARG(batch->queue->topic->meta->name), (int)batch->queue->partition, limit, ms,
                 cause_of(batch, cause, sizeof cause));
}

void kc_batch_expire(kc_producer_batch *batch)
{
    kc_error error;
    late_error(batch, "delivery.timeout.ms", batch->queue->topic->producer->delivery_timeout_ms,
               &error);
    fail(batch, &error);
}

void kc_producer_note_late(kc_producer *producer, int timeout_ms)
{
    static const char limit[] = "the flush's timeout_ms";
    kc_error error;
    KB_LIST_FOR (node, &producer->topic_list) {
        kc_topic *topic = KB_CONTAINER(node, kc_topic, node);
        if (!topic->is_staging)
            continue;
        kc_stage_late(topic, limit, timeout_ms, &error);
        return;
    }
    if (kb_list_is_empty(&producer->ages))
        return;
    const kc_producer_batch *oldest = KB_CONTAINER(producer->ages.next, kc_producer_batch, age);
    late_error(oldest, limit, timeout_ms, &error);
    kc_producer_error_at(producer, &error, oldest->queue->topic, oldest->queue->partition, -1);
}

/**
 * Send again, or fail where that is of no use.
 *
 * @param may_be_written  The attempt counts against `retries`.
 * @param at_once         No back-off: somebody told who leads now.
 */
static void retry_or_fail(kc_producer_batch *batch, const kc_error *error, bool may_be_written,
                          bool at_once)
{
    kc_producer *producer = batch->queue->topic->producer;
    // lack of memory passes, and an answer that can't be read says nothing about the records
    bool is_retriable = (error->flags & KC_ERRF_RETRIABLE) || error->code == KC_ERR_NOMEM ||
                        error->code == KC_ERR_MALFORMED || error->code == KC_ERR_TRUNCATED;
    bool is_over =
        batch->created_us + producer->delivery_timeout_us <= kn_loop_now_us(producer->loop);
    // the end of its time is no cause: what happened before it is
    if (batch->last_err == KC_OK || !is_over || error->code != KC_ERR_TIMEOUT)
        batch->last_err = batch->queue->trouble = error->code;
    if (error->flags & KC_ERRF_REFRESH_METADATA)
        kc_metadata_refresh(producer->client->metadata, "records were not taken");
    if (KC_VARIANT(LOST_IS_ACKED) && error->code == KC_ERR_DISCONNECTED) {
        kc_batch_complete(batch, NULL, 0, -1);
        return;
    }
    if (!is_retriable || (may_be_written && batch->resends >= producer->retries)) {
        fail(batch, error);
        return;
    }
    if (is_over) {
        kc_batch_expire(batch);
        return;
    }
    batch->resends += may_be_written;
    int64_t delay_us = kc_retry_backoff_us(producer->client, batch->tries);
    if (at_once && batch->tries == 0)
        delay_us = 0;
    batch->tries++;
    kb_log_line(kc_client_log(producer->client, KC_DEBUG_PRODUCER), KC_LOG_DEBUG,
                "producer: " KC_FMT "-%d try %u failed (%s), again in %lld us",
                KC_ARG(batch->queue->topic->meta->name), (int)batch->queue->partition,
                (unsigned)batch->tries, kc_err_name(error->code), (long long)delay_us);
    kc_queue_requeue(batch, delay_us);
}

/* ---- one partition's answer ---- */

typedef kp_produce_resp_partition_response partition_answer;

static void answer_error(const kc_producer_batch *batch, int32_t broker_id,
                         const partition_answer *answer, kc_error *error)
{
    const kc_producer_queue *queue = batch->queue;
    kc_bytes message = answer->error_message;
    if (answer->record_errors.count > 0 &&
        answer->record_errors.items[0].batch_index_error_message.ptr)
        message = answer->record_errors.items[0].batch_index_error_message;
    kb_error_set(error, answer->error_code,
                 "broker %d refused records for " KC_FMT "-%d: %s, %s%s" KC_FMT, (int)broker_id,
                 KC_ARG(queue->topic->meta->name), (int)queue->partition,
                 kc_err_name(answer->error_code), kc_err_text(answer->error_code),
                 message.len > 0 ? ": " : "", KC_ARG(message));
    error->broker_id = broker_id;
}

/** Too large for the broker: halve it, and make no such batches for this topic any more (trap 17).
 */
static kc_err split_larger(kc_producer_batch *batch)
{
    kc_topic *topic = batch->queue->topic;
    kc_producer_batch *refused = NULL;
    size_t half = batch->writer.len / 2;
    KB_TRY(kc_batch_split(batch, half, (kc_split_refused){0}, &refused));
    if (half < LEARNED_BYTES_MIN)
        half = LEARNED_BYTES_MIN;
    if (half < topic->batch_bytes_max)
        topic->batch_bytes_max = half;
    return KC_OK;
}

/** Fail the records the broker named, send the others again. */
static kc_err drop_refused(kc_producer_batch *batch, const partition_answer *answer,
                           const kc_error *error)
{
    kc_producer_batch *refused = NULL;
    kc_split_refused named = {answer->record_errors.items, answer->record_errors.count};
    KB_TRY(kc_batch_split(batch, SIZE_MAX, named, &refused));
    if (refused)
        fail(refused, error);
    return KC_OK;
}

static bool is_too_large(kc_err code)
{
    return code == KC_E_MESSAGE_TOO_LARGE || code == KC_E_RECORD_LIST_TOO_LARGE;
}

/** Take the leader a broker names (KIP-951). True: it is another one than the broker that answered.
 */
static bool take_hint(kc_producer_queue *queue, int32_t broker_id, const partition_answer *answer)
{
    kc_topic *topic = queue->topic;
    int32_t leader = answer->current_leader.leader_id;
    if (leader < 0)
        return false;
    kc_metadata_hint(topic->producer->client->metadata, topic->meta, queue->partition, leader,
                     answer->current_leader.leader_epoch);
    return queue->partition < topic->meta->partition_count &&
           topic->meta->partitions[queue->partition].leader != broker_id;
}

static void settle(kc_producer_batch *batch, int32_t broker_id, const partition_answer *answer)
{
    kc_error error;
    if (answer->error_code == KC_OK) {
        batch->queue->trouble = KC_OK;
        int64_t before = KC_VARIANT(RETRY_WRONG_OFFSET) && batch->tries > 0;
        kc_batch_complete(batch, NULL, answer->base_offset - before, answer->log_append_time_ms);
        return;
    }
    answer_error(batch, broker_id, answer, &error);
    kc_err err = KC_OK;
    if (is_too_large(error.code) && batch->writer.count > 1)
        err = split_larger(batch);
    else if (error.code == KC_E_INVALID_RECORD && answer->record_errors.count > 0)
        err = drop_refused(batch, answer, &error);
    else {
        bool has_new_leader = take_hint(batch->queue, broker_id, answer);
        retry_or_fail(batch, &error, true, has_new_leader);
        return;
    }
    if (err == KC_OK)
        return;
    if (err != KC_ERR_NOT_FOUND)
        kb_error_code(&error, err);
    retry_or_fail(batch, &error, true, false);
}

/* ---- the whole answer ---- */

static bool is_topic(const kp_produce_req_topic_data *asked, const kp_produce_resp_response *answer,
                     int16_t version)
{
    if (version >= 13) // KIP-516: ids instead of names
        return memcmp(&asked->topic_id, &answer->topic_id, sizeof asked->topic_id) == 0;
    return kc_bytes_equal(asked->name, answer->name);
}

/** The topic asked for that is answered here: brokers keep the order, so `hint` is usually right.
 * NULL: none. */
static const kp_produce_req_topic_data *find_topic(const kc_producer_request *request,
                                                   const kp_produce_resp_response *answer,
                                                   int16_t version, int32_t hint)
{
    int32_t count = request->msg.topic_data.count;
    if (hint < count && is_topic(&request->topics[hint], answer, version))
        return &request->topics[hint];
    for (int32_t i = 0; i < count; i++) {
        if (is_topic(&request->topics[i], answer, version))
            return &request->topics[i];
    }
    return NULL;
}

/** Take the batch of a partition out of the request; NULL: not asked for, or answered before. */
static kc_producer_batch *take_batch(kc_producer_request *request,
                                     const kp_produce_req_topic_data *topic, int32_t partition,
                                     int32_t hint)
{
    const kp_produce_req_partition_data *items = topic->partition_data.items;
    int32_t count = topic->partition_data.count;
    int32_t found = hint;
    if (hint >= count || items[hint].index != partition) {
        for (found = 0; found < count && items[found].index != partition; found++)
            ;
        if (found == count)
            return NULL;
    }
    kc_producer_batch **place = &request->batches[&items[found] - request->partitions];
    kc_producer_batch *batch = *place;
    *place = NULL;
    return batch;
}

/** What holds for all partitions: brokers named as new leaders, throttling. */
static void take_common(kc_producer_request *request, const kp_produce_resp *response)
{
    kc_producer *producer = request->producer;
    for (int32_t i = 0; i < response->node_endpoints.count; i++) {
        const kp_produce_resp_node_endpoint *node = &response->node_endpoints.items[i];
        // without memory the next metadata will tell
        if (node->node_id >= 0 && node->port > 0 && node->port <= UINT16_MAX &&
            node->host.len > 0 &&
            kn_pool_set_broker(producer->client->pool, node->node_id, node->host, node->port) !=
                KC_OK)
            break;
    }
    if (response->throttle_time_ms > 0)
        request->broker->muted_until_us =
            kn_loop_now_us(producer->loop) + (int64_t)response->throttle_time_ms * 1000;
}

static kc_err settle_response(kc_producer_request *request, const kn_reply *reply, kc_error *error)
{
    kp_produce_resp response;
    kb_arena *arena = &request->producer->arena;
    kb_arena_reset(arena);
    KB_TRY(kn_reply_decode(&request->net, reply, arena, &response, error));
    take_common(request, &response);
    for (int32_t i = 0; i < response.responses.count; i++) {
        const kp_produce_resp_response *answer = &response.responses.items[i];
        const kp_produce_req_topic_data *topic = find_topic(request, answer, reply->version, i);
        for (int32_t k = 0; topic && k < answer->partition_responses.count; k++) {
            const partition_answer *part = &answer->partition_responses.items[k];
            kc_producer_batch *batch = take_batch(request, topic, part->index, k);
            if (batch)
                settle(batch, reply->broker_id, part);
        }
    }
    kb_error_set(error, KC_ERR_MALFORMED, "broker %d left a partition out of its answer",
                 (int)reply->broker_id);
    return KC_ERR_MALFORMED; // of those that are still there
}

/** All batches that have no answer end the same way. */
static void settle_rest(kc_producer_request *request, const kc_error *error, bool may_be_written)
{
    bool is_unsure = may_be_written && request->producer->acks == 0;
    for (uint32_t i = 0; i < request->count; i++) {
        kc_producer_batch *batch = request->batches[i];
        request->batches[i] = NULL;
        if (batch && is_unsure)
            fail(batch, error);
        else if (batch)
            retry_or_fail(batch, error, may_be_written, false);
    }
}

static void complete_all(kc_producer_request *request)
{
    for (uint32_t i = 0; i < request->count; i++) {
        kc_producer_batch *batch = request->batches[i];
        request->batches[i] = NULL;
        if (batch)
            kc_batch_complete(batch, NULL, -1, -1);
    }
}

void kc_producer_on_reply(kn_request *net, const kn_reply *reply)
{
    kc_producer_request *request = net->user;
    kc_producer *producer = request->producer;
    kc_error error;
    kc_producer_enter(producer);
    request->broker->in_flight--;
    if (reply->err != KC_OK) {
        error = *reply->error;
        // the leader may be another broker by now
        kc_metadata_refresh(producer->client->metadata, "a Produce request failed");
        settle_rest(request, &error, reply->was_sent);
    } else if (net->has_no_response) {
        complete_all(request);
    } else if (settle_response(request, reply, &error) != KC_OK) {
        error.broker_id = reply->broker_id;
        settle_rest(request, &error, true);
    }
    kb_list_remove(&request->node);
    kb_list_push_front(&producer->idle_requests, &request->node);
    kc_sender_wake(producer);
    kc_producer_leave(producer);
}
