/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Sessions that are resumed, and certificates that are read anew. */
#include "tests/unit/net/tls_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static tls_world world;
static tls_client client;

static void begin(int version)
{
    tls_world_init(&world);
    SSL_CTX_set_max_proto_version(world.server, version);
    tls_world_start(&world);
}

/** Connect under this name, exchange bytes, close. */
static void visit(const char *host)
{
    tls_client_open(&client, &world, host);
    tls_world_run(&world, 10);
    ck_assert_msg(client.opened == 1, "%s", client.error.text);
    tls_client_send(&client, KC_STR("hello"));
    tls_world_run(&world, 10);
    ck_assert_uint_eq(client.got.len, 5);
    tls_client_close(&client);
    tls_world_run(&world, 10);
}

START_TEST(a_session_is_resumed_in_both_versions)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        begin(versions[i]);
        world.echoes = true;
        visit(TLS_NAME);
        ck_assert_int_eq(world.resumed, 0);
        visit(TLS_NAME);
        ck_assert_int_eq(world.resumed, 1);
        visit("localhost"); /* another name is another broker */
        ck_assert_int_eq(world.resumed, 1);
        visit(TLS_NAME);
        ck_assert_int_eq(world.resumed, 2);
        tls_world_cleanup(&world);
    }
}
END_TEST

START_TEST(another_port_is_another_broker_though_the_address_is_a_proxys)
{
    begin(TLS1_2_VERSION);
    world.echoes = true;
    visit(TLS_NAME);
    world.port = TLS_PORT + 1;
    visit(TLS_NAME);
    ck_assert_int_eq(world.resumed, 0);
    visit(TLS_NAME);
    ck_assert_int_eq(world.resumed, 1);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(it_is_resumed_after_a_cut_too)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        begin(versions[i]);
        world.echoes = true;
        tls_client_ready(&client, &world);
        kn_mem_cut(world.wire, TLS_IP, TLS_PORT);
        tls_world_run(&world, 10);
        ck_assert_int_eq(client.broken, 1);
        tls_client_close(&client);
        visit(TLS_NAME);
        ck_assert_int_eq(world.resumed, 1);
        tls_world_cleanup(&world);
    }
}
END_TEST

START_TEST(a_ticket_of_tls_1_3_is_used_once)
{
    tls_client others[3];
    begin(TLS1_3_VERSION);
    world.echoes = true;
    visit(TLS_NAME);
    for (size_t i = 0; i < 3; i++)
        tls_client_open(&others[i], &world, TLS_NAME);
    tls_world_run(&world, 10);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(others[i].opened, 1);
        tls_client_close(&others[i]);
    }
    ck_assert_int_eq(world.resumed, 1);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(a_failed_handshake_is_not_resumed)
{
    begin(TLS1_3_VERSION);
    world.echoes = true;
    visit(TLS_NAME);
    world.cut_at = 50;
    tls_client_open(&client, &world, TLS_NAME);
    tls_world_run(&world, 10);
    ck_assert_int_eq(client.failed, 1);
    tls_client_close(&client);
    world.cut_at = SIZE_MAX;
    world.resumed = 0;
    visit(TLS_NAME);
    ck_assert_int_eq(world.resumed, 0);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(the_session_unused_for_longest_goes)
{
    char name[32];
    begin(TLS1_2_VERSION);
    world.echoes = true;
    world.settings.verifies_host = false;
    tls_world_start(&world);
    size_t before = world.mem.used;
    visit("first");
    for (int i = 0; i < KN_TLS_SESSIONS_MAX - 1; i++) {
        snprintf(name, sizeof name, "other%d", i);
        visit(name);
    }
    world.resumed = 0;
    visit("first"); /* used: the oldest is other0 now */
    ck_assert_int_eq(world.resumed, 1);
    visit("one more");
    visit("first");
    ck_assert_int_eq(world.resumed, 2);
    visit("other0");
    ck_assert_int_eq(world.resumed, 2);
    ck_assert_uint_le(world.mem.used - before, KN_TLS_SESSIONS_MAX * (KN_TLS_SESSION_BYTES + 256));
    tls_world_cleanup(&world);
}
END_TEST

/* ---- certificates that change */

static void write_ca(const tls_pair *ca)
{
    char *pem = tls_pem(&world, ca, true, false, NULL);
    tls_file(&world, "ca.new", pem);
    ck_assert_int_eq(rename(tls_path(&world, "ca.new"), tls_path(&world, "ca.pem")), 0);
    kb_mem_free(&world.own, pem);
}

static void trust_file(void)
{
    static char path[256];
    snprintf(path, sizeof path, "%s", tls_path(&world, "ca.pem"));
    world.settings.truststore_certificates = NULL;
    world.settings.truststore_location = path;
    tls_world_start(&world);
}

START_TEST(a_changed_file_is_read_when_a_connection_is_opened)
{
    begin(TLS1_3_VERSION);
    world.echoes = true;
    tls_pair other = tls_make(&(tls_wish){.name = "Other CA", .is_ca = true});
    write_ca(&other);
    trust_file();
    tls_client_refused(&world, TLS_NAME, "issued by CN = World CA");
    write_ca(&world.ca);
    visit(TLS_NAME);
    ck_assert_int_eq(world.reload_failures, 0);
    visit(TLS_NAME);
    ck_assert_int_eq(world.resumed, 1); /* no change, no reading */
    write_ca(&world.ca);
    visit(TLS_NAME);
    ck_assert_int_eq(world.resumed, 1); /* sessions go with what they were made with */
    tls_pair_free(&other);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(a_file_that_can_not_be_used_changes_nothing_but_is_told)
{
    begin(TLS1_3_VERSION);
    world.echoes = true;
    write_ca(&world.ca);
    trust_file();
    visit(TLS_NAME);
    tls_file(&world, "ca.pem", "half a certifica");
    visit(TLS_NAME);
    ck_assert_int_eq(world.resumed, 1);
    ck_assert_int_eq(world.reload_failures, 1);
    ck_assert_int_eq(world.reload_error.code, KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(world.reload_error.text, "ssl.truststore.location"));
    visit(TLS_NAME);
    ck_assert_int_eq(world.reload_failures, 1); /* once for each change */
    ck_assert_int_eq(unlink(tls_path(&world, "ca.pem")), 0);
    visit(TLS_NAME);
    ck_assert_int_eq(world.reload_failures, 2);
    write_ca(&world.ca);
    visit(TLS_NAME);
    ck_assert_int_eq(world.reload_failures, 2);
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(they_are_read_anew_on_call)
{
    kc_error error;
    begin(TLS1_3_VERSION);
    world.echoes = true;
    write_ca(&world.ca);
    trust_file();
    visit(TLS_NAME);
    ck_assert_int_eq(kn_tls_network_reload(world.network, &error), KC_OK);
    visit(TLS_NAME);
    ck_assert_int_eq(world.resumed, 0);
    tls_file(&world, "ca.pem", "nothing");
    ck_assert_int_eq(kn_tls_network_reload(world.network, &error), KC_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "no certificate in PEM form"));
    visit(TLS_NAME);
    ck_assert_int_eq(world.reload_failures, 0); /* told already */
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(a_connection_lives_on_with_the_certificates_it_began_with)
{
    begin(TLS1_3_VERSION);
    world.echoes = true;
    tls_client_ready(&client, &world);
    ck_assert_int_eq(kn_tls_network_reload(world.network, NULL), KC_OK);
    ck_assert(SSL_new_session_ticket(KB_CONTAINER(world.peers.next, tls_peer, node)->ssl));
    tls_client_send(&client, KC_STR("hello"));
    tls_world_run(&world, 10);
    ck_assert_uint_eq(client.got.len, 5);
    tls_client_close(&client);
    visit(TLS_NAME);
    ck_assert_int_eq(world.resumed, 0); /* its tickets are of the old ones */
    tls_world_cleanup(&world);
}
END_TEST

START_TEST(keys_are_logged_where_the_variable_says)
{
    char text[4096] = "";
    tls_world_init(&world);
    tls_file(&world, "keys", "first line\n");
    setenv("SSLKEYLOGFILE", tls_path(&world, "keys"), 1);
    tls_world_start(&world);
    unsetenv("SSLKEYLOGFILE");
    world.echoes = true;
    visit(TLS_NAME);
    FILE *file = fopen(tls_path(&world, "keys"), "re");
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    ck_assert_uint_gt(len, 100);
    ck_assert_ptr_eq(strstr(text, "first line\n"), text);
    ck_assert_ptr_nonnull(strstr(text, "\nCLIENT_TRAFFIC_SECRET_0 "));
    ck_assert_int_eq(text[len - 1], '\n');
    tls_world_cleanup(&world);
}
END_TEST
