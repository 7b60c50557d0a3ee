/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A mock on real sockets, and peers of it that are no client. */
#include "tests/unit/mock/tcp_world.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

kc_mock *tcp_mock_new(int32_t brokers)
{
    kc_mock *mock = NULL;
    kc_error err = {.text = ""};
    kc_mock_options options;
    kc_mock_options_init(&options);
    options.brokers = brokers;
    kc_err failed = kc_mock_new(&options, &mock, &err);
    ck_assert_msg(failed == KC_OK, "%s", err.text);
    return mock;
}

kc_mock *tcp_mock_start(int32_t brokers)
{
    kc_error err;
    kc_mock *mock = tcp_mock_new(brokers);
    ck_assert_int_eq(kc_mock_start(mock, &err), KC_OK);
    return mock;
}

int64_t tcp_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint16_t tcp_port(const kc_mock *mock, int32_t broker_id)
{
    const char *at = kc_mock_bootstrap(mock);
    for (int32_t i = 1; i < broker_id; i++)
        at = strchr(at, ',') + 1;
    return (uint16_t)atoi(strrchr(at, ':') && !strchr(at, ',') ? strrchr(at, ':') + 1
                                                               : strchr(at, ':') + 1);
}

int tcp_try(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

int tcp_connect(const kc_mock *mock, int32_t broker_id)
{
    int fd = tcp_try(tcp_port(mock, broker_id));
    ck_assert_int_ge(fd, 0);
    return fd;
}

/** ApiVersions v0. */
void tcp_ask(int fd)
{
    static const uint8_t frame[] = {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff};
    ck_assert_int_eq(send(fd, frame, sizeof frame, MSG_NOSIGNAL), (ssize_t)sizeof frame);
}

/** Bytes that come within `timeout_ms`: -1 none, 0 the end, -2 a reset. */
ssize_t tcp_receive(int fd, int timeout_ms)
{
    uint8_t bytes[4096];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, timeout_ms) == 0)
        return -1;
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    return got < 0 && errno == ECONNRESET ? -2 : got;
}
