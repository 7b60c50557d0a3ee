/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Which records a fetch gets: what is available again first, then new ones. */
#include "mock/share_partition.h"
#include "protocol/base/arena.h"

/** From this many deliveries on a record is delivered with fewer and fewer others, in case one of them is what makes
 * its readers fail (half of the limit, at least this). */
#define THROTTLE_AT_LEAST 2

int64_t km_share_fetch_offset(const km_share_partition *shared)
{
    for (km_share_flight *flight = km_share_flight_first(&shared->flights); flight;
         flight = km_share_flight_next(&shared->flights, flight))
        for (size_t i = 0; i < km_share_unit_count(flight); i++) {
            int64_t first = km_share_unit_first(flight, i);
            if (km_share_unit_at(flight, i)->state == KM_SHARE_AVAILABLE)
                return first > shared->start_offset ? first : shared->start_offset;
        }
    return shared->next_offset;
}

static int64_t in_flight(const km_share_partition *shared)
{
    return km_share_flight_first(&shared->flights) ? shared->next_offset - shared->start_offset : 0;
}

bool km_share_can_acquire(const km_share_partition *shared)
{
    return km_share_fetch_offset(shared) != shared->next_offset ||
           in_flight(shared) < km_share_lock_limit(shared->cluster, shared->group_id);
}

/* ---- one acquisition ---- */

typedef struct acquiring {
    km_share_partition *shared;
    const km_share_take *take;
    km_share_owner *owner;
    km_share_ranges *out;
    int64_t last;  /**< no further than this                        */
    int64_t count; /**< records so far                              */
    int64_t most;  /**< stop when so many are acquired              */
    int32_t delivery_limit;
    bool is_short; /**< of memory: no more                          */
} acquiring;

/** Room for one more range. */
static bool reserve(km_share_ranges *ranges)
{
    if (ranges->count < ranges->cap)
        return true;
    int32_t cap = ranges->cap ? ranges->cap * 2 : 8;
    void *larger = kb_arena_array(ranges->arena, (size_t)cap, sizeof *ranges->items);
    if (!larger)
        return false;
    if (ranges->count > 0)
        memcpy(larger, ranges->items, (size_t)ranges->count * sizeof *ranges->items);
    ranges->items = larger;
    ranges->cap = cap;
    return true;
}

/** reserve() was asked. `merge_from`: a range from this number on that ends right before it takes it in. */
static void put_range(km_share_ranges *ranges, int64_t first, int64_t last, int16_t delivery_count,
                      int32_t merge_from)
{
    kp_share_fetch_resp_acquired_record *before =
        ranges->count > merge_from ? &ranges->items[ranges->count - 1] : NULL;
    if (before && before->last_offset + 1 == first && before->delivery_count == delivery_count) {
        before->last_offset = last;
        return;
    }
    kp_share_fetch_resp_acquired_record *item = &ranges->items[ranges->count++];
    item->first_offset = first;
    item->last_offset = last;
    item->delivery_count = delivery_count;
}

/* ---- new records ---- */

static bool add_new(acquiring *work, int64_t first, int64_t last)
{
    km_share_flight *flight =
        reserve(work->out)
            ? km_share_flight_add(&work->shared->flights, first, last, KM_SHARE_AVAILABLE)
            : NULL;
    if (!flight) {
        work->is_short = true;
        return false;
    }
    km_share_lock(work->shared, &flight->whole, work->owner);
    put_range(work->out, first, last, 1, work->out->count);
    if (km_share_flight_first(&work->shared->flights) == flight)
        work->shared->start_offset = first;
    work->shared->next_offset = last + 1;
    work->count += last - first + 1;
    return true;
}

/** Exactly so many of them, the rest of the batch stays available. */
static void add_new_exactly(acquiring *work, int64_t first, int64_t last, int64_t most)
{
    km_share_partition *shared = work->shared;
    km_share_flight *flight =
        reserve(work->out) ? km_share_flight_add(&shared->flights, first, last, KM_SHARE_AVAILABLE)
                           : NULL;
    work->is_short = !flight || km_share_flight_split(&shared->flights, flight);
    if (work->is_short) {
        if (flight)
            km_share_flight_drop(&shared->flights, flight);
        return;
    }
    for (int64_t i = 0; i < most; i++)
        km_share_lock(shared, &flight->each[i], work->owner);
    put_range(work->out, first, first + most - 1, 1, work->out->count);
    if (km_share_flight_first(&shared->flights) == flight)
        shared->start_offset = first;
    shared->next_offset = last + 1;
    work->count += most;
}

/** The end of the batch that holds `offset`. */
static int64_t batch_end(const km_share_take *take, int64_t offset)
{
    for (size_t i = 0; i < take->entry_count; i++)
        if (offset < take->entries[i].next_offset)
            return take->entries[i].next_offset - 1;
    return offset;
}

static void acquire_new(acquiring *work, int64_t first, int64_t last)
{
    const km_share_take *take = work->take;
    km_share_partition *shared = work->shared;
    int64_t most = work->most - work->count;
    if (!km_share_flight_first(&shared->flights) && shared->next_offset > first)
        first = shared->next_offset;
    if (most < last - first + 1)
        last = batch_end(take, first + most - 1);
    if (first > last)
        return;
    if (take->is_record_limit) {
        if (last - first + 1 > most)
            add_new_exactly(work, first, last, most);
        else
            add_new(work, first, last);
        return;
    }
    int64_t batch_size = take->batch_size > 0 ? take->batch_size : 1;
    bool is_cut = last - first + 1 > batch_size;
    for (size_t i = 0; is_cut && i < take->entry_count; i++) {
        int64_t base = take->entries[i].base_offset;
        if (base > last)
            break;
        if (base - first < batch_size)
            continue;
        if (!add_new(work, first, base - 1))
            return;
        first = base;
    }
    add_new(work, first, last);
}

/* ---- records that are available again ---- */

static int32_t throttle_at(const acquiring *work)
{
    int32_t half = (work->delivery_limit + 1) / 2;
    return half > THROTTLE_AT_LEAST ? half : THROTTLE_AT_LEAST;
}

/** Was one of the available records of this flight delivered often? */
static bool is_throttled(const acquiring *work, km_share_flight *flight)
{
    int16_t most = 0;
    for (size_t i = 0; i < km_share_unit_count(flight); i++) {
        const km_share_unit *unit = km_share_unit_at(flight, i);
        if (unit->state != KM_SHARE_AVAILABLE || unit->delivery_count <= most)
            continue;
        int64_t offset = km_share_unit_first(flight, i);
        if (!flight->each || (offset >= work->take->entries[0].base_offset && offset <= work->last))
            most = unit->delivery_count;
    }
    return most >= throttle_at(work);
}

/** One record after the other, the often delivered ones in small numbers, the last delivery of a record alone. */
static int64_t acquire_each(acquiring *work, km_share_flight *flight)
{
    int64_t most = work->take->is_record_limit ? work->most - work->count : INT64_MAX;
    int64_t few = -1; /* of those that are throttled; -1: none was seen */
    int64_t count = 0;
    int32_t merge_from = work->out->count;
    bool has_last = work->delivery_limit > THROTTLE_AT_LEAST;
    for (int64_t offset = flight->first; offset <= flight->last && offset <= work->last; offset++) {
        km_share_unit *unit = &flight->each[offset - flight->first];
        if (offset < work->take->entries[0].base_offset || offset < work->shared->start_offset ||
            unit->state != KM_SHARE_AVAILABLE)
            continue;
        bool is_last = has_last && unit->delivery_count == work->delivery_limit - 1;
        if (is_last && count > 0)
            break;
        int32_t above = unit->delivery_count - throttle_at(work);
        if (above >= 0 && few < 0) {
            few = (flight->last - flight->first + 1) >> (above < 62 ? above + 1 : 63);
            few = few > 1 ? few : 1;
        }
        if (!reserve(work->out)) {
            work->is_short = true;
            break;
        }
        km_share_lock(work->shared, unit, work->owner);
        put_range(work->out, offset, offset, unit->delivery_count, merge_from);
        count++;
        if (is_last || count == most || count == few)
            break;
    }
    work->count += count;
    return count;
}

/** False: nothing more is to be acquired. */
static bool acquire_again(acquiring *work, km_share_flight *flight)
{
    bool is_full = flight->first >= work->take->entries[0].base_offset &&
                   flight->last <= work->last && flight->first >= work->shared->start_offset;
    bool is_over =
        work->take->is_record_limit && flight->last - flight->first + 1 > work->most - work->count;
    bool is_slow = is_throttled(work, flight);
    if (is_slow && work->count > 0)
        return false;
    if (!flight->each && flight->whole.state != KM_SHARE_AVAILABLE)
        return true;
    if (!is_full || flight->each || is_over || is_slow) {
        work->is_short = km_share_flight_split(&work->shared->flights, flight) != KC_OK;
        int64_t count = work->is_short ? 0 : acquire_each(work, flight);
        return !work->is_short && !(is_slow && count > 0);
    }
    work->is_short = !reserve(work->out);
    if (work->is_short)
        return false;
    km_share_lock(work->shared, &flight->whole, work->owner);
    put_range(work->out, flight->first, flight->last, flight->whole.delivery_count,
              work->out->count);
    work->count += flight->last - flight->first + 1;
    return true;
}

/** Limits of this acquisition; false: nothing can be acquired. */
static bool find_limits(acquiring *work)
{
    km_share_partition *shared = work->shared;
    const km_share_take *take = work->take;
    int64_t room = km_share_lock_limit(shared->cluster, shared->group_id) - in_flight(shared);
    work->last = take->entries[take->entry_count - 1].next_offset - 1;
    work->most = take->max_records < room ? take->max_records : room;
    work->delivery_limit = km_share_delivery_limit(shared->cluster, shared->group_id);
    if (work->most > 0 || take->max_records <= 0)
        return take->max_records > 0;
    /* No room for new records, but what is available in between takes none. */
    if (take->fetch_offset >= shared->next_offset)
        return false;
    int64_t between = shared->next_offset - take->fetch_offset;
    work->most = take->max_records < between ? take->max_records : between;
    if (work->last >= shared->next_offset)
        work->last = shared->next_offset - 1;
    return true;
}

static void acquire(acquiring *work)
{
    km_share_partition *shared = work->shared;
    int64_t base = work->take->entries[0].base_offset;
    int64_t fresh = base; /* where new records would begin */
    km_share_flight *flight = km_share_flight_floor(&shared->flights, base);
    if (!flight && base < shared->start_offset)
        fresh = shared->start_offset;
    if (!flight || flight->last < base)
        flight = flight ? km_share_flight_next(&shared->flights, flight)
                        : km_share_flight_first(&shared->flights);
    bool goes_on = true;
    for (; flight && flight->first <= work->last && goes_on;
         flight = km_share_flight_next(&shared->flights, flight)) {
        fresh = flight->last + 1;
        goes_on = work->count < work->most && acquire_again(work, flight);
    }
    if (goes_on && work->count < work->most && fresh <= work->last)
        acquire_new(work, fresh, work->last);
}

int32_t km_share_acquire(km_share_partition *shared, const km_share_take *take,
                         km_share_ranges *out)
{
    acquiring work = {.shared = shared, .take = take, .out = out};
    if (take->entry_count == 0 || !find_limits(&work) || work.last < shared->start_offset)
        return 0;
    work.owner = km_share_owner_open(&shared->flights, take->member_id);
    if (!work.owner)
        return 0;
    acquire(&work);
    km_share_owner_trim(&shared->flights, work.owner);
    km_share_locks_changed(shared);
    return (int32_t)(work.count > INT32_MAX ? INT32_MAX : work.count);
}
