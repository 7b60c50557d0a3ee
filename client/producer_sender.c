/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which batch may go when: readiness of the partitions, requests by broker, the one timer.
 *
 *   queue      idle -> ready (a batch is due, nothing on its way, leader known) -> idle (on its way)
 *                   -> leaderless (no leader: until the next metadata)
 *                   -> back-off (after a failure: until retry_us)
 *
 * Everything runs in one pass, kc_sender_run(), from a task that sends and answers queue, and from
 * a timer for linger, back-off, expiry and throttling. Within the pass requests are made last and
 * run no callback. A throttled broker is left alone as long as it says, on its one Produce
 * connection only (KIP-219). */
#include "client/producer_flow.h"
#include "client/variant.h"
#include "protocol/api.h"
#include "protocol/base/error.h"

#include <assert.h>

/** Partitions in one request at most, and those of them sent without a copy: below IOV_MAX with
 * what stands between them. */
#define REQUEST_BATCHES_MAX 4096
#define REQUEST_SPLICES_MAX 256
#define REQUEST_BATCHES_MIN 16
#define NOMEM_RETRY_US      100000
#define IDLE_TRIM_US        10000000
#define PRODUCE_TOPIC_IDS   13 /* first version with topic ids only (KIP-516) */
#define PRODUCE_ZSTD        7  /* first version that may carry zstd (KIP-110) */

/* ---- where a queue stands ---- */

static int32_t leader_of(const kc_producer_queue *queue)
{
    const kc_meta_topic *meta = queue->topic->meta;
    return queue->partition < meta->partition_count ? meta->partitions[queue->partition].leader
                                                    : -1;
}

/** NULL: out of memory. */
static kc_producer_broker *broker_of(kc_producer *producer, kc_producer_queue *queue, int32_t id)
{
    if (queue->broker && queue->broker->id == id)
        return queue->broker;
    KB_LIST_FOR (node, &producer->brokers) {
        kc_producer_broker *known = KB_CONTAINER(node, kc_producer_broker, node);
        if (known->id == id)
            return known;
    }
    kc_producer_broker *broker = kb_mem_zalloc(producer->memory.mem, sizeof *broker);
    if (!broker)
        return NULL;
    broker->id = id;
    kb_list_init(&broker->ready);
    kb_list_push_back(&producer->brokers, &broker->node);
    return broker;
}

static void set_place(kc_producer_queue *queue, kc_queue_place state, kb_list *list)
{
    kb_list_remove(&queue->place);
    queue->state = state;
    if (list)
        kb_list_push_back(list, &queue->place);
}

static void set_backoff(kc_producer_queue *queue)
{
    kc_producer *producer = queue->topic->producer;
    if (queue->state != KC_QUEUE_BACKOFF)
        set_place(queue, KC_QUEUE_BACKOFF, &producer->backing_off);
    kc_sender_arm(producer, queue->retry_us);
}

void kc_queue_update(kc_producer_queue *queue)
{
    kc_producer *producer = queue->topic->producer;
    if (producer->state != KC_PRODUCER_OPEN)
        return;
    bool has_batch = !kb_list_is_empty(&queue->closed) || (queue->open && queue->open_is_due);
    if (!has_batch || queue->in_flight) {
        set_place(queue, KC_QUEUE_IDLE, NULL);
        return;
    }
    int64_t now_us = kn_loop_now_us(producer->loop);
    if (queue->retry_us > now_us) {
        set_backoff(queue);
        return;
    }
    queue->retry_us = 0;
    int32_t leader = leader_of(queue);
    if (leader < 0) {
        if (queue->state != KC_QUEUE_LEADERLESS)
            set_place(queue, KC_QUEUE_LEADERLESS, &producer->leaderless);
        kc_metadata_refresh(producer->client->metadata, "a partition has no leader");
        return;
    }
    kc_producer_broker *broker = broker_of(producer, queue, leader);
    if (!broker) {
        queue->retry_us = now_us + NOMEM_RETRY_US;
        set_backoff(queue);
        return;
    }
    if (queue->state == KC_QUEUE_READY && queue->broker == broker)
        return;
    queue->broker = broker;
    set_place(queue, KC_QUEUE_READY, &broker->ready);
    kc_sender_wake(producer);
}

void kc_queue_requeue(kc_producer_batch *batch, int64_t delay_us)
{
    kc_producer_queue *queue = batch->queue;
    assert(queue->in_flight == batch);
    queue->in_flight = NULL;
    if (KC_VARIANT(RETRY_OUT_OF_ORDER) && !kb_list_is_empty(&queue->closed))
        kb_list_insert_before(queue->closed.next->next, &batch->node);
    else
        kb_list_push_front(&queue->closed, &batch->node);
    queue->retry_us = delay_us > 0 ? kn_loop_now_us(queue->topic->producer->loop) + delay_us : 0;
    kc_queue_update(queue);
}

void kc_sender_all_due(kc_producer *producer)
{
    while (!kb_list_is_empty(&producer->lingering))
        kc_queue_mark_due(KB_CONTAINER(producer->lingering.next, kc_producer_queue, linger));
}

/* ---- requests ---- */

void kc_request_free(kc_producer_request *request)
{
    kb_mem *mem = request->producer->memory.mem;
    kn_request_cleanup(&request->net);
    kb_mem_free(mem, request->batches);
    kb_mem_free(mem, request->partitions);
    kb_mem_free(mem, request->topics);
    kb_mem_free(mem, request->net.splices.items);
    kb_mem_free(mem, request);
}

/** Resize *items, whose `cap` items may not be there yet. */
static bool grow_array(kb_mem *mem, void **items, size_t count, size_t item_size)
{
    void *grown = kb_mem_realloc(mem, *items, count * item_size);
    if (!grown)
        return false;
    *items = grown;
    return true;
}

/** Room for one more batch. */
static bool reserve(kc_producer_request *request)
{
    if (request->count < request->cap)
        return true;
    uint32_t cap = request->cap ? request->cap * 2 : REQUEST_BATCHES_MIN;
    kb_mem *mem = request->producer->memory.mem;
    uint32_t splices = cap < REQUEST_SPLICES_MAX ? cap : REQUEST_SPLICES_MAX;
    void *batches = request->batches, *partitions = request->partitions, *topics = request->topics,
         *items = request->net.splices.items;
    bool is_done = grow_array(mem, &batches, (size_t)cap * 2, sizeof *request->batches) &&
                   grow_array(mem, &partitions, cap, sizeof *request->partitions) &&
                   grow_array(mem, &topics, cap, sizeof *request->topics) &&
                   grow_array(mem, &items, splices, sizeof *request->net.splices.items);
    request->batches = batches;
    request->partitions = partitions;
    request->topics = topics;
    request->net.splices.items = items;
    if (!is_done)
        return false;
    request->cap = cap;
    request->net.splices.cap = splices;
    return true;
}

static kc_producer_request *take_request(kc_producer *producer)
{
    kb_list *idle = kb_list_pop_front(&producer->idle_requests);
    if (idle)
        return KB_CONTAINER(idle, kc_producer_request, node);
    kc_producer_request *request = kb_mem_zalloc(producer->memory.mem, sizeof *request);
    if (!request)
        return NULL;
    kb_list_init(&request->node);
    request->producer = producer;
    kn_request_init(&request->net, producer->memory.mem);
    request->net.api = kp_api_by_key(KP_API_PRODUCE);
    request->net.msg = &request->msg;
    request->net.done = kc_producer_on_reply;
    request->net.user = request;
    request->net.version_min = producer->codec == KP_CODEC_ZSTD ? PRODUCE_ZSTD : -1;
    request->net.has_no_response = producer->acks == 0;
    request->net.timeout_ms = producer->request_timeout_ms;
    request->msg.acks = producer->acks;
    request->msg.timeout_ms = producer->request_timeout_ms;
    return request;
}

/** The batch that goes next: finished, still in its queue. */
static kc_producer_batch *next_batch(kc_producer_queue *queue)
{
    if (kb_list_is_empty(&queue->closed)) {
        assert(queue->open && queue->open_is_due);
        kc_queue_close_open(queue);
    }
    kc_producer_batch *batch = KB_CONTAINER(queue->closed.next, kc_producer_batch, node);
    kc_batch_finish(batch);
    return batch;
}

/** Take batches of ready queues until the request is full. */
static void fill_request(kc_producer_request *request)
{
    kc_producer *producer = request->producer;
    kb_list *ready = &request->broker->ready;
    size_t bytes = 0;
    while (!kb_list_is_empty(ready) && request->count < REQUEST_BATCHES_MAX && reserve(request)) {
        kc_producer_queue *queue = KB_CONTAINER(ready->next, kc_producer_queue, place);
        kc_producer_batch *batch = next_batch(queue);
        if (request->count > 0 && bytes + batch->wire_bytes > producer->request_bytes_max)
            return;
        bytes += batch->wire_bytes;
        kb_list_remove(&batch->node);
        queue->in_flight = batch;
        set_place(queue, KC_QUEUE_IDLE, NULL);
        request->batches[request->count++] = batch;
    }
}

/** The message around the batches, which are brought into the order of their topics. */
static void write_message(kc_producer_request *request)
{
    kc_producer_batch **taken = request->batches + request->cap;
    memcpy(taken, request->batches, request->count * sizeof(kc_producer_batch *));
    int32_t topic_count = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        kc_topic *topic = taken[i]->queue->topic;
        if (topic->request_slot < 0) {
            topic->request_slot = topic_count++;
            request->topics[topic->request_slot] = (kp_produce_req_topic_data){
                .name = topic->meta->name,
                .topic_id = topic->meta->id,
            };
        }
        request->topics[topic->request_slot].partition_data.count++;
    }
    kp_produce_req_partition_data *next = request->partitions;
    request->net.version_max = -1;
    for (int32_t i = 0; i < topic_count; i++) {
        kp_produce_req_topic_data *topic = &request->topics[i];
        topic->partition_data.items = next;
        next += topic->partition_data.count;
        topic->partition_data.count = 0;
        if (kc_uuid_is_zero(topic->topic_id)) // trap 33: a zero id is never sent
            request->net.version_max = PRODUCE_TOPIC_IDS - 1;
    }
    for (uint32_t i = 0; i < request->count; i++) {
        kc_producer_queue *queue = taken[i]->queue;
        kp_produce_req_topic_data *topic = &request->topics[queue->topic->request_slot];
        kp_produce_req_partition_data *item =
            &topic->partition_data.items[topic->partition_data.count++];
        *item = (kp_produce_req_partition_data){
            .index = queue->partition,
            .records = kc_span(taken[i]->writer.data, taken[i]->wire_bytes),
        };
        request->batches[item - request->partitions] = taken[i];
    }
    for (uint32_t i = 0; i < request->count; i++)
        taken[i]->queue->topic->request_slot = -1;
    request->net.splices.count = 0;
    request->msg.topic_data.items = request->topics;
    request->msg.topic_data.count = topic_count;
}

/** Once written, when the youngest batch expires: an old one beside it doesn't cost the connection, and all that
 * is on its way there. It is failed when the request is done. Before that, when the oldest does. */
static void set_deadlines(kc_producer_request *request)
{
    int64_t latest_us = 0;
    int64_t earliest_us = INT64_MAX;
    for (uint32_t i = 0; i < request->count; i++) {
        int64_t created_us = request->batches[i]->created_us;
        latest_us = created_us > latest_us ? created_us : latest_us;
        earliest_us = created_us < earliest_us ? created_us : earliest_us;
    }
    request->net.deadline_us = latest_us + request->producer->delivery_timeout_us;
    request->net.unsent_deadline_us = earliest_us + request->producer->delivery_timeout_us;
    if (KC_VARIANT(UNSENT_OUTLIVES))
        request->net.unsent_deadline_us = 0;
}

/** False: nothing could be sent. */
static bool send_request(kc_producer *producer, kc_producer_broker *broker)
{
    kc_producer_request *request = take_request(producer);
    if (request) {
        request->broker = broker;
        request->count = 0;
        fill_request(request);
        if (request->count == 0) {
            kb_list_push_front(&producer->idle_requests, &request->node);
            request = NULL;
        }
    }
    if (!request) {
        producer->nomem_retry_us = kn_loop_now_us(producer->loop) + NOMEM_RETRY_US;
        return false;
    }
    write_message(request);
    set_deadlines(request);
    broker->in_flight++;
    producer->stats.requests_sent++;
    producer->stats.batches_sent += request->count;
    for (uint32_t i = 0; i < request->count; i++)
        producer->stats.retries += request->batches[i]->tries > 0;
    kb_list_push_back(&producer->requests, &request->node);
    kn_target target = {.broker_id = broker->id, .lane = KN_LANE_PRODUCE};
    kn_pool_submit(producer->client->pool, target, &request->net);
    return true;
}

static void send_requests(kc_producer *producer, int64_t now_us)
{
    producer->nomem_retry_us = 0;
    KB_LIST_FOR (node, &producer->brokers) {
        kc_producer_broker *broker = KB_CONTAINER(node, kc_producer_broker, node);
        if (broker->muted_until_us > now_us)
            continue;
        broker->muted_until_us = 0;
        while (!kb_list_is_empty(&broker->ready) && broker->in_flight < producer->in_flight_max) {
            if (!send_request(producer, broker))
                return;
        }
    }
}

/* ---- the pass ---- */

static void apply_metadata(kc_producer *producer)
{
    producer->metadata_changed = false;
    KB_LIST_FOR (node, &producer->topic_list) {
        kc_topic *topic = KB_CONTAINER(node, kc_topic, node);
        for (int32_t i = 0; i < topic->queue_count; i++) {
            kc_producer_queue *queue = topic->queues[i];
            if (queue && queue->state != KC_QUEUE_IDLE)
                kc_queue_update(queue);
        }
    }
}

static void end_linger(kc_producer *producer, int64_t now_us)
{
    while (!kb_list_is_empty(&producer->lingering)) {
        kc_producer_queue *queue =
            KB_CONTAINER(producer->lingering.next, kc_producer_queue, linger);
        if (queue->open->created_us + producer->linger_us > now_us)
            return;
        kc_queue_mark_due(queue);
    }
}

static void end_backoff(kc_producer *producer, int64_t now_us)
{
    KB_LIST_FOR (node, &producer->backing_off) {
        kc_producer_queue *queue = KB_CONTAINER(node, kc_producer_queue, place);
        if (queue->retry_us <= now_us)
            kc_queue_update(queue);
    }
}

/** The oldest batch but for those past their time and still on their way, which end with their
 * request; NULL: none. */
static kc_producer_batch *oldest_waiting(const kc_producer *producer, int64_t now_us)
{
    if (KC_VARIANT(NO_DELIVERY_TIMEOUT))
        return NULL;
    KB_LIST_FOR (node, &producer->ages) {
        kc_producer_batch *batch = KB_CONTAINER(node, kc_producer_batch, age);
        bool is_over = batch->created_us + producer->delivery_timeout_us <= now_us;
        if (!is_over || batch->queue->in_flight != batch)
            return batch;
    }
    return NULL;
}

static void expire(kc_producer *producer, int64_t now_us)
{
    kc_producer_batch *batch;
    while ((batch = oldest_waiting(producer, now_us)) &&
           batch->created_us + producer->delivery_timeout_us <= now_us)
        kc_batch_expire(batch); // callbacks: begin anew
}

static void tell_room(kc_producer *producer)
{
    const kc_producer_memory *memory = &producer->memory;
    if (!producer->wants_room || memory->used > memory->limit ||
        memory->limit - memory->used < producer->room_bytes)
        return;
    producer->wants_room = false;
    if (producer->on_room)
        producer->on_room(producer->on_room_user);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/** When the next pass is due without anything happening; INT64_MAX: never. */
static int64_t next_us(const kc_producer *producer, int64_t now_us)
{
    int64_t next = INT64_MAX;
    if (!kb_list_is_empty(&producer->lingering))
        next = KB_CONTAINER(producer->lingering.next, kc_producer_queue, linger)->open->created_us +
               producer->linger_us;
    KB_LIST_FOR (node, &producer->backing_off) {
        next = earlier(next, KB_CONTAINER(node, kc_producer_queue, place)->retry_us);
    }
    KB_LIST_FOR (node, &producer->brokers) {
        const kc_producer_broker *broker = KB_CONTAINER(node, kc_producer_broker, node);
        if (broker->muted_until_us > 0 && !kb_list_is_empty(&broker->ready))
            next = earlier(next, broker->muted_until_us);
    }
    const kc_producer_batch *oldest = oldest_waiting(producer, now_us);
    if (oldest)
        next = earlier(next, oldest->created_us + producer->delivery_timeout_us);
    if (producer->nomem_retry_us > 0)
        next = earlier(next, producer->nomem_retry_us);
    if (producer->trim_us > 0)
        next = earlier(next, producer->trim_us);
    return earlier(next, kc_stage_next_us(producer));
}

/** Give back what a burst left, once nothing has been pending for a while. */
static void trim_when_idle(kc_producer *producer, int64_t now_us)
{
    bool is_idle = producer->stats.records_pending == 0 && producer->memory.idle > 0;
    if (!is_idle) {
        producer->trim_us = 0;
    } else if (producer->trim_us == 0) {
        producer->trim_us = now_us + IDLE_TRIM_US;
    } else if (producer->trim_us <= now_us) {
        kc_accum_trim(producer);
        producer->trim_us = 0;
    }
}

void kc_sender_run(kc_producer *producer)
{
    if (producer->state != KC_PRODUCER_OPEN)
        return;
    int64_t now_us = kn_loop_now_us(producer->loop);
    if (producer->metadata_changed)
        apply_metadata(producer);
    end_linger(producer, now_us);
    end_backoff(producer, now_us);
    expire(producer, now_us);
    kn_task_cancel(&producer->task); // what woke us up to here is served below
    if (producer->staged_count > 0)
        kc_stage_run(producer, now_us);
    tell_room(producer);
    if (producer->state != KC_PRODUCER_OPEN)
        return;
    send_requests(producer, now_us);
    trim_when_idle(producer, now_us);
    int64_t due_us = next_us(producer, now_us);
    if (due_us < INT64_MAX)
        kc_sender_arm(producer, due_us);
}

void kc_sender_wake(kc_producer *producer)
{
    if (producer->state == KC_PRODUCER_OPEN)
        kn_task_queue(producer->loop, &producer->task);
}

void kc_sender_arm(kc_producer *producer, int64_t due_us)
{
    kn_timer *timer = &producer->timer;
    // never later: a pass too many is cheaper than moving the timer with every batch
    if (producer->state != KC_PRODUCER_OPEN || (kn_timer_is_set(timer) && timer->due_us <= due_us))
        return;
    kc_err err = kn_timer_set(producer->loop, timer, due_us);
    assert(err == KC_OK && "it was set when the producer was opened");
    (void)err;
}
