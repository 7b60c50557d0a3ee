/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client behind a proxy: every connection goes through it, TLS too, and a wrong password is told at once. */
#define _GNU_SOURCE // memmem
#include "tests/unit/base/secret_alloc.h"
#include "tests/unit/client/fake_broker.h"
#include "tests/unit/net/proxy_relay.h"
#include "tests/unit/net/tls_world.h"

#include <stdio.h>
#include <stdlib.h>

static kc_error error;
static bool is_done;
static int32_t brokers;

static void on_response(const kc_response *response, void *user)
{
    (void)user;
    is_done = true;
    error = *response->error;
}

static void on_metadata(const kc_response *response, void *user)
{
    (void)user;
    is_done = true;
    if (response->err != KC_OK)
        error = *response->error;
    else
        brokers = ((const kp_metadata_resp *)response->message)->brokers.count;
}

static void ask(kc_client *client, kc_response_fn fn)
{
    kp_metadata_req request = {.topics.count = 0};
    is_done = false;
    error = (kc_error){.code = KC_OK};
    ck_assert_int_eq(kc_call(client, KP_API_METADATA, &request, NULL, fn, NULL, &error), KC_OK);
}

/** `properties`: name, value, ..., NULL. */
static kc_config *config_with(const char *const *properties)
{
    kc_config *config = kc_config_new();
    for (; *properties; properties += 2)
        ck_assert_msg(kc_config_set(config, properties[0], properties[1], &error) == KC_OK, "%s",
                      error.text);
    return config;
}

/* ---- in plaintext */

static fake_cluster *cluster;
static proxy_relay relay;

static kc_client *begin_with(const char *url, const kc_alloc *alloc)
{
    const kc_client_options options = {.size = sizeof options, .alloc = alloc};
    cluster = fake_new(3);
    proxy_relay_init(&relay, cluster->loop, cluster->network, "relay", 1080);
    relay.names = "only-there=b1";
    relay.secret = "alice:right";
    kc_config *config = config_with(
        (const char *const[]){"bootstrap.servers", "only-there:9092", "proxy.url", url, NULL});
    kc_client *client = fake_client_with(cluster, config, &options, &error);
    kc_config_free(config);
    return client;
}

static kc_client *begin(const char *url)
{
    return begin_with(url, NULL);
}

static void end(kc_client *client)
{
    kc_client_free(client);
    proxy_relay_cleanup(&relay);
    fake_free(cluster);
}

/** As many connections as the brokers have seen came out of the relay. */
static void check_all_were_relayed(void)
{
    uint32_t connections = 0;
    for (int i = 0; i < cluster->broker_count; i++)
        connections += cluster->brokers[i].connections;
    ck_assert_uint_gt(connections, 0);
    ck_assert_int_eq(relay.tunnels, connections);
}

START_TEST(every_connection_goes_through_the_proxy)
{
    static const char *const urls[] = {"socks5://alice:right@relay",
                                       "http://alice:right@relay:1080"};
    for (size_t i = 0; i < 2; i++) {
        kc_client *client = begin(urls[i]);
        ask(client, on_metadata);
        ck_assert(fake_run_until(cluster, &is_done, 5000));
        ck_assert_msg(error.code == KC_OK, "%s", error.text);
        ck_assert_int_eq(brokers, 3);
        for (int32_t id = 1; id <= 3;
             id++) { /* the names the brokers advertise are told to it, too */
            kp_metadata_req request = {.topics.count = 0};
            kc_call_options options = KC_CALL_OPTIONS_INIT;
            options.to = id;
            is_done = false;
            ck_assert_int_eq(
                kc_call(client, KP_API_METADATA, &request, &options, on_metadata, NULL, &error),
                KC_OK);
            ck_assert(fake_run_until(cluster, &is_done, 5000));
            ck_assert_msg(error.code == KC_OK, "%s", error.text);
            char target[32];
            snprintf(target, sizeof target, "b%d:9092", (int)id);
            ck_assert_str_eq(relay.target, target);
            check_all_were_relayed();
        }
        end(client);
    }
}
END_TEST

START_TEST(a_wrong_password_of_the_proxy_is_told_at_once)
{
    static const char *const urls[] = {"socks5://alice:wrong@relay",
                                       "http://alice:wrong@relay:1080"};
    for (size_t i = 0; i < 2; i++) {
        kc_client *client = begin(urls[i]);
        ask(client, on_response);
        fake_run(cluster, 500);
        ck_assert(is_done);
        ck_assert_int_eq(error.code, KC_ERR_AUTH);
        ck_assert_int_eq(error.phase, KC_PHASE_PROXY);
        ck_assert_msg(strstr(error.text,
                             "connect to bootstrap server only-there:9092 through proxy "
                             "relay:1080 (10.0.0.4:1080): it refuses the user and "
                             "password of proxy.url") != NULL,
                      "%s", error.text);
        ck_assert_ptr_null(strstr(error.text, "wrong"));
        kc_error last;
        kc_client_last_error(client, &last);
        ck_assert_str_eq(last.text, error.text);
        end(client);
    }
}
END_TEST

START_TEST(a_proxy_that_comes_back_is_used_again)
{
    kc_client *client = begin("socks5://alice:right@relay");
    kn_mem_pause(cluster->network, "relay", 1080, true);
    ask(client, on_metadata);
    fake_run(cluster, 15000);
    ck_assert(!is_done);
    kc_error last;
    kc_client_last_error(client, &last);
    ck_assert_msg(strstr(last.text, "through proxy relay:1080") != NULL, "%s", last.text);
    kn_mem_pause(cluster->network, "relay", 1080, false);
    ck_assert(fake_run_until(cluster, &is_done, 5000));
    ck_assert_msg(error.code == KC_OK, "%s", error.text);
    end(client);
}
END_TEST

START_TEST(no_memory_that_is_given_back_holds_the_password)
{
    static const char *const texts[] = {"open-sesame", "YWxpY2U6b3Blbi1zZXNhbWU=", NULL};
    static const char *const urls[] = {"socks5://alice:open-sesame@relay",
                                       "http://alice:open-sesame@relay:1080"};
    secret_texts = texts;
    for (size_t i = 0; i < 4; i++) {
        secret_leaks = 0;
        kc_client *client = begin_with(urls[i % 2], &secret_alloc);
        relay.secret = i < 2 ? "alice:open-sesame" : "alice:another";
        ask(client, on_metadata);
        ck_assert(fake_run_until(cluster, &is_done, 5000));
        ck_assert_int_eq(error.code, i < 2 ? KC_OK : KC_ERR_AUTH);
        end(client);
        ck_assert_msg(secret_leaks == 0, "%s: %zu blocks", urls[i % 2], secret_leaks);
    }
}
END_TEST

/* ---- TLS */

START_TEST(tls_is_between_client_and_broker)
{
    static const char *const urls[] = {"socks5://relay", "http://relay:1080"};
    for (size_t i = 0; i < 2; i++) {
        tls_world world;
        kc_client *client = NULL;
        tls_world_init(&world);
        proxy_relay_init(&relay, world.loop, world.wire, "relay", 1080);
        relay.names = TLS_NAME "=" TLS_IP; /* known only there, and in the broker's certificate */
        kc_config *config = config_with((const char *const[]){
            "bootstrap.servers", TLS_NAME ":9093", "proxy.url", urls[i], "security.protocol", "SSL",
            "ssl.truststore.certificates", world.ca_pem, NULL});
        ck_assert_int_eq(kc_client_new_on(config, NULL, world.loop, kn_mem_network_base(world.wire),
                                          &client, &error),
                         KC_OK);
        kc_config_free(config);
        ask(client, on_response);
        tls_world_run(&world, 100);
        ck_assert_str_eq(relay.target, TLS_NAME ":9093");
        ck_assert_str_eq(world.sni, TLS_NAME);
        ck_assert_int_eq(world.accepts, 1);
        ck_assert_uint_gt(world.got.len, 0); /* ApiVersions, decrypted by the broker */
        kc_client_free(client);
        proxy_relay_cleanup(&relay);
        tls_world_cleanup(&world);
    }
}
END_TEST

START_TEST(what_fails_in_tls_behind_a_proxy_is_told_as_tls)
{
    tls_world world;
    kc_client *client = NULL;
    tls_world_init(&world);
    proxy_relay_init(&relay, world.loop, world.wire, "relay", 1080);
    relay.names = "other=" TLS_IP;
    kc_config *config = config_with((const char *const[]){
        "bootstrap.servers", "other:9093", "proxy.url", "socks5://relay", "security.protocol",
        "SSL", "ssl.truststore.certificates", world.ca_pem, NULL});
    ck_assert_int_eq(kc_client_new_on(config, NULL, world.loop, kn_mem_network_base(world.wire),
                                      &client, &error),
                     KC_OK);
    kc_config_free(config);
    ask(client, on_response);
    tls_world_run(&world, 100);
    kc_client_last_error(client, &error);
    ck_assert_int_eq(error.phase, KC_PHASE_TLS);
    ck_assert_msg(strstr(error.text, "TLS handshake with bootstrap server other:9093 through proxy "
                                     "relay:1080 (10.0.0.1:1080): its certificate is for ") != NULL,
                  "%s", error.text);
    ck_assert_ptr_nonnull(strstr(error.text, "not for other"));
    kc_client_free(client);
    proxy_relay_cleanup(&relay);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(canonical_names_are_refused_where_the_proxy_looks_names_up)
{
    kc_client *client;
    kc_config *config =
        config_with((const char *const[]){"proxy.url", "socks5://relay:1080", "client.dns.lookup",
                                          "resolve_canonical_bootstrap_servers_only", NULL});
    ck_assert_int_eq(kc_client_new(config, NULL, &client, &error), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "client.dns.lookup"));
    kc_config_free(config);
}
END_TEST
