/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What transactions do elsewhere: a group's offsets, and markers while brokers come and go. */
#include "mock/group_offsets.h"
#include "mock/producer_state.h"
#include "tests/unit/mock/mock_txns.h"

#include <check.h>
#include <stdio.h>

/* ---- offsets of groups ---- */

static int64_t committed_offset(const mock_world *world, const char *group)
{
    const km_group *found = km_group_find(world->cluster, kc_str(group));
    const km_offset *offset = found ? km_group_offset_get(found, KC_STR("t"), 0) : NULL;
    return offset ? offset->offset : -1;
}

static bool has_pending(const mock_world *world, const char *group)
{
    const km_group *found = km_group_find(world->cluster, kc_str(group));
    return found && km_group_offset_is_pending(found, KC_STR("t"), 0);
}

START_TEST(offsets_count_when_the_transaction_is_committed)
{
    mock_world *world = mock_new(3);
    mock_topic(world, "t", 1);
    who producer = txn_init(world);
    ck_assert_int_eq(txn_commit_offset_at(world, 3, producer, "g", 5, -1), KC_E_INVALID_TXN_STATE);
    ck_assert_int_eq(txn_commit_offset_at(world, 4, producer, "g", 5, -1),
                     KC_E_TRANSACTION_ABORTABLE);
    ck_assert_int_eq(txn_add_offsets(world, producer, "g"), 0);
    for (int16_t version = 0; version < 5; version++)
        ck_assert_int_eq(txn_commit_offset_at(world, version, producer, "g", 5 + version, -1), 0);
    ck_assert(has_pending(world, "g"));
    ck_assert_int_eq(committed_offset(world, "g"), -1);
    ck_assert_int_eq(txn_end_at(world, 4, &producer, true), 0);
    ck_assert(!has_pending(world, "g"));
    ck_assert_int_eq(committed_offset(world, "g"), 9);
    /* Protocol 2: no AddOffsetsToTxn. */
    ck_assert_int_eq(txn_commit_offset_at(world, 5, producer, "g", 20, -1), 0);
    ck_assert(has_pending(world, "g"));
    ck_assert_int_eq(txn_end_at(world, 5, &producer, false), 0);
    ck_assert(!has_pending(world, "g"));
    ck_assert_int_eq(committed_offset(world, "g"), 9);
    ck_assert_int_eq(txn_commit_offset_at(world, 5, producer, "g", 30, -1), 0);
    who old = producer;
    ck_assert_int_eq(txn_end_at(world, 5, &producer, true), 0);
    ck_assert_int_eq(committed_offset(world, "g"), 30);
    ck_assert_int_eq(txn_commit_offset_at(world, 5, old, "g", 1, -1), KC_E_INVALID_PRODUCER_EPOCH);
    mock_free(world);
}
END_TEST

START_TEST(offsets_are_refused_where_the_group_or_the_topic_does_not_fit)
{
    mock_world *world = mock_new(1);
    who producer = txn_init(world);
    mock_link *link = mock_link_new(world, 1);
    ck_assert_int_eq(txn_commit_offset_at(world, 5, producer, "g", 1, -1),
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_EMPTY);
    mock_topic(world, "t", 1);
    ck_assert_int_eq(txn_commit_offset_at(world, 5, producer, "", 1, -1), KC_E_INVALID_GROUP_ID);
    ck_assert_int_eq(txn_commit_offset_at(world, 5, producer, "g", 1, 3), KC_E_ILLEGAL_GENERATION);
    ck_assert_int_eq(txn_commit_offset_at(world, 5, producer, "g", 1, -1), 0);
    ck_assert_int_eq(txn_commit_offset_at(world, 5, producer, "g", 1, 3), KC_E_UNKNOWN_MEMBER_ID);
    kp_txn_offset_commit_req request;
    char large[5000];
    memset(large, 'x', sizeof large);
    kp_txn_offset_commit_req_partition parts[] = {
        {.partition_index = 0, .committed_offset = 7, .committed_leader_epoch = -1},
        {.partition_index = 9, .committed_leader_epoch = -1},
        {.partition_index = 0,
         .committed_leader_epoch = -1,
         .committed_metadata = kc_span(large, sizeof large)},
    };
    kp_txn_offset_commit_req_topic topic = {.name = KC_STR("t")};
    topic.partitions.items = parts;
    topic.partitions.count = 3;
    mock_defaults(KP_API_TXN_OFFSET_COMMIT, &request);
    request.transactional_id = KC_STR(TXN_ID);
    request.group_id = KC_STR("g");
    request.producer_id = producer.id;
    request.producer_epoch = producer.epoch;
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_txn_offset_commit_resp *response =
        mock_ask(link, KP_API_TXN_OFFSET_COMMIT, 5, &request);
    ck_assert_int_eq(response->topics.items[0].partitions.items[0].error_code, 0);
    ck_assert_int_eq(response->topics.items[0].partitions.items[1].error_code,
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(response->topics.items[0].partitions.items[2].error_code,
                     KC_E_OFFSET_METADATA_TOO_LARGE);
    mock_free(world);
}
END_TEST

/** The only member of a new classic group, in its first generation. */
static void join_alone(mock_world *world, const char *group, char *member_out, size_t cap)
{
    mock_link *link = mock_coordinator(world, KM_COORDINATOR_GROUP, group);
    kp_join_group_req join;
    kp_join_group_req_protocol protocol = {.name = KC_STR("range"), .metadata = KC_STR("x")};
    mock_defaults(KP_API_JOIN_GROUP, &join);
    join.group_id = kc_str(group);
    join.session_timeout_ms = 30000;
    join.rebalance_timeout_ms = 30000;
    join.protocol_type = KC_STR("consumer");
    join.protocols.items = &protocol;
    join.protocols.count = 1;
    const kp_join_group_resp *joined = mock_ask(link, KP_API_JOIN_GROUP, 3, &join);
    ck_assert_int_eq(joined->error_code, 0);
    ck_assert_int_eq(joined->generation_id, 1);
    snprintf(member_out, cap, KC_FMT, KC_ARG(joined->member_id));
    kp_sync_group_req sync;
    mock_defaults(KP_API_SYNC_GROUP, &sync);
    sync.group_id = kc_str(group);
    sync.generation_id = 1;
    sync.member_id = kc_str(member_out);
    const kp_sync_group_resp *synced = mock_ask(link, KP_API_SYNC_GROUP, 2, &sync);
    ck_assert_int_eq(synced->error_code, 0);
}

START_TEST(a_member_of_an_older_generation_commits_nothing)
{
    mock_world *world = mock_new(1);
    char member[128];
    mock_topic(world, "t", 1);
    who producer = txn_init(world);
    join_alone(world, "g", member, sizeof member);
    const txn_member now = {kc_str(member), 1};
    const txn_member before = {kc_str(member), 0};
    const txn_member stranger = {KC_STR("somebody"), 1};
    ck_assert_int_eq(txn_commit_offset_as(world, 5, producer, "g", 1, &now), 0);
    ck_assert_int_eq(txn_commit_offset_as(world, 5, producer, "g", 2, &before),
                     KC_E_ILLEGAL_GENERATION);
    ck_assert_int_eq(txn_commit_offset_as(world, 5, producer, "g", 3, &stranger),
                     KC_E_UNKNOWN_MEMBER_ID);
    /* Clients of before KIP-447 do not say who they are. */
    ck_assert_int_eq(txn_commit_offset_at(world, 2, producer, "g", 4, -1), 0);
    ck_assert_int_eq(txn_end_at(world, 5, &producer, true), 0);
    ck_assert_int_eq(committed_offset(world, "g"), 4);
    mock_free(world);
}
END_TEST

/* ---- brokers come and go ---- */

/** Stop brokers until a partition has no leader; which ones. */
static void stop_replicas(mock_world *world, const km_partition *partition)
{
    while (partition->leader > 0)
        km_broker_stop(mock_broker(world, partition->leader), false);
}

static void start_all(mock_world *world)
{
    for (int32_t i = 1; i <= world->cluster->broker_count; i++)
        km_broker_start(mock_broker(world, i));
    mock_run(world, 0);
}

/** A topic whose only replica is not at the coordinator of TXN_ID. */
static km_partition *partition_elsewhere(mock_world *world)
{
    int32_t at =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_TRANSACTION, KC_STR(TXN_ID))
            ->leader;
    km_topic *topic = NULL;
    ck_assert_int_eq(km_topic_create(world->cluster, KC_STR("t"), 3, 1, &topic), 0);
    for (int32_t i = 0; i < 3; i++)
        if (topic->partitions[i]->leader != at)
            return topic->partitions[i];
    ck_abort();
}

START_TEST(a_partition_without_a_leader_gets_its_marker_later)
{
    mock_world *world = mock_new(3);
    km_partition *partition = partition_elsewhere(world);
    who producer = txn_init(world);
    const kp_batch_producer as = {producer.id, producer.epoch, 0, true};
    ck_assert_int_eq(txn_produce_as(world, 13, "t", partition->index, &as), 0);
    stop_replicas(world, partition);
    ck_assert_int_eq(txn_end_at(world, 5, &producer, true), 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    mock_run(world, 100000); /* prepared is decided: no timeout */
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    start_all(world);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
    ck_assert_int_eq(txn_count_committed(partition), 1);
    mock_free(world);
}
END_TEST

START_TEST(what_a_coordinator_knows_moves_to_the_next_one)
{
    mock_world *world = mock_new(3);
    const km_topic *topic = mock_topic(world, "t", 1);
    who producer = txn_init(world);
    ck_assert_int_eq(txn_produce(world, 13, producer, 0), 0);
    km_partition *at =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_TRANSACTION, KC_STR(TXN_ID));
    int32_t before = at->leader;
    km_broker_stop(mock_broker(world, before), true);
    ck_assert_int_ne(at->leader, before);
    ck_assert_int_eq(txn_end_at(world, 5, &producer, true), 0);
    ck_assert_int_eq(producer.epoch, 1);
    ck_assert_int_eq(txn_count_committed(topic->partitions[0]), 1);
    /* Without any coordinator a timeout waits for one. */
    ck_assert_int_eq(txn_produce(world, 13, producer, 0), 0);
    stop_replicas(world, at);
    mock_run(world, 70000);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_ONGOING);
    start_all(world);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_ABORT);
    mock_free(world);
}
END_TEST

START_TEST(a_marker_that_is_lost_with_a_leader_is_written_again)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 3;
    options.replication_us = 10000;
    mock_world *world = mock_new_with(&options);
    const km_topic *topic = mock_topic(world, "t", 1);
    km_partition *partition = topic->partitions[0];
    who producer = txn_init(world);
    ck_assert_int_eq(txn_add(world, producer, "t", 0), 0);
    const kp_batch_producer as = {producer.id, producer.epoch, 0, true};
    kc_bytes bytes = mock_batch(world, 1, &as);
    kp_batch batch;
    ck_assert_int_eq(kp_batch_next(&bytes, true, &batch), KC_OK);
    ck_assert_int_eq(km_producers_reserve(partition, producer.id), KC_OK);
    ck_assert_int_eq(km_log_append(&partition->log, &batch, partition->leader_epoch), KC_OK);
    km_producers_appended(partition);
    km_partition_appended(partition);
    mock_run(world, 10);
    ck_assert_int_eq(partition->log.high_watermark, 1);
    ck_assert_int_eq(txn_end_at(world, 4, &producer, true), 0);
    ck_assert_int_eq(partition->log.end_offset, 2);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    ck_assert_int_eq(km_partition_last_stable(partition), 0);
    km_broker_stop(mock_broker(world, partition->leader), true);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    mock_run(world, 0);
    ck_assert_int_eq(partition->log.end_offset, 2); /* lost, and again */
    mock_run(world, 20);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
    ck_assert_int_eq(partition->log.end_offset, 2);
    ck_assert_int_eq(txn_count_committed(partition), 1);
    mock_free(world);
}
END_TEST

START_TEST(a_topic_that_is_deleted_leaves_the_transaction)
{
    km_options options;
    km_options_init(&options);
    options.broker_count = 2;
    options.replication_us = 10000;
    mock_world *world = mock_new_with(&options);
    km_topic *topic = mock_topic(world, "t", 1);
    km_topic *other = mock_topic(world, "u", 1);
    who producer = txn_init(world);
    ck_assert_int_eq(txn_add(world, producer, "t", 0), 0);
    ck_assert_int_eq(txn_add(world, producer, "u", 0), 0);
    km_topic_delete(world->cluster, topic);
    ck_assert_int_eq(txn_end_at(world, 5, &producer, true), 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_PREPARE_COMMIT);
    km_topic_delete(world->cluster, other); /* while its marker waits to be replicated */
    mock_run(world, 0);
    ck_assert_int_eq(txn_of(world)->state, KM_TXN_COMPLETE_COMMIT);
    mock_free(world);
}
END_TEST
