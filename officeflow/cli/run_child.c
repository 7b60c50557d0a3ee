/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * fork and exec with a pidfd: the end of the command, its input and its standard error are three
 * more descriptors of the one poll() that also serves the client, so heartbeats go on meanwhile. */
#define _GNU_SOURCE // pipe2, pidfd
#include "officeflow/cli/run_child.h"

#include "officeflow/cli/output.h"
#include "protocol/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIABLES_MAX 16

/** What the shell says of a command that can't be run. */
#define EXIT_NOT_RUN 127

/** "NAME=value" in the child's arena. */
typedef struct variables {
    kb_arena *arena;
    char *items[VARIABLES_MAX];
    size_t count;
    bool is_failed;
} variables;

/** An absent one is taken out, so that no outer OF_ variable shows through. */
static void set(variables *to, const char *name, kc_bytes value)
{
    char *text = value.ptr ? kb_arena_printf(to->arena, "%s=" KC_FMT, name, KC_ARG(value))
                           : kb_arena_printf(to->arena, "%s", name);
    if (text)
        to->items[to->count++] = text;
    else
        to->is_failed = true;
}

static void set_number(variables *to, const char *name, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)number);
    set(to, name, kc_str(text));
}

static void describe(variables *to, const of_event *event, const of_ctx *ctx)
{
    set(to, "OF_TYPE", event->type);
    set(to, "OF_ID", event->id);
    set(to, "OF_ORG", event->organization_id);
    set(to, "OF_CORRELATION_ID", event->correlation_id);
    set(to, "OF_CAUSATION_ID", event->causation_id);
    set(to, "OF_SOURCE", event->source);
    set(to, "OF_KEY", event->key);
    set(to, "OF_TRACEPARENT", event->traceparent);
    set(to, "OF_TOPIC", of_ctx_topic(ctx));
    set_number(to, "OF_PARTITION", of_ctx_partition(ctx));
    set_number(to, "OF_OFFSET", of_ctx_offset(ctx));
    set_number(to, "OF_ATTEMPT", of_ctx_attempt(ctx));
    set(to, "OF_STAGE", kc_str(of_stage_name(of_ctx_stage(ctx))));
    set_number(to, "OF_REDRIVE", of_ctx_redrive(ctx));
    set(to, "OF_GROUP", kc_str(of_ctx_group(ctx)));
}

/* ---- can it be run? ---- */

static int check_file(const char *path)
{
    struct stat file;
    if (access(path, X_OK) != 0)
        return errno == ENOTDIR ? ENOENT : errno;
    return stat(path, &file) == 0 && S_ISDIR(file.st_mode) ? EACCES : 0;
}

/** As execvp() looks: a file that may not be run is passed over, and the reason in the end if nothing better comes. */
int cli_command_check(const char *command)
{
    if (strchr(command, '/'))
        return check_file(command);
    const char *path = getenv("PATH");
    kc_bytes rest = kc_str(path ? path : "/bin:/usr/bin"), folder;
    int why = ENOENT;
    while (*command && kb_text_split(&rest, ':', &folder)) {
        char file[PATH_MAX];
        snprintf(file, sizeof file, KC_FMT "/%s", KC_ARG(folder.len > 0 ? folder : KC_STR(".")),
                 command);
        int found = check_file(file);
        if (found == 0)
            return 0;
        if (found == EACCES)
            why = EACCES;
    }
    return why;
}

/* ---- one event ---- */

/** In the child; never comes back. */
static void become(char *const *command, const variables *vars, int in_fd, int err_fd)
{
    // of a group of its own: an interrupt at the terminal is for us, who let the command finish
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_DFL);
    dup2(in_fd, STDIN_FILENO);
    dup2(err_fd, STDERR_FILENO);
    for (size_t i = 0; i < vars->count; i++)
        putenv(vars->items[i]); // without '=' it takes the variable out
    execvp(command[0], command);
    dprintf(STDERR_FILENO, "%s: %s\n", command[0], strerror(errno));
    _exit(EXIT_NOT_RUN);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool is_ready(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/** Everything but the process. False: errno says why. */
static bool open_pipes(cli_child *child, int *child_in, int *child_err)
{
    int in[2] = {-1, -1}, err[2] = {-1, -1};
    bool is_ok = pipe2(in, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0;
    *child_in = in[0];
    child->in_fd = in[1];
    child->err_fd = err[0];
    *child_err = err[1];
    return is_ok && is_ready(child->in_fd) && is_ready(child->err_fd);
}

static bool start(cli_child *child, char *const *command, const variables *vars)
{
    int child_in, child_err;
    bool is_ok = open_pipes(child, &child_in, &child_err);
    if (is_ok) {
        child->pid = fork();
        if (child->pid == 0)
            become(command, vars, child_in, child_err);
        is_ok = child->pid > 0;
    }
    int fork_errno = errno;
    close_fd(&child_in);
    close_fd(&child_err);
    errno = fork_errno;
    if (is_ok)
        child->pid_fd = pidfd_open(child->pid, 0);
    return is_ok && child->pid_fd >= 0;
}

cli_child *cli_child_start(kb_mem *mem, char *const *command, const of_event *event, of_ctx *ctx,
                           char *why, size_t cap)
{
    cli_child *child = kb_mem_zalloc(mem, sizeof *child);
    if (!child) {
        snprintf(why, cap, "out of memory");
        return NULL;
    }
    child->mem = mem;
    child->ctx = ctx;
    child->pid = -1;
    child->pid_fd = child->in_fd = child->err_fd = -1;
    kb_list_init(&child->node);
    kb_arena_init(&child->arena, mem, 0);
    kb_buf_init(&child->input, mem, 0);
    kb_buf_put_bytes(&child->input, event->value);
    variables vars = {.arena = &child->arena};
    describe(&vars, event, ctx);
    errno = ENOMEM;
    if (!vars.is_failed && child->input.err == KC_OK && start(child, command, &vars)) {
        if (child->input.len == 0)
            close_fd(&child->in_fd);
        return child;
    }
    snprintf(why, cap, "%s: %s", command[0], strerror(errno));
    cli_child_free(child);
    return NULL;
}

void cli_child_poll(const cli_child *child, struct pollfd fds[CLI_CHILD_FDS])
{
    fds[0] = (struct pollfd){.fd = child->pid_fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = child->in_fd, .events = POLLOUT};
    fds[2] = (struct pollfd){.fd = child->err_fd, .events = POLLIN};
}

static void feed(cli_child *child)
{
    const kb_buf *input = &child->input;
    ssize_t done = write(child->in_fd, input->data + child->written, input->len - child->written);
    if (done > 0)
        child->written += (size_t)done;
    // a command need not read its input
    bool is_over = done < 0 && errno != EAGAIN && errno != EINTR;
    if (is_over || child->written == input->len)
        close_fd(&child->in_fd);
}

static void keep_line(cli_child *child, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            if (child->line_len > 0)
                memcpy(child->last, child->line, child->line_len + 1);
            child->line_len = 0;
        } else if (child->line_len < CLI_CHILD_LINE_MAX && (unsigned char)bytes[i] >= 0x20) {
            child->line[child->line_len++] = bytes[i];
            child->line[child->line_len] = 0;
        }
    }
}

/** What the command complains about is ours to show, and its last line to keep. */
static void hear(cli_child *child)
{
    char bytes[4096];
    ssize_t got;
    while ((got = read(child->err_fd, bytes, sizeof bytes)) > 0) {
        keep_line(child, bytes, (size_t)got);
        for (ssize_t done = 0, wrote; done < got; done += wrote)
            if ((wrote = write(STDERR_FILENO, bytes + done, (size_t)(got - done))) <= 0)
                break;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        close_fd(&child->err_fd);
}

bool cli_child_serve(cli_child *child, const struct pollfd fds[CLI_CHILD_FDS], int *status_out)
{
    if (fds[1].revents && child->in_fd >= 0)
        feed(child);
    if (fds[2].revents && child->err_fd >= 0)
        hear(child);
    if (!fds[0].revents || waitpid(child->pid, status_out, WNOHANG) != child->pid)
        return false;
    child->pid = -1;
    if (child->err_fd >= 0)
        hear(child); // what it said last; a process it left behind is not waited for
    return true;
}

const char *cli_child_last_line(const cli_child *child)
{
    return child->line_len > 0 ? child->line : child->last;
}

void cli_child_free(cli_child *child)
{
    if (child->pid > 0) {
        kill(-child->pid, SIGTERM);
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    close_fd(&child->pid_fd);
    close_fd(&child->in_fd);
    close_fd(&child->err_fd);
    kb_list_remove(&child->node);
    kb_buf_cleanup(&child->input);
    kb_arena_cleanup(&child->arena);
    kb_mem_free(child->mem, child);
}
