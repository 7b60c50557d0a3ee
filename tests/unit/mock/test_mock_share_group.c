/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Members of share groups, and what each of them is to read. */
#include "mock/group_offsets.h"
#include "tests/unit/mock/share_helpers.h"

#include <stdio.h>

static const char *two_topics[] = {"a", "b"};
#define TWO two_topics, 2

static km_share_group *group_of(mock_world *world)
{
    km_share_group *group = km_share_group_find(world->cluster, KC_STR("g"));
    ck_assert_ptr_nonnull(group);
    return group;
}

START_TEST(a_member_joins_reads_everything_and_leaves)
{
    mock_world *world = mock_new(3);
    mock_topic(world, "a", 3);
    mock_topic(world, "b", 2);
    const kp_share_group_heartbeat_resp *response = share_beat(world, "m", 0, TWO);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->member_epoch, 2);
    ck_assert_int_eq(response->heartbeat_interval_ms, 5000);
    ck_assert_int_eq(response->assignment->topic_partitions.count, 2);
    ck_assert_int_eq(response->assignment->topic_partitions.items[0].partitions.count +
                         response->assignment->topic_partitions.items[1].partitions.count,
                     5);
    response = share_beat(world, "m", 2, NULL, 0);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_ptr_null(response->assignment);
    response = share_beat(world, "m", 2, TWO);
    ck_assert_ptr_nonnull(response->assignment);
    response = share_beat(world, "m", -1, NULL, 0);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->member_epoch, -1);
    response = share_beat(world, "m", -1, NULL, 0);
    ck_assert_int_eq(response->error_code, KC_E_UNKNOWN_MEMBER_ID);
    ck_assert(km_group_is_empty(group_of(world)->group));
    mock_free(world);
}
END_TEST

START_TEST(with_a_delay_of_the_first_rebalance_the_first_assignment_is_empty_as_a_brokers)
{
    km_options options;
    km_options_init(&options);
    options.group_initial_delay_ms = 3000;
    mock_world *world = mock_new_with(&options);
    mock_topic(world, "t", 3);
    ck_assert_int_eq(share_join(world, "m", "t"), 0);
    mock_run(world, 500); /* the assignment may change once a second */
    const kp_share_group_heartbeat_resp *response = share_beat(world, "m", 2, NULL, 0);
    ck_assert_ptr_null(response->assignment);
    mock_run(world, 5000);
    response = share_beat(world, "m", 2, NULL, 0);
    ck_assert_int_eq(response->member_epoch, 3);
    ck_assert_int_eq(response->assignment->topic_partitions.items[0].partitions.count, 3);
    mock_free(world);
}
END_TEST

START_TEST(heartbeats_that_make_no_sense_are_refused)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "a", 1);
    static const char long_id[] = "0123456789012345678901234567890123456";
    ck_assert_int_eq(share_beat(world, "", 0, TWO)->error_code, KC_E_INVALID_REQUEST);
    ck_assert_int_eq(share_beat(world, long_id, 0, TWO)->error_code, KC_E_INVALID_REQUEST);
    ck_assert_int_eq(share_beat(world, "m", 0, NULL, 0)->error_code, KC_E_INVALID_REQUEST);
    ck_assert_int_eq(share_beat(world, "m", -2, NULL, 0)->error_code, KC_E_INVALID_REQUEST);
    ck_assert_int_eq(share_beat(world, "m", 3, NULL, 0)->error_code, KC_E_GROUP_ID_NOT_FOUND);
    ck_assert_int_eq(share_beat(world, "m", -1, NULL, 0)->error_code, KC_E_GROUP_ID_NOT_FOUND);
    ck_assert_int_eq(share_beat(world, "m", 0, TWO)->error_code, 0);
    ck_assert_int_eq(share_beat(world, "n", 1, NULL, 0)->error_code, KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(share_beat(world, "m", 3, NULL, 0)->error_code, KC_E_FENCED_MEMBER_EPOCH);
    mock_free(world);
}
END_TEST

START_TEST(a_group_of_another_kind_is_no_share_group)
{
    mock_world *world = mock_new(1);
    km_group *group = km_group_open(world->cluster, KC_STR("g"));
    ck_assert_int_eq(km_group_offset_put(group, KC_STR("a"), 0, 1, -1, KC_NULL), KC_OK);
    ck_assert_int_eq(share_beat(world, "m", 0, TWO)->error_code, KC_E_GROUP_ID_NOT_FOUND);
    mock_free(world);
}
END_TEST

START_TEST(only_the_coordinator_takes_heartbeats)
{
    mock_world *world = mock_new(3);
    const km_partition *at =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_GROUP, KC_STR("g"));
    kp_share_group_heartbeat_req request;
    mock_defaults(KP_API_SHARE_GROUP_HEARTBEAT, &request);
    request.group_id = KC_STR("g");
    request.member_id = KC_STR("m");
    request.member_epoch = 1;
    const kp_share_group_heartbeat_resp *response = mock_ask(
        mock_link_new(world, at->leader % 3 + 1), KP_API_SHARE_GROUP_HEARTBEAT, 1, &request);
    ck_assert_int_eq(response->error_code, KC_E_NOT_COORDINATOR);
    mock_free(world);
}
END_TEST

START_TEST(a_silent_member_is_out_after_its_session_and_the_others_get_its_share)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 4);
    ck_assert_int_eq(share_join(world, "m", "t"), 4);
    ck_assert_int_eq(share_join(world, "n", "t"), 2);
    for (int i = 0; i < 10; i++) {
        mock_run(world, 5000);
        const kp_share_group_heartbeat_resp *response = share_beat(
            world, "n", km_share_member_find(group_of(world), KC_STR("n"))->epoch, NULL, 0);
        ck_assert_int_eq(response->error_code, 0);
    }
    ck_assert_uint_eq(group_of(world)->members.count, 1);
    ck_assert_uint_eq(km_share_member_find(group_of(world), KC_STR("n"))->assigned.count, 4);
    mock_free(world);
}
END_TEST

START_TEST(a_topic_that_is_made_or_grows_later_is_assigned_with_the_next_heartbeat)
{
    mock_world *world = mock_new(1);
    ck_assert_int_eq(share_join(world, "m", "t"), 0);
    km_topic *topic = mock_topic(world, "t", 1);
    const kp_share_group_heartbeat_resp *response = share_beat(world, "m", 2, NULL, 0);
    ck_assert_int_eq(response->member_epoch, 3);
    ck_assert_int_eq(response->assignment->topic_partitions.items[0].partitions.count, 1);
    ck_assert_int_eq(km_topic_grow(world->cluster, topic, 3, NULL), 0);
    response = share_beat(world, "m", 3, NULL, 0);
    ck_assert_int_eq(response->assignment->topic_partitions.items[0].partitions.count, 3);
    km_topic_delete(world->cluster, topic);
    response = share_beat(world, "m", 4, NULL, 0);
    ck_assert_int_eq(response->assignment->topic_partitions.count, 0);
    mock_free(world);
}
END_TEST

/** Each partition is read by somebody, nobody reads much more than another, and what nobody asked for is not assigned. */
static void check_spread(mock_world *world, int32_t partitions)
{
    const km_share_group *group = group_of(world);
    int readers[64] = {0};
    size_t least = SIZE_MAX;
    size_t most = 0;
    size_t pos = 0;
    const km_share_member *member;
    while ((member = kb_map_next(&group->members, &pos))) {
        least = member->target.count < least ? member->target.count : least;
        most = member->target.count > most ? member->target.count : most;
        for (size_t i = 0; i < member->target.count; i++)
            readers[member->target.items[i].index]++;
    }
    for (int32_t i = 0; i < partitions; i++)
        ck_assert_int_ge(readers[i], 1);
    ck_assert_uint_le(most - least, 1);
}

START_TEST(members_share_the_partitions_evenly_however_many_they_are)
{
    for (int32_t partitions = 1; partitions <= 7; partitions += 2) {
        mock_world *world = mock_new(1);
        mock_topic(world, "t", partitions);
        char name[16];
        for (int members = 1; members <= 12; members++) {
            snprintf(name, sizeof name, "m%d", members);
            share_join(world, name, "t");
            check_spread(world, partitions);
        }
        for (int gone = 1; gone < 12; gone++) {
            snprintf(name, sizeof name, "m%d", gone);
            share_beat(world, name, -1, NULL, 0);
            const km_share_member *last = km_share_member_find(group_of(world), KC_STR("m12"));
            share_beat(world, "m12", last->epoch, NULL, 0);
            check_spread(world, partitions);
        }
        mock_free(world);
    }
}
END_TEST

START_TEST(members_with_different_topics_get_only_what_they_asked_for)
{
    mock_world *world = mock_new(1);
    const km_topic *a = mock_topic(world, "a", 4);
    mock_topic(world, "b", 4);
    ck_assert_int_eq(share_beat(world, "both", 0, TWO)->error_code, 0);
    ck_assert_int_eq(share_join(world, "one", "a"), 2);
    const km_share_member *one = km_share_member_find(group_of(world), KC_STR("one"));
    for (size_t i = 0; i < one->target.count; i++)
        ck_assert_mem_eq(one->target.items[i].topic_id.bytes, a->id.bytes, sizeof a->id.bytes);
    ck_assert_uint_eq(km_share_member_find(group_of(world), KC_STR("both"))->target.count, 6);
    mock_free(world);
}
END_TEST

START_TEST(describe_tells_members_and_their_partitions)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 2);
    share_join(world, "m", "t");
    kc_bytes ids[3] = {KC_STR("g"), KC_STR("nope"), KC_STR("")};
    kp_share_group_describe_req request;
    mock_defaults(KP_API_SHARE_GROUP_DESCRIBE, &request);
    request.group_ids.items = ids;
    request.group_ids.count = 3;
    const kp_share_group_describe_resp *response =
        mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, "g"), KP_API_SHARE_GROUP_DESCRIBE, 1,
                 &request);
    ck_assert_int_eq(response->groups.count, 3);
    const kp_share_group_describe_resp_group *group = &response->groups.items[0];
    ck_assert_int_eq(group->error_code, 0);
    ck_assert(kc_bytes_equal(group->group_state, KC_STR("Stable")));
    ck_assert(kc_bytes_equal(group->assignor_name, KC_STR("simple")));
    ck_assert_int_eq(group->members.count, 1);
    ck_assert_int_eq(group->members.items[0].assignment.topic_partitions.items[0].partitions.count,
                     2);
    ck_assert_int_eq(response->groups.items[1].error_code, KC_E_GROUP_ID_NOT_FOUND);
    ck_assert_int_eq(response->groups.items[2].error_code, KC_E_INVALID_GROUP_ID);
    mock_free(world);
}
END_TEST

static kp_describe_share_group_offsets_resp_partition described(mock_world *world)
{
    kp_describe_share_group_offsets_req_group group = {.group_id = KC_STR("g")};
    group.topics.count = -1;
    kp_describe_share_group_offsets_req request;
    mock_defaults(KP_API_DESCRIBE_SHARE_GROUP_OFFSETS, &request);
    request.groups.items = &group;
    request.groups.count = 1;
    const kp_describe_share_group_offsets_resp *response =
        mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, "g"),
                 KP_API_DESCRIBE_SHARE_GROUP_OFFSETS, 1, &request);
    ck_assert_int_eq(response->groups.items[0].error_code, 0);
    ck_assert_int_eq(response->groups.items[0].topics.count, 1);
    return response->groups.items[0].topics.items[0].partitions.items[0];
}

static const kp_alter_share_group_offsets_resp *alter(mock_world *world, int32_t partition,
                                                      int64_t offset)
{
    kp_alter_share_group_offsets_req_partition asked = {.partition_index = partition,
                                                        .start_offset = offset};
    kp_alter_share_group_offsets_req_topic topic = {.topic_name = KC_STR("t")};
    topic.partitions.items = &asked;
    topic.partitions.count = 1;
    kp_alter_share_group_offsets_req request;
    mock_defaults(KP_API_ALTER_SHARE_GROUP_OFFSETS, &request);
    request.group_id = KC_STR("g");
    request.topics.items = &topic;
    request.topics.count = 1;
    return mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, "g"),
                    KP_API_ALTER_SHARE_GROUP_OFFSETS, 0, &request);
}

static const kp_delete_share_group_offsets_resp *delete_offsets(mock_world *world)
{
    kp_delete_share_group_offsets_req_topic topics[2] = {{.topic_name = KC_STR("t")},
                                                         {.topic_name = KC_STR("nope")}};
    kp_delete_share_group_offsets_req request;
    mock_defaults(KP_API_DELETE_SHARE_GROUP_OFFSETS, &request);
    request.group_id = KC_STR("g");
    request.topics.items = topics;
    request.topics.count = 2;
    return mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, "g"),
                    KP_API_DELETE_SHARE_GROUP_OFFSETS, 0, &request);
}

START_TEST(offsets_are_altered_and_deleted_only_while_nobody_is_in_the_group)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 1);
    ck_assert_int_eq(delete_offsets(world)->error_code, KC_E_GROUP_ID_NOT_FOUND);
    share_join(world, "m", "t");
    ck_assert_int_eq(described(world).start_offset, -1);
    ck_assert_int_eq(alter(world, 0, 5)->error_code, KC_E_NON_EMPTY_GROUP);
    ck_assert_int_eq(delete_offsets(world)->error_code, KC_E_NON_EMPTY_GROUP);
    share_beat(world, "m", -1, NULL, 0);
    ck_assert_int_eq(alter(world, 7, 5)->responses.items[0].partitions.items[0].error_code,
                     KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(alter(world, 0, 5)->responses.items[0].partitions.items[0].error_code, 0);
    ck_assert_int_eq(described(world).start_offset, 5);
    const kp_delete_share_group_offsets_resp *response = delete_offsets(world);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->responses.items[0].error_code, 0);
    ck_assert_int_eq(response->responses.items[1].error_code, KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_uint_eq(group_of(world)->topics.count, 0);
    mock_free(world);
}
END_TEST

START_TEST(a_forced_error_is_told_and_nothing_is_done)
{
    mock_world *world = mock_new(1);
    km_fault fault;
    km_fault_init(&fault);
    fault.error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    fault.count = 1;
    fault.api_key = KP_API_SHARE_GROUP_HEARTBEAT;
    ck_assert_uint_ne(km_fault_add(world->cluster, &fault), 0);
    ck_assert_int_eq(share_beat(world, "m", 0, TWO)->error_code, KC_E_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_ptr_null(km_share_group_find(world->cluster, KC_STR("g")));
    ck_assert_int_eq(share_beat(world, "m", 0, TWO)->error_code, 0);
    mock_free(world);
}
END_TEST

START_TEST(without_memory_a_heartbeat_closes_the_connection_and_leaves_no_trace)
{
    int closed = 0;
    int served = 0;
    for (size_t room = 0; room < 16384; room += 48) {
        mock_world *world = mock_new(1);
        mock_topic(world, "t", 20);
        share_join(world, "m", "t");
        kp_share_group_heartbeat_req request;
        kc_bytes topics[2] = {KC_STR("t"), KC_STR("u")};
        mock_defaults(KP_API_SHARE_GROUP_HEARTBEAT, &request);
        request.group_id = KC_STR("g");
        request.member_id = KC_STR("n");
        request.rack_id = KC_STR("r");
        request.subscribed_topic_names.items = topics;
        request.subscribed_topic_names.count = 2;
        if (share_starve(mock_link_new(world, 1), world, KP_API_SHARE_GROUP_HEARTBEAT, 1, &request,
                         room)) {
            closed++;
        } else {
            served++;
            ck_assert_ptr_nonnull(km_share_member_find(group_of(world), KC_STR("n")));
        }
        share_join(world, "n", "t");
        check_spread(world, 20);
        mock_free(world);
    }
    ck_assert_int_gt(closed, 20);
    ck_assert_int_gt(served, 20);
}
END_TEST
