/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Topics made, grown and deleted by an administrator; codes and sentences are those of Kafka 4.3.1. */
#include "tests/unit/mock/mock_world.h"

#include <check.h>

static void says(kc_bytes text, const char *expected)
{
    ck_assert_msg(kc_bytes_equal(text, kc_str(expected)), "'%.*s'", (int)text.len,
                  text.ptr ? (const char *)text.ptr : "(null)");
}

static const kp_create_topics_resp *create(mock_link *link, kp_create_topics_req_topic *topics,
                                           int32_t count, bool validate_only)
{
    kp_create_topics_req request;
    mock_defaults(KP_API_CREATE_TOPICS, &request);
    request.topics.items = topics;
    request.topics.count = count;
    request.validate_only = validate_only;
    return mock_ask(link, KP_API_CREATE_TOPICS, 7, &request);
}

static kc_bytes config_of(const kp_create_topics_resp_topic *topic, const char *name,
                          int8_t *source_out)
{
    for (int32_t i = 0; i < topic->configs.count; i++)
        if (kc_bytes_equal(topic->configs.items[i].name, kc_str(name))) {
            *source_out = topic->configs.items[i].config_source;
            return topic->configs.items[i].value;
        }
    return KC_NULL;
}

static int changes;

static void on_change(km_watcher *watcher)
{
    (void)watcher;
    changes++;
}

/** Asked for by name, so it is made where it is missing. */
static const kp_metadata_resp_topic *look_up(mock_link *link, const char *name)
{
    kp_metadata_req request;
    kp_metadata_req_topic asked = {.name = kc_str(name)};
    mock_defaults(KP_API_METADATA, &request);
    request.topics.items = &asked;
    request.topics.count = 1;
    request.allow_auto_topic_creation = true;
    const kp_metadata_resp *response = mock_ask(link, KP_API_METADATA, 12, &request);
    ck_assert_int_eq(response->topics.count, 1);
    return &response->topics.items[0];
}

START_TEST(the_brokers_own_topics_are_made_as_they_need_them)
{
    mock_world *world = mock_new(3);
    mock_link *link = mock_link_new(world, 1);
    const char *names[] = {"__consumer_offsets", "__transaction_state", "__share_group_state"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_int_eq(look_up(link, names[i])->error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
        const kp_metadata_resp_topic *topic = look_up(link, names[i]);
        ck_assert_int_eq(topic->error_code, 0);
        ck_assert(topic->is_internal);
        ck_assert_int_eq(topic->partitions.count, 50);
        ck_assert(km_topic_config_is(km_topic_by_name(world->cluster, kc_str(names[i])),
                                     "segment.bytes", "104857600"));
    }
    const km_topic *offsets = km_topic_by_name(world->cluster, kc_str(names[0]));
    ck_assert(km_topic_has_policy(offsets, "compact"));
    ck_assert(km_topic_config_is(offsets, "compression.type", "producer"));
    ck_assert_ptr_null(km_topic_config(offsets, "min.insync.replicas"));
    const km_topic *txns = km_topic_by_name(world->cluster, kc_str(names[1]));
    ck_assert(km_topic_has_policy(txns, "compact"));
    ck_assert(km_topic_config_is(txns, "min.insync.replicas", "2"));
    ck_assert(km_topic_config_is(txns, "unclean.leader.election.enable", "false"));
    const km_topic *shares = km_topic_by_name(world->cluster, kc_str(names[2]));
    ck_assert_int_eq(km_topic_config_i64(shares, "retention.ms", 0), -1);
    ck_assert_ptr_null(km_topic_config(shares, "unclean.leader.election.enable"));
    look_up(link, "t");
    ck_assert_int_eq(look_up(link, "t")->partitions.count, 1);
    mock_free(world);
}
END_TEST

START_TEST(a_coordinator_s_topic_has_its_configs_too)
{
    mock_world *world = mock_new(1);
    const km_partition *partition =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_TRANSACTION, KC_STR("id"));
    ck_assert_ptr_nonnull(partition);
    ck_assert_int_eq(partition->topic->partition_count, KM_COORDINATOR_PARTITIONS);
    ck_assert(km_topic_has_policy(partition->topic, "compact"));
    ck_assert_ptr_null(km_topic_config(partition->topic, "min.insync.replicas"));
    mock_free(world);
}
END_TEST

START_TEST(a_topic_is_made_with_the_broker_s_defaults_and_its_configs_are_told)
{
    mock_world *world = mock_new(3);
    mock_link *link = mock_link_new(world, 1);
    kp_create_topics_req_config configs[] = {
        {.name = KC_STR("retention.ms"), .value = KC_STR("5")}};
    kp_create_topics_req_topic topic = {
        .name = KC_STR("t"), .num_partitions = -1, .replication_factor = -1};
    topic.configs.items = configs;
    topic.configs.count = 1;
    km_watcher watcher = {.fn = on_change};
    changes = 0;
    km_watch(world->cluster, &watcher);
    const kp_create_topics_resp *response = create(link, &topic, 1, false);
    ck_assert_int_eq(changes, 1);
    ck_assert_int_eq(response->topics.count, 1);
    const kp_create_topics_resp_topic *made = &response->topics.items[0];
    int8_t source = 0;
    ck_assert_int_eq(made->error_code, 0);
    ck_assert_int_eq(made->num_partitions, 1);
    ck_assert_int_eq(made->replication_factor, 3);
    ck_assert_int_eq(made->configs.count, 33);
    says(config_of(made, "retention.ms", &source), "5");
    ck_assert_int_eq(source, 1);
    says(config_of(made, "cleanup.policy", &source), "delete");
    ck_assert_int_eq(source, 5);
    says(config_of(made, "min.insync.replicas", &source), "1");
    ck_assert_int_eq(source, 3);
    const km_topic *there = km_topic_by_name(world->cluster, KC_STR("t"));
    ck_assert_ptr_nonnull(there);
    ck_assert_mem_eq(there->id.bytes, made->topic_id.bytes, sizeof there->id.bytes);
    ck_assert_int_eq(km_topic_config_i64(there, "retention.ms", 0), 5);
    km_unwatch(&watcher);
    mock_free(world);
}
END_TEST

START_TEST(what_can_not_be_made_is_refused_with_kafka_s_words)
{
    static const struct {
        const char *name;
        int32_t partitions;
        int16_t replication;
        int16_t code;
        const char *why;
    } cases[] = {
        {"here", 1, 1, KC_E_TOPIC_ALREADY_EXISTS, "Topic 'here' already exists."},
        {"", 1, 1, KC_E_INVALID_TOPIC_EXCEPTION,
         "Topic name is invalid: the empty string is not allowed"},
        {"..", 1, 1, KC_E_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: '..' is not allowed"},
        {"x y", 1, 1, KC_E_INVALID_TOPIC_EXCEPTION,
         "Topic name is invalid: 'x y' contains one or more characters other than ASCII "
         "alphanumerics, '.', '_' and '-'"},
        {"a_b", 1, 1, KC_E_INVALID_TOPIC_EXCEPTION,
         "Topic 'a_b' collides with existing topic: a.b"},
        {"__cluster_metadata", 1, 1, KC_E_INVALID_REQUEST,
         "Creation of internal topic __cluster_metadata is prohibited."},
        {"p", 0, 1, KC_E_INVALID_PARTITIONS,
         "Number of partitions was set to an invalid non-positive value."},
        {"r", 0, 0, KC_E_INVALID_REPLICATION_FACTOR,
         "Replication factor must be larger than 0, or -1 to use the default value."},
        {"r9", 1, 9, KC_E_INVALID_REPLICATION_FACTOR,
         "Unable to replicate the partition 9 time(s): The target replication factor of 9 cannot "
         "be "
         "reached because only 3 broker(s) are registered or some brokers have all their log "
         "directories cordoned."},
    };
    mock_world *world = mock_new(3);
    mock_link *link = mock_link_new(world, 2);
    mock_topic(world, "here", 1);
    mock_topic(world, "a.b", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kp_create_topics_req_topic topic = {.name = kc_str(cases[i].name),
                                            .num_partitions = cases[i].partitions,
                                            .replication_factor = cases[i].replication};
        const kp_create_topics_resp *response = create(link, &topic, 1, false);
        ck_assert_int_eq(response->topics.items[0].error_code, cases[i].code);
        says(response->topics.items[0].error_message, cases[i].why);
        ck_assert_int_eq(response->topics.items[0].num_partitions, -1);
    }
    ck_assert_uint_eq(world->cluster->topics.count, 2);
    mock_free(world);
}
END_TEST

START_TEST(a_name_that_stands_in_a_request_twice_is_refused_once_and_the_others_are_made)
{
    mock_world *world = mock_new(1);
    kp_create_topics_req_topic topics[] = {
        {.name = KC_STR("dup"), .num_partitions = 1, .replication_factor = 1},
        {.name = KC_STR("good"), .num_partitions = 1, .replication_factor = 1},
        {.name = KC_STR("dup"), .num_partitions = 2, .replication_factor = 1},
    };
    const kp_create_topics_resp *response = create(mock_link_new(world, 1), topics, 3, false);
    ck_assert_int_eq(response->topics.count, 2);
    ck_assert_int_eq(response->topics.items[0].error_code, 0);
    says(response->topics.items[1].name, "dup");
    ck_assert_int_eq(response->topics.items[1].error_code, KC_E_INVALID_REQUEST);
    says(response->topics.items[1].error_message, "Duplicate topic name.");
    ck_assert_uint_eq(world->cluster->topics.count, 1);
    mock_free(world);
}
END_TEST

START_TEST(to_validate_makes_nothing)
{
    mock_world *world = mock_new(1);
    kp_create_topics_req_topic topic = {
        .name = KC_STR("t"), .num_partitions = 2, .replication_factor = 1};
    const kp_create_topics_resp *response = create(mock_link_new(world, 1), &topic, 1, true);
    ck_assert_int_eq(response->topics.items[0].error_code, 0);
    ck_assert_int_eq(response->topics.items[0].num_partitions, 2);
    ck_assert_uint_eq(world->cluster->topics.count, 0);
    mock_free(world);
}
END_TEST

START_TEST(more_than_ten_thousand_partitions_at_once_are_a_violation)
{
    mock_world *world = mock_new(1);
    kp_create_topics_req_topic topics[] = {
        {.name = KC_STR("a"), .num_partitions = 10000, .replication_factor = 1},
        {.name = KC_STR("b"), .num_partitions = 1, .replication_factor = 1},
    };
    const kp_create_topics_resp *response = create(mock_link_new(world, 1), topics, 2, false);
    ck_assert_int_eq(response->topics.items[0].error_code, KC_E_POLICY_VIOLATION);
    ck_assert_int_eq(response->topics.items[1].error_code, KC_E_POLICY_VIOLATION);
    ck_assert_uint_eq(world->cluster->topics.count, 0);
    mock_free(world);
}
END_TEST

static void check_assignment(mock_link *link, kp_create_topics_req_topic topic, int16_t code,
                             const char *why)
{
    const kp_create_topics_resp *response = create(link, &topic, 1, false);
    ck_assert_int_eq(response->topics.items[0].error_code, code);
    says(response->topics.items[0].error_message, why);
}

START_TEST(brokers_chosen_by_hand_are_taken_or_refused_as_kafka_does)
{
    mock_world *world = mock_new(3);
    mock_link *link = mock_link_new(world, 1);
    int32_t ids[][2] = {{3, 1}, {2, 3}, {77, 1}, {1, 1}};
    kp_create_topics_req_assignment parts[] = {{.partition_index = 1}, {.partition_index = 0}};
    kp_create_topics_req_topic topic = {
        .name = KC_STR("t"), .num_partitions = -1, .replication_factor = -1};
    topic.assignments.items = parts;
    topic.assignments.count = 2;
    for (int i = 0; i < 2; i++) {
        parts[i].broker_ids.items = ids[i];
        parts[i].broker_ids.count = 2;
    }
    topic.num_partitions = 2;
    check_assignment(
        link, topic, KC_E_INVALID_REQUEST,
        "A manual partition assignment was specified, but numPartitions was not set to "
        "-1.");
    topic.num_partitions = -1;
    parts[1].broker_ids.count = 1;
    check_assignment(link, topic, KC_E_INVALID_REPLICA_ASSIGNMENT,
                     "The manual partition assignment includes a partition with 1 replica(s), but "
                     "this is not consistent with previous partitions, which have 2 replica(s).");
    parts[1].broker_ids.count = 0;
    check_assignment(link, topic, KC_E_INVALID_REPLICA_ASSIGNMENT,
                     "The manual partition assignment includes an empty replica list.");
    parts[1].broker_ids.count = 2;
    parts[1].broker_ids.items = ids[2];
    check_assignment(link, topic, KC_E_INVALID_REPLICA_ASSIGNMENT,
                     "The manual partition assignment includes broker 77, but no such broker is "
                     "registered.");
    parts[1].broker_ids.items = ids[3];
    check_assignment(link, topic, KC_E_INVALID_REPLICA_ASSIGNMENT,
                     "The manual partition assignment includes the broker 1 more than once.");
    parts[1].broker_ids.items = ids[1];
    parts[1].partition_index = 1;
    check_assignment(link, topic, KC_E_INVALID_REPLICA_ASSIGNMENT,
                     "Found multiple manual partition assignments for partition 1");
    parts[1].partition_index = 2;
    check_assignment(link, topic, KC_E_INVALID_REPLICA_ASSIGNMENT,
                     "partitions should be a consecutive 0-based integer sequence");
    parts[1].partition_index = 0;
    check_assignment(link, topic, 0, NULL);
    const km_topic *there = km_topic_by_name(world->cluster, KC_STR("t"));
    ck_assert_int_eq(there->partitions[1]->replicas[0], 3);
    ck_assert_int_eq(there->partitions[1]->leader, 3);
    ck_assert_int_eq(there->partitions[0]->replicas[1], 3);
    ck_assert_int_eq(there->replication, 2);
    mock_free(world);
}
END_TEST

START_TEST(a_config_kafka_does_not_know_or_a_value_it_does_not_take_makes_no_topic)
{
    static const struct {
        const char *name, *value, *why;
    } cases[] = {
        {"nonsense.name", "1", "Unknown topic config name: nonsense.name"},
        {"cleanup.policy", "foo",
         "Invalid value foo for configuration cleanup.policy: String must be one of: compact, "
         "delete"},
        {"retention.ms", "abc",
         "Invalid value abc for configuration retention.ms: Not a number of type LONG"},
        {"retention.ms", "-2",
         "Invalid value -2 for configuration retention.ms: Value must be at least -1"},
        {"min.cleanable.dirty.ratio", "1.5",
         "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more "
         "than "
         "1"},
        {"preallocate", "maybe",
         "Invalid value maybe for configuration preallocate: Expected value to be either true or "
         "false"},
        {"max.message.bytes", "99999999999",
         "Invalid value 99999999999 for configuration max.message.bytes: Not a number of type INT"},
        {"compression.gzip.level", "0",
         "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 "
         "or "
         "equal to -1"},
        {"compression.lz4.level", "18",
         "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17"},
        {"follower.replication.throttled.replicas", "x",
         "Invalid value [x] for configuration follower.replication.throttled.replicas: "
         "follower.replication.throttled.replicas must be the literal '*' or a list of replicas in "
         "the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."},
        {"remote.storage.enable", "true",
         "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with "
         "remote log storage."},
        {"min.compaction.lag.ms", "9223372036854775807", NULL},
        {"cleanup.policy", " compact , delete ", NULL},
        {"preallocate", "TRUE", NULL},
        {"leader.replication.throttled.replicas", "0:1,1:2", NULL},
        {"retention.bytes", "-5", NULL},
        {"segment.ms", NULL, "Null value not supported for topic configs: segment.ms"},
    };
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kp_create_topics_req_config config = {.name = kc_str(cases[i].name),
                                              .value = kc_str(cases[i].value)};
        kp_create_topics_req_topic topic = {
            .name = KC_STR("t"), .num_partitions = 1, .replication_factor = 1};
        topic.configs.items = &config;
        topic.configs.count = 1;
        const kp_create_topics_resp *response = create(link, &topic, 1, true);
        const kp_create_topics_resp_topic *one = &response->topics.items[0];
        ck_assert_int_eq(one->error_code, cases[i].why ? KC_E_INVALID_CONFIG : 0);
        ck_assert_msg(kc_bytes_equal(one->error_message, kc_str(cases[i].why)), "%s: '%.*s'",
                      cases[i].name, (int)one->error_message.len,
                      (const char *)one->error_message.ptr);
    }
    mock_free(world);
}
END_TEST

START_TEST(old_versions_have_no_configs_in_the_answer)
{
    mock_world *world = mock_new(1);
    kp_create_topics_req request;
    kp_create_topics_req_topic topic = {
        .name = KC_STR("t"), .num_partitions = 1, .replication_factor = 1};
    mock_defaults(KP_API_CREATE_TOPICS, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_create_topics_resp *response =
        mock_ask(mock_link_new(world, 1), KP_API_CREATE_TOPICS, 2, &request);
    ck_assert_int_eq(response->topics.items[0].error_code, 0);
    ck_assert_int_le(response->topics.items[0].configs.count, 0);
    mock_free(world);
}
END_TEST

START_TEST(a_forced_error_makes_nothing)
{
    mock_world *world = mock_new(1);
    km_fault fault;
    km_fault_init(&fault);
    fault.api_key = KP_API_CREATE_TOPICS;
    fault.error = KC_E_NOT_CONTROLLER;
    km_fault_add(world->cluster, &fault);
    kp_create_topics_req_topic topic = {
        .name = KC_STR("t"), .num_partitions = 1, .replication_factor = 1};
    const kp_create_topics_resp *response = create(mock_link_new(world, 1), &topic, 1, false);
    ck_assert_int_eq(response->topics.items[0].error_code, KC_E_NOT_CONTROLLER);
    ck_assert_uint_eq(world->cluster->topics.count, 0);
    mock_free(world);
}
END_TEST

/* ---- CreatePartitions ---- */

static const kp_create_partitions_resp_result *
grow(mock_link *link, kp_create_partitions_req_topic topic, bool validate_only)
{
    kp_create_partitions_req request;
    mock_defaults(KP_API_CREATE_PARTITIONS, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    request.validate_only = validate_only;
    const kp_create_partitions_resp *response =
        mock_ask(link, KP_API_CREATE_PARTITIONS, 3, &request);
    ck_assert_int_eq(response->results.count, 1);
    return &response->results.items[0];
}

START_TEST(a_topic_grows_and_never_shrinks)
{
    mock_world *world = mock_new(2);
    mock_link *link = mock_link_new(world, 1);
    const km_topic *topic = mock_topic(world, "t", 2);
    kp_create_partitions_req_topic asked = {.name = KC_STR("t"), .count = 2};
    asked.assignments.count = -1;
    const kp_create_partitions_resp_result *result = grow(link, asked, false);
    ck_assert_int_eq(result->error_code, KC_E_INVALID_PARTITIONS);
    says(result->error_message, "Topic already has 2 partition(s).");
    asked.count = 1;
    result = grow(link, asked, false);
    says(result->error_message,
         "The topic t currently has 2 partition(s); 1 would not be an increase.");
    asked.count = 4;
    result = grow(link, asked, true);
    ck_assert_int_eq(result->error_code, 0);
    ck_assert_int_eq(topic->partition_count, 2);
    result = grow(link, asked, false);
    ck_assert_int_eq(result->error_code, 0);
    ck_assert_ptr_null(result->error_message.ptr);
    ck_assert_int_eq(topic->partition_count, 4);
    asked.name = KC_STR("none");
    ck_assert_int_eq(grow(link, asked, false)->error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    mock_free(world);
}
END_TEST

START_TEST(new_partitions_go_to_the_brokers_that_are_named)
{
    mock_world *world = mock_new(3);
    mock_link *link = mock_link_new(world, 1);
    km_topic *topic = NULL;
    ck_assert_int_eq(km_topic_create(world->cluster, KC_STR("t"), 1, 2, &topic), 0);
    int32_t ids[] = {3, 1};
    kp_create_partitions_req_assignment part = {0};
    part.broker_ids.items = ids;
    part.broker_ids.count = 2;
    kp_create_partitions_req_topic asked = {.name = KC_STR("t"), .count = 3};
    asked.assignments.items = &part;
    asked.assignments.count = 1;
    const kp_create_partitions_resp_result *result = grow(link, asked, false);
    ck_assert_int_eq(result->error_code, KC_E_INVALID_REPLICA_ASSIGNMENT);
    says(result->error_message,
         "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.");
    asked.count = 2;
    part.broker_ids.count = 1;
    ck_assert_int_eq(grow(link, asked, false)->error_code, KC_E_INVALID_REPLICA_ASSIGNMENT);
    part.broker_ids.count = 2;
    ck_assert_int_eq(grow(link, asked, false)->error_code, 0);
    ck_assert_int_eq(topic->partitions[1]->leader, 3);
    ck_assert_int_eq(topic->partitions[1]->replicas[1], 1);
    mock_free(world);
}
END_TEST

/* ---- DeleteTopics ---- */

START_TEST(topics_are_deleted_by_name_or_id_and_what_is_not_there_is_told)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    kc_uuid id = mock_topic(world, "by-id", 2)->id;
    mock_topic(world, "by-name", 1);
    mock_topic(world, "both", 1);
    kp_delete_topics_req_topic topics[] = {
        {.name = KC_STR("by-name")}, {.topic_id = id},  {.topic_id = {{9}}},
        {.name = KC_STR("none")},    {.name = KC_NULL}, {.name = KC_STR("both"), .topic_id = id},
    };
    kp_delete_topics_req request;
    mock_defaults(KP_API_DELETE_TOPICS, &request);
    request.topics.items = topics;
    request.topics.count = 6;
    const kp_delete_topics_resp *response = mock_ask(link, KP_API_DELETE_TOPICS, 6, &request);
    ck_assert_int_eq(response->responses.count, 6);
    int good = 0;
    for (int i = 0; i < 6; i++) {
        const kp_delete_topics_resp_response *one = &response->responses.items[i];
        good += one->error_code == 0;
        if (kc_bytes_equal(one->name, KC_STR("none")))
            ck_assert_int_eq(one->error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
        if (one->topic_id.bytes[0] == 9)
            ck_assert_int_eq(one->error_code, KC_E_UNKNOWN_TOPIC_ID);
        if (kc_bytes_equal(one->name, KC_STR("both")))
            says(one->error_message, "You may not specify both topic name and topic id.");
    }
    ck_assert_int_eq(good, 2);
    ck_assert_uint_eq(world->cluster->topics.count, 1);
    mock_free(world);
}
END_TEST

START_TEST(a_topic_named_twice_stays)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    kc_uuid id = mock_topic(world, "t", 1)->id;
    kp_delete_topics_req_topic topics[] = {{.name = KC_STR("t")}, {.topic_id = id}};
    kp_delete_topics_req request;
    mock_defaults(KP_API_DELETE_TOPICS, &request);
    request.topics.items = topics;
    request.topics.count = 2;
    const kp_delete_topics_resp *response = mock_ask(link, KP_API_DELETE_TOPICS, 6, &request);
    ck_assert_int_eq(response->responses.count, 1);
    ck_assert_int_eq(response->responses.items[0].error_code, KC_E_INVALID_REQUEST);
    kc_bytes names[] = {KC_STR("t"), KC_STR("t"), KC_STR("u")};
    mock_defaults(KP_API_DELETE_TOPICS, &request);
    request.topic_names.items = names;
    request.topic_names.count = 3;
    response = mock_ask(link, KP_API_DELETE_TOPICS, 1, &request);
    ck_assert_int_eq(response->responses.count, 2);
    ck_assert_int_eq(response->responses.items[0].error_code, KC_E_INVALID_REQUEST);
    ck_assert_int_eq(response->responses.items[1].error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_uint_eq(world->cluster->topics.count, 1);
    mock_free(world);
}
END_TEST

START_TEST(a_deleted_topic_tells_the_watchers)
{
    km_watcher watcher = {.fn = on_change};
    changes = 0;
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    mock_topic(world, "t", 1);
    km_watch(world->cluster, &watcher);
    kc_bytes name = KC_STR("t");
    kp_delete_topics_req request;
    mock_defaults(KP_API_DELETE_TOPICS, &request);
    request.topic_names.items = &name;
    request.topic_names.count = 1;
    const kp_delete_topics_resp *response = mock_ask(link, KP_API_DELETE_TOPICS, 5, &request);
    ck_assert_int_eq(response->responses.items[0].error_code, 0);
    says(response->responses.items[0].name, "t");
    ck_assert_ptr_null(km_topic_by_name(world->cluster, name));
    ck_assert_int_eq(changes, 1);
    km_unwatch(&watcher);
    mock_free(world);
}
END_TEST
