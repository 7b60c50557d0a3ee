/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Produce for the scripted cluster: a log per partition, faults by script; and the fixture of the
 * producer's tests. */
#ifndef FAKE_PRODUCE_H
#define FAKE_PRODUCE_H

#include "tests/unit/client/fake_broker.h"

#include <kafkac/producer.h>

#define FAKE_FAULTS_MAX  64
#define FAKE_RECORDS_MAX 4096
#define FAKE_TEXT_MAX    24

/** What happens to the next request, once each. */
typedef enum fake_fault {
    FAKE_FAULT_NONE,
    FAKE_FAULT_CUT_BEFORE,    /**< connection closed, nothing written                    */
    FAKE_FAULT_CUT_AFTER,     /**< written, then the connection closed                   */
    FAKE_FAULT_SILENT,        /**< nothing written, never answered                       */
    FAKE_FAULT_LEAVE_OUT,     /**< written; the last partition is missing in the answer  */
    FAKE_FAULT_TWICE,         /**< written; each partition is answered twice             */
    FAKE_FAULT_REVERSED,      /**< written; topics and partitions are answered from the last on */
    FAKE_FAULT_GARBAGE_EXTRA, /**< written; partitions and topics nobody asked for       */
} fake_fault;

typedef struct fake_record {
    char topic[FAKE_TEXT_MAX];
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    char key[FAKE_TEXT_MAX];   /**< cut; "" for null */
    char value[FAKE_TEXT_MAX]; /**< cut; "" for null */
    size_t value_len;
    int32_t header_count;
    uint32_t batch; /**< number of the batch it came in */
} fake_record;

typedef struct fake_log {
    fake_cluster *cluster;
    fake_record records[FAKE_RECORDS_MAX];
    size_t record_count;
    uint32_t batches, requests;
    kp_codec codec;          /**< of the last batch       */
    uint32_t codecs;         /**< bit by codec, of all batches */
    size_t batch_bytes_seen; /**< the largest batch taken */
    int16_t version;         /**< of the last request     */
    int16_t acks;
    uint32_t partitions_seen; /**< in the last request     */
    /* script */
    fake_fault faults[FAKE_FAULTS_MAX]; /**< by request                          */
    size_t fault_count, fault_at;
    int16_t errors[FAKE_FAULTS_MAX]; /**< by batch, 0: none                   */
    size_t error_count, error_at;
    int32_t only_partition; /**< `errors` are for this one; -1: any           */
    size_t batch_bytes_max; /**< MESSAGE_TOO_LARGE above; 0: any              */
    const char *refused;    /**< INVALID_RECORD names records with this value */
    int32_t refused_shift;  /**< added to the indexes it names */
    int32_t hint_epoch;     /**< of hints with scripted errors: each names the next broker */
    bool has_hints;         /**< NOT_LEADER names the leader (KIP-951)        */
    int64_t append_ms;      /**< log-append time; -1: none                    */
    int32_t throttle_ms;
    int64_t delay_us; /**< of every answer */
    bool is_holding;  /**< requests are held */
    fake_request *held[FAKE_FAULTS_MAX];
    kp_produce_resp held_answers[FAKE_FAULTS_MAX];
    size_t held_count;
} fake_log;

/** Values of a partition in order: "a b c". Static storage. */
const char *fake_log_text(const fake_log *log, const char *topic, int32_t partition);
size_t fake_log_count(const fake_log *log, const char *topic, int32_t partition);
void fake_log_fault(fake_log *log, fake_fault fault);
/** The next batch (of only_partition) is answered with this code. */
void fake_log_error(fake_log *log, int16_t code);
/** Let go the requests held so far. */
void fake_log_release(fake_log *log);

/** A cluster, a log, a client, a producer, and what the delivery callback was told. */
typedef struct producer_fixture {
    fake_cluster *cluster;
    fake_log *log;
    kc_client *client;
    kc_producer *producer;
    char told[65536]; /**< "a@0:5 " for value a at partition 0, offset 5; "a!TIMEOUT " for a failure
                       */
    size_t told_len;
    uint32_t told_count, failed_count;
    kc_error last_error;
    int64_t last_timestamp_ms;
    int32_t last_partition;
    void (*on_told)(struct producer_fixture *fixture);
    char names[65536]; /**< what `user` points to */
    size_t names_len;
} producer_fixture;

/** `properties` as "name=value", NULL at the end; topic "t" with `partitions`, led by the brokers
 * in turn. */
producer_fixture *fixture_new(int brokers, int partitions, const char *const *properties);
/** Frees everything and checks for leaks. The producer may be closed before. */
void fixture_free(producer_fixture *fixture);
/** Send `value` to a partition (-1: any) of "t"; told under its value. Must be accepted. */
void fixture_send(producer_fixture *fixture, int32_t partition, const char *value);
/** The same with key, and with the result. */
kc_err fixture_try(producer_fixture *fixture, int32_t partition, const char *key, const char *value,
                   size_t value_len);
void fixture_run(producer_fixture *fixture, int64_t ms);
/** The delivery callback; `user` is a string. Tells the fixture made last. */
void fixture_told(const kc_delivery *delivery, void *user);
/** "v17": static storage, one text for each number below 4096. */
const char *fixture_name(int number);
kc_producer_stats fixture_stats(const producer_fixture *fixture);

#define PROPERTIES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_PROPERTIES   ((const char *const[]){NULL})

#endif
