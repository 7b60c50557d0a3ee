/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * CreatePartitions and DeleteTopics: topics that grow and go. */
#include "mock/api.h"
#include "mock/assignment.h"
#include "mock/text.h"
#include "mock/twice.h"

/** Kafka's controller changes no more than so many records at once. */
#define PARTITIONS_PER_REQUEST_MAX 10000

/* ---- CreatePartitions ---- */

static int16_t assign(km_request *request, const kp_create_partitions_req_topic *asked,
                      const km_topic *topic, km_assignment *assignment)
{
    km_assignment_init(assignment, request->cluster, &request->arena, asked->assignments.count,
                       topic->replication);
    assignment->first = topic->partition_count;
    for (int32_t i = 0; i < asked->assignments.count; i++) {
        int16_t code =
            km_assignment_put(assignment, i, asked->assignments.items[i].broker_ids.items,
                              asked->assignments.items[i].broker_ids.count);
        if (code)
            return code;
    }
    return 0;
}

static int16_t grow(km_request *request, const kp_create_partitions_req_topic *asked,
                    bool validate_only, kc_bytes *why_out)
{
    kb_arena *arena = &request->arena;
    km_topic *topic = km_topic_by_name(request->cluster, asked->name);
    if (!topic)
        return KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    int32_t now = topic->partition_count;
    if (asked->count == now) {
        *why_out = KM_TEXT(arena, "Topic already has %d partition(s).", (int)now);
        return KC_E_INVALID_PARTITIONS;
    }
    if (asked->count < now) {
        *why_out = KM_TEXT(arena,
                           "The topic " KC_FMT " currently has %d partition(s); %d would not be an "
                           "increase.",
                           KC_ARG(asked->name), (int)now, (int)asked->count);
        return KC_E_INVALID_PARTITIONS;
    }
    int32_t more = asked->count - now;
    bool is_assigned = asked->assignments.count >= 0;
    if (is_assigned && asked->assignments.count != more) {
        *why_out = KM_TEXT(arena,
                           "Attempted to add %d additional partition(s), but only %d assignment(s) "
                           "were specified.",
                           (int)more, (int)asked->assignments.count);
        return KC_E_INVALID_REPLICA_ASSIGNMENT;
    }
    km_assignment assignment = {.replicas = NULL};
    int16_t code = is_assigned ? assign(request, asked, topic, &assignment) : 0;
    *why_out = assignment.why;
    if (code || validate_only)
        return code;
    return km_topic_grow(request->cluster, topic, asked->count, assignment.replicas);
}

static kp_create_partitions_resp_result *add_result(kp_create_partitions_resp *out, kc_bytes name)
{
    kp_create_partitions_resp_result *result = &out->results.items[out->results.count++];
    result->name = name;
    return result;
}

static int16_t grow_checked(km_request *request, const kp_create_partitions_req_topic *asked,
                            bool validate_only, kp_create_partitions_resp_result *result)
{
    int16_t code = km_check_broker(request);
    /* Kafka's controller fails on so many, whatever is asked. */
    if (!code && asked->count > PARTITIONS_PER_REQUEST_MAX &&
        km_topic_by_name(request->cluster, asked->name))
        code = KC_E_UNKNOWN_SERVER_ERROR;
    if (code) {
        result->error_code = code;
        return 0;
    }
    result->error_code = grow(request, asked, validate_only, &result->error_message);
    return result->error_code;
}

km_action km_api_create_partitions(km_request *request, const void *message, void *response)
{
    const kp_create_partitions_req *asked = message;
    kp_create_partitions_resp *out = response;
    size_t count = (size_t)asked->topics.count;
    out->results.items = km_request_alloc(request, count, sizeof *out->results.items);
    kc_bytes *names = km_request_alloc(request, count, sizeof *names);
    if (!out->results.items || !names)
        return KM_CLOSE;
    for (size_t i = 0; i < count; i++)
        names[i] = asked->topics.items[i].name;
    const km_twice *twice = km_twice_find(request, names, asked->topics.count);
    if (!twice)
        return KM_CLOSE;
    for (size_t i = 0; i < count; i++)
        if (twice[i] == KM_TWICE_FIRST) {
            kp_create_partitions_resp_result *result = add_result(out, names[i]);
            result->error_code = KC_E_INVALID_REQUEST;
            result->error_message = KC_STR("Duplicate topic name.");
        }
    for (size_t i = 0; i < count; i++)
        if (twice[i] == KM_ONCE &&
            grow_checked(request, &asked->topics.items[i], asked->validate_only,
                         add_result(out, names[i])) == KC_E_UNKNOWN_SERVER_ERROR)
            return KM_CLOSE;
    if (!asked->validate_only && !request->error)
        km_changed(request->cluster);
    return KM_ANSWER;
}

/* ---- DeleteTopics ---- */

typedef struct deletion {
    km_request *request;
    kp_delete_topics_resp *out;
    km_topic **found; /**< to be deleted: one for each answer, or NULL */
} deletion;

static void answer(deletion *d, kc_bytes name, kc_uuid id, int16_t code, const char *why)
{
    kp_delete_topics_resp_response *one = &d->out->responses.items[d->out->responses.count++];
    one->name = name;
    one->topic_id = id;
    one->error_code = code;
    one->error_message = kc_str(why);
}

static bool is_zero(kc_uuid id)
{
    static const kc_uuid zero;
    return memcmp(id.bytes, zero.bytes, sizeof id.bytes) == 0;
}

/** The answer that deletes it; NULL: none. */
static kp_delete_topics_resp_response *answer_of(const deletion *d, const km_topic *topic)
{
    for (int32_t i = 0; i < d->out->responses.count; i++)
        if (d->found[i] == topic) {
            d->found[i] = NULL;
            return &d->out->responses.items[i];
        }
    return NULL;
}

static void found(deletion *d, km_topic *topic)
{
    d->found[d->out->responses.count] = topic;
    /* The name is in the topic, which goes before the answer does. */
    answer(d, km_request_copy(d->request, kc_str(topic->name)), topic->id, 0, NULL);
}

static void by_id(deletion *d, kc_uuid id)
{
    km_topic *topic = km_topic_by_id(d->request->cluster, id);
    if (topic)
        found(d, topic);
    else
        answer(d, KC_NULL, id, KC_E_UNKNOWN_TOPIC_ID, "This server does not host this topic ID.");
}

static void by_name(deletion *d, kc_bytes name)
{
    static const kc_uuid none;
    km_topic *topic = km_topic_by_name(d->request->cluster, name);
    if (!topic) {
        answer(d, name, none, KC_E_UNKNOWN_TOPIC_OR_PARTITION,
               "This server does not host this topic-partition.");
        return;
    }
    kp_delete_topics_resp_response *other = answer_of(d, topic);
    if (!other) {
        found(d, topic);
        return;
    }
    other->error_code = KC_E_INVALID_REQUEST;
    other->error_message =
        KC_STR("The provided topic name maps to an ID that was already supplied.");
}

/** Before version 6. */
static bool find_names(deletion *d, const kp_delete_topics_req *asked)
{
    static const kc_uuid none;
    int32_t count = asked->topic_names.count;
    const km_twice *twice = km_twice_find(d->request, asked->topic_names.items, count);
    for (int32_t i = 0; twice && i < count; i++)
        if (twice[i] == KM_TWICE_FIRST)
            answer(d, asked->topic_names.items[i], none, KC_E_INVALID_REQUEST,
                   "Duplicate topic name.");
        else if (twice[i] == KM_ONCE)
            by_name(d, asked->topic_names.items[i]);
    return twice != NULL;
}

/** What one topic is looked for by: its name, its id, or null with an answer given already. */
static kc_bytes key_of(deletion *d, const kp_delete_topics_req_topic *topic)
{
    bool has_id = !is_zero(topic->topic_id);
    if (topic->name.ptr && !has_id)
        return topic->name;
    if (!topic->name.ptr && has_id)
        return kc_span(topic->topic_id.bytes, sizeof topic->topic_id.bytes);
    answer(d, topic->name, topic->topic_id, KC_E_INVALID_REQUEST,
           has_id ? "You may not specify both topic name and topic id."
                  : "Neither topic name nor id were specified.");
    return KC_NULL;
}

static bool find_topics(deletion *d, const kp_delete_topics_req *asked)
{
    static const kc_uuid none;
    int32_t count = asked->topics.count;
    kc_bytes *keys = km_request_alloc(d->request, (size_t)count, sizeof *keys);
    for (int32_t i = 0; keys && i < count; i++)
        keys[i] = key_of(d, &asked->topics.items[i]);
    const km_twice *twice = keys ? km_twice_find(d->request, keys, count) : NULL;
    if (!twice)
        return false;
    for (int32_t i = 0; i < count; i++) {
        const kp_delete_topics_req_topic *topic = &asked->topics.items[i];
        if (keys[i].ptr && twice[i] == KM_TWICE_FIRST)
            answer(d, topic->name, topic->name.ptr ? none : topic->topic_id, KC_E_INVALID_REQUEST,
                   topic->name.ptr ? "Duplicate topic name." : "Duplicate topic id.");
        else if (keys[i].ptr && twice[i] == KM_ONCE && !topic->name.ptr)
            by_id(d, topic->topic_id);
    }
    for (int32_t i = 0; i < count; i++)
        if (keys[i].ptr && twice[i] == KM_ONCE && asked->topics.items[i].name.ptr)
            by_name(d, asked->topics.items[i].name);
    return true;
}

static void refuse_all(deletion *d, const kp_delete_topics_req *asked, int16_t code)
{
    static const kc_uuid none;
    for (int32_t i = 0; i < asked->topic_names.count; i++)
        answer(d, asked->topic_names.items[i], none, code, NULL);
    for (int32_t i = 0; i < asked->topics.count; i++)
        answer(d, asked->topics.items[i].name, asked->topics.items[i].topic_id, code, NULL);
}

km_action km_api_delete_topics(km_request *request, const void *message, void *response)
{
    const kp_delete_topics_req *asked = message;
    kp_delete_topics_resp *out = response;
    size_t count = (size_t)asked->topic_names.count + (size_t)asked->topics.count;
    deletion d = {.request = request,
                  .out = out,
                  .found = km_request_alloc(request, count, sizeof(km_topic *))};
    out->responses.items = km_request_alloc(request, count, sizeof *out->responses.items);
    if (!out->responses.items || !d.found)
        return KM_CLOSE;
    int16_t code = km_check_broker(request);
    if (code) {
        refuse_all(&d, asked, code);
        return KM_ANSWER;
    }
    if (!(request->version < 6 ? find_names(&d, asked) : find_topics(&d, asked)))
        return KM_CLOSE;
    bool has_changed = false;
    for (int32_t i = 0; i < out->responses.count; i++)
        if (d.found[i] && !out->responses.items[i].name.ptr)
            return KM_CLOSE; /* no memory for its name: nothing is deleted yet */
    for (int32_t i = 0; i < out->responses.count; i++)
        if (d.found[i]) {
            km_topic_delete(request->cluster, d.found[i]);
            has_changed = true;
        }
    if (has_changed)
        km_changed(request->cluster);
    return KM_ANSWER;
}
