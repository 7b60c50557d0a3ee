/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A proxy as a network that wraps a network: SOCKS5 (RFC 1928, RFC 1929) and HTTP CONNECT (RFC 9110,
 * section 9.3.6). What is looked up and connected to is the proxy; it is told the broker's name, which
 * is never looked up here. TLS stands on top: it is between us and the broker, and a proxy sees
 * nothing of it. */
#ifndef KN_PROXY_H
#define KN_PROXY_H

#include "net/transport.h"

/** Most bytes a proxy may say before the stream begins; it is held only as long as the handshake
 * takes. */
#define KN_PROXY_ANSWER_BYTES_MAX ((size_t)8 * 1024)
/** Longest user and longest password for HTTP, each. SOCKS5 has 255. */
#define KN_PROXY_SECRET_BYTES_MAX 2048

typedef struct kn_proxy_protocol kn_proxy_protocol;

/** What a proxy's URL says. */
typedef struct kn_proxy_url {
    kb_mem *mem;
    const kn_proxy_protocol *protocol;
    char *host; /**< without brackets */
    uint16_t port;
    char *user, *password; /**< decoded; both NULL: none */
} kn_proxy_url;

/**
 * Read socks5://[user:password@]host[:port] or http://[user:password@]host[:port]. socks5h is the same
 * as socks5; the ports are 1080 and 8080 where none is given; user and password may have any byte
 * but control characters as %XX.
 *
 * @param out  kn_proxy_url_cleanup() it after KC_OK only.
 * @retval KC_ERR_CONFIG  It can't be read: *err says what is expected and never quotes it.
 * @retval KC_ERR_NOMEM
 */
KC_NODISCARD kc_err kn_proxy_url_parse(kb_mem *mem, kc_bytes text, kn_proxy_url *out,
                                       kc_error *err);
/** Wipes user and password. */
void kn_proxy_url_cleanup(kn_proxy_url *url);

/** Errors as of kn_proxy_url_parse(). `inner` outlives the network; `url` is read during the call. */
KC_NODISCARD kc_err kn_proxy_network_new(kb_mem *mem, kn_loop *loop, kn_network *inner,
                                         kc_bytes url, kn_network **network_out, kc_error *err);

#endif
