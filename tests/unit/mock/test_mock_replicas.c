/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What administrators ask of replicas; codes and sentences are those of Kafka 4.3.1. */
#include "tests/unit/mock/mock_world.h"

#include <check.h>

static const kp_elect_leaders_resp *elect(mock_link *link, int8_t type, const char *topic,
                                          int32_t partition)
{
    kp_elect_leaders_req request;
    kp_elect_leaders_req_topic_partition one = {.topic = kc_str(topic)};
    mock_defaults(KP_API_ELECT_LEADERS, &request);
    one.partitions.items = &partition;
    one.partitions.count = 1;
    request.election_type = type;
    request.topic_partitions.items = &one;
    request.topic_partitions.count = topic ? 1 : -1;
    return mock_ask(link, KP_API_ELECT_LEADERS, 2, &request);
}

/** Of the one partition that was asked for. */
static void is_told(const kp_elect_leaders_resp *response, int16_t code, const char *why)
{
    ck_assert_int_eq(response->replica_election_results.count, 1);
    ck_assert_int_eq(response->replica_election_results.items[0].partition_result.count, 1);
    const kp_elect_leaders_resp_partition_result *result =
        &response->replica_election_results.items[0].partition_result.items[0];
    ck_assert_int_eq(result->error_code, code);
    ck_assert(kc_bytes_equal(result->error_message, kc_str(why)));
}

START_TEST(the_preferred_leader_leads_again_once_it_is_asked_for)
{
    mock_world *world = mock_new(3);
    mock_link *link = mock_link_new(world, 1);
    const km_partition *partition = mock_topic(world, "t", 2)->partitions[1];
    int32_t preferred = partition->replicas[0];
    const char *not_needed = "Leader election not needed for topic partition.";
    is_told(elect(link, 0, "t", 1), KC_E_ELECTION_NOT_NEEDED, not_needed);
    km_broker_stop(mock_broker(world, preferred), false);
    is_told(elect(link, 0, "t", 1), KC_E_PREFERRED_LEADER_NOT_AVAILABLE,
            "The preferred leader was not available.");
    km_broker_start(mock_broker(world, preferred));
    int32_t epoch = partition->leader_epoch;
    ck_assert_int_ne(partition->leader, preferred);
    is_told(elect(link, 1, "t", 1), KC_E_ELECTION_NOT_NEEDED, not_needed);
    is_told(elect(link, 0, "t", 1), 0, NULL);
    ck_assert_int_eq(partition->leader, preferred);
    ck_assert_int_eq(partition->leader_epoch, epoch + 1);
    mock_free(world);
}
END_TEST

START_TEST(an_election_for_all_tells_only_what_was_done)
{
    mock_world *world = mock_new(3);
    mock_link *link = mock_link_new(world, 1);
    km_partition *partition = mock_topic(world, "t", 3)->partitions[2];
    km_partition_move(world->cluster, partition, partition->replicas[1]);
    is_told(elect(link, 0, NULL, 0), 0, NULL);
    ck_assert_int_eq(partition->leader, partition->replicas[0]);
    const kp_elect_leaders_resp *response = elect(link, 0, NULL, 0);
    ck_assert_int_eq(response->replica_election_results.count, 1);
    ck_assert_int_eq(response->replica_election_results.items[0].partition_result.count, 0);
    mock_free(world);
}
END_TEST

START_TEST(an_election_that_can_not_be_is_refused_with_kafka_s_words)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    mock_topic(world, "t", 1);
    is_told(elect(link, 0, "t", 7), KC_E_UNKNOWN_TOPIC_OR_PARTITION, "No such partition as t-7");
    is_told(elect(link, 0, "u", 0), KC_E_UNKNOWN_TOPIC_OR_PARTITION, "No such topic as u");
    const kp_elect_leaders_resp *response = elect(link, 7, "t", 0);
    ck_assert_int_eq(response->error_code, KC_E_INVALID_REQUEST);
    is_told(response, KC_E_INVALID_REQUEST, "Unknown election type 7");
    mock_free(world);
}
END_TEST

static const kp_describe_log_dirs_resp_result *describe(mock_link *link,
                                                        const kp_describe_log_dirs_req_topic *topic)
{
    kp_describe_log_dirs_req request;
    mock_defaults(KP_API_DESCRIBE_LOG_DIRS, &request);
    request.topics.items = (kp_describe_log_dirs_req_topic *)topic;
    request.topics.count = topic ? 1 : -1;
    const kp_describe_log_dirs_resp *response =
        mock_ask(link, KP_API_DESCRIBE_LOG_DIRS, 5, &request);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->results.count, 1);
    return &response->results.items[0];
}

START_TEST(a_broker_tells_the_size_of_the_logs_it_has)
{
    mock_world *world = mock_new(2);
    km_topic *topic;
    const int32_t replicas[] = {1, 2};
    ck_assert_int_eq(km_topic_create_with(world->cluster, KC_STR("t"), 2, 1, replicas, &topic), 0);
    kc_bytes rest = mock_batch(world, 3, NULL);
    size_t len = rest.len;
    kp_batch batch;
    ck_assert_int_eq(kp_batch_next(&rest, false, &batch), KC_OK);
    ck_assert_int_eq(km_log_append(&topic->partitions[1]->log, &batch, 0), KC_OK);
    const kp_describe_log_dirs_resp_result *dir = describe(mock_link_new(world, 2), NULL);
    ck_assert_int_eq(dir->error_code, 0);
    ck_assert_int_eq(dir->topics.count, 1);
    ck_assert_int_eq(dir->topics.items[0].partitions.count, 1);
    ck_assert_int_eq(dir->topics.items[0].partitions.items[0].partition_index, 1);
    ck_assert_int_eq(dir->topics.items[0].partitions.items[0].partition_size, (int64_t)len);
    kp_describe_log_dirs_req_topic asked = {.topic = KC_STR("t")};
    int32_t index = 1;
    asked.partitions.items = &index;
    asked.partitions.count = 1;
    ck_assert_int_eq(describe(mock_link_new(world, 2), &asked)->topics.count, 1);
    ck_assert_int_eq(describe(mock_link_new(world, 1), &asked)->topics.count, 0);
    asked.topic = KC_STR("u");
    ck_assert_int_eq(describe(mock_link_new(world, 2), &asked)->topics.count, 0);
    mock_free(world);
}
END_TEST

START_TEST(no_partition_is_on_its_way)
{
    mock_world *world = mock_new(1);
    kp_list_partition_reassignments_req request;
    mock_topic(world, "t", 1);
    mock_defaults(KP_API_LIST_PARTITION_REASSIGNMENTS, &request);
    const kp_list_partition_reassignments_resp *response =
        mock_ask(mock_link_new(world, 1), KP_API_LIST_PARTITION_REASSIGNMENTS, 0, &request);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->topics.count, 0);
    mock_free(world);
}
END_TEST
