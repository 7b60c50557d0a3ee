/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Names to addresses, and addresses to names, without blocking and without a thread: c-ares on the loop. */
#ifndef KN_RESOLVE_H
#define KN_RESOLVE_H

#include "net/transport.h"

typedef struct kn_resolver kn_resolver;

/** Reads nothing yet: the system's resolver configuration is read when a name is first asked for.
 */
KC_NODISCARD kc_err kn_resolver_new(kb_mem *mem, kn_loop *loop, kn_resolver **resolver_out);
/** No look-up may be under way. */
void kn_resolver_free(kn_resolver *resolver);

/** As kn_network_resolve(), kn_network_cancel(). */
void kn_resolver_start(kn_resolver *resolver, kn_lookup *lookup);
void kn_resolver_cancel(kn_resolver *resolver, kn_lookup *lookup);

/** As kn_network_name(), kn_network_cancel_name(). */
void kn_resolver_name(kn_resolver *resolver, kn_naming *naming);
void kn_resolver_cancel_name(kn_resolver *resolver, kn_naming *naming);

/** For tests: ask this server ("127.0.0.1:5353") instead of the system's. Must outlive the
 * resolver. */
void kn_resolver_use_server(kn_resolver *resolver, const char *server);

#endif
