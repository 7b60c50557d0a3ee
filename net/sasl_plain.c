/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * PLAIN (RFC 4616): name and password as they are. For encrypted connections. */
#include "net/sasl.h"

static kn_sasl_status start(kn_sasl *sasl)
{
    kb_buf *out = &sasl->out;
    kb_buf_put_byte(out, 0); // acts for nobody else
    kb_buf_put_bytes(out, kc_str(sasl->username));
    kb_buf_put_byte(out, 0);
    kb_buf_put_bytes(out, kc_str(sasl->password));
    return kn_sasl_send(sasl);
}

static kn_sasl_status step(kn_sasl *sasl, kc_bytes in)
{
    (void)sasl;
    (void)in; // a refusal is an error code of SaslAuthenticate
    return KN_SASL_DONE;
}

const kn_sasl_mechanism kn_sasl_plain = {
    .name = "PLAIN", .needs = KN_SASL_PASSWORD, .state_bytes = 1, .start = start, .step = step};
