/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which assignments Kafka's controller takes. */
#include "mock/assignment.h"

#include "mock/text.h"

#include <kafkac/unstable/errors.h>

void km_assignment_init(km_assignment *assignment, const km_cluster *cluster, kb_arena *arena,
                        int32_t count, int16_t replication)
{
    *assignment = (km_assignment){
        .cluster = cluster, .arena = arena, .count = count, .replication = replication};
}

static int16_t refuse(km_assignment *assignment, kc_bytes why)
{
    assignment->why = why;
    return KC_E_INVALID_REPLICA_ASSIGNMENT;
}

static int32_t count_of(const int32_t *brokers, int32_t count, int32_t id)
{
    int32_t times = 0;
    for (int32_t i = 0; i < count; i++)
        times += brokers[i] == id;
    return times;
}

static int16_t check_brokers(km_assignment *assignment, const int32_t *brokers, int32_t count)
{
    const km_cluster *cluster = assignment->cluster;
    if (count <= 0)
        return refuse(assignment, KC_STR("The manual partition assignment includes an empty "
                                         "replica list."));
    for (int32_t i = 0; i < count; i++)
        if (brokers[i] < 1 || brokers[i] > cluster->broker_count)
            return refuse(assignment,
                          KM_TEXT(assignment->arena,
                                  "The manual partition assignment includes broker %d, but no such "
                                  "broker is registered.",
                                  (int)brokers[i]));
    for (int32_t i = 0; i < count; i++)
        if (count_of(brokers, count, brokers[i]) > 1)
            return refuse(assignment, KM_TEXT(assignment->arena,
                                              "The manual partition assignment includes the "
                                              "broker %d more than once.",
                                              (int)brokers[i]));
    if (assignment->replication != -1 && count != assignment->replication)
        return refuse(assignment,
                      KM_TEXT(assignment->arena,
                              "The manual partition assignment includes a partition with %d "
                              "replica(s), but this is not consistent with previous partitions, "
                              "which have %d replica(s).",
                              (int)count, (int)assignment->replication));
    return 0;
}

static bool is_any_up(const km_cluster *cluster, const int32_t *brokers, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (!cluster->brokers[brokers[i] - 1].is_down)
            return true;
    return false;
}

int16_t km_assignment_put(km_assignment *assignment, int32_t partition, const int32_t *brokers,
                          int32_t broker_count)
{
    bool is_within = partition >= 0 && partition < assignment->count;
    if (is_within && assignment->is_there && assignment->is_there[partition])
        return refuse(assignment,
                      KM_TEXT(assignment->arena,
                              "Found multiple manual partition assignments for partition %d",
                              (int)partition));
    int16_t code = check_brokers(assignment, brokers, broker_count);
    if (code)
        return code;
    if (!is_any_up(assignment->cluster, brokers, broker_count))
        return refuse(assignment, KM_TEXT(assignment->arena,
                                          "All brokers specified in the manual partition "
                                          "assignment for partition %d are fenced or in "
                                          "controlled shutdown.",
                                          (int)(assignment->first + partition)));
    if (!assignment->replicas) {
        assignment->replication = (int16_t)broker_count;
        assignment->is_there = kb_arena_array(assignment->arena, (size_t)assignment->count,
                                              sizeof *assignment->is_there);
        assignment->replicas =
            kb_arena_array(assignment->arena, (size_t)assignment->count * (size_t)broker_count,
                           sizeof *assignment->replicas);
        if (!assignment->is_there || !assignment->replicas)
            return KC_E_UNKNOWN_SERVER_ERROR;
    }
    if (!is_within)
        return 0;
    assignment->is_there[partition] = true;
    for (int32_t i = 0; i < broker_count; i++)
        assignment->replicas[partition * broker_count + i] = brokers[i];
    return 0;
}

int16_t km_assignment_end(km_assignment *assignment)
{
    for (int32_t i = 0; i < assignment->count; i++)
        if (!assignment->is_there || !assignment->is_there[i])
            return refuse(assignment,
                          KC_STR("partitions should be a consecutive 0-based integer sequence"));
    return 0;
}
