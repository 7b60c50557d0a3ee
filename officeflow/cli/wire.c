/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A bare connection to a broker. Non-blocking below, so that poll() bounds each wait. */
#define _GNU_SOURCE
#include "officeflow/cli/wire.h"

#include "protocol/base/text.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE_BYTES 4

/* True once `events` (or an error, which the next call tells) are there. */
static bool wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = events};
    int ready;
    do
        ready = poll(&one, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

static bool is_connected(int fd, const struct addrinfo *address, int timeout_ms)
{
    int wrong = 0;
    socklen_t len = sizeof wrong;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return true;
    return errno == EINPROGRESS && wait_for(fd, POLLOUT, timeout_ms) &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &wrong, &len) == 0 && wrong == 0;
}

static int open_at(const char *host, const char *port, int timeout_ms)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int fd = -1;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -1;
    for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
        if (fd >= 0 && !is_connected(fd, at, timeout_ms)) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

int cli_wire_open(kc_bytes brokers, int timeout_ms)
{
    kc_bytes one;
    int fd = -1;
    while (fd < 0 && kb_text_split(&brokers, ',', &one)) {
        char text[512];
        one = kb_text_trim(one);
        if (one.len == 0 || one.len >= sizeof text)
            continue;
        memcpy(text, one.ptr, one.len);
        text[one.len] = '\0';
        char *host = text;
        char *colon = strrchr(text, ':');
        if (!colon)
            continue;
        *colon = '\0';
        if (host[0] == '[' && colon > host + 1 && colon[-1] == ']') { /* [v6]:port */
            colon[-1] = '\0';
            host++;
        }
        fd = open_at(host, colon + 1, timeout_ms);
    }
    return fd;
}

void cli_wire_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

kc_err cli_wire_send(int fd, kc_bytes bytes, int timeout_ms)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent >= 0)
            bytes = kc_span(bytes.ptr + sent, bytes.len - (size_t)sent);
        else if (errno != EAGAIN && errno != EINTR)
            return KC_ERR_DISCONNECTED;
        else if (!wait_for(fd, POLLOUT, timeout_ms))
            return KC_ERR_TIMEOUT;
    }
    return KC_OK;
}

/* Until `frame` is `len` bytes long. */
static kc_err read_up_to(int fd, kb_buf *frame, size_t len, int timeout_ms)
{
    if (frame->len < len && !kb_buf_reserve(frame, len - frame->len))
        return KC_ERR_NOMEM;
    while (frame->len < len) {
        ssize_t got = recv(fd, frame->data + frame->len, len - frame->len, 0);
        if (got > 0)
            frame->len += (size_t)got;
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return KC_ERR_DISCONNECTED;
        else if (!wait_for(fd, POLLIN, timeout_ms))
            return KC_ERR_TIMEOUT;
    }
    return KC_OK;
}

kc_err cli_wire_read(int fd, kb_buf *frame, int timeout_ms)
{
    kb_buf_reset(frame);
    kc_err err = read_up_to(fd, frame, SIZE_BYTES, timeout_ms);
    if (err != KC_OK)
        return err;
    size_t size = (size_t)frame->data[0] << 24 | (size_t)frame->data[1] << 16 |
                  (size_t)frame->data[2] << 8 | frame->data[3];
    if (size > CLI_WIRE_FRAME_MAX)
        return KC_ERR_MALFORMED;
    return read_up_to(fd, frame, SIZE_BYTES + size, timeout_ms);
}

void cli_wire_wait(int ms)
{
    (void)poll(NULL, 0, ms);
}
