/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The stages of a connection that has to say who is at its other end. */
#include "mock/sasl.h"

#include "protocol/base/text.h"

#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

#include <openssl/crypto.h>
#include <stdio.h>

/** A client may not re-authenticate more often (KIP-368). */
#define AGAIN_MIN_US 1000000

static void forget(km_sasl *sasl, kc_bytes *text)
{
    kb_mem_free(sasl->auth->cluster->mem, (void *)text->ptr);
    *text = KC_NULL;
}

static void exchange_end(km_sasl *sasl)
{
    km_sasl_exchange *exchange = &sasl->exchange;
    forget(sasl, &exchange->user);
    kb_buf_cleanup(&exchange->text);
    kb_mem_wipe(&exchange->scram, sizeof exchange->scram);
    *exchange = (km_sasl_exchange){.is_second = false};
    kb_buf_init(&exchange->text, sasl->auth->cluster->mem, 0);
}

km_sasl *km_sasl_new(km_auth *auth)
{
    km_sasl *sasl = kb_mem_zalloc(auth->cluster->mem, sizeof *sasl);
    if (!sasl)
        return NULL;
    sasl->auth = auth;
    kb_buf_init(&sasl->exchange.text, auth->cluster->mem, 0);
    return sasl;
}

void km_sasl_free(km_sasl *sasl)
{
    exchange_end(sasl);
    forget(sasl, &sasl->user);
    kb_mem_free(sasl->auth->cluster->mem, sasl);
}

/* ---- which requests ---- */

/** A handshake in a session that ends begins the next one. */
static km_sasl_verdict gate_complete(km_sasl *sasl, int16_t api_key)
{
    int64_t now_us = sasl->auth->cluster->now_us;
    bool may_begin = api_key == KP_API_SASL_HANDSHAKE && sasl->expires_us > 0 &&
                     (sasl->again_us == 0 || now_us - sasl->again_us >= AGAIN_MIN_US);
    if (may_begin) {
        sasl->again_us = now_us;
        sasl->is_again = true;
        sasl->stage = KM_SASL_HANDSHAKE;
        return KM_SASL_ALLOWED;
    }
    return sasl->expires_us > 0 && now_us > sasl->expires_us ? KM_SASL_CLOSE : KM_SASL_ALLOWED;
}

km_sasl_verdict km_sasl_gate(km_sasl *sasl, int16_t api_key, bool is_known_version)
{
    switch (sasl->stage) {
    case KM_SASL_INITIAL:
        if (api_key == KP_API_API_VERSIONS) {
            /* One that was not understood may come again (KIP-511). */
            sasl->stage = is_known_version ? KM_SASL_HANDSHAKE : KM_SASL_INITIAL;
            return KM_SASL_ALLOWED;
        }
        return api_key == KP_API_SASL_HANDSHAKE ? KM_SASL_ALLOWED : KM_SASL_CLOSE;
    case KM_SASL_HANDSHAKE:
        return api_key == KP_API_SASL_HANDSHAKE ? KM_SASL_ALLOWED : KM_SASL_CLOSE;
    case KM_SASL_TOKENS:
        return api_key == KP_API_SASL_AUTHENTICATE ? KM_SASL_ALLOWED : KM_SASL_ILLEGAL;
    case KM_SASL_COMPLETE:
        return gate_complete(sasl, api_key);
    case KM_SASL_REFUSED:
        break;
    }
    return KM_SASL_CLOSE;
}

int16_t km_sasl_handshake(km_sasl *sasl, kc_bytes name, int16_t version)
{
    km_mechanism mechanism;
    char told[32];
    if (sasl->stage != KM_SASL_INITIAL && sasl->stage != KM_SASL_HANDSHAKE)
        return KC_E_ILLEGAL_SASL_STATE;
    if (!km_mechanism_find(name, &mechanism) || !(sasl->auth->mechanisms & (1u << mechanism))) {
        kb_text_printable(told, sizeof told, name);
        kb_log_line(&sasl->auth->cluster->log, KC_LOG_INFO,
                    "broker %d: %s refused: SASL mechanism \"%s\" is not served", sasl->broker_id,
                    sasl->peer, told);
        return KC_E_UNSUPPORTED_SASL_MECHANISM;
    }
    exchange_end(sasl);
    sasl->is_bare = version == 0 && !sasl->is_again;
    sasl->stage = KM_SASL_TOKENS;
    if (sasl->is_again && mechanism != sasl->mechanism)
        sasl->stage = KM_SASL_REFUSED;
    else
        sasl->mechanism = mechanism;
    return 0;
}

/* ---- the exchange ---- */

km_sasl_status km_sasl_fail(km_sasl *sasl, const char *why)
{
    if (why)
        snprintf(sasl->why, sizeof sasl->why, "%s", why);
    else
        snprintf(
            sasl->why, sizeof sasl->why,
            "Authentication failed during %s due to invalid credentials with SASL mechanism %s",
            sasl->is_again ? "re-authentication" : "authentication",
            km_mechanism_name(sasl->mechanism));
    return KM_SASL_FAILED;
}

void km_sasl_claim(km_sasl *sasl, kc_bytes user)
{
    kb_text_printable(sasl->exchange.claimed, sizeof sasl->exchange.claimed, user);
}

/** Who, how and why, never with what. */
static void log_refusal(const km_sasl *sasl)
{
    kb_log_line(&sasl->auth->cluster->log, KC_LOG_INFO,
                "broker %d: %s refused: SASL %s, user \"%s\": %s", sasl->broker_id, sasl->peer,
                km_mechanism_name(sasl->mechanism), sasl->exchange.claimed, sasl->why);
}

bool km_sasl_set_user(km_sasl *sasl, kc_bytes user)
{
    char *copy = kb_mem_strndup(sasl->auth->cluster->mem, user.ptr, user.len);
    forget(sasl, &sasl->exchange.user);
    sasl->exchange.user = copy ? kc_span(copy, user.len) : KC_NULL;
    return copy != NULL;
}

static int64_t session_lifetime_ms(const km_sasl *sasl)
{
    int64_t left = INT64_MAX;
    if (sasl->exchange.token_expires_ms > 0)
        left = sasl->exchange.token_expires_ms - sasl->auth->cluster->wall_ms;
    if (sasl->auth->session_ms > 0 && sasl->auth->session_ms < left)
        left = sasl->auth->session_ms;
    return left < 0 ? 0 : left;
}

static km_sasl_status complete(km_sasl *sasl, int64_t *lifetime_ms_out)
{
    km_cluster *cluster = sasl->auth->cluster;
    kc_bytes user = sasl->exchange.user;
    if (sasl->is_again && !kc_bytes_equal(user, sasl->user)) {
        snprintf(sasl->why, sizeof sasl->why,
                 "Cannot change principals during re-authentication from User." KC_FMT
                 ": User." KC_FMT,
                 KC_ARG(sasl->user), KC_ARG(user));
        return KM_SASL_FAILED;
    }
    int64_t lifetime_ms = session_lifetime_ms(sasl);
    sasl->expires_us = 0;
    if (lifetime_ms != INT64_MAX) {
        *lifetime_ms_out = lifetime_ms;
        sasl->expires_us = lifetime_ms > (INT64_MAX - cluster->now_us) / 1000
                               ? INT64_MAX
                               : cluster->now_us + lifetime_ms * 1000;
    }
    forget(sasl, &sasl->user);
    sasl->user = user;
    sasl->exchange.user = KC_NULL;
    sasl->is_bare = false;
    sasl->stage = KM_SASL_COMPLETE;
    exchange_end(sasl);
    return KM_SASL_DONE;
}

km_sasl_status km_sasl_token(km_sasl *sasl, kc_bytes in, kb_buf *out, int64_t *lifetime_ms_out)
{
    km_sasl_status status;
    *lifetime_ms_out = 0;
    switch (sasl->mechanism) {
    case KM_PLAIN:
        status = km_sasl_plain(sasl, in, out);
        break;
    case KM_OAUTHBEARER:
        status = km_sasl_oauth(sasl, in, out);
        break;
    default:
        status = km_sasl_scram(sasl, in, out);
        break;
    }
    if (status == KM_SASL_DONE)
        status = complete(sasl, lifetime_ms_out);
    if (status == KM_SASL_FAILED)
        log_refusal(sasl);
    return status;
}

/* ---- PLAIN (RFC 4616) ---- */

static bool is_same_secret(kc_bytes given, const char *expected)
{
    size_t len = strlen(expected);
    return given.len == len && CRYPTO_memcmp(given.ptr, expected, len) == 0;
}

/** How many texts are separated by NUL; the first three. */
static int split(kc_bytes in, kc_bytes tokens[3])
{
    int count = 0;
    size_t from = 0;
    for (size_t i = 0; i <= in.len && count < 4; i++)
        if (i == in.len || in.ptr[i] == 0) {
            if (count < 3)
                tokens[count] = kc_span(in.ptr + from, i - from);
            count++;
            from = i + 1;
        }
    return count;
}

km_sasl_status km_sasl_plain(km_sasl *sasl, kc_bytes in, kb_buf *out)
{
    (void)out;
    kc_bytes tokens[3];
    int count = in.len > 0 ? split(in, tokens) : 1;
    if (count != 3) {
        char why[64];
        snprintf(why, sizeof why, "Invalid SASL/PLAIN response: expected 3 tokens, got %d", count);
        return km_sasl_fail(sasl, why);
    }
    if (tokens[1].len == 0)
        return km_sasl_fail(sasl, "Authentication failed: username not specified");
    km_sasl_claim(sasl, tokens[1]);
    if (tokens[2].len == 0)
        return km_sasl_fail(sasl, "Authentication failed: password not specified");
    const km_user *user = km_auth_user(sasl->auth, tokens[1]);
    if (!user || !user->password || !is_same_secret(tokens[2], user->password))
        return km_sasl_fail(sasl, "Authentication failed: Invalid username or password");
    if (tokens[0].len > 0 && !kc_bytes_equal(tokens[0], tokens[1]))
        return km_sasl_fail(sasl,
                            "Authentication failed: Client requested an authorization id that "
                            "is different from username");
    return km_sasl_set_user(sasl, tokens[1]) ? KM_SASL_DONE : KM_SASL_NO_MEMORY;
}
