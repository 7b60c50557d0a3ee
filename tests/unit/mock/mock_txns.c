/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Requests of a transactional producer. */
#include "tests/unit/mock/mock_txns.h"

#include "mock/producer_state.h"

#include <check.h>

mock_link *txn_coordinator(mock_world *world)
{
    return mock_coordinator(world, KM_COORDINATOR_TRANSACTION, TXN_ID);
}

int16_t txn_init_at(mock_world *world, int16_t version, who *producer)
{
    kp_init_producer_id_req request;
    mock_defaults(KP_API_INIT_PRODUCER_ID, &request);
    request.transactional_id = KC_STR(TXN_ID);
    request.transaction_timeout_ms = 60000;
    request.producer_id = producer->id;
    request.producer_epoch = producer->epoch;
    const kp_init_producer_id_resp *response =
        mock_ask(txn_coordinator(world), KP_API_INIT_PRODUCER_ID, version, &request);
    *producer = (who){response->producer_id, response->producer_epoch};
    return response->error_code;
}

who txn_init(mock_world *world)
{
    who producer = {-1, -1};
    ck_assert_int_eq(txn_init_at(world, 5, &producer), 0);
    return producer;
}

int16_t txn_add_to(mock_world *world, int16_t version, const char *id, who producer,
                   const km_txn_part *part)
{
    kp_add_partitions_to_txn_req request;
    kp_add_partitions_to_txn_req_topic named = {.name = part->topic};
    int32_t index = part->index;
    named.partitions.items = &index;
    named.partitions.count = 1;
    mock_defaults(KP_API_ADD_PARTITIONS_TO_TXN, &request);
    request.v3_and_below_transactional_id = kc_str(id);
    request.v3_and_below_producer_id = producer.id;
    request.v3_and_below_producer_epoch = producer.epoch;
    request.v3_and_below_topics.items = &named;
    request.v3_and_below_topics.count = 1;
    const kp_add_partitions_to_txn_resp *response =
        mock_ask(mock_coordinator(world, KM_COORDINATOR_TRANSACTION, id),
                 KP_API_ADD_PARTITIONS_TO_TXN, version, &request);
    ck_assert_int_eq(response->results_by_topic_v3_and_below.count, 1);
    const kp_add_partitions_to_txn_resp_topic_result *result =
        &response->results_by_topic_v3_and_below.items[0];
    ck_assert_int_eq(result->results_by_partition.items[0].partition_index, index);
    return result->results_by_partition.items[0].partition_error_code;
}

int16_t txn_add_at(mock_world *world, int16_t version, who producer, const char *topic,
                   int32_t index)
{
    const km_txn_part part = {kc_str(topic), index};
    return txn_add_to(world, version, TXN_ID, producer, &part);
}

int16_t txn_add(mock_world *world, who producer, const char *topic, int32_t index)
{
    return txn_add_at(world, 3, producer, topic, index);
}

int16_t txn_end_at(mock_world *world, int16_t version, who *producer, bool is_commit)
{
    kp_end_txn_req request;
    mock_defaults(KP_API_END_TXN, &request);
    request.transactional_id = KC_STR(TXN_ID);
    request.producer_id = producer->id;
    request.producer_epoch = producer->epoch;
    request.committed = is_commit;
    const kp_end_txn_resp *response =
        mock_ask(txn_coordinator(world), KP_API_END_TXN, version, &request);
    if (version >= 5 && response->error_code == 0)
        *producer = (who){response->producer_id, response->producer_epoch};
    else
        ck_assert_int_eq(response->producer_id, -1);
    return response->error_code;
}

int16_t txn_add_offsets(mock_world *world, who producer, const char *group)
{
    kp_add_offsets_to_txn_req request;
    mock_defaults(KP_API_ADD_OFFSETS_TO_TXN, &request);
    request.transactional_id = KC_STR(TXN_ID);
    request.producer_id = producer.id;
    request.producer_epoch = producer.epoch;
    request.group_id = kc_str(group);
    const kp_add_offsets_to_txn_resp *response =
        mock_ask(txn_coordinator(world), KP_API_ADD_OFFSETS_TO_TXN, 4, &request);
    return response->error_code;
}

int16_t txn_commit_offset_as(mock_world *world, int16_t version, who producer, const char *group,
                             int64_t offset, const txn_member *member)
{
    kp_txn_offset_commit_req request;
    kp_txn_offset_commit_req_partition part = {.committed_offset = offset,
                                               .committed_leader_epoch = -1,
                                               .committed_metadata = KC_STR("m")};
    kp_txn_offset_commit_req_topic topic = {.name = KC_STR("t")};
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    mock_defaults(KP_API_TXN_OFFSET_COMMIT, &request);
    request.transactional_id = KC_STR(TXN_ID);
    request.group_id = kc_str(group);
    request.producer_id = producer.id;
    request.producer_epoch = producer.epoch;
    if (version >= 3) {
        request.generation_id = member->generation;
        request.member_id = member->id;
    }
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_txn_offset_commit_resp *response =
        mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, group), KP_API_TXN_OFFSET_COMMIT,
                 version, &request);
    ck_assert_int_eq(response->topics.count, 1);
    return response->topics.items[0].partitions.items[0].error_code;
}

int16_t txn_commit_offset_at(mock_world *world, int16_t version, who producer, const char *group,
                             int64_t offset, int32_t generation)
{
    const txn_member member = {KC_STR(""), generation};
    return txn_commit_offset_as(world, version, producer, group, offset, &member);
}

int16_t txn_produce_as(mock_world *world, int16_t version, const char *topic, int32_t index,
                       const kp_batch_producer *producer)
{
    kp_produce_req request;
    kp_produce_req_topic_data data = {.name = kc_str(topic)};
    kp_produce_req_partition_data part = {.index = index,
                                          .records = mock_batch(world, 1, producer)};
    data.topic_id = km_topic_by_name(world->cluster, kc_str(topic))->id;
    data.partition_data.items = &part;
    data.partition_data.count = 1;
    mock_defaults(KP_API_PRODUCE, &request);
    request.transactional_id = KC_STR(TXN_ID);
    request.acks = -1;
    request.topic_data.items = &data;
    request.topic_data.count = 1;
    const kp_produce_resp *response =
        mock_ask(mock_leader(world, topic, index), KP_API_PRODUCE, version, &request);
    return response->responses.items[0].partition_responses.items[0].error_code;
}

int16_t txn_produce(mock_world *world, int16_t version, who producer, int32_t sequence)
{
    const kp_batch_producer as = {producer.id, producer.epoch, sequence, true};
    return txn_produce_as(world, version, "t", 0, &as);
}

const km_txn *txn_of(const mock_world *world)
{
    const km_txn *txn = km_txn_find(world->cluster, KC_STR(TXN_ID));
    ck_assert_ptr_nonnull(txn);
    return txn;
}

int txn_count_committed(const km_partition *partition)
{
    km_aborted aborted[1024];
    int64_t stable = km_partition_last_stable(partition);
    size_t count = km_producers_aborted(partition, 0, stable, aborted, 1024);
    ck_assert_uint_le(count, 1024);
    int committed = 0;
    for (size_t i = 0; i < partition->log.entry_count; i++) {
        const km_entry *entry = &partition->log.entries[i];
        bool counts = entry->next_offset <= stable && !(entry->attributes & KP_ATTR_CONTROL);
        for (size_t k = 0; k < count; k++)
            if (entry->producer_id == aborted[k].producer_id &&
                entry->base_offset >= aborted[k].first_offset &&
                entry->base_offset < aborted[k].last_offset)
                counts = false;
        committed += counts;
    }
    return committed;
}
