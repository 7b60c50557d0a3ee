/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A consumer on the real Kafka, for the tests of the consumer: open, read, and write what is to be read. */
#ifndef TESTS_CONSUMER_READER_H
#define TESTS_CONSUMER_READER_H

#include "protocol/batch.h"
#include "tests/broker/broker.h"

#include <kafkac/consumer.h>

#include <check.h>

#define READER_WAIT_MS 30000

/** A client with one consumer, and what its group did. */
typedef struct reader {
    kc_client *client;
    kc_consumer *consumer;
    int assigned, revoked, lost, errors;
    char error[256];
} reader;

/** `group` may be NULL; `settings`: name, value, ..., NULL. auto.offset.reset is earliest. */
void reader_open(reader *r, const char *group, const char *const *settings);
/** With time to leave. */
void reader_close(reader *r);
void reader_assign(reader *r, const char *topic, int partitions, int64_t offset);
void reader_subscribe(reader *r, const char *topic);
/** Records until `count` came or nothing did for `quiet_ms`; offsets of a batch must grow. */
int reader_read(reader *r, int count, int quiet_ms);
/** Let it work until it knows that partition 0 is to be read from there; false: it took too long. */
bool reader_wait_position(reader *r, const char *topic, int64_t offset);
/** Let all work until each is stable and has so many partitions; false: it took too long. */
bool reader_wait_owned(reader *const *readers, const size_t *owned, int count);
/** Send any request, wait for its answer, hand it to `take` (may be NULL). */
void reader_call(reader *r, int16_t key, int16_t version, const void *request,
                 void (*take)(const void *message, void *user), void *user);
/** Write one batch of `count` records; of a transaction when `producer` is not NULL. */
void reader_produce(reader *r, const char *topic, int32_t partition, int count,
                    kp_batch_producer *producer, const char *transactional_id);

#endif
