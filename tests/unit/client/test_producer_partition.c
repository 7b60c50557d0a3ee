/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Tests of client/producer_partition. */
#include "client/producer_flow.h"
#include "tests/unit/client/fake_produce.h"

#include <check.h>
#include <stdio.h>

static producer_fixture *warm(int partitions, const char *const *properties)
{
    producer_fixture *fixture = fixture_new(1, partitions, properties);
    fixture_send(fixture, 0, "w");
    fixture_run(fixture, 200);
    return fixture;
}

START_TEST(a_key_decides_as_with_the_java_client)
{
    // murmur2 of Java: toPositive(murmur2("...")) % 12, from Kafka's UtilsTest values
    producer_fixture *fixture = fixture_new(1, 12, PROPERTIES("linger.ms=0"));
    static const struct {
        const char *key;
        uint32_t hash;
    } known[] = {{"21", (uint32_t)-973932308},
                 {"foobar", (uint32_t)-790332482},
                 {"a-little-bit-long-string", (uint32_t)-985981536},
                 {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", (uint32_t)-58897971}};
    for (int round = 0; round < 2; round++) { // staged, then straight
        for (size_t i = 0; i < 4; i++) {
            ck_assert_int_eq(fixture_try(fixture, -1, known[i].key, "v", 1), KC_OK);
            fixture_run(fixture, 100);
            ck_assert_int_eq(fixture->last_partition, (int)((known[i].hash & 0x7fffffff) % 12));
        }
    }
    ck_assert_uint_eq(fixture->told_count, 8);
    fixture_free(fixture);
}
END_TEST

START_TEST(an_empty_key_is_a_key)
{
    producer_fixture *fixture = warm(50, PROPERTIES("linger.ms=0"));
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(fixture_try(fixture, -1, "", "v", 1), KC_OK);
        fixture_run(fixture, 100);
        ck_assert_int_eq(fixture->last_partition, kp_partition_of_key("", 0, 50));
    }
    fixture_free(fixture);
}
END_TEST

START_TEST(a_key_goes_to_its_partition_also_when_that_has_no_leader)
{
    producer_fixture *fixture = warm(6, PROPERTIES("linger.ms=0"));
    int32_t partition = kp_partition_of_key("key", 3, 6);
    fake_move_leader(fixture->cluster, "t", partition, -1);
    fake_log_error(fixture->log, KC_E_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(fixture_try(fixture, -1, "key", "v", 1), KC_OK);
    fixture_run(fixture, 1000);
    ck_assert_uint_eq(fixture->told_count, 1);
    fake_move_leader(fixture->cluster, "t", partition, 1);
    fixture_run(fixture, 2000);
    ck_assert_uint_eq(fixture->told_count, 2);
    ck_assert_int_eq(fixture->last_partition, partition);
    fixture_free(fixture);
}
END_TEST

START_TEST(records_without_key_stick_to_a_partition_for_a_batch)
{
    producer_fixture *fixture = warm(6, PROPERTIES("linger.ms=5", "batch.size=2000"));
    static char value[100];
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(fixture_try(fixture, -1, NULL, value, sizeof value), KC_OK);
    fixture_run(fixture, 1000);
    ck_assert_uint_eq(fixture->told_count, 301);
    // about 18 to a batch: few batches, and every partition has some
    ck_assert_uint_le(fixture->log->batches, 20);
    for (int i = 0; i < 6; i++)
        ck_assert_uint_ge(fake_log_count(fixture->log, "t", i), 18);
    fixture_free(fixture);
}
END_TEST

START_TEST(batches_sent_for_their_age_do_not_end_the_stay)
{
    producer_fixture *fixture = warm(6, PROPERTIES("linger.ms=0", "batch.size=1000"));
    int32_t seen[20];
    static char value[50];
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(fixture_try(fixture, -1, NULL, value, sizeof value), KC_OK);
        fixture_run(fixture, 20);
        seen[i] = fixture->last_partition;
    }
    int moves = 0;
    for (int i = 1; i < 20; i++)
        moves += seen[i] != seen[i - 1];
    // KIP-794: about 120 bytes with its batch each, so eight or nine before the share is used up
    ck_assert_int_ge(moves, 1);
    ck_assert_int_le(moves, 3);
    fixture_free(fixture);
}
END_TEST

START_TEST(records_without_key_are_spread_evenly)
{
    producer_fixture *fixture = warm(4, PROPERTIES("linger.ms=0", "batch.size=500"));
    static char value[20];
    for (int i = 0; i < 4000; i++) {
        ck_assert_int_eq(fixture_try(fixture, -1, NULL, value, sizeof value), KC_OK);
        if (i % 10 == 0)
            fixture_run(fixture, 1);
    }
    fixture_run(fixture, 1000);
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_ge(fake_log_count(fixture->log, "t", i), 850);
        ck_assert_uint_le(fake_log_count(fixture->log, "t", i), 1150);
    }
    fixture_free(fixture);
}
END_TEST

START_TEST(a_partition_that_does_not_keep_up_gets_less)
{
    producer_fixture *fixture = fixture_new(2, 2, PROPERTIES("linger.ms=0", "batch.size=500"));
    static char value[100];
    fixture_send(fixture, 0, "w");
    fixture_run(fixture, 200);
    fake_down(fixture->cluster, 2); // leads partition 1
    for (int i = 0; i < 400; i++) {
        ck_assert_int_eq(fixture_try(fixture, -1, NULL, value, sizeof value), KC_OK);
        fixture_run(fixture, 1);
    }
    ck_assert_uint_ge(fake_log_count(fixture->log, "t", 0), 240);
    fixture_free(fixture);
}
END_TEST

START_TEST(partitions_without_leader_get_no_records_without_key)
{
    producer_fixture *fixture = fixture_new(1, 8, PROPERTIES("linger.ms=0", "batch.size=100"));
    for (int i = 0; i < 7; i++)
        fake_move_leader(fixture->cluster, "t", i, -1);
    static char value[100];
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(fixture_try(fixture, -1, NULL, value, sizeof value), KC_OK);
        fixture_run(fixture, 10);
    }
    fixture_run(fixture, 100);
    ck_assert_uint_eq(fake_log_count(fixture->log, "t", 7), 50);
    fixture_free(fixture);
}
END_TEST

START_TEST(round_robin_takes_partitions_in_turn_whatever_the_key)
{
    producer_fixture *fixture = warm(5, PROPERTIES("linger.ms=5", "partitioner.class=roundrobin"));
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(fixture_try(fixture, -1, i % 2 ? "key" : NULL, "v", 1), KC_OK);
    fixture_run(fixture, 1000);
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(fake_log_count(fixture->log, "t", i), i == 0 ? 21 : 20);
    fixture_free(fixture);
}
END_TEST

START_TEST(round_robin_passes_over_partitions_without_leader)
{
    producer_fixture *fixture =
        fixture_new(1, 3, PROPERTIES("linger.ms=5", "partitioner.class=roundrobin"));
    fake_move_leader(fixture->cluster, "t", 1, -1);
    for (int i = 0; i < 30; i++)
        ck_assert_int_eq(fixture_try(fixture, -1, NULL, "v", 1), KC_OK);
    fixture_run(fixture, 1000);
    ck_assert_uint_eq(fake_log_count(fixture->log, "t", 0), 15);
    ck_assert_uint_eq(fake_log_count(fixture->log, "t", 2), 15);
    fixture_free(fixture);
}
END_TEST

START_TEST(partitions_added_while_running_are_used)
{
    producer_fixture *fixture =
        warm(2, PROPERTIES("linger.ms=0", "batch.size=200", "metadata.max.age.ms=1000"));
    static char value[100];
    fake_topic *topic = fake_topic_find(fixture->cluster, KC_STR("t"));
    fake_partition *more = kb_mem_zalloc(&fixture->cluster->mem, 6 * sizeof *more);
    ck_assert_ptr_nonnull(more);
    for (int i = 0; i < 6; i++)
        more[i].leader = 1;
    kb_mem_free(&fixture->cluster->mem, topic->partitions);
    topic->partitions = more;
    topic->partition_count = 6;
    fixture_run(fixture, 3000);
    fixture_send(fixture, 5, "a");
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(fixture_try(fixture, -1, NULL, value, sizeof value), KC_OK);
        fixture_run(fixture, 2);
    }
    fixture_run(fixture, 100);
    for (int i = 0; i < 6; i++)
        ck_assert_uint_ge(fake_log_count(fixture->log, "t", i), 10);
    fixture_free(fixture);
}
END_TEST
