/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A command that handles one event: fed through its standard input, never waited for. */
#ifndef CLI_RUN_CHILD_H
#define CLI_RUN_CHILD_H

#include "protocol/base/arena.h"
#include "protocol/base/buf.h"
#include "protocol/base/list.h"

#include <officeflow/consumer.h>

#include <poll.h>
#include <sys/types.h>

/** Bytes kept of the last line on standard error: it becomes the failure's message. */
#define CLI_CHILD_LINE_MAX 512

/** Descriptors a child asks poll() about. */
#define CLI_CHILD_FDS 3

typedef struct cli_child {
    kb_list node;
    pid_t pid;
    int pid_fd, in_fd, err_fd; /* -1: closed */
    kb_mem *mem;
    kb_arena arena; /* environment */
    kb_buf input;
    size_t written;
    of_ctx *ctx;
    char line[CLI_CHILD_LINE_MAX + 1], last[CLI_CHILD_LINE_MAX + 1];
    size_t line_len;
} cli_child;

/** Errno of what keeps the command, a path or a name to look for in $PATH, from being run; 0: nothing known. */
int cli_command_check(const char *command);
/** Start `command` (NULL-terminated) for an event. NULL: not possible now, `why` says it. */
cli_child *cli_child_start(kb_mem *mem, char *const *command, const of_event *event, of_ctx *ctx,
                           char *why, size_t cap);
/** What to wait for. */
void cli_child_poll(const cli_child *child, struct pollfd fds[CLI_CHILD_FDS]);
/** Serve it; true: it has ended, `status_out` as of waitpid(). */
bool cli_child_serve(cli_child *child, const struct pollfd fds[CLI_CHILD_FDS], int *status_out);
/** Last line on standard error that was not empty; "". */
const char *cli_child_last_line(const cli_child *child);
/** End it, if it runs, and free. */
void cli_child_free(cli_child *child);

#endif
