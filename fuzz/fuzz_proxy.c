/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A proxy that lies in its handshake, and URLs of proxies. The input: a byte for the kind of proxy, one for how its
 * answers are cut, the answers; and all of it as a URL. */
#include "fuzz/fuzz.h"
#include "net/proxy_core.h"

static const char *const urls[] = {"socks5://p", "socks5://alice:secret@p", "http://p",
                                   "http://alice:secret@p"};
#define URLS (sizeof urls / sizeof urls[0])

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

/** Give the answers piece by piece, as a transport does. */
static void fuzz_answers(kb_mem *mem, const char *text, size_t piece, kc_bytes in)
{
    kn_proxy_url url;
    kn_proxy_shake shake;
    kc_error error;
    size_t used = 0, came = 0;
    kc_err code = KC_ERR_AGAIN;
    FUZZ_CHECK(kn_proxy_url_parse(mem, kc_str(text), &url, NULL) == KC_OK);
    FUZZ_CHECK(kn_proxy_shake_init(&shake, mem, &url, KC_STR("b1"), 9092, &error) == KC_OK);
    while (code == KC_ERR_AGAIN && came < in.len) {
        size_t more = 0;
        came += piece < in.len - came ? piece : in.len - came;
        if (came > KN_PROXY_ANSWER_BYTES_MAX)
            came = KN_PROXY_ANSWER_BYTES_MAX;
        error = (kc_error){.code = KC_OK};
        code = kn_proxy_step(&shake, kc_span(in.ptr + used, came - used), &more, &error);
        used += more;
        FUZZ_CHECK(used <= came);
        FUZZ_CHECK(code != KC_ERR_AGAIN || came < KN_PROXY_ANSWER_BYTES_MAX);
        kb_buf_reset(&shake.out);
    }
    if (code != KC_OK && code != KC_ERR_AGAIN)
        FUZZ_CHECK(error.code == code && error.phase == KC_PHASE_PROXY && error.text[0] &&
                   is_printable(error.text));
    kn_proxy_shake_cleanup(&shake);
    kn_proxy_url_cleanup(&url);
}

static void fuzz_url(kb_mem *mem, kc_bytes text)
{
    kn_proxy_url url;
    kc_error error = {.code = KC_OK};
    kn_address address;
    kc_err code = kn_proxy_url_parse(mem, text, &url, &error);
    FUZZ_CHECK(code == error.code);
    if (code != KC_OK)
        return;
    FUZZ_CHECK(kn_proxy_is_name(kc_str(url.host)) ||
               kn_address_parse(kc_str(url.host), 1, &address));
    FUZZ_CHECK(url.port != 0 && (url.user != NULL) == (url.password != NULL));
    kn_proxy_url_cleanup(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kb_mem mem;
    kb_mem_init(&mem, NULL, FUZZ_BYTES_MAX);
    fuzz_url(&mem, kc_span(data, size));
    if (size > 2)
        fuzz_answers(&mem, urls[data[0] % URLS], (size_t)data[1] + 1, kc_span(data + 2, size - 2));
    FUZZ_CHECK(mem.used == 0);
    return 0;
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    static const kc_bytes answers[] = {
        {(const uint8_t *)"\5\0\5\0\0\1\0\0\0\0\0\0hi", 14},
        {(const uint8_t *)"\5\2\1\0\5\0\0\3\4here\0\1", 15},
        {(const uint8_t *)"HTTP/1.1 200 Go\r\nVia: here\r\n\r\nhi", 32},
        {(const uint8_t *)"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 407 No\r\n\r\n", 41},
    };
    if (kb_rand_below(rand, 3) == 0) {
        kb_buf_printf(out, "%s:%u", urls[kb_rand_below(rand, URLS)],
                      (unsigned)kb_rand_below(rand, 70000));
        return;
    }
    size_t which = kb_rand_below(rand, URLS);
    kb_buf_put_byte(out, (uint8_t)which);
    kb_buf_put_byte(out, (uint8_t)kb_rand_below(rand, 40));
    kb_buf_put_bytes(out, answers[which]);
}
