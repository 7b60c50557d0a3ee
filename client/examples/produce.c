/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The least a producer needs: send a line, wait until it is acknowledged. */
#include <kafkac/producer.h>

#include <stdio.h>

static void on_done(const kc_delivery *delivery, void *user)
{
    (void)user;
    if (delivery->err != KC_OK)
        fprintf(stderr, "not sent: %s\n", delivery->error->text);
    else
        printf("written to partition %d at offset %lld\n", (int)delivery->partition,
               (long long)delivery->offset);
}

/** produce BROKERS TOPIC TEXT */
int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "usage: %s host:port topic text\n", argv[0]), 2;
    kc_config *config = kc_config_new();
    kc_client *client = NULL;
    kc_producer *producer = NULL;
    kc_error err = {.text = "out of memory"};
    if (!config || kc_config_set(config, "bootstrap.servers", argv[1], &err) != KC_OK ||
        kc_client_new(config, NULL, &client, &err) != KC_OK ||
        kc_producer_open(client, NULL, &producer, &err) != KC_OK)
        return fprintf(stderr, "%s\n", err.text), 1;

    kc_record record = KC_RECORD_INIT;
    record.topic = kc_str(argv[2]);
    record.value = kc_str(argv[3]);
    if (kc_producer_send(producer, &record, on_done, NULL, &err) != KC_OK)
        fprintf(stderr, "%s\n", err.text);
    kc_err flushed = kc_producer_flush(producer, 10000); // dispatches until all is told
    if (flushed != KC_OK) {
        kc_producer_last_error(producer, &err); // what holds it up
        fprintf(stderr, "%s\n", err.text);
    }

    kc_producer_stats stats;
    kc_producer_stats_get(producer, &stats);
    kc_client_free(client); // and what was opened on it
    kc_config_free(config);
    return flushed != KC_OK || stats.records_acked != 1;
}
