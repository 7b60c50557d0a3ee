/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the tests of TLS stand on: certificates made at test time, a broker in memory that speaks TLS by
 * OpenSSL's server side, and a client that notes what its transport reports. Virtual time, which
 * certificates are checked against too. */
#ifndef TLS_WORLD_H
#define TLS_WORLD_H

#include "net/mem.h"
#include "net/tls.h"
#include "protocol/base/buf.h"

#include <check.h>
#include <openssl/ssl.h>

#define TLS_WALL_S INT64_C(1700000000) /* 2023-11-14 22:13 UTC */
#define TLS_DAY_S  86400
#define TLS_IP     "10.9.9.9"
#define TLS_PORT   9093
#define TLS_NAME   "b1.example.org"

/** A certificate and its key. */
typedef struct tls_pair {
    X509 *certificate;
    EVP_PKEY *key;
} tls_pair;

/** What a certificate is to say. */
typedef struct tls_wish {
    const char *name; /**< CN */
    const char
        *holders; /**< subjectAltName as OpenSSL writes it, "DNS:a,IP:10.0.0.1"; NULL: none */
    const tls_pair *issuer;   /**< NULL: signs itself */
    int64_t from_day, to_day; /**< from now; both 0: good */
    bool is_ca;
} tls_wish;

typedef struct tls_world tls_world;

/** One connection as the broker has it. */
typedef struct tls_peer {
    kb_list node;
    tls_world *world;
    kn_mem_peer *peer;
    SSL *ssl;
    size_t sent; /**< bytes on the wire to the client */
    kb_buf later;
    kn_timer timer;
    bool is_ready, is_resumed, saw_close_notify;
} tls_peer;

struct tls_world {
    kb_mem own; /**< of the world, not of the code under test */
    kb_mem mem;
    kn_loop *loop;
    kn_mem_network *wire;
    kn_network *network; /**< the one under test */
    kn_tls_settings settings;
    int reload_failures;
    kc_error reload_error;
    uint16_t port;    /**< told as the broker's; TLS_PORT at first */
    char folder[128]; /**< for files, removed at the end */

    /* certificates, and as PEM text */
    tls_pair ca, broker;
    char *ca_pem;

    /* the broker; what is set applies to connections to come */
    SSL_CTX *server;
    bool echoes;       /**< sends back what it reads                                 */
    kc_bytes greeting; /**< sent when the handshake is done                          */
    bool is_silent;    /**< says nothing, ever                                       */
    bool hangs_up;     /**< closes behind that, without close_notify                 */
    bool says_goodbye; /**< sends close_notify behind that and stays                 */
    kc_bytes plain;    /**< sent in answer to anything, instead of TLS; NULL: TLS    */
    size_t split_at;   /**< what is behind this byte comes 1 ms later; 0: all        */
    size_t cut_at;     /**< the connection ends behind this byte; SIZE_MAX: never    */
    size_t flip_at;    /**< this byte is changed on the way; SIZE_MAX: none          */
    bool is_reset_after_alert;
    kb_list peers;
    int accepts, closes, resumed;
    kb_buf got;         /**< plaintext from all clients                               */
    size_t got_records; /**< application data records                                 */
    char sni[256];      /**< of the last handshake; empty: none                       */
};

/** A transport and what it reported. */
typedef struct tls_client {
    tls_world *world;
    kn_transport *transport;
    int opened, failed, ended, broken;
    kc_error error;
    kb_buf got;
    size_t read_max;  /**< bytes taken per event; 0: all there are */
    kc_bytes to_send; /**< goes out as there is room               */
    size_t reads;     /**< KN_EVENT_READ seen                      */
} tls_client;

void tls_world_init(tls_world *world);
/** Make world->network of world->settings, which begin with the CA trusted; expected to work. */
void tls_world_start(tls_world *world);
/** The same, as code; the network stays as it was on failure. */
kc_err tls_world_try(tls_world *world, kc_error *err);
/** Fails the test if anything leaked. */
void tls_world_cleanup(tls_world *world);
void tls_world_run(tls_world *world, int64_t ms);
int64_t tls_world_ms(const tls_world *world);
/** A new identity or version for the broker's connections to come. */
void tls_world_serve(tls_world *world, const tls_pair *pair);

/** Send what the broker's side of OpenSSL has to say. */
void tls_peer_drain(tls_peer *peer);

tls_pair tls_make(const tls_wish *wish);
void tls_pair_free(tls_pair *pair);
/** As PEM; freed with the world's memory by kb_mem_free(). Key encrypted where a password is given. */
char *tls_pem(tls_world *world, const tls_pair *pair, bool with_certificate, bool with_key,
              const char *password);
/** Write a file in the world's folder; the path stays valid until the next but seven. */
const char *tls_file(tls_world *world, const char *name, const char *text);
const char *tls_path(tls_world *world, const char *name);

/** Connect as to a broker configured as `host`. */
void tls_client_open(tls_client *client, tls_world *world, const char *host);
/** Open and run until it is open; fails the test if it isn't. */
void tls_client_ready(tls_client *client, tls_world *world);
/** Open and run until it failed; the text must have `needle`. */
void tls_client_refused(tls_world *world, const char *host, const char *needle);
void tls_client_send(tls_client *client, kc_bytes bytes);
void tls_client_close(tls_client *client);
/** Byte `at` of a pattern, and a buffer of it up to 8 MiB. */
const uint8_t *tls_pattern(void);

#endif
