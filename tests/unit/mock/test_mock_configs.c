/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Configs described and changed; codes and sentences are those of Kafka 4.3.1. */
#include "mock/configs.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>

static void says(kc_bytes text, const char *expected)
{
    ck_assert_msg(kc_bytes_equal(text, kc_str(expected)), "'%.*s', not '%s'", (int)text.len,
                  text.ptr ? (const char *)text.ptr : "(null)", expected ? expected : "(null)");
}

static const kp_describe_configs_resp_result *describe(mock_link *link, int8_t type,
                                                       const char *name)
{
    kp_describe_configs_req request;
    kp_describe_configs_req_resource resource = {.resource_type = type,
                                                 .resource_name = kc_str(name)};
    resource.configuration_keys.count = -1;
    mock_defaults(KP_API_DESCRIBE_CONFIGS, &request);
    request.resources.items = &resource;
    request.resources.count = 1;
    request.include_synonyms = true;
    const kp_describe_configs_resp *response = mock_ask(link, KP_API_DESCRIBE_CONFIGS, 4, &request);
    ck_assert_int_eq(response->results.count, 1);
    return &response->results.items[0];
}

static const kp_describe_configs_resp_config *
config_of(const kp_describe_configs_resp_result *result, const char *name)
{
    for (int32_t i = 0; i < result->configs.count; i++)
        if (kc_bytes_equal(result->configs.items[i].name, kc_str(name)))
            return &result->configs.items[i];
    return NULL;
}

static const kp_describe_configs_resp_config *describe_one(mock_link *link, int8_t type,
                                                           const char *name, const char *config)
{
    const kp_describe_configs_resp_config *found = config_of(describe(link, type, name), config);
    ck_assert_ptr_nonnull(found);
    return found;
}

static const kp_incremental_alter_configs_resp_response *change(mock_link *link, int8_t type,
                                                                const char *name,
                                                                const char *config, int8_t op,
                                                                const char *value)
{
    kp_incremental_alter_configs_req request;
    kp_incremental_alter_configs_req_config one = {
        .name = kc_str(config), .config_operation = op, .value = kc_str(value)};
    kp_incremental_alter_configs_req_resource resource = {.resource_type = type,
                                                          .resource_name = kc_str(name)};
    resource.configs.items = &one;
    resource.configs.count = 1;
    mock_defaults(KP_API_INCREMENTAL_ALTER_CONFIGS, &request);
    request.resources.items = &resource;
    request.resources.count = 1;
    const kp_incremental_alter_configs_resp *response =
        mock_ask(link, KP_API_INCREMENTAL_ALTER_CONFIGS, 1, &request);
    ck_assert_int_eq(response->responses.count, 1);
    return &response->responses.items[0];
}

static void set(mock_link *link, int8_t type, const char *name, const char *config,
                const char *value)
{
    const kp_incremental_alter_configs_resp_response *response =
        change(link, type, name, config, 0, value);
    ck_assert_msg(response->error_code == 0, "%s: %.*s", config, (int)response->error_message.len,
                  (const char *)response->error_message.ptr);
}

START_TEST(a_topic_s_configs_are_those_of_kafka_with_type_and_source)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    mock_topic(world, "t", 1);
    const kp_describe_configs_resp_result *result = describe(link, KM_RESOURCE_TOPIC, "t");
    ck_assert_int_eq(result->error_code, 0);
    ck_assert_int_eq(result->configs.count, 33);
    const kp_describe_configs_resp_config *config = config_of(result, "max.message.bytes");
    says(config->value, "1048588");
    ck_assert_int_eq(config->config_type, KM_CONFIG_INT);
    ck_assert_int_eq(config->config_source, KM_SOURCE_DEFAULT);
    ck_assert(!config->read_only);
    ck_assert_int_eq(config->synonyms.count, 1);
    says(config->synonyms.items[0].name, "message.max.bytes");
    config = config_of(result, "min.insync.replicas");
    ck_assert_int_eq(config->config_source, KM_SOURCE_DYNAMIC_DEFAULT);
    ck_assert_int_eq(config->synonyms.count, 2);
    config = config_of(result, "retention.ms");
    says(config->value, "604800000");
    ck_assert_int_eq(config->synonyms.count, 0);
    mock_free(world);
}
END_TEST

START_TEST(a_broker_tells_how_many_replicas_a_topic_gets)
{
    mock_world *world = mock_new(3);
    const kp_describe_configs_resp_config *config = describe_one(
        mock_link_new(world, 1), KM_RESOURCE_BROKER, "1", "default.replication.factor");
    says(config->value, "3");
    ck_assert_int_eq(config->config_source, KM_SOURCE_STATIC_BROKER);
    mock_free(world);
}
END_TEST

START_TEST(what_is_set_on_topic_broker_and_all_brokers_is_told_in_that_order)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    mock_topic(world, "t", 1);
    set(link, KM_RESOURCE_BROKER, "", "log.retention.ms", "6000");
    set(link, KM_RESOURCE_BROKER, "1", "log.retention.ms", "5000");
    const kp_describe_configs_resp_config *config =
        describe_one(link, KM_RESOURCE_TOPIC, "t", "retention.ms");
    says(config->value, "5000");
    ck_assert_int_eq(config->config_source, KM_SOURCE_DYNAMIC_BROKER);
    ck_assert_int_eq(config->synonyms.count, 3);
    says(config->synonyms.items[2].name, "log.retention.hours");
    set(link, KM_RESOURCE_TOPIC, "t", "retention.ms", "7");
    config = describe_one(link, KM_RESOURCE_TOPIC, "t", "retention.ms");
    says(config->value, "7");
    ck_assert_int_eq(config->config_source, KM_SOURCE_TOPIC);
    says(config->synonyms.items[0].name, "retention.ms");
    says(config->synonyms.items[1].value, "5000");
    says(config->synonyms.items[2].value, "6000");
    says(config->synonyms.items[3].value, "168");
    const kp_describe_configs_resp_result *all = describe(link, KM_RESOURCE_BROKER, "");
    ck_assert_int_eq(all->configs.count, 2);
    says(config_of(all, "log.retention.ms")->value, "6000");
    says(config_of(all, "min.insync.replicas")->value, "1");
    mock_free(world);
}
END_TEST

START_TEST(only_the_configs_asked_for_are_told)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    mock_topic(world, "t", 1);
    kc_bytes keys[] = {KC_STR("retention.ms"), KC_STR("nope")};
    kp_describe_configs_req request;
    kp_describe_configs_req_resource resource = {.resource_type = KM_RESOURCE_TOPIC,
                                                 .resource_name = KC_STR("t")};
    resource.configuration_keys.items = keys;
    resource.configuration_keys.count = 2;
    mock_defaults(KP_API_DESCRIBE_CONFIGS, &request);
    request.resources.items = &resource;
    request.resources.count = 1;
    const kp_describe_configs_resp *response = mock_ask(link, KP_API_DESCRIBE_CONFIGS, 1, &request);
    ck_assert_int_eq(response->results.items[0].configs.count, 1);
    says(response->results.items[0].configs.items[0].name, "retention.ms");
    ck_assert_int_eq(response->results.items[0].configs.items[0].synonyms.count, 0);
    mock_free(world);
}
END_TEST

START_TEST(a_broker_tells_of_itself_only)
{
    mock_world *world = mock_new(2);
    mock_link *link = mock_link_new(world, 2);
    const kp_describe_configs_resp_result *result = describe(link, KM_RESOURCE_BROKER, "2");
    ck_assert_int_gt(result->configs.count, 100);
    says(config_of(result, "node.id")->value, "2");
    ck_assert(config_of(result, "node.id")->read_only);
    says(config_of(result, "advertised.listeners")->value, "PLAINTEXT://b2:9092");
    ck_assert_int_eq(config_of(result, "advertised.listeners")->config_source,
                     KM_SOURCE_STATIC_BROKER);
    ck_assert(!config_of(result, "log.retention.ms")->read_only);
    ck_assert_ptr_null(config_of(result, "log.retention.ms")->value.ptr);
    result = describe(link, KM_RESOURCE_BROKER, "7");
    ck_assert_int_eq(result->error_code, KC_E_INVALID_REQUEST);
    says(result->error_message, "Unexpected broker id, expected 2 or empty string, but received 7");
    says(describe(link, KM_RESOURCE_BROKER, "x")->error_message,
         "Broker id must be an integer, but it is: x");
    mock_free(world);
}
END_TEST

START_TEST(a_name_no_broker_knows_is_kept_and_taken_for_a_secret)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    set(link, KM_RESOURCE_BROKER, "1", "nope", "5");
    const kp_describe_configs_resp_config *config =
        describe_one(link, KM_RESOURCE_BROKER, "1", "nope");
    ck_assert(config->is_sensitive && config->read_only);
    ck_assert_ptr_null(config->value.ptr);
    ck_assert_int_eq(config->config_source, KM_SOURCE_DYNAMIC_BROKER);
    ck_assert_int_eq(config->synonyms.count, 1);
    mock_free(world);
}
END_TEST

START_TEST(what_is_not_there_has_no_configs)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    ck_assert_int_eq(describe(link, KM_RESOURCE_TOPIC, "t")->error_code,
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(describe(link, KM_RESOURCE_TOPIC, "x y")->error_code,
                     KC_E_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(describe(link, KM_RESOURCE_GROUP, "")->error_code, KC_E_INVALID_REQUEST);
    ck_assert_int_eq(describe(link, KM_RESOURCE_CLIENT_METRICS, "")->error_code,
                     KC_E_INVALID_REQUEST);
    ck_assert_int_eq(describe(link, 3, "x")->error_code, KC_E_INVALID_REQUEST);
    ck_assert_int_eq(describe(link, KM_RESOURCE_BROKER_LOGGER, "1")->error_code, 0);
    mock_free(world);
}
END_TEST

START_TEST(a_group_has_its_own_and_else_the_broker_s)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    ck_assert_int_eq(describe(link, KM_RESOURCE_GROUP, "g")->configs.count, 17);
    ck_assert_ptr_null(
        km_group_config(world->cluster, KC_STR("g"), "consumer.session.timeout.ms").ptr);
    set(link, KM_RESOURCE_GROUP, "g", "consumer.session.timeout.ms", "46000");
    says(km_group_config(world->cluster, KC_STR("g"), "consumer.session.timeout.ms"), "46000");
    ck_assert_int_eq(
        km_group_config_i64(world->cluster, KC_STR("g"), "consumer.session.timeout.ms", 1), 46000);
    ck_assert_int_eq(
        km_group_config_i64(world->cluster, KC_STR("h"), "consumer.session.timeout.ms", 1), 1);
    const kp_describe_configs_resp_config *config =
        describe_one(link, KM_RESOURCE_GROUP, "g", "consumer.session.timeout.ms");
    ck_assert_int_eq(config->config_source, KM_SOURCE_GROUP);
    says(config->synonyms.items[1].name, "group.consumer.session.timeout.ms");
    says(config->synonyms.items[1].value, "45000");
    mock_free(world);
}
END_TEST

START_TEST(changes_that_can_not_be_are_refused_with_kafka_s_words)
{
    static const struct {
        int8_t type;
        const char *name, *config;
        int8_t op;
        const char *value;
        int16_t code;
        const char *why;
    } cases[] = {
        {2, "t", "retention.ms", 2, "5", KC_E_INVALID_CONFIG,
         "Can't APPEND to key retention.ms because its type is not LIST."},
        {2, "t", "retention.ms", 0, NULL, KC_E_INVALID_REQUEST,
         "Null value not supported for : retention.ms"},
        {2, "t", "nope", 0, "5", KC_E_INVALID_CONFIG, "Unknown topic config name: nope"},
        {2, "t", "nope", 1, NULL, 0, NULL},
        {2, "t", "retention.ms", 7, "5", KC_E_UNKNOWN_SERVER_ERROR, NULL},
        {2, "u", "nope", 0, "5", KC_E_INVALID_CONFIG, "Unknown topic config name: nope"},
        {2, "u", "retention.ms", 0, "5", KC_E_UNKNOWN_TOPIC_OR_PARTITION,
         "The topic 'u' does not exist."},
        {2, "", "retention.ms", 0, "5", KC_E_INVALID_REQUEST,
         "Default topic resources are not allowed."},
        {2, "t", "min.compaction.lag.ms", 0, "9", 0, NULL},
        {2, "t", "max.compaction.lag.ms", 0, "8", KC_E_INVALID_CONFIG,
         "conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (8)"},
        {4, "2", "log.retention.ms", 0, "5", KC_E_INVALID_REQUEST,
         "Unexpected broker id, expected 1, but received 2"},
        {4, "x", "log.retention.ms", 0, "5", KC_E_INVALID_REQUEST,
         "Node id must be an integer, but it is: x"},
        {4, "1", "broker.id", 0, "5", KC_E_INVALID_REQUEST,
         "Cannot update these configs dynamically: [broker.id]"},
        {4, "1", "log.retention.ms", 0, "x", KC_E_INVALID_REQUEST,
         "Invalid value x for configuration log.retention.ms: Not a number of type LONG"},
        {4, "1", "log.cleanup.policy", 0, "no", KC_E_INVALID_REQUEST,
         "Invalid value no for configuration log.cleanup.policy: String must be one of: compact, "
         "delete"},
        {4, "1", "nope", 0, "5", 0, NULL},
        {3, "x", "y", 0, "1", KC_E_INVALID_REQUEST, "Unknown resource type 3"},
        {16, "m", "nope", 0, "1", KC_E_INVALID_REQUEST,
         "Unknown client metrics configuration: nope"},
        {16, "", "interval.ms", 0, "1000", KC_E_INVALID_REQUEST,
         "Subscription name can't be empty"},
        {16, "m", "interval.ms", 0, "1", KC_E_INVALID_REQUEST,
         "Invalid value 1 for interval.ms, interval must be between 100 and 3600000 (1 hour)"},
        {16, "m", "match", 0, "foo", KC_E_INVALID_CONFIG, "Illegal client matching pattern: foo"},
        {16, "m", "match", 0, "client_id=", KC_E_INVALID_CONFIG,
         "Illegal client matching pattern: client_id="},
        {16, "m", "match", 0, "client_rack=x", KC_E_INVALID_CONFIG,
         "Illegal client matching pattern: client_rack=x"},
        {16, "m", "match", 0, "client_id=a=b", KC_E_INVALID_CONFIG,
         "Illegal client matching pattern: client_id=a=b"},
        {16, "m", "match", 0, " client_id = a.*,client_source_port=9", 0, NULL},
        {32, "g", "nope", 0, "1", KC_E_INVALID_CONFIG, "Unknown group config name: nope"},
        {32, "", "consumer.session.timeout.ms", 0, "46000", KC_E_INVALID_REQUEST,
         "Default group resources are not allowed."},
        {32, "g", "consumer.session.timeout.ms", 0, "1", KC_E_INVALID_CONFIG,
         "consumer.session.timeout.ms must be greater than or equal to "
         "group.consumer.min.session.timeout.ms"},
        {32, "g", "consumer.heartbeat.interval.ms", 0, "99999", KC_E_INVALID_CONFIG,
         "consumer.heartbeat.interval.ms must be less than or equal to "
         "group.consumer.max.heartbeat.interval.ms"},
        {32, "g", "consumer.session.timeout.ms", 0, "5000", KC_E_INVALID_CONFIG,
         "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms"},
        {32, "g", "streams.session.timeout.ms", 0, "44999", KC_E_INVALID_CONFIG,
         "streams.session.timeout.ms must be greater than or equal to "
         "group.streams.min.session.timeout.ms"},
        {32, "g", "streams.num.standby.replicas", 0, "3", KC_E_INVALID_CONFIG,
         "streams.num.standby.replicas must be less than or equal to "
         "group.streams.max.standby.replicas"},
        {32, "g", "share.record.lock.duration.ms", 0, "1", KC_E_INVALID_CONFIG,
         "Invalid value 1 for configuration share.record.lock.duration.ms: Value must be at least "
         "1000"},
        {32, "g", "share.isolation.level", 0, "x", KC_E_INVALID_CONFIG,
         "Invalid value x for configuration share.isolation.level: String must be one of: "
         "read_committed, read_uncommitted"},
        {32, "g", "share.auto.offset.reset", 0, "x", KC_E_INVALID_CONFIG,
         "Invalid value x for configuration share.auto.offset.reset: Invalid value `x` for "
         "configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or "
         "of the format 'by_duration:<PnDTnHnMn.nS>'."},
        {32, "g", "share.auto.offset.reset", 0, "by_duration:PT1H", 0, NULL},
    };
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    mock_topic(world, "t", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const kp_incremental_alter_configs_resp_response *response = change(
            link, cases[i].type, cases[i].name, cases[i].config, cases[i].op, cases[i].value);
        ck_assert_msg(response->error_code == cases[i].code, "%zu: %d", i, response->error_code);
        says(response->error_message, cases[i].why);
    }
    mock_free(world);
}
END_TEST

START_TEST(lists_grow_and_shrink_and_a_config_taken_out_is_the_default_again)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    const km_topic *topic = mock_topic(world, "t", 1);
    ck_assert_int_eq(change(link, 2, "t", "cleanup.policy", 2, "compact")->error_code, 0);
    ck_assert(km_topic_config_is(topic, "cleanup.policy", "delete,compact"));
    ck_assert_int_eq(change(link, 2, "t", "cleanup.policy", 2, "compact")->error_code, 0);
    ck_assert(km_topic_config_is(topic, "cleanup.policy", "delete,compact"));
    ck_assert_int_eq(change(link, 2, "t", "cleanup.policy", 3, "delete")->error_code, 0);
    ck_assert(km_topic_config_is(topic, "cleanup.policy", "compact"));
    ck_assert_int_eq(change(link, 2, "t", "cleanup.policy", 1, NULL)->error_code, 0);
    ck_assert_ptr_null(km_topic_config(topic, "cleanup.policy"));
    mock_free(world);
}
END_TEST

START_TEST(to_validate_changes_nothing)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    const km_topic *topic = mock_topic(world, "t", 1);
    kp_incremental_alter_configs_req request;
    kp_incremental_alter_configs_req_config one = {.name = KC_STR("retention.ms"),
                                                   .value = KC_STR("5")};
    kp_incremental_alter_configs_req_resource resources[3] = {
        {.resource_type = 2, .resource_name = KC_STR("t")},
        {.resource_type = 4, .resource_name = KC_STR("1")},
        {.resource_type = 4, .resource_name = KC_STR("1")}};
    resources[0].configs.items = &one;
    resources[0].configs.count = 1;
    mock_defaults(KP_API_INCREMENTAL_ALTER_CONFIGS, &request);
    request.resources.items = resources;
    request.resources.count = 3;
    request.validate_only = true;
    const kp_incremental_alter_configs_resp *response =
        mock_ask(link, KP_API_INCREMENTAL_ALTER_CONFIGS, 0, &request);
    ck_assert_int_eq(response->responses.items[0].error_code, 0);
    ck_assert_ptr_null(km_topic_config(topic, "retention.ms"));
    for (int i = 1; i < 3; i++)
        says(response->responses.items[i].error_message, "Each resource must appear at most once.");
    mock_free(world);
}
END_TEST

START_TEST(the_older_request_replaces_all_that_was_set)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    const km_topic *topic = mock_topic(world, "t", 1);
    set(link, 2, "t", "retention.ms", "5");
    kp_alter_configs_req request;
    kp_alter_configs_req_config one = {.name = KC_STR("retention.bytes"), .value = KC_STR("7")};
    kp_alter_configs_req_resource resources[2] = {
        {.resource_type = 2, .resource_name = KC_STR("t")},
        {.resource_type = 8, .resource_name = KC_STR("1")}};
    resources[0].configs.items = &one;
    resources[0].configs.count = 1;
    mock_defaults(KP_API_ALTER_CONFIGS, &request);
    request.resources.items = resources;
    request.resources.count = 2;
    const kp_alter_configs_resp *response = mock_ask(link, KP_API_ALTER_CONFIGS, 2, &request);
    ck_assert_int_eq(response->responses.items[0].error_code, 0);
    says(response->responses.items[1].error_message, "Unknown resource type 8");
    ck_assert_ptr_null(km_topic_config(topic, "retention.ms"));
    ck_assert_int_eq(km_topic_config_i64(topic, "retention.bytes", 0), 7);
    mock_free(world);
}
END_TEST

START_TEST(resources_with_configs_are_listed_by_type)
{
    mock_world *world = mock_new(2);
    mock_link *link = mock_link_new(world, 1);
    mock_topic(world, "t", 1);
    set(link, KM_RESOURCE_GROUP, "g", "consumer.session.timeout.ms", "46000");
    set(link, KM_RESOURCE_CLIENT_METRICS, "m", "interval.ms", "1000");
    kp_list_config_resources_req request;
    mock_defaults(KP_API_LIST_CONFIG_RESOURCES, &request);
    const kp_list_config_resources_resp *response =
        mock_ask(link, KP_API_LIST_CONFIG_RESOURCES, 1, &request);
    ck_assert_int_eq(response->config_resources.count, 7);
    response = mock_ask(link, KP_API_LIST_CONFIG_RESOURCES, 0, &request);
    ck_assert_int_eq(response->config_resources.count, 1);
    says(response->config_resources.items[0].resource_name, "m");
    int8_t types[] = {32};
    request.resource_types.items = types;
    request.resource_types.count = 1;
    response = mock_ask(link, KP_API_LIST_CONFIG_RESOURCES, 1, &request);
    ck_assert_int_eq(response->config_resources.count, 1);
    says(response->config_resources.items[0].resource_name, "g");
    types[0] = 99;
    response = mock_ask(link, KP_API_LIST_CONFIG_RESOURCES, 1, &request);
    ck_assert_int_eq(response->error_code, KC_E_UNSUPPORTED_VERSION);
    mock_free(world);
}
END_TEST
