/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Produce as fast as possible with kafkac: records per second, CPU and memory of the client. */
#include "bench/produce_common.h"

#include <kafkac/producer.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Records between two looks at the network; a program with a loop of its own does about that. */
#define RECORDS_PER_TURN 512

static long done, failed;

static void on_done(const kc_delivery *delivery, void *user)
{
    (void)user;
    done++;
    failed += delivery->err != KC_OK;
}

static kc_config *make_config(const produce_args *args)
{
    kc_error err;
    kc_config *config = kc_config_new();
    char acks[12];
    snprintf(acks, sizeof acks, "%d", args->acks);
    if (!config || kc_config_set(config, "bootstrap.servers", args->brokers, &err) != KC_OK ||
        kc_config_set(config, "acks", acks, &err) != KC_OK)
        produce_die("config", err.text);
    for (int i = 0; i < args->property_count; i++) {
        if (kc_config_set(config, args->properties[i].name, args->properties[i].value, &err) !=
            KC_OK)
            produce_die("config", err.text);
    }
    return config;
}

static void turn(kc_client *client, int timeout_ms)
{
    kc_err err = kc_client_dispatch(client, timeout_ms);
    if (err != KC_OK && err != KC_ERR_AGAIN)
        produce_die("dispatch", kc_err_text(err));
}

static void send_one(kc_client *client, kc_topic *topic, const produce_args *args, long i)
{
    kc_record record = KC_RECORD_INIT;
    kc_error error;
    kc_err err;
    record.value = kc_span(produce_value(args, i), (size_t)args->size);
    if (args->is_keyed)
        record.key = kc_span(&i, sizeof i);
    while ((err = kc_producer_send_to(topic, &record, on_done, NULL, &error)) == KC_ERR_BUFFER_FULL)
        turn(client, -1);
    if (err != KC_OK)
        produce_die("send", error.text);
}

static void flush(kc_producer *producer)
{
    kc_error error;
    if (kc_producer_flush(producer, 60000) != KC_OK)
        produce_die("flush", "timeout");
    kc_producer_last_error(producer, &error);
    if (error.code != KC_OK)
        produce_die("delivery", error.text);
}

int main(int argc, char **argv)
{
    produce_args args = produce_args_read(argc, argv);
    kc_config *config = make_config(&args);
    kc_client *client;
    kc_producer *producer;
    kc_topic *topic;
    kc_error err;
    if (kc_client_new(config, NULL, &client, &err) != KC_OK ||
        kc_producer_open(client, NULL, &producer, &err) != KC_OK ||
        kc_producer_topic(producer, kc_str(args.topic), &topic, &err) != KC_OK)
        produce_die("open", err.text);
    kc_config_free(config);
    send_one(client, topic, &args, 0); // connects
    flush(producer);
    done = 0;

    produce_measure measure;
    produce_begin(&measure, &args);
    for (long i = 0; i < args.count; i++) {
        int64_t sent_ns = args.is_latency ? produce_now_ns() : 0;
        send_one(client, topic, &args, i);
        while (args.is_latency && done <= i)
            turn(client, -1);
        if (args.is_latency)
            measure.latency_ns[i] = produce_now_ns() - sent_ns;
        else if (i % RECORDS_PER_TURN == 0)
            turn(client, 0);
    }
    flush(producer);
    produce_end(&measure);

    kc_producer_stats stats;
    char extra[160];
    kc_producer_stats_get(producer, &stats);
    snprintf(extra, sizeof extra, "\"batches\": %" PRIu64 ", \"requests\": %" PRIu64,
             stats.batches_sent, stats.requests_sent);
    produce_print("kafkac", &args, &measure, failed, extra);
    kc_client_free(client);
    return failed != 0 || done != args.count;
}
