/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Topics come, grow and go. */
#include "mock/cluster.h"
#include "mock/producer_state.h"
#include "mock/text.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <kafkac/unstable/errors.h>

#include <assert.h>
#include <stdio.h>

#define PARTITIONS_MAX 100000

km_topic *km_topic_by_name(const km_cluster *cluster, kc_bytes name)
{
    return name.ptr ? kb_map_get(&cluster->topics, name) : NULL;
}

km_topic *km_topic_by_id(const km_cluster *cluster, kc_uuid id)
{
    return kb_map_get(&cluster->topic_ids, kc_span(id.bytes, sizeof id.bytes));
}

km_partition *km_partition_find(const km_cluster *cluster, kc_bytes name, int32_t index)
{
    km_topic *topic = km_topic_by_name(cluster, name);
    return topic && index >= 0 && index < topic->partition_count ? topic->partitions[index] : NULL;
}

bool km_topic_name_is_valid(kc_bytes name)
{
    if (name.len == 0 || name.len > KM_TOPIC_NAME_MAX || kc_bytes_equal(name, KC_STR(".")) ||
        kc_bytes_equal(name, KC_STR("..")))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

kc_bytes km_topic_name_fault(kb_arena *arena, kc_bytes name)
{
    const char *prefix = "Topic name is invalid:";
    if (name.len == 0)
        return kc_str("Topic name is invalid: the empty string is not allowed");
    if (kc_bytes_equal(name, KC_STR(".")) || kc_bytes_equal(name, KC_STR("..")))
        return KM_TEXT(arena, "%s '" KC_FMT "' is not allowed", prefix, KC_ARG(name));
    if (name.len > KM_TOPIC_NAME_MAX)
        return KM_TEXT(arena,
                       "%s the length of '" KC_FMT "' is longer than the max allowed length %d",
                       prefix, KC_ARG(name), KM_TOPIC_NAME_MAX);
    return KM_TEXT(arena,
                   "%s '" KC_FMT "' contains one or more characters other than ASCII "
                   "alphanumerics, '.', '_' and '-'",
                   prefix, KC_ARG(name));
}

const km_topic *km_topic_collision(const km_cluster *cluster, kc_bytes name)
{
    size_t pos = 0;
    const km_topic *topic;
    while ((topic = kb_map_next(&cluster->topics, &pos))) {
        size_t i = 0;
        while (i < name.len && topic->name[i] != 0 &&
               (topic->name[i] == '.' ? '_' : topic->name[i]) ==
                   (name.ptr[i] == '.' ? '_' : name.ptr[i]))
            i++;
        if (i == name.len && topic->name[i] == 0)
            return topic;
    }
    return NULL;
}

static void on_replicated(kn_timer *timer)
{
    km_partition *partition = timer->user;
    partition->log.high_watermark = partition->replicated_to;
    if (partition->log.high_watermark > partition->log.end_offset)
        partition->log.high_watermark = partition->log.end_offset;
    if (partition->log.high_watermark < partition->log.end_offset)
        km_partition_appended(partition);
    km_partition_wake(partition);
}

void km_partition_appended(km_partition *partition)
{
    km_cluster *cluster = partition->topic->cluster;
    if (cluster->options.replication_us == 0 || partition->replica_count == 1) {
        partition->log.high_watermark = partition->log.end_offset;
        km_partition_wake(partition);
        return;
    }
    if (kn_timer_is_set(&partition->replication))
        return;
    partition->replicated_to = partition->log.end_offset;
    km_timer_set(cluster, &partition->replication,
                 cluster->now_us + cluster->options.replication_us);
}

static void partition_free(km_cluster *cluster, km_partition *partition)
{
    km_timer_stop(cluster, &partition->replication);
    km_producers_cleanup(partition);
    km_log_cleanup(&partition->log);
    kb_mem_free(cluster->mem, partition);
}

/** Replicas go round from a start that differs from topic to topic, unless they are given. */
static km_partition *partition_new(km_cluster *cluster, km_topic *topic, int32_t index,
                                   const int32_t *replicas)
{
    km_partition *partition = kb_mem_zalloc(cluster->mem, sizeof *partition);
    if (!partition)
        return NULL;
    partition->topic = topic;
    partition->index = index;
    partition->leader = -1;
    partition->leader_epoch = -1;
    partition->replication.fn = on_replicated;
    partition->replication.user = partition;
    partition->replica_count = topic->replication;
    partition->aged_us = cluster->now_us;
    kb_list_init(&partition->waiters);
    km_log_init(&partition->log, cluster->mem);
    for (int32_t i = 0; i < topic->replication; i++)
        partition->replicas[i] =
            replicas ? replicas[i] : (topic->first_broker + index + i) % cluster->broker_count + 1;
    if (km_partition_elect(partition)) {
        partition_free(cluster, partition);
        return NULL;
    }
    return partition;
}

static void topic_free(km_cluster *cluster, km_topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++)
        partition_free(cluster, topic->partitions[i]);
    kb_mem_free(cluster->mem, topic->partitions);
    km_configs_cleanup(&topic->configs, cluster->mem);
    kb_mem_free(cluster->mem, topic);
}

static kc_err add_partitions(km_cluster *cluster, km_topic *topic, int32_t count,
                             const int32_t *replicas)
{
    km_partition **larger =
        kb_mem_realloc(cluster->mem, topic->partitions, (size_t)count * sizeof(km_partition *));
    if (!larger)
        return KC_ERR_NOMEM;
    topic->partitions = larger;
    int32_t before = topic->partition_count;
    while (topic->partition_count < count) {
        int32_t index = topic->partition_count;
        const int32_t *own =
            replicas ? replicas + (size_t)(index - before) * (size_t)topic->replication : NULL;
        km_partition *partition = partition_new(cluster, topic, index, own);
        if (!partition) {
            while (topic->partition_count > before)
                partition_free(cluster, topic->partitions[--topic->partition_count]);
            return KC_ERR_NOMEM;
        }
        topic->partitions[topic->partition_count++] = partition;
    }
    return KC_OK;
}

int16_t km_default_replication(const km_cluster *cluster)
{
    int16_t most =
        cluster->options.default_replication > 0 ? cluster->options.default_replication : 3;
    return (int16_t)(most < cluster->broker_count ? most : cluster->broker_count);
}

static kc_err enlist(km_cluster *cluster, km_topic *topic)
{
    kc_bytes id = kc_span(topic->id.bytes, sizeof topic->id.bytes);
    if (kb_map_put(&cluster->topics, kc_str(topic->name), topic))
        return KC_ERR_NOMEM;
    if (kb_map_put(&cluster->topic_ids, id, topic)) {
        kb_map_remove(&cluster->topics, kc_str(topic->name));
        return KC_ERR_NOMEM;
    }
    return KC_OK;
}

int16_t km_topic_check(const km_cluster *cluster, kc_bytes name, int32_t partitions,
                       int16_t replication)
{
    if (!km_topic_name_is_valid(name))
        return KC_E_INVALID_TOPIC_EXCEPTION;
    if (km_topic_by_name(cluster, name))
        return KC_E_TOPIC_ALREADY_EXISTS;
    if (km_topic_collision(cluster, name))
        return KC_E_INVALID_TOPIC_EXCEPTION;
    if (partitions != -1 && (partitions < 1 || partitions > PARTITIONS_MAX))
        return KC_E_INVALID_PARTITIONS;
    if (replication != -1 &&
        (replication < 1 || replication > cluster->broker_count || replication > KM_REPLICAS_MAX))
        return KC_E_INVALID_REPLICATION_FACTOR;
    return 0;
}

/** What brokers make for themselves, and with which configs. */
typedef struct internal_topic {
    const char *name;
    const char *policy, *compression, *retention_ms;
    /** min.insync.replicas of 2, and no unsafe leader where it is compacted */
    bool wants_replicas;
} internal_topic;

static const internal_topic internals[] = {
    {"__consumer_offsets", "compact", "producer", NULL, false},
    {"__transaction_state", "compact", "uncompressed", NULL, true},
    {"__share_group_state", "delete", "producer", "-1", true},
};

static const internal_topic *find_internal(kc_bytes name)
{
    for (size_t i = 0; i < sizeof internals / sizeof internals[0]; i++)
        if (kb_text_is(name, internals[i].name))
            return &internals[i];
    return NULL;
}

/** A null value is left out. */
static kc_err configure(km_topic *topic, const char *name, const char *value)
{
    return value ? km_configs_set(&topic->configs, topic->cluster->mem, kc_str(name), kc_str(value))
                 : KC_OK;
}

static kc_err configure_internal(km_topic *topic, const internal_topic *as)
{
    bool is_wide = as->wants_replicas && topic->replication > 1;
    bool is_safe = as->wants_replicas && strcmp(as->policy, "compact") == 0;
    KB_TRY(configure(topic, "cleanup.policy", as->policy));
    KB_TRY(configure(topic, "compression.type", as->compression));
    KB_TRY(configure(topic, "segment.bytes", "104857600"));
    KB_TRY(configure(topic, "retention.ms", as->retention_ms));
    KB_TRY(configure(topic, "min.insync.replicas", is_wide ? "2" : NULL));
    return configure(topic, "unclean.leader.election.enable", is_safe ? "false" : NULL);
}

int16_t km_topic_create_with(km_cluster *cluster, kc_bytes name, int32_t partitions,
                             int16_t replication, const int32_t *replicas, km_topic **topic_out)
{
    int16_t refused = km_topic_check(cluster, name, partitions, replication);
    if (refused)
        return refused;
    km_topic *topic = kb_mem_zalloc(cluster->mem, sizeof *topic);
    if (!topic)
        return KC_E_UNKNOWN_SERVER_ERROR;
    topic->cluster = cluster;
    snprintf(topic->name, sizeof topic->name, KC_FMT, KC_ARG(name));
    topic->id = kb_uuid_v4(&cluster->rand);
    topic->is_internal = find_internal(name) != NULL;
    topic->replication = replication == -1 ? km_default_replication(cluster) : replication;
    topic->first_broker = (int32_t)(cluster->topics.count % (size_t)cluster->broker_count);
    kb_map_init(&topic->configs, cluster->mem);
    if (add_partitions(cluster, topic,
                       partitions == -1 ? cluster->options.num_partitions : partitions, replicas) ||
        enlist(cluster, topic)) {
        topic_free(cluster, topic);
        return KC_E_UNKNOWN_SERVER_ERROR;
    }
    cluster->topics_version++;
    *topic_out = topic;
    return 0;
}

int16_t km_topic_create(km_cluster *cluster, kc_bytes name, int32_t partitions, int16_t replication,
                        km_topic **topic_out)
{
    return km_topic_create_with(cluster, name, partitions, replication, NULL, topic_out);
}

int16_t km_topic_create_on_demand(km_cluster *cluster, kc_bytes name, km_topic **topic_out)
{
    const internal_topic *as = find_internal(name);
    km_topic *topic;
    int16_t refused =
        km_topic_create(cluster, name, as ? KM_COORDINATOR_PARTITIONS : -1, -1, &topic);
    if (refused)
        return refused;
    if (as && configure_internal(topic, as)) {
        km_topic_delete(cluster, topic);
        return KC_E_UNKNOWN_SERVER_ERROR;
    }
    *topic_out = topic;
    return 0;
}

int16_t km_topic_grow(km_cluster *cluster, km_topic *topic, int32_t partitions,
                      const int32_t *replicas)
{
    if (partitions <= topic->partition_count || partitions > PARTITIONS_MAX)
        return KC_E_INVALID_PARTITIONS;
    cluster->topics_version++;
    return add_partitions(cluster, topic, partitions, replicas) ? KC_E_UNKNOWN_SERVER_ERROR : 0;
}

void km_topic_delete(km_cluster *cluster, km_topic *topic)
{
    cluster->topics_version++;
    kb_map_remove(&cluster->topics, kc_str(topic->name));
    kb_map_remove(&cluster->topic_ids, kc_span(topic->id.bytes, sizeof topic->id.bytes));
    for (int32_t i = 0; i < topic->partition_count; i++) {
        topic->partitions[i]->is_deleted = true;
        km_partition_wake(topic->partitions[i]);
        assert(kb_list_is_empty(&topic->partitions[i]->waiters));
    }
    topic_free(cluster, topic);
}
