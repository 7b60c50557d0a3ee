/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Records of a share partition that are in flight: batches of them, each with one state for all its records or with
 * one a record, and who acquired them. Data only; what may happen to it: share_partition.h. */
#ifndef KM_SHARE_FLIGHT_H
#define KM_SHARE_FLIGHT_H

#include "protocol/base/list.h"
#include "protocol/base/mem.h"

#include <kafkac/types.h>

/** Kafka's numbers of record states. */
typedef enum km_share_state {
    KM_SHARE_AVAILABLE = 0,
    KM_SHARE_ACQUIRED = 1,
    KM_SHARE_ACKNOWLEDGED = 2,
    KM_SHARE_ARCHIVED = 4,
} km_share_state;

/** A member that has acquired something. */
typedef struct km_share_owner {
    kb_list node;
    size_t held;        /**< units it holds         */
    kc_bytes member_id; /**< stands behind the struct */
} km_share_owner;

/** State of one record, or of all of a flight. */
typedef struct km_share_unit {
    int64_t locked_until_us; /**< while acquired                                              */
    km_share_owner *owner;   /**< NULL: nobody                                                */
    int16_t delivery_count;
    int16_t stored_count; /**< what a new leader would find, see is_stored                 */
    uint8_t state;        /**< km_share_state                                              */
    uint8_t stored_state;
    bool is_stored; /**< the state was written; being acquired never is              */
} km_share_unit;

/** Records that were acquired together when they were new. */
typedef struct km_share_flight {
    kb_list node;
    int64_t first;
    int64_t last;
    km_share_unit whole; /**< while `each` is NULL */
    km_share_unit *each; /**< one a record         */
} km_share_flight;

typedef struct km_share_flights {
    kb_mem *mem;
    kb_list list;   /**< km_share_flight, by offset, without a hole between two */
    kb_list owners; /**< km_share_owner with something in `list`                */
} km_share_flights;

void km_share_flights_init(km_share_flights *flights, kb_mem *mem);
/** Forget all of them. */
void km_share_flights_clear(km_share_flights *flights);

/** Append one in which all records are `state` and nobody's; NULL: no memory. */
km_share_flight *km_share_flight_add(km_share_flights *flights, int64_t first, int64_t last,
                                     km_share_state state);
void km_share_flight_drop(km_share_flights *flights, km_share_flight *flight);
/** One state a record from now on. KC_ERR_NOMEM: as it was. */
KC_NODISCARD kc_err km_share_flight_split(km_share_flights *flights, km_share_flight *flight);
/** The one that begins at `offset` or before it, and last of those; NULL: none. */
km_share_flight *km_share_flight_floor(const km_share_flights *flights, int64_t offset);
km_share_flight *km_share_flight_first(const km_share_flights *flights);
/** The one behind; NULL: it is the last. */
km_share_flight *km_share_flight_next(const km_share_flights *flights,
                                      const km_share_flight *flight);

/** Units of a flight: 1, or one a record. */
static inline size_t km_share_unit_count(const km_share_flight *flight)
{
    return flight->each ? (size_t)(flight->last - flight->first + 1) : 1;
}
static inline km_share_unit *km_share_unit_at(km_share_flight *flight, size_t i)
{
    return flight->each ? &flight->each[i] : &flight->whole;
}
/** Offsets of unit `i`. */
static inline int64_t km_share_unit_first(const km_share_flight *flight, size_t i)
{
    return flight->first + (int64_t)i;
}
static inline int64_t km_share_unit_last(const km_share_flight *flight, size_t i)
{
    return flight->each ? flight->first + (int64_t)i : flight->last;
}
static inline bool km_share_is_terminal(const km_share_unit *unit)
{
    return unit->state == KM_SHARE_ACKNOWLEDGED || unit->state == KM_SHARE_ARCHIVED;
}

/** Find or make, with nothing held: goes with km_share_owner_trim() when it takes nothing. NULL: no memory. */
km_share_owner *km_share_owner_open(km_share_flights *flights, kc_bytes member_id);
/** NULL: holds nothing. */
km_share_owner *km_share_owner_find(const km_share_flights *flights, kc_bytes member_id);
void km_share_owner_trim(km_share_flights *flights, km_share_owner *owner);
/** A unit changes hands; NULL: is nobody's. */
void km_share_unit_own(km_share_flights *flights, km_share_unit *unit, km_share_owner *owner);

#endif
