/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * ElectLeaders (KIP-460), DescribeLogDirs (KIP-113), ListPartitionReassignments (KIP-455): what administrators ask of
 * replicas. No partition is ever on its way to other brokers. */
#include "mock/api.h"
#include "mock/text.h"

/* ---- ElectLeaders ---- */

/** ElectionType of KIP-460. */
typedef enum election {
    PREFERRED,
    UNCLEAN,
} election;

typedef kp_elect_leaders_resp_partition_result election_result;

static void refuse(election_result *out, int16_t code, kc_bytes why)
{
    out->error_code = code;
    out->error_message = why;
}

/** One without a leader has no replica that is up, so there is nothing an unclean election could choose. */
static void elect_unclean(const km_partition *partition, election_result *out)
{
    if (partition->leader >= 0)
        refuse(out, KC_E_ELECTION_NOT_NEEDED,
               KC_STR("Leader election not needed for topic partition."));
    else
        refuse(out, KC_E_ELIGIBLE_LEADERS_NOT_AVAILABLE,
               KC_STR("Eligible topic partition leaders are not available."));
}

static void elect_preferred(km_cluster *cluster, km_partition *partition, election_result *out)
{
    int32_t preferred = partition->replicas[0];
    if (partition->leader == preferred) {
        refuse(out, KC_E_ELECTION_NOT_NEEDED,
               KC_STR("Leader election not needed for topic partition."));
        return;
    }
    km_partition_move(cluster, partition, preferred);
    if (partition->leader != preferred)
        refuse(out, KC_E_PREFERRED_LEADER_NOT_AVAILABLE,
               KC_STR("The preferred leader was not available."));
}

static void elect(km_request *request, kc_bytes topic, int32_t index, election_result *out)
{
    const kp_elect_leaders_req *asked = request->message;
    kb_arena *arena = &request->arena;
    km_partition *partition = km_partition_find(request->cluster, topic, index);
    out->partition_id = index;
    if (request->error)
        out->error_code = request->error;
    else if (asked->election_type != PREFERRED && asked->election_type != UNCLEAN)
        refuse(out, KC_E_INVALID_REQUEST,
               KM_TEXT(arena, "Unknown election type %d", asked->election_type));
    else if (!km_topic_by_name(request->cluster, topic))
        refuse(out, KC_E_UNKNOWN_TOPIC_OR_PARTITION,
               KM_TEXT(arena, "No such topic as " KC_FMT, KC_ARG(topic)));
    else if (!partition)
        refuse(out, KC_E_UNKNOWN_TOPIC_OR_PARTITION,
               KM_TEXT(arena, "No such partition as " KC_FMT "-%d", KC_ARG(topic), (int)index));
    else if (asked->election_type == UNCLEAN)
        elect_unclean(partition, out);
    else
        elect_preferred(request->cluster, partition, out);
}

/** Those of one topic; of all of the cluster, without those where nothing is to be done. False: no memory. */
static bool elect_in_topic(km_request *request, kc_bytes topic, const int32_t *indexes,
                           int32_t count, kp_elect_leaders_resp_replica_election_result *out)
{
    out->topic = topic;
    out->partition_result.items =
        km_request_alloc(request, (size_t)count, sizeof *out->partition_result.items);
    if (!out->partition_result.items)
        return false;
    for (int32_t i = 0; i < count; i++) {
        election_result *result = &out->partition_result.items[out->partition_result.count];
        elect(request, topic, indexes ? indexes[i] : i, result);
        if (indexes || result->error_code != KC_E_ELECTION_NOT_NEEDED)
            out->partition_result.count++;
        else
            *result = (election_result){0};
    }
    return true;
}

static bool elect_everywhere(km_request *request, kp_elect_leaders_resp *out)
{
    const km_cluster *cluster = request->cluster;
    out->replica_election_results.items = km_request_alloc(
        request, cluster->topics.count, sizeof *out->replica_election_results.items);
    if (!out->replica_election_results.items)
        return false;
    size_t pos = 0;
    const km_topic *topic;
    while ((topic = kb_map_next(&cluster->topics, &pos)))
        if (!elect_in_topic(
                request, kc_str(topic->name), NULL, topic->partition_count,
                &out->replica_election_results.items[out->replica_election_results.count++]))
            return false;
    return true;
}

static bool elect_asked(km_request *request, const kp_elect_leaders_req *asked,
                        kp_elect_leaders_resp *out)
{
    size_t count = (size_t)asked->topic_partitions.count;
    out->replica_election_results.items =
        km_request_alloc(request, count, sizeof *out->replica_election_results.items);
    if (!out->replica_election_results.items)
        return false;
    out->replica_election_results.count = asked->topic_partitions.count;
    for (size_t i = 0; i < count; i++) {
        const kp_elect_leaders_req_topic_partition *topic = &asked->topic_partitions.items[i];
        if (!elect_in_topic(request, topic->topic, topic->partitions.items, topic->partitions.count,
                            &out->replica_election_results.items[i]))
            return false;
    }
    return true;
}

km_action km_api_elect_leaders(km_request *request, const void *message, void *response)
{
    const kp_elect_leaders_req *asked = message;
    kp_elect_leaders_resp *out = response;
    out->error_code = km_check_broker(request);
    if (!out->error_code && asked->election_type != PREFERRED && asked->election_type != UNCLEAN)
        out->error_code = KC_E_INVALID_REQUEST;
    bool is_for_all = asked->topic_partitions.count < 0;
    if (is_for_all && out->error_code)
        return KM_ANSWER;
    if (!(is_for_all ? elect_everywhere(request, out) : elect_asked(request, asked, out)))
        return KM_CLOSE;
    km_changed(request->cluster);
    return KM_ANSWER;
}

/* ---- DescribeLogDirs ---- */

/** There is no such directory, but there has to be one. */
#define LOG_DIR "/memory"

static bool is_in(const kp_describe_log_dirs_req *asked, const km_partition *partition)
{
    if (asked->topics.count < 0)
        return true;
    for (int32_t i = 0; i < asked->topics.count; i++) {
        const kp_describe_log_dirs_req_topic *topic = &asked->topics.items[i];
        if (!kc_bytes_equal(topic->topic, kc_str(partition->topic->name)))
            continue;
        for (int32_t k = 0; k < topic->partitions.count; k++)
            if (topic->partitions.items[k] == partition->index)
                return true;
    }
    return false;
}

static bool put_logs(km_request *request, const km_topic *topic,
                     kp_describe_log_dirs_resp_topic *out)
{
    out->name = kc_str(topic->name);
    out->partitions.items =
        km_request_alloc(request, (size_t)topic->partition_count, sizeof *out->partitions.items);
    if (!out->partitions.items)
        return false;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const km_partition *partition = topic->partitions[i];
        if (km_partition_is_on(partition, request->broker->id) &&
            is_in(request->message, partition))
            out->partitions.items[out->partitions.count++] = (kp_describe_log_dirs_resp_partition){
                .partition_index = i,
                .partition_size = (int64_t)partition->log.bytes,
            };
    }
    return true;
}

static bool put_topics(km_request *request, kp_describe_log_dirs_resp_result *out)
{
    const km_cluster *cluster = request->cluster;
    out->topics.items = km_request_alloc(request, cluster->topics.count, sizeof *out->topics.items);
    if (!out->topics.items)
        return false;
    size_t pos = 0;
    const km_topic *topic;
    while ((topic = kb_map_next(&cluster->topics, &pos))) {
        kp_describe_log_dirs_resp_topic *item = &out->topics.items[out->topics.count];
        if (!put_logs(request, topic, item))
            return false;
        if (item->partitions.count > 0)
            out->topics.count++;
        else
            *item = (kp_describe_log_dirs_resp_topic){0};
    }
    return true;
}

km_action km_api_describe_log_dirs(km_request *request, const void *message, void *response)
{
    (void)message;
    kp_describe_log_dirs_resp *out = response;
    const kb_mem *mem = request->cluster->mem;
    out->error_code = km_check_broker(request);
    out->results.items = km_request_alloc(request, 1, sizeof *out->results.items);
    if (!out->results.items)
        return KM_CLOSE;
    kp_describe_log_dirs_resp_result *dir = &out->results.items[0];
    out->results.count = 1;
    dir->error_code = out->error_code;
    dir->log_dir = KC_STR(LOG_DIR);
    dir->total_bytes = dir->usable_bytes = -1;
    if (mem->limit <= INT64_MAX) {
        dir->total_bytes = (int64_t)mem->limit;
        dir->usable_bytes = mem->used < mem->limit ? (int64_t)(mem->limit - mem->used) : 0;
    }
    return dir->error_code || put_topics(request, dir) ? KM_ANSWER : KM_CLOSE;
}

/* ---- ListPartitionReassignments ---- */

km_action km_api_list_partition_reassignments(km_request *request, const void *message,
                                              void *response)
{
    (void)message;
    ((kp_list_partition_reassignments_resp *)response)->error_code = km_check_broker(request);
    return KM_ANSWER;
}
