/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Where partitions begin, and what happens to a position when leaders and topics change. */
#include "client/consumer_part.h"
#include "tests/unit/client/consumer_world.h"

#include <stdio.h>

static const char *const with_group[] = {"group.id", "g", NULL};
static const char *const latest[] = {"auto.offset.reset", "latest", NULL};
static const char *const none[] = {"auto.offset.reset", "none", NULL};

static kc_part *part_of(world *w)
{
    return kc_part_find(w->consumer, KC_STR("t"), 0);
}

START_TEST(the_beginning_and_the_end_are_looked_up)
{
    world w;
    world_start(&w, 2, 2, NULL);
    for (int32_t p = 0; p < 2; p++) {
        world_append(world_log_of(&w, "t", p), 10, KP_CODEC_NONE);
        world_log_of(&w, "t", p)->start = 4;
    }
    kc_topic_offset items[] = {
        {.topic = KC_STR("t"), .partition = 0, .offset = KC_OFFSET_BEGINNING},
        {.topic = KC_STR("t"), .partition = 1, .offset = KC_OFFSET_END}};
    ck_assert_int_eq(kc_consumer_assign(w.consumer, items, 2, NULL), KC_OK);
    ck_assert_int_eq(world_position(&w, 0), -1);
    world_run(&w, 100);
    ck_assert_int_eq(world_position(&w, 0), 4);
    ck_assert_int_eq(world_position(&w, 1), 10);
    int64_t low, high, last_stable;
    ck_assert_int_eq(kc_consumer_watermarks(w.consumer, KC_STR("t"), 0, &low, &high, &last_stable),
                     KC_OK);
    ck_assert_int_eq(low, 4);
    ck_assert_int_eq(high, 10);
    ck_assert_int_eq(last_stable, 10);
    world_stop(&w);
}
END_TEST

START_TEST(errors_of_list_offsets_are_retried)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 3, KP_CODEC_NONE);
    log->list_error = KC_E_OFFSET_NOT_AVAILABLE;
    world_assign(&w, 1, KC_OFFSET_BEGINNING);
    world_run(&w, 2000);
    ck_assert_int_eq(world_position(&w, 0), -1);
    ck_assert_uint_le(fake_count(w.cluster, 0, KP_API_LIST_OFFSETS), 8);
    log->list_error = 0;
    ck_assert_int_eq(world_read_until(&w, 3, 3000), 3);
    ck_assert_int_eq(world_events(&w, 'E'), 0);
    world_stop(&w);
}
END_TEST

START_TEST(committed_offsets_are_taken_up_and_must_be_stable)
{
    world w;
    world_start(&w, 1, 2, with_group);
    world_append(world_log_of(&w, "t", 0), 10, KP_CODEC_NONE);
    world_append(world_log_of(&w, "t", 1), 10, KP_CODEC_NONE);
    snprintf(w.committed[0].topic, 8, "t");
    w.committed[0].offset = 6;
    w.committed[0].epoch = -1;
    w.committed_count = 1;
    world_assign(&w, 2, KC_OFFSET_STORED);
    ck_assert_int_eq(world_read_until(&w, 14, 1000), 14); /* 4 and, by earliest, 10 */
    ck_assert(w.stored_requires_stable);
    ck_assert_int_eq(w.stored_lookups, 1);
    world_stop(&w);
}
END_TEST

/* Trap 40. */
START_TEST(an_unstable_offset_is_asked_for_until_it_is_stable_and_nobody_is_told)
{
    world w;
    world_start(&w, 1, 1, with_group);
    world_append(world_log_of(&w, "t", 0), 10, KP_CODEC_NONE);
    w.stored_error = KC_E_UNSTABLE_OFFSET_COMMIT;
    world_assign(&w, 1, KC_OFFSET_STORED);
    world_run(&w, 120000);
    ck_assert_int_eq(world_position(&w, 0), -1);
    ck_assert_int_eq(world_events(&w, 'E'), 0);
    ck_assert_int_gt(w.stored_lookups, 50);
    ck_assert_int_lt(w.stored_lookups, 200);
    w.stored_error = 0;
    ck_assert_int_eq(world_read_until(&w, 10, 3000), 10);
    world_stop(&w);
}
END_TEST

static fake_action answer_nothing(fake_request *request, void *response, void *user)
{
    world *w = user;
    kp_offset_fetch_resp *answer = response;
    kp_offset_fetch_resp_group *group = fake_alloc(request, 1, sizeof *group);
    group->group_id = KC_STR("g");
    answer->groups.items = group;
    answer->groups.count = 1;
    w->stored_lookups++;
    return FAKE_ANSWER;
}

/* Trap 40: an answer that leaves a partition out is no "none committed". */
START_TEST(a_partition_left_out_of_the_answer_does_not_start_at_the_beginning)
{
    world w;
    world_start(&w, 1, 1, with_group);
    world_append(world_log_of(&w, "t", 0), 10, KP_CODEC_NONE);
    fake_on(w.cluster, KP_API_OFFSET_FETCH, answer_nothing, &w);
    world_assign(&w, 1, KC_OFFSET_STORED);
    world_run(&w, 3000);
    ck_assert_int_eq(world_position(&w, 0), -1);
    ck_assert_int_gt(w.stored_lookups, 1);
    world_stop(&w);
}
END_TEST

START_TEST(old_brokers_are_asked_for_offsets_in_the_old_form)
{
    world w;
    world_start(&w, 1, 1, with_group);
    w.cluster->versions[KP_API_OFFSET_FETCH].max = 5;
    w.cluster->versions[KP_API_FIND_COORDINATOR].max = 3;
    world_append(world_log_of(&w, "t", 0), 10, KP_CODEC_NONE);
    snprintf(w.committed[0].topic, 8, "t");
    w.committed[0].offset = 6;
    w.committed_count = 1;
    world_assign(&w, 1, KC_OFFSET_STORED);
    ck_assert_int_eq(world_read_until(&w, 4, 5000), 4);
    ck_assert(!w.stored_requires_stable);
    world_stop(&w);
}
END_TEST

START_TEST(without_a_commit_and_a_policy_the_partition_stops_and_says_so)
{
    world w;
    const char *settings[] = {"group.id", "g", "auto.offset.reset", "none", NULL};
    world_start(&w, 1, 1, settings);
    world_append(world_log_of(&w, "t", 0), 10, KP_CODEC_NONE);
    world_assign(&w, 1, KC_OFFSET_STORED);
    world_run(&w, 1000);
    ck_assert_int_eq(world_events(&w, 'E'), 1);
    ck_assert_ptr_nonnull(strstr(world_last(&w, 'E')->text, "auto.offset.reset"));
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_FETCH), 0);
    ck_assert_int_eq(kc_consumer_seek(w.consumer, KC_STR("t"), 0, 4), KC_OK);
    ck_assert_int_eq(world_read_until(&w, 6, 1000), 6);
    world_stop(&w);
}
END_TEST

/* Trap 29. */
START_TEST(out_of_range_at_the_leader_resets_by_policy)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 10, KP_CODEC_NONE);
    world_append(log, 10, KP_CODEC_NONE);
    log->start = 10;
    world_assign(&w, 1, 3);
    ck_assert_int_eq(world_read_until(&w, 10, 1000), 10);
    ck_assert_int_eq(world_events(&w, 'E'), 0);
    world_stop(&w);

    world_start(&w, 1, 1, latest);
    log = world_log_of(&w, "t", 0);
    world_append(log, 10, KP_CODEC_NONE);
    world_assign(&w, 1, 99);
    world_run(&w, 200);
    ck_assert_int_eq(world_position(&w, 0), 10);
    world_stop(&w);
}
END_TEST

START_TEST(out_of_range_with_policy_none_is_told_and_stops)
{
    world w;
    world_start(&w, 1, 1, none);
    world_append(world_log_of(&w, "t", 0), 10, KP_CODEC_NONE);
    world_assign(&w, 1, 99);
    world_run(&w, 3000);
    ck_assert_int_eq(world_events(&w, 'E'), 1);
    ck_assert_int_eq(world_last(&w, 'E')->code, KC_E_OFFSET_OUT_OF_RANGE);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_FETCH), 1);
    world_stop(&w);
}
END_TEST

/* Trap 29: no reset by a broker that is not the leader, nor by a transport error. */
START_TEST(out_of_range_from_another_broker_than_the_leader_does_not_reset)
{
    world w;
    world_start(&w, 2, 1, latest);
    w.cluster->versions[KP_API_METADATA].max =
        6; /* no leader epochs, so nothing else stands guard */
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 10, KP_CODEC_NONE);
    world_assign(&w, 1, 2);
    ck_assert_int_eq(world_read_until(&w, 8, 500), 8);
    /* The old leader answers, after a new one was learned. */
    w.holds_fetch = true;
    world_run(&w, 1000);
    ck_assert_ptr_nonnull(w.held);
    fake_move_leader(w.cluster, "t", 0, 2);
    kc_consumer_refresh_topics(w.consumer);
    world_run(&w, 500);
    kp_fetch_resp *answer = fake_alloc(w.held, 1, sizeof *answer);
    kp_fetch_resp_response *topic = fake_alloc(w.held, 1, sizeof *topic);
    kp_fetch_resp_partition *partition = fake_alloc(w.held, 1, sizeof *partition);
    topic->topic = KC_STR("t");
    topic->partitions.items = partition;
    topic->partitions.count = 1;
    partition->error_code = KC_E_OFFSET_OUT_OF_RANGE;
    partition->current_leader.leader_id = -1;
    partition->preferred_read_replica = -1;
    answer->responses.items = topic;
    answer->responses.count = 1;
    world_append(log, 5, KP_CODEC_NONE);
    fake_answer(w.held, answer);
    ck_assert_int_eq(world_read_until(&w, 5, 3000), 5);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_LIST_OFFSETS), 0);
    world_stop(&w);
}
END_TEST

START_TEST(a_new_leader_is_followed_and_nothing_is_lost_or_doubled)
{
    world w;
    world_start(&w, 3, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    log->epoch_answer = 0;
    log->epoch_end_offset = 10;
    world_append(log, 10, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 10, 500), 10);
    fake_move_leader(w.cluster, "t", 0, 2);
    log->leader_epoch = 1;
    world_append(log, 10, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 10, 5000), 10);
    ck_assert_int_eq(w.last_epoch, 1);
    ck_assert_uint_eq(fake_count(w.cluster, 2, KP_API_OFFSET_FOR_LEADER_EPOCH), 1);
    ck_assert_int_eq(world_events(&w, 'E'), 0);
    world_stop(&w);
}
END_TEST

/* KIP-951: the error names the new leader; no metadata request is needed. */
START_TEST(a_leader_named_by_an_error_is_asked_at_once)
{
    world w;
    world_start(&w, 2, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 5, KP_CODEC_NONE);
    log->epoch_answer = 0;
    log->epoch_end_offset = 5;
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 5, 500), 5);
    fake_on(w.cluster, KP_API_METADATA, NULL, NULL);
    fake_move_leader(w.cluster, "t", 0, 2);
    log->fetch_error = KC_E_NOT_LEADER_OR_FOLLOWER;
    log->hint_leader = 2;
    log->hint_epoch = 1;
    uint32_t before = fake_count(w.cluster, 0, KP_API_METADATA);
    world_run(&w, 502);
    log->fetch_error = 0;
    world_append(log, 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 5, 2000), 5);
    ck_assert_uint_ge(fake_count(w.cluster, 2, KP_API_FETCH), 1);
    ck_assert_uint_le(fake_count(w.cluster, 0, KP_API_METADATA), before + 1);
    world_stop(&w);
}
END_TEST

/* Trap 30. */
START_TEST(a_truncated_log_is_noticed_when_the_leader_changes)
{
    world w;
    world_start(&w, 2, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 7, KP_CODEC_NONE);
    world_append(log, 3, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    world_run(&w, 50);
    kc_batch *first = world_next(&w);
    kc_batch *second = world_next(&w);
    log->epoch_answer = 0;
    log->epoch_end_offset = 7; /* the new leader never had the last three */
    fake_move_leader(w.cluster, "t", 0, 2);
    kc_consumer_refresh_topics(w.consumer);
    world_run(&w, 1000);
    ck_assert_int_eq(world_events(&w, 'E'), 1);
    ck_assert_ptr_nonnull(strstr(world_last(&w, 'E')->text, "truncated"));
    ck_assert(!kc_batch_is_current(second));
    kc_batch_free(first);
    kc_batch_free(second);
    ck_assert_int_eq(world_read_until(&w, 3, 2000), 3); /* 7, 8, 9 of the new leader */
    world_stop(&w);
}
END_TEST

START_TEST(a_leader_that_does_not_know_the_epoch_is_believed)
{
    world w;
    world_start(&w, 2, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 10, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 10, 500), 10);
    log->epoch_answer = -1;
    log->epoch_end_offset = -1;
    fake_move_leader(w.cluster, "t", 0, 2);
    world_append(log, 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 5, 3000), 5);
    ck_assert_int_eq(world_events(&w, 'E'), 0);
    world_stop(&w);
}
END_TEST

START_TEST(nothing_is_fetched_before_the_position_is_checked)
{
    world w;
    world_start(&w, 2, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 10, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 10, 500), 10);
    log->epoch_error = KC_E_UNKNOWN_LEADER_EPOCH; /* the broker is behind */
    fake_move_leader(w.cluster, "t", 0, 2);
    kc_consumer_refresh_topics(w.consumer);
    world_append(log, 5, KP_CODEC_NONE);
    world_run(&w, 3000);
    ck_assert_uint_eq(fake_count(w.cluster, 2, KP_API_FETCH), 0);
    ck_assert_uint_le(fake_count(w.cluster, 2, KP_API_OFFSET_FOR_LEADER_EPOCH), 10);
    log->epoch_error = 0;
    log->epoch_end_offset = 10;
    ck_assert_int_eq(world_read_until(&w, 5, 3000), 5);
    world_stop(&w);
}
END_TEST

START_TEST(old_brokers_without_epoch_checks_are_read_all_the_same)
{
    world w;
    world_start(&w, 2, 1, NULL);
    w.cluster->versions[KP_API_OFFSET_FOR_LEADER_EPOCH].max = 2;
    w.cluster->versions[KP_API_OFFSET_FOR_LEADER_EPOCH].min = 2;
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 10, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 10, 500), 10);
    fake_move_leader(w.cluster, "t", 0, 2);
    world_append(log, 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 5, 3000), 5);
    world_stop(&w);
}
END_TEST

/* Trap 30: the epoch goes along, and errors about it lead to a refresh or a wait, not to a loop. */
START_TEST(fenced_and_unknown_epochs_are_retried_at_a_low_rate)
{
    static const int16_t errors[] = {KC_E_FENCED_LEADER_EPOCH,        KC_E_UNKNOWN_LEADER_EPOCH,
                                     KC_E_NOT_LEADER_OR_FOLLOWER,     KC_E_KAFKA_STORAGE_ERROR,
                                     KC_E_UNKNOWN_TOPIC_OR_PARTITION, KC_E_LEADER_NOT_AVAILABLE,
                                     KC_E_REPLICA_NOT_AVAILABLE,      KC_E_OFFSET_NOT_AVAILABLE,
                                     KC_E_UNKNOWN_TOPIC_ID,           KC_E_INCONSISTENT_TOPIC_ID};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        world w;
        world_start(&w, 1, 1, NULL);
        world_log *log = world_log_of(&w, "t", 0);
        world_append(log, 10, KP_CODEC_NONE);
        log->fetch_error = errors[i];
        world_assign(&w, 1, 0);
        world_run(&w, 3000);
        ck_assert_uint_ge(fake_count(w.cluster, 0, KP_API_FETCH), 3);
        ck_assert_uint_le(fake_count(w.cluster, 0, KP_API_FETCH), 10);
        ck_assert_int_eq(world_events(&w, 'E'), 0);
        log->fetch_error = 0;
        ck_assert_int_eq(world_read_until(&w, 10, 3000), 10);
        world_stop(&w);
    }
}
END_TEST

START_TEST(a_forbidden_topic_is_told_once_and_tried_on)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 10, KP_CODEC_NONE);
    log->fetch_error = KC_E_TOPIC_AUTHORIZATION_FAILED;
    world_assign(&w, 1, 0);
    world_run(&w, 5000);
    ck_assert_int_eq(world_events(&w, 'E'), 1);
    ck_assert_int_eq(world_last(&w, 'E')->code, KC_E_TOPIC_AUTHORIZATION_FAILED);
    log->fetch_error = 0;
    ck_assert_int_eq(world_read_until(&w, 10, 3000), 10);
    world_stop(&w);
}
END_TEST

/* Trap 34. */
START_TEST(a_topic_made_anew_starts_over_by_policy_and_the_application_is_told)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    log->leader_epoch = 5;
    world_append(log, 10, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 10, 500), 10);
    fake_topic_recreate(w.cluster, "t", 1);
    kb_buf_reset(&log->bytes);
    log->batch_count = 0;
    log->end = log->start = 0;
    log->leader_epoch = 0;
    world_append(log, 4, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 4, 10000), 4);
    ck_assert_int_ge(world_events(&w, 'E'), 1);
    ck_assert_int_eq(world_last(&w, 'E')->code, KC_E_UNKNOWN_TOPIC_ID);
    ck_assert_int_eq(world_position(&w, 0), 4);
    world_stop(&w);
}
END_TEST

START_TEST(a_partition_that_is_not_there_yet_is_read_when_it_comes)
{
    world w;
    world_start(&w, 1, 1, NULL);
    w.cluster->creates_topics = false;
    kc_topic_offset item = {.topic = KC_STR("late"), .partition = 0, .offset = 0};
    ck_assert_int_eq(kc_consumer_assign(w.consumer, &item, 1, NULL), KC_OK);
    world_run(&w, 2000);
    ck_assert_int_eq(world_events(&w, 'E'), 0);
    fake_topic_add(w.cluster, "late", 1);
    world_append(world_log_of(&w, "late", 0), 3, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 3, 5000), 3);
    world_stop(&w);
}
END_TEST

START_TEST(without_a_leader_the_partition_waits)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_append(world_log_of(&w, "t", 0), 3, KP_CODEC_NONE);
    w.cluster->topics[0].partitions[0].leader = -1;
    world_assign(&w, 1, 0);
    world_run(&w, 3000);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_FETCH), 0);
    ck_assert_uint_lt(fake_count(w.cluster, 0, KP_API_METADATA), 12);
    w.cluster->topics[0].partitions[0].leader = 1;
    ck_assert_int_eq(world_read_until(&w, 3, 5000), 3);
    world_stop(&w);
}
END_TEST

/* Fetch answers on their way during a check belong to the old position. */
START_TEST(an_answer_of_the_old_leader_during_a_check_is_dropped)
{
    world w;
    world_start(&w, 2, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 10, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 10, 500), 10);
    uint32_t version = part_of(&w)->fetch_version;
    log->epoch_answer = 0;
    log->epoch_end_offset = 10;
    world_run(&w, 450);
    fake_move_leader(w.cluster, "t", 0, 2);
    kc_consumer_refresh_topics(w.consumer);
    world_run(&w, 10);
    ck_assert_uint_gt(part_of(&w)->fetch_version, version);
    ck_assert_int_eq(part_of(&w)->position, 10);
    world_append(log, 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 5, 3000), 5);
    world_stop(&w);
}
END_TEST
