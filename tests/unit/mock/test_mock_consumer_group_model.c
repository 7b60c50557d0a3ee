/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Consumer groups of KIP-848, by what holds whatever happens: no partition has two owners, and a heartbeat that finds no
 * memory leaves no trace. */
#include "protocol/frame.h"
#include "protocol/random_fill.h"
#include "tests/unit/mock/mock_consumer.h"

#include <check.h>

/** Send it with no more than `room` bytes of memory left; true: the broker had none, and closed. */
static bool has_no_room(mock_world *world, const kp_consumer_group_heartbeat_req *request,
                        size_t room)
{
    kb_mem mem;
    kb_buf frame;
    kp_fault fault = {0};
    mock_link *link = mock_link_new(world, 1);
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&frame, &mem, 0);
    ck_assert_int_eq(kp_frame_request(kp_api_by_key(KP_API_CONSUMER_GROUP_HEARTBEAT), 1, 7,
                                      KC_STR("test"), request, &frame, NULL, &fault),
                     KC_OK);
    world->mem.limit = world->mem.used + room;
    mock_send_bytes(link, kb_buf_bytes(&frame));
    world->mem.limit = SIZE_MAX;
    kb_buf_cleanup(&frame);
    return mock_is_closed(link);
}

START_TEST(without_memory_a_heartbeat_leaves_no_trace)
{
    int closed = 0;
    int served = 0;
    for (size_t room = 0; room < 40000; room += 56) {
        mock_world *world = mock_new(1);
        mock_topic(world, "t", 40);
        member a = member_of(world, "a", "t");
        member b = member_of(world, "b", "t");
        member_join(&a);
        member_pause(world);
        kp_consumer_group_heartbeat_req request;
        mock_defaults(KP_API_CONSUMER_GROUP_HEARTBEAT, &request);
        request.group_id = KC_STR("g");
        request.member_id = KC_STR("b");
        request.instance_id = KC_STR("i");
        request.rebalance_timeout_ms = 1000;
        request.topic_partitions.count = 0;
        request.subscribed_topic_names.items = b.topics;
        request.subscribed_topic_names.count = 1;
        request.subscribed_topic_regex = KC_STR("[a-z]*");
        if (has_no_room(world, &request, room)) {
            closed++;
            ck_assert_str_eq(member_group_state(world), "Stable");
            member_beat(&a, false);
            ck_assert_int_eq(a.epoch, 2);
            ck_assert(!a.has_assignment);
        } else {
            served++;
        }
        mock_free(world);
    }
    ck_assert_int_gt(closed, 20);
    ck_assert_int_gt(served, 20);
}
END_TEST

/** What a client does that does what it is told: it joins, says what it owns, and gives all up when it is fenced. */
static void live(member *m, bool *is_in)
{
    if (*is_in)
        member_beat(m, true);
    if (!*is_in || m->error) {
        ck_assert(!*is_in || m->error == KC_E_UNKNOWN_MEMBER_ID);
        m->epoch = 0;
        m->owned_count = 0;
        member_join(m);
        ck_assert_int_eq(m->error, 0);
        *is_in = true;
    }
}

START_TEST(no_partition_ever_has_two_owners_and_all_is_stable_in_the_end)
{
    enum {
        MEMBERS = 5,
        PARTITIONS = 12
    };
    static const char *const ids[MEMBERS] = {"a", "b", "c", "d", "e"};
    for (uint64_t seed = 1; seed <= 100; seed++) {
        mock_world *world = mock_new(1);
        km_topic *topic = mock_topic(world, "t", PARTITIONS);
        kb_rand rand;
        kb_rand_init(&rand, seed);
        member members[MEMBERS];
        bool is_in[MEMBERS] = {false};
        int64_t heard_us[MEMBERS] = {0};
        for (int i = 0; i < MEMBERS; i++)
            members[i] = member_of(world, ids[i], "t");
        for (int step = 0; step < 300; step++) {
            bool is_ending = step > 250; // each in turn, and nobody leaves
            int i = is_ending ? step % MEMBERS : (int)kb_rand_below(&rand, MEMBERS);
            if (is_in[i] && !is_ending && kb_rand_one_in(&rand, 15)) {
                member_leave(&members[i], -1);
                is_in[i] = false;
            } else {
                live(&members[i], &is_in[i]);
            }
            heard_us[i] = world->cluster->now_us;
            int owners[2 * PARTITIONS] = {0};
            for (int j = 0; j < MEMBERS; j++) {
                /* Without an answer for so long it is fenced, if only it knew. */
                is_in[j] &= world->cluster->now_us - heard_us[j] < 45000000;
                for (int32_t k = 0; is_in[j] && k < members[j].owned_count; k++)
                    ck_assert_int_eq(owners[members[j].owned[k]]++, 0);
            }
            if (step == 100)
                ck_assert_int_eq(km_topic_grow(world->cluster, topic, PARTITIONS + 5, NULL), 0);
            mock_run(world, (int64_t)kb_rand_below(&rand, 3000));
        }
        ck_assert_str_eq(member_group_state(world), "Stable");
        int count = 0;
        for (int j = 0; j < MEMBERS; j++)
            count += is_in[j] ? members[j].owned_count : 0;
        ck_assert_int_eq(count, PARTITIONS + 5);
        mock_free(world);
    }
}
END_TEST

/** A few names, so that requests meet. */
static kc_bytes any_of(kb_rand *rand, const char *const *names, size_t count)
{
    const char *name = names[kb_rand_below(rand, count)];
    return name ? kc_str(name) : KC_NULL;
}

static void make_sensible(kb_rand *rand, kp_consumer_group_heartbeat_req *request)
{
    static const char *const groups[] = {"g", "h"};
    static const char *const ids[] = {"a", "b", "c"};
    static const char *const instances[] = {NULL, NULL, "i", "j"};
    static const char *const patterns[] = {NULL, "t|u", "[", "", ".*"};
    static const char *const assignors[] = {NULL, "uniform", "range", "other"};
    request->group_id = any_of(rand, groups, 2);
    request->member_id = any_of(rand, ids, 3);
    request->instance_id = any_of(rand, instances, 4);
    request->subscribed_topic_regex = any_of(rand, patterns, 5);
    request->server_assignor = any_of(rand, assignors, 4);
    request->rack_id = KC_NULL;
    request->member_epoch = (int32_t)kb_rand_below(rand, 8) - 2;
    if (kb_rand_one_in(rand, 3)) {
        request->member_epoch = 0;
        request->topic_partitions.count = 0;
        request->rebalance_timeout_ms = 1 + (int32_t)kb_rand_below(rand, 5000);
    }
    for (int32_t i = 0; i < request->subscribed_topic_names.count; i++)
        request->subscribed_topic_names.items[i] = i == 0 ? KC_STR("t") : KC_STR("u");
}

START_TEST(whatever_is_asked_is_answered)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        mock_world *world = mock_new(1);
        kb_arena arena;
        kb_rand rand;
        kb_arena_init(&arena, &world->mem, 0);
        kb_rand_init(&rand, seed);
        mock_topic(world, "t", 3);
        km_topic *topic = mock_topic(world, "u", 5);
        int answered = 0;
        for (int step = 0; step < 300; step++) {
            kp_consumer_group_heartbeat_req request = {0};
            const kp_api *api = kp_api_by_key(KP_API_CONSUMER_GROUP_HEARTBEAT);
            kb_arena_reset(&arena);
            ck_assert_int_eq(kp_random_fill(api->request, 1, &rand, &arena, &request), KC_OK);
            if (!kb_rand_one_in(&rand, 10))
                make_sensible(&rand, &request);
            answered += member_ask(world, 1, &request)->error_code == 0;
            if (kb_rand_one_in(&rand, 40) && topic) {
                km_topic_delete(world->cluster, topic);
                topic = NULL;
            } else if (kb_rand_one_in(&rand, 40) && !topic) {
                topic = mock_topic(world, "u", 1 + (int32_t)kb_rand_below(&rand, 6));
            }
            mock_run(world, (int64_t)kb_rand_below(&rand, 2000));
        }
        ck_assert_int_gt(answered, 20);
        kb_arena_cleanup(&arena);
        mock_free(world);
    }
}
END_TEST
