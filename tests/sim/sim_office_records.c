/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Reading what the platform wrote. Headers are read here by hand: what writes them is under test. */
#include "tests/sim/sim_office.h"

#include <stdio.h>
#include <stdlib.h>

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

static int32_t header_number(const kp_record *record, const char *name)
{
    char text[64];
    int32_t number = 0;
    sscanf(header(record, name, text, sizeof text), "%d", &number);
    return number;
}

/** By "of-origin"; NULL after a failure. */
static office_copy *read_retry(const log_reading *reading, office_log *log, const kp_record *record)
{
    char text[200], topic[200];
    int32_t partition = -1;
    long long offset = -1;
    header(record, "of-origin", text, sizeof text);
    if (sscanf(text, "%199[^/]/%d/%lld", topic, &partition, &offset) != 3)
        topic[0] = 0;
    office_origin *origin = &log->origins[record->offset];
    *origin = (office_origin){sim_topic_index(reading->sim, kc_str(topic)), partition, offset,
                              header_number(record, "of-redrive")};
    office_copy *copy = copy_of(reading, record, origin);
    if (!copy)
        origin->topic = -1;
    return copy;
}

static void on_retry_record(const log_reading *reading, office_log *log, const kp_record *record)
{
    office_copy *copy = read_retry(reading, log, record);
    if (copy)
        copy->tiers |= (uint8_t)(1u << reading->ledger->tier_of[reading->topic]);
}

/** May the letter be touched by other than an operator, and is there a letter that died so often? */
static bool may_act(const log_reading *reading, const office_copy *copy, const char *id,
                    int32_t deaths)
{
    return !office_is_strict(reading->ledger, copy) && copy->deaths >= deaths &&
           strcmp(copy->id, id) == 0;
}

static void on_redrive_record(const log_reading *reading, office_log *log, const kp_record *record)
{
    char id[64];
    office_copy *copy = read_retry(reading, log, record);
    if (!copy)
        return;
    const office_event *event = reading->ledger->events[copy->number];
    int32_t number = log->origins[record->offset].redrive;
    sim_note(reading->sim, "event %u is released, redrive %d", copy->number, number);
    if (number < 1 || number > reading->ledger->policies[event->topic].policy.max_redrives ||
        event->fate == FATE_PERMANENT ||
        !may_act(reading, copy, header(record, "of-redrive-of", id, sizeof id), number))
        sim_fail(reading->sim, "event %u is redriven as number %d, and died %d times", copy->number,
                 number, copy->deaths);
    if (number > copy->releases)
        copy->releases = number;
}

/** Was the event rightly given up? */
static void check_death(const log_reading *reading, const kp_record *record,
                        const office_copy *copy, int32_t redrives)
{
    char failure_class[64];
    sim_world *sim = reading->sim;
    const office_event *event = reading->ledger->events[copy->number];
    int32_t tries = reading->ledger->policies[event->topic].tries + redrives;
    int32_t count = header_number(record, "__dlq.errors.delivery.count");
    header(record, "of-dlq-class", failure_class, sizeof failure_class);
    sim_note(sim, "event %u is dead at %d/%lld: %s after %d tries, %d redrives", event->number,
             reading->partition, (long long)record->offset, failure_class, count, redrives);
    if (strcmp(failure_class, "permanent") == 0 && event->fate == FATE_PERMANENT)
        return;
    if (strcmp(failure_class, "retries_exhausted") != 0 ||
        (event->fate != FATE_FAILS && event->fate != FATE_ALWAYS_FAILS))
        sim_fail(sim, "event %u is dead for no reason: %s", event->number, failure_class);
    else if (count < tries || count > tries + (int32_t)copy->holds)
        sim_fail(sim, "event %u is dead after %d tries, the policy says %d", event->number, count,
                 tries);
}

/** By the headers of KIP-1191; NULL after a failure. */
static office_copy *read_letter(const log_reading *reading, office_log *log,
                                const kp_record *record)
{
    char topic[200], text[64];
    office_origin *origin = &log->origins[record->offset];
    long long offset = -1;
    *origin = (office_origin){.partition = -1, .redrive = header_number(record, "of-dlq-redrives")};
    header(record, "__dlq.errors.topic", topic, sizeof topic);
    sscanf(header(record, "__dlq.errors.partition", text, sizeof text), "%d", &origin->partition);
    sscanf(header(record, "__dlq.errors.offset", text, sizeof text), "%lld", &offset);
    origin->topic = sim_topic_index(reading->sim, kc_str(topic));
    origin->offset = offset;
    office_copy *copy = copy_of(reading, record, origin);
    if (!copy)
        origin->topic = -1;
    return copy;
}

static void on_dead_record(const log_reading *reading, office_log *log, const kp_record *record)
{
    char id[64];
    office_copy *copy = read_letter(reading, log, record);
    if (!copy)
        return;
    int32_t redrives = log->origins[record->offset].redrive;
    header(record, "of-dlq-id", id, sizeof id);
    if (strlen(id) != 16 || (copy->deaths > 0 && strcmp(copy->id, id) != 0))
        sim_fail(reading->sim, "event %u is dead as %s and as %s", copy->number, copy->id, id);
    snprintf(copy->id, sizeof copy->id, "%.16s", id);
    if (redrives + 1 > copy->deaths)
        copy->deaths = redrives + 1;
    check_death(reading, record, copy, redrives);
}

static void on_quarantine_record(const log_reading *reading, office_log *log,
                                 const kp_record *record)
{
    char id[64];
    office_copy *copy = read_letter(reading, log, record);
    if (!copy)
        return;
    const office_event *event = reading->ledger->events[copy->number];
    int32_t redrives = log->origins[record->offset].redrive;
    sim_note(reading->sim, "event %u is in quarantine after %d redrives", copy->number, redrives);
    copy->is_quarantined = true;
    if (!may_act(reading, copy, header(record, "of-dlq-id", id, sizeof id), redrives + 1) ||
        (event->fate != FATE_PERMANENT &&
         redrives < reading->ledger->policies[event->topic].policy.max_redrives))
        sim_fail(reading->sim, "event %u is in quarantine for no reason, after %d redrives",
                 copy->number, redrives);
}

/** What a state says has come about before. */
static bool is_true(const log_reading *reading, office_copy *copy, const char *state,
                    int32_t redrive)
{
    if (strcmp(state, "dead") == 0) {
        copy->is_left = true;
        return copy->deaths > redrive && office_is_strict(reading->ledger, copy);
    }
    if (strcmp(state, "scheduled") == 0)
        return copy->deaths > redrive;
    if (strcmp(state, "redriven") == 0)
        return copy->releases > redrive;
    if (strcmp(state, "resolved") == 0) {
        copy->resolved = redrive > copy->resolved ? redrive : copy->resolved;
        return copy->releases >= redrive && redrive > 0 && copy->is_answered_ok;
    }
    return strcmp(state, "quarantined") == 0 && copy->is_quarantined;
}

static void on_state_record(const log_reading *reading, const kp_record *record)
{
    char text[512], id[64], state[32];
    int32_t redrive = -1;
    snprintf(id, sizeof id, KC_FMT, KC_ARG(record->key));
    snprintf(text, sizeof text, KC_FMT, KC_ARG(record->value));
    office_copy *copy = office_copy_by_id(reading->sim, reading->ledger, id);
    bool is_read = sscanf(text, "{\"state\":\"%31[a-z]\",\"redrive\":%d", state, &redrive) == 2;
    sim_note(reading->sim, "state of %s: %s", id, text);
    if (!copy || !is_read || redrive < 0 || !is_true(reading, copy, state, redrive))
        sim_fail(reading->sim, "event %d has a state that is not true: %s",
                 copy ? (int)copy->number : -1, text);
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
        on_dead_record(reading, log, record);
        return;
    case ROLE_REDRIVE:
        on_redrive_record(reading, log, record);
        return;
    case ROLE_QUARANTINE:
        on_quarantine_record(reading, log, record);
        return;
    default:
        on_state_record(reading, record);
    }
}

/** Topics stand in the order in which they are written: origins are known before what points to them. */
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
