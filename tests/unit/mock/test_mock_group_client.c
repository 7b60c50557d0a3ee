/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * This project's own consumers in a group of the embedded broker, by the public API, on one virtual clock. */
#include "client/core.h"
#include "mock/broker.h"
#include "mock/group_offsets.h"
#include "mock/mem_server.h"
#include "tests/unit/mock/mock_world.h"

#include <kafkac/consumer.h>
#include <kafkac/producer.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define TOPIC      "t"
#define GROUP      "g"
#define PARTITIONS 6
#define RECORDS    10 /* of each partition */

typedef struct group_world {
    kb_mem mem;
    kb_rand rand;
    kn_loop *loop;
    kn_mem_network *network;
    km_cluster *cluster;
    km_mem_server *server;
} group_world;

/** A process with one consumer. */
typedef struct reader {
    kc_client *client;
    kc_consumer *consumer;
    bool is_assigned[PARTITIONS];
    int assigned;
    int64_t next[PARTITIONS]; /**< offset behind the last record it got */
    int records;
} reader;

static void world_new(group_world *world, int brokers)
{
    km_options options;
    km_topic *topic;
    memset(world, 0, sizeof *world);
    kb_mem_init(&world->mem, NULL, 0);
    kb_rand_init(&world->rand, 5);
    km_options_init(&options);
    options.broker_count = brokers;
    ck_assert_int_eq(kn_loop_new_virtual(&world->mem, 1000000, 1700000000000, &world->loop), KC_OK);
    ck_assert_int_eq(kn_mem_network_new(&world->mem, world->loop, &world->rand, &world->network),
                     KC_OK);
    ck_assert_int_eq(km_cluster_new(&world->mem, &options, 1000000, 1700000000000, &world->cluster),
                     KC_OK);
    ck_assert_int_eq(km_mem_server_new(world->loop, world->network, world->cluster, &world->server),
                     KC_OK);
    ck_assert_int_eq(km_topic_create(world->cluster, KC_STR(TOPIC), PARTITIONS, -1, &topic), 0);
}

static void world_run(group_world *world, int64_t ms)
{
    int64_t until_us = kn_loop_now_us(world->loop) + ms * 1000;
    while (kn_loop_advance(world->loop, until_us))
        ;
}

static void world_free(group_world *world)
{
    world_run(world, 1000); /* brokers hear of closed connections */
    km_mem_server_free(world->server);
    km_cluster_free(world->cluster);
    kn_network_free(kn_mem_network_base(world->network));
    kn_loop_free(world->loop);
    ck_assert_uint_eq(world->mem.used, 0);
}

static kc_client *client_new(group_world *world, const char *const (*settings)[2])
{
    kc_client *client = NULL;
    kc_error err = {.code = KC_OK};
    kc_client_options options = {.size = sizeof options, .seed = kb_rand_u64(&world->rand) | 1};
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", "b1:9092", NULL), KC_OK);
    for (; settings && (*settings)[0]; settings++)
        ck_assert_int_eq(kc_config_set(config, (*settings)[0], (*settings)[1], NULL), KC_OK);
    ck_assert_msg(kc_client_new_on(config, &options, world->loop,
                                   kn_mem_network_base(world->network), &client, &err) == KC_OK,
                  "%s", err.text);
    kc_config_free(config);
    return client;
}

/* ---- records to read ---- */

static void produce(group_world *world)
{
    kc_client *client = client_new(world, NULL);
    kc_producer *producer = NULL;
    ck_assert_int_eq(kc_producer_open(client, NULL, &producer, NULL), KC_OK);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        for (int i = 0; i < RECORDS; i++) {
            char value[16];
            snprintf(value, sizeof value, "%d-%d", p, i);
            kc_record record = {.topic = KC_STR(TOPIC)};
            record.partition = p;
            record.value = kc_str(value);
            ck_assert_int_eq(kc_producer_send(producer, &record, NULL, NULL, NULL), KC_OK);
        }
    }
    world_run(world, 1000);
    kc_client_free(client);
}

/* ---- readers ---- */

static void on_assigned(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                        void *user)
{
    (void)consumer;
    reader *one = user;
    for (size_t i = 0; i < count; i++) {
        one->is_assigned[partitions[i].partition] = true;
        one->assigned++;
    }
}

static void on_gone(kc_consumer *consumer, const kc_topic_partition *partitions, size_t count,
                    void *user)
{
    (void)consumer;
    reader *one = user;
    for (size_t i = 0; i < count; i++) {
        one->is_assigned[partitions[i].partition] = false;
        one->assigned--;
    }
}

static void reader_open(group_world *world, reader *one)
{
    static const char *const settings[][2] = {{"group.id", GROUP},
                                              {"auto.offset.reset", "earliest"},
                                              {"enable.auto.commit", "false"},
                                              {"session.timeout.ms", "10000"},
                                              {NULL, NULL}};
    const kc_consumer_events events = {
        .on_assigned = on_assigned, .on_revoked = on_gone, .on_lost = on_gone, .user = one};
    const kc_bytes topic = KC_STR(TOPIC);
    kc_error err = {.code = KC_OK};
    memset(one, 0, sizeof *one);
    one->client = client_new(world, settings);
    ck_assert_int_eq(kc_consumer_open(one->client, NULL, &one->consumer, NULL), KC_OK);
    kc_consumer_set_events(one->consumer, &events);
    ck_assert_msg(kc_consumer_subscribe(one->consumer, &topic, 1, &err) == KC_OK, "%s", err.text);
}

static void take(reader *one)
{
    kc_batch *batch;
    kc_view view;
    while (kc_consumer_next(one->consumer, &batch) == KC_OK) {
        while (kc_batch_read(batch, &view)) {
            one->records++;
            one->next[kc_batch_partition(batch)] = view.offset + 1;
        }
        kc_batch_free(batch);
    }
}

/** Time passes, and readers take what comes. */
static void run(group_world *world, reader *all, int count, int64_t ms)
{
    for (int64_t passed = 0; passed < ms; passed += 100) {
        world_run(world, 100);
        for (int i = 0; i < count; i++)
            if (all[i].client)
                take(&all[i]);
    }
}

static void on_committed(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                         size_t count, void *user)
{
    (void)error;
    ck_assert_int_eq(err, KC_OK);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(offsets[i].err, KC_OK);
    *(size_t *)user = count;
}

static int64_t committed(const group_world *world, int32_t partition)
{
    const km_group *group = km_group_find(world->cluster, KC_STR(GROUP));
    const km_offset *offset = group ? km_group_offset_get(group, KC_STR(TOPIC), partition) : NULL;
    return offset ? offset->offset : -1;
}

static void check_each_has_one_owner(const reader *all, int count)
{
    for (int p = 0; p < PARTITIONS; p++) {
        int owners = 0;
        for (int i = 0; i < count; i++)
            owners += all[i].client && all[i].is_assigned[p];
        ck_assert_msg(owners == 1, "partition %d has %d owners", p, owners);
    }
}

START_TEST(two_consumers_share_a_topic_and_one_takes_all_when_the_other_leaves)
{
    group_world world;
    reader all[2];
    world_new(&world, 3);
    produce(&world);
    reader_open(&world, &all[0]);
    reader_open(&world, &all[1]);
    run(&world, all, 2, 20000);
    check_each_has_one_owner(all, 2);
    ck_assert_int_eq(all[0].assigned, 3);
    ck_assert_int_eq(all[1].assigned, 3);
    size_t count[2] = {0, 0};
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            kc_consumer_commit(all[i].consumer, NULL, 0, on_committed, &count[i], NULL), KC_OK);
    run(&world, all, 2, 1000);
    ck_assert_uint_eq(count[0], 3);
    ck_assert_uint_eq(count[1], 3);
    for (int32_t p = 0; p < PARTITIONS; p++)
        ck_assert_int_eq(committed(&world, p), RECORDS);
    int before = all[0].records + all[1].records;
    kc_consumer_unsubscribe(all[1].consumer);
    run(&world, all, 2, 15000);
    ck_assert_int_eq(all[0].assigned, PARTITIONS);
    ck_assert_int_eq(all[1].assigned, 0);
    /* It goes on where the other was. */
    ck_assert_int_eq(all[0].records + all[1].records, before);
    produce(&world);
    run(&world, all, 2, 2000);
    ck_assert_int_eq(all[0].records + all[1].records, before + PARTITIONS * RECORDS);
    kc_client_free(all[0].client);
    kc_client_free(all[1].client);
    world_free(&world);
}
END_TEST

START_TEST(a_consumer_that_is_killed_is_lost_after_its_session)
{
    group_world world;
    reader all[2];
    world_new(&world, 1);
    reader_open(&world, &all[0]);
    reader_open(&world, &all[1]);
    run(&world, all, 2, 20000);
    check_each_has_one_owner(all, 2);
    /* No LeaveGroup: its broker hears of nothing but a closed connection. */
    km_fault fault;
    km_fault_init(&fault);
    fault.api_key = KP_API_LEAVE_GROUP;
    fault.end = KM_FAULT_CLOSE_BEFORE;
    ck_assert_uint_ne(km_fault_add(world.cluster, &fault), 0);
    kc_client_free(all[1].client);
    all[1].client = NULL;
    run(&world, all, 2, 5000);
    ck_assert_int_eq(all[0].assigned, 3);
    run(&world, all, 2, 15000);
    ck_assert_int_eq(all[0].assigned, PARTITIONS);
    kc_client_free(all[0].client);
    world_free(&world);
}
END_TEST

START_TEST(a_group_outlives_the_move_of_its_coordinator)
{
    group_world world;
    reader all[2];
    world_new(&world, 3);
    produce(&world);
    reader_open(&world, &all[0]);
    reader_open(&world, &all[1]);
    run(&world, all, 2, 20000);
    check_each_has_one_owner(all, 2);
    for (int move = 0; move < 3; move++) {
        km_partition *at =
            km_coordinator_partition(world.cluster, KM_COORDINATOR_GROUP, KC_STR(GROUP));
        km_partition_move(world.cluster, at, at->leader % 3 + 1);
        km_changed(world.cluster);
        run(&world, all, 2, 20000);
        check_each_has_one_owner(all, 2);
        size_t count = 0;
        ck_assert_int_eq(kc_consumer_commit(all[0].consumer, NULL, 0, on_committed, &count, NULL),
                         KC_OK);
        run(&world, all, 2, 2000);
        ck_assert_uint_ne(count, 0);
    }
    kc_client_free(all[0].client);
    kc_client_free(all[1].client);
    world_free(&world);
}
END_TEST
