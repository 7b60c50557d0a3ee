/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A random walk of members that join, sync, beat, commit, leave, hang up and come back, while the coordinator moves and
 * memory gets short: whatever the order, the group's state holds together, and without members all comes to rest. */
#include "mock/classic_group.h"
#include "tests/unit/mock/mock_world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define GROUP  "g"
#define ACTORS 6
#define STEPS  600
#define WALKS  15

typedef struct actor {
    mock_link *link;
    int16_t asked; /**< API of the request under way; -1: none */
    int16_t version;
    char id[96];
    int32_t generation;
    bool leads;
} actor;

typedef struct walk {
    mock_world *world;
    kb_rand rand;
    actor actors[ACTORS];
} walk;

static uint64_t below(walk *at, uint64_t bound)
{
    return kb_rand_below(&at->rand, bound);
}

/* ---- what must hold ---- */

static void check_members(const km_classic_group *group)
{
    int32_t count = 0;
    bool has_leader = false;
    KB_LIST_FOR (node, &group->members) {
        const km_classic_member *member = KB_CONTAINER(node, km_classic_member, node);
        count++;
        has_leader |= member == group->leader;
        ck_assert(!member->join || member->awaits_join);
        ck_assert(!member->sync || member->awaits_sync);
        ck_assert(!member->awaits_join || group->state == KM_CLASSIC_PREPARING);
        ck_assert(!member->awaits_sync || group->state == KM_CLASSIC_COMPLETING);
        /* Somebody looks after it. */
        ck_assert(group->coordinator < 0 || member->awaits_join || member->awaits_sync ||
                  kn_timer_is_set(&member->session));
        if (group->state >= KM_CLASSIC_COMPLETING)
            ck_assert_ptr_nonnull(
                km_classic_metadata(member->protocols, km_classic_protocol_name(group)).ptr);
    }
    ck_assert_int_eq(count, group->member_count);
    ck_assert(has_leader == (count > 0));
}

static void check(const walk *at)
{
    const km_group *base = km_group_find(at->world->cluster, KC_STR(GROUP));
    const km_classic_group *group = base ? km_classic_of(base) : NULL;
    if (!group)
        return;
    check_members(group);
    ck_assert(kb_list_is_empty(&group->answers) && kb_list_is_empty(&group->drops));
    ck_assert((group->state == KM_CLASSIC_PREPARING) == kn_timer_is_set(&group->join_timer));
    if (group->state == KM_CLASSIC_EMPTY)
        ck_assert_int_eq(group->member_count, 0);
}

/* ---- requests ---- */

static void send_join(walk *at, actor *one)
{
    static const char *const names[] = {"range", "roundrobin", "sticky"};
    kp_join_group_req_protocol protocols[2] = {0};
    kp_join_group_req request;
    mock_defaults(KP_API_JOIN_GROUP, &request);
    one->version = (int16_t)(2 + below(at, 8));
    request.group_id = KC_STR(GROUP);
    request.session_timeout_ms = (int32_t)(6000 + below(at, 20000));
    request.rebalance_timeout_ms = (int32_t)(below(at, 60000));
    request.protocol_type = below(at, 30) ? KC_STR("consumer") : KC_STR("connect");
    request.member_id = below(at, 20) ? kc_str(one->id) : KC_STR("nobody");
    if (one->version >= 5 && one - at->actors < 2)
        request.group_instance_id = below(at, 10) ? KC_STR("one") : KC_STR("two");
    request.protocols.items = protocols;
    request.protocols.count = (int32_t)below(at, 20) ? 2 : (int32_t)below(at, 2);
    protocols[0].name = KC_STR("range");
    protocols[1].name = kc_str(names[below(at, 3)]);
    protocols[0].metadata = protocols[1].metadata = below(at, 4) ? KC_STR("m") : KC_STR("n");
    mock_send(one->link, KP_API_JOIN_GROUP, one->version, &request);
}

static void send_sync(walk *at, actor *one)
{
    kp_sync_group_req_assignment assignments[ACTORS] = {0};
    kp_sync_group_req request;
    mock_defaults(KP_API_SYNC_GROUP, &request);
    one->version = (int16_t)below(at, 5);
    request.group_id = KC_STR(GROUP);
    request.generation_id = one->generation - (below(at, 20) ? 0 : 1);
    request.member_id = kc_str(one->id);
    if (one->leads) {
        request.assignments.items = assignments;
        request.assignments.count = (int32_t)below(at, ACTORS + 1);
        for (int i = 0; i < ACTORS; i++) {
            assignments[i].member_id = kc_str(at->actors[i].id);
            assignments[i].assignment = KC_STR("something to do");
        }
    }
    mock_send(one->link, KP_API_SYNC_GROUP, one->version, &request);
}

static void send_heartbeat(walk *at, actor *one)
{
    kp_heartbeat_req request;
    mock_defaults(KP_API_HEARTBEAT, &request);
    one->version = (int16_t)below(at, 5);
    request.group_id = KC_STR(GROUP);
    request.generation_id = one->generation;
    request.member_id = kc_str(one->id);
    mock_send(one->link, KP_API_HEARTBEAT, one->version, &request);
}

static void send_leave(walk *at, actor *one)
{
    kp_leave_group_req_member members[2] = {0};
    kp_leave_group_req request;
    mock_defaults(KP_API_LEAVE_GROUP, &request);
    one->version = (int16_t)(3 + below(at, 3));
    request.group_id = KC_STR(GROUP);
    request.members.items = members;
    request.members.count = 2;
    members[0].member_id = kc_str(one->id);
    members[1].member_id = KC_STR("");
    members[1].group_instance_id = below(at, 3) ? KC_NULL : KC_STR("one");
    mock_send(one->link, KP_API_LEAVE_GROUP, one->version, &request);
}

static void send_commit(walk *at, actor *one)
{
    kp_offset_commit_req_partition partition = {.committed_leader_epoch = -1};
    kp_offset_commit_req_topic topic = {.name = KC_STR("t")};
    kp_offset_commit_req request;
    mock_defaults(KP_API_OFFSET_COMMIT, &request);
    one->version = (int16_t)(2 + below(at, 8));
    partition.committed_offset = (int64_t)below(at, 100);
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    request.group_id = KC_STR(GROUP);
    request.generation_id_or_member_epoch = one->generation;
    request.member_id = kc_str(one->id);
    request.topics.items = &topic;
    request.topics.count = 1;
    mock_send(one->link, KP_API_OFFSET_COMMIT, one->version, &request);
}

/* ---- answers ---- */

static void take(actor *one)
{
    const void *answer = one->link ? mock_answer(one->link) : NULL;
    if (!answer)
        return;
    if (one->asked == KP_API_JOIN_GROUP) {
        const kp_join_group_resp *joined = answer;
        if (joined->error_code == 0 || joined->error_code == KC_E_MEMBER_ID_REQUIRED)
            snprintf(one->id, sizeof one->id, KC_FMT, KC_ARG(joined->member_id));
        if (joined->error_code == KC_E_UNKNOWN_MEMBER_ID)
            one->id[0] = 0;
        if (joined->error_code == 0) {
            one->generation = joined->generation_id;
            one->leads = kc_bytes_equal(joined->leader, joined->member_id);
        }
    }
    one->asked = -1;
}

static mock_link *link_new(walk *at)
{
    const km_partition *coordinator =
        km_coordinator_partition(at->world->cluster, KM_COORDINATOR_GROUP, KC_STR(GROUP));
    bool is_there = coordinator && coordinator->leader >= 0;
    return is_there ? mock_link_new(at->world, coordinator->leader) : NULL;
}

/** Hang up, with or without an answer, and come back at whoever coordinates. */
static void reconnect(walk *at, actor *one)
{
    if (one->link)
        mock_link_free(one->link);
    one->link = link_new(at);
    one->asked = -1;
}

static void ask(walk *at, actor *one)
{
    static const int16_t keys[] = {KP_API_JOIN_GROUP, KP_API_JOIN_GROUP,    KP_API_SYNC_GROUP,
                                   KP_API_HEARTBEAT,  KP_API_OFFSET_COMMIT, KP_API_LEAVE_GROUP};
    int16_t key = keys[below(at, below(at, 5) ? 5 : 6)];
    one->asked = key;
    if (key == KP_API_JOIN_GROUP)
        send_join(at, one);
    else if (key == KP_API_SYNC_GROUP)
        send_sync(at, one);
    else if (key == KP_API_HEARTBEAT)
        send_heartbeat(at, one);
    else if (key == KP_API_OFFSET_COMMIT)
        send_commit(at, one);
    else
        send_leave(at, one);
}

/* ---- the walk ---- */

static void disturb(walk *at)
{
    km_cluster *cluster = at->world->cluster;
    km_partition *coordinator =
        km_coordinator_partition(cluster, KM_COORDINATOR_GROUP, KC_STR(GROUP));
    switch (below(at, 4)) {
    case 0:
        if (coordinator->leader >= 0)
            km_partition_move(cluster, coordinator, coordinator->leader % 2 + 1);
        km_changed(cluster);
        break;
    case 1:
        km_broker_stop(mock_broker(at->world, (int32_t)below(at, 2) + 1), false);
        break;
    default:
        km_broker_start(mock_broker(at->world, 1));
        km_broker_start(mock_broker(at->world, 2));
    }
}

static void step(walk *at)
{
    actor *one = &at->actors[below(at, ACTORS)];
    take(one);
    if (!one->link || mock_is_closed(one->link) || below(at, 40) == 0)
        reconnect(at, one);
    else if (one->asked < 0)
        ask(at, one);
    if (below(at, 60) == 0)
        disturb(at);
    if (below(at, 3) == 0)
        mock_run(at->world, (int64_t)below(at, below(at, 10) ? 2000 : 30000));
}

static void walk_through(uint64_t seed)
{
    walk at = {0};
    km_options options;
    kb_rand_init(&at.rand, seed);
    km_options_init(&options);
    options.broker_count = 2;
    options.group_initial_delay_ms = below(&at, 2) ? 0 : 3000;
    at.world = mock_new_with(&options);
    mock_topic(at.world, "t", 1);
    for (int i = 0; i < ACTORS; i++)
        at.actors[i] = (actor){.asked = -1, .generation = -1};
    for (int i = 0; i < STEPS; i++) {
        step(&at);
        check(&at);
    }
    km_broker_start(mock_broker(at.world, 1));
    km_broker_start(mock_broker(at.world, 2));
    mock_run(at.world, 1000000);
    check(&at);
    const km_group *group = km_group_find(at.world->cluster, KC_STR(GROUP));
    ck_assert(!group || km_group_is_empty(group));
    mock_free(at.world);
}

START_TEST(a_group_holds_together_whatever_its_members_do)
{
    for (uint64_t seed = 1; seed <= WALKS; seed++)
        walk_through(seed);
}
END_TEST
