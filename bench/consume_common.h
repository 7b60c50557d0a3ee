/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the three consume benchmarks share: arguments, the measures, the line of JSON they print. */
#ifndef BENCH_CONSUME_COMMON_H
#define BENCH_CONSUME_COMMON_H

#include <stddef.h>
#include <stdint.h>

#define CONSUME_PROPERTIES_MAX 32
#define CONSUME_PARTITIONS_MAX 1024

typedef struct consume_args {
    const char *brokers; /**< -b, host:port                                   */
    const char *topic;   /**< -t, with at least that many records in it       */
    int partitions;      /**< --partitions, that it has; all are read from 0  */
    long count;          /**< -n, records to read                             */
    struct {
        char name[96];
        const char *value;
    } properties[CONSUME_PROPERTIES_MAX]; /**< -X name=value */
    int property_count;
} consume_args;

/** Ends the program with a usage line when they are wrong. */
consume_args consume_args_read(int argc, char **argv);

/** What was read: every record is looked at, so that nobody gets away with less. */
typedef struct consume_measure {
    int64_t begun_ns;
    double begun_cpu_s;
    double seconds, cpu_s;
    long records;
    uint64_t bytes; /**< of keys and values */
} consume_measure;

void consume_begin(consume_measure *measure);
void consume_end(consume_measure *measure);
/** `extra` may be empty, else further members: "\"fetches\": 7". */
void consume_print(const char *client, const consume_args *args, const consume_measure *measure,
                   const char *extra);
void consume_die(const char *what, const char *why);

#endif
