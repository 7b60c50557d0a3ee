/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * SaslHandshake and SaslAuthenticate. A client that fails is told so, and then it is over. */
#include "mock/api.h"
#include "mock/sasl.h"

/** Which mechanisms are enabled; false: no memory. */
static bool tell_mechanisms(km_request *request, kp_sasl_handshake_resp *out)
{
    const km_auth *auth = request->cluster->auth;
    out->mechanisms.items =
        km_request_alloc(request, KM_MECHANISM_COUNT, sizeof *out->mechanisms.items);
    if (!out->mechanisms.items)
        return false;
    for (int i = 0; i < KM_MECHANISM_COUNT; i++)
        if (auth->mechanisms & (1u << i))
            out->mechanisms.items[out->mechanisms.count++] =
                kc_str(km_mechanism_name((km_mechanism)i));
    return true;
}

km_action km_api_sasl_handshake(km_request *request, const void *message, void *response)
{
    const kp_sasl_handshake_req *asked = message;
    kp_sasl_handshake_resp *out = response;
    km_sasl *sasl = km_conn_auth(request->conn);
    out->error_code = km_check_broker(request);
    if (out->error_code)
        return sasl ? KM_ANSWER_LAST : KM_ANSWER;
    /* On a listener without SASL, or in a session that does not end. */
    if (!sasl || sasl->stage == KM_SASL_COMPLETE) {
        out->error_code = KC_E_ILLEGAL_SASL_STATE;
        return KM_ANSWER;
    }
    if (!tell_mechanisms(request, out))
        return KM_CLOSE;
    out->error_code = km_sasl_handshake(sasl, asked->mechanism, request->version);
    return out->error_code ? KM_ANSWER_LAST : KM_ANSWER;
}

static km_action authenticate(km_request *request, km_sasl *sasl, kc_bytes token,
                              kp_sasl_authenticate_resp *out)
{
    kb_buf answer;
    kb_buf_init(&answer, request->cluster->mem, 0);
    km_sasl_status status = km_sasl_token(sasl, token, &answer, &out->session_lifetime_ms);
    kc_bytes bytes = answer.len > 0 ? kb_buf_bytes(&answer) : KC_STR("");
    out->auth_bytes = km_request_copy(request, status == KM_SASL_FAILED ? KC_STR("") : bytes);
    kb_buf_cleanup(&answer);
    if (status == KM_SASL_NO_MEMORY || !out->auth_bytes.ptr)
        return KM_CLOSE;
    if (status != KM_SASL_FAILED)
        return KM_ANSWER;
    out->error_code = KC_E_SASL_AUTHENTICATION_FAILED;
    out->error_message = kc_str(sasl->why);
    return KM_ANSWER_LAST;
}

km_action km_api_sasl_authenticate(km_request *request, const void *message, void *response)
{
    const kp_sasl_authenticate_req *asked = message;
    kp_sasl_authenticate_resp *out = response;
    km_sasl *sasl = km_conn_auth(request->conn);
    out->error_code = km_check_broker(request);
    if (out->error_code)
        return sasl ? KM_ANSWER_LAST : KM_ANSWER;
    if (sasl && sasl->stage == KM_SASL_TOKENS)
        return authenticate(request, sasl, asked->auth_bytes, out);
    out->error_code = KC_E_ILLEGAL_SASL_STATE;
    out->error_message =
        KC_STR("SaslAuthenticate request received after successful authentication");
    return KM_ANSWER;
}
