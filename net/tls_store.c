/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Certificates and keys, from PEM (files or text) and PKCS#12, into a context. OpenSSL reads the
 * files; nothing of a key or password is copied or quoted. */
#include "net/tls_conf.h"
#include "protocol/base/error.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>
#include <stdio.h>

/** Most certificates of one truststore or chain. */
#define CERTIFICATES_MAX 4096

static bool is_set(const char *text)
{
    return text && text[0];
}

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "OpenSSL does not say why";
}

static kc_err open_file(const char *property, const char *path, BIO **bio_out, kc_error *err)
{
    errno = 0;
    *bio_out = BIO_new_file(path, "r");
    if (*bio_out)
        return KC_OK;
    return kb_error_errno(err, KC_ERR_CONFIG, errno, "%s: %s can't be opened", property, path);
}

static kc_err open_text(const char *text, BIO **bio_out, kc_error *err)
{
    *bio_out = BIO_new_mem_buf(text, -1);
    return *bio_out ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
}

/* ---- certificates */

/** The last error is that no further PEM block was found: the regular end. */
static bool is_at_end(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

/** All certificates of a PEM text; blocks of other kinds are passed over. */
static kc_err read_certificates(const char *property, BIO *bio, STACK_OF(X509) * into,
                                kc_error *err)
{
    ERR_clear_error();
    X509 *certificate;
    while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        bool is_kept = sk_X509_num(into) < CERTIFICATES_MAX && sk_X509_push(into, certificate) > 0;
        if (is_kept)
            continue;
        X509_free(certificate);
        return kb_error_set(err, KC_ERR_CONFIG, "%s: more than %d certificates", property,
                            CERTIFICATES_MAX);
    }
    if (!is_at_end())
        return kb_error_set(err, KC_ERR_CONFIG, "%s: certificate %d can't be read: %s", property,
                            sk_X509_num(into) + 1, reason());
    if (sk_X509_num(into) == 0)
        return kb_error_set(err, KC_ERR_CONFIG, "%s: no certificate in PEM form is in it",
                            property);
    return KC_OK;
}

/* ---- whom to trust */

static kc_err add_all(X509_STORE *store, STACK_OF(X509) * certificates, kc_error *err)
{
    for (int i = 0; i < sk_X509_num(certificates); i++)
        if (!X509_STORE_add_cert(store, sk_X509_value(certificates, i)))
            return kb_error_code(err, KC_ERR_NOMEM);
    return KC_OK;
}

static kc_err trust_pem(X509_STORE *store, const char *property, BIO *bio, kc_error *err)
{
    STACK_OF(X509) *certificates = sk_X509_new_null();
    if (!certificates)
        return kb_error_code(err, KC_ERR_NOMEM);
    kc_err code = read_certificates(property, bio, certificates, err);
    if (code == KC_OK)
        code = add_all(store, certificates, err);
    sk_X509_pop_free(certificates, X509_free);
    return code;
}

static kc_err trust_path(X509_STORE *store, const char *path, kc_error *err)
{
    static const char property[] = "ssl.truststore.location";
    BIO *bio;
    KB_TRY(open_file(property, path, &bio, err));
    char probe;
    errno = 0;
    bool is_folder = BIO_read(bio, &probe, 1) <= 0 && errno == EISDIR;
    kc_err code = KC_OK;
    if (is_folder)
        code = X509_STORE_load_path(store, path) ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
    else if (BIO_reset(bio) != 0)
        code = kb_error_errno(err, KC_ERR_CONFIG, errno, "%s: %s can't be read", property, path);
    else
        code = trust_pem(store, property, bio, err);
    BIO_free(bio);
    return code;
}

kc_err kn_tls_store_trust(SSL_CTX *ctx, const kn_tls_settings *settings, kc_error *err)
{
    bool has_text = is_set(settings->truststore_certificates);
    if (has_text && is_set(settings->truststore_location))
        return kb_error_set(err, KC_ERR_CONFIG,
                            "ssl.truststore.location and ssl.truststore.certificates are both set: "
                            "one must go");
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    /* As Java: what is in the truststore is trusted, be it a root or not. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    if (is_set(settings->truststore_location))
        return trust_path(store, settings->truststore_location, err);
    if (!has_text)
        return SSL_CTX_set_default_verify_paths(ctx) ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
    BIO *bio;
    KB_TRY(open_text(settings->truststore_certificates, &bio, err));
    kc_err code = trust_pem(store, "ssl.truststore.certificates", bio, err);
    BIO_free(bio);
    return code;
}

/* ---- who we are */

typedef struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    STACK_OF(X509) * chain; /**< the others, from the issuer up */
} identity;

typedef struct password {
    const char *text; /**< NULL: none */
    bool was_asked;
} password;

static int give_password(char *into, int size, int is_writing, void *user)
{
    password *given = user;
    (void)is_writing;
    given->was_asked = true;
    size_t len = is_set(given->text) ? strlen(given->text) : 0;
    if (len == 0 || len > (size_t)size)
        return -1;
    memcpy(into, given->text, len);
    return (int)len;
}

static kc_err read_key(const char *property, BIO *bio, const char *key_password, EVP_PKEY **key_out,
                       kc_error *err)
{
    password given = {.text = key_password};
    ERR_clear_error();
    *key_out = PEM_read_bio_PrivateKey(bio, NULL, give_password, &given);
    if (*key_out)
        return KC_OK;
    if (given.was_asked && !is_set(key_password))
        return kb_error_set(err, KC_ERR_CONFIG, "%s: the key is encrypted: set ssl.key.password",
                            property);
    if (given.was_asked)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "%s: the key can't be decrypted: is ssl.key.password right?", property);
    return kb_error_set(err, KC_ERR_CONFIG, "%s: no private key in PEM form is in it (%s)",
                        property, reason());
}

/** The first certificate is ours. */
static kc_err read_chain(const char *property, BIO *bio, identity *out, kc_error *err)
{
    out->chain = sk_X509_new_null();
    if (!out->chain)
        return kb_error_code(err, KC_ERR_NOMEM);
    KB_TRY(read_certificates(property, bio, out->chain, err));
    out->certificate = sk_X509_shift(out->chain);
    return KC_OK;
}

static kc_err read_pem_file(const kn_tls_settings *settings, identity *out, kc_error *err)
{
    static const char property[] = "ssl.keystore.location";
    if (is_set(settings->keystore_password))
        return kb_error_set(err, KC_ERR_CONFIG,
                            "ssl.keystore.password is for PKCS12: the key of a PEM file has "
                            "ssl.key.password");
    BIO *bio;
    KB_TRY(open_file(property, settings->keystore_location, &bio, err));
    kc_err code = read_key(property, bio, settings->key_password, &out->key, err);
    if (code == KC_OK && BIO_reset(bio) != 0)
        code = kb_error_errno(err, KC_ERR_CONFIG, errno, "%s can't be read again", property);
    if (code == KC_OK)
        code = read_chain(property, bio, out, err);
    BIO_free(bio);
    return code;
}

static kc_err read_pem_texts(const kn_tls_settings *settings, identity *out, kc_error *err)
{
    if (!is_set(settings->keystore_key) || !is_set(settings->keystore_certificate_chain))
        return kb_error_set(err, KC_ERR_CONFIG,
                            "ssl.keystore.key and ssl.keystore.certificate.chain belong together: "
                            "one of them is missing");
    if (settings->keystore_is_pkcs12)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "ssl.keystore.key is PEM: leave ssl.keystore.type out");
    BIO *bio;
    KB_TRY(open_text(settings->keystore_key, &bio, err));
    kc_err code = read_key("ssl.keystore.key", bio, settings->key_password, &out->key, err);
    BIO_free(bio);
    if (code != KC_OK)
        return code;
    KB_TRY(open_text(settings->keystore_certificate_chain, &bio, err));
    code = read_chain("ssl.keystore.certificate.chain", bio, out, err);
    BIO_free(bio);
    return code;
}

static kc_err fail_pkcs12(const char *path, kc_error *err)
{
    if (ERR_GET_REASON(ERR_peek_last_error()) == PKCS12_R_MAC_VERIFY_FAILURE)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "ssl.keystore.location: %s can't be decrypted: is "
                            "ssl.keystore.password right?",
                            path);
    return kb_error_set(err, KC_ERR_CONFIG,
                        "ssl.keystore.location: %s is no PKCS#12 that OpenSSL %d can read: %s",
                        path, OPENSSL_VERSION_MAJOR, reason());
}

static kc_err read_pkcs12(const kn_tls_settings *settings, identity *out, kc_error *err)
{
    const char *path = settings->keystore_location;
    BIO *bio;
    KB_TRY(open_file("ssl.keystore.location", path, &bio, err));
    ERR_clear_error();
    PKCS12 *store = d2i_PKCS12_bio(bio, NULL);
    BIO_free(bio);
    bool is_read = store && PKCS12_parse(store, settings->keystore_password, &out->key,
                                         &out->certificate, &out->chain);
    PKCS12_free(store);
    if (!is_read)
        return fail_pkcs12(path, err);
    if (!out->key || !out->certificate)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "ssl.keystore.location: %s has no private key with its certificate",
                            path);
    return KC_OK;
}

static kc_err read_identity(const kn_tls_settings *settings, identity *out, kc_error *err)
{
    bool has_text = is_set(settings->keystore_key) || is_set(settings->keystore_certificate_chain);
    if (has_text && is_set(settings->keystore_location))
        return kb_error_set(err, KC_ERR_CONFIG,
                            "ssl.keystore.location and ssl.keystore.key or .certificate.chain are "
                            "both set: one must go");
    if (has_text)
        return read_pem_texts(settings, out, err);
    if (!is_set(settings->keystore_location))
        return KC_OK;
    return settings->keystore_is_pkcs12 ? read_pkcs12(settings, out, err)
                                        : read_pem_file(settings, out, err);
}

static kc_err use_identity(SSL_CTX *ctx, const identity *own, kc_error *err)
{
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(ctx, own->certificate, own->key, own->chain, 1))
        return KC_OK;
    return kb_error_set(err, KC_ERR_CONFIG,
                        "ssl.keystore: certificate and key can't be used together: %s", reason());
}

kc_err kn_tls_store_identity(SSL_CTX *ctx, const kn_tls_settings *settings, kc_error *err)
{
    identity own = {NULL, NULL, NULL};
    kc_err code = read_identity(settings, &own, err);
    if (code == KC_OK && own.key)
        code = use_identity(ctx, &own, err);
    EVP_PKEY_free(own.key); /* cleared by OpenSSL */
    X509_free(own.certificate);
    sk_X509_pop_free(own.chain, X509_free);
    return code;
}
