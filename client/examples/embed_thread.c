/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client with a thread of its own, for programs without a loop: the main thread only sends. */
#include <kafkac/kafkac.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RECORDS 20
#define TICK_MS 10

static kc_client *client;
static kc_producer *producer;
static kc_bytes topic;
static int sent, told, failed;

static void on_done(const kc_delivery *delivery, void *user)
{
    (void)user;
    told++;
    if (delivery->err == KC_OK)
        return;
    failed++;
    fprintf(stderr, "not sent: %s\n", delivery->error->text);
}

/** What the program does besides: here, a record per tick of a timer of its own. */
static void on_tick(void)
{
    char text[32];
    kc_error err;
    kc_record record = KC_RECORD_INIT;
    int len = snprintf(text, sizeof text, "tick %d", sent);
    record.topic = topic;
    record.value = kc_span(text, (size_t)len);
    if (sent == RECORDS)
        return;
    if (kc_producer_send(producer, &record, on_done, NULL, &err) == KC_OK)
        sent++;
    else
        fprintf(stderr, "%s\n", err.text);
}

static void open_client(const char *brokers)
{
    kc_error err = {.text = "out of memory"};
    kc_config *config = kc_config_new();
    if (!config || kc_config_set(config, "bootstrap.servers", brokers, &err) != KC_OK ||
        kc_client_new(config, NULL, &client, &err) != KC_OK ||
        kc_producer_open(client, NULL, &producer, &err) != KC_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    kc_config_free(config);
}

/** embed_thread BROKERS TOPIC */
int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: %s host:port topic\n", argv[0]), 2;
    open_client(argv[1]);
    topic = kc_str(argv[2]);

    kc_error err;
    if (kc_client_start(client, &err) != KC_OK)
        return fprintf(stderr, "%s\n", err.text), 1;
    const struct timespec tick = {0, TICK_MS * 1000000};
    while (sent < RECORDS) {
        on_tick(); /* from any thread; on_done() is called on the client's */
        nanosleep(&tick, NULL);
    }
    kc_err flushed = kc_producer_flush(producer, 60000);
    kc_client_stop(client); /* it is ours again, and what its thread wrote is seen */
    if (flushed != KC_OK)
        failed++;
    printf("%d records acknowledged\n", told - failed);
    kc_client_free(client);
    return failed != 0;
}
