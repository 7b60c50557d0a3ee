/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Configuration of the platform: by struct, by JSON file, by environment, in the seed's names. */
#ifndef OFFICEFLOW_CONFIG_H
#define OFFICEFLOW_CONFIG_H

#include <kafkac/config.h>
#include <officeflow/policy.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Fill after of_config_init(). Order of precedence is the caller's: load the file, then the
 * environment, then set fields. Strings set by hand stay the caller's.
 */
typedef struct of_config {
    const char *client_id; /**< clientId; default "officeflow"                                 */
    const char
        *brokers; /**< brokers / KAFKA_BROKERS: "host:port,host:port"; default localhost:9092 */
    int32_t connection_timeout_ms; /**< connectionTimeout; 0: the client's default */
    int32_t request_timeout_ms;    /**< requestTimeout; 0: the client's default    */
    int32_t retry_initial_ms;      /**< retry.initialRetryTime: of connections and requests, not of
                                      messages */
    int32_t retry_retries; /**< retry.retries; -1: the client's default                        */
    bool ssl;              /**< TLS; certificates by `kafka`: ssl.truststore.location, ...     */
    const char *sasl_mechanism, *sasl_username, *sasl_password; /**< NULL: none; "plain",
                                                                   "scram-sha-256", ... */
    const char *demo_org_id; /**< DEMO_ORG_ID; NULL: none                                        */
    of_policies *policies;   /**< owned; never NULL after init                                   */
    kc_config *kafka;        /**< owned; further properties of the client, never NULL after init */
    void *owned;             /**< private                                                        */
} of_config;

/** Defaults. KC_OK, KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err of_config_init(of_config *config);
KC_API void of_config_cleanup(of_config *config);
/** Deep copy into an uninitialised one. KC_OK, KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err of_config_copy(of_config *to, const of_config *from);
/** JSON file with the seed's members: clientId, brokers (list or text), connectionTimeout,
 * requestTimeout, retry{initialRetryTime,retries}, ssl,
 * sasl{mechanism,username,password,passwordFile}, policy{...} (see of_policies_load()),
 * kafka{property: value}. Unknown members are errors.
 *  @retval KC_OK, KC_ERR_CONFIG, KC_ERR_IO, KC_ERR_NOMEM. */
KC_API KC_NODISCARD kc_err of_config_load_file(of_config *config, const char *path, kc_error *err);
/** KAFKA_BROKERS, KAFKA_CLIENT_ID, DEMO_ORG_ID where set. */
KC_API KC_NODISCARD kc_err of_config_load_env(of_config *config, kc_error *err);

#ifdef __cplusplus
}
#endif
#endif
