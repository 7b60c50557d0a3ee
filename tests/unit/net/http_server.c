/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A web server for tests. */
#define _GNU_SOURCE // memmem
#include "tests/unit/net/http_server.h"

#include "net/worker.h"
#include "tests/unit/net/tls_world.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct stream {
    int fd;
    SSL *ssl;
} stream;

static ssize_t stream_read(stream *s, void *out, size_t len)
{
    return s->ssl ? SSL_read(s->ssl, out, (int)len) : recv(s->fd, out, len, 0);
}

static void stream_write(stream *s, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t taken =
            s->ssl ? SSL_write(s->ssl, text, (int)len) : send(s->fd, text, len, MSG_NOSIGNAL);
        if (taken <= 0)
            return;
        text += taken;
        len -= (size_t)taken;
    }
}

static bool is_whole(const char *request, size_t len)
{
    const char *end = memmem(request, len, "\r\n\r\n", 4);
    const char *length = strcasestr(request, "\r\nContent-Length:");
    if (!end)
        return false;
    return !length || len - (size_t)(end + 4 - request) >= strtoul(length + 17, NULL, 10);
}

static bool read_request(http_server *server, stream *s)
{
    size_t len = 0;
    while (len + 1 < sizeof server->request) {
        ssize_t got = stream_read(s, server->request + len, sizeof server->request - 1 - len);
        if (got <= 0)
            return false;
        len += (size_t)got;
        server->request[len] = 0;
        bool is_tls = server->request[0] == 0x16; // what a web server answers to as well
        if (is_tls || is_whole(server->request, len))
            return true;
    }
    return false;
}

static void serve(http_server *server, stream *s, const char *answer)
{
    char rest[512];
    if (s->ssl && SSL_accept(s->ssl) <= 0)
        return;
    if (!read_request(server, s))
        return;
    server->requests++;
    if (strcmp(answer, HTTP_HANG_UP) == 0)
        return;
    if (strcmp(answer, HTTP_SILENCE) != 0) {
        stream_write(s, answer, strlen(answer));
        if (s->ssl)
            SSL_shutdown(s->ssl);
        shutdown(s->fd, SHUT_WR);
    }
    while (stream_read(s, rest, sizeof rest) > 0)
        continue;
}

static void *run(void *user)
{
    http_server *server = user;
    const char *const *line = server->script;
    int fd;
    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        stream s = {.fd = fd};
        server->connections++;
        if (server->tls) {
            s.ssl = SSL_new(server->tls);
            SSL_set_fd(s.ssl, fd);
        }
        serve(server, &s, *line);
        line += line[1] != NULL;
        SSL_free(s.ssl);
        close(fd);
    }
    return NULL;
}

static int listen_on_any(int *port_out)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port_out = ntohs(address.sin_port);
    return fd;
}

void http_server_start(http_server *server)
{
    server->requests = server->connections = 0;
    server->listener = listen_on_any(&server->port);
    ck_assert_int_eq(listen(server->listener, 16), 0);
    ck_assert_int_eq(kn_thread_create(&server->thread, run, server), 0);
}

void http_server_stop(http_server *server)
{
    shutdown(server->listener, SHUT_RDWR); // ends accept()
    pthread_join(server->thread, NULL);
    close(server->listener);
}

int http_server_dead_port(void)
{
    int port;
    close(listen_on_any(&port));
    return port;
}

/* ---- certificates ---- */

void http_trust_make(http_trust *trust, const char *ca_name, const char *holders)
{
    /* Good by the real clock, which libcurl goes by. */
    const tls_wish ca_wish = {.name = ca_name, .is_ca = true, .from_day = -1, .to_day = 20000};
    tls_pair ca = tls_make(&ca_wish);
    const tls_wish wish = {
        .name = "idp", .holders = holders, .issuer = &ca, .from_day = -1, .to_day = 20000};
    tls_pair own = tls_make(&wish);
    BIO *pem = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_X509(pem, ca.certificate), 1);
    int len = BIO_read(pem, trust->ca_pem, sizeof trust->ca_pem - 1);
    ck_assert_int_gt(len, 0);
    trust->ca_pem[len] = 0;
    BIO_free(pem);
    trust->server = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate(trust->server, own.certificate), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(trust->server, own.key), 1);
    tls_pair_free(&ca);
    tls_pair_free(&own);
}

void http_trust_free(http_trust *trust)
{
    SSL_CTX_free(trust->server);
}
