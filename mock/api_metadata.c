/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the cluster is: ApiVersions, Metadata, DescribeCluster, DescribeTopicPartitions. */
#include "mock/api.h"
#include "mock/twice.h"
#include "protocol/base/names.h"

/* ---- ApiVersions (KIP-35, KIP-511, KIP-584) ---- */

/** Of 4.3, where all is on but the groups of Kafka Streams, which are not served. */
static const struct {
    const char *name;
    int16_t min, max, level; /**< level 0: off */
} features[] = {
    {"group.version", 0, 1, 1},
    {"kraft.version", 0, 1, 0},
    {"metadata.version", 7, 30, 30},
    {"share.version", 0, 1, 1},
    {"streams.version", 0, 1, 0},
    {"transaction.version", 0, 2, 2},
    {"eligible.leader.replicas.version", 0, 1, 1},
};
#define FEATURES ((int32_t)(sizeof features / sizeof features[0]))

static bool put_features(km_request *request, kp_api_versions_resp *out)
{
    out->supported_features.items =
        km_request_alloc(request, FEATURES, sizeof *out->supported_features.items);
    out->finalized_features.items =
        km_request_alloc(request, FEATURES, sizeof *out->finalized_features.items);
    if (!out->supported_features.items || !out->finalized_features.items)
        return false;
    for (int32_t i = 0; i < FEATURES; i++) {
        if (features[i].min > 0 || request->version >= 4) // clients of version 3 can't take a 0
            out->supported_features.items[out->supported_features.count++] =
                (kp_api_versions_resp_supported_feature){.name = kc_str(features[i].name),
                                                         .min_version = features[i].min,
                                                         .max_version = features[i].max};
        if (features[i].level > 0)
            out->finalized_features.items[out->finalized_features.count++] =
                (kp_api_versions_resp_finalized_feature){.name = kc_str(features[i].name),
                                                         .min_version_level = features[i].level,
                                                         .max_version_level = features[i].level};
    }
    out->finalized_features_epoch = 1;
    return true;
}

static bool is_letter_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/** Letters and digits, with '-' and '.' between them (KIP-511). */
static bool is_software_word(kc_bytes word)
{
    for (size_t i = 0; i < word.len; i++) {
        bool is_between = i > 0 && i + 1 < word.len;
        if (!is_letter_or_digit(word.ptr[i]) &&
            !(is_between && (word.ptr[i] == '-' || word.ptr[i] == '.')))
            return false;
    }
    return word.len > 0;
}

km_action km_api_api_versions(km_request *request, const void *message, void *response)
{
    const kp_api_versions_req *asked = message;
    kp_api_versions_resp *out = response;
    out->error_code = km_check_broker(request);
    if (!out->error_code && request->version >= 3 &&
        !(is_software_word(asked->client_software_name) &&
          is_software_word(asked->client_software_version))) {
        out->error_code = KC_E_INVALID_REQUEST;
        return KM_ANSWER;
    }
    out->api_keys.items = km_request_alloc(request, kp_api_count(), sizeof *out->api_keys.items);
    if (!out->api_keys.items)
        return KM_CLOSE;
    for (size_t i = 0; i < kp_api_count(); i++) {
        const kp_api *api = kp_api_at(i);
        bool is_told = out->error_code == KC_E_UNSUPPORTED_VERSION
                           ? api->key == KP_API_API_VERSIONS
                           : km_api_handler(api->key) != NULL;
        if (!is_told)
            continue;
        kp_api_versions_resp_api_key *item = &out->api_keys.items[out->api_keys.count++];
        item->api_key = api->key;
        /* The broker tells 0 although 3 is the lowest it takes: old clients look for it (KIP-896). */
        item->min_version = api->key == KP_API_PRODUCE ? 0 : api->request->min;
        item->max_version = api->stable_max;
    }
    return out->error_code || put_features(request, out) ? KM_ANSWER : KM_CLOSE;
}

/* ---- Metadata ---- */

static bool put_brokers(km_request *request, kp_metadata_resp *out)
{
    km_cluster *cluster = request->cluster;
    out->brokers.items =
        km_request_alloc(request, (size_t)cluster->broker_count, sizeof *out->brokers.items);
    if (!out->brokers.items)
        return false;
    for (int i = 0; i < cluster->broker_count; i++) {
        const km_broker *broker = &cluster->brokers[i];
        if (broker->is_down)
            continue;
        kp_metadata_resp_broker *item = &out->brokers.items[out->brokers.count++];
        item->node_id = broker->id;
        item->host = kc_str(broker->host);
        item->port = broker->port;
        item->rack = broker->rack[0] ? kc_str(broker->rack) : KC_NULL;
    }
    return true;
}

/** Replicas of a partition, by whether their broker is up. */
static int32_t pick_replicas(const km_partition *partition, bool is_up, int32_t *out)
{
    const km_cluster *cluster = partition->topic->cluster;
    int32_t count = 0;
    for (int32_t i = 0; i < partition->replica_count; i++)
        if (!cluster->brokers[partition->replicas[i] - 1].is_down == is_up)
            out[count++] = partition->replicas[i];
    return count;
}

static bool put_partition(km_request *request, const km_partition *partition,
                          kp_metadata_resp_partition *out)
{
    int32_t *ids = km_request_alloc(request, (size_t)KM_REPLICAS_MAX * 3, sizeof *ids);
    if (!ids)
        return false;
    memcpy(ids, partition->replicas, sizeof partition->replicas);
    out->partition_index = partition->index;
    out->leader_id = partition->leader;
    out->leader_epoch = partition->leader_epoch;
    out->error_code = partition->leader < 0 ? KC_E_LEADER_NOT_AVAILABLE : 0;
    out->replica_nodes.items = ids;
    out->replica_nodes.count = partition->replica_count;
    out->isr_nodes.items = ids + KM_REPLICAS_MAX;
    out->isr_nodes.count = pick_replicas(partition, true, out->isr_nodes.items);
    out->offline_replicas.items = ids + (ptrdiff_t)KM_REPLICAS_MAX * 2;
    out->offline_replicas.count = pick_replicas(partition, false, out->offline_replicas.items);
    return true;
}

/** All an unsecured broker allows: the bits of AclOperation that fit a topic, and a cluster. */
#define TOPIC_OPERATIONS   3576
#define CLUSTER_OPERATIONS 8096

static bool put_topic(km_request *request, const km_topic *topic, kp_metadata_resp_topic *out)
{
    const kp_metadata_req *asked = request->message;
    out->name = kc_str(topic->name);
    out->topic_id = topic->id;
    out->is_internal = topic->is_internal;
    out->topic_authorized_operations =
        asked->include_topic_authorized_operations ? TOPIC_OPERATIONS : INT32_MIN;
    out->error_code = request->error;
    if (out->error_code)
        return true;
    out->partitions.items =
        km_request_alloc(request, (size_t)topic->partition_count, sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (!put_partition(request, topic->partitions[i],
                           &out->partitions.items[out->partitions.count++]))
            return false;
    return true;
}

/** Who asked first gets no topic yet, as the broker does not wait for the controller that makes it. */
static int16_t make_topic(km_cluster *cluster, kc_bytes name, bool creates)
{
    km_topic *topic;
    if (!km_topic_name_is_valid(name))
        return KC_E_INVALID_TOPIC_EXCEPTION;
    int16_t error = creates ? km_topic_create_on_demand(cluster, name, &topic) : 0;
    return error ? error : KC_E_UNKNOWN_TOPIC_OR_PARTITION;
}

static bool put_asked(km_request *request, const kp_metadata_req_topic *asked, bool creates,
                      kp_metadata_resp_topic *out)
{
    km_cluster *cluster = request->cluster;
    out->topic_authorized_operations = INT32_MIN;
    if (!kc_uuid_is_zero(asked->topic_id) || !asked->name.ptr) { // an id is stronger than a name
        const km_topic *topic = km_topic_by_id(cluster, asked->topic_id);
        if (topic)
            return put_topic(request, topic, out);
        out->topic_id = asked->topic_id;
        out->name = request->version >= 12 ? KC_NULL : KC_STR("");
        out->error_code = KC_E_UNKNOWN_TOPIC_ID;
        return true;
    }
    const km_topic *topic = km_topic_by_name(cluster, asked->name);
    if (topic)
        return put_topic(request, topic, out);
    out->error_code = km_check_broker(request);
    if (!out->error_code)
        out->error_code = make_topic(cluster, asked->name, creates);
    out->name = asked->name;
    if (((const kp_metadata_req *)request->message)->include_topic_authorized_operations)
        out->topic_authorized_operations = TOPIC_OPERATIONS; /* of a name, there or not */
    return true;
}

/** Where one topic is asked for by its id, as Java does (with an empty name), those by name are passed over. */
static bool has_ids(const kp_metadata_req *asked)
{
    for (int32_t i = 0; i < asked->topics.count; i++)
        if (!kc_uuid_is_zero(asked->topics.items[i].topic_id))
            return true;
    return false;
}

/** Whom to answer for once, as Kafka makes a set of them. NULL: no memory. */
static const km_twice *find_twice(km_request *request, const kp_metadata_req *asked)
{
    size_t count = (size_t)asked->topics.count;
    kc_bytes *names = km_request_alloc(request, count, sizeof *names);
    if (!names)
        return NULL;
    for (size_t i = 0; i < count; i++)
        names[i] = kc_uuid_is_zero(asked->topics.items[i].topic_id) ? asked->topics.items[i].name
                                                                    : KC_NULL;
    return km_twice_find(request, names, asked->topics.count);
}

static bool put_named_topics(km_request *request, const kp_metadata_req *asked,
                             kp_metadata_resp *out)
{
    bool creates = request->cluster->options.auto_create_topics && asked->allow_auto_topic_creation;
    bool by_id = has_ids(asked);
    const km_twice *twice = find_twice(request, asked);
    for (int32_t i = 0; twice && i < asked->topics.count; i++) {
        const kp_metadata_req_topic *topic = &asked->topics.items[i];
        if (twice[i] == KM_TWICE_AGAIN || (by_id && kc_uuid_is_zero(topic->topic_id)))
            continue;
        if (!put_asked(request, topic, creates, &out->topics.items[out->topics.count++]))
            return false;
    }
    return twice != NULL;
}

static bool put_topics(km_request *request, const kp_metadata_req *asked, kp_metadata_resp *out)
{
    km_cluster *cluster = request->cluster;
    /* Version 0 had no null: none named meant all. */
    bool is_all = asked->topics.count < 0 || (request->version == 0 && asked->topics.count == 0);
    size_t count = is_all ? cluster->topics.count : (size_t)asked->topics.count;
    out->topics.items = km_request_alloc(request, count, sizeof *out->topics.items);
    if (!out->topics.items)
        return false;
    if (!is_all)
        return put_named_topics(request, asked, out);
    size_t pos = 0;
    for (size_t i = 0; i < count; i++)
        if (!put_topic(request, kb_map_next(&cluster->topics, &pos),
                       &out->topics.items[out->topics.count++]))
            return false;
    return true;
}

km_action km_api_metadata(km_request *request, const void *message, void *response)
{
    const kp_metadata_req *asked = message;
    kp_metadata_resp *out = response;
    out->cluster_id = kc_str(request->cluster->id);
    out->controller_id = request->cluster->controller;
    if (asked->include_cluster_authorized_operations)
        out->cluster_authorized_operations = CLUSTER_OPERATIONS;
    return put_brokers(request, out) && put_topics(request, asked, out) ? KM_ANSWER : KM_CLOSE;
}

/* ---- DescribeCluster (KIP-700, KIP-919) ---- */

km_action km_api_describe_cluster(km_request *request, const void *message, void *response)
{
    const kp_describe_cluster_req *asked = message;
    kp_describe_cluster_resp *out = response;
    km_cluster *cluster = request->cluster;
    out->cluster_id = kc_str(cluster->id);
    out->controller_id = cluster->controller;
    out->error_code = km_check_broker(request);
    if (!out->error_code && asked->endpoint_type != 1) {
        out->error_code = KC_E_MISMATCHED_ENDPOINT_TYPE;
        out->error_message = KC_STR("The request was sent to an endpoint of type BROKER, but we "
                                    "wanted an endpoint of type CONTROLLER");
    }
    if (out->error_code)
        return KM_ANSWER;
    if (asked->include_cluster_authorized_operations)
        out->cluster_authorized_operations = CLUSTER_OPERATIONS;
    out->brokers.items =
        km_request_alloc(request, (size_t)cluster->broker_count, sizeof *out->brokers.items);
    if (!out->brokers.items)
        return KM_CLOSE;
    for (int i = 0; i < cluster->broker_count; i++) {
        const km_broker *broker = &cluster->brokers[i];
        if (broker->is_down && !asked->include_fenced_brokers)
            continue;
        kp_describe_cluster_resp_broker *item = &out->brokers.items[out->brokers.count++];
        item->broker_id = broker->id;
        item->host = kc_str(broker->host);
        item->port = broker->port;
        item->rack = broker->rack[0] ? kc_str(broker->rack) : KC_NULL;
        item->is_fenced = broker->is_down;
    }
    return KM_ANSWER;
}

/* ---- DescribeTopicPartitions (KIP-966) ---- */

/** Kafka gives at most so many partitions in one answer, max.request.partition.size.limit. */
#define PARTITION_LIMIT 2000

static bool put_described(km_request *request, const km_partition *partition,
                          kp_describe_topic_partitions_resp_partition *out)
{
    kp_metadata_resp_partition plain = {0};
    if (!put_partition(request, partition, &plain))
        return false;
    out->error_code = plain.error_code;
    out->partition_index = plain.partition_index;
    out->leader_id = plain.leader_id;
    out->leader_epoch = plain.leader_epoch;
    out->replica_nodes.items = plain.replica_nodes.items;
    out->replica_nodes.count = plain.replica_nodes.count;
    out->isr_nodes.items = plain.isr_nodes.items;
    out->isr_nodes.count = plain.isr_nodes.count;
    out->offline_replicas.items = plain.offline_replicas.items;
    out->offline_replicas.count = plain.offline_replicas.count;
    out->eligible_leader_replicas.items = plain.isr_nodes.items; /* none, but not null */
    out->last_known_elr.items = plain.isr_nodes.items;
    out->eligible_leader_replicas.count = 0;
    out->last_known_elr.count = 0;
    return true;
}

/** Topics come in the order of their names, each once: a cursor says where to go on. */
static kc_bytes *sorted_names(km_request *request, const kp_describe_topic_partitions_req *asked,
                              size_t *count_out)
{
    km_cluster *cluster = request->cluster;
    size_t count = asked->topics.count > 0 ? (size_t)asked->topics.count : cluster->topics.count;
    kc_bytes *names = km_request_alloc(request, count, sizeof *names);
    size_t pos = 0;
    for (size_t i = 0; names && i < count; i++)
        names[i] = asked->topics.count > 0
                       ? asked->topics.items[i].name
                       : kc_str(((const km_topic *)kb_map_next(&cluster->topics, &pos))->name);
    if (!names)
        return NULL;
    *count_out = kb_names_sort(names, count);
    return names;
}

typedef struct describing {
    km_request *request;
    kp_describe_topic_partitions_resp *out;
    int32_t left; /**< partitions that still fit */
} describing;

static bool go_on_at(describing *work, kc_bytes topic, int32_t partition)
{
    work->out->next_cursor = km_request_alloc(work->request, 1, sizeof *work->out->next_cursor);
    if (!work->out->next_cursor)
        return false;
    work->out->next_cursor->topic_name = topic;
    work->out->next_cursor->partition_index = partition;
    return true;
}

static bool describe_topic(describing *work, kc_bytes name, int32_t from)
{
    if (work->left == 0)
        return go_on_at(work, name, 0);
    km_request *request = work->request;
    kp_describe_topic_partitions_resp_topic *out =
        &work->out->topics.items[work->out->topics.count++];
    const km_topic *topic = km_topic_by_name(request->cluster, name);
    out->name = name;
    out->topic_authorized_operations = TOPIC_OPERATIONS; /* of a name, there or not */
    out->error_code = km_check_broker(request);
    if (!out->error_code && !topic)
        out->error_code = km_topic_name_is_valid(name) ? KC_E_UNKNOWN_TOPIC_OR_PARTITION
                                                       : KC_E_INVALID_TOPIC_EXCEPTION;
    if (out->error_code)
        return true;
    out->topic_id = topic->id;
    out->is_internal = topic->is_internal;
    int32_t count = topic->partition_count - from;
    count = count < 0 ? 0 : count > work->left ? work->left : count;
    out->partitions.items = km_request_alloc(request, (size_t)count, sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    for (; out->partitions.count < count; out->partitions.count++)
        if (!put_described(request, topic->partitions[from + out->partitions.count],
                           &out->partitions.items[out->partitions.count]))
            return false;
    work->left -= count;
    return from + count >= topic->partition_count || go_on_at(work, name, from + count);
}

/** A cursor is of a topic that is asked for, if any is named. */
static bool cursor_is_valid(const kp_describe_topic_partitions_req *asked)
{
    bool is_named = !asked->cursor || asked->topics.count == 0;
    for (int32_t i = 0; i < asked->topics.count && !is_named; i++)
        is_named = kb_compare(asked->topics.items[i].name, asked->cursor->topic_name) == 0;
    return is_named && (!asked->cursor || asked->cursor->partition_index >= 0);
}

static km_action refuse_cursor(km_request *request, const kp_describe_topic_partitions_req *asked,
                               kp_describe_topic_partitions_resp *out)
{
    out->topics.items =
        km_request_alloc(request, (size_t)asked->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return KM_CLOSE;
    for (int32_t i = 0; i < asked->topics.count; i++) {
        kp_describe_topic_partitions_resp_topic *topic = &out->topics.items[i];
        topic->name = asked->topics.items[i].name;
        topic->error_code = KC_E_INVALID_REQUEST;
        topic->topic_authorized_operations = INT32_MIN;
    }
    out->topics.count = asked->topics.count;
    return KM_ANSWER;
}

km_action km_api_describe_topic_partitions(km_request *request, const void *message, void *response)
{
    const kp_describe_topic_partitions_req *asked = message;
    kp_describe_topic_partitions_resp *out = response;
    if (!cursor_is_valid(asked))
        return refuse_cursor(request, asked, out);
    size_t count = 0;
    kc_bytes *names = sorted_names(request, asked, &count);
    out->topics.items = km_request_alloc(request, count, sizeof *out->topics.items);
    if (!names || !out->topics.items)
        return KM_CLOSE;
    int32_t limit = asked->response_partition_limit;
    describing work = {request, out,
                       limit < 1                 ? 1
                       : limit > PARTITION_LIMIT ? PARTITION_LIMIT
                                                 : limit};
    for (size_t i = 0; i < count && !out->next_cursor; i++) {
        int32_t from = 0;
        if (asked->cursor) {
            int order = kb_compare(names[i], asked->cursor->topic_name);
            if (order < 0)
                continue;
            from = order == 0 ? asked->cursor->partition_index : 0;
        }
        if (!describe_topic(&work, names[i], from))
            return KM_CLOSE;
    }
    return KM_ANSWER;
}
