/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * TxnOffsetCommit: offsets of a group that count when the transaction is committed (KIP-98, KIP-447). The broker that
 * coordinates the group takes them, and asks the transaction's coordinator whether they are part of it (KIP-890). */
#include "mock/api.h"
#include "mock/group_offsets.h"
#include "mock/txn.h"

/** offset.metadata.max.bytes */
#define METADATA_BYTES_MAX 4096
/** Of a partition that nothing was said about yet. */
#define NOT_ANSWERED INT16_MAX

static int16_t check_part(const km_request *request, kc_bytes topic, int32_t index)
{
    if (km_check_broker(request))
        return km_check_broker(request);
    return km_partition_find(request->cluster, topic, index) ? NOT_ANSWERED
                                                             : KC_E_UNKNOWN_TOPIC_OR_PARTITION;
}

/** The answer's shape, with the errors of partitions that are not there. False: no memory. */
static bool shape(km_request *request, const kp_txn_offset_commit_req *asked,
                  kp_txn_offset_commit_resp *out, bool *has_any_out)
{
    *has_any_out = false;
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return false;
    out->topics.count = asked->topics.count;
    for (int32_t i = 0; i < asked->topics.count; i++) {
        const kp_txn_offset_commit_req_topic *from = &asked->topics.items[i];
        kp_txn_offset_commit_resp_topic *to = &out->topics.items[i];
        to->name = from->name;
        to->partitions.items =
            km_request_alloc(request, (size_t)from->partitions.count, sizeof *to->partitions.items);
        if (!to->partitions.items)
            return false;
        to->partitions.count = from->partitions.count;
        for (int32_t k = 0; k < from->partitions.count; k++) {
            to->partitions.items[k].partition_index = from->partitions.items[k].partition_index;
            to->partitions.items[k].error_code =
                check_part(request, from->name, from->partitions.items[k].partition_index);
            *has_any_out |= to->partitions.items[k].error_code == NOT_ANSWERED;
        }
    }
    return true;
}

/** The same to all that have no answer. */
static void answer_rest(kp_txn_offset_commit_resp *out, int16_t error)
{
    for (int32_t i = 0; i < out->topics.count; i++)
        for (int32_t k = 0; k < out->topics.items[i].partitions.count; k++)
            if (out->topics.items[i].partitions.items[k].error_code == NOT_ANSWERED)
                out->topics.items[i].partitions.items[k].error_code = error;
}

/** Are the group's offsets part of the transaction? With protocol 2 they are from now on. */
static int16_t check_txn(const km_request *request, const kp_txn_offset_commit_req *asked)
{
    const km_partition *partition =
        km_coordinator_partition(request->cluster, KM_COORDINATOR_GROUP, asked->group_id);
    if (!partition)
        return KM_TXN_NO_MEMORY;
    const km_txn_write write = {
        .id = asked->transactional_id,
        .producer = {asked->producer_id, asked->producer_epoch},
        .part = {kc_str(partition->topic->name), partition->index},
        .support = request->version > 4   ? KM_TXN_SUPPORTS_ADDING
                   : request->version > 3 ? KM_TXN_SUPPORTS_ABORTABLE
                                          : KM_TXN_SUPPORTS_OLD_ERRORS,
    };
    return km_txn_check_write(request->cluster, &write);
}

/** May it commit each of the partitions that are there (KIP-1251)? */
static int16_t check_partitions(const km_request *request, const kp_txn_offset_commit_req *asked,
                                const km_group *group)
{
    for (int32_t i = 0; group->ops->check_commit_partition && i < asked->topics.count; i++) {
        const kp_txn_offset_commit_req_topic *from = &asked->topics.items[i];
        const km_topic *topic = km_topic_by_name(request->cluster, from->name);
        for (int32_t j = 0; topic && j < from->partitions.count; j++) {
            int32_t index = from->partitions.items[j].partition_index;
            if (index < 0 || index >= topic->partition_count ||
                from->partitions.items[j].committed_metadata.len > METADATA_BYTES_MAX)
                continue; // refused for that
            int16_t error = group->ops->check_commit_partition(
                group, asked->member_id, asked->generation_id, from->name, index);
            if (error)
                return error;
        }
    }
    return 0;
}

/** May this member commit? A group that is not there begins with a commit of nobody's. */
static int16_t check_group(const km_request *request, const kp_txn_offset_commit_req *asked,
                           km_group **group_out)
{
    km_group *group = km_group_find(request->cluster, asked->group_id);
    bool is_there = group && (group->type != KM_GROUP_NONE || group->offsets.count > 0 ||
                              group->pending_offsets.count > 0);
    if (!is_there && asked->generation_id >= 0)
        return KC_E_ILLEGAL_GENERATION;
    group = group ? group : km_group_open(request->cluster, asked->group_id);
    *group_out = group;
    if (!group)
        return KM_TXN_NO_MEMORY;
    if (group->type == KM_GROUP_NONE)
        return asked->generation_id < 0 ? 0 : KC_E_UNKNOWN_MEMBER_ID;
    if (!group->ops->check_commit)
        return KC_E_GROUP_ID_NOT_FOUND;
    int16_t error = group->ops->check_commit(group, asked->member_id, asked->group_instance_id,
                                             asked->generation_id, true);
    error = error ? error : check_partitions(request, asked, group);
    return error == KC_E_STALE_MEMBER_EPOCH ? KC_E_ILLEGAL_GENERATION : error;
}

static int16_t check(const km_request *request, const kp_txn_offset_commit_req *asked,
                     km_group **group_out)
{
    if (asked->group_id.len == 0)
        return KC_E_INVALID_GROUP_ID;
    int16_t error = km_check_coordinator(request, KM_COORDINATOR_GROUP, asked->group_id);
    error = error ? error : check_txn(request, asked);
    return error ? error : check_group(request, asked, group_out);
}

/** False: no memory. What was noted before stays: it is the transaction's, and comes again when it is tried again. */
static bool put_topic(km_group *group, int64_t producer_id,
                      const kp_txn_offset_commit_req_topic *asked,
                      kp_txn_offset_commit_resp_topic *out)
{
    for (int32_t i = 0; i < asked->partitions.count; i++) {
        const kp_txn_offset_commit_req_partition *part = &asked->partitions.items[i];
        int16_t *error = &out->partitions.items[i].error_code;
        if (*error != NOT_ANSWERED)
            continue;
        *error =
            part->committed_metadata.len > METADATA_BYTES_MAX ? KC_E_OFFSET_METADATA_TOO_LARGE : 0;
        if (*error == 0 &&
            km_group_offset_put_pending(group, producer_id, asked->name, part->partition_index,
                                        part->committed_offset, part->committed_leader_epoch,
                                        part->committed_metadata))
            return false;
    }
    return true;
}

km_action km_api_txn_offset_commit(km_request *request, const void *message, void *response)
{
    const kp_txn_offset_commit_req *asked = message;
    kp_txn_offset_commit_resp *out = response;
    bool has_any;
    km_group *group = NULL;
    if (!shape(request, asked, out, &has_any))
        return KM_CLOSE;
    if (!has_any)
        return KM_ANSWER;
    int16_t error = check(request, asked, &group);
    if (error == KM_TXN_NO_MEMORY)
        return KM_CLOSE;
    if (error) {
        answer_rest(out, error);
        return KM_ANSWER;
    }
    for (int32_t i = 0; i < asked->topics.count; i++)
        if (!put_topic(group, asked->producer_id, &asked->topics.items[i], &out->topics.items[i]))
            return KM_CLOSE;
    return KM_ANSWER;
}
