/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Properties to a context: what is read, and the words for what can't be. */
#include "tests/unit/net/tls_world.h"

#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static tls_world world;
static tls_pair own;
static char *own_chain, *own_key, *locked_key, *both;

static void begin(void)
{
    tls_world_init(&world);
    own = tls_make(&(tls_wish){.name = "client", .issuer = &world.ca});
    own_chain = tls_pem(&world, &own, true, false, NULL);
    own_key = tls_pem(&world, &own, false, true, NULL);
    locked_key = tls_pem(&world, &own, false, true, "secret");
    both = tls_pem(&world, &own, true, true, NULL);
}

static void end(void)
{
    tls_pair_free(&own);
    kb_mem_free(&world.own, own_chain);
    kb_mem_free(&world.own, own_key);
    kb_mem_free(&world.own, locked_key);
    kb_mem_free(&world.own, both);
    tls_world_cleanup(&world);
}

static void refused(const char *needle)
{
    kc_error error;
    ck_assert_int_eq(tls_world_try(&world, &error), KC_ERR_CONFIG);
    ck_assert_msg(strstr(error.text, needle) != NULL, "\"%s\" lacks \"%s\"", error.text, needle);
    ck_assert_ptr_null(strstr(error.text, "secret"));
    ck_assert_uint_eq(world.mem.used, 0);
}

static void accepted(void)
{
    tls_world_start(&world);
    kn_network_free(world.network);
    world.network = NULL;
}

START_TEST(a_truststore_is_a_file_a_folder_or_text)
{
    tls_client client;
    begin();
    accepted();
    world.settings.truststore_certificates = NULL;
    world.settings.truststore_location = tls_file(&world, "ca.pem", world.ca_pem);
    tls_world_start(&world);
    tls_client_ready(&client, &world);
    tls_client_close(&client);

    char name[32];
    snprintf(name, sizeof name, "%08lx.0",
             X509_NAME_hash_ex(X509_get_subject_name(world.ca.certificate), NULL, NULL, NULL));
    tls_file(&world, name, world.ca_pem);
    world.settings.truststore_location = world.folder;
    tls_world_start(&world);
    tls_client_ready(&client, &world);
    tls_client_close(&client);
    end();
}
END_TEST

START_TEST(a_truststore_that_can_not_be_read_is_told)
{
    begin();
    world.settings.truststore_location = "/nowhere/ca.pem";
    refused("are both set");
    world.settings.truststore_certificates = NULL;
    refused("ssl.truststore.location: /nowhere/ca.pem can't be opened: No such file");
    world.settings.truststore_location = tls_file(&world, "empty", "");
    refused("no certificate in PEM form");
    world.settings.truststore_location = tls_file(&world, "key", own_key);
    refused("no certificate in PEM form");
    world.settings.truststore_location = NULL;
    world.settings.truststore_certificates =
        "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
    refused("certificate 1 can't be read");
    world.settings.truststore_certificates = "-----BEGIN CERTIFICATE-----\n%%%\n";
    refused("certificate 1 can't be read");
    end();
}
END_TEST

START_TEST(one_bad_certificate_among_good_ones_is_told)
{
    begin();
    char text[8192];
    snprintf(text, sizeof text, "%s%s%s", world.ca_pem, world.ca_pem,
             "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n");
    world.settings.truststore_certificates = text;
    refused("certificate 3 can't be read");
    end();
}
END_TEST

START_TEST(a_keystore_is_a_file_with_key_and_chain)
{
    begin();
    world.settings.keystore_location = tls_file(&world, "both.pem", both);
    accepted();
    world.settings.keystore_location = tls_file(&world, "key.pem", own_key);
    refused("ssl.keystore.location: no certificate in PEM form");
    world.settings.keystore_location = tls_file(&world, "chain.pem", own_chain);
    refused("ssl.keystore.location: no private key in PEM form");
    world.settings.keystore_location = "/nowhere/client.pem";
    refused("/nowhere/client.pem can't be opened");
    world.settings.keystore_location = tls_file(&world, "garbage.pem", "garbage");
    refused("no private key in PEM form");
    world.settings.keystore_location = tls_path(&world, "both.pem");
    world.settings.keystore_password = "x";
    refused("ssl.keystore.password is for PKCS12");
    end();
}
END_TEST

START_TEST(a_keystore_may_be_text)
{
    begin();
    world.settings.keystore_key = own_key;
    refused("belong together");
    world.settings.keystore_certificate_chain = own_chain;
    accepted();
    world.settings.keystore_location = "/somewhere";
    refused("are both set");
    world.settings.keystore_location = NULL;
    world.settings.keystore_is_pkcs12 = true;
    refused("ssl.keystore.key is PEM");
    world.settings.keystore_is_pkcs12 = false;
    world.settings.keystore_certificate_chain = world.ca_pem;
    refused("certificate and key can't be used together");
    world.settings.keystore_key = NULL;
    refused("belong together");
    end();
}
END_TEST

START_TEST(an_encrypted_key_needs_its_password)
{
    begin();
    world.settings.keystore_key = locked_key;
    world.settings.keystore_certificate_chain = own_chain;
    refused("the key is encrypted: set ssl.key.password");
    world.settings.key_password = "wrong";
    refused("the key can't be decrypted: is ssl.key.password right?");
    world.settings.key_password = "secret";
    accepted();
    char text[8192];
    snprintf(text, sizeof text, "%s%s", locked_key, own_chain);
    world.settings.keystore_key = world.settings.keystore_certificate_chain = NULL;
    world.settings.keystore_location = tls_file(&world, "locked.pem", text);
    accepted();
    world.settings.key_password = "";
    refused("ssl.keystore.location: the key is encrypted");
    end();
}
END_TEST

static const char *write_pkcs12(const char *name, const char *password, bool has_key)
{
    const char *path = tls_path(&world, name);
    PKCS12 *store = PKCS12_create(password, "client", has_key ? own.key : NULL, own.certificate,
                                  NULL, 0, 0, 0, 0, 0);
    BIO *out = BIO_new_file(path, "w");
    ck_assert(store && out && i2d_PKCS12_bio(out, store));
    BIO_free(out);
    PKCS12_free(store);
    return path;
}

START_TEST(a_keystore_may_be_pkcs12)
{
    tls_client client;
    begin();
    SSL_CTX_set_verify(world.server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(world.server), world.ca.certificate);
    world.settings.keystore_is_pkcs12 = true;
    world.settings.keystore_location = write_pkcs12("client.p12", "secret", true);
    refused("is ssl.keystore.password right?");
    world.settings.keystore_password = "wrong";
    refused("is ssl.keystore.password right?");
    world.settings.keystore_password = "secret";
    world.echoes = true;
    tls_world_start(&world);
    tls_client_ready(&client, &world);
    tls_client_send(&client, KC_STR("hello"));
    tls_world_run(&world, 10);
    ck_assert_uint_eq(client.got.len, 5);
    tls_client_close(&client);
    kn_network_free(world.network);
    world.network = NULL;
    world.settings.keystore_location = write_pkcs12("nokey.p12", "secret", false);
    refused("no private key");
    world.settings.keystore_location = tls_file(&world, "both.pem", both);
    refused("is no PKCS#12");
    end();
}
END_TEST

START_TEST(versions_must_leave_one)
{
    begin();
    world.settings.enabled_protocols = "TLSv1.3";
    accepted();
    world.settings.protocol = "TLSv1.2";
    refused("ssl.enabled.protocols has nothing up to ssl.protocol");
    world.settings.enabled_protocols = "TLSv1.2";
    world.settings.protocol = "TLSv1.3";
    accepted();
    end();
}
END_TEST

/** Which version and suite come of it. */
static void negotiates(const char *suites, const char *version, const char *suite)
{
    tls_client client;
    world.settings.cipher_suites = suites;
    tls_world_start(&world);
    tls_client_ready(&client, &world);
    const SSL *ssl = KB_CONTAINER(world.peers.prev, tls_peer, node)->ssl;
    ck_assert_str_eq(SSL_get_version(ssl), version);
    ck_assert_str_eq(SSL_get_cipher_name(ssl), suite);
    tls_client_close(&client);
}

START_TEST(suites_are_sorted_by_version_and_known_by_both_names)
{
    begin();
    negotiates("TLS_AES_128_GCM_SHA256", "TLSv1.3", "TLS_AES_128_GCM_SHA256");
    negotiates("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLSv1.2",
               "ECDHE-ECDSA-AES256-GCM-SHA384");
    negotiates("ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305");
    negotiates("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3",
               "TLS_CHACHA20_POLY1305_SHA256");
    end();
}
END_TEST

START_TEST(suites_that_are_none_are_told)
{
    begin();
    world.settings.cipher_suites = "TLS_AES_128_GCM_SHA256,TLS_NO_SUCH";
    refused("OpenSSL has no suite TLS_NO_SUCH");
    world.settings.cipher_suites = "ECDHE-NO-SUCH";
    refused("OpenSSL has no suite ECDHE-NO-SUCH");
    world.settings.cipher_suites = "TLS_AES_128_GCM_SHA256";
    world.settings.enabled_protocols = "TLSv1.2";
    refused("none for ssl.enabled.protocols");
    world.settings.cipher_suites = "ECDHE-ECDSA-AES128-GCM-SHA256";
    accepted();
    world.settings.enabled_protocols = "TLSv1.3";
    refused("none for ssl.enabled.protocols");
    char many[200];
    memset(many, 'x', sizeof many - 1);
    many[sizeof many - 1] = 0;
    world.settings.cipher_suites = many;
    refused("OpenSSL has no suite xxx");
    end();
}
END_TEST
