/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A test with the embedded broker: records are sent while the network fails on purpose, and all of them arrive. */
#include <kafkac/kafkac.h>
#include <kafkac/mock.h>
#include <kafkac/unstable/messages.h>

#include <stdio.h>
#include <stdlib.h>

#define RECORDS 200

static int acknowledged;

static void on_done(const kc_delivery *delivery, void *user)
{
    (void)user;
    if (delivery->err == KC_OK)
        acknowledged++;
    else
        fprintf(stderr, "not sent: %s\n", delivery->error->text);
}

static void check(kc_err result, const kc_error *err)
{
    if (result == KC_OK)
        return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

/** Three brokers, served by a thread of their own, so that the client may block. */
static kc_mock *start_cluster(void)
{
    kc_mock *mock;
    kc_error err;
    kc_mock_options options;
    kc_mock_options_init(&options);
    options.brokers = 3;
    check(kc_mock_new(&options, &mock, &err), &err);
    check(kc_mock_topic_create(mock, "orders", 6, 3, &err), &err);
    check(kc_mock_start(mock, &err), &err);
    return mock;
}

/** Every fifth Produce is done, and its connection closed in place of the answer. */
static uint32_t break_things(kc_mock *mock)
{
    kc_error err;
    uint32_t number;
    kc_mock_fault fault;
    kc_mock_fault_init(&fault);
    fault.api_key = KP_API_PRODUCE;
    fault.every = 5;
    fault.end = KC_MOCK_CLOSE_AFTER;
    check(kc_mock_fault_add(mock, &fault, &number, &err), &err);
    /* The same may be said in words, as on the command line. */
    check(kc_mock_command(mock, "at 100ms broker 2 down", NULL, NULL, &err), &err);
    check(kc_mock_command(mock, "at 400ms broker 2 up", NULL, NULL, &err), &err);
    return number;
}

int main(void)
{
    kc_error err = {.text = "out of memory"};
    kc_client *client = NULL;
    kc_producer *producer = NULL;
    kc_mock *mock = start_cluster();
    kc_config *config = kc_config_new();
    if (!config)
        return 1;
    check(kc_config_set(config, "bootstrap.servers", kc_mock_bootstrap(mock), &err), &err);
    check(kc_client_new(config, NULL, &client, &err), &err);
    check(kc_producer_open(client, NULL, &producer, &err), &err);
    kc_config_free(config);

    uint32_t fault = break_things(mock);
    for (int i = 0; i < RECORDS; i++) {
        char text[16];
        kc_record record = KC_RECORD_INIT;
        record.topic = KC_STR("orders");
        record.value = kc_span(text, (size_t)snprintf(text, sizeof text, "order %d", i));
        check(kc_producer_send(producer, &record, on_done, NULL, &err), &err);
        kc_client_dispatch(client, 5);
    }
    kc_err flushed = kc_producer_flush(producer, 30000);

    uint32_t hits = 0;
    check(kc_mock_fault_hits(mock, fault, &hits, &err), &err);
    printf("%d records acknowledged, %u requests met the fault\n", acknowledged, (unsigned)hits);
    kc_client_free(client);
    kc_mock_free(mock);
    return flushed != KC_OK || acknowledged != RECORDS || hits == 0;
}
