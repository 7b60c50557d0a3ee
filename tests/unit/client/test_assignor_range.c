/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The range assignor: Java's results, and input nobody should send. */
#include "client/assignor.h"
#include "protocol/base/rand.h"

#include <check.h>
#include <stdio.h>

#define NAMES(...) ((const kc_bytes[]){__VA_ARGS__})

typedef struct bench {
    kb_mem mem;
    kb_arena arena;
    kc_assign_result result;
} bench;

static void assign(bench *b, const kc_assign_member *members, int32_t member_count,
                   const kc_assign_topic *topics, int32_t topic_count)
{
    kb_mem_init(&b->mem, NULL, 0);
    kb_arena_init(&b->arena, &b->mem, 0);
    ck_assert_int_eq(
        kc_assign_range_all(members, member_count, topics, topic_count, &b->arena, &b->result),
        KC_OK);
}

static void done(bench *b)
{
    kb_arena_cleanup(&b->arena);
    ck_assert_uint_eq(b->mem.used, 0);
}

static void expect(const bench *b, size_t index, int32_t member, int32_t topic, int32_t first,
                   int32_t count)
{
    ck_assert_uint_lt(index, b->result.count);
    const kc_assign_range *range = &b->result.ranges[index];
    ck_assert_int_eq(range->member, member);
    ck_assert_int_eq(range->topic, topic);
    ck_assert_int_eq(range->first, first);
    ck_assert_int_eq(range->count, count);
}

START_TEST(the_first_members_get_one_more)
{
    bench b;
    kc_assign_member members[] = {{KC_STR("b"), KC_NULL, NAMES(KC_STR("t")), 1},
                                  {KC_STR("a"), KC_NULL, NAMES(KC_STR("t")), 1},
                                  {KC_STR("c"), KC_NULL, NAMES(KC_STR("t")), 1}};
    kc_assign_topic topics[] = {{KC_STR("t"), 8}};
    assign(&b, members, 3, topics, 1);
    ck_assert_uint_eq(b.result.count, 3);
    expect(&b, 0, 1, 0, 0, 3); /* a */
    expect(&b, 1, 0, 0, 3, 3); /* b */
    expect(&b, 2, 2, 0, 6, 2); /* c */
    done(&b);
}
END_TEST

START_TEST(each_topic_is_shared_by_those_that_want_it)
{
    bench b;
    kc_assign_member members[] = {{KC_STR("a"), KC_NULL, NAMES(KC_STR("t"), KC_STR("u")), 2},
                                  {KC_STR("b"), KC_NULL, NAMES(KC_STR("u")), 1}};
    kc_assign_topic topics[] = {{KC_STR("t"), 2}, {KC_STR("u"), 3}};
    assign(&b, members, 2, topics, 2);
    ck_assert_uint_eq(b.result.count, 3);
    expect(&b, 0, 0, 0, 0, 2);
    expect(&b, 1, 0, 1, 0, 2);
    expect(&b, 2, 1, 1, 2, 1);
    done(&b);
}
END_TEST

START_TEST(more_members_than_partitions_leave_some_without)
{
    bench b;
    kc_assign_member members[] = {{KC_STR("a"), KC_NULL, NAMES(KC_STR("t")), 1},
                                  {KC_STR("b"), KC_NULL, NAMES(KC_STR("t")), 1}};
    kc_assign_topic topics[] = {{KC_STR("t"), 1}};
    assign(&b, members, 2, topics, 1);
    ck_assert_uint_eq(b.result.count, 1);
    expect(&b, 0, 0, 0, 0, 1);
    done(&b);
}
END_TEST

/* As Java's MemberInfo.compareTo(). */
START_TEST(static_members_come_first_by_instance_id)
{
    bench b;
    kc_assign_member members[] = {{KC_STR("a"), KC_NULL, NAMES(KC_STR("t")), 1},
                                  {KC_STR("x"), KC_STR("i2"), NAMES(KC_STR("t")), 1},
                                  {KC_STR("z"), KC_STR("i1"), NAMES(KC_STR("t")), 1}};
    kc_assign_topic topics[] = {{KC_STR("t"), 3}};
    assign(&b, members, 3, topics, 1);
    expect(&b, 0, 2, 0, 0, 1);
    expect(&b, 1, 1, 0, 1, 1);
    expect(&b, 2, 0, 0, 2, 1);
    done(&b);
}
END_TEST

/* Trap 41. */
START_TEST(a_topic_or_member_named_twice_counts_once)
{
    bench b;
    kc_assign_member members[] = {
        {KC_STR("a"), KC_NULL, NAMES(KC_STR("t"), KC_STR("t"), KC_STR("nowhere")), 3},
        {KC_STR("a"), KC_NULL, NAMES(KC_STR("t")), 1},
        {KC_STR("b"), KC_NULL, NAMES(KC_STR("t"), KC_STR("t")), 2}};
    kc_assign_topic topics[] = {{KC_STR("t"), 4}};
    assign(&b, members, 3, topics, 1);
    ck_assert_uint_eq(b.result.count, 2);
    expect(&b, 0, 0, 0, 0, 2);
    expect(&b, 1, 2, 0, 2, 2);
    done(&b);
}
END_TEST

START_TEST(nothing_in_gives_nothing_out)
{
    bench b;
    assign(&b, NULL, 0, NULL, 0);
    ck_assert_uint_eq(b.result.count, 0);
    done(&b);
    kc_assign_member member = {KC_STR("a"), KC_NULL, NULL, 0};
    kc_assign_topic topic = {KC_STR("t"), 5};
    assign(&b, &member, 1, &topic, 1);
    ck_assert_uint_eq(b.result.count, 0);
    done(&b);
    member.topics = NAMES(KC_STR("t"));
    member.topic_count = 1;
    topic.partition_count = 0;
    assign(&b, &member, 1, &topic, 1);
    ck_assert_uint_eq(b.result.count, 0);
    done(&b);
}
END_TEST

/* Every partition goes to exactly one of those that want it, in runs whose sizes differ by one at
 * most. */
START_TEST(random_groups_share_out_every_partition_once)
{
    kb_rand rand;
    kb_rand_init(&rand, 42);
    for (int round = 0; round < 200; round++) {
        bench b;
        char text[12][8];
        kc_bytes names[6], wants[12][6];
        kc_assign_member members[12];
        kc_assign_topic topics[6];
        int32_t member_count = (int32_t)kb_rand_below(&rand, 12) + 1;
        for (int t = 0; t < 6; t++) {
            static const char *const all[] = {"a", "b", "c", "d", "e", "f"};
            names[t] = kc_str(all[t]);
            topics[t] = (kc_assign_topic){names[t], (int32_t)kb_rand_below(&rand, 20)};
        }
        for (int32_t m = 0; m < member_count; m++) {
            snprintf(text[m], sizeof text[m], "m%d", (int)kb_rand_below(&rand, 1000000));
            members[m] = (kc_assign_member){.id = kc_str(text[m]), .topics = wants[m]};
            for (int t = 0; t < 6; t++)
                if (kb_rand_below(&rand, 2))
                    wants[m][members[m].topic_count++] = names[t];
        }
        assign(&b, members, member_count, topics, 6);
        for (int32_t t = 0; t < 6; t++) {
            int32_t next = 0, most = 0, least = INT32_MAX, wanting = 0;
            for (int32_t m = 0; m < member_count; m++)
                for (int32_t i = 0; i < members[m].topic_count; i++)
                    wanting += kc_bytes_equal(members[m].topics[i], names[t]);
            for (size_t i = 0; i < b.result.count; i++) {
                const kc_assign_range *range = &b.result.ranges[i];
                if (range->topic != t)
                    continue;
                ck_assert_int_eq(range->first, next);
                next += range->count;
                most = range->count > most ? range->count : most;
                least = range->count < least ? range->count : least;
            }
            ck_assert_int_eq(next, wanting ? topics[t].partition_count : 0);
            if (next > 0)
                ck_assert_int_le(most - least, 1);
        }
        done(&b);
    }
}
END_TEST
