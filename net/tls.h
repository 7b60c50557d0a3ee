/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * TLS as a network that wraps a network: the same names and addresses, every transport encrypted
 * (OpenSSL 3). It opens when the handshake is done and the broker is known to be the right one. */
#ifndef KN_TLS_H
#define KN_TLS_H

#include "net/tls_conf.h"
#include "net/transport.h"
#include "protocol/base/log.h"

/** What one transport counts for in the client's memory: OpenSSL's own allocations, which do not
 * pass through kb_mem. Measured with a chain of RSA certificates: at most 101 KB during the handshake,
 * 93 KB while reading, 43 KB while writing, 26 KB at rest. */
#define KN_TLS_TRANSPORT_BYTES ((size_t)112 * 1024)
/** The same for a session kept to be resumed, with the broker's certificates: 13 KB there. */
#define KN_TLS_SESSION_BYTES ((size_t)16 * 1024)
/** Most sessions kept, one per broker's name and port; the one unused for longest goes. */
#define KN_TLS_SESSIONS_MAX 64

typedef struct kn_tls_options {
    kb_mem *mem;
    kn_loop *loop;
    kn_network *inner; /**< outlives this one              */
    const kb_log *log; /**< may be NULL                    */
    kn_tls_settings settings;
    const char *keylog_path; /**< of SSLKEYLOGFILE; NULL: none. Appended to. */
    /** The files changed and can't be used; what was loaded before stays in force. May be NULL. */
    void (*on_reload_failed)(void *user, const kc_error *error);
    void *user;
} kn_tls_options;

/** KC_ERR_CONFIG: a certificate, key or suite can't be used, and *err says which and why. */
KC_NODISCARD kc_err kn_tls_network_new(const kn_tls_options *options, kn_network **network_out,
                                       kc_error *err);
/** Read certificates and keys anew, for connections to come; on failure those loaded before stay. It
 * happens by itself when a connection is opened and a file has changed. */
KC_NODISCARD kc_err kn_tls_network_reload(kn_network *network, kc_error *err);

#endif
