/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a broker asks of a batch before it stores it. */
#include "mock/produce_batch.h"

#include "mock/text.h"
#include "protocol/crc32c.h"
#include "protocol/wire.h"

#define MESSAGE_BYTES_MAX     1048588    /* max.message.bytes */
#define SEGMENT_BYTES         1073741824 /* segment.bytes */
#define TIMESTAMP_AFTER_MS    3600000    /* message.timestamp.after.max.ms */
#define ZSTD_VERSION          7          /* Produce that may carry zstd (KIP-110) */
#define RECORD_OVERHEAD       14         /* shortest record a length may claim */
#define DECOMPRESSED_SIZE_MAX ((size_t)256 << 20)

/* ---- the first look ---- */

/** Not even the beginning of a batch. */
static int16_t corrupt(km_request *request, kc_bytes records, kc_bytes *text_out)
{
    int32_t length = (int32_t)kp_load32(records.ptr + KP_BATCH_AT_LENGTH);
    uint8_t told = records.ptr[KP_BATCH_AT_MAGIC];
    int magic = told < 0x80 ? told : told - 0x100;
    const char *text = NULL;
    if (length < RECORD_OVERHEAD)
        text =
            km_text(&request->arena, "Record size %d is less than the minimum record overhead (%d)",
                    length, RECORD_OVERHEAD);
    else if (magic < 0 || magic > 2)
        text = km_text(&request->arena, "Invalid magic found in record: %d", magic);
    *text_out = text ? kc_str(text) : KC_NULL;
    return KC_E_CORRUPT_MESSAGE;
}

int16_t km_produce_batch_read(km_request *request, kc_bytes records, kp_batch *batch_out,
                              kc_bytes *text_out)
{
    kc_bytes rest = records;
    *batch_out = (kp_batch){0};
    kc_err err = kp_batch_next(&rest, false, batch_out);
    if (err == KC_ERR_END || err == KC_ERR_UNSUPPORTED)
        return KC_E_INVALID_RECORD;
    if (!batch_out->bytes.ptr)
        return corrupt(request, records, text_out);
    if (request->version < ZSTD_VERSION && kp_batch_codec(batch_out) == KP_CODEC_ZSTD)
        return KC_E_UNSUPPORTED_COMPRESSION_TYPE;
    if (request->version < ZSTD_VERSION && kp_batch_codec(batch_out) >= KP_CODEC_COUNT)
        return KC_E_UNKNOWN_SERVER_ERROR;
    kc_bytes behind =
        kc_span(records.ptr + batch_out->bytes.len, records.len - batch_out->bytes.len);
    kp_batch second = {0};
    rest = behind;
    err = kp_batch_next(&rest, false, &second);
    if (err == KC_ERR_END)
        return 0;
    return err == KC_ERR_MALFORMED && !second.bytes.ptr ? corrupt(request, behind, text_out)
                                                        : KC_E_INVALID_RECORD;
}

/* ---- its header ---- */

static bool is_intact(const kp_batch *batch)
{
    return kp_crc32c(0, batch->bytes.ptr + KP_BATCH_AT_ATTRIBUTES,
                     batch->bytes.len - KP_BATCH_AT_ATTRIBUTES) == batch->crc;
}

static int16_t check_header(const km_topic *topic, const kp_batch *batch)
{
    if (batch->base_offset != 0)
        return KC_E_INVALID_RECORD;
    if ((int64_t)batch->bytes.len >
        km_topic_config_i64(topic, "max.message.bytes", MESSAGE_BYTES_MAX))
        return KC_E_MESSAGE_TOO_LARGE;
    if (!is_intact(batch))
        return KC_E_CORRUPT_MESSAGE;
    if (kp_batch_codec(batch) >= KP_CODEC_COUNT)
        return KC_E_UNKNOWN_SERVER_ERROR;
    if (batch->record_count <= 0 || batch->last_offset_delta != batch->record_count - 1)
        return KC_E_INVALID_RECORD;
    if (batch->attributes & KP_ATTR_CONTROL)
        return KC_E_INVALID_RECORD;
    if (batch->producer_id >= 0 && batch->base_sequence < 0)
        return KC_E_INVALID_RECORD;
    return 0;
}

/* ---- its records ---- */

/** What is asked of each. */
typedef struct record_rules {
    const km_partition *partition;
    bool needs_key;
    bool is_append_time; /**< the topic's, not the batch's */
    bool came_with_append_time;
    int64_t now_ms;
    int64_t before_ms;
    int64_t after_ms;
} record_rules;

static record_rules rules_of(const km_partition *partition, const kp_batch *batch)
{
    const km_topic *topic = partition->topic;
    return (record_rules){
        .partition = partition,
        .needs_key = km_topic_has_policy(topic, "compact"),
        .is_append_time = km_topic_config_is(topic, "message.timestamp.type", "LogAppendTime"),
        .came_with_append_time = batch->attributes & KP_ATTR_LOG_APPEND_TIME,
        .now_ms = topic->cluster->wall_ms,
        .before_ms = km_topic_config_i64(topic, "message.timestamp.before.max.ms", INT64_MAX),
        .after_ms =
            km_topic_config_i64(topic, "message.timestamp.after.max.ms", TIMESTAMP_AFTER_MS),
    };
}

static bool is_out_of_range(const record_rules *rules, int64_t timestamp)
{
    int64_t age;
    if (__builtin_sub_overflow(rules->now_ms, timestamp, &age))
        return true;
    return age > rules->before_ms || (age < 0 && -age > rules->after_ms);
}

static int16_t check_record(const record_rules *rules, const kp_record *record)
{
    if (rules->needs_key && !record->key.ptr)
        return KC_E_INVALID_RECORD;
    if (!rules->is_append_time && record->timestamp != KP_NO_TIMESTAMP)
        return is_out_of_range(rules, record->timestamp) ? KC_E_INVALID_TIMESTAMP : 0;
    return rules->came_with_append_time ? KC_E_INVALID_TIMESTAMP : 0;
}

static kc_bytes explain(km_request *request, const record_rules *rules, const kp_record *record,
                        int16_t error)
{
    const char *text;
    if (error == KC_E_INVALID_RECORD)
        text = km_text(&request->arena,
                       "Compacted topic cannot accept message without key in topic partition %s-%d",
                       rules->partition->topic->name, rules->partition->index);
    else if (rules->is_append_time || record->timestamp == KP_NO_TIMESTAMP)
        text = km_text(
            &request->arena,
            "Invalid timestamp type in message DefaultRecord(offset=%lld, timestamp=%lld, key=%zu "
            "bytes, value=%zu bytes). Producer should not set timestamp type to LogAppendTime.",
            (long long)record->offset, (long long)record->timestamp, record->key.len,
            record->value.len);
    else
        text = km_text(
            &request->arena,
            "Timestamp %lld of message with offset %lld is out of range. The timestamp should be "
            "within [%lld, %lld]",
            (long long)record->timestamp, (long long)record->offset,
            (long long)((uint64_t)rules->now_ms - (uint64_t)rules->before_ms),
            (long long)((uint64_t)rules->now_ms + (uint64_t)rules->after_ms));
    return text ? kc_str(text) : KC_NULL;
}

/** What was found in all records of a batch. */
typedef struct findings {
    int32_t refused;
    bool has_bad_timestamp;
    int64_t max_timestamp;
} findings;

/** With `errors` the refused ones are also written down. False: a record can't be read. */
static bool walk(km_request *request, const record_rules *rules, const kp_batch *batch,
                 kc_bytes plain, kp_produce_resp_record_error *errors, findings *found)
{
    kp_record_iter iter;
    kp_record record;
    kc_err err;
    int32_t index = 0;
    *found = (findings){.max_timestamp = KP_NO_TIMESTAMP};
    kp_record_iter_init(&iter, batch, plain);
    while ((err = kp_record_next(&iter, &record)) == KC_OK) {
        int16_t error = check_record(rules, &record);
        if (record.timestamp > found->max_timestamp)
            found->max_timestamp = record.timestamp;
        if (error && errors) {
            errors[found->refused].batch_index = index;
            errors[found->refused].batch_index_error_message =
                explain(request, rules, &record, error);
        }
        found->refused += error != 0;
        found->has_bad_timestamp |= error == KC_E_INVALID_TIMESTAMP;
        index++;
    }
    return err == KC_ERR_END;
}

static kc_bytes list_errors(km_request *request, const kp_produce_resp_record_error *errors,
                            int32_t count)
{
    const char *text = "";
    for (int32_t i = 0; errors && text && i < count && i < 3; i++)
        text = km_text(&request->arena, "%s%sRecordError(batchIndex=%d, message='" KC_FMT "')",
                       text, i > 0 ? ", " : "", errors[i].batch_index,
                       KC_ARG(errors[i].batch_index_error_message));
    if (text)
        text = km_text(
            &request->arena,
            "One or more records have been rejected due to %d record errors in total, and only "
            "showing the first three errors at most: [%s]",
            count, text);
    return text ? kc_str(text) : KC_NULL;
}

static int16_t refuse(km_request *request, const record_rules *rules, const kp_batch *batch,
                      kc_bytes plain, findings *found, kp_produce_resp_partition_response *out)
{
    int32_t count = found->refused;
    bool is_timestamp = found->has_bad_timestamp;
    kp_produce_resp_record_error *errors = km_request_alloc(request, (size_t)count, sizeof *errors);
    if (errors) {
        walk(request, rules, batch, plain, errors, found);
        out->record_errors.items = errors;
        out->record_errors.count = count;
    }
    out->error_message =
        is_timestamp ? KC_STR("One or more records have been rejected due to invalid timestamp")
                     : list_errors(request, errors, count);
    return is_timestamp ? KC_E_INVALID_TIMESTAMP : KC_E_INVALID_RECORD;
}

/* ---- its timestamps ---- */

/** The time in the header is the broker's, or that of the newest record, whatever the producer wrote there. */
static int16_t stamp(km_request *request, const record_rules *rules, int64_t max_timestamp,
                     kp_batch *batch)
{
    uint16_t attributes = (uint16_t)(batch->attributes & ~KP_ATTR_LOG_APPEND_TIME);
    if (rules->is_append_time) {
        attributes |= KP_ATTR_LOG_APPEND_TIME;
        max_timestamp = rules->now_ms;
    }
    if (attributes == (uint16_t)batch->attributes && max_timestamp == batch->max_timestamp)
        return 0;
    uint8_t *copy = km_request_alloc(request, batch->bytes.len, 1);
    if (!copy)
        return KC_E_KAFKA_STORAGE_ERROR;
    memcpy(copy, batch->bytes.ptr, batch->bytes.len);
    kp_store16(copy + KP_BATCH_AT_ATTRIBUTES, attributes);
    kp_store64(copy + KP_BATCH_AT_MAX_TIMESTAMP, (uint64_t)max_timestamp);
    kp_batch_reseal(copy, batch->bytes.len);
    kc_bytes rest = kc_span(copy, batch->bytes.len);
    return kp_batch_next(&rest, false, batch) ? KC_E_INVALID_RECORD : 0;
}

static int16_t check_records(km_request *request, const km_partition *partition, kp_batch *batch,
                             kc_bytes plain, kp_produce_resp_partition_response *out)
{
    record_rules rules = rules_of(partition, batch);
    findings found;
    if (!walk(request, &rules, batch, plain, NULL, &found))
        return KC_E_INVALID_RECORD;
    if (found.refused > 0)
        return refuse(request, &rules, batch, plain, &found, out);
    return stamp(request, &rules, found.max_timestamp, batch);
}

int16_t km_produce_batch_check(km_request *request, const km_partition *partition, kp_batch *batch,
                               kp_produce_resp_partition_response *out)
{
    int16_t error = check_header(partition->topic, batch);
    if (error)
        return error;
    kb_buf scratch;
    kc_bytes plain = KC_STR("");
    kb_buf_init(&scratch, request->cluster->mem, DECOMPRESSED_SIZE_MAX);
    kc_err err = kp_batch_plain(batch, &scratch, &plain);
    if (err == KC_ERR_NOMEM || err == KC_ERR_TOO_LARGE)
        error = KC_E_KAFKA_STORAGE_ERROR;
    else if (err) /* a KafkaException of the broker, which has no code of its own */
        error = KC_E_UNKNOWN_SERVER_ERROR;
    else
        error = check_records(request, partition, batch, plain, out);
    kb_buf_cleanup(&scratch);
    if (!error && (int64_t)batch->bytes.len >
                      km_topic_config_i64(partition->topic, "segment.bytes", SEGMENT_BYTES))
        error = KC_E_RECORD_LIST_TOO_LARGE;
    return error;
}
