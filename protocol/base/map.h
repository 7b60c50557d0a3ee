/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Hash map from byte-string keys to pointers; open addressing, keyed hash (a broker chooses topic
 * names, so the hash has a per-process seed). The key bytes must live as long as the entry: they
 * usually stand inside the value.
 *
 * Entries stand in the order of their insertion and the table only holds their numbers: so a walk
 * does not depend on the seed, and a simulation replays. */
#ifndef KB_MAP_H
#define KB_MAP_H

#include "protocol/base/mem.h"

typedef struct kb_map_entry {
    uint64_t hash;
    kc_bytes key;
    void *value; /**< NULL: taken out */
} kb_map_entry;

typedef struct kb_map {
    kb_mem *mem;
    kb_map_entry *entries; /**< private: room for 3/4 of cap               */
    uint64_t *slots;       /**< private: the table of entry numbers        */
    size_t cap;            /**< private: slots, a power of two, or 0       */
    size_t count;          /**< live entries                               */
    size_t used;           /**< private: entries, live and taken out       */
    size_t first;          /**< private: all entries before this are taken out */
} kb_map;

void kb_map_init(kb_map *map, kb_mem *mem);
/** Frees the table, not the values. */
void kb_map_cleanup(kb_map *map);
/** NULL: none. */
void *kb_map_get(const kb_map *map, kc_bytes key);
/** Insert or replace (key slice and value; the place in the walk stays). Fails only with
 * KC_ERR_NOMEM, then nothing changed. `value` is not NULL. */
KC_NODISCARD kc_err kb_map_put(kb_map *map, kc_bytes key, void *value);
/** The value taken out, NULL: none. */
void *kb_map_remove(kb_map *map, kc_bytes key);
/** Walk in the order of insertion: start with *pos = 0; NULL at the end. Removing any entry on the
 * way is allowed, inserting not. */
void *kb_map_next(const kb_map *map, size_t *pos);

/** Slice over an integer key, which must live as long as the entry. */
#define KB_KEY(lvalue) kc_span(&(lvalue), sizeof(lvalue))

#endif
