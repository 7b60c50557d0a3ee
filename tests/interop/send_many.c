/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sends numbered records and writes down each number that was acknowledged; a driver kills the broker meanwhile. */
#include <kafkac/producer.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_EVERY 256 /* sends */

typedef struct sending {
    kc_client *client;
    kc_producer *producer;
    kc_topic *topic;
    FILE *acknowledged;
    uint64_t failed;
} sending;

static sending run;

static void on_done(const kc_delivery *delivery, void *user)
{
    if (delivery->err == KC_OK)
        fprintf(run.acknowledged, "%" PRIuPTR "\n", (uintptr_t)user);
    else if (run.failed++ == 0)
        fprintf(stderr, "record %" PRIuPTR ": %s\n", (uintptr_t)user, delivery->error->text);
}

static int open_all(char **argv, kc_error *err)
{
    kc_config *config = kc_config_new();
    kc_err result = config ? KC_OK : KC_ERR_NOMEM;
    if (result == KC_OK)
        result = kc_config_set(config, "bootstrap.servers", argv[1], err);
    for (char **pair = argv + 5; result == KC_OK && *pair; pair++) {
        char *equals = strchr(*pair, '=');
        if (!equals)
            return fprintf(stderr, "%s is no NAME=VALUE\n", *pair), 2;
        *equals = '\0';
        result = kc_config_set(config, *pair, equals + 1, err);
    }
    if (result == KC_OK)
        result = kc_client_new(config, NULL, &run.client, err);
    if (result == KC_OK)
        result = kc_producer_open(run.client, NULL, &run.producer, err);
    if (result == KC_OK)
        result = kc_producer_topic(run.producer, kc_str(argv[2]), &run.topic, err);
    kc_config_free(config);
    return result == KC_OK ? 0 : 1;
}

/** Every other record has a key, so that both ways of choosing a partition are used. */
static kc_err send_number(uint64_t i, kc_error *err)
{
    char value[80], key[24];
    kc_record record = KC_RECORD_INIT;
    int len = snprintf(value, sizeof value, "%" PRIu64 " of many, and some more bytes", i);
    record.value = kc_span(value, (size_t)len);
    if (i % 2 == 0)
        record.key = kc_span(key, (size_t)snprintf(key, sizeof key, "%" PRIu64, i));
    for (;;) {
        kc_err result = kc_producer_send_to(run.topic, &record, on_done, (void *)(uintptr_t)i, err);
        if (result != KC_ERR_BUFFER_FULL)
            return result;
        kc_err turned = kc_client_dispatch(run.client, 100);
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            return turned;
    }
}

/** send_many BROKERS TOPIC COUNT FILE [NAME=VALUE...]: 0 when all were acknowledged. */
int main(int argc, char **argv)
{
    kc_error err = {.text = "out of memory"};
    if (argc < 5)
        return fprintf(stderr, "usage: %s brokers topic count file [property=value...]\n", argv[0]),
               2;
    uint64_t count = strtoull(argv[3], NULL, 10);
    run.acknowledged = fopen(argv[4], "w");
    if (!run.acknowledged)
        return fprintf(stderr, "%s: %s\n", argv[4], strerror(errno)), 2;
    int status = open_all(argv, &err);
    if (status != 0)
        return fprintf(stderr, "%s\n", err.text), status;
    kc_err result = KC_OK;
    for (uint64_t i = 0; i < count && result == KC_OK; i++) {
        result = send_number(i, &err);
        if (i % TURN_EVERY == 0)
            (void)kc_client_dispatch(run.client, 0);
    }
    if (result != KC_OK)
        fprintf(stderr, "%s\n", err.text);
    kc_err flushed = kc_producer_flush(run.producer, 150000);
    kc_producer_stats stats;
    kc_producer_stats_get(run.producer, &stats);
    printf("acknowledged %" PRIu64 " failed %" PRIu64 " pending %" PRIu64 " retries %" PRIu64 "\n",
           stats.records_acked, stats.records_failed, stats.records_pending, stats.retries);
    kc_client_free(run.client);
    fclose(run.acknowledged);
    return result != KC_OK || flushed != KC_OK || stats.records_acked != count;
}
