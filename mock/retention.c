/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Retention, segment by segment as in a broker, but looked at when something is written. Sizes are asked for each time,
 * so that memory is not used up; ages every five minutes as by a broker, so that records which come with old timestamps
 * can be read. Segments are much smaller than a broker's, so more of what may go does go. */
#include "mock/retention.h"

#define RETENTION_MS    604800000                /* retention.ms: seven days */
#define AGE_INTERVAL_US (INT64_C(300000) * 1000) /* log.retention.check.interval.ms */

/** Without a look at each batch: nothing may go. */
static bool is_nothing_due(const km_partition *partition, int64_t bytes_max, int64_t age_max_ms)
{
    const km_log *log = &partition->log;
    const km_entry *first = &log->entries[0];
    int64_t age_ms = partition->topic->cluster->wall_ms - first->max_timestamp;
    bool is_one_segment = first->segment == log->entries[log->entry_count - 1].segment;
    return is_one_segment || ((bytes_max < 0 || (int64_t)log->bytes < bytes_max) &&
                              (age_max_ms < 0 || age_ms <= age_max_ms));
}

/** The batches of the first segment, which is not the one that is written. */
typedef struct first_segment {
    size_t bytes;
    int64_t end_offset;
    int64_t newest_ms;
} first_segment;

/** False: there is none below the high watermark that could go. */
static bool look(const km_log *log, first_segment *out)
{
    *out = (first_segment){.newest_ms = -1};
    for (size_t i = 0; i < log->entry_count; i++) {
        const km_entry *entry = &log->entries[i];
        if (entry->segment != log->entries[0].segment)
            return out->end_offset <= log->high_watermark;
        out->bytes += entry->len;
        out->end_offset = entry->next_offset;
        if (entry->max_timestamp > out->newest_ms)
            out->newest_ms = entry->max_timestamp;
    }
    return false;
}

void km_partition_retain(km_partition *partition)
{
    const km_topic *topic = partition->topic;
    km_log *log = &partition->log;
    if (!km_topic_has_policy(topic, "delete"))
        return;
    int64_t bytes_max = km_topic_config_i64(topic, "retention.bytes", -1);
    int64_t age_max_ms = -1;
    if (topic->cluster->now_us - partition->aged_us >= AGE_INTERVAL_US) {
        age_max_ms = km_topic_config_i64(topic, "retention.ms", RETENTION_MS);
        partition->aged_us = topic->cluster->now_us;
    }
    first_segment first;
    while (log->entry_count > 0 && !is_nothing_due(partition, bytes_max, age_max_ms) &&
           look(log, &first)) {
        bool is_much = bytes_max >= 0 && (int64_t)(log->bytes - first.bytes) >= bytes_max;
        /* Records without a time have no age. */
        bool is_old = age_max_ms >= 0 && first.newest_ms >= 0 &&
                      topic->cluster->wall_ms - first.newest_ms > age_max_ms;
        if (!is_much && !is_old)
            return;
        km_log_delete_before(log, first.end_offset);
    }
}
