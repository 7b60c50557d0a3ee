/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Committed offsets of groups: read and set. Versions that name topics by id are left out: an
 * application asks by name, and the ids of topics deleted since are known to nobody. */
#include "client/admin_offsets.h"

#include "protocol/base/error.h"
#include "protocol/base/map.h"

/** Last versions that name topics by name. */
#define OFFSET_COMMIT_BY_NAME 9
#define OFFSET_FETCH_BY_NAME  9
/** Last version of OffsetFetch for one group only (KIP-709). */
#define OFFSET_FETCH_ONE_GROUP 7

/* ---- grouping ---- */

/** First pass: the topics, and how many partitions each has. */
static kc_err find_topics(const kc_topic_offset *offsets, const size_t *which, size_t count,
                          kb_map *by_name, kc_by_topic *topics, size_t *topic_count_out)
{
    size_t topic_count = 0;
    for (size_t i = 0; i < count; i++) {
        kc_bytes name = offsets[which[i]].topic;
        kc_by_topic *topic = kb_map_get(by_name, name);
        if (!topic) {
            topic = &topics[topic_count++];
            topic->topic = name;
            KB_TRY(kb_map_put(by_name, name, topic));
        }
        topic->count++;
    }
    *topic_count_out = topic_count;
    return KC_OK;
}

static kc_err fill_topics(const kc_topic_offset *offsets, const size_t *which, size_t count,
                          const kb_map *by_name, kb_arena *arena)
{
    for (size_t i = 0; i < count; i++) {
        kc_by_topic *topic = kb_map_get(by_name, offsets[which[i]].topic);
        if (!topic->places) {
            topic->places = kb_arena_array(arena, topic->count, sizeof *topic->places);
            if (!topic->places)
                return KC_ERR_NOMEM;
            topic->count = 0; /* counts up again */
        }
        topic->places[topic->count++] = which[i];
    }
    return KC_OK;
}

kc_err kc_group_by_topic(const kc_topic_offset *offsets, const size_t *which, size_t count,
                         kb_arena *arena, kc_by_topic **topics_out, size_t *topic_count_out)
{
    kb_map by_name;
    kb_map_init(&by_name, arena->mem);
    kc_by_topic *topics = kb_arena_array(arena, count, sizeof *topics);
    kc_err result = topics ? KC_OK : KC_ERR_NOMEM;
    if (result == KC_OK)
        result = find_topics(offsets, which, count, &by_name, topics, topic_count_out);
    if (result == KC_OK)
        result = fill_topics(offsets, which, count, &by_name, arena);
    kb_map_cleanup(&by_name);
    *topics_out = topics;
    return result;
}

/* ---- offsets in the result ---- */

kc_err kc_admin_add_offsets(kc_admin_op *op, const kc_topic_offset *offsets, size_t count,
                            size_t **places_out, kc_error *err)
{
    kc_admin_result *result = op->result;
    result->offsets = kb_arena_array(&result->arena, count, sizeof *result->offsets);
    size_t *places = kb_arena_array(&op->arena, count, sizeof *places);
    if (!result->offsets || !places)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (size_t i = 0; i < count; i++) {
        if (!kc_topic_name_is_valid(offsets[i].topic) || offsets[i].partition < 0)
            return kb_error_set(err, KC_ERR_ARGUMENT,
                                "\"" KC_FMT "\" partition %d is not a legal topic and partition",
                                KC_ARG(offsets[i].topic), offsets[i].partition);
        kc_topic_offset *copy = &result->offsets[i];
        *copy = offsets[i];
        copy->topic = kb_arena_copy(&result->arena, offsets[i].topic);
        copy->metadata = kb_arena_copy(&result->arena, offsets[i].metadata);
        copy->err = KC_ERR_AGAIN; /* not answered yet */
        places[i] = i;
        if (!copy->topic.ptr || (offsets[i].metadata.ptr && !copy->metadata.ptr))
            return kb_error_code(err, KC_ERR_NOMEM);
    }
    result->offset_count = count;
    *places_out = places;
    return KC_OK;
}

kc_topic_offset *kc_admin_find_offset(kc_admin_op *op, kc_bytes topic, int32_t partition)
{
    kc_admin_result *result = op->result;
    for (size_t i = 0; i < result->offset_count; i++) {
        size_t place = (result->offset_next + i) % result->offset_count;
        kc_topic_offset *offset = &result->offsets[place];
        if (offset->err != KC_ERR_AGAIN || offset->partition != partition ||
            !kc_bytes_equal(offset->topic, topic))
            continue;
        result->offset_next = place + 1;
        return offset;
    }
    return NULL;
}

void kc_admin_settle_offsets(kc_admin_op *op, kc_err code)
{
    for (size_t i = 0; i < op->result->offset_count; i++)
        if (op->result->offsets[i].err == KC_ERR_AGAIN)
            op->result->offsets[i].err = code;
}

/** Every offset asked for gets an end. */
static void complete(kc_admin_op *op)
{
    kc_err code = op->result->error.code;
    kc_admin_settle_offsets(op, code != KC_OK ? code : KC_ERR_MALFORMED);
}

/* ---- OffsetFetch ---- */

/** What was asked, for the second form of the request. */
typedef struct fetch_state {
    kc_bytes group_id;
    bool is_all;
    size_t *places;
    kb_list all; /**< with is_all: what the answer has */
    size_t all_count;
} fetch_state;

typedef struct listed_offset {
    kb_list node;
    kc_topic_offset offset;
} listed_offset;

static void complete_fetch(kc_admin_op *op)
{
    fetch_state *state = op->state;
    kc_admin_result *result = op->result;
    if (!state->is_all) {
        complete(op);
        return;
    }
    result->offsets = kc_admin_array(op, state->all_count, sizeof *result->offsets);
    if (!result->offsets)
        return;
    KB_LIST_FOR (node, &state->all)
        result->offsets[result->offset_count++] = KB_CONTAINER(node, listed_offset, node)->offset;
}

/** Both forms of the answer have the same facts. */
static void take_offset(kc_admin_op *op, kc_bytes topic,
                        const kp_offset_fetch_resp_group_topic_partition *told)
{
    fetch_state *state = op->state;
    kc_topic_offset *offset = NULL;
    if (state->is_all) {
        listed_offset *item = kb_arena_zalloc(&op->arena, sizeof *item);
        if (!item) {
            kc_admin_fail_code(op, KC_ERR_NOMEM);
            return;
        }
        kb_list_push_back(&state->all, &item->node);
        state->all_count++;
        offset = &item->offset;
        offset->topic = kc_admin_copy(op, topic);
        offset->partition = told->partition_index;
    } else {
        offset = kc_admin_find_offset(op, topic, told->partition_index);
    }
    if (!offset)
        return;
    offset->offset = told->committed_offset;
    offset->leader_epoch = told->committed_leader_epoch;
    offset->metadata = kc_admin_copy(op, told->metadata);
    offset->err = told->error_code;
}

static void take_group(kc_admin_op *op, const kp_offset_fetch_resp_group *group)
{
    for (int32_t i = 0; i < group->topics.count; i++) {
        const kp_offset_fetch_resp_group_topic *topic = &group->topics.items[i];
        for (int32_t p = 0; p < topic->partitions.count; p++)
            take_offset(op, topic->name, &topic->partitions.items[p]);
    }
}

static void take_single(kc_admin_op *op, const kp_offset_fetch_resp *answer)
{
    for (int32_t i = 0; i < answer->topics.count; i++) {
        const kp_offset_fetch_resp_topic *topic = &answer->topics.items[i];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            const kp_offset_fetch_resp_partition *from = &topic->partitions.items[p];
            kp_offset_fetch_resp_group_topic_partition told = {
                .partition_index = from->partition_index,
                .committed_offset = from->committed_offset,
                .committed_leader_epoch = from->committed_leader_epoch,
                .metadata = from->metadata,
                .error_code = from->error_code,
            };
            take_offset(op, topic->name, &told);
        }
    }
}

/** Error of the group in either form. */
static kc_err fetch_error(const kc_response *response)
{
    const kp_offset_fetch_resp *answer = response->message;
    if (response->version <= OFFSET_FETCH_ONE_GROUP)
        return answer->error_code;
    return answer->groups.count == 1 ? answer->groups.items[0].error_code : KC_ERR_MALFORMED;
}

static kc_err retry_fetch(const kc_response *response, void *user)
{
    (void)user;
    kc_err code = fetch_error(response);
    return kc_is_coordinator_error(code) ? code : KC_OK;
}

static kc_err send_fetch(kc_admin_op *op, bool is_old, kc_error *err);

static void on_fetch(kc_admin_part *part, const kc_response *response)
{
    kc_admin_op *op = part->op;
    kc_error error = {.code = KC_OK};
    if (response->err == KC_ERR_VERSION && part->index == 0) {
        if (send_fetch(op, true, &error) != KC_OK)
            kc_admin_fail(op, &error);
        return;
    }
    if (response->err != KC_OK) {
        kc_admin_fail(op, response->error);
        return;
    }
    kc_err code = fetch_error(response);
    if (code != KC_OK) {
        kb_error_set(&error, code, "offsets of group " KC_FMT ": %s",
                     KC_ARG(((fetch_state *)op->state)->group_id), kc_err_text(code));
        kc_admin_fail(op, &error);
        return;
    }
    const kp_offset_fetch_resp *answer = response->message;
    if (response->version <= OFFSET_FETCH_ONE_GROUP)
        take_single(op, answer);
    else
        take_group(op, &answer->groups.items[0]);
}

/** Partition numbers of one topic. */
static int32_t *numbers_of(kc_admin_op *op, const kc_by_topic *topic)
{
    int32_t *numbers = kb_arena_array(&op->arena, topic->count, sizeof *numbers);
    for (size_t i = 0; numbers && i < topic->count; i++)
        numbers[i] = op->result->offsets[topic->places[i]].partition;
    return numbers;
}

static kc_err fill_group(kc_admin_op *op, const kc_by_topic *topics, size_t count,
                         kp_offset_fetch_req_group *group)
{
    group->topics.items = kb_arena_array(&op->arena, count, sizeof group->topics.items[0]);
    if (!group->topics.items)
        return KC_ERR_NOMEM;
    group->topics.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        kp_offset_fetch_req_group_topic *topic = &group->topics.items[i];
        topic->name = topics[i].topic;
        topic->partition_indexes.items = numbers_of(op, &topics[i]);
        topic->partition_indexes.count = (int32_t)topics[i].count;
        if (!topic->partition_indexes.items)
            return KC_ERR_NOMEM;
    }
    return KC_OK;
}

static kc_err fill_single(kc_admin_op *op, const kc_by_topic *topics, size_t count,
                          kp_offset_fetch_req *request)
{
    request->topics.items = kb_arena_array(&op->arena, count, sizeof request->topics.items[0]);
    if (!request->topics.items)
        return KC_ERR_NOMEM;
    request->topics.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        kp_offset_fetch_req_topic *topic = &request->topics.items[i];
        topic->name = topics[i].topic;
        topic->partition_indexes.items = numbers_of(op, &topics[i]);
        topic->partition_indexes.count = (int32_t)topics[i].count;
        if (!topic->partition_indexes.items)
            return KC_ERR_NOMEM;
    }
    return KC_OK;
}

static kc_err send_fetch(kc_admin_op *op, bool is_old, kc_error *err)
{
    fetch_state *state = op->state;
    kc_by_topic *topics = NULL;
    size_t count = 0;
    kp_offset_fetch_req request;
    kp_offset_fetch_req_group group = {.group_id = state->group_id, .member_epoch = -1};
    kp_defaults(kp_api_by_key(KP_API_OFFSET_FETCH)->request, &request);
    kc_err filled = kc_group_by_topic(op->result->offsets, state->places, op->result->offset_count,
                                      &op->arena, &topics, &count);
    if (filled == KC_OK)
        filled = is_old ? fill_single(op, topics, count, &request)
                        : fill_group(op, topics, count, &group);
    if (filled != KC_OK)
        return kb_error_code(err, filled);
    if (state->is_all)
        request.topics.count = group.topics.count = -1;
    if (is_old) {
        request.group_id = state->group_id;
    } else {
        request.topics.count = 0;
        request.groups.items = &group;
        request.groups.count = 1;
    }
    return kc_admin_send(
        op, KP_API_OFFSET_FETCH, &request,
        &(kc_admin_target){.to = KC_TO_AUTO,
                           .version_max = is_old ? OFFSET_FETCH_ONE_GROUP : OFFSET_FETCH_BY_NAME,
                           .index = is_old,
                           .done = on_fetch,
                           .retry = retry_fetch},
        err);
}

static kc_err start_fetch(kc_admin_op *op, kc_bytes group_id, const kc_topic_partition *partitions,
                          size_t count, kc_error *err)
{
    fetch_state *state = kb_arena_zalloc(&op->arena, sizeof *state);
    kc_topic_offset *asked = kb_arena_array(&op->arena, count, sizeof *asked);
    if (!state || !asked)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (size_t i = 0; i < count; i++)
        asked[i] = (kc_topic_offset){.topic = partitions[i].topic,
                                     .partition = partitions[i].partition,
                                     .offset = -1,
                                     .leader_epoch = -1};
    kb_list_init(&state->all);
    state->is_all = partitions == NULL;
    state->group_id = kb_arena_copy(&op->arena, group_id);
    if (!state->group_id.ptr)
        return kb_error_set(err, group_id.ptr ? KC_ERR_NOMEM : KC_ERR_ARGUMENT,
                            "the group id is null");
    op->state = state;
    op->complete = complete_fetch;
    KB_TRY(kc_admin_add_offsets(op, asked, count, &state->places, err));
    return count > 0 || state->is_all ? send_fetch(op, false, err) : KC_OK;
}

kc_err kc_admin_list_group_offsets(kc_client *client, kc_bytes group_id,
                                   const kc_topic_partition *partitions, size_t count,
                                   const kc_admin_options *options, kc_admin_fn fn, void *user,
                                   kc_error *err)
{
    kc_admin_op *op;
    if (count > INT32_MAX)
        return kb_error_set(err, KC_ERR_ARGUMENT, "too many partitions");
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    return kc_admin_started(op, start_fetch(op, group_id, partitions, partitions ? count : 0, err));
}

/* ---- OffsetCommit ---- */

static kc_err retry_commit(const kc_response *response, void *user)
{
    (void)user;
    const kp_offset_commit_resp *answer = response->message;
    for (int32_t i = 0; i < answer->topics.count; i++)
        for (int32_t p = 0; p < answer->topics.items[i].partitions.count; p++) {
            kc_err code = answer->topics.items[i].partitions.items[p].error_code;
            if (kc_is_coordinator_error(code))
                return code;
        }
    return KC_OK;
}

static void on_commit(kc_admin_part *part, const kc_response *response)
{
    kc_admin_op *op = part->op;
    const kp_offset_commit_resp *answer = response->message;
    if (response->err != KC_OK) {
        kc_admin_fail(op, response->error);
        return;
    }
    for (int32_t i = 0; i < answer->topics.count; i++) {
        const kp_offset_commit_resp_topic *topic = &answer->topics.items[i];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            kc_topic_offset *offset =
                kc_admin_find_offset(op, topic->name, topic->partitions.items[p].partition_index);
            if (offset)
                offset->err = topic->partitions.items[p].error_code;
        }
    }
}

static kc_err fill_commit(kc_admin_op *op, const kc_by_topic *from, kp_offset_commit_req_topic *to)
{
    to->name = from->topic;
    to->partitions.items = kb_arena_array(&op->arena, from->count, sizeof to->partitions.items[0]);
    if (!to->partitions.items)
        return KC_ERR_NOMEM;
    to->partitions.count = (int32_t)from->count;
    for (size_t i = 0; i < from->count; i++) {
        const kc_topic_offset *offset = &op->result->offsets[from->places[i]];
        to->partitions.items[i] = (kp_offset_commit_req_partition){
            .partition_index = offset->partition,
            .committed_offset = offset->offset,
            .committed_leader_epoch = offset->leader_epoch,
            .committed_metadata = offset->metadata.ptr ? offset->metadata : KC_STR(""),
        };
    }
    return KC_OK;
}

static kc_err start_commit(kc_admin_op *op, kc_bytes group_id, const kc_topic_offset *offsets,
                           size_t count, kc_error *err)
{
    size_t *places = NULL;
    kc_by_topic *topics = NULL;
    size_t topic_count = 0;
    kp_offset_commit_req request;
    if (!group_id.ptr)
        return kb_error_set(err, KC_ERR_ARGUMENT, "the group id is null");
    op->complete = complete;
    KB_TRY(kc_admin_add_offsets(op, offsets, count, &places, err));
    if (count == 0)
        return KC_OK;
    kp_defaults(kp_api_by_key(KP_API_OFFSET_COMMIT)->request, &request);
    request.group_id = group_id;
    if (kc_group_by_topic(op->result->offsets, places, count, &op->arena, &topics, &topic_count) !=
        KC_OK)
        return kb_error_code(err, KC_ERR_NOMEM);
    request.topics.items = kb_arena_array(&op->arena, topic_count, sizeof request.topics.items[0]);
    if (!request.topics.items)
        return kb_error_code(err, KC_ERR_NOMEM);
    request.topics.count = (int32_t)topic_count;
    for (size_t i = 0; i < topic_count; i++)
        if (fill_commit(op, &topics[i], &request.topics.items[i]) != KC_OK)
            return kb_error_code(err, KC_ERR_NOMEM);
    return kc_admin_send(op, KP_API_OFFSET_COMMIT, &request,
                         &(kc_admin_target){.to = KC_TO_AUTO,
                                            .version_max = OFFSET_COMMIT_BY_NAME,
                                            .done = on_commit,
                                            .retry = retry_commit},
                         err);
}

kc_err kc_admin_alter_group_offsets(kc_client *client, kc_bytes group_id,
                                    const kc_topic_offset *offsets, size_t count,
                                    const kc_admin_options *options, kc_admin_fn fn, void *user,
                                    kc_error *err)
{
    kc_admin_op *op;
    if (count > INT32_MAX || (count > 0 && !offsets))
        return kb_error_set(err, KC_ERR_ARGUMENT, "the offsets are null or too many");
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    return kc_admin_started(op, start_commit(op, group_id, offsets, count, err));
}
