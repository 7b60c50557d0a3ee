/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What a client authenticates with: from its properties, and replaced at run time. */
#ifndef KC_SASL_H
#define KC_SASL_H

#include "client/core.h"
#include "client/jaas.h"
#include "net/oidc.h"
#include "net/sasl.h"

/** Sets client->sasl where security.protocol has SASL. KC_ERR_CONFIG says what is missing. */
KC_NODISCARD kc_err kc_sasl_open(kc_client *client, const kc_client_options *options,
                                 kc_error *err);
/** What is waited for; NULL is allowed. */
void kc_sasl_explain(const kc_sasl *sasl, kb_explain *out);
/** After the pool. */
void kc_sasl_close(kc_client *client);
/** For the pool; NULL: none. */
const kn_sasl_conf *kc_sasl_conf(const kc_sasl *sasl);

/** sasl_oidc.c: who answers the questions of `tokens`, by a provider. */
KC_NODISCARD kc_err kc_sasl_oidc_open(kc_client *client, const kc_jaas *jaas,
                                      kn_token_source *tokens, kn_oidc **oidc_out, kc_error *err);

#endif
