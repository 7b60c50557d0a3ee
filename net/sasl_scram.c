/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * SCRAM-SHA-256 and -512 (RFC 5802, RFC 7677): the password never leaves us, and the broker proves
 * that it knows it too.
 *
 *     ours:   n,,n=user,r=nonce
 *     theirs: r=nonce+more,s=salt,i=iterations
 *     ours:   c=biws,r=nonce+more,p=proof
 *     theirs: v=signature, or e=reason
 *
 * Name and password go as they are, in UTF-8: SASLprep is left out, as in Kafka's own client, so
 * what differs there is the same for both. */
#include "net/sasl.h"
#include "protocol/base/text.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>

typedef enum scram_stage {
    SCRAM_FIRST, /**< their first message is next */
    SCRAM_FINAL,
} scram_stage;

typedef struct key {
    uint8_t bytes[EVP_MAX_MD_SIZE];
} key;

typedef struct scram {
    scram_stage stage;
    const EVP_MD *md;
    size_t len;  /**< of a digest */
    kb_buf auth; /**< the messages that both sides sign */
    char nonce[KN_SCRAM_NONCE_BYTES / 3 * 4 + 1];
    key expected; /**< the broker's signature */
} scram;

/** RFC 5802 5.1: a comma would end the attribute. */
static void put_name(kb_buf *out, const char *name)
{
    for (; *name; name++) {
        if (*name == ',')
            kb_buf_put_bytes(out, KC_STR("=2C"));
        else if (*name == '=')
            kb_buf_put_bytes(out, KC_STR("=3D"));
        else
            kb_buf_put_byte(out, (uint8_t)*name);
    }
}

static kn_sasl_status start(kn_sasl *sasl)
{
    scram *state = sasl->state;
    uint8_t random[KN_SCRAM_NONCE_BYTES];
    state->md = sasl->conf->mechanism->digest();
    state->len = (size_t)EVP_MD_get_size(state->md);
    kb_buf_init(&state->auth, sasl->conf->mem, (size_t)2 * KN_SASL_MESSAGE_MAX);
    sasl->conf->random(sasl->conf->random_user, random, sizeof random);
    EVP_EncodeBlock((unsigned char *)state->nonce, random, sizeof random);
    kb_buf_put_bytes(&state->auth, KC_STR("n="));
    put_name(&state->auth, sasl->username);
    kb_buf_printf(&state->auth, ",r=%s", state->nonce);
    kb_buf_put_bytes(&sasl->out, KC_STR("n,,"));
    kb_buf_put_bytes(&sasl->out, kb_buf_bytes(&state->auth));
    if (state->auth.err != KC_OK)
        sasl->out.err = state->auth.err;
    return kn_sasl_send(sasl);
}

/* ---- their first message ---- */

typedef struct server_first {
    kc_bytes nonce;
    kb_buf salt;
    int64_t iterations;
} server_first;

/** Take "x=value" off the front; false: something else stands there. */
static bool take_attribute(kc_bytes *rest, char name, kc_bytes *value_out)
{
    kc_bytes piece;
    if (!kb_text_split(rest, ',', &piece) || piece.len < 3 || piece.ptr[0] != (uint8_t)name ||
        piece.ptr[1] != '=')
        return false;
    *value_out = kc_span(piece.ptr + 2, piece.len - 2);
    return true;
}

static bool is_printable(kc_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x21 || text.ptr[i] > 0x7e)
            return false;
    return true;
}

/** NULL: it is good; else what is wrong. Further attributes behind these are allowed, an "m=" in
 * front, which would be mandatory, is not. */
static const char *parse_first(const scram *state, kc_bytes in, server_first *first)
{
    kc_bytes rest = in, salt, iterations;
    kc_bytes ours = kc_str(state->nonce);
    if (!take_attribute(&rest, 'r', &first->nonce) || !take_attribute(&rest, 's', &salt) ||
        !take_attribute(&rest, 'i', &iterations))
        return "the broker's first message is malformed";
    if (!is_printable(first->nonce) || !kb_text_starts(first->nonce, ours) ||
        first->nonce.len == ours.len)
        return "the broker's nonce is not made from ours";
    if (!kb_base64_get(&first->salt, salt) || first->salt.len == 0)
        return "the broker's salt is not base64";
    if (!kb_parse_i64(iterations, &first->iterations))
        return "the broker's number of iterations is none";
    return NULL;
}

/* ---- keys and proofs ---- */

static bool hmac(const scram *state, const key *with, kc_bytes text, key *out)
{
    unsigned len = 0;
    return HMAC(state->md, with->bytes, (int)state->len, text.ptr, text.len, out->bytes, &len) &&
           len == state->len;
}

/** The proof for the broker, and what the broker's is to be. */
static bool compute(const kn_sasl *sasl, const server_first *first, key *proof)
{
    scram *state = sasl->state;
    key salted, client, stored, signature, server;
    kc_bytes messages = kb_buf_bytes(&state->auth);
    bool is_good = PKCS5_PBKDF2_HMAC(sasl->password, (int)strlen(sasl->password), first->salt.data,
                                     (int)first->salt.len, (int)first->iterations, state->md,
                                     (int)state->len, salted.bytes) == 1 &&
                   hmac(state, &salted, KC_STR("Client Key"), &client) &&
                   EVP_Digest(client.bytes, state->len, stored.bytes, NULL, state->md, NULL) == 1 &&
                   hmac(state, &stored, messages, &signature) &&
                   hmac(state, &salted, KC_STR("Server Key"), &server) &&
                   hmac(state, &server, messages, &state->expected);
    for (size_t i = 0; is_good && i < state->len; i++)
        proof->bytes[i] = client.bytes[i] ^ signature.bytes[i];
    kb_mem_wipe(&salted, sizeof salted);
    kb_mem_wipe(&client, sizeof client);
    kb_mem_wipe(&stored, sizeof stored);
    kb_mem_wipe(&server, sizeof server);
    return is_good;
}

static kn_sasl_status answer(kn_sasl *sasl, kc_bytes in, const server_first *first)
{
    scram *state = sasl->state;
    key proof;
    kb_buf_reset(&sasl->out);
    kb_buf_put_bytes(&sasl->out, KC_STR("c=biws,r=")); // base64 of "n,,": no channel binding
    kb_buf_put_bytes(&sasl->out, first->nonce);
    kb_buf_put_byte(&state->auth, ',');
    kb_buf_put_bytes(&state->auth, in);
    kb_buf_put_byte(&state->auth, ',');
    kb_buf_put_bytes(&state->auth, kb_buf_bytes(&sasl->out));
    if (state->auth.err != KC_OK || sasl->out.err != KC_OK || !compute(sasl, first, &proof))
        return kn_sasl_fail(sasl, KC_ERR_NOMEM, "out of memory");
    kb_buf_put_bytes(&sasl->out, KC_STR(",p="));
    kb_base64_put(&sasl->out, kc_span(proof.bytes, state->len));
    state->stage = SCRAM_FINAL;
    return kn_sasl_send(sasl);
}

static kn_sasl_status on_first(kn_sasl *sasl, kc_bytes in)
{
    server_first first = {.iterations = 0};
    kb_buf_init(&first.salt, sasl->conf->mem, KN_SASL_MESSAGE_MAX);
    const char *wrong = parse_first(sasl->state, in, &first);
    kn_sasl_status status;
    if (first.salt.err == KC_ERR_NOMEM)
        status = kn_sasl_fail(sasl, KC_ERR_NOMEM, "out of memory");
    else if (wrong)
        status = kn_sasl_fail(sasl, KC_ERR_AUTH, "%s", wrong);
    else if (first.iterations < KN_SCRAM_ITERATIONS_MIN ||
             first.iterations > KN_SCRAM_ITERATIONS_MAX)
        status = kn_sasl_fail(
            sasl, KC_ERR_AUTH, "the broker asks for %lld iterations; %d to %d are allowed",
            (long long)first.iterations, KN_SCRAM_ITERATIONS_MIN, KN_SCRAM_ITERATIONS_MAX);
    else
        status = answer(sasl, in, &first);
    kb_buf_cleanup(&first.salt);
    return status;
}

/* ---- their final message ---- */

static kn_sasl_status on_final(kn_sasl *sasl, kc_bytes in)
{
    const scram *state = sasl->state;
    char text[KN_SASL_QUOTE_MAX + 1];
    kc_bytes rest = in, value;
    if (take_attribute(&rest, 'e', &value))
        return kn_sasl_fail(sasl, KC_ERR_AUTH, "the broker says %s", kn_sasl_quote(text, value));
    rest = in;
    if (!take_attribute(&rest, 'v', &value))
        return kn_sasl_fail(sasl, KC_ERR_AUTH, "the broker's final message is malformed");
    kb_buf signature;
    kb_buf_init(&signature, sasl->conf->mem, KN_SASL_MESSAGE_MAX);
    bool is_right = kb_base64_get(&signature, value) && signature.len == state->len &&
                    CRYPTO_memcmp(signature.data, state->expected.bytes, state->len) == 0;
    bool is_out = signature.err == KC_ERR_NOMEM;
    kb_buf_cleanup(&signature);
    if (is_right)
        return KN_SASL_DONE;
    if (is_out)
        return kn_sasl_fail(sasl, KC_ERR_NOMEM, "out of memory");
    return kn_sasl_fail(sasl, KC_ERR_AUTH,
                        "the broker's signature is wrong: it does not know the password");
}

static kn_sasl_status step(kn_sasl *sasl, kc_bytes in)
{
    const scram *state = sasl->state;
    return state->stage == SCRAM_FIRST ? on_first(sasl, in) : on_final(sasl, in);
}

static void finish(kn_sasl *sasl)
{
    scram *state = sasl->state;
    if (state->md)
        kb_buf_cleanup(&state->auth);
}

#define SCRAM(text, function)                                                                      \
    {                                                                                              \
        .name = text, .needs = KN_SASL_PASSWORD, .state_bytes = sizeof(scram), .start = start,     \
        .step = step, .finish = finish, .digest = function                                         \
    }
const kn_sasl_mechanism kn_sasl_scram_sha256 = SCRAM("SCRAM-SHA-256", EVP_sha256);
const kn_sasl_mechanism kn_sasl_scram_sha512 = SCRAM("SCRAM-SHA-512", EVP_sha512);
