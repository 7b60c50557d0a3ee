/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * TLS as a client has it: its properties, what it says when no broker can be reached, reading
 * certificates anew. */
#include "client/core.h"
#include "tests/unit/net/tls_world.h"

#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

#include <stdio.h>

static tls_world world;
static kc_error error;

/** A client of the world's broker; `properties`: name, value, ..., NULL. NULL: not made. */
static kc_client *client_with(const char *const *properties)
{
    kc_client *client = NULL;
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", TLS_NAME ":9093", &error), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "security.protocol", "SSL", &error), KC_OK);
    for (; *properties; properties += 2)
        ck_assert_msg(kc_config_set(config, properties[0], properties[1], &error) == KC_OK, "%s",
                      error.text);
    kc_err made = kc_client_new_on(config, NULL, world.loop, kn_mem_network_base(world.wire),
                                   &client, &error);
    kc_config_free(config);
    ck_assert((made == KC_OK) == (client != NULL));
    return client;
}

static void begin(void)
{
    tls_world_init(&world);
    ck_assert_int_eq(kn_mem_name_add(world.wire, TLS_NAME, TLS_IP), KC_OK);
}

static void on_response(const kc_response *response, void *user)
{
    *(bool *)user = true;
    error = *response->error;
}

/** The error of a call that finds no broker. */
static void call_in_vain(kc_client *client)
{
    bool is_done = false;
    kp_metadata_req request = {.topics = {NULL, 0}};
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.timeout_ms = 5000;
    ck_assert_int_eq(
        kc_call(client, KP_API_METADATA, &request, &options, on_response, &is_done, &error), KC_OK);
    tls_world_run(&world, 6000);
    ck_assert(is_done);
}

START_TEST(a_call_and_the_client_say_what_is_wrong_with_the_certificate)
{
    begin();
    tls_pair other = tls_make(&(tls_wish){.name = "Other CA", .is_ca = true});
    char *pem = tls_pem(&world, &other, true, false, NULL);
    kc_client *client =
        client_with((const char *const[]){"ssl.truststore.certificates", pem, NULL});
    call_in_vain(client);
    ck_assert_int_eq(error.code, KC_ERR_TIMEOUT);
    ck_assert_int_gt(world.accepts, 1); /* it may be mended: tried again */
    ck_assert_msg(strstr(error.text, ": TLS handshake with bootstrap server " TLS_NAME
                                     ":9093 (10.9.9.9:9093): its certificate is issued by "
                                     "CN = World CA") != NULL,
                  "%s", error.text);
    kc_client_last_error(client, &error);
    ck_assert_int_eq(error.code, KC_ERR_TLS);
    ck_assert_int_eq(error.phase, KC_PHASE_TLS);
    ck_assert_ptr_nonnull(strstr(error.text, "set ssl.truststore.location"));
    kc_client_free(client);
    kb_mem_free(&world.own, pem);
    tls_pair_free(&other);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(a_broker_that_refuses_us_is_told_at_once)
{
    begin();
    SSL_CTX_set_verify(world.server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    kc_client *client =
        client_with((const char *const[]){"ssl.truststore.certificates", world.ca_pem, NULL});
    call_in_vain(client);
    ck_assert_ptr_nonnull(strstr(error.text, "it requires a client certificate"));
    kc_client_last_error(client, &error);
    ck_assert_uint_eq(error.flags & KC_ERRF_AUTH, KC_ERRF_AUTH);
    ck_assert_ptr_nonnull(strstr(error.text, "it requires a client certificate"));
    kc_client_free(client);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(what_can_not_be_used_is_told_when_the_client_is_made)
{
    begin();
    ck_assert_ptr_null(
        client_with((const char *const[]){"ssl.truststore.certificates", "x", NULL}));
    ck_assert_int_eq(error.code, KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "ssl.truststore.certificates"));
    ck_assert_ptr_null(
        client_with((const char *const[]){"ssl.keystore.location", "/nowhere", "ssl.keystore.type",
                                          "PKCS12", "ssl.keystore.password", "sesame", NULL}));
    ck_assert_int_eq(error.code, KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "/nowhere can't be opened"));
    ck_assert_ptr_null(strstr(error.text, "sesame"));
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(certificates_are_read_anew_on_call)
{
    begin();
    const char *path = tls_file(&world, "ca.pem", world.ca_pem);
    kc_client *client = client_with((const char *const[]){"ssl.truststore.location", path, NULL});
    ck_assert_int_eq(kc_client_reload_certificates(client, &error), KC_OK);
    tls_file(&world, "ca.pem", "garbage");
    ck_assert_int_eq(kc_client_reload_certificates(client, &error), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "ssl.truststore.location"));
    kc_error last;
    kc_client_last_error(client, &last);
    ck_assert_str_eq(last.text, error.text);
    ck_assert_int_eq(kc_client_reload_certificates(client, NULL), KC_ERR_CONFIG);
    kc_client_free(client);

    client = client_with((const char *const[]){"security.protocol", "PLAINTEXT", NULL});
    ck_assert_int_eq(kc_client_reload_certificates(client, &error), KC_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(error.text, "PLAINTEXT"));
    kc_client_free(client);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(a_reload_that_fails_by_itself_is_the_clients_last_error)
{
    begin();
    const char *path = tls_file(&world, "ca.pem", world.ca_pem);
    kc_client *client = client_with((const char *const[]){"ssl.truststore.location", path, NULL});
    tls_file(&world, "ca.pem", "changed, and garbage");
    bool is_done = false;
    kp_metadata_req request = {.topics = {NULL, 0}};
    ck_assert_int_eq(
        kc_call(client, KP_API_METADATA, &request, NULL, on_response, &is_done, &error), KC_OK);
    tls_world_run(&world, 5);
    kc_error last;
    kc_client_last_error(client, &last);
    ck_assert_int_eq(last.code, KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(last.text, "ssl.truststore.location"));
    ck_assert_uint_gt(world.got.len, 0); /* connected all the same, with what was read before */
    kc_client_free(client);
    tls_world_cleanup(&world);
}
END_TEST
