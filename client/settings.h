/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * All properties as typed fields, filled by the one table in client/config_table.c. */
#ifndef KC_SETTINGS_H
#define KC_SETTINGS_H

#include "protocol/base/buf.h"
#include "protocol/compress.h"

#include <kafkac/config.h>

typedef enum kc_offset_reset {
    KC_RESET_LATEST,
    KC_RESET_EARLIEST,
    KC_RESET_NONE,
} kc_offset_reset;

/** Names are the properties' with '_' for '.'; defaults stand in the table. Strings belong to the
 * kc_config. Lists are in one form: no blanks, Java's class names replaced by our words. */
typedef struct kc_settings {
    /* client */
    const char *bootstrap_servers;
    const char *client_id;
    int64_t memory_bytes_max;
    int32_t request_timeout_ms;
    int32_t default_api_timeout_ms;
    int32_t socket_connection_setup_timeout_ms;
    int32_t socket_connection_setup_timeout_max_ms;
    int32_t reconnect_backoff_ms;
    int32_t reconnect_backoff_max_ms;
    int32_t retry_backoff_ms;
    int32_t retry_backoff_max_ms;
    int32_t connections_max_idle_ms; /**< -1 or 0: never */
    int32_t metadata_max_age_ms;
    bool dns_lookup_canonical;          /**< of client.dns.lookup */
    bool metadata_recovery_rebootstrap; /**< of metadata.recovery.strategy */
    int32_t metadata_recovery_rebootstrap_trigger_ms;
    int32_t send_buffer_bytes;
    int32_t receive_buffer_bytes;
    int32_t receive_message_max_bytes;
    const char *proxy_url;         /**< NULL: none. Has a password               */
    const char *security_protocol; /**< PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL */
    const char *sasl_mechanism;    /**< NULL: none chosen                         */
    const char *sasl_username;     /**< NULL: none, and so the following          */
    const char *sasl_password;
    const char *sasl_jaas_config;
    const char *sasl_oauthbearer_token;
    const char *sasl_kerberos_service_name;
    const char *sasl_kerberos_principal;
    const char *sasl_kerberos_keytab;
    const char *sasl_kerberos_ticket_cache;
    const char *sasl_oauthbearer_token_endpoint_url;
    const char *sasl_oauthbearer_client_id; /**< ...client.credentials.client.id */
    const char *sasl_oauthbearer_client_secret;
    const char *sasl_oauthbearer_scope;
    int32_t sasl_login_connect_timeout_ms;
    int32_t sasl_login_read_timeout_ms;
    int32_t sasl_login_retry_backoff_ms;
    int32_t sasl_login_retry_backoff_max_ms;
    double sasl_login_refresh_window_factor;
    double sasl_login_refresh_window_jitter;
    int32_t sasl_login_refresh_min_period_seconds;
    int32_t sasl_login_refresh_buffer_seconds;
    const char *debug; /**< list of kc_debug's words; empty: all */

    /* TLS; NULL: not set */
    const char *ssl_truststore_location;
    const char *ssl_truststore_certificates;
    const char *ssl_truststore_type;
    const char *ssl_keystore_type; /**< PEM, PKCS12 */
    const char *ssl_keystore_location;
    const char *ssl_keystore_password;
    const char *ssl_keystore_certificate_chain;
    const char *ssl_keystore_key;
    const char *ssl_key_password;
    const char *ssl_enabled_protocols; /**< list */
    const char *ssl_protocol;
    const char *ssl_cipher_suites; /**< list; empty: OpenSSL's */
    bool ssl_verifies_host;        /**< of ssl.endpoint.identification.algorithm */
    bool sasl_oauthbearer_header_urlencode;

    /* producer */
    int32_t acks; /**< -1, 0, 1 */
    int32_t linger_ms;
    int32_t batch_size;
    int64_t buffer_memory;
    int32_t max_request_size;
    int32_t delivery_timeout_ms;
    int32_t max_in_flight_requests_per_connection;
    int32_t retries;
    bool enable_idempotence; /**< false only, in this release */
    kp_codec compression_type;
    int32_t compression_gzip_level;
    int32_t compression_lz4_level;
    int32_t compression_zstd_level;
    const char *partitioner; /**< of partitioner.class: "murmur2" (default), "roundrobin" */

    /* consumer */
    const char *group_id;          /**< NULL: none */
    const char *group_instance_id; /**< NULL: none */
    int32_t session_timeout_ms;
    int32_t heartbeat_interval_ms;
    int32_t max_poll_interval_ms;              /**< the rebalance timeout told to the group */
    const char *partition_assignment_strategy; /**< list; "range" in this release */
    bool enable_auto_commit;
    int32_t auto_commit_interval_ms;
    kc_offset_reset auto_offset_reset;
    bool isolation_read_committed; /**< of isolation.level */
    int32_t fetch_min_bytes;
    int32_t fetch_max_bytes;
    int32_t fetch_max_wait_ms;
    int32_t max_partition_fetch_bytes;
    bool check_crcs;
    bool allow_auto_create_topics;
    const char *client_rack;
    int64_t decompressed_bytes_max; /**< of one batch (a bomb ends here) */
} kc_settings;

/** Bytes of memory.bytes.max that stay free for control traffic whatever records take. */
#define KC_MEMORY_RESERVE_BYTES 8388608

/** kc_config_new() and kc_config_copy() in counted memory, which must outlive the config. */
KC_NODISCARD kc_config *kc_config_new_in(kb_mem *mem);
KC_NODISCARD kc_config *kc_config_copy_in(kb_mem *mem, const kc_config *config);

/** Valid as long as the config, until the next kc_config_set(). */
const kc_settings *kc_config_settings(const kc_config *config);
/** Checks that need more than one property (linger + request timeout <= delivery timeout, ...). */
KC_NODISCARD kc_err kc_config_check(const kc_config *config, kc_error *err);

/** docs/configuration.md. Failure sticks in `out`. */
void kc_config_print_docs(kb_buf *out);

#endif
