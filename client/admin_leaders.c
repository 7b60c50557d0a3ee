/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Requests about partitions, sent to the leader of each: ListOffsets and DeleteRecords.
 *
 * Each partition asked for goes its own way:
 *
 *   pending -> sent -> done
 *     ^  |      |
 *     |  |      +-- its leader moved, its broker is gone: pending again after a back-off
 *     |  +-- no leader now: waits for metadata
 *     +-- and from everywhere to done at the deadline
 *
 * All that are pending and have a known leader are sent together, one request a leader. */
#include "client/admin_offsets.h"
#include "client/timer.h"
#include "protocol/base/error.h"
#include "protocol/base/map.h"

#define REPLICA_OF_A_CONSUMER (-1)

typedef enum item_state {
    ITEM_PENDING,
    ITEM_SENT,
    ITEM_DONE,
} item_state;

/** One partition; its question and answer are in the result at the same place. */
typedef struct item {
    item_state state;
    kc_meta_topic *topic;
    int32_t leader;
    uint32_t
        round; /**< a partition asked about twice, say for both its ends, is in one request once */
    size_t part; /**< number of the request it was sent in */
    struct {
        kc_meta_topic *topic;
        int64_t partition;
    } key;
} item;

typedef struct leader_job leader_job;

/** Sends one request about these partitions to this leader. */
typedef kc_err (*send_fn)(leader_job *job, const kc_by_topic *topics, size_t count,
                          const kc_admin_target *target, kc_error *err);

struct leader_job {
    kc_admin_op *op;
    send_fn send;
    kc_admin_done_fn done;
    bool read_committed;
    item *items;
    size_t count;
    size_t next_part;
    kc_meta_listener listener;
    kn_timer timer;
    int64_t retry_us; /**< nothing is sent before that */
    uint32_t attempt;
};

static kc_topic_offset *offset_of(const leader_job *job, size_t place)
{
    return &job->op->result->offsets[place];
}

static void settle(leader_job *job, size_t place, kc_err code)
{
    job->items[place].state = ITEM_DONE;
    offset_of(job, place)->err = code;
    if (code != KC_OK)
        offset_of(job, place)->offset = -1;
}

/* ---- sending ---- */

/** All pending ones that can go in one request with this one. */
static void send_with(leader_job *job, const item *first, size_t *which)
{
    int32_t leader = first->leader;
    uint32_t round = first->round;
    kc_admin_op *op = job->op;
    kc_by_topic *topics = NULL;
    size_t topic_count = 0, count = 0;
    size_t part = ++job->next_part;
    for (size_t i = 0; i < job->count; i++) {
        if (job->items[i].state != ITEM_PENDING || job->items[i].leader != leader ||
            job->items[i].round != round)
            continue;
        job->items[i].state = ITEM_SENT;
        job->items[i].part = part;
        which[count++] = i;
    }
    kc_error error = {.code = KC_OK};
    kc_admin_target target = {
        .to = leader, .version_max = -1, .no_retry = true, .index = part, .done = job->done};
    kc_err sent =
        kc_group_by_topic(op->result->offsets, which, count, &op->arena, &topics, &topic_count);
    if (sent != KC_OK)
        kb_error_code(&error, sent);
    else
        sent = job->send(job, topics, topic_count, &target, &error);
    if (sent == KC_OK)
        return;
    kc_admin_fail(op, &error);
    for (size_t i = 0; i < count; i++)
        settle(job, which[i], sent);
}

/** Leaders of what is pending; what can't have one is done. */
static void find_leaders(leader_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        item *it = &job->items[i];
        kc_error error;
        if (it->state != ITEM_PENDING)
            continue;
        kc_route_state state = kc_route_leader(job->op->client, it->topic,
                                               offset_of(job, i)->partition, &it->leader, &error);
        if (state == KC_ROUTE_FAILED)
            settle(job, i, error.code);
        else if (state != KC_ROUTE_READY)
            it->leader = -1;
    }
}

static void send_all(leader_job *job)
{
    size_t *which = kb_arena_array(&job->op->arena, job->count, sizeof *which);
    if (!which) {
        kc_admin_fail_code(job->op, KC_ERR_NOMEM);
        return;
    }
    for (size_t i = 0; i < job->count; i++)
        if (job->items[i].state == ITEM_PENDING && job->items[i].leader >= 0)
            send_with(job, &job->items[i], which);
}

static bool has_pending(const leader_job *job)
{
    for (size_t i = 0; i < job->count; i++)
        if (job->items[i].state == ITEM_PENDING)
            return true;
    return false;
}

static void time_out(leader_job *job)
{
    kc_admin_op *op = job->op;
    const kc_error *cause = kc_metadata_error(op->client->metadata);
    kc_error error;
    if (cause->code == KC_OK)
        kb_error_set(&error, KC_ERR_TIMEOUT, "no leader answered in time");
    else
        kb_error_set(&error, KC_ERR_TIMEOUT, "no leader answered in time: %s", cause->text);
    kc_admin_fail(op, &error);
    for (size_t i = 0; i < job->count; i++)
        if (job->items[i].state == ITEM_PENDING)
            settle(job, i, KC_ERR_TIMEOUT);
}

/** Send what can be sent, then wait for what can't. */
static void step(leader_job *job)
{
    kc_admin_op *op = job->op;
    kc_client *client = op->client;
    int64_t now_us = kn_loop_now_us(client->loop);
    if (now_us >= op->deadline_us) {
        time_out(job);
    } else if (now_us >= job->retry_us) {
        find_leaders(job);
        send_all(job);
    }
    op->is_held = has_pending(job) && op->result->error.code == KC_OK;
    if (op->is_held) {
        int64_t due_us = job->retry_us > now_us ? job->retry_us : op->deadline_us;
        kc_timer_arm(client->loop, &job->timer,
                     due_us < op->deadline_us ? due_us : op->deadline_us);
    } else {
        kn_timer_stop(client->loop, &job->timer);
    }
}

static void on_timer(kn_timer *timer)
{
    leader_job *job = timer->user;
    step(job);
    kc_admin_finish_if_idle(job->op);
}

static void on_metadata(kc_meta_listener *listener)
{
    leader_job *job = listener->user;
    kc_admin_op *op = job->op;
    const kc_error *error = kc_metadata_error(op->client->metadata);
    if (!op->is_held)
        return;
    if (error->code != KC_OK && !(kc_err_flags(error->code) & KC_ERRF_RETRIABLE))
        kc_admin_fail(op, error);
    step(job);
    kc_admin_finish_if_idle(op);
}

/* ---- answers ---- */

static bool is_retried(const leader_job *job, kc_err code)
{
    const kc_admin_op *op = job->op;
    return code != KC_OK && (kc_err_flags(code) & KC_ERRF_RETRIABLE) &&
           kn_loop_now_us(op->client->loop) < op->deadline_us;
}

/** The partition of an answer in the request it answers; SIZE_MAX: not asked for there. */
static size_t find_sent(const leader_job *job, size_t part, kc_bytes topic, int32_t partition)
{
    for (size_t i = 0; i < job->count; i++) {
        const kc_topic_offset *offset = offset_of(job, i);
        if (job->items[i].state == ITEM_SENT && job->items[i].part == part &&
            offset->partition == partition && kc_bytes_equal(offset->topic, topic))
            return i;
    }
    return SIZE_MAX;
}

static void take(leader_job *job, size_t part, kc_bytes topic, const kc_topic_offset *told)
{
    size_t place = find_sent(job, part, topic, told->partition);
    if (place == SIZE_MAX)
        return;
    if (is_retried(job, told->err)) {
        job->items[place].state = ITEM_PENDING;
        return;
    }
    kc_topic_offset *offset = offset_of(job, place);
    offset->offset = told->offset;
    offset->leader_epoch = told->leader_epoch;
    settle(job, place, told->err);
}

/** After an answer or failure: what it left open, and what follows. */
static void end_part(kc_admin_part *part, const kc_response *response)
{
    leader_job *job = part->op->state;
    kc_client *client = part->op->client;
    bool is_retry = response->err != KC_OK && is_retried(job, response->err);
    if (response->err != KC_OK && !is_retry)
        kc_admin_fail(part->op, response->error);
    for (size_t i = 0; i < job->count; i++) {
        if (job->items[i].state != ITEM_SENT || job->items[i].part != part->index)
            continue;
        if (is_retry)
            job->items[i].state = ITEM_PENDING;
        else
            settle(job, i, response->err != KC_OK ? response->err : KC_ERR_MALFORMED);
    }
    if (has_pending(job)) {
        job->retry_us = kn_loop_now_us(client->loop) + kc_retry_backoff_us(client, job->attempt++);
        kc_metadata_refresh(client->metadata, "a leader moved");
    }
    step(job);
}

/* ---- the beginning ---- */

static void cleanup(kc_admin_op *op)
{
    leader_job *job = op->state;
    kc_metadata_unlisten(&job->listener);
    kn_timer_stop(op->client->loop, &job->timer);
    for (size_t i = 0; i < job->count; i++)
        if (job->items[i].topic)
            kc_metadata_unuse(op->client->metadata, job->items[i].topic);
}

static void complete(kc_admin_op *op)
{
    kc_err code = op->result->error.code;
    kc_admin_settle_offsets(op, code != KC_OK ? code : KC_ERR_MALFORMED);
}

static kc_err use_topics(leader_job *job)
{
    kc_metadata *metadata = job->op->client->metadata;
    for (size_t i = 0; i < job->count; i++)
        KB_TRY(kc_metadata_use(metadata, offset_of(job, i)->topic, &job->items[i].topic));
    return KC_OK;
}

static kc_err set_rounds(leader_job *job)
{
    kb_map last; /* item by partition */
    kc_err result = KC_OK;
    kb_map_init(&last, &job->op->client->mem);
    for (size_t i = 0; result == KC_OK && i < job->count; i++) {
        item *it = &job->items[i];
        it->key.topic = it->topic;
        it->key.partition = offset_of(job, i)->partition;
        const item *before = kb_map_get(&last, KB_KEY(it->key));
        it->round = before ? before->round + 1 : 0;
        result = kb_map_put(&last, KB_KEY(it->key), it);
    }
    kb_map_cleanup(&last);
    return result;
}

static kc_err start(kc_admin_op *op, const leader_job *kind, const kc_topic_offset *offsets,
                    size_t count, kc_error *err)
{
    size_t *places;
    kc_client *client = op->client;
    KB_TRY(kc_admin_add_offsets(op, offsets, count, &places, err));
    leader_job *job = kb_arena_alloc(&op->arena, sizeof *job);
    if (!job)
        return kb_error_code(err, KC_ERR_NOMEM);
    *job = *kind;
    job->op = op;
    job->items = kb_arena_array(&op->arena, count, sizeof *job->items);
    if (!job->items)
        return kb_error_code(err, KC_ERR_NOMEM);
    job->count = count;
    job->timer.fn = on_timer;
    job->timer.user = job;
    job->listener.fn = on_metadata;
    job->listener.user = job;
    op->state = job;
    op->cleanup = cleanup;
    op->complete = complete;
    kc_err used = use_topics(job);
    if (used == KC_OK)
        used = set_rounds(job);
    if (used != KC_OK)
        return kb_error_code(err, used);
    kc_metadata_listen(client->metadata, &job->listener);
    step(job);
    return KC_OK;
}

static kc_err check_offsets(const kc_topic_offset *offsets, size_t count, kc_error *err)
{
    if (count > INT32_MAX || (count > 0 && !offsets))
        return kb_error_set(err, KC_ERR_ARGUMENT, "the partitions are null or too many");
    for (size_t i = 0; i < count; i++)
        if (offsets[i].offset < KC_OFFSET_BEGINNING)
            return kb_error_set(err, KC_ERR_ARGUMENT, "%lld is no offset to ask for",
                                (long long)offsets[i].offset);
    return KC_OK;
}

/* ---- ListOffsets ---- */

static kc_err fill_list(leader_job *job, const kc_by_topic *from, kp_list_offsets_req_topic *to)
{
    to->name = from->topic;
    to->partitions.items =
        kb_arena_array(&job->op->arena, from->count, sizeof to->partitions.items[0]);
    if (!to->partitions.items)
        return KC_ERR_NOMEM;
    to->partitions.count = (int32_t)from->count;
    for (size_t i = 0; i < from->count; i++) {
        const kc_topic_offset *offset = offset_of(job, from->places[i]);
        const kc_meta_topic *topic = job->items[from->places[i]].topic;
        to->partitions.items[i] = (kp_list_offsets_req_partition){
            .partition_index = offset->partition,
            .current_leader_epoch = topic->partitions[offset->partition].leader_epoch,
            .timestamp = offset->offset, /* KC_OFFSET_END and _BEGINNING are Kafka's own numbers */
        };
    }
    return KC_OK;
}

static kc_err send_list(leader_job *job, const kc_by_topic *topics, size_t count,
                        const kc_admin_target *target, kc_error *err)
{
    kp_list_offsets_req request = {.replica_id = REPLICA_OF_A_CONSUMER,
                                   .isolation_level = job->read_committed ? 1 : 0,
                                   .timeout_ms = kc_admin_ms_left(job->op)};
    request.topics.items = kb_arena_array(&job->op->arena, count, sizeof request.topics.items[0]);
    if (!request.topics.items)
        return kb_error_code(err, KC_ERR_NOMEM);
    request.topics.count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        if (fill_list(job, &topics[i], &request.topics.items[i]) != KC_OK)
            return kb_error_code(err, KC_ERR_NOMEM);
    return kc_admin_send(job->op, KP_API_LIST_OFFSETS, &request, target, err);
}

static void on_list(kc_admin_part *part, const kc_response *response)
{
    const kp_list_offsets_resp *answer = response->message;
    for (int32_t i = 0; response->err == KC_OK && i < answer->topics.count; i++) {
        const kp_list_offsets_resp_topic *topic = &answer->topics.items[i];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            const kp_list_offsets_resp_partition *from = &topic->partitions.items[p];
            take(part->op->state, part->index, topic->name,
                 &(kc_topic_offset){.partition = from->partition_index,
                                    .offset = from->offset,
                                    .leader_epoch = from->leader_epoch,
                                    .err = from->error_code});
        }
    }
    end_part(part, response);
}

kc_err kc_admin_list_offsets(kc_client *client, const kc_topic_offset *queries, size_t count,
                             bool read_committed, const kc_admin_options *options, kc_admin_fn fn,
                             void *user, kc_error *err)
{
    kc_admin_op *op;
    KB_TRY(check_offsets(queries, count, err));
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    const leader_job kind = {.send = send_list, .done = on_list, .read_committed = read_committed};
    return kc_admin_started(op, start(op, &kind, queries, count, err));
}

/* ---- DeleteRecords ---- */

static kc_err fill_delete(leader_job *job, const kc_by_topic *from, kp_delete_records_req_topic *to)
{
    to->name = from->topic;
    to->partitions.items =
        kb_arena_array(&job->op->arena, from->count, sizeof to->partitions.items[0]);
    if (!to->partitions.items)
        return KC_ERR_NOMEM;
    to->partitions.count = (int32_t)from->count;
    for (size_t i = 0; i < from->count; i++) {
        const kc_topic_offset *offset = offset_of(job, from->places[i]);
        to->partitions.items[i].partition_index = offset->partition;
        to->partitions.items[i].offset =
            offset->offset; /* KC_OFFSET_END: up to the high watermark */
    }
    return KC_OK;
}

static kc_err send_delete(leader_job *job, const kc_by_topic *topics, size_t count,
                          const kc_admin_target *target, kc_error *err)
{
    kp_delete_records_req request = {.timeout_ms = kc_admin_ms_left(job->op)};
    request.topics.items = kb_arena_array(&job->op->arena, count, sizeof request.topics.items[0]);
    if (!request.topics.items)
        return kb_error_code(err, KC_ERR_NOMEM);
    request.topics.count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        if (fill_delete(job, &topics[i], &request.topics.items[i]) != KC_OK)
            return kb_error_code(err, KC_ERR_NOMEM);
    return kc_admin_send(job->op, KP_API_DELETE_RECORDS, &request, target, err);
}

static void on_delete(kc_admin_part *part, const kc_response *response)
{
    const kp_delete_records_resp *answer = response->message;
    for (int32_t i = 0; response->err == KC_OK && i < answer->topics.count; i++) {
        const kp_delete_records_resp_topic *topic = &answer->topics.items[i];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            const kp_delete_records_resp_partition *from = &topic->partitions.items[p];
            take(part->op->state, part->index, topic->name,
                 &(kc_topic_offset){.partition = from->partition_index,
                                    .offset = from->low_watermark,
                                    .leader_epoch = -1,
                                    .err = from->error_code});
        }
    }
    end_part(part, response);
}

kc_err kc_admin_delete_records(kc_client *client, const kc_topic_offset *before, size_t count,
                               const kc_admin_options *options, kc_admin_fn fn, void *user,
                               kc_error *err)
{
    kc_admin_op *op;
    KB_TRY(check_offsets(before, count, err));
    for (size_t i = 0; i < count; i++)
        if (before[i].offset < KC_OFFSET_END)
            return kb_error_set(err, KC_ERR_ARGUMENT,
                                "records are deleted below an offset from 0, "
                                "or below KC_OFFSET_END");
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    const leader_job kind = {.send = send_delete, .done = on_delete};
    return kc_admin_started(op, start(op, &kind, before, count, err));
}
