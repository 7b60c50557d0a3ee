/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A web server for tests on a thread, by real sockets: one connection after another, each served by the next line
 * of a script, the last line for all that follow. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <openssl/types.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/** Instead of an answer. */
#define HTTP_HANG_UP "hang up" /* read the request, close          */
#define HTTP_SILENCE "silence" /* say nothing until the other goes */

typedef struct http_server {
    const char *const *script; /**< answers as they go over the wire; up to NULL */
    SSL_CTX *tls;              /**< NULL: plaintext                              */
    int listener, port;
    pthread_t thread;
    /* After http_server_stop(): */
    int requests;       /**< read in full                 */
    int connections;    /**< also those that had none     */
    char request[8192]; /**< the last one                 */
} http_server;

/** On a free port of the loopback interface; script and tls are set. */
void http_server_start(http_server *server);
/** Ends when the connection under way does. */
void http_server_stop(http_server *server);

/** A port where nobody listens. */
int http_server_dead_port(void);

/** A CA made at test time, and a server context with a certificate of it for 127.0.0.1. */
typedef struct http_trust {
    SSL_CTX *server;
    char ca_pem[2048];
} http_trust;

/** `holders` as OpenSSL writes subjectAltName: "IP:127.0.0.1". */
void http_trust_make(http_trust *trust, const char *ca_name, const char *holders);
void http_trust_free(http_trust *trust);

#endif
