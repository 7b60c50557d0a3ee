/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The bearer token that all connections of a client authenticate with: asked for when first needed,
 * kept, and asked for anew before it expires (at sasl.login.refresh.window.factor of its life), by
 * the loop's timers alone (complaint 21). Who makes tokens may take his time; who needs one waits.
 *
 *     none --get--> asked --give--> held --refresh time--> held, asked --give--> held
 *                     `--fail--> none                            `--fail--> held, asked in 10 s
 *
 * held turns into none when it expires, or when a broker refuses it. */
#ifndef KN_TOKEN_H
#define KN_TOKEN_H

#include "net/loop.h"
#include "protocol/base/buf.h"
#include "protocol/base/log.h"
#include "protocol/base/rand.h"

/** Longest token with its extensions. */
#define KN_TOKEN_BYTES_MAX 65536
/** After a failed refresh, while the old token is still good. */
#define KN_TOKEN_RETRY_MS 10000
/** Least time from a token to the question for the next, however short it lives: who gives tokens of a
 * moment's life is not asked without pause. One who needs a token asks at once. */
#define KN_TOKEN_SPACING_MS 1000

typedef struct kn_token_source kn_token_source;

typedef struct kn_token_options {
    kb_mem *mem;
    kn_loop *loop;
    const kb_log *log;
    kb_rand *rand;
    double refresh_factor; /**< share of the life at which to refresh ...            */
    double refresh_jitter; /**< ... plus up to this share                            */
    int32_t refresh_min_period_s;
    int32_t refresh_buffer_s;
    /** Make a token; answered by kn_token_give() or kn_token_fail(), inside or later. From a loop
     * turn. NULL: there is none but what is given. */
    void (*ask)(void *user);
    void (*on_failed)(void *user, const kc_error *error);
    void *user;
} kn_token_options;

/** One who waits for a token; stands inside its owner. `node` is made ready by kb_list_init(). */
typedef struct kn_token_wait {
    kb_list node;
    /** From a loop turn; `error` NULL: there is a token now. */
    void (*fn)(struct kn_token_wait *wait, const kc_error *error);
    void *user;
} kn_token_wait;

KC_NODISCARD kc_err kn_token_source_new(const kn_token_options *options,
                                        kn_token_source **source_out);
/** Nobody may wait. NULL is allowed. */
void kn_token_source_free(kn_token_source *source);

/**
 * A token; copied.
 *
 * @param extensions  "name=value" with the byte 1 behind each (RFC 7628), may be empty.
 * @param expires_ms  Wall clock; 0: never, as far as is known.
 * KC_ERR_ARGUMENT (not the form of a token; expired), KC_ERR_NOMEM: that answers the asker as
 * kn_token_fail() does.
 */
KC_NODISCARD kc_err kn_token_give(kn_token_source *source, kc_bytes value, kc_bytes extensions,
                                  int64_t expires_ms, kc_error *err);
/** No token can be had now; `reason` ends in no full stop. */
void kn_token_fail(kn_token_source *source, const char *reason);

/** A token that is good now. */
typedef struct kn_token {
    kc_bytes value, extensions;
    uint32_t generation;
} kn_token;

/** KC_OK: valid until the next turn. KC_ERR_AGAIN: `wait` is told. KC_ERR_AUTH: there is none, and
 * nobody to ask. */
KC_NODISCARD kc_err kn_token_get(kn_token_source *source, kn_token *token_out, kn_token_wait *wait);
/** Forget a wait. */
static inline void kn_token_cancel(kn_token_wait *wait)
{
    kb_list_remove(&wait->node);
}
/** A broker refused the token of this generation: the next one who needs one asks anew. */
void kn_token_refused(kn_token_source *source, uint32_t generation);

#endif
