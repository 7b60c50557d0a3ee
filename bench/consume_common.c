/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the three consume benchmarks share. */
#define _GNU_SOURCE // getrusage, clock_gettime
#include "bench/consume_common.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

void consume_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void add_property(consume_args *args, const char *text)
{
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : 0;
    if (len == 0 || len >= sizeof args->properties[0].name ||
        args->property_count == CONSUME_PROPERTIES_MAX)
        consume_die("-X", text);
    memcpy(args->properties[args->property_count].name, text, len);
    args->properties[args->property_count++].value = equals + 1;
}

consume_args consume_args_read(int argc, char **argv)
{
    consume_args args = {.partitions = 6, .count = 1000000};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-b") == 0)
            args.brokers = argv[i + 1];
        else if (strcmp(argv[i], "-t") == 0)
            args.topic = argv[i + 1];
        else if (strcmp(argv[i], "--partitions") == 0)
            args.partitions = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "-n") == 0)
            args.count = atol(argv[i + 1]);
        else if (strcmp(argv[i], "-X") == 0)
            add_property(&args, argv[i + 1]);
        else
            consume_die("unknown argument", argv[i]);
    }
    if (argc % 2 == 0 || !args.brokers || !args.topic || args.count < 1 || args.partitions < 1 ||
        args.partitions > CONSUME_PARTITIONS_MAX) {
        fprintf(stderr,
                "usage: %s -b host:port -t topic [--partitions n] [-n records] "
                "[-X property=value]...\n",
                argv[0]);
        exit(2);
    }
    return args;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct rusage used(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage;
}

static double cpu_seconds(void)
{
    struct rusage now = used();
    return (double)(now.ru_utime.tv_sec + now.ru_stime.tv_sec) +
           (double)(now.ru_utime.tv_usec + now.ru_stime.tv_usec) / 1e6;
}

void consume_begin(consume_measure *measure)
{
    *measure = (consume_measure){0};
    measure->begun_cpu_s = cpu_seconds();
    measure->begun_ns = now_ns();
}

void consume_end(consume_measure *measure)
{
    measure->seconds = (double)(now_ns() - measure->begun_ns) / 1e9;
    measure->cpu_s = cpu_seconds() - measure->begun_cpu_s;
}

void consume_print(const char *client, const consume_args *args, const consume_measure *measure,
                   const char *extra)
{
    double count = (double)measure->records;
    printf("{\"client\": \"%s\", \"records\": %ld, \"partitions\": %d, \"bytes\": %" PRIu64
           ", \"seconds\": %.4f, \"records_per_s\": %.0f, \"cpu_s\": %.4f, "
           "\"cpu_s_per_million\": %.4f, \"peak_rss_kb\": %ld%s%s}\n",
           client, measure->records, args->partitions, measure->bytes, measure->seconds,
           count / measure->seconds, measure->cpu_s, measure->cpu_s / count * 1e6, used().ru_maxrss,
           extra[0] ? ", " : "", extra);
}
