/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Who leads, and what a leader that goes takes with it.
 *
 * A partition has one log. Replicas other than the leader are modelled by the high watermark alone: up to it every
 * in-sync replica has the records, so whoever leads next has them too; what lies behind it is on the leader only. */
#include "mock/cluster.h"
#include "mock/producer_state.h"
#include "protocol/base/text.h"

#include <stdio.h>

static bool is_up(const km_cluster *cluster, int32_t id)
{
    return id >= 1 && id <= cluster->broker_count && !cluster->brokers[id - 1].is_down;
}

static kc_err lead(km_partition *partition, int32_t broker_id)
{
    kc_err err = km_log_begin_epoch(&partition->log, partition->leader_epoch + 1);
    if (err)
        return err;
    partition->leader = broker_id;
    partition->leader_epoch++;
    return KC_OK;
}

kc_err km_partition_elect(km_partition *partition)
{
    km_cluster *cluster = partition->topic->cluster;
    for (int32_t i = 0; i < partition->replica_count; i++)
        if (is_up(cluster, partition->replicas[i]))
            return lead(partition, partition->replicas[i]);
    partition->leader = -1;
    return KC_OK;
}

/** The new leader has at least what the high watermark says; and what it has, all in-sync replicas will get. */
static void settle(km_cluster *cluster, km_partition *partition, bool loses_unflushed)
{
    km_timer_stop(cluster, &partition->replication);
    if (loses_unflushed) {
        km_log_truncate(&partition->log, partition->log.high_watermark);
        km_producers_truncated(partition);
    } else {
        km_partition_appended(partition);
    }
}

void km_partition_move(km_cluster *cluster, km_partition *partition, int32_t broker_id)
{
    if (!km_partition_is_on(partition, broker_id) || !is_up(cluster, broker_id))
        return;
    settle(cluster, partition, false);
    /* Out of memory: the old leader stays. */
    kc_err err = lead(partition, broker_id);
    (void)err;
}

static km_partition *next_partition(const km_cluster *cluster, size_t *pos, km_topic **topic,
                                    int32_t *index)
{
    while (!*topic || *index >= (*topic)->partition_count) {
        *topic = kb_map_next(&cluster->topics, pos);
        *index = 0;
        if (!*topic)
            return NULL;
    }
    return (*topic)->partitions[(*index)++];
}

void km_leaders_leave(km_cluster *cluster, int32_t broker_id, bool loses_unflushed)
{
    size_t pos = 0;
    km_topic *topic = NULL;
    int32_t index = 0;
    km_partition *partition;
    while ((partition = next_partition(cluster, &pos, &topic, &index))) {
        if (partition->leader != broker_id)
            continue;
        settle(cluster, partition, loses_unflushed && partition->replica_count > 1);
        if (km_partition_elect(partition))
            partition->leader = -1;
    }
    for (int i = 0; i < cluster->broker_count && cluster->controller == broker_id; i++)
        if (is_up(cluster, i + 1))
            cluster->controller = i + 1;
}

void km_leaders_return(km_cluster *cluster)
{
    size_t pos = 0;
    km_topic *topic = NULL;
    int32_t index = 0;
    km_partition *partition;
    while ((partition = next_partition(cluster, &pos, &topic, &index)))
        if (partition->leader == -1 && km_partition_elect(partition))
            partition->leader = -1;
    if (!is_up(cluster, cluster->controller))
        for (int i = 0; i < cluster->broker_count; i++)
            if (is_up(cluster, i + 1))
                cluster->controller = i + 1;
}

/** The code point that begins at `*at`, which goes on behind it; a byte that is none stands for itself. */
static uint32_t next_code_point(kc_bytes text, size_t *at)
{
    const uint8_t *from = text.ptr + *at;
    size_t len = kb_utf8_sequence(from, text.len - *at);
    if (len < 2) {
        ++*at;
        return from[0];
    }
    uint32_t point = from[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        point = point << 6 | (from[i] & 0x3fu);
    *at += len;
    return point;
}

/** java.lang.String.hashCode, which counts in UTF-16, without its sign as by Kafka's Utils.abs (not toPositive): so a
 * group stands where Kafka puts it. */
static int32_t java_hash(kc_bytes key)
{
    uint32_t hash = 0;
    for (size_t at = 0; at < key.len;) {
        uint32_t point = next_code_point(key, &at);
        if (point > 0xffff) {
            hash = hash * 31 + (0xd7c0 + (point >> 10));
            point = 0xdc00 | (point & 0x3ff);
        }
        hash = hash * 31 + point;
    }
    hash = hash > INT32_MAX ? 0u - hash : hash;
    return hash > INT32_MAX ? 0 : (int32_t)hash;
}

km_partition *km_coordinator_partition(km_cluster *cluster, km_coordinator_type type, kc_bytes key)
{
    const char *name = type == KM_COORDINATOR_GROUP ? "__consumer_offsets" : "__transaction_state";
    km_topic *topic = km_topic_by_name(cluster, kc_str(name));
    if (!topic && km_topic_create_on_demand(cluster, kc_str(name), &topic))
        return NULL;
    return topic->partitions[java_hash(key) % topic->partition_count];
}
