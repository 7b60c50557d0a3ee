/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Reading standard input in large pieces, line by line, without ever leaving the client alone.
 * What was printed leaves before the input is waited for: who sends one line may wait for its answer. */
#define _GNU_SOURCE
#include "officeflow/cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 << 10)

void cli_lines_init(cli_lines *lines, kb_mem *mem, kc_client *client, int fd)
{
    *lines = (cli_lines){.client = client, .fd = fd};
    kb_buf_init(&lines->buf, mem, CLI_LINE_BYTES_MAX + 2 * READ_BYTES);
}

void cli_lines_cleanup(cli_lines *lines)
{
    kb_buf_cleanup(&lines->buf);
}

static bool is_over(const cli_lines *lines)
{
    return cli_is_interrupted() || (lines->stop && *lines->stop);
}

/** Until there is something to read; false: there is no use in more. */
static bool wait_for_input(cli_lines *lines)
{
    kc_client *client = lines->client;
    kc_err state = client ? kc_client_dispatch(client, 0) : KC_OK;
    if (!cli_flush())
        return false;
    for (;;) {
        struct pollfd fds[] = {{.fd = lines->fd, .events = POLLIN},
                               {.fd = client ? kc_client_fd(client) : -1, .events = POLLIN}};
        int got = poll(fds, 2, state == KC_ERR_AGAIN ? 0 : -1);
        if (is_over(lines))
            return false;
        if (got < 0 && errno != EINTR)
            return true; // what is wrong with it, read() says
        if (got > 0 && fds[0].revents)
            return true;
        state = client ? kc_client_dispatch(client, 0) : KC_OK;
    }
}

/** Move what is left to the front and read behind it. */
static void fill(cli_lines *lines)
{
    kb_buf *buf = &lines->buf;
    if (lines->pos > 0) {
        memmove(buf->data, buf->data + lines->pos, buf->len - lines->pos);
        buf->len -= lines->pos;
        lines->scanned -= lines->pos;
        lines->pos = 0;
    }
    uint8_t *to = kb_buf_reserve(buf, READ_BYTES);
    if (!to) {
        lines->read_errno = ENOMEM;
        return;
    }
    ssize_t got = read(lines->fd, to, READ_BYTES);
    if (got > 0)
        buf->len += (size_t)got;
    else if (got == 0)
        lines->is_eof = true;
    else if (errno != EINTR && errno != EAGAIN)
        lines->read_errno = errno;
}

/** A whole line, or what the input ends with. */
static bool take(cli_lines *lines, kc_bytes *line_out)
{
    const kb_buf *buf = &lines->buf;
    const uint8_t *from = buf->data ? buf->data + lines->pos : NULL;
    const uint8_t *end =
        from ? memchr(buf->data + lines->scanned, '\n', buf->len - lines->scanned) : NULL;
    lines->scanned = buf->len;
    size_t len = end ? (size_t)(end - from) : buf->len - lines->pos;
    if (!end && !(lines->is_eof && len > 0))
        return false;
    *line_out = kc_span(from, len);
    lines->pos += len + (end ? 1 : 0);
    lines->scanned = lines->pos;
    return true;
}

/** Forget the beginning of a line that is too long; its rest is skipped as it comes. */
static void skip(cli_lines *lines)
{
    lines->is_skipping = true;
    lines->pos = lines->scanned = lines->buf.len;
}

cli_line cli_lines_next(cli_lines *lines, kc_bytes *line_out)
{
    for (;;) {
        if (take(lines, line_out)) {
            bool was_skipping = lines->is_skipping;
            lines->is_skipping = false;
            lines->number++;
            return was_skipping || line_out->len > CLI_LINE_BYTES_MAX ? CLI_LINE_TOO_LONG
                                                                      : CLI_LINE_OK;
        }
        if (lines->is_eof && lines->is_skipping) {
            lines->is_skipping = false;
            lines->number++;
            return CLI_LINE_TOO_LONG;
        }
        if (lines->read_errno) {
            cli_complain("standard input: %s", strerror(lines->read_errno));
            return CLI_LINE_ERROR;
        }
        if (lines->is_eof || is_over(lines))
            return CLI_LINE_END;
        if (lines->buf.len - lines->pos > CLI_LINE_BYTES_MAX)
            skip(lines);
        if (!wait_for_input(lines))
            return CLI_LINE_END;
        fill(lines);
    }
}

bool cli_read_file(const char *path, kb_buf *buf)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_complain("%s: %s", path, strerror(errno));
    ssize_t got = 1;
    while (got > 0) {
        uint8_t *to = kb_buf_reserve(buf, READ_BYTES);
        got = to ? read(fd, to, READ_BYTES) : -1;
        if (got < 0 && to && errno == EINTR)
            got = 1;
        else if (got > 0)
            buf->len += (size_t)got;
    }
    int read_errno = errno;
    if (fd != STDIN_FILENO)
        close(fd);
    if (got < 0)
        return cli_complain("%s: %s", path,
                            buf->err != KC_OK ? kc_err_text(buf->err) : strerror(read_errno));
    return true;
}
