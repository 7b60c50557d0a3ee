/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The sessions of each broker. */
#include "mock/fetch_session.h"

#include "protocol/wire.h"

/** Of all brokers. */
struct km_fetch_sessions {
    km_module module;
    km_watcher watcher;
    km_cluster *cluster;
    kb_list by_broker[KM_BROKERS_MAX]; /**< km_fetch_session */
    int counts[KM_BROKERS_MAX];
};

kc_bytes km_fetch_key(kb_arena *arena, kc_bytes name, const kc_uuid *topic_id, int32_t partition)
{
    kc_bytes topic = topic_id ? kc_span(topic_id->bytes, sizeof topic_id->bytes) : name;
    uint8_t *key = kb_arena_alloc(arena, topic.len + 4);
    if (!key)
        return KC_NULL;
    kp_store32(key, (uint32_t)partition);
    if (topic.len > 0)
        memcpy(key + 4, topic.ptr, topic.len);
    return kc_span(key, topic.len + 4);
}

/* ---- all of them ---- */

static void clear(struct km_fetch_sessions *all, int broker)
{
    KB_LIST_FOR (node, &all->by_broker[broker]) {
        km_fetch_session_free(KB_CONTAINER(node, km_fetch_session, node));
    }
    all->counts[broker] = 0;
}

static void on_changed(km_watcher *watcher)
{
    struct km_fetch_sessions *all = watcher->user;
    for (int i = 0; i < all->cluster->broker_count; i++)
        if (all->cluster->brokers[i].is_down)
            clear(all, i);
}

static void all_free(km_module *module)
{
    struct km_fetch_sessions *all = KB_CONTAINER(module, struct km_fetch_sessions, module);
    km_unwatch(&all->watcher);
    for (int i = 0; i < KM_BROKERS_MAX; i++)
        clear(all, i);
    all->cluster->fetch_sessions = NULL;
    kb_mem_free(all->cluster->mem, all);
}

/** NULL: no memory. */
static struct km_fetch_sessions *all_of(km_cluster *cluster)
{
    if (cluster->fetch_sessions)
        return cluster->fetch_sessions;
    struct km_fetch_sessions *all = kb_mem_zalloc(cluster->mem, sizeof *all);
    if (!all)
        return NULL;
    all->cluster = cluster;
    all->module.free = all_free;
    all->watcher.fn = on_changed;
    all->watcher.user = all;
    for (int i = 0; i < KM_BROKERS_MAX; i++)
        kb_list_init(&all->by_broker[i]);
    km_module_add(cluster, &all->module);
    km_watch(cluster, &all->watcher);
    cluster->fetch_sessions = all;
    return all;
}

/* ---- one ---- */

km_fetch_session *km_fetch_session_find(km_broker *broker, int32_t id)
{
    struct km_fetch_sessions *all = broker->cluster->fetch_sessions;
    if (!all)
        return NULL;
    KB_LIST_FOR (node, &all->by_broker[broker->id - 1]) {
        km_fetch_session *session = KB_CONTAINER(node, km_fetch_session, node);
        if (session->id == id)
            return session;
    }
    return NULL;
}

/** May `session` go for one of `size` partitions? Those that are not used any more go first, then small old ones. */
static km_fetch_session *evictable(const struct km_fetch_sessions *all, int broker, size_t size)
{
    int64_t old_us = all->cluster->now_us - (int64_t)KM_FETCH_SESSION_MS * 1000;
    km_fetch_session *smallest = NULL;
    KB_LIST_FOR (node, &all->by_broker[broker]) {
        km_fetch_session *session = KB_CONTAINER(node, km_fetch_session, node);
        if (session->used_us < old_us)
            return session;
        if (session->created_us < old_us && session->parts.count <= size &&
            (!smallest || session->parts.count < smallest->parts.count))
            smallest = session;
    }
    return smallest;
}

static int32_t new_id(km_broker *broker)
{
    int32_t id;
    do
        id = (int32_t)(kb_rand_u64(&broker->cluster->rand) & INT32_MAX);
    while (id == 0 || km_fetch_session_find(broker, id));
    return id;
}

km_fetch_session *km_fetch_session_new(km_broker *broker, size_t size, bool uses_ids)
{
    km_cluster *cluster = broker->cluster;
    struct km_fetch_sessions *all = all_of(cluster);
    int at = broker->id - 1;
    if (!all)
        return NULL;
    if (all->counts[at] >= KM_FETCH_SESSIONS_MAX) {
        km_fetch_session *gone = evictable(all, at, size);
        if (!gone)
            return NULL;
        km_fetch_session_free(gone);
    }
    km_fetch_session *session = kb_mem_zalloc(cluster->mem, sizeof *session);
    if (!session)
        return NULL;
    session->mem = cluster->mem;
    session->count = &all->counts[at];
    session->id = new_id(broker);
    session->epoch = 1;
    session->uses_ids = uses_ids;
    session->created_us = cluster->now_us;
    session->used_us = cluster->now_us;
    kb_map_init(&session->parts, cluster->mem);
    kb_list_init(&session->order);
    kb_list_push_back(&all->by_broker[at], &session->node);
    all->counts[at]++;
    return session;
}

static void part_free(km_fetch_session *session, km_fetch_part *part)
{
    kb_map_remove(&session->parts, part->want.key);
    kb_list_remove(&part->node);
    kb_mem_free(session->mem, part);
}

void km_fetch_session_free(km_fetch_session *session)
{
    if (!session)
        return;
    KB_LIST_FOR (node, &session->order) {
        part_free(session, KB_CONTAINER(node, km_fetch_part, node));
    }
    kb_map_cleanup(&session->parts);
    kb_list_remove(&session->node);
    --*session->count;
    kb_mem_free(session->mem, session);
}

void km_fetch_session_touch(km_broker *broker, km_fetch_session *session)
{
    session->used_us = broker->cluster->now_us;
    kb_list_remove(&session->node);
    kb_list_push_back(&broker->cluster->fetch_sessions->by_broker[broker->id - 1], &session->node);
}

int32_t km_fetch_session_next_epoch(int32_t epoch)
{
    return epoch < 0 ? -1 : epoch == INT32_MAX ? 1 : epoch + 1;
}

/* ---- its partitions ---- */

km_fetch_part *km_fetch_session_get(const km_fetch_session *session, kc_bytes key)
{
    return kb_map_get(&session->parts, key);
}

static km_fetch_part *part_new(const km_fetch_session *session, const km_fetch_want *want)
{
    km_fetch_part *part = kb_mem_alloc(session->mem, sizeof *part + want->key.len + want->name.len);
    if (!part)
        return NULL;
    uint8_t *text = (uint8_t *)(part + 1);
    *part = (km_fetch_part){.want = *want, .high_watermark = -1, .log_start_offset = -1};
    memcpy(text, want->key.ptr, want->key.len);
    part->want.key = kc_span(text, want->key.len);
    if (want->name.ptr) {
        memcpy(text + want->key.len, want->name.ptr, want->name.len);
        part->want.name = kc_span(text + want->key.len, want->name.len);
    }
    kb_list_init(&part->node);
    return part;
}

km_fetch_part *km_fetch_session_put(km_fetch_session *session, const km_fetch_want *want)
{
    km_fetch_part *part = km_fetch_session_get(session, want->key);
    if (part && (part->want.name.ptr || !want->name.ptr)) {
        km_fetch_want changed = *want;
        changed.key = part->want.key;
        changed.name = part->want.name;
        part->want = changed;
        return part;
    }
    km_fetch_part *added = part_new(session, want);
    if (!added)
        return NULL;
    if (part) { /* its name is known by now */
        kb_list_insert_before(&part->node, &added->node);
        part_free(session, part);
    } else {
        kb_list_push_back(&session->order, &added->node);
    }
    if (kb_map_put(&session->parts, added->want.key, added)) {
        kb_list_remove(&added->node);
        kb_mem_free(session->mem, added);
        return NULL;
    }
    return added;
}

void km_fetch_session_forget(km_fetch_session *session, kc_bytes key)
{
    km_fetch_part *part = km_fetch_session_get(session, key);
    if (part)
        part_free(session, part);
}
