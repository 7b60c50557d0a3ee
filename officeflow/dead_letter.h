/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What retry and dead letter records say in their headers: origin, tries, failure. Written by the
 * consumer, read by the DLQ handler, the operator's verbs and the trace. Key, value and foreign
 * headers are never touched. */
#ifndef OF_DEAD_LETTER_H
#define OF_DEAD_LETTER_H

#include "officeflow/wire.h"

#include <officeflow/dlq.h>

/* KIP-1191's wire contract */
#define OF_H_DLQ_TOPIC     "__dlq.errors.topic"
#define OF_H_DLQ_PARTITION "__dlq.errors.partition"
#define OF_H_DLQ_OFFSET    "__dlq.errors.offset"
#define OF_H_DLQ_GROUP     "__dlq.errors.group"
#define OF_H_DLQ_COUNT     "__dlq.errors.delivery.count"
#define OF_H_DLQ_MESSAGE   "__dlq.errors.message"
/* ours */
#define OF_H_DLQ_PREFIX        "of-dlq-"
#define OF_H_DLQ_ID            "of-dlq-id"
#define OF_H_DLQ_CLASS         "of-dlq-class"
#define OF_H_DLQ_CODE          "of-dlq-code"
#define OF_H_DLQ_FINGERPRINT   "of-dlq-fingerprint"
#define OF_H_DLQ_HANDLER       "of-dlq-handler"
#define OF_H_DLQ_HOST          "of-dlq-host"
#define OF_H_DLQ_CLIENT        "of-dlq-client"
#define OF_H_DLQ_FIRST         "of-dlq-first"
#define OF_H_DLQ_LAST          "of-dlq-last"
#define OF_H_DLQ_ORIGIN_TS     "of-dlq-origin-ts"
#define OF_H_DLQ_ORIGIN_TSTYPE "of-dlq-origin-tstype"
#define OF_H_DLQ_ORIGIN_EPOCH  "of-dlq-origin-epoch"
#define OF_H_DLQ_REDRIVES      "of-dlq-redrives"
#define OF_H_DLQ_HISTORY       "of-dlq-history"
#define OF_H_DLQ_TRUNCATED     "of-dlq-truncated"
#define OF_H_DLQ_REASON        "of-dlq-quarantine-reason"

#define OF_CODE_MAX            64
#define OF_MESSAGE_MAX         1024
#define OF_HISTORY_ENTRIES_MAX 10
#define OF_HISTORY_BYTES_MAX   2048
/** More tries or redrives than that nobody made. */
#define OF_COUNT_MAX 1000000

/** Where a record stood first. */
typedef struct of_origin {
    kc_bytes topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    kc_timestamp_type timestamp_type;
    int32_t leader_epoch;
} of_origin;

/** "topic/partition/offset/timestamp/tstype/leaderEpoch". False: not in that form; topic points
 * into `text`. */
bool of_origin_parse(kc_bytes text, of_origin *origin_out);
void of_origin_put(of_headers *headers, const of_origin *origin);

/** First 16 hex digits of SHA-256(cluster id, group, topic, partition, offset). */
void of_dead_letter_id(const char *cluster_id, kc_bytes group, const of_origin *origin,
                       char id_out[17]);
/** 12 hex digits of SHA-256(handler, class, code, message with digits, hex, uuids and quoted text
 * masked). */
void of_fingerprint(kc_bytes handler, of_class failure_class, kc_bytes code, kc_bytes message,
                    char text_out[13]);

/** One dead letter to be written. */
typedef struct of_death {
    const char *cluster_id;
    kc_bytes group, handler, client_id;
    of_origin origin;
    of_class failure_class;
    kc_bytes code, message, history; /* history: JSON array, null: none */
    int32_t attempts, redrives;
    int64_t first_ms, last_ms;
} of_death;
/** Replace in `headers` (which hold the record's own) all that a dead letter says. */
void of_death_put(of_headers *headers, const of_death *death, const char id[17]);

/** Remove what retry topics and dead letters add, so that a record is as its producer sent it. */
void of_headers_strip(of_headers *headers);

/** Read a record of a DLQ or quarantine topic; slices point into its headers. False: no group or
 * origin in it (it is foreign, or no dead letter). Foreign formats known: KIP-1191. State is
 * OF_DEAD. */
bool of_dead_letter_read(const of_message *message, of_dead_letter *letter_out);

/** Append an entry to a history (null: none) in the arena; keeps the newest within the limits. */
kc_bytes of_history_add(kb_arena *arena, kc_bytes history, int32_t attempt, int64_t wall_ms,
                        of_stage stage, of_class failure_class, kc_bytes code);

/** Name of this host, cut to 64 bytes; asked once. */
const char *of_host_name(void);

/** "retry.<group>.<tier>"; NULL out of memory. */
const char *of_retry_topic(kb_arena *arena, kc_bytes group, const char *tier);

#endif
