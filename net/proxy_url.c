/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The URL of a proxy (RFC 3986), of which only scheme, user, password, host and port may be there. It
 * holds a password and may be mistyped anywhere, so nothing of it is ever quoted. */
#include "net/proxy_core.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#define EXPECTED                                                                                   \
    "proxy.url has to be socks5://[user:password@]host[:port] or "                                 \
    "http://[user:password@]host[:port]: "

static const struct {
    const char *scheme;
    const kn_proxy_protocol *protocol;
} schemes[] = {
    {"socks5", &kn_proxy_socks5},
    {"socks5h", &kn_proxy_socks5},
    {"http", &kn_proxy_http},
};

static kc_err bad(kc_error *err, const char *why)
{
    return kb_error_set(err, KC_ERR_CONFIG, EXPECTED "%s", why);
}

/** Take the scheme and "://" off the front. */
static kc_err read_scheme(kc_bytes *rest, kn_proxy_url *out, kc_error *err)
{
    const uint8_t *colon = rest->len > 0 ? memchr(rest->ptr, ':', rest->len) : NULL;
    size_t len = colon ? (size_t)(colon - rest->ptr) : 0;
    kc_bytes behind = kc_span(rest->ptr + len, rest->len - len);
    if (!kb_text_starts(behind, KC_STR("://")))
        return bad(err, "it begins otherwise");
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (kb_text_is(kc_span(rest->ptr, len), schemes[i].scheme))
            out->protocol = schemes[i].protocol;
    if (!out->protocol)
        return bad(err, "another scheme stands before ://");
    *rest = kc_span(behind.ptr + 3, behind.len - 3);
    return KC_OK;
}

/** Of "user:password@host" the part before and behind the last '@'; no user: a NULL one. */
static void split_secret(kc_bytes rest, kc_bytes *secret, kc_bytes *place)
{
    size_t at = rest.len;
    while (at > 0 && rest.ptr[at - 1] != '@')
        at--;
    *secret = at > 0 ? kc_span(rest.ptr, at - 1) : KC_NULL;
    *place = kc_span(rest.ptr + at, rest.len - at);
}

/** What would end the part of a URL where user and password stand. */
static bool ends_authority(uint8_t c)
{
    return c == '/' || c == '?' || c == '#';
}

/** %XX undone; NULL: not well formed, a control character, or no memory (*err says). */
static char *decode(kb_mem *mem, kc_bytes text, size_t max, kc_error *err)
{
    kb_buf out;
    kb_buf_init(&out, mem, max + 1);
    out.is_secret = true;
    bool is_good = true;
    for (size_t i = 0; i < text.len && is_good; i++) {
        if (text.ptr[i] != '%') {
            is_good = !ends_authority(text.ptr[i]);
            kb_buf_put_byte(&out, text.ptr[i]);
            continue;
        }
        is_good = text.len - i > 2 && kb_hex_get(&out, kc_span(text.ptr + i + 1, 2));
        i += 2;
    }
    for (size_t i = 0; i < out.len; i++)
        is_good = is_good && out.data[i] >= 0x20 && out.data[i] != 0x7f;
    char *copy = NULL;
    if (out.err == KC_ERR_NOMEM)
        kb_error_code(err, KC_ERR_NOMEM);
    else if (!is_good || out.err != KC_OK || out.len > max)
        bad(err, "user or password are too long, or have what is to be written as %XX");
    else if (!(copy = kb_mem_strndup(mem, out.len > 0 ? out.data : (uint8_t *)"", out.len)))
        kb_error_code(err, KC_ERR_NOMEM);
    kb_buf_cleanup(&out);
    return copy;
}

static kc_err read_secret(kc_bytes secret, kn_proxy_url *out, kc_error *err)
{
    if (!secret.ptr)
        return KC_OK;
    const uint8_t *colon = memchr(secret.ptr, ':', secret.len);
    if (!colon)
        return bad(err, "user and password are parted by a colon");
    size_t len = (size_t)(colon - secret.ptr), max = out->protocol->secret_max;
    kc_error cause;
    out->user = decode(out->mem, kc_span(secret.ptr, len), max, &cause);
    if (out->user)
        out->password = decode(out->mem, kc_span(colon + 1, secret.len - len - 1), max, &cause);
    if (!out->password) {
        if (err)
            *err = cause;
        return cause.code;
    }
    bool is_socks = out->protocol == &kn_proxy_socks5;
    if (is_socks && (!out->user[0] || !out->password[0]))
        return bad(err, "SOCKS5 has no empty user or password");
    if (!is_socks && strchr(out->user, ':'))
        return bad(err, "HTTP can't have a colon in the user's name");
    return KC_OK;
}

/** Host and ":port" of the place, both as they stand; false: not in that form. */
static bool split_place(kc_bytes place, kc_bytes *host, kc_bytes *port)
{
    kn_address address;
    bool is_bracketed = place.len > 0 && place.ptr[0] == '[';
    const uint8_t *end = memchr(place.ptr, is_bracketed ? ']' : ':', place.len);
    size_t len = end ? (size_t)(end - place.ptr) : place.len;
    *host = kc_span(place.ptr, len);
    *port = kc_span(place.ptr + len, place.len - len);
    if (!is_bracketed)
        return kn_proxy_is_name(*host);
    if (!end)
        return false;
    *host = kc_span(host->ptr + 1, host->len - 1);
    *port = kc_span(port->ptr + 1, port->len - 1);
    return kn_address_parse(*host, 0, &address) && address.is_v6;
}

static kc_err read_place(kc_bytes place, kn_proxy_url *out, kc_error *err)
{
    kc_bytes host, port;
    uint64_t number = out->protocol->default_port;
    if (place.len > 0 && place.ptr[place.len - 1] == '/') // often written, means nothing
        place.len--;
    if (!split_place(place, &host, &port))
        return bad(err, "the host is no name, address, or IPv6 address in brackets");
    if (port.len > 0 &&
        (port.ptr[0] != ':' || !kb_parse_u64(kc_span(port.ptr + 1, port.len - 1), &number) ||
         number == 0 || number > UINT16_MAX))
        return bad(err, "the port is no number from 1 to 65535, or something follows it");
    out->port = (uint16_t)number;
    out->host = kb_mem_strndup(out->mem, host.ptr, host.len);
    return out->host ? KC_OK : kb_error_code(err, KC_ERR_NOMEM);
}

kc_err kn_proxy_url_parse(kb_mem *mem, kc_bytes text, kn_proxy_url *out, kc_error *err)
{
    kc_bytes rest = kb_text_trim(text), secret, place;
    *out = (kn_proxy_url){.mem = mem};
    kc_err code = read_scheme(&rest, out, err);
    if (code == KC_OK) {
        split_secret(rest, &secret, &place);
        code = read_secret(secret, out, err);
    }
    if (code == KC_OK)
        code = read_place(place, out, err);
    if (code != KC_OK)
        kn_proxy_url_cleanup(out);
    return code;
}

void kn_proxy_url_cleanup(kn_proxy_url *url)
{
    kb_mem_free_secret(url->mem, url->user);
    kb_mem_free_secret(url->mem, url->password);
    kb_mem_free(url->mem, url->host);
    *url = (kn_proxy_url){.mem = url->mem};
}
