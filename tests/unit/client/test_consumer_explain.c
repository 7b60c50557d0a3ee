/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * kc_client_explain(): consumers. One test for each kind of waiting. */
#include "tests/unit/client/consumer_world.h"
#include "tests/unit/client/explain_text.h"

static const char *const with_group[] = {"group.id", "g", NULL};

static fake_action silence(fake_request *request, void *response, void *user)
{
    (void)request;
    (void)response;
    (void)user;
    return FAKE_SILENT;
}

static void start(world *w, int partitions, const char *const *settings)
{
    world_start(w, 2, partitions, settings);
    for (int32_t p = 0; p < partitions; p++)
        world_append(world_log_of(w, "t", p), 5, KP_CODEC_NONE);
}

static void expect_part(world *w, const char *part)
{
    const explain_text *all = explain_all(w->client);
    ck_assert_msg(strstr(all->text, part), "\"%s\" is not in\n%s", part, all->text);
}

START_TEST(a_consumer_of_nothing_says_so)
{
    world w;
    start(&w, 1, with_group);
    expect_all(w.client, "consumer of group g: nothing is subscribed or assigned\n");
    world_stop(&w);
}
END_TEST

START_TEST(a_member_that_waits_for_its_coordinator_is_told)
{
    world w;
    start(&w, 1, with_group);
    fake_on(w.cluster, KP_API_FIND_COORDINATOR, silence, NULL);
    world_subscribe(&w, "t");
    world_run(&w, 1000);
    expect_line(w.client, "consumer of group g: waits for its coordinator, to join");
    expect_part(&w, "coordinator of g: FindCoordinator is in flight to a bootstrap server for ");
    world_stop(&w);
}
END_TEST

START_TEST(a_member_that_joins_is_told_with_the_limit)
{
    world w;
    start(&w, 1, with_group);
    w.skips_member_id = true;
    w.holds_join = true;
    world_subscribe(&w, "t");
    world_run(&w, 12500);
    expect_line(
        w.client,
        "consumer of group g: joining, JoinGroup is in flight to broker 1 for 12.4 s of 305 s; "
        "waits for the other members, which have max.poll.interval.ms (300 s here), or "
        "session.timeout.ms (45 s) when they are gone");
    expect_part(&w, "broker 1 at b1:9092 (group): 1 request in flight, the oldest JoinGroup for "
                    "12.4 s of 305 s\n");
    fake_drop(w.held_join);
    world_stop(&w);
}
END_TEST

START_TEST(a_member_that_joins_again_later_is_told)
{
    world w;
    start(&w, 1, with_group);
    w.join_error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    world_subscribe(&w, "t");
    world_run(&w, 1000);
    expect_part(&w, "consumer of group g: joins in ");
    expect_part(&w, " failures)\n");
    world_stop(&w);
}
END_TEST

START_TEST(a_member_that_waits_for_its_assignment_is_told)
{
    world w;
    start(&w, 1, with_group);
    fake_on(w.cluster, KP_API_SYNC_GROUP, silence, NULL);
    world_subscribe(&w, "t");
    world_run(&w, 1000);
    expect_part(
        &w,
        "consumer of group g: waits for its assignment, SyncGroup is in flight to broker 1 for ");
    world_stop(&w);
}
END_TEST

START_TEST(a_member_without_partitions_says_so)
{
    world w;
    start(&w, 1, with_group);
    w.is_follower = true;
    world_subscribe(&w, "t");
    world_stable(&w);
    expect_line(
        w.client,
        "consumer of group g: member in generation 1, but no partition was assigned to it: there "
        "are none, or others have all");
    world_stop(&w);
}
END_TEST

START_TEST(heartbeats_without_an_answer_are_told)
{
    world w;
    start(&w, 1, with_group);
    world_subscribe(&w, "t");
    world_stable(&w);
    fake_on(w.cluster, KP_API_HEARTBEAT, silence, NULL);
    world_run(&w, 20000);
    expect_part(&w, "consumer of group g: no heartbeat was answered for ");
    expect_part(&w, " of session.timeout.ms, 45 s; Heartbeat is in flight to broker 1 for ");
    world_stop(&w);
}
END_TEST

START_TEST(partitions_given_back_wait_for_commits)
{
    world w;
    start(&w, 1, with_group);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    w.holds_commit = true;
    ck_assert_int_eq(kc_consumer_commit(w.consumer, NULL, 0, world_on_commit, &w, NULL), KC_OK);
    world_run(&w, 1000);
    world_subscribe(&w, "u");
    world_run(&w, 2500);
    expect_part(&w, "consumer of group g: gives its partitions back, waits for 1 commit, for ");
    expect_line(w.client, "consumer of group g: t/0: being given back");
    expect_part(
        &w,
        "consumer of group g: commit of 1 partition: OffsetCommit is in flight to broker 1 for 3.");
    fake_drop(w.held_commit);
    world_stop(&w);
}
END_TEST

START_TEST(a_commit_that_is_tried_again_is_told_with_the_cause)
{
    world w;
    start(&w, 1, with_group);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    w.commit_error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    ck_assert_int_eq(kc_consumer_commit(w.consumer, NULL, 0, world_on_commit, &w, NULL), KC_OK);
    world_run(&w, 1000);
    expect_part(&w, "consumer of group g: commit of 1 partition: tried again in ");
    world_stop(&w);
}
END_TEST

START_TEST(partitions_that_are_read_are_told_by_broker)
{
    world w;
    start(&w, 2, NULL);
    world_assign(&w, 2, 0);
    ck_assert_int_eq(world_read_until(&w, 10, 1000), 10);
    world_run(&w, 200);
    expect_part(&w, "consumer: Fetch is in flight to broker 1 for 0.");
    expect_part(&w, " s of 30.5 s, for 1 partition, of which 1 had nothing more\n");
    expect_part(&w, "consumer: Fetch is in flight to broker 2 for 0.");
    world_stop(&w);
}
END_TEST

START_TEST(a_fetch_that_is_answered_too_late_is_told)
{
    world w;
    start(&w, 1, NULL);
    fake_on(w.cluster, KP_API_FETCH, silence, NULL);
    world_assign(&w, 1, 0);
    world_run(&w, 1200);
    expect_part(&w, ", for 1 partition, of which 0 had nothing more\n");
    world_run(&w, 3000);
    expect_part(&w, "; it should have been answered after fetch.max.wait.ms: does the broker hang");
    world_stop(&w);
}
END_TEST

START_TEST(records_that_nobody_takes_are_told)
{
    world w;
    start(&w, 1, NULL);
    world_assign(&w, 1, 0);
    world_run(&w, 5000);
    expect_part(&w, " of 1 partition wait to be taken; the last batch was taken 4.");
    world_stop(&w);
}
END_TEST

START_TEST(a_paused_partition_is_told)
{
    world w;
    start(&w, 2, NULL);
    world_assign(&w, 2, 0);
    const kc_topic_partition paused = {.topic = KC_STR("t"), .partition = 1};
    kc_consumer_pause(w.consumer, &paused, 1);
    world_run(&w, 500);
    expect_line(w.client, "consumer: t/1: paused");
    world_stop(&w);
}
END_TEST

START_TEST(the_look_up_of_a_committed_offset_is_told)
{
    world w;
    start(&w, 1, with_group);
    fake_on(w.cluster, KP_API_OFFSET_FETCH, silence, NULL);
    world_assign(&w, 1, KC_OFFSET_STORED);
    world_run(&w, 1000);
    expect_line(w.client, "consumer of group g: t/0: its committed offset is looked up");
    expect_part(&w, "consumer of group g: look-up of offsets of 1 partition: OffsetFetch is in "
                    "flight to broker 1 for ");
    world_stop(&w);
}
END_TEST

START_TEST(the_look_up_of_the_first_offset_is_told)
{
    world w;
    start(&w, 1, NULL);
    fake_on(w.cluster, KP_API_LIST_OFFSETS, silence, NULL);
    world_assign(&w, 1, KC_OFFSET_BEGINNING);
    world_run(&w, 1000);
    expect_part(
        &w,
        "consumer: t/0: where to begin is looked up, ListOffsets is in flight to broker 1 for ");
    world_stop(&w);
}
END_TEST

START_TEST(a_partition_without_position_is_told)
{
    static const char *const none[] = {"auto.offset.reset", "none", NULL};
    world w;
    start(&w, 1, none);
    world_assign(&w, 1, KC_OFFSET_STORED);
    world_run(&w, 100);
    expect_line(w.client,
                "consumer: t/0: no position, and auto.offset.reset is none: seek to go on");
    world_stop(&w);
}
END_TEST

START_TEST(a_partition_that_failed_is_told_with_its_next_try)
{
    world w;
    start(&w, 1, NULL);
    world_log_of(&w, "t", 0)->fetch_error = KC_E_KAFKA_STORAGE_ERROR;
    world_assign(&w, 1, 0);
    world_run(&w, 3000);
    expect_part(&w, "consumer: t/0: tried again in ");
    world_stop(&w);
}
END_TEST

START_TEST(a_broker_that_does_not_answer_fetches_is_told_with_its_connection)
{
    world w;
    start(&w, 2, NULL);
    world_assign(&w, 2, 0);
    ck_assert_int_eq(world_read_until(&w, 10, 1000), 10);
    fake_down(w.cluster, 2);
    world_run(&w, 5000);
    expect_part(&w, "broker 2 at b2:9092 (fetch): not connected, ");
    expect_part(&w, "Connection refused");
    world_stop(&w);
}
END_TEST

START_TEST(a_consumer_that_has_ended_says_why)
{
    world w;
    start(&w, 1, with_group);
    w.join_error = KC_E_GROUP_AUTHORIZATION_FAILED;
    world_subscribe(&w, "t");
    world_run(&w, 1000);
    expect_part(&w, "consumer of group g: it has ended: group g: JoinGroup failed: ");
    world_stop(&w);
}
END_TEST
