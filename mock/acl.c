/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The ACLs of the cluster, in the order they were made. */
#include "mock/acl.h"

#include "protocol/base/text.h"

#define RESOURCE_TYPE_LAST 7  /* USER */
#define PATTERN_LAST       4  /* PREFIXED */
#define OPERATION_LAST     15 /* TWO_PHASE_COMMIT */
#define PERMISSION_LAST    3  /* ALLOW */

/** One that is kept, with its key and its texts behind it. */
typedef struct kept_acl {
    km_acl acl;
    kc_bytes key;
} kept_acl;

struct km_acls {
    km_module module;
    km_cluster *cluster;
    kb_map kept; /**< kept_acl by key */
};

static bool is_within(int8_t value, int8_t last)
{
    return value >= KM_ACL_ANY && value <= last;
}

bool km_acl_is_known(const km_acl *acl)
{
    return is_within(acl->resource_type, RESOURCE_TYPE_LAST) &&
           is_within(acl->pattern_type, PATTERN_LAST) &&
           is_within(acl->operation, OPERATION_LAST) && is_within(acl->permission, PERMISSION_LAST);
}

/** MATCH: what would be looked at to decide about this resource. */
static bool matches_resource(const km_acl *filter, const km_acl *acl)
{
    if (filter->resource_type != KM_ACL_ANY && filter->resource_type != acl->resource_type)
        return false;
    if (filter->pattern_type != KM_ACL_ANY && filter->pattern_type != KM_ACL_PATTERN_MATCH &&
        filter->pattern_type != acl->pattern_type)
        return false;
    if (!filter->resource.ptr || kc_bytes_equal(filter->resource, acl->resource))
        return true;
    if (filter->pattern_type != KM_ACL_PATTERN_MATCH)
        return false;
    if (acl->pattern_type == KM_ACL_PATTERN_LITERAL)
        return kc_bytes_equal(acl->resource, KC_STR("*"));
    return kb_text_starts(filter->resource, acl->resource);
}

static bool matches_text(kc_bytes filter, kc_bytes text)
{
    return !filter.ptr || kc_bytes_equal(filter, text);
}

bool km_acl_matches(const km_acl *filter, const km_acl *acl)
{
    return matches_resource(filter, acl) && matches_text(filter->principal, acl->principal) &&
           matches_text(filter->host, acl->host) &&
           (filter->operation == KM_ACL_ANY || filter->operation == acl->operation) &&
           (filter->permission == KM_ACL_ANY || filter->permission == acl->permission);
}

/* ---- the ones there are ---- */

static void acls_free(km_module *module)
{
    km_acls *acls = KB_CONTAINER(module, km_acls, module);
    km_cluster *cluster = acls->cluster;
    size_t pos = 0;
    kept_acl *kept;
    while ((kept = kb_map_next(&acls->kept, &pos)))
        km_acl_remove(cluster, &kept->acl);
    kb_map_cleanup(&acls->kept);
    cluster->acls = NULL;
    kb_mem_free(cluster->mem, acls);
}

static km_acls *open_acls(km_cluster *cluster)
{
    if (cluster->acls)
        return cluster->acls;
    km_acls *acls = kb_mem_zalloc(cluster->mem, sizeof *acls);
    if (!acls)
        return NULL;
    acls->module.free = acls_free;
    acls->cluster = cluster;
    kb_map_init(&acls->kept, cluster->mem);
    km_module_add(cluster, &acls->module);
    cluster->acls = acls;
    return acls;
}

static uint8_t *put(uint8_t *at, kc_bytes text, kc_bytes *copy)
{
    if (text.len > 0)
        memcpy(at, text.ptr, text.len);
    *copy = kc_span(at, text.len);
    return at + text.len;
}

/** Four numbers, the lengths, the texts. */
static kept_acl *copy_acl(kb_mem *mem, const km_acl *acl)
{
    const uint32_t lens[] = {(uint32_t)acl->resource.len, (uint32_t)acl->principal.len};
    size_t texts = acl->resource.len + acl->principal.len + acl->host.len;
    size_t key_len = 4 + sizeof lens + texts;
    kept_acl *kept = kb_mem_alloc(mem, sizeof *kept + key_len);
    if (!kept)
        return NULL;
    uint8_t *key = (uint8_t *)(kept + 1), *at = key;
    kept->acl = *acl;
    kept->key = kc_span(key, key_len);
    *at++ = (uint8_t)acl->resource_type;
    *at++ = (uint8_t)acl->pattern_type;
    *at++ = (uint8_t)acl->operation;
    *at++ = (uint8_t)acl->permission;
    memcpy(at, lens, sizeof lens);
    at = put(at + sizeof lens, acl->resource, &kept->acl.resource);
    at = put(at, acl->principal, &kept->acl.principal);
    put(at, acl->host, &kept->acl.host);
    return kept;
}

kc_err km_acl_add(km_cluster *cluster, const km_acl *acl)
{
    km_acls *acls = open_acls(cluster);
    kept_acl *kept = acls ? copy_acl(cluster->mem, acl) : NULL;
    if (!kept)
        return KC_ERR_NOMEM;
    if (kb_map_get(&acls->kept, kept->key)) {
        kb_mem_free(cluster->mem, kept);
        return KC_OK;
    }
    if (kb_map_put(&acls->kept, kept->key, kept)) {
        kb_mem_free(cluster->mem, kept);
        return KC_ERR_NOMEM;
    }
    return KC_OK;
}

const km_acl *km_acl_next(const km_cluster *cluster, size_t *pos)
{
    const kept_acl *kept = cluster->acls ? kb_map_next(&cluster->acls->kept, pos) : NULL;
    return kept ? &kept->acl : NULL;
}

void km_acl_remove(km_cluster *cluster, const km_acl *acl)
{
    const kept_acl *found = (const kept_acl *)(const void *)acl; /* its first member */
    kept_acl *kept = kb_map_remove(&cluster->acls->kept, found->key);
    kb_mem_free(cluster->mem, kept);
}
