/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A timeline without a backend: read the platform's own topics from the correlation id's time on,
 * keep the records that carry it, tell them in order of time. Headers are enough: no value is
 * parsed but those of the state topic. */
#include "officeflow/catalogue.h"
#include "officeflow/dead_redrive.h"
#include "officeflow/dead_state.h"
#include "officeflow/scan.h"
#include "protocol/base/error.h"
#include "protocol/base/text.h"

#include <officeflow/dlq.h>

#include <stdlib.h>

/* the clock that made the id may go ahead of the brokers' and producers' */
#define CLOCK_SKEW_MS 5000
#define HOPS_MAX      10000
#define BYTES_MAX     ((size_t)64 << 20)

typedef struct timeline {
    kc_bytes correlation_id;
    kb_arena arena, scratch;
    of_hop *hops; /* in the arena */
    size_t count, cap;
    bool is_full;
} timeline;

static bool wants_platform(kc_bytes topic, void *user)
{
    of_topic_spec spec;
    (void)user;
    return of_catalogue_find(topic, &spec);
}

static enum of_hop_kind kind_of(kc_bytes topic, const of_message *message)
{
    if (kb_text_starts(topic, KC_STR(OF_DLQ_PREFIX)))
        return OF_HOP_DEAD;
    if (kb_text_starts(topic, KC_STR(OF_QUARANTINE_PREFIX)))
        return OF_HOP_QUARANTINE;
    kc_bytes redrive;
    // also a replay to a topic where all read it is a redrive
    if (of_header_find(message->headers, message->header_count, OF_H_REDRIVE_OF, &redrive))
        return OF_HOP_REDRIVE;
    return kb_text_starts(topic, KC_STR(OF_RETRY_PREFIX)) ? OF_HOP_RETRY : OF_HOP_SENT;
}

static kc_bytes first_text(const of_message *message, const char *name, const char *other)
{
    kc_bytes text = of_header_text(message->headers, message->header_count, name);
    return text.ptr ? text : of_header_text(message->headers, message->header_count, other);
}

static int32_t first_number(const of_message *message, const char *name, const char *other,
                            int32_t fallback)
{
    int64_t number;
    if ((of_header_i64(message->headers, message->header_count, name, &number) ||
         of_header_i64(message->headers, message->header_count, other, &number)) &&
        number >= 0 && number <= INT32_MAX)
        return (int32_t)number;
    return fallback;
}

static of_hop *add_hop(timeline *line)
{
    if (line->count == HOPS_MAX) {
        line->is_full = true;
        return NULL;
    }
    if (line->count == line->cap) {
        size_t cap = line->cap ? 2 * line->cap : 64;
        of_hop *grown = kb_arena_array(&line->arena, cap, sizeof *grown);
        if (!grown) {
            line->is_full = true;
            return NULL;
        }
        if (line->count > 0)
            memcpy(grown, line->hops, line->count * sizeof *grown);
        line->hops = grown;
        line->cap = cap;
    }
    return &line->hops[line->count++];
}

/** The hop's texts out of the batch, which goes. */
static bool keep_texts(timeline *line, of_hop *hop)
{
    kc_bytes *texts[] = {&hop->topic, &hop->type, &hop->id,      &hop->causation_id, &hop->source,
                         &hop->group, &hop->code, &hop->message, &hop->history};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        kc_bytes copy = kb_arena_copy(&line->arena, *texts[i]);
        if (texts[i]->ptr && !copy.ptr)
            return false;
        *texts[i] = copy;
    }
    return true;
}

static bool state_hop(timeline *line, const kc_view *view, of_hop *hop)
{
    of_state_record record;
    if (!of_state_read(view->key, view->value, &line->scratch, &record) ||
        !kc_bytes_equal(record.correlation_id, line->correlation_id))
        return false;
    *hop = (of_hop){
        .kind = OF_HOP_STATE,
        .wall_ms = record.wall_ms,
        .id = view->key,
        .source = record.by,
        .attempts = -1,
        .redrive = record.redrive,
        .state = record.state,
    };
    return true;
}

static bool record_hop(timeline *line, kc_bytes topic, const kc_view *view, of_hop *hop)
{
    kc_bytes correlation;
    if (!kc_view_find_header(view, KC_STR(OF_H_CORRELATION), &correlation) ||
        !kc_bytes_equal(correlation, line->correlation_id))
        return false;
    of_message message;
    if (!of_message_of_view(view, &line->scratch, &message))
        return false;
    const kc_header *headers = message.headers;
    size_t count = message.header_count;
    *hop = (of_hop){
        .kind = kind_of(topic, &message),
        .type = of_header_text(headers, count, OF_H_TYPE),
        .id = of_header_text(headers, count, OF_H_ID),
        .causation_id = of_header_text(headers, count, OF_H_CAUSATION),
        .source = of_header_text(headers, count, OF_H_SOURCE),
        .group = first_text(&message, OF_H_GROUP, OF_H_DLQ_GROUP),
        .code = of_header_text(headers, count, OF_H_DLQ_CODE),
        .message = of_header_text(headers, count, OF_H_DLQ_MESSAGE),
        .attempts = first_number(&message, OF_H_ATTEMPT, OF_H_DLQ_COUNT, -1),
        .redrive = first_number(&message, OF_H_REDRIVE, OF_H_DLQ_REDRIVES, 0),
        .history = of_header_text(headers, count, OF_H_DLQ_HISTORY),
    };
    return true;
}

static bool take(kc_bytes topic, int32_t partition, const kc_view *view, void *user)
{
    timeline *line = user;
    of_hop hop;
    kb_arena_reset(&line->scratch);
    bool is_ours = kc_bytes_equal(topic, KC_STR(OF_STATE_TOPIC))
                       ? state_hop(line, view, &hop)
                       : record_hop(line, topic, view, &hop);
    if (!is_ours)
        return true;
    if (hop.wall_ms <= 0) // a state may be written after the next one: it says itself of when it is
        hop.wall_ms = view->timestamp_ms;
    hop.topic = topic;
    hop.partition = partition;
    hop.offset = view->offset;
    if (!keep_texts(line, &hop)) {
        line->is_full = true;
        return false;
    }
    of_hop *added = add_hop(line);
    if (added)
        *added = hop;
    return added != NULL;
}

/** Where in the life of an event: sent, then for each redrive its tries, dead letter and quarantine. */
static int step_of(const of_hop *hop)
{
    static const int steps[] = {
        [OF_HOP_SENT] = 0, [OF_HOP_REDRIVE] = 1,    [OF_HOP_RETRY] = 2,
        [OF_HOP_DEAD] = 3, [OF_HOP_QUARANTINE] = 4,
    };
    return steps[hop->kind];
}

/** By time; in the same millisecond causes first, states last, and of two states the lower. */
static int by_time(const void *left, const void *right)
{
    const of_hop *a = left, *b = right;
    if (a->wall_ms != b->wall_ms)
        return a->wall_ms < b->wall_ms ? -1 : 1;
    if ((a->kind == OF_HOP_STATE) != (b->kind == OF_HOP_STATE))
        return a->kind == OF_HOP_STATE ? 1 : -1;
    if (a->kind == OF_HOP_STATE) {
        if (of_state_is_above(a->state, a->redrive, b->state, b->redrive))
            return 1;
        if (of_state_is_above(b->state, b->redrive, a->state, a->redrive))
            return -1;
    } else if (a->redrive != b->redrive) {
        return a->redrive < b->redrive ? -1 : 1;
    } else if (step_of(a) != step_of(b)) {
        return step_of(a) < step_of(b) ? -1 : 1;
    }
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/** When the id was made, as far as it tells (UUIDv7, RFC 9562); 0: not. */
static int64_t time_of_id(kc_bytes text)
{
    kc_uuid id;
    int64_t ms = 0;
    if (!kb_uuid_parse(text, &id) || id.bytes[6] >> 4 != 7)
        return 0;
    for (size_t i = 0; i < 6; i++)
        ms = ms << 8 | id.bytes[i];
    return ms;
}

kc_err of_trace_scan(of_platform *platform, const char *correlation_id, int64_t since_ms,
                     int32_t timeout_ms, of_hop_fn fn, void *user, kc_error *err)
{
    timeline line = {.correlation_id = kc_str(correlation_id)};
    kb_arena_init(&line.arena, &platform->mem, BYTES_MAX);
    kb_arena_init(&line.scratch, &platform->mem, 0);
    int64_t made_ms = time_of_id(line.correlation_id);
    of_scan scan = {.wants = wants_platform,
                    .take = take,
                    .user = &line,
                    .since_ms = since_ms > 0 ? since_ms : made_ms - CLOCK_SKEW_MS,
                    .deadline_us = of_scan_deadline(timeout_ms)};
    kc_err result = of_scan_run(platform, &scan, err);
    if (result == KC_OK && line.is_full)
        result = kb_error_set(err, KC_ERR_TOO_LARGE,
                              "Correlation id %s has more than %d records: say since when.",
                              correlation_id, HOPS_MAX);
    if (line.count > 1)
        qsort(line.hops, line.count, sizeof *line.hops, by_time);
    for (size_t i = 0; result == KC_OK && i < line.count; i++)
        fn(&line.hops[i], user);
    kb_arena_cleanup(&line.arena);
    kb_arena_cleanup(&line.scratch);
    return result;
}
