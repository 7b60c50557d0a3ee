/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of the in-memory network. */
#ifndef KN_MEM_CORE_H
#define KN_MEM_CORE_H

#include "net/mem.h"
#include "protocol/base/buf.h"

struct kn_mem_network {
    kn_network base;
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

#endif
