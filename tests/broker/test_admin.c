/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Admin operations and calls of any API against a real Kafka. */
#include "protocol/batch.h"
#include "protocol/codec.h"
#include "protocol/generated/messages.h"
#include "tests/broker/broker.h"

#include <kafkac/admin.h>
#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

#include <check.h>
#include <stdio.h>

#define WAIT_US INT64_C(30000000)

static kc_error error;
static kc_admin_waiter waiter;

#define WAIT kc_admin_waiter_fn, &waiter, &error

static kc_client *open_client(const char *servers)
{
    kc_client *client = NULL;
    waiter = (kc_admin_waiter){NULL, false};
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "bootstrap.servers", servers, &error), KC_OK);
    kc_err made = kc_client_new(config, NULL, &client, &error);
    kc_config_free(config);
    ck_assert_msg(made == KC_OK, "%s", error.text);
    return client;
}

static kc_admin_result *finish(kc_client *client, kc_err started)
{
    ck_assert_msg(started == KC_OK, "%s", error.text);
    kc_err end = kc_admin_wait(client, &waiter, &error);
    ck_assert_msg(end == KC_OK, "%s", error.text);
    kc_admin_result *result = waiter.result;
    waiter = (kc_admin_waiter){NULL, false};
    return result;
}

static void expect_item(const kc_admin_result *result, size_t index, kc_err err)
{
    const kc_admin_item *item = kc_admin_item_at(result, index);
    ck_assert_ptr_nonnull(item);
    ck_assert_msg(item->err == err, "%s: " KC_FMT, kc_err_name(item->err), KC_ARG(item->message));
}

/** A topic of its own. */
static void make_topic(kc_client *client, char *name, size_t size, int32_t partitions)
{
    broker_unique_name(name, size, "admin");
    kc_config_entry config = {.name = KC_STR("retention.ms"), .value = KC_STR("3600000")};
    kc_new_topic topic = {kc_str(name), partitions, -1, &config, 1};
    kc_admin_result *result = finish(client, kc_admin_create_topics(client, &topic, 1, NULL, WAIT));
    expect_item(result, 0, KC_OK);
    kc_admin_free(result);
}

static void delete_topic(kc_client *client, const char *name)
{
    kc_bytes topic = kc_str(name);
    kc_admin_result *result = finish(client, kc_admin_delete_topics(client, &topic, 1, NULL, WAIT));
    expect_item(result, 0, KC_OK);
    kc_admin_free(result);
}

START_TEST(a_topic_is_made_described_grown_and_deleted)
{
    kc_client *client = open_client(broker_list());
    char name[64];
    make_topic(client, name, sizeof name, 3);
    kc_bytes topic = kc_str(name);
    kc_new_topic again = {topic, 1, -1, NULL, 0};
    kc_admin_result *result = finish(client, kc_admin_create_topics(client, &again, 1, NULL, WAIT));
    expect_item(result, 0, KC_E_TOPIC_ALREADY_EXISTS);
    kc_admin_free(result);

    int32_t total = 5;
    result = finish(client, kc_admin_create_partitions(client, &topic, &total, 1, NULL, WAIT));
    expect_item(result, 0, KC_OK);
    kc_admin_free(result);
    size_t partitions = 0;
    int64_t until_us = kc_clock_monotonic_us() + WAIT_US;
    while (partitions != 5 && kc_clock_monotonic_us() < until_us) {
        result = finish(client, kc_admin_describe_topics(client, &topic, 1, NULL, WAIT));
        const kc_cluster_info *cluster = kc_admin_cluster(result);
        ck_assert_uint_eq(cluster->topic_count, 1);
        ck_assert_int_eq((int)cluster->broker_count, broker_count());
        ck_assert_uint_gt(cluster->cluster_id.len, 0);
        /* The broker that is asked may know neither the topic nor its new partitions yet. */
        ck_assert(cluster->topics[0].err != KC_OK || !kc_uuid_is_zero(cluster->topics[0].id));
        partitions = cluster->topics[0].partition_count;
        kc_admin_free(result);
    }
    ck_assert_uint_eq(partitions, 5);
    delete_topic(client, name);
    result = finish(client, kc_admin_delete_topics(client, &topic, 1, NULL, WAIT));
    expect_item(result, 0, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    kc_admin_free(result);
    kc_client_free(client);
}
END_TEST

/** The entry of that name in the first item. */
static const kc_config_entry *entry_of(const kc_admin_result *result, const char *name)
{
    size_t count;
    const kc_config_entry *entries = kc_admin_configs(result, 0, &count);
    for (size_t i = 0; i < count; i++)
        if (kc_bytes_equal(entries[i].name, kc_str(name)))
            return &entries[i];
    ck_abort_msg("no %s among %zu entries", name, count);
}

START_TEST(configs_of_topics_and_brokers_are_read_and_set)
{
    kc_client *client = open_client(broker_list());
    char name[64];
    make_topic(client, name, sizeof name, 1);
    kc_bytes topic = kc_str(name);
    kc_config_entry change[] = {
        {.name = KC_STR("retention.ms"), .value = KC_NULL},
        {.name = KC_STR("cleanup.policy"), .value = KC_STR("compact")},
    };
    kc_admin_result *result = finish(
        client, kc_admin_alter_configs(client, KC_RESOURCE_TOPIC, topic, change, 2, NULL, WAIT));
    expect_item(result, 0, KC_OK);
    kc_admin_free(result);
    bool is_set = false;
    int64_t until_us = kc_clock_monotonic_us() + WAIT_US;
    while (!is_set && kc_clock_monotonic_us() < until_us) {
        result = finish(
            client, kc_admin_describe_configs(client, KC_RESOURCE_TOPIC, &topic, 1, NULL, WAIT));
        /* The broker that is asked may know neither the topic nor the change yet. */
        if (kc_admin_item_at(result, 0)->err == KC_OK) {
            const kc_config_entry *policy = entry_of(result, "cleanup.policy");
            is_set = kc_bytes_equal(policy->value, KC_STR("compact")) && !policy->is_default &&
                     entry_of(result, "retention.ms")->is_default;
        }
        kc_admin_free(result);
    }
    ck_assert(is_set);
    change[1].value = KC_STR("nonsense");
    result = finish(client, kc_admin_alter_configs(client, KC_RESOURCE_TOPIC, topic, &change[1], 1,
                                                   NULL, WAIT));
    expect_item(result, 0, broker_is("2") ? KC_E_INVALID_REQUEST : KC_E_INVALID_CONFIG);
    ck_assert_uint_gt(kc_admin_item_at(result, 0)->message.len, 0);
    kc_admin_free(result);

    char id[16];
    result = finish(client, kc_admin_describe_topics(client, &topic, 0, NULL, WAIT));
    snprintf(id, sizeof id, "%d", kc_admin_cluster(result)->brokers[0].id);
    kc_admin_free(result);
    kc_bytes broker = kc_str(id);
    result = finish(client,
                    kc_admin_describe_configs(client, KC_RESOURCE_BROKER, &broker, 1, NULL, WAIT));
    expect_item(result, 0, KC_OK);
    ck_assert_uint_gt(entry_of(result, "log.dirs")->value.len + 1, 0);
    kc_admin_free(result);
    delete_topic(client, name);
    kc_client_free(client);
}
END_TEST

typedef struct answer {
    bool is_done;
    kc_err err;
    int16_t code;
    char text[4096];
} answer;

static void on_produced(const kc_response *response, void *user)
{
    answer *self = user;
    self->is_done = true;
    self->err = response->err;
    if (response->err == KC_OK)
        self->code = ((const kp_produce_resp *)response->message)
                         ->responses.items[0]
                         .partition_responses.items[0]
                         .error_code;
    else
        snprintf(self->text, sizeof self->text, "%s", response->error->text);
}

static void dispatch_until(kc_client *client, const bool *done)
{
    while (!*done) {
        kc_err turned = kc_client_dispatch(client, 1000);
        ck_assert(turned == KC_OK || turned == KC_ERR_AGAIN);
    }
}

/** One batch of `count` records by a plain call, a millisecond apart. */
static void produce(kc_client *client, const char *name, int32_t partition, int count,
                    int64_t first_ms)
{
    uint8_t bytes[4096];
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, bytes, sizeof bytes);
    for (int i = 0; i < count; i++)
        ck_assert(kp_batch_append(&writer, first_ms + i, KC_NULL, KC_STR("value"), NULL, 0));
    size_t len = kp_batch_finish(&writer);
    kp_batch_seal(bytes, len, &(kp_batch_producer){-1, -1, -1, false});
    kp_produce_req_partition_data data = {.index = partition, .records = kc_span(bytes, len)};
    kp_produce_req_topic_data topic = {.name = kc_str(name), .partition_data = {&data, 1}};
    kp_produce_req request = {.acks = -1, .timeout_ms = 10000, .topic_data = {&topic, 1}};
    answer result;
    do { /* a new topic's leader may not know yet that it is the one */
        result = (answer){.is_done = false};
        ck_assert_int_eq(
            kc_call(client, KP_API_PRODUCE, &request, NULL, on_produced, &result, &error), KC_OK);
        dispatch_until(client, &result.is_done);
        ck_assert_msg(result.err == KC_OK, "%s", result.text);
    } while (kc_err_flags(result.code) & KC_ERRF_RETRIABLE);
    ck_assert_int_eq(result.code, 0);
}

START_TEST(offsets_in_the_log_are_found_and_records_deleted)
{
    kc_client *client = open_client(broker_list());
    char name[64];
    size_t count;
    make_topic(client, name, sizeof name, 3);
    int64_t now_ms = kc_clock_wall_ms(); /* a broker deletes what is older than retention.ms */
    for (int32_t p = 0; p < 3; p++)
        produce(client, name, p, 10 + p, now_ms);
    kc_topic_offset queries[6];
    for (int32_t i = 0; i < 6; i++)
        queries[i] = (kc_topic_offset){.topic = kc_str(name),
                                       .partition = i % 3,
                                       .offset = i < 3 ? KC_OFFSET_END : now_ms + 4};
    queries[3].offset = KC_OFFSET_BEGINNING;
    kc_admin_result *result =
        finish(client, kc_admin_list_offsets(client, queries, 6, false, NULL, WAIT));
    const kc_topic_offset *offsets = kc_admin_offsets(result, &count);
    ck_assert_uint_eq(count, 6);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(offsets[i].err, KC_OK);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(offsets[i].offset, 10 + i);
    ck_assert_int_eq(offsets[3].offset, 0);
    ck_assert_int_eq(offsets[4].offset, 4);
    kc_admin_free(result);

    kc_topic_offset before[] = {
        {.topic = kc_str(name), .partition = 0, .offset = 7},
        {.topic = kc_str(name), .partition = 1, .offset = KC_OFFSET_END},
        {.topic = kc_str(name), .partition = 2, .offset = 1000},
    };
    result = finish(client, kc_admin_delete_records(client, before, 3, NULL, WAIT));
    offsets = kc_admin_offsets(result, &count);
    ck_assert_int_eq(offsets[0].offset, 7);
    ck_assert_int_eq(offsets[1].offset, 11);
    ck_assert_int_eq(offsets[2].err, KC_E_OFFSET_OUT_OF_RANGE);
    kc_admin_free(result);
    delete_topic(client, name);
    kc_client_free(client);
}
END_TEST

static bool is_listed(kc_client *client, const char *group)
{
    size_t count;
    bool is_found = false;
    kc_admin_result *result = finish(client, kc_admin_list_groups(client, NULL, WAIT));
    const kc_group_listing *groups = kc_admin_groups(result, &count);
    for (size_t i = 0; i < count; i++)
        is_found = is_found || kc_bytes_equal(groups[i].group_id, kc_str(group));
    kc_admin_free(result);
    return is_found;
}

START_TEST(a_group_is_made_by_a_commit_described_and_deleted)
{
    kc_client *client = open_client(broker_list());
    char name[64], group[64];
    size_t count;
    make_topic(client, name, sizeof name, 2);
    broker_unique_name(group, sizeof group, "admin-group");
    ck_assert(!is_listed(client, group));
    kc_topic_offset commit[] = {
        {.topic = kc_str(name), .partition = 0, .offset = 5, .leader_epoch = -1},
        {.topic = kc_str(name),
         .partition = 1,
         .offset = 6,
         .leader_epoch = 0,
         .metadata = KC_STR("note")},
    };
    kc_admin_result *result =
        finish(client, kc_admin_alter_group_offsets(client, kc_str(group), commit, 2, NULL, WAIT));
    const kc_topic_offset *offsets = kc_admin_offsets(result, &count);
    ck_assert_int_eq(offsets[0].err, KC_OK);
    ck_assert_int_eq(offsets[1].err, KC_OK);
    kc_admin_free(result);
    ck_assert(is_listed(client, group));

    kc_bytes ids[] = {kc_str(group), KC_STR("no-such-group")};
    result = finish(client, kc_admin_describe_groups(client, ids, 2, NULL, WAIT));
    const kc_group_description *groups = kc_admin_group_descriptions(result, &count);
    ck_assert_int_eq(groups[0].err, KC_OK);
    ck_assert_msg(kc_bytes_equal(groups[0].state, KC_STR("Empty")), KC_FMT,
                  KC_ARG(groups[0].state));
    ck_assert(groups[1].err == KC_E_GROUP_ID_NOT_FOUND ||
              kc_bytes_equal(groups[1].state, KC_STR("Dead")));
    kc_admin_free(result);

    result =
        finish(client, kc_admin_list_group_offsets(client, kc_str(group), NULL, 0, NULL, WAIT));
    (void)kc_admin_offsets(result, &count);
    ck_assert_uint_eq(count, 2);
    kc_admin_free(result);
    kc_topic_partition asked[] = {{kc_str(name), 1}, {KC_STR("no-such-topic"), 0}};
    result =
        finish(client, kc_admin_list_group_offsets(client, kc_str(group), asked, 2, NULL, WAIT));
    offsets = kc_admin_offsets(result, &count);
    ck_assert_int_eq(offsets[0].offset, 6);
    ck_assert(kc_bytes_equal(offsets[0].metadata, KC_STR("note")));
    ck_assert_int_eq(offsets[1].offset, -1);
    ck_assert_int_eq(offsets[1].err, KC_OK);
    kc_admin_free(result);

    result = finish(client, kc_admin_delete_groups(client, ids, 2, NULL, WAIT));
    expect_item(result, 0, KC_OK);
    expect_item(result, 1, KC_E_GROUP_ID_NOT_FOUND);
    kc_admin_free(result);
    ck_assert(!is_listed(client, group));
    delete_topic(client, name);
    kc_client_free(client);
}
END_TEST

static void on_json(kc_err err, const kc_error *told, int16_t version, kc_bytes json, void *user)
{
    answer *self = user;
    (void)version;
    self->is_done = true;
    self->err = err;
    if (told)
        snprintf(self->text, sizeof self->text, "%s", told->text);
    else
        snprintf(self->text, sizeof self->text, KC_FMT, KC_ARG(json));
}

static void call_json(kc_client *client, const char *api, const char *json, answer *out)
{
    *out = (answer){.is_done = false};
    ck_assert_msg(kc_call_json(client, kc_str(api), kc_str(json), NULL, on_json, out, &error) ==
                      KC_OK,
                  "%s", error.text);
    dispatch_until(client, &out->is_done);
    ck_assert_msg(out->err == KC_OK, "%s", out->text);
}

START_TEST(apis_without_a_function_of_their_own_are_called_by_json)
{
    kc_client *client = open_client(broker_list());
    answer out;
    call_json(client, "DescribeCluster", "{\"includeClusterAuthorizedOperations\":false}", &out);
    ck_assert_msg(strstr(out.text, "\"clusterId\":\"") != NULL, "%s", out.text);
    call_json(client, "ApiVersions",
              "{\"clientSoftwareName\":\"kafkac\",\"clientSoftwareVersion\":\"1\"}", &out);
    ck_assert_msg(strstr(out.text, "\"errorCode\":0") != NULL, "%s", out.text);
    if (!broker_is("2")) {
        call_json(client, "DescribeQuorum",
                  "{\"topics\":[{\"topicName\":\"__cluster_metadata\","
                  "\"partitions\":[{\"partitionIndex\":0}]}]}",
                  &out);
        ck_assert_msg(strstr(out.text, "leaderId") != NULL, "%s", out.text);
    }
    call_json(client, "InitProducerId",
              "{\"transactionalId\":null,\"transactionTimeoutMs\":1000,\"producerId\":-1,"
              "\"producerEpoch\":-1}",
              &out);
    ck_assert_msg(strstr(out.text, "\"errorCode\":0") != NULL, "%s", out.text);
    kc_client_free(client);
}
END_TEST

START_TEST(a_client_freed_with_operations_under_way_ends_them)
{
    kc_client *client = open_client(broker_list());
    for (int i = 0; i < 3; i++) {
        waiter = (kc_admin_waiter){NULL, false};
        ck_assert_int_eq(kc_admin_list_groups(client, NULL, WAIT), KC_OK);
        (void)kc_client_dispatch(client, 1);
        kc_client_free(client);
        ck_assert(waiter.is_done);
        kc_admin_free(waiter.result);
        client = open_client(broker_list());
    }
    waiter = (kc_admin_waiter){NULL, false};
    kc_client_free(client);
}
END_TEST
