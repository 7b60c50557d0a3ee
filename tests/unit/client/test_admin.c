/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Admin operations against a scripted cluster. */
#include "client/core.h"
#include "protocol/codec.h"
#include "protocol/generated/messages.h"
#include "tests/unit/client/fake_broker.h"

#include <kafkac/admin.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct world {
    fake_cluster *cluster;
    kc_client *client;
    kc_error err;
    kc_admin_waiter waiter;
    int calls; /**< of the handler */
} world;

static void set_up(world *w)
{
    memset(w, 0, sizeof *w);
    w->cluster = fake_new(3);
    w->client = fake_client(w->cluster, NULL);
}

static void tear_down(world *w)
{
    kc_client_free(w->client);
    fake_free(w->cluster);
}

/** Wait for the operation just started. */
static kc_admin_result *finish(world *w, kc_err started)
{
    ck_assert_msg(started == KC_OK, "%s", w->err.text);
    ck_assert(!w->waiter.is_done);
    kc_err end = kc_admin_wait(w->client, &w->waiter, &w->err);
    ck_assert_msg(end == KC_OK, "%s", w->err.text);
    kc_admin_result *result = w->waiter.result;
    w->waiter = (kc_admin_waiter){NULL, false};
    return result;
}

/** The same, but the whole call fails. */
static kc_err fail_whole(world *w, kc_err started)
{
    ck_assert_int_eq(started, KC_OK);
    kc_err end = kc_admin_wait(w->client, &w->waiter, &w->err);
    ck_assert_int_ne(end, KC_OK);
    ck_assert_int_eq(end, w->err.code);
    kc_admin_free(w->waiter.result);
    w->waiter = (kc_admin_waiter){NULL, false};
    return end;
}

static void expect_item(const kc_admin_result *result, size_t index, const char *name, kc_err err)
{
    const kc_admin_item *item = kc_admin_item_at(result, index);
    ck_assert_ptr_nonnull(item);
    ck_assert_msg(kc_bytes_equal(item->name, kc_str(name)), KC_FMT, KC_ARG(item->name));
    ck_assert_int_eq(item->err, err);
}

#define WAIT kc_admin_waiter_fn, &w.waiter, &w.err

/* ---- topics ---- */

/** Makes topics in the model; refuses those that are there. The first call says it is not the
 * controller. */
static fake_action create_topics(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_create_topics_req *asked = request->message;
    kp_create_topics_resp *answer = response;
    answer->topics.count = asked->topics.count;
    answer->topics.items =
        fake_alloc(request, (size_t)asked->topics.count, sizeof answer->topics.items[0]);
    w->calls++;
    for (int32_t i = 0; i < asked->topics.count; i++) {
        const kp_create_topics_req_topic *topic = &asked->topics.items[i];
        kp_struct_defaults(&kp_create_topics_resp_topic_desc, &answer->topics.items[i]);
        answer->topics.items[i].name = topic->name;
        if (w->calls == 1) {
            answer->topics.items[i].error_code = KC_E_NOT_CONTROLLER;
            w->cluster->controller = 2;
        } else if (fake_topic_find(w->cluster, topic->name)) {
            answer->topics.items[i].error_code = KC_E_TOPIC_ALREADY_EXISTS;
            answer->topics.items[i].error_message = KC_STR("it exists");
        } else if (!asked->validate_only) {
            ck_assert_int_eq(topic->configs.count, 1);
            char name[64];
            snprintf(name, sizeof name, KC_FMT, KC_ARG(topic->name));
            fake_topic_add(w->cluster, name, topic->num_partitions);
        }
    }
    return FAKE_ANSWER;
}

START_TEST(topics_are_made_by_the_controller_that_is)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "old", 1);
    fake_on(w.cluster, KP_API_CREATE_TOPICS, create_topics, &w);
    kc_config_entry config = {.name = KC_STR("retention.ms"), .value = KC_STR("1000")};
    kc_new_topic topics[] = {
        {KC_STR("new"), 3, 1, &config, 1},
        {KC_STR("old"), 1, 1, &config, 1},
    };
    kc_admin_result *result = finish(&w, kc_admin_create_topics(w.client, topics, 2, NULL, WAIT));
    ck_assert_uint_eq(kc_admin_count(result), 2);
    expect_item(result, 0, "new", KC_OK);
    expect_item(result, 1, "old", KC_E_TOPIC_ALREADY_EXISTS);
    ck_assert(kc_bytes_equal(kc_admin_item_at(result, 1)->message, KC_STR("it exists")));
    ck_assert_ptr_null(kc_admin_item_at(result, 2));
    kc_admin_free(result);
    ck_assert_int_eq(w.calls, 2);
    ck_assert_uint_eq(fake_count(w.cluster, 2, KP_API_CREATE_TOPICS), 1);
    ck_assert_int_eq(fake_topic_find(w.cluster, KC_STR("new"))->partition_count, 3);
    tear_down(&w);
}
END_TEST

START_TEST(validate_only_makes_nothing)
{
    world w;
    set_up(&w);
    w.calls = 1;
    fake_on(w.cluster, KP_API_CREATE_TOPICS, create_topics, &w);
    kc_new_topic topic = {KC_STR("new"), 3, 1, NULL, 0};
    kc_admin_options options = {.size = sizeof options, .validate_only = true};
    kc_admin_result *result =
        finish(&w, kc_admin_create_topics(w.client, &topic, 1, &options, WAIT));
    expect_item(result, 0, "new", KC_OK);
    kc_admin_free(result);
    ck_assert_ptr_null(fake_topic_find(w.cluster, KC_STR("new")));
    tear_down(&w);
}
END_TEST

START_TEST(nothing_asked_is_answered_from_a_turn)
{
    world w;
    set_up(&w);
    kc_admin_result *result = finish(&w, kc_admin_create_topics(w.client, NULL, 0, NULL, WAIT));
    ck_assert_uint_eq(kc_admin_count(result), 0);
    kc_admin_free(result);
    result = finish(&w, kc_admin_list_offsets(w.client, NULL, 0, false, NULL, WAIT));
    kc_admin_free(result);
    result = finish(&w, kc_admin_delete_groups(w.client, NULL, 0, NULL, WAIT));
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

START_TEST(bad_arguments_are_refused_at_once)
{
    world w;
    set_up(&w);
    kc_bytes null_name = KC_NULL;
    kc_admin_options options = {.size = 0};
    kc_topic_offset bad = {.topic = KC_STR("a b")};
    kc_topic_offset low = {.topic = KC_STR("t"), .offset = -9};
    ck_assert_int_eq(kc_admin_delete_topics(w.client, &null_name, 1, NULL, WAIT), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_admin_delete_topics(w.client, NULL, 1, NULL, WAIT), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_admin_list_groups(w.client, &options, WAIT), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_admin_list_groups(w.client, NULL, NULL, NULL, &w.err), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_admin_list_offsets(w.client, &bad, 1, false, NULL, WAIT), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_admin_list_offsets(w.client, &low, 1, false, NULL, WAIT), KC_ERR_ARGUMENT);
    low.offset = KC_OFFSET_BEGINNING;
    ck_assert_int_eq(kc_admin_delete_records(w.client, &low, 1, NULL, WAIT), KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_admin_list_group_offsets(w.client, KC_NULL, NULL, 0, NULL, WAIT),
                     KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_admin_describe_groups(w.client, &null_name, 1, NULL, WAIT),
                     KC_ERR_ARGUMENT);
    kc_bytes broker = KC_STR("one");
    ck_assert_int_eq(
        kc_admin_describe_configs(w.client, KC_RESOURCE_BROKER, &broker, 1, NULL, WAIT),
        KC_ERR_ARGUMENT);
    tear_down(&w);
}
END_TEST

static fake_action delete_topics(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_delete_topics_req *asked = request->message;
    kp_delete_topics_resp *answer = response;
    bool is_old = request->version < 6;
    int32_t count = is_old ? asked->topic_names.count : asked->topics.count;
    answer->responses.count = count;
    answer->responses.items = fake_alloc(request, (size_t)count, sizeof answer->responses.items[0]);
    w->calls++;
    for (int32_t i = 0; i < count; i++) {
        /* In another order than asked. */
        kp_delete_topics_resp_response *item = &answer->responses.items[count - 1 - i];
        item->name = is_old ? asked->topic_names.items[i] : asked->topics.items[i].name;
        if (!fake_topic_find(w->cluster, item->name))
            item->error_code = KC_E_UNKNOWN_TOPIC_OR_PARTITION;
    }
    return FAKE_ANSWER;
}

START_TEST(topics_are_deleted_by_name_on_new_and_old_brokers)
{
    for (int16_t max = 6; max >= 4; max -= 2) {
        world w;
        set_up(&w);
        w.cluster->versions[KP_API_DELETE_TOPICS].max = max;
        fake_topic_add(w.cluster, "a", 1);
        fake_on(w.cluster, KP_API_DELETE_TOPICS, delete_topics, &w);
        kc_bytes names[] = {KC_STR("a"), KC_STR("b")};
        kc_admin_result *result =
            finish(&w, kc_admin_delete_topics(w.client, names, 2, NULL, WAIT));
        expect_item(result, 0, "a", KC_OK);
        expect_item(result, 1, "b", KC_E_UNKNOWN_TOPIC_OR_PARTITION);
        kc_admin_free(result);
        ck_assert_int_eq(w.calls, 1);
        tear_down(&w);
    }
}
END_TEST

static fake_action grow_topics(fake_request *request, void *response, void *user)
{
    (void)user;
    const kp_create_partitions_req *asked = request->message;
    kp_create_partitions_resp *answer = response;
    ck_assert_int_eq(asked->topics.count, 2);
    ck_assert_int_eq(asked->topics.items[0].count, 7);
    ck_assert_int_eq(asked->topics.items[0].assignments.count, -1);
    answer->results.count = 1; /* the second is left out */
    answer->results.items = fake_alloc(request, 1, sizeof answer->results.items[0]);
    answer->results.items[0].name = asked->topics.items[0].name;
    return FAKE_ANSWER;
}

START_TEST(what_an_answer_leaves_out_is_an_error_of_the_item)
{
    world w;
    set_up(&w);
    fake_on(w.cluster, KP_API_CREATE_PARTITIONS, grow_topics, &w);
    kc_bytes names[] = {KC_STR("a"), KC_STR("b")};
    int32_t totals[] = {7, 8};
    kc_admin_result *result =
        finish(&w, kc_admin_create_partitions(w.client, names, totals, 2, NULL, WAIT));
    expect_item(result, 0, "a", KC_OK);
    expect_item(result, 1, "b", KC_ERR_MALFORMED);
    ck_assert_ptr_nonnull(kc_admin_item_at(result, 1)->message.ptr);
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

static fake_action shuffle_partitions(fake_request *request, void *response, void *user)
{
    (void)user;
    kp_metadata_resp *answer = response;
    fake_model(request, response);
    for (int32_t i = 0; i < answer->topics.count; i++) {
        kp_metadata_resp_topic *topic = &answer->topics.items[i];
        for (int32_t a = 0, b = topic->partitions.count - 1; a < b; a++, b--) {
            kp_metadata_resp_partition swap = topic->partitions.items[a];
            topic->partitions.items[a] = topic->partitions.items[b];
            topic->partitions.items[b] = swap;
        }
    }
    return FAKE_ANSWER;
}

START_TEST(the_cluster_and_its_topics_are_described)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "a", 4);
    fake_topic_add(w.cluster, "b", 1)->is_internal = true;
    fake_on(w.cluster, KP_API_METADATA, shuffle_partitions, NULL);
    kc_bytes names[] = {KC_STR("a"), KC_STR("none")};
    kc_admin_result *result = finish(&w, kc_admin_describe_topics(w.client, names, 2, NULL, WAIT));
    const kc_cluster_info *cluster = kc_admin_cluster(result);
    ck_assert(kc_bytes_equal(cluster->cluster_id, KC_STR("fake")));
    ck_assert_int_eq(cluster->controller_id, 1);
    ck_assert_uint_eq(cluster->broker_count, 3);
    ck_assert(kc_bytes_equal(cluster->brokers[2].host, KC_STR("b3")));
    ck_assert_uint_eq(cluster->topic_count, 2);
    ck_assert_uint_eq(cluster->topics[0].partition_count, 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(cluster->topics[0].partitions[i].partition, i);
        ck_assert_int_eq(cluster->topics[0].partitions[i].leader, i % 3 + 1);
        ck_assert_uint_eq(cluster->topics[0].partitions[i].isr_count, 1);
    }
    ck_assert_int_eq(cluster->topics[1].err, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_ptr_null(fake_topic_find(w.cluster, KC_STR("none")));
    kc_admin_free(result);

    result = finish(&w, kc_admin_describe_topics(w.client, NULL, 0, NULL, WAIT));
    ck_assert_uint_eq(kc_admin_cluster(result)->topic_count, 2);
    ck_assert(kc_admin_cluster(result)->topics[1].is_internal);
    kc_admin_free(result);
    result = finish(&w, kc_admin_describe_topics(w.client, names, 0, NULL, WAIT));
    ck_assert_uint_eq(kc_admin_cluster(result)->topic_count, 0);
    ck_assert_uint_eq(kc_admin_cluster(result)->broker_count, 3);
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

/* ---- configs ---- */

static fake_action describe_configs(fake_request *request, void *response, void *user)
{
    (void)user;
    const kp_describe_configs_req *asked = request->message;
    kp_describe_configs_resp *answer = response;
    size_t count = (size_t)asked->resources.count;
    answer->results.count = asked->resources.count;
    answer->results.items = fake_alloc(request, count, sizeof answer->results.items[0]);
    for (size_t i = 0; i < count; i++) {
        kp_describe_configs_resp_result *item = &answer->results.items[i];
        item->resource_type = asked->resources.items[i].resource_type;
        item->resource_name = asked->resources.items[i].resource_name;
        ck_assert_int_eq(asked->resources.items[i].configuration_keys.count, -1);
        if (item->resource_type == KC_RESOURCE_BROKER)
            ck_assert_int_eq(item->resource_name.ptr[0] - '0', request->broker);
        item->configs.count = 2;
        item->configs.items = fake_alloc(request, 2, sizeof item->configs.items[0]);
        item->configs.items[0] = (kp_describe_configs_resp_config){
            .name = KC_STR("retention.ms"), .value = KC_STR("5"), .config_source = 1};
        item->configs.items[1] = (kp_describe_configs_resp_config){
            .name = KC_STR("secret"), .value = KC_NULL, .config_source = 5, .is_sensitive = true};
    }
    return FAKE_ANSWER;
}

START_TEST(configs_are_described_by_who_has_them)
{
    world w;
    set_up(&w);
    fake_on(w.cluster, KP_API_DESCRIBE_CONFIGS, describe_configs, NULL);
    kc_bytes topics[] = {KC_STR("a"), KC_STR("b")};
    kc_admin_result *result =
        finish(&w, kc_admin_describe_configs(w.client, KC_RESOURCE_TOPIC, topics, 2, NULL, WAIT));
    size_t count;
    const kc_config_entry *entries = kc_admin_configs(result, 1, &count);
    expect_item(result, 1, "b", KC_OK);
    ck_assert_uint_eq(count, 2);
    ck_assert(kc_bytes_equal(entries[0].value, KC_STR("5")) && !entries[0].is_default);
    ck_assert(!entries[1].value.ptr && entries[1].is_default && entries[1].is_sensitive);
    ck_assert_ptr_null(kc_admin_configs(result, 2, &count));
    ck_assert_uint_eq(count, 0);
    kc_admin_free(result);
    kc_bytes brokers[] = {KC_STR("1"), KC_STR("3")};
    result =
        finish(&w, kc_admin_describe_configs(w.client, KC_RESOURCE_BROKER, brokers, 2, NULL, WAIT));
    expect_item(result, 0, "1", KC_OK);
    expect_item(result, 1, "3", KC_OK);
    kc_admin_free(result);
    ck_assert_uint_eq(fake_count(w.cluster, 3, KP_API_DESCRIBE_CONFIGS), 1);
    tear_down(&w);
}
END_TEST

static fake_action alter_configs(fake_request *request, void *response, void *user)
{
    (void)user;
    const kp_incremental_alter_configs_req *asked = request->message;
    const kp_incremental_alter_configs_req_resource *resource = &asked->resources.items[0];
    kp_incremental_alter_configs_resp *answer = response;
    ck_assert_int_eq(resource->configs.items[0].config_operation, 0);
    ck_assert_int_eq(resource->configs.items[1].config_operation, 1);
    answer->responses.count = 1;
    answer->responses.items = fake_alloc(request, 1, sizeof answer->responses.items[0]);
    answer->responses.items[0].resource_type = resource->resource_type;
    answer->responses.items[0].resource_name = resource->resource_name;
    answer->responses.items[0].error_code = KC_E_INVALID_CONFIG;
    answer->responses.items[0].error_message = KC_STR("no");
    return FAKE_ANSWER;
}

START_TEST(configs_are_set_and_deleted_one_by_one)
{
    world w;
    set_up(&w);
    fake_on(w.cluster, KP_API_INCREMENTAL_ALTER_CONFIGS, alter_configs, NULL);
    kc_config_entry entries[] = {{.name = KC_STR("a"), .value = KC_STR("1")},
                                 {.name = KC_STR("b"), .value = KC_NULL}};
    kc_admin_result *result =
        finish(&w, kc_admin_alter_configs(w.client, KC_RESOURCE_TOPIC, KC_STR("t"), entries, 2,
                                          NULL, WAIT));
    expect_item(result, 0, "t", KC_E_INVALID_CONFIG);
    ck_assert(kc_bytes_equal(kc_admin_item_at(result, 0)->message, KC_STR("no")));
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

/* ---- groups ---- */

static fake_action list_groups(fake_request *request, void *response, void *user)
{
    kp_list_groups_resp *answer = response;
    int16_t error = user ? *(int16_t *)user : 0;
    if (error != 0 && request->broker == 2) {
        answer->error_code = error;
        return FAKE_ANSWER;
    }
    char *own = fake_alloc(request, 8, 1);
    snprintf(own, 8, "g%d", request->broker);
    const char *names[] = {own, "shared"};
    answer->groups.count = 2;
    answer->groups.items = fake_alloc(request, 2, sizeof answer->groups.items[0]);
    for (int i = 0; i < 2; i++) {
        answer->groups.items[i].group_id = kc_str(names[i]);
        answer->groups.items[i].protocol_type = KC_STR("consumer");
        answer->groups.items[i].group_state = KC_STR("Stable");
        answer->groups.items[i].group_type = KC_STR("classic");
    }
    return FAKE_ANSWER;
}

START_TEST(groups_of_all_brokers_are_listed_once_each)
{
    world w;
    size_t count;
    set_up(&w);
    fake_on(w.cluster, KP_API_LIST_GROUPS, list_groups, NULL);
    kc_admin_result *result = finish(&w, kc_admin_list_groups(w.client, NULL, WAIT));
    const kc_group_listing *groups = kc_admin_groups(result, &count);
    ck_assert_uint_eq(count, 4);
    int shared = 0;
    for (size_t i = 0; i < count; i++) {
        shared += kc_bytes_equal(groups[i].group_id, KC_STR("shared"));
        ck_assert(kc_bytes_equal(groups[i].state, KC_STR("Stable")));
        ck_assert(kc_bytes_equal(groups[i].type, KC_STR("classic")));
    }
    ck_assert_int_eq(shared, 1);
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

START_TEST(a_broker_that_can_not_list_is_told_with_what_the_others_have)
{
    world w;
    size_t count;
    int16_t error = KC_E_CLUSTER_AUTHORIZATION_FAILED;
    set_up(&w);
    fake_on(w.cluster, KP_API_LIST_GROUPS, list_groups, &error);
    ck_assert_int_eq(kc_admin_list_groups(w.client, NULL, WAIT), KC_OK);
    ck_assert_int_eq(kc_admin_wait(w.client, &w.waiter, &w.err), error);
    ck_assert_int_eq(w.err.broker_id, 2);
    (void)kc_admin_groups(w.waiter.result, &count);
    ck_assert_uint_eq(count, 3);
    kc_admin_free(w.waiter.result);
    tear_down(&w);
}
END_TEST

/** Bytes of an assignment of t:0,2 in the version a consumer may have written. */
static kc_bytes assignment_bytes(fake_request *request, int16_t version)
{
    static const uint8_t body[] = {
        0, 0, 0, 1, 0, 1, 't', 0,    0,    0,    2,    0,
        0, 0, 0, 0, 0, 0, 2,   0xff, 0xff, 0xff, 0xff, 'x' /* of a version to come */};
    uint8_t *bytes = fake_alloc(request, sizeof body + 2, 1);
    size_t len = version > 3 ? sizeof body : sizeof body - 1;
    bytes[0] = (uint8_t)(version >> 8);
    bytes[1] = (uint8_t)version;
    memcpy(bytes + 2, body, len);
    return kc_span(bytes, len + 2);
}

/** Group "g" has members with assignments of several kinds; others are not there. */
static fake_action describe_groups(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_describe_groups_req *asked = request->message;
    kp_describe_groups_resp *answer = response;
    ck_assert_int_eq(asked->groups.count, 1);
    answer->groups.count = 1;
    answer->groups.items = fake_alloc(request, 1, sizeof answer->groups.items[0]);
    kp_describe_groups_resp_group *group = &answer->groups.items[0];
    kp_struct_defaults(&kp_describe_groups_resp_group_desc, group);
    group->group_id = asked->groups.items[0];
    if (!kc_bytes_equal(group->group_id, KC_STR("g"))) {
        group->error_code = request->version >= 6 ? KC_E_GROUP_ID_NOT_FOUND : 0;
        group->group_state = KC_STR("Dead");
        return FAKE_ANSWER;
    }
    if (w->calls++ == 0) {
        group->error_code = KC_E_NOT_COORDINATOR;
        w->cluster->coordinator = 3;
        return FAKE_ANSWER;
    }
    group->group_state = KC_STR("Stable");
    group->protocol_type = KC_STR("consumer");
    group->protocol_data = KC_STR("range");
    group->members.count = 4;
    group->members.items = fake_alloc(request, 4, sizeof group->members.items[0]);
    for (int i = 0; i < 4; i++) {
        kp_describe_groups_resp_member *member = &group->members.items[i];
        kp_struct_defaults(&kp_describe_groups_resp_member_desc, member);
        member->member_id = KC_STR("m");
        member->client_id = KC_STR("c");
        member->client_host = KC_STR("/h");
    }
    group->members.items[0].member_assignment = assignment_bytes(request, 1);
    group->members.items[1].member_assignment = assignment_bytes(request, 9);
    group->members.items[2].member_assignment = KC_STR("\x00\x01\x7f\xff\xff\xff");
    return FAKE_ANSWER;
}

static fake_action describe_next(fake_request *request, void *response, void *user)
{
    (void)user;
    const kp_consumer_group_describe_req *asked = request->message;
    kp_consumer_group_describe_resp *answer = response;
    answer->groups.count = 1;
    answer->groups.items = fake_alloc(request, 1, sizeof answer->groups.items[0]);
    kp_consumer_group_describe_resp_group *group = &answer->groups.items[0];
    kp_struct_defaults(&kp_consumer_group_describe_resp_group_desc, group);
    group->group_id = asked->group_ids.items[0];
    if (!kc_bytes_equal(group->group_id, KC_STR("next"))) {
        group->error_code = KC_E_GROUP_ID_NOT_FOUND;
        return FAKE_ANSWER;
    }
    group->group_state = KC_STR("Stable");
    group->assignor_name = KC_STR("uniform");
    group->members.count = 1;
    group->members.items = fake_alloc(request, 1, sizeof group->members.items[0]);
    kp_consumer_group_describe_resp_member *member = &group->members.items[0];
    kp_struct_defaults(&kp_consumer_group_describe_resp_member_desc, member);
    member->member_id = KC_STR("n");
    member->assignment.topic_partitions.count = 1;
    member->assignment.topic_partitions.items =
        fake_alloc(request, 1, sizeof member->assignment.topic_partitions.items[0]);
    member->assignment.topic_partitions.items[0].topic_name = KC_STR("t");
    int32_t *numbers = fake_alloc(request, 2, sizeof *numbers);
    numbers[1] = 5;
    member->assignment.topic_partitions.items[0].partitions.items = numbers;
    member->assignment.topic_partitions.items[0].partitions.count = 2;
    return FAKE_ANSWER;
}

START_TEST(groups_are_described_with_what_members_are_assigned)
{
    world w;
    size_t count;
    set_up(&w);
    fake_on(w.cluster, KP_API_DESCRIBE_GROUPS, describe_groups, &w);
    fake_on(w.cluster, KP_API_CONSUMER_GROUP_DESCRIBE, describe_next, NULL);
    kc_bytes ids[] = {KC_STR("g"), KC_STR("next"), KC_STR("none")};
    kc_admin_result *result = finish(&w, kc_admin_describe_groups(w.client, ids, 3, NULL, WAIT));
    const kc_group_description *groups = kc_admin_group_descriptions(result, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(groups[0].err, KC_OK);
    ck_assert_int_eq(groups[0].coordinator, 3);
    ck_assert(kc_bytes_equal(groups[0].protocol, KC_STR("range")));
    ck_assert_uint_eq(groups[0].member_count, 4);
    const kc_member_info *members = groups[0].members;
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(members[i].assignment_count, 2);
        ck_assert(kc_bytes_equal(members[i].assignment[1].topic, KC_STR("t")));
        ck_assert_int_eq(members[i].assignment[1].partition, 2);
    }
    ck_assert_uint_eq(members[2].assignment_count, 0); /* bytes nobody can read */
    ck_assert_uint_eq(members[3].assignment_count, 0);
    ck_assert_int_eq(groups[1].err, KC_OK);
    ck_assert(kc_bytes_equal(groups[1].protocol, KC_STR("uniform")));
    ck_assert_int_eq(groups[1].members[0].assignment[1].partition, 5);
    ck_assert_int_eq(groups[2].err, KC_E_GROUP_ID_NOT_FOUND);
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

START_TEST(a_dead_group_of_an_old_broker_is_dead)
{
    world w;
    size_t count;
    set_up(&w);
    w.cluster->versions[KP_API_DESCRIBE_GROUPS].max = 5;
    w.cluster->versions[KP_API_CONSUMER_GROUP_DESCRIBE].max = -1;
    fake_on(w.cluster, KP_API_DESCRIBE_GROUPS, describe_groups, &w);
    kc_bytes id = KC_STR("none");
    kc_admin_result *result = finish(&w, kc_admin_describe_groups(w.client, &id, 1, NULL, WAIT));
    const kc_group_description *groups = kc_admin_group_descriptions(result, &count);
    ck_assert_int_eq(groups[0].err, KC_OK);
    ck_assert(kc_bytes_equal(groups[0].state, KC_STR("Dead")));
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

static fake_action delete_groups(fake_request *request, void *response, void *user)
{
    (void)user;
    const kp_delete_groups_req *asked = request->message;
    kp_delete_groups_resp *answer = response;
    answer->results.count = 1;
    answer->results.items = fake_alloc(request, 1, sizeof answer->results.items[0]);
    answer->results.items[0].group_id = asked->groups_names.items[0];
    if (kc_bytes_equal(asked->groups_names.items[0], KC_STR("busy")))
        answer->results.items[0].error_code = KC_E_NON_EMPTY_GROUP;
    return FAKE_ANSWER;
}

START_TEST(groups_are_deleted_each_by_its_coordinator)
{
    world w;
    set_up(&w);
    fake_on(w.cluster, KP_API_DELETE_GROUPS, delete_groups, NULL);
    kc_bytes ids[] = {KC_STR("a"), KC_STR("busy")};
    kc_admin_result *result = finish(&w, kc_admin_delete_groups(w.client, ids, 2, NULL, WAIT));
    expect_item(result, 0, "a", KC_OK);
    expect_item(result, 1, "busy", KC_E_NON_EMPTY_GROUP);
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

/* ---- committed offsets ---- */

/** Group "g" has t:0 at 10 and t:1 at 11. */
static fake_action fetch_offsets(fake_request *request, void *response, void *user)
{
    (void)user;
    const kp_offset_fetch_req *asked = request->message;
    kp_offset_fetch_resp *answer = response;
    if (request->version < 8) {
        answer->topics.count = 1;
        answer->topics.items = fake_alloc(request, 1, sizeof answer->topics.items[0]);
        answer->topics.items[0].name = KC_STR("t");
        answer->topics.items[0].partitions.count = 2;
        answer->topics.items[0].partitions.items =
            fake_alloc(request, 2, sizeof answer->topics.items[0].partitions.items[0]);
        for (int i = 0; i < 2; i++) {
            kp_offset_fetch_resp_partition *p = &answer->topics.items[0].partitions.items[i];
            *p = (kp_offset_fetch_resp_partition){.partition_index = i,
                                                  .committed_offset = 10 + i,
                                                  .committed_leader_epoch = -1,
                                                  .metadata = KC_STR("m")};
        }
        return FAKE_ANSWER;
    }
    ck_assert_int_le(request->version, 9);
    answer->groups.count = 1;
    answer->groups.items = fake_alloc(request, 1, sizeof answer->groups.items[0]);
    answer->groups.items[0].group_id = asked->groups.items[0].group_id;
    if (!kc_bytes_equal(asked->groups.items[0].group_id, KC_STR("g"))) {
        answer->groups.items[0].error_code = KC_E_GROUP_AUTHORIZATION_FAILED;
        return FAKE_ANSWER;
    }
    answer->groups.items[0].topics.count = 1;
    kp_offset_fetch_resp_group_topic *topic = fake_alloc(request, 1, sizeof *topic);
    answer->groups.items[0].topics.items = topic;
    topic->name = KC_STR("t");
    topic->partitions.count = 2;
    topic->partitions.items = fake_alloc(request, 2, sizeof topic->partitions.items[0]);
    for (int i = 0; i < 2; i++)
        topic->partitions.items[i] =
            (kp_offset_fetch_resp_group_topic_partition){.partition_index = i,
                                                         .committed_offset = 10 + i,
                                                         .committed_leader_epoch = 4,
                                                         .metadata = KC_STR("m")};
    return FAKE_ANSWER;
}

START_TEST(committed_offsets_are_read_from_new_and_old_brokers)
{
    for (int16_t max = 10; max >= 7; max -= 3) {
        world w;
        size_t count;
        set_up(&w);
        w.cluster->versions[KP_API_OFFSET_FETCH].max = max;
        fake_on(w.cluster, KP_API_OFFSET_FETCH, fetch_offsets, NULL);
        kc_admin_result *result =
            finish(&w, kc_admin_list_group_offsets(w.client, KC_STR("g"), NULL, 0, NULL, WAIT));
        const kc_topic_offset *offsets = kc_admin_offsets(result, &count);
        ck_assert_uint_eq(count, 2);
        ck_assert_int_eq(offsets[1].offset, 11);
        ck_assert_int_eq(offsets[1].leader_epoch, max == 10 ? 4 : -1);
        ck_assert(kc_bytes_equal(offsets[1].metadata, KC_STR("m")));
        kc_admin_free(result);
        kc_topic_partition asked[] = {{KC_STR("t"), 1}, {KC_STR("u"), 0}};
        result =
            finish(&w, kc_admin_list_group_offsets(w.client, KC_STR("g"), asked, 2, NULL, WAIT));
        offsets = kc_admin_offsets(result, &count);
        ck_assert_uint_eq(count, 2);
        ck_assert_int_eq(offsets[0].offset, 11);
        ck_assert_int_eq(offsets[0].err, KC_OK);
        ck_assert_int_eq(offsets[1].offset, -1);
        ck_assert_int_eq(offsets[1].err, KC_ERR_MALFORMED); /* left out by the broker */
        kc_admin_free(result);
        tear_down(&w);
    }
}
END_TEST

START_TEST(an_error_of_the_group_is_one_of_the_call)
{
    world w;
    set_up(&w);
    fake_on(w.cluster, KP_API_OFFSET_FETCH, fetch_offsets, NULL);
    ck_assert_int_eq(
        fail_whole(&w, kc_admin_list_group_offsets(w.client, KC_STR("other"), NULL, 0, NULL, WAIT)),
        KC_E_GROUP_AUTHORIZATION_FAILED);
    ck_assert_ptr_nonnull(strstr(w.err.text, "other"));
    tear_down(&w);
}
END_TEST

static fake_action commit_offsets(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_offset_commit_req *asked = request->message;
    kp_offset_commit_resp *answer = response;
    ck_assert_int_eq(asked->generation_id_or_member_epoch, -1);
    ck_assert_int_le(request->version, 9);
    ck_assert_uint_eq(asked->member_id.len, 0);
    ck_assert_int_eq(asked->topics.count, 2);
    answer->topics.count = 2;
    answer->topics.items = fake_alloc(request, 2, sizeof answer->topics.items[0]);
    w->calls++;
    for (int i = 0; i < 2; i++) {
        const kp_offset_commit_req_topic *topic = &asked->topics.items[i];
        size_t count = (size_t)topic->partitions.count;
        answer->topics.items[i].name = topic->name;
        answer->topics.items[i].partitions.count = topic->partitions.count;
        answer->topics.items[i].partitions.items =
            fake_alloc(request, count, sizeof answer->topics.items[i].partitions.items[0]);
        for (size_t p = 0; p < count; p++) {
            int32_t number = topic->partitions.items[p].partition_index;
            answer->topics.items[i].partitions.items[p].partition_index = number;
            answer->topics.items[i].partitions.items[p].error_code =
                w->calls == 1 ? KC_E_COORDINATOR_LOAD_IN_PROGRESS
                              : (number == 7 ? KC_E_UNKNOWN_TOPIC_OR_PARTITION : 0);
        }
    }
    return FAKE_ANSWER;
}

START_TEST(offsets_are_committed_for_a_group)
{
    world w;
    size_t count;
    set_up(&w);
    fake_on(w.cluster, KP_API_OFFSET_COMMIT, commit_offsets, &w);
    kc_topic_offset offsets[] = {
        {.topic = KC_STR("a"), .partition = 0, .offset = 5, .leader_epoch = -1},
        {.topic = KC_STR("b"), .partition = 7, .offset = 6, .leader_epoch = 1},
        {.topic = KC_STR("a"), .partition = 1, .offset = 7, .metadata = KC_STR("why")}};
    kc_admin_result *result =
        finish(&w, kc_admin_alter_group_offsets(w.client, KC_STR("g"), offsets, 3, NULL, WAIT));
    const kc_topic_offset *answers = kc_admin_offsets(result, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(answers[0].err, KC_OK);
    ck_assert_int_eq(answers[1].err, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(answers[2].err, KC_OK);
    ck_assert_int_eq(answers[2].offset, 7);
    ck_assert_int_eq(w.calls, 2);
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

/* ---- offsets in the log ---- */

/** Offset 100 * broker + partition; only for partitions the model leads here. */
static fake_action list_offsets(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_list_offsets_req *asked = request->message;
    kp_list_offsets_resp *answer = response;
    size_t count = (size_t)asked->topics.count;
    w->calls++;
    answer->topics.count = asked->topics.count;
    answer->topics.items = fake_alloc(request, count, sizeof answer->topics.items[0]);
    for (size_t i = 0; i < count; i++) {
        const kp_list_offsets_req_topic *topic = &asked->topics.items[i];
        kp_list_offsets_resp_topic *out = &answer->topics.items[i];
        fake_topic *model = fake_topic_find(w->cluster, topic->name);
        size_t partitions = (size_t)topic->partitions.count;
        out->name = topic->name;
        out->partitions.count = topic->partitions.count;
        out->partitions.items = fake_alloc(request, partitions, sizeof out->partitions.items[0]);
        for (size_t p = 0; p < partitions; p++) {
            int32_t number = topic->partitions.items[p].partition_index;
            out->partitions.items[p] = (kp_list_offsets_resp_partition){
                .partition_index = number,
                .timestamp = -1,
                .offset = 100 * request->broker + number +
                          (topic->partitions.items[p].timestamp == -2 ? 1000 : 0),
                .leader_epoch = model->partitions[number].leader_epoch,
                .error_code = model->partitions[number].leader == request->broker
                                  ? 0
                                  : KC_E_NOT_LEADER_OR_FOLLOWER};
        }
    }
    return FAKE_ANSWER;
}

START_TEST(offsets_are_asked_of_each_leader_in_one_request)
{
    world w;
    size_t count;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 6);
    fake_topic_add(w.cluster, "u", 3);
    fake_on(w.cluster, KP_API_LIST_OFFSETS, list_offsets, &w);
    kc_topic_offset queries[9];
    for (int i = 0; i < 9; i++)
        queries[i] = (kc_topic_offset){.topic = i < 6 ? KC_STR("t") : KC_STR("u"),
                                       .partition = i % 6,
                                       .offset = i == 4 ? KC_OFFSET_BEGINNING : KC_OFFSET_END};
    kc_admin_result *result =
        finish(&w, kc_admin_list_offsets(w.client, queries, 9, true, NULL, WAIT));
    const kc_topic_offset *offsets = kc_admin_offsets(result, &count);
    ck_assert_uint_eq(count, 9);
    for (int i = 0; i < 9; i++) {
        ck_assert_int_eq(offsets[i].err, KC_OK);
        ck_assert_int_eq(offsets[i].offset, 100 * (i % 3 + 1) + i % 6 + (i == 4 ? 1000 : 0));
    }
    ck_assert_int_eq(w.calls, 3);
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

START_TEST(a_partition_may_be_asked_about_twice)
{
    world w;
    size_t count;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1);
    fake_on(w.cluster, KP_API_LIST_OFFSETS, list_offsets, &w);
    kc_topic_offset queries[3];
    for (int i = 0; i < 3; i++)
        queries[i] =
            (kc_topic_offset){.topic = KC_STR("t"), .offset = i == 1 ? KC_OFFSET_BEGINNING : i};
    kc_admin_result *result =
        finish(&w, kc_admin_list_offsets(w.client, queries, 3, false, NULL, WAIT));
    const kc_topic_offset *offsets = kc_admin_offsets(result, &count);
    ck_assert_int_eq(offsets[0].offset, 100);
    ck_assert_int_eq(offsets[1].offset, 1100);
    ck_assert_int_eq(offsets[2].offset, 100);
    ck_assert_int_eq(w.calls, 3); /* brokers refuse a partition named twice in one request */
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

START_TEST(a_leader_that_moves_is_followed)
{
    world w;
    size_t count;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 3);
    fake_on(w.cluster, KP_API_LIST_OFFSETS, list_offsets, &w);
    kc_topic_offset queries[3];
    for (int i = 0; i < 3; i++)
        queries[i] =
            (kc_topic_offset){.topic = KC_STR("t"), .partition = i, .offset = KC_OFFSET_END};
    kc_admin_free(finish(&w, kc_admin_list_offsets(w.client, queries, 3, false, NULL, WAIT)));
    /* Keep the old view until the first answer says otherwise. */
    kc_err started = kc_admin_list_offsets(w.client, queries, 3, false, NULL, WAIT);
    while (fake_count(w.cluster, 0, KP_API_METADATA) < 2)
        ck_assert(kn_loop_advance(w.cluster->loop, INT64_MAX));
    fake_move_leader(w.cluster, "t", 1, 3);
    fake_down(w.cluster, 1);
    fake_move_leader(w.cluster, "t", 0, 2);
    kc_admin_result *result = finish(&w, started);
    const kc_topic_offset *offsets = kc_admin_offsets(result, &count);
    ck_assert_int_eq(offsets[0].offset, 200);
    ck_assert_int_eq(offsets[1].offset, 301);
    ck_assert_int_eq(offsets[2].offset, 302);
    ck_assert_int_eq(offsets[1].leader_epoch, 1);
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

START_TEST(partitions_that_are_not_there_fail_alone)
{
    world w;
    size_t count;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1);
    fake_topic_add(w.cluster, "secret", 1)->error = KC_E_TOPIC_AUTHORIZATION_FAILED;
    fake_on(w.cluster, KP_API_LIST_OFFSETS, list_offsets, &w);
    kc_topic_offset queries[] = {
        {.topic = KC_STR("t"), .partition = 0, .offset = 5},
        {.topic = KC_STR("t"), .partition = 1, .offset = 5},
        {.topic = KC_STR("secret"), .partition = 0, .offset = 5},
        {.topic = KC_STR("none"), .partition = 0, .offset = 5},
    };
    kc_admin_result *result =
        finish(&w, kc_admin_list_offsets(w.client, queries, 4, false, NULL, WAIT));
    const kc_topic_offset *offsets = kc_admin_offsets(result, &count);
    ck_assert_int_eq(offsets[0].err, KC_OK);
    ck_assert_int_eq(offsets[1].err, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(offsets[1].offset, -1);
    ck_assert_int_eq(offsets[2].err, KC_E_TOPIC_AUTHORIZATION_FAILED);
    ck_assert_int_eq(offsets[3].err, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

START_TEST(a_partition_without_leader_ends_at_the_deadline)
{
    world w;
    size_t count;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 2)->partitions[1].leader = -1;
    fake_on(w.cluster, KP_API_LIST_OFFSETS, list_offsets, &w);
    kc_topic_offset queries[] = {
        {.topic = KC_STR("t"), .partition = 0, .offset = -1},
        {.topic = KC_STR("t"), .partition = 1, .offset = -1},
    };
    kc_admin_options options = {.size = sizeof options, .timeout_ms = 3000};
    ck_assert_int_eq(kc_admin_list_offsets(w.client, queries, 2, false, &options, WAIT), KC_OK);
    int64_t before_ms = fake_now_ms(w.cluster);
    ck_assert_int_eq(kc_admin_wait(w.client, &w.waiter, &w.err), KC_ERR_TIMEOUT);
    ck_assert_int_eq(fake_now_ms(w.cluster) - before_ms, 3000);
    const kc_topic_offset *offsets = kc_admin_offsets(w.waiter.result, &count);
    ck_assert_int_eq(offsets[0].err, KC_OK);
    ck_assert_int_eq(offsets[0].offset, 100);
    ck_assert_int_eq(offsets[1].err, KC_ERR_TIMEOUT);
    kc_admin_free(w.waiter.result);
    tear_down(&w);
}
END_TEST

static fake_action delete_records(fake_request *request, void *response, void *user)
{
    (void)user;
    const kp_delete_records_req *asked = request->message;
    kp_delete_records_resp *answer = response;
    const kp_delete_records_req_topic *topic = &asked->topics.items[0];
    size_t count = (size_t)topic->partitions.count;
    answer->topics.count = 1;
    answer->topics.items = fake_alloc(request, 1, sizeof answer->topics.items[0]);
    answer->topics.items[0].name = topic->name;
    answer->topics.items[0].partitions.count = topic->partitions.count;
    answer->topics.items[0].partitions.items =
        fake_alloc(request, count, sizeof answer->topics.items[0].partitions.items[0]);
    for (size_t i = 0; i < count; i++) {
        kp_delete_records_resp_partition *out = &answer->topics.items[0].partitions.items[i];
        out->partition_index = topic->partitions.items[i].partition_index;
        out->low_watermark = topic->partitions.items[i].offset;
        if (out->low_watermark > 50)
            out->error_code = KC_E_OFFSET_OUT_OF_RANGE;
    }
    return FAKE_ANSWER;
}

START_TEST(records_are_deleted_by_each_leader)
{
    world w;
    size_t count;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 2);
    fake_on(w.cluster, KP_API_DELETE_RECORDS, delete_records, NULL);
    kc_topic_offset before[] = {
        {.topic = KC_STR("t"), .partition = 0, .offset = 42},
        {.topic = KC_STR("t"), .partition = 1, .offset = 99},
    };
    kc_admin_result *result = finish(&w, kc_admin_delete_records(w.client, before, 2, NULL, WAIT));
    const kc_topic_offset *offsets = kc_admin_offsets(result, &count);
    ck_assert_int_eq(offsets[0].offset, 42);
    ck_assert_int_eq(offsets[0].err, KC_OK);
    ck_assert_int_eq(offsets[1].offset, -1);
    ck_assert_int_eq(offsets[1].err, KC_E_OFFSET_OUT_OF_RANGE);
    kc_admin_free(result);
    tear_down(&w);
}
END_TEST

/* ---- the end ---- */

/** Everything at once, to be ended at any point. */
static int start_all(world *w, kc_admin_waiter *waiters)
{
    static const kc_topic_offset query = {.topic = {(const uint8_t *)"t", 1}, .offset = -1};
    kc_bytes name = KC_STR("g");
    int n = 0;
    int started = 0;
    started +=
        kc_admin_list_groups(w->client, NULL, kc_admin_waiter_fn, &waiters[n++], NULL) == KC_OK;
    started += kc_admin_describe_groups(w->client, &name, 1, NULL, kc_admin_waiter_fn,
                                        &waiters[n++], NULL) == KC_OK;
    started += kc_admin_list_offsets(w->client, &query, 1, false, NULL, kc_admin_waiter_fn,
                                     &waiters[n++], NULL) == KC_OK;
    started += kc_admin_describe_topics(w->client, NULL, 0, NULL, kc_admin_waiter_fn, &waiters[n++],
                                        NULL) == KC_OK;
    started += kc_admin_list_group_offsets(w->client, name, NULL, 0, NULL, kc_admin_waiter_fn,
                                           &waiters[n++], NULL) == KC_OK;
    started += kc_admin_delete_groups(w->client, &name, 1, NULL, kc_admin_waiter_fn, &waiters[n++],
                                      NULL) == KC_OK;
    return started;
}

static void serve_all(world *w)
{
    fake_topic_add(w->cluster, "t", 2);
    w->calls = 1;
    fake_on(w->cluster, KP_API_LIST_GROUPS, list_groups, NULL);
    fake_on(w->cluster, KP_API_DESCRIBE_GROUPS, describe_groups, w);
    fake_on(w->cluster, KP_API_LIST_OFFSETS, list_offsets, w);
    fake_on(w->cluster, KP_API_OFFSET_FETCH, fetch_offsets, NULL);
    fake_on(w->cluster, KP_API_DELETE_GROUPS, delete_groups, NULL);
}

START_TEST(a_client_freed_at_any_point_ends_every_operation)
{
    for (int steps = 0; steps < 60; steps++) {
        world w;
        kc_admin_waiter waiters[6];
        memset(waiters, 0, sizeof waiters);
        set_up(&w);
        serve_all(&w);
        ck_assert_int_eq(start_all(&w, waiters), 6);
        for (int i = 0; i < steps; i++)
            (void)kn_loop_advance(w.cluster->loop, INT64_MAX);
        kc_client_free(w.client);
        for (int i = 0; i < 6; i++) {
            ck_assert(waiters[i].is_done);
            kc_admin_free(waiters[i].result); /* results outlive their client */
        }
        fake_free(w.cluster);
    }
}
END_TEST

START_TEST(waiting_after_the_end_of_a_client_is_told)
{
    world w;
    set_up(&w);
    ck_assert_int_eq(kc_admin_list_groups(w.client, NULL, WAIT), KC_OK);
    kc_client *other = fake_client(w.cluster, NULL);
    kc_client_free(w.client);
    ck_assert_int_eq(kc_admin_wait(other, &w.waiter, &w.err), KC_ERR_CLOSED);
    kc_client_free(other);
    fake_free(w.cluster);
}
END_TEST

/** Fails the n-th allocation once. */
typedef struct failing {
    int left;
    size_t held;
} failing;

static void *failing_realloc(void *ptr, size_t size, void *user)
{
    failing *self = user;
    if (self->left-- == 0)
        return NULL;
    self->held += ptr == NULL;
    return realloc(ptr, size);
}

static void *failing_malloc(size_t size, void *user)
{
    return failing_realloc(NULL, size, user);
}

static void failing_free(void *ptr, void *user)
{
    ((failing *)user)->held--;
    free(ptr);
}

START_TEST(a_failed_allocation_anywhere_is_told_and_leaks_nothing)
{
    for (int fail_at = 0;; fail_at++) {
        world w = {.calls = 0};
        failing self = {.left = fail_at};
        kc_alloc alloc = {failing_malloc, failing_realloc, failing_free, &self};
        kc_client_options options = {.size = sizeof options, .alloc = &alloc, .seed = 1};
        kc_admin_waiter waiters[6];
        memset(waiters, 0, sizeof waiters);
        w.cluster = fake_new(3);
        serve_all(&w);
        w.client = fake_client_with(w.cluster, NULL, &options, &w.err);
        int started = w.client ? start_all(&w, waiters) : 0;
        if (w.client)
            fake_run(w.cluster, 3000);
        kc_client_free(w.client);
        int done = 0;
        for (int i = 0; i < 6; i++) {
            done += waiters[i].is_done;
            kc_admin_free(waiters[i].result);
        }
        ck_assert_int_eq(done, started);
        fake_free(w.cluster);
        ck_assert_uint_eq(self.held, 0);
        if (self.left >= 0)
            break;
        ck_assert_int_lt(fail_at, 5000);
    }
}
END_TEST
