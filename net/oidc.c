/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One question at a time: a call on a worker, and a timer for the next try. */
#include "net/oidc.h"

#include "net/backoff.h"
#include "net/http.h"
#include "net/oidc_form.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <assert.h>
#include <stdio.h>

/** What of the URL is shown. */
#define NAME_BYTES_MAX 72
/** Most bytes of id, secret or scope with what is made of them, and of certificates. */
#define REQUEST_BYTES_MAX ((size_t)4 * 1024 * 1024)
/** Scratch for an answer: its members once, names apart. */
#define ARENA_BYTES ((size_t)1024 * 1024)

struct kn_oidc {
    kn_oidc_options options;
    char name[NAME_BYTES_MAX]; /**< URL without its query, as errors show it */
    kb_buf form, authorization, secret, extensions, ca_location, ca_certificates;
    kn_work work;
    kn_timer timer;
    int64_t began_us; /**< of the first try */
    uint32_t failures;
    char trouble[sizeof((kc_error *)0)->text]; /**< of the last try, while it is tried again */
};

/* ---- making one ---- */

static bool has_scheme(const char *url, const char *scheme)
{
    size_t len = strlen(scheme);
    return strlen(url) > len && kb_text_is(kc_span(url, len), scheme);
}

static kc_err check_url(const char *url, kc_error *err)
{
    static const char property[] = "sasl.oauthbearer.token.endpoint.url";
    const char *host =
        has_scheme(url, "https://") || has_scheme(url, "http://") ? strstr(url, "//") + 2 : "";
    size_t host_len = strcspn(host, "/?#");
    if (host_len == 0)
        return kb_error_set(err, KC_ERR_CONFIG, "%s has to begin with https:// (or http://)",
                            property);
    if (memchr(host, '@', host_len))
        return kb_error_set(err, KC_ERR_CONFIG,
                            "%s: name and password go into sasl.oauthbearer.client.credentials, "
                            "not into the URL",
                            property);
    for (size_t i = 0; url[i]; i++)
        if (url[i] <= ' ' || url[i] >= 0x7f)
            return kb_error_set(err, KC_ERR_CONFIG, "%s: byte %zu is none of a URL", property, i);
    return KC_OK;
}

static kc_err check(const kn_oidc_options *options, kc_error *err)
{
    KB_TRY(check_url(options->url, err));
    if (!options->is_encoded && strchr(options->client_id, ':'))
        return kb_error_set(err, KC_ERR_CONFIG,
                            "sasl.oauthbearer.client.credentials.client.id with a colon needs "
                            "sasl.oauthbearer.header.urlencode");
    if (!kn_http_is_built())
        return kb_error_set(err, KC_ERR_CONFIG,
                            "sasl.oauthbearer.token.endpoint.url: libcurl is left out of this "
                            "build (KC_WITH_OIDC)");
    kc_error error;
    kc_err loaded = kn_http_load(&error);
    return loaded == KC_OK
               ? KC_OK
               : kb_error_set(err, loaded, "sasl.oauthbearer.token.endpoint.url: %s", error.text);
}

static void on_called(kn_work *work);
static void on_timer(kn_timer *timer);

/** With its zero byte; nothing of NULL. */
static void put_text(kb_buf *out, const char *text)
{
    if (text)
        kb_buf_put(out, text, strlen(text) + 1);
}

static kc_err fill(kn_oidc *oidc)
{
    const kn_oidc_options *options = &oidc->options;
    kb_buf *bufs[] = {&oidc->form,       &oidc->authorization, &oidc->secret,
                      &oidc->extensions, &oidc->ca_location,   &oidc->ca_certificates};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        kb_buf_init(bufs[i], options->mem, REQUEST_BYTES_MAX);
        bufs[i]->is_secret = true;
    }
    kn_oidc_put_form(&oidc->form, options->scope);
    kn_oidc_put_authorization(&oidc->authorization, options->client_id, options->client_secret,
                              options->is_encoded);
    kb_buf_put_bytes(&oidc->secret, kc_str(options->client_secret));
    kb_buf_put_bytes(&oidc->extensions, options->extensions);
    put_text(&oidc->ca_location, options->ca_location);
    put_text(&oidc->ca_certificates, options->ca_certificates);
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        if (bufs[i]->err != KC_OK)
            return bufs[i]->err;
    return KC_OK;
}

kc_err kn_oidc_new(const kn_oidc_options *options, kn_oidc **oidc_out, kc_error *err)
{
    KB_TRY(check(options, err));
    kn_oidc *oidc = kb_mem_zalloc(options->mem, sizeof *oidc);
    if (!oidc)
        return kb_error_code(err, KC_ERR_NOMEM);
    oidc->options = *options;
    oidc->work = (kn_work){.loop = options->loop, .done = on_called, .user = oidc};
    oidc->timer = (kn_timer){.fn = on_timer, .user = oidc};
    kb_text_printable(oidc->name, sizeof oidc->name,
                      kc_span(options->url, strcspn(options->url, "?#")));
    kc_err filled = fill(oidc);
    oidc->options.client_id = oidc->options.client_secret = oidc->options.scope = NULL;
    oidc->options.ca_location = (const char *)oidc->ca_location.data;
    oidc->options.ca_certificates = (const char *)oidc->ca_certificates.data;
    if (filled != KC_OK) {
        kn_oidc_free(oidc);
        return kb_error_code(err, filled);
    }
    if (!has_scheme(options->url, "https://"))
        kb_log_line(options->log, KC_LOG_WARNING,
                    "%s is not https: the client's secret and its tokens go over the network in "
                    "clear",
                    oidc->name);
    *oidc_out = oidc;
    return KC_OK;
}

void kn_oidc_free(kn_oidc *oidc)
{
    if (!oidc)
        return;
    kn_http_end(&oidc->work);
    kn_timer_stop(oidc->options.loop, &oidc->timer);
    kb_buf_cleanup(&oidc->form);
    kb_buf_cleanup(&oidc->authorization);
    kb_buf_cleanup(&oidc->secret);
    kb_buf_cleanup(&oidc->extensions);
    kb_buf_cleanup(&oidc->ca_location);
    kb_buf_cleanup(&oidc->ca_certificates);
    kb_mem_free(oidc->options.mem, oidc);
}

/* ---- a try ---- */

static void fail(kn_oidc *oidc, const char *why)
{
    char text[sizeof((kc_error *)0)->text];
    if (oidc->failures > 1)
        snprintf(text, sizeof text, "%s: %s (tried %u times)", oidc->name, why, oidc->failures);
    else
        snprintf(text, sizeof text, "%s: %s", oidc->name, why);
    kn_token_fail(oidc->options.tokens, text);
}

/** A failure that may pass: another try, while there is time. */
static void try_later(kn_oidc *oidc, const char *why)
{
    const kn_oidc_options *options = &oidc->options;
    int64_t now_us = kn_loop_now_us(options->loop);
    int64_t wait_us = kn_backoff_us(options->retry_backoff_ms, options->retry_backoff_max_ms,
                                    oidc->failures++, options->rand);
    int64_t left_us = oidc->began_us + (int64_t)options->retry_backoff_max_ms * 1000 - now_us;
    if (wait_us > left_us) {
        fail(oidc, why);
        return;
    }
    kc_error error;
    kb_error_set(&error, KC_ERR_AUTH, "no token for SASL OAUTHBEARER yet: %s: %s", oidc->name, why);
    error.phase = KC_PHASE_SASL;
    error.flags |= KC_ERRF_RETRIABLE;
    snprintf(oidc->trouble, sizeof oidc->trouble, "%s", why);
    kb_log_line(options->log, KC_LOG_WARNING, "%s; again in %lld ms", error.text,
                (long long)(wait_us / 1000));
    if (options->on_trouble)
        options->on_trouble(options->user, &error);
    kc_err set = kn_timer_set(options->loop, &oidc->timer, now_us + wait_us);
    assert(set == KC_OK);
    (void)set;
}

static void call(kn_oidc *oidc)
{
    const kn_oidc_options *options = &oidc->options;
    const kn_http_post post = {
        .url = options->url,
        .authorization = (const char *)oidc->authorization.data,
        .form = (const char *)oidc->form.data,
        .ca_location = options->ca_location,
        .ca_certificates = options->ca_certificates,
        .connect_timeout_ms = options->connect_timeout_ms,
        .read_timeout_ms = options->read_timeout_ms,
    };
    kc_error error;
    if (kn_http_start(&oidc->work, &post, &error) != KC_OK)
        try_later(oidc, error.text);
}

static void on_timer(kn_timer *timer)
{
    call(timer->user);
}

void kn_oidc_say(const kn_oidc *oidc, kb_explain *out)
{
    char before[sizeof oidc->trouble + 32] = "";
    if (oidc->failures > 0)
        snprintf(before, sizeof before, " (%s: %s)", kb_count(oidc->failures, "failure").text,
                 oidc->trouble);
    if (kn_work_data(&oidc->work))
        kb_explain_line(out, "token: asked for at %s, for %s%s", oidc->name,
                        kb_duration(out->now_us - oidc->began_us).text, before);
    else if (kn_timer_is_set(&oidc->timer))
        kb_explain_line(out, "token: asked for at %s again in %s%s", oidc->name,
                        kb_duration(oidc->timer.due_us - out->now_us).text, before);
}

void kn_oidc_ask(kn_oidc *oidc)
{
    assert(!kn_work_data(&oidc->work) && !kn_timer_is_set(&oidc->timer));
    oidc->failures = 0;
    oidc->began_us = kn_loop_now_us(oidc->options.loop);
    call(oidc);
}

/* ---- what came of it ---- */

static void take_token(kn_oidc *oidc, kc_bytes body, kb_arena *scratch)
{
    const kn_oidc_options *options = &oidc->options;
    char why[KN_OIDC_WHY_MAX];
    kn_oidc_token token = {.expires_ms = 0};
    kc_error error;
    int64_t now_ms = kn_loop_wall_ms(options->loop);
    if (!kn_oidc_read_token(body, now_ms, scratch, &token, why)) {
        fail(oidc, why);
    } else if (kn_token_give(options->tokens, token.value, kb_buf_bytes(&oidc->extensions),
                             token.expires_ms, &error) == KC_OK) {
        kb_log_line(options->log, KC_LOG_DEBUG, "%s: a token, good for %lld s%s", oidc->name,
                    token.expires_ms ? (long long)(token.expires_ms - now_ms) / 1000 : 0LL,
                    token.expires_ms ? "" : " or longer: it does not say");
    }
    if (token.value.ptr)
        kb_mem_wipe((void *)token.value.ptr, token.value.len); // it may be in the arena
}

static void take_refusal(kn_oidc *oidc, const kn_http_answer *answer, kb_arena *scratch)
{
    static const char scheme[] = "Authorization: Basic ";
    char why[KN_OIDC_WHY_MAX];
    kc_bytes header = kc_str((const char *)oidc->authorization.data);
    const kc_bytes hidden[] = {
        kb_buf_bytes(&oidc->secret),
        kc_span(header.ptr + sizeof scheme - 1, header.len - (sizeof scheme - 1)),
        KC_NULL,
    };
    kn_oidc_explain(answer->status, answer->body, hidden, scratch, why);
    bool may_pass = answer->status >= 500 || answer->status == 429 || answer->status == 408;
    if (may_pass)
        try_later(oidc, why);
    else
        fail(oidc, why);
}

static void take_silence(kn_oidc *oidc, const kn_http_answer *answer)
{
    char why[KN_HTTP_WHY_MAX], text[KN_HTTP_WHY_MAX];
    kb_text_printable(why, sizeof why, kc_str(answer->why));
    snprintf(text, sizeof text, "%.120s%s", why, answer->hint);
    if (answer->may_pass)
        try_later(oidc, text);
    else
        fail(oidc, text);
}

static void on_called(kn_work *work)
{
    kn_oidc *oidc = work->user;
    kn_http_answer answer;
    kb_arena scratch;
    kn_http_answer_get(work, &answer);
    kb_arena_init(&scratch, oidc->options.mem, ARENA_BYTES);
    if (answer.status == 0)
        take_silence(oidc, &answer);
    else if (answer.status == 200)
        take_token(oidc, answer.body, &scratch);
    else
        take_refusal(oidc, &answer, &scratch);
    kb_arena_cleanup(&scratch);
    kn_http_end(work);
}
