/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The broker's side of SASL, written from the RFCs and apart from the client's. */
#include "tests/unit/net/sasl_server.h"

#include <kafkac/unstable/errors.h>

#include <check.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="

void sasl_server_init(sasl_server *server)
{
    *server = (sasl_server){.offered = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
                            .username = "alice",
                            .password = "alice-secret",
                            .token = "good.token",
                            .iterations = 4096};
}

static sasl_session *find(sasl_server *server, uintptr_t connection)
{
    for (size_t i = 0; i < SASL_SERVER_SESSIONS; i++)
        if (server->sessions[i].connection == connection)
            return &server->sessions[i];
    sasl_session *session = &server->sessions[server->next++ % SASL_SERVER_SESSIONS];
    *session = (sasl_session){.connection = connection};
    return session;
}

void sasl_server_begin(sasl_server *server, uintptr_t connection)
{
    *find(server, connection) = (sasl_session){.connection = connection};
}

static bool plain(const sasl_server *server, kc_bytes in)
{
    char want[256];
    int len = snprintf(want, sizeof want, "%c%s%c%s", 0, server->username, 0, server->password);
    return in.len == (size_t)len && memcmp(in.ptr, want, in.len) == 0;
}

/* ---- SCRAM ---- */

static bool scram_first(const sasl_server *server, sasl_session *session, kc_bytes in, size_t *len)
{
    char text[512];
    ck_assert_uint_lt(in.len, sizeof text);
    memcpy(text, in.ptr, in.len);
    text[in.len] = 0;
    if (strncmp(text, "n,,n=", 5) != 0 || !strstr(text, ",r="))
        return false;
    snprintf(session->bare, sizeof session->bare, "%s", text + 3);
    snprintf(session->nonce, sizeof session->nonce, "%s3rfcNHYJY1ZVvWVs7j",
             strstr(text, ",r=") + 3);
    *len = (size_t)snprintf((char *)session->out, sizeof session->out, "r=%s,s=" SALT ",i=%d",
                            session->nonce, server->iterations);
    snprintf(session->auth, sizeof session->auth, "%s,%s,c=biws,r=%s", session->bare,
             (char *)session->out, session->nonce);
    return true;
}

static void hmac(const EVP_MD *md, const uint8_t *key, const char *text, uint8_t *out)
{
    unsigned len;
    ck_assert_ptr_nonnull(
        HMAC(md, key, EVP_MD_get_size(md), (const uint8_t *)text, strlen(text), out, &len));
}

static bool scram_final(const sasl_server *server, sasl_session *session, kc_bytes in, size_t *len)
{
    const EVP_MD *md = strstr(session->mechanism, "512") ? EVP_sha512() : EVP_sha256();
    int size = EVP_MD_get_size(md);
    uint8_t salt[64], salted[64], client[64], stored[64], signature[64], key[64];
    char proof[128], want[1024];
    int salt_len = EVP_DecodeBlock(salt, (const uint8_t *)SALT, (int)strlen(SALT)) - 2;
    ck_assert_int_eq(PKCS5_PBKDF2_HMAC(server->password, (int)strlen(server->password), salt,
                                       salt_len, server->iterations, md, size, salted),
                     1);
    hmac(md, salted, "Client Key", client);
    ck_assert_int_eq(EVP_Digest(client, (size_t)size, stored, NULL, md, NULL), 1);
    hmac(md, stored, session->auth, signature);
    for (int i = 0; i < size; i++)
        client[i] ^= signature[i];
    EVP_EncodeBlock((uint8_t *)proof, client, size);
    int want_len = snprintf(want, sizeof want, "c=biws,r=%s,p=%s", session->nonce, proof);
    if (in.len != (size_t)want_len || memcmp(in.ptr, want, in.len) != 0)
        return false;
    hmac(md, salted, "Server Key", key);
    hmac(md, key, session->auth, signature);
    memcpy(session->out, "v=", 2);
    *len = 2 + (size_t)EVP_EncodeBlock(session->out + 2, signature, size);
    return true;
}

/* ---- OAUTHBEARER ---- */

static bool oauth(sasl_server *server, sasl_session *session, kc_bytes in, size_t *len)
{
    char want[512];
    static const char refusal[] = "{\"status\":\"invalid_token\"}";
    if (session->stage == 1) {
        ck_assert_uint_eq(in.len, 1);
        ck_assert_uint_eq(in.ptr[0], 1);
        return false;
    }
    int want_len = snprintf(want, sizeof want,
                            "n,,\x01"
                            "auth=Bearer %s\x01",
                            server->token);
    ck_assert_uint_ge(in.len, 5);
    ck_assert_uint_eq(in.ptr[in.len - 1], 1);
    if (in.len <= (size_t)want_len || memcmp(in.ptr, want, (size_t)want_len) != 0) {
        session->stage = 1;
        *len = strlen(refusal);
        memcpy(session->out, refusal, *len);
        return true;
    }
    snprintf(server->extensions, sizeof server->extensions, "%.*s",
             (int)(in.len - (size_t)want_len - 1), (const char *)in.ptr + want_len);
    session->stage = 2;
    return true;
}

bool sasl_server_step(sasl_server *server, sasl_session *session, kc_bytes in, size_t *out_len)
{
    *out_len = 0;
    if (strcmp(session->mechanism, "PLAIN") == 0) {
        session->stage = 2;
        return plain(server, in);
    }
    if (strcmp(session->mechanism, "OAUTHBEARER") == 0)
        return oauth(server, session, in, out_len);
    return ++session->stage == 1 ? scram_first(server, session, in, out_len)
                                 : scram_final(server, session, in, out_len);
}

/* ---- the requests ---- */

static int32_t offer(const sasl_server *server, kc_bytes mechanisms[8], kc_bytes wanted,
                     const char **found)
{
    int32_t count = 0;
    static const char *const names[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!strstr(server->offered, names[i]))
            continue;
        mechanisms[count++] = kc_str(names[i]);
        if (kc_bytes_equal(wanted, kc_str(names[i])))
            *found = names[i];
    }
    return count;
}

void sasl_server_handshake(sasl_server *server, uintptr_t connection,
                           const kp_sasl_handshake_req *request, kp_sasl_handshake_resp *response,
                           kc_bytes mechanisms[8])
{
    sasl_session *session = find(server, connection);
    server->handshakes++;
    session->mechanism = NULL;
    session->stage = 0;
    session->is_between = true;
    response->mechanisms.items = mechanisms;
    response->mechanisms.count = offer(server, mechanisms, request->mechanism, &session->mechanism);
    if (!session->mechanism)
        response->error_code = KC_E_UNSUPPORTED_SASL_MECHANISM;
}

void sasl_server_authenticate(sasl_server *server, uintptr_t connection,
                              const kp_sasl_authenticate_req *request,
                              kp_sasl_authenticate_resp *response)
{
    sasl_session *session = find(server, connection);
    size_t len = 0;
    ck_assert_ptr_nonnull(session->mechanism);
    if (!sasl_server_step(server, session, request->auth_bytes, &len)) {
        server->failures++;
        session->is_open = false;
        response->error_code = KC_E_SASL_AUTHENTICATION_FAILED;
        response->error_message = KC_STR("Authentication failed: Invalid username or password");
        return;
    }
    response->auth_bytes = kc_span(session->out, len);
    if (session->stage == 2) {
        session->is_open = true;
        session->is_between = false;
        server->successes++;
        response->session_lifetime_ms = server->lifetime_ms;
    }
}

void sasl_server_other(sasl_server *server, uintptr_t connection)
{
    const sasl_session *session = find(server, connection);
    if (!session->is_open || session->is_between)
        server->violations++;
}
