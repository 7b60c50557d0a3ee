/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The scripted cluster's Produce, and the fixture of the producer's tests. */
#include "tests/unit/client/fake_produce.h"

#include "client/producer_core.h"
#include "protocol/batch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the log ---- */

const char *fake_log_text(const fake_log *log, const char *topic, int32_t partition)
{
    static char text[65536];
    size_t len = 0;
    text[0] = 0;
    for (size_t i = 0; i < log->record_count; i++) {
        const fake_record *record = &log->records[i];
        if (record->partition == partition && strcmp(record->topic, topic) == 0)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", len ? " " : "",
                                    record->value);
    }
    return text;
}

size_t fake_log_count(const fake_log *log, const char *topic, int32_t partition)
{
    size_t count = 0;
    for (size_t i = 0; i < log->record_count; i++)
        count +=
            log->records[i].partition == partition && strcmp(log->records[i].topic, topic) == 0;
    return count;
}

void fake_log_fault(fake_log *log, fake_fault fault)
{
    ck_assert_uint_lt(log->fault_count, FAKE_FAULTS_MAX);
    log->faults[log->fault_count++] = fault;
}

void fake_log_error(fake_log *log, int16_t code)
{
    ck_assert_uint_lt(log->error_count, FAKE_FAULTS_MAX);
    log->errors[log->error_count++] = code;
}

static void copy_text(char out[FAKE_TEXT_MAX], kc_bytes from)
{
    snprintf(out, FAKE_TEXT_MAX, KC_FMT, KC_ARG(from));
}

static void store_record(fake_log *log, const char *topic, int32_t partition,
                         const kp_record *record, int64_t offset)
{
    ck_assert_uint_lt(log->record_count, FAKE_RECORDS_MAX);
    fake_record *stored = &log->records[log->record_count++];
    *stored = (fake_record){
        .partition = partition,
        .offset = offset,
        .timestamp_ms = record->timestamp,
        .value_len = record->value.len,
        .header_count = record->header_count,
        .batch = log->batches,
    };
    snprintf(stored->topic, sizeof stored->topic, "%s", topic);
    copy_text(stored->key, record->key);
    copy_text(stored->value, record->value);
}

/** Is there a record to be refused? Fills in the answer's list. */
static bool find_refused(fake_log *log, fake_request *request, const kp_batch *batch,
                         kc_bytes records, kp_produce_resp_partition_response *answer)
{
    kp_record_iter iter;
    kp_record record;
    kp_record_iter_init(&iter, batch, records);
    answer->record_errors.items =
        fake_alloc(request, (size_t)batch->record_count, sizeof answer->record_errors.items[0]);
    for (int32_t i = 0; kp_record_next(&iter, &record) == KC_OK; i++) {
        if (!kc_bytes_equal(record.value, kc_str(log->refused)))
            continue;
        kp_produce_resp_record_error *named =
            &answer->record_errors.items[answer->record_errors.count++];
        named->batch_index = i + log->refused_shift;
        named->batch_index_error_message = KC_STR("not wanted here");
    }
    return answer->record_errors.count > 0;
}

static int16_t append(fake_log *log, fake_request *request, const char *topic, int32_t partition,
                      kc_bytes bytes, kp_produce_resp_partition_response *answer)
{
    kp_batch batch;
    kp_record_iter iter;
    kp_record record;
    ck_assert_int_eq(kp_batch_next(&bytes, true, &batch), KC_OK);
    ck_assert_uint_eq(bytes.len, 0); // one batch a partition
    ck_assert_int_gt(batch.record_count, 0);
    ck_assert_int_eq(batch.last_offset_delta, batch.record_count - 1);
    ck_assert_int_eq(batch.producer_id, -1);
    if (batch.bytes.len > log->batch_bytes_seen)
        log->batch_bytes_seen = batch.bytes.len;
    if (log->batch_bytes_max > 0 && batch.bytes.len > log->batch_bytes_max)
        return KC_E_MESSAGE_TOO_LARGE;
    log->codec = kp_batch_codec(&batch);
    log->codecs |= 1u << log->codec;
    kb_buf plain;
    kb_buf_init(&plain, &log->cluster->mem, 0);
    kc_bytes records = batch.records;
    if (log->codec != KP_CODEC_NONE) {
        ck_assert_int_eq(kp_decompress(log->codec, records, false, &plain), KC_OK);
        records = kb_buf_bytes(&plain);
    }
    if (log->refused && find_refused(log, request, &batch, records, answer)) {
        kb_buf_cleanup(&plain);
        return KC_E_INVALID_RECORD;
    }
    answer->base_offset = (int64_t)fake_log_count(log, topic, partition);
    kp_record_iter_init(&iter, &batch, records);
    int32_t count = 0;
    while (kp_record_next(&iter, &record) == KC_OK) {
        store_record(log, topic, partition, &record, answer->base_offset + count);
        count++;
    }
    ck_assert_int_eq(count, batch.record_count);
    log->batches++;
    kb_buf_cleanup(&plain);
    return KC_OK;
}

static int16_t next_error(fake_log *log, int32_t partition)
{
    if (log->error_at >= log->error_count ||
        (log->only_partition >= 0 && partition != log->only_partition))
        return KC_OK;
    return log->errors[log->error_at++];
}

static void serve_partition(fake_log *log, fake_request *request, fake_topic *topic,
                            const kp_produce_req_partition_data *data,
                            kp_produce_resp_partition_response *answer)
{
    answer->index = data->index;
    answer->base_offset = -1;
    answer->log_append_time_ms = -1;
    answer->current_leader.leader_id = answer->current_leader.leader_epoch = -1;
    answer->error_code = next_error(log, data->index);
    if (answer->error_code == KC_E_NOT_LEADER_OR_FOLLOWER && log->has_hints &&
        request->version >= 10) {
        answer->current_leader.leader_id = request->broker % log->cluster->broker_count + 1;
        answer->current_leader.leader_epoch = ++log->hint_epoch;
    }
    if (answer->error_code != KC_OK)
        return;
    if (data->index >= topic->partition_count) {
        answer->error_code = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    } else if (topic->partitions[data->index].leader != request->broker) {
        answer->error_code = KC_E_NOT_LEADER_OR_FOLLOWER;
        if (log->has_hints && request->version >= 10) {
            answer->current_leader.leader_id = topic->partitions[data->index].leader;
            answer->current_leader.leader_epoch = topic->partitions[data->index].leader_epoch;
        }
    } else {
        answer->error_code = append(log, request, topic->name, data->index, data->records, answer);
        if (answer->error_code == KC_OK)
            answer->log_append_time_ms = log->append_ms;
    }
}

static fake_topic *topic_of(fake_log *log, const fake_request *request,
                            const kp_produce_req_topic_data *data)
{
    if (request->version < 13)
        return fake_topic_find(log->cluster, data->name);
    ck_assert(!kc_uuid_is_zero(data->topic_id));
    for (int i = 0; i < log->cluster->topic_count; i++) {
        if (memcmp(&log->cluster->topics[i].id, &data->topic_id, sizeof data->topic_id) == 0)
            return &log->cluster->topics[i];
    }
    return NULL;
}

static void serve_topic(fake_log *log, fake_request *request, const kp_produce_req_topic_data *data,
                        kp_produce_resp_response *answer)
{
    fake_topic *topic = topic_of(log, request, data);
    size_t count = (size_t)data->partition_data.count;
    if (request->version < 13)
        answer->name = data->name;
    answer->topic_id = data->topic_id;
    answer->partition_responses.items =
        fake_alloc(request, count * 2 + 1, sizeof answer->partition_responses.items[0]);
    answer->partition_responses.count = data->partition_data.count;
    for (size_t i = 0; i < count; i++) {
        kp_produce_resp_partition_response *part = &answer->partition_responses.items[i];
        log->partitions_seen++;
        if (topic) {
            serve_partition(log, request, topic, &data->partition_data.items[i], part);
        } else {
            part->index = data->partition_data.items[i].index;
            part->error_code =
                request->version >= 13 ? KC_E_UNKNOWN_TOPIC_ID : KC_E_UNKNOWN_TOPIC_OR_PARTITION;
            part->base_offset = part->log_append_time_ms = -1;
            part->current_leader.leader_id = -1;
        }
    }
}

static void reverse_partitions(kp_produce_resp_response *topic)
{
    kp_produce_resp_partition_response *items = topic->partition_responses.items;
    for (int32_t i = 0, k = topic->partition_responses.count - 1; i < k; i++, k--) {
        kp_produce_resp_partition_response swap = items[i];
        items[i] = items[k];
        items[k] = swap;
    }
}

static void reverse_topics(kp_produce_resp *response)
{
    kp_produce_resp_response *items = response->responses.items;
    for (int32_t i = 0, k = response->responses.count - 1; i < k; i++, k--) {
        kp_produce_resp_response swap = items[i];
        items[i] = items[k];
        items[k] = swap;
    }
}

/** Break a good answer. */
static void spoil(fake_fault fault, kp_produce_resp *response)
{
    kp_produce_resp_response *last = &response->responses.items[response->responses.count - 1];
    int32_t count = last->partition_responses.count;
    kp_produce_resp_partition_response *items = last->partition_responses.items;
    switch (fault) {
    case FAKE_FAULT_LEAVE_OUT:
        last->partition_responses.count--;
        break;
    case FAKE_FAULT_TWICE:
        memcpy(items + count, items, (size_t)count * sizeof *items);
        last->partition_responses.count *= 2;
        break;
    case FAKE_FAULT_REVERSED:
        for (int32_t i = 0; i < response->responses.count; i++)
            reverse_partitions(&response->responses.items[i]);
        reverse_topics(response);
        break;
    case FAKE_FAULT_GARBAGE_EXTRA:
        items[count] = items[0];
        items[count].index = 4711;
        last->partition_responses.count++;
        last[1] = (kp_produce_resp_response){.name = KC_STR("nobody")};
        response->responses.count++;
        break;
    default:
        break;
    }
}

static fake_action on_produce(fake_request *request, void *message, void *user)
{
    fake_log *log = user;
    const kp_produce_req *asked = request->message;
    kp_produce_resp *response = message;
    fake_fault fault =
        log->fault_at < log->fault_count ? log->faults[log->fault_at++] : FAKE_FAULT_NONE;
    log->requests++;
    log->version = request->version;
    log->acks = asked->acks;
    log->partitions_seen = 0;
    if (fault == FAKE_FAULT_CUT_BEFORE)
        return FAKE_CLOSE;
    if (fault == FAKE_FAULT_SILENT)
        return FAKE_HOLD;
    size_t count = (size_t)asked->topic_data.count;
    response->responses.items = fake_alloc(request, count + 1, sizeof response->responses.items[0]);
    response->responses.count = asked->topic_data.count;
    for (size_t i = 0; i < count; i++)
        serve_topic(log, request, &asked->topic_data.items[i], &response->responses.items[i]);
    response->throttle_time_ms = log->throttle_ms;
    if (fault == FAKE_FAULT_CUT_AFTER)
        return FAKE_CLOSE;
    if (asked->acks == 0)
        return FAKE_SILENT;
    spoil(fault, response);
    request->delay_us = log->delay_us;
    if (!log->is_holding)
        return FAKE_ANSWER;
    ck_assert_uint_lt(log->held_count, FAKE_FAULTS_MAX);
    log->held[log->held_count] = request;
    log->held_answers[log->held_count++] = *response;
    return FAKE_HOLD;
}

void fake_log_release(fake_log *log)
{
    size_t count = log->held_count;
    log->held_count = 0;
    for (size_t i = 0; i < count; i++)
        fake_answer(log->held[i], &log->held_answers[i]);
}

/* ---- the fixture ---- */

static producer_fixture *current;

producer_fixture *fixture_new(int brokers, int partitions, const char *const *properties)
{
    producer_fixture *made = calloc(1, sizeof *made);
    ck_assert_ptr_nonnull(made);
    made->cluster = fake_new(brokers);
    made->log = calloc(1, sizeof *made->log);
    ck_assert_ptr_nonnull(made->log);
    made->log->cluster = made->cluster;
    made->log->append_ms = -1;
    made->log->only_partition = -1;
    fake_on(made->cluster, KP_API_PRODUCE, on_produce, made->log);
    made->cluster->creates_topics = false;
    if (partitions > 0)
        fake_topic_add(made->cluster, "t", partitions);
    kc_config *config = kc_config_new();
    ck_assert_ptr_nonnull(config);
    for (size_t i = 0; properties[i]; i++) {
        char name[128];
        const char *value = strchr(properties[i], '=') + 1;
        snprintf(name, sizeof name, "%.*s", (int)(value - properties[i] - 1), properties[i]);
        kc_error err;
        ck_assert_msg(kc_config_set(config, name, value, &err) == KC_OK, "%s", err.text);
    }
    made->client = fake_client(made->cluster, config);
    kc_config_free(config);
    kc_error err;
    ck_assert_msg(kc_producer_open(made->client, NULL, &made->producer, &err) == KC_OK, "%s",
                  err.text);
    current = made;
    return made;
}

void fixture_free(producer_fixture *fixture)
{
    kc_client_free(fixture->client);
    fake_free(fixture->cluster);
    free(fixture->log);
    free(fixture);
    current = NULL;
}

void fixture_told(const kc_delivery *delivery, void *user)
{
    producer_fixture *fixture = current;
    size_t room = sizeof fixture->told - fixture->told_len;
    int len;
    ck_assert(kc_bytes_equal(delivery->topic, KC_STR("t")));
    ck_assert_int_eq(delivery->err == KC_OK, delivery->error == NULL);
    if (delivery->err == KC_OK) {
        len = snprintf(fixture->told + fixture->told_len, room, "%s@%d:%lld ", (const char *)user,
                       (int)delivery->partition, (long long)delivery->offset);
    } else {
        const char *name = kc_err_name(delivery->err);
        ck_assert_int_eq(delivery->offset, -1);
        fixture->last_error = *delivery->error;
        fixture->failed_count++;
        len = snprintf(fixture->told + fixture->told_len, room, "%s!%s ", (const char *)user,
                       strncmp(name, "KC_ERR_", 7) == 0 ? name + 7 : name);
    }
    ck_assert(len > 0 && (size_t)len < room);
    fixture->told_len += (size_t)len;
    fixture->told_count++;
    fixture->last_timestamp_ms = delivery->timestamp_ms;
    fixture->last_partition = delivery->partition;
    if (fixture->on_told)
        fixture->on_told(fixture);
}

kc_err fixture_try(producer_fixture *fixture, int32_t partition, const char *key, const char *value,
                   size_t value_len)
{
    size_t room = sizeof fixture->names - fixture->names_len;
    char *name = fixture->names + fixture->names_len;
    int len = snprintf(name, room, "%.16s", value);
    ck_assert(len >= 0 && (size_t)len < room);
    fixture->names_len += (size_t)len + 1;
    kc_record record = KC_RECORD_INIT;
    record.topic = KC_STR("t");
    record.partition = partition;
    record.key = kc_str(key);
    record.value = kc_span(value, value_len);
    return kc_producer_send(fixture->producer, &record, fixture_told, name, NULL);
}

void fixture_send(producer_fixture *fixture, int32_t partition, const char *value)
{
    ck_assert_int_eq(fixture_try(fixture, partition, NULL, value, strlen(value)), KC_OK);
}

void fixture_run(producer_fixture *fixture, int64_t ms)
{
    fake_run(fixture->cluster, ms);
}

const char *fixture_name(int number)
{
    static char names[4096][8];
    ck_assert(number >= 0 && number < 4096);
    snprintf(names[number], sizeof names[number], "v%d", number);
    return names[number];
}

kc_producer_stats fixture_stats(const producer_fixture *fixture)
{
    kc_producer_stats stats;
    kc_producer_stats_get(fixture->producer, &stats);
    return stats;
}
