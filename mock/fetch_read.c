/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Reading for a Fetch: who may read here, up to where, how much. */
#include "mock/fetch_read.h"

#include "mock/producer_state.h"
#include "protocol/wire.h"

#include <kafkac/unstable/errors.h>

#define READ_COMMITTED 1
/** Versions: zstd (KIP-110); consumers read from any replica (KIP-392). */
#define ZSTD_VERSION     10
#define FOLLOWER_VERSION 11
#define OWN_ID_VERSION   15 /* the replica's id in replica_state */

void km_fetch_refuse(kp_fetch_resp_partition *out, int16_t error)
{
    out->error_code = error;
    out->high_watermark = -1;
    out->last_stable_offset = -1;
    out->log_start_offset = -1;
    out->diverging_epoch.epoch = -1;
    out->diverging_epoch.end_offset = -1;
    out->current_leader.leader_id = -1;
    out->current_leader.leader_epoch = -1;
    out->snapshot_id.epoch = -1;
    out->snapshot_id.end_offset = -1;
    out->aborted_transactions.items = NULL;
    out->aborted_transactions.count = -1;
    out->preferred_read_replica = -1;
    out->records = KC_STR("");
}

bool km_fetch_is_diverging(const kp_fetch_resp_partition *out)
{
    return out->diverging_epoch.epoch >= 0;
}

static int32_t replica_id(const km_request *request)
{
    const kp_fetch_req *asked = request->message;
    return request->version >= OWN_ID_VERSION ? asked->replica_state.replica_id : asked->replica_id;
}

static int16_t check(const km_request *request, const km_fetch_want *want,
                     const km_partition *partition)
{
    int16_t error = km_check_leader(request, partition, want->leader_epoch);
    if (request->error)
        return error;
    if (replica_id(request) >= 0)
        return !error && !km_partition_is_on(partition, replica_id(request))
                   ? want->leader_epoch >= 0 ? KC_E_UNKNOWN_LEADER_EPOCH
                                             : KC_E_NOT_LEADER_OR_FOLLOWER
                   : error;
    if (error == KC_E_NOT_LEADER_OR_FOLLOWER && request->version >= FOLLOWER_VERSION &&
        km_partition_is_on(partition, request->broker->id))
        error = 0;
    if (!error && request->version < ZSTD_VERSION &&
        km_topic_config_is(partition->topic, "compression.type", "zstd"))
        error = KC_E_UNSUPPORTED_COMPRESSION_TYPE;
    return error;
}

/** First offset that may not be read. */
static int64_t readable_end(const km_request *request, const km_partition *partition)
{
    const kp_fetch_req *asked = request->message;
    if (replica_id(request) >= 0)
        return partition->log.end_offset;
    return asked->isolation_level == READ_COMMITTED ? km_partition_last_stable(partition)
                                                    : partition->log.high_watermark;
}

/** Where a reader's log ends that has `want->last_fetched_epoch` before its offset. 0, or OFFSET_OUT_OF_RANGE. */
static int16_t find_divergence(const km_fetch_want *want, const km_log *log,
                               kp_fetch_resp_partition *out)
{
    int32_t epoch = -1;
    int64_t end = -1;
    if (want->last_fetched_epoch < 0)
        return 0;
    if (!km_log_epoch_end(log, want->last_fetched_epoch, &epoch, &end) ||
        want->offset < log->start_offset)
        return KC_E_OFFSET_OUT_OF_RANGE;
    if (epoch < want->last_fetched_epoch || end < want->offset) {
        out->diverging_epoch.epoch = epoch;
        out->diverging_epoch.end_offset = end;
    }
    return 0;
}

/** As a broker that sends a stretch of its file: the last batch may be cut anywhere. */
static kc_bytes slice(const km_log *log, int64_t offset, int64_t until, km_fetch_room *room,
                      size_t bytes_max)
{
    kc_bytes all = km_log_read(log, offset, until, SIZE_MAX, true);
    size_t most = bytes_max < room->bytes ? bytes_max : room->bytes;
    size_t first =
        all.len > 0 ? KP_BATCH_OVERHEAD_BYTES + (size_t)kp_load32(all.ptr + KP_BATCH_AT_LENGTH) : 0;
    if (first > most)
        most = room->is_first_whole ? first : 0;
    if (all.len > most)
        all.len = most;
    if (all.len > 0)
        room->is_first_whole = false;
    room->bytes -= all.len < room->bytes ? all.len : room->bytes;
    return all;
}

void km_fetch_read(const km_request *request, const km_fetch_want *want,
                   const km_partition *partition, km_fetch_room *room, kp_fetch_resp_partition *out)
{
    const km_log *log = &partition->log;
    km_fetch_refuse(out, check(request, want, partition));
    if (out->error_code)
        return;
    out->error_code = find_divergence(want, log, out);
    if (!out->error_code && !km_fetch_is_diverging(out) &&
        (want->offset < log->start_offset || want->offset > log->end_offset))
        out->error_code = KC_E_OFFSET_OUT_OF_RANGE;
    if (out->error_code)
        return;
    out->high_watermark = log->high_watermark;
    out->last_stable_offset = km_partition_last_stable(partition);
    out->log_start_offset = log->start_offset;
    if (!km_fetch_is_diverging(out))
        out->records = slice(log, want->offset, readable_end(request, partition), room,
                             want->bytes_max > 0 ? (size_t)want->bytes_max : 0);
}

/** Behind the last batch that is in the answer at least in part. */
static int64_t end_of(const km_log *log, int64_t offset, size_t len)
{
    size_t at = km_log_find(log, offset);
    int64_t end = offset;
    while (len > 0 && at < log->entry_count) {
        const km_entry *entry = &log->entries[at++];
        len -= entry->len < len ? entry->len : len;
        end = entry->next_offset;
    }
    return end;
}

bool km_fetch_put_aborted(km_request *request, const km_fetch_want *want,
                          const km_partition *partition, kp_fetch_resp_partition *out)
{
    const kp_fetch_req *asked = request->message;
    if (asked->isolation_level != READ_COMMITTED || out->error_code || replica_id(request) >= 0)
        return true;
    out->aborted_transactions.count = 0;
    out->aborted_transactions.items =
        km_request_alloc(request, 1, sizeof *out->aborted_transactions.items);
    if (!out->aborted_transactions.items)
        return false;
    int64_t until = end_of(&partition->log, want->offset, out->records.len);
    size_t count = km_producers_aborted(partition, want->offset, until, NULL, 0);
    if (count == 0 || out->records.len == 0)
        return true;
    km_aborted *found = km_request_alloc(request, count, sizeof *found);
    kp_fetch_resp_aborted_transaction *items = km_request_alloc(request, count, sizeof *items);
    if (!found || !items)
        return false;
    km_producers_aborted(partition, want->offset, until, found, count);
    for (size_t i = 0; i < count; i++) {
        items[i].producer_id = found[i].producer_id;
        items[i].first_offset = found[i].first_offset;
    }
    out->aborted_transactions.items = items;
    out->aborted_transactions.count = (int32_t)count;
    return true;
}
