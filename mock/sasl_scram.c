/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * SCRAM-SHA-256 and -512, the server (RFC 5802, RFC 7677):
 *
 *     client: n,[a=authzid],n=user,r=nonce[,extensions]
 *     server: r=nonce+more,s=salt,i=iterations
 *     client: c=header,r=nonce+more[,extensions],p=proof
 *     server: v=signature */
#include "mock/sasl.h"
#include "protocol/base/text.h"

#include <openssl/crypto.h>
#include <stdio.h>

#define NONCE_BYTES 18

/** Longest name: what a principal may be. */
#define NAME_BYTES_MAX 255

/** Take "x=value" off the front; false: something else stands there. */
static bool take(kc_bytes *rest, char name, kc_bytes *value_out)
{
    kc_bytes piece;
    if (!kb_text_split(rest, ',', &piece) || piece.len < 2 || piece.ptr[0] != (uint8_t)name ||
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
    return text.len > 0;
}

/** "=2C" and "=3D" stand for a comma and '='; false: something else behind '='. */
static bool unescape(kc_bytes text, char out[NAME_BYTES_MAX + 1], size_t *len_out)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '=') {
            kc_bytes code = text.len - i >= 3 ? kc_span(text.ptr + i, 3) : KC_STR("");
            if (!kc_bytes_equal(code, KC_STR("=2C")) && !kc_bytes_equal(code, KC_STR("=3D")))
                return false;
            c = code.ptr[1] == '2' ? ',' : '=';
            i += 2;
        }
        if (len == NAME_BYTES_MAX)
            return false;
        out[len++] = (char)c;
    }
    *len_out = len;
    return len > 0;
}

typedef struct client_first {
    kc_bytes authzid; /**< empty: none */
    kc_bytes bare;    /**< what is signed */
    kc_bytes name;    /**< escaped        */
    kc_bytes nonce;
    kc_bytes extensions;
} client_first;

static bool parse_first(kc_bytes in, client_first *first)
{
    kc_bytes rest = in, flag, authzid;
    if (!kb_text_split(&rest, ',', &flag) || !kc_bytes_equal(flag, KC_STR("n")) ||
        !kb_text_split(&rest, ',', &authzid) || !rest.ptr)
        return false;
    first->authzid = KC_STR("");
    if (authzid.len > 0) {
        if (!kb_text_starts(authzid, KC_STR("a=")))
            return false;
        first->authzid = kc_span(authzid.ptr + 2, authzid.len - 2);
    }
    first->bare = rest;
    if (!take(&rest, 'n', &first->name) || !take(&rest, 'r', &first->nonce))
        return false;
    first->extensions = rest;
    return is_printable(first->nonce);
}

/** The client's nonce and ours; false: the client's is too long. */
static bool make_nonce(km_sasl *sasl, kc_bytes theirs)
{
    uint64_t random[(NONCE_BYTES + 7) / 8];
    km_cluster *cluster = sasl->auth->cluster;
    char ours[4 * NONCE_BYTES];
    for (size_t i = 0; i < sizeof random / sizeof random[0]; i++)
        random[i] = kb_rand_u64(&cluster->rand);
    EVP_EncodeBlock((unsigned char *)ours, (const unsigned char *)random, NONCE_BYTES);
    int len = snprintf(sasl->exchange.nonce, sizeof sasl->exchange.nonce, KC_FMT "%s",
                       KC_ARG(theirs), ours);
    return len > 0 && (size_t)len < sizeof sasl->exchange.nonce;
}

static km_sasl_status on_first(km_sasl *sasl, kc_bytes in, kb_buf *out)
{
    client_first first;
    char name[NAME_BYTES_MAX + 1];
    size_t name_len;
    if (!parse_first(in, &first) || !unescape(first.name, name, &name_len))
        return km_sasl_fail(sasl, NULL);
    /* There are no delegation tokens. */
    bool is_token =
        first.extensions.ptr && kb_text_contains(first.extensions, KC_STR("tokenauth=true"));
    kc_bytes user_name = kc_span(name, name_len);
    km_sasl_claim(sasl, user_name);
    km_user *user = is_token ? NULL : km_auth_user(sasl->auth, user_name);
    const km_scram *scram = user ? km_user_scram(user, sasl->mechanism) : NULL;
    if (!scram)
        return km_sasl_fail(sasl, NULL);
    if (first.authzid.len > 0 && !kc_bytes_equal(first.authzid, user_name))
        return km_sasl_fail(sasl,
                            "Authentication failed: Client requested an authorization id that "
                            "is different from username");
    if (!make_nonce(sasl, first.nonce))
        return km_sasl_fail(sasl, NULL);
    kb_buf_printf(out, "r=%s,s=", sasl->exchange.nonce);
    kb_base64_put(out, scram->salt);
    kb_buf_printf(out, ",i=%d", (int)scram->iterations);
    kb_buf *text = &sasl->exchange.text;
    kb_buf_put_bytes(text, first.bare);
    kb_buf_put_byte(text, ',');
    kb_buf_put_bytes(text, kb_buf_bytes(out));
    sasl->exchange.scram = *scram;
    sasl->exchange.scram.salt = KC_NULL;
    sasl->exchange.is_second = true;
    if (out->err || text->err || !km_sasl_set_user(sasl, user_name))
        return KM_SASL_NO_MEMORY;
    return KM_SASL_MORE;
}

/** The proof is the client's key, hidden behind a signature only who knows the stored key can make. */
static bool is_proved(const km_sasl *sasl, kc_bytes proof)
{
    const km_sasl_exchange *exchange = &sasl->exchange;
    size_t len = km_scram_len(sasl->mechanism);
    uint8_t key[EVP_MAX_MD_SIZE], stored[EVP_MAX_MD_SIZE];
    if (proof.len != len ||
        !km_scram_hmac(sasl->mechanism, kc_span(exchange->scram.stored_key, len),
                       kb_buf_bytes(&exchange->text), key))
        return false;
    for (size_t i = 0; i < len; i++)
        key[i] ^= proof.ptr[i];
    bool is_right =
        EVP_Digest(key, len, stored, NULL, km_scram_digest(sasl->mechanism), NULL) == 1 &&
        CRYPTO_memcmp(stored, exchange->scram.stored_key, len) == 0;
    kb_mem_wipe(key, sizeof key);
    return is_right;
}

/** What stands before ",p=" and the decoded proof. */
static bool parse_final(kc_bytes in, kc_bytes *unproved, kc_bytes *nonce, kb_buf *proof)
{
    kc_bytes rest = in, channel, piece = KC_NULL;
    if (!take(&rest, 'c', &channel) || !take(&rest, 'r', nonce))
        return false;
    while (kb_text_split(&rest, ',', &piece))
        if (!rest.ptr)
            break;
    if (piece.len < 2 || piece.ptr[0] != 'p' || piece.ptr[1] != '=')
        return false;
    *unproved = kc_span(in.ptr, (size_t)(piece.ptr - in.ptr) - 1);
    return kb_base64_get(proof, kc_span(piece.ptr + 2, piece.len - 2));
}

static km_sasl_status check_final(km_sasl *sasl, kc_bytes in, kb_buf *proof, kb_buf *out)
{
    kb_buf *text = &sasl->exchange.text;
    size_t len = km_scram_len(sasl->mechanism);
    uint8_t signature[EVP_MAX_MD_SIZE];
    kc_bytes unproved, nonce;
    bool is_whole = parse_final(in, &unproved, &nonce, proof);
    if (proof->err == KC_ERR_NOMEM)
        return KM_SASL_NO_MEMORY;
    if (!is_whole || !kc_bytes_equal(nonce, kc_str(sasl->exchange.nonce)))
        return km_sasl_fail(sasl, NULL);
    kb_buf_put_byte(text, ',');
    kb_buf_put_bytes(text, unproved);
    if (text->err)
        return KM_SASL_NO_MEMORY;
    if (!is_proved(sasl, kb_buf_bytes(proof)))
        return km_sasl_fail(sasl, NULL);
    if (!km_scram_hmac(sasl->mechanism, kc_span(sasl->exchange.scram.server_key, len),
                       kb_buf_bytes(text), signature))
        return KM_SASL_NO_MEMORY;
    kb_buf_put_bytes(out, KC_STR("v="));
    kb_base64_put(out, kc_span(signature, len));
    return out->err ? KM_SASL_NO_MEMORY : KM_SASL_DONE;
}

km_sasl_status km_sasl_scram(km_sasl *sasl, kc_bytes in, kb_buf *out)
{
    if (!sasl->exchange.is_second)
        return on_first(sasl, in, out);
    kb_buf proof;
    kb_buf_init(&proof, sasl->auth->cluster->mem, 0);
    km_sasl_status status = check_final(sasl, in, &proof, out);
    kb_buf_cleanup(&proof);
    return status;
}
