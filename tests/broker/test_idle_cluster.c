/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client that is connected to three brokers and has nothing to do: no thread, no wake-up. */
#include "tests/broker/broker.h"

#include <kafkac/kafkac.h>

#include <check.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define PARTITIONS 6
#define IDLE_MS    4000
/** By then buffers kept warm are given back, also the producer's (10 s after its last record), and what the connections
 *  had for being set up (10 s) is over. */
#define SETTLE_MS 13000

static kc_client *client;
static kc_producer *producer;

static int threads(char *last_id, size_t cap)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (last_id)
            snprintf(last_id, cap, "%s", entry->d_name);
    }
    closedir(dir);
    return count;
}

static void send_to_each(void)
{
    char topic[64];
    broker_unique_name(topic, sizeof topic, "idle");
    broker_create_topic(topic, PARTITIONS, 1);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        kc_error err = {0};
        kc_record record = KC_RECORD_INIT;
        record.topic = kc_str(topic);
        record.partition = i;
        record.value = KC_STR("value");
        ck_assert_msg(kc_producer_send(producer, &record, NULL, NULL, &err) == KC_OK, "%s",
                      err.text);
    }
    ck_assert_int_eq(kc_producer_flush(producer, 60000), KC_OK);
}

static void open_client(void)
{
    kc_error err = {0};
    kc_config *config = kc_config_new();
    if (broker_count() < 3) {
        printf("skipped: three brokers are needed: scripts/kafka run --brokers 3 -- COMMAND\n");
        exit(77);
    }
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", broker_list(), &err), KC_OK);
    ck_assert_int_eq(kc_client_new(config, NULL, &client, &err), KC_OK);
    ck_assert_int_eq(kc_producer_open(client, NULL, &producer, &err), KC_OK);
    kc_config_free(config);
}

static void expect_three_connections(void)
{
    kc_client_stats stats;
    kc_client_stats_get(client, &stats);
    ck_assert_uint_ge(stats.connections, 3);
}

START_TEST(three_brokers_and_no_work_need_no_thread_and_no_wake_up)
{
    struct pollfd fd;
    int before = threads(NULL, 0);
    open_client();
    send_to_each();
    expect_three_connections();
    ck_assert_int_eq(threads(NULL, 0), before);
    fd = (struct pollfd){.fd = kc_client_fd(client), .events = POLLIN};
    int64_t left_ms, settled_us = kc_clock_monotonic_us() + SETTLE_MS * INT64_C(1000);
    while ((left_ms = (settled_us - kc_clock_monotonic_us()) / 1000) > 0)
        if (poll(&fd, 1, (int)left_ms) > 0)
            ck_assert_int_ge(kc_client_dispatch(client, 0), KC_ERR_AGAIN);
    ck_assert_int_eq(poll(&fd, 1, IDLE_MS), 0);
    expect_three_connections();
    kc_client_free(client);
}
END_TEST

static long long switches_of(const char *thread)
{
    char path[320], line[128];
    long long switches = -1;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "voluntary_ctxt_switches: %lld", &switches) == 1)
            break;
    fclose(file);
    ck_assert_int_ge(switches, 0);
    return switches;
}

START_TEST(a_started_client_has_one_thread_that_sleeps_when_there_is_no_work)
{
    char id[256];
    kc_error err = {0};
    int before = threads(NULL, 0);
    open_client();
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    send_to_each();
    ck_assert_int_eq(threads(id, sizeof id), before + 1);
    poll(NULL, 0, SETTLE_MS);
    long long switches = switches_of(id);
    poll(NULL, 0, IDLE_MS);
    ck_assert_int_eq(switches_of(id), switches);
    ck_assert_int_eq(kc_client_stop(client), KC_OK);
    expect_three_connections();
    kc_client_free(client);
}
END_TEST
