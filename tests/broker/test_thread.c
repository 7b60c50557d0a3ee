/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client with a thread of its own against a real broker: several threads send. */
#include "tests/broker/broker.h"

#include <kafkac/kafkac.h>

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SENDERS  4
#define RECORDS  20000
#define FLUSH_MS 60000
#define QUIET_MS 10000

static kc_producer *producer;
static char topic[64];
/** Told on the client's thread; read when that has ended. */
static int acknowledged[SENDERS], refused;
static bool sent[SENDERS];

static void on_delivery(const kc_delivery *delivery, void *user)
{
    int *count = user;
    if (delivery->err == KC_OK)
        ++*count;
    else
        refused++;
}

/** Numbered values with the sender as the key, so that each one's stay in one partition. */
static void *send_all(void *user)
{
    int number = (int)(intptr_t)user;
    char key[8], value[16];
    kc_record record = KC_RECORD_INIT;
    snprintf(key, sizeof key, "k%d", number);
    record.topic = kc_str(topic);
    record.key = kc_str(key);
    for (int i = 0; i < RECORDS; i++) {
        kc_err err;
        snprintf(value, sizeof value, "%d", i);
        record.value = kc_str(value);
        while ((err = kc_producer_send(producer, &record, on_delivery, &acknowledged[number],
                                       NULL)) == KC_ERR_BUFFER_FULL)
            if (kc_producer_flush(producer, FLUSH_MS) != KC_OK)
                return user;
        if (err != KC_OK)
            return user;
    }
    sent[number] = true;
    return user;
}

static kc_client *new_client(void)
{
    kc_error err;
    kc_client *client;
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", broker_list(), &err), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "auto.offset.reset", "earliest", &err), KC_OK);
    ck_assert_msg(kc_client_new(config, NULL, &client, &err) == KC_OK, "%s", err.text);
    kc_config_free(config);
    return client;
}

/** Each sender's numbers, in their order. */
static void check_log(kc_client *client)
{
    int next[SENDERS] = {0}, total = 0;
    kc_consumer *consumer;
    kc_batch *batch;
    kc_error err;
    kc_topic_offset places[3];
    for (int p = 0; p < 3; p++)
        places[p] = (kc_topic_offset){.topic = kc_str(topic), .partition = p};
    ck_assert_int_eq(kc_consumer_open(client, NULL, &consumer, &err), KC_OK);
    ck_assert_int_eq(kc_consumer_assign(consumer, places, 3, &err), KC_OK);
    while (total < SENDERS * RECORDS &&
           kc_consumer_poll(consumer, QUIET_MS, &batch, &err) == KC_OK) {
        kc_view view;
        for (; kc_batch_read(batch, &view); total++) {
            char value[16];
            int sender = view.key.ptr[1] - '0';
            snprintf(value, sizeof value, "%d", next[sender]++);
            ck_assert(kc_bytes_equal(view.value, kc_str(value)));
        }
        kc_batch_free(batch);
    }
    ck_assert_int_eq(total, SENDERS * RECORDS);
    ck_assert_int_eq(kc_consumer_close(consumer, 0), KC_OK);
}

START_TEST(several_threads_send_and_each_ones_records_keep_their_order)
{
    kc_error err;
    pthread_t senders[SENDERS];
    kc_client *client = new_client();
    broker_unique_name(topic, sizeof topic, "threads");
    broker_create_topic(topic, 3, 1);
    ck_assert_int_eq(kc_producer_open(client, NULL, &producer, &err), KC_OK);
    ck_assert_int_eq(kc_client_start(client, &err), KC_OK);
    for (intptr_t i = 0; i < SENDERS; i++)
        ck_assert_int_eq(pthread_create(&senders[i], NULL, send_all, (void *)i), 0);
    for (int i = 0; i < SENDERS; i++) {
        ck_assert_int_eq(pthread_join(senders[i], NULL), 0);
        ck_assert(sent[i]);
    }
    ck_assert_int_eq(kc_producer_flush(producer, FLUSH_MS), KC_OK);
    ck_assert_int_eq(kc_client_stop(client), KC_OK);
    ck_assert_int_eq(refused, 0);
    for (int i = 0; i < SENDERS; i++)
        ck_assert_int_eq(acknowledged[i], RECORDS);
    check_log(client); /* it is ours again */
    kc_client_free(client);
}
END_TEST
