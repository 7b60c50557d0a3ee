/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Membership of a group: joining, rebalances, heartbeats, losing and leaving it. */
#include "client/consumer_part.h"
#include "tests/unit/client/consumer_world.h"

#include <stdio.h>

static const char *const with_group[] = {"group.id", "g", NULL};

static void start(world *w, int partitions, const char *const *settings)
{
    world_start(w, 2, partitions, settings ? settings : with_group);
    for (int32_t p = 0; p < partitions; p++)
        world_append(world_log_of(w, "t", p), 5, KP_CODEC_NONE);
}

static size_t owned(const world *w)
{
    return kc_consumer_assignment(w->consumer, NULL, 0);
}

/* Trap 39 on the way: MEMBER_ID_REQUIRED comes first. */
START_TEST(a_member_alone_gets_all_partitions_and_reads_them)
{
    world w;
    start(&w, 3, NULL);
    ck_assert_str_eq(world_state(&w), "none");
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_uint_eq(owned(&w), 3);
    ck_assert_int_eq(world_events(&w, 'A'), 1);
    ck_assert_uint_eq(world_last(&w, 'A')->count, 3);
    ck_assert_str_eq(w.joined_with, "me-1");
    ck_assert_str_eq(w.subscription, "t");
    ck_assert_int_eq(world_read_until(&w, 15, 1000), 15);
    kc_group_info info;
    kc_consumer_group_info(w.consumer, &info);
    ck_assert_int_eq(info.generation, 1);
    ck_assert(kc_bytes_equal(info.member_id, KC_STR("me-1")));
    ck_assert_int_eq(info.coordinator, 1);
    world_stop(&w);
}
END_TEST

/* Trap 39. */
START_TEST(the_member_id_is_kept_over_retries)
{
    world w;
    start(&w, 1, NULL);
    world_subscribe(&w, "t");
    w.join_error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    w.join_errors = 2;
    world_stable(&w);
    ck_assert_int_eq(w.joins, 1);
    w.heartbeat_error = KC_E_REBALANCE_IN_PROGRESS;
    w.heartbeat_errors = 1;
    world_run(&w, 4000);
    ck_assert_str_eq(world_state(&w), "stable");
    ck_assert_str_eq(w.joined_with, "me-1");
    ck_assert_int_eq(w.generation, 2);
    world_stop(&w);
}
END_TEST

START_TEST(brokers_before_member_ids_were_required_work_too)
{
    world w;
    start(&w, 1, NULL);
    w.skips_member_id = true;
    w.cluster->versions[KP_API_JOIN_GROUP].max = 2;
    w.cluster->versions[KP_API_SYNC_GROUP].max = 2;
    w.cluster->versions[KP_API_HEARTBEAT].max = 2;
    w.cluster->versions[KP_API_LEAVE_GROUP].max = 2;
    w.cluster->versions[KP_API_OFFSET_COMMIT].max = 4;
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, NULL, 0, 1000, NULL), KC_OK);
    ck_assert_int_eq(kc_consumer_close(w.consumer, 1000), KC_OK);
    w.consumer = NULL;
    ck_assert_int_eq(w.leaves, 1);
    world_stop(&w);
}
END_TEST

START_TEST(the_leader_shares_out_by_range)
{
    world w;
    start(&w, 5, NULL);
    world_add_member_for(&w, "aa", "t"); /* before "me-1" */
    world_add_member_for(&w, "zz", "other-topic");
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(w.syncs_with_assignment, 1);
    ck_assert_uint_eq(owned(&w), 2); /* 3 and 4: aa has the first three */
    ck_assert_ptr_nonnull(kc_part_find(w.consumer, KC_STR("t"), 3));
    ck_assert_ptr_nonnull(kc_part_find(w.consumer, KC_STR("t"), 4));
    world_stop(&w);
}
END_TEST

/* Trap 41. */
START_TEST(members_with_senseless_subscriptions_get_nothing_and_harm_nobody)
{
    world w;
    start(&w, 4, NULL);
    world_add_member(&w, "bad1", KC_STR(""));
    world_add_member(&w, "bad2", KC_STR("\0\1\0\0\377\377"));
    world_add_member(&w, "bad3", KC_STR("\377\377\0\0\0\0"));
    world_add_member(&w, "bad4", KC_STR("\0\0\177\377\377\377\0\1t"));
    world_add_member(&w, "bad5", KC_STR("\0\0\0\0\0\1\0\3a/b\377\377\377\377"));
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_uint_eq(owned(&w), 4);
    world_stop(&w);
}
END_TEST

START_TEST(a_subscription_of_a_newer_version_is_read_as_far_as_known)
{
    world w;
    start(&w, 4, NULL);
    /* Version 9: topics, user data, owned partitions, generation, rack, and something new. */
    world_add_member(&w, "aa",
                     KC_STR("\0\11\0\0\0\1\0\1t\377\377\377\377\0\0\0\0\0\0\0\1\377\377new"));
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_uint_eq(owned(&w), 2);
    world_stop(&w);
}
END_TEST

START_TEST(a_follower_takes_what_it_is_given)
{
    world w;
    start(&w, 4, NULL);
    w.is_follower = true;
    kc_bytes given = KC_STR("\0\0\0\0\0\1\0\1t\0\0\0\2\0\0\0\1\0\0\0\3\377\377\377\377");
    memcpy(w.assignment, given.ptr, given.len);
    w.assignment_len = given.len;
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_uint_eq(owned(&w), 2);
    ck_assert_ptr_nonnull(kc_part_find(w.consumer, KC_STR("t"), 1));
    ck_assert_ptr_nonnull(kc_part_find(w.consumer, KC_STR("t"), 3));
    ck_assert_int_eq(w.syncs_with_assignment, 0);
    world_stop(&w);
}
END_TEST

START_TEST(an_assignment_with_strange_parts_is_taken_without_them)
{
    world w;
    start(&w, 4, NULL);
    w.is_follower = true;
    /* t: 1, 1, -5; and a topic not subscribed. */
    kc_bytes given = KC_STR("\0\0\0\0\0\2\0\1t\0\0\0\3\0\0\0\1\0\0\0\1\377\377\377\373"
                            "\0\1x\0\0\0\1\0\0\0\0\377\377\377\377");
    memcpy(w.assignment, given.ptr, given.len);
    w.assignment_len = given.len;
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_uint_eq(owned(&w), 1);
    world_stop(&w);
}
END_TEST

START_TEST(an_assignment_that_can_not_be_read_is_joined_for_again_slowly)
{
    world w;
    start(&w, 1, NULL);
    w.is_follower = true;
    memcpy(w.assignment, "\0\0\377", 3);
    w.assignment_len = 3;
    world_subscribe(&w, "t");
    world_run(&w, 3000);
    ck_assert_uint_eq(owned(&w), 0);
    ck_assert_int_ge(w.generation, 2);
    ck_assert_int_le(w.generation, 10);
    world_stop(&w);
}
END_TEST

START_TEST(an_empty_assignment_is_an_assignment)
{
    world w;
    start(&w, 1, NULL);
    w.is_follower = true;
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_events(&w, 'A'), 1);
    ck_assert_uint_eq(world_last(&w, 'A')->count, 0);
    kc_batch *batch;
    ck_assert_int_eq(kc_consumer_next(w.consumer, &batch), KC_ERR_AGAIN);
    world_stop(&w);
}
END_TEST

static void seek_on_assigned(world *w, char kind)
{
    if (kind == 'A')
        ck_assert_int_eq(kc_consumer_seek(w->consumer, KC_STR("t"), 0, 3), KC_OK);
}

START_TEST(a_seek_in_on_assigned_counts_and_nothing_else_is_fetched)
{
    world w;
    start(&w, 1, NULL);
    w.on_event = seek_on_assigned;
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 2, 1000), 2);
    ck_assert_int_eq(w.stored_lookups, 0);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_LIST_OFFSETS), 0);
    world_stop(&w);
}
END_TEST

static void commit_on_revoked(world *w, char kind)
{
    if (kind == 'R')
        ck_assert_int_eq(kc_consumer_commit(w->consumer, NULL, 0, world_on_commit, w, NULL), KC_OK);
}

/* Trap 35. */
START_TEST(a_commit_in_on_revoked_is_answered_before_the_join)
{
    world w;
    start(&w, 1, NULL);
    w.on_event = commit_on_revoked;
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    w.holds_commit = true;
    w.heartbeat_error = KC_E_REBALANCE_IN_PROGRESS;
    w.heartbeat_errors = 1;
    world_run(&w, 4000);
    ck_assert_int_eq(world_events(&w, 'R'), 1);
    ck_assert_ptr_nonnull(w.held_commit);
    ck_assert_str_eq(world_state(&w), "revoking");
    ck_assert_int_eq(w.generation, 1); /* no JoinGroup yet */
    kc_batch *batch;
    ck_assert_int_eq(kc_consumer_next(w.consumer, &batch), KC_ERR_AGAIN);
    /* Whoever commits now is too late. */
    kc_topic_offset offset = {.topic = KC_STR("t"), .offset = 5, .leader_epoch = -1};
    ck_assert_int_eq(kc_consumer_commit(w.consumer, &offset, 1, world_on_commit, &w, NULL), KC_OK);
    world_run(&w, 10);
    ck_assert_int_eq(world_last(&w, 'C')->code, KC_E_REBALANCE_IN_PROGRESS);
    fake_drop(w.held_commit);
    w.held_commit = NULL;
    fake_cut(w.cluster, 1); /* the commit is tried again on a new connection */
    world_run(&w, 5000);
    ck_assert_str_eq(world_state(&w), "stable");
    ck_assert_int_eq(world_committed(&w, "t", 0), 5);
    ck_assert_int_eq(w.commit_generation, 1);
    ck_assert_int_eq(w.generation, 2);
    ck_assert_int_eq(world_last(&w, 'C')->code, KC_OK);
    ck_assert_int_eq(world_read_until(&w, 1, 500), 0); /* taken up behind what was committed */
    world_stop(&w);
}
END_TEST

START_TEST(a_commit_that_is_never_answered_holds_the_join_up_for_a_time_only)
{
    world w;
    const char *settings[] = {"group.id", "g", "max.poll.interval.ms", "8000", "request.timeout.ms",
                              "6000",     NULL};
    start(&w, 1, settings);
    w.on_event = commit_on_revoked;
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    w.commit_error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    w.heartbeat_error = KC_E_REBALANCE_IN_PROGRESS;
    w.heartbeat_errors = 1;
    world_run(&w, 15000);
    ck_assert_int_eq(w.generation, 2);
    ck_assert_int_eq(world_last(&w, 'C')->code, KC_ERR_TIMEOUT);
    world_stop(&w);
}
END_TEST

START_TEST(batches_of_revoked_partitions_are_not_current)
{
    world w;
    start(&w, 1, NULL);
    world_subscribe(&w, "t");
    world_stable(&w);
    world_run(&w, 100);
    kc_batch *batch = world_next(&w);
    ck_assert_ptr_nonnull(batch);
    w.heartbeat_error = KC_E_REBALANCE_IN_PROGRESS;
    w.heartbeat_errors = 1;
    world_run(&w, 4000);
    ck_assert_str_eq(world_state(&w), "stable");
    ck_assert_uint_eq(owned(&w), 1);
    ck_assert(!kc_batch_is_current(batch)); /* though the same partition came back */
    kc_batch_free(batch);
    world_stop(&w);
}
END_TEST

/* Trap 36. */
START_TEST(an_unknown_member_loses_its_partitions_and_joins_with_a_new_id)
{
    world w;
    start(&w, 2, NULL);
    world_subscribe(&w, "t");
    world_stable(&w);
    w.heartbeat_error = KC_E_UNKNOWN_MEMBER_ID;
    w.heartbeat_errors = 1;
    world_run(&w, 4000);
    ck_assert_int_eq(world_events(&w, 'L'), 1);
    ck_assert_uint_eq(world_last(&w, 'L')->count, 2);
    ck_assert_int_eq(world_events(&w, 'R'), 0);
    ck_assert_str_eq(world_state(&w), "stable");
    ck_assert_str_eq(w.joined_with, "me-2");
    world_stop(&w);
}
END_TEST

START_TEST(an_illegal_generation_on_a_commit_is_noticed_at_once)
{
    world w;
    start(&w, 1, NULL);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    w.generation = 7; /* others went on */
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, NULL, 0, 5000, NULL),
                     KC_E_ILLEGAL_GENERATION);
    ck_assert_int_eq(world_events(&w, 'L'), 1);
    world_stable(&w);
    ck_assert_str_eq(w.joined_with, "me-1"); /* the id is still good */
    ck_assert_int_eq(world_committed(&w, "t", 0), -1);
    world_stop(&w);
}
END_TEST

START_TEST(a_fenced_static_member_is_finished)
{
    world w;
    const char *settings[] = {"group.id", "g", "group.instance.id", "i", NULL};
    start(&w, 1, settings);
    world_subscribe(&w, "t");
    world_stable(&w);
    w.heartbeat_error = KC_E_FENCED_INSTANCE_ID;
    world_run(&w, 4000);
    kc_batch *batch;
    ck_assert_int_eq(kc_consumer_next(w.consumer, &batch), KC_E_FENCED_INSTANCE_ID);
    ck_assert_int_eq(world_events(&w, 'L'), 1);
    ck_assert_int_eq(world_events(&w, 'E'), 1);
    ck_assert_str_eq(world_state(&w), "fatal");
    uint32_t heartbeats = fake_count(w.cluster, 0, KP_API_HEARTBEAT);
    uint32_t joins = fake_count(w.cluster, 0, KP_API_JOIN_GROUP);
    world_run(&w, 10000);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_HEARTBEAT), heartbeats);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_JOIN_GROUP), joins);
    kc_error error;
    ck_assert_int_eq(kc_consumer_poll(w.consumer, 100, &batch, &error), KC_E_FENCED_INSTANCE_ID);
    ck_assert_uint_ne(error.flags & KC_ERRF_FATAL, 0);
    ck_assert_int_eq(kc_consumer_close(w.consumer, 1000), KC_OK);
    w.consumer = NULL;
    world_stop(&w);
}
END_TEST

/* Trap 38. */
START_TEST(a_static_member_does_not_leave)
{
    world w;
    const char *settings[] = {"group.id", "g", "group.instance.id", "i", NULL};
    start(&w, 1, settings);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, NULL, 0, 1000, NULL), KC_OK);
    ck_assert_int_eq(kc_consumer_close(w.consumer, 1000), KC_OK);
    w.consumer = NULL;
    ck_assert_int_eq(w.leaves, 0);
    ck_assert_int_eq(world_events(&w, 'R'), 1);
    world_stop(&w);
}
END_TEST

START_TEST(a_group_one_may_not_join_is_fatal)
{
    world w;
    start(&w, 1, NULL);
    w.join_error = KC_E_GROUP_AUTHORIZATION_FAILED;
    world_subscribe(&w, "t");
    world_run(&w, 3000);
    kc_batch *batch;
    ck_assert_int_eq(kc_consumer_next(w.consumer, &batch), KC_E_GROUP_AUTHORIZATION_FAILED);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_JOIN_GROUP), 1);
    ck_assert_ptr_nonnull(strstr(world_last(&w, 'E')->text, "group g"));
    world_stop(&w);
}
END_TEST

START_TEST(a_moved_coordinator_is_found_again)
{
    world w;
    start(&w, 1, NULL);
    world_subscribe(&w, "t");
    world_stable(&w);
    w.cluster->coordinator = 2;
    w.heartbeat_error = KC_E_NOT_COORDINATOR;
    w.heartbeat_errors = 1;
    world_run(&w, 10000);
    ck_assert_str_eq(world_state(&w), "stable");
    ck_assert_int_eq(world_events(&w, 'L'), 0);
    ck_assert_uint_ge(fake_count(w.cluster, 2, KP_API_HEARTBEAT), 1);
    world_stop(&w);
}
END_TEST

/* Trap 46. */
START_TEST(a_coordinator_that_goes_down_for_a_while_costs_nothing)
{
    world w;
    start(&w, 2, NULL);
    world_subscribe(&w, "t");
    world_stable(&w);
    fake_down(w.cluster, 1);
    world_run(&w, 10000);
    fake_up(w.cluster, 1);
    world_run(&w, 10000);
    ck_assert_str_eq(world_state(&w), "stable");
    ck_assert_int_eq(world_events(&w, 'L'), 0);
    ck_assert_int_eq(w.generation, 1);
    world_stop(&w);
}
END_TEST

START_TEST(a_session_that_ends_unheard_is_lost_here_too)
{
    world w;
    const char *settings[] = {"group.id", "g", "session.timeout.ms", "10000", NULL};
    start(&w, 1, settings);
    world_subscribe(&w, "t");
    world_stable(&w);
    fake_down(w.cluster, 1);
    world_run(&w, 9000);
    ck_assert_int_eq(world_events(&w, 'L'), 0);
    world_run(&w, 5000);
    ck_assert_int_eq(world_events(&w, 'L'), 1);
    ck_assert_uint_eq(owned(&w), 0);
    fake_up(w.cluster, 1);
    world_run(&w, 10000);
    ck_assert_str_eq(world_state(&w), "stable");
    world_stop(&w);
}
END_TEST

/* A process that stood still: the clock jumped over the session. */
START_TEST(an_application_that_did_not_dispatch_for_a_session_is_out)
{
    world w;
    start(&w, 1, NULL);
    world_subscribe(&w, "t");
    world_stable(&w);
    world_run(&w, 100);
    w.heartbeat_error = KC_E_UNKNOWN_MEMBER_ID;
    w.heartbeat_errors = 1;
    fake_run(w.cluster, 0);
    kn_mem_pause(w.cluster->network, "b1", 9092, true);
    world_run(&w, 60000);
    kn_mem_pause(w.cluster->network, "b1", 9092, false);
    ck_assert_int_eq(world_events(&w, 'L'), 1);
    world_stop(&w);
}
END_TEST

START_TEST(heartbeats_go_on_at_their_interval)
{
    world w;
    const char *settings[] = {"group.id", "g", "heartbeat.interval.ms", "500", NULL};
    start(&w, 1, settings);
    world_subscribe(&w, "t");
    world_stable(&w);
    uint32_t before = fake_count(w.cluster, 0, KP_API_HEARTBEAT);
    world_run(&w, 10000);
    uint32_t sent = fake_count(w.cluster, 0, KP_API_HEARTBEAT) - before;
    ck_assert_uint_ge(sent, 19);
    ck_assert_uint_le(sent, 21);
    world_stop(&w);
}
END_TEST

/* Heartbeats of one are not held up by the JoinGroup of another on the same client (design D4). */
START_TEST(a_join_that_waits_holds_up_nobody_else)
{
    world w;
    const char *settings[] = {"group.id", "g", "heartbeat.interval.ms", "500", NULL};
    start(&w, 1, settings);
    world_subscribe(&w, "t");
    world_stable(&w);
    kc_consumer *other;
    ck_assert_int_eq(kc_consumer_open(w.client, NULL, &other, NULL), KC_OK);
    kc_bytes topic = KC_STR("t");
    w.holds_join = true;
    ck_assert_int_eq(kc_consumer_subscribe(other, &topic, 1, NULL), KC_OK);
    world_run(&w, 500);
    ck_assert_ptr_nonnull(w.held_join);
    uint32_t before = fake_count(w.cluster, 0, KP_API_HEARTBEAT);
    world_run(&w, 10000);
    ck_assert_uint_ge(fake_count(w.cluster, 0, KP_API_HEARTBEAT) - before, 19);
    kc_consumer_close(other, 0);
    world_stop(&w);
}
END_TEST

/* Trap 54. */
START_TEST(a_join_may_wait_longer_than_a_request)
{
    world w;
    const char *settings[] = {"group.id", "g", "request.timeout.ms", "2000", "max.poll.interval.ms",
                              "20000",    NULL};
    start(&w, 1, settings);
    w.holds_join = true;
    world_subscribe(&w, "t");
    world_run(&w, 15000);
    ck_assert_str_eq(world_state(&w), "joining");
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_JOIN_GROUP), 2);
    world_run(&w, 15000);
    ck_assert_uint_gt(fake_count(w.cluster, 0, KP_API_JOIN_GROUP), 2);
    world_stop(&w);
}
END_TEST

START_TEST(a_rebalance_during_the_sync_joins_again)
{
    world w;
    start(&w, 1, NULL);
    w.sync_error = KC_E_REBALANCE_IN_PROGRESS;
    w.sync_errors = 1;
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(w.generation, 2);
    ck_assert_int_eq(world_events(&w, 'A'), 1);
    world_stop(&w);
}
END_TEST

START_TEST(errors_of_join_and_sync_are_retried_at_a_low_rate)
{
    static const int16_t errors[] = {KC_E_COORDINATOR_NOT_AVAILABLE,
                                     KC_E_NOT_COORDINATOR,
                                     KC_E_COORDINATOR_LOAD_IN_PROGRESS,
                                     KC_E_UNKNOWN_MEMBER_ID,
                                     KC_E_REBALANCE_IN_PROGRESS,
                                     KC_E_UNKNOWN_SERVER_ERROR,
                                     KC_E_REQUEST_TIMED_OUT};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        world w;
        start(&w, 1, NULL);
        w.join_error = errors[i];
        world_subscribe(&w, "t");
        world_run(&w, 3000);
        ck_assert_uint_le(fake_count(w.cluster, 0, KP_API_JOIN_GROUP), 12);
        w.join_error = 0;
        w.sync_error = errors[i];
        w.sync_errors = 2;
        world_stable(&w);
        ck_assert_int_eq(world_events(&w, 'E'), 0);
        world_stop(&w);
    }
}
END_TEST

/* Trap 43. */
START_TEST(new_partitions_make_the_leader_join_again_and_a_new_leader_of_one_does_not)
{
    world w;
    start(&w, 2, NULL);
    world_subscribe(&w, "t");
    world_stable(&w);
    fake_move_leader(w.cluster, "t", 0, 2);
    kc_consumer_refresh_topics(w.consumer);
    world_run(&w, 2000);
    ck_assert_int_eq(w.generation, 1);
    fake_partition moved[3] = {{1, 0, 0}, {2, 0, 0}, {1, 0, 0}};
    fake_topic *topic = fake_topic_find(w.cluster, KC_STR("t"));
    fake_partition *old = topic->partitions;
    topic->partitions = moved;
    topic->partition_count = 3;
    moved[0] = (fake_partition){2, 1, 0};
    kc_consumer_refresh_topics(w.consumer);
    world_run(&w, 2000);
    ck_assert_int_eq(w.generation, 2);
    ck_assert_uint_eq(owned(&w), 3);
    ck_assert_int_eq(world_events(&w, 'R'), 1);
    topic->partitions = old;
    topic->partition_count = 2;
    world_stop(&w);
}
END_TEST

START_TEST(a_topic_that_comes_later_makes_the_leader_join_again)
{
    world w;
    start(&w, 1, NULL);
    w.cluster->creates_topics = false;
    world_subscribe(&w, "late");
    world_stable(&w);
    ck_assert_uint_eq(owned(&w), 0);
    fake_topic_add(w.cluster, "late", 2);
    world_append(world_log_of(&w, "late", 0), 5, KP_CODEC_NONE);
    world_run(&w, 5000);
    ck_assert_uint_eq(owned(&w), 2);
    ck_assert_int_eq(world_read_until(&w, 5, 2000), 5);
    world_stop(&w);
}
END_TEST

START_TEST(leaving_gives_back_commits_and_tells_the_group)
{
    world w;
    const char *settings[] = {"group.id", "g", "enable.auto.commit", "true", NULL};
    start(&w, 1, settings);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    kc_consumer_unsubscribe(w.consumer);
    world_run(&w, 100);
    ck_assert_int_eq(world_events(&w, 'R'), 1);
    ck_assert_int_eq(world_committed(&w, "t", 0), 5);
    ck_assert_int_eq(w.leaves, 1);
    ck_assert_str_eq(world_state(&w), "none");
    kc_batch *batch;
    ck_assert_int_eq(kc_consumer_next(w.consumer, &batch), KC_ERR_STATE);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_str_eq(w.joined_with, "me-2");
    world_stop(&w);
}
END_TEST

START_TEST(another_subscription_joins_again_with_it)
{
    world w;
    start(&w, 1, NULL);
    fake_topic_add(w.cluster, "u", 1);
    world_subscribe(&w, "t");
    world_stable(&w);
    world_subscribe(&w, "u");
    world_run(&w, 1000);
    ck_assert_str_eq(world_state(&w), "stable");
    ck_assert_str_eq(w.subscription, "u");
    ck_assert_int_eq(world_events(&w, 'R'), 1);
    ck_assert_ptr_null(kc_part_find(w.consumer, KC_STR("t"), 0));
    ck_assert_ptr_nonnull(kc_part_find(w.consumer, KC_STR("u"), 0));
    world_stop(&w);
}
END_TEST

START_TEST(unsubscribing_while_the_join_waits_leaves_at_once)
{
    world w;
    start(&w, 1, NULL);
    w.holds_join = true;
    world_subscribe(&w, "t");
    world_run(&w, 1000);
    ck_assert_ptr_nonnull(w.held_join);
    kc_consumer_unsubscribe(w.consumer);
    world_run(&w, 100);
    ck_assert_str_eq(world_state(&w), "none");
    ck_assert_int_eq(w.leaves, 1);
    world_stop(&w);
}
END_TEST

START_TEST(an_application_that_takes_no_batch_leaves_until_it_does)
{
    world w;
    const char *settings[] = {"group.id", "g", "max.poll.interval.ms", "10000", NULL};
    start(&w, 1, settings);
    world_subscribe(&w, "t");
    world_stable(&w);
    world_run(&w, 20000);
    ck_assert_int_eq(world_events(&w, 'L'), 1);
    ck_assert_int_eq(w.leaves, 1);
    ck_assert_ptr_nonnull(strstr(world_last(&w, 'E')->text, "max.poll.interval.ms"));
    int32_t generation = w.generation;
    world_run(&w, 20000);
    ck_assert_int_eq(w.generation, generation);
    ck_assert_ptr_null(world_next(&w));
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    world_stop(&w);
}
END_TEST

START_TEST(with_nothing_to_read_nobody_is_too_slow)
{
    world w;
    const char *settings[] = {"group.id", "g", "max.poll.interval.ms", "10000", NULL};
    world_start(&w, 1, 1, settings);
    world_subscribe(&w, "t");
    world_stable(&w);
    world_run(&w, 60000);
    ck_assert_str_eq(world_state(&w), "stable");
    ck_assert_int_eq(w.generation, 1);
    world_stop(&w);
}
END_TEST

static void assign_on_revoked(world *w, char kind)
{
    if (kind == 'R')
        world_assign(w, 1, 2);
}

START_TEST(a_callback_may_turn_everything_round)
{
    world w;
    start(&w, 2, NULL);
    world_subscribe(&w, "t");
    world_stable(&w);
    w.on_event = assign_on_revoked;
    w.heartbeat_error = KC_E_REBALANCE_IN_PROGRESS;
    w.heartbeat_errors = 1;
    world_run(&w, 5000);
    ck_assert_str_eq(world_state(&w), "none");
    ck_assert_uint_eq(owned(&w), 1);
    ck_assert_int_eq(w.leaves, 1);
    ck_assert_int_eq(world_read_until(&w, 3, 1000), 3);
    world_stop(&w);
}
END_TEST

START_TEST(the_client_may_go_in_every_state)
{
    for (int64_t ms = 0; ms < 40; ms++) {
        world w;
        start(&w, 2, NULL);
        kn_mem_network_shape(w.cluster->network)->latency_us = 1500;
        world_subscribe(&w, "t");
        world_run(&w, ms);
        w.consumer = NULL; /* freed with its client */
        kc_client_free(w.client);
        w.client = NULL;
        world_stop(&w);
    }
}
END_TEST
