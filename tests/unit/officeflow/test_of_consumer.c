/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The consumer's edges, on a virtual clock: partitions taken away under a handler that still works,
 * calls from inside callbacks, records whose headers a stranger wrote. */
#include "officeflow/catalogue.h"
#include "officeflow/consumer_core.h"
#include "tests/unit/officeflow/fake_kafka.h"

#include <check.h>
#include <stdio.h>

#define SECOND_MS 1000LL
#define TYPE      "email.send.request"
#define GROUP     "email-service"
#define RETRY     "retry.email-service.1m"
#define EVENT     "{\"id\":\"e-1\",\"type\":\"" TYPE "\",\"payload\":{}}"

static fake_kafka k;
static of_consumer *consumer;
static kb_mem mem;
static kb_arena arena;
static of_ctx *kept; /* of the handler that answers later */
static int calls, other_calls, notices;
static of_result answer;

static of_result on_event(const of_event *event, of_ctx *ctx, void *user)
{
    (void)event;
    (void)user;
    calls++;
    kept = ctx;
    return answer;
}

static void on_notice(const of_notice *notice, void *user)
{
    (void)notice;
    (void)user;
    notices++;
}

static void open_consumer_on(const char *pattern, bool from_beginning, of_handler_fn fn)
{
    kc_error err = {0};
    of_consumer_options options;
    of_consumer_options_init(&options);
    options.on_notice = on_notice;
    calls = other_calls = notices = 0;
    kept = NULL;
    ck_assert_int_eq(of_consumer_open(k.platform, GROUP, &options, &consumer, &err), KC_OK);
    ck_assert_int_eq(of_consumer_handle(consumer, TYPE, fn, NULL, &err), KC_OK);
    ck_assert_int_eq(
        of_consumer_subscribe(consumer, (const char *[]){pattern}, 1, from_beginning, &err), KC_OK);
}

static void open_consumer(of_handler_fn fn)
{
    open_consumer_on(TYPE, true, fn);
}

static void begin(of_handler_fn fn)
{
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    fake_kafka_start(&k, NULL);
    fake_topic_add(k.cluster, TYPE, 1);
    fake_topic_add(k.cluster, RETRY, 1);
    open_consumer(fn);
}

static void end(void)
{
    of_consumer_close(consumer, 0);
    consumer = NULL;
    fake_kafka_stop(&k);
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}

static void put_event_in(const char *topic)
{
    of_message message = {.key = KC_STR("k"), .value = KC_STR(EVENT)};
    fake_kafka_put(&k, topic, 0, &message);
}

static void put_event(void)
{
    put_event_in(TYPE);
}

/** The coordinator forgets the member: its partitions are lost, and it joins again. */
static void lose_partitions(void)
{
    ck_assert_uint_eq(k.group_count, 1);
    k.groups[0].generation++;
    fake_run(k.cluster, 20 * SECOND_MS);
}

START_TEST(an_event_whose_partition_was_lost_can_still_be_asked_and_emit)
{
    answer = OF_ASYNC;
    begin(on_event);
    put_event();
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_int_eq(calls, 1);
    of_ctx *lost = kept;
    lose_partitions();
    ck_assert(of_cancelled(lost));
    ck_assert_int_eq(calls, 2); // whoever owns the partition gets it again
    kc_bytes topic = of_ctx_topic(lost);
    ck_assert(kc_bytes_equal(topic, KC_STR(TYPE)));
    of_event event = {.type = KC_STR("email.send.request"), .payload = KC_STR("{}")};
    kc_error err = {0};
    ck_assert_msg(of_emit(lost, &event, &err) == KC_OK, "%s", err.text);
    of_complete(lost, OF_OK);
    of_complete(kept, OF_OK);
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_int_eq(calls, 3); // the emitted one
    of_complete(kept, OF_OK);
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_int_eq(fake_kafka_committed(&k, GROUP, TYPE, 0), 2);
    end();
}
END_TEST

START_TEST(a_probe_whose_partition_was_lost_does_not_block_its_breaker)
{
    answer = OF_ASYNC;
    begin(on_event);
    of_breaker *breaker = of_platform_breaker(k.platform, "handler:" GROUP ":" TYPE, NULL);
    ck_assert_ptr_nonnull(breaker);
    of_breaker_open_for(breaker, 1, kc_client_now_us(k.client) / 1000);
    put_event();
    fake_run(k.cluster, 10 * SECOND_MS);
    ck_assert_int_eq(calls, 1);
    of_ctx *lost = kept;
    lose_partitions();
    ck_assert_int_eq(calls, 2);
    of_complete(lost, OF_OK);
    of_complete(kept, OF_OK);
    end();
}
END_TEST

static of_result on_other(const of_event *event, of_ctx *ctx, void *user)
{
    (void)event;
    (void)ctx;
    (void)user;
    other_calls++;
    return OF_OK;
}

static of_result on_first_only(const of_event *event, of_ctx *ctx, void *user)
{
    (void)event;
    (void)ctx;
    (void)user;
    calls++;
    ck_assert_int_eq(of_consumer_handle(consumer, TYPE, on_other, NULL, NULL), KC_OK);
    return OF_OK;
}

START_TEST(a_handler_may_put_another_in_its_place)
{
    begin(on_first_only);
    put_event();
    put_event();
    fake_run(k.cluster, 10 * SECOND_MS);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(other_calls, 1);
    end();
}
END_TEST

static of_result on_event_close(const of_event *event, of_ctx *ctx, void *user)
{
    (void)user;
    calls++;
    of_consumer_close(consumer, 0);
    // it is all still there
    ck_assert(of_cancelled(ctx));
    ck_assert(kc_bytes_equal(event->id, KC_STR("e-1")));
    return OF_OK;
}

/** Asks where its partition begins, as an assignment does: the answer comes when the event is handled. */
static of_result on_event_and_ask(const of_event *event, of_ctx *ctx, void *user)
{
    (void)event;
    (void)ctx;
    (void)user;
    kc_topic_partition place = {KC_STR(TYPE), 0};
    if (++calls == 2)
        of_start_find(consumer, &place, 1);
    return OF_OK;
}

START_TEST(a_late_word_about_the_beginning_does_not_undo_what_was_handled)
{
    begin(on_event_and_ask);
    put_event();
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_int_eq(fake_kafka_committed(&k, GROUP, TYPE, 0), 1);
    put_event();
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(fake_kafka_committed(&k, GROUP, TYPE, 0), 2);
    end();
}
END_TEST

START_TEST(breaker_options_are_copied_and_need_not_live_on)
{
    kc_error err = {0};
    of_consumer_options options;
    of_breaker_options breaker;
    of_consumer *other;
    begin(on_event);
    of_consumer_options_init(&options);
    of_breaker_options_init(&breaker);
    breaker.consecutive_failures = 77;
    options.handler_breaker = &breaker;
    ck_assert_int_eq(of_consumer_open(k.platform, "other", &options, &other, &err), KC_OK);
    memset(&breaker, 0, sizeof breaker);
    ck_assert_int_eq(other->options.handler_breaker->consecutive_failures, 77);
    of_consumer_close(other, 0);
    end();
}
END_TEST

START_TEST(closing_in_a_handler_stops_and_frees_nothing)
{
    static const bool never;
    begin(on_event_close);
    put_event();
    put_event();
    ck_assert_int_eq(kc_client_run_until(k.client, &never, 10 * SECOND_MS), KC_ERR_TIMEOUT);
    ck_assert_int_eq(calls, 1);
    ck_assert(of_consumer_is_stopped(consumer));
    end();
}
END_TEST

START_TEST(numbers_a_stranger_wrote_into_a_retry_record_do_no_harm)
{
    static const char *const numbers[] = {"2147483646", "9223372036854775807",
                                          "-9223372036854775808", "-1"};
    answer = OF_RETRY;
    begin(on_event);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        of_headers headers;
        of_headers_init(&headers, &arena);
        of_headers_set(&headers, OF_H_ATTEMPT, kc_str(numbers[i]));
        of_headers_set(&headers, OF_H_FIRST_FAILED, kc_str(numbers[i]));
        of_headers_set(&headers, OF_H_REDRIVE, kc_str(numbers[i]));
        of_headers_set(&headers, OF_H_STAGE, KC_STR("retry"));
        of_headers_set(&headers, OF_H_ORIGIN, KC_STR("no topic/0/0/0/0/0"));
        of_message message = {.key = KC_STR("k"),
                              .value = KC_STR(EVENT),
                              .headers = headers.items,
                              .header_count = headers.count};
        fake_kafka_put(&k, RETRY, 0, &message);
    }
    fake_run(k.cluster, 3600 * SECOND_MS);
    ck_assert_int_ge(calls, 4);
    ck_assert_int_eq(fake_kafka_committed(&k, GROUP, RETRY, 0), 4);
    end();
}
END_TEST

static int writes;

static fake_action without_id(fake_request *request, void *response, void *user)
{
    (void)user;
    fake_model(request, response);
    ((kp_metadata_resp *)response)->cluster_id = KC_NULL;
    return FAKE_ANSWER;
}

START_TEST(a_cluster_without_an_id_is_not_asked_for_it_for_ever)
{
    answer = OF_PERMANENT;
    begin(on_event);
    fake_on(k.cluster, KP_API_METADATA, without_id, NULL);
    fake_topic_add(k.cluster, "officeflow.dlq-state", 1);
    put_event();
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_uint_eq(fake_kafka_count(&k, "dlq." TYPE), 1);
    ck_assert_uint_lt(fake_count(k.cluster, 0, KP_API_METADATA), 20);
    end();
}
END_TEST

static of_producer *producer;

static void on_sent(const of_sent *sent, void *user)
{
    (void)sent;
    (void)user;
    writes++;
    of_producer_close(producer);
    producer = NULL;
}

START_TEST(a_producer_may_be_closed_by_its_callback)
{
    kc_error err = {0};
    begin(on_event);
    writes = 0;
    ck_assert_int_eq(of_producer_open(k.platform, NULL, &producer, &err), KC_OK);
    of_event event = {.type = KC_STR(TYPE), .payload = KC_STR("{}")};
    ck_assert_int_eq(of_producer_send(producer, &event, on_sent, NULL, &err), KC_OK);
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_int_eq(writes, 1);
    ck_assert_ptr_null(producer);
    end();
}
END_TEST

/* ---- where a partition begins ---- */

#define PATTERN "email.send.*"
#define LATER   "email.send.later"
#define CONTROL "officeflow.control"

/** A group that subscribes what matches, without --from-beginning. */
static void restart(void)
{
    of_consumer_close(consumer, 0);
    open_consumer_on(PATTERN, false, on_event);
}

static void begin_at_end(void)
{
    answer = OF_OK;
    begin(on_event);
    fake_topic_add(k.cluster, CONTROL, 1);
    restart();
}

START_TEST(a_group_that_starts_for_the_first_time_begins_at_the_end_and_commits_it)
{
    answer = OF_OK;
    begin(on_event);
    fake_topic_add(k.cluster, CONTROL, 1);
    put_event();
    restart();
    fake_run(k.cluster, 10 * SECOND_MS);
    ck_assert_int_eq(calls, 0);
    ck_assert_int_eq(fake_kafka_committed(&k, GROUP, TYPE, 0), 1);
    put_event();
    fake_run(k.cluster, 10 * SECOND_MS);
    ck_assert_int_eq(calls, 1);
    end();
}
END_TEST

START_TEST(a_topic_that_came_while_the_group_was_stopped_is_read_from_its_beginning)
{
    begin_at_end();
    fake_run(k.cluster, 10 * SECOND_MS);
    of_consumer_close(consumer, 0);
    fake_topic_add(k.cluster, LATER, 1);
    put_event_in(LATER);
    open_consumer_on(PATTERN, false, on_event);
    fake_run(k.cluster, 10 * SECOND_MS);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(fake_kafka_committed(&k, GROUP, LATER, 0), 1);
    restart();
    fake_run(k.cluster, 10 * SECOND_MS);
    ck_assert_int_eq(calls, 0);
    end();
}
END_TEST

START_TEST(a_topic_that_comes_while_a_new_group_runs_is_read_from_its_beginning)
{
    begin_at_end();
    fake_run(k.cluster, 10 * SECOND_MS);
    fake_topic_add(k.cluster, LATER, 1);
    put_event_in(LATER);
    put_event_in(CONTROL); // "look at the topics"
    fake_run(k.cluster, 30 * SECOND_MS);
    ck_assert_int_eq(calls, 1);
    end();
}
END_TEST

START_TEST(a_group_whose_past_can_not_be_read_begins_at_the_beginning)
{
    answer = OF_OK;
    begin(on_event);
    fake_topic_add(k.cluster, CONTROL, 1);
    k.past_code = KC_E_GROUP_AUTHORIZATION_FAILED;
    put_event();
    restart();
    fake_run(k.cluster, 10 * SECOND_MS);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_ge(notices, 2); // the failure, and the event that was handled
    end();
}
END_TEST

START_TEST(a_consumer_may_close_before_its_group_s_past_is_known)
{
    begin_at_end();
    k.hides_past = true;
    put_event();
    fake_run(k.cluster, 5 * SECOND_MS);
    ck_assert_int_eq(calls, 0);
    of_consumer_close(consumer, 0);
    consumer = NULL;
    fake_run(k.cluster, 60 * SECOND_MS); // the question ends by itself
    end();
}
END_TEST
