/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One encrypted stream over an inner transport.
 *
 *     connecting --inner opens--> shaking hands --done--> open
 *                \________________|_______ KN_EVENT_FAILED
 *
 * What is easily forgotten: OpenSSL holds bytes the loop can't see. A record is decrypted whole and
 * several are received at once, so when a reader stops with its buffer full and OpenSSL has more, a
 * task reports KN_EVENT_READ again. A reader that was told KC_ERR_AGAIN has emptied everything but
 * the beginning of a record, and the socket will speak for the rest.
 *
 * In TLS 1.3 our side of the handshake is done before the broker has looked at our certificate: its
 * refusal comes as an alert to the first read. */
#include "net/tls_core.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* ---- reading */

static kc_err tls_read(kn_transport *transport, void *into, size_t len, size_t *len_out,
                       kc_error *err)
{
    kn_tls_transport *tls = (kn_tls_transport *)transport;
    kn_loop *loop = tls->network->options.loop;
    size_t total = 0;
    kc_err code = KC_OK;
    assert(tls->is_open);
    while (total < len && code == KC_OK) {
        size_t got = 0;
        ERR_clear_error();
        int result = SSL_read_ex(tls->ssl, (uint8_t *)into + total, len - total, &got);
        if (result <= 0)
            code = kn_tls_result(tls, result, err);
        total += got;
    }
    if (total == 0)
        return code;
    bool has_more = code == KC_OK ? SSL_has_pending(tls->ssl) != 0 : code != KC_ERR_AGAIN;
    if (has_more)
        kn_task_queue(loop, &tls->task);
    else
        kn_task_cancel(&tls->task);
    *len_out = total;
    return KC_OK;
}

static void on_task(kn_task *task)
{
    kn_tls_transport *tls = task->user;
    tls->base.on_event(tls->base.user, KN_EVENT_READ, NULL);
}

/* ---- writing */

/** Where we are in the pieces to write. */
typedef struct cursor {
    const struct iovec *iov;
    int left;
    size_t at; /**< in *iov */
} cursor;

static kc_bytes take(cursor *from, size_t max)
{
    size_t len = from->iov->iov_len - from->at;
    if (len > max)
        len = max;
    kc_bytes part = kc_span((const uint8_t *)from->iov->iov_base + from->at, len);
    from->at += len;
    if (from->at == from->iov->iov_len) {
        from->iov++;
        from->left--;
        from->at = 0;
    }
    return part;
}

/** The content of the next record: where it lies, if it fills one, else put together. */
static kc_bytes next_record(cursor *from, uint8_t *scratch)
{
    size_t len = 0;
    while (from->left > 0 && len < KN_TLS_RECORD_BYTES) {
        kc_bytes part = take(from, KN_TLS_RECORD_BYTES - len);
        if (part.len == KN_TLS_RECORD_BYTES || (len == 0 && from->left == 0))
            return part;
        if (part.len > 0)
            memcpy(scratch + len, part.ptr, part.len);
        len += part.len;
    }
    return kc_span(scratch, len);
}

/** The alert that says why the broker hung up may lie unread behind the broken pipe. */
static kc_err look_for_alert(kn_tls_transport *tls, kc_error *err)
{
    char byte;
    size_t got;
    ERR_clear_error();
    int result = SSL_peek_ex(tls->ssl, &byte, 1, &got);
    if (result <= 0)
        return kn_tls_result(tls, result, err);
    *err = tls->cause;
    return err->code;
}

static kc_err fail_write(kn_tls_transport *tls, int result, kc_error *err)
{
    kc_err code = kn_tls_result(tls, result, err);
    if (code == KC_ERR_DISCONNECTED)
        return look_for_alert(tls, err);
    if (code != KC_ERR_AGAIN && code != KC_ERR_END)
        return code;
    /* No renegotiation, so writing never waits for reading: the session has ended. */
    kb_error_set(&tls->cause, KC_ERR_DISCONNECTED, "the TLS session has ended");
    tls->cause.phase = KC_PHASE_TLS;
    *err = tls->cause;
    return err->code;
}

static kc_err tls_write(kn_transport *transport, const struct iovec *iov, int count,
                        size_t *len_out, kc_error *err)
{
    kn_tls_transport *tls = (kn_tls_transport *)transport;
    cursor from = {.iov = iov, .left = count};
    size_t total = 0;
    assert(tls->is_open);
    kc_err code = kn_tls_flush(tls);
    if (code == KC_ERR_AGAIN)
        return code;
    if (code != KC_OK)
        return fail_write(tls, -1, err);
    while (from.left > 0 && !kn_tls_has_pending(tls)) {
        size_t written = 0;
        kc_bytes record = next_record(&from, tls->network->scratch);
        if (record.len == 0)
            break;
        ERR_clear_error();
        int result = SSL_write_ex(tls->ssl, record.ptr, record.len, &written);
        if (result <= 0)
            return fail_write(tls, result, err);
        assert(written == record.len);
        total += written;
    }
    *len_out = total;
    return KC_OK;
}

static void tls_want(kn_transport *transport, unsigned events)
{
    kn_tls_transport *tls = (kn_tls_transport *)transport;
    tls->wants_write = (events & KN_EVENT_WRITE) != 0;
    kn_tls_update_want(tls);
}

/* ---- opening */

static void opened(kn_tls_transport *tls)
{
    kn_loop *loop = tls->network->options.loop;
    kn_timer_stop(loop, &tls->timer);
    tls->is_open = true;
    if (SSL_has_pending(tls->ssl))
        kn_task_queue(loop, &tls->task);
    tls->base.on_event(tls->base.user, KN_EVENT_OPEN, NULL);
}

static void failed(kn_tls_transport *tls, const kc_error *error)
{
    kn_timer_stop(tls->network->options.loop, &tls->timer);
    kn_tls_session_forget(tls);
    tls->base.on_event(tls->base.user, KN_EVENT_FAILED, error);
}

static void shake_hands(kn_tls_transport *tls)
{
    kc_error error;
    int result = -1;
    ERR_clear_error();
    kc_err code = kn_tls_flush(tls);
    if (code == KC_OK || code == KC_ERR_AGAIN)
        result = SSL_do_handshake(tls->ssl);
    if (result == 1)
        opened(tls);
    else if (kn_tls_handshake_result(tls, result, &error) != KC_ERR_AGAIN)
        failed(tls, &error);
}

static void on_timer(kn_timer *timer)
{
    kn_tls_transport *tls = timer->user;
    kc_error error;
    if (!tls->is_connected) /* the caller knows what to say */
        return;
    kn_tls_explain_timeout(tls, &error);
    failed(tls, &error);
}

void kn_tls_on_event(void *user, unsigned events, const kc_error *error)
{
    kn_tls_transport *tls = user;
    if (events & KN_EVENT_FAILED) {
        kn_timer_stop(tls->network->options.loop, &tls->timer);
        tls->base.on_event(tls->base.user, KN_EVENT_FAILED, error);
        return;
    }
    if (events & KN_EVENT_OPEN)
        tls->is_connected = true;
    if (!tls->is_open) {
        shake_hands(tls);
        return;
    }
    unsigned report = events & KN_EVENT_READ;
    if (events & KN_EVENT_WRITE) {
        kc_err code = kn_tls_flush(tls);
        if (code == KC_OK && tls->wants_write)
            report |= KN_EVENT_WRITE;
        else if (code != KC_OK && code != KC_ERR_AGAIN)
            report |= KN_EVENT_READ; /* reading tells what broke */
    }
    if (report != 0)
        tls->base.on_event(tls->base.user, report, NULL);
}

/* ---- life */

static void tls_close(kn_transport *transport)
{
    kn_tls_transport *tls = (kn_tls_transport *)transport;
    const kn_loop *loop = tls->network->options.loop;
    bool is_usable = tls->is_open && tls->cause.code == KC_OK && !kn_tls_has_pending(tls);
    if (is_usable && !kn_loop_is_forked(loop)) {
        ERR_clear_error();
        (void)SSL_shutdown(tls->ssl); /* close_notify, if there is room for it */
    }
    kn_tls_transport_free(tls);
}

/** A name is told to the broker (SNI) and looked for in its certificate, without the dot at its end
 * (trap 58). An address is only looked for. */
static bool set_peer(kn_tls_transport *tls)
{
    const kn_tls_settings *settings = &tls->network->options.settings;
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
    kn_address literal;
    bool is_literal = kn_address_parse(kc_str(tls->host), 0, &literal);
    X509_VERIFY_PARAM_set_time(param, (time_t)(kn_loop_wall_ms(tls->network->options.loop) / 1000));
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!is_literal && !SSL_set_tlsext_host_name(tls->ssl, tls->host))
        return false;
    if (!settings->verifies_host)
        return true;
    if (is_literal)
        return X509_VERIFY_PARAM_set1_ip(param, literal.ip, literal.is_v6 ? 16 : 4) == 1;
    return X509_VERIFY_PARAM_set1_host(param, tls->host, 0) == 1;
}

static int on_certificate_wanted(SSL *ssl, void *user)
{
    (void)ssl;
    ((kn_tls_transport *)user)->is_asked = true;
    return 1;
}

static bool init_ssl(kn_tls_transport *tls)
{
    kn_tls_network *network = tls->network;
    tls->ssl = SSL_new(network->ctx);
    BIO *bio = BIO_new(network->bio_method);
    if (!tls->ssl || !bio) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_connect_state(tls->ssl);
    SSL_set_read_ahead(tls->ssl, 1); /* a record in one read, not its head and then the rest */
    SSL_set_verify(tls->ssl, SSL_VERIFY_PEER, kn_tls_on_verify);
    SSL_set_cert_cb(tls->ssl, on_certificate_wanted, tls);
    if (!SSL_set_app_data(tls->ssl, tls) || !set_peer(tls))
        return false;
    kn_tls_session_use(tls);
    return true;
}

kc_err kn_tls_transport_new(kn_tls_network *network, const kn_open_options *options,
                            kn_tls_transport **tls_out, kc_error *err)
{
    static const kn_transport_ops ops = {tls_read, tls_write, tls_want, tls_close};
    kb_mem *mem = network->options.mem;
    kc_bytes host = options->host;
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    kn_tls_transport *tls = NULL;
    if (kb_mem_charge(mem, KN_TLS_TRANSPORT_BYTES)) {
        tls = kb_mem_zalloc(mem, sizeof *tls);
        if (!tls)
            kb_mem_uncharge(mem, KN_TLS_TRANSPORT_BYTES);
    }
    if (!tls)
        return kb_error_set(err, KC_ERR_NOMEM, "no memory for a TLS connection");
    tls->base = (kn_transport){&ops, options->on_event, options->user};
    tls->network = network;
    network->open++;
    tls->port = options->port;
    tls->started_us = kn_loop_now_us(network->options.loop);
    tls->timer = (kn_timer){.fn = on_timer, .user = tls};
    tls->task = (kn_task){.fn = on_task, .user = tls};
    kb_buf_init(&tls->pending, mem, KN_TLS_PENDING_BYTES_MAX);
    tls->host = kb_mem_strndup(mem, host.ptr, host.len);
    if (!tls->host || !init_ssl(tls)) {
        kn_tls_transport_free(tls);
        return kb_error_set(err, KC_ERR_NOMEM, "no memory for a TLS connection");
    }
    *tls_out = tls;
    return KC_OK;
}

void kn_tls_transport_free(kn_tls_transport *tls)
{
    kn_tls_network *network = tls->network;
    kb_mem *mem = network->options.mem;
    kn_timer_stop(network->options.loop, &tls->timer);
    kn_task_cancel(&tls->task);
    if (tls->ssl) /* else OpenSSL would take an end without close_notify for a reason not to resume */
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    if (tls->inner)
        kn_transport_close(tls->inner);
    kb_buf_cleanup(&tls->pending);
    kb_mem_free(mem, tls->host);
    kb_mem_free(mem, tls);
    kb_mem_uncharge(mem, KN_TLS_TRANSPORT_BYTES);
    network->open--;
}
