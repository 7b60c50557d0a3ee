/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The handshakes with SOCKS5 and HTTP proxies, without I/O: what is said, what may be answered, in which
 * pieces, and what becomes of refusals. */
#include "net/proxy_core.h"

#include <check.h>
#include <stdio.h>

/** Bytes of a literal, zeros too. */
#define B(text) kc_span(text, sizeof(text) - 1)

/** What we are to say, and the answer to it. */
typedef struct talk {
    kc_bytes says, answer;
} talk;

/** One conversation; ends where `says` is null. */
typedef struct conversation {
    const char *url, *host;
    uint16_t port;
    talk talks[5];
} conversation;

static kc_error error;
static size_t rest_len; /**< bytes not used when it was done */

static void check_says(kn_proxy_shake *shake, kc_bytes says)
{
    ck_assert_uint_eq(rest_len, 0);
    ck_assert_uint_eq(shake->out.len, says.len);
    ck_assert_mem_eq(shake->out.data, says.ptr, says.len);
    kb_buf_reset(&shake->out);
}

/** Give the answer in pieces. */
static kc_err hear(kn_proxy_shake *shake, kc_bytes answer, size_t piece)
{
    size_t used = 0, came = 0;
    kc_err code = KC_ERR_AGAIN;
    while (came < answer.len && code == KC_ERR_AGAIN) {
        size_t more = 0;
        came += piece < answer.len - came ? piece : answer.len - came;
        ck_assert_uint_eq(shake->out.len, 0);
        code = kn_proxy_step(shake, kc_span(answer.ptr + used, came - used), &more, &error);
        used += more;
    }
    rest_len = answer.len - used;
    return code;
}

/** The end of a conversation whose answers come in pieces of so many bytes. */
static kc_err converse(const conversation *c, size_t piece)
{
    kb_mem mem;
    kn_proxy_url url;
    kn_proxy_shake shake;
    kb_mem_init(&mem, NULL, 0);
    error = (kc_error){.code = KC_OK};
    rest_len = 0;
    ck_assert_int_eq(kn_proxy_url_parse(&mem, kc_str(c->url), &url, &error), KC_OK);
    kc_err code = kn_proxy_shake_init(&shake, &mem, &url, kc_str(c->host), c->port, &error);
    if (code == KC_OK)
        code = KC_ERR_AGAIN;
    for (size_t i = 0; code == KC_ERR_AGAIN && c->talks[i].says.ptr; i++) {
        check_says(&shake, c->talks[i].says);
        code = hear(&shake, c->talks[i].answer, piece);
    }
    kn_proxy_shake_cleanup(&shake);
    kn_proxy_url_cleanup(&url);
    ck_assert_uint_eq(mem.used, 0);
    return code;
}

/** It succeeds in whatever pieces, and leaves what is glued behind the last answer. */
static void succeeds(const conversation *c, size_t glued)
{
    for (size_t piece = 1; piece <= 600; piece += piece < 40 ? 1 : 280) {
        ck_assert_msg(converse(c, piece) == KC_OK, "%s", error.text);
        ck_assert_uint_eq(rest_len, glued);
    }
}

/** It fails with this in whatever pieces. */
static void fails(const conversation *c, kc_err code, const char *part)
{
    for (size_t piece = 1; piece <= 40; piece++) {
        ck_assert_int_eq(converse(c, piece), code);
        ck_assert_int_eq(error.code, code);
        ck_assert_int_eq(error.phase, KC_PHASE_PROXY);
        ck_assert_msg(strstr(error.text, part) != NULL, "\"%s\" lacks \"%s\"", error.text, part);
        ck_assert_ptr_null(strstr(error.text, "hush"));
    }
}

/* ---- SOCKS5 */

#define NO_SECRET B("\5\1\0")
#define SECRET    B("\5\2\0\2")
#define TO_NAME   B("\5\1\0\3\2b1\x23\x84")

START_TEST(socks5_asks_for_a_name)
{
    succeeds(&(conversation){"socks5://p",
                             "b1",
                             9092,
                             {{NO_SECRET, B("\5\0")}, {TO_NAME, B("\5\0\0\1\x7f\0\0\1\x1f\x90")}}},
             0);
}
END_TEST

START_TEST(socks5_asks_for_an_address_where_the_host_is_one)
{
    succeeds(&(conversation){"socks5h://p",
                             "10.1.2.3",
                             65535,
                             {{NO_SECRET, B("\5\0")},
                              {B("\5\1\0\1\xa\1\2\3\xff\xff"), B("\5\0\0\1\0\0\0\0\0\0")}}},
             0);
    succeeds(&(conversation){"socks5://p",
                             "fd00::1",
                             1,
                             {{NO_SECRET, B("\5\0")},
                              {B("\5\1\0\4\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1"),
                               B("\5\0\0\4\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\2")}}},
             0);
}
END_TEST

START_TEST(socks5_gives_user_and_password_where_they_are_asked_for)
{
    succeeds(&(conversation){"socks5://alice:hush%21@p",
                             "b1",
                             9092,
                             {{SECRET, B("\5\2")},
                              {B("\1\5alice\5hush!"), B("\1\0")},
                              {TO_NAME, B("\5\0\0\1\0\0\0\0\0\0")}}},
             0);
    succeeds(&(conversation){"socks5://alice:hush@p", /* and keeps them where not */
                             "b1",
                             9092,
                             {{SECRET, B("\5\0")}, {TO_NAME, B("\5\0\0\1\0\0\0\0\0\0")}}},
             0);
}
END_TEST

START_TEST(socks5_leaves_what_comes_behind_the_answer)
{
    static const conversation c = {"socks5://p",
                                   "b1",
                                   9092,
                                   {{{(const uint8_t *)"\5\1\0", 3}, {(const uint8_t *)"\5\0", 2}},
                                    {{(const uint8_t *)"\5\1\0\3\2b1\x23\x84", 9},
                                     {(const uint8_t *)"\5\0\0\3\4here\0\1hello", 16}}}};
    ck_assert_int_eq(converse(&c, 16), KC_OK);
    ck_assert_uint_eq(rest_len, 5);
    ck_assert_int_eq(converse(&c, 1), KC_OK); /* byte by byte it was not waited for */
    ck_assert_uint_eq(rest_len, 5);
}
END_TEST

START_TEST(socks5_refusals_are_told_in_words)
{
    static const char *const parts[] = {
        "reason it does not give",      "rules do not allow",
        "the network can't be reached", "its name is not known there (SOCKS5 reply 4)",
        "the connection was refused",   "the time to live",
        "can't connect for others",     "can't use this kind of address",
        "not known (SOCKS5 reply 9)"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const char reply[] = {5, (char)(i + 1)};
        fails(&(conversation){"socks5://p",
                              "b1",
                              9092,
                              {{NO_SECRET, B("\5\0")}, {TO_NAME, kc_span(reply, sizeof reply)}}},
              KC_ERR_CONNECT, parts[i]);
        ck_assert_uint_eq(error.flags & KC_ERRF_RETRIABLE, KC_ERRF_RETRIABLE);
    }
    fails(&(conversation){"socks5://p",
                          "b1",
                          9092,
                          {{NO_SECRET, B("\5\0")}, {TO_NAME, B("\5\xff\0\1\0\0\0\0\0\0")}}},
          KC_ERR_CONNECT, "SOCKS5 reply 255");
}
END_TEST

START_TEST(socks5_authentication_may_fail)
{
    fails(&(conversation){"socks5://alice:hush@p",
                          "b1",
                          9092,
                          {{SECRET, B("\5\2")}, {B("\1\5alice\4hush"), B("\1\1")}}},
          KC_ERR_AUTH, "it refuses the user and password of proxy.url (SOCKS5 status 1)");
    ck_assert_uint_eq(error.flags & (KC_ERRF_AUTH | KC_ERRF_CONFIG), KC_ERRF_AUTH | KC_ERRF_CONFIG);
    fails(&(conversation){"socks5://p", "b1", 9092, {{NO_SECRET, B("\5\xff")}}}, KC_ERR_AUTH,
          "it wants a user and password in proxy.url");
    fails(&(conversation){"socks5://alice:hush@p", "b1", 9092, {{SECRET, B("\5\xff")}}},
          KC_ERR_AUTH, "another way to authenticate");
    fails(&(conversation){"socks5://alice:hush@p", "b1", 9092, {{SECRET, B("\5\1")}}},
          KC_ERR_CONNECT, "method 1, which was not offered");
    fails(&(conversation){"socks5://p", "b1", 9092, {{NO_SECRET, B("\5\2")}}}, KC_ERR_CONNECT,
          "method 2, which was not offered");
}
END_TEST

START_TEST(socks5_notices_who_speaks_something_else)
{
    fails(&(conversation){"socks5://p", "b1", 9092, {{NO_SECRET, B("SSH-2.0")}}}, KC_ERR_CONNECT,
          "it does not speak SOCKS5");
    ck_assert_uint_eq(error.flags & KC_ERRF_CONFIG, KC_ERRF_CONFIG);
    fails(&(conversation){"socks5://p", "b1", 9092, {{NO_SECRET, B("\4\0")}}}, KC_ERR_CONNECT,
          "it does not speak SOCKS5");
    const conversation http = {"socks5://p", "b1", 9092, {{NO_SECRET, B("HTTP/1.0 400 Bad")}}};
    ck_assert_int_eq(converse(&http, 40), KC_ERR_CONNECT);
    ck_assert_ptr_nonnull(strstr(error.text, "SOCKS5, but HTTP"));
    fails(&(conversation){"socks5://alice:hush@p",
                          "b1",
                          9092,
                          {{SECRET, B("\5\2")}, {B("\1\5alice\4hush"), B("\5\0")}}},
          KC_ERR_CONNECT, "it does not speak SOCKS5");
    fails(&(conversation){"socks5://p",
                          "b1",
                          9092,
                          {{NO_SECRET, B("\5\0")}, {TO_NAME, B("\5\0\0\2\0\0\0\0\0\0")}}},
          KC_ERR_CONNECT, "it does not speak SOCKS5");
}
END_TEST

/* ---- HTTP */

#define CONNECT(target) "CONNECT " target " HTTP/1.1\r\nHost: " target "\r\n"

static conversation http_to(const char *url, const char *host, kc_bytes says, kc_bytes answer)
{
    return (conversation){url, host, 9092, {{says, answer}}};
}

static conversation http(kc_bytes answer)
{
    return http_to("http://p", "b1", B(CONNECT("b1:9092") "\r\n"), answer);
}

START_TEST(http_asks_for_host_and_port)
{
    conversation c = http(B("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"));
    succeeds(&c, 0);
    c = http_to("http://p", "10.1.2.3", B(CONNECT("10.1.2.3:9092") "\r\n"),
                B("HTTP/1.0 200\r\n\r\n"));
    succeeds(&c, 0);
    c = http_to("http://p", "fd00:0::1", B(CONNECT("[fd00::1]:9092") "\r\n"),
                B("HTTP/1.1 299 \n\n"));
    succeeds(&c, 0);
    c = http_to("http://p", "fe80::1%1", B(CONNECT("[fe80::1]:9092") "\r\n"),
                B("HTTP/1.1 204 x\r\n\n"));
    succeeds(&c, 0);
}
END_TEST

START_TEST(http_gives_user_and_password)
{
    /* RFC 7617's own example, and nothing at all. */
    conversation c = http_to(
        "http://Aladdin:open%20sesame@p", "b1",
        B(CONNECT("b1:9092") "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"),
        B("HTTP/1.1 200 OK\r\n\r\n"));
    succeeds(&c, 0);
    c = http_to("http://:@p", "b1", B(CONNECT("b1:9092") "Proxy-Authorization: Basic Og==\r\n\r\n"),
                B("HTTP/1.1 200 OK\r\n\r\n"));
    succeeds(&c, 0);
}
END_TEST

START_TEST(http_leaves_what_comes_behind_the_answer)
{
    conversation c = http(B("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\r\nhello"));
    ck_assert_int_eq(converse(&c, 100), KC_OK);
    ck_assert_uint_eq(rest_len, 7);
}
END_TEST

START_TEST(http_waits_through_interim_answers)
{
    conversation c = http(
        B("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200\r\n\r\n"));
    succeeds(&c, 0);
    c = http(B("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\n\r\n"));
    fails(&c, KC_ERR_CONNECT, "it answers \"HTTP/1.1 403 No\"");
}
END_TEST

START_TEST(http_refusals_are_quoted_safely)
{
    conversation c = http(B("HTTP/1.1 503 Not\x1b[2Jnow\r\nA: b\r\n\r\n"));
    fails(&c, KC_ERR_CONNECT, "it answers \"HTTP/1.1 503 Not?[2Jnow\"; does it reach");
    ck_assert_uint_eq(error.flags & KC_ERRF_RETRIABLE, KC_ERRF_RETRIABLE);
    c = http(
        B("HTTP/1.1 502 "
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "\r\n\r\n"));
    fails(&c, KC_ERR_CONNECT, "aaaa\"; does it reach the broker, and allow this port?");
    c = http(B("HTTP/1.1 302 Found\r\nLocation: http://elsewhere\r\n\r\n"));
    fails(&c, KC_ERR_CONNECT, "302 Found");
    c = http(B("HTTP/1.1 999 x\r\n\r\n"));
    fails(&c, KC_ERR_CONNECT, "999 x");
}
END_TEST

START_TEST(http_authentication_may_fail)
{
    conversation c = http(B("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"));
    fails(&c, KC_ERR_AUTH,
          "it wants a user and password in proxy.url (HTTP/1.1 407 Proxy Authentication Required)");
    c = http(B("HTTP/1.0 401 Unauthorized\r\n\r\n"));
    fails(&c, KC_ERR_AUTH, "it wants a user and password in proxy.url (HTTP/1.0 401 Unauthorized)");
    ck_assert_uint_eq(error.flags & (KC_ERRF_AUTH | KC_ERRF_CONFIG), KC_ERRF_AUTH | KC_ERRF_CONFIG);
    c = http_to("http://alice:hush@p", "b1",
                B(CONNECT("b1:9092") "Proxy-Authorization: Basic YWxpY2U6aHVzaA==\r\n\r\n"),
                B("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"));
    fails(&c, KC_ERR_AUTH, "it refuses the user and password of proxy.url (HTTP/1.1 407");
}
END_TEST

START_TEST(a_proxy_that_quotes_the_password_is_not_quoted)
{
    kc_bytes says = B(CONNECT("b1:9092") "Proxy-Authorization: Basic YWxpY2U6aHVzaA==\r\n\r\n");
    conversation c = http_to("http://alice:hush@p", "b1", says, B("HTTP/1.1 403 hush\r\n\r\n"));
    fails(&c, KC_ERR_CONNECT, "it answers \"HTTP/1.1 403\"");
    c = http_to("http://alice:hush@p", "b1", says,
                B("HTTP/1.1 407 Basic YWxpY2U6aHVzaA==\r\n\r\n"));
    fails(&c, KC_ERR_AUTH, "proxy.url (HTTP/1.1 407)");
}
END_TEST

START_TEST(http_notices_who_speaks_something_else)
{
    static const char *const others[] = {"\5\xff",          "SSH-2.0-x\r\n\r\n",  "HTTP/2 200",
                                         "HTTP/1.1  200 x", "HTTP/1.1 20x ",      "HTTP/1.1 2000 x",
                                         "HTTP/1.1 099 x",  "\r\nHTTP/1.1 200 x", "HTTP/x.1 200 x"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        conversation c = http(kc_str(others[i]));
        fails(&c, KC_ERR_CONNECT, "it does not speak HTTP");
        ck_assert_uint_eq(error.flags & KC_ERRF_CONFIG, KC_ERRF_CONFIG);
    }
}
END_TEST

/* ---- both */

START_TEST(an_answer_without_end_is_given_up)
{
    static char head[KN_PROXY_ANSWER_BYTES_MAX + 10] = "HTTP/1.1 200 OK\r\n";
    memset(head + 17, 'a', sizeof head - 17);
    conversation c = http(kc_span(head, KN_PROXY_ANSWER_BYTES_MAX));
    for (size_t piece = 1; piece < 9000; piece = piece * 3 + 1) {
        ck_assert_int_eq(converse(&c, piece), KC_ERR_CONNECT);
        ck_assert_ptr_nonnull(strstr(error.text, "its answer has no end within 8192 bytes"));
    }
    c = http(kc_span(head, KN_PROXY_ANSWER_BYTES_MAX - 1));
    ck_assert_int_eq(converse(&c, 1000), KC_ERR_AGAIN);
    memcpy(head + KN_PROXY_ANSWER_BYTES_MAX - 4, "\r\n\r\n", 4);
    c = http(kc_span(head, KN_PROXY_ANSWER_BYTES_MAX));
    ck_assert_int_eq(converse(&c, 1000), KC_OK);
    /* Nor helps it to be interim. */
    for (size_t at = 0; at < sizeof head; at++)
        head[at] = "HTTP/1.1 100 Continue\r\n\r\n"[at % 25];
    c = http(kc_span(head, KN_PROXY_ANSWER_BYTES_MAX));
    ck_assert_int_eq(converse(&c, 1000), KC_ERR_CONNECT);
}
END_TEST

START_TEST(a_name_that_could_say_more_than_a_name_is_told_to_nobody)
{
    static const char *const names[] = {
        "", "b1:1 HTTP/1.1\r\nX: y", "b1 ", "b1\n", "b/1", "b@1", "b%31", "b\x80", "[::1]", "::1:"};
    static const char *const urls[] = {"http://alice:hush@p", "socks5://p"};
    char host[KN_HOST_MAX + 2];
    for (size_t u = 0; u < 2; u++) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            fails(&(conversation){urls[u], names[i], 9092, {{KC_NULL, KC_NULL}}}, KC_ERR_CONNECT,
                  "the broker's name can't be told to a proxy");
        memset(host, 'h', sizeof host);
        host[KN_HOST_MAX + 1] = 0;
        fails(&(conversation){urls[u], host, 9092, {{KC_NULL, KC_NULL}}}, KC_ERR_CONNECT,
              "the broker's name can't be told to a proxy");
        host[KN_HOST_MAX] = 0;
        ck_assert_int_eq(converse(&(conversation){urls[u], host, 9092, {{KC_NULL, KC_NULL}}}, 1),
                         KC_ERR_AGAIN);
    }
}
END_TEST

START_TEST(the_longest_secrets_fit)
{
    char text[2 * KN_PROXY_SECRET_BYTES_MAX + 32] = "http://";
    char host[KN_HOST_MAX + 1];
    kb_mem mem;
    kn_proxy_url url;
    kn_proxy_shake shake;
    kb_mem_init(&mem, NULL, 0);
    memset(text + 7, 'u', KN_PROXY_SECRET_BYTES_MAX);
    memset(text + 7 + KN_PROXY_SECRET_BYTES_MAX, ':', 1);
    memset(text + 8 + KN_PROXY_SECRET_BYTES_MAX, 'p', KN_PROXY_SECRET_BYTES_MAX);
    memcpy(text + 8 + 2 * KN_PROXY_SECRET_BYTES_MAX, "@p", 3);
    memset(host, 'h', sizeof host);
    ck_assert_int_eq(kn_proxy_url_parse(&mem, kc_str(text), &url, &error), KC_OK);
    ck_assert_int_eq(
        kn_proxy_shake_init(&shake, &mem, &url, kc_span(host, KN_HOST_MAX), 65535, &error), KC_OK);
    ck_assert_mem_eq(shake.out.data + shake.out.len - 4, "\r\n\r\n", 4);
    kn_proxy_shake_cleanup(&shake);
    kn_proxy_url_cleanup(&url);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST
