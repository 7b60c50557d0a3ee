/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A platform on the real broker for one test: an event type, a group and their topics that nobody
 * else uses, a handler that does as it is told, and waiting for what happens. */
#ifndef TESTS_OF_WORLD_H
#define TESTS_OF_WORLD_H

#include "officeflow/dead_state.h"

#include <officeflow/officeflow.h>

#define WORLD_HANDLED_MAX 64
#define WORLD_LETTERS_MAX 8
#define WORLD_WAIT_MS     30000

/** One call of the handler. */
typedef struct world_call {
    int32_t attempt, redrive;
    of_stage stage;
    char id[40];
    char value[160]; /* payload                                */
    char traceparent[64];
    size_t traceparents; /* headers of that name               */
} world_call;

/** A record read back. */
typedef struct world_record {
    kc_bytes key, value;
    kc_header *headers;
    size_t header_count;
    int32_t partition;
    int64_t offset;
} world_record;

typedef struct world {
    of_platform *platform;
    of_producer *producer;
    of_consumer *consumer;
    of_dlq_handler *dlq;
    char type[80]; /* "<unique>.case.request", also its topic; strict: "employee.exit" */
    char topic[120];
    char group[80];
    char org[80];
    /* what the handler does */
    int fail_first; /* so many calls fail, then OK; -1: all */
    of_result failure;
    /* what happened */
    world_call calls[WORLD_HANDLED_MAX];
    size_t call_count;
    size_t notices[OF_NOTICE_ERROR + 1];
    size_t dlq_notices[OF_DLQ_ERROR + 1];
    char dead_id[17];
    char dlq_reason[128];
    char errors[512];
    /* records read back by world_read() */
    int64_t since_ms; /* only what was written since; 0: all */
    void *memory;
    world_record records[WORLD_HANDLED_MAX];
    size_t record_count;
} world;

/** Open on the broker of the environment. `policy_json` NULL: the platform's defaults. */
void world_open(world *w, const char *policy_json);
/** The type's topic, its DLQ, and the group's retry topics ("now" and each of `tiers`, may be
 * NULL). */
void world_make_topics(world *w, int32_t partitions, const char *const *tiers, size_t tier_count);
/** An organisation of its own, as T-05 makes it; type and topic are then employee.exit's. */
void world_make_org(world *w);
/** Group, handler, subscription from the beginning; waits until partitions are assigned. */
void world_start_consumer(world *w);
void world_start_dlq(world *w);
/** Send an event with that payload and key; waits for the acknowledgement. */
void world_send(world *w, const char *payload, const char *key);
/** Write bytes as they are. */
void world_send_raw(world *w, const char *topic, const char *value, const char *key,
                    const kc_header *headers, size_t header_count, int32_t partition);
/** Write a record of the state topic. */
void world_write_state(world *w, const of_state_record *record);
/** Dispatch until *counter >= wanted. Fails the test when that takes too long. */
void world_wait(world *w, const size_t *counter, size_t wanted);
/** Dispatch for so long: that something does not happen needs some time. */
void world_pass(world *w, int ms);
/** Read a topic from its beginning to its present end into w->records. */
void world_read(world *w, const char *topic);
/** Its last value of a header; "" none. Static storage. */
const char *world_header(const world_record *record, const char *name);
/** Close everything; every test ends with it. */
void world_close(world *w);

#endif
