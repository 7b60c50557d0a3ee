/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * OffsetCommit and OffsetFetch as operations.
 *
 *   new -> start -> [coordinator not known: wait] -> request -> answer -> end
 *                     ^-- back-off <-- retriable, of the coordinator, connection lost
 *
 * Commits of a consumer are sent one by one: two on their way could be tried again in the other order, and the older one
 * would set the offsets back. The coordinator is looked up by the shared look-up (trap 46) and forgotten when it says it is not
 * the one, or does not answer. An operation ends once: by answer, deadline, or with its consumer.
 */
#include "client/consumer_offset_op.h"

#include "client/consumer_part.h"
#include "client/variant.h"
#include "protocol/base/error.h"
#include "protocol/base/names.h"

#include <kafkac/unstable/errors.h>

#include <stdlib.h>

int kc_offset_item_compare(const kc_topic_offset *item, kc_bytes topic, int32_t partition)
{
    int order = kb_compare(item->topic, topic);
    return order ? order : (item->partition > partition) - (item->partition < partition);
}

static int compare_items(const void *left, const void *right)
{
    const kc_topic_offset *a = left;
    const kc_topic_offset *b = right;
    if ((a->err != KC_OK) != (b->err != KC_OK))
        return a->err != KC_OK ? 1 : -1; /* refused: behind */
    return kc_offset_item_compare(a, b->topic, b->partition);
}

/** Names are copied once per topic. */
static kc_err copy_items(kc_offset_op *op, const kc_topic_offset *items, size_t count)
{
    op->items = kb_arena_array(&op->arena, count, sizeof *op->items);
    if (!op->items)
        return KC_ERR_NOMEM;
    op->count = count;
    if (count == 0)
        return KC_OK;
    memcpy(op->items, items, count * sizeof *items);
    qsort(op->items, count, sizeof *op->items, compare_items);
    for (size_t i = 0; i < count; i++) {
        kc_topic_offset *item = &op->items[i];
        if (i > 0 && kc_bytes_equal(item->topic, op->items[i - 1].topic))
            item->topic = op->items[i - 1].topic;
        else
            item->topic = kb_arena_copy(&op->arena, item->topic);
        kc_bytes metadata = kb_arena_copy(&op->arena, item->metadata);
        if (!item->topic.ptr || (item->metadata.ptr && !metadata.ptr))
            return KC_ERR_NOMEM;
        item->metadata = metadata;
        op->asked_count += item->err == KC_OK;
    }
    return KC_OK;
}

static void free_op(kc_offset_op *op)
{
    kc_consumer *consumer = op->consumer;
    kn_request_cancel(&op->request);
    kn_request_cleanup(&op->request);
    kc_coordinator_cancel(&op->wait);
    kn_timer_stop(consumer->client->loop, &op->timer);
    kb_arena_cleanup(&op->arena);
    if (!KC_VARIANT(LEAK))
        kb_arena_cleanup(&op->round);
    kb_mem_free(kc_consumer_mem(consumer), op);
}

static void on_found(kc_coordinator_wait *wait, int32_t broker_id, const kc_error *error);
static void on_timer(kn_timer *timer);

kc_err kc_offset_op_new(kc_consumer *consumer, kc_offset_op_kind kind, const kc_topic_offset *items,
                        size_t count, kc_offset_op **op_out)
{
    kb_mem *mem = kc_consumer_mem(consumer);
    kc_offset_op *op = kb_mem_zalloc(mem, sizeof *op);
    if (!op)
        return KC_ERR_NOMEM;
    op->consumer = consumer;
    op->kind = kind;
    op->generation = -1;
    op->member_id = KC_STR("");
    kb_list_init(&op->node);
    kb_list_init(&op->wait.node);
    op->wait.fn = on_found;
    op->wait.user = op;
    op->timer.fn = on_timer;
    op->timer.user = op;
    kb_arena_init(&op->arena, mem, 0);
    kb_arena_init(&op->round, mem, kc_client_answer_max(consumer->client));
    kn_request_init(&op->request, mem);
    op->request.user = op;
    kc_err err = copy_items(op, items, count);
    if (err == KC_OK && kind == KC_OFFSET_OP_COMMIT && !consumer->is_by_hand) {
        op->generation = consumer->member.generation;
        op->member_id = kb_arena_copy(&op->arena, kc_member_id(&consumer->member));
        if (!op->member_id.ptr)
            err = KC_ERR_NOMEM;
    }
    if (err != KC_OK) {
        free_op(op);
        return err;
    }
    *op_out = op;
    return KC_OK;
}

/** The oldest commit; NULL: none. */
static kc_offset_op *first_commit(const kc_consumer *consumer)
{
    KB_LIST_FOR (node, &consumer->ops) {
        kc_offset_op *op = KB_CONTAINER(node, kc_offset_op, node);
        if (op->kind == KC_OFFSET_OP_COMMIT)
            return op;
    }
    return NULL;
}

/** Take it off the books; it can still be read. The commit behind it is next. */
static void leave(kc_offset_op *op)
{
    kc_consumer *consumer = op->consumer;
    if (!op->is_active)
        return;
    op->is_active = false;
    kb_list_remove(&op->node);
    if (op->kind != KC_OFFSET_OP_COMMIT)
        return;
    consumer->commits_pending--;
    kc_offset_op *next = first_commit(consumer);
    if (!next || !next->is_waiting)
        return;
    next->is_waiting = false;
    kc_consumer_set_timer(consumer, &next->timer, kc_consumer_now_us(consumer));
}

void kc_offset_op_cancel(kc_offset_op *op)
{
    leave(op);
    free_op(op);
}

void kc_offset_op_end(kc_offset_op *op, const kc_error *error)
{
    kc_consumer *consumer = op->consumer;
    kc_error first = {.code = KC_OK};
    bool is_commit = op->kind == KC_OFFSET_OP_COMMIT;
    leave(op);
    kn_request_cancel(&op->request);
    for (size_t i = 0; i < op->count; i++) {
        kc_topic_offset *item = &op->items[i];
        if (error && i < op->asked_count)
            item->err = error->code;
        if (item->err != KC_OK && first.code == KC_OK)
            kb_error_set(&first, item->err, "%s of %s: partition %d of " KC_FMT ": %s",
                         is_commit ? "commit" : "committed offsets", consumer->settings->group_id,
                         (int)item->partition, KC_ARG(item->topic), kc_err_text(item->err));
        kc_part *part = kc_part_find(consumer, item->topic, item->partition);
        if (is_commit && part && item->err == KC_OK)
            part->committed = item->offset;
    }
    if (!error && first.code != KC_OK)
        error = &first;
    if (is_commit && !error)
        consumer->stats.commits++;
    if (op->fn)
        op->fn(error ? error->code : KC_OK, error, op->items, op->count, op->user);
    if (KC_VARIANT(COMMIT_TOLD_TWICE) && op->fn && !error)
        op->fn(KC_OK, NULL, op->items, op->count, op->user);
    free_op(op);
    if (is_commit && consumer->commits_pending == 0)
        kc_member_commits_done(consumer);
}

void kc_offset_op_end_all(kc_consumer *consumer, kc_err code, bool commits_only)
{
    kc_error error;
    kb_error_code(&error, code);
    kb_list ops;
    kb_list_init(&ops);
    kb_list_splice_back(&ops, &consumer->ops); /* callbacks may begin others */
    kb_list *node;
    while ((node = kb_list_pop_front(&ops))) {
        kc_offset_op *op = KB_CONTAINER(node, kc_offset_op, node);
        if (commits_only && op->kind != KC_OFFSET_OP_COMMIT)
            kb_list_push_back(&consumer->ops, node);
        else
            kc_offset_op_end(op, &error);
    }
}

static void retry(kc_offset_op *op)
{
    kc_client *client = op->consumer->client;
    int64_t due_us = kc_consumer_now_us(op->consumer) + kc_retry_backoff_us(client, op->attempts++);
    if (due_us > op->deadline_us)
        due_us = op->deadline_us;
    kc_consumer_set_timer(op->consumer, &op->timer, due_us);
}

static void on_reply(kn_request *request, const kn_reply *reply);

static void send(kc_offset_op *op, int32_t broker_id)
{
    kc_consumer *consumer = op->consumer;
    kc_client *client = consumer->client;
    kb_arena_reset(&op->round);
    kc_err err = kc_offset_op_build(op, kn_pool_versions(client->pool, broker_id));
    if (err != KC_OK) {
        kb_error_code(&op->error, err);
        retry(op);
        return;
    }
    op->request.api =
        kp_api_by_key(op->kind == KC_OFFSET_OP_COMMIT ? KP_API_OFFSET_COMMIT : KP_API_OFFSET_FETCH);
    op->request.msg = &op->msg;
    op->request.timeout_ms = consumer->settings->request_timeout_ms;
    op->request.deadline_us = op->deadline_us < INT64_MAX ? op->deadline_us : 0;
    op->request.done = on_reply;
    kn_target target = {broker_id, KN_LANE_MAIN, 0};
    kn_pool_submit(client->pool, target, &op->request);
}

static void step(kc_offset_op *op)
{
    kc_consumer *consumer = op->consumer;
    kc_coordinators *coordinators = consumer->client->coordinators;
    op->is_waiting = op->kind == KC_OFFSET_OP_COMMIT && first_commit(consumer) != op &&
                     !KC_VARIANT(COMMIT_UNORDERED);
    if (op->is_waiting) {
        if (op->deadline_us < INT64_MAX)
            kc_consumer_set_timer(consumer, &op->timer, op->deadline_us);
        return;
    }
    int32_t broker_id =
        kc_coordinator_known(coordinators, KC_COORDINATOR_GROUP, consumer->group_id);
    if (broker_id >= 0) {
        send(op, broker_id);
        return;
    }
    op->wait.deadline_us = op->deadline_us;
    kc_err err =
        kc_coordinator_find(coordinators, KC_COORDINATOR_GROUP, consumer->group_id, &op->wait);
    if (err != KC_OK) {
        kb_error_code(&op->error, err);
        retry(op);
    }
}

static void on_found(kc_coordinator_wait *wait, int32_t broker_id, const kc_error *error)
{
    kc_offset_op *op = wait->user;
    if (!error || error->code == KC_OK)
        send(op, broker_id);
    else
        kc_offset_op_end(op, error);
}

static void on_timer(kn_timer *timer)
{
    kc_offset_op *op = timer->user;
    if (op->asked_count == 0) {
        kc_offset_op_end(op, NULL);
        return;
    }
    if (kc_consumer_now_us(op->consumer) >= op->deadline_us) {
        kc_error error;
        kb_error_set(&error, KC_ERR_TIMEOUT, "no answer within the time given%s%s",
                     op->error.code != KC_OK ? ": " : "",
                     op->error.code != KC_OK ? op->error.text : "");
        kc_offset_op_end(op, &error);
        return;
    }
    step(op);
}

/** What failed is the coordinator, not the operation. */
static bool is_of_coordinator(kc_err code)
{
    return code == KC_E_NOT_COORDINATOR || code == KC_E_COORDINATOR_NOT_AVAILABLE ||
           code == KC_ERR_DISCONNECTED || code == KC_ERR_CONNECT || code == KC_ERR_TIMEOUT ||
           code == KC_ERR_NO_BROKER || code == KC_ERR_RESOLVE;
}

/** The code that decides about the whole: one that ends it before one that is tried again. */
static kc_err decide(const kc_offset_op *op)
{
    kc_err code = KC_OK;
    for (size_t i = 0; i < op->asked_count; i++) {
        kc_err err = op->items[i].err;
        if (err == KC_OK)
            continue;
        if (err == KC_E_ILLEGAL_GENERATION || err == KC_E_UNKNOWN_MEMBER_ID ||
            err == KC_E_FENCED_INSTANCE_ID || err == KC_E_REBALANCE_IN_PROGRESS)
            return err;
        if (code == KC_OK || !(kc_err_flags(err) & KC_ERRF_RETRIABLE))
            code = err;
    }
    return code;
}

/** A commit's answer says that the membership is not what it was (trap 36). */
static void tell_member(kc_offset_op *op, kc_err code)
{
    kc_consumer *consumer = op->consumer;
    bool is_of_member = op->kind == KC_OFFSET_OP_COMMIT && op->generation >= 0 &&
                        op->generation == consumer->member.generation;
    kc_offset_op_end(op, NULL);
    if (!is_of_member)
        return;
    if (code == KC_E_REBALANCE_IN_PROGRESS)
        kc_member_rejoin(consumer, "a commit was answered by REBALANCE_IN_PROGRESS");
    else
        kc_member_lost(consumer, code);
}

static void on_failure(kc_offset_op *op, const kn_reply *reply)
{
    kc_consumer *consumer = op->consumer;
    op->error = *reply->error;
    if (reply->err == KC_ERR_VERSION && !op->was_version_refused) {
        op->was_version_refused = true; /* by now it is known what the broker serves */
        retry(op);
        return;
    }
    if (is_of_coordinator(reply->err)) {
        kc_coordinator_forget(consumer->client->coordinators, KC_COORDINATOR_GROUP,
                              consumer->group_id);
        retry(op);
        return;
    }
    if (kc_err_flags(reply->err) & KC_ERRF_RETRIABLE)
        retry(op);
    else
        kc_offset_op_end(op, &op->error);
}

static void on_reply(kn_request *request, const kn_reply *reply)
{
    kc_offset_op *op = request->user;
    kc_consumer *consumer = op->consumer;
    if (reply->err != KC_OK) {
        on_failure(op, reply);
        return;
    }
    kc_err err = kc_offset_op_read(op, reply, &op->error);
    kc_err code = err == KC_OK ? decide(op) : err;
    if (code == KC_OK) {
        kc_offset_op_end(op, NULL);
        return;
    }
    if (code == KC_E_ILLEGAL_GENERATION || code == KC_E_UNKNOWN_MEMBER_ID ||
        code == KC_E_FENCED_INSTANCE_ID || code == KC_E_REBALANCE_IN_PROGRESS) {
        tell_member(op, code);
        return;
    }
    if (is_of_coordinator(code))
        kc_coordinator_forget(consumer->client->coordinators, KC_COORDINATOR_GROUP,
                              consumer->group_id);
    if (kc_err_flags(code) & KC_ERRF_RETRIABLE) {
        if (err == KC_OK)
            kb_error_code(&op->error, code);
        retry(op);
        return;
    }
    kc_offset_op_end(op, err == KC_OK ? NULL : &op->error);
}

void kc_offset_op_start(kc_offset_op *op, int64_t timeout_ms, kc_commit_fn fn, void *user)
{
    kc_consumer *consumer = op->consumer;
    assert(!op->is_active);
    op->fn = fn;
    op->user = user;
    op->is_active = true;
    op->deadline_us =
        timeout_ms < 0 ? INT64_MAX : kc_client_fresh_us(consumer->client) + timeout_ms * 1000;
    kb_list_push_back(&consumer->ops, &op->node);
    if (op->kind == KC_OFFSET_OP_COMMIT)
        consumer->commits_pending++;
    if (op->asked_count > 0) {
        step(op);
        return;
    }
    /* Nothing to ask; the answer comes from dispatch all the same. */
    kc_consumer_set_timer(consumer, &op->timer, kc_consumer_now_us(consumer));
}
