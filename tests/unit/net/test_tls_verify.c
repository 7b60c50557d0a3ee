/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Whom TLS lets in, on both sides, and the words it has for it. */
#include "net/conn.h"
#include "protocol/base/error.h"
#include "tests/unit/net/rig.h"
#include "tests/unit/net/tls_world.h"

static tls_world world;
static tls_client client;

static void begin(void)
{
    tls_world_init(&world);
    tls_world_start(&world);
}

/** The broker shows another certificate. */
static void show(const tls_wish *wish)
{
    tls_pair pair = tls_make(wish);
    tls_world_serve(&world, &pair);
    tls_pair_free(&pair);
}

static void connects_as(const char *host)
{
    tls_client_open(&client, &world, host);
    tls_world_run(&world, 100);
    ck_assert_msg(client.opened == 1, "%s: %s", host, client.error.text);
    tls_client_close(&client);
}

START_TEST(the_certificate_must_be_for_the_name)
{
    begin();
    connects_as(TLS_NAME);
    ck_assert_str_eq(world.sni, TLS_NAME);
    connects_as("localhost");
    tls_client_refused(&world, "b2.example.org",
                       "its certificate is for b1.example.org, localhost, 10.9.9.9, not for b2");
    tls_client_refused(&world, "example.org", "not for example.org");
    ck_assert(client.error.code == KC_OK || client.error.flags & KC_ERRF_CONFIG);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(an_address_is_looked_for_as_an_address_and_not_told_by_sni)
{
    begin();
    connects_as(TLS_IP);
    ck_assert_str_eq(world.sni, "");
    tls_client_refused(&world, "10.9.9.8", "not for 10.9.9.8");
    tls_client_refused(&world, "::1", "not for ::1");
    show(&(tls_wish){.name = "b", .holders = "IP:0:0:0:0:0:0:0:1", .issuer = &world.ca});
    connects_as("::1");
    tls_client_refused(&world, "::2", "[::1]");
    show(&(tls_wish){.name = "b", .holders = "DNS:10.9.9.9", .issuer = &world.ca});
    tls_client_refused(&world, TLS_IP, "not for 10.9.9.9"); /* a name that looks like one */
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(the_dot_at_the_end_of_a_name_does_not_count)
{
    begin();
    connects_as(TLS_NAME ".");
    ck_assert_str_eq(world.sni, TLS_NAME);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(wildcards_stand_for_one_label)
{
    begin();
    show(&(tls_wish){.name = "b", .holders = "DNS:*.example.org", .issuer = &world.ca});
    connects_as("any.example.org");
    tls_client_refused(&world, "a.b.example.org", "*.example.org");
    show(&(tls_wish){.name = "b", .holders = "DNS:b*.example.org", .issuer = &world.ca});
    tls_client_refused(&world, "b1.example.org", "b*.example.org");
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(without_names_the_subject_counts)
{
    begin();
    show(&(tls_wish){.name = TLS_NAME, .issuer = &world.ca});
    connects_as(TLS_NAME);
    tls_client_refused(&world, "b2", "its certificate is for CN = " TLS_NAME);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(names_that_do_not_print_are_made_to)
{
    begin();
    show(&(tls_wish){.name = "bad\nname\x1b[2J", .issuer = &world.ca});
    tls_client_refused(&world, TLS_NAME, "not for " TLS_NAME);
    tls_client_open(&client, &world, TLS_NAME);
    tls_world_run(&world, 10);
    for (const char *at = client.error.text; *at; at++)
        ck_assert(*at >= ' ' && *at < 0x7f);
    tls_client_close(&client);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(the_check_of_the_name_can_be_switched_off)
{
    begin();
    world.settings.verifies_host = false;
    tls_world_start(&world);
    connects_as("b2.example.org");
    ck_assert_str_eq(world.sni, "b2.example.org");
    show(&(tls_wish){.name = "b2.example.org"});
    tls_client_refused(&world, "b2.example.org", "self-signed"); /* that alone */
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(time_is_the_loops)
{
    begin();
    show(&(tls_wish){.name = TLS_NAME, .issuer = &world.ca, .from_day = -20, .to_day = -10});
    tls_client_refused(&world, TLS_NAME, "expired at 2023-11-04 22:13 UTC");
    show(&(tls_wish){.name = TLS_NAME, .issuer = &world.ca, .from_day = 1, .to_day = 10});
    tls_client_refused(&world, TLS_NAME, "not valid before 2023-11-15 22:13 UTC; is the clock");
    tls_world_run(&world, INT64_C(25) * 3600 * 1000);
    connects_as(TLS_NAME);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(an_expired_issuer_is_named)
{
    begin();
    tls_pair old =
        tls_make(&(tls_wish){.name = "Old CA", .is_ca = true, .from_day = -20, .to_day = -10});
    char *pem = tls_pem(&world, &old, true, false, NULL);
    world.settings.truststore_certificates = pem;
    tls_world_start(&world);
    show(&(tls_wish){.name = TLS_NAME, .issuer = &old});
    tls_client_refused(&world, TLS_NAME, "an issuer's certificate (CN = Old CA) expired");
    kb_mem_free(&world.own, pem);
    tls_pair_free(&old);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(an_unknown_issuer_is_named_with_the_property_that_helps)
{
    begin();
    tls_pair other = tls_make(&(tls_wish){.name = "Other CA", .is_ca = true});
    show(&(tls_wish){.name = TLS_NAME, .issuer = &other});
    tls_client_refused(&world, TLS_NAME,
                       "issued by CN = Other CA, which is not in the truststore: set "
                       "ssl.truststore.location");
    world.settings.truststore_certificates = NULL;
    tls_world_start(&world);
    tls_client_refused(&world, TLS_NAME, "not among the system's CAs: set ssl.truststore.location");
    show(&(tls_wish){.name = TLS_NAME});
    tls_client_refused(&world, TLS_NAME, "self-signed");
    tls_pair_free(&other);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(what_is_in_the_truststore_is_trusted_root_or_not)
{
    begin();
    char *pem = tls_pem(&world, &world.broker, true, false, NULL);
    world.settings.truststore_certificates = pem; /* the broker's own, which a CA signed */
    tls_world_start(&world);
    connects_as(TLS_NAME);
    kb_mem_free(&world.own, pem);
    tls_world_cleanup(&world);
}
END_TEST

/* ---- our certificate */

/** The broker wants one of the world's CA. */
static void demand(int version)
{
    SSL_CTX_set_max_proto_version(world.server, version);
    SSL_CTX_set_verify(world.server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(world.server), world.ca.certificate);
}

/** In TLS 1.3 it comes after KN_EVENT_OPEN. */
static void refused_late_or_early(int version, const char *needle)
{
    tls_client_open(&client, &world, TLS_NAME);
    tls_world_run(&world, 100);
    ck_assert_int_eq(client.opened, version == TLS1_3_VERSION);
    ck_assert_int_eq(client.failed + client.broken, 1);
    ck_assert_int_eq(client.error.code, KC_ERR_TLS);
    ck_assert_int_eq(client.error.phase, KC_PHASE_TLS);
    ck_assert_uint_eq(client.error.flags, KC_ERRF_RETRIABLE | KC_ERRF_AUTH | KC_ERRF_CONFIG);
    ck_assert_msg(strstr(client.error.text, needle) != NULL, "%s", client.error.text);
    tls_client_close(&client);
}

/** A network with the certificate of this issuer. */
static void start_with(const tls_pair *issuer)
{
    tls_pair pair = tls_make(&(tls_wish){.name = "client", .issuer = issuer});
    char *chain = tls_pem(&world, &pair, true, false, NULL);
    char *key = tls_pem(&world, &pair, false, true, NULL);
    world.settings.keystore_certificate_chain = chain;
    world.settings.keystore_key = key;
    tls_world_start(&world);
    world.settings.keystore_certificate_chain = world.settings.keystore_key = NULL;
    kb_mem_free(&world.own, chain);
    kb_mem_free(&world.own, key);
    tls_pair_free(&pair);
}

START_TEST(a_certificate_of_ours_is_shown_when_asked_for)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        begin();
        demand(versions[i]);
        world.echoes = true;
        start_with(&world.ca);
        tls_client_ready(&client, &world);
        tls_client_send(&client, KC_STR("hello"));
        tls_world_run(&world, 10);
        ck_assert_uint_eq(client.got.len, 5);
        tls_client_close(&client);
        tls_world_cleanup(&world);
    }
}
END_TEST

START_TEST(a_missing_and_a_refused_certificate_are_told_apart)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        begin();
        demand(versions[i]);
        refused_late_or_early(versions[i], "it requires a client certificate: set ssl.keystore");
        tls_pair other = tls_make(&(tls_wish){.name = "Other CA", .is_ca = true});
        start_with(&other);
        refused_late_or_early(versions[i], "it refuses our client certificate (alert: ");
        tls_pair_free(&other);
        tls_world_cleanup(&world);
    }
}
END_TEST

static void write_now(kn_timer *timer)
{
    size_t taken;
    const struct iovec piece = {(void *)"x", 1};
    (void)timer;
    ck_assert_int_eq(kn_transport_write(client.transport, &piece, 1, &taken, &client.error),
                     KC_ERR_TLS);
}

START_TEST(the_alert_is_found_behind_a_broken_pipe)
{
    kn_timer timer = {.fn = write_now};
    begin();
    demand(TLS1_3_VERSION);
    kn_mem_network_shape(world.wire)->latency_us = 1000;
    tls_client_open(&client, &world, TLS_NAME);
    while (!client.opened)
        tls_world_run(&world, 1);
    /* Just when the alert arrives, before it was read; the broker is gone by then. */
    ck_assert_int_eq(kn_timer_set(world.loop, &timer, kn_loop_now_us(world.loop) + 2000), KC_OK);
    tls_world_run(&world, 2);
    ck_assert_msg(strstr(client.error.text, "client certificate") != NULL, "%s", client.error.text);
    tls_client_close(&client);
    tls_world_cleanup(&world);
}
END_TEST

/* ---- versions and suites */

START_TEST(no_common_version_is_told)
{
    begin();
    SSL_CTX_set_max_proto_version(world.server, TLS1_2_VERSION);
    world.settings.enabled_protocols = "TLSv1.3";
    tls_world_start(&world);
    tls_client_refused(&world, TLS_NAME, "it speaks none of ssl.enabled.protocols");
    world.settings.enabled_protocols = "TLSv1.2,TLSv1.3";
    world.settings.protocol = "TLSv1.2";
    tls_world_start(&world);
    connects_as(TLS_NAME);
    SSL_CTX_set_max_proto_version(world.server, TLS1_3_VERSION);
    SSL_CTX_set_min_proto_version(world.server, TLS1_3_VERSION);
    tls_client_refused(&world, TLS_NAME, "it speaks none of ssl.enabled.protocols");
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(no_common_suite_is_told)
{
    begin();
    SSL_CTX_set_ciphersuites(world.server, "TLS_AES_256_GCM_SHA384");
    world.settings.cipher_suites = "TLS_AES_128_GCM_SHA256";
    tls_world_start(&world);
    tls_client_refused(&world, TLS_NAME, "ssl.cipher.suites");
    world.settings.cipher_suites = "TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384";
    tls_world_start(&world);
    connects_as(TLS_NAME);
    tls_world_cleanup(&world);
}
END_TEST

/* ---- as a connection tells it */

static void expect_conn_error(const char *host, kc_err code, const char *const *needles)
{
    rig r = {.loop = world.loop};
    rig_conn c;
    kb_mem_init(&r.mem, NULL, 0);
    rig_conn_init(&r, &c);
    c.env.network = world.network;
    rig_conn_open(&c, host, TLS_PORT);
    tls_world_run(&world, 20000);
    ck_assert_int_eq(c.closed, 1);
    ck_assert_int_eq(c.conn->error.code, code);
    ck_assert_int_eq(c.conn->error.phase, KC_PHASE_TLS);
    for (; *needles; needles++)
        ck_assert_msg(strstr(c.conn->error.text, *needles) != NULL, "\"%s\" lacks \"%s\"",
                      c.conn->error.text, *needles);
    ck_assert_ptr_null(strstr(c.conn->error.text, "advertised.listeners"));
    rig_conn_cleanup(&c);
    ck_assert_uint_eq(r.mem.used, 0);
}

START_TEST(a_connection_says_which_broker_and_what_is_wrong)
{
    begin();
    ck_assert_int_eq(kn_mem_name_add(world.wire, "b2.example.org", TLS_IP), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(world.wire, TLS_NAME, TLS_IP), KC_OK);
    expect_conn_error("b2.example.org", KC_ERR_TLS,
                      (const char *const[]){"TLS handshake with broker 7 at b2.example.org:9093 "
                                            "(10.9.9.9:9093): its certificate is for",
                                            NULL});
    ck_assert_int_eq(world.accepts, 1);
    demand(TLS1_3_VERSION);
    expect_conn_error(
        TLS_NAME, KC_ERR_TLS,
        (const char *const[]){"TLS handshake with broker 7 at b1.example.org:9093: it "
                              "requires a client certificate",
                              NULL});
    world.is_silent = true;
    expect_conn_error(TLS_NAME, KC_ERR_CONNECT,
                      (const char *const[]){"TLS handshake with broker 7",
                                            "no answer after 10000 ms", "security.protocol", NULL});
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(other_addresses_are_not_tried_where_tls_failed)
{
    begin();
    ck_assert_int_eq(kn_mem_name_add(world.wire, "b2.example.org", TLS_IP), KC_OK);
    ck_assert_int_eq(kn_mem_name_add(world.wire, "b2.example.org", "10.9.9.10"), KC_OK);
    expect_conn_error("b2.example.org", KC_ERR_TLS,
                      (const char *const[]){"its certificate is for", NULL});
    ck_assert_uint_eq(kn_mem_network_connects(world.wire), 1);
    tls_world_cleanup(&world);
}
END_TEST
