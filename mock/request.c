/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Memory of a request, and the first questions of the handlers. */
#include "mock/request.h"

void *km_request_alloc(km_request *request, size_t count, size_t item_size)
{
    return kb_arena_array(&request->arena, count, item_size);
}

kc_bytes km_request_copy(km_request *request, kc_bytes bytes)
{
    return kb_arena_copy(&request->arena, bytes);
}

int16_t km_check_broker(const km_request *request)
{
    return request->error;
}

int16_t km_check_coordinator(const km_request *request, km_coordinator_type type, kc_bytes key)
{
    if (request->error)
        return request->error;
    const km_partition *partition = km_coordinator_partition(request->cluster, type, key);
    if (!partition || partition->leader < 0)
        return KC_E_COORDINATOR_NOT_AVAILABLE;
    return partition->leader == request->broker->id ? 0 : KC_E_NOT_COORDINATOR;
}

int16_t km_check_leader(const km_request *request, const km_partition *partition,
                        int32_t leader_epoch)
{
    if (request->error)
        return request->error;
    if (!partition)
        return KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    if (!km_partition_is_on(partition, request->broker->id)) /* it knows of no epoch */
        return KC_E_NOT_LEADER_OR_FOLLOWER;
    if (leader_epoch >= 0 && leader_epoch < partition->leader_epoch)
        return KC_E_FENCED_LEADER_EPOCH;
    if (leader_epoch > partition->leader_epoch)
        return KC_E_UNKNOWN_LEADER_EPOCH;
    return partition->leader == request->broker->id ? 0 : KC_E_NOT_LEADER_OR_FOLLOWER;
}

int16_t km_check_leader_by_id(const km_request *request, const km_topic *topic, int32_t index,
                              int32_t leader_epoch)
{
    if (request->error)
        return request->error;
    if (!topic)
        return KC_E_UNKNOWN_TOPIC_ID;
    bool is_there = index >= 0 && index < topic->partition_count;
    return km_check_leader(request, is_there ? topic->partitions[index] : NULL, leader_epoch);
}
