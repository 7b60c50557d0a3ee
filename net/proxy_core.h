/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of the proxy network: one handshake without I/O, bytes in and bytes out. */
#ifndef KN_PROXY_CORE_H
#define KN_PROXY_CORE_H

#include "net/proxy.h"
#include "protocol/base/buf.h"

/** Most bytes of a handshake's own messages: the head of an HTTP request with all its secrets. */
#define KN_PROXY_REQUEST_BYTES_MAX ((size_t)8 * 1024)

/** One handshake. Its owner sends `out` and empties it, and gives what comes to kn_proxy_step(). */
typedef struct kn_proxy_shake {
    const kn_proxy_url *url;
    char host[KN_HOST_MAX + 1]; /**< the broker's */
    kn_address literal;         /**< the same, where is_literal */
    bool is_literal;
    uint16_t port;
    kb_buf out;            /**< secret */
    const char *waits_for; /**< for messages: "no answer to ..." */
    int state;             /**< the protocol's own */
    size_t seen;           /**< bytes that were searched in vain */
    size_t taken;          /**< bytes used so far                */
} kn_proxy_shake;

struct kn_proxy_protocol {
    const char *name; /**< for messages */
    uint16_t default_port;
    size_t secret_max; /**< of user and of password  */
    /** Put the first message. */
    void (*start)(kn_proxy_shake *shake);
    /** Take one whole message off `in`, *used_out bytes. KC_OK: done, the stream begins behind it;
     * KC_ERR_AGAIN: not yet: with nothing used more bytes are needed; else *err says why not. */
    kc_err (*step)(kn_proxy_shake *shake, kc_bytes in, size_t *used_out, kc_error *err);
};

extern const kn_proxy_protocol kn_proxy_socks5;
extern const kn_proxy_protocol kn_proxy_http;

/** A host of letters, digits, '-', '_' and '.': nothing that means something in a URL or in HTTP. */
bool kn_proxy_is_name(kc_bytes host);

/** `host` and `port` are the broker's, copied. KC_ERR_CONNECT: a host that can't be told to a proxy.
 * kn_proxy_shake_cleanup() in any case. */
KC_NODISCARD kc_err kn_proxy_shake_init(kn_proxy_shake *shake, kb_mem *mem, const kn_proxy_url *url,
                                        kc_bytes host, uint16_t port, kc_error *err);
void kn_proxy_shake_cleanup(kn_proxy_shake *shake);
/** Go on with all of `in`: what came and was not used yet. KC_OK, KC_ERR_AGAIN and errors as of
 * kn_proxy_protocol.step; after KC_ERR_AGAIN there is room for more under
 * KN_PROXY_ANSWER_BYTES_MAX, what was used counted in. */
KC_NODISCARD kc_err kn_proxy_step(kn_proxy_shake *shake, kc_bytes in, size_t *used_out,
                                  kc_error *err);

/** Fill *err with the phase of a proxy. The text goes behind "connect to broker 1 at host:9092 through
 * proxy host:1080: ", so "it" is the proxy. */
kc_err kn_proxy_fail(kc_error *err, kc_err code, uint32_t flags, const char *fmt, ...)
    KC_PRINTF(4, 5);
/** It wants user and password, or other ones; `quoted` is its answer in words. */
kc_err kn_proxy_refuse(const kn_proxy_shake *shake, const char *quoted, kc_error *err);
/** What came is of another protocol. */
kc_err kn_proxy_mismatch(const kn_proxy_shake *shake, kc_bytes in, kc_error *err);

#endif
