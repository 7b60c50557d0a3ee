/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Consume as fast as possible with kafkac: records per second, CPU and memory of the client. */
#include "bench/consume_common.h"

#include <kafkac/consumer.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static kc_config *make_config(const consume_args *args)
{
    kc_error err;
    kc_config *config = kc_config_new();
    if (!config || kc_config_set(config, "bootstrap.servers", args->brokers, &err) != KC_OK)
        consume_die("config", err.text);
    for (int i = 0; i < args->property_count; i++)
        if (kc_config_set(config, args->properties[i].name, args->properties[i].value, &err) !=
            KC_OK)
            consume_die("config", err.text);
    return config;
}

static void assign_all(kc_consumer *consumer, const consume_args *args)
{
    static kc_topic_offset items[CONSUME_PARTITIONS_MAX];
    kc_error err;
    for (int i = 0; i < args->partitions; i++)
        items[i] = (kc_topic_offset){.topic = kc_str(args->topic), .partition = i, .offset = 0};
    if (kc_consumer_assign(consumer, items, (size_t)args->partitions, &err) != KC_OK)
        consume_die("assign", err.text);
}

static void on_error(kc_consumer *consumer, const kc_error *error, void *user)
{
    (void)consumer;
    (void)user;
    consume_die("consume", error->text);
}

static void read_batch(kc_batch *batch, consume_measure *measure)
{
    kc_view view;
    long records = 0;
    uint64_t bytes = 0;
    while (kc_batch_read(batch, &view)) {
        records++;
        bytes += view.key.len + view.value.len;
    }
    kc_batch_free(batch);
    measure->records += records;
    measure->bytes += bytes;
}

int main(int argc, char **argv)
{
    consume_args args = consume_args_read(argc, argv);
    kc_config *config = make_config(&args);
    kc_client *client;
    kc_consumer *consumer;
    kc_error err;
    if (kc_client_new(config, NULL, &client, &err) != KC_OK ||
        kc_consumer_open(client, NULL, &consumer, &err) != KC_OK)
        consume_die("open", err.text);
    kc_config_free(config);
    kc_consumer_set_events(consumer, &(kc_consumer_events){.on_error = on_error});

    consume_measure measure;
    consume_begin(&measure);
    assign_all(consumer, &args);
    while (measure.records < args.count) {
        kc_batch *batch;
        kc_err result = kc_consumer_poll(consumer, 10000, &batch, &err);
        if (result != KC_OK)
            consume_die("poll", err.text);
        read_batch(batch, &measure);
    }
    consume_end(&measure);

    char extra[160];
    kc_consumer_stats stats;
    kc_client_stats memory;
    kc_consumer_stats_get(consumer, &stats);
    kc_client_stats_get(client, &memory);
    snprintf(extra, sizeof extra,
             "\"batches\": %" PRIu64 ", \"fetches\": %" PRIu64 ", \"memory_peak\": %zu",
             stats.batches, stats.fetches, memory.memory_bytes_peak);
    consume_print("kafkac", &args, &measure, extra);
    kc_client_free(client);
    return 0;
}
