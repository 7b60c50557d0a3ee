/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * OAUTHBEARER (RFC 7628, KIP-255): a token from the source all connections share. A broker that
 * refuses it says why in a challenge, and fails the exchange when that was acknowledged. */
#include "net/sasl.h"
#include "protocol/base/text.h"

typedef struct oauth {
    kn_sasl *sasl;
    kn_token_wait wait;
    uint32_t generation; /**< of the token that was sent */
    bool is_sent, is_refused;
    bool has_failed; /**< to get a token */
    char why[sizeof((kc_error *)0)->text];
} oauth;

static void on_token(kn_token_wait *wait, const kc_error *error)
{
    oauth *state = wait->user;
    state->has_failed = error != NULL;
    if (error)
        kb_text_printable(state->why, sizeof state->why, kc_str(error->text));
    kn_sasl_wake(state->sasl);
}

static kn_sasl_status send_token(kn_sasl *sasl)
{
    oauth *state = sasl->state;
    kn_token token;
    kc_err err = kn_token_get(sasl->conf->tokens, &token, &state->wait);
    if (err == KC_ERR_AGAIN)
        return KN_SASL_LATER;
    if (err != KC_OK)
        return kn_sasl_fail(sasl, err, "the token has expired and nobody makes another");
    kb_buf_put_bytes(&sasl->out, KC_STR("n,,\x01"
                                        "auth=Bearer "));
    kb_buf_put_bytes(&sasl->out, token.value);
    kb_buf_put_byte(&sasl->out, 1);
    kb_buf_put_bytes(&sasl->out, token.extensions);
    kb_buf_put_byte(&sasl->out, 1);
    state->generation = token.generation;
    state->is_sent = true;
    return kn_sasl_send(sasl);
}

static kn_sasl_status start(kn_sasl *sasl)
{
    oauth *state = sasl->state;
    state->sasl = sasl;
    state->wait = (kn_token_wait){.fn = on_token, .user = state};
    kb_list_init(&state->wait.node);
    return send_token(sasl);
}

static kn_sasl_status step(kn_sasl *sasl, kc_bytes in)
{
    oauth *state = sasl->state;
    if (state->has_failed)
        return kn_sasl_fail(sasl, KC_ERR_AUTH, "%s", state->why);
    if (!state->is_sent)
        return send_token(sasl);
    if (state->is_refused)
        return kn_sasl_fail(sasl, KC_ERR_AUTH, "the broker refused the token: %s", state->why);
    if (in.len == 0)
        return KN_SASL_DONE;
    state->is_refused = true;
    kn_sasl_quote(state->why, in);
    kn_token_refused(sasl->conf->tokens, state->generation);
    kb_buf_reset(&sasl->out);
    kb_buf_put_byte(&sasl->out, 1);
    return kn_sasl_send(sasl);
}

static void finish(kn_sasl *sasl)
{
    oauth *state = sasl->state;
    if (state->sasl)
        kn_token_cancel(&state->wait);
}

const kn_sasl_mechanism kn_sasl_oauthbearer = {.name = "OAUTHBEARER",
                                               .needs = KN_SASL_TOKEN,
                                               .state_bytes = sizeof(oauth),
                                               .start = start,
                                               .step = step,
                                               .finish = finish};
