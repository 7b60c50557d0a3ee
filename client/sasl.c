/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Credentials of a client. The mechanisms are in net/; here is where name, password and tokens come
 * from. */
#include "client/sasl.h"

#include "protocol/base/arena.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

/** A path is at most 4096 bytes. */
#define KERBEROS_TEXTS_MAX ((size_t)64 * 1024)

struct kc_sasl {
    kc_client *client;
    kn_sasl_conf conf;
    kn_oidc *oidc;        /**< NULL: tokens are not fetched */
    kc_token_fn token_fn; /**< NULL: none                   */
    void *token_user;
    kb_arena texts; /**< of conf.kerberos */
};

const kn_sasl_conf *kc_sasl_conf(const kc_sasl *sasl)
{
    return sasl ? &sasl->conf : NULL;
}

/** On a virtual clock everything comes from the client's seed, so that a run repeats. */
static void fill_random(void *user, void *out, size_t len)
{
    kc_sasl *sasl = user;
    if (!sasl->client->is_virtual) {
        kc_clock_random_bytes(out, len);
        return;
    }
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)kb_rand_u64(&sasl->client->rand);
}

/* ---- from the properties ---- */

static kc_err open_password(kc_sasl *sasl, const kc_jaas *jaas, kc_error *err)
{
    const kc_settings *settings = sasl->client->settings;
    const char *username = settings->sasl_username, *password = settings->sasl_password;
    if (settings->sasl_jaas_config) {
        if (username || password)
            return kb_error_set(err, KC_ERR_CONFIG,
                                "set sasl.jaas.config, or sasl.username and sasl.password, not "
                                "both");
        username = jaas->username.len > 0 ? (const char *)jaas->username.data : NULL;
        password = jaas->password.len > 0 ? (const char *)jaas->password.data : NULL;
    }
    if (!username || !password)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "sasl.mechanism %s needs sasl.username and sasl.password, or both in "
                            "sasl.jaas.config",
                            settings->sasl_mechanism);
    if (kn_sasl_conf_set(&sasl->conf, username, password) != KC_OK)
        return kb_error_code(err, KC_ERR_NOMEM);
    return KC_OK;
}

static void ask_token(void *user)
{
    kc_sasl *sasl = user;
    if (sasl->oidc)
        kn_oidc_ask(sasl->oidc);
    else
        sasl->token_fn(sasl->client, sasl->token_user);
}

static void on_token_failed(void *user, const kc_error *error)
{
    kc_sasl *sasl = user;
    kc_client_note(sasl->client, error);
}

static kc_err open_tokens(kc_sasl *sasl, const kc_jaas *jaas, kc_error *err)
{
    kc_client *client = sasl->client;
    const kc_settings *settings = client->settings;
    const char *token = settings->sasl_oauthbearer_token;
    bool is_fetched = settings->sasl_oauthbearer_token_endpoint_url != NULL;
    if ((token != NULL) + (sasl->token_fn != NULL) + is_fetched != 1)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "sasl.mechanism OAUTHBEARER needs tokens: give one of "
                            "kc_client_options.token_fn, sasl.oauthbearer.token and "
                            "sasl.oauthbearer.token.endpoint.url");
    if (jaas->client_id.len + jaas->client_secret.len + jaas->scope.len > 0 && !is_fetched)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "sasl.jaas.config: clientId, clientSecret and scope need "
                            "sasl.oauthbearer.token.endpoint.url");
    const kn_token_options options = {
        .mem = &client->mem,
        .loop = client->loop,
        .log = kc_client_log(client, KC_DEBUG_NET),
        .rand = &client->rand,
        .refresh_factor = settings->sasl_login_refresh_window_factor,
        .refresh_jitter = settings->sasl_login_refresh_window_jitter,
        .refresh_min_period_s = settings->sasl_login_refresh_min_period_seconds,
        .refresh_buffer_s = settings->sasl_login_refresh_buffer_seconds,
        .ask = token ? NULL : ask_token,
        .on_failed = on_token_failed,
        .user = sasl,
    };
    if (kn_token_source_new(&options, &sasl->conf.tokens) != KC_OK)
        return kb_error_code(err, KC_ERR_NOMEM);
    if (is_fetched)
        return kc_sasl_oidc_open(client, jaas, sasl->conf.tokens, &sasl->oidc, err);
    if (!token)
        return KC_OK;
    kc_bytes extensions = kb_buf_bytes(&jaas->extensions);
    return kn_token_give(sasl->conf.tokens, kc_str(token), extensions, 0, err);
}

/** Of the two ways to say it, into the arena; NULL: in neither. */
static bool take_text(kc_sasl *sasl, const char **out, const char *setting, const kb_buf *jaas)
{
    if (sasl->client->settings->sasl_jaas_config && jaas->len > 0)
        setting = (const char *)jaas->data;
    *out = setting ? kb_arena_printf(&sasl->texts, "%s", setting) : NULL;
    return !setting || *out;
}

/** Tickets that a keytab brings belong to the client alone. */
static bool name_ccache(kc_sasl *sasl, kn_kerberos *kerberos)
{
    uint64_t number;
    fill_random(sasl, &number, sizeof number);
    kerberos->ccache =
        kb_arena_printf(&sasl->texts, "MEMORY:kafkac-%016llx", (unsigned long long)number);
    kerberos->owns_ccache = kerberos->ccache != NULL;
    return kerberos->owns_ccache;
}

static kc_err open_tickets(kc_sasl *sasl, const kc_jaas *jaas, kc_error *err)
{
    const kc_settings *settings = sasl->client->settings;
    kn_kerberos *kerberos = &sasl->conf.kerberos;
    kb_arena_init(&sasl->texts, &sasl->client->mem, KERBEROS_TEXTS_MAX);
    if (take_text(sasl, &kerberos->service, settings->sasl_kerberos_service_name, &jaas->service) &&
        take_text(sasl, &kerberos->principal, settings->sasl_kerberos_principal,
                  &jaas->principal) &&
        take_text(sasl, &kerberos->keytab, settings->sasl_kerberos_keytab, &jaas->keytab) &&
        take_text(sasl, &kerberos->ccache, settings->sasl_kerberos_ticket_cache,
                  &jaas->ticket_cache) &&
        (!kerberos->keytab || kerberos->ccache || name_ccache(sasl, kerberos)) &&
        kn_sasl_conf_set(&sasl->conf, kerberos->principal, NULL) == KC_OK)
        return KC_OK;
    return kb_error_code(err, KC_ERR_NOMEM);
}

static kc_err open_credentials(kc_sasl *sasl, kc_error *err)
{
    kc_client *client = sasl->client;
    const kc_settings *settings = client->settings;
    static kc_err (*const openers[])(kc_sasl *, const kc_jaas *, kc_error *) = {
        [KN_SASL_PASSWORD] = open_password,
        [KN_SASL_TOKEN] = open_tokens,
        [KN_SASL_TICKET] = open_tickets,
    };
    kc_jaas jaas = {.username = {.data = NULL}};
    kc_err result = KC_OK;
    kc_error cause;
    if (settings->sasl_jaas_config)
        result = kc_jaas_parse(&client->mem, kc_str(settings->sasl_jaas_config),
                               settings->sasl_mechanism, &jaas, &cause);
    if (result == KC_OK)
        result = openers[sasl->conf.mechanism->needs](sasl, &jaas, &cause);
    if (settings->sasl_jaas_config)
        kc_jaas_cleanup(&jaas);
    if (result == KC_OK || result == KC_ERR_NOMEM)
        return result == KC_OK ? KC_OK : kb_error_code(err, result);
    return kb_error_set(err, KC_ERR_CONFIG, "%s",
                        cause.text); // also what is an argument at run time
}

kc_err kc_sasl_open(kc_client *client, const kc_client_options *options, kc_error *err)
{
    const kc_settings *settings = client->settings;
    if (!kb_text_starts(kc_str(settings->security_protocol), KC_STR("SASL_")))
        return KC_OK;
    if (!settings->sasl_mechanism)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "security.protocol %s needs sasl.mechanism: PLAIN, SCRAM-SHA-256, "
                            "SCRAM-SHA-512, OAUTHBEARER or GSSAPI",
                            settings->security_protocol);
    const kn_sasl_mechanism *mechanism = kn_sasl_mechanism_find(kc_str(settings->sasl_mechanism));
    if (!mechanism)
        return kb_error_set(err, KC_ERR_CONFIG, "sasl.mechanism %s is not in this build",
                            settings->sasl_mechanism);
    kc_sasl *sasl = kb_mem_zalloc(&client->mem, sizeof *sasl);
    if (!sasl)
        return kb_error_code(err, KC_ERR_NOMEM);
    client->sasl = sasl;
    sasl->client = client;
    sasl->token_fn = options->token_fn;
    sasl->token_user = options->token_user;
    sasl->conf = (kn_sasl_conf){.mem = &client->mem,
                                .loop = client->loop,
                                .mechanism = mechanism,
                                .random = fill_random,
                                .random_user = sasl};
    return open_credentials(sasl, err);
}

void kc_sasl_close(kc_client *client)
{
    kc_sasl *sasl = client->sasl;
    if (!sasl)
        return;
    client->sasl = NULL;
    kn_oidc_free(sasl->oidc);
    kn_token_source_free(sasl->conf.tokens);
    kn_sasl_conf_cleanup(&sasl->conf);
    kb_arena_cleanup(&sasl->texts);
    kb_mem_free(&client->mem, sasl);
}

void kc_sasl_explain(const kc_sasl *sasl, kb_explain *out)
{
    if (sasl && sasl->oidc)
        kn_oidc_say(sasl->oidc, out);
}

/* ---- at run time ---- */

kc_err kc_client_set_credentials(kc_client *client, const char *username, const char *password,
                                 kc_error *err)
{
    KB_TRY(kc_client_check(client, err));
    if (!client->sasl || client->sasl->conf.mechanism->needs != KN_SASL_PASSWORD)
        return kb_error_set(err, KC_ERR_STATE,
                            "the client has no sasl.mechanism with name and password");
    if (!username || !password || !username[0] || !password[0])
        return kb_error_set(err, KC_ERR_ARGUMENT, "name and password can't be empty");
    if (kn_sasl_conf_set(&client->sasl->conf, username, password) != KC_OK)
        return kb_error_code(err, KC_ERR_NOMEM);
    return KC_OK;
}

/** Extensions in the form they are sent in. */
static kc_err write_extensions(const kc_token *token, kb_buf *out, kc_error *err)
{
    for (size_t i = 0; i < token->extension_count; i++)
        KB_TRY(kc_jaas_extension(out, token->extensions[i].name, token->extensions[i].value, err));
    return KC_OK;
}

kc_err kc_client_set_token(kc_client *client, const kc_token *token, kc_error *err)
{
    KB_TRY(kc_client_check(client, err));
    if (!client->sasl || !client->sasl->token_fn || !client->sasl->conf.tokens)
        return kb_error_set(err, KC_ERR_STATE,
                            "the client does not authenticate by tokens of a token_fn");
    if (!token || token->size != sizeof *token)
        return kb_error_set(err, KC_ERR_ARGUMENT, "kc_token.size is not set");
    kb_buf extensions;
    kc_error error;
    kb_buf_init(&extensions, &client->mem, KN_TOKEN_BYTES_MAX);
    kc_err result = write_extensions(token, &extensions, &error);
    if (result == KC_OK) {
        result = kn_token_give(client->sasl->conf.tokens, token->value, kb_buf_bytes(&extensions),
                               token->expires_ms, err);
    } else {
        kc_client_token_failed(client, error.text);
        kb_error_set(err, result, "%s", error.text);
    }
    kb_buf_cleanup(&extensions);
    return result;
}

void kc_client_token_failed(kc_client *client, const char *reason)
{
    if (kc_client_check(client, NULL) == KC_OK && client->sasl && client->sasl->token_fn &&
        client->sasl->conf.tokens)
        kn_token_fail(client->sasl->conf.tokens, reason ? reason : "no reason given");
}
