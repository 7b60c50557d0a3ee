/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Insertion-ordered hash map and the keyed hash under it. */
#define _DEFAULT_SOURCE // getrandom
#include "protocol/base/map.h"

#include "protocol/base/text.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/random.h>

__extension__ typedef unsigned __int128 u128;

/** All words of the hash are secret: were one of them known, input could be chosen that cancels it
 * out. */
static _Atomic uint64_t secret[4];
static _Atomic uint64_t secret_seed;
static atomic_bool secret_is_ready;

static uint64_t spread(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/** Any number of threads may come here at once: all store the same words, made from the first one's
 * seed. */
static void make_secret(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed =
            spread((uintptr_t)&seed) ^ (uintptr_t)&make_secret; // early boot: address randomisation
    seed |= 1;                                                  // 0 means: none yet
    uint64_t winner = 0;
    if (!atomic_compare_exchange_strong(&secret_seed, &winner, seed))
        seed = winner;
    for (size_t i = 0; i < 4; i++) {
        uint64_t word = spread(seed + (i + 1) * 0x9e3779b97f4a7c15u);
        atomic_store_explicit(&secret[i], word, memory_order_relaxed);
    }
    atomic_store_explicit(&secret_is_ready, true, memory_order_release);
}

static inline uint64_t secret_word(size_t i)
{
    return atomic_load_explicit(&secret[i], memory_order_relaxed);
}

static inline uint64_t read8(const uint8_t *ptr)
{
    uint64_t value;
    memcpy(&value, ptr, sizeof value);
    return value;
}

static inline uint64_t read4(const uint8_t *ptr)
{
    uint32_t value;
    memcpy(&value, ptr, sizeof value);
    return value;
}

/** Both halves of the full product, folded. */
static inline uint64_t fold(uint64_t a, uint64_t b)
{
    u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t kb_hash(kc_bytes bytes)
{
    if (!atomic_load_explicit(&secret_is_ready, memory_order_acquire))
        make_secret();
    const uint8_t *ptr = bytes.ptr;
    size_t left = bytes.len;
    uint64_t state = secret_word(0);
    for (; left > 16; ptr += 16, left -= 16)
        state = fold(read8(ptr) ^ secret_word(1), read8(ptr + 8) ^ state);
    uint64_t a = 0;
    uint64_t b = 0;
    if (left >= 8) { // the two reads may overlap; together they see every byte
        a = read8(ptr);
        b = read8(ptr + left - 8);
    } else if (left >= 4) {
        a = read4(ptr);
        b = read4(ptr + left - 4);
    } else if (left > 0) {
        a = (uint64_t)ptr[0] << 16 | (uint64_t)ptr[left / 2] << 8 | ptr[left - 1];
    }
    state = fold(a ^ secret_word(1), b ^ state);
    return fold(state ^ secret_word(2), (uint64_t)bytes.len ^ secret_word(3));
}

/* A slot: high half of the hash over the entry's number plus one; or one of these. */
#define SLOT_EMPTY   ((uint64_t)0)
#define SLOT_DELETED ((uint64_t)UINT32_MAX)
#define SLOT_NONE    SIZE_MAX
#define CAP_MIN      ((size_t)8)
#define CAP_MAX      ((size_t)1 << 31)

static inline uint64_t make_slot(uint64_t hash, size_t entry)
{
    return (hash & ~(uint64_t)UINT32_MAX) | (entry + 1);
}

static inline size_t entry_of(uint64_t slot)
{
    return (uint32_t)slot - (size_t)1;
}

static inline size_t entries_max(size_t cap)
{
    return cap / 4 * 3;
}

void kb_map_init(kb_map *map, kb_mem *mem)
{
    *map = (kb_map){.mem = mem};
}

void kb_map_cleanup(kb_map *map)
{
    kb_mem_free(map->mem, map->entries);
    kb_map_init(map, map->mem);
}

/** Slot of the key, or SLOT_NONE. A quarter of the slots is never used, so the search ends. */
static size_t find(const kb_map *map, kc_bytes key, uint64_t hash)
{
    if (map->count == 0)
        return SLOT_NONE;
    size_t mask = map->cap - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        uint64_t slot = map->slots[i];
        if (slot == SLOT_EMPTY)
            return SLOT_NONE;
        if (slot == SLOT_DELETED || (slot ^ hash) >> 32 != 0)
            continue;
        const kb_map_entry *entry = &map->entries[entry_of(slot)];
        if (entry->hash == hash && kc_bytes_equal(entry->key, key))
            return i;
    }
}

/** Write an entry's number into the first free slot of its chain. */
static void link_entry(kb_map *map, size_t number)
{
    uint64_t hash = map->entries[number].hash;
    size_t mask = map->cap - 1;
    size_t i = (size_t)hash & mask;
    while (map->slots[i] != SLOT_EMPTY && map->slots[i] != SLOT_DELETED)
        i = (i + 1) & mask;
    map->slots[i] = make_slot(hash, number);
}

/** Move the live entries together at `to`, which may be where they are, and build the table anew.
 */
static void rebuild(kb_map *map, kb_map_entry *to)
{
    size_t count = 0;
    for (size_t i = map->first; i < map->used; i++) {
        if (map->entries[i].value)
            to[count++] = map->entries[i];
    }
    assert(count == map->count);
    map->entries = to;
    map->used = count;
    map->first = 0;
    memset(map->slots, 0, map->cap * sizeof *map->slots);
    for (size_t i = 0; i < count; i++)
        link_entry(map, i);
}

static kc_err make_room(kb_map *map)
{
    if (map->used < entries_max(map->cap))
        return KC_OK;
    if (map->cap > 0 && map->count <= entries_max(map->cap) / 2) {
        rebuild(map, map->entries); // half of it was taken out: the room is there
        return KC_OK;
    }
    size_t cap = map->cap ? map->cap * 2 : CAP_MIN;
    size_t entries_size = entries_max(cap) * sizeof(kb_map_entry);
    if (cap > CAP_MAX || cap > SIZE_MAX / (sizeof(kb_map_entry) + sizeof *map->slots))
        return KC_ERR_NOMEM;
    kb_map_entry *entries = kb_mem_alloc(map->mem, entries_size + cap * sizeof *map->slots);
    if (!entries)
        return KC_ERR_NOMEM;
    kb_map_entry *old = map->entries;
    map->slots = (uint64_t *)(void *)(entries + entries_max(cap));
    map->cap = cap;
    rebuild(map, entries);
    kb_mem_free(map->mem, old);
    return KC_OK;
}

void *kb_map_get(const kb_map *map, kc_bytes key)
{
    if (map->count == 0)
        return NULL;
    size_t slot = find(map, key, kb_hash(key));
    return slot == SLOT_NONE ? NULL : map->entries[entry_of(map->slots[slot])].value;
}

kc_err kb_map_put(kb_map *map, kc_bytes key, void *value)
{
    assert(value);
    kb_map_entry entry = {.hash = kb_hash(key), .key = key, .value = value};
    size_t slot = find(map, key, entry.hash);
    if (slot != SLOT_NONE) {
        map->entries[entry_of(map->slots[slot])] = entry;
        return KC_OK;
    }
    kc_err err = make_room(map);
    if (err != KC_OK)
        return err;
    map->entries[map->used] = entry;
    link_entry(map, map->used++);
    map->count++;
    return KC_OK;
}

void *kb_map_remove(kb_map *map, kc_bytes key)
{
    if (map->count == 0)
        return NULL;
    size_t slot = find(map, key, kb_hash(key));
    if (slot == SLOT_NONE)
        return NULL;
    size_t number = entry_of(map->slots[slot]);
    void *value = map->entries[number].value;
    map->entries[number] = (kb_map_entry){0};
    // at the end of a chain no tombstone is needed
    bool is_last = map->slots[(slot + 1) & (map->cap - 1)] == SLOT_EMPTY;
    map->slots[slot] = is_last ? SLOT_EMPTY : SLOT_DELETED;
    map->count--;
    // taking the first again and again must not search the same gap each time
    while (map->first < map->used && !map->entries[map->first].value)
        map->first++;
    return value;
}

void *kb_map_next(const kb_map *map, size_t *pos)
{
    for (size_t i = *pos > map->first ? *pos : map->first; i < map->used; i++) {
        if (map->entries[i].value) {
            *pos = i + 1;
            return map->entries[i].value;
        }
    }
    *pos = map->used;
    return NULL;
}
