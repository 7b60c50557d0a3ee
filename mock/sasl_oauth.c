/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * OAUTHBEARER, the server (RFC 7628, KIP-255), with tokens as Kafka's unsecured validator takes them: "alg": "none", a
 * subject, and a time to live. Who refuses one says why in a challenge, and fails when that was acknowledged. */
#include "mock/sasl.h"
#include "protocol/base/json.h"
#include "protocol/base/text.h"

static const char refusal[] = "{\"status\":\"invalid_token\"}";

/** Base64url as the RFC says, or the other alphabet, which Kafka's validator reads. */
static bool decode(kb_buf *out, kc_bytes text)
{
    if (kb_base64url_get(out, text))
        return true;
    kb_buf_reset(out);
    return kb_base64_get(out, text);
}

static bool number(kc_bytes json, const char *pointer, double *out)
{
    kc_bytes raw = kb_json_pointer(json, pointer);
    return raw.ptr && kb_json_f64(raw, out);
}

/** Who the token is about, in the arena; null: it is not good now. */
static kc_bytes check_claims(km_sasl *sasl, kc_bytes claims, kb_arena *arena)
{
    int64_t now_ms = sasl->auth->cluster->wall_ms;
    kc_bytes subject = kb_json_pointer(claims, "/sub"), issued = kb_json_pointer(claims, "/iat");
    double expires = 0, since = 0;
    kc_bytes user = KC_NULL;
    if (!subject.ptr || subject.ptr[0] != '"' || !kb_json_unescape(subject, arena, &user) ||
        kb_text_trim(user).len == 0)
        return KC_NULL;
    km_sasl_claim(sasl, user);
    if (!number(claims, "/exp", &expires) || (issued.ptr && !number(claims, "/iat", &since)))
        return KC_NULL;
    bool is_valid = since * 1000 <= (double)now_ms && (double)now_ms < expires * 1000 &&
                    expires > since && expires < 1e15;
    sasl->exchange.token_expires_ms = is_valid ? (int64_t)(expires * 1000 + 0.5) : 0;
    return is_valid ? user : KC_NULL;
}

/** Valid JSON of one part of the token; false: it is none. */
static bool part(kb_buf *out, kc_bytes text, kb_arena *arena)
{
    kc_error ignored;
    return decode(out, text) && out->len > 0 &&
           kb_json_check(kb_buf_bytes(out), false, arena, &ignored) == KC_OK;
}

/** "header.claims.": no signature. */
static kc_bytes check_token(km_sasl *sasl, kc_bytes token, kb_buf parts[2], kb_arena *arena)
{
    kc_bytes rest = token, header, claims, signature, algorithm;
    if (!kb_text_split(&rest, '.', &header) || !kb_text_split(&rest, '.', &claims) ||
        !kb_text_split(&rest, '.', &signature) || rest.ptr || signature.len > 0)
        return KC_NULL;
    if (!part(&parts[0], header, arena) || !part(&parts[1], claims, arena))
        return KC_NULL;
    algorithm = kb_json_pointer(kb_buf_bytes(&parts[0]), "/alg");
    if (!algorithm.ptr || !kb_json_string_is(algorithm, KC_STR("none")))
        return KC_NULL;
    return check_claims(sasl, kb_buf_bytes(&parts[1]), arena);
}

static km_sasl_status on_token(km_sasl *sasl, kc_bytes token, kc_bytes authzid, kb_buf *out)
{
    kb_mem *mem = sasl->auth->cluster->mem;
    kb_arena arena;
    kb_buf parts[2];
    kb_arena_init(&arena, mem, 0);
    kb_buf_init(&parts[0], mem, 0);
    kb_buf_init(&parts[1], mem, 0);
    kc_bytes user = check_token(sasl, token, parts, &arena);
    km_sasl_status status = KM_SASL_DONE;
    if (!user.ptr) {
        kb_buf_put_bytes(out, kc_str(refusal));
        sasl->exchange.is_second = true;
        status = out->err ? KM_SASL_NO_MEMORY : KM_SASL_MORE;
    } else if (authzid.len > 0 && !kc_bytes_equal(authzid, user)) {
        status = km_sasl_fail(sasl, "Authentication failed: Client requested an authorization id "
                                    "that is different from the token's principal name");
    } else if (!km_sasl_set_user(sasl, user)) {
        status = KM_SASL_NO_MEMORY;
    }
    kb_arena_cleanup(&arena);
    kb_buf_cleanup(&parts[0]);
    kb_buf_cleanup(&parts[1]);
    return status;
}

/** "n,[a=authzid],^Akey=value^A...^A": the token is that of "auth=Bearer ...". */
static bool parse(kc_bytes in, kc_bytes *authzid, kc_bytes *token)
{
    kc_bytes rest = in, flag, pair, bearer = KC_STR("bearer ");
    if (!kb_text_split(&rest, ',', &flag) || !kc_bytes_equal(flag, KC_STR("n")) ||
        !kb_text_split(&rest, ',', authzid) || rest.len < 2 || rest.ptr[0] != 1 ||
        rest.ptr[rest.len - 1] != 1 || rest.ptr[rest.len - 2] != 1)
        return false;
    if (authzid->len > 0) {
        if (!kb_text_starts(*authzid, KC_STR("a=")))
            return false;
        *authzid = kc_span(authzid->ptr + 2, authzid->len - 2);
    }
    *token = KC_NULL;
    while (kb_text_split(&rest, '\x01', &pair)) {
        if (!kb_text_starts(pair, KC_STR("auth=")))
            continue;
        kc_bytes value = kc_span(pair.ptr + 5, pair.len - 5);
        if (value.len <= bearer.len || !kb_text_is(kc_span(value.ptr, bearer.len), "bearer "))
            return false;
        *token = kb_text_trim(kc_span(value.ptr + bearer.len, value.len - bearer.len));
    }
    return token->ptr != NULL;
}

km_sasl_status km_sasl_oauth(km_sasl *sasl, kc_bytes in, kb_buf *out)
{
    kc_bytes authzid, token;
    if (sasl->exchange.is_second && in.len == 1 && in.ptr[0] == 1)
        return km_sasl_fail(sasl, refusal);
    sasl->exchange.is_second = false;
    if (!parse(in, &authzid, &token))
        return km_sasl_fail(sasl, NULL);
    return on_token(sasl, token, authzid, out);
}
