/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * CreateTopics: topics as an administrator wants them. */
#include "mock/api.h"
#include "mock/assignment.h"
#include "mock/config_draft.h"
#include "mock/configs.h"
#include "mock/text.h"
#include "mock/twice.h"

#include <stdio.h>

/** Kafka's controller changes no more than so many records at once. */
#define PARTITIONS_PER_REQUEST_MAX 10000

/* ---- CreateTopics ---- */

/** One topic that is to be made. */
typedef struct creation {
    km_request *request;
    const kp_create_topics_req_topic *asked;
    bool validate_only;
    kp_create_topics_resp_topic *out;
    km_config_draft configs;
    km_assignment assignment;
    int32_t partitions;
    int16_t replication;
} creation;

static int16_t refuse(creation *c, int16_t code, kc_bytes why)
{
    c->out->error_message = why;
    return code;
}

static int16_t check_name(creation *c)
{
    km_cluster *cluster = c->request->cluster;
    kb_arena *arena = &c->request->arena;
    kc_bytes name = c->asked->name;
    if (kc_bytes_equal(name, KC_STR("__cluster_metadata")))
        return refuse(c, KC_E_INVALID_REQUEST,
                      KC_STR("Creation of internal topic __cluster_metadata is prohibited."));
    if (km_topic_by_name(cluster, name))
        return refuse(c, KC_E_TOPIC_ALREADY_EXISTS,
                      KM_TEXT(arena, "Topic '" KC_FMT "' already exists.", KC_ARG(name)));
    if (!km_topic_name_is_valid(name))
        return refuse(c, KC_E_INVALID_TOPIC_EXCEPTION, km_topic_name_fault(arena, name));
    const km_topic *other = km_topic_collision(cluster, name);
    if (other)
        return refuse(c, KC_E_INVALID_TOPIC_EXCEPTION,
                      KM_TEXT(arena, "Topic '" KC_FMT "' collides with existing topic: %s",
                              KC_ARG(name), other->name));
    return 0;
}

/** Configs with a null value, named in one sentence. */
static kc_bytes null_configs(creation *c)
{
    kc_bytes names = KC_NULL;
    for (int32_t i = 0; i < c->asked->configs.count; i++) {
        const kp_create_topics_req_config *config = &c->asked->configs.items[i];
        if (!config->value.ptr)
            names = names.ptr ? KM_TEXT(&c->request->arena, KC_FMT "," KC_FMT, KC_ARG(names),
                                        KC_ARG(config->name))
                              : KM_TEXT(&c->request->arena,
                                        "Null value not supported for topic configs: " KC_FMT,
                                        KC_ARG(config->name));
    }
    return names;
}

static int16_t check_configs(creation *c)
{
    kc_bytes why = null_configs(c);
    if (why.ptr)
        return refuse(c, KC_E_INVALID_CONFIG, why);
    if (km_config_draft_init(&c->configs, &c->request->arena, NULL,
                             (size_t)c->asked->configs.count))
        return KC_E_UNKNOWN_SERVER_ERROR;
    for (int32_t i = 0; i < c->asked->configs.count; i++)
        km_config_draft_set(&c->configs, c->asked->configs.items[i].name,
                            c->asked->configs.items[i].value);
    int16_t code = km_config_draft_check(&c->configs, KM_RESOURCE_TOPIC, &why);
    return code ? refuse(c, code, why) : 0;
}

/** Partitions that say themselves which brokers have them. */
static int16_t check_assignments(creation *c)
{
    km_request *request = c->request;
    int32_t count = c->asked->assignments.count;
    if (c->asked->replication_factor != -1)
        return refuse(c, KC_E_INVALID_REQUEST,
                      KC_STR("A manual partition assignment was specified, but replication factor "
                             "was not set to -1."));
    if (c->asked->num_partitions != -1)
        return refuse(c, KC_E_INVALID_REQUEST,
                      KC_STR("A manual partition assignment was specified, but numPartitions was "
                             "not set to -1."));
    km_assignment_init(&c->assignment, request->cluster, &request->arena, count, -1);
    for (int32_t i = 0; i < count; i++) {
        const kp_create_topics_req_assignment *one = &c->asked->assignments.items[i];
        int16_t code = km_assignment_put(&c->assignment, one->partition_index,
                                         one->broker_ids.items, one->broker_ids.count);
        if (code)
            return refuse(c, code, c->assignment.why);
    }
    int16_t code = km_assignment_end(&c->assignment);
    c->partitions = count;
    c->replication = c->assignment.replication;
    return code ? refuse(c, code, c->assignment.why) : 0;
}

static int up_count(const km_cluster *cluster)
{
    int count = 0;
    for (int i = 0; i < cluster->broker_count; i++)
        count += !cluster->brokers[i].is_down;
    return count;
}

static int16_t check_numbers(creation *c)
{
    const km_cluster *cluster = c->request->cluster;
    int16_t replication = c->asked->replication_factor;
    if (replication < -1 || replication == 0)
        return refuse(c, KC_E_INVALID_REPLICATION_FACTOR,
                      KC_STR("Replication factor must be larger than 0, or -1 to use the default "
                             "value."));
    if (c->asked->num_partitions < -1 || c->asked->num_partitions == 0)
        return refuse(c, KC_E_INVALID_PARTITIONS,
                      KC_STR("Number of partitions was set to an invalid non-positive value."));
    if (replication > cluster->broker_count || replication > KM_REPLICAS_MAX)
        return refuse(c, KC_E_INVALID_REPLICATION_FACTOR,
                      KM_TEXT(&c->request->arena,
                              "Unable to replicate the partition %d time(s): The target "
                              "replication factor of %d cannot be reached because only %d "
                              "broker(s) are registered or some brokers have all their log "
                              "directories cordoned.",
                              (int)replication, (int)replication, cluster->broker_count));
    if (up_count(cluster) == 0)
        return refuse(c, KC_E_INVALID_REPLICATION_FACTOR,
                      KM_TEXT(&c->request->arena,
                              "Unable to replicate the partition %d time(s): All brokers are "
                              "currently fenced, or have all their log directories cordoned.",
                              (int)replication));
    c->partitions =
        c->asked->num_partitions == -1 ? cluster->options.num_partitions : c->asked->num_partitions;
    c->replication = replication == -1 ? km_default_replication(cluster) : replication;
    return 0;
}

/** Which configs the topic has now: since version 5 they are part of the answer. */
static bool tell_configs(creation *c, const kb_map *set)
{
    size_t count;
    const km_config_row *rows = km_config_rows(KM_RESOURCE_TOPIC, &count);
    c->out->configs.items = km_request_alloc(c->request, count, sizeof *c->out->configs.items);
    if (!c->out->configs.items)
        return false;
    for (size_t i = 0; i < count; i++) {
        km_config_view view;
        km_config_view_of(c->request->broker, KM_RESOURCE_TOPIC, &rows[i], set, &c->request->arena,
                          &view);
        /* What is set is the topic's, which may be given up again. */
        kc_bytes value = km_request_copy(c->request, view.value);
        if (view.value.ptr && !value.ptr)
            return false;
        c->out->configs.items[c->out->configs.count++] = (kp_create_topics_resp_config){
            .name = kc_str(rows[i].name), .value = value, .config_source = view.source};
    }
    return true;
}

static int16_t make(creation *c)
{
    km_cluster *cluster = c->request->cluster;
    kb_map configs;
    kb_map_init(&configs, cluster->mem);
    if (km_config_draft_apply(&c->configs, &configs, cluster->mem))
        return KC_E_UNKNOWN_SERVER_ERROR;
    km_topic *topic = NULL;
    int16_t code = tell_configs(c, &configs) ? 0 : KC_E_UNKNOWN_SERVER_ERROR;
    c->out->topic_id = kb_uuid_v4(&cluster->rand);
    if (!code && !c->validate_only)
        code = km_topic_create_with(cluster, c->asked->name, c->partitions, c->replication,
                                    c->assignment.replicas, &topic);
    if (!topic) {
        km_configs_cleanup(&configs, cluster->mem);
        return code;
    }
    topic->configs = configs;
    c->out->topic_id = topic->id;
    return 0;
}

static int16_t create(creation *c)
{
    int16_t code = check_name(c);
    code = code ? code : check_configs(c);
    if (!code)
        code = c->asked->assignments.count > 0 ? check_assignments(c) : check_numbers(c);
    code = code ? code : make(c);
    if (code) {
        c->out->configs.count = 0;
        return code;
    }
    c->out->num_partitions = c->partitions;
    c->out->replication_factor = c->replication;
    return 0;
}

static kp_create_topics_resp_topic *add_topic(kp_create_topics_resp *out, kc_bytes name)
{
    kp_create_topics_resp_topic *topic = &out->topics.items[out->topics.count++];
    topic->name = name;
    topic->num_partitions = -1;
    topic->replication_factor = -1;
    return topic;
}

static bool is_too_much(const kp_create_topics_req *asked, const km_cluster *cluster)
{
    int64_t partitions = 0;
    for (int32_t i = 0; i < asked->topics.count; i++) {
        const kp_create_topics_req_topic *topic = &asked->topics.items[i];
        if (topic->assignments.count > 0)
            partitions += topic->assignments.count;
        else if (topic->num_partitions == -1)
            partitions += cluster->options.num_partitions;
        else if (topic->num_partitions > 0)
            partitions += topic->num_partitions;
    }
    return partitions > PARTITIONS_PER_REQUEST_MAX;
}

static bool create_all(km_request *request, const kp_create_topics_req *asked,
                       const km_twice *twice, kp_create_topics_resp *out)
{
    bool has_changed = false, has_memory = true;
    for (int32_t i = 0; i < asked->topics.count && has_memory; i++) {
        if (twice[i] != KM_ONCE)
            continue;
        creation c = {.request = request,
                      .asked = &asked->topics.items[i],
                      .validate_only = asked->validate_only,
                      .out = add_topic(out, asked->topics.items[i].name)};
        c.out->error_code = create(&c);
        has_memory = c.out->error_code != KC_E_UNKNOWN_SERVER_ERROR;
        has_changed |= c.out->error_code == 0 && !asked->validate_only;
    }
    if (has_changed)
        km_changed(request->cluster);
    return has_memory;
}

static void refuse_all(const kp_create_topics_req *asked, int16_t code, kc_bytes why,
                       kp_create_topics_resp *out)
{
    for (int32_t i = 0; i < asked->topics.count; i++) {
        kp_create_topics_resp_topic *topic = add_topic(out, asked->topics.items[i].name);
        topic->error_code = code;
        topic->error_message = why;
    }
}

km_action km_api_create_topics(km_request *request, const void *message, void *response)
{
    const kp_create_topics_req *asked = message;
    kp_create_topics_resp *out = response;
    size_t count = (size_t)asked->topics.count;
    out->topics.items = km_request_alloc(request, count, sizeof *out->topics.items);
    kc_bytes *names = km_request_alloc(request, count, sizeof *names);
    if (!out->topics.items || !names)
        return KM_CLOSE;
    int16_t forced = km_check_broker(request);
    if (forced) {
        refuse_all(asked, forced, KC_NULL, out);
        return KM_ANSWER;
    }
    if (is_too_much(asked, request->cluster)) {
        refuse_all(asked, KC_E_POLICY_VIOLATION,
                   KC_STR("Excessively large number of partitions per request."), out);
        return KM_ANSWER;
    }
    for (size_t i = 0; i < count; i++)
        names[i] = asked->topics.items[i].name;
    const km_twice *twice = km_twice_find(request, names, asked->topics.count);
    if (!twice || !create_all(request, asked, twice, out))
        return KM_CLOSE;
    for (size_t i = 0; i < count; i++)
        if (twice[i] == KM_TWICE_FIRST) {
            kp_create_topics_resp_topic *topic = add_topic(out, names[i]);
            topic->error_code = KC_E_INVALID_REQUEST;
            topic->error_message = KC_STR("Duplicate topic name.");
        }
    return KM_ANSWER;
}
