/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tokens of an OpenID Connect provider, by the client's credentials (RFC 6749 4.4, KIP-768): asked
 * for when the token source asks, tried again for a while when the failure may pass.
 *
 *     idle --ask--> calling --a token--> idle, given
 *                   |     `--refused, or tried for long enough--> idle, failed
 *      may pass, timer|^
 *                   waiting
 *
 * May pass: no connection, no answer, 5xx, 429 and 408. Not: a certificate without trust, 400, 401. */
#ifndef KN_OIDC_H
#define KN_OIDC_H

#include "net/token.h"
#include "protocol/base/explain.h"

typedef struct kn_oidc kn_oidc;

typedef struct kn_oidc_options {
    kb_mem *mem;
    kn_loop *loop;
    const kb_log *log;
    kb_rand *rand;
    kn_token_source *tokens; /**< answered by kn_token_give() or kn_token_fail(); outlives it */
    const char *url;         /**< of the token endpoint; outlives it                          */
    const char *client_id, *client_secret;
    const char *scope;                         /**< NULL: none                        */
    kc_bytes extensions;                       /**< given with each token; copied     */
    bool is_encoded;                           /**< see kn_oidc_put_authorization()   */
    const char *ca_location, *ca_certificates; /**< as in kn_http_post; copied */
    int32_t connect_timeout_ms, read_timeout_ms;
    int32_t retry_backoff_ms;
    int32_t retry_backoff_max_ms; /**< longest wait, and longest time of all tries up to one   */
    /** A try failed, and another follows. */
    void (*on_trouble)(void *user, const kc_error *error);
    void *user;
} kn_oidc_options;

/** KC_ERR_CONFIG (the URL is none of http(s), or has a password in it; an id with a colon; libcurl
 * is missing), KC_ERR_NOMEM. An http: URL is warned of. */
KC_NODISCARD kc_err kn_oidc_new(const kn_oidc_options *options, kn_oidc **oidc_out, kc_error *err);
/** A call under way is given up, not waited for. NULL is allowed. */
void kn_oidc_free(kn_oidc *oidc);
/** What kn_token_options.ask is to do; not again before the answer. */
void kn_oidc_ask(kn_oidc *oidc);

/** What is waited for, if anything. */
void kn_oidc_say(const kn_oidc *oidc, kb_explain *out);

#endif
