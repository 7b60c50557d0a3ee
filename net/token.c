/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * One token for all. Everything that follows from an answer happens in one task, so that an answer
 * may come from anywhere, also from inside the question. */
#include "net/token.h"

#include "protocol/base/error.h"

#include <assert.h>

/** A token that lives longer is refreshed as if it lived so long: a year. */
#define LIFE_MAX_MS INT64_C(31536000000)

struct kn_token_source {
    kn_token_options options;
    kb_buf value, extensions;
    int64_t expires_ms; /**< 0: never */
    uint32_t generation;
    bool is_wanted; /**< to be asked for in the next task */
    bool is_asked;  /**< and not answered yet             */
    kc_error error; /**< of the last answer; code KC_OK: there is a token */
    kb_list waiting;
    kn_task task;
    kn_timer refresh;
};

static bool is_good(const kn_token_source *source)
{
    return source->value.len > 0 &&
           (source->expires_ms == 0 || source->expires_ms > kn_loop_wall_ms(source->options.loop));
}

static void forget(kn_token_source *source)
{
    kb_buf_cleanup(&source->value);
    kb_buf_cleanup(&source->extensions);
    kn_timer_stop(source->options.loop, &source->refresh);
}

static void want(kn_token_source *source)
{
    source->is_wanted = true;
    kn_task_queue(source->options.loop, &source->task);
}

static void wake_all(kn_token_source *source)
{
    kb_list now;
    kc_error error = source->error;
    kb_list_init(&now);
    kb_list_splice_back(&now, &source->waiting);
    while (!kb_list_is_empty(&now)) {
        kn_token_wait *wait = KB_CONTAINER(now.next, kn_token_wait, node);
        kb_list_remove(&wait->node);
        wait->fn(wait, error.code != KC_OK ? &error : NULL);
    }
}

static void on_task(kn_task *task)
{
    kn_token_source *source = task->user;
    bool must_ask = source->is_wanted && !source->is_asked;
    source->is_wanted = false;
    if (must_ask) {
        source->is_asked = true;
        source->options.ask(source->options.user);
    } else if (!source->is_asked) {
        wake_all(source);
    }
}

static void on_refresh(kn_timer *timer)
{
    want(timer->user);
}

static void refresh_in(kn_token_source *source, int64_t delay_ms)
{
    kn_loop *loop = source->options.loop;
    kc_err err = kn_timer_set(loop, &source->refresh, kn_loop_now_us(loop) + delay_ms * 1000);
    assert(err == KC_OK);
    (void)err;
}

/** As the Java client: at a share of the life; but before its last `buffer`, and not within
 * `min_period`, unless the life is too short for both. */
static void plan_refresh(kn_token_source *source)
{
    const kn_token_options *options = &source->options;
    if (source->expires_ms == 0 || !options->ask)
        return;
    int64_t life_ms = source->expires_ms - kn_loop_wall_ms(options->loop);
    if (life_ms > LIFE_MAX_MS)
        life_ms = LIFE_MAX_MS;
    int64_t min_ms = (int64_t)options->refresh_min_period_s * 1000;
    int64_t buffer_ms = (int64_t)options->refresh_buffer_s * 1000;
    double share = options->refresh_factor + options->refresh_jitter * kb_rand_unit(options->rand);
    int64_t delay_ms = (int64_t)((double)life_ms * share);
    if (min_ms + buffer_ms <= life_ms) {
        if (delay_ms > life_ms - buffer_ms)
            delay_ms = life_ms - buffer_ms;
        if (delay_ms < min_ms)
            delay_ms = min_ms;
    }
    refresh_in(source, delay_ms > KN_TOKEN_SPACING_MS ? delay_ms : KN_TOKEN_SPACING_MS);
}

kc_err kn_token_source_new(const kn_token_options *options, kn_token_source **source_out)
{
    kn_token_source *source = kb_mem_zalloc(options->mem, sizeof *source);
    if (!source)
        return KC_ERR_NOMEM;
    source->options = *options;
    kb_buf_init(&source->value, options->mem, KN_TOKEN_BYTES_MAX);
    kb_buf_init(&source->extensions, options->mem, KN_TOKEN_BYTES_MAX);
    source->value.is_secret = true;
    kb_list_init(&source->waiting);
    source->task = (kn_task){.fn = on_task, .user = source};
    source->refresh = (kn_timer){.fn = on_refresh, .user = source};
    *source_out = source;
    return KC_OK;
}

void kn_token_source_free(kn_token_source *source)
{
    if (!source)
        return;
    assert(kb_list_is_empty(&source->waiting));
    forget(source);
    kn_task_cancel(&source->task);
    kb_mem_free(source->options.mem, source);
}

/** RFC 6750: letters, digits and -._~+/, then any number of '='. */
static bool is_token(kc_bytes value)
{
    size_t len = value.len;
    while (len > 0 && value.ptr[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = value.ptr[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (c == 0 || !strchr("-._~+/", c)))
            return false;
    }
    return len > 0;
}

static kc_err check(const kn_token_source *source, kc_bytes value, kc_bytes extensions,
                    int64_t expires_ms, kc_error *err)
{
    if (value.len > KN_TOKEN_BYTES_MAX || extensions.len > KN_TOKEN_BYTES_MAX)
        return kb_error_set(err, KC_ERR_ARGUMENT, "the token is above %d bytes",
                            KN_TOKEN_BYTES_MAX);
    if (!is_token(value))
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "the token is not of the form of a bearer token (RFC 6750)");
    if (expires_ms < 0 || (expires_ms > 0 && expires_ms <= kn_loop_wall_ms(source->options.loop)))
        return kb_error_set(err, KC_ERR_ARGUMENT, "the token has expired already");
    return KC_OK;
}

static kc_err keep(kn_token_source *source, kc_bytes value, kc_bytes extensions)
{
    forget(source);
    kb_buf_put_bytes(&source->value, value);
    kb_buf_put_bytes(&source->extensions, extensions);
    if (source->value.err == KC_OK && source->extensions.err == KC_OK)
        return KC_OK;
    forget(source);
    return KC_ERR_NOMEM;
}

kc_err kn_token_give(kn_token_source *source, kc_bytes value, kc_bytes extensions,
                     int64_t expires_ms, kc_error *err)
{
    kc_error error;
    kc_err code = check(source, value, extensions, expires_ms, &error);
    if (code == KC_OK && keep(source, value, extensions) != KC_OK)
        code = kb_error_code(&error, KC_ERR_NOMEM);
    if (code != KC_OK) {
        kn_token_fail(source, error.text);
        return kb_error_set(err, code, "%s", error.text);
    }
    source->expires_ms = expires_ms;
    source->generation++;
    source->is_asked = false;
    source->is_wanted = false;
    source->error.code = KC_OK;
    plan_refresh(source);
    kn_task_queue(source->options.loop, &source->task);
    return KC_OK;
}

void kn_token_fail(kn_token_source *source, const char *reason)
{
    const kn_token_options *options = &source->options;
    kc_error error;
    bool is_held = is_good(source);
    kb_error_set(&error, KC_ERR_AUTH, "no %stoken for SASL OAUTHBEARER: %s", is_held ? "new " : "",
                 reason);
    error.phase = KC_PHASE_SASL;
    source->is_asked = false;
    if (is_held)
        refresh_in(source, KN_TOKEN_RETRY_MS);
    else
        source->error = error;
    kb_log_line(options->log, KC_LOG_WARNING, "%s", error.text);
    if (options->on_failed)
        options->on_failed(options->user, &error);
    kn_task_queue(options->loop, &source->task);
}

kc_err kn_token_get(kn_token_source *source, kn_token *token_out, kn_token_wait *wait)
{
    if (is_good(source)) {
        *token_out = (kn_token){kb_buf_bytes(&source->value), kb_buf_bytes(&source->extensions),
                                source->generation};
        return KC_OK;
    }
    if (!source->options.ask)
        return KC_ERR_AUTH;
    kb_list_push_back(&source->waiting, &wait->node);
    want(source);
    return KC_ERR_AGAIN;
}

void kn_token_refused(kn_token_source *source, uint32_t generation)
{
    if (source->options.ask && generation == source->generation)
        forget(source);
}
