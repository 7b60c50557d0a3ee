/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A whole small Kafka on the scripted cluster: logs that are produced to and fetched from, groups of
 * one member, committed offsets; so that consumers and the DLQ handler run on a virtual clock. */
#ifndef FAKE_KAFKA_H
#define FAKE_KAFKA_H

#include "officeflow/dead_letter.h"
#include "officeflow/dead_state.h"
#include "officeflow/platform_core.h"
#include "protocol/batch.h"
#include "tests/unit/client/fake_broker.h"

#define FAKE_LOGS_MAX    96
#define FAKE_GROUPS_MAX  4
#define FAKE_COMMITS_MAX 64
#define FAKE_WAITING_MAX 256

typedef struct fake_kafka_log {
    char topic[64];
    int32_t partition;
    int64_t end;
    kb_buf bytes; /* batches, one behind the other */
} fake_kafka_log;

typedef struct fake_group {
    char id[64], member[40];
    int32_t generation;
    uint8_t assignment[1024];
    size_t assignment_len;
} fake_group;

typedef struct fake_kafka {
    fake_cluster *cluster;
    kc_client *client;
    of_platform *platform;
    fake_kafka_log logs[FAKE_LOGS_MAX];
    size_t log_count;
    fake_group groups[FAKE_GROUPS_MAX];
    size_t group_count;
    uint32_t members;
    struct {
        char group[64], topic[64];
        int32_t partition;
        int64_t offset;
    } commits[FAKE_COMMITS_MAX];
    size_t commit_count;
    fake_request *waiting[FAKE_WAITING_MAX]; /* Fetches that wait for records */
    size_t waiting_count;
    kn_timer fetch_timer;
    /* faults */
    const char *refused_prefix; /**< Produce to topics that begin so is refused; NULL: none */
    int16_t refused_code;
    int refused_times;  /**< so often; -1: always                                   */
    bool holds_produce; /**< the next Produce waits for fake_kafka_release()        */
    fake_request *held_produce;
    bool refuses_create; /**< CreateTopics: TOPIC_AUTHORIZATION_FAILED                */
    bool hides_past;     /**< OffsetFetch of all a group has: no answer               */
    int16_t past_code;   /**< ... or this one                                         */
    /* counters */
    uint32_t produced, creates, joins, leaves, offset_commits;
} fake_kafka;

/** A cluster of one broker, a client, a platform with these policies (NULL: defaults). */
void fake_kafka_start(fake_kafka *k, const char *policy_json);
/** A second life of the client and platform, on the same logs. */
void fake_kafka_restart(fake_kafka *k, const char *policy_json);
/** Closes what is open; checks that nothing leaked. */
void fake_kafka_stop(fake_kafka *k);

/** Append one record, as a producer would. */
void fake_kafka_put(fake_kafka *k, const char *topic, int32_t partition, const of_message *message);
/** Records of a topic, all partitions. */
size_t fake_kafka_count(fake_kafka *k, const char *topic);
/** The `index`-th record of a topic, in order of partition and offset; memory of `arena`. */
of_message fake_kafka_get(fake_kafka *k, const char *topic, size_t index, kb_arena *arena);
/** Answer the Produce that was held. */
void fake_kafka_release(fake_kafka *k);
/** Committed offset; -1: none. */
int64_t fake_kafka_committed(const fake_kafka *k, const char *group, const char *topic,
                             int32_t partition);

#endif
