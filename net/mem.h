/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A network in memory, for tests, simulation and the embedded broker: names, listeners, connections
 * with latency, and faults on demand. Runs on either kind of loop; on a virtual one the same calls
 * give the same run. */
#ifndef KN_MEM_H
#define KN_MEM_H

#include "net/transport.h"
#include "protocol/base/rand.h"

typedef struct kn_mem_network kn_mem_network;
/** The far end of one connection, as the server has it. */
typedef struct kn_mem_peer kn_mem_peer;

/** What a server does; all from loop turns, any may be NULL. */
typedef struct kn_mem_server {
    void (*on_accept)(void *user, kn_mem_peer *peer);
    /** There is something new in kn_mem_peer_in(). */
    void (*on_data)(void *user, kn_mem_peer *peer);
    /** The client is gone, or the connection was cut; so is `peer` after this. Not after an own
     * close. */
    void (*on_close)(void *user, kn_mem_peer *peer);
} kn_mem_server;

/** How bytes travel; may be changed at any time, for all connections at once. */
typedef struct kn_mem_shape {
    int64_t latency_us;         /**< one way; connecting takes two                           */
    int64_t jitter_us;          /**< up to this much more; order is kept; needs `rand`       */
    int64_t resolve_latency_us; /**< for a name                                              */
    int64_t bytes_per_second;   /**< each way of each connection; 0: any                     */
    size_t read_max;            /**< most bytes one read() gives; 0: any                     */
    size_t write_max;           /**< most bytes one write() takes; 0: any                    */
    size_t window_bytes;        /**< most bytes written that the server did not take; 0: any */
} kn_mem_shape;

/** `rand` may be NULL: no jitter. Freed by kn_network_free(). */
KC_NODISCARD kc_err kn_mem_network_new(kb_mem *mem, kn_loop *loop, kb_rand *rand,
                                       kn_mem_network **network_out);
kn_network *kn_mem_network_base(kn_mem_network *network);
/** The same network for a host with a loop of its own, whose time the caller moves along (or not, which is a process
 * that is frozen): its transports tell what happens on that loop. Freed by kn_network_free(), or with the network.
 * KC_ERR_NOMEM. */
KC_NODISCARD kc_err kn_mem_network_view(kn_mem_network *network, kn_loop *loop,
                                        kn_network **view_out);
kn_mem_shape *kn_mem_network_shape(kn_mem_network *network);
/** After `window_bytes` was raised: tell those who wait for room. */
void kn_mem_network_reshaped(kn_mem_network *network);
/** Connections tried so far. */
uint32_t kn_mem_network_connects(const kn_mem_network *network);

/** Serve at host:port. A name not known yet gets an address of its own. KC_ERR_STATE: taken. */
KC_NODISCARD kc_err kn_mem_listen(kn_mem_network *network, const char *host, uint16_t port,
                                  const kn_mem_server *server, void *user);
/** New connections are refused; those there are stay. */
void kn_mem_unlisten(kn_mem_network *network, const char *host, uint16_t port);
/** While paused, nothing moves between clients and this address, and connecting hangs: a cut cable.
 */
void kn_mem_pause(kn_mem_network *network, const char *host, uint16_t port, bool is_paused);
/** Reset every connection to this address; the server's on_close is called in a turn. */
void kn_mem_cut(kn_mem_network *network, const char *host, uint16_t port);

/** As if the machine had lost its power: the server's side of every connection to this address is gone, on_close is
 * called now, and no client is told. */
void kn_mem_half_open(kn_mem_network *network, const char *host, uint16_t port);

/** One more address ("10.0.0.7") for a name. Names are unresolvable without any. */
KC_NODISCARD kc_err kn_mem_name_add(kn_mem_network *network, const char *name, const char *literal);
void kn_mem_name_remove(kn_mem_network *network, const char *name);
/** The canonical name of an address (a PTR record, which need not agree with the names); NULL: none, as before. */
KC_NODISCARD kc_err kn_mem_canonical_set(kn_mem_network *network, const char *literal,
                                         const char *name);

/** What came from the client and was not taken yet. */
kc_bytes kn_mem_peer_in(const kn_mem_peer *peer);
/** Slices of kn_mem_peer_in() are no longer valid after this. */
void kn_mem_peer_take(kn_mem_peer *peer, size_t len);
/** Send to the client; copied. */
KC_NODISCARD kc_err kn_mem_peer_write(kn_mem_peer *peer, kc_bytes bytes);
/** The client reads what was written, then the end. `peer` is gone. */
void kn_mem_peer_close(kn_mem_peer *peer);
/** The client's next read or write fails with ECONNRESET. `peer` is gone. */
void kn_mem_peer_reset(kn_mem_peer *peer);
void kn_mem_peer_set_user(kn_mem_peer *peer, void *user);
void *kn_mem_peer_user(const kn_mem_peer *peer);

#endif
