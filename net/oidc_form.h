/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What is said to a token endpoint, and what it answers (RFC 6749 4.4, 5): bytes only. */
#ifndef KN_OIDC_FORM_H
#define KN_OIDC_FORM_H

#include "protocol/base/arena.h"
#include "protocol/base/buf.h"

/** Longest text about an answer. */
#define KN_OIDC_WHY_MAX 200

/** As the fields of a form are written, byte for byte what Java's URLEncoder makes of UTF-8. */
void kn_oidc_put_encoded(kb_buf *out, kc_bytes text);
/** grant_type=client_credentials, with a scope unless that is NULL or empty; and a zero byte. */
void kn_oidc_put_form(kb_buf *out, const char *scope);
/** "Authorization: Basic ..." and a zero byte. `is_encoded`: id and secret are written as in a form
 * first (RFC 6749 2.3.1). `out` is to be secret. */
void kn_oidc_put_authorization(kb_buf *out, const char *id, const char *secret, bool is_encoded);

/** What an answer of status 200 brings. */
typedef struct kn_oidc_token {
    kc_bytes value;     /**< in the body or in the arena */
    int64_t expires_ms; /**< wall clock; 0: it does not say */
} kn_oidc_token;

/**
 * Read an answer of status 200: `access_token`, and when it expires by `expires_in`, or else by the
 * claim `exp` of a token that is a JWT (whose signature is the broker's to check).
 *
 * @param now_ms   Wall clock.
 * @param scratch  May hold the token, or a piece of it, when this returns.
 * @param why_out  What is wrong with it; never a part of the token.
 */
KC_NODISCARD bool kn_oidc_read_token(kc_bytes body, int64_t now_ms, kb_arena *scratch,
                                     kn_oidc_token *token_out, char why_out[KN_OIDC_WHY_MAX]);

/**
 * Say what an answer of another status says: error and error_description of RFC 6749 5.2, cut and
 * made printable, and what to look at.
 *
 * @param hidden  Up to a null slice: a description that quotes one of these is left out.
 */
void kn_oidc_explain(int status, kc_bytes body, const kc_bytes *hidden, kb_arena *scratch,
                     char why_out[KN_OIDC_WHY_MAX]);

#endif
