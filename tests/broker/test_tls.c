/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * TLS against a real Kafka: records over both versions, client certificates, and what goes wrong. */
#include "tests/broker/consumer_reader.h"
#include "tests/broker/producer_world.h"

#include <kafkac/unstable/messages.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORDS 20000

/** The file of the broker's folder. */
static const char *tls_file(const char *name)
{
    static char paths[4][4096];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", broker_tls_folder(), name);
    return path;
}

static void read_whole(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    out[fread(out, 1, size - 1, file)] = 0;
    (void)fclose(file);
}

/** Write over `listener` and read it back over the same, checked record by record. */
static void there_and_back(const char *listener, const char *const *more)
{
    const char *settings[32] = {
        "bootstrap.servers",       broker_list_of(listener), "security.protocol", "SSL",
        "ssl.truststore.location", tls_file("ca.pem"),       "compression.type",  "lz4"};
    for (size_t i = 8; *more; more += 2, i += 2) {
        settings[i] = more[0];
        settings[i + 1] = more[1];
    }
    producer_world world;
    reader r;
    world_open(&world, "tls", settings);
    broker_create_topic(world.topic, 2, 1);
    for (uint32_t i = 0; i < RECORDS; i++)
        world_send(&world, i, (int32_t)(i % 2), i % 3 == 0);
    ck_assert_int_eq(kc_producer_flush(world.producer, READER_WAIT_MS), KC_OK);
    ck_assert_uint_eq(world.failed, 0);
    ck_assert_uint_eq(world.told, RECORDS);
    ck_assert_uint_eq(world_read(&world, 0).records + world_read(&world, 1).records, RECORDS);
    reader_open(&r, NULL, settings);
    reader_assign(&r, world.topic, 2, 0);
    ck_assert_int_eq(reader_read(&r, RECORDS, READER_WAIT_MS), RECORDS);
    reader_close(&r);
    world_close(&world);
}

#define NO_ALERT "Kafka 2 sends zeros where an alert should be"

START_TEST(records_go_over_tls_1_3)
{
    there_and_back("SSL", (const char *const[]){"ssl.enabled.protocols", "TLSv1.3", NULL});
}
END_TEST

START_TEST(records_go_over_tls_1_2)
{
    there_and_back("SSL", (const char *const[]){"ssl.enabled.protocols", "TLSv1.2", NULL});
}
END_TEST

START_TEST(suites_have_the_names_java_has_for_them)
{
    there_and_back("SSL", (const char *const[]){"ssl.cipher.suites",
                                                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", NULL});
}
END_TEST

START_TEST(a_client_certificate_is_shown)
{
    char key[4096], chain[4096];
    read_whole(tls_file("client.key"), key, sizeof key);
    read_whole(tls_file("client.pem"), chain, sizeof chain);
    there_and_back("MTLS",
                   (const char *const[]){"ssl.keystore.key", key, "ssl.keystore.certificate.chain",
                                         chain, "ssl.enabled.protocols", "TLSv1.3", NULL});
    there_and_back("MTLS",
                   (const char *const[]){"ssl.keystore.key", key, "ssl.keystore.certificate.chain",
                                         chain, "ssl.enabled.protocols", "TLSv1.2", NULL});
}
END_TEST

/* ---- what goes wrong ---- */

typedef struct outcome {
    bool is_done;
    kc_err err;
    kc_error error;
} outcome;

static void on_response(const kc_response *response, void *user)
{
    outcome *out = user;
    out->is_done = true;
    out->err = response->err;
    if (response->error)
        out->error = *response->error;
}

/** Ask for metadata in vain; the error and the client's last one must say so. */
static void asks_in_vain(const char *servers, const char *const *settings, const char *needle)
{
    kc_client *client;
    kc_error err = {.text = ""};
    outcome out = {false};
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", servers, &err), KC_OK);
    for (; *settings; settings += 2)
        ck_assert_msg(kc_config_set(config, settings[0], settings[1], &err) == KC_OK, "%s",
                      err.text);
    ck_assert_msg(kc_client_new(config, NULL, &client, &err) == KC_OK, "%s", err.text);
    kc_config_free(config);
    kp_metadata_req request = {.topics = {NULL, 0}};
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.timeout_ms = 3000;
    ck_assert_int_eq(kc_call(client, KP_API_METADATA, &request, &options, on_response, &out, &err),
                     KC_OK);
    while (!out.is_done)
        ck_assert_int_ge(kc_client_dispatch(client, 1000), KC_ERR_AGAIN);
    ck_assert_int_ne(out.err, KC_OK);
    ck_assert_msg(strstr(out.error.text, needle) != NULL, "\"%s\" lacks \"%s\"", out.error.text,
                  needle);
    kc_error last;
    kc_client_last_error(client, &last);
    ck_assert_msg(strstr(last.text, needle) != NULL, "\"%s\" lacks \"%s\"", last.text, needle);
    kc_client_free(client);
}

#define WITH_TLS "security.protocol", "SSL", "ssl.truststore.location", tls_file("ca.pem")

START_TEST(an_unknown_issuer_is_told)
{
    asks_in_vain(broker_list_of("SSL"),
                 (const char *const[]){"security.protocol", "SSL", "ssl.truststore.location",
                                       tls_file("client.pem"), NULL},
                 "its certificate is issued by CN = Test CA");
}
END_TEST

START_TEST(another_name_than_the_certificates_is_told)
{
    char servers[128]; /* the same socket by an address that is not in the certificate */
    snprintf(servers, sizeof servers, "[::ffff:127.0.0.1]%s", strrchr(broker_list_of("SSL"), ':'));
    asks_in_vain(servers, (const char *const[]){WITH_TLS, NULL},
                 "its certificate is for localhost, 127.0.0.1, not for ::ffff:127.0.0.1");
}
END_TEST

START_TEST(tls_to_a_plaintext_listener_is_told)
{
    asks_in_vain(broker_list(), (const char *const[]){WITH_TLS, NULL},
                 "it closed the connection; is this a TLS listener?");
}
END_TEST

START_TEST(plaintext_to_a_tls_listener_is_told)
{
    asks_in_vain(broker_list_of("SSL"), (const char *const[]){NULL},
                 "answers in TLS; is security.protocol right?");
}
END_TEST

START_TEST(a_missing_client_certificate_is_told)
{
    broker_only_on("34", NO_ALERT);
    asks_in_vain(broker_list_of("MTLS"),
                 (const char *const[]){WITH_TLS, "ssl.enabled.protocols", "TLSv1.3", NULL},
                 "it requires a client certificate");
    asks_in_vain(broker_list_of("MTLS"),
                 (const char *const[]){WITH_TLS, "ssl.enabled.protocols", "TLSv1.2", NULL},
                 "it requires a client certificate");
}
END_TEST

START_TEST(a_suite_the_broker_has_not_is_told)
{
    broker_only_on("34", NO_ALERT);
    asks_in_vain(broker_list_of("SSL"),
                 (const char *const[]){WITH_TLS, "ssl.cipher.suites",
                                       "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", NULL},
                 "ssl.cipher.suites");
}
END_TEST

/* ---- a forked child ---- */

START_TEST(a_forked_child_says_nothing_to_the_broker)
{
    const char *settings[] = {"bootstrap.servers", broker_list_of("SSL"), WITH_TLS, NULL};
    reader r;
    producer_world world;
    world_open(&world, "tls-fork", settings);
    broker_create_topic(world.topic, 1, 1);
    reader_open(&r, NULL, settings);
    world_send(&world, 0, 0, false);
    ck_assert_int_eq(kc_producer_flush(world.producer, READER_WAIT_MS), KC_OK);
    pid_t child = fork();
    if (child == 0) {
        kc_client_free(world.client);
        _exit(0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    kc_client_stats stats;
    kc_client_stats_get(world.client, &stats);
    uint64_t connects = stats.connects;
    world_send(&world, 1, 0, false);
    ck_assert_int_eq(kc_producer_flush(world.producer, READER_WAIT_MS), KC_OK);
    ck_assert_uint_eq(world.failed, 0);
    kc_client_stats_get(world.client, &stats);
    ck_assert_uint_eq(stats.connects, connects); /* the same connection */
    reader_close(&r);
    world_close(&world);
}
END_TEST
