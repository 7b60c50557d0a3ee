/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The acknowledgements of one request. */
#include "mock/share_acks.h"

#include <stdlib.h>

bool km_share_error_is_of_partition(int16_t error)
{
    switch (error) {
    case KC_E_UNKNOWN_TOPIC_OR_PARTITION:
    case KC_E_UNKNOWN_TOPIC_ID:
    case KC_E_NOT_LEADER_OR_FOLLOWER:
    case KC_E_LEADER_NOT_AVAILABLE:
    case KC_E_FENCED_LEADER_EPOCH:
    case KC_E_UNKNOWN_LEADER_EPOCH:
    case KC_E_KAFKA_STORAGE_ERROR:
    case KC_E_OFFSET_NOT_AVAILABLE:
    case KC_E_CORRUPT_MESSAGE:
    case KC_E_TOPIC_AUTHORIZATION_FAILED:
    case KC_E_INVALID_RECORD_STATE:
    case KC_E_COORDINATOR_NOT_AVAILABLE:
        return true;
    default:
        return false;
    }
}

static int by_partition(const void *a, const void *b)
{
    const km_share_ack_item *left = a;
    const km_share_ack_item *right = b;
    int order = memcmp(left->topic_id.bytes, right->topic_id.bytes, sizeof left->topic_id.bytes);
    return order ? order : (left->index > right->index) - (left->index < right->index);
}

km_share_ack_item *km_share_acks_find(const km_share_acks *acks, kc_uuid topic_id, int32_t index)
{
    const km_share_ack_item key = {.topic_id = topic_id, .index = index};
    return acks->count == 0
               ? NULL
               : bsearch(&key, acks->items, acks->count, sizeof *acks->items, by_partition);
}

/* ---- reading: the two requests look the same, but each has types of its own ---- */

static km_share_ack_item *add_item(km_request *request, km_share_acks *out, kc_uuid topic_id,
                                   int32_t index, int32_t count)
{
    km_share_ack_item *item = &out->items[out->count++];
    item->topic_id = topic_id;
    item->index = index;
    item->count = (size_t)count;
    item->acks = km_request_alloc(request, item->count, sizeof *item->acks);
    out->has_any |= count > 0;
    return item->acks ? item : NULL;
}

/** As km_share_acks_find() wants them. */
static void put_in_order(km_share_acks *out)
{
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, by_partition);
}

static bool read_fetched(km_request *request, const kp_share_fetch_req_topic *topic,
                         km_share_acks *out)
{
    for (int32_t i = 0; i < topic->partitions.count; i++) {
        const kp_share_fetch_req_partition *partition = &topic->partitions.items[i];
        int32_t count = partition->acknowledgement_batches.count;
        km_share_ack_item *item =
            add_item(request, out, topic->topic_id, partition->partition_index, count);
        if (!item)
            return false;
        for (int32_t k = 0; k < count; k++) {
            const kp_share_fetch_req_acknowledgement_batch *batch =
                &partition->acknowledgement_batches.items[k];
            item->acks[k] =
                (km_share_ack){batch->first_offset, batch->last_offset,
                               batch->acknowledge_types.items, batch->acknowledge_types.count};
        }
    }
    return true;
}

bool km_share_acks_of_fetch(km_request *request, const kp_share_fetch_req *asked,
                            km_share_acks *out)
{
    size_t count = 0;
    for (int32_t i = 0; i < asked->topics.count; i++)
        count += (size_t)asked->topics.items[i].partitions.count;
    out->items = km_request_alloc(request, count, sizeof *out->items);
    for (int32_t i = 0; out->items && i < asked->topics.count; i++)
        if (!read_fetched(request, &asked->topics.items[i], out))
            return false;
    put_in_order(out);
    return out->items != NULL;
}

static bool read_acknowledged(km_request *request, const kp_share_acknowledge_req_topic *topic,
                              km_share_acks *out)
{
    for (int32_t i = 0; i < topic->partitions.count; i++) {
        const kp_share_acknowledge_req_partition *partition = &topic->partitions.items[i];
        int32_t count = partition->acknowledgement_batches.count;
        km_share_ack_item *item =
            add_item(request, out, topic->topic_id, partition->partition_index, count);
        if (!item)
            return false;
        for (int32_t k = 0; k < count; k++) {
            const kp_share_acknowledge_req_acknowledgement_batch *batch =
                &partition->acknowledgement_batches.items[k];
            item->acks[k] =
                (km_share_ack){batch->first_offset, batch->last_offset,
                               batch->acknowledge_types.items, batch->acknowledge_types.count};
        }
    }
    return true;
}

bool km_share_acks_of_acknowledge(km_request *request, const kp_share_acknowledge_req *asked,
                                  km_share_acks *out)
{
    size_t count = 0;
    for (int32_t i = 0; i < asked->topics.count; i++)
        count += (size_t)asked->topics.items[i].partitions.count;
    out->items = km_request_alloc(request, count, sizeof *out->items);
    for (int32_t i = 0; out->items && i < asked->topics.count; i++)
        if (!read_acknowledged(request, &asked->topics.items[i], out))
            return false;
    put_in_order(out);
    return out->items != NULL;
}

/* ---- checking and doing ---- */

/** Are the ranges in order, and is there a known type for each record or one for all? */
static bool is_valid(const km_share_ack_item *item, int8_t type_max, bool is_renew_ack)
{
    int64_t end = -1;
    for (size_t i = 0; i < item->count; i++) {
        const km_share_ack *ack = &item->acks[i];
        if (ack->first > ack->last || ack->first < end || ack->type_count < 1 ||
            (ack->type_count > 1 && ack->last - ack->first != ack->type_count - 1))
            return false;
        for (int32_t k = 0; k < ack->type_count; k++)
            if (ack->types[k] < KM_SHARE_ACK_GAP || ack->types[k] > type_max ||
                (ack->types[k] == KM_SHARE_ACK_RENEW && !is_renew_ack))
                return false;
        end = ack->last;
    }
    return true;
}

/** Only the leader that has the partition's state in memory can take acknowledgements; any other broker never heard of
 * it. */
static void apply_item(const km_request *request, kc_bytes group_id, kc_bytes member_id,
                       km_share_ack_item *item)
{
    km_share_partition *shared =
        km_share_partition_at(request->broker, group_id, item->topic_id, item->index);
    if (!shared) {
        item->error = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
        item->message = "This server does not host this topic-partition.";
        return;
    }
    item->error = km_share_acknowledge(shared, member_id, item->acks, item->count, &item->message);
}

/** 0: it can be done. */
static int16_t check_item(const km_request *request, const km_share_ack_item *item,
                          bool is_renew_ack)
{
    if (km_check_broker(request))
        return km_check_broker(request);
    const km_topic *topic = km_topic_by_id(request->cluster, item->topic_id);
    if (!topic)
        return KC_E_UNKNOWN_TOPIC_ID;
    int8_t type_max = request->version >= 2 ? KM_SHARE_ACK_RENEW : KM_SHARE_ACK_REJECT;
    if (!is_valid(item, type_max, is_renew_ack))
        return KC_E_INVALID_REQUEST;
    return item->index >= 0 && item->index < topic->partition_count
               ? 0
               : KC_E_UNKNOWN_TOPIC_OR_PARTITION;
}

void km_share_acks_apply(km_request *request, kc_bytes group_id, kc_bytes member_id,
                         bool is_renew_ack, km_share_acks *acks)
{
    bool is_any_done = false;
    for (size_t i = 0; i < acks->count; i++) {
        km_share_ack_item *item = &acks->items[i];
        item->error = check_item(request, item, is_renew_ack);
        item->is_told = item->error != 0;
        if (item->error || item->count == 0)
            continue;
        apply_item(request, group_id, member_id, item);
        item->is_told = true;
        is_any_done = true;
    }
    /* A partition without a range is told of only next to one that has some. */
    for (size_t i = 0; i < acks->count; i++)
        acks->items[i].is_told |= is_any_done;
}
