/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Transactions ended by hand, as kafka-transactions does; codes are those of Kafka 4.3.1. */
#include "mock/producer_state.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>

#define PRODUCER 77

/** With one partition; its code. */
static int16_t end_on(mock_link *link, const char *topic, int32_t partition, int16_t epoch,
                      int32_t coordinator_epoch, int8_t version)
{
    kp_write_txn_markers_req request;
    kp_write_txn_markers_req_topic of_topic = {.name = kc_str(topic)};
    of_topic.partition_indexes.items = &partition;
    of_topic.partition_indexes.count = 1;
    kp_write_txn_markers_req_marker marker = {.producer_id = PRODUCER,
                                              .producer_epoch = epoch,
                                              .coordinator_epoch = coordinator_epoch,
                                              .transaction_version = version};
    marker.topics.items = &of_topic;
    marker.topics.count = 1;
    mock_defaults(KP_API_WRITE_TXN_MARKERS, &request);
    request.markers.items = &marker;
    request.markers.count = 1;
    const kp_write_txn_markers_resp *response =
        mock_ask(link, KP_API_WRITE_TXN_MARKERS, 2, &request);
    ck_assert_int_eq(response->markers.count, 1);
    ck_assert_int_eq(response->markers.items[0].producer_id, PRODUCER);
    ck_assert_int_eq(response->markers.items[0].topics.count, 1);
    ck_assert_int_eq(response->markers.items[0].topics.items[0].partitions.count, 1);
    return response->markers.items[0].topics.items[0].partitions.items[0].error_code;
}

static void open_transaction(mock_world *world, km_partition *partition, int16_t epoch)
{
    const kp_batch_producer producer = {PRODUCER, epoch, 0, true};
    kc_bytes rest = mock_batch(world, 2, &producer);
    kp_batch batch;
    ck_assert_int_eq(kp_batch_next(&rest, false, &batch), KC_OK);
    ck_assert_int_eq(km_producers_reserve(partition, PRODUCER), KC_OK);
    ck_assert_int_eq(km_log_append(&partition->log, &batch, partition->leader_epoch), KC_OK);
    km_producers_appended(partition);
    km_partition_appended(partition);
}

START_TEST(a_transaction_that_hangs_is_aborted)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    km_partition *partition = mock_topic(world, "t", 1)->partitions[0];
    open_transaction(world, partition, 3);
    ck_assert_int_eq(km_partition_last_stable(partition), 0);
    ck_assert_int_eq(end_on(link, "t", 0, 3, 4, 0), 0);
    ck_assert_int_eq(km_partition_last_stable(partition), 3);
    km_aborted aborted;
    ck_assert_uint_eq(km_producers_aborted(partition, 0, 3, &aborted, 1), 1);
    ck_assert_int_eq(aborted.producer_id, PRODUCER);
    mock_free(world);
}
END_TEST

START_TEST(a_marker_must_not_be_older_than_what_is_known_of_its_producer)
{
    mock_world *world = mock_new(1);
    mock_link *link = mock_link_new(world, 1);
    km_partition *partition = mock_topic(world, "t", 1)->partitions[0];
    ck_assert_int_eq(end_on(link, "t", 0, -1, 5, 0), KC_E_UNKNOWN_SERVER_ERROR);
    ck_assert_int_eq(end_on(link, "t", 0, 5, 5, 0), 0);
    ck_assert_int_eq(end_on(link, "t", 0, 4, 5, 0), KC_E_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(end_on(link, "t", 0, 5, 4, 0), KC_E_TRANSACTION_COORDINATOR_FENCED);
    ck_assert_int_eq(end_on(link, "t", 0, 5, 5, 2), 0);
    open_transaction(world, partition, 5);
    ck_assert_int_eq(end_on(link, "t", 0, 5, 5, 2), KC_E_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(end_on(link, "t", 0, 6, 5, 2), 0);
    mock_free(world);
}
END_TEST

START_TEST(a_marker_goes_to_the_leader)
{
    mock_world *world = mock_new(3);
    km_topic *topic;
    const int32_t replicas[] = {1, 2};
    ck_assert_int_eq(km_topic_create_with(world->cluster, KC_STR("t"), 1, 2, replicas, &topic), 0);
    ck_assert_int_eq(end_on(mock_link_new(world, 2), "t", 0, 0, 0, 0), KC_E_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(end_on(mock_link_new(world, 3), "t", 0, 0, 0, 0),
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(end_on(mock_link_new(world, 1), "t", 7, 0, 0, 0),
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(end_on(mock_link_new(world, 1), "t", 0, 0, 0, 0), 0);
    mock_free(world);
}
END_TEST
