/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * kc_client_explain() while one broker of three hangs, and while it is not there. */
#include "tests/broker/producer_world.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define PARTITIONS 3
#define WAIT_US    INT64_C(60000000)

static char explained[16384];

static void take(kc_bytes line, void *user)
{
    size_t *len = user;
    ck_assert_uint_lt(*len + line.len + 2, sizeof explained);
    *len += (size_t)snprintf(explained + *len, sizeof explained - *len, KC_FMT "\n", KC_ARG(line));
}

static void explain(kc_client *client)
{
    size_t len = 0;
    explained[0] = 0;
    ck_assert_int_eq(kc_client_explain(client, take, &len), KC_OK);
}

/** Dispatch until it says all of this; false: it did not. */
static bool says(producer_world *world, const char *one, const char *two)
{
    int64_t until_us = kc_clock_monotonic_us() + WAIT_US;
    do {
        ck_assert_int_ge(kc_client_dispatch(world->client, 50), KC_ERR_AGAIN);
        explain(world->client);
        if (strstr(explained, one) && strstr(explained, two))
            return true;
    } while (kc_clock_monotonic_us() < until_us);
    return false;
}

/** A topic with a partition on each broker, and connections to all. */
static void start(producer_world *world)
{
    world_open(world, "explain", NULL);
    ck_assert_int_eq(broker_count(), 3);
    broker_create_topic(world->topic, PARTITIONS, 1);
    for (int i = 0; i < PARTITIONS; i++)
        world_send(world, (uint32_t)i, i, false);
    ck_assert_int_eq(kc_producer_flush(world->producer, 60000), KC_OK);
    ck_assert_msg(says(world, "nothing is pending\n", "3 brokers connected, idle\n"), "%s",
                  explained);
}

static void send_and_wait(producer_world *world, const char *one, const char *two,
                          const char *const *mend)
{
    for (int i = 0; i < PARTITIONS; i++)
        world_send(world, (uint32_t)(PARTITIONS + i), i, false);
    bool is_said = says(world, one, two);
    ck_assert_int_eq(broker_command(NULL, 0, mend), 0); // before anything can fail the test
    ck_assert_msg(is_said, "%s", explained);
    ck_assert_int_eq(kc_producer_flush(world->producer, 120000), KC_OK);
    ck_assert_msg(world->failed == 0, "%s", world->error.text);
    world_close(world);
}

START_TEST(a_broker_that_hangs_is_told_with_what_is_in_flight_to_it)
{
    static const char *const stop[] = {"kill", "-STOP", "2", NULL};
    static const char *const go_on[] = {"kill", "-CONT", "2", NULL};
    producer_world world;
    start(&world);
    world.may_repeat = true;
    ck_assert_int_eq(broker_command(NULL, 0, stop), 0);
    send_and_wait(&world, "Produce is in flight to broker 2 for 1.",
                  "(produce): 1 request in flight, the oldest Produce for 1.", go_on);
}
END_TEST

START_TEST(a_broker_that_is_gone_is_told_with_the_cause)
{
    static const char *const kill_second[] = {"kill", "-9", "2", NULL};
    static const char *const restart_second[] = {"restart", "2", NULL};
    producer_world world;
    start(&world);
    world.may_repeat = true;
    ck_assert_int_eq(broker_command(NULL, 0, kill_second), 0);
    send_and_wait(&world, "(produce): not connected, next try in ", ": Connection refused",
                  restart_second);
}
END_TEST
