/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The real Kafka that scripts/kafka started for the tests, or the brokers of scripts/embedded. */
#define _GNU_SOURCE
#include "tests/broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum {
    SKIPPED = 77,
    ARGUMENTS_MAX = 32,
};

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    if (!value || !*value) {
        if (getenv("KC_EMBEDDED"))
            printf("skipped: embedded brokers have no %s\n", name);
        else
            printf("skipped: %s is not set: run scripts/test, or scripts/kafka run -- COMMAND\n",
                   name);
        exit(SKIPPED);
    }
    return value;
}

const char *broker_list(void)
{
    return environment("KAFKA_BROKERS");
}

const char *broker_list_of(const char *listener)
{
    char name[64];
    snprintf(name, sizeof(name), "KAFKA_BROKERS_%s", listener);
    return environment(name);
}

bool broker_is(const char *majors)
{
    const char *version = getenv("KAFKA_VERSION");
    (void)broker_list();
    return strchr(majors, version && *version ? version[0] : '4') != NULL;
}

void broker_only_on(const char *majors, const char *why)
{
    if (broker_is(majors))
        return;
    printf("skipped: %s\n", why); // scripts/test shows it
    exit(SKIPPED);
}

void broker_only_real(const char *why)
{
    if (!getenv("KC_EMBEDDED"))
        return;
    printf("skipped: %s\n", why);
    exit(SKIPPED);
}

const char *broker_tls_folder(void)
{
    return environment("KC_KAFKA_TLS");
}

const char *broker_token_endpoint(void)
{
    return environment("KC_KAFKA_OIDC");
}

int broker_count(void)
{
    int count = 1;
    for (const char *at = broker_list(); (at = strchr(at, ',')) != NULL; at++)
        count++;
    return count;
}

void broker_unique_name(char *out, size_t size, const char *stem)
{
    static int counter;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(out, size, "%s-%lld-%d-%d", stem, (long long)now.tv_sec, (int)getpid(), ++counter);
}

static int failed(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    return -1;
}

/* Keeps what fits, reads on to the end: else the child would block on a full pipe. */
static void read_all(int fd, char *out, size_t size)
{
    char rest[4096];
    size_t used = 0;
    for (;;) {
        bool keep = out && used + 1 < size;
        ssize_t got = keep ? read(fd, out + used, size - used - 1) : read(fd, rest, sizeof(rest));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        if (keep)
            used += (size_t)got;
    }
    if (out && size > 0)
        out[used] = '\0';
}

int broker_command(char *out, size_t size, const char *const argv[])
{
    char *words[ARGUMENTS_MAX] = {(char *)environment("KC_KAFKA_CTL")};
    for (size_t i = 0; argv[i] && i + 2 < ARGUMENTS_MAX; i++)
        words[i + 1] = (char *)argv[i];
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return failed("pipe", errno);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDERR_FILENO);
    pid_t child;
    int error = posix_spawn(&child, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    if (error == 0)
        read_all(pipe_fds[0], out, size);
    close(pipe_fds[0]);
    if (error != 0)
        return failed(words[0], error);
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return failed("waitpid", errno);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        printf("skipped: Kafka's own tools are not at hand\n");
        exit(SKIPPED);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void broker_create_topic(const char *topic, int partitions, int replicas)
{
    char partitions_text[16];
    char replicas_text[16];
    char output[2048];
    snprintf(partitions_text, sizeof(partitions_text), "%d", partitions);
    snprintf(replicas_text, sizeof(replicas_text), "%d", replicas);
    const char *const argv[] = {"tool",          "topics",
                                "--create",      "--topic",
                                topic,           "--partitions",
                                partitions_text, "--replication-factor",
                                replicas_text,   NULL};
    if (broker_command(output, sizeof(output), argv) != 0) {
        fprintf(stderr, "topic %s was not created: %s\n", topic, output);
        exit(EXIT_FAILURE);
    }
}
