/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Admin operations on groups and their offsets, and the end of operations at any point. */
#include "protocol/codec.h"
#include "protocol/generated/messages.h"
#include "tests/unit/client/admin_world.h"

#include <stdio.h>
#include <stdlib.h>

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

/** Leaves out all that was asked. */
static fake_action answer_nothing(fake_request *request, void *response, void *user)
{
    (void)request;
    (void)response;
    (void)user;
    return FAKE_ANSWER;
}

static void serve_all(world *w)
{
    fake_topic_add(w->cluster, "t", 2);
    w->calls = 1;
    fake_on(w->cluster, KP_API_LIST_GROUPS, list_groups, NULL);
    fake_on(w->cluster, KP_API_DESCRIBE_GROUPS, describe_groups, w);
    fake_on(w->cluster, KP_API_LIST_OFFSETS, answer_nothing, NULL);
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
