/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What is committed, when, and for whom.
 *
 * Only what is owned can be committed: offsets of partitions that went to others are refused here,
 * before the broker would (trap 37). A commit carries the generation it was made in; the leader
 * epoch goes with the offset, so that the position can be checked when it is taken up (trap 40). */
#include "client/consumer_offset_op.h"
#include "client/consumer_part.h"
#include "client/variant.h"
#include "protocol/base/error.h"
#include "protocol/generated/messages.h"

#include <kafkac/unstable/errors.h>

#include <stdlib.h>

/** OffsetCommit and OffsetFetch name topics up to here; ids come with version 10 (KIP-848). */
#define VERSION_NAMES         9
#define COMMIT_VERSION_MIN    2
#define COMMIT_VERSION_STATIC 7
#define FETCH_VERSION_MIN     1
#define FETCH_VERSION_STABLE  7
#define FETCH_VERSION_GROUPS  8

/* ---- requests ---- */

static bool starts_topic(const kc_offset_op *op, size_t i)
{
    return i == 0 || !kc_bytes_equal(op->items[i].topic, op->items[i - 1].topic);
}

static int32_t count_topics(const kc_offset_op *op)
{
    int32_t count = 0;
    for (size_t i = 0; i < op->asked_count; i++)
        count += starts_topic(op, i);
    return count;
}

static kc_err build_commit(kc_offset_op *op)
{
    const kc_settings *settings = op->consumer->settings;
    kp_offset_commit_req *msg = &op->msg.commit;
    int32_t topic_count = count_topics(op);
    kp_offset_commit_req_topic *topics =
        kb_arena_array(&op->round, (size_t)topic_count, sizeof *topics);
    kp_offset_commit_req_partition *partitions =
        kb_arena_array(&op->round, op->asked_count, sizeof *partitions);
    if (!topics || !partitions)
        return KC_ERR_NOMEM;
    int32_t t = -1;
    for (size_t i = 0; i < op->asked_count; i++) {
        const kc_topic_offset *item = &op->items[i];
        if (starts_topic(op, i)) {
            kp_struct_defaults(&kp_offset_commit_req_topic_desc, &topics[++t]);
            topics[t].name = item->topic;
            topics[t].partitions.items = &partitions[i];
        }
        topics[t].partitions.count++;
        kp_struct_defaults(&kp_offset_commit_req_partition_desc, &partitions[i]);
        partitions[i].partition_index = item->partition;
        partitions[i].committed_offset = item->offset;
        partitions[i].committed_leader_epoch = item->leader_epoch;
        partitions[i].committed_metadata = item->metadata.ptr ? item->metadata : KC_STR("");
    }
    kp_defaults(&kp_offset_commit_req_message, msg);
    msg->group_id = op->consumer->group_id;
    msg->generation_id_or_member_epoch = op->generation;
    msg->member_id = op->member_id;
    msg->topics.items = topics;
    msg->topics.count = topic_count;
    op->request.version_min = COMMIT_VERSION_MIN;
    op->request.version_max = VERSION_NAMES;
    if (op->generation >= 0 && settings->group_instance_id) {
        msg->group_instance_id = kc_str(settings->group_instance_id);
        op->request.version_min = COMMIT_VERSION_STATIC;
    }
    return KC_OK;
}

/** Two shapes of the request: the version must be known before. Where it is not, the newer one is
 * tried. */
static kc_err build_fetch(kc_offset_op *op, const kp_versions *versions)
{
    const kp_api *api = kp_api_by_key(KP_API_OFFSET_FETCH);
    int16_t version = VERSION_NAMES;
    if (versions)
        version = kp_version_choose(api, versions, FETCH_VERSION_MIN, VERSION_NAMES);
    if (version < 0)
        return KC_ERR_VERSION;
    int32_t topic_count = count_topics(op);
    kp_offset_fetch_req_group_topic *topics =
        kb_arena_array(&op->round, (size_t)topic_count, sizeof *topics);
    kp_offset_fetch_req_topic *old_topics =
        kb_arena_array(&op->round, (size_t)topic_count, sizeof *old_topics);
    int32_t *indexes = kb_arena_array(&op->round, op->asked_count, sizeof *indexes);
    if (!topics || !old_topics || !indexes)
        return KC_ERR_NOMEM;
    int32_t t = -1;
    for (size_t i = 0; i < op->asked_count; i++) {
        if (starts_topic(op, i)) {
            t++;
            topics[t].name = old_topics[t].name = op->items[i].topic;
            topics[t].partition_indexes.items = old_topics[t].partition_indexes.items = &indexes[i];
        }
        topics[t].partition_indexes.count++;
        old_topics[t].partition_indexes.count++;
        indexes[i] = op->items[i].partition;
    }
    kp_offset_fetch_req *msg = &op->msg.fetch;
    kp_defaults(&kp_offset_fetch_req_message, msg);
    msg->require_stable = version >= FETCH_VERSION_STABLE; /* KIP-447 */
    if (version >= FETCH_VERSION_GROUPS) {
        kp_struct_defaults(&kp_offset_fetch_req_group_desc, &op->group);
        op->group.group_id = op->consumer->group_id;
        op->group.topics.items = topics;
        op->group.topics.count = topic_count;
        msg->groups.items = &op->group;
        msg->groups.count = 1;
    } else {
        msg->group_id = op->consumer->group_id;
        msg->topics.items = old_topics;
        msg->topics.count = topic_count;
    }
    op->request.version_max = version;
    op->request.version_min = version;
    if (!versions)
        op->request.version_min = FETCH_VERSION_GROUPS;
    return KC_OK;
}

kc_err kc_offset_op_build(kc_offset_op *op, const kp_versions *versions)
{
    return op->kind == KC_OFFSET_OP_COMMIT ? build_commit(op) : build_fetch(op, versions);
}

/* ---- answers ---- */

/** The item, if it was asked for. */
static kc_topic_offset *find_item(const kc_offset_op *op, kc_bytes topic, int32_t partition)
{
    size_t low = 0, high = op->asked_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        kc_topic_offset *item = &op->items[middle];
        int order = kc_offset_item_compare(item, topic, partition);
        if (order == 0)
            return item;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static kc_err read_commit(kc_offset_op *op, const kn_reply *reply, kc_error *error)
{
    kp_offset_commit_resp answer;
    KB_TRY(kn_reply_decode(&op->request, reply, &op->round, &answer, error));
    for (int32_t t = 0; t < answer.topics.count; t++) {
        const kp_offset_commit_resp_topic *topic = &answer.topics.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            const kp_offset_commit_resp_partition *partition = &topic->partitions.items[p];
            kc_topic_offset *item = find_item(op, topic->name, partition->partition_index);
            if (item)
                item->err = partition->error_code;
        }
    }
    return KC_OK;
}

static void take_offset(kc_offset_op *op, kc_bytes topic,
                        const kp_offset_fetch_resp_group_topic_partition *answer)
{
    kc_topic_offset *item = find_item(op, topic, answer->partition_index);
    if (!item)
        return;
    item->err = answer->error_code;
    item->offset = answer->committed_offset < 0 ? -1 : answer->committed_offset;
    item->leader_epoch = answer->committed_leader_epoch < 0 ? -1 : answer->committed_leader_epoch;
    item->metadata = kb_arena_copy(&op->round, answer->metadata);
}

static kc_err read_groups(kc_offset_op *op, const kp_offset_fetch_resp *answer)
{
    if (answer->groups.count != 1)
        return KC_ERR_MALFORMED;
    const kp_offset_fetch_resp_group *group = &answer->groups.items[0];
    for (int32_t t = 0; t < group->topics.count; t++) {
        const kp_offset_fetch_resp_group_topic *topic = &group->topics.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++)
            take_offset(op, topic->name, &topic->partitions.items[p]);
    }
    return group->error_code;
}

static kc_err read_topics(kc_offset_op *op, const kp_offset_fetch_resp *answer)
{
    for (int32_t t = 0; t < answer->topics.count; t++) {
        const kp_offset_fetch_resp_topic *topic = &answer->topics.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            const kp_offset_fetch_resp_partition *partition = &topic->partitions.items[p];
            kp_offset_fetch_resp_group_topic_partition same = {
                .partition_index = partition->partition_index,
                .committed_offset = partition->committed_offset,
                .committed_leader_epoch = partition->committed_leader_epoch,
                .metadata = partition->metadata,
                .error_code = partition->error_code,
            };
            take_offset(op, topic->name, &same);
        }
    }
    return answer->error_code;
}

static kc_err read_fetch(kc_offset_op *op, const kn_reply *reply, kc_error *error)
{
    kp_offset_fetch_resp answer;
    KB_TRY(kn_reply_decode(&op->request, reply, &op->round, &answer, error));
    kc_err err = reply->version >= FETCH_VERSION_GROUPS ? read_groups(op, &answer)
                                                        : read_topics(op, &answer);
    return err == KC_OK ? KC_OK : kb_error_code(error, err);
}

kc_err kc_offset_op_read(kc_offset_op *op, const kn_reply *reply, kc_error *error)
{
    /* What is not answered was not done (trap 40). */
    for (size_t i = 0; i < op->asked_count; i++)
        op->items[i].err = KC_E_UNKNOWN_SERVER_ERROR;
    return op->kind == KC_OFFSET_OP_COMMIT ? read_commit(op, reply, error)
                                           : read_fetch(op, reply, error);
}

/* ---- automatic commits ---- */

kc_err kc_commit_positions(kc_consumer *consumer, bool changed_only, kc_offset_op **op_out)
{
    kb_mem *mem = kc_consumer_mem(consumer);
    *op_out = NULL;
    size_t bytes = (consumer->part_count + 1) * sizeof(kc_topic_offset);
    kc_topic_offset *items = kb_mem_alloc(mem, bytes);
    if (!items)
        return KC_ERR_NOMEM;
    size_t count = 0;
    KB_LIST_FOR (node, &consumer->parts) {
        const kc_part *part = KB_CONTAINER(node, kc_part, node);
        if (part->position < 0 || part->is_revoked ||
            (changed_only && part->position == part->committed))
            continue;
        items[count++] = (kc_topic_offset){.topic = kc_part_name(part),
                                           .partition = part->partition,
                                           .offset = part->position + KC_VARIANT(COMMIT_BEYOND),
                                           .leader_epoch = part->position_epoch};
    }
    kc_err err = KC_OK;
    if (count > 0 || !changed_only)
        err = kc_offset_op_new(consumer, KC_OFFSET_OP_COMMIT, items, count, op_out);
    kb_mem_free(mem, items);
    return err;
}

static void on_auto_done(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                         size_t count, void *user)
{
    kc_consumer *consumer = user;
    (void)offsets;
    (void)count;
    consumer->auto_op = NULL;
    if (err == KC_OK) {
        if (consumer->is_auto_due)
            kc_commit_note(consumer); /* of what was handed out meanwhile nothing more may come */
        return;
    }
    kb_log_line(kc_client_log(consumer->client, KC_DEBUG_CONSUMER), KC_LOG_WARNING,
                "consumer: automatic commit failed: %s", error->text);
    if (error->flags & KC_ERRF_AUTH)
        kc_consumer_tell(consumer, error);
    kc_commit_note(consumer); /* what changed is still not committed */
}

void kc_commit_auto(kc_consumer *consumer)
{
    const kc_settings *settings = consumer->settings;
    kn_timer_stop(consumer->client->loop, &consumer->auto_timer);
    if (!settings->enable_auto_commit || !consumer->group_id.ptr)
        return;
    consumer->is_auto_due = consumer->auto_op != NULL;
    if (consumer->is_auto_due)
        return;
    kc_offset_op *op;
    if (kc_commit_positions(consumer, true, &op) != KC_OK) {
        kc_commit_note(consumer);
        return;
    }
    if (!op)
        return;
    consumer->auto_op = op;
    kc_offset_op_start(op, settings->default_api_timeout_ms, on_auto_done, consumer);
}

void kc_commit_on_timer(kn_timer *timer)
{
    kc_consumer *consumer = timer->user;
    if (kc_member_may_commit(consumer))
        kc_commit_auto(consumer);
}

void kc_commit_note(kc_consumer *consumer)
{
    const kc_settings *settings = consumer->settings;
    if (!settings->enable_auto_commit || !consumer->group_id.ptr || consumer->is_closing ||
        kn_timer_is_set(&consumer->auto_timer))
        return;
    kc_consumer_set_timer(consumer, &consumer->auto_timer,
                          kc_consumer_now_us(consumer) +
                              (int64_t)settings->auto_commit_interval_ms * 1000);
}

/* ---- commits of the application ---- */

static kc_err check_offsets(const kc_topic_offset *offsets, size_t count, kc_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const kc_topic_offset *item = &offsets[i];
        if (!kc_topic_name_is_valid(item->topic) || item->partition < 0 || item->offset < 0)
            return kb_error_set(err, KC_ERR_ARGUMENT,
                                "offset %lld of partition %d of \"" KC_FMT "\" can't be committed",
                                (long long)item->offset, (int)item->partition, KC_ARG(item->topic));
    }
    return KC_OK;
}

/** A leader epoch of the caller's counts from 1 on: 0 may just be left out, and a wrong one would
 * be taken for truncation later. */
static void complete_offset(const kc_consumer *consumer, kc_topic_offset *item)
{
    const kc_part *part = kc_part_find(consumer, item->topic, item->partition);
    bool is_owned = part && !part->is_revoked;
    item->err = KC_OK;
    if (!consumer->is_by_hand && consumer->member.state != KC_MEMBER_NONE && !is_owned)
        item->err = consumer->member.state == KC_MEMBER_STABLE ? KC_E_ILLEGAL_GENERATION
                                                               : KC_E_REBALANCE_IN_PROGRESS;
    if (item->leader_epoch > 0)
        return;
    item->leader_epoch = -1;
    if (part && part->position == item->offset)
        item->leader_epoch = part->position_epoch;
}

static kc_err new_commit(kc_consumer *consumer, const kc_topic_offset *offsets, size_t count,
                         kc_offset_op **op_out, kc_error *err)
{
    if (!consumer->group_id.ptr)
        return kb_error_set(err, KC_ERR_STATE, "a commit needs a group: set group.id");
    if (consumer->is_freed)
        return kb_error_set(err, KC_ERR_STATE, "the consumer is closed");
    kc_err result;
    if (count == 0) {
        result = kc_commit_positions(consumer, false, op_out);
    } else {
        KB_TRY(check_offsets(offsets, count, err));
        kb_mem *mem = kc_consumer_mem(consumer);
        kc_topic_offset *items = NULL;
        if (count <= SIZE_MAX / sizeof *items)
            items = kb_mem_alloc(mem, count * sizeof *items);
        if (!items)
            return kb_error_code(err, KC_ERR_NOMEM);
        memcpy(items, offsets, count * sizeof *items);
        for (size_t i = 0; i < count; i++)
            complete_offset(consumer, &items[i]);
        result = kc_offset_op_new(consumer, KC_OFFSET_OP_COMMIT, items, count, op_out);
        kb_mem_free(mem, items);
    }
    return result == KC_OK ? KC_OK : kb_error_code(err, result);
}

kc_err kc_consumer_commit(kc_consumer *consumer, const kc_topic_offset *offsets, size_t count,
                          kc_commit_fn fn, void *user, kc_error *err)
{
    kc_offset_op *op = NULL;
    KB_TRY(new_commit(consumer, offsets, count, &op, err));
    kc_offset_op_start(op, consumer->settings->default_api_timeout_ms, fn, user);
    return KC_OK;
}

typedef struct commit_wait {
    bool is_done;
    kc_err result;
    kc_error error;
} commit_wait;

static void on_sync_done(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                         size_t count, void *user)
{
    commit_wait *wait = user;
    (void)offsets;
    (void)count;
    wait->is_done = true;
    wait->result = err;
    if (error)
        wait->error = *error;
}

kc_err kc_consumer_commit_sync(kc_consumer *consumer, const kc_topic_offset *offsets, size_t count,
                               int timeout_ms, kc_error *err)
{
    if (consumer->client->in_dispatch)
        return kb_error_set(err, KC_ERR_STATE, "not from a callback: use kc_consumer_commit()");
    commit_wait wait = {.is_done = false};
    kc_offset_op *op = NULL;
    KB_TRY(new_commit(consumer, offsets, count, &op, err));
    kc_offset_op_start(op, timeout_ms, on_sync_done, &wait);
    kc_err result = kc_client_run_until(consumer->client, &wait.is_done, timeout_ms);
    if (!wait.is_done) {
        kc_offset_op_cancel(op);
        if (result == KC_OK)
            result = KC_ERR_TIMEOUT;
        return kb_error_set(err, result, "the commit was not answered: it may have been done");
    }
    if (wait.result != KC_OK && err)
        *err = wait.error;
    return wait.result;
}

kc_err kc_consumer_committed(kc_consumer *consumer, const kc_topic_partition *partitions,
                             size_t count, kc_commit_fn fn, void *user, kc_error *err)
{
    if (!consumer->group_id.ptr || consumer->is_freed)
        return kb_error_set(err, KC_ERR_STATE, "committed offsets need a group: set group.id");
    kb_arena arena;
    kb_arena_init(&arena, kc_consumer_mem(consumer), 0);
    kc_err result = KC_OK;
    kc_offset_op *op = NULL;
    kc_topic_offset *items = kb_arena_array(&arena, count, sizeof *items);
    for (size_t i = 0; items && i < count; i++) {
        if (!kc_topic_name_is_valid(partitions[i].topic) || partitions[i].partition < 0)
            result = KC_ERR_ARGUMENT;
        else
            items[i] = (kc_topic_offset){.topic = partitions[i].topic,
                                         .partition = partitions[i].partition,
                                         .offset = -1,
                                         .leader_epoch = -1};
    }
    if (!items)
        result = KC_ERR_NOMEM;
    if (result == KC_OK)
        result = kc_offset_op_new(consumer, KC_OFFSET_OP_FETCH, items, count, &op);
    kb_arena_cleanup(&arena);
    if (result != KC_OK)
        return kb_error_code(err, result);
    kc_offset_op_start(op, consumer->settings->default_api_timeout_ms, fn, user);
    return KC_OK;
}
