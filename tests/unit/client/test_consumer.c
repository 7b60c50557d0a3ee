/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Opening and closing a consumer, waiting, events, memory that runs out. */
#include "client/consumer_part.h"
#include "tests/unit/client/consumer_world.h"

#include <limits.h>
#include <stdlib.h>

static const char *const with_group[] = {"group.id", "g", NULL};

START_TEST(a_consumer_has_properties_of_its_own)
{
    world w;
    world_start(&w, 1, 1, NULL);
    kc_config *config = kc_config_new();
    kc_error error;
    kc_consumer *consumer;
    ck_assert_int_eq(kc_config_set(config, "group.id", "mine", NULL), KC_OK);
    ck_assert_int_eq(kc_consumer_open(w.client, config, &consumer, &error), KC_OK);
    kc_config_free(config);
    ck_assert(kc_bytes_equal(consumer->group_id, KC_STR("mine")));
    ck_assert_ptr_null(w.consumer->group_id.ptr);
    ck_assert_uint_ne(consumer->owner, w.consumer->owner);
    kc_bytes topic = KC_STR("t");
    ck_assert_int_eq(kc_consumer_subscribe(consumer, &topic, 1, &error), KC_OK);
    world_run(&w, 1000);
    kc_group_info info;
    kc_consumer_group_info(consumer, &info);
    ck_assert_str_eq(info.state, "stable");
    ck_assert_int_eq(kc_consumer_close(consumer, 100), KC_OK);
    world_stop(&w);
}
END_TEST

START_TEST(without_an_assignment_there_is_nothing_to_take)
{
    world w;
    world_start(&w, 1, 1, NULL);
    kc_batch *batch;
    kc_error error;
    ck_assert_int_eq(kc_consumer_next(w.consumer, &batch), KC_ERR_STATE);
    ck_assert_int_eq(kc_consumer_poll(w.consumer, 10, &batch, &error), KC_ERR_STATE);
    int64_t offset, low, high, last_stable;
    ck_assert_int_eq(kc_consumer_position(w.consumer, KC_STR("t"), 0, &offset), KC_ERR_NOT_FOUND);
    ck_assert_int_eq(kc_consumer_seek(w.consumer, KC_STR("t"), 0, 1), KC_ERR_NOT_FOUND);
    ck_assert_int_eq(kc_consumer_watermarks(w.consumer, KC_STR("t"), 0, &low, &high, &last_stable),
                     KC_ERR_NOT_FOUND);
    kc_topic_partition none = {KC_STR("t"), 0};
    kc_consumer_pause(w.consumer, &none, 1);
    kc_consumer_resume(w.consumer, &none, 1);
    kc_consumer_unsubscribe(w.consumer);
    ck_assert_int_eq(kc_consumer_close(NULL, 0), KC_OK);
    kc_batch_free(NULL);
    world_stop(&w);
}
END_TEST

START_TEST(senseless_assignments_and_seeks_are_refused)
{
    world w;
    world_start(&w, 1, 1, NULL);
    kc_error error;
    kc_topic_offset items[] = {{.topic = KC_STR("a b"), .offset = 0},
                               {.topic = KC_STR("t"), .partition = -1},
                               {.topic = KC_STR("t"), .offset = -7}};
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(kc_consumer_assign(w.consumer, &items[i], 1, &error), KC_ERR_ARGUMENT);
    world_assign(&w, 1, 0);
    ck_assert_int_eq(kc_consumer_seek(w.consumer, KC_STR("t"), 0, -5), KC_ERR_ARGUMENT);
    world_stop(&w);
}
END_TEST

START_TEST(an_assignment_takes_the_place_of_the_last_one)
{
    world w;
    world_start(&w, 1, 3, NULL);
    for (int32_t p = 0; p < 3; p++)
        world_append(world_log_of(&w, "t", p), 5, KP_CODEC_NONE);
    world_assign(&w, 3, 0);
    world_run(&w, 50);
    kc_topic_offset item = {.topic = KC_STR("t"), .partition = 2, .offset = 1};
    ck_assert_int_eq(kc_consumer_assign(w.consumer, &item, 1, NULL), KC_OK);
    kc_topic_partition assigned[3];
    ck_assert_uint_eq(kc_consumer_assignment(w.consumer, assigned, 3), 1);
    ck_assert_int_eq(assigned[0].partition, 2);
    ck_assert_int_eq(world_read_until(&w, 4, 2000), 4);
    ck_assert_int_eq(kc_consumer_assign(w.consumer, NULL, 0, NULL), KC_OK);
    ck_assert_ptr_null(world_next(&w));
    world_stop(&w);
}
END_TEST

START_TEST(poll_waits_for_a_batch_and_not_longer_than_told)
{
    world w;
    world_start(&w, 1, 1, NULL);
    kc_batch *batch;
    kc_error error;
    world_assign(&w, 1, 0);
    int64_t before = fake_now_ms(w.cluster);
    ck_assert_int_eq(kc_consumer_poll(w.consumer, 250, &batch, &error), KC_ERR_AGAIN);
    ck_assert_int_eq(fake_now_ms(w.cluster) - before, 250);
    ck_assert_int_eq(kc_consumer_poll(w.consumer, 0, &batch, &error), KC_ERR_AGAIN);
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    ck_assert_int_eq(kc_consumer_poll(w.consumer, -1, &batch, &error), KC_OK);
    kc_view view;
    ck_assert(kc_batch_read(batch, &view));
    kc_batch_free(batch);
    world_stop(&w);
}
END_TEST

static void take_all(world *w, char kind)
{
    if (kind != 'B')
        return;
    w->joins++; /* counts here */
    w->leaves += world_read(w);
}

START_TEST(on_batch_says_when_there_is_something_to_take)
{
    world w;
    world_start(&w, 1, 1, NULL);
    w.on_event = take_all;
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    world_run(&w, 100);
    ck_assert_int_eq(w.joins, 1);
    ck_assert_int_eq(w.leaves, 5);
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_run(&w, 1000);
    ck_assert_int_eq(w.joins, 2);
    ck_assert_int_eq(w.leaves, 10);
    kc_topic_partition zero = {KC_STR("t"), 0};
    kc_consumer_pause(w.consumer, &zero, 1);
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_run(&w, 1000); /* the Fetch under way brings it, and it stays */
    ck_assert_int_eq(w.leaves, 10);
    kc_consumer_resume(w.consumer, &zero, 1);
    world_run(&w, 1000);
    ck_assert_int_eq(w.leaves, 15);
    world_stop(&w);
}
END_TEST

static void call_what_is_not_allowed(world *w, char kind)
{
    if (kind != 'B')
        return;
    kc_batch *batch;
    kc_error error;
    ck_assert_int_eq(kc_consumer_poll(w->consumer, 10, &batch, &error), KC_ERR_STATE);
    ck_assert_int_eq(kc_consumer_close(w->consumer, 10), KC_ERR_STATE);
    ck_assert_int_eq(kc_consumer_commit_sync(w->consumer, NULL, 0, 10, &error), KC_ERR_STATE);
    w->joins++;
}

START_TEST(what_blocks_is_refused_in_callbacks)
{
    world w;
    world_start(&w, 1, 1, with_group);
    w.on_event = call_what_is_not_allowed;
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_assign(&w, 1, 0);
    world_run(&w, 100);
    ck_assert_int_eq(w.joins, 1);
    world_stop(&w);
}
END_TEST

static kc_err closed_again;
static int closed_commits;

static void close_again(kc_err err, const kc_error *error, const kc_topic_offset *offsets,
                        size_t count, void *user)
{
    (void)error;
    (void)offsets;
    (void)count;
    ck_assert_int_eq(err, KC_ERR_CLOSED);
    closed_commits++;
    closed_again = kc_consumer_close(user, 0);
}

START_TEST(a_callback_of_closing_cannot_close_again)
{
    world w;
    world_start(&w, 1, 1, with_group);
    world_subscribe(&w, "t");
    world_stable(&w);
    kc_topic_offset offset = {.topic = KC_STR("t"), .offset = 0, .leader_epoch = -1};
    closed_commits = 0;
    ck_assert_int_eq(kc_consumer_commit(w.consumer, &offset, 1, close_again, w.consumer, NULL),
                     KC_OK);
    ck_assert_int_eq(kc_consumer_close(w.consumer, 0), KC_OK);
    w.consumer = NULL;
    ck_assert_int_eq(closed_again, KC_ERR_STATE);
    ck_assert_int_eq(closed_commits, 1);
    world_stop(&w);
}
END_TEST

START_TEST(closing_ends_at_its_deadline_when_nobody_answers)
{
    world w;
    world_start(&w, 1, 1, with_group);
    world_append(world_log_of(&w, "t", 0), 5, KP_CODEC_NONE);
    world_subscribe(&w, "t");
    world_stable(&w);
    kn_mem_pause(w.cluster->network, "b1", 9092, true);
    int64_t before = fake_now_ms(w.cluster);
    ck_assert_int_eq(kc_consumer_close(w.consumer, 800), KC_ERR_TIMEOUT);
    w.consumer = NULL;
    ck_assert_int_le(fake_now_ms(w.cluster) - before, 801);
    kn_mem_pause(w.cluster->network, "b1", 9092, false);
    world_stop(&w);
}
END_TEST

/* The idle cost (design section 6): no timer but keep-alive ones. */
START_TEST(an_idle_consumer_only_fetches_at_its_wait)
{
    world w;
    world_start(&w, 1, 4, NULL);
    world_assign(&w, 4, 0);
    world_run(&w, 1000);
    uint32_t before = fake_count(w.cluster, 0, KP_API_FETCH);
    world_run(&w, 10000);
    ck_assert_uint_le(fake_count(w.cluster, 0, KP_API_FETCH) - before, 21);
    world_stop(&w);
}
END_TEST

/* ---- memory that runs out at the n-th allocation ---- */

typedef struct failing {
    long count; /**< allocations so far */
    long from, until;
} failing;

static bool fails(failing *f)
{
    f->count++;
    return f->count > f->from && f->count <= f->until;
}

static void *fail_malloc(size_t size, void *user)
{
    return fails(user) ? NULL : malloc(size);
}

static void *fail_realloc(void *ptr, size_t size, void *user)
{
    return fails(user) ? NULL : realloc(ptr, size);
}

static void fail_free(void *ptr, void *user)
{
    (void)user;
    free(ptr);
}

static int read_through(world *w, bool with_subscription)
{
    int total = 0;
    kc_bytes topic = KC_STR("t");
    kc_topic_offset items[2] = {{.topic = topic, .partition = 0},
                                {.topic = topic, .partition = 1, .offset = KC_OFFSET_BEGINNING}};
    kc_err started = with_subscription ? kc_consumer_subscribe(w->consumer, &topic, 1, NULL)
                                       : kc_consumer_assign(w->consumer, items, 2, NULL);
    if (started != KC_OK)
        return -1;
    for (int i = 0; i < 400 && total < 200; i++) {
        bool never = false;
        kc_err ran = kc_client_run_until(w->client, &never, i < 20 ? 50 : 500);
        ck_assert_int_eq(ran, KC_ERR_TIMEOUT);
        kc_batch *batch;
        while (kc_consumer_next(w->consumer, &batch) == KC_OK) {
            kc_view view;
            while (kc_batch_read(batch, &view))
                total++;
            kc_batch_free(batch);
        }
        kc_err committed = kc_consumer_commit(w->consumer, NULL, 0, NULL, NULL, NULL);
        ck_assert(committed == KC_OK || committed == KC_ERR_NOMEM);
    }
    return total;
}

/** One run in which the `more` allocations behind the n-th fail; then memory is there again, so all
 * is read in the end. False: there were not so many. */
static bool run_failing(long n, long more, bool with_subscription)
{
    world w;
    world_start(&w, 1, 2, with_group);
    world_append(world_log_of(&w, "t", 0), 100, KP_CODEC_GZIP);
    world_append(world_log_of(&w, "t", 1), 100, KP_CODEC_NONE);
    kc_consumer_close(w.consumer, 0);
    kc_client_free(w.client);
    w.consumer = NULL;
    failing f = {.from = LONG_MAX, .until = LONG_MAX};
    kc_alloc alloc = {fail_malloc, fail_realloc, fail_free, &f};
    kc_client_options options = {.size = sizeof options, .alloc = &alloc, .seed = 3};
    kc_config *config = kc_config_new();
    ck_assert_int_eq(kc_config_set(config, "group.id", "g", NULL), KC_OK);
    ck_assert_int_eq(kc_config_set(config, "auto.offset.reset", "earliest", NULL), KC_OK);
    w.client = fake_client_with(w.cluster, config, &options, NULL);
    kc_config_free(config);
    f = (failing){.from = n, .until = n + more};
    int total = -1;
    if (kc_consumer_open(w.client, NULL, &w.consumer, NULL) == KC_OK)
        total = read_through(&w, with_subscription);
    else
        w.consumer = NULL;
    ck_assert_msg(total == -1 || total == 200, "%d records with failures from %ld", total, n);
    if (with_subscription && total == 200) {
        w.heartbeat_error = KC_E_REBALANCE_IN_PROGRESS;
        w.heartbeat_errors = 1;
        world_run(&w, 5000);
        world_stable(&w);
        kc_err closed = kc_consumer_close(w.consumer, 5000);
        ck_assert(closed == KC_OK || closed == KC_ERR_TIMEOUT);
        w.consumer = NULL;
    }
    world_stop(&w);
    return f.count > n;
}

START_TEST(running_out_of_memory_at_any_point_breaks_nothing)
{
    for (int round = 0; round < 4; round++) {
        long n = 0;
        while (run_failing(n, round < 2 ? 1 : 9, round % 2))
            n += n < 300 ? 1 : 5;
        ck_assert_int_gt(n, 50);
    }
}
END_TEST
