/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Users, and what is kept of their passwords. */
#include "mock/auth.h"

#include <openssl/hmac.h>

#define SALT_BYTES 16

static const char *const names[] = {
    [KM_PLAIN] = "PLAIN",
    [KM_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [KM_SCRAM_SHA_512] = "SCRAM-SHA-512",
    [KM_OAUTHBEARER] = "OAUTHBEARER",
};

const char *km_mechanism_name(km_mechanism mechanism)
{
    return names[mechanism];
}

bool km_mechanism_find(kc_bytes name, km_mechanism *mechanism_out)
{
    for (int i = 0; i < KM_MECHANISM_COUNT; i++)
        if (kc_bytes_equal(name, kc_str(names[i]))) {
            *mechanism_out = (km_mechanism)i;
            return true;
        }
    return false;
}

bool km_mechanism_is_scram(km_mechanism mechanism)
{
    return mechanism == KM_SCRAM_SHA_256 || mechanism == KM_SCRAM_SHA_512;
}

const EVP_MD *km_scram_digest(km_mechanism mechanism)
{
    return mechanism == KM_SCRAM_SHA_256 ? EVP_sha256() : EVP_sha512();
}

size_t km_scram_len(km_mechanism mechanism)
{
    return mechanism == KM_SCRAM_SHA_256 ? 32 : 64;
}

bool km_scram_hmac(km_mechanism mechanism, kc_bytes key, kc_bytes text, uint8_t *out)
{
    unsigned len = 0;
    return HMAC(km_scram_digest(mechanism), key.ptr, (int)key.len, text.ptr, text.len, out, &len) &&
           len == km_scram_len(mechanism);
}

static km_scram *slot(km_user *user, km_mechanism mechanism)
{
    return &user->scram[mechanism - KM_SCRAM_SHA_256];
}

km_scram *km_user_scram(km_user *user, km_mechanism mechanism)
{
    km_scram *scram = slot(user, mechanism);
    return scram->iterations > 0 ? scram : NULL;
}

/* ---- users ---- */

static void scram_clear(km_auth *auth, km_scram *scram)
{
    kb_mem_free(auth->cluster->mem, (void *)scram->salt.ptr);
    kb_mem_wipe(scram, sizeof *scram);
}

static void user_free(km_auth *auth, km_user *user)
{
    kb_mem_free_secret(auth->cluster->mem, user->password);
    for (int i = 0; i < KM_SCRAM_COUNT; i++)
        scram_clear(auth, &user->scram[i]);
    kb_mem_free(auth->cluster->mem, user);
}

static void auth_free(km_module *module)
{
    km_auth *auth = KB_CONTAINER(module, km_auth, module);
    km_cluster *cluster = auth->cluster;
    size_t pos = 0;
    km_user *user;
    while ((user = kb_map_next(&auth->users, &pos))) {
        kb_map_remove(&auth->users, user->name);
        user_free(auth, user);
    }
    kb_map_cleanup(&auth->users);
    cluster->auth = NULL;
    kb_mem_free(cluster->mem, auth);
}

km_auth *km_auth_open(km_cluster *cluster)
{
    if (cluster->auth)
        return cluster->auth;
    km_auth *auth = kb_mem_zalloc(cluster->mem, sizeof *auth);
    if (!auth)
        return NULL;
    auth->module.free = auth_free;
    auth->cluster = cluster;
    auth->mechanisms = (1u << KM_MECHANISM_COUNT) - 1;
    kb_map_init(&auth->users, cluster->mem);
    km_module_add(cluster, &auth->module);
    cluster->auth = auth;
    return auth;
}

km_user *km_auth_user(const km_auth *auth, kc_bytes name)
{
    return kb_map_get(&auth->users, name);
}

km_user *km_auth_next(const km_auth *auth, size_t *pos)
{
    return kb_map_next(&auth->users, pos);
}

static km_user *open_user(km_auth *auth, kc_bytes name)
{
    km_user *user = km_auth_user(auth, name);
    if (user)
        return user;
    user = kb_mem_zalloc(auth->cluster->mem, sizeof *user + name.len);
    if (!user)
        return NULL;
    if (name.len > 0)
        memcpy(user + 1, name.ptr, name.len);
    user->name = kc_span(user + 1, name.len);
    if (kb_map_put(&auth->users, user->name, user)) {
        kb_mem_free(auth->cluster->mem, user);
        return NULL;
    }
    return user;
}

static void forget_if_empty(km_auth *auth, km_user *user)
{
    if (user->password || user->scram[0].iterations > 0 || user->scram[1].iterations > 0)
        return;
    kb_map_remove(&auth->users, user->name);
    user_free(auth, user);
}

/* ---- credentials ---- */

kc_err km_auth_set_scram(km_auth *auth, kc_bytes name, km_mechanism mechanism, int32_t iterations,
                         kc_bytes salt, kc_bytes salted_password)
{
    km_scram made = {.iterations = iterations};
    uint8_t client_key[EVP_MAX_MD_SIZE];
    if (salt.len == 0 || salted_password.len == 0)
        return KC_ERR_ARGUMENT;
    char *copy = kb_mem_strndup(auth->cluster->mem, salt.ptr, salt.len);
    km_user *user = copy ? open_user(auth, name) : NULL;
    bool is_made = user &&
                   km_scram_hmac(mechanism, salted_password, KC_STR("Client Key"), client_key) &&
                   EVP_Digest(client_key, km_scram_len(mechanism), made.stored_key, NULL,
                              km_scram_digest(mechanism), NULL) == 1 &&
                   km_scram_hmac(mechanism, salted_password, KC_STR("Server Key"), made.server_key);
    kb_mem_wipe(client_key, sizeof client_key);
    if (!is_made) {
        kb_mem_free(auth->cluster->mem, copy);
        if (user)
            forget_if_empty(auth, user);
        return KC_ERR_NOMEM;
    }
    made.salt = kc_span(copy, salt.len);
    scram_clear(auth, slot(user, mechanism));
    *slot(user, mechanism) = made;
    return KC_OK;
}

void km_auth_remove_scram(km_auth *auth, km_user *user, km_mechanism mechanism)
{
    scram_clear(auth, slot(user, mechanism));
    forget_if_empty(auth, user);
}

static kc_err add_scram(km_auth *auth, kc_bytes name, const char *password, km_mechanism mechanism)
{
    uint64_t salt[SALT_BYTES / sizeof(uint64_t)];
    uint8_t salted[EVP_MAX_MD_SIZE];
    for (size_t i = 0; i < sizeof salt / sizeof salt[0]; i++)
        salt[i] = kb_rand_u64(&auth->cluster->rand);
    if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password), (const uint8_t *)salt, sizeof salt,
                          KM_SCRAM_ITERATIONS_MIN, km_scram_digest(mechanism),
                          (int)km_scram_len(mechanism), salted) != 1)
        return KC_ERR_NOMEM;
    kc_err err =
        km_auth_set_scram(auth, name, mechanism, KM_SCRAM_ITERATIONS_MIN,
                          kc_span(salt, sizeof salt), kc_span(salted, km_scram_len(mechanism)));
    kb_mem_wipe(salted, sizeof salted);
    return err;
}

kc_err km_auth_add_user(km_cluster *cluster, const char *name, const char *password)
{
    if (!name || !name[0] || !password || !password[0])
        return KC_ERR_ARGUMENT;
    km_auth *auth = km_auth_open(cluster);
    char *copy = auth ? kb_mem_strndup(cluster->mem, password, strlen(password)) : NULL;
    km_user *user = copy ? open_user(auth, kc_str(name)) : NULL;
    if (!user) {
        kb_mem_free_secret(cluster->mem, copy);
        return KC_ERR_NOMEM;
    }
    kb_mem_free_secret(cluster->mem, user->password);
    user->password = copy;
    kc_err err = add_scram(auth, user->name, password, KM_SCRAM_SHA_256);
    return err ? err : add_scram(auth, user->name, password, KM_SCRAM_SHA_512);
}
