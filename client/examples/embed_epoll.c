/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client in a plain epoll loop, beside a timer of the program's own. */
#include <kafkac/kafkac.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

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

/** embed_epoll BROKERS TOPIC */
int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: %s host:port topic\n", argv[0]), 2;
    open_client(argv[1]);
    topic = kc_str(argv[2]);

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct itimerspec every = {{0, TICK_MS * 1000000}, {0, TICK_MS * 1000000}};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = timer};
    timerfd_settime(timer, 0, &every, NULL);
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
    event.data.fd = kc_client_fd(client); /* the one descriptor: sockets, timers, wake-ups */
    epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);

    while (told < RECORDS) {
        epoll_wait(epoll, &event, 1, -1);
        if (event.data.fd == timer) {
            unsigned long long ticks;
            if (read(timer, &ticks, sizeof ticks) > 0)
                on_tick();
        } else {
            kc_client_dispatch(client, 0); /* one turn; never blocks */
        }
    }
    close(timer);
    close(epoll);
    printf("%d records acknowledged\n", told - failed);
    kc_client_free(client);
    return failed != 0;
}
