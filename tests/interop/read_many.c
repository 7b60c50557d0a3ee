/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Reads numbered records as a member of a group that commits by itself, and writes the numbers down before it asks
 * for more; a driver kills broker and reader meanwhile. */
#define _GNU_SOURCE
#include <kafkac/consumer.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOSE_MS 10000

static volatile sig_atomic_t is_stopped;
static kc_client *client;

static void stop(int signal_number)
{
    (void)signal_number;
    is_stopped = 1;
    kc_client_wake(client);
}

static void on_error(kc_consumer *consumer, const kc_error *error, void *user)
{
    (void)consumer;
    (void)user;
    fprintf(stderr, "%s\n", error->text);
}

static kc_err open_all(char **argv, kc_consumer **consumer_out, kc_error *err)
{
    kc_config *config = kc_config_new();
    kc_bytes topic = kc_str(argv[2]);
    kc_err result =
        config ? kc_config_set(config, "bootstrap.servers", argv[1], err) : KC_ERR_NOMEM;
    if (result == KC_OK)
        result = kc_config_set(config, "group.id", argv[3], err);
    if (result == KC_OK)
        result = kc_config_set(config, "auto.offset.reset", "earliest", err);
    for (char **pair = argv + 6; result == KC_OK && *pair; pair++) {
        char *equals = strchr(*pair, '=');
        if (!equals)
            return KC_ERR_ARGUMENT;
        *equals = '\0';
        result = kc_config_set(config, *pair, equals + 1, err);
    }
    if (result == KC_OK)
        result = kc_client_new(config, NULL, &client, err);
    if (result == KC_OK)
        result = kc_consumer_open(client, NULL, consumer_out, err);
    if (result == KC_OK)
        result = kc_consumer_subscribe(*consumer_out, &topic, 1, err);
    kc_config_free(config);
    return result;
}

/** Writes down the numbers of a batch; how many. */
static uint64_t write_down(kc_batch *batch, FILE *file)
{
    kc_view view;
    uint64_t count = 0;
    for (; kc_batch_read(batch, &view); count++) {
        char text[24] = "";
        memcpy(text, view.value.ptr,
               view.value.len < sizeof text - 1 ? view.value.len : sizeof text - 1);
        fprintf(file, "%" PRIu64 "\n", (uint64_t)strtoull(text, NULL, 10));
    }
    fflush(file);
    return count;
}

/** Not faster than so many records in a second, lest it be over before anything can go wrong. */
static void slow_down(uint64_t count, uint64_t per_second)
{
    uint64_t ns = count * 1000000000 / per_second;
    struct timespec pause = {.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
    nanosleep(&pause, NULL);
}

/** read_many BROKERS TOPIC GROUP FILE PER_SECOND [NAME=VALUE...]: until SIGTERM. */
int main(int argc, char **argv)
{
    kc_consumer *consumer = NULL;
    kc_error err = {.text = "out of memory, or a property without value"};
    if (argc < 6)
        return fprintf(stderr, "usage: %s brokers topic group file rate [property=value...]\n",
                       argv[0]),
               2;
    uint64_t per_second = strtoull(argv[5], NULL, 10);
    FILE *file = fopen(argv[4], "a");
    if (!file)
        return fprintf(stderr, "%s: %s\n", argv[4], strerror(errno)), 2;
    if (open_all(argv, &consumer, &err) != KC_OK)
        return fprintf(stderr, "%s\n", err.text), 1;
    kc_consumer_events events = {.on_error = on_error};
    kc_consumer_set_events(consumer, &events);
    signal(SIGTERM, stop);
    kc_err result = KC_OK;
    while (!is_stopped && (result == KC_OK || result == KC_ERR_AGAIN)) {
        kc_batch *batch;
        result = kc_consumer_poll(consumer, 1000, &batch, &err);
        if (result != KC_OK)
            continue;
        slow_down(write_down(batch, file), per_second);
        kc_batch_free(batch);
    }
    if (!is_stopped)
        fprintf(stderr, "%s\n", err.text);
    kc_consumer_stats stats;
    kc_consumer_stats_get(consumer, &stats);
    printf("records %" PRIu64 " rebalances %" PRIu64 " commits %" PRIu64 "\n", stats.records,
           stats.rebalances, stats.commits);
    kc_err closed = kc_consumer_close(consumer, CLOSE_MS);
    kc_client_free(client);
    fclose(file);
    return !is_stopped || closed != KC_OK;
}
