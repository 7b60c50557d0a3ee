/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * SASL against a real broker: each mechanism, the text of its refusals, and sessions of two seconds that are renewed
 * while records flow. */
#include "protocol/base/text.h"
#include "tests/broker/broker.h"

#include <kafkac/producer.h>
#include <kafkac/unstable/messages.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSWORD(name) "sasl.username", name, "sasl.password", name "-secret"
#define RUN_MS         9000
#define PATIENCE_MS    30000
#define PARTITIONS     3

static kc_error error;

/* ---- tokens without a signature, as the broker's default takes them ---- */

static int64_t token_life_ms = 3600000;
static int asks;

static void put_part(kb_buf *out, const char *json)
{
    kb_base64url_put(out, kc_str(json));
    kb_buf_put_byte(out, '.');
}

static void give_token(kc_client *client, void *user)
{
    char claims[160];
    kb_mem mem;
    kb_buf text;
    (void)user;
    asks++;
    int64_t now_s = kc_clock_wall_ms() / 1000;
    int64_t expires_s = now_s + token_life_ms / 1000;
    snprintf(claims, sizeof claims, "{\"sub\":\"alice\",\"iat\":%lld,\"exp\":%lld}",
             (long long)(now_s - 1), (long long)expires_s);
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&text, &mem, 0);
    put_part(&text, "{\"alg\":\"none\"}");
    put_part(&text, claims);
    kc_token token = {.size = sizeof token, .value = kb_buf_bytes(&text)};
    /* An expired one is for the broker to refuse. */
    token.expires_ms = token_life_ms > 0 ? expires_s * 1000 : 0;
    ck_assert_int_eq(kc_client_set_token(client, &token, &error), KC_OK);
    kb_buf_cleanup(&text);
}

/* ---- clients ---- */

/** Where tokens are fetched, none are given. */
static kc_token_fn token_fn_of(const char *const *properties)
{
    for (size_t i = 0; properties && properties[i]; i += 2)
        if (strcmp(properties[i], "sasl.oauthbearer.token.endpoint.url") == 0)
            return NULL;
    return give_token;
}

static int fetches; /**< tokens that came from the provider */

static void on_log(kc_log_level level, const char *line, void *user)
{
    (void)level, (void)user;
    fetches += strstr(line, ": a token, good for ") != NULL;
    ck_assert_msg(strstr(line, "-secret") == NULL, "%s", line);
}

static kc_client *open_client(const char *listener, const char *mechanism,
                              const char *const *properties)
{
    kc_client *client = NULL;
    kc_client_options options = {.size = sizeof options,
                                 .token_fn = token_fn_of(properties),
                                 .log = on_log,
                                 .log_level = KC_LOG_DEBUG};
    kc_config *config = kc_config_new();
    const char *const fixed[] = {"bootstrap.servers",
                                 broker_list_of(listener),
                                 "security.protocol",
                                 "SASL_PLAINTEXT",
                                 "sasl.mechanism",
                                 mechanism,
                                 NULL};
    for (size_t i = 0; fixed[i]; i += 2)
        ck_assert_int_eq(kc_config_set(config, fixed[i], fixed[i + 1], &error), KC_OK);
    for (size_t i = 0; properties && properties[i]; i += 2)
        ck_assert_msg(kc_config_set(config, properties[i], properties[i + 1], &error) == KC_OK,
                      "%s", error.text);
    ck_assert_msg(kc_client_new(config, &options, &client, &error) == KC_OK, "%s", error.text);
    kc_config_free(config);
    return client;
}

typedef struct answer {
    bool is_done;
    kc_error error;
    int32_t brokers;
} answer;

static void on_response(const kc_response *response, void *user)
{
    answer *a = user;
    a->is_done = true;
    if (response->error)
        a->error = *response->error;
    else
        a->brokers = ((const kp_metadata_resp *)response->message)->brokers.count;
}

/** Metadata of the cluster, by way of a broker that has authenticated us. */
static kc_err ask(kc_client *client)
{
    answer a = {.is_done = false};
    kp_metadata_req request = {.topics.count = 0};
    ck_assert_int_eq(kc_call(client, KP_API_METADATA, &request, NULL, on_response, &a, &error),
                     KC_OK);
    while (!a.is_done)
        ck_assert_int_ge(kc_client_dispatch(client, 1000), KC_ERR_AGAIN);
    error = a.error;
    if (a.error.code == KC_OK)
        ck_assert_int_ge(a.brokers, 1);
    return a.error.code;
}

static void check_in(const char *mechanism, const char *const *properties)
{
    kc_client *client = open_client("SASL_PLAINTEXT", mechanism, properties);
    ck_assert_msg(ask(client) == KC_OK, "%s", error.text);
    kc_client_free(client);
}

START_TEST(each_mechanism_authenticates)
{
    static const char *const alice[] = {PASSWORD("alice"), NULL};
    static const char *const jaas[] = {
        "sasl.jaas.config",
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"admin\" "
        "password=\"admin-secret\";",
        NULL};
    check_in("PLAIN", alice);
    check_in("SCRAM-SHA-256", alice);
    check_in("SCRAM-SHA-512", alice);
    check_in("SCRAM-SHA-512", jaas);
    check_in("OAUTHBEARER", NULL);
    ck_assert_int_eq(asks, 1);
}
END_TEST

START_TEST(each_mechanism_authenticates_inside_of_tls)
{
    char ca[512];
    snprintf(ca, sizeof ca, "%s/ca.pem", broker_tls_folder());
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512",
                                             "OAUTHBEARER"};
    const char *const over_tls[] = {"security.protocol", "SASL_SSL", "ssl.truststore.location", ca,
                                    PASSWORD("alice"),   NULL};
    const char *const without_name[] = {"security.protocol", "SASL_SSL", "ssl.truststore.location",
                                        ca, NULL};
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++) {
        kc_client *client = open_client("SASL_SSL", mechanisms[i], i < 3 ? over_tls : without_name);
        ck_assert_msg(ask(client) == KC_OK, "%s", error.text);
        kc_client_free(client);
    }
}
END_TEST

static void refuse(const char *listener, const char *mechanism, const char *const *properties,
                   const char *text)
{
    kc_error last;
    kc_client *client = open_client(listener, mechanism, properties);
    ck_assert_int_eq(ask(client), KC_ERR_AUTH);
    ck_assert_msg(strstr(error.text, text) != NULL, "%s", error.text);
    ck_assert_ptr_null(strstr(error.text, "-secret"));
    ck_assert_int_eq(error.phase, KC_PHASE_SASL);
    kc_client_last_error(client, &last);
    ck_assert_str_eq(last.text, error.text);
    kc_client_free(client);
}

START_TEST(what_the_broker_refuses_is_told_in_its_words)
{
    static const char *const wrong[] = {"sasl.username", "alice", "sasl.password", "bob-secret",
                                        NULL};
    static const char *const nobody[] = {PASSWORD("nobody"), NULL};
    refuse("SASL_PLAINTEXT", "PLAIN", wrong,
           "SASL authentication failed as alice by PLAIN: Authentication failed: Invalid username "
           "or password");
    refuse("SASL_PLAINTEXT", "SCRAM-SHA-256", wrong,
           "SASL authentication failed as alice by SCRAM-SHA-256: Authentication failed during "
           "authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256");
    refuse("SASL_PLAINTEXT", "SCRAM-SHA-512", nobody,
           "SASL authentication failed as nobody by SCRAM-SHA-512: Authentication failed");
    token_life_ms = -100000;
    refuse("SASL_PLAINTEXT", "OAUTHBEARER", NULL, "SASL authentication failed by OAUTHBEARER: {");
    token_life_ms = 3600000;
}
END_TEST

START_TEST(a_mechanism_the_broker_has_not_is_told_with_those_it_has)
{
    static const char *const nobody[] = {PASSWORD("nobody"), NULL};
    broker_only_real("embedded brokers have all mechanisms but GSSAPI");
    refuse("SASL_REAUTH", "SCRAM-SHA-256", nobody, "the broker offers ");
    ck_assert_ptr_nonnull(strstr(error.text, "SCRAM-SHA-512"));
}
END_TEST

START_TEST(a_listener_without_sasl_says_so)
{
    static const char *const alice[] = {PASSWORD("alice"), NULL};
    char servers[256];
    snprintf(servers, sizeof servers, "%s", broker_list());
    kc_client *client = open_client("SASL_PLAINTEXT", "PLAIN",
                                    (const char *const[]){"bootstrap.servers", servers, alice[0],
                                                          alice[1], alice[2], alice[3], NULL});
    ck_assert_int_eq(ask(client), KC_ERR_AUTH);
    ck_assert_msg(strstr(error.text, "this listener has no SASL") != NULL, "%s", error.text);
    kc_client_free(client);
}
END_TEST

START_TEST(credentials_are_mended_at_run_time)
{
    static const char *const wrong[] = {"sasl.username", "alice", "sasl.password", "old", NULL};
    kc_client *client = open_client("SASL_PLAINTEXT", "SCRAM-SHA-512", wrong);
    ck_assert_int_eq(ask(client), KC_ERR_AUTH);
    ck_assert_int_eq(kc_client_set_credentials(client, "alice", "alice-secret", &error), KC_OK);
    ck_assert_msg(ask(client) == KC_OK, "%s", error.text);
    kc_client_free(client);
}
END_TEST

/* ---- renewal ---- */

typedef struct flow {
    kc_client *client;
    kc_producer *producer;
    char topic[64];
    uint64_t retries_before;
    uint32_t sent, told, failed;
    kc_error error;
} flow;

static void on_delivery(const kc_delivery *delivery, void *user)
{
    flow *r = user;
    r->told++;
    if (delivery->err == KC_OK)
        return;
    r->failed++;
    r->error = *delivery->error;
}

static void flow_send(flow *r)
{
    kc_record record = KC_RECORD_INIT;
    record.topic = kc_str(r->topic);
    record.value = KC_STR("value");
    record.partition = (int32_t)(r->sent % PARTITIONS);
    ck_assert_int_eq(kc_producer_send(r->producer, &record, on_delivery, r, &error), KC_OK);
    r->sent++;
}

/** A broker may name a new partition's leader before that one takes records: what was sent again for that has
 * nothing to do with sessions. */
static void flow_open(flow *r, const char *listener, const char *mechanism,
                      const char *const *properties)
{
    kc_producer_stats stats;
    *r = (flow){.client = open_client(listener, mechanism, properties)};
    broker_unique_name(r->topic, sizeof r->topic, "sasl");
    broker_create_topic(r->topic, PARTITIONS, 1);
    ck_assert_int_eq(kc_producer_open(r->client, NULL, &r->producer, &error), KC_OK);
    while (r->sent < PARTITIONS)
        flow_send(r);
    ck_assert_int_eq(kc_producer_flush(r->producer, 30000), KC_OK);
    kc_producer_stats_get(r->producer, &stats);
    r->retries_before = stats.retries;
}

/** Records all the time, hundreds a second; for longer where fewer sessions were renewed so far. */
static void flow_for(flow *r, int64_t ms, uint32_t renewals)
{
    kc_client_stats stats;
    int64_t now_us, until_us = kc_clock_monotonic_us() + ms * 1000;
    do {
        flow_send(r);
        ck_assert_int_ge(kc_client_dispatch(r->client, 1), KC_ERR_AGAIN);
        kc_client_stats_get(r->client, &stats);
        now_us = kc_clock_monotonic_us();
    } while (now_us < until_us || (stats.reauthentications < renewals &&
                                   now_us < until_us + PATIENCE_MS * INT64_C(1000)));
}

static void flow_close(flow *r, uint32_t renewals)
{
    kc_client_stats stats;
    kc_producer_stats produced;
    ck_assert_int_eq(kc_producer_flush(r->producer, 30000), KC_OK);
    kc_client_stats_get(r->client, &stats);
    kc_producer_stats_get(r->producer, &produced);
    ck_assert_msg(r->failed == 0, "%s", r->error.text);
    ck_assert_uint_eq(r->told, r->sent);
    ck_assert_uint_ge(r->sent, 1000);
    ck_assert_uint_eq(produced.retries, r->retries_before);
    ck_assert_uint_ge(stats.reauthentications, renewals);
    ck_assert_uint_le(stats.disconnects, 1); // the bootstrap connection
    printf("%u records, %llu renewals, %llu connections\n", r->sent,
           (unsigned long long)stats.reauthentications, (unsigned long long)stats.connects);
    kc_client_free(r->client);
}

static void produce_through_renewals(const char *listener, const char *mechanism,
                                     const char *const *properties)
{
    flow r;
    flow_open(&r, listener, mechanism, properties);
    flow_for(&r, RUN_MS, RUN_MS / 2000);
    flow_close(&r, RUN_MS / 2000);
}

START_TEST(plain_sessions_are_renewed_under_records)
{
    static const char *const alice[] = {PASSWORD("alice"), "linger.ms", "0", NULL};
    produce_through_renewals("SASL_REAUTH", "PLAIN", alice);
}
END_TEST

START_TEST(scram_sessions_are_renewed_under_records)
{
    static const char *const alice[] = {PASSWORD("alice"), "linger.ms", "0", NULL};
    produce_through_renewals("SASL_REAUTH", "SCRAM-SHA-512", alice);
}
END_TEST

START_TEST(oauthbearer_sessions_are_renewed_under_records_with_fresh_tokens)
{
    static const char *const quick[] = {"linger.ms", "0", NULL};
    token_life_ms = 4000; // and so tokens are refreshed by the way
    produce_through_renewals("SASL_REAUTH", "OAUTHBEARER", quick);
    ck_assert_int_ge(asks, 3);
    token_life_ms = 3600000;
}
END_TEST

static void set_password(const char *user, const char *password)
{
    char setting[128], output[2048];
    snprintf(setting, sizeof setting, "SCRAM-SHA-512=[password=%s]", password);
    const char *const argv[] = {
        "tool",          "configs", "--alter",      "--entity-type", "users",
        "--entity-name", user,      "--add-config", setting,         NULL};
    ck_assert_msg(broker_command(output, sizeof output, argv) == 0, "%s", output);
}

START_TEST(a_changed_password_costs_no_record)
{
    flow r;
    char user[64];
    broker_unique_name(user, sizeof user, "user");
    set_password(user, "one");
    flow_open(&r, "SASL_REAUTH", "SCRAM-SHA-512",
              (const char *const[]){"sasl.username", user, "sasl.password", "one", "linger.ms", "0",
                                    NULL});
    flow_for(&r, 3000, 0);
    set_password(user, "two"); // takes seconds: the session ends meanwhile
    ck_assert_int_eq(kc_client_set_credentials(r.client, user, "two", &error), KC_OK);
    flow_for(&r, 5000, 3);
    kc_client_stats stats;
    kc_client_stats_get(r.client, &stats);
    ck_assert_uint_ge(stats.reauthentications, 3);
    ck_assert_int_eq(kc_producer_flush(r.producer, 30000), KC_OK);
    ck_assert_msg(r.failed == 0, "%s", r.error.text);
    kc_client_free(r.client);
}
END_TEST

/* ---- Kerberos ---- */

static const char *in_kdc(const char *name)
{
    static char paths[4][512];
    static size_t next;
    broker_only_real("embedded brokers have no Kerberos");
    const char *folder = getenv("KC_KDC");
    if (!folder) {
        printf("skipped: no KDC: run scripts/kdc run -- scripts/kafka run --secure -- COMMAND\n");
        exit(77);
    }
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void check_ticket(const char *const *properties)
{
    kc_client *client = open_client("SASL_GSSAPI", "GSSAPI", properties);
    ck_assert_msg(ask(client) == KC_OK, "%s", error.text);
    kc_client_free(client);
}

START_TEST(a_keytab_authenticates)
{
    const char *keytab = in_kdc("alice.keytab");
    char jaas[1024];
    snprintf(jaas, sizeof jaas,
             "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true "
             "serviceName=kafka keyTab=\"%s\" principal=\"alice@OFFICEFLOW.TEST\";",
             keytab);
    check_ticket((const char *const[]){"sasl.kerberos.keytab", keytab, NULL});
    check_ticket((const char *const[]){"sasl.kerberos.keytab", keytab, "sasl.kerberos.principal",
                                       "alice", NULL});
    check_ticket((const char *const[]){"sasl.jaas.config", jaas, NULL});
}
END_TEST

START_TEST(tickets_of_kinit_authenticate)
{
    char command[2048];
    const char *keytab = in_kdc("alice.keytab"), *cache = in_kdc("alice.cache");
    snprintf(command, sizeof command, "kinit -c %s -k -t %s alice", cache, keytab);
    ck_assert_int_eq(system(command), 0);
    check_ticket((const char *const[]){"sasl.kerberos.ticket.cache", cache, NULL});
}
END_TEST

START_TEST(what_kerberos_refuses_is_told_in_its_words)
{
    const char *keytab = in_kdc("alice.keytab");
    refuse("SASL_GSSAPI", "GSSAPI",
           (const char *const[]){"sasl.kerberos.ticket.cache", in_kdc("none"), NULL},
           "SASL authentication failed by GSSAPI: no ticket; run kinit, or set "
           "sasl.kerberos.keytab: ");
    refuse("SASL_GSSAPI", "GSSAPI",
           (const char *const[]){"sasl.kerberos.keytab", keytab, "sasl.kerberos.service.name",
                                 "postgres", NULL},
           "Server postgres/127.0.0.1@OFFICEFLOW.TEST not found in Kerberos database");
    refuse("SASL_GSSAPI", "GSSAPI",
           (const char *const[]){"sasl.kerberos.keytab", keytab, "sasl.kerberos.principal", "carol",
                                 NULL},
           "failed as carol by GSSAPI: sasl.kerberos.keytab: No key table entry found for carol");
    refuse("SASL_GSSAPI", "GSSAPI",
           (const char *const[]){"sasl.kerberos.keytab", in_kdc("none"), NULL},
           "is nonexistent or empty");
    refuse("SASL_PLAINTEXT", "GSSAPI", (const char *const[]){"sasl.kerberos.keytab", keytab, NULL},
           "the broker offers ");
}
END_TEST

START_TEST(a_kdc_that_is_down_is_asked_again_until_the_time_is_over)
{
    char path[512];
    snprintf(path, sizeof path, "%s", in_kdc("dead.conf"));
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs("[libdefaults]\ndefault_realm = OFFICEFLOW.TEST\ndns_lookup_kdc = false\n"
          "[realms]\nOFFICEFLOW.TEST = {\nkdc = 127.0.0.1:1\n}\n",
          out);
    fclose(out);
    setenv("KRB5_CONFIG", path, 1);
    kc_client *client =
        open_client("SASL_GSSAPI", "GSSAPI",
                    (const char *const[]){"sasl.kerberos.keytab", in_kdc("alice.keytab"),
                                          "default.api.timeout.ms", "2000", "request.timeout.ms",
                                          "2000", NULL});
    ck_assert_int_eq(ask(client), KC_ERR_TIMEOUT);
    const char *text = strstr(error.text, "Cannot contact any KDC");
    ck_assert_msg(text && strstr(text, "is it up"), "%s", error.text);
    kc_client_free(client);
}
END_TEST

/* bob's tickets last eight seconds. */
START_TEST(gssapi_sessions_are_renewed_under_records_with_fresh_tickets)
{
    const char *const bob[] = {"sasl.kerberos.keytab", in_kdc("bob.keytab"), "linger.ms", "0",
                               NULL};
    produce_through_renewals("SASL_GSSAPI", "GSSAPI", bob);
}
END_TEST

/* ---- a provider ---- */

#define PROVIDER_JAAS                                                                              \
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "

static char endpoint[256], ca[512];

/** Properties for tokens of `life_s` seconds, then those of the caller. */
static const char *const *by_provider(int life_s, const char *const *more)
{
    static const char *all[32];
    size_t count = 0;
    snprintf(endpoint, sizeof endpoint, "%s?life=%d", broker_token_endpoint(), life_s);
    snprintf(ca, sizeof ca, "%s/ca.pem", broker_tls_folder());
    const char *const fixed[] = {"sasl.oauthbearer.token.endpoint.url",
                                 endpoint,
                                 "ssl.truststore.location",
                                 ca,
                                 "sasl.login.retry.backoff.max.ms",
                                 "1000",
                                 NULL};
    for (size_t i = 0; fixed[i]; i++)
        all[count++] = fixed[i];
    for (; *more; more++)
        all[count++] = *more;
    all[count] = NULL;
    return all;
}

#define CLIENT_ID     "sasl.oauthbearer.client.credentials.client.id"
#define CLIENT_SECRET "sasl.oauthbearer.client.credentials.client.secret"

START_TEST(tokens_of_a_provider_authenticate)
{
    static const char *const plain[] = {CLIENT_ID, "alice", CLIENT_SECRET, "alice-secret", NULL};
    static const char *const scoped[] = {CLIENT_ID,
                                         "alice",
                                         CLIENT_SECRET,
                                         "alice-secret",
                                         "sasl.oauthbearer.scope",
                                         "kafka",
                                         "sasl.oauthbearer.header.urlencode",
                                         "true",
                                         NULL};
    static const char *const jaas[] = {
        "sasl.jaas.config",
        PROVIDER_JAAS "clientId=\"alice\" clientSecret=\"alice-secret\" scope=\"kafka\";", NULL};
    const char *const *const ways[] = {plain, scoped, jaas};
    for (size_t i = 0; i < 3; i++) {
        kc_client *client = open_client("SASL_OIDC", "OAUTHBEARER", by_provider(60, ways[i]));
        ck_assert_msg(ask(client) == KC_OK, "%s", error.text);
        kc_client_free(client);
    }
    ck_assert_int_eq(fetches, 3);
}
END_TEST

START_TEST(what_a_provider_refuses_is_told_in_its_words)
{
    refuse("SASL_OIDC", "OAUTHBEARER",
           by_provider(
               60, (const char *const[]){CLIENT_ID, "alice", CLIENT_SECRET, "bob-secret", NULL}),
           "it answers 401 invalid_client (Client authentication failed)");
    refuse("SASL_OIDC", "OAUTHBEARER",
           by_provider(60, (const char *const[]){CLIENT_ID, "alice", CLIENT_SECRET, "alice-secret",
                                                 "sasl.oauthbearer.scope", "other", NULL}),
           "it answers 400 invalid_scope (No such scope)");
    refuse(
        "SASL_OIDC", "OAUTHBEARER",
        by_provider(60, (const char *const[]){CLIENT_ID, "alice", CLIENT_SECRET, "alice-secret",
                                              "ssl.truststore.location", "/nowhere/ca.pem", NULL}),
        "see ssl.truststore.location");
    refuse("SASL_OIDC", "OAUTHBEARER",
           by_provider(60, (const char *const[]){"sasl.oauthbearer.token.endpoint.url",
                                                 "https://127.0.0.1:1/token", CLIENT_ID, "alice",
                                                 CLIENT_SECRET, "alice-secret", NULL}),
           "Failed to connect to 127.0.0.1 port 1");
}
END_TEST

START_TEST(tokens_that_the_broker_does_not_know_the_signer_of_are_refused)
{
    refuse("SASL_OIDC", "OAUTHBEARER", NULL,
           "SASL authentication failed by OAUTHBEARER: {\"status\":\"invalid_token\"}");
}
END_TEST

/* Tokens of three seconds, sessions of two at most. */
START_TEST(sessions_are_renewed_under_records_with_tokens_of_a_provider)
{
    produce_through_renewals(
        "SASL_OIDC", "OAUTHBEARER",
        by_provider(3, (const char *const[]){CLIENT_ID, "alice", CLIENT_SECRET, "alice-secret",
                                             "linger.ms", "0", NULL}));
    printf("%d tokens\n", fetches);
    ck_assert_int_ge(fetches, 3);
}
END_TEST
