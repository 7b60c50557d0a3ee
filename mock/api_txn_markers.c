/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * WriteTxnMarkers (KIP-98): a transaction ends in the partitions that are named. Coordinators in memory have no need of
 * it, see txn_markers.c; administrators end by it what hangs (KIP-664). It is answered before the replicas have the
 * markers. */
#include "mock/api.h"
#include "mock/group_offsets.h"
#include "mock/producer_state.h"

typedef kp_write_txn_markers_req_marker marker_in;

/** A partition that lies on other brokers only is not known here. */
static int16_t check_partition(const km_request *request, const km_partition *partition)
{
    if (!request->error && partition && !km_partition_is_on(partition, request->broker->id))
        return KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    return km_check_leader(request, partition, -1);
}

/** Since transaction.version 2 the end has an epoch of its own. The last one again is a repetition. */
static int16_t check_producer(const km_partition *partition, const marker_in *marker)
{
    const km_producer *producer = km_producer_find(partition, marker->producer_id);
    if (marker->producer_id < 0 || marker->producer_epoch < 0)
        return KC_E_UNKNOWN_SERVER_ERROR;
    if (!producer)
        return 0;
    bool needs_next = marker->transaction_version >= 2 && producer->txn_first_offset >= 0;
    if (marker->producer_epoch < producer->epoch + needs_next)
        return KC_E_INVALID_PRODUCER_EPOCH;
    return marker->coordinator_epoch < producer->coordinator_epoch
               ? KC_E_TRANSACTION_COORDINATOR_FENCED
               : 0;
}

static int16_t write_marker(km_request *request, const marker_in *marker, kc_bytes topic,
                            int32_t index)
{
    km_partition *partition = km_partition_find(request->cluster, topic, index);
    int16_t error = check_partition(request, partition);
    if (error)
        return error;
    kc_err err;
    if (kc_bytes_equal(topic, KC_STR("__consumer_offsets"))) {
        err = km_groups_offsets_end(partition, marker->producer_id, marker->transaction_result);
    } else {
        error = check_producer(partition, marker);
        if (error)
            return error;
        err = km_partition_append_marker(partition, marker->producer_id, marker->producer_epoch,
                                         marker->coordinator_epoch, marker->transaction_result);
    }
    return err ? KC_E_KAFKA_STORAGE_ERROR : 0;
}

static void write_markers(km_request *request, const marker_in *marker,
                          kp_write_txn_markers_resp_marker *out)
{
    for (int32_t i = 0; i < out->topics.count; i++) {
        kp_write_txn_markers_resp_topic *topic = &out->topics.items[i];
        for (int32_t k = 0; k < topic->partitions.count; k++)
            topic->partitions.items[k].error_code = write_marker(
                request, marker, topic->name, topic->partitions.items[k].partition_index);
    }
}

/** The answer without its codes. False: no memory. */
static bool lay_out(km_request *request, const marker_in *marker,
                    kp_write_txn_markers_resp_marker *out)
{
    size_t count = (size_t)marker->topics.count;
    out->producer_id = marker->producer_id;
    out->topics.items = km_request_alloc(request, count, sizeof *out->topics.items);
    if (!out->topics.items)
        return false;
    out->topics.count = marker->topics.count;
    for (size_t i = 0; i < count; i++) {
        const kp_write_txn_markers_req_topic *from = &marker->topics.items[i];
        kp_write_txn_markers_resp_topic *to = &out->topics.items[i];
        to->name = from->name;
        to->partitions.items = km_request_alloc(request, (size_t)from->partition_indexes.count,
                                                sizeof *to->partitions.items);
        if (!to->partitions.items)
            return false;
        to->partitions.count = from->partition_indexes.count;
        for (int32_t k = 0; k < to->partitions.count; k++)
            to->partitions.items[k].partition_index = from->partition_indexes.items[k];
    }
    return true;
}

km_action km_api_write_txn_markers(km_request *request, const void *message, void *response)
{
    const kp_write_txn_markers_req *asked = message;
    kp_write_txn_markers_resp *out = response;
    out->markers.items =
        km_request_alloc(request, (size_t)asked->markers.count, sizeof *out->markers.items);
    if (!out->markers.items)
        return KM_CLOSE;
    out->markers.count = asked->markers.count;
    for (int32_t i = 0; i < asked->markers.count; i++)
        if (!lay_out(request, &asked->markers.items[i], &out->markers.items[i]))
            return KM_CLOSE;
    for (int32_t i = 0; i < asked->markers.count; i++)
        write_markers(request, &asked->markers.items[i], &out->markers.items[i]);
    return KM_ANSWER;
}
