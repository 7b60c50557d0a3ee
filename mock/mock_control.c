/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Control of <kafkac/mock.h>: topics, leaders, coordinators, brokers, the network. Each call is a km_mock_... of what is
 * done, which commands in words use too, between enter and leave. */
#include "mock/broker.h"
#include "mock/mock_core.h"
#include "protocol/base/error.h"

#include <kafkac/unstable/errors.h>

#define BYTES_PER_SECOND_MAX 1000000000

/* ---- looking things up ---- */

kc_err km_mock_find_broker(kc_mock *mock, int32_t id, km_broker **broker_out, kc_error *err)
{
    *broker_out = km_broker_by_id(mock->cluster, id);
    return *broker_out ? KC_OK
                       : kb_error_set(err, KC_ERR_ARGUMENT, "there is no broker %d: 1 to %d", id,
                                      mock->cluster->broker_count);
}

/** What the cluster answered, told with its subject. */
static kc_err refused(kc_error *err, kc_err code, const char *topic)
{
    return code ? kb_error_set(err, code, "topic %.100s: %s", topic, kc_err_text(code)) : KC_OK;
}

kc_err km_mock_find_partition(kc_mock *mock, const char *topic, int32_t index,
                              km_partition **partition_out, kc_error *err)
{
    *partition_out = km_partition_find(mock->cluster, kc_str(topic), index);
    return *partition_out
               ? KC_OK
               : kb_error_set(err, KC_E_UNKNOWN_TOPIC_OR_PARTITION,
                              "there is no partition %d of a topic %.100s", index, topic);
}

/* ---- topics ---- */

kc_err km_mock_topic_create(kc_mock *mock, const char *name, int32_t partitions,
                            int16_t replication, kc_error *err)
{
    km_topic *topic;
    kc_err code = km_topic_create(mock->cluster, kc_str(name), partitions, replication, &topic);
    if (!code)
        km_changed(mock->cluster);
    return refused(err, code, name);
}

static kc_err make_again(kc_mock *mock, km_topic *gone, kc_error *err)
{
    km_cluster *cluster = mock->cluster;
    char name[KM_TOPIC_NAME_MAX + 1];
    km_topic *topic;
    int32_t partitions = gone->partition_count;
    int16_t replication = gone->replication;
    kb_map configs = gone->configs;
    memcpy(name, gone->name, sizeof name);
    kb_map_init(&gone->configs, cluster->mem);
    km_topic_delete(cluster, gone);
    kc_err code = km_topic_create(cluster, kc_str(name), partitions, replication, &topic);
    if (code)
        km_configs_cleanup(&configs, cluster->mem);
    else
        topic->configs = configs;
    return refused(err, code, name);
}

kc_err km_mock_topic_delete(kc_mock *mock, const char *name, bool is_made_again, kc_error *err)
{
    km_topic *topic = km_topic_by_name(mock->cluster, kc_str(name));
    if (!topic)
        return kb_error_set(err, KC_E_UNKNOWN_TOPIC_OR_PARTITION, "there is no topic %.100s", name);
    if (topic->is_internal)
        return kb_error_set(err, KC_ERR_ARGUMENT, "topic %.100s is the brokers' own", name);
    kc_err failed = KC_OK;
    if (is_made_again)
        failed = make_again(mock, topic, err);
    else
        km_topic_delete(mock->cluster, topic);
    km_changed(mock->cluster);
    return failed;
}

kc_err kc_mock_topic_create(kc_mock *mock, const char *name, int32_t partitions,
                            int16_t replication, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, km_mock_topic_create(mock, name, partitions, replication, err));
}

kc_err kc_mock_topic_delete(kc_mock *mock, const char *name, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, km_mock_topic_delete(mock, name, false, err));
}

kc_err kc_mock_topic_recreate(kc_mock *mock, const char *name, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, km_mock_topic_delete(mock, name, true, err));
}

/* ---- leaders, coordinators ---- */

static kc_err get_partition(kc_mock *mock, const char *topic, int32_t index, kc_mock_partition *out,
                            kc_error *err)
{
    km_partition *partition;
    if (out->size != sizeof *out)
        return kb_error_set(err, KC_ERR_ARGUMENT, "size is not that of this release");
    KB_TRY(km_mock_find_partition(mock, topic, index, &partition, err));
    *out = (kc_mock_partition){.size = sizeof *out,
                               .leader = partition->leader,
                               .leader_epoch = partition->leader_epoch,
                               .start_offset = partition->log.start_offset,
                               .high_watermark = partition->log.high_watermark,
                               .end_offset = partition->log.end_offset};
    return KC_OK;
}

kc_err kc_mock_partition_get(kc_mock *mock, const char *topic, int32_t partition,
                             kc_mock_partition *out, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, get_partition(mock, topic, partition, out, err));
}

kc_err km_mock_move(kc_mock *mock, km_partition *partition, int32_t broker_id, kc_error *err)
{
    km_broker *broker;
    if (broker_id == -1 && partition->leader == -1)
        return kb_error_set(err, KC_ERR_STATE, "the partition has no leader: its brokers are down");
    if (broker_id == -1)
        broker_id = partition->leader;
    KB_TRY(km_mock_find_broker(mock, broker_id, &broker, err));
    bool is_replica = false;
    for (int32_t i = 0; i < partition->replica_count; i++)
        is_replica |= partition->replicas[i] == broker_id;
    if (!is_replica)
        return kb_error_set(err, KC_ERR_ARGUMENT, "broker %d is no replica of %.100s/%d", broker_id,
                            partition->topic->name, partition->index);
    if (broker->is_down)
        return kb_error_set(err, KC_ERR_STATE, "broker %d is down", broker_id);
    int32_t before = partition->leader_epoch;
    km_partition_move(mock->cluster, partition, broker_id);
    if (partition->leader_epoch == before)
        return kb_error_code(err, KC_ERR_NOMEM);
    km_changed(mock->cluster);
    return KC_OK;
}

static kc_err move(kc_mock *mock, const char *topic, int32_t index, int32_t broker_id,
                   kc_error *err)
{
    km_partition *partition;
    KB_TRY(km_mock_find_partition(mock, topic, index, &partition, err));
    return km_mock_move(mock, partition, broker_id, err);
}

kc_err kc_mock_leader_move(kc_mock *mock, const char *topic, int32_t partition, int32_t broker_id,
                           kc_error *err)
{
    km_broker *broker;
    KB_TRY(km_mock_enter(mock, err));
    kc_err failed = km_mock_find_broker(mock, broker_id, &broker, err);
    return km_mock_leave(mock, failed ? failed : move(mock, topic, partition, broker_id, err));
}

kc_err kc_mock_epoch_bump(kc_mock *mock, const char *topic, int32_t partition, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, move(mock, topic, partition, -1, err));
}

kc_err km_mock_coordinator(kc_mock *mock, kc_mock_coordinator kind, const char *key,
                           km_partition **partition_out, kc_error *err)
{
    km_coordinator_type type =
        kind == KC_MOCK_GROUP ? KM_COORDINATOR_GROUP : KM_COORDINATOR_TRANSACTION;
    *partition_out = km_coordinator_partition(mock->cluster, type, kc_str(key));
    return *partition_out ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
}

kc_err kc_mock_coordinator_get(kc_mock *mock, kc_mock_coordinator kind, const char *key,
                               int32_t *broker_id_out, kc_error *err)
{
    km_partition *partition;
    KB_TRY(km_mock_enter(mock, err));
    kc_err failed = km_mock_coordinator(mock, kind, key, &partition, err);
    if (!failed)
        *broker_id_out = partition->leader;
    return km_mock_leave(mock, failed);
}

kc_err kc_mock_coordinator_move(kc_mock *mock, kc_mock_coordinator kind, const char *key,
                                int32_t broker_id, kc_error *err)
{
    km_broker *broker;
    km_partition *partition;
    KB_TRY(km_mock_enter(mock, err));
    kc_err failed = km_mock_find_broker(mock, broker_id, &broker, err);
    if (!failed)
        failed = km_mock_coordinator(mock, kind, key, &partition, err);
    return km_mock_leave(mock, failed ? failed : km_mock_move(mock, partition, broker_id, err));
}

/* ---- brokers, the network ---- */

kc_err km_mock_broker_down(kc_mock *mock, int32_t id, kc_mock_loss loss, kc_error *err)
{
    km_broker *broker;
    KB_TRY(km_mock_find_broker(mock, id, &broker, err));
    km_broker_stop(broker, loss == KC_MOCK_LOSE);
    return KC_OK;
}

kc_err km_mock_broker_up(kc_mock *mock, int32_t id, kc_error *err)
{
    km_broker *broker;
    KB_TRY(km_mock_find_broker(mock, id, &broker, err));
    km_broker_start(broker);
    if (km_tcp_server_is_listening(mock->server, id))
        return KC_OK;
    km_broker_stop(broker, false);
    return kb_error_set(err, KC_ERR_IO, "broker %d: port %d can't be had any more", id,
                        broker->port);
}

kc_err km_mock_cut(kc_mock *mock, int32_t id, kc_error *err)
{
    km_broker *broker;
    if (id != 0)
        KB_TRY(km_mock_find_broker(mock, id, &broker, err));
    for (int i = 0; i < mock->cluster->broker_count; i++)
        if (id == 0 || id == i + 1)
            km_broker_cut(&mock->cluster->brokers[i]);
    return KC_OK;
}

kc_err km_mock_link_set(kc_mock *mock, int32_t id, const km_tcp_weather *weather, kc_error *err)
{
    km_broker *broker;
    if (weather->bytes_per_second < 0 || weather->bytes_per_second > BYTES_PER_SECOND_MAX)
        return kb_error_set(err, KC_ERR_ARGUMENT, "bytes per second must be 0 to %d",
                            BYTES_PER_SECOND_MAX);
    if (id != 0)
        KB_TRY(km_mock_find_broker(mock, id, &broker, err));
    for (int i = 0; i < mock->cluster->broker_count; i++)
        if (id == 0 || id == i + 1)
            km_tcp_server_set_weather(mock->server, i + 1, weather);
    return KC_OK;
}

kc_err kc_mock_broker_down(kc_mock *mock, int32_t broker_id, kc_mock_loss loss, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, km_mock_broker_down(mock, broker_id, loss, err));
}

kc_err kc_mock_broker_up(kc_mock *mock, int32_t broker_id, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, km_mock_broker_up(mock, broker_id, err));
}

kc_err kc_mock_cut(kc_mock *mock, int32_t broker_id, kc_error *err)
{
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, km_mock_cut(mock, broker_id, err));
}

kc_err kc_mock_link_set(kc_mock *mock, int32_t broker_id, bool is_cut_off, int64_t bytes_per_second,
                        kc_error *err)
{
    const km_tcp_weather weather = {is_cut_off, bytes_per_second};
    KB_TRY(km_mock_enter(mock, err));
    return km_mock_leave(mock, km_mock_link_set(mock, broker_id, &weather, err));
}

kc_err kc_mock_connections(kc_mock *mock, int32_t broker_id, size_t *count_out, kc_error *err)
{
    km_broker *broker;
    KB_TRY(km_mock_enter(mock, err));
    kc_err failed = broker_id == 0 ? KC_OK : km_mock_find_broker(mock, broker_id, &broker, err);
    if (!failed)
        *count_out = 0;
    for (int i = 0; !failed && i < mock->cluster->broker_count; i++)
        if (broker_id == 0 || broker_id == i + 1)
            *count_out += km_tcp_server_connections(mock->server, i + 1);
    return km_mock_leave(mock, failed);
}
