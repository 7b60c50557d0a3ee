/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Where logs begin and end: ListOffsets, OffsetForLeaderEpoch, DeleteRecords; and who wrote: DescribeProducers. */
#include "mock/api.h"
#include "mock/producer_state.h"
#include "protocol/wire.h"

/** Times that are none (KIP-79, KIP-734, KIP-405, KIP-1005, KIP-1023). */
enum {
    TIME_LATEST = -1,
    TIME_EARLIEST = -2,
    TIME_MAX_TIMESTAMP = -3,
    TIME_EARLIEST_LOCAL = -4,
    TIME_LATEST_TIERED = -5,
    TIME_EARLIEST_PENDING = -6,
};

#define READ_COMMITTED    1
#define CONSUMER_REPLICA  (-1)
#define DEBUGGING_REPLICA (-2) /* may ask any replica */
#define NOT_YET_VERSION   5    /* of ListOffsets, knows OFFSET_NOT_AVAILABLE (KIP-207) */
#define EPOCH_VERSION     4
#define DECOMPRESSED_MAX  ((size_t)256 << 20)
#define HIGH_WATERMARK    (-1) /* of DeleteRecords */

/* ---- ListOffsets: records by time ---- */

/** First record of a batch that is not below `offset` and not older than `timestamp`. False: none, or not readable. */
static bool find_in_batch(km_cluster *cluster, const km_partition *partition, const km_entry *entry,
                          int64_t offset, int64_t timestamp, kp_record *found)
{
    kc_bytes rest = km_log_entry_bytes(&partition->log, entry);
    kc_bytes plain;
    kp_batch batch;
    kp_record_iter iter;
    kb_buf scratch;
    bool is_found = false;
    kb_buf_init(&scratch, cluster->mem, DECOMPRESSED_MAX);
    if (kp_batch_next(&rest, false, &batch) == KC_OK &&
        kp_batch_plain(&batch, &scratch, &plain) == KC_OK) {
        kp_record_iter_init(&iter, &batch, plain);
        while (!is_found && kp_record_next(&iter, found) == KC_OK)
            is_found = found->timestamp >= timestamp && found->offset >= offset;
    }
    kb_buf_cleanup(&scratch);
    return is_found;
}

static void find_by_time(km_cluster *cluster, const km_partition *partition, int64_t timestamp,
                         kp_list_offsets_resp_partition *out)
{
    const km_log *log = &partition->log;
    kp_record found;
    for (size_t i = 0; i < log->entry_count; i++) {
        const km_entry *entry = &log->entries[i];
        if (entry->max_timestamp < timestamp ||
            !find_in_batch(cluster, partition, entry, log->start_offset, timestamp, &found))
            continue;
        out->offset = found.offset;
        out->timestamp = found.timestamp;
        out->leader_epoch = entry->leader_epoch;
        return;
    }
}

static int64_t newest_time(const km_log *log)
{
    int64_t newest = KP_NO_TIMESTAMP;
    for (size_t i = 0; i < log->entry_count; i++)
        if (log->entries[i].max_timestamp > newest)
            newest = log->entries[i].max_timestamp;
    return newest;
}

/* ---- ListOffsets: one partition ---- */

/** The first version that knows this time that is none; INT16_MAX: no version does. */
static int16_t version_of(int64_t timestamp)
{
    switch (timestamp) {
    case TIME_LATEST:
    case TIME_EARLIEST:
        return 1;
    case TIME_MAX_TIMESTAMP:
        return 7;
    case TIME_EARLIEST_LOCAL:
        return 8;
    case TIME_LATEST_TIERED:
        return 9;
    case TIME_EARLIEST_PENDING:
        return 11;
    default:
        return timestamp < 0 ? INT16_MAX : 0;
    }
}

/** First offset this reader can't read. */
static int64_t readable_end(const kp_list_offsets_req *asked, const km_partition *partition)
{
    if (asked->replica_id != CONSUMER_REPLICA)
        return partition->log.end_offset;
    return asked->isolation_level == READ_COMMITTED ? km_partition_last_stable(partition)
                                                    : partition->log.high_watermark;
}

/** A new leader whose high watermark is still behind the beginning of its epoch does not tell the end (KIP-207). */
static bool is_end_unknown(const kp_list_offsets_req *asked, const km_partition *partition)
{
    const km_log *log = &partition->log;
    return asked->replica_id == CONSUMER_REPLICA && log->epoch_count > 0 &&
           log->epochs[log->epoch_count - 1].start_offset > log->high_watermark;
}

static void find_offset(const km_request *request, const km_partition *partition, int64_t timestamp,
                        kp_list_offsets_resp_partition *out)
{
    const kp_list_offsets_req *asked = request->message;
    const km_log *log = &partition->log;
    switch (timestamp) {
    case TIME_LATEST:
        out->offset = readable_end(asked, partition);
        out->leader_epoch = partition->leader_epoch;
        break;
    case TIME_EARLIEST:
    case TIME_EARLIEST_LOCAL:
        out->offset = log->start_offset;
        out->leader_epoch = km_log_epoch_at(log, log->start_offset);
        break;
    case TIME_LATEST_TIERED: /* there is no tier */
    case TIME_EARLIEST_PENDING:
        break;
    case TIME_MAX_TIMESTAMP:
        if (newest_time(log) != KP_NO_TIMESTAMP)
            find_by_time(request->cluster, partition, newest_time(log), out);
        break;
    default:
        find_by_time(request->cluster, partition, timestamp, out);
        break;
    }
}

static int16_t list_offset(const km_request *request, const km_partition *partition,
                           const kp_list_offsets_req_partition *wanted,
                           kp_list_offsets_resp_partition *out)
{
    const kp_list_offsets_req *asked = request->message;
    if (version_of(wanted->timestamp) > request->version && !request->error)
        return KC_E_UNSUPPORTED_VERSION;
    int16_t error = km_check_leader(request, partition, wanted->current_leader_epoch);
    if (error == KC_E_NOT_LEADER_OR_FOLLOWER && !request->error &&
        asked->replica_id == DEBUGGING_REPLICA &&
        km_partition_is_on(partition, request->broker->id))
        error = 0;
    if (error)
        return error;
    find_offset(request, partition, wanted->timestamp, out);
    bool is_start = wanted->timestamp == TIME_EARLIEST || wanted->timestamp == TIME_EARLIEST_LOCAL;
    bool is_latest = wanted->timestamp == TIME_LATEST;
    bool is_beyond = !is_start && !is_latest &&
                     (out->offset < 0 || out->offset >= readable_end(asked, partition));
    if ((is_latest || is_beyond) && is_end_unknown(asked, partition))
        return request->version < NOT_YET_VERSION ? KC_E_LEADER_NOT_AVAILABLE
                                                  : KC_E_OFFSET_NOT_AVAILABLE;
    if (is_beyond) {
        out->offset = -1;
        out->timestamp = KP_NO_TIMESTAMP;
        out->leader_epoch = -1;
    }
    return 0;
}

/** Each partition asked for with its answer. The same one twice is refused, and is in the answer once. */
static bool note_asked(km_request *request, kb_map *seen, kc_bytes topic,
                       kp_list_offsets_resp_partition *out, bool *is_first)
{
    uint8_t *bytes = km_request_alloc(request, topic.len + 4, 1);
    if (!bytes)
        return false;
    kp_store32(bytes, (uint32_t)out->partition_index);
    if (topic.len > 0)
        memcpy(bytes + 4, topic.ptr, topic.len);
    kc_bytes key = kc_span(bytes, topic.len + 4);
    kp_list_offsets_resp_partition *before = kb_map_get(seen, key);
    *is_first = !before;
    if (!before)
        return kb_map_put(seen, key, out) == KC_OK;
    before->error_code = KC_E_INVALID_REQUEST;
    return true;
}

/** The answer has the shape of the request. False: no memory. */
static bool prepare_list(km_request *request, kb_map *seen, kp_list_offsets_resp *out)
{
    const kp_list_offsets_req *asked = request->message;
    out->topics.count = asked->topics.count;
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    for (int32_t i = 0; out->topics.items && i < asked->topics.count; i++) {
        const kp_list_offsets_req_topic *topic = &asked->topics.items[i];
        kp_list_offsets_resp_topic *of_topic = &out->topics.items[i];
        of_topic->name = topic->name;
        of_topic->partitions.items = km_request_alloc(request, (size_t)topic->partitions.count,
                                                      sizeof *of_topic->partitions.items);
        if (!of_topic->partitions.items)
            return false;
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            kp_list_offsets_resp_partition *item =
                &of_topic->partitions.items[of_topic->partitions.count];
            bool is_first = false;
            *item = (kp_list_offsets_resp_partition){.partition_index =
                                                         topic->partitions.items[j].partition_index,
                                                     .timestamp = KP_NO_TIMESTAMP,
                                                     .offset = -1,
                                                     .leader_epoch = -1};
            if (!note_asked(request, seen, topic->name, item, &is_first))
                return false;
            of_topic->partitions.count += is_first;
        }
    }
    return out->topics.items;
}

static void list_topic(km_request *request, const kp_list_offsets_req_topic *topic,
                       kp_list_offsets_resp_topic *out)
{
    int32_t at = 0;
    for (int32_t i = 0; i < topic->partitions.count && at < out->partitions.count; i++) {
        const kp_list_offsets_req_partition *wanted = &topic->partitions.items[i];
        kp_list_offsets_resp_partition *item = &out->partitions.items[at];
        if (item->partition_index != wanted->partition_index)
            continue; /* it was there before */
        at++;
        if (item->error_code)
            continue;
        const km_partition *partition =
            km_partition_find(request->cluster, topic->name, wanted->partition_index);
        item->error_code = list_offset(request, partition, wanted, item);
        if (item->error_code)
            item->offset = -1;
        if (item->error_code || request->version < EPOCH_VERSION)
            item->leader_epoch = -1;
    }
}

km_action km_api_list_offsets(km_request *request, const void *message, void *response)
{
    const kp_list_offsets_req *asked = message;
    kp_list_offsets_resp *out = response;
    kb_map seen;
    kb_map_init(&seen, request->cluster->mem);
    bool is_ready = prepare_list(request, &seen, out);
    kb_map_cleanup(&seen);
    if (!is_ready)
        return KM_CLOSE;
    for (int32_t i = 0; i < asked->topics.count; i++)
        list_topic(request, &asked->topics.items[i], &out->topics.items[i]);
    return KM_ANSWER;
}

/* ---- OffsetForLeaderEpoch ---- */

static bool end_of_epochs(km_request *request, const kp_offset_for_leader_epoch_req_topic *topic,
                          kp_offset_for_leader_epoch_resp_topic *out)
{
    out->topic = topic->topic;
    out->partitions.count = topic->partitions.count;
    out->partitions.items =
        km_request_alloc(request, (size_t)topic->partitions.count, sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    for (int32_t i = 0; i < topic->partitions.count; i++) {
        const kp_offset_for_leader_epoch_req_partition *wanted = &topic->partitions.items[i];
        kp_offset_for_leader_epoch_resp_partition *item = &out->partitions.items[i];
        const km_partition *partition =
            km_partition_find(request->cluster, topic->topic, wanted->partition);
        item->partition = wanted->partition;
        item->leader_epoch = -1;
        item->end_offset = -1;
        item->error_code = km_check_leader(request, partition, wanted->current_leader_epoch);
        if (!item->error_code)
            km_log_epoch_end(&partition->log, wanted->leader_epoch, &item->leader_epoch,
                             &item->end_offset);
    }
    return true;
}

km_action km_api_offset_for_leader_epoch(km_request *request, const void *message, void *response)
{
    const kp_offset_for_leader_epoch_req *asked = message;
    kp_offset_for_leader_epoch_resp *out = response;
    out->topics.count = asked->topics.count;
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return KM_CLOSE;
    for (int32_t i = 0; i < asked->topics.count; i++)
        if (!end_of_epochs(request, &asked->topics.items[i], &out->topics.items[i]))
            return KM_CLOSE;
    return KM_ANSWER;
}

/* ---- DeleteRecords ---- */

static int16_t delete_records(const km_request *request, km_partition *partition, int64_t offset)
{
    int16_t error = km_check_leader(request, partition, -1);
    if (request->error || !partition)
        return error;
    if (partition->topic->is_internal)
        return KC_E_INVALID_TOPIC_EXCEPTION;
    if (error)
        return error;
    if (!km_topic_has_policy(partition->topic, "delete"))
        return KC_E_POLICY_VIOLATION;
    if (offset == HIGH_WATERMARK)
        offset = partition->log.high_watermark;
    if (offset < 0 || offset > partition->log.high_watermark)
        return KC_E_OFFSET_OUT_OF_RANGE;
    km_log_delete_before(&partition->log, offset);
    return 0;
}

static bool delete_in_topic(km_request *request, const kp_delete_records_req_topic *topic,
                            kp_delete_records_resp_topic *out)
{
    out->name = topic->name;
    out->partitions.count = topic->partitions.count;
    out->partitions.items =
        km_request_alloc(request, (size_t)topic->partitions.count, sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    for (int32_t i = 0; i < topic->partitions.count; i++) {
        const kp_delete_records_req_partition *wanted = &topic->partitions.items[i];
        kp_delete_records_resp_partition *item = &out->partitions.items[i];
        km_partition *partition =
            km_partition_find(request->cluster, topic->name, wanted->partition_index);
        item->partition_index = wanted->partition_index;
        item->error_code = delete_records(request, partition, wanted->offset);
        item->low_watermark = item->error_code ? -1 : partition->log.start_offset;
        if (!item->error_code)
            km_partition_wake(partition);
    }
    return true;
}

km_action km_api_delete_records(km_request *request, const void *message, void *response)
{
    const kp_delete_records_req *asked = message;
    kp_delete_records_resp *out = response;
    out->topics.count = asked->topics.count;
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return KM_CLOSE;
    for (int32_t i = 0; i < asked->topics.count; i++)
        if (!delete_in_topic(request, &asked->topics.items[i], &out->topics.items[i]))
            return KM_CLOSE;
    return KM_ANSWER;
}

/* ---- DescribeProducers ---- */

/** Any replica knows them. */
static int16_t check_describe(const km_request *request, kc_bytes name,
                              const km_partition *partition)
{
    if (!request->error && !km_topic_name_is_valid(name))
        return KC_E_INVALID_TOPIC_EXCEPTION;
    int16_t error = km_check_leader(request, partition, -1);
    return error == KC_E_NOT_LEADER_OR_FOLLOWER && !request->error &&
                   km_partition_is_on(partition, request->broker->id)
               ? 0
               : error;
}

/** What is wrong with the topic is told in words, too. */
static kc_bytes explain(km_request *request, kc_bytes name, int16_t error)
{
    if (request->error || !error)
        return KC_NULL;
    if (error == KC_E_INVALID_TOPIC_EXCEPTION)
        return km_topic_name_fault(&request->arena, name);
    return km_topic_by_name(request->cluster, name)
               ? KC_NULL
               : KC_STR("This server does not host this topic-partition.");
}

static bool put_producers(km_request *request, const km_partition *partition,
                          kp_describe_producers_resp_partition *out)
{
    size_t pos = 0;
    size_t count = 0;
    const km_producer *producer;
    while (km_producer_next(partition, &pos))
        count++;
    out->active_producers.items =
        km_request_alloc(request, count, sizeof *out->active_producers.items);
    if (!out->active_producers.items)
        return false;
    pos = 0;
    while ((producer = km_producer_next(partition, &pos)))
        out->active_producers.items[out->active_producers.count++] =
            (kp_describe_producers_resp_active_producer){
                .producer_id = producer->id,
                .producer_epoch = producer->epoch,
                .last_sequence = km_producer_last_sequence(producer),
                .last_timestamp = producer->last_timestamp,
                .coordinator_epoch = producer->coordinator_epoch,
                .current_txn_start_offset = producer->txn_first_offset,
            };
    return true;
}

static bool describe_topic(km_request *request, const kp_describe_producers_req_topic *topic,
                           kp_describe_producers_resp_topic *out)
{
    out->name = topic->name;
    out->partitions.count = topic->partition_indexes.count;
    out->partitions.items = km_request_alloc(request, (size_t)topic->partition_indexes.count,
                                             sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    for (int32_t i = 0; i < topic->partition_indexes.count; i++) {
        kp_describe_producers_resp_partition *item = &out->partitions.items[i];
        item->partition_index = topic->partition_indexes.items[i];
        const km_partition *partition =
            km_partition_find(request->cluster, topic->name, item->partition_index);
        item->error_code = check_describe(request, topic->name, partition);
        item->error_message = explain(request, topic->name, item->error_code);
        if (!item->error_code && !put_producers(request, partition, item))
            return false;
    }
    return true;
}

km_action km_api_describe_producers(km_request *request, const void *message, void *response)
{
    const kp_describe_producers_req *asked = message;
    kp_describe_producers_resp *out = response;
    out->topics.count = asked->topics.count;
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return KM_CLOSE;
    for (int32_t i = 0; i < asked->topics.count; i++)
        if (!describe_topic(request, &asked->topics.items[i], &out->topics.items[i]))
            return KM_CLOSE;
    return KM_ANSWER;
}
