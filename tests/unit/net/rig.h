/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the tests of connection and pool stand on: a virtual loop, the in-memory network, scripted
 * brokers that answer in the way the test says, and requests that note what became of them.
 *
 * The code under test has a kb_mem of its own, so that it can run out of memory while the rig does
 * not. */
#ifndef RIG_H
#define RIG_H

#include "net/conn.h"
#include "net/mem.h"
#include "net/pool.h"

#include <check.h>

#define RIG_START_US 1000000
#define RIG_BROKERS  8

typedef struct rig rig;
typedef struct rig_broker rig_broker;

/** One connection, as its broker has it. */
typedef struct rig_peer {
    kb_list node;
    rig_broker *broker;
    kn_mem_peer *peer;
    size_t sent;  /**< bytes written to the client */
    kb_buf later; /**< bytes held back by broker->split_at */
    kn_timer timer;
} rig_peer;

/** True: the hook has dealt with the request. */
typedef bool (*rig_hook)(rig_peer *peer, const kp_request_info *info);

struct rig_broker {
    rig *rig;
    const char *host;
    uint16_t port;
    rig_hook hook; /**< sees each request first; may be NULL                    */
    void *user;
    size_t body_bytes; /**< of a response besides ApiVersions                       */
    int16_t list_max;  /**< highest version listed of each API                      */
    size_t split_at;   /**< what is behind this byte comes 1 ms later; 0: all       */
    size_t cut_at;     /**< the connection ends behind this byte; SIZE_MAX: never   */
    bool is_reset;     /**< ... by a reset                                          */
    bool is_silent;    /**< answers ApiVersions only                                */
    uint32_t accepts, closes;
    uint32_t requests; /**< besides ApiVersions                                     */
    uint32_t versions; /**< ApiVersions                                             */
    int16_t versions_seen[8];
    uint64_t request_bytes;
    kb_list peers;
};

struct rig {
    kb_mem rig_mem;
    kb_mem mem; /**< of the code under test */
    kb_rand rand;
    kn_loop *loop;
    kn_mem_network *network;
    rig_broker brokers[RIG_BROKERS];
    size_t broker_count;
    kn_pool *pool;
    uint32_t ups, downs, idle_downs;
    kc_error last_down;
    uint32_t versions_heard;
};

/** A request and what became of it. */
typedef struct rig_call {
    kn_request request;
    kp_metadata_req metadata;
    kp_produce_req produce;
    kp_produce_req_topic_data topic;
    kp_produce_req_partition_data partitions[200];
    kp_splice splices[200];
    rig *rig;
    int done;
    kc_err err;
    kc_error error;
    bool was_sent;
    bool in_turn; /**< done was called from a turn, as must be */
    int32_t broker_id;
    int16_t version;
    size_t body_len;
    kb_chunk *chunk; /**< kept when `keeps` */
    kc_bytes body;
    bool keeps;
    void (*then)(struct rig_call *call); /**< inside done */
    void *user;
} rig_call;

/** One connection without a pool. */
typedef struct rig_conn {
    rig *rig;
    kn_conn_env env;
    kn_recycler recycler;
    kn_conn_stats stats;
    kn_conn *conn;
    int ready, versions, rooms, closed;
    kb_list unsent; /**< requests it gave back */
} rig_conn;

void rig_init(rig *r);
/** Fails the test if anything leaked. */
void rig_cleanup(rig *r);
rig_broker *rig_broker_add(rig *r, const char *host, uint16_t port);
/** Again, after kn_mem_unlisten(). */
void rig_broker_listen(rig_broker *broker);
/** Let virtual time pass. */
void rig_run(rig *r, int64_t ms);
/** Until the call is done, at most a virtual hour. */
void rig_wait(rig_call *call);
/** It was answered, once, in a turn of the loop. */
void rig_check_answered(const rig_call *call);
int64_t rig_ms(const rig *r);

/** The default answer to a request. */
void rig_answer(rig_peer *peer, const kp_request_info *info);
/** A response with this body behind its header. */
void rig_answer_body(rig_peer *peer, const kp_request_info *info, kc_bytes body);
/** This message as the response, of that version. */
void rig_answer_message(rig_peer *peer, const kp_request_info *info, int16_t version,
                        const void *resp);
void rig_answer_versions(rig_peer *peer, const kp_request_info *info, int16_t version,
                         int16_t error_code, int16_t own_max);
/** Bytes as they are, through split_at and cut_at. */
void rig_send(rig_peer *peer, kc_bytes bytes);
void rig_peer_close(rig_peer *peer, bool is_reset);

/** Options with the Java client's defaults. */
kn_pool_options rig_options(rig *r, const char *bootstrap);
void rig_pool(rig *r, const char *bootstrap);

/** Ready to connect; the test may change `env` first. */
void rig_conn_init(rig *r, rig_conn *c);
void rig_conn_open(rig_conn *c, const char *host, uint16_t port);
/** Open and run until READY. */
void rig_conn_ready(rig_conn *c, const char *host, uint16_t port);
/** Ends what is left of it. */
void rig_conn_cleanup(rig_conn *c);
/** Send on it; fails the test if it can't be encoded. */
void rig_conn_send(rig_conn *c, rig_call *call);

/** A Metadata request. */
void rig_call_init(rig *r, rig_call *call);
/** A Produce request with `count` partitions of `len` bytes each, spliced or not. */
void rig_call_produce(rig *r, rig_call *call, size_t count, size_t len, bool is_spliced);
void rig_call_cleanup(rig_call *call);
void rig_submit(rig_call *call, int32_t broker_id);
void rig_submit_to(rig_call *call, int32_t broker_id, kn_lane lane, uint32_t owner);
/** Byte `at` of the pattern that rig bodies and records are filled with. */
uint8_t rig_byte(size_t at);
bool rig_is_pattern(kc_bytes bytes);

#endif
