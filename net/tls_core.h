/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The inside of the TLS network: what its files share. */
#ifndef KN_TLS_CORE_H
#define KN_TLS_CORE_H

#include "net/tls.h"
#include "protocol/base/buf.h"

#include <openssl/ssl.h>

/** Most plaintext of one record (RFC 8446 section 5.1). */
#define KN_TLS_RECORD_BYTES ((size_t)16 * 1024)
/** Most bytes encrypted that the inner transport has not taken. Application data waits one record
 * at a time; what is above that a broker makes us say (a long chain of our own, answers to key
 * updates). */
#define KN_TLS_PENDING_BYTES_MAX ((size_t)256 * 1024)
/** First bytes of a stream, to tell what is no TLS. */
#define KN_TLS_FIRST_BYTES 5

typedef struct kn_tls_network {
    kn_network base;
    kn_tls_options options;
    SSL_CTX *ctx; /**< for connections to come; each has its own reference */
    kn_tls_stamps stamps;
    BIO_METHOD *bio_method;
    BIO *keylog;      /**< NULL: none                                          */
    uint8_t *scratch; /**< KN_TLS_RECORD_BYTES, to put small pieces together   */
    kb_list sessions; /**< those used last in front                            */
    size_t session_count;
    size_t open; /**< transports not closed yet                           */
} kn_tls_network;

typedef struct kn_tls_transport {
    kn_transport base;
    kn_tls_network *network;
    kn_transport *inner; /**< NULL: could not be opened */
    SSL *ssl;
    char *host; /**< the broker's, without the dot at its end */
    uint16_t port;
    kb_buf pending; /**< encrypted, not taken by `inner` */
    size_t pending_at;
    /** What went wrong first, code KC_OK: nothing. It stands before what OpenSSL says about it, and
     * the stream is of no use any more. */
    kc_error cause;
    uint8_t first[KN_TLS_FIRST_BYTES];
    size_t first_len;
    int64_t started_us;
    bool is_connected; /**< inner is open                                     */
    bool is_open;      /**< the handshake is done                             */
    bool has_end;      /**< inner has no more                                 */
    bool wants_write;
    bool is_asked; /**< the broker asked for a certificate of ours        */
    kn_timer timer;
    kn_task task; /**< reports what was decrypted or buffered already    */
} kn_tls_transport;

/** tls_transport.c: everything but the inner transport. */
KC_NODISCARD kc_err kn_tls_transport_new(kn_tls_network *network, const kn_open_options *options,
                                         kn_tls_transport **tls_out, kc_error *err);
void kn_tls_transport_free(kn_tls_transport *tls);
void kn_tls_on_event(void *user, unsigned events, const kc_error *error);

/** tls_bio.c: OpenSSL's side of the inner transport. NULL: no memory. */
BIO_METHOD *kn_tls_bio_method(void);
static inline bool kn_tls_has_pending(const kn_tls_transport *tls)
{
    return tls->pending.len > tls->pending_at;
}
/** Write what is pending. KC_OK: nothing is left; KC_ERR_AGAIN: blocked; else tls->cause says why.
 */
kc_err kn_tls_flush(kn_tls_transport *tls);
/** Ask inner for what it has to report. */
void kn_tls_update_want(kn_tls_transport *tls);

/** tls_session.c: sessions to resume. */
void kn_tls_session_use(kn_tls_transport *tls);
/** OpenSSL's callback for a session or ticket that came. */
int kn_tls_session_keep(SSL *ssl, SSL_SESSION *session);
/** Don't resume this broker's again. */
void kn_tls_session_forget(kn_tls_transport *tls);
void kn_tls_session_clear(kn_tls_network *network);

/** tls_error.c: OpenSSL's callback for a certificate that is not accepted. */
int kn_tls_on_verify(int is_good, X509_STORE_CTX *store);
/** What the return value `result` of an SSL function means: KC_ERR_AGAIN, KC_ERR_END, or an error
 * with *err filled, which stays in tls->cause. */
kc_err kn_tls_result(kn_tls_transport *tls, int result, kc_error *err);
/** The same for the handshake, where an end is an error too. */
kc_err kn_tls_handshake_result(kn_tls_transport *tls, int result, kc_error *err);
void kn_tls_explain_timeout(const kn_tls_transport *tls, kc_error *err);

#endif
