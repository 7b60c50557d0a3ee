/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The tables. Of a broker's some 330 configs, those that say something about a cluster in memory. */
#include "mock/config_table.h"

#include "protocol/base/text.h"

#define ANY .min = INT64_MIN, .max = INT64_MAX

#define NUMBER(config, kind, value, from, lowest, highest)                                         \
    {                                                                                              \
        .name = config, .type = KM_CONFIG_##kind, .fallback = value, .broker = from,               \
        .min = lowest, .max = highest                                                              \
    }
#define WORDS(config, kind, value, from, words)                                                    \
    {                                                                                              \
        .name = config, .type = KM_CONFIG_##kind, .fallback = value, .broker = from, ANY,          \
        .one_of = words                                                                            \
    }
#define PLAIN(config, kind, value, from)                                                           \
    {                                                                                              \
        .name = config, .type = KM_CONFIG_##kind, .fallback = value, .broker = from, ANY           \
    }
#define FIXED(config, kind, value)                                                                 \
    {                                                                                              \
        .name = config, .type = KM_CONFIG_##kind, .fallback = value, ANY                           \
    }
/** As if in the broker's file: groups of tests have no minutes to lose. */
#define GIVEN(config, kind, value, instead)                                                        \
    {                                                                                              \
        .name = config, .type = KM_CONFIG_##kind, .fallback = value, ANY, .given = instead         \
    }
#define DYNAMIC(config, kind, value)                                                               \
    {                                                                                              \
        .name = config, .type = KM_CONFIG_##kind, .fallback = value, ANY, .is_dynamic = true       \
    }

static const km_config_row topic_rows[] = {
    WORDS("cleanup.policy", LIST, "delete", "log.cleanup.policy", "compact, delete"),
    NUMBER("compression.gzip.level", INT, "-1", "compression.gzip.level", -1, 9),
    NUMBER("compression.lz4.level", INT, "9", "compression.lz4.level", 1, 17),
    WORDS("compression.type", STRING, "producer", "compression.type",
          "uncompressed, zstd, lz4, snappy, gzip, producer"),
    NUMBER("compression.zstd.level", INT, "3", "compression.zstd.level", -131072, 22),
    NUMBER("delete.retention.ms", LONG, "86400000", "log.cleaner.delete.retention.ms", 0,
           INT64_MAX),
    NUMBER("file.delete.delay.ms", LONG, "60000", "log.segment.delete.delay.ms", 0, INT64_MAX),
    NUMBER("flush.messages", LONG, "9223372036854775807", "log.flush.interval.messages", 1,
           INT64_MAX),
    NUMBER("flush.ms", LONG, "9223372036854775807", "log.flush.interval.ms", 0, INT64_MAX),
    PLAIN("follower.replication.throttled.replicas", LIST, "", NULL),
    NUMBER("index.interval.bytes", INT, "4096", "log.index.interval.bytes", 0, INT64_MAX),
    PLAIN("leader.replication.throttled.replicas", LIST, "", NULL),
    NUMBER("local.retention.bytes", LONG, "-2", "log.local.retention.bytes", -2, INT64_MAX),
    NUMBER("local.retention.ms", LONG, "-2", "log.local.retention.ms", -2, INT64_MAX),
    NUMBER("max.compaction.lag.ms", LONG, "9223372036854775807",
           "log.cleaner.max.compaction.lag.ms", 1, INT64_MAX),
    NUMBER("max.message.bytes", INT, "1048588", "message.max.bytes", 0, INT64_MAX),
    NUMBER("message.timestamp.after.max.ms", LONG, "3600000", "log.message.timestamp.after.max.ms",
           0, INT64_MAX),
    NUMBER("message.timestamp.before.max.ms", LONG, "9223372036854775807",
           "log.message.timestamp.before.max.ms", 0, INT64_MAX),
    WORDS("message.timestamp.type", STRING, "CreateTime", "log.message.timestamp.type",
          "CreateTime, LogAppendTime"),
    NUMBER("min.cleanable.dirty.ratio", DOUBLE, "0.5", "log.cleaner.min.cleanable.ratio", 0, 1),
    NUMBER("min.compaction.lag.ms", LONG, "0", "log.cleaner.min.compaction.lag.ms", 0, INT64_MAX),
    NUMBER("min.insync.replicas", INT, "1", "min.insync.replicas", 1, INT64_MAX),
    PLAIN("preallocate", BOOLEAN, "false", "log.preallocate"),
    PLAIN("remote.log.copy.disable", BOOLEAN, "false", NULL),
    PLAIN("remote.log.delete.on.disable", BOOLEAN, "false", NULL),
    PLAIN("remote.storage.enable", BOOLEAN, "false", NULL),
    PLAIN("retention.bytes", LONG, "-1", "log.retention.bytes"),
    NUMBER("retention.ms", LONG, "604800000", "log.retention.ms", -1, INT64_MAX),
    NUMBER("segment.bytes", INT, "1073741824", "log.segment.bytes", 1048576, INT64_MAX),
    NUMBER("segment.index.bytes", INT, "10485760", "log.index.size.max.bytes", 4, INT64_MAX),
    NUMBER("segment.jitter.ms", LONG, "0", "log.roll.jitter.ms", 0, INT64_MAX),
    NUMBER("segment.ms", LONG, "604800000", "log.roll.ms", 1, INT64_MAX),
    PLAIN("unclean.leader.election.enable", BOOLEAN, "false", "unclean.leader.election.enable"),
};

static const km_config_row group_rows[] = {
    NUMBER("consumer.assignment.interval.ms", INT, "1000", "group.consumer.assignment.interval.ms",
           0, INT64_MAX),
    NUMBER("consumer.heartbeat.interval.ms", INT, "5000", "group.consumer.heartbeat.interval.ms", 1,
           INT64_MAX),
    NUMBER("consumer.session.timeout.ms", INT, "45000", "group.consumer.session.timeout.ms", 1,
           INT64_MAX),
    NUMBER("share.assignment.interval.ms", INT, "1000", "group.share.assignment.interval.ms", 0,
           INT64_MAX),
    PLAIN("share.auto.offset.reset", STRING, "latest", NULL),
    NUMBER("share.delivery.count.limit", INT, "5", "group.share.delivery.count.limit", 2,
           INT64_MAX),
    NUMBER("share.heartbeat.interval.ms", INT, "5000", "group.share.heartbeat.interval.ms", 1,
           INT64_MAX),
    WORDS("share.isolation.level", STRING, "read_uncommitted", NULL,
          "read_committed, read_uncommitted"),
    NUMBER("share.partition.max.record.locks", INT, "2000",
           "group.share.partition.max.record.locks", 100, INT64_MAX),
    NUMBER("share.record.lock.duration.ms", INT, "30000", "group.share.record.lock.duration.ms",
           1000, INT64_MAX),
    PLAIN("share.renew.acknowledge.enable", BOOLEAN, "true", NULL),
    NUMBER("share.session.timeout.ms", INT, "45000", "group.share.session.timeout.ms", 1,
           INT64_MAX),
    NUMBER("streams.assignment.interval.ms", INT, "1000", "group.streams.assignment.interval.ms", 0,
           INT64_MAX),
    NUMBER("streams.heartbeat.interval.ms", INT, "5000", "group.streams.heartbeat.interval.ms", 1,
           INT64_MAX),
    NUMBER("streams.initial.rebalance.delay.ms", INT, "3000",
           "group.streams.initial.rebalance.delay.ms", 0, INT64_MAX),
    NUMBER("streams.num.standby.replicas", INT, "0", "group.streams.num.standby.replicas", 0,
           INT64_MAX),
    NUMBER("streams.session.timeout.ms", INT, "45000", "group.streams.session.timeout.ms", 1,
           INT64_MAX),
};

static const km_config_row metrics_rows[] = {
    PLAIN("interval.ms", INT, "300000", NULL),
    PLAIN("match", LIST, "", NULL),
    PLAIN("metrics", LIST, "", NULL),
};

static const km_config_row broker_rows[] = {
    FIXED("advertised.listeners", LIST, NULL),
    FIXED("auto.create.topics.enable", BOOLEAN, "true"),
    FIXED("auto.leader.rebalance.enable", BOOLEAN, "true"),
    FIXED("broker.id", INT, "-1"),
    FIXED("broker.rack", STRING, NULL),
    DYNAMIC("compression.gzip.level", INT, "-1"),
    DYNAMIC("compression.lz4.level", INT, "9"),
    DYNAMIC("compression.type", STRING, "producer"),
    DYNAMIC("compression.zstd.level", INT, "3"),
    FIXED("connections.max.idle.ms", LONG, "600000"),
    FIXED("connections.max.reauth.ms", LONG, "0"),
    FIXED("default.replication.factor", INT, "1"),
    FIXED("delete.topic.enable", BOOLEAN, "true"),
    FIXED("fetch.max.bytes", INT, "57671680"),
    DYNAMIC("group.consumer.assignment.interval.ms", INT, "1000"),
    FIXED("group.consumer.assignors", LIST, "uniform,range"),
    FIXED("group.consumer.heartbeat.interval.ms", INT, "5000"),
    FIXED("group.consumer.max.assignment.interval.ms", INT, "15000"),
    FIXED("group.consumer.max.heartbeat.interval.ms", INT, "15000"),
    FIXED("group.consumer.max.session.timeout.ms", INT, "60000"),
    FIXED("group.consumer.max.size", INT, "2147483647"),
    FIXED("group.consumer.migration.policy", STRING, "bidirectional"),
    FIXED("group.consumer.min.assignment.interval.ms", INT, "0"),
    GIVEN("group.consumer.min.heartbeat.interval.ms", INT, "5000", "100"),
    GIVEN("group.consumer.min.session.timeout.ms", INT, "45000", "1000"),
    FIXED("group.consumer.session.timeout.ms", INT, "45000"),
    FIXED("group.initial.rebalance.delay.ms", INT, "3000"),
    FIXED("group.max.session.timeout.ms", INT, "1800000"),
    FIXED("group.max.size", INT, "2147483647"),
    FIXED("group.min.session.timeout.ms", INT, "6000"),
    DYNAMIC("group.share.assignment.interval.ms", INT, "1000"),
    FIXED("group.share.assignors", LIST, "simple"),
    FIXED("group.share.delivery.count.limit", INT, "5"),
    FIXED("group.share.heartbeat.interval.ms", INT, "5000"),
    FIXED("group.share.max.assignment.interval.ms", INT, "15000"),
    FIXED("group.share.max.delivery.count.limit", INT, "10"),
    FIXED("group.share.max.heartbeat.interval.ms", INT, "15000"),
    FIXED("group.share.max.partition.max.record.locks", INT, "4000"),
    FIXED("group.share.max.record.lock.duration.ms", INT, "60000"),
    FIXED("group.share.max.session.timeout.ms", INT, "60000"),
    FIXED("group.share.max.share.sessions", INT, "2000"),
    FIXED("group.share.max.size", INT, "200"),
    FIXED("group.share.min.assignment.interval.ms", INT, "0"),
    FIXED("group.share.min.delivery.count.limit", INT, "2"),
    GIVEN("group.share.min.heartbeat.interval.ms", INT, "5000", "100"),
    FIXED("group.share.min.partition.max.record.locks", INT, "100"),
    GIVEN("group.share.min.record.lock.duration.ms", INT, "15000", "1000"),
    GIVEN("group.share.min.session.timeout.ms", INT, "45000", "1000"),
    FIXED("group.share.partition.max.record.locks", INT, "2000"),
    FIXED("group.share.record.lock.duration.ms", INT, "30000"),
    FIXED("group.share.session.timeout.ms", INT, "45000"),
    DYNAMIC("group.streams.assignment.interval.ms", INT, "1000"),
    FIXED("group.streams.heartbeat.interval.ms", INT, "5000"),
    FIXED("group.streams.initial.rebalance.delay.ms", INT, "3000"),
    FIXED("group.streams.max.assignment.interval.ms", INT, "15000"),
    FIXED("group.streams.max.heartbeat.interval.ms", INT, "15000"),
    FIXED("group.streams.max.session.timeout.ms", INT, "60000"),
    FIXED("group.streams.max.size", INT, "2147483647"),
    FIXED("group.streams.max.standby.replicas", INT, "2"),
    FIXED("group.streams.min.assignment.interval.ms", INT, "0"),
    FIXED("group.streams.min.heartbeat.interval.ms", INT, "5000"),
    FIXED("group.streams.min.session.timeout.ms", INT, "45000"),
    FIXED("group.streams.num.standby.replicas", INT, "0"),
    FIXED("group.streams.session.timeout.ms", INT, "45000"),
    FIXED("inter.broker.listener.name", STRING, NULL),
    DYNAMIC("listener.security.protocol.map", STRING,
            "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
    DYNAMIC("listeners", LIST, "PLAINTEXT://:9092"),
    DYNAMIC("log.cleaner.backoff.ms", LONG, "15000"),
    DYNAMIC("log.cleaner.delete.retention.ms", LONG, "86400000"),
    FIXED("log.cleaner.enable", BOOLEAN, "true"),
    DYNAMIC("log.cleaner.max.compaction.lag.ms", LONG, "9223372036854775807"),
    DYNAMIC("log.cleaner.min.cleanable.ratio", DOUBLE, "0.5"),
    DYNAMIC("log.cleaner.min.compaction.lag.ms", LONG, "0"),
    DYNAMIC("log.cleaner.threads", INT, "1"),
    DYNAMIC("log.cleanup.policy", LIST, "delete"),
    /* nowhere: all is in memory */
    FIXED("log.dirs", LIST, NULL),
    DYNAMIC("log.flush.interval.messages", LONG, "9223372036854775807"),
    DYNAMIC("log.flush.interval.ms", LONG, NULL),
    DYNAMIC("log.index.interval.bytes", INT, "4096"),
    DYNAMIC("log.index.size.max.bytes", INT, "10485760"),
    DYNAMIC("log.local.retention.bytes", LONG, "-2"),
    DYNAMIC("log.local.retention.ms", LONG, "-2"),
    DYNAMIC("log.message.timestamp.after.max.ms", LONG, "3600000"),
    DYNAMIC("log.message.timestamp.before.max.ms", LONG, "9223372036854775807"),
    DYNAMIC("log.message.timestamp.type", STRING, "CreateTime"),
    DYNAMIC("log.preallocate", BOOLEAN, "false"),
    DYNAMIC("log.retention.bytes", LONG, "-1"),
    FIXED("log.retention.check.interval.ms", LONG, "300000"),
    FIXED("log.retention.hours", INT, "168"),
    FIXED("log.retention.minutes", INT, NULL),
    DYNAMIC("log.retention.ms", LONG, NULL),
    FIXED("log.roll.hours", INT, "168"),
    FIXED("log.roll.jitter.hours", INT, "0"),
    DYNAMIC("log.roll.jitter.ms", LONG, NULL),
    DYNAMIC("log.roll.ms", LONG, NULL),
    DYNAMIC("log.segment.bytes", INT, "1073741824"),
    DYNAMIC("log.segment.delete.delay.ms", LONG, "60000"),
    DYNAMIC("max.connection.creation.rate", INT, "2147483647"),
    DYNAMIC("max.connections", INT, "2147483647"),
    DYNAMIC("max.connections.per.ip", INT, "2147483647"),
    DYNAMIC("max.connections.per.ip.overrides", STRING, ""),
    FIXED("max.incremental.fetch.session.cache.slots", INT, "1000"),
    DYNAMIC("message.max.bytes", INT, "1048588"),
    {.name = "min.insync.replicas",
     .type = KM_CONFIG_INT,
     .fallback = "1",
     ANY,
     .is_dynamic = true,
     .preset = "1"},
    FIXED("node.id", INT, NULL),
    DYNAMIC("num.io.threads", INT, "8"),
    DYNAMIC("num.network.threads", INT, "3"),
    FIXED("num.partitions", INT, "1"),
    FIXED("offset.metadata.max.bytes", INT, "4096"),
    FIXED("offsets.commit.timeout.ms", INT, "5000"),
    FIXED("offsets.retention.check.interval.ms", LONG, "600000"),
    FIXED("offsets.retention.minutes", INT, "10080"),
    FIXED("offsets.topic.num.partitions", INT, "50"),
    FIXED("offsets.topic.replication.factor", SHORT, "3"),
    DYNAMIC("producer.id.expiration.ms", INT, "86400000"),
    FIXED("request.timeout.ms", INT, "30000"),
    DYNAMIC("sasl.enabled.mechanisms", LIST, "GSSAPI"),
    FIXED("socket.receive.buffer.bytes", INT, "102400"),
    FIXED("socket.request.max.bytes", INT, "104857600"),
    FIXED("socket.send.buffer.bytes", INT, "102400"),
    FIXED("transaction.max.timeout.ms", INT, "900000"),
    DYNAMIC("transaction.partition.verification.enable", BOOLEAN, "true"),
    FIXED("transaction.state.log.min.isr", INT, "2"),
    FIXED("transaction.state.log.num.partitions", INT, "50"),
    FIXED("transaction.state.log.replication.factor", SHORT, "3"),
    FIXED("transactional.id.expiration.ms", INT, "604800000"),
    DYNAMIC("unclean.leader.election.enable", BOOLEAN, "false"),
};

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

const km_config_row *km_config_rows(int8_t resource_type, size_t *count_out)
{
    switch (resource_type) {
    case KM_RESOURCE_TOPIC:
        *count_out = COUNT(topic_rows);
        return topic_rows;
    case KM_RESOURCE_BROKER:
        *count_out = COUNT(broker_rows);
        return broker_rows;
    case KM_RESOURCE_CLIENT_METRICS:
        *count_out = COUNT(metrics_rows);
        return metrics_rows;
    case KM_RESOURCE_GROUP:
        *count_out = COUNT(group_rows);
        return group_rows;
    default:
        *count_out = 0;
        return NULL;
    }
}

const km_config_row *km_config_row_find(int8_t resource_type, kc_bytes name)
{
    size_t count;
    const km_config_row *rows = km_config_rows(resource_type, &count);
    for (size_t i = 0; i < count; i++)
        if (kc_bytes_equal(name, kc_str(rows[i].name)))
            return &rows[i];
    return NULL;
}
