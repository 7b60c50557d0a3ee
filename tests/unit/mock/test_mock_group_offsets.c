/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Offsets that groups commit, and groups as an administrator sees them. */
#include "mock/classic_group.h"
#include "mock/group_offsets.h"
#include "protocol/frame.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define GROUP "g"

typedef struct committer {
    const char *group;
    const char *member_id;
    const char *instance_id;
    int32_t generation;
    const char *metadata;
    int16_t version;
} committer;

static const committer nobody = {.group = GROUP, .member_id = "", .generation = -1, .version = 9};

static mock_link *coordinator(mock_world *world)
{
    return mock_coordinator(world, KM_COORDINATOR_GROUP, GROUP);
}

/** A group's only member, in generation 1 and stable or not; its id is valid as long as it is a member. */
static const char *member(mock_world *world, const char *protocol_type, bool is_stable)
{
    /* Version 0 of a subscription to "t". */
    static const uint8_t subscription[] = {0, 0, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff};
    static char id[128];
    kp_join_group_req_protocol protocol = {.name = KC_STR("range")};
    protocol.metadata = kc_span(subscription, sizeof subscription);
    kp_join_group_req join;
    mock_defaults(KP_API_JOIN_GROUP, &join);
    join.group_id = KC_STR(GROUP);
    join.session_timeout_ms = 10000;
    join.rebalance_timeout_ms = 60000;
    join.protocol_type = kc_str(protocol_type);
    join.protocols.items = &protocol;
    join.protocols.count = 1;
    const kp_join_group_resp *joined = mock_ask(coordinator(world), KP_API_JOIN_GROUP, 3, &join);
    ck_assert_int_eq(joined->error_code, 0);
    snprintf(id, sizeof id, KC_FMT, KC_ARG(joined->member_id));
    if (!is_stable)
        return id;
    kp_sync_group_req sync;
    kp_sync_group_req_assignment assignment = {.member_id = kc_str(id),
                                               .assignment = KC_STR("mine")};
    mock_defaults(KP_API_SYNC_GROUP, &sync);
    sync.group_id = KC_STR(GROUP);
    sync.generation_id = 1;
    sync.member_id = kc_str(id);
    sync.assignments.items = &assignment;
    sync.assignments.count = 1;
    const kp_sync_group_resp *synced = mock_ask(coordinator(world), KP_API_SYNC_GROUP, 3, &sync);
    ck_assert_int_eq(synced->error_code, 0);
    return id;
}

static void leave(mock_world *world, const char *id)
{
    kp_leave_group_req request;
    mock_defaults(KP_API_LEAVE_GROUP, &request);
    request.group_id = KC_STR(GROUP);
    request.member_id = kc_str(id);
    const kp_leave_group_resp *response =
        mock_ask(coordinator(world), KP_API_LEAVE_GROUP, 2, &request);
    ck_assert_int_eq(response->error_code, 0);
}

/** Commit one offset; its error. */
static int16_t commit(mock_world *world, const committer *by, const char *topic, int32_t partition,
                      int64_t offset)
{
    kp_offset_commit_req_partition item = {
        .partition_index = partition, .committed_offset = offset, .committed_leader_epoch = -1};
    kp_offset_commit_req_topic one = {.name = kc_str(topic)};
    kp_offset_commit_req request;
    const km_topic *found = km_topic_by_name(world->cluster, kc_str(topic));
    if (by->version >= 10 && found)
        one.topic_id = found->id;
    if (by->version >= 6)
        item.committed_leader_epoch = 3;
    item.committed_metadata = by->metadata ? kc_str(by->metadata) : KC_NULL;
    one.partitions.items = &item;
    one.partitions.count = 1;
    mock_defaults(KP_API_OFFSET_COMMIT, &request);
    request.group_id = kc_str(by->group);
    request.generation_id_or_member_epoch = by->generation;
    request.member_id = kc_str(by->member_id);
    if (by->instance_id)
        request.group_instance_id = kc_str(by->instance_id);
    request.topics.items = &one;
    request.topics.count = 1;
    const kp_offset_commit_resp *response =
        mock_ask(mock_coordinator(world, KM_COORDINATOR_GROUP, by->group), KP_API_OFFSET_COMMIT,
                 by->version, &request);
    ck_assert_int_eq(response->topics.count, 1);
    ck_assert_int_eq(response->topics.items[0].partitions.count, 1);
    ck_assert_int_eq(response->topics.items[0].partitions.items[0].partition_index, partition);
    return response->topics.items[0].partitions.items[0].error_code;
}

/** Ask for two partitions of "t". */
static const kp_offset_fetch_resp *fetch(mock_world *world, int16_t version, bool is_stable_only)
{
    static int32_t partitions[2] = {0, 1};
    kp_offset_fetch_req_topic old = {.name = KC_STR("t")};
    kp_offset_fetch_req_group_topic topic = {.name = KC_STR("t")};
    kp_offset_fetch_req_group group = {.group_id = KC_STR(GROUP), .member_epoch = -1};
    kp_offset_fetch_req request;
    mock_defaults(KP_API_OFFSET_FETCH, &request);
    const km_topic *found = km_topic_by_name(world->cluster, KC_STR("t"));
    if (version >= 10 && found)
        topic.topic_id = found->id;
    old.partition_indexes.items = topic.partition_indexes.items = partitions;
    old.partition_indexes.count = topic.partition_indexes.count = 2;
    group.topics.items = &topic;
    group.topics.count = 1;
    request.require_stable = is_stable_only;
    if (version < 8) {
        request.group_id = KC_STR(GROUP);
        request.topics.items = &old;
        request.topics.count = 1;
    } else {
        request.groups.items = &group;
        request.groups.count = 1;
    }
    return mock_ask(coordinator(world), KP_API_OFFSET_FETCH, version, &request);
}

static mock_world *offsets_world(void)
{
    mock_world *world = mock_new(1);
    mock_topic(world, "t", 2);
    return world;
}

START_TEST(a_committed_offset_is_fetched_in_each_version)
{
    for (int16_t version = 1; version <= 10; version++) {
        mock_world *world = offsets_world();
        committer by = nobody;
        by.version = version < 2 ? 2 : version;
        by.metadata = "note";
        ck_assert_int_eq(commit(world, &by, "t", 1, 42), 0);
        const kp_offset_fetch_resp *response = fetch(world, version, false);
        int64_t missing, offset;
        kc_bytes metadata;
        if (version < 8) {
            ck_assert_int_eq(response->error_code, 0);
            ck_assert_int_eq(response->topics.count, 1);
            missing = response->topics.items[0].partitions.items[0].committed_offset;
            offset = response->topics.items[0].partitions.items[1].committed_offset;
            metadata = response->topics.items[0].partitions.items[1].metadata;
        } else {
            const kp_offset_fetch_resp_group *group = &response->groups.items[0];
            ck_assert_int_eq(group->error_code, 0);
            missing = group->topics.items[0].partitions.items[0].committed_offset;
            offset = group->topics.items[0].partitions.items[1].committed_offset;
            metadata = group->topics.items[0].partitions.items[1].metadata;
            ck_assert_int_eq(group->topics.items[0].partitions.items[1].committed_leader_epoch, 3);
        }
        ck_assert_int_eq(missing, -1);
        ck_assert_int_eq(offset, 42);
        ck_assert(kc_bytes_equal(metadata, KC_STR("note")));
        mock_free(world);
    }
}
END_TEST

START_TEST(all_offsets_of_a_group_are_told_by_topic)
{
    mock_world *world = offsets_world();
    mock_topic(world, "u", 1);
    ck_assert_int_eq(commit(world, &nobody, "t", 0, 1), 0);
    ck_assert_int_eq(commit(world, &nobody, "u", 0, 2), 0);
    ck_assert_int_eq(commit(world, &nobody, "t", 1, 3), 0);
    for (int16_t version = 2; version <= 10; version++) {
        kp_offset_fetch_req_group group = {.group_id = KC_STR(GROUP), .member_epoch = -1};
        kp_offset_fetch_req request;
        mock_defaults(KP_API_OFFSET_FETCH, &request);
        group.topics.count = -1;
        if (version < 8) {
            request.group_id = KC_STR(GROUP);
            request.topics.count = -1;
        } else {
            request.groups.items = &group;
            request.groups.count = 1;
        }
        const kp_offset_fetch_resp *response =
            mock_ask(coordinator(world), KP_API_OFFSET_FETCH, version, &request);
        if (version < 8) {
            ck_assert_int_eq(response->topics.count, 2);
            ck_assert_int_eq(response->topics.items[0].partitions.count, 2);
            continue;
        }
        ck_assert_int_eq(response->groups.items[0].topics.count, 2);
        const kp_offset_fetch_resp_group_topic *topic = &response->groups.items[0].topics.items[0];
        ck_assert_int_eq(topic->partitions.count, 2);
        ck_assert_int_eq(topic->partitions.items[1].committed_offset, 3);
        ck_assert(version < 10 || !kc_uuid_is_zero(topic->topic_id));
    }
    mock_free(world);
}
END_TEST

START_TEST(who_may_commit_depends_on_the_generation)
{
    mock_world *world = offsets_world();
    committer by = nobody;
    by.generation = 1;
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), KC_E_GROUP_ID_NOT_FOUND);
    by.version = 8;
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), KC_E_ILLEGAL_GENERATION);
    by.member_id = member(world, "consumer", false);
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), KC_E_REBALANCE_IN_PROGRESS);
    ck_assert_int_eq(commit(world, &nobody, "t", 0, 1), KC_E_UNKNOWN_MEMBER_ID);
    leave(world, by.member_id);
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(commit(world, &nobody, "t", 0, 1), 0);
    mock_free(world);
}
END_TEST

START_TEST(a_member_commits_in_its_generation_and_lives_by_that)
{
    mock_world *world = offsets_world();
    committer by = nobody;
    by.member_id = member(world, "consumer", true);
    by.generation = 2;
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), KC_E_ILLEGAL_GENERATION);
    by.generation = 1;
    by.instance_id = "i";
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), KC_E_UNKNOWN_MEMBER_ID);
    by.instance_id = NULL;
    for (int i = 0; i < 5; i++) {
        mock_run(world, 8000);
        ck_assert_int_eq(commit(world, &by, "t", 0, i), 0);
    }
    mock_run(world, 11000);
    ck_assert_int_eq(commit(world, &by, "t", 0, 9), KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(what_is_not_there_can_not_be_committed)
{
    mock_world *world = offsets_world();
    committer by = nobody;
    ck_assert_int_eq(commit(world, &by, "none", 0, 1), KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(commit(world, &by, "t", 2, 1), KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    by.version = 10;
    ck_assert_int_eq(commit(world, &by, "none", 0, 1), KC_E_UNKNOWN_TOPIC_ID);
    /* No group comes of that. */
    ck_assert_ptr_null(km_group_find(world->cluster, KC_STR(GROUP)));
    char longest[4098];
    memset(longest, 'x', sizeof longest);
    longest[4097] = 0;
    by.metadata = longest;
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), KC_E_OFFSET_METADATA_TOO_LARGE);
    longest[4096] = 0;
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), 0);
    mock_free(world);
}
END_TEST

START_TEST(an_offset_of_an_open_transaction_is_unstable_for_who_asks)
{
    mock_world *world = offsets_world();
    ck_assert_int_eq(commit(world, &nobody, "t", 0, 1), 0);
    km_group *group = km_group_find(world->cluster, KC_STR(GROUP));
    ck_assert_int_eq(km_group_offset_put_pending(group, 7, KC_STR("t"), 0, 5, -1, KC_NULL), KC_OK);
    const kp_offset_fetch_resp *response = fetch(world, 9, true);
    const kp_offset_fetch_resp_group_topic *topic = &response->groups.items[0].topics.items[0];
    ck_assert_int_eq(topic->partitions.items[0].error_code, KC_E_UNSTABLE_OFFSET_COMMIT);
    ck_assert_int_eq(topic->partitions.items[0].committed_offset, -1);
    ck_assert_int_eq(topic->partitions.items[1].error_code, 0);
    response = fetch(world, 9, false);
    topic = &response->groups.items[0].topics.items[0];
    ck_assert_int_eq(topic->partitions.items[0].committed_offset, 1);
    mock_free(world);
}
END_TEST

START_TEST(a_wrong_coordinator_and_a_forced_error_are_told_where_each_version_can)
{
    mock_world *world = offsets_world();
    km_fault fault;
    km_fault_init(&fault);
    fault.error = KC_E_NOT_COORDINATOR;
    km_fault_add(world->cluster, &fault);
    ck_assert_int_eq(commit(world, &nobody, "t", 0, 1), KC_E_NOT_COORDINATOR);
    ck_assert_ptr_null(km_group_find(world->cluster, KC_STR(GROUP)));
    const kp_offset_fetch_resp *response = fetch(world, 1, false);
    ck_assert_int_eq(response->topics.items[0].partitions.items[1].error_code,
                     KC_E_NOT_COORDINATOR);
    response = fetch(world, 5, false);
    ck_assert_int_eq(response->error_code, KC_E_NOT_COORDINATOR);
    ck_assert_int_eq(response->topics.count, 0);
    response = fetch(world, 8, false);
    ck_assert_int_eq(response->groups.items[0].error_code, KC_E_NOT_COORDINATOR);
    mock_free(world);
}
END_TEST

START_TEST(offsets_of_a_topic_go_with_it)
{
    mock_world *world = offsets_world();
    mock_topic(world, "u", 1);
    ck_assert_int_eq(commit(world, &nobody, "t", 0, 1), 0);
    ck_assert_int_eq(commit(world, &nobody, "u", 0, 2), 0);
    km_topic_delete(world->cluster, km_topic_by_name(world->cluster, KC_STR("t")));
    mock_topic(world, "t", 2);
    km_changed(world->cluster);
    const km_group *group = km_group_find(world->cluster, KC_STR(GROUP));
    ck_assert_ptr_null(km_group_offset_get(group, KC_STR("t"), 0));
    ck_assert_int_eq(km_group_offset_get(group, KC_STR("u"), 0)->offset, 2);
    mock_free(world);
}
END_TEST

/* ---- OffsetDelete ---- */

/** Of partition 0. */
static int16_t delete_offset(mock_world *world, const char *topic, int16_t *of_group)
{
    kp_offset_delete_req_partition partition = {0};
    kp_offset_delete_req_topic one = {.name = kc_str(topic)};
    kp_offset_delete_req request;
    one.partitions.items = &partition;
    one.partitions.count = 1;
    mock_defaults(KP_API_OFFSET_DELETE, &request);
    request.group_id = KC_STR(GROUP);
    request.topics.items = &one;
    request.topics.count = 1;
    const kp_offset_delete_resp *response =
        mock_ask(coordinator(world), KP_API_OFFSET_DELETE, 0, &request);
    *of_group = response->error_code;
    return response->error_code ? 0 : response->topics.items[0].partitions.items[0].error_code;
}

START_TEST(offsets_are_deleted_unless_a_member_reads_the_topic)
{
    mock_world *world = offsets_world();
    mock_topic(world, "u", 1);
    int16_t of_group;
    delete_offset(world, "t", &of_group);
    ck_assert_int_eq(of_group, KC_E_GROUP_ID_NOT_FOUND);
    ck_assert_int_eq(commit(world, &nobody, "t", 0, 1), 0);
    ck_assert_int_eq(commit(world, &nobody, "u", 0, 2), 0);
    const char *id = member(world, "consumer", true);
    ck_assert_int_eq(delete_offset(world, "t", &of_group), KC_E_GROUP_SUBSCRIBED_TO_TOPIC);
    ck_assert_int_eq(delete_offset(world, "u", &of_group), 0);
    ck_assert_int_eq(delete_offset(world, "v", &of_group), KC_E_UNKNOWN_TOPIC_OR_PARTITION);
    const km_group *group = km_group_find(world->cluster, KC_STR(GROUP));
    ck_assert_ptr_null(km_group_offset_get(group, KC_STR("u"), 0));
    leave(world, id);
    ck_assert_int_eq(delete_offset(world, "t", &of_group), 0);
    ck_assert_ptr_null(km_group_offset_get(group, KC_STR("t"), 0));
    mock_free(world);
}
END_TEST

START_TEST(offsets_of_a_group_of_another_protocol_are_deleted_only_when_it_is_empty)
{
    mock_world *world = offsets_world();
    int16_t of_group;
    member(world, "connect", true);
    delete_offset(world, "t", &of_group);
    ck_assert_int_eq(of_group, KC_E_NON_EMPTY_GROUP);
    mock_free(world);
}
END_TEST

/* ---- ListGroups, DescribeGroups, DeleteGroups ---- */

static const kp_list_groups_resp *list(mock_world *world, const char *state, const char *type)
{
    kp_list_groups_req request;
    kc_bytes states[] = {kc_str(state)};
    kc_bytes types[] = {kc_str(type)};
    mock_defaults(KP_API_LIST_GROUPS, &request);
    if (state) {
        request.states_filter.items = states;
        request.states_filter.count = 1;
    }
    if (type) {
        request.types_filter.items = types;
        request.types_filter.count = 1;
    }
    return mock_ask(coordinator(world), KP_API_LIST_GROUPS, 5, &request);
}

START_TEST(groups_are_listed_by_state_and_type)
{
    mock_world *world = offsets_world();
    committer by = nobody;
    by.group = "simple";
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), 0);
    member(world, "consumer", true);
    ck_assert_int_eq(list(world, NULL, NULL)->groups.count, 2);
    const kp_list_groups_resp *response = list(world, " stable ", NULL);
    ck_assert_int_eq(response->groups.count, 1);
    ck_assert(kc_bytes_equal(response->groups.items[0].group_id, KC_STR(GROUP)));
    ck_assert(kc_bytes_equal(response->groups.items[0].protocol_type, KC_STR("consumer")));
    ck_assert(kc_bytes_equal(response->groups.items[0].group_type, KC_STR("classic")));
    response = list(world, "Empty", "CLASSIC");
    ck_assert_int_eq(response->groups.count, 1);
    ck_assert(kc_bytes_equal(response->groups.items[0].group_id, KC_STR("simple")));
    ck_assert_int_eq(list(world, NULL, "share")->groups.count, 0);
    mock_free(world);
}
END_TEST

static const kp_describe_groups_resp_group *describe(mock_world *world, const char *group,
                                                     int16_t version)
{
    kp_describe_groups_req request;
    kc_bytes groups[] = {kc_str(group)};
    mock_defaults(KP_API_DESCRIBE_GROUPS, &request);
    request.groups.items = groups;
    request.groups.count = 1;
    request.include_authorized_operations = version >= 3;
    const kp_describe_groups_resp *response =
        mock_ask(coordinator(world), KP_API_DESCRIBE_GROUPS, version, &request);
    ck_assert_int_eq(response->groups.count, 1);
    return &response->groups.items[0];
}

START_TEST(a_stable_group_is_described_with_its_assignments)
{
    mock_world *world = offsets_world();
    const char *id = member(world, "consumer", true);
    const kp_describe_groups_resp_group *group = describe(world, GROUP, 6);
    ck_assert_int_eq(group->error_code, 0);
    ck_assert(kc_bytes_equal(group->group_state, KC_STR("Stable")));
    ck_assert(kc_bytes_equal(group->protocol_data, KC_STR("range")));
    ck_assert_int_ne(group->authorized_operations, INT32_MIN);
    ck_assert_int_eq(group->members.count, 1);
    const kp_describe_groups_resp_member *only = &group->members.items[0];
    ck_assert(kc_bytes_equal(only->member_id, kc_str(id)));
    ck_assert(kc_bytes_equal(only->client_id, KC_STR("test")));
    ck_assert(kc_bytes_equal(only->member_assignment, KC_STR("mine")));
    ck_assert_uint_eq(only->member_metadata.len, 13);
    leave(world, id);
    group = describe(world, GROUP, 0);
    ck_assert(kc_bytes_equal(group->group_state, KC_STR("Empty")));
    ck_assert(kc_bytes_equal(group->protocol_type, KC_STR("consumer")));
    ck_assert_int_eq(group->members.count, 0);
    mock_free(world);
}
END_TEST

START_TEST(a_group_that_is_not_there_is_dead_and_since_version_6_an_error)
{
    mock_world *world = offsets_world();
    const kp_describe_groups_resp_group *group = describe(world, GROUP, 5);
    ck_assert_int_eq(group->error_code, 0);
    ck_assert(kc_bytes_equal(group->group_state, KC_STR("Dead")));
    group = describe(world, GROUP, 6);
    ck_assert_int_eq(group->error_code, KC_E_GROUP_ID_NOT_FOUND);
    ck_assert(kc_bytes_equal(group->error_message, KC_STR("Group g not found.")));
    mock_free(world);
}
END_TEST

START_TEST(an_empty_group_is_deleted_with_its_offsets)
{
    mock_world *world = offsets_world();
    kp_delete_groups_req request;
    kc_bytes names[] = {KC_STR(GROUP), KC_STR("none"), KC_STR(GROUP)};
    mock_defaults(KP_API_DELETE_GROUPS, &request);
    request.groups_names.items = names;
    request.groups_names.count = 3;
    ck_assert_int_eq(commit(world, &nobody, "t", 0, 1), 0);
    const char *id = member(world, "consumer", true);
    const kp_delete_groups_resp *response =
        mock_ask(coordinator(world), KP_API_DELETE_GROUPS, 2, &request);
    ck_assert_int_eq(response->results.count, 2);
    ck_assert_int_eq(response->results.items[0].error_code, KC_E_NON_EMPTY_GROUP);
    ck_assert_int_eq(response->results.items[1].error_code, KC_E_GROUP_ID_NOT_FOUND);
    leave(world, id);
    response = mock_ask(coordinator(world), KP_API_DELETE_GROUPS, 2, &request);
    ck_assert_int_eq(response->results.items[0].error_code, 0);
    ck_assert_ptr_null(km_group_find(world->cluster, KC_STR(GROUP)));
    mock_free(world);
}
END_TEST

START_TEST(a_group_of_another_kind_is_no_classic_one_but_its_members_can_be_taken_out)
{
    mock_world *world = offsets_world();
    kp_consumer_group_heartbeat_req join;
    kc_bytes topics[] = {KC_STR("t")};
    mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &join);
    join.group_id = KC_STR(GROUP);
    join.member_id = KC_STR("m");
    join.rebalance_timeout_ms = 10000;
    join.subscribed_topic_names.items = topics;
    join.subscribed_topic_names.count = 1;
    join.topic_partitions.count = 0;
    const kp_consumer_group_heartbeat_resp *joined =
        mock_ask(coordinator(world), KP_API_CONSUMER_GROUP_HEARTBEAT, 1, &join);
    ck_assert_int_eq(joined->error_code, 0);
    committer by = nobody;
    by.member_id = "m";
    by.generation = joined->member_epoch;
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), 0);
    by.version = 8;
    ck_assert_int_eq(commit(world, &by, "t", 0, 1), KC_E_UNSUPPORTED_VERSION);
    const kp_describe_groups_resp_group *group = describe(world, GROUP, 6);
    ck_assert_int_eq(group->error_code, KC_E_GROUP_ID_NOT_FOUND);
    ck_assert(kc_bytes_equal(group->error_message, KC_STR("Group g is not a classic group.")));
    ck_assert(
        kc_bytes_equal(list(world, NULL, NULL)->groups.items[0].group_type, KC_STR("consumer")));
    leave(world, "m");
    ck_assert(km_group_is_empty(km_group_find(world->cluster, KC_STR(GROUP))));
    /* Empty it becomes what its next member is. */
    member(world, "consumer", true);
    ck_assert_int_eq(describe(world, GROUP, 6)->error_code, 0);
    ck_assert(km_group_offset_get(km_group_find(world->cluster, KC_STR(GROUP)), KC_STR("t"), 0));
    mock_free(world);
}
END_TEST

/* ---- little memory ---- */

static int allocations_left = -1; /* the one at 0 fails */

static void *malloc_but_once(size_t size, void *user)
{
    (void)user;
    return allocations_left-- == 0 ? NULL : malloc(size);
}

static void *realloc_but_once(void *ptr, size_t size, void *user)
{
    (void)user;
    return allocations_left-- == 0 ? NULL : realloc(ptr, size);
}

/** Send with so much memory for the broker; what it answers is not looked at. */
static void ask_starved(mock_world *world, int16_t api_key, int16_t version, const void *request,
                        size_t bytes)
{
    kb_mem own;
    kb_buf out;
    kp_fault fault = {0};
    mock_link *link = mock_link_new(world, 1);
    kb_mem_init(&own, NULL, 0);
    kb_buf_init(&out, &own, 0);
    ck_assert_int_eq(kp_frame_request(kp_api_by_key(api_key), version, 7, KC_STR("test"), request,
                                      &out, NULL, &fault),
                     KC_OK);
    kc_alloc before = world->mem.alloc;
    world->mem.alloc.malloc_fn = malloc_but_once;
    world->mem.alloc.realloc_fn = realloc_but_once;
    world->mem.limit = world->mem.used + bytes;
    mock_send_bytes(link, kb_buf_bytes(&out));
    world->mem.limit = SIZE_MAX;
    world->mem.alloc = before;
    kb_buf_cleanup(&out);
    ck_assert(mock_is_closed(link) || km_conn_output(mock_conn(link)).len > 0);
    mock_link_free(link);
}

static void ask_all_starved(mock_world *world, size_t bytes)
{
    kp_offset_commit_req_partition partitions[] = {
        {.partition_index = 0, .committed_offset = 1, .committed_leader_epoch = -1},
        {.partition_index = 1, .committed_offset = 2, .committed_leader_epoch = -1}};
    kp_offset_commit_req_topic topic = {.name = KC_STR("t"), .partitions = {partitions, 2}};
    kp_offset_commit_req commits;
    kp_offset_fetch_req_group group = {.group_id = KC_STR("simple"), .topics = {.count = -1}};
    kp_offset_fetch_req fetches;
    kp_list_groups_req lists;
    kp_describe_groups_req describes;
    kc_bytes names[] = {KC_STR(GROUP), KC_STR("simple"), KC_STR("none")};
    mock_defaults(KP_API_OFFSET_COMMIT, &commits);
    commits.group_id = KC_STR("simple");
    commits.topics.items = &topic;
    commits.topics.count = 1;
    mock_defaults(KP_API_OFFSET_FETCH, &fetches);
    fetches.groups.items = &group;
    fetches.groups.count = 1;
    mock_defaults(KP_API_LIST_GROUPS, &lists);
    mock_defaults(KP_API_DESCRIBE_GROUPS, &describes);
    describes.groups.items = names;
    describes.groups.count = 3;
    ask_starved(world, KP_API_OFFSET_COMMIT, 9, &commits, bytes);
    ask_starved(world, KP_API_OFFSET_FETCH, 9, &fetches, bytes);
    ask_starved(world, KP_API_LIST_GROUPS, 5, &lists, bytes);
    ask_starved(world, KP_API_DESCRIBE_GROUPS, 6, &describes, bytes);
}

START_TEST(without_memory_a_connection_closes_and_the_groups_stay)
{
    for (size_t bytes = 0; bytes < 12288; bytes += 64) {
        mock_world *world = offsets_world();
        member(world, "consumer", true);
        ask_all_starved(world, bytes);
        ck_assert_int_eq(describe(world, GROUP, 6)->members.count, 1);
        mock_free(world);
    }
}
END_TEST

/** To ask who coordinates a group may make the topic that says so: not at first, but when it is asked again. */
START_TEST(groups_are_listed_whichever_allocation_fails)
{
    for (int k = 0; k < 200; k++) {
        mock_world *world = offsets_world();
        ck_assert_int_eq(commit(world, &nobody, "t", 0, 1), 0);
        km_topic_delete(world->cluster,
                        km_topic_by_name(world->cluster, KC_STR("__consumer_offsets")));
        kp_list_groups_req request;
        mock_defaults(KP_API_LIST_GROUPS, &request);
        allocations_left = k;
        ask_starved(world, KP_API_LIST_GROUPS, 5, &request, 1 << 20);
        allocations_left = -1;
        mock_free(world);
    }
}
END_TEST
