/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A real proxy as a child of the test. */
#define _GNU_SOURCE
#include "tests/broker/real_proxy.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SKIPPED = 77,
    NOT_THERE = 127,
    TRIES_MAX = 5,
    POLL_MS = 10,
    READY_MS = 10000,
    LOG_BYTES_MAX = 1 << 20,
};

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/** Free now; somebody else may be faster than the proxy. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static bool is_listening(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is_there;
}

static bool is_dead(real_proxy *proxy, int *status)
{
    if (waitpid(proxy->pid, status, WNOHANG) != proxy->pid)
        return false;
    proxy->pid = 0;
    return true;
}

/** A file that only this process and the child have. */
static int write_config(const real_proxy *proxy)
{
    int fd = memfd_create("tinyproxy.conf", 0);
    ck_assert_int_ge(fd, 0);
    dprintf(fd, "Port %u\nListen 127.0.0.1\nAllow 127.0.0.1\nLogLevel Connect\nTimeout 600\n",
            (unsigned)proxy->port);
    if (proxy->has_password)
        dprintf(fd, "BasicAuth alice pass7\n");
    if (proxy->allowed_port)
        dprintf(fd, "ConnectPort %d\n", proxy->allowed_port);
    return fd;
}

static _Noreturn void become_proxy(const real_proxy *proxy, int config_fd)
{
    char port[8], config[32];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(proxy->log_fd, STDOUT_FILENO);
    dup2(proxy->log_fd, STDERR_FILENO);
    snprintf(port, sizeof port, "%u", (unsigned)proxy->port);
    snprintf(config, sizeof config, "/dev/fd/%d", config_fd);
    if (proxy->kind == REAL_PROXY_HTTP)
        execlp("tinyproxy", "tinyproxy", "-d", "-c", config, (char *)NULL);
    else if (proxy->has_password)
        execlp("microsocks", "microsocks", "-i", "127.0.0.1", "-p", port, "-u", "alice", "-P",
               "p@ss", (char *)NULL);
    else
        execlp("microsocks", "microsocks", "-i", "127.0.0.1", "-p", port, (char *)NULL);
    _exit(NOT_THERE);
}

static void spawn(real_proxy *proxy)
{
    int config_fd = proxy->kind == REAL_PROXY_HTTP ? write_config(proxy) : -1;
    proxy->pid = fork();
    ck_assert_int_ge(proxy->pid, 0);
    if (proxy->pid == 0)
        become_proxy(proxy, config_fd);
    if (config_fd >= 0)
        close(config_fd);
}

/** False: it died, most probably because the port was taken meanwhile. */
static bool wait_until_ready(real_proxy *proxy)
{
    int status = 0;
    for (int waited_ms = 0; waited_ms < READY_MS; waited_ms += POLL_MS) {
        bool is_there = is_listening(proxy->port);
        if (is_dead(proxy, &status)) {
            if (!WIFEXITED(status) || WEXITSTATUS(status) != NOT_THERE)
                return false;
            printf("skipped: %s is missing: run scripts/deps\n",
                   proxy->kind == REAL_PROXY_HTTP ? "tinyproxy" : "microsocks");
            exit(SKIPPED);
        }
        if (is_there)
            return true;
        poll(NULL, 0, POLL_MS);
    }
    ck_abort_msg("the proxy does not listen");
}

void real_proxy_start(real_proxy *proxy)
{
    bool is_chosen = proxy->port != 0;
    if (proxy->log_fd <= 0)
        proxy->log_fd = memfd_create("proxy.log", MFD_CLOEXEC);
    for (int i = 0; i < TRIES_MAX; i++) {
        if (!is_chosen)
            proxy->port = free_port();
        spawn(proxy);
        if (!wait_until_ready(proxy))
            continue;
        bool is_http = proxy->kind == REAL_PROXY_HTTP;
        const char *secret = is_http ? "alice:pass7@" : "alice:p%40ss@";
        snprintf(proxy->url, sizeof proxy->url, "%s://%s127.0.0.1:%u", is_http ? "http" : "socks5",
                 proxy->has_password ? secret : "", (unsigned)proxy->port);
        return;
    }
    ck_abort_msg("the proxy can't be started");
}

void real_proxy_kill(real_proxy *proxy)
{
    if (proxy->pid <= 0)
        return;
    kill(proxy->pid, SIGKILL);
    while (waitpid(proxy->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    proxy->pid = 0;
}

static int count(const real_proxy *proxy, const char *text)
{
    static char log[LOG_BYTES_MAX];
    ssize_t len = pread(proxy->log_fd, log, sizeof log - 1, 0);
    ck_assert_int_ge(len, 0);
    log[len] = 0;
    int found = 0;
    for (const char *at = log; (at = strstr(at, text)) != NULL; at++)
        found++;
    return found;
}

int real_proxy_connections(const real_proxy *proxy)
{
    return count(proxy, proxy->kind == REAL_PROXY_HTTP ? "Established connection to host"
                                                       : ": connected to ");
}

bool real_proxy_said(const real_proxy *proxy, const char *text)
{
    return count(proxy, text) > 0;
}
