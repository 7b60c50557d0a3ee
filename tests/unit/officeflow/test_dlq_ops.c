/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Scans of the platform's topics on a virtual clock: the list of dead letters and the timeline. */
#include "officeflow/catalogue.h"
#include "officeflow/scan.h"
#include "protocol/base/rand.h"
#include "protocol/base/text.h"
#include "tests/unit/officeflow/fake_kafka.h"

#include <check.h>
#include <stdio.h>

#define DLQ        "dlq.email.send.request"
#define QUARANTINE "quarantine.email.send.request"
#define STATES     "officeflow.dlq-state"

static fake_kafka k;
static kb_mem mem;
static kb_arena arena;

static void begin(void)
{
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    fake_kafka_start(&k, NULL);
    fake_topic_add(k.cluster, DLQ, 2);
    fake_topic_add(k.cluster, QUARANTINE, 1);
    fake_topic_add(k.cluster, STATES, 2);
    fake_topic_add(k.cluster, "email.send.request", 1);
    fake_topic_add(k.cluster, "somebody.elses", 1);
    fake_topic_add(k.cluster, "retry.email-service.now", 1);
}

static void end(void)
{
    fake_kafka_stop(&k);
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}

static void put_letter(const char *topic, int32_t partition, int64_t offset, int32_t redrives,
                       of_class failure_class)
{
    of_headers headers;
    char id[17];
    of_headers_init(&headers, &arena);
    of_headers_set(&headers, OF_H_TYPE, KC_STR("email.send.request"));
    of_headers_set(&headers, OF_H_CORRELATION, KC_STR("c-1"));
    of_death death = {.cluster_id = "x",
                      .group = KC_STR("email-service"),
                      .origin = {.topic = KC_STR("email.send.request"), .offset = offset},
                      .failure_class = failure_class,
                      .code = KC_STR("smtp"),
                      .attempts = 3,
                      .redrives = redrives,
                      .first_ms = 1000,
                      .last_ms = 2000 + redrives};
    of_dead_letter_id("x", death.group, &death.origin, id);
    of_death_put(&headers, &death, id);
    of_message message = {.key = KC_STR("k"),
                          .value = KC_STR("{}"),
                          .headers = headers.items,
                          .header_count = headers.count};
    fake_kafka_put(&k, topic, partition, &message);
}

static const char *id_of(int64_t offset)
{
    static char id[17];
    of_origin origin = {.topic = KC_STR("email.send.request"), .offset = offset};
    of_dead_letter_id("x", KC_STR("email-service"), &origin, id);
    return id;
}

static void put_state(int64_t offset, of_dead_state state, int32_t redrive, int64_t due_ms)
{
    const char *value = kb_arena_printf(&arena,
                                        "{\"state\":\"%s\",\"redrive\":%d,\"due\":%lld,"
                                        "\"at\":%lld,\"correlationId\":\"c-1\"}",
                                        of_dead_state_name(state), redrive, (long long)due_ms,
                                        (long long)kn_loop_wall_ms(k.cluster->loop));
    of_message message = {.key = kb_arena_copy(&arena, kc_str(id_of(offset))),
                          .value = kc_str(value)};
    fake_kafka_put(&k, STATES, (int32_t)(offset % 2), &message);
}

/* ---- list ---- */

typedef struct listed {
    size_t count, limit;
    of_dead_letter letters[16]; /* numbers only: their slices are gone */
    char topics[16][64];
} listed;

static bool on_letter(const of_dead_letter *letter, void *user)
{
    listed *l = user;
    ck_assert_uint_lt(l->count, 16);
    snprintf(l->topics[l->count], sizeof l->topics[0], KC_FMT, KC_ARG(letter->dlq_topic));
    l->letters[l->count++] = *letter;
    return l->limit == 0 || l->count < l->limit;
}

static listed list(const of_dead_filter *filter)
{
    kc_error err = {0};
    listed l = {0};
    ck_assert_msg(of_dlq_list(k.platform, filter, 30000, on_letter, &l, &err) == KC_OK, "%s",
                  err.text);
    return l;
}

START_TEST(nothing_there_is_an_empty_list)
{
    begin();
    ck_assert_uint_eq(list(NULL).count, 0);
    end();
}
END_TEST

START_TEST(letter_with_many_records_is_told_once_with_its_last_death)
{
    begin();
    put_letter(DLQ, 0, 1, 0, OF_CLASS_RETRIES_EXHAUSTED);
    put_letter(DLQ, 0, 1, 0, OF_CLASS_RETRIES_EXHAUSTED); // a copy
    put_letter(DLQ, 0, 1, 1, OF_CLASS_TIMEOUT);
    put_letter(DLQ, 1, 2, 0, OF_CLASS_PERMANENT);
    listed l = list(NULL);
    ck_assert_uint_eq(l.count, 2);
    ck_assert_str_eq(l.letters[0].id, id_of(1));
    ck_assert_int_eq(l.letters[0].failure_class, OF_CLASS_TIMEOUT);
    ck_assert_int_eq(l.letters[0].redrives, 1);
    ck_assert_int_eq(l.letters[0].dlq_offset, 2);
    ck_assert_int_eq(l.letters[0].state, OF_DEAD);
    ck_assert_int_eq(l.letters[1].dlq_partition, 1);
    end();
}
END_TEST

START_TEST(newest_state_is_told_whatever_the_order_of_writers)
{
    begin();
    put_letter(DLQ, 0, 1, 0, OF_CLASS_TIMEOUT);
    put_letter(DLQ, 0, 2, 0, OF_CLASS_TIMEOUT);
    put_letter(DLQ, 0, 3, 1, OF_CLASS_TIMEOUT);
    put_state(1, OF_DEAD_REDRIVEN, 0, 0);
    put_state(1, OF_DEAD_SCHEDULED, 0, 77); // late: says less
    put_state(2, OF_DEAD_SCHEDULED, 0, 77);
    put_state(2, OF_DEAD_SCHEDULED, 0, 99); // put off
    put_state(3, OF_DEAD_REDRIVEN, 0, 0);   // of the death before
    listed l = list(NULL);
    ck_assert_uint_eq(l.count, 3);
    ck_assert_int_eq(l.letters[0].state, OF_DEAD_REDRIVEN);
    ck_assert_int_eq(l.letters[0].redrives, 1);
    ck_assert_int_eq(l.letters[0].next_ms, 0);
    ck_assert_int_eq(l.letters[1].state, OF_DEAD_SCHEDULED);
    ck_assert_int_eq(l.letters[1].next_ms, 99);
    ck_assert_int_eq(l.letters[2].state, OF_DEAD);
    ck_assert_int_eq(l.letters[2].redrives, 1);
    end();
}
END_TEST

START_TEST(quarantined_letter_is_told_from_there_even_without_its_state)
{
    begin();
    put_letter(DLQ, 0, 1, 3, OF_CLASS_TIMEOUT);
    put_letter(QUARANTINE, 0, 1, 3, OF_CLASS_TIMEOUT);
    put_letter(QUARANTINE, 0, 1, 3, OF_CLASS_TIMEOUT);
    listed l = list(&(of_dead_filter){.quarantined_only = true});
    ck_assert_uint_eq(l.count, 1);
    ck_assert_int_eq(l.letters[0].state, OF_DEAD_QUARANTINED);
    ck_assert_str_eq(l.topics[0], QUARANTINE);
    end();
}
END_TEST

START_TEST(letter_that_died_again_after_quarantine_is_dead)
{
    begin();
    put_letter(DLQ, 0, 1, 3, OF_CLASS_TIMEOUT);
    put_letter(QUARANTINE, 0, 1, 3, OF_CLASS_TIMEOUT);
    put_state(1, OF_DEAD_QUARANTINED, 3, 0);
    put_state(1, OF_DEAD_REDRIVEN, 3, 0);
    put_letter(DLQ, 0, 1, 4, OF_CLASS_TIMEOUT);
    listed l = list(NULL);
    ck_assert_uint_eq(l.count, 1);
    ck_assert_int_eq(l.letters[0].state, OF_DEAD);
    ck_assert_str_eq(l.topics[0], DLQ);
    end();
}
END_TEST

START_TEST(settled_letters_are_told_on_request)
{
    begin();
    put_letter(DLQ, 0, 1, 0, OF_CLASS_TIMEOUT);
    put_letter(DLQ, 0, 2, 0, OF_CLASS_TIMEOUT);
    put_letter(DLQ, 0, 3, 0, OF_CLASS_TIMEOUT);
    put_state(1, OF_DEAD_RESOLVED, 1, 0);
    put_state(2, OF_DEAD_DISCARDED, 0, 0);
    ck_assert_uint_eq(list(NULL).count, 1);
    ck_assert_uint_eq(list(&(of_dead_filter){.with_resolved = true}).count, 3);
    end();
}
END_TEST

START_TEST(filters_select)
{
    begin();
    put_letter(DLQ, 0, 1, 0, OF_CLASS_TIMEOUT);
    put_letter(DLQ, 1, 2, 1, OF_CLASS_PERMANENT);
    const struct {
        of_dead_filter filter;
        size_t count;
    } cases[] = {
        {{.topic = "email.send.request"}, 2},
        {{.topic = "email.**"}, 2},
        {{.topic = "email.send.result"}, 0},
        {{.group = "email-service"}, 2},
        {{.group = "other"}, 0},
        {{.failure_class = OF_CLASS_PERMANENT}, 1},
        {{.since_ms = 2001}, 1},
        {{.fingerprint = "ffffffffffff"}, 0},
        {{.quarantined_only = true}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(list(&cases[i].filter).count == cases[i].count, "case %zu", i);
    char id[17];
    snprintf(id, sizeof id, "%s", id_of(2));
    listed l = list(&(of_dead_filter){.id = id});
    ck_assert_uint_eq(l.count, 1);
    ck_assert_str_eq(l.letters[0].id, id);
    end();
}
END_TEST

START_TEST(listing_stops_when_enough)
{
    begin();
    for (int i = 0; i < 5; i++)
        put_letter(DLQ, 0, i, 0, OF_CLASS_TIMEOUT);
    kc_error err;
    listed l = {.limit = 2};
    ck_assert_int_eq(of_dlq_list(k.platform, NULL, 30000, on_letter, &l, &err), KC_OK);
    ck_assert_uint_eq(l.count, 2);
    end();
}
END_TEST

START_TEST(garbage_between_letters_is_passed)
{
    begin();
    of_message garbage = {.value = KC_STR("\xff")};
    fake_kafka_put(&k, DLQ, 0, &garbage);
    put_letter(DLQ, 0, 1, 0, OF_CLASS_TIMEOUT);
    fake_kafka_put(&k, STATES, 0, &garbage);
    fake_kafka_put(&k, QUARANTINE, 0, &garbage);
    ck_assert_uint_eq(list(NULL).count, 1);
    end();
}
END_TEST

START_TEST(unreachable_cluster_is_an_error)
{
    begin();
    kc_error err = {0};
    listed l = {0};
    fake_down(k.cluster, 1);
    ck_assert_int_ne(of_dlq_list(k.platform, NULL, 5000, on_letter, &l, &err), KC_OK);
    ck_assert_uint_gt(strlen(err.text), 0);
    end();
}
END_TEST

/* ---- one record ---- */

typedef struct one {
    size_t count;
    char value[16];
} one;

static bool take(kc_bytes topic, int32_t partition, const kc_view *view, void *user)
{
    one *o = user;
    (void)topic;
    (void)partition;
    o->count++;
    snprintf(o->value, sizeof o->value, KC_FMT, KC_ARG(view->value));
    return true;
}

START_TEST(one_record_is_read_by_its_place)
{
    begin();
    kc_error err = {0};
    one o = {0};
    for (int i = 0; i < 3; i++) {
        of_message message = {.value = kc_str(kb_arena_printf(&arena, "v%d", i))};
        fake_kafka_put(&k, "email.send.request", 0, &message);
    }
    of_scan scan = {.take = take, .user = &o, .deadline_us = of_scan_deadline(10000)};
    kc_bytes topic = KC_STR("email.send.request");
    ck_assert_msg(of_scan_record(k.platform, &scan, topic, 0, 1, &err) == KC_OK, "%s", err.text);
    ck_assert_uint_eq(o.count, 1);
    ck_assert_str_eq(o.value, "v1");
    ck_assert_int_eq(of_scan_record(k.platform, &scan, topic, 0, 3, &err), KC_ERR_NOT_FOUND);
    ck_assert_int_eq(of_scan_record(k.platform, &scan, topic, 0, -1, &err), KC_ERR_NOT_FOUND);
    ck_assert_uint_eq(o.count, 1);
    end();
}
END_TEST

/* ---- timeline ---- */

typedef struct hops {
    size_t count;
    of_hop hops[16];
    char topics[16][64];
    char codes[16][16];
} hops;

static void on_hop(const of_hop *hop, void *user)
{
    hops *h = user;
    ck_assert_uint_lt(h->count, 16);
    snprintf(h->topics[h->count], sizeof h->topics[0], KC_FMT, KC_ARG(hop->topic));
    snprintf(h->codes[h->count], sizeof h->codes[0], KC_FMT, KC_ARG(hop->code));
    h->hops[h->count++] = *hop;
}

static void put_event(const char *topic, const char *correlation, const char *redrive_of)
{
    of_headers headers;
    of_headers_init(&headers, &arena);
    of_headers_set(&headers, OF_H_CORRELATION, kc_str(correlation));
    of_headers_set(&headers, OF_H_TYPE, KC_STR("email.send.request"));
    if (redrive_of) {
        of_headers_set(&headers, OF_H_REDRIVE_OF, kc_str(redrive_of));
        of_headers_set_i64(&headers, OF_H_REDRIVE, 1);
    }
    of_message message = {
        .value = KC_STR("{}"), .headers = headers.items, .header_count = headers.count};
    fake_kafka_put(&k, topic, 0, &message);
    fake_run(k.cluster, 10);
}

START_TEST(timeline_tells_the_hops_of_one_correlation_in_order)
{
    begin();
    kc_error err = {0};
    hops h = {0};
    put_event("email.send.request", "c-1", NULL);
    put_event("email.send.request", "c-2", NULL);
    put_event("somebody.elses", "c-1", NULL); // not of the platform
    put_letter(DLQ, 1, 1, 0, OF_CLASS_TIMEOUT);
    fake_run(k.cluster, 10);
    put_event("retry.email-service.now", "c-1", "0123456789abcdef");
    put_state(1, OF_DEAD_RESOLVED, 1, 0);
    put_state(1, OF_DEAD_REDRIVEN, 0, 0); // written after what came of it
    ck_assert_msg(of_trace_scan(k.platform, "c-1", 0, 30000, on_hop, &h, &err) == KC_OK, "%s",
                  err.text);
    ck_assert_uint_eq(h.count, 5);
    ck_assert_int_eq(h.hops[0].kind, OF_HOP_SENT);
    ck_assert_int_eq(h.hops[0].attempts, -1);
    ck_assert_int_eq(h.hops[1].kind, OF_HOP_DEAD);
    ck_assert_int_eq(h.hops[1].attempts, 3);
    ck_assert_str_eq(h.codes[1], "smtp");
    ck_assert_str_eq(h.topics[1], DLQ);
    ck_assert_int_eq(h.hops[2].kind, OF_HOP_REDRIVE);
    ck_assert_int_eq(h.hops[2].redrive, 1);
    ck_assert_int_eq(h.hops[3].kind, OF_HOP_STATE);
    ck_assert_int_eq(h.hops[3].state, OF_DEAD_REDRIVEN);
    ck_assert_int_eq(h.hops[4].state, OF_DEAD_RESOLVED);
    end();
}
END_TEST

START_TEST(timeline_of_one_millisecond_puts_a_redrive_behind_the_dead_letter_it_follows)
{
    begin();
    kc_error err = {0};
    hops h = {0};
    of_headers headers;
    of_headers_init(&headers, &arena);
    of_headers_set(&headers, OF_H_CORRELATION, KC_STR("c-1"));
    of_headers_set(&headers, OF_H_TYPE, KC_STR("email.send.request"));
    of_message sent = {
        .value = KC_STR("{}"), .headers = headers.items, .header_count = headers.count};
    fake_kafka_put(&k, "email.send.request", 0, &sent);
    put_letter(DLQ, 1, 1, 0, OF_CLASS_TIMEOUT);
    of_headers_set(&headers, OF_H_REDRIVE_OF, KC_STR("0123456789abcdef"));
    of_headers_set_i64(&headers, OF_H_REDRIVE, 1);
    of_message again = {
        .value = KC_STR("{}"), .headers = headers.items, .header_count = headers.count};
    fake_kafka_put(&k, "retry.email-service.now", 0, &again);
    fake_run(k.cluster, 10);
    ck_assert_msg(of_trace_scan(k.platform, "c-1", 0, 30000, on_hop, &h, &err) == KC_OK, "%s",
                  err.text);
    ck_assert_uint_eq(h.count, 3);
    ck_assert_int_eq(h.hops[0].wall_ms, h.hops[2].wall_ms);
    ck_assert_int_eq(h.hops[0].kind, OF_HOP_SENT);
    ck_assert_int_eq(h.hops[1].kind, OF_HOP_DEAD);
    ck_assert_int_eq(h.hops[2].kind, OF_HOP_REDRIVE);
    end();
}
END_TEST

START_TEST(timeline_begins_at_the_time_of_the_id)
{
    begin();
    kc_error err = {0};
    kb_rand rand;
    char id[37];
    put_event("email.send.request", "c-1", NULL);
    fake_run(k.cluster, 60000);
    kb_rand_init(&rand, 5);
    kb_uuid_format(kb_uuid_v7(&rand, kn_loop_wall_ms(k.cluster->loop)), id);
    put_event("email.send.request", id, NULL);
    hops h = {0};
    ck_assert_int_eq(of_trace_scan(k.platform, id, 0, 30000, on_hop, &h, &err), KC_OK);
    ck_assert_uint_eq(h.count, 1);
    ck_assert_int_eq(h.hops[0].offset, 1);
    h = (hops){0}; // since later than all of it
    ck_assert_int_eq(of_trace_scan(k.platform, id, kn_loop_wall_ms(k.cluster->loop) + 1000, 30000,
                                   on_hop, &h, &err),
                     KC_OK);
    ck_assert_uint_eq(h.count, 0);
    end();
}
END_TEST
