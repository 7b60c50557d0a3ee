/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The groups by id. */
#include "mock/group.h"

#include "mock/group_offsets.h"

struct km_groups {
    km_module module;
    km_watcher watcher; /**< a topic is gone: so are its offsets */
    km_cluster *cluster;
    kb_map by_id;
};

static void groups_free(km_module *module)
{
    km_groups *groups = KB_CONTAINER(module, km_groups, module);
    km_cluster *cluster = groups->cluster;
    km_unwatch(&groups->watcher);
    size_t pos = 0;
    km_group *group;
    while ((group = kb_map_next(&groups->by_id, &pos)))
        km_group_delete(group);
    kb_map_cleanup(&groups->by_id);
    cluster->groups = NULL;
    kb_mem_free(cluster->mem, groups);
}

static void on_change(km_watcher *watcher)
{
    km_groups *groups = watcher->user;
    size_t pos = 0;
    km_group *group;
    while ((group = kb_map_next(&groups->by_id, &pos)))
        km_group_tombstones(group);
}

static km_groups *open_groups(km_cluster *cluster)
{
    if (cluster->groups)
        return cluster->groups;
    km_groups *groups = kb_mem_zalloc(cluster->mem, sizeof *groups);
    if (!groups)
        return NULL;
    groups->module.free = groups_free;
    groups->cluster = cluster;
    groups->watcher.fn = on_change;
    groups->watcher.user = groups;
    km_watch(cluster, &groups->watcher);
    kb_map_init(&groups->by_id, cluster->mem);
    km_module_add(cluster, &groups->module);
    cluster->groups = groups;
    return groups;
}

km_group *km_group_find(const km_cluster *cluster, kc_bytes id)
{
    return cluster->groups ? kb_map_get(&cluster->groups->by_id, id) : NULL;
}

km_group *km_group_open(km_cluster *cluster, kc_bytes id)
{
    km_group *group = km_group_find(cluster, id);
    if (group)
        return group;
    km_groups *groups = open_groups(cluster);
    group = groups ? kb_mem_zalloc(cluster->mem, sizeof *group + id.len) : NULL;
    if (!group)
        return NULL;
    group->cluster = cluster;
    if (id.len > 0)
        memcpy(group + 1, id.ptr, id.len);
    group->id = kc_span(group + 1, id.len);
    km_group_offsets_init(group);
    if (kb_map_put(&groups->by_id, group->id, group)) {
        kb_mem_free(cluster->mem, group);
        return NULL;
    }
    return group;
}

bool km_group_is_empty(const km_group *group)
{
    return group->type == KM_GROUP_NONE || group->ops->is_empty(group);
}

bool km_group_is_known(const km_group *group)
{
    return group && (group->type != KM_GROUP_NONE || group->had_offsets);
}

static void give_up(km_group *group)
{
    if (group->type != KM_GROUP_NONE)
        group->ops->free(group);
    group->type = KM_GROUP_NONE;
    group->ops = NULL;
    group->impl = NULL;
}

kc_err km_group_become(km_group *group, km_group_type type, const km_group_ops *ops, void *impl)
{
    if (!km_group_is_empty(group))
        return KC_ERR_STATE;
    give_up(group);
    group->type = type;
    group->ops = ops;
    group->impl = impl;
    return KC_OK;
}

void km_group_delete(km_group *group)
{
    give_up(group);
    km_group_offsets_cleanup(group);
    kb_map_remove(&group->cluster->groups->by_id, group->id);
    kb_mem_free(group->cluster->mem, group);
}

km_group *km_group_next(const km_cluster *cluster, size_t *pos)
{
    return cluster->groups ? kb_map_next(&cluster->groups->by_id, pos) : NULL;
}
