/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The handshake of SOCKS version 5 (RFC 1928), with user and password (RFC 1929) where there are
 * some.
 *
 *     GREETING --method 0-------------------------> REQUEST --reply 0--> done
 *              --method 2--> CREDENTIALS --status 0-->
 *
 * The broker's name is told as a name and looked up by the proxy (others call that socks5h). */
#include "net/proxy_core.h"

#include <stdio.h>

enum {
    VERSION = 5,
    CREDENTIALS_VERSION = 1,
    METHOD_NONE = 0,
    METHOD_PASSWORD = 2,
    METHOD_REFUSED = 0xff,
    COMMAND_CONNECT = 1,
    ADDRESS_V4 = 1,
    ADDRESS_NAME = 3,
    ADDRESS_V6 = 4,
    SECRET_MAX = 255,
};

enum state {
    GREETING,
    CREDENTIALS,
    REQUEST,
};

static void put_counted(kb_buf *out, const char *text)
{
    size_t len = strlen(text);
    kb_buf_put_byte(out, (uint8_t)len);
    kb_buf_put(out, text, len);
}

static void socks_start(kn_proxy_shake *shake)
{
    bool has_password = shake->url->user != NULL;
    shake->state = GREETING;
    shake->waits_for = "the greeting";
    kb_buf_put_byte(&shake->out, VERSION);
    kb_buf_put_byte(&shake->out, has_password ? 2 : 1);
    kb_buf_put_byte(&shake->out, METHOD_NONE);
    if (has_password)
        kb_buf_put_byte(&shake->out, METHOD_PASSWORD);
}

static void send_credentials(kn_proxy_shake *shake)
{
    shake->state = CREDENTIALS;
    shake->waits_for = "user and password";
    kb_buf_put_byte(&shake->out, CREDENTIALS_VERSION);
    put_counted(&shake->out, shake->url->user);
    put_counted(&shake->out, shake->url->password);
}

static void send_request(kn_proxy_shake *shake)
{
    kb_buf *out = &shake->out;
    shake->state = REQUEST;
    shake->waits_for = "the request to connect";
    kb_buf_put_byte(out, VERSION);
    kb_buf_put_byte(out, COMMAND_CONNECT);
    kb_buf_put_byte(out, 0);
    if (shake->is_literal) {
        kb_buf_put_byte(out, shake->literal.is_v6 ? ADDRESS_V6 : ADDRESS_V4);
        kb_buf_put(out, shake->literal.ip, shake->literal.is_v6 ? 16 : 4);
    } else {
        kb_buf_put_byte(out, ADDRESS_NAME);
        put_counted(out, shake->host);
    }
    kb_buf_put_byte(out, (uint8_t)(shake->port >> 8));
    kb_buf_put_byte(out, (uint8_t)shake->port);
}

static kc_err take_method(kn_proxy_shake *shake, uint8_t method, kc_error *err)
{
    if (method == METHOD_NONE) {
        send_request(shake);
    } else if (method == METHOD_PASSWORD && shake->url->user) {
        send_credentials(shake);
    } else if (method == METHOD_REFUSED && shake->url->user) {
        return kn_proxy_fail(err, KC_ERR_AUTH, KC_ERRF_AUTH | KC_ERRF_CONFIG,
                             "it wants another way to authenticate than user and password, which "
                             "is not there");
    } else if (method == METHOD_REFUSED) {
        return kn_proxy_refuse(shake, "it takes nobody without", err);
    } else {
        return kn_proxy_fail(err, KC_ERR_CONNECT, 0,
                             "it chose authentication method %d, which was not offered", method);
    }
    return KC_ERR_AGAIN;
}

static kc_err take_status(kn_proxy_shake *shake, uint8_t status, kc_error *err)
{
    char quoted[32];
    if (status == 0) {
        send_request(shake);
        return KC_ERR_AGAIN;
    }
    snprintf(quoted, sizeof quoted, "SOCKS5 status %d", status);
    return kn_proxy_refuse(shake, quoted, err);
}

static kc_err refused(uint8_t reply, kc_error *err)
{
    static const char *const words[] = {
        [1] = "it failed for a reason it does not give",
        [2] = "its rules do not allow the connection",
        [3] = "the network can't be reached from there",
        [4] = "the host can't be reached from there, or its name is not known there",
        [5] = "the connection was refused",
        [6] = "the time to live of packets ran out on the way",
        [7] = "it can't connect for others",
        [8] = "it can't use this kind of address",
    };
    bool is_known = reply < sizeof words / sizeof words[0];
    return kn_proxy_fail(err, KC_ERR_CONNECT, 0,
                         "%s (SOCKS5 reply %d); can it reach the broker by this name?",
                         is_known ? words[reply] : "it gives a reason that is not known", reply);
}

/** Length of the reply to the request, 0: its head is not there yet. */
static size_t reply_len(kc_bytes in)
{
    if (in.len < 5)
        return 0;
    switch (in.ptr[3]) {
    case ADDRESS_V4:
        return 4 + 4 + 2;
    case ADDRESS_V6:
        return 4 + 16 + 2;
    default:
        return 4 + 1 + (size_t)in.ptr[4] + 2;
    }
}

/** The address it has bound is of no use, but has to be skipped. */
static kc_err take_reply(kn_proxy_shake *shake, kc_bytes in, size_t *used_out, kc_error *err)
{
    if (in.ptr[1] != 0) // some say no more than this
        return refused(in.ptr[1], err);
    if (in.len >= 4 && in.ptr[3] != ADDRESS_V4 && in.ptr[3] != ADDRESS_NAME &&
        in.ptr[3] != ADDRESS_V6)
        return kn_proxy_mismatch(shake, in, err);
    size_t len = reply_len(in);
    if (len == 0 || in.len < len)
        return KC_ERR_AGAIN;
    *used_out = len;
    return KC_OK;
}

static kc_err socks_step(kn_proxy_shake *shake, kc_bytes in, size_t *used_out, kc_error *err)
{
    uint8_t version = shake->state == CREDENTIALS ? CREDENTIALS_VERSION : VERSION;
    if (in.len > 0 && in.ptr[0] != version)
        return kn_proxy_mismatch(shake, in, err);
    if (in.len < 2)
        return KC_ERR_AGAIN;
    if (shake->state == REQUEST)
        return take_reply(shake, in, used_out, err);
    *used_out = 2;
    return shake->state == GREETING ? take_method(shake, in.ptr[1], err)
                                    : take_status(shake, in.ptr[1], err);
}

const kn_proxy_protocol kn_proxy_socks5 = {
    .name = "SOCKS5",
    .default_port = 1080,
    .secret_max = SECRET_MAX,
    .start = socks_start,
    .step = socks_step,
};
