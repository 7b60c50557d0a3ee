/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The platform handle: makes the Kafka client from the seed's configuration and holds what its
 * parts share. */
#include "officeflow/platform_core.h"
#include "protocol/base/error.h"

#include <stdio.h>

#define METADATA_MAX_AGE_MS 30000

/** Copy the configuration: the strings, the properties, and the policies by taking a reference to
 * the caller's would tie lifetimes, so they are copied too. */
static kc_err copy_config(const of_config *from, of_config *to, kc_error *err)
{
    if (from)
        return of_config_copy(to, from);
    kc_err result = of_config_init(to);
    return result == KC_OK ? of_config_load_env(to, err) : result;
}

static kc_err set_number(kc_config *config, const char *name, int64_t value, kc_error *err)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return kc_config_set(config, name, text, err);
}

static kc_err set_unless_set(kc_config *config, const char *name, const char *value, kc_error *err)
{
    if (!value || kc_config_is_set(config, name))
        return KC_OK;
    return kc_config_set(config, name, value, err);
}

/** ssl and sasl{}. */
static kc_err apply_security(of_config *config, kc_error *err)
{
    kc_config *kafka = config->kafka;
    bool is_sasl = config->sasl_mechanism != NULL;
    if (config->ssl || is_sasl)
        KB_TRY(set_unless_set(kafka, "security.protocol",
                              !config->ssl ? "SASL_PLAINTEXT"
                              : is_sasl    ? "SASL_SSL"
                                           : "SSL",
                              err));
    KB_TRY(set_unless_set(kafka, "sasl.mechanism", config->sasl_mechanism, err));
    KB_TRY(set_unless_set(kafka, "sasl.username", config->sasl_username, err));
    return set_unless_set(kafka, "sasl.password", config->sasl_password, err);
}

/** Smaller ones mean the client's default. */
static kc_err set_from(int64_t least, kc_config *config, const char *name, int64_t value,
                       kc_error *err)
{
    return value >= least ? set_number(config, name, value, err) : KC_OK;
}

/** connectionTimeout, requestTimeout, retry{}. */
static kc_err apply_times(of_config *config, kc_error *err)
{
    kc_config *kafka = config->kafka;
    int64_t connect_ms = config->connection_timeout_ms;
    int64_t backoff_ms = config->retry_initial_ms;
    int64_t backoff_max_ms = 0;
    if (backoff_ms > 0) // KafkaJS, whose names these are, doubles up to 30 s
        backoff_max_ms = backoff_ms > 1000 ? 30000 : 1000;
    KB_TRY(set_from(1, kafka, "socket.connection.setup.timeout.ms", connect_ms, err));
    KB_TRY(set_from(1, kafka, "socket.connection.setup.timeout.max.ms", connect_ms, err));
    KB_TRY(set_from(1, kafka, "request.timeout.ms", config->request_timeout_ms, err));
    KB_TRY(set_from(1, kafka, "retry.backoff.ms", backoff_ms, err));
    KB_TRY(set_from(1, kafka, "retry.backoff.max.ms", backoff_max_ms, err));
    return set_from(0, kafka, "retries", config->retry_retries, err);
}

/** The seed's names as properties of the client. What `kafka` sets by its own name stays. */
static kc_err apply_seed_names(of_config *config, kc_error *err)
{
    kc_config *kafka = config->kafka;
    KB_TRY(apply_security(config, err));
    KB_TRY(set_unless_set(kafka, "bootstrap.servers", config->brokers, err));
    KB_TRY(set_unless_set(kafka, "client.id", config->client_id, err));
    if (!kc_config_is_set(kafka,
                          "metadata.max.age.ms")) // wildcards look for new topics at this pace
        KB_TRY(set_number(kafka, "metadata.max.age.ms", METADATA_MAX_AGE_MS, err));
    return apply_times(config, err);
}

kc_err of_platform_make(kc_client *client, const of_config *config,
                        const kc_client_options *options, of_platform **platform_out, kc_error *err)
{
    kb_mem mem;
    kb_mem_init(&mem, options ? options->alloc : NULL, 0);
    of_platform *platform = kb_mem_zalloc(&mem, sizeof *platform);
    if (!platform)
        return kb_error_code(err, KC_ERR_NOMEM);
    platform->mem = mem;
    kb_map_init(&platform->breakers, &platform->mem);
    kb_list_init(&platform->parts);
    kc_err result = copy_config(config, &platform->config, err);
    if (result == KC_OK)
        result = apply_seed_names(&platform->config, err);
    platform->client = client;
    if (result == KC_OK && !client) {
        result = kc_client_new(platform->config.kafka, options, &platform->client, err);
        platform->owns_client = result == KC_OK;
    }
    platform->tracker = of_tracker_instance();
    if (result == KC_OK && !platform->tracker)
        result = kb_error_code(err, KC_ERR_NOMEM);
    if (result != KC_OK)
        of_platform_close(platform);
    else
        *platform_out = platform;
    return result;
}

kc_err of_platform_open(const of_config *config, const kc_client_options *options,
                        of_platform **platform_out, kc_error *err)
{
    return of_platform_make(NULL, config, options, platform_out, err);
}

kc_err of_platform_open_on(kc_client *client, const of_config *config, of_platform **platform_out,
                           kc_error *err)
{
    return of_platform_make(client, config, NULL, platform_out, err);
}

void of_platform_close(of_platform *platform)
{
    if (!platform)
        return;
    while (!kb_list_is_empty(&platform->parts)) {
        of_part *part = KB_CONTAINER(platform->parts.next, of_part, node);
        kb_list_remove(&part->node);
        part->abandon(part);
    }
    if (platform->owns_client)
        kc_client_free(platform->client);
    size_t pos = 0;
    of_breaker *breaker;
    while ((breaker = kb_map_next(&platform->breakers, &pos)) != NULL)
        of_breaker_free(breaker);
    kb_map_cleanup(&platform->breakers);
    of_config_cleanup(&platform->config);
    kb_mem mem = platform->mem;
    kb_mem_free(&mem, platform);
}

kc_client *of_platform_client(of_platform *platform)
{
    return platform->client;
}

of_tracker *of_platform_tracker(of_platform *platform)
{
    return platform->tracker;
}

const of_policies *of_platform_policies(const of_platform *platform)
{
    return platform->config.policies;
}

of_breaker *of_platform_breaker(of_platform *platform, const char *name,
                                const of_breaker_options *options)
{
    of_breaker *breaker = kb_map_get(&platform->breakers, kc_str(name));
    if (breaker)
        return breaker;
    breaker = of_breaker_new(name, options, kc_client_random(platform->client));
    if (!breaker)
        return NULL;
    if (kb_map_put(&platform->breakers, kc_str(of_breaker_name(breaker)), breaker) != KC_OK) {
        of_breaker_free(breaker);
        return NULL;
    }
    return breaker;
}

of_breaker *of_platform_next_breaker(of_platform *platform, size_t *pos)
{
    return kb_map_next(&platform->breakers, pos);
}

kc_admin_result *of_admin_wait(of_platform *platform, kc_err started, kc_admin_waiter *waiter,
                               kc_error *err)
{
    if (started != KC_OK || kc_admin_wait(platform->client, waiter, err) != KC_OK) {
        kc_admin_free(waiter->result);
        waiter->result = NULL;
    }
    return waiter->result;
}
