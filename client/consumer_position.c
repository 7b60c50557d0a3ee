/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Where partitions begin: the group's committed offsets, the ends of the log, and whether a
 * position survived a change of leader.
 *
 * KIP-320: when a partition's leader epoch grows, its position is checked before anything is
 * fetched: the new leader says where the epoch of the last record read ends in its log. Ends it
 * before the position, the log was truncated. A leader that wrote the epoch itself need not be
 * asked, and one that does not know (-1) is believed to agree. */
#include "client/consumer_fetch.h"
#include "client/consumer_offset_op.h"
#include "client/variant.h"
#include "protocol/base/error.h"
#include "protocol/generated/messages.h"

#include <kafkac/unstable/errors.h>

/** OffsetForLeaderEpoch is for consumers from here on. */
#define EPOCHS_VERSION_MIN 3
/** isolation_level in ListOffsets. */
#define LIST_OFFSETS_VERSION_ISOLATION 2
#define REPLICA_CONSUMER               (-1)

/* ---- committed offsets ---- */

static void on_stored(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                      size_t count, void *user)
{
    kc_consumer *consumer = user;
    kc_offset_op *op = consumer->stored_op;
    consumer->stored_op = NULL;
    if (err == KC_E_GROUP_AUTHORIZATION_FAILED) {
        kc_consumer_fail(consumer, error);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const kc_topic_offset *answer = &offsets[i];
        kc_part *part = kc_part_find(consumer, answer->topic, answer->partition);
        if (!part || part->state != KC_PART_STORED || part->version != op->versions[i])
            continue;
        if (answer->err != KC_OK) {
            kc_part_failed(part, answer->err);
        } else if (answer->offset >= 0) {
            kc_part_seek(part, answer->offset + KC_VARIANT(COMMITTED_SKIPS), answer->leader_epoch);
            part->committed = answer->offset;
        } else {
            kc_part_reset_by_policy(part, KC_ERR_NOT_FOUND, "there is no committed offset");
            kc_commit_note(consumer);
        }
    }
    kc_consumer_plan_soon(consumer);
}

static bool wants_stored(const kc_part *part, int64_t now_us)
{
    return part->state == KC_PART_STORED && !part->is_revoked && part->retry_at_us <= now_us;
}

static kc_err start_stored(kc_consumer *consumer, kb_arena *arena)
{
    int64_t now_us = kc_consumer_now_us(consumer);
    kc_topic_offset *items = kb_arena_array(arena, consumer->part_count, sizeof *items);
    if (!items)
        return KC_ERR_NOMEM;
    size_t count = 0;
    KB_LIST_FOR (node, &consumer->parts) {
        const kc_part *part = KB_CONTAINER(node, kc_part, node);
        if (wants_stored(part, now_us))
            items[count++] =
                (kc_topic_offset){.topic = kc_part_name(part), .partition = part->partition};
    }
    kc_offset_op *op;
    KB_TRY(kc_offset_op_new(consumer, KC_OFFSET_OP_FETCH, items, count, &op));
    op->versions = kb_arena_array(&op->arena, count, sizeof *op->versions);
    if (!op->versions) {
        kc_offset_op_end(op, NULL);
        return KC_ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        const kc_part *part = kc_part_find(consumer, op->items[i].topic, op->items[i].partition);
        op->versions[i] = part ? part->version : 0;
    }
    consumer->stored_op = op;
    kc_offset_op_start(op, -1, on_stored, consumer);
    return KC_OK;
}

void kc_position_fetch_stored(kc_consumer *consumer)
{
    if (consumer->stored_op)
        return;
    kb_arena arena;
    kb_arena_init(&arena, kc_consumer_mem(consumer), 0);
    kc_err err = start_stored(consumer, &arena);
    kb_arena_cleanup(&arena);
    if (err == KC_OK)
        return;
    KB_LIST_FOR (node, &consumer->parts) {
        kc_part *part = KB_CONTAINER(node, kc_part, node);
        if (part->state == KC_PART_STORED)
            kc_part_retry_later(part);
    }
}

/* ---- ListOffsets ---- */

static void take_offset(kc_part *part, const kp_list_offsets_resp_partition *answer)
{
    part->is_busy = false;
    if (answer->error_code != KC_E_NONE) {
        kc_part_failed(part, answer->error_code);
        return;
    }
    if (answer->offset < 0) {
        kc_part_retry_later(part);
        return;
    }
    kc_part_succeeded(part);
    part->state = KC_PART_FETCH;
    part->position = part->fetch_offset = answer->offset;
    kc_commit_note(part->consumer);
}

static void read_offsets(kc_leader *leader, const kp_list_offsets_resp *answer)
{
    kc_asked_set *asked = &leader->offsets.asked;
    int32_t left = asked->count;
    for (int32_t t = 0; t < answer->topics.count; t++) {
        const kp_list_offsets_resp_topic *topic = &answer->topics.items[t];
        for (int32_t p = 0; p < topic->partitions.count && left > 0; p++, left--) {
            const kp_list_offsets_resp_partition *partition = &topic->partitions.items[p];
            kc_asked *entry = kc_asked_find(asked, topic->name, NULL, partition->partition_index);
            if (entry && kc_part_is_current(entry->part, entry->fetch_version))
                take_offset(entry->part, partition);
        }
    }
}

/** The reply as a failure of the whole request; false: it is none. */
static bool fails_to_decode(kc_leader *leader, kn_request *request, const kn_reply *reply,
                            void *msg_out, const char *what)
{
    kc_error error;
    kc_err err = reply->err;
    if (err == KC_OK)
        err = kn_reply_decode(request, reply, &leader->consumer->scratch, msg_out, &error);
    if (err == KC_OK)
        return false;
    kn_reply failed = *reply;
    failed.err = err;
    if (reply->err == KC_OK)
        failed.error = &error;
    if (err != KC_ERR_CLOSED)
        kc_leader_failed(leader, &failed, what);
    return true;
}

static void end_of_reply(kc_leader *leader, kc_asked_set *asked)
{
    kc_asked_retry(asked);
    kb_arena_reset(&leader->consumer->scratch);
    kc_consumer_plan_soon(leader->consumer);
}

static void on_list_offsets(kn_request *request, const kn_reply *reply)
{
    kc_leader *leader = request->user;
    kp_list_offsets_resp answer;
    if (!fails_to_decode(leader, request, reply, &answer, "ListOffsets"))
        read_offsets(leader, &answer);
    end_of_reply(leader, &leader->offsets.asked);
}

static bool build_list_offsets(kc_leader *leader)
{
    kc_consumer *consumer = leader->consumer;
    kb_mem *mem = kc_consumer_mem(consumer);
    kc_list_offsets *list = &leader->offsets;
    kc_asked_set *asked = &list->asked;
    if (!kc_asked_build(consumer, &leader->want_offsets, asked))
        return false;
    if (!kc_array_reserve(mem, (void **)&list->topics, &list->topic_cap, (size_t)asked->topic_count,
                          sizeof *list->topics) ||
        !kc_array_reserve(mem, (void **)&list->partitions, &list->partition_cap,
                          (size_t)asked->count, sizeof *list->partitions)) {
        kc_asked_retry(asked);
        return false;
    }
    for (int32_t t = 0; t < asked->topic_count; t++) {
        const kc_asked_topic *topic = &asked->topics[t];
        kp_struct_defaults(&kp_list_offsets_req_topic_desc, &list->topics[t]);
        list->topics[t].name = kc_part_name(asked->items[topic->first].part);
        list->topics[t].partitions.items = &list->partitions[topic->first];
        list->topics[t].partitions.count = topic->count;
    }
    for (int32_t i = 0; i < asked->count; i++) {
        const kc_part *part = asked->items[i].part;
        kp_struct_defaults(&kp_list_offsets_req_partition_desc, &list->partitions[i]);
        list->partitions[i].partition_index = part->partition;
        list->partitions[i].timestamp = part->reset_timestamp;
        (void)kc_part_meta_leader(part, &list->partitions[i].current_leader_epoch);
    }
    return true;
}

void kc_position_list_offsets(kc_leader *leader)
{
    if (kb_list_is_empty(&leader->want_offsets))
        return;
    kc_consumer *consumer = leader->consumer;
    const kc_settings *settings = consumer->settings;
    kc_list_offsets *list = &leader->offsets;
    if (!build_list_offsets(leader))
        return;
    kp_defaults(&kp_list_offsets_req_message, &list->msg);
    list->msg.replica_id = REPLICA_CONSUMER;
    list->msg.isolation_level = settings->isolation_read_committed ? 1 : 0;
    list->msg.topics.items = list->topics;
    list->msg.topics.count = list->asked.topic_count;
    list->msg.timeout_ms = settings->request_timeout_ms;
    list->request.api = kp_api_by_key(KP_API_LIST_OFFSETS);
    list->request.msg = &list->msg;
    list->request.version_min =
        settings->isolation_read_committed ? LIST_OFFSETS_VERSION_ISOLATION : -1;
    list->request.version_max = -1;
    list->request.timeout_ms = settings->request_timeout_ms;
    list->request.done = on_list_offsets;
    kn_target target = {leader->broker_id, KN_LANE_MAIN, 0};
    kn_pool_submit(consumer->client->pool, target, &list->request);
}

/* ---- OffsetForLeaderEpoch ---- */

static void on_truncated(kc_part *part, int64_t end_offset, int32_t epoch)
{
    long long position = part->position;
    if (part->consumer->settings->auto_offset_reset == KC_RESET_NONE) {
        kc_part_reset_by_policy(part, KC_E_OFFSET_OUT_OF_RANGE, "the log was truncated");
        return;
    }
    kc_part_seek(part, end_offset, epoch);
    kc_consumer_tell_part(
        part, KC_E_OFFSET_OUT_OF_RANGE,
        "the log was truncated from %lld to %lld when the leader changed: reading "
        "on from there",
        position, (long long)end_offset);
}

static void take_epoch(kc_part *part, const kp_offset_for_leader_epoch_resp_partition *answer)
{
    part->is_busy = false;
    if (answer->error_code != KC_E_NONE) {
        kc_part_failed(part, answer->error_code);
        return;
    }
    kc_part_succeeded(part);
    part->state = KC_PART_FETCH;
    if (answer->end_offset >= 0 && answer->leader_epoch >= 0 && answer->end_offset < part->position)
        on_truncated(part, answer->end_offset, answer->leader_epoch);
}

static void read_epochs(kc_leader *leader, const kp_offset_for_leader_epoch_resp *answer)
{
    kc_asked_set *asked = &leader->epochs.asked;
    int32_t left = asked->count;
    for (int32_t t = 0; t < answer->topics.count; t++) {
        const kp_offset_for_leader_epoch_resp_topic *topic = &answer->topics.items[t];
        for (int32_t p = 0; p < topic->partitions.count && left > 0; p++, left--) {
            const kp_offset_for_leader_epoch_resp_partition *partition =
                &topic->partitions.items[p];
            kc_asked *entry = kc_asked_find(asked, topic->topic, NULL, partition->partition);
            if (entry && kc_part_is_current(entry->part, entry->fetch_version))
                take_epoch(entry->part, partition);
        }
    }
}

/** A broker that can't be asked can't fence either. */
static void skip_check(kc_asked_set *asked)
{
    for (int32_t i = 0; i < asked->count; i++) {
        kc_asked *entry = &asked->items[i];
        entry->is_answered = true;
        if (kc_part_is_current(entry->part, entry->fetch_version))
            entry->part->state = KC_PART_FETCH;
    }
}

static void on_epochs(kn_request *request, const kn_reply *reply)
{
    kc_leader *leader = request->user;
    kp_offset_for_leader_epoch_resp answer;
    if (reply->err == KC_ERR_VERSION)
        skip_check(&leader->epochs.asked);
    else if (!fails_to_decode(leader, request, reply, &answer, "OffsetForLeaderEpoch"))
        read_epochs(leader, &answer);
    end_of_reply(leader, &leader->epochs.asked);
}

static bool build_epochs(kc_leader *leader)
{
    kc_consumer *consumer = leader->consumer;
    kb_mem *mem = kc_consumer_mem(consumer);
    kc_epoch_check *check = &leader->epochs;
    kc_asked_set *asked = &check->asked;
    if (!kc_asked_build(consumer, &leader->want_epochs, asked))
        return false;
    bool has_topics = kc_array_reserve(mem, (void **)&check->topics, &check->topic_cap,
                                       (size_t)asked->topic_count, sizeof *check->topics);
    if (!has_topics || !kc_array_reserve(mem, (void **)&check->partitions, &check->partition_cap,
                                         (size_t)asked->count, sizeof *check->partitions)) {
        kc_asked_retry(asked);
        return false;
    }
    for (int32_t t = 0; t < asked->topic_count; t++) {
        const kc_asked_topic *group = &asked->topics[t];
        kp_offset_for_leader_epoch_req_topic *topic = &check->topics[t];
        kp_struct_defaults(&kp_offset_for_leader_epoch_req_topic_desc, topic);
        topic->topic = kc_part_name(asked->items[group->first].part);
        topic->partitions.items = &check->partitions[group->first];
        topic->partitions.count = group->count;
    }
    for (int32_t i = 0; i < asked->count; i++) {
        const kc_part *part = asked->items[i].part;
        kp_offset_for_leader_epoch_req_partition *partition = &check->partitions[i];
        kp_struct_defaults(&kp_offset_for_leader_epoch_req_partition_desc, partition);
        partition->partition = part->partition;
        partition->current_leader_epoch = part->leader_epoch;
        partition->leader_epoch = part->position_epoch;
    }
    return true;
}

void kc_position_check_epochs(kc_leader *leader)
{
    if (kb_list_is_empty(&leader->want_epochs) || !build_epochs(leader))
        return;
    kc_consumer *consumer = leader->consumer;
    kc_epoch_check *check = &leader->epochs;
    kp_defaults(&kp_offset_for_leader_epoch_req_message, &check->msg);
    check->msg.replica_id = REPLICA_CONSUMER;
    check->msg.topics.items = check->topics;
    check->msg.topics.count = check->asked.topic_count;
    check->request.api = kp_api_by_key(KP_API_OFFSET_FOR_LEADER_EPOCH);
    check->request.msg = &check->msg;
    check->request.version_min = EPOCHS_VERSION_MIN;
    check->request.version_max = -1;
    check->request.timeout_ms = consumer->settings->request_timeout_ms;
    check->request.done = on_epochs;
    kn_target target = {leader->broker_id, KN_LANE_MAIN, 0};
    kn_pool_submit(consumer->client->pool, target, &check->request);
}

void kc_position_follow_metadata(kc_part *part)
{
    const kc_meta_topic *meta = part->topic->meta;
    if (meta->incarnation != part->incarnation) {
        /* The same name, another log (trap 34): offsets and epochs of the old one mean nothing
         * here. */
        part->incarnation = meta->incarnation;
        part->committed = -1;
        if (part->consumer->settings->auto_offset_reset != KC_RESET_NONE)
            kc_consumer_tell_part(part, KC_E_UNKNOWN_TOPIC_ID,
                                  "the topic was deleted and made anew: its positions start over");
        kc_part_reset_by_policy(part, KC_E_UNKNOWN_TOPIC_ID, "the topic was deleted and made anew");
        return;
    }
    int32_t epoch;
    bool has_position = part->state == KC_PART_FETCH || part->state == KC_PART_VALIDATE;
    if (!has_position || kc_part_meta_leader(part, &epoch) < 0 || epoch <= part->leader_epoch)
        return;
    part->leader_epoch = epoch;
    if (part->position_epoch < 0 || part->position_epoch >= epoch) {
        part->state = KC_PART_FETCH;
        return;
    }
    kc_part_clear(part);
    part->state = KC_PART_VALIDATE;
}
