/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * DescribeQuorum (KIP-595, KIP-853): who keeps the cluster's metadata. Every broker is a controller too, as in a small
 * cluster of Kafka with a fixed set of voters. */
#include "mock/api.h"

#define METADATA_TOPIC "__cluster_metadata"
/** A controller without work writes a record each (metadata.max.idle.interval.ms). */
#define IDLE_RECORD_US INT64_C(500000)

typedef kp_describe_quorum_resp_partition partition_out;

static bool is_metadata(const kp_describe_quorum_req *asked)
{
    return asked->topics.count == 1 && asked->topics.items[0].partitions.count == 1 &&
           kc_bytes_equal(asked->topics.items[0].topic_name, KC_STR(METADATA_TOPIC)) &&
           asked->topics.items[0].partitions.items[0].partition_index == 0;
}

static bool put_voters(km_request *request, int64_t log_end_offset, partition_out *out)
{
    const km_cluster *cluster = request->cluster;
    size_t count = (size_t)cluster->broker_count;
    out->current_voters.items = km_request_alloc(request, count, sizeof *out->current_voters.items);
    if (!out->current_voters.items)
        return false;
    out->current_voters.count = cluster->broker_count;
    for (int i = 0; i < cluster->broker_count; i++) {
        const km_broker *broker = &cluster->brokers[i];
        int64_t seen_ms = broker->is_down ? -1 : cluster->wall_ms;
        out->current_voters.items[i] = (kp_describe_quorum_resp_replica_state){
            .replica_id = broker->id,
            .log_end_offset = broker->is_down ? -1 : log_end_offset,
            .last_fetch_timestamp = seen_ms,
            .last_caught_up_timestamp = seen_ms,
        };
    }
    return true;
}

static bool put_nodes(km_request *request, kp_describe_quorum_resp *out)
{
    const km_cluster *cluster = request->cluster;
    size_t count = (size_t)cluster->broker_count;
    kp_describe_quorum_resp_listener *listeners =
        km_request_alloc(request, count, sizeof *listeners);
    out->nodes.items = km_request_alloc(request, count, sizeof *out->nodes.items);
    if (!listeners || !out->nodes.items)
        return false;
    out->nodes.count = cluster->broker_count;
    for (int i = 0; i < cluster->broker_count; i++) {
        const km_broker *broker = &cluster->brokers[i];
        listeners[i] = (kp_describe_quorum_resp_listener){
            .name = KC_STR("CONTROLLER"),
            .host = kc_str(broker->host),
            .port = (uint16_t)broker->port,
        };
        out->nodes.items[i].node_id = broker->id;
        out->nodes.items[i].listeners.items = &listeners[i];
        out->nodes.items[i].listeners.count = 1;
    }
    return true;
}

static bool put_partition(km_request *request, bool is_known, partition_out *out)
{
    const km_cluster *cluster = request->cluster;
    out->error_code = km_check_broker(request);
    if (out->error_code)
        return true;
    if (!is_known) {
        out->error_code = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
        out->error_message = KC_STR("This server does not host this topic-partition.");
        return true;
    }
    int64_t log_end_offset = cluster->now_us / IDLE_RECORD_US + 1;
    out->error_message = KC_STR("");
    out->leader_id = cluster->controller;
    out->leader_epoch = 1;
    out->high_watermark = log_end_offset;
    return put_voters(request, log_end_offset, out);
}

km_action km_api_describe_quorum(km_request *request, const void *message, void *response)
{
    const kp_describe_quorum_req *asked = message;
    kp_describe_quorum_resp *out = response;
    bool is_known = is_metadata(asked);
    size_t topics = (size_t)asked->topics.count;
    out->topics.items = km_request_alloc(request, topics, sizeof *out->topics.items);
    if (!out->topics.items)
        return KM_CLOSE;
    out->topics.count = asked->topics.count;
    for (size_t i = 0; i < topics; i++) {
        const kp_describe_quorum_req_topic *topic = &asked->topics.items[i];
        kp_describe_quorum_resp_topic *to = &out->topics.items[i];
        size_t partitions = (size_t)topic->partitions.count;
        to->topic_name = topic->topic_name;
        to->partitions.items = km_request_alloc(request, partitions, sizeof *to->partitions.items);
        if (!to->partitions.items)
            return KM_CLOSE;
        to->partitions.count = topic->partitions.count;
        for (size_t k = 0; k < partitions; k++) {
            to->partitions.items[k].partition_index = topic->partitions.items[k].partition_index;
            if (!put_partition(request, is_known, &to->partitions.items[k]))
                return KM_CLOSE;
        }
    }
    if (is_known && request->version >= 2 && !put_nodes(request, out))
        return KM_CLOSE;
    return KM_ANSWER;
}
