/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The Java client's sasl.jaas.config. */
#include "client/jaas.h"

#include <check.h>

#define PLAIN "org.apache.kafka.common.security.plain.PlainLoginModule required "
#define SCRAM "org.apache.kafka.common.security.scram.ScramLoginModule required "
#define OAUTH "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "

static kb_mem mem;
static kc_jaas jaas;
static kc_error error;

static kc_err parse(const char *mechanism, const char *text)
{
    kb_mem_init(&mem, NULL, 0);
    error = (kc_error){.code = KC_OK};
    return kc_jaas_parse(&mem, kc_str(text), mechanism, &jaas, &error);
}

static void end(void)
{
    kc_jaas_cleanup(&jaas);
    ck_assert_uint_eq(mem.used, 0);
}

static void expect(const char *mechanism, const char *text, const char *username,
                   const char *password)
{
    ck_assert_msg(parse(mechanism, text) == KC_OK, "%s", error.text);
    ck_assert_str_eq((const char *)jaas.username.data, username);
    ck_assert_str_eq((const char *)jaas.password.data, password);
    end();
}

static void refuse(const char *mechanism, const char *text, const char *part)
{
    ck_assert_int_eq(parse(mechanism, text), error.code);
    ck_assert_int_ne(error.code, KC_OK);
    ck_assert_msg(strstr(error.text, part) != NULL, "%s", error.text);
    ck_assert_ptr_null(strstr(error.text, "hush"));
    end();
}

START_TEST(name_and_password_are_read_as_the_java_client_does)
{
    expect("PLAIN", PLAIN "username=\"alice\" password=\"alice-secret\";", "alice", "alice-secret");
    expect("SCRAM-SHA-512", SCRAM "\n  username='al ice'\n  password=word ;\n", "al ice", "word");
    expect("SCRAM-SHA-256", "ScramLoginModule REQUIRED password = \"a\\\"b\\\\;=\\n\" username=x;",
           "x", "a\"b\\;=\n");
    expect("PLAIN", PLAIN "username=\"a\" username=\"b\" password=\"\xc3\xa4'\";", "b",
           "\xc3\xa4'");
}
END_TEST

START_TEST(extensions_come_with_the_token_module)
{
    ck_assert_int_eq(parse("OAUTHBEARER", OAUTH "extension_logicalCluster=\"lkc-1\" "
                                                "extension_pool='p 2';"),
                     KC_OK);
    ck_assert(kc_bytes_equal(kb_buf_bytes(&jaas.extensions),
                             KC_STR("logicalCluster=lkc-1\x01pool=p 2\x01")));
    end();
    ck_assert_int_eq(parse("OAUTHBEARER", OAUTH ";"), KC_OK);
    end();
    refuse("OAUTHBEARER", OAUTH "extension_auth=\"x\";", "extension");
    refuse("OAUTHBEARER", OAUTH "extension_a1=\"x\";", "extension");
    refuse("OAUTHBEARER", OAUTH "extension_=\"x\";", "extension");
    refuse("OAUTHBEARER", OAUTH "extension_a=\"\x01hush\";", "extension");
    refuse("OAUTHBEARER", OAUTH "password=\"hush\";", "password is not known");
    refuse("PLAIN", PLAIN "clientSecret=\"hush\";", "clientSecret is not known");
}
END_TEST

START_TEST(credentials_for_a_provider_come_with_the_token_module)
{
    ck_assert_int_eq(parse("OAUTHBEARER", OAUTH "clientId=\"id\" clientSecret='hush' "
                                                "extension_a=\"b\" scope=\"read write\" "
                                                "ssl.truststore.location=\"idp.pem\" "
                                                "ssl.truststore.type=PEM;"),
                     KC_OK);
    ck_assert_str_eq((const char *)jaas.ca_location.data, "idp.pem");
    ck_assert_uint_eq(jaas.ca_certificates.len, 0);
    ck_assert_str_eq((const char *)jaas.client_id.data, "id");
    ck_assert_str_eq((const char *)jaas.client_secret.data, "hush");
    ck_assert_str_eq((const char *)jaas.scope.data, "read write");
    ck_assert(kc_bytes_equal(kb_buf_bytes(&jaas.extensions), KC_STR("a=b\x01")));
    end();
    refuse("OAUTHBEARER", OAUTH "clientSecret=\"\";", "not empty");
    refuse("OAUTHBEARER", OAUTH "clientSecret \"hush\";", "name=\"value\"");
}
END_TEST

START_TEST(kerberos_options_are_taken_and_those_of_java_alone_left)
{
    ck_assert_msg(parse("GSSAPI", "com.sun.security.auth.module.Krb5LoginModule required "
                                  "useKeyTab=true storeKey=true doNotPrompt=true debug=false "
                                  "keyTab=\"/etc/app.keytab\" principal=\"app/h@REALM\" "
                                  "serviceName=kafka ticketCache='/run/cc';") == KC_OK,
                  "%s", error.text);
    ck_assert_str_eq((const char *)jaas.keytab.data, "/etc/app.keytab");
    ck_assert_str_eq((const char *)jaas.principal.data, "app/h@REALM");
    ck_assert_str_eq((const char *)jaas.service.data, "kafka");
    ck_assert_str_eq((const char *)jaas.ticket_cache.data, "/run/cc");
    end();
    refuse("GSSAPI", "Krb5LoginModule required password=\"hush\";", "password is not known");
    refuse("GSSAPI", PLAIN "username=\"a\" password=\"hush\";", "has to be Krb5LoginModule");
}
END_TEST

START_TEST(what_is_wrong_is_said_without_any_value)
{
    refuse("PLAIN", "", "a login module");
    refuse("PLAIN", SCRAM "username=\"a\" password=\"hush\";", "has to be PlainLoginModule");
    refuse("SCRAM-SHA-256", PLAIN "username=\"a\" password=\"hush\";", "ScramLoginModule");
    refuse("PLAIN", "PlainLoginModule username=\"a\" password=\"hush\";", "required");
    refuse("PLAIN", "PlainLoginModule optional username=\"a\" password=\"hush\";", "required");
    refuse("PLAIN", PLAIN "username=\"a\" password=\"hush\"", "a semicolon");
    refuse("PLAIN", PLAIN "username=\"a\" password=\"hush", "name=\"value\"");
    refuse("PLAIN", PLAIN "username=\"a\" password=\"hush\\", "name=\"value\"");
    refuse("PLAIN", PLAIN "username \"hush\";", "name=\"value\"");
    refuse("PLAIN", PLAIN "username==\"hush\";", "name=\"value\"");
    refuse("PLAIN", PLAIN "username=;", "name=\"value\"");
    refuse("PLAIN", PLAIN "=\"hush\";", "a semicolon");
    refuse("PLAIN", PLAIN "username=\"\" password=\"hush\";", "not empty");
    refuse("PLAIN", PLAIN "username=\"a\" password=\"hush\"; x", "the end");
    refuse("SCRAM-SHA-256", SCRAM "tokenauth=\"true\";", "tokenauth is not known");
}
END_TEST

START_TEST(a_text_cut_at_any_byte_is_refused)
{
    static const char whole[] = PLAIN "username=\"alice\" password=\"hush\\\"hush\";";
    char text[sizeof whole];
    for (size_t len = 0; len < strlen(whole); len++) {
        memcpy(text, whole, len);
        text[len] = 0;
        refuse("PLAIN", text, "sasl.jaas.config");
    }
}
END_TEST

START_TEST(without_memory_nothing_leaks)
{
    for (size_t limit = 1; limit < 2048; limit += 16) {
        kb_mem_init(&mem, NULL, limit);
        kc_err err = kc_jaas_parse(&mem, KC_STR(PLAIN "username=\"alice\" password=\"hush\";"),
                                   "PLAIN", &jaas, &error);
        ck_assert(err == KC_OK || err == KC_ERR_NOMEM);
        end();
    }
}
END_TEST
