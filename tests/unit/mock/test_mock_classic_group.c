/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Members of classic groups: they join, are assigned, live, leave and get lost. */
#include "mock/classic_group.h"
#include "protocol/frame.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define GROUP "g"

/** A member at its own connection, as a client would have it. */
typedef struct joiner {
    mock_world *world;
    mock_link *link;
    int16_t version; /**< of JoinGroup; 0: 9 */
    const char *instance_id;
    const char *metadata;
    const char *protocols[2]; /**< default: range */
    char id[128];
    char leader[128];
    int32_t generation;
    int32_t members; /**< told to the leader */
    bool skip_assignment;
} joiner;

static mock_link *coordinator_link(mock_world *world)
{
    const km_partition *at =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_GROUP, KC_STR(GROUP));
    ck_assert_ptr_nonnull(at);
    return mock_link_new(world, at->leader);
}

static joiner joiner_new(mock_world *world)
{
    return (joiner){.world = world, .link = coordinator_link(world), .generation = -1};
}

static void keep(char out[128], kc_bytes text)
{
    snprintf(out, 128, KC_FMT, KC_ARG(text));
}

static void join_request(const joiner *one, kp_join_group_req *request,
                         kp_join_group_req_protocol *protocols)
{
    static const char *const usual[2] = {"range", NULL};
    const char *const *names = one->protocols[0] ? one->protocols : usual;
    mock_defaults(KP_API_JOIN_GROUP, request);
    request->group_id = KC_STR(GROUP);
    request->session_timeout_ms = 10000;
    request->rebalance_timeout_ms = 60000;
    request->member_id = kc_str(one->id);
    request->protocol_type = KC_STR("consumer");
    if (one->instance_id)
        request->group_instance_id = kc_str(one->instance_id);
    request->protocols.items = protocols;
    for (int i = 0; i < 2 && names[i]; i++) {
        protocols[i] = (kp_join_group_req_protocol){0};
        protocols[i].name = kc_str(names[i]);
        protocols[i].metadata = kc_str(one->metadata ? one->metadata : "m");
        request->protocols.count++;
    }
}

static void send_join(const joiner *one)
{
    kp_join_group_req request;
    kp_join_group_req_protocol protocols[2];
    join_request(one, &request, protocols);
    mock_send(one->link, KP_API_JOIN_GROUP, one->version ? one->version : 9, &request);
}

/** The answer, which must be there. Its error. */
static int16_t take_join(joiner *one)
{
    const kp_join_group_resp *response = mock_answer(one->link);
    ck_assert_ptr_nonnull(response);
    if (response->error_code == KC_E_MEMBER_ID_REQUIRED || response->error_code == 0)
        keep(one->id, response->member_id);
    if (response->error_code == 0) {
        keep(one->leader, response->leader);
        one->generation = response->generation_id;
        one->members = response->members.count;
        one->skip_assignment = response->skip_assignment;
    }
    return response->error_code;
}

/** With the id it is told to come with. */
static void join(joiner *one)
{
    send_join(one);
    if (one->id[0] || one->instance_id || (one->version && one->version < 4))
        return;
    ck_assert_int_eq(take_join(one), KC_E_MEMBER_ID_REQUIRED);
    send_join(one);
}

static void ask_sync(const joiner *one, const kp_sync_group_req *request)
{
    mock_send(one->link, KP_API_SYNC_GROUP, 5, request);
}

static void sync_request(const joiner *one, kp_sync_group_req *request)
{
    mock_defaults(KP_API_SYNC_GROUP, request);
    request->group_id = KC_STR(GROUP);
    request->generation_id = one->generation;
    request->member_id = kc_str(one->id);
    if (one->instance_id)
        request->group_instance_id = kc_str(one->instance_id);
    request->protocol_type = KC_STR("consumer");
    request->protocol_name = KC_STR("range");
}

static void send_sync(const joiner *one)
{
    kp_sync_group_req request;
    sync_request(one, &request);
    ask_sync(one, &request);
}

/** As the leader: each gets its number. */
static void send_assignments(const joiner *leader, const joiner *all, int count)
{
    static const char *const numbers[] = {"0", "1", "2", "3"};
    kp_sync_group_req request;
    kp_sync_group_req_assignment assignments[4] = {0};
    sync_request(leader, &request);
    request.assignments.items = assignments;
    for (int i = 0; i < count; i++) {
        assignments[i].member_id = kc_str(all[i].id);
        assignments[i].assignment = kc_str(numbers[i]);
    }
    request.assignments.count = count;
    ask_sync(leader, &request);
}

static int16_t take_sync(const joiner *one, const char *assignment)
{
    const kp_sync_group_resp *response = mock_answer(one->link);
    ck_assert_ptr_nonnull(response);
    if (response->error_code == 0)
        ck_assert(kc_bytes_equal(response->assignment, kc_str(assignment)));
    return response->error_code;
}

static int16_t heartbeat(const joiner *one)
{
    kp_heartbeat_req request;
    mock_defaults(KP_API_HEARTBEAT, &request);
    request.group_id = KC_STR(GROUP);
    request.generation_id = one->generation;
    request.member_id = kc_str(one->id);
    if (one->instance_id)
        request.group_instance_id = kc_str(one->instance_id);
    const kp_heartbeat_resp *response = mock_ask(one->link, KP_API_HEARTBEAT, 4, &request);
    return response->error_code;
}

static int16_t leave(const joiner *one)
{
    kp_leave_group_req request;
    kp_leave_group_req_member member = {.member_id = kc_str(one->id)};
    mock_defaults(KP_API_LEAVE_GROUP, &request);
    request.group_id = KC_STR(GROUP);
    request.members.items = &member;
    request.members.count = 1;
    if (one->instance_id)
        member.group_instance_id = kc_str(one->instance_id);
    const kp_leave_group_resp *response = mock_ask(one->link, KP_API_LEAVE_GROUP, 5, &request);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert_int_eq(response->members.count, 1);
    return response->members.items[0].error_code;
}

/** A stable group: [0] leads, each has its number. */
static void stable(joiner *all, int count)
{
    join(&all[0]);
    ck_assert_int_eq(take_join(&all[0]), 0);
    for (int i = 1; i < count; i++)
        join(&all[i]);
    if (count > 1) {
        send_join(&all[0]);
        for (int i = 0; i < count; i++)
            ck_assert_int_eq(take_join(&all[i]), 0);
    }
    ck_assert_str_eq(all[0].leader, all[0].id);
    ck_assert_int_eq(all[0].members, count);
    for (int i = 1; i < count; i++) {
        ck_assert_int_eq(all[i].members, 0);
        send_sync(&all[i]);
        ck_assert_ptr_null(mock_answer(all[i].link));
    }
    send_assignments(&all[0], all, count);
    static const char *const numbers[] = {"0", "1", "2", "3"};
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(take_sync(&all[i], numbers[i]), 0);
}

static void groups_world(mock_world **world, joiner *all, int count)
{
    *world = mock_new(1);
    for (int i = 0; i < count; i++)
        all[i] = joiner_new(*world);
}

START_TEST(a_new_member_is_told_its_id_first_and_then_leads_the_empty_group)
{
    mock_world *world;
    joiner one;
    groups_world(&world, &one, 1);
    send_join(&one);
    ck_assert_int_eq(take_join(&one), KC_E_MEMBER_ID_REQUIRED);
    ck_assert_int_eq(strncmp(one.id, "test-", 5), 0);
    ck_assert_uint_eq(strlen(one.id), 5 + 36);
    send_join(&one);
    ck_assert_int_eq(take_join(&one), 0);
    ck_assert_int_eq(one.generation, 1);
    ck_assert_int_eq(one.members, 1);
    ck_assert_str_eq(one.leader, one.id);
    mock_free(world);
}
END_TEST

START_TEST(an_old_client_joins_at_once)
{
    mock_world *world;
    joiner one;
    groups_world(&world, &one, 1);
    for (one.version = 2; one.version < 4; one.version++) {
        one.id[0] = 0;
        send_join(&one);
        ck_assert_int_eq(take_join(&one), 0);
        ck_assert_int_eq(leave(&one), 0);
    }
    mock_free(world);
}
END_TEST

START_TEST(followers_wait_for_what_the_leader_assigns)
{
    mock_world *world;
    joiner all[3];
    groups_world(&world, all, 3);
    stable(all, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(heartbeat(&all[i]), 0);
    /* Its answer got lost: it asks again. */
    send_sync(&all[1]);
    ck_assert_int_eq(take_sync(&all[1], "1"), 0);
    mock_free(world);
}
END_TEST

START_TEST(the_first_rebalance_waits_for_more_members)
{
    km_options options;
    km_options_init(&options);
    options.group_initial_delay_ms = 3000;
    mock_world *world = mock_new_with(&options);
    joiner all[2] = {joiner_new(world), joiner_new(world)};
    join(&all[0]);
    mock_run(world, 2000);
    join(&all[1]);
    mock_run(world, 1500);
    ck_assert_ptr_null(mock_answer(all[0].link));
    mock_run(world, 3000);
    ck_assert_int_eq(take_join(&all[0]), 0);
    ck_assert_int_eq(take_join(&all[1]), 0);
    ck_assert_int_eq(all[0].generation, 1);
    ck_assert_int_eq(all[0].members, 2);
    mock_free(world);
}
END_TEST

START_TEST(a_member_that_comes_makes_the_others_join_again)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    stable(all, 1);
    join(&all[1]);
    ck_assert_ptr_null(mock_answer(all[1].link));
    ck_assert_int_eq(heartbeat(&all[0]), KC_E_REBALANCE_IN_PROGRESS);
    send_sync(&all[0]);
    ck_assert_int_eq(take_sync(&all[0], ""), KC_E_REBALANCE_IN_PROGRESS);
    send_join(&all[0]);
    ck_assert_int_eq(take_join(&all[0]), 0);
    ck_assert_int_eq(take_join(&all[1]), 0);
    ck_assert_int_eq(all[1].generation, 2);
    ck_assert_str_eq(all[1].leader, all[0].id);
    mock_free(world);
}
END_TEST

START_TEST(a_member_that_leaves_makes_the_others_join_again)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    stable(all, 2);
    ck_assert_int_eq(leave(&all[0]), 0);
    ck_assert_int_eq(heartbeat(&all[0]), KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(heartbeat(&all[1]), KC_E_REBALANCE_IN_PROGRESS);
    send_join(&all[1]);
    ck_assert_int_eq(take_join(&all[1]), 0);
    ck_assert_str_eq(all[1].leader, all[1].id);
    ck_assert_int_eq(leave(&all[1]), 0);
    ck_assert(km_group_is_empty(km_group_find(world->cluster, KC_STR(GROUP))));
    mock_free(world);
}
END_TEST

START_TEST(a_member_without_heartbeats_is_lost)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    stable(all, 2);
    for (int i = 0; i < 4; i++) {
        mock_run(world, 3000);
        int16_t told = heartbeat(&all[1]);
        ck_assert_int_eq(told, i < 3 ? 0 : KC_E_REBALANCE_IN_PROGRESS);
    }
    ck_assert_int_eq(heartbeat(&all[0]), KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(who_does_not_join_again_in_time_is_out)
{
    mock_world *world;
    joiner all[3];
    groups_world(&world, all, 3);
    stable(all, 2);
    join(&all[2]);
    send_join(&all[1]);
    /* [0] lives, but does not come. */
    for (int i = 0; i < 19; i++) {
        mock_run(world, 3000);
        ck_assert_int_eq(heartbeat(&all[0]), KC_E_REBALANCE_IN_PROGRESS);
    }
    ck_assert_ptr_null(mock_answer(all[1].link));
    mock_run(world, 3100);
    ck_assert_int_eq(take_join(&all[1]), 0);
    ck_assert_int_eq(take_join(&all[2]), 0);
    ck_assert_str_eq(all[2].leader, all[1].id);
    ck_assert_int_eq(all[1].members, 2);
    ck_assert_int_eq(heartbeat(&all[0]), KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(who_does_not_sync_in_time_is_out)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    stable(all, 2);
    send_join(&all[0]);
    send_join(&all[1]);
    ck_assert_int_eq(take_join(&all[0]), 0);
    ck_assert_int_eq(take_join(&all[1]), 0);
    send_sync(&all[1]);
    for (int i = 0; i < 21; i++) {
        mock_run(world, 2900);
        heartbeat(&all[0]);
    }
    ck_assert_int_eq(take_sync(&all[1], ""), KC_E_REBALANCE_IN_PROGRESS);
    ck_assert_int_eq(heartbeat(&all[0]), KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(who_waits_for_an_assignment_needs_no_heartbeats_until_it_has_it)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    stable(all, 2);
    send_join(&all[0]);
    send_join(&all[1]);
    ck_assert_int_eq(take_join(&all[0]), 0);
    ck_assert_int_eq(take_join(&all[1]), 0);
    send_sync(&all[1]);
    for (int i = 0; i < 3; i++) {
        mock_run(world, 9000);
        ck_assert_int_eq(heartbeat(&all[0]), 0);
    }
    send_assignments(&all[0], all, 2);
    ck_assert_int_eq(take_sync(&all[0], "0"), 0);
    ck_assert_int_eq(take_sync(&all[1], "1"), 0);
    mock_run(world, 9000);
    ck_assert_int_eq(heartbeat(&all[0]), 0);
    mock_run(world, 1100);
    ck_assert_int_eq(heartbeat(&all[0]), KC_E_REBALANCE_IN_PROGRESS);
    ck_assert_int_eq(heartbeat(&all[1]), KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(an_id_nobody_joins_with_is_forgotten)
{
    mock_world *world;
    joiner all[3];
    groups_world(&world, all, 3);
    stable(all, 1);
    send_join(&all[1]);
    ck_assert_int_eq(take_join(&all[1]), KC_E_MEMBER_ID_REQUIRED);
    send_join(&all[0]);
    /* The rebalance waits for it. */
    ck_assert_ptr_null(mock_answer(all[0].link));
    mock_run(world, 10001);
    ck_assert_int_eq(take_join(&all[0]), 0);
    send_join(&all[1]);
    ck_assert_int_eq(take_join(&all[1]), KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

START_TEST(a_follower_that_joins_unchanged_is_told_the_current_generation)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    stable(all, 2);
    int32_t generation = all[1].generation;
    send_join(&all[1]);
    ck_assert_int_eq(take_join(&all[1]), 0);
    ck_assert_int_eq(all[1].generation, generation);
    ck_assert_int_eq(heartbeat(&all[0]), 0);
    all[1].metadata = "other";
    send_join(&all[1]);
    ck_assert_ptr_null(mock_answer(all[1].link));
    ck_assert_int_eq(heartbeat(&all[0]), KC_E_REBALANCE_IN_PROGRESS);
    mock_free(world);
}
END_TEST

START_TEST(the_protocol_is_what_all_know_and_most_want)
{
    mock_world *world;
    joiner all[3];
    groups_world(&world, all, 3);
    all[0].protocols[0] = "range";
    all[0].protocols[1] = "roundrobin";
    all[1].protocols[0] = all[2].protocols[0] = "roundrobin";
    all[1].protocols[1] = all[2].protocols[1] = "range";
    join(&all[0]);
    ck_assert_int_eq(take_join(&all[0]), 0);
    join(&all[1]);
    join(&all[2]);
    send_join(&all[0]);
    const kp_join_group_resp *response = mock_answer(all[1].link);
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->error_code, 0);
    ck_assert(kc_bytes_equal(response->protocol_name, KC_STR("roundrobin")));
    joiner stranger = joiner_new(world);
    stranger.protocols[0] = "sticky";
    send_join(&stranger);
    ck_assert_int_eq(take_join(&stranger), KC_E_INCONSISTENT_GROUP_PROTOCOL);
    mock_free(world);
}
END_TEST

START_TEST(what_a_member_tells_wrongly_is_refused)
{
    mock_world *world;
    joiner all[1];
    groups_world(&world, all, 1);
    stable(all, 1);
    joiner wrong = all[0];
    wrong.generation++;
    ck_assert_int_eq(heartbeat(&wrong), KC_E_ILLEGAL_GENERATION);
    send_sync(&wrong);
    ck_assert_int_eq(take_sync(&wrong, ""), KC_E_ILLEGAL_GENERATION);
    wrong = all[0];
    snprintf(wrong.id, sizeof wrong.id, "nobody");
    ck_assert_int_eq(heartbeat(&wrong), KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(leave(&wrong), KC_E_UNKNOWN_MEMBER_ID);
    send_join(&wrong);
    ck_assert_int_eq(take_join(&wrong), KC_E_UNKNOWN_MEMBER_ID);
    kp_sync_group_req request;
    sync_request(&all[0], &request);
    request.protocol_name = KC_NULL;
    ask_sync(&all[0], &request);
    ck_assert_int_eq(take_sync(&all[0], ""), KC_E_INCONSISTENT_GROUP_PROTOCOL);
    request.protocol_name = KC_STR("other");
    ask_sync(&all[0], &request);
    ck_assert_int_eq(take_sync(&all[0], ""), KC_E_INCONSISTENT_GROUP_PROTOCOL);
    mock_free(world);
}
END_TEST

START_TEST(session_timeouts_have_bounds_and_groups_have_names)
{
    mock_world *world = mock_new(1);
    mock_link *link = coordinator_link(world);
    const struct {
        const char *group;
        int32_t session_ms;
        int16_t error;
    } cases[] = {
        {"g", 499, KC_E_INVALID_SESSION_TIMEOUT},
        {"g", 1800001, KC_E_INVALID_SESSION_TIMEOUT},
        {"g", 500, KC_E_INCONSISTENT_GROUP_PROTOCOL},
        {"", 500, KC_E_INVALID_GROUP_ID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kp_join_group_req request;
        mock_defaults(KP_API_JOIN_GROUP, &request);
        request.group_id = kc_str(cases[i].group);
        request.session_timeout_ms = cases[i].session_ms;
        request.protocol_type = KC_STR("consumer");
        const kp_join_group_resp *response = mock_ask(link, KP_API_JOIN_GROUP, 9, &request);
        ck_assert_int_eq(response->error_code, cases[i].error);
    }
    mock_free(world);
}
END_TEST

/* ---- static members ---- */

START_TEST(a_static_member_that_comes_back_takes_its_place_without_a_rebalance)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    all[0].instance_id = "a";
    all[1].instance_id = "b";
    stable(all, 2);
    joiner again = joiner_new(world);
    again.instance_id = "b";
    send_join(&again);
    ck_assert_int_eq(take_join(&again), 0);
    ck_assert_int_eq(again.generation, all[1].generation);
    ck_assert_str_ne(again.id, all[1].id);
    ck_assert(!again.skip_assignment);
    send_sync(&again);
    ck_assert_int_eq(take_sync(&again, "1"), 0);
    ck_assert_int_eq(heartbeat(&all[0]), 0);
    ck_assert_int_eq(heartbeat(&all[1]), KC_E_FENCED_INSTANCE_ID);
    ck_assert_int_eq(leave(&all[1]), KC_E_FENCED_INSTANCE_ID);
    mock_free(world);
}
END_TEST

START_TEST(a_static_leader_that_comes_back_does_not_assign_again)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    all[0].instance_id = "a";
    all[1].instance_id = "b";
    stable(all, 2);
    joiner again = joiner_new(world);
    again.instance_id = "a";
    send_join(&again);
    ck_assert_int_eq(take_join(&again), 0);
    ck_assert(again.skip_assignment);
    ck_assert_str_eq(again.leader, again.id);
    ck_assert_int_eq(again.members, 2);
    /* Before KIP-814 it was told that another leads. */
    joiner old = joiner_new(world);
    old.instance_id = "a";
    old.version = 8;
    send_join(&old);
    ck_assert_int_eq(take_join(&old), 0);
    ck_assert_str_eq(old.leader, again.id);
    ck_assert_int_eq(old.members, 0);
    mock_free(world);
}
END_TEST

START_TEST(a_static_member_stays_while_it_does_not_join_until_its_session_is_over)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    all[0].instance_id = "a";
    all[1].instance_id = "b";
    stable(all, 2);
    send_join(&all[0]);
    ck_assert_ptr_null(mock_answer(all[0].link));
    mock_run(world, 9000);
    ck_assert_ptr_null(mock_answer(all[0].link));
    mock_run(world, 1100);
    ck_assert_int_eq(take_join(&all[0]), 0);
    ck_assert_int_eq(all[0].members, 1);
    mock_free(world);
}
END_TEST

START_TEST(a_static_member_that_lives_but_does_not_join_is_in_the_next_generation_too)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    all[0].instance_id = "a";
    all[1].instance_id = "b";
    stable(all, 2);
    send_join(&all[0]);
    for (int i = 0; i < 7; i++) {
        mock_run(world, 9000);
        ck_assert_int_eq(heartbeat(&all[1]),
                         i < 6 ? KC_E_REBALANCE_IN_PROGRESS : KC_E_ILLEGAL_GENERATION);
    }
    ck_assert_int_eq(take_join(&all[0]), 0);
    ck_assert_int_eq(all[0].members, 2);
    mock_free(world);
}
END_TEST

START_TEST(an_administrator_takes_a_static_member_out_by_its_instance_id)
{
    mock_world *world;
    joiner all[1];
    groups_world(&world, all, 1);
    all[0].instance_id = "a";
    stable(all, 1);
    joiner admin = joiner_new(world);
    admin.instance_id = "a";
    ck_assert_int_eq(leave(&admin), 0);
    ck_assert_int_eq(leave(&admin), KC_E_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(heartbeat(&all[0]), KC_E_UNKNOWN_MEMBER_ID);
    mock_free(world);
}
END_TEST

/* ---- what happens to those who wait ---- */

START_TEST(a_client_that_gives_up_waiting_counts_as_joined_still)
{
    mock_world *world;
    joiner all[3];
    groups_world(&world, all, 3);
    stable(all, 2);
    send_join(&all[0]);
    mock_link_free(all[0].link);
    send_join(&all[1]);
    ck_assert_int_eq(take_join(&all[1]), 0);
    ck_assert_str_eq(all[1].leader, all[0].id);
    mock_free(world);
}
END_TEST

START_TEST(a_held_request_of_a_connection_that_ends_is_gone)
{
    mock_world *world;
    joiner all[2];
    groups_world(&world, all, 2);
    stable(all, 2);
    send_join(&all[1]); /* unchanged: answered */
    ck_assert_int_eq(take_join(&all[1]), 0);
    send_join(&all[0]);
    send_join(&all[1]);
    ck_assert_int_eq(take_join(&all[0]), 0);
    ck_assert_int_eq(take_join(&all[1]), 0);
    send_sync(&all[1]);
    mock_link_free(all[1].link);
    send_assignments(&all[0], all, 2);
    ck_assert_int_eq(take_sync(&all[0], "0"), 0);
    mock_free(world);
}
END_TEST

START_TEST(a_coordinator_that_moves_knows_the_last_generation_and_sends_the_waiting_away)
{
    mock_world *world = mock_new(3);
    joiner all[3] = {joiner_new(world), joiner_new(world), joiner_new(world)};
    stable(all, 2);
    send_join(&all[0]);
    join(&all[2]);
    km_partition *at =
        km_coordinator_partition(world->cluster, KM_COORDINATOR_GROUP, KC_STR(GROUP));
    km_partition_move(world->cluster, at, at->leader % 3 + 1);
    km_changed(world->cluster);
    ck_assert_int_eq(take_join(&all[0]), KC_E_NOT_COORDINATOR);
    ck_assert_int_eq(take_join(&all[2]), KC_E_NOT_COORDINATOR);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(heartbeat(&all[i]), KC_E_NOT_COORDINATOR);
    for (int i = 0; i < 3; i++)
        all[i].link = coordinator_link(world);
    ck_assert_int_eq(heartbeat(&all[0]), 0);
    ck_assert_int_eq(heartbeat(&all[1]), 0);
    send_sync(&all[1]);
    ck_assert_int_eq(take_sync(&all[1], "1"), 0);
    /* It was in no generation yet. */
    send_join(&all[2]);
    ck_assert_int_eq(take_join(&all[2]), KC_E_UNKNOWN_MEMBER_ID);
    /* A member that does not find the new coordinator is lost there too. */
    mock_run(world, 9000);
    ck_assert_int_eq(heartbeat(&all[1]), 0);
    mock_run(world, 2000);
    ck_assert_int_eq(heartbeat(&all[1]), KC_E_REBALANCE_IN_PROGRESS);
    mock_free(world);
}
END_TEST

START_TEST(a_coordinator_that_stops_loses_nobody_while_there_is_none)
{
    mock_world *world = mock_new(1);
    joiner all[2] = {joiner_new(world), joiner_new(world)};
    stable(all, 2);
    km_broker_stop(mock_broker(world, 1), false);
    mock_run(world, 60000);
    km_broker_start(mock_broker(world, 1));
    all[0].link = coordinator_link(world);
    ck_assert_int_eq(heartbeat(&all[0]), 0);
    mock_free(world);
}
END_TEST

START_TEST(a_forced_error_does_nothing)
{
    mock_world *world;
    joiner all[1];
    groups_world(&world, all, 1);
    stable(all, 1);
    km_fault fault;
    km_fault_init(&fault);
    fault.error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    uint32_t number = km_fault_add(world->cluster, &fault);
    ck_assert_int_eq(heartbeat(&all[0]), KC_E_COORDINATOR_LOAD_IN_PROGRESS);
    send_join(&all[0]);
    ck_assert_int_eq(take_join(&all[0]), KC_E_COORDINATOR_LOAD_IN_PROGRESS);
    send_sync(&all[0]);
    ck_assert_int_eq(take_sync(&all[0], ""), KC_E_COORDINATOR_LOAD_IN_PROGRESS);
    km_fault_remove(world->cluster, number);
    ck_assert_int_eq(heartbeat(&all[0]), 0);
    mock_free(world);
}
END_TEST

/** Send with little memory for the broker; what it answers is not looked at. */
static void send_join_starved(joiner *one, size_t bytes)
{
    kb_mem own;
    kb_buf out;
    kp_fault fault = {0};
    kp_join_group_req request;
    kp_join_group_req_protocol protocols[1];
    kb_mem_init(&own, NULL, 0);
    kb_buf_init(&out, &own, 0);
    join_request(one, &request, protocols);
    ck_assert_int_eq(kp_frame_request(kp_api_by_key(KP_API_JOIN_GROUP), 3, 7, KC_STR("test"),
                                      &request, &out, NULL, &fault),
                     KC_OK);
    one->world->mem.limit = one->world->mem.used + bytes;
    mock_send_bytes(one->link, kb_buf_bytes(&out));
    one->world->mem.limit = SIZE_MAX;
    kb_buf_cleanup(&out);
}

START_TEST(without_memory_a_connection_closes_and_nothing_is_lost)
{
    for (size_t bytes = 0; bytes < 16384; bytes += 64) {
        mock_world *world;
        joiner all[2];
        groups_world(&world, all, 2);
        stable(all, 1);
        all[1].version = 3;
        send_join_starved(&all[1], bytes);
        send_join_starved(&all[0], bytes);
        joiner other = joiner_new(world);
        snprintf(other.id, sizeof other.id, "nobody");
        ck_assert_int_eq(heartbeat(&other), KC_E_UNKNOWN_MEMBER_ID);
        mock_run(world, 400000);
        ck_assert(km_group_is_empty(km_group_find(world->cluster, KC_STR(GROUP))));
        mock_free(world);
    }
}
END_TEST

START_TEST(a_member_with_more_protocols_than_any_client_has_is_refused)
{
    static kp_join_group_req_protocol protocols[KM_CLASSIC_PROTOCOLS_MAX + 1];
    mock_world *world = mock_new(1);
    joiner one = joiner_new(world);
    kp_join_group_req request;
    join_request(&one, &request, protocols);
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++)
        protocols[i] = protocols[0];
    request.protocols.count = KM_CLASSIC_PROTOCOLS_MAX + 1;
    mock_send(one.link, KP_API_JOIN_GROUP, 9, &request);
    ck_assert_int_eq(take_join(&one), KC_E_INCONSISTENT_GROUP_PROTOCOL);
    mock_free(world);
}
END_TEST
