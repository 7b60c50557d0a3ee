/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * SASL without a connection: one exchange, bytes in, bytes out. conn_sasl.c carries the bytes in
 * SaslHandshake and SaslAuthenticate requests.
 *
 * A mechanism is a row of the table in sasl.c. What it can't answer at once (a token that has to be
 * fetched, a library that blocks and so runs on a worker) it answers by KN_SASL_LATER, and calls
 * kn_sasl_wake() from a loop turn when it can go on. */
#ifndef KN_SASL_H
#define KN_SASL_H

#include "net/token.h"

#include <openssl/evp.h>

/** Longest message of a broker, and of ours. */
#define KN_SASL_MESSAGE_MAX 131072
/** What of an untrusted text is shown. */
#define KN_SASL_QUOTE_MAX 160
/** RFC 7677 asks for at least this many. */
#define KN_SCRAM_ITERATIONS_MIN 4096
/** Kafka allows 16384; more than this would only burn our CPU (0.1 s), which a broker could do on
 * purpose. */
#define KN_SCRAM_ITERATIONS_MAX 100000
/** Random bytes in our nonce, 20 characters, as in the example of RFC 7677. */
#define KN_SCRAM_NONCE_BYTES 15

typedef struct kn_sasl kn_sasl;
typedef struct kn_sasl_conf kn_sasl_conf;

typedef enum kn_sasl_status {
    KN_SASL_SEND,   /**< sasl->out goes to the broker, its answer to kn_sasl_step()             */
    KN_SASL_LATER,  /**< wait for the wake, then kn_sasl_step() with a null slice               */
    KN_SASL_DONE,   /**< the broker has proved what the mechanism lets it prove                 */
    KN_SASL_FAILED, /**< sasl->err and sasl->why say it                                         */
} kn_sasl_status;

/** What a mechanism authenticates with. */
typedef enum kn_sasl_needs {
    KN_SASL_PASSWORD, /**< and a name             */
    KN_SASL_TOKEN,    /**< of the token source    */
    KN_SASL_TICKET,   /**< of Kerberos            */
} kn_sasl_needs;

typedef struct kn_sasl_mechanism {
    const char *name;
    kn_sasl_needs needs;
    size_t state_bytes; /**< of sasl->state, zero-filled before start() */
    kn_sasl_status (*start)(kn_sasl *sasl);
    kn_sasl_status (*step)(kn_sasl *sasl, kc_bytes in);
    /** Give back what `state` holds, whatever came before; may be NULL. The state itself is wiped
     * and freed by the caller. */
    void (*finish)(kn_sasl *sasl);
    /** The client ends: give up what is kept for all exchanges; may be NULL. */
    void (*forget)(const kn_sasl_conf *conf);
    const EVP_MD *(*digest)(void); /**< of the SCRAM family */
} kn_sasl_mechanism;

/** By Kafka's name, as "SCRAM-SHA-256"; NULL: not in this build. */
const kn_sasl_mechanism *kn_sasl_mechanism_find(kc_bytes name);

/** Where tickets come from; NULL members: not given. Texts of the owner. */
typedef struct kn_kerberos {
    const char *service;   /**< "kafka" of kafka/HOST@REALM                          */
    const char *principal; /**< who we are; NULL: the keytab's or the cache's first  */
    const char *keytab;    /**< a file with our keys; NULL: only what the cache has  */
    const char *ccache;    /**< "FILE:PATH", "MEMORY:NAME"; NULL: the default         */
    bool owns_ccache;      /**< it ends with the client                              */
} kn_kerberos;

/** What all connections of a client authenticate with; outlives them. */
struct kn_sasl_conf {
    kb_mem *mem;
    kn_loop *loop; /**< of the workers of GSSAPI */
    const kn_sasl_mechanism *mechanism;
    char *username, *password; /**< NULL: none; see kn_sasl_conf_set() */
    kn_token_source *tokens;   /**< NULL: none; not owned */
    kn_kerberos kerberos;
    /** Unpredictable bytes. */
    void (*random)(void *user, void *out, size_t len);
    void *random_user;
};

/** Used by exchanges that start after this; copied. KC_ERR_NOMEM: nothing changed. */
KC_NODISCARD kc_err kn_sasl_conf_set(kn_sasl_conf *conf, const char *username,
                                     const char *password);
void kn_sasl_conf_cleanup(kn_sasl_conf *conf);

/** One exchange; can be started again and again. */
struct kn_sasl {
    const kn_sasl_conf *conf;
    const char *host; /**< the broker's, as it is connected by */
    void (*on_wake)(kn_sasl *sasl);
    void *user;
    char *username, *password; /**< as they were at the start */
    void *state;               /**< the mechanism's */
    kb_buf out;
    kc_err err; /**< KC_ERR_AUTH, KC_ERR_NOMEM */
    char why[KN_SASL_QUOTE_MAX + 96];
};

/** `on_wake` is called from a loop turn, after KN_SASL_LATER; `host` lives as long as the exchange.
 * Allocates nothing yet. */
void kn_sasl_init(kn_sasl *sasl, const kn_sasl_conf *conf, const char *host,
                  void (*on_wake)(kn_sasl *sasl), void *user);
/** Begin: never KN_SASL_DONE. */
kn_sasl_status kn_sasl_start(kn_sasl *sasl);
/** The broker's answer, or a null slice after the wake. */
kn_sasl_status kn_sasl_step(kn_sasl *sasl, kc_bytes in);
/** End or abandon the exchange: everything of it is wiped. May be called twice. */
void kn_sasl_finish(kn_sasl *sasl);

/* For mechanisms. */

kn_sasl_status kn_sasl_fail(kn_sasl *sasl, kc_err err, const char *fmt, ...) KC_PRINTF(3, 4);
/** KN_SASL_SEND, unless `out` could not be written. */
kn_sasl_status kn_sasl_send(kn_sasl *sasl);
static inline void kn_sasl_wake(kn_sasl *sasl)
{
    sasl->on_wake(sasl);
}
/** Text of a broker as it may stand in an error: cut, what is no printable ASCII made '?'. */
const char *kn_sasl_quote(char out[KN_SASL_QUOTE_MAX + 1], kc_bytes text);

extern const kn_sasl_mechanism kn_sasl_plain, kn_sasl_scram_sha256, kn_sasl_scram_sha512,
    kn_sasl_oauthbearer;
extern const kn_sasl_mechanism kn_sasl_gssapi; /* where it is in the build */

#endif
