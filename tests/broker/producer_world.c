/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A producer with numbered records, and reading back what it wrote. */
#include "tests/broker/producer_world.h"

#include <kafkac/unstable/messages.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Topics by name (ids begin with 13), served by every broker since 2.3. */
#define FETCH_VERSION 11

static producer_world *current;

void world_told(const kc_delivery *delivery, void *user)
{
    size_t number = (size_t)(uintptr_t)user;
    current->told++;
    if (delivery->err != KC_OK) {
        current->failed++;
        current->error = *delivery->error;
        return;
    }
    ck_assert_int_eq(current->offsets[number], -2); // once
    current->offsets[number] = delivery->offset;
    current->partitions[number] = delivery->partition;
    current->timestamp_ms = delivery->timestamp_ms;
}

void world_open(producer_world *world, const char *stem, const char *const *properties)
{
    kc_error err;
    memset(world, 0, sizeof *world);
    current = world;
    broker_unique_name(world->topic, sizeof world->topic, stem);
    kc_config *config = kc_config_new();
    ck_assert_ptr_nonnull(config);
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", broker_list(), &err), KC_OK);
    for (size_t i = 0; properties && properties[i]; i += 2)
        ck_assert_msg(kc_config_set(config, properties[i], properties[i + 1], &err) == KC_OK, "%s",
                      err.text);
    ck_assert_msg(kc_client_new(config, NULL, &world->client, &err) == KC_OK, "%s", err.text);
    ck_assert_msg(kc_producer_open(world->client, NULL, &world->producer, &err) == KC_OK, "%s",
                  err.text);
    kc_config_free(config);
    world->offsets = calloc(RECORDS_MAX, sizeof *world->offsets);
    world->partitions = calloc(RECORDS_MAX, sizeof *world->partitions);
    world->found = calloc(RECORDS_MAX, sizeof *world->found);
    ck_assert(world->offsets && world->partitions && world->found);
    for (size_t i = 0; i < RECORDS_MAX; i++)
        world->offsets[i] = -2;
}

void world_close(producer_world *world)
{
    kc_client_free(world->client);
    free(world->offsets);
    free(world->partitions);
    free(world->found);
}

void world_send(producer_world *world, uint32_t number, int32_t partition, bool is_keyed)
{
    char value[64];
    kc_error err;
    kc_record record = KC_RECORD_INIT;
    kc_header header = {KC_STR("number"), kc_span(&number, sizeof number)};
    record.topic = kc_str(world->topic);
    record.partition = partition;
    snprintf(value, sizeof value, "%u some text that can be compressed", (unsigned)number);
    record.value = kc_str(value);
    if (is_keyed)
        record.key = kc_span(&number, sizeof number);
    record.headers = &header;
    record.header_count = number % 4 == 0;
    kc_err sent;
    while ((sent = kc_producer_send(world->producer, &record, world_told, (void *)(uintptr_t)number,
                                    &err)) == KC_ERR_BUFFER_FULL)
        ck_assert_int_ge(kc_client_dispatch(world->client, 1000), KC_ERR_AGAIN);
    ck_assert_msg(sent == KC_OK, "%s", err.text);
    if (number % 1000 == 0)
        ck_assert_int_ge(kc_client_dispatch(world->client, 0), KC_ERR_AGAIN);
}

/* ---- reading back ---- */

static void check_record(fetch_state *fetched, const kp_record *record)
{
    unsigned number;
    char text[64];
    producer_world *world = fetched->world;
    snprintf(text, sizeof text, KC_FMT, KC_ARG(record->value));
    ck_assert_int_eq(sscanf(text, "%u some text that can be compressed", &number), 1);
    ck_assert_uint_lt(number, RECORDS_MAX);
    ck_assert_int_eq(world->partitions[number], fetched->partition);
    ck_assert_int_eq(record->header_count, number % 4 == 0);
    if (!world->may_repeat)
        ck_assert_int_eq(world->offsets[number], record->offset);
    if (world->found[number]) {
        ck_assert(world->may_repeat);
        return;
    }
    world->found[number] = 1;
    ck_assert_int_gt(number, fetched->last);
    fetched->last = number;
    fetched->records++;
}

static void check_batch(fetch_state *fetched, const kp_batch *batch)
{
    kb_mem mem;
    kb_buf plain;
    kp_record_iter iter;
    kp_record record;
    kc_bytes records = batch->records;
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&plain, &mem, 0);
    fetched->codecs |= 1u << kp_batch_codec(batch);
    if (kp_batch_codec(batch) != KP_CODEC_NONE) {
        ck_assert_int_eq(kp_decompress(kp_batch_codec(batch), records, false, &plain), KC_OK);
        records = kb_buf_bytes(&plain);
    }
    kp_record_iter_init(&iter, batch, records);
    while (kp_record_next(&iter, &record) == KC_OK) {
        if (record.offset < fetched->next_offset)
            continue;
        ck_assert_int_eq(record.offset, fetched->next_offset);
        fetched->next_offset++;
        check_record(fetched, &record);
    }
    kb_buf_cleanup(&plain);
    ck_assert_uint_eq(mem.used, 0);
}

static void on_fetched(const kc_response *response, void *user)
{
    fetch_state *fetched = user;
    fetched->is_done = true;
    ck_assert_msg(response->err == KC_OK, "%s", response->error->text);
    const kp_fetch_resp *answer = response->message;
    ck_assert_int_eq(answer->error_code, KC_OK);
    ck_assert_int_eq(answer->responses.count, 1);
    ck_assert_int_eq(answer->responses.items[0].partitions.count, 1);
    const kp_fetch_resp_partition *part = &answer->responses.items[0].partitions.items[0];
    ck_assert_int_eq(part->error_code, KC_OK);
    fetched->high_watermark = part->high_watermark;
    kc_bytes rest = part->records;
    kp_batch batch;
    kc_err err;
    while ((err = kp_batch_next(&rest, true, &batch)) == KC_OK)
        check_batch(fetched, &batch);
    ck_assert_int_eq(err, KC_ERR_END);
}

/** Read a partition to its end; every record is compared with what was told. */
fetch_state world_read(producer_world *world, int32_t partition)
{
    fetch_state fetched = {.partition = partition, .high_watermark = 1, .last = -1, .world = world};
    while (fetched.next_offset < fetched.high_watermark) {
        kp_fetch_req_partition part = {.partition = partition,
                                       .current_leader_epoch = -1,
                                       .last_fetched_epoch = -1,
                                       .log_start_offset = -1,
                                       .fetch_offset = fetched.next_offset,
                                       .partition_max_bytes = 4000000,
                                       .high_watermark = INT64_MAX};
        kp_fetch_req_topic topic = {.topic = kc_str(world->topic)};
        topic.partitions.items = &part;
        topic.partitions.count = 1;
        kp_fetch_req request = {.max_wait_ms = 100,
                                .min_bytes = 1,
                                .max_bytes = 8000000,
                                .replica_id = -1,
                                .session_epoch = -1,
                                .rack_id = KC_STR(""),
                                .replica_state = {.replica_id = -1, .replica_epoch = -1}};
        request.topics.items = &topic;
        request.topics.count = 1;
        kc_call_options options = KC_CALL_OPTIONS_INIT;
        options.version = FETCH_VERSION;
        kc_error err;
        fetched.is_done = false;
        ck_assert_msg(kc_call(world->client, KP_API_FETCH, &request, &options, on_fetched, &fetched,
                              &err) == KC_OK,
                      "%s", err.text);
        while (!fetched.is_done)
            ck_assert_int_ge(kc_client_dispatch(world->client, 1000), KC_ERR_AGAIN);
    }
    return fetched;
}

void world_create_with(const producer_world *world, const char *property)
{
    const char *const command[] = {"tool",        "topics",       "--bootstrap-server",
                                   broker_list(), "--create",     "--topic",
                                   world->topic,  "--partitions", "1",
                                   "--config",    property,       NULL};
    char output[4096];
    ck_assert_msg(broker_command(output, sizeof output, command) == 0, "%s", output);
}
