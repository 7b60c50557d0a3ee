/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Configuration in the seed's names. Strings that came from a file or the environment are owned by
 * the configuration; those a caller sets stay the caller's. */
#include "protocol/base/error.h"
#include "protocol/base/json.h"
#include "protocol/base/list.h"
#include "protocol/base/text.h"

#include <officeflow/config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX (1024 * 1024)

/** What a configuration owns: one arena for all its strings. */
typedef struct owned {
    kb_mem mem;
    kb_arena arena;
} owned;

kc_err of_config_init(of_config *config)
{
    *config = (of_config){
        .client_id = "officeflow",
        .brokers = "localhost:9092",
        .retry_retries = -1,
        .policies = of_policies_new(),
        .kafka = kc_config_new(),
    };
    kb_mem mem;
    kb_mem_init(&mem, NULL, 0);
    owned *own = kb_mem_zalloc(&mem, sizeof *own);
    if (own) {
        own->mem = mem;
        kb_arena_init(&own->arena, &own->mem, 0);
    }
    config->owned = own;
    if (config->policies && config->kafka && own)
        return KC_OK;
    of_config_cleanup(config);
    return KC_ERR_NOMEM;
}

void of_config_cleanup(of_config *config)
{
    of_policies_free(config->policies);
    kc_config_free(config->kafka);
    owned *own = config->owned;
    if (own) {
        kb_arena_cleanup(&own->arena);
        kb_mem mem = own->mem;
        kb_mem_free(&mem, own);
    }
    memset(config, 0, sizeof *config);
}

static const char *keep(of_config *config, kc_bytes text)
{
    owned *own = config->owned;
    return kb_arena_printf(&own->arena, KC_FMT, KC_ARG(text));
}

kc_err of_config_copy(of_config *to, const of_config *from)
{
    KB_TRY(of_config_init(to));
    void *own = to->owned;
    of_policies *policies = of_policies_copy(from->policies);
    kc_config *kafka = kc_config_copy(from->kafka);
    of_policies_free(to->policies);
    kc_config_free(to->kafka);
    *to = *from;
    to->owned = own;
    to->policies = policies;
    to->kafka = kafka;
    const char **strings[] = {&to->client_id,     &to->brokers,       &to->sasl_mechanism,
                              &to->sasl_username, &to->sasl_password, &to->demo_org_id};
    bool is_failed = !policies || !kafka;
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        if (*strings[i]) {
            *strings[i] = keep(to, kc_str(*strings[i]));
            is_failed |= *strings[i] == NULL;
        }
    if (!is_failed)
        return KC_OK;
    of_config_cleanup(to);
    return KC_ERR_NOMEM;
}

/** Where in the file we are, and what to say about it. */
typedef struct file_reader {
    of_config *config;
    const char *path;
    kc_error *err;
    kb_json_reader json;
} file_reader;

static kc_err bad(file_reader *file, const char *member, const char *wanted)
{
    return kb_error_set(file->err, KC_ERR_CONFIG, "%s: \"%s\" must be %s.", file->path, member,
                        wanted);
}

static kc_err unknown(file_reader *file, const char *in, kc_bytes key)
{
    return kb_error_set(file->err, KC_ERR_CONFIG, "%s: unknown member " KC_FMT " in %s.",
                        file->path, KC_ARG(key), in);
}

/** The value of a string token; NULL out of memory. */
static const char *string_of(file_reader *file, kc_bytes raw)
{
    owned *own = file->config->owned;
    kc_bytes text;
    return kb_json_unescape(raw, &own->arena, &text) ? keep(file->config, text) : NULL;
}

static kc_err read_string(file_reader *file, const char *member, const char **out)
{
    kc_bytes raw;
    if (kb_json_value(&file->json, &raw) != KB_JSON_STRING)
        return bad(file, member, "a string");
    *out = string_of(file, raw);
    return *out ? KC_OK : kb_error_code(file->err, KC_ERR_NOMEM);
}

static kc_err read_int(file_reader *file, const char *member, int32_t *out)
{
    kc_bytes raw;
    int64_t number;
    if (kb_json_value(&file->json, &raw) != KB_JSON_NUMBER || !kb_json_i64(raw, &number) ||
        number < 0 || number > INT32_MAX)
        return bad(file, member, "a whole number, 0 or more");
    *out = (int32_t)number;
    return KC_OK;
}

static kc_err read_bool(file_reader *file, const char *member, bool *out)
{
    kb_json_type type = kb_json_value(&file->json, NULL);
    if (type != KB_JSON_TRUE && type != KB_JSON_FALSE)
        return bad(file, member, "true or false");
    *out = type == KB_JSON_TRUE;
    return KC_OK;
}

/** A list of strings, or one string with commas. */
static kc_err read_brokers(file_reader *file)
{
    kc_bytes raw;
    kb_json_type type = kb_json_value(&file->json, &raw);
    if (type == KB_JSON_STRING) {
        file->config->brokers = string_of(file, raw);
        return file->config->brokers ? KC_OK : kb_error_code(file->err, KC_ERR_NOMEM);
    }
    owned *own = file->config->owned;
    kb_json_reader list;
    kb_json_reader_init(&list, raw);
    const char *joined = "";
    if (type != KB_JSON_ARRAY || kb_json_next(&list) != KB_JSON_ARRAY)
        return bad(file, "brokers", "a list of \"host:port\"");
    while ((type = kb_json_next(&list)) == KB_JSON_STRING && joined) {
        const char *one = string_of(file, list.raw);
        joined =
            one ? kb_arena_printf(&own->arena, "%s%s%s", joined, *joined ? "," : "", one) : NULL;
    }
    if (!joined)
        return kb_error_code(file->err, KC_ERR_NOMEM);
    if (type != KB_JSON_ARRAY_END || !*joined)
        return bad(file, "brokers", "a list of \"host:port\"");
    file->config->brokers = joined;
    return KC_OK;
}

static kc_err read_whole(const char *path, kb_buf *buf, kc_error *err)
{
    FILE *stream = fopen(path, "rbe");
    if (!stream)
        return kb_error_errno(err, KC_ERR_IO, errno, "%s can't be opened", path);
    char block[4096];
    size_t got;
    while ((got = fread(block, 1, sizeof block, stream)) > 0)
        kb_buf_put(buf, block, got);
    bool is_failed = ferror(stream) != 0;
    fclose(stream);
    if (is_failed)
        return kb_error_errno(err, KC_ERR_IO, errno, "%s can't be read", path);
    if (buf->err != KC_OK)
        return kb_error_set(err, buf->err, "%s is larger than %d bytes.", path, FILE_BYTES_MAX);
    return KC_OK;
}

/** A secret from a file of its own, without its last line end. */
static kc_err read_secret(file_reader *file, const char **out)
{
    const char *path;
    KB_TRY(read_string(file, "passwordFile", &path));
    owned *own = file->config->owned;
    kb_buf buf;
    kb_buf_init(&buf, &own->mem, FILE_BYTES_MAX);
    kc_err err = read_whole(path, &buf, file->err);
    if (err == KC_OK) {
        *out = keep(file->config, kb_text_trim(kb_buf_bytes(&buf)));
        if (!*out)
            err = kb_error_code(file->err, KC_ERR_NOMEM);
    }
    if (buf.data)
        memset(buf.data, 0, buf.cap);
    kb_buf_cleanup(&buf);
    return err;
}

static kc_err read_retry(file_reader *file)
{
    if (kb_json_next(&file->json) != KB_JSON_OBJECT)
        return bad(file, "retry", "an object");
    while (kb_json_next(&file->json) == KB_JSON_KEY) {
        kc_bytes key = file->json.raw;
        if (kb_json_string_is(key, KC_STR("initialRetryTime")))
            KB_TRY(read_int(file, "retry.initialRetryTime", &file->config->retry_initial_ms));
        else if (kb_json_string_is(key, KC_STR("retries")))
            KB_TRY(read_int(file, "retry.retries", &file->config->retry_retries));
        else
            return unknown(file, "retry", key);
    }
    return KC_OK;
}

static kc_err read_sasl(file_reader *file)
{
    of_config *config = file->config;
    if (kb_json_next(&file->json) != KB_JSON_OBJECT)
        return bad(file, "sasl", "an object");
    while (kb_json_next(&file->json) == KB_JSON_KEY) {
        kc_bytes key = file->json.raw;
        if (kb_json_string_is(key, KC_STR("mechanism")))
            KB_TRY(read_string(file, "sasl.mechanism", &config->sasl_mechanism));
        else if (kb_json_string_is(key, KC_STR("username")))
            KB_TRY(read_string(file, "sasl.username", &config->sasl_username));
        else if (kb_json_string_is(key, KC_STR("password")))
            KB_TRY(read_string(file, "sasl.password", &config->sasl_password));
        else if (kb_json_string_is(key, KC_STR("passwordFile")))
            KB_TRY(read_secret(file, &config->sasl_password));
        else
            return unknown(file, "sasl", key);
    }
    return KC_OK;
}

static kc_err read_kafka(file_reader *file)
{
    if (kb_json_next(&file->json) != KB_JSON_OBJECT)
        return bad(file, "kafka", "an object of property: value");
    while (kb_json_next(&file->json) == KB_JSON_KEY) {
        const char *name = string_of(file, file->json.raw);
        kc_bytes raw;
        kb_json_type type = kb_json_value(&file->json, &raw);
        if (type == KB_JSON_OBJECT || type == KB_JSON_ARRAY || type == KB_JSON_NULL)
            return bad(file, name ? name : "kafka", "a string, number or boolean");
        const char *value = type == KB_JSON_STRING ? string_of(file, raw) : keep(file->config, raw);
        if (!name || !value)
            return kb_error_code(file->err, KC_ERR_NOMEM);
        KB_TRY(kc_config_set(file->config->kafka, name, value, file->err));
    }
    return KC_OK;
}

static kc_err read_policy(file_reader *file)
{
    kc_bytes raw;
    if (kb_json_value(&file->json, &raw) != KB_JSON_OBJECT)
        return bad(file, "policy", "an object of type: policy");
    return of_policies_load(file->config->policies, raw, file->err);
}

static kc_err read_member(file_reader *file, kc_bytes key)
{
    of_config *config = file->config;
    if (kb_json_string_is(key, KC_STR("clientId")))
        return read_string(file, "clientId", &config->client_id);
    if (kb_json_string_is(key, KC_STR("brokers")))
        return read_brokers(file);
    if (kb_json_string_is(key, KC_STR("connectionTimeout")))
        return read_int(file, "connectionTimeout", &config->connection_timeout_ms);
    if (kb_json_string_is(key, KC_STR("requestTimeout")))
        return read_int(file, "requestTimeout", &config->request_timeout_ms);
    if (kb_json_string_is(key, KC_STR("retry")))
        return read_retry(file);
    if (kb_json_string_is(key, KC_STR("ssl")))
        return read_bool(file, "ssl", &config->ssl);
    if (kb_json_string_is(key, KC_STR("sasl")))
        return read_sasl(file);
    if (kb_json_string_is(key, KC_STR("policy")))
        return read_policy(file);
    if (kb_json_string_is(key, KC_STR("kafka")))
        return read_kafka(file);
    return unknown(file, "the configuration", key);
}

static kc_err read_config(of_config *config, const char *path, kc_bytes text, kc_error *err)
{
    owned *own = config->owned;
    kc_error why;
    if (kb_json_check(text, true, &own->arena, &why) != KC_OK)
        return kb_error_set(err, KC_ERR_CONFIG, "%s is no JSON: %s", path, why.text);
    file_reader file = {.config = config, .path = path, .err = err};
    kb_json_reader_init(&file.json, text);
    if (kb_json_next(&file.json) != KB_JSON_OBJECT)
        return kb_error_set(err, KC_ERR_CONFIG, "%s must hold a JSON object.", path);
    while (kb_json_next(&file.json) == KB_JSON_KEY)
        KB_TRY(read_member(&file, file.json.raw));
    return KC_OK;
}

kc_err of_config_load_file(of_config *config, const char *path, kc_error *err)
{
    owned *own = config->owned;
    kb_buf buf;
    kb_buf_init(&buf, &own->mem, FILE_BYTES_MAX);
    kc_err result = read_whole(path, &buf, err);
    if (result == KC_OK)
        result = read_config(config, path, kb_buf_bytes(&buf), err);
    kb_buf_cleanup(&buf);
    return result;
}

kc_err of_config_load_env(of_config *config, kc_error *err)
{
    const struct {
        const char *name;
        const char **field;
    } variables[] = {{"KAFKA_BROKERS", &config->brokers},
                     {"KAFKA_CLIENT_ID", &config->client_id},
                     {"DEMO_ORG_ID", &config->demo_org_id}};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *value = getenv(variables[i].name);
        if (!value || !*value)
            continue;
        *variables[i].field = keep(config, kc_str(value));
        if (!*variables[i].field)
            return kb_error_code(err, KC_ERR_NOMEM);
    }
    return KC_OK;
}
