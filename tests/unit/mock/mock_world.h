/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A cluster of the embedded broker for its unit tests: requests are handed to its connections as bytes, answers are
 * decoded; time passes when the test says so.
 *
 *     mock_world *world = mock_new(3);
 *     mock_link *link = mock_link_new(world, 1);             // a connection to broker 1
 *     kp_metadata_req request;
 *     MOCK_DEFAULTS(METADATA, &request);
 *     const kp_metadata_resp *response = mock_ask(link, KP_API_METADATA, 12, &request);
 *     ...
 *     mock_free(world);                                      // fails the test if a byte leaked */
#ifndef MOCK_WORLD_H
#define MOCK_WORLD_H

#include "mock/broker.h"
#include "mock/conn.h"
#include "mock/fault.h"

typedef struct mock_world {
    kb_mem mem;
    km_options options; /**< as given to the cluster */
    km_cluster *cluster;
    kb_list links;
} mock_world;

typedef struct mock_link mock_link;

/** Brokers at b1:9092, b2:9092, ... Time begins at 1 s, wall clock 1,700,000,000,000 ms. */
mock_world *mock_new(int broker_count);
mock_world *mock_new_with(const km_options *options);
void mock_free(mock_world *world);
/** Let `ms` pass, in steps from one due time to the next. */
void mock_run(mock_world *world, int64_t ms);
km_broker *mock_broker(mock_world *world, int32_t id);
/** Through km_topic_create(); the test fails if it does not work. */
km_topic *mock_topic(mock_world *world, const char *name, int32_t partitions);

/** A connection; freed with the world, or by mock_link_free(). */
mock_link *mock_link_new(mock_world *world, int32_t broker_id);
void mock_link_free(mock_link *link);
/** To the broker that leads, or coordinates. One connection for each is kept. */
mock_link *mock_leader(mock_world *world, const char *topic, int32_t partition);
mock_link *mock_coordinator(mock_world *world, km_coordinator_type type, const char *key);

/** Transactional batches of producers that never asked for a transactional id are taken, until one asks. */
void mock_allow_transactions(mock_world *world);

/** Every field of a request to its default. */
void mock_defaults(int16_t api_key, void *request);

/** Send, and take the answer, which must be there at once; valid until the next answer of this link. */
const void *mock_ask(mock_link *link, int16_t api_key, int16_t version, const void *request);
/** Send only. */
void mock_send(mock_link *link, int16_t api_key, int16_t version, const void *request);
/** The answer of the oldest request not answered; NULL: not there yet. */
const void *mock_answer(mock_link *link);
/** Its connection. */
km_conn *mock_conn(const mock_link *link);
/** The broker has closed it. */
bool mock_is_closed(const mock_link *link);
/** Bytes of no request. */
void mock_send_bytes(mock_link *link, kc_bytes bytes);

/** One batch of `count` records "k<i>" => "v<i>", sealed; valid until the next call. `producer` may be NULL. */
kc_bytes mock_batch(mock_world *world, int count, const kp_batch_producer *producer);

#endif
