/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * SASL on the broker's side: what one connection may ask for, and the exchange that decides it.
 *
 *     initial -> (ApiVersions) -> handshake -> (SaslHandshake) -> tokens -> complete
 *                                     ^                                        |
 *                                     +------ SaslHandshake again (KIP-368) ---+
 *
 * Requests come here from api_sasl.c, bare tokens (SaslHandshake v0) from conn.c, which also asks km_sasl_gate() for
 * each request. */
#ifndef KM_SASL_H
#define KM_SASL_H

#include "mock/auth.h"

typedef enum km_sasl_stage {
    KM_SASL_INITIAL,
    KM_SASL_HANDSHAKE,
    KM_SASL_TOKENS,
    KM_SASL_REFUSED, /**< another mechanism than before: the next token ends the connection */
    KM_SASL_COMPLETE,
} km_sasl_stage;

/** What a mechanism keeps between two messages. */
typedef struct km_sasl_exchange {
    bool is_second;           /**< the first message was answered         */
    km_scram scram;           /**< SCRAM: a copy, without the salt        */
    kb_buf text;              /**< SCRAM: what both sides sign            */
    char nonce[128];          /**< SCRAM: both sides' one behind the other */
    kc_bytes user;            /**< who it is; allocated                   */
    char claimed[64];         /**< who he says he is, for the log         */
    int64_t token_expires_ms; /**< OAUTHBEARER, since 1970; 0: no token   */
} km_sasl_exchange;

/** Of one connection. */
typedef struct km_sasl {
    km_auth *auth;
    km_sasl_stage stage;
    bool is_bare; /**< tokens come without a request around them */
    km_mechanism mechanism;
    km_sasl_exchange exchange;
    kc_bytes user;      /**< who was let in; allocated, null: nobody yet     */
    bool is_again;      /**< of a re-authentication                          */
    int64_t expires_us; /**< the session's; 0: it does not end               */
    int64_t again_us;   /**< when the last re-authentication began; 0: never */
    char why[320];      /**< of a failure, for the client                    */
    int32_t broker_id;  /**< where, and who is at the other end: for the log */
    const char *peer;
} km_sasl;

/** NULL: no memory. */
km_sasl *km_sasl_new(km_auth *auth);
void km_sasl_free(km_sasl *sasl);

typedef enum km_sasl_verdict {
    KM_SASL_ALLOWED,
    KM_SASL_ILLEGAL, /**< answered with ILLEGAL_SASL_STATE, and the last of the connection */
    KM_SASL_CLOSE,
} km_sasl_verdict;

/** May this request be served now? Moves on to the stage it begins. */
km_sasl_verdict km_sasl_gate(km_sasl *sasl, int16_t api_key, bool is_known_version);

/** SaslHandshake: 0, UNSUPPORTED_SASL_MECHANISM (close after it), ILLEGAL_SASL_STATE. */
int16_t km_sasl_handshake(km_sasl *sasl, kc_bytes mechanism, int16_t version);

typedef enum km_sasl_status {
    KM_SASL_MORE, /**< `out` goes to the client, another token comes */
    KM_SASL_DONE, /**< `out` too, which may be empty; he is in       */
    KM_SASL_FAILED,
    KM_SASL_NO_MEMORY,
} km_sasl_status;

/** One token of the client. `lifetime_ms_out`: of the session that begins; 0: it does not end. */
km_sasl_status km_sasl_token(km_sasl *sasl, kc_bytes in, kb_buf *out, int64_t *lifetime_ms_out);

/* ---- mechanisms ---- */

km_sasl_status km_sasl_plain(km_sasl *sasl, kc_bytes in, kb_buf *out);
km_sasl_status km_sasl_scram(km_sasl *sasl, kc_bytes in, kb_buf *out);
km_sasl_status km_sasl_oauth(km_sasl *sasl, kc_bytes in, kb_buf *out);
/** KM_SASL_FAILED with this text; NULL: the one for wrong credentials. */
km_sasl_status km_sasl_fail(km_sasl *sasl, const char *why);
/** Who it is to be, before it is proved: told in the log when it is refused. */
void km_sasl_claim(km_sasl *sasl, kc_bytes user);
/** Who it is, when the exchange succeeds. False: no memory. */
bool km_sasl_set_user(km_sasl *sasl, kc_bytes user);

#endif
