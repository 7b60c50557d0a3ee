/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client in a libevent loop: a persistent event on its descriptor. */
#include <kafkac/kafkac.h>

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

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

static struct event_base *base;

static void on_readable(evutil_socket_t fd, short events, void *user)
{
    (void)fd;
    (void)events;
    (void)user;
    kc_client_dispatch(client, 0); /* one turn; never blocks */
    if (told == RECORDS)
        event_base_loopbreak(base);
}

static void on_timer(evutil_socket_t fd, short events, void *user)
{
    (void)fd;
    (void)events;
    (void)user;
    on_tick();
}

/** embed_event BROKERS TOPIC */
int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: %s host:port topic\n", argv[0]), 2;
    open_client(argv[1]);
    topic = kc_str(argv[2]);

    const struct timeval every = {0, TICK_MS * 1000};
    base = event_base_new();
    struct event *readable =
        event_new(base, kc_client_fd(client), EV_READ | EV_PERSIST, on_readable, NULL);
    struct event *timer = event_new(base, -1, EV_PERSIST, on_timer, NULL);
    event_add(readable, NULL);
    event_add(timer, &every);
    event_base_dispatch(base);
    event_free(readable);
    event_free(timer);
    event_base_free(base);
    printf("%d records acknowledged\n", told - failed);
    kc_client_free(client);
    return failed != 0;
}
