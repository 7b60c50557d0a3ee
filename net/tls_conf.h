/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * From properties to OpenSSL's SSL_CTX: whom to trust, who we are, which protocols and ciphers. */
#ifndef KN_TLS_CONF_H
#define KN_TLS_CONF_H

#include "protocol/base/mem.h"

#include <openssl/types.h>

/** The properties ssl.*, with '_' for '.'; NULL or empty: not set. What they point to outlives the
 * network. */
typedef struct kn_tls_settings {
    const char *truststore_location; /**< PEM file, or a folder hashed by `openssl rehash` */
    const char *truststore_certificates;
    const char *keystore_location;
    const char *keystore_password; /**< of PKCS#12 */
    const char *keystore_certificate_chain;
    const char *keystore_key;
    const char *key_password; /**< of PEM */
    const char *enabled_protocols;
    const char *protocol;
    const char *cipher_suites;
    bool keystore_is_pkcs12;
    bool verifies_host; /**< the certificate must be for the broker's name */
} kn_tls_settings;

/** One file or folder as it was when looked at; all zero: not there. */
typedef struct kn_tls_stamp {
    uint64_t device, inode, size, mtime_s, mtime_ns;
} kn_tls_stamp;

/** To see that a file was replaced or written to. */
typedef struct kn_tls_stamps {
    kn_tls_stamp truststore, keystore;
} kn_tls_stamps;

/** A context for clients. Reads the files. `mem` for the time of the call. */
KC_NODISCARD kc_err kn_tls_conf_build(kb_mem *mem, const kn_tls_settings *settings,
                                      SSL_CTX **ctx_out, kc_error *err);
void kn_tls_conf_look(const kn_tls_settings *settings, kn_tls_stamps *out);
/** Is a truststore.location a folder (else a file, or not there)? */
bool kn_tls_path_is_folder(const char *path);

/** tls_store.c: whom to trust. */
KC_NODISCARD kc_err kn_tls_store_trust(SSL_CTX *ctx, const kn_tls_settings *settings,
                                       kc_error *err);
/** tls_store.c: certificate, chain and key of our own, where there are any. */
KC_NODISCARD kc_err kn_tls_store_identity(SSL_CTX *ctx, const kn_tls_settings *settings,
                                          kc_error *err);

#endif
