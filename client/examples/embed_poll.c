/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client in a poll() loop: its one descriptor is an entry like any other. */
#include <kafkac/kafkac.h>

#include <poll.h>
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

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/** embed_poll BROKERS TOPIC */
int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: %s host:port topic\n", argv[0]), 2;
    open_client(argv[1]);
    topic = kc_str(argv[2]);

    struct pollfd fds[] = {{.fd = kc_client_fd(client), .events = POLLIN}};
    long long next_ms = now_ms();
    while (told < RECORDS) {
        long long wait_ms = next_ms - now_ms();
        if (poll(fds, 1, wait_ms > 0 ? (int)wait_ms : 0) > 0)
            kc_client_dispatch(client, 0); /* one turn; never blocks */
        if (now_ms() >= next_ms) {
            on_tick();
            next_ms += TICK_MS;
        }
    }
    printf("%d records acknowledged\n", told - failed);
    kc_client_free(client);
    return failed != 0;
}
