/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A scripted cluster in memory, for tests of the client layer: virtual time, real bytes, answers by
 * the test.
 *
 *     fake_cluster *cluster = fake_new(3);               // brokers 1, 2, 3 at b1:9092, b2:9092,
 * b3:9092 fake_topic_add(cluster, "t", 6);                   // leaders 1, 2, 3, 1, 2, 3; epoch 0
 *     fake_on(cluster, KP_API_FETCH, my_fetch, &test);   // answer Fetch
 *     kc_client *client = fake_client(cluster, config);
 *     ...
 *     fake_run(cluster, 500);                            // half a second of virtual time
 *     kc_client_free(client);
 *     fake_free(cluster);                                // fails the test if a byte leaked
 *
 * A handler gets the decoded request and fills in the response struct, which has its defaults
 * already; what that points to is taken from request->arena. Its result says what to do:
 *     FAKE_ANSWER   send the response, after request->delay_us (0: at once)
 *     FAKE_SILENT   send nothing, ever (acks=0; a broker that hangs: later requests are served)
 *     FAKE_CLOSE    close the connection
 *     FAKE_HOLD     answer later by fake_answer(request, response) or fake_drop(request): the
 * request stays valid Like a real broker it serves the requests of one connection one by one: while
 * one is delayed or held, those behind it wait.
 *
 * Without a handler these are answered from the cluster's model: ApiVersions, Metadata,
 * FindCoordinator. Any other request fails the test. fake_model(request, response) gives a handler
 * the model's answer, to change it. */
#ifndef FAKE_BROKER_H
#define FAKE_BROKER_H

#include "client/core.h"
#include "net/mem.h"

#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

#define FAKE_BROKERS_MAX 8
#define FAKE_TOPICS_MAX  32
#define FAKE_API_MAX     96

typedef struct fake_cluster fake_cluster;

typedef struct fake_request {
    fake_cluster *cluster;
    int32_t broker;      /**< who got it                                 */
    uint32_t connection; /**< number of the connection, from 1      */
    const kp_api *api;
    int16_t version;
    int32_t correlation_id;
    kc_bytes client_id;
    const void *message; /**< kp_..._req                            */
    kb_arena *arena;     /**< for what the response points to       */
    int64_t delay_us;    /**< the handler may set it                */
    void *held;          /**< private                               */
} fake_request;

typedef enum fake_action {
    FAKE_ANSWER,
    FAKE_SILENT,
    FAKE_CLOSE,
    FAKE_HOLD,
} fake_action;

typedef fake_action (*fake_handler)(fake_request *request, void *response, void *user);

typedef struct fake_partition {
    int32_t leader;
    int32_t leader_epoch;
    int16_t error;
} fake_partition;

typedef struct fake_topic {
    char name[64];
    kc_uuid id; /**< zero: told without                     */
    int16_t error;
    bool is_internal;
    int32_t partition_count;
    fake_partition *partitions;
} fake_topic;

typedef struct fake_broker {
    fake_cluster *cluster;
    int32_t id;
    char host[16];
    bool is_down;
    bool is_gone;         /**< left out of Metadata                 */
    uint32_t connections; /**< open now                     */
    uint32_t requests[FAKE_API_MAX];
} fake_broker;

struct fake_cluster {
    kb_mem mem;
    kb_rand rand;
    kn_loop *loop;
    kn_mem_network *network;               /**< latency, cuts: see net/mem.h  */
    fake_broker brokers[FAKE_BROKERS_MAX]; /**< id 1 is [0]     */
    int broker_count;
    fake_topic topics[FAKE_TOPICS_MAX];
    int topic_count;
    int32_t controller;  /**< 1                                  */
    int32_t coordinator; /**< 1: of every group and transaction  */
    bool creates_topics; /**< true: Metadata with the flag makes a missing topic of 1 partition */
    struct {
        int16_t min, max;
    } versions[FAKE_API_MAX]; /**< what ApiVersions says; max -1: not served */
    struct {
        fake_handler fn;
        void *user;
    } handlers[FAKE_API_MAX];
    uint32_t next_connection;
    uint32_t next_id;
    kb_list peers, held; /**< private */
};

fake_cluster *fake_new(int broker_count);
/** Checks that nothing leaked. Clients must be freed. */
void fake_free(fake_cluster *cluster);

/** A client on it; `config` may be NULL; bootstrap.servers is set to b1 (and b2, where there is
 * one) unless it is set. */
kc_client *fake_client(fake_cluster *cluster, const kc_config *config);
/** The same with options (allocator, log); NULL when kc_client_new_on() fails. */
kc_client *fake_client_with(fake_cluster *cluster, const kc_config *config,
                            const kc_client_options *options, kc_error *err);

/** Let `ms` of virtual time pass. */
void fake_run(fake_cluster *cluster, int64_t ms);
/** Until *done, at most `ms`; false: it did not come. */
bool fake_run_until(fake_cluster *cluster, const bool *done, int64_t ms);
int64_t fake_now_ms(const fake_cluster *cluster);

/** Answer `api_key` by `fn`; NULL: by the model again. */
void fake_on(fake_cluster *cluster, int16_t api_key, fake_handler fn, void *user);
/** Fill `response` as the model would. Only ApiVersions, Metadata, FindCoordinator. */
void fake_model(fake_request *request, void *response);
void fake_answer(fake_request *held, const void *response);
/** Forget it: no answer comes, and what waits behind it is served. */
void fake_drop(fake_request *held);

/** Requests of this API so far, by one broker or (0) by all. */
uint32_t fake_count(const fake_cluster *cluster, int32_t broker, int16_t api_key);

fake_topic *fake_topic_add(fake_cluster *cluster, const char *name, int partition_count);
fake_topic *fake_topic_find(fake_cluster *cluster, kc_bytes name);
void fake_topic_remove(fake_cluster *cluster, const char *name);
/** The same name with a new id, epochs from 0. */
void fake_topic_recreate(fake_cluster *cluster, const char *name, int partition_count);
/** New leader, epoch + 1. */
void fake_move_leader(fake_cluster *cluster, const char *name, int32_t partition, int32_t leader);

fake_broker *fake_broker_of(fake_cluster *cluster, int32_t id);
/** Refuse connections and cut those there are; and serve again. Leaders stay as they are. */
void fake_down(fake_cluster *cluster, int32_t id);
void fake_up(fake_cluster *cluster, int32_t id);
/** Cut its connections only. */
void fake_cut(fake_cluster *cluster, int32_t id);

/** Space in the request's arena, zeroed; never NULL. */
void *fake_alloc(fake_request *request, size_t count, size_t item_size);

#endif
