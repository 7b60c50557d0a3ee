/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The configs of brokers, groups and client metrics, by resource. */
#include "mock/configs.h"

#include "protocol/base/text.h"

/** Longest name of a resource: a group's id may be any string of the protocol. */
#define NAME_MAX_BYTES 32767

struct km_configs {
    km_module module;
    km_cluster *cluster;
    kb_map resources; /**< km_config_resource by its key */
};

static void resource_free(km_cluster *cluster, km_config_resource *resource)
{
    km_configs_cleanup(&resource->configs, cluster->mem);
    kb_mem_free(cluster->mem, resource);
}

static void configs_free(km_module *module)
{
    km_configs *configs = KB_CONTAINER(module, km_configs, module);
    km_cluster *cluster = configs->cluster;
    size_t pos = 0;
    km_config_resource *resource;
    while ((resource = kb_map_next(&configs->resources, &pos))) {
        kb_map_remove(&configs->resources, resource->key);
        resource_free(cluster, resource);
    }
    kb_map_cleanup(&configs->resources);
    cluster->configs = NULL;
    kb_mem_free(cluster->mem, configs);
}

static km_configs *open_configs(km_cluster *cluster)
{
    if (cluster->configs)
        return cluster->configs;
    km_configs *configs = kb_mem_zalloc(cluster->mem, sizeof *configs);
    if (!configs)
        return NULL;
    configs->module.free = configs_free;
    configs->cluster = cluster;
    kb_map_init(&configs->resources, cluster->mem);
    km_module_add(cluster, &configs->module);
    cluster->configs = configs;
    return configs;
}

km_config_resource *km_config_resource_find(const km_cluster *cluster, int8_t type, kc_bytes name)
{
    if (!cluster->configs)
        return NULL;
    size_t pos = 0;
    km_config_resource *resource;
    while ((resource = kb_map_next(&cluster->configs->resources, &pos)))
        if (resource->type == type && kc_bytes_equal(resource->name, name))
            return resource;
    return NULL;
}

km_config_resource *km_config_resource_open(km_cluster *cluster, int8_t type, kc_bytes name)
{
    km_config_resource *resource = km_config_resource_find(cluster, type, name);
    if (resource || name.len > NAME_MAX_BYTES)
        return resource;
    km_configs *configs = open_configs(cluster);
    resource = configs ? kb_mem_zalloc(cluster->mem, sizeof *resource + 1 + name.len) : NULL;
    if (!resource)
        return NULL;
    uint8_t *key = (uint8_t *)(resource + 1);
    key[0] = (uint8_t)type;
    if (name.len > 0)
        memcpy(key + 1, name.ptr, name.len);
    resource->type = type;
    resource->key = kc_span(key, 1 + name.len);
    resource->name = kc_span(key + 1, name.len);
    kb_map_init(&resource->configs, cluster->mem);
    if (kb_map_put(&configs->resources, resource->key, resource)) {
        kb_mem_free(cluster->mem, resource);
        return NULL;
    }
    return resource;
}

const km_config_resource *km_config_resource_next(const km_cluster *cluster, size_t *pos)
{
    return cluster->configs ? kb_map_next(&cluster->configs->resources, pos) : NULL;
}

kc_bytes km_group_config(const km_cluster *cluster, kc_bytes group_id, const char *name)
{
    const km_config_resource *group = km_config_resource_find(cluster, KM_RESOURCE_GROUP, group_id);
    const km_config *config = group ? kb_map_get(&group->configs, kc_str(name)) : NULL;
    return config ? config->value : KC_NULL;
}

int64_t km_group_config_i64(const km_cluster *cluster, kc_bytes group_id, const char *name,
                            int64_t fallback)
{
    int64_t value;
    kc_bytes set = km_group_config(cluster, group_id, name);
    return set.ptr && kb_parse_i64(set, &value) ? value : fallback;
}
