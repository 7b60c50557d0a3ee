/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Seeded random numbers and the uuids made from them. */
#include "protocol/base/rand.h"
#include "protocol/base/text.h"

#include <check.h>

START_TEST(the_generator_is_xoshiro256starstar)
{
    // the first outputs of the reference implementation from the state {1, 2, 3, 4}
    static const uint64_t expected[] = {11520u,
                                        0u,
                                        1509978240u,
                                        1215971899390074240u,
                                        1216172134540287360u,
                                        607988272756665600u,
                                        16172922978634559625u,
                                        8476171486693032832u,
                                        10595114339597558777u,
                                        2904607092377533576u};
    kb_rand rand = {{1, 2, 3, 4}};
    for (size_t i = 0; i < 10; i++)
        ck_assert_uint_eq(kb_rand_u64(&rand), expected[i]);
}
END_TEST

START_TEST(the_seed_is_spread_by_splitmix64)
{
    kb_rand rand;
    kb_rand_init(&rand, 1234567); // the published outputs of splitmix64 for this seed
    ck_assert_uint_eq(rand.s[0], 6457827717110365317u);
    ck_assert_uint_eq(rand.s[1], 3203168211198807973u);
    ck_assert_uint_eq(rand.s[2], 9817491932198370423u);
    ck_assert_uint_eq(rand.s[3], 4593380528125082431u);
}
END_TEST

START_TEST(one_seed_replays_and_another_differs)
{
    kb_rand a;
    kb_rand b;
    kb_rand c;
    kb_rand_init(&a, 42);
    kb_rand_init(&b, 42);
    kb_rand_init(&c, 43);
    int same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t value = kb_rand_u64(&a);
        ck_assert_uint_eq(value, kb_rand_u64(&b));
        same += value == kb_rand_u64(&c);
    }
    ck_assert_int_eq(same, 0);
}
END_TEST

START_TEST(bounded_draws_are_even_and_inside)
{
    kb_rand rand;
    kb_rand_init(&rand, 7);
    int counts[6] = {0};
    for (int i = 0; i < 60000; i++)
        counts[kb_rand_below(&rand, 6)]++;
    for (int i = 0; i < 6; i++)
        ck_assert(counts[i] > 9600 && counts[i] < 10400);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(kb_rand_below(&rand, 1), 0);
}
END_TEST

START_TEST(a_bound_just_above_half_the_range_is_not_skewed)
{
    // without rejection the low third would come up twice as often
    uint64_t bound = UINT64_C(0xc000000000000000);
    kb_rand rand;
    kb_rand_init(&rand, 7);
    int low = 0;
    for (int i = 0; i < 30000; i++) {
        uint64_t draw = kb_rand_below(&rand, bound);
        ck_assert_uint_lt(draw, bound);
        low += draw < bound / 3;
    }
    ck_assert(low > 9600 && low < 10400);
}
END_TEST

START_TEST(unit_draws_lie_in_zero_to_below_one)
{
    kb_rand rand;
    kb_rand_init(&rand, 1);
    double sum = 0;
    for (int i = 0; i < 100000; i++) {
        double draw = kb_rand_unit(&rand);
        ck_assert(draw >= 0 && draw < 1);
        sum += draw;
    }
    ck_assert(sum > 49500 && sum < 50500);
}
END_TEST

START_TEST(uuid_v4_has_its_version_and_variant)
{
    kb_rand rand;
    kb_rand_init(&rand, 3);
    kc_uuid first = kb_uuid_v4(&rand);
    for (int i = 0; i < 1000; i++) {
        kc_uuid id = kb_uuid_v4(&rand);
        ck_assert_uint_eq(id.bytes[6] >> 4, 4);
        ck_assert_uint_eq(id.bytes[8] >> 6, 2);
        ck_assert(memcmp(&id, &first, sizeof id) != 0);
        ck_assert(memcmp(id.bytes, first.bytes, 4) != 0); // the high half is random too
    }
}
END_TEST

START_TEST(uuid_v7_begins_with_the_time)
{
    kb_rand rand;
    kb_rand_init(&rand, 3);
    char text[37];
    // the time of the example in RFC 9562 appendix A.6: 2022-02-22T19:22:22Z
    kb_uuid_format(kb_uuid_v7(&rand, 0x017F22E279B0), text);
    ck_assert_int_eq(strncmp(text, "017f22e2-79b0-7", 15), 0);
    ck_assert(text[19] == '8' || text[19] == '9' || text[19] == 'a' || text[19] == 'b');
    kc_uuid earlier = kb_uuid_v7(&rand, 1000);
    kc_uuid later = kb_uuid_v7(&rand, 1001);
    ck_assert_int_lt(memcmp(&earlier, &later, sizeof earlier), 0);
}
END_TEST
