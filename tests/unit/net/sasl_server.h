/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The broker's side of SASL for tests: PLAIN, SCRAM and OAUTHBEARER on their own, the two requests
 * that carry them, and the books on who may ask what. */
#ifndef SASL_SERVER_H
#define SASL_SERVER_H

#include <kafkac/unstable/messages.h>

#define SASL_SERVER_SESSIONS 64
#define SASL_SERVER_MESSAGE  2048

typedef struct sasl_session {
    uintptr_t connection;
    const char *mechanism;
    int stage;
    bool is_open;    /**< authenticated                 */
    bool is_between; /**< an authentication is under way */
    char bare[512], nonce[256];
    char auth[4096]; /**< the messages signed */
    uint8_t out[SASL_SERVER_MESSAGE];
} sasl_session;

typedef struct sasl_server {
    const char *offered; /**< "PLAIN,SCRAM-SHA-256" */
    const char *username, *password;
    const char *token;    /**< that is good */
    char extensions[256]; /**< that came with it */
    int iterations;
    int64_t lifetime_ms;
    uint32_t handshakes, successes, failures;
    uint32_t violations; /**< other requests before or in the middle of an authentication */
    sasl_session sessions[SASL_SERVER_SESSIONS]; /**< the oldest gives way */
    size_t next;
} sasl_server;

/** alice with alice-secret, all mechanisms, sessions without end. */
void sasl_server_init(sasl_server *server);
/** A new connection; its number may be that of one long gone. */
void sasl_server_begin(sasl_server *server, uintptr_t connection);

/** One message of a client; what goes back is in session->out. False: refused. */
bool sasl_server_step(sasl_server *server, sasl_session *session, kc_bytes in, size_t *out_len);

/** Fill in the response; what it points to stays until the session's next message. `mechanisms` is
 * room for the offered ones. */
void sasl_server_handshake(sasl_server *server, uintptr_t connection,
                           const kp_sasl_handshake_req *request, kp_sasl_handshake_resp *response,
                           kc_bytes mechanisms[8]);
void sasl_server_authenticate(sasl_server *server, uintptr_t connection,
                              const kp_sasl_authenticate_req *request,
                              kp_sasl_authenticate_resp *response);
/** Any other request but ApiVersions came. */
void sasl_server_other(sasl_server *server, uintptr_t connection);

#endif
