/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The real network: non-blocking TCP sockets over IPv4 and IPv6, names by resolve.h. */
#ifndef KN_TCP_H
#define KN_TCP_H

#include "net/transport.h"

/** On a real loop, which outlives the network. kn_network_free() ends it. */
KC_NODISCARD kc_err kn_tcp_network_new(kb_mem *mem, kn_loop *loop, kn_network **network_out);

#endif
