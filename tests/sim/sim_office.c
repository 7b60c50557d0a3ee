/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What became of each event of the workload "officeflow". Headers are read here by hand: what writes them is under test. */
#include "tests/sim/sim_office.h"

#include "mock/group_offsets.h"

#include <stdio.h>
#include <stdlib.h>

office_event *office_event_new(sim_world *sim, office_ledger *ledger)
{
    if (ledger->count == ledger->cap) {
        size_t cap = ledger->cap ? ledger->cap * 2 : 256;
        office_event **larger = realloc(ledger->events, cap * sizeof(office_event *));
        if (!larger) {
            sim_fail(sim, "no memory for the ledger");
            return NULL;
        }
        ledger->events = larger;
        ledger->cap = cap;
    }
    office_event *event = calloc(1, sizeof *event);
    if (!event) {
        sim_fail(sim, "no memory for the ledger");
        return NULL;
    }
    event->number = (uint32_t)ledger->count;
    ledger->events[ledger->count++] = event;
    return event;
}

/* ---- logs ---- */

typedef struct log_reading {
    sim_world *sim;
    office_ledger *ledger;
    int topic;
    int32_t partition;
} log_reading;

/** The last one of this name; "" when there is none. */
static const char *header(const kp_record *record, const char *name, char *text, size_t cap)
{
    kc_bytes pos = record->headers_raw;
    kc_header one;
    text[0] = 0;
    while (kp_header_next(&pos, &one) == KC_OK)
        if (kc_bytes_equal(one.name, kc_str(name)))
            snprintf(text, cap, KC_FMT, KC_ARG(one.value));
    return text;
}

static bool reserve(const log_reading *reading, office_log *log, int64_t offset)
{
    if (offset < log->cap)
        return true;
    int64_t cap = offset * 2 + 64;
    office_copy *copies = realloc(log->copies, (size_t)cap * sizeof *copies);
    log->copies = copies ? copies : log->copies;
    office_origin *origins = realloc(log->origins, (size_t)cap * sizeof *origins);
    log->origins = origins ? origins : log->origins;
    if (!copies || !origins) {
        sim_fail(reading->sim, "no memory for the ledger");
        return false;
    }
    memset(copies + log->cap, 0, (size_t)(cap - log->cap) * sizeof *copies);
    log->cap = cap;
    return true;
}

static bool read_number(kc_bytes json, uint32_t *number_out)
{
    char text[1024];
    snprintf(text, sizeof text, KC_FMT, KC_ARG(json));
    const char *at = strstr(text, "\"n\":");
    return at && sscanf(at + 4, "%u", number_out) == 1;
}

static void on_event_record(const log_reading *reading, office_log *log, const kp_record *record)
{
    office_copy *copy = &log->copies[record->offset];
    copy->hash = sim_record_hash(0, record->key, record->value);
    if (!read_number(record->value, &copy->number) || copy->number >= reading->ledger->count ||
        reading->ledger->events[copy->number]->topic != reading->topic)
        sim_fail(reading->sim, "%s-%d/%lld: not what anyone sent",
                 reading->sim->topics[reading->topic].name, reading->partition,
                 (long long)record->offset);
}

/** The record this one is a copy of, bytes and all. */
static office_copy *copy_of(const log_reading *reading, const kp_record *record,
                            const office_origin *origin)
{
    const char *name = reading->sim->topics[reading->topic].name;
    office_log *log =
        origin->topic >= 0 && origin->partition >= 0 && origin->partition < SIM_PARTITIONS_MAX
            ? &reading->ledger->logs[origin->topic][origin->partition]
            : NULL;
    if (!log || reading->ledger->roles[origin->topic] != ROLE_EVENTS || origin->offset < 0 ||
        origin->offset >= log->until) {
        sim_fail(reading->sim, "%s-%d/%lld: its origin is not there", name, reading->partition,
                 (long long)record->offset);
        return NULL;
    }
    office_copy *copy = &log->copies[origin->offset];
    if (copy->hash != sim_record_hash(0, record->key, record->value))
        sim_fail(reading->sim, "%s-%d/%lld: its bytes are not those of its origin", name,
                 reading->partition, (long long)record->offset);
    return copy;
}

static void on_retry_record(const log_reading *reading, office_log *log, const kp_record *record)
{
    char text[200], topic[200];
    int32_t partition = -1;
    long long offset = -1;
    header(record, "of-origin", text, sizeof text);
    if (sscanf(text, "%199[^/]/%d/%lld", topic, &partition, &offset) != 3)
        topic[0] = 0;
    office_origin *origin = &log->origins[record->offset];
    *origin = (office_origin){sim_topic_index(reading->sim, kc_str(topic)), partition, offset};
    office_copy *copy = copy_of(reading, record, origin);
    if (!copy)
        origin->topic = -1;
    else
        copy->tiers |= (uint8_t)(1u << reading->ledger->tier_of[reading->topic]);
}

/** Was the event rightly given up? */
static void check_death(const log_reading *reading, const kp_record *record,
                        const office_copy *copy)
{
    char failure_class[64], text[64];
    sim_world *sim = reading->sim;
    const office_event *event = reading->ledger->events[copy->number];
    int32_t tries = reading->ledger->policies[event->topic].tries;
    int32_t count = 0;
    header(record, "of-dlq-class", failure_class, sizeof failure_class);
    sscanf(header(record, "__dlq.errors.delivery.count", text, sizeof text), "%d", &count);
    sim_note(sim, "event %u is dead: %s after %d tries", event->number, failure_class, count);
    if (strcmp(failure_class, "permanent") == 0 && event->fate == FATE_PERMANENT)
        return;
    if (strcmp(failure_class, "retries_exhausted") != 0 ||
        (event->fate != FATE_FAILS && event->fate != FATE_ALWAYS_FAILS))
        sim_fail(sim, "event %u is dead for no reason: %s", event->number, failure_class);
    else if (count < tries || count > tries + (int32_t)copy->holds)
        sim_fail(sim, "event %u is dead after %d tries, the policy says %d", event->number, count,
                 tries);
}

static void on_dead_record(const log_reading *reading, const kp_record *record)
{
    char topic[200], text[64];
    office_origin origin = {.partition = -1, .offset = -1};
    long long offset = -1;
    header(record, "__dlq.errors.topic", topic, sizeof topic);
    sscanf(header(record, "__dlq.errors.partition", text, sizeof text), "%d", &origin.partition);
    sscanf(header(record, "__dlq.errors.offset", text, sizeof text), "%lld", &offset);
    origin.topic = sim_topic_index(reading->sim, kc_str(topic));
    origin.offset = offset;
    office_copy *copy = copy_of(reading, record, &origin);
    if (!copy)
        return;
    copy->is_dead = true;
    check_death(reading, record, copy);
}

static void on_logged(void *user, const kp_record *record)
{
    const log_reading *reading = user;
    office_log *log = &reading->ledger->logs[reading->topic][reading->partition];
    if (reading->sim->has_failed || !reserve(reading, log, record->offset))
        return;
    log->until = record->offset + 1;
    switch (reading->ledger->roles[reading->topic]) {
    case ROLE_EVENTS:
        on_event_record(reading, log, record);
        return;
    case ROLE_RETRY:
        on_retry_record(reading, log, record);
        return;
    case ROLE_DEAD:
        on_dead_record(reading, record);
        return;
    default:
        return;
    }
}

/** Events' topics come first, so that origins are known before what points to them. */
void office_look(sim_world *sim, office_ledger *ledger)
{
    for (int t = 0; t < sim->topic_count && !sim->has_failed; t++) {
        const km_topic *topic = km_topic_by_name(sim->cluster, kc_str(sim->topics[t].name));
        for (int32_t p = 0; p < sim->topics[t].partitions; p++) {
            log_reading reading = {sim, ledger, t, p};
            office_log *log = &ledger->logs[t][p];
            if (log->until < topic->partitions[p]->log.high_watermark)
                log->until =
                    sim_log_walk_from(sim, topic->partitions[p], log->until, on_logged, &reading);
        }
    }
}

office_copy *office_find(sim_world *sim, office_ledger *ledger, kc_bytes topic, int32_t partition,
                         int64_t offset)
{
    office_look(sim, ledger);
    int t = sim_topic_index(sim, topic);
    if (t < 0 || ledger->roles[t] != ROLE_EVENTS || partition < 0 ||
        partition >= sim->topics[t].partitions || offset < 0 ||
        offset >= ledger->logs[t][partition].until) {
        sim_fail(sim, "an event that is not there: " KC_FMT "-%d/%lld", KC_ARG(topic), partition,
                 (long long)offset);
        return NULL;
    }
    return &ledger->logs[t][partition].copies[offset];
}

/* ---- what is done ---- */

/** It is dealt with, or it stands in a later place than this tier (-1: its own topic). */
static bool may_leave(const office_copy *copy, int tier)
{
    return copy->is_handled || copy->is_discarded || copy->is_dead ||
           (copy->tiers >> (tier + 1)) != 0;
}

static int64_t done_until(office_ledger *ledger, int topic, int32_t partition)
{
    office_log *log = &ledger->logs[topic][partition];
    for (; log->done < log->until; log->done++) {
        const office_copy *copy = &log->copies[log->done];
        int tier = -1;
        if (ledger->roles[topic] == ROLE_RETRY) {
            const office_origin *origin = &log->origins[log->done];
            if (origin->topic < 0)
                break;
            copy = &ledger->logs[origin->topic][origin->partition].copies[origin->offset];
            tier = ledger->tier_of[topic];
        }
        if (!may_leave(copy, tier))
            break;
    }
    return log->done;
}

void office_begin(sim_world *sim, office_ledger *ledger, int topic, int32_t partition,
                  int64_t offset)
{
    office_log *log = &ledger->logs[topic][partition];
    if (offset > log->begun)
        sim_fail(sim, "%s-%d: %lld is handled, and nobody was given %lld", sim->topics[topic].name,
                 partition, (long long)offset, (long long)log->begun);
    else if (done_until(ledger, topic, partition) < offset)
        sim_fail(sim, "%s-%d: %lld is handled before %lld is done", sim->topics[topic].name,
                 partition, (long long)offset, (long long)log->done);
    if (offset == log->begun)
        log->begun++;
}

static bool is_read(const office_ledger *ledger, int topic)
{
    return ledger->roles[topic] == ROLE_EVENTS || ledger->roles[topic] == ROLE_RETRY;
}

void office_watch(sim_world *sim, office_ledger *ledger)
{
    const km_group *group = km_group_find(sim->cluster, KC_STR(OFFICE_GROUP));
    office_look(sim, ledger);
    for (int t = 0; group && t < sim->topic_count; t++) {
        for (int32_t p = 0; is_read(ledger, t) && p < sim->topics[t].partitions; p++) {
            office_log *log = &ledger->logs[t][p];
            const km_offset *offset = km_group_offset_get(group, kc_str(sim->topics[t].name), p);
            if (!offset || offset->offset == log->committed)
                continue;
            log->committed = offset->offset;
            if (done_until(ledger, t, p) < log->committed)
                sim_fail(sim,
                         "%s-%d is committed at %lld, and %lld is neither handled nor put away",
                         sim->topics[t].name, p, (long long)log->committed, (long long)log->done);
        }
    }
}

bool office_is_done(sim_world *sim, office_ledger *ledger)
{
    if (ledger->pending > 0)
        return false;
    office_watch(sim, ledger);
    for (int t = 0; t < sim->topic_count; t++)
        for (int32_t p = 0; is_read(ledger, t) && p < sim->topics[t].partitions; p++)
            if (ledger->logs[t][p].committed <
                km_partition_find(sim->cluster, kc_str(sim->topics[t].name), p)->log.high_watermark)
                return false;
    return true;
}

static void check_copy(sim_world *sim, const office_ledger *ledger, int topic, int32_t partition,
                       int64_t offset)
{
    const office_copy *copy = &ledger->logs[topic][partition].copies[offset];
    if (!copy->is_handled && !copy->is_discarded && !copy->is_dead)
        sim_fail(sim, "event %u at %s-%d/%lld is neither handled nor dead", copy->number,
                 sim->topics[topic].name, partition, (long long)offset);
}

void office_check(sim_world *sim, office_ledger *ledger)
{
    office_look(sim, ledger);
    for (int t = 0; t < sim->topic_count; t++)
        for (int32_t p = 0; ledger->roles[t] == ROLE_EVENTS && p < sim->topics[t].partitions; p++)
            for (int64_t i = 0; i < ledger->logs[t][p].until; i++)
                check_copy(sim, ledger, t, p, i);
    for (size_t i = 0; i < ledger->count; i++) {
        const office_event *event = ledger->events[i];
        if (event->state != EVENT_ACKED)
            continue;
        const office_log *log = &ledger->logs[event->topic][event->partition];
        if (event->offset >= log->until || log->copies[event->offset].number != event->number)
            sim_fail(sim, "event %u is acknowledged at %s-%d/%lld and is not there", event->number,
                     sim->topics[event->topic].name, event->partition, (long long)event->offset);
    }
}

void office_tell(sim_world *sim, const office_ledger *ledger)
{
    printf("    %zu events, %zu not told of\n", ledger->count, ledger->pending);
    for (int t = 0; t < sim->topic_count; t++)
        for (int32_t p = 0; p < sim->topics[t].partitions; p++)
            printf("    %s-%d: done up to %lld, committed at %lld, ends at %lld\n",
                   sim->topics[t].name, p, (long long)ledger->logs[t][p].done,
                   (long long)ledger->logs[t][p].committed, (long long)ledger->logs[t][p].until);
}

void office_free(office_ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        free(ledger->events[i]);
    free(ledger->events);
    for (int t = 0; t < SIM_TOPICS_MAX; t++) {
        for (int p = 0; p < SIM_PARTITIONS_MAX; p++) {
            free(ledger->logs[t][p].copies);
            free(ledger->logs[t][p].origins);
        }
    }
}
