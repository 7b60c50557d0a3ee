/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The same work as bench_produce with librdkafka, to compare with. */
#include "bench/produce_common.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#define RECORDS_PER_POLL 512

static long done, failed;

static void on_done(rd_kafka_t *client, const rd_kafka_message_t *message, void *user)
{
    (void)client;
    (void)user;
    done++;
    failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void set(rd_kafka_conf_t *config, const char *name, const char *value)
{
    char text[256];
    if (rd_kafka_conf_set(config, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        produce_die("config", text);
}

static rd_kafka_t *make_client(const produce_args *args)
{
    char text[256];
    char acks[12];
    rd_kafka_conf_t *config = rd_kafka_conf_new();
    snprintf(acks, sizeof acks, "%d", args->acks);
    set(config, "bootstrap.servers", args->brokers);
    set(config, "acks", acks);
    rd_kafka_conf_set_dr_msg_cb(config, on_done);
    for (int i = 0; i < args->property_count; i++)
        set(config, args->properties[i].name, args->properties[i].value);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, config, text, sizeof text);
    if (!client)
        produce_die("open", text);
    return client;
}

static void send_one(rd_kafka_t *client, rd_kafka_topic_t *topic, const produce_args *args, long i)
{
    void *value = (void *)(uintptr_t)produce_value(args, i);
    const void *key = args->is_keyed ? &i : NULL;
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value,
                            (size_t)args->size, key, key ? sizeof i : 0, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            produce_die("send", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(client, 10);
    }
}

int main(int argc, char **argv)
{
    produce_args args = produce_args_read(argc, argv);
    rd_kafka_t *client = make_client(&args);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, args.topic, NULL);
    send_one(client, topic, &args, 0); // connects
    rd_kafka_flush(client, 60000);
    done = 0;

    produce_measure measure;
    produce_begin(&measure, &args);
    for (long i = 0; i < args.count; i++) {
        int64_t sent_ns = args.is_latency ? produce_now_ns() : 0;
        send_one(client, topic, &args, i);
        while (args.is_latency && done <= i)
            rd_kafka_poll(client, 1000);
        if (args.is_latency)
            measure.latency_ns[i] = produce_now_ns() - sent_ns;
        else if (i % RECORDS_PER_POLL == 0)
            rd_kafka_poll(client, 0);
    }
    rd_kafka_flush(client, 60000);
    produce_end(&measure);

    char extra[64];
    snprintf(extra, sizeof extra, "\"version\": \"%s\"", rd_kafka_version_str());
    produce_print("librdkafka", &args, &measure, failed, extra);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return failed != 0 || done != args.count;
}
