/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A client that authenticates: from its properties to the last error, in memory and virtual time. */
#define _GNU_SOURCE // memmem
#include "net/http.h"
#include "tests/unit/base/secret_alloc.h"
#include "tests/unit/client/fake_produce.h"
#include "tests/unit/net/sasl_server.h"

#include <kafkac/consumer.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SASL "security.protocol=SASL_PLAINTEXT"

typedef struct world {
    fake_cluster *cluster;
    sasl_server server;
    kc_client *client;
    bool is_done;
    kc_error answer; /**< of the last call */
    int asks;
    const char *token; /**< given at once when asked; NULL: not yet */
    int64_t token_life_ms;
    kb_buf log;
} world;

static uintptr_t key_of(const fake_request *request)
{
    return request->connection;
}

static fake_action on_handshake(fake_request *request, void *response, void *user)
{
    world *w = user;
    kc_bytes *room = fake_alloc(request, 8, sizeof *room);
    sasl_server_handshake(&w->server, key_of(request), request->message, response, room);
    return FAKE_ANSWER;
}

static fake_action on_authenticate(fake_request *request, void *response, void *user)
{
    world *w = user;
    sasl_server_authenticate(&w->server, key_of(request), request->message, response);
    return FAKE_ANSWER;
}

static fake_action on_metadata(fake_request *request, void *response, void *user)
{
    world *w = user;
    sasl_server_other(&w->server, key_of(request));
    fake_model(request, response);
    return FAKE_ANSWER;
}

static void serve(world *w, fake_cluster *cluster)
{
    sasl_server_init(&w->server);
    fake_on(cluster, KP_API_SASL_HANDSHAKE, on_handshake, w);
    fake_on(cluster, KP_API_SASL_AUTHENTICATE, on_authenticate, w);
    fake_on(cluster, KP_API_METADATA, on_metadata, w);
}

static void begin(world *w)
{
    memset(w, 0, sizeof *w);
    w->cluster = fake_new(1);
    kb_buf_init(&w->log, &w->cluster->mem, 0);
    serve(w, w->cluster);
}

static void end(world *w)
{
    kc_client_free(w->client);
    kb_buf_put_byte(&w->log, 0);
    ck_assert_ptr_null(strstr((const char *)w->log.data, "secret"));
    ck_assert_ptr_null(strstr((const char *)w->log.data, "good.token"));
    ck_assert_uint_eq(w->server.violations, 0);
    kb_buf_cleanup(&w->log);
    fake_free(w->cluster);
}

static void on_log(kc_log_level level, const char *line, void *user)
{
    (void)level;
    kb_buf_put_bytes(user, kc_str(line));
}

static kc_err give(world *w, const char *value)
{
    const kc_sasl_extension extension = {KC_STR("pool"), KC_STR("p1")};
    kc_token token = {.size = sizeof token,
                      .value = kc_str(value),
                      .expires_ms =
                          w->token_life_ms ? kc_client_wall_ms(w->client) + w->token_life_ms : 0,
                      .extensions = &extension,
                      .extension_count = 1};
    return kc_client_set_token(w->client, &token, NULL);
}

static void on_token(kc_client *client, void *user)
{
    world *w = user;
    ck_assert_ptr_eq(client, w->client);
    w->asks++;
    if (w->token)
        ck_assert_int_eq(give(w, w->token), KC_OK);
}

static const kc_alloc *alloc; /**< of the next client */

static kc_err open_with(world *w, const char *const *properties, kc_token_fn token_fn,
                        kc_error *err)
{
    kc_config *config = kc_config_new();
    kc_client_options options = {.size = sizeof options,
                                 .seed = 7,
                                 .alloc = alloc,
                                 .log = on_log,
                                 .log_user = &w->log,
                                 .log_level = KC_LOG_DEBUG,
                                 .token_fn = token_fn,
                                 .token_user = w};
    for (; *properties; properties++) {
        char name[64];
        const char *equals = strchr(*properties, '=');
        snprintf(name, sizeof name, "%.*s", (int)(equals - *properties), *properties);
        ck_assert_msg(kc_config_set(config, name, equals + 1, err) == KC_OK, "%s", err->text);
    }
    w->client = fake_client_with(w->cluster, config, &options, err);
    kc_config_free(config);
    return w->client ? KC_OK : err->code;
}

static void open_or_fail(world *w, const char *const *properties, kc_token_fn token_fn)
{
    kc_error err = {.code = KC_OK};
    ck_assert_msg(open_with(w, properties, token_fn, &err) == KC_OK, "%s", err.text);
}

static void on_response(const kc_response *response, void *user)
{
    world *w = user;
    w->is_done = true;
    if (response->error)
        w->answer = *response->error;
    else
        w->answer.code = KC_OK;
}

/** Ask for metadata; the result within `ms`. */
static kc_err call(world *w, int64_t ms)
{
    kp_metadata_req request = {.topics.count = -1};
    w->is_done = false;
    ck_assert_int_eq(kc_call(w->client, KP_API_METADATA, &request, NULL, on_response, w, NULL),
                     KC_OK);
    ck_assert(fake_run_until(w->cluster, &w->is_done, ms));
    return w->answer.code;
}

/* ---- properties ---- */

START_TEST(name_and_password_come_from_properties_or_from_jaas)
{
    static const char *const ways[][5] = {
        {SASL, "sasl.mechanism=PLAIN", "sasl.username=alice", "sasl.password=alice-secret"},
        {SASL, "sasl.mechanism=scram-sha-256", "sasl.username=alice", "sasl.password=alice-secret"},
        {SASL, "sasl.mechanism=SCRAM-SHA-512",
         "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
         "username=\"alice\" password=\"alice-secret\";"},
        {SASL, "sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.token=good.token",
         "sasl.jaas.config=OAuthBearerLoginModule required extension_pool=\"p1\";"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        world w;
        begin(&w);
        open_or_fail(&w, ways[i], NULL);
        ck_assert_msg(call(&w, 1000) == KC_OK, "%s", w.answer.text);
        ck_assert_uint_ge(w.server.successes, 1);
        if (w.server.extensions[0])
            ck_assert_str_eq(w.server.extensions, "pool=p1\x01");
        end(&w);
    }
}
END_TEST

static void refuse(const char *const *properties, kc_token_fn token_fn, const char *part)
{
    world w;
    kc_error err = {.code = KC_OK};
    begin(&w);
    ck_assert_int_eq(open_with(&w, properties, token_fn, &err), KC_ERR_CONFIG);
    ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
    ck_assert_ptr_null(strstr(err.text, "hush"));
    end(&w);
}

START_TEST(what_is_missing_is_told_when_the_client_is_made)
{
    refuse(PROPERTIES(SASL), NULL, "needs sasl.mechanism: PLAIN, SCRAM-SHA-256");
    refuse(PROPERTIES(SASL, "sasl.mechanism=PLAIN"), NULL, "sasl.username and sasl.password");
    refuse(PROPERTIES(SASL, "sasl.mechanism=PLAIN", "sasl.password=hush"), NULL, "sasl.username");
    refuse(PROPERTIES(SASL, "sasl.mechanism=PLAIN", "sasl.password=hush",
                      "sasl.jaas.config=PlainLoginModule required username=a password=hush;"),
           NULL, "not both");
    refuse(PROPERTIES(SASL, "sasl.mechanism=PLAIN", "sasl.jaas.config=PlainLoginModule hush"), NULL,
           "required");
    refuse(PROPERTIES(SASL, "sasl.mechanism=OAUTHBEARER"), NULL, "token_fn");
    refuse(PROPERTIES(SASL, "sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.token=hush"), on_token,
           "give one of");
    refuse(PROPERTIES(SASL, "sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.token=hush hush"), NULL,
           "RFC 6750");
    refuse(PROPERTIES(SASL, "sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.token=hush",
                      "sasl.jaas.config=OAuthBearerLoginModule required extension_auth=hush;"),
           NULL, "not \"auth\"");
}
END_TEST

#define ENDPOINT "sasl.oauthbearer.token.endpoint.url=https://idp/token"
#define OAUTH    SASL, "sasl.mechanism=OAUTHBEARER"
#define ID       "sasl.oauthbearer.client.credentials.client.id=a"
#define HUSH     "sasl.oauthbearer.client.credentials.client.secret=hush"

START_TEST(what_is_missing_to_fetch_tokens_is_told_when_the_client_is_made)
{
    if (!kn_http_is_built())
        return;
    refuse(PROPERTIES(OAUTH, ENDPOINT, ID, HUSH), on_token, "give one of");
    refuse(PROPERTIES(OAUTH, ENDPOINT, ID, HUSH, "sasl.oauthbearer.token=hush"), NULL,
           "give one of");
    refuse(PROPERTIES(OAUTH, ENDPOINT, HUSH), NULL, "credentials.client.id, or clientId in");
    refuse(PROPERTIES(OAUTH, ENDPOINT, ID), NULL, "client.secret, or clientSecret in");
    refuse(PROPERTIES(OAUTH, ENDPOINT, ID, HUSH,
                      "sasl.jaas.config=OAuthBearerLoginModule required clientSecret=hush;"),
           NULL, "client.secret is set, and its option in sasl.jaas.config too");
    refuse(PROPERTIES(OAUTH, "sasl.oauthbearer.token=hush",
                      "sasl.jaas.config=OAuthBearerLoginModule required clientSecret=hush;"),
           NULL, "need sasl.oauthbearer.token.endpoint.url");
    refuse(PROPERTIES(OAUTH, ID, HUSH, "sasl.oauthbearer.token.endpoint.url=https://a:hush@idp"),
           NULL, "not into the URL");
    refuse(PROPERTIES(OAUTH, ENDPOINT, ID, HUSH, "ssl.truststore.location=a",
                      "ssl.truststore.certificates=b"),
           NULL, "both set");
}
END_TEST

START_TEST(without_libcurl_in_the_build_the_endpoint_is_a_config_error)
{
    kc_config *config = kc_config_new();
    kc_error err = {.code = KC_OK};
    kc_err set = kc_config_set(config, "sasl.oauthbearer.token.endpoint.url", "https://idp", &err);
    ck_assert_int_eq(set, kn_http_is_built() ? KC_OK : KC_ERR_CONFIG);
    if (set != KC_OK)
        ck_assert_ptr_nonnull(strstr(err.text, "left out of this build"));
    kc_config_free(config);
}
END_TEST

START_TEST(without_a_sasl_protocol_its_properties_mean_nothing)
{
    world w;
    begin(&w);
    fake_on(w.cluster, KP_API_METADATA, NULL, NULL);
    open_or_fail(&w, PROPERTIES("sasl.mechanism=PLAIN", "sasl.password=hush"), NULL);
    ck_assert_int_eq(call(&w, 1000), KC_OK);
    ck_assert_int_eq(kc_client_set_credentials(w.client, "a", "b", NULL), KC_ERR_STATE);
    ck_assert_int_eq(kc_client_set_token(w.client, NULL, NULL), KC_ERR_STATE);
    kc_client_token_failed(w.client, "nothing");
    ck_assert_uint_eq(w.server.handshakes, 0);
    end(&w);
}
END_TEST

/* ---- failures ---- */

START_TEST(a_wrong_password_ends_a_call_at_once_with_the_true_cause)
{
    world w;
    kc_error last;
    begin(&w);
    open_or_fail(&w,
                 PROPERTIES(SASL, "sasl.mechanism=SCRAM-SHA-256", "sasl.username=alice",
                            "sasl.password=wrong-secret"),
                 NULL);
    ck_assert_int_eq(call(&w, 100), KC_ERR_AUTH);
    ck_assert_int_eq(w.answer.phase, KC_PHASE_SASL);
    ck_assert(w.answer.flags & KC_ERRF_AUTH);
    ck_assert_ptr_nonnull(strstr(w.answer.text,
                                 "SASL authentication failed as alice by SCRAM-SHA-256: "
                                 "Authentication failed: Invalid username or password"));
    kc_client_last_error(w.client, &last);
    ck_assert_str_eq(last.text, w.answer.text);
    ck_assert_int_eq(kc_client_set_credentials(w.client, "alice", "", NULL), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_client_set_credentials(w.client, NULL, "x", NULL), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_client_set_credentials(w.client, "alice", "alice-secret", NULL), KC_OK);
    ck_assert_int_eq(call(&w, 2000), KC_OK);
    kc_client_last_error(w.client, &last);
    ck_assert_int_eq(last.code, KC_OK);
    end(&w);
}
END_TEST

/* ---- tokens ---- */

static const char *const with_token_fn[] = {SASL, "sasl.mechanism=OAUTHBEARER", NULL};

START_TEST(a_token_is_asked_for_by_the_core_and_may_come_later)
{
    world w;
    begin(&w);
    open_or_fail(&w, with_token_fn, on_token);
    fake_run(w.cluster, 1000);
    ck_assert_int_eq(w.asks, 0); // nothing connects yet
    kp_metadata_req request = {.topics.count = -1};
    ck_assert_int_eq(kc_call(w.client, KP_API_METADATA, &request, NULL, on_response, &w, NULL),
                     KC_OK);
    fake_run(w.cluster, 3000);
    ck_assert_int_eq(w.asks, 1);
    ck_assert(!w.is_done);
    ck_assert_int_eq(give(&w, "good.token"), KC_OK);
    ck_assert(fake_run_until(w.cluster, &w.is_done, 100));
    ck_assert_int_eq(w.answer.code, KC_OK);
    ck_assert_str_eq(w.server.extensions, "pool=p1\x01");
    end(&w);
}
END_TEST

START_TEST(a_token_is_refreshed_by_the_core_alone)
{
    world w;
    begin(&w);
    w.token = "good.token";
    w.token_life_ms = 3600000;
    open_or_fail(&w, with_token_fn, on_token);
    ck_assert_int_eq(call(&w, 1000), KC_OK);
    ck_assert_int_eq(w.asks, 1);
    fake_run(w.cluster, 24 * 3600000);
    ck_assert_int_ge(w.asks, 1 + 24 * 3600 / 3060);
    ck_assert_int_le(w.asks, 2 + 24 * 3600 / 2880);
    ck_assert_int_eq(call(&w, 2000), KC_OK);
    end(&w);
}
END_TEST

START_TEST(a_failed_token_is_an_event_and_ends_calls_with_the_reason)
{
    world w;
    kc_error last;
    begin(&w);
    open_or_fail(&w, with_token_fn, on_token);
    kp_metadata_req request = {.topics.count = -1};
    ck_assert_int_eq(kc_call(w.client, KP_API_METADATA, &request, NULL, on_response, &w, NULL),
                     KC_OK);
    fake_run(w.cluster, 10);
    kc_client_token_failed(w.client, "the identity provider answers 503");
    kc_client_last_error(w.client, &last);
    ck_assert_str_eq(last.text, "no token for SASL OAUTHBEARER: the identity provider answers 503");
    ck_assert(fake_run_until(w.cluster, &w.is_done, 10));
    ck_assert_int_eq(w.answer.code, KC_ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(w.answer.text, "answers 503"));
    w.token = "good.token";
    ck_assert_int_eq(call(&w, 2000), KC_OK);
    end(&w);
}
END_TEST

START_TEST(a_refused_or_malformed_token_is_told_and_the_next_one_asked_for)
{
    world w;
    kc_error err = {.code = KC_OK};
    begin(&w);
    w.token = "refused.token";
    open_or_fail(&w, with_token_fn, on_token);
    ck_assert_int_eq(call(&w, 1000), KC_ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(w.answer.text, "by OAUTHBEARER"));
    ck_assert_int_eq(w.asks, 1);
    w.token = NULL;
    kp_metadata_req request = {.topics.count = -1};
    w.is_done = false;
    ck_assert_int_eq(kc_call(w.client, KP_API_METADATA, &request, NULL, on_response, &w, NULL),
                     KC_OK);
    fake_run(w.cluster, 3000);
    ck_assert_int_eq(w.asks, 2);
    const kc_sasl_extension bad = {KC_STR("auth"), KC_STR("x")};
    kc_token token = {.size = sizeof token, .value = KC_STR("t"), .extensions = &bad};
    token.extension_count = 1;
    ck_assert_int_eq(kc_client_set_token(w.client, &token, &err), KC_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, "extension"));
    static char much[70000];
    memset(much, 'a', sizeof much);
    const kc_sasl_extension large = {KC_STR("a"), kc_span(much, sizeof much)};
    token.extensions = &large;
    ck_assert_int_eq(kc_client_set_token(w.client, &token, &err), KC_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, "too long"));
    ck_assert(fake_run_until(w.cluster, &w.is_done, 10));
    ck_assert_int_eq(w.answer.code, KC_ERR_AUTH);
    end(&w);
}
END_TEST

/* ---- renewal under load ---- */

static fake_handler produce;
static void *produce_user;

static fake_action on_produce(fake_request *request, void *response, void *user)
{
    world *w = user;
    sasl_server_other(&w->server, key_of(request));
    return produce(request, response, produce_user);
}

START_TEST(a_produce_run_goes_on_through_many_renewals_without_a_failed_record)
{
    static world w;
    kc_client_stats stats;
    memset(&w, 0, sizeof w);
    producer_fixture *fixture =
        fixture_new(3, 6,
                    PROPERTIES(SASL, "sasl.mechanism=SCRAM-SHA-512", "sasl.username=alice",
                               "sasl.password=alice-secret", "linger.ms=0", "retries=0"));
    fake_cluster *cluster = fixture->cluster;
    serve(&w, cluster);
    w.server.lifetime_ms = 2000;
    produce = cluster->handlers[KP_API_PRODUCE].fn;
    produce_user = cluster->handlers[KP_API_PRODUCE].user;
    fake_on(cluster, KP_API_PRODUCE, on_produce, &w);
    fixture->log->delay_us = 30000;
    for (int i = 0; i < 3000; i++) {
        fixture_send(fixture, i % 6, fixture_name(i));
        fixture_run(fixture, 10);
    }
    fixture_run(fixture, 1000);
    ck_assert_uint_eq(fixture->told_count, 3000);
    ck_assert_uint_eq(fixture->failed_count, 0);
    ck_assert_uint_eq(fixture_stats(fixture).retries, 0);
    kc_client_stats_get(fixture->client, &stats);
    ck_assert_uint_ge(stats.reauthentications, 3 * 30 / 2); // three leaders, 30 s
    ck_assert_uint_eq(stats.disconnects, 1);                // the bootstrap connection
    ck_assert_uint_eq(w.server.violations, 0);
    for (int partition = 0; partition < 6; partition++)
        ck_assert_uint_eq(fake_log_count(fixture->log, "t", partition), 500);
    fixture_free(fixture);
}
END_TEST

START_TEST(records_fail_at_once_with_the_true_cause_when_nobody_lets_us_in)
{
    static world w;
    memset(&w, 0, sizeof w);
    producer_fixture *fixture =
        fixture_new(1, 2,
                    PROPERTIES(SASL, "sasl.mechanism=PLAIN", "sasl.username=alice",
                               "sasl.password=wrong-secret", "linger.ms=0"));
    serve(&w, fixture->cluster);
    fixture_send(fixture, 0, "a");
    fixture_send(fixture, 1, "b");
    fixture_run(fixture, 1000);
    ck_assert_str_eq(fixture->told, "a!AUTH b!AUTH ");
    ck_assert_ptr_nonnull(
        strstr(fixture->last_error.text, "SASL authentication failed as alice by PLAIN"));
    fixture_free(fixture);
}
END_TEST

START_TEST(no_memory_that_is_given_back_holds_a_secret)
{
    static const char *const texts[] = {"alice-secret", "good.token", NULL};
    static const char *const ways[][6] = {
        {SASL, "sasl.mechanism=PLAIN", "sasl.username=alice", "sasl.password=alice-secret"},
        {SASL, "sasl.mechanism=SCRAM-SHA-256", "sasl.username=alice", "sasl.password=alice-secret"},
        {SASL, "sasl.mechanism=PLAIN",
         "sasl.jaas.config=PlainLoginModule required username=alice password=\"alice-secret\";"},
        {SASL, "sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.token=good.token"},
    };
    secret_texts = texts;
    secret_leaks = 0;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        world w;
        begin(&w);
        w.server.lifetime_ms = 2000;
        alloc = &secret_alloc;
        open_or_fail(&w, ways[i], NULL);
        alloc = NULL;
        ck_assert_int_eq(call(&w, 1000), KC_OK);
        fake_run(w.cluster, 10000);
        ck_assert_uint_ge(w.server.successes, 5);
        if (w.client->settings->sasl_username)
            ck_assert_int_eq(kc_client_set_credentials(w.client, "alice", "alice-secret2", NULL),
                             KC_OK);
        end(&w);
        ck_assert_msg(secret_leaks == 0, "%s: %zu blocks", ways[i][1], secret_leaks);
    }
}
END_TEST

START_TEST(a_consumer_of_a_group_hears_the_true_cause_at_once)
{
    world w;
    kc_error err = {.code = KC_OK};
    kc_consumer *consumer;
    kc_batch *batch;
    kc_bytes topic = KC_STR("t");
    begin(&w);
    open_or_fail(&w,
                 PROPERTIES(SASL, "sasl.mechanism=PLAIN", "sasl.username=alice",
                            "sasl.password=wrong-secret", "group.id=g"),
                 NULL);
    int64_t began_ms = fake_now_ms(w.cluster);
    ck_assert_int_eq(kc_consumer_open(w.client, NULL, &consumer, &err), KC_OK);
    ck_assert_int_eq(kc_consumer_subscribe(consumer, &topic, 1, &err), KC_OK);
    ck_assert_int_eq(kc_consumer_poll(consumer, 60000, &batch, &err), KC_ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(err.text, "SASL authentication failed as alice by PLAIN"));
    ck_assert_int_lt(fake_now_ms(w.cluster) - began_ms, 1000);
    end(&w);
}
END_TEST
