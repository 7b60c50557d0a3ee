/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The Java client's sasl.jaas.config: one login module with its options. */
#ifndef KC_JAAS_H
#define KC_JAAS_H

#include "protocol/base/buf.h"

/** What it says, of use to us. */
typedef struct kc_jaas {
    kb_buf username, password;              /**< with a zero byte; len 0: not given */
    kb_buf extensions;                      /**< "name=value" and a byte 1 each     */
    kb_buf client_id, client_secret, scope; /**< as username */
    kb_buf ca_location, ca_certificates;    /**< likewise: ssl.truststore.*, of the provider */
    kb_buf service, principal, keytab, ticket_cache; /**< likewise    */
} kc_jaas;

/**
 * Parse `org.apache.kafka.common.security.plain.PlainLoginModule required username="..."
 * password="...";` (also ScramLoginModule, OAuthBearerLoginModule with clientId="..." clientSecret="..."
 * scope="..." extension_NAME="..." and ssl.truststore.*, Krb5LoginModule with serviceName, principal, keyTab and ticketCache).
 *
 * @param mechanism  The module has to be its own.
 * Errors say where, and never quote a value. kc_jaas_cleanup() in any case.
 */
KC_NODISCARD kc_err kc_jaas_parse(kb_mem *mem, kc_bytes text, const char *mechanism, kc_jaas *out,
                                  kc_error *err);
void kc_jaas_cleanup(kc_jaas *jaas);

/** Append an extension in the form of RFC 7628. KC_ERR_ARGUMENT: its name is not of letters, or is
 * "auth", or the value has control characters. */
KC_NODISCARD kc_err kc_jaas_extension(kb_buf *out, kc_bytes name, kc_bytes value, kc_error *err);

#endif
