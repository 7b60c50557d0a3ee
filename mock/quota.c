/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Quotas by whom they are for. */
#include "mock/quota.h"

struct km_quotas {
    km_module module;
    km_cluster *cluster;
    kb_map by_entity; /**< km_quota by its key */
};

static const char *const type_names[] = {
    [KM_QUOTA_CLIENT_ID] = "client-id",
    [KM_QUOTA_USER] = "user",
    [KM_QUOTA_IP] = "ip",
};

static const char *const key_names[] = {
    [KM_QUOTA_PRODUCER_BYTE_RATE] = "producer_byte_rate",
    [KM_QUOTA_CONSUMER_BYTE_RATE] = "consumer_byte_rate",
    [KM_QUOTA_REQUEST_PERCENTAGE] = "request_percentage",
    [KM_QUOTA_CONTROLLER_MUTATION_RATE] = "controller_mutation_rate",
    [KM_QUOTA_CONNECTION_CREATION_RATE] = "connection_creation_rate",
};

const char *km_quota_type_name(km_quota_type type)
{
    return type_names[type];
}

const char *km_quota_key_name(km_quota_key key)
{
    return key_names[key];
}

static int find(const char *const *names, int count, kc_bytes name)
{
    for (int i = 0; i < count; i++)
        if (kc_bytes_equal(name, kc_str(names[i])))
            return i;
    return -1;
}

bool km_quota_type_find(kc_bytes name, km_quota_type *type_out)
{
    int found = find(type_names, KM_QUOTA_TYPES, name);
    if (found >= 0)
        *type_out = (km_quota_type)found;
    return found >= 0;
}

bool km_quota_key_find(kc_bytes name, km_quota_key *key_out)
{
    int found = find(key_names, KM_QUOTA_KEYS, name);
    if (found >= 0)
        *key_out = (km_quota_key)found;
    return found >= 0;
}

bool km_quota_entity_is_same(const km_quota_entity *a, const km_quota_entity *b)
{
    for (int i = 0; i < KM_QUOTA_TYPES; i++) {
        bool is_same_name = !a->parts[i].name.ptr == !b->parts[i].name.ptr &&
                            kc_bytes_equal(a->parts[i].name, b->parts[i].name);
        if (a->parts[i].is_there != b->parts[i].is_there || (a->parts[i].is_there && !is_same_name))
            return false;
    }
    return true;
}

/* ---- those there are ---- */

static void quotas_free(km_module *module)
{
    km_quotas *quotas = KB_CONTAINER(module, km_quotas, module);
    km_cluster *cluster = quotas->cluster;
    size_t pos = 0;
    km_quota *quota;
    while ((quota = kb_map_next(&quotas->by_entity, &pos))) {
        kb_map_remove(&quotas->by_entity, quota->key);
        kb_mem_free(cluster->mem, quota);
    }
    kb_map_cleanup(&quotas->by_entity);
    cluster->quotas = NULL;
    kb_mem_free(cluster->mem, quotas);
}

static km_quotas *open_quotas(km_cluster *cluster)
{
    if (cluster->quotas)
        return cluster->quotas;
    km_quotas *quotas = kb_mem_zalloc(cluster->mem, sizeof *quotas);
    if (!quotas)
        return NULL;
    quotas->module.free = quotas_free;
    quotas->cluster = cluster;
    kb_map_init(&quotas->by_entity, cluster->mem);
    km_module_add(cluster, &quotas->module);
    cluster->quotas = quotas;
    return quotas;
}

/** Its key, made of what is there, the lengths of the names, and the names. */
static km_quota *make(kb_mem *mem, const km_quota_entity *entity)
{
    uint32_t heads[KM_QUOTA_TYPES];
    size_t key_len = sizeof heads;
    for (int i = 0; i < KM_QUOTA_TYPES; i++) {
        kc_bytes name = entity->parts[i].is_there ? entity->parts[i].name : KC_NULL;
        heads[i] = !entity->parts[i].is_there ? 0 : name.ptr ? (uint32_t)name.len + 2 : 1;
        key_len += name.len;
    }
    km_quota *quota = kb_mem_zalloc(mem, sizeof *quota + key_len);
    if (!quota)
        return NULL;
    uint8_t *at = (uint8_t *)(quota + 1);
    quota->key = kc_span(at, key_len);
    memcpy(at, heads, sizeof heads);
    at += sizeof heads;
    for (int i = 0; i < KM_QUOTA_TYPES; i++) {
        if (!entity->parts[i].is_there)
            continue;
        kc_bytes name = entity->parts[i].name;
        if (name.len > 0)
            memcpy(at, name.ptr, name.len);
        quota->entity.parts[i].is_there = true;
        quota->entity.parts[i].name = name.ptr ? kc_span(at, name.len) : KC_NULL;
        at += name.len;
    }
    return quota;
}

km_quota *km_quota_open(km_cluster *cluster, const km_quota_entity *entity)
{
    km_quotas *quotas = open_quotas(cluster);
    km_quota *quota = quotas ? make(cluster->mem, entity) : NULL;
    if (!quota)
        return NULL;
    km_quota *known = kb_map_get(&quotas->by_entity, quota->key);
    if (!known && kb_map_put(&quotas->by_entity, quota->key, quota) == KC_OK)
        return quota;
    kb_mem_free(cluster->mem, quota);
    return known;
}

void km_quota_tidy(km_cluster *cluster, km_quota *quota)
{
    for (int i = 0; i < KM_QUOTA_KEYS; i++)
        if (quota->is_set[i])
            return;
    kb_map_remove(&cluster->quotas->by_entity, quota->key);
    kb_mem_free(cluster->mem, quota);
}

const km_quota *km_quota_next(const km_cluster *cluster, size_t *pos)
{
    return cluster->quotas ? kb_map_next(&cluster->quotas->by_entity, pos) : NULL;
}
