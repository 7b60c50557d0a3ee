/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A producer with numbered records, and reading back what it wrote by plain Fetch requests. */
#ifndef TESTS_PRODUCER_WORLD_H
#define TESTS_PRODUCER_WORLD_H

#include "protocol/batch.h"
#include "tests/broker/broker.h"

#include <kafkac/producer.h>

#define RECORDS_MAX 100000

typedef struct producer_world {
    kc_client *client;
    kc_producer *producer;
    char topic[64];
    uint32_t told, failed;
    kc_error error;
    int64_t *offsets;    /**< told, by number of the record; -2: not told */
    int32_t *partitions; /**< told, by number of the record               */
    int64_t timestamp_ms;
    bool may_repeat; /**< a record may be in the log more than once   */
    uint8_t *found;  /**< by number of the record: it was read        */
} producer_world;

/** What stands in a partition. */
typedef struct fetch_state {
    bool is_done;
    int32_t partition;
    int64_t next_offset, high_watermark;
    uint32_t records; /**< numbers found for the first time          */
    int64_t last;     /**< the largest number found                  */
    uint32_t codecs;  /**< bit by codec                              */
    producer_world *world;
} fetch_state;

/** `properties`: name, value, ..., NULL; or NULL. The topic has a name nobody else uses and is to be made. */
void world_open(producer_world *world, const char *stem, const char *const *properties);
void world_close(producer_world *world);
/** Delivery callback: `user` is the number; notes that each is told once. */
void world_told(const kc_delivery *delivery, void *user);
void world_send(producer_world *world, uint32_t number, int32_t partition, bool is_keyed);
/** Make the topic with one partition and one "name=value". */
void world_create_with(const producer_world *world, const char *property);
/** Read a partition to its end; each record is compared with what was told. The numbers of each must ascend, but for
 *  what may repeat. */
fetch_state world_read(producer_world *world, int32_t partition);

#endif
