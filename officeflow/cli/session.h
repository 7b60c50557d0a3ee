/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What every verb that talks to a cluster shares: where the brokers are, the platform handle, and
 * signals that end the work in order. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "officeflow/cli/options.h"
#include "officeflow/cli/output.h"

#include <kafkac/kafkac.h>
#include <officeflow/officeflow.h>

/** Longest a verb waits for the answer to one question to the cluster. */
#define CLI_TIMEOUT_MS 60000
/** Longest a verb waits for the first answer of any broker, where default.api.timeout.ms is not given. */
#define CLI_CONNECT_MS 15000
/** Different reasons for having no connection that are told before there is one again. */
#define CLI_REASONS_MAX 8

/** --bootstrap-server, -X, -F, --config, --verbose. */
extern const cli_option cli_session_options[];

/** Tells why there is no connection: a verb would else be silent for as long as it waits. */
typedef struct cli_watch {
    kc_timer *timer;
    int64_t connected_us; /**< last seen connected, at first: begun */
    struct {
        kc_err code;
        int os_errno;
    } told[CLI_REASONS_MAX];
    size_t told_count;
    uint64_t done;         /**< of cli_watch_standstill(), */
    int64_t moved_us;      /**< when it was another; 0: it was not called yet, */
    int32_t tell_after_ms; /**< and how long it may stand still */
} cli_watch;

typedef struct cli_session {
    kb_mem mem;
    kb_arena arena; /**< for the life of the verb */
    of_config config;
    bool has_brokers; /**< they were named: options, environment, files */
    of_platform *platform;
    kc_client *client; /**< the platform's */
    cli_watch watch;
} cli_session;

/**
 * Read the configuration into session->config: -b, else -X or -F bootstrap.servers, else KAFKA_BROKERS, else the --config
 * file's, else localhost:9092. A verb may change it before cli_session_open().
 *
 * @return false: said on standard error. Clean up in any case.
 */
bool cli_session_init(cli_session *session);
/** Make the client. Connects to nothing yet. From now on standard error tells when there is no connection, and
 * upon SIGUSR1 what the client waits for (kc_client_explain()). */
bool cli_session_open(cli_session *session);
/** For a verb that waits for acknowledgements, each second or more often: when `done` has not grown for 5 s, 10, 20 ...
 * though there is a connection, standard error tells what the client waits for. */
void cli_watch_standstill(cli_session *session, uint64_t done);
/** Ask the cluster for a sign of life: a verb that is no service fails here, with the reason. */
bool cli_await_broker(cli_session *session);
/** Both. */
bool cli_connect(cli_session *session);
/** Close the platform; answers still out are told now. */
void cli_session_close(cli_session *session);
void cli_session_cleanup(cli_session *session);

/** Whether one of the patterns matches a topic or type. */
bool cli_patterns_match(cli_words patterns, kc_bytes name);

/** Set a property unless the command line or a file did. */
bool cli_session_default(cli_session *session, const char *property, const char *value);
/** Wait for an admin call started with kc_admin_waiter_fn; NULL: failed, said. The result is the caller's. */
kc_admin_result *cli_wait(cli_session *session, kc_err started, kc_admin_waiter *waiter,
                          const char *doing, kc_error *err);

/** From now on SIGINT and SIGTERM wake the client (`session` NULL: there is none) and are told by cli_is_interrupted(); the second one kills. */
void cli_catch_signals(cli_session *session);
bool cli_is_interrupted(void);

#endif
