/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What dead letters say: origin, identity, fingerprint, headers, history; and redrives of them. */
#include "officeflow/catalogue.h"
#include "officeflow/dead_letter.h"
#include "officeflow/dead_redrive.h"
#include "protocol/base/json.h"
#include "tests/unit/base/fail_alloc.h"

#include <check.h>
#include <stdio.h>

#define CLUSTER "kX2c"

static kb_mem mem;
static kb_arena arena;

static void begin(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
}

static void end(void)
{
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}

static of_origin origin_of(int32_t partition, int64_t offset)
{
    return (of_origin){.topic = KC_STR("email.send.request"),
                       .partition = partition,
                       .offset = offset,
                       .timestamp_ms = 1795436102417,
                       .timestamp_type = KC_TIMESTAMP_CREATE,
                       .leader_epoch = 4};
}

static void same(kc_bytes a, const char *b)
{
    ck_assert_msg(kc_bytes_equal(a, kc_str(b)), "\"" KC_FMT "\" is not \"%s\"", KC_ARG(a),
                  b ? b : "(null)");
}

static const char *fingerprint_of(const char *message)
{
    static char text[13];
    of_fingerprint(KC_STR("email.send.*"), OF_CLASS_RETRIES_EXHAUSTED, KC_STR("smtp_421"),
                   kc_str(message), text);
    return text;
}

static bool is_alike(const char *a, const char *b)
{
    char first[13];
    snprintf(first, sizeof first, "%s", fingerprint_of(a));
    return strcmp(first, fingerprint_of(b)) == 0;
}

/** A dead letter as the consumer writes it. */
static of_message make_dead(int32_t redrives)
{
    static const of_death empty;
    of_death death = empty;
    death.cluster_id = CLUSTER;
    death.group = KC_STR("email-service");
    death.handler = KC_STR("email.send.*");
    death.client_id = KC_STR("email-1");
    death.origin = origin_of(3, 88123);
    death.failure_class = OF_CLASS_RETRIES_EXHAUSTED;
    death.code = KC_STR("smtp_421");
    death.message = KC_STR("421 too many connections from 10.0.0.1");
    death.history = of_history_add(&arena, KC_NULL, 1, 5, OF_STAGE_FIRST, OF_CLASS_TRANSIENT,
                                   KC_STR("smtp_421"));
    death.attempts = 11;
    death.redrives = redrives;
    death.first_ms = 1000;
    death.last_ms = 2000;
    kc_header *own = kb_arena_array(&arena, 5, sizeof *own);
    own[0] = (kc_header){KC_STR("x-foreign"), KC_STR("1")};
    own[1] = (kc_header){KC_STR("of-type"), KC_STR("email.send.request")};
    own[2] = (kc_header){KC_STR("x-foreign"), KC_STR("2")};
    own[3] = (kc_header){KC_STR("of-correlation-id"), KC_STR("c-1")};
    own[4] = (kc_header){KC_STR("traceparent"), KC_STR("00-tp")};
    of_headers headers;
    of_headers_init(&headers, &arena);
    of_headers_add_all(&headers, own, 5);
    char id[17];
    of_dead_letter_id(CLUSTER, death.group, &death.origin, id);
    of_death_put(&headers, &death, id);
    ck_assert(!headers.is_failed);
    return (of_message){.key = KC_STR("emp-456"),
                        .value = KC_STR("{\"n\":9007199254740993}"),
                        .headers = headers.items,
                        .header_count = headers.count};
}

static of_dead_letter read_dead(const of_message *message)
{
    of_dead_letter letter;
    ck_assert(of_dead_letter_read(message, &letter));
    return letter;
}

START_TEST(origin_goes_both_ways)
{
    begin();
    of_headers headers;
    of_origin origin = origin_of(3, 88123), back;
    of_headers_init(&headers, &arena);
    of_origin_put(&headers, &origin);
    same(headers.items[0].value, "email.send.request/3/88123/1795436102417/0/4");
    ck_assert(of_origin_parse(headers.items[0].value, &back));
    ck_assert(kc_bytes_equal(back.topic, origin.topic));
    ck_assert_int_eq(back.partition, 3);
    ck_assert_int_eq(back.offset, 88123);
    ck_assert_int_eq(back.timestamp_ms, origin.timestamp_ms);
    ck_assert_int_eq(back.timestamp_type, KC_TIMESTAMP_CREATE);
    ck_assert_int_eq(back.leader_epoch, 4);
    end();
}
END_TEST

START_TEST(longest_topic_fits_into_an_origin)
{
    begin();
    char topic[KC_TOPIC_NAME_MAX + 1];
    memset(topic, 't', KC_TOPIC_NAME_MAX);
    topic[KC_TOPIC_NAME_MAX] = 0;
    of_headers headers;
    of_origin origin = {kc_str(topic),           INT32_MAX, INT64_MAX, INT64_MAX,
                        KC_TIMESTAMP_LOG_APPEND, INT32_MAX},
              back;
    of_headers_init(&headers, &arena);
    of_origin_put(&headers, &origin);
    ck_assert(of_origin_parse(headers.items[0].value, &back));
    ck_assert_uint_eq(back.topic.len, KC_TOPIC_NAME_MAX);
    ck_assert(back.offset == INT64_MAX);
    end();
}
END_TEST

START_TEST(bad_origins_are_refused)
{
    static const char *const bad[] = {"",
                                      "t",
                                      "t/0/1/2/0",
                                      "t/0/1/2/0/4/5",
                                      "/0/1/2/0/4",
                                      "t/-1/1/2/0/4",
                                      "t/2147483648/1/2/0/4",
                                      "t/0/-1/2/0/4",
                                      "t/0/1/2/2/4",
                                      "t/0/1/2/-2/4",
                                      "t/0/1/2/0/-2",
                                      "t/0/1/2/0/2147483648",
                                      "t/0/9223372036854775808/2/0/4",
                                      "t/x/1/2/0/4",
                                      "t/0/1/2/0/",
                                      "t/ 0/1/2/0/4"};
    of_origin origin;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!of_origin_parse(kc_str(bad[i]), &origin), "%s", bad[i]);
    // names that no topic can have: a dead letter of it could never be written
    ck_assert(!of_origin_parse(KC_STR("no topic/0/0/0/0/0"), &origin));
    ck_assert(!of_origin_parse(KC_STR("t\0x/0/0/0/0/0"), &origin));
    ck_assert(!of_origin_parse(KC_NULL, &origin));
}
END_TEST

START_TEST(id_depends_on_every_part_and_on_nothing_else)
{
    char id[17], other[17];
    of_origin origin = origin_of(3, 88123);
    kc_bytes group = KC_STR("email-service");
    of_dead_letter_id(CLUSTER, group, &origin, id);
    ck_assert_uint_eq(strlen(id), 16);
    ck_assert_uint_eq(strspn(id, "0123456789abcdef"), 16);
    of_origin moved = origin;
    moved.timestamp_ms = 7;
    moved.leader_epoch = 9;
    of_dead_letter_id(CLUSTER, group, &moved, other);
    ck_assert_str_eq(id, other);
    of_dead_letter_id("other", group, &origin, other);
    ck_assert_str_ne(id, other);
    of_dead_letter_id(CLUSTER, KC_STR("g"), &origin, other);
    ck_assert_str_ne(id, other);
    moved.partition = 4;
    of_dead_letter_id(CLUSTER, group, &moved, other);
    ck_assert_str_ne(id, other);
    moved = origin_of(3, 88124);
    of_dead_letter_id(CLUSTER, group, &moved, other);
    ck_assert_str_ne(id, other);
}
END_TEST

START_TEST(parts_of_an_id_do_not_run_together)
{
    char id[17], other[17];
    of_origin a = {.topic = KC_STR("bc"), .partition = 1, .offset = 2};
    of_origin b = {.topic = KC_STR("c"), .partition = 1, .offset = 2};
    of_dead_letter_id("", KC_STR("a"), &a, id);
    of_dead_letter_id("", KC_STR("ab"), &b, other);
    ck_assert_str_ne(id, other);
}
END_TEST

START_TEST(fingerprint_leaves_out_what_differs_from_case_to_case)
{
    ck_assert_uint_eq(strlen(fingerprint_of("x")), 12);
    ck_assert(is_alike("421 too many connections from 10.0.0.1",
                       "421 too many connections from 192.168.17.254"));
    ck_assert(is_alike("no user 'john'", "no user 'a much longer name'"));
    ck_assert(is_alike("no user \"john\"", "no user \"\""));
    ck_assert(is_alike("run 01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e10 lost",
                       "run 11111111-2222-7333-8444-555555555555 lost"));
    ck_assert(is_alike("at 0xdeadbeef1", "at 0x00000001"));
    ck_assert(!is_alike("too many connections", "too few connections"));
    ck_assert(!is_alike("can't open 'a'", "may not open 'a'"));
    ck_assert(is_alike("", ""));
}
END_TEST

START_TEST(fingerprint_depends_on_handler_class_and_code)
{
    char a[13], b[13];
    of_fingerprint(KC_STR("h"), OF_CLASS_PERMANENT, KC_STR("c"), KC_STR("m"), a);
    of_fingerprint(KC_STR("h2"), OF_CLASS_PERMANENT, KC_STR("c"), KC_STR("m"), b);
    ck_assert_str_ne(a, b);
    of_fingerprint(KC_STR("h"), OF_CLASS_SCHEMA, KC_STR("c"), KC_STR("m"), b);
    ck_assert_str_ne(a, b);
    of_fingerprint(KC_STR("h"), OF_CLASS_PERMANENT, KC_STR("c2"), KC_STR("m"), b);
    ck_assert_str_ne(a, b);
    of_fingerprint(KC_STR("h"), OF_CLASS_PERMANENT, KC_STR("c"), KC_NULL, b);
    ck_assert_str_ne(a, b);
}
END_TEST

START_TEST(fingerprint_of_a_long_message_is_that_of_its_beginning)
{
    char longest[5000];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = 0;
    ck_assert_uint_eq(strlen(fingerprint_of(longest)), 12);
    memset(longest, '\'', sizeof longest - 1);
    ck_assert_uint_eq(strlen(fingerprint_of(longest)), 12);
}
END_TEST

/* D-01 */
START_TEST(dead_letter_has_the_six_of_kip_1191_and_ours_once_each)
{
    static const char *const pairs[][2] = {
        {"__dlq.errors.topic", "email.send.request"},
        {"__dlq.errors.partition", "3"},
        {"__dlq.errors.offset", "88123"},
        {"__dlq.errors.group", "email-service"},
        {"__dlq.errors.delivery.count", "11"},
        {"__dlq.errors.message", "421 too many connections from 10.0.0.1"},
        {"of-group", "email-service"},
        {"of-origin", "email.send.request/3/88123/1795436102417/0/4"},
        {"of-dlq-class", "retries_exhausted"},
        {"of-dlq-code", "smtp_421"},
        {"of-dlq-handler", "email.send.*"},
        {"of-dlq-client", "email-1"},
        {"of-dlq-first", "1000"},
        {"of-dlq-last", "2000"},
        {"of-dlq-origin-ts", "1795436102417"},
        {"of-dlq-origin-tstype", "0"},
        {"of-dlq-origin-epoch", "4"},
        {"of-dlq-redrives", "2"},
    };
    begin();
    of_message message = make_dead(2);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t count = 0;
        for (size_t h = 0; h < message.header_count; h++)
            count += kc_bytes_equal(message.headers[h].name, kc_str(pairs[i][0])) ? 1 : 0;
        ck_assert_msg(count == 1, "%s", pairs[i][0]);
        same(of_header_text(message.headers, message.header_count, pairs[i][0]), pairs[i][1]);
    }
    ck_assert_uint_gt(of_header_text(message.headers, message.header_count, "of-dlq-host").len, 0);
    end();
}
END_TEST

START_TEST(foreign_headers_of_a_dead_letter_stay_first_and_in_order)
{
    begin();
    of_message message = make_dead(0);
    same(message.headers[0].value, "1");
    same(message.headers[1].name, "of-type");
    same(message.headers[2].value, "2");
    same(message.headers[3].name, "of-correlation-id");
    same(message.headers[4].name, "traceparent");
    end();
}
END_TEST

START_TEST(dead_letter_is_read_as_it_was_written)
{
    begin();
    of_message message = make_dead(2);
    of_dead_letter letter = read_dead(&message);
    char id[17];
    of_origin origin = origin_of(3, 88123);
    of_dead_letter_id(CLUSTER, KC_STR("email-service"), &origin, id);
    ck_assert_str_eq(letter.id, id);
    ck_assert_int_eq(letter.state, OF_DEAD);
    ck_assert_int_eq(letter.redrives, 2);
    ck_assert_int_eq(letter.partition, 3);
    ck_assert_int_eq(letter.offset, 88123);
    ck_assert_int_eq(letter.failure_class, OF_CLASS_RETRIES_EXHAUSTED);
    ck_assert_int_eq(letter.attempts, 11);
    ck_assert_int_eq(letter.first_ms, 1000);
    ck_assert_int_eq(letter.last_ms, 2000);
    same(letter.topic, "email.send.request");
    same(letter.group, "email-service");
    same(letter.type, "email.send.request");
    same(letter.correlation_id, "c-1");
    same(letter.code, "smtp_421");
    ck_assert(!letter.is_strict);
    ck_assert(kc_bytes_equal(letter.value, message.value));
    ck_assert(of_dead_letter_is_ours(&letter));
    ck_assert(!of_dead_letter_is_pointer(&letter));
    end();
}
END_TEST

START_TEST(dying_again_replaces_all_that_was_said)
{
    begin();
    of_message first = make_dead(0);
    of_headers headers;
    of_headers_init(&headers, &arena);
    of_headers_add_all(&headers, first.headers, first.header_count);
    of_headers_set(&headers, OF_H_DLQ_TRUNCATED, KC_STR("value"));
    of_headers_set(&headers, OF_H_DLQ_REASON, KC_STR("was quarantined"));
    of_death death = {.cluster_id = CLUSTER,
                      .group = KC_STR("email-service"),
                      .origin = origin_of(3, 88123),
                      .failure_class = OF_CLASS_PERMANENT,
                      .redrives = 1};
    of_death_put(&headers, &death, "0123456789abcdef");
    of_message second = {.headers = headers.items, .header_count = headers.count};
    of_dead_letter letter = read_dead(&second);
    ck_assert_int_eq(letter.failure_class, OF_CLASS_PERMANENT);
    ck_assert_int_eq(letter.redrives, 1);
    ck_assert(!of_dead_letter_is_pointer(&letter));
    ck_assert_ptr_null(of_header_text(second.headers, second.header_count, OF_H_DLQ_REASON).ptr);
    same(second.headers[0].value, "1");
    end();
}
END_TEST

START_TEST(brokers_own_dead_letter_is_read)
{
    begin();
    kc_header headers[] = {{KC_STR("__dlq.errors.topic"), KC_STR("t")},
                           {KC_STR("__dlq.errors.partition"), KC_STR("1")},
                           {KC_STR("__dlq.errors.offset"), KC_STR("9")},
                           {KC_STR("__dlq.errors.group"), KC_STR("share")},
                           {KC_STR("__dlq.errors.delivery.count"), KC_STR("5")}};
    of_message message = {.headers = headers, .header_count = 5};
    of_dead_letter letter = read_dead(&message);
    ck_assert_uint_eq(strlen(letter.id), 16);
    ck_assert_int_eq(letter.failure_class, OF_CLASS_RETRIES_EXHAUSTED);
    ck_assert_int_eq(letter.attempts, 5);
    ck_assert(!of_dead_letter_is_ours(&letter));
    end();
}
END_TEST

START_TEST(what_names_no_origin_or_group_is_no_dead_letter)
{
    begin();
    of_message whole = make_dead(0);
    static const char *const needed[] = {"__dlq.errors.topic", "__dlq.errors.partition",
                                         "__dlq.errors.offset", "__dlq.errors.group"};
    of_dead_letter letter;
    for (size_t i = 0; i < 4; i++) {
        of_headers headers;
        of_headers_init(&headers, &arena);
        of_headers_add_all(&headers, whole.headers, whole.header_count);
        of_headers_remove(&headers, needed[i]);
        of_message part = {.headers = headers.items, .header_count = headers.count};
        ck_assert_msg(!of_dead_letter_read(&part, &letter), "%s", needed[i]);
    }
    of_message empty = {0};
    ck_assert(!of_dead_letter_read(&empty, &letter));
    end();
}
END_TEST

START_TEST(forged_numbers_are_no_dead_letter)
{
    static const char *const forged[][2] = {
        {"__dlq.errors.partition", "-1"},  {"__dlq.errors.partition", "2147483648"},
        {"__dlq.errors.offset", "-5"},     {"of-dlq-redrives", "-1"},
        {"of-dlq-redrives", "4294967295"}, {"of-dlq-redrives", "2147483647"},
    };
    begin();
    of_message whole = make_dead(0);
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        of_dead_letter letter;
        of_headers headers;
        of_headers_init(&headers, &arena);
        of_headers_add_all(&headers, whole.headers, whole.header_count);
        of_headers_set(&headers, forged[i][0], kc_str(forged[i][1]));
        of_message part = {.headers = headers.items, .header_count = headers.count};
        ck_assert_msg(!of_dead_letter_read(&part, &letter), "%s %s", forged[i][0], forged[i][1]);
    }
    end();
}
END_TEST

START_TEST(id_that_is_no_hex_is_made_anew)
{
    begin();
    of_message whole = make_dead(0);
    of_headers headers;
    of_headers_init(&headers, &arena);
    of_headers_add_all(&headers, whole.headers, whole.header_count);
    of_headers_set(&headers, OF_H_DLQ_ID, KC_STR("../../etc/passwd"));
    of_message part = {.headers = headers.items, .header_count = headers.count};
    of_dead_letter letter = read_dead(&part);
    ck_assert_uint_eq(strspn(letter.id, "0123456789abcdef"), 16);
    ck_assert(!of_dead_letter_is_ours(&letter));
    end();
}
END_TEST

START_TEST(strict_letters_are_known_by_type_or_topic)
{
    begin();
    of_message message = make_dead(0);
    of_policies *policies = of_policies_new();
    of_dead_letter letter = read_dead(&message);
    ck_assert(!of_dead_letter_is_strict(&letter, policies));
    letter.type = KC_STR("employee.onboard");
    ck_assert(of_dead_letter_is_strict(&letter, policies));
    letter.type = KC_NULL; // bytes that were no event
    ck_assert(!of_dead_letter_is_strict(&letter, policies));
    letter.topic = KC_STR("employee.onboard.org-1");
    ck_assert(of_dead_letter_is_strict(&letter, policies));
    of_policies_free(policies);
    end();
}
END_TEST

START_TEST(topics_of_a_letter_must_have_legal_names)
{
    begin();
    char longest[KC_TOPIC_NAME_MAX];
    memset(longest, 't', sizeof longest);
    of_message message = make_dead(0);
    of_dead_letter letter = read_dead(&message);
    ck_assert(of_dead_letter_has_topics(&letter));
    letter.group = KC_STR("group with spaces");
    ck_assert(!of_dead_letter_has_topics(&letter));
    letter.group = KC_STR("g");
    letter.topic = KC_STR("a/b");
    ck_assert(!of_dead_letter_has_topics(&letter));
    letter.topic = kc_span(longest, KC_TOPIC_NAME_MAX - 11);
    ck_assert(of_dead_letter_has_topics(&letter));
    letter.topic = kc_span(longest, KC_TOPIC_NAME_MAX - 10);
    ck_assert(!of_dead_letter_has_topics(&letter));
    letter.topic = KC_STR("t");
    letter.group = kc_span(longest, KC_TOPIC_NAME_MAX - 10);
    ck_assert(of_dead_letter_has_topics(&letter));
    letter.group = kc_span(longest, KC_TOPIC_NAME_MAX - 9);
    ck_assert(!of_dead_letter_has_topics(&letter));
    end();
}
END_TEST

/* P-04, C-02 */
START_TEST(redrive_is_the_record_with_its_place_in_the_retries)
{
    begin();
    of_message dead = make_dead(1), redrive;
    of_dead_letter letter = read_dead(&dead);
    ck_assert(of_redrive_message(&letter, 2, KC_STR("auto"), &arena, &redrive));
    static const char *const pairs[][2] = {
        {"of-redrive", "2"},       {"of-redrive-of", NULL},
        {"of-redrive-by", "auto"}, {"of-origin", "email.send.request/3/88123/1795436102417/0/4"},
        {"of-stage", "redrive"},   {"of-group", "email-service"},
        {"of-attempt", "11"},      {"of-first-failed", "1000"},
        {"traceparent", "00-tp"},  {"of-correlation-id", "c-1"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t count = 0;
        for (size_t h = 0; h < redrive.header_count; h++)
            count += kc_bytes_equal(redrive.headers[h].name, kc_str(pairs[i][0])) ? 1 : 0;
        ck_assert_msg(count == 1, "%s", pairs[i][0]);
        same(of_header_text(redrive.headers, redrive.header_count, pairs[i][0]),
             pairs[i][1] ? pairs[i][1] : letter.id);
    }
    for (size_t h = 0; h < 5; h++) { // the producer's own come first, as they were
        ck_assert(kc_bytes_equal(redrive.headers[h].name, dead.headers[h].name));
        ck_assert(kc_bytes_equal(redrive.headers[h].value, dead.headers[h].value));
    }
    ck_assert(kc_bytes_equal(redrive.key, dead.key));
    ck_assert(kc_bytes_equal(redrive.value, dead.value));
    ck_assert_ptr_null(of_header_text(redrive.headers, redrive.header_count, OF_H_DLQ_CLASS).ptr);
    ck_assert(kc_bytes_equal(
        of_header_text(redrive.headers, redrive.header_count, OF_H_DLQ_HISTORY), letter.history));
    same(kc_str(of_redrive_topic(&arena, &letter)), "retry.email-service.now");
    end();
}
END_TEST

START_TEST(replay_to_a_topic_tells_no_place_in_a_retry)
{
    begin();
    of_message dead = make_dead(0), replay;
    of_dead_letter letter = read_dead(&dead);
    ck_assert(of_replay_message(&letter, 1, KC_STR("alice"), &arena, &replay));
    ck_assert_uint_eq(replay.header_count, 5 + 3);
    same(of_header_text(replay.headers, replay.header_count, "of-redrive-by"), "alice");
    ck_assert_ptr_null(of_header_text(replay.headers, replay.header_count, "of-origin").ptr);
    end();
}
END_TEST

START_TEST(quarantine_is_the_letter_with_a_reason)
{
    begin();
    of_message dead = make_dead(3), quarantine;
    of_dead_letter letter = read_dead(&dead);
    ck_assert(of_quarantine_message(&letter, KC_STR("why"), &arena, &quarantine));
    ck_assert_uint_eq(quarantine.header_count, dead.header_count + 1);
    for (size_t h = 0; h < dead.header_count; h++)
        ck_assert(kc_bytes_equal(quarantine.headers[h].value, dead.headers[h].value));
    same(quarantine.headers[dead.header_count].name, "of-dlq-quarantine-reason");
    letter.history = KC_NULL;
    ck_assert(of_quarantine_message(&letter, KC_STR("why"), &arena, &quarantine));
    ck_assert_uint_eq(quarantine.header_count, dead.header_count);
    end();
}
END_TEST

/* ---- history ---- */

static kc_bytes add(kc_bytes history, int32_t attempt)
{
    kc_bytes next = of_history_add(&arena, history, attempt, 100 + attempt, OF_STAGE_PARKED,
                                   OF_CLASS_TRANSIENT, KC_STR("code"));
    ck_assert_ptr_nonnull(next.ptr);
    ck_assert_int_eq(kb_json_check(next, true, &arena, NULL), KC_OK);
    return next;
}

static int64_t number_at(kc_bytes history, const char *pointer)
{
    int64_t number = -1;
    kb_json_i64(kb_json_pointer(history, pointer), &number);
    return number;
}

static size_t length_of(kc_bytes history)
{
    char pointer[24];
    for (size_t i = 0;; i++) {
        snprintf(pointer, sizeof pointer, "/%zu", i);
        if (!kb_json_pointer(history, pointer).ptr)
            return i;
    }
}

START_TEST(history_grows_to_ten_and_keeps_the_first_and_the_newest)
{
    begin();
    kc_bytes history = KC_NULL;
    for (int32_t n = 1; n <= 25; n++) {
        history = add(history, n);
        ck_assert_uint_eq(length_of(history), n < 10 ? (size_t)n : 10);
        ck_assert_uint_le(history.len, OF_HISTORY_BYTES_MAX);
    }
    ck_assert_int_eq(number_at(history, "/0/n"), 1);
    ck_assert_int_eq(number_at(history, "/1/n"), 17);
    ck_assert_int_eq(number_at(history, "/9/n"), 25);
    ck_assert_int_eq(number_at(history, "/9/t"), 125);
    end();
}
END_TEST

START_TEST(history_stays_within_its_bytes)
{
    begin();
    char code[OF_CODE_MAX + 1];
    memset(code, '"', OF_CODE_MAX); // two bytes each in JSON
    code[OF_CODE_MAX] = 0;
    kc_bytes history = KC_NULL;
    for (int32_t n = 1; n <= 20; n++) {
        history = of_history_add(&arena, history, n, INT64_MAX, OF_STAGE_IMMEDIATE,
                                 OF_CLASS_RETRIES_EXHAUSTED, kc_str(code));
        ck_assert_uint_le(history.len, OF_HISTORY_BYTES_MAX);
        ck_assert_int_eq(kb_json_check(history, true, &arena, NULL), KC_OK);
    }
    ck_assert_uint_ge(length_of(history), 3);
    end();
}
END_TEST

START_TEST(broken_history_is_begun_anew)
{
    static const char *const broken[] = {"",  "{",          "[",     "{}",
                                         "5", "[{\"n\":1}", "[1,2]", "[{\"n\":1},5]"};
    begin();
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        kc_bytes history = add(kc_str(broken[i]), 7);
        size_t length = length_of(history);
        ck_assert_uint_ge(length, 1);
        char pointer[24];
        snprintf(pointer, sizeof pointer, "/%zu/n", length - 1);
        ck_assert_int_eq(number_at(history, pointer), 7);
    }
    end();
}
END_TEST

START_TEST(huge_foreign_history_does_not_grow_a_letter)
{
    begin();
    size_t cap = 100000, len = 0;
    char *text = kb_arena_alloc(&arena, cap);
    text[len++] = '[';
    while (len < cap - 200)
        len += (size_t)snprintf(text + len, cap - len, "{\"n\":%zu,\"x\":\"%0100d\"},", len, 0);
    text[len - 1] = ']';
    kc_bytes history = add(kc_span(text, len), 7);
    ck_assert_uint_le(history.len, OF_HISTORY_BYTES_MAX);
    end();
}
END_TEST

static bool write_and_read(const kc_alloc *alloc)
{
    kb_mem_init(&mem, alloc, 0);
    kb_arena_init(&arena, &mem, 0);
    of_headers headers;
    of_headers_init(&headers, &arena);
    of_death death = {.cluster_id = CLUSTER,
                      .group = KC_STR("g"),
                      .origin = origin_of(1, 2),
                      .failure_class = OF_CLASS_PERMANENT,
                      .history = of_history_add(&arena, KC_NULL, 1, 2, OF_STAGE_FIRST,
                                                OF_CLASS_PERMANENT, KC_STR("c"))};
    of_death_put(&headers, &death, "0123456789abcdef");
    bool is_good = !headers.is_failed;
    of_message dead = {.headers = headers.items, .header_count = headers.count}, redrive;
    of_dead_letter letter;
    if (is_good) {
        ck_assert(of_dead_letter_read(&dead, &letter));
        is_good = of_redrive_message(&letter, 1, KC_STR("auto"), &arena, &redrive) &&
                  of_quarantine_message(&letter, KC_STR("r"), &arena, &redrive);
    }
    end();
    return is_good;
}

START_TEST(running_out_of_memory_is_told)
{
    size_t failed = fail_each_alloc(write_and_read);
    ck_assert_uint_gt(failed, 0);
    ck_assert_uint_ne(failed, SIZE_MAX);
}
END_TEST
