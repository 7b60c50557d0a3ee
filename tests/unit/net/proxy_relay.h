/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A proxy in memory that works: it takes SOCKS5 and CONNECT on one port and relays to whoever listens on the same
 * network. */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include "net/mem.h"
#include "protocol/base/buf.h"

typedef struct proxy_relay {
    kb_mem mem;
    kn_loop *loop;
    kn_mem_network *network;
    const char *secret; /**< "user:password"; NULL: nobody is asked             */
    const char *names;  /**< what a name known only here stands for, "name=b1"  */
    char target[300];   /**< as asked for last, "host:port"                     */
    int asked;          /**< how often                                          */
    int tunnels;        /**< open now                                           */
    kb_list list;
} proxy_relay;

/** Serves at host:port. */
void proxy_relay_init(proxy_relay *relay, kn_loop *loop, kn_mem_network *network, const char *host,
                      uint16_t port);
/** Before loop and network go. */
void proxy_relay_cleanup(proxy_relay *relay);

#endif
