/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Protocols, ciphers and options of a context; what its files looked like. */
#define _POSIX_C_SOURCE 200809L // st_mtim
#include "net/tls_conf.h"

#include "protocol/base/buf.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

/** Longest list of suites. */
#define SUITES_BYTES_MAX 65536

/* ---- protocols */

static int version_of(kc_bytes name)
{
    return kb_text_is(name, "TLSv1.2") ? TLS1_2_VERSION : TLS1_3_VERSION;
}

/** As Java has it: what is enabled, no higher than ssl.protocol. */
static kc_err set_protocols(SSL_CTX *ctx, const kn_tls_settings *settings, kc_error *err)
{
    int highest_allowed = version_of(kc_str(settings->protocol));
    int lowest = 0;
    int highest = 0;
    kc_bytes rest = kc_str(settings->enabled_protocols);
    kc_bytes name;
    while (kb_text_split(&rest, ',', &name)) {
        int version = version_of(name);
        if (version > highest_allowed)
            continue;
        lowest = lowest == 0 || version < lowest ? version : lowest;
        highest = version > highest ? version : highest;
    }
    if (highest == 0)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "ssl.enabled.protocols has nothing up to ssl.protocol, %s: raise the "
                            "one or extend the other",
                            settings->protocol);
    if (!SSL_CTX_set_min_proto_version(ctx, lowest) || !SSL_CTX_set_max_proto_version(ctx, highest))
        return kb_error_code(err, KC_ERR_NOMEM);
    return KC_OK;
}

/* ---- cipher suites */

/** TLS 1.3 has suites of its own, which OpenSSL keeps in a list of their own. */
typedef struct suites {
    kb_buf tls12, tls13;
} suites;

static void put_suite(kb_buf *list, const char *name)
{
    if (list->len > 0)
        kb_buf_put_byte(list, ':');
    kb_buf_put_bytes(list, kc_str(name));
}

/** Java writes TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, OpenSSL ECDHE-RSA-AES128-GCM-SHA256: both are
 * understood. */
static kc_err sort_suite(SSL_CTX *ctx, kc_bytes word, suites *out, kc_error *err)
{
    char given[80];
    if (word.len < sizeof given) {
        memcpy(given, word.ptr, word.len);
        given[word.len] = 0;
        const char *translated = OPENSSL_cipher_name(given);
        const char *name = strcmp(translated, "(NONE)") == 0 ? given : translated;
        bool is_tls13 = strncmp(name, "TLS_", 4) == 0;
        ERR_clear_error();
        if (is_tls13 ? SSL_CTX_set_ciphersuites(ctx, name) : SSL_CTX_set_cipher_list(ctx, name)) {
            put_suite(is_tls13 ? &out->tls13 : &out->tls12, name);
            return KC_OK;
        }
    }
    return kb_error_set(err, KC_ERR_CONFIG,
                        "ssl.cipher.suites: OpenSSL has no suite %.*s; `openssl ciphers -stdname` "
                        "lists them",
                        (int)(word.len < 80 ? word.len : 80), (const char *)word.ptr);
}

static const char *text_of(kb_buf *list)
{
    kb_buf_put_byte(list, 0);
    return list->err == KC_OK ? (const char *)list->data : NULL;
}

/** Nothing but what was listed: a protocol without a suite is off. */
static kc_err use_suites(SSL_CTX *ctx, suites *sorted, kc_error *err)
{
    bool has_tls12 = sorted->tls12.len > 0;
    bool has_tls13 = sorted->tls13.len > 0;
    const char *tls12 = text_of(&sorted->tls12);
    const char *tls13 = text_of(&sorted->tls13);
    if (!tls12 || !tls13)
        return kb_error_code(err, KC_ERR_NOMEM);
    long lowest = SSL_CTX_get_min_proto_version(ctx);
    long highest = SSL_CTX_get_max_proto_version(ctx);
    if ((!has_tls12 && highest < TLS1_3_VERSION) || (!has_tls13 && lowest > TLS1_2_VERSION))
        return kb_error_set(err, KC_ERR_CONFIG,
                            "ssl.cipher.suites has none for ssl.enabled.protocols: those of TLS "
                            "1.3 and TLS 1.2 are different");
    bool is_set = SSL_CTX_set_ciphersuites(ctx, tls13) == 1;
    if (has_tls12)
        is_set = is_set && SSL_CTX_set_cipher_list(ctx, tls12) == 1;
    else
        is_set = is_set && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1;
    if (!has_tls13)
        is_set = is_set && SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) == 1;
    return is_set ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
}

static kc_err set_suites(kb_mem *mem, SSL_CTX *ctx, const char *list, kc_error *err)
{
    suites sorted;
    kb_buf_init(&sorted.tls12, mem, SUITES_BYTES_MAX);
    kb_buf_init(&sorted.tls13, mem, SUITES_BYTES_MAX);
    kc_err code = KC_OK;
    kc_bytes rest = kc_str(list);
    kc_bytes word;
    while (code == KC_OK && kb_text_split(&rest, ',', &word))
        code = sort_suite(ctx, word, &sorted, err);
    if (code == KC_OK)
        code = use_suites(ctx, &sorted, err);
    kb_buf_cleanup(&sorted.tls12);
    kb_buf_cleanup(&sorted.tls13);
    return code;
}

/* ---- all of it */

static kc_err fill(kb_mem *mem, const kn_tls_settings *settings, SSL_CTX *ctx, kc_error *err)
{
    /* An end without close_notify is an end (trap 58): frames have a length, so nothing that was cut
     * off is taken for whole. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    KB_TRY(set_protocols(ctx, settings, err));
    if (settings->cipher_suites && settings->cipher_suites[0])
        KB_TRY(set_suites(mem, ctx, settings->cipher_suites, err));
    KB_TRY(kn_tls_store_trust(ctx, settings, err));
    return kn_tls_store_identity(ctx, settings, err);
}

kc_err kn_tls_conf_build(kb_mem *mem, const kn_tls_settings *settings, SSL_CTX **ctx_out,
                         kc_error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return kb_error_set(err, KC_ERR_NOMEM, "OpenSSL could not make a context");
    kc_err code = fill(mem, settings, ctx, err);
    ERR_clear_error();
    if (code == KC_OK)
        *ctx_out = ctx;
    else
        SSL_CTX_free(ctx);
    return code;
}

static void look(const char *path, kn_tls_stamp *out)
{
    struct stat found;
    *out = (kn_tls_stamp){0};
    if (!path || !path[0] || stat(path, &found) != 0)
        return;
    *out = (kn_tls_stamp){.device = (uint64_t)found.st_dev,
                          .inode = (uint64_t)found.st_ino,
                          .size = (uint64_t)found.st_size,
                          .mtime_s = (uint64_t)found.st_mtim.tv_sec,
                          .mtime_ns = (uint64_t)found.st_mtim.tv_nsec};
}

void kn_tls_conf_look(const kn_tls_settings *settings, kn_tls_stamps *out)
{
    look(settings->truststore_location, &out->truststore);
    look(settings->keystore_location, &out->keystore);
}

bool kn_tls_path_is_folder(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}
