/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What exactly went wrong with TLS, and which property mends it.
 *
 * The text goes behind "TLS handshake with broker 1 at host:9093: ", so it speaks of "it". What the
 * user can mend has KC_ERR_TLS; an end or silence during the handshake may pass and is
 * KC_ERR_CONNECT, as without TLS. Names out of a certificate come from the network: they are cut and
 * made printable. */
#include "net/tls_core.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/** Most bytes of what a certificate says that go into a message. */
#define QUOTED_BYTES 64

#define LISTENER_HINT "is this a TLS listener? see security.protocol"

static kc_err set(kc_error *err, kc_err code, uint32_t flags, const char *text)
{
    kb_error_set(err, code, "%s", text);
    err->phase = KC_PHASE_TLS;
    err->flags |= flags;
    return code;
}

/* ---- certificates */

/** A text that grows in a small buffer: what does not fit is left out. */
typedef struct quote {
    char text[QUOTED_BYTES];
    size_t len;
} quote;

static void put_printable(quote *out, const uint8_t *ptr, size_t len)
{
    out->len +=
        kb_text_printable(out->text + out->len, sizeof out->text - out->len, kc_span(ptr, len));
}

static void put_item(quote *out, const uint8_t *ptr, size_t len)
{
    if (out->len > 0)
        put_printable(out, (const uint8_t *)", ", 2);
    put_printable(out, ptr, len);
}

/** "CN = Test CA, O = ..." */
static void put_name(quote *out, const X509_NAME *name)
{
    BIO *text = BIO_new(BIO_s_mem());
    char *ptr = NULL;
    if (text && X509_NAME_print_ex(text, name, 0, XN_FLAG_ONELINE) >= 0) {
        long len = BIO_get_mem_data(text, &ptr);
        if (len > 0)
            put_printable(out, (const uint8_t *)ptr, (size_t)len);
    }
    BIO_free(text);
}

static void put_general_name(quote *out, const GENERAL_NAME *name)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    if (type != GEN_DNS && type != GEN_IPADD)
        return;
    const uint8_t *data = ASN1_STRING_get0_data(value);
    size_t len = (size_t)ASN1_STRING_length(value);
    if (type == GEN_DNS) {
        put_item(out, data, len);
        return;
    }
    kn_address address = {.is_v6 = len == 16};
    char text[KN_ADDRESS_TEXT_MAX];
    if (len != 4 && len != 16)
        return;
    memcpy(address.ip, data, len);
    kn_address_format(&address, text);
    char *port = strrchr(text, ':');
    put_item(out, (const uint8_t *)text, (size_t)(port - text));
}

/** Whom a certificate is for: its names and addresses, else its subject. */
static void put_holders(quote *out, X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        put_general_name(out, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    if (out->len == 0)
        put_name(out, X509_get_subject_name(certificate));
}

static void put_time(char *out, size_t cap, const ASN1_TIME *time)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm))
        snprintf(out, cap, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min);
    else
        snprintf(out, cap, "an unreadable time");
}

static void explain_time(X509 *certificate, int depth, bool is_over, char *out, size_t cap)
{
    quote subject = {.len = 0};
    char time[48];
    put_name(&subject, X509_get_subject_name(certificate));
    put_time(time, sizeof time,
             is_over ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate));
    snprintf(out, cap, "%s certificate (%s) %s %s%s", depth == 0 ? "its" : "an issuer's",
             subject.text, is_over ? "expired at" : "is not valid before", time,
             is_over ? "" : "; is the clock right?");
}

static void explain_issuer(const kn_tls_transport *tls, X509 *certificate, bool is_self_signed,
                           char *out, size_t cap)
{
    const kn_tls_settings *settings = &tls->network->options.settings;
    bool has_store = (settings->truststore_location && settings->truststore_location[0]) ||
                     (settings->truststore_certificates && settings->truststore_certificates[0]);
    quote name = {.len = 0};
    put_name(&name, X509_get_issuer_name(certificate));
    snprintf(out, cap, "its certificate is %s %s, which is not %s: set ssl.truststore.location%s",
             is_self_signed ? "or ends in the self-signed" : "issued by", name.text,
             has_store ? "in the truststore" : "among the system's CAs",
             has_store ? " to one that has it" : "");
}

static void explain_certificate(const kn_tls_transport *tls, X509_STORE_CTX *store, char *out,
                                size_t cap)
{
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    int depth = X509_STORE_CTX_get_error_depth(store);
    int error = X509_STORE_CTX_get_error(store);
    quote holders = {.len = 0};
    switch (certificate ? error : X509_V_ERR_UNSPECIFIED) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        put_holders(&holders, certificate);
        snprintf(out, cap, "its certificate is for %s, not for %.80s", holders.text, tls->host);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        explain_time(certificate, depth, error == X509_V_ERR_CERT_HAS_EXPIRED, out, cap);
        return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        explain_issuer(tls, certificate, true, out, cap);
        return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        explain_issuer(tls, certificate, false, out, cap);
        return;
    default:
        snprintf(out, cap, "its certificate is not accepted: %s",
                 X509_verify_cert_error_string(error));
    }
}

int kn_tls_on_verify(int is_good, X509_STORE_CTX *store)
{
    char text[200];
    if (is_good)
        return 1;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    kn_tls_transport *tls = SSL_get_app_data(ssl);
    explain_certificate(tls, store, text, sizeof text);
    set(&tls->cause, KC_ERR_TLS, KC_ERRF_CONFIG, text);
    return 0;
}

/* ---- alerts and other failures */

static bool lacks_certificate(const kn_tls_transport *tls)
{
    return tls->is_asked && !SSL_get_certificate(tls->ssl);
}

static kc_err explain_alert(const kn_tls_transport *tls, int alert, kc_error *err)
{
    const char *name = SSL_alert_desc_string_long(alert);
    char text[160];
    if (lacks_certificate(tls) && alert != SSL_AD_PROTOCOL_VERSION) {
        snprintf(text, sizeof text,
                 "it requires a client certificate: set ssl.keystore.location (alert: %s)", name);
        return set(err, KC_ERR_TLS, KC_ERRF_AUTH | KC_ERRF_CONFIG, text);
    }
    bool is_refused =
        tls->is_asked && ((alert >= SSL_AD_NO_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
                          alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_ACCESS_DENIED);
    if (is_refused) {
        snprintf(text, sizeof text,
                 "it refuses our client certificate (alert: %s): see ssl.keystore.location", name);
        return set(err, KC_ERR_TLS, KC_ERRF_AUTH | KC_ERRF_CONFIG, text);
    }
    const char *hint = "";
    if (alert == SSL_AD_PROTOCOL_VERSION)
        hint = ": it speaks none of ssl.enabled.protocols";
    else if (alert == SSL_AD_HANDSHAKE_FAILURE || alert == SSL_AD_INSUFFICIENT_SECURITY)
        hint = ": it shares no cipher suite with us, see ssl.cipher.suites";
    snprintf(text, sizeof text, "it ended the session with the alert \"%s\"%s", name, hint);
    return set(err, KC_ERR_TLS, hint[0] ? KC_ERRF_CONFIG : 0, text);
}

/** What came is no record of TLS at all. */
static bool is_plaintext(const kn_tls_transport *tls)
{
    uint8_t type = tls->first[0];
    return tls->first_len > 0 && (type < SSL3_RT_CHANGE_CIPHER_SPEC || type > SSL3_RT_HANDSHAKE ||
                                  (tls->first_len > 1 && tls->first[1] != SSL3_VERSION_MAJOR));
}

static kc_err explain_failure(const kn_tls_transport *tls, kc_error *err)
{
    unsigned long code = ERR_peek_last_error();
    int reason = ERR_GET_REASON(code);
    const char *name = ERR_reason_error_string(code);
    char text[160];
    if (is_plaintext(tls))
        return set(err, KC_ERR_TLS, KC_ERRF_CONFIG,
                   tls->first_len >= 4 && memcmp(tls->first, "HTTP", 4) == 0
                       ? "it answers in HTTP; is the port right?"
                       : "it answers in plaintext; " LISTENER_HINT);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
        return explain_alert(tls, reason - SSL_AD_REASON_OFFSET, err);
    if (reason == SSL_R_UNSUPPORTED_PROTOCOL)
        return set(err, KC_ERR_TLS, KC_ERRF_CONFIG, "it speaks none of ssl.enabled.protocols");
    snprintf(text, sizeof text, "TLS failed: %s", name ? name : "OpenSSL does not say why");
    return set(err, KC_ERR_TLS, 0, text);
}

kc_err kn_tls_result(kn_tls_transport *tls, int result, kc_error *err)
{
    int what = SSL_get_error(tls->ssl, result);
    kc_err cause = tls->cause.code;
    /* What the broker said last explains the end of the stream, not the other way round. */
    if (what == SSL_ERROR_SSL && (cause == KC_OK || cause == KC_ERR_DISCONNECTED)) {
        explain_failure(tls, &tls->cause);
        kn_tls_session_forget(tls);
    }
    if (tls->cause.code != KC_OK) {
        *err = tls->cause;
        return err->code;
    }
    return what == SSL_ERROR_WANT_READ ? KC_ERR_AGAIN : KC_ERR_END;
}

kc_err kn_tls_handshake_result(kn_tls_transport *tls, int result, kc_error *err)
{
    kc_err code = kn_tls_result(tls, result, err);
    if (code != KC_ERR_END && code != KC_ERR_DISCONNECTED)
        return code;
    char text[200];
    int os_errno = code == KC_ERR_END ? 0 : err->os_errno;
    snprintf(text, sizeof text, "it closed the connection%s%.60s%s; %s",
             code == KC_ERR_END ? "" : " (", code == KC_ERR_END ? "" : err->text,
             code == KC_ERR_END ? "" : ")",
             lacks_certificate(tls) ? "it had asked for a client certificate, see "
                                      "ssl.keystore.location"
                                    : LISTENER_HINT);
    set(err, KC_ERR_CONNECT, 0, text);
    err->os_errno = os_errno;
    return err->code;
}

void kn_tls_explain_timeout(const kn_tls_transport *tls, kc_error *err)
{
    char text[160];
    int64_t waited_us = kn_loop_now_us(tls->network->options.loop) - tls->started_us;
    snprintf(text, sizeof text, "no %s after %lld ms; %s", tls->first_len > 0 ? "end" : "answer",
             (long long)((waited_us + 500) / 1000), LISTENER_HINT);
    set(err, KC_ERR_CONNECT, 0, text);
}
