/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the three produce benchmarks share: arguments, the records, the measures, the line of JSON
 * they print. */
#ifndef BENCH_PRODUCE_COMMON_H
#define BENCH_PRODUCE_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRODUCE_PROPERTIES_MAX 32

typedef struct produce_args {
    const char *brokers; /**< -b, host:port                                         */
    const char *topic;   /**< -t, which must exist                                  */
    int partitions;      /**< --partitions, that it has                             */
    long count;          /**< -n                                                    */
    int size;            /**< --size, bytes of a value                              */
    int acks;            /**< --acks, all or a number                               */
    bool is_keyed;       /**< --keyed: an 8-byte key on each record                 */
    bool is_latency;     /**< --latency: one record at a time, to its acknowledgement */
    struct {
        char name[96];
        const char *value;
    } properties[PRODUCE_PROPERTIES_MAX]; /**< -X name=value */
    int property_count;
} produce_args;

/** Ends the program with a usage line when they are wrong. */
produce_args produce_args_read(int argc, char **argv);

/** Values of `args->size` random bytes, the same in each program. */
#define PRODUCE_VALUES 1000
const uint8_t *produce_value(const produce_args *args, long i);

typedef struct produce_measure {
    int64_t begun_ns;
    double begun_cpu_s;
    double seconds, cpu_s;
    int64_t *latency_ns; /**< one a record with --latency */
} produce_measure;

int64_t produce_now_ns(void);
void produce_begin(produce_measure *measure, const produce_args *args);
void produce_end(produce_measure *measure);
/** `extra` may be empty, else further members: "\"batches\": 7". */
void produce_print(const char *client, const produce_args *args, const produce_measure *measure,
                   long failed, const char *extra);
void produce_die(const char *what, const char *why);

#endif
