/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The server-side assignors, by properties that hold for any group. */
#include "mock/assignor.h"
#include "protocol/base/rand.h"

#include <check.h>

#define TOPICS_MAX  5
#define MEMBERS_MAX 8
#define PLACES_MAX  64

typedef struct group {
    kb_mem mem;
    km_assignor_input input;
    int32_t partition_counts[TOPICS_MAX];
    bool is_subscribed[MEMBERS_MAX * TOPICS_MAX];
    int32_t owners[PLACES_MAX];
} group;

static void group_init(group *g, int32_t members, int32_t topics, int32_t partitions)
{
    memset(g, 0, sizeof *g);
    kb_mem_init(&g->mem, NULL, 0);
    g->input.mem = &g->mem;
    g->input.member_count = members;
    g->input.topic_count = topics;
    g->input.partition_counts = g->partition_counts;
    g->input.is_subscribed = g->is_subscribed;
    for (int32_t i = 0; i < topics; i++)
        g->partition_counts[i] = partitions;
    for (int32_t i = 0; i < members * topics; i++)
        g->is_subscribed[i] = true;
    for (int32_t i = 0; i < PLACES_MAX; i++)
        g->owners[i] = KM_NO_OWNER;
}

/** Anything: sizes, subscriptions, and owners that may be wrong. */
static void group_random(group *g, kb_rand *rand, bool is_equal)
{
    group_init(g, 1 + (int32_t)kb_rand_below(rand, MEMBERS_MAX),
               1 + (int32_t)kb_rand_below(rand, TOPICS_MAX), 0);
    for (int32_t i = 0; i < g->input.topic_count; i++)
        g->partition_counts[i] = (int32_t)kb_rand_below(rand, 12);
    for (int32_t i = 0; !is_equal && i < g->input.member_count * g->input.topic_count; i++)
        g->is_subscribed[i] = kb_rand_one_in(rand, 2);
    for (size_t i = 0; i < km_assignor_places(&g->input); i++)
        g->owners[i] = (int32_t)kb_rand_below(rand, MEMBERS_MAX + 2) - 1;
}

static void assign(group *g, km_assignor assignor)
{
    ck_assert_int_eq(assignor(&g->input, g->owners), KC_OK);
    ck_assert_uint_eq(g->mem.used, 0);
}

/** Each partition has one owner who is subscribed, where there is one. Loads of the members. */
static void check_owners(const group *g, int32_t *loads)
{
    size_t place = 0;
    memset(loads, 0, MEMBERS_MAX * sizeof *loads);
    for (int32_t topic = 0; topic < g->input.topic_count; topic++) {
        bool has_any = false;
        for (int32_t i = 0; i < g->input.member_count; i++)
            has_any |= g->is_subscribed[i * g->input.topic_count + topic];
        for (int32_t i = 0; i < g->partition_counts[topic]; i++, place++) {
            int32_t owner = g->owners[place];
            ck_assert_int_eq(owner == KM_NO_OWNER, !has_any);
            if (owner == KM_NO_OWNER)
                continue;
            ck_assert_int_lt(owner, g->input.member_count);
            ck_assert(g->is_subscribed[owner * g->input.topic_count + topic]);
            loads[owner]++;
        }
    }
}

static void check_spread(const int32_t *loads, int32_t members)
{
    int32_t least = loads[0];
    int32_t most = loads[0];
    for (int32_t i = 1; i < members; i++) {
        least = loads[i] < least ? loads[i] : least;
        most = loads[i] > most ? loads[i] : most;
    }
    ck_assert_int_le(most - least, 1);
}

static int moves(const group *g, const int32_t *before)
{
    int count = 0;
    for (size_t i = 0; i < km_assignor_places(&g->input); i++)
        count += before[i] != KM_NO_OWNER && before[i] != g->owners[i];
    return count;
}

START_TEST(uniform_gives_each_partition_one_owner_and_all_the_same_within_one)
{
    kb_rand rand;
    kb_rand_init(&rand, 1);
    for (int round = 0; round < 2000; round++) {
        group g;
        int32_t loads[MEMBERS_MAX];
        group_random(&g, &rand, true);
        assign(&g, km_assign_uniform);
        check_owners(&g, loads);
        check_spread(loads, g.input.member_count);
    }
}
END_TEST

START_TEST(uniform_with_other_subscriptions_leaves_no_single_move_that_makes_it_more_even)
{
    kb_rand rand;
    kb_rand_init(&rand, 2);
    for (int round = 0; round < 2000; round++) {
        group g;
        int32_t loads[MEMBERS_MAX];
        group_random(&g, &rand, false);
        assign(&g, km_assign_uniform);
        check_owners(&g, loads);
        size_t place = 0;
        for (int32_t topic = 0; topic < g.input.topic_count; topic++)
            for (int32_t i = 0; i < g.partition_counts[topic]; i++, place++)
                for (int32_t other = 0; other < g.input.member_count; other++)
                    if (g.is_subscribed[other * g.input.topic_count + topic])
                        ck_assert_int_le(loads[g.owners[place]] - loads[other], 1);
    }
}
END_TEST

START_TEST(uniform_moves_nothing_when_nothing_has_changed)
{
    kb_rand rand;
    kb_rand_init(&rand, 3);
    for (int round = 0; round < 1000; round++) {
        group g;
        int32_t before[PLACES_MAX];
        group_random(&g, &rand, round % 2 == 0);
        assign(&g, km_assign_uniform);
        memcpy(before, g.owners, sizeof before);
        assign(&g, km_assign_uniform);
        ck_assert_int_eq(moves(&g, before), 0);
    }
}
END_TEST

START_TEST(uniform_moves_to_a_new_member_what_it_is_to_have_and_no_more)
{
    for (int32_t members = 1; members < MEMBERS_MAX; members++) {
        group g;
        int32_t before[PLACES_MAX];
        int32_t loads[MEMBERS_MAX];
        group_init(&g, members, 3, 17);
        assign(&g, km_assign_uniform);
        memcpy(before, g.owners, sizeof before);
        g.input.member_count++;
        for (int32_t i = 0; i < MEMBERS_MAX * TOPICS_MAX; i++)
            g.is_subscribed[i] = true;
        assign(&g, km_assign_uniform);
        check_owners(&g, loads);
        check_spread(loads, members + 1);
        ck_assert_int_eq(moves(&g, before), loads[members]);
    }
}
END_TEST

START_TEST(uniform_moves_only_what_a_member_that_left_had)
{
    group g;
    int32_t before[PLACES_MAX];
    group_init(&g, 4, 2, 10);
    assign(&g, km_assign_uniform);
    for (int32_t i = 0; i < 20; i++)
        g.owners[i] = g.owners[i] == 3 ? KM_NO_OWNER : g.owners[i];
    memcpy(before, g.owners, sizeof before);
    g.input.member_count = 3;
    assign(&g, km_assign_uniform);
    ck_assert_int_eq(moves(&g, before), 0);
}
END_TEST

START_TEST(range_gives_pieces_in_a_row_and_deals_topics_alike)
{
    kb_rand rand;
    kb_rand_init(&rand, 4);
    for (int round = 0; round < 1000; round++) {
        group g;
        int32_t loads[MEMBERS_MAX];
        group_random(&g, &rand, round % 2 == 0);
        assign(&g, km_assign_range);
        check_owners(&g, loads);
        size_t place = 0;
        for (int32_t topic = 0; topic < g.input.topic_count; topic++)
            for (int32_t i = 0; i < g.partition_counts[topic]; i++, place++)
                if (i > 0)
                    ck_assert_int_ge(g.owners[place], g.owners[place - 1]);
    }
    group g;
    group_init(&g, 3, 2, 7);
    assign(&g, km_assign_range);
    const int32_t wanted[] = {0, 0, 0, 1, 1, 2, 2, 0, 0, 0, 1, 1, 2, 2};
    ck_assert_mem_eq(g.owners, wanted, sizeof wanted);
}
END_TEST

START_TEST(range_takes_static_members_first)
{
    ck_assert_int_lt(km_assignor_compare(KC_STR("z"), KC_STR("9"), (kc_bytes){0}, KC_STR("1")), 0);
    ck_assert_int_lt(km_assignor_compare(KC_STR("a"), KC_STR("9"), KC_STR("b"), KC_STR("1")), 0);
    ck_assert_int_gt(km_assignor_compare((kc_bytes){0}, KC_STR("b"), (kc_bytes){0}, KC_STR("a")),
                     0);
    ck_assert_int_lt(km_assignor_compare((kc_bytes){0}, KC_STR("a"), (kc_bytes){0}, KC_STR("aa")),
                     0);
}
END_TEST

START_TEST(a_group_without_members_has_no_owners)
{
    group g;
    group_init(&g, 0, 1, 3);
    g.owners[1] = 0;
    assign(&g, km_assign_uniform);
    for (int32_t i = 0; i < 3; i++)
        ck_assert_int_eq(g.owners[i], KM_NO_OWNER);
}
END_TEST
