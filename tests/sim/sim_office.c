/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What became of each event of the workloads "officeflow" and "redrive". */
#include "tests/sim/sim_office.h"

#include "mock/group_offsets.h"
#include "officeflow/catalogue.h"

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

/* ---- looking up ---- */

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

office_copy *office_copy_at(office_ledger *ledger, const office_origin *origin)
{
    return &ledger->logs[origin->topic][origin->partition].copies[origin->offset];
}

office_copy *office_copy_by_id(sim_world *sim, office_ledger *ledger, const char *id)
{
    for (int t = 0; t < sim->topic_count; t++)
        for (int32_t p = 0; ledger->roles[t] == ROLE_EVENTS && p < sim->topics[t].partitions; p++)
            for (int64_t i = 0; i < ledger->logs[t][p].until; i++)
                if (strcmp(ledger->logs[t][p].copies[i].id, id) == 0)
                    return &ledger->logs[t][p].copies[i];
    return NULL;
}

bool office_is_strict(const office_ledger *ledger, const office_copy *copy)
{
    int type = ledger->events[copy->number]->topic;
    return ledger->policies[type].policy.redrive_by_operator_only;
}

/** It is dealt with, or stands in a later place than this tier (-1: its own topic). */
static bool may_leave(const office_copy *copy, int tier)
{
    return copy->is_handled || copy->is_discarded || copy->deaths > 0 ||
           (copy->tiers >> (tier + 1)) != 0;
}

static bool is_record_done(const office_ledger *ledger, int topic, const office_copy *copy,
                           const office_origin *origin)
{
    switch (ledger->roles[topic]) {
    case ROLE_EVENTS:
        return may_leave(copy, -1);
    case ROLE_RETRY:
        return may_leave(copy, ledger->tier_of[topic]);
    case ROLE_REDRIVE:
        return copy->is_handled || copy->is_discarded || copy->deaths > origin->redrive;
    default: /* a dead letter; one release may have died and, delivered twice, been handled */
        return copy->is_quarantined || copy->is_left || copy->releases > origin->redrive ||
               (copy->resolved > 0 && copy->resolved >= origin->redrive);
    }
}

static int64_t done_until(office_ledger *ledger, int topic, int32_t partition)
{
    office_log *log = &ledger->logs[topic][partition];
    for (; log->done < log->until; log->done++) {
        const office_origin own = {topic, partition, log->done, 0};
        const office_origin *origin =
            ledger->roles[topic] == ROLE_EVENTS ? &own : &log->origins[log->done];
        if (origin->topic < 0 ||
            !is_record_done(ledger, topic, office_copy_at(ledger, origin), origin))
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

/** The group that reads a topic to its end; NULL: none does. */
static const char *reader_of(const office_ledger *ledger, int topic)
{
    switch (ledger->roles[topic]) {
    case ROLE_EVENTS:
    case ROLE_RETRY:
    case ROLE_REDRIVE:
        return OFFICE_GROUP;
    case ROLE_DEAD:
        return ledger->is_redriven ? OF_DLQ_GROUP : NULL;
    default:
        return NULL;
    }
}

void office_watch(sim_world *sim, office_ledger *ledger)
{
    office_look(sim, ledger);
    for (int t = 0; t < sim->topic_count; t++) {
        const char *reader = reader_of(ledger, t);
        const km_group *group = reader ? km_group_find(sim->cluster, kc_str(reader)) : NULL;
        for (int32_t p = 0; group && p < sim->topics[t].partitions; p++) {
            office_log *log = &ledger->logs[t][p];
            const km_offset *offset = km_group_offset_get(group, kc_str(sim->topics[t].name), p);
            if (!offset || offset->offset == log->committed)
                continue;
            log->committed = offset->offset;
            if (log->reached < log->committed)
                log->reached = log->committed;
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
        for (int32_t p = 0; reader_of(ledger, t) && p < sim->topics[t].partitions; p++)
            if (ledger->logs[t][p].reached <
                km_partition_find(sim->cluster, kc_str(sim->topics[t].name), p)->log.high_watermark)
                return false;
    return true;
}

static void check_copy(sim_world *sim, const office_ledger *ledger, int topic, int32_t partition,
                       int64_t offset)
{
    const office_copy *copy = &ledger->logs[topic][partition].copies[offset];
    bool is_settled = copy->is_handled || copy->is_discarded || copy->is_quarantined;
    if (!is_settled && copy->deaths == 0)
        sim_fail(sim, "event %u at %s-%d/%lld is neither handled nor dead", copy->number,
                 sim->topics[topic].name, partition, (long long)offset);
    else if (!is_settled && ledger->is_redriven && !office_is_strict(ledger, copy))
        sim_fail(sim, "event %u is dead, and neither redriven with success nor in quarantine",
                 copy->number);
    if (copy->deaths > copy->releases + 1)
        sim_fail(sim, "event %u died %d times and was redriven %d times", copy->number,
                 copy->deaths, copy->releases);
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
