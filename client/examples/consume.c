/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The least a member of a group needs: join, print what comes, leave on Ctrl-C. */
#include <kafkac/consumer.h>

#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t is_stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    is_stopped = 1;
}

/** consume BROKERS GROUP TOPIC */
int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "usage: %s host:port group topic\n", argv[0]), 2;
    kc_config *config = kc_config_new();
    kc_client *client = NULL;
    kc_consumer *consumer = NULL;
    kc_error err = {.text = "out of memory"};
    kc_bytes topic = kc_str(argv[3]);
    if (!config || kc_config_set(config, "bootstrap.servers", argv[1], &err) != KC_OK ||
        kc_config_set(config, "group.id", argv[2], &err) != KC_OK ||
        kc_config_set(config, "auto.offset.reset", "earliest", &err) != KC_OK ||
        kc_client_new(config, NULL, &client, &err) != KC_OK ||
        kc_consumer_open(client, NULL, &consumer, &err) != KC_OK ||
        kc_consumer_subscribe(consumer, &topic, 1, &err) != KC_OK)
        return fprintf(stderr, "%s\n", err.text), 1;

    signal(SIGINT, stop);
    kc_err result = KC_OK;
    while (!is_stopped && (result == KC_OK || result == KC_ERR_AGAIN)) {
        kc_batch *batch;
        kc_view view;
        result = kc_consumer_poll(consumer, 1000, &batch, &err); // dispatches: heartbeats, commits
        while (result == KC_OK && kc_batch_read(batch, &view))
            printf("%lld " KC_FMT "\n", (long long)view.offset, KC_ARG(view.value));
        if (result == KC_OK)
            kc_batch_free(batch);
    }
    if (result != KC_OK && result != KC_ERR_AGAIN)
        fprintf(stderr, "%s\n", err.text);
    kc_consumer_close(consumer, 10000); // commits what was handed out, leaves the group
    kc_client_free(client);
    kc_config_free(config);
    return result != KC_OK && result != KC_ERR_AGAIN;
}
