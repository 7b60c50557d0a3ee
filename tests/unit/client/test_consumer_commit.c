/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Commits: of what, by whom, when, and what their errors mean. */
#include "client/consumer_part.h"
#include "tests/unit/client/consumer_world.h"

static const char *const with_group[] = {"group.id", "g", NULL};
static const char *const automatic[] = {"group.id", "g", "enable.auto.commit", "true", NULL};

static void start(world *w, int partitions, const char *const *settings)
{
    world_start(w, 2, partitions, settings);
    for (int32_t p = 0; p < partitions; p++)
        world_append(world_log_of(w, "t", p), 5, KP_CODEC_NONE);
}

static kc_topic_offset offset_of(int32_t partition, int64_t offset)
{
    return (kc_topic_offset){
        .topic = KC_STR("t"), .partition = partition, .offset = offset, .leader_epoch = -1};
}

START_TEST(positions_are_committed_with_their_leader_epoch)
{
    world w;
    world_start(&w, 1, 2, with_group);
    world_log_of(&w, "t", 0)->leader_epoch = 3;
    w.cluster->topics[0].partitions[0].leader_epoch = 3;
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    ck_assert_int_eq(kc_consumer_commit(w.consumer, NULL, 0, world_on_commit, &w, NULL), KC_OK);
    ck_assert_int_eq(world_events(&w, 'C'), 0); /* only from dispatch */
    world_run(&w, 50);
    ck_assert_int_eq(world_last(&w, 'C')->code, KC_OK);
    ck_assert_uint_eq(world_last(&w, 'C')->count, 2);
    ck_assert_int_eq(world_committed(&w, "t", 0), 5);
    ck_assert_int_eq(world_committed(&w, "t", 1), 0);
    ck_assert_int_eq(w.committed[0].epoch, 3);
    ck_assert_int_eq(w.commit_generation, 1);
    kc_consumer_stats stats;
    kc_consumer_stats_get(w.consumer, &stats);
    ck_assert_uint_eq(stats.commits, 1);
    world_stop(&w);
}
END_TEST

START_TEST(a_commit_without_anything_to_commit_is_answered_from_dispatch)
{
    world w;
    start(&w, 1, with_group);
    ck_assert_int_eq(kc_consumer_commit(w.consumer, NULL, 0, world_on_commit, &w, NULL), KC_OK);
    ck_assert_int_eq(world_events(&w, 'C'), 0);
    world_run(&w, 1);
    ck_assert_int_eq(world_events(&w, 'C'), 1);
    ck_assert_int_eq(world_last(&w, 'C')->code, KC_OK);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_OFFSET_COMMIT), 0);
    world_stop(&w);
}
END_TEST

START_TEST(given_offsets_are_committed_and_read_back)
{
    world w;
    start(&w, 2, with_group);
    world_assign(&w, 2, 0);
    kc_topic_offset offsets[] = {offset_of(1, 4), offset_of(0, 3)};
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, offsets, 2, 1000, NULL), KC_OK);
    ck_assert_int_eq(world_committed(&w, "t", 0), 3);
    ck_assert_int_eq(world_committed(&w, "t", 1), 4);
    ck_assert_int_eq(w.commit_generation, -1);
    kc_topic_partition asked[] = {{KC_STR("t"), 0}, {KC_STR("t"), 7}};
    ck_assert_int_eq(kc_consumer_committed(w.consumer, asked, 2, world_on_commit, &w, NULL), KC_OK);
    world_run(&w, 100);
    ck_assert_int_eq(world_last(&w, 'C')->code, KC_OK);
    ck_assert_uint_eq(world_last(&w, 'C')->count, 2);
    world_stop(&w);
}
END_TEST

START_TEST(what_can_not_be_committed_is_refused_at_once)
{
    world w;
    start(&w, 1, with_group);
    kc_error error;
    kc_topic_offset bad[] = {offset_of(0, -1), offset_of(-1, 1), offset_of(0, 1)};
    bad[2].topic = KC_STR("a/b");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(kc_consumer_commit(w.consumer, &bad[i], 1, NULL, NULL, &error),
                         KC_ERR_ARGUMENT);
    world_stop(&w);
    start(&w, 1, NULL);
    bad[0] = offset_of(0, 1);
    ck_assert_int_eq(kc_consumer_commit(w.consumer, bad, 1, NULL, NULL, &error), KC_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(error.text, "group.id"));
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, bad, 1, 10, &error), KC_ERR_STATE);
    world_stop(&w);
}
END_TEST

/* Trap 37. */
START_TEST(offsets_of_partitions_not_owned_are_refused_and_the_others_committed)
{
    world w;
    start(&w, 2, with_group);
    world_subscribe(&w, "t");
    world_stable(&w);
    kc_topic_offset offsets[] = {offset_of(9, 4), offset_of(1, 3)};
    ck_assert_int_eq(kc_consumer_commit(w.consumer, offsets, 2, world_on_commit, &w, NULL), KC_OK);
    world_run(&w, 100);
    ck_assert_int_eq(world_last(&w, 'C')->code, KC_E_ILLEGAL_GENERATION);
    ck_assert_int_eq(world_committed(&w, "t", 1), 3);
    ck_assert_int_eq(world_committed(&w, "t", 9), -1);
    ck_assert_str_eq(world_state(&w), "stable"); /* nobody was asked: the membership is good */
    world_stop(&w);
}
END_TEST

/* Trap 37: what was stored before an assignment says nothing after it. */
START_TEST(positions_die_with_the_assignment)
{
    world w;
    start(&w, 1, with_group);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    world_assign(&w, 1, 2);
    ck_assert_int_eq(world_position(&w, 0), 2);
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, NULL, 0, 1000, NULL), KC_OK);
    ck_assert_int_eq(world_committed(&w, "t", 0), 2);
    world_stop(&w);
}
END_TEST

START_TEST(retriable_errors_are_retried_until_it_works)
{
    static const int16_t errors[] = {KC_E_COORDINATOR_LOAD_IN_PROGRESS, KC_E_NOT_COORDINATOR,
                                     KC_E_COORDINATOR_NOT_AVAILABLE, KC_E_REQUEST_TIMED_OUT,
                                     KC_E_UNKNOWN_TOPIC_OR_PARTITION};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        world w;
        start(&w, 1, with_group);
        world_assign(&w, 1, 0);
        w.commit_error = errors[i];
        w.commit_errors = 3;
        kc_topic_offset offset = offset_of(0, 4);
        ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, &offset, 1, 10000, NULL), KC_OK);
        ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_OFFSET_COMMIT), 4);
        world_stop(&w);
    }
}
END_TEST

START_TEST(a_commit_that_is_tried_again_does_not_overtake_the_next_one)
{
    world w;
    start(&w, 1, with_group);
    world_assign(&w, 1, 0);
    w.commit_error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    w.commit_errors = 1;
    for (int64_t at = 3; at <= 6; at++) {
        kc_topic_offset offset = offset_of(0, at);
        ck_assert_int_eq(kc_consumer_commit(w.consumer, &offset, 1, world_on_commit, &w, NULL),
                         KC_OK);
    }
    world_run(&w, 2000);
    ck_assert_int_eq(world_events(&w, 'C'), 4);
    ck_assert_int_eq(world_committed(&w, "t", 0), 6);
    world_stop(&w);
}
END_TEST

START_TEST(a_commit_follows_a_moved_coordinator)
{
    world w;
    start(&w, 1, with_group);
    world_assign(&w, 1, 0);
    kc_topic_offset offset = offset_of(0, 3);
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, &offset, 1, 1000, NULL), KC_OK);
    w.cluster->coordinator = 2;
    offset.offset = 4;
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, &offset, 1, 5000, NULL), KC_OK);
    ck_assert_int_eq(world_committed(&w, "t", 0), 4);
    ck_assert_uint_eq(fake_count(w.cluster, 2, KP_API_OFFSET_COMMIT), 1);
    world_stop(&w);
}
END_TEST

START_TEST(final_errors_are_told_and_not_retried)
{
    static const int16_t errors[] = {
        KC_E_OFFSET_METADATA_TOO_LARGE, KC_E_GROUP_AUTHORIZATION_FAILED,
        KC_E_INVALID_COMMIT_OFFSET_SIZE, KC_E_TOPIC_AUTHORIZATION_FAILED};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        world w;
        start(&w, 1, with_group);
        world_assign(&w, 1, 0);
        w.commit_error = errors[i];
        kc_topic_offset offset = offset_of(0, 4);
        kc_error error;
        ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, &offset, 1, 10000, &error), errors[i]);
        ck_assert_ptr_nonnull(strstr(error.text, "partition 0 of t"));
        ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_OFFSET_COMMIT), 1);
        world_stop(&w);
    }
}
END_TEST

START_TEST(a_commit_ends_at_its_deadline_and_names_the_last_cause)
{
    world w;
    const char *settings[] = {
        "group.id", "g", "default.api.timeout.ms", "5000", "request.timeout.ms", "2000", NULL};
    start(&w, 1, settings);
    world_assign(&w, 1, 0);
    w.commit_error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    kc_topic_offset offset = offset_of(0, 4);
    ck_assert_int_eq(kc_consumer_commit(w.consumer, &offset, 1, world_on_commit, &w, NULL), KC_OK);
    world_run(&w, 4900);
    ck_assert_int_eq(world_events(&w, 'C'), 0);
    world_run(&w, 300);
    ck_assert_int_eq(world_last(&w, 'C')->code, KC_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(world_last(&w, 'C')->text, "load"));
    world_stop(&w);
}
END_TEST

START_TEST(a_synchronous_commit_does_not_outlive_its_time)
{
    world w;
    start(&w, 1, with_group);
    world_assign(&w, 1, 0);
    world_run(&w, 100);
    fake_down(w.cluster, 1);
    kc_topic_offset offset = offset_of(0, 4);
    kc_error error;
    int64_t before = fake_now_ms(w.cluster);
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, &offset, 1, 700, &error), KC_ERR_TIMEOUT);
    ck_assert_int_le(fake_now_ms(w.cluster) - before, 701);
    ck_assert_uint_eq(w.consumer->commits_pending, 0);
    fake_up(w.cluster, 1);
    world_run(&w, 1000);
    world_stop(&w);
}
END_TEST

/* Trap 36: an answer about an old generation does not end the new one. */
START_TEST(a_late_answer_about_an_old_generation_does_no_harm)
{
    world w;
    start(&w, 1, with_group);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    w.commit_error = KC_E_ILLEGAL_GENERATION;
    w.commit_errors = 1;
    w.holds_commit = true;
    ck_assert_int_eq(kc_consumer_commit(w.consumer, NULL, 0, world_on_commit, &w, NULL), KC_OK);
    world_run(&w, 100);
    ck_assert_ptr_nonnull(w.held_commit);
    w.consumer->member.generation = 2; /* as if it had joined meanwhile */
    const kp_offset_commit_req *asked = w.held_commit->message;
    kp_offset_commit_resp *answer = fake_alloc(w.held_commit, 1, sizeof *answer);
    kp_offset_commit_resp_topic *topic = fake_alloc(w.held_commit, 1, sizeof *topic);
    kp_offset_commit_resp_partition *partition = fake_alloc(w.held_commit, 1, sizeof *partition);
    topic->name = asked->topics.items[0].name;
    topic->partitions.items = partition;
    topic->partitions.count = 1;
    partition->error_code = KC_E_ILLEGAL_GENERATION;
    answer->topics.items = topic;
    answer->topics.count = 1;
    fake_answer(w.held_commit, answer);
    world_run(&w, 10);
    ck_assert_int_eq(world_last(&w, 'C')->code, KC_E_ILLEGAL_GENERATION);
    ck_assert_int_eq(world_events(&w, 'L'), 0);
    ck_assert_str_eq(world_state(&w), "stable");
    world_stop(&w);
}
END_TEST

START_TEST(a_commit_during_a_rebalance_says_so_and_joins)
{
    world w;
    start(&w, 1, with_group);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    w.commit_error = KC_E_REBALANCE_IN_PROGRESS;
    w.commit_errors = 1;
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, NULL, 0, 1000, NULL),
                     KC_E_REBALANCE_IN_PROGRESS);
    world_run(&w, 1000);
    ck_assert_int_eq(w.generation, 2);
    ck_assert_str_eq(world_state(&w), "stable");
    world_stop(&w);
}
END_TEST

START_TEST(commits_are_made_by_themselves_at_their_interval_and_only_when_needed)
{
    world w;
    start(&w, 1, automatic);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    ck_assert_int_eq(world_committed(&w, "t", 0), -1);
    world_run(&w, 5100);
    ck_assert_int_eq(world_committed(&w, "t", 0), 5);
    uint32_t commits = fake_count(w.cluster, 0, KP_API_OFFSET_COMMIT);
    world_run(&w, 60000);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_OFFSET_COMMIT), commits);
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 5, 2000), 5);
    world_run(&w, 5100);
    ck_assert_int_eq(world_committed(&w, "t", 0), 10);
    world_stop(&w);
}
END_TEST

START_TEST(what_comes_while_an_automatic_commit_is_on_its_way_is_committed_too)
{
    world w;
    start(&w, 1, automatic);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    w.commit_error = KC_E_COORDINATOR_LOAD_IN_PROGRESS;
    w.commit_errors = 14; /* for more than the 5 s to the next one */
    world_run(&w, 5100);
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 5, 2000), 5);
    world_run(&w, 40000);
    ck_assert_int_eq(world_committed(&w, "t", 0), 10);
    world_stop(&w);
}
END_TEST

START_TEST(a_failed_automatic_commit_is_made_up_for)
{
    world w;
    start(&w, 1, automatic);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    w.commit_error = KC_E_INVALID_COMMIT_OFFSET_SIZE;
    w.commit_errors = 1;
    world_run(&w, 11000);
    ck_assert_int_eq(world_committed(&w, "t", 0), 5);
    world_stop(&w);
}
END_TEST

START_TEST(a_rebalance_commits_by_itself_what_was_handed_out)
{
    world w;
    start(&w, 1, automatic);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    w.heartbeat_error = KC_E_REBALANCE_IN_PROGRESS;
    w.heartbeat_errors = 1;
    world_run(&w, 4000);
    ck_assert_int_eq(world_committed(&w, "t", 0), 5);
    ck_assert_int_eq(w.commit_generation, 1);
    ck_assert_int_eq(world_read_until(&w, 1, 1000), 0);
    world_stop(&w);
}
END_TEST

START_TEST(closing_commits_by_itself_with_and_without_a_group)
{
    world w;
    start(&w, 1, automatic);
    world_subscribe(&w, "t");
    world_stable(&w);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    ck_assert_int_eq(kc_consumer_close(w.consumer, 1000), KC_OK);
    w.consumer = NULL;
    ck_assert_int_eq(world_committed(&w, "t", 0), 5);
    ck_assert_int_eq(w.leaves, 1);
    world_stop(&w);

    start(&w, 1, automatic);
    world_assign(&w, 1, 1);
    ck_assert_int_eq(world_read_until(&w, 4, 1000), 4);
    ck_assert_int_eq(kc_consumer_close(w.consumer, 1000), KC_OK);
    w.consumer = NULL;
    ck_assert_int_eq(world_committed(&w, "t", 0), 5);
    world_stop(&w);
}
END_TEST

START_TEST(pending_commits_end_with_closed)
{
    world w;
    start(&w, 1, with_group);
    world_assign(&w, 1, 0);
    kc_topic_offset offset = offset_of(0, 4);
    ck_assert_int_eq(kc_consumer_commit(w.consumer, &offset, 1, world_on_commit, &w, NULL), KC_OK);
    ck_assert_int_eq(kc_consumer_close(w.consumer, 0), KC_OK);
    w.consumer = NULL;
    ck_assert_int_eq(world_events(&w, 'C'), 1);
    ck_assert_int_eq(world_last(&w, 'C')->code, KC_ERR_CLOSED);
    world_stop(&w);
}
END_TEST

/* A leader epoch left at 0 in a zeroed struct must not look like an epoch later. */
START_TEST(an_epoch_of_zero_is_taken_as_left_out)
{
    world w;
    start(&w, 1, with_group);
    world_assign(&w, 1, 0);
    kc_topic_offset offset = {.topic = KC_STR("t"), .partition = 0, .offset = 4};
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, &offset, 1, 1000, NULL), KC_OK);
    ck_assert_int_eq(w.committed[0].epoch, -1);
    offset.leader_epoch = 6;
    ck_assert_int_eq(kc_consumer_commit_sync(w.consumer, &offset, 1, 1000, NULL), KC_OK);
    ck_assert_int_eq(w.committed[0].epoch, 6);
    world_stop(&w);
}
END_TEST
