/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Consumer groups of KIP-848: members join, get partitions, hand them over, are fenced. */
#include "mock/group.h"
#include "protocol/frame.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>
#include <stdio.h>

typedef kp_consumer_group_heartbeat_req heartbeat_req;
typedef kp_consumer_group_heartbeat_resp heartbeat_resp;

#define OWNED_MAX 64

/** A client of the group: says what it owns, takes over what it is told. */
typedef struct member {
    mock_world *world;
    const char *id;
    const char *instance_id;
    kc_bytes topics[4]; /**< subscription; unused ones are null   */
    const char *regex;
    int32_t epoch;
    int16_t error;
    char error_text[256];
    bool has_assignment; /**< the last answer had one             */
    kc_uuid topic_id;    /**< all tests but one have one topic    */
    int32_t owned[OWNED_MAX];
    int32_t owned_count;
    int32_t assigned_topics;
} member;

static member new_member(mock_world *world, const char *id, const char *topic)
{
    return (member){
        .world = world, .id = id, .topics = {topic ? kc_str(topic) : (kc_bytes){0}}, .epoch = 0};
}

static const heartbeat_resp *ask(mock_world *world, int16_t version, const heartbeat_req *request)
{
    return mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, "g"),
                    KP_API_CONSUMER_GROUP_HEARTBEAT, version, request);
}

static void take(member *m, const heartbeat_resp *response)
{
    m->error = response->error_code;
    snprintf(m->error_text, sizeof m->error_text, KC_FMT, KC_ARG(response->error_message));
    if (response->error_code)
        return;
    m->epoch = response->member_epoch;
    m->has_assignment = response->assignment != NULL;
    if (!response->assignment)
        return;
    m->owned_count = 0;
    m->assigned_topics = response->assignment->topic_partitions.count;
    for (int32_t i = 0; i < response->assignment->topic_partitions.count; i++) {
        const kp_consumer_group_heartbeat_resp_topic_partitions *topic =
            &response->assignment->topic_partitions.items[i];
        m->topic_id = topic->topic_id;
        for (int32_t j = 0; j < topic->partitions.count; j++)
            m->owned[m->owned_count++] = topic->partitions.items[j];
    }
}

/** A full request, as a client joins and as it says after an error. */
static void join(member *m)
{
    heartbeat_req request;
    mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
    request.group_id = KC_STR("g");
    request.member_id = kc_str(m->id);
    request.member_epoch = m->epoch;
    request.instance_id = m->instance_id ? kc_str(m->instance_id) : (kc_bytes){0};
    request.rebalance_timeout_ms = 60000;
    request.topic_partitions.count = 0;
    request.subscribed_topic_names.items = m->topics;
    request.subscribed_topic_names.count = 0;
    while (m->topics[request.subscribed_topic_names.count].ptr)
        request.subscribed_topic_names.count++;
    request.subscribed_topic_regex = m->regex ? kc_str(m->regex) : (kc_bytes){0};
    take(m, ask(m->world, 1, &request));
}

/** The rest; `says_owned`: it tells what it owns. */
static void beat(member *m, bool says_owned)
{
    heartbeat_req request;
    kp_consumer_group_heartbeat_req_topic_partition topic = {
        .topic_id = m->topic_id, .partitions = {m->owned, m->owned_count}};
    mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
    request.group_id = KC_STR("g");
    request.member_id = kc_str(m->id);
    request.member_epoch = m->epoch;
    request.instance_id = m->instance_id ? kc_str(m->instance_id) : (kc_bytes){0};
    if (says_owned) {
        request.topic_partitions.items = &topic;
        request.topic_partitions.count = m->owned_count > 0;
    }
    take(m, ask(m->world, 1, &request));
}

static void leave(member *m, int32_t epoch)
{
    m->epoch = epoch;
    beat(m, false);
}

static const char *state(mock_world *world)
{
    const km_group *group = km_group_find(world->cluster, KC_STR("g"));
    return group ? group->ops->state_name(group) : "";
}

/** Time for a new target. */
static void pause_a_while(mock_world *world)
{
    mock_run(world, 5000);
}

START_TEST(a_first_member_gets_all_partitions_at_once)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 3);
    member a = new_member(world, "a", "t");
    join(&a);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.epoch, 1);
    ck_assert_int_eq(a.owned_count, 3);
    ck_assert_str_eq(state(world), "Stable");
    beat(&a, false);
    ck_assert(!a.has_assignment);
    ck_assert_int_eq(a.epoch, 1);
    mock_free(world);
}
END_TEST

START_TEST(version_0_makes_the_member_id)
{
    mock_world *world = mock_new(1);
    heartbeat_req request;
    mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
    request.group_id = KC_STR("g");
    request.rebalance_timeout_ms = 1000;
    request.topic_partitions.count = 0;
    request.subscribed_topic_names.count = 0;
    const heartbeat_resp *response = ask(world, 0, &request);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_uint_eq(response->member_id.len, 22);
    ck_assert_int_eq(response->heartbeat_interval_ms, 5000);
    response = ask(world, 1, &request);
    ck_assert_int_eq(response->error_code, KC_E_INVALID_REQUEST);
    mock_free(world);
}
END_TEST

START_TEST(partitions_are_given_back_before_another_gets_them)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = new_member(world, "a", "t");
    member b = new_member(world, "b", "t");
    join(&a);
    pause_a_while(world);
    join(&b);
    ck_assert_int_eq(b.epoch, 2);
    ck_assert_int_eq(b.owned_count, 0);
    ck_assert_str_eq(state(world), "Reconciling");
    beat(&a, true); // told to give back, in its old epoch
    ck_assert_int_eq(a.epoch, 1);
    ck_assert_int_eq(a.owned_count, 2);
    beat(&b, false);
    ck_assert(!b.has_assignment);
    beat(&a, true); // has given back
    ck_assert_int_eq(a.epoch, 2);
    beat(&b, false);
    ck_assert_int_eq(b.owned_count, 2);
    ck_assert_int_eq(b.epoch, 2);
    ck_assert_str_eq(state(world), "Stable");
    ck_assert_int_ne(a.owned[0], b.owned[0]);
    mock_free(world);
}
END_TEST

START_TEST(a_member_that_comes_within_the_assignment_interval_waits_for_the_next_target)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = new_member(world, "a", "t");
    member b = new_member(world, "b", "t");
    join(&a);
    join(&b);
    ck_assert_int_eq(b.epoch, 1);
    ck_assert_int_eq(b.owned_count, 0);
    ck_assert_str_eq(state(world), "Assigning");
    mock_run(world, 1000);
    beat(&a, true);
    ck_assert_int_eq(a.owned_count, 2);
    mock_free(world);
}
END_TEST

START_TEST(a_member_that_does_not_give_back_in_time_is_fenced)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = new_member(world, "a", "t");
    member b = new_member(world, "b", "t");
    join(&a);
    pause_a_while(world);
    join(&b);
    for (int i = 0; i < 13 && !a.error; i++) { // its own heartbeats never say that it gave back
        beat(&a, false);
        beat(&b, false);
        pause_a_while(world);
    }
    ck_assert_int_eq(a.error, KC_E_UNKNOWN_MEMBER_ID);
    beat(&b, false);
    ck_assert_int_eq(b.owned_count, 4);
    mock_free(world);
}
END_TEST

START_TEST(a_member_not_heard_of_for_the_session_timeout_is_fenced)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = new_member(world, "a", "t");
    join(&a);
    mock_run(world, 44999);
    beat(&a, false);
    ck_assert_int_eq(a.error, 0);
    mock_run(world, 45000);
    ck_assert_str_eq(state(world), "Empty");
    beat(&a, false);
    ck_assert_int_eq(a.error, KC_E_UNKNOWN_MEMBER_ID);
    a.epoch = 0;
    join(&a);
    ck_assert_int_eq(a.owned_count, 4);
    mock_free(world);
}
END_TEST

START_TEST(a_member_that_leaves_frees_its_partitions_for_the_others)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = new_member(world, "a", "t");
    member b = new_member(world, "b", "t");
    join(&a);
    pause_a_while(world);
    join(&b);
    leave(&a, -1);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.epoch, -1);
    pause_a_while(world);
    beat(&b, false);
    ck_assert_int_eq(b.owned_count, 4);
    leave(&b, -1);
    ck_assert_str_eq(state(world), "Empty");
    leave(&b, -1);
    ck_assert_int_eq(b.error, KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(an_epoch_is_checked_and_the_one_before_is_taken_when_nothing_more_is_owned)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = new_member(world, "a", "t");
    member b = new_member(world, "b", "t");
    join(&a);
    pause_a_while(world);
    join(&b);
    beat(&a, true);
    beat(&a, true);
    ck_assert_int_eq(a.epoch, 2);
    a.epoch = 1; // the answer was lost
    beat(&a, true);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.epoch, 2);
    a.epoch = 1;
    beat(&a, false);
    ck_assert_int_eq(a.error, KC_E_FENCED_MEMBER_EPOCH);
    a.epoch = 3;
    beat(&a, true);
    ck_assert_int_eq(a.error, KC_E_FENCED_MEMBER_EPOCH);
    ck_assert_ptr_nonnull(strstr(a.error_text, "greater member epoch (3)"));
    a.epoch = 0; // comes again: keeps what it has
    join(&a);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.epoch, 2);
    ck_assert_int_eq(a.owned_count, 2);
    mock_free(world);
}
END_TEST

START_TEST(a_static_member_comes_back_under_another_id_and_has_its_partitions)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = new_member(world, "a", "t");
    a.instance_id = "i";
    member again = a;
    again.id = "a2";
    join(&a);
    ck_assert_int_eq(a.owned_count, 4);
    join(&again);
    ck_assert_int_eq(again.error, KC_E_UNRELEASED_INSTANCE_ID);
    leave(&a, -2);
    ck_assert_int_eq(a.epoch, -2);
    join(&again);
    ck_assert_int_eq(again.error, 0);
    ck_assert_int_eq(again.epoch, 1); // nothing has changed for the group
    ck_assert_int_eq(again.owned_count, 4);
    ck_assert_str_eq(state(world), "Stable");
    a.epoch = 1;
    beat(&a, false);
    ck_assert_int_eq(a.error, KC_E_FENCED_INSTANCE_ID);
    a.instance_id = "other";
    beat(&a, false);
    ck_assert_int_eq(a.error, KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(a_static_member_that_does_not_come_back_is_fenced)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = new_member(world, "a", "t");
    a.instance_id = "i";
    join(&a);
    leave(&a, -2);
    ck_assert_str_eq(state(world), "Reconciling");
    mock_run(world, 45000);
    ck_assert_str_eq(state(world), "Empty");
    mock_free(world);
}
END_TEST

START_TEST(requests_that_make_no_sense_are_refused_before_all_else)
{
    mock_world *world = mock_new(1);
    static const struct {
        const char *group_id, *member_id, *instance_id, *assignor;
        int32_t epoch, timeout_ms, names, owned;
        int16_t error;
    } cases[] = {
        {"", "m", NULL, NULL, 0, 1, 0, 0, KC_E_INVALID_REQUEST},
        {"g", " ", NULL, NULL, 0, 1, 0, 0, KC_E_INVALID_REQUEST},
        {"g", "m", "", NULL, 0, 1, 0, 0, KC_E_INVALID_REQUEST},
        {"g", "m", NULL, NULL, 0, -1, 0, 0, KC_E_INVALID_REQUEST},
        {"g", "m", NULL, NULL, 0, 1, -1, 0, KC_E_INVALID_REQUEST},
        {"g", "m", NULL, NULL, 0, 1, 0, -1, KC_E_INVALID_REQUEST},
        {"g", "m", NULL, NULL, -2, 1, 0, 0, KC_E_INVALID_REQUEST},
        {"g", "m", NULL, NULL, -3, 1, 0, 0, KC_E_INVALID_REQUEST},
        {"g", "m", NULL, "best", 0, 1, 0, 0, KC_E_UNSUPPORTED_ASSIGNOR},
        {"g", "m", NULL, NULL, 1, -1, -1, -1, KC_E_GROUP_ID_NOT_FOUND},
        {"g", "m", NULL, NULL, -1, -1, -1, -1, KC_E_GROUP_ID_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        heartbeat_req request;
        mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
        request.group_id = kc_str(cases[i].group_id);
        request.member_id = kc_str(cases[i].member_id);
        request.instance_id = cases[i].instance_id ? kc_str(cases[i].instance_id) : (kc_bytes){0};
        request.server_assignor = cases[i].assignor ? kc_str(cases[i].assignor) : (kc_bytes){0};
        request.member_epoch = cases[i].epoch;
        request.rebalance_timeout_ms = cases[i].timeout_ms;
        request.subscribed_topic_names.count = cases[i].names;
        request.topic_partitions.count = cases[i].owned;
        const heartbeat_resp *response = ask(world, 1, &request);
        ck_assert_msg(response->error_code == cases[i].error, "case %zu: %d", i,
                      response->error_code);
        ck_assert_ptr_nonnull(response->error_message.ptr);
    }
    ck_assert_ptr_null(km_group_find(world->cluster, KC_STR("g")));
    mock_free(world);
}
END_TEST

START_TEST(new_topics_and_partitions_come_with_the_next_heartbeat)
{
    mock_world *world = mock_new(1);
    member a = new_member(world, "a", "t");
    join(&a);
    ck_assert_int_eq(a.epoch, 1);
    ck_assert_int_eq(a.owned_count, 0);
    pause_a_while(world);
    km_topic *topic = mock_topic(world, "t", 2);
    mock_topic(world, "not-mine", 2);
    beat(&a, false);
    ck_assert_int_eq(a.epoch, 2);
    ck_assert_int_eq(a.owned_count, 2);
    pause_a_while(world);
    ck_assert_int_eq(km_topic_grow(world->cluster, topic, 5, NULL), 0);
    beat(&a, false);
    ck_assert_int_eq(a.epoch, 3);
    ck_assert_int_eq(a.owned_count, 5);
    mock_topic(world, "not-mine-too", 2);
    beat(&a, false);
    ck_assert_int_eq(a.epoch, 3);
    mock_free(world);
}
END_TEST

START_TEST(a_topic_that_is_deleted_is_taken_away)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 2);
    member a = new_member(world, "a", "t");
    join(&a);
    ck_assert_int_eq(a.owned_count, 2);
    pause_a_while(world);
    km_topic_delete(world->cluster, topic);
    beat(&a, false);
    ck_assert(a.has_assignment);
    ck_assert_int_eq(a.owned_count, 0);
    beat(&a, true);
    ck_assert_int_eq(a.epoch, 2);
    mock_topic(world, "t", 3); // another one of the name
    pause_a_while(world);
    beat(&a, true);
    ck_assert_int_eq(a.owned_count, 3);
    mock_free(world);
}
END_TEST

START_TEST(a_pattern_is_looked_up_after_the_heartbeat_and_again_for_new_topics)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "orders-eu", 2);
    mock_topic(world, "stock", 2);
    member a = new_member(world, "a", NULL);
    a.regex = "orders-.*";
    join(&a);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.owned_count, 0);
    mock_run(world, 1);
    join(&a);
    ck_assert_int_eq(a.owned_count, 2);
    ck_assert_int_eq(a.epoch, 1);
    mock_topic(world, "orders-us", 2);
    beat(&a, false);
    ck_assert(!a.has_assignment); // looked up less than ten seconds ago
    mock_run(world, 11000);
    beat(&a, false);
    mock_run(world, 1);
    beat(&a, false);
    ck_assert_int_eq(a.owned_count, 4);
    ck_assert_int_eq(a.assigned_topics, 2);
    a.regex = "(";
    a.epoch = 0;
    join(&a);
    ck_assert_int_eq(a.error, KC_E_INVALID_REGULAR_EXPRESSION);
    ck_assert_ptr_nonnull(strstr(a.error_text, "`(` is not a valid"));
    mock_free(world);
}
END_TEST

START_TEST(a_member_that_changes_its_subscription_gives_up_what_it_left)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 2);
    mock_topic(world, "u", 3);
    member a = new_member(world, "a", "t");
    join(&a);
    ck_assert_int_eq(a.owned_count, 2);
    a.topics[0] = KC_STR("u");
    join(&a); // within the assignment interval: given up at once, the new ones come later
    ck_assert_int_eq(a.owned_count, 0);
    pause_a_while(world);
    beat(&a, true);
    ck_assert_int_eq(a.owned_count, 3);
    ck_assert_int_eq(a.epoch, 2);
    mock_free(world);
}
END_TEST

START_TEST(a_coordinator_that_moves_is_found_anew_and_gives_a_whole_session)
{
    mock_world *world = mock_new(3);
    mock_topic(world, "t", 3);
    member a = new_member(world, "a", "t");
    join(&a);
    mock_run(world, 40000);
    const km_partition *partition =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_GROUP, KC_STR("g"));
    int32_t old = partition->leader;
    km_broker_stop(mock_broker(world, old), false);
    mock_run(world, 40000);
    km_broker_start(mock_broker(world, old));
    beat(&a, false);
    ck_assert_int_eq(a.error, 0);
    mock_link *link = mock_link_new(world, old);
    heartbeat_req request;
    mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
    request.group_id = KC_STR("g");
    request.member_id = KC_STR("a");
    request.member_epoch = a.epoch;
    const heartbeat_resp *response = mock_ask(link, KP_API_CONSUMER_GROUP_HEARTBEAT, 1, &request);
    ck_assert_int_eq(response->error_code, KC_E_NOT_COORDINATOR);
    mock_free(world);
}
END_TEST

START_TEST(commits_are_checked_by_member_and_epoch)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = new_member(world, "a", "t");
    member b = new_member(world, "b", "t");
    join(&a);
    km_group *group = km_group_find(world->cluster, KC_STR("g"));
    kc_bytes none = {0};
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR("a"), none, 1, false), 0);
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR("a"), none, 2, false),
                     KC_E_STALE_MEMBER_EPOCH);
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR("b"), none, 1, false),
                     KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR(""), none, -1, false),
                     KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR(""), none, -1, true), 0);
    pause_a_while(world);
    join(&b);
    beat(&a, true);
    beat(&a, true);
    ck_assert_int_eq(a.epoch, 2);
    /* KIP-1251: what it holds since epoch 1 may be committed in epoch 1, what it gave back may not. */
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR("a"), none, 1, false), 0);
    int16_t (*check)(const km_group *, kc_bytes, int32_t, kc_bytes, int32_t) =
        group->ops->check_commit_partition;
    ck_assert_int_eq(check(group, KC_STR("a"), 1, KC_STR("t"), a.owned[0]), 0);
    beat(&b, true);
    ck_assert_int_eq(check(group, KC_STR("a"), 1, KC_STR("t"), b.owned[0]),
                     KC_E_STALE_MEMBER_EPOCH);
    ck_assert_int_eq(check(group, KC_STR("b"), 1, KC_STR("t"), b.owned[0]),
                     KC_E_STALE_MEMBER_EPOCH);
    ck_assert_int_eq(group->ops->check_fetch(group, KC_STR("a"), 1), KC_E_STALE_MEMBER_EPOCH);
    ck_assert_int_eq(group->ops->check_fetch(group, none, -1), 0);
    leave(&a, -1);
    leave(&b, -1);
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR(""), none, -1, false), 0);
    mock_free(world);
}
END_TEST

START_TEST(describe_tells_epochs_members_and_what_they_hold)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = new_member(world, "a", "t");
    member b = new_member(world, "b", "t");
    join(&a);
    pause_a_while(world);
    join(&b);
    beat(&a, true);
    kc_bytes ids[] = {KC_STR("g"), KC_STR("none"), KC_STR("")};
    kp_consumer_group_describe_req request;
    mock_defaults(KP_API_CONSUMER_GROUP_DESCRIBE, &request);
    request.group_ids.items = ids;
    request.group_ids.count = 3;
    request.include_authorized_operations = true;
    const kp_consumer_group_describe_resp *response =
        mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, "g"), KP_API_CONSUMER_GROUP_DESCRIBE,
                 1, &request);
    const kp_consumer_group_describe_resp_group *group = &response->groups.items[0];
    ck_assert_int_eq(group->error_code, 0);
    ck_assert(kc_bytes_equal(group->group_state, KC_STR("Reconciling")));
    ck_assert(kc_bytes_equal(group->assignor_name, KC_STR("uniform")));
    ck_assert_int_eq(group->group_epoch, 2);
    ck_assert_int_eq(group->assignment_epoch, 2);
    ck_assert_int_eq(group->authorized_operations, 3400);
    ck_assert_int_eq(group->members.count, 2);
    const kp_consumer_group_describe_resp_member *first = &group->members.items[0];
    ck_assert_int_eq(first->member_epoch, 1);
    ck_assert_int_eq(first->member_type, 1);
    ck_assert_int_eq(first->assignment.topic_partitions.items[0].partitions.count, 4);
    ck_assert_int_eq(first->target_assignment.topic_partitions.items[0].partitions.count, 2);
    ck_assert(kc_bytes_equal(first->assignment.topic_partitions.items[0].topic_name, KC_STR("t")));
    ck_assert_int_eq(response->groups.items[1].error_code, KC_E_GROUP_ID_NOT_FOUND);
    ck_assert_int_eq(response->groups.items[2].error_code, KC_E_INVALID_GROUP_ID);
    mock_free(world);
}
END_TEST

START_TEST(a_forced_error_changes_nothing)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    km_fault fault;
    km_fault_init(&fault);
    fault.api_key = KP_API_CONSUMER_GROUP_HEARTBEAT;
    fault.error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    fault.count = 1;
    km_fault_add(world->cluster, &fault);
    member a = new_member(world, "a", "t");
    join(&a);
    ck_assert_int_eq(a.error, KC_E_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_ptr_null(km_group_find(world->cluster, KC_STR("g")));
    join(&a);
    ck_assert_int_eq(a.owned_count, 4);
    mock_free(world);
}
END_TEST

/** Send it with no more than `room` bytes of memory left; true: the broker had none, and closed. */
static bool has_no_room(mock_world *world, const heartbeat_req *request, size_t room)
{
    kb_mem mem;
    kb_buf frame;
    kp_fault fault = {0};
    mock_link *link = mock_link_new(world, 1);
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&frame, &mem, 0);
    ck_assert_int_eq(kp_frame_request(kp_api_by_key(KP_API_CONSUMER_GROUP_HEARTBEAT), 1, 7,
                                      KC_STR("test"), request, &frame, NULL, &fault),
                     KC_OK);
    world->mem.limit = world->mem.used + room;
    mock_send_bytes(link, kb_buf_bytes(&frame));
    world->mem.limit = SIZE_MAX;
    kb_buf_cleanup(&frame);
    return mock_is_closed(link);
}

START_TEST(without_memory_a_heartbeat_leaves_no_trace)
{
    int closed = 0;
    int served = 0;
    for (size_t room = 0; room < 40000; room += 56) {
        mock_world *world = mock_new(1);
        mock_topic(world, "t", 40);
        member a = new_member(world, "a", "t");
        member b = new_member(world, "b", "t");
        join(&a);
        pause_a_while(world);
        heartbeat_req request;
        mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
        request.group_id = KC_STR("g");
        request.member_id = KC_STR("b");
        request.instance_id = KC_STR("i");
        request.rebalance_timeout_ms = 1000;
        request.topic_partitions.count = 0;
        request.subscribed_topic_names.items = b.topics;
        request.subscribed_topic_names.count = 1;
        request.subscribed_topic_regex = KC_STR("[a-z]*");
        if (has_no_room(world, &request, room)) {
            closed++;
            ck_assert_str_eq(state(world), "Stable");
            beat(&a, false);
            ck_assert_int_eq(a.epoch, 1);
            ck_assert(!a.has_assignment);
        } else {
            served++;
        }
        mock_free(world);
    }
    ck_assert_int_gt(closed, 20);
    ck_assert_int_gt(served, 20);
}
END_TEST

/** What a client does that does what it is told: it joins, says what it owns, and gives all up when it is fenced. */
static void live(member *m, bool *is_in)
{
    if (*is_in)
        beat(m, true);
    if (!*is_in || m->error) {
        ck_assert(!*is_in || m->error == KC_E_UNKNOWN_MEMBER_ID);
        m->epoch = 0;
        m->owned_count = 0;
        join(m);
        ck_assert_int_eq(m->error, 0);
        *is_in = true;
    }
}

START_TEST(no_partition_ever_has_two_owners_and_all_is_stable_in_the_end)
{
    enum {
        MEMBERS = 5,
        PARTITIONS = 12
    };
    static const char *const ids[MEMBERS] = {"a", "b", "c", "d", "e"};
    for (uint64_t seed = 1; seed <= 100; seed++) {
        mock_world *world = mock_new(1);
        km_topic *topic = mock_topic(world, "t", PARTITIONS);
        kb_rand rand;
        kb_rand_init(&rand, seed);
        member members[MEMBERS];
        bool is_in[MEMBERS] = {false};
        int64_t heard_us[MEMBERS] = {0};
        for (int i = 0; i < MEMBERS; i++)
            members[i] = new_member(world, ids[i], "t");
        for (int step = 0; step < 300; step++) {
            bool is_ending = step > 250; // each in turn, and nobody leaves
            int i = is_ending ? step % MEMBERS : (int)kb_rand_below(&rand, MEMBERS);
            if (is_in[i] && !is_ending && kb_rand_one_in(&rand, 15)) {
                leave(&members[i], -1);
                is_in[i] = false;
            } else {
                live(&members[i], &is_in[i]);
            }
            heard_us[i] = world->cluster->now_us;
            int owners[2 * PARTITIONS] = {0};
            for (int j = 0; j < MEMBERS; j++) {
                /* Without an answer for so long it is fenced, if only it knew. */
                is_in[j] &= world->cluster->now_us - heard_us[j] < 45000000;
                for (int32_t k = 0; is_in[j] && k < members[j].owned_count; k++)
                    ck_assert_int_eq(owners[members[j].owned[k]]++, 0);
            }
            if (step == 100)
                ck_assert_int_eq(km_topic_grow(world->cluster, topic, PARTITIONS + 5, NULL), 0);
            mock_run(world, (int64_t)kb_rand_below(&rand, 3000));
        }
        ck_assert_str_eq(state(world), "Stable");
        int count = 0;
        for (int j = 0; j < MEMBERS; j++)
            count += is_in[j] ? members[j].owned_count : 0;
        ck_assert_int_eq(count, PARTITIONS + 5);
        mock_free(world);
    }
}
END_TEST
