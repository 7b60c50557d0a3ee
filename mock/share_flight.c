/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Records in flight, as data. */
#include "mock/share_flight.h"

#include <assert.h>
#include <string.h>

void km_share_flights_init(km_share_flights *flights, kb_mem *mem)
{
    flights->mem = mem;
    kb_list_init(&flights->list);
    kb_list_init(&flights->owners);
}

void km_share_flights_clear(km_share_flights *flights)
{
    km_share_flight *flight;
    while ((flight = km_share_flight_first(flights)))
        km_share_flight_drop(flights, flight);
    assert(kb_list_is_empty(&flights->owners));
}

/* ---- flights ---- */

static km_share_flight *of_node(const km_share_flights *flights, kb_list *node)
{
    return node == &flights->list ? NULL : KB_CONTAINER(node, km_share_flight, node);
}

km_share_flight *km_share_flight_first(const km_share_flights *flights)
{
    return of_node(flights, flights->list.next);
}

km_share_flight *km_share_flight_next(const km_share_flights *flights,
                                      const km_share_flight *flight)
{
    return of_node(flights, flight->node.next);
}

km_share_flight *km_share_flight_floor(const km_share_flights *flights, int64_t offset)
{
    km_share_flight *flight = of_node(flights, flights->list.prev);
    while (flight && flight->first > offset)
        flight = of_node(flights, flight->node.prev);
    return flight;
}

km_share_flight *km_share_flight_add(km_share_flights *flights, int64_t first, int64_t last,
                                     km_share_state state)
{
    assert(first <= last);
    km_share_flight *flight = kb_mem_zalloc(flights->mem, sizeof *flight);
    if (!flight)
        return NULL;
    flight->first = first;
    flight->last = last;
    flight->whole.state = (uint8_t)state;
    kb_list_push_back(&flights->list, &flight->node);
    return flight;
}

void km_share_flight_drop(km_share_flights *flights, km_share_flight *flight)
{
    for (size_t i = 0; i < km_share_unit_count(flight); i++)
        km_share_unit_own(flights, km_share_unit_at(flight, i), NULL);
    kb_list_remove(&flight->node);
    kb_mem_free(flights->mem, flight->each);
    kb_mem_free(flights->mem, flight);
}

kc_err km_share_flight_split(km_share_flights *flights, km_share_flight *flight)
{
    if (flight->each)
        return KC_OK;
    uint64_t count = (uint64_t)(flight->last - flight->first) + 1;
    if (count > SIZE_MAX / sizeof *flight->each)
        return KC_ERR_NOMEM;
    km_share_unit *each = kb_mem_alloc(flights->mem, (size_t)count * sizeof *each);
    if (!each)
        return KC_ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        each[i] = flight->whole;
    if (flight->whole.owner)
        flight->whole.owner->held += (size_t)count - 1;
    flight->whole.owner = NULL;
    flight->each = each;
    return KC_OK;
}

/* ---- owners ---- */

km_share_owner *km_share_owner_find(const km_share_flights *flights, kc_bytes member_id)
{
    KB_LIST_FOR (node, &flights->owners) {
        km_share_owner *owner = KB_CONTAINER(node, km_share_owner, node);
        if (kc_bytes_equal(owner->member_id, member_id))
            return owner;
    }
    return NULL;
}

km_share_owner *km_share_owner_open(km_share_flights *flights, kc_bytes member_id)
{
    km_share_owner *owner = km_share_owner_find(flights, member_id);
    if (owner)
        return owner;
    owner = kb_mem_zalloc(flights->mem, sizeof *owner + member_id.len);
    if (!owner)
        return NULL;
    memcpy(owner + 1, member_id.ptr, member_id.len);
    owner->member_id = kc_span(owner + 1, member_id.len);
    kb_list_push_back(&flights->owners, &owner->node);
    return owner;
}

void km_share_owner_trim(km_share_flights *flights, km_share_owner *owner)
{
    if (owner->held > 0)
        return;
    kb_list_remove(&owner->node);
    kb_mem_free(flights->mem, owner);
}

void km_share_unit_own(km_share_flights *flights, km_share_unit *unit, km_share_owner *owner)
{
    km_share_owner *old = unit->owner;
    if (owner)
        owner->held++;
    unit->owner = owner;
    if (!old)
        return;
    assert(old->held > 0);
    old->held--;
    km_share_owner_trim(flights, old);
}
