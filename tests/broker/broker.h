/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The real Kafka that scripts/kafka started for the tests, or the brokers of scripts/embedded: the tests are the same. */
#ifndef TESTS_BROKER_H
#define TESTS_BROKER_H

#include <stdbool.h>
#include <stddef.h>

/** Bootstrap list "host:port,..." from KAFKA_BROKERS. Without it the test ends here, skipped (77).
 */
const char *broker_list(void);

/** The same for a listener of the broker with --secure: SSL, MTLS (a client certificate is
 * required), SASL_PLAINTEXT, SASL_SSL, SASL_REAUTH (SASL_PLAINTEXT whose sessions end after 2 s,
 * without SCRAM-SHA-256), SASL_OIDC (the same by OAUTHBEARER). Users: alice/alice-secret, admin/admin-secret. */
const char *broker_list_of(const char *listener);

/** Folder of ca.pem, client.pem, client.key. Skipped without. */
const char *broker_tls_folder(void);

/** The brokers' release is one of these major ones, as "34". Skipped without a broker. */
bool broker_is(const char *majors);
/** Skipped unless it is. */
void broker_only_on(const char *majors, const char *why);

/** Skipped beside embedded brokers. */
void broker_only_real(const char *why);

/** URL of the token endpoint whose tokens the listener SASL_OIDC takes, for clients NAME with NAME-secret;
 * "?life=S" behind it: tokens that live S seconds. Its CA is ca.pem. Skipped without. */
const char *broker_token_endpoint(void);

/** Number of brokers in the list. */
int broker_count(void);

/** A topic, group or transactional name nobody else uses: one broker serves all tests. */
void broker_unique_name(char *out, size_t size, const char *stem);

/** Run `scripts/kafka argv...` (NULL-terminated) on this cluster: kill, restart, tool; or scripts/embedded likewise.
 * What it prints goes to `out` (cut at `size`, always terminated; may be NULL). Returns its exit status. Skipped where
 * that needs Java, and there is none. */
int broker_command(char *out, size_t size, const char *const argv[]);

/** Create a topic by Kafka's own tool. Fails the test when that fails. */
void broker_create_topic(const char *topic, int partitions, int replicas);

#endif
