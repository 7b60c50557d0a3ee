/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the three produce benchmarks share. */
#define _GNU_SOURCE // getrusage, clock_gettime
#include "bench/produce_common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char usage[] =
    "usage: %s -b host:port -t topic [--partitions n] [-n records] [--size bytes]\n"
    "       [--acks all|0|1] [--keyed] [--latency] [-X property=value]...\n";

void produce_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void add_property(produce_args *args, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || args->property_count == PRODUCE_PROPERTIES_MAX ||
        (size_t)(equals - text) >= sizeof args->properties[0].name)
        produce_die("-X", text);
    snprintf(args->properties[args->property_count].name, sizeof args->properties[0].name, "%.*s",
             (int)(equals - text), text);
    args->properties[args->property_count++].value = equals + 1;
}

produce_args produce_args_read(int argc, char **argv)
{
    produce_args args = {.partitions = 6, .count = 1000000, .size = 100, .acks = -1};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        i++;
        if (strcmp(name, "-b") == 0)
            args.brokers = value;
        else if (strcmp(name, "-t") == 0)
            args.topic = value;
        else if (strcmp(name, "--partitions") == 0)
            args.partitions = atoi(value);
        else if (strcmp(name, "-n") == 0)
            args.count = atol(value);
        else if (strcmp(name, "--size") == 0)
            args.size = atoi(value);
        else if (strcmp(name, "--acks") == 0)
            args.acks = strcmp(value, "all") == 0 ? -1 : atoi(value);
        else if (strcmp(name, "-X") == 0)
            add_property(&args, value);
        else if (strcmp(name, "--keyed") == 0 && i--)
            args.is_keyed = true;
        else if (strcmp(name, "--latency") == 0 && i--)
            args.is_latency = true;
        else
            produce_die("unknown argument", name);
    }
    if (!args.brokers || !args.topic || args.partitions < 1 || args.count < 1 || args.size < 1) {
        fprintf(stderr, usage, argv[0]);
        exit(2);
    }
    return args;
}

const uint8_t *produce_value(const produce_args *args, long i)
{
    static uint8_t *values;
    size_t size = (size_t)args->size;
    if (!values) {
        values = malloc(size * PRODUCE_VALUES);
        if (!values)
            produce_die("malloc", "out of memory");
        srand(1);
        for (size_t k = 0; k < size * PRODUCE_VALUES; k++)
            values[k] = (uint8_t)rand();
    }
    return values + size * (size_t)(i % PRODUCE_VALUES);
}

int64_t produce_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double cpu_seconds(void)
{
    struct rusage usage_now;
    getrusage(RUSAGE_SELF, &usage_now);
    return seconds_of(usage_now.ru_utime) + seconds_of(usage_now.ru_stime);
}

void produce_begin(produce_measure *measure, const produce_args *args)
{
    *measure = (produce_measure){0};
    (void)produce_value(args, 0);
    if (args->is_latency) {
        measure->latency_ns = calloc((size_t)args->count, sizeof(int64_t));
        if (!measure->latency_ns)
            produce_die("calloc", "out of memory");
    }
    measure->begun_cpu_s = cpu_seconds();
    measure->begun_ns = produce_now_ns();
}

void produce_end(produce_measure *measure)
{
    measure->seconds = (double)(produce_now_ns() - measure->begun_ns) / 1e9;
    measure->cpu_s = cpu_seconds() - measure->begun_cpu_s;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_latency(const produce_args *args, const produce_measure *measure)
{
    size_t count = (size_t)args->count;
    qsort(measure->latency_ns, count, sizeof(int64_t), compare);
    printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f",
           (double)measure->latency_ns[count / 2] / 1e3,
           (double)measure->latency_ns[count * 99 / 100] / 1e3,
           (double)measure->latency_ns[count * 999 / 1000] / 1e3);
}

void produce_print(const char *client, const produce_args *args, const produce_measure *measure,
                   long failed, const char *extra)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double count = (double)args->count;
    printf("{\"client\": \"%s\", \"records\": %ld, \"size\": %d, \"partitions\": %d, \"acks\": %d, "
           "\"seconds\": %.4f, \"records_per_s\": %.0f, \"cpu_s\": %.4f, "
           "\"cpu_s_per_million\": %.4f, \"peak_rss_kb\": %ld, \"failed\": %ld",
           client, args->count, args->size, args->partitions, args->acks, measure->seconds,
           count / measure->seconds, measure->cpu_s, measure->cpu_s / count * 1e6, used.ru_maxrss,
           failed);
    if (measure->latency_ns)
        print_latency(args, measure);
    printf("%s%s}\n", extra[0] ? ", " : "", extra);
}
