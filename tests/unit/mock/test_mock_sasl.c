/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * SASL on the broker's side: request by request, and with the project's own client on a virtual loop. */
#include "client/core.h"
#include "mock/auth.h"
#include "mock/mem_server.h"
#include "protocol/base/text.h"
#include "protocol/frame.h"
#include "protocol/wire.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>
#include <stdio.h>

static void says(kc_bytes text, const char *expected)
{
    ck_assert_msg(kc_bytes_equal(text, kc_str(expected)), "'%.*s', not '%s'", (int)text.len,
                  text.ptr ? (const char *)text.ptr : "(null)", expected);
}

static mock_world *secure(int64_t session_ms)
{
    mock_world *world = mock_new(1);
    ck_assert_int_eq(km_auth_add_user(world->cluster, "alice", "secret"), KC_OK);
    ck_assert_int_eq(km_auth_add_user(world->cluster, "bob", "hush"), KC_OK);
    world->cluster->auth->is_required = true;
    world->cluster->auth->session_ms = session_ms;
    return world;
}

static const kp_sasl_handshake_resp *handshake(mock_link *link, int16_t version, const char *name)
{
    kp_sasl_handshake_req request;
    mock_defaults(KP_API_SASL_HANDSHAKE, &request);
    request.mechanism = kc_str(name);
    return mock_ask(link, KP_API_SASL_HANDSHAKE, version, &request);
}

static const kp_sasl_authenticate_resp *token(mock_link *link, kc_bytes bytes)
{
    kp_sasl_authenticate_req request;
    mock_defaults(KP_API_SASL_AUTHENTICATE, &request);
    request.auth_bytes = bytes;
    return mock_ask(link, KP_API_SASL_AUTHENTICATE, 2, &request);
}

#define ALICE KC_STR("\0alice\0secret")
#define BOB   KC_STR("\0bob\0hush")

static void log_in(mock_link *link)
{
    ck_assert_int_eq(handshake(link, 1, "PLAIN")->error_code, 0);
    ck_assert_int_eq(token(link, ALICE)->error_code, 0);
}

static int32_t metadata(mock_link *link)
{
    kp_metadata_req request;
    mock_defaults(KP_API_METADATA, &request);
    const kp_metadata_resp *response = mock_ask(link, KP_API_METADATA, 12, &request);
    return response->brokers.count;
}

static bool is_refused(mock_link *link)
{
    kp_metadata_req request;
    mock_defaults(KP_API_METADATA, &request);
    mock_send(link, KP_API_METADATA, 12, &request);
    return mock_is_closed(link) && !mock_answer(link);
}

/* ---- which requests ---- */

START_TEST(without_users_nobody_is_asked_who_he_is)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    ck_assert_int_eq(metadata(link), 1);
    const kp_sasl_handshake_resp *response = handshake(link, 1, "PLAIN");
    ck_assert_int_eq(response->error_code, KC_E_ILLEGAL_SASL_STATE);
    ck_assert_int_eq(response->mechanisms.count, 0);
    const kp_sasl_authenticate_resp *authenticated = token(link, ALICE);
    ck_assert_int_eq(authenticated->error_code, KC_E_ILLEGAL_SASL_STATE);
    says(authenticated->error_message,
         "SaslAuthenticate request received after successful authentication");
    ck_assert(!mock_is_closed(link));
    mock_free(world);
}
END_TEST

START_TEST(a_request_before_authentication_ends_the_connection)
{
    mock_world *world = secure(0);
    ck_assert(is_refused(mock_link_new(world, 1)));
    mock_link *link = mock_link_new(world, 1);
    kp_sasl_authenticate_req request;
    mock_defaults(KP_API_SASL_AUTHENTICATE, &request);
    request.auth_bytes = ALICE;
    mock_send(link, KP_API_SASL_AUTHENTICATE, 2, &request);
    ck_assert(mock_is_closed(link));
    mock_free(world);
}
END_TEST

START_TEST(api_versions_may_be_asked_once_before)
{
    mock_world *world = secure(0);
    mock_link *link = mock_link_new(world, 1);
    kp_api_versions_req request;
    mock_defaults(KP_API_API_VERSIONS, &request);
    request.client_software_name = KC_STR("test");
    request.client_software_version = KC_STR("1");
    const uint8_t unknown[] = {0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0};
    mock_send_bytes(link, kc_span(unknown, sizeof unknown));
    ck_assert(!mock_is_closed(link));
    km_conn_sent(mock_conn(link), km_conn_output(mock_conn(link)).len);
    const kp_api_versions_resp *response = mock_ask(link, KP_API_API_VERSIONS, 4, &request);
    ck_assert_int_eq(response->error_code, 0);
    log_in(link);
    ck_assert_int_eq(metadata(link), 1);
    link = mock_link_new(world, 1);
    mock_ask(link, KP_API_API_VERSIONS, 4, &request);
    mock_send(link, KP_API_API_VERSIONS, 4, &request);
    ck_assert(mock_is_closed(link));
    mock_free(world);
}
END_TEST

START_TEST(an_unknown_mechanism_is_answered_with_those_that_are_and_is_the_end)
{
    mock_world *world = secure(0);
    world->cluster->auth->mechanisms = 1u << KM_PLAIN | 1u << KM_SCRAM_SHA_512;
    mock_link *link = mock_link_new(world, 1);
    const kp_sasl_handshake_resp *response = handshake(link, 1, "SCRAM-SHA-256");
    ck_assert_int_eq(response->error_code, KC_E_UNSUPPORTED_SASL_MECHANISM);
    ck_assert_int_eq(response->mechanisms.count, 2);
    says(response->mechanisms.items[0], "PLAIN");
    says(response->mechanisms.items[1], "SCRAM-SHA-512");
    ck_assert(mock_is_closed(link));
    mock_free(world);
}
END_TEST

START_TEST(another_request_in_the_middle_is_told_and_is_the_end)
{
    mock_world *world = secure(0);
    mock_link *link = mock_link_new(world, 1);
    handshake(link, 1, "PLAIN");
    kp_create_topics_req request;
    kp_create_topics_req_topic topic = {
        .name = KC_STR("t"), .num_partitions = 1, .replication_factor = 1};
    mock_defaults(KP_API_CREATE_TOPICS, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_create_topics_resp *response = mock_ask(link, KP_API_CREATE_TOPICS, 7, &request);
    ck_assert_int_eq(response->topics.items[0].error_code, KC_E_ILLEGAL_SASL_STATE);
    ck_assert(mock_is_closed(link));
    ck_assert_uint_eq(world->cluster->topics.count, 0);
    mock_free(world);
}
END_TEST

/* ---- PLAIN ---- */

START_TEST(plain_lets_in_who_knows_the_password_and_nobody_else)
{
    static const struct {
        const char *token;
        size_t len;
        const char *why;
    } cases[] = {
        {"\0alice\0secret", 13, NULL},
        {"alice\0alice\0secret", 18, NULL},
        {"\0alice\0secrex", 13, "Authentication failed: Invalid username or password"},
        {"\0carol\0secret", 13, "Authentication failed: Invalid username or password"},
        {"bob\0alice\0secret", 16,
         "Authentication failed: Client requested an authorization id that is different from "
         "username"},
        {"\0\0secret", 8, "Authentication failed: username not specified"},
        {"\0alice\0", 7, "Authentication failed: password not specified"},
        {"alice", 5, "Invalid SASL/PLAIN response: expected 3 tokens, got 1"},
        {"", 0, "Invalid SASL/PLAIN response: expected 3 tokens, got 1"},
        {"\0a\0b\0c\0d", 8, "Invalid SASL/PLAIN response: expected 3 tokens, got 4"},
    };
    mock_world *world = secure(0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mock_link *link = mock_link_new(world, 1);
        handshake(link, 1, "PLAIN");
        const kp_sasl_authenticate_resp *response =
            token(link, kc_span(cases[i].token, cases[i].len));
        ck_assert_int_eq(response->error_code, cases[i].why ? KC_E_SASL_AUTHENTICATION_FAILED : 0);
        ck_assert_int_eq(response->session_lifetime_ms, 0);
        if (cases[i].why)
            says(response->error_message, cases[i].why);
        ck_assert(mock_is_closed(link) == (cases[i].why != NULL));
        if (!cases[i].why)
            ck_assert_int_eq(metadata(link), 1);
    }
    mock_free(world);
}
END_TEST

static void on_log(kc_log_level level, const char *line, void *user)
{
    (void)level;
    snprintf(user, 200, "%s", line);
}

START_TEST(who_is_refused_is_logged_with_his_name_and_without_his_secret)
{
    char said[200] = "";
    mock_world *world = secure(0);
    world->cluster->log = (kb_log){.fn = on_log, .user = said, .level = KC_LOG_INFO};
    mock_link *link = mock_link_new(world, 1);
    handshake(link, 1, "PLAIN");
    token(link, KC_STR("\0alice\0secrex"));
    ck_assert_str_eq(said, "broker 1: a client refused: SASL PLAIN, user \"alice\": Authentication "
                           "failed: Invalid username or password");
    link = mock_link_new(world, 1);
    handshake(link, 1, "SCRAM-SHA-256");
    token(link, KC_STR("n,,n=carol,r=nonce"));
    ck_assert_str_eq(said,
                     "broker 1: a client refused: SASL SCRAM-SHA-256, user \"carol\": "
                     "Authentication failed during authentication due to invalid credentials with "
                     "SASL mechanism SCRAM-SHA-256");
    link = mock_link_new(world, 1);
    handshake(link, 1, "GSSAPI");
    ck_assert_str_eq(said, "broker 1: a client refused: SASL mechanism \"GSSAPI\" is not served");
    *said = 0;
    log_in(mock_link_new(world, 1));
    ck_assert_str_eq(said, "");
    mock_free(world);
}
END_TEST

START_TEST(after_the_old_handshake_tokens_come_bare)
{
    static const uint8_t good[] = "\0\0\0\x0d\0alice\0secret", bad[] = "\0\0\0\x0d\0alice\0secrex";
    mock_world *world = secure(0);
    mock_link *link = mock_link_new(world, 1);
    ck_assert_int_eq(handshake(link, 0, "PLAIN")->error_code, 0);
    mock_send_bytes(link, kc_span(good, sizeof good - 1));
    kc_bytes out = km_conn_output(mock_conn(link));
    ck_assert_uint_eq(out.len, 4);
    ck_assert_uint_eq(kp_load32(out.ptr), 0);
    km_conn_sent(mock_conn(link), 4);
    ck_assert_int_eq(metadata(link), 1);
    link = mock_link_new(world, 1);
    handshake(link, 0, "PLAIN");
    mock_send_bytes(link, kc_span(bad, sizeof bad - 1));
    ck_assert(mock_is_closed(link));
    ck_assert_uint_eq(km_conn_output(mock_conn(link)).len, 0);
    mock_free(world);
}
END_TEST

/* ---- SCRAM ---- */

START_TEST(scram_refuses_what_is_malformed_without_a_crash)
{
    static const char *const firsts[] = {
        "",
        "n",
        "n,,",
        "n,,n=alice",
        "n,,r=x",
        "y,,n=alice,r=x",
        "n,,n=,r=x",
        "n,,n=alice,r=",
        "n,x,n=alice,r=x",
        "n,,n=al=ice,r=x",
        "n,,n=alice,r=a b",
        "n,,n=carol,r=x",
        "n,,n=alice,r=x,tokenauth=true",
        "p=tls-unique,,n=alice,r=x",
    };
    static const char *const finals[] = {
        "", "c=biws", "c=biws,r=x", "c=biws,r=x,p=AAAA", "p=AAAA", "c=biws,r=,p=", "c=biws,r=x,p=!",
    };
    mock_world *world = secure(0);
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        mock_link *link = mock_link_new(world, 1);
        handshake(link, 1, "SCRAM-SHA-256");
        const kp_sasl_authenticate_resp *response = token(link, kc_str(firsts[i]));
        ck_assert_int_eq(response->error_code, KC_E_SASL_AUTHENTICATION_FAILED);
        says(response->error_message,
             "Authentication failed during authentication due to invalid credentials with SASL "
             "mechanism SCRAM-SHA-256");
        ck_assert(mock_is_closed(link));
    }
    for (size_t i = 0; i < sizeof finals / sizeof finals[0]; i++) {
        mock_link *link = mock_link_new(world, 1);
        handshake(link, 1, "SCRAM-SHA-256");
        ck_assert_int_eq(token(link, KC_STR("n,,n=alice,r=x"))->error_code, 0);
        ck_assert_int_eq(token(link, kc_str(finals[i]))->error_code,
                         KC_E_SASL_AUTHENTICATION_FAILED);
        ck_assert(mock_is_closed(link));
    }
    mock_free(world);
}
END_TEST

START_TEST(scram_s_first_message_has_the_client_s_nonce_and_kafka_s_iterations)
{
    mock_world *world = secure(0);
    mock_link *link = mock_link_new(world, 1);
    handshake(link, 1, "SCRAM-SHA-512");
    kc_bytes first =
        token(link, KC_STR("n,a=alice,n=alice,r=fyko+d2lbbFgONRv9qkxdawL"))->auth_bytes;
    ck_assert(first.len > 40);
    ck_assert_mem_eq(first.ptr, "r=fyko+d2lbbFgONRv9qkxdawL", 26);
    ck_assert_mem_eq(first.ptr + first.len - 7, ",i=4096", 7);
    mock_free(world);
}
END_TEST

/** The client's last message for "alice", by RFC 5802; `said` is the nonce it names. */
static kc_bytes final_message(kb_buf *out, kc_bytes server_first, kc_bytes said,
                              const char *password)
{
    const km_mechanism mechanism = KM_SCRAM_SHA_256;
    uint8_t salted[32], client[32], stored[32], signature[32];
    kc_bytes rest = server_first, nonce, salt_text;
    kb_mem mem;
    kb_buf salt, text;
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&salt, &mem, 0);
    kb_buf_init(&text, &mem, 0);
    ck_assert(kb_text_split(&rest, ',', &nonce) && kb_text_split(&rest, ',', &salt_text));
    ck_assert(kb_base64_get(&salt, kc_span(salt_text.ptr + 2, salt_text.len - 2)));
    ck_assert_int_eq(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt.data, (int)salt.len,
                                       4096, EVP_sha256(), 32, salted),
                     1);
    ck_assert(km_scram_hmac(mechanism, kc_span(salted, 32), KC_STR("Client Key"), client));
    ck_assert_int_eq(EVP_Digest(client, 32, stored, NULL, EVP_sha256(), NULL), 1);
    kb_buf_reset(out);
    kb_buf_put_bytes(out, KC_STR("c=biws,"));
    kb_buf_put_bytes(out, said.ptr ? said : nonce);
    kb_buf_put_bytes(&text, KC_STR("n=alice,r=x,"));
    kb_buf_put_bytes(&text, server_first);
    kb_buf_put_byte(&text, ',');
    kb_buf_put_bytes(&text, kb_buf_bytes(out));
    ck_assert(km_scram_hmac(mechanism, kc_span(stored, 32), kb_buf_bytes(&text), signature));
    for (int i = 0; i < 32; i++)
        client[i] ^= signature[i];
    kb_buf_put_bytes(out, KC_STR(",p="));
    kb_base64_put(out, kc_span(client, 32));
    kb_buf_cleanup(&salt);
    kb_buf_cleanup(&text);
    return kb_buf_bytes(out);
}

START_TEST(scram_lets_in_by_a_proof_for_this_exchange_only)
{
    static const struct {
        const char *password, *said;
        bool is_good;
    } cases[] = {{"secret", NULL, true},
                 {"secrex", NULL, false},
                 {"secret", "r=x", false},
                 {"secret", "r=xyz", false}};
    mock_world *world = secure(0);
    kb_buf out;
    kb_buf_init(&out, &world->mem, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mock_link *link = mock_link_new(world, 1);
        handshake(link, 1, "SCRAM-SHA-256");
        kc_bytes first = token(link, KC_STR("n,,n=alice,r=x"))->auth_bytes;
        const kp_sasl_authenticate_resp *response =
            token(link, final_message(&out, first, kc_str(cases[i].said), cases[i].password));
        ck_assert_msg((response->error_code == 0) == cases[i].is_good, "%zu", i);
        ck_assert(mock_is_closed(link) != cases[i].is_good);
        if (cases[i].is_good)
            ck_assert_mem_eq(response->auth_bytes.ptr, "v=", 2);
    }
    kb_buf_cleanup(&out);
    mock_free(world);
}
END_TEST

/** With so much memory, the request itself aside. */
static void send_in(mock_world *world, mock_link *link, const kp_sasl_authenticate_req *request,
                    size_t room)
{
    const kp_api *api = kp_api_by_key(KP_API_SASL_AUTHENTICATE);
    kb_mem other;
    kb_buf frame;
    kb_mem_init(&other, NULL, 0);
    kb_buf_init(&frame, &other, 0);
    ck_assert_int_eq(kp_frame_request(api, 2, 7, KC_STR("test"), request, &frame, NULL, NULL),
                     KC_OK);
    world->mem.limit = world->mem.used + room;
    mock_send_bytes(link, kb_buf_bytes(&frame));
    world->mem.limit = SIZE_MAX;
    kb_buf_cleanup(&frame);
}

START_TEST(a_connection_without_memory_for_its_sasl_is_closed)
{
    mock_world *world = mock_new(1);
    kp_sasl_authenticate_req request;
    mock_defaults(KP_API_SASL_AUTHENTICATE, &request);
    ck_assert_int_eq(km_auth_add_user(world->cluster, "u", "p"), KC_OK);
    world->cluster->auth->is_required = true;
    for (size_t room = 0; room < 4000; room += 16) {
        mock_link *link = mock_link_new(world, 1);
        send_in(world, link, &request, room);
        mock_link_free(link);
    }
    mock_free(world);
}
END_TEST

/* ---- OAUTHBEARER ---- */

/** An unsecured token: its claims as JSON. */
static kc_bytes bearer(kb_buf *out, const char *header, const char *claims)
{
    kb_buf_reset(out);
    kb_buf_put_bytes(out, KC_STR("n,,\x01"
                                 "auth=Bearer "));
    kb_base64url_put(out, kc_str(header));
    kb_buf_put_byte(out, '.');
    kb_base64url_put(out, kc_str(claims));
    kb_buf_put_bytes(out, KC_STR(".\x01\x01"));
    return kb_buf_bytes(out);
}

START_TEST(an_unsecured_token_is_taken_while_it_lives)
{
    static const struct {
        const char *header, *claims;
        int64_t lifetime_ms; /* 0: refused */
    } cases[] = {
        {"{\"alg\":\"none\"}", "{\"sub\":\"alice\",\"exp\":1700000060}", 60000},
        {"{\"alg\":\"none\"}", "{\"sub\":\"a\",\"iat\":1699999999.5,\"exp\":1700000001}", 1000},
        {"{\"alg\":\"none\"}", "{\"sub\":\"alice\",\"exp\":1700000000}", 0},
        {"{\"alg\":\"none\"}", "{\"sub\":\"alice\"}", 0},
        {"{\"alg\":\"none\"}", "{\"sub\":\" \",\"exp\":1700000060}", 0},
        {"{\"alg\":\"none\"}", "{\"sub\":7,\"exp\":1700000060}", 0},
        {"{\"alg\":\"none\"}", "{\"exp\":1700000060}", 0},
        {"{\"alg\":\"none\"}", "{\"sub\":\"alice\",\"exp\":\"1700000060\"}", 0},
        {"{\"alg\":\"none\"}", "{\"sub\":\"alice\",\"iat\":1700000001,\"exp\":1700000060}", 0},
        {"{\"alg\":\"RS256\"}", "{\"sub\":\"alice\",\"exp\":1700000060}", 0},
        {"{\"alg\":\"none\"", "{\"sub\":\"alice\",\"exp\":1700000060}", 0},
        {"{}", "{\"sub\":\"alice\",\"exp\":1700000060}", 0},
        {"", "", 0},
    };
    mock_world *world = secure(0);
    kb_buf text;
    kb_buf_init(&text, &world->mem, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mock_link *link = mock_link_new(world, 1);
        handshake(link, 1, "OAUTHBEARER");
        const kp_sasl_authenticate_resp *response =
            token(link, bearer(&text, cases[i].header, cases[i].claims));
        ck_assert_int_eq(response->error_code, 0);
        ck_assert_msg(response->session_lifetime_ms == cases[i].lifetime_ms, "%zu: %lld", i,
                      (long long)response->session_lifetime_ms);
        says(response->auth_bytes, cases[i].lifetime_ms ? "" : "{\"status\":\"invalid_token\"}");
        if (cases[i].lifetime_ms)
            continue;
        response = token(link, KC_STR("\x01"));
        ck_assert_int_eq(response->error_code, KC_E_SASL_AUTHENTICATION_FAILED);
        says(response->error_message, "{\"status\":\"invalid_token\"}");
        ck_assert(mock_is_closed(link));
    }
    kb_buf_cleanup(&text);
    mock_free(world);
}
END_TEST

START_TEST(what_is_no_bearer_message_is_refused)
{
    static const char *const cases[] = {
        "",
        "n,,",
        "n,,\x01",
        "n,,\x01\x01",
        "n,,\x01"
        "auth=Basic x\x01\x01",
        "n,,\x01"
        "auth=Bearer \x01\x01",
        "n,,\x01"
        "host=x\x01\x01",
        "\x01",
    };
    mock_world *world = secure(0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mock_link *link = mock_link_new(world, 1);
        handshake(link, 1, "OAUTHBEARER");
        ck_assert_int_eq(token(link, kc_str(cases[i]))->error_code,
                         KC_E_SASL_AUTHENTICATION_FAILED);
        ck_assert(mock_is_closed(link));
    }
    mock_free(world);
}
END_TEST

START_TEST(without_memory_nobody_is_let_in)
{
    static const struct {
        const char *mechanism;
        kc_bytes token;
    } cases[] = {
        {"PLAIN", {(const uint8_t *)"\0alice\0secret", 13}},
        {"SCRAM-SHA-256", {(const uint8_t *)"n,,n=alice,r=x", 14}},
        {"OAUTHBEARER",
         {(const uint8_t *)"n,,\x01"
                           "auth=Bearer e30.e30.\x01\x01",
          26}},
    };
    mock_world *world = secure(1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_answered = false;
        for (size_t room = 0; !is_answered; room += 16) {
            mock_link *link = mock_link_new(world, 1);
            kp_sasl_authenticate_req request;
            handshake(link, 1, cases[i].mechanism);
            mock_defaults(KP_API_SASL_AUTHENTICATE, &request);
            request.auth_bytes = cases[i].token;
            send_in(world, link, &request, room);
            is_answered = km_conn_output(mock_conn(link)).len > 0;
            ck_assert(is_answered != mock_is_closed(link));
            mock_link_free(link);
        }
    }
    mock_free(world);
}
END_TEST

/* ---- sessions (KIP-368) ---- */

START_TEST(a_session_that_ended_closes_the_connection_at_the_next_request)
{
    mock_world *world = secure(2000);
    mock_link *link = mock_link_new(world, 1);
    handshake(link, 1, "PLAIN");
    ck_assert_int_eq(token(link, ALICE)->session_lifetime_ms, 2000);
    mock_run(world, 1999);
    ck_assert_int_eq(metadata(link), 1);
    mock_run(world, 2);
    ck_assert(is_refused(link));
    mock_free(world);
}
END_TEST

START_TEST(who_authenticates_again_goes_on)
{
    mock_world *world = secure(2000);
    mock_link *link = mock_link_new(world, 1);
    log_in(link);
    mock_run(world, 1500);
    log_in(link);
    mock_run(world, 1500);
    ck_assert_int_eq(metadata(link), 1);
    mock_run(world, 1000); /* over, but a handshake may still come */
    log_in(link);
    ck_assert_int_eq(metadata(link), 1);
    ck_assert_int_eq(handshake(link, 1, "PLAIN")->error_code, KC_E_ILLEGAL_SASL_STATE);
    ck_assert(!mock_is_closed(link));
    mock_free(world);
}
END_TEST

START_TEST(nobody_becomes_another_or_changes_the_mechanism)
{
    mock_world *world = secure(2000);
    mock_link *link = mock_link_new(world, 1);
    log_in(link);
    ck_assert_int_eq(handshake(link, 1, "PLAIN")->error_code, 0);
    const kp_sasl_authenticate_resp *response = token(link, BOB);
    ck_assert_int_eq(response->error_code, KC_E_SASL_AUTHENTICATION_FAILED);
    says(response->error_message,
         "Cannot change principals during re-authentication from User.alice: User.bob");
    ck_assert(mock_is_closed(link));
    link = mock_link_new(world, 1);
    log_in(link);
    ck_assert_int_eq(handshake(link, 1, "SCRAM-SHA-256")->error_code, 0);
    kp_sasl_authenticate_req request;
    mock_defaults(KP_API_SASL_AUTHENTICATE, &request);
    mock_send(link, KP_API_SASL_AUTHENTICATE, 2, &request);
    ck_assert(mock_is_closed(link));
    ck_assert_ptr_null(mock_answer(link));
    mock_free(world);
}
END_TEST

/* ---- the project's own client ---- */

typedef struct duo {
    kb_mem mem;
    kb_rand rand;
    kn_loop *loop;
    kn_mem_network *network;
    km_cluster *cluster;
    km_mem_server *server;
    kc_client *client;
    bool is_done;
    kc_error answer;
    int asks; /**< for a token */
    int64_t token_life_ms;
} duo;

static void on_token(kc_client *client, void *user)
{
    duo *d = user;
    char claims[96];
    int64_t expires_ms = kc_client_wall_ms(client) + d->token_life_ms;
    snprintf(claims, sizeof claims, "{\"sub\":\"alice\",\"exp\":%lld.%03d}",
             (long long)expires_ms / 1000, (int)(expires_ms % 1000));
    kb_buf text;
    kb_buf_init(&text, &d->mem, 0);
    kb_base64url_put(&text, KC_STR("{\"alg\":\"none\"}"));
    kb_buf_put_byte(&text, '.');
    kb_base64url_put(&text, kc_str(claims));
    kb_buf_put_byte(&text, '.');
    kc_token made = {.size = sizeof made, .value = kb_buf_bytes(&text), .expires_ms = expires_ms};
    d->asks++;
    ck_assert_int_eq(kc_client_set_token(client, &made, NULL), KC_OK);
    kb_buf_cleanup(&text);
}

static void begin(duo *d, const char *mechanism, const char *password, int64_t session_ms)
{
    km_options options;
    memset(d, 0, sizeof *d);
    d->token_life_ms = 60000;
    kb_mem_init(&d->mem, NULL, 0);
    kb_rand_init(&d->rand, 1);
    ck_assert_int_eq(kn_loop_new_virtual(&d->mem, 1000000, INT64_C(1700000000000), &d->loop),
                     KC_OK);
    ck_assert_int_eq(kn_mem_network_new(&d->mem, d->loop, &d->rand, &d->network), KC_OK);
    kn_mem_network_shape(d->network)->latency_us = 100;
    km_options_init(&options);
    ck_assert_int_eq(
        km_cluster_new(&d->mem, &options, 1000000, INT64_C(1700000000000), &d->cluster), KC_OK);
    ck_assert_int_eq(km_auth_add_user(d->cluster, "alice", "se=cr,et"), KC_OK);
    d->cluster->auth->is_required = true;
    d->cluster->auth->session_ms = session_ms;
    ck_assert_int_eq(km_mem_server_new(d->loop, d->network, d->cluster, &d->server), KC_OK);
    kc_config *config = kc_config_new();
    kc_error err = {.code = KC_OK};
    const char *properties[][2] = {{"bootstrap.servers", "b1:9092"},
                                   {"security.protocol", "SASL_PLAINTEXT"},
                                   {"sasl.mechanism", mechanism},
                                   {password ? "sasl.username" : NULL, "alice"},
                                   {password ? "sasl.password" : NULL, password}};
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++)
        if (properties[i][0])
            ck_assert_msg(kc_config_set(config, properties[i][0], properties[i][1], &err) == KC_OK,
                          "%s", err.text);
    kc_client_options client_options = {.size = sizeof client_options,
                                        .seed = 7,
                                        .token_fn = password ? NULL : on_token,
                                        .token_user = d};
    ck_assert_msg(kc_client_new_on(config, &client_options, d->loop,
                                   kn_mem_network_base(d->network), &d->client, &err) == KC_OK,
                  "%s", err.text);
    kc_config_free(config);
}

static void run(duo *d, int64_t ms)
{
    int64_t until_us = kn_loop_now_us(d->loop) + ms * 1000;
    while (!d->is_done && kn_loop_advance(d->loop, until_us))
        ;
}

static void end(duo *d)
{
    kc_client_free(d->client);
    d->is_done = false;
    run(d, 1000);
    km_mem_server_free(d->server);
    km_cluster_free(d->cluster);
    kn_network_free(kn_mem_network_base(d->network));
    kn_loop_free(d->loop);
    ck_assert_uint_eq(d->mem.used, 0);
}

static void on_response(const kc_response *response, void *user)
{
    duo *d = user;
    d->is_done = true;
    if (response->error)
        d->answer = *response->error;
    else
        d->answer.code = KC_OK;
}

static kc_err call(duo *d)
{
    kp_metadata_req request = {.topics.count = -1};
    d->is_done = false;
    ck_assert_int_eq(kc_call(d->client, KP_API_METADATA, &request, NULL, on_response, d, NULL),
                     KC_OK);
    run(d, 120000);
    ck_assert(d->is_done);
    return d->answer.code;
}

/** How often connections were made and anything was asked: none is made again while sessions are renewed. */
static void check_renewals(duo *d)
{
    ck_assert_int_eq(call(d), KC_OK);
    uint32_t connects = kn_mem_network_connects(d->network);
    for (int i = 0; i < 20; i++) {
        d->is_done = false;
        run(d, 700);
        ck_assert_int_eq(call(d), KC_OK);
    }
    ck_assert_uint_eq(kn_mem_network_connects(d->network), connects);
}

START_TEST(the_client_is_let_in_by_each_mechanism)
{
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512",
                                             "OAUTHBEARER"};
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++) {
        duo d;
        begin(&d, mechanisms[i], i == 3 ? NULL : "se=cr,et", 0);
        ck_assert_msg(call(&d) == KC_OK, "%s: %s", mechanisms[i], d.answer.text);
        end(&d);
    }
}
END_TEST

START_TEST(the_client_with_a_wrong_password_is_told)
{
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++) {
        duo d;
        begin(&d, mechanisms[i], "wrong", 0);
        ck_assert_int_eq(call(&d), KC_ERR_AUTH);
        ck_assert_ptr_nonnull(strstr(d.answer.text, "uthentication failed"));
        end(&d);
    }
}
END_TEST

START_TEST(the_client_is_told_which_mechanisms_there_are)
{
    duo d;
    begin(&d, "OAUTHBEARER", NULL, 0);
    d.cluster->auth->mechanisms = 1u << KM_PLAIN;
    ck_assert_int_ne(call(&d), KC_OK);
    ck_assert_ptr_nonnull(strstr(d.answer.text, "PLAIN"));
    end(&d);
}
END_TEST

START_TEST(the_client_renews_its_session_on_the_same_connection)
{
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256"};
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++) {
        duo d;
        begin(&d, mechanisms[i], "se=cr,et", 3000);
        check_renewals(&d);
        end(&d);
    }
}
END_TEST

START_TEST(the_client_renews_its_session_before_the_token_is_over)
{
    duo d;
    begin(&d, "OAUTHBEARER", NULL, 0);
    d.token_life_ms = 5000;
    check_renewals(&d);
    ck_assert_int_gt(d.asks, 2);
    end(&d);
}
END_TEST
