/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The consumer against a real Kafka: what Java wrote, groups, commits, transactions, topics that change. */
#include "tests/broker/consumer_reader.h"

#include <kafkac/unstable/errors.h>
#include <kafkac/unstable/messages.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct begun_producer {
    kc_err err;
    kp_batch_producer producer;
} begun_producer;

static void take_producer(const void *message, void *user)
{
    const kp_init_producer_id_resp *answer = message;
    begun_producer *begun = user;
    begun->err = answer->error_code;
    begun->producer.id = answer->producer_id;
    begun->producer.epoch = answer->producer_epoch;
}

static void check_end(const void *message, void *user)
{
    (void)user;
    ck_assert_int_eq(((const kp_end_txn_resp *)message)->error_code, 0);
}

/** A transaction of `count` records on partition 0 (KIP-98). */
static void transact(reader *r, const char *topic, const char *id, int count, bool is_committed)
{
    begun_producer begun = {.producer.is_transactional = true};
    kp_init_producer_id_req init = {.transactional_id = kc_str(id),
                                    .transaction_timeout_ms = READER_WAIT_MS,
                                    .producer_id = -1,
                                    .producer_epoch = -1};
    do /* EndTxn is answered before its markers are written: until they are, no other can begin */
        reader_call(r, KP_API_INIT_PRODUCER_ID, 2, &init, take_producer, &begun);
    while (begun.err == KC_E_CONCURRENT_TRANSACTIONS);
    ck_assert_msg(begun.err == KC_OK, "%s", kc_err_name(begun.err));
    kp_batch_producer producer = begun.producer;
    int32_t zero = 0;
    kp_add_partitions_to_txn_req_topic item = {.name = kc_str(topic)};
    item.partitions.items = &zero;
    item.partitions.count = 1;
    kp_add_partitions_to_txn_req add = {.v3_and_below_transactional_id = kc_str(id),
                                        .v3_and_below_producer_id = producer.id,
                                        .v3_and_below_producer_epoch = producer.epoch};
    add.v3_and_below_topics.items = &item;
    add.v3_and_below_topics.count = 1;
    reader_call(r, KP_API_ADD_PARTITIONS_TO_TXN, 2, &add, NULL, NULL);
    reader_produce(r, topic, 0, count, &producer, id);
    kp_end_txn_req end = {.transactional_id = kc_str(id),
                          .producer_id = producer.id,
                          .producer_epoch = producer.epoch,
                          .committed = is_committed};
    reader_call(r, KP_API_END_TXN, 2, &end, check_end, NULL);
}

/* ---- tests ---- */

START_TEST(what_java_wrote_is_read_in_every_codec)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    char topic[64], servers[256], codec[64], output[4096];
    broker_only_on("4", "the tool takes other arguments before Kafka 4");
    snprintf(servers, sizeof servers, "bootstrap.servers=%s", broker_list());
    broker_unique_name(topic, sizeof topic, "codecs");
    broker_create_topic(topic, 1, 1);
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
        snprintf(codec, sizeof codec, "compression.type=%s", codecs[i]);
        const char *const argv[] = {"tool",
                                    "producer-perf-test",
                                    "--topic",
                                    topic,
                                    "--num-records",
                                    "400",
                                    "--record-size",
                                    "200",
                                    "--throughput",
                                    "-1",
                                    "--producer-props",
                                    servers,
                                    codec,
                                    NULL};
        ck_assert_msg(broker_command(output, sizeof output, argv) == 0, "%s", output);
    }
    reader r;
    reader_open(&r, NULL, NULL);
    reader_assign(&r, topic, 1, 0);
    ck_assert_int_eq(reader_read(&r, 2000, READER_WAIT_MS), 2000);
    int64_t position;
    ck_assert_int_eq(kc_consumer_position(r.consumer, kc_str(topic), 0, &position), KC_OK);
    ck_assert_int_eq(position, 2000);
    ck_assert_msg(r.errors == 0, "%s", r.error);
    reader_close(&r);
}
END_TEST

START_TEST(two_members_share_and_take_over)
{
    char topic[64], group[64];
    broker_unique_name(topic, sizeof topic, "share");
    broker_unique_name(group, sizeof group, "group");
    broker_create_topic(topic, 4, 1);
    reader a, b;
    reader_open(&a, group, NULL);
    reader_subscribe(&a, topic);
    ck_assert(reader_wait_owned((reader *[]){&a}, (size_t[]){4}, 1));
    reader_open(&b, group, NULL);
    reader_subscribe(&b, topic);
    ck_assert(reader_wait_owned((reader *[]){&a, &b}, (size_t[]){2, 2}, 2));
    ck_assert_int_eq(a.revoked, 1);
    for (int32_t p = 0; p < 4; p++)
        reader_produce(&a, topic, p, 10, NULL, NULL);
    ck_assert_int_eq(reader_read(&a, 20, READER_WAIT_MS), 20);
    ck_assert_int_eq(reader_read(&b, 20, READER_WAIT_MS), 20);
    reader_close(&a);
    ck_assert(reader_wait_owned((reader *[]){&b}, (size_t[]){4}, 1));
    ck_assert_int_eq(reader_read(&b, 1, 1000), 0); /* a committed when it left */
    ck_assert_int_eq(b.lost, 0);
    reader_close(&b);
}
END_TEST

START_TEST(a_commit_is_where_the_next_one_goes_on)
{
    char topic[64], group[64];
    broker_unique_name(topic, sizeof topic, "commit");
    broker_unique_name(group, sizeof group, "group");
    broker_create_topic(topic, 1, 1);
    static const char *const by_hand[] = {"enable.auto.commit", "false", NULL};
    reader r;
    kc_error err;
    reader_open(&r, group, by_hand);
    reader_produce(&r, topic, 0, 10, NULL, NULL);
    reader_produce(&r, topic, 0, 10, NULL, NULL);
    reader_subscribe(&r, topic);
    ck_assert_int_eq(reader_read(&r, 20, READER_WAIT_MS), 20);
    kc_topic_offset offset = {.topic = kc_str(topic), .offset = 13, .leader_epoch = -1};
    ck_assert_msg(kc_consumer_commit_sync(r.consumer, &offset, 1, READER_WAIT_MS, &err) == KC_OK,
                  "%s", err.text);
    reader_close(&r);
    reader_open(&r, group, by_hand);
    reader_subscribe(&r, topic);
    ck_assert_int_eq(reader_read(&r, 7, READER_WAIT_MS), 7);
    ck_assert_int_eq(reader_read(&r, 1, 1000), 0);
    ck_assert_msg(kc_consumer_commit_sync(r.consumer, NULL, 0, READER_WAIT_MS, &err) == KC_OK, "%s",
                  err.text);
    reader_close(&r);
    reader_open(&r, group, by_hand);
    reader_assign(&r, topic, 1, KC_OFFSET_STORED);
    ck_assert(reader_wait_position(&r, topic, 20));
    ck_assert_int_eq(reader_read(&r, 1, 2000), 0);
    reader_close(&r);
}
END_TEST

START_TEST(read_committed_leaves_out_what_was_aborted)
{
    char topic[64], id[64];
    broker_unique_name(topic, sizeof topic, "transactions");
    broker_unique_name(id, sizeof id, "transactional");
    broker_create_topic(topic, 1, 1);
    reader all, committed;
    static const char *const settings[] = {"isolation.level", "read_committed", NULL};
    reader_open(&all, NULL, NULL);
    reader_open(&committed, NULL, settings);
    transact(&all, topic, id, 5, true);
    transact(&all, topic, id, 7, false);
    transact(&all, topic, id, 3, true);
    reader_produce(&all, topic, 0, 2, NULL, NULL);
    reader_assign(&all, topic, 1, 0);
    reader_assign(&committed, topic, 1, 0);
    ck_assert_int_eq(reader_read(&all, 17, READER_WAIT_MS), 17);
    ck_assert_int_eq(reader_read(&committed, 10, READER_WAIT_MS), 10);
    ck_assert_int_eq(reader_read(&committed, 1, 1500), 0);
    ck_assert(reader_wait_position(&committed, topic, 20)); /* 17 records and 3 markers */
    reader_close(&all);
    reader_close(&committed);
}
END_TEST

START_TEST(offsets_out_of_range_begin_again_where_told)
{
    char topic[64];
    broker_unique_name(topic, sizeof topic, "range");
    broker_create_topic(topic, 1, 1);
    reader r;
    reader_open(&r, NULL, NULL);
    reader_produce(&r, topic, 0, 10, NULL, NULL);
    reader_assign(&r, topic, 1, 1000000);
    ck_assert_int_eq(reader_read(&r, 10, READER_WAIT_MS), 10);
    reader_assign(&r, topic, 1, KC_OFFSET_END);
    ck_assert(reader_wait_position(&r, topic, 10));
    ck_assert_int_eq(reader_read(&r, 1, 1000), 0);
    reader_produce(&r, topic, 0, 4, NULL, NULL);
    ck_assert_int_eq(reader_read(&r, 4, READER_WAIT_MS), 4);
    reader_close(&r);
}
END_TEST

START_TEST(batches_larger_than_the_limits_are_read)
{
    char topic[64];
    broker_unique_name(topic, sizeof topic, "large");
    broker_create_topic(topic, 3, 1);
    static const char *const settings[] = {"max.partition.fetch.bytes", "200", "fetch.max.bytes",
                                           "1024", NULL};
    reader r;
    reader_open(&r, NULL, settings);
    for (int i = 0; i < 9; i++)
        reader_produce(&r, topic, i % 3, 500, NULL, NULL);
    reader_assign(&r, topic, 3, 0);
    ck_assert_int_eq(reader_read(&r, 4500, READER_WAIT_MS), 4500);
    reader_close(&r);
}
END_TEST

START_TEST(a_pattern_finds_topics_made_later)
{
    char stem[64], first[80], second[80], pattern[80], group[64];
    broker_unique_name(stem, sizeof stem, "pattern");
    broker_unique_name(group, sizeof group, "group");
    snprintf(first, sizeof first, "%s-a", stem);
    snprintf(second, sizeof second, "%s-b", stem);
    snprintf(pattern, sizeof pattern, "%s-.*", stem);
    broker_create_topic(first, 1, 1);
    reader r;
    kc_error err;
    reader_open(&r, group, NULL);
    ck_assert_int_eq(kc_consumer_subscribe_pattern(r.consumer, pattern, &err), KC_OK);
    ck_assert(reader_wait_owned((reader *[]){&r}, (size_t[]){1}, 1));
    broker_create_topic(second, 2, 1);
    kc_consumer_refresh_topics(r.consumer);
    ck_assert(reader_wait_owned((reader *[]){&r}, (size_t[]){3}, 1));
    reader_produce(&r, second, 1, 5, NULL, NULL);
    ck_assert_int_eq(reader_read(&r, 5, READER_WAIT_MS), 5);
    reader_close(&r);
}
END_TEST

START_TEST(a_topic_deleted_and_made_anew_is_read_from_its_beginning)
{
    char topic[64], output[4096];
    broker_unique_name(topic, sizeof topic, "anew");
    broker_create_topic(topic, 1, 1);
    reader r;
    reader_open(&r, NULL, NULL);
    reader_produce(&r, topic, 0, 10, NULL, NULL);
    reader_assign(&r, topic, 1, 0);
    ck_assert_int_eq(reader_read(&r, 10, READER_WAIT_MS), 10);
    const char *const argv[] = {"tool", "topics", "--delete", "--topic", topic, NULL};
    ck_assert_int_eq(broker_command(output, sizeof output, argv), 0);
    broker_create_topic(topic, 1, 1);
    reader_produce(&r, topic, 0, 6, NULL, NULL);
    ck_assert_int_eq(reader_read(&r, 6, READER_WAIT_MS), 6);
    reader_close(&r);
}
END_TEST

START_TEST(a_static_member_comes_back_to_its_partitions_without_a_rebalance)
{
    char topic[64], group[64];
    broker_unique_name(topic, sizeof topic, "static");
    broker_unique_name(group, sizeof group, "group");
    broker_create_topic(topic, 2, 1);
    static const char *const one[] = {"group.instance.id", "one", NULL};
    static const char *const two[] = {"group.instance.id", "two", NULL};
    reader a, b;
    reader_open(&a, group, one);
    reader_open(&b, group, two);
    reader_subscribe(&a, topic);
    reader_subscribe(&b, topic);
    ck_assert(reader_wait_owned((reader *[]){&a, &b}, (size_t[]){1, 1}, 2));
    int assigned = a.assigned;
    reader_close(&b);
    reader_open(&b, group, two);
    reader_subscribe(&b, topic);
    ck_assert(reader_wait_owned((reader *[]){&a, &b}, (size_t[]){1, 1}, 2));
    ck_assert_int_eq(a.assigned, assigned);
    reader_close(&a);
    reader_close(&b);
}
END_TEST

/** Message sets of magic 0 and 1 (KIP-31, KIP-32): brokers before 4.0 still write them where a topic says so. */
START_TEST(old_message_formats_are_read)
{
    static const char *const formats[] = {"0.9.0", "0.10.0"};
    broker_only_on("2", "only Kafka 2 writes message sets: scripts/test --kafka 2.8.2");
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        char topic[64], format[64], output[4096];
        snprintf(format, sizeof format, "message.format.version=%s", formats[i]);
        broker_unique_name(topic, sizeof topic, "old");
        const char *const argv[] = {"tool", "topics",       "--create", "--topic",
                                    topic,  "--partitions", "1",        "--replication-factor",
                                    "1",    "--config",     format,     NULL};
        ck_assert_msg(broker_command(output, sizeof output, argv) == 0, "%s", output);
        reader r;
        reader_open(&r, NULL, NULL);
        reader_produce(&r, topic, 0, 10, NULL, NULL);
        reader_produce(&r, topic, 0, 10, NULL, NULL);
        reader_assign(&r, topic, 1, 5);
        ck_assert_int_eq(reader_read(&r, 15, READER_WAIT_MS), 15);
        reader_close(&r);
    }
}
END_TEST
