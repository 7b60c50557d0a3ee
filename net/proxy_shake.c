/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the handshakes with both kinds of proxies share. The broker's host may come from a broker's
 * answer: it goes into a line of HTTP only when it can't end that line. */
#include "net/proxy_core.h"
#include "protocol/base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

bool kn_proxy_is_name(kc_bytes host)
{
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
            return false;
    }
    return host.len > 0 && host.len <= KN_HOST_MAX;
}

kc_err kn_proxy_shake_init(kn_proxy_shake *shake, kb_mem *mem, const kn_proxy_url *url,
                           kc_bytes host, uint16_t port, kc_error *err)
{
    memset(shake, 0, sizeof *shake);
    kb_buf_init(&shake->out, mem, KN_PROXY_REQUEST_BYTES_MAX);
    shake->out.is_secret = true;
    shake->url = url;
    shake->port = port;
    shake->is_literal = kn_address_parse(host, port, &shake->literal);
    if (!shake->is_literal && !kn_proxy_is_name(host))
        return kn_proxy_fail(err, KC_ERR_CONNECT, 0,
                             "the broker's name can't be told to a proxy: it is not of letters, "
                             "digits, '-', '_' and '.'; see advertised.listeners");
    memcpy(shake->host, host.ptr, host.len);
    url->protocol->start(shake);
    return shake->out.err == KC_OK ? KC_OK : kb_error_code(err, shake->out.err);
}

void kn_proxy_shake_cleanup(kn_proxy_shake *shake)
{
    kb_buf_cleanup(&shake->out);
}

kc_err kn_proxy_step(kn_proxy_shake *shake, kc_bytes in, size_t *used_out, kc_error *err)
{
    size_t total = 0, used;
    kc_err code;
    do {
        used = 0;
        code =
            shake->url->protocol->step(shake, kc_span(in.ptr + total, in.len - total), &used, err);
        total += used;
        assert(total <= in.len);
    } while (code == KC_ERR_AGAIN && used > 0);
    *used_out = total;
    shake->taken += total;
    if (code == KC_ERR_AGAIN && shake->out.err != KC_OK)
        return kb_error_code(err, shake->out.err);
    if (code == KC_ERR_AGAIN && shake->taken + in.len - total >= KN_PROXY_ANSWER_BYTES_MAX)
        return kn_proxy_fail(err, KC_ERR_CONNECT, 0, "its answer has no end within %zu bytes",
                             KN_PROXY_ANSWER_BYTES_MAX);
    return code;
}

kc_err kn_proxy_fail(kc_error *err, kc_err code, uint32_t flags, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list arguments;
    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    kb_error_set(err, code, "%s", text);
    if (err) {
        err->phase = KC_PHASE_PROXY;
        err->flags |= flags;
    }
    return code;
}

kc_err kn_proxy_refuse(const kn_proxy_shake *shake, const char *quoted, kc_error *err)
{
    return kn_proxy_fail(err, KC_ERR_AUTH, KC_ERRF_AUTH | KC_ERRF_CONFIG, "it %s (%s)",
                         shake->url->user ? "refuses the user and password of proxy.url"
                                          : "wants a user and password in proxy.url",
                         quoted);
}

kc_err kn_proxy_mismatch(const kn_proxy_shake *shake, kc_bytes in, kc_error *err)
{
    bool is_http = in.len >= 4 && memcmp(in.ptr, "HTTP", 4) == 0;
    return kn_proxy_fail(err, KC_ERR_CONNECT, KC_ERRF_CONFIG,
                         "it does not speak %s%s; see proxy.url", shake->url->protocol->name,
                         is_http ? ", but HTTP" : "");
}
