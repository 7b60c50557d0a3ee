/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A cluster in the in-memory network: for tests and the simulation. Broker i serves at "b<i>:9092". */
#ifndef KM_MEM_SERVER_H
#define KM_MEM_SERVER_H

#include "mock/cluster.h"
#include "net/mem.h"

#define KM_MEM_PORT 9092

typedef struct km_mem_server km_mem_server;

/** Loop, network and cluster outlive it. Sets the brokers' hosts and ports. */
KC_NODISCARD kc_err km_mem_server_new(kn_loop *loop, kn_mem_network *network, km_cluster *cluster,
                                      km_mem_server **server_out);
/** Connections are cut. NULL is allowed. */
void km_mem_server_free(km_mem_server *server);

#endif
