/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Calls of any API: routes, versions, retries, deadlines, JSON. */
#include "client/call.h"
#include "client/metadata.h"
#include "protocol/codec.h"
#include "protocol/random_fill.h"
#include "tests/unit/client/fake_broker.h"

#include <check.h>
#include <stdio.h>

typedef struct world {
    fake_cluster *cluster;
    kc_client *client;
    kc_error err; /**< of the start */

    int told;
    kc_err code;
    kc_error error;
    int16_t version;
    int32_t broker_id;
    int16_t root_error;
    char text[4096];
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

static void on_response(const kc_response *response, void *user)
{
    world *w = user;
    w->told++;
    w->code = response->err;
    w->version = response->version;
    w->broker_id = response->broker_id;
    if (response->err != KC_OK) {
        ck_assert_ptr_nonnull(response->error);
        ck_assert_ptr_null(response->message);
        w->error = *response->error;
    } else if (response->message && response->api_key == KP_API_HEARTBEAT) {
        w->root_error = ((const kp_heartbeat_resp *)response->message)->error_code;
    }
}

static kc_err call(world *w, int16_t key, const void *request, const kc_call_options *options)
{
    w->told = 0;
    return kc_call(w->client, key, request, options, on_response, w, &w->err);
}

/** Start, let it happen, and expect the answer. */
static void call_and_wait(world *w, int16_t key, const void *request,
                          const kc_call_options *options, int64_t ms)
{
    kc_err started = call(w, key, request, options);
    ck_assert_msg(started == KC_OK, "%s", w->err.text);
    ck_assert_int_eq(w->told, 0);
    fake_run(w->cluster, ms);
    ck_assert_int_eq(w->told, 1);
}

/** Answers with what the response has by default; counts. */
static fake_action answer_plain(fake_request *request, void *response, void *user)
{
    (void)request;
    (void)response;
    if (user)
        ++*(int *)user;
    return FAKE_ANSWER;
}

static void heartbeat_of(kp_heartbeat_req *request)
{
    kp_defaults(kp_api_by_key(KP_API_HEARTBEAT)->request, request);
    request->group_id = KC_STR("g");
    request->member_id = KC_STR("m");
}

START_TEST(any_broker_answers_what_any_can)
{
    world w;
    set_up(&w);
    kp_metadata_req request = {.topics = {NULL, 0}};
    call_and_wait(&w, KP_API_METADATA, &request, NULL, 50);
    ck_assert_int_eq(w.code, KC_OK);
    ck_assert_int_eq(w.version, 13);
    tear_down(&w);
}
END_TEST

START_TEST(a_version_can_be_asked_for)
{
    world w;
    set_up(&w);
    kp_metadata_req request = {.topics = {NULL, 0}, .allow_auto_topic_creation = true};
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.version = 1;
    call_and_wait(&w, KP_API_METADATA, &request, &options, 50);
    ck_assert_int_eq(w.version, 1);
    options.version = 99;
    ck_assert_int_eq(call(&w, KP_API_METADATA, &request, &options), KC_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(w.err.text, "0 to 13"));
    tear_down(&w);
}
END_TEST

START_TEST(what_can_not_be_encoded_is_refused_at_once)
{
    world w;
    set_up(&w);
    kp_metadata_req_topic topic = {.name = KC_STR("t")};
    kp_metadata_req request = {.topics = {&topic, 1}, .allow_auto_topic_creation = false};
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.version = 2; /* has no such flag: it would make topics */
    ck_assert_int_eq(call(&w, KP_API_METADATA, &request, &options), KC_ERR_ARGUMENT);
    ck_assert_msg(strstr(w.err.text, "allowAutoTopicCreation") != NULL, "%s", w.err.text);
    ck_assert_int_eq(call(&w, 4, &request, NULL), KC_ERR_ARGUMENT);
    ck_assert_int_eq(call(&w, 500, &request, NULL), KC_ERR_ARGUMENT);
    ck_assert_int_eq(call(&w, -1, &request, NULL), KC_ERR_ARGUMENT);
    ck_assert_int_eq(call(&w, KP_API_METADATA, NULL, NULL), KC_ERR_ARGUMENT);
    kc_call_options unset = {.to = KC_TO_ANY};
    ck_assert_int_eq(call(&w, KP_API_METADATA, &request, &unset), KC_ERR_ARGUMENT);
    kp_list_groups_req groups = {.states_filter = {NULL, 0}};
    ck_assert_int_eq(call(&w, KP_API_LIST_GROUPS, &groups, NULL), KC_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(w.err.text, "broker"));
    tear_down(&w);
}
END_TEST

START_TEST(the_request_may_change_after_the_call)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "name", 1);
    char name[] = "name";
    kp_metadata_req_topic topic = {.name = kc_str(name)};
    kp_metadata_req request = {.topics = {&topic, 1}};
    ck_assert_int_eq(call(&w, KP_API_METADATA, &request, NULL), KC_OK);
    memset(name, '?', 4);
    memset(&topic, 0xee, sizeof topic);
    memset(&request, 0xee, sizeof request);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(w.code, KC_OK);
    tear_down(&w);
}
END_TEST

START_TEST(the_controller_is_found)
{
    world w;
    int count = 0;
    set_up(&w);
    w.cluster->controller = 3;
    fake_on(w.cluster, KP_API_CREATE_TOPICS, answer_plain, &count);
    kp_create_topics_req request = {.timeout_ms = 100};
    call_and_wait(&w, KP_API_CREATE_TOPICS, &request, NULL, 100);
    ck_assert_int_eq(w.code, KC_OK);
    ck_assert_int_eq(w.broker_id, 3);
    tear_down(&w);
}
END_TEST

START_TEST(the_coordinator_is_found_by_the_group_in_the_request)
{
    world w;
    set_up(&w);
    w.cluster->coordinator = 2;
    fake_on(w.cluster, KP_API_HEARTBEAT, answer_plain, NULL);
    kp_heartbeat_req request;
    heartbeat_of(&request);
    call_and_wait(&w, KP_API_HEARTBEAT, &request, NULL, 100);
    ck_assert_int_eq(w.broker_id, 2);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_FIND_COORDINATOR), 1);
    call_and_wait(&w, KP_API_HEARTBEAT, &request, NULL, 100);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_FIND_COORDINATOR), 1);
    tear_down(&w);
}
END_TEST

/** Remembers which key was looked up, and of what type. */
typedef struct asked_key {
    char key[64];
    int8_t type;
} asked_key;

static fake_action remember_key(fake_request *request, void *response, void *user)
{
    asked_key *self = user;
    const kp_find_coordinator_req *asked = request->message;
    snprintf(self->key, sizeof self->key, KC_FMT, KC_ARG(asked->coordinator_keys.items[0]));
    self->type = asked->key_type;
    fake_model(request, response);
    return FAKE_ANSWER;
}

static void expect_key(world *w, asked_key *asked, int16_t api, const void *request,
                       const char *key, int8_t type)
{
    fake_on(w->cluster, api, answer_plain, NULL);
    memset(asked, 0, sizeof *asked);
    call_and_wait(w, api, request, NULL, 200);
    ck_assert_int_eq(w->code, KC_OK);
    ck_assert_str_eq(asked->key, key);
    ck_assert_int_eq(asked->type, type);
}

START_TEST(keys_of_coordinators_are_found_wherever_they_stand)
{
    world w;
    asked_key asked;
    set_up(&w);
    fake_on(w.cluster, KP_API_FIND_COORDINATOR, remember_key, &asked);
    kc_bytes ids[] = {KC_STR("g1"), KC_STR("g2")};
    kp_describe_groups_req describe = {.groups = {ids, 2}};
    expect_key(&w, &asked, KP_API_DESCRIBE_GROUPS, &describe, "g1", 0);
    ids[0] = KC_STR("g3");
    kp_delete_groups_req delete = {.groups_names = {ids, 1}};
    expect_key(&w, &asked, KP_API_DELETE_GROUPS, &delete, "g3", 0);
    kp_offset_fetch_req_group group = {.group_id = KC_STR("g4"), .topics = {NULL, -1}};
    kp_offset_fetch_req fetch;
    kp_defaults(kp_api_by_key(KP_API_OFFSET_FETCH)->request, &fetch);
    fetch.groups.items = &group;
    fetch.groups.count = 1;
    expect_key(&w, &asked, KP_API_OFFSET_FETCH, &fetch, "g4", 0);
    kp_end_txn_req end = {.transactional_id = KC_STR("t1")};
    expect_key(&w, &asked, KP_API_END_TXN, &end, "t1", 1);
    kp_txn_offset_commit_req commit;
    kp_defaults(kp_api_by_key(KP_API_TXN_OFFSET_COMMIT)->request, &commit);
    commit.transactional_id = KC_STR("t2");
    commit.group_id = KC_STR("g5"); /* goes to the group's coordinator */
    expect_key(&w, &asked, KP_API_TXN_OFFSET_COMMIT, &commit, "g5", 0);
    tear_down(&w);
}
END_TEST

START_TEST(a_producer_id_without_transaction_comes_from_any_broker)
{
    world w;
    set_up(&w);
    fake_on(w.cluster, KP_API_INIT_PRODUCER_ID, answer_plain, NULL);
    kp_init_producer_id_req request;
    kp_defaults(kp_api_by_key(KP_API_INIT_PRODUCER_ID)->request, &request);
    request.transactional_id = KC_NULL;
    call_and_wait(&w, KP_API_INIT_PRODUCER_ID, &request, NULL, 100);
    ck_assert_int_eq(w.code, KC_OK);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_FIND_COORDINATOR), 0);
    tear_down(&w);
}
END_TEST

/** ListOffsets of two partitions of "t". */
static void list_offsets(kp_list_offsets_req *request, kp_list_offsets_req_topic *topic,
                         kp_list_offsets_req_partition partitions[2], int32_t a, int32_t b)
{
    memset(partitions, 0, 2 * sizeof *partitions);
    partitions[0].partition_index = a;
    partitions[1].partition_index = b;
    *topic = (kp_list_offsets_req_topic){.name = KC_STR("t"), .partitions = {partitions, 2}};
    *request = (kp_list_offsets_req){.replica_id = -1, .topics = {topic, 1}};
}

START_TEST(the_leader_is_found_by_the_partitions_in_the_request)
{
    world w;
    kp_list_offsets_req request;
    kp_list_offsets_req_topic topic;
    kp_list_offsets_req_partition partitions[2];
    set_up(&w);
    fake_topic_add(w.cluster, "t", 6);
    fake_on(w.cluster, KP_API_LIST_OFFSETS, answer_plain, NULL);
    list_offsets(&request, &topic, partitions, 1, 4);
    call_and_wait(&w, KP_API_LIST_OFFSETS, &request, NULL, 100);
    ck_assert_int_eq(w.code, KC_OK);
    ck_assert_int_eq(w.broker_id, 2);
    list_offsets(&request, &topic, partitions, 1, 2);
    call_and_wait(&w, KP_API_LIST_OFFSETS, &request, NULL, 100);
    ck_assert_int_eq(w.code, KC_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(w.error.text, "more than one leader"));
    list_offsets(&request, &topic, partitions, 0, 17);
    call_and_wait(&w, KP_API_LIST_OFFSETS, &request, NULL, 100);
    ck_assert_int_eq(w.code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    /* The call used the topic only as long as it ran. */
    ck_assert_ptr_null(kc_metadata_find(w.client->metadata, KC_STR("t")));
    tear_down(&w);
}
END_TEST

START_TEST(a_topic_that_is_not_there_is_waited_for_some_seconds)
{
    world w;
    kp_list_offsets_req request;
    kp_list_offsets_req_topic topic;
    kp_list_offsets_req_partition partitions[2];
    set_up(&w);
    list_offsets(&request, &topic, partitions, 0, 0);
    ck_assert_int_eq(call(&w, KP_API_LIST_OFFSETS, &request, NULL), KC_OK);
    fake_run(w.cluster, 4000);
    ck_assert_int_eq(w.told, 0);
    fake_run(w.cluster, 4000);
    ck_assert_int_eq(w.told, 1);
    ck_assert_int_eq(w.code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_ptr_nonnull(strstr(w.error.text, "topic t"));
    tear_down(&w);
}
END_TEST

START_TEST(a_broker_can_be_named)
{
    world w;
    set_up(&w);
    fake_on(w.cluster, KP_API_LIST_GROUPS, answer_plain, NULL);
    kp_list_groups_req request = {.states_filter = {NULL, 0}};
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.to = 3;
    call_and_wait(&w, KP_API_LIST_GROUPS, &request, &options, 100);
    ck_assert_int_eq(w.broker_id, 3);
    options.to = 77;
    call_and_wait(&w, KP_API_LIST_GROUPS, &request, &options, 1000);
    ck_assert_int_eq(w.code, KC_ERR_NO_BROKER);
    ck_assert_ptr_nonnull(strstr(w.error.text, "77"));
    tear_down(&w);
}
END_TEST

/** An error in the root some times, then none. */
typedef struct script {
    int16_t error;
    int times;
} script;

static fake_action answer_heartbeat(fake_request *request, void *response, void *user)
{
    script *self = user;
    (void)request;
    if (self->times-- > 0)
        ((kp_heartbeat_resp *)response)->error_code = self->error;
    return FAKE_ANSWER;
}

START_TEST(a_coordinator_that_moved_is_looked_up_again)
{
    world w;
    script s = {KC_E_NOT_COORDINATOR, 2};
    kp_heartbeat_req request;
    set_up(&w);
    fake_on(w.cluster, KP_API_HEARTBEAT, answer_heartbeat, &s);
    heartbeat_of(&request);
    call_and_wait(&w, KP_API_HEARTBEAT, &request, NULL, 2000);
    ck_assert_int_eq(w.code, KC_OK);
    ck_assert_int_eq(w.root_error, 0);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_HEARTBEAT), 3);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_FIND_COORDINATOR), 3);
    tear_down(&w);
}
END_TEST

START_TEST(an_error_that_stays_is_delivered_as_the_answer_it_is)
{
    world w;
    script s = {KC_E_COORDINATOR_LOAD_IN_PROGRESS, 1000};
    kp_heartbeat_req request;
    set_up(&w);
    fake_on(w.cluster, KP_API_HEARTBEAT, answer_heartbeat, &s);
    heartbeat_of(&request);
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.timeout_ms = 3000;
    call_and_wait(&w, KP_API_HEARTBEAT, &request, &options, 3001);
    ck_assert_int_eq(w.code, KC_OK);
    ck_assert_int_eq(w.root_error, KC_E_COORDINATOR_LOAD_IN_PROGRESS);
    s = (script){KC_E_UNKNOWN_MEMBER_ID, 1000}; /* nothing a retry would mend */
    uint32_t before = fake_count(w.cluster, 0, KP_API_HEARTBEAT);
    call_and_wait(&w, KP_API_HEARTBEAT, &request, NULL, 100);
    ck_assert_int_eq(w.root_error, KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_HEARTBEAT), before + 1);
    tear_down(&w);
}
END_TEST

static fake_action close_once(fake_request *request, void *response, void *user)
{
    (void)request;
    (void)response;
    return ++*(int *)user == 1 ? FAKE_CLOSE : FAKE_ANSWER;
}

START_TEST(a_lost_connection_is_tried_again_unless_it_must_not)
{
    world w;
    int count = 0;
    kp_heartbeat_req request;
    set_up(&w);
    fake_on(w.cluster, KP_API_HEARTBEAT, close_once, &count);
    heartbeat_of(&request);
    call_and_wait(&w, KP_API_HEARTBEAT, &request, NULL, 2000);
    ck_assert_int_eq(w.code, KC_OK);
    ck_assert_int_eq(count, 2);
    count = 0;
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.no_retry = true;
    call_and_wait(&w, KP_API_HEARTBEAT, &request, &options, 2000);
    ck_assert_int_eq(w.code, KC_ERR_DISCONNECTED);
    ck_assert_int_eq(w.error.api_key, KP_API_HEARTBEAT);
    tear_down(&w);
}
END_TEST

static fake_action keep_silent(fake_request *request, void *response, void *user)
{
    (void)request;
    (void)response;
    (void)user;
    return FAKE_SILENT;
}

START_TEST(the_deadline_holds_and_names_the_cause)
{
    world w;
    kp_heartbeat_req request;
    set_up(&w);
    fake_down(w.cluster, 1);
    fake_down(w.cluster, 2);
    kp_metadata_req metadata = {.topics = {NULL, 0}};
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.timeout_ms = 5000;
    ck_assert_int_eq(call(&w, KP_API_METADATA, &metadata, &options), KC_OK);
    fake_run(w.cluster, 4990);
    ck_assert_int_eq(w.told, 0);
    fake_run(w.cluster, 20);
    ck_assert_int_eq(w.told, 1);
    ck_assert_int_eq(w.code, KC_ERR_TIMEOUT);
    ck_assert_msg(strstr(w.error.text, "refused") != NULL, "%s", w.error.text);
    ck_assert_int_eq(strncmp(w.error.text, "Metadata was not answered in time: connect to ", 46),
                     0);
    fake_up(w.cluster, 1);
    fake_on(w.cluster, KP_API_HEARTBEAT, keep_silent, NULL);
    heartbeat_of(&request);
    call_and_wait(&w, KP_API_HEARTBEAT, &request, &options, 5010);
    ck_assert_int_eq(w.code, KC_ERR_TIMEOUT);
    tear_down(&w);
}
END_TEST

START_TEST(waiting_for_the_controller_ends_at_the_deadline_too)
{
    world w;
    set_up(&w);
    w.cluster->controller = -1;
    kp_create_topics_req request = {.timeout_ms = 100};
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.timeout_ms = 2000;
    call_and_wait(&w, KP_API_CREATE_TOPICS, &request, &options, 2001);
    ck_assert_int_eq(w.code, KC_ERR_TIMEOUT);
    uint32_t asked = fake_count(w.cluster, 0, KP_API_METADATA);
    ck_assert_uint_le(asked, 30);
    fake_run(w.cluster, 10000); /* nobody waits any more */
    ck_assert_uint_le(fake_count(w.cluster, 0, KP_API_METADATA), asked + 1);
    tear_down(&w);
}
END_TEST

START_TEST(topics_named_by_name_stay_below_versions_by_id)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1);
    fake_on(w.cluster, KP_API_PRODUCE, answer_plain, NULL);
    kp_produce_req_partition_data partition = {.index = 0};
    kp_produce_req_topic_data topic = {.name = KC_STR("t"), .partition_data = {&partition, 1}};
    kp_produce_req request = {.acks = 1, .timeout_ms = 1000, .topic_data = {&topic, 1}};
    call_and_wait(&w, KP_API_PRODUCE, &request, NULL, 100);
    ck_assert_int_eq(w.code, KC_OK);
    ck_assert_int_eq(w.version, 12);
    tear_down(&w);
}
END_TEST

START_TEST(acks_0_has_no_answer_to_wait_for)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1);
    fake_on(w.cluster, KP_API_PRODUCE, keep_silent, NULL);
    kp_produce_req_partition_data partition = {.index = 0};
    kp_produce_req_topic_data topic = {.name = KC_STR("t"), .partition_data = {&partition, 1}};
    kp_produce_req request = {.acks = 0, .timeout_ms = 1000, .topic_data = {&topic, 1}};
    call_and_wait(&w, KP_API_PRODUCE, &request, NULL, 100);
    ck_assert_int_eq(w.code, KC_OK);
    tear_down(&w);
}
END_TEST

static fake_action answer_late(fake_request *request, void *response, void *user)
{
    (void)response;
    request->delay_us = *(int64_t *)user;
    return FAKE_ANSWER;
}

START_TEST(what_the_broker_may_wait_adds_to_the_timeout)
{
    world w;
    int64_t delay_us = 50 * 1000000;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1);
    fake_on(w.cluster, KP_API_FETCH, answer_late, &delay_us);
    kp_fetch_req_partition partition;
    kp_struct_defaults(
        kc_field_of(kc_field_of(kp_api_by_key(KP_API_FETCH)->request->root, "topics")->sub,
                    "partitions")
            ->sub,
        &partition);
    kp_fetch_req_topic topic = {.topic = KC_STR("t"), .partitions = {&partition, 1}};
    kp_fetch_req request;
    kp_defaults(kp_api_by_key(KP_API_FETCH)->request, &request);
    request.max_wait_ms = 25000;
    request.topics.items = &topic;
    request.topics.count = 1;
    call_and_wait(&w, KP_API_FETCH, &request, NULL, 59000);
    ck_assert_int_eq(w.code, KC_OK);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_FETCH), 1);
    tear_down(&w);
}
END_TEST

/** Encodes the answer in another version than was asked for. */
static fake_action answer_garbage(fake_request *request, void *response, void *user)
{
    (void)response;
    (void)user;
    request->version = 0;
    return FAKE_ANSWER;
}

static void on_json(kc_err err, const kc_error *error, int16_t version, kc_bytes json, void *user)
{
    world *w = user;
    w->told++;
    w->code = err;
    w->version = version;
    if (error)
        w->error = *error;
    snprintf(w->text, sizeof w->text, KC_FMT, KC_ARG(json));
}

START_TEST(json_goes_in_and_comes_out)
{
    world w;
    set_up(&w);
    fake_topic_add(w.cluster, "t", 1);
    kc_bytes json = KC_STR("{\"topics\": [{\"name\": \"t\"}], \"allowAutoTopicCreation\": false}");
    ck_assert_int_eq(kc_call_json(w.client, KC_STR("metadata"), json, NULL, on_json, &w, &w.err),
                     KC_OK);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(w.told, 1);
    ck_assert_int_eq(w.code, KC_OK);
    ck_assert_msg(strstr(w.text, "\"clusterId\":\"fake\"") != NULL, "%s", w.text);
    ck_assert_ptr_nonnull(strstr(w.text, "\"name\":\"t\""));
    tear_down(&w);
}
END_TEST

START_TEST(json_of_an_old_version_is_read_as_such)
{
    world w;
    set_up(&w);
    w.cluster->coordinator = 2;
    kc_bytes json = KC_STR("{\"key\": \"g\", \"keyType\": 0}");
    ck_assert_int_eq(
        kc_call_json(w.client, KC_STR("FindCoordinator"), json, NULL, on_json, &w, &w.err), KC_OK);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(w.version, 3);
    ck_assert_msg(strstr(w.text, "\"nodeId\":2") != NULL, "%s", w.text);
    tear_down(&w);
}
END_TEST

typedef struct deletion {
    int32_t timeout_ms;
    int16_t version;
} deletion;

static fake_action take_deletion(fake_request *request, void *response, void *user)
{
    deletion *d = user;
    (void)response;
    d->timeout_ms = ((const kp_delete_topics_req *)request->message)->timeout_ms;
    d->version = request->version;
    return FAKE_ANSWER;
}

START_TEST(json_is_sent_in_no_version_that_would_leave_members_out)
{
    world w;
    deletion d = {.version = -1};
    set_up(&w);
    fake_on(w.cluster, KP_API_DELETE_TOPICS, take_deletion, &d);
    kc_bytes json = KC_STR("{\"topicNames\": [\"t\"]}");
    ck_assert_int_eq(
        kc_call_json(w.client, KC_STR("DeleteTopics"), json, NULL, on_json, &w, &w.err), KC_OK);
    fake_run(w.cluster, 50);
    ck_assert_int_eq(w.told, 1);
    ck_assert_int_eq(d.version, 5);
    tear_down(&w);
}
END_TEST

START_TEST(json_without_timeout_gives_the_broker_the_request_timeout)
{
    static const struct {
        const char *json;
        int32_t timeout_ms;
    } cases[] = {{"{}", 30000}, {"{\"timeoutMs\": 0}", 0}, {"{\"timeoutMs\": 5}", 5}};
    for (size_t i = 0; i < 3; i++) {
        world w;
        deletion d = {.version = -1};
        set_up(&w);
        fake_on(w.cluster, KP_API_DELETE_TOPICS, take_deletion, &d);
        ck_assert_int_eq(kc_call_json(w.client, KC_STR("DeleteTopics"), kc_str(cases[i].json), NULL,
                                      on_json, &w, &w.err),
                         KC_OK);
        fake_run(w.cluster, 50);
        ck_assert_int_eq(d.version, 6);
        ck_assert_int_eq(d.timeout_ms, cases[i].timeout_ms);
        tear_down(&w);
    }
}
END_TEST

START_TEST(bad_json_is_refused_with_its_place)
{
    world w;
    set_up(&w);
    kc_bytes json = KC_STR("{\"topics\": 5}");
    ck_assert_int_eq(kc_call_json(w.client, KC_STR("Metadata"), json, NULL, on_json, &w, &w.err),
                     KC_ERR_ARGUMENT);
    ck_assert_msg(strstr(w.err.text, "topics") != NULL, "%s", w.err.text);
    json = KC_STR("{\"nonsense\": 5}");
    ck_assert_int_eq(kc_call_json(w.client, KC_STR("Metadata"), json, NULL, on_json, &w, &w.err),
                     KC_ERR_ARGUMENT);
    ck_assert_str_eq(w.err.text,
                     "Metadata version 13: byte 1, nonsense: member is not in the schema");
    json = KC_STR("{bad");
    ck_assert_int_eq(kc_call_json(w.client, KC_STR("Metadata"), json, NULL, on_json, &w, &w.err),
                     KC_ERR_ARGUMENT);
    ck_assert_str_eq(w.err.text, "Metadata version 13: byte 1: expected a member name");
    ck_assert_int_eq(kc_call_json(w.client, KC_STR("Nothing"), json, NULL, on_json, &w, &w.err),
                     KC_ERR_ARGUMENT);
    ck_assert_int_eq(kc_call_json(w.client, KC_STR("Metadata"), json, NULL, NULL, &w, &w.err),
                     KC_ERR_ARGUMENT);
    tear_down(&w);
}
END_TEST

START_TEST(failures_of_json_calls_come_as_errors)
{
    world w;
    set_up(&w);
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.to = 77;
    ck_assert_int_eq(
        kc_call_json(w.client, KC_STR("ListGroups"), KC_STR("{}"), &options, on_json, &w, &w.err),
        KC_OK);
    fake_run(w.cluster, 1000);
    ck_assert_int_eq(w.told, 1);
    ck_assert_int_eq(w.code, KC_ERR_NO_BROKER);
    tear_down(&w);
}
END_TEST

START_TEST(an_answer_that_can_not_be_read_is_an_error_of_the_call)
{
    world w;
    set_up(&w);
    fake_on(w.cluster, KP_API_LIST_GROUPS, answer_garbage, NULL);
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.to = 1;
    kp_list_groups_req request = {.states_filter = {NULL, 0}};
    call_and_wait(&w, KP_API_LIST_GROUPS, &request, &options, 1000);
    ck_assert(w.code == KC_ERR_TRUNCATED || w.code == KC_ERR_MALFORMED);
    ck_assert_msg(strstr(w.error.text, "ListGroups") != NULL, "%s", w.error.text);
    tear_down(&w);
}
END_TEST

START_TEST(a_client_freed_in_the_middle_of_a_call_completes_it)
{
    for (int steps = 0; steps < 30; steps++) {
        world w;
        kp_heartbeat_req request;
        set_up(&w);
        fake_on(w.cluster, KP_API_HEARTBEAT, answer_plain, NULL);
        heartbeat_of(&request);
        ck_assert_int_eq(call(&w, KP_API_HEARTBEAT, &request, NULL), KC_OK);
        ck_assert_int_eq(kc_call_json(w.client, KC_STR("Metadata"), KC_STR("{\"topics\":[]}"), NULL,
                                      on_json, &w, &w.err),
                         KC_OK);
        for (int i = 0; i < steps; i++)
            (void)kn_loop_advance(w.cluster->loop, INT64_MAX);
        tear_down(&w);
        ck_assert_int_eq(w.told, 2);
    }
}
END_TEST

/** Calls again from inside its callback, some times. */
typedef struct repeater {
    kc_client *client;
    int left;
} repeater;

static void on_repeat(const kc_response *response, void *user)
{
    repeater *self = user;
    ck_assert_int_eq(response->err, KC_OK);
    kp_metadata_req request = {.topics = {NULL, 0}};
    if (--self->left > 0)
        ck_assert_int_eq(
            kc_call(self->client, KP_API_METADATA, &request, NULL, on_repeat, self, NULL), KC_OK);
}

START_TEST(a_callback_may_call_again)
{
    world w;
    set_up(&w);
    repeater r = {w.client, 20};
    kp_metadata_req request = {.topics = {NULL, 0}};
    ck_assert_int_eq(kc_call(w.client, KP_API_METADATA, &request, NULL, on_repeat, &r, NULL),
                     KC_OK);
    fake_run(w.cluster, 200);
    ck_assert_int_eq(r.left, 0);
    tear_down(&w);
}
END_TEST
