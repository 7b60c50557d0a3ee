/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Consumer groups of KIP-848: members join, get partitions, hand them over, are fenced. */
#include "mock/group.h"
#include "tests/unit/mock/mock_consumer.h"

#include <check.h>

START_TEST(a_first_member_gets_all_partitions_at_once)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 3);
    member a = member_of(world, "a", "t");
    member_join(&a);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.epoch, 2);
    ck_assert_int_eq(a.owned_count, 3);
    ck_assert_str_eq(member_group_state(world), "Stable");
    member_beat(&a, false);
    ck_assert(!a.has_assignment);
    ck_assert_int_eq(a.epoch, 2);
    mock_free(world);
}
END_TEST

START_TEST(version_0_makes_the_member_id)
{
    mock_world *world = mock_new(1);
    kp_consumer_group_heartbeat_req request;
    mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
    request.group_id = KC_STR("g");
    request.rebalance_timeout_ms = 1000;
    request.topic_partitions.count = 0;
    request.subscribed_topic_names.count = 0;
    const kp_consumer_group_heartbeat_resp *response = member_ask(world, 0, &request);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_uint_eq(response->member_id.len, 22);
    ck_assert_int_eq(response->heartbeat_interval_ms, 5000);
    response = member_ask(world, 1, &request);
    ck_assert_int_eq(response->error_code, KC_E_INVALID_REQUEST);
    mock_free(world);
}
END_TEST

START_TEST(partitions_are_given_back_before_another_gets_them)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    member b = member_of(world, "b", "t");
    member_join(&a);
    member_pause(world);
    member_join(&b);
    ck_assert_int_eq(b.epoch, 3);
    ck_assert_int_eq(b.owned_count, 0);
    ck_assert_str_eq(member_group_state(world), "Reconciling");
    member_beat(&a, true); // told to give back, in its old epoch
    ck_assert_int_eq(a.epoch, 2);
    ck_assert_int_eq(a.owned_count, 2);
    member_beat(&b, false);
    ck_assert(!b.has_assignment);
    member_beat(&a, true); // has given back
    ck_assert_int_eq(a.epoch, 3);
    member_beat(&b, false);
    ck_assert_int_eq(b.owned_count, 2);
    ck_assert_int_eq(b.epoch, 3);
    ck_assert_str_eq(member_group_state(world), "Stable");
    ck_assert_int_ne(a.owned[0], b.owned[0]);
    mock_free(world);
}
END_TEST

START_TEST(a_member_that_comes_again_owns_nothing_so_it_need_not_give_back)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    member b = member_of(world, "b", "t");
    member_join(&a);
    member_pause(world);
    member_join(&b);
    a.epoch = 0;
    member_join(&a);
    ck_assert_int_eq(a.epoch, 3);
    ck_assert_int_eq(a.owned_count, 2);
    member_beat(&b, false);
    ck_assert_int_eq(b.owned_count, 2);
    ck_assert_str_eq(member_group_state(world), "Stable");
    mock_free(world);
}
END_TEST

START_TEST(a_member_that_comes_within_the_assignment_interval_waits_for_the_next_target)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    member b = member_of(world, "b", "t");
    member_join(&a);
    member_join(&b);
    ck_assert_int_eq(b.epoch, 2);
    ck_assert_int_eq(b.owned_count, 0);
    ck_assert_str_eq(member_group_state(world), "Assigning");
    mock_run(world, 1000);
    member_beat(&a, true);
    ck_assert_int_eq(a.owned_count, 2);
    mock_free(world);
}
END_TEST

START_TEST(a_member_that_does_not_give_back_in_time_is_fenced)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    member b = member_of(world, "b", "t");
    member_join(&a);
    member_pause(world);
    member_join(&b);
    for (int i = 0; i < 13 && !a.error; i++) { // its own heartbeats never say that it gave back
        member_beat(&a, false);
        member_beat(&b, false);
        member_pause(world);
    }
    ck_assert_int_eq(a.error, KC_E_UNKNOWN_MEMBER_ID);
    member_beat(&b, false);
    ck_assert_int_eq(b.owned_count, 4);
    mock_free(world);
}
END_TEST

START_TEST(a_member_not_heard_of_for_the_session_timeout_is_fenced)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    member_join(&a);
    mock_run(world, 44999);
    member_beat(&a, false);
    ck_assert_int_eq(a.error, 0);
    mock_run(world, 45000);
    ck_assert_str_eq(member_group_state(world), "Empty");
    member_beat(&a, false);
    ck_assert_int_eq(a.error, KC_E_UNKNOWN_MEMBER_ID);
    a.epoch = 0;
    member_join(&a);
    ck_assert_int_eq(a.owned_count, 4);
    mock_free(world);
}
END_TEST

START_TEST(a_member_that_leaves_frees_its_partitions_for_the_others)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    member b = member_of(world, "b", "t");
    member_join(&a);
    member_pause(world);
    member_join(&b);
    member_leave(&a, -1);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.epoch, -1);
    member_pause(world);
    member_beat(&b, false);
    ck_assert_int_eq(b.owned_count, 4);
    member_leave(&b, -1);
    ck_assert_str_eq(member_group_state(world), "Empty");
    member_leave(&b, -1);
    ck_assert_int_eq(b.error, KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(an_epoch_is_checked_and_the_one_before_is_taken_when_nothing_more_is_owned)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    member b = member_of(world, "b", "t");
    member_join(&a);
    member_pause(world);
    member_join(&b);
    member_beat(&a, true);
    member_beat(&a, true);
    ck_assert_int_eq(a.epoch, 3);
    a.epoch = 2; // the answer was lost
    member_beat(&a, true);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.epoch, 3);
    a.epoch = 2;
    member_beat(&a, false);
    ck_assert_int_eq(a.error, KC_E_FENCED_MEMBER_EPOCH);
    a.epoch = 4;
    member_beat(&a, true);
    ck_assert_int_eq(a.error, KC_E_FENCED_MEMBER_EPOCH);
    ck_assert_ptr_nonnull(strstr(a.error_text, "greater member epoch (4)"));
    a.epoch = 0; // comes again: keeps what it has
    member_join(&a);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.epoch, 3);
    ck_assert_int_eq(a.owned_count, 2);
    mock_free(world);
}
END_TEST

START_TEST(a_static_member_comes_back_under_another_id_and_has_its_partitions)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    a.instance_id = "i";
    member again = a;
    again.id = "a2";
    member_join(&a);
    ck_assert_int_eq(a.owned_count, 4);
    member_join(&again);
    ck_assert_int_eq(again.error, KC_E_UNRELEASED_INSTANCE_ID);
    member_leave(&a, -2);
    ck_assert_int_eq(a.epoch, -2);
    member_join(&again);
    ck_assert_int_eq(again.error, 0);
    ck_assert_int_eq(again.epoch, 2); // nothing has changed for the group
    ck_assert_int_eq(again.owned_count, 4);
    ck_assert_str_eq(member_group_state(world), "Stable");
    a.epoch = 2;
    member_beat(&a, false);
    ck_assert_int_eq(a.error, KC_E_FENCED_INSTANCE_ID);
    a.instance_id = "other";
    member_beat(&a, false);
    ck_assert_int_eq(a.error, KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(a_static_member_that_does_not_come_back_is_fenced)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    a.instance_id = "i";
    member_join(&a);
    member_leave(&a, -2);
    ck_assert_str_eq(member_group_state(world), "Reconciling");
    mock_run(world, 45000);
    ck_assert_str_eq(member_group_state(world), "Empty");
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
        kp_consumer_group_heartbeat_req request;
        mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
        request.group_id = kc_str(cases[i].group_id);
        request.member_id = kc_str(cases[i].member_id);
        request.instance_id = cases[i].instance_id ? kc_str(cases[i].instance_id) : (kc_bytes){0};
        request.server_assignor = cases[i].assignor ? kc_str(cases[i].assignor) : (kc_bytes){0};
        request.member_epoch = cases[i].epoch;
        request.rebalance_timeout_ms = cases[i].timeout_ms;
        request.subscribed_topic_names.count = cases[i].names;
        request.topic_partitions.count = cases[i].owned;
        const kp_consumer_group_heartbeat_resp *response = member_ask(world, 1, &request);
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
    member a = member_of(world, "a", "t");
    member_join(&a);
    ck_assert_int_eq(a.epoch, 2);
    ck_assert_int_eq(a.owned_count, 0);
    member_pause(world);
    km_topic *topic = mock_topic(world, "t", 2);
    mock_topic(world, "not-mine", 2);
    member_beat(&a, false);
    ck_assert_int_eq(a.epoch, 3);
    ck_assert_int_eq(a.owned_count, 2);
    member_pause(world);
    ck_assert_int_eq(km_topic_grow(world->cluster, topic, 5, NULL), 0);
    member_beat(&a, false);
    ck_assert_int_eq(a.epoch, 4);
    ck_assert_int_eq(a.owned_count, 5);
    mock_topic(world, "not-mine-too", 2);
    member_beat(&a, false);
    ck_assert_int_eq(a.epoch, 4);
    mock_free(world);
}
END_TEST

START_TEST(a_topic_that_is_deleted_is_taken_away)
{
    mock_world *world = mock_new(1);
    km_topic *topic = mock_topic(world, "t", 2);
    member a = member_of(world, "a", "t");
    member_join(&a);
    ck_assert_int_eq(a.owned_count, 2);
    member_pause(world);
    km_topic_delete(world->cluster, topic);
    member_beat(&a, false);
    ck_assert(a.has_assignment);
    ck_assert_int_eq(a.owned_count, 0);
    member_beat(&a, true);
    ck_assert_int_eq(a.epoch, 3);
    mock_topic(world, "t", 3); // another one of the name
    member_pause(world);
    member_beat(&a, true);
    ck_assert_int_eq(a.owned_count, 3);
    mock_free(world);
}
END_TEST

START_TEST(a_pattern_is_looked_up_after_the_heartbeat_and_again_for_new_topics)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "orders-eu", 2);
    mock_topic(world, "stock", 2);
    member a = member_of(world, "a", NULL);
    a.regex = "orders-.*";
    member_join(&a);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.owned_count, 0);
    mock_run(world, 1);
    member_join(&a);
    ck_assert_int_eq(a.owned_count, 2);
    ck_assert_int_eq(a.epoch, 2);
    mock_run(world, 2000);
    mock_topic(world, "orders-us", 2);
    member_beat(&a, false);
    mock_run(world, 1);
    member_beat(&a, false);
    ck_assert(!a.has_assignment); // looked up less than ten seconds ago
    mock_run(world, 11000);
    member_beat(&a, false);
    mock_run(world, 1);
    member_beat(&a, false);
    ck_assert_int_eq(a.owned_count, 4);
    ck_assert_int_eq(a.assigned_topics, 2);
    a.regex = "(";
    a.epoch = 0;
    member_join(&a);
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
    member a = member_of(world, "a", "t");
    member_join(&a);
    ck_assert_int_eq(a.owned_count, 2);
    a.topics[0] = KC_STR("u");
    member_join(&a); // within the assignment interval: given up at once, the new ones come later
    ck_assert_int_eq(a.owned_count, 0);
    member_pause(world);
    member_beat(&a, true);
    ck_assert_int_eq(a.owned_count, 3);
    ck_assert_int_eq(a.epoch, 3);
    mock_free(world);
}
END_TEST

START_TEST(a_coordinator_that_moves_is_found_anew_and_gives_a_whole_session)
{
    mock_world *world = mock_new(3);
    mock_topic(world, "t", 3);
    member a = member_of(world, "a", "t");
    member_join(&a);
    mock_run(world, 40000);
    const km_partition *partition =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_GROUP, KC_STR("g"));
    int32_t old = partition->leader;
    km_broker_stop(mock_broker(world, old), false);
    mock_run(world, 40000);
    km_broker_start(mock_broker(world, old));
    member_beat(&a, false);
    ck_assert_int_eq(a.error, 0);
    mock_link *link = mock_link_new(world, old);
    kp_consumer_group_heartbeat_req request;
    mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
    request.group_id = KC_STR("g");
    request.member_id = KC_STR("a");
    request.member_epoch = a.epoch;
    const kp_consumer_group_heartbeat_resp *response =
        mock_ask(link, KP_API_CONSUMER_GROUP_HEARTBEAT, 1, &request);
    ck_assert_int_eq(response->error_code, KC_E_NOT_COORDINATOR);
    mock_free(world);
}
END_TEST

START_TEST(commits_are_checked_by_member_and_epoch)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    member b = member_of(world, "b", "t");
    member_join(&a);
    km_group *group = km_group_find(world->cluster, KC_STR("g"));
    kc_bytes none = {0};
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR("a"), none, 2, false), 0);
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR("a"), none, 3, false),
                     KC_E_STALE_MEMBER_EPOCH);
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR("b"), none, 1, false),
                     KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR(""), none, -1, false),
                     KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR(""), none, -1, true), 0);
    member_pause(world);
    member_join(&b);
    member_beat(&a, true);
    member_beat(&a, true);
    ck_assert_int_eq(a.epoch, 3);
    /* KIP-1251: what it holds since epoch 2 may be committed in epoch 2, what it gave back may not. */
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR("a"), none, 2, false), 0);
    int16_t (*check)(const km_group *, kc_bytes, int32_t, kc_bytes, int32_t) =
        group->ops->check_commit_partition;
    ck_assert_int_eq(check(group, KC_STR("a"), 2, KC_STR("t"), a.owned[0]), 0);
    member_beat(&b, true);
    ck_assert_int_eq(check(group, KC_STR("a"), 2, KC_STR("t"), b.owned[0]),
                     KC_E_STALE_MEMBER_EPOCH);
    ck_assert_int_eq(check(group, KC_STR("b"), 2, KC_STR("t"), b.owned[0]),
                     KC_E_STALE_MEMBER_EPOCH);
    ck_assert_int_eq(group->ops->check_fetch(group, KC_STR("a"), 1), KC_E_STALE_MEMBER_EPOCH);
    ck_assert_int_eq(group->ops->check_fetch(group, none, -1), 0);
    member_leave(&a, -1);
    member_leave(&b, -1);
    ck_assert_int_eq(group->ops->check_commit(group, KC_STR(""), none, -1, false), 0);
    mock_free(world);
}
END_TEST

/** OffsetCommit of one partition of "t"; the error of it. */
static int16_t commit(mock_world *world, const char *id, int32_t epoch, int32_t partition)
{
    kp_offset_commit_req_partition part = {.partition_index = partition,
                                           .committed_offset = 7,
                                           .committed_leader_epoch = -1,
                                           .committed_metadata = KC_STR("")};
    kp_offset_commit_req_topic topic = {.name = KC_STR("t"), .partitions = {&part, 1}};
    kp_offset_commit_req request;
    mock_defaults(KP_API_OFFSET_COMMIT, &request);
    request.group_id = KC_STR("g");
    request.member_id = kc_str(id);
    request.generation_id_or_member_epoch = epoch;
    request.topics.items = &topic;
    request.topics.count = 1;
    const kp_offset_commit_resp *response = mock_ask(
        mock_coordinator(world, KM_COORDINATOR_GROUP, "g"), KP_API_OFFSET_COMMIT, 9, &request);
    return response->topics.items[0].partitions.items[0].error_code;
}

START_TEST(what_is_held_since_an_epoch_may_be_committed_in_it_and_nothing_else)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    member b = member_of(world, "b", "t");
    member_join(&a);
    member_pause(world);
    member_join(&b);
    member_beat(&a, true);
    member_beat(&a, true);
    ck_assert_int_eq(a.epoch, 3);
    ck_assert_int_eq(commit(world, "a", 3, a.owned[0]), 0);
    ck_assert_int_eq(commit(world, "a", 2, a.owned[0]), 0);
    member_beat(&b, true);
    ck_assert_int_eq(commit(world, "a", 2, b.owned[0]), KC_E_STALE_MEMBER_EPOCH);
    ck_assert_int_eq(commit(world, "a", 4, a.owned[0]), KC_E_STALE_MEMBER_EPOCH);
    ck_assert_int_eq(commit(world, "c", 3, a.owned[0]), KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(an_administrator_takes_members_out_by_leave_group)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    a.instance_id = "i";
    member_join(&a);
    kp_leave_group_req_member members[] = {
        {.member_id = KC_STR("x"), .group_instance_id = KC_STR("i")},
        {.member_id = KC_STR(""), .group_instance_id = KC_STR("i")},
        {.member_id = KC_STR("a")},
    };
    kp_leave_group_req request;
    mock_defaults(KP_API_LEAVE_GROUP, &request);
    request.group_id = KC_STR("g");
    request.members.items = members;
    request.members.count = 3;
    const kp_leave_group_resp *response = mock_ask(
        mock_coordinator(world, KM_COORDINATOR_GROUP, "g"), KP_API_LEAVE_GROUP, 5, &request);
    ck_assert_int_eq(response->members.items[0].error_code, KC_E_FENCED_INSTANCE_ID);
    ck_assert_int_eq(response->members.items[1].error_code, 0);
    ck_assert_int_eq(response->members.items[2].error_code, KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_str_eq(member_group_state(world), "Empty");
    mock_free(world);
}
END_TEST

START_TEST(a_group_that_is_not_of_this_kind_becomes_one_when_it_is_empty)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    ck_assert_int_eq(commit(world, "", -1, 0), 0); // a group of offsets only
    member a = member_of(world, "a", "t");
    a.epoch = 2;
    member_beat(&a, false);
    ck_assert_int_eq(a.error, KC_E_GROUP_ID_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(a.error_text, "is not a consumer group"));
    a.epoch = 0;
    member_join(&a);
    ck_assert_int_eq(a.error, 0);
    ck_assert_uint_eq(km_group_find(world->cluster, KC_STR("g"))->offsets.count, 1);
    member_leave(&a, -1);

    kp_join_group_req_protocol protocol = {.name = KC_STR("range"), .metadata = KC_STR("x")};
    kp_join_group_req request;
    mock_defaults(KP_API_JOIN_GROUP, &request);
    request.group_id = KC_STR("g");
    request.session_timeout_ms = 45000;
    request.rebalance_timeout_ms = 60000;
    request.protocol_type = KC_STR("consumer");
    request.protocols.items = &protocol;
    request.protocols.count = 1;
    mock_link *link = mock_coordinator(world, KM_COORDINATOR_GROUP, "g");
    mock_send(link, KP_API_JOIN_GROUP, 3, &request);
    mock_run(world, 3000);
    const kp_join_group_resp *joined = mock_answer(link);
    ck_assert_ptr_nonnull(joined);
    ck_assert_int_eq(joined->error_code, 0);
    a.epoch = 0;
    member_join(&a);
    ck_assert_int_eq(a.error, KC_E_GROUP_ID_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(a.error_text, "online upgrade is disabled"));
    mock_free(world);
}
END_TEST

START_TEST(describe_tells_epochs_members_and_what_they_hold)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    member a = member_of(world, "a", "t");
    member b = member_of(world, "b", "t");
    member_join(&a);
    member_pause(world);
    member_join(&b);
    member_beat(&a, true);
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
    ck_assert_int_eq(group->group_epoch, 3);
    ck_assert_int_eq(group->assignment_epoch, 3);
    ck_assert_int_eq(group->authorized_operations, 3400);
    ck_assert_int_eq(group->members.count, 2);
    const kp_consumer_group_describe_resp_member *first = &group->members.items[0];
    ck_assert_int_eq(first->member_epoch, 2);
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
    member a = member_of(world, "a", "t");
    member_join(&a);
    ck_assert_int_eq(a.error, KC_E_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_ptr_null(km_group_find(world->cluster, KC_STR("g")));
    member_join(&a);
    ck_assert_int_eq(a.owned_count, 4);
    mock_free(world);
}
END_TEST
