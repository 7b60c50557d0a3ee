/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The handshake of an HTTP proxy: one CONNECT (RFC 9110, section 9.3.6), with Basic authentication (RFC
 * 7617) where there are user and password. Of the answer the status line counts; the stream begins
 * behind the empty line, whatever the headers say of a length. */
#include "net/proxy_core.h"
#include "protocol/base/text.h"

#include <stdio.h>

/** Most bytes of a status line that go into a message. */
#define QUOTED_BYTES 64
/** "HTTP/1.1 200" */
#define STATUS_BYTES 12

static void put_target(kn_proxy_shake *shake)
{
    if (!shake->is_literal) {
        kb_buf_printf(&shake->out, "%s:%u", shake->host, (unsigned)shake->port);
        return;
    }
    kn_address address = shake->literal;
    char text[KN_ADDRESS_TEXT_MAX];
    address.scope = 0; // an interface of ours means nothing there
    kn_address_format(&address, text);
    kb_buf_put_bytes(&shake->out, kc_str(text));
}

static void put_credentials(kb_buf *out, const kn_proxy_url *url)
{
    kb_buf pair;
    kb_buf_init(&pair, out->mem, KN_PROXY_REQUEST_BYTES_MAX);
    pair.is_secret = true;
    kb_buf_put_bytes(&pair, kc_str(url->user));
    kb_buf_put_byte(&pair, ':');
    kb_buf_put_bytes(&pair, kc_str(url->password));
    kb_base64_put(out, kb_buf_bytes(&pair));
    if (pair.err != KC_OK)
        out->err = pair.err;
    kb_buf_cleanup(&pair);
}

static void http_start(kn_proxy_shake *shake)
{
    shake->waits_for = "CONNECT";
    kb_buf_put_bytes(&shake->out, KC_STR("CONNECT "));
    put_target(shake);
    kb_buf_put_bytes(&shake->out, KC_STR(" HTTP/1.1\r\nHost: "));
    put_target(shake);
    kb_buf_put_bytes(&shake->out, KC_STR("\r\n"));
    if (shake->url->user) {
        kb_buf_put_bytes(&shake->out, KC_STR("Proxy-Authorization: Basic "));
        put_credentials(&shake->out, shake->url);
        kb_buf_put_bytes(&shake->out, KC_STR("\r\n"));
    }
    kb_buf_put_bytes(&shake->out, KC_STR("\r\n"));
}

/** The code in "HTTP/1.1 200 OK"; 0: more bytes are needed; -1: it is no HTTP. */
static int status_of(kc_bytes in)
{
    static const char form[] = "HTTP/1.d ddd";
    for (size_t i = 0; i < in.len && i < STATUS_BYTES; i++) {
        bool is_digit = in.ptr[i] >= '0' && in.ptr[i] <= '9';
        if (form[i] == 'd' ? !is_digit : in.ptr[i] != (uint8_t)form[i])
            return -1;
    }
    if (in.len <= STATUS_BYTES)
        return 0;
    uint8_t next = in.ptr[STATUS_BYTES];
    if (in.ptr[9] == '0' || (next != ' ' && next != '\r' && next != '\n'))
        return -1;
    return (in.ptr[9] - '0') * 100 + (in.ptr[10] - '0') * 10 + (in.ptr[11] - '0');
}

/** Length of the head with its empty line, 0: that has not come. A line may end without CR (RFC 9112,
 * section 2.2). */
static size_t head_len(kn_proxy_shake *shake, kc_bytes in)
{
    for (size_t i = shake->seen; i < in.len; i++) {
        if (in.ptr[i] != '\n')
            continue;
        size_t next = i + 1;
        if (next < in.len && in.ptr[next] == '\r')
            next++;
        if (next == in.len) {
            shake->seen = i;
            return 0;
        }
        if (in.ptr[next] == '\n')
            return next + 1;
    }
    shake->seen = in.len;
    return 0;
}

/** A proxy may say back what it was told. */
static bool has_secret(const kn_proxy_shake *shake, kc_bytes line)
{
    if (!shake->url->user)
        return false;
    kb_buf pair;
    kb_buf_init(&pair, shake->out.mem, KN_PROXY_REQUEST_BYTES_MAX);
    pair.is_secret = true;
    put_credentials(&pair, shake->url);
    bool is_there = pair.err != KC_OK || kb_text_contains(line, kb_buf_bytes(&pair)) ||
                    kb_text_contains(line, kc_str(shake->url->password));
    kb_buf_cleanup(&pair);
    return is_there;
}

static kc_err refused(const kn_proxy_shake *shake, int status, kc_bytes head, kc_error *err)
{
    char quoted[QUOTED_BYTES];
    kc_bytes line;
    kb_text_split(&head, '\n', &line);
    if (has_secret(shake, line))
        line.len = STATUS_BYTES;
    kb_text_printable(quoted, sizeof quoted, kb_text_trim(line));
    if (status == 407 || status == 401) // tinyproxy's word for a wrong password is 401
        return kn_proxy_refuse(shake, quoted, err);
    return kn_proxy_fail(err, KC_ERR_CONNECT, 0,
                         "it answers \"%s\"; does it reach the broker, and allow this port?",
                         quoted);
}

static kc_err http_step(kn_proxy_shake *shake, kc_bytes in, size_t *used_out, kc_error *err)
{
    int status = status_of(in);
    if (status < 0)
        return kn_proxy_mismatch(shake, in, err);
    size_t len = head_len(shake, in);
    if (len == 0)
        return KC_ERR_AGAIN;
    shake->seen = 0;
    *used_out = len;
    if (status < 200) // an interim answer: the real one follows
        return KC_ERR_AGAIN;
    return status < 300 ? KC_OK : refused(shake, status, in, err);
}

const kn_proxy_protocol kn_proxy_http = {
    .name = "HTTP",
    .default_port = 8080,
    .secret_max = KN_PROXY_SECRET_BYTES_MAX,
    .start = http_start,
    .step = http_step,
};
