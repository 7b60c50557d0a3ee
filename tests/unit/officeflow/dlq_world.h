/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A DLQ handler on a small Kafka and a virtual clock, and letters for it. */
#ifndef DLQ_WORLD_H
#define DLQ_WORLD_H

#include "officeflow/catalogue.h"
#include "officeflow/dlq_handler_core.h"
#include "tests/unit/officeflow/fake_kafka.h"

#include <check.h>
#include <stdio.h>

#define SECOND_MS 1000LL
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define TYPE      "email.send.request"
#define GROUP     "email-service"
#define DLQ       "dlq.email.send.request"
#define RETRY     "retry.email-service.now"
#define STATES    "officeflow.dlq-state"
/* times without jitter, so that they can be named */
#define EXACT "{\"default\": {\"redrive_jitter\": 0}}"

static fake_kafka k;
static of_dlq_handler *handler;
static kb_mem mem;
static kb_arena arena;
static size_t told[OF_DLQ_ERROR + 1];
static enum of_dlq_notice_kind last_kind;
static char last_reason[128];
static int64_t last_due_ms;

static inline void on_notice(const of_dlq_notice *notice, void *user)
{
    (void)user;
    told[notice->kind]++;
    last_kind = notice->kind;
    snprintf(last_reason, sizeof last_reason, "%s", notice->reason ? notice->reason : "");
    if (notice->kind == OF_DLQ_SCHEDULED)
        last_due_ms = notice->due_ms;
}

static inline void open_handler(void)
{
    kc_error err = {0};
    of_dlq_options options;
    of_dlq_options_init(&options);
    options.on_notice = on_notice;
    memset(told, 0, sizeof told);
    ck_assert_msg(of_dlq_open(k.platform, &options, &handler, &err) == KC_OK, "%s", err.text);
    ck_assert_msg(of_dlq_start(handler, &err) == KC_OK, "%s", err.text);
}

static inline void begin(const char *policy_json)
{
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    fake_kafka_start(&k, policy_json);
    fake_topic_add(k.cluster, DLQ, 1);
    fake_topic_add(k.cluster, STATES, 2);
    open_handler();
    fake_run(k.cluster, SECOND_MS);
    ck_assert_int_eq(handler->phase, OF_DLQ_RUNNING);
}

static inline void end(void)
{
    of_dlq_close(handler, 0);
    handler = NULL;
    fake_kafka_stop(&k);
    kb_arena_cleanup(&arena);
    ck_assert_uint_eq(mem.used, 0);
}

static inline int64_t wall(void)
{
    return kn_loop_wall_ms(k.cluster->loop);
}

/** What makes one letter differ from another. */
typedef struct letter_spec {
    int64_t offset; /* of its origin: its identity */
    const char *type, *topic, *message, *group;
    of_class failure_class;
    int32_t redrives;
    int64_t first_ms; /* 0: now */
    bool is_pointer, is_foreign;
} letter_spec;

static inline of_message make_letter(const letter_spec *spec)
{
    of_headers headers;
    char id[17];
    of_headers_init(&headers, &arena);
    of_headers_set(&headers, "x-foreign", KC_STR("kept"));
    of_headers_set(&headers, OF_H_TYPE, kc_str(spec->type ? spec->type : TYPE));
    of_headers_set(&headers, OF_H_CORRELATION, KC_STR("c-1"));
    of_death death = {
        .cluster_id = "fake",
        .group = kc_str(spec->group ? spec->group : GROUP),
        .handler = KC_STR("h"),
        .origin = {.topic = kc_str(spec->topic ? spec->topic : TYPE), .offset = spec->offset},
        .failure_class = spec->failure_class ? spec->failure_class : OF_CLASS_RETRIES_EXHAUSTED,
        .code = KC_STR("code"),
        .message = kc_str(spec->message ? spec->message : "it failed"),
        .attempts = 11,
        .redrives = spec->redrives,
        .first_ms = spec->first_ms ? spec->first_ms : wall(),
        .last_ms = wall(),
    };
    of_dead_letter_id(death.cluster_id, death.group, &death.origin, id);
    of_death_put(&headers, &death, id);
    if (spec->is_pointer)
        of_headers_set(&headers, OF_H_DLQ_TRUNCATED, KC_STR("value"));
    if (spec->is_foreign)
        of_headers_remove(&headers, OF_H_DLQ_ID);
    ck_assert(!headers.is_failed);
    return (of_message){.key = KC_STR("k"),
                        .value = KC_STR("{\"n\":1.10}"),
                        .headers = headers.items,
                        .header_count = headers.count};
}

static inline void put(const letter_spec *spec)
{
    of_message message = make_letter(spec);
    fake_kafka_put(&k, DLQ, 0, &message);
}

static inline const char *id_of(const letter_spec *spec)
{
    static char id[17];
    of_origin origin = {.topic = kc_str(spec->topic ? spec->topic : TYPE), .offset = spec->offset};
    of_dead_letter_id("fake", kc_str(spec->group ? spec->group : GROUP), &origin, id);
    return id;
}

/** A state written by somebody else. */
static inline void put_state(const letter_spec *spec, of_dead_state state, int32_t redrive)
{
    char value[128];
    int len = snprintf(value, sizeof value, "{\"state\":\"%s\",\"redrive\":%d,\"at\":1}",
                       of_dead_state_name(state), redrive);
    of_message message = {.key = kc_str(id_of(spec)), .value = kc_span(value, (size_t)len)};
    fake_kafka_put(&k, STATES, 0, &message);
}

/** Newest state of a letter in the topic; -1: none. */
static int state_of(const letter_spec *spec, int32_t *redrive_out)
{
    of_state_record record, newest = {0};
    bool is_there = false;
    size_t count = fake_kafka_count(&k, STATES);
    for (size_t i = 0; i < count; i++) {
        of_message message = fake_kafka_get(&k, STATES, i, &arena);
        ck_assert(of_state_read(message.key, message.value, &arena, &record));
        if (strcmp(record.id, id_of(spec)) != 0)
            continue;
        if (!is_there ||
            of_state_is_above(record.state, record.redrive, newest.state, newest.redrive))
            newest = record;
        is_there = true;
    }
    if (redrive_out)
        *redrive_out = newest.redrive;
    return is_there ? (int)newest.state : -1;
}

static inline int64_t committed(void)
{
    return fake_kafka_committed(&k, OF_DLQ_GROUP, DLQ, 0);
}

static inline const char *header(const of_message *message, const char *name)
{
    kc_bytes text = of_header_text(message->headers, message->header_count, name);
    return text.ptr ? kb_arena_printf(&arena, KC_FMT, KC_ARG(text)) : "";
}

static inline void expect_counts(size_t scheduled, size_t redriven, size_t quarantined, size_t left,
                                 size_t duplicates)
{
    ck_assert_uint_eq(told[OF_DLQ_SCHEDULED], scheduled);
    ck_assert_uint_eq(told[OF_DLQ_REDRIVEN], redriven);
    ck_assert_uint_eq(told[OF_DLQ_QUARANTINED], quarantined);
    ck_assert_uint_eq(told[OF_DLQ_LEFT_TO_OPERATOR], left);
    ck_assert_uint_eq(told[OF_DLQ_DUPLICATE], duplicates);
}

static inline void put_many(int count, int64_t from)
{
    for (int i = 0; i < count; i++)
        put(&(letter_spec){.offset = from + i});
}

#endif
