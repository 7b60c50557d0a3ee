/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * From properties and sasl.jaas.config to the fetching of tokens in net/oidc.h. */
#include "client/sasl.h"
#include "protocol/base/error.h"

static const char *text_of(const kb_buf *option)
{
    return option->len > 0 ? (const char *)option->data : NULL;
}

/** From the property, or else the option of sasl.jaas.config; NULL: from neither. */
static kc_err choose(const char *property, const char *value, const kb_buf *option,
                     const char **out, kc_error *err)
{
    *out = value ? value : text_of(option);
    if (value && option->len > 0)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "%s is set, and its option in sasl.jaas.config too: one must go",
                            property);
    return KC_OK;
}

static kc_err choose_all(const kc_settings *settings, const kc_jaas *jaas, kn_oidc_options *out,
                         kc_error *err)
{
    static const char id[] = "sasl.oauthbearer.client.credentials.client.id";
    static const char secret[] = "sasl.oauthbearer.client.credentials.client.secret";
    KB_TRY(
        choose(id, settings->sasl_oauthbearer_client_id, &jaas->client_id, &out->client_id, err));
    KB_TRY(choose(secret, settings->sasl_oauthbearer_client_secret, &jaas->client_secret,
                  &out->client_secret, err));
    KB_TRY(choose("sasl.oauthbearer.scope", settings->sasl_oauthbearer_scope, &jaas->scope,
                  &out->scope, err));
    if (jaas->ca_location.len + jaas->ca_certificates.len > 0) { // the provider's own
        out->ca_location = text_of(&jaas->ca_location);
        out->ca_certificates = text_of(&jaas->ca_certificates);
    }
    if (out->ca_location && out->ca_certificates)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "ssl.truststore.location and ssl.truststore.certificates are both set: "
                            "one must go");
    if (!out->client_id || !out->client_secret)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "sasl.oauthbearer.token.endpoint.url needs %s, or %s in "
                            "sasl.jaas.config",
                            out->client_id ? secret : id,
                            out->client_id ? "clientSecret" : "clientId");
    return KC_OK;
}

static const char *unless_empty(const char *text)
{
    return text && text[0] ? text : NULL;
}

static void on_trouble(void *user, const kc_error *error)
{
    kc_client_note(user, error);
}

kc_err kc_sasl_oidc_open(kc_client *client, const kc_jaas *jaas, kn_token_source *tokens,
                         kn_oidc **oidc_out, kc_error *err)
{
    const kc_settings *settings = client->settings;
    kn_oidc_options options = {
        .mem = &client->mem,
        .loop = client->loop,
        .log = kc_client_log(client, KC_DEBUG_NET),
        .rand = &client->rand,
        .tokens = tokens,
        .url = settings->sasl_oauthbearer_token_endpoint_url,
        .extensions = kb_buf_bytes(&jaas->extensions),
        .is_encoded = settings->sasl_oauthbearer_header_urlencode,
        .ca_location = unless_empty(settings->ssl_truststore_location),
        .ca_certificates = unless_empty(settings->ssl_truststore_certificates),
        .connect_timeout_ms = settings->sasl_login_connect_timeout_ms,
        .read_timeout_ms = settings->sasl_login_read_timeout_ms,
        .retry_backoff_ms = settings->sasl_login_retry_backoff_ms,
        .retry_backoff_max_ms = settings->sasl_login_retry_backoff_max_ms,
        .on_trouble = on_trouble,
        .user = client,
    };
    KB_TRY(choose_all(settings, jaas, &options, err));
    return kn_oidc_new(&options, oidc_out, err);
}
