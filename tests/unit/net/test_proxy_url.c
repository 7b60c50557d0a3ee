/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * URLs of proxies: what they mean, and what is refused without quoting it. */
#include "net/proxy_core.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>
#include <stdio.h>

static kb_mem mem;
static kn_proxy_url url;
static kc_error error;

static void parse(const char *text)
{
    kb_mem_init(&mem, NULL, 0);
    kc_err result = kn_proxy_url_parse(&mem, kc_str(text), &url, &error);
    ck_assert_msg(result == KC_OK, "%s: %s", text, error.text);
}

static void end(void)
{
    kn_proxy_url_cleanup(&url);
    ck_assert_uint_eq(mem.used, 0);
}

/** Without user and password. */
static void is_at(const char *text, const kn_proxy_protocol *protocol, const char *host,
                  uint16_t port)
{
    parse(text);
    ck_assert_ptr_eq(url.protocol, protocol);
    ck_assert_str_eq(url.host, host);
    ck_assert_uint_eq(url.port, port);
    ck_assert_ptr_null(url.user);
    ck_assert_ptr_null(url.password);
    end();
}

static void is_for(const char *text, const char *user, const char *password)
{
    parse(text);
    ck_assert_str_eq(url.user, user);
    ck_assert_str_eq(url.password, password);
    ck_assert_str_eq(url.host, "p");
    end();
}

/** Refused, saying `part`; no text has what stands in the URLs here as a secret. */
static void refuse(const char *text, const char *part)
{
    kb_mem_init(&mem, NULL, 0);
    error = (kc_error){.code = KC_OK};
    ck_assert_msg(kn_proxy_url_parse(&mem, kc_str(text), &url, &error) == KC_ERR_CONFIG, "%s",
                  text);
    ck_assert_int_eq(error.code, KC_ERR_CONFIG);
    ck_assert_msg(strstr(error.text, part) != NULL, "\"%s\" lacks \"%s\"", error.text, part);
    ck_assert_ptr_nonnull(strstr(error.text, "socks5://[user:password@]host[:port]"));
    ck_assert_ptr_null(strstr(error.text, "hush"));
    ck_assert_int_eq(kn_proxy_url_parse(&mem, kc_str(text), &url, NULL), KC_ERR_CONFIG);
    ck_assert_uint_eq(mem.used, 0);
}

START_TEST(a_url_says_protocol_host_and_port)
{
    is_at("socks5://proxy.example.org:9050", &kn_proxy_socks5, "proxy.example.org", 9050);
    is_at("socks5://p", &kn_proxy_socks5, "p", 1080);
    is_at("socks5h://p:1", &kn_proxy_socks5, "p", 1);
    is_at("SOCKS5://10.0.0.1:65535", &kn_proxy_socks5, "10.0.0.1", 65535);
    is_at("http://p", &kn_proxy_http, "p", 8080);
    is_at("http://p_1.example-x.:3128/", &kn_proxy_http, "p_1.example-x.", 3128);
    is_at("http://[::1]:3128", &kn_proxy_http, "::1", 3128);
    is_at("http://[fd00::1]", &kn_proxy_http, "fd00::1", 8080);
    is_at(" http://p \n", &kn_proxy_http, "p", 8080);
}
END_TEST

START_TEST(user_and_password_are_decoded)
{
    is_for("socks5://alice:hush@p", "alice", "hush");
    is_for("http://alice:hush@p:1", "alice", "hush");
    is_for("http://a%40b:%3a%2F%3f%23%25%20%C3%A4@p", "a@b", ":/?#% \xc3\xa4");
    is_for("http://alice:a:b@p", "alice", "a:b");
    is_for("http://alice:a@b@p", "alice", "a@b"); // the last one counts
    is_for("http://alice:@p", "alice", "");
    is_for("http://:hush@p", "", "hush");
}
END_TEST

START_TEST(what_is_no_such_url_is_refused_and_not_quoted)
{
    refuse("", "it begins otherwise");
    refuse("hush", "it begins otherwise");
    refuse("hush:3128", "it begins otherwise");
    refuse("http:hush", "it begins otherwise");
    refuse("://hush", "another scheme");
    refuse("https://hush", "another scheme");
    refuse("socks4://hush", "another scheme");
    refuse("socks5://", "the host is");
    refuse("socks5://:1080", "the host is");
    refuse("socks5:///", "the host is");
    refuse("http://hush%20", "the host is");
    refuse("http://hush p", "the host is");
    refuse("http://hush/path", "the host is");
    refuse("http://hush\r\nX: y", "the host is");
    refuse("http://::1", "the host is");
    refuse("http://[::1", "the host is");
    refuse("http://[hush]", "the host is");
    refuse("http://[10.0.0.1]", "the host is");
    refuse("http://[::1]hush", "the port is");
    refuse("http://p:hush", "the port is");
    refuse("http://p:0", "the port is");
    refuse("http://p:65536", "the port is");
    refuse("http://p:", "the port is");
    refuse("http://p:80/hush", "the port is");
    refuse("http://p:80?hush", "the port is");
}
END_TEST

START_TEST(what_is_no_user_and_password_is_refused_and_not_quoted)
{
    refuse("socks5://hush@p", "parted by a colon");
    refuse("http://@p", "parted by a colon");
    refuse("http://alice:hush%@p", "%XX");
    refuse("http://alice:hush%4@p", "%XX");
    refuse("http://alice:hush%4g@p", "%XX");
    refuse("http://alice:hush%00@p", "%XX");
    refuse("http://alice:hush%0a@p", "%XX");
    refuse("http://alice:hush\n@p", "%XX");
    refuse("http://alice:hush/hush@p", "%XX");
    refuse("http://alice:hush?@p", "%XX");
    refuse("http://hush%3ahush:x@p", "HTTP can't have a colon");
    refuse("socks5://:hush@p", "no empty user");
    refuse("socks5://hush:@p", "no empty user");
    refuse("http://alice:hush@", "the host is");
}
END_TEST

/** "scheme://u...:p@h" with so many letters in the user's name. */
static void long_user(const char *scheme, size_t len, bool is_good)
{
    char text[4096];
    size_t at = (size_t)snprintf(text, sizeof text, "%s://", scheme);
    memset(text + at, 'u', len);
    snprintf(text + at + len, sizeof text - at - len, ":p@h");
    if (!is_good) {
        refuse(text, "too long");
        return;
    }
    parse(text);
    ck_assert_uint_eq(strlen(url.user), len);
    end();
}

START_TEST(each_protocol_has_its_longest_user)
{
    char text[600];
    long_user("socks5", 255, true);
    long_user("socks5", 256, false);
    long_user("http", KN_PROXY_SECRET_BYTES_MAX, true);
    long_user("http", KN_PROXY_SECRET_BYTES_MAX + 1, false);
    memset(text, 'h', sizeof text);
    memcpy(text, "http://", 7);
    text[7 + KN_HOST_MAX] = 0;
    parse(text);
    ck_assert_uint_eq(strlen(url.host), KN_HOST_MAX);
    end();
    text[7 + KN_HOST_MAX] = 'h';
    text[8 + KN_HOST_MAX] = 0;
    refuse(text, "the host is");
}
END_TEST

static bool scenario(const kc_alloc *alloc)
{
    kb_mem_init(&mem, alloc, 0);
    kc_err result =
        kn_proxy_url_parse(&mem, KC_STR("http://alice:hush%40@proxy:3128"), &url, &error);
    if (result == KC_OK)
        kn_proxy_url_cleanup(&url);
    else
        ck_assert_int_eq(result, KC_ERR_NOMEM);
    ck_assert_uint_eq(mem.used, 0);
    return result == KC_OK;
}

START_TEST(out_of_memory_is_an_error)
{
    size_t failed = fail_each_alloc(scenario);
    ck_assert_uint_ne(failed, SIZE_MAX);
    ck_assert_uint_ge(failed, 3);
}
END_TEST
