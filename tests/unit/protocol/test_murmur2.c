/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * protocol/murmur2: the vectors of Java's UtilsTest.testMurmur2, and partitions of keys. */
#include "protocol/murmur2.h"

#include <check.h>
#include <string.h>

static void expect(const char *text, int32_t hash)
{
    ck_assert_int_eq((int32_t)kp_murmur2(text, strlen(text)), hash);
}

START_TEST(murmur2_equals_the_vectors_of_the_java_client)
{
    expect("21", -973932308);
    expect("foobar", -790332482);
    expect("a-little-bit-long-string", -985981536);
    expect("a-little-bit-longer-string", -1486304829);
    expect("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971);
    expect("abc", 479470107);
}
END_TEST

START_TEST(murmur2_does_not_depend_on_alignment)
{
    const char *text = "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8";
    char copy[80];
    for (size_t at = 0; at < 8; at++) {
        memcpy(copy + at, text, strlen(text));
        ck_assert_int_eq((int32_t)kp_murmur2(copy + at, strlen(text)), -58897971);
    }
}
END_TEST

START_TEST(murmur2_of_an_empty_key_is_defined)
{
    ck_assert_uint_eq(kp_murmur2("", 0), 275646681u);
}
END_TEST

START_TEST(partition_of_a_negative_hash_is_in_range)
{
    /* -973932308 & 0x7fffffff = 1173551340 */
    ck_assert_int_eq(kp_partition_of_key("21", 2, 1), 0);
    ck_assert_int_eq(kp_partition_of_key("21", 2, 7), 1173551340 % 7);
    ck_assert_int_eq(kp_partition_of_key("21", 2, INT32_MAX), 1173551340);
}
END_TEST
