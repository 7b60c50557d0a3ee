/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The outbox: topics are made sure of before their first record, answers come once each, and a
 * platform that goes away leaves nothing behind. */
#include "officeflow/catalogue.h"
#include "officeflow/outbox.h"
#include "tests/unit/officeflow/fake_kafka.h"

#include <check.h>
#include <stdio.h>

typedef struct answers {
    size_t count, failed;
    kc_err last_err;
    char text[256];
    int32_t partition;
    int64_t offset;
} answers;

static fake_kafka k;
static of_outbox *outbox;
static answers got;
static const kc_header headers[] = {
    {{(const uint8_t *)"h", 1}, {(const uint8_t *)"1", 1}},
    {{(const uint8_t *)"null", 4}, {NULL, 0}},
};
static const of_message message = {.key = {(const uint8_t *)"k", 1},
                                   .value = {(const uint8_t *)"v", 1},
                                   .headers = headers,
                                   .header_count = 2};

static void on_written(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                       void *user)
{
    answers *a = user;
    a->count++;
    a->failed += err != KC_OK ? 1 : 0;
    a->last_err = err;
    a->partition = partition;
    a->offset = offset;
    ck_assert((err != KC_OK) == (error != NULL));
    snprintf(a->text, sizeof a->text, "%s", error ? error->text : "");
}

static void begin(void)
{
    kc_error err;
    got = (answers){0};
    fake_kafka_start(&k, NULL);
    ck_assert_int_eq(of_outbox_new(k.platform, &outbox, &err), KC_OK);
}

static void end(void)
{
    of_outbox_free(outbox);
    fake_kafka_stop(&k);
}

static kc_err write_to(const char *topic, int32_t partition)
{
    kc_error err;
    return of_outbox_write(outbox, kc_str(topic), partition, &message, on_written, &got, &err);
}

START_TEST(missing_topic_is_created_as_the_catalogue_says)
{
    begin();
    ck_assert_int_eq(write_to("dlq.email.send.request", KC_PARTITION_ANY), KC_OK);
    ck_assert_uint_eq(got.count, 0); // never inside the call
    fake_run(k.cluster, 2000);
    ck_assert_uint_eq(got.count, 1);
    ck_assert_int_eq(got.last_err, KC_OK);
    ck_assert_int_eq(fake_topic_find(k.cluster, KC_STR("dlq.email.send.request"))->partition_count,
                     3);
    ck_assert_uint_eq(fake_kafka_count(&k, "dlq.email.send.request"), 1);
    end();
}
END_TEST

START_TEST(record_arrives_as_it_was_given)
{
    kb_mem mem;
    kb_arena arena;
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    begin();
    char key[] = "k"; // copied before the call returns
    of_message changed = message;
    changed.key = kc_str(key);
    kc_error err;
    ck_assert_int_eq(of_outbox_write(outbox, KC_STR("dlq.a"), 0, &changed, on_written, &got, &err),
                     KC_OK);
    key[0] = 'X';
    fake_run(k.cluster, 2000);
    of_message back = fake_kafka_get(&k, "dlq.a", 0, &arena);
    ck_assert(kc_bytes_equal(back.key, KC_STR("k")) && kc_bytes_equal(back.value, KC_STR("v")));
    ck_assert_uint_eq(back.header_count, 2);
    ck_assert(kc_bytes_equal(back.headers[0].value, KC_STR("1")));
    ck_assert_ptr_null(back.headers[1].value.ptr);
    end();
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(partition_is_taken_modulo_the_topics)
{
    begin();
    fake_topic_add(k.cluster, "dlq.a", 3);
    ck_assert_int_eq(write_to("dlq.a", 11), KC_OK);
    fake_run(k.cluster, 2000);
    ck_assert_int_eq(got.partition, 2);
    ck_assert_int_eq(write_to("dlq.a", 3), KC_OK);
    fake_run(k.cluster, 2000);
    ck_assert_int_eq(got.partition, 0);
    end();
}
END_TEST

START_TEST(writes_that_wait_for_a_topic_keep_their_order)
{
    begin();
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(write_to("dlq.a", 0), KC_OK);
    fake_run(k.cluster, 2000);
    ck_assert_uint_eq(got.count, 50);
    ck_assert_uint_eq(got.failed, 0);
    ck_assert_int_eq(got.offset, 49);
    ck_assert_uint_eq(k.creates, 1);
    end();
}
END_TEST

START_TEST(topic_that_can_not_be_made_fails_what_waits_and_is_tried_anew)
{
    begin();
    k.refuses_create = true;
    ck_assert_int_eq(write_to("dlq.a", 0), KC_OK);
    ck_assert_int_eq(write_to("dlq.a", 0), KC_OK);
    fake_run(k.cluster, 20000);
    ck_assert_uint_eq(got.failed, 2);
    ck_assert_ptr_nonnull(strstr(got.text, "dlq.a"));
    k.refuses_create = false;
    ck_assert_int_eq(write_to("dlq.a", 0), KC_OK);
    fake_run(k.cluster, 20000);
    ck_assert_uint_eq(got.count, 3);
    ck_assert_int_eq(got.last_err, KC_OK);
    end();
}
END_TEST

START_TEST(refused_record_is_told)
{
    begin();
    k.refused_prefix = "dlq.";
    k.refused_code = KC_E_MESSAGE_TOO_LARGE;
    k.refused_times = 1;
    ck_assert_int_eq(write_to("dlq.a", 0), KC_OK);
    fake_run(k.cluster, 5000);
    ck_assert_int_eq(got.last_err, KC_E_MESSAGE_TOO_LARGE);
    end();
}
END_TEST

START_TEST(largest_record_of_a_source_and_its_headers_go_out)
{
    static uint8_t value[1048588 - 200];
    kc_error err;
    begin();
    of_message large = message;
    large.value = kc_span(value, sizeof value);
    kc_header more = {KC_STR("history"), kc_span(value, 16384)};
    large.headers = &more;
    large.header_count = 1;
    ck_assert_int_eq(of_outbox_write(outbox, KC_STR("dlq.a"), 0, &large, on_written, &got, &err),
                     KC_OK);
    fake_run(k.cluster, 5000);
    ck_assert_uint_eq(got.count, 1);
    ck_assert_msg(got.last_err == KC_OK, "%s", got.text);
    end();
}
END_TEST

START_TEST(names_that_can_not_be_topics_are_refused_at_once)
{
    char longest[KC_TOPIC_NAME_MAX + 2];
    kc_error err;
    memset(longest, 't', sizeof longest);
    begin();
    ck_assert_int_eq(of_outbox_write(outbox, kc_span(longest, KC_TOPIC_NAME_MAX + 1), 0, &message,
                                     on_written, &got, &err),
                     KC_ERR_ARGUMENT);
    ck_assert_int_eq(write_to("", 0), KC_ERR_ARGUMENT);
    fake_run(k.cluster, 1000);
    ck_assert_uint_eq(got.count, 0);
    end();
}
END_TEST

START_TEST(preparing_learns_the_cluster_and_makes_the_state_topic)
{
    kc_error err;
    begin();
    ck_assert_str_eq(of_outbox_cluster_id(outbox), "");
    ck_assert_int_eq(of_outbox_prepare(outbox, on_written, &got, &err), KC_OK);
    fake_run(k.cluster, 2000);
    ck_assert_uint_eq(got.count, 1);
    ck_assert_int_eq(got.last_err, KC_OK);
    ck_assert_ptr_nonnull(fake_topic_find(k.cluster, KC_STR(OF_STATE_TOPIC)));
    ck_assert_uint_eq(fake_kafka_count(&k, OF_STATE_TOPIC), 0);
    ck_assert_int_eq(of_outbox_prepare(outbox, on_written, &got, &err), KC_OK);
    ck_assert_uint_eq(got.count, 1); // never inside the call
    fake_run(k.cluster, 2000);
    ck_assert_uint_eq(got.count, 2);
    end();
}
END_TEST

START_TEST(closing_answers_what_is_under_way)
{
    for (int64_t ms = 0; ms < 40; ms++) {
        begin();
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(write_to("dlq.a", 0), KC_OK);
        fake_run(k.cluster, ms);
        of_outbox_free(outbox);
        ck_assert_uint_eq(got.count, 3);
        outbox = NULL;
        end();
    }
}
END_TEST

START_TEST(answers_may_come_after_the_platform_is_gone)
{
    begin();
    ck_assert_int_eq(write_to("dlq.a", 0), KC_OK);
    of_outbox_free(outbox); // the answer to CreateTopics is still out
    outbox = NULL;
    ck_assert_int_eq(got.last_err, KC_ERR_CLOSED);
    of_platform_close(k.platform);
    k.platform = NULL;
    fake_run(k.cluster, 2000);
    end();
}
END_TEST

static void write_once_more(kc_err err, const kc_error *error, int32_t partition, int64_t offset,
                            void *user)
{
    kc_error refused;
    on_written(err, error, partition, offset, user);
    ck_assert_int_eq(
        of_outbox_write(outbox, KC_STR("dlq.a"), 0, &message, on_written, user, &refused),
        KC_ERR_CLOSED);
}

START_TEST(nothing_is_taken_while_it_closes)
{
    kc_error err;
    begin();
    ck_assert_int_eq(
        of_outbox_write(outbox, KC_STR("dlq.a"), 0, &message, write_once_more, &got, &err), KC_OK);
    of_outbox_free(outbox);
    outbox = NULL;
    ck_assert_uint_eq(got.count, 1);
    end();
}
END_TEST
