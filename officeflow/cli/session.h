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

/** --bootstrap-server, -X, -F, --config, --verbose. */
extern const cli_option cli_session_options[];

typedef struct cli_session {
    kb_mem mem;
    kb_arena arena; /**< for the life of the verb */
    of_config config;
    of_platform *platform;
    kc_client *client; /**< the platform's */
} cli_session;

/**
 * Read the configuration into session->config: -b, else -X or -F bootstrap.servers, else KAFKA_BROKERS, else the --config
 * file's, else localhost:9092. A verb may change it before cli_session_open().
 *
 * @return false: said on standard error. Clean up in any case.
 */
bool cli_session_init(cli_session *session);
/** Make the client. Connects to nothing yet. */
bool cli_session_open(cli_session *session);
/** Open, and ask the cluster for a sign of life: a verb whose work is one long call fails here, with the reason. */
bool cli_connect(cli_session *session);
/** Close the platform; answers still out are told now. */
void cli_session_close(cli_session *session);
void cli_session_cleanup(cli_session *session);

/** Set a property unless the command line or a file did. */
bool cli_session_default(cli_session *session, const char *property, const char *value);
/** Wait for an admin call started with kc_admin_waiter_fn; NULL: failed, said. The result is the caller's. */
kc_admin_result *cli_wait(cli_session *session, kc_err started, kc_admin_waiter *waiter,
                          const char *doing, kc_error *err);

/** What is being waited for, with the last reason why it takes so long. */
void cli_progress_waiting(cli_session *session, const char *doing);

/** From now on SIGINT and SIGTERM wake the client and are told by cli_is_interrupted(); the second one kills. */
void cli_catch_signals(cli_session *session);
bool cli_is_interrupted(void);

#endif
