/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The consumer while brokers of a cluster of three die and come back. */
#include "tests/broker/consumer_reader.h"

#include <kafkac/unstable/messages.h>

#include <stdio.h>
#include <string.h>

#define PARTITIONS 3
#define ROUNDS     60

static void broker_do(const char *verb, const char *signal_name, int broker)
{
    char number[12], output[4096];
    snprintf(number, sizeof number, "%d", broker);
    const char *const with_signal[] = {verb, signal_name, number, NULL};
    const char *const without[] = {verb, number, NULL};
    ck_assert_msg(broker_command(output, sizeof output, signal_name ? with_signal : without) == 0,
                  "%s", output);
}

/** Every offset once, in order, whatever dies. */
static int read_contiguous(reader *r, int64_t *next, int count, int quiet_ms)
{
    int total = 0;
    kc_error err;
    kc_batch *batch;
    kc_view view;
    while (total < count && kc_consumer_poll(r->consumer, quiet_ms, &batch, &err) == KC_OK) {
        int32_t partition = kc_batch_partition(batch);
        while (kc_batch_read(batch, &view)) {
            ck_assert_int_eq(view.offset, next[partition]);
            next[partition]++;
            total++;
        }
        kc_batch_free(batch);
    }
    return total;
}

START_TEST(a_killed_leader_loses_and_doubles_nothing)
{
    char topic[64];
    int64_t next[PARTITIONS] = {0};
    int total = 0;
    reader r, writer;
    broker_unique_name(topic, sizeof topic, "leader");
    broker_create_topic(topic, PARTITIONS, 3);
    reader_open(&r, NULL, NULL);
    reader_open(&writer, NULL, NULL);
    reader_assign(&r, topic, PARTITIONS, 0);
    for (int i = 0; i < ROUNDS; i++) {
        if (i == ROUNDS / 4)
            broker_do("kill", "-9", 2);
        if (i == ROUNDS / 2)
            broker_do("restart", NULL, 2);
        if (i == ROUNDS * 3 / 4)
            broker_do("kill", "-TERM", 3);
        reader_produce(&writer, topic, i % PARTITIONS, 10, NULL, NULL);
        total += read_contiguous(&r, next, 10, 2000);
    }
    total += read_contiguous(&r, next, ROUNDS * 10 - total, READER_WAIT_MS);
    total += read_contiguous(&r, next, INT32_MAX, 3000);
    ck_assert_int_ge(total, ROUNDS * 10); /* more, where a write was tried again */
    broker_do("restart", NULL, 3);
    reader_close(&r);
    reader_close(&writer);
}
END_TEST

START_TEST(a_killed_coordinator_is_survived_by_its_group)
{
    char topic[64], group[64];
    reader r;
    kc_error err;
    kc_group_info info;
    static const char *const by_hand[] = {"enable.auto.commit", "false", NULL};
    broker_unique_name(topic, sizeof topic, "coordinator");
    broker_unique_name(group, sizeof group, "group");
    broker_create_topic(topic, PARTITIONS, 3);
    reader_open(&r, group, by_hand);
    reader_subscribe(&r, topic);
    ck_assert(reader_wait_owned((reader *[]){&r}, (size_t[]){PARTITIONS}, 1));
    reader_produce(&r, topic, 0, 10, NULL, NULL);
    ck_assert_int_eq(reader_read(&r, 10, READER_WAIT_MS), 10);
    kc_consumer_group_info(r.consumer, &info);
    int killed = info.coordinator;
    broker_do("kill", "-9", killed);
    kc_err result = kc_consumer_commit_sync(r.consumer, NULL, 0, READER_WAIT_MS, &err);
    ck_assert_msg(result == KC_OK, "%s", err.text);
    reader_produce(&r, topic, 1, 10, NULL, NULL);
    ck_assert_int_eq(reader_read(&r, 10, READER_WAIT_MS), 10);
    do { /* the member looks for it with its next heartbeat */
        ck_assert_int_ge(kc_client_dispatch(r.client, 100), KC_ERR_AGAIN);
        kc_consumer_group_info(r.consumer, &info);
    } while (info.coordinator == killed);
    ck_assert(reader_wait_owned((reader *[]){&r}, (size_t[]){PARTITIONS}, 1));
    ck_assert_int_eq(r.lost, 0);
    broker_do("restart", NULL, killed);
    reader_close(&r);
}
END_TEST
