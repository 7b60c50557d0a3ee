/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Client quotas set and told; codes and sentences are those of Kafka 4.3.1. */
#include "tests/unit/mock/mock_world.h"

#include <check.h>

static void says(kc_bytes text, const char *expected)
{
    ck_assert_msg(kc_bytes_equal(text, kc_str(expected)), "'%.*s', not '%s'", (int)text.len,
                  text.ptr ? (const char *)text.ptr : "(null)", expected ? expected : "(null)");
}

typedef struct part {
    const char *type; /* NULL: none */
    const char *name; /* NULL: the default */
} part;

static const kp_alter_client_quotas_resp_entry *alter(mock_link *link, part a, part b,
                                                      const char *key, double value, bool remove)
{
    kp_alter_client_quotas_req request;
    kp_alter_client_quotas_req_entity entity[] = {
        {.entity_type = kc_str(a.type), .entity_name = kc_str(a.name)},
        {.entity_type = kc_str(b.type), .entity_name = kc_str(b.name)}};
    kp_alter_client_quotas_req_op op = {.key = kc_str(key), .value = value, .remove = remove};
    kp_alter_client_quotas_req_entry entry = {.unknown_tags = {0}};
    entry.entity.items = entity;
    entry.entity.count = (a.type != NULL) + (b.type != NULL);
    entry.ops.items = &op;
    entry.ops.count = 1;
    mock_defaults(KP_API_ALTER_CLIENT_QUOTAS, &request);
    request.entries.items = &entry;
    request.entries.count = 1;
    const kp_alter_client_quotas_resp *response =
        mock_ask(link, KP_API_ALTER_CLIENT_QUOTAS, 1, &request);
    ck_assert_int_eq(response->entries.count, 1);
    return &response->entries.items[0];
}

static const part none = {NULL, NULL};

static void set(mock_link *link, part a, part b, const char *key, double value)
{
    const kp_alter_client_quotas_resp_entry *entry = alter(link, a, b, key, value, false);
    ck_assert_msg(entry->error_code == 0, "%.*s", (int)entry->error_message.len,
                  (const char *)entry->error_message.ptr);
}

static mock_link *fill(mock_world *world)
{
    mock_link *link = mock_link_new(world, 1);
    set(link, (part){"user", "u1"}, (part){"client-id", "c1"}, "producer_byte_rate", 10);
    set(link, (part){"user", NULL}, none, "request_percentage", 200.25);
    set(link, (part){"client-id", NULL}, none, "controller_mutation_rate", 2);
    set(link, (part){"ip", "127.0.0.1"}, none, "connection_creation_rate", 20);
    set(link, (part){"user", "b"}, none, "producer_byte_rate", 20);
    return link;
}

static const kp_describe_client_quotas_resp *
describe(mock_link *link, const kp_describe_client_quotas_req_component *components, int32_t count,
         bool strict)
{
    kp_describe_client_quotas_req request;
    kp_describe_client_quotas_req_component copy[2];
    mock_defaults(KP_API_DESCRIBE_CLIENT_QUOTAS, &request);
    for (int32_t i = 0; i < count; i++)
        copy[i] = components[i];
    request.components.items = copy;
    request.components.count = count;
    request.strict = strict;
    return mock_ask(link, KP_API_DESCRIBE_CLIENT_QUOTAS, 1, &request);
}

static int count_of(mock_link *link, const char *type, int8_t match_type, const char *match,
                    bool strict)
{
    const kp_describe_client_quotas_req_component one = {
        .entity_type = kc_str(type), .match_type = match_type, .match = kc_str(match)};
    const kp_describe_client_quotas_resp *response = describe(link, &one, type ? 1 : 0, strict);
    ck_assert_int_eq(response->error_code, 0);
    return response->entries.count;
}

START_TEST(quotas_are_told_by_whom_they_are_for)
{
    mock_world *world = mock_new(1);
    mock_link *link = fill(world);
    ck_assert_int_eq(count_of(link, NULL, 0, NULL, false), 5);
    ck_assert_int_eq(count_of(link, NULL, 0, NULL, true), 0);
    ck_assert_int_eq(count_of(link, "user", 0, "u1", false), 1);
    ck_assert_int_eq(count_of(link, "user", 0, "u1", true), 0);
    ck_assert_int_eq(count_of(link, "user", 1, NULL, false), 1);
    ck_assert_int_eq(count_of(link, "user", 2, NULL, true), 2);
    ck_assert_int_eq(count_of(link, "user", 2, NULL, false), 3);
    ck_assert_int_eq(count_of(link, "ip", 2, NULL, false), 1);
    const kp_describe_client_quotas_resp *response = describe(link, NULL, 0, false);
    const kp_describe_client_quotas_resp_entry *entry = &response->entries.items[0];
    ck_assert_int_eq(entry->entity.count, 2);
    says(entry->entity.items[0].entity_type, "client-id");
    says(entry->entity.items[1].entity_name, "u1");
    ck_assert_int_eq(entry->values.count, 1);
    says(entry->values.items[0].key, "producer_byte_rate");
    ck_assert_double_eq(entry->values.items[0].value, 10);
    ck_assert_ptr_null(response->entries.items[1].entity.items[0].entity_name.ptr);
    mock_free(world);
}
END_TEST

START_TEST(filters_that_make_no_sense_are_refused)
{
    static const struct {
        const char *type;
        int8_t match_type;
        const char *match;
        const char *other;
        int16_t code;
        const char *why;
    } cases[] = {
        {"foo", 2, NULL, NULL, KC_E_UNSUPPORTED_VERSION, "Unsupported entity type foo"},
        {"", 2, NULL, NULL, KC_E_INVALID_REQUEST, "Invalid empty entity type."},
        {"user", 3, NULL, NULL, KC_E_INVALID_REQUEST, "Unknown match type 3"},
        {"user", 0, NULL, NULL, KC_E_INVALID_REQUEST,
         "Request specified MATCH_TYPE_EXACT, but set match string to null."},
        {"user", 1, "x", NULL, KC_E_INVALID_REQUEST,
         "Request specified MATCH_TYPE_DEFAULT, but also specified a match string."},
        {"user", 2, "x", NULL, KC_E_INVALID_REQUEST,
         "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string."},
        {"user", 2, NULL, "user", KC_E_INVALID_REQUEST,
         "Entity type user cannot appear more than once in the filter."},
        {"ip", 2, NULL, "user", KC_E_INVALID_REQUEST,
         "Invalid entity filter component combination. IP filter component should not be used with "
         "user or clientId filter component."},
    };
    mock_world *world = mock_new(1);
    mock_link *link = fill(world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const kp_describe_client_quotas_req_component components[] = {
            {.entity_type = kc_str(cases[i].type),
             .match_type = cases[i].match_type,
             .match = kc_str(cases[i].match)},
            {.entity_type = kc_str(cases[i].other), .match_type = 2}};
        const kp_describe_client_quotas_resp *response =
            describe(link, components, cases[i].other ? 2 : 1, false);
        ck_assert_int_eq(response->error_code, cases[i].code);
        says(response->error_message, cases[i].why);
        ck_assert_int_eq(response->entries.count, -1);
    }
    mock_free(world);
}
END_TEST

START_TEST(quotas_that_make_no_sense_are_refused)
{
    static const struct {
        part a, b;
        const char *key;
        double value;
        const char *why;
    } cases[] = {
        {{"user", "u"},
         {NULL, NULL},
         "consumer_byte_rate",
         5.5,
         "consumer_byte_rate cannot be a fractional value."},
        {{"ip", "127.0.0.1"},
         {NULL, NULL},
         "producer_byte_rate",
         5,
         "Invalid configuration key producer_byte_rate"},
        {{"ip", "no.such.host.invalid"},
         {NULL, NULL},
         "connection_creation_rate",
         5,
         "no.such.host.invalid is not a valid IP or resolvable host."},
        {{"ip", "::1"},
         {"user", "u"},
         "connection_creation_rate",
         5,
         "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"},
        {{NULL, NULL}, {NULL, NULL}, "producer_byte_rate", 5, "Invalid empty client quota entity"},
        {{"foo", "u"},
         {NULL, NULL},
         "producer_byte_rate",
         5,
         "Unhandled client quota entity type: foo"},
        {{"user", ""}, {NULL, NULL}, "producer_byte_rate", 5, "Empty user not supported"},
        {{"user", "u"}, {NULL, NULL}, "nope", 5, "Invalid configuration key nope"},
        {{"user", "u"},
         {NULL, NULL},
         "producer_byte_rate",
         0,
         "Quota producer_byte_rate must be greater than 0"},
        {{"user", "u"},
         {NULL, NULL},
         "consumer_byte_rate",
         1e30,
         "Proposed value for consumer_byte_rate is too large for a LONG."},
    };
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const kp_alter_client_quotas_resp_entry *entry =
            alter(link, cases[i].a, cases[i].b, cases[i].key, cases[i].value, false);
        ck_assert_int_eq(entry->error_code, KC_E_INVALID_REQUEST);
        says(entry->error_message, cases[i].why);
    }
    ck_assert_int_eq(count_of(link, NULL, 0, NULL, false), 0);
    mock_free(world);
}
END_TEST

START_TEST(a_quota_is_taken_out_and_who_has_none_left_is_forgotten)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    part user = {"user", "u"};
    set(link, user, none, "producer_byte_rate", 1);
    set(link, user, none, "consumer_byte_rate", 2);
    ck_assert_int_eq(alter(link, user, none, "producer_byte_rate", 0, true)->error_code, 0);
    ck_assert_int_eq(count_of(link, NULL, 0, NULL, false), 1);
    ck_assert_int_eq(alter(link, user, none, "consumer_byte_rate", 0, true)->error_code, 0);
    ck_assert_int_eq(alter(link, user, none, "nope", 0, true)->error_code, 0);
    ck_assert_int_eq(count_of(link, NULL, 0, NULL, false), 0);
    mock_free(world);
}
END_TEST

START_TEST(who_stands_in_a_request_twice_is_answered_once)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    kp_alter_client_quotas_req request;
    kp_alter_client_quotas_req_entity entity = {.entity_type = KC_STR("user"),
                                                .entity_name = KC_STR("w")};
    kp_alter_client_quotas_req_op op = {.key = KC_STR("producer_byte_rate"), .value = 1};
    kp_alter_client_quotas_req_entry entries[300] = {{.unknown_tags = {0}}};
    for (int i = 0; i < 300; i++) {
        entries[i].entity.items = &entity;
        entries[i].entity.count = 1;
        entries[i].ops.items = &op;
        entries[i].ops.count = 1;
    }
    mock_defaults(KP_API_ALTER_CLIENT_QUOTAS, &request);
    request.entries.items = entries;
    request.validate_only = true;
    const kp_alter_client_quotas_resp *response;
    static const int32_t counts[] = {2, 3, 300};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        request.entries.count = counts[i];
        response = mock_ask(link, KP_API_ALTER_CLIENT_QUOTAS, 0, &request);
        ck_assert_int_eq(response->entries.count, 1);
        ck_assert_int_eq(response->entries.items[0].error_code, KC_E_INVALID_REQUEST);
        ck_assert_int_eq(response->entries.items[0].entity.count, 1);
        says(response->entries.items[0].error_message,
             "Ignoring duplicate entity ClientQuotaEntity(entries={user=w})");
    }
    request.entries.count = 1;
    response = mock_ask(link, KP_API_ALTER_CLIENT_QUOTAS, 0, &request);
    ck_assert_int_eq(response->entries.items[0].error_code, 0);
    ck_assert_int_eq(count_of(link, NULL, 0, NULL, false), 0);
    mock_free(world);
}
END_TEST
