/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A real Kafka behind real proxies: records through microsocks (SOCKS5) and tinyproxy (HTTP CONNECT), plain and over
 * TLS, with and without a password; what is refused; a proxy that dies. By the proxies' logs every connection of the
 * client went through them. */
#include "tests/broker/producer_world.h"
#include "tests/broker/real_proxy.h"

#include <kafkac/unstable/messages.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS 5000
#define WAIT_MS 30000

static int port_of(const char *servers)
{
    return atoi(strrchr(servers, ':') + 1);
}

/** Bootstrap list of the listener under a name, for the proxy to look up. */
static const char *by_name(const char *servers)
{
    static char list[64];
    snprintf(list, sizeof list, "localhost:%d", port_of(servers));
    return list;
}

static void check_all_went_through(const producer_world *world, const real_proxy *proxy)
{
    kc_client_stats stats;
    kc_client_stats_get(world->client, &stats);
    ck_assert_uint_ge(stats.connects, 2); /* the bootstrap server, and the broker by its number */
    ck_assert_uint_eq((unsigned)real_proxy_connections(proxy), stats.connects);
}

/** Write and read back through the proxy, checked record by record. */
static void there_and_back(real_proxy *proxy, const char *servers, const char *protocol)
{
    bool has_tls = strcmp(protocol, "SSL") == 0;
    char ca[4096] = "", told[80];
    producer_world world;
    real_proxy_start(proxy);
    if (has_tls)
        snprintf(ca, sizeof ca, "%s/ca.pem", broker_tls_folder());
    const char *const settings[] = {"bootstrap.servers",
                                    by_name(servers),
                                    "proxy.url",
                                    proxy->url,
                                    "security.protocol",
                                    protocol,
                                    "compression.type",
                                    "lz4",
                                    has_tls ? "ssl.truststore.location" : NULL,
                                    ca,
                                    NULL};
    world_open(&world, "proxy", settings);
    broker_create_topic(world.topic, 1, 1);
    for (uint32_t i = 0; i < RECORDS; i++)
        world_send(&world, i, 0, i % 3 == 0);
    ck_assert_int_eq(kc_producer_flush(world.producer, WAIT_MS), KC_OK);
    ck_assert_msg(world.failed == 0, "%s", world.error.text);
    ck_assert_uint_eq(world_read(&world, 0).records, RECORDS);
    check_all_went_through(&world, proxy);
    snprintf(told, sizeof told,
             proxy->kind == REAL_PROXY_HTTP ? "CONNECT %s HTTP/1.1" : "connected to %s\n",
             by_name(servers));
    ck_assert(real_proxy_said(proxy, told));
    world_close(&world);
    real_proxy_kill(proxy);
}

START_TEST(records_go_through_socks5)
{
    there_and_back(&(real_proxy){.kind = REAL_PROXY_SOCKS5}, broker_list(), "PLAINTEXT");
    there_and_back(&(real_proxy){.kind = REAL_PROXY_SOCKS5, .has_password = true}, broker_list(),
                   "PLAINTEXT");
}
END_TEST

START_TEST(records_go_through_socks5_over_tls)
{
    const char *servers = broker_list_of("SSL");
    there_and_back(&(real_proxy){.kind = REAL_PROXY_SOCKS5}, servers, "SSL");
    there_and_back(&(real_proxy){.kind = REAL_PROXY_SOCKS5, .has_password = true}, servers, "SSL");
}
END_TEST

START_TEST(records_go_through_http_connect)
{
    const char *servers = broker_list();
    there_and_back(&(real_proxy){.kind = REAL_PROXY_HTTP}, servers, "PLAINTEXT");
    there_and_back(&(real_proxy){.kind = REAL_PROXY_HTTP,
                                 .has_password = true,
                                 .allowed_port = port_of(servers)},
                   servers, "PLAINTEXT");
}
END_TEST

START_TEST(records_go_through_http_connect_over_tls)
{
    const char *servers = broker_list_of("SSL");
    there_and_back(&(real_proxy){.kind = REAL_PROXY_HTTP}, servers, "SSL");
    there_and_back(&(real_proxy){.kind = REAL_PROXY_HTTP,
                                 .has_password = true,
                                 .allowed_port = port_of(servers)},
                   servers, "SSL");
}
END_TEST

/* ---- what goes wrong */

static void on_response(const kc_response *response, void *user)
{
    *(kc_err *)user = response->err;
}

/** Ask for metadata in vain; the client's last error must say this, and have this code. What can't be mended by trying
 *  again ends the call, too. */
static void asks_in_vain(const char *url, const char *servers, kc_err code, const char *part)
{
    kc_client *client;
    kc_error err = {.text = ""};
    kc_err answer = KC_OK;
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", servers, &err), KC_OK);
    ck_assert_msg(kc_config_set(config, "proxy.url", url, &err) == KC_OK, "%s", err.text);
    ck_assert_msg(kc_client_new(config, NULL, &client, &err) == KC_OK, "%s", err.text);
    kc_config_free(config);
    kp_metadata_req request = {.topics = {NULL, 0}};
    ck_assert_int_eq(kc_call(client, KP_API_METADATA, &request, NULL, on_response, &answer, &err),
                     KC_OK);
    do {
        ck_assert_int_ge(kc_client_dispatch(client, 1000), KC_ERR_AGAIN);
        kc_client_last_error(client, &err);
    } while (err.code == KC_OK);
    ck_assert_int_eq(err.code, code);
    ck_assert_int_eq(answer, code == KC_ERR_AUTH ? KC_ERR_AUTH : KC_OK);
    ck_assert_msg(strstr(err.text, part) != NULL, "\"%s\" lacks \"%s\"", err.text, part);
    ck_assert_ptr_nonnull(strstr(err.text, " through proxy 127.0.0.1:"));
    ck_assert_ptr_null(strstr(err.text, "wrong"));
    kc_client_free(client);
}

START_TEST(what_microsocks_refuses_is_told)
{
    char url[128], other[128];
    real_proxy proxy = {.kind = REAL_PROXY_SOCKS5, .has_password = true};
    const char *servers = broker_list();
    real_proxy_start(&proxy);
    snprintf(url, sizeof url, "socks5://alice:wrong@127.0.0.1:%u", (unsigned)proxy.port);
    asks_in_vain(url, servers, KC_ERR_AUTH,
                 "it refuses the user and password of proxy.url (SOCKS5 status 2)");
    snprintf(url, sizeof url, "socks5://127.0.0.1:%u", (unsigned)proxy.port);
    asks_in_vain(url, servers, KC_ERR_AUTH, "it wants a user and password in proxy.url");
    snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)proxy.port);
    asks_in_vain(url, servers, KC_ERR_CONNECT, "it does not speak HTTP; see proxy.url");
    snprintf(other, sizeof other, "127.0.0.1:%d", 1);
    asks_in_vain(proxy.url, other, KC_ERR_CONNECT, "the connection was refused (SOCKS5 reply 5)");
    ck_assert_int_eq(real_proxy_connections(&proxy), 0);
    real_proxy_kill(&proxy);
    asks_in_vain(proxy.url, servers, KC_ERR_CONNECT,
                 "Connection refused; is the proxy running and proxy.url right?");
}
END_TEST

START_TEST(what_tinyproxy_refuses_is_told)
{
    char url[128];
    const char *servers = broker_list();
    real_proxy proxy = {
        .kind = REAL_PROXY_HTTP, .has_password = true, .allowed_port = port_of(servers)};
    real_proxy_start(&proxy);
    snprintf(url, sizeof url, "http://alice:wrong@127.0.0.1:%u", (unsigned)proxy.port);
    asks_in_vain(url, servers, KC_ERR_AUTH, "it refuses the user and password of proxy.url (HTTP/");
    snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)proxy.port);
    asks_in_vain(url, servers, KC_ERR_AUTH, "it wants a user and password in proxy.url (HTTP/");
    asks_in_vain(proxy.url, "127.0.0.1:1", KC_ERR_CONNECT,
                 "403 Access violation\"; does it reach the broker, and allow this port?");
    ck_assert_int_eq(real_proxy_connections(&proxy), 0);
    real_proxy_kill(&proxy);
}
END_TEST

/* ---- a proxy that dies */

START_TEST(a_proxy_that_dies_and_comes_back_costs_no_record)
{
    producer_world world;
    real_proxy proxy = {.kind = REAL_PROXY_SOCKS5, .has_password = true};
    real_proxy_start(&proxy);
    const char *const settings[] = {"proxy.url", proxy.url, NULL};
    world_open(&world, "proxy-dies", settings);
    world.may_repeat = true; /* what was on its way is sent again */
    broker_create_topic(world.topic, 1, 1);
    uint32_t sent = 0;
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < RECORDS; i++)
            world_send(&world, sent++, 0, false);
        real_proxy_kill(&proxy);
        ck_assert_int_ge(kc_client_dispatch(world.client, 100), KC_ERR_AGAIN);
        real_proxy_start(&proxy);
    }
    ck_assert_int_eq(kc_producer_flush(world.producer, WAIT_MS), KC_OK);
    ck_assert_msg(world.failed == 0, "%s", world.error.text);
    ck_assert_uint_eq(world.told, sent);
    ck_assert_uint_eq(world_read(&world, 0).records, sent);
    world_close(&world);
    real_proxy_kill(&proxy);
}
END_TEST
