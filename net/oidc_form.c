/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Requests and answers of a token endpoint. The answer comes from outside, within a bound: it has to
 * be one valid JSON object before a member of it is looked at. */
#include "net/oidc_form.h"

#include "protocol/base/json.h"
#include "protocol/base/text.h"

#include <stdio.h>
#include <string.h>

/** What of a provider's words is shown. */
#define ERROR_BYTES_MAX       32
#define DESCRIPTION_BYTES_MAX 80
/** Times further off are taken as so far: some 300 years of expires_in, and the year 5138. */
#define LIFE_S_MAX 1e10
#define DATE_S_MAX 1e11

/* ---- what is sent ---- */

void kn_oidc_put_encoded(kb_buf *out, kc_bytes text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (is_alnum || (c && strchr(".-*_", c))) {
            kb_buf_put_byte(out, c);
        } else if (c == ' ') {
            kb_buf_put_byte(out, '+');
        } else {
            kb_buf_put_byte(out, '%');
            kb_buf_put_byte(out, (uint8_t)hex[c >> 4]);
            kb_buf_put_byte(out, (uint8_t)hex[c & 15]);
        }
    }
}

void kn_oidc_put_form(kb_buf *out, const char *scope)
{
    kb_buf_put_bytes(out, KC_STR("grant_type=client_credentials"));
    if (scope && scope[0]) {
        kb_buf_put_bytes(out, KC_STR("&scope="));
        kn_oidc_put_encoded(out, kc_str(scope));
    }
    kb_buf_put_byte(out, 0);
}

void kn_oidc_put_authorization(kb_buf *out, const char *id, const char *secret, bool is_encoded)
{
    kb_buf pair;
    kb_buf_init(&pair, out->mem, 0);
    pair.is_secret = true;
    void (*put)(kb_buf *, kc_bytes) = is_encoded ? kn_oidc_put_encoded : kb_buf_put_bytes;
    put(&pair, kc_str(id));
    kb_buf_put_byte(&pair, ':');
    put(&pair, kc_str(secret));
    kb_buf_put_bytes(out, KC_STR("Authorization: Basic "));
    kb_base64_put(out, kb_buf_bytes(&pair));
    kb_buf_put_byte(out, 0);
    if (out->err == KC_OK)
        out->err = pair.err;
    kb_buf_cleanup(&pair);
}

/* ---- what is answered ---- */

static bool is_object(kc_bytes text, kb_arena *scratch)
{
    kb_json_reader reader;
    kb_json_reader_init(&reader, text);
    return kb_json_check(text, true, scratch, NULL) == KC_OK &&
           kb_json_next(&reader) == KB_JSON_OBJECT;
}

/** A number, or a text that is one, as some providers have it. */
static bool read_number(kc_bytes doc, const char *pointer, kb_arena *scratch, double *out)
{
    kc_bytes text = kb_json_pointer_text(doc, pointer, scratch);
    return text.ptr && kb_parse_f64(text, out);
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

/** The claim of a JWT: the middle one of three parts. False: it is no JWT, or has no such claim. */
static bool read_exp(kc_bytes token, kb_arena *scratch, double *out)
{
    kc_bytes header, claims, signature;
    if (!kb_text_split(&token, '.', &header) || !kb_text_split(&token, '.', &claims) ||
        !kb_text_split(&token, '.', &signature) || token.ptr)
        return false;
    kb_buf json;
    kb_buf_init(&json, scratch->mem, claims.len + 1);
    json.is_secret = true;
    bool is_read = kb_base64url_get(&json, claims) && json.err == KC_OK &&
                   is_object(kb_buf_bytes(&json), scratch) &&
                   read_number(kb_buf_bytes(&json), "/exp", scratch, out);
    kb_buf_cleanup(&json);
    return is_read;
}

/** 0: neither the answer nor the token says; -1: the time is past by any clock. */
static int64_t read_expiry(kc_bytes body, kc_bytes token, int64_t now_ms, kb_arena *scratch)
{
    double seconds;
    if (read_number(body, "/expires_in", scratch, &seconds))
        return seconds > 0 ? now_ms + (int64_t)(least(seconds, LIFE_S_MAX) * 1000) : -1;
    if (read_exp(token, scratch, &seconds))
        return seconds > 0 ? (int64_t)(least(seconds, DATE_S_MAX) * 1000) : -1;
    return 0;
}

bool kn_oidc_read_token(kc_bytes body, int64_t now_ms, kb_arena *scratch, kn_oidc_token *token_out,
                        char why_out[KN_OIDC_WHY_MAX])
{
    why_out[0] = 0;
    if (!is_object(body, scratch)) {
        snprintf(why_out, KN_OIDC_WHY_MAX,
                 "its answer is no JSON object; is sasl.oauthbearer.token.endpoint.url right?");
        return false;
    }
    kc_bytes raw = kb_json_pointer(body, "/access_token");
    kc_bytes type = kb_json_pointer_text(body, "/token_type", scratch);
    if (type.ptr && !kb_text_is(type, "Bearer")) {
        char name[ERROR_BYTES_MAX];
        kb_text_printable(name, sizeof name, type);
        snprintf(why_out, KN_OIDC_WHY_MAX, "its token is of the type %s, not Bearer", name);
    } else if (!raw.ptr || raw.ptr[0] != '"') {
        snprintf(why_out, KN_OIDC_WHY_MAX, "its answer has no access_token");
    } else if (!kb_json_unescape(raw, scratch, &token_out->value)) {
        snprintf(why_out, KN_OIDC_WHY_MAX, "out of memory");
    } else {
        token_out->expires_ms = read_expiry(body, token_out->value, now_ms, scratch);
        if (token_out->expires_ms < 0)
            snprintf(why_out, KN_OIDC_WHY_MAX, "its token has expired already");
    }
    return !why_out[0];
}

/** A member as it may be shown, "" if it is not there or quotes what is hidden. */
static void quote(kc_bytes body, const char *pointer, const kc_bytes *hidden, kb_arena *scratch,
                  char *out, size_t cap)
{
    kc_bytes text = kb_json_pointer_text(body, pointer, scratch);
    for (; hidden->ptr; hidden++)
        if (kb_text_contains(text, *hidden))
            text = KC_NULL;
    kb_text_printable(out, cap, text);
}

static const char *hint_of(int status, const char *error)
{
    if (status == 401 || strcmp(error, "invalid_client") == 0)
        return "; are id and secret of sasl.oauthbearer.client.credentials right?";
    if (strcmp(error, "invalid_scope") == 0)
        return "; see sasl.oauthbearer.scope";
    if (status >= 300 && status < 400)
        return ": redirects are not followed; see sasl.oauthbearer.token.endpoint.url";
    if (status == 404 || status == 405)
        return "; is sasl.oauthbearer.token.endpoint.url right?";
    return "";
}

void kn_oidc_explain(int status, kc_bytes body, const kc_bytes *hidden, kb_arena *scratch,
                     char why_out[KN_OIDC_WHY_MAX])
{
    char error[ERROR_BYTES_MAX] = "", description[DESCRIPTION_BYTES_MAX] = "";
    if (is_object(body, scratch)) {
        quote(body, "/error", hidden, scratch, error, sizeof error);
        quote(body, "/error_description", hidden, scratch, description, sizeof description);
    }
    snprintf(why_out, KN_OIDC_WHY_MAX, "it answers %d%s%s%s%s%s%s", status, error[0] ? " " : "",
             error, description[0] ? " (" : "", description, description[0] ? ")" : "",
             hint_of(status, error));
}
