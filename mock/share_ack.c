/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Acknowledgements: first all of them are looked at, then all are done, so that a bad one leaves nothing behind. */
#include "mock/configs.h"
#include "mock/share_partition.h"
#include "protocol/base/arena.h"

#include <kafkac/unstable/errors.h>

typedef struct acking {
    km_share_partition *shared;
    const km_share_ack *ack;
    const km_share_owner *owner;
    int64_t done_until; /**< an earlier range of the same request ends here and does not renew */
    bool is_renewable;
    const char *message;
} acking;

static int8_t type_at(const km_share_ack *ack, int64_t offset)
{
    return ack->types[ack->type_count > 1 ? offset - ack->first : 0];
}

static int16_t refuse(acking *work, int16_t error, const char *message)
{
    work->message = message;
    return error;
}

/** The flights an ack is about begin with this; NULL: see `error_out`. */
static km_share_flight *flights_of(acking *work, int16_t *error_out)
{
    const km_share_ack *ack = work->ack;
    km_share_partition *shared = work->shared;
    km_share_flight *first = km_share_flight_floor(&shared->flights, ack->first);
    if (!first && ack->first < shared->start_offset && ack->last >= shared->start_offset)
        first = km_share_flight_floor(&shared->flights, shared->start_offset);
    if (!first) {
        *error_out = refuse(work, KC_E_INVALID_RECORD_STATE,
                            "Batch record not found. The request batch offsets are not found in "
                            "the cache.");
        return NULL;
    }
    const km_share_flight *last = km_share_flight_floor(&shared->flights, ack->last);
    if (last->last >= ack->last)
        return first;
    *error_out = refuse(work, KC_E_INVALID_REQUEST,
                        last->last < ack->first
                            ? "Batch record not found. The first offset in request is past "
                              "acquired records."
                            : "Batch record not found. The last offset in request is past "
                              "acquired records.");
    return NULL;
}

/** Can all records of the flight be done in one? */
static bool is_whole(const acking *work, const km_share_flight *flight)
{
    bool is_begun =
        flight->first < work->shared->start_offset && flight->last >= work->shared->start_offset;
    return !flight->each && !is_begun && work->ack->type_count == 1 &&
           flight->first >= work->ack->first && flight->last <= work->ack->last;
}

static int16_t check_renewal(acking *work, int64_t offset)
{
    if (type_at(work->ack, offset) != KM_SHARE_ACK_RENEW || work->is_renewable)
        return 0;
    return refuse(work, KC_E_INVALID_RECORD_STATE,
                  "Renewing acquisition locks is not enabled for the group.");
}

static int16_t check_each(acking *work, const km_share_flight *flight)
{
    for (int64_t offset = flight->first; offset <= flight->last && offset <= work->ack->last;
         offset++) {
        const km_share_unit *unit = &flight->each[offset - flight->first];
        if (offset < work->ack->first || offset < work->shared->start_offset)
            continue;
        if (unit->state != KM_SHARE_ACQUIRED || offset <= work->done_until)
            return refuse(work, KC_E_INVALID_RECORD_STATE,
                          "The offset cannot be acknowledged. The offset is not acquired.");
        if (unit->owner != work->owner)
            return refuse(work, KC_E_INVALID_RECORD_STATE, "Member is not the owner of offset");
        int16_t error = check_renewal(work, offset);
        if (error)
            return error;
    }
    return 0;
}

static int16_t check_flight(acking *work, km_share_flight *flight)
{
    if (flight->last < work->shared->start_offset)
        return 0;
    if (!flight->each && !flight->whole.owner)
        return refuse(work, KC_E_INVALID_RECORD_STATE,
                      "The batch cannot be acknowledged. The batch is not in the acquired state.");
    if (!flight->each && flight->whole.owner != work->owner)
        return refuse(work, KC_E_INVALID_RECORD_STATE, "Member is not the owner of batch record");
    if (is_whole(work, flight) && flight->first > work->done_until)
        return check_renewal(work, work->ack->first);
    if (km_share_flight_split(&work->shared->flights, flight))
        return refuse(work, KC_E_UNKNOWN_SERVER_ERROR, NULL);
    return check_each(work, flight);
}

static int16_t check_ack(acking *work)
{
    int16_t error = 0;
    if (work->ack->last < work->shared->start_offset)
        return 0;
    km_share_flight *flight = flights_of(work, &error);
    for (; flight && flight->first <= work->ack->last && !error;
         flight = km_share_flight_next(&work->shared->flights, flight))
        error = check_flight(work, flight);
    if (type_at(work->ack, work->ack->last) != KM_SHARE_ACK_RENEW)
        work->done_until = work->ack->last;
    return error;
}

/** True: the state changed. */
static bool apply_unit(km_share_partition *shared, km_share_unit *unit, int8_t type)
{
    switch (type) {
    case KM_SHARE_ACK_RENEW:
        unit->locked_until_us = shared->cluster->now_us +
                                (int64_t)km_share_lock_ms(shared->cluster, shared->group_id) * 1000;
        return false;
    case KM_SHARE_ACK_RELEASE:
        km_share_give_back(shared, unit);
        return true;
    case KM_SHARE_ACK_ACCEPT:
        km_share_finish(shared, unit, KM_SHARE_ACKNOWLEDGED);
        return true;
    default: /* a gap, or rejected */
        km_share_finish(shared, unit, KM_SHARE_ARCHIVED);
        return true;
    }
}

static bool apply_ack(km_share_partition *shared, const km_share_ack *ack)
{
    bool is_changed = false;
    km_share_flight *flight = km_share_flight_floor(&shared->flights, ack->first);
    if (!flight)
        flight = km_share_flight_first(&shared->flights);
    for (; flight && flight->first <= ack->last;
         flight = km_share_flight_next(&shared->flights, flight))
        for (size_t i = 0; i < km_share_unit_count(flight); i++) {
            int64_t first = km_share_unit_first(flight, i);
            int64_t last = km_share_unit_last(flight, i);
            if (first > ack->last || last < ack->first || last < shared->start_offset)
                continue;
            int8_t type = type_at(ack, flight->each ? first : ack->first);
            is_changed |= apply_unit(shared, km_share_unit_at(flight, i), type);
        }
    return is_changed;
}

int16_t km_share_acknowledge(km_share_partition *shared, kc_bytes member_id,
                             const km_share_ack *acks, size_t count, const char **message_out)
{
    kc_bytes renew =
        km_group_config(shared->cluster, shared->group_id, "share.renew.acknowledge.enable");
    acking work = {
        .shared = shared,
        .owner = km_share_owner_find(&shared->flights, member_id),
        .done_until = -1,
        .is_renewable = !kc_bytes_equal(renew, KC_STR("false")),
    };
    int16_t error = 0;
    for (size_t i = 0; i < count && !error; i++) {
        work.ack = &acks[i];
        error = check_ack(&work);
    }
    *message_out = work.message;
    if (error)
        return error;
    bool is_changed = false;
    for (size_t i = 0; i < count; i++)
        if (acks[i].last >= shared->start_offset)
            is_changed |= apply_ack(shared, &acks[i]);
    if (is_changed)
        km_share_written(shared);
    else
        km_share_locks_changed(shared);
    return 0;
}

/* ---- aborted transactions, for groups that read committed ---- */

/** Take [first, last] out of what was acquired; false: no memory, and it is left as it was. */
static bool cut_out(km_share_ranges *ranges, int64_t first, int64_t last)
{
    km_share_ranges rest = {.arena = ranges->arena};
    rest.items = kb_arena_array(ranges->arena, (size_t)ranges->count + 1, sizeof *rest.items);
    if (!rest.items)
        return false;
    rest.cap = ranges->count + 1;
    for (int32_t i = 0; i < ranges->count; i++) {
        kp_share_fetch_resp_acquired_record range = ranges->items[i];
        if (range.last_offset < first || range.first_offset > last) {
            rest.items[rest.count++] = range;
            continue;
        }
        if (range.first_offset < first) {
            rest.items[rest.count] = range;
            rest.items[rest.count++].last_offset = first - 1;
        }
        if (range.last_offset > last) {
            rest.items[rest.count] = range;
            rest.items[rest.count++].first_offset = last + 1;
        }
    }
    *ranges = rest;
    return true;
}

void km_share_acquired_aborted(km_share_partition *shared, int64_t first, int64_t last,
                               km_share_ranges *ranges)
{
    km_share_flight *flight = km_share_flight_floor(&shared->flights, first);
    if (!cut_out(ranges, first, last))
        return;
    for (; flight && flight->first <= last;
         flight = km_share_flight_next(&shared->flights, flight)) {
        bool is_full = flight->first >= first && flight->last <= last;
        if (flight->last < first || (!is_full && km_share_flight_split(&shared->flights, flight)))
            continue;
        for (size_t i = 0; i < km_share_unit_count(flight); i++) {
            km_share_unit *unit = km_share_unit_at(flight, i);
            int64_t offset = km_share_unit_first(flight, i);
            if (unit->state == KM_SHARE_ACQUIRED &&
                (!flight->each || (offset >= first && offset <= last)))
                km_share_finish(shared, unit, KM_SHARE_ARCHIVED);
        }
    }
    km_share_locks_changed(shared);
}
