/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The TLS network: opens encrypted transports, keeps the context and loads it anew. */
#include "net/tls_core.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <openssl/err.h>

/* ---- the context */

/** One line of the log that Wireshark reads. */
static void on_keylog(const SSL *ssl, const char *line)
{
    const kn_tls_transport *tls = SSL_get_app_data(ssl);
    BIO *keylog = tls->network->keylog;
    BIO_printf(keylog, "%s\n", line);
    (void)BIO_flush(keylog);
}

static kc_err load(kn_tls_network *network, kc_error *err)
{
    SSL_CTX *ctx = NULL;
    /* before: a change meanwhile is seen */
    kn_tls_conf_look(&network->options.settings, &network->stamps);
    KB_TRY(kn_tls_conf_build(network->options.mem, &network->options.settings, &ctx, err));
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, kn_tls_session_keep);
    if (network->keylog)
        SSL_CTX_set_keylog_callback(ctx, on_keylog);
    SSL_CTX_free(network->ctx);
    network->ctx = ctx;
    kn_tls_session_clear(network);
    return KC_OK;
}

/** No timer looks for changes: connections there are would not notice either. */
static void load_if_changed(kn_tls_network *network)
{
    const kn_tls_options *options = &network->options;
    kn_tls_stamps now;
    kc_error error;
    kn_tls_conf_look(&options->settings, &now);
    if (memcmp(&now, &network->stamps, sizeof now) == 0)
        return;
    if (load(network, &error) == KC_OK) {
        kb_log_line(options->log, KC_LOG_INFO, "certificates were read anew: their files changed");
        return;
    }
    kb_log_line(options->log, KC_LOG_ERROR,
                "changed certificates can't be used, those read before stay: %s", error.text);
    if (options->on_reload_failed)
        options->on_reload_failed(options->user, &error);
}

kc_err kn_tls_network_reload(kn_network *base, kc_error *err)
{
    return load((kn_tls_network *)base, err);
}

/* ---- the network */

static kc_err tls_open(kn_network *base, const kn_open_options *options,
                       kn_transport **transport_out, kc_error *err)
{
    kn_tls_network *network = (kn_tls_network *)base;
    kn_open_options inner = *options;
    kn_tls_transport *tls;
    load_if_changed(network);
    KB_TRY(kn_tls_transport_new(network, options, &tls, err));
    inner.on_event = kn_tls_on_event;
    inner.user = tls;
    kc_err code = kn_network_open(network->options.inner, &inner, &tls->inner, err);
    if (code == KC_OK && options->deadline_us != 0)
        code = kn_timer_set(network->options.loop, &tls->timer, options->deadline_us);
    if (code != KC_OK) {
        kn_tls_transport_free(tls);
        return code;
    }
    *transport_out = &tls->base;
    return KC_OK;
}

static void tls_resolve(kn_network *base, kn_lookup *lookup)
{
    kn_network_resolve(((kn_tls_network *)base)->options.inner, lookup);
}

static void tls_cancel(kn_network *base, kn_lookup *lookup)
{
    kn_network_cancel(((kn_tls_network *)base)->options.inner, lookup);
}

static void tls_name(kn_network *base, kn_naming *naming)
{
    kn_network_name(((kn_tls_network *)base)->options.inner, naming);
}

static void tls_cancel_name(kn_network *base, kn_naming *naming)
{
    kn_network_cancel_name(((kn_tls_network *)base)->options.inner, naming);
}

static void tls_free(kn_network *base)
{
    kn_tls_network *network = (kn_tls_network *)base;
    assert(network->open == 0);
    kn_tls_session_clear(network);
    SSL_CTX_free(network->ctx);
    BIO_meth_free(network->bio_method);
    BIO_free(network->keylog);
    kb_mem_free(network->options.mem, network->scratch);
    kb_mem_free(network->options.mem, network);
}

static void open_keylog(kn_tls_network *network)
{
    const char *path = network->options.keylog_path;
    if (!path || !path[0])
        return;
    network->keylog = BIO_new_file(path, "a");
    if (network->keylog)
        kb_log_line(network->options.log, KC_LOG_WARNING,
                    "SSLKEYLOGFILE is set: the keys of all TLS connections are written to %s",
                    path);
    else
        kb_log_line(network->options.log, KC_LOG_WARNING, "SSLKEYLOGFILE %s can't be opened", path);
    ERR_clear_error();
}

kc_err kn_tls_network_new(const kn_tls_options *options, kn_network **network_out, kc_error *err)
{
    static const kn_network_ops ops = {
        .resolve = tls_resolve,
        .cancel = tls_cancel,
        .name = tls_name,
        .cancel_name = tls_cancel_name,
        .open = tls_open,
        .free = tls_free,
    };
    assert(options->mem && options->loop && options->inner);
    kn_tls_network *network = kb_mem_zalloc(options->mem, sizeof *network);
    if (!network)
        return kb_error_code(err, KC_ERR_NOMEM);
    network->base.ops = &ops;
    network->base.via = options->inner->via;
    network->options = *options;
    kb_list_init(&network->sessions);
    network->scratch = kb_mem_alloc(options->mem, KN_TLS_RECORD_BYTES);
    network->bio_method = kn_tls_bio_method();
    kc_err code =
        network->scratch && network->bio_method ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
    if (code == KC_OK) {
        open_keylog(network);
        code = load(network, err);
    }
    if (code != KC_OK) {
        tls_free(&network->base);
        return code;
    }
    *network_out = &network->base;
    return KC_OK;
}
