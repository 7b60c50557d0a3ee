/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Produce: batches go into the logs, and with acks=all the answer waits for the replicas.
 *
 * First all batches are checked and appended, then the readers are told: so what readers do finds the request
 * complete. A partition with acks=all is pending until the high watermark is behind its batch, or its leader is another
 * one, or it is deleted, or the time is over. */
#include "mock/api.h"
#include "mock/produce_batch.h"
#include "mock/producer_state.h"
#include "mock/retention.h"
#include "mock/text.h"
#include "protocol/base/text.h"

#define ACKS_ALL (-1)
/** Versions: KIP-890's implicit AddPartitionsToTxn; KIP-951's leaders; topic ids (KIP-516). */
#define TXN_V2_VERSION 12
#define LEADER_VERSION 10
#define ID_VERSION     13

struct produce;

/** One partition of a request. */
typedef struct item {
    struct produce *produce;
    kp_produce_resp_partition_response *out;
    kp_batch batch;
    km_partition *partition; /**< NULL: unknown, or deleted meanwhile */
    int16_t lead_error;      /**< what km_check_leader() said         */
    bool is_appended;
    bool is_pending;
    int64_t required_offset;
    km_waiter waiter;
} item;

typedef struct produce {
    km_request *request;
    item *items;
    int32_t count;
    int32_t pending;
    km_watcher watcher;
} produce;

/* ---- checks ---- */

static bool is_transactional(const kp_batch *batch)
{
    return batch->producer_id >= 0 && (batch->attributes & KP_ATTR_TRANSACTIONAL);
}

/** What is asked before anything is stored, of all partitions. */
static void look(km_request *request, const kp_produce_req_topic_data *topic,
                 const kp_produce_req_partition_data *asked, item *it)
{
    it->out->index = asked->index;
    it->out->base_offset = -1;
    int16_t error;
    if (request->version >= ID_VERSION) {
        const km_topic *found = km_topic_by_id(request->cluster, topic->topic_id);
        it->partition =
            found ? km_partition_find(request->cluster, kc_str(found->name), asked->index) : NULL;
        error = km_check_leader_by_id(request, found, asked->index, -1);
    } else {
        it->partition = km_partition_find(request->cluster, topic->name, asked->index);
        error = km_check_leader(request, it->partition, -1);
    }
    if (request->error || !it->partition) {
        it->out->error_code = error;
        return;
    }
    it->lead_error = error;
    it->out->error_code =
        km_produce_batch_read(request, asked->records, &it->batch, &it->out->error_message);
}

/** Errors that refuse the whole request. */
static int16_t check_all(const km_request *request, const produce *all)
{
    const kp_produce_req *asked = request->message;
    int64_t producer_id = -1;
    int16_t epoch = -1;
    for (int32_t i = 0; i < all->count; i++) {
        const kp_batch *batch = &all->items[i].batch;
        if (all->items[i].out->error_code || !is_transactional(batch))
            continue;
        if (!asked->transactional_id.ptr)
            return KC_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        if (producer_id >= 0 &&
            (producer_id != batch->producer_id || epoch != batch->producer_epoch))
            return KC_E_INVALID_PRODUCER_ID_MAPPING;
        producer_id = batch->producer_id;
        epoch = batch->producer_epoch;
    }
    return 0;
}

static int32_t in_sync_count(const km_partition *partition)
{
    int32_t count = 0;
    for (int32_t i = 0; i < partition->replica_count; i++)
        count += !partition->topic->cluster->brokers[partition->replicas[i] - 1].is_down;
    return count;
}

static int64_t min_in_sync(const km_partition *partition)
{
    int64_t wanted = km_topic_config_i64(partition->topic, "min.insync.replicas", 1);
    return wanted < partition->replica_count ? wanted : partition->replica_count;
}

/** An error that older clients try again, too. */
static int16_t not_verified(km_request *request, const item *it, int16_t error)
{
    const char *text = km_text(
        &request->arena,
        "Unable to verify the partition has been added to the transaction. Underlying error: %s",
        kc_err_name((kc_err)error));
    it->out->error_message = text ? kc_str(text) : KC_NULL;
    return KC_E_NOT_ENOUGH_REPLICAS;
}

/** The coordinator must know that this partition is part of the transaction (KIP-890). */
static int16_t check_transaction(km_request *request, const item *it)
{
    const kp_produce_req *asked = request->message;
    const kp_batch *batch = &it->batch;
    if (!is_transactional(batch) ||
        km_partition_has_transaction(it->partition, batch->producer_id, batch->producer_epoch))
        return 0;
    if (!request->cluster->on_transactional_produce)
        return KC_E_INVALID_PRODUCER_ID_MAPPING;
    int16_t error = request->cluster->on_transactional_produce(
        request, it->partition, batch->producer_id, batch->producer_epoch, asked->transactional_id);
    bool is_old = request->version < TXN_V2_VERSION;
    switch (error) {
    case KC_E_INVALID_TXN_STATE:
        it->out->error_message = KC_STR("Partition was not added to the transaction");
        return error;
    case KC_E_NETWORK_EXCEPTION:
    case KC_E_COORDINATOR_LOAD_IN_PROGRESS:
    case KC_E_COORDINATOR_NOT_AVAILABLE:
    case KC_E_NOT_COORDINATOR:
        return not_verified(request, it, error);
    case KC_E_CONCURRENT_TRANSACTIONS:
        return is_old ? not_verified(request, it, error) : error;
    default:
        return error;
    }
}

/* ---- the answer ---- */

static void put_endpoint(km_request *request, int32_t broker_id)
{
    kp_produce_resp *response = request->response;
    const km_broker *broker = km_broker_by_id(request->cluster, broker_id);
    for (int32_t i = 0; i < response->node_endpoints.count; i++)
        if (response->node_endpoints.items[i].node_id == broker_id)
            return;
    if (!broker)
        return;
    if (!response->node_endpoints.items)
        response->node_endpoints.items =
            km_request_alloc(request, KM_BROKERS_MAX, sizeof *response->node_endpoints.items);
    if (!response->node_endpoints.items)
        return;
    kp_produce_resp_node_endpoint *out =
        &response->node_endpoints.items[response->node_endpoints.count++];
    out->node_id = broker_id;
    out->host = kc_str(broker->host);
    out->port = broker->port;
    out->rack = broker->rack[0] ? kc_str(broker->rack) : KC_NULL;
}

/** KIP-951: who leads now. */
static void put_leader(km_request *request, const item *it)
{
    if (request->version < LEADER_VERSION || !it->partition ||
        it->out->error_code != KC_E_NOT_LEADER_OR_FOLLOWER)
        return;
    it->out->current_leader.leader_id = it->partition->leader;
    it->out->current_leader.leader_epoch = it->partition->leader_epoch;
    put_endpoint(request, it->partition->leader);
}

/* ---- storing ---- */

static int16_t check_sequence(const km_request *request, const item *it, int64_t *duplicate_out)
{
    const kp_batch *batch = &it->batch;
    int16_t error = km_producers_check(it->partition, batch, duplicate_out);
    if (error)
        return error;
    bool is_new = batch->producer_id >= 0 && !km_producer_find(it->partition, batch->producer_id);
    if (is_new && request->version >= TXN_V2_VERSION && is_transactional(batch) &&
        batch->base_sequence != 0) /* each transaction begins with an epoch of its own */
        return KC_E_OUT_OF_ORDER_SEQUENCE_NUMBER;
    return 0;
}

static int16_t store(km_request *request, item *it)
{
    km_partition *partition = it->partition;
    int64_t duplicate = -1;
    int16_t error = check_sequence(request, it, &duplicate);
    if (error && error != KC_E_DUPLICATE_SEQUENCE_NUMBER)
        return error;
    bool is_append_time =
        km_topic_config_is(partition->topic, "message.timestamp.type", "LogAppendTime");
    if (error) {
        size_t at = km_log_find(&partition->log, duplicate);
        bool is_there = at < partition->log.entry_count;
        it->out->base_offset = duplicate;
        it->out->log_append_time_ms =
            is_there ? partition->log.entries[at].max_timestamp : KP_NO_TIMESTAMP;
    } else {
        if (km_producers_reserve(partition, it->batch.producer_id) ||
            km_log_append(&partition->log, &it->batch, partition->leader_epoch)) {
            km_memory_check(request->cluster);
            return KC_E_KAFKA_STORAGE_ERROR;
        }
        km_producers_appended(partition);
        it->is_appended = true;
        it->out->base_offset = partition->log.end_offset - it->batch.last_offset_delta - 1;
        if (is_append_time)
            it->out->log_append_time_ms = it->batch.max_timestamp;
    }
    it->required_offset = it->out->base_offset + it->batch.last_offset_delta + 1;
    it->out->log_start_offset = partition->log.start_offset;
    return 0;
}

/** Errors a broker foresees come without the log's start. */
static bool tells_start(int16_t error)
{
    switch (error) {
    case KC_E_UNKNOWN_TOPIC_OR_PARTITION:
    case KC_E_NOT_LEADER_OR_FOLLOWER:
    case KC_E_MESSAGE_TOO_LARGE:
    case KC_E_RECORD_LIST_TOO_LARGE:
    case KC_E_CORRUPT_MESSAGE:
    case KC_E_KAFKA_STORAGE_ERROR:
        return false;
    default:
        return true;
    }
}

static int16_t append(km_request *request, item *it)
{
    const kp_produce_req *asked = request->message;
    const km_partition *partition = it->partition;
    if (it->lead_error)
        return it->lead_error;
    if (asked->acks == ACKS_ALL && in_sync_count(partition) < min_in_sync(partition))
        return KC_E_NOT_ENOUGH_REPLICAS;
    int16_t error = km_produce_batch_check(request, partition, &it->batch, it->out);
    return error ? error : store(request, it);
}

static void serve_item(km_request *request, item *it)
{
    const kp_produce_req *asked = request->message;
    kp_produce_resp_partition_response *out = it->out;
    if (!it->lead_error)
        out->error_code = check_transaction(request, it);
    if (out->error_code)
        return;
    if (asked->acks != 0 && asked->acks != 1 && asked->acks != ACKS_ALL) {
        out->error_code = KC_E_INVALID_REQUIRED_ACKS;
        return;
    }
    if (it->partition->topic->is_internal &&
        !kc_bytes_equal(request->client_id, KC_STR("__admin_client"))) {
        out->error_code = KC_E_INVALID_TOPIC_EXCEPTION;
        return;
    }
    out->error_code = append(request, it);
    put_leader(request, it);
    if (out->error_code && tells_start(out->error_code))
        out->log_start_offset = it->partition->log.start_offset;
}

/* ---- waiting for the replicas ---- */

static void stop_waiting(produce *all)
{
    for (int32_t i = 0; i < all->count; i++)
        kb_list_remove(&all->items[i].waiter.node);
    km_unwatch(&all->watcher);
}

static void settle(item *it, int16_t error)
{
    it->is_pending = false;
    it->out->error_code = error;
    it->produce->pending--;
    put_leader(it->produce->request, it);
}

static void look_again(item *it)
{
    const km_partition *partition = it->partition;
    if (partition->is_deleted) {
        it->partition = NULL;
        settle(it, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    } else if (partition->leader != it->produce->request->broker->id) {
        settle(it, KC_E_NOT_LEADER_OR_FOLLOWER);
    } else if (partition->log.high_watermark >= it->required_offset) {
        settle(it, in_sync_count(partition) < min_in_sync(partition)
                       ? KC_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND
                       : 0);
    }
}

static void finish(produce *all)
{
    stop_waiting(all);
    km_request_answer(all->request);
}

static void on_woken(km_waiter *waiter)
{
    item *it = waiter->user;
    if (it->is_pending)
        look_again(it);
    if (it->produce->pending == 0)
        finish(it->produce);
    else if (it->is_pending)
        km_partition_wait(it->partition, waiter);
}

static void on_changed(km_watcher *watcher)
{
    produce *all = watcher->user;
    for (int32_t i = 0; i < all->count; i++)
        if (all->items[i].is_pending)
            look_again(&all->items[i]);
    if (all->pending == 0)
        finish(all);
}

static void on_timeout(kn_timer *timer)
{
    km_request *request = timer->user;
    produce *all = request->user;
    for (int32_t i = 0; i < all->count; i++)
        if (all->items[i].is_pending)
            settle(&all->items[i], KC_E_REQUEST_TIMED_OUT);
    finish(all);
}

static void on_abandon(km_request *request)
{
    stop_waiting(request->user);
}

/** All that was stored with acks=all waits, if only for a moment. */
static void begin_waiting(produce *all)
{
    for (int32_t i = 0; i < all->count; i++) {
        item *it = &all->items[i];
        if (it->out->error_code)
            continue;
        it->is_pending = true;
        all->pending++;
        km_partition_wait(it->partition, &it->waiter);
        look_again(it);
    }
}

static km_action hold(produce *all)
{
    km_request *request = all->request;
    const kp_produce_req *asked = request->message;
    all->watcher.fn = on_changed;
    all->watcher.user = all;
    km_watch(request->cluster, &all->watcher);
    request->user = all;
    request->on_abandon = on_abandon;
    request->timer.fn = on_timeout;
    request->timer.user = request;
    int64_t wait_ms = asked->timeout_ms > 0 ? asked->timeout_ms : 0;
    km_timer_set(request->cluster, &request->timer, request->cluster->now_us + wait_ms * 1000);
    return KM_HOLD;
}

/* ---- the handler ---- */

/** The answer has the shape of the request. NULL: no memory. */
static produce *prepare(km_request *request)
{
    const kp_produce_req *asked = request->message;
    kp_produce_resp *out = request->response;
    produce *all = km_request_alloc(request, 1, sizeof *all);
    size_t count = 0;
    for (int32_t i = 0; i < asked->topic_data.count; i++)
        count += (size_t)asked->topic_data.items[i].partition_data.count;
    out->responses.items =
        km_request_alloc(request, (size_t)asked->topic_data.count, sizeof *out->responses.items);
    if (!all || !out->responses.items)
        return NULL;
    all->request = request;
    all->items = km_request_alloc(request, count, sizeof *all->items);
    out->responses.count = asked->topic_data.count;
    kb_list_init(&all->watcher.node);
    for (int32_t i = 0; i < asked->topic_data.count; i++) {
        const kp_produce_req_topic_data *topic = &asked->topic_data.items[i];
        kp_produce_resp_response *topic_out = &out->responses.items[i];
        topic_out->name = topic->name;
        topic_out->topic_id = topic->topic_id;
        topic_out->partition_responses.count = topic->partition_data.count;
        topic_out->partition_responses.items =
            km_request_alloc(request, (size_t)topic->partition_data.count,
                             sizeof *topic_out->partition_responses.items);
        if (!all->items || !topic_out->partition_responses.items)
            return NULL;
        for (int32_t j = 0; j < topic->partition_data.count; j++) {
            item *it = &all->items[all->count++];
            it->produce = all;
            it->out = &topic_out->partition_responses.items[j];
            it->out->log_append_time_ms = -1;
            it->out->log_start_offset = -1;
            it->out->current_leader.leader_id = -1;
            it->out->current_leader.leader_epoch = -1;
            it->waiter.fn = on_woken;
            it->waiter.user = it;
            kb_list_init(&it->waiter.node);
            look(request, topic, &topic->partition_data.items[j], it);
        }
    }
    return all;
}

/** Tell the readers, and move the high watermark where nothing holds it. */
static void tell_readers(produce *all)
{
    for (int32_t i = 0; i < all->count; i++)
        if (all->items[i].is_appended) {
            km_partition_appended(all->items[i].partition);
            km_partition_retain(all->items[i].partition);
        }
}

/** A broker stumbles over them while it reads the request. */
static bool has_null_records(const kp_produce_req *asked)
{
    for (int32_t i = 0; i < asked->topic_data.count; i++)
        for (int32_t j = 0; j < asked->topic_data.items[i].partition_data.count; j++)
            if (!asked->topic_data.items[i].partition_data.items[j].records.ptr)
                return true;
    return false;
}

static km_action answer_none(const produce *all)
{
    for (int32_t i = 0; i < all->count; i++)
        if (all->items[i].out->error_code)
            return KM_CLOSE; /* the only way to tell a producer that does not listen */
    return KM_SILENT;
}

km_action km_api_produce(km_request *request, const void *message, void *response)
{
    (void)response;
    const kp_produce_req *asked = message;
    produce *all = has_null_records(asked) ? NULL : prepare(request);
    if (!all)
        return KM_CLOSE;
    int16_t refused = check_all(request, all);
    for (int32_t i = 0; i < all->count; i++) {
        if (refused)
            all->items[i].out->error_code = refused;
        else if (!all->items[i].out->error_code)
            serve_item(request, &all->items[i]);
    }
    tell_readers(all);
    if (asked->acks == 0)
        return answer_none(all);
    if (asked->acks == ACKS_ALL) {
        begin_waiting(all);
        if (all->pending > 0)
            return hold(all);
        stop_waiting(all);
    }
    return KM_ANSWER;
}
