/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Admin operations on topics, configurations and offsets in the log, against a scripted cluster. */
#include "protocol/codec.h"
#include "protocol/generated/messages.h"
#include "tests/unit/client/admin_world.h"

#include <stdio.h>

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
