/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client in a libuv loop: a uv_poll_t on its descriptor. */
#include <kafkac/kafkac.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

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

static uv_poll_t poll_handle;
static uv_timer_t timer;

static void on_readable(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    kc_client_dispatch(client, 0); /* one turn; never blocks */
    if (told < RECORDS)
        return;
    uv_close((uv_handle_t *)handle, NULL); /* the loop ends with its last handle */
    uv_close((uv_handle_t *)&timer, NULL);
}

static void on_timer(uv_timer_t *handle)
{
    (void)handle;
    on_tick();
}

/** embed_uv BROKERS TOPIC */
int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: %s host:port topic\n", argv[0]), 2;
    open_client(argv[1]);
    topic = kc_str(argv[2]);

    uv_loop_t *loop = uv_default_loop();
    uv_poll_init(loop, &poll_handle, kc_client_fd(client));
    uv_poll_start(&poll_handle, UV_READABLE, on_readable);
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, on_timer, 0, TICK_MS);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    printf("%d records acknowledged\n", told - failed);
    kc_client_free(client);
    return failed != 0;
}
