/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the cluster says of itself. */
#include "tests/unit/mock/mock_world.h"

#include <check.h>

START_TEST(api_versions_tells_what_is_served_and_no_more)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    kp_api_versions_req request;
    mock_defaults(KP_API_API_VERSIONS, &request);
    request.client_software_name = KC_STR("test");
    request.client_software_version = KC_STR("1");
    const kp_api_versions_resp *response = mock_ask(link, KP_API_API_VERSIONS, 4, &request);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_gt(response->api_keys.count, 3);
    for (int32_t i = 0; i < response->api_keys.count; i++)
        ck_assert_int_ne(response->api_keys.items[i].api_key, KP_API_STREAMS_GROUP_HEARTBEAT);
    ck_assert_int_eq(response->supported_features.count, 7);
    ck_assert_int_eq(response->finalized_features.count, 5);
    response = mock_ask(link, KP_API_API_VERSIONS, 3, &request);
    ck_assert_int_eq(response->supported_features.count, 1); // those from 0 are not told
    ck_assert_int_eq(response->finalized_features.count, 5);
    mock_free(world);
}
END_TEST

START_TEST(all_that_fits_a_cluster_is_allowed)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    /* The bits of CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE. */
    const int32_t all = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;
    kp_describe_cluster_req request;
    mock_defaults(KP_API_DESCRIBE_CLUSTER, &request);
    request.include_cluster_authorized_operations = true;
    const kp_describe_cluster_resp *response = mock_ask(link, KP_API_DESCRIBE_CLUSTER, 2, &request);
    ck_assert_int_eq(response->cluster_authorized_operations, all);
    kp_metadata_req older;
    mock_defaults(KP_API_METADATA, &older);
    older.include_cluster_authorized_operations = true;
    const kp_metadata_resp *metadata = mock_ask(link, KP_API_METADATA, 9, &older);
    ck_assert_int_eq(metadata->cluster_authorized_operations, all);
    mock_free(world);
}
END_TEST

START_TEST(the_quorum_is_all_brokers_and_the_controller_leads_it)
{
    mock_world *world = mock_new(3);
    mock_link *link = mock_link_new(world, 3);
    kp_describe_quorum_req_partition partitions[2] = {{.partition_index = 0},
                                                      {.partition_index = 1}};
    kp_describe_quorum_req_topic topic = {.topic_name = KC_STR("__cluster_metadata")};
    kp_describe_quorum_req request;
    mock_defaults(KP_API_DESCRIBE_QUORUM, &request);
    topic.partitions.items = partitions;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_describe_quorum_resp *response = mock_ask(link, KP_API_DESCRIBE_QUORUM, 2, &request);
    const kp_describe_quorum_resp_partition *quorum = response->topics.items[0].partitions.items;
    ck_assert_int_eq(quorum->error_code, 0);
    ck_assert_int_eq(quorum->leader_id, 1);
    ck_assert_int_eq(quorum->current_voters.count, 3);
    ck_assert_int_eq(quorum->current_voters.items[2].log_end_offset, quorum->high_watermark);
    ck_assert_int_eq(quorum->current_voters.items[2].last_fetch_timestamp, world->cluster->wall_ms);
    ck_assert_int_eq(response->nodes.count, 3);
    km_broker_stop(mock_broker(world, 2), false);
    response = mock_ask(link, KP_API_DESCRIBE_QUORUM, 1, &request);
    quorum = response->topics.items[0].partitions.items;
    ck_assert_int_eq(quorum->current_voters.items[1].log_end_offset, -1);
    ck_assert_int_eq(quorum->current_voters.items[1].last_caught_up_timestamp, -1);

    topic.partitions.count = 2; // only the one partition may be asked for
    response = mock_ask(link, KP_API_DESCRIBE_QUORUM, 2, &request);
    ck_assert_int_eq(response->topics.items[0].partitions.items[0].error_code,
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(response->nodes.count, 0);
    request.topics.count = 0;
    response = mock_ask(link, KP_API_DESCRIBE_QUORUM, 2, &request);
    ck_assert_int_eq(response->topics.count, 0);
    mock_free(world);
}
END_TEST

START_TEST(an_unknown_version_of_api_versions_is_answered_with_error_35_in_version_0)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    const uint8_t request[] = {0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0};
    mock_send_bytes(link, kc_span(request, sizeof request));
    ck_assert(!mock_is_closed(link));
    kc_bytes out = km_conn_output(mock_conn(link));
    ck_assert_uint_eq(out.len, 4 + 4 + 2 + 4 + 6);
    ck_assert_int_eq(out.ptr[9], 35);
    mock_free(world);
}
END_TEST

START_TEST(a_client_whose_software_has_no_proper_name_is_told_no_versions)
{
    static const struct {
        const char *name, *version;
        int16_t error;
    } cases[] = {{"my-client.c", "1.0-rc1", 0},          {"", "1", KC_E_INVALID_REQUEST},
                 {"name", "", KC_E_INVALID_REQUEST},     {"my client", "1", KC_E_INVALID_REQUEST},
                 {"name", "1.0-", KC_E_INVALID_REQUEST}, {"-name", "1.0", KC_E_INVALID_REQUEST}};
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kp_api_versions_req request = {.client_software_name = kc_str(cases[i].name),
                                       .client_software_version = kc_str(cases[i].version)};
        const kp_api_versions_resp *response = mock_ask(link, KP_API_API_VERSIONS, 4, &request);
        ck_assert_int_eq(response->error_code, cases[i].error);
        ck_assert_int_eq(response->api_keys.count > 0, cases[i].error == 0);
    }
    mock_free(world);
}
END_TEST

START_TEST(what_is_not_served_closes_the_connection)
{
    const uint8_t unknown_api[] = {0, 0, 0, 10, 0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff};
    const uint8_t unknown_version[] = {0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff};
    const uint8_t too_long[] = {0x7f, 0xff, 0xff, 0xff};
    const uint8_t negative[] = {0xff, 0xff, 0xff, 0xff};
    const kc_bytes bad[] = {kc_span(unknown_api, sizeof unknown_api),
                            kc_span(unknown_version, sizeof unknown_version),
                            kc_span(too_long, sizeof too_long), kc_span(negative, sizeof negative)};
    mock_world *world = mock_new(1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mock_link *link = mock_link_new(world, 1);
        mock_send_bytes(link, bad[i]);
        ck_assert(mock_is_closed(link));
    }
    mock_free(world);
}
END_TEST

START_TEST(metadata_makes_a_topic_that_is_asked_for_and_names_its_leaders_the_next_time)
{
    mock_world *world = mock_new(3);
    mock_topic(world, "six", 6);
    kp_metadata_req_topic topics[2] = {{.name = KC_STR("six")}, {.name = KC_STR("new")}};
    kp_metadata_req request;
    mock_defaults(KP_API_METADATA, &request);
    request.topics.items = topics;
    request.topics.count = 2;
    mock_link *link = mock_link_new(world, 2);
    const kp_metadata_resp *response = mock_ask(link, KP_API_METADATA, 13, &request);
    ck_assert_int_eq(response->brokers.count, 3);
    ck_assert_int_eq(response->topics.count, 2);
    ck_assert_int_eq(response->topics.items[0].partitions.count, 6);
    ck_assert_int_eq(response->topics.items[0].partitions.items[4].isr_nodes.count, 3);
    ck_assert_int_eq(response->topics.items[1].error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(response->topics.items[1].partitions.count, 0);
    response = mock_ask(link, KP_API_METADATA, 13, &request);
    ck_assert_int_eq(response->topics.items[1].error_code, 0);
    ck_assert_int_eq(response->topics.items[1].partitions.count, 1);
    mock_free(world);
}
END_TEST

START_TEST(metadata_of_a_name_given_twice_comes_once)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "a", 1);
    kp_metadata_req_topic topics[] = {
        {.name = KC_STR("a")}, {.name = KC_STR("b")}, {.name = KC_STR("a")}};
    kp_metadata_req request;
    mock_defaults(KP_API_METADATA, &request);
    request.topics.items = topics;
    request.topics.count = 3;
    const kp_metadata_resp *response =
        mock_ask(mock_link_new(world, 1), KP_API_METADATA, 13, &request);
    ck_assert_int_eq(response->topics.count, 2);
    ck_assert(kc_bytes_equal(response->topics.items[1].name, KC_STR("b")));
    mock_free(world);
}
END_TEST

START_TEST(metadata_by_id_passes_over_names)
{
    mock_world *world = mock_new(1);
    const km_topic *topic = mock_topic(world, "six", 6);
    kp_metadata_req_topic topics[3] = {{.name = KC_STR(""), .topic_id = topic->id},
                                       {.name = KC_STR("new")},
                                       {.name = KC_STR("six"), .topic_id = {{1}}}};
    kp_metadata_req request;
    mock_defaults(KP_API_METADATA, &request);
    request.topics.items = topics;
    request.topics.count = 3;
    const kp_metadata_resp *response =
        mock_ask(mock_link_new(world, 1), KP_API_METADATA, 13, &request);
    ck_assert_int_eq(response->topics.count, 2);
    ck_assert_int_eq(response->topics.items[0].error_code, 0);
    ck_assert_mem_eq(response->topics.items[0].name.ptr, "six", 3);
    ck_assert_int_eq(response->topics.items[0].partitions.count, 6);
    ck_assert_int_eq(response->topics.items[1].error_code, KC_E_UNKNOWN_TOPIC_ID);
    ck_assert_ptr_null(response->topics.items[1].name.ptr);
    ck_assert_ptr_null(km_topic_by_name(world->cluster, KC_STR("new")));
    mock_free(world);
}
END_TEST

START_TEST(a_broker_that_stops_gives_its_partitions_to_others_with_a_new_epoch)
{
    mock_world *world = mock_new(3);
    const km_topic *topic = mock_topic(world, "t", 3);
    int32_t leader = topic->partitions[0]->leader;
    mock_link *link = mock_link_new(world, leader);
    km_broker_stop(mock_broker(world, leader), false);
    ck_assert(mock_is_closed(link));
    ck_assert_int_ne(topic->partitions[0]->leader, leader);
    ck_assert_int_eq(topic->partitions[0]->leader_epoch, 1);
    km_broker_start(mock_broker(world, leader));
    ck_assert_int_ne(topic->partitions[0]->leader, leader);
    mock_free(world);
}
END_TEST

START_TEST(describe_topic_partitions_goes_on_at_its_cursor)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "b", 3);
    mock_topic(world, "a", 3);
    mock_link *link = mock_link_new(world, 1);
    kp_describe_topic_partitions_req request;
    kp_describe_topic_partitions_req_cursor cursor = {.topic_name = KC_STR("b"),
                                                      .partition_index = 1};
    mock_defaults(KP_API_DESCRIBE_TOPIC_PARTITIONS, &request);
    request.response_partition_limit = 4;
    const kp_describe_topic_partitions_resp *response =
        mock_ask(link, KP_API_DESCRIBE_TOPIC_PARTITIONS, 0, &request);
    ck_assert_int_eq(response->topics.count, 2);
    ck_assert(kc_bytes_equal(response->topics.items[0].name, KC_STR("a")));
    ck_assert_int_eq(response->topics.items[1].partitions.count, 1);
    ck_assert_int_eq(response->next_cursor->partition_index, 1);
    request.cursor = &cursor;
    response = mock_ask(link, KP_API_DESCRIBE_TOPIC_PARTITIONS, 0, &request);
    ck_assert_int_eq(response->topics.count, 1);
    ck_assert_int_eq(response->topics.items[0].partitions.items[0].partition_index, 1);
    ck_assert_ptr_null(response->next_cursor);
    mock_free(world);
}
END_TEST

START_TEST(described_topics_come_once_and_a_topic_that_does_not_fit_is_where_to_go_on)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    mock_topic(world, "a", 3);
    mock_topic(world, "b", 3);
    kp_describe_topic_partitions_req_topic topics[] = {
        {.name = KC_STR("b")}, {.name = KC_STR("a")}, {.name = KC_STR("b")}};
    kp_describe_topic_partitions_req request;
    mock_defaults(KP_API_DESCRIBE_TOPIC_PARTITIONS, &request);
    request.topics.items = topics;
    request.topics.count = 3;
    const kp_describe_topic_partitions_resp *response =
        mock_ask(link, KP_API_DESCRIBE_TOPIC_PARTITIONS, 0, &request);
    ck_assert_int_eq(response->topics.count, 2);
    request.response_partition_limit = 3;
    response = mock_ask(link, KP_API_DESCRIBE_TOPIC_PARTITIONS, 0, &request);
    ck_assert_int_eq(response->topics.count, 1);
    ck_assert(kc_bytes_equal(response->next_cursor->topic_name, KC_STR("b")));
    ck_assert_int_eq(response->next_cursor->partition_index, 0);
    request.response_partition_limit = 0; /* as 1 */
    response = mock_ask(link, KP_API_DESCRIBE_TOPIC_PARTITIONS, 0, &request);
    ck_assert_int_eq(response->topics.items[0].partitions.count, 1);
    ck_assert_int_eq(response->next_cursor->partition_index, 1);
    mock_free(world);
}
END_TEST

START_TEST(a_cursor_that_is_none_is_refused_for_every_topic_that_is_asked_for)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    mock_topic(world, "a", 3);
    const kp_describe_topic_partitions_req_cursor bad[] = {
        {.topic_name = KC_STR("a"), .partition_index = -1}, {.topic_name = KC_STR("b")}};
    kp_describe_topic_partitions_req_topic topics[] = {{.name = KC_STR("a")},
                                                       {.name = KC_STR("a")}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kp_describe_topic_partitions_req_cursor cursor = bad[i];
        kp_describe_topic_partitions_req request;
        mock_defaults(KP_API_DESCRIBE_TOPIC_PARTITIONS, &request);
        request.topics.items = topics;
        request.topics.count = 2;
        request.cursor = &cursor;
        const kp_describe_topic_partitions_resp *response =
            mock_ask(link, KP_API_DESCRIBE_TOPIC_PARTITIONS, 0, &request);
        ck_assert_int_eq(response->topics.count, 2);
        ck_assert_int_eq(response->topics.items[1].error_code, KC_E_INVALID_REQUEST);
        ck_assert_int_eq(response->topics.items[1].topic_authorized_operations, INT32_MIN);
    }
    mock_free(world);
}
END_TEST

START_TEST(what_may_be_done_with_a_topic_is_told_of_one_that_is_not_there)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    kp_metadata_req_topic topic = {.name = KC_STR("none")};
    kp_metadata_req request;
    mock_defaults(KP_API_METADATA, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    request.allow_auto_topic_creation = false;
    request.include_topic_authorized_operations = true;
    const kp_metadata_resp *response = mock_ask(link, KP_API_METADATA, 12, &request);
    ck_assert_int_eq(response->topics.items[0].error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(response->topics.items[0].topic_authorized_operations, 0x0df8);
    kp_describe_topic_partitions_req_topic named = {.name = KC_STR("none")};
    kp_describe_topic_partitions_req asked;
    mock_defaults(KP_API_DESCRIBE_TOPIC_PARTITIONS, &asked);
    asked.topics.items = &named;
    asked.topics.count = 1;
    const kp_describe_topic_partitions_resp *told =
        mock_ask(link, KP_API_DESCRIBE_TOPIC_PARTITIONS, 0, &asked);
    ck_assert_int_eq(told->topics.items[0].error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(told->topics.items[0].topic_authorized_operations, 0x0df8);
    mock_free(world);
}
END_TEST

START_TEST(a_coordinator_stands_where_kafka_puts_it)
{
    static const struct {
        const char *key;
        int32_t partition;
    } known[] = {{"group", 47},           {"my-group", 12},          {"orders", 31},
                 {"gruppe-\xc3\xa4", 48}, {"x\xf0\x9f\x98\x80", 19}, {"polygenelubricants", 0}};
    mock_world *world = mock_new(1);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        ck_assert_int_eq(
            km_coordinator_partition(world->cluster, KM_COORDINATOR_GROUP, kc_str(known[i].key))
                ->index,
            known[i].partition);
    mock_free(world);
}
END_TEST

START_TEST(all_that_may_be_done_with_a_cluster_or_a_topic_is_told_when_asked_for)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    mock_topic(world, "topic", 1);
    kp_metadata_req_topic topic = {.name = KC_STR("topic")};
    kp_metadata_req request;
    mock_defaults(KP_API_METADATA, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    request.include_cluster_authorized_operations = true;
    request.include_topic_authorized_operations = true;
    const kp_metadata_resp *response = mock_ask(link, KP_API_METADATA, 10, &request);
    ck_assert_int_eq(response->cluster_authorized_operations, 0x1fa0);
    ck_assert_int_eq(response->topics.items[0].topic_authorized_operations, 0x0df8);
    kp_describe_cluster_req asked;
    mock_defaults(KP_API_DESCRIBE_CLUSTER, &asked);
    asked.include_cluster_authorized_operations = true;
    const kp_describe_cluster_resp *told = mock_ask(link, KP_API_DESCRIBE_CLUSTER, 2, &asked);
    ck_assert_int_eq(told->cluster_authorized_operations, 0x1fa0);
    mock_free(world);
}
END_TEST
