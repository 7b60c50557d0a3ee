/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A consumer on the real Kafka, for the tests of the consumer. */
#include "tests/broker/consumer_reader.h"

#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static void on_assigned(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                        void *user)
{
    (void)consumer;
    (void)partitions;
    (void)count;
    ((reader *)user)->assigned++;
}

static void on_revoked(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                       void *user)
{
    (void)consumer;
    (void)partitions;
    (void)count;
    ((reader *)user)->revoked++;
}

static void on_lost(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                    void *user)
{
    (void)consumer;
    (void)partitions;
    (void)count;
    ((reader *)user)->lost++;
}

static void on_error(kc_consumer *consumer, const kc_error *error, void *user)
{
    (void)consumer;
    reader *r = user;
    r->errors++;
    snprintf(r->error, sizeof r->error, "%s", error->text);
}

/** `settings`: name, value, ..., NULL. */
void reader_open(reader *r, const char *group, const char *const *settings)
{
    kc_error err = {.text = ""};
    kc_config *config = kc_config_new();
    *r = (reader){0};
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", broker_list(), &err), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "auto.offset.reset", "earliest", &err), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "heartbeat.interval.ms", "300", &err), KC_OK);
    if (group)
        ck_assert_int_eq(kc_config_set(config, "group.id", group, &err), KC_OK);
    for (; settings && *settings; settings += 2)
        ck_assert_msg(kc_config_set(config, settings[0], settings[1], &err) == KC_OK, "%s",
                      err.text);
    ck_assert_msg(kc_client_new(config, NULL, &r->client, &err) == KC_OK, "%s", err.text);
    ck_assert_msg(kc_consumer_open(r->client, NULL, &r->consumer, &err) == KC_OK, "%s", err.text);
    kc_consumer_events events = {.on_assigned = on_assigned,
                                 .on_revoked = on_revoked,
                                 .on_lost = on_lost,
                                 .on_error = on_error,
                                 .user = r};
    kc_consumer_set_events(r->consumer, &events);
    kc_config_free(config);
}

void reader_close(reader *r)
{
    ck_assert_int_eq(kc_consumer_close(r->consumer, READER_WAIT_MS), KC_OK);
    kc_client_free(r->client);
}

void reader_assign(reader *r, const char *topic, int partitions, int64_t offset)
{
    kc_topic_offset items[16];
    kc_error err;
    for (int i = 0; i < partitions; i++)
        items[i] = (kc_topic_offset){.topic = kc_str(topic), .partition = i, .offset = offset};
    ck_assert_msg(kc_consumer_assign(r->consumer, items, (size_t)partitions, &err) == KC_OK, "%s",
                  err.text);
}

void reader_subscribe(reader *r, const char *topic)
{
    kc_bytes name = kc_str(topic);
    kc_error err;
    ck_assert_msg(kc_consumer_subscribe(r->consumer, &name, 1, &err) == KC_OK, "%s", err.text);
}

/** Records until `count` came or nothing did for `quiet_ms`; offsets of a partition must grow. */
int reader_read(reader *r, int count, int quiet_ms)
{
    int total = 0;
    kc_error err;
    kc_batch *batch;
    while (total < count) {
        kc_err result = kc_consumer_poll(r->consumer, quiet_ms, &batch, &err);
        if (result == KC_ERR_AGAIN)
            break;
        ck_assert_msg(result == KC_OK, "%s", err.text);
        kc_view view;
        int64_t last = -1;
        while (kc_batch_read(batch, &view)) {
            ck_assert_int_gt(view.offset, last);
            last = view.offset;
            total++;
        }
        kc_batch_free(batch);
    }
    return total;
}

static int64_t wait_end_us(void)
{
    return kc_clock_monotonic_us() + READER_WAIT_MS * INT64_C(1000);
}

bool reader_wait_position(reader *r, const char *topic, int64_t offset)
{
    int64_t end_us = wait_end_us();
    do {
        int64_t position;
        if (kc_consumer_position(r->consumer, kc_str(topic), 0, &position) == KC_OK &&
            position == offset)
            return true;
        kc_err err = kc_client_dispatch(r->client, 10);
        ck_assert(err == KC_OK || err == KC_ERR_AGAIN);
    } while (kc_clock_monotonic_us() < end_us);
    return false;
}

/** Let both work until each has so many partitions. */
bool reader_wait_owned(reader *const *readers, const size_t *owned, int count)
{
    int64_t end_us = wait_end_us();
    do {
        bool is_done = true;
        for (int k = 0; k < count; k++) {
            kc_err err = kc_client_dispatch(readers[k]->client, 10);
            ck_assert(err == KC_OK || err == KC_ERR_AGAIN);
            kc_group_info info;
            kc_consumer_group_info(readers[k]->consumer, &info);
            is_done &= strcmp(info.state, "stable") == 0 &&
                       kc_consumer_assignment(readers[k]->consumer, NULL, 0) == owned[k];
        }
        if (is_done)
            return true;
    } while (kc_clock_monotonic_us() < end_us);
    return false;
}

/* ---- any request, waited for ---- */

typedef struct call_wait {
    bool is_done;
    kc_err err;
    char text[256];
    void (*take)(const void *message, void *user);
    void *user;
} call_wait;

static void on_response(const kc_response *response, void *user)
{
    call_wait *wait = user;
    wait->is_done = true;
    wait->err = response->err;
    if (response->err != KC_OK)
        snprintf(wait->text, sizeof wait->text, "%s", response->error->text);
    if (response->err == KC_OK && wait->take)
        wait->take(response->message, wait->user);
}

void reader_call(reader *r, int16_t key, int16_t version, const void *request,
                 void (*take)(const void *message, void *user), void *user)
{
    kc_error err;
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    call_wait wait = {.take = take, .user = user};
    options.version = version;
    ck_assert_msg(kc_call(r->client, key, request, &options, on_response, &wait, &err) == KC_OK,
                  "%s", err.text);
    while (!wait.is_done)
        ck_assert_int_ne(kc_client_dispatch(r->client, 100), KC_ERR_IO);
    ck_assert_msg(wait.err == KC_OK, "%s", wait.text);
}

static void note_error(const void *message, void *user)
{
    const kp_produce_resp *answer = message;
    *(kc_err *)user = answer->responses.items[0].partition_responses.items[0].error_code;
}

/** Until it is acknowledged: a leader that was just killed may have to be found anew. So a batch may
 * be written twice. */
static void produce_until_done(reader *r, const kp_produce_req *request)
{
    kc_err code;
    do {
        reader_call(r, KP_API_PRODUCE, 9, request, note_error, &code);
        if (code != KC_OK)
            (void)kc_client_dispatch(r->client, 100);
    } while (kc_err_flags(code) & KC_ERRF_RETRIABLE);
    ck_assert_msg(code == KC_OK, "%s", kc_err_name(code));
}

/** One batch of `count` records; of a transaction when `producer` is not NULL. */
void reader_produce(reader *r, const char *topic, int32_t partition, int count,
                    kp_batch_producer *producer, const char *transactional_id)
{
    uint8_t data[65536];
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, sizeof data);
    /* Not an old one: 30 s after its start, then every 5 minutes, a broker deletes what is older than
     * retention.ms, even what nobody has read yet. */
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    for (int i = 0; i < count; i++)
        ck_assert(
            kp_batch_append(&writer, now_ms + i, KC_STR("key"), KC_STR("some value"), NULL, 0));
    size_t len = kp_batch_finish(&writer);
    kp_batch_seal(data, len, producer);
    if (producer)
        producer->base_sequence += count;
    kp_produce_req_partition_data part = {.index = partition, .records = kc_span(data, len)};
    kp_produce_req_topic_data item = {.name = kc_str(topic)};
    item.partition_data.items = &part;
    item.partition_data.count = 1;
    kp_produce_req request = {
        .transactional_id = kc_str(transactional_id), .acks = -1, .timeout_ms = READER_WAIT_MS};
    request.topic_data.items = &item;
    request.topic_data.count = 1;
    produce_until_done(r, &request);
}
