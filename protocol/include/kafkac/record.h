/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A record as it is sent and as it is received. */
#ifndef KAFKAC_RECORD_H
#define KAFKAC_RECORD_H

#include <kafkac/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Partition: chosen by the key (murmur2, as Java), or sticky where there is no key. */
#define KC_PARTITION_ANY (-1)
/** Timestamp: the time of the send. */
#define KC_TIMESTAMP_NOW (-1)

/** How a received record's timestamp came about. */
typedef enum kc_timestamp_type {
    KC_TIMESTAMP_NONE = -1, /**< message format 0 */
    KC_TIMESTAMP_CREATE = 0,
    KC_TIMESTAMP_LOG_APPEND = 1,
} kc_timestamp_type;

/** A record to send. Start from KC_RECORD_INIT: partition and timestamp are not 0 by default. */
typedef struct kc_record {
    kc_bytes topic;
    int32_t partition;    /**< or KC_PARTITION_ANY                                   */
    int64_t timestamp_ms; /**< ms since 1970, or KC_TIMESTAMP_NOW                    */
    kc_bytes key;         /**< null: none                                            */
    kc_bytes value;       /**< null: a tombstone                                     */
    const kc_header *headers;
    size_t header_count;
} kc_record;

#define KC_RECORD_INIT                                                                             \
    {                                                                                              \
        .partition = KC_PARTITION_ANY, .timestamp_ms = KC_TIMESTAMP_NOW                            \
    }

/** A received record: views into its batch, valid as long as that (of a consumer: until kc_batch_free()). */
typedef struct kc_view {
    int64_t offset;
    int64_t timestamp_ms;
    kc_timestamp_type timestamp_type;
    int32_t leader_epoch; /**< -1: not known */
    kc_bytes key;
    kc_bytes value;
    int32_t header_count;
    kc_bytes headers_raw; /**< for kc_view_header() */
} kc_view;

/** Walk headers: *pos starts as view->headers_raw; false at the end. */
KC_API bool kc_view_header(kc_bytes *pos, kc_header *header_out);
/** Value of the last header of that name (last wins); false: none. */
KC_API bool kc_view_find_header(const kc_view *view, kc_bytes name, kc_bytes *value_out);

#ifdef __cplusplus
}
#endif
#endif
