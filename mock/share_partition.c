/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Delivery state of a share partition: the leader's memory, what was written of it, locks and their ends. */
#include "mock/share_partition.h"

#include "mock/configs.h"

#include <assert.h>

/* ---- limits ---- */

static int32_t limit_of(const km_cluster *cluster, kc_bytes group_id, const char *name,
                        int32_t fallback)
{
    int64_t value = km_group_config_i64(cluster, group_id, name, fallback);
    return value > 0 && value <= INT32_MAX ? (int32_t)value : fallback;
}

int32_t km_share_lock_ms(const km_cluster *cluster, kc_bytes group_id)
{
    return limit_of(cluster, group_id, "share.record.lock.duration.ms", 30000);
}

int32_t km_share_delivery_limit(const km_cluster *cluster, kc_bytes group_id)
{
    return limit_of(cluster, group_id, "share.delivery.count.limit", 5);
}

int32_t km_share_lock_limit(const km_cluster *cluster, kc_bytes group_id)
{
    return limit_of(cluster, group_id, "share.partition.max.record.locks", 2000);
}

/* ---- who waits ---- */

static void on_wake(kn_timer *timer)
{
    km_share_partition *shared = timer->user;
    kb_list woken;
    kb_list_init(&woken);
    kb_list_splice_back(&woken, &shared->waiters);
    kb_list *node;
    while ((node = kb_list_pop_front(&woken))) {
        km_waiter *waiter = KB_CONTAINER(node, km_waiter, node);
        waiter->fn(waiter);
    }
}

/** In the next turn: whoever changed something is still at work on it. */
static void wake(km_share_partition *shared)
{
    if (!kb_list_is_empty(&shared->waiters))
        km_timer_set(shared->cluster, &shared->wake, shared->cluster->now_us);
}

/* ---- units ---- */

/** As written: a new leader will find it so. */
static void store(km_share_unit *unit)
{
    unit->is_stored = true;
    unit->stored_state = unit->state;
    unit->stored_count = unit->delivery_count;
}

void km_share_finish(km_share_partition *shared, km_share_unit *unit, km_share_state state)
{
    km_share_unit_own(&shared->flights, unit, NULL);
    unit->state = (uint8_t)state;
    store(unit);
}

void km_share_give_back(km_share_partition *shared, km_share_unit *unit)
{
    bool is_last =
        unit->delivery_count >= km_share_delivery_limit(shared->cluster, shared->group_id);
    km_share_finish(shared, unit, is_last ? KM_SHARE_ARCHIVED : KM_SHARE_AVAILABLE);
}

void km_share_lock(km_share_partition *shared, km_share_unit *unit, km_share_owner *owner)
{
    km_cluster *cluster = shared->cluster;
    unit->state = KM_SHARE_ACQUIRED;
    unit->delivery_count++;
    unit->locked_until_us =
        cluster->now_us + (int64_t)km_share_lock_ms(cluster, shared->group_id) * 1000;
    km_share_unit_own(&shared->flights, unit, owner);
}

/* ---- the window ---- */

/** Records of the window that are done. */
static int32_t count_done(const km_share_partition *shared)
{
    int64_t done = 0;
    for (km_share_flight *flight = km_share_flight_first(&shared->flights); flight;
         flight = km_share_flight_next(&shared->flights, flight))
        for (size_t i = 0; i < km_share_unit_count(flight); i++) {
            int64_t first = km_share_unit_first(flight, i);
            int64_t last = km_share_unit_last(flight, i);
            if (km_share_is_terminal(km_share_unit_at(flight, i)) && last >= shared->start_offset)
                done += last - (first > shared->start_offset ? first : shared->start_offset) + 1;
        }
    return (int32_t)(done > INT32_MAX ? INT32_MAX : done);
}

/** The window begins at the first record that is not done. */
static void advance(km_share_partition *shared)
{
    km_share_flight *flight;
    while ((flight = km_share_flight_first(&shared->flights))) {
        size_t i = 0;
        while (i < km_share_unit_count(flight) && km_share_is_terminal(km_share_unit_at(flight, i)))
            i++;
        bool is_done = i == km_share_unit_count(flight);
        int64_t first = is_done ? flight->last + 1 : km_share_unit_first(flight, i);
        if (first > shared->start_offset)
            shared->start_offset = first;
        if (!is_done)
            return;
        km_share_flight_drop(&shared->flights, flight);
    }
    if (shared->next_offset < shared->start_offset)
        shared->next_offset = shared->start_offset;
}

void km_share_written(km_share_partition *shared)
{
    /* Written first, moved then: so what is written lags behind by one step, as a description of the offsets shows. */
    shared->stored_start = shared->start_offset;
    shared->stored_epoch = shared->leader_epoch;
    shared->stored_done = count_done(shared);
    advance(shared);
    km_share_locks_changed(shared);
    wake(shared);
}

/* ---- locks ---- */

void km_share_locks_changed(km_share_partition *shared)
{
    int64_t due_us = INT64_MAX;
    for (km_share_flight *flight = km_share_flight_first(&shared->flights); flight;
         flight = km_share_flight_next(&shared->flights, flight))
        for (size_t i = 0; i < km_share_unit_count(flight); i++) {
            const km_share_unit *unit = km_share_unit_at(flight, i);
            if (unit->state == KM_SHARE_ACQUIRED && unit->locked_until_us < due_us)
                due_us = unit->locked_until_us;
        }
    if (due_us == INT64_MAX)
        km_timer_stop(shared->cluster, &shared->locks);
    else
        km_timer_set(shared->cluster, &shared->locks, due_us);
}

/** Give back what `owner` has, or with NULL what is locked for too long. */
static void give_back_all(km_share_partition *shared, const km_share_owner *owner)
{
    int64_t now_us = shared->cluster->now_us;
    bool is_changed = false;
    for (km_share_flight *flight = km_share_flight_first(&shared->flights); flight;
         flight = km_share_flight_next(&shared->flights, flight))
        for (size_t i = 0; i < km_share_unit_count(flight); i++) {
            km_share_unit *unit = km_share_unit_at(flight, i);
            if (unit->state != KM_SHARE_ACQUIRED ||
                (owner ? unit->owner != owner : unit->locked_until_us > now_us))
                continue;
            km_share_give_back(shared, unit);
            is_changed = true;
        }
    if (is_changed)
        km_share_written(shared);
    else
        km_share_locks_changed(shared);
}

void km_share_release(km_share_partition *shared, kc_bytes member_id)
{
    km_share_owner *owner = km_share_owner_find(&shared->flights, member_id);
    if (shared->is_loaded && owner)
        give_back_all(shared, owner);
}

static void on_lock_timeout(kn_timer *timer)
{
    km_share_partition *shared = timer->user;
    const km_topic *topic = km_topic_by_id(shared->cluster, shared->topic_id);
    bool is_there = topic && shared->index < topic->partition_count;
    if (is_there && km_share_is_loaded(shared, topic->partitions[shared->index]))
        give_back_all(shared, NULL);
    else
        km_share_unload(shared);
}

/* ---- the leader's memory ---- */

km_share_partition *km_share_partition_new(km_cluster *cluster, kc_bytes group_id, kc_uuid topic_id,
                                           int32_t index)
{
    km_share_partition *shared = kb_mem_zalloc(cluster->mem, sizeof *shared);
    if (!shared)
        return NULL;
    shared->cluster = cluster;
    shared->group_id = group_id;
    shared->topic_id = topic_id;
    shared->index = index;
    shared->stored_start = -1;
    km_share_flights_init(&shared->flights, cluster->mem);
    kb_list_init(&shared->waiters);
    shared->locks = (kn_timer){.fn = on_lock_timeout, .user = shared};
    shared->wake = (kn_timer){.fn = on_wake, .user = shared};
    return shared;
}

void km_share_partition_free(km_share_partition *shared)
{
    km_timer_stop(shared->cluster, &shared->locks);
    km_timer_stop(shared->cluster, &shared->wake);
    km_share_flights_clear(&shared->flights);
    on_wake(&shared->wake);
    assert(kb_list_is_empty(&shared->waiters));
    kb_mem_free(shared->cluster->mem, shared);
}

bool km_share_is_loaded(const km_share_partition *shared, const km_partition *partition)
{
    return shared->is_loaded && partition->leader >= 0 && shared->leader == partition->leader &&
           shared->leader_epoch == partition->leader_epoch;
}

void km_share_unload(km_share_partition *shared)
{
    for (km_share_flight *flight = km_share_flight_first(&shared->flights); flight;
         flight = km_share_flight_next(&shared->flights, flight))
        for (size_t i = 0; i < km_share_unit_count(flight); i++) {
            km_share_unit *unit = km_share_unit_at(flight, i);
            if (unit->state != KM_SHARE_ACQUIRED)
                continue;
            km_share_unit_own(&shared->flights, unit, NULL);
            unit->state = unit->is_stored ? unit->stored_state : KM_SHARE_AVAILABLE;
            unit->delivery_count = unit->is_stored ? unit->stored_count : 0;
        }
    shared->is_loaded = false;
    km_timer_stop(shared->cluster, &shared->locks);
    wake(shared);
}

void km_share_reset(km_share_partition *shared, int64_t start_offset)
{
    km_share_unload(shared);
    km_share_flights_clear(&shared->flights);
    shared->stored_start = start_offset;
    shared->stored_done = 0;
    shared->start_offset = start_offset;
    shared->next_offset = start_offset;
}

/** The first batch that is as young as this; the log's end: all are older. */
static int64_t offset_at(const km_log *log, int64_t timestamp_ms)
{
    for (size_t i = 0; i < log->entry_count; i++)
        if (log->entries[i].max_timestamp >= timestamp_ms)
            return log->entries[i].base_offset > log->start_offset ? log->entries[i].base_offset
                                                                   : log->start_offset;
    return log->high_watermark;
}

/** "PT1H30M", "P2D", ... as java.time.Duration reads it, in ms; false: it would not. */
static bool parse_duration(kc_bytes text, int64_t *ms_out)
{
    static const struct {
        uint8_t letter;
        int64_t ms;
    } units[] = {{'D', 86400000}, {'H', 3600000}, {'M', 60000}, {'S', 1000}};
    if (text.len < 3 || (text.ptr[0] | 0x20) != 'p')
        return false;
    *ms_out = 0;
    int64_t number = 0;
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.ptr[i] >= 'a' ? (uint8_t)(text.ptr[i] - 0x20) : text.ptr[i];
        if (c >= '0' && c <= '9' && number < 100000000) {
            number = number * 10 + (c - '0');
            continue;
        }
        for (size_t k = 0; k < sizeof units / sizeof units[0]; k++)
            if (units[k].letter == c)
                *ms_out += number * units[k].ms;
        number = 0;
    }
    return true;
}

static int64_t begin_at(const km_share_partition *shared, const km_partition *partition)
{
    static const char by_duration[] = "by_duration:";
    kc_bytes policy = km_group_config(shared->cluster, shared->group_id, "share.auto.offset.reset");
    size_t prefix = sizeof by_duration - 1;
    int64_t ms;
    if (kc_bytes_equal(policy, KC_STR("earliest")))
        return partition->log.start_offset;
    if (policy.len > prefix && memcmp(policy.ptr, by_duration, prefix) == 0 &&
        parse_duration(kc_span(policy.ptr + prefix, policy.len - prefix), &ms))
        return offset_at(&partition->log, shared->cluster->wall_ms - ms);
    return partition->log.high_watermark;
}

void km_share_load(km_share_partition *shared, const km_partition *partition)
{
    if (km_share_is_loaded(shared, partition))
        return;
    km_share_unload(shared);
    if (shared->stored_start < 0) {
        km_share_flights_clear(&shared->flights);
        shared->start_offset = begin_at(shared, partition);
        shared->next_offset = shared->start_offset;
    }
    shared->is_loaded = true;
    shared->leader = partition->leader;
    shared->leader_epoch = partition->leader_epoch;
    shared->stored_epoch = partition->leader_epoch;
}

void km_share_log_moved(km_share_partition *shared, int64_t log_start)
{
    if (log_start <= shared->start_offset)
        return;
    km_share_flight *flight;
    while ((flight = km_share_flight_first(&shared->flights)) && flight->last < log_start)
        km_share_flight_drop(&shared->flights, flight);
    /* Without memory the part below the start is offered once more; there is nothing to be read. */
    if (flight && flight->first < log_start &&
        km_share_flight_split(&shared->flights, flight) == KC_OK)
        for (int64_t offset = flight->first; offset < log_start; offset++) {
            km_share_unit *unit = km_share_unit_at(flight, (size_t)(offset - flight->first));
            if (unit->state == KM_SHARE_AVAILABLE)
                unit->state = KM_SHARE_ARCHIVED;
        }
    shared->start_offset = log_start;
    if (shared->next_offset < log_start)
        shared->next_offset = log_start;
    km_share_locks_changed(shared);
}
