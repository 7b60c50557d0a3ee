/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Who may connect: users, their passwords and SCRAM credentials, and whether anyone has to say who he is. */
#ifndef KM_AUTH_H
#define KM_AUTH_H

#include "mock/cluster.h"

#include <openssl/evp.h>

/** Kafka's default, and the least it takes. */
#define KM_SCRAM_ITERATIONS_MIN 4096
#define KM_SCRAM_ITERATIONS_MAX 16384

typedef enum km_mechanism {
    KM_PLAIN,
    KM_SCRAM_SHA_256,
    KM_SCRAM_SHA_512,
    KM_OAUTHBEARER,
    KM_MECHANISM_COUNT,
} km_mechanism;

#define KM_SCRAM_COUNT 2

/** What a broker keeps of a password (RFC 5802): it can check a proof by it, and make none. */
typedef struct km_scram {
    int32_t iterations; /**< 0: there is none */
    kc_bytes salt;      /**< allocated */
    uint8_t stored_key[EVP_MAX_MD_SIZE];
    uint8_t server_key[EVP_MAX_MD_SIZE];
} km_scram;

typedef struct km_user {
    kc_bytes name;                  /**< stands behind the struct */
    char *password;                 /**< for PLAIN; NULL: none */
    km_scram scram[KM_SCRAM_COUNT]; /**< of SHA-256 and SHA-512 */
} km_user;

struct km_auth {
    km_module module;
    km_cluster *cluster;
    kb_map users;        /**< km_user by name */
    bool is_required;    /**< a connection serves nothing before its client said who it is */
    uint32_t mechanisms; /**< a bit of each that is enabled (1 << KM_PLAIN): all are */
    int64_t session_ms;  /**< connections.max.reauth.ms; 0: a session never ends (KIP-368) */
};

/** The cluster's, made when there is none yet: nothing is required then. NULL: no memory. */
km_auth *km_auth_open(km_cluster *cluster);
/** A user who has this password with each mechanism; replaces who had the name. KC_ERR_NOMEM, KC_ERR_ARGUMENT: empty. */
KC_NODISCARD kc_err km_auth_add_user(km_cluster *cluster, const char *name, const char *password);
/** NULL: none. */
km_user *km_auth_user(const km_auth *auth, kc_bytes name);
/** Walk: start with *pos = 0. */
km_user *km_auth_next(const km_auth *auth, size_t *pos);

/** Credentials as AlterUserScramCredentials brings them; makes the user. KC_ERR_NOMEM, KC_ERR_ARGUMENT: no password. */
KC_NODISCARD kc_err km_auth_set_scram(km_auth *auth, kc_bytes name, km_mechanism mechanism,
                                      int32_t iterations, kc_bytes salt, kc_bytes salted_password);
/** Take them out; who has nothing left is forgotten. */
void km_auth_remove_scram(km_auth *auth, km_user *user, km_mechanism mechanism);

const char *km_mechanism_name(km_mechanism mechanism);
/** By Kafka's name; false: none of these. */
bool km_mechanism_find(kc_bytes name, km_mechanism *mechanism_out);
bool km_mechanism_is_scram(km_mechanism mechanism);
/** The user's credentials; NULL: none with this mechanism. */
km_scram *km_user_scram(km_user *user, km_mechanism mechanism);
const EVP_MD *km_scram_digest(km_mechanism mechanism);
size_t km_scram_len(km_mechanism mechanism);
/** HMAC of the mechanism's digest, km_scram_len() bytes. */
KC_NODISCARD bool km_scram_hmac(km_mechanism mechanism, kc_bytes key, kc_bytes text, uint8_t *out);

#endif
