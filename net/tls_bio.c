/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * OpenSSL reads and writes the inner transport through this BIO.
 *
 * Writing never blocks: what the inner transport does not take is kept here (tls->pending) and goes
 * out when there is room. So SSL_write() has taken all of a record or failed, never "come back with
 * the same bytes": a request that is cancelled meanwhile can't leave half a record behind. While
 * something is pending no new application data is encrypted, so one record is the most that waits. */
#include "net/tls_core.h"
#include "protocol/base/error.h"

#include <openssl/bio.h>

static void note_first(kn_tls_transport *tls, const char *data, size_t len)
{
    size_t room = KN_TLS_FIRST_BYTES - tls->first_len;
    size_t part = len < room ? len : room;
    memcpy(tls->first + tls->first_len, data, part);
    tls->first_len += part;
}

static int bio_read(BIO *bio, char *into, int len)
{
    kn_tls_transport *tls = BIO_get_data(bio);
    size_t got = 0;
    kc_error error;
    BIO_clear_retry_flags(bio);
    if (tls->has_end || len <= 0)
        return 0;
    kc_err code = kn_transport_read(tls->inner, into, (size_t)len, &got, &error);
    if (code == KC_OK) {
        if (tls->first_len < KN_TLS_FIRST_BYTES)
            note_first(tls, into, got);
        return (int)got;
    }
    if (code == KC_ERR_END) {
        tls->has_end = true;
        return 0;
    }
    if (code == KC_ERR_AGAIN)
        BIO_set_retry_read(bio);
    else
        tls->cause = error;
    return -1;
}

void kn_tls_update_want(kn_tls_transport *tls)
{
    bool wants_write = tls->wants_write || kn_tls_has_pending(tls);
    if (tls->is_connected)
        kn_transport_want(tls->inner, wants_write ? KN_EVENT_WRITE : 0);
}

/** As much as inner takes now; false: the stream is broken. */
static bool write_through(kn_tls_transport *tls, const void *data, size_t len, size_t *taken_out)
{
    /* An iovec serves reading too, hence no const. */
    const struct iovec piece = {(void *)data, len};
    kc_error error;
    *taken_out = 0;
    kc_err code = kn_transport_write(tls->inner, &piece, 1, taken_out, &error);
    if (code == KC_OK || code == KC_ERR_AGAIN)
        return true;
    tls->cause = error;
    return false;
}

static bool keep(kn_tls_transport *tls, const void *data, size_t len)
{
    kb_buf_put(&tls->pending, data, len);
    if (tls->pending.err != KC_OK) {
        kb_error_set(&tls->cause, tls->pending.err,
                     tls->pending.err == KC_ERR_NOMEM
                         ? "no memory for encrypted bytes that wait to be sent"
                         : "the broker makes us write and does not read");
        tls->cause.phase = KC_PHASE_TLS;
        return false;
    }
    kn_tls_update_want(tls);
    return true;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    kn_tls_transport *tls = BIO_get_data(bio);
    size_t taken = 0;
    BIO_clear_retry_flags(bio);
    if (len <= 0 || tls->cause.code != KC_OK)
        return -1;
    if (!kn_tls_has_pending(tls) && !write_through(tls, data, (size_t)len, &taken))
        return -1;
    if (taken < (size_t)len && !keep(tls, data + taken, (size_t)len - taken))
        return -1;
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *ptr)
{
    const kn_tls_transport *tls = BIO_get_data(bio);
    (void)number;
    (void)ptr;
    if (command == BIO_CTRL_FLUSH)
        return 1;
    return command == BIO_CTRL_EOF && tls->has_end;
}

BIO_METHOD *kn_tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "kn_transport");
    if (method && BIO_meth_set_read(method, bio_read) && BIO_meth_set_write(method, bio_write) &&
        BIO_meth_set_ctrl(method, bio_ctrl))
        return method;
    BIO_meth_free(method);
    return NULL;
}

kc_err kn_tls_flush(kn_tls_transport *tls)
{
    if (!kn_tls_has_pending(tls))
        return KC_OK;
    while (kn_tls_has_pending(tls)) {
        size_t taken;
        size_t len = tls->pending.len - tls->pending_at;
        if (!write_through(tls, tls->pending.data + tls->pending_at, len, &taken))
            return tls->cause.code;
        tls->pending_at += taken;
        if (taken < len)
            return KC_ERR_AGAIN;
    }
    kb_buf_reset(&tls->pending);
    tls->pending_at = 0;
    kn_tls_update_want(tls);
    return KC_OK;
}
