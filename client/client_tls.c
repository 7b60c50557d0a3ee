/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * TLS of a client: properties to the TLS network, and certificates read anew. */
#include "client/core.h"
#include "net/tls.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <stdlib.h>

static kn_tls_settings settings_of(const kc_settings *settings)
{
    return (kn_tls_settings){
        .truststore_location = settings->ssl_truststore_location,
        .truststore_certificates = settings->ssl_truststore_certificates,
        .keystore_location = settings->ssl_keystore_location,
        .keystore_password = settings->ssl_keystore_password,
        .keystore_certificate_chain = settings->ssl_keystore_certificate_chain,
        .keystore_key = settings->ssl_keystore_key,
        .key_password = settings->ssl_key_password,
        .enabled_protocols = settings->ssl_enabled_protocols,
        .protocol = settings->ssl_protocol,
        .cipher_suites = settings->ssl_cipher_suites,
        .keystore_is_pkcs12 = kb_text_is(kc_str(settings->ssl_keystore_type), "PKCS12"),
        .verifies_host = settings->ssl_verifies_host,
    };
}

static void on_reload_failed(void *user, const kc_error *error)
{
    kc_client_note(user, error);
}

kc_err kc_client_open_tls(kc_client *client, kc_error *err)
{
    kc_bytes protocol = kc_str(client->settings->security_protocol);
    if (!kb_text_is(protocol, "SSL") && !kb_text_is(protocol, "SASL_SSL"))
        return KC_OK;
    const kn_tls_options options = {.mem = &client->mem,
                                    .loop = client->loop,
                                    .inner = client->proxy ? client->proxy : client->network,
                                    .log = kc_client_log(client, KC_DEBUG_NET),
                                    .settings = settings_of(client->settings),
                                    .keylog_path = getenv("SSLKEYLOGFILE"),
                                    .on_reload_failed = on_reload_failed,
                                    .user = client};
    return kn_tls_network_new(&options, &client->tls, err);
}

kc_err kc_client_reload_certificates(kc_client *client, kc_error *err)
{
    kc_error error;
    if (!client->tls)
        return kb_error_set(err, KC_ERR_STATE, "security.protocol is %s: there are no certificates",
                            client->settings->security_protocol);
    KB_TRY(kc_client_check(client, err));
    kc_err code = kn_tls_network_reload(client->tls, &error);
    if (code == KC_OK)
        return KC_OK;
    kc_client_note(client, &error);
    if (err)
        *err = error;
    return code;
}
