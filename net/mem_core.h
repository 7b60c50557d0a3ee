/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of the in-memory network. */
#ifndef KN_MEM_CORE_H
#define KN_MEM_CORE_H

#include "net/mem.h"
#include "protocol/base/buf.h"

/** The network as one host sees it: what the transports opened through it tell, they tell on its loop. */
typedef struct mem_view {
    kn_network base;
    kn_mem_network *network;
    kn_loop *loop;
    kb_list node; /**< in the network, where it is not the network's own */
} mem_view;

struct kn_mem_network {
    mem_view own; /**< of clients on the network's own loop */
    kb_list views;
    kb_mem *mem;
    kn_loop *loop;
    kb_rand *rand;
    kn_mem_shape shape;
    kb_list names;      /**< mem_name     */
    kb_list canonicals; /**< mem_canonical */
    kb_list listeners;  /**< mem_listener */
    kb_list peers;      /**< kn_mem_peer  */
    uint32_t next_ip;   /**< last three bytes of the next 10.x.y.z given out */
    uint32_t connects;
};

typedef struct mem_listener {
    kb_list node;
    kn_address address;
    const kn_mem_server *server;
    void *user;
    bool is_paused;
} mem_listener;

/** One direction. Bytes become visible at their due time. */
typedef struct mem_pipe {
    kb_list segments;
    size_t bytes;
    int64_t last_due_us;
    bool has_end; /**< nothing follows the segments */
    int64_t end_due_us;
} mem_pipe;

struct kn_mem_peer {
    kn_transport base; /**< the client's side */
    kn_loop *client_loop;
    kn_task client_task;   /**< on it: tells the client, where it is not the network's own */
    unsigned first_events; /**< KN_EVENT_OPEN or KN_EVENT_FAILED, not told yet */
    bool is_half_open; /**< the server is gone and nobody told the client: what it writes is lost */
    kb_list node;
    kn_mem_network *network;
    kn_address address;
    const kn_mem_server *server;
    void *server_user;
    void *user;
    mem_pipe to_client;
    mem_pipe to_server;
    kb_buf in; /**< arrived at the server */
    size_t in_taken;
    int64_t connect_due_us;
    bool has_client; /**< the transport is not closed           */
    bool has_server; /**< the server may use the peer           */
    bool is_open;    /**< accepted                              */
    bool is_refused;
    bool is_reset;
    bool is_cut; /**< the server is to hear of a reset      */
    bool wants_write;
    bool in_run;
    kn_timer timer;
    kn_task task;
};

mem_listener *kn_mem_find_listener(kn_mem_network *network, const kn_address *address);
kc_err kn_mem_open(kn_network *network, const kn_open_options *options,
                   kn_transport **transport_out, kc_error *err);
/** Look again at what can move. */
void kn_mem_peer_schedule(kn_mem_peer *peer);
void kn_mem_peer_free(kn_mem_peer *peer);
/** The server's side is gone, and the client is not told. */
void kn_mem_peer_lose_server(kn_mem_peer *peer);

#endif
