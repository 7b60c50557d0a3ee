/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * SCRAM credentials described and altered; codes and sentences are those of Kafka 4.3.1. */
#include "mock/auth.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>

static void says(kc_bytes text, const char *expected)
{
    ck_assert_msg(kc_bytes_equal(text, kc_str(expected)), "'%.*s', not '%s'", (int)text.len,
                  text.ptr ? (const char *)text.ptr : "(null)", expected ? expected : "(null)");
}

typedef kp_alter_user_scram_credentials_req_upsertion upsertion;
typedef kp_alter_user_scram_credentials_req_deletion deletion;

static const kp_alter_user_scram_credentials_resp *alter(mock_link *link, deletion *deletions,
                                                         int32_t deletion_count,
                                                         upsertion *upsertions,
                                                         int32_t upsertion_count)
{
    kp_alter_user_scram_credentials_req request;
    mock_defaults(KP_API_ALTER_USER_SCRAM_CREDENTIALS, &request);
    request.deletions.items = deletions;
    request.deletions.count = deletion_count;
    request.upsertions.items = upsertions;
    request.upsertions.count = upsertion_count;
    return mock_ask(link, KP_API_ALTER_USER_SCRAM_CREDENTIALS, 0, &request);
}

static upsertion made(const char *name, int8_t mechanism, int32_t iterations)
{
    return (upsertion){.name = kc_str(name),
                       .mechanism = mechanism,
                       .iterations = iterations,
                       .salt = KC_STR("123"),
                       .salted_password = KC_STR("123")};
}

static void result_is(const kp_alter_user_scram_credentials_resp *response, const char *name,
                      int16_t code, const char *why)
{
    for (int32_t i = 0; i < response->results.count; i++) {
        if (!kc_bytes_equal(response->results.items[i].user, kc_str(name)))
            continue;
        ck_assert_int_eq(response->results.items[i].error_code, code);
        says(response->results.items[i].error_message, why);
        return;
    }
    ck_abort_msg("no result of %s", name);
}

START_TEST(credentials_that_kafka_does_not_take_are_refused)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    upsertion bad[] = {made("few", 1, 4095), made("", 2, 8192), made("x", 0, 8192),
                       made("many", 1, 99999), made("z", 1, 5000)};
    bad[4].salted_password = KC_STR("");
    const kp_alter_user_scram_credentials_resp *response = alter(link, NULL, 0, bad, 5);
    ck_assert_int_eq(response->results.count, 5);
    result_is(response, "few", KC_E_UNACCEPTABLE_CREDENTIAL, "Too few iterations");
    result_is(response, "", KC_E_UNACCEPTABLE_CREDENTIAL, "Username must not be empty");
    result_is(response, "x", KC_E_UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism");
    result_is(response, "many", KC_E_UNACCEPTABLE_CREDENTIAL, "Too many iterations");
    result_is(response, "z", KC_E_UNKNOWN_SERVER_ERROR, NULL);
    ck_assert_ptr_null(world->cluster->auth);
    mock_free(world);
}
END_TEST

START_TEST(a_user_is_altered_once_in_a_request)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    upsertion good[] = {made("su", 1, 4096), made("sv", 2, 8192)};
    const kp_alter_user_scram_credentials_resp *response = alter(link, NULL, 0, good, 2);
    result_is(response, "su", 0, NULL);
    result_is(response, "sv", 0, NULL);
    deletion gone[] = {{.name = KC_STR("su"), .mechanism = 1},
                       {.name = KC_STR("nope"), .mechanism = 1},
                       {.name = KC_STR("q"), .mechanism = 9}};
    response = alter(link, gone, 3, good, 1);
    ck_assert_int_eq(response->results.count, 3);
    result_is(response, "su", KC_E_DUPLICATE_RESOURCE,
              "A user credential cannot be altered twice in the same request");
    result_is(response, "nope", KC_E_RESOURCE_NOT_FOUND,
              "Attempt to delete a user credential that does not exist");
    result_is(response, "q", KC_E_UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism");
    ck_assert_ptr_nonnull(km_auth_user(world->cluster->auth, KC_STR("su")));
    response = alter(link, gone, 1, NULL, 0);
    result_is(response, "su", 0, NULL);
    ck_assert_ptr_null(km_auth_user(world->cluster->auth, KC_STR("su")));
    mock_free(world);
}
END_TEST

START_TEST(credentials_are_told_without_their_secrets)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    kp_describe_user_scram_credentials_req request;
    mock_defaults(KP_API_DESCRIBE_USER_SCRAM_CREDENTIALS, &request);
    request.users.count = -1;
    const kp_describe_user_scram_credentials_resp *response =
        mock_ask(link, KP_API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, &request);
    ck_assert_int_eq(response->results.count, 0);
    upsertion good[] = {made("su", 1, 4096), made("sv", 2, 8192)};
    alter(link, NULL, 0, good, 2);
    good[0] = made("su", 2, 5000);
    alter(link, NULL, 0, good, 1);
    response = mock_ask(link, KP_API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, &request);
    ck_assert_int_eq(response->results.count, 2);
    ck_assert_int_eq(response->results.items[0].credential_infos.count, 2);
    ck_assert_int_eq(response->results.items[0].credential_infos.items[1].mechanism, 2);
    ck_assert_int_eq(response->results.items[0].credential_infos.items[1].iterations, 5000);
    kp_describe_user_scram_credentials_req_user users[] = {{.name = KC_STR("su")},
                                                           {.name = KC_STR("nope")},
                                                           {.name = KC_STR("sv")},
                                                           {.name = KC_STR("sv")}};
    request.users.items = users;
    request.users.count = 4;
    response = mock_ask(link, KP_API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, &request);
    ck_assert_int_eq(response->results.count, 3);
    ck_assert_int_eq(response->results.items[0].error_code, 0);
    ck_assert_int_eq(response->results.items[1].error_code, KC_E_RESOURCE_NOT_FOUND);
    says(response->results.items[1].error_message,
         "Attempt to describe a user credential that does not exist: nope");
    ck_assert_int_eq(response->results.items[2].error_code, KC_E_DUPLICATE_RESOURCE);
    says(response->results.items[2].error_message,
         "Cannot describe SCRAM credentials for the same user twice in a single request: sv");
    mock_free(world);
}
END_TEST

START_TEST(a_user_who_was_altered_is_let_in_by_what_was_altered)
{
    /* RFC 7677, section 3: user "user", password "pencil", salt W22ZaJ0SNY7soEsUEjb6gQ==, 4096 iterations. */
    static const uint8_t salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                   0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
    uint8_t salted[32], server_key[64];
    ck_assert_int_eq(
        PKCS5_PBKDF2_HMAC("pencil", 6, salt, sizeof salt, 4096, EVP_sha256(), 32, salted), 1);
    mock_world *world = mock_new(1);
    upsertion user = made("user", 1, 4096);
    user.salt = kc_span(salt, sizeof salt);
    user.salted_password = kc_span(salted, sizeof salted);
    result_is(alter(mock_link_new(world, 1), NULL, 0, &user, 1), "user", 0, NULL);
    km_scram *scram =
        km_user_scram(km_auth_user(world->cluster->auth, KC_STR("user")), KM_SCRAM_SHA_256);
    ck_assert_ptr_nonnull(scram);
    ck_assert(km_scram_hmac(KM_SCRAM_SHA_256, kc_span(scram->server_key, 32),
                            KC_STR("n=user,r=rOprNGfwEbeRWgbNEkqO,"
                                   "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                   "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
                                   "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"),
                            server_key));
    /* v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4= */
    static const uint8_t expected[] = {0xea, 0xba, 0xe2, 0x4d, 0x10, 0x62, 0xdb, 0x75};
    ck_assert_mem_eq(server_key, expected, sizeof expected);
    mock_free(world);
}
END_TEST
