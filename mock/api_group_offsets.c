/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * OffsetCommit, OffsetFetch, OffsetDelete: where groups are in their topics. */
#include "mock/api.h"
#include "mock/group_offsets.h"
#include "protocol/base/names.h"

#include <stdlib.h>

/** offset.metadata.max.bytes, which counts Java's characters */
#define METADATA_MAX 4096

/* ---- OffsetCommit ---- */

static size_t utf16_len(kc_bytes text)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++)
        len += (text.ptr[i] & 0xc0) == 0x80 ? 0 : text.ptr[i] >= 0xf0 ? 2 : 1;
    return len;
}

static bool is_too_large(const kp_offset_commit_req_partition *partition)
{
    return utf16_len(partition->committed_metadata) > METADATA_MAX;
}

static const km_topic *topic_of(const km_request *request, kc_bytes name, kc_uuid id)
{
    return request->version >= 10 ? km_topic_by_id(request->cluster, id)
                                  : km_topic_by_name(request->cluster, name);
}

static bool has_partition(const km_topic *topic, int32_t index)
{
    return topic && index >= 0 && index < topic->partition_count;
}

/** One partition that is refused refuses all that could be committed (KIP-1251). */
static int16_t check_partitions(const km_request *request, const km_group *group)
{
    const kp_offset_commit_req *asked = request->message;
    if (!group->ops->check_commit_partition)
        return 0;
    int16_t error = 0;
    for (int32_t t = 0; t < asked->topics.count; t++) {
        const kp_offset_commit_req_topic *item = &asked->topics.items[t];
        const km_topic *topic = topic_of(request, item->name, item->topic_id);
        for (int32_t i = 0; !error && i < item->partitions.count; i++) {
            const kp_offset_commit_req_partition *partition = &item->partitions.items[i];
            if (has_partition(topic, partition->partition_index) && !is_too_large(partition))
                error = group->ops->check_commit_partition(
                    group, asked->member_id, asked->generation_id_or_member_epoch,
                    kc_str(topic->name), partition->partition_index);
        }
    }
    return error;
}

static int16_t check_member(const km_request *request, km_group *group)
{
    const kp_offset_commit_req *asked = request->message;
    int32_t generation = asked->generation_id_or_member_epoch;
    if (group->type == KM_GROUP_NONE)
        return generation < 0 ? 0 : KC_E_UNKNOWN_MEMBER_ID;
    if (!group->ops->check_commit)
        return KC_E_GROUP_ID_NOT_FOUND;
    int16_t error = group->ops->check_commit(group, asked->member_id, asked->group_instance_id,
                                             generation, false);
    /* KIP-848 is told apart by version: a member's epoch is no generation. */
    if (group->type == KM_GROUP_CONSUMER && request->version < 9 && !km_group_is_empty(group) &&
        error != KC_E_UNKNOWN_MEMBER_ID)
        return KC_E_UNSUPPORTED_VERSION;
    return error ? error : check_partitions(request, group);
}

/** May this member commit? Makes the group of a consumer that has no members. */
static int16_t check_commit(km_request *request, km_group **group_out)
{
    const kp_offset_commit_req *asked = request->message;
    int16_t error = km_check_coordinator(request, KM_COORDINATOR_GROUP, asked->group_id);
    if (error)
        return error;
    km_group *group = km_group_find(request->cluster, asked->group_id);
    if (!km_group_is_known(group)) {
        if (asked->generation_id_or_member_epoch >= 0)
            return request->version >= 9 ? KC_E_GROUP_ID_NOT_FOUND : KC_E_ILLEGAL_GENERATION;
        group = group ? group : km_group_open(request->cluster, asked->group_id);
        if (!group)
            return KC_E_UNKNOWN_SERVER_ERROR;
    }
    *group_out = group;
    return check_member(request, group);
}

typedef struct committing {
    km_request *request;
    km_group *group;
    bool is_checked;
    int16_t error; /**< for all partitions that are there */
} committing;

/** KC_ERR_NOMEM only. */
static kc_err commit_partition(committing *work, kc_bytes topic,
                               const kp_offset_commit_req_partition *asked, int16_t *error_out)
{
    if (!work->is_checked)
        work->error = check_commit(work->request, &work->group);
    work->is_checked = true;
    *error_out = work->error;
    if (!*error_out && is_too_large(asked))
        *error_out = KC_E_OFFSET_METADATA_TOO_LARGE;
    if (*error_out)
        return KC_OK;
    return km_group_offset_put(work->group, topic, asked->partition_index, asked->committed_offset,
                               asked->committed_leader_epoch, asked->committed_metadata);
}

static bool commit_topic(committing *work, const kp_offset_commit_req_topic *asked,
                         kp_offset_commit_resp_topic *out)
{
    km_request *request = work->request;
    const km_topic *topic = topic_of(request, asked->name, asked->topic_id);
    out->name = asked->name;
    out->topic_id = asked->topic_id;
    out->partitions.items =
        km_request_alloc(request, (size_t)asked->partitions.count, sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    for (int32_t i = 0; i < asked->partitions.count; i++) {
        const kp_offset_commit_req_partition *partition = &asked->partitions.items[i];
        int16_t error = km_check_broker(request);
        if (!error && !topic && request->version >= 10)
            error = KC_E_UNKNOWN_TOPIC_ID;
        else if (!error && !has_partition(topic, partition->partition_index))
            error = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
        else if (!error && commit_partition(work, kc_str(topic->name), partition, &error))
            return false;
        out->partitions.items[i].partition_index = partition->partition_index;
        out->partitions.items[i].error_code = error;
        out->partitions.count++;
    }
    return true;
}

km_action km_api_offset_commit(km_request *request, const void *message, void *response)
{
    const kp_offset_commit_req *asked = message;
    kp_offset_commit_resp *out = response;
    committing work = {.request = request};
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return KM_CLOSE;
    for (; out->topics.count < asked->topics.count; out->topics.count++)
        if (!commit_topic(&work, &asked->topics.items[out->topics.count],
                          &out->topics.items[out->topics.count]))
            return KM_CLOSE;
    return KM_ANSWER;
}

/* ---- OffsetFetch ---- */

/** NULL: none is known, and nothing is committed. */
static const km_group *fetched_group(const km_request *request,
                                     const kp_offset_fetch_req_group *asked, int16_t *error_out)
{
    *error_out = km_check_coordinator(request, KM_COORDINATOR_GROUP, asked->group_id);
    if (*error_out)
        return NULL;
    const km_group *group = km_group_find(request->cluster, asked->group_id);
    if (group && group->type == KM_GROUP_SHARE)
        return NULL;
    if (group && group->type != KM_GROUP_NONE && group->ops->check_fetch)
        *error_out = group->ops->check_fetch(group, asked->member_id, asked->member_epoch);
    return group;
}

static void put_fetched(km_request *request, const km_group *group, kc_bytes topic,
                        kp_offset_fetch_resp_group_topic_partition *out)
{
    const kp_offset_fetch_req *asked = request->message;
    int32_t index = out->partition_index;
    const km_offset *offset = group ? km_group_offset_get(group, topic, index) : NULL;
    out->committed_offset = -1;
    out->committed_leader_epoch = -1;
    out->metadata = KC_STR("");
    if (group && asked->require_stable && km_group_offset_is_pending(group, topic, index)) {
        out->error_code = KC_E_UNSTABLE_OFFSET_COMMIT;
    } else if (offset) {
        out->committed_offset = offset->offset;
        out->committed_leader_epoch = offset->leader_epoch;
        out->metadata = km_request_copy(request, offset->metadata);
    }
}

static bool fetch_topic(km_request *request, const km_group *group,
                        const kp_offset_fetch_req_group_topic *asked,
                        kp_offset_fetch_resp_group_topic *out)
{
    const km_topic *topic =
        request->version >= 10 ? km_topic_by_id(request->cluster, asked->topic_id) : NULL;
    bool is_unknown = request->version >= 10 && !topic;
    kc_bytes name = topic ? kc_str(topic->name) : asked->name;
    out->name = asked->name;
    out->topic_id = asked->topic_id;
    out->partitions.items = km_request_alloc(request, (size_t)asked->partition_indexes.count,
                                             sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    for (int32_t i = 0; i < asked->partition_indexes.count; i++) {
        kp_offset_fetch_resp_group_topic_partition *item = &out->partitions.items[i];
        item->partition_index = asked->partition_indexes.items[i];
        put_fetched(request, is_unknown ? NULL : group, name, item);
        if (is_unknown)
            item->error_code = KC_E_UNKNOWN_TOPIC_ID;
        if (!item->metadata.ptr)
            return false;
        out->partitions.count++;
    }
    return true;
}

static int by_place(const void *a, const void *b)
{
    const km_offset *left = *(const km_offset *const *)a;
    const km_offset *right = *(const km_offset *const *)b;
    int order = kb_compare(left->topic, right->topic);
    return order ? order
                 : (left->partition > right->partition) - (left->partition < right->partition);
}

/** All the group has, by topic and partition; of version 10 those of topics that are still there, which alone have an
 * id. NULL: no memory. */
static const km_offset **offsets_by_place(km_request *request, const km_group *group,
                                          size_t *count_out)
{
    size_t pos = 0, count = 0;
    const km_offset *offset;
    const km_offset **offsets =
        km_request_alloc(request, group ? group->offsets.count : 0, sizeof *offsets);
    while (offsets && group && (offset = km_group_offset_next(group, &pos)))
        if (request->version < 10 || km_topic_by_name(request->cluster, offset->topic))
            offsets[count++] = offset;
    if (offsets && count > 1)
        qsort(offsets, count, sizeof *offsets, by_place);
    *count_out = count;
    return offsets;
}

static bool put_topic(km_request *request, const km_group *group, const km_offset **offsets,
                      size_t count, kp_offset_fetch_resp_group_topic *out)
{
    const km_topic *topic = km_topic_by_name(request->cluster, offsets[0]->topic);
    out->name = km_request_copy(request, offsets[0]->topic);
    if (topic)
        out->topic_id = topic->id;
    out->partitions.items = km_request_alloc(request, count, sizeof *out->partitions.items);
    if (!out->name.ptr || !out->partitions.items)
        return false;
    for (size_t i = 0; i < count; i++) {
        kp_offset_fetch_resp_group_topic_partition *item = &out->partitions.items[i];
        item->partition_index = offsets[i]->partition;
        put_fetched(request, group, offsets[i]->topic, item);
        if (!item->metadata.ptr)
            return false;
        out->partitions.count++;
    }
    return true;
}

static bool fetch_all(km_request *request, const km_group *group, kp_offset_fetch_resp_group *out)
{
    size_t count;
    const km_offset **offsets = offsets_by_place(request, group, &count);
    out->topics.items = km_request_alloc(request, count, sizeof *out->topics.items);
    if (!offsets || !out->topics.items)
        return false;
    for (size_t begin = 0, end; begin < count; begin = end) {
        end = begin + 1;
        while (end < count && kc_bytes_equal(offsets[end]->topic, offsets[begin]->topic))
            end++;
        if (!put_topic(request, group, offsets + begin, end - begin,
                       &out->topics.items[out->topics.count++]))
            return false;
    }
    return true;
}

static bool fetch_group(km_request *request, const kp_offset_fetch_req_group *asked,
                        kp_offset_fetch_resp_group *out)
{
    out->group_id = asked->group_id;
    const km_group *group = fetched_group(request, asked, &out->error_code);
    if (out->error_code)
        return true;
    if (asked->topics.count < 0)
        return fetch_all(request, group, out);
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return false;
    for (; out->topics.count < asked->topics.count; out->topics.count++)
        if (!fetch_topic(request, group, &asked->topics.items[out->topics.count],
                         &out->topics.items[out->topics.count]))
            return false;
    return true;
}

/* Until version 7 there is one group, and until version 1 no error of its own. */

static bool put_old_topic(km_request *request, const kp_offset_fetch_resp_group_topic *from,
                          kp_offset_fetch_resp_topic *to)
{
    to->name = from->name;
    to->partitions.items =
        km_request_alloc(request, (size_t)from->partitions.count, sizeof *to->partitions.items);
    if (!to->partitions.items)
        return false;
    for (; to->partitions.count < from->partitions.count; to->partitions.count++) {
        const kp_offset_fetch_resp_group_topic_partition *partition =
            &from->partitions.items[to->partitions.count];
        to->partitions.items[to->partitions.count] = (kp_offset_fetch_resp_partition){
            .partition_index = partition->partition_index,
            .committed_offset = partition->committed_offset,
            .committed_leader_epoch = partition->committed_leader_epoch,
            .metadata = partition->metadata,
            .error_code = partition->error_code,
        };
    }
    return true;
}

/** Version 1 tells the group's error with each partition asked for. */
static bool spread_error(km_request *request, const kp_offset_fetch_req_group *asked,
                         kp_offset_fetch_resp_group *found)
{
    found->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *found->topics.items);
    if (!found->topics.items)
        return false;
    for (; found->topics.count < asked->topics.count; found->topics.count++) {
        kp_offset_fetch_resp_group_topic *topic = &found->topics.items[found->topics.count];
        if (!fetch_topic(request, NULL, &asked->topics.items[found->topics.count], topic))
            return false;
        for (int32_t i = 0; i < topic->partitions.count; i++)
            topic->partitions.items[i].error_code = found->error_code;
    }
    return true;
}

static bool fetch_old(km_request *request, const kp_offset_fetch_req *asked,
                      kp_offset_fetch_resp *out)
{
    int32_t count = asked->topics.count;
    kp_offset_fetch_req_group group = {.group_id = asked->group_id, .member_epoch = -1};
    kp_offset_fetch_resp_group found = {0};
    group.topics.count = count;
    group.topics.items =
        km_request_alloc(request, count > 0 ? (size_t)count : 0, sizeof *group.topics.items);
    if (!group.topics.items)
        return false;
    for (int32_t i = 0; i < count; i++) {
        group.topics.items[i].name = asked->topics.items[i].name;
        group.topics.items[i].partition_indexes.items =
            asked->topics.items[i].partition_indexes.items;
        group.topics.items[i].partition_indexes.count =
            asked->topics.items[i].partition_indexes.count;
    }
    if (!fetch_group(request, &group, &found))
        return false;
    out->error_code = found.error_code;
    if (found.error_code && request->version < 2 && !spread_error(request, &group, &found))
        return false;
    out->topics.items =
        km_request_alloc(request, (size_t)found.topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return false;
    for (; out->topics.count < found.topics.count; out->topics.count++)
        if (!put_old_topic(request, &found.topics.items[out->topics.count],
                           &out->topics.items[out->topics.count]))
            return false;
    return true;
}

km_action km_api_offset_fetch(km_request *request, const void *message, void *response)
{
    const kp_offset_fetch_req *asked = message;
    kp_offset_fetch_resp *out = response;
    if (request->version < 8)
        return fetch_old(request, asked, out) ? KM_ANSWER : KM_CLOSE;
    out->groups.items =
        km_request_alloc(request, (size_t)asked->groups.count, sizeof *out->groups.items);
    if (!out->groups.items)
        return KM_CLOSE;
    for (; out->groups.count < asked->groups.count; out->groups.count++)
        if (!fetch_group(request, &asked->groups.items[out->groups.count],
                         &out->groups.items[out->groups.count]))
            return KM_CLOSE;
    return KM_ANSWER;
}

/* ---- OffsetDelete (KIP-496) ---- */

static int16_t check_delete(const km_request *request, const kp_offset_delete_req *asked,
                            km_group **group_out)
{
    int16_t error = km_check_broker(request);
    if (error)
        return error;
    if (asked->group_id.len == 0)
        return KC_E_INVALID_GROUP_ID;
    error = km_check_coordinator(request, KM_COORDINATOR_GROUP, asked->group_id);
    if (error)
        return error;
    km_group *group = km_group_find(request->cluster, asked->group_id);
    if (!km_group_is_known(group) || group->type == KM_GROUP_SHARE)
        return KC_E_GROUP_ID_NOT_FOUND;
    *group_out = group;
    /* What members of other protocols read is not known. */
    if (group->type == KM_GROUP_CLASSIC && !km_group_is_empty(group) &&
        !kc_bytes_equal(group->ops->protocol_type(group), KC_STR("consumer")))
        return KC_E_NON_EMPTY_GROUP;
    return 0;
}

static bool delete_topic(km_request *request, km_group *group,
                         const kp_offset_delete_req_topic *asked, kp_offset_delete_resp_topic *out)
{
    const km_topic *topic = km_topic_by_name(request->cluster, asked->name);
    bool is_subscribed =
        group->type != KM_GROUP_NONE && group->ops->is_subscribed(group, asked->name);
    out->name = asked->name;
    out->partitions.items =
        km_request_alloc(request, (size_t)asked->partitions.count, sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    for (int32_t i = 0; i < asked->partitions.count; i++) {
        int32_t index = asked->partitions.items[i].partition_index;
        kp_offset_delete_resp_partition *item = &out->partitions.items[i];
        item->partition_index = index;
        if (!has_partition(topic, index))
            item->error_code = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
        else if (is_subscribed)
            item->error_code = KC_E_GROUP_SUBSCRIBED_TO_TOPIC;
        else
            km_group_offset_remove(group, asked->name, index);
        out->partitions.count++;
    }
    return true;
}

km_action km_api_offset_delete(km_request *request, const void *message, void *response)
{
    const kp_offset_delete_req *asked = message;
    kp_offset_delete_resp *out = response;
    km_group *group = NULL;
    out->error_code = check_delete(request, asked, &group);
    if (out->error_code)
        return KM_ANSWER;
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return KM_CLOSE;
    for (; out->topics.count < asked->topics.count; out->topics.count++)
        if (!delete_topic(request, group, &asked->topics.items[out->topics.count],
                          &out->topics.items[out->topics.count]))
            return KM_CLOSE;
    return KM_ANSWER;
}
