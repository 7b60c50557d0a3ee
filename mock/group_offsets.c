/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Offsets by topic and partition. The key stands in front of the topic's name, so that one map holds all. */
#include "mock/group_offsets.h"

/** Producer id, partition, topic: the bytes a map is keyed by. Committed offsets have the producer -1. */
typedef struct offset_entry {
    km_offset offset;
    kc_uuid topic_id; /**< zero: the topic was not there */
    int64_t producer_id;
    size_t key_len;
    uint8_t key[]; /**< and the metadata behind it */
} offset_entry;

#define KEY_FIXED (sizeof(int64_t) + sizeof(int32_t))
#define KEY_MAX   (KEY_FIXED + KM_TOPIC_NAME_MAX)

static size_t make_key(uint8_t *key, int64_t producer_id, kc_bytes topic, int32_t partition)
{
    memcpy(key, &producer_id, sizeof producer_id);
    memcpy(key + sizeof producer_id, &partition, sizeof partition);
    if (topic.len > 0)
        memcpy(key + KEY_FIXED, topic.ptr, topic.len);
    return KEY_FIXED + topic.len;
}

void km_group_offsets_init(km_group *group)
{
    kb_map_init(&group->offsets, group->cluster->mem);
    kb_map_init(&group->pending_offsets, group->cluster->mem);
}

static void map_cleanup(kb_map *map, kb_mem *mem)
{
    size_t pos = 0;
    offset_entry *entry;
    while ((entry = kb_map_next(map, &pos))) {
        kb_map_remove(map, kc_span(entry->key, entry->key_len));
        kb_mem_free(mem, entry);
    }
    kb_map_cleanup(map);
}

void km_group_offsets_cleanup(km_group *group)
{
    map_cleanup(&group->offsets, group->cluster->mem);
    map_cleanup(&group->pending_offsets, group->cluster->mem);
}

static kc_err put(km_group *group, kb_map *map, int64_t producer_id, const km_offset *offset)
{
    kb_mem *mem = group->cluster->mem;
    if (offset->topic.len > KM_TOPIC_NAME_MAX)
        return KC_ERR_ARGUMENT;
    offset_entry *entry =
        kb_mem_zalloc(mem, sizeof *entry + KEY_FIXED + offset->topic.len + offset->metadata.len);
    if (!entry)
        return KC_ERR_NOMEM;
    entry->producer_id = producer_id;
    entry->key_len = make_key(entry->key, producer_id, offset->topic, offset->partition);
    if (offset->metadata.len > 0)
        memcpy(entry->key + entry->key_len, offset->metadata.ptr, offset->metadata.len);
    entry->offset = *offset;
    entry->offset.topic = kc_span(entry->key + KEY_FIXED, offset->topic.len);
    entry->offset.metadata = kc_span(entry->key + entry->key_len, offset->metadata.len);
    entry->offset.committed_ms = group->cluster->wall_ms;
    const km_topic *topic = km_topic_by_name(group->cluster, offset->topic);
    if (topic)
        entry->topic_id = topic->id;
    kc_bytes key = kc_span(entry->key, entry->key_len);
    offset_entry *old = kb_map_get(map, key);
    if (kb_map_put(map, key, entry)) {
        kb_mem_free(mem, entry);
        return KC_ERR_NOMEM;
    }
    kb_mem_free(mem, old);
    group->had_offsets = true;
    return KC_OK;
}

kc_err km_group_offset_put(km_group *group, kc_bytes topic, int32_t partition, int64_t offset,
                           int32_t leader_epoch, kc_bytes metadata)
{
    const km_offset added = {topic, partition, offset, leader_epoch, metadata, 0};
    return put(group, &group->offsets, -1, &added);
}

kc_err km_group_offset_put_pending(km_group *group, int64_t producer_id, kc_bytes topic,
                                   int32_t partition, int64_t offset, int32_t leader_epoch,
                                   kc_bytes metadata)
{
    const km_offset added = {topic, partition, offset, leader_epoch, metadata, 0};
    return put(group, &group->pending_offsets, producer_id, &added);
}

const km_offset *km_group_offset_get(const km_group *group, kc_bytes topic, int32_t partition)
{
    uint8_t key[KEY_MAX];
    if (topic.len > KM_TOPIC_NAME_MAX)
        return NULL;
    const offset_entry *entry =
        kb_map_get(&group->offsets, kc_span(key, make_key(key, -1, topic, partition)));
    return entry ? &entry->offset : NULL;
}

static void take_out(km_group *group, kb_map *map, offset_entry *entry)
{
    kb_map_remove(map, kc_span(entry->key, entry->key_len));
    kb_mem_free(group->cluster->mem, entry);
}

void km_group_offset_remove(km_group *group, kc_bytes topic, int32_t partition)
{
    uint8_t key[KEY_MAX];
    if (topic.len > KM_TOPIC_NAME_MAX)
        return;
    offset_entry *entry =
        kb_map_get(&group->offsets, kc_span(key, make_key(key, -1, topic, partition)));
    if (entry)
        take_out(group, &group->offsets, entry);
    size_t pos = 0;
    while ((entry = kb_map_next(&group->pending_offsets, &pos)))
        if (entry->offset.partition == partition && kc_bytes_equal(entry->offset.topic, topic))
            take_out(group, &group->pending_offsets, entry);
}

static void map_tombstones(km_group *group, kb_map *map)
{
    size_t pos = 0;
    offset_entry *entry;
    while ((entry = kb_map_next(map, &pos)))
        if (!kc_uuid_is_zero(entry->topic_id) && !km_topic_by_id(group->cluster, entry->topic_id))
            take_out(group, map, entry);
}

void km_group_tombstones(km_group *group)
{
    map_tombstones(group, &group->offsets);
    map_tombstones(group, &group->pending_offsets);
}

const km_offset *km_group_offset_next(const km_group *group, size_t *pos)
{
    const offset_entry *entry = kb_map_next(&group->offsets, pos);
    return entry ? &entry->offset : NULL;
}

bool km_group_offset_is_pending(const km_group *group, kc_bytes topic, int32_t partition)
{
    size_t pos = 0;
    const offset_entry *entry;
    while ((entry = kb_map_next(&group->pending_offsets, &pos)))
        if (entry->offset.partition == partition && kc_bytes_equal(entry->offset.topic, topic))
            return true;
    return false;
}

kc_err km_group_offsets_end(km_group *group, int64_t producer_id, bool is_commit)
{
    size_t pos = 0;
    offset_entry *entry;
    while ((entry = kb_map_next(&group->pending_offsets, &pos))) {
        if (entry->producer_id != producer_id)
            continue;
        kc_err err = is_commit ? put(group, &group->offsets, -1, &entry->offset) : KC_OK;
        if (err)
            return err;
        take_out(group, &group->pending_offsets, entry);
    }
    return KC_OK;
}

kc_err km_groups_offsets_end(const km_partition *partition, int64_t producer_id, bool is_commit)
{
    km_cluster *cluster = partition->topic->cluster;
    size_t pos = 0;
    km_group *group;
    while ((group = km_group_next(cluster, &pos))) {
        if (km_coordinator_partition(cluster, KM_COORDINATOR_GROUP, group->id) != partition)
            continue;
        kc_err err = km_group_offsets_end(group, producer_id, is_commit);
        if (err)
            return err;
    }
    return KC_OK;
}
