/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The same work as bench_consume with librdkafka, to compare with: its batch interface, checksums
 * on. */
#include "bench/consume_common.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>

#define MESSAGES_MAX 10000

static void set(rd_kafka_conf_t *config, const char *name, const char *value)
{
    char text[256];
    if (rd_kafka_conf_set(config, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        consume_die("config", text);
}

static rd_kafka_t *make_client(const consume_args *args)
{
    char text[256];
    rd_kafka_conf_t *config = rd_kafka_conf_new();
    set(config, "bootstrap.servers", args->brokers);
    set(config, "group.id", "bench");
    set(config, "enable.auto.commit", "false");
    set(config, "check.crcs", "true");
    for (int i = 0; i < args->property_count; i++)
        set(config, args->properties[i].name, args->properties[i].value);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, config, text, sizeof text);
    if (!client)
        consume_die("open", text);
    rd_kafka_poll_set_consumer(client);
    return client;
}

static void assign_all(rd_kafka_t *client, const consume_args *args)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(args->partitions);
    for (int i = 0; i < args->partitions; i++)
        rd_kafka_topic_partition_list_add(list, args->topic, i)->offset = 0;
    rd_kafka_resp_err_t err = rd_kafka_assign(client, list);
    if (err)
        consume_die("assign", rd_kafka_err2str(err));
    rd_kafka_topic_partition_list_destroy(list);
}

int main(int argc, char **argv)
{
    consume_args args = consume_args_read(argc, argv);
    static rd_kafka_message_t *messages[MESSAGES_MAX];
    rd_kafka_t *client = make_client(&args);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);

    consume_measure measure;
    consume_begin(&measure);
    assign_all(client, &args);
    while (measure.records < args.count) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, 1000, messages, MESSAGES_MAX);
        for (ssize_t i = 0; i < count; i++) {
            rd_kafka_message_t *message = messages[i];
            if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
                consume_die("consume", rd_kafka_message_errstr(message));
            if (!message->err) {
                measure.records++;
                measure.bytes += message->key_len + message->len;
            }
            rd_kafka_message_destroy(message);
        }
    }
    consume_end(&measure);

    char extra[64];
    snprintf(extra, sizeof extra, "\"version\": \"%s\"", rd_kafka_version_str());
    consume_print("librdkafka", &args, &measure, extra);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    return 0;
}
