/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Topics: make, delete, grow, describe. */
#include "client/admin_call.h"
#include "protocol/base/error.h"

/* ---- CreateTopics ---- */

/** A controller that moved refuses all topics alike. */
static kc_err retry_create(const kc_response *response, void *user)
{
    (void)user;
    const kp_create_topics_resp *answer = response->message;
    for (int32_t i = 0; i < answer->topics.count; i++)
        if (answer->topics.items[i].error_code == KC_E_NOT_CONTROLLER)
            return KC_E_NOT_CONTROLLER;
    return KC_OK;
}

static void on_create(kc_admin_part *part, const kc_response *response)
{
    const kp_create_topics_resp *answer = response->message;
    if (response->err != KC_OK) {
        kc_admin_fail(part->op, response->error);
        return;
    }
    for (int32_t i = 0; i < answer->topics.count; i++)
        (void)kc_admin_answer(part->op, answer->topics.items[i].name,
                              answer->topics.items[i].error_code,
                              answer->topics.items[i].error_message);
}

static kc_err fill_new_topic(kc_admin_op *op, const kc_new_topic *topic,
                             kp_create_topics_req_topic *out, kc_error *err)
{
    if (!topic->name.ptr || topic->config_count > INT32_MAX ||
        (topic->config_count > 0 && !topic->configs))
        return kb_error_set(err, KC_ERR_ARGUMENT, "a topic's name or its configs are null");
    out->name = topic->name;
    out->num_partitions = topic->partitions;
    out->replication_factor = topic->replication_factor;
    out->configs.items =
        kb_arena_array(&op->arena, topic->config_count, sizeof out->configs.items[0]);
    if (!out->configs.items)
        return kb_error_code(err, KC_ERR_NOMEM);
    out->configs.count = (int32_t)topic->config_count;
    for (size_t i = 0; i < topic->config_count; i++) {
        out->configs.items[i].name = topic->configs[i].name;
        out->configs.items[i].value = topic->configs[i].value;
    }
    return KC_OK;
}

static kc_err send_create(kc_admin_op *op, const kc_new_topic *topics, size_t count, kc_error *err)
{
    kc_bytes *names = kb_arena_array(&op->arena, count, sizeof *names);
    kp_create_topics_req request = {.validate_only = op->validate_only,
                                    .timeout_ms = kc_admin_ms_left(op)};
    request.topics.items = kb_arena_array(&op->arena, count, sizeof request.topics.items[0]);
    request.topics.count = (int32_t)count;
    if (!names || !request.topics.items)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (size_t i = 0; i < count; i++) {
        names[i] = topics[i].name;
        KB_TRY(fill_new_topic(op, &topics[i], &request.topics.items[i], err));
    }
    KB_TRY(kc_admin_add_items(op, names, count, err));
    return kc_admin_send(
        op, KP_API_CREATE_TOPICS, &request,
        &(kc_admin_target){
            .to = KC_TO_AUTO, .version_max = -1, .done = on_create, .retry = retry_create},
        err);
}

/** Requests are arrays of at most this. */
static kc_err check_count(const void *items, size_t count, kc_error *err)
{
    if (count > INT32_MAX || (count > 0 && !items))
        return kb_error_set(err, KC_ERR_ARGUMENT, "the list is null, or its count out of range");
    return KC_OK;
}

kc_err kc_admin_create_topics(kc_client *client, const kc_new_topic *topics, size_t count,
                              const kc_admin_options *options, kc_admin_fn fn, void *user,
                              kc_error *err)
{
    kc_admin_op *op;
    KB_TRY(check_count(topics, count, err));
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    return kc_admin_started(op, count > 0 ? send_create(op, topics, count, err) : KC_OK);
}

/* ---- DeleteTopics ---- */

static kc_err retry_delete(const kc_response *response, void *user)
{
    (void)user;
    const kp_delete_topics_resp *answer = response->message;
    for (int32_t i = 0; i < answer->responses.count; i++)
        if (answer->responses.items[i].error_code == KC_E_NOT_CONTROLLER)
            return KC_E_NOT_CONTROLLER;
    return KC_OK;
}

static void on_delete(kc_admin_part *part, const kc_response *response);

/** From version 6 names stand in structs; before Kafka 2.8 there is only the plain list (KIP-516).
 */
static kc_err send_delete(kc_admin_op *op, bool is_old, kc_error *err)
{
    kc_admin_result *result = op->result;
    kp_delete_topics_req request = {.timeout_ms = kc_admin_ms_left(op)};
    kc_bytes *names = kb_arena_array(&op->arena, result->item_count, sizeof *names);
    request.topics.items =
        kb_arena_array(&op->arena, result->item_count, sizeof request.topics.items[0]);
    if (!names || !request.topics.items)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (size_t i = 0; i < result->item_count; i++) {
        names[i] = result->items[i].name;
        request.topics.items[i].name = names[i];
    }
    request.topics.count = is_old ? 0 : (int32_t)result->item_count;
    request.topic_names.items = names;
    request.topic_names.count = is_old ? (int32_t)result->item_count : 0;
    return kc_admin_send(op, KP_API_DELETE_TOPICS, &request,
                         &(kc_admin_target){.to = KC_TO_AUTO,
                                            .version_max = is_old ? 5 : -1,
                                            .index = is_old,
                                            .done = on_delete,
                                            .retry = retry_delete},
                         err);
}

static void on_delete(kc_admin_part *part, const kc_response *response)
{
    const kp_delete_topics_resp *answer = response->message;
    kc_error error = {.code = KC_OK};
    if (response->err == KC_ERR_VERSION && part->index == 0) {
        if (send_delete(part->op, true, &error) != KC_OK)
            kc_admin_fail(part->op, &error);
        return;
    }
    if (response->err != KC_OK) {
        kc_admin_fail(part->op, response->error);
        return;
    }
    for (int32_t i = 0; i < answer->responses.count; i++)
        (void)kc_admin_answer(part->op, answer->responses.items[i].name,
                              answer->responses.items[i].error_code,
                              answer->responses.items[i].error_message);
}

static kc_err start_delete(kc_admin_op *op, const kc_bytes *names, size_t count, kc_error *err)
{
    KB_TRY(kc_admin_add_items(op, names, count, err));
    return count > 0 ? send_delete(op, false, err) : KC_OK;
}

kc_err kc_admin_delete_topics(kc_client *client, const kc_bytes *names, size_t count,
                              const kc_admin_options *options, kc_admin_fn fn, void *user,
                              kc_error *err)
{
    kc_admin_op *op;
    KB_TRY(check_count(names, count, err));
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    return kc_admin_started(op, start_delete(op, names, count, err));
}

/* ---- CreatePartitions ---- */

static kc_err retry_grow(const kc_response *response, void *user)
{
    (void)user;
    const kp_create_partitions_resp *answer = response->message;
    for (int32_t i = 0; i < answer->results.count; i++)
        if (answer->results.items[i].error_code == KC_E_NOT_CONTROLLER)
            return KC_E_NOT_CONTROLLER;
    return KC_OK;
}

static void on_grow(kc_admin_part *part, const kc_response *response)
{
    const kp_create_partitions_resp *answer = response->message;
    if (response->err != KC_OK) {
        kc_admin_fail(part->op, response->error);
        return;
    }
    for (int32_t i = 0; i < answer->results.count; i++)
        (void)kc_admin_answer(part->op, answer->results.items[i].name,
                              answer->results.items[i].error_code,
                              answer->results.items[i].error_message);
}

static kc_err start_grow(kc_admin_op *op, const kc_bytes *names, const int32_t *totals,
                         size_t count, kc_error *err)
{
    KB_TRY(kc_admin_add_items(op, names, count, err));
    if (count == 0)
        return KC_OK;
    kp_create_partitions_req request = {.validate_only = op->validate_only,
                                        .timeout_ms = kc_admin_ms_left(op)};
    request.topics.items = kb_arena_array(&op->arena, count, sizeof request.topics.items[0]);
    if (!request.topics.items)
        return kb_error_code(err, KC_ERR_NOMEM);
    request.topics.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        request.topics.items[i].name = names[i];
        request.topics.items[i].count = totals[i];
        request.topics.items[i].assignments.count = -1; /* the controller chooses the brokers */
    }
    return kc_admin_send(
        op, KP_API_CREATE_PARTITIONS, &request,
        &(kc_admin_target){
            .to = KC_TO_AUTO, .version_max = -1, .done = on_grow, .retry = retry_grow},
        err);
}

kc_err kc_admin_create_partitions(kc_client *client, const kc_bytes *names, const int32_t *totals,
                                  size_t count, const kc_admin_options *options, kc_admin_fn fn,
                                  void *user, kc_error *err)
{
    kc_admin_op *op;
    KB_TRY(check_count(names, count, err));
    KB_TRY(check_count(totals, count, err));
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    return kc_admin_started(op, start_grow(op, names, totals, count, err));
}

/* ---- Metadata ---- */

static const int32_t *copy_ids(kc_admin_op *op, const int32_t *ids, int32_t count,
                               size_t *count_out)
{
    size_t len = count > 0 ? (size_t)count : 0;
    int32_t *copy = kc_admin_array(op, len, sizeof *copy);
    if (copy && len > 0)
        memcpy(copy, ids, len * sizeof *copy);
    *count_out = copy ? len : 0;
    return copy;
}

/** By number, as the header says; brokers tell them in any order. */
static size_t place_of(const kp_metadata_resp_topic *told, int32_t index)
{
    size_t place = 0;
    for (int32_t i = 0; i < told->partitions.count; i++) {
        int32_t other = told->partitions.items[i].partition_index;
        place += other < told->partitions.items[index].partition_index ||
                 (other == told->partitions.items[index].partition_index && i < index);
    }
    return place;
}

static void copy_partitions(kc_admin_op *op, const kp_metadata_resp_topic *told,
                            kc_topic_info *topic)
{
    size_t count = (size_t)told->partitions.count;
    kc_partition_info *partitions = kc_admin_array(op, count, sizeof *partitions);
    if (!partitions)
        return;
    bool is_sorted = true;
    for (int32_t i = 0; i < told->partitions.count; i++)
        is_sorted = is_sorted && told->partitions.items[i].partition_index == i;
    for (int32_t i = 0; i < told->partitions.count; i++) {
        const kp_metadata_resp_partition *from = &told->partitions.items[i];
        kc_partition_info *to = &partitions[is_sorted ? (size_t)i : place_of(told, i)];
        to->partition = from->partition_index;
        to->leader = from->leader_id;
        to->leader_epoch = from->leader_epoch;
        to->err = from->error_code;
        to->replicas =
            copy_ids(op, from->replica_nodes.items, from->replica_nodes.count, &to->replica_count);
        to->isr = copy_ids(op, from->isr_nodes.items, from->isr_nodes.count, &to->isr_count);
    }
    topic->partitions = partitions;
    topic->partition_count = count;
}

static void copy_brokers(kc_admin_op *op, const kp_metadata_resp *answer)
{
    kc_cluster_info *cluster = &op->result->cluster;
    size_t count = (size_t)answer->brokers.count;
    kc_broker_info *brokers = kc_admin_array(op, count, sizeof *brokers);
    for (size_t i = 0; brokers && i < count; i++) {
        const kp_metadata_resp_broker *from = &answer->brokers.items[i];
        brokers[i] = (kc_broker_info){.id = from->node_id,
                                      .host = kc_admin_copy(op, from->host),
                                      .port = from->port,
                                      .rack = kc_admin_copy(op, from->rack)};
    }
    cluster->brokers = brokers;
    cluster->broker_count = brokers ? count : 0;
    cluster->cluster_id = kc_admin_copy(op, answer->cluster_id);
    cluster->controller_id = answer->controller_id;
}

static void on_describe(kc_admin_part *part, const kc_response *response)
{
    kc_admin_op *op = part->op;
    const kp_metadata_resp *answer = response->message;
    if (response->err != KC_OK) {
        kc_admin_fail(op, response->error);
        return;
    }
    if (answer->error_code != KC_OK) {
        kc_admin_fail_code(op, answer->error_code);
        return;
    }
    copy_brokers(op, answer);
    size_t count = (size_t)answer->topics.count;
    kc_topic_info *topics = kc_admin_array(op, count, sizeof *topics);
    for (size_t i = 0; topics && i < count; i++) {
        const kp_metadata_resp_topic *told = &answer->topics.items[i];
        topics[i].name = kc_admin_copy(op, told->name);
        topics[i].id = told->topic_id;
        topics[i].is_internal = told->is_internal;
        topics[i].err = told->error_code;
        copy_partitions(op, told, &topics[i]);
    }
    op->result->cluster.topics = topics;
    op->result->cluster.topic_count = topics ? count : 0;
}

static kc_err start_describe(kc_admin_op *op, const kc_bytes *names, size_t count, kc_error *err)
{
    kp_metadata_req request = {.allow_auto_topic_creation = false};
    request.topics.count = names ? (int32_t)count : -1;
    request.topics.items = kb_arena_array(&op->arena, count, sizeof request.topics.items[0]);
    if (!request.topics.items)
        return kb_error_code(err, KC_ERR_NOMEM);
    for (size_t i = 0; i < count; i++)
        request.topics.items[i].name = names[i];
    return kc_admin_send(
        op, KP_API_METADATA, &request,
        &(kc_admin_target){.to = KC_TO_AUTO, .version_max = -1, .done = on_describe}, err);
}

kc_err kc_admin_describe_topics(kc_client *client, const kc_bytes *names, size_t count,
                                const kc_admin_options *options, kc_admin_fn fn, void *user,
                                kc_error *err)
{
    kc_admin_op *op;
    KB_TRY(check_count(names, names ? count : 0, err));
    KB_TRY(kc_admin_begin(&(kc_admin_ask){client, options, fn, user}, &op, err));
    return kc_admin_started(op, start_describe(op, names, names ? count : 0, err));
}
