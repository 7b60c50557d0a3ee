/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Parser of sasl.jaas.config, as Kafka's JaasConfig reads it: words, quoted texts with backslashes,
 * '=' and ';'. Values are secret: they are copied to secret buffers only, and no error has them. */
#include "client/jaas.h"

#include "protocol/base/error.h"
#include "protocol/base/text.h"

#define VALUE_BYTES_MAX 65536

/* ---- tokens ---- */

typedef enum token_kind {
    TOKEN_WORD, /**< bare or quoted */
    TOKEN_EQUALS,
    TOKEN_SEMICOLON,
    TOKEN_END,
    TOKEN_BAD,
} token_kind;

typedef struct lexer {
    kc_bytes in;
    size_t pos;
    kb_buf text; /**< of the last word */
} lexer;

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool ends_word(uint8_t c)
{
    return is_space(c) || c == '=' || c == ';' || c == '"' || c == '\'';
}

static uint8_t unescape(uint8_t c)
{
    static const char from[] = "ntrbf", to[] = "\n\t\r\b\f";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? (uint8_t)to[at - from] : c;
}

static token_kind read_quoted(lexer *lex, uint8_t quote)
{
    while (lex->pos < lex->in.len) {
        uint8_t c = lex->in.ptr[lex->pos++];
        if (c == quote)
            return TOKEN_WORD;
        if (c == '\\') {
            if (lex->pos == lex->in.len)
                break;
            c = unescape(lex->in.ptr[lex->pos++]);
        }
        kb_buf_put_byte(&lex->text, c);
    }
    return TOKEN_BAD;
}

static token_kind read_token(lexer *lex)
{
    kb_buf_reset(&lex->text);
    while (lex->pos < lex->in.len && is_space(lex->in.ptr[lex->pos]))
        lex->pos++;
    if (lex->pos == lex->in.len)
        return TOKEN_END;
    uint8_t c = lex->in.ptr[lex->pos++];
    if (c == '=')
        return TOKEN_EQUALS;
    if (c == ';')
        return TOKEN_SEMICOLON;
    if (c == '"' || c == '\'')
        return read_quoted(lex, c);
    kb_buf_put_byte(&lex->text, c);
    while (lex->pos < lex->in.len && !ends_word(lex->in.ptr[lex->pos]))
        kb_buf_put_byte(&lex->text, lex->in.ptr[lex->pos++]);
    return TOKEN_WORD;
}

static token_kind next_token(lexer *lex)
{
    token_kind kind = read_token(lex);
    return lex->text.err == KC_OK ? kind : TOKEN_BAD;
}

/* ---- what it means ---- */

#define TO(member) ((int)offsetof(kc_jaas, member))
/** Java's own affair: whether to ask, what to store, when to renew. */
#define MEANS_NOTHING (-1)

/** Of all that it may say. */
static const int texts[] = {
    TO(username),      TO(password), TO(extensions),   TO(service),
    TO(principal),     TO(keytab),   TO(ticket_cache), TO(client_id),
    TO(client_secret), TO(scope),    TO(ca_location),  TO(ca_certificates),
};
#define TEXTS (sizeof texts / sizeof texts[0])
_Static_assert(TEXTS * sizeof(kb_buf) == sizeof(kc_jaas), "each text is in the list");

static kb_buf *text_at(kc_jaas *jaas, int to)
{
    return (kb_buf *)(void *)((char *)jaas + to);
}

static void init_secret(kb_buf *text, kb_mem *mem)
{
    kb_buf_init(text, mem, VALUE_BYTES_MAX);
    text->is_secret = true;
}

typedef struct module_option {
    const char *name;
    int to; /**< the text in kc_jaas */
} module_option;

static const module_option password_options[] = {
    {"username", TO(username)}, {"password", TO(password)}, {NULL, 0}};
static const module_option token_options[] = {
    {"clientId", TO(client_id)},
    {"clientSecret", TO(client_secret)},
    {"scope", TO(scope)},
    {"ssl.truststore.location", TO(ca_location)},
    {"ssl.truststore.certificates", TO(ca_certificates)},
    {"ssl.truststore.type", MEANS_NOTHING}, // PEM, whatever it says
    {NULL, 0},
};
static const module_option ticket_options[] = {
    {"serviceName", TO(service)},
    {"principal", TO(principal)},
    {"keyTab", TO(keytab)},
    {"ticketCache", TO(ticket_cache)},
    {"useKeyTab", MEANS_NOTHING},
    {"useTicketCache", MEANS_NOTHING},
    {"storeKey", MEANS_NOTHING},
    {"doNotPrompt", MEANS_NOTHING},
    {"renewTGT", MEANS_NOTHING},
    {"refreshKrb5Config", MEANS_NOTHING},
    {"debug", MEANS_NOTHING},
    {"isInitiator", MEANS_NOTHING},
    {NULL, 0},
};

typedef struct login_module {
    const char *mechanism;
    const char *name;
    const module_option *options;
    bool has_extensions;
} login_module;

static const login_module modules[] = {
    {"PLAIN", "PlainLoginModule", password_options, false},
    {"SCRAM-SHA-256", "ScramLoginModule", password_options, false},
    {"SCRAM-SHA-512", "ScramLoginModule", password_options, false},
    {"OAUTHBEARER", "OAuthBearerLoginModule", token_options, true},
    {"GSSAPI", "Krb5LoginModule", ticket_options, false},
};

static kc_err malformed(const lexer *lex, const char *wanted, kc_error *err)
{
    if (lex->text.err != KC_OK)
        return kb_error_code(err, lex->text.err == KC_ERR_NOMEM ? KC_ERR_NOMEM : KC_ERR_CONFIG);
    return kb_error_set(err, KC_ERR_CONFIG, "sasl.jaas.config: %s is expected before byte %zu",
                        wanted, lex->pos);
}

static kc_err parse_module(lexer *lex, const char *mechanism, const login_module **out,
                           kc_error *err)
{
    if (next_token(lex) != TOKEN_WORD)
        return malformed(lex, "a login module", err);
    kc_bytes name = kb_buf_bytes(&lex->text), piece;
    for (kc_bytes rest = name; kb_text_split(&rest, '.', &piece);)
        name = piece; // without its package
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        if (strcmp(modules[i].mechanism, mechanism) != 0)
            continue;
        *out = &modules[i];
        if (!kc_bytes_equal(name, kc_str(modules[i].name)))
            return kb_error_set(err, KC_ERR_CONFIG,
                                "sasl.jaas.config: with sasl.mechanism %s the login module has to "
                                "be %s",
                                mechanism, modules[i].name);
    }
    if (next_token(lex) != TOKEN_WORD || !kb_text_is(kb_buf_bytes(&lex->text), "required"))
        return malformed(lex, "the word required", err);
    return KC_OK;
}

static const module_option *find_option(const login_module *module, kc_bytes name)
{
    const module_option *option = module->options;
    while (option->name && !kb_text_is(name, option->name))
        option++;
    return option->name ? option : NULL;
}

/** lex->text has the value. */
static kc_err take_option(const lexer *lex, kc_bytes name, const login_module *module, kc_jaas *out,
                          kc_error *err)
{
    kc_bytes value = kb_buf_bytes(&lex->text);
    kc_bytes prefix = KC_STR("extension_");
    if (module->has_extensions && kb_text_starts(name, prefix))
        return kc_jaas_extension(&out->extensions,
                                 kc_span(name.ptr + prefix.len, name.len - prefix.len), value, err);
    const module_option *option = find_option(module, name);
    if (!option)
        return kb_error_set(err, KC_ERR_CONFIG,
                            "sasl.jaas.config: the option " KC_FMT " is not known here",
                            (int)(name.len < 80 ? name.len : 80), (const char *)name.ptr);
    if (option->to == MEANS_NOTHING)
        return KC_OK;
    kb_buf *to = text_at(out, option->to);
    kb_buf_reset(to);
    if (memchr(value.ptr, 0, value.len) || value.len == 0)
        return malformed(lex, "a value that is not empty", err);
    kb_buf_put_bytes(to, value);
    kb_buf_put_byte(to, 0);
    return to->err == KC_OK ? KC_OK : kb_error_code(err, to->err);
}

static kc_err parse_options(lexer *lex, const login_module *module, kb_buf *name, kc_jaas *out,
                            kc_error *err)
{
    token_kind kind;
    while ((kind = next_token(lex)) == TOKEN_WORD) {
        kb_buf_reset(name);
        kb_buf_put_bytes(name, kb_buf_bytes(&lex->text));
        if (name->err != KC_OK)
            return kb_error_code(err, name->err);
        if (next_token(lex) != TOKEN_EQUALS || next_token(lex) != TOKEN_WORD)
            return malformed(lex, "name=\"value\"", err);
        KB_TRY(take_option(lex, kb_buf_bytes(name), module, out, err));
    }
    if (kind != TOKEN_SEMICOLON)
        return malformed(lex, "a semicolon", err);
    return next_token(lex) == TOKEN_END ? KC_OK : malformed(lex, "the end", err);
}

kc_err kc_jaas_parse(kb_mem *mem, kc_bytes text, const char *mechanism, kc_jaas *out, kc_error *err)
{
    lexer lex = {.in = text};
    kb_buf name;
    const login_module *module = NULL;
    kb_buf *own[] = {&lex.text, &name};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        init_secret(own[i], mem);
    for (size_t i = 0; i < TEXTS; i++)
        init_secret(text_at(out, texts[i]), mem);
    kc_err result = parse_module(&lex, mechanism, &module, err);
    if (result == KC_OK)
        result = parse_options(&lex, module, &name, out, err);
    kb_buf_cleanup(&name);
    kb_buf_cleanup(&lex.text);
    return result;
}

void kc_jaas_cleanup(kc_jaas *jaas)
{
    for (size_t i = 0; i < TEXTS; i++)
        kb_buf_cleanup(text_at(jaas, texts[i]));
}

/* RFC 7628 3.1: the key is of letters, the value printable or white space. */
kc_err kc_jaas_extension(kb_buf *out, kc_bytes name, kc_bytes value, kc_error *err)
{
    bool is_good = name.len > 0 && value.len > 0 && !kb_text_is(name, "auth");
    for (size_t i = 0; i < name.len; i++)
        is_good &= (name.ptr[i] | 0x20) >= 'a' && (name.ptr[i] | 0x20) <= 'z';
    for (size_t i = 0; i < value.len; i++)
        is_good &= (value.ptr[i] >= 0x20 && value.ptr[i] <= 0x7e) || value.ptr[i] == '\t' ||
                   value.ptr[i] == '\r' || value.ptr[i] == '\n';
    if (!is_good)
        return kb_error_set(err, KC_ERR_ARGUMENT,
                            "a SASL extension needs a name of letters, not \"auth\", and a "
                            "printable value");
    kb_buf_put_bytes(out, name);
    kb_buf_put_byte(out, '=');
    kb_buf_put_bytes(out, value);
    kb_buf_put_byte(out, 1);
    if (out->err == KC_ERR_TOO_LARGE)
        return kb_error_set(err, KC_ERR_ARGUMENT, "the SASL extensions are too long together");
    return out->err == KC_OK ? KC_OK : kb_error_code(err, out->err);
}
