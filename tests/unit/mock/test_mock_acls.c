/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * ACLs made, found and deleted; codes, sentences and what a filter has are those of Kafka 4.3.1. */
#include "tests/unit/mock/mock_world.h"

#include <check.h>

#define TOPIC   2
#define LITERAL 3

static void says(kc_bytes text, const char *expected)
{
    ck_assert_msg(kc_bytes_equal(text, kc_str(expected)), "'%.*s', not '%s'", (int)text.len,
                  text.ptr ? (const char *)text.ptr : "(null)", expected ? expected : "(null)");
}

static kp_create_acls_req_creation acl(int8_t type, const char *name, int8_t pattern,
                                       const char *principal, const char *host, int8_t operation,
                                       int8_t permission)
{
    return (kp_create_acls_req_creation){.resource_type = type,
                                         .resource_name = kc_str(name),
                                         .resource_pattern_type = pattern,
                                         .principal = kc_str(principal),
                                         .host = kc_str(host),
                                         .operation = operation,
                                         .permission_type = permission};
}

static const kp_create_acls_resp_result *create(mock_link *link, kp_create_acls_req_creation one)
{
    kp_create_acls_req request;
    mock_defaults(KP_API_CREATE_ACLS, &request);
    request.creations.items = &one;
    request.creations.count = 1;
    const kp_create_acls_resp *response = mock_ask(link, KP_API_CREATE_ACLS, 3, &request);
    ck_assert_int_eq(response->results.count, 1);
    return &response->results.items[0];
}

static kp_describe_acls_req filter(int8_t type, const char *name, int8_t pattern)
{
    kp_describe_acls_req request;
    mock_defaults(KP_API_DESCRIBE_ACLS, &request);
    request.resource_type_filter = type;
    request.resource_name_filter = kc_str(name);
    request.pattern_type_filter = pattern;
    request.principal_filter = KC_NULL;
    request.host_filter = KC_NULL;
    request.operation = 1;
    request.permission_type = 1;
    return request;
}

static int describe(mock_link *link, kp_describe_acls_req request)
{
    const kp_describe_acls_resp *response = mock_ask(link, KP_API_DESCRIBE_ACLS, 3, &request);
    ck_assert_int_eq(response->error_code, 0);
    int count = 0;
    for (int32_t i = 0; i < response->resources.count; i++)
        count += response->resources.items[i].acls.count;
    return count;
}

/** Seven ACLs of six resources, as the real broker was asked with. */
static mock_link *fill(mock_world *world)
{
    mock_link *link = mock_link_new(world, 1);
    const kp_create_acls_req_creation acls[] = {
        acl(TOPIC, "t", LITERAL, "User:a", "*", 3, 3),
        acl(TOPIC, "t", LITERAL, "User:c", "", 5, 3),
        acl(TOPIC, "t", 4, "User:c", "*", 5, 3),
        acl(TOPIC, "pre", 4, "User:a", "*", 4, 3),
        acl(3, "g", LITERAL, "User:b", "h1", 3, 2),
        acl(4, "kafka-cluster", LITERAL, "User:c", "*", 5, 3),
        acl(TOPIC, "*", LITERAL, "User:d", "*", 2, 3),
    };
    for (size_t i = 0; i < sizeof acls / sizeof acls[0]; i++)
        ck_assert_int_eq(create(link, acls[i])->error_code, 0);
    return link;
}

START_TEST(an_acl_made_twice_is_one)
{
    mock_world *world = mock_new(1);
    mock_link *link = fill(world);
    ck_assert_int_eq(describe(link, filter(1, NULL, 1)), 7);
    ck_assert_int_eq(create(link, acl(TOPIC, "t", LITERAL, "User:a", "*", 3, 3))->error_code, 0);
    ck_assert_int_eq(describe(link, filter(1, NULL, 1)), 7);
    mock_free(world);
}
END_TEST

START_TEST(what_is_no_acl_is_refused_with_kafka_s_words)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    const struct {
        kp_create_acls_req_creation asked;
        int16_t code;
        const char *why;
    } cases[] = {
        {acl(4, "other", LITERAL, "User:c", "*", 5, 3), KC_E_INVALID_REQUEST,
         "The only valid name for the CLUSTER resource is kafka-cluster"},
        {acl(TOPIC, "", LITERAL, "User:c", "*", 5, 3), KC_E_INVALID_REQUEST,
         "Invalid empty resource name"},
        {acl(TOPIC, "t", LITERAL, "nocolon", "*", 5, 3), KC_E_INVALID_REQUEST,
         "Could not parse principal from `nocolon` (no colon is present separating the principal "
         "type from the principal name)"},
        {acl(TOPIC, "t", 1, "User:c", "*", 5, 3), KC_E_UNKNOWN_SERVER_ERROR, NULL},
        {acl(TOPIC, "t", LITERAL, "User:c", "*", 1, 3), KC_E_UNKNOWN_SERVER_ERROR, NULL},
        {acl(1, "t", LITERAL, "User:c", "*", 5, 3), KC_E_UNKNOWN_SERVER_ERROR, NULL},
        {acl(TOPIC, "t", LITERAL, "User:c", "*", 5, 1), KC_E_UNKNOWN_SERVER_ERROR, NULL},
        {acl(TOPIC, "t", LITERAL, "User:", "", 5, 3), 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const kp_create_acls_resp_result *result = create(link, cases[i].asked);
        ck_assert_int_eq(result->error_code, cases[i].code);
        says(result->error_message, cases[i].why);
    }
    mock_free(world);
}
END_TEST

START_TEST(numbers_kafka_does_not_know_close_the_connection)
{
    mock_world *world = mock_new(1);
    kp_create_acls_req request;
    kp_create_acls_req_creation one = acl(0, "t", LITERAL, "User:c", "*", 5, 3);
    mock_defaults(KP_API_CREATE_ACLS, &request);
    request.creations.items = &one;
    request.creations.count = 1;
    mock_link *link = mock_link_new(world, 1);
    mock_send(link, KP_API_CREATE_ACLS, 3, &request);
    ck_assert(mock_is_closed(link));
    for (int i = 0; i < 2; i++) {
        kp_describe_acls_req unknown = filter(1, NULL, 1);
        unknown.permission_type = i ? 99 : 0;
        link = mock_link_new(world, 1);
        mock_send(link, KP_API_DESCRIBE_ACLS, 3, &unknown);
        ck_assert(mock_is_closed(link));
    }
    mock_free(world);
}
END_TEST

START_TEST(a_filter_has_what_it_has_with_kafka)
{
    static const struct {
        int8_t type;
        const char *name;
        int8_t pattern;
        int count;
    } cases[] = {
        {1, NULL, 1, 7},
        {TOPIC, "t", LITERAL, 2},
        {TOPIC, "prefix-topic", 2, 2},
        {TOPIC, "prefix-topic", 1, 0},
        {TOPIC, "pre", 4, 1},
        {TOPIC, "t", 2, 4},
        {TOPIC, "*", 2, 1},
        {TOPIC, NULL, 2, 5},
        {1, NULL, LITERAL, 5},
        {TOPIC, "t", 1, 3},
    };
    mock_world *world = mock_new(1);
    mock_link *link = fill(world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int count = describe(link, filter(cases[i].type, cases[i].name, cases[i].pattern));
        ck_assert_msg(count == cases[i].count, "%zu: %d", i, count);
    }
    kp_describe_acls_req one = filter(1, NULL, 1);
    one.principal_filter = KC_STR("User:a");
    ck_assert_int_eq(describe(link, one), 2);
    one = filter(1, NULL, 1);
    one.host_filter = KC_STR("h1");
    ck_assert_int_eq(describe(link, one), 1);
    one = filter(1, NULL, 1);
    one.operation = 3;
    ck_assert_int_eq(describe(link, one), 2);
    one = filter(1, NULL, 1);
    one.permission_type = 2;
    ck_assert_int_eq(describe(link, one), 1);
    mock_free(world);
}
END_TEST

START_TEST(acls_are_told_resource_by_resource)
{
    mock_world *world = mock_new(1);
    mock_link *link = fill(world);
    kp_describe_acls_req request = filter(1, NULL, 1);
    const kp_describe_acls_resp *response = mock_ask(link, KP_API_DESCRIBE_ACLS, 1, &request);
    ck_assert_int_eq(response->resources.count, 6);
    says(response->resources.items[0].resource_name, "t");
    ck_assert_int_eq(response->resources.items[0].pattern_type, LITERAL);
    ck_assert_int_eq(response->resources.items[0].acls.count, 2);
    says(response->resources.items[0].acls.items[0].principal, "User:a");
    mock_free(world);
}
END_TEST

static kp_delete_acls_req_filter deletion(int8_t type, const char *name, int8_t pattern)
{
    return (kp_delete_acls_req_filter){.resource_type_filter = type,
                                       .resource_name_filter = kc_str(name),
                                       .pattern_type_filter = pattern,
                                       .operation = 1,
                                       .permission_type = 1};
}

START_TEST(filters_that_have_the_same_acl_both_tell_it_and_then_it_is_gone)
{
    mock_world *world = mock_new(1);
    mock_link *link = fill(world);
    kp_delete_acls_req request;
    kp_delete_acls_req_filter filters[] = {deletion(TOPIC, "t", 2), deletion(3, NULL, 1),
                                           deletion(TOPIC, "t", LITERAL),
                                           deletion(TOPIC, "none", LITERAL)};
    mock_defaults(KP_API_DELETE_ACLS, &request);
    request.filters.items = filters;
    request.filters.count = 4;
    const kp_delete_acls_resp *response = mock_ask(link, KP_API_DELETE_ACLS, 3, &request);
    ck_assert_int_eq(response->filter_results.items[0].matching_acls.count, 4);
    ck_assert_int_eq(response->filter_results.items[1].matching_acls.count, 1);
    says(response->filter_results.items[1].matching_acls.items[0].host, "h1");
    ck_assert_int_eq(response->filter_results.items[2].matching_acls.count, 2);
    ck_assert_int_eq(response->filter_results.items[3].matching_acls.count, 0);
    ck_assert_int_eq(describe(link, filter(1, NULL, 1)), 2);
    mock_free(world);
}
END_TEST
