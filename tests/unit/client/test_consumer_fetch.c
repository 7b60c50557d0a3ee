/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The consumer's fetch path: what is asked, what an answer may do, what is handed out. */
#include "client/consumer_fetch.h"
#include "client/consumer_part.h"
#include "protocol/wire.h"
#include "tests/unit/client/consumer_world.h"

static kc_part *part_of(world *w, int32_t partition)
{
    return kc_part_find(w->consumer, KC_STR("t"), partition);
}

START_TEST(records_of_several_partitions_and_brokers_are_handed_out_in_order)
{
    world w;
    world_start(&w, 3, 6, NULL);
    for (int32_t p = 0; p < 6; p++)
        for (int i = 0; i < 4; i++)
            world_append(world_log_of(&w, "t", p), 5, KP_CODEC_NONE);
    world_assign(&w, 6, 0);
    ck_assert_int_eq(world_read_until(&w, 120, 2000), 120);
    for (int32_t p = 0; p < 6; p++)
        ck_assert_int_eq(world_position(&w, p), 20);
    for (int32_t b = 1; b <= 3; b++)
        ck_assert_uint_ge(fake_count(w.cluster, b, KP_API_FETCH), 1);
    kc_consumer_stats stats;
    kc_consumer_stats_get(w.consumer, &stats);
    ck_assert_uint_eq(stats.records, 120);
    ck_assert_uint_eq(stats.batches, 24);
    ck_assert_int_eq(world_events(&w, 'E'), 0);
    world_stop(&w);
}
END_TEST

/* Trap 21. */
START_TEST(a_batch_cut_off_at_the_end_is_fetched_again_without_backoff)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 3, KP_CODEC_NONE);
    world_append(log, 3, KP_CODEC_NONE);
    log->cut_bytes = 10;
    world_assign(&w, 1, 0);
    int64_t before = fake_now_ms(w.cluster);
    ck_assert_int_eq(world_read_until(&w, 6, 1000), 6);
    ck_assert_int_lt(fake_now_ms(w.cluster) - before, 60);
    ck_assert_int_eq(world_events(&w, 'E'), 0);
    world_stop(&w);
}
END_TEST

START_TEST(a_batch_larger_than_the_limit_is_read)
{
    world w;
    const char *settings[] = {"max.partition.fetch.bytes", "100", NULL};
    world_start(&w, 1, 1, settings);
    world_append(world_log_of(&w, "t", 0), 500, KP_CODEC_NONE);
    world_append(world_log_of(&w, "t", 0), 500, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 1000, 3000), 1000);
    world_stop(&w);
}
END_TEST

static fake_action answer_a_part_only(fake_request *request, void *response, void *user)
{
    world *w = user;
    const kp_fetch_req *asked = request->message;
    const kp_fetch_req_partition *from = &asked->topics.items[0].partitions.items[0];
    kp_fetch_resp *answer = response;
    kp_fetch_resp_response *topic = fake_alloc(request, 1, sizeof *topic);
    kp_fetch_resp_partition *partition = fake_alloc(request, 1, sizeof *partition);
    world_log *log = world_log_of(w, "t", 0);
    size_t len = (size_t)from->partition_max_bytes;
    w->last_max_bytes = from->partition_max_bytes;
    if (len > log->bytes.len)
        len = log->bytes.len;
    topic->topic_id = asked->topics.items[0].topic_id;
    topic->topic = KC_STR("t");
    topic->partitions.items = partition;
    topic->partitions.count = 1;
    partition->high_watermark = log->end;
    partition->current_leader.leader_id = partition->current_leader.leader_epoch = -1;
    partition->diverging_epoch.epoch = partition->snapshot_id.epoch = -1;
    partition->diverging_epoch.end_offset = partition->snapshot_id.end_offset = -1;
    partition->preferred_read_replica = -1;
    if (from->fetch_offset < log->end)
        partition->records = kc_span(log->bytes.data, len);
    else
        partition->records = KC_STR("");
    answer->responses.items = topic;
    answer->responses.count = 1;
    if (partition->records.len == 0)
        request->delay_us = 500000;
    return FAKE_ANSWER;
}

/* Trap 21, a broker that sends a part and nothing else. */
START_TEST(a_part_of_one_batch_makes_the_next_fetch_larger)
{
    world w;
    const char *settings[] = {"max.partition.fetch.bytes", "1000", NULL};
    world_start(&w, 1, 1, settings);
    fake_on(w.cluster, KP_API_FETCH, answer_a_part_only, &w);
    world_append(world_log_of(&w, "t", 0), 500, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 500, 3000), 500);
    ck_assert_int_gt(w.last_max_bytes, 5000);
    ck_assert_uint_lt(fake_count(w.cluster, 0, KP_API_FETCH), 8);
    world_stop(&w);
}
END_TEST

START_TEST(a_partition_answered_twice_counts_once)
{
    world w;
    world_start(&w, 1, 2, NULL);
    w.answers_twice = true;
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_append(world_log_of(&w, "t", 1), 5, KP_CODEC_NONE);
    world_assign(&w, 2, 0);
    ck_assert_int_eq(world_read_until(&w, 20, 700), 10);
    ck_assert_int_eq(world_events(&w, 'E'), 0);
    world_stop(&w);
}
END_TEST

/* Trap 31. */
START_TEST(an_answer_from_before_a_seek_is_dropped)
{
    world w;
    world_start(&w, 1, 1, NULL);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 5, KP_CODEC_NONE);
    world_append(log, 5, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    kn_mem_network_shape(w.cluster->network)->latency_us = 20000;
    world_run(&w, 500); /* all of it buffered by now */
    ck_assert_uint_gt(part_of(&w, 0)->buffered_bytes, 0);
    ck_assert_int_eq(kc_consumer_seek(w.consumer, KC_STR("t"), 0, 2), KC_OK);
    ck_assert_uint_eq(part_of(&w, 0)->buffered_bytes, 0);
    world_append(log, 5, KP_CODEC_NONE); /* the Fetch under way, from offset 10, will bring this */
    ck_assert_int_eq(world_read_until(&w, 13, 3000), 13);
    world_stop(&w);
}
END_TEST

/* The next Fetch is on its way while this one is read; and no more than that. */
START_TEST(one_fetch_is_ahead_of_the_application_and_not_more)
{
    world w;
    const char *settings[] = {"max.partition.fetch.bytes", "5000", NULL};
    world_start(&w, 1, 1, settings);
    world_log *log = world_log_of(&w, "t", 0);
    for (int i = 0; i < 60; i++)
        world_append(log, 50, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    world_run(&w, 3000);
    size_t buffered = part_of(&w, 0)->buffered_bytes;
    ck_assert_uint_gt(buffered, 5000);
    ck_assert_uint_le(buffered, 10000);
    ck_assert_int_eq(world_read_until(&w, 3000, 60000), 3000);
    world_stop(&w);
}
END_TEST

START_TEST(a_partition_at_rest_makes_others_wait_only_shortly)
{
    world w;
    const char *settings[] = {"max.partition.fetch.bytes", "2000", NULL};
    world_start(&w, 1, 2, settings);
    for (int i = 0; i < 10; i++)
        world_append(world_log_of(&w, "t", 0), 50, KP_CODEC_NONE);
    world_assign(&w, 2, 0);
    world_run(&w, 25);
    ck_assert_int_le(w.last_wait_ms, 20); /* partition 0 is full, 1 has nothing */
    world_run(&w, 5000);
    ck_assert_int_eq(w.last_wait_ms, 500); /* nobody reads: no need to hurry */
    ck_assert_uint_lt(fake_count(w.cluster, 0, KP_API_FETCH), 25);
    world_stop(&w);
}
END_TEST

/** Batches of one record of a megabyte. */
static void append_large(world_log *log, int count)
{
    enum {
        BYTES = 1000000
    };
    uint8_t *data = kb_mem_zalloc(log->bytes.mem, 2 * BYTES + 1024); /* the batch, then the value */
    kp_batch_writer writer;
    kp_batch_writer_init(&writer, data, BYTES + 1024);
    ck_assert(kp_batch_append(&writer, 1, KC_NULL, kc_span(data + BYTES + 1024, BYTES), NULL, 0));
    size_t len = kp_batch_finish(&writer);
    for (int i = 0; i < count; i++) {
        kp_store64(data + KP_BATCH_AT_BASE_OFFSET, (uint64_t)log->end);
        kp_batch_seal(data, len, NULL);
        world_append_raw(log, kc_span(data, len), log->end + 1);
    }
    kb_mem_free(log->bytes.mem, data);
}

static void read_large(world *w, int count)
{
    for (int i = 0; i < 10000 && count > 0; i++) {
        kc_batch *batch;
        while ((batch = world_next(w))) {
            kc_batch_free(batch);
            count--;
        }
        world_run(w, 10);
    }
    ck_assert_int_le(count, 0);
}

/* Byte credit, complaint 4. */
START_TEST(a_fetch_is_small_for_a_near_broker_and_large_for_a_far_one)
{
    world w;
    const char *settings[] = {"max.partition.fetch.bytes", "30000000", NULL};
    world_start(&w, 1, 1, settings);
    append_large(world_log_of(&w, "t", 0), 60);
    world_assign(&w, 1, 0);
    read_large(&w, 30);
    ck_assert_int_eq(w.last_max_bytes, 2 << 20);
    kn_mem_network_shape(w.cluster->network)->latency_us = 20000;
    ck_assert_int_eq(kc_consumer_seek(w.consumer, KC_STR("t"), 0, 0), KC_OK);
    read_large(&w, 60);
    ck_assert_int_ge(w.last_max_bytes, 8 << 20);
    ck_assert_int_le(w.last_max_bytes, 52428800);
    world_stop(&w);
}
END_TEST

START_TEST(no_more_is_fetched_than_credit_allows)
{
    world w;
    const char *settings[] = {"fetch.max.bytes", "10000", "max.partition.fetch.bytes", "10000",
                              NULL};
    world_start(&w, 1, 4, settings);
    for (int32_t p = 0; p < 4; p++)
        for (int i = 0; i < 30; i++)
            world_append(world_log_of(&w, "t", p), 100, KP_CODEC_NONE);
    world_assign(&w, 4, 0);
    size_t most = 0;
    kc_batch *batches[64];
    int held = 0;
    /* All batches are held, so credit runs out. */
    for (int i = 0; i < 300; i++) {
        world_run(&w, 10);
        kc_batch *batch;
        while (held < 64 && (batch = world_next(&w)))
            batches[held++] = batch;
        size_t used = w.consumer->pinned_bytes + w.consumer->reserved_bytes;
        if (used > most)
            most = used;
    }
    ck_assert_uint_gt(most, 10000);
    /* The first batch comes whole, whatever the limit. */
    ck_assert_uint_le(most, w.consumer->credit_bytes_max + 1500);
    int stalled = held;
    ck_assert_int_lt(stalled, 64);
    for (int i = 0; i < held; i++)
        kc_batch_free(batches[i]);
    ck_assert_int_gt(world_read_until(&w, 1000, 5000), 999);
    world_stop(&w);
}
END_TEST

START_TEST(brokers_with_nothing_new_do_not_hold_the_credit_that_another_needs)
{
    world w;
    const char *settings[] = {"fetch.max.bytes", "5000", "max.partition.fetch.bytes", "5000", NULL};
    world_start(&w, 4, 4, settings);
    for (int i = 0; i < 100; i++)
        world_append(world_log_of(&w, "t", 0), 100, KP_CODEC_NONE);
    world_assign(&w, 4, 0);
    // 100 answers; a Fetch that finds nothing waits for 500 ms
    ck_assert_int_eq(world_read_until(&w, 10000, 2000), 10000);
    world_stop(&w);
}
END_TEST

START_TEST(a_paused_partition_is_neither_fetched_nor_handed_out)
{
    world w;
    world_start(&w, 1, 2, NULL);
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_append(world_log_of(&w, "t", 1), 5, KP_CODEC_NONE);
    world_assign(&w, 2, 0);
    world_run(&w, 50);
    kc_topic_partition zero = {KC_STR("t"), 0};
    kc_consumer_pause(w.consumer, &zero, 1);
    ck_assert_int_eq(world_read(&w), 5);
    ck_assert_int_eq(world_position(&w, 0), 0);
    world_run(&w, 1000);
    ck_assert_int_eq(w.last_partitions, 1);
    kc_consumer_resume(w.consumer, &zero, 1);
    ck_assert_int_eq(world_read(&w), 5);
    world_run(&w, 1000);
    ck_assert_int_eq(w.last_partitions, 2);
    world_stop(&w);
}
END_TEST

START_TEST(a_small_rest_is_copied_out_of_a_large_chunk_when_its_partition_is_paused)
{
    world w;
    world_start(&w, 1, 2, NULL);
    world_append(world_log_of(&w, "t", 0), 2, KP_CODEC_NONE);
    for (int i = 0; i < 40; i++)
        world_append(world_log_of(&w, "t", 1), 500, KP_CODEC_NONE);
    world_assign(&w, 2, 0);
    world_run(&w, 50);
    kc_topic_partition zero = {KC_STR("t"), 0};
    kc_consumer_pause(w.consumer, &zero, 1);
    ck_assert_int_eq(world_read(&w), 20000);
    ck_assert_uint_lt(w.consumer->pinned_bytes, 1000);
    kc_consumer_resume(w.consumer, &zero, 1);
    ck_assert_int_eq(world_read(&w), 2);
    ck_assert_uint_eq(w.consumer->pinned_bytes, 0);
    world_stop(&w);
}
END_TEST

START_TEST(without_topic_ids_fetch_is_asked_by_name)
{
    world w;
    world_start(&w, 1, 1, NULL);
    w.cluster->versions[KP_API_METADATA].max = 9;
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    world_stop(&w);
}
END_TEST

START_TEST(the_oldest_fetch_version_works)
{
    world w;
    world_start(&w, 1, 2, NULL);
    w.cluster->versions[KP_API_FETCH].max = 4;
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_append(world_log_of(&w, "t", 1), 200, KP_CODEC_LZ4);
    world_assign(&w, 2, 0);
    ck_assert_int_eq(world_read_until(&w, 205, 1000), 205);
    world_stop(&w);
}
END_TEST

START_TEST(a_lost_connection_is_survived_and_nothing_comes_twice)
{
    world w;
    world_start(&w, 2, 2, NULL);
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_append(world_log_of(&w, "t", 1), 5, KP_CODEC_NONE);
    world_assign(&w, 2, 0);
    ck_assert_int_eq(world_read_until(&w, 10, 1000), 10);
    fake_cut(w.cluster, 1);
    fake_cut(w.cluster, 2);
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_append(world_log_of(&w, "t", 1), 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 10, 5000), 10);
    ck_assert_int_eq(world_events(&w, 'E'), 0); /* retriable faults are not told */
    world_stop(&w);
}
END_TEST

/* Complaint 18. */
START_TEST(a_broker_that_is_down_is_asked_at_a_low_rate)
{
    world w;
    world_start(&w, 2, 2, NULL);
    world_append(world_log_of(&w, "t", 1), 5, KP_CODEC_NONE);
    world_assign(&w, 2, 0);
    world_run(&w, 1000);
    fake_down(w.cluster, 2);
    uint32_t connects = kn_mem_network_connects(w.cluster->network);
    world_run(&w, 10000);
    ck_assert_uint_lt(kn_mem_network_connects(w.cluster->network) - connects, 60);
    fake_up(w.cluster, 2);
    world_append(world_log_of(&w, "t", 1), 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 10, 5000), 10);
    world_stop(&w);
}
END_TEST

START_TEST(a_throttled_broker_is_left_alone_for_that_time)
{
    world w;
    world_start(&w, 1, 1, NULL);
    w.fetch_throttle_ms = 2000;
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    uint32_t fetches = fake_count(w.cluster, 0, KP_API_FETCH);
    world_run(&w, 1500);
    ck_assert_uint_eq(fake_count(w.cluster, 0, KP_API_FETCH), fetches);
    w.fetch_throttle_ms = 0;
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 5, 3000), 5);
    world_stop(&w);
}
END_TEST

/* Traps 29, 32. */
START_TEST(a_preferred_replica_is_read_and_left_again_when_it_is_out_of_range)
{
    world w;
    const char *settings[] = {"client.rack", "a", NULL};
    world_start(&w, 2, 1, settings);
    world_log *log = world_log_of(&w, "t", 0);
    world_append(log, 5, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    world_run(&w, 20);
    log->preferred_replica = 2;
    ck_assert_int_eq(world_read_until(&w, 5, 1000), 5);
    world_append(log, 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 5, 3000), 5);
    ck_assert_int_eq(part_of(&w, 0)->replica, 2);
    ck_assert_uint_ge(fake_count(w.cluster, 2, KP_API_FETCH), 1);
    log->fetch_error = KC_E_OFFSET_OUT_OF_RANGE; /* the replica lags */
    world_run(&w, 600);
    log->fetch_error = 0;
    log->preferred_replica = -1;
    world_append(log, 5, KP_CODEC_NONE);
    ck_assert_int_eq(world_read_until(&w, 5, 3000), 5);
    ck_assert_int_eq(world_position(&w, 0), 15);
    world_stop(&w);
}
END_TEST

/* One broker has many partitions; answers are matched in any order. */
START_TEST(many_partitions_share_one_fetch)
{
    world w;
    world_start(&w, 1, 16, NULL);
    for (int32_t p = 0; p < 16; p++)
        world_append(world_log_of(&w, "t", p), 3, KP_CODEC_NONE);
    world_assign(&w, 16, 0);
    ck_assert_int_eq(world_read_until(&w, 48, 1000), 48);
    ck_assert_uint_le(fake_count(w.cluster, 0, KP_API_FETCH), 4);
    world_stop(&w);
}
END_TEST
