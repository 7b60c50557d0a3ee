/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tokens fetched from a provider, by real sockets: what is asked, what is tried again, what is told. */
#include "net/oidc.h"
#include "protocol/base/text.h"
#include "tests/unit/net/http_server.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER(status, body) "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n\r\n" body
#define TOKEN                ANSWER("200 OK", "{\"access_token\":\"good.token\",\"expires_in\":60}")
#define SECRET               "client-secret"
#define CREDENTIALS          "YWxpY2U6Y2xpZW50LXNlY3JldA==" /* alice:client-secret */

typedef struct world {
    kb_mem mem;
    kb_rand rand;
    kb_log log;
    kb_buf lines;
    kn_loop *loop;
    kn_token_source *tokens;
    kn_oidc *oidc;
    kn_oidc_options options;
    http_server server;
    char url[128];
    kn_token_wait wait;
    bool is_told;
    int fails, troubles;
    kc_error error, trouble;
    char line[512];
} world;

static void on_log(kc_log_level level, const char *line, void *user)
{
    (void)level;
    kb_buf_put_bytes(user, kc_str(line));
}

static void ask(void *user)
{
    kn_oidc_ask(((world *)user)->oidc);
}

static void on_failed(void *user, const kc_error *error)
{
    world *w = user;
    w->fails++;
    w->error = *error;
}

static void keep_line(kc_bytes line, void *user)
{
    world *w = user;
    snprintf(w->line, sizeof w->line, KC_FMT, KC_ARG(line));
}

static void on_trouble(void *user, const kc_error *error)
{
    world *w = user;
    w->troubles++;
    w->trouble = *error;
}

static void on_told(kn_token_wait *wait, const kc_error *error)
{
    (void)error;
    ((world *)wait->user)->is_told = true;
}

static void begin(world *w)
{
    memset(w, 0, sizeof *w);
    setenv("no_proxy", "127.0.0.1", 1);
    kb_mem_init(&w->mem, NULL, 0);
    kb_rand_init(&w->rand, 3);
    kb_buf_init(&w->lines, &w->mem, 0);
    w->log = (kb_log){.fn = on_log, .user = &w->lines, .level = KC_LOG_DEBUG};
    ck_assert_int_eq(kn_loop_new(&w->mem, &w->loop, NULL), KC_OK);
    const kn_token_options tokens = {.mem = &w->mem,
                                     .loop = w->loop,
                                     .log = &w->log,
                                     .rand = &w->rand,
                                     .refresh_factor = 0.8,
                                     .ask = ask,
                                     .on_failed = on_failed,
                                     .user = w};
    ck_assert_int_eq(kn_token_source_new(&tokens, &w->tokens), KC_OK);
    w->options = (kn_oidc_options){.mem = &w->mem,
                                   .loop = w->loop,
                                   .log = &w->log,
                                   .rand = &w->rand,
                                   .tokens = w->tokens,
                                   .url = w->url,
                                   .client_id = "alice",
                                   .client_secret = SECRET,
                                   .extensions = KC_STR("a=b\x01"),
                                   .connect_timeout_ms = 20000,
                                   .read_timeout_ms = 20000,
                                   .retry_backoff_ms = 1,
                                   .retry_backoff_max_ms = 20000,
                                   .on_trouble = on_trouble,
                                   .user = w};
    w->wait = (kn_token_wait){.fn = on_told, .user = w};
    kb_list_init(&w->wait.node);
}

static void serve(world *w, const char *const *script, SSL_CTX *tls)
{
    w->server.script = script;
    w->server.tls = tls;
    http_server_start(&w->server);
    snprintf(w->url, sizeof w->url, "%s://127.0.0.1:%d/token?realm=r", tls ? "https" : "http",
             w->server.port);
}

static void open_oidc(world *w)
{
    kc_error error = {.code = KC_OK};
    ck_assert_msg(kn_oidc_new(&w->options, &w->oidc, &error) == KC_OK, "%s", error.text);
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static void check_silence(const char *text)
{
    ck_assert_msg(!has(text, SECRET) && !has(text, CREDENTIALS) && !has(text, "good.token"), "%s",
                  text);
}

/** Nothing of what is secret was said on the way. */
static void end(world *w)
{
    kn_token_cancel(&w->wait);
    kn_oidc_free(w->oidc);
    kn_token_source_free(w->tokens);
    kb_buf_put_byte(&w->lines, 0);
    check_silence((const char *)w->lines.data);
    check_silence(w->error.text);
    check_silence(w->trouble.text);
    kb_buf_cleanup(&w->lines);
    kn_loop_free(w->loop);
    ck_assert_uint_eq(w->mem.used, 0);
}

/** Until there is a token, or none to be had. */
static kc_err get(world *w)
{
    kn_token token;
    kc_err err = kn_token_get(w->tokens, &token, &w->wait);
    ck_assert_int_eq(err, KC_ERR_AGAIN);
    for (w->is_told = false; !w->is_told;)
        ck_assert_int_eq(kn_loop_turn(w->loop, -1, NULL), KC_OK);
    err = kn_token_get(w->tokens, &token, &w->wait);
    if (err != KC_OK) {
        kn_token_cancel(&w->wait);
        return KC_ERR_AUTH;
    }
    ck_assert(kc_bytes_equal(token.value, KC_STR("good.token")));
    ck_assert(kc_bytes_equal(token.extensions, KC_STR("a=b\x01")));
    return KC_OK;
}

START_TEST(a_token_is_asked_for_with_the_clients_credentials)
{
    static const char *const script[] = {TOKEN, NULL};
    world w;
    begin(&w);
    w.options.scope = "read write";
    serve(&w, script, NULL);
    open_oidc(&w);
    ck_assert_int_eq(get(&w), KC_OK);
    http_server_stop(&w.server);
    ck_assert_ptr_eq(strstr(w.server.request, "POST /token?realm=r HTTP/1.1\r\n"),
                     w.server.request);
    ck_assert(has(w.server.request, "\r\nAuthorization: Basic " CREDENTIALS "\r\n"));
    ck_assert(has(w.server.request, "\r\nAccept: application/json\r\n"));
    ck_assert(has(w.server.request, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
    ck_assert(has(w.server.request, "\r\n\r\ngrant_type=client_credentials&scope=read+write"));
    kb_buf_put_byte(&w.lines, 0);
    ck_assert(has((const char *)w.lines.data, "is not https"));
    ck_assert(!has((const char *)w.lines.data, "realm"));
    end(&w);
}
END_TEST

START_TEST(what_may_pass_is_tried_again_until_a_token_comes)
{
    static const char *const script[] = {ANSWER("503 Busy", "later"),
                                         ANSWER("429 Too many", "{\"error\":\"slow_down\"}"),
                                         HTTP_HANG_UP,
                                         "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"acc",
                                         TOKEN,
                                         NULL};
    world w;
    begin(&w);
    serve(&w, script, NULL);
    open_oidc(&w);
    ck_assert_int_eq(get(&w), KC_OK);
    ck_assert_int_eq(w.fails, 0);
    ck_assert_int_eq(w.troubles, 4);
    ck_assert_msg(has(w.trouble.text, "no token for SASL OAUTHBEARER yet: http://127.0.0.1:"), "%s",
                  w.trouble.text);
    http_server_stop(&w.server);
    ck_assert_int_eq(w.server.requests, 5);
    end(&w);
}
END_TEST

/** One answer ends it, with these words. */
static void refuse(const char *answer, const char *part)
{
    const char *const script[] = {answer, NULL};
    world w;
    begin(&w);
    serve(&w, script, NULL);
    open_oidc(&w);
    ck_assert_int_eq(get(&w), KC_ERR_AUTH);
    ck_assert_msg(has(w.error.text, part), "%s", w.error.text);
    ck_assert_int_eq(w.error.code, KC_ERR_AUTH);
    ck_assert_int_eq(w.troubles, 0);
    http_server_stop(&w.server);
    ck_assert_int_eq(w.server.connections, 1);
    end(&w);
}

START_TEST(a_refusal_ends_it_at_once_in_the_providers_words)
{
    refuse(ANSWER("401 Unauthorized",
                  "{\"error\":\"invalid_client\",\"error_description\":\"Who are you?\"}"),
           "/token: it answers 401 invalid_client (Who are you?); are id and secret of");
    refuse(ANSWER("400 Bad", "{\"error\":\"invalid_scope\"}"), "400 invalid_scope; see");
    refuse(ANSWER("403 Forbidden", "<html>"), "it answers 403");
    refuse(ANSWER("401 Unauthorized", "{\"error\":\"invalid_client\",\"error_description\":"
                                      "\"" CREDENTIALS " is " SECRET "\"}"),
           "it answers 401 invalid_client; are");
    refuse(ANSWER("200 OK", "<html>Log in</html>"), "no JSON object");
    refuse(ANSWER("200 OK", "{\"access_token\":\"good.token \"}"), "not of the form");
    refuse(ANSWER("204 No content", ""), "it answers 204");
}
END_TEST

START_TEST(a_redirect_is_not_followed)
{
    refuse("HTTP/1.1 307 There\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
           "it answers 307: redirects are not followed");
}
END_TEST

START_TEST(an_answer_above_the_limit_is_refused)
{
    static char answer[70000];
    int head = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"");
    memset(answer + head, 'a', sizeof answer - 1 - (size_t)head);
    refuse(answer, "its answer is above 64 KiB");
}
END_TEST

START_TEST(after_a_time_of_tries_it_is_given_up_with_the_last_cause)
{
    static const char *const script[] = {
        ANSWER("503 Busy", "{\"error\":\"temporarily_unavailable\"}"), NULL};
    world w;
    begin(&w);
    w.options.retry_backoff_max_ms = 100;
    serve(&w, script, NULL);
    open_oidc(&w);
    for (int round = 1; round <= 2; round++) {
        ck_assert_int_eq(get(&w), KC_ERR_AUTH);
        ck_assert_int_eq(w.fails, round);
        ck_assert_msg(has(w.error.text, "it answers 503 temporarily_unavailable (tried "), "%s",
                      w.error.text);
    }
    http_server_stop(&w.server);
    ck_assert_int_eq(w.server.requests, w.troubles + 2);
    end(&w);
}
END_TEST

START_TEST(a_provider_that_is_slow_or_down_is_named_with_the_cause)
{
    static const char *const script[] = {HTTP_SILENCE, NULL};
    world w;
    begin(&w);
    w.options.retry_backoff_max_ms = 1;
    w.options.connect_timeout_ms = w.options.read_timeout_ms = 50;
    serve(&w, script, NULL);
    open_oidc(&w);
    ck_assert_int_eq(get(&w), KC_ERR_AUTH);
    ck_assert_msg(has(w.error.text, "timed out after "), "%s", w.error.text);
    http_server_stop(&w.server);
    end(&w);

    begin(&w);
    w.options.retry_backoff_max_ms = 1;
    snprintf(w.url, sizeof w.url, "http://127.0.0.1:%d/token", http_server_dead_port());
    open_oidc(&w);
    ck_assert_int_eq(get(&w), KC_ERR_AUTH);
    ck_assert_msg(has(w.error.text, "Failed to connect to 127.0.0.1 port "), "%s", w.error.text);
    end(&w);
}
END_TEST

START_TEST(a_proxy_of_the_environment_is_asked)
{
    static const char *const script[] = {TOKEN, NULL};
    char proxy[64];
    world w;
    begin(&w);
    serve(&w, script, NULL);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", w.server.port);
    setenv("http_proxy", proxy, 1);
    snprintf(w.url, sizeof w.url, "http://idp.invalid/token");
    open_oidc(&w);
    ck_assert_msg(get(&w) == KC_OK, "%s", w.error.text);
    unsetenv("http_proxy");
    http_server_stop(&w.server);
    ck_assert(has(w.server.request, "POST http://idp.invalid/token HTTP/1.1"));
    end(&w);
}
END_TEST

/* ---- TLS ---- */

static void write_file(char path[64], const char *text)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, 64, "%s/kc-oidc-XXXXXX", folder && strlen(folder) < 48 ? folder : P_tmpdir);
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    FILE *file = fdopen(fd, "w");
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(the_clients_truststore_is_what_the_provider_is_checked_by)
{
    static const char *const script[] = {TOKEN, NULL};
    char path[64];
    http_trust trust;
    http_trust_make(&trust, "Test CA", "IP:127.0.0.1");
    write_file(path, trust.ca_pem);
    for (int by_file = 0; by_file < 2; by_file++) {
        world w;
        begin(&w);
        if (by_file)
            w.options.ca_location = path;
        else
            w.options.ca_certificates = trust.ca_pem;
        serve(&w, script, trust.server);
        open_oidc(&w);
        ck_assert_msg(get(&w) == KC_OK, "%s", w.error.text);
        kb_buf_put_byte(&w.lines, 0);
        ck_assert(!has((const char *)w.lines.data, "is not https"));
        http_server_stop(&w.server);
        end(&w);
    }
    ck_assert_int_eq(remove(path), 0);
    http_trust_free(&trust);
}
END_TEST

static void distrust(const char *holders, const char *ca_pem, const char *ca_location,
                     const char *part)
{
    static const char *const script[] = {TOKEN, NULL};
    http_trust trust;
    world w;
    begin(&w);
    http_trust_make(&trust, "Test CA", holders);
    w.options.ca_certificates = ca_pem && !ca_pem[0] ? trust.ca_pem : ca_pem;
    w.options.ca_location = ca_location;
    serve(&w, script, trust.server);
    open_oidc(&w);
    ck_assert_int_eq(get(&w), KC_ERR_AUTH);
    ck_assert_msg(has(w.error.text, part), "%s", w.error.text);
    ck_assert_msg(has(w.error.text, "see ssl.truststore.location"), "%s", w.error.text);
    ck_assert_int_eq(w.troubles, 0);
    http_server_stop(&w.server);
    ck_assert_int_eq(w.server.requests, 0); // the secret was not sent
    http_trust_free(&trust);
    end(&w);
}

START_TEST(a_provider_that_is_not_trusted_gets_no_secret)
{
    http_trust other;
    http_trust_make(&other, "Other CA", "IP:127.0.0.1");
    distrust("IP:127.0.0.1", NULL, NULL, "certificate"); // the system's CAs
    distrust("IP:127.0.0.1", other.ca_pem, NULL, "certificate");
    distrust("IP:127.0.0.1", NULL, "/nowhere/ca.pem", "certificate");
    distrust("DNS:idp.example.org", "", NULL, "127.0.0.1");
    http_trust_free(&other);
}
END_TEST

START_TEST(plaintext_where_tls_is_expected_is_told)
{
    static const char *const script[] = {TOKEN, NULL};
    world w;
    begin(&w);
    w.options.retry_backoff_max_ms = 1;
    serve(&w, script, NULL);
    memmove(w.url + 5, w.url + 4, strlen(w.url) - 3);
    w.url[4] = 's';
    open_oidc(&w);
    ck_assert_int_eq(get(&w), KC_ERR_AUTH);
    ck_assert_msg(has(w.error.text, "does it speak TLS"), "%s", w.error.text);
    end(&w);
    http_server_stop(&w.server);
}
END_TEST

/* ---- lifetime ---- */

START_TEST(closing_does_not_wait_for_a_call_and_the_call_ends_soon)
{
    static const char *const script[] = {HTTP_SILENCE, NULL};
    kn_token token;
    world w;
    begin(&w);
    w.options.read_timeout_ms = 1000000;
    serve(&w, script, NULL);
    open_oidc(&w);
    ck_assert_int_eq(kn_token_get(w.tokens, &token, &w.wait), KC_ERR_AGAIN);
    ck_assert_int_eq(kn_loop_turn(w.loop, 0, NULL), KC_OK);
    ck_assert_int_eq(kn_loop_turn(w.loop, 0, NULL), KC_OK);
    end(&w);
    http_server_stop(&w.server); // waits until the call's connection is gone
}
END_TEST

START_TEST(closing_between_two_tries_is_fine)
{
    static const char *const script[] = {HTTP_HANG_UP, NULL};
    kn_token token;
    world w;
    begin(&w);
    w.options.retry_backoff_ms = 100000;
    w.options.retry_backoff_max_ms = 1000000;
    serve(&w, script, NULL);
    open_oidc(&w);
    ck_assert_int_eq(kn_token_get(w.tokens, &token, &w.wait), KC_ERR_AGAIN);
    while (w.troubles == 0)
        ck_assert_int_eq(kn_loop_turn(w.loop, -1, NULL), KC_OK);
    kb_explain out = {.fn = keep_line, .user = &w, .now_us = kn_loop_now_us(w.loop)};
    kn_oidc_say(w.oidc, &out);
    ck_assert_msg(has(w.line, "token: asked for at http://127.0.0.1:") &&
                      has(w.line, " again in ") && has(w.line, "(1 failure: Empty reply"),
                  "%s", w.line);
    end(&w);
    http_server_stop(&w.server);
}
END_TEST

/* ---- configuration ---- */

static void bad_option(const char *url, const char *id, const char *part)
{
    world w;
    kc_error error = {.code = KC_OK};
    begin(&w);
    snprintf(w.url, sizeof w.url, "%s", url);
    w.options.client_id = id;
    ck_assert_int_eq(kn_oidc_new(&w.options, &w.oidc, &error), KC_ERR_CONFIG);
    ck_assert_msg(has(error.text, part), "%s", error.text);
    check_silence(error.text);
    end(&w);
}

START_TEST(a_url_that_is_none_is_a_config_error)
{
    bad_option("", "alice", "has to begin with https://");
    bad_option("https://", "alice", "has to begin with https://");
    bad_option("https:///token", "alice", "has to begin with https://");
    bad_option("file:///etc/token", "alice", "has to begin with https://");
    bad_option("idp.example.org/token", "alice", "has to begin with https://");
    bad_option("https://alice:" SECRET "@idp/token", "alice", "not into the URL");
    bad_option("https://idp/a b", "alice", "byte 13 is none of a URL");
    bad_option("https://idp/\r\nX: y", "alice", "byte 12 is none of a URL");
    bad_option("https://idp/token", "al:ice", "urlencode");
}
END_TEST

START_TEST(a_virtual_loop_can_fetch_nothing_and_says_so)
{
    world w;
    begin(&w);
    kn_loop *real = w.loop;
    ck_assert_int_eq(kn_loop_new_virtual(&w.mem, 0, 1000, &w.options.loop), KC_OK);
    snprintf(w.url, sizeof w.url, "https://idp/token");
    open_oidc(&w);
    kn_oidc_ask(w.oidc);
    ck_assert_int_eq(w.troubles, 1);
    while (w.fails == 0)
        kn_loop_advance(w.options.loop, INT64_MAX);
    ck_assert_msg(has(w.error.text, "worker"), "%s", w.error.text);
    kn_oidc_free(w.oidc);
    w.oidc = NULL;
    kn_loop_free(w.options.loop);
    w.loop = real;
    end(&w);
}
END_TEST
