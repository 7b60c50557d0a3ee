/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The one table of properties: names and defaults of the Java client of Kafka 4.3 where it has
 * them. */
#include "client/config_table.h"

#include "protocol/base/text.h"

_Static_assert(sizeof(kc_offset_reset) == sizeof(int32_t), "words are stored as int32_t");
_Static_assert(sizeof(kp_codec) == sizeof(int32_t), "words are stored as int32_t");

#define LATER(what) what " comes with a later release"

static const kc_word security_words[] = {
    {"PLAINTEXT", 0, NULL, NULL}, {"SSL", 1, NULL, NULL}, {"SASL_PLAINTEXT", 2, NULL, NULL},
    {"SASL_SSL", 3, NULL, NULL},  {NULL, 0, NULL, NULL},
};
static const kc_word dns_words[] = {
    {"use_all_dns_ips", 0, NULL, NULL},
    {"resolve_canonical_bootstrap_servers_only", 1, NULL, NULL},
    {NULL, 0, NULL, NULL},
};
static const kc_word recovery_words[] = {
    {"rebootstrap", 1, "REBOOTSTRAP", NULL},
    {"none", 0, "NONE", NULL},
    {NULL, 0, NULL, NULL},
};
static const kc_word mechanism_words[] = {
    {"PLAIN", 0, NULL, NULL},         {"SCRAM-SHA-256", 1, NULL, NULL},
    {"SCRAM-SHA-512", 2, NULL, NULL}, {"OAUTHBEARER", 3, NULL, NULL},
    {"GSSAPI", 4, NULL, NULL},        {NULL, 0, NULL, NULL},
};
#define CONVERT ": convert the store to PKCS12 (keytool -importkeystore) or PEM"
static const kc_word truststore_words[] = {
    {"PEM", 0, NULL, NULL},
    {"JKS", 1, NULL, "it is Java's own: keytool -exportcert -rfc writes its certificates as PEM"},
    {"PKCS12", 2, NULL, "certificates to trust are read as PEM: openssl pkcs12 -nokeys writes it"},
    {NULL, 0, NULL, NULL},
};
static const kc_word keystore_words[] = {
    {"PEM", 0, NULL, NULL},
    {"PKCS12", 1, NULL, NULL},
    {"JKS", 2, NULL, "it is Java's own" CONVERT},
    {NULL, 0, NULL, NULL},
};
static const kc_word tls_words[] = {
    {"TLSv1.2", 0, NULL, NULL},
    {"TLSv1.3", 1, NULL, NULL},
    {NULL, 0, NULL, NULL},
};
static const kc_word tls_highest_words[] = {
    {"TLSv1.3", 1, "TLS", NULL},
    {"TLSv1.2", 0, NULL, NULL},
    {NULL, 0, NULL, NULL},
};
static const kc_word identification_words[] = {
    {"https", 1, NULL, NULL},
    {"", 0, NULL, NULL},
    {NULL, 0, NULL, NULL},
};
static const kc_word debug_words[] = {
    {"metadata", 0, NULL, NULL}, {"net", 0, NULL, NULL},   {"producer", 0, NULL, NULL},
    {"consumer", 0, NULL, NULL}, {"group", 0, NULL, NULL}, {"admin", 0, NULL, NULL},
    {"wire", 0, NULL, NULL},     {"all", 0, NULL, NULL},   {NULL, 0, NULL, NULL},
};
static const kc_word acks_words[] = {
    {"all", -1, NULL, NULL}, {"-1", -1, NULL, NULL}, {"0", 0, NULL, NULL},
    {"1", 1, NULL, NULL},    {NULL, 0, NULL, NULL},
};
static const kc_word idempotence_words[] = {
    {"false", 0, NULL, NULL},
    {"true", 1, NULL, LATER("the idempotent producer") ": set it to false or leave it out"},
    {NULL, 0, NULL, NULL},
};
static const kc_word compression_words[] = {
    {"none", KP_CODEC_NONE, NULL, NULL},     {"gzip", KP_CODEC_GZIP, NULL, NULL},
    {"snappy", KP_CODEC_SNAPPY, NULL, NULL}, {"lz4", KP_CODEC_LZ4, NULL, NULL},
    {"zstd", KP_CODEC_ZSTD, NULL, NULL},     {NULL, 0, NULL, NULL},
};
static const kc_word partitioner_words[] = {
    {"murmur2", 0, "org.apache.kafka.clients.producer.internals.DefaultPartitioner", NULL},
    {"roundrobin", 1, "org.apache.kafka.clients.producer.RoundRobinPartitioner", NULL},
    {NULL, 0, NULL, NULL},
};
static const kc_word assignor_words[] = {
    {"range", 0, "org.apache.kafka.clients.consumer.RangeAssignor", NULL},
    {"roundrobin", 1, "org.apache.kafka.clients.consumer.RoundRobinAssignor",
     LATER("this assignor") ": use range"},
    {"sticky", 2, "org.apache.kafka.clients.consumer.StickyAssignor",
     LATER("this assignor") ": use range"},
    {"cooperative-sticky", 3, "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
     LATER("this assignor") ": use range"},
    {NULL, 0, NULL, NULL},
};
static const kc_word reset_words[] = {
    {"latest", KC_RESET_LATEST, NULL, NULL},
    {"earliest", KC_RESET_EARLIEST, NULL, NULL},
    {"none", KC_RESET_NONE, NULL, NULL},
    {NULL, 0, NULL, NULL},
};
static const kc_word isolation_words[] = {
    {"read_uncommitted", 0, NULL, NULL},
    {"read_committed", 1, NULL, NULL},
    {NULL, 0, NULL, NULL},
};

#define AT(field) (uint16_t) offsetof(kc_settings, field)
#define STRING(name, field, fallback, allowed, is_empty_fine, scope, doc)                          \
    {                                                                                              \
        {name, "string", fallback, allowed, scope, doc}, KC_KIND_STRING, AT(field), is_empty_fine, \
            false, 0, 0, NULL                                                                      \
    }
#define SECRET(name, field, scope, doc)                                                            \
    {                                                                                              \
        {name, "password", NULL, "", scope, doc}, KC_KIND_STRING, AT(field), false, true, 0, 0,    \
            NULL                                                                                   \
    }
/* Numbers are written once: as the check and, by the preprocessor, as the text of the documents. */
#define NUMBER(name, type, kind, field, fallback, scale, low, high, scope, doc)                    \
    {                                                                                              \
        {name, type, #fallback, "[" #low ", " #high "]", scope, doc}, kind, AT(field), false,      \
            false, (int64_t)((low)*scale), (int64_t)((high)*scale), NULL                           \
    }
#define INT(name, field, fallback, low, high, scope, doc)                                          \
    NUMBER(name, "int", KC_KIND_INT, field, fallback, 1, low, high, scope, doc)
#define LONG(name, field, fallback, low, high, scope, doc)                                         \
    NUMBER(name, "long", KC_KIND_LONG, field, fallback, 1, low, high, scope, doc)
#define DOUBLE(name, field, fallback, low, high, scope, doc)                                       \
    NUMBER(name, "double", KC_KIND_DOUBLE, field, fallback, 1000, low, high, scope, doc)
#define BOOLEAN(name, field, fallback, scope, doc)                                                 \
    {                                                                                              \
        {name, "boolean", #fallback, "true, false", scope, doc}, KC_KIND_BOOLEAN, AT(field),       \
            false, false, 0, 1, NULL                                                               \
    }
#define LIST(name, field, fallback, allowed, words, is_empty_fine, scope, doc)                     \
    {                                                                                              \
        {name, "list", fallback, allowed, scope, doc}, KC_KIND_LIST, AT(field), is_empty_fine,     \
            false, 0, 0, words                                                                     \
    }
#define WORD(name, type, kind, field, fallback, allowed, words, scope, doc)                        \
    {                                                                                              \
        {name, type, fallback, allowed, scope, doc}, kind, AT(field), false, false, 0, 0, words    \
    }

#define CLIENT   "client"
#define PRODUCER "producer"
#define CONSUMER "consumer"

const kc_config_row kc_config_rows[] = {
    LIST("bootstrap.servers", bootstrap_servers, "localhost:9092", "host:port,...", NULL, false,
         CLIENT,
         "Where to begin: addresses of some brokers. The others are learned from these. IPv6 "
         "literals stand in brackets."),
    STRING("client.id", client_id, "kafkac", "", true, CLIENT,
           "Name of this client in the brokers' logs, metrics and quotas."),
    LONG(
        "memory.bytes.max", memory_bytes_max, 134217728, 1048576, 1099511627776, CLIENT,
        "Most bytes the client and everything opened on it may hold. Never crossed. It has to hold "
        "buffer.memory, and fetch.max.bytes with decompressed.bytes.max, each with 8 MiB to "
        "spare. (Not of the Java client.)"),
    INT("request.timeout.ms", request_timeout_ms, 30000, 1, 2147483647, CLIENT,
        "Longest wait for the answer to one request; then the connection is closed and the request "
        "tried again where that is safe."),
    INT("default.api.timeout.ms", default_api_timeout_ms, 60000, 1, 2147483647, CLIENT,
        "Time for a whole call with all its retries, where the call names none."),
    INT("socket.connection.setup.timeout.ms", socket_connection_setup_timeout_ms, 10000, 1,
        2147483647, CLIENT,
        "Longest time to connect. Grows with every failure in a row, up to the maximum."),
    INT("socket.connection.setup.timeout.max.ms", socket_connection_setup_timeout_max_ms, 30000, 1,
        2147483647, CLIENT, "Where that growth ends."),
    INT("reconnect.backoff.ms", reconnect_backoff_ms, 50, 0, 2147483647, CLIENT,
        "Wait before a broker is connected again. Doubles with every failure in a row, up to the "
        "maximum, with 20 % of chance."),
    INT("reconnect.backoff.max.ms", reconnect_backoff_max_ms, 1000, 0, 2147483647, CLIENT,
        "Where that growth ends."),
    INT("retry.backoff.ms", retry_backoff_ms, 100, 0, 2147483647, CLIENT,
        "Wait before a failed request is tried again. Doubles with every failure, up to the "
        "maximum, with 20 % of chance."),
    INT("retry.backoff.max.ms", retry_backoff_max_ms, 1000, 0, 2147483647, CLIENT,
        "Where that growth ends."),
    INT("connections.max.idle.ms", connections_max_idle_ms, 540000, -1, 2147483647, CLIENT,
        "Close a connection unused for so long, before the broker does (10 minutes by default). "
        "-1 or 0: never."),
    INT("metadata.max.age.ms", metadata_max_age_ms, 300000, 0, 2147483647, CLIENT,
        "Ask anew for brokers and topics after this time, also when nothing failed."),
    WORD(
        "client.dns.lookup", "string", KC_KIND_WORD_BOOL, dns_lookup_canonical, "use_all_dns_ips",
        "use_all_dns_ips, resolve_canonical_bootstrap_servers_only", dns_words, CLIENT,
        "All addresses of a name are tried either way. resolve_canonical_bootstrap_servers_only: "
        "the "
        "addresses of bootstrap.servers are looked up for their canonical names (PTR), anew with "
        "each beginning, and those are connected to: for TLS and Kerberos behind a common name. An "
        "address whose name does not lead back to it is used itself."),
    WORD("metadata.recovery.strategy", "string", KC_KIND_WORD_BOOL, metadata_recovery_rebootstrap,
         "rebootstrap", "rebootstrap, none", recovery_words, CLIENT,
         "rebootstrap: bootstrap.servers are asked again while no known broker can be connected, "
         "after metadata.recovery.rebootstrap.trigger.ms, and when a broker asks for it. none: "
         "never."),
    INT("metadata.recovery.rebootstrap.trigger.ms", metadata_recovery_rebootstrap_trigger_ms,
        300000, 0, 2147483647, CLIENT,
        "When no known broker has answered for so long, begin anew with bootstrap.servers."),
    INT("send.buffer.bytes", send_buffer_bytes, -1, -1, 2147483647, CLIENT,
        "SO_SNDBUF of a connection. -1: the system's, which grows by itself."),
    INT("receive.buffer.bytes", receive_buffer_bytes, -1, -1, 2147483647, CLIENT,
        "SO_RCVBUF of a connection. -1: the system's, which grows by itself."),
    INT("receive.message.max.bytes", receive_message_max_bytes, 104857600, 1000, 2147483647, CLIENT,
        "A larger answer closes the connection. (Not of the Java client.)"),
    SECRET("proxy.url", proxy_url, CLIENT,
           "Proxy that all connections go through: `socks5://[user:password@]host[:port]` (port "
           "1080; `socks5h` is the same) or `http://[user:password@]host[:port]` (port 8080, by "
           "CONNECT, which has to be allowed for the brokers' ports). Special characters of user "
           "and password are written as %XX. Names of brokers are told to the proxy and never "
           "looked up here. The environment (http_proxy, ALL_PROXY) is not looked at. (Not of the "
           "Java client.)"),
    WORD("security.protocol", "string", KC_KIND_WORD_TEXT, security_protocol, "PLAINTEXT",
         "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", security_words, CLIENT,
         "How to talk to brokers. SSL is TLS; SASL_...: authenticate by sasl.mechanism."),
    STRING(
        "ssl.truststore.location", ssl_truststore_location, NULL, "", true, CLIENT,
        "Certificates to trust: a PEM file, or a folder prepared by openssl rehash. Neither this "
        "nor ssl.truststore.certificates: the system's CAs. Files that changed are read anew "
        "when the next connection is opened."),
    STRING("ssl.truststore.certificates", ssl_truststore_certificates, NULL, "", true, CLIENT,
           "The same as PEM text."),
    WORD("ssl.truststore.type", "string", KC_KIND_WORD_TEXT, ssl_truststore_type, "PEM", "PEM",
         truststore_words, CLIENT, "Form of ssl.truststore.location."),
    WORD("ssl.keystore.type", "string", KC_KIND_WORD_TEXT, ssl_keystore_type, "PEM", "PEM, PKCS12",
         keystore_words, CLIENT, "Form of ssl.keystore.location."),
    STRING("ssl.keystore.location", ssl_keystore_location, NULL, "", true, CLIENT,
           "Private key, certificate and its chain, for brokers that ask for a client certificate: "
           "one file. Read anew as the truststore is."),
    SECRET("ssl.keystore.password", ssl_keystore_password, CLIENT, "Password of a PKCS12 file."),
    SECRET("ssl.keystore.key", ssl_keystore_key, CLIENT,
           "Private key as PEM text (PKCS#8), instead of the file."),
    STRING("ssl.keystore.certificate.chain", ssl_keystore_certificate_chain, NULL, "", true, CLIENT,
           "Certificate and its chain as PEM text, for ssl.keystore.key."),
    SECRET("ssl.key.password", ssl_key_password, CLIENT,
           "Password of the private key in PEM, where it is encrypted."),
    LIST("ssl.enabled.protocols", ssl_enabled_protocols, "TLSv1.2,TLSv1.3", "TLSv1.2, TLSv1.3",
         tls_words, false, CLIENT, "Versions that may be negotiated."),
    WORD("ssl.protocol", "string", KC_KIND_WORD_TEXT, ssl_protocol, "TLSv1.3", "TLSv1.3, TLSv1.2",
         tls_highest_words, CLIENT, "The highest of them."),
    LIST("ssl.cipher.suites", ssl_cipher_suites, "", "names as Java or OpenSSL has them", NULL,
         true, CLIENT,
         "Suites that may be negotiated, of TLS 1.3 and 1.2 in one list; a version without a suite "
         "is off. Empty: OpenSSL's choice."),
    WORD("ssl.endpoint.identification.algorithm", "string", KC_KIND_WORD_BOOL, ssl_verifies_host,
         "https", "https, or empty", identification_words, CLIENT,
         "The broker's certificate must be for the name it is connected by. Empty: not checked, "
         "so anybody with a certificate of a trusted CA can play the broker."),
    WORD("sasl.mechanism", "string", KC_KIND_WORD_TEXT, sasl_mechanism, NULL,
         "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, GSSAPI", mechanism_words, CLIENT,
         "How to authenticate. (The Java client's default is GSSAPI; here it has to be chosen.)"),
    STRING("sasl.username", sasl_username, NULL, "", false, CLIENT,
           "Name for PLAIN and SCRAM. (Not of the Java client.)"),
    SECRET("sasl.password", sasl_password, CLIENT,
           "Password for PLAIN and SCRAM; blanks at its ends count. kc_client_set_credentials() "
           "replaces it at run time. (Not of the Java client.)"),
    SECRET("sasl.jaas.config", sasl_jaas_config, CLIENT,
           "The Java client's way to say the same: PlainLoginModule or ScramLoginModule with "
           "username and password, OAuthBearerLoginModule with clientId, clientSecret, scope and "
           "extension_NAME options, Krb5LoginModule with serviceName, principal, keyTab and "
           "ticketCache."),
    SECRET(
        "sasl.oauthbearer.token", sasl_oauthbearer_token, CLIENT,
        "A token for OAUTHBEARER that never changes; kc_client_options.token_fn gets fresh ones. "
        "(Not of the Java client.)"),
    STRING("sasl.kerberos.service.name", sasl_kerberos_service_name, "kafka", "", false, CLIENT,
           "First part of the brokers' Kerberos principals: NAME/HOST@REALM, where HOST is as in "
           "bootstrap.servers and advertised.listeners. (The Java client has no default.)"),
    STRING("sasl.kerberos.principal", sasl_kerberos_principal, NULL, "", true, CLIENT,
           "Who to be for GSSAPI. Not set: the first of the keytab or of the ticket cache. (Not of "
           "the Java client, which has it in sasl.jaas.config.)"),
    STRING("sasl.kerberos.keytab", sasl_kerberos_keytab, NULL, "", true, CLIENT,
           "File with the principal's keys, by which the Kerberos library gets tickets and gets "
           "them anew in time. Not set: only tickets of sasl.kerberos.ticket.cache, which somebody "
           "has to fill (kinit). (Not of the Java client.)"),
    STRING("sasl.kerberos.ticket.cache", sasl_kerberos_ticket_cache, NULL, "", true, CLIENT,
           "Where tickets are, as KRB5CCNAME has it. Not set: with a keytab in memory, until the "
           "client is freed; without one the default cache. (Not of the Java client.)"),
    STRING("sasl.oauthbearer.token.endpoint.url", sasl_oauthbearer_token_endpoint_url, NULL,
           "https://..., http://...", false, CLIENT,
           "Where tokens for OAUTHBEARER are fetched, by the client credentials grant of OAuth 2.0 "
           "(KIP-768). Its certificate is checked by the ssl.truststore.* in sasl.jaas.config, or "
           "else "
           "the properties of that name, and always for its name. "
           "Proxies are those of the environment (https_proxy, no_proxy). With http:// the secret "
           "goes in clear, which is warned of. Needs libcurl."),
    STRING("sasl.oauthbearer.client.credentials.client.id", sasl_oauthbearer_client_id, NULL, "",
           false, CLIENT, "Who we are there; or clientId in sasl.jaas.config."),
    SECRET("sasl.oauthbearer.client.credentials.client.secret", sasl_oauthbearer_client_secret,
           CLIENT, "Its password; or clientSecret in sasl.jaas.config."),
    STRING("sasl.oauthbearer.scope", sasl_oauthbearer_scope, NULL, "", true, CLIENT,
           "What the token is asked to be good for; or scope in sasl.jaas.config. Blanks between "
           "several."),
    BOOLEAN("sasl.oauthbearer.header.urlencode", sasl_oauthbearer_header_urlencode, false, CLIENT,
            "Write id and secret as in a form before they go into the Authorization header, as RFC "
            "6749 has it. Only where they have characters beyond letters, digits and .-*_ does it "
            "make a difference: then by what the provider expects."),
    INT("sasl.login.connect.timeout.ms", sasl_login_connect_timeout_ms, 10000, 1, 2147483647,
        CLIENT,
        "Longest time to connect to the token endpoint, TLS included. (The Java client has no "
        "limit unless it is set.)"),
    INT("sasl.login.read.timeout.ms", sasl_login_read_timeout_ms, 10000, 1, 2147483647, CLIENT,
        "And so much more for its whole answer. (The Java client has no limit unless it is set, "
        "and counts from one piece to the next.)"),
    INT("sasl.login.retry.backoff.ms", sasl_login_retry_backoff_ms, 100, 1, 2147483647, CLIENT,
        "Wait before a token that could not be fetched is asked for again: after no answer, 5xx, "
        "408 or 429. Doubles with every failure in a row, with 20 % of chance."),
    INT("sasl.login.retry.backoff.max.ms", sasl_login_retry_backoff_max_ms, 10000, 1, 2147483647,
        CLIENT, "For how long, in all: then who waits for the token is told that there is none."),
    DOUBLE("sasl.login.refresh.window.factor", sasl_login_refresh_window_factor, 0.8, 0.5, 1.0,
           CLIENT, "Share of a token's life after which the next one is asked for."),
    DOUBLE("sasl.login.refresh.window.jitter", sasl_login_refresh_window_jitter, 0.05, 0.0, 0.25,
           CLIENT, "Up to this share later, by chance."),
    INT("sasl.login.refresh.min.period.seconds", sasl_login_refresh_min_period_seconds, 60, 0, 900,
        CLIENT, "Not earlier than this after the last token ..."),
    INT("sasl.login.refresh.buffer.seconds", sasl_login_refresh_buffer_seconds, 300, 0, 3600,
        CLIENT,
        "... nor in the last seconds of its life. Both count only where a life is longer than "
        "their sum."),
    LIST(
        "debug", debug, "", "metadata, net, producer, consumer, group, admin, wire, all",
        debug_words, true, CLIENT,
        "Which debug lines are made when the log level is debug; empty: all but wire, which is one "
        "JSON line for each request and response. (Not of the Java client.)"),

    WORD("acks", "string", KC_KIND_WORD_INT, acks, "all", "all, -1, 0, 1", acks_words, PRODUCER,
         "Who must have a batch before it counts as sent: all in-sync replicas, the leader (1), "
         "nobody (0)."),
    INT("linger.ms", linger_ms, 5, 0, 2147483647, PRODUCER,
        "How long a batch that is not full waits for more records."),
    INT("batch.size", batch_size, 16384, 0, 2147483647, PRODUCER,
        "Bytes at which a batch is full. A larger record gets a batch of its own; while a batch "
        "waits to be "
        "sent, the next one of its partition may grow to 16 times this, at most 512 KiB."),
    LONG("buffer.memory", buffer_memory, 33554432, 0, 1099511627776, PRODUCER,
         "Bytes of records that may wait to be sent. A send above it fails with "
         "KC_ERR_BUFFER_FULL."),
    INT("max.request.size", max_request_size, 1048576, 0, 2147483647, PRODUCER,
        "Most bytes of one request, and so of one record."),
    INT("delivery.timeout.ms", delivery_timeout_ms, 120000, 1, 2147483647, PRODUCER,
        "Time from the send of a record to its success or failure; of one that is in a request on "
        "its way then, up to request.timeout.ms more. At least linger.ms + request.timeout.ms."),
    INT("max.in.flight.requests.per.connection", max_in_flight_requests_per_connection, 5, 1,
        2147483647, PRODUCER,
        "Requests that may wait for their answer on one connection. Without idempotence more than "
        "1 may change the order of records when one is tried again."),
    INT("retries", retries, 2147483647, 0, 2147483647, PRODUCER,
        "How often a failed batch is sent again, within delivery.timeout.ms."),
    WORD("enable.idempotence", "boolean", KC_KIND_WORD_BOOL, enable_idempotence, "false", "false",
         idempotence_words, PRODUCER,
         "Each record once in the log, in order, also when requests are tried again. Comes with a "
         "later release."),
    WORD("compression.type", "string", KC_KIND_WORD_INT, compression_type, "none",
         "none, gzip, snappy, lz4, zstd", compression_words, PRODUCER,
         "Compression of batches. snappy and zstd may be left out of a build."),
    INT("compression.gzip.level", compression_gzip_level, -1, -1, 9, PRODUCER,
        "-1: zlib's own default; 1 fast to 9 small."),
    INT("compression.lz4.level", compression_lz4_level, 9, 1, 17, PRODUCER, "1 fast to 17 small."),
    INT("compression.zstd.level", compression_zstd_level, 3, -131072, 22, PRODUCER,
        "-131072 fast to 22 small."),
    WORD("partitioner.class", "string", KC_KIND_WORD_TEXT, partitioner, "murmur2",
         "murmur2, roundrobin", partitioner_words, PRODUCER,
         "How a partition is chosen: by the hash of the key and sticky without key, as the Java "
         "client does, or in turn. Java's class names are understood."),

    STRING("group.id", group_id, NULL, "", false, CONSUMER,
           "The group to join and to commit for. Without one a consumer can only be assigned."),
    STRING("group.instance.id", group_instance_id, NULL, "", false, CONSUMER,
           "Makes a static member: a restart within session.timeout.ms moves no partition."),
    INT("session.timeout.ms", session_timeout_ms, 45000, 1, 2147483647, CONSUMER,
        "A member silent for so long is out of the group."),
    INT("heartbeat.interval.ms", heartbeat_interval_ms, 3000, 1, 2147483647, CONSUMER,
        "Time between heartbeats; below session.timeout.ms, usually a third of it at most."),
    INT("max.poll.interval.ms", max_poll_interval_ms, 300000, 1, 2147483647, CONSUMER,
        "A member that takes no batch for so long leaves the group; also the time members have to "
        "join again in a rebalance."),
    LIST("partition.assignment.strategy", partition_assignment_strategy, "range", "range",
         assignor_words, false, CONSUMER,
         "Who gets which partition. Java's class names are understood."),
    BOOLEAN("enable.auto.commit", enable_auto_commit, true, CONSUMER,
            "Commit what was handed out, from time to time and when closing."),
    INT("auto.commit.interval.ms", auto_commit_interval_ms, 5000, 0, 2147483647, CONSUMER,
        "How often."),
    WORD("auto.offset.reset", "string", KC_KIND_WORD_INT, auto_offset_reset, "latest",
         "latest, earliest, none", reset_words, CONSUMER,
         "Where to begin without a committed offset, or when it is no longer in the log. none: an "
         "error."),
    WORD("isolation.level", "string", KC_KIND_WORD_BOOL, isolation_read_committed,
         "read_uncommitted", "read_uncommitted, read_committed", isolation_words, CONSUMER,
         "read_committed leaves out records of aborted transactions and waits for open ones."),
    INT("fetch.min.bytes", fetch_min_bytes, 1, 0, 2147483647, CONSUMER,
        "A broker answers a fetch when it has so much, or after fetch.max.wait.ms."),
    INT("fetch.max.bytes", fetch_max_bytes, 52428800, 1024, 2147483647, CONSUMER,
        "Most bytes of one fetch; a first batch that is larger comes all the same."),
    INT("fetch.max.wait.ms", fetch_max_wait_ms, 500, 0, 2147483647, CONSUMER,
        "Longest wait of a broker for fetch.min.bytes."),
    INT("max.partition.fetch.bytes", max_partition_fetch_bytes, 1048576, 0, 2147483647, CONSUMER,
        "Most bytes of one partition in a fetch; a first batch that is larger comes all the same."),
    BOOLEAN("check.crcs", check_crcs, true, CONSUMER, "Verify the checksum of every batch."),
    BOOLEAN("allow.auto.create.topics", allow_auto_create_topics, true, CONSUMER,
            "Topics read but not there may be made, where the broker does so."),
    STRING("client.rack", client_rack, "", "", true, CONSUMER,
           "Rack of this client, told to brokers. (Fetching from followers comes with a later "
           "release.)"),
    LONG("decompressed.bytes.max", decompressed_bytes_max, 33554432, 1024, 1099511627776, CONSUMER,
         "Most bytes one compressed batch may become. (Not of the Java client.)"),
};
const size_t kc_config_row_count = sizeof kc_config_rows / sizeof kc_config_rows[0];

typedef struct name_and_text {
    const char *name;
    const char *text;
} name_and_text;

#define JAVA_ONLY  "means nothing here: "
#define LIBRDKAFKA "is librdkafka's name: here it is "

/** Names ending in '.' stand for all that begin so. */
static const name_and_text refusals[] = {
    {"transactional.id", LATER("the transactional producer")},
    {"transaction.timeout.ms", LATER("the transactional producer")},
    {"sasl.kerberos.", JAVA_ONLY "the Kerberos library gets tickets by itself, with "
                                 "sasl.kerberos.keytab"},
    {"sasl.login.callback.handler.class",
     JAVA_ONLY "sasl.oauthbearer.token.endpoint.url alone fetches tokens; or give "
               "kc_client_options.token_fn"},
    {"sasl.client.callback.handler.class", JAVA_ONLY "give kc_client_options.token_fn"},
    {"sasl.login.class", JAVA_ONLY "sasl.mechanism chooses"},
    {"sasl.oauthbearer.assertion.", LATER("authentication by an assertion")},
    {"sasl.oauthbearer.jwt.", JAVA_ONLY "sasl.oauthbearer.token.endpoint.url alone fetches tokens, "
                                        "and brokers check them"},
    {"sasl.oauthbearer.", JAVA_ONLY "tokens are checked by brokers"},
    {"ssl.truststore.password", JAVA_ONLY "certificates in PEM form are not encrypted"},
    {"ssl.engine.factory.class", JAVA_ONLY "TLS is OpenSSL's"},
    {"ssl.provider", JAVA_ONLY "TLS is OpenSSL's"},
    {"ssl.keymanager.algorithm", JAVA_ONLY "TLS is OpenSSL's"},
    {"ssl.trustmanager.algorithm", JAVA_ONLY "TLS is OpenSSL's"},
    {"ssl.secure.random.implementation", JAVA_ONLY "TLS is OpenSSL's"},
    {"metadata.broker.list", LIBRDKAFKA "bootstrap.servers"},
    {"ssl.ca.location", LIBRDKAFKA "ssl.truststore.location"},
    {"ssl.ca.pem", LIBRDKAFKA "ssl.truststore.certificates"},
    {"ssl.certificate.location", LIBRDKAFKA "ssl.keystore.location, with key and chain in it"},
    {"ssl.key.location", LIBRDKAFKA "ssl.keystore.location, with key and chain in it"},
    {"enable.ssl.certificate.verification", LIBRDKAFKA "ssl.endpoint.identification.algorithm"},
    {"sasl.mechanisms", LIBRDKAFKA "sasl.mechanism"},
    {"message.timeout.ms", LIBRDKAFKA "delivery.timeout.ms"},
    {"queue.buffering.max.ms", LIBRDKAFKA "linger.ms"},
    {"queue.buffering.max.kbytes", LIBRDKAFKA "buffer.memory, in bytes"},
    {"queue.buffering.max.messages", LIBRDKAFKA "buffer.memory, in bytes"},
    {"message.send.max.retries", LIBRDKAFKA "delivery.timeout.ms"},
    {"compression.codec", LIBRDKAFKA "compression.type"},
    {"request.required.acks", LIBRDKAFKA "acks"},
    {"socket.timeout.ms", LIBRDKAFKA "request.timeout.ms"},
    {"queued.max.messages.kbytes", LIBRDKAFKA "fetch.max.bytes"},
    {"api.version.request", LIBRDKAFKA "nothing: versions are always asked for"},
    {"group.protocol", "groups are classic in this release: leave it out"},
    {"group.remote.assignor", "groups are classic in this release: leave it out"},
    {"key.serializer", JAVA_ONLY "keys are bytes"},
    {"value.serializer", JAVA_ONLY "values are bytes"},
    {"key.deserializer", JAVA_ONLY "keys are bytes"},
    {"value.deserializer", JAVA_ONLY "values are bytes"},
    {"interceptor.classes", JAVA_ONLY "there are no interceptors"},
    {"metric.reporters", JAVA_ONLY "read kc_client_stats_get()"},
    {"metrics.", JAVA_ONLY "read kc_client_stats_get()"},
    {"max.block.ms", JAVA_ONLY "a send never blocks"},
    {"max.poll.records", JAVA_ONLY "records come in batches as they were fetched"},
    {"exclude.internal.topics", JAVA_ONLY "patterns never match internal topics"},
    {"partitioner.ignore.keys", LATER("this choice")},
    {"partitioner.adaptive.partitioning.enable", LATER("this choice")},
    {"partitioner.availability.timeout.ms", LATER("this choice")},
    {"metadata.max.idle.ms", JAVA_ONLY "a topic is forgotten with its last user"},
    {"enable.metrics.push", LATER("this")},
    {NULL, NULL},
};

static const name_and_text aliases[] = {
    {"partitioner", "partitioner.class"},
    {NULL, NULL},
};

const char *kc_config_refusal(kc_bytes name)
{
    for (const name_and_text *entry = refusals; entry->name; entry++) {
        kc_bytes prefix = kc_str(entry->name);
        bool is_family = prefix.ptr[prefix.len - 1] == '.';
        if (is_family ? kb_text_starts(name, prefix) : kc_bytes_equal(name, prefix))
            return entry->text;
    }
    return NULL;
}

const char *kc_config_alias(kc_bytes name)
{
    for (const name_and_text *entry = aliases; entry->name; entry++)
        if (kc_bytes_equal(name, kc_str(entry->name)))
            return entry->text;
    return NULL;
}
