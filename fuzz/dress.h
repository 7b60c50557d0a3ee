/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Random requests that mean something to a cluster: names that are there, numbers near those it answered. */
#ifndef KC_FUZZ_DRESS_H
#define KC_FUZZ_DRESS_H

#include "fuzz/fuzz.h"
#include "mock/cluster.h"
#include "protocol/batch.h"
#include "protocol/codec_internal.h"
#include "protocol/random_fill.h"

#include <kafkac/unstable/messages.h>

/** What was answered last, of each kind that requests have to tell again. */
enum dress_kind {
    DRESS_MEMBER_ID,
    DRESS_GENERATION,
    DRESS_MEMBER_EPOCH,
    DRESS_PRODUCER_ID,
    DRESS_PRODUCER_EPOCH,
    DRESS_SESSION_ID,
    DRESS_KINDS,
};

typedef struct dress {
    kb_rand *rand;
    kb_arena *arena;
    const km_cluster *cluster;
    int16_t api_key;
    int16_t version;
    int64_t *numbers; /**< DRESS_KINDS, as answered */
    char (*members)[64];
    size_t *member_count;
} dress;

#define DRESS_MEMBERS 4

typedef void (*dress_fn)(dress *d, const kp_field_desc *field, void *value);

/* Each value that is no array and no struct. */
static inline void dress_each(dress *d, const kp_struct_desc *desc, void *msg, dress_fn fn)
{
    for (uint16_t i = 0; i < desc->field_count; i++) {
        const kp_field_desc *field = &desc->fields[i];
        if (d->version < field->min || d->version > field->max)
            continue;
        uint8_t *value = (uint8_t *)msg + field->offset;
        int32_t count = 1;
        if (field->flags & KP_F_ARRAY) {
            kp_array *array = (kp_array *)(void *)value;
            value = (uint8_t *)array->items;
            count = array->count;
        } else if (field->type == KP_STRUCT && field->nullable_from >= 0) {
            value = *(uint8_t **)(void *)value;
        }
        for (int32_t at = 0; value && at < count; at++, value += field->value_size) {
            if (field->type == KP_STRUCT)
                dress_each(d, field->sub, value, fn);
            else
                fn(d, field, value);
        }
    }
}

/* ---- what there is to say ---- */

typedef struct dress_words {
    const char *field;
    int16_t api_key; /**< -1: any */
    const char *words[8];
} dress_words;

static const dress_words dress_texts[] = {
    {"name", KP_API_JOIN_GROUP, {"range", "roundrobin"}},
    {"name", KP_API_ALTER_USER_SCRAM_CREDENTIALS, {"u", "v"}},
    {"name", KP_API_DESCRIBE_USER_SCRAM_CREDENTIALS, {"u", "v"}},
    {"name",
     KP_API_CREATE_TOPICS,
     {"t", "u", "cleanup.policy", "retention.bytes", "retention.ms", "w.1", "__consumer_offsets"}},
    {"name",
     KP_API_ALTER_CONFIGS,
     {"cleanup.policy", "retention.bytes", "max.message.bytes", "group.session.timeout.ms"}},
    {"name",
     KP_API_INCREMENTAL_ALTER_CONFIGS,
     {"cleanup.policy", "retention.bytes", "max.message.bytes", "group.session.timeout.ms",
      "share.record.lock.duration.ms"}},
    {"value", -1, {"delete", "compact", "1000", "1", "-1", "compact,delete"}},
    {"configName", -1, {"cleanup.policy", "retention.ms"}},
    {"resourceName", -1, {"t", "u", "1", "c", "", "s"}},
    {"name", -1, {"t", "u", "v", "__transaction_state"}},
    {"topic", -1, {"t", "u", "v"}},
    {"topicName", -1, {"t", "u", "v"}},
    {"topicNames", -1, {"t", "u", "v"}},
    {"topics", -1, {"t", "u", "v"}},
    {"subscribedTopicNames", -1, {"t", "u", "v"}},
    {"subscribedTopicRegex", -1, {"t|u", ".*", "(a*)*[tu]{1,9}", "["}},
    {"groupId", KP_API_JOIN_GROUP, {"g"}},
    {"groupId", KP_API_SYNC_GROUP, {"g"}},
    {"groupId", KP_API_HEARTBEAT, {"g"}},
    {"groupId", KP_API_CONSUMER_GROUP_HEARTBEAT, {"c"}},
    {"groupId", KP_API_SHARE_GROUP_HEARTBEAT, {"s"}},
    {"groupId", KP_API_SHARE_FETCH, {"s"}},
    {"groupId", KP_API_SHARE_ACKNOWLEDGE, {"s"}},
    {"groupId", -1, {"c", "g", "s", "x"}},
    {"memberId", KP_API_CONSUMER_GROUP_HEARTBEAT, {"m", "n"}},
    {"memberId", KP_API_SHARE_GROUP_HEARTBEAT, {"m", "n"}},
    {"memberId", KP_API_SHARE_FETCH, {"m", "n"}},
    {"memberId", KP_API_SHARE_ACKNOWLEDGE, {"m", "n"}},
    {"groups", -1, {"c", "g", "s"}},
    {"groupsNames", -1, {"c", "g", "s"}},
    {"groupIds", -1, {"c", "g", "s"}},
    {"key", -1, {"c", "x", "producer_byte_rate"}},
    {"coordinatorKeys", -1, {"c", "g", "x"}},
    {"groupInstanceId", -1, {"i", "j"}},
    {"instanceId", -1, {"i", "j"}},
    {"serverAssignor", -1, {"uniform", "range"}},
    {"protocolType", -1, {"consumer"}},
    {"protocolName", -1, {"range", "roundrobin"}},
    {"transactionalId", -1, {"x", "x", "x", "y"}},
    {"v3AndBelowTransactionalId", -1, {"x", "y"}},
    {"transactionalIds", -1, {"x", "y"}},
    {"mechanism", -1, {"PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"}},
    {"entityType", -1, {"user", "client-id", "ip"}},
    {"host", -1, {"*", "10.0.0.1"}},
    {"principal", -1, {"User:a", "User:*"}},
};

typedef struct dress_range {
    const char *field;
    int64_t from, below;
    int kind; /**< then mostly the number answered last; -1: none */
} dress_range;

static const dress_range dress_numbers[] = {
    {"partition", 0, 3, -1},
    {"partitions", 0, 3, -1},
    {"partitionIndex", 0, 3, -1},
    {"partitionIndexes", 0, 3, -1},
    {"index", 0, 3, -1},
    {"replicaId", -1, 0, -1},
    {"brokerIds", 0, 5, -1},
    {"currentLeaderEpoch", -1, 2, -1},
    {"leaderEpoch", -1, 2, -1},
    {"lastFetchedEpoch", -1, 1, -1},
    {"fetchOffset", 0, 12, -1},
    {"offset", 0, 12, -1},
    {"committedOffset", 0, 12, -1},
    {"firstOffset", 0, 12, -1},
    {"lastOffset", 0, 12, -1},
    {"startOffset", 0, 12, -1},
    {"timestamp", -6, 2, -1},
    {"maxWaitMs", 0, 2000, -1},
    {"minBytes", 0, 300, -1},
    {"maxBytes", 0, 100000, -1},
    {"partitionMaxBytes", 0, 100000, -1},
    {"maxRecords", 0, 20, -1},
    {"batchSize", 0, 5, -1},
    {"acks", -1, 2, -1},
    {"count", 1, 6, -1},
    {"numPartitions", -1, 5, -1},
    {"replicationFactor", -1, 4, -1},
    {"sessionTimeoutMs", 6000, 20000, -1},
    {"rebalanceTimeoutMs", 1000, 20000, -1},
    {"transactionTimeoutMs", 1, 20000, -1},
    {"keyType", 0, 3, -1},
    {"resourceType", 2, 33, -1},
    {"acknowledgementTypes", 0, 5, -1},
    {"acknowledgeTypes", 0, 5, -1},
    {"isolationLevel", 0, 2, -1},
    {"iterations", 4096, 4097, -1},
    {"configOperation", 0, 4, -1},
    {"shareSessionEpoch", -1, 4, -1},
    {"sessionEpoch", -1, 4, -1},
    {"sessionId", 0, 3, DRESS_SESSION_ID},
    {"generationId", -1, 4, DRESS_GENERATION},
    {"generationIdOrMemberEpoch", -1, 4, DRESS_GENERATION},
    {"memberEpoch", -2, 4, DRESS_MEMBER_EPOCH},
    {"producerId", 999, 1003, DRESS_PRODUCER_ID},
    {"v3AndBelowProducerId", 999, 1003, DRESS_PRODUCER_ID},
    {"v3AndBelowProducerEpoch", -1, 3, DRESS_PRODUCER_EPOCH},
    {"operation", 2, 13, -1},
    {"permissionType", 2, 4, -1},
    {"resourcePatternType", 3, 5, -1},
    {"resourceTypeFilter", 1, 5, -1},
    {"patternTypeFilter", 1, 5, -1},
    {"matchType", 0, 3, -1},
    {"producerEpoch", -1, 3, DRESS_PRODUCER_EPOCH},
};

static inline int64_t dress_between(dress *d, int64_t from, int64_t below)
{
    return from + (int64_t)kb_rand_below(d->rand, (uint64_t)(below > from ? below - from : 1));
}

static inline void dress_number(dress *d, const kp_field_desc *field, void *value)
{
    for (size_t i = 0; i < sizeof dress_numbers / sizeof dress_numbers[0]; i++) {
        const dress_range *range = &dress_numbers[i];
        if (strcmp(range->field, field->name) != 0)
            continue;
        int64_t number = dress_between(d, range->from, range->below);
        if (range->kind >= 0 && !kb_rand_one_in(d->rand, 3))
            number = d->numbers[range->kind];
        kp_int_set(field->type, value, number);
        return;
    }
}

static inline void dress_text(dress *d, const kp_field_desc *field, kc_bytes *value)
{
    for (size_t i = 0; i < sizeof dress_texts / sizeof dress_texts[0]; i++) {
        const dress_words *known = &dress_texts[i];
        size_t count = 0;
        if (strcmp(known->field, field->name) != 0 ||
            (known->api_key != -1 && known->api_key != d->api_key))
            continue;
        while (count < sizeof known->words / sizeof known->words[0] && known->words[count])
            count++;
        *value = kc_str(known->words[kb_rand_below(d->rand, count)]);
        return;
    }
    if (strcmp(field->name, "memberId") == 0 && *d->member_count > 0)
        *value = kc_str(d->members[kb_rand_below(d->rand, *d->member_count)]);
}

static inline void dress_topic_id(dress *d, kc_uuid *value)
{
    size_t pos = 0;
    const km_topic *topic;
    while ((topic = kb_map_next(&d->cluster->topics, &pos)))
        if (*topic->name != '_' && kb_rand_one_in(d->rand, 2))
            break;
    if (topic)
        *value = topic->id;
}

static inline void dress_records(dress *d, kc_bytes *value)
{
    size_t cap = 1024;
    kp_batch_writer writer;
    uint8_t *data = kb_arena_alloc(d->arena, cap);
    if (!data)
        return;
    kp_batch_writer_init(&writer, data, cap);
    for (uint64_t n = 1 + kb_rand_below(d->rand, 4); n > 0; n--)
        FUZZ_CHECK(kp_batch_append(&writer, 1700000000000, KC_STR("k"), KC_STR("v"), NULL, 0));
    size_t len = kp_batch_finish(&writer);
    kp_batch_producer producer = {d->numbers[DRESS_PRODUCER_ID],
                                  (int16_t)d->numbers[DRESS_PRODUCER_EPOCH],
                                  (int32_t)kb_rand_below(d->rand, 6), kb_rand_one_in(d->rand, 2)};
    kp_batch_seal(data, len, kb_rand_one_in(d->rand, 2) ? &producer : NULL);
    *value = kc_span(data, len);
}

/* A random value becomes one that fits, mostly. */
static inline void dress_value(dress *d, const kp_field_desc *field, void *value)
{
    if (kb_rand_one_in(d->rand, 16))
        return;
    if (field->type == KP_STRING)
        dress_text(d, field, value);
    else if (field->type == KP_UUID)
        dress_topic_id(d, value);
    else if (field->type == KP_RECORDS)
        dress_records(d, value);
    else if (field->type == KP_BYTES && strcmp(field->name, "authBytes") == 0)
        *(kc_bytes *)value = kc_span((const uint8_t *)"\0u\0p", 4);
    else if (field->type == KP_I8 || field->type == KP_I16 || field->type == KP_I32 ||
             field->type == KP_I64)
        dress_number(d, field, value);
}

/* What an answer tells that requests will have to tell. */
static inline void dress_learn(dress *d, const kp_field_desc *field, void *value)
{
    if (field->type == KP_STRING && strcmp(field->name, "memberId") == 0) {
        kc_bytes id = *(kc_bytes *)value;
        if (id.len == 0 || id.len >= sizeof d->members[0])
            return;
        size_t at = *d->member_count < DRESS_MEMBERS ? (*d->member_count)++
                                                     : kb_rand_below(d->rand, DRESS_MEMBERS);
        memset(d->members[at], 0, sizeof d->members[at]);
        memcpy(d->members[at], id.ptr, id.len);
        return;
    }
    if (field->type != KP_I16 && field->type != KP_I32 && field->type != KP_I64)
        return;
    for (size_t i = 0; i < sizeof dress_numbers / sizeof dress_numbers[0]; i++)
        if (dress_numbers[i].kind >= 0 && strcmp(dress_numbers[i].field, field->name) == 0)
            d->numbers[dress_numbers[i].kind] = kp_int_get(field->type, value);
}

#endif
