/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A cluster on real TCP: broker i listens on a port of its own. Carries bytes to and from its connections (conn.h) and
 * time from the loop, and spoils the link to a broker when told to. */
#ifndef KM_TCP_SERVER_H
#define KM_TCP_SERVER_H

#include "mock/cluster.h"
#include "net/loop.h"

typedef struct km_tcp_server km_tcp_server;

typedef struct km_tcp_options {
    const char
        *listen_host; /**< an IP address; NULL: 127.0.0.1                                    */
    const char
        *advertised_host; /**< what Metadata tells; NULL: the address, of a wildcard the loopback */
    uint16_t port;        /**< of broker 1, + 1 for each further one; 0: free ports              */
} km_tcp_options;

/** How the network between the clients and one broker is. */
typedef struct km_tcp_weather {
    bool is_cut_off;          /**< nothing moves, nothing is closed               */
    int64_t bytes_per_second; /**< each way, all connections together; 0: no limit */
} km_tcp_weather;

/**
 * All brokers listen. Loop (a real one) and cluster outlive it. Sets the brokers' hosts and ports.
 *
 * @retval KC_OK, KC_ERR_NOMEM
 * @retval KC_ERR_ARGUMENT  A host that is no address, or too long; a port above 65535.
 * @retval KC_ERR_IO        A port can't be had (os_errno).
 */
KC_NODISCARD kc_err km_tcp_server_new(kn_loop *loop, km_cluster *cluster,
                                      const km_tcp_options *options, km_tcp_server **server_out,
                                      kc_error *err);
/** Connections are closed. NULL is allowed. */
void km_tcp_server_free(km_tcp_server *server);
/** In a child of the process that made it: close the child's copies of the listeners, touch nothing else. */
void km_tcp_server_abandon(km_tcp_server *server);

/** The cluster was changed outside of a turn: what it has to say leaves in the next one. */
void km_tcp_server_settle(km_tcp_server *server);
void km_tcp_server_set_weather(km_tcp_server *server, int32_t broker_id,
                               const km_tcp_weather *weather);
km_tcp_weather km_tcp_server_weather(const km_tcp_server *server, int32_t broker_id);
/** False: it is down, or its port could not be had again. */
bool km_tcp_server_is_listening(const km_tcp_server *server, int32_t broker_id);
/** Connections open to this broker. */
size_t km_tcp_server_connections(const km_tcp_server *server, int32_t broker_id);

#endif
