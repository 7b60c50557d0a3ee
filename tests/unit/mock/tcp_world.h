/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A mock on real sockets, and peers of it that are no client. */
#ifndef TCP_WORLD_H
#define TCP_WORLD_H

#include <kafkac/mock.h>

#include <sys/types.h>

/** Not served yet. */
kc_mock *tcp_mock_new(int32_t brokers);
/** Served by its thread. */
kc_mock *tcp_mock_start(int32_t brokers);
uint16_t tcp_port(const kc_mock *mock, int32_t broker_id);

/** A blocking socket to 127.0.0.1; -1: refused. */
int tcp_try(uint16_t port);
int tcp_connect(const kc_mock *mock, int32_t broker_id);
/** Send ApiVersions v0. */
void tcp_ask(int fd);
/** Bytes that come within `timeout_ms`: -1 none, 0 the end, -2 a reset. */
ssize_t tcp_receive(int fd, int timeout_ms);

/** Monotonic. */
int64_t tcp_now_ms(void);

#endif
