/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The consumer against a real Kafka: what Java wrote, groups, commits, transactions, topics that change. */
#include "protocol/base/arena.h"
#include "protocol/batch.h"
#include "tests/broker/broker.h"

#include <kafkac/consumer.h>
#include <kafkac/unstable/messages.h>

#include <check.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 30000

/** A client with one consumer, and what its group did. */
typedef struct reader {
    kc_client *client;
    kc_consumer *consumer;
    int assigned, revoked, lost, errors;
    char error[256];
} reader;

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
static void open_reader(reader *r, const char *group, const char *const *settings)
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

static void close_reader(reader *r)
{
    ck_assert_int_eq(kc_consumer_close(r->consumer, WAIT_MS), KC_OK);
    kc_client_free(r->client);
}

static void assign(reader *r, const char *topic, int partitions, int64_t offset)
{
    kc_topic_offset items[16];
    kc_error err;
    for (int i = 0; i < partitions; i++)
        items[i] = (kc_topic_offset){.topic = kc_str(topic), .partition = i, .offset = offset};
    ck_assert_msg(kc_consumer_assign(r->consumer, items, (size_t)partitions, &err) == KC_OK, "%s",
                  err.text);
}

static void subscribe(reader *r, const char *topic)
{
    kc_bytes name = kc_str(topic);
    kc_error err;
    ck_assert_msg(kc_consumer_subscribe(r->consumer, &name, 1, &err) == KC_OK, "%s", err.text);
}

/** Records until `count` came or nothing did for `quiet_ms`; offsets of a partition must grow. */
static int read_records(reader *r, int count, int quiet_ms)
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

/** Let both work until each has so many partitions. */
static bool wait_owned(reader *const *readers, const size_t *owned, int count)
{
    for (int i = 0; i < WAIT_MS / 10; i++) {
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
    }
    return false;
}

/* ---- any request, waited for ---- */

typedef struct call_wait {
    bool is_done;
    kc_err err;
    void (*take)(const void *message, void *user);
    void *user;
} call_wait;

static void on_response(const kc_response *response, void *user)
{
    call_wait *wait = user;
    wait->is_done = true;
    wait->err = response->err;
    if (response->err == KC_OK && wait->take)
        wait->take(response->message, wait->user);
}

static void call(reader *r, int16_t key, int16_t version, const void *request,
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
    ck_assert_int_eq(wait.err, KC_OK);
}

static void check_produced(const void *message, void *user)
{
    (void)user;
    const kp_produce_resp *answer = message;
    ck_assert_int_eq(answer->responses.items[0].partition_responses.items[0].error_code, 0);
}

/** One batch of `count` records; of a transaction when `producer` is not NULL. */
static void produce(reader *r, const char *topic, int32_t partition, int count,
                    kp_batch_producer *producer, const char *transactional_id)
{
    uint8_t data[65536];
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, sizeof data);
    for (int i = 0; i < count; i++)
        ck_assert(kp_batch_append(&writer, 1700000000000 + i, KC_STR("key"), KC_STR("some value"),
                                  NULL, 0));
    size_t len = kp_batch_finish(&writer);
    kp_batch_seal(data, len, producer);
    if (producer)
        producer->base_sequence += count;
    kp_produce_req_partition_data part = {.index = partition, .records = kc_span(data, len)};
    kp_produce_req_topic_data item = {.name = kc_str(topic)};
    item.partition_data.items = &part;
    item.partition_data.count = 1;
    kp_produce_req request = {
        .transactional_id = kc_str(transactional_id), .acks = -1, .timeout_ms = WAIT_MS};
    request.topic_data.items = &item;
    request.topic_data.count = 1;
    call(r, KP_API_PRODUCE, 9, &request, check_produced, NULL);
}

static void take_producer(const void *message, void *user)
{
    const kp_init_producer_id_resp *answer = message;
    kp_batch_producer *producer = user;
    ck_assert_int_eq(answer->error_code, 0);
    producer->id = answer->producer_id;
    producer->epoch = answer->producer_epoch;
}

static void check_end(const void *message, void *user)
{
    (void)user;
    ck_assert_int_eq(((const kp_end_txn_resp *)message)->error_code, 0);
}

/** A transaction of `count` records on partition 0 (KIP-98). */
static void transact(reader *r, const char *topic, const char *id, int count, bool is_committed)
{
    kp_batch_producer producer = {.is_transactional = true};
    kp_init_producer_id_req init = {.transactional_id = kc_str(id),
                                    .transaction_timeout_ms = WAIT_MS,
                                    .producer_id = -1,
                                    .producer_epoch = -1};
    call(r, KP_API_INIT_PRODUCER_ID, 4, &init, take_producer, &producer);
    int32_t zero = 0;
    kp_add_partitions_to_txn_req_topic item = {.name = kc_str(topic)};
    item.partitions.items = &zero;
    item.partitions.count = 1;
    kp_add_partitions_to_txn_req add = {.v3_and_below_transactional_id = kc_str(id),
                                        .v3_and_below_producer_id = producer.id,
                                        .v3_and_below_producer_epoch = producer.epoch};
    add.v3_and_below_topics.items = &item;
    add.v3_and_below_topics.count = 1;
    call(r, KP_API_ADD_PARTITIONS_TO_TXN, 3, &add, NULL, NULL);
    produce(r, topic, 0, count, &producer, id);
    kp_end_txn_req end = {.transactional_id = kc_str(id),
                          .producer_id = producer.id,
                          .producer_epoch = producer.epoch,
                          .committed = is_committed};
    call(r, KP_API_END_TXN, 3, &end, check_end, NULL);
}

/* ---- tests ---- */

START_TEST(what_java_wrote_is_read_in_every_codec)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    char topic[64], servers[256], codec[64], output[4096];
    snprintf(servers, sizeof servers, "bootstrap.servers=%s", broker_list());
    broker_unique_name(topic, sizeof topic, "codecs");
    broker_create_topic(topic, 1, 1);
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
        snprintf(codec, sizeof codec, "compression.type=%s", codecs[i]);
        const char *const argv[] = {"tool",
                                    "producer-perf-test",
                                    "--topic",
                                    topic,
                                    "--num-records",
                                    "400",
                                    "--record-size",
                                    "200",
                                    "--throughput",
                                    "-1",
                                    "--producer-props",
                                    servers,
                                    codec,
                                    NULL};
        ck_assert_msg(broker_command(output, sizeof output, argv) == 0, "%s", output);
    }
    reader r;
    open_reader(&r, NULL, NULL);
    assign(&r, topic, 1, 0);
    ck_assert_int_eq(read_records(&r, 2000, 5000), 2000);
    int64_t position;
    ck_assert_int_eq(kc_consumer_position(r.consumer, kc_str(topic), 0, &position), KC_OK);
    ck_assert_int_eq(position, 2000);
    ck_assert_msg(r.errors == 0, "%s", r.error);
    close_reader(&r);
}
END_TEST

START_TEST(two_members_share_and_take_over)
{
    char topic[64], group[64];
    broker_unique_name(topic, sizeof topic, "share");
    broker_unique_name(group, sizeof group, "group");
    broker_create_topic(topic, 4, 1);
    reader a, b;
    open_reader(&a, group, NULL);
    subscribe(&a, topic);
    ck_assert(wait_owned((reader *[]){&a}, (size_t[]){4}, 1));
    open_reader(&b, group, NULL);
    subscribe(&b, topic);
    ck_assert(wait_owned((reader *[]){&a, &b}, (size_t[]){2, 2}, 2));
    ck_assert_int_eq(a.revoked, 1);
    for (int32_t p = 0; p < 4; p++)
        produce(&a, topic, p, 10, NULL, NULL);
    ck_assert_int_eq(read_records(&a, 20, 5000), 20);
    ck_assert_int_eq(read_records(&b, 20, 5000), 20);
    close_reader(&a);
    ck_assert(wait_owned((reader *[]){&b}, (size_t[]){4}, 1));
    ck_assert_int_eq(read_records(&b, 1, 1000), 0); /* a committed when it left */
    ck_assert_int_eq(b.lost, 0);
    close_reader(&b);
}
END_TEST

START_TEST(a_commit_is_where_the_next_one_goes_on)
{
    char topic[64], group[64];
    broker_unique_name(topic, sizeof topic, "commit");
    broker_unique_name(group, sizeof group, "group");
    broker_create_topic(topic, 1, 1);
    static const char *const by_hand[] = {"enable.auto.commit", "false", NULL};
    reader r;
    kc_error err;
    open_reader(&r, group, by_hand);
    produce(&r, topic, 0, 10, NULL, NULL);
    produce(&r, topic, 0, 10, NULL, NULL);
    subscribe(&r, topic);
    ck_assert_int_eq(read_records(&r, 20, 10000), 20);
    kc_topic_offset offset = {.topic = kc_str(topic), .offset = 13, .leader_epoch = -1};
    ck_assert_msg(kc_consumer_commit_sync(r.consumer, &offset, 1, WAIT_MS, &err) == KC_OK, "%s",
                  err.text);
    close_reader(&r);
    open_reader(&r, group, by_hand);
    subscribe(&r, topic);
    ck_assert_int_eq(read_records(&r, 20, 10000), 7);
    ck_assert_msg(kc_consumer_commit_sync(r.consumer, NULL, 0, WAIT_MS, &err) == KC_OK, "%s",
                  err.text);
    close_reader(&r);
    open_reader(&r, group, by_hand);
    assign(&r, topic, 1, KC_OFFSET_STORED);
    ck_assert_int_eq(read_records(&r, 1, 2000), 0);
    int64_t position;
    ck_assert_int_eq(kc_consumer_position(r.consumer, kc_str(topic), 0, &position), KC_OK);
    ck_assert_int_eq(position, 20);
    close_reader(&r);
}
END_TEST

START_TEST(read_committed_leaves_out_what_was_aborted)
{
    char topic[64], id[64];
    broker_unique_name(topic, sizeof topic, "transactions");
    broker_unique_name(id, sizeof id, "transactional");
    broker_create_topic(topic, 1, 1);
    reader all, committed;
    static const char *const settings[] = {"isolation.level", "read_committed", NULL};
    open_reader(&all, NULL, NULL);
    open_reader(&committed, NULL, settings);
    transact(&all, topic, id, 5, true);
    transact(&all, topic, id, 7, false);
    transact(&all, topic, id, 3, true);
    produce(&all, topic, 0, 2, NULL, NULL);
    assign(&all, topic, 1, 0);
    assign(&committed, topic, 1, 0);
    ck_assert_int_eq(read_records(&all, 17, 5000), 17);
    ck_assert_int_eq(read_records(&committed, 11, 1500), 10);
    int64_t position;
    ck_assert_int_eq(kc_consumer_position(committed.consumer, kc_str(topic), 0, &position), KC_OK);
    ck_assert_int_eq(position, 20); /* 17 records and 3 markers */
    close_reader(&all);
    close_reader(&committed);
}
END_TEST

START_TEST(offsets_out_of_range_begin_again_where_told)
{
    char topic[64];
    broker_unique_name(topic, sizeof topic, "range");
    broker_create_topic(topic, 1, 1);
    reader r;
    open_reader(&r, NULL, NULL);
    produce(&r, topic, 0, 10, NULL, NULL);
    assign(&r, topic, 1, 1000000);
    ck_assert_int_eq(read_records(&r, 10, 5000), 10);
    assign(&r, topic, 1, KC_OFFSET_END);
    ck_assert_int_eq(read_records(&r, 1, 1000), 0);
    produce(&r, topic, 0, 4, NULL, NULL);
    ck_assert_int_eq(read_records(&r, 4, 5000), 4);
    close_reader(&r);
}
END_TEST

START_TEST(batches_larger_than_the_limits_are_read)
{
    char topic[64];
    broker_unique_name(topic, sizeof topic, "large");
    broker_create_topic(topic, 3, 1);
    static const char *const settings[] = {"max.partition.fetch.bytes", "200", "fetch.max.bytes",
                                           "1024", NULL};
    reader r;
    open_reader(&r, NULL, settings);
    for (int i = 0; i < 9; i++)
        produce(&r, topic, i % 3, 500, NULL, NULL);
    assign(&r, topic, 3, 0);
    ck_assert_int_eq(read_records(&r, 4500, 5000), 4500);
    close_reader(&r);
}
END_TEST

START_TEST(a_pattern_finds_topics_made_later)
{
    char stem[64], first[80], second[80], pattern[80], group[64];
    broker_unique_name(stem, sizeof stem, "pattern");
    broker_unique_name(group, sizeof group, "group");
    snprintf(first, sizeof first, "%s-a", stem);
    snprintf(second, sizeof second, "%s-b", stem);
    snprintf(pattern, sizeof pattern, "%s-.*", stem);
    broker_create_topic(first, 1, 1);
    reader r;
    kc_error err;
    open_reader(&r, group, NULL);
    ck_assert_int_eq(kc_consumer_subscribe_pattern(r.consumer, pattern, &err), KC_OK);
    ck_assert(wait_owned((reader *[]){&r}, (size_t[]){1}, 1));
    broker_create_topic(second, 2, 1);
    kc_consumer_refresh_topics(r.consumer);
    ck_assert(wait_owned((reader *[]){&r}, (size_t[]){3}, 1));
    produce(&r, second, 1, 5, NULL, NULL);
    ck_assert_int_eq(read_records(&r, 5, 10000), 5);
    close_reader(&r);
}
END_TEST

START_TEST(a_topic_deleted_and_made_anew_is_read_from_its_beginning)
{
    char topic[64], output[4096];
    broker_unique_name(topic, sizeof topic, "anew");
    broker_create_topic(topic, 1, 1);
    reader r;
    open_reader(&r, NULL, NULL);
    produce(&r, topic, 0, 10, NULL, NULL);
    assign(&r, topic, 1, 0);
    ck_assert_int_eq(read_records(&r, 10, 5000), 10);
    const char *const argv[] = {"tool", "topics", "--delete", "--topic", topic, NULL};
    ck_assert_int_eq(broker_command(output, sizeof output, argv), 0);
    broker_create_topic(topic, 1, 1);
    produce(&r, topic, 0, 6, NULL, NULL);
    ck_assert_int_eq(read_records(&r, 6, 10000), 6);
    close_reader(&r);
}
END_TEST

START_TEST(a_static_member_comes_back_to_its_partitions_without_a_rebalance)
{
    char topic[64], group[64];
    broker_unique_name(topic, sizeof topic, "static");
    broker_unique_name(group, sizeof group, "group");
    broker_create_topic(topic, 2, 1);
    static const char *const one[] = {"group.instance.id", "one", NULL};
    static const char *const two[] = {"group.instance.id", "two", NULL};
    reader a, b;
    open_reader(&a, group, one);
    open_reader(&b, group, two);
    subscribe(&a, topic);
    subscribe(&b, topic);
    ck_assert(wait_owned((reader *[]){&a, &b}, (size_t[]){1, 1}, 2));
    int assigned = a.assigned;
    close_reader(&b);
    open_reader(&b, group, two);
    subscribe(&b, topic);
    ck_assert(wait_owned((reader *[]){&a, &b}, (size_t[]){1, 1}, 2));
    ck_assert_int_eq(a.assigned, assigned);
    close_reader(&a);
    close_reader(&b);
}
END_TEST
