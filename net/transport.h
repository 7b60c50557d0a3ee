/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What carries the bytes: a network finds addresses and opens transports; a transport is one byte
 * stream.
 *
 * Four networks have this interface: TCP with DNS (tcp.h), the one in memory for tests and
 * simulation (mem.h), a proxy over any other (proxy.h), and TLS over any other (tls.h). Whatever
 * stands between is a network that wraps a network: it opens the inner transport, takes its
 * KN_EVENT_OPEN, does its own handshake and only then reports KN_EVENT_OPEN itself, or
 * KN_EVENT_FAILED with its own phase. That is the place of TLS and of proxies; a connection knows of
 * them only what it has to say when they fail. SASL is no transport: it speaks Kafka requests and is a
 * step of conn_setup.c. */
#ifndef KN_TRANSPORT_H
#define KN_TRANSPORT_H

#include "net/address.h"
#include "net/loop.h"

#include <sys/uio.h>

typedef struct kn_network kn_network;
typedef struct kn_transport kn_transport;

enum {
    KN_EVENT_OPEN = 1u << 0,   /**< bytes can flow now; once                              */
    KN_EVENT_READ = 1u << 1,   /**< read() has bytes, the end, or an error                */
    KN_EVENT_WRITE = 1u << 2,  /**< there is room again; only while wanted                */
    KN_EVENT_FAILED = 1u << 3, /**< could not be opened; only before KN_EVENT_OPEN; close */
};

/** From a loop turn, never from inside a call. `error` goes with KN_EVENT_FAILED only: code,
 * os_errno, phase and a text that says why, without the name of the peer. The transport may be
 * closed inside. */
typedef void (*kn_event_fn)(void *user, unsigned events, const kc_error *error);

typedef struct kn_transport_ops {
    /** At most `len` bytes. Fewer than `len`: nothing more is there now. KC_ERR_AGAIN: nothing at
     * all; KC_ERR_END: the peer closed; else the stream is broken and *err says why. */
    kc_err (*read)(kn_transport *transport, void *into, size_t len, size_t *len_out, kc_error *err);
    /** Fewer than all: blocked, ask for KN_EVENT_WRITE. KC_ERR_AGAIN: none taken. */
    kc_err (*write)(kn_transport *transport, const struct iovec *iov, int count, size_t *len_out,
                    kc_error *err);
    /** KN_EVENT_WRITE in `events`: report room. Reading is always reported. */
    void (*want)(kn_transport *transport, unsigned events);
    /** Close and free. No event after this. */
    void (*close)(kn_transport *transport);
} kn_transport_ops;

/** First member of each kind. */
struct kn_transport {
    const kn_transport_ops *ops;
    kn_event_fn on_event;
    void *user;
};

static inline kc_err kn_transport_read(kn_transport *transport, void *into, size_t len,
                                       size_t *len_out, kc_error *err)
{
    return transport->ops->read(transport, into, len, len_out, err);
}

static inline kc_err kn_transport_write(kn_transport *transport, const struct iovec *iov, int count,
                                        size_t *len_out, kc_error *err)
{
    return transport->ops->write(transport, iov, count, len_out, err);
}

static inline void kn_transport_want(kn_transport *transport, unsigned events)
{
    transport->ops->want(transport, events);
}

static inline void kn_transport_close(kn_transport *transport)
{
    transport->ops->close(transport);
}

/** Most addresses of one name that are tried. */
#define KN_ADDRESSES_MAX 16

/** One look-up; stands inside its owner and must live until `done` or kn_network_cancel(). */
typedef struct kn_lookup {
    kc_bytes host; /**< name or literal; must live as long. A proxy puts its own in the place */
    uint16_t port; /**< the same                                                              */
    void (*done)(struct kn_lookup *lookup); /**< from a loop turn, once */
    void *user;

    kc_err err;         /**< KC_OK, KC_ERR_RESOLVE, KC_ERR_NOMEM                 */
    const char *reason; /**< static text, with KC_ERR_RESOLVE                    */
    kn_address addresses[KN_ADDRESSES_MAX]; /**< in the order to try them        */
    size_t count;

    kn_task task; /**< private to the network */
    void *query;  /**< private to the network */
} kn_lookup;

/** The look-up of the name of an address; as kn_lookup. */
typedef struct kn_naming {
    kn_address address;
    void (*done)(struct kn_naming *naming); /**< from a loop turn, once */
    void *user;

    kc_err err; /**< KC_OK, KC_ERR_RESOLVE: it has none, or nobody answers; KC_ERR_NOMEM */
    char name[KN_HOST_MAX +
              1]; /**< its canonical name; letters, digits, '-', '_' and '.'; no literal */

    kn_task task; /**< private to the network */
    void *query;  /**< private to the network */
} kn_naming;

typedef struct kn_open_options {
    kn_address address; /**< one of those the look-up gave                    */
    kc_bytes host; /**< the broker's, as configured: the name to verify, where the network does;
                      valid during the call */
    uint16_t port; /**< the broker's; `address` may be a proxy's, with another */
    int64_t deadline_us; /**< when the caller gives up, 0: never. Who shakes hands fails by then and
                            says what it waited for */
    int32_t send_buffer_bytes; /**< -1: the system's */
    int32_t receive_buffer_bytes;
    kn_event_fn on_event;
    void *user;
} kn_open_options;

typedef struct kn_network_ops {
    void (*resolve)(kn_network *network, kn_lookup *lookup);
    void (*cancel)(kn_network *network, kn_lookup *lookup);
    void (*name)(kn_network *network, kn_naming *naming);
    void (*cancel_name)(kn_network *network, kn_naming *naming);
    kc_err (*open)(kn_network *network, const kn_open_options *options,
                   kn_transport **transport_out, kc_error *err);
    void (*free)(kn_network *network);
} kn_network_ops;

/** First member of each kind. */
struct kn_network {
    const kn_network_ops *ops;
    const char *via; /**< whose addresses are looked up and opened: "proxy host:port"; NULL: the
                        broker's own. For messages */
};

/** Begin a look-up: asked anew each time, nothing is cached here. host, port, done, user are set.
 */
static inline void kn_network_resolve(kn_network *network, kn_lookup *lookup)
{
    network->ops->resolve(network, lookup);
}

/** Forget it: `done` will not be called. Does nothing when none is under way. */
static inline void kn_network_cancel(kn_network *network, kn_lookup *lookup)
{
    network->ops->cancel(network, lookup);
}

/** Begin to look up the name of an address. address, done, user are set. */
static inline void kn_network_name(kn_network *network, kn_naming *naming)
{
    network->ops->name(network, naming);
}

/** As kn_network_cancel(). */
static inline void kn_network_cancel_name(kn_network *network, kn_naming *naming)
{
    network->ops->cancel_name(network, naming);
}

/** Begin to connect; KN_EVENT_OPEN or KN_EVENT_FAILED follows. Errors at once as with
 * KN_EVENT_FAILED. */
static inline kc_err kn_network_open(kn_network *network, const kn_open_options *options,
                                     kn_transport **transport_out, kc_error *err)
{
    return network->ops->open(network, options, transport_out, err);
}

/** All transports and look-ups must be gone. NULL is allowed. */
static inline void kn_network_free(kn_network *network)
{
    if (network)
        network->ops->free(network);
}

#endif
