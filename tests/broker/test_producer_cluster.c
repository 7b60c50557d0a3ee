/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The producer while brokers of a cluster of three die and come back: at least once, and in order. */
#include "tests/broker/producer_world.h"

#include <check.h>

#define PARTITIONS 3
#define RECORDS    60000

static void kill_and_restart(producer_world *world, uint32_t number)
{
    static const char *const kill_second[] = {"kill", "-9", "2", NULL};
    static const char *const restart_second[] = {"restart", "2", NULL};
    (void)world;
    if (number == RECORDS / 4)
        ck_assert_int_eq(broker_command(NULL, 0, kill_second), 0);
    if (number == RECORDS / 2)
        ck_assert_int_eq(broker_command(NULL, 0, restart_second), 0);
}

static void produce_through(const char *const *properties)
{
    producer_world world;
    world_open(&world, "killed", properties);
    world.may_repeat = true;
    ck_assert_int_eq(broker_count(), 3);
    broker_create_topic(world.topic, PARTITIONS, 3);
    for (uint32_t i = 0; i < RECORDS; i++) {
        world_send(&world, i, (int32_t)(i % PARTITIONS), false);
        kill_and_restart(&world, i);
        if (i % 100 == 0)
            ck_assert_int_ge(kc_client_dispatch(world.client, 5), KC_ERR_AGAIN);
    }
    ck_assert_int_eq(kc_producer_flush(world.producer, 120000), KC_OK);
    ck_assert_uint_eq(world.told, RECORDS);
    ck_assert_msg(world.failed == 0, "%s", world.error.text);
    uint32_t records = 0;
    for (int32_t i = 0; i < PARTITIONS; i++)
        records += world_read(&world, i).records;
    ck_assert_uint_eq(records, RECORDS);
    world_close(&world);
}

START_TEST(a_killed_broker_loses_and_reorders_nothing)
{
    produce_through(NULL);
}
END_TEST

START_TEST(a_killed_broker_loses_and_reorders_nothing_compressed)
{
    static const char *const properties[] = {"compression.type", "lz4", "batch.size", "2000", NULL};
    produce_through(properties);
}
END_TEST
