/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The project's own client against the broker, on one virtual clock: through the public API, over the in-memory
 * network. */
#include "client/core.h"
#include "mock/broker.h"
#include "mock/mem_server.h"

#include <kafkac/consumer.h>
#include <kafkac/producer.h>

#include <check.h>
#include <stdio.h>

#define PARTITIONS 6
#define RECORDS    1000
#define START_US   1000000
#define WALL_MS    1700000000000

typedef struct trial {
    kb_mem mem;
    kb_rand rand;
    kn_loop *loop;
    kn_mem_network *network;
    km_cluster *cluster;
    km_mem_server *server;
    kc_client *client;
    int acked, failed;
    bool is_seen[RECORDS * 2];
} trial;

static void set(kc_config *config, const char *name, const char *value)
{
    kc_error error = {0};
    ck_assert_msg(kc_config_set(config, name, value, &error) == KC_OK, "%s: %s", name, error.text);
}

/** Three brokers, topic "t", a client; `settings` name, value, ..., NULL. */
static void start(trial *r, int64_t replication_us, const char *const *settings)
{
    km_options options;
    km_topic *topic;
    kc_error error = {0};
    *r = (trial){0};
    kb_mem_init(&r->mem, NULL, 0);
    kb_rand_init(&r->rand, 1);
    km_options_init(&options);
    options.broker_count = 3;
    options.replication_us = replication_us;
    ck_assert_int_eq(kn_loop_new_virtual(&r->mem, START_US, WALL_MS, &r->loop), KC_OK);
    ck_assert_int_eq(kn_mem_network_new(&r->mem, r->loop, &r->rand, &r->network), KC_OK);
    kn_mem_network_shape(r->network)->latency_us = 300;
    ck_assert_int_eq(km_cluster_new(&r->mem, &options, START_US, WALL_MS, &r->cluster), KC_OK);
    ck_assert_int_eq(km_mem_server_new(r->loop, r->network, r->cluster, &r->server), KC_OK);
    ck_assert_int_eq(km_topic_create(r->cluster, KC_STR("t"), PARTITIONS, 3, &topic), 0);
    kc_config *config = kc_config_new();
    ck_assert_ptr_nonnull(config);
    set(config, "bootstrap.servers", "b1:9092,b2:9092");
    set(config, "auto.offset.reset", "earliest");
    for (; settings && settings[0]; settings += 2)
        set(config, settings[0], settings[1]);
    ck_assert_msg(kc_client_new_on(config, NULL, r->loop, kn_mem_network_base(r->network),
                                   &r->client, &error) == KC_OK,
                  "%s", error.text);
    kc_config_free(config);
}

static void stop(trial *r)
{
    kc_client_free(r->client);
    km_mem_server_free(r->server);
    km_cluster_free(r->cluster);
    kn_network_free(kn_mem_network_base(r->network));
    kn_loop_free(r->loop);
    ck_assert_uint_eq(r->mem.used, 0);
}

static void on_delivery(const kc_delivery *delivery, void *user)
{
    trial *r = user;
    if (delivery->err == KC_OK)
        r->acked++;
    else
        r->failed++;
}

static km_broker *leader_of_0(trial *r)
{
    return km_broker_by_id(r->cluster, km_partition_find(r->cluster, KC_STR("t"), 0)->leader);
}

/** Records number `from` to `until` - 1; `break_at`: the leader of partition 0 stops when this one was sent. */
static void produce(trial *r, int from, int until, int break_at)
{
    kc_producer *producer;
    kc_error error = {0};
    ck_assert_int_eq(kc_producer_open(r->client, NULL, &producer, &error), KC_OK);
    for (int i = from; i < until; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "%d", i);
        kc_record record = KC_RECORD_INIT;
        record.topic = KC_STR("t");
        record.key = kc_span(text, (size_t)len);
        record.value = record.key;
        ck_assert_int_eq(kc_producer_send(producer, &record, on_delivery, r, &error), KC_OK);
        bool never = false;
        if (i % 50 == 49)
            ck_assert_int_eq(kc_client_run_until(r->client, &never, 1), KC_ERR_TIMEOUT);
        if (i == break_at)
            km_broker_stop(leader_of_0(r), true);
    }
    ck_assert_int_eq(kc_producer_flush(producer, 60000), KC_OK);
    kc_producer_close(producer);
}

/** Read all partitions from their start until nothing more comes for a second. How many; each partition in order. */
static int consume(trial *r)
{
    kc_consumer *consumer;
    kc_error error = {0};
    kc_topic_offset assignment[PARTITIONS] = {0};
    int64_t next[PARTITIONS] = {0};
    int count = 0;
    for (int32_t i = 0; i < PARTITIONS; i++)
        assignment[i] = (kc_topic_offset){.topic = KC_STR("t"), .partition = i, .leader_epoch = -1};
    ck_assert_int_eq(kc_consumer_open(r->client, NULL, &consumer, &error), KC_OK);
    ck_assert_int_eq(kc_consumer_assign(consumer, assignment, PARTITIONS, &error), KC_OK);
    kc_batch *batch;
    while (kc_consumer_poll(consumer, 1000, &batch, &error) == KC_OK) {
        int32_t partition = kc_batch_partition(batch);
        kc_view view;
        while (kc_batch_read(batch, &view)) {
            int number = -1;
            ck_assert_int_ge(view.offset, next[partition]);
            next[partition] = view.offset + 1;
            for (size_t i = 0; i < view.value.len; i++)
                number = (number < 0 ? 0 : number) * 10 + view.value.ptr[i] - '0';
            ck_assert(number >= 0 && number < RECORDS * 2);
            r->is_seen[number] = true;
            count++;
        }
        kc_batch_free(batch);
    }
    kc_consumer_close(consumer, 1000);
    return count;
}

START_TEST(a_thousand_records_are_written_and_read)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
        trial r;
        start(&r, 2000, (const char *const[]){"compression.type", codecs[i], NULL});
        produce(&r, 0, RECORDS, -1);
        ck_assert_int_eq(r.acked, RECORDS);
        ck_assert_int_eq(consume(&r), RECORDS);
        for (int j = 0; j < RECORDS; j++)
            ck_assert(r.is_seen[j]);
        stop(&r);
    }
}
END_TEST

START_TEST(no_acknowledged_record_is_lost_with_a_leader)
{
    trial r;
    start(&r, 2000, (const char *const[]){"acks", "all", NULL});
    produce(&r, 0, RECORDS, RECORDS / 2);
    ck_assert_int_eq(r.acked, RECORDS);
    int count = consume(&r); /* what was stored but not acknowledged was sent again */
    ck_assert_int_ge(count, RECORDS);
    for (int j = 0; j < RECORDS; j++)
        ck_assert_msg(r.is_seen[j], "record %d", j);
    stop(&r);
}
END_TEST

START_TEST(what_was_written_is_read_from_the_next_leader)
{
    trial r;
    start(&r, 0, (const char *const[]){"acks", "all", NULL});
    produce(&r, 0, RECORDS, -1);
    ck_assert_int_eq(consume(&r), RECORDS);
    km_broker_stop(leader_of_0(&r), false);
    produce(&r, RECORDS, RECORDS * 2, -1);
    ck_assert_int_eq(consume(&r), RECORDS * 2);
    stop(&r);
}
END_TEST
