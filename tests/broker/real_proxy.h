/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A real proxy on a free port: Debian's microsocks (SOCKS5) or tinyproxy (HTTP CONNECT). */
#ifndef TESTS_REAL_PROXY_H
#define TESTS_REAL_PROXY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum real_proxy_kind {
    REAL_PROXY_SOCKS5,
    REAL_PROXY_HTTP
} real_proxy_kind;

typedef struct real_proxy {
    real_proxy_kind kind;
    bool has_password; /**< alice with p@ss, of HTTP with pass7; else everybody may */
    int allowed_port;  /**< the only one to connect to, of HTTP; 0: all */
    uint16_t port;
    pid_t pid;
    int log_fd;
    char url[128]; /**< "socks5://alice:p%40ss@127.0.0.1:port" */
} real_proxy;

/** kind, has_password and allowed_port are set; `port` 0: a free one. The test ends here, skipped (77), where the program
 * is missing. The proxy dies with the test. */
void real_proxy_start(real_proxy *proxy);
/** By a signal it can't do anything about. */
void real_proxy_kill(real_proxy *proxy);
/** Connections to brokers that it has made for others so far, by its log. */
int real_proxy_connections(const real_proxy *proxy);
/** True: this stands in its log. */
bool real_proxy_said(const real_proxy *proxy, const char *text);

#endif
