/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Control batches: the end of a transaction, as a record of its partitions (KIP-98). */
#include "mock/cluster.h"
#include "mock/producer_state.h"
#include "protocol/base/error.h"
#include "protocol/wire.h"

#define MARKER_BYTES_MAX 128

/** Key and value have a version in front, 0 both. */
static kc_bytes build(uint8_t data[MARKER_BYTES_MAX], int64_t timestamp_ms,
                      const kp_batch_producer *producer, int32_t coordinator_epoch, bool is_commit)
{
    uint8_t key[4] = {0};
    uint8_t value[6] = {0};
    kp_store16(key + 2, is_commit ? 1 : 0);
    kp_store32(value + 2, (uint32_t)coordinator_epoch);
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, MARKER_BYTES_MAX);
    kp_batch_append(&writer, timestamp_ms, kc_span(key, sizeof key), kc_span(value, sizeof value),
                    NULL, 0);
    size_t len = kp_batch_finish(&writer);
    kp_batch_seal(data, len, producer);
    kp_store16(data + KP_BATCH_AT_ATTRIBUTES, KP_ATTR_TRANSACTIONAL | KP_ATTR_CONTROL);
    kp_batch_reseal(data, len);
    return kc_span(data, len);
}

kc_err km_partition_append_marker(km_partition *partition, int64_t producer_id,
                                  int16_t producer_epoch, int32_t coordinator_epoch, bool is_commit)
{
    const kp_batch_producer producer = {producer_id, producer_epoch, -1, true};
    uint8_t data[MARKER_BYTES_MAX];
    kc_bytes rest =
        build(data, partition->topic->cluster->wall_ms, &producer, coordinator_epoch, is_commit);
    kp_batch batch;
    KB_TRY(kp_batch_next(&rest, false, &batch));
    KB_TRY(km_producers_reserve(partition, producer_id));
    KB_TRY(km_log_append(&partition->log, &batch, partition->leader_epoch));
    km_producers_appended(partition);
    km_partition_appended(partition);
    return KC_OK;
}
