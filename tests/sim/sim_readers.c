/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What readers of a topic were given, compared with its log when all is over. */
#include "tests/sim/sim_readers.h"

#include <stdio.h>
#include <stdlib.h>

int sim_topic_index(sim_world *sim, kc_bytes name)
{
    for (int i = 0; i < sim->topic_count; i++)
        if (kc_bytes_equal(kc_str(sim->topics[i].name), name))
            return i;
    sim_fail(sim, "a record of the topic " KC_FMT ", which is not read", KC_ARG(name));
    return -1;
}

static bool reserve(sim_world *sim, sim_seen *seen, int64_t offset)
{
    if (offset < seen->cap)
        return true;
    int64_t cap = seen->cap ? seen->cap : 256;
    while (cap <= offset)
        cap *= 2;
    uint64_t *larger = realloc(seen->hashes, (size_t)cap * sizeof *larger);
    if (!larger) {
        sim_fail(sim, "no memory for the ledger");
        return false;
    }
    memset(larger + seen->cap, 0, (size_t)(cap - seen->cap) * sizeof *larger);
    seen->hashes = larger;
    seen->cap = cap;
    return true;
}

bool sim_seen_add(sim_world *sim, sim_seen *seen, int64_t offset, kc_bytes key, kc_bytes value)
{
    uint64_t hash = sim_record_hash(offset, key, value);
    if (offset < 0 || !reserve(sim, seen, offset))
        return false;
    if (seen->hashes[offset] != 0 && seen->hashes[offset] != hash) {
        sim_fail(sim, "the record at %lld came with other bytes than before", (long long)offset);
        return false;
    }
    seen->hashes[offset] = hash;
    while (seen->covered < seen->cap && seen->hashes[seen->covered] != 0)
        seen->covered++;
    return true;
}

bool sim_seen_skip(sim_world *sim, sim_seen *seen, int64_t from, int64_t offset)
{
    if (from < 0 || !reserve(sim, seen, offset))
        return false;
    for (int64_t i = from; i < offset; i++) {
        if (seen->hashes[i] != 0 && seen->hashes[i] != SIM_SKIPPED) {
            sim_fail(sim, "the record at %lld came once and is left out now", (long long)i);
            return false;
        }
        seen->hashes[i] = SIM_SKIPPED;
    }
    return true;
}

typedef struct seen_reading {
    sim_world *sim;
    sim_seen *seen;
    const char *topic;
    int32_t partition;
    int64_t delivered; /**< of the log's records, so many came */
} seen_reading;

static void on_logged(void *user, const kp_record *record)
{
    seen_reading *reading = user;
    const sim_seen *seen = reading->seen;
    int64_t offset = record->offset;
    if (offset >= seen->cap || seen->hashes[offset] == 0 || seen->hashes[offset] == SIM_SKIPPED)
        return;
    reading->delivered++;
    if (seen->hashes[offset] != sim_record_hash(offset, record->key, record->value))
        sim_fail(reading->sim, "%s-%d: what came at %lld is not what the log holds", reading->topic,
                 reading->partition, (long long)offset);
}

static void check_partition(sim_world *sim, sim_seen *seen, int topic, int32_t index)
{
    const km_partition *partition =
        km_partition_find(sim->cluster, kc_str(sim->topics[topic].name), index);
    seen_reading reading = {sim, seen, sim->topics[topic].name, index, 0};
    int64_t came = 0;
    sim_log_walk(sim, partition, on_logged, &reading);
    for (int64_t i = 0; i < seen->cap; i++)
        came += seen->hashes[i] != 0 && seen->hashes[i] != SIM_SKIPPED;
    if (came != reading.delivered)
        sim_fail(sim, "%s-%d: %lld records came that the log does not hold",
                 sim->topics[topic].name, index, (long long)(came - reading.delivered));
}

void sim_seen_check(sim_world *sim, sim_seen_table *table)
{
    for (int t = 0; t < sim->topic_count; t++)
        for (int32_t p = 0; p < sim->topics[t].partitions; p++)
            check_partition(sim, &table->partitions[t][p], t, p);
}

bool sim_seen_all(const sim_world *sim, const sim_seen_table *table)
{
    for (int t = 0; t < sim->topic_count; t++)
        for (int32_t p = 0; p < sim->topics[t].partitions; p++)
            if (table->partitions[t][p].covered <
                km_partition_find(sim->cluster, kc_str(sim->topics[t].name), p)->log.high_watermark)
                return false;
    return true;
}

void sim_seen_tell(const sim_world *sim, const sim_seen_table *table)
{
    for (int t = 0; t < sim->topic_count; t++)
        for (int32_t p = 0; p < sim->topics[t].partitions; p++)
            printf("    %s-%d: delivered up to %lld, committed at %lld, ends at %lld\n",
                   sim->topics[t].name, p, (long long)table->partitions[t][p].covered,
                   (long long)table->partitions[t][p].committed,
                   (long long)km_partition_find(sim->cluster, kc_str(sim->topics[t].name), p)
                       ->log.high_watermark);
}

void sim_seen_free(sim_seen_table *table)
{
    for (int t = 0; t < SIM_TOPICS_MAX; t++)
        for (int32_t p = 0; p < SIM_PARTITIONS_MAX; p++)
            free(table->partitions[t][p].hashes);
}
